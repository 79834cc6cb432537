package shape

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stint-sts/stint/secret"
)

// maxDepth bounds how deep structures nest; the deepest of the two AWS models is 5.
const maxDepth = 8

var (
	secretType  = reflect.TypeFor[secret.String]()
	timeType    = reflect.TypeFor[time.Time]()
	blobType    = reflect.TypeFor[[]byte]()
	intMapType  = reflect.TypeFor[map[string]int]()
	textMapType = reflect.TypeFor[map[string]string]()
)

// rules are the constraints on one value.
type rules struct {
	min, max int64 // of the length, or of the number itself
	pattern  *pattern
	enum     []string
}

func unbounded() rules { return rules{min: math.MinInt64, max: math.MaxInt64} }

func (r *rules) any() bool {
	return r.min != math.MinInt64 || r.max != math.MaxInt64 || r.pattern != nil || r.enum != nil
}

// compile builds the shape of struct type t; outer are the types that hold it.
func compile(t reflect.Type, outer []reflect.Type) *Shape {
	if t.Kind() != reflect.Struct {
		panic(fmt.Sprintf("shape: %s is not a struct", t))
	}
	if slices.Contains(outer, t) || len(outer) >= maxDepth {
		panic(fmt.Sprintf("shape: %s holds itself or nests too deep", t))
	}
	s := &Shape{typ: t}
	s.add(t, nil, append(slices.Clone(outer), t))
	names := make(map[string]bool, len(s.fields))
	for _, f := range s.fields {
		if names[f.Name] {
			panic(fmt.Sprintf("shape: %s has two members %s", t, f.Name))
		}
		names[f.Name] = true
	}
	return s
}

// add appends the members of struct type t, which sits at index inside the shape's own type.
func (s *Shape) add(t reflect.Type, index []int, outer []reflect.Type) {
	for i := range t.NumField() {
		sf := t.Field(i)
		tag, tagged := sf.Tag.Lookup("aws")
		at := append(slices.Clone(index), i)
		switch {
		case tag == "-":
		case !tagged:
			panic(fmt.Sprintf("shape: %s.%s has no aws tag", t, sf.Name))
		case tag == ",inline":
			if !sf.Anonymous || sf.Type.Kind() != reflect.Struct {
				panic(fmt.Sprintf("shape: %s.%s is inline but not an embedded struct", t, sf.Name))
			}
			s.add(sf.Type, at, outer)
		case !sf.IsExported():
			panic(fmt.Sprintf("shape: %s.%s is a member but not exported", t, sf.Name))
		default:
			f, err := field(sf, tag, outer)
			if err != nil {
				panic(fmt.Sprintf("shape: %s.%s: %v", t, sf.Name, err))
			}
			f.index = at
			s.fields = append(s.fields, f)
		}
	}
}

func field(sf reflect.StructField, tag string, outer []reflect.Type) (Field, error) {
	f := Field{rules: unbounded(), items: unbounded()}
	options := strings.Split(tag, ",")
	f.Name = options[0]
	if !isWireName(f.Name) {
		return f, fmt.Errorf("wire name %q", f.Name)
	}
	f.Path = strings.ToLower(f.Name[:1]) + f.Name[1:] // AWS lowers the first letter only: sAMLAssertion
	for _, option := range options[1:] {
		switch option {
		case "required":
			f.Required = true
		case "always":
			f.Always = true
		case "urlencoded":
			f.URLEncoded = true
		default:
			return f, fmt.Errorf("unknown option %q", option)
		}
	}
	if err := f.setKind(sf.Type, outer); err != nil {
		return f, err
	}
	if err := f.setRules(sf.Tag); err != nil {
		return f, err
	}
	return f, f.check()
}

func isWireName(name string) bool {
	for _, c := range []byte(name) {
		if !isWordByte(c) {
			return false
		}
	}
	return name != ""
}

func (f *Field) setKind(t reflect.Type, outer []reflect.Type) error {
	if t.Kind() == reflect.Pointer {
		f.Pointer = true
		t = t.Elem()
	}
	switch {
	case t == secretType:
		f.Kind = Secret
	case t == timeType:
		f.Kind = Time
	case t == blobType:
		f.Kind = Blob
	case t == intMapType:
		f.Kind = IntMap
	case t == textMapType:
		f.Kind = TextMap
	case t.Kind() == reflect.String:
		f.Kind = String
	case t.Kind() == reflect.Int || t.Kind() == reflect.Int32 || t.Kind() == reflect.Int64:
		f.Kind = Int
	case t.Kind() == reflect.Bool:
		f.Kind = Bool
	case t.Kind() == reflect.Struct:
		f.Kind, f.Elem, f.Members = Struct, compile(t, outer), f.Name+"."
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.String:
		f.Kind, f.Members = StringList, f.Name+".member."
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct && t.Elem() != secretType && t.Elem() != timeType:
		f.Kind, f.Elem, f.Members = StructList, compile(t.Elem(), outer), f.Name+".member."
	default:
		return fmt.Errorf("type %s has no wire form", t)
	}
	if f.Pointer && f.Kind != String && f.Kind != Int && f.Kind != Bool && f.Kind != Struct {
		return fmt.Errorf("type *%s has no wire form", t)
	}
	return nil
}

func (f *Field) setRules(tag reflect.StructTag) error {
	isText := f.Kind == String || f.Kind == Secret
	for _, rule := range []struct {
		key     string
		allowed bool
		apply   func(string) error
	}{
		{"len", isText || f.Kind == Blob || f.Kind == StringList || f.Kind == StructList, f.rules.bound},
		{"range", f.Kind == Int && f.Pointer, f.rules.bound}, // a plain int cannot tell 0 from absent
		{"pattern", isText, f.rules.setPattern},
		{"enum", isText, f.rules.setEnum},
		{"itemlen", f.Kind == StringList, f.items.bound},
		{"itempattern", f.Kind == StringList, f.items.setPattern},
		{"itemenum", f.Kind == StringList, f.items.setEnum},
	} {
		value, ok := tag.Lookup(rule.key)
		if !ok {
			continue
		}
		if !rule.allowed {
			return fmt.Errorf("tag %s does not fit the type", rule.key)
		}
		if err := rule.apply(value); err != nil {
			return fmt.Errorf("tag %s %q: %w", rule.key, value, err)
		}
	}
	return nil
}

// check refuses combinations that cannot mean what they say.
func (f *Field) check() error {
	switch {
	case f.Required && !f.Pointer && (f.Kind == Int || f.Kind == Bool || f.Kind == Struct):
		return fmt.Errorf("required needs a pointer: a zero value cannot be told from an absent one")
	case f.Required && !f.Pointer && f.Kind == String && f.rules.min == 0:
		return fmt.Errorf("required and possibly empty needs *string: an empty text cannot be told from an absent one")
	case f.Always && (f.Kind == Int || f.Kind == Bool || f.Kind == Time):
		return fmt.Errorf("always does not fit the type: it has no empty form")
	case f.URLEncoded && f.Kind != String:
		return fmt.Errorf("urlencoded needs a text")
	}
	return nil
}

// bound reads "min,max"; an empty side is open.
func (r *rules) bound(value string) error {
	low, high, ok := strings.Cut(value, ",")
	if !ok || value == "," {
		return fmt.Errorf("want min,max")
	}
	for _, side := range []struct {
		text string
		to   *int64
	}{{low, &r.min}, {high, &r.max}} {
		if side.text == "" {
			continue
		}
		n, err := strconv.ParseInt(side.text, 10, 64)
		if err != nil {
			return err
		}
		*side.to = n
	}
	if r.min > r.max {
		return fmt.Errorf("min is above max")
	}
	return nil
}

func (r *rules) setPattern(name string) error {
	p, ok := patterns[name]
	if !ok {
		return fmt.Errorf("no such pattern")
	}
	r.pattern = p
	return nil
}

func (r *rules) setEnum(values string) error {
	r.enum = strings.Split(values, ",")
	if slices.Contains(r.enum, "") {
		return fmt.Errorf("an empty value")
	}
	return nil
}
