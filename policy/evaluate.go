package policy

// Decision is the outcome of an evaluation with its reason. The zero value denies.
type Decision struct {
	Effect Effect
	Reason Reason
}

// Reason names what decided.
type Reason struct {
	Kind      Kind   // the layer that decided; 0 when none did (GetCallerIdentity, the root user)
	Level     int    // of the service control policies; otherwise 0
	Document  int    // index among the documents of that layer; -1 none
	Statement int    // index in the document; -1 none
	Sid       string // of that statement
}

// Evaluate decides a request.
func Evaluate(r *Request, p *Policies) Decision { return Decision{} }

// Suffix is AWS's explanation of a denial.
func (d Decision) Suffix(action string) string { return "" }

// Trace is an evaluation in full.
type Trace struct{ Decision Decision }

// Explain evaluates and reports every check.
func Explain(r *Request, p *Policies) *Trace { return &Trace{} }
