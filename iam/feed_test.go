package iam_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/iam"
)

// sharedStore is a store with a feed: several Directories on it are several nodes.
type sharedStore struct {
	iam.Store
	down atomic.Bool // nothing answers
	deaf atomic.Bool // the feed does not answer, the records do

	mu        sync.Mutex
	announced []iam.Change // under mu
}

func newShared(s iam.Store) *sharedStore {
	return &sharedStore{Store: s, announced: []iam.Change{{FeedPosition: iam.FeedPosition{Version: 1}}}}
}

func (s *sharedStore) View(ctx context.Context, f func(iam.Tx) error) error {
	if s.down.Load() {
		return iam.ErrUnavailable
	}
	return s.Store.View(ctx, f)
}

func (s *sharedStore) Update(ctx context.Context, f func(iam.Tx) error) error {
	if s.down.Load() {
		return iam.ErrUnavailable
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	tx := &announcingTx{next: iam.FeedPosition{Version: int64(len(s.announced) + 1), Mark: 7}}
	err := s.Store.Update(ctx, func(inner iam.Tx) error {
		tx.Tx = inner
		return f(tx)
	})
	if err == nil && tx.touched != nil {
		s.announced = append(s.announced, iam.Change{FeedPosition: tx.next, Touched: tx.touched})
	}
	return err
}

func (s *sharedStore) NoteUses(ctx context.Context, now time.Time, uses []iam.Use) error {
	if s.down.Load() {
		return iam.ErrUnavailable
	}
	return s.Store.NoteUses(ctx, now, uses)
}

type announcingTx struct {
	iam.Tx
	next    iam.FeedPosition
	touched []string
}

func (t *announcingTx) Announce(touched []string) (iam.FeedPosition, error) {
	t.touched = touched
	return t.next, nil
}

// Changes answers two announcements at a time.
func (s *sharedStore) Changes(_ context.Context, after iam.FeedPosition) (iam.Changes, error) {
	if s.down.Load() || s.deaf.Load() {
		return iam.Changes{}, iam.ErrUnavailable
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if after.Version < 1 || after.Version > int64(len(s.announced)) || s.announced[after.Version-1].FeedPosition != after {
		return iam.Changes{FeedPosition: s.announced[len(s.announced)-1].FeedPosition}, nil
	}
	rest := s.announced[after.Version:]
	found := iam.Changes{FeedPosition: after, Complete: true, Announced: rest[:min(2, len(rest))], More: len(rest) > 2}
	if n := len(found.Announced); n > 0 {
		found.FeedPosition = found.Announced[n-1].FeedPosition
	}
	return found, nil
}

func (s *sharedStore) Await(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(400 * time.Millisecond):
	}
}

// nodes are Directories on one store with the records of a world.
func nodes(t testing.TB) (w *world, s *sharedStore, a, b *iam.Directory) {
	w = newWorld(t)
	s = newShared(w.store)
	var made [2]*iam.Directory
	for i := range made {
		d, err := iam.NewDirectory(iam.DirectoryConfig{Store: s, Master: w.master, Managed: awsDocuments{awsARN: allowAction("aws")}})
		if err != nil {
			t.Fatal(err)
		}
		made[i] = d
	}
	return w, s, made[0], made[1]
}

func deactivate(tx iam.Tx) error {
	return edit(tx, iam.KindAccessKey, userKey, func(k *iam.AccessKey) { k.Active = false })
}

// A node that was held up sees what others wrote meanwhile, without having been told of it.
func TestDirectory_HeldUp(t *testing.T) {
	t.Parallel()
	w, _, a, b := nodes(t)
	w.picture(a)
	w.picture(b)
	if err := a.Update(t.Context(), deactivate); err != nil {
		t.Fatal(err)
	}
	if err := b.KeepUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(w.picture(w.newDirectory(0)), w.picture(b)); diff != "" {
		t.Errorf("what another node wrote is not seen (-want +got):\n%s", diff)
	}
	if err := w.KeepUp(t.Context()); err != nil {
		t.Errorf("a node alone: %v", err)
	}
}

// What one node writes, the other sees once it has caught up with the version of the write, in whatever it has cached.
func TestDirectory_CatchUp(t *testing.T) {
	t.Parallel()
	w, _, a, b := nodes(t)
	ctx := t.Context()
	for i, change := range []func(iam.Tx) error{
		deactivate,
		func(tx iam.Tx) error { return tx.Put(w.keyRecord("AKIANEW", userID)) },
		func(tx iam.Tx) error {
			return edit(tx, iam.KindRole, roleID, func(r *iam.Role) { r.MaxSessionDuration = 2 * time.Hour })
		},
		func(tx iam.Tx) error {
			return editUnder(tx, iam.KindInlinePolicy, groupID, "p", func(p *iam.InlinePolicy) { p.Document = allowAction("other") })
		},
		func(tx iam.Tx) error { return tx.Delete(iam.KindMembership, account, userID, groupID) },
		func(tx iam.Tx) error { return tx.Put(roleRecord("AROANEW", "New", trustIn(account))) },
	} {
		w.picture(a)
		w.picture(b) // both have everything in memory, and what is not there too
		if err := a.Update(ctx, change); err != nil {
			t.Fatal(err)
		}
		if err := b.CatchUp(ctx, a.Version()); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(w.picture(w.newDirectory(0)), w.picture(b)); diff != "" {
			t.Errorf("change %d is not seen (-want +got):\n%s", i, diff)
		}
	}
	for version, want := range map[string]error{
		b.Version(): nil, "1": nil, "1000": awserr.ServiceUnavailable, "0": awserr.ValidationError, "-1": awserr.ValidationError,
		"1x": awserr.ValidationError, "99999999999999999999": awserr.ValidationError,
	} {
		if err := b.CatchUp(ctx, version); !errors.Is(err, want) {
			t.Errorf("catch up with %q: %v, want %v", version, err, want)
		}
	}
	if v := w.Version(); v != "" || w.CatchUp(ctx, "1000") != nil {
		t.Errorf("a node alone has version %q, and waits for others", v)
	}
}

// A database that has lost its latest writes, as one that a lagging standby took over from, has another history: nodes forget
// everything, and count from where it is.
func TestDirectory_HistoryLost(t *testing.T) {
	t.Parallel()
	w, s, a, b := nodes(t)
	ctx := t.Context()
	touch := func(d *iam.Directory) {
		t.Helper()
		if err := d.Update(ctx, func(tx iam.Tx) error { return edit(tx, iam.KindRole, roleID, func(*iam.Role) {}) }); err != nil {
			t.Fatal(err)
		}
	}
	for range 5 {
		touch(a)
	}
	lost := a.Version()
	if err := errors.Join(a.CatchUp(ctx, lost), b.CatchUp(ctx, lost)); err != nil {
		t.Fatal(err)
	}
	w.picture(b)
	s.mu.Lock()
	s.announced = s.announced[:2]
	s.announced[1].Mark++
	s.mu.Unlock()
	w.write(deactivate) // what the standby says, without an announcement that this node would find
	for _, d := range []*iam.Directory{a, b} {
		if err := d.CatchUp(ctx, "1000"); !errors.Is(err, awserr.ServiceUnavailable) {
			t.Fatal(err)
		}
		if v := d.Version(); v != "2" {
			t.Errorf("a node is at version %s of 2", v)
		}
		if diff := cmp.Diff(w.picture(w.newDirectory(0)), w.picture(d)); diff != "" {
			t.Errorf("the new history is not seen (-want +got):\n%s", diff)
		}
	}
	touch(b)
	if err := a.CatchUp(ctx, b.Version()); err != nil || a.Version() != "3" {
		t.Errorf("in the new history: version %s, %v", a.Version(), err)
	}
}

// A node does not forget a second time what it has changed itself; what others change between, it does.
func TestDirectory_OwnChanges(t *testing.T) {
	t.Parallel()
	w, _, a, b := nodes(t)
	ctx := t.Context()
	if err := a.CatchUp(ctx, "1"); err != nil {
		t.Fatal(err)
	}
	write := func(d *iam.Directory, hours int) {
		t.Helper()
		err := d.Update(ctx, func(tx iam.Tx) error {
			return edit(tx, iam.KindRole, roleID, func(r *iam.Role) { r.MaxSessionDuration = time.Duration(hours) * time.Hour })
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	loads := func() int64 {
		t.Helper()
		before := w.store.views.Load()
		if _, err := a.Entity(ctx, account, roleID); err != nil {
			t.Fatal(err)
		}
		return w.store.views.Load() - before
	}
	write(a, 2)
	if loads() != 1 || loads() != 0 {
		t.Fatal("a role is not cached")
	}
	if err := a.CatchUp(ctx, a.Version()); err != nil {
		t.Fatal(err)
	}
	if loads() != 0 {
		t.Error("the node forgot what it had changed itself")
	}
	write(a, 3)
	write(b, 4)
	loads()
	if err := a.CatchUp(ctx, b.Version()); err != nil {
		t.Fatal(err)
	}
	if loads() != 1 {
		t.Error("the node did not forget what another has changed")
	}
}

// The first look at the feed finds an unknown history. A node that takes it before it serves forgets nothing by it that it has read
// since, and so has it in memory when the database is lost.
func TestDirectory_KeepUp(t *testing.T) {
	t.Parallel()
	w, s, a, b := nodes(t)
	ctx := t.Context()
	followed := func(d *iam.Directory) error {
		t.Helper()
		w.picture(d)
		if err := d.CatchUp(ctx, "1"); err != nil { // as the follower's look, when none was taken before
			t.Fatal(err)
		}
		s.down.Store(true)
		defer s.down.Store(false)
		_, err := d.Entity(ctx, account, roleID)
		return err
	}
	if err := a.KeepUp(ctx); err != nil {
		t.Fatal(err)
	}
	if err := followed(a); err != nil {
		t.Errorf("with a look before it served: %v", err)
	}
	if err := followed(b); !errors.Is(err, awserr.ServiceUnavailable) {
		t.Errorf("without one: %v", err)
	}
	s.down.Store(true)
	if err := a.KeepUp(ctx); !errors.Is(err, iam.ErrUnavailable) {
		t.Errorf("without the database: %v", err)
	}
	if err := w.KeepUp(ctx); err != nil {
		t.Errorf("a node alone: %v", err)
	}
}

// Many nodes write and read at the same time: who has caught up with a version sees what was written up to it.
func TestDirectory_CatchUpRaces(t *testing.T) {
	t.Parallel()
	_, _, a, b := nodes(t)
	ctx := t.Context()
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			from, to := a, b
			if i%2 == 1 {
				from, to = b, a
			}
			for n := range 25 {
				id := fmt.Sprintf("AROA%d%d", i, n)
				if _, err := to.Entity(ctx, account, id); !errors.Is(err, iam.ErrNotFound) {
					t.Errorf("%s before it is made: %v", id, err)
				}
				err := from.Update(ctx, func(tx iam.Tx) error { return tx.Put(roleRecord(id, "role-"+id, trustIn(account))) })
				if err != nil {
					t.Error(err)
				}
				if err := to.CatchUp(ctx, from.Version()); err != nil {
					t.Error(err)
				}
				if _, err := to.Entity(ctx, account, id); err != nil {
					t.Errorf("%s at version %s: %v", id, to.Version(), err)
				}
			}
		})
	}
	all.Wait()
}

// Without its store a node goes on with what it knows for the grace, and no longer; then it finds back.
func TestDirectory_Grace(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(*sharedStore, bool){
		"nothing answers":                          func(s *sharedStore, lost bool) { s.down.Store(lost) },
		"the feed does not answer, the records do": func(s *sharedStore, lost bool) { s.deaf.Store(lost) },
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			s := newShared(w.store)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			open := func() *iam.Directory {
				d, err := iam.NewDirectory(iam.DirectoryConfig{Store: s, Master: w.master, Managed: awsDocuments{}, Grace: 10 * time.Minute})
				if err != nil {
					t.Fatal(err)
				}
				return d
			}
			a, b := open(), open()
			go func() { _ = a.Run(ctx) }()
			time.Sleep(time.Second)
			active := func() (bool, error) {
				k, err := a.AccessKey(ctx, userKey)
				return err == nil && k.Active, err
			}
			if got, err := active(); !got {
				t.Fatalf("%s: at first: %v", name, err)
			}
			lose(s, true)
			time.Sleep(9 * time.Minute)
			if got, err := active(); !got || a.Ready(ctx) != nil {
				t.Errorf("%s, within the grace: %v, %v", name, err, a.Ready(ctx))
			}
			if !s.down.Load() { // another node still reaches it
				if err := b.Update(ctx, deactivate); err != nil {
					t.Fatal(err)
				}
			} else if err := a.Update(ctx, deactivate); !errors.Is(err, awserr.ServiceUnavailable) {
				t.Errorf("%s: a write: %v", name, err)
			}
			time.Sleep(2 * time.Minute)
			if got, err := active(); got || !errors.Is(a.Ready(ctx), iam.ErrUnavailable) {
				t.Errorf("%s, after the grace the key is active: %v; ready: %v", name, err, a.Ready(ctx))
			}
			if err := a.CatchUp(ctx, strconv.Itoa(1000)); !errors.Is(err, awserr.ServiceUnavailable) {
				t.Errorf("%s: catching up: %v", name, err)
			}
			lose(s, false)
			time.Sleep(time.Second)
			if _, err := active(); err != nil || a.Ready(ctx) != nil {
				t.Errorf("%s, found again: %v, %v", name, err, a.Ready(ctx))
			}
			cancel()
			synctest.Wait()
		})
	}
}
