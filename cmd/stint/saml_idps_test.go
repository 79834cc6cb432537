package main_test

import (
	"encoding/json"
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
	for name, start := range map[string]func(testing.TB, idps.Config) *idps.IdP{"SimpleSAMLphp": idps.SimpleSAMLphp, "samlify": idps.Samlify} {
		t.Run(name, func(t *testing.T) {
			provider := "arn:aws:iam::111122223333:saml-provider/" + name
			role := root.role(name, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Federated":"`+provider+
				`"},"Action":["sts:AssumeRoleWithSAML","sts:TagSession"],"Condition":{"StringEquals":{"SAML:aud":"`+n.url+`/saml/acs"}}}]}`)
			parties := []idps.Party{
				{EntityID: "urn:response", ACS: n.url + "/saml/acs", SignResponse: true},
				{EntityID: "urn:assertion", ACS: n.url + "/saml/acs", SignAssertion: true},
				{EntityID: "urn:encrypted", ACS: n.url + "/saml/acs", SignResponse: true, SignAssertion: true, EncryptionCertificate: encryption.Certificate},
			}
			idp := start(t, idps.Config{Parties: parties, Users: []idps.User{{Name: "alice", Password: "correct horse", Attributes: map[string][]string{
				samltest.AttributePrefix + "Role":              {provider + "," + role},
				samltest.AttributePrefix + "RoleSessionName":   {"alice@" + name},
				samltest.AttributePrefix + "PrincipalTag:Team": {"blue"},
			}}}})
			root.must(root.iam.CreateSAMLProvider(t.Context(), &iam.CreateSAMLProviderInput{
				Name: aws.String(name), SAMLMetadataDocument: aws.String(idp.Metadata), AddPrivateKey: &keyPEM,
			}))
			for _, party := range parties {
				form, refusal := idp.SignIn(t, idp.Unsolicited(party), "alice", "correct horse")
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
