package sessiontest

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stint-sts/stint/session"
)

// RunThrottle tests a backend's throttle. Every call of open returns a throttle with the given rule that has counted nothing.
func RunThrottle(t *testing.T, open func(t *testing.T, b session.Backoff) session.Throttle) {
	for _, test := range []struct {
		name    string
		backoff session.Backoff
		run     func(t *testing.T, s session.Throttle)
	}{
		{"free attempts, then a wait", session.Backoff{Free: 3, First: time.Hour}, testWait},
		{"success forgets", session.Backoff{Free: 3, First: time.Hour}, testSucceed},
		{"names are apart", session.Backoff{Free: 1, First: time.Hour}, testNamesApart},
		{"waits double", session.Backoff{Free: 1, First: 40 * time.Millisecond, Longest: time.Hour}, testDoubles},
		{"waits have a longest", session.Backoff{Free: 1, First: 40 * time.Millisecond, Longest: 50 * time.Millisecond}, testLongest},
		{"failures are forgotten", session.Backoff{Free: 2, First: time.Hour, Forget: 200 * time.Millisecond}, testForget},
		{"names out of bounds", session.Backoff{}, testThrottleInvalid},
		{"racing attempts are no more than others", session.Backoff{First: time.Hour}, testAttemptRace},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.run(t, open(t, test.backoff))
		})
	}
}

// wantAttempts makes n attempts and fails the test when one is not answered like want.
func wantAttempts(t *testing.T, s session.Throttle, name string, n int, want bool) {
	t.Helper()
	for i := range n {
		if got := attempt(t, s, name); got != want {
			t.Errorf("attempt %d of %d: allowed %t, want %t", i+1, n, got, want)
		}
	}
}

func attempt(t *testing.T, s session.Throttle, name string) bool {
	t.Helper()
	allowed, err := s.Attempt(t.Context(), name)
	if err != nil {
		t.Fatalf("Attempt: %v", err)
	}
	return allowed
}

func succeed(t *testing.T, s session.Throttle, name string) {
	t.Helper()
	if err := s.Succeed(t.Context(), name); err != nil {
		t.Fatalf("Succeed: %v", err)
	}
}

func testWait(t *testing.T, s session.Throttle) {
	for _, name := range []string{"mfa/x", "saml\x00\xff", strings.Repeat("x", session.MaxGuardName), "{a}b", "{a}c"} {
		wantAttempts(t, s, name, 3, true)
		wantAttempts(t, s, name, 3, false)
	}
}

func testSucceed(t *testing.T, s session.Throttle) {
	succeed(t, s, "name") // of which nothing is known
	wantAttempts(t, s, "name", 2, true)
	succeed(t, s, "name")
	wantAttempts(t, s, "name", 3, true)
	succeed(t, s, "name") // that of the third attempt: it ends the wait
	wantAttempts(t, s, "name", 3, true)
	wantAttempts(t, s, "name", 1, false)
}

func testNamesApart(t *testing.T, s session.Throttle) {
	for n := range 50 {
		wantAttempts(t, s, fmt.Sprint(n), 1, true)
	}
	succeed(t, s, "7")
	for n := range 50 {
		wantAttempts(t, s, fmt.Sprint(n), 1, n == 7)
	}
}

// testDoubles asks again and again: no attempt is allowed before its wait is over. How much later is the machine's matter.
func testDoubles(t *testing.T, s session.Throttle) {
	counted := time.Now() // before the attempt from which the wait goes
	wantAttempts(t, s, "name", 1, true)
	for _, wait := range []time.Duration{40, 80, 160, 320} {
		var asked time.Time
		poll(t, func() bool {
			asked = time.Now()
			return attempt(t, s, "name")
		})
		if waited := time.Since(counted); waited < (wait-1)*time.Millisecond { // a millisecond for rounding
			t.Errorf("the wait of %d ms was over after %s", wait, waited)
		}
		counted = asked
	}
}

func testLongest(t *testing.T, s session.Throttle) {
	for range 12 { // unbounded, the waits would be 80 s together
		poll(t, func() bool { return attempt(t, s, "name") })
	}
}

func testForget(t *testing.T, s session.Throttle) {
	wantAttempts(t, s, "name", 1, true)
	end := time.Now().Add(300 * time.Millisecond)
	poll(t, func() bool { return time.Now().After(end) })
	wantAttempts(t, s, "name", 2, true) // with the first one remembered the second of them would have to wait
}

func testThrottleInvalid(t *testing.T, s session.Throttle) {
	for _, name := range []string{"", strings.Repeat("x", session.MaxGuardName+1)} {
		if allowed, err := s.Attempt(t.Context(), name); allowed || !errors.Is(err, session.ErrInvalid) {
			t.Errorf("Attempt with a name of %d bytes: %t, %v, want ErrInvalid", len(name), allowed, err)
		}
		if err := s.Succeed(t.Context(), name); !errors.Is(err, session.ErrInvalid) {
			t.Errorf("Succeed with a name of %d bytes: %v, want ErrInvalid", len(name), err)
		}
	}
	wantAttempts(t, s, "n", 5, true)
}

func testAttemptRace(t *testing.T, s session.Throttle) {
	const runners, names = 16, 20
	for n := range names {
		var allowed atomic.Int32
		var racing sync.WaitGroup
		start := make(chan struct{})
		for range runners {
			racing.Go(func() {
				<-start
				ok, err := s.Attempt(t.Context(), fmt.Sprint(n))
				if err != nil {
					t.Errorf("Attempt: %v", err)
				}
				if ok {
					allowed.Add(1)
				}
			})
		}
		close(start)
		racing.Wait()
		if allowed.Load() != 5 {
			t.Fatalf("%d of %d racing attempts are allowed, want 5", allowed.Load(), runners)
		}
	}
}
