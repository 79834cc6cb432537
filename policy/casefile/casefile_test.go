package casefile_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/stint-sts/stint/policy"
	"github.com/stint-sts/stint/policy/casefile"
)

const all = `{"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`

func open(name string) (string, error) {
	if name == "all.json" {
		return all, nil
	}
	return "", errors.New("no file " + name)
}

func TestRead_Principals(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, yaml string
		want       policy.Principal
	}{
		{"a user", "arn:aws:iam::111122223333:user/eng/alice", policy.Principal{Type: policy.User, ARN: "arn:aws:iam::111122223333:user/eng/alice", Account: "111122223333"}},
		{"the root user", "arn:aws:iam::111122223333:root", policy.Principal{Type: policy.Root, ARN: "arn:aws:iam::111122223333:root", Account: "111122223333"}},
		{"a role session, of a role without path", "arn:aws:sts::111122223333:assumed-role/R/s", policy.Principal{Type: policy.RoleSession, ARN: "arn:aws:sts::111122223333:assumed-role/R/s", RoleARN: "arn:aws:iam::111122223333:role/R", Account: "111122223333"}},
		{"a role session", `{type: role-session, arn: "arn:aws:sts::111122223333:assumed-role/R/s", roleArn: "arn:aws:iam::111122223333:role/p/R", id: AROA7}`, policy.Principal{Type: policy.RoleSession, ARN: "arn:aws:sts::111122223333:assumed-role/R/s", RoleARN: "arn:aws:iam::111122223333:role/p/R", Account: "111122223333", ID: "AROA7"}},
		{"a federated user", `{type: federated-user, arn: f, account: 012345678901, userArn: u}`, policy.Principal{Type: policy.FederatedUser, ARN: "f", Account: "012345678901", UserARN: "u"}},
		{"a provider", "arn:aws:iam::111122223333:saml-provider/Okta", policy.Principal{Type: policy.Federated, ARN: "arn:aws:iam::111122223333:saml-provider/Okta", Account: "111122223333"}},
		{"a built-in provider", "cognito-identity.amazonaws.com", policy.Principal{Type: policy.Federated, ARN: "cognito-identity.amazonaws.com"}},
		{"a service", "ec2.amazonaws.com", policy.Principal{Type: policy.Service, ARN: "ec2.amazonaws.com"}},
		{"nobody", "{type: anonymous}", policy.Principal{}},
		{"a federated user by ARN, whose maker is not known", "arn:aws:sts::111122223333:federated-user/f", policy.Principal{Type: 99}},
		{"a group", "arn:aws:iam::111122223333:group/g", policy.Principal{Type: 99}},
		{"an unknown field", "{type: root, arm: x}", policy.Principal{Type: 99}},
		{"nothing", "''", policy.Principal{Type: 99}},
	} {
		cases, err := casefile.Read("a.yaml", "request: {action: 'a:b', resource: '*', principal: "+row.yaml+"}\npolicies: {}\nexpect: Allow\n", open)
		if row.want.Type == 99 {
			if err == nil || !strings.HasPrefix(err.Error(), "a.yaml:1: principal: ") {
				t.Errorf("%s: %v", row.name, err)
			}
			continue
		}
		if err != nil || len(cases) != 1 || *cases[0].Request.Principal != row.want {
			t.Errorf("%s: %v %+v", row.name, err, cases)
		}
	}
}

func TestRead_Case(t *testing.T) {
	t.Parallel()
	cases, err := casefile.Read("a.yml", `
- id: one
  why: because
  request:
    action: s3:Get
    resource: arn:aws:s3:us-east-1:444455556666:b
    principal: arn:aws:iam::111122223333:root
    context: {n: 0077, b: true, l: [1, x], e: [], d: 2026-11-28, nothing: ""}
  policies:
    identity: [{file: all.json}, '`+all+`']
    session: []
    scps: [[], [{file: all.json}]]
  expect: null
`, open)
	if err != nil || len(cases) != 1 {
		t.Fatal(err)
	}
	c := cases[0]
	if c.Place != "a.yml:2" || c.ID != "one" || c.Why != "because" || c.Expect != "" || c.Request.ResourceAccount != "444455556666" {
		t.Errorf("%+v", c)
	}
	for key, want := range map[string][]string{"n": {"0077"}, "b": {"true"}, "l": {"1", "x"}, "e": {}, "d": {"2026-11-28"}, "nothing": {""}} {
		got, multi, present := c.Request.Context.Lookup(key)
		if !present || multi != (key == "l" || key == "e") || strings.Join(got, "|") != strings.Join(want, "|") || len(got) != len(want) {
			t.Errorf("%s: %q %v %v", key, got, multi, present)
		}
	}
	p := c.Policies
	if len(p.Identity) != 2 || p.Session == nil || len(p.Session) != 0 || p.Boundary != nil || p.Resource != nil || len(p.ServiceControl) != 2 || len(p.ServiceControl[1]) != 1 {
		t.Errorf("%+v", p)
	}
}

func TestRead_ReturnsWhatItCan(t *testing.T) {
	t.Parallel()
	const good = `{"request":{"action":"a:b","resource":"*","principal":"ec2.amazonaws.com","context":{"n":7,"t":true}},"policies":{"resource":null},"expect":"Allow"}`
	cases, err := casefile.Read("a.jsonl", good+"\n\nnonsense\n"+strings.Replace(good, "Allow", "allow", 1)+"\n"+good, open)
	if len(cases) != 2 || cases[1].Place != "a.jsonl:5" {
		t.Errorf("%+v", cases)
	}
	if err == nil || !strings.Contains(err.Error(), "a.jsonl:3: case: ") || !strings.Contains(err.Error(), "\na.jsonl:4: expect \"allow\"") {
		t.Errorf("%v", err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add("a.jsonl", `{"id":"a","request":{"action":"a:b","resource":"*","principal":{"type":"root","arn":"arn:aws:iam::111122223333:root"},`+
		`"context":{"k":["v"],"n":7}},"policies":{"identity":[`+all+`],"scps":[[]]},"expect":"Allow"}`)
	f.Add("a.yaml", "- request: {action: a:b, resource: '*', principal: ec2.amazonaws.com}\n  policies: {}\n  expect: Allow\n---\n&a [*a]\n")
	f.Add("a.yaml", "request: &r {action: a:b, resource: '*', principal: arn:aws:sts::111122223333:assumed-role/R/s}\nx: *r\n")
	f.Fuzz(func(t *testing.T, name, text string) {
		cases, err := casefile.Read(name, text, open)
		if err != nil && !strings.HasPrefix(err.Error(), name+":") || err == nil && len(cases) == 0 {
			t.Fatalf("%d cases, %v", len(cases), err)
		}
		for _, c := range cases {
			if c.Request == nil || c.Request.Principal == nil || c.Policies == nil || !strings.HasPrefix(c.Place, name+":") {
				t.Fatalf("incomplete: %+v", c)
			}
			policy.Explain(c.Request, c.Policies)
		}
	})
}
