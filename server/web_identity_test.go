package server_test

import (
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stint-sts/stint/server"
)

func loadFlags(flags map[string]string, env map[string]string) (*server.Config, error) {
	return server.Load(server.Sources{Flags: flags, Env: func(name string) (string, bool) { v, ok := env[name]; return v, ok }})
}

// Issuers on this machine are let in only while nobody else reaches stint.
func TestConfig_OnLoopback(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name  string
		flags map[string]string
		want  bool
	}{
		{"as it comes", nil, true},
		{"loopback of IPv6", map[string]string{"listen-http": "[::1]:8470"}, true},
		{"public URL on loopback", map[string]string{"public-url": "http://localhost:8470"}, true},
		{"public URL elsewhere: a proxy stands in front", map[string]string{"public-url": "https://sts.example.com"}, false},
		{"API for others", map[string]string{"listen-http": "0.0.0.0:8470", "insecure-http": "true"}, false},
		{"API on every address", map[string]string{"listen-http": ":8470", "insecure-http": "true"}, false},
		{"gRPC for others", map[string]string{"listen-grpc": "192.0.2.1:8471", "insecure-http": "true"}, false},
		{"ops for others", map[string]string{"listen-ops": "192.0.2.1:8472", "insecure-http": "true"}, false},
		{"a name that others may resolve", map[string]string{"listen-http": "sts.example.com:8470", "insecure-http": "true"}, false},
	} {
		c, err := loadFlags(row.flags, nil)
		if err != nil {
			t.Errorf("%s: %v", row.name, err)
		} else if got := c.OnLoopback(); got != row.want {
			t.Errorf("%s: %v", row.name, got)
		}
	}
}

func TestConfig_OIDC(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "keys.json")
	if _, err := loadFlags(nil, map[string]string{"STINT_OIDC_KEY_FILES": "https://a.example=" + file}); err == nil {
		t.Error("a file that does not exist is accepted")
	}
	c, err := loadFlags(nil, map[string]string{
		"STINT_OIDC_ISSUERS":    "https://a.example,https://*.b.example/x",
		"STINT_OIDC_ALGORITHMS": "https://a.example=RS256+ES256 https://b.example=ES384",
		"STINT_OIDC_LEEWAY":     "https://a.example=0s",
		"STINT_OIDC_NETWORKS":   "10.1.2.3/8,192.0.2.7",
	})
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(c.OIDC.Issuers, []string{"https://a.example", "https://*.b.example/x"}) ||
		!reflect.DeepEqual(c.OIDC.Algorithms, map[string][]string{"https://a.example": {"RS256", "ES256"}, "https://b.example": {"ES384"}}) ||
		!reflect.DeepEqual(c.OIDC.Leeway, map[string]time.Duration{"https://a.example": 0}) ||
		len(c.OIDC.Networks) != 2 || c.OIDC.Networks[0].String() != "10.0.0.0/8" || c.OIDC.Networks[1].String() != "192.0.2.7/32" {
		t.Errorf("%+v", c.OIDC)
	}
	for name, value := range map[string]string{
		"STINT_OIDC_ISSUERS":     "a.example",
		"STINT_OIDC_ISSUER_MODE": "off",
		"STINT_OIDC_ALGORITHMS":  "https://a.example=none",
		"STINT_OIDC_LEEWAY":      "https://a.example=6m",
		"STINT_OIDC_NETWORKS":    "ten",
		"STINT_OIDC_CA_FILES":    "ca.pem",
		"STINT_OIDC_KEY_FILES":   "https://a.example?x=keys.json",
	} {
		if _, err := loadFlags(nil, map[string]string{name: value}); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s=%s: %v", name, value, err)
		}
	}
	if _, err := loadFlags(nil, map[string]string{"STINT_OIDC_LEEWAY": "https://a.example=1s,https://a.example=2s"}); err == nil {
		t.Error("an issuer twice is accepted")
	}
}
