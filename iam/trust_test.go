package iam_test

import (
	"strings"
	"testing"

	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/authz"
	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/iam"
	"github.com/stint-sts/stint/policy"
)

// trust is a trust policy for one principal, laid out so that white space shows.
func trust(principal string) string {
	return "{ \"Version\": \"2012-10-17\",\n  \"Statement\": [ {\"Effect\":\"Allow\", \"Principal\": {\"AWS\": [\"" + principal +
		"\"]},\n \"Action\":\"sts:AssumeRole\"} ] }\n"
}

func TestTrust_PrincipalsMustExist(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	ctx := t.Context()
	other := f.other()
	_, err := f.CreateUser(ctx, f.root(), &iam.CreateUserInput{UserName: "alice", Path: "/eng/"})
	f.ok(err)
	f.role("caller")
	_, err = f.CreateUser(ctx, other, &iam.CreateUserInput{UserName: "zoe"})
	f.ok(err)
	f.role("target")
	for _, row := range []struct {
		name, principal string
		ok              bool
	}{
		{"a user with its path", "arn:aws:iam::111122223333:user/eng/alice", true},
		{"a role", "arn:aws:iam::111122223333:role/caller", true},
		{"the role itself", "arn:aws:iam::111122223333:role/target", true},
		{"a user of another account of the installation", "arn:aws:iam::444455556666:user/zoe", true},
		{"an account that is not of the installation", "arn:aws:iam::999999999999:root", true},
		{"a session, which is not bound", "arn:aws:sts::111122223333:assumed-role/absent/s", true},
		{"everybody", "*", true},
		{"the unique id of nobody", "AIDAABCDEFGHIJKLMNOPQ", false},
		{"the unique id of no role", "AROAABCDEFGHIJKLMNOPQ", false},
		{"a user without its path", "arn:aws:iam::111122223333:user/alice", false},
		{"a user in another spelling", "arn:aws:iam::111122223333:user/eng/Alice", false},
		{"a user who is not there", "arn:aws:iam::111122223333:user/absent", false},
		{"a role who is not there", "arn:aws:iam::111122223333:role/absent", false},
		{"a user of that name in another account", "arn:aws:iam::444455556666:user/eng/alice", false},
		{"a user of an account that is not of the installation", "arn:aws:iam::999999999999:user/alice", false},
	} {
		err := f.UpdateAssumeRolePolicy(ctx, f.root(), &iam.UpdateAssumeRolePolicyInput{RoleName: "target", PolicyDocument: trust(row.principal)})
		if row.ok {
			if err != nil {
				t.Errorf("%s: %v", row.name, err)
			} else if got := f.getRole("target").AssumeRolePolicyDocument; got != trust(row.principal) {
				t.Errorf("%s: the text changed to %s", row.name, got)
			}
			continue
		}
		t.Run(row.name, func(t *testing.T) {
			refused(t, err, awserr.MalformedPolicyDocument, `Invalid principal in policy: "AWS":"`+row.principal+`"`)
		})
	}
}

func TestTrust_IsBoundToTheIDs(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	ctx := t.Context()
	alice := f.user("alice")
	_, err := f.CreateRole(ctx, f.root(), &iam.CreateRoleInput{RoleName: "target", AssumeRolePolicyDocument: trust(alice.ARN)})
	f.ok(err)
	shows := func(step, principal string) {
		t.Helper()
		if got := f.getRole("target").AssumeRolePolicyDocument; got != trust(principal) {
			t.Errorf("%s: the trust policy shows %s", step, got)
		}
		out, err := f.ListRoles(ctx, f.root(), &iam.ListRolesInput{})
		f.ok(err)
		if got := out.Roles[0].AssumeRolePolicyDocument; got != trust(principal) {
			t.Errorf("%s: the list shows %s", step, got)
		}
	}
	shows("after creation", alice.ARN)
	f.ok(f.UpdateUser(ctx, f.root(), &iam.UpdateUserInput{UserName: "alice", NewUserName: "carol", NewPath: "/x/"}))
	shows("after a rename", "arn:aws:iam::111122223333:user/x/carol")
	f.user("alice") // a namesake of the old name is not meant
	shows("with a namesake", "arn:aws:iam::111122223333:user/x/carol")
	f.ok(f.DeleteUser(ctx, f.root(), &iam.DeleteUserInput{UserName: "carol"}))
	shows("after deletion", alice.Entity.ID)
	_, err = f.CreateUser(ctx, f.root(), &iam.CreateUserInput{UserName: "carol", Path: "/x/"})
	f.ok(err)
	shows("after another was made under the name", alice.Entity.ID)
}

func TestTrust_ByUniqueID(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	ctx := t.Context()
	alice := f.user("alice")
	create := func(name string) error {
		_, err := f.CreateRole(ctx, f.root(), &iam.CreateRoleInput{RoleName: name, AssumeRolePolicyDocument: trust(alice.Entity.ID)})
		return err
	}
	f.ok(create("target"))
	if got := f.getRole("target").AssumeRolePolicyDocument; got != trust(alice.ARN) {
		t.Errorf("a living user shows as %s", got)
	}
	f.ok(f.DeleteUser(ctx, f.root(), &iam.DeleteUserInput{UserName: "alice"}))
	if got := f.getRole("target").AssumeRolePolicyDocument; got != trust(alice.Entity.ID) {
		t.Errorf("a deleted user shows as %s", got)
	}
	f.refused(create("second"), awserr.MalformedPolicyDocument, `Invalid principal in policy: "AWS":"`+alice.Entity.ID+`"`)
}

func TestTrust_AccountsReadBackAsARNs(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.role("target")
	f.ok(f.UpdateAssumeRolePolicy(t.Context(), f.root(), &iam.UpdateAssumeRolePolicyInput{RoleName: "target", PolicyDocument: trust("444455556666")}))
	if got := f.getRole("target").AssumeRolePolicyDocument; got != trust("arn:aws:iam::444455556666:root") {
		t.Errorf("got %s", got)
	}
}

func TestTrust_ManyPrincipals(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	document := strings.Replace(trust("*"), `"*"`, `"arn:aws:iam::111122223333:user/a", "arn:aws:iam::111122223333:user/b", "arn:aws:iam::111122223333:user/a"`, 1)
	create := func() error {
		_, err := f.CreateRole(t.Context(), f.root(), &iam.CreateRoleInput{RoleName: "r", AssumeRolePolicyDocument: document})
		return err
	}
	f.user("a")
	f.refused(create(), awserr.MalformedPolicyDocument, `Invalid principal in policy: "AWS":"arn:aws:iam::111122223333:user/b"`)
	f.user("b")
	f.ok(create())
}

func TestTrust_ANamesakeIsNotTrusted(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	ctx := t.Context()
	first := f.user("alice")
	out, err := f.CreateRole(ctx, f.root(), &iam.CreateRoleInput{RoleName: "target", AssumeRolePolicyDocument: trust(first.ARN)})
	f.ok(err)
	trusts := func(c *authn.Caller) bool {
		role, err := f.directory.Entity(ctx, testAccount, out.Role.RoleID)
		f.ok(err)
		d := authz.Decide(c, &authz.Question{Action: "sts:AssumeRole", Resource: role.ARN, ResourcePolicy: role.Trust})
		return d.Effect == policy.Allow
	}
	if !trusts(first) {
		t.Error("the user is not trusted")
	}
	f.ok(f.DeleteUser(ctx, f.root(), &iam.DeleteUserInput{UserName: "alice"}))
	second := f.user("alice")
	if second.ARN != first.ARN || trusts(second) {
		t.Error("a namesake is trusted")
	}
	f.ok(f.UpdateAssumeRolePolicy(ctx, f.root(), &iam.UpdateAssumeRolePolicyInput{RoleName: "target", PolicyDocument: trust(second.ARN)}))
	if !trusts(second) || trusts(first) {
		t.Error("after an update the namesake is trusted instead")
	}
}
