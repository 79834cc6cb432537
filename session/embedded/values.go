package embedded

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/stint-sts/stint/session"
)

// value is a value and until when it is kept, milliseconds since 1970.
type value struct {
	bytes []byte // never changed; nil: deleted
	until int64
}

// values holds the values of some names. As with throttles, the lock is held while a value is written to the journal.
type values struct {
	mu   sync.Mutex
	kept map[guardName]value
}

// SetValue implements session.Values.
func (s *Store) SetValue(_ context.Context, name string, b []byte, until time.Time) error {
	return s.writeValue(name, b, until, false)
}

// ReplaceValue implements session.Values.
func (s *Store) ReplaceValue(_ context.Context, name string, b []byte, until time.Time) error {
	return s.writeValue(name, b, until, true)
}

func (s *Store) writeValue(name string, b []byte, until time.Time, replace bool) error {
	now := s.cfg.Now()
	if err := session.CheckValue(name, b, now, until); err != nil {
		return err
	}
	hash := guardNameOf(name)
	next := value{bytes.Clone(b), until.UnixMilli()}
	s.turn.RLock()
	defer s.turn.RUnlock()
	shard := &s.guardShard(hash).values
	shard.mu.Lock()
	defer shard.mu.Unlock()
	before, kept := shard.live(hash, now)
	if replace && !kept {
		return session.ErrNotFound
	}
	if size := s.valueBytes.Load(); size+int64(len(b)-len(before.bytes)) > s.cfg.MaxValueBytes {
		return fmt.Errorf("%w: %d bytes of values, the most that are allowed", session.ErrUnavailable, size)
	}
	if err := s.journal.append(newValueFrame(nil, hash, next)); err != nil {
		return err
	}
	s.keep(shard, hash, next)
	return nil
}

// Value implements session.Values.
func (s *Store) Value(_ context.Context, name string) ([]byte, error) {
	if err := session.CheckThrottle(name); err != nil {
		return nil, err
	}
	hash := guardNameOf(name)
	shard := &s.guardShard(hash).values
	shard.mu.Lock()
	defer shard.mu.Unlock()
	v, kept := shard.live(hash, s.cfg.Now())
	if !kept {
		return nil, session.ErrNotFound
	}
	return bytes.Clone(v.bytes), nil
}

// TakeValue implements session.Values.
func (s *Store) TakeValue(_ context.Context, name string) ([]byte, error) {
	if err := session.CheckThrottle(name); err != nil {
		return nil, err
	}
	hash := guardNameOf(name)
	s.turn.RLock()
	defer s.turn.RUnlock()
	shard := &s.guardShard(hash).values
	shard.mu.Lock()
	defer shard.mu.Unlock()
	v, kept := shard.live(hash, s.cfg.Now())
	if !kept {
		return nil, session.ErrNotFound
	}
	if err := s.journal.append(newValueFrame(nil, hash, value{})); err != nil {
		return nil, err
	}
	s.keep(shard, hash, value{})
	return v.bytes, nil
}

// DeleteValue implements session.Values.
func (s *Store) DeleteValue(ctx context.Context, name string) error {
	if _, err := s.TakeValue(ctx, name); err != nil && !errors.Is(err, session.ErrNotFound) {
		return err
	}
	return nil
}

func (v *values) live(name guardName, now time.Time) (value, bool) {
	kept, ok := v.kept[name]
	return kept, ok && kept.until > now.UnixMilli()
}

// keep puts in memory what the journal has. The caller holds the lock of v.
func (s *Store) keep(v *values, name guardName, next value) {
	before, was := v.kept[name]
	grown, frames := int64(len(next.bytes)-len(before.bytes)), int64(0)
	if was {
		frames--
	}
	if next.bytes == nil {
		delete(v.kept, name)
	} else {
		v.kept[name] = next
		frames++
	}
	s.valueBytes.Add(grown)
	s.bytes.Add(grown + frames*valueFrameHead)
}

// setValue sets in memory what a file says.
func (s *Store) setValue(name guardName, v value, now int64) {
	if v.until <= now {
		v = value{}
	}
	shard := &s.guardShard(name).values
	shard.mu.Lock()
	defer shard.mu.Unlock()
	s.keep(shard, name, v)
}

// expireValues drops the values of a shard whose time is over.
func (s *Store) expireValues(v *values, now int64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for name, kept := range v.kept {
		if kept.until <= now {
			s.keep(v, name, value{})
		}
	}
}

// state returns a copy of what is live, for a snapshot.
func (v *values) state(now int64) map[guardName]value {
	v.mu.Lock()
	defer v.mu.Unlock()
	kept := maps.Clone(v.kept)
	maps.DeleteFunc(kept, func(_ guardName, k value) bool { return k.until <= now })
	return kept
}
