package shape

import (
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/secret"
)

const (
	maxFailures = 20  // listed in one answer; AWS lists all, and so lets a caller have an answer larger than the request
	maxEcho     = 256 // characters of a value repeated in a message
)

// Validate checks v, a pointer to the shape's type, against the constraints of its tags. It returns nil, or an
// *awserr.Error of kind ValidationError whose message lists the failures in order of declaration as AWS words them, at most
// 20 of them. Values of secrets, blobs and structures are not repeated, others shortened to 256 characters. A good value
// costs no allocation.
func (s *Shape) Validate(v any) error {
	var c collector
	c.structure(s, s.Struct(v))
	if len(c.clauses) == 0 {
		return nil
	}
	noun := "errors"
	if len(c.clauses) == 1 {
		noun = "error"
	}
	return awserr.Newf(awserr.ValidationError, "%d validation %s detected: %s", len(c.clauses), noun, strings.Join(c.clauses, "; "))
}

// collector gathers the failed constraints of one value, and knows where in the value it is.
type collector struct {
	outer   [maxDepth]step
	depth   int
	clauses []string
}

// step is a member that holds others; index is its place in a list, from 1, and 0 for a structure.
type step struct {
	path  string
	index int
}

func (c *collector) structure(s *Shape, v reflect.Value) {
	for i := range s.fields {
		if len(c.clauses) >= maxFailures {
			return
		}
		f := &s.fields[i]
		c.member(f, f.Value(v))
	}
}

func (c *collector) member(f *Field, v reflect.Value) {
	if f.Absent(v) {
		if f.Required {
			c.fail(f, "Value null", "Member must not be null")
		}
		return
	}
	if f.Pointer {
		v = v.Elem()
	}
	switch f.Kind {
	case String, Secret:
		c.text(f, v)
	case Int:
		if n := v.Int(); n < f.rules.min || n > f.rules.max {
			c.fail(f, echo(f, v), outOfBounds("value", n, &f.rules))
		}
	case Blob:
		c.length(f, v, v.Len())
	case Struct:
		c.within(f, 0, v)
	case StringList:
		c.length(f, v, v.Len())
		c.items(f, v)
	case StructList:
		c.length(f, v, v.Len())
		for i := range v.Len() {
			c.within(f, i+1, v.Index(i))
		}
	case Bool, Time, IntMap, TextMap: // their type says it all
	}
}

// within validates the structure v, which member f holds.
func (c *collector) within(f *Field, index int, v reflect.Value) {
	c.outer[c.depth] = step{f.Path, index}
	c.depth++
	c.structure(f.Elem, v)
	c.depth--
}

// text reports the pattern before the length, as AWS does.
func (c *collector) text(f *Field, v reflect.Value) {
	s := textOf(f, v)
	if p := f.rules.pattern; p != nil && !p.match(s) {
		c.fail(f, echo(f, v), "Member must satisfy regular expression pattern: "+p.text)
	}
	c.length(f, v, utf8.RuneCountInString(s))
	if f.rules.enum != nil && !slices.Contains(f.rules.enum, s) {
		c.fail(f, echo(f, v), "Member must satisfy enum value set: ["+strings.Join(f.rules.enum, ", ")+"]")
	}
}

func (c *collector) length(f *Field, v reflect.Value, n int) {
	if n := int64(n); n < f.rules.min || n > f.rules.max {
		c.fail(f, echo(f, v), outOfBounds("length", n, &f.rules))
	}
}

// items checks the texts of a list. One clause speaks for all of them and names every constraint, as AWS does.
func (c *collector) items(f *Field, v reflect.Value) {
	if !f.items.any() {
		return
	}
	for i := range v.Len() {
		if !f.items.allow(v.Index(i).String()) {
			c.fail(f, echo(f, v), "Member must satisfy constraint: ["+f.items.String()+"]")
			return
		}
	}
}

func (c *collector) fail(f *Field, subject, constraint string) {
	if len(c.clauses) >= maxFailures {
		return
	}
	var path strings.Builder
	for _, outer := range c.outer[:c.depth] {
		path.WriteString(outer.path)
		if outer.index > 0 {
			path.WriteString("." + strconv.Itoa(outer.index) + ".member")
		}
		path.WriteByte('.')
	}
	path.WriteString(f.Path)
	c.clauses = append(c.clauses, subject+" at '"+path.String()+"' failed to satisfy constraint: "+constraint)
}

// allow reports whether s satisfies all of the rules.
func (r *rules) allow(s string) bool {
	n := int64(utf8.RuneCountInString(s))
	return n >= r.min && n <= r.max && (r.pattern == nil || r.pattern.match(s)) && (r.enum == nil || slices.Contains(r.enum, s))
}

// String lists the rules of a list's members in AWS's order.
func (r *rules) String() string {
	var all []string
	if r.max != math.MaxInt64 {
		all = append(all, "Member must have length less than or equal to "+strconv.FormatInt(r.max, 10))
	}
	if r.min != math.MinInt64 {
		all = append(all, "Member must have length greater than or equal to "+strconv.FormatInt(r.min, 10))
	}
	if r.pattern != nil {
		all = append(all, "Member must satisfy regular expression pattern: "+r.pattern.text)
	}
	if r.enum != nil {
		all = append(all, "Member must satisfy enum value set: ["+strings.Join(r.enum, ", ")+"]")
	}
	return strings.Join(append(all, "Member must not be null"), ", ")
}

// outOfBounds words a length or value that lies outside of the rules.
func outOfBounds(what string, n int64, r *rules) string {
	if n < r.min {
		return "Member must have " + what + " greater than or equal to " + strconv.FormatInt(r.min, 10)
	}
	return "Member must have " + what + " less than or equal to " + strconv.FormatInt(r.max, 10)
}

// echo words the value of f as the subject of a clause. Secrets are withheld; so are blobs and structures, which AWS
// prints in the notation of its own implementation.
func echo(f *Field, v reflect.Value) string {
	switch f.Kind {
	case String:
		return "Value '" + shorten(v.String()) + "'"
	case Int:
		return "Value '" + strconv.FormatInt(v.Int(), 10) + "'"
	case StringList:
		return "Value '[" + shortenList(v) + "]'"
	default:
		return "Value"
	}
}

// shorten cuts s to maxEcho characters, and makes it UTF-8.
func shorten(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	n := 0
	for i := range s {
		if n == maxEcho {
			return s[:i] + "..."
		}
		n++
	}
	return s
}

func shortenList(v reflect.Value) string {
	var b strings.Builder
	for i := 0; i < v.Len() && b.Len() <= maxEcho; i++ {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(shorten(v.Index(i).String()))
	}
	return shorten(b.String())
}

func textOf(f *Field, v reflect.Value) string {
	if f.Kind == Secret {
		return v.Addr().Interface().(*secret.String).Reveal()
	}
	return v.String()
}

// Absent reports whether v, the field of an addressable struct, was not given: see the package comment.
func (f *Field) Absent(v reflect.Value) bool {
	if f.Pointer {
		return v.IsNil()
	}
	switch f.Kind {
	case String:
		return v.Len() == 0
	case Secret:
		return v.Addr().Interface().(*secret.String).IsZero()
	case Time:
		return v.Addr().Interface().(*time.Time).IsZero()
	case Blob, StringList, StructList, IntMap, TextMap:
		return v.IsNil()
	default:
		return false
	}
}
