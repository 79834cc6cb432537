package main_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
)

// TestPasswordsDocument runs the commands of docs/passwords.md as they are printed.
func TestPasswordsDocument(t *testing.T) {
	t.Parallel()
	needAWS(t)
	out := runTour(t, "passwords.md", 4, "aws iam get-login-profile --user-name dana --query LoginProfile.PasswordResetRequired\n")
	for _, want := range []string{`"PasswordResetRequired": true`, `"MinimumPasswordLength": 14`, `"ExpirePasswords": true`} {
		if !strings.Contains(out, want) {
			t.Errorf("the commands do not show %q:\n%s", want, out)
		}
	}
	if !strings.HasSuffix(strings.TrimSpace(out), "false") {
		t.Errorf("a password that was changed must be changed still:\n%s", out)
	}
}

// The calls and the typed errors that Terraform's aws_iam_user_login_profile and aws_iam_account_password_policy go by, from an unmodified
// SDK; and no password is written down anywhere, not even over a restart.
func TestSDK_Passwords(t *testing.T) {
	t.Parallel()
	const first, second = "Correct Horse 7", "Battery Staple 8"
	ctx := context.Background()
	dir := filepath.Join(t.TempDir(), "data")
	n := start(t, dir, "--account-id", "111122223333")
	root := n.root()
	alice := root.user(n, "alice", "")
	profile := &iam.CreateLoginProfileInput{UserName: aws.String("alice"), Password: aws.String(first), PasswordResetRequired: true}
	name := &iam.GetLoginProfileInput{UserName: profile.UserName}

	_, err := root.iam.GetLoginProfile(ctx, name)
	wantTyped[*types.NoSuchEntityException](t, err)
	_, err = root.iam.GetAccountPasswordPolicy(ctx, &iam.GetAccountPasswordPolicyInput{})
	wantTyped[*types.NoSuchEntityException](t, err)
	_, err = root.iam.CreateLoginProfile(ctx, &iam.CreateLoginProfileInput{UserName: profile.UserName, Password: aws.String("correct horse")})
	wantTyped[*types.PasswordPolicyViolationException](t, err)
	root.must(root.iam.CreateLoginProfile(ctx, profile))
	_, err = root.iam.CreateLoginProfile(ctx, profile)
	wantTyped[*types.EntityAlreadyExistsException](t, err)
	got, err := root.iam.GetLoginProfile(ctx, name)
	if err != nil || aws.ToString(got.LoginProfile.UserName) != "alice" || !got.LoginProfile.PasswordResetRequired || got.LoginProfile.CreateDate == nil {
		t.Errorf("%+v, %v", got, err)
	}
	_, err = root.iam.ChangePassword(ctx, &iam.ChangePasswordInput{OldPassword: aws.String(first), NewPassword: aws.String(second)})
	wantTyped[*types.InvalidUserTypeException](t, err)
	_, err = root.iam.DeleteUser(ctx, &iam.DeleteUserInput{UserName: profile.UserName})
	wantTyped[*types.DeleteConflictException](t, err)

	change := func(from, to string) error {
		_, err := alice.iam.ChangePassword(ctx, &iam.ChangePasswordInput{OldPassword: &from, NewPassword: &to})
		return err
	}
	root.must(nil, change(first, second)) // demanded: no permission is needed
	wantCode(t, change(second, first), "AccessDenied", "is not authorized to perform: iam:ChangePassword")
	root.must(root.iam.UpdateAccountPasswordPolicy(ctx, &iam.UpdateAccountPasswordPolicyInput{AllowUsersToChangePassword: true}))
	for range 5 {
		wantCode(t, change("Wrong Horse 7", first), "AccessDenied", "The old password was incorrect.")
	}
	keys := alice.credentials()
	n.stop()
	written := n.output.String()
	for _, password := range []string{first, second, "Wrong Horse 7"} {
		if strings.Contains(written, password) || auditHolds(t, dir, password) || anyFileHolds(t, dir, password) {
			t.Errorf("%q was written down", password)
		}
	}
	n = start(t, dir)
	root, alice = n.root(), n.client(keys.AccessKeyID, keys.SecretAccessKey.Reveal(), "")
	wantCode(t, change(second, first), "AccessDenied", "The old password was incorrect.") // it is, but the wait outlives the restart

	root.must(root.iam.DeleteAccountPasswordPolicy(ctx, &iam.DeleteAccountPasswordPolicyInput{}))
	root.must(root.iam.DeleteLoginProfile(ctx, &iam.DeleteLoginProfileInput{UserName: profile.UserName}))
	_, err = root.iam.GetLoginProfile(ctx, name)
	wantTyped[*types.NoSuchEntityException](t, err)
}

// wantTyped checks that an SDK knows the error.
func wantTyped[E error](t *testing.T, err error) {
	t.Helper()
	if _, ok := errors.AsType[E](err); !ok {
		t.Fatalf("error is %v, want a %T", err, *new(E))
	}
}

// anyFileHolds tells whether a file below dir has the text.
func anyFileHolds(t *testing.T, dir, text string) bool {
	t.Helper()
	found, files := false, 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		files++
		found = found || bytes.Contains(content, []byte(text))
		return err
	})
	if err != nil || files == 0 {
		t.Fatalf("%d files, %v", files, err)
	}
	return found
}
