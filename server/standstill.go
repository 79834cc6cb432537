package server

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// standstill notices that this process stood still: a machine that was suspended or migrated, a container that was frozen, a signal. Meanwhile
// others may have revoked sessions and locked out users, and the first calls would be judged by what the node knew before. They wait
// until it has learned what it missed.
type standstill struct {
	learn func(context.Context) // brings the node up to date, or finds that it cannot, by the end of the context
	now   func() time.Time

	beat     atomic.Pointer[time.Time] // when this process was last seen running
	learning atomic.Pointer[lesson]    // nil: nothing is to be learned

	mu sync.Mutex // of writing either
}

type lesson struct {
	done  chan struct{}
	again bool // under mu: the process stood still again meanwhile
}

const (
	beatEvery = 100 * time.Millisecond
	// stoodStill is how long a process is silent that does not just wait for its turn. It is shorter than the second in which a
	// revocation is in force everywhere.
	stoodStill = 500 * time.Millisecond
	// learnWithin bounds how long calls wait. A node that can ask nobody goes on with what it knows, as it does without a standstill.
	learnWithin = 2 * time.Second
)

func newStandstill(now func() time.Time, learn func(context.Context)) *standstill {
	s := &standstill{learn: learn, now: now}
	began := now()
	s.beat.Store(&began)
	return s
}

// Run shows that the process runs, until ctx ends.
func (s *standstill) Run(ctx context.Context) error {
	now := s.now()
	s.beat.Store(&now)
	tick := time.NewTicker(beatEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if s.silent() {
				s.begin(ctx)
				continue
			}
			now := s.now()
			s.beat.Store(&now)
		}
	}
}

// Wait returns at once, or after a standstill once the node is up to date or cannot be brought there. Its error is that of ctx.
func (s *standstill) Wait(ctx context.Context) error {
	var current *lesson
	if s.silent() {
		current = s.begin(ctx)
	} else if current = s.learning.Load(); current == nil { // after silent: begin sets the lesson before the beat
		return nil
	}
	select {
	case <-current.done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// silent reports whether the process was not seen running for long, by the clock of the process or by that of the world: the first one
// stops with some machines.
func (s *standstill) silent() bool {
	now, last := s.now(), *s.beat.Load()
	return now.Sub(last) > stoodStill || now.Round(0).Sub(last.Round(0)) > stoodStill
}

// begin begins a lesson, or has the present one repeated.
func (s *standstill) begin(ctx context.Context) *lesson {
	s.mu.Lock()
	defer s.mu.Unlock()
	current := s.learning.Load()
	switch {
	case current == nil:
		current = &lesson{done: make(chan struct{})}
		s.learning.Store(current)
		go s.teach(context.WithoutCancel(ctx), current)
	case s.silent():
		current.again = true
	}
	now := s.now()
	s.beat.Store(&now)
	return current
}

func (s *standstill) teach(ctx context.Context, l *lesson) {
	for again := true; again; {
		bounded, cancel := context.WithTimeout(ctx, learnWithin)
		s.learn(bounded)
		cancel()
		s.mu.Lock()
		if again, l.again = l.again, false; !again {
			s.learning.Store(nil)
		}
		s.mu.Unlock()
	}
	close(l.done)
}

// catchUp learns what other nodes have done so far: from the directory, and when that does not answer, which sessions are revoked from
// session state.
func (s *Server) catchUp(ctx context.Context) {
	asking, cancel := context.WithTimeout(ctx, learnWithin/2)
	defer cancel()
	err := s.directory.KeepUp(asking)
	if err == nil {
		err = s.revoker.Load(asking)
	}
	if err != nil {
		err = s.revoker.Listen(ctx)
	}
	if err != nil {
		s.log.Warn("this process stood still and cannot learn what it missed", "error", err)
		return
	}
	s.log.Warn("this process stood still; it has learned what it missed")
}
