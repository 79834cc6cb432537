package embedded_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stint-sts/stint/session"
	"github.com/stint-sts/stint/session/embedded"
)

// attempts makes n attempts and fails the test when not all of them are answered like want.
func attempts(t *testing.T, s session.Throttle, name string, n int, want bool) {
	t.Helper()
	for i := range n {
		if allowed, err := s.Attempt(t.Context(), name); err != nil || allowed != want {
			t.Errorf("attempt %d of %d at %q: %t, %v, want %t", i+1, n, name, allowed, err, want)
		}
	}
}

func TestEmbedded_ThrottleSurvivesRestart(t *testing.T) {
	t.Parallel()
	cfg := embedded.Config{Dir: t.TempDir(), Backoff: session.Backoff{Free: 3, First: time.Hour}}
	s := open(t, cfg)
	attempts(t, s, "before the compaction", 3, true)
	attempts(t, s, "half way", 1, true)
	attempts(t, s, "succeeded", 3, true)
	if err := s.Compact(); err != nil {
		t.Fatal(err)
	}
	attempts(t, s, "after the compaction", 3, true)
	attempts(t, s, "half way", 1, true)
	if err := s.Succeed(t.Context(), "succeeded"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		closeStore(t, s)
		s = open(t, cfg)
		attempts(t, s, "before the compaction", 2, false)
		attempts(t, s, "after the compaction", 2, false)
		if err := s.Compact(); err != nil {
			t.Fatal(err)
		}
	}
	attempts(t, s, "half way", 1, true)
	attempts(t, s, "half way", 1, false)
	attempts(t, s, "succeeded", 3, true)
	attempts(t, s, "succeeded", 1, false)
}

// The default rule, on the bubble's clock: five failures, then 30 s doubling to 15 min, forgotten after a day; and nothing stays behind.
func TestEmbedded_ThrottleRule(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s, err := embedded.New(embedded.Config{Dir: dir, CompactAfter: 1000})
		if err != nil {
			t.Fatal(err)
		}
		defer closeStore(t, s)
		ctx, cancel := context.WithCancel(t.Context())
		ran := make(chan error)
		go func() { ran <- s.Run(ctx) }()
		attempts(t, s, "name", 5, true)
		for _, wait := range []time.Duration{30, 60, 120, 240, 480, 900, 900, 900} {
			attempts(t, s, "name", 2, false)
			time.Sleep(wait*time.Second - time.Millisecond)
			attempts(t, s, "name", 1, false)
			time.Sleep(time.Millisecond)
			attempts(t, s, "name", 1, true)
		}
		time.Sleep(15*time.Minute + 24*time.Hour)
		attempts(t, s, "name", 5, true)
		attempts(t, s, "name", 1, false)
		for _, name := range []string{"a", "b", "c", "d"} {
			attempts(t, s, name, 5, true)
		}
		time.Sleep(25 * time.Hour)
		cancel()
		if err := <-ran; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	total := 0
	for _, content := range contents(t, dir) {
		total += len(content)
	}
	if total > 1000 {
		t.Errorf("the files hold %d bytes after everything was forgotten", total)
	}
}
