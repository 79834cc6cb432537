package sts

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/stint-sts/stint/arn"
	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/authz"
	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/policy"
	"github.com/stint-sts/stint/shape"
	"github.com/stint-sts/stint/signer"
)

// instructed is what an identity provider may ask for in the name of the one who holds its token or assertion.
type instructed struct {
	Tags              []Tag    `aws:"Tags" len:"0,50"`
	TransitiveTagKeys []string `aws:"TransitiveTagKeys" len:"0,50"`
	SourceIdentity    string   `aws:"SourceIdentity" len:"2,64" pattern:"name"`
}

var instructedShape = shape.For[instructed]()

// check holds the provider to the rules that parameters of AssumeRole are held to.
func (in *instructed) check() error {
	if err := instructedShape.Validate(in); err != nil {
		return err
	}
	return checkTags(in.Tags, in.TransitiveTagKeys)
}

// conditions receives condition keys; *policy.Context is one.
type conditions interface {
	// Set gives key one value; SetList makes it multivalued.
	Set(key, value string)
	SetList(key string, values []string)
}

// assumption is a session of a role that somebody asks for whom an identity provider vouches. What is proven is proven already.
type assumption struct {
	action   string // sts:AssumeRoleWithSAML or sts:AssumeRoleWithWebIdentity
	role     arn.ARN
	asked    *instructed
	keys     func(*policy.Context) // the condition keys that the action has of its own
	provider string                // ARN
	subject  string
	lasting  map[string][]string // condition keys that stay with the session

	sessionName  string
	policy       *string
	policyARNs   []PolicyDescriptor
	duration     *int32
	minTokenSize *int32

	shorten func(time.Duration, time.Time) (time.Duration, error) // what the provider allows of a duration; nil: all of it
	redeem  func(context.Context, *authn.Entity) error            // uses the proof up; nil: it may be used again
}

// assumed is the session.
type assumed struct {
	creds  *Credentials
	user   *AssumedRoleUser
	packed *int32
}

// assumeFederated makes the session if the role lets c in. A proof is used up last, when nothing but the session itself can fail any more.
func (s *Service) assumeFederated(ctx context.Context, c *authn.Caller, a *assumption) (*assumed, error) {
	role, err := s.trustingFederated(ctx, c, a.role, a.action, a.asked, a.keys)
	if err != nil {
		return nil, err
	}
	packed, err := s.sessionPolicies(ctx, role.Account, a.policy, a.policyARNs, a.asked.Tags)
	if err != nil {
		return nil, err
	}
	duration, err := s.roleDuration(c, role, a.duration)
	if err != nil {
		return nil, err
	}
	if a.shorten != nil {
		if duration, err = a.shorten(duration, c.Request.Time); err != nil {
			return nil, err
		}
	}
	if a.redeem != nil {
		if err := a.redeem(ctx, role); err != nil {
			return nil, err
		}
	}
	claims := a.claims(role)
	creds, err := s.issueTo(ctx, c, claims, duration, a.subject)
	if err != nil {
		return nil, err
	}
	return &assumed{creds, &AssumedRoleUser{AssumedRoleID: role.ID + ":" + a.sessionName, ARN: claims.ARN}, packed}, nil
}

// claims are the facts of the new session.
func (a *assumption) claims(role *authn.Entity) *signer.Claims {
	claims := &signer.Claims{
		Kind:           signer.RoleSession,
		Account:        role.Account,
		ARN:            arn.AssumedRole(role.Account, role.Name, a.sessionName),
		EntityARN:      role.ARN,
		EntityID:       role.ID,
		SessionName:    a.sessionName,
		SourceIdentity: a.asked.SourceIdentity,
		Tags:           sessionTags(a.asked.Tags),
		TransitiveKeys: a.asked.TransitiveTagKeys,
		Provider:       a.provider,
		FederatedKeys:  a.lasting,
		PolicyARNs:     policyARNs(a.policyARNs),
		MinTokenSize:   tokenSize(a.minTokenSize),
	}
	if a.policy != nil {
		claims.Policy = *a.policy
	}
	return claims
}

// trustingFederated returns the role when its trust policy lets the holder of a token or an assertion in. A missing, a forbidding and
// an untrusting role read alike. There is no identity side: only the trust policy speaks (AWS IAM User Guide, "Creating a role for a
// third-party identity provider"). keys sets the condition keys that the action has of its own; they come first, so that no provider can
// set a key that is not its own.
func (s *Service) trustingFederated(
	ctx context.Context, c *authn.Caller, roleARN arn.ARN, action string, in *instructed, keys func(*policy.Context),
) (*authn.Entity, error) {
	role, err := s.directory.RoleByARN(ctx, roleARN)
	if errors.Is(err, authn.ErrUnknown) {
		return nil, awserr.Wrap(awserr.AccessDenied, notAuthorized(action), err)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", roleARN, err)
	}
	q := authz.Question{
		Resource:        role.ARN,
		ResourceAccount: role.Account,
		ResourceTags:    role.Tags,
		RequestTags:     requestTags(in.Tags),
		ResourcePolicy:  role.Trust,
		Keys: func(k *policy.Context) {
			keys(k)
			if in.SourceIdentity != "" {
				k.Set("sts:SourceIdentity", in.SourceIdentity)
			}
			if len(in.TransitiveTagKeys) > 0 {
				k.SetList("sts:TransitiveTagKeys", in.TransitiveTagKeys)
			}
		},
	}
	actions := []string{action}
	if len(in.Tags) > 0 {
		actions = append(actions, actionTagSession)
	}
	if in.SourceIdentity != "" {
		actions = append(actions, actionSetSourceIdentity)
	}
	for _, action := range actions {
		q.Action = action
		if d := authz.Decide(c, &q); d.Effect != policy.Allow {
			return nil, awserr.Wrap(awserr.AccessDenied, notAuthorized(action), &authz.Denial{Question: q, Decision: d})
		}
	}
	return role, nil
}

// notAuthorized is AWS's bare sentence for callers without an ARN.
func notAuthorized(action string) string { return "Not authorized to perform " + action }
