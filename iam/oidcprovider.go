package iam

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stint-sts/stint/arn"
	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/federation/oidc"
)

// Issuers says which OpenID Connect issuers may be registered; *oidc.Issuers is one.
type Issuers interface {
	// Admit returns nil when tokens of the issuer may be looked at, and else an error for operators.
	Admit(issuer string) error
}

// CreateOpenIDConnectProviderInput is the input of CreateOpenIDConnectProvider.
type CreateOpenIDConnectProviderInput struct {
	URL            string   `aws:"Url,required" len:"1,255"`
	ClientIDList   []string `aws:"ClientIDList" itemlen:"1,255"`
	ThumbprintList []string `aws:"ThumbprintList" itemlen:"40,40"`
	Tags           []Tag    `aws:"Tags" len:"0,50"`
}

// CreateOpenIDConnectProviderOutput is the output of CreateOpenIDConnectProvider.
type CreateOpenIDConnectProviderOutput struct {
	OpenIDConnectProviderARN string `aws:"OpenIDConnectProviderArn"`
	Tags                     []Tag  `aws:"Tags"`
}

// CreateOpenIDConnectProvider registers an issuer whose tokens roles of the account may trust. With tags it needs
// iam:TagOpenIDConnectProvider as well. Nothing is fetched: the issuer need not be reachable yet, and thumbprints that are not given
// stay out, since certificates are checked against the certificate authorities of the system or of the operator's choice.
func (s *Service) CreateOpenIDConnectProvider(
	ctx context.Context, c *authn.Caller, in *CreateOpenIDConnectProviderInput,
) (*CreateOpenIDConnectProviderOutput, error) {
	return change(ctx, s, func(tx Tx) (*CreateOpenIDConnectProviderOutput, error) {
		p := &OIDCProvider{Account: c.Account, URL: in.URL, CreateDate: s.today()}
		if err := allowCreate(c, "iam:CreateOpenIDConnectProvider", "iam:TagOpenIDConnectProvider", p.ARN(), in.Tags, nil); err != nil {
			return nil, err
		}
		if err := s.admitIssuer(in.URL); err != nil {
			return nil, err
		}
		if err := s.admitOIDCProvider(tx, p); err != nil {
			return nil, err
		}
		var err error
		for _, id := range in.ClientIDList {
			if err := s.addClientID(p, id); err != nil {
				return nil, err
			}
		}
		if p.Thumbprints, err = s.checkThumbprints(in.ThumbprintList); err != nil {
			return nil, err
		}
		if p.Tags, err = s.mergeTags(nil, in.Tags); err != nil {
			return nil, err
		}
		return &CreateOpenIDConnectProviderOutput{OpenIDConnectProviderARN: p.ARN(), Tags: p.Tags}, put(tx, p)
	})
}

// admitIssuer refuses what is no issuer, what the operator does not allow, and our own issuers: whoever holds their tokens has
// credentials already, which AssumeRole takes and knows more about.
func (s *Service) admitIssuer(issuer string) error {
	if strings.HasPrefix(issuer, s.outbound.IssuerURL("")) {
		return awserr.New(awserr.InvalidInput, "Creating an OIDC provider with an STS issuer URL from the same partition is not supported. "+
			"Within a partition, use AssumeRole instead of web identity federation.")
	}
	if err := oidc.CheckIssuer(issuer, true); err != nil {
		return awserr.Wrap(awserr.ValidationError, "Invalid Open ID Connect Provider URL", err)
	}
	if err := s.issuers.Admit(issuer); err != nil {
		return awserr.Wrap(awserr.InvalidInput, "This Open ID Connect Provider URL is not allowed here.", err)
	}
	return nil
}

// admitOIDCProvider checks that the account has room for the provider and its URL is free. Case counts in URLs.
func (s *Service) admitOIDCProvider(tx Tx, p *OIDCProvider) error {
	switch _, err := get[OIDCProvider](tx, p.Account, "", p.name()); {
	case err == nil:
		return awserr.New(awserr.EntityAlreadyExists, "Provider with url "+p.URL+" already exists.")
	case !errors.Is(err, ErrNotFound):
		return err
	}
	return within[OIDCProvider](tx, Query{Account: p.Account}, "OpenIdConnectProvidersPerAccount", s.quotas.OIDCProvidersPerAccount)
}

// addClientID adds a client id to those of p, unless it is there already.
func (s *Service) addClientID(p *OIDCProvider, id string) error {
	if slices.Contains(p.ClientIDs, id) {
		return nil
	}
	if len(p.ClientIDs) >= s.quotas.ClientIDsPerOIDCProvider {
		return overQuota("ClientIdsPerOpenIdConnectProvider", s.quotas.ClientIDsPerOIDCProvider)
	}
	p.ClientIDs = append(p.ClientIDs, id)
	return nil
}

// checkThumbprints returns the thumbprints in lower case, as they are compared.
func (s *Service) checkThumbprints(list []string) ([]string, error) {
	if len(list) > s.quotas.ThumbprintsPerOIDCProvider {
		return nil, awserr.Newf(awserr.InvalidInput, "Thumbprint list must contain fewer than %d entries.", s.quotas.ThumbprintsPerOIDCProvider)
	}
	var checked []string
	for _, t := range list {
		if _, err := hex.DecodeString(t); err != nil {
			return nil, awserr.New(awserr.InvalidInput, "A thumbprint is the SHA-1 digest of a certificate in hexadecimal.")
		}
		checked = append(checked, strings.ToLower(t))
	}
	return checked, nil
}

// GetOpenIDConnectProviderInput is the input of GetOpenIDConnectProvider.
type GetOpenIDConnectProviderInput struct {
	OpenIDConnectProviderARN string `aws:"OpenIDConnectProviderArn,required" len:"20,2048"`
}

// GetOpenIDConnectProviderOutput is the output of GetOpenIDConnectProvider.
type GetOpenIDConnectProviderOutput struct {
	URL            string    `aws:"Url"` // without the scheme
	ClientIDList   []string  `aws:"ClientIDList,always"`
	ThumbprintList []string  `aws:"ThumbprintList,always"`
	CreateDate     time.Time `aws:"CreateDate"`
	Tags           []Tag     `aws:"Tags"`
}

// GetOpenIDConnectProvider shows a provider.
func (s *Service) GetOpenIDConnectProvider(
	ctx context.Context, c *authn.Caller, in *GetOpenIDConnectProviderInput,
) (*GetOpenIDConnectProviderOutput, error) {
	return read(ctx, s, func(tx Tx) (*GetOpenIDConnectProviderOutput, error) {
		p, err := s.oidcProvider(tx, access{caller: c, action: "iam:GetOpenIDConnectProvider"}, in.OpenIDConnectProviderARN)
		if err != nil {
			return nil, err
		}
		return &GetOpenIDConnectProviderOutput{
			URL: p.name(), ClientIDList: p.ClientIDs, ThumbprintList: p.Thumbprints, CreateDate: p.CreateDate, Tags: p.Tags,
		}, nil
	})
}

// ListOpenIDConnectProvidersInput is the input of ListOpenIDConnectProviders, which has no parameters.
type ListOpenIDConnectProvidersInput struct{}

// ListOpenIDConnectProvidersOutput is the output of ListOpenIDConnectProviders.
type ListOpenIDConnectProvidersOutput struct {
	OpenIDConnectProviderList []OpenIDConnectProviderEntry `aws:"OpenIDConnectProviderList,always"`
}

// OpenIDConnectProviderEntry is how lists show a provider.
type OpenIDConnectProviderEntry struct {
	ARN string `aws:"Arn"`
}

// ListOpenIDConnectProviders lists the account's providers in order of their URLs. The list is never cut: the quota bounds it.
func (s *Service) ListOpenIDConnectProviders(
	ctx context.Context, c *authn.Caller, _ *ListOpenIDConnectProvidersInput,
) (*ListOpenIDConnectProvidersOutput, error) {
	return read(ctx, s, func(tx Tx) (*ListOpenIDConnectProvidersOutput, error) {
		if err := (access{caller: c, action: "iam:ListOpenIDConnectProviders"}).allow("*", nil); err != nil {
			return nil, err
		}
		providers, err := list[OIDCProvider](tx, Query{Account: c.Account})
		if err != nil {
			return nil, err
		}
		out := &ListOpenIDConnectProvidersOutput{OpenIDConnectProviderList: make([]OpenIDConnectProviderEntry, len(providers))}
		for i, p := range providers {
			out.OpenIDConnectProviderList[i].ARN = p.ARN()
		}
		return out, nil
	})
}

// AddClientIDToOpenIDConnectProviderInput is the input of AddClientIDToOpenIDConnectProvider.
type AddClientIDToOpenIDConnectProviderInput struct {
	OpenIDConnectProviderARN string `aws:"OpenIDConnectProviderArn,required" len:"20,2048"`
	ClientID                 string `aws:"ClientID,required" len:"1,255"`
}

// AddClientIDToOpenIDConnectProvider registers one more audience. One that is registered already is no mistake.
func (s *Service) AddClientIDToOpenIDConnectProvider(
	ctx context.Context, c *authn.Caller, in *AddClientIDToOpenIDConnectProviderInput,
) error {
	a := access{caller: c, action: "iam:AddClientIDToOpenIDConnectProvider"}
	return s.changeOIDCProvider(ctx, a, in.OpenIDConnectProviderARN, func(p *OIDCProvider) error { return s.addClientID(p, in.ClientID) })
}

// RemoveClientIDFromOpenIDConnectProviderInput is the input of RemoveClientIDFromOpenIDConnectProvider.
type RemoveClientIDFromOpenIDConnectProviderInput struct {
	OpenIDConnectProviderARN string `aws:"OpenIDConnectProviderArn,required" len:"20,2048"`
	ClientID                 string `aws:"ClientID,required" len:"1,255"`
}

// RemoveClientIDFromOpenIDConnectProvider takes an audience away. One that is not registered is no mistake.
func (s *Service) RemoveClientIDFromOpenIDConnectProvider(
	ctx context.Context, c *authn.Caller, in *RemoveClientIDFromOpenIDConnectProviderInput,
) error {
	a := access{caller: c, action: "iam:RemoveClientIDFromOpenIDConnectProvider"}
	return s.changeOIDCProvider(ctx, a, in.OpenIDConnectProviderARN, func(p *OIDCProvider) error {
		p.ClientIDs = slices.DeleteFunc(p.ClientIDs, func(id string) bool { return id == in.ClientID })
		return nil
	})
}

// UpdateOpenIDConnectProviderThumbprintInput is the input of UpdateOpenIDConnectProviderThumbprint.
type UpdateOpenIDConnectProviderThumbprintInput struct {
	OpenIDConnectProviderARN string   `aws:"OpenIDConnectProviderArn,required" len:"20,2048"`
	ThumbprintList           []string `aws:"ThumbprintList,required" itemlen:"40,40"`
}

// UpdateOpenIDConnectProviderThumbprint replaces the thumbprints.
func (s *Service) UpdateOpenIDConnectProviderThumbprint(
	ctx context.Context, c *authn.Caller, in *UpdateOpenIDConnectProviderThumbprintInput,
) error {
	a := access{caller: c, action: "iam:UpdateOpenIDConnectProviderThumbprint"}
	return s.changeOIDCProvider(ctx, a, in.OpenIDConnectProviderARN, func(p *OIDCProvider) (err error) {
		p.Thumbprints, err = s.checkThumbprints(in.ThumbprintList)
		return err
	})
}

// DeleteOpenIDConnectProviderInput is the input of DeleteOpenIDConnectProvider.
type DeleteOpenIDConnectProviderInput struct {
	OpenIDConnectProviderARN string `aws:"OpenIDConnectProviderArn,required" len:"20,2048"`
}

// DeleteOpenIDConnectProvider removes a provider. Roles that trust it keep their trust policies, which then let nobody in.
func (s *Service) DeleteOpenIDConnectProvider(ctx context.Context, c *authn.Caller, in *DeleteOpenIDConnectProviderInput) error {
	return s.update(ctx, func(tx Tx) error {
		p, err := s.oidcProvider(tx, access{caller: c, action: "iam:DeleteOpenIDConnectProvider"}, in.OpenIDConnectProviderARN)
		if err != nil {
			return err
		}
		return remove(tx, p)
	})
}

// TagOpenIDConnectProviderInput is the input of TagOpenIDConnectProvider.
type TagOpenIDConnectProviderInput struct {
	OpenIDConnectProviderARN string `aws:"OpenIDConnectProviderArn,required" len:"20,2048"`
	Tags                     []Tag  `aws:"Tags,required" len:"0,50"`
}

// TagOpenIDConnectProvider adds tags to a provider, or replaces those that have the same key.
func (s *Service) TagOpenIDConnectProvider(ctx context.Context, c *authn.Caller, in *TagOpenIDConnectProviderInput) error {
	a := access{caller: c, action: "iam:TagOpenIDConnectProvider", tags: in.Tags}
	return s.changeOIDCProvider(ctx, a, in.OpenIDConnectProviderARN, func(p *OIDCProvider) (err error) {
		p.Tags, err = s.mergeTags(p.Tags, in.Tags)
		return err
	})
}

// UntagOpenIDConnectProviderInput is the input of UntagOpenIDConnectProvider.
type UntagOpenIDConnectProviderInput struct {
	OpenIDConnectProviderARN string   `aws:"OpenIDConnectProviderArn,required" len:"20,2048"`
	TagKeys                  []string `aws:"TagKeys,required" len:"0,50" itemlen:"1,128" itempattern:"tagKey"`
}

// UntagOpenIDConnectProvider removes tags from a provider. Keys that it does not have are passed over.
func (s *Service) UntagOpenIDConnectProvider(ctx context.Context, c *authn.Caller, in *UntagOpenIDConnectProviderInput) error {
	a := access{caller: c, action: "iam:UntagOpenIDConnectProvider", tagKeys: in.TagKeys}
	return s.changeOIDCProvider(ctx, a, in.OpenIDConnectProviderARN, func(p *OIDCProvider) error {
		p.Tags = removeTags(p.Tags, in.TagKeys)
		return nil
	})
}

// ListOpenIDConnectProviderTagsInput is the input of ListOpenIDConnectProviderTags.
type ListOpenIDConnectProviderTagsInput struct {
	OpenIDConnectProviderARN string `aws:"OpenIDConnectProviderArn,required" len:"20,2048"`
	PageInput                `aws:",inline"`
}

// ListOpenIDConnectProviderTagsOutput is the output of ListOpenIDConnectProviderTags.
type ListOpenIDConnectProviderTagsOutput struct {
	Tags       []Tag `aws:"Tags,always"`
	PageOutput `aws:",inline"`
}

// ListOpenIDConnectProviderTags shows a provider's tags in order of their keys.
func (s *Service) ListOpenIDConnectProviderTags(
	ctx context.Context, c *authn.Caller, in *ListOpenIDConnectProviderTagsInput,
) (*ListOpenIDConnectProviderTagsOutput, error) {
	return read(ctx, s, func(tx Tx) (*ListOpenIDConnectProviderTagsOutput, error) {
		p, err := s.oidcProvider(tx, access{caller: c, action: "iam:ListOpenIDConnectProviderTags"}, in.OpenIDConnectProviderARN)
		if err != nil {
			return nil, err
		}
		tags, next, err := pageTags(p.Tags, in.PageInput)
		return &ListOpenIDConnectProviderTagsOutput{Tags: tags, PageOutput: next}, err
	})
}

// oidcProvider returns the caller's account's provider of that ARN if the caller may do the action on it.
func (s *Service) oidcProvider(tx Tx, a access, providerARN string) (*OIDCProvider, error) {
	name, err := a.providerName("oidc-provider", providerARN)
	if err != nil {
		return nil, err
	}
	p, err := get[OIDCProvider](tx, a.caller.Account, "", name)
	return found(p, err, a, providerARN, func() []Tag { return p.Tags }, "OpenIDConnect Provider not found for arn "+providerARN)
}

// changeOIDCProvider changes a provider and stores it.
func (s *Service) changeOIDCProvider(ctx context.Context, a access, providerARN string, change func(*OIDCProvider) error) error {
	return s.update(ctx, func(tx Tx) error {
		p, err := s.oidcProvider(tx, a, providerARN)
		if err != nil {
			return err
		}
		if err := change(p); err != nil {
			return err
		}
		return put(tx, p)
	})
}

// OIDCProvider returns the provider that the account has registered for exactly that issuer, to be shared and not changed. The
// error matches ErrNotFound when there is none. Anybody may ask, before anything is proven: what does not exist costs little.
func (d *Directory) OIDCProvider(ctx context.Context, account, issuer string) (*oidc.Provider, error) {
	if len(issuer) > oidc.MaxIssuer || !arn.ValidAccount(account) {
		return nil, fmt.Errorf("OIDC provider: %w", ErrNotFound)
	}
	asked := &OIDCProvider{Account: account, URL: issuer}
	p, err := d.oidcProvider(ctx, account, asked.ARN(), asked.name())
	if err != nil {
		return nil, err
	}
	if p.Issuer != issuer { // the scheme is not in the key
		return nil, fmt.Errorf("OIDC provider of %s: %w", account, ErrNotFound)
	}
	return p, nil
}

// OIDCProviderByARN is OIDCProvider for an ARN.
func (d *Directory) OIDCProviderByARN(ctx context.Context, a arn.ARN) (*oidc.Provider, error) {
	if !a.IsIAM("oidc-provider") || a.Partition != arn.Partition || !arn.ValidAccount(a.Account) || len(a.Resource) > oidc.MaxIssuer {
		return nil, fmt.Errorf("OIDC provider: %w", ErrNotFound)
	}
	return d.oidcProvider(ctx, a.Account, a.String(), strings.TrimPrefix(a.Resource, "oidc-provider/"))
}

func (d *Directory) oidcProvider(ctx context.Context, account, key, name string) (*oidc.Provider, error) {
	if p, ok := d.oidcProviders.hit(key); ok {
		return p, nil
	}
	p, err := d.oidcProviders.get(ctx, key, func(r *reading) (result[*oidc.Provider], error) {
		r.dependOn(key)
		p, err := get[OIDCProvider](r.tx, account, "", name)
		if err != nil {
			return result[*oidc.Provider]{}, err
		}
		return result[*oidc.Provider]{value: &oidc.Provider{
			ARN: key, Issuer: p.URL, ClientIDs: p.ClientIDs, Thumbprints: p.Thumbprints,
		}}, nil
	})
	if err != nil {
		return nil, fmt.Errorf("OIDC provider of %s: %w", account, err)
	}
	return p, nil
}
