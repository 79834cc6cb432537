package server

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// stopped is a process whose clocks went on while it stood still: to the code in it, a jump.
type stopped struct{ jump atomic.Int64 }

func (s *stopped) now() time.Time { return time.Now().Add(time.Duration(s.jump.Load())) }

func TestStandstill(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		var process stopped
		var lessons atomic.Int32
		s := newStandstill(process.now, func(ctx context.Context) {
			lessons.Add(1)
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
			}
		})
		go func() { _ = s.Run(ctx) }()
		time.Sleep(10 * time.Second)
		began := time.Now()
		if err := s.Wait(ctx); err != nil || time.Since(began) > 0 || lessons.Load() > 0 {
			t.Fatalf("a process that runs waits for %v, %v, learns %d times", time.Since(began), err, lessons.Load())
		}

		process.jump.Store(int64(time.Minute))
		for range 3 {
			go func() { _ = s.Wait(ctx) }()
		}
		if err := s.Wait(ctx); err != nil || time.Since(began) != time.Second || lessons.Load() != 1 {
			t.Errorf("after a standstill: waits for %v, %v, learns %d times; want 1s, once", time.Since(began), err, lessons.Load())
		}
		if err := s.Wait(ctx); err != nil || time.Since(began) != time.Second {
			t.Errorf("waits again: %v, %v", time.Since(began), err)
		}

		// One that nobody calls learns all the same; a call that comes while it does waits for the end.
		process.jump.Store(int64(2 * time.Minute))
		time.Sleep(beatEvery)
		synctest.Wait()
		if lessons.Load() != 2 {
			t.Errorf("learns %d times, want twice", lessons.Load())
		}
		// It stands still again while it learns: what was asked before may be old.
		process.jump.Store(int64(3 * time.Minute))
		if err := s.Wait(ctx); err != nil || lessons.Load() != 3 {
			t.Errorf("stood still twice: %v, learns %d times, want 3", err, lessons.Load())
		}

		process.jump.Store(int64(4 * time.Minute))
		hurried, cancel := context.WithTimeout(ctx, time.Millisecond)
		defer cancel()
		if err := s.Wait(hurried); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a caller that leaves gets %v", err)
		}
		stop()
		time.Sleep(2 * learnWithin)
	})
}
