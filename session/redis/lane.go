package redis

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/stint-sts/stint/session"
)

const (
	lanePipelines = 1   // pipelines of a lane that may be under way: more would share less
	maxWaiting    = 512 // writes that may wait for one
)

// errBreaker is the answer while the breaker is open.
var errBreaker = fmt.Errorf("%w: redis did not answer just now", session.ErrUnavailable)

// lane writes to one Redis node. A round trip costs far more than the commands in it: writes that come while lanePipelines are under way are
// gathered, and the first of them sends one pipeline for all. A write alone does one round trip and meets no other goroutine.
type lane struct {
	breaker breaker
	log     *slog.Logger

	mu       sync.Mutex
	underWay int
	waiting  *batch
}

// batch is what the writers that wait have to write.
type batch struct {
	commands []goredis.Cmder
	writers  int
	deadline time.Time
	released bool
	turn     chan struct{} // closed, and released set, when its first writer is to send it
	done     chan struct{} // closed when err is set and the commands have their answers
	err      error         // why no command was sent
}

// write sends commands in one pipeline, maybe with those of others, and returns when they have their answers or timeout is over. When its
// error is not nil it matches session.ErrUnavailable, and the commands must not be looked at.
func (l *lane) write(ctx context.Context, client goredis.UniversalClient, timeout time.Duration, commands ...goredis.Cmder) error {
	if !l.breaker.allow() {
		return errBreaker
	}
	deadline := time.Now().Add(timeout)
	l.mu.Lock()
	if l.underWay < lanePipelines {
		l.underWay++
		l.mu.Unlock()
		return l.send(ctx, client, deadline, commands)
	}
	b, first := l.waiting, l.waiting == nil
	if first {
		b = &batch{deadline: deadline, turn: make(chan struct{}), done: make(chan struct{})}
		l.waiting = b
	}
	if b.writers == maxWaiting {
		l.mu.Unlock()
		l.report(unknown, nil)
		return fmt.Errorf("%w: %d writes wait already", session.ErrUnavailable, maxWaiting)
	}
	b.writers++
	b.commands = append(b.commands, commands...)
	l.mu.Unlock()
	if first {
		<-b.turn
		l.mu.Lock()
		l.waiting = nil
		l.mu.Unlock()
		b.err = l.send(ctx, client, b.deadline, b.commands)
		close(b.done)
		return b.err
	}
	select {
	case <-b.done:
		return b.err
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", session.ErrUnavailable, context.Cause(ctx))
	}
}

// send does the round trip for one of the lane's pipelines, then lets the waiting batch go. It does not stop when the caller leaves: others'
// commands may be in it. Each command carries its own error; send returns one when none was sent.
func (l *lane) send(ctx context.Context, client goredis.UniversalClient, deadline time.Time, commands []goredis.Cmder) error {
	defer l.passTurn()
	ctx, cancel := context.WithDeadline(context.WithoutCancel(ctx), deadline)
	defer cancel()
	pipeline := client.Pipeline()
	_ = pipeline.BatchProcess(ctx, commands...) // only gathers
	_, err := pipeline.Exec(ctx)
	if err == nil {
		l.report(succeeded, nil)
		return nil
	}
	outcome, told := succeeded, false
	for _, c := range commands {
		switch err := c.Err(); err {
		case nil:
		case goredis.Nil:
			told = true
		default:
			outcome, told = failed, true
		}
	}
	if !told { // a refused log-in: go-redis tells it to no command
		l.report(failed, err)
		return unavailable(err)
	}
	l.report(outcome, err)
	return nil
}

// report tells the breaker how a round trip went, and the log when that changes what calls get.
func (l *lane) report(o outcome, cause error) {
	switch changed := l.breaker.report(o); {
	case changed && o == failed:
		l.log.Warn("redis does not answer, calls fail fast", "error", cause)
	case changed:
		l.log.Info("redis answers again")
	}
}

// passTurn ends one of the lane's pipelines: the waiting batch may be sent.
func (l *lane) passTurn() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.waiting != nil && !l.waiting.released {
		l.waiting.released = true
		close(l.waiting.turn)
		return
	}
	l.underWay--
}
