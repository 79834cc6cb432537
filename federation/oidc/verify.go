package oidc

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"time"
)

// Provider is an issuer that an account has registered. It is shared: do not change it.
type Provider struct {
	ARN         string   // of the IAM OIDC provider
	Issuer      string   // URL, compared to the letter
	ClientIDs   []string // registered audiences
	Thumbprints []string // SHA-1 of certificates that stand in for a public certificate authority, in lower-case hexadecimal
}

// Keys finds the keys of providers. Implementations are safe for concurrent use.
type Keys interface {
	// Keys returns the provider's present key set. Who did not find a key in a set passes that set as without, and gets a newer one if
	// it can be had now, else the same again. The error matches ErrUnavailable, ErrUnusable or ErrCertificate, or is that of ctx.
	Keys(ctx context.Context, p *Provider, without *KeySet) (*KeySet, error)
}

// Rules are what may differ between issuers.
type Rules struct {
	Algorithms []string      // that its tokens may be signed with; nil: all of Algorithms()
	Leeway     time.Duration // how far ahead its clock may run: for nbf and iat, not for exp
}

// DefaultLeeway is how far ahead of ours an issuer's clock may run (DESIGN.md section 11). Kubernetes and CI systems hand out tokens
// in the second in which they begin.
const DefaultLeeway = time.Minute

// Config is what a Verifier needs. Fields are required unless they say a default.
type Config struct {
	Keys    Keys
	Now     func() time.Time
	Issuers map[string]Rules // by issuer; those not in it have the defaults: every algorithm, DefaultLeeway
}

// Verifier verifies tokens. It is safe for concurrent use.
type Verifier struct {
	keys    Keys
	now     func() time.Time
	issuers map[string]Rules
}

// New makes a Verifier.
func New(cfg Config) *Verifier { return &Verifier{keys: cfg.Keys, now: cfg.Now, issuers: cfg.Issuers} }

// Verify returns the claims of a token that the provider issued for one of its registered clients and that is valid now. Signature
// comes before meaning: claims of a token that nobody signed are not even compared. The error matches one of this package.
func (v *Verifier) Verify(ctx context.Context, t *Token, p *Provider) (*Claims, error) {
	rules, ok := v.issuers[p.Issuer]
	if !ok {
		rules.Leeway = DefaultLeeway
	}
	if t.issuer != p.Issuer {
		return nil, untrusted("issued by somebody else than the provider")
	}
	if rules.Algorithms != nil && !slices.Contains(rules.Algorithms, t.algorithm.name) {
		return nil, untrusted("algorithm is not one of the provider's")
	}
	if err := v.checkSignature(ctx, t, p); err != nil {
		return nil, err
	}
	return readClaims(t, p, v.now(), rules.Leeway)
}

// checkSignature finds the key by its id. A key that is not known yet is looked for once more, since issuers rotate; a signature
// that does not match causes no look-up, or everybody could make stint fetch.
func (v *Verifier) checkSignature(ctx context.Context, t *Token, p *Provider) error {
	set, err := v.keys.Keys(ctx, p, nil)
	if err != nil {
		return err
	}
	keys, reason := set.candidates(t)
	if reason != "" {
		newer, err := v.keys.Keys(ctx, p, set)
		if err != nil {
			return err
		}
		if newer == set {
			return untrusted(reason)
		}
		if keys, reason = newer.candidates(t); reason != "" {
			return untrusted(reason)
		}
	}
	for _, k := range keys {
		if t.algorithm.method.Verify(t.signed, t.signature, k.public) == nil {
			return nil
		}
	}
	return untrusted("signature does not match")
}

// maxTime is the last second of the year 9999.
const maxTime = 253_402_300_799

// instant reads a time: whole seconds since 1970, as AWS requires (RFC 7519 would allow fractions).
func instant(claims *value, name string) (at time.Time, present bool, err error) {
	c := claims.get(name)
	if c == nil {
		return time.Time{}, false, nil
	}
	if c.kind != number {
		return time.Time{}, true, badClaim(name, "is no whole number")
	}
	n, err := strconv.ParseInt(c.text, 10, 64)
	if err != nil || n < 0 || n > maxTime {
		return time.Time{}, true, badClaim(name, "is no whole number of seconds")
	}
	return time.Unix(n, 0).UTC(), true, nil
}

// checkTimes applies RFC 7519 sections 4.1.4 to 4.1.6. The token ends at exp, without leeway: what may be used for how long is the
// issuer's to say.
func (c *Claims) checkTimes(claims *value, now time.Time, leeway time.Duration) error {
	var hasExpiry, hasIssued bool
	var err, err2 error
	c.ExpiresAt, hasExpiry, err = instant(claims, "exp")
	c.IssuedAt, hasIssued, err2 = instant(claims, "iat")
	notBefore, hasNotBefore, err3 := instant(claims, "nbf")
	switch err := errors.Join(err, err2, err3); {
	case err != nil:
		return err
	case !hasExpiry:
		return &MissingClaimError{"exp"}
	case !hasIssued:
		return &MissingClaimError{"iat"}
	case !now.Before(c.ExpiresAt):
		return &ExpiredError{now, c.ExpiresAt}
	case c.IssuedAt.After(now.Add(leeway)) || hasNotBefore && notBefore.After(now.Add(leeway)):
		return ErrNotYetValid
	}
	return nil
}
