package server_test

import (
	"encoding/xml"
	"strings"
	"testing"
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
