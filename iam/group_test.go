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

func (f *fixture) group(name, path string) iam.GroupInfo {
	f.t.Helper()
	out, err := f.CreateGroup(f.t.Context(), f.root(), &iam.CreateGroupInput{GroupName: name, Path: path})
	f.ok(err)
	return out.Group
}

func (f *fixture) join(group, user string) error {
	return f.AddUserToGroup(f.t.Context(), f.root(), &iam.AddUserToGroupInput{GroupName: group, UserName: user})
}

func TestCreateGroup(t *testing.T) {
	t.Parallel()
	f := newFixture(t, quotas(func(q *iam.Quotas) { q.GroupsPerAccount = 2 }))
	g := f.group("Devs", "/eng/")
	want := iam.GroupInfo{
		Path: "/eng/", GroupName: "Devs", GroupID: g.GroupID, ARN: "arn:aws:iam::111122223333:group/eng/Devs",
		CreateDate: time.Date(2026, 3, 14, 15, 9, 26, 0, time.UTC),
	}
	if diff := cmp.Diff(want, g); diff != "" || !strings.HasPrefix(g.GroupID, "AGPA") {
		t.Errorf("created group: %s", diff)
	}
	_, err := f.CreateGroup(t.Context(), f.root(), &iam.CreateGroupInput{GroupName: "DEVS"})
	f.refused(err, awserr.EntityAlreadyExists, "Group with name DEVS already exists.")
	f.group("ops", "")
	_, err = f.CreateGroup(t.Context(), f.root(), &iam.CreateGroupInput{GroupName: "more"})
	f.refused(err, awserr.LimitExceeded, "Cannot exceed quota for GroupsPerAccount: 2")
}

func TestGroupMembers(t *testing.T) {
	t.Parallel()
	f := newFixture(t, quotas(func(q *iam.Quotas) { q.GroupsPerUser = 2 }))
	for _, g := range []string{"b", "A", "c"} {
		f.group(g, "")
	}
	f.user("alice")
	f.user("bob")
	f.ok(f.join("b", "alice"))
	f.ok(f.join("B", "ALICE")) // again, in another spelling
	f.ok(f.join("a", "alice"))
	f.refused(f.join("c", "alice"), awserr.LimitExceeded, "Cannot exceed quota for GroupsPerUser: 2")
	f.ok(f.join("b", "alice")) // a member already: the quota does not matter
	f.ok(f.join("b", "bob"))
	f.refused(f.join("z", "bob"), awserr.NoSuchEntity, "The group with name z cannot be found.")
	f.refused(f.join("b", "zoe"), awserr.NoSuchEntity, "The user with name zoe cannot be found.")

	groups, err := f.ListGroupsForUser(t.Context(), f.root(), &iam.ListGroupsForUserInput{UserName: "alice"})
	f.ok(err)
	if got := fmt.Sprint(groupNames(groups.Groups)); got != "[A b]" {
		t.Errorf("groups of alice: %s", got)
	}
	if got := fmt.Sprint(members(t, f, "b", 1)); got != "[alice bob]" {
		t.Errorf("members of b: %s", got)
	}
	f.ok(f.UpdateUser(t.Context(), f.root(), &iam.UpdateUserInput{UserName: "bob", NewUserName: "carol"}))
	if got := fmt.Sprint(members(t, f, "b", 100)); got != "[alice carol]" {
		t.Errorf("members of b after a rename: %s", got)
	}

	leave := &iam.RemoveUserFromGroupInput{GroupName: "b", UserName: "alice"}
	f.ok(f.RemoveUserFromGroup(t.Context(), f.root(), leave))
	f.ok(f.RemoveUserFromGroup(t.Context(), f.root(), leave)) // no member any more
	if got := fmt.Sprint(members(t, f, "b", 100)); got != "[carol]" {
		t.Errorf("members of b after one left: %s", got)
	}
}

func groupNames(groups []iam.GroupInfo) []string {
	names := make([]string, len(groups))
	for i, g := range groups {
		names[i] = g.GroupName
	}
	return names
}

// members walks the pages of GetGroup and sorts the names.
func members(t *testing.T, f *fixture, group string, size int32) []string {
	t.Helper()
	var names []string
	in := &iam.GetGroupInput{GroupName: group, PageInput: iam.PageInput{MaxItems: &size}}
	for {
		out, err := f.GetGroup(t.Context(), f.root(), in)
		f.ok(err)
		if len(out.Users) > int(size) {
			t.Fatalf("page of %d users, want %d", len(out.Users), size)
		}
		for _, u := range out.Users {
			names = append(names, u.UserName)
		}
		if !out.IsTruncated {
			slices.Sort(names)
			return names
		}
		in.Marker = out.Marker
	}
}

func TestListGroups(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.group("b", "/x/")
	f.group("A", "")
	f.group("c", "/x/y/")
	for _, row := range []struct{ name, prefix, want string }{
		{"all, in order of names ignoring case", "", "[A b c]"},
		{"a path and those below", "/x/", "[b c]"},
		{"a path without groups", "/z/", "[]"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			out, err := f.ListGroups(t.Context(), f.root(), &iam.ListGroupsInput{PathPrefix: row.prefix})
			f.ok(err)
			if got := fmt.Sprint(groupNames(out.Groups)); got != row.want {
				t.Errorf("got %s, want %s", got, row.want)
			}
		})
	}
}

func TestUpdateGroup(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	g := f.group("devs", "")
	f.group("ops", "")
	f.user("alice")
	f.ok(f.join("devs", "alice"))
	f.ok(f.UpdateGroup(t.Context(), f.root(), &iam.UpdateGroupInput{GroupName: "devs", NewGroupName: "engineers", NewPath: "/e/"}))
	out, err := f.GetGroup(t.Context(), f.root(), &iam.GetGroupInput{GroupName: "engineers"})
	f.ok(err)
	if out.Group.GroupID != g.GroupID || out.Group.ARN != "arn:aws:iam::111122223333:group/e/engineers" || len(out.Users) != 1 {
		t.Errorf("renamed to %+v", out)
	}
	err = f.UpdateGroup(t.Context(), f.root(), &iam.UpdateGroupInput{GroupName: "engineers", NewGroupName: "OPS"})
	f.refused(err, awserr.EntityAlreadyExists, "Group with name OPS already exists.")
	mover := f.user("mover", allow("arn:aws:iam::111122223333:group/ops", "iam:UpdateGroup"))
	err = f.UpdateGroup(t.Context(), mover, &iam.UpdateGroupInput{GroupName: "ops", NewGroupName: "admins"})
	f.refused(err, awserr.AccessDenied, "User: arn:aws:iam::111122223333:user/mover is not authorized to perform: iam:UpdateGroup "+
		"on resource: arn:aws:iam::111122223333:group/admins because no identity-based policy allows the iam:UpdateGroup action")
}

func TestDeleteGroup(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name    string
		give    func(t *testing.T, f *fixture) error
		message string
	}{
		{"members", func(_ *testing.T, f *fixture) error {
			f.user("alice")
			return f.join("g", "alice")
		}, "Cannot delete entity, must remove users from group first."},
		{"attached policies", func(t *testing.T, f *fixture) error {
			in := &iam.AttachGroupPolicyInput{GroupName: "g", PolicyARN: "arn:aws:iam::aws:policy/ReadOnlyAccess"}
			return f.AttachGroupPolicy(t.Context(), f.root(), in)
		}, "Cannot delete entity, must detach all policies first."},
		{"inline policies", func(t *testing.T, f *fixture) error {
			in := &iam.PutGroupPolicyInput{GroupName: "g", PolicyName: "p", PolicyDocument: allActions}
			return f.PutGroupPolicy(t.Context(), f.root(), in)
		}, "Cannot delete entity, must delete policies first."},
	} {
		t.Run("refused while it has "+row.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.group("g", "")
			f.group("bare", "")
			f.ok(row.give(t, f))
			f.refused(f.DeleteGroup(t.Context(), f.root(), &iam.DeleteGroupInput{GroupName: "g"}), awserr.DeleteConflict, row.message)
			f.ok(f.DeleteGroup(t.Context(), f.root(), &iam.DeleteGroupInput{GroupName: "bare"}))
			err := f.DeleteGroup(t.Context(), f.root(), &iam.DeleteGroupInput{GroupName: "bare"})
			f.refused(err, awserr.NoSuchEntity, "The group with name bare cannot be found.")
		})
	}
}

// What the request path reads follows the operations at once: a user who left a group must not act for it any more.
func TestMembership_IsSeenByTheRequestPathAtOnce(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	alice := f.user("alice")
	f.group("g", "")
	f.ok(f.PutGroupPolicy(t.Context(), f.root(), &iam.PutGroupPolicyInput{GroupName: "g", PolicyName: "p", PolicyDocument: allActions}))
	policies := func(want int) {
		t.Helper()
		e, err := f.directory.Entity(t.Context(), testAccount, alice.UserID)
		f.ok(err)
		if len(e.Identity) != want {
			t.Errorf("alice has %d policies, want %d", len(e.Identity), want)
		}
	}
	policies(0)
	f.ok(f.join("g", "alice"))
	policies(1)
	f.ok(f.RemoveUserFromGroup(t.Context(), f.root(), &iam.RemoveUserFromGroupInput{GroupName: "g", UserName: "alice"}))
	policies(0)
}
