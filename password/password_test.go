package password_test

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/stint-sts/stint/password"
	"github.com/stint-sts/stint/secret"
)

// cheap are costs for tests.
var cheap = password.Params{Memory: 8, Time: 1, Threads: 1}

func newHasher(t testing.TB, cfg password.Config) *password.Hasher {
	t.Helper()
	if cfg.Rand == nil {
		cfg.Rand = rand.Reader
	}
	if cfg.Params == (password.Params{}) {
		cfg.Params = cheap
	}
	h, err := password.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// Hashes of other implementations.
func TestHasher_VerifiesHashesOfOthers(t *testing.T) {
	t.Parallel()
	h := newHasher(t, password.Config{})
	for _, row := range []struct{ source, password, hash string }{
		// https://github.com/P-H-C/phc-winner-argon2 (CC0 or Apache-2.0), src/test.c.
		{"the reference implementation, 64 MiB", "password", "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"},
		{"the reference implementation, two lanes", "password", "$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc"},
	} {
		t.Run(row.source, func(t *testing.T) {
			t.Parallel()
			hash, err := password.Parse(row.hash)
			if err != nil {
				t.Fatal(err)
			}
			if ok, err := h.Verify(t.Context(), hash, secret.New(row.password)); !ok || err != nil {
				t.Errorf("the right password: %t, %v", ok, err)
			}
			if ok, err := h.Verify(t.Context(), hash, secret.New(row.password+" ")); ok || err != nil {
				t.Errorf("a wrong password: %t, %v", ok, err)
			}
		})
	}
}

func TestHasher_Hash(t *testing.T) {
	t.Parallel()
	h := newHasher(t, password.Config{})
	given := secret.New("Größe 7 §")
	first, err := h.Hash(t.Context(), given)
	if err != nil {
		t.Fatal(err)
	}
	second, err := h.Hash(t.Context(), given)
	if err != nil {
		t.Fatal(err)
	}
	if first.String() == second.String() {
		t.Error("two hashes of one password are equal: no salt")
	}
	read, err := password.Parse(first.String())
	if err != nil {
		t.Fatal(err)
	}
	for what, want := range map[string]bool{"Größe 7 §": true, "größe 7 §": false, "": false, strings.Repeat("x", 1000): false} {
		if got, err := h.Verify(t.Context(), read, secret.New(what)); got != want || err != nil {
			t.Errorf("%q: %t, %v", what, got, err)
		}
	}
	if err := h.VerifyUnknown(t.Context(), given); err != nil {
		t.Error(err)
	}
	broken := newHasher(t, password.Config{Rand: iotest.ErrReader(errors.New("no randomness"))})
	if _, err := broken.Hash(t.Context(), given); err == nil {
		t.Error("a hash without a salt")
	}
}

func TestHasher_Outdated(t *testing.T) {
	t.Parallel()
	made, err := newHasher(t, password.Config{Params: password.Params{Memory: 64, Time: 2, Threads: 1}}).Hash(t.Context(), secret.New("x"))
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name string
		now  password.Params
		want bool
	}{
		{"the same costs", password.Params{Memory: 64, Time: 2, Threads: 1}, false},
		{"lower costs", password.Params{Memory: 32, Time: 1, Threads: 1}, false},
		{"more memory", password.Params{Memory: 65, Time: 2, Threads: 1}, true},
		{"more passes", password.Params{Memory: 64, Time: 3, Threads: 1}, true},
		{"more memory, fewer passes", password.Params{Memory: 128, Time: 1, Threads: 1}, true},
	} {
		if got := newHasher(t, password.Config{Params: row.now}).Outdated(made); got != row.want {
			t.Errorf("%s: %t", row.name, got)
		}
	}
}

// The costs are what OWASP asks for at least.
func TestDefaultParams(t *testing.T) {
	t.Parallel()
	h := newHasher(t, password.Config{Params: password.DefaultParams})
	made, err := h.Hash(t.Context(), secret.New("x"))
	if err != nil {
		t.Fatal(err)
	}
	if want := "$argon2id$v=19$m=19456,t=2,p=1$"; !strings.HasPrefix(made.String(), want) {
		t.Errorf("%s, want %s…", made, want)
	}
}

func TestNew_Refuses(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]password.Config{
		"no randomness":          {},
		"too little memory":      {Rand: rand.Reader, Params: password.Params{Memory: 15, Time: 1, Threads: 2}},
		"no passes":              {Rand: rand.Reader, Params: password.Params{Memory: 64, Threads: 1}},
		"too much memory":        {Rand: rand.Reader, Params: password.Params{Memory: 2 << 20, Time: 1, Threads: 1}},
		"a negative bound":       {Rand: rand.Reader, AtOnce: -1},
		"a negative wait":        {Rand: rand.Reader, Wait: -1},
		"a negative queue":       {Rand: rand.Reader, Waiting: -1},
		"too many passes":        {Rand: rand.Reader, Params: password.Params{Memory: 64, Time: 65, Threads: 1}},
		"more lanes than memory": {Rand: rand.Reader, Params: password.Params{Memory: 64, Time: 1, Threads: 9}},
	} {
		if _, err := password.New(cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// As many hashes as configured are computed at once, as many calls wait as configured and as long; the others are refused at once.
func TestHasher_IsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHasher(t, password.Config{AtOnce: 2, Waiting: 1, Wait: 3 * time.Second})
		given := secret.New("x")
		first, err := h.Hold(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		second, err := h.Hold(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		waiter := make(chan error)
		go func() { waiter <- h.VerifyUnknown(t.Context(), given) }()
		synctest.Wait()
		if _, err := h.Hash(t.Context(), given); !errors.Is(err, password.ErrBusy) || !time.Now().Equal(begin) {
			t.Errorf("one more than may wait: %v after %s", err, time.Since(begin))
		}
		if err := <-waiter; !errors.Is(err, password.ErrBusy) || time.Since(begin) != 3*time.Second {
			t.Errorf("who waits gets %v after %s", err, time.Since(begin))
		}

		go func() { waiter <- h.VerifyUnknown(t.Context(), given) }()
		synctest.Wait()
		first()
		if err := <-waiter; err != nil {
			t.Errorf("a place is free, and yet %v", err)
		}

		third, err := h.Hold(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		go func() { waiter <- h.VerifyUnknown(ctx, given) }()
		synctest.Wait()
		cancel()
		if err := <-waiter; !errors.Is(err, context.Canceled) || !errors.Is(err, password.ErrBusy) {
			t.Errorf("whose client left gets %v", err)
		}
		second()
		third()
		if _, err := h.Hash(t.Context(), given); err != nil {
			t.Errorf("all places are free, and yet %v", err)
		}
	})
}

func BenchmarkHash(b *testing.B) {
	h := newHasher(b, password.Config{Params: password.DefaultParams})
	for b.Loop() {
		if _, err := h.Hash(b.Context(), secret.New("Correct Horse 7")); err != nil {
			b.Fatal(err)
		}
	}
}
