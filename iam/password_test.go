package iam_test

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/iam"
	"github.com/stint-sts/stint/mfa"
	"github.com/stint-sts/stint/password"
	"github.com/stint-sts/stint/secret"
	"github.com/stint-sts/stint/session"
	"github.com/stint-sts/stint/session/embedded"
)

const (
	goodPassword  = "Correct Horse 7"
	otherPassword = "Battery Staple 8"
)

// passwordFixture is a devicesFixture with passwords, on a clock that a test moves.
type passwordFixture struct {
	*devicesFixture
	passwords *iam.Passwords
	hasher    *hasher
	state     *throttle
	clock     atomic.Int64 // nanoseconds after testTime
}

func (f *passwordFixture) now() time.Time          { return testTime.Add(time.Duration(f.clock.Load())) }
func (f *passwordFixture) advance(d time.Duration) { f.clock.Add(int64(d)) }

// hasher hashes cheaply, and counts.
type hasher struct {
	*password.Hasher
	hashed, verified, decoys atomic.Int64
	busy                     atomic.Bool
	hold                     atomic.Pointer[hold]
}

// hold stops a hash that has begun until it is released.
type hold struct{ begun, release chan struct{} }

func (h *hasher) Hash(ctx context.Context, given secret.String) (*password.Hash, error) {
	h.hashed.Add(1)
	if hold := h.hold.Load(); hold != nil {
		close(hold.begun)
		<-hold.release
	}
	return h.Hasher.Hash(ctx, given)
}

func (h *hasher) Verify(ctx context.Context, hash *password.Hash, given secret.String) (bool, error) {
	if h.busy.Load() {
		return false, password.ErrBusy
	}
	h.verified.Add(1)
	return h.Hasher.Verify(ctx, hash, given)
}

func (h *hasher) VerifyUnknown(ctx context.Context, given secret.String) error {
	if h.busy.Load() {
		return password.ErrBusy
	}
	h.decoys.Add(1)
	return h.Hasher.VerifyUnknown(ctx, given)
}

// throttle is session state, which a test may break.
type throttle struct {
	*embedded.Store
	attempt, succeed error
}

func (t *throttle) Attempt(ctx context.Context, name string) (bool, error) {
	if t.attempt != nil {
		return false, t.attempt
	}
	return t.Store.Attempt(ctx, name)
}

func (t *throttle) Succeed(ctx context.Context, name string) error {
	return errors.Join(t.succeed, t.Store.Succeed(ctx, name))
}

// costs are those of the fixture's hashes.
func costs(t *testing.T, memory uint32) *password.Hasher {
	t.Helper()
	h, err := password.New(password.Config{Rand: rand.Reader, Params: password.Params{Memory: memory, Time: 1, Threads: 1}, Wait: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func newPasswordFixture(t *testing.T) *passwordFixture {
	t.Helper()
	f := &passwordFixture{hasher: &hasher{Hasher: costs(t, 8)}}
	store, err := embedded.New(embedded.Config{Dir: t.TempDir(), Now: f.now})
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Found(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	f.state = &throttle{Store: store}
	codes := mfa.New(mfa.Config{Guard: session.Once{Guard: store}, Throttle: f.state, Now: f.now})
	f.devicesFixture = &devicesFixture{seeds: make(map[string]string)}
	f.fixture = newFixture(t, func(cfg *iam.Config) {
		f.passwords = iam.NewPasswords(iam.PasswordsConfig{
			Directory: cfg.Directory, Hasher: f.hasher, Throttle: f.state, Codes: codes, Now: f.now,
		})
		cfg.Codes, cfg.Passwords, cfg.Now = codes, f.passwords, f.now
	})
	return f
}

// person creates a user who has a password.
func (f *passwordFixture) person(name string, policies ...string) *authn.Caller {
	f.t.Helper()
	c := f.user(name, policies...)
	_, err := f.CreateLoginProfile(f.t.Context(), f.root(), &iam.CreateLoginProfileInput{UserName: name, Password: secret.New(goodPassword)})
	f.ok(err)
	return c
}

func (f *passwordFixture) setPolicy(in iam.UpdateAccountPasswordPolicyInput) {
	f.t.Helper()
	f.ok(f.UpdateAccountPasswordPolicy(f.t.Context(), f.root(), &in))
}

func (f *passwordFixture) reset(name, to string) error {
	return f.UpdateLoginProfile(f.t.Context(), f.root(), &iam.UpdateLoginProfileInput{UserName: name, Password: secret.New(to)})
}

func (f *passwordFixture) change(c *authn.Caller, from, to string) error {
	caller := *c
	caller.Request = testRequest()
	return f.ChangePassword(f.t.Context(), &caller, &iam.ChangePasswordInput{OldPassword: secret.New(from), NewPassword: secret.New(to)})
}

// signIn signs in from an address, with a code or without.
func (f *passwordFixture) signIn(account, user, given string, code secret.String) (*iam.SignedIn, error) {
	return f.passwords.SignIn(f.t.Context(), &iam.SignIn{
		Account: account, User: user, Password: secret.New(given), Code: code, Source: "203.0.113.9",
	})
}

// mustSignIn signs a user of the first account in, without a code.
func (f *passwordFixture) mustSignIn(user, given string) *iam.SignedIn {
	f.t.Helper()
	out, err := f.signIn(testAccount, user, given, secret.String{})
	f.ok(err)
	return out
}

// stored is what the directory keeps of a user's password.
func (f *passwordFixture) stored(c *authn.Caller) *iam.LoginProfile {
	f.t.Helper()
	var profile *iam.LoginProfile
	f.ok(f.directory.View(f.t.Context(), func(tx iam.Tx) (err error) {
		profile, err = iam.StoredLoginProfile(tx, c.Account, c.UserID)
		return err
	}))
	return profile
}

func number(n int32) *int32 { return &n }

func yes(b bool) *bool { return &b }

// The default policy and custom ones, by what the AWS IAM User Guide says of them ("Set an account password policy for IAM users").
func TestPasswordPolicy_Rules(t *testing.T) {
	t.Parallel()
	type policy = iam.UpdateAccountPasswordPolicyInput
	const (
		short   = "Password should have a minimum length of "
		mixed   = "Password should have at least three of uppercase letters, lowercase letters, numbers and symbols"
		upper   = "Password should have at least one uppercase letter"
		lower   = "Password should have at least one lowercase letter"
		digit   = "Password should have at least one number"
		symbol  = "Password should have at least one symbol"
		account = "Password should not be the name of the account"
	)
	for _, row := range []struct {
		name     string
		policy   *policy // nil: the default one
		password string
		want     string // empty: accepted
	}{
		{"default: eight characters, three kinds", nil, "Abcdefg1", ""},
		{"default: four kinds", nil, "Abcdef1!", ""},
		{"default: without letters of one case", nil, "abcdef1!", ""},
		{"default: without numbers", nil, "Abcdefg!", ""},
		{"default: seven characters", nil, "Abcdef1", short + "8"},
		{"default: eight characters, more bytes", nil, "Abcdef1ä", ""},
		{"default: seven characters, eight bytes", nil, "Abcde1ä", short + "8"},
		{"default: two kinds", nil, "abcdefg1", mixed},
		{"default: one kind", nil, "abcdefgh", mixed},
		{"default: a space is no symbol", nil, "abcdef 1", mixed},
		{"default: a letter beyond a to z is no letter", nil, "Äbcdefg1", mixed},
		{"default: a symbol beyond the list is no symbol", nil, "abcdef1?", mixed},
		{"default: each symbol of the list", nil, "Ab!@#$%^&*()_+-=[]{}|'", ""},
		{"default: the account's name", nil, "FIRST account-1", account},
		{"default: the account's alias", nil, "first-Alias-1", account},
		{"default: more than the account's name", nil, "first account-1!", ""},

		{"custom: six characters of one kind", &policy{}, "abcdef", ""},
		{"custom: five characters", &policy{}, "abcde", short + "6"},
		{"custom: the account's name", &policy{}, "first account-1", ""},
		{"custom: as long as asked for", &policy{MinimumPasswordLength: number(128)}, strings.Repeat("a", 128), ""},
		{"custom: one character less", &policy{MinimumPasswordLength: number(128)}, strings.Repeat("a", 127), short + "128"},
		{"custom: an uppercase letter", &policy{RequireUppercaseCharacters: true}, "abcdeF", ""},
		{"custom: no uppercase letter", &policy{RequireUppercaseCharacters: true}, "abcdÉ1!", upper},
		{"custom: a lowercase letter", &policy{RequireLowercaseCharacters: true}, "ABCDEf", ""},
		{"custom: no lowercase letter", &policy{RequireLowercaseCharacters: true}, "ABCDé1!", lower},
		{"custom: a number", &policy{RequireNumbers: true}, "abcde1", ""},
		{"custom: no number", &policy{RequireNumbers: true}, "abcdeF²", digit},
		{"custom: a symbol", &policy{RequireSymbols: true}, "abcde'", ""},
		{"custom: no symbol", &policy{RequireSymbols: true}, "abcde1F;", symbol},
		{"custom: all kinds", &policy{RequireSymbols: true, RequireNumbers: true, RequireUppercaseCharacters: true, RequireLowercaseCharacters: true}, "aB1!xx", ""},
		{"custom: the first rule that is broken is named", &policy{RequireSymbols: true, RequireNumbers: true}, "abcdef", digit},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			f := newPasswordFixture(t)
			f.rename("First Account-1", "first-alias-1")
			if row.policy != nil {
				f.setPolicy(*row.policy)
			}
			f.user("alice")
			in := &iam.CreateLoginProfileInput{UserName: "alice", Password: secret.New(row.password)}
			_, err := f.CreateLoginProfile(t.Context(), f.root(), in)
			if row.want == "" {
				f.ok(err)
				f.mustSignIn("alice", row.password)
				return
			}
			refused(t, err, awserr.PasswordPolicyViolation, row.want)
			if f.hasher.hashed.Load() != 0 {
				t.Error("a password that is refused was hashed")
			}
		})
	}
}

// rename gives the account another name, and an alias.
func (f *passwordFixture) rename(name, alias string) {
	f.t.Helper()
	f.ok(f.CreateAccountAlias(f.t.Context(), f.root(), &iam.CreateAccountAliasInput{AccountAlias: alias}))
	f.ok(f.directory.Update(f.t.Context(), func(tx iam.Tx) error { return iam.RenameAccount(tx, testAccount, name) }))
}

func TestAccountPasswordPolicy(t *testing.T) {
	t.Parallel()
	f := newPasswordFixture(t)
	get := func(c *authn.Caller) (*iam.GetAccountPasswordPolicyOutput, error) {
		return f.GetAccountPasswordPolicy(t.Context(), c, &iam.GetAccountPasswordPolicyInput{})
	}
	const missing = "The Password Policy with domain name 111122223333 cannot be found."
	_, err := get(f.root())
	f.refused(err, awserr.NoSuchEntity, missing)
	err = f.DeleteAccountPasswordPolicy(t.Context(), f.root(), &iam.DeleteAccountPasswordPolicyInput{})
	f.refused(err, awserr.NoSuchEntity, missing)

	f.setPolicy(iam.UpdateAccountPasswordPolicyInput{
		MinimumPasswordLength: number(14), RequireSymbols: true, MaxPasswordAge: number(90), PasswordReusePrevention: number(24), HardExpiry: true,
	})
	out, err := get(f.root())
	f.ok(err)
	want := iam.AccountPasswordPolicy{
		MinimumPasswordLength: 14, RequireSymbols: true, ExpirePasswords: true, MaxPasswordAge: number(90), PasswordReusePrevention: number(24), HardExpiry: true,
	}
	if diff := cmp.Diff(want, out.PasswordPolicy); diff != "" {
		t.Error(diff)
	}
	if other, err := get(f.other()); err == nil {
		t.Errorf("another account has it too: %+v", other)
	}
	f.setPolicy(iam.UpdateAccountPasswordPolicyInput{RequireNumbers: true})
	out, err = get(f.root())
	f.ok(err)
	if diff := cmp.Diff(iam.AccountPasswordPolicy{MinimumPasswordLength: 6, RequireNumbers: true}, out.PasswordPolicy); diff != "" {
		t.Error("what is not given becomes the default again:", diff)
	}

	alice := f.user("alice")
	_, err = get(alice)
	if !errors.Is(err, awserr.AccessDenied) {
		t.Errorf("a user who may do nothing: %v", err)
	}
	f.setPolicy(iam.UpdateAccountPasswordPolicyInput{AllowUsersToChangePassword: true})
	_, err = get(alice)
	f.ok(err)
	f.ok(f.DeleteAccountPasswordPolicy(t.Context(), f.root(), &iam.DeleteAccountPasswordPolicyInput{}))
	_, err = get(f.root())
	f.refused(err, awserr.NoSuchEntity, missing)
}

func TestLoginProfile(t *testing.T) {
	t.Parallel()
	f := newPasswordFixture(t)
	f.user("Alice")
	create := func(in iam.CreateLoginProfileInput) error {
		_, err := f.CreateLoginProfile(t.Context(), f.root(), &in)
		return err
	}
	get := func() iam.LoginProfileInfo {
		t.Helper()
		out, err := f.GetLoginProfile(t.Context(), f.root(), &iam.GetLoginProfileInput{UserName: "alice"})
		f.ok(err)
		return out.LoginProfile
	}
	f.refused(create(iam.CreateLoginProfileInput{UserName: "alice"}), awserr.ValidationError, "Password must be given.")
	f.refused(create(iam.CreateLoginProfileInput{UserName: "zoe", Password: secret.New(goodPassword)}), awserr.NoSuchEntity,
		"The user with name zoe cannot be found.")
	f.refused(create(iam.CreateLoginProfileInput{Password: secret.New(goodPassword)}), awserr.InvalidUserType,
		"The root user has no password: it signs in with an access key.")
	f.refused(f.reset("alice", goodPassword), awserr.NoSuchEntity, "Login Profile for User Alice cannot be found.")
	err := f.DeleteLoginProfile(t.Context(), f.root(), &iam.DeleteLoginProfileInput{UserName: "alice"})
	f.refused(err, awserr.NoSuchEntity, "Login Profile for User Alice cannot be found.")
	_, err = f.GetLoginProfile(t.Context(), f.root(), &iam.GetLoginProfileInput{})
	f.refused(err, awserr.NoSuchEntity, "Login Profile for User root cannot be found.")

	f.ok(create(iam.CreateLoginProfileInput{UserName: "alice", Password: secret.New(goodPassword), PasswordResetRequired: true}))
	want := iam.LoginProfileInfo{UserName: "Alice", CreateDate: testTime.Truncate(time.Second), PasswordResetRequired: true}
	if diff := cmp.Diff(want, get()); diff != "" {
		t.Error(diff)
	}
	f.refused(create(iam.CreateLoginProfileInput{UserName: "alice", Password: secret.New(goodPassword)}), awserr.EntityAlreadyExists,
		"Login Profile for user Alice already exists.")
	if !f.mustSignIn("alice", goodPassword).ResetRequired {
		t.Error("the sign-in does not tell that the password must be changed")
	}
	f.advance(time.Hour)
	in := &iam.UpdateLoginProfileInput{UserName: "alice", PasswordResetRequired: yes(false)}
	f.ok(f.UpdateLoginProfile(t.Context(), f.root(), in))
	if want.PasswordResetRequired = false; get() != want {
		t.Errorf("%+v, want %+v", get(), want)
	}
	f.ok(f.reset("alice", otherPassword))
	if get() != want {
		t.Errorf("another password changes %+v into %+v", want, get())
	}
	if f.mustSignIn("alice", otherPassword).MustChange() {
		t.Error("the password must be changed again")
	}
	err = f.DeleteUser(t.Context(), f.root(), &iam.DeleteUserInput{UserName: "alice"})
	f.refused(err, awserr.DeleteConflict, "Cannot delete entity, must delete login profile first.")
	f.ok(f.DeleteLoginProfile(t.Context(), f.root(), &iam.DeleteLoginProfileInput{UserName: "alice"}))
	f.ok(f.DeleteUser(t.Context(), f.root(), &iam.DeleteUserInput{UserName: "alice"}))
}

func TestPasswordOperations_AskForPermission(t *testing.T) {
	t.Parallel()
	f := newPasswordFixture(t)
	f.person("alice")
	f.user("bob")
	alices, account := "arn:aws:iam::111122223333:user/alice", "*"
	for _, row := range []struct {
		action   string
		resource string
		call     func(*authn.Caller) error
	}{
		{"iam:CreateLoginProfile", "arn:aws:iam::111122223333:user/bob", func(c *authn.Caller) error {
			_, err := f.CreateLoginProfile(t.Context(), c, &iam.CreateLoginProfileInput{UserName: "bob", Password: secret.New(goodPassword)})
			return err
		}},
		{"iam:GetLoginProfile", alices, func(c *authn.Caller) error {
			_, err := f.GetLoginProfile(t.Context(), c, &iam.GetLoginProfileInput{UserName: "alice"})
			return err
		}},
		{"iam:UpdateLoginProfile", alices, func(c *authn.Caller) error {
			return f.UpdateLoginProfile(t.Context(), c, &iam.UpdateLoginProfileInput{UserName: "alice", Password: secret.New(otherPassword)})
		}},
		{"iam:UpdateAccountPasswordPolicy", account, func(c *authn.Caller) error {
			return f.UpdateAccountPasswordPolicy(t.Context(), c, &iam.UpdateAccountPasswordPolicyInput{})
		}},
		{"iam:GetAccountPasswordPolicy", account, func(c *authn.Caller) error {
			_, err := f.GetAccountPasswordPolicy(t.Context(), c, &iam.GetAccountPasswordPolicyInput{})
			return err
		}},
		{"iam:DeleteAccountPasswordPolicy", account, func(c *authn.Caller) error {
			return f.DeleteAccountPasswordPolicy(t.Context(), c, &iam.DeleteAccountPasswordPolicyInput{})
		}},
		{"iam:DeleteLoginProfile", alices, func(c *authn.Caller) error {
			return f.DeleteLoginProfile(t.Context(), c, &iam.DeleteLoginProfileInput{UserName: "alice"})
		}},
	} {
		err := row.call(f.session(allow(row.resource, "iam:List*")))
		f.refused(err, awserr.AccessDenied, "User: arn:aws:sts::111122223333:assumed-role/worker/job is not authorized to perform: "+row.action+
			" on resource: "+row.resource+" because no identity-based policy allows the "+row.action+" action")
		if err := row.call(f.session(allow(row.resource, row.action))); err != nil {
			t.Errorf("%s: %v", row.action, err)
		}
	}
}

func TestChangePassword(t *testing.T) {
	t.Parallel()
	const (
		own  = "arn:aws:iam::111122223333:user/${aws:username}"
		deny = `{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"iam:ChangePassword","Resource":"*"}}`

		unasked   = "no identity-based policy allows the iam:ChangePassword action"
		forbidden = "an explicit deny in an identity-based policy"
	)
	type fixture = *passwordFixture
	usersMay := func(f fixture) { f.setPolicy(iam.UpdateAccountPasswordPolicyInput{AllowUsersToChangePassword: true}) }
	mustChange := func(f fixture) {
		f.ok(f.UpdateLoginProfile(t.Context(), f.root(), &iam.UpdateLoginProfileInput{UserName: "alice", PasswordResetRequired: yes(true)}))
	}
	expired := func(hard bool) func(fixture) {
		return func(f fixture) {
			f.setPolicy(iam.UpdateAccountPasswordPolicyInput{MaxPasswordAge: number(1), HardExpiry: hard})
			f.advance(24 * time.Hour)
		}
	}
	for _, row := range []struct {
		name     string
		prepare  func(fixture)
		policies []string
		old, new string
		kind     *awserr.Kind // nil: changed
		message  string       // empty: not compared
		because  string       // AccessDenied names it
	}{
		{"allowed by a policy", nil, []string{allow(own, "iam:ChangePassword")}, goodPassword, otherPassword, nil, "", ""},
		{"allowed for another user", nil, []string{allow("arn:aws:iam::111122223333:user/bob", "iam:ChangePassword")}, goodPassword, otherPassword, awserr.AccessDenied, "", unasked},
		{"allowed by nothing", nil, nil, goodPassword, otherPassword, awserr.AccessDenied, "", unasked},
		{"allowed to all users by the account's policy", usersMay, nil, goodPassword, otherPassword, nil, "", ""},
		{"allowed to all users, denied to this one", usersMay, []string{deny}, goodPassword, otherPassword, awserr.AccessDenied, "", forbidden},
		{"demanded by an administrator", mustChange, nil, goodPassword, otherPassword, nil, "", ""},
		{"demanded, and denied", mustChange, []string{deny}, goodPassword, otherPassword, awserr.AccessDenied, "", forbidden},
		{"demanded, and the same password again", mustChange, nil, goodPassword, goodPassword, awserr.PasswordPolicyViolation, "The new password must differ from the old one", ""},
		{"expired", expired(false), nil, goodPassword, otherPassword, nil, "", ""},
		{"expired, and the administrator's to change", expired(true), nil, goodPassword, otherPassword, awserr.AccessDenied, "", unasked},
		{"expired, the administrator's to change, but allowed by a policy", expired(true), []string{allow(own, "iam:ChangePassword")}, goodPassword, otherPassword, nil, "", ""},
		{"a wrong old password", nil, []string{allActions}, otherPassword, otherPassword, awserr.AccessDenied, "The old password was incorrect.", ""},
		{"a new password that is too short", nil, []string{allActions}, goodPassword, "Short1!", awserr.PasswordPolicyViolation, "Password should have a minimum length of 8", ""},
		{"a new password that is too short, and nothing allowed", nil, nil, goodPassword, "Short1!", awserr.AccessDenied, "", unasked},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			f := newPasswordFixture(t)
			alice := f.person("alice", row.policies...)
			if row.prepare != nil {
				row.prepare(f)
			}
			err := f.change(alice, row.old, row.new)
			if row.kind == nil {
				f.ok(err)
				if f.mustSignIn("alice", row.new).MustChange() {
					t.Error("the password must be changed still")
				}
				if _, err := f.signIn(testAccount, "alice", row.old, secret.String{}); !errors.Is(err, iam.ErrSignIn) {
					t.Errorf("the old password: %v", err)
				}
				return
			}
			if row.because != "" {
				row.message = "User: arn:aws:iam::111122223333:user/alice is not authorized to perform: iam:ChangePassword on resource: " +
					"arn:aws:iam::111122223333:user/alice"
				if !errors.Is(err, row.kind) || !strings.Contains(err.Error(), row.message) || !strings.Contains(err.Error(), row.because) {
					t.Errorf("%v, want %s because %s", err, row.message, row.because)
				}
				return
			}
			refused(t, err, row.kind, row.message)
		})
	}
}

func TestChangePassword_IsForUsers(t *testing.T) {
	t.Parallel()
	f := newPasswordFixture(t)
	f.refused(f.change(f.root(), goodPassword, otherPassword), awserr.InvalidUserType, "Only IAM Users can change their own password")
	f.refused(f.change(f.session(allActions), goodPassword, otherPassword), awserr.InvalidUserType, "Only IAM Users can change their own password")
	bob := f.user("bob", allActions)
	f.refused(f.change(bob, goodPassword, otherPassword), awserr.NoSuchEntity, "Login Profile for User bob cannot be found.")
}

// A stolen access key must not serve to guess the password: not by more guesses than sign-ins have, and not by asking for reuse.
func TestChangePassword_IsNoOracle(t *testing.T) {
	t.Parallel()
	f := newPasswordFixture(t)
	alice := f.person("alice", allActions)
	f.setPolicy(iam.UpdateAccountPasswordPolicyInput{PasswordReusePrevention: number(2)})
	const wrong = "The old password was incorrect."
	f.refused(f.change(alice, otherPassword, goodPassword), awserr.AccessDenied, wrong)
	for range 4 {
		f.refused(f.change(alice, "Wrong Horse 7", otherPassword), awserr.AccessDenied, wrong)
	}
	f.refused(f.change(alice, goodPassword, otherPassword), awserr.AccessDenied, wrong)
	if _, err := f.signIn(testAccount, "alice", goodPassword, secret.String{}); !errors.Is(err, iam.ErrSignIn) {
		t.Errorf("signing in while the user waits: %v", err)
	}
	f.advance(31 * time.Second)
	f.ok(f.change(alice, goodPassword, otherPassword))
	f.mustSignIn("alice", otherPassword)
}

func TestPasswordReusePrevention(t *testing.T) {
	t.Parallel()
	const used = "Policy constraint violation with password reuse prevention during password change"
	for _, row := range []struct {
		name      string
		prevented *int32
		password  string
		ok        bool
	}{
		{"no rule: the present one", nil, "Password-3", true},
		{"one: the present one", number(1), "Password-3", false},
		{"one: the one before", number(1), "Password-2", true},
		{"two: the one before", number(2), "Password-2", false},
		{"two: the one before that", number(2), "Password-1", true},
		{"more than there were", number(24), "Password-1", false},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			f := newPasswordFixture(t)
			alice := f.person("alice", allActions)
			for _, p := range []string{"Password-1", "Password-2", "Password-3"} {
				f.ok(f.reset("alice", p))
			}
			f.setPolicy(iam.UpdateAccountPasswordPolicyInput{PasswordReusePrevention: row.prevented})
			if row.ok {
				f.ok(f.change(alice, "Password-3", row.password))
				return
			}
			refused(t, f.change(alice, "Password-3", row.password), awserr.PasswordPolicyViolation, used)
			refused(t, f.reset("alice", row.password), awserr.PasswordPolicyViolation, used)
		})
	}
}

// As many hashes are kept as the rule may ask for, also while there is no rule.
func TestPasswordReusePrevention_Remembers(t *testing.T) {
	t.Parallel()
	f := newPasswordFixture(t)
	alice := f.person("alice", allActions)
	for i := range 25 {
		f.ok(f.reset("alice", "Password-"+string(rune('a'+i))))
	}
	f.setPolicy(iam.UpdateAccountPasswordPolicyInput{PasswordReusePrevention: number(24)})
	if err := f.reset("alice", "Password-b"); !errors.Is(err, awserr.PasswordPolicyViolation) {
		t.Errorf("the 24th from the end: %v", err)
	}
	f.ok(f.reset("alice", "Password-a"))
	if n := len(f.stored(alice).Former); n != 23 {
		t.Errorf("%d former passwords are kept, want 23", n)
	}
}

// Of changes that race each is made as a whole or not at all.
func TestUpdateLoginProfile_Races(t *testing.T) {
	t.Parallel()
	f := newPasswordFixture(t)
	alice := f.person("alice")
	var made atomic.Int64
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			switch err := f.reset("alice", "Password-"+string(rune('0'+i))); {
			case err == nil:
				made.Add(1)
			case !errors.Is(err, awserr.ConcurrentModification):
				t.Error(err)
			}
		})
	}
	group.Wait()
	if n := len(f.stored(alice).Former); int64(n) != made.Load() || n == 0 {
		t.Errorf("%d former passwords after %d changes", n, made.Load())
	}
}

// Passwords are set one after the other, and sign-ins do not wait for them.
func TestPasswords_AreSetOneByOne(t *testing.T) {
	t.Parallel()
	f := newPasswordFixture(t)
	f.person("alice")
	f.person("bob")
	begun, release := make(chan struct{}), make(chan struct{})
	f.hasher.hold.Store(&hold{begun, release})
	first := make(chan error)
	go func() { first <- f.reset("alice", otherPassword) }()
	<-begun
	f.hasher.hold.Store(nil)
	f.mustSignIn("bob", goodPassword)
	ctx, cancel := context.WithCancel(t.Context())
	second := make(chan error)
	go func() {
		second <- f.UpdateLoginProfile(ctx, f.root(), &iam.UpdateLoginProfileInput{UserName: "bob", Password: secret.New(otherPassword)})
	}()
	cancel()
	if err := <-second; !errors.Is(err, awserr.ServiceUnavailable) && !errors.Is(err, context.Canceled) {
		t.Errorf("who waits until its client leaves gets %v", err)
	}
	close(release)
	f.ok(<-first)
	f.ok(f.reset("bob", otherPassword))
}
