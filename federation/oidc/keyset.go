package oidc

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"fmt"
	"math/big"
	"slices"
)

// Bounds of a JWK set.
const (
	// MaxKeySetSize bounds the document in bytes.
	MaxKeySetSize = 1 << 20
	// maxKeys bounds the keys of each type: tokens under a type with more of them are refused (AWS IAM User Guide, "Create an OpenID
	// Connect identity provider").
	maxKeys       = 100
	maxSetValues  = 20_000 // JSON values in the document
	minModulus    = 2048   // bits (RFC 7518 section 3.3)
	maxModulus    = 8192   // bits: what a larger one costs, every request would pay
	minExponent   = 3
	maxExponent   = 1<<31 - 1 // the largest that crypto/rsa takes
	maxIgnoreNote = 8         // reasons that are kept
)

// KeySet is the public keys of an issuer. It is immutable.
type KeySet struct {
	keys    []key
	rsa, ec int      // usable keys of each type
	ignored []string // why keys were left out, for operators
}

type key struct {
	id        string
	algorithm string // the only one it is for; empty: any that fits
	public    any    // *rsa.PublicKey or *ecdsa.PublicKey
}

// Len is how many usable keys there are.
func (s *KeySet) Len() int { return len(s.keys) }

// Ignored tells why keys of the document are not in the set, at most a few.
func (s *KeySet) Ignored() []string { return s.ignored }

// ParseKeySet reads a JWK set (RFC 7517 section 5). Keys that are not for verifying signatures by a supported algorithm are left
// out, and so are weak ones. A set that holds a private or symmetric key is refused whole: what it lists is no secret any more. So
// is one without a usable key. The error matches ErrUnusable.
func ParseKeySet(document []byte) (*KeySet, error) {
	if len(document) > MaxKeySetSize {
		return nil, unusable("JWK set is too large")
	}
	root, err := parseObject(string(document), maxSetValues)
	if err != nil {
		return nil, unusable("JWK set is " + err.Error())
	}
	list := root.get("keys")
	if list == nil || list.kind != array {
		return nil, unusable("JWK set has no list of keys")
	}
	s := new(KeySet)
	for i := range list.list {
		jwk := &list.list[i]
		if jwk.kind != object {
			return nil, unusable("JWK set has a key that is no object")
		}
		if isPrivate(jwk) {
			return nil, unusable("JWK set shows a private key")
		}
		k, reason := readKey(jwk)
		if reason != "" {
			s.ignore(i, reason)
			continue
		}
		s.add(i, k)
	}
	if len(s.keys) == 0 {
		return nil, unusable("JWK set has no usable key")
	}
	return s, nil
}

func (s *KeySet) ignore(i int, reason string) {
	if len(s.ignored) < maxIgnoreNote {
		s.ignored = append(s.ignored, fmt.Sprintf("key %d: %s", i, reason))
	}
}

// add keeps a key. Two keys that a token could not tell apart are tried in order, as RFC 7517 section 4.5 lets a set have them; the
// same key twice is one.
func (s *KeySet) add(i int, k key) {
	for _, other := range s.keys {
		if other.id == k.id && equalKeys(other.public, k.public) {
			s.ignore(i, "is there twice")
			return
		}
	}
	if _, isRSA := k.public.(*rsa.PublicKey); isRSA {
		s.rsa++
	} else {
		s.ec++
	}
	s.keys = append(s.keys, k)
}

func equalKeys(a, b any) bool {
	switch a := a.(type) {
	case *rsa.PublicKey:
		b, ok := b.(*rsa.PublicKey)
		return ok && a.Equal(b)
	case *ecdsa.PublicKey:
		b, ok := b.(*ecdsa.PublicKey)
		return ok && a.Equal(b)
	default:
		return false
	}
}

// maxCandidates bounds the keys of one id that are tried: each try costs a verification.
const maxCandidates = 2

// candidates returns the keys that may have signed the token, and a reason when there is none. A token without key id is taken
// only when there is no choice to make.
func (s *KeySet) candidates(t *Token) ([]key, string) {
	if t.algorithm.curve == nil && s.rsa > maxKeys || t.algorithm.curve != nil && s.ec > maxKeys {
		return nil, "JWK set has too many keys of the type"
	}
	var found []key
	for _, k := range s.keys {
		if k.algorithm != "" && k.algorithm != t.algorithm.name || !t.algorithm.fits(k.public) {
			continue
		}
		if t.hasKeyID && k.id != t.keyID {
			continue
		}
		found = append(found, k)
	}
	switch {
	case len(found) == 0:
		return nil, "no key of that id and algorithm"
	case !t.hasKeyID && len(found) > 1:
		return nil, "token without key id, and several keys fit"
	case len(found) > maxCandidates:
		return nil, "too many keys of that id"
	}
	return found, ""
}

// privateMembers are what private and symmetric keys have (RFC 7518 sections 6.2.2, 6.3.2, 6.4).
var privateMembers = []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"}

func isPrivate(jwk *value) bool {
	if kty, _ := jwk.string("kty"); kty == "oct" {
		return true
	}
	return slices.ContainsFunc(privateMembers, func(name string) bool { return jwk.get(name) != nil })
}

// readKey reads a public key, or tells why it cannot be used.
func readKey(jwk *value) (k key, reason string) {
	if jwk.get("use") != nil {
		if use, _ := jwk.string("use"); use != "sig" {
			return k, "is not for signatures"
		}
	}
	if ops := jwk.get("key_ops"); ops != nil &&
		!slices.ContainsFunc(ops.list, func(op value) bool { return op.kind == text && op.text == "verify" }) {
		return k, "is not for verifying"
	}
	if id := jwk.get("kid"); id != nil {
		if id.kind != text || len(id.text) > maxKeyID {
			return k, "has an id that is no text, or too long"
		}
		k.id = id.text
	}
	switch kty, _ := jwk.string("kty"); kty {
	case "RSA":
		k.public, reason = readRSA(jwk)
	case "EC":
		k.public, reason = readEC(jwk)
	default:
		reason = "is of another type than RSA and EC"
	}
	if reason != "" || jwk.get("alg") == nil {
		return k, reason
	}
	k.algorithm, _ = jwk.string("alg")
	if a := algorithmNamed(k.algorithm); a == nil || !a.fits(k.public) {
		return k, "is for an algorithm that is not supported"
	}
	return k, ""
}

func readRSA(jwk *value) (*rsa.PublicKey, string) {
	n, ok := integer(jwk, "n")
	e, ok2 := integer(jwk, "e")
	switch {
	case !ok || !ok2:
		return nil, "has no modulus or exponent"
	case n.BitLen() < minModulus:
		return nil, "is an RSA key of less than 2,048 bits"
	case n.BitLen() > maxModulus:
		return nil, "is an RSA key of more than 8,192 bits"
	case n.Bit(0) == 0:
		return nil, "has an even modulus"
	case e.Cmp(big.NewInt(minExponent)) < 0 || e.Cmp(big.NewInt(maxExponent)) > 0 || e.Bit(0) == 0:
		return nil, "has an exponent that is even, below 3 or too large"
	}
	return &rsa.PublicKey{N: n, E: int(e.Int64())}, ""
}

// integer reads a Base64urlUInt (RFC 7518 section 2). Zeros in front, which some libraries write, do not change it.
func integer(jwk *value, name string) (*big.Int, bool) {
	s, ok := jwk.string(name)
	if !ok || len(s) > maxModulus { // more than its bits need in base64
		return nil, false
	}
	raw, err := decode(s)
	if err != nil || len(raw) == 0 {
		return nil, false
	}
	return new(big.Int).SetBytes(raw), true
}

func readEC(jwk *value) (*ecdsa.PublicKey, string) {
	var curve elliptic.Curve
	switch crv, _ := jwk.string("crv"); crv {
	case "P-256":
		curve = elliptic.P256()
	case "P-384":
		curve = elliptic.P384()
	case "P-521":
		curve = elliptic.P521()
	default:
		return nil, "is on another curve than P-256, P-384 and P-521"
	}
	// Coordinates have the full size of the curve (RFC 7518 section 6.2.1.2).
	size := (curve.Params().BitSize + 7) / 8
	point := []byte{4} // uncompressed (SEC 1 section 2.3.3)
	for _, name := range []string{"x", "y"} {
		s, _ := jwk.string(name)
		raw, err := decode(s)
		if err != nil || len(raw) != size {
			return nil, "has a coordinate that is not of its curve's size"
		}
		point = append(point, raw...)
	}
	public, err := ecdsa.ParseUncompressedPublicKey(curve, point)
	if err != nil {
		return nil, "is no point on its curve"
	}
	return public, ""
}
