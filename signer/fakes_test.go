package signer_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stint-sts/stint/seal"
	"github.com/stint-sts/stint/signer"
)

const (
	issuer  = "https://sts.example.com"
	account = "123456789012"
)

// start is when the tests' clocks begin.
var start = time.Date(2026, 3, 4, 5, 6, 7, 890e6, time.UTC)

// memory is a RingStore in memory.
type memory struct {
	mu      sync.Mutex
	sealed  []byte
	version int64
	saves   int
	loads   int
	err     error // of both methods, if set
	refuse  bool  // SaveRing always comes too late

	beforeSave func() // called outside the lock, to let another node come first
}

func (m *memory) LoadRing(context.Context) ([]byte, int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.loads++
	return bytes.Clone(m.sealed), m.version, m.err
}

func (m *memory) SaveRing(_ context.Context, sealed []byte, version int64) error {
	if m.beforeSave != nil {
		m.beforeSave()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return m.err
	}
	if m.version != version || m.refuse {
		return fmt.Errorf("version %d, not %d: %w", m.version, version, signer.ErrRingChanged)
	}
	m.sealed, m.version = bytes.Clone(sealed), version+1
	m.saves++
	return nil
}

// clock is a clock that a test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: start} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func masterKey(t testing.TB, fill byte) *seal.Key {
	t.Helper()
	k, err := seal.NewKey(bytes.Repeat([]byte{fill}, seal.KeySize), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// open opens a Signer with what cfg leaves out: a store of its own, a master key, the issuer, a clock that stands at start.
func open(t testing.TB, cfg signer.Config) *signer.Signer {
	t.Helper()
	s, err := signer.Open(t.Context(), complete(t, cfg))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func complete(t testing.TB, cfg signer.Config) signer.Config {
	t.Helper()
	if cfg.Store == nil {
		cfg.Store = &memory{}
	}
	if cfg.Master == nil {
		cfg.Master = masterKey(t, 1)
	}
	if cfg.Issuer == "" {
		cfg.Issuer = issuer
	}
	if cfg.Now == nil {
		cfg.Now = newClock().Now
	}
	return cfg
}

// roleClaims describes an ordinary session of an hour.
func roleClaims(now time.Time) *signer.Claims {
	return &signer.Claims{
		Kind:        signer.RoleSession,
		Account:     account,
		ARN:         "arn:aws:sts::123456789012:assumed-role/deploy/build-17",
		EntityARN:   "arn:aws:iam::123456789012:role/ci/deploy",
		EntityID:    "AROA3XFRBF535PLBIFPI4",
		IssuedAt:    now,
		ExpiresAt:   now.Add(time.Hour),
		SessionName: "build-17",
		Parent:      "AKIA3XFRBF535PLBIFPI",
	}
}

func mint(t testing.TB, s *signer.Signer, c *signer.Claims) *signer.Credentials {
	t.Helper()
	creds, err := s.Mint(c)
	if err != nil {
		t.Fatal(err)
	}
	return creds
}

// every is the same time to rotate for all keys that are rotated by themselves.
func every(d time.Duration) map[signer.Purpose]time.Duration {
	all := make(map[signer.Purpose]time.Duration)
	for _, p := range signer.AllPurposes() {
		if p != signer.SAMLKey {
			all[p] = d
		}
	}
	return all
}
