package browsertest_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	"github.com/stint-sts/stint/federation/samltest"
	"github.com/stint-sts/stint/federation/samltest/idps"
)

const samlProvider = prefix + "saml-provider/corp"

// corp is a stint and an identity provider that know each other.
type corp struct {
	*stint
	idp   *idps.IdP
	party idps.Party
	role  string
}

// newCorp starts both. edit changes what stint is told of the provider.
func newCorp(t *testing.T, start func(testing.TB, idps.Config) *idps.IdP, edit func(metadata string) string) *corp {
	t.Helper()
	c := &corp{stint: serve(t, map[string]string{"STINT_PORTAL_SAML": samlProvider, "STINT_PORTAL_LABELS": samlProvider + "=Example staff"}, nil)}
	var pairs []string
	for _, name := range []string{"Auditor", "BillingReader", "BreakGlass", "DataEngineer", "DatabaseOperator", "Deployer", "NetworkOperator", "ReadOnly", "Support"} {
		pairs = append(pairs, samlProvider+","+c.stint.role(name, `"Principal":{"Federated":"`+samlProvider+`"},"Action":"sts:AssumeRoleWithSAML"`))
	}
	c.role = prefix + "role/Deployer"
	c.party = idps.Party{EntityID: c.url + "/saml/metadata", ACS: c.url + "/saml/acs", SignResponse: true, SignAssertion: true, RequestCertificate: c.requestCertificate()}
	c.idp = start(t, idps.Config{Parties: []idps.Party{c.party}, Users: []idps.User{{Name: "alice@example.com", Password: password, Attributes: map[string][]string{
		samltest.AttributePrefix + "Role": pairs, samltest.AttributePrefix + "RoleSessionName": {"alice"},
	}}}})
	_, err := c.iam.CreateSAMLProvider(t.Context(), &iam.CreateSAMLProviderInput{Name: aws.String("corp"), SAMLMetadataDocument: aws.String(edit(c.idp.Metadata))})
	c.must(err)
	return c
}

func decode(t *testing.T, text string) []byte {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func asItIs(metadata string) string { return metadata }

// postOnly is samlify's metadata without the binding HTTP-Redirect, which stint prefers.
func postOnly(t *testing.T, metadata string) string {
	t.Helper()
	before, rest, found := strings.Cut(metadata, `<SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect"`)
	_, after, closed := strings.Cut(rest, "</SingleSignOnService>")
	if !found || !closed {
		t.Fatalf("no redirect binding in\n%s", metadata)
	}
	return before + after
}

// signIn fills in the provider's page.
func (c *corp) signIn(b *tab) {
	b.t.Helper()
	b.until("the provider's page", func(s shown) bool { return s.Done && !strings.HasPrefix(s.URL, c.url) })
	b.fill("input[name=username]", "alice@example.com")
	b.fill("input[name=password]", password)
	b.follow("form button")
}

const deployer = "arn:aws:sts::" + account + ":assumed-role/Deployer/alice"

// From the portal to SimpleSAMLphp and back, and everything that somebody does then.
func TestSimpleSAMLphp(t *testing.T) {
	t.Parallel()
	c := newCorp(t, idps.SimpleSAMLphp, asItIs)
	w := c.terminal()
	b := openTab(t, c.stint)
	b.open(c.url + "/portal")
	b.at("Sign in")
	b.inspect("sign-in")
	b.walk()
	b.follow("a.method")
	c.signIn(b)
	b.at("Choose a role")
	b.inspect("roles")
	b.walk()
	b.checkCookies(false)

	b.fill("#filter", "deploy")
	if n := ask[int](b, `[...document.querySelectorAll(".role")].filter((e) => e.checkVisibility()).length`); n != 1 {
		t.Errorf("the filter leaves %d roles, want 1", n)
	}
	b.choose(c.role)
	b.inspect("credentials")
	b.walk()
	b.checkScript()
	b.works(w, deployer)
	first := b.text("shell")
	b.follow(".expiry button")
	b.at("Deployer")
	if b.text("shell") == first {
		t.Error("renewing gives the same credentials")
	}
	b.expires()
	b.endsSession(w)

	b.open(c.url + "/portal/nothing")
	b.at("There is no such page")
	b.inspect("problem")
	b.open(c.url + "/portal")
	b.choose(c.role)

	old := b.another()
	old.open(c.url + "/portal")
	old.at("Choose a role")
	b.signOut()
	old.follow("button[name=role]")
	old.at("You are not signed in any more")
	old.inspect("signed-out-elsewhere")
}

// From SimpleSAMLphp, which the person has opened first.
func TestSimpleSAMLphp_BeginsAtProvider(t *testing.T) {
	t.Parallel()
	c := newCorp(t, idps.SimpleSAMLphp, asItIs)
	b := openTab(t, c.stint)
	b.open(c.idp.Unsolicited(c.party).URL)
	c.signIn(b)
	b.at("Is this you?")
	b.inspect("confirm")
	b.walk()
	b.follow("form.fields button")
	b.choose(c.role)
	b.works(c.terminal(), deployer)
}

// At samlify, which is another site for the browser, and takes requests by POST only.
func TestSamlify(t *testing.T) {
	t.Parallel()
	c := newCorp(t, idps.Samlify, func(metadata string) string {
		return strings.ReplaceAll(postOnly(t, metadata), `Location="http://127.0.0.1:`, `Location="http://localhost:`)
	})
	for name, scripts := range map[string]bool{"with scripts": true, "without scripts": false} {
		t.Run(name, func(t *testing.T) {
			b := openTab(t, c.stint)
			b.scripts(scripts)
			b.open(c.url + "/portal")
			b.at("Sign in")
			b.follow("a.method")
			if !scripts {
				b.at("On to Example staff")
				b.inspect("post")
				b.follow("form.fields button")
			}
			c.signIn(b)
			if !scripts {
				b.follow("form button")
			}
			b.choose(c.role)
			b.works(c.terminal(), deployer)
			if scripts {
				return
			}
			b.inspect("credentials-without-scripts")
			b.walk()
			b.follow(".expiry button")
			b.at("Deployer")
			b.endsSession(c.terminal())
			b.open(c.url + "/portal")
			b.choose(c.role)
			b.signOut()
		})
	}
}
