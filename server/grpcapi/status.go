package grpcapi

import (
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/status"

	"github.com/stint-sts/stint/awserr"
)

// ErrorDomain is the domain of the google.rpc.ErrorInfo in every error: its reason is an error code of AWS STS.
const ErrorDomain = "sts.amazonaws.com"

// maxMessageText bounds the text of an error, in bytes. It travels twice, in percent-encoding and in base64, and some clients
// take no more than 8 KiB of trailers.
const maxMessageText = 1500

// statusOf is the error as gRPC reports it: the Kind's status code, AWS's message, and a google.rpc.ErrorInfo.
func statusOf(e *awserr.Error, requestID string) error {
	text := strings.ToValidUTF8(e.Message, "\uFFFD")
	if len(text) > maxMessageText {
		text = strings.ToValidUTF8(text[:maxMessageText], "") + "…"
	}
	s := status.New(e.Kind.GRPC, text)
	detailed, err := s.WithDetails(&errdetails.ErrorInfo{
		Reason:   e.Kind.Code,
		Domain:   ErrorDomain,
		Metadata: map[string]string{"fault": e.Kind.Fault.String(), "requestId": requestID},
	})
	if err != nil {
		return s.Err()
	}
	return detailed.Err()
}
