package fetch

import (
	"errors"
	"fmt"
	"net/netip"
	"syscall"
)

// errForbidden says that an address is not one that stint may talk to.
var errForbidden = errors.New("address is not allowed")

// special are networks that netip has no predicate for and that no public identity provider lives in (IANA special-purpose
// address registries, RFC 6890).
var special = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("100.64.0.0/10"), // carrier-grade NAT; metadata services of some clouds live here
	netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("100::/64"),
	netip.MustParsePrefix("2001::/23"), // Teredo and its like
	netip.MustParsePrefix("fec0::/10"),
}

// Networks in whose addresses an IPv4 address is embedded, and where (RFC 6052 section 2.1, RFC 3056 section 2).
var (
	nat64   = netip.MustParsePrefix("64:ff9b::/96")
	nat64v1 = netip.MustParsePrefix("64:ff9b:1::/48")
	sixTo4  = netip.MustParsePrefix("2002::/16")
)

// guard decides which addresses may be dialled.
type guard struct {
	loopback bool
	networks []netip.Prefix // allowed whatever they are
}

// control is called by the dialler with the address that it is about to connect to, after the name was resolved: a name that
// resolves differently when it is asked twice gains nothing.
func (g *guard) control(_, address string, _ syscall.RawConn) error {
	a, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w: no IP address", errForbidden)
	}
	if !g.allows(a.Addr()) {
		return errForbidden
	}
	return nil
}

func (g *guard) allows(a netip.Addr) bool {
	if a.Zone() != "" {
		return false
	}
	a = a.Unmap()
	for _, p := range g.networks {
		if p.Contains(a) {
			return true
		}
	}
	if a.IsLoopback() {
		return g.loopback
	}
	return isPublic(a)
}

func isPublic(a netip.Addr) bool {
	if !a.IsGlobalUnicast() || a.IsPrivate() {
		return false
	}
	for _, p := range special {
		if p.Contains(a) {
			return false
		}
	}
	b := a.As16()
	switch {
	case nat64v1.Contains(a):
		return false
	case nat64.Contains(a):
		return isPublic(netip.AddrFrom4([4]byte(b[12:])))
	case sixTo4.Contains(a):
		return isPublic(netip.AddrFrom4([4]byte(b[2:6])))
	}
	return true
}
