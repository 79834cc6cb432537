package stintgrpc

import (
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Error is what stint says about a call that failed, in AWS's terms.
type Error struct {
	Code      string // AWS error code: "AccessDenied"
	Message   string
	Fault     string // "Sender": the caller's; "Receiver": the server's
	RequestID string
	Status    codes.Code
}

// Error returns code and message.
func (e *Error) Error() string { return e.Code + ": " + e.Message }

// AsError returns what stint says in err, an error of a call, or false when err did not come from stint but from the connection,
// a deadline or a proxy.
func AsError(err error) (*Error, bool) {
	s, ok := status.FromError(err)
	if !ok {
		return nil, false
	}
	for _, detail := range s.Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok && info.GetDomain() == "sts.amazonaws.com" {
			return &Error{
				Code: info.GetReason(), Message: s.Message(), Fault: info.GetMetadata()["fault"],
				RequestID: info.GetMetadata()["requestId"], Status: s.Code(),
			}, true
		}
	}
	return nil, false
}
