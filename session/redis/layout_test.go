package redis

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stint-sts/stint/session"
)

// TestIndexEnds_FindEveryLiveSession puts sessions of every length at every minute of a day, and looks for them until they end, on nodes whose
// clocks differ.
func TestIndexEnds_FindEveryLiveSession(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 11, 28, 0, 0, 0, 1, time.UTC)
	for minute := 0; minute < 24*60; minute += 7 {
		now := start.Add(time.Duration(minute) * time.Minute)
		for _, life := range []time.Duration{time.Second, 15 * time.Minute, time.Hour, time.Hour + 1, 3 * time.Hour, 12 * time.Hour, session.MaxLifetime} {
			expires := now.Add(life)
			end := indexEnd(now, expires)
			if end.Before(expires) || end.Sub(expires) >= longSpan {
				t.Fatalf("a session that ends at %v is in the set that ends at %v", expires, end)
			}
			for _, seen := range []time.Time{now.Add(-9 * time.Minute), now, now.Add(life / 3), now.Add(life - time.Millisecond)} {
				if !slices.ContainsFunc(indexEnds(seen), end.Equal) {
					t.Fatalf("a session put at %v for %v is in the set that ends at %v, which is not looked at at %v", now, life, end, seen)
				}
			}
		}
	}
}

func TestIndexEnds_AreFew(t *testing.T) {
	t.Parallel()
	for minute := range 120 {
		ends := indexEnds(time.Date(2026, 11, 28, 0, minute, 0, 0, time.UTC))
		if len(ends) > 32 || !slices.IsSortedFunc(ends, time.Time.Compare) || len(slices.CompactFunc(slices.Clone(ends), time.Time.Equal)) != len(ends) {
			t.Fatalf("minute %d: %d sets: %v", minute, len(ends), ends)
		}
	}
}

func TestTag_SpreadsEvenly(t *testing.T) {
	t.Parallel()
	var counts [tagCount]int
	for n := range 64_000 {
		counts[tagOf(fmt.Sprintf("ASIAQEFWAZTK%08d", n))]++
	}
	for tag, n := range counts {
		if n < 700 || n > 1300 {
			t.Errorf("tag %d has %d of 64,000 access key ids", tag, n)
		}
	}
	if got, want := tag(7).key("stint:", recordKind, "x1"), "stint:{07}r:x1"; got != want {
		t.Errorf("key %q, want %q", got, want)
	}
}
