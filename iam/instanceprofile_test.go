package iam_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/iam"
)

const trustAccount = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow",` +
	`"Principal":{"AWS":"arn:aws:iam::111122223333:root"},"Action":"sts:AssumeRole"}]}`

// newRole creates a role that the account trusts.
func (f *fixture) newRole(name string) iam.RoleInfo {
	f.t.Helper()
	out, err := f.CreateRole(f.t.Context(), f.root(), &iam.CreateRoleInput{RoleName: name, AssumeRolePolicyDocument: trustAccount})
	f.ok(err)
	return out.Role
}

func (f *fixture) instanceProfile(name, path string, tags ...iam.Tag) iam.InstanceProfileInfo {
	f.t.Helper()
	out, err := f.CreateInstanceProfile(f.t.Context(), f.root(), &iam.CreateInstanceProfileInput{
		InstanceProfileName: name, Path: path, Tags: tags,
	})
	f.ok(err)
	return out.InstanceProfile
}

func (f *fixture) addRole(profile, role string) error {
	return f.AddRoleToInstanceProfile(f.t.Context(), f.root(), &iam.AddRoleToInstanceProfileInput{
		InstanceProfileName: profile, RoleName: role,
	})
}

func (f *fixture) removeRole(profile, role string) error {
	return f.RemoveRoleFromInstanceProfile(f.t.Context(), f.root(), &iam.RemoveRoleFromInstanceProfileInput{
		InstanceProfileName: profile, RoleName: role,
	})
}

func TestCreateInstanceProfile(t *testing.T) {
	t.Parallel()
	f := newFixture(t, quotas(func(q *iam.Quotas) { q.InstanceProfilesPerAccount = 2 }))
	tags := []iam.Tag{{Key: "a", Value: "b"}}
	p := f.instanceProfile("Web", "/x/", tags...)
	want := iam.InstanceProfileInfo{
		Path: "/x/", InstanceProfileName: "Web", InstanceProfileID: p.InstanceProfileID,
		ARN:        "arn:aws:iam::111122223333:instance-profile/x/Web",
		CreateDate: time.Date(2026, 3, 14, 15, 9, 26, 0, time.UTC), Tags: tags,
	}
	if diff := cmp.Diff(want, p); diff != "" || !strings.HasPrefix(p.InstanceProfileID, "AIPA") {
		t.Errorf("created: %s", diff)
	}
	_, err := f.CreateInstanceProfile(t.Context(), f.root(), &iam.CreateInstanceProfileInput{InstanceProfileName: "WEB"})
	f.refused(err, awserr.EntityAlreadyExists, "Instance Profile WEB already exists.")
	f.instanceProfile("second", "")
	_, err = f.CreateInstanceProfile(t.Context(), f.root(), &iam.CreateInstanceProfileInput{InstanceProfileName: "third"})
	f.refused(err, awserr.LimitExceeded, "Cannot exceed quota for InstanceProfilesPerAccount: 2")
}

func TestInstanceProfile_HoldsOneRole(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	web, db := f.newRole("web"), f.newRole("db")
	f.instanceProfile("p", "")
	f.ok(f.addRole("P", "WEB"))
	f.refused(f.addRole("p", "web"), awserr.LimitExceeded, "Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1")
	f.refused(f.addRole("p", "db"), awserr.LimitExceeded, "Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1")
	f.refused(f.addRole("q", "db"), awserr.NoSuchEntity, "Instance Profile q cannot be found.")
	f.refused(f.addRole("p", "cache"), awserr.NoSuchEntity, "The role with name cache cannot be found.")

	holds := func(want ...string) {
		t.Helper()
		out, err := f.GetInstanceProfile(t.Context(), f.root(), &iam.GetInstanceProfileInput{InstanceProfileName: "p"})
		f.ok(err)
		var ids []string
		for _, r := range out.InstanceProfile.Roles {
			ids = append(ids, r.RoleID)
		}
		if fmt.Sprint(ids) != fmt.Sprint(want) {
			t.Errorf("holds %v, want %v", ids, want)
		}
	}
	holds(web.RoleID)
	err := f.DeleteRole(t.Context(), f.root(), &iam.DeleteRoleInput{RoleName: "web"})
	f.refused(err, awserr.DeleteConflict, "Cannot delete entity, must remove roles from instance profile first.")
	err = f.DeleteInstanceProfile(t.Context(), f.root(), &iam.DeleteInstanceProfileInput{InstanceProfileName: "p"})
	f.refused(err, awserr.DeleteConflict, "Cannot delete entity, must remove roles from instance profile first.")

	f.ok(f.removeRole("p", "db")) // not in it
	holds(web.RoleID)
	f.ok(f.removeRole("p", "web"))
	f.ok(f.removeRole("p", "web")) // not in it any more
	holds()
	f.refused(f.removeRole("p", "cache"), awserr.NoSuchEntity, "The role with name cache cannot be found.")
	f.ok(f.addRole("p", "db"))
	holds(db.RoleID)
	f.ok(f.removeRole("p", "db"))
	f.ok(f.DeleteInstanceProfile(t.Context(), f.root(), &iam.DeleteInstanceProfileInput{InstanceProfileName: "p"}))
	_, err = f.GetInstanceProfile(t.Context(), f.root(), &iam.GetInstanceProfileInput{InstanceProfileName: "p"})
	f.refused(err, awserr.NoSuchEntity, "Instance Profile p cannot be found.")
	f.ok(f.DeleteRole(t.Context(), f.root(), &iam.DeleteRoleInput{RoleName: "web"}))
}

func TestAddRoleToInstanceProfile_NeedsPassRole(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.newRole("web")
	f.instanceProfile("p", "")
	in := &iam.AddRoleToInstanceProfileInput{InstanceProfileName: "p", RoleName: "web"}
	adder := f.user("adder", allow("*", "iam:AddRoleToInstanceProfile"))
	err := f.AddRoleToInstanceProfile(t.Context(), adder, in)
	f.refused(err, awserr.AccessDenied, "User: arn:aws:iam::111122223333:user/adder is not authorized to perform: iam:PassRole "+
		"on resource: arn:aws:iam::111122223333:role/web because no identity-based policy allows the iam:PassRole action")
	passer := f.user("passer", allow("*", "iam:AddRoleToInstanceProfile"), allow("arn:aws:iam::111122223333:role/web", "iam:PassRole"))
	f.ok(f.AddRoleToInstanceProfile(t.Context(), passer, in))
}

func TestListInstanceProfiles(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.newRole("web")
	for _, p := range []struct{ name, path string }{{"b", "/x/"}, {"A", ""}, {"c", "/x/"}} {
		f.instanceProfile(p.name, p.path, iam.Tag{Key: "k"})
		f.ok(f.addRole(p.name, "web"))
	}
	f.instanceProfile("empty", "")
	names := func(profiles []iam.InstanceProfileInfo) string {
		var all []string
		for _, p := range profiles {
			all = append(all, p.InstanceProfileName)
			if p.Tags != nil {
				t.Errorf("%s is listed with tags", p.InstanceProfileName)
			}
		}
		return strings.Join(all, " ")
	}
	out, err := f.ListInstanceProfiles(t.Context(), f.root(), &iam.ListInstanceProfilesInput{})
	f.ok(err)
	if got := names(out.InstanceProfiles); got != "A b c empty" {
		t.Errorf("all: %s", got)
	}
	out, err = f.ListInstanceProfiles(t.Context(), f.root(), &iam.ListInstanceProfilesInput{PathPrefix: "/x/"})
	f.ok(err)
	if got := names(out.InstanceProfiles); got != "b c" {
		t.Errorf("below /x/: %s", got)
	}
	size := int32(2)
	in := &iam.ListInstanceProfilesForRoleInput{RoleName: "web", PageInput: iam.PageInput{MaxItems: &size}}
	first, err := f.ListInstanceProfilesForRole(t.Context(), f.root(), in)
	f.ok(err)
	in.Marker = first.Marker
	second, err := f.ListInstanceProfilesForRole(t.Context(), f.root(), in)
	f.ok(err)
	if got := names(first.InstanceProfiles) + "|" + names(second.InstanceProfiles); got != "A b|c" || second.IsTruncated {
		t.Errorf("of role web: %s", got)
	}
}

func TestInstanceProfileTags(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.instanceProfile("p", "", iam.Tag{Key: "a", Value: "1"})
	f.ok(f.TagInstanceProfile(t.Context(), f.root(), &iam.TagInstanceProfileInput{
		InstanceProfileName: "p", Tags: []iam.Tag{{Key: "A", Value: "2"}, {Key: "B", Value: "3"}},
	}))
	f.ok(f.UntagInstanceProfile(t.Context(), f.root(), &iam.UntagInstanceProfileInput{
		InstanceProfileName: "p", TagKeys: []string{"b"},
	}))
	out, err := f.ListInstanceProfileTags(t.Context(), f.root(), &iam.ListInstanceProfileTagsInput{InstanceProfileName: "p"})
	f.ok(err)
	if diff := cmp.Diff([]iam.Tag{{Key: "A", Value: "2"}}, out.Tags); diff != "" {
		t.Error(diff)
	}
}
