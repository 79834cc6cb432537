//go:build linux

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// load is what the driver sends to one server.
type load struct {
	name   string
	server *server
	key    credentials
	form   form
	next   atomic.Int64 // number of the last request

	unavailable atomic.Int64 // requests that were answered 503
}

func newLoad(name string, s *server, key credentials, f form) *load {
	return &load{name: name, server: s, key: key, form: f}
}

// sample is what one round of a load gave.
type sample struct {
	rate      float64 // requests per second
	p50, p99  time.Duration
	cpu       time.Duration // of the server, per request
	allocated float64       // objects per request
}

// run sends requests over that many connections, until all are answered; each waits for its answer before it sends the next.
func (l *load) run(ctx context.Context, requests, workers int) (sample, error) {
	before, err := l.counters(ctx)
	if err != nil {
		return sample{}, err
	}
	began := time.Now()
	latencies, err := l.send(ctx, requests, workers)
	elapsed := time.Since(began)
	if err != nil {
		return sample{}, fmt.Errorf("%s: %w\n%s", l.name, err, l.server.lastWords())
	}
	after, err := l.counters(ctx)
	if err != nil {
		return sample{}, err
	}
	slices.Sort(latencies)
	n := len(latencies)
	return sample{
		rate: float64(n) / elapsed.Seconds(), p50: latencies[n/2], p99: latencies[n*99/100],
		cpu:       (after.cpu - before.cpu) / time.Duration(n),
		allocated: (after.mallocs - before.mallocs) / float64(n),
	}, nil
}

func (l *load) send(ctx context.Context, requests, workers int) ([]time.Duration, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var group sync.WaitGroup
	latencies := make([][]time.Duration, workers)
	for w := range workers {
		group.Go(func() {
			own, err := l.work(ctx, requests/workers)
			latencies[w] = own
			if err != nil {
				cancel(err)
			}
		})
	}
	group.Wait()
	return slices.Concat(latencies...), context.Cause(ctx)
}

// endless is a number of requests that only the end of the context ends.
const endless = 1 << 40

// work sends requests over one connection.
func (l *load) work(ctx context.Context, requests int) (latencies []time.Duration, err error) {
	c, err := dial(ctx, l.server.address)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	latencies = make([]time.Duration, 0, min(requests, 1<<16))
	for range requests {
		if ctx.Err() != nil {
			return latencies, nil // the cause is reported by whoever ended ctx
		}
		body := l.form(l.next.Add(1))
		began := time.Now()
		if _, err := c.call(l.key, body); errors.Is(err, errUnavailable) {
			l.unavailable.Add(1)
		} else if err != nil {
			return nil, err
		}
		latencies = append(latencies, time.Since(began))
	}
	return latencies, nil
}

type counters struct {
	cpu     time.Duration
	mallocs float64
}

func (l *load) counters(ctx context.Context) (counters, error) {
	mallocs, err := l.server.mallocs(ctx)
	if err != nil {
		return counters{}, err
	}
	cpu, err := cpuTime(l.server.command.Process.Pid)
	return counters{cpu, mallocs}, err
}

// once sends one request and returns the size of its answer.
func (l *load) once(ctx context.Context) (int, error) {
	c, err := dial(ctx, l.server.address)
	if err != nil {
		return 0, err
	}
	defer func() { _ = c.Close() }()
	answer, err := c.call(l.key, l.form(l.next.Add(1)))
	return len(answer), err
}

// interleave runs loads in turn, after a warm-up, and returns the median of each; requests are those of a load in a round.
func (b *bench) interleave(ctx context.Context, requests int, loads []*load) (map[*load]sample, error) {
	for _, l := range loads {
		if _, err := l.run(ctx, max(b.workers, requests/5), b.workers); err != nil {
			return nil, err
		}
	}
	all := make(map[*load][]sample)
	for round := range b.rounds {
		progress("round %d of %d", round+1, b.rounds)
		for _, l := range loads {
			s, err := l.run(ctx, requests, b.workers)
			if err != nil {
				return nil, err
			}
			all[l] = append(all[l], s)
			if n := l.unavailable.Swap(0); n > 0 {
				progress("%s: %d of %d requests were answered 503; the figures include them", l.name, n, requests)
			}
		}
	}
	medians := make(map[*load]sample)
	for l, samples := range all {
		medians[l] = medianSample(samples)
	}
	return medians, nil
}

// medianSample takes the median of each figure by itself.
func medianSample(samples []sample) sample {
	return sample{
		rate:      median(samples, func(s sample) float64 { return s.rate }),
		p50:       median(samples, func(s sample) time.Duration { return s.p50 }),
		p99:       median(samples, func(s sample) time.Duration { return s.p99 }),
		cpu:       median(samples, func(s sample) time.Duration { return s.cpu }),
		allocated: median(samples, func(s sample) float64 { return s.allocated }),
	}
}

// median returns the middle one, of an even number the lower of the two.
func median[T cmp.Ordered](samples []sample, figure func(sample) T) T {
	figures := make([]T, len(samples))
	for i, s := range samples {
		figures[i] = figure(s)
	}
	slices.Sort(figures)
	return figures[(len(figures)-1)/2]
}

// escapeARN escapes what an ARN of a role may hold and a form may not.
var escapes = strings.NewReplacer(":", "%3A", "/", "%2F", "+", "%2B", "=", "%3D", "@", "%40", ",", "%2C")

func escapeARN(a string) string { return escapes.Replace(a) }
