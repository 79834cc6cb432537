package redis

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestBreaker(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var b breaker
		try := func(want bool, o outcome) {
			t.Helper()
			if got := b.allow(); got != want {
				t.Fatalf("allow = %v, want %v", got, want)
			} else if got {
				b.report(o)
			}
		}
		try(true, failed)
		try(true, failed)
		try(true, succeeded) // failures count in a row
		try(true, failed)
		try(true, unknown) // who left says nothing
		try(true, failed)
		try(true, failed)
		try(false, 0) // open

		for _, pause := range []time.Duration{firstPause, 2 * firstPause, 4 * firstPause, longPause, longPause} {
			time.Sleep(pause - 1)
			try(false, 0)
			time.Sleep(time.Nanosecond)
			if !b.allow() {
				t.Fatal("no probe after the pause")
			}
			try(false, 0) // one probe at a time
			b.report(failed)
			try(false, 0)
		}
		time.Sleep(longPause)
		try(true, unknown)   // a probe whose caller left lets the next one try
		try(true, succeeded) // closed
		try(true, succeeded)
		try(true, failed)
		try(true, failed)
		try(true, failed)
		time.Sleep(firstPause) // the pause starts anew
		try(true, succeeded)
	})
}
