package oidc

import (
	"errors"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// kind is the type of a JSON value.
type kind uint8

const (
	null kind = iota
	boolean
	number
	text
	array
	object
)

// value is a JSON value. Foreign documents are read by our own reader because encoding/json lets the last of several members of
// one name win, matches names ignoring case and repairs invalid UTF-8: two readers of one token would see two tokens.
type value struct {
	kind    kind
	text    string  // of text: decoded; of number and boolean: as written
	list    []value // of array
	members []member
}

type member struct {
	name  string
	value value
}

// get returns the member of an object, or nil.
func (v *value) get(name string) *value {
	for i := range v.members {
		if v.members[i].name == name {
			return &v.members[i].value
		}
	}
	return nil
}

// string returns the text of a member of an object, and whether it is there and a text.
func (v *value) string(name string) (string, bool) {
	m := v.get(name)
	if m == nil || m.kind != text {
		return "", false
	}
	return m.text, true
}

// maxDepth bounds nesting. Tokens nest three or four deep.
const maxDepth = 16

var (
	errSyntax    = errors.New("not valid JSON")
	errDuplicate = errors.New("JSON with a member twice")
	errTooDeep   = errors.New("JSON nested too deep")
	errTooMany   = errors.New("JSON of too many values")
	errNoObject  = errors.New("not a JSON object")
)

// parseObject reads one JSON object (RFC 8259) of at most limit values in all. It refuses a member name that occurs twice in one
// object, text that is not UTF-8, halves of surrogate pairs, and anything after the object.
func parseObject(s string, limit int) (value, error) {
	if !utf8.ValidString(s) {
		return value{}, errSyntax
	}
	r := reader{s: s, left: limit}
	r.space()
	v, err := r.value(maxDepth)
	if err != nil {
		return value{}, err
	}
	r.space()
	if r.at != len(s) {
		return value{}, errSyntax
	}
	if v.kind != object {
		return value{}, errNoObject
	}
	return v, nil
}

type reader struct {
	s    string
	at   int
	left int // values that may still come
}

func (r *reader) space() {
	for r.at < len(r.s) {
		switch r.s[r.at] {
		case ' ', '\t', '\r', '\n':
			r.at++
		default:
			return
		}
	}
}

// next takes c if it comes next.
func (r *reader) next(c byte) bool {
	if r.at < len(r.s) && r.s[r.at] == c {
		r.at++
		return true
	}
	return false
}

func (r *reader) value(depth int) (value, error) {
	if r.left--; r.left < 0 {
		return value{}, errTooMany
	}
	if r.at == len(r.s) {
		return value{}, errSyntax
	}
	switch c := r.s[r.at]; c {
	case '{':
		return r.object(depth - 1)
	case '[':
		return r.array(depth - 1)
	case '"':
		t, err := r.text()
		return value{kind: text, text: t}, err
	case 't':
		return r.word("true", boolean)
	case 'f':
		return r.word("false", boolean)
	case 'n':
		return r.word("null", null)
	default:
		return r.number()
	}
}

func (r *reader) word(w string, k kind) (value, error) {
	if !strings.HasPrefix(r.s[r.at:], w) {
		return value{}, errSyntax
	}
	r.at += len(w)
	return value{kind: k, text: w}, nil
}

func (r *reader) object(depth int) (value, error) {
	if depth < 0 {
		return value{}, errTooDeep
	}
	v := value{kind: object}
	if depth == maxDepth-1 { // the whole document, and only this: many small objects must not cost much
		v.members = make([]member, 0, min(usualMembers, len(r.s)/usualMember+1))
	}
	var seen map[string]struct{} // only for many members: for a few, comparing is faster
	r.at++
	r.space()
	if r.next('}') {
		return v, nil
	}
	for {
		if r.at == len(r.s) || r.s[r.at] != '"' {
			return value{}, errSyntax
		}
		name, err := r.text()
		if err != nil {
			return value{}, err
		}
		if seen, err = note(seen, &v, name); err != nil {
			return value{}, err
		}
		r.space()
		if !r.next(':') {
			return value{}, errSyntax
		}
		r.space()
		inner, err := r.value(depth)
		if err != nil {
			return value{}, err
		}
		v.members = append(v.members, member{name, inner})
		r.space()
		if r.next('}') {
			return v, nil
		}
		if !r.next(',') {
			return value{}, errSyntax
		}
		r.space()
	}
}

// What a token usually has.
const (
	usualMembers = 32 // claims, or a little fewer
	usualMember  = 24 // bytes of each, or a little fewer
)

// manyMembers is from how many members on a map looks for duplicates, so that a hostile object costs no square of its size.
const manyMembers = 32

func note(seen map[string]struct{}, v *value, name string) (map[string]struct{}, error) {
	if len(v.members) < manyMembers {
		if v.get(name) != nil {
			return nil, errDuplicate
		}
		return nil, nil
	}
	if seen == nil {
		seen = make(map[string]struct{}, 4*manyMembers)
		for i := range v.members {
			seen[v.members[i].name] = struct{}{}
		}
	}
	if _, twice := seen[name]; twice {
		return nil, errDuplicate
	}
	seen[name] = struct{}{}
	return seen, nil
}

func (r *reader) array(depth int) (value, error) {
	if depth < 0 {
		return value{}, errTooDeep
	}
	v := value{kind: array}
	r.at++
	r.space()
	if r.next(']') {
		return v, nil
	}
	for {
		inner, err := r.value(depth)
		if err != nil {
			return value{}, err
		}
		v.list = append(v.list, inner)
		r.space()
		if r.next(']') {
			return v, nil
		}
		if !r.next(',') {
			return value{}, errSyntax
		}
		r.space()
	}
}

func (r *reader) number() (value, error) {
	start := r.at
	r.next('-')
	switch {
	case r.next('0'):
	case r.digits() == 0:
		return value{}, errSyntax
	}
	if r.next('.') && r.digits() == 0 {
		return value{}, errSyntax
	}
	if r.next('e') || r.next('E') {
		if !r.next('+') {
			r.next('-')
		}
		if r.digits() == 0 {
			return value{}, errSyntax
		}
	}
	return value{kind: number, text: r.s[start:r.at]}, nil
}

func (r *reader) digits() int {
	start := r.at
	for r.at < len(r.s) && '0' <= r.s[r.at] && r.s[r.at] <= '9' {
		r.at++
	}
	return r.at - start
}

// text reads a string. One without escapes is part of the document and takes no memory.
func (r *reader) text() (string, error) {
	r.at++
	start := r.at
	for r.at < len(r.s) {
		switch c := r.s[r.at]; {
		case c == '"':
			t := r.s[start:r.at]
			r.at++
			return t, nil
		case c == '\\':
			return r.escaped(start)
		case c < ' ':
			return "", errSyntax
		}
		r.at++
	}
	return "", errSyntax
}

func (r *reader) escaped(start int) (string, error) {
	b := append(make([]byte, 0, 2*(r.at-start)+16), r.s[start:r.at]...)
	for r.at < len(r.s) {
		c := r.s[r.at]
		r.at++
		switch {
		case c == '"':
			return string(b), nil
		case c < ' ':
			return "", errSyntax
		case c != '\\':
			b = append(b, c)
			continue
		}
		char, ok := r.escape()
		if !ok {
			return "", errSyntax
		}
		b = utf8.AppendRune(b, char)
	}
	return "", errSyntax
}

// escape reads what follows a backslash.
func (r *reader) escape() (rune, bool) {
	if r.at == len(r.s) {
		return 0, false
	}
	c := r.s[r.at]
	r.at++
	if i := strings.IndexByte(`"\/bfnrt`, c); i >= 0 {
		return rune("\"\\/\b\f\n\r\t"[i]), true
	}
	if c != 'u' {
		return 0, false
	}
	char, ok := r.hex()
	if !ok || !utf16.IsSurrogate(char) {
		return char, ok
	}
	if !strings.HasPrefix(r.s[r.at:], `\u`) {
		return 0, false
	}
	r.at += 2
	low, ok := r.hex()
	char = utf16.DecodeRune(char, low)
	return char, ok && char != utf8.RuneError
}

func (r *reader) hex() (rune, bool) {
	if len(r.s)-r.at < 4 {
		return 0, false
	}
	n, err := strconv.ParseUint(r.s[r.at:r.at+4], 16, 16)
	r.at += 4
	return rune(n), err == nil
}
