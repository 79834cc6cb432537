package redis

import (
	"context"
	"errors"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/stint-sts/stint/session"
)

// take answers with a value and deletes it, as one step. (GETDEL needs Redis 6.2.)
const take = `
local value = redis.call('GET', KEYS[1])
redis.call('DEL', KEYS[1])
return value`

// SetValue implements session.Values.
func (s *Store) SetValue(ctx context.Context, name string, value []byte, until time.Time) error {
	return s.writeValue(ctx, name, value, until)
}

// ReplaceValue implements session.Values.
func (s *Store) ReplaceValue(ctx context.Context, name string, value []byte, until time.Time) error {
	return s.writeValue(ctx, name, value, until, "xx")
}

func (s *Store) writeValue(ctx context.Context, name string, value []byte, until time.Time, condition ...any) error {
	now := s.cfg.Now()
	if err := session.CheckValue(name, value, now, until); err != nil {
		return err
	}
	t, key := s.valueKey(name)
	arguments := append([]any{"set", key, value, "px", until.Sub(now).Milliseconds()}, condition...)
	command := goredis.NewStatusCmd(ctx, arguments...)
	if err := s.lane(t).write(ctx, s.client, s.cfg.Timeout, command); err != nil {
		return err
	}
	switch err := command.Err(); {
	case errors.Is(err, goredis.Nil):
		return session.ErrNotFound
	case err != nil:
		return unavailable(err)
	case command.Val() != answerOK:
		return unavailable(errUnexpected)
	default:
		return nil
	}
}

// Value implements session.Values.
func (s *Store) Value(ctx context.Context, name string) (value []byte, err error) {
	if err := session.CheckThrottle(name); err != nil {
		return nil, err
	}
	t, key := s.valueKey(name)
	err = s.read(ctx, s.lane(t), func(ctx context.Context) (err error) {
		value, err = s.client.Get(ctx, key).Bytes()
		return err
	})
	if errors.Is(err, goredis.Nil) {
		return nil, session.ErrNotFound
	}
	return value, err
}

// TakeValue implements session.Values.
func (s *Store) TakeValue(ctx context.Context, name string) ([]byte, error) {
	if err := session.CheckThrottle(name); err != nil {
		return nil, err
	}
	t, key := s.valueKey(name)
	command := goredis.NewCmd(ctx, "eval", take, "1", key)
	if err := s.lane(t).write(ctx, s.client, s.cfg.Timeout, command); err != nil {
		return nil, err
	}
	text, err := command.Text()
	if errors.Is(err, goredis.Nil) {
		return nil, session.ErrNotFound
	}
	if err != nil {
		return nil, unavailable(err)
	}
	return []byte(text), nil
}

// DeleteValue implements session.Values.
func (s *Store) DeleteValue(ctx context.Context, name string) error {
	if err := session.CheckThrottle(name); err != nil {
		return err
	}
	t, key := s.valueKey(name)
	command := goredis.NewIntCmd(ctx, "del", key)
	if err := s.lane(t).write(ctx, s.client, s.cfg.Timeout, command); err != nil {
		return err
	}
	if err := command.Err(); err != nil {
		return unavailable(err)
	}
	return nil
}

func (s *Store) valueKey(name string) (tag, string) {
	hash := hashOf(name)
	t := tagOf(hash)
	return t, s.key(t, valueKind, hash)
}
