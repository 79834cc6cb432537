package fetch

import (
	"net/netip"
	"testing"
)

func TestGuard(t *testing.T) {
	t.Parallel()
	for address, public := range map[string]bool{
		"8.8.8.8": true, "198.51.100.7": true, "172.15.255.255": true, "172.32.0.0": true, "169.253.255.255": true, "100.63.255.255": true,
		"2606:4700::1111": true, "::ffff:8.8.8.8": true, "64:ff9b::808:808": true, "2002:808:808::1": true,
		"127.0.0.1": false, "127.255.255.254": false, "::1": false, "::ffff:127.0.0.1": false, "10.0.0.1": false, "172.16.0.1": false,
		"172.31.255.255": false, "192.168.0.1": false, "169.254.169.254": false, "169.254.170.2": false, "100.64.0.1": false,
		"100.100.100.200": false, "0.0.0.0": false, "0.1.2.3": false, "::": false, "192.0.0.192": false, "198.18.0.1": false, "224.0.0.1": false,
		"240.0.0.1": false, "255.255.255.255": false, "fe80::1": false, "fec0::1": false, "fd00:ec2::254": false, "fc00::1": false, "ff02::1": false,
		"64:ff9b::a9fe:a9fe": false, "64:ff9b::7f00:1": false, "64:ff9b:1::808:808": false, "2002:7f00:1::": false, "2002:a00:1::": false,
		"2001:0:a00:1::": false, "::ffff:10.0.0.1": false, "100::1": false,
	} {
		a := netip.MustParseAddr(address)
		if got := (&guard{}).allows(a); got != public {
			t.Errorf("%s: %v", address, got)
		}
		if got := (&guard{loopback: true}).allows(a); got != (public || a.Unmap().IsLoopback()) {
			t.Errorf("%s with loopback: %v", address, got)
		}
		all := &guard{networks: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}}
		if !all.allows(a) {
			t.Errorf("%s in an allowed network is refused", address)
		}
	}
	for _, address := range []string{"fe80::1%eth0", "8.8.8.8:443x"} {
		if err := (&guard{}).control("tcp", address, nil); err == nil {
			t.Errorf("%s is dialled", address)
		}
	}
	if err := (&guard{}).control("tcp", "8.8.8.8:443", nil); err != nil {
		t.Errorf("a public address: %v", err)
	}
}
