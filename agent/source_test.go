package agent_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stint-sts/stint/agent"
)

// pretend is a server that answers what a test says, and keeps the forms that it was sent.
type pretend struct {
	status int
	body   string
	header http.Header
	forms  []url.Values
}

func (p *pretend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	form, _ := url.ParseQuery(string(body))
	p.forms = append(p.forms, form)
	for name, values := range p.header {
		w.Header()[name] = values
	}
	w.WriteHeader(p.status)
	_, _ = io.WriteString(w, p.body)
}

func errorBody(code string) string {
	return `<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>` + code +
		`</Code><Message>because</Message></Error><RequestId>r</RequestId></ErrorResponse>`
}

func handedOut(expiration string) string {
	return `<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleWithWebIdentityResult><Credentials>` +
		`<AccessKeyId>ASIAEXAMPLE</AccessKeyId><SecretAccessKey>secret</SecretAccessKey><SessionToken>token</SessionToken><Expiration>` + expiration +
		`</Expiration></Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`
}

// webIdentity is a source that asks p, with a token file of that content.
func webIdentity(t *testing.T, p *pretend, token string) *agent.WebIdentity {
	t.Helper()
	s := httptest.NewServer(p)
	t.Cleanup(s.Close)
	file := filepath.Join(t.TempDir(), "token")
	put(t, file, token)
	return &agent.WebIdentity{
		Endpoint: agent.Endpoint{URL: s.URL}, Role: agent.Role{ARN: webRole.String(), SessionName: "web-1", Duration: 2 * time.Hour}, TokenFile: file,
	}
}

func TestWebIdentity_Fetch(t *testing.T) {
	t.Parallel()
	// The server's clock is a year behind: what counts is how long the credentials last by it.
	p := &pretend{status: 200, body: handedOut("2025-01-01T02:00:00Z"), header: http.Header{"Date": {"Wed, 01 Jan 2025 00:00:00 GMT"}}}
	s := webIdentity(t, p, "header.payload.signature\n")
	c, err := s.Fetch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if c.AccessKeyID != "ASIAEXAMPLE" || c.SecretAccessKey.Reveal() != "secret" || c.SessionToken.Reveal() != "token" || c.Lifetime != 2*time.Hour {
		t.Errorf("got %+v", c)
	}
	put(t, s.TokenFile, "renewed")
	if _, err := s.Fetch(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i, token := range []string{"header.payload.signature", "renewed"} {
		form := p.forms[i]
		for name, want := range map[string]string{
			"Action": "AssumeRoleWithWebIdentity", "RoleArn": webRole.String(), "RoleSessionName": "web-1", "DurationSeconds": "7200", "WebIdentityToken": token,
		} {
			if form.Get(name) != want {
				t.Errorf("%s is %q, want %q", name, form.Get(name), want)
			}
		}
	}
}

func TestWebIdentity_TokenFiles(t *testing.T) {
	t.Parallel()
	p := &pretend{status: 200, body: handedOut("2035-01-01T02:00:00Z")}
	for name, token := range map[string]string{"empty": "", "blank": " \n", "too large": strings.Repeat("x", 20_001)} {
		if _, err := webIdentity(t, p, token).Fetch(t.Context()); err == nil || strings.Contains(err.Error(), "xxx") {
			t.Errorf("%s: %v", name, err)
		}
	}
	s := webIdentity(t, p, "x")
	s.TokenFile += "-not-there-yet"
	if _, err := s.Fetch(t.Context()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("not there: %v", err)
	}
	if len(p.forms) != 0 {
		t.Error("the server was asked without a token")
	}
}

// What will not mend by itself is a refusal; the rest is tried again soon.
func TestWebIdentity_Failures(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name    string
		answer  pretend
		refused string
	}{
		{"not authorized", pretend{status: 403, body: errorBody("AccessDenied")}, "AccessDenied"},
		{"a bad parameter", pretend{status: 400, body: errorBody("ValidationError")}, "ValidationError"},
		{"an expired token", pretend{status: 400, body: errorBody("ExpiredTokenException")}, "ExpiredTokenException"},
		{"throttled", pretend{status: 400, body: errorBody("Throttling")}, ""},
		{"the issuer is down", pretend{status: 400, body: errorBody("IDPCommunicationError")}, ""},
		{"the server's fault", pretend{status: 500, body: errorBody("InternalFailure")}, ""},
		{"unavailable", pretend{status: 503, body: errorBody("ServiceUnavailable")}, ""},
		{"a proxy's page", pretend{status: 404, body: "<html>not here</html>"}, ""},
		{"a proxy's nothing", pretend{status: 502}, ""},
		{"no credentials", pretend{status: 200, body: "<x/>"}, ""},
		{"an answer without an end", pretend{status: 200, body: strings.Repeat("<a>", 1<<20)}, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			_, err := webIdentity(t, &row.answer, "header.payload.signature").Fetch(t.Context())
			refusal, refused := errors.AsType[*agent.Refusal](err)
			if err == nil || refused != (row.refused != "") || refused && (refusal.Code != row.refused || refusal.Message != "because") {
				t.Errorf("error is %v", err)
			}
			if strings.Contains(fmt.Sprint(err), "signature") {
				t.Errorf("the token is in the error: %v", err)
			}
		})
	}
}

// A server that sends elsewhere does not make the agent carry the token there.
func TestWebIdentity_NoRedirects(t *testing.T) {
	t.Parallel()
	elsewhere := &pretend{status: 200, body: handedOut("2035-01-01T02:00:00Z")}
	other := httptest.NewServer(elsewhere)
	t.Cleanup(other.Close)
	for _, status := range []int{301, 302, 303, 307, 308} {
		p := &pretend{status: status, header: http.Header{"Location": {other.URL}}}
		if c, err := webIdentity(t, p, "token").Fetch(t.Context()); err == nil {
			t.Errorf("%d: %+v", status, c)
		}
		if len(p.forms) != 1 {
			t.Errorf("%d: asked %d times", status, len(p.forms))
		}
	}
	if len(elsewhere.forms) > 0 {
		t.Error("the token went elsewhere")
	}
}

func TestEndpoint_Check(t *testing.T) {
	t.Parallel()
	for url, ok := range map[string]bool{
		"https://sts.example.com": true, "http://127.0.0.1:8470": true, "http://localhost:8470": true, "http://[::1]:8470": true,
		"http://sts.example.com": false, "http://10.0.0.1": false, "http://localhost.example.com": false, "sts.example.com": false,
		"ftp://127.0.0.1": false, "": false, "http://": false,
	} {
		if err := (&agent.Endpoint{URL: url}).Check(); (err == nil) != ok {
			t.Errorf("%q: %v", url, err)
		}
	}
	if err := (&agent.Endpoint{URL: "http://sts.example.com", Insecure: true}).Check(); err != nil {
		t.Error(err)
	}
	if err := (&agent.Endpoint{URL: "http://user:hunter2@sts.example.com"}).Check(); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("password in %v", err)
	}
	if _, err := (&agent.WebIdentity{Endpoint: agent.Endpoint{URL: "http://sts.example.com"}, TokenFile: "source_test.go"}).Fetch(t.Context()); err == nil {
		t.Error("a token over http to another machine")
	}
}
