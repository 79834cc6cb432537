//go:build linux

package main

import (
	"context"
	"fmt"
)

// measureMemory makes many sessions that live at the same time, and tells what they cost.
func (b *bench) measureMemory(ctx context.Context) error {
	redis, err := b.startRedis(anywhere)
	if err != nil {
		return err
	}
	fmt.Printf("## Memory of live sessions\n\nSessions are made by AssumeRole. The first tenth of %d is made before anything is measured.\n\n", b.memory)
	t := newTable("server", "RSS idle", "RSS, a tenth", "RSS, all", "Redis bytes a session")
	for _, url := range []string{redis, ""} {
		s, who, err := b.newStint(ctx, anywhere, url)
		if err != nil {
			return err
		}
		progress("%d sessions, %s", b.memory, s.name)
		l := newLoad(s.name, s, who.longLived, assumeRole(always(who.roleARN)))
		warm := max(b.workers, b.memory/10)
		few, err := b.fill(ctx, l, warm, url)
		if err != nil {
			return err
		}
		more := max(b.workers, b.memory-warm)
		l.unavailable.Store(0)
		all, err := b.fill(ctx, l, more, url)
		if err != nil {
			return err
		}
		perSession := "-"
		if url != "" {
			made := int64(more/b.workers*b.workers) - l.unavailable.Load()
			perSession = fmt.Sprintf("%.0f", float64(all.redis-few.redis)/float64(made))
		}
		t.add(s.name, mebibytes(s.idleRSS), mebibytes(few.resident), mebibytes(all.resident), perSession)
	}
	t.print()
	return nil
}

// footprint is what sessions cost, in bytes.
type footprint struct{ resident, redis int64 }

// fill makes sessions; redis is a URL, or empty.
func (b *bench) fill(ctx context.Context, l *load, sessions int, redis string) (f footprint, err error) {
	if _, err := l.send(ctx, sessions, b.workers); err != nil {
		return f, fmt.Errorf("%s: %w", l.name, err)
	}
	if redis != "" {
		if f.redis, err = redisMemory(ctx, redis); err != nil {
			return f, err
		}
	}
	f.resident, err = residentSize(l.server.command.Process.Pid)
	return f, err
}
