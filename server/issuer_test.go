package server_test

import (
	"strings"
	"testing"
)

func TestPublicURL(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name  string
		flags map[string]string
		want  string
	}{
		{"by default where it listens, with the port that it got", map[string]string{"listen-http": "127.0.0.1:0"}, "http://127.0.0.1:4711"},
		{"a name", map[string]string{"listen-http": "localhost:4711"}, "http://localhost:4711"},
		{"IPv6", map[string]string{"listen-http": "[::1]:4711"}, "http://[::1]:4711"},
		{"all addresses", map[string]string{"listen-http": "0.0.0.0:4711", "insecure-http": "true"}, "http://localhost:4711"},
		{"all addresses, without saying so", map[string]string{"listen-http": ":4711", "tls-cert": "c", "tls-key": "k"}, "https://localhost:4711"},
		{"as configured", map[string]string{"public-url": "https://sts.example.com"}, "https://sts.example.com"},
		{"below a path", map[string]string{"public-url": "https://example.com/sts/"}, "https://example.com/sts"},
		{"plain HTTP on this machine", map[string]string{"public-url": "http://[::1]:8080"}, "http://[::1]:8080"},
		{"plain HTTP elsewhere, on purpose", map[string]string{"public-url": "http://sts.internal", "insecure-http": "true"}, "http://sts.internal"},
	} {
		c, err := load("", nil, row.flags)
		if err != nil {
			t.Errorf("%s: %v", row.name, err)
			continue
		}
		if got := c.PublicURLAt("127.0.0.1:4711"); got != row.want {
			t.Errorf("%s: %s, want %s", row.name, got, row.want)
		}
	}
	for _, row := range []struct{ name, url, remedy string }{
		{"no scheme", "sts.example.com", "must be a URL"},
		{"another scheme", "ftp://sts.example.com", "must be a URL"},
		{"no host", "https:///x", "must be a URL"},
		{"a port only", "https://:443", "must be a URL"},
		{"a query", "https://sts.example.com?a=b", "must be a URL"},
		{"an empty query", "https://sts.example.com?", "must be a URL"},
		{"a fragment", "https://sts.example.com#a", "must be a URL"},
		{"a password", "https://a:b@sts.example.com", "must be a URL"},
		{"plain HTTP over a network", "http://sts.example.com", "use https"},
	} {
		if _, err := load("", nil, map[string]string{"public-url": row.url}); err == nil || !strings.Contains(err.Error(), row.remedy) {
			t.Errorf("%s: %v", row.name, err)
		}
	}
}
