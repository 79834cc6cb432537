package oidc

import (
	"encoding/base64"
	"strings"
)

// MaxTokenSize bounds a token in bytes (AWS STS API model, clientTokenType). A longer one is refused before anything looks into it.
const MaxTokenSize = 20_000

const (
	maxTokenValues = 2_000 // JSON values in header or payload
	maxKeyID       = 512   // bytes of kid
)

// Token is a token taken apart, of which nothing is proven.
type Token struct {
	issuer    string
	algorithm *algorithm
	keyID     string
	hasKeyID  bool
	signed    string // header and payload as they were signed
	signature []byte
	claims    value
}

// Issuer is who the token says issued it. It is good for choosing a Provider among registered ones, and for nothing else.
func (t *Token) Issuer() string { return t.issuer }

// Parse takes a token apart (RFC 7515 section 7.1, RFC 7519 section 7.2) without any look-up. The error matches ErrMalformed, or
// is a *MissingClaimError when there is no issuer.
func Parse(token string) (*Token, error) {
	if len(token) > MaxTokenSize {
		return nil, malformed("too large")
	}
	header, rest, ok := strings.Cut(token, ".")
	payload, signature, ok2 := strings.Cut(rest, ".")
	if !ok || !ok2 || strings.Contains(signature, ".") {
		return nil, malformed("not three parts")
	}
	t := &Token{signed: token[:len(header)+1+len(payload)]}
	if err := t.readHeader(header); err != nil {
		return nil, err
	}
	raw, err := decode(signature)
	if err != nil || len(raw) == 0 {
		return nil, malformed("signature is not base64url")
	}
	t.signature = raw
	return t, t.readPayload(payload)
}

// decode reads base64url without padding, in the one spelling that encodes the bytes: the library skips line breaks.
func decode(part string) ([]byte, error) {
	if strings.ContainsAny(part, "\r\n") {
		return nil, base64.CorruptInputError(0)
	}
	return base64.RawURLEncoding.Strict().DecodeString(part)
}

// refusedHeaders would let the token choose its own key or change what its parts mean (RFC 8725 sections 3.1, 3.5, 3.10).
var refusedHeaders = []string{"jku", "jwk", "x5u", "x5c", "crit", "cty", "b64", "zip", "enc"}

func (t *Token) readHeader(part string) error {
	raw, err := decode(part)
	if err != nil {
		return malformed("header is not base64url")
	}
	header, err := parseObject(string(raw), maxTokenValues)
	if err != nil {
		return malformed("header is " + err.Error())
	}
	for _, name := range refusedHeaders {
		if header.get(name) != nil {
			return malformed("header has " + name)
		}
	}
	if header.get("typ") != nil {
		// JOSE is what SPIFFE allows beside it (JWT-SVID section 2.3). Access tokens (at+jwt) and other kinds of JWT are no identity.
		if typ, _ := header.string("typ"); !strings.EqualFold(typ, "JWT") && typ != "JOSE" {
			return malformed("typ is not JWT")
		}
	}
	name, _ := header.string("alg")
	if t.algorithm = algorithmNamed(name); t.algorithm == nil {
		return malformed("alg is not supported")
	}
	if header.get("kid") != nil {
		t.keyID, t.hasKeyID = header.string("kid")
		if !t.hasKeyID || len(t.keyID) > maxKeyID {
			return malformed("kid is no text, or too long")
		}
	}
	return nil
}

func (t *Token) readPayload(part string) error {
	raw, err := decode(part)
	if err != nil {
		return malformed("payload is not base64url")
	}
	if t.claims, err = parseObject(string(raw), maxTokenValues); err != nil {
		return malformed("payload is " + err.Error())
	}
	t.issuer, _ = t.claims.string("iss")
	if t.issuer == "" {
		return &MissingClaimError{"iss"}
	}
	return nil
}
