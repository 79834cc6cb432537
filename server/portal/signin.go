package portal

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/stint-sts/stint/session"
	"github.com/stint-sts/stint/sts"
)

// signIn is a browser's sign-in as it is kept.
type signIn struct {
	*sts.SignIn

	Started    time.Time
	Seen       time.Time // when it was last used, to a minute
	MustChange bool      // an IAM user who may do nothing but change the password

	id string // its secret name
}

// Names of cookies, without the prefix that they have over HTTPS.
const (
	signInCookie  = "stint-sign-in"
	arrivalCookie = "stint-arrival"
	visitCookie   = "stint-visit"
	requestCookie = "stint-request-" // and the start of a hash
)

// Prefixes of names of values.
const (
	signInValue  = "portal/sign-in/"
	arrivalValue = "portal/arrival/"
)

// secretLength is the length of newSecret.
const secretLength = 43

// newSecret is a name that nobody can guess: 256 bits in base64url.
func newSecret() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// isSecure reports whether browsers reach us over HTTPS. Otherwise it is a laptop, and nobody but it reaches us; see Portal.reachable.
func (p *Portal) isSecure() bool { return strings.HasPrefix(p.cfg.PublicURL(), "https://") }

// cookieName gives a cookie the prefix that keeps other hosts and plain HTTP from setting it (RFC 6265bis section 4.1.3.2). Browsers
// refuse it without HTTPS.
func (p *Portal) cookieName(name string) string {
	if p.isSecure() {
		return "__Host-" + name
	}
	return name
}

// setCookie sets a cookie that scripts do not see and that other sites' forms and frames do not send. Zero life: until the browser is
// closed.
func (x *exchange) setCookie(name, value string, life time.Duration) {
	http.SetCookie(x.w, &http.Cookie{
		Name: x.p.cookieName(name), Value: value, Path: "/", MaxAge: int(life.Seconds()),
		Secure: x.p.isSecure(), HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}

func (x *exchange) dropCookie(name string) { x.setCookie(name, "", -time.Second) }

// cookie returns the cookie's value, or "" when there is none, or more than one: an older browser may have let somebody add another.
func (x *exchange) cookie(name string) string {
	found := x.r.CookiesNamed(x.p.cookieName(name))
	if len(found) != 1 {
		return ""
	}
	return found[0].Value
}

// sealed encrypts a value for its place. The secret name that a place may hold is not shown in it.
func (p *Portal) sealed(place string, v any) ([]byte, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("portal state: %w", err)
	}
	return p.cfg.Seal.Seal(text, hashed(place))
}

func (p *Portal) opened(place string, sealed []byte, into any) error {
	text, err := p.cfg.Seal.Open(sealed, hashed(place))
	if err != nil {
		return fmt.Errorf("portal state: %w", err)
	}
	return json.Unmarshal(text, into)
}

func hashed(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// end is when the sign-in ends if it is not used again.
func (p *Portal) end(s *signIn) time.Time {
	end := s.Started.Add(p.cfg.Lifetime)
	for _, other := range []time.Time{s.Seen.Add(p.cfg.Idle), s.End()} {
		if !other.IsZero() && other.Before(end) {
			end = other
		}
	}
	return end
}

// establish makes the browser signed in, under a new name, whatever it was before.
func (x *exchange) establish(s *sts.SignIn, mustChange bool) error {
	next := &signIn{SignIn: s, Started: x.Start, Seen: x.Start, MustChange: mustChange, id: newSecret()}
	if err := x.forget(); err != nil {
		return err
	}
	end := x.p.end(next)
	if !end.After(x.Start) {
		return &Problem{http.StatusForbidden, "That took too long", "Your session at the identity provider has ended. Sign in again.", nil}
	}
	b, err := x.p.sealed(signInValue+next.id, next)
	if err != nil {
		return err
	}
	switch err := x.p.cfg.Values.SetValue(x.r.Context(), signInValue+next.id, b, end); {
	case errors.Is(err, session.ErrInvalid):
		return &Problem{http.StatusForbidden, "Too many roles", "Your identity provider names more roles than a sign-in can hold. " +
			"Ask whoever runs it to name those that you need.", err}
	case err != nil:
		return err
	}
	x.setCookie(signInCookie, next.id, 0)
	x.redirect(home)
	return nil
}

// forget ends the sign-in of the browser, if there is one.
func (x *exchange) forget() error {
	id := x.cookie(signInCookie)
	if id == "" {
		return nil
	}
	x.dropCookie(signInCookie)
	if len(id) != secretLength {
		return nil // not one of ours
	}
	return x.p.cfg.Values.DeleteValue(x.r.Context(), signInValue+id)
}

// seenEvery is how often the use of a sign-in is written down.
const seenEvery = time.Minute

// load finds the browser's sign-in; x.signIn stays nil when there is none that holds.
func (x *exchange) load() error {
	id := x.cookie(signInCookie)
	if id == "" {
		return nil
	}
	s, err := x.find(id)
	if err != nil {
		return err
	}
	if s == nil {
		x.dropCookie(signInCookie)
	}
	x.signIn = s
	return nil
}

// find returns the sign-in of that secret name, and notes its use; nil when there is none that holds. One that has ended is deleted.
func (x *exchange) find(id string) (*signIn, error) {
	if len(id) != secretLength {
		return nil, nil
	}
	b, err := x.p.cfg.Values.Value(x.r.Context(), signInValue+id)
	if errors.Is(err, session.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	s := &signIn{id: id}
	if err := x.p.opened(signInValue+id, b, s); err != nil {
		return nil, err
	}
	switch holds, err := x.holds(s); {
	case err != nil:
		return nil, err
	case !holds:
		return nil, x.p.cfg.Values.DeleteValue(x.r.Context(), signInValue+id)
	}
	if x.Start.Sub(s.Seen) >= seenEvery {
		s.Seen = x.Start
		if b, err = x.p.sealed(signInValue+id, s); err != nil {
			return nil, err
		}
		switch err := x.p.cfg.Values.ReplaceValue(x.r.Context(), signInValue+id, b, x.p.end(s)); {
		case errors.Is(err, session.ErrNotFound):
			return nil, nil // signed out meanwhile, elsewhere
		case err != nil:
			return nil, err
		}
	}
	return s, nil
}

// holds tells whether the sign-in has not ended: by time, by a revocation, or with the password of its user.
func (x *exchange) holds(s *signIn) (bool, error) {
	if !x.Start.Before(x.p.end(s)) {
		return false, nil
	}
	for h := range s.Holders {
		if x.p.cfg.Revoked(h) {
			return false, nil
		}
	}
	u := s.User
	switch {
	case u == nil:
		return true, nil
	case x.p.cfg.Passwords == nil:
		return false, nil
	}
	return x.p.cfg.Passwords.Holds(x.r.Context(), u.Account, u.ID, u.Mark)
}

// required loads the sign-in for a page that needs one. done tells that the answer has been given: who has none is sent to sign in.
func (x *exchange) required() (done bool, err error) {
	if x.signIn == nil {
		if err := x.load(); err != nil {
			return true, err
		}
	}
	switch {
	case x.signIn == nil && x.r.Method == http.MethodPost:
		return true, &Problem{http.StatusForbidden, "You are not signed in any more", "Your sign-in has ended. Sign in again.", nil}
	case x.signIn == nil:
		x.redirect(home)
		return true, nil
	case x.signIn.MustChange && x.r.URL.Path != passwordPath && x.r.URL.Path != signOutPath:
		x.redirect(passwordPath)
		return true, nil
	case x.r.Method == http.MethodPost:
		return false, x.checkToken(x.signIn.id)
	}
	return false, nil
}

// formToken is what a form carries to show that a page of ours made it for the browser that holds the secret.
func formToken(secret string) string {
	sum := sha256.Sum256([]byte("form\x00" + secret))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// checkToken refuses a form that does not carry the token of the secret.
func (x *exchange) checkToken(secret string) error {
	if secret != "" && subtle.ConstantTimeCompare([]byte(x.r.PostForm.Get("token")), []byte(formToken(secret))) == 1 {
		return nil
	}
	return &Problem{http.StatusForbidden, "This form is out of date", "You may have signed in or out in another tab. Go back, reload the page and try again.",
		errors.New("form without the right token")}
}

// visit is the secret of a browser that has not signed in, for its forms.
func (x *exchange) visit() string {
	id := x.cookie(visitCookie)
	if len(id) != secretLength {
		id = newSecret()
		x.setCookie(visitCookie, id, 0)
	}
	return id
}

func (p *Portal) signOut(x *exchange) error {
	if err := x.load(); err != nil {
		return err
	}
	if x.signIn != nil {
		if err := x.checkToken(x.signIn.id); err != nil {
			return err
		}
		if err := x.forget(); err != nil {
			return err
		}
	}
	x.redirect(home + "?signed-out")
	return nil
}
