package redis_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/stint-sts/stint/session"
	"github.com/stint-sts/stint/session/redis"
	"github.com/stint-sts/stint/session/redistest"
)

// follower is a node that follows a bulletin until the test ends.
type follower struct {
	*redis.Bulletin
	ready chan struct{} // has a value for each time that it became ready
	stop  func()

	mu    sync.Mutex
	heard map[string]bool
}

func follow(t *testing.T, b *redis.Bulletin, readyErr func() error) *follower {
	t.Helper()
	f := &follower{Bulletin: b, ready: make(chan struct{}, 100), heard: make(map[string]bool)}
	ctx, stop := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() {
		b.Follow(ctx, func() error {
			if err := readyErr(); err != nil {
				return err
			}
			f.ready <- struct{}{}
			return nil
		}, func(r *session.Revocation) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.heard[r.Credential] = true
		})
	})
	f.stop = sync.OnceFunc(func() { stop(); done.Wait() })
	t.Cleanup(f.stop)
	return f
}

func (f *follower) has(id string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.heard[id]
}

func noErr() error { return nil }

func await(t *testing.T, what string, happened <-chan struct{}) {
	t.Helper()
	select {
	case <-happened:
	case <-time.After(20 * time.Second):
		t.Fatalf("%s: not within 20 s", what)
	}
}

func notice(id string) *session.Revocation {
	now := time.Now().UTC().Truncate(time.Millisecond)
	return &session.Revocation{ID: session.RevocationID(now, id), Account: account, Credential: id, Before: now, Made: now}
}

// bounded is a context for one wait of a test.
func bounded(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestBulletin_EveryNodeHears(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	var nodes []*follower
	for range 3 {
		n := follow(t, open(t, redis.Config{URL: server.URL(), Timeout: 10 * time.Second}).Bulletin(), noErr)
		await(t, "ready", n.ready)
		nodes = append(nodes, n)
	}
	for i := range 20 {
		id := fmt.Sprint("ASIA", i)
		at, err := nodes[i%3].Publish(t.Context(), notice(id))
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		alive, err := nodes[i%3].Heard(bounded(t), at)
		if err != nil || alive != 3 {
			t.Fatalf("heard by %d nodes, %v", alive, err)
		}
		t.Logf("heard by all in %v", time.Since(began))
		for n := range nodes {
			if !nodes[n].has(id) {
				t.Fatalf("confirmed, but node %d has not heard", n)
			}
		}
	}
	nodes[2].stop() // a node that is gone is waited for no longer than it takes to see that
	at, err := nodes[0].Publish(t.Context(), notice("ASIALAST"))
	if err != nil {
		t.Fatal(err)
	}
	if alive, err := nodes[0].Heard(bounded(t), at); err != nil || alive != 2 {
		t.Errorf("heard by %d nodes, %v; want 2", alive, err)
	}
}

func TestBulletin_ANodeThatHasNotReadTheLogHasNotHeard(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	store := open(t, redis.Config{URL: server.URL(), Timeout: 10 * time.Second})
	first := follow(t, store.Bulletin(), noErr)
	await(t, "ready", first.ready)
	at, err := first.Publish(t.Context(), notice("ASIA1"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := first.Heard(bounded(t), at); err != nil {
		t.Fatal(err)
	}
	failing := make(chan struct{}, 100)
	second := follow(t, store.Bulletin(), func() error { failing <- struct{}{}; return errors.New("no log") })
	await(t, "second node tries", failing)
	if alive, err := first.Heard(bounded(t), at); err != nil || alive != 1 {
		t.Errorf("heard by %d nodes, %v; want the first one alone", alive, err)
	}
	second.stop()
}

func TestBulletin_GoesOnAfterRedisWasAway(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	n := follow(t, open(t, redis.Config{URL: server.URL(), Timeout: time.Second}).Bulletin(), noErr)
	await(t, "ready", n.ready)
	server.Kill()
	if _, err := n.Publish(bounded(t), notice("ASIA1")); !errors.Is(err, session.ErrUnavailable) {
		t.Errorf("publishing gives %v, want ErrUnavailable", err)
	}
	brief, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := n.Heard(brief, "1-0"); !errors.Is(err, session.ErrUnavailable) {
		t.Errorf("waiting gives %v, want ErrUnavailable", err)
	}
	server.Restart() // and it lost all
	await(t, "ready again", n.ready)
	at, err := n.Publish(bounded(t), notice("ASIA2"))
	if err != nil {
		t.Fatal(err)
	}
	if alive, err := n.Heard(bounded(t), at); err != nil || alive != 1 || !n.has("ASIA2") {
		t.Errorf("heard by %d nodes, %v", alive, err)
	}
}

func TestBulletin_PassesOverWhatCannotBeRead(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	n := follow(t, open(t, redis.Config{URL: server.URL(), Timeout: 10 * time.Second}).Bulletin(), noErr)
	await(t, "ready", n.ready)
	client := goredis.NewClient(&goredis.Options{Addr: server.Addr})
	t.Cleanup(func() { _ = client.Close() })
	for _, text := range []string{"", "{}", "{", `{"Credential":"ASIA1","New":1}`, string(make([]byte, 20<<10))} {
		if err := client.Do(t.Context(), "xadd", "stint:{rv}log", "*", "r", text).Err(); err != nil {
			t.Fatal(err)
		}
	}
	at, err := n.Publish(t.Context(), notice("ASIA2"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.Heard(bounded(t), at); err != nil || !n.has("ASIA2") || n.has("ASIA1") {
		t.Errorf("after notices that cannot be read: %v", err)
	}
}

// After Redis was wiped, or away for longer than nodes are taken for alive, it knows no nodes. The first that is back does not stand for all.
func TestBulletin_AWipedRedisDoesNotKnowWhoLives(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(*testing.T, *redistest.Server){
		"wiped": func(t *testing.T, server *redistest.Server) {
			_, err := server.Do("flushall")
			must(t, err)
		},
		"started again": func(_ *testing.T, server *redistest.Server) {
			server.Kill()
			server.Restart()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t)
			var nodes []*follower
			for range 3 {
				n := follow(t, open(t, redis.Config{URL: server.URL(), Timeout: time.Second}).Bulletin(), noErr)
				await(t, "ready", n.ready)
				nodes = append(nodes, n)
			}
			lose(t, server)
			var at string
			poll(t, func() (published bool) {
				var err error
				at, err = nodes[0].Publish(t.Context(), notice("ASIA1"))
				return err == nil
			})
			if alive, err := nodes[0].Heard(bounded(t), at); err != nil || alive != 3 {
				t.Errorf("heard by %d nodes, %v; want 3", alive, err)
			}
		})
	}
}

// A node that was held up hears what was published meanwhile before it goes on.
func TestBulletin_CatchUp(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	n := follow(t, open(t, redis.Config{URL: server.URL(), Timeout: time.Second}).Bulletin(), noErr)
	await(t, "ready", n.ready)
	must(t, n.CatchUp(bounded(t)))
	other := open(t, redis.Config{URL: server.URL(), Timeout: 10 * time.Second}).Bulletin()
	for i := range 20 {
		id := fmt.Sprint("ASIA", i)
		if _, err := other.Publish(t.Context(), notice(id)); err != nil {
			t.Fatal(err)
		}
		if err := n.CatchUp(bounded(t)); err != nil || !n.has(id) {
			t.Fatalf("caught up with %v, and has heard: %v", err, n.has(id))
		}
	}
	server.Kill()
	if err := n.CatchUp(bounded(t)); !errors.Is(err, session.ErrUnavailable) {
		t.Errorf("without Redis: %v, want ErrUnavailable", err)
	}
}
