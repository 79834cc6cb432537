package server_test

import (
	"encoding/xml"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stint-sts/stint/federation/samltest"
)

func TestSAML_Settings(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]bool{
		"": true, "urn:stint": true, "https://sts.example.com/saml/metadata": true, "stint": false, "https://sts example.com": false,
		"urn:" + strings.Repeat("x", 1021): false,
	} {
		c, err := load("", map[string]string{"STINT_SAML_ENTITY_ID": value}, nil)
		if (err == nil) != want || err == nil && c.SAML.EntityID != value {
			t.Errorf("%.60q: %v", value, err)
		}
	}
}

// Identity providers read who this installation is. Every node shows them the same, also after a restart.
func TestSAML_Metadata(t *testing.T) {
	t.Parallel()
	type metadata struct {
		EntityID string `xml:"entityID,attr"`
		ACS      struct {
			Location string `xml:"Location,attr"`
		} `xml:"SPSSODescriptor>AssertionConsumerService"`
		Certificate string `xml:"SPSSODescriptor>KeyDescriptor>KeyInfo>X509Data>X509Certificate"`
	}
	read := func(n *running) (m metadata) {
		t.Helper()
		got := n.send(request{method: "GET", path: "/saml/metadata"})
		if err := xml.Unmarshal([]byte(got.body), &m); err != nil || got.Header.Get("Content-Type") != "application/samlmetadata+xml" {
			t.Fatalf("%v: %d %v %s", err, got.StatusCode, got.Header, got.body)
		}
		return m
	}
	n := serve(t, nil)
	first := read(n)
	if first.EntityID != "http://"+n.at.HTTP+"/saml/metadata" || first.ACS.Location != "http://"+n.at.HTTP+"/saml/acs" || first.Certificate == "" {
		t.Errorf("%+v", first)
	}
	if again := read(n); again != first {
		t.Errorf("%+v", again)
	}
	if got := n.send(request{path: "/saml/metadata", body: "x=y"}); got.StatusCode != 405 {
		t.Errorf("POST: %d", got.StatusCode)
	}
	named := read(serve(t, map[string]string{
		"STINT_SAML_ENTITY_ID": "urn:stint", "STINT_SAML_ACS_URL": "https://a.example.com/saml/acs,https://b.example.com/saml/acs",
	}))
	if named.EntityID != "urn:stint" || named.Certificate == first.Certificate {
		t.Errorf("%+v", named)
	}
}

// A provider turns to another certificate, and its assertions to another key, without anybody being locked out; what is taken away is
// refused from then on.
func TestSAML_Rollover(t *testing.T) {
	t.Parallel()
	n := serve(t, nil)
	old := samltest.New(t, "https://idp.example.com")
	next := samltest.With(t, old.EntityID, samltest.New(t, "next").Key)
	oldKey, oldPEM := samltest.EncryptionKey(t)
	nextKey, nextPEM := samltest.EncryptionKeyOf(t, "next encryption")
	n.iam("CreateSAMLProvider", "Name", "corp", "SAMLMetadataDocument", old.Metadata(), "AddPrivateKey", oldPEM)
	n.iam("CreateRole", "RoleName", "people", "AssumeRolePolicyDocument", `{"Version":"2012-10-17","Statement":{"Effect":"Allow",
		"Principal":{"Federated":"`+corp+`"},"Action":"sts:AssumeRoleWithSAML"}}`)
	update := func(pairs ...string) func() {
		return func() { n.iam("UpdateSAMLProvider", append([]string{"SAMLProviderArn", corp}, pairs...)...) }
	}
	removeOldKey := func() {
		id := n.iam("GetSAMLProvider", "SAMLProviderArn", corp).element("KeyId")
		n.iam("UpdateSAMLProvider", "SAMLProviderArn", corp, "RemovePrivateKey", id)
	}
	for _, step := range []struct {
		name                               string
		change                             func()
		signer                             *samltest.IdP // when it encrypts
		oldSigns, nextSigns, toOld, toNext bool
	}{
		{"as registered", func() {}, old, true, false, true, false},
		{"both certificates are in the metadata", update("SAMLMetadataDocument", old.Metadata(next)), old, true, true, true, false},
		{"the old certificate has left", update("SAMLMetadataDocument", next.Metadata()), next, false, true, true, false},
		{"a second key for encryption", update("AddPrivateKey", nextPEM), next, false, true, true, true},
		{"encryption is required", update("AssertionEncryptionMode", "Required"), next, false, false, true, true},
		{"the first key is removed", removeOldKey, next, false, false, false, true},
		{"encryption is allowed again", update("AssertionEncryptionMode", "Allowed"), next, false, true, false, true},
	} {
		step.change()
		for what, row := range map[string]struct {
			by   *samltest.IdP
			to   *samltest.Encryption
			want bool
		}{
			"signed with the old key":   {old, nil, step.oldSigns},
			"signed with the next key":  {next, nil, step.nextSigns},
			"encrypted to the old key":  {step.signer, &samltest.Encryption{Cipher: "aes256-gcm", To: &oldKey.PublicKey}, step.toOld},
			"encrypted to the next key": {step.signer, &samltest.Encryption{Cipher: "aes256-gcm", To: &nextKey.PublicKey}, step.toNext},
		} {
			r := row.by.Good(time.Now(), "http://"+n.at.HTTP+"/saml/acs")
			r.Attributes[samltest.AttributePrefix+"Role"] = []string{peopleOf + "," + corp}
			r.Encrypt = row.to
			got := n.send(request{body: query(stsVersion, "AssumeRoleWithSAML", "RoleArn", peopleOf, "PrincipalArn", corp, "SAMLAssertion", row.by.Encode(t, r))})
			if (got.StatusCode == http.StatusOK) != row.want || !row.want && got.element("Code") != "InvalidIdentityToken" {
				t.Errorf("%s, %s: %d %s", step.name, what, got.StatusCode, got.body)
			}
		}
	}
}
