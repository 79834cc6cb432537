package sigv4

import "errors"

// ErrMissing reports a request without any authentication material. It is not a failure where an operation is unsigned;
// elsewhere it is AWS's MissingAuthenticationToken.
var ErrMissing = errors.New("no authentication material")

// SyntaxError reports authentication material that cannot be parsed, is incomplete, or is given twice: AWS's
// IncompleteSignature. Message is the text for the caller; what it echoes is bounded and printable.
type SyntaxError struct {
	Message string
}

// Error returns the text for the caller.
func (e *SyntaxError) Error() string { return e.Message }

// MismatchError reports a wrong scope, a clock outside the window, an unsigned header or a wrong signature: AWS's
// SignatureDoesNotMatch. Message is the text for the caller; it never holds the canonical request.
type MismatchError struct {
	Message string
}

// Error returns the text for the caller.
func (e *MismatchError) Error() string { return e.Message }

func syntaxError(message string) error { return &SyntaxError{Message: message} }

// wrongSignature is one value for every way in which a signature can be wrong, so that the answer does not tell which.
var wrongSignature = &MismatchError{Message: "The request signature we calculated does not match the signature you provided. " +
	"Check your AWS Secret Access Key and signing method. Consult the service documentation for details."}

// maxEcho bounds what a text repeats of the request, in bytes.
const maxEcho = 256

// printable returns s as a text may echo it: at most limit bytes, everything but printable ASCII replaced by '?'.
func printable(s string, limit int) string {
	cut := len(s) > limit
	if cut {
		s = s[:limit]
	}
	clean := []byte(s)
	for i, c := range clean {
		if c < ' ' || c > '~' {
			clean[i] = '?'
		}
	}
	if cut {
		clean = append(clean, "..."...)
	}
	return string(clean)
}
