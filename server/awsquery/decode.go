package awsquery

import (
	"encoding/base64"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/secret"
	"github.com/stint-sts/stint/shape"
)

// maxShared is the size of a form up to which decoded texts share its memory. Beyond it they are copied, so that one name
// that a cache keeps does not keep a form of half a megabyte.
const maxShared = 4 << 10

// Decode sets the members of into, a pointer to the type of s, from the parameters of f. A value of the wrong type, an
// index that is not a decimal number and a parameter that is a text and a list at once answer an error of kind
// MalformedInput; the message never repeats the value. Members of a list are ordered by their index, gaps close up, and
// "Tags=" is an empty list. Parameters that s does not know are ignored.
func Decode(f *Form, s *shape.Shape, into any) error {
	if target := reflect.ValueOf(into); target.Kind() != reflect.Pointer || target.IsNil() {
		panic("awsquery: Decode needs a pointer to set")
	}
	d := decoder{form: f, clone: f.size > maxShared}
	return d.structure(s, s.Struct(into), span{hi: len(f.params)})
}

type decoder struct {
	form  *Form
	clone bool
}

// span is a range of sorted parameters whose names begin with the same skip bytes.
type span struct{ lo, hi, skip int }

func (d *decoder) structure(s *shape.Shape, v reflect.Value, in span) error {
	fields := s.Fields()
	for i := range fields {
		if err := d.member(&fields[i], v, in); err != nil {
			return err
		}
	}
	return nil
}

// member decodes field f of the structure v.
func (d *decoder) member(f *shape.Field, v reflect.Value, in span) error {
	at, given := d.form.find(in.lo, in.hi, in.skip, f.Name)
	if f.Members != "" {
		bare := given
		if given && d.form.params[at].value != "" {
			return malformed(f, "a structure or list")
		}
		members := d.members(span{at, in.hi, in.skip}, f.Members)
		return d.aggregate(f, f.Value(v), members, bare)
	}
	if !given {
		return nil
	}
	text := d.form.params[at].value
	if d.clone {
		text = strings.Clone(text)
	}
	return scalar(f, f.Value(v), text)
}

// members returns the parameters in the span whose names go on with prefix.
func (d *decoder) members(in span, prefix string) span {
	lo, _ := d.form.find(in.lo, in.hi, in.skip, prefix)
	hi := lo
	for hi < in.hi && strings.HasPrefix(d.form.params[hi].name[in.skip:], prefix) {
		hi++
	}
	return span{lo, hi, in.skip + len(prefix)}
}

// aggregate decodes a structure or list; bare tells that its own name was given, with no value.
func (d *decoder) aggregate(f *shape.Field, v reflect.Value, members span, bare bool) error {
	if members.lo == members.hi {
		if bare && (f.Kind == shape.StringList || f.Kind == shape.StructList) {
			v.Set(reflect.MakeSlice(v.Type(), 0, 0))
		}
		return nil
	}
	if bare {
		return malformed(f, "either empty or not")
	}
	if f.Kind == shape.Struct {
		if f.Pointer {
			v.Set(reflect.New(v.Type().Elem()))
			v = v.Elem()
		}
		return d.structure(f.Elem, v, members)
	}
	return d.list(f, v, members)
}

// entry is the parameters of one member of a list.
type entry struct {
	index int
	span  span
}

func (d *decoder) list(f *shape.Field, v reflect.Value, members span) error {
	var held [16]entry
	entries, err := d.entries(held[:0], f, members)
	if err != nil {
		return err
	}
	slices.SortFunc(entries, func(a, b entry) int { return a.index - b.index })
	v.Grow(len(entries))
	v.SetLen(len(entries))
	for i, e := range entries {
		if f.Kind == shape.StructList {
			if err := d.structure(f.Elem, v.Index(i), e.span); err != nil {
				return err
			}
			continue
		}
		text := d.form.params[e.span.lo].value
		if d.clone {
			text = strings.Clone(text)
		}
		v.Index(i).SetString(text)
	}
	return nil
}

// entries splits the members of a list by their index. Parameters of one member are neighbours, because a full stop sorts
// before every digit.
func (d *decoder) entries(entries []entry, f *shape.Field, members span) ([]entry, error) {
	for at := members.lo; at < members.hi; at++ {
		number, _, nested := strings.Cut(d.form.params[at].name[members.skip:], ".")
		index, ok := listIndex(number)
		if !ok {
			return nil, awserr.Newf(awserr.MalformedInput, "The index of a member of %s is not a number.", f.Name)
		}
		if nested != (f.Kind == shape.StructList) {
			return nil, malformed(f, "a list of the documented form")
		}
		if last := len(entries) - 1; nested && last >= 0 && entries[last].index == index {
			entries[last].span.hi = at + 1
			continue
		}
		entries = append(entries, entry{index, span{at, at + 1, members.skip + len(number) + 1}})
	}
	return entries, nil
}

// listIndex reads a decimal number of at most nine digits without leading zeros, so that no two spellings mean the same
// member.
func listIndex(s string) (int, bool) {
	if s == "" || len(s) > 9 || s[0] == '0' && len(s) > 1 {
		return 0, false
	}
	n := 0
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return n, true
}

// scalar sets v, the field f, from its text.
func scalar(f *shape.Field, v reflect.Value, text string) error {
	if f.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	switch f.Kind {
	case shape.String:
		v.SetString(text)
	case shape.Secret:
		*v.Addr().Interface().(*secret.String) = secret.New(text)
	case shape.Int:
		n, err := strconv.ParseInt(text, 10, v.Type().Bits()) // takes +900 and 0900, as AWS does
		if err != nil {
			return malformed(f, "an integer")
		}
		v.SetInt(n)
	case shape.Bool:
		truth := strings.EqualFold(text, "true")
		if !truth && !strings.EqualFold(text, "false") {
			return malformed(f, "true or false")
		}
		v.SetBool(truth)
	case shape.Time:
		t, err := time.Parse(time.RFC3339, text)
		if err != nil {
			return malformed(f, "an ISO 8601 time")
		}
		*v.Addr().Interface().(*time.Time) = t.UTC()
	case shape.Blob:
		b, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return malformed(f, "base64")
		}
		v.SetBytes(b)
	default:
		return malformed(f, "of a type that requests can carry") // a map: no operation takes one
	}
	return nil
}

func malformed(f *shape.Field, want string) error {
	return awserr.Newf(awserr.MalformedInput, "The value of parameter %s must be %s.", f.Name, want)
}
