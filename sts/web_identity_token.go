package sts

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/authz"
	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/policy"
	"github.com/stint-sts/stint/secret"
	"github.com/stint-sts/stint/signer"
)

// Identities makes the tokens by which principals prove to third parties who they are.
type Identities interface {
	// Issuer returns the URL of the account's issuer. The error matches authn.ErrUnknown when the account has outbound
	// federation not enabled.
	Issuer(ctx context.Context, account string) (string, error)
	// SignIdentity returns the identity token that says c; the error matches signer.ErrIdentityTooLarge when c is too much.
	SignIdentity(ctx context.Context, algorithm string, c *signer.IdentityClaims) (secret.String, error)
}

// GetWebIdentityTokenInput are the parameters of GetWebIdentityToken.
type GetWebIdentityTokenInput struct {
	Audience         []string `aws:"Audience,required" len:"1,10" itemlen:"1,1000"`
	DurationSeconds  *int32   `aws:"DurationSeconds" range:"60,3600"`
	SigningAlgorithm string   `aws:"SigningAlgorithm,required" len:"5,5" enum:"RS256,ES384"`
	Tags             []Tag    `aws:"Tags" len:"0,50"`
}

// GetWebIdentityTokenOutput is the result of GetWebIdentityToken.
type GetWebIdentityTokenOutput struct {
	WebIdentityToken secret.String `aws:"WebIdentityToken"`
	Expiration       time.Time     `aws:"Expiration"`
}

const (
	actionGetWebIdentityToken    = "sts:GetWebIdentityToken"
	actionTagGetWebIdentityToken = "sts:TagGetWebIdentityToken" // no operation: permission to pass tags
	defaultIdentityDuration      = 5 * time.Minute
)

// GetWebIdentityToken returns a token that proves to a third party which user or role calls (AWS STS API Reference,
// "GetWebIdentityToken"). It ends with the calling session at the latest: a longer one is refused, not cut. Whether the account
// has the feature enabled is told to those only who may use it.
func (s *Service) GetWebIdentityToken(ctx context.Context, c *authn.Caller, in *GetWebIdentityTokenInput) (*GetWebIdentityTokenOutput, error) {
	if !provable(c) {
		return nil, awserr.New(awserr.AccessDenied, authz.Sentence(c.ARN, actionGetWebIdentityToken, "*"))
	}
	if err := checkTags(in.Tags, nil); err != nil {
		return nil, err
	}
	d := seconds(in.DurationSeconds, defaultIdentityDuration)
	if err := in.authorize(c, d); err != nil {
		return nil, err
	}
	issuer, err := s.identities.Issuer(ctx, c.Account)
	if err != nil {
		return nil, identityError(err)
	}
	claims := identityClaims(c, in, issuer, d)
	if c.Session != nil && claims.ExpiresAt.After(c.Session.ExpiresAt) {
		return nil, awserr.New(awserr.SessionDurationEscalationException,
			"The requested token duration would extend the session beyond its original expiration time.")
	}
	token, err := s.identities.SignIdentity(ctx, in.SigningAlgorithm, claims)
	if err != nil {
		return nil, identityError(err)
	}
	return &GetWebIdentityTokenOutput{WebIdentityToken: token, Expiration: claims.ExpiresAt}, nil
}

// provable reports whether the caller is somebody whom an identity token can name: a user with keys of its own or a session of a
// role. Root and federated users have no ARN of IAM that a third party could tell apart from the account's others, and
// GetSessionToken credentials call no operation of STS but two (AWS IAM User Guide, "Compare AWS STS credentials").
func provable(c *authn.Caller) bool {
	return c.Kind == authn.RoleSession || c.Kind == authn.User && c.Session == nil
}

// authorize decides each action that the request needs, with one request context.
func (in *GetWebIdentityTokenInput) authorize(c *authn.Caller, d time.Duration) error {
	q := authz.Question{
		Action:      actionGetWebIdentityToken,
		Resource:    "*",
		RequestTags: requestTags(in.Tags),
		Keys: func(k *policy.Context) {
			k.SetList("sts:IdentityTokenAudience", in.Audience)
			k.Set("sts:DurationSeconds", strconv.FormatInt(int64(d/time.Second), 10)) // also the default: a limit must see it
			k.Set("sts:SigningAlgorithm", in.SigningAlgorithm)
		},
	}
	if err := authz.Require(c, &q); err != nil || len(in.Tags) == 0 {
		return err
	}
	q.Action = actionTagGetWebIdentityToken
	return authz.Require(c, &q)
}

// identityClaims are what the token says. What does not apply to the caller is left out of it.
func identityClaims(c *authn.Caller, in *GetWebIdentityTokenInput, issuer string, d time.Duration) *signer.IdentityClaims {
	now := c.Request.Time.UTC().Truncate(time.Second)
	claims := &signer.IdentityClaims{
		Issuer:    issuer,
		Subject:   c.Entity.ARN, // of the role, not its session: the same at each call
		Audience:  in.Audience,
		IssuedAt:  now,
		ExpiresAt: now.Add(d),
		AWS: signer.IdentityContext{
			Account:       c.Account,
			SourceRegion:  c.Request.Region,
			PrincipalID:   c.Entity.ARN,
			PrincipalTags: principalTags(c),
		},
	}
	if len(in.Tags) > 0 {
		claims.AWS.RequestTags = make(map[string]string, len(in.Tags))
		for _, t := range in.Tags {
			claims.AWS.RequestTags[t.Key] = t.Value
		}
	}
	if s := c.Session; s != nil {
		claims.AWS.OriginalSessionExp = s.ExpiresAt.UTC().Format(time.RFC3339)
		claims.AWS.SourceIdentity = s.SourceIdentity
		claims.AWS.FederatedProvider = s.Provider
	}
	return claims
}

// principalTags are the tags of the user or role, overlaid by those of the session. Keys compare ignoring case, as in
// aws:PrincipalTag, so that a token has no two tags of which a third party reads the wrong one.
func principalTags(c *authn.Caller) map[string]string {
	tags := make(map[string]string, len(c.Entity.Tags))
	for _, t := range c.Entity.Tags {
		tags[t.Key] = t.Value
	}
	if c.Session == nil {
		return tags
	}
	for _, t := range c.Session.Tags {
		for key := range tags {
			if policy.SameKey(key, t.Key) {
				delete(tags, key)
			}
		}
		tags[t.Key] = t.Value
	}
	return tags
}

// identityError gives errors of Identities their AWS code.
func identityError(err error) error {
	switch {
	case errors.Is(err, authn.ErrUnknown):
		return awserr.Wrap(awserr.OutboundWebIdentityFederationDisabledException,
			"The outbound web identity federation feature is not enabled for this account.", err)
	case errors.Is(err, signer.ErrIdentityTooLarge):
		return awserr.Wrap(awserr.JWTPayloadSizeExceededException, "The requested token payload size exceeds the maximum allowed size.", err)
	default:
		return fmt.Errorf("identity token: %w", err)
	}
}
