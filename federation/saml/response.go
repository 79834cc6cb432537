package saml

import (
	"crypto/rsa"
	"fmt"
	"strings"
	"time"
)

const (
	protocolNamespace  = "urn:oasis:names:tc:SAML:2.0:protocol"
	assertionNamespace = "urn:oasis:names:tc:SAML:2.0:assertion"
	statusSuccess      = "urn:oasis:names:tc:SAML:2.0:status:Success"
	bearer             = "urn:oasis:names:tc:SAML:2.0:cm:bearer"

	// formatUnspecified is what a NameID without a Format has (SAML 2.0 Core, section 2.2.2).
	formatUnspecified = "urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified"
)

const (
	// MaxResponseSize bounds a response in characters of base64 (STS API model, SAMLAssertionType).
	MaxResponseSize = 100_000
	// MaxAge is how long after its issue an assertion may be redeemed (AWS STS: "Token must be redeemed within 5 minutes of issuance").
	MaxAge = 5 * time.Minute
	// Skew is how far the clocks of stint and a provider may differ. MaxAge does not grow by it.
	Skew = 180 * time.Second
	// maxID bounds an assertion's ID, which is remembered.
	maxID = 256
)

// Expected is what a response is held against.
type Expected struct {
	Provider   *Metadata
	Decryption []*rsa.PrivateKey // keys of the provider that assertions may be encrypted to
	Encrypted  bool              // plain assertions are refused
	Endpoints  []string          // URLs at which responses are received: allowed as Recipient and Destination
	Audiences  []string          // allowed beside the Endpoints
	Now        time.Time
}

// Assertion is what a provider says of a subject. Every value of it was covered by a signature that holds.
type Assertion struct {
	ID                  string
	Issuer              string
	NameID              string
	Format              string // of NameID
	Recipient           string
	InResponseTo        string // ID of the request that is answered, which is the caller's to know; empty: unsolicited
	IssueInstant        time.Time
	NotOnOrAfter        time.Time // the earliest, without skew
	SessionNotOnOrAfter time.Time // when the subject's session ends; zero: not said

	attributes map[string][]string
}

// Verify decodes and verifies a response, and returns its only assertion. Signature comes before meaning: the errors ErrIssuer,
// ErrAudience, ErrRecipient, ErrInResponseTo, ErrNotYetValid, ErrStale, ErrSubject and *ExpiredError are of a genuine assertion. The others are ErrEncoding,
// ErrMalformed, ErrUntrusted, ErrDecryption, ErrRejected and ErrProviderExpired. Safe for concurrent use.
func Verify(response string, e *Expected) (*Assertion, error) {
	if until := e.Provider.ValidUntil; !until.IsZero() && !e.Now.Before(until) {
		return nil, fmt.Errorf("%w: since %s", ErrProviderExpired, until.UTC().Format(time.RFC3339))
	}
	root, err := parseResponse(response)
	if err != nil {
		return nil, err
	}
	assertion, err := proven(root, e)
	if err != nil {
		return nil, err
	}
	return read(root, assertion, e)
}

// parseResponse decodes and parses a response, and checks its shape.
func parseResponse(response string) (*node, error) {
	if len(response) > MaxResponseSize {
		return nil, malformed("response is too large")
	}
	document, err := decodeResponse(response)
	if err != nil {
		return nil, err
	}
	root, err := parse(string(document), nil, false)
	if err != nil {
		return nil, err
	}
	if !root.is(protocolNamespace, "Response") {
		return nil, malformed("document element is not Response")
	}
	return root, wellFormed(root)
}

// proven returns the response's only assertion once a signature proves it.
func proven(root *node, e *Expected) (*node, error) {
	id, _ := root.attr("ID")
	responseSigned, err := verifySignature(root, id, e.Provider.keys)
	if err != nil {
		return nil, err
	}
	if err := successful(root); err != nil {
		return nil, err
	}
	assertion, err := onlyAssertion(root, e, responseSigned)
	if err != nil {
		return nil, err
	}
	id, _ = assertion.attr("ID")
	assertionSigned, err := verifySignature(assertion, id, e.Provider.keys)
	if err != nil {
		return nil, err
	}
	if !responseSigned && !assertionSigned {
		return nil, untrusted("neither response nor assertion is signed")
	}
	return assertion, nil
}

// wellFormed refuses shapes that only wrapping attacks have: a second assertion anywhere, a signature that is no direct child of what it
// signs, an ID given twice.
func wellFormed(root *node) error {
	ids := make(map[string]bool)
	assertions := 0
	return root.walk(func(n *node) error {
		switch {
		case n.is(assertionNamespace, "Assertion"), n.is(assertionNamespace, "EncryptedAssertion"):
			if assertions++; assertions > 1 || n.parent != root {
				return malformed("an assertion that is not the response's only one")
			}
		case n.is(dsigNamespace, "Signature"):
			if n.parent != root && (n.parent.parent != root || !n.parent.is(assertionNamespace, "Assertion")) {
				return malformed("a signature out of place")
			}
		case n.is(protocolNamespace, "Response") && n != root:
			return malformed("a response inside of the response")
		}
		own := 0
		for i := range n.attrs {
			if !strings.EqualFold(n.attrs[i].local, "ID") {
				continue
			}
			if own++; own > 1 || ids[n.attrs[i].value] {
				return malformed("an ID given twice")
			}
			ids[n.attrs[i].value] = true
		}
		return nil
	})
}

func successful(root *node) error {
	status, err := root.one(protocolNamespace, "Status")
	if err != nil {
		return err
	}
	code, err := status.one(protocolNamespace, "StatusCode")
	if err != nil {
		return err
	}
	if value, _ := code.attr("Value"); value != statusSuccess {
		return ErrRejected
	}
	return nil
}

// onlyAssertion returns the assertion, decrypted if it came so. The plaintext takes the ciphertext's place and passes the same checks:
// it was not there when they were made.
func onlyAssertion(root *node, e *Expected, responseSigned bool) (*node, error) {
	encrypted, err := root.optional(assertionNamespace, "EncryptedAssertion")
	if err != nil {
		return nil, err
	}
	if encrypted == nil {
		if e.Encrypted {
			return nil, fmt.Errorf("%w: it is not encrypted", ErrDecryption)
		}
		return root.one(assertionNamespace, "Assertion")
	}
	plain, err := decrypt(encrypted, e.Decryption, responseSigned)
	if err != nil {
		return nil, err
	}
	// The name spaces that the ciphertext's element declares stay in force.
	plain.scope = inherited(plain.scope, encrypted.scope)
	plain.parent = root
	for i, k := range root.kids {
		if k == encrypted {
			root.kids[i] = plain
		}
	}
	return plain, wellFormed(root)
}

// inherited adds the declarations of an outer element that an inner one does not override.
func inherited(inner, outer []declaration) []declaration {
	all := inner
	for _, o := range outer {
		overridden := false
		for _, i := range inner {
			overridden = overridden || i.prefix == o.prefix
		}
		if !overridden {
			all = append(all, o)
		}
	}
	return all
}

// read reads a proven assertion and judges it: issuer, audience, times.
func read(root, n *node, e *Expected) (*Assertion, error) {
	for _, m := range []*node{root, n} {
		if v, _ := m.attr("Version"); v != "2.0" {
			return nil, malformed("version is not 2.0")
		}
	}
	a := &Assertion{}
	var ok bool
	if a.ID, ok = n.attr("ID"); !ok || a.ID == "" || len(a.ID) > maxID {
		return nil, malformed("assertion has no usable ID")
	}
	for _, step := range []func() error{
		func() error { return a.readIssuer(root, n, e) },
		func() error { return a.readSubject(root, n, e) },
		func() error { return a.readConditions(n, e) },
		func() error { return a.readStatements(n, e) },
		func() error { return a.checkTimes(n, e) },
	} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	a.detach()
	return a, nil
}

// detach copies the values, which are parts of the document: what outlives the call, as a session's record does, must not keep all of it.
func (a *Assertion) detach() {
	for _, s := range []*string{&a.ID, &a.Issuer, &a.NameID, &a.Format, &a.Recipient, &a.InResponseTo} {
		*s = strings.Clone(*s)
	}
	attributes := make(map[string][]string, len(a.attributes))
	for name, values := range a.attributes {
		for i, v := range values {
			values[i] = strings.Clone(v)
		}
		attributes[strings.Clone(name)] = values
	}
	a.attributes = attributes
}

// readIssuer checks the assertion's issuer, and the response's if it names one.
func (a *Assertion) readIssuer(root, n *node, e *Expected) error {
	element, err := n.one(assertionNamespace, "Issuer")
	if err != nil {
		return err
	}
	if a.Issuer, err = element.value(); err != nil {
		return err
	}
	outer, err := root.optional(assertionNamespace, "Issuer")
	if err != nil {
		return err
	}
	if outer != nil {
		if text, err := outer.value(); err != nil || text != e.Provider.EntityID {
			return ErrIssuer
		}
	}
	if a.Issuer != e.Provider.EntityID {
		return ErrIssuer
	}
	return nil
}

// readSubject reads NameID and the only confirmation, which is of a bearer at one of our endpoints (SAML 2.0 Profiles, section 4.1.4.2).
func (a *Assertion) readSubject(root, n *node, e *Expected) error {
	if destination, ok := root.attr("Destination"); ok && destination != "" && !contains(e.Endpoints, destination) {
		return fmt.Errorf("destination: %w", ErrRecipient)
	}
	subject, err := n.optional(assertionNamespace, "Subject")
	if err != nil {
		return err
	}
	if subject == nil {
		return ErrSubject
	}
	if err := a.readNameID(subject); err != nil {
		return err
	}
	confirmation, err := subject.one(assertionNamespace, "SubjectConfirmation")
	if err != nil {
		return err
	}
	if method, _ := confirmation.attr("Method"); method != bearer {
		return malformed("subject confirmation is not of a bearer")
	}
	data, err := confirmation.one(assertionNamespace, "SubjectConfirmationData")
	if err != nil {
		return err
	}
	if _, given := data.attr("NotBefore"); given {
		return malformed("subject confirmation has NotBefore")
	}
	until, _ := data.attr("NotOnOrAfter")
	if a.NotOnOrAfter, err = instant(until); err != nil {
		return err
	}
	if a.Recipient, _ = data.attr("Recipient"); !contains(e.Endpoints, a.Recipient) {
		return ErrRecipient
	}
	return a.readInResponseTo(root, data)
}

// readInResponseTo reads which request is answered (SAML 2.0 Profiles, sections 4.1.4.2 and 4.1.5). The confirmation's word counts, which a
// signature always covers; the response's, which need not be signed, can only contradict it: the profile demands that both say the same.
func (a *Assertion) readInResponseTo(root, data *node) error {
	a.InResponseTo, _ = data.attr("InResponseTo")
	if len(a.InResponseTo) > maxID {
		return malformed("InResponseTo is too long")
	}
	if outer, _ := root.attr("InResponseTo"); outer != "" && outer != a.InResponseTo {
		return ErrInResponseTo
	}
	return nil
}

func (a *Assertion) readNameID(subject *node) error {
	name, err := subject.optional(assertionNamespace, "NameID")
	if err != nil {
		return err
	}
	if name == nil {
		return ErrSubject
	}
	if a.NameID, err = name.value(); err != nil {
		return err
	}
	if strings.TrimSpace(a.NameID) == "" {
		return ErrSubject
	}
	if a.Format, _ = name.attr("Format"); a.Format == "" {
		a.Format = formatUnspecified
	}
	return nil
}

// readConditions checks that every audience restriction, of which there is one at least, names us. An unknown condition makes an assertion
// void (SAML 2.0 Core, section 2.5.1.1); of the others, assertions are used once per role, and stint issues none of its own on their strength.
func (a *Assertion) readConditions(n *node, e *Expected) error {
	conditions, err := n.one(assertionNamespace, "Conditions")
	if err != nil {
		return err
	}
	for _, k := range conditions.kids {
		known := k.is(assertionNamespace, "AudienceRestriction") || k.is(assertionNamespace, "OneTimeUse") || k.is(assertionNamespace, "ProxyRestriction")
		if k.local != "" && !known {
			return malformed("an unknown condition")
		}
	}
	restrictions := conditions.elements(assertionNamespace, "AudienceRestriction")
	if len(restrictions) == 0 {
		return ErrAudience
	}
	for _, r := range restrictions {
		named := false
		for _, audience := range r.elements(assertionNamespace, "Audience") {
			text, err := audience.value()
			if err != nil {
				return err
			}
			named = named || contains(e.Audiences, text) || contains(e.Endpoints, text)
		}
		if !named {
			return ErrAudience
		}
	}
	return nil
}

// readStatements reads when the subject's session ends, and the attributes.
func (a *Assertion) readStatements(n *node, _ *Expected) error {
	statements := n.elements(assertionNamespace, "AuthnStatement")
	if len(statements) == 0 {
		return malformed("no AuthnStatement")
	}
	for _, s := range statements {
		text, given := s.attr("SessionNotOnOrAfter")
		if !given {
			continue
		}
		end, err := instant(text)
		if err != nil {
			return err
		}
		if a.SessionNotOnOrAfter.IsZero() || end.Before(a.SessionNotOnOrAfter) {
			a.SessionNotOnOrAfter = end
		}
	}
	return a.readAttributes(n)
}

// checkTimes judges all instants of the assertion.
func (a *Assertion) checkTimes(n *node, e *Expected) (err error) {
	issued, _ := n.attr("IssueInstant")
	if a.IssueInstant, err = instant(issued); err != nil {
		return err
	}
	conditions, err := n.one(assertionNamespace, "Conditions")
	if err != nil {
		return err
	}
	begin := a.IssueInstant
	if text, given := conditions.attr("NotBefore"); given {
		if begin, err = instant(text); err != nil {
			return err
		}
	}
	if e.Now.Add(Skew).Before(begin) || e.Now.Add(Skew).Before(a.IssueInstant) {
		return ErrNotYetValid
	}
	if err := expired("SubjectConfirmation", a.NotOnOrAfter, e.Now.Add(-Skew)); err != nil {
		return err
	}
	if text, given := conditions.attr("NotOnOrAfter"); given {
		end, err := instant(text)
		if err != nil {
			return err
		}
		if err := expired("Conditions", end, e.Now.Add(-Skew)); err != nil {
			return err
		}
		if end.Before(a.NotOnOrAfter) {
			a.NotOnOrAfter = end
		}
	}
	if !a.SessionNotOnOrAfter.IsZero() {
		if err := expired("session", a.SessionNotOnOrAfter, e.Now.Add(time.Second)); err != nil { // sessions last a second or more
			return err
		}
	}
	if e.Now.Sub(a.IssueInstant) > MaxAge {
		return ErrStale
	}
	return nil
}

func expired(what string, end, now time.Time) error {
	if now.Before(end) {
		return nil
	}
	return &ExpiredError{What: what, Now: now, ExpiresAt: end}
}
