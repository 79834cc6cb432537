package grpcapi

import (
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/stint-sts/stint/shape"
)

// Wire is how a Go type is written as a message.
type Wire struct{ m *message }

// Compile pairs the members of s with the fields of d.
func Compile(s *shape.Shape, d protoreflect.MessageDescriptor) (Wire, error) {
	m, err := compile(s, d)
	return Wire{m}, err
}

// Decode sets the members of into.
func (w Wire) Decode(b []byte, into any) error { return w.m.decode(b, into) }

// Encode returns the message of value.
func (w Wire) Encode(value any) []byte { return w.m.encode(nil, value) }
