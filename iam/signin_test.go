package iam_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/iam"
	"github.com/stint-sts/stint/secret"
	"github.com/stint-sts/stint/session"
)

// signInReason is what the audit learns of a refused sign-in, and nobody else.
func signInReason(t *testing.T, err error) *iam.SignInError {
	t.Helper()
	refused, ok := errors.AsType[*iam.SignInError](err)
	if !ok || !errors.Is(err, iam.ErrSignIn) || err.Error() != "wrong account, user, password or code" {
		t.Fatalf("%v, want ErrSignIn and nothing more", err)
	}
	return refused
}

// Whatever is wrong, the answer is one, and as many hashes were computed.
func TestSignIn(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name                    string
		account, user, password string
		reason                  string // empty: signed in
		knowsAccount, knowsUser bool
	}{
		{"by account id", testAccount, "alice", goodPassword, "", true, true},
		{"by alias", "acme", "alice", goodPassword, "", true, true},
		{"by alias, in another case", "Acme", "alice", goodPassword, "", true, true},
		{"by name in another case", testAccount, "ALICE", goodPassword, "", true, true},
		{"a wrong password", testAccount, "alice", otherPassword, "wrong password", true, true},
		{"a password in another case", testAccount, "alice", strings.ToUpper(goodPassword), "wrong password", true, true},
		{"a password that is cut off", testAccount, "alice", goodPassword[:8], "wrong password", true, true},
		{"no password", testAccount, "alice", "", "wrong password", true, true},
		{"a user without a password", testAccount, "bob", goodPassword, "the user has no password", true, true},
		{"a user who does not exist", testAccount, "zoe", goodPassword, "no such user", true, false},
		{"no user", testAccount, "", goodPassword, "no such user", true, false},
		{"a user of another account", otherAccount, "alice", goodPassword, "no such user", true, false},
		{"an account that does not exist", "999999999999", "alice", goodPassword, "no such account", false, false},
		{"an alias that does not exist", "nobody", "alice", goodPassword, "no such account", false, false},
		{"no account", "", "alice", goodPassword, "no such account", false, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			f := newPasswordFixture(t)
			f.rename("first", "acme")
			alice := f.person("alice", allow("*", "iam:GetUser"))
			f.user("bob")
			f.other()
			hashed := f.hasher.verified.Load() + f.hasher.decoys.Load()
			out, err := f.signIn(row.account, row.user, row.password, secret.String{})
			if n := f.hasher.verified.Load() + f.hasher.decoys.Load() - hashed; n != 1 {
				t.Errorf("%d hashes, want 1 whatever is wrong", n)
			}
			if row.reason == "" {
				if err != nil {
					t.Fatal(err)
				}
				if out.User.ID != alice.UserID || out.User.Account != testAccount || !out.Time.Equal(testTime.Truncate(time.Second)) || out.MFASerial != "" {
					t.Errorf("%+v", out)
				}
				return
			}
			got := signInReason(t, err)
			if out != nil || got.Reason != row.reason || (got.Account != "") != row.knowsAccount || (got.User != nil) != row.knowsUser || got.MFAUsed {
				t.Errorf("%+v, %+v; want reason %q", out, got, row.reason)
			}
		})
	}
}

// What is longer than anything that exists costs nothing.
func TestSignIn_IsBounded(t *testing.T) {
	t.Parallel()
	f := newPasswordFixture(t)
	f.person("alice")
	for name, in := range map[string]iam.SignIn{
		"account":  {Account: strings.Repeat("1", 64), User: "alice", Password: secret.New(goodPassword)},
		"user":     {Account: testAccount, User: strings.Repeat("a", 65), Password: secret.New(goodPassword)},
		"password": {Account: testAccount, User: "alice", Password: secret.New(strings.Repeat("ä", 129))},
	} {
		_, err := f.passwords.SignIn(t.Context(), &in)
		if signInReason(t, err); f.hasher.verified.Load()+f.hasher.decoys.Load() != 0 {
			t.Errorf("a long %s was hashed", name)
		}
	}
	f.mustSignIn("alice", goodPassword)
}

func TestSignIn_MFA(t *testing.T) {
	t.Parallel()
	f := newPasswordFixture(t)
	f.person("alice")
	phone, laptop, bobs := f.create("phone"), f.create("laptop"), f.create("bobs")
	f.user("bob")
	for user, serials := range map[string][]string{"alice": {phone, laptop}, "bob": {bobs}} {
		for _, serial := range serials {
			f.ok(f.EnableMFADevice(t.Context(), f.root(), &iam.EnableMFADeviceInput{
				UserName: user, SerialNumber: serial, AuthenticationCode1: f.code(serial, -1), AuthenticationCode2: f.code(serial, 0),
			}))
		}
	}
	for _, row := range []struct {
		name, password string
		code           secret.String
		serial, reason string
	}{
		{"the code of one device", goodPassword, f.code(phone, 1), phone, ""},
		{"that code again", goodPassword, f.code(phone, 1), "", "wrong MFA code"},
		{"the code of the other device", goodPassword, f.code(laptop, 1), laptop, ""},
		{"no code", goodPassword, secret.String{}, "", "the user has an MFA device, and no code was given"},
		{"another user's code", goodPassword, f.code(bobs, 1), "", "wrong MFA code"},
		{"no code and a wrong password", otherPassword, secret.String{}, "", "wrong password"},
		{"a wrong password does not use the code up", otherPassword, f.code(phone, 2), "", "wrong password"},
	} {
		out, err := f.signIn(testAccount, "alice", row.password, row.code)
		if row.reason != "" {
			if got := signInReason(t, err); got.Reason != row.reason || got.User == nil {
				t.Errorf("%s: %+v, want %s", row.name, got, row.reason)
			}
			continue
		}
		if err != nil || out.MFASerial != row.serial {
			t.Errorf("%s: %+v, %v", row.name, out, err)
		}
	}
	f.advance(31 * time.Second)
	out, err := f.signIn(testAccount, "alice", goodPassword, f.code(phone, 2))
	f.ok(err)
	if out.MFASerial != phone {
		t.Errorf("%+v", out)
	}
}

// Five failures in a row make a user wait, with its right password too; and who does not exist waits alike.
func TestSignIn_Throttle(t *testing.T) {
	t.Parallel()
	for _, user := range []string{"alice", "zoe"} {
		t.Run(user, func(t *testing.T) {
			t.Parallel()
			f := newPasswordFixture(t)
			f.rename("first", "acme")
			f.person("alice")
			from := 0
			try := func(account, given string) error {
				from++ // each from an address of its own
				_, err := f.passwords.SignIn(t.Context(), &iam.SignIn{
					Account: account, User: user, Password: secret.New(given), Source: fmt.Sprintf("198.51.100.%d", from),
				})
				return err
			}
			account := []string{testAccount, "acme"}
			for i := range 5 {
				if got := signInReason(t, try(account[i%2], otherPassword)); strings.HasPrefix(got.Reason, "too many") {
					t.Fatalf("attempt %d: %s", i+1, got.Reason)
				}
			}
			hashed := f.hasher.verified.Load() + f.hasher.decoys.Load()
			for _, name := range account {
				if got := signInReason(t, try(name, goodPassword)); got.Reason != "too many failures of this user" {
					t.Errorf("a right password during the wait: %s", got.Reason)
				}
			}
			if f.hasher.verified.Load()+f.hasher.decoys.Load() != hashed {
				t.Error("a password was hashed during the wait")
			}
			f.advance(30 * time.Second)
			if got := signInReason(t, try(testAccount, otherPassword)); strings.HasPrefix(got.Reason, "too many") {
				t.Errorf("after the wait: %s", got.Reason)
			}
			f.advance(59 * time.Second)
			if got := signInReason(t, try(testAccount, goodPassword)); got.Reason != "too many failures of this user" {
				t.Errorf("the wait has not doubled: %s", got.Reason)
			}
			f.advance(time.Second)
			err := try(testAccount, goodPassword)
			if user == "zoe" {
				if got := signInReason(t, err); got.Reason != "no such user" {
					t.Errorf("after all: %s", got.Reason)
				}
				return
			}
			f.ok(err)
			for range 4 { // the count begins anew
				signInReason(t, try(testAccount, otherPassword))
			}
			f.ok(try(testAccount, goodPassword))
		})
	}
}

// Five failures in a row make an address wait, whomever it tries; it then makes no user wait.
func TestSignIn_ThrottleOfAddresses(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name          string
		first, second string
		shared        bool
	}{
		{"one address", "198.51.100.1", "198.51.100.1", true},
		{"two addresses", "198.51.100.1", "198.51.100.2", false},
		{"IPv4 in IPv6", "198.51.100.1", "::ffff:198.51.100.1", true},
		{"one network of IPv6", "2001:db8:1:2::1", "2001:db8:1:2:ffff::", true},
		{"two networks of IPv6", "2001:db8:1:2::1", "2001:db8:1:3::1", false},
		{"no addresses", "", "a socket", true},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			f := newPasswordFixture(t)
			f.person("alice")
			try := func(user, from string) error {
				in := &iam.SignIn{Account: testAccount, User: user, Password: secret.New(goodPassword), Source: from}
				_, err := f.passwords.SignIn(t.Context(), in)
				return err
			}
			for i := range 5 {
				if got := signInReason(t, try(fmt.Sprint("nobody", i), row.first)); got.Reason != "no such user" {
					t.Fatalf("attempt %d: %s", i+1, got.Reason)
				}
			}
			err := try("alice", row.second)
			if !row.shared {
				f.ok(err)
				return
			}
			for range 10 {
				if got := signInReason(t, try("alice", row.second)); got.Reason != "too many failures from this address" || got.Account != "" {
					t.Errorf("%+v", got)
				}
			}
			f.ok(try("alice", "203.0.113.200"))
		})
	}
}

// Guesses that race are no more than guesses one after another.
func TestSignIn_RacingGuesses(t *testing.T) {
	t.Parallel()
	f := newPasswordFixture(t)
	f.person("alice")
	var group sync.WaitGroup
	for i := range 40 {
		group.Go(func() {
			_, err := f.passwords.SignIn(t.Context(), &iam.SignIn{
				Account: testAccount, User: "alice", Password: secret.New(otherPassword), Source: fmt.Sprintf("198.51.100.%d", i),
			})
			if !errors.Is(err, iam.ErrSignIn) {
				t.Errorf("a guess: %v", err)
			}
		})
	}
	group.Wait()
	if n := f.hasher.verified.Load(); n != 5 {
		t.Errorf("%d guesses were judged, want 5", n)
	}
}

func TestSignIn_Expiry(t *testing.T) {
	t.Parallel()
	const days = 24 * time.Hour
	f := newPasswordFixture(t)
	alice := f.person("alice")
	f.advance(100 * days)
	if f.mustSignIn("alice", goodPassword).MustChange() {
		t.Error("passwords expire without a rule")
	}
	f.setPolicy(iam.UpdateAccountPasswordPolicyInput{MaxPasswordAge: number(101)})
	if f.mustSignIn("alice", goodPassword).Expired {
		t.Error("expired a day early")
	}
	f.advance(days)
	if out := f.mustSignIn("alice", goodPassword); !out.Expired || !out.MustChange() || out.ResetRequired {
		t.Errorf("%+v is not expired", out)
	}
	f.setPolicy(iam.UpdateAccountPasswordPolicyInput{MaxPasswordAge: number(101), HardExpiry: true})
	_, err := f.signIn(testAccount, "alice", goodPassword, secret.String{})
	if !errors.Is(err, iam.ErrPasswordExpired) || errors.Is(err, iam.ErrSignIn) {
		t.Errorf("hard expiry: %v", err)
	}
	_, err = f.signIn(testAccount, "alice", otherPassword, secret.String{})
	signInReason(t, err) // that it has expired learns who has the password only
	f.ok(f.reset("alice", otherPassword))
	if f.mustSignIn("alice", otherPassword).MustChange() {
		t.Error("a new password is expired")
	}
	f.setPolicy(iam.UpdateAccountPasswordPolicyInput{MaxPasswordAge: number(1)})
	f.advance(days)
	f.ok(f.change(alice, otherPassword, goodPassword))
	if f.mustSignIn("alice", goodPassword).MustChange() {
		t.Error("a password that was changed is expired")
	}
}

// A sign-in holds until the password is another, or gone.
func TestSignIn_Holds(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name string
		then func(*passwordFixture, *authn.Caller) error
		want bool
	}{
		{"nothing", func(*passwordFixture, *authn.Caller) error { return nil }, true},
		{"an administrator demands a change", func(f *passwordFixture, _ *authn.Caller) error {
			return f.UpdateLoginProfile(t.Context(), f.root(), &iam.UpdateLoginProfileInput{UserName: "alice", PasswordResetRequired: yes(true)})
		}, true},
		{"an administrator sets the same password", func(f *passwordFixture, _ *authn.Caller) error { return f.reset("alice", goodPassword) }, false},
		{"the user changes the password", func(f *passwordFixture, c *authn.Caller) error { return f.change(c, goodPassword, otherPassword) }, false},
		{"the password is taken away", func(f *passwordFixture, _ *authn.Caller) error {
			return f.DeleteLoginProfile(t.Context(), f.root(), &iam.DeleteLoginProfileInput{UserName: "alice"})
		}, false},
		{"the password is taken away and given again", func(f *passwordFixture, _ *authn.Caller) error {
			err := f.DeleteLoginProfile(t.Context(), f.root(), &iam.DeleteLoginProfileInput{UserName: "alice"})
			in := &iam.CreateLoginProfileInput{UserName: "alice", Password: secret.New(goodPassword)}
			_, again := f.CreateLoginProfile(t.Context(), f.root(), in)
			return errors.Join(err, again)
		}, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			f := newPasswordFixture(t)
			alice := f.person("alice", allActions)
			out := f.mustSignIn("alice", goodPassword)
			f.ok(row.then(f, alice))
			holds, err := f.passwords.Holds(t.Context(), testAccount, out.User.ID, out.Mark)
			if holds != row.want || err != nil {
				t.Errorf("%t, %v; want %t", holds, err, row.want)
			}
		})
	}
}

// When costs have risen since a password was set, it is hashed anew as soon as it is known; no sign-in ends by it.
func TestSignIn_HashesAnew(t *testing.T) {
	t.Parallel()
	f := newPasswordFixture(t)
	alice := f.person("alice")
	before := f.stored(alice)
	f.mustSignIn("alice", goodPassword)
	if !bytes.Equal(f.stored(alice).SealedHash, before.SealedHash) {
		t.Error("hashed anew without need")
	}
	out := f.mustSignIn("alice", goodPassword)
	f.hasher.Hasher = costs(t, 16)
	_, err := f.signIn(testAccount, "alice", otherPassword, secret.String{})
	signInReason(t, err)
	if !bytes.Equal(f.stored(alice).SealedHash, before.SealedHash) {
		t.Error("a wrong password was hashed anew")
	}
	f.mustSignIn("alice", goodPassword)
	after := f.stored(alice)
	if bytes.Equal(after.SealedHash, before.SealedHash) || len(after.Former) != 0 || !after.SetDate.Equal(before.SetDate) {
		t.Errorf("%+v was %+v", after, before)
	}
	text, err := f.master.Open(after.SealedHash, "login-profile/"+alice.UserID+"/"+after.Mark)
	if err != nil || !strings.HasPrefix(string(text), "$argon2id$v=19$m=16,t=1,p=1$") {
		t.Errorf("%.30s, %v", text, err)
	}
	hashes := f.hasher.hashed.Load()
	f.mustSignIn("alice", goodPassword)
	if holds, err := f.passwords.Holds(t.Context(), testAccount, alice.UserID, out.Mark); !holds || err != nil {
		t.Errorf("the sign-in before holds: %t, %v", holds, err)
	}
	if f.hasher.hashed.Load() != hashes {
		t.Error("hashed anew again")
	}
}

// A hash that was moved to another user, or to another password of the user, opens nothing.
func TestSignIn_HashesAreBoundToTheirPlace(t *testing.T) {
	t.Parallel()
	f := newPasswordFixture(t)
	alice, mallory := f.person("alice"), f.person("mallory")
	f.ok(f.reset("mallory", "Password-7"))
	stolen := f.stored(mallory)
	f.ok(f.directory.Update(t.Context(), func(tx iam.Tx) error {
		profile, err := iam.StoredLoginProfile(tx, testAccount, alice.UserID)
		if err != nil {
			return err
		}
		profile.SealedPassword = stolen.SealedPassword
		return iam.PutLoginProfile(tx, profile)
	}))
	_, err := f.signIn(testAccount, "alice", "Password-7", secret.String{})
	if !errors.Is(err, awserr.InternalFailure) {
		t.Errorf("alice with mallory's hash: %v", err)
	}
	f.mustSignIn("mallory", "Password-7")
}

func TestSignIn_PasswordLastUsed(t *testing.T) {
	t.Parallel()
	f := newPasswordFixture(t)
	f.person("alice")
	used := func() time.Time {
		t.Helper()
		f.ok(f.directory.Flush(t.Context()))
		out, err := f.GetUser(t.Context(), f.root(), &iam.GetUserInput{UserName: "alice"})
		f.ok(err)
		list, err := f.ListUsers(t.Context(), f.root(), &iam.ListUsersInput{})
		f.ok(err)
		if !list.Users[0].PasswordLastUsed.Equal(out.User.PasswordLastUsed) {
			t.Errorf("GetUser says %s, ListUsers %s", out.User.PasswordLastUsed, list.Users[0].PasswordLastUsed)
		}
		return out.User.PasswordLastUsed
	}
	_, err := f.signIn(testAccount, "alice", otherPassword, secret.String{})
	signInReason(t, err)
	if !used().IsZero() {
		t.Error("a wrong password counts as used")
	}
	f.mustSignIn("alice", goodPassword)
	if got := used(); !got.Equal(testTime.Truncate(time.Second)) {
		t.Errorf("last used %s", got)
	}
}

// What cannot be asked refuses, and says so: nothing was found out. Nor does it tell who exists.
func TestSignIn_FailsClosed(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*passwordFixture){
		"the throttle is down":            func(f *passwordFixture) { f.state.attempt = session.ErrUnavailable },
		"success cannot be written":       func(f *passwordFixture) { f.state.succeed = session.ErrUnavailable },
		"too many passwords are hashed":   func(f *passwordFixture) { f.hasher.busy.Store(true) },
		"all of it":                       func(f *passwordFixture) { f.hasher.busy.Store(true); f.state.attempt = session.ErrUnavailable },
		"the throttle fails in other way": func(f *passwordFixture) { f.state.attempt = fmt.Errorf("disk: %w", session.ErrUnavailable) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newPasswordFixture(t)
			alice := f.person("alice", allActions)
			f.mustSignIn("alice", goodPassword)
			spoil(f)
			users := []string{"alice", "zoe"}
			if f.state.succeed != nil {
				users = users[:1] // who does not exist does not succeed
			}
			for _, user := range users {
				out, err := f.signIn(testAccount, user, goodPassword, secret.String{})
				if !errors.Is(err, awserr.ServiceUnavailable) || out != nil {
					t.Errorf("%s: %+v, %v", user, out, err)
				}
			}
			if err := f.change(alice, goodPassword, otherPassword); !errors.Is(err, awserr.ServiceUnavailable) {
				t.Errorf("ChangePassword: %v", err)
			}
		})
	}
}
