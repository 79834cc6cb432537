package awserr

import "google.golang.org/grpc/codes"

// Errors common to all operations (AWS STS API reference, "Common Errors", and what STS answers in practice).
var (
	AccessDenied                = define("AccessDenied", 403, codes.PermissionDenied, Sender)
	ExpiredToken                = define("ExpiredToken", 403, codes.Unauthenticated, Sender)
	IncompleteSignature         = define("IncompleteSignature", 400, codes.Unauthenticated, Sender)
	InternalFailure             = define("InternalFailure", 500, codes.Internal, Receiver)
	InvalidAction               = define("InvalidAction", 400, codes.Unimplemented, Sender)
	InvalidClientTokenID        = define("InvalidClientTokenId", 403, codes.Unauthenticated, Sender)
	InvalidParameterCombination = define("InvalidParameterCombination", 400, codes.InvalidArgument, Sender)
	InvalidParameterValue       = define("InvalidParameterValue", 400, codes.InvalidArgument, Sender)
	MalformedInput              = define("MalformedInput", 400, codes.InvalidArgument, Sender)
	MalformedQueryString        = define("MalformedQueryString", 404, codes.InvalidArgument, Sender)
	MissingAction               = define("MissingAction", 400, codes.InvalidArgument, Sender)
	MissingAuthenticationToken  = define("MissingAuthenticationToken", 403, codes.Unauthenticated, Sender)
	RequestEntityTooLarge       = define("RequestEntityTooLarge", 413, codes.ResourceExhausted, Sender)
	ServiceUnavailable          = define("ServiceUnavailable", 503, codes.Unavailable, Receiver)
	SignatureDoesNotMatch       = define("SignatureDoesNotMatch", 403, codes.Unauthenticated, Sender)
	Throttling                  = define("Throttling", 400, codes.ResourceExhausted, Sender)
	ValidationError             = define("ValidationError", 400, codes.InvalidArgument, Sender)
)

// Errors that the STS model adds (STS API model 2011-06-15).
var (
	ExpiredTokenException                = define("ExpiredTokenException", 400, codes.Unauthenticated, Sender) // an expired assertion, not the caller's own credentials
	InvalidAuthorizationMessageException = define("InvalidAuthorizationMessageException", 400, codes.InvalidArgument, Sender)
	IDPCommunicationError                = define("IDPCommunicationError", 400, codes.Unavailable, Sender) // SDKs try again on it
	IDPRejectedClaim                     = define("IDPRejectedClaim", 403, codes.PermissionDenied, Sender)
	InvalidIdentityToken                 = define("InvalidIdentityToken", 400, codes.Unauthenticated, Sender)
	PackedPolicyTooLarge                 = define("PackedPolicyTooLarge", 400, codes.InvalidArgument, Sender)

	JWTPayloadSizeExceededException                = define("JWTPayloadSizeExceededException", 400, codes.InvalidArgument, Sender)
	OutboundWebIdentityFederationDisabledException = define("OutboundWebIdentityFederationDisabledException", 403, codes.FailedPrecondition, Sender)
	SessionDurationEscalationException             = define("SessionDurationEscalationException", 403, codes.FailedPrecondition, Sender)
)

// Errors that the IAM model adds (IAM API model 2010-05-08).
var (
	ConcurrentModification    = define("ConcurrentModification", 409, codes.Aborted, Sender)
	DeleteConflict            = define("DeleteConflict", 409, codes.FailedPrecondition, Sender)
	EntityAlreadyExists       = define("EntityAlreadyExists", 409, codes.AlreadyExists, Sender)
	FeatureDisabled           = define("FeatureDisabled", 404, codes.FailedPrecondition, Sender)
	FeatureEnabled            = define("FeatureEnabled", 409, codes.AlreadyExists, Sender)
	InvalidAuthenticationCode = define("InvalidAuthenticationCode", 403, codes.PermissionDenied, Sender)
	InvalidInput              = define("InvalidInput", 400, codes.InvalidArgument, Sender)
	InvalidUserType           = define("InvalidUserType", 400, codes.FailedPrecondition, Sender)
	LimitExceeded             = define("LimitExceeded", 409, codes.ResourceExhausted, Sender)
	MalformedPolicyDocument   = define("MalformedPolicyDocument", 400, codes.InvalidArgument, Sender)
	NoSuchEntity              = define("NoSuchEntity", 404, codes.NotFound, Sender)
	PasswordPolicyViolation   = define("PasswordPolicyViolation", 400, codes.InvalidArgument, Sender)
	PolicyEvaluation          = define("PolicyEvaluation", 500, codes.Internal, Receiver)
	PolicyNotAttachable       = define("PolicyNotAttachable", 400, codes.FailedPrecondition, Sender)
	UnmodifiableEntity        = define("UnmodifiableEntity", 400, codes.FailedPrecondition, Sender)
)

var all []*Kind

// All returns every Kind, for tests that walk the table.
func All() []*Kind { return append([]*Kind(nil), all...) }

func define(code string, status int, c codes.Code, f Fault) *Kind {
	k := &Kind{Code: code, HTTPStatus: status, GRPC: c, Fault: f}
	all = append(all, k)
	return k
}
