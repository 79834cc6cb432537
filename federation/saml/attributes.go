package saml

import (
	"crypto/sha1" //nolint:gosec // AWS defines NameQualifier with it; it protects nothing
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// attributePrefix begins the names of the attributes that instruct AWS (AWS IAM User Guide, "Configure SAML assertions for the
// authentication response").
const attributePrefix = "https://aws.amazon.com/SAML/Attributes/"

// Errors of Instructions: a genuine assertion whose attributes cannot be used.
var (
	// ErrAttribute says that an attribute does not have the form that it must have.
	ErrAttribute = errors.New("unusable attribute")
	// ErrNoSessionName says that RoleSessionName is missing.
	ErrNoSessionName = errors.New("no RoleSessionName")
)

func badAttribute(name, reason string) error {
	return fmt.Errorf("%w: %s %s", ErrAttribute, name, reason)
}

// readAttributes collects the values of all attributes by name. Values that are elements are passed over, as of eduPersonTargetedID,
// unless the attribute is an instruction.
func (a *Assertion) readAttributes(n *node) error {
	a.attributes = make(map[string][]string)
	for _, statement := range n.elements(assertionNamespace, "AttributeStatement") {
		if len(statement.elements(assertionNamespace, "EncryptedAttribute")) > 0 {
			return malformed("an attribute is encrypted by itself")
		}
		for _, attr := range statement.elements(assertionNamespace, "Attribute") {
			name, ok := attr.attr("Name")
			if !ok || name == "" {
				return malformed("attribute without a name")
			}
			values := a.attributes[name]
			for _, v := range attr.elements(assertionNamespace, "AttributeValue") {
				text, err := v.value()
				switch {
				case err == nil:
					values = append(values, text)
				case strings.HasPrefix(name, attributePrefix):
					return err
				}
			}
			a.attributes[name] = values
		}
	}
	return nil
}

// Tag is a session tag.
type Tag struct{ Key, Value string }

// Pair is a role and the provider that may give it to the subject, both as ARNs.
type Pair struct{ Role, Provider string }

// Instructions are what the provider tells AWS to do with the session.
type Instructions struct {
	Roles             []Pair
	SessionName       string
	SessionDuration   time.Duration // zero: not said
	Tags              []Tag         // sorted by key
	TransitiveTagKeys []string
	SourceIdentity    string // empty: none
}

// Instructions reads the attributes that AWS defines. One of another form is an error matching ErrAttribute, a missing session name
// ErrNoSessionName: what restricts or describes a session must not be passed over. Patterns of names and limits of tags are the
// operation's to check.
func (a *Assertion) Instructions() (*Instructions, error) {
	in := &Instructions{TransitiveTagKeys: a.attributes[attributePrefix+"TransitiveTagKeys"]}
	for _, value := range a.attributes[attributePrefix+"Role"] {
		if pair, ok := rolePair(value); ok {
			in.Roles = append(in.Roles, pair)
		}
	}
	var err error
	if in.SessionName, err = a.single("RoleSessionName"); err != nil {
		return nil, err
	}
	if in.SessionName == "" {
		return nil, ErrNoSessionName
	}
	if in.SourceIdentity, err = a.single("SourceIdentity"); err != nil {
		return nil, err
	}
	duration, err := a.single("SessionDuration")
	if err != nil {
		return nil, err
	}
	if in.SessionDuration, err = sessionDuration(duration); err != nil {
		return nil, err
	}
	for name := range a.attributes {
		key, ok := strings.CutPrefix(name, attributePrefix+"PrincipalTag:")
		if !ok {
			continue
		}
		values := a.attributes[name]
		if len(values) != 1 {
			return nil, badAttribute("PrincipalTag", "does not have exactly one value")
		}
		in.Tags = append(in.Tags, Tag{key, values[0]})
	}
	slices.SortFunc(in.Tags, func(a, b Tag) int { return strings.Compare(a.Key, b.Key) })
	return in, nil
}

// single returns the value of an attribute that has one at most.
func (a *Assertion) single(name string) (string, error) {
	switch values := a.attributes[attributePrefix+name]; {
	case len(values) == 0:
		return "", nil
	case len(values) == 1:
		return values[0], nil
	default:
		return "", badAttribute(name, "has several values")
	}
}

// rolePair reads "ROLE,PROVIDER" or "PROVIDER,ROLE". What is neither offers no role.
func rolePair(value string) (Pair, bool) {
	first, second, ok := strings.Cut(value, ",")
	first, second = strings.TrimSpace(first), strings.TrimSpace(second)
	if strings.Contains(first, ":saml-provider/") {
		first, second = second, first
	}
	return Pair{first, second}, ok && strings.Contains(first, ":role/") && strings.Contains(second, ":saml-provider/")
}

// sessionDuration reads seconds, 900 to 43200 (the same document, "SAML SessionDuration attribute").
func sessionDuration(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	seconds := 0
	for _, c := range []byte(text) {
		if c < '0' || c > '9' || seconds > 43200 {
			return 0, badAttribute("SessionDuration", "is not 900 to 43200")
		}
		seconds = 10*seconds + int(c-'0')
	}
	if seconds < 900 || seconds > 43200 {
		return 0, badAttribute("SessionDuration", "is not 900 to 43200")
	}
	return time.Duration(seconds) * time.Second, nil
}

// NameQualifier identifies a provider to policies: a digest of its issuer, the account and its name (AWS STS API Reference,
// "AssumeRoleWithSAML"). Between issuer and account there is no separator.
func NameQualifier(issuer, account, provider string) string {
	sum := sha1.Sum([]byte(issuer + account + "/" + provider)) //nolint:gosec // as above
	return base64.StdEncoding.EncodeToString(sum[:])
}

// formatPrefix is not shown as part of a NameID's format.
const formatPrefix = "urn:oasis:names:tc:SAML:2.0:nameid-format:"

// SubjectType is the format of NameID as AWS shows it: "persistent", "transient", or another one in full.
func (a *Assertion) SubjectType() string { return strings.TrimPrefix(a.Format, formatPrefix) }

// The condition keys that the subject's attributes become, by the attribute's name (AWS IAM User Guide, "Available keys for SAML-based
// AWS STS federation" and "Mapping SAML attributes to AWS trust policy context keys"). Of several attributes for one key the first in
// this order counts.
var attributeKeys = []struct{ name, key string }{
	{"urn:oid:1.3.6.1.4.1.5923.1.1.1.1", "saml:edupersonaffiliation"},
	{"urn:oid:1.3.6.1.4.1.5923.1.1.1.2", "saml:edupersonnickname"},
	{"urn:oid:1.3.6.1.4.1.5923.1.1.1.3", "saml:edupersonorgdn"},
	{"urn:oid:1.3.6.1.4.1.5923.1.1.1.4", "saml:edupersonorgunitdn"},
	{"urn:oid:1.3.6.1.4.1.5923.1.1.1.5", "saml:edupersonprimaryaffiliation"},
	{"urn:oid:1.3.6.1.4.1.5923.1.1.1.6", "saml:edupersonprincipalname"},
	{"urn:oid:1.3.6.1.4.1.5923.1.1.1.7", "saml:edupersonentitlement"},
	{"urn:oid:1.3.6.1.4.1.5923.1.1.1.8", "saml:edupersonprimaryorgunitdn"},
	{"urn:oid:1.3.6.1.4.1.5923.1.1.1.9", "saml:edupersonscopedaffiliation"},
	{"urn:oid:1.3.6.1.4.1.5923.1.1.1.10", "saml:edupersontargetedid"},
	{"urn:oid:1.3.6.1.4.1.5923.1.1.1.11", "saml:edupersonassurance"},
	{"urn:oid:1.3.6.1.4.1.5923.1.2.1.2", "saml:eduorghomepageuri"},
	{"urn:oid:1.3.6.1.4.1.5923.1.2.1.3", "saml:eduorgidentityauthnpolicyuri"},
	{"urn:oid:1.3.6.1.4.1.5923.1.2.1.4", "saml:eduorglegalname"},
	{"urn:oid:1.3.6.1.4.1.5923.1.2.1.5", "saml:eduorgsuperioruri"},
	{"urn:oid:1.3.6.1.4.1.5923.1.2.1.6", "saml:eduorgwhitepagesuri"},
	{"urn:oid:2.5.4.3", "saml:cn"},
	{"http://schemas.xmlsoap.org/ws/2005/05/identity/claims/name", "saml:name"},
	{"http://schemas.xmlsoap.org/claims/CommonName", "saml:commonName"},
	{"http://schemas.xmlsoap.org/ws/2005/05/identity/claims/givenname", "saml:givenName"},
	{"http://schemas.xmlsoap.org/ws/2005/05/identity/claims/surname", "saml:surname"},
	{"http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress", "saml:mail"},
	{"http://schemas.microsoft.com/ws/2008/06/identity/claims/primarygroupsid", "saml:primaryGroupSID"},
	{"http://schemas.microsoft.com/ws/2008/06/identity/claims/primarygroupsid", "saml:uid"},
	{"2.5.4.3", "saml:commonName"},
	{"2.5.4.4", "saml:surname"},
	{"2.4.5.42", "saml:givenName"}, // sic
	{"2.5.4.45", "saml:x500UniqueIdentifier"},
	{"0.9.2342.19200300100.1.1", "saml:uid"},
	{"0.9.2342.19200300100.1.3", "saml:mail"},
	{"0.9.2342.19200300.100.1.45", "saml:organizationStatus"},
}

// Keys calls set with each condition key that a trust policy may test, for a provider of an account.
func (a *Assertion) Keys(account, provider string, set func(key string, values []string)) {
	set("saml:aud", []string{a.Recipient})
	set("saml:iss", []string{a.Issuer})
	set("saml:doc", []string{account + "/" + provider})
	for key, value := range a.SessionKeys(account, provider) {
		set(key, value)
	}
	seen := make(map[string]bool)
	for _, k := range attributeKeys {
		if values := a.attributes[k.name]; len(values) > 0 && !seen[k.key] {
			seen[k.key] = true
			set(k.key, values)
		}
	}
}

// SessionKeys are the condition keys that the session keeps.
func (a *Assertion) SessionKeys(account, provider string) map[string][]string {
	return map[string][]string{
		"saml:namequalifier": {NameQualifier(a.Issuer, account, provider)},
		"saml:sub":           {a.NameID},
		"saml:sub_type":      {a.SubjectType()},
	}
}
