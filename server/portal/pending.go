package portal

import (
	"encoding/base64"
	"net/http"
	"time"

	"github.com/stint-sts/stint/arn"
)

// pending is what stint has asked an identity provider, on its way through the browser in a sealed cookie: strangers cost the server
// nothing, and any node takes the answer.
type pending struct {
	ID       string // of the SAML request, or the state of OpenID Connect
	Provider string // ARN
	Nonce    string // OpenID Connect
	Verifier string // OpenID Connect: of PKCE
	Until    time.Time
}

// pendingLife is how long an identity provider may take to sign somebody in: a password, a second factor, a forgotten password.
const pendingLife = 10 * time.Minute

func pendingName(id string) string { return requestCookie + hashed(id)[:16] }

func (x *exchange) remember(q *pending) error {
	q.Until = x.Start.Add(pendingLife)
	name := pendingName(q.ID)
	b, err := x.p.sealed(name, q)
	if err != nil {
		return err
	}
	x.setCookie(name, base64.RawURLEncoding.EncodeToString(b), pendingLife)
	return nil
}

// answered returns what was asked under the id, and forgets it; nil when this browser did not ask, or too long ago.
func (x *exchange) answered(id string) *pending {
	name := pendingName(id)
	text := x.cookie(name)
	if text == "" || id == "" {
		return nil
	}
	x.dropCookie(name)
	b, err := base64.RawURLEncoding.DecodeString(text)
	q := &pending{}
	if err != nil || x.p.opened(name, b, q) != nil || q.ID != id || !x.Start.Before(q.Until) {
		return nil
	}
	return q
}

// method finds the configured way to sign in that the query names.
func (x *exchange) method(service string) (*Method, error) {
	asked := x.r.URL.Query().Get("provider")
	for i := range x.p.cfg.Methods {
		if m := &x.p.cfg.Methods[i]; m.Provider.String() == asked && m.Provider.IsIAM(service) {
			return m, nil
		}
	}
	return nil, errNoMethod()
}

func (x *exchange) methodOf(a arn.ARN) (*Method, error) {
	for i := range x.p.cfg.Methods {
		if m := &x.p.cfg.Methods[i]; m.Provider == a {
			return m, nil
		}
	}
	return nil, errNoMethod()
}

func errNoMethod() error {
	return &Problem{http.StatusNotFound, "There is no such way to sign in", "It may have been removed. Choose another one.", nil}
}
