package portal_test

import (
	"errors"
	"flag"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stint-sts/stint/arn"
	"github.com/stint-sts/stint/server/portal"
	"github.com/stint-sts/stint/session"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// signedIn is a browser that alice has signed in with.
func (w *world) signedIn(p *portal.Portal) *browser {
	w.t.Helper()
	b := w.browser(p)
	b.signInUser("example-prod", "alice", password).wantRedirect(w.t, "/portal")
	return b
}

func TestHeaders(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser(w.node(nil))
	for path, status := range map[string]int{"/portal": 200, "/portal/user": 200, "/portal/nothing": 404, "/portal/assets/nothing.css": 404} {
		p := b.get(path).want(t, status)
		for name, want := range map[string]string{
			"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; " +
				"form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
			"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin", "Referrer-Policy": "same-origin",
			"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Cache-Control": "no-store",
		} {
			if got := p.Header.Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", path, name, got, want)
			}
		}
		if strings.Contains(p.body, "<script>") || strings.Contains(p.body, "style=") || regexp.MustCompile(` on[a-z]+=`).MatchString(p.body) {
			t.Errorf("%s has something inline:\n%s", path, p.body)
		}
	}
	page := b.get("/portal").body
	found := regexp.MustCompile(`(?:href|src)="(/portal/assets/[^"]+)"`).FindAllStringSubmatch(page, -1)
	if len(found) != 3 {
		t.Fatalf("the page has %d assets:\n%s", len(found), page)
	}
	for _, m := range found {
		a := b.get(m[1]).want(t, http.StatusOK)
		if got := a.Header.Get("Cache-Control"); got != "public, max-age=31536000, immutable" {
			t.Errorf("%s: Cache-Control is %q", m[1], got)
		}
	}
}

func TestCookies(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	node := w.node(nil)
	b := w.browser(node)
	form := b.get("/portal/user")
	p := b.post("/portal/user", form.form("account", "a", "user", "alice", "password", password))
	p.wantRedirect(t, "/portal")
	for _, c := range append(form.Cookies(), p.Cookies()...) {
		if !strings.HasPrefix(c.Name, "__Host-stint-") || !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" || c.MaxAge != 0 {
			t.Errorf("cookie %+v", c)
		}
	}

	w.public = "http://127.0.0.1:8470" // a laptop: browsers refuse the prefix there
	p = w.browser(node).get("/portal/user")
	if c := p.Cookies(); len(c) != 1 || c[0].Name != "stint-visit" || c[0].Secure || !c[0].HttpOnly || c[0].SameSite != http.SameSiteLaxMode {
		t.Errorf("cookies on loopback: %+v", c)
	}
	w.public = "http://access.example.com"
	if p = w.browser(node).get("/portal/user").want(t, http.StatusServiceUnavailable, "needs HTTPS"); len(p.Cookies()) != 0 {
		t.Errorf("cookies in the clear: %+v", p.Cookies())
	}
}

func TestSignIn_HasANewNameEachTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	node := w.node(nil)
	b := w.signedIn(node)
	first := b.cookie("stint-sign-in")
	if len(first) != 43 {
		t.Fatalf("the name is %q", first)
	}
	b.signInUser("a", "alice", password).wantRedirect(t, "/portal")
	if second := b.cookie("stint-sign-in"); second == first {
		t.Error("the second sign-in has the name of the first")
	}
	old := w.browser(node)
	old.plant("stint-sign-in", first)
	old.get("/portal").want(t, http.StatusOK, "<h1>Sign in</h1>")
	for _, planted := range []string{"x", strings.Repeat("A", 43), strings.Repeat("A", 5000)} {
		fixed := w.browser(node)
		fixed.plant("stint-sign-in", planted)
		fixed.signInUser("a", "alice", password).wantRedirect(t, "/portal")
		if fixed.cookie("stint-sign-in") == planted {
			t.Error("a name that somebody else has chosen became a sign-in")
		}
	}
}

// plant gives the browser a cookie that somebody else has chosen.
func (b *browser) plant(name, value string) {
	if b.origin.Scheme == "https" {
		name = "__Host-" + name
	}
	b.jar.SetCookies(b.origin, []*http.Cookie{{Name: name, Value: value, Path: "/", Secure: true}})
}

func TestSignIn_EndsOnEveryNode(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one, other := w.node(nil), w.node(nil)
	b := w.signedIn(one)
	elsewhere := w.browser(other)
	elsewhere.plant("stint-sign-in", b.cookie("stint-sign-in"))
	form := elsewhere.get("/portal").want(t, http.StatusOK, "Choose a role").form()
	elsewhere.post("/portal/sign-out", form).wantRedirect(t, "/portal?signed-out")
	elsewhere.get("/portal?signed-out").want(t, http.StatusOK, "You are signed out")
	b.get("/portal").want(t, http.StatusOK, "<h1>Sign in</h1>")
	b.post("/portal/credentials", url.Values{"token": form["token"], "role": {"own"}, "duration": {"3600"}}).want(t, http.StatusForbidden)
}

func TestSignIn_EndsByItself(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		end func(w *world, b *browser)
	}{
		"unused": {func(w *world, _ *browser) { w.pass(2 * time.Hour) }},
		"used, but at its end": {func(w *world, b *browser) {
			for range 7 {
				w.pass(70 * time.Minute)
				b.get("/portal")
			}
		}},
		"the password was changed": {func(w *world, _ *browser) { w.mark = "second" }},
		"the user was revoked": {func(w *world, _ *browser) {
			w.revocations.Add(w.now(), &session.Revocation{
				ID: "rev-1", Account: account, EntityID: w.alice.ID, Before: w.now().Add(time.Second), Made: w.now(),
			})
		}},
		"the account was revoked": {func(w *world, _ *browser) {
			w.revocations.Add(w.now(), &session.Revocation{ID: "rev-1", Account: account, All: true, Before: w.now().Add(time.Second), Made: w.now()})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			b := w.signedIn(w.node(nil))
			w.pass(119 * time.Minute)
			form := b.get("/portal").want(t, http.StatusOK, "Choose a role").form("role", "own", "duration", "900")
			row.end(w, b)
			b.post("/portal/credentials", form).want(t, http.StatusForbidden, "not signed in any more")
			b.get("/portal").want(t, http.StatusOK, "<h1>Sign in</h1>")
			if w.minted != 0 {
				t.Error("credentials were minted")
			}
		})
	}
}

func TestSignIn_NobodyIsLetInUnaccounted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.signedIn(w.node(nil))
	form := b.get("/portal").form("role", "own", "duration", "900")
	w.auditErr = errors.New("disk full")
	p := b.post("/portal/credentials", form).want(t, http.StatusServiceUnavailable, "Try again")
	if strings.Contains(p.body, "AWS_") {
		t.Error("credentials that are not in the audit were handed out")
	}
	fresh := w.browser(w.node(nil))
	fresh.signInUser("a", "alice", password).want(t, http.StatusInternalServerError)
	if fresh.cookie("stint-sign-in") != "" {
		t.Error("a sign-in that is not in the audit was made")
	}
}

func TestForms_AreBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.signedIn(w.node(nil))
	form := b.get("/portal").form("role", "own", "duration", "900")
	form.Set("padding", strings.Repeat("x", 20<<10))
	b.post("/portal/credentials", form).want(t, http.StatusBadRequest, "could not be read")
	form.Del("padding")
	for _, duration := range []string{"", "0", "899", "-900", "129601", "900000000000", "an hour"} {
		form.Set("duration", duration)
		b.post("/portal/credentials", form).want(t, http.StatusBadRequest)
	}
	form.Set("duration", "900")
	b.post("/portal/credentials", form).want(t, http.StatusOK)
}

// No page sends the browser where somebody else wants it.
func TestRedirects_StayHere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.signedIn(w.node(nil))
	for _, path := range []string{
		"/portal/credentials?next=https://evil.example", "/portal/saml/arrived?RelayState=https://evil.example", "/saml/acs?RelayState=//evil.example",
		"/portal/sign-out?redirect=//evil.example", "/portal//evil.example", "/portal/..//evil.example", "/portal/oidc/callback?state=x&redirect_uri=https://evil.example",
		"/portal/saml?provider=https://evil.example", "/portal/oidc?provider=https://evil.example",
	} {
		if to := b.get(path).Header.Get("Location"); strings.Contains(to, "evil") && !strings.HasPrefix(to, "/portal") && to != "/evil.example" {
			t.Errorf("%s leads to %s", path, to)
		}
	}
}

func TestGolden(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, name := range []string{"Administrator", "Developer", "ReadOnly"} {
		w.role(name, 4*time.Hour)
	}
	node := w.node(func(c *portal.Config) {
		for text, label := range map[string]string{prefix + "saml-provider/corp": "Staff of Example & Sons"} {
			a, err := arn.Parse(text)
			if err != nil {
				t.Fatal(err)
			}
			c.Methods = append(c.Methods, portal.Method{Provider: a, Label: label})
		}
	})
	b := w.browser(node)
	golden(t, "choose", b.get("/portal"))
	golden(t, "user", b.get("/portal/user"))
	golden(t, "user-wrong", b.signInUser("example-prod", "alice", "wrong"))
	b.signInUser("example-prod", "alice", password).wantRedirect(t, "/portal")
	roles := b.get("/portal")
	golden(t, "roles", roles)
	golden(t, "credentials", b.post("/portal/credentials", roles.form("role", prefix+"role/people/Developer ", "duration", "28800")))
	w.pass(30 * time.Minute)
	golden(t, "sessions", b.get("/portal/sessions"))
	golden(t, "password", b.get("/portal/password"))
	golden(t, "problem", b.get("/portal/nothing"))
}

var changing = regexp.MustCompile(`(name="token" value=")[^"]*|(<code>)[0-9a-f-]{36}(</code>)|(/portal/assets/[a-z]+-)[0-9a-f]+`)

// golden compares a page, but for what is never the same.
func golden(t *testing.T, name string, p *page) {
	t.Helper()
	got := changing.ReplaceAllString(p.body, "$1$2$4…$3")
	file := filepath.Join("testdata", name+".golden.html")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

// A laptop has two names. Cookies that were set for one are not sent to the other, and identity providers know one only.
func TestLoopback_HasOneName(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.public = "http://127.0.0.1:8470"
	node := w.node(nil)
	newBrowser(t, "http://localhost:8470", handlerTrip{node}).get("/portal/user?account=a").wantRedirect(t, "http://127.0.0.1:8470/portal/user?account=a")
	newBrowser(t, "http://192.0.2.1:8470", handlerTrip{node}).get("/portal/user").want(t, http.StatusServiceUnavailable, "needs HTTPS")
	w.browser(node).get("/portal/user").want(t, http.StatusOK)
	w.public = publicURL
	newBrowser(t, "http://localhost:8470", handlerTrip{node}).get("/portal/user").want(t, http.StatusOK) // behind a proxy
}
