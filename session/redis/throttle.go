package redis

import (
	"context"

	goredis "github.com/redis/go-redis/v9"

	"github.com/stint-sts/stint/session"
)

// attempt counts an attempt unless a wait is on, and answers 1 when it may be judged, else 0. It runs as one step, and on the clock of
// Redis: nodes whose clocks differ see one wait.
//
//	KEYS  throttle
//	ARGV  failures before the first wait; first wait, longest wait, time until all is forgotten in milliseconds
const attempt = `
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local state = redis.call('HMGET', KEYS[1], 'n', 'u')
if tonumber(state[2] or 0) > now then return 0 end
local failures = tonumber(state[1] or 0) + 1
local free, first, longest, forget = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local wait = 0
if failures >= free then wait = math.min(longest, first * 2 ^ math.min(failures - free, 40)) end
redis.call('HSET', KEYS[1], 'n', failures, 'u', string.format('%.0f', now + wait))
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', wait + forget))
return 1`

// Attempt implements session.Throttle.
func (s *Store) Attempt(ctx context.Context, name string) (allowed bool, err error) {
	if err := session.CheckThrottle(name); err != nil {
		return false, err
	}
	hash := hashOf(name)
	t, b := tagOf(hash), s.cfg.Backoff
	// The text of the script, not its sum: a pipeline cannot answer that Redis has forgotten a script.
	command := goredis.NewIntCmd(ctx, "eval", attempt, "1", s.key(t, waitKind, hash),
		b.Free, b.First.Milliseconds(), b.Longest.Milliseconds(), b.Forget.Milliseconds())
	if err := s.lane(t).write(ctx, s.client, s.cfg.Timeout, command); err != nil {
		return false, err
	}
	if err := command.Err(); err != nil {
		return false, unavailable(err)
	}
	return command.Val() == 1, nil
}

// Succeed implements session.Throttle.
func (s *Store) Succeed(ctx context.Context, name string) error {
	if err := session.CheckThrottle(name); err != nil {
		return err
	}
	hash := hashOf(name)
	t := tagOf(hash)
	command := goredis.NewIntCmd(ctx, "del", s.key(t, waitKind, hash))
	if err := s.lane(t).write(ctx, s.client, s.cfg.Timeout, command); err != nil {
		return err
	}
	if err := command.Err(); err != nil {
		return unavailable(err)
	}
	return nil
}
