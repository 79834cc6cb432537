package policy_test

import (
	"math/big"
	"net"
	"strconv"
	"strings"
	"time"
)

func refCondition(op, key string, values []string, q *refRequest, variables, deny bool) bool {
	forAll := strings.HasPrefix(op, "ForAllValues:")
	forAny := strings.HasPrefix(op, "ForAnyValue:")
	op = op[strings.Index(op, ":")+1:]
	base, ifExists := strings.CutSuffix(op, "IfExists")
	got, present := q.context[strings.ToLower(key)]
	if base == "Null" {
		for _, v := range values {
			if strings.EqualFold(v, "true") != present {
				return true
			}
		}
		return false
	}
	negated := strings.Contains(base, "Not")
	family := strings.Replace(base, "Not", "", 1)
	one := func(value string) bool {
		any, invalid := false, false
		for _, v := range values {
			ok, bad := refMatch(family, v, value, q, variables)
			any, invalid = any || ok, invalid || bad
		}
		switch {
		case any:
			return !negated
		case invalid:
			return negated && deny
		default:
			return negated
		}
	}
	anyOne := func() bool {
		for _, v := range got.values {
			if one(v) {
				return true
			}
		}
		return false
	}
	empty := !present || len(got.values) == 0
	switch {
	case forAll:
		if empty || len(got.values) == 1 && got.values[0] == "" {
			return true
		}
		for _, v := range got.values {
			if !one(v) {
				return false
			}
		}
		return true
	case forAny:
		if empty {
			return ifExists
		}
		return anyOne()
	case empty:
		return ifExists || negated
	case len(got.values) == 1:
		return one(got.values[0])
	default:
		return deny && anyOne()
	}
}

// refMatch compares one policy value with one request value; bad tells that one of them is no number, date, …
func refMatch(family, want, got string, q *refRequest, variables bool) (ok, bad bool) {
	switch family {
	case "StringEquals", "StringEqualsIgnoreCase":
		elements := refElements(want, q.context, variables, false)
		if elements == nil {
			return false, false
		}
		var b strings.Builder
		for _, e := range elements {
			b.WriteRune(e.char)
		}
		if family == "StringEquals" {
			return b.String() == got, false
		}
		return strings.EqualFold(b.String(), got), false
	case "StringLike":
		elements := refElements(want, q.context, variables, true)
		return elements != nil && refGlob(elements, []rune(got)), false
	case "ArnEquals", "ArnLike":
		return refARN(refElements(want, q.context, variables, true), got), false
	case "Bool":
		want, got = strings.ToLower(want), strings.ToLower(got)
		isBool := func(s string) bool { return s == "true" || s == "false" }
		return want == got && isBool(want), !isBool(want) || !isBool(got)
	case "BinaryEquals":
		return want == got, false
	case "IpAddress":
		return refIP(want, got)
	}
	var order int
	if strings.HasPrefix(family, "Numeric") {
		a, ok1 := refNumber(got)
		b, ok2 := refNumber(want)
		if !ok1 || !ok2 {
			return false, true
		}
		order = a.Cmp(b)
	} else {
		a, ok1 := refDate(got)
		b, ok2 := refDate(want)
		if !ok1 || !ok2 {
			return false, true
		}
		order = a.Compare(b)
	}
	relation := strings.TrimPrefix(strings.TrimPrefix(family, "Numeric"), "Date")
	return relation == "Equals" && order == 0 ||
		strings.HasPrefix(relation, "Less") && order < 0 ||
		strings.HasPrefix(relation, "Greater") && order > 0 ||
		strings.HasSuffix(relation, "ThanEquals") && order == 0, false
}

func refARN(pattern []refElement, got string) bool {
	parts := strings.SplitN(got, ":", 6)
	if pattern == nil || len(parts) != 6 || parts[0] != "arn" {
		return false
	}
	var want [][]refElement
	part := []refElement{}
	for _, e := range pattern {
		if e.char == ':' && len(want) < 5 {
			want, part = append(want, part), []refElement{}
			continue
		}
		part = append(part, e)
	}
	want = append(want, part)
	if len(want) != 6 {
		return false
	}
	for i := range want {
		if !refGlob(want[i], []rune(parts[i])) {
			return false
		}
	}
	return true
}

func refNumber(s string) (*big.Rat, bool) {
	if strings.ContainsAny(s, "/eExXpP_") || strings.HasPrefix(s, ".") || strings.HasSuffix(s, ".") {
		return nil, false
	}
	return new(big.Rat).SetString(s)
}

func refDate(s string) (time.Time, bool) {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil && !strings.HasPrefix(s, "+") {
		return time.Unix(n, 0), true
	}
	for _, layout := range []string{"2006-01", "2006-01-02", "2006-01-02T15:04Z07:00", "2006-01-02T15:04:05Z07:00"} {
		if t, err := time.Parse(layout, s); err == nil && !strings.Contains(s, ",") {
			return t, true
		}
	}
	return time.Time{}, false
}

func refIP(want, got string) (ok, bad bool) {
	ip := net.ParseIP(got)
	if ip == nil {
		return false, true
	}
	isFour := func(ip net.IP) bool { return ip.To4() != nil }
	if single := net.ParseIP(want); single != nil {
		return single.Equal(ip), false
	}
	base, network, err := net.ParseCIDR(want)
	if err != nil {
		return false, true
	}
	return isFour(base) == isFour(ip) && network.Contains(ip), false
}
