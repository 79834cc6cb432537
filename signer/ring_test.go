package signer_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"github.com/stint-sts/stint/seal"
	"github.com/stint-sts/stint/secret"
	"github.com/stint-sts/stint/signer"
)

// states returns the states of the keys of a purpose, oldest first.
func states(s *signer.Signer, p signer.Purpose) string {
	var all []string
	for _, k := range s.Keys() {
		if k.Purpose == p {
			all = append(all, string(k.State))
		}
	}
	return strings.Join(all, " ")
}

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func TestOpen_FirstRunMakesARing(t *testing.T) {
	t.Parallel()
	store := &memory{}
	s := open(t, signer.Config{Store: store})
	for _, p := range signer.Purposes() {
		if got := states(s, p); got != "signing" {
			t.Errorf("%s keys after the first run: %q", p, got)
		}
	}
	token := mint(t, s, roleClaims(start)).SessionToken
	again := open(t, signer.Config{Store: store})
	if _, err := again.Verify(token); err != nil {
		t.Errorf("after a restart: %v", err)
	}
	if store.saves != 1 {
		t.Errorf("the ring was saved %d times, want once", store.saves)
	}
}

func TestOpen_Refuses(t *testing.T) {
	t.Parallel()
	used := &memory{}
	open(t, signer.Config{Store: used})
	broken := &memory{sealed: append([]byte{}, used.sealed...), version: used.version}
	broken.sealed[len(broken.sealed)-1] ^= 1
	foreign := &memory{version: 1}
	foreign.sealed = must[[]byte](t)(masterKey(t, 1).Seal([]byte(`{"format":2,"keys":[]}`), "key-ring"))
	text := &memory{version: 1}
	text.sealed = must[[]byte](t)(masterKey(t, 1).Seal([]byte(`canary`), "key-ring"))
	offline := errors.New("store is offline")
	for _, row := range []struct {
		name string
		cfg  signer.Config
		want error // nil: any
	}{
		{"wrong master key", signer.Config{Store: used, Master: masterKey(t, 2)}, seal.ErrWrongKey},
		{"damaged ring", signer.Config{Store: broken}, seal.ErrDamaged},
		{"ring of a newer format", signer.Config{Store: foreign}, nil},
		{"ring that is no JSON", signer.Config{Store: text}, nil},
		{"store that does not answer", signer.Config{Store: &memory{err: offline}}, offline},
		{"unknown algorithm", signer.Config{Algorithm: "RS256"}, nil},
		{"alg none", signer.Config{Algorithm: "none"}, nil},
		{"prefix of five characters", signer.Config{TemporaryPrefix: "ASIAA"}, nil},
		{"prefix in lower case", signer.Config{TemporaryPrefix: "asia"}, nil},
		{"negative cache", signer.Config{TokenCacheSize: -1}, nil},
		{"negative delay", signer.Config{PublishDelay: -1}, nil},
		{"negative time to rotate", signer.Config{RotateEvery: map[signer.Purpose]time.Duration{signer.TokenKey: -1}}, nil},
		{"SAML keys by schedule", signer.Config{RotateEvery: map[signer.Purpose]time.Duration{signer.SAMLKey: time.Hour}}, nil},
		{"randomness ends", signer.Config{Rand: strings.NewReader("short")}, nil},
	} {
		cfg := complete(t, row.cfg)
		store := cfg.Store.(*memory)
		before := store.saves
		s, err := signer.Open(t.Context(), cfg)
		if err == nil || s != nil || (row.want != nil && !errors.Is(err, row.want)) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v, want %v", row.name, err, row.want)
		}
		if store.saves != before {
			t.Errorf("%s: the ring was overwritten", row.name)
		}
	}
	for name, change := range map[string]func(*signer.Config){
		"no store":      func(c *signer.Config) { c.Store = nil },
		"no master key": func(c *signer.Config) { c.Master = nil },
		"no issuer":     func(c *signer.Config) { c.Issuer = "" },
	} {
		cfg := complete(t, signer.Config{})
		change(&cfg)
		if _, err := signer.Open(t.Context(), cfg); err == nil {
			t.Errorf("%s: opened", name)
		}
	}
	open(t, signer.Config{Store: used}) // the positive twin
}

// Two nodes that start on an empty store end with one ring: the loser of the race takes the winner's.
func TestOpen_RaceOfFirstRuns(t *testing.T) {
	t.Parallel()
	store := &memory{}
	cfg := complete(t, signer.Config{Store: store})
	var winner *signer.Signer
	store.beforeSave = func() {
		store.beforeSave = nil
		winner = must[*signer.Signer](t)(signer.Open(t.Context(), cfg))
	}
	loser := must[*signer.Signer](t)(signer.Open(t.Context(), cfg))
	if _, err := loser.Verify(mint(t, winner, roleClaims(start)).SessionToken); err != nil {
		t.Errorf("a token of the winner: %v", err)
	}
	if _, err := winner.Verify(mint(t, loser, roleClaims(start)).SessionToken); err != nil {
		t.Errorf("a token of the loser: %v", err)
	}
	if store.saves != 1 {
		t.Errorf("%d rings were saved, want 1", store.saves)
	}
}

func TestOpen_StoreThatNeverTakesIt(t *testing.T) {
	t.Parallel()
	store := &memory{refuse: true}
	_, err := signer.Open(t.Context(), complete(t, signer.Config{Store: store}))
	if !errors.Is(err, signer.ErrRingChanged) {
		t.Errorf("Open: %v, want ErrRingChanged", err)
	}
}

func TestRotate_KeepsTokensUntilTheyExpire(t *testing.T) {
	t.Parallel()
	for _, purpose := range signer.Purposes() {
		t.Run(string(purpose), func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			clock := newClock()
			s := open(t, signer.Config{Now: clock.Now, SealTokens: true})
			claims := roleClaims(start)
			claims.ExpiresAt = start.Add(signer.MaxLifetime)
			old := mint(t, s, claims)

			if _, err := s.Rotate(ctx, purpose); !errors.Is(err, signer.ErrNotPrepared) {
				t.Errorf("Rotate before Prepare: %v", err)
			}
			prepared := must[signer.KeyInfo](t)(s.Prepare(ctx, purpose))
			if again := must[signer.KeyInfo](t)(s.Prepare(ctx, purpose)); again != prepared {
				t.Errorf("a second Prepare made another key: %+v, %+v", prepared, again)
			}
			if _, err := s.Rotate(ctx, purpose); !errors.Is(err, signer.ErrNotPublished) {
				t.Errorf("Rotate right after Prepare: %v", err)
			}
			clock.add(time.Minute)
			signing := must[signer.KeyInfo](t)(s.Rotate(ctx, purpose))
			if signing.ID != prepared.ID || states(s, purpose) != "retired signing" {
				t.Errorf("after Rotate: %s signs, states %q", signing.ID, states(s, purpose))
			}

			got, err := s.Verify(old.SessionToken)
			if err != nil {
				t.Fatalf("old token after the rotation: %v", err)
			}
			if key, err := s.SecretKey(got); err != nil || !key.Equal(old.SecretAccessKey) {
				t.Errorf("old secret after the rotation: %v", err)
			}
			if _, err := s.Verify(mint(t, s, roleClaims(clock.Now())).SessionToken); err != nil {
				t.Errorf("new token: %v", err)
			}

			clock.add(signer.MaxLifetime - 2*time.Minute)
			if removed := must[[]signer.KeyInfo](t)(s.Retire(ctx)); len(removed) != 0 {
				t.Errorf("removed %v while a token lives", removed)
			}
			if _, err := s.Verify(old.SessionToken); err != nil {
				t.Errorf("old token near its end: %v", err)
			}
			clock.add(time.Hour)
			removed := must[[]signer.KeyInfo](t)(s.Retire(ctx))
			if len(removed) != 1 || removed[0].Version != 1 || states(s, purpose) != "removed signing" {
				t.Errorf("removed %v, states %q", removed, states(s, purpose))
			}
			if _, err := s.Verify(old.SessionToken); !errors.Is(err, signer.ErrInvalidToken) {
				t.Errorf("old token of a removed key: %v", err)
			}
		})
	}
}

// A key that was stolen must be of no use after its retirement, although the ring still accepts what it signed before.
func TestVerify_RefusesWhatARetiredKeySignsLater(t *testing.T) {
	t.Parallel()
	clock := newClock()
	store := &memory{}
	s := open(t, signer.Config{Store: store, Now: clock.Now})
	stolen := genuine(t, s, store)
	must[signer.KeyInfo](t)(s.Prepare(t.Context(), signer.TokenKey))
	clock.add(time.Minute)
	must[signer.KeyInfo](t)(s.Rotate(t.Context(), signer.TokenKey))
	clock.add(20 * time.Minute)
	if _, err := s.Verify(stolen.token(t)); err != nil {
		t.Fatalf("positive twin: %v", err)
	}
	stolen.payload["iat"] = clock.Now().Unix()
	if _, err := s.Verify(stolen.token(t)); !errors.Is(err, signer.ErrInvalidToken) {
		t.Errorf("token issued 20 minutes after its key was retired: %v", err)
	}
}

func TestRemove_EndsSessionsAtOnce(t *testing.T) {
	t.Parallel()
	for _, purpose := range signer.Purposes() {
		clock := newClock()
		store := &memory{}
		s := open(t, signer.Config{Store: store, Now: clock.Now, SealTokens: true})
		token := mint(t, s, roleClaims(start)).SessionToken
		claims := must[*signer.Claims](t)(s.Verify(token)) // now it is cached
		id := stored(t, store, purpose).ID
		if err := s.Remove(t.Context(), id); !errors.Is(err, signer.ErrKeySigns) {
			t.Errorf("%s: Remove of the signing key: %v", purpose, err)
		}
		must[signer.KeyInfo](t)(s.Prepare(t.Context(), purpose))
		clock.add(time.Minute)
		must[signer.KeyInfo](t)(s.Rotate(t.Context(), purpose))
		if err := s.Remove(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Verify(token); !errors.Is(err, signer.ErrInvalidToken) {
			t.Errorf("%s: token of a removed key: %v", purpose, err)
		}
		copied := signer.Claims{AccessKeyID: claims.AccessKeyID, DerivationVersion: claims.DerivationVersion}
		if _, err := s.SecretKey(&copied); purpose == signer.DerivationKey && !errors.Is(err, signer.ErrNoKey) {
			t.Errorf("secret of a removed derivation key: %v", err)
		}
		plain := must[[]byte](t)(masterKey(t, 1).Open(store.sealed, "key-ring"))
		var document struct{ Keys []storedKey }
		if err := json.Unmarshal(plain, &document); err != nil {
			t.Fatal(err)
		}
		for _, k := range document.Keys {
			if (k.State == signer.Removed) != (k.Material == nil) {
				t.Errorf("%s key %s is %s and has %d bytes of material", k.Purpose, k.ID, k.State, len(k.Material))
			}
		}
		if err := s.Remove(t.Context(), "other"); !errors.Is(err, signer.ErrNoKey) {
			t.Errorf("Remove of an unknown key: %v", err)
		}
	}
}

func TestReload_SeesWhatAnotherNodeDid(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	clock := newClock()
	store := &memory{}
	a := open(t, signer.Config{Store: store, Now: clock.Now})
	b := open(t, signer.Config{Store: store, Now: clock.Now})
	must[signer.KeyInfo](t)(a.Prepare(ctx, signer.TokenKey))
	if err := b.Reload(ctx); err != nil {
		t.Fatal(err)
	}
	if got := states(b, signer.TokenKey); got != "signing prepared" {
		t.Errorf("after Reload: %q", got)
	}
	clock.add(time.Minute)
	must[signer.KeyInfo](t)(a.Rotate(ctx, signer.TokenKey))

	// b has not reloaded since: it still takes what a signs with the new key, and a what b signs with the old one.
	if _, err := b.Verify(mint(t, a, roleClaims(clock.Now())).SessionToken); err != nil {
		t.Errorf("token of the new key on a node that knows it as prepared: %v", err)
	}
	if _, err := a.Verify(mint(t, b, roleClaims(clock.Now())).SessionToken); err != nil {
		t.Errorf("token of the old key on a node that retired it: %v", err)
	}

	if _, err := b.Rotate(ctx, signer.TokenKey); !errors.Is(err, signer.ErrNotPrepared) {
		t.Errorf("second Rotate, on the other node: %v, want ErrNotPrepared", err)
	}
	if err := b.Reload(ctx); err != nil || states(b, signer.TokenKey) != "retired signing" {
		t.Errorf("after the second Reload: %q, %v", states(b, signer.TokenKey), err)
	}
}

func TestReload_KeepsTheRingOnAnError(t *testing.T) {
	t.Parallel()
	store := &memory{}
	s := open(t, signer.Config{Store: store})
	first := *store.snapshot()
	must[signer.KeyInfo](t)(s.Prepare(t.Context(), signer.TokenKey))
	token := mint(t, s, roleClaims(start)).SessionToken

	offline := errors.New("offline")
	for _, row := range []struct {
		name   string
		change func()
		want   error
	}{
		{"store does not answer", func() { store.err = offline }, offline},
		{"older ring", func() { store.err, store.sealed, store.version = nil, first.sealed, first.version }, signer.ErrRingWentBack},
		{"ring is gone", func() { store.sealed, store.version = nil, 0 }, signer.ErrRingWentBack},
		{"ring is damaged", func() { store.sealed, store.version = []byte("damaged"), 9 }, seal.ErrDamaged},
	} {
		row.change()
		if err := s.Reload(t.Context()); !errors.Is(err, row.want) {
			t.Errorf("%s: %v, want %v", row.name, err, row.want)
		}
		if _, err := s.Verify(token); err != nil {
			t.Errorf("%s: the ring in use was lost: %v", row.name, err)
		}
	}
}

// snapshot returns what the store holds.
func (m *memory) snapshot() *memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	return &memory{sealed: m.sealed, version: m.version}
}

func TestMaintain_RotatesBySchedule(t *testing.T) {
	t.Parallel()
	clock := newClock()
	store := &memory{}
	var nodes []*signer.Signer
	for range 2 {
		nodes = append(nodes, open(t, signer.Config{Store: store, Now: clock.Now, RotateEvery: every(24 * time.Hour)}))
	}
	tick := func(d time.Duration) {
		clock.add(d)
		for _, s := range nodes {
			if err := s.Maintain(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, step := range []struct {
		after time.Duration
		want  string
	}{
		{0, "signing"},
		{24*time.Hour - time.Second, "signing"},
		{time.Second, "signing prepared"},
		{time.Minute - time.Second, "signing prepared"},
		{time.Second, "retired signing"},
		{24 * time.Hour, "retired signing prepared"},
		{time.Minute, "retired retired signing"},
		{12*time.Hour + 9*time.Minute, "removed retired signing"},
	} {
		tick(step.after)
		for i, s := range nodes {
			for _, p := range signer.Purposes() {
				if got := states(s, p); got != step.want {
					t.Errorf("node %d, %s later: %s keys are %q, want %q", i, step.after, p, got, step.want)
				}
			}
		}
	}
}

func TestMaintain_ForgetsOldKeys(t *testing.T) {
	t.Parallel()
	clock := newClock()
	s := open(t, signer.Config{Now: clock.Now, RotateEvery: every(time.Hour)})
	for range 500 {
		clock.add(time.Hour)
		if err := s.Maintain(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(s.Keys()); n > 200 {
		t.Errorf("the ring has grown to %d keys", n)
	}
	last := map[signer.Purpose]int{}
	for _, k := range s.Keys() {
		if k.Version <= last[k.Purpose] {
			t.Errorf("%s key %d comes after %d", k.Purpose, k.Version, last[k.Purpose])
		}
		last[k.Purpose] = k.Version
	}
}

// A node that is configured for another algorithm prepares a key of it; the old key goes on signing until that one was published.
func TestOpen_AnotherAlgorithm(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	clock := newClock()
	store := &memory{}
	old := mint(t, open(t, signer.Config{Store: store, Now: clock.Now}), roleClaims(start)).SessionToken
	s := open(t, signer.Config{Store: store, Now: clock.Now, Algorithm: signer.EdDSA})
	if got := states(s, signer.TokenKey); got != "signing prepared" {
		t.Errorf("after Open: %q", got)
	}
	// The operator thinks better of it before the first key has signed anything.
	s = open(t, signer.Config{Store: store, Now: clock.Now, Algorithm: signer.ES256})
	if got := states(s, signer.TokenKey); got != "signing removed prepared" {
		t.Errorf("after Open with a third algorithm: %q", got)
	}
	if got := header(t, mint(t, s, roleClaims(start)).SessionToken)["alg"]; got != signer.HS256 {
		t.Errorf("before the key was published %v signs", got)
	}
	clock.add(time.Minute)
	if err := s.Maintain(ctx); err != nil {
		t.Fatal(err)
	}
	token := mint(t, s, roleClaims(clock.Now())).SessionToken
	if got := header(t, token)["alg"]; got != signer.ES256 {
		t.Errorf("then %v signs", got)
	}
	for _, token := range []secret.String{old, token} {
		if _, err := s.Verify(token); err != nil {
			t.Error(err)
		}
	}
}

func header(t *testing.T, token secret.String) map[string]any {
	t.Helper()
	parsed, _, err := jwt.NewParser().ParseUnverified(token.Reveal(), jwt.MapClaims{})
	if err != nil {
		t.Fatal(err)
	}
	return parsed.Header
}

// A third party verifies with nothing but the JWKS, across a rotation.
func TestJWKS(t *testing.T) {
	t.Parallel()
	if got := string(open(t, signer.Config{}).JWKS()); got != `{"keys":[]}` {
		t.Errorf("JWKS with HS256: %s", got)
	}
	for _, algorithm := range []string{signer.EdDSA, signer.ES256} {
		clock := newClock()
		store := &memory{}
		s := open(t, signer.Config{Store: store, Now: clock.Now, Algorithm: algorithm})
		tokens := []secret.String{mint(t, s, roleClaims(start)).SessionToken}
		next := must[signer.KeyInfo](t)(s.Prepare(t.Context(), signer.TokenKey))
		before := s.JWKS()
		clock.add(time.Minute)
		must[signer.KeyInfo](t)(s.Rotate(t.Context(), signer.TokenKey))
		tokens = append(tokens, mint(t, s, roleClaims(start)).SessionToken)
		if header(t, tokens[1])["kid"] != next.ID {
			t.Errorf("%s: the prepared key does not sign after Rotate", algorithm)
		}
		for _, published := range [][]byte{before, s.JWKS()} {
			var set jose.JSONWebKeySet
			if err := json.Unmarshal(published, &set); err != nil {
				t.Fatal(err)
			}
			for i, token := range tokens {
				_, err := jwt.Parse(token.Reveal(), func(parsed *jwt.Token) (any, error) {
					keys := set.Key(parsed.Header["kid"].(string))
					if len(keys) != 1 || !keys[0].IsPublic() || keys[0].Algorithm != algorithm || keys[0].Use != "sig" {
						return nil, fmt.Errorf("%d keys, want 1 public one for %s", len(keys), algorithm)
					}
					return keys[0].Key, nil
				}, jwt.WithValidMethods([]string{algorithm}), jwt.WithTimeFunc(clock.Now))
				if err != nil {
					t.Errorf("%s: token %d: %v", algorithm, i, err)
				}
			}
			if strings.Contains(string(published), `"d"`) {
				t.Errorf("%s: the JWKS holds a private key", algorithm)
			}
		}
		if err := s.Remove(t.Context(), header(t, tokens[0])["kid"].(string)); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(s.JWKS()), header(t, tokens[0])["kid"].(string)) {
			t.Errorf("%s: a removed key is published", algorithm)
		}
	}
}

// Requests go on while the ring turns under them.
func TestConcurrency(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	clock := newClock()
	store := &memory{}
	nodes := []*signer.Signer{
		open(t, signer.Config{Store: store, Now: clock.Now, TokenCacheSize: 16, SealTokens: true}),
		open(t, signer.Config{Store: store, Now: clock.Now, TokenCacheSize: 16, SealTokens: true}),
	}
	var requests sync.WaitGroup
	for i := range 4 {
		requests.Go(func() {
			for ctx.Err() == nil {
				creds, err := nodes[i%2].Mint(roleClaims(clock.Now()))
				if err != nil {
					t.Error(err)
					return
				}
				for range 3 {
					c, err := nodes[(i+1)%2].Verify(creds.SessionToken)
					if err != nil {
						t.Error(err)
						return
					}
					if key, err := nodes[(i+1)%2].SecretKey(c); err != nil || !key.Equal(creds.SecretAccessKey) {
						t.Error("secrets differ", err)
						return
					}
				}
			}
		})
	}
	for range 20 {
		for _, p := range signer.Purposes() {
			must[signer.KeyInfo](t)(nodes[0].Prepare(ctx, p))
		}
		if err := nodes[1].Reload(ctx); err != nil {
			t.Error(err)
		}
		clock.add(time.Minute)
		for _, s := range nodes {
			if err := s.Maintain(ctx); err != nil {
				t.Error(err)
			}
		}
	}
	cancel()
	requests.Wait()
}

// More tokens than the cache has places, over and over: each stays right.
func TestVerify_SmallCache(t *testing.T) {
	t.Parallel()
	s := open(t, signer.Config{TokenCacheSize: 1})
	var all []*signer.Credentials
	for range 100 {
		all = append(all, mint(t, s, roleClaims(start)))
	}
	for range 3 {
		for _, creds := range all {
			c, err := s.Verify(creds.SessionToken)
			if err != nil || c.AccessKeyID != creds.AccessKeyID {
				t.Fatalf("%v, %v, want %s", c, err, creds.AccessKeyID)
			}
		}
	}
}

func TestVerify_CachedAllocatesNothing(t *testing.T) {
	s := open(t, signer.Config{})
	token := mint(t, s, roleClaims(start)).SessionToken
	allocs := testing.AllocsPerRun(100, func() {
		c, err := s.Verify(token)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.SecretKey(c); err != nil {
			t.Fatal(err)
		}
	})
	if allocs != 0 {
		t.Errorf("a cached Verify and SecretKey allocate %v times", allocs)
	}
}
