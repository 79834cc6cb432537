package portal_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stint-sts/stint/server/portal"
	"github.com/stint-sts/stint/session"
)

const (
	redirect = "http://127.0.0.1:50123/callback"
	state    = "0123456789abcdefghij"
	verifier = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJK"
)

// commandLine makes a portal take command lines.
func (w *world) commandLine(cfg *portal.Config) { cfg.CommandLine, cfg.Throttle = true, w.state }

// program is a command line: it has no cookies, and does not say where it comes from.
type program struct {
	t    *testing.T
	node http.Handler
}

// reply is what it gets.
type reply struct {
	Status int

	Error       string `json:"error"`
	Description string `json:"error_description"`
	AccessToken string `json:"access_token"`
	TokenType   string `json:"token_type"`
	ExpiresIn   int    `json:"expires_in"`
	Subject     string `json:"subject"`
	DeviceCode  string `json:"device_code"`
	UserCode    string `json:"user_code"`
	URI         string `json:"verification_uri"`
	URIWhole    string `json:"verification_uri_complete"`
	Interval    int    `json:"interval"`
	Own         bool   `json:"own"`
	Roles       []struct{ ARN, Name, Account, Alias, Provider string }
	AccessKeyID string `json:"AccessKeyId"`
	Expiration  time.Time
	Lasts       int
}

func (c program) call(method, path string, form url.Values, header map[string]string) (r reply) {
	c.t.Helper()
	request := httptest.NewRequestWithContext(c.t.Context(), method, publicURL+path, strings.NewReader(form.Encode()))
	if method == http.MethodPost {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for name, value := range header {
		request.Header.Set(name, value)
	}
	recorder := httptest.NewRecorder()
	c.node.ServeHTTP(recorder, request)
	if err := json.Unmarshal(recorder.Body.Bytes(), &r); err != nil {
		c.t.Fatalf("%s %s: status %d, %v: %s", method, path, recorder.Code, err, recorder.Body)
	}
	for name := range recorder.Header() {
		if strings.HasPrefix(name, "Access-Control-") || name == "Set-Cookie" {
			c.t.Errorf("%s %s: header %s", method, path, name)
		}
	}
	if got := recorder.Header().Get("Cache-Control"); got != "no-store" {
		c.t.Errorf("%s %s: Cache-Control is %q", method, path, got)
	}
	r.Status = recorder.Code
	return r
}

func (r reply) want(t *testing.T, status int, code string) reply {
	t.Helper()
	if r.Status != status || r.Error != code {
		t.Fatalf("%+v, want status %d and error %q", r, status, code)
	}
	return r
}

func request(changes ...string) url.Values {
	sum := sha256.Sum256([]byte(verifier))
	q := url.Values{
		"response_type": {"code"}, "client_id": {"stint-cli"}, "redirect_uri": {redirect}, "state": {state}, "host": {"alices-laptop"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}
	return with(q, changes...)
}

func with(q url.Values, changes ...string) url.Values {
	for i := 0; i < len(changes); i += 2 {
		q.Set(changes[i], changes[i+1])
	}
	return q
}

func exchange(code string, changes ...string) url.Values {
	return with(url.Values{
		"grant_type": {"authorization_code"}, "client_id": {"stint-cli"}, "code": {code}, "code_verifier": {verifier}, "redirect_uri": {redirect},
	}, changes...)
}

// code is what the browser brings the command line after the person lets it in.
func (b *browser) code() string {
	b.t.Helper()
	page := b.get("/portal/cli?"+request().Encode()).want(b.t, http.StatusOK, "alices-laptop")
	answer := b.post("/portal/cli", page.form("answer", "allow"))
	to, err := url.Parse(answer.Header.Get("Location"))
	if err != nil || answer.StatusCode != http.StatusSeeOther || !strings.HasPrefix(to.String(), redirect+"?") {
		b.t.Fatalf("status %d, location %q, %v\n%s", answer.StatusCode, to, err, answer.body)
	}
	if got := to.Query().Get("state"); got != state {
		b.t.Fatalf("state %q", got)
	}
	return to.Query().Get("code")
}

// logIn is a whole login.
func (c program) logIn(b *browser) string {
	c.t.Helper()
	r := c.call(http.MethodPost, "/portal/cli/token", exchange(b.code()), nil).want(c.t, http.StatusOK, "")
	if r.TokenType != "Bearer" || r.Subject == "" || r.ExpiresIn <= 0 || len(r.AccessToken) < 43 {
		c.t.Fatalf("%+v", r)
	}
	return r.AccessToken
}

func (c program) roles(token string) reply {
	c.t.Helper()
	return c.call(http.MethodGet, "/portal/cli/roles", nil, map[string]string{"Authorization": "Bearer " + token})
}

func (c program) mint(token, role, duration string) reply {
	c.t.Helper()
	role, provider, _ := strings.Cut(role, " ")
	return c.call(http.MethodPost, "/portal/cli/credentials", url.Values{"role": {role}, "provider": {provider}, "duration": {duration}}, map[string]string{"Authorization": "Bearer " + token})
}

func TestCLI_FromTheBrowserToCredentialsOnAnyNode(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.role("deploy", 2*time.Hour)
	one, two := w.node(w.commandLine), w.node(w.commandLine)
	b := w.browser(one)
	// She comes with the link of the command line, and has to sign in first.
	b.get("/portal/cli?"+request().Encode()).wantRedirect(t, "/portal")
	b.get("/portal").want(t, http.StatusOK, "go on with the command line")
	b.signInUser("example-prod", "alice", password).wantRedirect(t, "/portal")
	b.get("/portal").wantRedirect(t, "/portal/cli?"+request().Encode())
	b.get("/portal").want(t, http.StatusOK, "Choose a role") // once
	page := b.get("/portal/cli?" + request().Encode())
	if got := page.Header.Get("Content-Security-Policy"); !strings.Contains(got, "form-action 'self' http://127.0.0.1:50123; frame-ancestors 'none'") {
		t.Errorf("Content-Security-Policy is %q", got)
	}
	six := b.get("/portal/cli?"+request("redirect_uri", "http://[::1]:50123/callback").Encode()).want(t, http.StatusOK)
	b.post("/portal/cli", six.form("answer", "deny")).wantRedirect(t, "http://[::1]:50123/callback?error=access_denied&state="+state)

	c := program{t, two}
	token := c.logIn(b)
	role := prefix + "role/people/deploy"
	offers := program{t, one}.roles(token).want(t, http.StatusOK, "")
	if len(offers.Roles) != 1 || offers.Roles[0].ARN != role || offers.Roles[0].Alias != "example-prod" || !offers.Own || offers.Subject != "alice" {
		t.Fatalf("%+v", offers)
	}
	if m := c.mint(token, role, "3600").want(t, http.StatusOK, ""); m.AccessKeyID == "" || m.Lasts != 3600 {
		t.Errorf("%+v", m)
	}
	if m := c.mint(token, role, "36000").want(t, http.StatusOK, ""); m.Lasts != 7200 { // as long as the role allows
		t.Errorf("%+v", m)
	}
	c.mint(token, "own", "3600").want(t, http.StatusOK, "")
	c.mint(token, prefix+"role/people/other", "3600").want(t, http.StatusForbidden, "access_denied")
	for _, bad := range []string{"", "x", "899", "129601", "-900"} {
		c.mint(token, role, bad).want(t, http.StatusBadRequest, "invalid_request")
	}

	c.call(http.MethodPost, "/portal/cli/revoke", url.Values{"token": {token}}, nil).want(t, http.StatusOK, "")
	c.mint(token, role, "3600").want(t, http.StatusUnauthorized, "invalid_token")
	b.get("/portal").want(t, http.StatusOK, "Choose a role") // the browser stays signed in
}

// remote is a stint as a handler of this process.
func (n *stint) remote() http.Handler {
	to, err := url.Parse(n.url)
	if err != nil {
		n.t.Fatal(err)
	}
	transport := &http.Transport{}
	n.t.Cleanup(transport.CloseIdleConnections)
	return &httputil.ReverseProxy{Transport: transport, Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to) }}
}

func TestCLI_PeopleOfIdentityProviders(t *testing.T) {
	t.Parallel()
	link := "/portal/cli?" + request().Encode()
	check := func(n *stint, b *browser, role, provider, session string) {
		n.t.Helper()
		b.get("/portal").wantRedirect(n.t, link)
		c := program{n.t, n.remote()}
		token := c.logIn(b)
		offers := c.roles(token).want(n.t, http.StatusOK, "")
		if len(offers.Roles) == 0 || offers.Own || offers.Roles[0].ARN != role || offers.Roles[0].Provider != provider {
			n.t.Errorf("%+v", offers)
		}
		c.mint(token, role+" "+provider, "900").want(n.t, http.StatusOK, "")
		c.mint(token, role, "900").want(n.t, http.StatusForbidden, "access_denied") // by whom?
		c.mint(token, "own", "900").want(n.t, http.StatusForbidden, "access_denied")
		allowed := n.events("AllowCommandLine")
		if len(allowed) != 1 || allowed[0].RequestParameters["host"] != "alices-laptop" || allowed[0].RequestParameters["flow"] != "browser" || allowed[0].UserIdentity.UserName != session {
			n.t.Errorf("in the audit: %+v", allowed)
		}
	}
	t.Run("SAML", func(t *testing.T) {
		t.Parallel()
		c := newCorp(t, nil)
		b := c.browser()
		b.get(link).wantRedirect(t, "/portal")
		c.signIn(b, nil)
		check(c.stint, b, c.dev, samlProvider, "alice@example.com")
	})
	t.Run("OpenID Connect", func(t *testing.T) {
		t.Parallel()
		c := newClub(t, "")
		b := c.browser()
		b.get(link).wantRedirect(t, "/portal")
		b.get(c.visit(b)).wantRedirect(t, "/portal")
		check(c.stint, b, c.member, c.provider, "248289761001")
	})
}

func TestCLI_ALoginEndsWithTheSignIn(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(w *world, b *browser){
		"signed out in the browser": func(w *world, b *browser) {
			b.post("/portal/sign-out", b.get("/portal").form()).wantRedirect(w.t, "/portal?signed-out")
		},
		"password changed":  func(w *world, _ *browser) { w.mark = "second" },
		"not used for long": func(w *world, _ *browser) { w.pass(2*time.Hour + time.Second) },
		"user revoked": func(w *world, _ *browser) {
			w.revocations.Add(w.now(), &session.Revocation{ID: "rev-1", Account: account, EntityID: w.alice.ID, Before: w.now().Add(time.Second), Made: w.now()})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			b := w.signedIn(w.node(w.commandLine))
			c := program{t, w.node(w.commandLine)}
			token, pending := c.logIn(b), b.code()
			c.mint(token, "own", "3600").want(t, http.StatusOK, "")
			end(w, b)
			if r := c.mint(token, "own", "3600").want(t, http.StatusUnauthorized, "invalid_token"); r.Description != "the sign-in has ended" {
				t.Errorf("%+v", r)
			}
			c.roles(token).want(t, http.StatusUnauthorized, "invalid_token")
			c.call(http.MethodPost, "/portal/cli/token", exchange(pending), nil).want(t, http.StatusBadRequest, "invalid_grant")
		})
	}
}

func TestCLI_UseKeepsTheSignInButNotForEver(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	node := w.node(w.commandLine)
	c := program{t, node}
	token := c.logIn(w.signedIn(node))
	for range 4 { // eight hours are the end
		c.mint(token, "own", "3600").want(t, http.StatusOK, "")
		w.pass(2*time.Hour - time.Minute)
	}
	c.mint(token, "own", "3600").want(t, http.StatusOK, "")
	w.pass(4 * time.Minute)
	c.mint(token, "own", "3600").want(t, http.StatusUnauthorized, "invalid_token")
}

func TestCLI_Requests(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.signedIn(w.node(w.commandLine))
	b.get("/portal/cli?"+request().Encode()).want(t, http.StatusOK, "Let the command line in?")
	for name, bad := range map[string][]string{
		"another host":              {"redirect_uri", "http://evil.example/callback"},
		"a host like a loopback":    {"redirect_uri", "http://127.0.0.1.evil.example:1/callback"},
		"a user before the host":    {"redirect_uri", "http://127.0.0.1:1@evil.example/callback"},
		"a name for the loopback":   {"redirect_uri", "http://localhost:50123/callback"},
		"another path":              {"redirect_uri", "http://127.0.0.1:50123/callback/x"},
		"a query":                   {"redirect_uri", "http://127.0.0.1:50123/callback?x=y"},
		"no port":                   {"redirect_uri", "http://127.0.0.1/callback"},
		"a port that is none":       {"redirect_uri", "http://127.0.0.1:65536/callback"},
		"a line feed":               {"redirect_uri", "http://127.0.0.1:50123/callback\n"},
		"https":                     {"redirect_uri", "https://127.0.0.1:50123/callback"},
		"another client":            {"client_id", "x"},
		"a token instead of a code": {"response_type", "token"},
		"no state":                  {"state", ""},
		"state with a semicolon":    {"state", state + ";"},
		"no PKCE":                   {"code_challenge", ""},
		"plain PKCE":                {"code_challenge_method", "plain"},
	} {
		if p := b.get("/portal/cli?"+request(bad...).Encode()).want(t, http.StatusBadRequest, "did not come from the command line"); p.Header.Get("Location") != "" {
			t.Errorf("%s: redirected to %s", name, p.Header.Get("Location"))
		}
		form := b.get("/portal/cli?"+request().Encode()).form("answer", "allow")
		b.post("/portal/cli", with(form, bad...)).want(t, http.StatusBadRequest)
	}
	hostile := b.get("/portal/cli?"+request("host", "<b>x</b>\u202e").Encode()).want(t, http.StatusOK, "a computer without a name")
	if strings.Contains(hostile.body, "<b>") {
		t.Errorf("the host's name is in the page:\n%s", hostile.body)
	}

	form := b.get("/portal/cli?"+request().Encode()).form("answer", "allow")
	b.foreign("/portal/cli", form).want(t, http.StatusForbidden)
	b.do(http.MethodPost, "/portal/cli", form, map[string]string{"Sec-Fetch-Site": "cross-site"}, true).want(t, http.StatusForbidden)
	b.post("/portal/cli", with(form, "token", "x")).want(t, http.StatusForbidden, "out of date")
	stranger := w.browser(w.node(w.commandLine))
	stranger.post("/portal/cli", form).want(t, http.StatusForbidden, "not signed in")
	b.post("/portal/cli", with(form, "token", b.get("/portal").form().Get("token"), "answer", "")).wantRedirect(t, redirect+"?error=access_denied&state="+state)
}

func TestCLI_Codes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one, two := w.node(w.commandLine), w.node(w.commandLine)
	b := w.signedIn(one)
	c := program{t, two}
	redeem := func(form url.Values) reply { return c.call(http.MethodPost, "/portal/cli/token", form, nil) }
	redeem(exchange(b.code())).want(t, http.StatusOK, "")
	for name, row := range map[string][]string{
		"wrong verifier":   {"code_verifier", verifier + "x"},
		"no verifier":      {"code_verifier", ""},
		"another redirect": {"redirect_uri", "http://127.0.0.1:50124/callback"},
		"other loopback":   {"redirect_uri", "http://[::1]:50123/callback"},
		"no redirect":      {"redirect_uri", ""},
	} {
		code := b.code()
		if r := redeem(exchange(code, row...)); r.Error != "invalid_grant" || r.AccessToken != "" {
			t.Errorf("%s: %+v", name, r)
		}
		redeem(exchange(code)).want(t, http.StatusBadRequest, "invalid_grant") // and the code is used up
	}
	redeem(exchange("")).want(t, http.StatusBadRequest, "invalid_grant")
	redeem(exchange(strings.Repeat("x", 9000))).want(t, http.StatusBadRequest, "invalid_grant")
	redeem(exchange(b.code(), "client_id", "x")).want(t, http.StatusBadRequest, "invalid_client")
	redeem(exchange(b.code(), "grant_type", "password")).want(t, http.StatusBadRequest, "unsupported_grant_type")
	late := b.code()
	w.pass(time.Minute)
	redeem(exchange(late)).want(t, http.StatusBadRequest, "invalid_grant")

	// A code that comes twice is stolen, from whom nobody knows: what was made of it ends.
	code := b.code()
	token := redeem(exchange(code)).want(t, http.StatusOK, "").AccessToken
	c.roles(token).want(t, http.StatusOK, "")
	program{t, one}.call(http.MethodPost, "/portal/cli/token", exchange(code), nil).want(t, http.StatusBadRequest, "invalid_grant")
	c.roles(token).want(t, http.StatusUnauthorized, "invalid_token")
}

func TestCLI_IsNotForBrowsers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	node := w.node(w.commandLine)
	c := program{t, node}
	token := c.logIn(w.signedIn(node))
	bearer := "Bearer " + token
	c.roles(token).want(t, http.StatusOK, "")
	for _, header := range []map[string]string{
		{"Authorization": bearer, "Origin": publicURL}, {"Authorization": bearer, "Origin": "null"}, {"Authorization": bearer, "Sec-Fetch-Site": "same-origin"},
	} {
		c.call(http.MethodGet, "/portal/cli/roles", nil, header).want(t, http.StatusForbidden, "invalid_request")
	}
	for _, header := range []string{"", "Bearer", token, "Basic " + token, "Bearer stint-login-" + strings.Repeat("A", 43), bearer + "x", "Bearer " + strings.Repeat("x", 4000)} {
		c.call(http.MethodGet, "/portal/cli/roles", nil, map[string]string{"Authorization": header}).want(t, http.StatusUnauthorized, "invalid_token")
	}
	c.call(http.MethodPost, "/portal/cli/token?"+exchange("x").Encode(), nil, nil).want(t, http.StatusBadRequest, "invalid_client") // what the URL says does not count
	c.call(http.MethodPost, "/portal/cli/token", url.Values{"client_id": {strings.Repeat("x", 20<<10)}}, nil).want(t, http.StatusBadRequest, "invalid_request")
	c.call(http.MethodPost, "/portal/cli/revoke", url.Values{"token": {"x"}}, nil).want(t, http.StatusOK, "")
	b := w.browser(node)
	b.plant("stint-sign-in", token) // a login is no sign-in of a browser
	b.get("/portal").want(t, http.StatusOK, "<h1>Sign in</h1>")

	w.public = "http://access.example.com"
	c.roles(token).want(t, http.StatusServiceUnavailable, "temporarily_unavailable")
}

func TestCLI_SwitchedOff(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.signedIn(w.node(nil))
	b.get("/portal/cli?"+request().Encode()).want(t, http.StatusNotFound)
	b.get("/portal/device").want(t, http.StatusNotFound)
	node := w.node(func(cfg *portal.Config) { w.commandLine(cfg); cfg.NoDeviceCodes = true })
	c := program{t, node}
	c.logIn(w.signedIn(node))
	w.signedIn(node).get("/portal/device").want(t, http.StatusNotFound)
	c.call(http.MethodPost, "/portal/cli/device-code", url.Values{"client_id": {"stint-cli"}}, nil).want(t, http.StatusBadRequest, "unauthorized_client")
	c.poll("x").want(t, http.StatusBadRequest, "unauthorized_client")
}

func (c program) begin() reply {
	c.t.Helper()
	r := c.call(http.MethodPost, "/portal/cli/device-code", url.Values{"client_id": {"stint-cli"}, "host": {"server-7"}}, nil).want(c.t, http.StatusOK, "")
	if len(r.DeviceCode) != 43 || len(r.UserCode) != 9 || r.URI != publicURL+"/portal/device" || r.URIWhole != r.URI+"?user_code="+r.UserCode || r.Interval != 5 {
		c.t.Fatalf("%+v", r)
	}
	return r
}

func (c program) poll(device string) reply {
	c.t.Helper()
	return c.call(http.MethodPost, "/portal/cli/token", url.Values{
		"grant_type": {"urn:ietf:params:oauth:grant-type:device_code"}, "client_id": {"stint-cli"}, "device_code": {device},
	}, nil)
}

func TestDevice_FromTheCodeToCredentialsOnAnyNode(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one, two := w.node(w.commandLine), w.node(w.commandLine)
	c := program{t, one}
	d := c.begin()
	c.poll(d.DeviceCode).want(t, http.StatusBadRequest, "authorization_pending")
	w.pass(5 * time.Second)
	c.poll(d.DeviceCode).want(t, http.StatusBadRequest, "authorization_pending")
	w.pass(time.Second)
	c.poll(d.DeviceCode).want(t, http.StatusBadRequest, "slow_down")
	w.pass(5 * time.Second)
	c.poll(d.DeviceCode).want(t, http.StatusBadRequest, "slow_down") // ten are asked for now
	w.pass(15 * time.Second)
	c.poll(d.DeviceCode).want(t, http.StatusBadRequest, "authorization_pending")

	b := w.browser(two)
	link := strings.TrimPrefix(d.URIWhole, publicURL)
	b.get(link).wantRedirect(t, "/portal")
	b.signInUser("example-prod", "alice", password).wantRedirect(t, "/portal")
	b.get("/portal").wantRedirect(t, link)
	typed := b.get(link).want(t, http.StatusOK, `value="`+d.UserCode+`"`)
	if strings.Contains(typed.body, "server-7") {
		t.Error("the link alone brings the question")
	}
	question := b.post("/portal/device", typed.form("user_code", strings.ToLower(strings.ReplaceAll(d.UserCode, "-", " ")))).
		want(t, http.StatusOK, "Did you start this yourself?", "server-7", "192.0.2.1", d.UserCode)
	b.foreign("/portal/device/answer", question.form("answer", "allow")).want(t, http.StatusForbidden)
	b.post("/portal/device/answer", question.form("answer", "allow")).wantRedirect(t, "/portal/cli/done")
	b.get("/portal/cli/done").want(t, http.StatusOK, "Go on in your terminal")
	b.post("/portal/device/answer", question.form("answer", "allow")).want(t, http.StatusNotFound, "No command line waits") // once

	w.pass(15 * time.Second)
	token := c.poll(d.DeviceCode).want(t, http.StatusOK, "").AccessToken
	c.mint(token, "own", "900").want(t, http.StatusOK, "")
	w.pass(15 * time.Second)
	c.poll(d.DeviceCode).want(t, http.StatusBadRequest, "expired_token") // once
}

func TestDevice_Refused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	node := w.node(w.commandLine)
	c, b := program{t, node}, w.signedIn(node)
	c.poll("x").want(t, http.StatusBadRequest, "expired_token")
	c.call(http.MethodPost, "/portal/cli/device-code", url.Values{"client_id": {"x"}}, nil).want(t, http.StatusBadRequest, "invalid_client")

	d := c.begin()
	form := b.get("/portal/device").form("user_code", d.UserCode)
	b.post("/portal/device", form).want(t, http.StatusOK, "server-7")
	b.post("/portal/device/answer", with(form, "answer", "deny")).wantRedirect(t, "/portal/cli/done?denied")
	c.poll(d.DeviceCode).want(t, http.StatusBadRequest, "access_denied")

	d = c.begin()
	w.pass(10 * time.Minute)
	b.post("/portal/device", with(form, "user_code", d.UserCode)).want(t, http.StatusNotFound, "No command line waits")
	c.poll(d.DeviceCode).want(t, http.StatusBadRequest, "expired_token")
}

func TestDevice_GuessingIsSlowedDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	node := w.node(w.commandLine)
	c, b := program{t, node}, w.signedIn(node)
	d := c.begin()
	form := b.get("/portal/device").form("user_code", d.UserCode)
	b.post("/portal/device", form).want(t, http.StatusOK)
	for _, wrong := range []string{"", "BCDF", "BCDF-GHJK", "AEIO-UAEI", strings.Repeat("B", 9000)} {
		b.post("/portal/device", with(form, "user_code", wrong)).want(t, http.StatusNotFound)
	}
	with(form, "user_code", d.UserCode)
	b.post("/portal/device", form).want(t, http.StatusTooManyRequests, "too many wrong codes")
	other := w.signedIn(node) // the wait is the person's, whatever the browser
	other.post("/portal/device/answer", other.get("/portal/device").form("user_code", d.UserCode, "answer", "allow")).want(t, http.StatusTooManyRequests)
	w.pass(time.Minute)
	b.post("/portal/device", form).want(t, http.StatusOK, "server-7")
}

func TestDevice_StrangersLeaveLittleBehind(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := program{t, w.node(w.commandLine)}
	begin := func() reply {
		return c.call(http.MethodPost, "/portal/cli/device-code", url.Values{"client_id": {"stint-cli"}}, nil)
	}
	for range 100 {
		begin().want(t, http.StatusOK, "")
	}
	refused := begin()
	if refused.Error != "temporarily_unavailable" {
		t.Errorf("%+v", refused)
	}
	w.pass(10 * time.Minute)
	begin().want(t, http.StatusOK, "")
}

func TestCLI_LoginsAreListedAndEnded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	node := w.node(w.commandLine)
	b, c := w.signedIn(node), program{t, w.node(w.commandLine)}
	if p := b.get("/portal/sessions").want(t, http.StatusOK); strings.Contains(p.body, "Command lines") {
		t.Errorf("command lines before there is one:\n%s", p.body)
	}
	first, second := c.logIn(b), c.logIn(b)
	page := b.get("/portal/sessions").want(t, http.StatusOK, "Command lines", "alices-laptop")
	ends := regexp.MustCompile(`name="login" value="([0-9a-f]{32})"`).FindAllStringSubmatch(page.body, -1)
	if len(ends) != 2 || strings.Contains(page.body, first) {
		t.Fatalf("%d logins:\n%s", len(ends), page.body)
	}
	form := page.form("login", ends[0][1])
	b.foreign("/portal/cli/end", form).want(t, http.StatusForbidden)
	other := w.signedIn(node)
	other.post("/portal/cli/end", other.get("/portal/sessions").form("token", other.get("/portal").form().Get("token"), "login", ends[0][1])).want(t, http.StatusNotFound)
	c.roles(first).want(t, http.StatusOK, "")
	b.post("/portal/cli/end", form).wantRedirect(t, "/portal/sessions?login-ended")
	c.roles(first).want(t, http.StatusUnauthorized, "invalid_token")
	c.roles(second).want(t, http.StatusOK, "")
	b.get("/portal/sessions?login-ended").want(t, http.StatusOK, "gets no more credentials")
	for range 20 { // the oldest makes room
		c.logIn(b)
	}
	c.roles(second).want(t, http.StatusUnauthorized, "invalid_token")
	b.post("/portal/cli/end", form).want(t, http.StatusNotFound)
}

func TestCLI_Pages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	node := w.node(w.commandLine)
	b, c := w.signedIn(node), program{t, node}
	golden(t, "cli", b.get("/portal/cli?"+request().Encode()))
	golden(t, "cli-done", b.get("/portal/cli/done"))
	golden(t, "cli-denied", b.get("/portal/cli/done?denied"))
	form := b.get("/portal/device")
	golden(t, "device", form)
	code := c.begin().UserCode
	question := b.post("/portal/device", form.form("user_code", code))
	question.body = strings.ReplaceAll(question.body, code, "BCDF-GHJK")
	golden(t, "device-confirm", question)
}
