package portal_test

import (
	"compress/flate"
	"encoding/base64"
	"encoding/xml"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	"github.com/stint-sts/stint/federation/samltest"
)

const (
	samlProvider = prefix + "saml-provider/corp"
	trustsCorp   = `"Principal":{"Federated":"` + samlProvider + `"},"Action":"sts:AssumeRoleWithSAML"`
)

// corp is a stint with a SAML provider and three roles, of which two let its people in.
type corp struct {
	*stint
	idp             *samltest.IdP
	dev, ops, third string
}

func newCorp(t *testing.T, settings map[string]string) *corp {
	t.Helper()
	env := map[string]string{"STINT_PORTAL_SAML": samlProvider, "STINT_PORTAL_LABELS": samlProvider + "=Example staff"}
	for name, value := range settings {
		env[name] = value
	}
	c := &corp{stint: serve(t, env), idp: samltest.New(t, "https://idp.example.com/portal")}
	if _, err := c.iam.CreateSAMLProvider(t.Context(), &iam.CreateSAMLProviderInput{
		Name: aws.String("corp"), SAMLMetadataDocument: aws.String(c.idp.Metadata()),
	}); err != nil {
		t.Fatal(err)
	}
	c.dev, c.ops = c.role("dev", trustsCorp), c.role("ops", trustsCorp)
	c.third = c.role("third", `"Principal":{"AWS":"`+account+`"},"Action":"sts:AssumeRole"`)
	return c
}

// answer is a response to a request, or with "" an unasked one, that names all three roles.
func (c *corp) answer(request string, change func(*samltest.Response)) string {
	r := c.idp.Good(time.Now(), c.url+"/saml/acs")
	r.InResponseTo, r.ConfirmsRequest = request, request
	r.Attributes[samltest.AttributePrefix+"Role"] = []string{c.dev + "," + samlProvider, c.ops + "," + samlProvider, c.third + "," + samlProvider}
	if change != nil {
		change(r)
	}
	return c.idp.Encode(c.t, r)
}

// ask starts at the portal and returns the id of the request that the browser takes to the provider.
func (c *corp) ask(b *browser) string {
	c.t.Helper()
	start := b.get(b.get("/portal").want(c.t, http.StatusOK).link(c.t, "Example staff"))
	to, err := url.Parse(start.Header.Get("Location"))
	if err != nil || start.StatusCode != http.StatusSeeOther || to.Host != "idp.example.com" {
		c.t.Fatalf("status %d, location %q, %v", start.StatusCode, start.Header.Get("Location"), err)
	}
	raw, err := base64.StdEncoding.DecodeString(to.Query().Get("SAMLRequest"))
	if err != nil {
		c.t.Fatal(err)
	}
	var request struct {
		ID string `xml:",attr"`
	}
	if err := xml.NewDecoder(flate.NewReader(strings.NewReader(string(raw)))).Decode(&request); err != nil || request.ID == "" {
		c.t.Fatalf("request %+v, %v", request, err)
	}
	return request.ID
}

// deliver posts a response as the provider's page does.
func (b *browser) deliver(response string) *page {
	b.t.Helper()
	return b.foreign("/saml/acs", url.Values{"SAMLResponse": {response}})
}

// signIn signs a browser in, from the portal.
func (c *corp) signIn(b *browser, change func(*samltest.Response)) {
	c.t.Helper()
	b.deliver(c.answer(c.ask(b), change)).wantRedirect(c.t, "/portal/saml/arrived")
	b.get("/portal/saml/arrived").wantRedirect(c.t, "/portal")
}

func TestSAML_FromThePortalToCredentials(t *testing.T) {
	t.Parallel()
	c := newCorp(t, nil)
	b := c.browser()
	c.signIn(b, nil)

	roles := b.get("/portal").want(t, http.StatusOK, "alice@example.com", "2 roles let you in", "One more role is named")
	if want := []string{c.dev + " " + samlProvider, c.ops + " " + samlProvider}; !slices.Equal(roles.roles(), want) {
		t.Fatalf("offered are %v, want %v", roles.roles(), want)
	}
	creds := b.post("/portal/credentials", roles.form("role", roles.roles()[0], "duration", "28800")).want(t, http.StatusOK, "2 hours", "as long as this role allows")
	if who := c.whoami(creds); who != "arn:aws:sts::"+account+":assumed-role/dev/alice" {
		t.Errorf("the credentials are of %s", who)
	}
	if renewed := b.post("/portal/credentials", creds.form()).want(t, http.StatusOK); renewed.text(t, "shell") == creds.text(t, "shell") {
		t.Error("renewing gave the same credentials")
	}
	b.get("/portal/sessions").want(t, http.StatusOK, "dev", account)

	logins, mints := c.events("ConsoleLogin"), c.events("AssumeRoleWithSAML")
	if len(logins) != 1 || logins[0].EventType != "AwsConsoleSignIn" || logins[0].UserIdentity.Type != "SAMLUser" || logins[0].ResponseElements["ConsoleLogin"] != "Success" {
		t.Errorf("sign-ins in the audit: %+v", logins)
	}
	if len(mints) != 2 || mints[0].EventSource != "sts.amazonaws.com" || mints[0].UserIdentity.UserName != "alice@example.com" ||
		mints[0].RequestParameters["roleArn"] != c.dev || mints[0].RequestParameters["roleSessionName"] != "alice" {
		t.Errorf("credentials in the audit: %+v", mints)
	}
}

func TestSAML_FromTheProviderNeedsAConfirmation(t *testing.T) {
	t.Parallel()
	c := newCorp(t, nil)
	b := c.browser()
	b.deliver(c.answer("", nil)).wantRedirect(t, "/portal/saml/arrived")
	question := b.get("/portal/saml/arrived").want(t, http.StatusOK, "Is this you?", "alice@example.com")
	b.get("/portal").want(t, http.StatusOK, "Sign in") // nothing has happened yet

	b.do(http.MethodPost, "/portal/saml/arrived", question.form(), map[string]string{"Origin": "https://evil.example"}, true).want(t, http.StatusForbidden)
	b.post("/portal/saml/arrived", url.Values{"token": {"guessed"}}).want(t, http.StatusForbidden)
	b.post("/portal/saml/arrived", question.form()).wantRedirect(t, "/portal")
	b.get("/portal").want(t, http.StatusOK, "Choose a role")

	// Another unasked response says that it would end this sign-in.
	b.deliver(c.answer("", func(r *samltest.Response) { r.NameID = "mallory@example.com" })).wantRedirect(t, "/portal/saml/arrived")
	b.get("/portal/saml/arrived").want(t, http.StatusOK, "mallory@example.com", "You are signed in as <strong>alice@example.com</strong> now")
	b.get("/portal").want(t, http.StatusOK, "alice@example.com")
}

func TestSAML_FromTheProviderMayBeRefused(t *testing.T) {
	t.Parallel()
	c := newCorp(t, map[string]string{"STINT_PORTAL_IDP_INITIATED": "false"})
	b := c.browser()
	b.deliver(c.answer("", nil)).wantRedirect(t, "/portal/saml/arrived")
	b.get("/portal/saml/arrived").want(t, http.StatusForbidden, "Sign in from here")
	c.signIn(b, nil)
}

func TestSAML_RefusesWhatThisBrowserDidNotAsk(t *testing.T) {
	t.Parallel()
	c := newCorp(t, nil)
	mallory, victim := c.browser(), c.browser()
	request := c.ask(mallory)

	// Mallory's own answer, posted into the browser of somebody else.
	victim.deliver(c.answer(request, nil)).wantRedirect(t, "/portal/saml/arrived")
	victim.get("/portal/saml/arrived").want(t, http.StatusForbidden, "not started here")
	victim.get("/portal").want(t, http.StatusOK, "Sign in")
	if logins := c.events("ConsoleLogin"); len(logins) != 2 || logins[1].ResponseElements["ConsoleLogin"] != "Failure" || logins[1].UserIdentity.UserName != "alice@example.com" {
		t.Errorf("in the audit: %+v", logins)
	}

	// A request answers once, and only its own.
	mallory.deliver(c.answer("_another", nil)).wantRedirect(t, "/portal/saml/arrived")
	mallory.get("/portal/saml/arrived").want(t, http.StatusForbidden, "not started here")
	mallory.deliver(c.answer(request, nil)).wantRedirect(t, "/portal/saml/arrived")
	mallory.get("/portal/saml/arrived").wantRedirect(t, "/portal")
	mallory.deliver(c.answer(request, nil)).wantRedirect(t, "/portal/saml/arrived")
	mallory.get("/portal/saml/arrived").want(t, http.StatusForbidden, "not started here")
}

func TestSAML_ResponseSignsInOnce(t *testing.T) {
	t.Parallel()
	c := newCorp(t, nil)
	response := c.answer("", nil)
	c.browser().deliver(response).wantRedirect(t, "/portal/saml/arrived")
	c.browser().deliver(response).want(t, http.StatusBadRequest, "could not be accepted")

	for name, change := range map[string]func(*samltest.Response){
		"not signed": func(r *samltest.Response) { r.SignAssertion = false },
		"of another issuer": func(r *samltest.Response) {
			r.Issuer, r.ResponseIssuer = "https://other.example", "https://other.example"
		},
		"for somebody else":  func(r *samltest.Response) { r.Recipient, r.Destination = "https://x.example", "https://x.example" },
		"of an old sign-in":  func(r *samltest.Response) { r.SessionUntil = time.Now().Add(-time.Hour) },
		"contradicts itself": func(r *samltest.Response) { r.InResponseTo, r.ConfirmsRequest = "_a", "_b" },
	} {
		b := c.browser()
		if p := b.deliver(c.answer("", change)); p.StatusCode == http.StatusSeeOther {
			if p = b.get("/portal/saml/arrived"); p.StatusCode == http.StatusOK {
				p = b.post("/portal/saml/arrived", p.form())
			}
			if p.StatusCode < http.StatusBadRequest {
				t.Errorf("a response %s was accepted", name)
			}
		}
	}
	c.browser().foreign("/saml/acs", nil).want(t, http.StatusBadRequest)
	c.browser().foreign("/saml/acs", url.Values{"SAMLResponse": {strings.Repeat("A", 600<<10)}}).want(t, http.StatusBadRequest)
	c.browser().get("/saml/acs").wantRedirect(t, "/portal")
}

func TestSAML_HostileAttributesAreText(t *testing.T) {
	t.Parallel()
	c := newCorp(t, nil)
	b := c.browser()
	c.signIn(b, func(r *samltest.Response) { r.NameID = `&lt;script&gt;alert(1)&lt;/script&gt;"'@example.com` })
	p := b.get("/portal").want(t, http.StatusOK, "&lt;script&gt;")
	if strings.Contains(p.body, "<script>alert") {
		t.Errorf("the page runs what the provider says:\n%s", p.body)
	}
}

func TestSAML_TakesNoRoleThatIsNotOffered(t *testing.T) {
	t.Parallel()
	c := newCorp(t, nil)
	b := c.browser()
	c.signIn(b, func(r *samltest.Response) {
		r.Attributes[samltest.AttributePrefix+"Role"] = []string{c.dev + "," + samlProvider}
	})
	roles := b.get("/portal").want(t, http.StatusOK, "1 role lets you in")
	for _, role := range []string{c.ops + " " + samlProvider, c.third + " " + samlProvider, c.third + " ", "own", "", c.dev + " " + prefix + "saml-provider/other"} {
		b.post("/portal/credentials", roles.form("role", role, "duration", "3600")).want(t, http.StatusForbidden, "does not let you in")
	}
	if minted := c.events("AssumeRoleWithSAML"); len(minted) != 0 {
		t.Errorf("minted: %+v", minted)
	}
	// The provider is removed: nothing is made of the sign-in any more.
	if _, err := c.iam.DeleteSAMLProvider(t.Context(), &iam.DeleteSAMLProviderInput{SAMLProviderArn: aws.String(samlProvider)}); err != nil {
		t.Fatal(err)
	}
	if p := b.post("/portal/credentials", roles.form("role", roles.roles()[0], "duration", "3600")); p.StatusCode < http.StatusBadRequest {
		t.Errorf("status %d after the provider was removed", p.StatusCode)
	}
}

// A provider that takes requests by HTTP-POST gets a form, which is all that the page may send to it.
func TestSAML_RequestByPost(t *testing.T) {
	t.Parallel()
	c := newCorp(t, nil)
	metadata := strings.ReplaceAll(c.idp.Metadata(), "bindings:HTTP-Redirect", "bindings:HTTP-POST")
	if _, err := c.iam.UpdateSAMLProvider(t.Context(), &iam.UpdateSAMLProviderInput{SAMLProviderArn: aws.String(samlProvider), SAMLMetadataDocument: &metadata}); err != nil {
		t.Fatal(err)
	}
	b := c.browser()
	p := b.get(b.get("/portal").link(t, "Example staff")).want(t, http.StatusOK, "On to Example staff", `action="https://idp.example.com/sso"`)
	if csp := p.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "form-action 'self' https:;") {
		t.Errorf("policy %q", csp)
	}
	raw, err := base64.StdEncoding.DecodeString(p.form().Get("SAMLRequest"))
	if err != nil {
		t.Fatal(err)
	}
	var request struct {
		ID string `xml:",attr"`
	}
	if err := xml.Unmarshal(raw, &request); err != nil {
		t.Fatal(err)
	}
	b.deliver(c.answer(request.ID, nil)).wantRedirect(t, "/portal/saml/arrived")
	b.get("/portal/saml/arrived").wantRedirect(t, "/portal")
}
