package sts

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/stint-sts/stint/arn"
	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/authz"
	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/session"
	"github.com/stint-sts/stint/signer"
)

// Revoker makes revocations count; *session.Revoker is the one.
type Revoker interface {
	// Revoke returns when r is durable and in force on this node; with wait, when every live node has it, and how many there are.
	Revoke(ctx context.Context, r *session.Revocation, wait bool) (nodes int, err error)
}

// RevokeSessionsInput are the parameters of RevokeSessions, which AWS does not have. AccessKeyID, PrincipalARN and ProviderARN are three ways to
// say which sessions end; without any it is the caller's own.
type RevokeSessionsInput struct {
	AccessKeyID  string `aws:"AccessKeyId" len:"16,128" pattern:"word"` // of a session or a long-lived key: that and all that was made from it
	PrincipalARN string `aws:"PrincipalArn" len:"20,2048"`              // of a role or a user; of an account's root: all of the account
	SessionName  string `aws:"RoleSessionName" len:"2,64" pattern:"name"`
	ProviderARN  string `aws:"ProviderArn" len:"20,2048"`
	Subject      string `aws:"Subject" len:"1,2048"`
	IssuedBefore string `aws:"IssuedBefore" len:"20,35"` // RFC 3339; default now. Not with AccessKeyID
	Reason       string `aws:"Reason" len:"1,256"`
	Wait         bool   `aws:"Wait"` // answer when every live node has it
}

// RevokeSessionsOutput is the result of RevokeSessions.
type RevokeSessionsOutput struct {
	RevocationID string    `aws:"RevocationId"`
	IssuedBefore time.Time `aws:"IssuedBefore"`
	Nodes        *int32    `aws:"Nodes"` // that have confirmed; with Wait
}

const actionRevokeSessions = "sts:RevokeSessions"

// RevokeSessions ends sessions before their time. What it says is durable and in force on this node when it returns, and on every
// node within a second. Everybody may revoke the session that makes the call; for others the caller needs sts:RevokeSessions on
//
//	arn:aws:sts::ACCOUNT:session/ACCESS-KEY-ID          a session or key and all that was made from it
//	the role, user, provider, or root user of the account   their sessions that were issued before a moment
//
// in the account of the caller.
func (s *Service) RevokeSessions(ctx context.Context, c *authn.Caller, in *RevokeSessionsInput) (*RevokeSessionsOutput, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	r, resource, err := in.revocation(c)
	if err != nil {
		return nil, err
	}
	if own := c.Session != nil && r.Credential == c.Session.AccessKeyID; !own {
		// The account is compared here and not left to policy: no policy of one account may end the sessions of another.
		if r.Account != c.Account {
			return nil, awserr.New(awserr.AccessDenied, authz.Sentence(c.ARN, actionRevokeSessions, resource))
		}
		if err := authz.Require(c, &authz.Question{Action: actionRevokeSessions, Resource: resource}); err != nil {
			return nil, err
		}
	}
	if in.PrincipalARN != "" && !r.All {
		if r.EntityID, err = s.entityID(ctx, in.PrincipalARN); err != nil {
			return nil, err
		}
	}
	if r.Credential != "" {
		r.Root = s.rootOf(ctx, c, r.Credential)
	}
	nodes, err := s.revoker.Revoke(ctx, r, in.Wait)
	switch {
	case errors.Is(err, session.ErrFull):
		return nil, awserr.New(awserr.LimitExceeded, "Too many revocations are in force. Revoke the sessions of a role, a user or the account instead.")
	case nodes > 0 && err != nil:
		return nil, awserr.Wrap(awserr.ServiceUnavailable,
			"The sessions are revoked, but not every node has confirmed it. Nodes that reach the directory have it within a second.", err)
	case err != nil:
		return nil, err
	}
	out := &RevokeSessionsOutput{RevocationID: r.ID, IssuedBefore: r.Before}
	if in.Wait {
		n := int32(nodes)
		out.Nodes = &n
	}
	return out, nil
}

// check refuses parameters that contradict each other.
func (in *RevokeSessionsInput) check() error {
	ways := 0
	for _, way := range []string{in.AccessKeyID, in.PrincipalARN, in.ProviderARN} {
		if way != "" {
			ways++
		}
	}
	switch {
	case ways > 1:
		return invalid("AccessKeyId, PrincipalArn and ProviderArn exclude each other.")
	case in.SessionName != "" && in.PrincipalARN == "":
		return invalid("RoleSessionName goes with the PrincipalArn of a role.")
	case in.Subject != "" && in.ProviderARN == "":
		return invalid("Subject goes with ProviderArn.")
	case in.IssuedBefore != "" && in.PrincipalARN == "" && in.ProviderARN == "":
		return invalid("IssuedBefore goes with PrincipalArn or ProviderArn.")
	}
	return nil
}

func invalid(message string) error { return awserr.New(awserr.ValidationError, message) }

// maxAhead is how far in the future IssuedBefore may be: for clocks of nodes that differ.
const maxAhead = 5 * time.Minute

// revocation reads what the call asks for, as far as the parameters say it, and the resource on which that needs permission.
func (in *RevokeSessionsInput) revocation(c *authn.Caller) (r *session.Revocation, resource string, err error) {
	now := c.Request.Time.UTC().Truncate(time.Millisecond)
	r = &session.Revocation{ID: session.RevocationID(now, rand.Text()), Before: now, Made: now, By: c.ARN, Reason: in.Reason}
	if in.IssuedBefore != "" {
		before, err := time.Parse(time.RFC3339, in.IssuedBefore)
		if err != nil || before.After(now.Add(maxAhead)) || before.Unix() < 0 {
			return nil, "", invalid("IssuedBefore must be a time such as 2026-01-31T12:00:00Z, at most 5 minutes from now.")
		}
		r.Before = before.UTC()
	}
	switch {
	case in.PrincipalARN != "":
		return r, in.PrincipalARN, in.byPrincipal(r)
	case in.ProviderARN != "":
		return r, in.ProviderARN, in.byProvider(r)
	case in.AccessKeyID != "":
		r.Credential = in.AccessKeyID
	case c.Session != nil:
		r.Credential = c.Session.AccessKeyID
	default:
		return nil, "", invalid("The caller has no session of its own. Say which sessions: AccessKeyId, PrincipalArn or ProviderArn.")
	}
	if r.Account, err = signer.AccountOf(r.Credential); err != nil {
		return nil, "", invalid("The access key ID is not valid.")
	}
	return r, "arn:" + arn.Partition + ":sts::" + r.Account + ":session/" + r.Credential, nil
}

func (in *RevokeSessionsInput) byPrincipal(r *session.Revocation) error {
	a, err := arn.Parse(in.PrincipalARN)
	if err != nil || a.Partition != arn.Partition || !arn.ValidAccount(a.Account) {
		return awserr.Newf(awserr.ValidationError, "%s is invalid", in.PrincipalARN)
	}
	r.Account, r.Name = a.Account, in.SessionName
	switch {
	case a.IsIAM("role"), a.IsIAM("user") && in.SessionName == "":
		return nil
	case in.PrincipalARN == arn.Root(a.Account) && in.SessionName == "":
		r.All = true
		return nil
	default:
		return invalid("PrincipalArn must be of a role or, without RoleSessionName, of a user or of the root user.")
	}
}

// byProvider does not ask whether the provider exists: sessions outlive it.
func (in *RevokeSessionsInput) byProvider(r *session.Revocation) error {
	a, err := arn.Parse(in.ProviderARN)
	if err != nil || a.Partition != arn.Partition || !arn.ValidAccount(a.Account) || !a.IsIAM("oidc-provider") && !a.IsIAM("saml-provider") {
		return awserr.Newf(awserr.ValidationError, "%s is invalid", in.ProviderARN)
	}
	r.Account, r.Issuer, r.Subject = a.Account, in.ProviderARN, in.Subject
	return nil
}

// entityID is the unique id of the role or user that principalARN names.
func (s *Service) entityID(ctx context.Context, principalARN string) (string, error) {
	a, err := arn.Parse(principalARN)
	if err != nil {
		return "", err
	}
	find := s.directory.UserByARN
	if a.IsIAM("role") {
		find = s.directory.RoleByARN
	}
	entity, err := find(ctx, a)
	if errors.Is(err, authn.ErrUnknown) {
		return "", awserr.Newf(awserr.ValidationError, "%s does not exist. The sessions of a role or user that was deleted have ended.", principalARN)
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", principalARN, err)
	}
	return entity.ID, nil
}

// rootOf walks up from a credential to the first one of its chain, as far as there are records of sessions; "" when that is not far
// enough, and then the revocation errs on the safe side (session.Revocations).
func (s *Service) rootOf(ctx context.Context, c *authn.Caller, accessKeyID string) string {
	if c.Session != nil && c.Session.AccessKeyID == accessKeyID && len(c.Session.Ancestors) > 0 {
		return c.Session.Ancestors[0]
	}
	for range signer.MaxAncestors {
		if _, err := s.directory.AccessKey(ctx, accessKeyID); err == nil {
			return accessKeyID
		}
		record, err := s.sessions.Get(ctx, accessKeyID)
		switch {
		case err != nil:
			return ""
		case record.Parent == "":
			return accessKeyID
		}
		accessKeyID = record.Parent
	}
	return ""
}
