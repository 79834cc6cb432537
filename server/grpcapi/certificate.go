package grpcapi

import (
	"crypto/tls"
	"strings"
	"time"
)

// maxCertificateNames bounds the names of a certificate that are looked at.
const maxCertificateNames = 16

// certificateNames are the URIs and host names among the subject alternative names of a client certificate that TLS has verified:
// "uri:spiffe://example.com/ci", "dns:ci.example.com". The subject's common name is free text of old, and does not count. Nor does
// a certificate that has run out since the handshake, or one with more names than anybody needs.
func certificateNames(state *tls.ConnectionState, now time.Time) []string {
	if len(state.VerifiedChains) == 0 {
		return nil
	}
	leaf := state.PeerCertificates[0]
	if now.After(leaf.NotAfter) || len(leaf.URIs)+len(leaf.DNSNames) > maxCertificateNames {
		return nil
	}
	var names []string
	for _, u := range leaf.URIs {
		names = append(names, "uri:"+u.String())
	}
	for _, host := range leaf.DNSNames {
		names = append(names, "dns:"+strings.ToLower(host))
	}
	return names
}
