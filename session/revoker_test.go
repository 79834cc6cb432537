package session_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stint-sts/stint/session"
)

// ledger is a RevocationLog in memory.
type ledger struct {
	mu      sync.Mutex
	all     []*session.Revocation
	down    bool
	since   []time.Time // of each reading
	changed chan struct{}
}

func newLedger() *ledger { return &ledger{changed: make(chan struct{}, 1)} }

var errDown = errors.New("the directory is down")

func (l *ledger) AddRevocation(_ context.Context, r *session.Revocation) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.down {
		return errDown
	}
	l.all = append(l.all, r)
	return nil
}

func (l *ledger) RevocationsSince(_ context.Context, moment time.Time) ([]*session.Revocation, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.since = append(l.since, moment)
	if l.down {
		return nil, errDown
	}
	return slices.Clone(l.all), nil
}

func (l *ledger) DropRevocations(_ context.Context, now time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = slices.DeleteFunc(l.all, func(r *session.Revocation) bool { return !now.Before(r.Until()) })
	return nil
}

func (l *ledger) RevocationsChanged() <-chan struct{} { return l.changed }

func (l *ledger) set(down bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down = down
}

// board is a Bulletin in memory.
type board struct {
	mu         sync.Mutex
	followers  []func(*session.Revocation)
	publishErr error
	heardErr   error
}

func (b *board) Publish(_ context.Context, r *session.Revocation) (string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.publishErr != nil {
		return "", b.publishErr
	}
	for _, heard := range b.followers {
		heard(r)
	}
	return "1-0", nil
}

func (b *board) Follow(ctx context.Context, ready func() error, heard func(*session.Revocation)) {
	b.mu.Lock()
	b.followers = append(b.followers, heard)
	b.mu.Unlock()
	for ready() != nil && ctx.Err() == nil {
		time.Sleep(time.Second)
	}
	<-ctx.Done()
}

func (b *board) CatchUp(context.Context) error { return nil }

func (b *board) Heard(context.Context, string) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.followers), b.heardErr
}

// node runs a Revoker until the test ends.
func node(t *testing.T, l *ledger, b session.Bulletin) *session.Revoker {
	t.Helper()
	r := session.NewRevoker(session.RevokerConfig{Log: l, Bulletin: b})
	if err := r.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- r.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return r
}

func ofSession(id string) *session.Revocation {
	now := time.Now().UTC()
	return &session.Revocation{ID: session.RevocationID(now, id), Account: "111122223333", Credential: id, Before: now, Made: now}
}

func revokedOn(r *session.Revoker, id string) bool {
	return r.Revocations().Revoked(&session.Holder{Account: "111122223333", AccessKeyID: id, IssuedAt: time.Now()})
}

func TestRevoker_EveryNodeHasIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, b := newLedger(), &board{}
		one, two := node(t, l, b), node(t, l, b)
		synctest.Wait()
		nodes, err := one.Revoke(t.Context(), ofSession("ASIA1"), true)
		if err != nil || nodes != 2 {
			t.Fatalf("confirmed by %d nodes, %v", nodes, err)
		}
		if !revokedOn(one, "ASIA1") || !revokedOn(two, "ASIA1") || revokedOn(two, "ASIA2") {
			t.Error("not in force on both nodes, or too much is")
		}
		later := node(t, l, b) // a node that starts afterwards reads the log
		if !revokedOn(later, "ASIA1") {
			t.Error("not in force on a node that started later")
		}
	})
}

func TestRevoker_WithoutBulletinTheLogSpreadsIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLedger()
		b := &board{publishErr: session.ErrUnavailable}
		one := session.NewRevoker(session.RevokerConfig{Log: l, Bulletin: b}) // it does not run: the change is for the other
		two := node(t, l, b)
		synctest.Wait()
		if _, err := one.Revoke(t.Context(), ofSession("ASIA1"), false); err != nil {
			t.Fatal(err)
		}
		if !revokedOn(one, "ASIA1") || revokedOn(two, "ASIA1") {
			t.Fatal("want it in force on the first node only, so far")
		}
		l.changed <- struct{}{}
		synctest.Wait()
		if !revokedOn(two, "ASIA1") {
			t.Error("a change of the log was not followed")
		}
		nodes, err := one.Revoke(t.Context(), ofSession("ASIA2"), true)
		if nodes != 1 || !errors.Is(err, session.ErrUnavailable) || !revokedOn(one, "ASIA2") {
			t.Errorf("to wait gives %d nodes, %v; want an error, and the revocation in force all the same", nodes, err)
		}
	})
}

func TestRevoker_NothingCountsThatIsNotKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLedger()
		one := node(t, l, nil)
		l.set(true)
		nodes, err := one.Revoke(t.Context(), ofSession("ASIA1"), true)
		if nodes != 0 || !errors.Is(err, errDown) || revokedOn(one, "ASIA1") {
			t.Errorf("%d nodes, %v, in force: %v", nodes, err, revokedOn(one, "ASIA1"))
		}
		// A reading that fails is tried again.
		l.changed <- struct{}{}
		synctest.Wait()
		l.set(false)
		if err := l.AddRevocation(t.Context(), ofSession("ASIA2")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if !revokedOn(one, "ASIA2") {
			t.Error("the log was not read again after a failure")
		}
	})
}

func TestRevoker_ReadsAgainWhatLateCommitsMayHaveAdded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLedger()
		node(t, l, nil)
		began := time.Now()
		time.Sleep(time.Hour)
		l.changed <- struct{}{}
		synctest.Wait()
		l.mu.Lock()
		defer l.mu.Unlock()
		if len(l.since) != 2 || !l.since[0].IsZero() || !l.since[1].Before(began) {
			t.Errorf("the log was read since %v; want everything first, then from before %v", l.since, began)
		}
	})
}

// A node that cannot tell whom a revocation is about says so, and does not start.
func TestRevoker_WhatIsNotUnderstoodIsAnError(t *testing.T) {
	t.Parallel()
	l := newLedger()
	strange := ofSession("ASIA1")
	strange.Credential = ""
	l.all = []*session.Revocation{strange, ofSession("ASIA2")}
	r := session.NewRevoker(session.RevokerConfig{Log: l})
	if err := r.Load(t.Context()); !errors.Is(err, session.ErrInvalid) {
		t.Errorf("reading it gives %v, want ErrInvalid", err)
	}
	if !revokedOn(r, "ASIA2") {
		t.Error("the one that is understood does not count")
	}
	l.all = l.all[1:]
	if err := r.Load(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestRevoker_TidiesUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLedger()
		one := node(t, l, nil)
		if _, err := one.Revoke(t.Context(), ofSession("ASIA1"), false); err != nil {
			t.Fatal(err)
		}
		time.Sleep(session.MaxLifetime)
		if !revokedOn(one, "ASIA1") {
			t.Error("forgotten while a session made from it may live")
		}
		time.Sleep(3 * time.Hour)
		if l.mu.Lock(); len(l.all) != 0 || one.Revocations().Len() != 0 {
			t.Errorf("%d revocations are kept, %d count", len(l.all), one.Revocations().Len())
		}
		l.mu.Unlock()
	})
}
