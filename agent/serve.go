package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/net/netutil"
)

// linkLocal are the addresses that AWS SDKs expect the endpoints at: ECS tasks, EKS Pod Identity, and the instance metadata service.
// They are put on an interface of this machine, and routers do not forward to them.
var linkLocal = map[netip.Addr]bool{
	netip.MustParseAddr("169.254.170.2"): true, netip.MustParseAddr("169.254.170.23"): true, netip.MustParseAddr("fd00:ec2::23"): true,
	netip.MustParseAddr("169.254.169.254"): true, netip.MustParseAddr("fd00:ec2::254"): true,
}

// Bounds of a listener. Its clients are SDKs on the same machine with requests of a few hundred bytes.
const (
	maxConnections    = 512
	maxHeader         = 32 << 10 // the Authorization header may hold a token of 16 KiB
	readTimeout       = 5 * time.Second
	idleTimeout       = time.Minute
	shutdownPatience  = 5 * time.Second
	writeTimeoutAfter = 5 * time.Second // beyond the time that a request may wait for credentials
)

// Listener is how an endpoint listens.
type Listener struct {
	Address  string // IP address or localhost, and port
	Anywhere bool   // also on addresses that other machines reach
	HopLimit int    // IP time to live of what is sent, 1 to 255: 1 does not pass a router; 0: the system's default
}

// Listen opens the listener. It refuses addresses that other machines can reach, unless Anywhere is set.
func (l Listener) Listen(ctx context.Context) (net.Listener, error) {
	host, _, err := net.SplitHostPort(l.Address)
	if err != nil {
		return nil, fmt.Errorf("listen on %q: must be an address and a port, such as 127.0.0.1:8473", l.Address)
	}
	if a, err := netip.ParseAddr(host); !l.Anywhere && !isLoopback(host) && (err != nil || !linkLocal[a.Unmap()]) {
		return nil, fmt.Errorf("listen on %s: other machines may reach it and take the credentials; use a loopback address or one of "+
			"169.254.170.2, 169.254.170.23, [fd00:ec2::23], 169.254.169.254, [fd00:ec2::254], or allow it with --insecure-listen", l.Address)
	}
	if l.HopLimit < 0 || l.HopLimit > 255 {
		return nil, fmt.Errorf("hop limit %d must be 1 to 255", l.HopLimit)
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", l.Address)
	if err != nil {
		return nil, err
	}
	if l.HopLimit > 0 {
		listener = hopLimited{listener, l.HopLimit}
	}
	return netutil.LimitListener(listener, maxConnections), nil
}

// hopLimited sends with an IP time to live of its own, so that answers are lost at the router that one hop too many begins at.
type hopLimited struct {
	net.Listener
	hops int
}

func (l hopLimited) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if l.limit(conn) == nil {
			return conn, nil
		}
		_ = conn.Close() // without its limit it is not served
	}
}

func (l hopLimited) limit(conn net.Conn) error {
	if a, ok := conn.LocalAddr().(*net.TCPAddr); ok && a.IP.To4() == nil {
		return ipv6.NewConn(conn).SetHopLimit(l.hops)
	}
	return ipv4.NewConn(conn).SetTTL(l.hops)
}

// Serve answers on l by h until ctx ends; requests in flight then have a moment to finish. wait is how long h may hold a request.
func Serve(ctx context.Context, l net.Listener, h http.Handler, wait time.Duration, log *slog.Logger) error {
	s := &http.Server{
		Handler: localOnly(h), ReadTimeout: readTimeout, WriteTimeout: readTimeout + wait + writeTimeoutAfter, IdleTimeout: idleTimeout,
		MaxHeaderBytes: maxHeader, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		BaseContext: func(net.Listener) context.Context { return ctx }, // who waits at the end waits for nothing
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	graceful, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownPatience)
	defer cancel()
	err := s.Shutdown(graceful)
	if errors.Is(err, context.DeadlineExceeded) {
		err = s.Close()
	}
	<-ended
	return err
}

// localOnly refuses what no SDK sends but a browser or a proxy may:
//
//   - a Host other than an IP address or localhost: a page whose own name now resolves to this machine (DNS rebinding). A name is
//     needed for that, so any IP address is fine, also the link-local ones when they are redirected here.
//   - Origin and Sec-Fetch-Site, which browsers add to what pages ask of other sites.
//   - X-Forwarded-For and Forwarded, which reverse proxies add; the instance metadata service of EC2 refuses the first.
//   - a body, which no endpoint here has.
func localOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		switch h := r.Header; {
		case !isLocalHost(r.Host):
			fail(w, http.StatusForbidden, "InvalidHost", "The Host header must be an IP address or localhost.")
		case len(h["Origin"])+len(h["Sec-Fetch-Site"]) > 0:
			fail(w, http.StatusForbidden, "BrowserRequest", "Requests of browsers are not answered.")
		case len(h["X-Forwarded-For"])+len(h["Forwarded"]) > 0:
			fail(w, http.StatusForbidden, "ForwardedRequest", "Requests that passed a proxy are not answered.")
		case r.ContentLength != 0:
			w.Header().Set("Connection", "close")
			fail(w, http.StatusBadRequest, "InvalidRequest", "The request must not have a body.")
		default:
			next.ServeHTTP(w, r)
		}
	})
}

func isLocalHost(hostPort string) bool {
	host := hostPort
	if h, _, err := net.SplitHostPort(hostPort); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	a, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && a.Zone() == ""
}

// answerJSON writes an answer with status 200.
func answerJSON(w http.ResponseWriter, answer any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer) // whoever asked is gone
}

// failure is the form in which SDKs read errors of credentials endpoints. JavaScript wants the capitals; Go, Java and Rust do not mind.
type failure struct{ Code, Message string }

func fail(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(failure{code, message}) // whoever asked is gone
}

// failCredentials answers a request that there are no credentials for. A reason that is not the server's answer stays in the log:
// it may name files and hosts.
func failCredentials(w http.ResponseWriter, err error) {
	if refusal, ok := errors.AsType[*Refusal](err); ok {
		fail(w, http.StatusForbidden, refusal.Code, refusal.Message)
		return
	}
	w.Header().Set("Retry-After", "1")
	fail(w, http.StatusServiceUnavailable, "CredentialsNotReady", notReadyText)
}

const notReadyText = "There are no credentials yet; the log of the agent tells why."

// health answers 200 while there are credentials to hand out, and else 503.
func health(k *Keeper) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		if !k.IsReady() {
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = io.WriteString(w, "no credentials\n")
			return
		}
		_, _ = io.WriteString(w, "ok\n")
	}
}

// wireTime is an expiration as AWS's endpoints print it.
func wireTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }
