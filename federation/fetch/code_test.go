package fetch_test

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stint-sts/stint/federation/fetch"
	"github.com/stint-sts/stint/federation/oidc"
	"github.com/stint-sts/stint/federation/oidctest"
	"github.com/stint-sts/stint/secret"
)

const verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk" // RFC 7636 appendix B, with the challenge below

// code lets somebody sign in at the issuer and returns the code.
func code(t *testing.T, p *oidctest.IdP) string {
	t.Helper()
	query := url.Values{
		"response_type": {"code"}, "client_id": {"client"}, "redirect_uri": {"https://rp.example/callback"}, "state": {"s"}, "nonce": {"n"},
		"code_challenge": {"E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"}, "code_challenge_method": {"S256"},
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Get(p.URL + oidctest.AuthorizationPath + "?" + query.Encode())
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	to, err := response.Location()
	if err != nil {
		t.Fatal(err)
	}
	return to.Query().Get("code")
}

func TestCodes(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name      string
		ours      string // secret
		theirs    string
		change    func(*fetch.Code)
		intercept func(http.ResponseWriter, *http.Request) bool
		want      error
	}{
		{name: "public client"},
		{name: "client with a secret", ours: "a+b/c d", theirs: "a+b/c d"},
		{name: "wrong secret", ours: "x", theirs: "y", want: oidc.ErrUnusable},
		{name: "another code", change: func(c *fetch.Code) { c.Code = secret.New("x") }, want: oidc.ErrUnusable},
		{name: "another verifier", change: func(c *fetch.Code) { c.Verifier = secret.New("x") }, want: oidc.ErrUnusable},
		{name: "another redirect", change: func(c *fetch.Code) { c.RedirectURI += "x" }, want: oidc.ErrUnusable},
		{name: "failing issuer", want: oidc.ErrUnavailable, intercept: status(http.StatusBadGateway, "")},
		{name: "redirect", want: oidc.ErrUnusable, intercept: status(http.StatusFound, "")},
		{name: "no ID token", want: oidc.ErrUnusable, intercept: status(http.StatusOK, `{"access_token":"x"}`)},
		{name: "no JSON", want: oidc.ErrUnusable, intercept: status(http.StatusOK, `<html>`)},
		{name: "too large", want: oidc.ErrUnusable, intercept: status(http.StatusOK, strings.Repeat(" ", fetch.MaxBody+1))},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			p := oidctest.New(t)
			p.SignIn(&oidctest.Login{ClientID: "client", Secret: row.theirs, Person: func(url.Values) map[string]any { return p.Claims("client", "alice", time.Now()) }})
			codes := fetch.NewCodes(fetch.CodesConfig{Client: fetch.New(fetch.Config{Loopback: true}), Now: time.Now})
			c := &fetch.Code{Code: secret.New(code(t, p)), Verifier: secret.New(verifier), RedirectURI: "https://rp.example/callback", ClientID: "client"}
			if row.ours != "" {
				c.Secret = secret.New(row.ours)
			}
			if row.change != nil {
				row.change(c)
			}
			p.Intercept(row.intercept)
			token, err := codes.Exchange(t.Context(), &oidc.Provider{ARN: "arn", Issuer: p.URL}, c)
			if !errors.Is(err, row.want) || row.want == nil && (err != nil || strings.Count(token.Reveal(), ".") != 2) {
				t.Errorf("error %v, want %v", err, row.want)
			}
		})
	}
}

// status answers requests for a token.
func status(code int, body string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != oidctest.TokenPath {
			return false
		}
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(code)
		_, _ = w.Write([]byte(body))
		return true
	}
}

// A browser that has proven nothing must not make stint ask an issuer again and again.
func TestCodes_FailingIssuerIsLeftAlone(t *testing.T) {
	t.Parallel()
	p := oidctest.New(t)
	p.SignIn(&oidctest.Login{ClientID: "client"})
	now := time.Now()
	codes := fetch.NewCodes(fetch.CodesConfig{Client: fetch.New(fetch.Config{Loopback: true}), Now: func() time.Time { return now }})
	provider := &oidc.Provider{ARN: "arn", Issuer: p.URL}
	p.Intercept(func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(http.StatusBadGateway)
		return true
	})
	for range 3 {
		if _, err := codes.Endpoints(t.Context(), provider); !errors.Is(err, oidc.ErrUnavailable) {
			t.Errorf("error %v, want ErrUnavailable", err)
		}
	}
	if asked, _ := p.Fetches(); asked != 1 {
		t.Errorf("asked %d times", asked)
	}
	p.Intercept(nil)
	now = now.Add(10 * time.Second)
	for range 3 {
		if _, err := codes.Endpoints(t.Context(), provider); err != nil {
			t.Errorf("once it is back: %v", err)
		}
	}
	if asked, _ := p.Fetches(); asked != 2 {
		t.Errorf("asked %d times", asked)
	}
}
