package main_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	"github.com/stint-sts/stint/federation/samltest"
)

// A person's assertion becomes credentials: an unmodified SDK registers the provider, redeems the assertion without credentials of its
// own, and calls with what it gets. Neither audit nor log holds the assertion.
func TestSAML_EndToEnd(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	const acs = "https://sts.example.com/saml/acs"
	config := filepath.Join(t.TempDir(), "stint.yaml")
	write(t, config, "saml:\n  acs-url: ["+acs+"]\n")
	n := start(t, filepath.Join(t.TempDir(), "data"), "--account-id", "111122223333", "--config", config)
	root := n.root()
	idp := samltest.New(t, "https://idp.example.com")
	key, pem := samltest.EncryptionKey(t)
	provider, err := root.iam.CreateSAMLProvider(ctx, &iam.CreateSAMLProviderInput{
		Name: aws.String("corp"), SAMLMetadataDocument: aws.String(idp.Metadata()), AddPrivateKey: &pem,
		AssertionEncryptionMode: iamtypes.AssertionEncryptionModeTypeRequired,
	})
	if err != nil {
		t.Fatal(err)
	}
	role, err := root.iam.CreateRole(ctx, &iam.CreateRoleInput{RoleName: aws.String("Dev"), AssumeRolePolicyDocument: aws.String(
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Federated":"` + *provider.SAMLProviderArn +
			`"},"Action":["sts:AssumeRoleWithSAML","sts:TagSession"],"Condition":{"StringEquals":{"SAML:aud":"` + acs + `"}}}]}`)})
	if err != nil {
		t.Fatal(err)
	}
	good := func() *samltest.Response {
		r := idp.Good(time.Now(), acs)
		r.Attributes[samltest.AttributePrefix+"Role"] = []string{*role.Role.Arn + "," + *provider.SAMLProviderArn}
		r.Attributes[samltest.AttributePrefix+"PrincipalTag:Team"] = []string{"blue"}
		r.Encrypt = &samltest.Encryption{Cipher: "aes256-gcm", To: &key.PublicKey}
		return r
	}
	anonymous := n.client("AKIAIOSFODNN7EXAMPLE", "x", "") // the SDK signs nothing of this call
	assume := func(assertion string) (*sts.AssumeRoleWithSAMLOutput, error) {
		return anonymous.sts.AssumeRoleWithSAML(ctx, &sts.AssumeRoleWithSAMLInput{
			RoleArn: role.Role.Arn, PrincipalArn: provider.SAMLProviderArn, SAMLAssertion: &assertion,
		})
	}
	assertion := idp.Encode(t, good())
	out, err := assume(assertion)
	if err != nil {
		t.Fatal(err)
	}
	if *out.Subject != "alice@example.com" || *out.SubjectType != "persistent" || *out.Audience != acs || *out.Issuer != idp.EntityID {
		t.Errorf("answer is %+v", out)
	}
	who, err := n.with(out.Credentials).sts.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil || *who.Arn != "arn:aws:sts::111122223333:assumed-role/Dev/alice" {
		t.Fatalf("%v, %v", who, err)
	}

	forged, plain := good(), good()
	forged.EditSigned = func(s string) string { return strings.Replace(s, "alice@example.com", "admin@example.com", 1) }
	plain.Encrypt = nil
	late := good()
	late.IssueInstant = time.Now().Add(-6 * time.Minute)
	for name, row := range map[string]struct{ assertion, code string }{
		"used":   {assertion, "InvalidIdentityToken"},
		"forged": {idp.Encode(t, forged), "InvalidIdentityToken"},
		"plain":  {idp.Encode(t, plain), "InvalidIdentityToken"},
		"late":   {idp.Encode(t, late), "ExpiredTokenException"},
	} {
		_, err := assume(row.assertion)
		if e, ok := errors.AsType[smithy.APIError](err); !ok || e.ErrorCode() != row.code {
			t.Errorf("%s: %v", name, err)
		}
	}

	files, err := filepath.Glob(filepath.Join(n.dir, "audit", "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("audit files: %v, %v", files, err)
	}
	var trail strings.Builder
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		trail.Write(text)
	}
	for _, want := range []string{`"SAMLUser"`, `"alice@example.com"`, "not signed by a trusted key: digest differs", "issued too long ago", "not encrypted"} {
		if !strings.Contains(trail.String(), want) {
			t.Errorf("the audit does not tell %s", want)
		}
	}
	for _, secret := range []string{assertion[:64], assertion[len(assertion)/2:][:64], "admin@example.com"} {
		if strings.Contains(trail.String(), secret) || strings.Contains(n.output.String(), secret) {
			t.Errorf("audit or log hold %q", secret)
		}
	}
}
