package dispatch

import (
	"net"
	"net/netip"
	"strings"
)

// Proxies are the networks of proxies whose word is taken for where a call came from.
type Proxies []netip.Prefix

// Peer tells where a call came from and whether it came over TLS: remote is the address of the connection, secure whether that
// has TLS, the others are the values of X-Forwarded-For and X-Forwarded-Proto. Only a proxy that the operator trusts is believed
// about either; of the addresses that it passes on, the last that is not a trusted proxy counts.
func (p Proxies) Peer(remote string, secure bool, forwardedFor, forwardedProto []string) (address string, overTLS bool) {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		return remote, secure
	}
	peer, err := netip.ParseAddr(host)
	if err != nil || !p.trust(peer) {
		return host, secure
	}
	if len(forwardedProto) > 0 {
		secure = len(forwardedProto) == 1 && forwardedProto[0] == "https"
	}
	hops := strings.Split(strings.Join(forwardedFor, ","), ",")
	for i := len(hops) - 1; i >= 0; i-- {
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break
		}
		peer = hop.Unmap().WithZone("") // a zone is free text, and means nothing here
		if !p.trust(peer) {
			break
		}
	}
	return peer.String(), secure
}

func (p Proxies) trust(a netip.Addr) bool {
	for _, network := range p {
		if network.Contains(a.Unmap()) {
			return true
		}
	}
	return false
}
