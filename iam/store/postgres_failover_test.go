package store_test

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stint-sts/stint/iam"
	"github.com/stint-sts/stint/iam/store"
	"github.com/stint-sts/stint/iam/store/pgtest"
)

// until waits until done returns true.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	tick, late := time.NewTicker(50*time.Millisecond), time.After(time.Minute)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("after a minute: not yet: %s", what)
		}
	}
}

// A standby that had everything takes over: the node goes on with it by itself, and has missed nothing. One that lagged behind has
// lost the last writes, and the node is told that its history is another one.
func TestPostgres_FailOver(t *testing.T) {
	t.Parallel()
	for name, lags := range map[string]bool{"a standby that had everything": false, "a standby that lagged": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			primary := pgtest.Start(t, pgtest.Replicated...)
			url := primary.Database(t)
			standby := primary.Standby(t)
			s := node(t, strings.Replace(url, primary.Addr, standby.Addr+","+primary.Addr, 1)) // the standby first: it is passed over
			write := func(name string) (at iam.FeedPosition, err error) {
				err = s.Update(t.Context(), func(tx iam.Tx) error {
					if err := tx.Put(iam.Record{Kind: iam.KindRole, Account: "111122223333", Name: name, ID: "AROA" + name}); err != nil {
						return err
					}
					at, err = tx.(iam.Announcer).Announce([]string{name})
					return err
				})
				return at, err
			}
			mustWrite := func(name string) iam.FeedPosition {
				t.Helper()
				at, err := write(name)
				if err != nil {
					t.Fatal(err)
				}
				return at
			}
			mustWrite("kept")
			primary.AwaitStandby(t)
			if lags {
				standby.Kill()
			}
			last := mustWrite("last")
			if !lags {
				primary.AwaitStandby(t)
			}
			primary.Kill()
			if _, err := write("between"); err == nil {
				t.Fatal("a write without a primary is acknowledged")
			}
			if lags {
				standby.Restart(t)
			}
			standby.Promote(t)
			until(t, "the node writes to the new primary", func() bool { _, err := write("after"); return err == nil })
			found, err := s.Changes(t.Context(), last)
			if err != nil || found.Complete == lags {
				t.Errorf("what came after the last write: complete %v, %v", found.Complete, err)
			}
			err = s.View(t.Context(), func(tx iam.Tx) error {
				for name, want := range map[string]bool{"kept": true, "last": !lags, "between": false, "after": true} {
					if _, err := tx.ByID(iam.KindRole, "AROA"+name); (err == nil) != want {
						t.Errorf("%s: %v", name, err)
					}
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// A host that was lost so that nobody says so keeps a new connection waiting, but not the look at what other nodes changed.
func TestPostgres_SilentHost(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := gone.Addr().String()
	if err := gone.Close(); err != nil {
		t.Fatal(err)
	}
	both := strings.Replace(url, "@", "@"+at+",", 1)
	s, err := store.OpenPostgres(t.Context(), store.PostgresConfig{URL: both, ConnectTimeout: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	if gone, err = net.Listen("tcp", at); err != nil { // accepts by the kernel, and says nothing
		t.Skipf("SKIPPED: another process took the port meanwhile: %v", err)
	}
	for range 3 {
		s.Await(t.Context())
		if newest(t, s) == (iam.FeedPosition{}) {
			t.Error("no position")
		}
	}
	if err := gone.Close(); err != nil { // resets what waits in it, so that the next host is tried
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
