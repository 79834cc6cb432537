// Package mfa owns virtual MFA devices: their seeds, the URI and QR code that hand a seed to an authenticator, and the judgement of
// the codes that the authenticator shows (TOTP, RFC 6238: SHA-1, 6 digits, steps of 30 s, as AWS's virtual devices).
//
// Which device is whose is the directory's matter. That a code works once and that guessing is slowed down rests on a Guard and a
// Throttle that all nodes share: session state has both.
package mfa

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/stint-sts/stint/secret"
)

// Bounds of what is accepted (DESIGN.md section 11).
const (
	period   = 30 * time.Second // of a step
	window   = 1                // steps either side of the present one (RFC 6238 section 5.2)
	maxDrift = 20               // steps by which Resync finds a device's clock to be off

	// guardTime is how long a used step is remembered. Until it has passed no resync can bring back a step that is accepted now.
	guardTime = 2 * (maxDrift + window + 1) * period

	// clocks is how far a node's clock may be ahead of ours without a code that passed there being taken for one that no guard can have seen.
	clocks = time.Minute
)

// Errors of a Verifier. What a Guard or a Throttle returns comes back wrapped.
var (
	// ErrInvalidCode says that a code is wrong or was used before.
	ErrInvalidCode = errors.New("invalid MFA code")
	// ErrThrottled says that there were too many failures of late: the code was not judged, right or wrong. It matches ErrInvalidCode,
	// because a caller must not see the difference.
	ErrThrottled = fmt.Errorf("%w: too many failures", ErrInvalidCode)
)

// Device is a device as a Verifier sees it.
type Device struct {
	// ID names the device in Guard and Throttle. Another seed must have another ID, the same seed the same.
	ID     string
	Seed   secret.String // base32
	Offset int           // steps by which the device's clock is ahead of ours

	// Made is when the device came to be, OffsetSet when Offset was last set: no code was used before the one, and by another Offset none
	// after the other. They matter when a guard has lost what it knew. Zero: long ago.
	Made, OffsetSet time.Time
}

// Guard lets each name pass once. Implementations are safe for concurrent use.
type Guard interface {
	// Consume reports whether the caller is the first for name, on all nodes, until an instant.
	Consume(ctx context.Context, name string, since, until time.Time) (first bool, err error)
}

// Throttle counts failures. Implementations are safe for concurrent use.
type Throttle interface {
	// Attempt counts an attempt as failed and reports whether it may be judged.
	Attempt(ctx context.Context, name string) (allowed bool, err error)
	// Succeed takes back the failures under name.
	Succeed(ctx context.Context, name string) error
}

// Config is what a Verifier needs; all fields are required.
type Config struct {
	Guard    Guard
	Throttle Throttle
	Now      func() time.Time
}

// Verifier judges codes. It is safe for concurrent use.
type Verifier struct{ cfg Config }

// New makes a Verifier.
func New(cfg Config) *Verifier { return &Verifier{cfg: cfg} }

// Verify checks code against the device's seed at the present step and one either side, and consumes the step that matched, so that
// a code works once across all nodes. It returns an error matching ErrInvalidCode, or that of a Guard or Throttle that
// could not be asked; the code may then be consumed.
func (v *Verifier) Verify(ctx context.Context, d *Device, code secret.String) error {
	at := v.step() + int64(d.Offset)
	matched, ok := match(d.Seed, code, at-window, at+window)
	return v.settle(ctx, d.ID, ok, func() error { return v.consume(ctx, d, matched, v.usable(d, matched)) })
}

// VerifyAny is Verify for a principal who does not say which of its devices shows the code. It returns the index of the device whose code it was, and
// consumes the step of that one. A wrong code counts as a failure of each device, a right one takes those of all back; a device that is
// to wait for its failures is not asked.
func (v *Verifier) VerifyAny(ctx context.Context, devices []*Device, code secret.String) (index int, err error) {
	at := v.step()
	refusal := error(ErrInvalidCode)
	index = -1
	var step int64
	for i, d := range devices {
		matched, ok := match(d.Seed, code, at+int64(d.Offset)-window, at+int64(d.Offset)+window)
		switch err := v.attempt(ctx, d.ID); {
		case errors.Is(err, ErrThrottled):
			refusal = err
		case err != nil:
			return 0, err
		case ok:
			index, step = i, matched
		}
	}
	if index < 0 {
		return 0, refusal
	}
	if err := v.consume(ctx, devices[index], step, v.usable(devices[index], step)); err != nil {
		return 0, err
	}
	for _, d := range devices {
		if err := v.succeed(ctx, d.ID); err != nil {
			return 0, err
		}
	}
	return index, nil
}

// VerifyUnknown takes the time of a Verify whose code is wrong, and refuses like it. It is for a serial number that names no device of the
// principal: how long a refusal takes must not tell which devices there are.
func (v *Verifier) VerifyUnknown(ctx context.Context, principal string, code secret.String) error {
	at := v.step()
	match(decoySeed, code, at-window, at+window)
	return v.settle(ctx, "unknown/"+principal, false, nil)
}

// Enable checks the two codes with which a device is enabled: the second is good now as in Verify, the first is that of the step before.
// It consumes both. Errors are those of Verify.
func (v *Verifier) Enable(ctx context.Context, d *Device, first, second secret.String) error {
	at := v.step()
	_, err := v.pair(ctx, d, first, second, at-window, at+window)
	return err
}

// Resync finds by how many steps the device's clock is ahead of ours, from two codes of consecutive steps not more than 20 away. It
// consumes both. Errors are those of Verify.
func (v *Verifier) Resync(ctx context.Context, d *Device, first, second secret.String) (offset int, err error) {
	at := v.step()
	last, err := v.pair(ctx, d, first, second, at-maxDrift, at+maxDrift)
	return int(last - at), err
}

// pair finds the step from from to to whose code is second while that of the step before is first, and consumes both.
func (v *Verifier) pair(ctx context.Context, d *Device, first, second secret.String, from, to int64) (last int64, err error) {
	last, ok := matchPair(d.Seed, first, second, from, to)
	ok = ok && !first.Equal(second) // one code seen proves less than two
	return last, v.settle(ctx, d.ID, ok, func() error {
		since := v.guarded(d)
		if err := v.consume(ctx, d, last-1, since); err != nil {
			return err
		}
		return v.consume(ctx, d, last, since)
	})
}

// settle decides an attempt. It is counted before anything depends on whether the codes matched, so that racing guesses are no more than
// others, and taken back once consume has passed.
func (v *Verifier) settle(ctx context.Context, name string, matched bool, consume func() error) error {
	if err := v.attempt(ctx, name); err != nil {
		return err
	}
	if !matched {
		return ErrInvalidCode
	}
	if err := consume(); err != nil {
		return err
	}
	return v.succeed(ctx, name)
}

func (v *Verifier) attempt(ctx context.Context, name string) error {
	allowed, err := v.cfg.Throttle.Attempt(ctx, "mfa/"+name)
	if err != nil {
		return fmt.Errorf("throttle of MFA codes: %w", err)
	}
	if !allowed {
		return ErrThrottled
	}
	return nil
}

func (v *Verifier) succeed(ctx context.Context, name string) error {
	if err := v.cfg.Throttle.Succeed(ctx, "mfa/"+name); err != nil {
		return fmt.Errorf("throttle of MFA codes: %w", err)
	}
	return nil
}

// usable is since when the code of a step can have been used: since its step is in the window, unless the window was elsewhere lately.
func (v *Verifier) usable(d *Device, step int64) time.Time {
	guarded := v.guarded(d)
	if d.OffsetSet.After(guarded) {
		return guarded
	}
	return later(guarded, time.Unix((step-int64(d.Offset)-window)*int64(period/time.Second), 0).Add(-clocks))
}

// guarded is since when any code can have been used that is accepted now, by whatever Offset.
func (v *Verifier) guarded(d *Device) time.Time {
	return later(v.cfg.Now().Add(-guardTime), d.Made.Add(-clocks))
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// consume lets the code of a step pass once. since is when it may have been used first.
func (v *Verifier) consume(ctx context.Context, d *Device, step int64, since time.Time) error {
	first, err := v.cfg.Guard.Consume(ctx, fmt.Sprintf("mfa/%s/%d", d.ID, step), since, v.cfg.Now().Add(guardTime))
	if err != nil {
		return fmt.Errorf("guard of MFA codes: %w", err)
	}
	if !first {
		return ErrInvalidCode
	}
	return nil
}

// step is the number of the present step: of whole periods since 1970 (RFC 6238 section 4.2).
func (v *Verifier) step() int64 { return v.cfg.Now().Unix() / int64(period/time.Second) }
