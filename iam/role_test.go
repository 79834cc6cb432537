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

// trustRoot is a trust policy for an account.
const trustRoot = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow",` +
	`"Principal":{"AWS":"arn:aws:iam::111122223333:root"},"Action":"sts:AssumeRole"}]}`

func pointer[T any](v T) *T { return &v }

// role creates a role that the account trusts.
func (f *fixture) role(name string) iam.RoleInfo {
	f.t.Helper()
	out, err := f.CreateRole(f.t.Context(), f.root(), &iam.CreateRoleInput{RoleName: name, AssumeRolePolicyDocument: trustRoot})
	f.ok(err)
	return out.Role
}

func (f *fixture) getRole(name string) iam.RoleInfo {
	f.t.Helper()
	out, err := f.GetRole(f.t.Context(), f.root(), &iam.GetRoleInput{RoleName: name})
	f.ok(err)
	return out.Role
}

func TestCreateRole(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	tags := []iam.Tag{{Key: "Team", Value: "blue"}}
	boundary := "arn:aws:iam::aws:policy/ReadOnlyAccess"
	out, err := f.CreateRole(t.Context(), f.root(), &iam.CreateRoleInput{
		RoleName: "Deploy", Path: "/ci/", AssumeRolePolicyDocument: trustRoot, Description: "deploys",
		MaxSessionDuration: pointer[int32](129_600), PermissionsBoundary: boundary, Tags: tags,
	})
	f.ok(err)
	want := iam.RoleInfo{
		Path: "/ci/", RoleName: "Deploy", RoleID: out.Role.RoleID, ARN: "arn:aws:iam::111122223333:role/ci/Deploy",
		CreateDate: testTime.Truncate(time.Second), AssumeRolePolicyDocument: trustRoot, Description: "deploys",
		MaxSessionDuration: pointer[int32](129_600), Tags: tags,
		PermissionsBoundary: &iam.PermissionsBoundary{Type: "PermissionsBoundaryPolicy", ARN: boundary},
	}
	if diff := cmp.Diff(want, out.Role); diff != "" {
		t.Errorf("created role: %s", diff)
	}
	if id := out.Role.RoleID; !strings.HasPrefix(id, "AROA") || len(id) != 21 {
		t.Errorf("role id %q", id)
	}
	want.RoleLastUsed = &iam.RoleLastUsed{} // GetRole shows it, even when it is empty
	if diff := cmp.Diff(want, f.getRole("DEPLOY")); diff != "" {
		t.Errorf("GetRole by another spelling: %s", diff)
	}
}

func TestCreateRole_DefaultsAreNotEchoed(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	created := f.role("plain")
	if created.MaxSessionDuration != nil || created.RoleLastUsed != nil || created.Path != "/" {
		t.Errorf("created role %+v", created)
	}
	if got := f.getRole("plain"); *got.MaxSessionDuration != 3600 || got.PermissionsBoundary != nil {
		t.Errorf("role %+v", got)
	}
}

func TestCreateRole_Refuses(t *testing.T) {
	t.Parallel()
	padded := strings.Replace(trustRoot, `"Statement"`, strings.Repeat(" ", 4000)+`"Statement"`, 1)
	long := strings.Replace(trustRoot, `"Version"`, `"Id":"`+strings.Repeat("x", 2048)+`","Version"`, 1)
	for _, row := range []struct {
		name    string
		in      iam.CreateRoleInput
		kind    *awserr.Kind
		message string
	}{
		{"a name that exists in another spelling", iam.CreateRoleInput{RoleName: "TAKEN"},
			awserr.EntityAlreadyExists, "Role with name TAKEN already exists."},
		{"a trust policy that is no JSON", iam.CreateRoleInput{AssumeRolePolicyDocument: "{"},
			awserr.MalformedPolicyDocument, "This policy contains invalid Json"},
		{"a trust policy with a resource", iam.CreateRoleInput{
			AssumeRolePolicyDocument: strings.Replace(trustRoot, `"Action"`, `"Resource":"*","Action"`, 1)},
			awserr.MalformedPolicyDocument, "Has prohibited field Resource"},
		{"a trust policy that is too long", iam.CreateRoleInput{AssumeRolePolicyDocument: long},
			awserr.LimitExceeded, "Cannot exceed quota for ACLSizePerRole: 2048"},
		{"a session longer than the installation allows", iam.CreateRoleInput{MaxSessionDuration: pointer[int32](43_201)},
			awserr.ValidationError, "1 validation error detected: Value '43201' at 'maxSessionDuration' failed to satisfy constraint: " +
				"Member must have value less than or equal to 43200"},
		{"a boundary that does not exist", iam.CreateRoleInput{PermissionsBoundary: "arn:aws:iam::111122223333:policy/absent"},
			awserr.NoSuchEntity, "Scope ARN: arn:aws:iam::111122223333:policy/absent does not exist or is not attachable."},
		{"a boundary that is no policy", iam.CreateRoleInput{PermissionsBoundary: "arn:aws:iam::111122223333:role/taken"},
			awserr.InvalidParameterValue, "Value (arn:aws:iam::111122223333:role/taken) for parameter PermissionsBoundary is invalid."},
		{"tag keys that differ in case only", iam.CreateRoleInput{Tags: []iam.Tag{{Key: "a"}, {Key: "A"}}},
			awserr.InvalidInput, "Duplicate tag keys found. Please note that Tag keys are case insensitive."},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, quotas(func(q *iam.Quotas) { q.MaxSessionDuration = 43_200 }))
			f.role("taken")
			twin := iam.CreateRoleInput{RoleName: "twin", AssumeRolePolicyDocument: padded, MaxSessionDuration: pointer[int32](43_200)}
			_, err := f.CreateRole(t.Context(), f.root(), &twin)
			f.ok(err)
			if row.in.RoleName == "" {
				row.in.RoleName = "new"
			}
			if row.in.AssumeRolePolicyDocument == "" {
				row.in.AssumeRolePolicyDocument = trustRoot
			}
			_, err = f.CreateRole(t.Context(), f.root(), &row.in)
			refused(t, err, row.kind, row.message)
			roles, err := f.ListRoles(t.Context(), f.root(), &iam.ListRolesInput{})
			f.ok(err)
			if len(roles.Roles) != 2 {
				t.Errorf("a refused request left %d roles", len(roles.Roles))
			}
		})
	}
}

func TestCreateRole_Quota(t *testing.T) {
	t.Parallel()
	f := newFixture(t, quotas(func(q *iam.Quotas) { q.RolesPerAccount = 1 }))
	f.role("a")
	_, err := f.CreateRole(t.Context(), f.root(), &iam.CreateRoleInput{RoleName: "b", AssumeRolePolicyDocument: trustRoot})
	f.refused(err, awserr.LimitExceeded, "Cannot exceed quota for RolesPerAccount: 1")
}

func TestCreateRole_Authorization(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	const own = "arn:aws:iam::111122223333:role/ci/*"
	boundary := "arn:aws:iam::aws:policy/ReadOnlyAccess"
	bounded := `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"iam:CreateRole","Resource":"*",
		"Condition":{"StringEquals":{"iam:PermissionsBoundary":"` + boundary + `"}}}}`
	for i, row := range []struct {
		name   string
		policy string
		in     iam.CreateRoleInput
		denied string // action and resource; empty: allowed
	}{
		{"in the path that is allowed", allow(own, "iam:CreateRole"), iam.CreateRoleInput{Path: "/ci/"}, ""},
		{"in another path", allow(own, "iam:CreateRole"), iam.CreateRoleInput{}, "iam:CreateRole on resource: arn:aws:iam::111122223333:role/"},
		{"with tags but without the right to tag", allow(own, "iam:CreateRole"),
			iam.CreateRoleInput{Path: "/ci/", Tags: []iam.Tag{{Key: "a"}}}, "iam:TagRole on resource: arn:aws:iam::111122223333:role/ci/"},
		{"with tags", allow(own, "iam:CreateRole", "iam:TagRole"), iam.CreateRoleInput{Path: "/ci/", Tags: []iam.Tag{{Key: "a"}}}, ""},
		{"with the boundary that is demanded", bounded, iam.CreateRoleInput{PermissionsBoundary: boundary}, ""},
		{"without the boundary that is demanded", bounded, iam.CreateRoleInput{},
			"iam:CreateRole on resource: arn:aws:iam::111122223333:role/"},
		{"with another boundary", bounded, iam.CreateRoleInput{PermissionsBoundary: "arn:aws:iam::aws:policy/AdministratorAccess"},
			"iam:CreateRole on resource: arn:aws:iam::111122223333:role/"},
	} {
		caller := f.user(fmt.Sprintf("user%d", i), row.policy)
		row.in.RoleName, row.in.AssumeRolePolicyDocument = fmt.Sprintf("role%d", i), trustRoot
		_, err := f.CreateRole(t.Context(), caller, &row.in)
		if row.denied == "" {
			if err != nil {
				t.Errorf("%s: %v", row.name, err)
			}
			continue
		}
		action, _, _ := strings.Cut(row.denied, " ")
		f.refused(err, awserr.AccessDenied, "User: "+caller.ARN+" is not authorized to perform: "+row.denied+row.in.RoleName+
			" because no identity-based policy allows the "+action+" action")
	}
}

func TestGetRole_TheDeniedDoNotLearnWhetherItExists(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.role("known")
	nobody, somebody := f.user("nobody"), f.user("somebody", allActions)
	for _, name := range []string{"known", "unknown"} {
		_, err := f.GetRole(t.Context(), nobody, &iam.GetRoleInput{RoleName: name})
		f.refused(err, awserr.AccessDenied, "User: arn:aws:iam::111122223333:user/nobody is not authorized to perform: iam:GetRole on "+
			"resource: arn:aws:iam::111122223333:role/"+name+" because no identity-based policy allows the iam:GetRole action")
	}
	_, err := f.GetRole(t.Context(), somebody, &iam.GetRoleInput{RoleName: "known"})
	f.ok(err)
	_, err = f.GetRole(t.Context(), somebody, &iam.GetRoleInput{RoleName: "unknown"})
	f.refused(err, awserr.NoSuchEntity, "The role with name unknown cannot be found.")
}

func TestListRoles(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for _, name := range []string{"b", "C", "a"} {
		_, err := f.CreateRole(t.Context(), f.root(), &iam.CreateRoleInput{
			RoleName: name, Path: "/p/", AssumeRolePolicyDocument: trustRoot, Tags: []iam.Tag{{Key: "k"}},
			PermissionsBoundary: "arn:aws:iam::aws:policy/ReadOnlyAccess",
		})
		f.ok(err)
	}
	f.role("elsewhere")
	var names []string
	in := &iam.ListRolesInput{PathPrefix: "/p", PageInput: iam.PageInput{MaxItems: pointer[int32](2)}}
	for pages := 1; ; pages++ {
		out, err := f.ListRoles(t.Context(), f.root(), in)
		f.ok(err)
		for _, r := range out.Roles {
			names = append(names, r.RoleName)
			if r.Tags != nil || r.PermissionsBoundary != nil || r.RoleLastUsed != nil || r.MaxSessionDuration == nil {
				t.Errorf("listed role %+v", r)
			}
		}
		if !out.IsTruncated {
			if pages != 2 {
				t.Errorf("%d pages", pages)
			}
			break
		}
		in.Marker = out.Marker
	}
	if want := []string{"a", "b", "C"}; !slices.Equal(names, want) {
		t.Errorf("roles %q", names)
	}
	_, err := f.ListRoles(t.Context(), f.user("team", allow("arn:aws:iam::111122223333:role/p/*", "iam:ListRoles")), &iam.ListRolesInput{})
	f.refused(err, awserr.AccessDenied, "User: arn:aws:iam::111122223333:user/team is not authorized to perform: iam:ListRoles on "+
		"resource: arn:aws:iam::111122223333:role/ because no identity-based policy allows the iam:ListRoles action")
}

func TestUpdateRole(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.role("r")
	_, err := f.UpdateRole(t.Context(), f.root(), &iam.UpdateRoleInput{RoleName: "r", Description: pointer("new"), MaxSessionDuration: pointer[int32](7200)})
	f.ok(err)
	_, err = f.UpdateRole(t.Context(), f.root(), &iam.UpdateRoleInput{RoleName: "r"})
	f.ok(err)
	if r := f.getRole("r"); r.Description != "new" || *r.MaxSessionDuration != 7200 {
		t.Errorf("what was left out did not stay: %+v", r)
	}
	_, err = f.UpdateRole(t.Context(), f.root(), &iam.UpdateRoleInput{RoleName: "r", Description: pointer("")})
	f.ok(err)
	if r := f.getRole("r"); r.Description != "" {
		t.Errorf("description %q", r.Description)
	}
	out, err := f.UpdateRoleDescription(t.Context(), f.root(), &iam.UpdateRoleDescriptionInput{RoleName: "r", Description: pointer("again")})
	f.ok(err)
	if out.Role.Description != "again" || f.getRole("r").Description != "again" {
		t.Errorf("role %+v", out.Role)
	}
	_, err = f.UpdateRole(t.Context(), f.root(), &iam.UpdateRoleInput{RoleName: "absent"})
	f.refused(err, awserr.NoSuchEntity, "The role with name absent cannot be found.")
}

func TestDeleteRole(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	ctx := t.Context()
	boundary := f.policy("limit", allActions)
	_, err := f.CreateRole(ctx, f.root(), &iam.CreateRoleInput{RoleName: "r", AssumeRolePolicyDocument: trustRoot, PermissionsBoundary: boundary})
	f.ok(err)
	_, err = f.CreateInstanceProfile(ctx, f.root(), &iam.CreateInstanceProfileInput{InstanceProfileName: "p"})
	f.ok(err)
	f.ok(f.AddRoleToInstanceProfile(ctx, f.root(), &iam.AddRoleToInstanceProfileInput{InstanceProfileName: "p", RoleName: "r"}))
	f.ok(f.AttachRolePolicy(ctx, f.root(), &iam.AttachRolePolicyInput{RoleName: "r", PolicyARN: "arn:aws:iam::aws:policy/ReadOnlyAccess"}))
	f.ok(f.PutRolePolicy(ctx, f.root(), &iam.PutRolePolicyInput{RoleName: "r", PolicyName: "in", PolicyDocument: allActions}))
	del := func() error { return f.DeleteRole(ctx, f.root(), &iam.DeleteRoleInput{RoleName: "r"}) }

	f.refused(del(), awserr.DeleteConflict, "Cannot delete entity, must remove roles from instance profile first.")
	f.ok(f.RemoveRoleFromInstanceProfile(ctx, f.root(), &iam.RemoveRoleFromInstanceProfileInput{InstanceProfileName: "p", RoleName: "r"}))
	f.refused(del(), awserr.DeleteConflict, "Cannot delete entity, must detach all policies first.")
	f.ok(f.DetachRolePolicy(ctx, f.root(), &iam.DetachRolePolicyInput{RoleName: "r", PolicyARN: "arn:aws:iam::aws:policy/ReadOnlyAccess"}))
	f.refused(del(), awserr.DeleteConflict, "Cannot delete entity, must delete policies first.")
	f.ok(f.DeleteRolePolicy(ctx, f.root(), &iam.DeleteRolePolicyInput{RoleName: "r", PolicyName: "in"}))
	f.ok(del())
	f.refused(del(), awserr.NoSuchEntity, "The role with name r cannot be found.")
	f.ok(f.DeletePolicy(ctx, f.root(), &iam.DeletePolicyInput{PolicyARN: boundary})) // its use as boundary went with the role
}

func TestRoleTags(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.role("r")
	f.ok(f.TagRole(t.Context(), f.root(), &iam.TagRoleInput{RoleName: "r", Tags: []iam.Tag{{Key: "b", Value: "1"}, {Key: "A", Value: "2"}}}))
	f.ok(f.TagRole(t.Context(), f.root(), &iam.TagRoleInput{RoleName: "r", Tags: []iam.Tag{{Key: "B", Value: "3"}}}))
	tags := func() []iam.Tag {
		out, err := f.ListRoleTags(t.Context(), f.root(), &iam.ListRoleTagsInput{RoleName: "r"})
		f.ok(err)
		return out.Tags
	}
	if diff := cmp.Diff([]iam.Tag{{Key: "A", Value: "2"}, {Key: "B", Value: "3"}}, tags()); diff != "" {
		t.Errorf("tags: %s", diff)
	}
	f.ok(f.UntagRole(t.Context(), f.root(), &iam.UntagRoleInput{RoleName: "r", TagKeys: []string{"a", "absent"}}))
	if diff := cmp.Diff([]iam.Tag{{Key: "B", Value: "3"}}, tags()); diff != "" {
		t.Errorf("tags: %s", diff)
	}
	tagger := f.user("tagger", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"iam:TagRole","Resource":"*",
		"Condition":{"StringEquals":{"aws:ResourceTag/b":"3","aws:RequestTag/c":"4"}}}}`)
	f.ok(f.TagRole(t.Context(), tagger, &iam.TagRoleInput{RoleName: "r", Tags: []iam.Tag{{Key: "c", Value: "4"}}}))
	err := f.TagRole(t.Context(), tagger, &iam.TagRoleInput{RoleName: "r", Tags: []iam.Tag{{Key: "c", Value: "5"}}})
	f.refused(err, awserr.AccessDenied, "User: arn:aws:iam::111122223333:user/tagger is not authorized to perform: iam:TagRole on "+
		"resource: arn:aws:iam::111122223333:role/r because no identity-based policy allows the iam:TagRole action")
}
