package signer

import (
	"context"
	"time"
)

const (
	// refreshPause is the least time between two refreshes: tokens with made-up keys cost the store one look-up a second.
	refreshPause = time.Second
	// refreshTimeout bounds how long a token waits for one.
	refreshTimeout = 2 * time.Second
)

// current returns the ring to sign and judge with. Nodes look into the store several times in Config.PublishDelay. One that has not
// done so for half of it was paused, and a whole rotation, or the removal of a stolen key, may have passed it by: it looks first. A
// store that does not answer leaves it with the ring that it has.
func (s *Signer) current(now time.Time) *keyRing {
	ring := s.ring.Load()
	if !s.paused(now) {
		return ring
	}
	return s.refresh(ring)
}

func (s *Signer) paused(now time.Time) bool {
	return time.Duration(now.UnixNano()-s.looked.Load()) > s.cfg.PublishDelay/2
}

// refresh looks into the store, unless another caller has just done so, and returns the ring that is then in use. ring is the one that
// the caller has.
func (s *Signer) refresh(ring *keyRing) *keyRing {
	s.refreshing.Lock()
	defer s.refreshing.Unlock()
	if next := s.ring.Load(); next != ring {
		return next // somebody else has found it while the caller waited
	}
	if since := s.cfg.Now().Sub(s.refreshed); since >= 0 && since < refreshPause {
		return ring
	}
	// The caller's context is not asked: what is found is for everybody, and a client that leaves must not keep others from it.
	ctx, cancel := context.WithTimeout(context.Background(), refreshTimeout)
	defer cancel()
	_ = s.Reload(ctx) // Maintain meets the same error, and its caller logs it
	s.refreshed = s.cfg.Now()
	return s.ring.Load()
}
