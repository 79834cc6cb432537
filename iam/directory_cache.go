package iam

import (
	"context"
	"errors"
	"hash/maphash"
	"slices"
	"sync"
	"sync/atomic"
)

// Limits of the caches that no configuration changes.
const (
	shardCount  = 32   // of a cache's map, so that readers on many cores do not meet
	absentLimit = 1024 // how many ids and names are remembered not to exist, in a place of their own
	historySize = 1024 // how many changes a load may be overtaken by and still be kept
	weightUnit  = 4096 // bytes of policy text that weigh as much as an entry by itself
)

// changes is what all caches of a directory share: which entry depends on what, and what was changed lately.
//
// A dependency is the unique id of an object, or what nameOf makes of a name. Everything that hangs on an object (inline
// policies, attachments, memberships, keys) counts as the object itself, so entries have few dependencies.
//
// An entry is kept only if nothing that it was made from has changed since before its snapshot was taken. The check, the
// insertion and the invalidation happen under mu; so no load that raced with a commit can leave the old state behind.
type changes struct {
	mu      sync.Mutex
	now     uint64                // number of the latest change
	history [historySize]string   // the dependency that change i was to, at i % historySize
	heads   map[string]*dependent // first entry that depends on the key
	revoked chan struct{}         // has a value when revocations may have been added
}

// dependent is one entry's dependency on one thing; those on the same thing are a list.
type dependent struct {
	on         string
	entry      interface{ drop() }
	prev, next *dependent
}

// touch drops every entry that depends on one of the ids.
func (c *changes) touch(ids map[string]struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id := range ids {
		c.now++
		c.history[c.now%historySize] = id
		c.dropDependents(id)
		if id == string(KindRevocation) {
			c.tellRevoked()
		}
	}
}

func (c *changes) tellRevoked() {
	select {
	case c.revoked <- struct{}{}:
	default: // it is told already
	}
}

// touchAll drops every entry that depends on anything.
func (c *changes) touchAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tellRevoked()
	c.now += historySize + 1 // what is being loaded now will find its beginning forgotten
	for id := range c.heads {
		c.dropDependents(id)
	}
}

func (c *changes) dropDependents(id string) {
	for d := c.heads[id]; d != nil; d = c.heads[id] {
		d.entry.drop()
	}
}

// unchangedSince reports whether none of the ids was touched after the moment. Call it with mu held.
func (c *changes) unchangedSince(moment uint64, ids []string) bool {
	if c.now-moment > historySize {
		return false
	}
	for i := moment + 1; i <= c.now; i++ {
		if slices.Contains(ids, c.history[i%historySize]) {
			return false
		}
	}
	return true
}

func (c *changes) link(d *dependent) {
	if first := c.heads[d.on]; first != nil {
		d.next, first.prev = first, d
	}
	c.heads[d.on] = d
}

func (c *changes) unlink(d *dependent) {
	switch {
	case d.prev != nil:
		d.prev.next = d.next
	case d.next != nil:
		c.heads[d.on] = d.next
	default:
		delete(c.heads, d.on)
	}
	if d.next != nil {
		d.next.prev = d.prev
	}
	d.prev, d.next = nil, nil
}

// reading is one load: the snapshot that it reads, since when changes matter to it, and what the result depends on.
type reading struct {
	tx    Tx
	since uint64
	on    []string
}

func (r *reading) dependOn(ids ...string) {
	for _, id := range ids {
		if !slices.Contains(r.on, id) {
			r.on = append(r.on, id)
		}
	}
}

// cache keeps values of one type by key. A hit takes a read lock of one shard and no memory.
type cache[K comparable, V any] struct {
	changes *changes
	view    func(ctx context.Context, f func(Tx) error) error
	slots   chan struct{} // bounds the loads under way
	seed    maphash.Seed
	shards  [shardCount]shard[K, V]

	// Under changes.mu:
	flights map[K]*flight[K, V]
	present clock[K, V]
	absent  clock[K, V]
}

type shard[K comparable, V any] struct {
	mu      sync.RWMutex
	entries map[K]*entry[K, V]
}

// entry is immutable but for its places in lists, which belong to changes.mu, and the mark of its use.
type entry[K comparable, V any] struct {
	cache      *cache[K, V]
	key        K
	value      V
	absent     bool // the key is known not to exist
	weight     int
	slot       int
	used       atomic.Bool
	dependents []dependent
}

// result is what a load made.
type result[V any] struct {
	value V
	bytes int // of policy text that belongs to the value alone
}

// flight is a load that others wait for.
type flight[K comparable, V any] struct {
	done    chan struct{}
	value   V
	err     error
	current bool // the result was still true when the load had ended, and is not the caller's own failure
}

// errAbandoned is the result of a load whose goroutine panicked.
var errAbandoned = errors.New("load was abandoned")

func newCache[K comparable, V any](c *changes, view func(context.Context, func(Tx) error) error, limit, loads int) *cache[K, V] {
	made := &cache[K, V]{
		changes: c,
		view:    view,
		slots:   make(chan struct{}, loads),
		seed:    maphash.MakeSeed(),
		flights: make(map[K]*flight[K, V]),
		present: clock[K, V]{limit: limit},
		absent:  clock[K, V]{limit: absentLimit},
	}
	for i := range made.shards {
		made.shards[i].entries = make(map[K]*entry[K, V])
	}
	return made
}

func (c *cache[K, V]) shard(key K) *shard[K, V] {
	return &c.shards[maphash.Comparable(c.seed, key)%shardCount]
}

// peek returns what is cached for the key, or nil.
func (c *cache[K, V]) peek(key K) *entry[K, V] {
	s := c.shard(key)
	s.mu.RLock()
	e := s.entries[key]
	s.mu.RUnlock()
	if e != nil && !e.used.Load() { // a write only when it tells something new: the line stays shared between cores
		e.used.Store(true)
	}
	return e
}

// hit returns the value that is cached for key.
func (c *cache[K, V]) hit(key K) (value V, ok bool) {
	if e := c.peek(key); e != nil && !e.absent {
		return e.value, true
	}
	return value, false
}

// get returns the value for key, loading it when it is not cached. Goroutines that ask for the same key at a time share one
// load, but none takes a result that a change before its own call has made old. A load that returns ErrNotFound is
// remembered too, where it crowds out nothing but its like; other errors are not.
func (c *cache[K, V]) get(ctx context.Context, key K, load func(*reading) (result[V], error)) (V, error) {
	for {
		if e := c.peek(key); e != nil {
			return e.outcome()
		}
		c.changes.mu.Lock()
		if e := c.peek(key); e != nil { // loaded between the two looks
			c.changes.mu.Unlock()
			return e.outcome()
		}
		f := c.flights[key]
		if f == nil {
			f = &flight[K, V]{done: make(chan struct{}), err: errAbandoned}
			c.flights[key] = f
			r := &reading{since: c.changes.now}
			c.changes.mu.Unlock()
			c.fly(ctx, f, r, key, load)
			return f.value, f.err
		}
		c.changes.mu.Unlock()
		select {
		case <-f.done:
			if f.current {
				return f.value, f.err
			}
		case <-ctx.Done():
			var none V
			return none, ctx.Err()
		}
	}
}

func (e *entry[K, V]) outcome() (V, error) {
	if e.absent {
		return e.value, ErrNotFound
	}
	return e.value, nil
}

// fly runs one load and settles its flight, also when it panics.
func (c *cache[K, V]) fly(ctx context.Context, f *flight[K, V], r *reading, key K, load func(*reading) (result[V], error)) {
	var made result[V]
	defer func() {
		c.changes.mu.Lock()
		defer c.changes.mu.Unlock()
		delete(c.flights, key)
		defer close(f.done)
		if f.err != nil && !errors.Is(f.err, ErrNotFound) {
			f.current = ctx.Err() == nil && f.err != errAbandoned && c.changes.now == r.since
			return
		}
		f.current = c.changes.unchangedSince(r.since, r.on)
		if f.current {
			f.value = c.insert(key, made, f.err != nil, r.on)
		}
	}()
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-ctx.Done():
		f.err = ctx.Err()
		return
	}
	f.err = c.view(ctx, func(tx Tx) (err error) {
		r.tx = tx
		made, err = load(r)
		return err
	})
	f.value = made.value
}

// within returns the value for key as part of another load, from the same snapshot, and adds its dependencies to that load.
func (c *cache[K, V]) within(outer *reading, key K, load func(*reading) (result[V], error)) (V, error) {
	if e := c.peek(key); e != nil && !e.absent {
		for i := range e.dependents {
			outer.dependOn(e.dependents[i].on)
		}
		return e.value, nil
	}
	r := &reading{tx: outer.tx, since: outer.since}
	made, err := load(r)
	outer.dependOn(r.on...)
	if err != nil {
		return made.value, err
	}
	c.changes.mu.Lock()
	defer c.changes.mu.Unlock()
	if !c.changes.unchangedSince(r.since, r.on) {
		return made.value, nil
	}
	return c.insert(key, made, false, r.on), nil
}

// insert keeps the result of a load and returns it, or the equal one that is there already. Call it with changes.mu held.
func (c *cache[K, V]) insert(key K, made result[V], absent bool, on []string) V {
	s := c.shard(key)
	s.mu.RLock()
	old := s.entries[key]
	s.mu.RUnlock()
	if old != nil {
		if old.absent == absent {
			return old.value
		}
		old.drop()
	}
	e := &entry[K, V]{
		cache: c, key: key, value: made.value, absent: absent,
		weight: 1 + made.bytes/weightUnit, dependents: make([]dependent, len(on)),
	}
	c.clockOf(e).place(e)
	for i, id := range on {
		e.dependents[i] = dependent{on: id, entry: e}
		c.changes.link(&e.dependents[i])
	}
	s.mu.Lock()
	s.entries[key] = e
	s.mu.Unlock()
	return e.value
}

func (c *cache[K, V]) clockOf(e *entry[K, V]) *clock[K, V] {
	if e.absent {
		return &c.absent
	}
	return &c.present
}

// drop removes the entry from the cache. Call it with changes.mu held.
func (e *entry[K, V]) drop() {
	s := e.cache.shard(e.key)
	s.mu.Lock()
	delete(s.entries, e.key)
	s.mu.Unlock()
	e.cache.clockOf(e).remove(e)
	for i := range e.dependents {
		e.cache.changes.unlink(&e.dependents[i])
	}
}

// clock chooses what to give up: the hand passes over what was used since it came by last (Corbató's CLOCK). Unlike a list in
// order of use it costs a hit no lock.
type clock[K comparable, V any] struct {
	limit  int // of weight
	weight int
	slots  []*entry[K, V] // nil: free
	free   []int
	hand   int
}

func (c *clock[K, V]) place(e *entry[K, V]) {
	for c.weight > 0 && c.weight+e.weight > c.limit {
		c.hand = (c.hand + 1) % len(c.slots)
		if old := c.slots[c.hand]; old != nil && !old.used.Swap(false) {
			old.drop()
		}
	}
	c.weight += e.weight
	if n := len(c.free); n > 0 {
		e.slot = c.free[n-1]
		c.free = c.free[:n-1]
		c.slots[e.slot] = e
		return
	}
	e.slot = len(c.slots)
	c.slots = append(c.slots, e)
}

func (c *clock[K, V]) remove(e *entry[K, V]) {
	c.weight -= e.weight
	c.slots[e.slot] = nil
	c.free = append(c.free, e.slot)
}
