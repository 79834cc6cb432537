package signer

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
	"github.com/stint-sts/stint/seal"
	"github.com/stint-sts/stint/secret"
)

// Algorithms of token keys (RFC 7518 section 3.1, RFC 8037 section 3.1).
const (
	HS256 = "HS256"
	EdDSA = "EdDSA"
	ES256 = "ES256"
)

const (
	derivationAlgorithm = "HMAC-SHA-256"
	sealingAlgorithm    = "A256GCM"
)

// materialSize is that of every key of sessions: an HMAC or AES-256 key, an Ed25519 seed, a P-256 scalar.
const materialSize = 32

func algorithmOf(p Purpose, tokenAlgorithm string) string {
	switch p {
	case TokenKey:
		return tokenAlgorithm
	case SealingKey:
		return sealingAlgorithm
	case IdentityRS256Key, SAMLKey:
		return RS256
	case IdentityES384Key:
		return ES384
	default:
		return derivationAlgorithm
	}
}

func newEntry(p Purpose, algorithm string, version int, now time.Time, random io.Reader) (entry, error) {
	var id [5]byte // 8 characters; a token carries them
	if _, err := io.ReadFull(random, id[:]); err != nil {
		return entry{}, fmt.Errorf("new key id: %w", err)
	}
	material, err := newMaterial(algorithm, random)
	if err != nil {
		return entry{}, fmt.Errorf("new key: %w", err)
	}
	return entry{KeyInfo{
		ID: strings.ToLower(base32.StdEncoding.EncodeToString(id[:])), Version: version,
		Purpose: p, Algorithm: algorithm, State: Prepared, PreparedAt: now,
	}, material}, nil
}

// newMaterial returns the private half of a new key, as the ring stores it.
func newMaterial(algorithm string, random io.Reader) ([]byte, error) {
	switch algorithm {
	case RS256:
		return newRSAMaterial(random)
	case ES384:
		return newScalar(elliptic.P384(), identityScalarSize, random)
	case ES256:
		return newScalar(elliptic.P256(), materialSize, random)
	default:
		material := make([]byte, materialSize)
		_, err := io.ReadFull(random, material)
		return material, err
	}
}

// newScalar returns a private key of the curve. The curves' orders are just below a power of two: once in 2^32, or more rarely,
// the bytes are no scalar, and other ones are.
func newScalar(curve elliptic.Curve, size int, random io.Reader) ([]byte, error) {
	material := make([]byte, size)
	for {
		if _, err := io.ReadFull(random, material); err != nil {
			return nil, err
		}
		if _, err := ecdsa.ParseRawPrivateKey(curve, material); err == nil {
			return material, nil
		}
	}
}

// keyRing is the ring in usable form. It is immutable: requests read it through an atomic pointer.
type keyRing struct {
	version int64 // in the RingStore
	infos   []KeyInfo
	jwks    []byte

	master *seal.Key // that seals the ring
	former string    // ID of the master key that may have sealed other values; empty: none has

	signing  *tokenKey
	deriving *derivationKey
	sealing  *sealingKey

	tokenKeys      map[string]*tokenKey // by the first segment of the tokens they sign
	derivationKeys map[int]*derivationKey
	sealingKeys    map[string]*sealingKey // by the first segment of the tokens they seal

	identity identityKeys
	saml     samlKeys
}

func newKeyRing(d *document, version int64, issuer string) (*keyRing, error) {
	r := &keyRing{
		version: version, infos: d.infos(),
		tokenKeys: map[string]*tokenKey{}, derivationKeys: map[int]*derivationKey{}, sealingKeys: map[string]*sealingKey{},
	}
	for _, e := range d.Keys {
		if e.State == Removed {
			continue
		}
		if err := r.add(e, issuer); err != nil {
			return nil, fmt.Errorf("%s key %s: %w", e.Purpose, e.ID, err)
		}
	}
	if r.signing == nil || r.deriving == nil || r.sealing == nil {
		return nil, fmt.Errorf("key ring version %d lacks a signing key", version)
	}
	var err error
	if r.jwks, err = r.publicKeys(); err != nil {
		return nil, err
	}
	return r, r.identity.publish()
}

func (r *keyRing) add(e entry, issuer string) error {
	switch e.Purpose {
	case TokenKey:
		k, err := newTokenKey(e, issuer)
		if err != nil {
			return err
		}
		r.tokenKeys[k.header] = k
		if e.State == Signing {
			r.signing = k
		}
	case DerivationKey:
		k, err := newDerivationKey(e)
		if err != nil {
			return err
		}
		r.derivationKeys[e.Version] = k
		if e.State == Signing {
			r.deriving = k
		}
	case SealingKey:
		k, err := newSealingKey(e)
		if err != nil {
			return err
		}
		r.sealingKeys[k.header] = k
		if e.State == Signing {
			r.sealing = k
		}
	case IdentityRS256Key, IdentityES384Key:
		return r.identity.add(e)
	case SAMLKey:
		return r.saml.add(e)
	}
	return nil
}

// publicKeys returns the JWKS (RFC 7517 section 5) of every token key that has a public half.
func (r *keyRing) publicKeys() ([]byte, error) {
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	for _, info := range r.infos {
		if info.Purpose != TokenKey || info.State == Removed || info.Algorithm == HS256 {
			continue
		}
		k := r.tokenKeys[tokenHeader(info)]
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: k.public, KeyID: info.ID, Algorithm: info.Algorithm, Use: "sig"})
	}
	return json.Marshal(set)
}

// tokenKey signs and checks tokens by one algorithm.
type tokenKey struct {
	KeyInfo
	header          string // first segment of every token of this key; it holds the algorithm, the key id and the type
	method          jwt.SigningMethod
	private, public any
	parser          *jwt.Parser
}

// tokenHeader returns the encoded JOSE header of the tokens that a key signs.
func tokenHeader(k KeyInfo) string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"alg":%q,"kid":%q,"typ":%q}`, k.Algorithm, k.ID, tokenType))
}

func newTokenKey(e entry, issuer string) (*tokenKey, error) {
	if len(e.Material) != materialSize {
		return nil, fmt.Errorf("has %d bytes, want %d", len(e.Material), materialSize)
	}
	k := &tokenKey{KeyInfo: e.KeyInfo, header: tokenHeader(e.KeyInfo), parser: newParser(e.Algorithm, issuer)}
	switch e.Algorithm {
	case HS256:
		k.method, k.private, k.public = jwt.SigningMethodHS256, e.Material, e.Material
	case EdDSA:
		private := ed25519.NewKeyFromSeed(e.Material)
		k.method, k.private, k.public = jwt.SigningMethodEdDSA, private, private.Public()
	case ES256:
		private, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), e.Material)
		if err != nil {
			return nil, err
		}
		k.method, k.private, k.public = jwt.SigningMethodES256, private, &private.PublicKey
	default:
		return nil, fmt.Errorf("algorithm %q is unknown", e.Algorithm)
	}
	return k, nil
}

// mayHaveSigned reports whether k signed tokens at the instant issued. It bounds what a stolen key is good for once it is retired.
func (k *tokenKey) mayHaveSigned(issued time.Time) bool {
	return k.State != Retired || !issued.After(k.RetiredAt.Add(reloadLag))
}

// derivationKey makes secret access keys.
type derivationKey struct {
	version int
	key     []byte
}

// derivedKey is a secret access key and what it was made of.
type derivedKey struct {
	accessKeyID string
	version     int
	secret      secret.String
}

func newDerivationKey(e entry) (*derivationKey, error) {
	if e.Algorithm != derivationAlgorithm || len(e.Material) != materialSize {
		return nil, fmt.Errorf("is not a key of %s", derivationAlgorithm)
	}
	return &derivationKey{version: e.Version, key: e.Material}, nil
}

// secretKey returns the secret access key that belongs to accessKeyID: the first 240 bits of its HMAC-SHA-256, in base64.
func (k *derivationKey) secretKey(accessKeyID string) secret.String {
	mac := hmac.New(sha256.New, k.key)
	_, _ = io.WriteString(mac, accessKeyID)
	var sum [sha256.Size]byte
	return secret.New(base64.StdEncoding.EncodeToString(mac.Sum(sum[:0])[:secretKeyBytes]))
}

// sealingKey wraps signed tokens in a JWE (RFC 7516): dir and A256GCM (RFC 7518 sections 4.5 and 5.3).
type sealingKey struct {
	header    string // first segment of everything it seals
	key       []byte
	encrypter jose.Encrypter
}

func newSealingKey(e entry) (*sealingKey, error) {
	if e.Algorithm != sealingAlgorithm || len(e.Material) != materialSize {
		return nil, fmt.Errorf("is not a key of %s", sealingAlgorithm)
	}
	options := (&jose.EncrypterOptions{}).WithType(sealedType).WithContentType("JWT") // RFC 7519 section 5.2
	encrypter, err := jose.NewEncrypter(jose.A256GCM, jose.Recipient{Algorithm: jose.DIRECT, Key: e.Material, KeyID: e.ID}, options)
	if err != nil {
		return nil, err
	}
	k := &sealingKey{key: e.Material, encrypter: encrypter}
	sample, err := k.seal("")
	if err != nil {
		return nil, err
	}
	k.header, _, _ = strings.Cut(sample, ".")
	return k, nil
}

func (k *sealingKey) seal(token string) (string, error) {
	sealed, err := k.encrypter.Encrypt([]byte(token))
	if err != nil {
		return "", fmt.Errorf("seal token: %w", err)
	}
	return sealed.CompactSerialize()
}

func (k *sealingKey) open(token string) (string, error) {
	sealed, err := jose.ParseEncryptedCompact(token, []jose.KeyAlgorithm{jose.DIRECT}, []jose.ContentEncryption{jose.A256GCM})
	if err != nil {
		return "", err
	}
	plain, err := sealed.Decrypt(k.key)
	return string(plain), err
}
