package iam_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/iam"
)

const readOnly = "arn:aws:iam::aws:policy/ReadOnlyAccess"

// policy creates a customer managed policy and returns its ARN.
func (f *fixture) policy(name, document string) string {
	f.t.Helper()
	out, err := f.CreatePolicy(f.t.Context(), f.root(), &iam.CreatePolicyInput{PolicyName: name, PolicyDocument: document})
	f.ok(err)
	return out.Policy.ARN
}

func (f *fixture) getPolicy(policyARN string) iam.PolicyInfo {
	f.t.Helper()
	out, err := f.GetPolicy(f.t.Context(), f.root(), &iam.GetPolicyInput{PolicyARN: policyARN})
	f.ok(err)
	return out.Policy
}

func TestCreatePolicy(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	out, err := f.CreatePolicy(t.Context(), f.root(), &iam.CreatePolicyInput{
		PolicyName: "Readers", Path: "/team/", PolicyDocument: allActions, Description: "reads", Tags: []iam.Tag{{Key: "k", Value: "v"}},
	})
	f.ok(err)
	now := testTime.Truncate(time.Second)
	want := iam.PolicyInfo{
		PolicyName: "Readers", PolicyID: out.Policy.PolicyID, ARN: "arn:aws:iam::111122223333:policy/team/Readers", Path: "/team/",
		DefaultVersionID: "v1", IsAttachable: true, Description: "reads", CreateDate: now, UpdateDate: now, Tags: []iam.Tag{{Key: "k", Value: "v"}},
	}
	if diff := cmp.Diff(want, out.Policy); diff != "" {
		t.Errorf("created policy: %s", diff)
	}
	if diff := cmp.Diff(want, f.getPolicy(want.ARN)); diff != "" {
		t.Errorf("GetPolicy: %s", diff)
	}
	if !strings.HasPrefix(want.PolicyID, "ANPA") || len(want.PolicyID) != 21 {
		t.Errorf("policy id %q", want.PolicyID)
	}
}

func TestCreatePolicy_Refuses(t *testing.T) {
	t.Parallel()
	sized := func(n int) string { // a document of n characters but for white space
		text := allow("*", "s3:*")
		return strings.Replace(text, `"s3:*"`, `"s3:`+strings.Repeat("x", n-len(text))+`*"`, 1)
	}
	spaced := strings.Replace(sized(6144), ",", ",\n\t   ", 3)
	for _, row := range []struct {
		name    string
		in      iam.CreatePolicyInput
		kind    *awserr.Kind
		message string
	}{
		{"a name that exists in another path and spelling", iam.CreatePolicyInput{PolicyName: "TWIN", Path: "/x/"},
			awserr.EntityAlreadyExists, "A policy called TWIN already exists. Duplicate names are not allowed."},
		{"a document that is no JSON", iam.CreatePolicyInput{PolicyDocument: "x"},
			awserr.MalformedPolicyDocument, "Syntax errors in policy."},
		{"a document with a principal", iam.CreatePolicyInput{PolicyDocument: strings.Replace(allActions, `"Action"`, `"Principal":"*","Action"`, 1)},
			awserr.MalformedPolicyDocument, "Policy document should not specify a principal."},
		{"a document one character too long", iam.CreatePolicyInput{PolicyDocument: sized(6145)},
			awserr.LimitExceeded, "Cannot exceed quota for PolicySize: 6144"},
		{"more policies than the quota", iam.CreatePolicyInput{},
			awserr.LimitExceeded, "Cannot exceed quota for PoliciesPerAccount: 1"},
		{"a reserved tag key", iam.CreatePolicyInput{Tags: []iam.Tag{{Key: "aws:x"}}},
			awserr.InvalidInput, "Tag keys that begin with aws: are reserved for system use."},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, quotas(func(q *iam.Quotas) {
				q.PoliciesPerAccount = 2
				if strings.HasPrefix(row.name, "more") {
					q.PoliciesPerAccount = 1
				}
			}))
			f.policy("twin", spaced)
			if row.in.PolicyName == "" {
				row.in.PolicyName = "new"
			}
			if row.in.PolicyDocument == "" {
				row.in.PolicyDocument = allActions
			}
			_, err := f.CreatePolicy(t.Context(), f.root(), &row.in)
			refused(t, err, row.kind, row.message)
		})
	}
}

func TestPolicy_ARNs(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	other := f.other()
	own := f.policy("mine", allActions)
	theirs, err := f.CreatePolicy(t.Context(), other, &iam.CreatePolicyInput{PolicyName: "theirs", PolicyDocument: allActions})
	f.ok(err)
	denied := func(action, policyARN string) string {
		return "User: arn:aws:iam::111122223333:root is not authorized to perform: iam:" + action + " on resource: " + policyARN
	}
	for _, row := range []struct {
		name, arn    string
		kind         *awserr.Kind // of reading
		message      string
		changeKind   *awserr.Kind
		changeDenied string
	}{
		{name: "one's own", arn: own},
		{name: "AWS's", arn: readOnly, changeKind: awserr.AccessDenied, changeDenied: denied("TagPolicy", readOnly)},
		{"another account's", theirs.Policy.ARN, awserr.AccessDenied, denied("GetPolicy", theirs.Policy.ARN),
			awserr.AccessDenied, denied("TagPolicy", theirs.Policy.ARN)},
		{"one that another account does not have", "arn:aws:iam::444455556666:policy/absent",
			awserr.AccessDenied, denied("GetPolicy", "arn:aws:iam::444455556666:policy/absent"),
			awserr.AccessDenied, denied("TagPolicy", "arn:aws:iam::444455556666:policy/absent")},
		{"a missing one", "arn:aws:iam::111122223333:policy/absent",
			awserr.NoSuchEntity, "Policy arn:aws:iam::111122223333:policy/absent was not found.",
			awserr.NoSuchEntity, "Policy arn:aws:iam::111122223333:policy/absent was not found."},
		{"another path", "arn:aws:iam::111122223333:policy/x/mine",
			awserr.NoSuchEntity, "Policy arn:aws:iam::111122223333:policy/x/mine was not found.",
			awserr.NoSuchEntity, "Policy arn:aws:iam::111122223333:policy/x/mine was not found."},
		{"a missing one of AWS's", "arn:aws:iam::aws:policy/Absent",
			awserr.NoSuchEntity, "Policy arn:aws:iam::aws:policy/Absent was not found.",
			awserr.AccessDenied, denied("TagPolicy", "arn:aws:iam::aws:policy/Absent")},
		{"no ARN", "policy/mine-and-more-characters",
			awserr.ValidationError, "Invalid ARN:  Could not be parsed!", awserr.ValidationError, "Invalid ARN:  Could not be parsed!"},
		{"another partition", "arn:aws-cn:iam::aws:policy/ReadOnlyAccess",
			awserr.ValidationError, "Invalid ARN partition", awserr.ValidationError, "Invalid ARN partition"},
		{"another kind of entity", "arn:aws:iam::111122223333:role/mine",
			awserr.InvalidInput, "ARN arn:aws:iam::111122223333:role/mine is not valid.",
			awserr.InvalidInput, "ARN arn:aws:iam::111122223333:role/mine is not valid."},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := f.GetPolicy(t.Context(), f.root(), &iam.GetPolicyInput{PolicyARN: row.arn})
			if row.kind == nil && err != nil {
				t.Errorf("GetPolicy: %v", err)
			}
			if row.kind != nil {
				refused(t, err, row.kind, row.message)
			}
			err = f.TagPolicy(t.Context(), f.root(), &iam.TagPolicyInput{PolicyARN: row.arn, Tags: []iam.Tag{{Key: "a"}}})
			if row.changeKind == nil && err != nil {
				t.Errorf("TagPolicy: %v", err)
			}
			if row.changeKind != nil {
				refused(t, err, row.changeKind, row.changeDenied)
			}
		})
	}
}

func TestPolicy_AWSPoliciesAreNeverModified(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	ctx := t.Context()
	for action, err := range map[string]error{
		"DeletePolicy": f.DeletePolicy(ctx, f.root(), &iam.DeletePolicyInput{PolicyARN: readOnly}),
		"CreatePolicyVersion": second(f.CreatePolicyVersion(ctx, f.root(),
			&iam.CreatePolicyVersionInput{PolicyARN: readOnly, PolicyDocument: allActions, SetAsDefault: true})),
		"SetDefaultPolicyVersion": f.SetDefaultPolicyVersion(ctx, f.root(), &iam.SetDefaultPolicyVersionInput{PolicyARN: readOnly, VersionID: "v1"}),
		"DeletePolicyVersion":     f.DeletePolicyVersion(ctx, f.root(), &iam.DeletePolicyVersionInput{PolicyARN: readOnly, VersionID: "v1"}),
		"TagPolicy":               f.TagPolicy(ctx, f.root(), &iam.TagPolicyInput{PolicyARN: readOnly, Tags: []iam.Tag{{Key: "a"}}}),
		"UntagPolicy":             f.UntagPolicy(ctx, f.root(), &iam.UntagPolicyInput{PolicyARN: readOnly, TagKeys: []string{"a"}}),
	} {
		f.refused(err, awserr.AccessDenied,
			"User: arn:aws:iam::111122223333:root is not authorized to perform: iam:"+action+" on resource: "+readOnly)
	}
	v, err := f.GetPolicyVersion(ctx, f.root(), &iam.GetPolicyVersionInput{PolicyARN: readOnly, VersionID: "v1"})
	f.ok(err)
	if !v.PolicyVersion.IsDefaultVersion || v.PolicyVersion.Document != allow("*", "iam:ReadOnlyAccess") {
		t.Errorf("version %+v", v.PolicyVersion)
	}
}

func second[T any](_ T, err error) error { return err }

func TestPolicyVersions(t *testing.T) {
	t.Parallel()
	f := newFixture(t, quotas(func(q *iam.Quotas) { q.VersionsPerPolicy = 3 }))
	ctx := t.Context()
	a := f.policy("p", allow("*", "s3:v1"))
	create := func(number int, asDefault bool) error {
		out, err := f.CreatePolicyVersion(ctx, f.root(), &iam.CreatePolicyVersionInput{
			PolicyARN: a, PolicyDocument: allow("*", fmt.Sprintf("s3:v%d", number)), SetAsDefault: asDefault,
		})
		if err != nil {
			return err
		}
		want := iam.PolicyVersionInfo{VersionID: fmt.Sprintf("v%d", number), IsDefaultVersion: asDefault, CreateDate: testTime.Truncate(time.Second)}
		if diff := cmp.Diff(want, out.PolicyVersion); diff != "" {
			t.Errorf("created version: %s", diff)
		}
		return nil
	}
	ids := func() string {
		out, err := f.ListPolicyVersions(ctx, f.root(), &iam.ListPolicyVersionsInput{PolicyARN: a})
		f.ok(err)
		var ids []string
		for _, v := range out.Versions {
			if v.Document != "" {
				t.Errorf("the list holds the document of %s", v.VersionID)
			}
			if v.IsDefaultVersion {
				v.VersionID += "*"
			}
			ids = append(ids, v.VersionID)
		}
		return strings.Join(ids, " ")
	}
	f.ok(create(2, false))
	f.ok(create(3, true))
	if got := ids(); got != "v3* v2 v1" {
		t.Errorf("versions %s", got)
	}
	f.refused(create(4, false), awserr.LimitExceeded, "A managed policy can have up to 3 versions. Before you create a new version, "+
		"you must delete an existing version.")
	del := func(id string) error {
		return f.DeletePolicyVersion(ctx, f.root(), &iam.DeletePolicyVersionInput{PolicyARN: a, VersionID: id})
	}
	f.refused(del("v3"), awserr.DeleteConflict, "Cannot delete the default version of a policy.")
	f.ok(f.SetDefaultPolicyVersion(ctx, f.root(), &iam.SetDefaultPolicyVersionInput{PolicyARN: a, VersionID: "v1"}))
	f.ok(del("v3"))
	f.ok(create(4, false)) // never 3 again
	if got := ids(); got != "v4 v2 v1*" || f.getPolicy(a).DefaultVersionID != "v1" {
		t.Errorf("versions %s, default %s", got, f.getPolicy(a).DefaultVersionID)
	}
	v, err := f.GetPolicyVersion(ctx, f.root(), &iam.GetPolicyVersionInput{PolicyARN: a, VersionID: "v2"})
	f.ok(err)
	if v.PolicyVersion.Document != allow("*", "s3:v2") || v.PolicyVersion.IsDefaultVersion {
		t.Errorf("version %+v", v.PolicyVersion)
	}
	for _, id := range []string{"v3", "v1.label", "v02", "v99999999999999999999"} {
		missing := "Policy " + a + " version " + id + " does not exist or is not attachable."
		f.refused(del(id), awserr.NoSuchEntity, missing)
		_, err := f.GetPolicyVersion(ctx, f.root(), &iam.GetPolicyVersionInput{PolicyARN: a, VersionID: id})
		f.refused(err, awserr.NoSuchEntity, missing)
		f.refused(f.SetDefaultPolicyVersion(ctx, f.root(), &iam.SetDefaultPolicyVersionInput{PolicyARN: a, VersionID: id}), awserr.NoSuchEntity, missing)
	}
	_, err = f.CreatePolicyVersion(ctx, f.root(), &iam.CreatePolicyVersionInput{PolicyARN: a, PolicyDocument: "{"})
	f.refused(err, awserr.MalformedPolicyDocument, "Syntax errors in policy.")

	page, err := f.ListPolicyVersions(ctx, f.root(), &iam.ListPolicyVersionsInput{PolicyARN: a, PageInput: iam.PageInput{MaxItems: pointer[int32](2)}})
	f.ok(err)
	rest, err := f.ListPolicyVersions(ctx, f.root(), &iam.ListPolicyVersionsInput{PolicyARN: a, PageInput: iam.PageInput{Marker: page.Marker}})
	f.ok(err)
	if !page.IsTruncated || rest.IsTruncated || len(rest.Versions) != 1 || rest.Versions[0].VersionID != "v1" {
		t.Errorf("pages %+v and %+v", page, rest)
	}
}

func TestDeletePolicy(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	ctx := t.Context()
	a := f.policy("p", allActions)
	del := func() error { return f.DeletePolicy(ctx, f.root(), &iam.DeletePolicyInput{PolicyARN: a}) }
	f.role("r")
	f.ok(f.AttachRolePolicy(ctx, f.root(), &iam.AttachRolePolicyInput{RoleName: "r", PolicyARN: a}))
	f.refused(del(), awserr.DeleteConflict, "Cannot delete a policy attached to entities.")
	f.ok(f.PutRolePermissionsBoundary(ctx, f.root(), &iam.PutRolePermissionsBoundaryInput{RoleName: "r", PermissionsBoundary: a}))
	f.ok(f.DetachRolePolicy(ctx, f.root(), &iam.DetachRolePolicyInput{RoleName: "r", PolicyARN: a}))
	f.refused(del(), awserr.DeleteConflict, "Cannot delete a policy attached to entities.") // still a boundary
	f.ok(f.DeleteRolePermissionsBoundary(ctx, f.root(), &iam.DeleteRolePermissionsBoundaryInput{RoleName: "r"}))
	_, err := f.CreatePolicyVersion(ctx, f.root(), &iam.CreatePolicyVersionInput{PolicyARN: a, PolicyDocument: allActions})
	f.ok(err)
	f.refused(del(), awserr.DeleteConflict, "This policy has more than one version. Before you delete a policy, you must delete the "+
		"policy's versions. The default version is deleted with the policy.")
	f.ok(f.DeletePolicyVersion(ctx, f.root(), &iam.DeletePolicyVersionInput{PolicyARN: a, VersionID: "v2"}))
	before := f.getPolicy(a).PolicyID
	f.ok(del())
	f.refused(del(), awserr.NoSuchEntity, "Policy "+a+" was not found.")
	f.policy("p", allActions)
	if f.getPolicy(a).PolicyID == before {
		t.Error("the id was used again")
	}
}

func TestListPolicies(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	ctx := t.Context()
	attached, bounding := f.policy("b-attached", allActions), f.policy("C-bounding", allActions)
	f.policy("d-idle", allActions)
	_, err := f.CreatePolicy(ctx, f.root(), &iam.CreatePolicyInput{
		PolicyName: "a-path", Path: "/job-function/", PolicyDocument: allActions, Description: "d", Tags: []iam.Tag{{Key: "k"}},
	})
	f.ok(err)
	f.role("r")
	f.ok(f.AttachRolePolicy(ctx, f.root(), &iam.AttachRolePolicyInput{RoleName: "r", PolicyARN: attached}))
	f.ok(f.AttachRolePolicy(ctx, f.root(), &iam.AttachRolePolicyInput{RoleName: "r", PolicyARN: readOnly}))
	f.ok(f.PutRolePermissionsBoundary(ctx, f.root(), &iam.PutRolePermissionsBoundaryInput{RoleName: "r", PermissionsBoundary: bounding}))
	for _, row := range []struct {
		name string
		in   iam.ListPoliciesInput
		want string
	}{
		{"everything, one's own first", iam.ListPoliciesInput{},
			"a-path b-attached C-bounding d-idle AdministratorAccess ReadOnlyAccess Support"},
		{"one's own", iam.ListPoliciesInput{Scope: "Local"}, "a-path b-attached C-bounding d-idle"},
		{"AWS's", iam.ListPoliciesInput{Scope: "AWS"}, "AdministratorAccess ReadOnlyAccess Support"},
		{"attached ones", iam.ListPoliciesInput{OnlyAttached: true}, "b-attached ReadOnlyAccess"},
		{"attached ones of AWS's", iam.ListPoliciesInput{OnlyAttached: true, Scope: "AWS"}, "ReadOnlyAccess"},
		{"boundaries", iam.ListPoliciesInput{PolicyUsageFilter: "PermissionsBoundary"}, "C-bounding"},
		{"permissions policies", iam.ListPoliciesInput{PolicyUsageFilter: "PermissionsPolicy"}, "b-attached ReadOnlyAccess"},
		{"a path", iam.ListPoliciesInput{PathPrefix: "/job-function/"}, "a-path Support"},
	} {
		for _, size := range []int32{1, 2, 3, 100} {
			names := f.policyNames(row.in, size)
			if got := strings.Join(names, " "); got != row.want {
				t.Errorf("%s, %d at a time: %s", row.name, size, got)
			}
		}
	}
	out, err := f.ListPolicies(ctx, f.root(), &iam.ListPoliciesInput{Scope: "Local"})
	f.ok(err)
	if p := out.Policies[0]; p.Description != "" || p.Tags != nil || p.DefaultVersionID != "v1" {
		t.Errorf("listed policy %+v", p)
	}
	if p := out.Policies[1]; p.AttachmentCount != 1 || p.PermissionsBoundaryUsageCount != 0 {
		t.Errorf("uses of an attached policy: %+v", p)
	}
	if p := out.Policies[2]; p.AttachmentCount != 0 || p.PermissionsBoundaryUsageCount != 1 {
		t.Errorf("uses of a boundary: %+v", p)
	}
}

// policyNames lists policies, so many at a time.
func (f *fixture) policyNames(in iam.ListPoliciesInput, size int32) []string {
	f.t.Helper()
	var names []string
	in.MaxItems = &size
	for {
		out, err := f.ListPolicies(f.t.Context(), f.root(), &in)
		f.ok(err)
		for _, p := range out.Policies {
			names = append(names, p.PolicyName)
		}
		if !out.IsTruncated {
			return names
		}
		if len(out.Policies) != int(size) || len(out.Marker) > 320 {
			f.t.Fatalf("a page of %d with marker %q", len(out.Policies), out.Marker)
		}
		in.Marker = out.Marker
	}
}

func TestListPolicies_Authorization(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	_, err := f.ListPolicies(t.Context(), f.user("all", allow("*", "iam:ListPolicies")), &iam.ListPoliciesInput{})
	f.ok(err)
	_, err = f.ListPolicies(t.Context(), f.user("some", allow("arn:aws:iam::111122223333:policy/*", "iam:*")), &iam.ListPoliciesInput{})
	f.refused(err, awserr.AccessDenied, "User: arn:aws:iam::111122223333:user/some is not authorized to perform: iam:ListPolicies on "+
		"resource: policy path / because no identity-based policy allows the iam:ListPolicies action")
	_, err = f.ListPolicies(t.Context(), f.root(), &iam.ListPoliciesInput{PageInput: iam.PageInput{Marker: "%"}})
	f.refused(err, awserr.ValidationError, "Invalid Marker.")
}

func TestPolicy_UsesOfOneAccountAreNotAnothers(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	other := f.other()
	_, err := f.CreateRole(t.Context(), other, &iam.CreateRoleInput{RoleName: "r", AssumeRolePolicyDocument: trustRoot, PermissionsBoundary: readOnly})
	f.ok(err)
	f.ok(f.AttachRolePolicy(t.Context(), other, &iam.AttachRolePolicyInput{RoleName: "r", PolicyARN: readOnly}))
	if p := f.getPolicy(readOnly); p.AttachmentCount != 0 || p.PermissionsBoundaryUsageCount != 0 {
		t.Errorf("policy %+v", p)
	}
	out, err := f.GetPolicy(t.Context(), other, &iam.GetPolicyInput{PolicyARN: readOnly})
	f.ok(err)
	if p := out.Policy; p.AttachmentCount != 1 || p.PermissionsBoundaryUsageCount != 1 {
		t.Errorf("policy %+v", p)
	}
	entities, err := f.ListEntitiesForPolicy(t.Context(), f.root(), &iam.ListEntitiesForPolicyInput{PolicyARN: readOnly})
	f.ok(err)
	if len(entities.PolicyRoles) != 0 {
		t.Errorf("entities %+v", entities)
	}
}

func TestListEntitiesForPolicy(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	ctx := t.Context()
	a := f.policy("p", allActions)
	f.user("both")
	f.user("attached")
	f.user("idle")
	_, err := f.CreateGroup(ctx, f.root(), &iam.CreateGroupInput{GroupName: "group", Path: "/x/"})
	f.ok(err)
	f.role("bounded")
	for _, name := range []string{"both", "attached"} {
		f.ok(f.AttachUserPolicy(ctx, f.root(), &iam.AttachUserPolicyInput{UserName: name, PolicyARN: a}))
	}
	f.ok(f.AttachGroupPolicy(ctx, f.root(), &iam.AttachGroupPolicyInput{GroupName: "group", PolicyARN: a}))
	f.ok(f.PutUserPermissionsBoundary(ctx, f.root(), &iam.PutUserPermissionsBoundaryInput{UserName: "both", PermissionsBoundary: a}))
	f.ok(f.PutRolePermissionsBoundary(ctx, f.root(), &iam.PutRolePermissionsBoundaryInput{RoleName: "bounded", PermissionsBoundary: a}))
	for _, row := range []struct {
		name string
		in   iam.ListEntitiesForPolicyInput
		want string
	}{
		{"all, each once", iam.ListEntitiesForPolicyInput{}, "attached both bounded group"},
		{"attachments", iam.ListEntitiesForPolicyInput{PolicyUsageFilter: "PermissionsPolicy"}, "attached both group"},
		{"boundaries", iam.ListEntitiesForPolicyInput{PolicyUsageFilter: "PermissionsBoundary"}, "both bounded"},
		{"users", iam.ListEntitiesForPolicyInput{EntityFilter: "User"}, "attached both"},
		{"groups", iam.ListEntitiesForPolicyInput{EntityFilter: "Group"}, "group"},
		{"roles", iam.ListEntitiesForPolicyInput{EntityFilter: "Role"}, "bounded"},
		{"policies, which use none", iam.ListEntitiesForPolicyInput{EntityFilter: "LocalManagedPolicy"}, ""},
		{"a path", iam.ListEntitiesForPolicyInput{PathPrefix: "/x/"}, "group"},
	} {
		for _, size := range []int32{1, 2, 100} {
			if got := f.entityNames(a, row.in, size); got != row.want {
				t.Errorf("%s, %d at a time: %s", row.name, size, got)
			}
		}
	}
	if p := f.getPolicy(a); p.AttachmentCount != 3 || p.PermissionsBoundaryUsageCount != 2 {
		t.Errorf("policy %+v", p)
	}
}

// entityNames lists the entities of a policy, so many at a time, and returns their names in alphabetical order.
func (f *fixture) entityNames(policyARN string, in iam.ListEntitiesForPolicyInput, size int32) string {
	f.t.Helper()
	in.PolicyARN, in.MaxItems = policyARN, &size
	var names []string
	for {
		out, err := f.ListEntitiesForPolicy(f.t.Context(), f.root(), &in)
		f.ok(err)
		for _, e := range out.PolicyUsers {
			names = append(names, e.UserName)
		}
		for _, e := range out.PolicyGroups {
			names = append(names, e.GroupName)
		}
		for _, e := range out.PolicyRoles {
			names = append(names, e.RoleName)
		}
		if !out.IsTruncated {
			slices.Sort(names)
			return strings.Join(names, " ")
		}
		in.Marker = out.Marker
	}
}

func TestPolicyTags(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	a := f.policy("p", allActions)
	f.ok(f.TagPolicy(t.Context(), f.root(), &iam.TagPolicyInput{PolicyARN: a, Tags: []iam.Tag{{Key: "b"}, {Key: "A"}}}))
	f.ok(f.UntagPolicy(t.Context(), f.root(), &iam.UntagPolicyInput{PolicyARN: a, TagKeys: []string{"B"}}))
	out, err := f.ListPolicyTags(t.Context(), f.root(), &iam.ListPolicyTagsInput{PolicyARN: a})
	f.ok(err)
	if diff := cmp.Diff([]iam.Tag{{Key: "A"}}, out.Tags); diff != "" {
		t.Errorf("tags: %s", diff)
	}
}
