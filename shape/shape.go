// Package shape is the typed form of an AWS operation's input and output: what the members of a Go struct are called on
// the wire, how they are written, and which constraints AWS puts on them.
//
// A Shape is compiled once per Go type from struct tags and then shared. Validate answers with AWS's own validation
// messages; transports (server/awsquery) walk Fields to decode and encode. Rules that need more than one member, the
// directory or a clock belong to the operations.
//
// # Tags
//
//	RoleARN string        `aws:"RoleArn,required" len:"20,2048" pattern:"arn"`
//	Code    secret.String `aws:"TokenCode" len:"6,6" pattern:"digits"`
//	Seconds *int32        `aws:"DurationSeconds" range:"900,129600"`
//	Keys    []string      `aws:"TransitiveTagKeys" len:"0,50" itemlen:"1,128" itempattern:"tagKey"`
//	Page                  `aws:",inline"`
//	cached  int           `aws:"-"`
//
// aws holds the wire name and options: required (absent is an error), always (encoded even when empty), urlencoded
// (encoded as RFC 3986 percent-encoding of the text), inline (members of an embedded struct belong to the parent).
// len bounds Unicode scalar values of a text, bytes of a blob, members of a list; range bounds an integer; either side
// may be left open ("1,"). pattern names a row of the pattern table, enum lists the allowed values. itemlen, itempattern
// and itemenum do the same for each member of a list of texts.
//
// A zero string, nil pointer, nil slice, nil map or zero time is absent. A text that may legally be empty and must yet be
// told from an absent one is a *string.
//
// Sources: the AWS Query protocol; the API models of STS 2011-06-15 and IAM 2010-05-08 (botocore, service-2.json).
package shape

import (
	"reflect"
	"sync"
)

// Kind is how a member is written on the wire.
type Kind uint8

// The kinds of members. String, Int, Bool and Struct may sit behind a pointer (Field.Pointer).
const (
	String     Kind = iota + 1 // text
	Secret                     // text in a secret.String: never echoed
	Int                        // int, int32 or int64
	Bool                       // true or false
	Time                       // time.Time, whole seconds UTC
	Blob                       // []byte, base64
	StringList                 // []string
	StructList                 // []struct
	Struct                     // a structure of its own
	IntMap                     // map[string]int
	TextMap                    // map[string]string
)

// Shape is the compiled form of one struct type. It is immutable and safe for concurrent use.
type Shape struct {
	typ    reflect.Type
	fields []Field
}

// Field is one member of a Shape.
type Field struct {
	Name       string // on the wire: "RoleArn"
	Path       string // in validation messages: "roleArn"
	Members    string // what the AWS Query parameters of its members begin with: "Tags.member.", "TaskPolicyArn."
	Kind       Kind
	Pointer    bool   // the Go field is a pointer to the kind
	Required   bool   // absent is a validation error
	Always     bool   // encoded even when empty
	URLEncoded bool   // encoded as percent-encoded text (RFC 3986)
	Elem       *Shape // of Struct and StructList

	index []int
	rules rules
	items rules // of the members of a StringList
}

// Value returns the field of v, a value of the shape's type.
func (f *Field) Value(v reflect.Value) reflect.Value {
	if len(f.index) == 1 {
		return v.Field(f.index[0])
	}
	return v.FieldByIndex(f.index)
}

// Type returns the struct type that the shape was compiled from.
func (s *Shape) Type() reflect.Type { return s.typ }

// Fields returns the members in order of declaration, those of inline structs in their place. The slice is shared: it
// must not be changed.
func (s *Shape) Fields() []Field { return s.fields }

// Struct returns the addressable struct behind v, which is a pointer to the shape's type, or a value of it (copied). Nil
// gives a zero struct. Any other type is a mistake of the program and panics.
func (s *Shape) Struct(v any) reflect.Value {
	rv := reflect.ValueOf(v)
	if rv.Kind() == reflect.Pointer && rv.Type().Elem() == s.typ && !rv.IsNil() {
		return rv.Elem()
	}
	held := reflect.New(s.typ)
	switch {
	case v == nil, rv.Type() == held.Type():
	case rv.Type() == s.typ:
		held.Elem().Set(rv)
	default:
		panic("shape: a " + rv.Type().String() + " is not a " + s.typ.String())
	}
	return held.Elem()
}

var compiled sync.Map // reflect.Type -> *Shape

// Of returns the shape of t, a struct type or a pointer to one. It panics on a type or tag that it does not know, which a
// test that compiles every operation's types will find.
func Of(t reflect.Type) *Shape {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if s, ok := compiled.Load(t); ok {
		return s.(*Shape)
	}
	s, _ := compiled.LoadOrStore(t, compile(t, nil))
	return s.(*Shape)
}

// For is Of for a type known at compile time.
func For[T any]() *Shape { return Of(reflect.TypeFor[T]()) }
