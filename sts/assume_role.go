package sts

import (
	"context"
	"fmt"
	"time"

	"github.com/stint-sts/stint/arn"
	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/authz"
	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/policy"
	"github.com/stint-sts/stint/secret"
	"github.com/stint-sts/stint/signer"
)

// AssumeRoleInput are the parameters of AssumeRole.
type AssumeRoleInput struct {
	RoleARN           string             `aws:"RoleArn,required" len:"20,2048"`
	RoleSessionName   string             `aws:"RoleSessionName,required" len:"2,64" pattern:"name"`
	PolicyARNs        []PolicyDescriptor `aws:"PolicyArns" len:"0,10"`
	Policy            *string            `aws:"Policy" len:"1,131072" pattern:"policyDocument"`
	DurationSeconds   *int32             `aws:"DurationSeconds" range:"900,129600"`
	Tags              []Tag              `aws:"Tags" len:"0,50"`
	TransitiveTagKeys []string           `aws:"TransitiveTagKeys" len:"0,50"`
	ExternalID        string             `aws:"ExternalId" len:"2,1224" pattern:"externalId"`
	SerialNumber      string             `aws:"SerialNumber" len:"9,256" pattern:"serial"`
	TokenCode         secret.String      `aws:"TokenCode" len:"6,6" pattern:"digits"`
	SourceIdentity    string             `aws:"SourceIdentity" len:"2,64" pattern:"name"`
	ProvidedContexts  []ProvidedContext  `aws:"ProvidedContexts" len:"0,5"`
	MinTokenSize      *int32             `aws:"MinimumSessionTokenSize" range:"0,4096"`
}

// ProvidedContext is a signed context assertion. stint has no context providers and refuses it.
type ProvidedContext struct {
	ProviderARN      string        `aws:"ProviderArn" len:"20,2048"`
	ContextAssertion secret.String `aws:"ContextAssertion" len:"4,2048"`
}

// AssumeRoleOutput is the result of AssumeRole.
type AssumeRoleOutput struct {
	Credentials      *Credentials     `aws:"Credentials"`
	AssumedRoleUser  *AssumedRoleUser `aws:"AssumedRoleUser"`
	PackedPolicySize *int32           `aws:"PackedPolicySize"` // percent; absent when neither policies nor tags were passed
	SourceIdentity   string           `aws:"SourceIdentity"`
	TokenSize        `aws:",inline"`
}

// AssumedRoleUser names a role session.
type AssumedRoleUser struct {
	AssumedRoleID string `aws:"AssumedRoleId"`
	ARN           string `aws:"Arn"`
}

const defaultRoleDuration = time.Hour

// AssumeRole returns credentials of a new session of a role (AWS STS API Reference, "AssumeRole"). A role that is missing,
// that does not trust the caller, or that the caller's own policies keep it from gives one and the same AccessDenied.
func (s *Service) AssumeRole(ctx context.Context, c *authn.Caller, in *AssumeRoleInput) (*AssumeRoleOutput, error) {
	if c.Kind == authn.Root {
		return nil, awserr.New(awserr.AccessDenied, "Roles may not be assumed by root accounts.")
	}
	if c.Kind == authn.FederatedUser {
		return nil, awserr.New(awserr.AccessDenied, authz.Sentence(c.ARN, actionAssumeRole, in.RoleARN))
	}
	roleARN, err := parseRoleARN(in.RoleARN)
	if err != nil {
		return nil, err
	}
	if err := in.check(); err != nil {
		return nil, err
	}
	g, err := inherit(c, in)
	if err != nil {
		return nil, err
	}
	if g.proved, err = s.verifyMFA(ctx, c, in.SerialNumber, in.TokenCode); err != nil {
		return nil, err
	}
	role, err := s.trusting(ctx, c, roleARN, in, g)
	if err != nil {
		return nil, err
	}
	if g.packed, err = s.sessionPolicies(ctx, role.Account, in.Policy, in.PolicyARNs, in.Tags); err != nil {
		return nil, err
	}
	duration, err := s.roleDuration(c, role, in.DurationSeconds)
	if err != nil {
		return nil, err
	}
	claims := g.claims(c, role, in)
	creds, err := s.issueTo(ctx, c, claims, duration, keyless(c))
	if err != nil {
		return nil, err
	}
	return &AssumeRoleOutput{
		Credentials:      creds,
		AssumedRoleUser:  &AssumedRoleUser{AssumedRoleID: role.ID + ":" + in.RoleSessionName, ARN: claims.ARN},
		PackedPolicySize: g.packed,
		SourceIdentity:   g.sourceIdentity,
		TokenSize:        sizeOf(creds),
	}, nil
}

const (
	actionAssumeRole        = "sts:AssumeRole"
	actionTagSession        = "sts:TagSession"
	actionSetSourceIdentity = "sts:SetSourceIdentity"
)

// keyless is what a session's record says of who asked for it without an access key, in the portal or with a certificate: the unique id.
func keyless(c *authn.Caller) string {
	if c.AccessKeyID != "" {
		return ""
	}
	return c.Entity.ID
}

// check refuses what the shape cannot tell: known parameters that stint does not carry out, tags that contradict each other.
func (in *AssumeRoleInput) check() error {
	if len(in.ProvidedContexts) > 0 {
		return awserr.New(awserr.ValidationError, "ProvidedContexts is not supported.")
	}
	return checkTags(in.Tags, in.TransitiveTagKeys)
}

// trusting returns the role when it lets the caller in: AssumeRole and each companion action that the request needs are
// decided separately, with one request context (AWS IAM User Guide, "Pass session tags in AWS STS").
func (s *Service) trusting(ctx context.Context, c *authn.Caller, roleARN arn.ARN, in *AssumeRoleInput, g *grant) (*authn.Entity, error) {
	role, err := s.directory.RoleByARN(ctx, roleARN)
	if err != nil {
		return nil, denyUnknown(err, c, actionAssumeRole, in.RoleARN)
	}
	q := authz.Question{
		Resource:        role.ARN,
		ResourceAccount: role.Account,
		ResourceTags:    g.overlay(role.Tags),
		RequestTags:     g.requested,
		ResourcePolicy:  role.Trust,
		Keys:            func(k *policy.Context) { in.keys(k, g) },
	}
	actions := make([]string, 1, 3)
	actions[0] = actionAssumeRole
	if len(g.requested) > 0 || len(g.inherited) > 0 {
		actions = append(actions, actionTagSession)
	}
	if g.sourceIdentity != "" {
		actions = append(actions, actionSetSourceIdentity)
	}
	for _, action := range actions {
		q.Action = action
		if d := authz.Decide(c, &q); d.Effect != policy.Allow {
			return nil, awserr.Wrap(awserr.AccessDenied, authz.Sentence(c.ARN, action, role.ARN), &authz.Denial{Question: q, Decision: d})
		}
	}
	return role, nil
}

// keys sets the condition keys of AssumeRole (AWS IAM User Guide, "Available keys for AWS STS").
func (in *AssumeRoleInput) keys(k *policy.Context, g *grant) {
	k.Set("sts:RoleSessionName", in.RoleSessionName)
	if in.ExternalID != "" {
		k.Set("sts:ExternalId", in.ExternalID)
	}
	if g.sourceIdentity != "" {
		k.Set("sts:SourceIdentity", g.sourceIdentity)
	}
	if g.proved {
		setMFA(k)
	}
	if len(in.TransitiveTagKeys) > 0 {
		k.SetList("sts:TransitiveTagKeys", in.TransitiveTagKeys)
	}
}

// roleDuration is how long the session lasts. The role's maximum is judged before the limit of role chaining, as AWS does.
func (s *Service) roleDuration(c *authn.Caller, role *authn.Entity, requested *int32) (time.Duration, error) {
	d := seconds(requested, min(defaultRoleDuration, role.MaxSessionDuration, s.maxChained))
	if d > role.MaxSessionDuration {
		return 0, awserr.Wrap(awserr.ValidationError, "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
			fmt.Errorf("duration: expected at most %s, got %s", role.MaxSessionDuration, d))
	}
	if c.Kind == authn.RoleSession && d > s.maxChained {
		return 0, awserr.Newf(awserr.ValidationError,
			"The requested DurationSeconds exceeds the %s session limit for roles assumed by role chaining.", hours(s.maxChained))
	}
	return d, nil
}

// hours prints a limit as AWS does: "1 hour".
func hours(d time.Duration) string {
	switch {
	case d == time.Hour:
		return "1 hour"
	case d%time.Hour == 0:
		return fmt.Sprintf("%d hour", d/time.Hour)
	default:
		return fmt.Sprintf("%d second", d/time.Second)
	}
}

// parseRoleARN tells an ARN of the wrong form from one that is not a role's, in AWS's words.
func parseRoleARN(s string) (arn.ARN, error) {
	a, err := arn.Parse(s)
	if err != nil {
		return arn.ARN{}, awserr.Newf(awserr.ValidationError, "%s is invalid", s)
	}
	if !a.IsIAM("role") || !arn.ValidAccount(a.Account) || a.Partition != arn.Partition {
		return arn.ARN{}, awserr.New(awserr.ValidationError, "Request ARN is invalid")
	}
	return a, nil
}

// claims are the facts of the new session.
func (g *grant) claims(c *authn.Caller, role *authn.Entity, in *AssumeRoleInput) *signer.Claims {
	claims := &signer.Claims{
		Kind:           signer.RoleSession,
		Account:        role.Account,
		ARN:            arn.AssumedRole(role.Account, role.Name, in.RoleSessionName),
		EntityARN:      role.ARN,
		EntityID:       role.ID,
		SessionName:    in.RoleSessionName,
		SourceIdentity: g.sourceIdentity,
		Tags:           g.tags,
		TransitiveKeys: g.transitive,
		Chained:        c.Kind == authn.RoleSession,
		PolicyARNs:     policyARNs(in.PolicyARNs),
		MinTokenSize:   tokenSize(in.MinTokenSize),
	}
	if in.Policy != nil {
		claims.Policy = *in.Policy
	}
	return claims
}
