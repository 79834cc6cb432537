package policy_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stint-sts/stint/policy"
)

func TestDocument_Size(t *testing.T) {
	t.Parallel()
	compact := `{"Statement":{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringEquals":{"k":"a b\"\\ é"}}}}`
	spaced := strings.NewReplacer(`:{`, ": {\n\t", `,"`, ",\r\n \"").Replace(compact)
	want := len([]rune(compact))
	for _, text := range []string{compact, spaced, " " + compact + "\n"} {
		if got := parse(t, policy.Identity, text).Size(); got != want {
			t.Errorf("%q: got %d, want %d", text, got, want)
		}
	}
}

func TestDocument_Principals(t *testing.T) {
	t.Parallel()
	text := `{"Version":"2012-10-17","Statement":[
  {"Effect":"Allow", "Action":"sts:AssumeRole", "Principal" : {"AWS": ["` + alice + `" , "111111111111","` + sessionS + `"],"Service":"ec2.amazonaws.com"},
   "Condition":{"ArnEquals":{"aws:PrincipalArn":"` + alice + `"}}},
  {"Effect":"Deny","Action":"sts:AssumeRole","Principal":{"AWS":"arn:aws:iam::111111111111:rol\u0065/team/R"}},
  {"Effect":"Deny","Action":"sts:AssumeRole","Principal":{"AWS":"` + alice + `"}}]}`
	d := parse(t, policy.Trust, text)
	if diff := cmp.Diff([]string{alice, roleR}, d.Principals()); diff != "" {
		t.Error(diff)
	}
	if got := d.Rewrite(func(arn string) string { return arn }); got != text {
		t.Errorf("rewriting nothing gave %s", got)
	}
	got := d.Rewrite(func(arn string) string {
		if arn == alice {
			return "AIDAGONE"
		}
		return arn
	})
	quoted := `"` + alice + `"`
	want := strings.Replace(text, quoted+" ,", `"AIDAGONE" ,`, 1)
	want = strings.Replace(want, `{"AWS":`+quoted+`}`, `{"AWS":"AIDAGONE"}`, 1)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if !strings.Contains(got, `"aws:PrincipalArn":`+quoted) {
		t.Error("a condition value was rewritten")
	}
}

func TestDocument_PrincipalsByID(t *testing.T) {
	t.Parallel()
	d := parse(t, policy.Trust, `{"Statement":{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"AWS":["AIDAGONE","`+alice+`","AROAGONE"]}}}`)
	if diff := cmp.Diff([]string{"AIDAGONE", alice, "AROAGONE"}, d.Principals()); diff != "" {
		t.Error(diff)
	}
	want := strings.Replace(d.Text(), "AROAGONE", roleR, 1)
	if got := d.Rewrite(func(name string) string { return strings.Replace(name, "AROAGONE", roleR, 1) }); got != want {
		t.Errorf("got %s", got)
	}
}

func TestDocument_Stored(t *testing.T) {
	t.Parallel()
	const text = ` {"Statement":[{"Sid":"111111111111","Effect":"Allow","Action":"sts:AssumeRole",
		"Principal":{"AWS":[ "111111111111" , "*","arn:aws:iam::111111111111:root","222222222222"]},"Condition":{"StringEquals":{"a":"111111111111"}}},
		{"Effect":"Deny","Action":"sts:AssumeRole","Principal":{"AWS":"\u003333333333333"}}]}`
	want := strings.NewReplacer(`[ "111111111111" `, `[ "arn:aws:iam::111111111111:root" `, `"222222222222"`, `"arn:aws:iam::222222222222:root"`,
		`"\u003333333333333"`, `"arn:aws:iam::333333333333:root"`).Replace(text)
	got := parse(t, policy.Trust, text).Stored()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if again := parse(t, policy.Trust, got).Stored(); again != got {
		t.Errorf("not stable: %s", again)
	}
}

func TestDocument_ContextKeys(t *testing.T) {
	t.Parallel()
	const body = `"Statement":[
		{"Effect":"Allow","Action":"*","Resource":["arn:aws:s3:::${aws:username}/${s3:x, 'd'}/${*}","*"],
		 "Condition":{"StringLike":{"aws:UserName":"${saml:sub}*"},"ArnLike":{"aws:SourceArn":"arn:aws:x:::${a:b}"},"NumericLessThan":{"n":"${no}"}}},
		{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"Null":{"AWS:sourceARN":true,"z":true},"StringEqualsIgnoreCase":{"z":"${y}"}}}]}`
	for version, want := range map[string][]string{
		"2012-10-17": {"aws:username", "s3:x", "saml:sub", "aws:SourceArn", "a:b", "n", "z", "y"},
		"2008-10-17": {"aws:UserName", "aws:SourceArn", "n", "z"},
	} {
		text := `{"Version":"` + version + `",` + body
		if version == "2008-10-17" {
			text = strings.Replace(text, `"${no}"`, "1", 1)
		}
		if diff := cmp.Diff(want, parse(t, policy.Identity, text).ContextKeys()); diff != "" {
			t.Errorf("%s: %s", version, diff)
		}
	}
}

func TestDecision_Suffix(t *testing.T) {
	t.Parallel()
	const action = "sts:AssumeRole"
	for _, c := range []struct {
		effect policy.Effect
		layer  policy.Kind
		want   string
	}{
		{policy.Allow, policy.Identity, ""},
		{policy.ImplicitDeny, 0, ""},
		{policy.ImplicitDeny, policy.Identity, " because no identity-based policy allows the sts:AssumeRole action"},
		{policy.ImplicitDeny, policy.Resource, " because no resource-based policy allows the sts:AssumeRole action"},
		{policy.ImplicitDeny, policy.Trust, " because no role trust policy allows the sts:AssumeRole action"},
		{policy.ImplicitDeny, policy.Boundary, " because no permissions boundary allows the sts:AssumeRole action"},
		{policy.ImplicitDeny, policy.Session, " because no session policy allows the sts:AssumeRole action"},
		{policy.ImplicitDeny, policy.ServiceControl, " because no service control policy allows the sts:AssumeRole action"},
		{policy.ExplicitDeny, policy.Identity, " with an explicit deny in an identity-based policy"},
		{policy.ExplicitDeny, policy.Resource, " with an explicit deny in a resource-based policy"},
		{policy.ExplicitDeny, policy.Trust, " with an explicit deny in the role trust policy"},
		{policy.ExplicitDeny, policy.Boundary, " with an explicit deny in a permissions boundary"},
		{policy.ExplicitDeny, policy.Session, " with an explicit deny in a session policy"},
		{policy.ExplicitDeny, policy.ServiceControl, " with an explicit deny in a service control policy"},
	} {
		d := policy.Decision{Effect: c.effect, Reason: policy.Reason{Kind: c.layer}}
		if got := d.Suffix(action); got != c.want {
			t.Errorf("%v by %v: got %q, want %q", c.effect, c.layer, got, c.want)
		}
	}
}

func TestEvaluate_FailsClosed(t *testing.T) {
	t.Parallel()
	all := &policy.Policies{Identity: []*policy.Document{parse(t, policy.Identity, doc(t, "Allow * on *"))}}
	who, _ := caller("alice")
	r := &policy.Request{Principal: who, Action: "store:Get", Resource: docA, ResourceAccount: accountA}
	if policy.Evaluate(r, all).Effect != policy.Allow {
		t.Fatal("the complete request is not allowed")
	}
	for name, d := range map[string]policy.Decision{
		"no request":             policy.Evaluate(nil, all),
		"no policies":            policy.Evaluate(r, nil),
		"no principal":           policy.Evaluate(&policy.Request{Action: "sts:GetCallerIdentity"}, all),
		"no owner of a resource": policy.Evaluate(&policy.Request{Principal: who, Action: "store:Get", Resource: docA}, all),
		"anonymous":              policy.Evaluate(&policy.Request{Principal: &policy.Principal{}, Action: "store:Get", Resource: docA}, all),
		"an identity policy in the place of a resource policy": policy.Evaluate(r, &policy.Policies{Resource: all.Identity[0]}),
		"an identity policy in the place of a trust policy": policy.Evaluate(
			&policy.Request{Principal: who, Action: "sts:AssumeRole", Resource: roleT, ResourceAccount: accountA},
			&policy.Policies{Identity: all.Identity, Resource: all.Identity[0]}),
		"a nil document":   policy.Evaluate(r, &policy.Policies{Identity: []*policy.Document{nil}}),
		"an empty level":   policy.Evaluate(r, &policy.Policies{Identity: all.Identity, ServiceControl: [][]*policy.Document{{}}}),
		"an empty session": policy.Evaluate(r, &policy.Policies{Identity: all.Identity, Session: []*policy.Document{}}),
	} {
		if d.Effect == policy.Allow {
			t.Errorf("%s: allowed", name)
		}
	}
}

func TestExplain(t *testing.T) {
	t.Parallel()
	trust := parse(t, policy.Trust, doc(t, `Allow sts:AssumeRole to `+alice+`|`+accountB+` if {"StringEquals":{"sts:ExternalId":"E"},"StringLike":{"sts:RoleSessionName":"${aws:username}-*"},"Bool":{"aws:MultiFactorAuthPresent":"true"}}`))
	who, _ := caller("alice")
	context := new(policy.Context)
	context.Set("aws:username", "alice")
	context.Set("sts:RoleSessionName", "alice-laptop")
	context.Set("sts:ExternalId", "F")
	trace := policy.Explain(
		&policy.Request{Principal: who, Action: "sts:AssumeRole", Resource: roleT, ResourceAccount: accountA, Context: context},
		&policy.Policies{Resource: trust.Bind(map[string]string{alice: "AIDAALICE"})})
	var layer policy.LayerTrace
	for _, l := range trace.Layers {
		if l.Kind == policy.Trust {
			layer = l
		}
	}
	want := policy.LayerTrace{
		Kind: policy.Trust, Attached: true, Counts: true, Grant: "does not name the caller",
		Documents: []policy.DocumentTrace{{Statements: []policy.StatementTrace{{
			Effect: policy.Allow,
			Checks: []policy.Check{
				{Element: "Principal", Expected: []string{alice, accountB}, Resolved: []string{"AIDAALICE", accountB}, Got: []string{alice, "AIDAALICE"}, Holds: true, Note: "names the caller"},
				{Element: "Action", Expected: []string{"sts:AssumeRole"}, Got: []string{"sts:AssumeRole"}, Holds: true},
				{Element: "StringEquals", Key: "sts:ExternalId", Expected: []string{"E"}, Got: []string{"F"}, Present: true},
				{Element: "StringLike", Key: "sts:RoleSessionName", Expected: []string{"${aws:username}-*"}, Resolved: []string{"alice-*"}, Got: []string{"alice-laptop"}, Present: true, Holds: true},
				{Element: "Bool", Key: "aws:MultiFactorAuthPresent", Expected: []string{"true"}, Note: "the request does not have this key"},
			},
		}}}},
	}
	if diff := cmp.Diff(want, layer); diff != "" {
		t.Error(diff)
	}
}
