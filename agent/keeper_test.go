package agent_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stint-sts/stint/agent"
	"github.com/stint-sts/stint/secret"
)

// fakeSource hands out credentials named by their number, after what its fields say.
type fakeSource struct {
	mu       sync.Mutex
	fetches  []time.Time
	lifetime time.Duration
	takes    time.Duration
	err      error
	spoil    func(*agent.Credentials)
}

func (s *fakeSource) Fetch(ctx context.Context) (agent.Credentials, error) {
	s.mu.Lock()
	s.fetches = append(s.fetches, time.Now())
	n, takes := len(s.fetches), s.takes
	s.mu.Unlock()
	select {
	case <-time.After(takes):
	case <-ctx.Done():
		return agent.Credentials{}, ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return agent.Credentials{}, s.err
	}
	c := agent.Credentials{
		AccessKeyID: fmt.Sprint("key-", n), SecretAccessKey: secret.New("secret"), SessionToken: secret.New("token"),
		Expiration: time.Now().Add(s.lifetime), Lifetime: s.lifetime,
	}
	if s.spoil != nil {
		s.spoil(&c)
	}
	return c, nil
}

func (s *fakeSource) set(change func(*fakeSource)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

func (s *fakeSource) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.fetches)
}

// world is a keeper that runs in a synctest bubble.
type world struct {
	t      *testing.T
	source *fakeSource
	keeper *agent.Keeper
	jump   time.Duration // of the wall clock
	random float64
	mu     sync.Mutex
	log    strings.Builder
}

func (w *world) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.Write(p)
}

func (w *world) setJump(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.jump = d
}

// inWorld runs test in a bubble with a running keeper.
func inWorld(t *testing.T, source *fakeSource, test func(w *world)) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, source: source, random: 0.5}
		k, err := agent.New(agent.Config{
			Source: source, Log: slog.New(slog.NewTextHandler(w, nil)), Rand: func() float64 { return w.random },
			Now: func() time.Time {
				w.mu.Lock()
				defer w.mu.Unlock()
				return time.Now().Round(0).Add(w.jump)
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		w.keeper = k
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = k.Run(ctx)
		}()
		synctest.Wait()
		test(w)
		cancel()
		<-done
	})
}

// key asks with a bound, and returns the access key id or the error.
func (w *world) key(bound time.Duration) (string, error) {
	ctx, cancel := context.WithTimeout(w.t.Context(), bound)
	defer cancel()
	c, err := w.keeper.Credentials(ctx)
	return c.AccessKeyID, err
}

func (w *world) want(key string) {
	w.t.Helper()
	if got, err := w.key(time.Minute); err != nil || got != key {
		w.t.Errorf("got %q, %v, want %s", got, err, key)
	}
}

func after(d time.Duration) {
	time.Sleep(d) // the bubble's clock
	synctest.Wait()
}

func TestKeeper_RefreshesAtTwoThirdsOfLife(t *testing.T) {
	t.Parallel()
	inWorld(t, &fakeSource{lifetime: time.Hour}, func(w *world) {
		w.want("key-1")
		after(40*time.Minute - time.Second)
		if n := w.source.count(); n != 1 {
			t.Errorf("%d fetches before two thirds of the life", n)
		}
		after(2 * time.Second) // nobody asks
		if n := w.source.count(); n != 2 {
			t.Errorf("%d fetches after two thirds of the life", n)
		}
		w.want("key-2")
		after(10 * time.Hour)
		if n := w.source.count(); n != 17 {
			t.Errorf("%d fetches in 10 h 40 min, want one in 40 minutes", n)
		}
	})
}

func TestKeeper_OneFetchForManyWaiters(t *testing.T) {
	t.Parallel()
	inWorld(t, &fakeSource{lifetime: time.Hour, takes: 3 * time.Second}, func(w *world) {
		impatient, err := w.key(time.Second)
		if !errors.Is(err, agent.ErrNotReady) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a waiter that leaves gets %q, %v", impatient, err)
		}
		var waiters sync.WaitGroup
		for range 100 {
			waiters.Go(func() { w.want("key-1") })
		}
		waiters.Wait()
		if n := w.source.count(); n != 1 {
			t.Errorf("%d fetches", n)
		}
	})
}

func TestKeeper_StartBeforeTheServer(t *testing.T) {
	t.Parallel()
	inWorld(t, &fakeSource{lifetime: time.Hour, err: errors.New("connection refused")}, func(w *world) {
		if _, err := w.key(10 * time.Second); !errors.Is(err, agent.ErrNotReady) || !strings.Contains(err.Error(), "connection refused") {
			t.Errorf("error is %v", err)
		}
		got := make(chan string)
		go func() {
			key, err := w.key(time.Hour)
			got <- fmt.Sprint(key, err)
		}()
		after(10 * time.Minute)
		before := w.source.count()
		w.source.set(func(s *fakeSource) { s.err = nil })
		began := time.Now()
		if key := <-got; !strings.HasPrefix(key, "key-") {
			t.Errorf("the waiter got %s", key)
		}
		if waited := time.Since(began); waited > 5*time.Second {
			t.Errorf("the waiter had to wait %v after the server was there", waited)
		}
		// With jitter at one half, pauses grow to half of the ceiling of 5 s.
		if before < 200 || before > 300 {
			t.Errorf("%d attempts in ten minutes", before)
		}
		for i, at := range w.source.fetches[1:9] {
			if pause, ceiling := at.Sub(w.source.fetches[i]), 200*time.Millisecond<<i; pause > min(ceiling, 5*time.Second) {
				t.Errorf("pause %d is %v, above its ceiling", i, pause)
			}
		}
		if lines := strings.Count(w.log.String(), "credentials not fetched"); lines > 10 {
			t.Errorf("%d lines of log about %d attempts", lines, before)
		}
	})
}

func TestKeeper_JitterSpansTheCeilingAboveItsFloor(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		random   float64
		min, max int // attempts in a minute
	}{{0, 1190, 1210}, {0.999, 15, 25}} {
		synctest.Test(t, func(t *testing.T) {
			source := &fakeSource{err: errors.New("no route")}
			k, err := agent.New(agent.Config{Source: source, Log: slog.New(slog.DiscardHandler), Rand: func() float64 { return row.random }})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if err := k.Run(ctx); err != nil {
				t.Error(err)
			}
			if n := source.count(); n < row.min || n > row.max {
				t.Errorf("jitter %v: %d attempts in a minute", row.random, n)
			}
		})
	}
}

func TestKeeper_RefusalsAnswerAtOnceAndAreTriedLessOften(t *testing.T) {
	t.Parallel()
	inWorld(t, &fakeSource{lifetime: time.Hour, err: &agent.Refusal{Code: "AccessDenied", Message: "Not authorized"}}, func(w *world) {
		began := time.Now()
		_, err := w.key(time.Hour)
		if refusal, ok := errors.AsType[*agent.Refusal](err); !ok || refusal.Code != "AccessDenied" || time.Since(began) != 0 {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		after(10 * time.Minute)
		if n := w.source.count(); n < 15 || n > 30 {
			t.Errorf("%d attempts in ten minutes", n)
		}
		w.source.set(func(s *fakeSource) { s.err = nil })
		if err := w.keeper.Ready(w.t.Context()); err != nil {
			t.Error(err)
		}
		if key, err := w.key(0); err != nil || !strings.HasPrefix(key, "key-") {
			t.Errorf("after the role was mended: %q, %v", key, err)
		}
	})
}

func TestKeeper_FailedRefreshKeepsTheOldUntilTheyExpire(t *testing.T) {
	t.Parallel()
	for name, failure := range map[string]error{"unreachable": errors.New("no route"), "refused": &agent.Refusal{Code: "AccessDenied"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, &fakeSource{lifetime: time.Hour}, func(w *world) {
				w.want("key-1")
				w.source.set(func(s *fakeSource) { s.err = failure })
				after(time.Hour - 20*time.Second)
				w.want("key-1")
				if w.source.count() < 10 {
					t.Errorf("only %d attempts to renew", w.source.count())
				}
				after(10 * time.Second) // within the margin now
				if key, err := w.key(0); err == nil {
					t.Errorf("%s is handed out at its end", key)
				}
				if w.keeper.IsReady() {
					t.Error("ready without credentials")
				}
				w.source.set(func(s *fakeSource) { s.err = nil })
				if err := w.keeper.Ready(w.t.Context()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestKeeper_NeverHandsOutHalfOrExpiredCredentials(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*agent.Credentials){
		"no access key id": func(c *agent.Credentials) { c.AccessKeyID = "" },
		"no secret":        func(c *agent.Credentials) { c.SecretAccessKey = secret.String{} },
		"no token":         func(c *agent.Credentials) { c.SessionToken = secret.String{} },
		"no expiration":    func(c *agent.Credentials) { c.Expiration = time.Time{} },
		"expired":          func(c *agent.Credentials) { c.Lifetime = -time.Minute },
		"about to expire":  func(c *agent.Credentials) { c.Lifetime = 10 * time.Second },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, &fakeSource{lifetime: time.Hour, spoil: spoil}, func(w *world) {
				if key, err := w.key(time.Minute); !errors.Is(err, agent.ErrNotReady) {
					t.Errorf("handed out %q, %v", key, err)
				}
				w.source.set(func(s *fakeSource) { s.spoil = nil })
				if err := w.keeper.Ready(w.t.Context()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// A laptop that slept wakes up with a wall clock that went on and a monotonic one that stood still, and so did the timers.
func TestKeeper_Clocks(t *testing.T) {
	t.Parallel()
	t.Run("slept past the end", func(t *testing.T) {
		t.Parallel()
		inWorld(t, &fakeSource{lifetime: time.Hour}, func(w *world) {
			w.want("key-1")
			w.setJump(2 * time.Hour)
			w.want("key-2") // the first question waits for new ones
			if n := w.source.count(); n != 2 {
				t.Errorf("%d fetches", n)
			}
		})
	})
	t.Run("slept past two thirds, and nobody asks", func(t *testing.T) {
		t.Parallel()
		inWorld(t, &fakeSource{lifetime: time.Hour}, func(w *world) {
			w.setJump(45 * time.Minute)
			after(31 * time.Second)
			if n := w.source.count(); n != 2 {
				t.Errorf("%d fetches half a minute after it woke up", n)
			}
		})
	})
	t.Run("set back by a day", func(t *testing.T) {
		t.Parallel()
		inWorld(t, &fakeSource{lifetime: time.Hour}, func(w *world) {
			w.setJump(-24 * time.Hour)
			after(41 * time.Minute)
			w.want("key-2")
			w.source.set(func(s *fakeSource) { s.err = errors.New("no route") })
			after(time.Hour)
			if key, err := w.key(0); err == nil {
				t.Errorf("%s is handed out after its end", key)
			}
		})
	})
	t.Run("set forward, then right again", func(t *testing.T) {
		t.Parallel()
		inWorld(t, &fakeSource{lifetime: time.Hour}, func(w *world) {
			w.setJump(365 * 24 * time.Hour)
			w.want("key-2")
			w.setJump(0)
			w.want("key-2")
			after(41 * time.Minute)
			w.want("key-3")
		})
	})
}

func TestKeeper_AttemptsAreBounded(t *testing.T) {
	t.Parallel()
	inWorld(t, &fakeSource{lifetime: time.Hour, takes: 24 * time.Hour}, func(w *world) {
		w.source.set(func(s *fakeSource) { s.takes = 0 }) // the first attempt hangs
		w.want("key-2")
	})
}

func TestKeeper_LogsNoSecret(t *testing.T) {
	t.Parallel()
	inWorld(t, &fakeSource{lifetime: time.Hour}, func(w *world) {
		w.want("key-1")
		if log := w.log.String(); !strings.Contains(log, "key-1") || strings.Contains(log, "secret\"") || strings.Contains(log, "=token") {
			t.Errorf("log: %s", log)
		}
	})
}

func TestNew_Requires(t *testing.T) {
	t.Parallel()
	if _, err := agent.New(agent.Config{}); err == nil {
		t.Error("a keeper without a source")
	}
}
