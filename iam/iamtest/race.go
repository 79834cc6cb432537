package iamtest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stint-sts/stint/iam"
)

const (
	racers = 8
	rounds = 10
)

// race runs f in racers goroutines that start together, and waits for them.
func race(f func(racer int)) {
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range racers {
		wg.Go(func() {
			<-start
			f(i)
		})
	}
	close(start)
	wg.Wait()
}

func testRaceCompareAndSet(t *testing.T, s iam.Store) {
	put(t, s, role("a"))
	for round := range rounds {
		var winners atomic.Int32
		seen := get(t, s, iam.KindRole, "a") // all of them have read the same version
		race(func(racer int) {
			r := seen
			r.Body = []byte(strconv.Itoa(racer))
			switch err := tryPut(t, s, r); {
			case err == nil:
				winners.Add(1)
			case !errors.Is(err, iam.ErrConflict):
				t.Errorf("loser: %v, want ErrConflict", err)
			}
		})
		if n := winners.Load(); n != 1 {
			t.Fatalf("round %d has %d winners", round, n)
		}
	}
}

func testRaceCreate(t *testing.T, s iam.Store) {
	for round := range rounds {
		var winners atomic.Int32
		race(func(racer int) {
			r := role(fmt.Sprintf("role-%d", round))
			if racer%2 == 0 {
				r.Name += "-namesake" // another key, the same id
			}
			switch err := tryPut(t, s, r); {
			case err == nil:
				winners.Add(1)
			case !errors.Is(err, iam.ErrConflict):
				t.Errorf("loser: %v, want ErrConflict", err)
			}
		})
		if n := winners.Load(); n != 1 {
			t.Fatalf("round %d has %d winners", round, n)
		}
	}
}

// testRaceSerializable lets every racer keep a quota: it counts, and creates only below the limit. It also keeps a sum in
// one record; no increment may be lost.
func testRaceSerializable(t *testing.T, s iam.Store) {
	const quota = 5
	sum := role("sum")
	sum.Body = []byte("0")
	put(t, s, sum)
	q := iam.Query{Kind: iam.KindInlinePolicy, Account: Account, Parent: "AROAP"}
	race(func(racer int) {
		for round := range rounds {
			err := s.Update(t.Context(), func(tx iam.Tx) error {
				r, err := tx.Get(iam.KindRole, Account, "", "sum")
				if err != nil {
					return err
				}
				n, err := strconv.Atoi(string(r.Body))
				if err != nil {
					return err
				}
				r.Body = []byte(strconv.Itoa(n + 1))
				if err := tx.Put(r); err != nil {
					return err
				}
				if n, err := tx.Count(q); err != nil || n >= quota {
					return err
				}
				return tx.Put(inline(fmt.Sprintf("p-%d-%d", racer, round)))
			})
			if err != nil {
				t.Errorf("Update: %v", err)
			}
		}
	})
	if got := string(get(t, s, iam.KindRole, "sum").Body); got != strconv.Itoa(racers*rounds) {
		t.Errorf("sum %s, want %d: an increment was lost", got, racers*rounds)
	}
	if n := count(t, s, q); n != quota {
		t.Errorf("%d records, want the quota of %d", n, quota)
	}
}

// testRaceReaders moves one unit between two records while readers add them up.
func testRaceReaders(t *testing.T, s iam.Store) {
	const total = 100
	left, right := role("left"), role("right")
	left.Body, right.Body = []byte(strconv.Itoa(total)), []byte("0")
	put(t, s, left, right)
	read := func(tx iam.Tx) (l, r iam.Record, sum int, err error) {
		if l, err = tx.Get(iam.KindRole, Account, "", "left"); err != nil {
			return
		}
		if r, err = tx.Get(iam.KindRole, Account, "", "right"); err != nil {
			return
		}
		a, errA := strconv.Atoi(string(l.Body))
		b, errB := strconv.Atoi(string(r.Body))
		return l, r, a + b, errors.Join(errA, errB)
	}
	race(func(racer int) {
		for range rounds {
			var err error
			if racer%4 == 0 {
				err = s.Update(t.Context(), func(tx iam.Tx) error {
					l, r, _, err := read(tx)
					if err != nil {
						return err
					}
					a, _ := strconv.Atoi(string(l.Body))
					l.Body, r.Body = []byte(strconv.Itoa(a-1)), []byte(strconv.Itoa(total-a+1))
					return errors.Join(tx.Put(l), tx.Put(r))
				})
			} else {
				err = s.View(t.Context(), func(tx iam.Tx) error {
					_, _, sum, err := read(tx)
					if err == nil && sum != total {
						err = fmt.Errorf("sum %d, want %d", sum, total)
					}
					return err
				})
			}
			if err != nil {
				t.Error(err)
			}
		}
	})
}

// testRaceCancel ends contexts while updates wait and run: each has either happened as a whole, and said so, or not at all.
func testRaceCancel(t *testing.T, s iam.Store) {
	race(func(racer int) {
		for round := range rounds {
			ctx, cancel := context.WithCancel(t.Context())
			name := fmt.Sprintf("%d-%d", racer, round)
			go cancel()
			err := s.Update(ctx, func(tx iam.Tx) error {
				return errors.Join(tx.Put(role(name)), tx.Put(inline(name)))
			})
			cancel()
			role, policy := tryGet(t, s, iam.KindRole, "", name), tryGet(t, s, iam.KindInlinePolicy, "AROAP", name)
			switch {
			case err == nil && (role != nil || policy != nil):
				t.Errorf("acknowledged, but not there: %v, %v", role, policy)
			case err != nil && !errors.Is(err, context.Canceled):
				t.Errorf("Update: %v, want context.Canceled", err)
			case err != nil && (!errors.Is(role, iam.ErrNotFound) || !errors.Is(policy, iam.ErrNotFound)):
				t.Errorf("canceled, but there: %v, %v", role, policy)
			}
		}
	})
	put(t, s, role("last"))
}
