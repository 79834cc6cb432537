package sts

import (
	"errors"
	"fmt"

	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/authz"
	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/policy"
	"github.com/stint-sts/stint/session"
)

// unavailable gives errors of the session state their AWS code.
func unavailable(err error) error {
	if errors.Is(err, session.ErrUnavailable) {
		return awserr.Wrap(awserr.ServiceUnavailable, "The request has failed due to a temporary failure of the server.", err)
	}
	return err
}

// denyUnknown makes what does not exist read like what is forbidden, so that nobody can probe for it. Any other error of the
// directory is ours.
func denyUnknown(err error, c *authn.Caller, action, resource string) error {
	if errors.Is(err, authn.ErrUnknown) {
		return awserr.Wrap(awserr.AccessDenied, authz.Sentence(c.ARN, action, resource), err)
	}
	return fmt.Errorf("%s: %w", resource, err)
}

// malformed gives errors of a policy document their AWS code.
func malformed(err error) error {
	if bad, ok := errors.AsType[*policy.Error](err); ok {
		return awserr.Wrap(awserr.MalformedPolicyDocument, bad.Message, err)
	}
	return err
}
