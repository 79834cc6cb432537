package session

import (
	"context"
	"fmt"
	"time"
)

// Values keeps small opaque values under secret names for a while, such as the sign-ins of browsers, on all nodes that share the backend.
// The name is what gives access: backends keep its hash only. Values are kept as they are given; whoever writes one that others must not
// read seals it. Implementations are safe for concurrent use.
//
// A name holds 1 to MaxGuardName bytes of any kind and is never logged, a value 1 to MaxValue bytes; one outside its bounds, and an until
// that is not in the future or too far away, give an error matching ErrInvalid. When the store cannot be reached, or has no room, the
// error matches ErrUnavailable, and the call may or may not have had its effect.
type Values interface {
	// SetValue keeps a copy of value under name until the moment. It replaces what is there.
	SetValue(ctx context.Context, name string, value []byte, until time.Time) error
	// ReplaceValue is SetValue for a name that has a value; otherwise the error matches ErrNotFound and nothing is kept. So what somebody
	// deleted meanwhile stays deleted.
	ReplaceValue(ctx context.Context, name string, value []byte, until time.Time) error
	// Value returns a copy of the value, or an error matching ErrNotFound, also when its time is over.
	Value(ctx context.Context, name string) ([]byte, error)
	// TakeValue is Value, and deletes it: of several callers one gets it.
	TakeValue(ctx context.Context, name string) ([]byte, error)
	// DeleteValue deletes the value. That there is none is no error.
	DeleteValue(ctx context.Context, name string) error
}

// MaxValue is the largest size of a value in bytes: a sign-in that is offered several hundred roles fits.
const MaxValue = 64 << 10

// CheckValue returns an error matching ErrInvalid when SetValue and ReplaceValue must refuse their arguments. Backends call it first.
func CheckValue(name string, value []byte, now, until time.Time) error {
	if len(value) == 0 || len(value) > MaxValue {
		return fmt.Errorf("%w: value of %d bytes", ErrInvalid, len(value))
	}
	return CheckGuard(name, now, until)
}
