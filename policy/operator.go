package policy

import (
	"encoding/base64"
	"net/netip"
	"slices"
	"strings"
)

// outcome is what comparing one request value with the values of a policy gives.
type outcome uint8

const (
	differs outcome = iota
	matches
	invalid // a number, date, boolean or address that is none, on either side
)

// matcher holds the compiled values of one condition. match compares a request value with all of them: any may match.
type matcher interface {
	match(got string, ctx *Context) outcome
}

// operator is one row of the table of condition operators (IAM User Guide, "IAM JSON policy elements: Condition operators").
type operator struct {
	name    string
	negated bool
	null    bool // Null tests presence and has no matcher
	// compile makes the matcher. It also returns the indexes of values that the operator can never compare.
	compile func(values []string, variables bool) (matcher, []int)
}

// variables tells whether variables in the values are resolved: for strings and ARNs only.
func (o *operator) variables() bool {
	return strings.HasPrefix(o.name, "String") || strings.HasPrefix(o.name, "Arn")
}

var operators = func() map[string]*operator {
	rows := []*operator{
		{name: "StringEquals", compile: compileStrings(false)},
		{name: "StringNotEquals", negated: true, compile: compileStrings(false)},
		{name: "StringEqualsIgnoreCase", compile: compileFolded},
		{name: "StringNotEqualsIgnoreCase", negated: true, compile: compileFolded},
		{name: "StringLike", compile: compileStrings(true)},
		{name: "StringNotLike", negated: true, compile: compileStrings(true)},
		{name: "ArnEquals", compile: compileARNs},
		{name: "ArnNotEquals", negated: true, compile: compileARNs},
		{name: "ArnLike", compile: compileARNs},
		{name: "ArnNotLike", negated: true, compile: compileARNs},
		{name: "NumericEquals", compile: compileNumbers(equal)},
		{name: "NumericNotEquals", negated: true, compile: compileNumbers(equal)},
		{name: "NumericLessThan", compile: compileNumbers(less)},
		{name: "NumericLessThanEquals", compile: compileNumbers(less | equal)},
		{name: "NumericGreaterThan", compile: compileNumbers(greater)},
		{name: "NumericGreaterThanEquals", compile: compileNumbers(greater | equal)},
		{name: "DateEquals", compile: compileInstants(equal)},
		{name: "DateNotEquals", negated: true, compile: compileInstants(equal)},
		{name: "DateLessThan", compile: compileInstants(less)},
		{name: "DateLessThanEquals", compile: compileInstants(less | equal)},
		{name: "DateGreaterThan", compile: compileInstants(greater)},
		{name: "DateGreaterThanEquals", compile: compileInstants(greater | equal)},
		{name: "Bool", compile: compileBools},
		{name: "BinaryEquals", compile: compileBinaries},
		{name: "IpAddress", compile: compileNetworks},
		{name: "NotIpAddress", negated: true, compile: compileNetworks},
		{name: "Null", null: true, compile: compileBools},
	}
	table := make(map[string]*operator, len(rows))
	for _, o := range rows {
		table[foldASCII(o.name)] = o
	}
	return table
}()

// stringMatcher is StringEquals and StringLike.
type stringMatcher []pattern

func compileStrings(wildcards bool) func([]string, bool) (matcher, []int) {
	return func(values []string, variables bool) (matcher, []int) {
		m := make(stringMatcher, len(values))
		for i, v := range values {
			m[i] = compile(tokenize(v, variables, wildcards))
		}
		return m, nil
	}
}

func (m stringMatcher) match(got string, ctx *Context) outcome {
	for i := range m {
		if m[i].match(got, ctx) {
			return matches
		}
	}
	return differs
}

// foldedMatcher is StringEqualsIgnoreCase.
type foldedMatcher [][]token

func compileFolded(values []string, variables bool) (matcher, []int) {
	m := make(foldedMatcher, len(values))
	for i, v := range values {
		m[i] = tokenize(v, variables, false)
	}
	return m, nil
}

func (m foldedMatcher) match(got string, ctx *Context) outcome {
	for _, tokens := range m {
		if len(tokens) == 1 && tokens[0].kind == literal {
			if strings.EqualFold(tokens[0].text, got) {
				return matches
			}
			continue
		}
		if want, ok := joinValue(tokens, ctx); ok && strings.EqualFold(want, got) {
			return matches
		}
	}
	return differs
}

// joinValue substitutes and joins tokens without wildcards.
func joinValue(tokens []token, ctx *Context) (string, bool) {
	var b strings.Builder
	for i := range tokens {
		text := tokens[i].text
		if tokens[i].kind == variable {
			var ok bool
			if text, ok = tokens[i].key.value(ctx); !ok {
				return "", false
			}
		}
		b.WriteString(text)
	}
	return b.String(), true
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

// relation is a set of results of a comparison.
type relation uint8

const (
	less relation = 1 << iota
	equal
	greater
)

func (r relation) holds(compared int) bool {
	switch {
	case compared < 0:
		return r&less != 0
	case compared > 0:
		return r&greater != 0
	default:
		return r&equal != 0
	}
}

// ordered is the Numeric and Date operators: the request value must stand in relation to a policy value.
type ordered[T interface{ compare(T) int }] struct {
	relation relation
	parse    func(string) (T, bool)
	values   []T
	partial  bool // some policy value can not be compared
}

func compileNumbers(r relation) func([]string, bool) (matcher, []int) {
	return compileOrdered(r, parseNumber)
}

func compileInstants(r relation) func([]string, bool) (matcher, []int) {
	return compileOrdered(r, parseInstant)
}

func compileOrdered[T interface{ compare(T) int }](r relation, parse func(string) (T, bool)) func([]string, bool) (matcher, []int) {
	return func(values []string, _ bool) (matcher, []int) {
		parsed, bad := parseValues(values, parse)
		return &ordered[T]{relation: r, parse: parse, values: parsed, partial: bad != nil}, bad
	}
}

func (m *ordered[T]) match(got string, _ *Context) outcome {
	value, ok := m.parse(got)
	if !ok {
		return invalid
	}
	for i := range m.values {
		if m.relation.holds(value.compare(m.values[i])) {
			return matches
		}
	}
	return partialOutcome(m.partial)
}

// parseValues returns the values that parse, and the indexes of those that do not.
func parseValues[T any](values []string, parse func(string) (T, bool)) (parsed []T, bad []int) {
	for i, v := range values {
		if value, ok := parse(v); ok {
			parsed = append(parsed, value)
		} else {
			bad = append(bad, i)
		}
	}
	return parsed, bad
}

func partialOutcome(partial bool) outcome {
	if partial {
		return invalid
	}
	return differs
}

// boolMatcher is Bool, and holds the values of Null.
type boolMatcher struct {
	values  []bool
	partial bool
}

func compileBools(values []string, _ bool) (matcher, []int) {
	parsed, bad := parseValues(values, parseBool)
	return &boolMatcher{parsed, bad != nil}, bad
}

func parseBool(s string) (value, ok bool) {
	switch {
	case equalFoldASCII(s, "true"):
		return true, true
	case equalFoldASCII(s, "false"):
		return false, true
	default:
		return false, false
	}
}

func (m *boolMatcher) match(got string, _ *Context) outcome {
	value, ok := parseBool(got)
	switch {
	case !ok:
		return invalid
	case slices.Contains(m.values, value):
		return matches
	default:
		return partialOutcome(m.partial)
	}
}

// binaryMatcher is BinaryEquals. Both sides are base64 text; the encoding is canonical, so texts are equal when bytes are.
type binaryMatcher []string

func compileBinaries(values []string, _ bool) (matcher, []int) {
	parsed, bad := parseValues(values, func(s string) (string, bool) {
		decoded, err := base64.StdEncoding.DecodeString(s)
		return base64.StdEncoding.EncodeToString(decoded), err == nil
	})
	return binaryMatcher(parsed), bad
}

func (m binaryMatcher) match(got string, _ *Context) outcome {
	if slices.Contains(m, got) {
		return matches
	}
	return differs
}

// networkMatcher is IpAddress. A range of one family never holds an address of the other; IPv4-mapped IPv6 is IPv4.
type networkMatcher struct {
	networks []netip.Prefix
	partial  bool
}

func compileNetworks(values []string, _ bool) (matcher, []int) {
	parsed, bad := parseValues(values, parseNetwork)
	return &networkMatcher{parsed, bad != nil}, bad
}

// parseNetwork reads an address or CIDR range. Host bits are masked; a bare address is a range of one.
func parseNetwork(s string) (netip.Prefix, bool) {
	prefix, err := netip.ParsePrefix(s)
	if err != nil {
		addr, ok := parseAddress(s)
		if !ok {
			return netip.Prefix{}, false
		}
		return netip.PrefixFrom(addr, addr.BitLen()), true
	}
	if addr := prefix.Addr(); addr.Is4In6() && prefix.Bits() >= 96 {
		prefix = netip.PrefixFrom(addr.Unmap(), prefix.Bits()-96)
	}
	return prefix.Masked(), true
}

func parseAddress(s string) (netip.Addr, bool) {
	if len(s) > len("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255") {
		return netip.Addr{}, false
	}
	addr, err := netip.ParseAddr(s)
	if err != nil || addr.Zone() != "" {
		return netip.Addr{}, false
	}
	return addr.Unmap(), true
}

func (m *networkMatcher) match(got string, _ *Context) outcome {
	addr, ok := parseAddress(got)
	if !ok {
		return invalid
	}
	for _, n := range m.networks {
		if n.Contains(addr) {
			return matches
		}
	}
	return partialOutcome(m.partial)
}
