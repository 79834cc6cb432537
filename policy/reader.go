package policy

import (
	"errors"
	"fmt"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// Bounds of a document.
const (
	maxChars = 131072 // IAM API model, policyDocumentType
	maxDepth = 16     // a policy nests six levels: document, statement list, statement, condition, operator, value list
)

// nodeKind is the type of a JSON value.
type nodeKind uint8

const (
	objectNode nodeKind = iota
	arrayNode
	stringNode
	numberNode
	boolNode
	nullNode
)

var nodeKindNames = [...]string{"an object", "a list", "a string", "a number", "true or false", "null"}

func (k nodeKind) String() string { return nodeKindNames[k] }

// node is a JSON value with its place. encoding/json will not do: it keeps the last of two equal keys and matches keys
// ignoring case, so that a reviewer and the engine could read two different policies.
type node struct {
	kind       nodeKind
	start, end int      // bytes of the text
	text       string   // of a string: decoded; of a number or boolean: as written
	members    []member // of an object, in order
	items      []node   // of an array
}

type member struct {
	key   string
	at    int
	value node
}

// syntaxError is a breach of JSON or of the bounds, at a byte offset.
type syntaxError struct {
	offset int
	reason string
}

func (e *syntaxError) Error() string { return e.reason }

// reader is a recursive-descent reader of RFC 8259 JSON, stricter in that keys are unique and depth and size are bounded.
type reader struct {
	text string
	pos  int
}

// readJSON reads text as exactly one JSON value.
func readJSON(text string) (node, *syntaxError) {
	if err := checkCharacters(text); err != nil {
		return node{}, err
	}
	r := &reader{text: text}
	r.skipSpace()
	n, err := r.value(0)
	if err == nil {
		r.skipSpace()
		if r.pos < len(text) {
			err = r.fail("text after the end of the document")
		}
	}
	if err != nil {
		var se *syntaxError
		errors.As(err, &se)
		return node{}, se
	}
	return n, nil
}

// checkCharacters enforces size and character set (IAM API model, policyDocumentType: [\u0009\u000A\u000D\u0020-\u00FF]+).
// An escape such as \u4e2d may still denote any character inside a string.
func checkCharacters(text string) *syntaxError {
	count := 0
	for i, c := range text {
		if count++; count > maxChars {
			return &syntaxError{i, fmt.Sprintf("longer than %d characters", maxChars)}
		}
		if c == utf8.RuneError {
			if _, size := utf8.DecodeRuneInString(text[i:]); size == 1 {
				return &syntaxError{i, "not UTF-8"}
			}
		}
		if c > 0xFF || c < 0x20 && c != '\t' && c != '\n' && c != '\r' {
			return &syntaxError{i, fmt.Sprintf("character %U is not allowed in a policy", c)}
		}
	}
	return nil
}

func (r *reader) fail(reason string) error { return &syntaxError{r.pos, reason} }

func (r *reader) skipSpace() {
	for r.pos < len(r.text) && isSpace(r.text[r.pos]) {
		r.pos++
	}
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// peek returns the next byte, or 0 at the end (0 itself is not an allowed character).
func (r *reader) peek() byte {
	if r.pos < len(r.text) {
		return r.text[r.pos]
	}
	return 0
}

func (r *reader) value(depth int) (node, error) {
	if depth > maxDepth {
		return node{}, r.fail("nested too deeply")
	}
	switch c := r.peek(); {
	case c == '{':
		return r.object(depth)
	case c == '[':
		return r.array(depth)
	case c == '"':
		start := r.pos
		s, err := r.string()
		return node{kind: stringNode, start: start, end: r.pos, text: s}, err
	case c == '-' || c >= '0' && c <= '9':
		return r.number()
	case c == 0:
		return node{}, r.fail("the text ends too early")
	default:
		return r.word()
	}
}

func (r *reader) object(depth int) (node, error) {
	n := node{kind: objectNode, start: r.pos}
	seen := make(map[string]bool)
	r.pos++
	for r.skipSpace(); r.peek() != '}'; r.skipSpace() {
		if len(n.members) > 0 {
			if err := r.expect(',', "a comma or a closing brace"); err != nil {
				return node{}, err
			}
		}
		m := member{at: r.pos}
		if r.peek() != '"' {
			return node{}, r.fail("a key in double quotes is needed here")
		}
		var err error
		if m.key, err = r.string(); err != nil {
			return node{}, err
		}
		if seen[m.key] {
			return node{}, &syntaxError{m.at, fmt.Sprintf("key %q occurs twice", m.key)}
		}
		seen[m.key] = true
		r.skipSpace()
		if err := r.expect(':', "a colon"); err != nil {
			return node{}, err
		}
		if m.value, err = r.value(depth + 1); err != nil {
			return node{}, err
		}
		n.members = append(n.members, m)
	}
	r.pos++
	n.end = r.pos
	return n, nil
}

func (r *reader) array(depth int) (node, error) {
	n := node{kind: arrayNode, start: r.pos}
	r.pos++
	for r.skipSpace(); r.peek() != ']'; r.skipSpace() {
		if len(n.items) > 0 {
			if err := r.expect(',', "a comma or a closing bracket"); err != nil {
				return node{}, err
			}
		}
		item, err := r.value(depth + 1)
		if err != nil {
			return node{}, err
		}
		n.items = append(n.items, item)
	}
	r.pos++
	n.end = r.pos
	return n, nil
}

// expect consumes c and the white space after it.
func (r *reader) expect(c byte, what string) error {
	if r.peek() != c {
		return r.fail(what + " is needed here")
	}
	r.pos++
	r.skipSpace()
	return nil
}

// string reads a string token and decodes its escapes.
func (r *reader) string() (string, error) {
	r.pos++
	start := r.pos
	for r.pos < len(r.text) {
		switch c := r.text[r.pos]; {
		case c == '"':
			s := r.text[start:r.pos]
			r.pos++
			return s, nil
		case c == '\\':
			return r.escapedString(start)
		case c < 0x20:
			return "", r.fail("a control character in a string must be escaped")
		default:
			r.pos++
		}
	}
	return "", r.fail("the text ends inside a string")
}

// escapedString goes on from the first backslash of a string that began at start.
func (r *reader) escapedString(start int) (string, error) {
	out := []byte(r.text[start:r.pos])
	for r.pos < len(r.text) {
		switch c := r.text[r.pos]; {
		case c == '"':
			r.pos++
			return string(out), nil
		case c == '\\':
			decoded, err := r.escape()
			if err != nil {
				return "", err
			}
			out = utf8.AppendRune(out, decoded)
		case c < 0x20:
			return "", r.fail("a control character in a string must be escaped")
		default:
			out = append(out, c)
			r.pos++
		}
	}
	return "", r.fail("the text ends inside a string")
}

const (
	simpleEscapes  = `"\/bfnrt`
	simpleMeanings = "\"\\/\b\f\n\r\t"
)

func (r *reader) escape() (rune, error) {
	if r.pos+1 >= len(r.text) {
		return 0, r.fail("the text ends inside a string")
	}
	c := r.text[r.pos+1]
	if c == 'u' {
		return r.unicodeEscape()
	}
	for i := range len(simpleEscapes) {
		if simpleEscapes[i] == c {
			r.pos += 2
			return rune(simpleMeanings[i]), nil
		}
	}
	return 0, r.fail("no such escape in JSON")
}

// unicodeEscape reads \uXXXX or a surrogate pair; half a pair and U+0000 are refused, because they do not survive comparison.
func (r *reader) unicodeEscape() (rune, error) {
	first, ok := r.hex4()
	if !ok {
		return 0, r.fail(`\u needs four hexadecimal digits`)
	}
	if !utf16.IsSurrogate(first) {
		if first == 0 {
			return 0, r.fail(`\u0000 is not allowed in a policy`)
		}
		r.pos += 6
		return first, nil
	}
	at := r.pos
	r.pos += 6
	second, ok := r.hex4()
	pair := utf16.DecodeRune(first, second)
	if !ok || pair == utf8.RuneError {
		r.pos = at
		return 0, r.fail("half of a surrogate pair")
	}
	r.pos += 6
	return pair, nil
}

// hex4 decodes the \uXXXX at the current position without consuming it.
func (r *reader) hex4() (rune, bool) {
	if r.pos+6 > len(r.text) || r.text[r.pos] != '\\' || r.text[r.pos+1] != 'u' {
		return 0, false
	}
	var v rune
	for _, c := range []byte(r.text[r.pos+2 : r.pos+6]) {
		digit, err := strconv.ParseUint(string(rune(c)), 16, 8)
		if err != nil {
			return 0, false
		}
		v = v<<4 | rune(digit)
	}
	return v, true
}

// number reads RFC 8259 number syntax.
func (r *reader) number() (node, error) {
	start := r.pos
	if r.peek() == '-' {
		r.pos++
	}
	whole := r.digits()
	if whole == 0 || whole > 1 && r.text[r.pos-whole] == '0' {
		return node{}, &syntaxError{start, "not a JSON number"}
	}
	if r.peek() == '.' {
		r.pos++
		if r.digits() == 0 {
			return node{}, &syntaxError{start, "not a JSON number"}
		}
	}
	if c := r.peek(); c == 'e' || c == 'E' {
		r.pos++
		if c := r.peek(); c == '+' || c == '-' {
			r.pos++
		}
		if r.digits() == 0 {
			return node{}, &syntaxError{start, "not a JSON number"}
		}
	}
	return node{kind: numberNode, start: start, end: r.pos, text: r.text[start:r.pos]}, nil
}

// digits consumes decimal digits and returns how many there were.
func (r *reader) digits() int {
	start := r.pos
	for c := r.peek(); c >= '0' && c <= '9'; c = r.peek() {
		r.pos++
	}
	return r.pos - start
}

// word reads true, false or null.
func (r *reader) word() (node, error) {
	for _, w := range [...]struct {
		text string
		kind nodeKind
	}{{"true", boolNode}, {"false", boolNode}, {"null", nullNode}} {
		if len(r.text)-r.pos >= len(w.text) && r.text[r.pos:r.pos+len(w.text)] == w.text {
			n := node{kind: w.kind, start: r.pos, end: r.pos + len(w.text), text: w.text}
			r.pos = n.end
			return n, nil
		}
	}
	return node{}, r.fail("not JSON")
}
