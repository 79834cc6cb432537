package mfa_test

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stint-sts/stint/mfa"
	"github.com/stint-sts/stint/secret"
)

// start is the beginning of a step.
var start = time.Unix(1_800_000_000, 0).UTC()

const step = 30 * time.Second

// state is a guard and a throttle in memory with the rules of session, which the engine does not import.
type state struct {
	mu       sync.Mutex
	consumed map[string]time.Time
	failures map[string]int
	calls    []string
	err      map[string]error // by method
}

func newState() *state {
	return &state{consumed: make(map[string]time.Time), failures: make(map[string]int), err: make(map[string]error)}
}

const free = 5

func (s *state) Consume(_ context.Context, name string, _, until time.Time) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, "Consume")
	if _, taken := s.consumed[name]; taken {
		return false, s.err["Consume"]
	}
	s.consumed[name] = until
	return s.err["Consume"] == nil, s.err["Consume"]
}

func (s *state) Attempt(_ context.Context, name string) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, "Attempt")
	if s.failures[name] >= free {
		return false, s.err["Attempt"]
	}
	s.failures[name]++
	return s.err["Attempt"] == nil, s.err["Attempt"]
}

func (s *state) Succeed(_ context.Context, name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, "Succeed")
	delete(s.failures, name)
	return s.err["Succeed"]
}

// clock is a verifier at an instant that a test moves.
type clock struct {
	*mfa.Verifier
	*state
	now time.Time
}

func newClock() *clock {
	c := &clock{state: newState(), now: start}
	c.Verifier = mfa.New(mfa.Config{Guard: c.state, Throttle: c.state, Now: func() time.Time { return c.now }})
	return c
}

func newDevice(t *testing.T) *mfa.Device {
	t.Helper()
	seed, err := mfa.NewSeed(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &mfa.Device{ID: "arn:aws:iam::111122223333:mfa/alice/1", Seed: seed}
}

// code is what the device shows so many steps from start.
func code(d *mfa.Device, steps int) secret.String {
	return mfa.CodeAt(d.Seed, start.Unix()/30+int64(steps))
}

// RFC 6238 appendix B, SHA-1. Its codes have eight digits, of which the last six are ours.
func TestVerify_RFC6238(t *testing.T) {
	t.Parallel()
	seed := secret.New(base32.StdEncoding.EncodeToString([]byte("12345678901234567890")))
	for _, row := range []struct {
		at   int64
		code string
	}{
		{59, "94287082"}, {1111111109, "07081804"}, {1111111111, "14050471"},
		{1234567890, "89005924"}, {2000000000, "69279037"}, {20000000000, "65353130"},
	} {
		c, d := newClock(), &mfa.Device{ID: "x", Seed: seed}
		c.now = time.Unix(row.at, 0)
		if err := c.Verify(t.Context(), d, secret.New(row.code[2:])); err != nil {
			t.Errorf("at %d: %v", row.at, err)
		}
	}
}

func TestVerify_Window(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name   string
		offset int           // of the device
		now    time.Duration // from the beginning of step 0
		step   int           // whose code is given
		ok     bool
	}{
		{"present step", 0, 0, 0, true},
		{"present step, at its end", 0, step - 1, 0, true},
		{"one step behind", 0, 0, -1, true},
		{"one step ahead", 0, 0, 1, true},
		{"two steps behind", 0, 0, -2, false},
		{"two steps behind, just", 0, step, -1, false},
		{"two steps ahead", 0, step - 1, 2, false},
		{"device five steps ahead", 5, 0, 5, true},
		{"device five steps ahead, one behind that", 5, 0, 4, true},
		{"device five steps ahead, two ahead of that", 5, 0, 7, false},
		{"device five steps ahead shows our step", 5, 0, 0, false},
		{"device nine steps behind", -9, 0, -10, true},
		{"device nine steps behind, one too many", -9, 0, -11, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			c, d := newClock(), newDevice(t)
			d.Offset = row.offset
			c.now = start.Add(row.now)
			wantResult(t, c.Verify(t.Context(), d, code(d, row.step)), row.ok)
		})
	}
}

func wantResult(t *testing.T, err error, ok bool) {
	t.Helper()
	if ok && err != nil || !ok && !errors.Is(err, mfa.ErrInvalidCode) {
		t.Errorf("error %v, want none: %t", err, ok)
	}
}

func TestVerify_Form(t *testing.T) {
	t.Parallel()
	c, d := newClock(), newDevice(t)
	good := code(d, 0).Reveal()
	for name, given := range map[string]string{
		"empty": "", "space before": " " + good, "space after": good + " ", "too short": good[1:], "too long": "0" + good,
		"sign": "+" + good[1:], "fullwidth digits": strings.Map(func(r rune) rune { return r - '0' + '０' }, good),
		"code of another device": code(newDevice(t), 0).Reveal(),
	} {
		if err := c.Verify(t.Context(), d, secret.New(given)); !errors.Is(err, mfa.ErrInvalidCode) {
			t.Errorf("%s: %v, want ErrInvalidCode", name, err)
		}
		clear(c.failures)
	}
	wantResult(t, c.Verify(t.Context(), d, secret.New(good)), true)
}

func TestVerify_BadSeed(t *testing.T) {
	t.Parallel()
	c := newClock()
	for _, given := range []string{"", "000000"} {
		err := c.Verify(t.Context(), &mfa.Device{ID: "x", Seed: secret.New("not base32!")}, secret.New(given))
		wantResult(t, err, false)
	}
}

func TestVerify_CodeWorksOnce(t *testing.T) {
	t.Parallel()
	c, d := newClock(), newDevice(t)
	for _, s := range []int{0, 1, -1} { // each step once, in any order
		wantResult(t, c.Verify(t.Context(), d, code(d, s)), true)
		wantResult(t, c.Verify(t.Context(), d, code(d, s)), false)
		_ = c.Succeed(t.Context(), "mfa/"+d.ID)
	}
	c.now = start.Add(step)
	wantResult(t, c.Verify(t.Context(), d, code(d, 1)), false)
	wantResult(t, c.Verify(t.Context(), d, code(d, 2)), true)
	for name, until := range c.consumed {
		if until.Before(start.Add(22 * time.Minute)) {
			t.Errorf("%s may pass again at %s", name, until)
		}
	}
	other := *d // the same authenticator, another device
	other.ID = "arn:aws:iam::111122223333:mfa/bob/2"
	wantResult(t, c.Verify(t.Context(), &other, code(d, 2)), true)
}

func TestVerify_RacingCallsWithOneCode(t *testing.T) {
	t.Parallel()
	for range 20 {
		c, d := newClock(), newDevice(t)
		var passed atomic.Int32
		var racing sync.WaitGroup
		for range 32 {
			racing.Go(func() {
				err := c.Verify(t.Context(), d, code(d, 0))
				if err == nil {
					passed.Add(1)
				} else if !errors.Is(err, mfa.ErrInvalidCode) {
					t.Error(err)
				}
			})
		}
		racing.Wait()
		if passed.Load() != 1 {
			t.Fatalf("%d of 32 calls passed", passed.Load())
		}
	}
}

func TestVerify_Throttle(t *testing.T) {
	t.Parallel()
	c, d := newClock(), newDevice(t)
	wrong := secret.New("000000")
	fail := func(n int) {
		for range n {
			wantResult(t, c.Verify(t.Context(), d, wrong), false)
		}
	}
	fail(free - 1)
	wantResult(t, c.Verify(t.Context(), d, code(d, -1)), true) // success forgets
	fail(free)
	err := c.Verify(t.Context(), d, code(d, 0))
	if !errors.Is(err, mfa.ErrThrottled) || !errors.Is(err, mfa.ErrInvalidCode) {
		t.Errorf("right code while throttled: %v, want ErrThrottled", err)
	}
	_, err = c.Resync(t.Context(), d, code(d, 0), code(d, 1))
	if !errors.Is(err, mfa.ErrThrottled) {
		t.Errorf("resync while throttled: %v, want ErrThrottled", err)
	}
	clear(c.failures) // the wait is over: the right code had not been consumed
	wantResult(t, c.Verify(t.Context(), d, code(d, 0)), true)
	for range free {
		wantResult(t, c.VerifyUnknown(t.Context(), "AIDAX", wrong), false)
	}
	if err := c.VerifyUnknown(t.Context(), "AIDAX", wrong); !errors.Is(err, mfa.ErrThrottled) {
		t.Errorf("unknown device: %v, want ErrThrottled", err)
	}
}

// What a refusal asks of guard and throttle is the same for a wrong code and an unknown device.
func TestVerify_RefusalsCostTheSame(t *testing.T) {
	t.Parallel()
	wrong, unknown, d := newClock(), newClock(), newDevice(t)
	for range free + 2 {
		wantResult(t, wrong.Verify(t.Context(), d, secret.New("000000")), false)
		wantResult(t, unknown.VerifyUnknown(t.Context(), "AIDAX", secret.New("000000")), false)
	}
	if got, want := fmt.Sprint(unknown.calls), fmt.Sprint(wrong.calls); got != want {
		t.Errorf("unknown device: %s\nwrong code:     %s", got, want)
	}
}

func TestVerify_FailsClosed(t *testing.T) {
	t.Parallel()
	down := errors.New("down")
	for _, method := range []string{"Attempt", "Consume", "Succeed"} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			c, d := newClock(), newDevice(t)
			wantResult(t, c.Verify(t.Context(), d, code(d, -1)), true)
			c.err[method] = down
			if err := c.Verify(t.Context(), d, code(d, 0)); !errors.Is(err, down) || errors.Is(err, mfa.ErrInvalidCode) {
				t.Errorf("Verify: %v", err)
			}
			if err := c.Enable(t.Context(), d, code(d, 0), code(d, 1)); err == nil {
				t.Error("Enable passes")
			}
			if _, err := c.Resync(t.Context(), d, code(d, 5), code(d, 6)); !errors.Is(err, down) {
				t.Errorf("Resync: %v", err)
			}
		})
	}
	c := newClock()
	c.err["Attempt"] = down
	if err := c.VerifyUnknown(t.Context(), "AIDAX", secret.New("000000")); !errors.Is(err, down) {
		t.Errorf("VerifyUnknown: %v", err)
	}
}

func TestEnable(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name          string
		first, second int // steps
		used          []int
		ok            bool
	}{
		{name: "the last code and the present one", first: -1, second: 0, ok: true},
		{name: "the two before", first: -2, second: -1, ok: true},
		{name: "the present code and the next one", first: 0, second: 1, ok: true},
		{name: "too old", first: -3, second: -2},
		{name: "from the future", first: 1, second: 2},
		{name: "in the wrong order", first: 0, second: -1},
		{name: "one code twice", first: 0, second: 0},
		{name: "not consecutive", first: -1, second: 1},
		{name: "first is used", first: -1, second: 0, used: []int{-1}},
		{name: "second is used", first: -1, second: 0, used: []int{0}},
		{name: "one before is used", first: 0, second: 1, used: []int{-1}, ok: true},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			c, d := newClock(), newDevice(t)
			for _, s := range row.used {
				wantResult(t, c.Verify(t.Context(), d, code(d, s)), true)
			}
			wantResult(t, c.Enable(t.Context(), d, code(d, row.first), code(d, row.second)), row.ok)
			if row.ok && row.first >= -1 {
				wantResult(t, c.Verify(t.Context(), d, code(d, row.first)), false)
				wantResult(t, c.Verify(t.Context(), d, code(d, row.second)), false)
			}
		})
	}
}

func TestResync(t *testing.T) {
	t.Parallel()
	for _, drift := range []int{0, 1, -1, 7, -13, 20, -20} {
		c, d := newClock(), newDevice(t)
		offset, err := c.Resync(t.Context(), d, code(d, drift-1), code(d, drift))
		if err != nil || offset != drift {
			t.Errorf("drift of %d steps: offset %d, %v", drift, offset, err)
		}
		d.Offset = offset
		wantResult(t, c.Verify(t.Context(), d, code(d, drift)), false) // the resync consumed it
		wantResult(t, c.Verify(t.Context(), d, code(d, drift+1)), true)
	}
	for _, row := range []struct{ first, second int }{{20, 21}, {-22, -21}, {3, 2}, {2, 4}, {5, 5}} {
		c, d := newClock(), newDevice(t)
		if _, err := c.Resync(t.Context(), d, code(d, row.first), code(d, row.second)); !errors.Is(err, mfa.ErrInvalidCode) {
			t.Errorf("codes of steps %d and %d: %v", row.first, row.second, err)
		}
	}
}

// A resync cannot make a code good again that was used: not even one that moves the clock back as far as it can.
func TestResync_RevivesNoCode(t *testing.T) {
	t.Parallel()
	c, d := newClock(), newDevice(t)
	d.Offset = 20
	wantResult(t, c.Verify(t.Context(), d, code(d, 21)), true) // the farthest step that is ever accepted
	d.Offset = -20
	c.now = start.Add(42 * step)
	for name, until := range c.consumed {
		if !until.After(c.now.Add(step)) {
			t.Errorf("%s may pass again at %s", name, until)
		}
	}
	wantResult(t, c.Verify(t.Context(), d, code(d, 21)), false)
	c.now = start.Add(43 * step)
	c.consumed = make(map[string]time.Time)
	wantResult(t, c.Verify(t.Context(), d, code(d, 21)), false) // by its step alone
}

func TestVerify_AgreesWithOathtool(t *testing.T) {
	t.Parallel()
	oathtool := mfaTool(t, "oathtool", "oathtool")
	for i := range 20 {
		c, d := newClock(), newDevice(t)
		c.now = start.Add(time.Duration(i) * 7919 * time.Hour)
		out, err := exec.CommandContext(t.Context(), oathtool, "--totp", "--base32", "--now", c.now.Format("2006-01-02 15:04:05 UTC"),
			"--window", "1", d.Seed.Reveal()).Output()
		if err != nil {
			t.Fatal(err)
		}
		codes := strings.Fields(string(out)) // of this step and the next one
		if len(codes) != 2 {
			t.Fatalf("oathtool says %q", out)
		}
		wantResult(t, c.Enable(t.Context(), d, secret.New(codes[0]), secret.New(codes[1])), true)
	}
}

func BenchmarkVerify(b *testing.B) {
	c := newClock()
	seed, err := mfa.NewSeed(rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	d := &mfa.Device{ID: "x", Seed: seed}
	right := mfa.CodeAt(seed, start.Unix()/30)
	b.ReportAllocs()
	for b.Loop() {
		clear(c.consumed)
		c.calls = c.calls[:0]
		if err := c.Verify(b.Context(), d, right); err != nil {
			b.Fatal(err)
		}
	}
}

// A principal with several devices does not say which of them shows the code.
func TestVerifyAny(t *testing.T) {
	t.Parallel()
	c := newClock()
	phone, laptop, late := newDevice(t), newDevice(t), newDevice(t)
	phone.ID, laptop.ID, late.ID = "phone", "laptop", "late"
	late.Offset = -5
	devices := []*mfa.Device{phone, laptop, late}
	for _, row := range []struct {
		name string
		code secret.String
		want int // device; -1: refused
	}{
		{"a code of the first device", code(phone, 0), 0},
		{"the same code again", code(phone, 0), -1},
		{"a code of the second device", code(laptop, 1), 1},
		{"a code of a device whose clock is late", code(late, -5), 2},
		{"a code of that device by our clock", code(late, 1), -1},
		{"a code of nobody", code(newDevice(t), 0), -1},
		{"no code", secret.String{}, -1},
	} {
		got, err := c.VerifyAny(t.Context(), devices, row.code)
		if row.want < 0 && !errors.Is(err, mfa.ErrInvalidCode) || row.want >= 0 && (err != nil || got != row.want) {
			t.Errorf("%s: device %d, %v; want %d", row.name, got, err, row.want)
		}
	}
	if _, err := c.VerifyAny(t.Context(), nil, code(phone, 1)); !errors.Is(err, mfa.ErrInvalidCode) {
		t.Errorf("without devices: %v", err)
	}
}

func TestVerifyAny_Throttle(t *testing.T) {
	t.Parallel()
	c := newClock()
	phone, laptop := newDevice(t), newDevice(t)
	phone.ID, laptop.ID = "phone", "laptop"
	devices, wrong := []*mfa.Device{phone, laptop}, code(newDevice(t), 0)
	for range free - 1 {
		if _, err := c.VerifyAny(t.Context(), devices, wrong); !errors.Is(err, mfa.ErrInvalidCode) || errors.Is(err, mfa.ErrThrottled) {
			t.Fatalf("a wrong code: %v", err)
		}
	}
	if _, err := c.VerifyAny(t.Context(), devices, code(laptop, 0)); err != nil {
		t.Fatalf("the last attempt before the wait: %v", err)
	}
	if len(c.failures) != 0 {
		t.Errorf("a right code of one device leaves failures: %v", c.failures)
	}
	for range free {
		_ = c.Verify(t.Context(), phone, wrong)
	}
	if got, err := c.VerifyAny(t.Context(), devices, code(laptop, 1)); err != nil || got != 1 {
		t.Errorf("a device waits, the other does not: device %d, %v", got, err)
	}
	for range free {
		_, _ = c.VerifyAny(t.Context(), devices, wrong)
	}
	if _, err := c.VerifyAny(t.Context(), devices, code(phone, 0)); !errors.Is(err, mfa.ErrThrottled) {
		t.Errorf("a right code while both wait: %v", err)
	}
}

func TestVerifyAny_FailsClosed(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"Attempt", "Consume", "Succeed"} {
		c, d := newClock(), newDevice(t)
		c.err[method] = errors.New("down")
		if _, err := c.VerifyAny(t.Context(), []*mfa.Device{d}, code(d, 0)); err == nil || errors.Is(err, mfa.ErrInvalidCode) {
			t.Errorf("%s is down: %v", method, err)
		}
	}
}

// sinceOf is what a Guard is told of the first use.
type sinceOf struct {
	*state
	since []time.Time
}

func (g *sinceOf) Consume(ctx context.Context, name string, since, until time.Time) (bool, error) {
	g.since = append(g.since, since)
	return g.state.Consume(ctx, name, since, until)
}

// A guard that has lost what it knew must refuse what may have been used before, and no more.
func TestVerifier_TellsSinceWhenACodeMayHaveBeenUsed(t *testing.T) {
	t.Parallel()
	const long = 22 * time.Minute
	for name, row := range map[string]struct {
		change func(*mfa.Device)
		want   time.Duration // before now
	}{
		"a device of long ago: when its step came into the window, by any clock": {func(*mfa.Device) {}, 90 * time.Second},
		"its offset was found long ago":                                          {func(d *mfa.Device) { d.OffsetSet = start.Add(-time.Hour) }, 90 * time.Second},
		"its offset was another just now":                                        {func(d *mfa.Device) { d.OffsetSet = start.Add(-time.Minute) }, long},
		"its offset was another just now, and it is new":                         {func(d *mfa.Device) { d.OffsetSet, d.Made = start.Add(-time.Minute), start.Add(-2*time.Minute) }, 3 * time.Minute},
		"it was made before the step came into the window":                       {func(d *mfa.Device) { d.Made = start.Add(-10 * time.Minute) }, 90 * time.Second},
		"it was made just now":                                                   {func(d *mfa.Device) { d.Made = start }, time.Minute},
	} {
		guard := &sinceOf{state: newState()}
		v := mfa.New(mfa.Config{Guard: guard, Throttle: guard.state, Now: func() time.Time { return start }})
		d := newDevice(t)
		row.change(d)
		if err := v.Verify(t.Context(), d, mfa.CodeAt(d.Seed, start.Unix()/30)); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := start.Sub(guard.since[0]); got < row.want || got > row.want+30*time.Second {
			t.Errorf("%s: since %v ago, want %v", name, got, row.want)
		}
	}
}
