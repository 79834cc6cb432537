package server

import (
	"errors"
	"fmt"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stint-sts/stint/federation/oidc"
)

// Accounts register as many issuers as they like: what they add to /metrics is bounded.
func TestKeyLoads(t *testing.T) {
	t.Parallel()
	k := newKeyLoads()
	registry := prometheus.NewRegistry()
	registry.MustRegister(k)
	counts := func() map[string]float64 { // by outcome and host
		families, err := registry.Gather()
		if err != nil || len(families) != 1 {
			t.Fatalf("%v, %v", families, err)
		}
		counts := make(map[string]float64)
		for _, m := range families[0].GetMetric() {
			labels := m.GetLabel() // sorted by name: host, outcome
			counts[labels[1].GetValue()+" "+labels[0].GetValue()] = m.GetCounter().GetValue()
		}
		return counts
	}
	for _, row := range []struct {
		issuer, want string
		err          error
	}{
		{"https://idp.example.com/a", "ok idp.example.com", nil},
		{"https://idp.example.com:8443/b", "unavailable idp.example.com", fmt.Errorf("x: %w", oidc.ErrUnavailable)},
		{"https://idp.example.com/c", "unusable idp.example.com", oidc.ErrUnusable},
		{"https://idp.example.com/d", "certificate idp.example.com", oidc.ErrCertificate},
		{"https://[::1]:1/", "unavailable ::1", errors.New("of a kind that nobody knows")},
	} {
		if k.count(row.issuer, row.err); counts()[row.want] != 1 {
			t.Errorf("%s, %v: %v", row.issuer, row.err, counts())
		}
	}
	series := len(counts())
	for n := range 2 * maxHosts {
		k.count(fmt.Sprintf("https://%d.example.com", n), nil)
	}
	if got := counts(); got["ok other"] != maxHosts+2 || len(got) != series+maxHosts-2+1 {
		t.Errorf("%d series, %v loads of others", len(got), got["ok other"])
	}
}
