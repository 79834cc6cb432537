package fetch

import (
	"context"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/stint-sts/stint/federation/oidc"
	"github.com/stint-sts/stint/secret"
)

// Bounds of what browsers that have proven nothing can make stint do at issuers.
const (
	endpointsFresh = 10 * time.Minute // how long an issuer's endpoints are used without asking again
	endpointsFail  = 10 * time.Second // how long an issuer that could not be asked is left alone
	maxExchanges   = 32               // requests under way
)

// CodesConfig is what Codes need. Fields are required unless they say a default.
type CodesConfig struct {
	Client *Client
	Now    func() time.Time

	// Roots are the certificate authorities of issuers that have their own; of the others those of the system.
	Roots map[string]*x509.CertPool
}

// Codes sign people in at issuers by the authorization code flow (OpenID Connect Core 1.0 section 3.1). The issuers are those that the
// operator has configured: few. It is safe for concurrent use.
type Codes struct {
	cfg CodesConfig

	mu    sync.Mutex
	known map[string]knownEndpoints // by ARN of the provider

	places chan struct{} // of requests under way
}

// knownEndpoints is what asking has told, until when that counts.
type knownEndpoints struct {
	endpoints *oidc.Endpoints
	err       error
	until     time.Time
}

// NewCodes makes Codes.
func NewCodes(cfg CodesConfig) *Codes {
	return &Codes{cfg: cfg, known: make(map[string]knownEndpoints), places: make(chan struct{}, maxExchanges)}
}

// enter takes a place among the requests under way; leave gives it back.
func (c *Codes) enter() error {
	select {
	case c.places <- struct{}{}:
		return nil
	default:
		return fmt.Errorf("%w: too many people sign in", oidc.ErrUnavailable)
	}
}

func (c *Codes) leave() { <-c.places }

// Endpoints returns where the provider's issuer signs people in. Errors match oidc.ErrUnavailable, oidc.ErrUnusable or oidc.ErrCertificate.
func (c *Codes) Endpoints(ctx context.Context, p *oidc.Provider) (*oidc.Endpoints, error) {
	c.mu.Lock()
	known, ok := c.known[p.ARN]
	c.mu.Unlock()
	if ok && c.cfg.Now().Before(known.until) {
		return known.endpoints, known.err
	}
	if err := c.enter(); err != nil {
		return nil, err
	}
	defer c.leave()
	endpoints, err := c.discover(ctx, p)
	if ctx.Err() != nil {
		return endpoints, err // the browser has left: that says nothing of the issuer
	}
	fresh := endpointsFresh
	if err != nil {
		fresh = endpointsFail
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known[p.ARN] = knownEndpoints{endpoints, err, c.cfg.Now().Add(fresh)}
	return endpoints, err
}

func (c *Codes) discover(ctx context.Context, p *oidc.Provider) (*oidc.Endpoints, error) {
	document, err := c.cfg.Client.Get(ctx, strings.TrimSuffix(p.Issuer, "/")+"/.well-known/openid-configuration", c.trust(p))
	if err != nil {
		return nil, failure("discovery", err)
	}
	return oidc.ParseEndpoints(document.Body, p.Issuer)
}

// Code is an authorization code with what proves that it was given to us.
type Code struct {
	Code        secret.String
	Verifier    secret.String // of PKCE (RFC 7636)
	RedirectURI string
	ClientID    string
	Secret      secret.String // zero: a public client
}

// Exchange returns the ID token that the issuer has for a code. Nothing of it is verified. Errors are those of Endpoints; a code that the
// issuer does not take gives one matching oidc.ErrUnusable.
func (c *Codes) Exchange(ctx context.Context, p *oidc.Provider, code *Code) (secret.String, error) {
	endpoints, err := c.Endpoints(ctx, p)
	if err != nil {
		return secret.String{}, err
	}
	if err := c.enter(); err != nil {
		return secret.String{}, err
	}
	defer c.leave()
	form := url.Values{
		"grant_type": {"authorization_code"}, "code": {code.Code.Reveal()}, "redirect_uri": {code.RedirectURI},
		"code_verifier": {code.Verifier.Reveal()}, "client_id": {code.ClientID},
	}
	var header func(*http.Request)
	switch {
	case code.Secret.IsZero():
	case endpoints.Basic: // RFC 6749 section 2.3.1: both are encoded as form fields are
		header = func(r *http.Request) {
			r.SetBasicAuth(url.QueryEscape(code.ClientID), url.QueryEscape(code.Secret.Reveal()))
		}
	default:
		form.Set("client_secret", code.Secret.Reveal())
	}
	document, err := c.cfg.Client.Post(ctx, endpoints.Token, c.trust(p), form, header)
	if err != nil {
		return secret.String{}, failure("token endpoint", err)
	}
	token, err := oidc.ParseTokenResponse(document.Body)
	if err != nil {
		return secret.String{}, fmt.Errorf("token endpoint: %w", err)
	}
	return secret.New(token), nil
}

func (c *Codes) trust(p *oidc.Provider) Trust {
	return Trust{Roots: c.cfg.Roots[p.Issuer], Thumbprints: p.Thumbprints}
}
