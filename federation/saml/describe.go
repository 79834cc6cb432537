package saml

import "strconv"

// requestedAttributes are the attributes that a provider is asked to send, and whether sessions cannot do without (AWS IAM User Guide,
// "Configure SAML assertions for the authentication response"). Tags are not listed: each is an attribute of its own.
var requestedAttributes = []struct {
	name     string
	required bool
}{
	{"Role", true},
	{"RoleSessionName", true},
	{"SessionDuration", false},
	{"SourceIdentity", false},
	{"TransitiveTagKeys", false},
}

// nameIDFormats are the formats that mean the same subject again, and the one that means a new one each time. Any other is taken too.
var nameIDFormats = []string{
	"urn:oasis:names:tc:SAML:2.0:nameid-format:persistent",
	"urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress",
	formatUnspecified,
	"urn:oasis:names:tc:SAML:2.0:nameid-format:transient",
}

// MetadataType is the media type of metadata (SAML 2.0 Metadata, section 4.1.1).
const MetadataType = "application/samlmetadata+xml"

// Metadata describes the service provider to identity providers (SAML 2.0 Metadata, section 2.4.4). There are no keys for encryption in it:
// those are of one account and one provider. The document is not signed: it is fetched from the service itself or handed over, and a
// signature by the key that it introduces would prove nothing.
func (sp *ServiceProvider) Metadata() string {
	var w writer
	w.raw(`<?xml version="1.0" encoding="UTF-8"?>` + "\n")
	w.open("md:EntityDescriptor", "xmlns:md", metadataNamespace, "entityID", sp.EntityID)
	w.open("md:SPSSODescriptor", "AuthnRequestsSigned", "true", "WantAssertionsSigned", "true",
		"protocolSupportEnumeration", protocolNamespace)
	for _, k := range sp.Keys {
		w.open("md:KeyDescriptor", "use", "signing")
		w.keyInfo(k.Certificate)
		w.close("md:KeyDescriptor")
	}
	for _, f := range nameIDFormats {
		w.leaf("md:NameIDFormat", f)
	}
	for i, url := range sp.ACS {
		w.leaf("md:AssertionConsumerService", "", "Binding", string(HTTPPost), "Location", url,
			"index", strconv.Itoa(i), "isDefault", booleanAttribute(i == 0))
	}
	w.open("md:AttributeConsumingService", "index", "0", "isDefault", "true")
	w.leaf("md:ServiceName", "stint", "xml:lang", "en")
	for _, a := range requestedAttributes {
		w.leaf("md:RequestedAttribute", "", "FriendlyName", a.name, "Name", attributePrefix+a.name,
			"NameFormat", "urn:oasis:names:tc:SAML:2.0:attrname-format:uri", "isRequired", booleanAttribute(a.required))
	}
	w.close("md:AttributeConsumingService")
	w.close("md:SPSSODescriptor")
	w.close("md:EntityDescriptor")
	w.raw("\n")
	return w.String()
}
