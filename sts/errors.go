package sts

import (
	"errors"

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

// malformed gives errors of a policy document their AWS code.
func malformed(err error) error {
	if bad, ok := errors.AsType[*policy.Error](err); ok {
		return awserr.Wrap(awserr.MalformedPolicyDocument, bad.Message, err)
	}
	return err
}
