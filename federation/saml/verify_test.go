package saml_test

import (
	"crypto"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stint-sts/stint/federation/saml"
	"github.com/stint-sts/stint/federation/samltest"
)

const (
	acs    = "https://sts.example.com/saml/acs"
	entity = "https://idp.example.com/saml"
)

var now = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

// metadata parses the metadata of a provider.
func metadata(t testing.TB, p *samltest.IdP, others ...*samltest.IdP) *saml.Metadata {
	t.Helper()
	m, err := saml.ParseMetadata(p.Metadata(others...))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func expected(t testing.TB, p *samltest.IdP) *saml.Expected {
	t.Helper()
	return &saml.Expected{Provider: metadata(t, p), Endpoints: []string{acs}, Audiences: []string{"urn:amazon:webservices"}, Now: now}
}

// verify makes a good response, changes it, and verifies it.
func verify(t testing.TB, p *samltest.IdP, change func(*samltest.Response), expect func(*saml.Expected)) (*saml.Assertion, error) {
	t.Helper()
	r, e := p.Good(now, acs), expected(t, p)
	if change != nil {
		change(r)
	}
	if expect != nil {
		expect(e)
	}
	return saml.Verify(p.Encode(t, r), e)
}

func replace(old, with string) func(string) string {
	return func(s string) string {
		if !strings.Contains(s, old) {
			panic("nothing to replace: " + old)
		}
		return strings.Replace(s, old, with, 1)
	}
}

func TestVerify_Accepts(t *testing.T) {
	t.Parallel()
	p := samltest.New(t, entity)
	for name, row := range map[string]struct {
		change func(*samltest.Response)
		expect func(*saml.Expected)
	}{
		"a signed assertion":                    {nil, nil},
		"a signed response":                     {func(r *samltest.Response) { r.SignAssertion, r.SignResponse = false, true }, nil},
		"both signed":                           {func(r *samltest.Response) { r.SignResponse = true }, nil},
		"SHA-384":                               {func(r *samltest.Response) { r.SignatureMethod, r.DigestMethod = samltest.RSASHA384, samltest.SHA384 }, nil},
		"SHA-512":                               {func(r *samltest.Response) { r.SignatureMethod, r.DigestMethod = samltest.RSASHA512, samltest.SHA512 }, nil},
		"no response issuer and no destination": {func(r *samltest.Response) { r.ResponseIssuer, r.Destination = "", "" }, nil},
		"our own endpoint as the audience":      {func(r *samltest.Response) { r.Audiences = []string{acs} }, nil},
		"two restrictions that both name us":    {func(r *samltest.Response) { r.Audiences = []string{acs, "urn:amazon:webservices"} }, nil},
		"conditions that bind us not": {func(r *samltest.Response) {
			r.EditAssertion = replace("</saml:Conditions>", "<saml:OneTimeUse></saml:OneTimeUse><saml:ProxyRestriction></saml:ProxyRestriction></saml:Conditions>")
		}, nil},
		"no bounds in the conditions": {func(r *samltest.Response) { r.NotBefore, r.NotOnOrAfter = time.Time{}, time.Time{} }, nil},
		"a clock that is two minutes ahead": {func(r *samltest.Response) {
			r.IssueInstant, r.NotBefore = now.Add(2*time.Minute), now.Add(2*time.Minute)
		}, nil},
		"an end within the skew": {func(r *samltest.Response) {
			r.ConfirmedUntil, r.NotOnOrAfter = now.Add(-2*time.Minute), now.Add(-2*time.Minute)
		}, nil},
		"redemption after five minutes sharp": {func(r *samltest.Response) { r.IssueInstant = now.Add(-saml.MaxAge) }, nil},
		"an XML declaration and white space": {func(r *samltest.Response) {
			r.Edit = func(s string) string { return "<?xml version='1.0' encoding='utf-8'?>\n" + s + "\n" }
		}, nil},
		"a name that holds a character reference": {func(r *samltest.Response) { r.NameID = "alice&amp;bob" }, nil},
		"other prefixes declared around": {func(r *samltest.Response) {
			r.Edit = replace("<samlp:Response ", `<samlp:Response xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns="urn:x" `)
		}, nil},
		"CDATA written in place of text":           {func(r *samltest.Response) { r.Edit = replace(">alice@example.com<", "><![CDATA[alice@example]]>.com<") }, nil},
		"empty element tags and other white space": {func(r *samltest.Response) { r.Edit = replace("></saml:SubjectConfirmationData>", "\n/>") }, nil},
		"line breaks in the signature value":       {func(r *samltest.Response) { r.Edit = replace("<ds:SignatureValue>", "<ds:SignatureValue>\n  ") }, nil},
		"no KeyInfo": {func(r *samltest.Response) {
			r.Edit = func(s string) string {
				before, rest, _ := strings.Cut(s, "<ds:KeyInfo>")
				_, after, _ := strings.Cut(rest, "</ds:KeyInfo>")
				return before + after
			}
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, err := verify(t, p, row.change, row.expect)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(a.NameID, "alice") || a.Issuer != entity || a.Recipient != acs || a.SubjectType() != "persistent" {
				t.Errorf("assertion is %+v", a)
			}
		})
	}
}

func TestVerify_Curves(t *testing.T) {
	t.Parallel()
	for method, curve := range map[string]elliptic.Curve{
		samltest.ECDSASHA256: elliptic.P256(), samltest.ECDSASHA384: elliptic.P384(), samltest.ECDSASHA512: elliptic.P521(),
	} {
		p := samltest.NewECDSA(t, entity, curve)
		if _, err := verify(t, p, func(r *samltest.Response) { r.SignatureMethod = method }, nil); err != nil {
			t.Errorf("%s: %v", method, err)
		}
		if _, err := verify(t, p, func(r *samltest.Response) {
			r.SignatureMethod = method
			r.Edit = replace("<ds:SignatureValue>", "<ds:SignatureValue>AAAA")
		}, nil); !errors.Is(err, saml.ErrUntrusted) {
			t.Errorf("%s with a longer value: %v", method, err)
		}
	}
}

// assertionOf cuts the assertion out of a response.
func assertionOf(s string) string {
	from := strings.Index(s, "<saml:Assertion")
	return s[from : strings.LastIndex(s, "</saml:Assertion>")+len("</saml:Assertion>")]
}

// signatureOf cuts the first signature out of an element.
func signatureOf(s string) string {
	from := strings.Index(s, "<ds:Signature ")
	return s[from : strings.Index(s, "</ds:Signature>")+len("</ds:Signature>")]
}

// evil is an assertion of the attacker's: the original, under another ID and with another name, without the signature.
func evil(original string) string {
	s := strings.Replace(original, signatureOf(original), "", 1)
	s = strings.Replace(s, `ID="_assertion`, `ID="_evil`, 1)
	return strings.Replace(s, "alice@example.com", "admin@example.com", 1)
}

// The classes of signature wrapping are those of Somorovsky et al., "On Breaking SAML: Be Whoever You Want to Be" (USENIX Security 2012), as
// the tool SAML Raider numbers them.
func TestVerify_Wrapping(t *testing.T) {
	t.Parallel()
	p := samltest.New(t, entity)
	signedResponse := func(r *samltest.Response) { r.SignAssertion, r.SignResponse = false, true }
	wrapResponse := func(s, inside string) string { // a copy of the response, unsigned, with another name and ID, that holds inside
		s = strings.Replace(s, signatureOf(s), inside, 1)
		s = strings.Replace(s, `ID="_response`, `ID="_evil`, 1)
		return strings.Replace(s, "alice@example.com", "admin@example.com", 1)
	}
	insert := func(element, name, what string) string { // as the first child
		at := strings.Index(element, name)
		at += strings.Index(element[at:], ">") + 1
		return element[:at] + what + element[at:]
	}
	for name, row := range map[string]struct {
		change func(*samltest.Response)
		attack func(string) string
	}{
		"XSW1: the signed response inside the signature of an evil one": {signedResponse, func(s string) string {
			signature := signatureOf(s)
			return wrapResponse(s, strings.Replace(signature, "</ds:Signature>", strings.Replace(s, signature, "", 1)+"</ds:Signature>", 1))
		}},
		"XSW2: the signed response before the signature, detached": {signedResponse, func(s string) string {
			signature := signatureOf(s)
			return wrapResponse(s, strings.Replace(s, signature, "", 1)+signature)
		}},
		"XSW3: an evil assertion before the signed one": {nil, func(s string) string {
			return strings.Replace(s, "<saml:Assertion", evil(assertionOf(s))+"<saml:Assertion", 1)
		}},
		"XSW4: the signed assertion inside an evil one": {nil, func(s string) string {
			original := assertionOf(s)
			return strings.Replace(s, original, strings.Replace(evil(original), "</saml:Assertion>", original+"</saml:Assertion>", 1), 1)
		}},
		"XSW5: the evil assertion keeps the signature, the original follows": {nil, func(s string) string {
			original := assertionOf(s)
			signature := signatureOf(original)
			return strings.Replace(s, original, insert(evil(original), "<saml:Assertion", signature)+strings.Replace(original, signature, "", 1), 1)
		}},
		"XSW6: the original inside the signature of the evil assertion": {nil, func(s string) string {
			original := assertionOf(s)
			signature := signatureOf(original)
			nested := strings.Replace(signature, "</ds:Signature>", strings.Replace(original, signature, "", 1)+"</ds:Signature>", 1)
			return strings.Replace(s, original, insert(evil(original), "<saml:Assertion", nested), 1)
		}},
		"XSW7: the evil assertion in Extensions": {nil, func(s string) string {
			return strings.Replace(s, "<samlp:Status>", "<samlp:Extensions>"+evil(assertionOf(s))+"</samlp:Extensions><samlp:Status>", 1)
		}},
		"XSW8: the original in an Object of the evil assertion's signature": {nil, func(s string) string {
			original := assertionOf(s)
			signature := signatureOf(original)
			nested := strings.Replace(signature, "</ds:Signature>",
				"<ds:Object>"+strings.Replace(original, signature, "", 1)+"</ds:Object></ds:Signature>", 1)
			return strings.Replace(s, original, insert(evil(original), "<saml:Assertion", nested), 1)
		}},
		"an evil assertion that takes the ID": {nil, func(s string) string {
			original := assertionOf(s)
			return strings.Replace(s, original, strings.Replace(evil(original), `ID="_evil`, `ID="_assertion`, 1)+original, 1)
		}},
		"the signed assertion elsewhere, an evil one without signature in its place": {nil, func(s string) string {
			original := assertionOf(s)
			s = strings.Replace(s, original, evil(original), 1)
			return strings.Replace(s, "<samlp:Status>", "<samlp:Extensions>"+original+"</samlp:Extensions><samlp:Status>", 1)
		}},
		"the ID given by a second attribute": {nil, func(s string) string {
			return strings.Replace(s, `<saml:Conditions`, `<saml:Conditions Id="`+s[strings.Index(s, "_assertion"):][:36]+`"`, 1)
		}},
		"the response inside another response": {signedResponse, func(s string) string {
			return `<samlp:Response xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol" ID="_evil" Version="2.0">` + s + `</samlp:Response>`
		}},
		"the bare assertion": {nil, assertionOf},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := verify(t, p, row.change, nil); err != nil {
				t.Fatalf("without the attack: %v", err)
			}
			a, err := verify(t, p, func(r *samltest.Response) {
				if row.change != nil {
					row.change(r)
				}
				r.Edit = row.attack
			}, nil)
			if !errors.Is(err, saml.ErrMalformed) && !errors.Is(err, saml.ErrUntrusted) {
				t.Fatalf("assertion %+v, error %v", a, err)
			}
		})
	}
}

func TestVerify_Refuses(t *testing.T) {
	t.Parallel()
	p, other := samltest.New(t, entity), samltest.New(t, "https://other.example.com")
	hmac := "http://www.w3.org/2001/04/xmldsig-more#hmac-sha256"
	transform := `<ds:Transform Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#"></ds:Transform>`
	if _, err := verify(t, p, func(r *samltest.Response) { r.SignResponse = true }, nil); err != nil { // each row spoils a good one
		t.Fatal(err)
	}
	for name, row := range map[string]struct {
		change func(*samltest.Response)
		want   error
	}{
		// Signatures.
		"nothing signed":                      {func(r *samltest.Response) { r.SignAssertion = false }, saml.ErrUntrusted},
		"a changed name":                      {func(r *samltest.Response) { r.Edit = replace("alice@", "admin@") }, saml.ErrUntrusted},
		"a changed attribute of the response": {func(r *samltest.Response) { r.SignResponse = true; r.Edit = replace(`Destination="`+acs+`"`, "") }, saml.ErrUntrusted},
		"a response signature that fails beside an assertion signature that holds": {func(r *samltest.Response) {
			r.SignResponse = true
			r.Edit = replace("<samlp:Status>", "<samlp:Status> ")
		}, saml.ErrUntrusted},
		"SHA-1 signature":           {func(r *samltest.Response) { r.SignatureMethod = samltest.RSASHA1 }, saml.ErrUntrusted},
		"SHA-1 digest":              {func(r *samltest.Response) { r.DigestMethod = samltest.SHA1 }, saml.ErrUntrusted},
		"HMAC under the public key": {func(r *samltest.Response) { r.EditSignature = replace(samltest.RSASHA256, hmac) }, saml.ErrUntrusted},
		"a truncated HMAC": {func(r *samltest.Response) {
			r.EditSignature = replace("</ds:SignatureMethod>", "<ds:HMACOutputLength>0</ds:HMACOutputLength></ds:SignatureMethod>")
		}, saml.ErrUntrusted},
		"an ECDSA algorithm for an RSA key": {func(r *samltest.Response) { r.EditSignature = replace(samltest.RSASHA256, samltest.ECDSASHA256) }, saml.ErrUntrusted},
		"a reference to everything":         {func(r *samltest.Response) { r.EditSignature = replace(`URI="#`+r.AssertionID, `URI="`) }, saml.ErrUntrusted},
		"a reference to the response":       {func(r *samltest.Response) { r.EditSignature = replace("#"+r.AssertionID, "#"+r.ID) }, saml.ErrUntrusted},
		"a reference by XPointer": {func(r *samltest.Response) {
			r.EditSignature = replace("#"+r.AssertionID, "#xpointer(id('"+r.AssertionID+"'))")
		}, saml.ErrUntrusted},
		"a reference elsewhere": {func(r *samltest.Response) { r.EditSignature = replace("#"+r.AssertionID, "http://evil.example.com/") }, saml.ErrUntrusted},
		"two references": {func(r *samltest.Response) {
			r.EditSignature = func(s string) string {
				reference := s[strings.Index(s, "<ds:Reference"):strings.Index(s, "</ds:SignedInfo>")]
				return strings.Replace(s, reference, reference+reference, 1)
			}
		}, saml.ErrMalformed},
		"an XSLT transform": {func(r *samltest.Response) {
			r.EditSignature = replace(transform, `<ds:Transform Algorithm="http://www.w3.org/TR/1999/REC-xslt-19991116"></ds:Transform>`+transform)
		}, saml.ErrUntrusted},
		"an XPath transform": {func(r *samltest.Response) {
			r.EditSignature = replace(transform, `<ds:Transform Algorithm="http://www.w3.org/TR/1999/REC-xpath-19991116"></ds:Transform>`)
		}, saml.ErrUntrusted},
		"inclusive c14n": {func(r *samltest.Response) {
			r.EditSignature = replace(transform, `<ds:Transform Algorithm="http://www.w3.org/TR/2001/REC-xml-c14n-20010315"></ds:Transform>`)
		}, saml.ErrUntrusted},
		"c14n with comments": {func(r *samltest.Response) {
			r.EditSignature = replace(`exc-c14n#"></ds:Can`, `exc-c14n#WithComments"></ds:Can`)
		}, saml.ErrUntrusted},
		"no transforms": {func(r *samltest.Response) { r.EditSignature = replace(transform, "") }, saml.ErrUntrusted},
		"an empty digest": {func(r *samltest.Response) {
			r.EditSignature = func(s string) string {
				i, j := strings.Index(s, "<ds:DigestValue>"), strings.Index(s, "</ds:DigestValue>")
				return s[:i+16] + s[j:]
			}
		}, saml.ErrMalformed},
		"an Object": {func(r *samltest.Response) { r.Edit = replace("<ds:KeyInfo>", "<ds:Object></ds:Object><ds:KeyInfo>") }, saml.ErrUntrusted},
		"two signatures": {func(r *samltest.Response) {
			r.Edit = func(s string) string { g := signatureOf(s); return strings.Replace(s, g, g+g, 1) }
		}, saml.ErrMalformed},
		"a signature in a statement": {func(r *samltest.Response) {
			r.Edit = func(s string) string {
				g := signatureOf(s)
				return strings.Replace(strings.Replace(s, g, "", 1), "<saml:Subject>", "<saml:Subject>"+g, 1)
			}
		}, saml.ErrMalformed},
		"no ID": {func(r *samltest.Response) { r.AssertionID = "" }, saml.ErrUntrusted},
		"a base64 transform": {func(r *samltest.Response) {
			r.EditSignature = replace(transform, `<ds:Transform Algorithm="http://www.w3.org/2000/09/xmldsig#base64"></ds:Transform>`)
		}, saml.ErrUntrusted},
		"a third transform": {func(r *samltest.Response) { r.EditSignature = replace(transform, transform+transform) }, saml.ErrUntrusted},
		"the digest of nothing": {func(r *samltest.Response) {
			r.EditSignature = func(s string) string {
				i, j := strings.Index(s, "<ds:DigestValue>"), strings.Index(s, "</ds:DigestValue>")
				return s[:i+16] + "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=" + s[j:]
			}
		}, saml.ErrUntrusted},
		"a digest with loose bits": {func(r *samltest.Response) {
			r.EditSignature = func(s string) string {
				i := strings.Index(s, "=</ds:DigestValue>")
				return s[:i-1] + string("BCDFGHIJ"[strings.IndexByte("AEIMQUYcgkosw048", s[i-1])%8]) + s[i:]
			}
		}, saml.ErrMalformed},
		"no signature value": {func(r *samltest.Response) {
			r.Edit = func(s string) string {
				i, j := strings.Index(s, "<ds:SignatureValue>"), strings.Index(s, "</ds:SignatureValue>")
				return s[:i+19] + s[j:]
			}
		}, saml.ErrMalformed},

		// Encoding and XML.
		"an empty document": {func(r *samltest.Response) { r.Edit = func(string) string { return "" } }, saml.ErrMalformed},
		"a document type":   {func(r *samltest.Response) { r.Edit = func(s string) string { return "<!DOCTYPE x>" + s } }, saml.ErrMalformed},
		"an entity": {func(r *samltest.Response) {
			r.Edit = func(s string) string {
				return `<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>` + strings.Replace(s, "alice@", "&e;", 1)
			}
		}, saml.ErrMalformed},
		"an undeclared entity": {func(r *samltest.Response) { r.Edit = replace("alice@", "&nbsp;") }, saml.ErrMalformed},
		"a comment in the name": {func(r *samltest.Response) {
			r.Edit = replace("alice@example.com", "alice@example.com<!-- -->.evil.com")
		}, saml.ErrMalformed},
		"a processing instruction": {func(r *samltest.Response) { r.Edit = replace("alice@", "<?x?>alice@") }, saml.ErrMalformed},
		"an element in the name":   {func(r *samltest.Response) { r.NameID = "alice<saml:x></saml:x>" }, saml.ErrMalformed},
		"two documents":            {func(r *samltest.Response) { r.Edit = func(s string) string { return s + s } }, saml.ErrMalformed},
		"text behind the end":      {func(r *samltest.Response) { r.Edit = func(s string) string { return s + "x" } }, saml.ErrMalformed},
		"an attribute twice":       {func(r *samltest.Response) { r.Edit = replace(`Version="2.0"`, `Version="2.0" Version="2.0"`) }, saml.ErrMalformed},
		"an attribute twice by another prefix": {func(r *samltest.Response) {
			r.Edit = replace(`Version="2.0"`, `Version="2.0" xmlns:a="urn:a" xmlns:b="urn:a" a:x="1" b:x="2"`)
		}, saml.ErrMalformed},
		"another encoding": {func(r *samltest.Response) {
			r.Edit = func(s string) string { return `<?xml version="1.0" encoding="UTF-16"?>` + s }
		}, saml.ErrMalformed},
		"bytes that are no UTF-8":       {func(r *samltest.Response) { r.Edit = replace("alice@", "al\xffice@") }, saml.ErrMalformed},
		"a prefix without a name space": {func(r *samltest.Response) { r.Edit = replace("<samlp:Status>", "<samlp:Status><x:y/>") }, saml.ErrMalformed},
		"a deep document": {func(r *samltest.Response) {
			r.Edit = replace("<samlp:Status>", "<samlp:Status>"+strings.Repeat("<a>", 80)+strings.Repeat("</a>", 80))
		}, saml.ErrMalformed},
		"a wide document": {func(r *samltest.Response) {
			r.Edit = replace("<samlp:Status>", "<samlp:Status>"+strings.Repeat("<a/>", 8200))
		}, saml.ErrMalformed},
		"a long document": {func(r *samltest.Response) {
			r.Edit = replace("<samlp:Status>", "<samlp:Status>"+strings.Repeat(" ", 100_000))
		}, saml.ErrMalformed},
		"a canonical form that explodes": {func(r *samltest.Response) {
			r.Edit = replace("<saml:Conditions ", `<saml:Conditions xmlns:e="urn:`+strings.Repeat("e", 20_000)+`" `)
			inner := r.Edit
			r.Edit = func(s string) string {
				return strings.Replace(inner(s), "<saml:AudienceRestriction>", strings.Repeat("<e:a/>", 1000)+"<saml:AudienceRestriction>", 1)
			}
		}, saml.ErrMalformed},
		"many attributes": {func(r *samltest.Response) {
			r.Edit = replace("<samlp:Status>", "<samlp:Status"+strings.Repeat(" a='1'", 65)+">")
		}, saml.ErrMalformed},
		"a character that XML forbids": {func(r *samltest.Response) { r.Edit = replace("alice@", "alice&#0;@") }, saml.ErrMalformed},
		"a name of another name space": {func(r *samltest.Response) {
			r.EditAssertion = replace("<saml:NameID ", `<saml:NameID xmlns:saml="urn:x" `)
		}, saml.ErrSubject},
		"the root of another name space": {func(r *samltest.Response) { r.Edit = replace("SAML:2.0:protocol", "SAML:2.0:protocol2") }, saml.ErrMalformed},

		// What the response says.
		"no success":                        {func(r *samltest.Response) { r.Status = "urn:oasis:names:tc:SAML:2.0:status:Responder" }, saml.ErrRejected},
		"another issuer":                    {func(r *samltest.Response) { r.Issuer = entity + "/" }, saml.ErrIssuer},
		"another issuer of the response":    {func(r *samltest.Response) { r.ResponseIssuer = "urn:other" }, saml.ErrIssuer},
		"no issuer":                         {func(r *samltest.Response) { r.Issuer = "" }, saml.ErrMalformed},
		"another audience":                  {func(r *samltest.Response) { r.Audiences = []string{"urn:other"} }, saml.ErrAudience},
		"no audience":                       {func(r *samltest.Response) { r.Audiences = nil }, saml.ErrAudience},
		"one restriction that names us not": {func(r *samltest.Response) { r.Audiences = []string{acs, "urn:other"} }, saml.ErrAudience},
		"another recipient":                 {func(r *samltest.Response) { r.Recipient = acs + "/" }, saml.ErrRecipient},
		"no recipient":                      {func(r *samltest.Response) { r.Recipient = "" }, saml.ErrRecipient},
		"another destination":               {func(r *samltest.Response) { r.Destination = "https://evil.example.com" }, saml.ErrRecipient},
		"no name":                           {func(r *samltest.Response) { r.NameID = "" }, saml.ErrSubject},
		"a blank name":                      {func(r *samltest.Response) { r.NameID = " \n" }, saml.ErrSubject},
		"no subject":                        {func(r *samltest.Response) { r.EditAssertion = cut("<saml:Subject>", "</saml:Subject>") }, saml.ErrSubject},
		"no confirmation": {func(r *samltest.Response) {
			r.EditAssertion = cut("<saml:SubjectConfirmation ", "</saml:SubjectConfirmation>")
		}, saml.ErrMalformed},
		"two confirmations": {func(r *samltest.Response) {
			r.EditAssertion = double("<saml:SubjectConfirmation ", "</saml:SubjectConfirmation>")
		}, saml.ErrMalformed},
		"a holder-of-key confirmation": {func(r *samltest.Response) { r.EditAssertion = replace("cm:bearer", "cm:holder-of-key") }, saml.ErrMalformed},
		"a confirmation without data": {func(r *samltest.Response) {
			r.EditAssertion = cut("<saml:SubjectConfirmationData", "</saml:SubjectConfirmationData>")
		}, saml.ErrMalformed},
		"a confirmation without an end": {func(r *samltest.Response) { r.ConfirmedUntil = time.Time{} }, saml.ErrMalformed},
		"a confirmation with a beginning": {func(r *samltest.Response) {
			r.EditAssertion = replace("Data NotOn", `Data NotBefore="2026-11-28T11:00:00Z" NotOn`)
		}, saml.ErrMalformed},
		"no assertion": {func(r *samltest.Response) { r.EditSigned = func(string) string { return "" } }, saml.ErrMalformed},
		"a condition that nobody knows": {func(r *samltest.Response) {
			r.EditAssertion = replace("<saml:AudienceRestriction>", `<saml:Condition></saml:Condition><saml:AudienceRestriction>`)
		}, saml.ErrMalformed},
		"no conditions":     {func(r *samltest.Response) { r.EditAssertion = cut("<saml:Conditions", "</saml:Conditions>") }, saml.ErrMalformed},
		"no authentication": {func(r *samltest.Response) { r.EditAssertion = cut("<saml:AuthnStatement", "</saml:AuthnStatement>") }, saml.ErrMalformed},
		"SAML 1.1":          {func(r *samltest.Response) { r.EditAssertion = replace(`Version="2.0"`, `Version="1.1"`) }, saml.ErrMalformed},
		"a time with an offset": {func(r *samltest.Response) {
			r.EditAssertion = replace(`2026-11-28T12:05:00Z" Recipient`, `2026-11-28T12:05:00+01:00" Recipient`)
		}, saml.ErrMalformed},
		"a time that is none": {func(r *samltest.Response) {
			r.EditAssertion = replace(`2026-11-28T12:05:00Z" Recipient`, `2026-13-28T12:05:00Z" Recipient`)
		}, saml.ErrMalformed},
		"the future":             {func(r *samltest.Response) { r.NotBefore = now.Add(saml.Skew + time.Second) }, saml.ErrNotYetValid},
		"an issue in the future": {func(r *samltest.Response) { r.IssueInstant = now.Add(saml.Skew + time.Second) }, saml.ErrNotYetValid},
		"more than five minutes": {func(r *samltest.Response) { r.IssueInstant = now.Add(-saml.MaxAge - time.Second) }, saml.ErrStale},
		"an encrypted attribute": {func(r *samltest.Response) {
			r.EditAssertion = replace("</saml:AttributeStatement>", "<saml:EncryptedAttribute></saml:EncryptedAttribute></saml:AttributeStatement>")
		}, saml.ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, err := verify(t, p, row.change, nil)
			if !errors.Is(err, row.want) {
				t.Fatalf("assertion %+v, error %v, want %v", a, err, row.want)
			}
		})
	}
	t.Run("another provider's key", func(t *testing.T) {
		t.Parallel()
		if _, err := saml.Verify(other.Encode(t, p.Good(now, acs)), expected(t, p)); !errors.Is(err, saml.ErrUntrusted) {
			t.Fatal(err)
		}
	})
	t.Run("text that is no base64", func(t *testing.T) {
		t.Parallel()
		for _, text := range []string{"!", "PHg+", "PHg-", "PHh=", strings.Repeat("A", saml.MaxResponseSize+4)} {
			if _, err := saml.Verify(text, expected(t, p)); err == nil {
				t.Errorf("%.10q passes", text)
			}
		}
	})
}

func cut(from, to string) func(string) string { return between(from, to, 0) }

func double(from, to string) func(string) string { return between(from, to, 2) }

// between repeats what stands from from to the end of to.
func between(from, to string, times int) func(string) string {
	return func(s string) string {
		i := strings.Index(s, from)
		j := strings.Index(s, to) + len(to)
		return s[:i] + strings.Repeat(s[i:j], times) + s[j:]
	}
}

func TestVerify_Expiry(t *testing.T) {
	t.Parallel()
	p := samltest.New(t, entity)
	gone := now.Add(-saml.Skew)
	for what, change := range map[string]func(*samltest.Response){
		"Conditions":          func(r *samltest.Response) { r.NotOnOrAfter = gone },
		"SubjectConfirmation": func(r *samltest.Response) { r.ConfirmedUntil = gone },
		"session":             func(r *samltest.Response) { r.SessionUntil = now },
	} {
		_, err := verify(t, p, change, nil)
		if e, ok := errors.AsType[*saml.ExpiredError](err); !ok || e.What != what {
			t.Errorf("%s: %v", what, err)
		}
		_, err = verify(t, p, func(r *samltest.Response) { change(r); r.Edit = replace("alice@", "admin@") }, nil)
		if !errors.Is(err, saml.ErrUntrusted) {
			t.Errorf("%s, forged: %v", what, err)
		}
	}
	a, err := verify(t, p, func(r *samltest.Response) { r.NotOnOrAfter, r.SessionUntil = now.Add(time.Minute), now.Add(time.Hour) }, nil)
	if err != nil || !a.NotOnOrAfter.Equal(now.Add(time.Minute)) || !a.SessionNotOnOrAfter.Equal(now.Add(time.Hour)) {
		t.Errorf("%+v, %v", a, err)
	}
}

func TestVerify_Encrypted(t *testing.T) {
	t.Parallel()
	p := samltest.New(t, entity)
	key, _ := samltest.EncryptionKey(t)
	another, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	with := func(e samltest.Encryption, change func(*samltest.Response)) func(*samltest.Response) {
		e.To = &key.PublicKey
		return func(r *samltest.Response) {
			r.Encrypt = &e
			if change != nil {
				change(r)
			}
		}
	}
	responseSigned := func(r *samltest.Response) { r.SignResponse = true }
	onlyResponseSigned := func(r *samltest.Response) { r.SignAssertion, r.SignResponse = false, true }
	flip := func(s string) string { // one byte of the ciphertext
		at := strings.LastIndex(s, "<xenc:CipherValue>") + len("<xenc:CipherValue>") + 40
		c := "A"
		if s[at] == 'A' {
			c = "B"
		}
		return s[:at] + c + s[at+1:]
	}
	for name, row := range map[string]struct {
		change func(*samltest.Response)
		expect func(*saml.Expected)
		want   error
	}{
		"AES-128-GCM":                        {with(samltest.Encryption{Cipher: "aes128-gcm"}, nil), nil, nil},
		"AES-256-GCM":                        {with(samltest.Encryption{Cipher: "aes256-gcm"}, nil), nil, nil},
		"the key beside the data":            {with(samltest.Encryption{Cipher: "aes256-gcm", Beside: true}, nil), nil, nil},
		"OAEP with SHA-256, MGF1 with SHA-1": {with(samltest.Encryption{Cipher: "aes256-gcm", Digest: crypto.SHA256}, nil), nil, nil},
		"OAEP with SHA-256 in both places":   {with(samltest.Encryption{Cipher: "aes256-gcm", Transport: "rsa-oaep", Digest: crypto.SHA256}, nil), nil, nil},
		"required and encrypted":             {with(samltest.Encryption{Cipher: "aes256-gcm"}, nil), func(e *saml.Expected) { e.Encrypted = true }, nil},
		"rollover of the key":                {with(samltest.Encryption{Cipher: "aes256-gcm"}, nil), func(e *saml.Expected) { e.Decryption = []*rsa.PrivateKey{another, key} }, nil},
		"signed around the ciphertext only":  {with(samltest.Encryption{Cipher: "aes256-gcm"}, onlyResponseSigned), nil, nil},
		"CBC within a signature":             {with(samltest.Encryption{Cipher: "aes128-cbc"}, responseSigned), nil, nil},
		"AES-256-CBC within a signature":     {with(samltest.Encryption{Cipher: "aes256-cbc"}, onlyResponseSigned), nil, nil},
		"CBC outside of a signature":         {with(samltest.Encryption{Cipher: "aes128-cbc"}, nil), nil, saml.ErrDecryption},
		"required and plain":                 {nil, func(e *saml.Expected) { e.Encrypted = true }, saml.ErrDecryption},
		"no key":                             {with(samltest.Encryption{Cipher: "aes256-gcm"}, nil), func(e *saml.Expected) { e.Decryption = nil }, saml.ErrDecryption},
		"another key":                        {with(samltest.Encryption{Cipher: "aes256-gcm"}, nil), func(e *saml.Expected) { e.Decryption = []*rsa.PrivateKey{another} }, saml.ErrDecryption},
		"PKCS#1 v1.5":                        {with(samltest.Encryption{Cipher: "aes256-gcm", Transport: "rsa-1_5"}, responseSigned), nil, saml.ErrDecryption},
		"3DES": {with(samltest.Encryption{Cipher: "aes128-cbc"}, func(r *samltest.Response) {
			r.SignResponse = true
			r.EditResponse = replace("aes128-cbc", "tripledes-cbc")
		}), nil, saml.ErrDecryption},
		"altered GCM":                  {with(samltest.Encryption{Cipher: "aes256-gcm"}, func(r *samltest.Response) { r.Edit = flip }), nil, saml.ErrDecryption},
		"altered CBC":                  {with(samltest.Encryption{Cipher: "aes128-cbc"}, func(r *samltest.Response) { r.SignResponse = true; r.Edit = flip }), nil, saml.ErrUntrusted},
		"the wrong key size":           {with(samltest.Encryption{Cipher: "aes256-gcm"}, func(r *samltest.Response) { r.Edit = replace("aes256-gcm", "aes128-gcm") }), nil, saml.ErrDecryption},
		"an unsigned assertion inside": {with(samltest.Encryption{Cipher: "aes256-gcm"}, func(r *samltest.Response) { r.SignAssertion = false }), nil, saml.ErrUntrusted},
		"a forged assertion inside":    {with(samltest.Encryption{Cipher: "aes256-gcm"}, func(r *samltest.Response) { r.EditSigned = replace("alice@", "admin@") }), nil, saml.ErrUntrusted},
		"no assertion inside":          {with(samltest.Encryption{Cipher: "aes256-gcm"}, func(r *samltest.Response) { r.EditSigned = func(string) string { return "<x/>" } }), nil, saml.ErrDecryption},
		"no XML inside":                {with(samltest.Encryption{Cipher: "aes256-gcm"}, func(r *samltest.Response) { r.EditSigned = func(string) string { return "x" } }), nil, saml.ErrDecryption},
		"an assertion inside of the one inside": {with(samltest.Encryption{Cipher: "aes256-gcm"}, func(r *samltest.Response) {
			r.EditSigned = func(s string) string { return strings.Replace(evil(s), "</saml:Assertion>", s+"</saml:Assertion>", 1) }
		}), nil, saml.ErrMalformed},
		"a plain assertion beside": {with(samltest.Encryption{Cipher: "aes256-gcm"}, func(r *samltest.Response) {
			r.Edit = replace("<saml:EncryptedAssertion", `<saml:Assertion xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" ID="x"/><saml:EncryptedAssertion`)
		}), nil, saml.ErrMalformed},
		"the ID of the response inside": {with(samltest.Encryption{Cipher: "aes256-gcm"}, func(r *samltest.Response) { r.AssertionID = r.ID }), nil, saml.ErrMalformed},
		"many keys": {with(samltest.Encryption{Cipher: "aes256-gcm"}, func(r *samltest.Response) {
			r.Edit = replace("</ds:KeyInfo>", strings.Repeat(`<xenc:EncryptedKey/>`, 5)+"</ds:KeyInfo>")
		}), nil, saml.ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, err := verify(t, p, row.change, func(e *saml.Expected) {
				e.Decryption = []*rsa.PrivateKey{key}
				if row.expect != nil {
					row.expect(e)
				}
			})
			if !errors.Is(err, row.want) || row.want == nil && a.NameID != "alice@example.com" {
				t.Fatalf("assertion %+v, error %v, want %v", a, err, row.want)
			}
		})
	}
}

// A plaintext that relies on name spaces of the response is read, and its signature checked, with them.
func TestVerify_EncryptedInContext(t *testing.T) {
	t.Parallel()
	p := samltest.New(t, entity)
	key, _ := samltest.EncryptionKey(t)
	_, err := verify(t, p, func(r *samltest.Response) {
		r.Encrypt = &samltest.Encryption{Cipher: "aes128-gcm", To: &key.PublicKey}
		r.EditSigned = replace(` xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion"`, "")
	}, func(e *saml.Expected) { e.Decryption = []*rsa.PrivateKey{key} })
	if err != nil {
		t.Fatal(err)
	}
}

func TestMetadata_Keys(t *testing.T) {
	t.Parallel()
	p, next := samltest.New(t, entity), samltest.New(t, "next")
	e := expected(t, p)
	e.Provider = metadata(t, p, next)
	for _, signer := range []*samltest.IdP{p, {EntityID: entity, Key: next.Key, Certificate: next.Certificate}} {
		if _, err := saml.Verify(signer.Encode(t, signer.Good(now, acs)), e); err != nil {
			t.Errorf("with both keys listed: %v", err)
		}
	}
	e.Provider = metadata(t, &samltest.IdP{EntityID: entity, Key: next.Key, Certificate: next.Certificate})
	if _, err := saml.Verify(p.Encode(t, p.Good(now, acs)), e); !errors.Is(err, saml.ErrUntrusted) {
		t.Errorf("after the key left: %v", err)
	}
}

// Metadata as Entra ID and AD FS make them: signed, with the roles of other protocols and of a service provider, in any prefix. Keys of other
// roles sign no assertions.
func TestMetadata_OtherRoles(t *testing.T) {
	t.Parallel()
	p, other := samltest.New(t, entity), samltest.New(t, "other role")
	descriptor := other.Metadata()
	descriptor = descriptor[strings.Index(descriptor, "<md:KeyDescriptor"):strings.Index(descriptor, "<md:SingleSignOnService")]
	document := strings.Replace(p.Metadata(), "  <md:IDPSSODescriptor", `<ds:Signature><ds:SignedInfo/></ds:Signature>
<md:RoleDescriptor xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:fed="http://docs.oasis-open.org/wsfed/federation/200706"
  xsi:type="fed:SecurityTokenServiceType" protocolSupportEnumeration="http://docs.oasis-open.org/wsfed/federation/200706">`+descriptor+`
  <fed:ClaimTypesOffered><auth:ClaimType xmlns:auth="http://docs.oasis-open.org/wsfed/authorization/200706" Uri="urn:x" Optional="true">
  <auth:DisplayName>Äußerung</auth:DisplayName></auth:ClaimType></fed:ClaimTypesOffered></md:RoleDescriptor>
<md:SPSSODescriptor protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol">`+descriptor+`</md:SPSSODescriptor>
  <md:IDPSSODescriptor`, 1)
	m, err := saml.ParseMetadata(document)
	if err != nil {
		t.Fatal(err)
	}
	expect := func(e *saml.Expected) { e.Provider = m }
	if _, err := verify(t, p, nil, expect); err != nil {
		t.Error(err)
	}
	if _, err := verify(t, samltest.With(t, entity, other.Key), nil, expect); !errors.Is(err, saml.ErrUntrusted) {
		t.Errorf("by a key of another role: %v", err)
	}
}

func TestMetadata_ValidUntil(t *testing.T) {
	t.Parallel()
	p := samltest.New(t, entity)
	for until, want := range map[string]error{"2026-11-28T12:00:01Z": nil, "2026-11-28T12:00:00Z": saml.ErrProviderExpired} {
		m, err := saml.ParseMetadata(p.MetadataUntil(until))
		if err != nil {
			t.Fatal(err)
		}
		_, err = verify(t, p, nil, func(e *saml.Expected) { e.Provider = m })
		if !errors.Is(err, want) {
			t.Errorf("valid until %s: %v", until, err)
		}
	}
}

func TestMetadata_Refused(t *testing.T) {
	t.Parallel()
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	p := samltest.New(t, entity)
	good := p.Metadata()
	if _, err := saml.ParseMetadata(good); err != nil {
		t.Fatal(err)
	}
	var eleven []*samltest.IdP
	for range 10 {
		eleven = append(eleven, p)
	}
	for name, document := range map[string]string{
		"nothing":                  "",
		"a byte order mark":        "\ufeff" + good,
		"a document type":          replace("<md:Entity", "<!DOCTYPE x><md:Entity")(good),
		"no entity id":             replace("entityID", "entity")(good),
		"a service provider":       strings.ReplaceAll(good, "IDPSSO", "SPSSO"),
		"SAML 1.1 only":            replace("SAML:2.0:protocol", "SAML:1.1:protocol")(good),
		"keys for encryption only": replace(`use="signing"`, `use="encryption"`)(good),
		"a broken certificate":     replace("MII", "AAA")(good),
		"a small key":              samltest.With(t, entity, small).Metadata(),
		"eleven keys":              p.Metadata(eleven...),
		"a date that is none":      p.MetadataUntil("tomorrow"),
	} {
		if _, err := saml.ParseMetadata(document); !errors.Is(err, saml.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzVerify(f *testing.F) {
	p := samltest.New(f, entity)
	key, _ := samltest.EncryptionKey(f)
	genuine := make(map[string]bool)
	for _, change := range []func(*samltest.Response){
		func(*samltest.Response) {},
		func(r *samltest.Response) { r.SignResponse, r.SignAssertion = true, false },
		func(r *samltest.Response) { r.Encrypt = &samltest.Encryption{Cipher: "aes256-gcm", To: &key.PublicKey} },
		func(r *samltest.Response) { r.NameID = "<![CDATA[a]]>&#x41;&lt;" },
	} {
		r := p.Good(now, acs)
		change(r)
		f.Add(p.XML(f, r))
		genuine[r.AssertionID] = true
	}
	e := expected(f, p)
	e.Decryption = []*rsa.PrivateKey{key}
	f.Fuzz(func(t *testing.T, document string) {
		a, err := saml.Verify(base64.StdEncoding.EncodeToString([]byte(document)), e)
		switch {
		case err == nil && (!genuine[a.ID] || a.NameID != "alice@example.com" && a.NameID != "aA<"):
			t.Fatalf("accepts %+v from %q", a, document)
		case err != nil && a != nil:
			t.Fatal("an assertion and an error")
		}
	})
}
