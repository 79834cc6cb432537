package embedded

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"

	"github.com/stint-sts/stint/session"
)

// journal appends frames to a file. Writers that come while one writes are gathered, and the first of them writes for all: a writer
// alone does one write(2) and meets no other goroutine.
type journal struct {
	file      *os.File
	syncEvery bool
	size      atomic.Int64 // of what is whole
	dirty     atomic.Bool  // written since the last flush

	mu      sync.Mutex
	writing bool
	waiting *batch
	broken  error // why the journal takes no more writes
}

// batch is what the writers that wait have to write.
type batch struct {
	frames []byte
	turn   chan struct{} // closed when its first writer is to write it
	done   chan struct{} // closed when err is set
	err    error
}

// append writes a frame. Its error matches session.ErrUnavailable; the frame is then not in the journal.
func (j *journal) append(frame []byte) error {
	j.mu.Lock()
	if !j.writing {
		j.writing = true
		j.mu.Unlock()
		err := j.write(frame)
		j.passTurn()
		return err
	}
	b, first := j.waiting, j.waiting == nil
	if first {
		b = &batch{turn: make(chan struct{}), done: make(chan struct{})}
		j.waiting = b
	}
	b.frames = append(b.frames, frame...)
	j.mu.Unlock()
	if !first {
		<-b.done
		return b.err
	}

	<-b.turn
	j.mu.Lock()
	j.waiting = nil
	j.mu.Unlock()
	b.err = j.write(b.frames)
	close(b.done)
	j.passTurn()
	return b.err
}

// passTurn lets the batch that waits be written.
func (j *journal) passTurn() {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.waiting != nil {
		close(j.waiting.turn)
		return
	}
	j.writing = false
}

// write is called by one goroutine at a time: the one whose turn it is.
func (j *journal) write(frames []byte) error {
	if err := j.health(); err != nil {
		return err
	}
	n, err := j.file.Write(frames)
	if err != nil {
		if n > 0 { // a torn frame in the middle would read as damage
			if cut := j.file.Truncate(j.size.Load()); cut != nil {
				j.breakOff(errors.Join(err, cut))
			}
		}
		return fmt.Errorf("%w: %w", session.ErrUnavailable, err)
	}
	j.size.Add(int64(n))
	if !j.syncEvery {
		j.dirty.Store(true)
		return nil
	}
	if err := j.file.Sync(); err != nil {
		j.breakOff(err) // what the disk holds is not known any more
		return fmt.Errorf("%w: %w", session.ErrUnavailable, err)
	}
	return nil
}

// flush brings to the disk what was written.
func (j *journal) flush() error {
	if !j.dirty.Swap(false) {
		return nil
	}
	if err := j.file.Sync(); err != nil && !errors.Is(err, os.ErrClosed) {
		j.breakOff(err)
		return err
	}
	return nil
}

func (j *journal) breakOff(cause error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.broken == nil {
		j.broken = cause
	}
}

func (j *journal) health() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.broken != nil {
		return fmt.Errorf("%w: journal takes no more writes: %w", session.ErrUnavailable, j.broken)
	}
	return nil
}

func (j *journal) close() error {
	err := j.flush()
	j.breakOff(os.ErrClosed)
	if closeErr := j.file.Close(); !errors.Is(closeErr, os.ErrClosed) {
		err = errors.Join(err, closeErr)
	}
	return err
}
