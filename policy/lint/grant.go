package lint

import (
	"slices"
	"strings"

	"github.com/stint-sts/stint/policy"
)

// reach tells which resources make an action a way to more permissions.
type reach uint8

const (
	onBroad       reach = iota // every resource of the type
	onBroadOrSelf              // also the caller itself
)

// escalation is the rule of a way to more permissions: an Allow of one of the actions on resources of that reach, unless a
// positive condition on one of the keys tames it, or the document denies it elsewhere.
func escalation(id, sentence, safe string, on reach, tamedBy []string, actions ...string) rule {
	return rule{Rule{id, Error, sentence, safe}, of(policy.Identity), allows(func(r *run, s *policy.Statement) {
		if s.Action.Negated || s.Resource.Negated || restrictsAny(s, tamedBy...) || grantsAll(s) {
			return // allow-not-action, allow-not-resource, allow-everything and escalation-iam-all tell of the others
		}
		for _, v := range s.Action.Values {
			if action, ok := firstCovered(v.Text, actions); ok && reaches(s, on) && !r.denied(s, action) {
				r.report(v.Place, v.Text)
			}
		}
	})}
}

func firstCovered(pattern string, actions []string) (string, bool) {
	for _, a := range actions {
		if coversAction(pattern, a) {
			return a, true
		}
	}
	return "", false
}

// reaches reports whether a resource of the statement is as broad as asked.
func reaches(s *policy.Statement, on reach) bool {
	return slices.ContainsFunc(s.Resource.Values, func(v policy.Value) bool {
		return isBroad(v.Text) || on == onBroadOrSelf && namesCaller(v.Text)
	})
}

// isBroad reports whether a resource pattern covers IAM's objects and names nothing within their type: *, arn:aws:iam::1:*,
// arn:aws:iam::1:role/*.
func isBroad(resource string) bool {
	if resource == "*" {
		return true
	}
	parts := strings.SplitN(resource, ":", 6)
	if len(parts) < 3 || parts[2] != "iam" {
		return false
	}
	last := parts[len(parts)-1]
	if _, name, found := strings.Cut(last, "/"); found {
		last = name
	}
	return len(parts) < 6 || strings.Contains(last, "*") && strings.Trim(last, "*?/") == ""
}

// namesCaller reports whether a resource is made of the caller's own name or id.
func namesCaller(resource string) bool {
	resource = strings.ToLower(resource)
	return strings.Contains(resource, "${aws:username}") || strings.Contains(resource, "${aws:userid}")
}

// denied reports whether a Deny without conditions takes the action of the statement back.
func (r *run) denied(s *policy.Statement, action string) bool {
	one := *s
	one.Action = policy.Element{Values: []policy.Value{{Text: action}}}
	return slices.ContainsFunc(r.statements, func(d policy.Statement) bool {
		return d.Deny && len(d.Conditions) == 0 && coversStatement(&d, &one)
	})
}

// grantsAll reports whether the statement allows all of iam: or more; then it is told once and not for every action.
func grantsAll(s *policy.Statement) bool {
	return slices.ContainsFunc(s.Action.Values, func(v policy.Value) bool { return coversAction(v.Text, "iam:*") }) &&
		reaches(s, onBroad)
}

func allowEverything(r *run, s *policy.Statement) {
	if s.Action.Negated || s.Resource.Negated || !coversElement(&s.Resource, &everything, coversResource) {
		return
	}
	for _, v := range s.Action.Values {
		if v.Text == "*" {
			r.report(v.Place, "")
		}
	}
}

var everything = policy.Element{Values: []policy.Value{{Text: "*"}}}

func escalateByAll(r *run, s *policy.Statement) {
	if s.Action.Negated || s.Resource.Negated || !grantsAll(s) {
		return
	}
	for _, v := range s.Action.Values {
		if v.Text != "*" && coversAction(v.Text, "iam:*") {
			r.report(v.Place, v.Text)
		}
	}
}

// stsActions are the actions of STS, also those without an API of their own. Source: Service Authorization Reference, "Actions
// defined by AWS Security Token Service".
var stsActions = []string{
	"sts:AssumeRole", "sts:AssumeRoleWithSAML", "sts:AssumeRoleWithWebIdentity", "sts:AssumeRoot",
	"sts:DecodeAuthorizationMessage", "sts:GetAccessKeyInfo", "sts:GetCallerIdentity", "sts:GetDelegatedAccessToken",
	"sts:GetFederationToken", "sts:GetServiceBearerToken", "sts:GetSessionToken", "sts:GetWebIdentityToken", "sts:SetContext",
	"sts:SetSourceIdentity", "sts:TagGetWebIdentityToken", "sts:TagSession",
}

func unknownSTSAction(r *run) {
	for i := range r.statements {
		for _, v := range r.statements[i].Action.Values {
			if !strings.HasPrefix(strings.ToLower(v.Text), "sts:") {
				continue
			}
			if _, ok := firstCovered(v.Text, stsActions); !ok {
				r.report(v.Place, v.Text)
			}
		}
	}
}

// withoutResource are the actions of STS whose requests name no resource. Source: as stsActions.
var withoutResource = []string{"sts:DecodeAuthorizationMessage", "sts:GetAccessKeyInfo", "sts:GetServiceBearerToken",
	"sts:GetWebIdentityToken", "sts:TagGetWebIdentityToken"}

func actionWithoutResource(r *run, s *policy.Statement) {
	if s.Action.Negated || s.Resource.Negated || coversElement(&s.Resource, &everything, coversResource) {
		return
	}
	for _, v := range s.Action.Values {
		if slices.ContainsFunc(withoutResource, func(a string) bool { return strings.EqualFold(a, v.Text) }) {
			r.report(v.Place, v.Text)
		}
	}
}
