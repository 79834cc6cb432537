package sts

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/stint-sts/stint/arn"
	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/session"
	"github.com/stint-sts/stint/signer"
)

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
