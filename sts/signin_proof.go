package sts

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stint-sts/stint/arn"
	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/federation/saml"
	"github.com/stint-sts/stint/secret"
	"github.com/stint-sts/stint/session"
)

// SignInOutput is the result of a sign-in.
type SignInOutput struct {
	SignIn *SignIn `aws:"-"`
}

// SignInWithSAMLInput are the parameters of SignIns.WithSAML.
type SignInWithSAMLInput struct {
	SAMLResponse secret.String `aws:"SAMLResponse,required" len:"4,100000"` // base64
}

// Bounds of the registered providers that one response is verified with. Who has proven nothing yet costs few; a person may have many
// accounts.
const (
	maxUnprovenProviders = 16
	maxProvenProviders   = 256
)

// WithSAML verifies a response that a browser delivers, and uses it up. c is the anonymous caller: once the response is verified, c
// is who it names, for audit. The response itself tells which providers to verify it with; nothing else of it counts before. A role is
// offered by the provider of its own account, so one response may be good for several accounts that have registered the provider.
//
// Whether the answered request, InResponseTo, is one that this browser made is for whoever knows the browser to check.
func (p *SignIns) WithSAML(ctx context.Context, c *authn.Caller, in *SignInWithSAMLInput) (*SignInOutput, error) {
	providers, err := p.claimedProviders(ctx, in.SAMLResponse)
	if err != nil {
		return nil, err
	}
	out := &SignIn{Time: c.Request.Time}
	var refused error
	for i, by := range providers {
		if len(out.Identities) == 0 && i == maxUnprovenProviders {
			break
		}
		id, assertion, err := p.samlIdentity(by, c.Request.Time, in.SAMLResponse)
		if err != nil {
			if refused == nil {
				refused = err
			}
			continue
		}
		if len(out.Identities) == 0 {
			*c = *id.caller(c.Request)
			out.InResponseTo = assertion.InResponseTo
			if err := p.redeem(ctx, by, assertion); err != nil {
				return nil, err
			}
		}
		out.Identities = append(out.Identities, id)
	}
	if len(out.Identities) == 0 {
		return nil, refused
	}
	out.Identities = offering(out.Identities)
	return &SignInOutput{out}, nil
}

// offering drops identities that offer nothing. One stays, to tell people who they are.
func offering(ids []*Identity) []*Identity {
	kept := slices.DeleteFunc(slices.Clone(ids), func(id *Identity) bool { return len(id.Roles) == 0 })
	if len(kept) == 0 {
		return ids[:1]
	}
	return kept
}

// claimedProviders are the registered providers that may have made the response: those that its roles name, or, when they cannot be read
// because the assertion is encrypted, those of its issuer. There is one at least.
func (p *SignIns) claimedProviders(ctx context.Context, response secret.String) ([]*saml.Provider, error) {
	claim, err := saml.ReadClaim(response.Reveal())
	if err != nil {
		return nil, samlError(err)
	}
	var providers []*saml.Provider
	for _, name := range claim.Providers[:min(len(claim.Providers), maxProvenProviders)] {
		a, err := arn.Parse(name)
		if err != nil {
			continue
		}
		registered, err := p.s.saml.SAMLProvider(ctx, a)
		if errors.Is(err, authn.ErrUnknown) || err == nil && registered.Metadata.EntityID != claim.Issuer {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("provider %s: %w", name, err)
		}
		providers = append(providers, registered)
	}
	if len(providers) == 0 {
		if providers, err = p.s.saml.SAMLProvidersOf(ctx, claim.Issuer); err != nil {
			return nil, err
		}
	}
	if len(providers) == 0 {
		return nil, samlError(saml.ErrIssuer)
	}
	return providers, nil
}

// samlIdentity verifies the response with a provider.
func (p *SignIns) samlIdentity(by *saml.Provider, now time.Time, response secret.String) (*Identity, *saml.Assertion, error) {
	assertion, err := saml.Verify(response.Reveal(), by.Expect(p.s.saml.Endpoints(), p.s.saml.Audiences(), now))
	if err != nil {
		return nil, nil, samlError(err)
	}
	subject := &samlSubject{Assertion: assertion, provider: by}
	if err := subject.instruct(); err != nil {
		return nil, nil, err
	}
	var conditions recorded
	subject.keys(&conditions)
	id := &Identity{
		instructed: *subject.asked(), sessionLimits: subject.limits(),
		Kind: authn.SAML, Account: by.Account, Provider: by.ARN, UserID: subject.nameQualifier() + ":" + subject.NameID, Subject: subject.NameID,
		SessionName: subject.instructions.SessionName, Named: true,
		Conditions: conditions, Lasting: subject.SessionKeys(by.Account, by.Name),
	}
	if subject.SubjectType() == "transient" { // it names nobody
		id.Display = id.SessionName
	}
	for _, pair := range subject.instructions.Roles {
		if pair.Provider == by.ARN && !slices.Contains(id.Roles, pair.Role) {
			id.Roles = append(id.Roles, pair.Role)
		}
	}
	return id, assertion, nil
}

// redeem uses the assertion up for sign-ins. Unlike those for roles, it is never good for a second.
func (p *SignIns) redeem(ctx context.Context, by *saml.Provider, a *saml.Assertion) error {
	sum := sha256.Sum256([]byte(by.Metadata.EntityID + "\x00" + a.ID))
	err := p.s.guard.Consume(ctx, "saml-sign-in/"+hex.EncodeToString(sum[:]),
		a.IssueInstant.Add(-saml.Skew), a.IssueInstant.Add(saml.MaxAge+saml.Skew))
	if errors.Is(err, session.ErrConsumed) {
		return awserr.Wrap(awserr.InvalidIdentityToken, "The SAML response has already been used to sign in", err)
	}
	return unavailable(err)
}

// SignInWithWebIdentityInput are the parameters of SignIns.WithWebIdentity. All are required.
type SignInWithWebIdentityInput struct {
	ProviderARN string        `aws:"ProviderArn,required" len:"20,2048"`
	IDToken     secret.String `aws:"IdToken,required" len:"4,20000"`
	ClientID    string        `aws:"-"` // ours at the provider: tokens for its other clients are no sign-in here
	Nonce       string        `aws:"-"` // of the request that the token answers
}

// WithWebIdentity verifies the ID token that a provider gave us for a browser's authorization code. c is the anonymous caller, and
// then who the token names.
func (p *SignIns) WithWebIdentity(ctx context.Context, c *authn.Caller, in *SignInWithWebIdentityInput) (*SignInOutput, error) {
	provider, err := arn.Parse(in.ProviderARN)
	if err != nil {
		return nil, awserr.Newf(awserr.ValidationError, "%s is invalid", in.ProviderARN)
	}
	web, err := p.s.webIdentity(ctx, provider.Account, in.IDToken)
	if err != nil {
		return nil, err
	}
	if web.provider.ARN != in.ProviderARN {
		return nil, awserr.New(awserr.InvalidIdentityToken, "The ID token is of another provider")
	}
	if web.claims.Client != in.ClientID {
		return nil, awserr.Wrap(awserr.InvalidIdentityToken, "Incorrect token audience", errors.New("the token is for another client"))
	}
	nonce, _ := web.claims.Text("nonce")
	if in.Nonce == "" || subtle.ConstantTimeCompare([]byte(nonce), []byte(in.Nonce)) != 1 {
		return nil, awserr.Wrap(awserr.InvalidIdentityToken, "The ID token does not answer the request", errors.New("nonce differs"))
	}
	id, err := web.identity(provider.Account, c.Request)
	if err != nil {
		return nil, err
	}
	*c = *id.caller(c.Request)
	return &SignInOutput{&SignIn{Time: c.Request.Time, Identities: []*Identity{id}}}, nil
}

func (w *webIdentity) identity(account string, r *authn.Request) (*Identity, error) {
	asked := w.asked()
	if err := asked.check(); err != nil {
		return nil, err
	}
	id := &Identity{
		instructed: *asked, Kind: authn.WebIdentity, Account: account, Provider: w.provider.ARN,
		UserID: w.caller(account, r).UserID, Subject: w.claims.Subject,
		Named: w.instructions.HasRoles, Roles: w.instructions.Roles, Lasting: w.claims.LastingKeys(),
	}
	for _, claim := range []string{"preferred_username", "email", "name"} {
		if text, ok := w.claims.Text(claim); ok && text != "" && id.Display == "" {
			id.Display = text
		}
	}
	id.SessionName = sessionNameOf(id.Display, id.Subject)
	var conditions recorded
	w.keys(&conditions, id.SessionName)
	id.Conditions = conditions
	return id, nil
}

// sessionNameOf makes a role session name of the first text that has two characters or more that such a name may have. Trust policies
// may test it: it says who the provider says it is, and nothing that the person could choose here.
func sessionNameOf(texts ...string) string {
	for _, text := range texts {
		name := strings.Map(func(r rune) rune {
			if r < 0x80 && isSessionName(string(r)+"x") {
				return r
			}
			return -1
		}, text)
		if len(name) >= 2 {
			return name[:min(len(name), 64)]
		}
	}
	return "portal"
}
