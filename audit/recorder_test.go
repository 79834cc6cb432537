package audit_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stint-sts/stint/audit"
)

// memory is a Sink that keeps its lines; it can block and fail.
type memory struct {
	mu     sync.Mutex
	writes [][]byte
	err    error
	closed bool
	gate   chan struct{} // when not nil, each Write takes one from it first
}

func (m *memory) Write(_ context.Context, lines []byte) error {
	if m.gate != nil {
		<-m.gate
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return m.err
	}
	m.writes = append(m.writes, bytes.Clone(lines))
	return nil
}

func (m *memory) Close() error { m.closed = true; return nil }

func (m *memory) fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.err = err
}

// names returns the names of the events of each write.
func (m *memory) names(t *testing.T) (names [][]string) {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, write := range m.writes {
		var group []string
		for line := range strings.SplitSeq(strings.TrimSuffix(string(write), "\n"), "\n") {
			var event struct{ EventName string }
			if err := json.Unmarshal([]byte(line), &event); err != nil {
				t.Fatalf("%v: %q", err, line)
			}
			group = append(group, event.EventName)
		}
		names = append(names, group)
	}
	return names
}

func newRecorder(t testing.TB, cfg audit.Config) *audit.Recorder {
	t.Helper()
	r, err := audit.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestNew_RefusesBadConfig(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]audit.Config{
		"no sinks":       {},
		"unknown mode":   {Mode: 7, Sinks: []audit.Sink{&memory{}}},
		"negative queue": {QueueBytes: -1, Sinks: []audit.Sink{&memory{}}},
	} {
		if r, err := audit.New(cfg); err == nil || r != nil {
			t.Errorf("%s: New = %v, %v", name, r, err)
		}
	}
}

func TestRecord_FillsInDefaults(t *testing.T) {
	t.Parallel()
	sink := &memory{}
	r := newRecorder(t, audit.Config{
		Sinks: []audit.Sink{sink}, Now: func() time.Time { return eventTime }, Rand: bytes.NewReader(bytes.Repeat([]byte{0xff}, 16)),
	})
	event := &audit.Event{Name: "GetUser"}
	if err := r.Record(t.Context(), event); err != nil {
		t.Fatal(err)
	}
	if event.EventID != "" || !event.Time.IsZero() {
		t.Error("the caller's event was changed")
	}
	for _, want := range []string{
		`"eventTime":"2026-11-28T12:00:00Z"`, `"eventType":"AwsApiCall"`, `"eventID":"ffffffff-ffff-4fff-bfff-ffffffffffff"`,
	} {
		if !strings.Contains(string(sink.writes[0]), want) {
			t.Errorf("no %s in %s", want, sink.writes[0])
		}
	}
	if err := r.Record(t.Context(), event); !errors.Is(err, io.EOF) || r.Stats().Failed != 1 {
		t.Errorf("without randomness Record = %v, %+v", err, r.Stats())
	}
}

// TestRequired_Waits holds the sink and looks at who has returned.
func TestRequired_Waits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sink := &memory{gate: make(chan struct{})}
		r := newRecorder(t, audit.Config{Sinks: []audit.Sink{sink}})
		results := make(chan error, 100)
		record := func(name string) {
			go func() { results <- r.Record(t.Context(), &audit.Event{Name: name}) }()
			synctest.Wait()
		}
		record("first")
		for i := range 10 {
			record(fmt.Sprint(i))
		}
		if len(results) != 0 {
			t.Fatalf("%d calls returned before anything was written", len(results))
		}
		sink.gate <- struct{}{}
		synctest.Wait()
		if len(results) != 1 {
			t.Fatalf("%d calls returned after the first write, want 1", len(results))
		}
		record("late")
		sink.gate <- struct{}{}
		synctest.Wait()
		if len(results) != 11 {
			t.Fatalf("%d calls returned after the second write, want 11", len(results))
		}
		sink.gate <- struct{}{}
		synctest.Wait()
		for range 12 {
			if err := <-results; err != nil {
				t.Error(err)
			}
		}
		if got := fmt.Sprint(sink.names(t)); got != "[[first] [0 1 2 3 4 5 6 7 8 9] [late]]" {
			t.Errorf("writes are %s", got)
		}
		if s := r.Stats(); s != (audit.Stats{Written: 12}) {
			t.Errorf("stats are %+v", s)
		}
	})
}

func TestRequired_CallerThatStopsWaiting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sink := &memory{gate: make(chan struct{})}
		r := newRecorder(t, audit.Config{Sinks: []audit.Sink{sink}, Wait: time.Hour})
		type result struct {
			name string
			err  error
		}
		results := make(chan result, 10)
		record := func(name string, deadline time.Duration) {
			go func() {
				ctx, cancel := context.WithTimeout(t.Context(), deadline)
				defer cancel()
				results <- result{name, r.Record(ctx, &audit.Event{Name: name})}
			}()
			synctest.Wait()
		}
		record("writing", time.Hour)
		record("first of the batch", time.Second)
		record("second", time.Hour)
		record("third", time.Second)
		time.Sleep(time.Minute)
		synctest.Wait()
		for range 2 {
			if got := <-results; !errors.Is(got.err, context.DeadlineExceeded) {
				t.Errorf("%s: %v, want the deadline", got.name, got.err)
			}
		}
		sink.gate <- struct{}{}
		sink.gate <- struct{}{}
		synctest.Wait()
		for range 2 {
			if got := <-results; got.err != nil {
				t.Errorf("%s: %v", got.name, got.err)
			}
		}
		if got := fmt.Sprint(sink.names(t)); got != "[[writing] [first of the batch second third]]" {
			t.Errorf("writes are %s", got)
		}
		if err := r.Close(); err != nil || !sink.closed {
			t.Errorf("Close = %v, sink closed: %v", err, sink.closed)
		}
	})
}

func TestRequired_FullDiskFailsTheCallAndRecovers(t *testing.T) {
	t.Parallel()
	disk, other := &memory{}, &memory{}
	var log bytes.Buffer
	r := newRecorder(t, audit.Config{
		Sinks: []audit.Sink{disk, other}, Log: slog.New(slog.NewTextHandler(&log, nil)), Now: func() time.Time { return eventTime },
	})
	record := func() error { return r.Record(t.Context(), &audit.Event{Name: "x"}) }
	if err := record(); err != nil || r.Healthy() != nil {
		t.Fatalf("with room: %v, %v", err, r.Healthy())
	}
	disk.fail(syscall.ENOSPC)
	for range 3 {
		if err := record(); !errors.Is(err, syscall.ENOSPC) || !errors.Is(r.Healthy(), syscall.ENOSPC) {
			t.Errorf("on a full disk: %v, %v", err, r.Healthy())
		}
	}
	disk.fail(nil)
	if err := record(); err != nil || r.Healthy() != nil {
		t.Errorf("with room again: %v, %v", err, r.Healthy())
	}
	if s := r.Stats(); s != (audit.Stats{Written: 2, Failed: 3}) {
		t.Errorf("stats are %+v", s)
	}
	if len(other.writes) != 5 {
		t.Errorf("the other sink has %d writes, want 5", len(other.writes))
	}
	if n := strings.Count(log.String(), "audit events lost"); n != 1 {
		t.Errorf("the loss was logged %d times within a minute:\n%s", n, log.String())
	}
}

func TestRequired_BoundsWhatWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sink := &memory{gate: make(chan struct{})}
		r := newRecorder(t, audit.Config{Sinks: []audit.Sink{sink}, QueueBytes: 1000})
		results := make(chan error, 100)
		for range 20 {
			go func() { results <- r.Record(t.Context(), &audit.Event{Name: "x"}) }()
			synctest.Wait()
		}
		refused := uint64(len(results))
		if refused == 0 || refused > 18 {
			t.Fatalf("%d of 20 calls were refused", refused)
		}
		for range refused {
			if err := <-results; !errors.Is(err, audit.ErrOverloaded) {
				t.Errorf("got %v", err)
			}
		}
		close(sink.gate)
		for range 20 - refused {
			if err := <-results; err != nil {
				t.Error(err)
			}
		}
		if s := r.Stats(); s != (audit.Stats{Written: 20 - refused, Dropped: refused}) {
			t.Errorf("stats are %+v", s)
		}
	})
}

func TestBestEffort_NeverWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sink := &memory{gate: make(chan struct{}, 100)}
		r := newRecorder(t, audit.Config{Mode: audit.BestEffort, Sinks: []audit.Sink{sink}, QueueBytes: 1000})
		ctx, cancel := context.WithCancel(t.Context())
		go func() { _ = r.Run(ctx) }()
		for i := range 20 {
			if err := r.Record(t.Context(), &audit.Event{Name: fmt.Sprint(i)}); err != nil {
				t.Error(err)
			}
			synctest.Wait()
		}
		dropped := r.Stats().Dropped
		if dropped == 0 || dropped > 18 {
			t.Errorf("%d of 20 events were dropped", dropped)
		}
		close(sink.gate)
		synctest.Wait()
		if s := r.Stats(); s.Written != 20-dropped {
			t.Errorf("stats are %+v", s)
		}
		sink.fail(syscall.ENOSPC)
		_ = r.Record(t.Context(), &audit.Event{Name: "failed"})
		synctest.Wait()
		if s := r.Stats(); s.Failed != 1 || r.Healthy() == nil {
			t.Errorf("on a full disk: %+v, %v", s, r.Healthy())
		}
		sink.fail(nil)
		cancel()
		synctest.Wait()
		_ = r.Record(t.Context(), &audit.Event{Name: "flushed by Close"})
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		names := sink.names(t)
		if got := names[len(names)-1]; len(got) != 1 || got[0] != "flushed by Close" || !sink.closed {
			t.Errorf("last write is %v, closed %v", got, sink.closed)
		}
		if err := r.Record(t.Context(), &audit.Event{}); err != nil || r.Stats().Dropped != dropped+1 {
			t.Errorf("after Close: %v, %+v", err, r.Stats())
		}
	})
}

func TestClose(t *testing.T) {
	t.Parallel()
	sink := &memory{}
	r := newRecorder(t, audit.Config{Sinks: []audit.Sink{sink}})
	if err := r.Record(t.Context(), &audit.Event{}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := r.Record(t.Context(), &audit.Event{}); !errors.Is(err, audit.ErrClosed) {
		t.Errorf("after Close Record = %v", err)
	}
}

// TestRecorder_Concurrent writes from many callers into small files, and reads all of it back.
func TestRecorder_Concurrent(t *testing.T) {
	t.Parallel()
	for _, mode := range []audit.Mode{audit.Required, audit.BestEffort} {
		t.Run(fmt.Sprint(mode), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			file, err := audit.OpenFile(audit.FileConfig{Dir: dir, MaxBytes: 64 << 10})
			if err != nil {
				t.Fatal(err)
			}
			r := newRecorder(t, audit.Config{Mode: mode, Sinks: []audit.Sink{file, audit.Writer(io.Discard)}})
			ctx, cancel := context.WithCancel(t.Context())
			var running, callers sync.WaitGroup
			running.Go(func() { _ = r.Run(ctx) })
			const workers, each = 8, 200
			for w := range workers {
				callers.Go(func() {
					for i := range each {
						event := assumeRole()
						event.EventID, event.RequestID = "", fmt.Sprintf("%d/%d", w, i)
						if err := r.Record(t.Context(), event); err != nil {
							t.Error(err)
						}
						_, _ = r.Stats(), r.Healthy()
					}
				})
			}
			callers.Wait()
			cancel()
			running.Wait()
			if err := r.Close(); err != nil {
				t.Error(err)
			}
			if s := r.Stats(); s != (audit.Stats{Written: workers * each}) {
				t.Errorf("stats are %+v", s)
			}
			requests, ids := map[string]bool{}, map[string]bool{}
			isUUID := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
			files := readFiles(t, dir)
			for _, lines := range files {
				for _, line := range lines {
					var event struct{ RequestID, EventID string }
					if err := json.Unmarshal([]byte(line), &event); err != nil || !isUUID.MatchString(event.EventID) {
						t.Fatalf("%v: %q", err, line)
					}
					requests[event.RequestID], ids[event.EventID] = true, true
				}
			}
			if len(requests) != workers*each || len(ids) != workers*each || len(files) < 2 {
				t.Errorf("%d requests and %d ids in %d files", len(requests), len(ids), len(files))
			}
		})
	}
}

func BenchmarkRecord(b *testing.B) {
	for _, fsync := range []bool{false, true} {
		file, err := audit.OpenFile(audit.FileConfig{Dir: b.TempDir(), MaxFiles: 1, Sync: fsync})
		if err != nil {
			b.Fatal(err)
		}
		r := newRecorder(b, audit.Config{Sinks: []audit.Sink{file}})
		event := assumeRole()
		event.EventID = ""
		b.Run(fmt.Sprintf("fsync=%v", fsync), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := r.Record(b.Context(), event); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("fsync=%v/64 callers", fsync), func(b *testing.B) {
			b.ReportAllocs()
			b.SetParallelism(32)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := r.Record(context.Background(), event); err != nil {
						b.Error(err)
					}
				}
			})
		})
		if err := r.Close(); err != nil {
			b.Error(err)
		}
	}
	b.Run("encode only", func(b *testing.B) {
		event, buffer := assumeRole(), []byte(nil)
		b.ReportAllocs()
		for b.Loop() {
			buffer = audit.AppendEvent(buffer[:0], event)
		}
	})
}
