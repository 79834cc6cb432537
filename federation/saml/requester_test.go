package saml_test

import (
	"bytes"
	"compress/flate"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"io"
	"math/big"
	"net/url"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stint-sts/stint/federation/saml"
	"github.com/stint-sts/stint/federation/samltest"
)

const (
	sso      = "https://idp.example.com/sso"
	entityID = "https://sts.example.com/saml/metadata"
)

func serviceProvider(t testing.TB, keys ...crypto.Signer) *saml.ServiceProvider {
	t.Helper()
	if keys == nil {
		keys = []crypto.Signer{samltest.New(t, "stint").Key}
	}
	sp := &saml.ServiceProvider{EntityID: entityID, ACS: []string{acs}}
	for _, k := range keys {
		signing, err := saml.NewSigningKey(k)
		if err != nil {
			t.Fatal(err)
		}
		sp.Keys = append(sp.Keys, signing)
	}
	return sp
}

// at is the metadata of a provider that takes requests at these endpoints.
func at(endpoints ...saml.Endpoint) *saml.Metadata {
	return &saml.Metadata{EntityID: entity, SSO: endpoints}
}

// request is what an identity provider reads in an AuthnRequest.
type request struct {
	XMLName     xml.Name `xml:"urn:oasis:names:tc:SAML:2.0:protocol AuthnRequest"`
	ID          string   `xml:"ID,attr"`
	Version     string   `xml:"Version,attr"`
	Issued      string   `xml:"IssueInstant,attr"`
	Destination string   `xml:"Destination,attr"`
	ACS         string   `xml:"AssertionConsumerServiceURL,attr"`
	Binding     string   `xml:"ProtocolBinding,attr"`
	ForceAuthn  string   `xml:"ForceAuthn,attr"`
	Issuer      string   `xml:"urn:oasis:names:tc:SAML:2.0:assertion Issuer"`
	Policy      struct {
		AllowCreate string `xml:"AllowCreate,attr"`
	} `xml:"urn:oasis:names:tc:SAML:2.0:protocol NameIDPolicy"`
}

func wanted(m *saml.Message, destination, force string) request {
	r := request{
		XMLName: xml.Name{Space: "urn:oasis:names:tc:SAML:2.0:protocol", Local: "AuthnRequest"}, ID: m.ID, Version: "2.0",
		Issued: "2026-11-28T12:00:00Z", Destination: destination, ACS: acs, Binding: string(saml.HTTPPost), ForceAuthn: force, Issuer: entityID,
	}
	r.Policy.AllowCreate = "true"
	return r
}

func TestAuthnRequest_Redirect(t *testing.T) {
	t.Parallel()
	ec := samltest.NewECDSA(t, "stint", elliptic.P256()).Key
	for name, row := range map[string]struct {
		key        crypto.Signer
		location   string
		relayState string
		force      string
	}{
		"RSA":                                   {nil, sso, "", ""},
		"RSA, a state to bring back and proof":  {nil, sso, "a b&c=d/é", "true"},
		"P-256":                                 {ec, sso, "state", ""},
		"a place that has a query":              {nil, sso + "?tenant=7", "state", ""},
		"the longest state":                     {nil, sso, strings.Repeat("s", saml.MaxRelayState), ""},
		"a place with characters XML must mask": {nil, sso + "?a=1&b='2'", "", ""},
	} {
		sp := serviceProvider(t)
		if row.key != nil {
			sp = serviceProvider(t, row.key)
		}
		m, err := sp.AuthnRequest(&saml.AuthnRequest{
			Provider: at(saml.Endpoint{Binding: saml.HTTPRedirect, Location: row.location}), RelayState: row.relayState, ForceAuthn: row.force != "", Now: now,
		})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		query, ours := strings.CutPrefix(m.URL, row.location)
		if !ours || m.Binding != saml.HTTPRedirect || m.SAMLRequest != "" {
			t.Fatalf("%s: %+v", name, m)
		}
		values := verifyQuery(t, sp, query[1:])
		if values.Get("RelayState") != row.relayState || values.Has("RelayState") != (row.relayState != "") {
			t.Errorf("%s: RelayState is %q", name, values["RelayState"])
		}
		var got request
		if err := xml.Unmarshal(inflate(t, values.Get("SAMLRequest")), &got); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(wanted(m, row.location, row.force), got); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
}

// verifyQuery checks a signed query as an identity provider does: over the very bytes that came, without the signature.
func verifyQuery(t *testing.T, sp *saml.ServiceProvider, query string) url.Values {
	t.Helper()
	signed, signature, found := strings.Cut(query, "&Signature=")
	values, err := url.ParseQuery(query)
	if err != nil || !found {
		t.Fatalf("query %q: %v", query, err)
	}
	value, err := base64.StdEncoding.DecodeString(values.Get("Signature"))
	if err != nil || strings.Contains(signature, "&") {
		t.Fatalf("signature %q: %v", signature, err)
	}
	certificate, err := x509.ParseCertificate(sp.Keys[0].Certificate)
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256([]byte(signed))
	switch key := certificate.PublicKey.(type) {
	case *rsa.PublicKey:
		if err := rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], value); err != nil || values.Get("SigAlg") != samltest.RSASHA256 {
			t.Errorf("signature by %s: %v", values.Get("SigAlg"), err)
		}
	case *ecdsa.PublicKey:
		r, s := new(big.Int).SetBytes(value[:32]), new(big.Int).SetBytes(value[32:])
		if len(value) != 64 || !ecdsa.Verify(key, digest[:], r, s) || values.Get("SigAlg") != samltest.ECDSASHA256 {
			t.Errorf("signature by %s does not hold", values.Get("SigAlg"))
		}
	}
	return values
}

func inflate(t *testing.T, text string) []byte {
	t.Helper()
	compressed, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(flate.NewReader(bytes.NewReader(compressed)))
	if err != nil {
		t.Fatal(err)
	}
	return plain
}

// xmlsec1 confirms the signature of a posted request, and refuses it once anything has changed.
func TestAuthnRequest_Post(t *testing.T) {
	t.Parallel()
	program := xmlsec(t)
	for name, signer := range map[string]*samltest.IdP{"RSA": samltest.New(t, "stint"), "P-256": samltest.NewECDSA(t, "stint", elliptic.P256())} {
		sp := serviceProvider(t, signer.Key)
		sp.EntityID = "urn:stint:a&b<\"é\">"
		m, err := sp.AuthnRequest(&saml.AuthnRequest{
			Provider: at(saml.Endpoint{Binding: saml.HTTPPost, Location: sso + "?a=1&b=2"}), RelayState: "state", ForceAuthn: true, Now: now,
		})
		if err != nil {
			t.Fatal(err)
		}
		if m.Binding != saml.HTTPPost || m.URL != sso+"?a=1&b=2" || m.RelayState != "state" {
			t.Errorf("%s: %+v", name, m)
		}
		document, err := base64.StdEncoding.DecodeString(m.SAMLRequest)
		if err != nil {
			t.Fatal(err)
		}
		var got request
		if err := xml.Unmarshal(document, &got); err != nil {
			t.Fatal(err)
		}
		want := wanted(m, m.URL, "true")
		want.Issuer = sp.EntityID
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
		for text, good := range map[string]bool{string(document): true, strings.Replace(string(document), acs, acs+"/evil", 1): false} {
			out, err := exec.Command(program, "--verify", "--pubkey-pem", file(t, "key.pem", publicPEM(t, signer)),
				"--id-attr:ID", "urn:oasis:names:tc:SAML:2.0:protocol:AuthnRequest", file(t, "request.xml", text)).CombinedOutput()
			if (err == nil) != good {
				t.Errorf("%s: xmlsec1 says %v, want it to pass: %v\n%s", name, err, good, out)
			}
		}
	}
}

func TestAuthnRequest_Refuses(t *testing.T) {
	t.Parallel()
	sp := serviceProvider(t)
	for name, row := range map[string]struct {
		request saml.AuthnRequest
		want    error
	}{
		"a state of 81 bytes":          {saml.AuthnRequest{Provider: at(saml.Endpoint{Binding: saml.HTTPRedirect, Location: sso}), RelayState: strings.Repeat("é", 40) + "s"}, saml.ErrRelayState},
		"a provider without endpoints": {saml.AuthnRequest{Provider: at()}, saml.ErrNoSSO},
	} {
		if m, err := sp.AuthnRequest(&row.request); !errors.Is(err, row.want) {
			t.Errorf("%s: %+v, %v", name, m, err)
		}
	}
}

func TestNewSigningKey(t *testing.T) {
	t.Parallel()
	for name, key := range map[string]crypto.Signer{"RSA": samltest.New(t, "stint").Key, "P-256": samltest.NewECDSA(t, "stint", elliptic.P256()).Key} {
		first, err := saml.NewSigningKey(key)
		second, err2 := saml.NewSigningKey(key)
		if err != nil || err2 != nil || !bytes.Equal(first.Certificate, second.Certificate) {
			t.Errorf("%s: two nodes make different certificates: %v, %v", name, err, err2)
		}
	}
	if _, err := saml.NewSigningKey(samltest.NewECDSA(t, "stint", elliptic.P384()).Key); err == nil {
		t.Error("P-384 passes")
	}
}

func TestVerify_InResponseTo(t *testing.T) {
	t.Parallel()
	p := samltest.New(t, entity)
	for name, row := range map[string]struct {
		response, confirmation string
		want                   error
	}{
		"the answer to a request":                          {"_1", "_1", nil},
		"an answer by the confirmation's word":             {"", "_1", nil},
		"of the provider's own accord":                     {"", "", nil},
		"a request that only the response names, unproven": {"_1", "", saml.ErrInResponseTo},
		"two requests":                                     {"_1", "_2", saml.ErrInResponseTo},
		"a long name for a request":                        {"", strings.Repeat("r", 257), saml.ErrMalformed},
	} {
		a, err := verify(t, p, func(r *samltest.Response) { r.InResponseTo, r.ConfirmsRequest = row.response, row.confirmation }, nil)
		if !errors.Is(err, row.want) || err == nil && a.InResponseTo != row.confirmation {
			t.Errorf("%s: %+v, %v", name, a, err)
		}
	}
	_, err := verify(t, p, func(r *samltest.Response) { r.ConfirmsRequest, r.Edit = "_1", replace(`"_1"`, `"_2"`) }, nil)
	if !errors.Is(err, saml.ErrUntrusted) {
		t.Errorf("another request, put in its place: %v", err)
	}
}

func TestReadClaim(t *testing.T) {
	t.Parallel()
	p := samltest.New(t, entity)
	const one, other = "arn:aws:iam::111122223333:saml-provider/one", "arn:aws:iam::444455556666:saml-provider/other"
	r := p.Good(now, acs)
	r.InResponseTo, r.SignAssertion = "_1", false // nothing is proven
	r.Attributes[samltest.AttributePrefix+"Role"] = []string{one + ",arn:aws:iam::111122223333:role/A", "arn:aws:iam::444455556666:role/B," + other, one + ",arn:aws:iam::111122223333:role/C", "x"}
	c, err := saml.ReadClaim(p.Encode(t, r))
	if diff := cmp.Diff(&saml.Claim{Issuer: entity, InResponseTo: "_1", Providers: []string{one, other}}, c); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	key, _ := samltest.EncryptionKey(t)
	r.Encrypt = &samltest.Encryption{Cipher: "aes256-gcm", To: &key.PublicKey}
	if c, err = saml.ReadClaim(p.Encode(t, r)); err != nil || c.Issuer != entity || c.Providers != nil {
		t.Errorf("encrypted: %+v, %v", c, err)
	}
	r = p.Good(now, acs)
	r.ResponseIssuer = ""
	if c, err = saml.ReadClaim(p.Encode(t, r)); err != nil || c.Issuer != entity {
		t.Errorf("issuer in the assertion only: %+v, %v", c, err)
	}
	for text, want := range map[string]error{"!": saml.ErrEncoding, "AAAA": saml.ErrMalformed, strings.Repeat("A", saml.MaxResponseSize+4): saml.ErrMalformed} {
		if c, err := saml.ReadClaim(text); !errors.Is(err, want) {
			t.Errorf("%.10s: %+v, %v", text, c, err)
		}
	}
}

func TestServiceProvider_Metadata(t *testing.T) {
	t.Parallel()
	next := samltest.New(t, "next").Key
	sp := serviceProvider(t, samltest.New(t, "stint").Key, next)
	sp.ACS = append(sp.ACS, "https://sts.example.com/other?a=1&b=2")
	var got struct {
		XMLName  xml.Name `xml:"urn:oasis:names:tc:SAML:2.0:metadata EntityDescriptor"`
		EntityID string   `xml:"entityID,attr"`
		Role     struct {
			Signed string `xml:"AuthnRequestsSigned,attr"`
			Want   string `xml:"WantAssertionsSigned,attr"`
			Keys   []struct {
				Use         string `xml:"use,attr"`
				Certificate string `xml:"KeyInfo>X509Data>X509Certificate"`
			} `xml:"KeyDescriptor"`
			Formats []string `xml:"NameIDFormat"`
			ACS     []struct {
				Binding  string `xml:"Binding,attr"`
				Location string `xml:"Location,attr"`
				Index    string `xml:"index,attr"`
				Default  string `xml:"isDefault,attr"`
			} `xml:"AssertionConsumerService"`
			Attributes []struct {
				Name     string `xml:"Name,attr"`
				Required string `xml:"isRequired,attr"`
			} `xml:"AttributeConsumingService>RequestedAttribute"`
		} `xml:"SPSSODescriptor"`
	}
	if err := xml.Unmarshal([]byte(sp.Metadata()), &got); err != nil {
		t.Fatal(err)
	}
	role := got.Role
	if got.EntityID != entityID || role.Signed != "true" || role.Want != "true" || len(role.Formats) != 4 {
		t.Errorf("%+v", got)
	}
	if len(role.ACS) != 2 || role.ACS[0].Location != acs || role.ACS[0].Default != "true" || role.ACS[1].Location != sp.ACS[1] || role.ACS[1].Default != "" || role.ACS[1].Index != "1" {
		t.Errorf("endpoints are %+v", role.ACS)
	}
	if len(role.Attributes) != 5 || role.Attributes[0].Name != samltest.AttributePrefix+"Role" || role.Attributes[0].Required != "true" {
		t.Errorf("attributes are %+v", role.Attributes)
	}
	for i, want := range []crypto.Signer{samltest.New(t, "stint").Key, next} {
		der, err := base64.StdEncoding.DecodeString(role.Keys[i].Certificate)
		if err != nil {
			t.Fatal(err)
		}
		certificate, err := x509.ParseCertificate(der)
		if err != nil || role.Keys[i].Use != "signing" || !want.Public().(*rsa.PublicKey).Equal(certificate.PublicKey) {
			t.Errorf("key %d is for %s: %v", i, role.Keys[i].Use, err)
		} else if !certificate.NotAfter.After(now.Add(10 * 365 * 24 * time.Hour)) {
			t.Errorf("key %d ends %v", i, certificate.NotAfter)
		}
	}
}

func TestMetadata_Endpoints(t *testing.T) {
	t.Parallel()
	p := samltest.New(t, entity)
	const service = `<md:SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect" Location="https://idp.example.com/sso"/>`
	with := func(services string) string { return replace(service, services)(p.Metadata()) }
	m, err := saml.ParseMetadata(replace(`WantAuthnRequestsSigned="false"`, `WantAuthnRequestsSigned="1"`)(with(
		`<md:SingleLogoutService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect" Location="https://idp.example.com/slo"/>` +
			`<md:SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:SOAP" Location="urn:ignored"/>` +
			`<md:SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST" Location="http://127.0.0.1:8080/sso?a=1&amp;b=2"/>` + service)))
	if err != nil {
		t.Fatal(err)
	}
	want := []saml.Endpoint{{Binding: saml.HTTPPost, Location: "http://127.0.0.1:8080/sso?a=1&b=2"}, {Binding: saml.HTTPRedirect, Location: sso}}
	if diff := cmp.Diff(want, m.SSO); diff != "" || len(m.SLO) != 1 || m.SLO[0].Location != "https://idp.example.com/slo" || !m.WantAuthnRequestsSigned {
		t.Errorf("%+v\n%s", m, diff)
	}
	if m, err := saml.ParseMetadata(with("")); err != nil || len(m.SSO) != 0 || m.WantAuthnRequestsSigned {
		t.Errorf("no endpoints: %+v, %v", m, err)
	}
	for name, document := range map[string]string{
		"a script":             with(strings.Replace(service, sso, "javascript:alert(1)", 1)),
		"no host":              with(strings.Replace(service, sso, "https:///sso", 1)),
		"a name and password":  with(strings.Replace(service, sso, "https://a:b@idp.example.com/sso", 1)),
		"a relative place":     with(strings.Replace(service, sso, "/sso", 1)),
		"a line break":         with(strings.Replace(service, sso, sso+"&#10;x", 1)),
		"a fragment":           with(strings.Replace(service, sso, sso+"#x", 1)),
		"a long place":         with(strings.Replace(service, sso, sso+strings.Repeat("x", 2048), 1)),
		"seventeen":            with(strings.Repeat(service, 17)),
		"a wish that is none":  replace(`Signed="false"`, `Signed="perhaps"`)(p.Metadata()),
		"no place to log out":  with(strings.Replace(strings.Replace(service, "SignOn", "Logout", 1), sso, "", 1)),
		"a place of quotes":    with(strings.Replace(service, sso, sso+"&quot;&gt;", 1)),
		"a place of backslash": with(strings.Replace(service, sso, `https:\\idp`, 1)),
	} {
		if _, err := saml.ParseMetadata(document); !errors.Is(err, saml.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
