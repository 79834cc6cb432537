package session_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stint-sts/stint/session"
)

func TestBackoff_Wait(t *testing.T) {
	t.Parallel()
	standard := session.Backoff{}.OrDefaults()
	for failures, want := range map[int]time.Duration{
		0: 0, 4: 0, 5: 30 * time.Second, 6: time.Minute, 7: 2 * time.Minute, 9: 8 * time.Minute, 10: 15 * time.Minute, 1 << 40: 15 * time.Minute,
	} {
		if got := standard.Wait(failures); got != want {
			t.Errorf("after %d failures: %s, want %s", failures, got, want)
		}
	}
	short := session.Backoff{Free: 1, First: time.Hour, Longest: time.Minute}
	if got := short.Wait(1); got != time.Minute {
		t.Errorf("a first wait beyond the longest: %s, want 1m", got)
	}
	if got, want := (session.Backoff{Free: 2, First: 1, Longest: 3, Forget: 4}), (session.Backoff{Free: 2, First: 1, Longest: 3, Forget: 4}); got.OrDefaults() != want {
		t.Errorf("%+v with defaults is %+v", got, got.OrDefaults())
	}
}

// guardFunc is a Guard that answers with a fixed error.
type guardFunc func() error

func (g guardFunc) Consume(context.Context, string, time.Time, time.Time) error { return g() }

func (g guardFunc) Found(context.Context) error { return nil }

func TestOnce(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		err   error
		first bool
		want  error
	}{
		{nil, true, nil},
		{session.ErrConsumed, false, nil},
		{fmt.Errorf("redis: %w", session.ErrConsumed), false, nil},
		{session.ErrUnavailable, false, session.ErrUnavailable},
	} {
		first, err := session.Once{Guard: guardFunc(func() error { return row.err })}.Consume(t.Context(), "n", time.Time{}, time.Time{})
		if first != row.first || !errors.Is(err, row.want) || (err == nil) != (row.want == nil) {
			t.Errorf("guard answers %v: %t, %v", row.err, first, err)
		}
	}
}
