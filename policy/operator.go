package policy

import (
	"encoding/base64"
	"net/netip"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
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
	null    bool // Null: compares "is absent" instead of a value
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
		if matchFolded(tokens, got, ctx) {
			return matches
		}
	}
	return differs
}

// matchFolded compares the text that tokens denote with s as strings.EqualFold does, without joining it.
func matchFolded(tokens []token, s string, ctx *Context) bool {
	for i := range tokens {
		text, ok := tokens[i].text, true
		if tokens[i].kind == variable {
			text, ok = tokens[i].key.value(ctx)
		}
		if ok {
			s, ok = cutPrefixFold(s, text)
		}
		if !ok {
			return false
		}
	}
	return s == ""
}

func cutPrefixFold(s, prefix string) (string, bool) {
	for _, want := range prefix {
		got, size := utf8.DecodeRuneInString(s)
		if size == 0 || !equalFoldRune(got, want) {
			return "", false
		}
		s = s[size:]
	}
	return s, true
}

func equalFoldRune(a, b rune) bool {
	if a == b {
		return true
	}
	for r := unicode.SimpleFold(a); r != a; r = unicode.SimpleFold(r) {
		if r == b {
			return true
		}
	}
	return false
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
