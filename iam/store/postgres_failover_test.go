package store_test

import (
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
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

// After a host was lost without a word, one transaction fails by its time-out, not one for each connection to it.
func TestPostgres_ConnectionsSilent(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	_, rest, _ := strings.Cut(url, "@")
	server, _, _ := strings.Cut(rest, "/")
	between := newGate(t, server)
	s, err := store.OpenPostgres(t.Context(), store.PostgresConfig{
		URL: strings.Replace(url, server, between.Addr().String(), 1), MaxConnections: 4, Timeout: 2 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var views, all sync.WaitGroup
	views.Add(4)
	for range 4 {
		all.Go(func() {
			err := s.View(t.Context(), func(iam.Tx) error {
				views.Done()
				views.Wait() // until each has a connection
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	between.silence()
	look := func() error { return s.View(t.Context(), func(iam.Tx) error { return nil }) }
	if err := look(); !errors.Is(err, iam.ErrUnavailable) {
		t.Errorf("on a connection that fell silent: %v", err)
	}
	if err := look(); err != nil {
		t.Errorf("on a new one: %v", err)
	}
}

// gate passes connections on to a server, until they are silenced.
type gate struct {
	net.Listener
	mu     sync.Mutex
	silent *atomic.Bool // under mu: of the connections since the last silence
}

func newGate(t *testing.T, server string) *gate {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{Listener: l, silent: new(atomic.Bool)}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			g.mu.Lock()
			silent := g.silent
			g.mu.Unlock()
			go func() {
				defer client.Close()
				upstream, err := net.Dial("tcp", server)
				if err != nil {
					return
				}
				defer upstream.Close()
				go func() { _, _ = io.Copy(client, upstream) }()
				_, _ = io.Copy(valve{upstream, silent}, client)
			}()
		}
	}()
	return g
}

// silence drops what comes in by the present connections.
func (g *gate) silence() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.silent.Store(true)
	g.silent = new(atomic.Bool)
}

// valve drops what is written once it is silent.
type valve struct {
	io.Writer
	silent *atomic.Bool
}

func (v valve) Write(p []byte) (int, error) {
	if v.silent.Load() {
		return len(p), nil
	}
	return v.Writer.Write(p)
}
