package oidc

import (
	"errors"
	"fmt"
	"time"
)

// Errors of Parse, Verify and Keys. Their texts name the check that failed, for audit and operators, and quote nothing of a token;
// which of them a caller sees is the operation's to decide.
var (
	// ErrMalformed says that a text is no signed JWT, or not one of the strict form that is taken here.
	ErrMalformed = errors.New("malformed token")
	// ErrUntrusted says that no key of the provider signed the token.
	ErrUntrusted = errors.New("not signed by a trusted key")
	// ErrAudience says that the token was issued for somebody else.
	ErrAudience = errors.New("audience is not registered")
	// ErrNotYetValid says that the token begins in the future.
	ErrNotYetValid = errors.New("token is not valid yet")
	// ErrClaim says that a claim does not have the form that it must have.
	ErrClaim = errors.New("unusable claim")

	// ErrUnavailable says that the provider's keys cannot be had now; trying again later may help.
	ErrUnavailable = errors.New("keys cannot be retrieved now")
	// ErrUnusable says that what the provider publishes, or how, cannot be used: trying again does not help.
	ErrUnusable = errors.New("keys cannot be used")
	// ErrCertificate says that the provider's certificate is neither trusted nor among the registered thumbprints.
	ErrCertificate = errors.New("certificate is not trusted")
)

// MissingClaimError tells which required claim a genuine token lacks.
type MissingClaimError struct{ Claim string }

// Error names the claim.
func (e *MissingClaimError) Error() string { return "lacks the claim " + e.Claim }

// ExpiredError tells when a genuine token expired.
type ExpiredError struct{ Now, ExpiresAt time.Time }

// Error names both times.
func (e *ExpiredError) Error() string {
	return fmt.Sprintf("expired at %d, now %d", e.ExpiresAt.Unix(), e.Now.Unix())
}

func malformed(reason string) error { return fmt.Errorf("%w: %s", ErrMalformed, reason) }
func untrusted(reason string) error { return fmt.Errorf("%w: %s", ErrUntrusted, reason) }
func unusable(reason string) error  { return fmt.Errorf("%w: %s", ErrUnusable, reason) }
func badClaim(name, reason string) error {
	return fmt.Errorf("%w: %s %s", ErrClaim, name, reason)
}
