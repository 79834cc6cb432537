package iam

import (
	"context"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"
)

// maxUses bounds how many keys and roles wait to have their last use written down; more are forgotten, and that is logged.
const maxUses = 100_000

// maxScope bounds the service and region of a use, which come from the credential scope that the client chose.
const maxScope = 64

// flushBatch is how many last uses one transaction writes, so that on SQLite it holds up other writers for some milliseconds only.
const flushBatch = 1000

// flushTimeout bounds the last flush, after the program was told to stop.
const flushTimeout = 10 * time.Second

// foreignInterval is how often the store is asked for writes of other processes.
const foreignInterval = time.Second

// lastUses are the uses that were not written down yet, by access key id or role id.
type lastUses struct {
	mu      sync.Mutex
	last    map[string]Use
	dropped int
}

// Used notes that a long-lived access key, a role, or by its unique id a user's password was used. It is written to the store within FlushInterval, by Run; the
// caller waits for nothing.
func (d *Directory) Used(id, service, region string, at time.Time) {
	d.uses.note(id, Use{At: at, Service: service, Region: region})
}

func (u *lastUses) note(id string, latest Use) {
	u.mu.Lock()
	defer u.mu.Unlock()
	old, known := u.last[id]
	if known && !latest.At.After(old.At) {
		return
	}
	if !known {
		if len(u.last) >= maxUses {
			u.dropped++
			return
		}
		id = strings.Clone(id)
	}
	latest.ID, latest.Service, latest.Region = id, kept(old.Service, latest.Service), kept(old.Region, latest.Region)
	if u.last == nil {
		u.last = make(map[string]Use)
	}
	u.last[id] = latest
}

// kept is a copy of text that holds no request in memory: the old one if it is the same. Text that no client of AWS sends, and not
// every database keeps, is left out.
func kept(old, text string) string {
	switch {
	case old == text:
		return old
	case len(text) > maxScope, !utf8.ValidString(text), strings.ContainsFunc(text, unicode.IsControl):
		return ""
	}
	return strings.Clone(text)
}

func (u *lastUses) take() (last map[string]Use, dropped int) {
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
	flush := time.NewTimer(rand.N(d.flushInterval)) // nodes that start together take turns from then on
	defer flush.Stop()
	look := time.NewTicker(foreignInterval)
	defer look.Stop()
	for {
		select {
		case <-flush.C:
			d.flushOrLog(ctx)
			flush.Reset(d.flushInterval)
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
	last, dropped := d.uses.take()
	if dropped > 0 {
		d.log.WarnContext(ctx, "last uses forgotten", "count", dropped)
	}
	waiting := slices.Collect(maps.Values(last))
	for len(waiting) > 0 {
		batch := waiting[:min(flushBatch, len(waiting))]
		// Not by Update: last uses are in no cached value, and forgetting every key and role in use would defeat the cache.
		if err := d.store.NoteUses(ctx, d.now(), batch); err != nil {
			for _, u := range waiting {
				d.uses.note(u.ID, u)
			}
			return err
		}
		waiting = waiting[len(batch):]
	}
	return nil
}

// lastUsed is the later of what a record says, as older releases wrote it there, and what was noted since.
func lastUsed(tx Tx, recorded Use) (Use, error) {
	noted, err := tx.Uses(recorded.ID)
	if u, ok := noted[recorded.ID]; ok && u.At.After(recorded.At) {
		return u, nil
	}
	return recorded, err
}

// findSignIns brings PasswordLastUsed of users that are to be shown up to date.
func findSignIns(tx Tx, users ...*User) error {
	ids := make([]string, len(users))
	for i, u := range users {
		ids[i] = u.ID
	}
	noted, err := tx.Uses(ids...)
	if err != nil {
		return err
	}
	for _, u := range users {
		if at := noted[u.ID].At; at.After(u.PasswordLastUsed) {
			u.PasswordLastUsed = at
		}
	}
	return nil
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
