package lint

import (
	"strings"

	"github.com/stint-sts/stint/policy"
)

// sharedIssuer is an OpenID Connect issuer that signs for many customers. A trust policy must say whose tokens it means, or it
// trusts all of them.
type sharedIssuer struct {
	host   string   // also the path; no scheme
	claims []string // each of them names the customer
}

// sharedIssuers follows AWS IAM User Guide, "Identity-provider controls for shared OIDC providers", and adds claims that name
// the customer as surely as the one that AWS asks for.
var sharedIssuers = []sharedIssuer{
	{"token.actions.githubusercontent.com", []string{"sub", "repository", "repository_id", "repository_owner_id", "enterprise_id"}},
	{"vstoken.actions.githubusercontent.com", []string{"sub"}},
	{"oidc-configuration.audit-log.githubusercontent.com", []string{"sub"}},
	{"gitlab.com", []string{"sub", "namespace_id", "project_id"}},
	{"agent.buildkite.com", []string{"sub", "organization_id", "organization_slug", "cluster_id", "pipeline_id"}},
	{"app.terraform.io", []string{"sub"}},
	{"oidc.codefresh.io", []string{"sub"}},
	{"scalr.io", []string{"sub"}},
	{"proidc.upbound.io", []string{"sub"}},
	{"studio.datachain.ai/api", []string{"sub"}},
	{"tokens.cloud.shisho.dev", []string{"sub"}},
	{"api.pulumi.com/oidc", []string{"aud"}},
	{"oidc.vercel.com", []string{"aud"}},
	{"sandboxes.cloud", []string{"aud"}},
	{"cognito-identity.amazonaws.com", []string{"aud"}},
	{"accounts.google.com", []string{"aud", "sub", "google/organization_number"}},
	{"login.microsoftonline.com/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0", []string{"sub", "oid"}}, // personal accounts of everybody
	{"graph.facebook.com", []string{"app_id", "id"}},
	{"www.amazon.com", []string{"app_id", "user_id"}},
	{"sts.windows.net/33e01921-4d64-4f8c-a055-5bdaffd5e33d", []string{sessionNameOnly}}, // Microsoft Sentinel
}

// sessionNameOnly stands for the issuer whose customers are told apart by sts:RoleSessionName.
const sessionNameOnly = "sts:RoleSessionName"

func findSharedIssuer(host string) *sharedIssuer {
	host = strings.TrimSuffix(strings.ToLower(host), "/")
	for i := range sharedIssuers {
		if sharedIssuers[i].host == host {
			return &sharedIssuers[i]
		}
	}
	return nil
}

// tenantClaim returns the claim that a key of the issuer names the customer by; "" when it does not.
func (i *sharedIssuer) tenantClaim(key string) string {
	for _, claim := range i.claims {
		if claim == sessionNameOnly && strings.EqualFold(key, claim) {
			return claim
		}
	}
	host, claim := cutClaim(key)
	if !strings.EqualFold(strings.TrimSuffix(host, "/"), i.host) {
		return ""
	}
	for _, c := range i.claims {
		if strings.EqualFold(c, claim) {
			return c
		}
	}
	return ""
}

// fixesTenant reports whether a value names one customer before its first wildcard. Subjects are made of a word, a colon, the
// customer, and a slash or colon: repo:OWNER/…, project_path:GROUP/…, organization:NAME:…. Other claims name the customer
// with their whole value, repository with what precedes its slash.
func fixesTenant(claim string, wildcards bool, value string) bool {
	fixed, wild := fixedPart(wildcards, value)
	if !wild {
		return value != ""
	}
	switch claim {
	case "sub":
		_, rest, found := strings.Cut(fixed, ":")
		return found && strings.IndexAny(rest, "/:") > 0
	case "repository":
		return strings.Index(fixed, "/") > 0
	default:
		return false
	}
}

// endsInsideName reports whether a value with a wildcard leaves the name before it open: repo:OWNER/REPO* also fits
// repo:OWNER/REPOSITORY.
func endsInsideName(wildcards bool, value string) bool {
	fixed, wild := fixedPart(wildcards, value)
	_, rest, found := strings.Cut(fixed, ":")
	if !wild || !found {
		return false
	}
	_, name, found := strings.Cut(rest, "/")
	return found && name != "" && !strings.ContainsAny(name, ":")
}

// fixedPart returns what precedes the first wildcard or variable, and whether there is one.
func fixedPart(wildcards bool, value string) (fixed string, wild bool) {
	end := strings.Index(value, "${")
	if wildcards {
		if i := strings.IndexAny(value, "*?"); i >= 0 && (end < 0 || i < end) {
			end = i
		}
	}
	if end < 0 {
		return value, false
	}
	return value[:end], true
}

// oidcHost returns the issuer of a principal that is an OpenID Connect provider.
func oidcHost(v *policy.Value) (string, bool) {
	if v.Type != "Federated" {
		return "", false
	}
	if _, host, found := strings.Cut(v.Text, ":oidc-provider/"); found {
		return host, true
	}
	return v.Text, !strings.Contains(v.Text, ":") // a built-in provider
}

// eachIssuer calls do with every OpenID Connect provider that the statement lets in with a token.
func eachIssuer(s *policy.Statement, do func(v *policy.Value, host string)) {
	if !takes(s, "sts:AssumeRoleWithWebIdentity") {
		return
	}
	for i := range s.Principal.Values {
		if host, ok := oidcHost(&s.Principal.Values[i]); ok {
			do(&s.Principal.Values[i], host)
		}
	}
}

func oidcNoAudience(r *run, s *policy.Statement) {
	eachIssuer(s, func(v *policy.Value, host string) {
		if !restrictsAny(s, host+":aud", host+":oaud", host+":app_id") {
			r.report(v.Place, host)
		}
	})
}

func oidcNoSubject(r *run, s *policy.Statement) {
	eachIssuer(s, func(v *policy.Value, host string) {
		if findSharedIssuer(host) == nil && !restrictsClaim(s, host) {
			r.report(v.Place, host)
		}
	})
}

// oidcNoOriginalAudience finds trust in Google's tokens that says by azp whose they are, and not for whom. Service accounts get
// tokens for any audience; who receives one for another service could pass it on.
func oidcNoOriginalAudience(r *run, s *policy.Statement) {
	eachIssuer(s, func(v *policy.Value, host string) {
		if strings.EqualFold(host, "accounts.google.com") && restricts(s, host+":aud") && !restricts(s, host+":oaud") {
			r.report(v.Place, host)
		}
	})
}

const serviceAccountSubject = "system:serviceaccount:" // of Kubernetes; namespace and name follow

func oidcPatternOfNamespaces(r *run, s *policy.Statement) {
	eachIssuer(s, func(_ *policy.Value, host string) {
		for i := range s.Conditions {
			c := &s.Conditions[i]
			if c.Negated || !strings.EqualFold(c.Key, host+":sub") {
				continue
			}
			for j := range c.Values {
				fixed, wild := fixedPart(takesWildcards(c), c.Values[j].Text)
				namespace, ok := strings.CutPrefix(fixed, serviceAccountSubject)
				if wild && ok && !strings.Contains(namespace, ":") && !restrictsAny(s, host+":kubernetes.io/namespace") {
					r.report(c.Values[j].Place, c.Values[j].Text)
				}
			}
		}
	})
}

// restrictsClaim reports whether a claim other than the audience says who the token must be for.
func restrictsClaim(s *policy.Statement, host string) bool {
	for i := range s.Conditions {
		c := &s.Conditions[i]
		issuer, claim := cutClaim(c.Key)
		if strings.EqualFold(issuer, host) && claim != "aud" && claim != "oaud" && claim != "amr" && compares(c) {
			return true
		}
	}
	return restrictsAny(s, "sts:RoleAuthorizedByIdp")
}

// tenantOf returns how the statement tells the customers of a shared issuer apart: fixed when some condition names one, else
// the values of the first condition that tries to.
func tenantOf(s *policy.Statement, issuer *sharedIssuer) (fixed bool, open []*policy.Value) {
	for i := range s.Conditions {
		c := &s.Conditions[i]
		claim := issuer.tenantClaim(c.Key)
		if claim == "" || c.Operator == "Null" || c.Negated || holdsWithoutKey(c) {
			continue
		}
		var others []*policy.Value
		for j := range c.Values {
			if !fixesTenant(claim, takesWildcards(c), c.Values[j].Text) {
				others = append(others, &c.Values[j])
			}
		}
		if len(others) == 0 {
			return true, nil
		}
		if open == nil {
			open = others
		}
	}
	return false, open
}

func oidcNoTenant(r *run, s *policy.Statement) {
	eachIssuer(s, func(v *policy.Value, host string) {
		if issuer := findSharedIssuer(host); issuer != nil {
			if fixed, open := tenantOf(s, issuer); !fixed && open == nil {
				r.report(v.Place, host)
			}
		}
	})
}

func oidcPatternOfOthers(r *run, s *policy.Statement) {
	eachIssuer(s, func(_ *policy.Value, host string) {
		if issuer := findSharedIssuer(host); issuer != nil {
			_, open := tenantOf(s, issuer)
			for _, v := range open {
				r.report(v.Place, v.Text)
			}
		}
	})
}

func oidcPatternOfNames(r *run, s *policy.Statement) {
	eachIssuer(s, func(_ *policy.Value, host string) {
		if findSharedIssuer(host) == nil {
			return
		}
		for i := range s.Conditions {
			c := &s.Conditions[i]
			if c.Negated || !strings.EqualFold(c.Key, host+":sub") {
				continue
			}
			for j := range c.Values {
				if endsInsideName(takesWildcards(c), c.Values[j].Text) {
					r.report(c.Values[j].Place, c.Values[j].Text)
				}
			}
		}
	})
}
