// Package awserr is the one table of errors that callers see.
//
// A Kind is an AWS error code with the way each transport reports it; an Error is a Kind with a message. Operations turn
// the typed errors of engines into an Error near their top; transports only translate. Codes, statuses and faults follow
// the AWS STS (2011-06-15) and IAM (2010-05-08) API references.
package awserr

import (
	"errors"
	"fmt"

	"google.golang.org/grpc/codes"
)

// Fault tells whose mistake an error is.
type Fault uint8

// The two faults of the AWS Query protocol.
const (
	Sender   Fault = iota // the caller's
	Receiver              // ours
)

// String returns the fault as the AWS Query protocol spells it.
func (f Fault) String() string {
	if f == Receiver {
		return "Receiver"
	}
	return "Sender"
}

// Kind is one AWS error code and how each transport reports it. Kinds are errors, so errors.Is(err, awserr.AccessDenied)
// works.
type Kind struct {
	Code       string     // as AWS spells it on the wire
	HTTPStatus int        // status of the Query protocol's answer
	GRPC       codes.Code // status of the gRPC answer
	Fault      Fault
}

// Error returns the wire code.
func (k *Kind) Error() string { return k.Code }

// Error is the only error that a caller sees. Message never holds a secret, a token or foreign text that was not
// validated; the cause is logged, not sent.
type Error struct {
	Kind    *Kind
	Message string
	cause   error
}

// New returns an Error of kind k with a message for the caller.
func New(k *Kind, message string) *Error { return &Error{Kind: k, Message: message} }

// Newf is New with a formatted message.
func Newf(k *Kind, format string, args ...any) *Error {
	return &Error{Kind: k, Message: fmt.Sprintf(format, args...)}
}

// Wrap returns an Error whose cause is kept for the log and never sent.
func Wrap(k *Kind, message string, cause error) *Error {
	return &Error{Kind: k, Message: message, cause: cause}
}

// Error returns code, message and cause: the text for logs.
func (e *Error) Error() string {
	if e.cause != nil {
		return e.Kind.Code + ": " + e.Message + ": " + e.cause.Error()
	}
	return e.Kind.Code + ": " + e.Message
}

// Is matches the error's Kind.
func (e *Error) Is(target error) bool { return target == error(e.Kind) }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.cause }

// From returns err as the Error that the caller may see. Whatever carries no Kind becomes InternalFailure with a fixed
// text and err as its cause. From(nil) is nil.
func From(err error) *Error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return Wrap(InternalFailure, "The request processing has failed because of an unknown error, exception or failure.", err)
}
