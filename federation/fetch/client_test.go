package fetch_test

import (
	"errors"
	"net/http"
	"net/netip"
	"testing"

	"github.com/stint-sts/stint/federation/fetch"
	"github.com/stint-sts/stint/federation/oidctest"
)

func TestClient_Addresses(t *testing.T) {
	t.Parallel()
	p, secure := oidctest.New(t), oidctest.NewTLS(t)
	trust := fetch.Trust{Roots: secure.Roots()}
	loopback := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	for _, row := range []struct {
		name string
		cfg  fetch.Config
		url  string
		ok   bool
	}{
		{"http on loopback, allowed", fetch.Config{Loopback: true}, p.URL + oidctest.KeysPath, true},
		{"https on loopback, allowed", fetch.Config{Loopback: true}, secure.URL + oidctest.KeysPath, true},
		{"https on loopback, its network allowed", fetch.Config{Networks: loopback}, secure.URL + oidctest.KeysPath, true},
		{"http on loopback", fetch.Config{}, p.URL + oidctest.KeysPath, false},
		{"http on loopback, its network allowed", fetch.Config{Networks: loopback}, p.URL + oidctest.KeysPath, false},
		{"https on loopback", fetch.Config{}, secure.URL + oidctest.KeysPath, false},
		{"another network allowed", fetch.Config{Networks: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}, secure.URL + oidctest.KeysPath, false},
	} {
		d, err := fetch.New(row.cfg).Get(t.Context(), row.url, trust)
		if (err == nil) != row.ok || err != nil && !errors.Is(err, fetch.ErrRefused) || d != nil && len(d.Body) == 0 {
			t.Errorf("%s: %v, %v", row.name, d, err)
		}
	}
}

// No request leaves for these, whatever the spelling.
func TestClient_RefusesURLs(t *testing.T) {
	t.Parallel()
	c := fetch.New(fetch.Config{Loopback: true})
	for _, url := range []string{
		"", "idp.example.com", "//idp.example.com/x", "ftp://idp.example.com/x", "file:///etc/passwd", "gopher://127.0.0.1/x", "unix:///run/x",
		"http://idp.example.com/x", "https://user@idp.example.com/x", "https://idp.example.com/x#y", "https://", "https:///x", "jar:https://a/",
		"https://169.254.169.254/latest/meta-data", "https://[fe80::1%25eth0]/x", "https://[::ffff:169.254.169.254]/x", "https://10.1.2.3/",
		"https://[fd00:ec2::254]/x", "https://0.0.0.0/", "https://[::]/", "https://100.100.100.200/", "https://192.168.1.1/", "https://224.0.0.1/",
		"https://[64:ff9b::a9fe:a9fe]/", "https://[2002:a9fe:a9fe::1]/", "https://255.255.255.255/", "https://[2001:0:a9fe:a9fe::1]/",
	} {
		if _, err := c.Get(t.Context(), url, fetch.Trust{}); !errors.Is(err, fetch.ErrRefused) {
			t.Errorf("%s: %v", url, err)
		}
	}
}

// A request tells the server nothing but that stint asks.
func TestClient_Request(t *testing.T) {
	t.Parallel()
	p := oidctest.New(t)
	got := make(chan *http.Request, 1)
	p.Intercept(func(_ http.ResponseWriter, r *http.Request) bool { got <- r; return false })
	d, err := fetch.New(fetch.Config{Loopback: true}).Get(t.Context(), p.URL+oidctest.KeysPath, fetch.Trust{})
	if err != nil || d.MaxAge >= 0 {
		t.Fatalf("%v, %v", d, err)
	}
	r := <-got
	for name := range r.Header {
		if name != "Accept" && name != "User-Agent" && name != "Connection" {
			t.Errorf("sends %s: %s", name, r.Header.Get(name))
		}
	}
	if r.Method != http.MethodGet || !r.Close {
		t.Errorf("%s, close %v", r.Method, r.Close)
	}
}
