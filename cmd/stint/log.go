package main

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/stint-sts/stint/server"
)

// logBuffer gathers log lines and writes many at once: one write a line would cost a call more than its signature. What is
// worse than information is written at once. A process that is killed loses at most a moment of its log; the audit log loses
// nothing.
type logBuffer struct {
	mu  sync.Mutex
	out io.Writer
	buf bytes.Buffer
}

const (
	logFlushSize     = 32 << 10
	logFlushInterval = 100 * time.Millisecond
)

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buf.Write(p)
	if l.buf.Len() >= logFlushSize {
		l.flush()
	}
	return len(p), nil
}

// Flush writes what is gathered.
func (l *logBuffer) Flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.flush()
}

func (l *logBuffer) flush() {
	_, _ = l.out.Write(l.buf.Bytes()) // there is nowhere to tell it
	l.buf.Reset()
}

// Run flushes until ctx ends.
func (l *logBuffer) Run(ctx context.Context) {
	tick := time.NewTicker(logFlushInterval)
	defer tick.Stop()
	defer l.Flush()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			l.Flush()
		}
	}
}

// urgent is a handler that flushes after every record that is worse than information.
type urgent struct {
	slog.Handler
	buffer *logBuffer
}

func (u urgent) Handle(ctx context.Context, r slog.Record) error {
	err := u.Handler.Handle(ctx, r)
	if r.Level > slog.LevelInfo {
		u.buffer.Flush()
	}
	return err
}

func (u urgent) WithAttrs(attrs []slog.Attr) slog.Handler {
	return urgent{u.Handler.WithAttrs(attrs), u.buffer}
}

func (u urgent) WithGroup(name string) slog.Handler {
	return urgent{u.Handler.WithGroup(name), u.buffer}
}

// logger logs to l as the configuration says.
func (l *logBuffer) logger(cfg *server.Config) *slog.Logger {
	options := &slog.HandlerOptions{Level: cfg.LogLevel}
	if cfg.LogFormat == "json" {
		return slog.New(urgent{slog.NewJSONHandler(l, options), l})
	}
	return slog.New(urgent{slog.NewTextHandler(l, options), l})
}
