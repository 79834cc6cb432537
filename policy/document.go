package policy

// Document is a parsed, validated and compiled policy. It is immutable and safe for concurrent use.
type Document struct {
	kind Kind
	text string
}

// Parse reads text as a policy of the given kind, refuses whatever AWS refuses on write, and compiles it. The error is an *Error.
func Parse(kind Kind, text string) (*Document, error) { return &Document{kind: kind, text: text}, nil }

// Text returns the document as it was given to Parse.
func (d *Document) Text() string { return d.text }

// Kind returns the kind that the document was parsed as.
func (d *Document) Kind() Kind { return d.kind }

// Size returns the number of characters outside white space, which is what IAM's size quotas count.
func (d *Document) Size() int { return len(d.text) }

// Principals returns the user and role ARNs that the document names as AWS principals, unique and in order.
func (d *Document) Principals() []string { return nil }

// Bind returns a copy in which those ARNs match by unique id only.
func (d *Document) Bind(ids map[string]string) *Document { return d }

// Rewrite returns the text with each of those ARNs replaced by what f returns, white space untouched.
func (d *Document) Rewrite(f func(arn string) string) string { return d.text }

// ContextKeys returns the condition keys and variables of the document, as spelled, without repetition.
func (d *Document) ContextKeys() []string { return nil }

// Error tells why a document was refused.
type Error struct {
	Message      string // AWS's sentence
	Path         string // for example Statement[0].Effect
	Reason       string // the precise reason, for people
	Offset       int    // in bytes, from 0
	Line, Column int    // from 1; the column counts characters
}

func (e *Error) Error() string { return e.Message }
