// Package secret holds values that cannot be printed: secret access keys, session tokens, TOTP seeds and codes.
//
// A String hides its value from fmt, slog and every encoder that honours encoding.TextMarshaler. The value sits behind
// a pointer, because fmt reads the unexported fields of an enclosing struct without asking their methods. Reveal is the
// one way out, and easy to search for.
package secret

import (
	"crypto/subtle"
	"fmt"
	"io"
	"log/slog"
)

const redacted = "[redacted]"

// String is a secret text. The zero value holds nothing.
type String struct {
	value *string
}

// New wraps s. An empty s gives the zero String.
func New(s string) String {
	if s == "" {
		return String{}
	}
	return String{value: &s}
}

// Reveal returns the secret itself.
func (s String) Reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

// IsZero reports whether s holds nothing.
func (s String) IsZero() bool { return s.value == nil }

// Equal compares two secrets in time that depends only on their lengths.
func (s String) Equal(other String) bool {
	return subtle.ConstantTimeCompare([]byte(s.Reveal()), []byte(other.Reveal())) == 1
}

// String prints the fixed text "[redacted]".
func (s String) String() string { return redacted }

// Format prints the fixed text "[redacted]" for every verb and flag.
func (s String) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue prints the fixed text "[redacted]" in structured logs.
func (s String) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText encodes the fixed text "[redacted]".
func (s String) MarshalText() ([]byte, error) { return []byte(redacted), nil }
