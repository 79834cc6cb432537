package signer

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
)

// Algorithms of identity tokens (RFC 7518 section 3.1). Session tokens never have one of these.
const (
	RS256 = "RS256"
	ES384 = "ES384"
)

const (
	identityRSABits    = 2048 // NIST SP 800-57 part 1: until 2030; a signature by 3072 bits costs three times as much
	identityScalarSize = 48   // of P-384
)

func newRSAMaterial(random io.Reader) ([]byte, error) {
	k, err := rsa.GenerateKey(random, identityRSABits)
	if err != nil {
		return nil, err
	}
	return x509.MarshalPKCS1PrivateKey(k), nil
}

// ensureIdentity gives each purpose of identity tokens a key that signs at once, if it has none. It reports whether d changed.
func (d *document) ensureIdentity(now time.Time, random io.Reader) (bool, error) {
	changed := false
	for _, p := range IdentityPurposes() {
		started, err := d.start(p, now, random)
		if err != nil {
			return false, err
		}
		changed = changed || started
	}
	return changed, nil
}

// start gives a purpose a key that signs at once, if it has none. It reports whether d changed.
func (d *document) start(p Purpose, now time.Time, random io.Reader) (bool, error) {
	if d.find(p, Signing) != nil {
		return false, nil
	}
	if d.find(p, Prepared) == nil {
		if _, _, err := d.prepare(p, algorithmOf(p, ""), now, random); err != nil {
			return false, err
		}
	}
	k := d.find(p, Prepared)
	k.State, k.SigningAt = Signing, now
	return true, nil
}

// identityKeys are the keys of identity tokens in usable form. They are no part of what checks session tokens.
type identityKeys struct {
	signing map[string]*identityKey // by algorithm
	public  []jose.JSONWebKey       // in the order in which they were prepared
	jwks    []byte
}

// identityKey signs identity tokens by one algorithm.
type identityKey struct {
	id            string
	header        string // first segment of every token of this key
	method        jwt.SigningMethod
	private       crypto.Signer
	signatureSize int // bytes
}

// ready reports whether every algorithm has a key that signs.
func (r *identityKeys) ready() bool { return len(r.signing) == len(IdentityPurposes()) }

func (r *identityKeys) add(e entry) error {
	k, err := newIdentityKey(e)
	if err != nil {
		return err
	}
	r.public = append(r.public, jose.JSONWebKey{Key: k.private.Public(), KeyID: e.ID, Algorithm: e.Algorithm, Use: "sig"})
	if e.State == Signing {
		if r.signing == nil {
			r.signing = make(map[string]*identityKey)
		}
		r.signing[e.Algorithm] = k
	}
	return nil
}

// publish prepares the JWKS (RFC 7517 section 5).
func (r *identityKeys) publish() (err error) {
	set := jose.JSONWebKeySet{Keys: r.public}
	if set.Keys == nil {
		set.Keys = []jose.JSONWebKey{}
	}
	r.jwks, err = json.Marshal(set)
	return err
}

func newIdentityKey(e entry) (*identityKey, error) {
	if e.Algorithm != algorithmOf(e.Purpose, "") {
		return nil, fmt.Errorf("algorithm %q is not of its purpose", e.Algorithm)
	}
	k := &identityKey{id: e.ID, header: identityHeader(e.KeyInfo)}
	switch e.Algorithm {
	case RS256:
		private, err := x509.ParsePKCS1PrivateKey(e.Material)
		if err != nil {
			return nil, errors.New("is no RSA key") // not err: it may quote key material
		}
		k.method, k.private, k.signatureSize = jwt.SigningMethodRS256, private, private.Size()
	default:
		private, err := ecdsa.ParseRawPrivateKey(elliptic.P384(), e.Material)
		if err != nil {
			return nil, err
		}
		k.method, k.private, k.signatureSize = jwt.SigningMethodES384, private, 2*identityScalarSize
	}
	return k, nil
}

// identityHeader returns the encoded JOSE header of the identity tokens that a key signs.
func identityHeader(k KeyInfo) string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"alg":%q,"kid":%q,"typ":%q}`, k.Algorithm, k.ID, identityType))
}
