package sts

import (
	"context"

	"github.com/stint-sts/stint/authn"
)

// CommandLineInput are the parameters of SignIns.AllowCommandLine. All but the sign-in are for audit.
type CommandLineInput struct {
	Host    string  `aws:"Host"`    // as the computer calls itself
	Address string  `aws:"Address"` // where the request came from
	Flow    string  `aws:"Flow"`    // "browser" or "device-code"
	SignIn  *SignIn `aws:"-"`
}

// AllowCommandLine is what happens when somebody who has signed in lets a command line get credentials in their name. c is the anonymous
// caller, and then who has signed in. It needs no permission: each role is asked again whenever credentials are minted.
func (p *SignIns) AllowCommandLine(ctx context.Context, c *authn.Caller, in *CommandLineInput) error {
	return p.identify(ctx, c, in.SignIn)
}
