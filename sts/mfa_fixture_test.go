package sts_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/mfa"
	"github.com/stint-sts/stint/secret"
	"github.com/stint-sts/stint/session"
	"github.com/stint-sts/stint/session/embedded"
)

// state is what keeps codes from working twice; both backends of session are one.
type state interface {
	session.Guard
	session.Throttle
}

// testMFA is the devices of a world and the judgement of their codes.
type testMFA struct {
	once    sync.Once
	state   state // nil: an embedded store
	codes   *mfa.Verifier
	devices map[string]*mfa.Device // by account, owner and serial number
}

func (w *world) verifier() *mfa.Verifier {
	w.mfa.once.Do(func() {
		clock := func() time.Time { return now }
		if w.mfa.state == nil {
			w.mfa.state = openState(w.t, w.t.TempDir(), clock)
		}
		w.mfa.codes = mfa.New(mfa.Config{Guard: session.Once{Guard: w.mfa.state}, Throttle: w.mfa.state, Now: clock})
	})
	return w.mfa.codes
}

func openState(t testing.TB, dir string, clock func() time.Time) *embedded.Store {
	t.Helper()
	s, err := embedded.New(embedded.Config{Dir: dir, Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Found(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func (w *world) MFADevice(_ context.Context, account, owner, serial string) (*mfa.Device, error) {
	if d := w.mfa.devices[account+owner+serial]; d != nil {
		return d, nil
	}
	return nil, fmt.Errorf("device %s: %w", serial, authn.ErrUnknown)
}

func (w *world) Verify(ctx context.Context, d *mfa.Device, code secret.String) error {
	return w.verifier().Verify(ctx, d, code)
}

func (w *world) VerifyUnknown(ctx context.Context, principal string, code secret.String) error {
	return w.verifier().VerifyUnknown(ctx, principal, code)
}

// device gives a user an MFA device and returns its serial number.
func (w *world) device(owner *authn.Caller, name string) string {
	serial := "arn:aws:iam::" + owner.Account + ":mfa/" + name
	if w.mfa.devices == nil {
		w.mfa.devices = make(map[string]*mfa.Device)
	}
	w.mfa.devices[owner.Account+owner.Entity.ID+serial] = &mfa.Device{ID: serial + "/1", Seed: seedOf(name)}
	return serial
}

// seedOf is the seed of the device with that name.
func seedOf(name string) secret.String {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
	seed := make([]byte, 64)
	for i := range seed {
		seed[i] = alphabet[(i*7+len(name)+int(name[i%len(name)]))%len(alphabet)]
	}
	return secret.New(string(seed))
}

// codeOf is what the device with that name shows so many steps from now.
func codeOf(t *testing.T, name string, steps int) secret.String {
	t.Helper()
	code, err := totp.GenerateCode(seedOf(name).Reveal(), now.Add(time.Duration(steps)*30*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	return secret.New(code)
}
