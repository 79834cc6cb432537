package sessiontest

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stint-sts/stint/session"
)

// RunValues tests a backend's values. Every call of open returns an empty store.
func RunValues(t *testing.T, open func(t *testing.T) session.Values) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, s session.Values)
	}{
		{"what was set is there until it is deleted", testSetValue},
		{"only what is there is replaced", testReplaceValue},
		{"a value ends at its time", testValueEnds},
		{"values out of bounds", testValueInvalid},
		{"racing for a value has one winner", testTakeRace},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.run(t, open(t))
		})
	}
}

func setValue(t *testing.T, s session.Values, name, value string, until time.Time) {
	t.Helper()
	if err := s.SetValue(t.Context(), name, []byte(value), until); err != nil {
		t.Fatalf("SetValue: %v", err)
	}
}

// wantValue fails the test when name does not have the value; "": none.
func wantValue(t *testing.T, s session.Values, name, want string) {
	t.Helper()
	got, err := s.Value(t.Context(), name)
	if want == "" && !errors.Is(err, session.ErrNotFound) {
		t.Errorf("Value = %d bytes, %v, want ErrNotFound", len(got), err)
	}
	if want != "" && (err != nil || string(got) != want) {
		t.Errorf("Value = %d bytes, %v, want %d bytes", len(got), err, len(want))
	}
}

func testSetValue(t *testing.T, s session.Values) {
	until := time.Now().Add(time.Hour)
	for _, name := range []string{"sign-in/x", "a\x00\xff", strings.Repeat("x", session.MaxGuardName), "{a}b"} {
		wantValue(t, s, name, "")
		for _, value := range []string{"\x00\xff", strings.Repeat("v", session.MaxValue), "third"} {
			setValue(t, s, name, value, until)
			wantValue(t, s, name, value)
		}
	}
	for range 2 {
		if err := s.DeleteValue(t.Context(), "sign-in/x"); err != nil {
			t.Errorf("DeleteValue: %v", err)
		}
		wantValue(t, s, "sign-in/x", "")
	}
	if got, err := s.TakeValue(t.Context(), "{a}b"); err != nil || string(got) != "third" {
		t.Errorf("TakeValue = %q, %v", got, err)
	}
	wantValue(t, s, "{a}b", "")
}

func testReplaceValue(t *testing.T, s session.Values) {
	until := time.Now().Add(time.Hour)
	if err := s.ReplaceValue(t.Context(), "n", []byte("new"), until); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("where nothing is: %v, want ErrNotFound", err)
	}
	wantValue(t, s, "n", "")
	setValue(t, s, "n", "old", until)
	if err := s.ReplaceValue(t.Context(), "n", []byte("new"), until); err != nil {
		t.Errorf("ReplaceValue: %v", err)
	}
	wantValue(t, s, "n", "new")
}

func testValueEnds(t *testing.T, s session.Values) {
	until := time.Now().Add(200 * time.Millisecond)
	setValue(t, s, "n", "v", until)
	poll(t, func() bool {
		_, err := s.Value(t.Context(), "n")
		if err != nil && !errors.Is(err, session.ErrNotFound) {
			t.Fatal(err)
		}
		return err != nil
	})
	if err := s.ReplaceValue(t.Context(), "n", []byte("v"), time.Now().Add(time.Hour)); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("replaced after its time: %v, want ErrNotFound", err)
	}
}

func testValueInvalid(t *testing.T, s session.Values) {
	hour := time.Now().Add(time.Hour)
	for _, row := range []struct {
		name, key, value string
		until            time.Time
	}{
		{"no name", "", "v", hour},
		{"name too long", strings.Repeat("x", session.MaxGuardName+1), "v", hour},
		{"no value", "n", "", hour},
		{"value too long", "n", strings.Repeat("v", session.MaxValue+1), hour},
		{"time that has passed", "n", "v", time.Now().Add(-time.Second)},
		{"time too far away", "n", "v", time.Now().Add(session.MaxGuardTime + time.Hour)},
	} {
		if err := s.SetValue(t.Context(), row.key, []byte(row.value), row.until); !errors.Is(err, session.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", row.name, err)
		}
	}
	if _, err := s.Value(t.Context(), ""); !errors.Is(err, session.ErrInvalid) {
		t.Errorf("value without a name: %v, want ErrInvalid", err)
	}
	setValue(t, s, "n", "v", hour)
}

func testTakeRace(t *testing.T, s session.Values) {
	setValue(t, s, "n", "v", time.Now().Add(time.Hour))
	var winners atomic.Int32
	var racing sync.WaitGroup
	for range 16 {
		racing.Go(func() {
			switch _, err := s.TakeValue(t.Context(), "n"); {
			case err == nil:
				winners.Add(1)
			case !errors.Is(err, session.ErrNotFound):
				t.Errorf("TakeValue: %v", err)
			}
		})
	}
	racing.Wait()
	if winners.Load() != 1 {
		t.Errorf("%d callers took it", winners.Load())
	}
}
