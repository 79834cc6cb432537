package fetch_test

import (
	"crypto/x509"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stint-sts/stint/federation/fetch"
	"github.com/stint-sts/stint/federation/idptest"
	"github.com/stint-sts/stint/federation/oidc"
)

// realBench is a bench whose clock begins now: providers that others wrote have no other.
func realBench(t *testing.T, configure ...func(*fetch.KeysConfig)) *bench {
	b := newBench(t, configure...)
	b.clock.at.Store(time.Now().UnixNano())
	return b
}

func realProvider(p *idptest.IdP, algorithm string) *oidc.Provider {
	return &oidc.Provider{Issuer: p.Issuer, ClientIDs: []string{p.Client(algorithm)}}
}

// check verifies a token that somebody else made.
func (b *bench) check(p *oidc.Provider, token string) error {
	parsed, err := oidc.Parse(token)
	if err == nil {
		_, err = oidc.New(oidc.Config{Keys: b.keys, Now: b.clock.now}).Verify(b.t.Context(), parsed, p)
	}
	return err
}

// Over a rotation tokens of the old key and of the new one are good, at the price of one fetch however many come at once. A key that
// is withdrawn is good until the keys are 15 minutes old.
func TestIdP_Rotation(t *testing.T) {
	t.Parallel()
	for _, kind := range idptest.Providers {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			p, b := idptest.Start(t, kind, idptest.Options{Algorithm: "ES256"}), realBench(t)
			provider := realProvider(p, "ES256")
			first := p.Login("ES256")
			b.ok("first", b.check(provider, first))
			p.Rotate()
			second := p.Login("ES256")
			var calls sync.WaitGroup
			errs := make([]error, 64)
			for i := range errs {
				calls.Go(func() { errs[i] = b.check(provider, []string{first, second}[i%2]) })
			}
			calls.Wait()
			if i := slices.IndexFunc(errs, func(err error) bool { return err != nil }); i >= 0 {
				t.Fatalf("while keys rotate, call %d: %v", i, errs[i])
			}
			if got := p.Fetches(); got != 2 {
				t.Errorf("key set fetched %d times, want once for each generation", got)
			}

			p.Rotate() // withdraws the first key
			b.ok("withdrawn, and not heard of yet", b.check(provider, first))
			b.clock.advance(15 * time.Minute)
			b.ok("the key before", b.check(provider, second))
			b.ok("the key now", b.check(provider, p.Login("ES256")))
			if got := p.Fetches(); got != 3 {
				t.Errorf("key set fetched %d times, want 3", got)
			}
			b.refused("withdrawn", b.check(provider, first), oidc.ErrUntrusted)
		})
	}
}

// While the issuer is down its keys are good for an hour; once it is back, whatever it signs with is.
func TestIdP_Down(t *testing.T) {
	t.Parallel()
	for _, kind := range idptest.Providers {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			p, b := idptest.Start(t, kind, idptest.Options{}), realBench(t)
			provider := realProvider(p, "RS256")
			before := p.Login("RS256")
			b.ok("up", b.check(provider, before))
			p.Kill()
			for range 3 {
				b.clock.advance(19 * time.Minute)
				b.ok("down", b.check(provider, before))
				b.keys.Settle(provider)
			}
			b.clock.advance(10 * time.Minute)
			b.refused("down for longer than an hour", b.check(provider, before), oidc.ErrUnavailable)

			p.Restart()
			after := p.Login("RS256")
			b.clock.advance(10 * time.Minute) // a failing issuer is left alone for a while
			b.ok("back", b.check(provider, after))
			err := b.check(provider, before)
			if kept := kind == idptest.OIDCProvider; kept {
				b.ok("back, with the keys of before", err)
			} else {
				b.refused("back, without the keys of before", err, oidc.ErrUntrusted)
			}
		})
	}
}

// An issuer whose certificate nobody vouches for is not trusted, unless the operator names its authority.
func TestIdP_Certificate(t *testing.T) {
	t.Parallel()
	for _, kind := range idptest.Providers {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			p := idptest.Start(t, kind, idptest.Options{TLS: true})
			provider, token := realProvider(p, "RS256"), p.Login("RS256")
			authority, err := os.ReadFile(p.CAFile)
			if err != nil {
				t.Fatal(err)
			}
			roots := x509.NewCertPool()
			roots.AppendCertsFromPEM(authority)
			b := realBench(t, func(c *fetch.KeysConfig) { c.Roots = map[string]*x509.CertPool{p.Issuer: roots} })
			b.ok("with its authority", b.check(provider, token))
			b = realBench(t)
			b.refused("without", b.check(provider, token), oidc.ErrCertificate)
		})
	}
}
