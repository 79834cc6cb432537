package fetch

import (
	"crypto/sha1" //nolint:gosec // names certificates as AWS does; nothing is signed with it
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
)

// Trust is which certificates a server may show.
type Trust struct {
	Roots *x509.CertPool // nil: those of the system
	// Thumbprints are SHA-1 digests, in lower-case hexadecimal, of certificates that count as roots when Roots do not vouch (AWS IAM User
	// Guide, "Obtain the thumbprint for an OpenID Connect identity provider").
	Thumbprints []string
}

func (t Trust) config(host string) *tls.Config {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: host, RootCAs: t.Roots}
	if len(t.Thumbprints) == 0 {
		return cfg
	}
	// The library's own check would end the handshake before a thumbprint is looked at. verify does all that it does: chain, dates,
	// usage and name.
	cfg.InsecureSkipVerify = true
	cfg.VerifyConnection = func(s tls.ConnectionState) error { return t.verify(s.PeerCertificates, host) }
	return cfg
}

// verify accepts a chain that the roots vouch for, or else one that ends in a certificate with a registered thumbprint.
func (t Trust) verify(chain []*x509.Certificate, host string) error {
	if len(chain) == 0 {
		return fmt.Errorf("%w: there is none", ErrCertificate)
	}
	options := x509.VerifyOptions{DNSName: host, Roots: t.Roots, Intermediates: x509.NewCertPool()}
	for _, c := range chain[1:] {
		options.Intermediates.AddCert(c)
	}
	_, err := chain[0].Verify(options)
	if unknown := (x509.UnknownAuthorityError{}); !errors.As(err, &unknown) {
		return err
	}
	options.Roots = x509.NewCertPool()
	pinned := false
	for _, c := range chain {
		sum := sha1.Sum(c.Raw) //nolint:gosec // see above
		if slices.Contains(t.Thumbprints, hex.EncodeToString(sum[:])) {
			options.Roots.AddCert(c)
			pinned = true
		}
	}
	if !pinned {
		return fmt.Errorf("%w: no registered thumbprint", ErrCertificate)
	}
	_, err = chain[0].Verify(options)
	return err
}
