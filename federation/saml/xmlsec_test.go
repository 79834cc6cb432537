package saml_test

import (
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stint-sts/stint/federation/saml"
	"github.com/stint-sts/stint/federation/samltest"
)

// xmlsec returns the program of Debian's package xmlsec1, an implementation of XML Signature and Encryption that shares nothing with ours.
func xmlsec(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("xmlsec1")
	if err == nil {
		return path
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("xmlsec1 is not installed")
	}
	t.Skip("xmlsec1 is not installed: apt-get install xmlsec1")
	return ""
}

func file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func keyPEM(t *testing.T, key any) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func publicPEM(t *testing.T, p *samltest.IdP) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(p.Key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// ids are how xmlsec1 knows what an ID is: it reads no schema.
var ids = []string{"--id-attr:ID", "urn:oasis:names:tc:SAML:2.0:protocol:Response", "--id-attr:ID", "urn:oasis:names:tc:SAML:2.0:assertion:Assertion"}

// What xmlsec1 says of a signature and what we say is the same, for genuine responses and altered ones.
func TestXMLSec_JudgesAlike(t *testing.T) {
	t.Parallel()
	program := xmlsec(t)
	rsaIdP, ecIdP := samltest.New(t, entity), samltest.NewECDSA(t, entity, elliptic.P256())
	for name, row := range map[string]struct {
		idp    *samltest.IdP
		change func(*samltest.Response)
		want   bool
	}{
		"RSA":      {rsaIdP, nil, true},
		"ECDSA":    {ecIdP, nil, true},
		"SHA-512":  {rsaIdP, func(r *samltest.Response) { r.SignatureMethod, r.DigestMethod = samltest.RSASHA512, samltest.SHA512 }, true},
		"response": {rsaIdP, func(r *samltest.Response) { r.SignResponse, r.SignAssertion = true, false }, true},
		"odd characters": {rsaIdP, func(r *samltest.Response) {
			r.NameID = "é&amp;&lt;&gt;\"'&#xD;]]"
			r.Attributes["a&amp;b"] = []string{"\n\t x"}
		}, true},
		"CDATA": {rsaIdP, func(r *samltest.Response) { r.Edit = replace(">alice@example.com<", "><![CDATA[alice@]]>example.com<") }, true},
		"another way to write it": {rsaIdP, func(r *samltest.Response) {
			r.Edit = func(s string) string {
				s = replace("<samlp:Response ", `<samlp:Response xmlns="urn:x" xmlns:unused='urn:y' `)(s)
				return replace("></saml:SubjectConfirmationData>", "\n/>")(s)
			}
		}, true},
		"a changed name":      {rsaIdP, func(r *samltest.Response) { r.Edit = replace("alice@", "admin@") }, false},
		"a changed attribute": {rsaIdP, func(r *samltest.Response) { r.Edit = replace(`Recipient="`, `Recipient="x`) }, false},
		"added white space":   {rsaIdP, func(r *samltest.Response) { r.Edit = replace("<saml:Subject>", "<saml:Subject> ") }, false},
	} {
		r := row.idp.Good(now, acs)
		if row.change != nil {
			row.change(r)
		}
		document := row.idp.XML(t, r)
		args := append([]string{"--verify", "--pubkey-pem", file(t, "key.pem", publicPEM(t, row.idp))}, ids...)
		out, err := exec.Command(program, append(args, file(t, "response.xml", document))...).CombinedOutput()
		if (err == nil) != row.want {
			t.Errorf("%s: xmlsec1 says %v\n%s", name, err, out)
		}
		_, err = saml.Verify(base64.StdEncoding.EncodeToString([]byte(document)), expected(t, row.idp))
		if (err == nil) != row.want {
			t.Errorf("%s: we say %v", name, err)
		}
	}
}

// template is what xmlsec1 signs: it fills in digest and value. Name spaces, prefixes and layout are not those of samltest.
const template = `<?xml version="1.0"?>
<p:Response xmlns:p="urn:oasis:names:tc:SAML:2.0:protocol" xmlns:xs="http://www.w3.org/2001/XMLSchema" ID="r1" Version="2.0" IssueInstant="2026-11-28T12:00:00Z">
  <p:Status><p:StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:Success"/></p:Status>
  <Assertion xmlns="urn:oasis:names:tc:SAML:2.0:assertion" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" Version="2.0" ID="a1" IssueInstant="2026-11-28T12:00:00Z">
    <Issuer>ENTITY</Issuer>
    <Signature xmlns="http://www.w3.org/2000/09/xmldsig#">
      <SignedInfo>
        <CanonicalizationMethod Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#"/>
        <SignatureMethod Algorithm="METHOD"/>
        <Reference URI="#a1">
          <Transforms>
            <Transform Algorithm="http://www.w3.org/2000/09/xmldsig#enveloped-signature"/>
            <Transform Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#"><ec:InclusiveNamespaces xmlns:ec="http://www.w3.org/2001/10/xml-exc-c14n#" PrefixList="xs #default p"/></Transform>
          </Transforms>
          <DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"/>
          <DigestValue/>
        </Reference>
      </SignedInfo>
      <SignatureValue/>
    </Signature>
    <Subject>
      <NameID>zoë &amp; &#x22;co&#x22;</NameID>
      <SubjectConfirmation Method="urn:oasis:names:tc:SAML:2.0:cm:bearer">
        <SubjectConfirmationData Recipient="ACS" NotOnOrAfter="2026-11-28T12:05:00Z"/>
      </SubjectConfirmation>
    </Subject>
    <Conditions><AudienceRestriction><Audience>urn:amazon:webservices</Audience></AudienceRestriction></Conditions>
    <AuthnStatement AuthnInstant="2026-11-28T12:00:00Z"/>
    <AttributeStatement>
      <Attribute Name="a" xml:lang="en"><AttributeValue xsi:type="xs:string">b</AttributeValue><x:y xmlns:x="urn:x" xmlns="" x:b="2" a="&#9;1"><z/></x:y></Attribute>
    </AttributeStatement>
  </Assertion>
</p:Response>
`

// What xmlsec1 signs, we accept.
func TestXMLSec_SignsForUs(t *testing.T) {
	t.Parallel()
	program := xmlsec(t)
	for method, idp := range map[string]*samltest.IdP{
		samltest.RSASHA256: samltest.New(t, entity), samltest.RSASHA384: samltest.New(t, entity), samltest.RSASHA512: samltest.New(t, entity),
		samltest.ECDSASHA256: samltest.NewECDSA(t, entity, elliptic.P256()), samltest.ECDSASHA512: samltest.NewECDSA(t, entity, elliptic.P521()),
	} {
		text := strings.NewReplacer("ENTITY", entity, "ACS", acs, "METHOD", method).Replace(template)
		args := append([]string{"--sign", "--privkey-pem", file(t, "key.pem", keyPEM(t, idp.Key))}, ids...)
		command := exec.Command(program, append(args, file(t, "template.xml", text))...)
		signed, err := command.Output()
		if err != nil {
			t.Fatalf("%s: xmlsec1: %v", method, err)
		}
		a, err := saml.Verify(base64.StdEncoding.EncodeToString(signed), expected(t, idp))
		if err != nil || a.NameID != `zoë & "co"` {
			t.Errorf("%s: %+v, %v", method, a, err)
		}
		forged := replace(" &amp; ", " &amp;&amp; ")(string(signed))
		if _, err := saml.Verify(base64.StdEncoding.EncodeToString([]byte(forged)), expected(t, idp)); err == nil {
			t.Errorf("%s: an altered one passes", method)
		}
	}
}

// What samltest encrypts, xmlsec1 decrypts: the two sides of our own tests did not agree on a mistake.
func TestXMLSec_Decrypts(t *testing.T) {
	t.Parallel()
	program := xmlsec(t)
	p := samltest.New(t, entity)
	key, text := samltest.EncryptionKey(t)
	for _, cipher := range []string{"aes128-gcm", "aes256-gcm", "aes128-cbc", "aes256-cbc"} {
		r := p.Good(now, acs)
		r.SignResponse = true
		r.Encrypt = &samltest.Encryption{Cipher: cipher, To: &key.PublicKey}
		out, err := exec.Command(program, "--decrypt", "--privkey-pem", file(t, "key.pem", text), file(t, "response.xml", p.XML(t, r))).CombinedOutput()
		if err != nil || !strings.Contains(string(out), "alice@example.com") {
			t.Errorf("%s: %v\n%s", cipher, err, out)
		}
		e := expected(t, p)
		e.Decryption = []*rsa.PrivateKey{key}
		if _, err := saml.Verify(p.Encode(t, r), e); err != nil {
			t.Errorf("%s: we say %v", cipher, err)
		}
	}
}
