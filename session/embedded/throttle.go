package embedded

import (
	"context"
	"maps"
	"sync"

	"github.com/stint-sts/stint/session"
)

// wait is what is known of failures under a name.
type wait struct {
	failures  int64 // 0: none
	until     int64 // milliseconds since 1970: before, nothing may be tried
	forgotten int64 // milliseconds since 1970: from then on it is as if there had been none
}

// throttles holds the waits of some names. Its lock is held while a wait is written to the journal: the last frame of a name is what is
// in memory.
type throttles struct {
	mu    sync.Mutex
	waits map[guardName]wait
}

// Attempt implements session.Throttle.
func (s *Store) Attempt(_ context.Context, name string) (allowed bool, err error) {
	if err := session.CheckThrottle(name); err != nil {
		return false, err
	}
	hash, b := guardNameOf(name), s.cfg.Backoff
	s.turn.RLock()
	defer s.turn.RUnlock()
	t := &s.guardShard(hash).throttles
	t.mu.Lock()
	defer t.mu.Unlock()
	now := s.cfg.Now().UnixMilli()
	w := t.waits[hash]
	if w.forgotten <= now {
		w = wait{}
	}
	if w.until > now {
		return false, nil
	}
	w.failures++
	w.until = now + b.Wait(int(w.failures)).Milliseconds()
	w.forgotten = w.until + b.Forget.Milliseconds()
	if err := s.writeWait(t, hash, w); err != nil {
		return false, err
	}
	return true, nil
}

// Succeed implements session.Throttle.
func (s *Store) Succeed(_ context.Context, name string) error {
	if err := session.CheckThrottle(name); err != nil {
		return err
	}
	hash := guardNameOf(name)
	s.turn.RLock()
	defer s.turn.RUnlock()
	t := &s.guardShard(hash).throttles
	t.mu.Lock()
	defer t.mu.Unlock()
	return s.writeWait(t, hash, wait{})
}

// writeWait sets a wait in the journal and then in memory. The caller holds the lock of t and its share of s.turn.
func (s *Store) writeWait(t *throttles, name guardName, w wait) error {
	if err := s.journal.append(newThrottleFrame(nil, name, w)); err != nil {
		return err
	}
	s.bytes.Add(t.set(name, w))
	return nil
}

// setWait sets in memory what a file says.
func (s *Store) setWait(name guardName, w wait, now int64) {
	if w.forgotten <= now {
		w = wait{}
	}
	t := &s.guardShard(name).throttles
	t.mu.Lock()
	defer t.mu.Unlock()
	s.bytes.Add(t.set(name, w))
}

// set keeps w, or nothing when there were no failures, and returns by how much that grows a snapshot, in bytes.
func (t *throttles) set(name guardName, w wait) (bytes int64) {
	before := len(t.waits)
	if w.failures == 0 {
		delete(t.waits, name)
	} else {
		t.waits[name] = w
	}
	return int64(len(t.waits)-before) * throttleFrameSize
}

// expire drops what is forgotten by now, and returns by how much that shrinks a snapshot. Names that fail are few: users and devices.
func (t *throttles) expire(now int64) (bytes int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	before := len(t.waits)
	maps.DeleteFunc(t.waits, func(_ guardName, w wait) bool { return w.forgotten <= now })
	return int64(before-len(t.waits)) * throttleFrameSize
}

// waiting returns a copy of the waits that are not forgotten, for a snapshot.
func (t *throttles) waiting(now int64) map[guardName]wait {
	t.mu.Lock()
	defer t.mu.Unlock()
	waits := maps.Clone(t.waits)
	maps.DeleteFunc(waits, func(_ guardName, w wait) bool { return w.forgotten <= now })
	return waits
}
