package oidctest

import (
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/url"
)

// Paths of the endpoints that sign people in.
const (
	AuthorizationPath = "/authorize"
	TokenPath         = "/token"
)

// Login is how an issuer signs people in by the authorization code flow with PKCE.
type Login struct {
	ClientID string
	Secret   string // which the client sends by HTTP Basic; empty: a public client

	// Person returns the claims of the token for who signs in, without the nonce. nil: nobody does, the answer is access_denied.
	Person func(authorization url.Values) map[string]any
	// EditToken changes the claims, the nonce among them. nil: they stay.
	EditToken func(claims map[string]any)
	// EditAnswer changes the parameters that the browser takes back. nil: they stay.
	EditAnswer func(url.Values)
}

// grant is what a code stands for.
type grant struct {
	request url.Values
	claims  map[string]any
}

// SignIn lets people sign in from now on.
func (p *IdP) SignIn(l *Login) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.login, p.grants = l, make(map[string]grant)
}

// authorize answers the browser at once: the test is the person.
func (p *IdP) authorize(l *Login, w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if q.Get("client_id") != l.ClientID || q.Get("response_type") != "code" || q.Get("code_challenge_method") != "S256" || q.Get("code_challenge") == "" {
		http.Error(w, "invalid_request", http.StatusBadRequest)
		return
	}
	answer := url.Values{"state": {q.Get("state")}, "iss": {p.URL}}
	if l.Person == nil {
		answer.Set("error", "access_denied")
	} else {
		claims := l.Person(q)
		claims["nonce"] = q.Get("nonce")
		if l.EditToken != nil {
			l.EditToken(claims)
		}
		code := rand.Text()
		p.mu.Lock()
		p.grants[code] = grant{q, claims}
		p.mu.Unlock()
		answer.Set("code", code)
	}
	if l.EditAnswer != nil {
		l.EditAnswer(answer)
	}
	http.Redirect(w, r, q.Get("redirect_uri")+"?"+answer.Encode(), http.StatusFound)
}

func (p *IdP) token(l *Login, w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	g, known := p.grants[r.PostFormValue("code")]
	delete(p.grants, r.PostFormValue("code"))
	p.mu.Unlock()
	id, secret, _ := r.BasicAuth()
	secret, _ = url.QueryUnescape(secret) // RFC 6749 section 2.3.1
	switch {
	case r.Method != http.MethodPost || !known || r.PostFormValue("grant_type") != "authorization_code",
		r.PostFormValue("redirect_uri") != g.request.Get("redirect_uri") || r.PostFormValue("client_id") != l.ClientID,
		encode(sum256(r.PostFormValue("code_verifier"))) != g.request.Get("code_challenge"):
		http.Error(w, `{"error":"invalid_grant"}`, http.StatusBadRequest)
	case l.Secret != "" && (id != l.ClientID || secret != l.Secret):
		http.Error(w, `{"error":"invalid_client"}`, http.StatusUnauthorized)
	default:
		_ = json.NewEncoder(w).Encode(map[string]any{"token_type": "Bearer", "access_token": "not used", "id_token": p.Token("ES256", g.claims)})
	}
}
