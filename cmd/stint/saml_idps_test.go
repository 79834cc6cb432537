package main_test

import (
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	"github.com/stint-sts/stint/federation/saml"
	"github.com/stint-sts/stint/federation/samltest"
	"github.com/stint-sts/stint/federation/samltest/idps"
)

// People sign in on the pages of identity providers that companies use, and the aws CLI turns what these send into credentials.
func TestSAML_RealProviders(t *testing.T) {
	t.Parallel()
	needAWS(t)
	config := filepath.Join(t.TempDir(), "stint.yaml")
	write(t, config, "saml:\n  audiences: [urn:response, urn:assertion, urn:encrypted]\n")
	n := start(t, filepath.Join(t.TempDir(), "data"), "--account-id", "111122223333", "--config", config)
	root := n.root()
	key, keyPEM := samltest.EncryptionKey(t)
	encryption, err := saml.NewSigningKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, startIdP := range map[string]func(testing.TB, idps.Config) *idps.IdP{"SimpleSAMLphp": idps.SimpleSAMLphp, "samlify": idps.Samlify} {
		t.Run(name, func(t *testing.T) {
			provider := "arn:aws:iam::111122223333:saml-provider/" + name
			role := root.role(name, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Federated":"`+provider+
				`"},"Action":["sts:AssumeRoleWithSAML","sts:TagSession"],"Condition":{"StringEquals":{"SAML:aud":"`+n.url+`/saml/acs"}}}]}`)
			parties := []idps.Party{
				{EntityID: "urn:response", ACS: n.url + "/saml/acs", SignResponse: true},
				{EntityID: "urn:assertion", ACS: n.url + "/saml/acs", SignAssertion: true},
				{EntityID: "urn:encrypted", ACS: n.url + "/saml/acs", SignResponse: true, SignAssertion: true, EncryptionCertificate: encryption.Certificate},
			}
			idp := startIdP(t, idps.Config{Parties: parties, Users: []idps.User{{Name: "alice", Password: "correct horse", Attributes: map[string][]string{
				samltest.AttributePrefix + "Role":              {provider + "," + role},
				samltest.AttributePrefix + "RoleSessionName":   {"alice@" + name},
				samltest.AttributePrefix + "PrincipalTag:Team": {"blue"},
			}}}})
			root.must(root.iam.CreateSAMLProvider(t.Context(), &iam.CreateSAMLProviderInput{
				Name: aws.String(name), SAMLMetadataDocument: aws.String(idp.Metadata), AddPrivateKey: &keyPEM,
			}))
			for _, party := range parties {
				form, refusal := idps.NewBrowser(t).SignIn(idp.Unsolicited(party), "alice", "correct horse")
				if form == nil {
					t.Fatalf("%s: %s", party.EntityID, refusal)
				}
				assertion := filepath.Join(t.TempDir(), "response")
				write(t, assertion, form.Response())
				arn, answer := assumeWithCLI(t, n, role, provider, assertion)
				if arn != "arn:aws:sts::111122223333:assumed-role/"+name+"/alice@"+name || answer.Subject != "alice" || answer.Audience != form.Action {
					t.Errorf("%s: %s with %+v", party.EntityID, arn, answer)
				}
			}
		})
	}
}

// People begin at the portal. The provider takes requests only with a signature by the key that /saml/metadata publishes.
func TestSAML_BeginsAtPortal(t *testing.T) {
	t.Parallel()
	for name, startIdP := range map[string]func(testing.TB, idps.Config) *idps.IdP{"SimpleSAMLphp": idps.SimpleSAMLphp, "samlify": idps.Samlify} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const provider, role = "arn:aws:iam::111122223333:saml-provider/idp", "arn:aws:iam::111122223333:role/Dev"
			config := filepath.Join(t.TempDir(), "stint.yaml")
			write(t, config, "portal:\n  saml: ["+provider+"]\n")
			n := start(t, filepath.Join(t.TempDir(), "data"), "--account-id", "111122223333", "--config", config)
			root := n.root()
			root.role("Dev", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Federated":"`+provider+`"},"Action":"sts:AssumeRoleWithSAML"}]}`)
			idp := startIdP(t, idps.Config{
				Parties: []idps.Party{{EntityID: n.url + "/saml/metadata", ACS: n.url + "/saml/acs", SignAssertion: true, RequestCertificate: publishedCertificate(t, n)}},
				Users: []idps.User{{Name: "alice", Password: "correct horse", Attributes: map[string][]string{
					samltest.AttributePrefix + "Role": {provider + "," + role}, samltest.AttributePrefix + "RoleSessionName": {"alice"},
				}}},
			})
			root.must(root.iam.CreateSAMLProvider(t.Context(), &iam.CreateSAMLProviderInput{Name: aws.String("idp"), SAMLMetadataDocument: aws.String(idp.Metadata)}))
			browser := idps.NewBrowser(t)
			begin := &saml.Message{Binding: saml.HTTPRedirect, URL: n.url + "/portal/saml?provider=" + url.QueryEscape(provider)}
			form, refusal := browser.SignIn(begin, "alice", "correct horse")
			if form == nil {
				t.Fatal(refusal)
			}
			other := idps.NewBrowser(t)
			if page := other.Submit(form); page.Status != http.StatusForbidden {
				t.Errorf("in a browser that did not ask: %d %s", page.Status, page.Text)
			}
			form, refusal = browser.SignIn(begin, "alice", "correct horse") // the first one is used up
			if form == nil {
				t.Fatal(refusal)
			}
			if page := browser.Submit(form); page.Status != http.StatusOK || page.URL != n.url+"/portal" || !strings.Contains(page.Text, "Dev") {
				t.Errorf("at %s: %d %s", page.URL, page.Status, page.Text)
			}
		})
	}
}

// publishedCertificate is the one of /saml/metadata.
func publishedCertificate(t *testing.T, n *node) []byte {
	t.Helper()
	answer, err := http.Get(n.url + "/saml/metadata")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	var metadata struct {
		Certificate []byte `xml:"SPSSODescriptor>KeyDescriptor>KeyInfo>X509Data>X509Certificate"`
	}
	if err := xml.NewDecoder(answer.Body).Decode(&metadata); err != nil {
		t.Fatal(err)
	}
	der, err := base64.StdEncoding.DecodeString(string(metadata.Certificate))
	if err != nil {
		t.Fatal(err)
	}
	return der
}

type samlAnswer struct {
	Subject, Audience, Issuer string
	Credentials               struct{ AccessKeyID, SecretAccessKey, SessionToken string }
}

// assumeWithCLI redeems a response with the aws CLI, and returns who the CLI then is.
func assumeWithCLI(t *testing.T, n *node, role, provider, assertion string) (arn string, answer samlAnswer) {
	t.Helper()
	cli := func(env []string, args ...string) []byte {
		t.Helper()
		c := exec.CommandContext(t.Context(), "aws", append([]string{"--endpoint-url", n.url, "--output", "json"}, args...)...)
		c.Env = environment(append(env, "AWS_PAGER=", "AWS_DEFAULT_REGION=eu-west-1", "AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null")...)
		var stderr strings.Builder
		c.Stderr = &stderr
		out, err := c.Output()
		if err != nil {
			t.Fatalf("aws %s: %v\n%s", args[1], err, &stderr)
		}
		return out
	}
	out := cli(nil, "sts", "assume-role-with-saml", "--role-arn", role, "--principal-arn", provider, "--saml-assertion", "file://"+assertion)
	if err := json.Unmarshal(out, &answer); err != nil {
		t.Fatal(err)
	}
	credentials := answer.Credentials
	who := cli([]string{
		"AWS_ACCESS_KEY_ID=" + credentials.AccessKeyID, "AWS_SECRET_ACCESS_KEY=" + credentials.SecretAccessKey, "AWS_SESSION_TOKEN=" + credentials.SessionToken,
	}, "sts", "get-caller-identity", "--query", "Arn", "--output", "text")
	return strings.TrimSpace(string(who)), answer
}
