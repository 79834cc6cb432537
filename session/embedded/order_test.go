package embedded

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stint-sts/stint/session"
)

// TestOrder compares the ordered index with a sorted slice through many random insertions and removals.
func TestOrder(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	var o order
	var want []string
	entries := map[string]*entry{}
	check := func(step int) {
		t.Helper()
		after := newEntry(t, random.IntN(5000)).key()
		var got []string
		for e := range o.after(after) {
			got = append(got, e.key())
		}
		from, found := slices.BinarySearch(want, after)
		if found {
			from++
		}
		if !slices.Equal(got, want[from:]) {
			t.Fatalf("step %d: %d keys after %s, want %d", step, len(got), after, len(want)-from)
		}
		for i, chunk := range o.chunks {
			if len(chunk) == 0 || len(chunk) > chunkSize {
				t.Fatalf("step %d: chunk %d of %d has %d entries", step, i, len(o.chunks), len(chunk))
			}
		}
	}
	for step := range 40_000 {
		growing := step%20_000 < 10_000
		e := newEntry(t, random.IntN(5000))
		place, there := slices.BinarySearch(want, e.key())
		switch {
		case !there && (growing || random.IntN(4) == 0):
			o.insert(e)
			entries[e.key()] = e
			want = slices.Insert(want, place, e.key())
		case there && (!growing || random.IntN(4) == 0):
			o.remove(entries[e.key()])
			want = slices.Delete(want, place, place+1)
		}
		if step%500 == 0 {
			check(step)
		}
	}
	for _, key := range slices.Clone(want) {
		o.remove(entries[key])
	}
	if len(o.chunks) != 0 {
		t.Errorf("%d chunks are left of nothing", len(o.chunks))
	}
}

func newEntry(t *testing.T, n int) *entry {
	t.Helper()
	now := time.Unix(1_800_000_000, 0)
	encoded, err := session.AppendRecord(nil, &session.Record{
		Account: "123456789012", EntityID: fmt.Sprintf("AROA%d", n%7), AccessKeyID: fmt.Sprintf("ASIA%d", n), Kind: session.KindRole,
		IssuedAt: now, ExpiresAt: now.Add(time.Hour),
	})
	if err != nil {
		t.Fatal(err)
	}
	return &entry{encoded: string(encoded), expires: now.Add(time.Hour).UnixMilli()}
}
