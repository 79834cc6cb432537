package server

import (
	"crypto/tls"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/stint-sts/stint/audit"
	"github.com/stint-sts/stint/iam"
	"github.com/stint-sts/stint/server/dispatch"
	"github.com/stint-sts/stint/sts"
)

// NewQueryHandler makes the handler of the Query API over services that do nothing.
func NewQueryHandler(d *dispatch.Dispatcher, proxies []netip.Prefix, inFlight int, now func() time.Time) http.Handler {
	return &queryHandler{front: dispatch.NewFront(dispatch.FrontConfig{
		Table: dispatch.NewTable(&sts.Service{}, &iam.Service{}), Dispatcher: d, Proxies: proxies, Timeout: 10 * time.Second,
		MaxInFlight: inFlight, Count: newMetrics("test", func() audit.Stats { return audit.Stats{} }).call,
		Log: slog.New(slog.DiscardHandler), Now: now,
	})}
}

// NewHTTPServer makes a listener's server with its limits.
func NewHTTPServer(h http.Handler) *http.Server {
	s := &Server{cfg: &Config{RequestTimeout: 10 * time.Second}, log: slog.New(slog.DiscardHandler)}
	return s.httpServer(h)
}

// ServedBy is what a handshake shows.
func ServedBy(c *Certificate) (*tls.Certificate, error) {
	return c.Config("h2").GetCertificate(&tls.ClientHelloInfo{})
}
