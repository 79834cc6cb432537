package saml

import (
	"bytes"
	"compress/flate"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"
)

// Binding is how a message travels through the browser (SAML 2.0 Bindings).
type Binding string

// The bindings of a request. Responses come by HTTPPost only.
const (
	HTTPRedirect Binding = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect" // section 3.4
	HTTPPost     Binding = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST"     // section 3.5
)

// MaxRelayState bounds RelayState, in bytes (SAML 2.0 Bindings, sections 3.4.3 and 3.5.3).
const MaxRelayState = 80

// Errors of AuthnRequest.
var (
	// ErrNoSSO says that a provider's metadata tell no place to send requests to.
	ErrNoSSO = errors.New("metadata name no SingleSignOnService with HTTP-Redirect or HTTP-POST")
	// ErrRelayState says that a RelayState is longer than MaxRelayState.
	ErrRelayState = errors.New("RelayState is longer than 80 bytes")
)

// ServiceProvider is what an installation is to identity providers. It is immutable and safe for concurrent use.
type ServiceProvider struct {
	EntityID string       // issuer of requests, and an audience of responses
	ACS      []string     // URLs that responses are posted to; requests ask for the first
	Keys     []SigningKey // the first signs, all are published; there is one at least
	Rand     io.Reader    // default: crypto/rand.Reader
}

// AuthnRequest says what to ask for.
type AuthnRequest struct {
	Provider   *Metadata
	RelayState string // comes back with the response; MaxRelayState bytes at most, "" for none
	ForceAuthn bool   // the person has to prove who they are anew, even if they are signed in at the provider
	Now        time.Time
}

// Message is a request on its way: the browser goes to URL with it. Fields say how.
type Message struct {
	ID      string // of the request: the response's InResponseTo. Remember it.
	Binding Binding
	URL     string // HTTPRedirect: everything, ready for a Location header. HTTPPost: the form's action.

	SAMLRequest string // HTTPPost: a field of the form
	RelayState  string // HTTPPost: another one, unless it is empty
}

// AuthnRequest makes a signed request for authentication (SAML 2.0 Core, section 3.4.1) by the first binding that the provider's metadata
// name. Errors match ErrNoSSO and ErrRelayState; others are of the key.
func (sp *ServiceProvider) AuthnRequest(r *AuthnRequest) (*Message, error) {
	if len(r.RelayState) > MaxRelayState {
		return nil, ErrRelayState
	}
	if len(r.Provider.SSO) == 0 {
		return nil, ErrNoSSO
	}
	id, err := sp.newID()
	if err != nil {
		return nil, err
	}
	to := r.Provider.SSO[0]
	m := &Message{ID: id, Binding: to.Binding, URL: to.Location}
	document := sp.authnRequest(m, r)
	if to.Binding == HTTPRedirect {
		m.URL, err = sp.redirect(to.Location, document, r.RelayState)
		return m, err
	}
	signed, err := sp.Keys[0].envelop(document, id, sp.random())
	if err != nil {
		return nil, err
	}
	m.SAMLRequest, m.RelayState = base64.StdEncoding.EncodeToString([]byte(signed)), r.RelayState
	return m, nil
}

// newID makes an ID that nobody can guess (SAML 2.0 Core, section 1.3.4: 128 bits at least). It begins as names in XML may.
func (sp *ServiceProvider) newID() (string, error) {
	var raw [20]byte
	if _, err := io.ReadFull(sp.random(), raw[:]); err != nil {
		return "", fmt.Errorf("request id: %w", err)
	}
	return "_" + hex.EncodeToString(raw[:]), nil
}

// authnRequest writes the request. It asks for no format of NameID: what a provider has for us is its operator's decision, and many answer
// an unknown wish with an error.
func (sp *ServiceProvider) authnRequest(m *Message, r *AuthnRequest) string {
	var w writer
	w.open("samlp:AuthnRequest", "xmlns:samlp", protocolNamespace, "xmlns:saml", assertionNamespace,
		"ID", m.ID, "Version", "2.0", "IssueInstant", r.Now.UTC().Format("2006-01-02T15:04:05Z"), "Destination", m.URL,
		"AssertionConsumerServiceURL", sp.ACS[0], "ProtocolBinding", string(HTTPPost), "ForceAuthn", booleanAttribute(r.ForceAuthn))
	w.leaf("saml:Issuer", sp.EntityID)
	w.leaf("samlp:NameIDPolicy", "", "AllowCreate", "true")
	w.close("samlp:AuthnRequest")
	return w.String()
}

func booleanAttribute(b bool) string {
	if b {
		return "true"
	}
	return "" // left out: false is the default
}

// redirect puts a request in a query, compressed, and signs the query (SAML 2.0 Bindings, section 3.4.4.1).
func (sp *ServiceProvider) redirect(location, document, relayState string) (string, error) {
	var compressed bytes.Buffer
	w, err := flate.NewWriter(&compressed, flate.BestCompression)
	if err != nil {
		return "", err
	}
	_, err = io.WriteString(w, document)
	if err = errors.Join(err, w.Close()); err != nil {
		return "", fmt.Errorf("compress request: %w", err)
	}
	key := sp.Keys[0]
	query := "SAMLRequest=" + url.QueryEscape(base64.StdEncoding.EncodeToString(compressed.Bytes()))
	if relayState != "" {
		query += "&RelayState=" + url.QueryEscape(relayState)
	}
	query += "&SigAlg=" + url.QueryEscape(key.method)
	value, err := key.sign([]byte(query), sp.random())
	if err != nil {
		return "", err
	}
	separator := "?"
	if strings.Contains(location, "?") {
		separator = "&"
	}
	return location + separator + query + "&Signature=" + url.QueryEscape(base64.StdEncoding.EncodeToString(value)), nil
}

func (sp *ServiceProvider) random() io.Reader {
	if sp.Rand != nil {
		return sp.Rand
	}
	return rand.Reader
}
