package policy_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/stint-sts/stint/policy"
)

// The worked cases of the reference, by their numbers. Cases about other parts of stint (parameter ranges, tokens, MFA codes)
// are tested there; those whose decision the engine makes are all here.

// statementSyntax is a short way to write a statement: "Allow store:Get on ARN to PRINCIPAL if JSON". "Not:" before the actions
// makes NotAction, noton and notto make NotResource and NotPrincipal, and lists are separated by "|".
var statementSyntax = regexp.MustCompile(`^(Allow|Deny) (Not:)?(.+?)(?: (on|noton) (\S+))?(?: (to|notto) (\S+))?(?: if (\{.*\}))?$`)

// st makes JSON of a statement in short form.
func st(t *testing.T, text string) string {
	t.Helper()
	m := statementSyntax.FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("statement %q", text)
	}
	list := func(s string) string { return `["` + strings.ReplaceAll(s, "|", `","`) + `"]` }
	out := fmt.Sprintf(`{"Effect":%q`, m[1])
	if m[2] == "" {
		out += `,"Action":` + list(m[3])
	} else {
		out += `,"NotAction":` + list(m[3])
	}
	switch m[4] {
	case "on":
		out += `,"Resource":` + list(m[5])
	case "noton":
		out += `,"NotResource":` + list(m[5])
	}
	if m[6] != "" {
		name := map[string]string{"to": "Principal", "notto": "NotPrincipal"}[m[6]]
		key := "AWS"
		if strings.Contains(m[7], "-provider/") {
			key = "Federated"
		}
		out += fmt.Sprintf(`,%q:{%q:%s}`, name, key, list(m[7]))
	}
	if m[8] != "" {
		out += `,"Condition":` + m[8]
	}
	return out + "}"
}

// doc is a document of statements; a first element "2008" or "noversion" changes the version.
func doc(t *testing.T, statements ...string) string {
	t.Helper()
	version := `"Version":"2012-10-17",`
	switch statements[0] {
	case "2008":
		version, statements = `"Version":"2008-10-17",`, statements[1:]
	case "noversion":
		version, statements = "", statements[1:]
	}
	for i := range statements {
		statements[i] = st(t, statements[i])
	}
	return "{" + version + `"Statement":[` + strings.Join(statements, ",") + "]}"
}

func parse(t *testing.T, kind policy.Kind, text string) *policy.Document {
	t.Helper()
	d, err := policy.Parse(kind, text)
	if err != nil {
		t.Fatalf("%v policy %s: %v", kind, text, err)
	}
	return d
}

// given are the policies of a case, as statements. nil: not attached.
type given struct {
	id, sp, pb, rp, tp, scp []string
	managedSP               []string // a second session policy
}

func (g given) build(t *testing.T) *policy.Policies {
	t.Helper()
	p := &policy.Policies{}
	attach := func(kind policy.Kind, statements []string) *policy.Document {
		if statements == nil {
			return nil
		}
		return parse(t, kind, doc(t, append([]string(nil), statements...)...))
	}
	if g.id != nil {
		p.Identity = []*policy.Document{attach(policy.Identity, g.id)}
	}
	for _, sp := range [][]string{g.sp, g.managedSP} {
		if sp != nil {
			p.Session = append(p.Session, attach(policy.Session, sp))
		}
	}
	p.Boundary = attach(policy.Boundary, g.pb)
	if p.Resource = attach(policy.Trust, g.tp); p.Resource == nil {
		p.Resource = attach(policy.Resource, g.rp)
	}
	if g.scp != nil {
		p.ServiceControl = [][]*policy.Document{{attach(policy.ServiceControl, g.scp)}}
	}
	return p
}

// caller returns a principal and the context keys that come with it.
func caller(name string) (*policy.Principal, map[string]string) {
	all := callers()
	switch name {
	case "alice":
		return all[0], map[string]string{"aws:username": "alice", "aws:PrincipalArn": alice}
	case "s1":
		return all[1], map[string]string{"aws:PrincipalArn": roleR}
	case "bob":
		return all[2], map[string]string{"aws:PrincipalArn": fedBob}
	case "root":
		return all[3], nil
	case "x1":
		return all[4], map[string]string{"aws:PrincipalArn": roleX}
	case "token":
		return all[5], map[string]string{"aws:FederatedProvider": provider}
	case "userB":
		arn := "arn:aws:iam::" + accountB + ":user/carol"
		return &policy.Principal{Type: policy.User, ARN: arn, Account: accountB, ID: "AIDACAROL"}, map[string]string{"aws:PrincipalArn": arn}
	default:
		panic(name)
	}
}

type decisionCase struct {
	name     string
	given    given
	caller   string
	action   string
	resource string
	context  map[string]string
	lists    map[string][]string
	want     string // ALLOW, IMPLICIT or EXPLICIT, perhaps with the layer after a blank
}

func (c decisionCase) run(t *testing.T) {
	t.Helper()
	who, keys := caller(c.caller)
	context := new(policy.Context)
	for k, v := range keys {
		context.Set(k, v)
	}
	for k, v := range c.context {
		context.Set(k, v)
	}
	for k, v := range c.lists {
		context.SetList(k, v)
	}
	r := &policy.Request{Principal: who, Action: c.action, Resource: c.resource, ResourceAccount: accountA, Context: context}
	if c.resource == "*" {
		r.ResourceAccount = who.Account
	}
	p := c.given.build(t)
	d := policy.Evaluate(r, p)
	effect, layer, _ := strings.Cut(c.want, " ")
	want := map[string]policy.Effect{"ALLOW": policy.Allow, "IMPLICIT": policy.ImplicitDeny, "EXPLICIT": policy.ExplicitDeny}[effect]
	if d.Effect != want || layer != "" && d.Reason.Kind.String() != layer {
		t.Errorf("got %v by %v, want %s", d.Effect, d.Reason.Kind, c.want)
	}
	checkTrace(t, c.name, r, p)
}

func runCases(t *testing.T, cases []decisionCase) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.run(t)
		})
	}
}

func TestCases_Basics(t *testing.T) {
	t.Parallel()
	runCases(t, []decisionCase{
		{"A1 nothing attached", given{}, "alice", "store:Get", docA, nil, nil, "IMPLICIT identity"},
		{"A2 allowed", given{id: []string{"Allow store:Get on " + docA}}, "alice", "store:Get", docA, nil, nil, "ALLOW identity"},
		{"A3 deny beats allow", given{id: []string{"Allow * on *", "Deny store:Get on " + docA}}, "alice", "store:Get", docA, nil, nil, "EXPLICIT identity"},
		{"A3 in the other order", given{id: []string{"Deny store:Get on " + docA, "Allow * on *"}}, "alice", "store:Get", docA, nil, nil, "EXPLICIT"},
		{"A4 actions ignore case", given{id: []string{"Allow STORE:gEt on " + docA}}, "alice", "store:Get", docA, nil, nil, "ALLOW"},
		{"A5 question mark is one character", given{id: []string{"Allow store:G?t on *"}}, "alice", "store:Get", docA, nil, nil, "ALLOW"},
		{"A6 question mark is not optional", given{id: []string{"Allow store:G?t on *"}}, "alice", "store:Gt", docA, nil, nil, "IMPLICIT"},
		{"A7 no trimming", given{id: []string{"Allow store:Get  on *"}}, "alice", "store:Get", docA, nil, nil, "IMPLICIT"},
		{"A9 everything but iam", given{id: []string{"Allow Not:iam:* on *"}}, "alice", "store:Get", docA, nil, nil, "ALLOW"},
		{"A10 not covered is not denied", given{id: []string{"Allow Not:iam:* on *"}}, "alice", "iam:ListUsers", "*", nil, nil, "IMPLICIT"},
		{"A11 deny everything but", given{id: []string{"Deny Not:sts:AssumeRole on *", "Allow * on *"}}, "alice", "store:Get", docA, nil, nil, "EXPLICIT"},
		{"A15 root needs no policy", given{}, "root", "store:Get", docA, nil, nil, "ALLOW none"},
	})
	t.Run("A12 statement as one object", func(t *testing.T) {
		t.Parallel()
		d := parse(t, policy.Identity, `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"store:Get","Resource":"*"}}`)
		who, _ := caller("alice")
		r := &policy.Request{Principal: who, Action: "store:Get", Resource: docA, ResourceAccount: accountA}
		if got := policy.Evaluate(r, &policy.Policies{Identity: []*policy.Document{d}}); got.Effect != policy.Allow {
			t.Errorf("got %v", got)
		}
	})
	for name, text := range map[string]string{
		"A8 comma inside one action":    `{"Statement":{"Effect":"Allow","Action":"store:Get,store:Put","Resource":"*"}}`,
		"A13 duplicate key":             `{"Statement":{"Effect":"Deny","Action":"*","Resource":"*","Effect":"Allow"}}`,
		"A14 effect in lower case":      `{"Statement":{"Effect":"allow","Action":"*","Resource":"*"}}`,
		"D49 unknown operator":          `{"Statement":{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringMatches":{"k":"a"}}}}`,
		"I15 wildcard in a provider":    `{"Statement":{"Effect":"Allow","Action":"sts:*","Principal":{"Federated":"arn:aws:iam::111111111111:oidc-provider/*"}}}`,
		"G4 twin, wildcard in a user":   `{"Statement":{"Effect":"Allow","Action":"sts:*","Principal":{"AWS":"arn:aws:iam::111111111111:user/*"}}}`,
		"group ARNs are not principals": `{"Statement":{"Effect":"Allow","Action":"sts:*","Principal":{"AWS":"arn:aws:iam::111111111111:group/g"}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			kind := policy.Identity
			if strings.Contains(text, "Principal") {
				kind = policy.Trust
			}
			if _, err := policy.Parse(kind, text); err == nil {
				t.Error("accepted")
			}
		})
	}
}

func TestCases_Resources(t *testing.T) {
	t.Parallel()
	on := func(r string) given { return given{id: []string{"Allow * on " + r}} }
	b := "arn:aws:store:::b/*/test/*"
	runCases(t, []decisionCase{
		{"B1 star crosses a slash", on(b), "alice", "x:y", "arn:aws:store:::b/1/2/test/x", nil, nil, "ALLOW"},
		{"B2 both slashes needed", on(b), "alice", "x:y", "arn:aws:store:::b/test/x", nil, nil, "IMPLICIT"},
		{"B3 star may be empty", on(b), "alice", "x:y", "arn:aws:store:::b//test/x", nil, nil, "ALLOW"},
		{"B4 path is plain text", on("arn:aws:iam::111111111111:role/t*"), "alice", "x:y", roleR, nil, nil, "ALLOW"},
		{"B5 path is part of the ARN", on("arn:aws:iam::111111111111:role/R"), "alice", "x:y", roleR, nil, nil, "IMPLICIT"},
		{"B6 case-sensitive", on("arn:aws:iam::111111111111:role/r"), "alice", "x:y", "arn:aws:iam::111111111111:role/R", nil, nil, "IMPLICIT"},
		{"B6 twin", on("arn:aws:iam::111111111111:role/R"), "alice", "x:y", "arn:aws:iam::111111111111:role/R", nil, nil, "ALLOW"},
		{"B7 star stays in its part", on("arn:aws:svc:*:A:q"), "alice", "x:y", "arn:aws:svc:eu:x:A:q", nil, nil, "IMPLICIT"},
		{"B8 star as the last part", on("arn:aws:iam::111111111111:*"), "alice", "x:y", roleR, nil, nil, "ALLOW"},
		{"B9 trailing star runs over colons", on("arn:aws:sts:*"), "alice", "x:y", fedBob, nil, nil, "ALLOW"},
		{"B10 only a plain star covers no resource", on("arn:aws:sts::*:*"), "alice", "sts:GetWebIdentityToken", "*", nil, nil, "IMPLICIT"},
		{"B10 twin", on("*"), "alice", "sts:GetWebIdentityToken", "*", nil, nil, "ALLOW"},
		{"B11 NotResource", given{id: []string{"Allow * noton " + docA}}, "alice", "x:y", "arn:aws:store:::doc/b", nil, nil, "ALLOW"},
		{"B11 twin", given{id: []string{"Allow * noton " + docA}}, "alice", "x:y", docA, nil, nil, "IMPLICIT"},
		{"B12 an unresolved entry excludes nothing", given{id: []string{"Allow * noton arn:aws:store:::${aws:username}"}}, "s1", "x:y", "arn:aws:store:::doc/b", nil, nil, "ALLOW"},
	})
}

func TestCases_Variables(t *testing.T) {
	t.Parallel()
	const home = "Allow store:* on arn:aws:store:::home/${aws:username}/*"
	one := func(statements ...string) given { return given{id: statements} }
	const bucket = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"arn:aws:store:::bkt-${aws:PrincipalTag/team, 'common'}"}}`
	runCases(t, []decisionCase{
		{"C1 own home", one(home), "alice", "store:Get", "arn:aws:store:::home/alice/x", nil, nil, "ALLOW"},
		{"C2 no variables in 2008", one("2008", home), "alice", "store:Get", "arn:aws:store:::home/alice/x", nil, nil, "IMPLICIT"},
		{"C3 no version is 2008", one("noversion", home), "alice", "store:Get", "arn:aws:store:::home/alice/x", nil, nil, "IMPLICIT"},
		{"C4 literal text in 2008", one("2008", home), "alice", "store:Get", "arn:aws:store:::home/${aws:username}/x", nil, nil, "ALLOW"},
		{"C5 no user name in role sessions", one(home), "s1", "store:Get", "arn:aws:store:::home/s1/x", nil, nil, "IMPLICIT"},
		{"C8 a star in a tag is literal", one("Allow * on arn:aws:store:::doc/${aws:PrincipalTag/p}"), "alice", "x:y", "arn:aws:store:::doc/secret", map[string]string{"aws:PrincipalTag/p": "*"}, nil, "IMPLICIT"},
		{"C8 twin", one("Allow * on arn:aws:store:::doc/${aws:PrincipalTag/p}"), "alice", "x:y", "arn:aws:store:::doc/*", map[string]string{"aws:PrincipalTag/p": "*"}, nil, "ALLOW"},
		{"C9 escaped star", one("Allow * on arn:aws:store:::doc/${*}"), "alice", "x:y", "arn:aws:store:::doc/*", nil, nil, "ALLOW"},
		{"C10 escaped star is no wildcard", one("Allow * on arn:aws:store:::doc/${*}"), "alice", "x:y", docA, nil, nil, "IMPLICIT"},
		{"C11 negated against nothing", one("Allow * on *", `Deny * on * if {"StringNotEquals":{"aws:ResourceTag/team":"${aws:PrincipalTag/team}"}}`), "alice", "x:y", docA, map[string]string{"aws:ResourceTag/team": "red"}, nil, "EXPLICIT"},
		{"C12 nothing does not equal nothing", one(`Allow * on * if {"StringEquals":{"aws:ResourceTag/team":"${aws:PrincipalTag/team}"}}`), "alice", "x:y", docA, nil, nil, "IMPLICIT"},
		{"C13 no variables in numbers", one(`Allow * on * if {"NumericLessThan":{"k":"${aws:EpochTime}"}}`), "alice", "x:y", docA, map[string]string{"k": "1", "aws:EpochTime": "5"}, nil, "IMPLICIT"},
		{"C14 variable names ignore case", one("Allow * on arn:aws:store:::home/${AWS:UserName}"), "alice", "x:y", "arn:aws:store:::home/alice", nil, nil, "ALLOW"},
		{"C15 no second expansion", one("Allow * on arn:aws:store:::${aws:PrincipalTag/p}"), "alice", "x:y", "arn:aws:store:::alice", map[string]string{"aws:PrincipalTag/p": "${aws:username}"}, nil, "IMPLICIT"},
		{"C15 twin", one("Allow * on arn:aws:store:::${aws:PrincipalTag/p}"), "alice", "x:y", "arn:aws:store:::${aws:username}", map[string]string{"aws:PrincipalTag/p": "${aws:username}"}, nil, "ALLOW"},
	})
	for name, c := range map[string]struct {
		tag  string
		want policy.Effect
	}{"C6 default": {"", policy.Allow}, "C7 value replaces the default": {"red", policy.ImplicitDeny}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			who, _ := caller("alice")
			context := new(policy.Context)
			if c.tag != "" {
				context.Set("aws:PrincipalTag/team", c.tag)
			}
			r := &policy.Request{Principal: who, Action: "x:y", Resource: "arn:aws:store:::bkt-common", ResourceAccount: accountA, Context: context}
			p := &policy.Policies{Identity: []*policy.Document{parse(t, policy.Identity, bucket)}}
			if got := policy.Evaluate(r, p).Effect; got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}
