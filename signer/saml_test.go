package signer_test

import (
	"context"
	"crypto"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stint-sts/stint/signer"
)

// publics are the public halves of the keys, in order.
func publics(t *testing.T, s *signer.Signer) []crypto.PublicKey {
	t.Helper()
	var all []crypto.PublicKey
	for _, k := range must[[]crypto.Signer](t)(s.SAMLKeys(t.Context())) {
		all = append(all, k.Public())
	}
	return all
}

func sameKeys(a, b []crypto.PublicKey) bool {
	return slices.EqualFunc(a, b, func(a, b crypto.PublicKey) bool { return a.(interface{ Equal(crypto.PublicKey) bool }).Equal(b) })
}

// Of nodes that need a key at once all end with the same, and it does not change.
func TestSAMLKeys_Race(t *testing.T) {
	t.Parallel()
	store := &memory{}
	nodes := []*signer.Signer{open(t, signer.Config{Store: store}), open(t, signer.Config{Store: store})}
	if got := states(nodes[0], signer.SAMLKey); got != "" {
		t.Errorf("before anybody needs one: %q", got)
	}
	var all sync.WaitGroup
	for _, n := range nodes {
		all.Go(func() {
			if _, err := n.SAMLKeys(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	first := publics(t, nodes[0])
	if len(first) != 1 || !sameKeys(first, publics(t, nodes[1])) {
		t.Errorf("nodes have %v and %v", first, publics(t, nodes[1]))
	}
	again, before := must[[]crypto.Signer](t)(nodes[0].SAMLKeys(t.Context())), must[[]crypto.Signer](t)(nodes[0].SAMLKeys(t.Context()))
	if again[0] != before[0] {
		t.Error("the keys of one ring are not the same pointers")
	}
	store.err = errors.New("gone")
	if !sameKeys(first, publics(t, nodes[1])) {
		t.Error("a key that is known is asked of the store")
	}
}

// A new key is published for a week before it signs, and never made by the schedule.
func TestSAMLKeys_Rotation(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	clock := newClock()
	s := open(t, signer.Config{Now: clock.Now, RotateEvery: every(24 * time.Hour)})
	maintain := func(after time.Duration) string {
		clock.add(after)
		if err := s.Maintain(ctx); err != nil {
			t.Fatal(err)
		}
		return states(s, signer.SAMLKey)
	}
	first := publics(t, s)
	if got := maintain(1000 * time.Hour); got != "signing" {
		t.Errorf("by schedule: %q", got)
	}
	must[signer.KeyInfo](t)(s.Prepare(ctx, signer.SAMLKey))
	both := publics(t, s)
	if len(both) != 2 || !sameKeys(first, both[:1]) {
		t.Errorf("published are %v", both)
	}
	if got := maintain(signer.SAMLKeysMaxAge); got != "signing prepared" {
		t.Errorf("a moment early: %q", got)
	}
	if got := maintain(time.Minute); got != "retired signing" || !sameKeys(publics(t, s), []crypto.PublicKey{both[1], both[0]}) {
		t.Errorf("after a week: %q", got)
	}
	if got := maintain(2 * time.Hour); got != "removed signing" || !sameKeys(publics(t, s), both[1:]) {
		t.Errorf("afterwards: %q", got)
	}
}

func TestSAMLKeys_StoreThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	store := &memory{}
	s := open(t, signer.Config{Store: store})
	store.err = errors.New("gone")
	if keys, err := s.SAMLKeys(t.Context()); !errors.Is(err, store.err) {
		t.Errorf("%v, %v", keys, err)
	}
}
