package fetch_test

import (
	"context"
	"crypto/sha1" //nolint:gosec // as AWS names certificates
	"crypto/x509"
	"encoding/hex"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stint-sts/stint/federation/fetch"
	"github.com/stint-sts/stint/federation/oidc"
	"github.com/stint-sts/stint/federation/oidctest"
)

const clientID = "sts.example.com"

// clock is moved by the test.
type clock struct{ at atomic.Int64 }

func (c *clock) now() time.Time          { return time.Unix(0, c.at.Load()) }
func (c *clock) advance(d time.Duration) { c.at.Add(int64(d)) }

// bench is the keys of issuers, a verifier on top of them, and a clock.
type bench struct {
	t     *testing.T
	clock clock
	keys  *fetch.Keys
}

func newBench(t *testing.T, configure ...func(*fetch.KeysConfig)) *bench {
	b := &bench{t: t}
	b.clock.at.Store(time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC).UnixNano())
	cfg := fetch.KeysConfig{
		Client: fetch.New(fetch.Config{Loopback: true}), Now: b.clock.now, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
	for _, change := range configure {
		change(&cfg)
	}
	b.keys = fetch.NewKeys(cfg)
	return b
}

func providerOf(p *oidctest.IdP) *oidc.Provider {
	return &oidc.Provider{Issuer: p.URL, ClientIDs: []string{clientID}}
}

// verify verifies a token of the key at the bench's time.
func (b *bench) verify(p *oidc.Provider, k *oidctest.Key) error {
	now := b.clock.now()
	token, err := oidc.Parse(k.Token(map[string]any{
		"iss": p.Issuer, "aud": clientID, "sub": "alice", "iat": now.Unix(), "exp": now.Add(time.Minute).Unix(),
	}))
	if err != nil {
		return err
	}
	_, err = oidc.New(oidc.Config{Keys: b.keys, Now: b.clock.now}).Verify(context.Background(), token, p)
	return err
}

func (b *bench) ok(what string, err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatalf("%s: %v", what, err)
	}
}

func (b *bench) refused(what string, err, want error) {
	b.t.Helper()
	if !errors.Is(err, want) {
		b.t.Fatalf("%s: %v, want %v", what, err, want)
	}
}

// fetched asserts how often the key set was fetched so far.
func (b *bench) fetched(p *oidctest.IdP, want int) {
	b.t.Helper()
	if _, got := p.Fetches(); got != want {
		b.t.Fatalf("key set fetched %d times, want %d", got, want)
	}
}

func TestKeys_Cache(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		cacheControl string
		fresh        time.Duration
	}{
		{"", 5 * time.Minute}, {"max-age=60", 5 * time.Minute}, {"public, max-age=600", 10 * time.Minute}, {"max-age=86400", 15 * time.Minute},
		{"no-store", 5 * time.Minute}, {"max-age=nonsense", 5 * time.Minute}, {`Max-Age="600", must-revalidate`, 10 * time.Minute},
	} {
		p, b := oidctest.New(t), newBench(t)
		p.SetHeader("Cache-Control", row.cacheControl)
		provider := providerOf(p)
		for range 3 {
			b.ok("first", b.verify(provider, p.Key("RS256")))
		}
		b.clock.advance(row.fresh*3/4 - time.Second)
		b.ok("fresh", b.verify(provider, p.Key("ES256")))
		b.fetched(p, 1)
		b.clock.advance(row.fresh/4 + time.Second) // expired: nobody gets the old keys, so this call waits for the new ones
		old := p.Key("ES256")
		p.Rotate()
		b.ok(row.cacheControl, b.verify(provider, p.Key("RS256")))
		b.fetched(p, 2)
		b.refused("withdrawn", b.verify(provider, old), oidc.ErrUntrusted)
	}
}

// Past three quarters of their life keys are renewed while calls go on with the old ones.
func TestKeys_RefreshAhead(t *testing.T) {
	t.Parallel()
	p, b := oidctest.New(t), newBench(t)
	provider := providerOf(p)
	b.ok("first", b.verify(provider, p.Key("RS256")))
	b.clock.advance(4 * time.Minute)
	release := make(chan struct{})
	p.Intercept(func(http.ResponseWriter, *http.Request) bool { <-release; return false })
	b.ok("during the refresh", b.verify(provider, p.Key("RS256")))
	b.ok("during the refresh", b.verify(provider, p.Key("ES256")))
	close(release)
	b.keys.Settle(provider)
	b.fetched(p, 2)
}

func TestKeys_Rotation(t *testing.T) {
	t.Parallel()
	p, b := oidctest.New(t), newBench(t)
	provider := providerOf(p)
	old := p.Key("RS256")
	b.ok("before", b.verify(provider, old))
	p.Rotate()
	b.ok("after", b.verify(provider, p.Key("RS256")))
	b.fetched(p, 2)
	b.refused("the old key", b.verify(provider, old), oidc.ErrUntrusted)
	// Keys that nobody has cause no more than one fetch in half a minute.
	for range 20 {
		b.refused("a stranger", b.verify(provider, oidctest.NewKey("ES256", "stranger")), oidc.ErrUntrusted)
	}
	b.fetched(p, 2)
	b.clock.advance(30 * time.Second)
	for range 20 {
		b.refused("a stranger", b.verify(provider, oidctest.NewKey("ES256", "stranger")), oidc.ErrUntrusted)
	}
	b.fetched(p, 3)
}

// Rotation under load: no call fails, and the key set is fetched once.
func TestKeys_RotationUnderLoad(t *testing.T) {
	t.Parallel()
	p, b := oidctest.New(t), newBench(t)
	provider := providerOf(p)
	b.ok("before", b.verify(provider, p.Key("ES256")))
	p.Rotate()
	var calls sync.WaitGroup
	errs := make(chan error, 64)
	for range cap(errs) {
		calls.Go(func() { errs <- b.verify(provider, p.Key("ES256")) })
	}
	calls.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			t.Errorf("call: %v", err)
		}
	}
	b.fetched(p, 2)
}

func TestKeys_IssuerDown(t *testing.T) {
	t.Parallel()
	p, b := oidctest.New(t), newBench(t)
	provider := providerOf(p)
	var asked atomic.Int32
	down := func(w http.ResponseWriter, _ *http.Request) bool {
		asked.Add(1)
		w.WriteHeader(http.StatusBadGateway)
		return true
	}
	p.Intercept(down)
	b.refused("never up", b.verify(provider, p.Key("RS256")), oidc.ErrUnavailable)
	for range 5 {
		b.refused("still down", b.verify(provider, p.Key("RS256")), oidc.ErrUnavailable)
	}
	if n := asked.Load(); n != 1 {
		t.Fatalf("a failing issuer was asked %d times", n)
	}
	p.Intercept(nil)
	b.refused("up, but remembered to fail", b.verify(provider, p.Key("RS256")), oidc.ErrUnavailable)
	b.clock.advance(10 * time.Second)
	b.ok("up", b.verify(provider, p.Key("RS256")))

	p.Intercept(down)
	for i := range 11 { // the old keys are good for an hour, and nobody waits for the issuer
		b.clock.advance(5 * time.Minute)
		b.ok("down for "+strconv.Itoa(5*(i+1))+" minutes", b.verify(provider, p.Key("RS256")))
		b.keys.Settle(provider)
		if n := int(asked.Load()); n != i+2 {
			t.Fatalf("asked %d times", n)
		}
	}
	b.clock.advance(5 * time.Minute)
	b.refused("down for an hour", b.verify(provider, p.Key("RS256")), oidc.ErrUnavailable)
	p.Intercept(nil)
	b.clock.advance(5 * time.Minute)
	b.ok("up again", b.verify(provider, p.Key("RS256")))
}

// What an issuer must not publish, and what it must not make stint do. The honest twin is the same issuer without the trick.
func TestKeys_Refuses(t *testing.T) {
	t.Parallel()
	answer := func(path, body string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path != path {
				return false
			}
			_, _ = w.Write([]byte(body))
			return true
		}
	}
	redirect := func(path, to string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == path {
				http.Redirect(w, r, to, http.StatusFound)
			}
			return r.URL.Path == path
		}
	}
	for _, row := range []struct {
		name  string
		trick func(p *oidctest.IdP) func(http.ResponseWriter, *http.Request) bool
		want  error
	}{
		{"discovery names another issuer", func(*oidctest.IdP) func(http.ResponseWriter, *http.Request) bool {
			return answer(oidctest.DiscoveryPath, `{"issuer":"https://accounts.google.com","jwks_uri":"https://www.googleapis.com/k"}`)
		}, oidc.ErrUnusable},
		{"keys by http elsewhere", func(p *oidctest.IdP) func(http.ResponseWriter, *http.Request) bool {
			return answer(oidctest.DiscoveryPath, `{"issuer":"`+p.URL+`","jwks_uri":"http://idp.example.com/keys"}`)
		}, oidc.ErrUnusable},
		{"keys in a file", func(p *oidctest.IdP) func(http.ResponseWriter, *http.Request) bool {
			return answer(oidctest.DiscoveryPath, `{"issuer":"`+p.URL+`","jwks_uri":"file:///etc/passwd"}`)
		}, oidc.ErrUnusable},
		{"keys at the metadata service", func(p *oidctest.IdP) func(http.ResponseWriter, *http.Request) bool {
			return answer(oidctest.DiscoveryPath, `{"issuer":"`+p.URL+`","jwks_uri":"https://169.254.169.254/latest"}`)
		}, oidc.ErrUnusable},
		{"keys in a private network", func(p *oidctest.IdP) func(http.ResponseWriter, *http.Request) bool {
			return answer(oidctest.DiscoveryPath, `{"issuer":"`+p.URL+`","jwks_uri":"https://10.0.0.1/keys"}`)
		}, oidc.ErrUnusable},
		{"keys with a password", func(p *oidctest.IdP) func(http.ResponseWriter, *http.Request) bool {
			return answer(oidctest.DiscoveryPath, `{"issuer":"`+p.URL+`","jwks_uri":"`+strings.Replace(p.URL, "http://", "http://a:b@", 1)+`/keys"}`)
		}, oidc.ErrUnusable},
		{"discovery redirects", func(p *oidctest.IdP) func(http.ResponseWriter, *http.Request) bool {
			return redirect(oidctest.DiscoveryPath, p.URL+"/elsewhere")
		}, oidc.ErrUnusable},
		{"keys redirect", func(p *oidctest.IdP) func(http.ResponseWriter, *http.Request) bool {
			return redirect(oidctest.KeysPath, p.URL+"/elsewhere")
		}, oidc.ErrUnusable},
		{"keys are not found", func(*oidctest.IdP) func(http.ResponseWriter, *http.Request) bool {
			return func(w http.ResponseWriter, r *http.Request) bool {
				if r.URL.Path == oidctest.KeysPath {
					http.NotFound(w, r)
				}
				return r.URL.Path == oidctest.KeysPath
			}
		}, oidc.ErrUnusable},
		{"endless keys", func(*oidctest.IdP) func(http.ResponseWriter, *http.Request) bool {
			return func(w http.ResponseWriter, r *http.Request) bool {
				if r.URL.Path != oidctest.KeysPath {
					return false
				}
				for range 64 {
					if _, err := w.Write(make([]byte, 64<<10)); err != nil {
						break
					}
				}
				return true
			}
		}, oidc.ErrUnusable},
		{"compressed keys", func(*oidctest.IdP) func(http.ResponseWriter, *http.Request) bool {
			return func(w http.ResponseWriter, r *http.Request) bool {
				w.Header().Set("Content-Encoding", "gzip")
				return false
			}
		}, oidc.ErrUnusable},
		{"broken off", func(*oidctest.IdP) func(http.ResponseWriter, *http.Request) bool {
			return func(http.ResponseWriter, *http.Request) bool { panic(http.ErrAbortHandler) }
		}, oidc.ErrUnavailable},
		{"busy", func(*oidctest.IdP) func(http.ResponseWriter, *http.Request) bool {
			return func(w http.ResponseWriter, _ *http.Request) bool {
				w.WriteHeader(http.StatusTooManyRequests)
				return true
			}
		}, oidc.ErrUnavailable},
		{"HTML instead of keys", func(*oidctest.IdP) func(http.ResponseWriter, *http.Request) bool {
			return answer(oidctest.KeysPath, "<html>")
		}, oidc.ErrUnusable},
		{"private keys", func(p *oidctest.IdP) func(http.ResponseWriter, *http.Request) bool {
			jwk := p.Key("RS256").JWK()
			jwk["d"] = "AAAA"
			p.Publish(jwk)
			return nil
		}, oidc.ErrUnusable},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			p, b := oidctest.New(t), newBench(t)
			b.ok("honest twin", b.verify(providerOf(p), p.Key("RS256")))
			p.Intercept(row.trick(p))
			b.refused(row.name, newBench(t).verify(providerOf(p), p.Key("RS256")), row.want)
		})
	}
}

func thumbprint(c *x509.Certificate) string {
	sum := sha1.Sum(c.Raw) //nolint:gosec // as AWS names certificates
	return hex.EncodeToString(sum[:])
}

func TestKeys_Certificates(t *testing.T) {
	t.Parallel()
	p := oidctest.NewTLS(t)
	with := func(prints ...string) *oidc.Provider {
		provider := providerOf(p)
		provider.Thumbprints = prints
		return provider
	}
	roots := func(cfg *fetch.KeysConfig) { cfg.Roots = map[string]*x509.CertPool{p.URL: p.Roots()} }
	others := func(cfg *fetch.KeysConfig) { cfg.Roots = map[string]*x509.CertPool{"https://else.example": p.Roots()} }
	b := newBench(t, roots)
	b.ok("its own authority", b.verify(with(), p.Key("RS256")))
	b.ok("its own authority, wrong thumbprint", b.verify(with(strings.Repeat("0", 40)), p.Key("RS256")))
	b = newBench(t)
	b.ok("thumbprint", b.verify(with(strings.Repeat("0", 40), thumbprint(p.Certificate())), p.Key("RS256")))
	// What one account trusts by thumbprint is not what another does.
	b.refused("no authority, after another account's thumbprint", b.verify(with(), p.Key("RS256")), oidc.ErrCertificate)
	b.refused("wrong thumbprint", b.verify(with(strings.Repeat("0", 40)), p.Key("RS256")), oidc.ErrCertificate)
	b = newBench(t, others)
	b.refused("another issuer's authority", b.verify(with(), p.Key("RS256")), oidc.ErrCertificate)

	// A thumbprint does not stand in for the name: the certificate is for 127.0.0.1 and example.com.
	elsewhere := with(thumbprint(p.Certificate()))
	elsewhere.Issuer = strings.Replace(p.URL, "127.0.0.1", "localhost", 1)
	b = newBench(t)
	b.refused("another host's certificate", b.verify(elsewhere, p.Key("RS256")), oidc.ErrCertificate)
}

func TestKeys_Files(t *testing.T) {
	t.Parallel()
	p := oidctest.New(t)
	path := filepath.Join(t.TempDir(), "keys.json")
	const issuer = "https://kubernetes.default.svc.cluster.local"
	write := func(b []byte) {
		t.Helper()
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(p.KeySet())
	b := newBench(t, func(cfg *fetch.KeysConfig) { cfg.Files = map[string]string{issuer: path} })
	provider := &oidc.Provider{Issuer: issuer, ClientIDs: []string{clientID}}
	b.ok("from the file", b.verify(provider, p.Key("RS256")))
	p.Rotate()
	write(p.KeySet())
	b.ok("from the changed file", b.verify(provider, p.Key("RS256")))
	b.fetched(p, 0)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	b = newBench(t, func(cfg *fetch.KeysConfig) { cfg.Files = map[string]string{issuer: path} })
	b.refused("no file", b.verify(provider, p.Key("RS256")), oidc.ErrUnavailable)
}

// An issuer that does not answer holds up its own callers only, and they leave when their time is over.
func TestKeys_SlowIssuer(t *testing.T) {
	t.Parallel()
	slow, quick, b := oidctest.New(t), oidctest.New(t), newBench(t)
	release := make(chan struct{})
	slow.Intercept(func(http.ResponseWriter, *http.Request) bool { <-release; return false })
	waiting := make(chan error, 1)
	go func() { waiting <- b.verify(providerOf(slow), slow.Key("RS256")) }()
	b.ok("another issuer", b.verify(providerOf(quick), quick.Key("RS256")))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.keys.Keys(ctx, providerOf(slow), nil); !errors.Is(err, oidc.ErrUnavailable) || !errors.Is(err, context.Canceled) {
		t.Errorf("a caller that left: %v", err)
	}
	close(release)
	b.ok("who waited", <-waiting)
	b.fetched(slow, 1)
}

func TestKeys_BoundsIssuers(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(cfg *fetch.KeysConfig) { cfg.MaxIssuers = 2 })
	one, two, three := oidctest.New(t), oidctest.New(t), oidctest.New(t)
	for _, p := range []*oidctest.IdP{one, two, one, three} {
		b.clock.advance(time.Second)
		b.ok("issuer", b.verify(providerOf(p), p.Key("RS256")))
	}
	b.ok("the one used lately", b.verify(providerOf(one), one.Key("RS256")))
	b.fetched(one, 1)
	b.ok("the one given up", b.verify(providerOf(two), two.Key("RS256")))
	b.fetched(two, 2)
}

// More callers than may wait are turned away at once.
func TestKeys_BoundsWaiters(t *testing.T) {
	t.Parallel()
	const extra = 10
	p, b := oidctest.New(t), newBench(t)
	release := make(chan struct{})
	p.Intercept(func(http.ResponseWriter, *http.Request) bool { <-release; return false })
	results := make(chan error, fetch.MaxWaiters+extra)
	for range cap(results) {
		go func() {
			_, err := b.keys.Keys(context.Background(), providerOf(p), nil)
			results <- err
		}()
	}
	for range extra { // the others cannot return before the issuer answers
		b.refused("one too many", <-results, oidc.ErrUnavailable)
	}
	close(release)
	for range fetch.MaxWaiters {
		b.ok("who waited", <-results)
	}
	b.fetched(p, 1)
}
