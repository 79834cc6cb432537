package redis

import (
	"sync"
	"sync/atomic"
	"time"
)

const (
	breakAfter = 3                      // failures in a row
	firstPause = 250 * time.Millisecond // doubles with each failed probe
	longPause  = 2 * time.Second
)

// breaker keeps calls from piling up behind a Redis that does not answer. After breakAfter failures in a row it refuses calls for a pause;
// then one call at a time probes, and its success closes the breaker again.
type breaker struct {
	open atomic.Bool // false: every call passes, without the lock

	mu       sync.Mutex
	failures int
	pause    time.Duration
	until    time.Time
	probing  bool
}

// outcome is how a call went.
type outcome uint8

const (
	succeeded outcome = iota
	failed
	unknown // the caller left before there was an answer
)

// allow reports whether a call may be made. When it may, report must follow.
func (b *breaker) allow() bool {
	if !b.open.Load() {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.probing || time.Now().Before(b.until) {
		return !b.open.Load()
	}
	b.probing = true
	return true
}

// report tells how a call went that allow let through, and returns whether that opened or closed the breaker.
func (b *breaker) report(o outcome) (changed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.probing = false
	switch o {
	case succeeded:
		b.failures, b.pause = 0, 0
		return b.open.Swap(false)
	case failed:
		if b.failures++; b.failures < breakAfter {
			return false
		}
		b.pause = min(max(2*b.pause, firstPause), longPause)
		b.until = time.Now().Add(b.pause)
		return !b.open.Swap(true)
	}
	return false
}
