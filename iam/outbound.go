package iam

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/signer"
)

// Outbound is what outbound federation needs of the installation.
type Outbound interface {
	// EnsureIdentityKeys makes the keys that sign identity tokens, if there are none yet.
	EnsureIdentityKeys(ctx context.Context) error
	// IssuerURL is the URL of the issuer with that id.
	IssuerURL(id string) string
}

// OutboundIssuer is the issuer of an account's identity tokens. Its id stays for good once it is made: third parties that were
// told to trust the issuer find it again when the account enables it again.
type OutboundIssuer struct {
	versioned

	Account    string
	ID         string // a UUID, which tells nothing about the account
	Enabled    bool   // GetWebIdentityToken works; what was issued before stays verifiable without
	CreateDate time.Time
}

// The account is the parent, so that what depends on the account's issuer can be forgotten whether it exists or not.
func (o *OutboundIssuer) key() Record {
	return Record{Kind: KindOutboundIssuer, Account: o.Account, Parent: o.Account, Name: "issuer", ID: o.ID}
}

// EnableOutboundWebIdentityFederationInput is the input of EnableOutboundWebIdentityFederation, which has no parameters.
type EnableOutboundWebIdentityFederationInput struct{}

// EnableOutboundWebIdentityFederationOutput is the output of EnableOutboundWebIdentityFederation.
type EnableOutboundWebIdentityFederationOutput struct {
	IssuerIdentifier string `aws:"IssuerIdentifier"` // URL
}

// EnableOutboundWebIdentityFederation lets principals of the account ask for identity tokens. The first time it gives the account
// its issuer.
func (s *Service) EnableOutboundWebIdentityFederation(
	ctx context.Context, c *authn.Caller, _ *EnableOutboundWebIdentityFederationInput,
) (*EnableOutboundWebIdentityFederationOutput, error) {
	a := access{caller: c, action: "iam:EnableOutboundWebIdentityFederation"}
	if err := a.allow("*", nil); err != nil { // before the keys are made for somebody who may not
		return nil, err
	}
	if err := s.outbound.EnsureIdentityKeys(ctx); err != nil { // outside of the transaction, which would wait for it
		return nil, fmt.Errorf("identity keys: %w", err)
	}
	id, err := signer.NewUUID(s.rand)
	if err != nil {
		return nil, err
	}
	return change(ctx, s, func(tx Tx) (*EnableOutboundWebIdentityFederationOutput, error) {
		issuer, err := outboundIssuer(tx, c.Account)
		switch {
		case errors.Is(err, ErrNotFound):
			issuer = &OutboundIssuer{Account: c.Account, ID: id, CreateDate: s.today()}
		case err != nil:
			return nil, err
		case issuer.Enabled:
			return nil, awserr.New(awserr.FeatureEnabled, "Outbound web identity federation is already enabled for this account.")
		}
		issuer.Enabled = true
		return &EnableOutboundWebIdentityFederationOutput{s.outbound.IssuerURL(issuer.ID)}, put(tx, issuer)
	})
}

// DisableOutboundWebIdentityFederationInput is the input of DisableOutboundWebIdentityFederation, which has no parameters.
type DisableOutboundWebIdentityFederationInput struct{}

// DisableOutboundWebIdentityFederation ends the issue of identity tokens in the account. Tokens that were issued before live on
// until they expire, and the issuer's documents stay where they are ("DisableOutboundWebIdentityFederation" in the IAM API
// Reference).
func (s *Service) DisableOutboundWebIdentityFederation(
	ctx context.Context, c *authn.Caller, _ *DisableOutboundWebIdentityFederationInput,
) error {
	return s.update(ctx, func(tx Tx) error {
		issuer, err := s.enabledIssuer(tx, access{caller: c, action: "iam:DisableOutboundWebIdentityFederation"})
		if err != nil {
			return err
		}
		issuer.Enabled = false
		return put(tx, issuer)
	})
}

// GetOutboundWebIdentityFederationInfoInput is the input of GetOutboundWebIdentityFederationInfo, which has no parameters.
type GetOutboundWebIdentityFederationInfoInput struct{}

// GetOutboundWebIdentityFederationInfoOutput is the output of GetOutboundWebIdentityFederationInfo.
type GetOutboundWebIdentityFederationInfoOutput struct {
	IssuerIdentifier  string `aws:"IssuerIdentifier"` // URL
	JWTVendingEnabled *bool  `aws:"JwtVendingEnabled"`
}

// GetOutboundWebIdentityFederationInfo shows the account's issuer, if the account has outbound federation enabled.
func (s *Service) GetOutboundWebIdentityFederationInfo(
	ctx context.Context, c *authn.Caller, _ *GetOutboundWebIdentityFederationInfoInput,
) (*GetOutboundWebIdentityFederationInfoOutput, error) {
	return read(ctx, s, func(tx Tx) (*GetOutboundWebIdentityFederationInfoOutput, error) {
		issuer, err := s.enabledIssuer(tx, access{caller: c, action: "iam:GetOutboundWebIdentityFederationInfo"})
		if err != nil {
			return nil, err
		}
		return &GetOutboundWebIdentityFederationInfoOutput{s.outbound.IssuerURL(issuer.ID), &issuer.Enabled}, nil
	})
}

// enabledIssuer returns the issuer of the caller's account if the caller may do the action, which has no resource, and outbound
// federation is enabled.
func (s *Service) enabledIssuer(tx Tx, a access) (*OutboundIssuer, error) {
	account, err := s.account(tx, a)
	if err != nil {
		return nil, err
	}
	issuer, err := outboundIssuer(tx, account.ID)
	if errors.Is(err, ErrNotFound) || err == nil && !issuer.Enabled {
		return nil, awserr.New(awserr.FeatureDisabled, "Outbound web identity federation is not enabled for this account.")
	}
	return issuer, err
}

func outboundIssuer(tx Tx, account string) (*OutboundIssuer, error) {
	return get[OutboundIssuer](tx, account, account, "issuer")
}

// OutboundIssuer returns the issuer of an account, enabled or not, to be shared and not changed. The error matches ErrNotFound
// when the account never enabled outbound federation.
func (d *Directory) OutboundIssuer(ctx context.Context, account string) (*OutboundIssuer, error) {
	return d.issuer(ctx, account, func(tx Tx) (*OutboundIssuer, error) { return outboundIssuer(tx, account) })
}

// OutboundIssuerByID is OutboundIssuer for the issuer with that id. Anybody may ask for an id: what does not exist costs little.
func (d *Directory) OutboundIssuerByID(ctx context.Context, id string) (*OutboundIssuer, error) {
	if len(id) != len("00000000-0000-0000-0000-000000000000") {
		return nil, ErrNotFound
	}
	return d.issuer(ctx, id, func(tx Tx) (*OutboundIssuer, error) { return byID[OutboundIssuer](tx, id) })
}

// issuer returns what is cached for an account or an id, which no account looks like.
func (d *Directory) issuer(ctx context.Context, key string, load func(Tx) (*OutboundIssuer, error)) (*OutboundIssuer, error) {
	if o, ok := d.issuers.hit(key); ok {
		return o, nil
	}
	o, err := d.issuers.get(ctx, key, func(r *reading) (result[*OutboundIssuer], error) {
		r.dependOn(key)
		o, err := load(r.tx)
		return result[*OutboundIssuer]{value: o}, err
	})
	if err != nil {
		return nil, fmt.Errorf("outbound issuer of %s: %w", key, err)
	}
	return o, nil
}
