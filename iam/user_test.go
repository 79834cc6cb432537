package iam_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/iam"
)

func TestCreateUser(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	tags := []iam.Tag{{Key: "Team", Value: "blue"}}
	boundary := "arn:aws:iam::aws:policy/ReadOnlyAccess"
	out, err := f.CreateUser(t.Context(), f.root(), &iam.CreateUserInput{
		UserName: "Alice", Path: "/eng/", Tags: tags, PermissionsBoundary: boundary,
	})
	f.ok(err)
	if id := out.User.UserID; !strings.HasPrefix(id, "AIDA") || len(id) != 21 {
		t.Errorf("user id %q", id)
	}
	want := iam.UserInfo{
		Path: "/eng/", UserName: "Alice", UserID: out.User.UserID, ARN: "arn:aws:iam::111122223333:user/eng/Alice",
		CreateDate:          time.Date(2026, 3, 14, 15, 9, 26, 0, time.UTC),
		PermissionsBoundary: &iam.PermissionsBoundary{Type: "PermissionsBoundaryPolicy", ARN: boundary},
		Tags:                tags,
	}
	if diff := cmp.Diff(want, out.User); diff != "" {
		t.Errorf("created user: %s", diff)
	}
	got, err := f.GetUser(t.Context(), f.root(), &iam.GetUserInput{UserName: "ALICE"})
	f.ok(err)
	if diff := cmp.Diff(want, got.User); diff != "" {
		t.Errorf("GetUser by another spelling: %s", diff)
	}
}

func TestCreateUser_Refuses(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name    string
		in      iam.CreateUserInput
		kind    *awserr.Kind
		message string
	}{
		{"a name that exists", iam.CreateUserInput{UserName: "alice"},
			awserr.EntityAlreadyExists, "User with name alice already exists."},
		{"a name that exists in another spelling and path", iam.CreateUserInput{UserName: "ALICE", Path: "/x/"},
			awserr.EntityAlreadyExists, "User with name ALICE already exists."},
		{"tag keys that differ in case only", iam.CreateUserInput{UserName: "bob", Tags: []iam.Tag{{Key: "a"}, {Key: "A"}}},
			awserr.InvalidInput, "Duplicate tag keys found. Please note that Tag keys are case insensitive."},
		{"a reserved tag key", iam.CreateUserInput{UserName: "bob", Tags: []iam.Tag{{Key: "AWS:x"}}},
			awserr.InvalidInput, "Tag keys that begin with aws: are reserved for system use."},
		{"a boundary that is no policy",
			iam.CreateUserInput{UserName: "bob", PermissionsBoundary: "arn:aws:iam::111122223333:user/alice"},
			awserr.InvalidParameterValue, "Value (arn:aws:iam::111122223333:user/alice) for parameter PermissionsBoundary is invalid."},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.user("alice")
			_, err := f.CreateUser(t.Context(), f.root(), &row.in)
			refused(t, err, row.kind, row.message)
			users, err := f.ListUsers(t.Context(), f.root(), &iam.ListUsersInput{})
			f.ok(err)
			if len(users.Users) != 1 {
				t.Errorf("a refused request left %d users", len(users.Users))
			}
		})
	}
}

func TestCreateUser_Quota(t *testing.T) {
	t.Parallel()
	f := newFixture(t, quotas(func(q *iam.Quotas) { q.UsersPerAccount = 2 }))
	f.user("a")
	f.user("b")
	_, err := f.CreateUser(t.Context(), f.root(), &iam.CreateUserInput{UserName: "c"})
	f.refused(err, awserr.LimitExceeded, "Cannot exceed quota for UsersPerAccount: 2")
	_, err = f.CreateUser(t.Context(), f.other(), &iam.CreateUserInput{UserName: "c"})
	f.ok(err) // another account has its own quota
}

func TestCreateUser_TagsNeedTagUser(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	in := &iam.CreateUserInput{UserName: "new", Tags: []iam.Tag{{Key: "a", Value: "b"}}}
	_, err := f.CreateUser(t.Context(), f.user("creator", allow("*", "iam:CreateUser")), in)
	f.refused(err, awserr.AccessDenied, "User: arn:aws:iam::111122223333:user/creator is not authorized to perform: iam:TagUser "+
		"on resource: arn:aws:iam::111122223333:user/new because no identity-based policy allows the iam:TagUser action")
	_, err = f.CreateUser(t.Context(), f.user("tagger", allow("*", "iam:CreateUser", "iam:TagUser")), in)
	f.ok(err)
}

// Delegated administrators are held to a boundary by this condition: without it they could create users above themselves.
func TestCreateUser_IsJudgedByItsBoundary(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	const readOnly, administrator = "arn:aws:iam::aws:policy/ReadOnlyAccess", "arn:aws:iam::aws:policy/AdministratorAccess"
	delegate := f.user("delegate", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iam:CreateUser","Resource":"*",
		"Condition":{"StringEquals":{"iam:PermissionsBoundary":"`+readOnly+`"}}}]}`)
	_, err := f.CreateUser(t.Context(), delegate, &iam.CreateUserInput{UserName: "new", PermissionsBoundary: readOnly})
	f.ok(err)
	for _, boundary := range []string{"", administrator} {
		_, err := f.CreateUser(t.Context(), delegate, &iam.CreateUserInput{UserName: "newer", PermissionsBoundary: boundary})
		f.refused(err, awserr.AccessDenied, "User: arn:aws:iam::111122223333:user/delegate is not authorized to perform: iam:CreateUser "+
			"on resource: arn:aws:iam::111122223333:user/newer because no identity-based policy allows the iam:CreateUser action")
	}
}

func TestGetUser_WithoutNameIsTheCaller(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	alice := f.user("alice", allActions)
	out, err := f.GetUser(t.Context(), alice, &iam.GetUserInput{})
	f.ok(err)
	if out.User.UserName != "alice" || out.User.UserID != alice.UserID {
		t.Errorf("user got %+v", out.User)
	}
	out, err = f.GetUser(t.Context(), f.root(), &iam.GetUserInput{})
	f.ok(err)
	want := iam.UserInfo{UserID: testAccount, ARN: "arn:aws:iam::111122223333:root", CreateDate: testTime.Truncate(time.Second)}
	if diff := cmp.Diff(want, out.User); diff != "" {
		t.Errorf("root got %s", diff)
	}
	_, err = f.GetUser(t.Context(), f.session(allActions), &iam.GetUserInput{})
	f.refused(err, awserr.ValidationError, "Must specify userName when calling with non-User credentials")
	_, err = f.GetUser(t.Context(), f.session(allActions), &iam.GetUserInput{UserName: "alice"})
	f.ok(err)
}

func TestGetUser_WithoutNameFollowsARename(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	alice := f.user("alice", allActions) // authenticated before the rename
	f.ok(f.UpdateUser(t.Context(), f.root(), &iam.UpdateUserInput{UserName: "alice", NewUserName: "carol"}))
	f.user("alice") // a namesake, who must not be taken for her
	out, err := f.GetUser(t.Context(), alice, &iam.GetUserInput{})
	f.ok(err)
	if out.User.UserName != "carol" || out.User.UserID != alice.UserID {
		t.Errorf("got %+v", out.User)
	}
	f.ok(f.DeleteUser(t.Context(), f.root(), &iam.DeleteUserInput{UserName: "carol"}))
	_, err = f.GetUser(t.Context(), alice, &iam.GetUserInput{})
	f.refused(err, awserr.NoSuchEntity, "The user with name alice cannot be found.")
}

func TestGetUser_DenialDoesNotTellWhetherTheUserExists(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	nobody := f.user("nobody")
	f.user("exists")
	for _, name := range []string{"exists", "missing"} {
		_, err := f.GetUser(t.Context(), nobody, &iam.GetUserInput{UserName: name})
		f.refused(err, awserr.AccessDenied, "User: arn:aws:iam::111122223333:user/nobody is not authorized to perform: iam:GetUser "+
			"on resource: arn:aws:iam::111122223333:user/"+name+" because no identity-based policy allows the iam:GetUser action")
	}
	_, err := f.GetUser(t.Context(), f.root(), &iam.GetUserInput{UserName: "missing"})
	f.refused(err, awserr.NoSuchEntity, "The user with name missing cannot be found.")
}

func TestUsers_OfAnotherAccountDoNotExist(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.user("alice")
	_, err := f.GetUser(t.Context(), f.root(), &iam.GetUserInput{UserName: "alice"})
	f.ok(err)
	_, err = f.GetUser(t.Context(), f.other(), &iam.GetUserInput{UserName: "alice"})
	f.refused(err, awserr.NoSuchEntity, "The user with name alice cannot be found.")
}

func TestListUsers(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for _, u := range []struct{ name, path string }{{"b", "/x/"}, {"A", "/"}, {"c", "/x/y/"}, {"d", "/xy/"}} {
		_, err := f.CreateUser(t.Context(), f.root(), &iam.CreateUserInput{
			UserName: u.name, Path: u.path, Tags: []iam.Tag{{Key: "k"}}, PermissionsBoundary: "arn:aws:iam::aws:policy/ReadOnlyAccess",
		})
		f.ok(err)
	}
	for _, row := range []struct{ name, prefix, want string }{
		{"all, in order of names ignoring case", "", "A b c d"},
		{"a path and those below", "/x/", "b c"},
		{"a prefix need not end at a slash", "/x", "b c d"},
		{"a path without users", "/z/", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			for _, size := range []int32{1, 2, 1000} {
				got := strings.Join(userNames(t, f, row.prefix, size), " ")
				if got != row.want {
					t.Errorf("pages of %d: %q, want %q", size, got, row.want)
				}
			}
		})
	}
	out, err := f.ListUsers(t.Context(), f.root(), &iam.ListUsersInput{})
	f.ok(err)
	for _, u := range out.Users {
		if u.Tags != nil || u.PermissionsBoundary != nil || u.UserID == "" {
			t.Errorf("listed as %+v", u)
		}
	}
	_, err = f.ListUsers(t.Context(), f.root(), &iam.ListUsersInput{PageInput: iam.PageInput{Marker: "!"}})
	f.refused(err, awserr.ValidationError, "Invalid Marker.")
}

// userNames walks the pages of ListUsers.
func userNames(t *testing.T, f *fixture, prefix string, size int32) []string {
	t.Helper()
	var names []string
	in := &iam.ListUsersInput{PathPrefix: prefix, PageInput: iam.PageInput{MaxItems: &size}}
	for {
		out, err := f.ListUsers(t.Context(), f.root(), in)
		f.ok(err)
		if len(out.Users) > int(size) || out.IsTruncated != (out.Marker != "") {
			t.Fatalf("page of %d users, truncated %t, marker %q", len(out.Users), out.IsTruncated, out.Marker)
		}
		for _, u := range out.Users {
			names = append(names, u.UserName)
		}
		if !out.IsTruncated {
			return names
		}
		in.Marker = out.Marker
	}
}

func TestUpdateUser(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	alice := f.user("alice")
	f.user("bob")
	key, err := f.CreateAccessKey(t.Context(), f.root(), &iam.CreateAccessKeyInput{UserName: "alice"})
	f.ok(err)
	f.ok(f.UpdateUser(t.Context(), f.root(), &iam.UpdateUserInput{UserName: "alice", NewUserName: "carol", NewPath: "/new/"}))
	out, err := f.GetUser(t.Context(), f.root(), &iam.GetUserInput{UserName: "carol"})
	f.ok(err)
	if out.User.UserID != alice.UserID || out.User.ARN != "arn:aws:iam::111122223333:user/new/carol" {
		t.Errorf("renamed to %+v", out.User)
	}
	keys, err := f.ListAccessKeys(t.Context(), f.root(), &iam.ListAccessKeysInput{UserName: "carol"})
	f.ok(err)
	if len(keys.AccessKeyMetadata) != 1 || keys.AccessKeyMetadata[0].AccessKeyID != key.AccessKey.AccessKeyID {
		t.Errorf("keys after the rename: %+v", keys.AccessKeyMetadata)
	}
	_, err = f.GetUser(t.Context(), f.root(), &iam.GetUserInput{UserName: "alice"})
	f.refused(err, awserr.NoSuchEntity, "The user with name alice cannot be found.")

	// Its own name in another spelling, and nothing to do.
	f.ok(f.UpdateUser(t.Context(), f.root(), &iam.UpdateUserInput{UserName: "carol", NewUserName: "CAROL"}))
	f.ok(f.UpdateUser(t.Context(), f.root(), &iam.UpdateUserInput{UserName: "carol"}))
	err = f.UpdateUser(t.Context(), f.root(), &iam.UpdateUserInput{UserName: "carol", NewUserName: "BOB"})
	f.refused(err, awserr.EntityAlreadyExists, "User with name BOB already exists.")
}

func TestUpdateUser_NeedsOldAndNewARN(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.user("alice")
	mover := f.user("mover", allow("arn:aws:iam::111122223333:user/alice", "iam:UpdateUser"))
	f.ok(f.UpdateUser(t.Context(), mover, &iam.UpdateUserInput{UserName: "alice", NewUserName: "alice"}))
	err := f.UpdateUser(t.Context(), mover, &iam.UpdateUserInput{UserName: "alice", NewPath: "/admins/"})
	f.refused(err, awserr.AccessDenied, "User: arn:aws:iam::111122223333:user/mover is not authorized to perform: iam:UpdateUser "+
		"on resource: arn:aws:iam::111122223333:user/admins/alice because no identity-based policy allows the iam:UpdateUser action")
}

func TestDeleteUser_RefusesWhileItHas(t *testing.T) {
	t.Parallel()
	const readOnly = "arn:aws:iam::aws:policy/ReadOnlyAccess"
	for _, row := range []struct {
		name    string
		give    func(t *testing.T, f *fixture) error
		message string
	}{
		{"access keys", func(t *testing.T, f *fixture) error {
			_, err := f.CreateAccessKey(t.Context(), f.root(), &iam.CreateAccessKeyInput{UserName: "alice"})
			return err
		}, "Cannot delete entity, must delete access keys first."},
		{"attached policies", func(t *testing.T, f *fixture) error {
			in := &iam.AttachUserPolicyInput{UserName: "alice", PolicyARN: readOnly}
			return f.AttachUserPolicy(t.Context(), f.root(), in)
		}, "Cannot delete entity, must detach all policies first."},
		{"inline policies", func(t *testing.T, f *fixture) error {
			in := &iam.PutUserPolicyInput{UserName: "alice", PolicyName: "p", PolicyDocument: allActions}
			return f.PutUserPolicy(t.Context(), f.root(), in)
		}, "Cannot delete entity, must delete policies first."},
		{"groups", func(t *testing.T, f *fixture) error {
			_, err := f.CreateGroup(t.Context(), f.root(), &iam.CreateGroupInput{GroupName: "g"})
			f.ok(err)
			return f.AddUserToGroup(t.Context(), f.root(), &iam.AddUserToGroupInput{GroupName: "g", UserName: "alice"})
		}, "Cannot delete entity, must remove users from group first."},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.user("alice")
			f.user("bare")
			f.ok(row.give(t, f))
			err := f.DeleteUser(t.Context(), f.root(), &iam.DeleteUserInput{UserName: "alice"})
			refused(t, err, awserr.DeleteConflict, row.message)
			f.ok(f.DeleteUser(t.Context(), f.root(), &iam.DeleteUserInput{UserName: "bare"}))
		})
	}
}

func TestDeleteUser_FreesNameAndBoundary(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	policy, err := f.CreatePolicy(t.Context(), f.root(), &iam.CreatePolicyInput{PolicyName: "edge", PolicyDocument: allActions})
	f.ok(err)
	in := &iam.CreateUserInput{UserName: "alice", PermissionsBoundary: policy.Policy.ARN}
	first, err := f.CreateUser(t.Context(), f.root(), in)
	f.ok(err)
	f.ok(f.DeleteUser(t.Context(), f.root(), &iam.DeleteUserInput{UserName: "Alice"}))
	got, err := f.GetPolicy(t.Context(), f.root(), &iam.GetPolicyInput{PolicyARN: policy.Policy.ARN})
	f.ok(err)
	if got.Policy.PermissionsBoundaryUsageCount != 0 {
		t.Errorf("the boundary counts %d uses after its user is gone", got.Policy.PermissionsBoundaryUsageCount)
	}
	second, err := f.CreateUser(t.Context(), f.root(), in)
	f.ok(err)
	if first.User.UserID == second.User.UserID {
		t.Errorf("a namesake has the unique id of a deleted user")
	}
	err = f.DeleteUser(t.Context(), f.root(), &iam.DeleteUserInput{UserName: "bob"})
	f.refused(err, awserr.NoSuchEntity, "The user with name bob cannot be found.")
}

func TestUserTags(t *testing.T) {
	t.Parallel()
	f := newFixture(t, quotas(func(q *iam.Quotas) { q.TagsPerEntity = 3 }))
	f.user("alice")
	tag := func(tags ...iam.Tag) error {
		return f.TagUser(t.Context(), f.root(), &iam.TagUserInput{UserName: "alice", Tags: tags})
	}
	f.ok(tag(iam.Tag{Key: "b", Value: "1"}, iam.Tag{Key: "C", Value: "2"}, iam.Tag{Key: "a"}))
	f.ok(tag(iam.Tag{Key: "B", Value: "3"})) // replaces b, which leaves three
	f.refused(tag(iam.Tag{Key: "d"}), awserr.LimitExceeded, "The number of tags has reached the maximum limit.")
	f.refused(tag(iam.Tag{Key: "a"}, iam.Tag{Key: "A"}), awserr.InvalidInput,
		"Duplicate tag keys found. Please note that Tag keys are case insensitive.")

	want := []iam.Tag{{Key: "a"}, {Key: "B", Value: "3"}, {Key: "C", Value: "2"}}
	for _, size := range []int32{1, 2, 3, 100} {
		if diff := cmp.Diff(want, userTags(t, f, size)); diff != "" {
			t.Errorf("pages of %d: %s", size, diff)
		}
	}
	f.ok(f.UntagUser(t.Context(), f.root(), &iam.UntagUserInput{UserName: "alice", TagKeys: []string{"A", "c", "z"}}))
	if diff := cmp.Diff([]iam.Tag{{Key: "B", Value: "3"}}, userTags(t, f, 100)); diff != "" {
		t.Errorf("after UntagUser: %s", diff)
	}
}

// A key may have 128 characters of four bytes, a marker 320 in all.
func TestListUserTags_MarkerFitsForLongKeys(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	_, err := f.CreateUser(t.Context(), f.root(), &iam.CreateUserInput{UserName: "alice", Tags: []iam.Tag{
		{Key: strings.Repeat("𐐷", 128)}, {Key: strings.Repeat("𐐷", 127)},
	}})
	f.ok(err)
	size := int32(1)
	in := &iam.ListUserTagsInput{UserName: "alice", PageInput: iam.PageInput{MaxItems: &size}}
	out, err := f.ListUserTags(t.Context(), f.root(), in)
	f.ok(err)
	if !out.IsTruncated || len(out.Marker) > 320 {
		t.Errorf("truncated %t, marker of %d characters", out.IsTruncated, len(out.Marker))
	}
	if got := len(userTags(t, f, 1)); got != 2 {
		t.Errorf("%d tags in pages of one", got)
	}
}

func userTags(t *testing.T, f *fixture, size int32) []iam.Tag {
	t.Helper()
	var tags []iam.Tag
	in := &iam.ListUserTagsInput{UserName: "alice", PageInput: iam.PageInput{MaxItems: &size}}
	for {
		out, err := f.ListUserTags(t.Context(), f.root(), in)
		f.ok(err)
		tags = append(tags, out.Tags...)
		if !out.IsTruncated {
			return tags
		}
		in.Marker = out.Marker
	}
}

func TestTags_AreConditionKeys(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.user("blue")
	f.user("red")
	for _, color := range []string{"blue", "red"} {
		f.ok(f.TagUser(t.Context(), f.root(), &iam.TagUserInput{UserName: color, Tags: []iam.Tag{{Key: "color", Value: color}}}))
	}
	caller := f.user("tagger", `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Action":["iam:TagUser","iam:UntagUser"],"Resource":"*","Condition":{
			"StringEquals":{"aws:ResourceTag/color":"blue"},
			"ForAllValues:StringEquals":{"aws:TagKeys":["shade"]}}}]}`)
	tag := func(name, key string) error {
		return f.TagUser(t.Context(), caller, &iam.TagUserInput{UserName: name, Tags: []iam.Tag{{Key: key, Value: "x"}}})
	}
	f.ok(tag("blue", "shade"))
	denied := "User: arn:aws:iam::111122223333:user/tagger is not authorized to perform: iam:TagUser on resource: " +
		"arn:aws:iam::111122223333:user/"
	reason := " because no identity-based policy allows the iam:TagUser action"
	f.refused(tag("red", "shade"), awserr.AccessDenied, denied+"red"+reason)
	f.refused(tag("blue", "color"), awserr.AccessDenied, denied+"blue"+reason)
	untag := func(key string) error {
		in := &iam.UntagUserInput{UserName: "blue", TagKeys: []string{key}}
		return f.UntagUser(t.Context(), caller, in)
	}
	f.ok(untag("shade"))
	if err := untag("color"); err == nil {
		t.Error("a tag was removed whose key the policy does not allow")
	}
}
