package redis

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/stint-sts/stint/session"
)

// The bulletin in Redis, with P the prefix of Config; one hash tag, so one slot of a cluster:
//
//	P{rv}log      stream    revocations in JSON, the latest streamLength or some more
//	P{rv}nodes    set       the nodes that follow, and some that are gone
//	P{rv}n:NODE   string    position up to which a node has heard; ends with the node, a few seconds after
//	P{rv}up       string    since when nodes have shown that they live, without a break, in milliseconds by Redis's clock; ends with the break
const (
	logKey   = "{rv}log"
	nodesKey = "{rv}nodes"
	nodeKey  = "{rv}n:"
	upKey    = "{rv}up"

	streamLength = 10_000
	beat         = 500 * time.Millisecond // how often a node shows that it lives
	listen       = beat
	nodeLife     = 3 * time.Second // how long it is taken for alive after that
	// breakAfterSilence is when silence of all nodes is a break: Redis was away, or it was wiped. It is early enough for no node to be
	// forgotten without one.
	breakAfterSilence = 1500 * time.Millisecond
	// settle is how long after a break every node that lives has shown it: two tries to reach Redis, and the pause between them.
	settle      = 3 * time.Second
	longestWait = time.Second
	askAgain    = 10 * time.Millisecond // when not all have heard; doubles up to a tenth of a second
	maxNotice   = 16 << 10              // bytes of a revocation in JSON
)

// Bulletin is a session.Bulletin over a stream. Make it with Store.Bulletin.
type Bulletin struct {
	store *Store
	node  string

	mu    sync.Mutex
	heard position
}

var _ session.Bulletin = (*Bulletin)(nil)

// Bulletin returns the bulletin of this node, for all nodes that share the Redis.
func (s *Store) Bulletin() *Bulletin { return &Bulletin{store: s, node: rand.Text()} }

// position is the id of a stream's entry.
type position struct{ milliseconds, sequence uint64 }

// touch keeps up, or begins it, and returns it.
//
//	KEYS  up
//	ARGV  milliseconds of silence that are a break
const touch = `
if redis.call('PEXPIRE', KEYS[1], ARGV[1]) == 0 then
	local clock = redis.call('TIME')
	redis.call('SET', KEYS[1], string.format('%.0f', clock[1] * 1000 + math.floor(clock[2] / 1000)), 'PX', ARGV[1])
end
return redis.call('GET', KEYS[1])`

// age returns for how many milliseconds there was no break; -1 in one.
//
//	KEYS  up
const age = `
local up = redis.call('GET', KEYS[1])
if not up then return -1 end
local clock = redis.call('TIME')
return clock[1] * 1000 + math.floor(clock[2] / 1000) - tonumber(up)`

func (b *Bulletin) touch(ctx context.Context, to goredis.Cmdable) *goredis.Cmd {
	return to.Eval(ctx, touch, []string{b.key(upKey)}, breakAfterSilence.Milliseconds())
}

func parsePosition(s string) (p position, err error) {
	ms, sequence, _ := strings.Cut(s, "-")
	if p.milliseconds, err = strconv.ParseUint(ms, 10, 64); err == nil {
		p.sequence, err = strconv.ParseUint(sequence, 10, 64)
	}
	return p, err
}

func (p position) String() string { return fmt.Sprintf("%d-%d", p.milliseconds, p.sequence) }

func (p position) before(other position) bool {
	return p.milliseconds < other.milliseconds || p.milliseconds == other.milliseconds && p.sequence < other.sequence
}

// Publish implements session.Bulletin.
func (b *Bulletin) Publish(ctx context.Context, r *session.Revocation) (string, error) {
	text, err := json.Marshal(r)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, b.store.cfg.Timeout)
	defer cancel()
	at, err := b.store.client.XAdd(ctx, &goredis.XAddArgs{
		Stream: b.key(logKey), MaxLen: streamLength, Approx: true, Values: []any{"r", text},
	}).Result()
	if err != nil {
		return "", unavailable(err)
	}
	return at, nil
}

// Follow implements session.Bulletin.
func (b *Bulletin) Follow(ctx context.Context, ready func() error, heard func(*session.Revocation)) {
	for wait := time.Duration(0); ctx.Err() == nil; {
		began := time.Now()
		err := b.follow(ctx, ready, heard)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > longPause {
			wait = 0
		}
		wait = min(max(2*wait, firstPause), longestWait)
		b.store.cfg.Log.Warn("revocations of other nodes come by the directory only", "error", err)
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

// follow listens until something fails.
func (b *Bulletin) follow(ctx context.Context, ready func() error, heard func(*session.Revocation)) error {
	up, err := b.start(ctx)
	if err != nil {
		return err
	}
	if err := ready(); err != nil { // before the first beat says up to where this node has heard
		return err
	}
	var lastBeat time.Time
	for {
		if time.Since(lastBeat) >= beat {
			since, err := b.beat(ctx)
			if err != nil {
				return err
			}
			if since != up { // the stream may have begun anew, before the position: nothing would be heard
				return errors.New("redis was away, or has lost what it knew")
			}
			lastBeat = time.Now()
		}
		streams, err := b.store.client.XRead(ctx, &goredis.XReadArgs{
			Streams: []string{b.key(logKey), b.position().String()}, Block: listen, Count: 1000,
		}).Result()
		if errors.Is(err, goredis.Nil) {
			continue
		}
		if err != nil {
			return err
		}
		if err := b.hear(streams, heard); err != nil {
			return err
		}
		lastBeat = time.Time{} // whoever waits is to know at once
	}
}

// start finds the end of the stream: what is there already is in the log too, which is read when start is through.
func (b *Bulletin) start(ctx context.Context) (up string, err error) {
	bounded, cancel := context.WithTimeout(ctx, b.store.cfg.Timeout)
	defer cancel()
	if up, err = b.touch(bounded, b.store.client).Text(); err != nil { // before the end is looked for
		return "", err
	}
	end, err := b.end(bounded)
	if err != nil {
		return "", err
	}
	b.mu.Lock()
	b.heard = end // also when it is earlier than before: Redis was wiped, and its clock went back
	b.mu.Unlock()
	return up, nil
}

// end is the position of the latest revocation; zero when there is none.
func (b *Bulletin) end(ctx context.Context) (position, error) {
	last, err := b.store.client.XRevRangeN(ctx, b.key(logKey), "+", "-", 1).Result()
	if err != nil || len(last) == 0 {
		return position{}, err
	}
	return parsePosition(last[0].ID)
}

func (b *Bulletin) position() position {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.heard
}

// CatchUp implements session.Bulletin.
func (b *Bulletin) CatchUp(ctx context.Context) error {
	asking, cancel := context.WithTimeout(ctx, b.store.cfg.Timeout)
	defer cancel()
	end, err := b.end(asking)
	if err != nil {
		return unavailable(err)
	}
	tick := time.NewTicker(askAgain)
	defer tick.Stop()
	for b.position().before(end) {
		select {
		case <-ctx.Done():
			return unavailable(context.Cause(ctx))
		case <-tick.C:
		}
	}
	return nil
}

// beat shows that the node lives, and what it has heard. It returns since when nodes do, without a break.
func (b *Bulletin) beat(ctx context.Context) (up string, err error) {
	ctx, cancel := context.WithTimeout(ctx, b.store.cfg.Timeout)
	defer cancel()
	pipeline := b.store.client.Pipeline()
	since := b.touch(ctx, pipeline)
	pipeline.SAdd(ctx, b.key(nodesKey), b.node)
	pipeline.Set(ctx, b.key(nodeKey+b.node), b.position().String(), nodeLife)
	if _, err := pipeline.Exec(ctx); err != nil {
		return "", err
	}
	return since.Text()
}

// hear passes on what was read. A notice that cannot be read is not passed over in silence: the log has it.
func (b *Bulletin) hear(streams []goredis.XStream, heard func(*session.Revocation)) error {
	for _, stream := range streams {
		for _, entry := range stream.Messages {
			at, err := parsePosition(entry.ID)
			if err != nil {
				return fmt.Errorf("position %q: %w", entry.ID, err)
			}
			text, _ := entry.Values["r"].(string)
			r, err := readNotice(text)
			if err != nil {
				b.store.cfg.Log.Error("a revocation in redis cannot be read", "position", entry.ID, "error", err)
			} else {
				heard(r)
			}
			b.mu.Lock()
			b.heard = at
			b.mu.Unlock()
		}
	}
	return nil
}

func readNotice(text string) (*session.Revocation, error) {
	if len(text) > maxNotice {
		return nil, fmt.Errorf("%d bytes", len(text))
	}
	d := json.NewDecoder(bytes.NewReader([]byte(text)))
	d.DisallowUnknownFields() // an unknown field could narrow what is revoked, and the log will have been read by a newer node
	r := new(session.Revocation)
	if err := d.Decode(r); err != nil {
		return nil, err
	}
	return r, r.Check()
}

// Heard implements session.Bulletin.
func (b *Bulletin) Heard(ctx context.Context, at string) (nodes int, err error) {
	want, err := parsePosition(at)
	if err != nil {
		return 0, fmt.Errorf("%w: position %q", session.ErrInvalid, at)
	}
	for wait := askAgain; ; wait = min(2*wait, 10*askAgain) {
		alive, behind, err := b.count(ctx, want)
		if err == nil && alive > 0 && behind == 0 {
			return alive, nil
		}
		select {
		case <-ctx.Done():
			if err == nil {
				err = fmt.Errorf("%d of %d nodes have not confirmed", behind, alive)
			}
			return 0, fmt.Errorf("%w: %w", session.ErrUnavailable, err)
		case <-time.After(wait):
		}
	}
}

var errSettling = errors.New("redis was away, or has lost what it knew, and not every node may have shown that it lives")

// count tells how many nodes live, and how many of them have not yet heard what is at a position. That is not known for some seconds after a break.
func (b *Bulletin) count(ctx context.Context, want position) (alive, behind int, err error) {
	ctx, cancel := context.WithTimeout(ctx, b.store.cfg.Timeout)
	defer cancel()
	nodes, err := b.store.client.SMembers(ctx, b.key(nodesKey)).Result()
	if err != nil || len(nodes) == 0 {
		return 0, 0, err
	}
	keys := make([]string, len(nodes))
	for i, node := range nodes {
		keys[i] = b.key(nodeKey + node)
	}
	pipeline := b.store.client.Pipeline()
	answers, together := pipeline.MGet(ctx, keys...), pipeline.Eval(ctx, age, []string{b.key(upKey)})
	if _, err := pipeline.Exec(ctx); err != nil {
		return 0, 0, err
	}
	if ms, err := together.Int64(); err != nil || ms < settle.Milliseconds() {
		return 0, 0, cmp.Or(err, errSettling)
	}
	values := answers.Val()
	var gone []any
	for i, value := range values {
		text, lives := value.(string)
		if !lives {
			gone = append(gone, nodes[i])
			continue
		}
		alive++
		if heard, err := parsePosition(text); err != nil || heard.before(want) {
			behind++
		}
	}
	if len(gone) > 0 { // a node that was only slow adds itself again
		err = b.store.client.SRem(ctx, b.key(nodesKey), gone...).Err()
	}
	return alive, behind, err
}

func (b *Bulletin) key(name string) string { return b.store.cfg.Prefix + name }
