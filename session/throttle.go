package session

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"
)

// Throttle slows down guessing, on all nodes that share the backend. Implementations are safe for concurrent use.
//
// An attempt counts as failed from its beginning, and success takes it back: of attempts that race no more pass than of attempts
// one after another.
type Throttle interface {
	// Attempt asks whether an attempt under name may be judged now. When it may, it is counted at once: call Succeed when it turns out
	// right. While a wait is on it may not, and is not counted. A name holds 1 to MaxGuardName bytes of any kind and is never
	// logged; one outside these bounds gives an error matching ErrInvalid. When the throttle cannot be asked the error matches
	// ErrUnavailable, and the attempt may or may not be counted: refuse.
	Attempt(ctx context.Context, name string) (allowed bool, err error)
	// Succeed forgets the attempts under name and ends their wait. Errors are those of Attempt.
	Succeed(ctx context.Context, name string) error
}

// Backoff is the rule of a Throttle. Zero fields stand for their defaults.
type Backoff struct {
	Free    int           // failures in a row that bring the first wait. Default 5
	First   time.Duration // the first wait; it doubles with each further failure. Default 30 s
	Longest time.Duration // the longest wait. Default 15 min
	Forget  time.Duration // from the end of a wait without a further attempt until the failures are forgotten. Default 24 h
}

// OrDefaults returns b with defaults in place of zero fields.
func (b Backoff) OrDefaults() Backoff {
	return Backoff{
		Free:    cmp.Or(b.Free, 5),
		First:   cmp.Or(b.First, 30*time.Second),
		Longest: cmp.Or(b.Longest, 15*time.Minute),
		Forget:  cmp.Or(b.Forget, 24*time.Hour),
	}
}

// Wait is how long nothing may be tried after so many failures in a row.
func (b Backoff) Wait(failures int) time.Duration {
	if failures < b.Free {
		return 0
	}
	wait := b.First
	for n := b.Free; n < failures && wait < b.Longest; n++ {
		wait *= 2
	}
	return min(wait, b.Longest)
}

// CheckThrottle returns an error matching ErrInvalid when Attempt and Succeed must refuse a name. Backends call it first.
func CheckThrottle(name string) error {
	if name == "" || len(name) > MaxGuardName {
		return fmt.Errorf("%w: throttle's name of %d bytes", ErrInvalid, len(name))
	}
	return nil
}

// Once is a Guard that answers with a bool: for engines, which do not know this package's errors.
type Once struct{ Guard }

// Consume reports whether the caller is the first for the name. Errors are those of Guard.Consume, without ErrConsumed.
func (o Once) Consume(ctx context.Context, name string, since, until time.Time) (first bool, err error) {
	switch err := o.Guard.Consume(ctx, name, since, until); {
	case err == nil:
		return true, nil
	case errors.Is(err, ErrConsumed):
		return false, nil
	default:
		return false, err
	}
}
