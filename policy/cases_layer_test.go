package policy_test

import (
	"testing"

	"github.com/stint-sts/stint/policy"
)

// l is a list of statements.
func l(statements ...string) []string { return statements }

const (
	other    = "Allow other:* on *"
	storeAll = "Allow store:* on *"
	storeNo  = "Deny store:* on *"
	getTo    = "Allow store:Get on " + docA + " to "
)

func TestCases_Layers(t *testing.T) {
	t.Parallel()
	const get = "store:Get"
	runCases(t, []decisionCase{
		{"E1 either side suffices", given{rp: l(getTo + alice)}, "alice", get, docA, nil, nil, "ALLOW resource"},
		{"E2 boundary does not limit a grant to the user", given{pb: l(other), rp: l(getTo + alice)}, "alice", get, docA, nil, nil, "ALLOW"},
		{"E3 but its Deny does", given{pb: l(storeNo), rp: l(getTo + alice)}, "alice", get, docA, nil, nil, "EXPLICIT boundary"},
		{"E4 boundary limits identity", given{id: l(storeAll), pb: l(other)}, "alice", get, docA, nil, nil, "IMPLICIT boundary"},
		{"E5 role named", given{rp: l(getTo + roleR)}, "s1", get, docA, nil, nil, "ALLOW resource"},
		{"E6 role grants stay inside the boundary", given{pb: l(other), rp: l(getTo + roleR)}, "s1", get, docA, nil, nil, "IMPLICIT boundary"},
		{"E7 session grants do not", given{pb: l(other), rp: l(getTo + sessionS)}, "s1", get, docA, nil, nil, "ALLOW"},
		{"E8 role grants stay inside session policies", given{sp: l(other), rp: l(getTo + roleR)}, "s1", get, docA, nil, nil, "IMPLICIT session"},
		{"E9 session grants do not", given{sp: l(other), rp: l(getTo + sessionS)}, "s1", get, docA, nil, nil, "ALLOW"},
		{"E10 but a Deny counts", given{sp: l(storeNo), rp: l(getTo + sessionS)}, "s1", get, docA, nil, nil, "EXPLICIT session"},
		{"E11 wildcard grants are direct", given{pb: l(other), rp: l(getTo + `* if {"ArnEquals":{"aws:PrincipalArn":"` + roleR + `"}}`)}, "s1", get, docA, nil, nil, "ALLOW"},
		{"E12 the account delegates only", given{rp: l(getTo + accountA)}, "alice", get, docA, nil, nil, "IMPLICIT identity"},
		{"E12 twin", given{id: l(storeAll), rp: l(getTo + accountA)}, "alice", get, docA, nil, nil, "ALLOW"},
		{"E13 another session", given{rp: l(getTo + "arn:aws:sts::111111111111:assumed-role/R/s2")}, "s1", get, docA, nil, nil, "IMPLICIT identity"},
		{"E14 a session is its role", given{id: l(storeAll), rp: l("Deny store:Get on " + docA + " to " + roleR)}, "s1", get, docA, nil, nil, "EXPLICIT resource"},
		{"E15 deny on the user hits federated sessions", given{id: l(storeAll), sp: l(storeAll), rp: l("Deny store:Get on " + docA + " to " + alice)}, "bob", get, docA, nil, nil, "EXPLICIT resource"},
		{"E16 federated user without session policy", given{id: l("Allow * on *")}, "bob", get, docA, nil, nil, "IMPLICIT session"},
		{"E17 intersection", given{id: l("Allow * on *"), sp: l(storeAll)}, "bob", get, docA, nil, nil, "ALLOW"},
		{"E18 session policies never grant", given{sp: l(storeAll)}, "bob", get, docA, nil, nil, "IMPLICIT identity"},
		{"E19 federated session named", given{rp: l(getTo + fedBob)}, "bob", get, docA, nil, nil, "ALLOW resource"},
		{"E20 its user named", given{rp: l(getTo + alice)}, "bob", get, docA, nil, nil, "IMPLICIT session"},
		{"E21 role session without session policy", given{id: l(storeAll)}, "s1", get, docA, nil, nil, "ALLOW"},
		{"E22 session policies form a union", given{id: l(storeAll), sp: l("Allow store:Get on *"), managedSP: l("Allow store:Put on *")}, "s1", "store:Put", docA, nil, nil, "ALLOW"},
		{"E23 and limit", given{id: l(storeAll), sp: l("Allow store:Get on *"), managedSP: l("Allow store:Put on *")}, "s1", "store:Del", docA, nil, nil, "IMPLICIT session"},
		{"E24 service control limits", given{id: l(storeAll), scp: l("Allow iam:* on *")}, "alice", get, docA, nil, nil, "IMPLICIT service control"},
		{"E26 NotPrincipal and a boundary", given{id: l(storeAll), pb: l(storeAll), rp: l("Deny store:Get on " + docA + " notto " + alice + "|arn:aws:iam::111111111111:root")}, "alice", get, docA, nil, nil, "EXPLICIT resource"},
		{"E26 twin without boundary", given{id: l(storeAll), rp: l("Deny store:Get on " + docA + " notto " + alice + "|arn:aws:iam::111111111111:root")}, "alice", get, docA, nil, nil, "ALLOW"},

		{"F1 cross-account needs both sides, no identity", given{rp: l(getTo + roleX)}, "x1", get, docA, nil, nil, "IMPLICIT identity"},
		{"F2 no resource policy", given{id: l(storeAll)}, "x1", get, docA, nil, nil, "IMPLICIT resource"},
		{"F3 both", given{id: l(storeAll), rp: l(getTo + roleX)}, "x1", get, docA, nil, nil, "ALLOW"},
		{"F4 naming the session is no short cut", given{rp: l(getTo + sessionX)}, "x1", get, docA, nil, nil, "IMPLICIT identity"},
		{"F5 nor is a star", given{rp: l(getTo + "*")}, "x1", get, docA, nil, nil, "IMPLICIT identity"},
		{"F6 account named", given{id: l(storeAll), rp: l(getTo + accountB)}, "x1", get, docA, nil, nil, "ALLOW"},
		{"F7 boundary limits", given{id: l(storeAll), pb: l(other), rp: l(getTo + roleX)}, "x1", get, docA, nil, nil, "IMPLICIT boundary"},
		{"F8 service control of the caller denies", given{id: l(storeAll), rp: l(getTo + roleX), scp: l("Allow * on *", storeNo)}, "x1", get, docA, nil, nil, "EXPLICIT service control"},
	})
	t.Run("E25 groups count", func(t *testing.T) {
		t.Parallel()
		p := &policy.Policies{Identity: []*policy.Document{
			parse(t, policy.Identity, doc(t, other)),
			parse(t, policy.Identity, doc(t, storeAll)),
		}}
		who, _ := caller("alice")
		d := policy.Evaluate(&policy.Request{Principal: who, Action: get, Resource: docA, ResourceAccount: accountA}, p)
		if d.Effect != policy.Allow || d.Reason.Document != 1 || d.Reason.Statement != 0 {
			t.Errorf("got %+v", d)
		}
	})
}

func TestCases_AssumeRole(t *testing.T) {
	t.Parallel()
	const (
		assume = "sts:AssumeRole"
		tag    = "sts:TagSession"
		source = "sts:SetSourceIdentity"
		onT    = "Allow sts:AssumeRole on " + roleT
		mfa    = ` if {"Bool":{"aws:MultiFactorAuthPresent":"true"}}`
		extID  = ` if {"StringEquals":{"sts:ExternalId":"E"}}`
		named  = ` if {"StringLike":{"sts:RoleSessionName":"${aws:username}"}}`
		srcX   = ` if {"StringEquals":{"sts:SourceIdentity":"x"}}`
	)
	trust := func(who string) []string { return l("Allow sts:AssumeRole to " + who) }
	type m = map[string]string
	type ml = map[string][]string
	runCases(t, []decisionCase{
		{"G1 user named", given{tp: trust(alice)}, "alice", assume, roleT, nil, nil, "ALLOW trust"},
		{"G2 account delegates", given{tp: trust(accountA)}, "alice", assume, roleT, nil, nil, "IMPLICIT identity"},
		{"G3 account and identity", given{tp: trust(accountA), id: l(onT)}, "alice", assume, roleT, nil, nil, "ALLOW"},
		{"G4 trust is mandatory", given{tp: trust("arn:aws:iam::111111111111:user/other"), id: l("Allow sts:* on *")}, "alice", assume, roleT, nil, nil, "IMPLICIT trust"},
		{"G4 no trust policy at all", given{id: l("Allow sts:* on *")}, "alice", assume, roleT, nil, nil, "IMPLICIT trust"},
		{"G5 everybody", given{tp: trust("*")}, "alice", assume, roleT, nil, nil, "ALLOW trust"},
		{"G6 everybody, from another account", given{tp: trust("*")}, "userB", assume, roleT, nil, nil, "IMPLICIT identity"},
		{"G7 with identity", given{tp: trust("*"), id: l(onT)}, "userB", assume, roleT, nil, nil, "ALLOW"},
		{"G8 identity denies", given{tp: trust(alice), id: l("Deny sts:AssumeRole on *")}, "alice", assume, roleT, nil, nil, "EXPLICIT identity"},
		{"G9 chaining by role trust", given{tp: trust(roleR), id: l(other)}, "s1", assume, roleT, nil, nil, "ALLOW trust"},
		{"G10 inside session policies", given{tp: trust(roleR), sp: l(storeAll)}, "s1", assume, roleT, nil, nil, "IMPLICIT session"},
		{"G11 session named", given{tp: trust(sessionS), sp: l(storeAll)}, "s1", assume, roleT, nil, nil, "ALLOW"},
		{"G12 own role through the account", given{tp: trust(accountA), id: l("Allow sts:AssumeRole on " + roleR)}, "s1", assume, roleR, nil, nil, "ALLOW"},
		{"G13 no implicit self-trust", given{tp: trust(alice), id: l("Allow sts:* on *")}, "s1", assume, roleR, nil, nil, "IMPLICIT trust"},
		{"G16 external id", given{tp: l("Allow sts:AssumeRole to " + alice + extID)}, "alice", assume, roleT, m{"sts:ExternalId": "E"}, nil, "ALLOW"},
		{"G17 no external id", given{tp: l("Allow sts:AssumeRole to " + alice + extID)}, "alice", assume, roleT, nil, nil, "IMPLICIT trust"},
		{"G17 another external id", given{tp: l("Allow sts:AssumeRole to " + alice + extID)}, "alice", assume, roleT, m{"sts:ExternalId": "F"}, nil, "IMPLICIT trust"},
		{"G18 external id not asked for", given{tp: trust(alice)}, "alice", assume, roleT, m{"sts:ExternalId": "Z"}, nil, "ALLOW"},
		{"G20 conditions are not bound to ids", given{tp: l(`Allow sts:AssumeRole to ` + accountA + ` if {"ArnEquals":{"aws:PrincipalArn":"` + alice + `"}}`), id: l(onT)}, "alice", assume, roleT, nil, nil, "ALLOW"},
		{"G23 session name", given{tp: l("Allow sts:AssumeRole to " + accountA + named), id: l(onT)}, "alice", assume, roleT, m{"sts:RoleSessionName": "alice"}, nil, "ALLOW"},
		{"G24 role sessions have no user name", given{tp: l("Allow sts:AssumeRole to " + accountA + named), id: l(onT)}, "s1", assume, roleT, m{"sts:RoleSessionName": "s1"}, nil, "IMPLICIT trust"},
		{"G25 MFA", given{tp: l("Allow sts:AssumeRole to " + alice + mfa)}, "alice", assume, roleT, m{"aws:MultiFactorAuthPresent": "true"}, nil, "ALLOW"},
		{"G26 no MFA", given{tp: l("Allow sts:AssumeRole to " + alice + mfa)}, "alice", assume, roleT, nil, nil, "IMPLICIT trust"},
		{"G28 MFA is not carried into role sessions", given{tp: l("Allow sts:AssumeRole to " + roleR + mfa)}, "s1", assume, roleT, m{"aws:MultiFactorAuthPresent": "false"}, nil, "IMPLICIT trust"},
		{"G37 identity is read at use", given{id: l(storeNo)}, "s1", "store:Get", docA, nil, nil, "EXPLICIT"},

		{"H1 tags need TagSession", given{tp: trust(alice)}, "alice", tag, roleT, nil, ml{"aws:TagKeys": {"k"}}, "IMPLICIT trust"},
		{"H2 both actions", given{tp: l("Allow sts:AssumeRole|sts:TagSession to " + alice)}, "alice", tag, roleT, nil, nil, "ALLOW"},
		{"H3 each action by itself", given{tp: l("Allow sts:AssumeRole|sts:TagSession to " + accountA), id: l(onT)}, "alice", tag, roleT, nil, nil, "IMPLICIT identity"},
		{"H10 inherited tag as resource tag", given{tp: l(`Allow sts:AssumeRole to ` + roleR + ` if {"StringEquals":{"aws:ResourceTag/team":"red"}}`)}, "s1", assume, roleT, m{"aws:ResourceTag/team": "red"}, nil, "ALLOW"},
		{"H12 a tag key outside", given{tp: l(`Allow sts:TagSession to ` + alice + ` if {"ForAllValues:StringEquals":{"aws:TagKeys":["a"]}}`)}, "alice", tag, roleT, nil, ml{"aws:TagKeys": {"a", "b"}}, "IMPLICIT trust"},
		{"H12 twin", given{tp: l(`Allow sts:TagSession to ` + alice + ` if {"ForAllValues:StringEquals":{"aws:TagKeys":["a"]}}`)}, "alice", tag, roleT, nil, ml{"aws:TagKeys": {"a"}}, "ALLOW"},
		{"H13 request tag", given{tp: l(`Allow sts:TagSession to ` + alice + ` if {"StringEquals":{"aws:RequestTag/dept":["eng","mkt"]}}`)}, "alice", tag, roleT, m{"aws:RequestTag/dept": "eng"}, nil, "ALLOW"},
		{"H16 source identity needs its action", given{tp: trust(alice)}, "alice", source, roleT, nil, nil, "IMPLICIT trust"},
		{"H21 source identity omitted", given{tp: l("Allow sts:AssumeRole|sts:SetSourceIdentity to " + alice + srcX)}, "alice", assume, roleT, nil, nil, "IMPLICIT trust"},
		{"H22 another source identity", given{tp: l("Allow sts:AssumeRole|sts:SetSourceIdentity to " + alice + srcX)}, "alice", source, roleT, m{"sts:SourceIdentity": "y"}, nil, "IMPLICIT trust"},
		{"H22 twin", given{tp: l("Allow sts:AssumeRole|sts:SetSourceIdentity to " + alice + srcX)}, "alice", source, roleT, m{"sts:SourceIdentity": "x"}, nil, "ALLOW"},
		{"H23 negated and missing", given{id: l("Allow * on *", `Deny * on * if {"StringNotEquals":{"aws:SourceIdentity":"x"}}`)}, "s1", "store:Get", docA, nil, nil, "EXPLICIT identity"},
	})
}

func TestCases_Federation(t *testing.T) {
	t.Parallel()
	const web, saml = "sts:AssumeRoleWithWebIdentity", "sts:AssumeRoleWithSAML"
	trust := given{tp: l("Allow " + web + " to " + provider + ` if {"StringEquals":{"idp.example.com:aud":"app"}}`)}
	withSub := given{tp: l("Allow " + web + " to " + provider + ` if {"StringEquals":{"idp.example.com:sub":"x"}}`)}
	byIDP := given{tp: l("Allow " + web + " to " + provider + ` if {"Bool":{"sts:RoleAuthorizedByIdp":"true"}}`)}
	staff := given{tp: l("Allow " + saml + " to " + provider + ` if {"ForAnyValue:StringEquals":{"saml:edupersonaffiliation":"staff"}}`)}
	type m = map[string]string
	runCases(t, []decisionCase{
		{"I1 audience", trust, "token", web, roleT, m{"idp.example.com:aud": "app"}, nil, "ALLOW trust"},
		{"I1 another audience", trust, "token", web, roleT, m{"idp.example.com:aud": "other"}, nil, "IMPLICIT trust"},
		{"I5 another subject", withSub, "token", web, roleT, m{"idp.example.com:sub": "y"}, nil, "IMPLICIT trust"},
		{"I11 tags without TagSession", trust, "token", "sts:TagSession", roleT, m{"idp.example.com:aud": "app"}, nil, "IMPLICIT trust"},
		{"I13 not authorized by the provider", byIDP, "token", web, roleT, m{"sts:RoleAuthorizedByIdp": "false"}, nil, "IMPLICIT trust"},
		{"I13 twin", byIDP, "token", web, roleT, m{"sts:RoleAuthorizedByIdp": "true"}, nil, "ALLOW"},
		{"I14 another action", given{tp: l("Allow sts:AssumeRole to " + provider)}, "token", web, roleT, nil, nil, "IMPLICIT trust"},
		{"I24 recipient", given{tp: l("Allow " + saml + " to " + provider + ` if {"StringEquals":{"saml:aud":"U"}}`)}, "token", saml, roleT, m{"saml:aud": "U"}, nil, "ALLOW"},
		{"I25 one of several affiliations", staff, "token", saml, roleT, nil, map[string][]string{"saml:edupersonaffiliation": {"student", "staff"}}, "ALLOW"},
		{"identity policies have no say over a token", given{tp: trust.tp, id: l("Deny * on *")}, "token", web, roleT, m{"idp.example.com:aud": "app"}, nil, "ALLOW"},
	})
}

func TestCases_OtherOperations(t *testing.T) {
	t.Parallel()
	const (
		token   = "sts:GetWebIdentityToken"
		revoked = `Deny * on * if {"DateLessThan":{"aws:TokenIssueTime":"2026-01-01T00:00:00Z"}}`
	)
	audience := given{id: l(`Allow ` + token + ` on * if {"ForAllValues:StringEquals":{"sts:IdentityTokenAudience":["a"]}}`)}
	loose := given{id: l(`Allow ` + token + ` on * if {"ForAnyValue:StringEquals":{"sts:IdentityTokenAudience":["a"]}}`)}
	old, young := map[string]string{"aws:TokenIssueTime": "2025-12-31T23:59:59Z"}, map[string]string{"aws:TokenIssueTime": "2026-01-01T00:00:01Z"}
	type ml = map[string][]string
	runCases(t, []decisionCase{
		{"J1 GetCallerIdentity under Deny", given{id: l("Deny sts:* on *")}, "alice", "sts:GetCallerIdentity", "*", nil, nil, "ALLOW none"},
		{"J2 GetCallerIdentity under a session Deny", given{sp: l("Deny * on *")}, "s1", "sts:GetCallerIdentity", "*", nil, nil, "ALLOW none"},
		{"J3 GetSessionToken under Deny", given{id: l("Deny sts:GetSessionToken on *")}, "alice", "sts:GetSessionToken", "*", nil, nil, "ALLOW none"},
		{"J5 GetFederationToken needs permission", given{}, "alice", "sts:GetFederationToken", fedBob, nil, nil, "IMPLICIT identity"},
		{"J5 twin", given{id: l("Allow sts:GetFederationToken on " + fedBob)}, "alice", "sts:GetFederationToken", fedBob, nil, nil, "ALLOW"},
		{"J5 with tags: the resource is no role, so there is no trust policy", given{id: l("Allow sts:TagSession on *")}, "alice", "sts:TagSession", fedBob, nil, nil, "ALLOW identity"},
		{"J12 audience", audience, "s1", token, "*", nil, ml{"sts:IdentityTokenAudience": {"a"}}, "ALLOW"},
		{"J13 one audience too many", audience, "s1", token, "*", nil, ml{"sts:IdentityTokenAudience": {"a", "b"}}, "IMPLICIT"},
		{"J14 the classic mistake", loose, "s1", token, "*", nil, ml{"sts:IdentityTokenAudience": {"a", "b"}}, "ALLOW"},
		{"J15 tags need their action", audience, "s1", "sts:TagGetWebIdentityToken", "*", nil, ml{"sts:IdentityTokenAudience": {"a"}}, "IMPLICIT"},
		{"J16 no resource to name", given{id: l("Allow " + token + " on arn:aws:sts::111111111111:*")}, "s1", token, "*", nil, nil, "IMPLICIT"},
		{"J18 older sessions revoked", given{id: l("Allow * on *", revoked)}, "s1", "store:Get", docA, old, nil, "EXPLICIT identity"},
		{"J18 but for GetCallerIdentity", given{id: l("Allow * on *", revoked)}, "s1", "sts:GetCallerIdentity", "*", old, nil, "ALLOW"},
		{"J19 younger session", given{id: l("Allow * on *", revoked)}, "s1", "store:Get", docA, young, nil, "ALLOW"},
		{"J21 deny beats a direct grant", given{id: l(revoked), rp: l(getTo + sessionS)}, "s1", "store:Get", docA, old, nil, "EXPLICIT identity"},
	})
}

// G19: a trust policy is bound to unique ids when it is stored.
func TestCases_UniqueIDs(t *testing.T) {
	t.Parallel()
	text := doc(t, "Allow sts:AssumeRole to "+alice+"|"+roleR)
	trust := parse(t, policy.Trust, text)
	evaluate := func(d *policy.Document, who, id string) policy.Effect {
		p, _ := caller(who)
		p.ID = id
		r := &policy.Request{Principal: p, Action: "sts:AssumeRole", Resource: roleT, ResourceAccount: accountA}
		return policy.Evaluate(r, &policy.Policies{Resource: d}).Effect
	}
	bound := trust.Bind(map[string]string{alice: "AIDA1", roleR: "AROA1"})
	unresolved := trust.Bind(nil)
	deleted := parse(t, policy.Trust, bound.Rewrite(func(arn string) string { return map[string]string{alice: "AIDA1", roleR: arn}[arn] }))
	for _, c := range []struct {
		name    string
		d       *policy.Document
		who, id string
		want    policy.Effect
	}{
		{"unbound matches the ARN", trust, "alice", "AIDA2", policy.Allow},
		{"bound matches the id", bound, "alice", "AIDA1", policy.Allow},
		{"bound, re-created user", bound, "alice", "AIDA2", policy.ImplicitDeny},
		{"bound, caller without id", bound, "alice", "", policy.ImplicitDeny},
		{"bound, role", bound, "s1", "AROA1", policy.Allow},
		{"bound, re-created role", bound, "s1", "AROA2", policy.ImplicitDeny},
		{"bound, an ARN that does not resolve", unresolved, "alice", "AIDA1", policy.ImplicitDeny},
		{"bound, neither id nor resolution", unresolved, "alice", "", policy.ImplicitDeny},
		{"bare id in the text", deleted, "alice", "AIDA1", policy.Allow},
		{"bare id of another user", deleted, "alice", "AIDA2", policy.ImplicitDeny},
		{"ARN beside the bare id", deleted, "s1", "AROA9", policy.Allow},
	} {
		if got := evaluate(c.d, c.who, c.id); got != c.want {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
}
