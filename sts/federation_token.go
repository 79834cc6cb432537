package sts

import (
	"context"

	"github.com/stint-sts/stint/arn"
	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/authz"
	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/signer"
)

// GetFederationTokenInput are the parameters of GetFederationToken.
type GetFederationTokenInput struct {
	Name            string             `aws:"Name,required" len:"2,32" pattern:"name"`
	Policy          *string            `aws:"Policy" len:"1,2048" pattern:"policyDocument"`
	PolicyARNs      []PolicyDescriptor `aws:"PolicyArns" len:"0,10"`
	DurationSeconds *int32             `aws:"DurationSeconds" range:"900,129600"`
	Tags            []Tag              `aws:"Tags" len:"0,50"`
	MinTokenSize    *int32             `aws:"MinimumSessionTokenSize" range:"0,4096"`
}

// GetFederationTokenOutput is the result of GetFederationToken.
type GetFederationTokenOutput struct {
	Credentials      *Credentials   `aws:"Credentials"`
	FederatedUser    *FederatedUser `aws:"FederatedUser"`
	PackedPolicySize *int32         `aws:"PackedPolicySize"` // percent; absent when neither policies nor tags were passed
	TokenSize        `aws:",inline"`
}

// FederatedUser names a federated-user session.
type FederatedUser struct {
	FederatedUserID string `aws:"FederatedUserId"`
	ARN             string `aws:"Arn"`
}

const actionGetFederationToken = "sts:GetFederationToken"

// GetFederationToken returns credentials for somebody whom the calling user vouches for. They can do what both the user's and
// the session's policies allow; without session policies that is nothing, but for resource policies that name the session
// (AWS STS API Reference, "GetFederationToken"). Root asks for at most an hour: more is cut, not refused.
func (s *Service) GetFederationToken(ctx context.Context, c *authn.Caller, in *GetFederationTokenInput) (*GetFederationTokenOutput, error) {
	if c.Session != nil {
		return nil, awserr.New(awserr.AccessDenied, "Cannot call GetFederationToken with session credentials")
	}
	if err := checkTags(in.Tags, nil); err != nil {
		return nil, err
	}
	session := arn.FederatedUser(c.Account, in.Name)
	if err := mayFederate(c, session, in.Tags); err != nil {
		return nil, err
	}
	packed, err := s.sessionPolicies(ctx, c.Account, in.Policy, in.PolicyARNs, in.Tags)
	if err != nil {
		return nil, err
	}
	d := seconds(in.DurationSeconds, defaultUserDuration)
	if c.Kind == authn.Root {
		d = min(d, maxRootDuration)
	}
	claims := &signer.Claims{
		Kind:         signer.FederatedSession,
		Account:      c.Account,
		ARN:          session,
		EntityARN:    c.Entity.ARN,
		EntityID:     c.Entity.ID,
		SessionName:  in.Name,
		Tags:         sessionTags(in.Tags),
		PolicyARNs:   policyARNs(in.PolicyARNs),
		MinTokenSize: tokenSize(in.MinTokenSize),
	}
	if in.Policy != nil {
		claims.Policy = *in.Policy
	}
	creds, err := s.issue(ctx, c, claims, d)
	if err != nil {
		return nil, err
	}
	return &GetFederationTokenOutput{
		Credentials:      creds,
		FederatedUser:    &FederatedUser{FederatedUserID: c.Account + ":" + in.Name, ARN: session},
		PackedPolicySize: packed,
		TokenSize:        sizeOf(creds),
	}, nil
}

// mayFederate decides each action that the request needs, as AssumeRole does.
func mayFederate(c *authn.Caller, session string, tags []Tag) error {
	q := authz.Question{Action: actionGetFederationToken, Resource: session, RequestTags: requestTags(tags)}
	if err := authz.Require(c, &q); err != nil || len(tags) == 0 {
		return err
	}
	q.Action = actionTagSession
	return authz.Require(c, &q)
}
