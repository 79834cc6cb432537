package server_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stint-sts/stint/audit"
	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/server"
	"github.com/stint-sts/stint/server/dispatch"
	"github.com/stint-sts/stint/sigv4"
)

// door refuses everybody and remembers who came.
type door struct {
	came    authn.Request
	signed  sigv4.Request
	entered chan struct{} // when not nil: told that a call is in, which
	release chan struct{} // then waits for this
}

func (d *door) Authenticate(_ context.Context, r *sigv4.Request, req *authn.Request) (*authn.Caller, error) {
	if d.entered != nil {
		d.entered <- struct{}{}
		<-d.release
		return nil, awserr.New(awserr.AccessDenied, "no")
	}
	d.came, d.signed = *req, *r
	d.signed.Body = bytes.Clone(r.Body) // the handler uses the memory again
	return nil, awserr.New(awserr.AccessDenied, "no")
}

func (d *door) Record(context.Context, *audit.Event) error { return nil }

func (d *door) handler(inFlight int, proxies ...string) http.Handler {
	var networks []netip.Prefix
	for _, p := range proxies {
		networks = append(networks, netip.MustParsePrefix(p))
	}
	return server.NewQueryHandler(dispatch.New(dispatch.Config{
		Authenticator: d, Recorder: d, Log: slog.New(slog.DiscardHandler), Used: func(*authn.Caller) {},
	}), networks, inFlight, time.Now)
}

// Where a call came from, and whether over TLS. Policies test both, so only a trusted proxy may say.
func TestQuery_Peer(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name          string
		proxies       string
		peer          string
		tls           bool
		forwardedFor  []string
		forwardedWith []string
		address       string
		secure        bool
	}{
		{"nobody between", "10.0.0.0/8", "192.0.2.1:1234", false, nil, nil, "192.0.2.1", false},
		{"nobody between, TLS", "10.0.0.0/8", "192.0.2.1:1234", true, nil, nil, "192.0.2.1", true},
		{"a stranger's claim", "10.0.0.0/8", "192.0.2.1:1234", false, []string{"203.0.113.9"}, []string{"https"}, "192.0.2.1", false},
		{"no proxy is trusted", "", "10.0.0.1:1234", false, []string{"203.0.113.9"}, []string{"https"}, "10.0.0.1", false},
		{"trusted proxy", "10.0.0.0/8", "10.0.0.1:1234", false, []string{"203.0.113.9"}, []string{"https"}, "203.0.113.9", true},
		{"trusted proxy, plain HTTP behind it", "10.0.0.0/8", "10.0.0.1:1234", true, []string{"203.0.113.9"}, []string{"http"}, "203.0.113.9", false},
		{"trusted proxy that says nothing of TLS", "10.0.0.0/8", "10.0.0.1:1234", true, []string{"203.0.113.9"}, nil, "203.0.113.9", true},
		{"two protocols", "10.0.0.0/8", "10.0.0.1:1234", true, []string{"203.0.113.9"}, []string{"https", "http"}, "203.0.113.9", false},
		{"two protocols in one header", "10.0.0.0/8", "10.0.0.1:1234", true, []string{"203.0.113.9"}, []string{"https, http"}, "203.0.113.9", false},
		{"trusted proxy without a header", "10.0.0.0/8", "10.0.0.1:1234", false, nil, nil, "10.0.0.1", false},
		{"client makes up a first hop", "10.0.0.0/8", "10.0.0.1:1234", false, []string{"198.51.100.7, 203.0.113.9"}, nil, "203.0.113.9", false},
		{"client makes up a trusted hop", "10.0.0.0/8", "10.0.0.1:1234", false, []string{"198.51.100.7, 10.0.0.9, 203.0.113.9"}, nil, "203.0.113.9", false},
		{"two trusted proxies", "10.0.0.0/8", "10.0.0.1:1234", false, []string{"198.51.100.7, 203.0.113.9, 10.0.0.2"}, nil, "203.0.113.9", false},
		{"two headers are one list", "10.0.0.0/8", "10.0.0.1:1234", false, []string{"198.51.100.7", "203.0.113.9, 10.0.0.2"}, nil, "203.0.113.9", false},
		{"all hops trusted", "10.0.0.0/8", "10.0.0.1:1234", false, []string{"10.0.0.3, 10.0.0.2"}, nil, "10.0.0.3", false},
		{"garbage ends the chain", "10.0.0.0/8", "10.0.0.1:1234", false, []string{"203.0.113.9, <script>, 10.0.0.2"}, nil, "10.0.0.2", false},
		{"address with a port ends the chain", "10.0.0.0/8", "10.0.0.1:1234", false, []string{"203.0.113.9:80"}, nil, "10.0.0.1", false},
		{"empty header", "10.0.0.0/8", "10.0.0.1:1234", false, []string{""}, nil, "10.0.0.1", false},
		{"IPv6", "fd00::/8", "[fd00::1]:1234", false, []string{"2001:DB8::1"}, nil, "2001:db8::1", false},
		{"IPv4 in IPv6", "10.0.0.0/8", "[::ffff:10.0.0.1]:1234", false, []string{"::ffff:203.0.113.9"}, nil, "203.0.113.9", false},
		{"IPv6 zone is not passed on", "10.0.0.0/8", "10.0.0.1:1234", false, []string{"fe80::1%text of any kind"}, nil, "fe80::1", false},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			var d door
			var proxies []string
			if row.proxies != "" {
				proxies = []string{row.proxies}
			}
			r := httptest.NewRequest(http.MethodPost, "http://sts.example.com/", strings.NewReader(whoAmI))
			r.RemoteAddr = row.peer
			if row.tls {
				r.TLS = &tls.ConnectionState{}
			}
			for _, v := range row.forwardedFor {
				r.Header.Add("X-Forwarded-For", v)
			}
			for _, v := range row.forwardedWith {
				r.Header.Add("X-Forwarded-Proto", v)
			}
			d.handler(1, proxies...).ServeHTTP(httptest.NewRecorder(), r)
			if d.came.SourceIP != row.address || d.came.SecureTransport != row.secure {
				t.Errorf("from %q, TLS %v; want %q, %v", d.came.SourceIP, d.came.SecureTransport, row.address, row.secure)
			}
		})
	}
}

// What dispatch gets of a request is what came over the wire.
func TestQuery_WhatIsSigned(t *testing.T) {
	t.Parallel()
	var d door
	r := httptest.NewRequest(http.MethodPost, "http://sts.example.com:8470/?b=%20+&a=1", strings.NewReader(whoAmI))
	r.Header.Set("User-Agent", "agent")
	r.Header.Set("Referer", "https://example.com/")
	d.handler(1).ServeHTTP(httptest.NewRecorder(), r)
	if s := d.signed; s.Method != "POST" || s.Path != "/" || s.RawQuery != "b=%20+&a=1" || s.Host != "sts.example.com:8470" || string(s.Body) != whoAmI {
		t.Errorf("signed: %+v", s)
	}
	if c := d.came; c.Service != "sts" || c.Operation != "GetCallerIdentity" || c.UserAgent != "agent" || c.Referer != "https://example.com/" ||
		!uuid.MatchString(c.ID) || c.Time.IsZero() {
		t.Errorf("request: %+v", c)
	}
}
