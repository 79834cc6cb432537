package sts

import (
	"context"
	"errors"
	"fmt"

	"github.com/stint-sts/stint/arn"
	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/authz"
	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/policy"
	"github.com/stint-sts/stint/shape"
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
