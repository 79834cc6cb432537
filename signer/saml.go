package signer

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"time"
)

const (
	// SAMLKeysMaxAge is how long a new key for requests to SAML identity providers is published before it signs, beyond
	// Config.PublishDelay. Some providers read metadata by themselves once a day; others are told by people.
	SAMLKeysMaxAge = 7 * 24 * time.Hour

	// samlRequestLifetime is more than a provider takes to look at a request.
	samlRequestLifetime = time.Hour
)

// samlKeys sign requests to SAML identity providers.
type samlKeys struct {
	signing crypto.Signer   // nil: nobody has needed one yet
	others  []crypto.Signer // prepared and retired ones
}

func (r *samlKeys) add(e entry) error {
	key, err := x509.ParsePKCS1PrivateKey(e.Material)
	if e.Algorithm != RS256 || err != nil {
		return errors.New("is no RSA key") // not err: it may quote key material
	}
	if e.State == Signing {
		r.signing = key
	} else {
		r.others = append(r.others, key)
	}
	return nil
}

// SAMLKeys returns the keys for requests to SAML identity providers: first the one that signs, then the others that are published. The
// first call of an installation makes a key, which takes a moment and signs at once: no provider knows of an earlier one. The keys of one
// ring are the same pointers every time.
func (s *Signer) SAMLKeys(ctx context.Context) ([]crypto.Signer, error) {
	if s.ring.Load().saml.signing == nil {
		err := s.update(ctx, func(d *document, now time.Time) (bool, error) { return d.start(SAMLKey, now, s.cfg.Rand) })
		if err != nil {
			return nil, err
		}
	}
	keys := &s.ring.Load().saml
	return append([]crypto.Signer{keys.signing}, keys.others...), nil
}
