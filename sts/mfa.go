package sts

import (
	"context"
	"errors"
	"fmt"

	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/mfa"
	"github.com/stint-sts/stint/policy"
	"github.com/stint-sts/stint/secret"
)

// Devices knows the MFA devices of users.
type Devices interface {
	// MFADevice returns the device with that serial number if it is the user's with the unique id owner, or root's when owner is the
	// account id. Otherwise the error matches authn.ErrUnknown, whether the device exists or not.
	MFADevice(ctx context.Context, account, owner, serial string) (*mfa.Device, error)
}

// Codes judges the codes of MFA devices; *mfa.Verifier is the one.
type Codes interface {
	// Verify consumes a code that is right. The error matches mfa.ErrInvalidCode when it is wrong, used or not judged for now.
	Verify(ctx context.Context, d *mfa.Device, code secret.String) error
	// VerifyUnknown takes the time of a Verify whose code is wrong.
	VerifyUnknown(ctx context.Context, principal string, code secret.String) error
}

// AWS's texts, the blanks at the end and in the middle included: clients match on them.
const (
	halfMFAText    = "MultiFactorAuthentication failed, must provide both MFA serial number and one time pass code."
	wrongMFAText   = "MultiFactorAuthentication failed with invalid MFA one time pass code. "
	unknownMFAText = "MultiFactorAuthentication failed, unable to validate MFA code.  " +
		"Please verify your MFA serial number is valid and associated with this user."
)

// verifyMFA reports whether the caller has proved a second factor in this call. A serial number or a code that is passed is never ignored: a
// bad one fails the call even if nothing asks for MFA. A right code is consumed whatever becomes of the call.
func (s *Service) verifyMFA(ctx context.Context, c *authn.Caller, serial string, code secret.String) (proved bool, err error) {
	if serial == "" && code.IsZero() {
		return false, nil
	}
	if serial == "" || code.IsZero() {
		return false, awserr.New(awserr.AccessDenied, halfMFAText)
	}
	device, err := s.device(ctx, c, serial)
	if errors.Is(err, authn.ErrUnknown) {
		return false, s.unknownDevice(ctx, c, code, err)
	}
	if err != nil {
		return false, fmt.Errorf("MFA device: %w", err)
	}
	switch err := s.codes.Verify(ctx, device, code); {
	case errors.Is(err, mfa.ErrInvalidCode):
		return false, awserr.Wrap(awserr.AccessDenied, wrongMFAText, err)
	case err != nil:
		return false, unavailable(err)
	}
	return true, nil
}

// device returns a device of the user that calls. Sessions of roles and federated users are nobody whose device it could be.
func (s *Service) device(ctx context.Context, c *authn.Caller, serial string) (*mfa.Device, error) {
	if c.Kind != authn.User && c.Kind != authn.Root {
		return nil, fmt.Errorf("device of a session: %w", authn.ErrUnknown)
	}
	return s.devices.MFADevice(ctx, c.Account, c.Entity.ID, serial)
}

// unknownDevice refuses a code for a device that is not the caller's, in the time of a wrong code.
func (s *Service) unknownDevice(ctx context.Context, c *authn.Caller, code secret.String, cause error) error {
	if err := s.codes.VerifyUnknown(ctx, c.Entity.ID, code); !errors.Is(err, mfa.ErrInvalidCode) {
		return unavailable(err)
	}
	return awserr.Wrap(awserr.AccessDenied, unknownMFAText, cause)
}

// setMFA sets the condition keys of a second factor that was proved in this very call (AWS IAM User Guide, "AWS global condition context
// keys"). Those of the calling session, proved or not, are replaced.
func setMFA(k *policy.Context) {
	k.Set("aws:MultiFactorAuthPresent", "true")
	k.Set("aws:MultiFactorAuthAge", "0")
}
