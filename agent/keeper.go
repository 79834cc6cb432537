package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"
)

// Config is what a Keeper needs.
type Config struct {
	Source Source           // required
	Log    *slog.Logger     // required
	Now    func() time.Time // the wall clock; default time.Now
	Rand   func() float64   // jitter, in [0,1); default math/rand/v2
}

// Keeper holds the credentials of one role and renews them in the background. All methods are safe for concurrent use.
//
// Only Run fetches, one fetch at a time, whoever waits: a waiter that leaves ends nothing for the others.
type Keeper struct {
	source Source
	log    *slog.Logger
	now    func() time.Time
	rand   func() float64
	wake   chan struct{} // somebody found that the credentials are due

	mu      sync.Mutex
	held    *held
	failure error         // of the last fetch; nil when it succeeded
	changed chan struct{} // closed and replaced when held or failure change
}

// held are credentials and when they were asked for, by two clocks.
type held struct {
	Credentials
	wall    time.Time // goes on while the machine sleeps, and jumps
	running time.Time // goes on only while the machine runs, and does not jump
}

// age is the greater of both clocks' answers: a machine that slept, and a clock that was set back, both leave credentials older than
// one of them says.
func (h *held) age(wall time.Time) time.Duration { return max(time.Since(h.running), wall.Sub(h.wall)) }

func (h *held) good(wall time.Time) bool { return h != nil && h.age(wall)+margin < h.Lifetime }

const (
	fetchTimeout = 15 * time.Second // one attempt, from the name look-up to the last byte
	clockCheck   = 30 * time.Second // how long a machine that slept may have been awake before it is noticed, when nobody asks
)

// New makes a Keeper. It fetches nothing until Run.
func New(cfg Config) (*Keeper, error) {
	if cfg.Source == nil || cfg.Log == nil {
		return nil, errors.New("agent: Source and Log are required")
	}
	k := &Keeper{source: cfg.Source, log: cfg.Log, now: cfg.Now, rand: cfg.Rand, wake: make(chan struct{}, 1), changed: make(chan struct{})}
	if k.now == nil {
		k.now = time.Now
	}
	if k.rand == nil {
		k.rand = rand.Float64
	}
	return k, nil
}

// wall is the wall clock without the monotonic one, which time.Time would prefer.
func (k *Keeper) wall() time.Time { return k.now().Round(0) }

// Run keeps the credentials fresh until ctx ends.
func (k *Keeper) Run(ctx context.Context) error {
	failures, reason := 0, ""
	for ctx.Err() == nil {
		if wait := k.untilDue(); wait > 0 {
			sleep(ctx, min(wait, clockCheck), k.wake)
			continue
		}
		err := k.fetch(ctx)
		switch {
		case ctx.Err() != nil:
		case err == nil:
			failures, reason = 0, ""
		default:
			reason = k.logFailure(err, failures, reason)
			sleep(ctx, k.pause(err, failures), nil)
			failures++
		}
	}
	return nil
}

// sleep returns after d, or when ctx ends, or early has something.
func sleep(ctx context.Context, d time.Duration, early <-chan struct{}) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-early:
	case <-ctx.Done():
	}
}

// untilDue is how long the credentials need no renewal.
func (k *Keeper) untilDue() time.Duration {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.held == nil {
		return 0
	}
	return k.held.refreshAfter() - k.held.age(k.wall())
}

// fetch asks the source once. What was held before stays when that fails.
func (k *Keeper) fetch(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	fetched := &held{wall: k.wall(), running: time.Now()} // before the call: its time counts against the credentials
	var err error
	if fetched.Credentials, err = k.source.Fetch(ctx); err == nil {
		err = fetched.check()
	}
	k.mu.Lock()
	if k.failure = err; err == nil {
		k.held = fetched
	}
	close(k.changed)
	k.changed = make(chan struct{})
	k.mu.Unlock()
	if err == nil {
		k.log.Info("credentials fetched", "access_key_id", fetched.AccessKeyID, "expiration", fetched.Expiration, "lifetime", fetched.Lifetime)
	}
	return err
}

// logFailure logs the attempts 1, 2, 4, 8, …, since an outage of hours must not fill a disk, and those that the server refuses for another
// reason than before.
func (k *Keeper) logFailure(err error, failures int, before string) (reason string) {
	if refusal, refused := errors.AsType[*Refusal](err); refused {
		reason = refusal.Code
	}
	if n := failures + 1; n&(n-1) == 0 || reason != before {
		k.log.Warn("credentials not fetched", "error", err, "attempts", n, "old_ones_still_good", k.IsReady())
	}
	return reason
}

// pause is how long to wait after the given number of earlier failures in a row: exponential with full jitter (AWS Architecture Blog,
// "Exponential Backoff And Jitter"), above a floor that keeps a run of small random numbers from becoming a busy loop.
func (k *Keeper) pause(err error, failures int) time.Duration {
	floor, ceiling, most := 50*time.Millisecond, 200*time.Millisecond, 5*time.Second // somebody waits
	if k.IsReady() {
		most = 30 * time.Second
	}
	if _, refused := errors.AsType[*Refusal](err); refused {
		floor, ceiling, most = 2*time.Second, 5*time.Second, time.Minute
	}
	ceiling = min(most, ceiling<<min(failures, 16))
	return floor + time.Duration(k.rand()*float64(ceiling-floor))
}

// Credentials returns the credentials, waiting for the first ones until ctx ends; its error then matches ErrNotReady. While the
// server refuses, it returns the *Refusal at once.
func (k *Keeper) Credentials(ctx context.Context) (Credentials, error) {
	for {
		c, changed, failure := k.look()
		if c != nil {
			return *c, nil
		}
		if _, refused := errors.AsType[*Refusal](failure); refused {
			return Credentials{}, failure
		}
		select {
		case <-changed:
		case <-ctx.Done():
			if failure == nil {
				failure = ctx.Err()
			}
			return Credentials{}, fmt.Errorf("%w: %w", ErrNotReady, failure)
		}
	}
}

// Ready waits until there are credentials, however often the server refuses before, and returns ctx's error when it ends.
func (k *Keeper) Ready(ctx context.Context) error {
	for {
		c, changed, _ := k.look()
		if c != nil {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// IsReady reports whether there are credentials now.
func (k *Keeper) IsReady() bool {
	c, _, _ := k.look()
	return c != nil
}

// look returns the credentials when they may be handed out, what is closed by the next fetch, and why the last one failed.
func (k *Keeper) look() (c *Credentials, changed <-chan struct{}, failure error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	wall := k.wall()
	if k.held == nil || k.held.age(wall) >= k.held.refreshAfter() {
		select {
		case k.wake <- struct{}{}: // Run may sleep by a timer that stood still while the machine slept
		default:
		}
	}
	if k.held.good(wall) {
		c = &k.held.Credentials
	}
	return c, k.changed, k.failure
}
