package iam

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/stint-sts/stint/arn"
	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/federation/saml"
	"github.com/stint-sts/stint/seal"
	"github.com/stint-sts/stint/secret"
)

// The modes of AssertionEncryptionMode.
const (
	encryptionRequired = "Required" // plain assertions are refused
	encryptionAllowed  = "Allowed"
)

// maxSAMLKeys bounds a provider's private keys: one in use and one to turn to (IAM API model, privateKeyList).
const maxSAMLKeys = 2

// SAMLPrivateKey is a key that a provider's assertions may be encrypted to.
type SAMLPrivateKey struct {
	ID         string // 32 capitals and digits
	Sealed     []byte // PEM as it was given, sealed
	CreateDate time.Time
}

func (k *SAMLPrivateKey) sealContext(provider string) string {
	return "saml-private-key/" + provider + "/" + k.ID
}

// CreateSAMLProviderInput is the input of CreateSAMLProvider.
type CreateSAMLProviderInput struct {
	SAMLMetadataDocument    string        `aws:"SAMLMetadataDocument,required" len:"1000,10000000"`
	Name                    string        `aws:"Name,required" len:"1,128" pattern:"samlName"`
	Tags                    []Tag         `aws:"Tags" len:"0,50"`
	AssertionEncryptionMode string        `aws:"AssertionEncryptionMode" enum:"Required,Allowed"`
	AddPrivateKey           secret.String `aws:"AddPrivateKey" len:"1,16384" pattern:"policyDocument"` // PEM
}

// CreateSAMLProviderOutput is the output of CreateSAMLProvider.
type CreateSAMLProviderOutput struct {
	SAMLProviderARN string `aws:"SAMLProviderArn"`
	Tags            []Tag  `aws:"Tags"`
}

// CreateSAMLProvider registers an identity provider whose assertions roles of the account may trust. With tags it needs
// iam:TagSAMLProvider as well.
func (s *Service) CreateSAMLProvider(ctx context.Context, c *authn.Caller, in *CreateSAMLProviderInput) (*CreateSAMLProviderOutput, error) {
	p := &SAMLProvider{Account: c.Account, Name: in.Name, CreateDate: s.today()}
	if err := allowCreate(c, "iam:CreateSAMLProvider", "iam:TagSAMLProvider", p.ARN(), in.Tags, nil); err != nil {
		return nil, err
	}
	uuid, err := s.longID()
	if err != nil {
		return nil, err
	}
	p.UUID = uuid
	if err := p.setMetadata(in.SAMLMetadataDocument); err != nil {
		return nil, err
	}
	if err := s.addSAMLKey(p, in.AddPrivateKey); err != nil {
		return nil, err
	}
	if err := p.setMode(in.AssertionEncryptionMode); err != nil {
		return nil, err
	}
	if p.Tags, err = s.mergeTags(nil, in.Tags); err != nil {
		return nil, err
	}
	return change(ctx, s, func(tx Tx) (*CreateSAMLProviderOutput, error) {
		p.version = 0 // a transaction may run twice
		switch _, err := get[SAMLProvider](tx, p.Account, "", p.Name); {
		case err == nil:
			return nil, awserr.New(awserr.EntityAlreadyExists, "Provider with name "+p.Name+" already exists.")
		case !errors.Is(err, ErrNotFound):
			return nil, err
		}
		if err := within[SAMLProvider](tx, Query{Account: p.Account}, "SAMLProvidersPerAccount", s.quotas.SAMLProvidersPerAccount); err != nil {
			return nil, err
		}
		return &CreateSAMLProviderOutput{SAMLProviderARN: p.ARN(), Tags: p.Tags}, putSealed(tx, p, s.master)
	})
}

// longID mints an id of 32 capitals and digits, as providers and their keys have (IAM API model, privateKeyIdType).
func (s *Service) longID() (string, error) {
	var raw [16]byte
	if _, err := io.ReadFull(s.rand, raw[:]); err != nil {
		return "", err
	}
	return strings.ToUpper(hex.EncodeToString(raw[:])), nil
}

// setMetadata replaces the metadata. Those without an end are valid for a hundred years, as on AWS.
func (p *SAMLProvider) setMetadata(document string) error {
	m, err := saml.ParseMetadata(document)
	if err != nil {
		return awserr.Wrap(awserr.InvalidInput, "Could not parse metadata", err)
	}
	p.Metadata, p.EntityID, p.ValidUntil = document, m.EntityID, m.ValidUntil
	if p.ValidUntil.IsZero() {
		p.ValidUntil = p.CreateDate.AddDate(100, 0, 0)
	}
	return nil
}

// setMode sets the encryption mode; "" leaves it. What must be encrypted needs a key to be encrypted to.
func (p *SAMLProvider) setMode(mode string) error {
	if mode != "" {
		p.EncryptionMode = mode
	}
	if p.EncryptionMode == "" && len(p.PrivateKeys) > 0 {
		p.EncryptionMode = encryptionAllowed
	}
	if p.EncryptionMode == encryptionRequired && len(p.PrivateKeys) == 0 {
		return awserr.New(awserr.InvalidInput, "A private key is needed when AssertionEncryptionMode is Required.")
	}
	return nil
}

// addSAMLKey seals and adds a private key, if one is given.
func (s *Service) addSAMLKey(p *SAMLProvider, key secret.String) error {
	if key.IsZero() {
		return nil
	}
	if len(p.PrivateKeys) >= maxSAMLKeys {
		return overQuota("PrivateKeysPerSAMLProvider", maxSAMLKeys)
	}
	if _, err := saml.ParsePrivateKey(key.Reveal()); err != nil {
		return awserr.Wrap(awserr.InvalidInput, "The private key is not an RSA key of at least 2048 bits in PEM.", err)
	}
	id, err := s.longID()
	if err != nil {
		return err
	}
	k := SAMLPrivateKey{ID: id, CreateDate: s.today()}
	if k.Sealed, err = s.master.Seal([]byte(key.Reveal()), k.sealContext(p.ARN())); err != nil {
		return fmt.Errorf("private key: %w", err)
	}
	p.PrivateKeys = append(p.PrivateKeys, k)
	return nil
}

// UpdateSAMLProviderInput is the input of UpdateSAMLProvider.
type UpdateSAMLProviderInput struct {
	SAMLMetadataDocument    string        `aws:"SAMLMetadataDocument" len:"1000,10000000"`
	SAMLProviderARN         string        `aws:"SAMLProviderArn,required" len:"20,2048"`
	AssertionEncryptionMode string        `aws:"AssertionEncryptionMode" enum:"Required,Allowed"`
	AddPrivateKey           secret.String `aws:"AddPrivateKey" len:"1,16384" pattern:"policyDocument"` // PEM
	RemovePrivateKey        string        `aws:"RemovePrivateKey" len:"22,64" pattern:"privateKeyId"`  // its id
}

// UpdateSAMLProviderOutput is the output of UpdateSAMLProvider.
type UpdateSAMLProviderOutput struct {
	SAMLProviderARN string `aws:"SAMLProviderArn"`
}

// UpdateSAMLProvider replaces the metadata, sets the encryption mode, removes a private key and adds one; what is not given stays. It
// takes effect at once: a certificate that left the metadata signs nothing any more.
func (s *Service) UpdateSAMLProvider(ctx context.Context, c *authn.Caller, in *UpdateSAMLProviderInput) (*UpdateSAMLProviderOutput, error) {
	a := access{caller: c, action: "iam:UpdateSAMLProvider"}
	err := s.changeSAMLProvider(ctx, a, in.SAMLProviderARN, func(p *SAMLProvider) error {
		if in.SAMLMetadataDocument != "" {
			if err := p.setMetadata(in.SAMLMetadataDocument); err != nil {
				return err
			}
		}
		if id := in.RemovePrivateKey; id != "" {
			kept := slices.DeleteFunc(p.PrivateKeys, func(k SAMLPrivateKey) bool { return k.ID == id })
			if len(kept) == len(p.PrivateKeys) {
				return awserr.New(awserr.NoSuchEntity, "The private key with id "+id+" cannot be found.")
			}
			p.PrivateKeys = kept
		}
		if err := s.addSAMLKey(p, in.AddPrivateKey); err != nil {
			return err
		}
		return p.setMode(in.AssertionEncryptionMode)
	})
	if err != nil {
		return nil, err
	}
	return &UpdateSAMLProviderOutput{in.SAMLProviderARN}, nil
}

// GetSAMLProviderInput is the input of GetSAMLProvider.
type GetSAMLProviderInput struct {
	SAMLProviderARN string `aws:"SAMLProviderArn,required" len:"20,2048"`
}

// GetSAMLProviderOutput is the output of GetSAMLProvider.
type GetSAMLProviderOutput struct {
	SAMLProviderUUID        string                `aws:"SAMLProviderUUID"`
	SAMLMetadataDocument    string                `aws:"SAMLMetadataDocument"`
	CreateDate              time.Time             `aws:"CreateDate"`
	ValidUntil              time.Time             `aws:"ValidUntil"`
	Tags                    []Tag                 `aws:"Tags"`
	AssertionEncryptionMode string                `aws:"AssertionEncryptionMode"`
	PrivateKeyList          []SAMLPrivateKeyEntry `aws:"PrivateKeyList"`
}

// SAMLPrivateKeyEntry is how answers show a private key, which never leaves again.
type SAMLPrivateKeyEntry struct {
	KeyID     string    `aws:"KeyId"`
	Timestamp time.Time `aws:"Timestamp"`
}

// GetSAMLProvider shows a provider.
func (s *Service) GetSAMLProvider(ctx context.Context, c *authn.Caller, in *GetSAMLProviderInput) (*GetSAMLProviderOutput, error) {
	return read(ctx, s, func(tx Tx) (*GetSAMLProviderOutput, error) {
		p, err := s.samlProvider(tx, access{caller: c, action: "iam:GetSAMLProvider"}, in.SAMLProviderARN)
		if err != nil {
			return nil, err
		}
		out := &GetSAMLProviderOutput{
			SAMLProviderUUID: p.UUID, SAMLMetadataDocument: p.Metadata, CreateDate: p.CreateDate, ValidUntil: p.ValidUntil, Tags: p.Tags,
			AssertionEncryptionMode: p.EncryptionMode,
		}
		for _, k := range p.PrivateKeys {
			out.PrivateKeyList = append(out.PrivateKeyList, SAMLPrivateKeyEntry{k.ID, k.CreateDate})
		}
		return out, nil
	})
}

// ListSAMLProvidersInput is the input of ListSAMLProviders, which has no parameters.
type ListSAMLProvidersInput struct{}

// ListSAMLProvidersOutput is the output of ListSAMLProviders.
type ListSAMLProvidersOutput struct {
	SAMLProviderList []SAMLProviderEntry `aws:"SAMLProviderList,always"`
}

// SAMLProviderEntry is how lists show a provider.
type SAMLProviderEntry struct {
	ARN        string    `aws:"Arn"`
	ValidUntil time.Time `aws:"ValidUntil"`
	CreateDate time.Time `aws:"CreateDate"`
}

// ListSAMLProviders lists the account's providers in order of their names. The list is never cut: the quota bounds it.
func (s *Service) ListSAMLProviders(ctx context.Context, c *authn.Caller, _ *ListSAMLProvidersInput) (*ListSAMLProvidersOutput, error) {
	return read(ctx, s, func(tx Tx) (*ListSAMLProvidersOutput, error) {
		if err := (access{caller: c, action: "iam:ListSAMLProviders"}).allow("*", nil); err != nil {
			return nil, err
		}
		providers, err := list[SAMLProvider](tx, Query{Account: c.Account})
		if err != nil {
			return nil, err
		}
		out := &ListSAMLProvidersOutput{SAMLProviderList: make([]SAMLProviderEntry, len(providers))}
		for i, p := range providers {
			out.SAMLProviderList[i] = SAMLProviderEntry{p.ARN(), p.ValidUntil, p.CreateDate}
		}
		return out, nil
	})
}

// DeleteSAMLProviderInput is the input of DeleteSAMLProvider.
type DeleteSAMLProviderInput struct {
	SAMLProviderARN string `aws:"SAMLProviderArn,required" len:"20,2048"`
}

// DeleteSAMLProvider removes a provider. Roles that trust it keep their trust policies, which then let nobody in.
func (s *Service) DeleteSAMLProvider(ctx context.Context, c *authn.Caller, in *DeleteSAMLProviderInput) error {
	return s.update(ctx, func(tx Tx) error {
		p, err := s.samlProvider(tx, access{caller: c, action: "iam:DeleteSAMLProvider"}, in.SAMLProviderARN)
		if err != nil {
			return err
		}
		return remove(tx, p)
	})
}

// TagSAMLProviderInput is the input of TagSAMLProvider.
type TagSAMLProviderInput struct {
	SAMLProviderARN string `aws:"SAMLProviderArn,required" len:"20,2048"`
	Tags            []Tag  `aws:"Tags,required" len:"0,50"`
}

// TagSAMLProvider adds tags to a provider, or replaces those that have the same key.
func (s *Service) TagSAMLProvider(ctx context.Context, c *authn.Caller, in *TagSAMLProviderInput) error {
	a := access{caller: c, action: "iam:TagSAMLProvider", tags: in.Tags}
	return s.changeSAMLProvider(ctx, a, in.SAMLProviderARN, func(p *SAMLProvider) (err error) {
		p.Tags, err = s.mergeTags(p.Tags, in.Tags)
		return err
	})
}

// UntagSAMLProviderInput is the input of UntagSAMLProvider.
type UntagSAMLProviderInput struct {
	SAMLProviderARN string   `aws:"SAMLProviderArn,required" len:"20,2048"`
	TagKeys         []string `aws:"TagKeys,required" len:"0,50" itemlen:"1,128" itempattern:"tagKey"`
}

// UntagSAMLProvider removes tags from a provider. Keys that it does not have are passed over.
func (s *Service) UntagSAMLProvider(ctx context.Context, c *authn.Caller, in *UntagSAMLProviderInput) error {
	a := access{caller: c, action: "iam:UntagSAMLProvider", tagKeys: in.TagKeys}
	return s.changeSAMLProvider(ctx, a, in.SAMLProviderARN, func(p *SAMLProvider) error {
		p.Tags = removeTags(p.Tags, in.TagKeys)
		return nil
	})
}

// ListSAMLProviderTagsInput is the input of ListSAMLProviderTags.
type ListSAMLProviderTagsInput struct {
	SAMLProviderARN string `aws:"SAMLProviderArn,required" len:"20,2048"`
	PageInput       `aws:",inline"`
}

// ListSAMLProviderTagsOutput is the output of ListSAMLProviderTags.
type ListSAMLProviderTagsOutput struct {
	Tags       []Tag `aws:"Tags,always"`
	PageOutput `aws:",inline"`
}

// ListSAMLProviderTags shows a provider's tags in order of their keys.
func (s *Service) ListSAMLProviderTags(
	ctx context.Context, c *authn.Caller, in *ListSAMLProviderTagsInput,
) (*ListSAMLProviderTagsOutput, error) {
	return read(ctx, s, func(tx Tx) (*ListSAMLProviderTagsOutput, error) {
		p, err := s.samlProvider(tx, access{caller: c, action: "iam:ListSAMLProviderTags"}, in.SAMLProviderARN)
		if err != nil {
			return nil, err
		}
		tags, next, err := pageTags(p.Tags, in.PageInput)
		return &ListSAMLProviderTagsOutput{Tags: tags, PageOutput: next}, err
	})
}

// samlProvider returns the caller's account's provider of that ARN if the caller may do the action on it.
func (s *Service) samlProvider(tx Tx, a access, providerARN string) (*SAMLProvider, error) {
	name, err := a.providerName("saml-provider", providerARN)
	if err != nil {
		return nil, err
	}
	p, err := get[SAMLProvider](tx, a.caller.Account, "", name)
	return found(p, err, a, providerARN, func() []Tag { return p.Tags }, "SAML provider "+providerARN+" not found.")
}

// changeSAMLProvider changes a provider and stores it.
func (s *Service) changeSAMLProvider(ctx context.Context, a access, providerARN string, change func(*SAMLProvider) error) error {
	return s.update(ctx, func(tx Tx) error {
		p, err := s.samlProvider(tx, a, providerARN)
		if err != nil {
			return err
		}
		if err := change(p); err != nil {
			return err
		}
		return putSealed(tx, p, s.master)
	})
}

// SAMLProvider returns the provider with that ARN, to be shared and not changed. The error matches ErrNotFound when there is none.
// Anybody may ask, before anything is proven: what does not exist costs little.
func (d *Directory) SAMLProvider(ctx context.Context, a arn.ARN) (*saml.Provider, error) {
	if !a.IsIAM("saml-provider") || a.Partition != arn.Partition || !arn.ValidAccount(a.Account) {
		return nil, fmt.Errorf("SAML provider: %w", ErrNotFound)
	}
	key := a.String()
	if p, ok := d.samlProviders.hit(key); ok {
		return p, nil
	}
	p, err := d.samlProviders.get(ctx, key, func(r *reading) (result[*saml.Provider], error) {
		r.dependOn(key)
		stored, err := get[SAMLProvider](r.tx, a.Account, "", strings.TrimPrefix(a.Resource, "saml-provider/"))
		if err != nil {
			return result[*saml.Provider]{}, err
		}
		p, err := stored.open(d.master)
		return result[*saml.Provider]{value: p, bytes: len(stored.Metadata)}, err
	})
	if err != nil {
		return nil, fmt.Errorf("SAML provider of %s: %w", a.Account, err)
	}
	return p, nil
}

// MaxSAMLProvidersOf bounds the answer of SAMLProvidersOf: each is a signature to check for somebody who has proven nothing.
const MaxSAMLProvidersOf = 16

// SAMLProvidersOf returns the providers, of all accounts, whose metadata have that entity id: who could have sent a response of that
// issuer. Of more than MaxSAMLProvidersOf it returns the first. It reads the store each time.
func (d *Directory) SAMLProvidersOf(ctx context.Context, entityID string) ([]*saml.Provider, error) {
	if entityID == "" {
		return nil, nil
	}
	var registered []arn.ARN
	err := d.store.View(ctx, func(tx Tx) error {
		registered = nil
		records, err := tx.List(Query{Kind: KindSAMLProvider, Target: entityID, Limit: MaxSAMLProvidersOf})
		for _, r := range records {
			registered = append(registered, arn.ARN{Partition: arn.Partition, Service: "iam", Account: r.Account, Resource: "saml-provider/" + r.Name})
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("SAML providers of an issuer: %w", err)
	}
	var providers []*saml.Provider
	for _, a := range registered {
		p, err := d.SAMLProvider(ctx, a)
		if errors.Is(err, ErrNotFound) {
			continue // deleted meanwhile
		}
		if err != nil {
			return nil, err
		}
		providers = append(providers, p)
	}
	return providers, nil
}

// open returns the provider as assertions are verified with it.
func (p *SAMLProvider) open(master *seal.Key) (*saml.Provider, error) {
	opened := &saml.Provider{ARN: p.ARN(), Account: p.Account, Name: p.Name, Encrypted: p.EncryptionMode == encryptionRequired}
	var err error
	if opened.Metadata, err = saml.ParseMetadata(p.Metadata); err != nil {
		return nil, broken("metadata", err)
	}
	for _, k := range p.PrivateKeys {
		text, err := master.Open(k.Sealed, k.sealContext(p.ARN()))
		if err != nil {
			return nil, fmt.Errorf("private key %s: %w", k.ID, err)
		}
		key, err := saml.ParsePrivateKey(string(text))
		if err != nil {
			return nil, broken("private key "+k.ID, err)
		}
		opened.Decryption = append(opened.Decryption, key)
	}
	return opened, nil
}
