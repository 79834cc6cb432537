package mfa_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/stint-sts/stint/mfa"
	"github.com/stint-sts/stint/secret"
	"github.com/stint-sts/stint/session"
	"github.com/stint-sts/stint/session/embedded"
)

// A code works once.
func ExampleVerifier_Verify() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "mfa-example-")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	state, err := embedded.New(embedded.Config{Dir: dir})
	if err != nil {
		panic(err)
	}
	defer func() { _ = state.Close() }()
	if err := state.Found(ctx); err != nil { // no code was used before
		panic(err)
	}
	verifier := mfa.New(mfa.Config{Guard: session.Once{Guard: state}, Throttle: state, Now: time.Now})

	device := &mfa.Device{ID: "arn:aws:iam::111122223333:mfa/alice/1", Seed: secret.New("JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP")}
	code, err := totp.GenerateCode("JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP", time.Now()) // what the phone shows
	if err != nil {
		panic(err)
	}
	fmt.Println(verifier.Verify(ctx, device, secret.New(code)))
	fmt.Println(errors.Is(verifier.Verify(ctx, device, secret.New(code)), mfa.ErrInvalidCode))
	// Output:
	// <nil>
	// true
}
