package sts

import (
	"context"
	"crypto/sha256"
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
)

// SAML is what AssumeRoleWithSAML needs to know of providers and of this installation.
type SAML interface {
	// SAMLProvider returns the provider with that ARN, or an error matching authn.ErrUnknown.
	SAMLProvider(ctx context.Context, a arn.ARN) (*saml.Provider, error)
	// SAMLProvidersOf returns the providers whose metadata have that entity id; a bounded number.
	SAMLProvidersOf(ctx context.Context, entityID string) ([]*saml.Provider, error)
	// Endpoints are the URLs that assertions may be addressed to, as Recipient.
	Endpoints() []string
	// Audiences are the names that assertions may be issued for, beside the endpoints.
	Audiences() []string
	// Redeem lets a name pass once between the moments, as session.Guard does, or always if the operator allows assertions to be used again.
	Redeem(ctx context.Context, name string, since, until time.Time) error
}

// AssumeRoleWithSAMLInput are the parameters of AssumeRoleWithSAML.
type AssumeRoleWithSAMLInput struct {
	RoleARN         string             `aws:"RoleArn,required" len:"20,2048"`
	PrincipalARN    string             `aws:"PrincipalArn,required" len:"20,2048"`   // of the provider
	SAMLAssertion   secret.String      `aws:"SAMLAssertion,required" len:"4,100000"` // base64 of the whole response
	PolicyARNs      []PolicyDescriptor `aws:"PolicyArns" len:"0,10"`
	Policy          *string            `aws:"Policy" len:"1,2048" pattern:"policyDocument"`
	DurationSeconds *int32             `aws:"DurationSeconds" range:"900,129600"`
	MinTokenSize    *int32             `aws:"MinimumSessionTokenSize" range:"0,4096"`
}

// AssumeRoleWithSAMLOutput is the result of AssumeRoleWithSAML.
type AssumeRoleWithSAMLOutput struct {
	Credentials      *Credentials     `aws:"Credentials"`
	AssumedRoleUser  *AssumedRoleUser `aws:"AssumedRoleUser"`
	PackedPolicySize *int32           `aws:"PackedPolicySize"` // percent; absent when neither policies nor tags were passed
	Subject          string           `aws:"Subject"`          // NameID
	SubjectType      string           `aws:"SubjectType"`
	Issuer           string           `aws:"Issuer"`
	Audience         string           `aws:"Audience"` // Recipient, as on AWS
	NameQualifier    string           `aws:"NameQualifier"`
	SourceIdentity   string           `aws:"SourceIdentity"`
	TokenSize        `aws:",inline"`
}

const actionAssumeRoleWithSAML = "sts:AssumeRoleWithSAML"

// AssumeRoleWithSAML returns credentials of a new session of a role to the subject of an assertion (AWS STS API Reference,
// "AssumeRoleWithSAML"). The assertion is the only proof of who calls. c is the anonymous caller: once the assertion is verified, c is
// who it names, for audit.
//
// The order keeps what is proven before what is asked: provider, signature, issuer, audience, times, attributes, the offered roles, trust
// policy, session. The assertion is used up last, when nothing but the session itself can fail any more.
func (s *Service) AssumeRoleWithSAML(
	ctx context.Context, c *authn.Caller, in *AssumeRoleWithSAMLInput,
) (*AssumeRoleWithSAMLOutput, error) {
	roleARN, err := parseRoleARN(in.RoleARN)
	if err != nil {
		return nil, err
	}
	subject, err := s.samlSubject(ctx, c.Request.Time, in)
	if err != nil {
		return nil, err
	}
	*c = *subject.caller(c.Request)
	if err := subject.instruct(); err != nil {
		return nil, err
	}
	if err := subject.offered(roleARN); err != nil {
		return nil, err
	}
	asked := subject.asked()
	session, err := s.assumeFederated(ctx, c, &assumption{
		action: actionAssumeRoleWithSAML, role: roleARN, asked: asked, keys: func(k *policy.Context) { subject.keys(k) },
		provider: subject.provider.ARN, subject: subject.NameID, lasting: subject.SessionKeys(subject.provider.Account, subject.provider.Name),
		sessionName: subject.instructions.SessionName, policy: in.Policy, policyARNs: in.PolicyARNs,
		duration: in.DurationSeconds, minTokenSize: in.MinTokenSize,
		shorten: subject.limits().shorten,
		redeem:  func(ctx context.Context, role *authn.Entity) error { return s.redeem(ctx, subject, role) },
	})
	if err != nil {
		return nil, err
	}
	return &AssumeRoleWithSAMLOutput{
		Credentials:      session.creds,
		AssumedRoleUser:  session.user,
		PackedPolicySize: session.packed,
		Subject:          subject.NameID,
		SubjectType:      subject.SubjectType(),
		Issuer:           subject.Issuer,
		Audience:         subject.Recipient,
		NameQualifier:    subject.nameQualifier(),
		SourceIdentity:   asked.SourceIdentity,
		TokenSize:        sizeOf(session.creds),
	}, nil
}

// samlSubject is who a verified assertion names, and who vouches for it.
type samlSubject struct {
	*saml.Assertion

	provider     *saml.Provider
	instructions *saml.Instructions
}

// samlSubject verifies an assertion against the provider that the caller names.
func (s *Service) samlSubject(ctx context.Context, now time.Time, in *AssumeRoleWithSAMLInput) (*samlSubject, error) {
	providerARN, err := arn.Parse(in.PrincipalARN)
	if err != nil {
		return nil, awserr.Newf(awserr.ValidationError, "%s is invalid", in.PrincipalARN)
	}
	provider, err := s.saml.SAMLProvider(ctx, providerARN)
	if errors.Is(err, authn.ErrUnknown) {
		return nil, awserr.Wrap(awserr.InvalidIdentityToken, "Specified provider doesn't exist", err)
	}
	if err != nil {
		return nil, fmt.Errorf("provider %s: %w", in.PrincipalARN, err)
	}
	assertion, err := saml.Verify(in.SAMLAssertion.Reveal(), provider.Expect(s.saml.Endpoints(), s.saml.Audiences(), now))
	if err != nil {
		return nil, samlError(err)
	}
	return &samlSubject{Assertion: assertion, provider: provider}, nil
}

// samlError gives errors of saml their AWS code. The texts are AWS's where they are known, without the inner error that leaks into one of
// them there. Which check of a signature or of a decryption failed only the audit knows.
func samlError(err error) error {
	_, isExpired := errors.AsType[*saml.ExpiredError](err)
	kind, text := awserr.InvalidIdentityToken, ""
	switch {
	case isExpired:
		kind, text = awserr.ExpiredTokenException, "Response has expired"
	case errors.Is(err, saml.ErrStale):
		kind, text = awserr.ExpiredTokenException, "Token must be redeemed within 5 minutes of issuance"
	case errors.Is(err, saml.ErrRejected):
		kind, text = awserr.IDPRejectedClaim, "The identity provider reported that authentication failed."
	case errors.Is(err, saml.ErrSubject):
		kind, text = awserr.AccessDenied, notAuthorized(actionAssumeRoleWithSAML)
	case errors.Is(err, saml.ErrEncoding):
		text = "Invalid base64 SAMLResponse"
	case errors.Is(err, saml.ErrMalformed):
		text = "Invalid SAMLResponse"
	case errors.Is(err, saml.ErrUntrusted):
		text = "Response signature invalid"
	case errors.Is(err, saml.ErrDecryption):
		text = "Assertion could not be decrypted, or is not encrypted as the provider requires"
	case errors.Is(err, saml.ErrIssuer):
		text = "Issuer not present in specified provider"
	case errors.Is(err, saml.ErrAudience):
		text = "Response does not contain the required audience."
	case errors.Is(err, saml.ErrRecipient):
		text = "Response is not addressed to this service."
	case errors.Is(err, saml.ErrInResponseTo):
		text = "Response and assertion answer different requests."
	case errors.Is(err, saml.ErrNotYetValid):
		text = "Response is not valid yet"
	case errors.Is(err, saml.ErrProviderExpired):
		text = "The metadata of the specified provider are no longer valid"
	default:
		return fmt.Errorf("assertion: %w", err)
	}
	return awserr.Wrap(kind, text, err)
}

// caller is the subject as trust policies and the audit see it.
func (a *samlSubject) caller(r *authn.Request) *authn.Caller {
	return &authn.Caller{
		Kind: authn.SAML, Account: a.provider.Account, ARN: a.provider.ARN,
		UserID:  a.nameQualifier() + ":" + a.NameID, // CloudTrail's principalId
		Subject: a.NameID, Request: r,
	}
}

func (a *samlSubject) nameQualifier() string {
	return saml.NameQualifier(a.Issuer, a.provider.Account, a.provider.Name)
}

// instruct reads what the provider tells AWS to do, and checks what the tags' own rules do not.
func (a *samlSubject) instruct() error {
	in, err := a.Instructions()
	switch {
	case errors.Is(err, saml.ErrNoSessionName):
		return awserr.Wrap(awserr.InvalidIdentityToken, "RoleSessionName is required in AuthnResponse", err)
	case err != nil:
		return awserr.Wrap(awserr.InvalidIdentityToken, "An attribute of the AuthnResponse is not valid", err)
	case !isSessionName(in.SessionName):
		return awserr.New(awserr.InvalidIdentityToken, "RoleSessionName in AuthnResponse must match [a-zA-Z_0-9+=,.@-]{2,64}")
	case in.SourceIdentity != "" && (!isSessionName(in.SourceIdentity) || hasPrefixFold(in.SourceIdentity, reservedTagPrefix)):
		return awserr.New(awserr.InvalidIdentityToken, `Source Identity must match [a-zA-Z_0-9+=,.@-]{2,64} and not begin with "aws:"`)
	}
	a.instructions = in
	return a.asked().check()
}

// isSessionName matches [a-zA-Z_0-9+=,.@-]{2,64}.
func isSessionName(s string) bool {
	const others = "_+=,.@-"
	return len(s) >= 2 && len(s) <= 64 && strings.IndexFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune(others, r)
	}) < 0
}

func (a *samlSubject) asked() *instructed {
	in := &instructed{TransitiveTagKeys: a.instructions.TransitiveTagKeys, SourceIdentity: a.instructions.SourceIdentity}
	for _, t := range a.instructions.Tags {
		in.Tags = append(in.Tags, Tag(t))
	}
	return in
}

// ssoRoles are reserved for IAM Identity Center, and not for SAML providers (AWS STS API Reference, "AssumeRoleWithSAML").
const ssoRoles = "AWSReservedSSO_"

// offered refuses a role that the provider does not offer to the subject, or that is not of the provider's account.
func (a *samlSubject) offered(role arn.ARN) error {
	return offeredBySAML(role, a.provider.Account, slices.Contains(a.instructions.Roles, saml.Pair{Role: role.String(), Provider: a.provider.ARN}))
}

func offeredBySAML(role arn.ARN, account string, named bool) error {
	name := role.Resource[strings.LastIndexByte(role.Resource, '/')+1:]
	var cause string
	switch {
	case !named:
		cause = "the assertion does not offer the role with this provider"
	case role.Account != account:
		cause = "role and provider are of different accounts"
	case strings.HasPrefix(name, ssoRoles):
		cause = "the role is reserved"
	default:
		return nil
	}
	return awserr.Wrap(awserr.AccessDenied, notAuthorized(actionAssumeRoleWithSAML), errors.New(cause))
}

// keys sets the condition keys of AssumeRoleWithSAML.
func (a *samlSubject) keys(k conditions) {
	a.Keys(a.provider.Account, a.provider.Name, func(key string, values []string) {
		if len(values) == 1 {
			k.Set(key, values[0])
		} else {
			k.SetList(key, values)
		}
	})
	k.Set("aws:FederatedProvider", a.provider.ARN)
	k.Set("sts:RoleSessionName", a.instructions.SessionName)
}

// redeem uses the assertion up for the role: one sign-in may fetch several roles, each once. It is remembered for as long as it could be
// redeemed, and longer by what the clocks of nodes may differ.
func (s *Service) redeem(ctx context.Context, a *samlSubject, role *authn.Entity) error {
	sum := sha256.Sum256([]byte(a.provider.ARN + "\x00" + a.ID + "\x00" + role.ARN)) // the three together may be longer than a guard's name
	err := s.saml.Redeem(ctx, "saml/"+hex.EncodeToString(sum[:]), a.IssueInstant.Add(-saml.Skew), a.IssueInstant.Add(saml.MaxAge+saml.Skew))
	if errors.Is(err, session.ErrConsumed) {
		return awserr.Wrap(awserr.InvalidIdentityToken, "The SAML assertion has already been used for this role", err)
	}
	return unavailable(err)
}

// limits are how long the provider wants the session to last.
func (a *samlSubject) limits() sessionLimits {
	return sessionLimits{a.instructions.SessionDuration, a.SessionNotOnOrAfter}
}

// sessionLimits end a session no later than the provider wants it to. Zero fields do not limit.
type sessionLimits struct {
	Longest time.Duration
	End     time.Time
}

func (l sessionLimits) shorten(d time.Duration, now time.Time) (time.Duration, error) {
	if l.Longest > 0 {
		d = min(d, l.Longest)
	}
	if !l.End.IsZero() {
		d = min(d, l.End.Sub(now.Truncate(time.Second)).Truncate(time.Second))
	}
	if d <= 0 {
		return 0, awserr.New(awserr.ExpiredTokenException, "The session at the identity provider has ended")
	}
	return d, nil
}
