package portal_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
)

const password = "Correct horse battery 9"

// newTeam is a stint with a user who has a password, and a role that trusts the user.
func newTeam(t *testing.T, mustChange bool) *stint {
	t.Helper()
	n := serve(t, nil)
	if _, err := n.iam.CreateAccountAlias(t.Context(), &iam.CreateAccountAliasInput{AccountAlias: aws.String("team")}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"alice", "bob"} {
		if _, err := n.iam.CreateUser(t.Context(), &iam.CreateUserInput{UserName: &name}); err != nil {
			t.Fatal(err)
		}
		if _, err := n.iam.CreateLoginProfile(t.Context(), &iam.CreateLoginProfileInput{
			UserName: &name, Password: aws.String(password), PasswordResetRequired: mustChange,
		}); err != nil {
			t.Fatal(err)
		}
	}
	n.role("deploy", `"Principal":{"AWS":"`+prefix+`user/alice"},"Action":"sts:AssumeRole"`)
	n.role("careful", `"Principal":{"AWS":"`+prefix+`user/alice"},"Action":"sts:AssumeRole","Condition":{"Bool":{"aws:MultiFactorAuthPresent":"true"}}`)
	return n
}

func (b *browser) signInUser(account, user, password string) *page {
	b.t.Helper()
	form := b.get("/portal/user").want(b.t, http.StatusOK)
	return b.post("/portal/user", form.form("account", account, "user", user, "password", password, "code", ""))
}

func TestUser_FromThePortalToCredentials(t *testing.T) {
	t.Parallel()
	n := newTeam(t, false)
	b := n.browser()
	b.signInUser("team", "alice", password).wantRedirect(t, "/portal")
	roles := b.get("/portal").want(t, http.StatusOK, "team", account, "1 role lets you in") // the other one wants MFA
	creds := b.post("/portal/credentials", roles.form("role", prefix+"role/deploy ", "duration", "900")).want(t, http.StatusOK)
	if who := n.whoami(creds); who != "arn:aws:sts::"+account+":assumed-role/deploy/alice" {
		t.Errorf("the credentials are of %s", who)
	}
	own := b.post("/portal/credentials", roles.form("role", "own", "duration", "43200")).want(t, http.StatusOK, "12 hours")
	if who := n.whoami(own); who != prefix+"user/alice" {
		t.Errorf("her own credentials are of %s", who)
	}
	b.get("/portal/sessions").want(t, http.StatusOK, "deploy", "alice")
	other := n.browser()
	other.signInUser(account, "bob", password).wantRedirect(t, "/portal")
	other.get("/portal/sessions").want(t, http.StatusOK, "There are none.")
	if mints := n.events("AssumeRole"); len(mints) != 1 || mints[0].UserIdentity.Type != "IAMUser" || mints[0].UserIdentity.UserName != "alice" {
		t.Errorf("credentials in the audit: %+v", mints)
	}

	// The user goes, and the sign-in with her.
	if _, err := n.iam.DeleteLoginProfile(t.Context(), &iam.DeleteLoginProfileInput{UserName: aws.String("alice")}); err != nil {
		t.Fatal(err)
	}
	b.post("/portal/credentials", roles.form("role", "own", "duration", "3600")).want(t, http.StatusForbidden, "not signed in any more")
	b.get("/portal").want(t, http.StatusOK, "<h1>Sign in</h1>")
}

func TestUser_RefusalsReadAlike(t *testing.T) {
	t.Parallel()
	n := newTeam(t, false)
	read := func(account, user, given string) string {
		p := n.browser().signInUser(account, user, given).want(t, http.StatusForbidden)
		start, end := strings.Index(p.body, `role="alert"`), strings.Index(p.body, "<form")
		if start < 0 || end < start {
			t.Fatalf("no error:\n%s", p.body)
		}
		return p.body[start:end]
	}
	wrong := read("team", "alice", "wrong")
	for name, got := range map[string]string{
		"user who does not exist": read("team", "nobody", password), "account that does not exist": read("nowhere", "alice", password),
	} {
		if got != wrong {
			t.Errorf("%s: %q, want %q", name, got, wrong)
		}
	}
}

func TestUser_MustChangeThePasswordFirst(t *testing.T) {
	t.Parallel()
	n := newTeam(t, true)
	b := n.browser()
	b.signInUser("team", "alice", password).wantRedirect(t, "/portal")
	b.get("/portal").wantRedirect(t, "/portal/password")
	b.get("/portal/sessions").wantRedirect(t, "/portal/password")
	form := b.get("/portal/password").want(t, http.StatusOK, "Choose a new password")
	b.post("/portal/credentials", form.form("role", "own", "duration", "3600")).wantRedirect(t, "/portal/password")
	if minted := n.events("GetSessionToken"); len(minted) != 0 {
		t.Fatalf("minted before the password was changed: %+v", minted)
	}
	const next = "Another horse, battery 9"
	b.post("/portal/password", form.form("old", password, "new", next, "again", "x")).want(t, http.StatusBadRequest, "differ")
	b.post("/portal/password", form.form("old", password, "new", password, "again", password)).want(t, http.StatusForbidden, "must differ")
	b.post("/portal/password", form.form("old", "wrong", "new", next, "again", next)).want(t, http.StatusForbidden, "Check the current password")
	b.post("/portal/password", form.form("old", password, "new", next, "again", next)).wantRedirect(t, "/portal?password-changed")
	b.get("/portal?password-changed").want(t, http.StatusOK, "Your password is changed")
	b.signInUser("team", "alice", password).want(t, http.StatusForbidden)
	b.signInUser("team", "alice", next).wantRedirect(t, "/portal")
	b.get("/portal").want(t, http.StatusOK, "Choose a role")
}

func TestUser_FormsAreOurOwn(t *testing.T) {
	t.Parallel()
	n := newTeam(t, false)
	b := n.browser()
	form := b.get("/portal/user").form("account", "team", "user", "alice", "password", password)
	for name, header := range map[string]map[string]string{
		"another site":              {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"},
		"another site, old browser": {"Origin": "https://evil.example"},
		"another port":              {"Origin": "http://127.0.0.1:1"},
		"a frame of nowhere":        {"Origin": "null"},
		"no browser":                {},
	} {
		b.do(http.MethodPost, "/portal/user", form, header, true).want(t, http.StatusForbidden, "did not come from this page")
		if b.cookie("stint-sign-in") != "" {
			t.Errorf("%s: signed in", name)
		}
	}
	b.post("/portal/user", url.Values{"account": {"team"}, "user": {"alice"}, "password": {password}}).want(t, http.StatusForbidden, "out of date")
	other := n.browser().get("/portal/user").form() // the token of another browser
	form.Set("token", other.Get("token"))
	b.post("/portal/user", form).want(t, http.StatusForbidden, "out of date")
	b.signInUser("team", "alice", password).wantRedirect(t, "/portal")

	roles := b.get("/portal").form("role", "own", "duration", "3600")
	roles.Set("token", other.Get("token"))
	b.post("/portal/credentials", roles).want(t, http.StatusForbidden, "out of date")
	b.foreign("/portal/credentials", roles).want(t, http.StatusForbidden)
	b.foreign("/portal/sign-out", nil).want(t, http.StatusForbidden)
	if minted := n.events("GetSessionToken"); len(minted) != 0 {
		t.Errorf("minted: %+v", minted)
	}
}

func TestUser_EndsOwnSessionsOnly(t *testing.T) {
	t.Parallel()
	n := newTeam(t, false)
	alice, bob := n.browser(), n.browser()
	alice.signInUser("team", "alice", password).wantRedirect(t, "/portal")
	bob.signInUser("team", "bob", password).wantRedirect(t, "/portal")
	creds := alice.post("/portal/credentials", alice.get("/portal").form("role", prefix+"role/deploy ", "duration", "3600")).want(t, http.StatusOK)
	n.whoami(creds)
	id := creds.accessKeyID(t)

	alice.get("/portal/sessions").want(t, http.StatusOK, id)
	bob.post("/portal/sessions/end", bob.get("/portal/sessions").form("session", id)).want(t, http.StatusNotFound, "There is no such session")
	bob.post("/portal/sessions/end", bob.get("/portal").form("session", "ASIA0000000000000000")).want(t, http.StatusNotFound, "There is no such session")
	n.whoami(creds)

	alice.post("/portal/sessions/end", alice.get("/portal/sessions").form("session", id)).wantRedirect(t, "/portal/sessions?ended")
	if p := alice.get("/portal/sessions?ended").want(t, http.StatusOK, "The session is ended"); strings.Contains(p.body, id) {
		t.Error("the ended session is still listed")
	}
	if who, err := n.identify(creds); err == nil {
		t.Errorf("the ended session is still %s", who)
	}
	if ended := n.events("RevokeSessions"); len(ended) != 3 || ended[2].UserIdentity.UserName != "alice" || ended[2].RequestParameters["accessKeyId"] != id {
		t.Errorf("in the audit: %+v", ended)
	}
}

func TestSwitchedOff(t *testing.T) {
	t.Parallel()
	off := serve(t, map[string]string{"STINT_PORTAL_ENABLED": "false"})
	if p := off.browser().get("/portal"); p.StatusCode != http.StatusBadRequest || !strings.Contains(p.body, "InvalidAction") {
		t.Errorf("status %d without a portal:\n%s", p.StatusCode, p.body)
	}
	federated := serve(t, map[string]string{"STINT_PORTAL_USERS": "false"})
	federated.browser().get("/portal").want(t, http.StatusOK, "No way to sign in is set up yet")
	federated.browser().get("/portal/user").want(t, http.StatusNotFound, "no such way to sign in")
	federated.browser().post("/portal/user", nil).want(t, http.StatusNotFound)
	if p := federated.browser().get("/"); p.StatusCode != http.StatusBadRequest || !strings.Contains(p.body, "MissingAction") {
		t.Errorf("status %d of the API:\n%s", p.StatusCode, p.body)
	}
}
