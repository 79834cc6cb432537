package saml_test

import (
	"encoding/base64"
	"net/url"
	"strings"
	"testing"

	"github.com/stint-sts/stint/federation/saml"
	"github.com/stint-sts/stint/federation/samltest"
)

// Whatever metadata hold, what is read from them is bounded and can be sent to a browser.
func FuzzParseMetadata(f *testing.F) {
	p := samltest.New(f, entity)
	f.Add(p.Metadata())
	f.Add(p.Metadata(samltest.New(f, "next")))
	f.Add(p.MetadataUntil("2026-11-28T12:00:00Z"))
	f.Add(serviceProvider(f).Metadata())
	f.Fuzz(func(t *testing.T, document string) {
		m, err := saml.ParseMetadata(document)
		if err != nil {
			if m != nil {
				t.Fatal("metadata and an error")
			}
			return
		}
		if m.EntityID == "" || len(m.EntityID) > 1024 || len(m.SSO) > 16 || len(m.SLO) > 16 {
			t.Fatalf("%+v", m)
		}
		for _, e := range append(m.SSO, m.SLO...) {
			u, err := url.Parse(e.Location)
			if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || strings.ContainsAny(e.Location, "\r\n\"<> ") {
				t.Fatalf("location %q", e.Location)
			}
		}
	})
}

// A claim is read from whatever comes. What verifies has been claimed the same.
func FuzzReadClaim(f *testing.F) {
	p := samltest.New(f, entity)
	for _, change := range []func(*samltest.Response){
		func(*samltest.Response) {},
		func(r *samltest.Response) { r.InResponseTo, r.ConfirmsRequest, r.ResponseIssuer = "_1", "_1", "" },
		func(r *samltest.Response) {
			r.Attributes[samltest.AttributePrefix+"Role"] = []string{"a:role/b,c:saml-provider/d"}
		},
	} {
		r := p.Good(now, acs)
		change(r)
		f.Add(p.XML(f, r))
	}
	e := expected(f, p)
	f.Fuzz(func(t *testing.T, document string) {
		text := base64.StdEncoding.EncodeToString([]byte(document))
		c, err := saml.ReadClaim(text)
		if (c == nil) == (err == nil) {
			t.Fatalf("%+v, %v", c, err)
		}
		a, verified := saml.Verify(text, e)
		if verified == nil && (err != nil || c.Issuer != a.Issuer || c.InResponseTo != "" && c.InResponseTo != a.InResponseTo && a.InResponseTo != "") {
			t.Fatalf("claims %+v (%v), and proves %+v", c, err, a)
		}
	})
}
