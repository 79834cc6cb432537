package lint

import (
	"net/netip"
	"strings"

	"github.com/stint-sts/stint/policy"
)

// holdsWithoutKey reports whether the condition is true for a request that lacks its key.
func holdsWithoutKey(c *policy.Condition) bool {
	switch {
	case c.Operator == "Null":
		return hasValue(c, "true")
	case c.Set == "ForAllValues":
		return true
	case c.Set == "ForAnyValue":
		return c.IfExists
	default:
		return c.IfExists || c.Negated
	}
}

func hasValue(c *policy.Condition, text string) bool {
	for _, v := range c.Values {
		if strings.EqualFold(v.Text, text) {
			return true
		}
	}
	return false
}

// asksForPresence reports whether some condition of the statement fails when the request lacks key.
func asksForPresence(s *policy.Statement, key string) bool {
	for i := range s.Conditions {
		c := &s.Conditions[i]
		if strings.EqualFold(c.Key, key) && !holdsWithoutKey(c) {
			return true
		}
	}
	return false
}

// asksForAbsence reports whether some condition of the statement fails when the request has key.
func asksForAbsence(s *policy.Statement, key string) bool {
	for i := range s.Conditions {
		c := &s.Conditions[i]
		if c.Operator == "Null" && strings.EqualFold(c.Key, key) && hasValue(c, "true") && !hasValue(c, "false") {
			return true
		}
	}
	return false
}

// restricts reports whether the statement compares key with something that not every value fits, and fails without the key.
func restricts(s *policy.Statement, key string) bool {
	for i := range s.Conditions {
		c := &s.Conditions[i]
		if strings.EqualFold(c.Key, key) && compares(c) {
			return true
		}
	}
	return false
}

// compares reports whether a condition limits its key to some values: it is positive, needs the key, and no value of it fits
// everything.
func compares(c *policy.Condition) bool {
	if c.Operator == "Null" || c.Negated || holdsWithoutKey(c) {
		return false
	}
	for _, v := range c.Values {
		if strings.Trim(v.Text, "*?") == "" && (v.Text == "" || takesWildcards(c)) {
			return false
		}
	}
	return true
}

func restrictsAny(s *policy.Statement, keys ...string) bool {
	for _, key := range keys {
		if restricts(s, key) {
			return true
		}
	}
	return false
}

// takesWildcards reports whether * and ? in the values are wildcards.
func takesWildcards(c *policy.Condition) bool {
	return strings.HasSuffix(c.Operator, "Like") || strings.HasPrefix(c.Operator, "Arn")
}

// allowConditions makes a finder that looks at the conditions of Allow statements.
func allowConditions(look func(*run, *policy.Statement, *policy.Condition)) func(*run) {
	return conditions(func(r *run, s *policy.Statement, c *policy.Condition) {
		if !s.Deny {
			look(r, s, c)
		}
	})
}

func forAllValuesOpen(r *run, s *policy.Statement, c *policy.Condition) {
	if !s.Deny && c.Set == "ForAllValues" && c.Operator != "Null" && !asksForPresence(s, c.Key) {
		r.report(c.Place, c.Key)
	}
}

func setOperatorMissing(r *run, _ *policy.Statement, c *policy.Condition) {
	if c.Set == "" && c.Operator != "Null" && factsOf(c.Key)&multi != 0 {
		r.report(c.Place, c.Key)
	}
}

func setOperatorOnSingleValue(r *run, _ *policy.Statement, c *policy.Condition) {
	if facts := factsOf(c.Key); c.Set != "" && facts&known != 0 && facts&multi == 0 {
		r.report(c.Place, c.Key)
	}
}

// isMFA reports whether the key tells of MFA; long-lived credentials lack both.
func isMFA(key string) bool {
	return strings.EqualFold(key, "aws:MultiFactorAuthPresent") || strings.EqualFold(key, "aws:MultiFactorAuthAge")
}

func mfaIfExists(r *run, s *policy.Statement, c *policy.Condition) {
	open := c.IfExists && !hasValue(c, "false") || c.Operator == "Null" && hasValue(c, "true")
	if isMFA(c.Key) && open && !asksForPresence(s, c.Key) {
		r.report(c.Place, c.Key)
	}
}

func mfaDenyWithoutIfExists(r *run, s *policy.Statement, c *policy.Condition) {
	if s.Deny && strings.EqualFold(c.Key, "aws:MultiFactorAuthPresent") && c.Operator == "Bool" && hasValue(c, "false") &&
		!holdsWithoutKey(c) {
		r.report(c.Place, c.Key)
	}
}

// mayLack reports whether a request may come without the key although nothing else in the statement minds.
func mayLack(s *policy.Statement, c *policy.Condition) bool {
	return factsOf(c.Key)&always == 0 && !asksForPresence(s, c.Key)
}

func ifExistsOpen(r *run, s *policy.Statement, c *policy.Condition) {
	if c.IfExists && c.Set != "ForAllValues" && !isMFA(c.Key) && mayLack(s, c) {
		r.report(c.Place, c.Key)
	}
}

func negatedOpen(r *run, s *policy.Statement, c *policy.Condition) {
	if c.Negated && c.Set == "" && !c.IfExists && mayLack(s, c) {
		r.report(c.Place, c.Key)
	}
}

func wildcardInExactOperator(r *run, c *policy.Condition, v *policy.Value) {
	exact := strings.HasPrefix(c.Operator, "String") && !takesWildcards(c)
	if exact && strings.Contains(strings.ReplaceAll(v.Text, "${*}", ""), "*") {
		r.report(v.Place, v.Text)
	}
}

func variableInOldVersion(r *run) {
	if r.document.Version() == "2012-10-17" {
		return
	}
	look := func(v *policy.Value) {
		if _, after, found := strings.Cut(v.Text, "${"); found && strings.Contains(after, "}") {
			r.report(v.Place, v.Text)
		}
	}
	for i := range r.statements {
		s := &r.statements[i]
		for j := range s.Resource.Values {
			look(&s.Resource.Values[j])
		}
		for j := range s.Conditions {
			for k := range s.Conditions[j].Values {
				look(&s.Conditions[j].Values[k])
			}
		}
	}
}

func oldVersion(r *run) {
	if r.document.Version() != "2012-10-17" {
		r.report(policy.Place{Path: "Version"}, "")
	}
}

func yearAsEpoch(r *run, c *policy.Condition, v *policy.Value) {
	if strings.HasPrefix(c.Operator, "Date") && len(v.Text) == len("2026") && strings.Trim(v.Text, "0123456789") == "" {
		r.report(v.Place, v.Text)
	}
}

func arnValueIncomplete(r *run, c *policy.Condition, v *policy.Value) {
	if strings.HasPrefix(c.Operator, "Arn") && strings.Count(v.Text, ":") < 5 && !strings.Contains(v.Text, "${") {
		r.report(v.Place, v.Text)
	}
}

func stringOperatorOnARN(r *run, c *policy.Condition, v *policy.Value) {
	if strings.HasPrefix(c.Operator, "String") && takesWildcards(c) && factsOf(c.Key)&isARN != 0 && strings.Contains(v.Text, "*") {
		r.report(v.Place, v.Text)
	}
}

func networkEverything(r *run, c *policy.Condition, v *policy.Value) {
	if !strings.HasSuffix(c.Operator, "IpAddress") {
		return
	}
	if network, err := netip.ParsePrefix(v.Text); err == nil && network.Bits() == 0 {
		r.report(v.Place, v.Text)
	}
}

// unknownKey speaks of the prefixes that AWS reserves and stint fills; other services have keys of their own.
func unknownKey(r *run, _ *policy.Statement, c *policy.Condition) {
	prefix, _, _ := strings.Cut(strings.ToLower(c.Key), ":")
	if (prefix == "aws" || prefix == "sts") && factsOf(c.Key) == 0 {
		r.report(c.Place, c.Key)
	}
}
