package policy

import (
	"cmp"
	"strings"
)

// number is an integer or decimal of any length, kept as text so that comparison is exact and allocates nothing.
type number struct {
	negative bool
	whole    string // without leading zeros
	fraction string // without trailing zeros
}

// parseNumber reads [+-]digits[.digits].
func parseNumber(s string) (number, bool) {
	n := number{}
	if s != "" && (s[0] == '-' || s[0] == '+') {
		n.negative = s[0] == '-'
		s = s[1:]
	}
	whole, fraction, hasPoint := strings.Cut(s, ".")
	if !allDigits(whole) || hasPoint && !allDigits(fraction) {
		return number{}, false
	}
	n.whole = strings.TrimLeft(whole, "0")
	n.fraction = strings.TrimRight(fraction, "0")
	if n.whole == "" && n.fraction == "" {
		n.negative = false // there is one zero
	}
	return n, true
}

func allDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// compare returns -1, 0 or 1.
//
//lint:ignore U1000 called through the constraint of ordered
func (n number) compare(m number) int {
	if n.negative != m.negative {
		if n.negative {
			return -1
		}
		return 1
	}
	c := cmp.Or(cmp.Compare(len(n.whole), len(m.whole)), cmp.Compare(n.whole, m.whole), cmp.Compare(n.fraction, m.fraction))
	if n.negative {
		return -c
	}
	return c
}
