// Package sts is the STS operations (AWS STS API, version 2011-06-15), transport-free.
//
// It owns the rules of each operation: who may ask, what is inherited, how long a session lasts. Who calls is authn's
// matter, the policy decision authz's, the credentials signer's, the session record session's. Inputs arrive validated
// against their shape by the dispatcher.
package sts

import (
	"context"
	"errors"
	"time"

	"github.com/stint-sts/stint/arn"
	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/policy"
	"github.com/stint-sts/stint/secret"
	"github.com/stint-sts/stint/session"
	"github.com/stint-sts/stint/signer"
)

// Directory is what the operations need to know about accounts. Errors for what does not exist match authn.ErrUnknown.
type Directory interface {
	// RoleByARN returns the role whose ARN is exactly a.
	RoleByARN(ctx context.Context, a arn.ARN) (*authn.Entity, error)
	// UserByARN returns the user whose ARN is exactly a.
	UserByARN(ctx context.Context, a arn.ARN) (*authn.Entity, error)
	// AccessKey returns a long-lived key, active or not.
	AccessKey(ctx context.Context, id string) (*authn.AccessKey, error)
	// Entity returns the user or role with that unique id, or the account itself when id is the account id.
	Entity(ctx context.Context, account, id string) (*authn.Entity, error)
	// Roles returns the ARNs of the account's first roles by name, limit at most.
	Roles(ctx context.Context, account string, limit int) ([]arn.ARN, error)
	// ManagedPolicy returns the default version of a managed policy of the account or of AWS.
	ManagedPolicy(ctx context.Context, account, policyARN string) (*policy.Document, error)
}

// Minter makes temporary credentials.
type Minter interface {
	// Mint fills in c.AccessKeyID and returns the credentials of the session that c describes.
	Mint(c *signer.Claims) (*signer.Credentials, error)
}

// Sessions keeps a record of each session.
type Sessions interface {
	// Put stores the record; the error matches session.ErrUnavailable when the store cannot be reached.
	Put(ctx context.Context, r *session.Record) error
	// Get returns the record of a live session; the error matches session.ErrNotFound when there is none.
	Get(ctx context.Context, accessKeyID string) (*session.Record, error)
}

// Guard lets each proof of a sign-in pass once; session.Guard has the contract.
type Guard interface {
	Consume(ctx context.Context, name string, since, until time.Time) error
}

// Config is what a Service needs. Fields are required unless they say a default.
type Config struct {
	Directory     Directory
	Minter        Minter
	Sessions      Sessions
	Identities    Identities
	WebIdentities WebIdentity
	SAML          SAML
	Sealer        Sealer // of encoded authorization messages
	Devices       Devices
	Codes         Codes
	Guard         Guard // of sign-ins
	Revoker       Revoker

	// MaxChained bounds sessions that were made with the credentials of another role session. Default 1 hour, as on AWS.
	MaxChained time.Duration
	// ManagementAccount is the account whose principals may call AssumeRoot. Default: none.
	ManagementAccount string
}

// Service is the STS operations. It is safe for concurrent use.
type Service struct {
	directory     Directory
	minter        Minter
	sessions      Sessions
	identities    Identities
	webIdentities WebIdentity
	saml          SAML
	sealer        Sealer
	devices       Devices
	codes         Codes
	guard         Guard
	revoker       Revoker
	maxChained    time.Duration
	management    string
}

// New makes a Service.
func New(cfg Config) *Service {
	if cfg.MaxChained == 0 {
		cfg.MaxChained = time.Hour
	}
	return &Service{
		directory: cfg.Directory, minter: cfg.Minter, sessions: cfg.Sessions, identities: cfg.Identities,
		webIdentities: cfg.WebIdentities, saml: cfg.SAML, sealer: cfg.Sealer,
		devices: cfg.Devices, codes: cfg.Codes, guard: cfg.Guard, revoker: cfg.Revoker, maxChained: cfg.MaxChained, management: cfg.ManagementAccount,
	}
}

// Credentials are temporary credentials as the operations return them.
type Credentials struct {
	AccessKeyID     string        `aws:"AccessKeyId"`
	SecretAccessKey secret.String `aws:"SecretAccessKey"`
	SessionToken    secret.String `aws:"SessionToken"`
	Expiration      time.Time     `aws:"Expiration"`
}

// Tag is a session tag.
type Tag struct {
	Key   string `aws:"Key,required" len:"1,128" pattern:"tagKey"`
	Value string `aws:"Value,always" len:"0,256" pattern:"tag"`
}

// PolicyDescriptor names a managed policy.
type PolicyDescriptor struct {
	ARN string `aws:"arn" len:"20,2048"`
}

// TokenSize tells how long the session token is: the fields that replace PackedPolicySize.
type TokenSize struct {
	SessionTokenSize        *int32 `aws:"SessionTokenSize"`        // bytes
	SessionTokenUtilization *int32 `aws:"SessionTokenUtilization"` // percent of the longest token there can be
}

func sizeOf(c *Credentials) TokenSize {
	size := int32(len(c.SessionToken.Reveal()))
	percent := (size*100 + signer.MaxTokenSize - 1) / signer.MaxTokenSize
	return TokenSize{SessionTokenSize: &size, SessionTokenUtilization: &percent}
}

// tokenSize is the least size of the token that was asked for, in bytes.
func tokenSize(requested *int32) int {
	if requested == nil {
		return 0
	}
	return int(*requested)
}

// issue mints the credentials of a session that lasts for d from now on, and records it. The record exists before anybody
// holds the key: what cannot be listed and revoked is not handed out.
func (s *Service) issue(ctx context.Context, c *authn.Caller, claims *signer.Claims, d time.Duration) (*Credentials, error) {
	return s.issueTo(ctx, c, claims, d, "")
}

// issueTo is issue for a session of somebody whom an identity provider calls subject.
func (s *Service) issueTo(
	ctx context.Context, c *authn.Caller, claims *signer.Claims, d time.Duration, subject string,
) (*Credentials, error) {
	claims.IssuedAt = c.Request.Time.UTC().Truncate(time.Millisecond)
	claims.ExpiresAt = claims.IssuedAt.Truncate(time.Second).Add(d)
	if c.AccessKeyID != "" {
		claims.Descend(c.AccessKeyID, c.Session)
	}
	creds, err := s.minter.Mint(claims)
	if errors.Is(err, signer.ErrTokenTooLarge) { // tags that were inherited on the way add up
		return nil, awserr.Wrap(awserr.PackedPolicyTooLarge, "Serialized token too large for session", err)
	}
	if err != nil {
		return nil, err
	}
	r := record(claims)
	r.Subject = subject
	if err := s.sessions.Put(ctx, r); err != nil {
		return nil, unavailable(err)
	}
	return &Credentials{
		AccessKeyID:     creds.AccessKeyID,
		SecretAccessKey: creds.SecretAccessKey,
		SessionToken:    creds.SessionToken,
		Expiration:      creds.Expiration,
	}, nil
}

// record is the session state's view of a session.
func record(c *signer.Claims) *session.Record {
	return &session.Record{
		AccessKeyID:    c.AccessKeyID,
		Account:        c.Account,
		Kind:           string(c.Kind),
		EntityID:       c.EntityID,
		EntityARN:      c.EntityARN,
		ARN:            c.ARN,
		SessionName:    c.SessionName,
		SourceIdentity: c.SourceIdentity,
		Parent:         c.Parent,
		Issuer:         c.Provider,
		IssuedAt:       c.IssuedAt,
		ExpiresAt:      c.ExpiresAt,
		MFA:            !c.MFATime.IsZero(),
		Chained:        c.Chained,
	}
}

// seconds is a requested duration, or the default when none was requested.
func seconds(requested *int32, standard time.Duration) time.Duration {
	if requested == nil {
		return standard
	}
	return time.Duration(*requested) * time.Second
}
