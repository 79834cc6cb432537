package policy

import (
	"slices"
	"strings"
)

// arnParts is an ARN cut at its first five colons.
type arnParts struct {
	valid bool
	whole string
	head  string    // everything up to and with the fifth colon
	parts [6]string // the sixth keeps all further colons
}

// splitARN cuts s; valid tells whether it starts with arn: and has six parts.
func splitARN(s string) arnParts {
	a := arnParts{whole: s}
	if !strings.HasPrefix(s, "arn:") {
		return a
	}
	start := 0
	for i := range 5 {
		colon := strings.IndexByte(s[start:], ':')
		if colon < 0 {
			return a
		}
		a.parts[i] = s[start : start+colon]
		start += colon + 1
	}
	a.head, a.parts[5], a.valid = s[:start], s[start:], true
	return a
}

// from returns the text of the ARN from its part n on.
func (a *arnParts) from(n int) string {
	start := n
	for i := range n {
		start += len(a.parts[i])
	}
	return a.whole[start:]
}

// arnMatcher is ArnEquals and ArnLike, which are the same: six parts, each compared with wildcards. A policy value without six
// parts matches nothing, nor does a request value that is not an ARN.
type arnMatcher []arnPattern

type arnPattern struct {
	parts  []pattern // six, or nil when the value cannot match
	tokens []token   // of a value with variables: cut into parts after substitution, since a variable may hold a whole ARN
}

func compileARNs(values []string, variables bool) (matcher, []int) {
	m := make(arnMatcher, len(values))
	for i, v := range values {
		tokens := tokenize(v, variables, true)
		if slices.ContainsFunc(tokens, func(t token) bool { return t.kind == variable }) {
			m[i].tokens = tokens
		} else {
			m[i].parts = arnPatternParts(tokens)
		}
	}
	return m, nil
}

func (m arnMatcher) match(got string, ctx *Context) outcome {
	arn := splitARN(got)
	if !arn.valid {
		return differs
	}
	for i := range m {
		parts := m[i].parts
		if m[i].tokens != nil {
			tokens, ok := substitute(m[i].tokens, ctx)
			if !ok {
				continue
			}
			parts = arnPatternParts(tokens)
		}
		if matchParts(parts, &arn) {
			return matches
		}
	}
	return differs
}

func matchParts(parts []pattern, arn *arnParts) bool {
	if len(parts) != len(arn.parts) {
		return false
	}
	for i := range parts {
		if !parts[i].match(arn.parts[i], nil) {
			return false
		}
	}
	return true
}

// arnPatternParts cuts tokens at the first five colons of their literals; nil when there are fewer.
func arnPatternParts(tokens []token) []pattern {
	var parts []pattern
	var part []token
	for _, t := range tokens {
		for t.kind == literal && len(parts) < 5 {
			before, after, found := strings.Cut(t.text, ":")
			if !found {
				break
			}
			parts = append(parts, compile(append(part, token{kind: literal, text: before})))
			part, t.text = nil, after
		}
		part = append(part, t)
	}
	if len(parts) < 5 {
		return nil
	}
	return append(parts, compile(part))
}
