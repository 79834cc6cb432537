package idptest

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
)

// DexSecret is that of Dex's client.
const DexSecret = "dex-client-secret"

const (
	callback = "http://127.0.0.1/callback"
	scopes   = "openid profile email groups federated:id"
)

// Login signs the user in as a browser does and returns the ID token: authorization code with PKCE, through the provider's own pages.
// The algorithm chooses the client.
func (p *IdP) Login(algorithm string) string {
	p.t.Helper()
	client := p.Client(algorithm)
	verifier := rand.Text() + rand.Text()
	challenge := sha256.Sum256([]byte(verifier))
	state := rand.Text()
	scope := scopes
	if p.provider == OIDCProvider {
		scope = "openid profile"
	}
	code, err := p.browse(p.endpoints().Authorization+"?"+url.Values{
		"client_id": {client}, "response_type": {"code"}, "scope": {scope}, "redirect_uri": {callback}, "state": {state},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(challenge[:])}, "code_challenge_method": {"S256"},
	}.Encode(), state)
	if err != nil {
		p.t.Fatalf("%v: sign in: %v\n%s", p.provider, err, &p.log)
	}
	return p.redeem(client, url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {callback}, "code_verifier": {verifier},
	})
}

// Password gets an ID token for the user's password without a browser (OAuth 2.0, RFC 6749 section 4.3), which only Dex allows.
func (p *IdP) Password(algorithm string) string {
	p.t.Helper()
	return p.redeem(p.Client(algorithm), url.Values{"grant_type": {"password"}, "username": {User}, "password": {Password}, "scope": {scopes}})
}

type endpoints struct {
	Authorization string `json:"authorization_endpoint"`
	Token         string `json:"token_endpoint"`
}

func (p *IdP) endpoints() endpoints {
	p.t.Helper()
	answer, err := p.http.Get(p.Issuer + "/.well-known/openid-configuration")
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	var e endpoints
	if err := json.NewDecoder(answer.Body).Decode(&e); err != nil {
		p.t.Fatal(err)
	}
	return e
}

// redeem exchanges a grant for tokens.
func (p *IdP) redeem(client string, form url.Values) string {
	p.t.Helper()
	if p.provider == OIDCProvider {
		form.Set("client_id", client)
	}
	r, err := http.NewRequestWithContext(p.t.Context(), http.MethodPost, p.endpoints().Token, strings.NewReader(form.Encode()))
	if err != nil {
		p.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if p.provider == Dex {
		r.SetBasicAuth(client, DexSecret)
	}
	answer, err := p.http.Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	var tokens struct {
		ID    string `json:"id_token"`
		Error string `json:"error_description"`
	}
	if err := json.NewDecoder(answer.Body).Decode(&tokens); err != nil || tokens.ID == "" {
		p.t.Fatalf("%v: token endpoint: %s %s, %v\n%s", p.provider, answer.Status, tokens.Error, err, &p.log)
	}
	return tokens.ID
}

// errCallback ends a walk through pages at the client's door, where nobody listens.
var errCallback = errors.New("callback")

// browse opens the page, fills in form after form, and returns the code with which the provider sends the browser back.
func (p *IdP) browse(page, state string) (code string, err error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return "", err
	}
	var back url.Values
	browser := &http.Client{Transport: p.http.Transport, Jar: jar, Timeout: p.http.Timeout, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(r.URL.String(), callback) {
			back = r.URL.Query()
			return errCallback
		}
		return nil
	}}
	answer, err := browser.Get(page)
	for range 5 { // pages until the way back: sign in, consent
		if errors.Is(err, errCallback) {
			if back.Get("state") != state || back.Get("code") == "" {
				return "", fmt.Errorf("the browser comes back with %v", back)
			}
			return back.Get("code"), nil
		}
		if err != nil {
			return "", err
		}
		where := answer.Request.URL
		content, err2 := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		if err2 != nil {
			return "", err2
		}
		action, fields, ok := readForm(string(content))
		if !ok {
			return "", fmt.Errorf("%s: no form at %s: %s", answer.Status, where.Path, content)
		}
		target, err2 := where.Parse(action)
		if err2 != nil {
			return "", err2
		}
		answer, err = browser.PostForm(target.String(), fields)
	}
	return "", errors.New("the pages do not end")
}

var (
	formTag  = regexp.MustCompile(`(?s)<form\b[^>]*>.*?</form>`)
	inputTag = regexp.MustCompile(`<input\b[^>]*>`)
	attr     = regexp.MustCompile(`([a-z]+)="([^"]*)"`)
)

// readForm finds the page's form and fills it in as the user would.
func readForm(page string) (action string, fields url.Values, ok bool) {
	form := formTag.FindString(page)
	if form == "" {
		return "", nil, false
	}
	fields = url.Values{}
	for _, tag := range inputTag.FindAllString(form, -1) {
		input := attributes(tag)
		switch input["name"] {
		case "":
		case "login":
			fields.Set("login", User)
		case "password":
			fields.Set("password", Password)
		default:
			fields.Set(input["name"], input["value"])
		}
	}
	return attributes(form[:strings.IndexByte(form, '>')])["action"], fields, true
}

func attributes(tag string) map[string]string {
	all := make(map[string]string)
	for _, m := range attr.FindAllStringSubmatch(tag, -1) {
		all[m[1]] = html.UnescapeString(m[2])
	}
	return all
}
