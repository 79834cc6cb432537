package signer

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// MaxTokenSize bounds session tokens, in bytes. A longer one is refused before anything looks into it.
const MaxTokenSize = 16 << 10

// clockSkew is how far ahead the clock of the node that issued a token may run.
const clockSkew = 5 * time.Minute

// Errors of Mint and Verify.
var (
	ErrInvalidToken  = errors.New("session token is not valid")
	ErrExpiredToken  = errors.New("session token has expired")
	ErrTokenTooLarge = errors.New("session token would be too large")
)

// unknownKeyError is an ErrInvalidToken that a later ring may not give.
type unknownKeyError struct{ reason string }

func (e unknownKeyError) Error() string { return invalid(e.reason).Error() }
func (e unknownKeyError) Unwrap() error { return ErrInvalidToken }

// invalid returns an ErrInvalidToken with the reason, which must not quote the token.
func invalid(reason string) error { return fmt.Errorf("%w: %s", ErrInvalidToken, reason) }

// sign returns the token for c.
func (k *tokenKey) sign(c *Claims, issuer string) (string, error) {
	payload, err := appendClaims(make([]byte, 0, 1024), c, issuer)
	if err != nil {
		return "", err
	}
	text := make([]byte, 0, len(k.header)+1+base64.RawURLEncoding.EncodedLen(len(payload)))
	text = append(append(text, k.header...), '.')
	text = base64.RawURLEncoding.AppendEncode(text, payload)
	signed := string(text)
	signature, err := k.method.Sign(signed, k.private)
	if err != nil {
		return "", fmt.Errorf("key %s: %w", k.ID, err)
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}

// parse checks a token up to its expiry, which is the caller's to compare with its clock: it changes, while the rest holds forever.
func (r *keyRing) parse(token string, mustBeSealed bool, now time.Time) (*Claims, error) {
	if !isCompact(token) {
		return nil, invalid("malformed")
	}
	header, _, _ := strings.Cut(token, ".")
	if k := r.sealingKeys[header]; k != nil {
		plain, err := k.open(token)
		if err != nil {
			return nil, invalid("does not open")
		}
		return r.parseSigned(plain, now)
	}
	if mustBeSealed {
		return nil, unknownKeyError{"not sealed by a key of this ring"}
	}
	return r.parseSigned(token, now)
}

// parseSigned checks everything but the expiry. The whole first segment picks the key, and so fixes type, key id and algorithm
// together: a header that differs in anything from what the key's own tokens have is refused before it is parsed.
func (r *keyRing) parseSigned(token string, now time.Time) (*Claims, error) {
	header, _, _ := strings.Cut(token, ".")
	k := r.tokenKeys[header]
	if k == nil {
		return nil, unknownKeyError{"header of no key of this ring"}
	}
	w := new(wire)
	if _, err := k.parser.ParseWithClaims(token, w, func(*jwt.Token) (any, error) { return k.public, nil }); err != nil {
		return nil, invalid(reason(err))
	}
	c, err := w.claims()
	if err != nil {
		return nil, invalid("claims of no session")
	}
	if c.IssuedAt.After(now.Add(clockSkew)) || !k.mayHaveSigned(c.IssuedAt) {
		return nil, invalid("issued when its key did not sign")
	}
	derivation := r.derivationKeys[c.DerivationVersion]
	if derivation == nil {
		return nil, unknownKeyError{"derivation key is not in the ring"}
	}
	c.derived = &derivedKey{c.AccessKeyID, c.DerivationVersion, derivation.secretKey(c.AccessKeyID)}
	return c, nil
}

// newParser returns the parser for tokens of one key. Expiry is required, but compared with the year 1: a cached token must
// expire too, so Verify compares it, in one place for both.
func newParser(algorithm, issuer string) *jwt.Parser {
	return jwt.NewParser(
		jwt.WithValidMethods([]string{algorithm}), jwt.WithIssuer(issuer), jwt.WithAudience(audience),
		jwt.WithExpirationRequired(), jwt.WithTimeFunc(func() time.Time { return time.Time{} }), jwt.WithStrictDecoding(),
	)
}

// reason says why the library refuses a token, without the library's texts, which may quote the token.
func reason(err error) string {
	switch {
	case errors.Is(err, jwt.ErrTokenSignatureInvalid):
		return "signature does not match"
	case errors.Is(err, jwt.ErrTokenInvalidIssuer):
		return "foreign issuer"
	case errors.Is(err, jwt.ErrTokenInvalidAudience):
		return "foreign audience"
	case errors.Is(err, jwt.ErrTokenRequiredClaimMissing):
		return "lacks a claim"
	default:
		return "malformed"
	}
}

// isCompact reports whether each segment of a JWS or JWE is base64url, in the one form that encodes its bytes: decoders skip
// line breaks and ignore surplus bits of the last character, so that one token would have many spellings.
func isCompact(token string) bool {
	length := 0 // of the segment so far
	last := byte(0)
	for i := range len(token) {
		if token[i] != '.' {
			last = sextets[token[i]]
			if last == noSextet {
				return false
			}
			length++
			continue
		}
		if !endsClean(length, last) {
			return false
		}
		length, last = 0, 0
	}
	return endsClean(length, last)
}

func endsClean(length int, last byte) bool {
	switch length % 4 {
	case 1:
		return false
	case 2:
		return last&0b1111 == 0
	case 3:
		return last&0b11 == 0
	default:
		return true
	}
}

const noSextet = 64

// sextets holds the value of each character of base64url.
var sextets = func() (table [256]byte) {
	for i := range table {
		table[i] = noSextet
	}
	for i, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") {
		table[c] = byte(i)
	}
	return table
}()
