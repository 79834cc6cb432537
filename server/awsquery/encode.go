package awsquery

import (
	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/shape"
)

// AppendSuccess appends the answer of a successful operation to dst. Namespace and operation come from the operation's
// table. With a nil shape the answer has no result element; with a shape it has one even when out, a value of the shape's
// type or a pointer to it, holds nothing. Characters that XML cannot carry become U+FFFD.
func AppendSuccess(dst []byte, format Format, namespace, operation, requestID string, s *shape.Shape, out any) []byte {
	if format == JSON {
		return appendSuccessJSON(dst, operation, requestID, s, out)
	}
	return appendSuccessXML(dst, namespace, operation, requestID, s, out)
}

// AppendError appends the answer of a failed call to dst. Only kind and message of e leave, never its cause.
func AppendError(dst []byte, format Format, namespace string, e *awserr.Error, requestID string) []byte {
	if format == JSON {
		return appendErrorJSON(dst, e, requestID)
	}
	return appendErrorXML(dst, namespace, e, requestID)
}
