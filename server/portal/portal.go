// Package portal is stint for people in a browser: sign in, choose a role, take credentials.
//
// A person starts at the identity provider, which posts a SAML response to /saml/acs, or at /portal, which offers the ways to sign in that
// the operator has configured: SAML providers, OpenID Connect providers, IAM users with a password. Signed in, the person sees the roles
// that let them in, by account, chooses one and for how long, and gets credentials as text for shells, profiles and programs; renews them;
// sees and ends their own sessions; changes their password; signs out.
//
// The package translates: HTML in and out, and what travels through the browser. Who may do what is decided by package sts, through
// package dispatch, so that policies and the audit see what they would see of an SDK. What it owns is the browser's side of security:
//
//   - The sign-in is kept in session.Values, sealed, under a random name of 256 bits that only a cookie holds. A new sign-in has a new name.
//   - What stint asked an identity provider travels in a sealed cookie and not on the server: strangers leave nothing behind. A response
//     that answers a request is taken from the browser that holds the request's cookie only; an unasked one is taken when the person has
//     confirmed who they are about to be.
//   - Every POST but the one to /saml/acs is from our own pages: checked by Sec-Fetch-Site or Origin, and by a token bound to the cookie.
//   - Pages run no inline script, load nothing foreign, are in nobody's frame and are not stored.
package portal

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/stint-sts/stint/arn"
	"github.com/stint-sts/stint/federation/fetch"
	"github.com/stint-sts/stint/federation/oidc"
	"github.com/stint-sts/stint/federation/saml"
	"github.com/stint-sts/stint/iam"
	"github.com/stint-sts/stint/secret"
	"github.com/stint-sts/stint/server/dispatch"
	"github.com/stint-sts/stint/session"
	"github.com/stint-sts/stint/sts"
)

// Directory is what the portal needs to know of accounts and providers. Errors for what does not exist match authn.ErrUnknown.
type Directory interface {
	SAMLProvider(ctx context.Context, a arn.ARN) (*saml.Provider, error)
	OIDCProviderByARN(ctx context.Context, a arn.ARN) (*oidc.Provider, error)
	// AccountAlias returns "" for an account without an alias.
	AccountAlias(ctx context.Context, account string) (string, error)
}

// Codes signs people in at OpenID Connect providers; *fetch.Codes is the one.
type Codes interface {
	Endpoints(ctx context.Context, p *oidc.Provider) (*oidc.Endpoints, error)
	Exchange(ctx context.Context, p *oidc.Provider, code *fetch.Code) (secret.String, error)
}

// Passwords signs IAM users in; *iam.Passwords is the one.
type Passwords interface {
	SignIn(ctx context.Context, in *iam.SignIn) (*iam.SignedIn, error)
	Holds(ctx context.Context, account, userID, mark string) (bool, error)
}

// Sessions are the records of live sessions.
type Sessions interface {
	List(ctx context.Context, q session.Query) (session.Page, error)
}

// Sealer encrypts what the portal keeps of sign-ins; *signer.Signer is the one.
type Sealer interface {
	// Seal encrypts plaintext for the place that context names.
	Seal(plaintext []byte, context string) ([]byte, error)
	// Open decrypts what Seal made for the same context.
	Open(sealed []byte, context string) ([]byte, error)
}

// Method is a way to sign in at an identity provider.
type Method struct {
	Provider arn.ARN // of a SAML or an OpenID Connect provider
	Label    string  // what the page calls it

	// For OpenID Connect:
	ClientID string
	Secret   secret.String // zero: a public client
	Scopes   []string      // beside "openid"
}

// Config is what a Portal needs. Fields are required unless they say a default.
type Config struct {
	Front      *dispatch.Front
	Operations *dispatch.Portal
	SignIns    *sts.SignIns
	Recorder   dispatch.Recorder // of sign-ins with a password, and of those that are refused here
	Directory  Directory
	Values     session.Values
	Sessions   Sessions
	Seal       Sealer
	Codes      Codes

	// ServiceProvider is stint as SAML providers know it.
	ServiceProvider func(context.Context) (*saml.ServiceProvider, error)
	// PublicURL is where browsers reach stint, without a slash at the end.
	PublicURL func() string

	// Revoked tells whether a revocation has ended a session or a sign-in; *session.Revocations is the one.
	Revoked func(*session.Holder) bool

	Title       string    // of the pages
	Methods     []Method  // at identity providers
	Passwords   Passwords // nil: IAM users do not sign in here
	Unsolicited bool      // responses of SAML providers are taken that nobody asked for
	CommandLine bool      // stint login may sign in here
	// NoDeviceCodes refuses command lines without a browser, whose codes people can be talked into typing.
	NoDeviceCodes bool
	Throttle      session.Throttle // of those codes; required with CommandLine
	Lifetime      time.Duration    // of a sign-in
	Idle          time.Duration    // until a sign-in ends that is not used

	Log *slog.Logger
}

// Portal serves the pages. It is safe for concurrent use.
type Portal struct {
	cfg    Config
	mux    *http.ServeMux
	origin *http.CrossOriginProtection
	large  chan struct{} // places for responses of identity providers that are being read

	devices quota
}

// maxLarge bounds the responses of identity providers that are read at the same time.
const maxLarge = 32

// Paths of the pages.
const (
	home         = "/portal"
	assetsPath   = home + "/assets/"
	samlPath     = home + "/saml"
	arrivedPath  = home + "/saml/arrived"
	oidcPath     = home + "/oidc"
	callbackPath = home + "/oidc/callback"
	userPath     = home + "/user"
	passwordPath = home + "/password"
	credsPath    = home + "/credentials"
	sessionsPath = home + "/sessions"
	endPath      = home + "/sessions/end"
	signOutPath  = home + "/sign-out"
	cliPath      = home + "/cli"
	cliDonePath  = home + "/cli/done"
	devicePath   = home + "/device"
	acsPath      = "/saml/acs"
)

// New makes a Portal.
func New(cfg Config) *Portal {
	p := &Portal{cfg: cfg, mux: http.NewServeMux(), origin: http.NewCrossOriginProtection(), large: make(chan struct{}, maxLarge)}
	for pattern, page := range map[string]func(*exchange) error{
		"GET " + home:          p.home,
		"GET " + samlPath:      p.startSAML,
		"GET " + arrivedPath:   p.arrived,
		"POST " + arrivedPath:  p.confirmed,
		"GET " + oidcPath:      p.startOIDC,
		"GET " + callbackPath:  p.callback,
		"GET " + userPath:      p.userForm,
		"POST " + userPath:     p.signInUser,
		"GET " + passwordPath:  p.passwordForm,
		"POST " + passwordPath: p.changePassword,
		"GET " + credsPath:     p.backHome, // a bookmark, or the address bar
		"POST " + credsPath:    p.credentials,
		"GET " + sessionsPath:  p.sessions,
		"POST " + endPath:      p.endSession,
		"POST " + signOutPath:  p.signOut,
		"GET " + acsPath:       p.backHome,
		"POST " + acsPath:      p.receive,
		home + "/":             p.nothing,
	} {
		p.mux.Handle(pattern, p.handler(page))
	}
	if cfg.CommandLine {
		p.serveCLI()
	}
	p.mux.Handle("GET "+assetsPath+"{name}", http.HandlerFunc(serveAsset))
	return p
}

// Serves reports whether the portal has the path.
func Serves(path string) bool {
	return path == home || strings.HasPrefix(path, home+"/") || path == acsPath
}

// ServeHTTP implements http.Handler.
func (p *Portal) ServeHTTP(w http.ResponseWriter, r *http.Request) { p.mux.ServeHTTP(w, r) }

// handler wraps a page in what all of them need.
func (p *Portal) handler(page func(*exchange) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := p.begin(w, r)
		ctx, cancel := context.WithTimeout(r.Context(), p.cfg.Front.Timeout)
		defer cancel()
		x.r = r.WithContext(ctx)
		defer x.finish()
		if err := p.serve(x, page); err != nil {
			x.fail(err)
		}
	})
}

func (p *Portal) serve(x *exchange, page func(*exchange) error) error {
	elsewhere, err := p.reachable(x.r)
	if err != nil {
		return err
	}
	if elsewhere && x.r.Method == http.MethodGet {
		x.redirect(p.cfg.PublicURL() + x.r.URL.RequestURI())
		return nil
	}
	if x.r.Method == http.MethodPost {
		if err := p.readForm(x); err != nil {
			return err
		}
	}
	if err := p.cfg.Front.Enter(); err != nil {
		return err
	}
	defer p.cfg.Front.Leave()
	return page(x)
}

// reachable refuses browsers whose cookies could be read on the way: without HTTPS, those that are not on this machine. elsewhere tells that
// the browser calls this machine by another name than the public one, localhost or 127.0.0.1: cookies of one do not count for the other.
func (p *Portal) reachable(r *http.Request) (elsewhere bool, err error) {
	public, err := url.Parse(p.cfg.PublicURL())
	switch {
	case err == nil && public.Scheme == "https":
		return false, nil
	case err == nil && isLoopback(public.Hostname()) && isLoopback(hostname(r.Host)):
		return r.Host != public.Host, nil
	}
	return false, &Problem{http.StatusServiceUnavailable, "The portal needs HTTPS",
		"Signing in would send secrets over a connection that others can read. Whoever runs this service can mend it: set public-url to its https address.", err}
}

// hostname is the name in a Host header.
func hostname(host string) string { return (&url.URL{Host: host}).Hostname() }

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Bounds of forms, in bytes. A SAML response has 100,000 characters at most, three times that when percent-encoded.
const (
	maxForm     = 16 << 10
	maxResponse = 512 << 10
)

// readForm reads a form within its bound, and refuses one that is not from our own pages. Those of identity providers are proven by what
// is in them.
func (p *Portal) readForm(x *exchange) error {
	limit := int64(maxForm)
	if x.r.URL.Path == acsPath {
		limit = maxResponse
		select {
		case p.large <- struct{}{}:
			defer func() { <-p.large }()
		default:
			return dispatch.Busy()
		}
	} else if !p.sameOrigin(x.r) {
		return &Problem{http.StatusForbidden, "That did not come from this page",
			"Your browser sent a form that another site made. Nothing was done.", errors.New("cross-origin form")}
	}
	x.r.Body = http.MaxBytesReader(x.w, x.r.Body, limit)
	if err := x.r.ParseForm(); err != nil {
		return &Problem{http.StatusBadRequest, "The form could not be read", "Go back and try again.", err}
	}
	return nil
}

// sameOrigin accepts what a browser says comes from our own pages. All browsers of today send one of the two headers with a form; without
// either it is no browser, and there is nothing for it to do here.
func (p *Portal) sameOrigin(r *http.Request) bool {
	if r.Header.Get("Sec-Fetch-Site") == "" && r.Header.Get("Origin") == "" {
		return false
	}
	if r.Header.Get("Sec-Fetch-Site") == "" && r.Header.Get("Origin") == p.cfg.PublicURL() {
		return true // a proxy may have changed the Host that the origin is compared with
	}
	return p.origin.Check(r) == nil
}

// backHome answers a GET for what is posted only.
func (p *Portal) backHome(x *exchange) error {
	x.redirect(home)
	return nil
}

func (p *Portal) nothing(x *exchange) error {
	if err := x.load(); err != nil { // the way back is another one for who has signed in
		return err
	}
	return &Problem{http.StatusNotFound, "There is no such page", "The address may be mistyped, or the page has moved.", nil}
}
