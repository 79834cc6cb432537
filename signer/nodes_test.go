package signer_test

import (
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stint-sts/stint/seal"
	"github.com/stint-sts/stint/secret"
	"github.com/stint-sts/stint/signer"
)

// loadCount is how often the ring was asked for.
func (m *memory) loadCount() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.loads
}

// rotateNow prepares a key and lets it sign as soon as it may.
func rotateNow(t *testing.T, s *signer.Signer, clock *clock, p signer.Purpose) {
	t.Helper()
	must[signer.KeyInfo](t)(s.Prepare(t.Context(), p))
	clock.add(time.Minute)
	must[signer.KeyInfo](t)(s.Rotate(t.Context(), p))
}

// A node that was paused while another one prepared a key, let it sign and minted, judges what was minted by the ring as it is now.
func TestVerify_AfterAPause(t *testing.T) {
	t.Parallel()
	for _, purpose := range signer.Purposes() {
		clock := newClock()
		store := &memory{}
		cfg := signer.Config{Store: store, Now: clock.Now, SealTokens: true}
		a, b := open(t, cfg), open(t, cfg)
		rotateNow(t, a, clock, purpose)
		if _, err := b.Verify(mint(t, a, roleClaims(clock.Now())).SessionToken); err != nil {
			t.Errorf("%s key: a token of after the pause: %v", purpose, err)
		}
		if got := states(b, purpose); got != "retired signing" {
			t.Errorf("%s key: after the pause the node knows %q", purpose, got)
		}
	}
}

// What was removed during the pause is refused after it, also when it was verified, and remembered, before.
func TestVerify_AfterAPauseRefusesWhatWasRemoved(t *testing.T) {
	t.Parallel()
	clock := newClock()
	store := &memory{}
	a, b := open(t, signer.Config{Store: store, Now: clock.Now}), open(t, signer.Config{Store: store, Now: clock.Now})
	token := mint(t, a, roleClaims(clock.Now())).SessionToken
	must[*signer.Claims](t)(b.Verify(token))
	id := stored(t, store, signer.TokenKey).ID
	rotateNow(t, a, clock, signer.TokenKey)
	if err := a.Remove(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Verify(token); !errors.Is(err, signer.ErrInvalidToken) {
		t.Errorf("after the pause: %v", err)
	}
}

// A node that was paused for longer than others take what a retired key signs does not mint with that key.
func TestMint_AfterAPause(t *testing.T) {
	t.Parallel()
	clock := newClock()
	store := &memory{}
	a, b := open(t, signer.Config{Store: store, Now: clock.Now}), open(t, signer.Config{Store: store, Now: clock.Now})
	rotateNow(t, a, clock, signer.TokenKey)
	clock.add(20 * time.Minute)
	if _, err := a.Verify(mint(t, b, roleClaims(clock.Now())).SessionToken); err != nil {
		t.Errorf("minted after the pause: %v", err)
	}
}

// A key that is not in the ring is looked for once, before the token is refused; further such tokens cost nothing for a second.
func TestVerify_UnknownKey(t *testing.T) {
	t.Parallel()
	clock := newClock()
	store := &memory{}
	a, b := open(t, signer.Config{Store: store, Now: clock.Now}), open(t, signer.Config{Store: store, Now: clock.Now, PublishDelay: time.Hour})
	rotateNow(t, a, clock, signer.TokenKey) // by another delay than b has: b does not find it in time by itself
	token := mint(t, a, roleClaims(clock.Now())).SessionToken
	before := store.loadCount()
	if _, err := b.Verify(token); err != nil {
		t.Fatalf("a key that the node does not know yet: %v", err)
	}
	if n := store.loadCount() - before; n != 1 {
		t.Errorf("the ring was loaded %d times, want once", n)
	}
	foreign := mint(t, open(t, signer.Config{Now: clock.Now}), roleClaims(clock.Now())).SessionToken
	before = store.loadCount()
	for range 20 {
		if _, err := b.Verify(foreign); !errors.Is(err, signer.ErrInvalidToken) {
			t.Fatalf("a token of a made-up key: %v", err)
		}
	}
	if n := store.loadCount() - before; n != 0 {
		t.Errorf("within a second, 20 made-up keys loaded the ring %d times", n)
	}
	clock.add(time.Second)
	var waiting sync.WaitGroup
	for range 20 {
		waiting.Go(func() {
			if _, err := b.Verify(foreign); !errors.Is(err, signer.ErrInvalidToken) {
				t.Errorf("a token of a made-up key: %v", err)
			}
		})
	}
	waiting.Wait()
	if n := store.loadCount() - before; n != 1 {
		t.Errorf("after a second, 20 made-up keys at once loaded the ring %d times, want once", n)
	}
	if _, err := b.Verify(token); err != nil {
		t.Errorf("the genuine token afterwards: %v", err)
	}
}

// A store that does not answer ends no session, and is not asked by every call.
func TestVerify_AfterAPauseWithoutTheStore(t *testing.T) {
	t.Parallel()
	clock := newClock()
	store := &memory{}
	s := open(t, signer.Config{Store: store, Now: clock.Now})
	token := mint(t, s, roleClaims(clock.Now())).SessionToken
	clock.add(10 * time.Minute)
	store.mu.Lock()
	store.err = errors.New("offline")
	store.mu.Unlock()
	before := store.loadCount()
	for range 20 {
		if _, err := s.Verify(token); err != nil {
			t.Fatal(err)
		}
		mint(t, s, roleClaims(clock.Now()))
	}
	if n := store.loadCount() - before; n != 1 {
		t.Errorf("the store was asked %d times, want once", n)
	}
}

// Three nodes over four days: each looks into the store when it gets to it, and is now and then paused for up to two days; keys turn
// by schedule and on request, on any node. Whatever one of them mints, all of them take until it expires, and nobody after that.
func TestNodes_NoTokenIsRefusedEarly(t *testing.T) {
	t.Parallel()
	const seed = 7
	random := rand.New(rand.NewPCG(seed, seed))
	clock := newClock()
	store := &memory{}
	nodes := make([]*signer.Signer, 3)
	next := make([]time.Time, len(nodes)) // when a node's maintenance runs
	for i := range nodes {
		nodes[i] = open(t, signer.Config{Store: store, Now: clock.Now, SealTokens: i == 0, RotateEvery: every(12 * time.Hour)})
	}
	type session struct {
		token secret.String
		until time.Time
	}
	var live []session
	minted, judged, rotations := 0, 0, 0
	for end := start.Add(4 * 24 * time.Hour); clock.Now().Before(end); {
		now := clock.Now()
		for i, s := range nodes {
			if now.Before(next[i]) {
				continue
			}
			if err := s.Maintain(t.Context()); err != nil {
				t.Fatal(err)
			}
			next[i] = now.Add(time.Duration(random.Int64N(int64(15 * time.Second))))
			if random.IntN(200) == 0 {
				next[i] = now.Add(time.Duration(random.Int64N(int64(48 * time.Hour))))
			}
		}
		if random.IntN(100) == 0 {
			must[signer.KeyInfo](t)(nodes[random.IntN(3)].Prepare(t.Context(), signer.Purposes()[random.IntN(3)]))
			rotations++
		}
		if random.IntN(4) == 0 && len(live) < 100 {
			claims := roleClaims(now)
			claims.ExpiresAt = now.Add(signer.MaxLifetime - time.Duration(random.Int64N(int64(35*time.Hour)))).Truncate(time.Second)
			// The first node takes sealed tokens only, so it mints them for all.
			live = append(live, session{mint(t, nodes[0], claims).SessionToken, claims.ExpiresAt})
			minted++
		}
		for range 2 {
			if len(live) == 0 {
				break
			}
			i, n := random.IntN(len(live)), random.IntN(3)
			_, err := nodes[n].Verify(live[i].token)
			judged++
			if expired := !now.Before(live[i].until); expired != (err != nil) {
				t.Fatalf("seed %d, %s: node %d on a token that is good until %s: %v\n%v", seed, now, n, live[i].until, err, nodes[n].Keys())
			} else if expired {
				live[i] = live[len(live)-1]
				live = live[:len(live)-1]
			}
		}
		clock.add(time.Duration(random.Int64N(int64(4 * time.Minute))))
	}
	turned := map[signer.Purpose]int{}
	for _, k := range nodes[0].Keys() {
		turned[k.Purpose] = max(turned[k.Purpose], k.Version)
	}
	t.Logf("%d tokens, judged %d times; %d rotations asked for; newest keys %v", minted, judged, rotations, turned)
	if minted < 200 || turned[signer.TokenKey] < 10 {
		t.Error("too little happened")
	}
}

func TestRetireKey(t *testing.T) {
	t.Parallel()
	clock := newClock()
	store := &memory{}
	s := open(t, signer.Config{Store: store, Now: clock.Now})
	token := mint(t, s, roleClaims(clock.Now())).SessionToken
	id := stored(t, store, signer.TokenKey).ID
	successor := must[signer.KeyInfo](t)(s.RetireKey(t.Context(), id))
	if again := must[signer.KeyInfo](t)(s.RetireKey(t.Context(), id)); again != successor || successor.State != signer.Prepared {
		t.Errorf("retired twice: %+v, %+v", successor, again)
	}
	if _, err := s.RetireKey(t.Context(), successor.ID); !errors.Is(err, signer.ErrNotSigning) {
		t.Errorf("a prepared key: %v", err)
	}
	clock.add(time.Minute)
	if err := s.Maintain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := states(s, signer.TokenKey); got != "retired signing" {
		t.Errorf("a minute later: %q", got)
	}
	if _, err := s.Verify(token); err != nil {
		t.Errorf("a token of the retired key: %v", err)
	}
	for name, row := range map[string]struct {
		id   string
		want error
	}{"a retired key": {id, signer.ErrNotSigning}, "no key": {"nonesuch", signer.ErrNoKey}} {
		if _, err := s.RetireKey(t.Context(), row.id); !errors.Is(err, row.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The master key is replaced while two nodes run; at each step both work, and a start with the wrong keys is refused.
func TestReseal(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	clock := newClock()
	store := &memory{}
	former, fresh := masterKey(t, 1), masterKey(t, 2)
	both := must[*seal.Key](t)(fresh.WithPrevious(former))
	with := func(k *seal.Key) signer.Config {
		return complete(t, signer.Config{Store: store, Now: clock.Now, Master: k})
	}
	opens := func(step string, k *seal.Key, want error) {
		t.Helper()
		if _, err := signer.Open(ctx, with(k)); !errors.Is(err, want) {
			t.Errorf("%s, a start with %s: %v, want %v", step, k.ID(), err, want)
		}
	}
	a := open(t, with(former))
	token := mint(t, a, roleClaims(clock.Now())).SessionToken

	// 1. One node is restarted with both keys: what it writes, the other one reads.
	b := open(t, with(both))
	must[signer.KeyInfo](t)(b.Prepare(ctx, signer.TokenKey))
	if err := a.Reload(ctx); err != nil {
		t.Fatalf("a ring that a node with both keys wrote: %v", err)
	}
	value := must[[]byte](t)(b.Seal([]byte("value"), "place"))
	if got, err := a.Open(value, "place"); err != nil || string(got) != "value" {
		t.Errorf("a value that a node with both keys sealed: %q, %v", got, err)
	}
	if inForce, before := b.MasterKeys(); inForce != former.ID() || before != "" {
		t.Errorf("in force is %s, before %q", inForce, before)
	}
	opens("before", fresh, seal.ErrWrongKey)
	if err := b.Resealed(ctx); err == nil {
		t.Error("confirmed what was not done")
	}

	// 2. So is the other one, and the new key is put in force.
	a = open(t, with(both))
	for range 2 {
		if err := b.Reseal(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if inForce, before := b.MasterKeys(); inForce != fresh.ID() || before != former.ID() {
		t.Errorf("in force is %s, before %q", inForce, before)
	}
	if got, err := a.Open(must[[]byte](t)(b.Seal([]byte("value"), "place")), "place"); err != nil || string(got) != "value" {
		t.Errorf("a value under the new key on a node that has not looked: %q, %v", got, err)
	}
	opens("meanwhile", former, seal.ErrWrongKey)
	opens("meanwhile", fresh, signer.ErrFormerMaster)
	opens("meanwhile", both, nil)

	// 3. Nothing is left.
	for range 2 {
		if err := b.Resealed(ctx); err != nil {
			t.Fatal(err)
		}
	}
	opens("after", former, seal.ErrWrongKey)
	opens("after", fresh, nil)
	if err := a.Reload(ctx); err != nil {
		t.Fatal(err)
	}
	if inForce, before := a.MasterKeys(); inForce != fresh.ID() || before != "" {
		t.Errorf("in force is %s, before %q", inForce, before)
	}
	c := open(t, with(fresh))
	for _, s := range []*signer.Signer{a, b, c} {
		if _, err := s.Verify(token); err != nil {
			t.Errorf("the session of before: %v", err)
		}
	}
}
