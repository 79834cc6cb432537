package saml

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"time"
)

// Provider is an identity provider as an account has registered it. It is immutable.
type Provider struct {
	ARN        string
	Account    string
	Name       string
	Metadata   *Metadata
	Decryption []*rsa.PrivateKey // that assertions may be encrypted to
	Encrypted  bool              // plain assertions are refused
}

// Expect is what a response of the provider is held against.
func (p *Provider) Expect(endpoints, audiences []string, now time.Time) *Expected {
	return &Expected{
		Provider: p.Metadata, Decryption: p.Decryption, Encrypted: p.Encrypted, Endpoints: endpoints, Audiences: audiences, Now: now,
	}
}

// ParsePrivateKey reads an RSA key of 2048 to 8192 bits that assertions may be encrypted to, in PEM of PKCS #8 or PKCS #1. The error
// matches ErrMalformed and quotes nothing of the key.
func ParsePrivateKey(text string) (*rsa.PrivateKey, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, malformed("private key is not PEM")
	}
	key, err := x509.ParsePKCS1PrivateKey(block.Bytes)
	if err != nil {
		parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if err != nil {
			return nil, malformed("private key is neither PKCS #8 nor PKCS #1")
		}
		var ok bool
		if key, ok = parsed.(*rsa.PrivateKey); !ok {
			return nil, malformed("private key is not of RSA")
		}
	}
	if bits := key.N.BitLen(); bits < minRSABits || bits > maxRSABits {
		return nil, malformed("private key is not of 2048 to 8192 bits")
	}
	return key, nil
}
