package saml

import "io"

// Canonical parses a document, and returns what writes its canonical form.
func Canonical(document string) (func(io.Writer) error, error) {
	root, err := parse(document, nil, false)
	return func(w io.Writer) error { return canonicalize(w, root, nil, nil) }, err
}
