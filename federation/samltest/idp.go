// Package samltest is a SAML identity provider for tests: it makes responses with real keys, without a network, and as badly behaved as
// a test wants. It writes its XML in canonical form by hand, so that it shares nothing with the package that it tests.
package samltest

import (
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha1" // to be refused
	_ "crypto/sha256"
	_ "crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"hash"
	"html"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"
)

// IdP is an identity provider with one key. It is immutable.
type IdP struct {
	EntityID    string
	Key         crypto.Signer
	Certificate []byte // DER
}

// rsaKeys are made once: they take their time.
var rsaKeys sync.Map

// New is an identity provider with an RSA key. Providers of one name have one key.
func New(t testing.TB, entityID string) *IdP {
	t.Helper()
	made, _ := rsaKeys.LoadOrStore(entityID, sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) }))
	key, err := made.(func() (*rsa.PrivateKey, error))()
	if err != nil {
		t.Fatal(err)
	}
	return With(t, entityID, key)
}

// NewECDSA is an identity provider with a key on the curve.
func NewECDSA(t testing.TB, entityID string, curve elliptic.Curve) *IdP {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return With(t, entityID, key)
}

// With is an identity provider with a key of the test's. Its certificate has long expired, as many have that are in use.
func With(t testing.TB, entityID string, key crypto.Signer) *IdP {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "idp"},
		NotBefore: time.Date(2015, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2016, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return &IdP{EntityID: entityID, Key: key, Certificate: der}
}

// Metadata are the provider's metadata with its own certificate and those of others, which it may turn to.
func (p *IdP) Metadata(others ...*IdP) string {
	return p.MetadataUntil("", others...)
}

// MetadataUntil is Metadata with a validUntil.
func (p *IdP) MetadataUntil(validUntil string, others ...*IdP) string {
	var b strings.Builder
	if validUntil != "" {
		validUntil = ` validUntil="` + validUntil + `"`
	}
	fmt.Fprintf(&b, `<?xml version="1.0" encoding="UTF-8"?>
<!-- made for a test, as metadata files often say -->
<md:EntityDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata" xmlns:ds="http://www.w3.org/2000/09/xmldsig#" entityID="%s"%s>
  <md:IDPSSODescriptor WantAuthnRequestsSigned="false" protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol">
`, html.EscapeString(p.EntityID), validUntil)
	for _, idp := range append([]*IdP{p}, others...) {
		fmt.Fprintf(&b, "    <md:KeyDescriptor use=\"signing\"><ds:KeyInfo><ds:X509Data><ds:X509Certificate>\n%s\n"+
			"    </ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:KeyDescriptor>\n", base64.StdEncoding.EncodeToString(idp.Certificate))
	}
	b.WriteString(`    <md:SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect" Location="https://idp.example.com/sso"/>
  </md:IDPSSODescriptor>
</md:EntityDescriptor>
`)
	return b.String()
}

// Algorithms of a signature.
const (
	RSASHA1     = "http://www.w3.org/2000/09/xmldsig#rsa-sha1"
	RSASHA256   = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"
	RSASHA384   = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha384"
	RSASHA512   = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha512"
	ECDSASHA256 = "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256"
	ECDSASHA384 = "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384"
	ECDSASHA512 = "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha512"

	SHA1   = "http://www.w3.org/2000/09/xmldsig#sha1"
	SHA256 = "http://www.w3.org/2001/04/xmlenc#sha256"
	SHA384 = "http://www.w3.org/2001/04/xmldsig-more#sha384"
	SHA512 = "http://www.w3.org/2001/04/xmlenc#sha512"
)

var hashes = map[string]crypto.Hash{
	RSASHA1: crypto.SHA1, RSASHA256: crypto.SHA256, RSASHA384: crypto.SHA384, RSASHA512: crypto.SHA512,
	ECDSASHA256: crypto.SHA256, ECDSASHA384: crypto.SHA384, ECDSASHA512: crypto.SHA512,
	SHA1: crypto.SHA1, SHA256: crypto.SHA256, SHA384: crypto.SHA384, SHA512: crypto.SHA512,
}

// Response is a response to be made. The zero value of a text leaves its attribute or element out.
type Response struct {
	ID, AssertionID string
	Destination     string
	ResponseIssuer  string
	Status          string
	InResponseTo    string // of the response
	ConfirmsRequest string // InResponseTo of the subject's confirmation
	Issuer          string
	NameID          string
	Format          string
	Recipient       string
	Audiences       []string // an AudienceRestriction each
	IssueInstant    time.Time
	NotBefore       time.Time
	NotOnOrAfter    time.Time // of Conditions
	ConfirmedUntil  time.Time // NotOnOrAfter of the subject's confirmation
	SessionUntil    time.Time
	Attributes      map[string][]string // by name; values are XML

	SignResponse, SignAssertion bool
	SignatureMethod             string // default: SHA-256 with the key
	DigestMethod                string // default SHA256
	Encrypt                     *Encryption

	EditAssertion func(string) string // before it is signed; what it returns is in canonical form
	EditSignature func(string) string // the SignedInfo, before it is signed
	EditSigned    func(string) string // the signed assertion, before it is encrypted or put in place
	EditResponse  func(string) string // before it is signed
	Edit          func(string) string // at the end
}

// AttributePrefix begins the names of the attributes that AWS defines.
const AttributePrefix = "https://aws.amazon.com/SAML/Attributes/"

// Good is a response that is to be accepted, with the assertion signed and no attributes but a session name.
func (p *IdP) Good(now time.Time, recipient string) *Response {
	return &Response{
		ID: "_response" + rand.Text(), AssertionID: "_assertion" + rand.Text(), Destination: recipient, ResponseIssuer: p.EntityID,
		Status: "urn:oasis:names:tc:SAML:2.0:status:Success", Issuer: p.EntityID, NameID: "alice@example.com",
		Format: "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent", Recipient: recipient, Audiences: []string{"urn:amazon:webservices"},
		IssueInstant: now, NotBefore: now.Add(-time.Minute), NotOnOrAfter: now.Add(5 * time.Minute), ConfirmedUntil: now.Add(5 * time.Minute),
		Attributes: map[string][]string{AttributePrefix + "RoleSessionName": {"alice"}}, SignAssertion: true,
	}
}

// Encode makes the response, in base64.
func (p *IdP) Encode(t testing.TB, r *Response) string {
	t.Helper()
	return base64.StdEncoding.EncodeToString([]byte(p.XML(t, r)))
}

// XML makes the response.
func (p *IdP) XML(t testing.TB, r *Response) string {
	t.Helper()
	assertion := edit(r.assertion(), r.EditAssertion)
	if r.SignAssertion {
		assertion = p.sign(t, r, assertion, r.AssertionID)
	}
	assertion = edit(assertion, r.EditSigned)
	if r.Encrypt != nil {
		assertion = r.Encrypt.encrypt(t, assertion)
	}
	response := edit(r.response(assertion), r.EditResponse)
	if r.SignResponse {
		response = p.sign(t, r, response, r.ID)
	}
	return edit(response, r.Edit)
}

func edit(s string, f func(string) string) string {
	if f == nil {
		return s
	}
	return f(s)
}

func attribute(name, value string) string {
	if value == "" {
		return ""
	}
	return fmt.Sprintf(` %s="%s"`, name, html.EscapeString(value))
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05.999Z")
}

const saml = ` xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion"`

// assertion is in canonical form: attributes in order, name spaces where they are used first, no empty element tags.
func (r *Response) assertion() string {
	var b strings.Builder
	fmt.Fprintf(&b, `<saml:Assertion%s%s%s Version="2.0">`, saml, attribute("ID", r.AssertionID), attribute("IssueInstant", stamp(r.IssueInstant)))
	if r.Issuer != "" {
		fmt.Fprintf(&b, `<saml:Issuer>%s</saml:Issuer>`, r.Issuer)
	}
	b.WriteString(`<saml:Subject>`)
	if r.NameID != "" {
		fmt.Fprintf(&b, `<saml:NameID%s>%s</saml:NameID>`, attribute("Format", r.Format), r.NameID)
	}
	fmt.Fprintf(&b, `<saml:SubjectConfirmation Method="urn:oasis:names:tc:SAML:2.0:cm:bearer"><saml:SubjectConfirmationData%s%s%s>`+
		`</saml:SubjectConfirmationData></saml:SubjectConfirmation></saml:Subject>`,
		attribute("InResponseTo", r.ConfirmsRequest), attribute("NotOnOrAfter", stamp(r.ConfirmedUntil)), attribute("Recipient", r.Recipient))
	fmt.Fprintf(&b, `<saml:Conditions%s%s>`, attribute("NotBefore", stamp(r.NotBefore)), attribute("NotOnOrAfter", stamp(r.NotOnOrAfter)))
	for _, a := range r.Audiences {
		fmt.Fprintf(&b, `<saml:AudienceRestriction><saml:Audience>%s</saml:Audience></saml:AudienceRestriction>`, a)
	}
	fmt.Fprintf(&b, `</saml:Conditions><saml:AuthnStatement%s%s></saml:AuthnStatement><saml:AttributeStatement>`,
		attribute("AuthnInstant", stamp(r.IssueInstant)), attribute("SessionNotOnOrAfter", stamp(r.SessionUntil)))
	for name, values := range r.Attributes {
		fmt.Fprintf(&b, `<saml:Attribute%s>`, attribute("Name", name))
		for _, v := range values {
			fmt.Fprintf(&b, `<saml:AttributeValue>%s</saml:AttributeValue>`, v)
		}
		b.WriteString(`</saml:Attribute>`)
	}
	b.WriteString(`</saml:AttributeStatement></saml:Assertion>`)
	return b.String()
}

func (r *Response) response(assertion string) string {
	issuer := ""
	if r.ResponseIssuer != "" {
		issuer = fmt.Sprintf(`<saml:Issuer%s>%s</saml:Issuer>`, saml, r.ResponseIssuer)
	}
	return fmt.Sprintf(`<samlp:Response xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol"%s%s%s%s Version="2.0">%s`+
		`<samlp:Status><samlp:StatusCode Value="%s"></samlp:StatusCode></samlp:Status>%s</samlp:Response>`,
		attribute("Destination", r.Destination), attribute("ID", r.ID), attribute("InResponseTo", r.InResponseTo),
		attribute("IssueInstant", stamp(r.IssueInstant)), issuer, r.Status, assertion)
}

const dsig = ` xmlns:ds="http://www.w3.org/2000/09/xmldsig#"`

// sign puts a signature over element, which has that ID, behind its first Issuer, or behind its start tag.
func (p *IdP) sign(t testing.TB, r *Response, element, id string) string {
	t.Helper()
	method, digestMethod := r.SignatureMethod, r.DigestMethod
	if method == "" {
		method = RSASHA256
		if _, ok := p.Key.(*ecdsa.PrivateKey); ok {
			method = ECDSASHA256
		}
	}
	if digestMethod == "" {
		digestMethod = SHA256
	}
	info := fmt.Sprintf(`<ds:SignedInfo><ds:CanonicalizationMethod Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#"></ds:CanonicalizationMethod>`+
		`<ds:SignatureMethod Algorithm="%s"></ds:SignatureMethod><ds:Reference URI="#%s"><ds:Transforms>`+
		`<ds:Transform Algorithm="http://www.w3.org/2000/09/xmldsig#enveloped-signature"></ds:Transform>`+
		`<ds:Transform Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#"></ds:Transform></ds:Transforms>`+
		`<ds:DigestMethod Algorithm="%s"></ds:DigestMethod><ds:DigestValue>%s</ds:DigestValue></ds:Reference></ds:SignedInfo>`,
		method, id, digestMethod, base64.StdEncoding.EncodeToString(sum(hashes[digestMethod].New(), element)))
	info = edit(info, r.EditSignature)
	// By itself SignedInfo declares its name space; in place, its parent does.
	value := p.signature(t, hashes[method], strings.Replace(info, "<ds:SignedInfo", "<ds:SignedInfo"+dsig, 1))
	signature := fmt.Sprintf(`<ds:Signature%s>%s<ds:SignatureValue>%s</ds:SignatureValue><ds:KeyInfo><ds:X509Data><ds:X509Certificate>%s`+
		`</ds:X509Certificate></ds:X509Data></ds:KeyInfo></ds:Signature>`,
		dsig, info, base64.StdEncoding.EncodeToString(value), base64.StdEncoding.EncodeToString(p.Certificate))
	at := strings.Index(element, "</saml:Issuer>") + len("</saml:Issuer>")
	if at < len("</saml:Issuer>") {
		at = strings.Index(element, ">") + 1
	}
	return element[:at] + signature + element[at:]
}

func (p *IdP) signature(t testing.TB, h crypto.Hash, text string) []byte {
	t.Helper()
	digest := sum(h.New(), text)
	if key, ok := p.Key.(*ecdsa.PrivateKey); ok {
		r, s, err := ecdsa.Sign(rand.Reader, key, digest)
		if err != nil {
			t.Fatal(err)
		}
		size := (key.Params().BitSize + 7) / 8
		value := make([]byte, 2*size)
		r.FillBytes(value[:size])
		s.FillBytes(value[size:])
		return value
	}
	value, err := p.Key.Sign(rand.Reader, digest, h)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func sum(h hash.Hash, text string) []byte {
	_, _ = h.Write([]byte(text))
	return h.Sum(nil)
}

// Encryption is how an assertion is encrypted.
type Encryption struct {
	To        *rsa.PublicKey
	Cipher    string      // "aes128-gcm", "aes256-gcm", "aes128-cbc", "aes256-cbc"
	Transport string      // "rsa-oaep-mgf1p" (default), "rsa-oaep", "rsa-1_5"
	Digest    crypto.Hash // of OAEP; default SHA-1
	Beside    bool        // EncryptedKey stands beside EncryptedData instead of in its KeyInfo
}

var digestNames = map[crypto.Hash]string{crypto.SHA1: SHA1, crypto.SHA256: SHA256, crypto.SHA384: SHA384, crypto.SHA512: SHA512}

func (e *Encryption) encrypt(t testing.TB, assertion string) string {
	t.Helper()
	size := 32
	if strings.HasPrefix(e.Cipher, "aes128") {
		size = 16
	}
	key := make([]byte, size)
	_, _ = rand.Read(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	space, sealed := "http://www.w3.org/2009/xmlenc11#", []byte(nil)
	if strings.HasSuffix(e.Cipher, "cbc") {
		space = "http://www.w3.org/2001/04/xmlenc#"
		sealed = sealCBC(block, []byte(assertion))
	} else {
		gcm, err := cipher.NewGCM(block)
		if err != nil {
			t.Fatal(err)
		}
		nonce := make([]byte, gcm.NonceSize())
		_, _ = rand.Read(nonce)
		sealed = gcm.Seal(nonce, nonce, []byte(assertion), nil)
	}
	wrapped := e.wrap(t, key)
	inside, beside := `<ds:KeyInfo`+dsig+`>`+wrapped+`</ds:KeyInfo>`, ""
	if e.Beside {
		inside, beside = "", wrapped
	}
	return fmt.Sprintf(`<saml:EncryptedAssertion%s><xenc:EncryptedData xmlns:xenc="http://www.w3.org/2001/04/xmlenc#" `+
		`Type="http://www.w3.org/2001/04/xmlenc#Element"><xenc:EncryptionMethod Algorithm="%s"></xenc:EncryptionMethod>%s`+
		`<xenc:CipherData><xenc:CipherValue>%s</xenc:CipherValue></xenc:CipherData></xenc:EncryptedData>%s</saml:EncryptedAssertion>`,
		saml, space+e.Cipher, inside, base64.StdEncoding.EncodeToString(sealed), beside)
}

// wrap encrypts the key to the recipient. Inside of EncryptedData the name space is declared, beside it not: canonical form needs to tell.
func (e *Encryption) wrap(t testing.TB, key []byte) string {
	t.Helper()
	digest := e.Digest
	if digest == 0 {
		digest = crypto.SHA1
	}
	space, transport, parameters := "http://www.w3.org/2001/04/xmlenc#", e.Transport, ""
	var sealed []byte
	var err error
	switch transport {
	case "rsa-1_5":
		//lint:ignore SA1019 it is there to be refused
		sealed, err = rsa.EncryptPKCS1v15(rand.Reader, e.To, key)
	case "rsa-oaep":
		space = "http://www.w3.org/2009/xmlenc11#"
		parameters = `<xenc11:MGF xmlns:xenc11="http://www.w3.org/2009/xmlenc11#" Algorithm="http://www.w3.org/2009/xmlenc11#mgf1sha` +
			strings.TrimPrefix(digest.String(), "SHA-") + `"></xenc11:MGF>`
		sealed, err = rsa.EncryptOAEP(digest.New(), rand.Reader, e.To, key, nil)
	default:
		transport = "rsa-oaep-mgf1p"
		sealed, err = rsa.EncryptOAEPWithOptions(rand.Reader, e.To, key, &rsa.OAEPOptions{Hash: digest, MGFHash: crypto.SHA1})
	}
	if err != nil {
		t.Fatal(err)
	}
	declared := ""
	if e.Beside {
		declared = ` xmlns:xenc="http://www.w3.org/2001/04/xmlenc#"`
	}
	if transport != "rsa-1_5" {
		parameters = fmt.Sprintf(`<ds:DigestMethod%s Algorithm="%s"></ds:DigestMethod>`, e.digestScope(), digestNames[digest]) + parameters
	}
	return fmt.Sprintf(`<xenc:EncryptedKey%s><xenc:EncryptionMethod Algorithm="%s">%s</xenc:EncryptionMethod>`+
		`<xenc:CipherData><xenc:CipherValue>%s</xenc:CipherValue></xenc:CipherData></xenc:EncryptedKey>`,
		declared, space+transport, parameters, base64.StdEncoding.EncodeToString(sealed))
}

func (e *Encryption) digestScope() string {
	if e.Beside {
		return dsig
	}
	return "" // KeyInfo has declared it
}

func sealCBC(block cipher.Block, plain []byte) []byte {
	size := block.BlockSize()
	padding := size - len(plain)%size
	padded := append(append([]byte(nil), plain...), make([]byte, padding)...)
	padded[len(padded)-1] = byte(padding)
	sealed := make([]byte, size+len(padded))
	_, _ = rand.Read(sealed[:size])
	cipher.NewCBCEncrypter(block, sealed[:size]).CryptBlocks(sealed[size:], padded)
	return sealed
}

// EncryptionKey is a key that assertions may be encrypted to, and its PEM as CreateSAMLProvider takes it.
func EncryptionKey(t testing.TB) (*rsa.PrivateKey, string) {
	t.Helper()
	return EncryptionKeyOf(t, "encryption")
}

// EncryptionKeyOf is an EncryptionKey for each name.
func EncryptionKeyOf(t testing.TB, name string) (*rsa.PrivateKey, string) {
	t.Helper()
	key := New(t, name).Key.(*rsa.PrivateKey)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return key, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}
