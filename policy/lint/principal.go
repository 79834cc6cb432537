package lint

import (
	"strings"

	"github.com/stint-sts/stint/policy"
)

// takes reports whether the Action or NotAction of a statement covers an action.
func takes(s *policy.Statement, action string) bool {
	for _, v := range s.Action.Values {
		if coversAction(v.Text, action) {
			return !s.Action.Negated
		}
	}
	return s.Action.Negated
}

func wildcardPrincipal(r *run, s *policy.Statement) {
	if restrictsAny(s, "aws:PrincipalOrgID", "aws:PrincipalOrgPaths", "aws:PrincipalAccount", "aws:PrincipalArn", "aws:userid",
		"aws:SourceAccount", "aws:SourceArn", "aws:SourceOrgID") {
		return
	}
	for _, v := range s.Principal.Values {
		if v.Type == "AWS" && v.Text == "*" && !s.Principal.Negated {
			r.report(v.Place, "")
		}
	}
}

func uniqueIDPrincipal(r *run, s *policy.Statement) {
	for _, v := range s.Principal.Values {
		if v.Type == "AWS" && (strings.HasPrefix(v.Text, "AIDA") || strings.HasPrefix(v.Text, "AROA")) {
			r.report(v.Place, v.Text)
		}
	}
}

func denyNotPrincipal(r *run, s *policy.Statement) {
	if s.Principal.Negated {
		r.report(s.Principal.Place, "")
	}
}

// actionMismatch looks at every principal by itself. Companion actions such as sts:TagSession may stand in statements apart.
func actionMismatch(r *run, s *policy.Statement) {
	for i := range s.Principal.Values {
		v := &s.Principal.Values[i]
		own := "sts:AssumeRole"
		if v.Type == "Federated" {
			if own = "sts:AssumeRoleWithWebIdentity"; strings.Contains(v.Text, ":saml-provider/") {
				own = "sts:AssumeRoleWithSAML"
			}
		}
		if v.Text == "*" || takes(s, own) || takes(s, "sts:TagSession") || takes(s, "sts:SetSourceIdentity") || takes(s, "sts:SetContext") {
			continue
		}
		r.report(v.Place, v.Text)
	}
}

func samlNoAudience(r *run, s *policy.Statement) {
	if !takes(s, "sts:AssumeRoleWithSAML") || restricts(s, "saml:aud") {
		return
	}
	for _, v := range s.Principal.Values {
		if v.Type == "Federated" && strings.Contains(v.Text, ":saml-provider/") {
			r.report(v.Place, v.Text)
		}
	}
}

func confusedDeputy(r *run, s *policy.Statement) {
	if restrictsAny(s, "aws:SourceArn", "aws:SourceAccount", "aws:SourceOrgID", "aws:SourceOrgPaths") {
		return
	}
	for _, v := range s.Principal.Values {
		if v.Type == "Service" {
			r.report(v.Place, v.Text)
		}
	}
}
