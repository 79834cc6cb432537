package store_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stint-sts/stint/iam"
	"github.com/stint-sts/stint/iam/store"
	"github.com/stint-sts/stint/iam/store/pgtest"
)

// announce commits a transaction that announces what.
func announce(t *testing.T, s iam.Store, what string) (at iam.FeedPosition) {
	t.Helper()
	err := s.Update(t.Context(), func(tx iam.Tx) (err error) {
		at, err = tx.(iam.Announcer).Announce([]string{what})
		return err
	})
	if err != nil {
		t.Error(err)
	}
	return at
}

// newest returns the position of the last announcement.
func newest(t *testing.T, s *store.Postgres) iam.FeedPosition {
	t.Helper()
	found, err := s.Changes(t.Context(), iam.FeedPosition{})
	if err != nil || found.Complete {
		t.Fatalf("from nowhere: complete %v, %v", found.Complete, err)
	}
	return found.FeedPosition
}

// Many nodes write at the same time, while one reads: it reads every announcement, once, in the order of their numbers, and never
// before the record that it is about is there.
func TestPostgres_FeedIsComplete(t *testing.T) {
	t.Parallel()
	const nodes, writers, writes = 3, 3, 15
	url := pgtest.Database(t)
	reader := node(t, url)
	at := newest(t, reader)
	var writing sync.WaitGroup
	for n := range nodes {
		s := node(t, url)
		for w := range writers {
			writing.Go(func() {
				for i := range writes {
					name := fmt.Sprintf("%d-%d-%d", n, w, i)
					err := s.Update(t.Context(), func(tx iam.Tx) error {
						if err := tx.Put(iam.Record{Kind: iam.KindRole, Account: "111122223333", Name: name, ID: "AROA" + name}); err != nil {
							return err
						}
						_, err := tx.(iam.Announcer).Announce([]string{name})
						return err
					})
					if err != nil {
						t.Errorf("%s: %v", name, err)
					}
				}
			})
		}
	}
	ended := make(chan struct{})
	go func() { writing.Wait(); close(ended) }()
	seen := make(map[string]bool)
	for last := false; ; {
		found, err := reader.Changes(t.Context(), at)
		if err != nil || !found.Complete {
			t.Fatalf("after %v: complete %v, %v", at, found.Complete, err)
		}
		for _, c := range found.Announced {
			if c.Version != at.Version+1 || seen[c.Touched[0]] {
				t.Fatalf("%v comes after version %d", c, at.Version)
			}
			at = c.FeedPosition
			seen[c.Touched[0]] = true
			err := reader.View(t.Context(), func(tx iam.Tx) error {
				_, err := tx.Get(iam.KindRole, "111122223333", "", c.Touched[0])
				return err
			})
			if err != nil {
				t.Fatalf("announced, but not there: %s: %v", c.Touched[0], err)
			}
		}
		if last && !found.More {
			break
		}
		select {
		case <-ended:
			last = true
		default:
			reader.Await(t.Context())
		}
	}
	if len(seen) != nodes*writers*writes {
		t.Errorf("%d announcements were read of %d", len(seen), nodes*writers*writes)
	}
}

// A node notices that it has not read what it believes to have read, and that it was away for too long.
func TestPostgres_FeedKnowsItsHistory(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	s := node(t, url)
	first := announce(t, s, "one")
	second := announce(t, s, "two")
	complete := func(at iam.FeedPosition) bool {
		found, err := s.Changes(t.Context(), at)
		if err != nil {
			t.Fatal(err)
		}
		if found.FeedPosition != newest(t, s) {
			t.Errorf("after %v the feed is at %v", at, found.FeedPosition)
		}
		return found.Complete
	}
	if !complete(first) || !complete(second) {
		t.Error("a position of this history is not known")
	}
	pgtest.Exec(t, url, fmt.Sprintf("DELETE FROM changes WHERE version >= %d", second.Version)) // a standby that lagged takes over
	if complete(second) {
		t.Error("the loss of the last announcement goes unnoticed")
	}
	if third := announce(t, s, "three"); third.Version != second.Version || complete(second) {
		t.Error("another history goes unnoticed")
	}
	pgtest.Exec(t, url, fmt.Sprintf("DELETE FROM changes WHERE version <= %d", first.Version))
	if complete(first) {
		t.Error("that older announcements are gone goes unnoticed")
	}
}

// Notifications arrive while the connection lives; without them Await comes back all the same.
func TestPostgres_Await(t *testing.T) {
	t.Parallel()
	p := pgtest.Start(t)
	s := node(t, p.Database(t))
	s.Await(t.Context()) // connects
	back := make(chan struct{})
	go func() {
		for range 50 {
			s.Await(t.Context())
		}
		close(back)
	}()
	for done := false; !done; {
		select {
		case <-back:
			done = true
		default:
			announce(t, s, "something")
		}
	}
	p.Kill()
	for range 3 {
		s.Await(t.Context())
	}
	if _, err := s.Changes(t.Context(), iam.FeedPosition{}); err == nil {
		t.Error("a dead database has changes")
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	s.Await(ended)
	p.Restart(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		s.Await(ctx)
		if _, err := s.Changes(ctx, iam.FeedPosition{}); err == nil {
			return
		} else if ctx.Err() != nil {
			t.Fatalf("the database is back, but: %v", err)
		}
	}
}
