package sts

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/stint-sts/stint/arn"
	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/federation/oidc"
	"github.com/stint-sts/stint/policy"
	"github.com/stint-sts/stint/secret"
)

// WebIdentity is what AssumeRoleWithWebIdentity needs to know about issuers and their tokens.
type WebIdentity interface {
	// Admit returns nil when the operator lets tokens of the issuer in.
	Admit(issuer string) error
	// Provider returns the account's provider for exactly that issuer, or an error matching authn.ErrUnknown.
	Provider(ctx context.Context, account, issuer string) (*oidc.Provider, error)
	// ProviderByARN returns the provider with that ARN if its issuer is let in, or an error matching authn.ErrUnknown.
	ProviderByARN(ctx context.Context, a arn.ARN) (*oidc.Provider, error)
	// Verify returns the claims of a token that is genuine, for a client of the provider, and valid now. The errors are oidc's.
	Verify(ctx context.Context, t *oidc.Token, p *oidc.Provider) (*oidc.Claims, error)
}

// AssumeRoleWithWebIdentityInput are the parameters of AssumeRoleWithWebIdentity.
type AssumeRoleWithWebIdentityInput struct {
	RoleARN          string             `aws:"RoleArn,required" len:"20,2048"`
	RoleSessionName  string             `aws:"RoleSessionName,required" len:"2,64" pattern:"name"`
	WebIdentityToken secret.String      `aws:"WebIdentityToken,required" len:"4,20000"`
	ProviderID       string             `aws:"ProviderId" len:"4,2048"`
	PolicyARNs       []PolicyDescriptor `aws:"PolicyArns" len:"0,10"`
	Policy           *string            `aws:"Policy" len:"1,2048" pattern:"policyDocument"`
	DurationSeconds  *int32             `aws:"DurationSeconds" range:"900,129600"`
	MinTokenSize     *int32             `aws:"MinimumSessionTokenSize" range:"0,4096"`
}

// AssumeRoleWithWebIdentityOutput is the result of AssumeRoleWithWebIdentity.
type AssumeRoleWithWebIdentityOutput struct {
	Credentials      *Credentials     `aws:"Credentials"`
	Subject          string           `aws:"SubjectFromWebIdentityToken"`
	AssumedRoleUser  *AssumedRoleUser `aws:"AssumedRoleUser"`
	PackedPolicySize *int32           `aws:"PackedPolicySize"` // percent; absent when neither policies nor tags were passed
	Provider         string           `aws:"Provider"`         // issuer
	Audience         string           `aws:"Audience"`
	SourceIdentity   string           `aws:"SourceIdentity"`
	TokenSize        `aws:",inline"`
}

const actionAssumeRoleWithWebIdentity = "sts:AssumeRoleWithWebIdentity"

// AssumeRoleWithWebIdentity returns credentials of a new session of a role to the holder of an issuer's token (AWS STS API
// Reference, "AssumeRoleWithWebIdentity"). The token is the only proof of who calls; what it says becomes condition keys of the
// trust policy. c is the anonymous caller: once the token is verified, c is who it names, for audit.
//
// The order keeps the cheap before the dear and what is proven before what is asked: form of the token, provider in the role's
// account (an issuer that is not registered causes no fetch), signature, claims, roles claim, trust policy, session.
func (s *Service) AssumeRoleWithWebIdentity(
	ctx context.Context, c *authn.Caller, in *AssumeRoleWithWebIdentityInput,
) (*AssumeRoleWithWebIdentityOutput, error) {
	if in.ProviderID != "" {
		return nil, awserr.New(awserr.ValidationError, "ProviderId is for OAuth 2.0 access tokens, which are not supported.")
	}
	roleARN, err := parseRoleARN(in.RoleARN)
	if err != nil {
		return nil, err
	}
	id, err := s.webIdentity(ctx, roleARN.Account, in.WebIdentityToken)
	if err != nil {
		return nil, err
	}
	*c = *id.caller(roleARN.Account, c.Request)
	if id.instructions.HasRoles && !slices.Contains(id.instructions.Roles, in.RoleARN) {
		return nil, awserr.New(awserr.InvalidIdentityToken, "The target role ARN is not present in the roles claim of the identity token")
	}
	asked := id.asked()
	if err := asked.check(); err != nil {
		return nil, err
	}
	session, err := s.assumeFederated(ctx, c, &assumption{
		action: actionAssumeRoleWithWebIdentity, role: roleARN, asked: asked, keys: func(k *policy.Context) { id.keys(k, in.RoleSessionName) },
		provider: id.provider.ARN, subject: id.claims.Subject, lasting: id.claims.LastingKeys(),
		sessionName: in.RoleSessionName, policy: in.Policy, policyARNs: in.PolicyARNs,
		duration: in.DurationSeconds, minTokenSize: in.MinTokenSize,
	})
	if err != nil {
		return nil, err
	}
	return &AssumeRoleWithWebIdentityOutput{
		Credentials:      session.creds,
		Subject:          id.claims.Subject,
		AssumedRoleUser:  session.user,
		PackedPolicySize: session.packed,
		Provider:         id.claims.Issuer,
		Audience:         id.claims.Client,
		SourceIdentity:   asked.SourceIdentity,
		TokenSize:        sizeOf(session.creds),
	}, nil
}

// webIdentity is what a verified token says, and who vouches for it.
type webIdentity struct {
	provider     *oidc.Provider
	claims       *oidc.Claims
	instructions *oidc.Instructions
}

// webIdentity verifies a token against the provider that the account of the role has registered for its issuer.
func (s *Service) webIdentity(ctx context.Context, account string, token secret.String) (*webIdentity, error) {
	t, err := oidc.Parse(token.Reveal())
	if err != nil {
		return nil, webIdentityError(err)
	}
	p, err := s.webIdentities.Provider(ctx, account, t.Issuer())
	if errors.Is(err, authn.ErrUnknown) {
		return nil, noProvider(t.Issuer(), err)
	}
	if err != nil {
		return nil, fmt.Errorf("provider of %s: %w", account, err)
	}
	if err := s.webIdentities.Admit(p.Issuer); err != nil { // registered before the operator's list was made
		return nil, noProvider(p.Issuer, err)
	}
	id := &webIdentity{provider: p}
	if id.claims, err = s.webIdentities.Verify(ctx, t, p); err != nil {
		return nil, webIdentityError(err)
	}
	if id.instructions, err = id.claims.Instructions(); err != nil {
		return nil, webIdentityError(err)
	}
	return id, nil
}

// noProvider is AWS's answer to an issuer that is not registered. It repeats the issuer, which is nobody's secret, if it has the form
// of one.
func noProvider(issuer string, cause error) error {
	if oidc.CheckIssuer(issuer, true) != nil {
		issuer = "the issuer of the token"
	}
	return awserr.Wrap(awserr.InvalidIdentityToken, "No OpenIDConnect provider found in your account for "+issuer, cause)
}

// webIdentityError gives errors of oidc their AWS code. The texts are AWS's where they are known. They help whoever holds an honest
// token; which check of a signature failed only the audit knows.
func webIdentityError(err error) error {
	missing, isMissing := errors.AsType[*oidc.MissingClaimError](err)
	expired, isExpired := errors.AsType[*oidc.ExpiredError](err)
	kind, text := awserr.InvalidIdentityToken, ""
	switch {
	case isMissing:
		text = "Missing a required claim: " + missing.Claim
	case isExpired:
		kind = awserr.ExpiredTokenException
		text = fmt.Sprintf("Token expired: current date/time %d must be before the expiration date/time %d",
			expired.Now.Unix(), expired.ExpiresAt.Unix())
	case errors.Is(err, oidc.ErrMalformed):
		text = "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)"
	case errors.Is(err, oidc.ErrUntrusted):
		text = "The provided token is not signed by a trusted key"
	case errors.Is(err, oidc.ErrAudience):
		text = "Incorrect token audience"
	case errors.Is(err, oidc.ErrNotYetValid):
		text = "The ID Token provided is not valid yet. (The clock of its issuer may be ahead)"
	case errors.Is(err, oidc.ErrClaim):
		text = "A claim of the ID Token provided is not valid"
	case errors.Is(err, oidc.ErrCertificate):
		text = "OpenIDConnect provider's HTTPS certificate doesn't match configured thumbprint"
	case errors.Is(err, oidc.ErrUnusable): // two spaces, as AWS
		text = "Couldn't retrieve verification key from your identity provider,  please reference AssumeRoleWithWebIdentity documentation for requirements"
	case errors.Is(err, oidc.ErrUnavailable): // SDKs try again on this code
		kind, text = awserr.IDPCommunicationError, "Couldn't retrieve verification key from your identity provider, try again later"
	default:
		return fmt.Errorf("web identity token: %w", err)
	}
	return awserr.Wrap(kind, text, err)
}

// caller is the holder of the token, as trust policies and the audit see it.
func (id *webIdentity) caller(account string, r *authn.Request) *authn.Caller {
	return &authn.Caller{
		Kind: authn.WebIdentity, Account: account, ARN: id.provider.ARN,
		UserID:  strings.Join([]string{id.claims.Issuer, id.claims.Client, id.claims.Subject}, ":"), // CloudTrail's principalId
		Subject: id.claims.Subject, Request: r,
	}
}

func (id *webIdentity) asked() *instructed {
	in := &instructed{TransitiveTagKeys: id.instructions.TransitiveTagKeys, SourceIdentity: id.instructions.SourceIdentity}
	for _, t := range id.instructions.Tags {
		in.Tags = append(in.Tags, Tag(t))
	}
	return in
}

// keys sets the condition keys of AssumeRoleWithWebIdentity. Those of the token come first: no issuer can set a key that is not its
// own, whatever it is called and its claims are.
func (id *webIdentity) keys(k conditions, sessionName string) {
	id.claims.Keys(k)
	k.Set("aws:FederatedProvider", id.provider.ARN)
	k.Set("sts:RoleSessionName", sessionName)
	k.Set("sts:RoleAuthorizedByIdp", strconv.FormatBool(id.instructions.HasRoles)) // the role is among them, or we would not be here
}
