package iam_test

import (
	"context"
	"strings"
	"testing"

	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/iam"
)

// call is an operation whose answer does not matter.
type call func(ctx context.Context, f *fixture, c *authn.Caller) error

func does[In any](operation func(*iam.Service, context.Context, *authn.Caller, *In) error, in In) call {
	return func(ctx context.Context, f *fixture, c *authn.Caller) error { return operation(f.Service, ctx, c, &in) }
}

func asks[In, Out any](operation func(*iam.Service, context.Context, *authn.Caller, *In) (*Out, error), in In) call {
	return func(ctx context.Context, f *fixture, c *authn.Caller) error {
		out, err := operation(f.Service, ctx, c, &in)
		if (out == nil) != (err != nil) {
			f.t.Errorf("answer %v beside error %v", out, err)
		}
		return err
	}
}

// Every operation works for a caller who is allowed just its action on just its resource, and is denied to one who is not.
func TestEveryOperationAsksForItsActionOnItsResource(t *testing.T) {
	t.Parallel()
	const (
		arns    = "arn:aws:iam::111122223333:"
		alice   = arns + "user/alice"
		group   = arns + "group/g"
		profile = arns + "instance-profile/ip"
	)
	tags, keys := []iam.Tag{{Key: "k", Value: "v"}}, []string{"k"}
	for _, row := range []struct {
		action   string
		resource string
		call     call
	}{
		{"CreateUser", arns + "user/x/new", asks((*iam.Service).CreateUser, iam.CreateUserInput{UserName: "new", Path: "/x/"})},
		{"GetUser", alice, asks((*iam.Service).GetUser, iam.GetUserInput{UserName: "alice"})},
		{"ListUsers", arns + "user/x/", asks((*iam.Service).ListUsers, iam.ListUsersInput{PathPrefix: "/x/"})},
		{"UpdateUser", alice, does((*iam.Service).UpdateUser, iam.UpdateUserInput{UserName: "alice"})},
		{"DeleteUser", arns + "user/bare", does((*iam.Service).DeleteUser, iam.DeleteUserInput{UserName: "bare"})},
		{"TagUser", alice, does((*iam.Service).TagUser, iam.TagUserInput{UserName: "alice", Tags: tags})},
		{"UntagUser", alice, does((*iam.Service).UntagUser, iam.UntagUserInput{UserName: "alice", TagKeys: keys})},
		{"ListUserTags", alice, asks((*iam.Service).ListUserTags, iam.ListUserTagsInput{UserName: "alice"})},
		{"ListMFADevices", alice, asks((*iam.Service).ListMFADevices, iam.ListMFADevicesInput{UserName: "alice"})},
		{"ListSigningCertificates", alice, asks((*iam.Service).ListSigningCertificates,
			iam.ListSigningCertificatesInput{UserName: "alice"})},
		{"ListSSHPublicKeys", alice, asks((*iam.Service).ListSSHPublicKeys, iam.ListSSHPublicKeysInput{UserName: "alice"})},
		{"ListServiceSpecificCredentials", alice, asks((*iam.Service).ListServiceSpecificCredentials,
			iam.ListServiceSpecificCredentialsInput{UserName: "alice"})},

		{"CreateGroup", arns + "group/new", asks((*iam.Service).CreateGroup, iam.CreateGroupInput{GroupName: "new"})},
		{"GetGroup", group, asks((*iam.Service).GetGroup, iam.GetGroupInput{GroupName: "g"})},
		{"ListGroups", arns + "group/", asks((*iam.Service).ListGroups, iam.ListGroupsInput{})},
		{"UpdateGroup", group, does((*iam.Service).UpdateGroup, iam.UpdateGroupInput{GroupName: "g"})},
		{"DeleteGroup", group, does((*iam.Service).DeleteGroup, iam.DeleteGroupInput{GroupName: "g"})},
		{"AddUserToGroup", group, does((*iam.Service).AddUserToGroup, iam.AddUserToGroupInput{GroupName: "g", UserName: "alice"})},
		{"RemoveUserFromGroup", group, does((*iam.Service).RemoveUserFromGroup,
			iam.RemoveUserFromGroupInput{GroupName: "g", UserName: "alice"})},
		{"ListGroupsForUser", alice, asks((*iam.Service).ListGroupsForUser, iam.ListGroupsForUserInput{UserName: "alice"})},

		{"CreateAccessKey", alice, asks((*iam.Service).CreateAccessKey, iam.CreateAccessKeyInput{UserName: "alice"})},
		{"ListAccessKeys", alice, asks((*iam.Service).ListAccessKeys, iam.ListAccessKeysInput{UserName: "alice"})},
		{"UpdateAccessKey", alice, func(ctx context.Context, f *fixture, c *authn.Caller) error {
			in := &iam.UpdateAccessKeyInput{UserName: "alice", AccessKeyID: f.keyOf("alice"), Status: "Inactive"}
			return f.UpdateAccessKey(ctx, c, in)
		}},
		{"DeleteAccessKey", alice, func(ctx context.Context, f *fixture, c *authn.Caller) error {
			return f.DeleteAccessKey(ctx, c, &iam.DeleteAccessKeyInput{UserName: "alice", AccessKeyID: f.keyOf("alice")})
		}},

		{"CreateAccountAlias", "*", does((*iam.Service).CreateAccountAlias, iam.CreateAccountAliasInput{AccountAlias: "new"})},
		{"DeleteAccountAlias", "*", does((*iam.Service).DeleteAccountAlias, iam.DeleteAccountAliasInput{AccountAlias: "acme"})},
		{"ListAccountAliases", "*", asks((*iam.Service).ListAccountAliases, iam.ListAccountAliasesInput{})},
		{"GetAccountSummary", "*", asks((*iam.Service).GetAccountSummary, iam.GetAccountSummaryInput{})},
		{"GetAccountAuthorizationDetails", "*", asks((*iam.Service).GetAccountAuthorizationDetails,
			iam.GetAccountAuthorizationDetailsInput{})},

		{"CreateInstanceProfile", arns + "instance-profile/new", asks((*iam.Service).CreateInstanceProfile,
			iam.CreateInstanceProfileInput{InstanceProfileName: "new"})},
		{"GetInstanceProfile", profile, asks((*iam.Service).GetInstanceProfile, iam.GetInstanceProfileInput{InstanceProfileName: "ip"})},
		{"ListInstanceProfiles", arns + "instance-profile/", asks((*iam.Service).ListInstanceProfiles, iam.ListInstanceProfilesInput{})},
		{"ListInstanceProfilesForRole", arns + "role/r", asks((*iam.Service).ListInstanceProfilesForRole,
			iam.ListInstanceProfilesForRoleInput{RoleName: "r"})},
		{"RemoveRoleFromInstanceProfile", profile, does((*iam.Service).RemoveRoleFromInstanceProfile,
			iam.RemoveRoleFromInstanceProfileInput{InstanceProfileName: "ip", RoleName: "r"})},
		{"DeleteInstanceProfile", profile, does((*iam.Service).DeleteInstanceProfile,
			iam.DeleteInstanceProfileInput{InstanceProfileName: "ip"})},
		{"TagInstanceProfile", profile, does((*iam.Service).TagInstanceProfile,
			iam.TagInstanceProfileInput{InstanceProfileName: "ip", Tags: tags})},
		{"UntagInstanceProfile", profile, does((*iam.Service).UntagInstanceProfile,
			iam.UntagInstanceProfileInput{InstanceProfileName: "ip", TagKeys: keys})},
		{"ListInstanceProfileTags", profile, asks((*iam.Service).ListInstanceProfileTags,
			iam.ListInstanceProfileTagsInput{InstanceProfileName: "ip"})},
	} {
		t.Run(row.action, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.user("alice")
			f.user("bare")
			f.accessKey(f.root(), "alice")
			f.group("g", "")
			f.newRole("r")
			f.instanceProfile("ip", "")
			f.ok(f.CreateAccountAlias(t.Context(), f.root(), &iam.CreateAccountAliasInput{AccountAlias: "acme"}))

			action := "iam:" + row.action
			elsewhere := f.user("elsewhere", allow("*", "iam:Other*"), allow(arns+"user/other", action))
			err := row.call(t.Context(), f, elsewhere)
			message := "User: arn:aws:iam::111122223333:user/elsewhere is not authorized to perform: " + action
			e := awserr.From(err)
			if err == nil || e.Kind != awserr.AccessDenied || !strings.HasPrefix(e.Message, message) {
				t.Fatalf("caller without the permission: %v\nwant %s", err, message)
			}
			if row.resource != "*" && !strings.Contains(e.Message, " on resource: "+row.resource+" because ") {
				t.Errorf("denial %q does not name %s", e.Message, row.resource)
			}
			f.ok(row.call(t.Context(), f, f.user("allowed", allow(row.resource, action))))
		})
	}
}

// keyOf returns the id of a user's only access key.
func (f *fixture) keyOf(user string) string {
	f.t.Helper()
	out, err := f.ListAccessKeys(f.t.Context(), f.root(), &iam.ListAccessKeysInput{UserName: user})
	f.ok(err)
	return out.AccessKeyMetadata[0].AccessKeyID
}
