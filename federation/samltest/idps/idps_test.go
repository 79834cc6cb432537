package idps_test

import (
	"crypto"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stint-sts/stint/federation/saml"
	"github.com/stint-sts/stint/federation/samltest"
	"github.com/stint-sts/stint/federation/samltest/idps"
)

const (
	acs  = "https://sts.example.com/saml/acs"
	role = "arn:aws:iam::111122223333:role/Dev,arn:aws:iam::111122223333:saml-provider/corp"
)

// world is a service provider and what a provider knows of it: one party for each way in which responses are protected.
type world struct {
	*saml.ServiceProvider

	key     *rsa.PrivateKey
	parties map[string]idps.Party
	config  idps.Config
	cbc     bool
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{parties: make(map[string]idps.Party)}
	w.key, _ = samltest.EncryptionKey(t)
	w.ServiceProvider = provider(t, samltest.New(t, "stint").Key)
	encryption, err := saml.NewSigningKey(w.key)
	if err != nil {
		t.Fatal(err)
	}
	for name, p := range map[string]idps.Party{
		"signed response":                   {SignResponse: true},
		"signed assertion":                  {SignAssertion: true},
		"both signed":                       {SignResponse: true, SignAssertion: true},
		"encrypted assertion":               {SignResponse: true, SignAssertion: true, EncryptionCertificate: encryption.Certificate},
		"signed assertion, signed requests": {SignAssertion: true, RequestCertificate: w.Keys[0].Certificate},
		"encrypted, not signed outside":     {SignAssertion: true, EncryptionCertificate: encryption.Certificate},
	} {
		p.EntityID, p.ACS = "urn:stint:"+name, acs
		w.parties[name] = p
		w.config.Parties = append(w.config.Parties, p)
	}
	w.config.Users = []idps.User{{Name: "alice@example.com", Password: "correct horse", Attributes: map[string][]string{
		samltest.AttributePrefix + "Role": {role, "arn:aws:iam::111122223333:role/Ops,arn:aws:iam::111122223333:saml-provider/corp"}, samltest.AttributePrefix + "RoleSessionName": {"alice"},
		samltest.AttributePrefix + "PrincipalTag:Team": {"blue & <green> é"},
	}}}
	return w
}

func provider(t *testing.T, key crypto.Signer) *saml.ServiceProvider {
	t.Helper()
	signing, err := saml.NewSigningKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return &saml.ServiceProvider{EntityID: "to be set", ACS: []string{acs}, Keys: []saml.SigningKey{signing}}
}

// as is the service provider under the name of a party.
func (w *world) as(party string) *saml.ServiceProvider {
	sp := *w.ServiceProvider
	sp.EntityID = w.parties[party].EntityID
	return &sp
}

func (w *world) verify(metadata *saml.Metadata, party, response string) (*saml.Assertion, error) {
	return saml.Verify(response, &saml.Expected{
		Provider: metadata, Decryption: []*rsa.PrivateKey{w.key}, Encrypted: w.parties[party].EncryptionCertificate != nil,
		Endpoints: []string{acs}, Audiences: []string{w.parties[party].EntityID}, Now: time.Now(),
	})
}

func TestIdPs(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		start func(testing.TB, idps.Config) *idps.IdP
		cbc   bool // encrypts by AES-CBC, which counts only inside of a signature
	}{"SimpleSAMLphp": {idps.SimpleSAMLphp, true}, "samlify": {idps.Samlify, false}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.cbc = row.cbc
			idp := row.start(t, w.config)
			metadata, err := saml.ParseMetadata(idp.Metadata)
			if err != nil {
				t.Fatal(err)
			}
			for party := range w.parties {
				t.Run(party, func(t *testing.T) { w.signsIn(t, idp, metadata, party) })
			}
			t.Run("refuses requests of others", func(t *testing.T) { w.requestsOfOthers(t, idp, metadata) })
		})
	}
}

// signsIn goes to the provider unasked, and with a request by each binding.
func (w *world) signsIn(t *testing.T, idp *idps.IdP, metadata *saml.Metadata, party string) {
	messages := map[string]*saml.Message{"unsolicited": idp.Unsolicited(w.parties[party])}
	for _, at := range metadata.SSO {
		to := *metadata
		to.SSO = []saml.Endpoint{at}
		m, err := w.as(party).AuthnRequest(&saml.AuthnRequest{Provider: &to, RelayState: "state & more", ForceAuthn: true, Now: time.Now()})
		if err != nil {
			t.Fatal(err)
		}
		messages[string(at.Binding)] = m
	}
	if len(messages) != 3 {
		t.Fatalf("metadata offer %+v", metadata.SSO)
	}
	for name, m := range messages {
		form, refusal := idps.NewBrowser(t).SignIn(m, "alice@example.com", "correct horse")
		if form == nil {
			t.Errorf("%s: %s", name, refusal)
			continue
		}
		a, err := w.verify(metadata, party, form.Response())
		if w.cbc && party == "encrypted, not signed outside" {
			if !errors.Is(err, saml.ErrDecryption) {
				t.Errorf("%s: %+v, %v", name, a, err)
			}
			continue
		}
		if err != nil {
			text, _ := base64.StdEncoding.DecodeString(form.Response())
			t.Errorf("%s: %v\n%s", name, err, text)
			continue
		}
		in, err := a.Instructions()
		if err != nil || len(in.Roles) != 2 || in.SessionName != "alice" || len(in.Tags) != 1 || in.Tags[0].Value != "blue & <green> é" {
			t.Errorf("%s: instructions are %+v, %v", name, in, err)
		}
		if a.NameID != "alice@example.com" || a.InResponseTo != m.ID || a.Recipient != acs || form.Action != acs || m.ID != "" && form.Fields.Get("RelayState") != "state & more" {
			t.Errorf("%s: %+v in %+v", name, a, form)
		}
		if w.parties[party].EncryptionCertificate == nil {
			judge(t, form.Response())
		}
	}
}

// requestsOfOthers sends requests that the provider has to refuse: unsigned by anybody whom it knows, and altered.
func (w *world) requestsOfOthers(t *testing.T, idp *idps.IdP, metadata *saml.Metadata) {
	const party = "signed assertion, signed requests"
	other := provider(t, samltest.New(t, "somebody else").Key)
	other.EntityID = w.parties[party].EntityID
	for _, at := range metadata.SSO {
		to := *metadata
		to.SSO = []saml.Endpoint{at}
		m, err := other.AuthnRequest(&saml.AuthnRequest{Provider: &to, Now: time.Now()})
		if err != nil {
			t.Fatal(err)
		}
		if form, refusal := idps.NewBrowser(t).SignIn(m, "alice@example.com", "correct horse"); form != nil || refusal == "" {
			t.Errorf("by %s a request with another's signature leads to %+v", at.Binding, form)
		}
	}
}

// judge asks xmlsec1 about the response.
func judge(t *testing.T, response string) {
	t.Helper()
	program, err := exec.LookPath("xmlsec1")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		return
	}
	text, err := base64.StdEncoding.DecodeString(response)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "response.xml")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(program, "--verify", "--id-attr:ID", "urn:oasis:names:tc:SAML:2.0:protocol:Response",
		"--id-attr:ID", "urn:oasis:names:tc:SAML:2.0:assertion:Assertion", "--insecure", path).CombinedOutput()
	if err != nil {
		t.Errorf("xmlsec1: %v\n%s", err, out)
	}
}
