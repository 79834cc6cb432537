package audit

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Mode says what happens to a call whose event cannot be written.
type Mode uint8

// The modes. The zero value is the strict one.
const (
	Required   Mode = iota // Record returns only after the event is written, or with an error
	BestEffort             // Record never waits; events beyond the bounded queue are dropped and counted
)

// Errors of Record.
var (
	ErrClosed     = errors.New("audit: recorder is closed")
	ErrOverloaded = errors.New("audit: too much waits to be written")
)

// Sink takes whole lines, each ended by a newline.
type Sink interface {
	// Write appends lines. It returns nil only when all of them are written; after an error none of them counts as written.
	// It is never called concurrently, and does not keep lines.
	Write(ctx context.Context, lines []byte) error
	// Close releases the sink after the last Write.
	Close() error
}

// Config configures a Recorder.
type Config struct {
	Mode       Mode             // default Required
	Sinks      []Sink           // required; an event is written when it is written to all of them
	Wait       time.Duration    // how long Record waits for the write of another; default 5 s
	QueueBytes int              // bound on lines that wait while others are written; default 8 MiB
	Now        func() time.Time // default time.Now
	Rand       io.Reader        // event ids; safe for concurrent use; default crypto/rand.Reader
	Log        *slog.Logger     // tells of events that were lost, at most once a minute; default: nothing is told
}

// Stats counts events since the Recorder was made.
type Stats struct {
	Written uint64
	Dropped uint64 // found the queue full
	Failed  uint64 // a sink returned an error
	Queued  int    // bytes that wait at present while others are written
}

// Recorder writes events to sinks. It is safe for concurrent use.
//
// In Required mode it commits in groups: a caller that finds the sinks idle writes its own line; lines that arrive meanwhile
// gather in one batch, whose first caller writes them all in one go when its turn comes.
type Recorder struct {
	mode       Mode
	sinks      []Sink
	queueBytes int
	wait       time.Duration
	now        func() time.Time
	rand       io.Reader
	log        *slog.Logger

	written, dropped, failed atomic.Uint64
	lastErr                  atomic.Pointer[error] // of the last write; nil when it succeeded

	mu      sync.Mutex
	idle    sync.Cond // broadcast when writing becomes false
	writing bool      // somebody is writing, or has been called to
	next    *batch    // gathers while writing; nil when empty
	spare   []byte    // memory of the last batch, for the next one
	closed  bool

	wake    chan struct{} // BestEffort: something is in next
	told    time.Time     // when a loss was last logged; under mu
	untold  uint64        // events lost since; under mu
	closing sync.Once
}

// batch is a group of lines that are written together.
type batch struct {
	lines []byte
	count uint64
	turn  chan struct{} // closed when its first caller is to write it
	done  chan struct{} // closed when err is set
	err   error
}

const defaultWait = 5 * time.Second

// New returns a Recorder. In BestEffort mode nothing is written before Run or Close.
func New(cfg Config) (*Recorder, error) {
	if len(cfg.Sinks) == 0 {
		return nil, errors.New("audit: no sinks configured")
	}
	if cfg.Mode > BestEffort || cfg.QueueBytes < 0 {
		return nil, fmt.Errorf("audit: mode %d, queue of %d bytes: out of range", cfg.Mode, cfg.QueueBytes)
	}
	r := &Recorder{
		mode: cfg.Mode, sinks: slices.Clone(cfg.Sinks), queueBytes: cfg.QueueBytes, wait: cfg.Wait,
		now: cfg.Now, rand: cfg.Rand, log: cfg.Log, wake: make(chan struct{}, 1),
	}
	if r.queueBytes == 0 {
		r.queueBytes = 8 << 20
	}
	if r.now == nil {
		r.now = time.Now
	}
	if r.rand == nil {
		r.rand = rand.Reader
	}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	if r.wait == 0 {
		r.wait = defaultWait
	}
	r.idle.L = &r.mu
	return r, nil
}

var lines = sync.Pool{New: func() any { return new([]byte) }}

// Record writes e, which it does not change or keep. In Required mode it returns nil only after every sink has the event;
// on any error the call must not succeed (ServiceUnavailable). ctx and Config.Wait end the wait for others, not a write that has
// begun: give it a ctx without the client's cancellation. An event whose wait ended may still be written. In BestEffort mode
// Record returns nil at once, whatever becomes of the event.
func (r *Recorder) Record(ctx context.Context, e *Event) error {
	buffer := lines.Get().(*[]byte)
	defer lines.Put(buffer)
	line, err := r.encode((*buffer)[:0], e)
	*buffer = line
	if err != nil {
		r.lost(&r.failed, 1, err)
		return err
	}
	if r.mode == BestEffort {
		r.queue(line)
		return nil
	}
	return r.commit(ctx, line)
}

// encode appends the line of an event, with its defaults filled in.
func (r *Recorder) encode(b []byte, e *Event) ([]byte, error) {
	event := *e
	if event.Time.IsZero() {
		event.Time = r.now()
	}
	if event.Type == "" {
		event.Type = "AwsApiCall"
	}
	if event.EventID == "" {
		id, err := r.newID()
		if err != nil {
			return b, err
		}
		event.EventID = id
	}
	return append(appendEvent(b, &event), '\n'), nil
}

// newID returns a random UUID (RFC 9562 section 5.4).
func (r *Recorder) newID() (string, error) {
	var id [16]byte
	if _, err := io.ReadFull(r.rand, id[:]); err != nil {
		return "", fmt.Errorf("audit: event id: %w", err)
	}
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	var text [36]byte
	b := text[:0]
	for i, end := range [...]int{4, 6, 8, 10, 16} {
		if i > 0 {
			b = append(b, '-')
		}
		start := [...]int{0, 4, 6, 8, 10}[i]
		b = hex.AppendEncode(b, id[start:end])
	}
	return string(b), nil
}

// commit writes line, alone or with others, and returns when it is written.
func (r *Recorder) commit(ctx context.Context, line []byte) error {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return ErrClosed
	}
	if !r.writing {
		r.writing = true
		b, _, _ := r.join(line) // the first of a batch always fits
		r.mu.Unlock()
		// Calls that are ready to run get to their own events first: one write for all of them costs each less than its own.
		runtime.Gosched()
		r.lead(b)
		return b.err
	}
	b, first, ok := r.join(line)
	if ok && first {
		b.turn = make(chan struct{})
	}
	if ok && b.done == nil {
		b.done = make(chan struct{})
	}
	r.mu.Unlock()
	if !ok {
		r.lost(&r.dropped, 1, ErrOverloaded)
		return ErrOverloaded
	}
	// Only who has to wait pays for a timer.
	ctx, cancel := context.WithTimeout(ctx, r.wait)
	defer cancel()
	if !first {
		select {
		case <-b.done:
			return b.err
		case <-ctx.Done():
			return fmt.Errorf("audit: wait for the write: %w", context.Cause(ctx))
		}
	}
	select {
	case <-b.turn:
		r.lead(b)
		return b.err
	case <-ctx.Done():
		// The others of the batch still count on its first caller.
		go func() {
			<-b.turn
			r.lead(b)
		}()
		return fmt.Errorf("audit: wait for the write: %w", context.Cause(ctx))
	}
}

// join adds a line to the batch that gathers, and reports whether it is the first there; not ok when the batch is full.
// r.mu is held.
func (r *Recorder) join(line []byte) (b *batch, first, ok bool) {
	first = r.next == nil
	if first {
		r.next = &batch{lines: r.spare[:0]}
		r.spare = nil
	}
	b = r.next
	if len(b.lines)+len(line) > r.queueBytes && !first {
		return nil, false, false
	}
	b.lines = append(b.lines, line...)
	b.count++
	return b, first, true
}

// lead writes the batch that has gathered.
func (r *Recorder) lead(b *batch) {
	r.mu.Lock()
	r.next = nil // later lines gather in another one
	r.mu.Unlock()
	b.err = r.write(b.lines, b.count)
	if b.done != nil { // nobody joins any more
		close(b.done)
	}
	const maxSpare = 1 << 20 // a burst must not keep its memory for ever
	if cap(b.lines) <= maxSpare {
		r.mu.Lock()
		r.spare = b.lines
		r.mu.Unlock()
	}
	r.passOn()
}

// passOn ends a write: it calls the first caller of the next batch to its turn, if there is one.
func (r *Recorder) passOn() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.next != nil && r.mode == Required {
		close(r.next.turn)
		return
	}
	r.writing = false
	r.idle.Broadcast()
}

// write writes lines to every sink. An event that one sink refuses has failed, but the others get it all the same.
func (r *Recorder) write(lines []byte, count uint64) error {
	var err error
	for _, sink := range r.sinks {
		// A write belongs to all callers of a batch, so no one caller's context may end it.
		if e := sink.Write(context.Background(), lines); e != nil {
			err = errors.Join(err, e)
		}
	}
	if err != nil {
		err = fmt.Errorf("audit: write: %w", err)
		r.lastErr.Store(&err)
		r.lost(&r.failed, count, err)
		return err
	}
	if r.lastErr.Load() != nil {
		r.lastErr.Store(nil)
	}
	r.written.Add(count)
	return nil
}

// lost counts events that are not written, and logs them at most once a minute.
func (r *Recorder) lost(counter *atomic.Uint64, count uint64, err error) {
	counter.Add(count)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.untold += count
	if now := r.now(); now.Sub(r.told) >= time.Minute || now.Before(r.told) {
		r.log.Error("audit events lost", "count", r.untold, "error", err)
		r.told, r.untold = now, 0
	}
}

// queue adds a line to what Run will write, or drops it.
func (r *Recorder) queue(line []byte) {
	r.mu.Lock()
	ok := !r.closed
	if ok {
		_, _, ok = r.join(line)
	}
	r.mu.Unlock()
	if !ok {
		r.lost(&r.dropped, 1, ErrOverloaded)
		return
	}
	select {
	case r.wake <- struct{}{}:
	default: // Run has been woken already
	}
}

// Run writes queued events in BestEffort mode until ctx is done; in Required mode it only waits. It returns nil. What is
// still queued when it returns is Close's.
func (r *Recorder) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-r.wake:
			r.drain()
		}
	}
}

// drain writes what has gathered in BestEffort mode. It waits for its turn, as Run and Close may meet.
func (r *Recorder) drain() {
	r.mu.Lock()
	for r.writing {
		r.idle.Wait()
	}
	b := r.next
	if b == nil {
		r.mu.Unlock()
		return
	}
	r.writing = true
	r.mu.Unlock()
	r.lead(b)
}

// Stats returns the counters.
func (r *Recorder) Stats() Stats {
	s := Stats{Written: r.written.Load(), Dropped: r.dropped.Load(), Failed: r.failed.Load()}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.next != nil {
		s.Queued = len(r.next.lines)
	}
	return s
}

// Healthy returns the error of the last write, or nil when it succeeded.
func (r *Recorder) Healthy() error {
	if err := r.lastErr.Load(); err != nil {
		return *err
	}
	return nil
}

// Close waits for writes under way, writes what is queued and closes the sinks. Record fails with ErrClosed from then on
// (in BestEffort mode it drops). Only the first call does anything.
func (r *Recorder) Close() error {
	var err error
	r.closing.Do(func() {
		r.mu.Lock()
		r.closed = true
		for r.writing {
			r.idle.Wait()
		}
		r.mu.Unlock()
		if r.mode == BestEffort {
			r.drain()
		}
		for _, sink := range r.sinks {
			err = errors.Join(err, sink.Close())
		}
	})
	return err
}
