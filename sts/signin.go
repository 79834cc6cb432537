package sts

import (
	"context"
	"crypto/rand"
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
	"github.com/stint-sts/stint/policy"
	"github.com/stint-sts/stint/secret"
	"github.com/stint-sts/stint/session"
	"github.com/stint-sts/stint/signer"
)

// SignIn is a portal sign-in: who has signed in, with the facts that were verified then. Credentials are minted from it later, by the
// rules of the operation that the proof itself would be passed to. It can be kept as JSON; whoever can change it can be anybody.
type SignIn struct {
	Time       time.Time
	Identities []*Identity   // by identity providers: one for each registered provider that the proof is good for
	User       *SignedInUser // an IAM user; then there are no Identities

	// InResponseTo is the request of ours that the proof answers; empty: it came unasked. Only SAML tells.
	InResponseTo string
}

// Identity is who an identity provider vouches for: all that a session is made of.
type Identity struct {
	instructed
	sessionLimits

	Kind        authn.Kind // authn.SAML or authn.WebIdentity
	Account     string     // that has registered the provider
	Provider    string     // ARN
	UserID      string     // CloudTrail's principalId
	Subject     string
	Display     string // a name for people; empty: there is none
	SessionName string
	Named       bool     // the provider names the roles
	Roles       []string // ARNs
	Conditions  []Condition
	Lasting     map[string][]string // condition keys that stay with the session
}

// Condition is a condition key of an identity.
type Condition struct {
	Key    string
	Values []string
	List   bool // it is multivalued, however many values it has
}

// SignedInUser is an IAM user who has signed in with a password.
type SignedInUser struct {
	Account string
	ID      string // AIDA…
	Name    string
	MFA     bool   // a second factor was proven
	Mark    string // of the password; the sign-in ends with it
}

// Subject names who has signed in, for people.
func (s *SignIn) Subject() string {
	if s.User != nil {
		return s.User.Name
	}
	first := s.Identities[0]
	if first.Display != "" {
		return first.Display
	}
	return first.Subject
}

// End is when the identity provider ends the sign-in; zero: it does not say.
func (s *SignIn) End() (end time.Time) {
	for _, id := range s.Identities {
		if !id.End.IsZero() && (end.IsZero() || id.End.Before(end)) {
			end = id.End
		}
	}
	return end
}

// recorded collects condition keys.
type recorded []Condition

// Set implements conditions.
func (r *recorded) Set(key, value string) { *r = append(*r, Condition{key, []string{value}, false}) }

// SetList implements conditions.
func (r *recorded) SetList(key string, values []string) {
	*r = append(*r, Condition{key, slices.Clone(values), true})
}

// keys sets the condition keys in the order in which they were recorded: what comes later wins, as it did then.
func (id *Identity) keys(k *policy.Context) {
	for _, c := range id.Conditions {
		if c.List {
			k.SetList(c.Key, c.Values)
		} else {
			k.Set(c.Key, c.Values[0])
		}
	}
}

// caller is the subject as trust policies and the audit see it.
func (id *Identity) caller(r *authn.Request) *authn.Caller {
	return &authn.Caller{Kind: id.Kind, Account: id.Account, ARN: id.Provider, UserID: id.UserID, Subject: id.Subject, Request: r}
}

// SignIns are the operations of people who sign in to the portal: each proof is verified when they sign in, and credentials are minted from
// the sign-in later. It is safe for concurrent use.
type SignIns struct{ s *Service }

// SignIns returns the operations of sign-ins.
func (s *Service) SignIns() *SignIns { return &SignIns{s} }

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

// Offer is a role that somebody who has signed in may take.
type Offer struct {
	Account  string
	ID       string // of the role: AROA…
	Name     string
	ARN      string
	Provider string        // ARN of the provider that offers it; empty for IAM users
	Longest  time.Duration // that a session may last; no longer than the sign-in's own end
}

// Offers is what somebody who has signed in may take.
type Offers struct {
	Roles   []Offer // by account, then by name
	Refused int     // roles that the identity provider names and that do not let the person in
	More    bool    // the account has more roles than are looked at
}

// maxScannedRoles bounds the roles of an account that are asked whether they let somebody in.
const maxScannedRoles = 5000

// Offers finds the roles that let the person in, by the decision that would be made if they were taken now. Identity providers may name
// them; otherwise they are looked for in the account.
func (p *SignIns) Offers(ctx context.Context, r *authn.Request, in *SignIn) (*Offers, error) {
	out := &Offers{}
	if in.User != nil {
		c, err := p.Caller(ctx, r, in)
		if err != nil {
			return nil, err
		}
		err = p.scan(ctx, out, in.User.Account, "", func(a arn.ARN) (*authn.Entity, error) {
			return p.s.trusting(ctx, c, a, &AssumeRoleInput{RoleARN: a.String(), RoleSessionName: sessionNameOf(in.User.Name)}, &grant{})
		})
		return out.sorted(), err
	}
	for _, id := range in.Identities {
		switch err := p.registered(ctx, id); {
		case errors.Is(err, authn.ErrUnknown):
			continue
		case err != nil:
			return nil, err
		}
		lets := func(a arn.ARN) (*authn.Entity, error) {
			if err := id.offers(a); err != nil {
				return nil, err
			}
			return p.s.trustingFederated(ctx, id.caller(r), a, id.action(), &id.instructed, id.keys)
		}
		if !id.Named {
			if err := p.scan(ctx, out, id.Account, id.Provider, lets); err != nil {
				return nil, err
			}
			continue
		}
		for _, role := range id.Roles {
			a, err := parseRoleARN(role)
			if err == nil {
				err = out.consider(a, id.Provider, lets)
			}
			if err != nil && awserr.From(err).Kind.Fault == awserr.Receiver {
				return nil, err
			}
			if err != nil {
				out.Refused++
			}
		}
		out.limit(id, r.Time)
	}
	return out.sorted(), nil
}

// scan considers the roles of an account.
func (p *SignIns) scan(ctx context.Context, out *Offers, account, provider string, lets func(arn.ARN) (*authn.Entity, error)) error {
	roles, err := p.s.directory.Roles(ctx, account, maxScannedRoles+1)
	if err != nil {
		return fmt.Errorf("roles of %s: %w", account, err)
	}
	if out.More = len(roles) > maxScannedRoles; out.More {
		roles = roles[:maxScannedRoles]
	}
	for _, a := range roles {
		if err := out.consider(a, provider, lets); err != nil && awserr.From(err).Kind.Fault == awserr.Receiver {
			return err
		}
	}
	return nil
}

// consider adds the role if it lets the person in, or returns why not.
func (o *Offers) consider(a arn.ARN, provider string, lets func(arn.ARN) (*authn.Entity, error)) error {
	role, err := lets(a)
	if err != nil {
		return err
	}
	o.Roles = append(o.Roles, Offer{Account: role.Account, ID: role.ID, Name: role.Name, ARN: role.ARN, Provider: provider, Longest: role.MaxSessionDuration})
	return nil
}

// limit applies what an identity provider allows.
func (o *Offers) limit(id *Identity, now time.Time) {
	for i := range o.Roles {
		if r := &o.Roles[i]; r.Provider == id.Provider {
			if d, err := id.shorten(r.Longest, now); err == nil {
				r.Longest = d
			}
		}
	}
}

func (o *Offers) sorted() *Offers {
	slices.SortFunc(o.Roles, func(a, b Offer) int {
		if d := strings.Compare(a.Account, b.Account); d != 0 {
			return d
		}
		return strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name))
	})
	return o
}

func (id *Identity) action() string {
	if id.Kind == authn.SAML {
		return actionAssumeRoleWithSAML
	}
	return actionAssumeRoleWithWebIdentity
}

// offers refuses a role that the provider does not offer, as the operation with the proof itself would.
func (id *Identity) offers(a arn.ARN) error {
	named := slices.Contains(id.Roles, a.String())
	switch {
	case id.Kind == authn.SAML:
		return offeredBySAML(a, id.Account, named)
	case id.Named && !named:
		return awserr.New(awserr.InvalidIdentityToken, "The target role ARN is not present in the roles claim of the identity token")
	case a.Account != id.Account:
		return awserr.Wrap(awserr.AccessDenied, notAuthorized(actionAssumeRoleWithWebIdentity), errors.New("role and provider are of different accounts"))
	}
	return nil
}

// SignedInRoleInput are the parameters of a role session for somebody who has signed in.
type SignedInRoleInput struct {
	RoleARN         string  `aws:"RoleArn,required" len:"20,2048"`
	PrincipalARN    string  `aws:"PrincipalArn" len:"20,2048"` // of the provider; empty for IAM users
	DurationSeconds *int32  `aws:"DurationSeconds" range:"900,129600"`
	RoleSessionName string  `aws:"RoleSessionName"` // filled in by the operation, for audit: it follows from who has signed in
	SignIn          *SignIn `aws:"-"`
}

// SignedInOutput are credentials for somebody who has signed in.
type SignedInOutput struct {
	Credentials     *Credentials     `aws:"Credentials"`
	AssumedRoleUser *AssumedRoleUser `aws:"AssumedRoleUser"` // nil for the session of a user itself
	SourceIdentity  string           `aws:"SourceIdentity"`
}

// AssumeRole is AssumeRoleWithSAML, AssumeRoleWithWebIdentity or AssumeRole for somebody whose proof was verified at sign-in. c is
// the anonymous caller, and then who has signed in. The provider or the user must still be there.
func (p *SignIns) AssumeRole(ctx context.Context, c *authn.Caller, in *SignedInRoleInput) (*SignedInOutput, error) {
	roleARN, err := parseRoleARN(in.RoleARN)
	if err != nil {
		return nil, err
	}
	if in.SignIn.User != nil {
		return p.assumeRoleAsUser(ctx, c, in)
	}
	i := slices.IndexFunc(in.SignIn.Identities, func(id *Identity) bool { return id.Provider == in.PrincipalARN })
	if i < 0 {
		return nil, awserr.New(awserr.AccessDenied, "The sign-in is not by this provider")
	}
	id := in.SignIn.Identities[i]
	*c = *id.caller(c.Request)
	in.RoleSessionName = id.SessionName
	if err := p.registered(ctx, id); err != nil {
		return nil, err
	}
	if err := id.offers(roleARN); err != nil {
		return nil, err
	}
	session, err := p.s.assumeFederated(ctx, c, &assumption{
		action: id.action(), role: roleARN, asked: &id.instructed, keys: id.keys, provider: id.Provider, subject: id.Subject, lasting: id.Lasting,
		sessionName: id.SessionName, duration: in.DurationSeconds, shorten: id.shorten,
	})
	if err != nil {
		return nil, err
	}
	return &SignedInOutput{session.creds, session.user, id.SourceIdentity}, nil
}

// registered refuses an identity whose provider has been removed since, or is no longer let in.
func (p *SignIns) registered(ctx context.Context, id *Identity) error {
	a, err := arn.Parse(id.Provider)
	if err != nil {
		return err
	}
	if id.Kind == authn.SAML {
		_, err = p.s.saml.SAMLProvider(ctx, a)
	} else {
		_, err = p.s.webIdentities.ProviderByARN(ctx, a)
	}
	if errors.Is(err, authn.ErrUnknown) {
		return awserr.Wrap(awserr.InvalidIdentityToken, "Specified provider doesn't exist", err)
	}
	return err
}

func (p *SignIns) assumeRoleAsUser(ctx context.Context, c *authn.Caller, in *SignedInRoleInput) (*SignedInOutput, error) {
	if err := p.identify(ctx, c, in.SignIn); err != nil {
		return nil, err
	}
	in.RoleSessionName = sessionNameOf(in.SignIn.User.Name)
	out, err := p.s.AssumeRole(ctx, c, &AssumeRoleInput{
		RoleARN: in.RoleARN, RoleSessionName: in.RoleSessionName, DurationSeconds: in.DurationSeconds,
	})
	if err != nil {
		return nil, err
	}
	return &SignedInOutput{out.Credentials, out.AssumedRoleUser, out.SourceIdentity}, nil
}

// SignedInUserInput are the parameters of a session of an IAM user itself.
type SignedInUserInput struct {
	DurationSeconds *int32  `aws:"DurationSeconds" range:"900,129600"`
	SignIn          *SignIn `aws:"-"`
}

// GetSessionToken is the operation of that name for an IAM user who has signed in, with the second factor of the sign-in.
func (p *SignIns) GetSessionToken(ctx context.Context, c *authn.Caller, in *SignedInUserInput) (*SignedInOutput, error) {
	if in.SignIn.User == nil {
		return nil, awserr.New(awserr.AccessDenied, "Only IAM users have a session of their own")
	}
	if err := p.identify(ctx, c, in.SignIn); err != nil {
		return nil, err
	}
	creds, err := p.s.userSession(ctx, c, seconds(in.DurationSeconds, defaultUserDuration), c.Session.MFATime, 0)
	if err != nil {
		return nil, err
	}
	return &SignedInOutput{Credentials: creds}, nil
}

// Caller is an IAM user who has signed in, as a session: policies can ask for its second factor.
func (p *SignIns) Caller(ctx context.Context, r *authn.Request, in *SignIn) (*authn.Caller, error) {
	user, err := p.s.directory.Entity(ctx, in.User.Account, in.User.ID)
	if errors.Is(err, authn.ErrUnknown) {
		return nil, awserr.Wrap(awserr.AccessDenied, "The user does not exist any more", err)
	}
	if err != nil {
		return nil, fmt.Errorf("user %s: %w", in.User.ID, err)
	}
	at := in.Time.UTC().Truncate(time.Second)
	claims := &signer.Claims{
		Kind: signer.UserSession, Account: user.Account, ARN: user.ARN, EntityARN: user.ARN, EntityID: user.ID, IssuedAt: at,
	}
	if in.User.MFA {
		claims.MFATime = at
	}
	return &authn.Caller{
		Kind: authn.User, Account: user.Account, ARN: user.ARN, UserID: user.ID, Entity: user, Session: claims, Request: r,
	}, nil
}

// Holders yields the sign-in as revocations see it: whoever ends the sessions of a user, of somebody whom a provider vouches for, or of an
// account, ends the sign-ins that could make new ones too. There is one for each identity.
func (s *SignIn) Holders(yield func(*session.Holder) bool) {
	if u := s.User; u != nil {
		yield(&session.Holder{Account: u.Account, EntityID: u.ID, IssuedAt: s.Time})
		return
	}
	for _, id := range s.Identities {
		h := &session.Holder{Account: id.Account, Issuer: id.Provider, Subject: func() string { return id.Subject }, IssuedAt: s.Time}
		if !yield(h) {
			return
		}
	}
}

// Owns reports whether a session is of the one who has signed in: made for the subject that the same provider vouched for, or asked for by
// the user without an access key, or the user's own.
func (s *SignIn) Owns(r *session.Record) bool {
	if u := s.User; u != nil {
		return r.EntityID == u.ID || r.Account == u.Account && r.Issuer == "" && r.Parent == "" && r.Subject == u.ID
	}
	return slices.ContainsFunc(s.Identities, func(id *Identity) bool { return r.Issuer == id.Provider && r.Subject == id.Subject })
}

// EndSessionInput are the parameters of SignIns.EndSession.
type EndSessionInput struct {
	AccessKeyID string  `aws:"AccessKeyId,required" len:"16,128" pattern:"word"`
	SignIn      *SignIn `aws:"-"`
}

// EndSession is RevokeSessions for a session of the one who has signed in. It needs no permission: what is one's own may be ended. A
// session of somebody else reads like none.
func (p *SignIns) EndSession(ctx context.Context, c *authn.Caller, in *EndSessionInput) (*RevokeSessionsOutput, error) {
	if err := p.identify(ctx, c, in.SignIn); err != nil {
		return nil, err
	}
	record, err := p.s.sessions.Get(ctx, in.AccessKeyID)
	if errors.Is(err, session.ErrNotFound) || err == nil && !in.SignIn.Owns(record) {
		return nil, awserr.New(awserr.NoSuchEntity, "There is no such session")
	}
	if err != nil {
		return nil, unavailable(err)
	}
	now := c.Request.Time.UTC().Truncate(time.Millisecond)
	r := &session.Revocation{
		ID: session.RevocationID(now, rand.Text()), Account: record.Account, Credential: record.AccessKeyID,
		Before: now, Made: now, By: c.ARN, Reason: "ended in the portal by its owner",
	}
	r.Root = p.s.rootOf(ctx, c, r.Credential)
	if _, err := p.s.revoker.Revoke(ctx, r, false); err != nil {
		return nil, err
	}
	return &RevokeSessionsOutput{RevocationID: r.ID, IssuedBefore: r.Before}, nil
}

// identify puts who has signed in, in the place of the anonymous caller.
func (p *SignIns) identify(ctx context.Context, c *authn.Caller, s *SignIn) error {
	if s.User == nil {
		*c = *s.Identities[0].caller(c.Request)
		return nil
	}
	user, err := p.Caller(ctx, c.Request, s)
	if err != nil {
		return err
	}
	*c = *user
	return nil
}
