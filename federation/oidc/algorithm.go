package oidc

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"slices"

	"github.com/golang-jwt/jwt/v5"
)

// algorithm is one way to sign a token. Symmetric algorithms, "none" and RSA-PSS are not in the table and so do not exist here.
type algorithm struct {
	name   string
	method jwt.SigningMethod
	curve  elliptic.Curve // nil: RSA
}

// algorithms are those that AWS takes (AWS IAM User Guide, "Create an OpenID Connect identity provider": prerequisites).
var algorithms = []*algorithm{
	{"RS256", jwt.SigningMethodRS256, nil},
	{"RS384", jwt.SigningMethodRS384, nil},
	{"RS512", jwt.SigningMethodRS512, nil},
	{"ES256", jwt.SigningMethodES256, elliptic.P256()},
	{"ES384", jwt.SigningMethodES384, elliptic.P384()},
	{"ES512", jwt.SigningMethodES512, elliptic.P521()},
}

// Algorithms returns the names of all algorithms that a token may be signed with.
func Algorithms() []string {
	names := make([]string, len(algorithms))
	for i, a := range algorithms {
		names[i] = a.name
	}
	return names
}

// algorithmNamed returns the algorithm of that exact name (RFC 7515 section 4.1.1: case counts), or nil.
func algorithmNamed(name string) *algorithm {
	i := slices.IndexFunc(algorithms, func(a *algorithm) bool { return a.name == name })
	if i < 0 {
		return nil
	}
	return algorithms[i]
}

// fits reports whether keys of the type, and for ECDSA of the curve, verify signatures of the algorithm. The library does not
// compare curves.
func (a *algorithm) fits(public any) bool {
	switch key := public.(type) {
	case *rsa.PublicKey:
		return a.curve == nil
	case *ecdsa.PublicKey:
		return a.curve == key.Curve
	default:
		return false
	}
}
