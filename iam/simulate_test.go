package iam_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stint-sts/stint/arn"
	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/authz"
	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/iam"
	"github.com/stint-sts/stint/policy"
)

// custom simulates one action by policies given as text.
func (f *fixture) custom(change func(*iam.SimulateCustomPolicyInput), policies ...string) (iam.EvaluationResult, error) {
	f.t.Helper()
	in := &iam.SimulateCustomPolicyInput{PolicyInputList: policies}
	in.ActionNames = []string{"iam:GetUser"}
	if change != nil {
		change(in)
	}
	out, err := f.SimulateCustomPolicy(f.t.Context(), f.root(), in)
	if err != nil {
		return iam.EvaluationResult{}, err
	}
	if len(out.EvaluationResults) == 0 {
		f.t.Fatal("no result")
	}
	return out.EvaluationResults[0], nil
}

func statement(body string) string { return `{"Version":"2012-10-17","Statement":[` + body + `]}` }

const (
	allowAll = `{"Effect":"Allow","Action":"*","Resource":"*"}`
	denyIAM  = `{"Effect":"Deny","Action":"iam:*","Resource":"*"}`
	alice    = "arn:aws:iam::111122223333:user/alice"
)

func TestSimulateCustomPolicy_Decisions(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	allowed, denied, silent := "allowed", "explicitDeny", "implicitDeny"
	for _, row := range []struct {
		name     string
		policies []string
		change   func(*iam.SimulateCustomPolicyInput)
		want     string
	}{
		{"an allow allows", []string{statement(allowAll)}, nil, allowed},
		{"nothing allows another action", []string{statement(`{"Effect":"Allow","Action":"sts:*","Resource":"*"}`)}, nil, silent},
		{"a deny beats an allow of another document", []string{statement(allowAll), statement(denyIAM)}, nil, denied},
		{
			"a boundary that is silent", []string{statement(allowAll)}, func(in *iam.SimulateCustomPolicyInput) {
				in.PermissionsBoundaryPolicyInputList = []string{statement(`{"Effect":"Allow","Action":"sts:*","Resource":"*"}`)}
			}, silent,
		},
		{
			"a boundary that denies", []string{statement(allowAll)}, func(in *iam.SimulateCustomPolicyInput) {
				in.PermissionsBoundaryPolicyInputList = []string{statement(allowAll + "," + denyIAM)}
			}, denied,
		},
		{
			"every level of the organization allows", []string{statement(allowAll)}, func(in *iam.SimulateCustomPolicyInput) {
				level := iam.OrganizationPolicy{ServiceControlPolicyInputList: []string{statement(allowAll)}}
				in.OrderedOrganizationPolicyInputList = []iam.OrganizationPolicy{level, level}
			}, allowed,
		},
		{
			"one level of the organization is silent", []string{statement(allowAll)}, func(in *iam.SimulateCustomPolicyInput) {
				in.OrderedOrganizationPolicyInputList = []iam.OrganizationPolicy{
					{ServiceControlPolicyInputList: []string{statement(allowAll)}},
					{ServiceControlPolicyInputList: []string{statement(`{"Effect":"Allow","Action":"sts:*","Resource":"*"}`)}},
				}
			}, silent,
		},
		{
			"a resource policy that names the caller", []string{statement(`{"Effect":"Allow","Action":"sts:*","Resource":"*"}`)},
			func(in *iam.SimulateCustomPolicyInput) {
				in.CallerARN, in.ResourceARNs = alice, []string{"arn:aws:sqs:eu-west-1:111122223333:q"}
				in.ActionNames = []string{"sqs:SendMessage"}
				in.ResourcePolicy = statement(`{"Effect":"Allow","Principal":{"AWS":"` + alice + `"},"Action":"sqs:*","Resource":"*"}`)
			}, allowed,
		},
		{
			"a resource policy of another account does not suffice", []string{statement(`{"Effect":"Allow","Action":"sts:*","Resource":"*"}`)},
			func(in *iam.SimulateCustomPolicyInput) {
				in.CallerARN, in.ResourceARNs = alice, []string{"arn:aws:sqs:eu-west-1:444455556666:q"}
				in.ActionNames = []string{"sqs:SendMessage"}
				in.ResourcePolicy = statement(`{"Effect":"Allow","Principal":{"AWS":"` + alice + `"},"Action":"sqs:*","Resource":"*"}`)
			}, silent,
		},
		{
			"a role is assumed without its trust policy being known", []string{statement(allowAll)}, func(in *iam.SimulateCustomPolicyInput) {
				in.ActionNames, in.ResourceARNs = []string{"sts:AssumeRole"}, []string{"arn:aws:iam::444455556666:role/r"}
			}, allowed,
		},
		{
			"a trust policy that trusts another", []string{statement(allowAll)}, func(in *iam.SimulateCustomPolicyInput) {
				in.CallerARN, in.ActionNames, in.ResourceARNs = alice, []string{"sts:AssumeRole"}, []string{"arn:aws:iam::111122223333:role/r"}
				in.ResourcePolicy = statement(`{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:user/bob"},"Action":"sts:AssumeRole"}`)
			}, silent,
		},
		{
			"a condition on a value that is given",
			[]string{statement(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}}`)},
			func(in *iam.SimulateCustomPolicyInput) {
				in.ContextEntries = []iam.ContextEntry{{ContextKeyName: "aws:sourceip", ContextKeyType: "ip", ContextKeyValues: []string{"10.1.2.3"}}}
			}, allowed,
		},
		{
			"a set of values", []string{statement(
				`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"ForAllValues:StringEquals":{"aws:TagKeys":["a","b"]}}}`)},
			func(in *iam.SimulateCustomPolicyInput) {
				in.ContextEntries = []iam.ContextEntry{
					{ContextKeyName: "aws:TagKeys", ContextKeyType: "stringList", ContextKeyValues: []string{"a", "c"}},
				}
			}, silent,
		},
		{
			"the caller's own name", []string{statement(`{"Effect":"Allow","Action":"*","Resource":"arn:aws:iam::*:user/${aws:username}"}`)},
			func(in *iam.SimulateCustomPolicyInput) { in.CallerARN, in.ResourceARNs = alice, []string{alice} }, allowed,
		},
		{
			"a given key is stronger than what the caller has",
			[]string{statement(`{"Effect":"Allow","Action":"*","Resource":"arn:aws:iam::*:user/${aws:username}"}`)},
			func(in *iam.SimulateCustomPolicyInput) {
				in.CallerARN, in.ResourceARNs = alice, []string{alice}
				in.ContextEntries = []iam.ContextEntry{{ContextKeyName: "aws:username", ContextKeyType: "string", ContextKeyValues: []string{"bob"}}}
			}, silent,
		},
	} {
		got, err := f.custom(row.change, row.policies...)
		if err != nil || got.EvalDecision != row.want {
			t.Errorf("%s: %s, %v; want %s", row.name, got.EvalDecision, err, row.want)
		}
	}
}

func TestSimulateCustomPolicy_Result(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	document := "{\n  \"Version\": \"2012-10-17\",\n  \"Statement\": [\n    {\n      \"Effect\": \"Allow\",\n      \"Action\": \"*\",\n" +
		"      \"Resource\": \"*\"\n    },\n    {\"Effect\": \"Deny\", \"Action\": \"iam:Delete*\", \"Resource\": \"*\"}\n  ]\n}"
	at := func(l1, c1, l2, c2 int) iam.MatchedStatement {
		return iam.MatchedStatement{
			SourcePolicyID: "PolicyInputList.1", SourcePolicyType: "IAM Policy",
			StartPosition: iam.Position{Line: l1, Column: c1}, EndPosition: iam.Position{Line: l2, Column: c2},
		}
	}
	got, err := f.custom(nil, document)
	f.ok(err)
	want := iam.EvaluationResult{
		EvalActionName: "iam:GetUser", EvalResourceName: "*", EvalDecision: "allowed",
		MatchedStatements: []iam.MatchedStatement{at(3, 17, 8, 6)}, // as AWS shows AdministratorAccess
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("without resources (-want +got):\n%s", diff)
	}

	got, err = f.custom(func(in *iam.SimulateCustomPolicyInput) {
		in.ActionNames, in.ResourceARNs = []string{"iam:DeleteUser"}, []string{alice}
	}, document)
	f.ok(err)
	deny := []iam.MatchedStatement{at(8, 7, 9, 65)}
	want = iam.EvaluationResult{
		EvalActionName: "iam:DeleteUser", EvalResourceName: alice, EvalDecision: "explicitDeny", MatchedStatements: deny,
		EvalDecisionDetails: map[string]string{},
		ResourceSpecificResults: []iam.EvaluationResourceResult{
			{EvalResourceName: alice, EvalResourceDecision: "explicitDeny", MatchedStatements: deny},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("a deny is the only statement (-want +got):\n%s", diff)
	}

	got, err = f.custom(func(in *iam.SimulateCustomPolicyInput) {
		in.ResourceARNs = []string{alice, "arn:aws:iam::111122223333:user/bob"}
	}, statement(`{"Effect":"Allow","Action":"*","Resource":"`+alice+`","Condition":{"StringEquals":{"aws:Referer":"${aws:UserId}"}}}`),
		statement(`{"Effect":"Allow","Action":"*","Resource":"`+alice+`"}`))
	f.ok(err)
	if got.EvalResourceName != "*" || got.EvalDecision != "implicitDeny" || got.MatchedStatements != nil ||
		cmp.Diff(got.MissingContextValues, []string{"aws:Referer", "aws:UserId"}) != "" {
		t.Errorf("two resources as a whole: %+v", got)
	}
	if r := got.ResourceSpecificResults; r[0].EvalResourceDecision != "allowed" || len(r[0].MatchedStatements) != 1 ||
		r[0].MatchedStatements[0].SourcePolicyID != "PolicyInputList.2" || r[1].EvalResourceDecision != "implicitDeny" || r[1].MissingContextValues != nil {
		t.Errorf("two resources: %+v", r)
	}

	got, err = f.custom(func(in *iam.SimulateCustomPolicyInput) {
		in.CallerARN, in.ResourceARNs = alice, []string{"arn:aws:sqs:eu-west-1:444455556666:q"}
		in.ResourcePolicy = statement(`{"Effect":"Allow","Principal":{"AWS":"` + alice + `"},"Action":"*","Resource":"*"}`)
		in.PermissionsBoundaryPolicyInputList = []string{statement(denyIAM)}
		in.OrderedOrganizationPolicyInputList = []iam.OrganizationPolicy{{ServiceControlPolicyInputList: []string{statement(allowAll)}}}
	}, statement(`{"Effect":"Allow","Action":"sts:*","Resource":"*"}`))
	f.ok(err)
	details := map[string]string{"IAM Policy": "implicitDeny", "Resource Policy": "allowed", "Permissions Boundary Policy": "explicitDeny"}
	if diff := cmp.Diff(details, got.EvalDecisionDetails); diff != "" || got.EvalDecision != "explicitDeny" ||
		!got.OrganizationsDecisionDetail.AllowedByOrganizations || got.PermissionsBoundaryDecisionDetail.AllowedByPermissionsBoundary ||
		got.MatchedStatements[0].SourcePolicyType != "Permissions Boundary Policy" ||
		cmp.Diff(details, got.ResourceSpecificResults[0].EvalDecisionDetails) != "" {
		t.Errorf("across accounts: %+v\n%s", got, diff)
	}
}

func TestSimulateCustomPolicy_Refusals(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	entry := func(key, typ string, values ...string) func(*iam.SimulateCustomPolicyInput) {
		return func(in *iam.SimulateCustomPolicyInput) {
			in.ContextEntries = []iam.ContextEntry{{ContextKeyName: key, ContextKeyType: typ, ContextKeyValues: values}}
		}
	}
	for _, row := range []struct {
		name    string
		change  func(*iam.SimulateCustomPolicyInput)
		message string // empty: the positive twin
	}{
		{"nothing is wrong", nil, ""},
		{"an action with a wildcard", func(in *iam.SimulateCustomPolicyInput) { in.ActionNames = []string{"iam:*"} }, "Invalid action name: iam:*"},
		{"an action without service", func(in *iam.SimulateCustomPolicyInput) { in.ActionNames = []string{"GetUser"} }, "Invalid action name: GetUser"},
		{
			"a policy that cannot be read", func(in *iam.SimulateCustomPolicyInput) { in.PolicyInputList = []string{"{}"} },
			"Invalid policy document in PolicyInputList.1: Syntax errors in policy.",
		},
		{
			"two boundaries", func(in *iam.SimulateCustomPolicyInput) {
				in.PermissionsBoundaryPolicyInputList = []string{statement(allowAll), statement(allowAll)}
			}, "Only one permissions boundary policy can be simulated.",
		},
		{
			"a resource policy without caller", func(in *iam.SimulateCustomPolicyInput) {
				in.ResourcePolicy = statement(`{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}`)
			}, "CallerArn is required with a ResourcePolicy.",
		},
		{
			"a session as caller", func(in *iam.SimulateCustomPolicyInput) { in.CallerARN = "arn:aws:sts::111122223333:assumed-role/r/s" },
			"Invalid CallerArn: arn:aws:sts::111122223333:assumed-role/r/s",
		},
		{"a resource that is no ARN", func(in *iam.SimulateCustomPolicyInput) { in.ResourceARNs = []string{"q"} }, "Invalid resource ARN: q"},
		{"a user as caller", func(in *iam.SimulateCustomPolicyInput) { in.CallerARN = alice }, ""},
		{"an owner that is no account", func(in *iam.SimulateCustomPolicyInput) { in.ResourceOwner = "me" }, "Invalid ResourceOwner: me"},
		{"an owner by ARN", func(in *iam.SimulateCustomPolicyInput) { in.ResourceOwner = "arn:aws:iam::444455556666:root" }, ""},
		{"an unknown scenario", func(in *iam.SimulateCustomPolicyInput) { in.ResourceHandlingOption = "x" }, "Invalid ResourceHandlingOption: x"},
		{"a marker of nobody", func(in *iam.SimulateCustomPolicyInput) { in.Marker = "OTk" }, "Invalid Marker."},
		{"a number", entry("aws:MultiFactorAuthAge", "numeric", "12.5"), ""},
		{"no number", entry("aws:MultiFactorAuthAge", "numeric", "old"), "Invalid value of aws:MultiFactorAuthAge in ContextEntries.1: not of type numeric."},
		{"a list of booleans", entry("a:list", "booleanList", "true", "FALSE"), ""},
		{"no boolean", entry("a:list", "booleanList", "true", "no"), "Invalid value of a:list in ContextEntries.1: not of type boolean."},
		{"no address", entry("aws:SourceIp", "ip", "10.0.0.0/8"), "Invalid value of aws:SourceIp in ContextEntries.1: not of type ip."},
		{"no date", entry("aws:CurrentTime", "date", "yesterday"), "Invalid value of aws:CurrentTime in ContextEntries.1: not of type date."},
		{"no base64", entry("a:binary", "binary", "*"), "Invalid value of a:binary in ContextEntries.1: not of type binary."},
		{"no value", entry("a:string", "string"), "ContextEntries.1 has no value."},
		{"an empty list", entry("a:string", "stringList"), ""},
		{"no type", entry("a:string", "", "x"), "ContextEntries.1 needs a name and a type."},
		{
			"more than a call may ask for", func(in *iam.SimulateCustomPolicyInput) {
				in.PolicyInputList = []string{statement(strings.Repeat(denyIAM+",", 99) + denyIAM)}
				in.ResourceARNs = strings.Split(strings.Repeat(alice+" ", 299)+alice, " ")
			}, "The simulation has too many resources and statements. Simulate fewer resources at a time.",
		},
	} {
		_, err := f.custom(row.change, statement(allowAll))
		switch {
		case row.message == "":
			if err != nil {
				t.Errorf("%s: %v", row.name, err)
			}
		case row.message == "Invalid Marker.":
			f.refused(err, awserr.ValidationError, row.message)
		default:
			f.refused(err, awserr.InvalidInput, row.message)
		}
	}
}

func TestSimulateCustomPolicy_Pages(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	in := &iam.SimulateCustomPolicyInput{PolicyInputList: []string{statement(allowAll)}}
	in.ActionNames = []string{"iam:GetUser", "iam:GetRole", "iam:GetUser", "iam:GetGroup", "iam:ListUsers"}
	in.MaxItems = new(int32(2))
	var got []string
	for pages := 1; ; pages++ {
		out, err := f.SimulateCustomPolicy(t.Context(), f.root(), in)
		f.ok(err)
		for _, r := range out.EvaluationResults {
			got = append(got, r.EvalActionName)
		}
		if !out.IsTruncated {
			if pages != 3 {
				t.Errorf("%d pages", pages)
			}
			break
		}
		in.Marker = out.Marker
	}
	if diff := cmp.Diff(in.ActionNames, got); diff != "" {
		t.Error(diff)
	}
}

func TestSimulatePrincipalPolicy_Sources(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	ctx := t.Context()
	f.user("alice")
	_, err := f.CreateGroup(ctx, f.root(), &iam.CreateGroupInput{GroupName: "staff"})
	f.ok(err)
	f.ok(f.AddUserToGroup(ctx, f.root(), &iam.AddUserToGroupInput{GroupName: "staff", UserName: "alice"}))
	f.ok(f.PutGroupPolicy(ctx, f.root(), &iam.PutGroupPolicyInput{GroupName: "staff", PolicyName: "read", PolicyDocument: allow("*", "iam:GetUser")}))
	f.ok(f.PutUserPolicy(ctx, f.root(), &iam.PutUserPolicyInput{UserName: "alice", PolicyName: "own", PolicyDocument: allow("*", "iam:GetUser")}))
	made, err := f.CreatePolicy(ctx, f.root(), &iam.CreatePolicyInput{PolicyName: "Managed", PolicyDocument: allow("*", "iam:GetUser")})
	f.ok(err)
	f.ok(f.AttachUserPolicy(ctx, f.root(), &iam.AttachUserPolicyInput{UserName: "alice", PolicyARN: made.Policy.ARN}))
	f.ok(f.AttachUserPolicy(ctx, f.root(), &iam.AttachUserPolicyInput{UserName: "alice", PolicyARN: "arn:aws:iam::aws:policy/ReadOnlyAccess"}))
	f.ok(f.PutUserPermissionsBoundary(ctx, f.root(), &iam.PutUserPermissionsBoundaryInput{UserName: "alice", PermissionsBoundary: made.Policy.ARN}))

	simulate := func(source, action string, exclude ...iam.PolicyIdentifier) (iam.EvaluationResult, error) {
		in := &iam.SimulatePrincipalPolicyInput{PolicySourceARN: source, PolicyExclusionList: exclude}
		in.ActionNames = []string{action}
		out, err := f.SimulatePrincipalPolicy(ctx, f.root(), in)
		if err != nil {
			return iam.EvaluationResult{}, err
		}
		return out.EvaluationResults[0], nil
	}
	inline := func(name, kind, holder string) iam.PolicyIdentifier {
		return iam.PolicyIdentifier{InlinePolicyIdentifier: &iam.InlinePolicyIdentifier{PolicyName: name, AttachmentType: kind, AttachmentName: holder}}
	}
	group := "arn:aws:iam::111122223333:group/staff"
	for _, row := range []struct {
		name, source string
		exclude      []iam.PolicyIdentifier
		want         []string
	}{
		{"a user has its own, the attached, the group's", alice, nil, []string{"user_alice_own", "Managed", "group_staff_read"}},
		{"a group has its own", group, nil, []string{"group_staff_read"}},
		{"without inline ones", alice, []iam.PolicyIdentifier{{PolicyType: "inline"}}, []string{"Managed"}},
		{"without the customer's", alice, []iam.PolicyIdentifier{{PolicyType: "user-managed"}}, []string{"user_alice_own", "group_staff_read"}},
		{"without AWS's", alice, []iam.PolicyIdentifier{{PolicyType: "aws-managed"}}, []string{"user_alice_own", "Managed", "group_staff_read"}},
		{"without one by ARN", alice, []iam.PolicyIdentifier{{PolicyARN: made.Policy.ARN}}, []string{"user_alice_own", "group_staff_read"}},
		{"without some by pattern", alice, []iam.PolicyIdentifier{{PolicyARN: "arn:aws:iam::111122223333:policy/M?n*ed"}}, []string{"user_alice_own", "group_staff_read"}},
		{"without a group's by pattern", alice, []iam.PolicyIdentifier{inline("read", "group", "st*")}, []string{"user_alice_own", "Managed"}},
		{"what is not there does not matter", alice, []iam.PolicyIdentifier{inline("read", "role", "*"), {PolicyType: "scp"}}, []string{"user_alice_own", "Managed", "group_staff_read"}},
	} {
		got, err := simulate(row.source, "iam:GetUser", row.exclude...)
		f.ok(err)
		var ids []string
		for _, m := range got.MatchedStatements {
			ids = append(ids, m.SourcePolicyID)
		}
		if diff := cmp.Diff(row.want, ids); diff != "" {
			t.Errorf("%s (-want +got):\n%s", row.name, diff)
		}
	}

	bounded, err := simulate(alice, "iam:ReadOnlyAccess") // the test catalog's policy allows the action of its name
	f.ok(err)
	free, err := simulate(alice, "iam:ReadOnlyAccess", iam.PolicyIdentifier{PolicyType: "permission-boundary"})
	f.ok(err)
	if bounded.EvalDecision != "implicitDeny" || bounded.PermissionsBoundaryDecisionDetail.AllowedByPermissionsBoundary ||
		free.EvalDecision != "allowed" || free.PermissionsBoundaryDecisionDetail != nil {
		t.Errorf("with boundary %+v, without %+v", bounded, free)
	}

	keys, err := f.GetContextKeysForPrincipalPolicy(ctx, f.root(), &iam.GetContextKeysForPrincipalPolicyInput{
		PolicySourceARN: alice, PolicyInputList: []string{
			statement(`{"Effect":"Allow","Action":"*","Resource":"arn:aws:s3:::${aws:username}","Condition":{"Bool":{"AWS:UserName":"true","aws:SecureTransport":"true"}}}`),
		},
	})
	f.ok(err)
	if diff := cmp.Diff([]string{"aws:username", "aws:SecureTransport"}, keys.ContextKeyNames); diff != "" {
		t.Errorf("context keys: %s", diff)
	}

	for _, id := range []iam.PolicyIdentifier{
		{}, {PolicyType: "inline", PolicyARN: made.Policy.ARN}, {PolicyARN: "arn:aws:iam::*:policy/Managed"},
		{PolicyARN: "arn:aws:iam::111122223333:policy/*a*"}, {PolicyARN: "arn:aws:iam::111122223333:user/alice"}, inline("p", "user", "*a*"),
	} {
		if _, err := simulate(alice, "iam:GetUser", id); err == nil {
			t.Errorf("the exclusion %+v is accepted", id)
		}
	}
	_, err = simulate("arn:aws:iam::111122223333:user/path/alice", "iam:GetUser")
	f.refused(err, awserr.NoSuchEntity, "The user with name alice cannot be found.")
	_, err = simulate("arn:aws:iam::111122223333:role/none", "iam:GetUser")
	f.refused(err, awserr.NoSuchEntity, "The role with name none cannot be found.")
	_, err = simulate("arn:aws:iam::111122223333:policy/Managed", "iam:GetUser")
	f.refused(err, awserr.InvalidInput, "Invalid PolicySourceArn: arn:aws:iam::111122223333:policy/Managed")
	_, err = simulate("arn:aws:iam::444455556666:user/alice", "iam:GetUser")
	f.refused(err, awserr.AccessDenied,
		"User: arn:aws:iam::111122223333:root is not authorized to perform: iam:SimulatePrincipalPolicy on resource: arn:aws:iam::444455556666:user/alice")
}

// Who may simulate custom policies only must learn nothing of the directory.
func TestSimulation_IsAuthorized(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	ctx := t.Context()
	f.user("alice")
	f.ok(f.TagUser(ctx, f.root(), &iam.TagUserInput{UserName: "alice", Tags: []iam.Tag{{Key: "team", Value: "red"}}}))
	only := f.user("curious", allow("*", "iam:SimulateCustomPolicy"))
	in := &iam.SimulateCustomPolicyInput{PolicyInputList: []string{
		statement(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringEquals":{"aws:PrincipalTag/team":"red"}}}`),
	}}
	in.ActionNames, in.CallerARN = []string{"iam:GetUser"}, alice
	out, err := f.SimulateCustomPolicy(ctx, only, in)
	f.ok(err)
	if got := out.EvaluationResults[0]; got.EvalDecision != "implicitDeny" || len(got.MissingContextValues) != 1 {
		t.Errorf("a simulated caller's tags were looked up: %+v", got)
	}
	of := &iam.SimulatePrincipalPolicyInput{PolicySourceARN: alice, PolicyInputList: in.PolicyInputList}
	of.ActionNames = in.ActionNames
	principal, err := f.SimulatePrincipalPolicy(ctx, f.root(), of)
	f.ok(err)
	if got := principal.EvaluationResults[0]; got.EvalDecision != "allowed" {
		t.Errorf("the source's own tags do not count: %+v", got)
	}
	_, err = f.SimulatePrincipalPolicy(ctx, only, of)
	if !isDenied(err, "iam:SimulatePrincipalPolicy") {
		t.Errorf("SimulatePrincipalPolicy: %v", err)
	}
	nobody := f.user("nobody")
	_, err = f.SimulateCustomPolicy(ctx, nobody, in)
	if !isDenied(err, "iam:SimulateCustomPolicy") {
		t.Errorf("SimulateCustomPolicy: %v", err)
	}
	_, err = f.GetContextKeysForCustomPolicy(ctx, nobody, &iam.GetContextKeysForCustomPolicyInput{PolicyInputList: in.PolicyInputList})
	if !isDenied(err, "iam:GetContextKeysForCustomPolicy") {
		t.Errorf("GetContextKeysForCustomPolicy: %v", err)
	}
	_, err = f.GetContextKeysForPrincipalPolicy(ctx, nobody, &iam.GetContextKeysForPrincipalPolicyInput{PolicySourceARN: alice})
	if !isDenied(err, "iam:GetContextKeysForPrincipalPolicy") {
		t.Errorf("GetContextKeysForPrincipalPolicy: %v", err)
	}
}

func isDenied(err error, action string) bool {
	return err != nil && awserr.From(err).Kind == awserr.AccessDenied && strings.Contains(err.Error(), action)
}

// A simulation decides as authz decides for a real caller, for users and roles of different policies.
func TestSimulatePrincipalPolicy_AgreesWithAuthorization(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	ctx := t.Context()
	boundary, err := f.CreatePolicy(ctx, f.root(), &iam.CreatePolicyInput{PolicyName: "bound", PolicyDocument: allow("*", "iam:Get*", "sts:*")})
	f.ok(err)
	documents := []string{
		statement(allowAll), statement(allowAll + "," + denyIAM), allow("*", "iam:GetUser", "sts:AssumeRole"),
		allow("arn:aws:iam::*:user/${aws:username}", "iam:*"), allow("arn:aws:iam::111122223333:user/${aws:PrincipalTag/peer}", "iam:*"),
		statement(`{"Effect":"Allow","NotAction":"iam:*","NotResource":"` + alice + `"}`),
		statement(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringEquals":{"aws:PrincipalType":"User","aws:ResourceAccount":"111122223333"}}}`),
		statement(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::*:role/*"},"DateGreaterThan":{"aws:CurrentTime":"2026-01-01T00:00:00Z"}}}`),
	}
	var sources []string
	for i, document := range documents {
		for _, bounded := range []bool{false, true} {
			name := fmt.Sprintf("e%d-%t", i, bounded)
			limit := ""
			if bounded {
				limit = boundary.Policy.ARN
			}
			tags := []iam.Tag{{Key: "peer", Value: "alice"}}
			u, err := f.CreateUser(ctx, f.root(), &iam.CreateUserInput{UserName: name, PermissionsBoundary: limit, Tags: tags})
			f.ok(err)
			f.ok(f.PutUserPolicy(ctx, f.root(), &iam.PutUserPolicyInput{UserName: name, PolicyName: "p", PolicyDocument: document}))
			r, err := f.CreateRole(ctx, f.root(), &iam.CreateRoleInput{
				RoleName: name, PermissionsBoundary: limit, Tags: tags,
				AssumeRolePolicyDocument: statement(`{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"sts:AssumeRole"}`),
			})
			f.ok(err)
			f.ok(f.PutRolePolicy(ctx, f.root(), &iam.PutRolePolicyInput{RoleName: name, PolicyName: "p", PolicyDocument: document}))
			sources = append(sources, u.User.ARN, r.Role.ARN)
		}
	}
	f.user("alice")
	trust := statement(`{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"sts:AssumeRole"}`)
	trusting, err := policy.Parse(policy.Trust, trust)
	f.ok(err)
	questions := []struct{ action, resource, trust string }{
		{"iam:GetUser", alice, ""}, {"iam:DeleteUser", alice, ""}, {"iam:CreateUser", "arn:aws:iam::111122223333:user/e3-false", ""},
		{"iam:ListUsers", "*", ""}, {"sts:GetCallerIdentity", "*", ""}, {"sts:GetFederationToken", "arn:aws:sts::111122223333:federated-user/x", ""},
		{"sts:AssumeRole", "arn:aws:iam::111122223333:role/r", trust}, {"s3:GetObject", "arn:aws:s3:::bucket/key", ""},
	}
	allowed := 0
	for _, source := range sources {
		caller := f.entityCaller(source)
		for _, q := range questions {
			in := &iam.SimulatePrincipalPolicyInput{PolicySourceARN: source}
			in.ActionNames, in.ResourceARNs, in.ResourcePolicy = []string{q.action}, []string{q.resource}, q.trust
			out, err := f.SimulatePrincipalPolicy(ctx, f.root(), in)
			f.ok(err)
			question := &authz.Question{Action: q.action, Resource: q.resource}
			if q.trust != "" {
				question.ResourcePolicy = trusting
			}
			real := authz.Decide(caller, question).Effect
			want := map[policy.Effect]string{policy.Allow: "allowed", policy.ExplicitDeny: "explicitDeny", policy.ImplicitDeny: "implicitDeny"}[real]
			got := out.EvaluationResults[0]
			if got.EvalDecision != want {
				t.Errorf("%s %s on %s: simulated %s, real %s", source, q.action, q.resource, got.EvalDecision, want)
			}
			if got.EvalDecision == "allowed" {
				allowed++
			}
		}
	}
	if asked := len(sources) * len(questions); allowed == 0 || allowed == asked {
		t.Errorf("%d of %d are allowed: the matrix tells nothing", allowed, asked)
	}
}

// entityCaller is the user, or a session of the role, as the request path sees it.
func (f *fixture) entityCaller(entityARN string) *authn.Caller {
	f.t.Helper()
	a, err := arn.Parse(entityARN)
	f.ok(err)
	if a.IsIAM("role") {
		e, err := f.directory.RoleByARN(f.t.Context(), a)
		f.ok(err)
		return &authn.Caller{
			Kind: authn.RoleSession, Account: e.Account, ARN: arn.AssumedRole(e.Account, e.Name, "s"), UserID: e.ID + ":s", Entity: e, Request: testRequest(),
		}
	}
	u, err := f.GetUser(f.t.Context(), f.root(), &iam.GetUserInput{UserName: a.Name()})
	f.ok(err)
	e, err := f.directory.Entity(f.t.Context(), testAccount, u.User.UserID)
	f.ok(err)
	return &authn.Caller{Kind: authn.User, Account: e.Account, ARN: e.ARN, UserID: e.ID, Entity: e, Request: testRequest()}
}
