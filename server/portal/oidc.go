package portal

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/stint-sts/stint/arn"
	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/federation/fetch"
	"github.com/stint-sts/stint/federation/oidc"
	"github.com/stint-sts/stint/secret"
	"github.com/stint-sts/stint/sts"
)

// startOIDC sends the browser to an OpenID Connect provider (OpenID Connect Core 1.0 section 3.1.2.1, RFC 7636).
func (p *Portal) startOIDC(x *exchange) error {
	m, err := x.method("oidc-provider")
	if err != nil {
		return err
	}
	provider, err := p.cfg.Directory.OIDCProviderByARN(x.r.Context(), m.Provider)
	if errors.Is(err, authn.ErrUnknown) {
		return errNoMethod()
	}
	if err != nil {
		return err
	}
	endpoints, err := p.cfg.Codes.Endpoints(x.r.Context(), provider)
	if err != nil {
		return providerFailure(err)
	}
	q := &pending{ID: newSecret(), Provider: provider.ARN, Nonce: newSecret(), Verifier: newSecret()}
	if err := x.remember(q); err != nil {
		return err
	}
	to, err := url.Parse(endpoints.Authorization)
	if err != nil {
		return fmt.Errorf("authorization endpoint: %w", err)
	}
	challenge := sha256.Sum256([]byte(q.Verifier))
	query := to.Query()
	for name, value := range map[string]string{
		"response_type": "code", "client_id": m.ClientID, "redirect_uri": p.redirectURI(),
		"scope": strings.Join(append([]string{"openid"}, m.Scopes...), " "), "state": q.ID, "nonce": q.Nonce,
		"code_challenge": base64.RawURLEncoding.EncodeToString(challenge[:]), "code_challenge_method": "S256",
	} {
		query.Set(name, value)
	}
	to.RawQuery = query.Encode()
	x.redirect(to.String())
	return nil
}

func (p *Portal) redirectURI() string { return p.cfg.PublicURL() + callbackPath }

// callback takes the provider's answer.
func (p *Portal) callback(x *exchange) error {
	query := x.r.URL.Query()
	q := x.answered(query.Get("state"))
	if q == nil {
		return &Problem{http.StatusForbidden, "This sign-in was not started here", "It answers a question that this browser did not ask, or too long ago. Sign in again.",
			errors.New("state matches no request of this browser")}
	}
	a, err := arn.Parse(q.Provider)
	if err != nil {
		return err
	}
	m, err := x.methodOf(a)
	if err != nil {
		return err
	}
	provider, err := p.cfg.Directory.OIDCProviderByARN(x.r.Context(), a)
	if errors.Is(err, authn.ErrUnknown) {
		return errNoMethod()
	}
	if err != nil {
		return err
	}
	endpoints, err := p.cfg.Codes.Endpoints(x.r.Context(), provider)
	if err != nil {
		return providerFailure(err)
	}
	if err := checkIssuer(query, provider, endpoints); err != nil {
		return err
	}
	if query.Get("code") == "" {
		return &Problem{http.StatusForbidden, "You were not signed in", m.Label + " did not sign you in. Try again, or ask whoever runs it.",
			errors.New("the provider sent no code")}
	}
	token, err := p.cfg.Codes.Exchange(x.r.Context(), provider, &fetch.Code{
		Code: secret.New(query.Get("code")), Verifier: secret.New(q.Verifier), RedirectURI: p.redirectURI(), ClientID: m.ClientID, Secret: m.Secret,
	})
	if err != nil {
		return providerFailure(err)
	}
	out, err := run[sts.SignInWithWebIdentityInput, sts.SignInOutput](x, p.cfg.Operations.SignInWithWebIdentity,
		&sts.SignInWithWebIdentityInput{ProviderARN: provider.ARN, IDToken: token, ClientID: m.ClientID, Nonce: q.Nonce})
	if err != nil {
		return err
	}
	return x.establish(out.SignIn, false)
}

// checkIssuer refuses an answer that names another issuer: one provider must not get at the codes of another (RFC 9207 section 2.4).
func checkIssuer(query url.Values, p *oidc.Provider, e *oidc.Endpoints) error {
	named, given := query["iss"]
	if !given && !e.NamesIssuer || len(named) == 1 && named[0] == p.Issuer {
		return nil
	}
	return &Problem{http.StatusForbidden, "This sign-in could not be accepted", "The answer is of another identity provider than the one that was asked. Sign in again.",
		errors.New("iss is not the provider's")}
}

// providerFailure gives errors of talking to a provider their meaning.
func providerFailure(err error) error {
	kind := awserr.InvalidIdentityToken
	if errors.Is(err, oidc.ErrUnavailable) {
		kind = awserr.IDPCommunicationError
	}
	return awserr.Wrap(kind, "The identity provider could not be used", err)
}
