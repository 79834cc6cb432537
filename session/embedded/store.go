// Package embedded keeps session state in process and on disk: the store of a single node, and the first fake in tests.
//
// Records live in memory in their binary form, in shards, each with an ordered index for List. What was written is also in a
// journal, which New reads back, so that state survives a restart and a kill at any instant:
//
//	sessions.lock             held while a process uses the directory
//	sessions.birth            since when nothing was lost, milliseconds since 1970 as text; 0: ever
//	sessions-N.snapshot       everything that journals before N said; missing while N is 1
//	sessions-N.journal        what came after it
//
// When the journal outgrows what is live, Run starts journal N+1, writes snapshot N+1 aside, renames it into place and
// removes generation N. All files have mode 0600.
package embedded

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stint-sts/stint/session"
)

// Config configures a Store.
type Config struct {
	// Dir holds the store's files; made with mode 0700 when missing. Required.
	Dir string
	// SyncEvery flushes to the disk before a write returns. Otherwise a write returns when the operating system has it, and Run flushes
	// once a second: a killed process loses nothing, a power failure up to a second of listings and replay guards.
	SyncEvery bool
	// CompactAfter is the size in bytes, beyond twice what is live, from which a journal is compacted. 0: 4 MiB.
	CompactAfter int64
	// MaxSessions is the largest number of live sessions; with as many, Put fails. About 300 bytes of memory each. 0: 4,000,000.
	MaxSessions int
	// MaxValueBytes is the largest size of all values together; with as much, SetValue fails. 0: 64 MiB.
	MaxValueBytes int64
	// Backoff is the rule of the throttle. Zero fields: session's defaults.
	Backoff session.Backoff
	// Now is the clock. nil: time.Now.
	Now func() time.Time
	// Log tells of compactions and of a torn end that was cut. nil: nothing is logged.
	Log *slog.Logger
}

// ErrLocked says that another process uses the directory.
var ErrLocked = errors.New("another process uses the directory")

// shardCount spreads lock contention; a power of two well above the number of cores that one node has.
const shardCount = 32

// Store is a session.Store, a session.Guard, a session.Throttle and a session.Values. Make it with New.
type Store struct {
	cfg     Config
	lock    *os.File
	seed    maphash.Seed
	shards  [shardCount]shard
	records atomic.Int64 // live records in all shards
	bytes   atomic.Int64 // their size in a journal

	valueBytes atomic.Int64 // of all values, without their names

	// turn is held shared from before a write enters the journal until it is in memory. The holder of the exclusive side sees
	// memory and journal agree.
	turn       sync.RWMutex
	journal    *journal
	generation uint64

	compacting sync.Mutex
	birth      birth
}

var (
	_ session.Store    = (*Store)(nil)
	_ session.Guard    = (*Store)(nil)
	_ session.Throttle = (*Store)(nil)
	_ session.Values   = (*Store)(nil)
)

// New opens the store in cfg.Dir, or makes it. It fails when another process uses the directory, and with an error matching
// session.ErrDamaged, having changed nothing, when a file is not as it was written. A last record that was cut off in the middle, as a
// kill or a power failure leaves it, was never acknowledged and is dropped.
func New(cfg Config) (*Store, error) {
	if cfg.Dir == "" {
		return nil, errors.New("embedded session store: no directory is configured")
	}
	cfg.CompactAfter = cmp.Or(cfg.CompactAfter, 4<<20)
	cfg.MaxSessions = cmp.Or(cfg.MaxSessions, 4_000_000)
	cfg.MaxValueBytes = cmp.Or(cfg.MaxValueBytes, 64<<20)
	cfg.Backoff = cfg.Backoff.OrDefaults()
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("embedded session store: %w", err)
	}
	lock, err := lockDir(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("embedded session store in %s: %w", cfg.Dir, err)
	}
	s := &Store{cfg: cfg, lock: lock, seed: maphash.MakeSeed()}
	for i := range s.shards {
		s.shards[i].records = make(map[string]*entry)
		s.shards[i].guards = make(map[guardName]int64)
		s.shards[i].throttles.waits = make(map[guardName]wait)
		s.shards[i].values.kept = make(map[guardName]value)
	}
	if err := errors.Join(s.birth.open(cfg.Dir, cfg.Now()), s.load()); err != nil {
		return nil, errors.Join(fmt.Errorf("embedded session store in %s: %w", cfg.Dir, err), unlockDir(lock))
	}
	return s, nil
}

// Run removes what has expired, flushes and compacts, until ctx ends. It returns nil then. What fails is logged and tried again.
func (s *Store) Run(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		s.expire()
		if err := s.flush(); err != nil {
			s.cfg.Log.Error("session journal is not flushed", "error", err)
		}
		if s.journalSize() < s.cfg.CompactAfter+2*s.bytes.Load() {
			continue
		}
		if err := s.Compact(); err != nil {
			s.cfg.Log.Error("session journal is not compacted", "error", err)
		}
	}
}

// Put implements session.Store.
func (s *Store) Put(_ context.Context, r *session.Record) error {
	buffer := buffers.Get().(*[]byte)
	defer buffers.Put(buffer)
	frame := beginFrame((*buffer)[:0], recordFrame)
	frame, err := session.AppendRecord(frame, r)
	if err != nil {
		return err
	}
	*buffer = endFrame(frame)
	now, expires := s.cfg.Now().UnixMilli(), r.ExpiresAt.UnixMilli()
	if expires <= now {
		return nil
	}
	if n := s.records.Load(); n >= int64(s.cfg.MaxSessions) {
		return fmt.Errorf("%w: %d live sessions, the most that are allowed", session.ErrUnavailable, n)
	}

	s.turn.RLock()
	defer s.turn.RUnlock()
	if err := s.journal.append(*buffer); err != nil {
		return err
	}
	s.insert(string((*buffer)[frameHeader+1:]), expires, now)
	return nil
}

func (s *Store) insert(encoded string, expires, now int64) {
	e := &entry{encoded: encoded, expires: expires}
	added, bytes := s.shard(e.accessKeyID()).insert(e, now)
	s.records.Add(int64(added))
	s.bytes.Add(bytes)
}

// Get implements session.Store.
func (s *Store) Get(_ context.Context, accessKeyID string) (*session.Record, error) {
	encoded, ok := s.shard(accessKeyID).get(accessKeyID, s.cfg.Now().UnixMilli())
	if !ok {
		return nil, session.ErrNotFound
	}
	return session.DecodeRecord(encoded)
}

// List implements session.Store.
func (s *Store) List(_ context.Context, q session.Query) (session.Page, error) {
	after, before, limit, err := q.Range()
	if err != nil {
		return session.Page{}, err
	}
	now := s.cfg.Now().UnixMilli()
	var found []string
	for i := range s.shards {
		found = s.shards[i].list(found, after, before, limit, now)
	}
	slices.SortFunc(found, func(a, b string) int { return strings.Compare(session.EncodedKey(a), session.EncodedKey(b)) })
	found = found[:min(limit, len(found))]
	page := session.Page{Records: make([]*session.Record, len(found))}
	for i, encoded := range found {
		if page.Records[i], err = session.DecodeRecord(encoded); err != nil {
			return session.Page{}, err
		}
	}
	if len(found) == limit {
		page.Next = session.Cursor(page.Records[limit-1].Key())
	}
	return page, nil
}

// Consume implements session.Guard. A name whose record could not be written stays consumed until the process ends.
func (s *Store) Consume(_ context.Context, name string, since, until time.Time) error {
	now := s.cfg.Now()
	if err := session.CheckGuard(name, now, until); err != nil {
		return err
	}
	if s.birth.lost(since) {
		return fmt.Errorf("%w: the store lost what it knew", session.ErrConsumed)
	}
	guard, end := guardNameOf(name), until.Add(time.Millisecond-1).UnixMilli() // rounded up: never too early

	s.turn.RLock()
	defer s.turn.RUnlock()
	if !s.guardShard(guard).consume(guard, end, now.UnixMilli()) {
		return session.ErrConsumed
	}
	s.bytes.Add(guardFrameSize)
	return s.journal.append(newGuardFrame(nil, guard, end))
}

// Ping implements session.Store: it reports whether the journal takes writes.
func (s *Store) Ping(context.Context) error {
	s.turn.RLock()
	defer s.turn.RUnlock()
	return s.journal.health()
}

// Close flushes and lets another process use the directory. Writes that come later fail; a second Close does nothing.
func (s *Store) Close() error {
	s.compacting.Lock()
	defer s.compacting.Unlock()
	s.turn.Lock()
	defer s.turn.Unlock()
	if s.lock == nil {
		return nil
	}
	err := errors.Join(s.journal.close(), unlockDir(s.lock))
	s.lock = nil
	return err
}

// expire removes what has ended, a little at a time for each lock.
func (s *Store) expire() {
	now := s.cfg.Now().UnixMilli()
	for i := range s.shards {
		for more := true; more; {
			var removed int
			var bytes int64
			removed, bytes, more = s.shards[i].expire(now, 1000)
			s.records.Add(int64(-removed))
			s.bytes.Add(-bytes)
		}
		s.bytes.Add(-s.shards[i].throttles.expire(now))
		s.expireValues(&s.shards[i].values, now)
	}
}

func (s *Store) flush() error {
	s.turn.RLock()
	j := s.journal
	s.turn.RUnlock()
	return j.flush()
}

func (s *Store) journalSize() int64 {
	s.turn.RLock()
	defer s.turn.RUnlock()
	return s.journal.size.Load()
}

func (s *Store) shard(accessKeyID string) *shard {
	return &s.shards[maphash.String(s.seed, accessKeyID)%shardCount]
}

func (s *Store) guardShard(name guardName) *shard { return &s.shards[name[0]%shardCount] }
