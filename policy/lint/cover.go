package lint

import (
	"slices"
	"strings"

	"github.com/stint-sts/stint/policy"
)

// covers reports whether every text that fits pattern inner also fits outer, both with * and ?. It may say false where the
// answer is true, never the other way round. Time is at most the product of the lengths.
func covers(outer, inner string) bool {
	if outer == inner || outer == "*" {
		return true
	}
	if !strings.ContainsAny(outer, "*?") || strings.Contains(outer, "${") { // a variable stands for a text that is not known here
		return false
	}
	// reach[i] tells that outer[:i] covers what was read of inner.
	reach := make([]bool, len(outer)+1)
	next := make([]bool, len(outer)+1)
	reach[0] = true
	stars(outer, reach)
	for j := range len(inner) {
		clear(next)
		for i := range len(outer) {
			switch {
			case !reach[i]:
			case outer[i] == '*':
				next[i] = true
			case inner[j] != '*' && (outer[i] == '?' || outer[i] == inner[j]):
				next[i+1] = true
			}
		}
		stars(outer, next)
		reach, next = next, reach
	}
	return reach[len(outer)]
}

// stars lets each star that is reached stand for nothing.
func stars(outer string, reach []bool) {
	for i := range len(outer) {
		if reach[i] && outer[i] == '*' {
			reach[i+1] = true
		}
	}
}

// coversAction is covers for actions, which ignore case.
func coversAction(outer, inner string) bool {
	return covers(strings.ToLower(outer), strings.ToLower(inner))
}

// coversResource is covers for resources, which are compared part by part.
func coversResource(outer, inner string) bool {
	if outer == "*" || outer == inner {
		return true
	}
	o, i := strings.SplitN(outer, ":", 6), strings.SplitN(inner, ":", 6)
	if len(o) != 6 || len(i) != 6 {
		return false
	}
	for n := range o {
		if !covers(o[n], i[n]) {
			return false
		}
	}
	return true
}

// coversElement reports whether an element speaks of everything that another speaks of. An element that is absent from both
// says the same on both sides.
func coversElement(outer, inner *policy.Element, one func(outer, inner string) bool) bool {
	if outer.Values == nil || inner.Values == nil {
		return outer.Values == nil && inner.Values == nil
	}
	if !outer.Negated && slices.ContainsFunc(outer.Values, func(v policy.Value) bool { return v.Text == "*" }) {
		return true
	}
	if inner.Negated {
		// NotX [a] speaks of all but a: within NotX [b] when b lies within a, which each entry of outer must.
		return outer.Negated && within(outer.Values, inner.Values, one)
	}
	return !outer.Negated && within(inner.Values, outer.Values, one)
}

// within reports whether each of inner is covered by one of outer, and is of its type.
func within(inner, outer []policy.Value, one func(outer, inner string) bool) bool {
	for _, v := range inner {
		if !slices.ContainsFunc(outer, func(o policy.Value) bool { return o.Type == v.Type && one(o.Text, v.Text) }) {
			return false
		}
	}
	return true
}

// coversStatement reports whether outer applies to every request that inner applies to, whatever the effects.
func coversStatement(outer, inner *policy.Statement) bool {
	return (len(outer.Conditions) == 0 || sameConditions(outer.Conditions, inner.Conditions)) &&
		coversElement(&outer.Action, &inner.Action, coversAction) &&
		coversElement(&outer.Resource, &inner.Resource, coversResource) &&
		coversElement(&outer.Principal, &inner.Principal, equal)
}

// sameConditions reports whether two statements ask for the same, in any order.
func sameConditions(a, b []policy.Condition) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !slices.ContainsFunc(b, func(c policy.Condition) bool { return sameCondition(&a[i], &c) }) {
			return false
		}
	}
	return true
}

func sameCondition(a, b *policy.Condition) bool {
	return a.Operator == b.Operator && a.Set == b.Set && a.IfExists == b.IfExists && strings.EqualFold(a.Key, b.Key) &&
		within(a.Values, b.Values, equal) && within(b.Values, a.Values, equal)
}

// equal is the cover of texts without wildcards, such as principals; a lone * among principals is for coversElement.
func equal(outer, inner string) bool { return outer == inner }

// maxCompared bounds the documents whose parts are compared each with each, in characters. No quota of IAM reaches it.
const maxCompared = 20_000

func (r *run) tooLong() bool { return r.document.Size() > maxCompared }

// unreachableAllow finds Allows that a Deny covers.
func unreachableAllow(r *run) {
	if r.tooLong() {
		return
	}
	for i := range r.statements {
		s := &r.statements[i]
		if !s.Deny && slices.ContainsFunc(r.statements, func(d policy.Statement) bool { return d.Deny && coversStatement(&d, s) }) {
			r.report(s.Place, s.Sid)
		}
	}
}

// duplicateStatement finds statements that cover an earlier one of the same effect and are covered by it.
func duplicateStatement(r *run) {
	if r.tooLong() {
		return
	}
	for i := range r.statements {
		if r.duplicates(i) {
			r.report(r.statements[i].Place, r.statements[i].Sid)
		}
	}
}

func (r *run) duplicates(i int) bool {
	s := &r.statements[i]
	return slices.ContainsFunc(r.statements[:i], func(e policy.Statement) bool {
		return e.Deny == s.Deny && coversStatement(&e, s) && coversStatement(s, &e)
	})
}

// redundantAllow finds Allows that another Allow covers, duplicates apart.
func redundantAllow(r *run) {
	if r.tooLong() {
		return
	}
	for i := range r.statements {
		s := &r.statements[i]
		if s.Deny {
			continue
		}
		if slices.ContainsFunc(r.statements, func(w policy.Statement) bool {
			return !w.Deny && coversStatement(&w, s) && !coversStatement(s, &w)
		}) {
			r.report(s.Place, s.Sid)
		}
	}
}

func redundantAction(r *run) {
	if r.tooLong() {
		return
	}
	for i := range r.statements {
		list := r.statements[i].Action.Values
		for j, v := range list {
			for k, other := range list {
				if k != j && coversAction(other.Text, v.Text) && (k < j || !coversAction(v.Text, other.Text)) {
					r.report(v.Place, v.Text)
					break
				}
			}
		}
	}
}

// neverApplies finds a Not… of everything, and a condition that wants a key both absent and compared.
func neverApplies(r *run) {
	for i := range r.statements {
		s := &r.statements[i]
		for _, e := range []*policy.Element{&s.Action, &s.Resource, &s.Principal} {
			for _, v := range e.Values {
				if e.Negated && (v.Text == "*" || r.document.Kind() == policy.Trust && strings.EqualFold(v.Text, "sts:*")) {
					r.report(v.Place, v.Text)
				}
			}
		}
		for j := range s.Conditions {
			c := &s.Conditions[j]
			if c.Operator != "Null" && !holdsWithoutKey(c) && asksForAbsence(s, c.Key) {
				r.report(c.Place, c.Key)
			}
		}
	}
}
