package policy

import "strings"

// tokenKind tells what a token of a pattern matches.
type tokenKind uint8

const (
	literal  tokenKind = iota
	star               // any run of characters, also none
	question           // exactly one character
	variable           // the value of a condition key, literally
)

// token is one piece of a pattern. Patterns are cut into tokens before anything is substituted, so that a * in a user name
// or tag value is never a wildcard, and a ${…} in it never a variable.
type token struct {
	kind tokenKind
	text string // of a literal
	key  *variableKey
}

// variableKey is ${key} or ${key, 'default'}.
type variableKey struct {
	contextKey
	fallback    string
	hasFallback bool
}

// value resolves the variable. Only single-valued keys have one (IAM User Guide, "IAM policy elements: Variables and tags").
// An empty string is a value; the default is for an absent key.
func (v *variableKey) value(ctx *Context) (string, bool) {
	e := ctx.lookup(&v.contextKey)
	switch {
	case e == nil:
		return v.fallback, v.hasFallback
	case e.multi:
		return "", false
	default:
		return e.one[0], true
	}
}

// tokenize cuts s. Variables exist since version 2012-10-17; wildcards depend on the element and the operator.
func tokenize(s string, variables, wildcards bool) []token {
	t := tokenizer{rest: s}
	for {
		special := strings.IndexAny(t.rest, "*?$")
		if special < 0 {
			t.text(len(t.rest))
			return t.finish()
		}
		t.text(special)
		switch c := t.rest[0]; {
		case c == '*' && wildcards:
			t.token(token{kind: star}, 1)
		case c == '?' && wildcards:
			t.token(token{kind: question}, 1)
		case c == '$' && variables:
			t.dollar()
		default:
			t.text(1)
		}
	}
}

// tokenizer keeps the state of one tokenize; time is linear in the text whatever it holds.
type tokenizer struct {
	rest     string
	pending  []byte // literal text not yet made a token
	tokens   []token
	unclosed bool // no } follows
	unquoted bool // no '} follows
}

// text takes the next n bytes literally.
func (t *tokenizer) text(n int) {
	t.pending = append(t.pending, t.rest[:n]...)
	t.rest = t.rest[n:]
}

// token adds tok, which the next n bytes denote.
func (t *tokenizer) token(tok token, n int) {
	t.rest = t.rest[n:]
	t.flush()
	if last := len(t.tokens) - 1; tok.kind == star && last >= 0 && t.tokens[last].kind == star {
		return // ** is *
	}
	t.tokens = append(t.tokens, tok)
}

func (t *tokenizer) flush() {
	if len(t.pending) > 0 {
		t.tokens = append(t.tokens, token{kind: literal, text: string(t.pending)})
		t.pending = t.pending[:0]
	}
}

func (t *tokenizer) finish() []token {
	t.flush()
	return t.tokens
}

// dollar takes a $ and what belongs to it. An unclosed ${ is text.
func (t *tokenizer) dollar() {
	body, ok := t.variableBody()
	length := len("${}") + len(body)
	switch {
	case !ok:
		t.text(1)
	case body == "*" || body == "?" || body == "$":
		t.pending = append(t.pending, body...)
		t.rest = t.rest[length:]
	default:
		t.token(token{kind: variable, key: parseVariable(body)}, length)
	}
}

// variableBody returns what stands between the braces of the ${…} that comes next.
func (t *tokenizer) variableBody() (string, bool) {
	if t.unclosed || !strings.HasPrefix(t.rest, "${") {
		return "", false
	}
	end := strings.IndexByte(t.rest, '}')
	if end < 0 {
		t.unclosed = true
		return "", false
	}
	if quote := strings.Index(t.rest[:end], ", '"); quote >= 0 && !t.unquoted { // a default may hold a brace
		quote += len(", '")
		if length := strings.Index(t.rest[quote:], "'}"); length >= 0 {
			end = quote + length + 1
		} else {
			t.unquoted = true
		}
	}
	return t.rest[2:end], true
}

// parseVariable reads "key" or "key, 'default'". Any other form names a key that no request has, and so never resolves.
func parseVariable(body string) *variableKey {
	name, rest, found := strings.Cut(body, ", '")
	if found && strings.HasSuffix(rest, "'") {
		return &variableKey{contextKey: newContextKey(name), fallback: rest[:len(rest)-1], hasFallback: true}
	}
	return &variableKey{contextKey: newContextKey(body)}
}

// substitute replaces the variables of tokens by their values as literals; false when one has no value.
func substitute(tokens []token, ctx *Context) ([]token, bool) {
	out := make([]token, len(tokens))
	for i, t := range tokens {
		if t.kind == variable {
			value, ok := t.key.value(ctx)
			if !ok {
				return nil, false
			}
			t = token{kind: literal, text: value}
		}
		out[i] = t
	}
	return out, true
}
