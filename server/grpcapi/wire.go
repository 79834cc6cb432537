package grpcapi

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/secret"
	"github.com/stint-sts/stint/shape"
)

// message is how the values of a Go struct are written as one protobuf message. It is compiled once from the struct's shape and
// the message's descriptor, and immutable.
type message struct {
	shape  *shape.Shape
	fields []field // in the order of the shape
	index  []int   // by field number: place in fields, plus one; 0: no such field
}

type field struct {
	*shape.Field
	number protowire.Number
	wire   protowire.Type
	elem   *message // of Struct and StructList
}

// maxFields bounds the fields of one message type: decode marks those that it has seen in a word. maxNumber bounds their numbers.
const (
	maxFields = 64
	maxNumber = 255
)

// compile pairs the members of s with the fields of d by name: RoleArn is role_arn. The error lists every member without a
// field, every field without a member, and every pair whose types differ.
func compile(s *shape.Shape, d protoreflect.MessageDescriptor) (*message, error) {
	unpaired := make(map[string]protoreflect.FieldDescriptor, d.Fields().Len())
	for i := range d.Fields().Len() {
		f := d.Fields().Get(i)
		unpaired[strings.ReplaceAll(string(f.Name()), "_", "")] = f
	}
	m := &message{shape: s, index: make([]int, maxNumber+1)}
	var faults []error
	for i := range s.Fields() {
		f := &s.Fields()[i]
		key := strings.ToLower(f.Name)
		descriptor, ok := unpaired[key]
		if !ok {
			faults = append(faults, fmt.Errorf("%s has no field for %s", d.FullName(), f.Name))
			continue
		}
		delete(unpaired, key)
		compiled, err := pair(f, bits(s, f), descriptor)
		if err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", descriptor.FullName(), err))
			continue
		}
		m.fields = append(m.fields, compiled)
		m.index[compiled.number] = len(m.fields)
	}
	for _, f := range unpaired {
		faults = append(faults, fmt.Errorf("%s has no member for %s", s.Type(), f.FullName()))
	}
	if len(m.fields) > maxFields {
		faults = append(faults, fmt.Errorf("%s has more than %d fields", d.FullName(), maxFields))
	}
	return m, errors.Join(faults...)
}

// bits is the size of an integer member; 0 for others.
func bits(s *shape.Shape, f *shape.Field) int {
	if f.Kind != shape.Int {
		return 0
	}
	t := f.Value(reflect.New(s.Type()).Elem()).Type()
	if f.Pointer {
		t = t.Elem()
	}
	return t.Bits()
}

// pair checks that a member and a field are of one type. An optional text or number is a pointer, so that presence means the
// same on both sides.
func pair(f *shape.Field, bits int, d protoreflect.FieldDescriptor) (field, error) {
	out := field{Field: f, number: d.Number(), wire: protowire.BytesType}
	want, list, optional := protoreflect.StringKind, false, f.Pointer
	switch f.Kind {
	case shape.String, shape.Secret:
	case shape.Int:
		want, out.wire = protoreflect.Int64Kind, protowire.VarintType
		if bits == 32 {
			want = protoreflect.Int32Kind
		}
	case shape.Bool:
		want, out.wire = protoreflect.BoolKind, protowire.VarintType
	case shape.Blob:
		want = protoreflect.BytesKind
	case shape.StringList:
		list = true
	case shape.Time:
		want = protoreflect.MessageKind
	case shape.Struct, shape.StructList:
		want, list, optional = protoreflect.MessageKind, f.Kind == shape.StructList, false
	default:
		return out, fmt.Errorf("a member of kind %d has no form in protobuf", f.Kind)
	}
	switch {
	case d.Kind() != want || d.IsList() != list || d.IsMap() || d.HasOptionalKeyword() != optional:
		return out, fmt.Errorf("must be a %v, repeated %v, optional %v", want, list, optional)
	case f.Kind == shape.Time && d.Message().FullName() != "google.protobuf.Timestamp":
		return out, errors.New("must be a google.protobuf.Timestamp")
	case out.number > maxNumber:
		return out, fmt.Errorf("must have a number of at most %d", maxNumber)
	case f.Elem == nil:
		return out, nil
	}
	var err error
	out.elem, err = compile(f.Elem, d.Message())
	return out, err
}

// maxOccurrences bounds the fields of a request, nested ones included, as the Query API bounds its parameters: an empty member of
// a list takes two bytes on the wire and many times that in memory.
const maxOccurrences = 2000

// decode sets the members of into, a pointer to the message's Go type, from an encoded message. Like awsquery.Decode it answers
// an error of kind MalformedInput to what is broken or of the wrong type, and to a field that is there twice without being a
// list: another reader could take the other one. Unknown fields are ignored, as unknown parameters are.
func (m *message) decode(encoded []byte, into any) error {
	room := maxOccurrences
	return m.structure(encoded, m.shape.Struct(into), &room)
}

func (m *message) structure(b []byte, v reflect.Value, room *int) error {
	var seen uint64
	for len(b) > 0 {
		number, wire, n := protowire.ConsumeTag(b)
		if n < 0 {
			return brokenMessage()
		}
		b = b[n:]
		if n = protowire.ConsumeFieldValue(number, wire, b); n < 0 {
			return brokenMessage()
		}
		value := b[:n]
		b = b[n:]
		if *room--; *room < 0 {
			return awserr.Newf(awserr.MalformedInput, "The request has more than %d parameters.", maxOccurrences)
		}
		if number > maxNumber || m.index[number] == 0 {
			continue
		}
		place := m.index[number] - 1
		f := &m.fields[place]
		if bit := uint64(1) << place; f.Kind != shape.StringList && f.Kind != shape.StructList {
			if seen&bit != 0 {
				return awserr.Newf(awserr.MalformedInput, "The request gives a parameter more than once: %s.", f.Name)
			}
			seen |= bit
		}
		if wire != f.wire {
			return malformed(f)
		}
		if err := f.set(f.Value(v), value, room); err != nil {
			return err
		}
	}
	return nil
}

// set sets v, the member of f, from the value of one occurrence of the field; its length prefix is there and is right.
func (f *field) set(v reflect.Value, value []byte, room *int) error {
	if f.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	if f.wire == protowire.VarintType {
		n, _ := protowire.ConsumeVarint(value)
		return f.setNumber(v, n)
	}
	content, _ := protowire.ConsumeBytes(value)
	switch f.Kind {
	case shape.Struct:
		return f.elem.structure(content, v, room)
	case shape.StructList:
		v.Grow(1)
		v.SetLen(v.Len() + 1)
		return f.elem.structure(content, v.Index(v.Len()-1), room)
	case shape.Blob:
		v.SetBytes(append([]byte(nil), content...))
		return nil
	case shape.Time: // no operation takes one
		return malformed(f)
	}
	text := string(content)
	if !utf8.ValidString(text) || strings.IndexByte(text, 0) >= 0 { // what neither a store nor XML can carry
		return malformed(f)
	}
	switch f.Kind {
	case shape.Secret:
		*v.Addr().Interface().(*secret.String) = secret.New(text)
	case shape.StringList:
		v.Grow(1)
		v.SetLen(v.Len() + 1)
		v.Index(v.Len() - 1).SetString(text)
	default:
		v.SetString(text)
	}
	return nil
}

// setNumber refuses what the type cannot hold, where protobuf would cut it: 4294968196 must not become 900.
func (f *field) setNumber(v reflect.Value, n uint64) error {
	switch signed := int64(n); {
	case f.Kind == shape.Bool && n <= 1:
		v.SetBool(n == 1)
	case f.Kind == shape.Int && !v.OverflowInt(signed):
		v.SetInt(signed)
	default:
		return malformed(f)
	}
	return nil
}

func brokenMessage() error {
	return awserr.New(awserr.MalformedInput, "The request is not a valid protobuf message.")
}

func malformed(f *field) error {
	return awserr.Newf(awserr.MalformedInput, "The value of parameter %s must be %s.", f.Name, map[shape.Kind]string{
		shape.String: "a text", shape.Secret: "a text", shape.StringList: "a list of texts", shape.Int: "an integer",
		shape.Bool: "true or false", shape.Struct: "a structure", shape.StructList: "a list of structures",
		shape.Blob: "bytes", shape.Time: "of a type that requests can carry",
	}[f.Kind])
}

// encode appends the message that holds value, a pointer to the message's Go type, to b.
func (m *message) encode(b []byte, value any) []byte { return m.append(b, m.shape.Struct(value)) }

func (m *message) append(b []byte, v reflect.Value) []byte {
	for i := range m.fields {
		b = m.fields[i].append(b, m.fields[i].Value(v))
	}
	return b
}

// append appends the field with v's value. What is zero is absent; behind a pointer it is not.
func (f *field) append(b []byte, v reflect.Value) []byte {
	if v.IsZero() {
		return b
	}
	if f.Pointer {
		v = v.Elem()
	}
	switch f.Kind {
	case shape.String:
		return protowire.AppendString(protowire.AppendTag(b, f.number, f.wire), v.String())
	case shape.Secret:
		return protowire.AppendString(protowire.AppendTag(b, f.number, f.wire), v.Addr().Interface().(*secret.String).Reveal())
	case shape.Int:
		return protowire.AppendVarint(protowire.AppendTag(b, f.number, f.wire), uint64(v.Int()))
	case shape.Bool:
		return protowire.AppendVarint(protowire.AppendTag(b, f.number, f.wire), protowire.EncodeBool(v.Bool()))
	case shape.Blob:
		return protowire.AppendBytes(protowire.AppendTag(b, f.number, f.wire), v.Bytes())
	case shape.Time:
		return f.within(b, func(b []byte) []byte { return appendTimestamp(b, *v.Addr().Interface().(*time.Time)) })
	case shape.Struct:
		return f.within(b, func(b []byte) []byte { return f.elem.append(b, v) })
	case shape.StringList:
		for i := range v.Len() {
			b = protowire.AppendString(protowire.AppendTag(b, f.number, f.wire), v.Index(i).String())
		}
	case shape.StructList:
		for i := range v.Len() {
			b = f.within(b, func(b []byte) []byte { return f.elem.append(b, v.Index(i)) })
		}
	}
	return b
}

// within appends the field with what body appends as its content.
func (f *field) within(b []byte, body func([]byte) []byte) []byte {
	b = protowire.AppendTag(b, f.number, f.wire)
	start := len(b)
	b = body(append(b, 0)) // a place for a length below 128
	length := uint64(len(b) - start - 1)
	if extra := protowire.SizeVarint(length) - 1; extra > 0 {
		b = append(b, make([]byte, extra)...)
		copy(b[start+1+extra:], b[start+1:len(b)-extra])
	}
	protowire.AppendVarint(b[:start], length)
	return b
}

// appendTimestamp appends the content of a google.protobuf.Timestamp. Times on the wire are whole seconds, as in AWS's XML.
func appendTimestamp(b []byte, t time.Time) []byte {
	if seconds := t.Unix(); seconds != 0 {
		b = protowire.AppendVarint(protowire.AppendTag(b, 1, protowire.VarintType), uint64(seconds))
	}
	return b
}
