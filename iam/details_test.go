package iam_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/iam"
)

const readOnlyARN = "arn:aws:iam::aws:policy/ReadOnlyAccess"

// peopled gives the fixture's account two users, a group, a role and two policies, all with relations.
func peopled(f *fixture) {
	f.t.Helper()
	ctx := f.t.Context()
	for _, name := range []string{"p", "q"} {
		_, err := f.CreatePolicy(ctx, f.root(), &iam.CreatePolicyInput{PolicyName: name, PolicyDocument: allActions, Description: "text"})
		f.ok(err)
	}
	_, err := f.CreatePolicyVersion(ctx, f.root(), &iam.CreatePolicyVersionInput{
		PolicyARN: "arn:aws:iam::111122223333:policy/p", PolicyDocument: allow("*", "s3:*"), SetAsDefault: true,
	})
	f.ok(err)
	_, err = f.CreateUser(ctx, f.root(), &iam.CreateUserInput{
		UserName: "alice", PermissionsBoundary: readOnlyARN, Tags: []iam.Tag{{Key: "k", Value: "v"}},
	})
	f.ok(err)
	f.user("bob")
	f.group("g", "")
	f.group("G2", "")
	f.ok(f.join("g", "alice"))
	f.ok(f.join("G2", "alice"))
	f.ok(f.PutUserPolicy(ctx, f.root(), &iam.PutUserPolicyInput{UserName: "alice", PolicyName: "in", PolicyDocument: allActions}))
	f.ok(f.AttachUserPolicy(ctx, f.root(), &iam.AttachUserPolicyInput{
		UserName: "alice", PolicyARN: "arn:aws:iam::111122223333:policy/p",
	}))
	f.ok(f.AttachGroupPolicy(ctx, f.root(), &iam.AttachGroupPolicyInput{GroupName: "g", PolicyARN: readOnlyARN}))
	f.newRole("r")
	f.instanceProfile("ip", "")
	f.ok(f.addRole("ip", "r"))
	f.ok(f.PutRolePolicy(ctx, f.root(), &iam.PutRolePolicyInput{RoleName: "r", PolicyName: "in", PolicyDocument: allActions}))
}

func TestGetAccountAuthorizationDetails(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	peopled(f)
	out, err := f.GetAccountAuthorizationDetails(t.Context(), f.root(), &iam.GetAccountAuthorizationDetailsInput{})
	f.ok(err)
	if out.IsTruncated || out.Marker != "" {
		t.Errorf("truncated %t, marker %q", out.IsTruncated, out.Marker)
	}
	created := testTime.Truncate(time.Second)
	alice := out.UserDetailList[0]
	inline := []iam.InlinePolicyDetail{{PolicyName: "in", PolicyDocument: allActions}}
	want := iam.UserDetail{
		Path: "/", UserName: "alice", UserID: alice.UserID, ARN: "arn:aws:iam::111122223333:user/alice", CreateDate: created,
		UserPolicyList: inline, GroupList: []string{"g", "G2"},
		AttachedManagedPolicies: []iam.AttachedPolicy{{PolicyName: "p", PolicyARN: "arn:aws:iam::111122223333:policy/p"}},
		PermissionsBoundary:     &iam.PermissionsBoundary{Type: "PermissionsBoundaryPolicy", ARN: readOnlyARN},
		Tags:                    []iam.Tag{{Key: "k", Value: "v"}},
	}
	if diff := cmp.Diff(want, alice); diff != "" {
		t.Errorf("alice: %s", diff)
	}
	if g := out.GroupDetailList[0]; g.GroupName != "g" || len(g.AttachedManagedPolicies) != 1 || len(g.GroupPolicyList) != 0 {
		t.Errorf("group %+v", g)
	}
	r := out.RoleDetailList[0]
	if r.AssumeRolePolicyDocument != trustAccount || r.InstanceProfileList[0].InstanceProfileName != "ip" || r.RoleLastUsed == nil {
		t.Errorf("role %+v", r)
	}
	if diff := cmp.Diff(inline, r.RolePolicyList); diff != "" {
		t.Errorf("inline policies of the role: %s", diff)
	}
	p := out.Policies[0]
	if p.PolicyName != "p" || p.AttachmentCount != 1 || p.DefaultVersionID != "v2" || p.Description != "text" || !p.IsAttachable {
		t.Errorf("policy %+v", p)
	}
	versions := []iam.PolicyVersionInfo{
		{Document: allActions, VersionID: "v1", CreateDate: created},
		{Document: allow("*", "s3:*"), VersionID: "v2", IsDefaultVersion: true, CreateDate: created},
	}
	if diff := cmp.Diff(versions, p.PolicyVersionList); diff != "" {
		t.Errorf("versions: %s", diff)
	}
	managed := out.Policies[len(out.Policies)-1]
	if managed.ARN != readOnlyARN || managed.AttachmentCount != 1 || managed.PermissionsBoundaryUsageCount != 1 {
		t.Errorf("AWS's policy %+v", managed)
	}
}

func TestGetAccountAuthorizationDetails_OneMarkerWalksAllLists(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	peopled(f)
	for _, row := range []struct {
		name   string
		filter []string
		want   string
	}{
		{"everything", nil, "[alice bob g G2 r p q ReadOnlyAccess]"},
		{"users", []string{"User"}, "[alice bob]"},
		{"groups and roles, however ordered", []string{"Role", "Group"}, "[g G2 r]"},
		{"own policies", []string{"LocalManagedPolicy"}, "[p q]"},
		{"those of AWS's policies that are in use", []string{"AWSManagedPolicy"}, "[ReadOnlyAccess]"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			for size := int32(1); size <= 9; size++ {
				if got := fmt.Sprint(walkDetails(t, f, row.filter, size)); got != row.want {
					t.Errorf("pages of %d: %s, want %s", size, got, row.want)
				}
			}
		})
	}
}

// walkDetails walks the pages and returns the names of what they show.
func walkDetails(t *testing.T, f *fixture, filter []string, size int32) []string {
	t.Helper()
	var names []string
	in := &iam.GetAccountAuthorizationDetailsInput{Filter: filter, PageInput: iam.PageInput{MaxItems: &size}}
	for {
		out, err := f.GetAccountAuthorizationDetails(t.Context(), f.root(), in)
		f.ok(err)
		before := len(names)
		for _, u := range out.UserDetailList {
			names = append(names, u.UserName)
		}
		for _, g := range out.GroupDetailList {
			names = append(names, g.GroupName)
		}
		for _, r := range out.RoleDetailList {
			names = append(names, r.RoleName)
		}
		for _, p := range out.Policies {
			names = append(names, p.PolicyName)
		}
		if len(names)-before > int(size) {
			t.Fatalf("page of %d objects, want %d", len(names)-before, size)
		}
		if !out.IsTruncated {
			return names
		}
		in.Marker = out.Marker
	}
}

func TestGetAccountAuthorizationDetails_RefusesForeignMarkers(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for _, marker := range []string{"!", "Zm9vL2Jhcg", "Zm9v"} { // not base64; "foo/bar"; "foo"
		in := &iam.GetAccountAuthorizationDetailsInput{PageInput: iam.PageInput{Marker: marker}}
		_, err := f.GetAccountAuthorizationDetails(t.Context(), f.root(), in)
		f.refused(err, awserr.ValidationError, "Invalid Marker.")
	}
}
