package saml

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"net/url"
	"strings"
	"time"
)

const metadataNamespace = "urn:oasis:names:tc:SAML:2.0:metadata"

// Bounds of metadata. MaxMetadataSize is what the IAM API allows (IAM API model, SAMLMetadataDocumentType), in characters; maxKeys is from
// the AWS STS API Reference, "AssumeRoleWithSAML".
const (
	MaxMetadataSize = 10_000_000
	maxKeys         = 10
	minRSABits      = 2048 // AWS takes 1024, which is no longer enough (NIST SP 800-131A)
	maxRSABits      = 8192 // more cost too much to check
	maxEndpoints    = 16   // of a kind
	maxLocation     = 2048 // characters
)

// Metadata is what a provider's metadata say: who it is and which keys sign for it. It is immutable.
type Metadata struct {
	EntityID   string
	ValidUntil time.Time // zero: for good

	SSO                     []Endpoint // SingleSignOnService: where requests go, in the provider's order; may be empty
	SLO                     []Endpoint // SingleLogoutService
	WantAuthnRequestsSigned bool

	keys []crypto.PublicKey
}

// Endpoint is a place of a provider that the browser is sent to.
type Endpoint struct {
	Binding  Binding // HTTPRedirect or HTTPPost: others are passed over
	Location string  // an http or https URL
}

// ParseMetadata reads a SAML 2.0 metadata document with one EntityDescriptor that has the role of an identity provider. Certificates
// serve as containers of keys: their dates and issuers do not count, being listed is what makes a key trusted, and leaving the list ends
// it (SAML V2.0 Metadata Interoperability Profile, section 2.6.1). The error matches ErrMalformed.
func ParseMetadata(document string) (*Metadata, error) {
	if len(document) > MaxMetadataSize {
		return nil, malformed("metadata are too large")
	}
	root, err := parse(document, nil, true)
	if err != nil {
		return nil, err
	}
	if !root.is(metadataNamespace, "EntityDescriptor") {
		return nil, malformed("document element is not EntityDescriptor")
	}
	m := &Metadata{}
	var ok bool
	if m.EntityID, ok = root.attr("entityID"); !ok || m.EntityID == "" || len(m.EntityID) > 1024 {
		return nil, malformed("no entityID of 1 to 1024 characters")
	}
	m.EntityID = strings.Clone(m.EntityID) // not keep the document
	role, err := root.one(metadataNamespace, "IDPSSODescriptor")
	if err != nil {
		return nil, err
	}
	if protocols, _ := role.attr("protocolSupportEnumeration"); !contains(strings.Fields(protocols), protocolNamespace) {
		return nil, malformed("identity provider does not support SAML 2.0")
	}
	for _, n := range []*node{root, role} {
		if err := m.limit(n); err != nil {
			return nil, err
		}
	}
	if err := m.readEndpoints(role); err != nil {
		return nil, err
	}
	if err := m.readKeys(role); err != nil {
		return nil, err
	}
	return m, nil
}

// readEndpoints reads where the browser is sent to. A location that is none is refused: it would end up in a page and in a header.
func (m *Metadata) readEndpoints(role *node) (err error) {
	if text, given := role.attr("WantAuthnRequestsSigned"); given {
		if m.WantAuthnRequestsSigned, err = boolean(text); err != nil {
			return err
		}
	}
	if m.SSO, err = endpoints(role, "SingleSignOnService"); err != nil {
		return err
	}
	m.SLO, err = endpoints(role, "SingleLogoutService")
	return err
}

func endpoints(role *node, name string) ([]Endpoint, error) {
	var found []Endpoint
	for _, n := range role.elements(metadataNamespace, name) {
		binding, _ := n.attr("Binding")
		if b := Binding(binding); b != HTTPRedirect && b != HTTPPost {
			continue
		}
		location, _ := n.attr("Location")
		u, err := url.Parse(location)
		if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.User != nil ||
			strings.ContainsAny(location, "# \"<>\\") || len(location) > maxLocation {
			return nil, malformed("Location of " + name + " is not an http or https URL")
		}
		if len(found) == maxEndpoints {
			return nil, malformed("too many " + name)
		}
		found = append(found, Endpoint{Binding(strings.Clone(binding)), strings.Clone(location)})
	}
	return found, nil
}

// boolean reads an xs:boolean.
func boolean(text string) (bool, error) {
	switch strings.TrimSpace(text) {
	case "true", "1":
		return true, nil
	case "false", "0":
		return false, nil
	}
	return false, malformed("not a boolean")
}

// limit takes over validUntil if it is the earliest.
func (m *Metadata) limit(n *node) error {
	text, ok := n.attr("validUntil")
	if !ok {
		return nil
	}
	until, err := instant(text)
	if err != nil {
		return err
	}
	if m.ValidUntil.IsZero() || until.Before(m.ValidUntil) {
		m.ValidUntil = until
	}
	return nil
}

// readKeys reads the keys that are for signing or for anything.
func (m *Metadata) readKeys(role *node) error {
	for _, d := range role.elements(metadataNamespace, "KeyDescriptor") {
		if use, given := d.attr("use"); given && use != "signing" {
			continue
		}
		info, err := d.one(dsigNamespace, "KeyInfo")
		if err != nil {
			return err
		}
		for _, data := range info.elements(dsigNamespace, "X509Data") {
			for _, c := range data.elements(dsigNamespace, "X509Certificate") {
				key, err := certificateKey(c)
				if err != nil {
					return err
				}
				m.keys = append(m.keys, key)
			}
		}
	}
	switch {
	case len(m.keys) == 0:
		return malformed("no certificate for signing")
	case len(m.keys) > maxKeys:
		return malformed("too many certificates for signing")
	}
	return nil
}

func certificateKey(n *node) (crypto.PublicKey, error) {
	der, err := base64Value(n)
	if err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, malformed("certificate cannot be read")
	}
	switch key := certificate.PublicKey.(type) {
	case *rsa.PublicKey:
		if key.N.BitLen() < minRSABits || key.N.BitLen() > maxRSABits {
			return nil, malformed("RSA key is not of 2048 to 8192 bits")
		}
		return key, nil
	case *ecdsa.PublicKey:
		if key.Curve == elliptic.P256() || key.Curve == elliptic.P384() || key.Curve == elliptic.P521() {
			return key, nil
		}
	}
	return nil, malformed("certificate has neither an RSA key nor one of P-256, P-384 or P-521")
}

// instant reads an xsd:dateTime in UTC, as SAML prescribes (SAML 2.0 Core, section 1.3.3).
func instant(s string) (time.Time, error) {
	if len(s) > 40 || !strings.HasSuffix(s, "Z") {
		return time.Time{}, malformed("time is not UTC")
	}
	t, err := time.Parse("2006-01-02T15:04:05.999999999Z", s)
	if err != nil || strings.Contains(s, ",") {
		return time.Time{}, malformed("time is no dateTime")
	}
	return t, nil
}

func contains(list []string, s string) bool {
	for _, l := range list {
		if l == s {
			return true
		}
	}
	return false
}
