package redis

import (
	"context"
	"fmt"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/stint-sts/stint/session"
)

// A guard is worth what Redis remembers. It forgets by a wipe or a restart; and by a fail-over or from a log that is flushed once a
// second, the latest of what it acknowledged. So birth says since when nothing was lost, and with which run of which server: when another one answers,
// something may have been lost, and birth is now. It is on the clock of Redis, and all of it one step.
//
//	KEYS  birth
//	ARGV  birth if there is none: "0" in an installation that is new, else ""
const findBirth = `
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
local birth, of = string.match(redis.call('GET', KEYS[1]) or '', '^(%d+) (%w+)$')
local lost = 0
if of ~= run then
	local clock = redis.call('TIME')
	local now = string.format('%.0f', clock[1] * 1000 + math.floor(clock[2] / 1000))
	if birth or ARGV[1] == '' then lost, birth = 1, now else birth = ARGV[1] end
	redis.call('SET', KEYS[1], birth .. ' ' .. run)
end
`

const (
	// mark only finds out.
	mark = findBirth + `return lost`
	// consume answers whether the caller is the first for the name, birth in milliseconds, and whether that is new.
	//
	//	KEYS  birth, guard
	//	ARGV  "", how long the guard stands in milliseconds
	consume = findBirth + `
local first = 0
if redis.call('SET', KEYS[2], '', 'NX', 'PX', ARGV[2]) then first = 1 end
return {first, tonumber(birth), lost}`
)

// Consume implements session.Guard.
func (s *Store) Consume(ctx context.Context, name string, since, until time.Time) error {
	now := s.cfg.Now()
	if err := session.CheckGuard(name, now, until); err != nil {
		return err
	}
	hash := hashOf(name)
	t := tagOf(hash)
	left := (until.Sub(now) + time.Millisecond - 1).Milliseconds() // rounded up: never too early
	// The text of the script, not its sum: a pipeline cannot answer that Redis has forgotten a script.
	command := goredis.NewIntSliceCmd(ctx, "eval", consume, "2", s.key(t, birthKind, ""), s.key(t, guardKind, hash), "", left)
	if err := s.lane(t).write(ctx, s.client, s.cfg.Timeout, command); err != nil {
		return err
	}
	answer, err := command.Result()
	if err != nil {
		return unavailable(err)
	}
	if len(answer) != 3 {
		return unavailable(errUnexpected)
	}
	first, birth, lost := answer[0] == 1, answer[1], answer[2] == 1
	if lost {
		s.lost()
	}
	switch {
	case !first:
		return session.ErrConsumed
	case birth > 0 && since.Before(time.UnixMilli(birth).Add(session.BirthMargin)):
		return fmt.Errorf("%w: redis has lost what it knew, or may have", session.ErrConsumed)
	default:
		return nil
	}
}

// lost tells that Redis may know nothing of before now, and has all tags find out: otherwise each would refuse, by itself, from much later on.
func (s *Store) lost() {
	s.cfg.Log.Warn("redis was wiped, restarted or failed over: proofs that may have been used before are refused")
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), s.cfg.Timeout)
		defer cancel()
		if err := s.findBirth(ctx, ""); err != nil {
			s.cfg.Log.Warn("birth of redis", "error", err)
		}
	}()
}

// Found implements session.Guard.
func (s *Store) Found(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	return s.findBirth(ctx, "0")
}

func (s *Store) findBirth(ctx context.Context, ifNone string) error {
	pipeline := s.client.Pipeline()
	for t := range tag(tagCount) {
		pipeline.Eval(ctx, mark, []string{s.key(t, birthKind, "")}, ifNone)
	}
	_, err := pipeline.Exec(ctx)
	if err != nil {
		return unavailable(err)
	}
	return nil
}
