package signer

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
	"unicode/utf8"

	"github.com/stint-sts/stint/secret"
)

const (
	// MaxIdentityLifetime is the longest that an identity token lives ("GetWebIdentityToken" in the STS API Reference).
	MaxIdentityLifetime = time.Hour

	// MaxIdentityTokenSize bounds identity tokens, in bytes: AWS does not publish its bound, and 20,000 characters is what
	// AssumeRoleWithWebIdentity of another installation takes ("AssumeRoleWithWebIdentity" in the STS API Reference).
	MaxIdentityTokenSize = 20_000

	// IdentityKeysMaxAge is how long a third party may keep the JWKS of identity keys without looking again. A key is
	// published for that much longer than Config.PublishDelay before it signs.
	IdentityKeysMaxAge = 5 * time.Minute

	// identityType is the typ of identity tokens, which AWS's have and stock verifiers expect (RFC 7519 section 5.1).
	identityType = "JWT"
)

// ErrIdentityTooLarge tells that an identity token would be larger than MaxIdentityTokenSize.
var ErrIdentityTooLarge = errors.New("identity token would be too large")

// IdentityClaims are what an identity token tells a third party. Empty members of AWS are left out of the token.
type IdentityClaims struct {
	Issuer    string    // URL of the account's issuer
	Subject   string    // ARN of the user or role
	Audience  []string  // one or more
	ID        string    // a UUID; SignIdentity sets it
	IssuedAt  time.Time // to the second
	ExpiresAt time.Time // to the second
	AWS       IdentityContext
}

// IdentityContext is the claim "https://sts.amazonaws.com/" (AWS IAM User Guide, "Understanding token claims" of outbound
// identity federation).
type IdentityContext struct {
	Account            string            `json:"aws_account"`
	SourceRegion       string            `json:"source_region,omitempty"`
	PrincipalID        string            `json:"principal_id"` // ARN of the user or role
	PrincipalTags      map[string]string `json:"principal_tags,omitempty"`
	RequestTags        map[string]string `json:"request_tags,omitempty"`
	OriginalSessionExp string            `json:"original_session_exp,omitempty"` // RFC 3339; of the calling session
	SourceIdentity     string            `json:"source_identity,omitempty"`
	FederatedProvider  string            `json:"federated_provider,omitempty"`
}

// IdentityAlgorithms returns the algorithms of identity tokens (RFC 7518 section 3.1), the usual one first.
func IdentityAlgorithms() []string { return []string{RS256, ES384} }

// EnsureIdentityKeys makes sure that the ring has keys that sign identity tokens, one for each algorithm. The first call of an
// installation makes them, which takes a second or so; later ones cost nothing. A key that it makes signs at once: nobody has
// a JWKS yet that lacks it, and a node whose own is empty looks into the store before it answers (see IdentityJWKS).
func (s *Signer) EnsureIdentityKeys(ctx context.Context) error {
	if s.ring.Load().identity.ready() {
		return nil
	}
	return s.update(ctx, func(d *document, now time.Time) (bool, error) { return d.ensureIdentity(now, s.cfg.Rand) })
}

// SignIdentity returns the identity token that says c, signed by the algorithm RS256 or ES384, and sets c.ID to a new one. It
// makes the keys if EnsureIdentityKeys has never been called. Errors match ErrIdentityTooLarge; other claims that no token can
// carry (a life outside 0 to MaxIdentityLifetime, no audience, text that is not UTF-8) are the caller's mistake.
func (s *Signer) SignIdentity(ctx context.Context, algorithm string, c *IdentityClaims) (secret.String, error) {
	if err := c.validate(); err != nil {
		return secret.String{}, fmt.Errorf("identity token: %w", err)
	}
	if err := s.EnsureIdentityKeys(ctx); err != nil {
		return secret.String{}, fmt.Errorf("identity token: %w", err)
	}
	k := s.ring.Load().identity.signing[algorithm]
	if k == nil {
		return secret.String{}, fmt.Errorf("identity token by %q: %w", algorithm, ErrNoKey)
	}
	var err error
	if c.ID, err = NewUUID(s.cfg.Rand); err != nil {
		return secret.String{}, fmt.Errorf("identity token: %w", err)
	}
	return k.sign(c)
}

// IdentityJWKS returns the public keys (RFC 7517) that verify identity tokens, prepared and retired ones included. The bytes
// are shared: do not change them. A node that knows of no key asks the store first, because another may have made them.
func (s *Signer) IdentityJWKS(ctx context.Context) ([]byte, error) {
	if !s.ring.Load().identity.ready() {
		if err := s.Reload(ctx); err != nil {
			return nil, err
		}
	}
	return s.ring.Load().identity.jwks, nil
}

func (c *IdentityClaims) validate() error {
	if c.Issuer == "" || c.Subject == "" || len(c.Audience) == 0 || c.AWS.Account == "" {
		return errors.New("lacks issuer, subject, audience or account")
	}
	if life := c.ExpiresAt.Sub(c.IssuedAt); life <= 0 || life > MaxIdentityLifetime {
		return fmt.Errorf("lives for %s, outside 0 to %s", life, MaxIdentityLifetime)
	}
	for _, a := range c.Audience {
		if !utf8.ValidString(a) { // JSON would replace it, and so name another audience
			return errors.New("an audience is not UTF-8")
		}
	}
	return nil
}

// MarshalJSON returns the payload. One audience is a string, several are an array (RFC 7519 section 4.1.3).
func (c *IdentityClaims) MarshalJSON() ([]byte, error) {
	var audience any = c.Audience
	if len(c.Audience) == 1 {
		audience = c.Audience[0]
	}
	return json.Marshal(struct {
		Issuer   string           `json:"iss"`
		Subject  string           `json:"sub"`
		Audience any              `json:"aud"`
		IssuedAt int64            `json:"iat"`
		Expires  int64            `json:"exp"`
		ID       string           `json:"jti"`
		AWS      *IdentityContext `json:"https://sts.amazonaws.com/"`
	}{c.Issuer, c.Subject, audience, c.IssuedAt.Unix(), c.ExpiresAt.Unix(), c.ID, &c.AWS})
}

// sign returns the token. Its size is judged before the signature, which is what costs.
func (k *identityKey) sign(c *IdentityClaims) (secret.String, error) {
	payload, err := json.Marshal(c)
	if err != nil {
		return secret.String{}, fmt.Errorf("identity token: %w", err)
	}
	encode := base64.RawURLEncoding
	size := len(k.header) + 1 + encode.EncodedLen(len(payload)) + 1 + encode.EncodedLen(k.signatureSize)
	if size > MaxIdentityTokenSize {
		return secret.String{}, fmt.Errorf("%w: %d bytes", ErrIdentityTooLarge, size)
	}
	text := make([]byte, 0, size)
	text = append(append(text, k.header...), '.')
	text = encode.AppendEncode(text, payload)
	signature, err := k.method.Sign(string(text), k.private)
	if err != nil {
		return secret.String{}, fmt.Errorf("identity key %s: %w", k.id, err)
	}
	text = encode.AppendEncode(append(text, '.'), signature)
	return secret.New(string(text)), nil
}

// NewUUID returns a random UUID (RFC 9562, version 4).
func NewUUID(random io.Reader) (string, error) {
	var u [16]byte
	if _, err := io.ReadFull(random, u[:]); err != nil {
		return "", err
	}
	u[6], u[8] = u[6]&0x0f|0x40, u[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:]), nil
}
