package iam_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stint-sts/stint/arn"
	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/federation/samltest"
	"github.com/stint-sts/stint/iam"
	"github.com/stint-sts/stint/secret"
)

const samlARN = "arn:aws:iam::111122223333:saml-provider/idp"

func (f *fixture) newSAML(change func(*iam.CreateSAMLProviderInput)) error {
	in := &iam.CreateSAMLProviderInput{Name: "idp", SAMLMetadataDocument: samltest.New(f.t, "https://idp.example.com").Metadata()}
	if change != nil {
		change(in)
	}
	_, err := f.CreateSAMLProvider(f.t.Context(), f.root(), in)
	return err
}

func (f *fixture) getSAML() *iam.GetSAMLProviderOutput {
	f.t.Helper()
	out, err := f.GetSAMLProvider(f.t.Context(), f.root(), &iam.GetSAMLProviderInput{SAMLProviderARN: samlARN})
	f.ok(err)
	return out
}

func (f *fixture) updateSAML(in iam.UpdateSAMLProviderInput) error {
	in.SAMLProviderARN = samlARN
	_, err := f.UpdateSAMLProvider(f.t.Context(), f.root(), &in)
	return err
}

func TestSAMLProvider_Life(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	ctx := t.Context()
	idp := samltest.New(t, "https://idp.example.com")
	f.ok(f.newSAML(func(in *iam.CreateSAMLProviderInput) { in.Tags = []iam.Tag{{Key: "team", Value: "blue"}} }))
	got := f.getSAML()
	if got.SAMLMetadataDocument != idp.Metadata() || len(got.SAMLProviderUUID) != 32 || len(got.Tags) != 1 || got.AssertionEncryptionMode != "" ||
		!got.ValidUntil.Equal(got.CreateDate.AddDate(100, 0, 0)) {
		t.Errorf("provider is %+v", got)
	}
	f.refused(f.newSAML(nil), awserr.EntityAlreadyExists, "Provider with name idp already exists.")

	f.ok(f.updateSAML(iam.UpdateSAMLProviderInput{SAMLMetadataDocument: idp.MetadataUntil("2030-01-02T03:04:05Z")}))
	if got := f.getSAML(); !got.ValidUntil.Equal(time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)) {
		t.Errorf("valid until %v", got.ValidUntil)
	}
	list, err := f.ListSAMLProviders(ctx, f.root(), &iam.ListSAMLProvidersInput{})
	f.ok(err)
	if len(list.SAMLProviderList) != 1 || list.SAMLProviderList[0].ARN != samlARN {
		t.Errorf("list is %+v", list)
	}

	f.ok(f.TagSAMLProvider(ctx, f.root(), &iam.TagSAMLProviderInput{SAMLProviderARN: samlARN, Tags: []iam.Tag{{Key: "a", Value: "1"}}}))
	f.ok(f.UntagSAMLProvider(ctx, f.root(), &iam.UntagSAMLProviderInput{SAMLProviderARN: samlARN, TagKeys: []string{"TEAM"}}))
	tags, err := f.ListSAMLProviderTags(ctx, f.root(), &iam.ListSAMLProviderTagsInput{SAMLProviderARN: samlARN})
	f.ok(err)
	if len(tags.Tags) != 1 || tags.Tags[0].Key != "a" {
		t.Errorf("tags are %+v", tags.Tags)
	}

	f.ok(f.DeleteSAMLProvider(ctx, f.root(), &iam.DeleteSAMLProviderInput{SAMLProviderARN: samlARN}))
	_, err = f.GetSAMLProvider(ctx, f.root(), &iam.GetSAMLProviderInput{SAMLProviderARN: samlARN})
	f.refused(err, awserr.NoSuchEntity, "SAML provider "+samlARN+" not found.")
}

func TestSAMLProvider_Refused(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	const noKey = "A private key is needed when AssertionEncryptionMode is Required."
	f.refused(f.newSAML(func(in *iam.CreateSAMLProviderInput) {
		in.SAMLMetadataDocument = strings.Replace(in.SAMLMetadataDocument, "entityID", "x", 1)
	}),
		awserr.InvalidInput, "Could not parse metadata")
	f.refused(f.newSAML(func(in *iam.CreateSAMLProviderInput) { in.AssertionEncryptionMode = "Required" }), awserr.InvalidInput, noKey)
	f.refused(f.newSAML(func(in *iam.CreateSAMLProviderInput) { in.AddPrivateKey = secret.New("-----BEGIN x-----") }),
		awserr.InvalidInput, "The private key is not an RSA key of at least 2048 bits in PEM.")
	for given, kind := range map[string]*awserr.Kind{
		"arn:aws:iam::999999999999:saml-provider/idp": awserr.AccessDenied,
		"arn:aws:iam::111122223333:oidc-provider/idp": awserr.ValidationError,
		"arn:aws:iam::111122223333:saml-provider/no":  awserr.NoSuchEntity,
	} {
		_, err := f.GetSAMLProvider(t.Context(), f.root(), &iam.GetSAMLProviderInput{SAMLProviderARN: given})
		if e, ok := errors.AsType[*awserr.Error](err); !ok || e.Kind != kind {
			t.Errorf("%s: %v", given, err)
		}
	}
}

func TestSAMLProvider_PrivateKeys(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	key, pem := samltest.EncryptionKey(t)
	add := iam.UpdateSAMLProviderInput{AddPrivateKey: secret.New(pem)}
	f.ok(f.newSAML(func(in *iam.CreateSAMLProviderInput) {
		in.AddPrivateKey, in.AssertionEncryptionMode = secret.New(pem), "Required"
	}))
	f.ok(f.updateSAML(add))
	if err := f.updateSAML(add); err == nil {
		t.Error("a third key is taken")
	}
	keys := f.getSAML().PrivateKeyList
	if len(keys) != 2 || len(keys[0].KeyID) != 32 || keys[0].KeyID == keys[1].KeyID {
		t.Fatalf("keys are %+v", keys)
	}
	f.ok(f.updateSAML(iam.UpdateSAMLProviderInput{RemovePrivateKey: keys[0].KeyID}))
	if err := f.updateSAML(iam.UpdateSAMLProviderInput{RemovePrivateKey: keys[0].KeyID}); err == nil {
		t.Error("a key is removed twice")
	}
	if err := f.updateSAML(iam.UpdateSAMLProviderInput{RemovePrivateKey: keys[1].KeyID}); err == nil {
		t.Error("the last key is removed while encryption is required")
	}
	a, err := arn.Parse(samlARN)
	f.ok(err)
	p, err := f.directory.SAMLProvider(t.Context(), a)
	f.ok(err)
	if !p.Encrypted || len(p.Decryption) != 1 || !p.Decryption[0].Equal(key) || p.Metadata.EntityID != "https://idp.example.com" {
		t.Errorf("provider is %+v", p)
	}

	// What changes takes effect at once, also on what is cached.
	f.ok(f.updateSAML(iam.UpdateSAMLProviderInput{
		AssertionEncryptionMode: "Allowed", RemovePrivateKey: keys[1].KeyID,
		SAMLMetadataDocument: samltest.New(t, "https://next.example.com").Metadata(),
	}))
	p, err = f.directory.SAMLProvider(t.Context(), a)
	f.ok(err)
	if p.Encrypted || len(p.Decryption) != 0 || p.Metadata.EntityID != "https://next.example.com" {
		t.Errorf("after the change the provider is %+v", p)
	}
	f.ok(f.DeleteSAMLProvider(t.Context(), f.root(), &iam.DeleteSAMLProviderInput{SAMLProviderARN: samlARN}))
	if _, err := f.directory.SAMLProvider(t.Context(), a); !errors.Is(err, authn.ErrUnknown) {
		t.Errorf("after the deletion: %v", err)
	}
}
