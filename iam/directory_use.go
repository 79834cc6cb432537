package iam

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// maxUses bounds how many keys and roles wait to have their last use written down; more are forgotten, and that is logged.
const maxUses = 100_000

// maxScope bounds the service and region of a use, which come from the credential scope that the client chose.
const maxScope = 64

// flushBatch is how many last uses one transaction writes, so that it holds up other writers for some milliseconds only.
const flushBatch = 128

// flushTimeout bounds the last flush, after the program was told to stop.
const flushTimeout = 10 * time.Second

// foreignInterval is how often the store is asked for writes of other processes.
const foreignInterval = time.Second

// lastUse is where and when a key or role was last used.
type lastUse struct {
	at              time.Time
	service, region string
}

// lastUses are the uses that were not written down yet, by access key id or role id.
type lastUses struct {
	mu      sync.Mutex
	last    map[string]lastUse
	dropped int
}

// Used notes that a long-lived access key, a role, or by its unique id a user's password was used. It is written to the store within FlushInterval, by Run; the
// caller waits for nothing.
func (d *Directory) Used(id, service, region string, at time.Time) {
	d.uses.note(id, lastUse{at: at, service: service, region: region})
}

func (u *lastUses) note(id string, latest lastUse) {
	u.mu.Lock()
	defer u.mu.Unlock()
	old, known := u.last[id]
	if known && !latest.at.After(old.at) {
		return
	}
	if !known {
		if len(u.last) >= maxUses {
			u.dropped++
			return
		}
		id = strings.Clone(id)
	}
	latest.service, latest.region = kept(old.service, latest.service), kept(old.region, latest.region)
	if u.last == nil {
		u.last = make(map[string]lastUse)
	}
	u.last[id] = latest
}

// kept is a copy of text that holds no request in memory: the old one if it is the same.
func kept(old, text string) string {
	switch {
	case old == text:
		return old
	case len(text) > maxScope:
		return ""
	}
	return strings.Clone(text)
}

func (u *lastUses) take() (last map[string]lastUse, dropped int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	last, dropped = u.last, u.dropped
	u.last, u.dropped = nil, 0
	return last, dropped
}

// Run writes last uses down and looks for writes of other nodes and processes to the store, until ctx ends. Then it writes what
// is left, and returns nil.
func (d *Directory) Run(ctx context.Context) error {
	if d.following.feed != nil {
		var follower sync.WaitGroup
		defer follower.Wait()
		follower.Go(func() { d.follow(ctx) })
	}
	flush := time.NewTicker(d.flushInterval)
	defer flush.Stop()
	look := time.NewTicker(foreignInterval)
	defer look.Stop()
	for {
		select {
		case <-flush.C:
			d.flushOrLog(ctx)
		case <-look.C:
			if err := d.Refresh(ctx); err != nil && ctx.Err() == nil {
				d.log.ErrorContext(ctx, "look for foreign writes to the directory", "error", err)
			}
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTimeout)
			defer cancel()
			d.flushOrLog(last)
			return nil
		}
	}
}

func (d *Directory) flushOrLog(ctx context.Context) {
	if err := d.flush(ctx); err != nil && ctx.Err() == nil {
		d.log.ErrorContext(ctx, "write last uses", "error", err)
	}
}

// flush writes down the uses that were noted so far; those that it cannot write wait for the next time.
func (d *Directory) flush(ctx context.Context) error {
	waiting, dropped := d.uses.take()
	if dropped > 0 {
		d.log.WarnContext(ctx, "last uses forgotten", "count", dropped)
	}
	batch := make(map[string]lastUse, flushBatch)
	for id, u := range waiting {
		batch[id] = u
		delete(waiting, id)
		if len(batch) < flushBatch && len(waiting) > 0 {
			continue
		}
		if err := d.writeUses(ctx, batch); err != nil {
			for _, unwritten := range []map[string]lastUse{batch, waiting} {
				for id, u := range unwritten {
					d.uses.note(id, u)
				}
			}
			return err
		}
		clear(batch)
	}
	return nil
}

// writeUses bypasses Update: last uses are in no cached value, and invalidating every key and role in use would defeat the
// cache.
func (d *Directory) writeUses(ctx context.Context, batch map[string]lastUse) error {
	now := d.now()
	return d.store.Update(ctx, func(tx Tx) error {
		for id, u := range batch {
			if err := writeUse(tx, id, u, now); err != nil && !errors.Is(err, ErrNotFound) { // deleted meanwhile
				return fmt.Errorf("last use of %s: %w", id, err)
			}
		}
		return nil
	})
}

func writeUse(tx Tx, id string, u lastUse, now time.Time) error {
	k, err := byID[AccessKey](tx, id)
	if err == nil {
		if !u.supersedes(k.LastUsed, now) {
			return nil
		}
		k.LastUsed, k.LastUsedService, k.LastUsedRegion = u.at, u.service, u.region
		return put(tx, k)
	}
	if !errors.Is(err, ErrNotFound) {
		return err
	}
	user, err := byID[User](tx, id)
	if err == nil {
		if !u.supersedes(user.PasswordLastUsed, now) {
			return nil
		}
		user.PasswordLastUsed = u.at
		return put(tx, user)
	}
	if !errors.Is(err, ErrNotFound) {
		return err
	}
	r, err := byID[Role](tx, id)
	if err != nil || !u.supersedes(r.LastUsed, now) {
		return err
	}
	r.LastUsed, r.LastUsedRegion = u.at, u.region
	return put(tx, r)
}

// supersedes reports whether u is later than what was written down. A time that lies in the future comes from a clock that was
// set back since, and does not count.
func (u lastUse) supersedes(written, now time.Time) bool {
	return u.at.After(written) || written.After(now)
}

// Refresh forgets everything that was read from the store if another process has written to it since the last call. Run calls
// it every second: so long the writes of a command line tool beside a running server may go unseen.
func (d *Directory) Refresh(ctx context.Context) error {
	store, ok := d.store.(foreignChanges)
	if !ok {
		return nil
	}
	d.refresh.Lock()
	defer d.refresh.Unlock()
	seen, err := store.ForeignChanges(ctx)
	if err != nil {
		return err
	}
	if !d.asked || seen != d.seen {
		d.changes.touchAll()
	}
	d.asked, d.seen = true, seen
	return nil
}
