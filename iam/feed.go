package iam

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stint-sts/stint/awserr"
)

// Feed is what a Store gives whose records the Directories of several nodes read and write: each learns from it what it must
// forget.
type Feed interface {
	// Changes returns what the transactions touched that were committed after the position, as they announced it, and the
	// position up to which that is. The zero position is known to nobody.
	Changes(ctx context.Context, after FeedPosition) (Changes, error)
	// Await returns soon after a transaction that announced something, and at the latest after half a second, so that Changes is
	// asked again. One goroutine calls it.
	Await(ctx context.Context)
}

// Announcer is the Tx that a store with a Feed gives to an Update.
type Announcer interface {
	// Announce tells all nodes, when the transaction is committed, what it touched. It returns the position that the announcement
	// then has. It is called last and at most once.
	Announce(touched []string) (FeedPosition, error)
}

// FeedPosition is a place in the sequence of announcements.
type FeedPosition struct {
	Version int64 // grows with each announcement, in the order of commits
	Mark    int64 // random; another one at the same version means another history
}

// Change is one announcement.
type Change struct {
	FeedPosition
	Touched []string
}

// Changes is a piece of the sequence of announcements.
type Changes struct {
	FeedPosition // of its end
	Announced    []Change
	More         bool // there may be more already
	Complete     bool // false: the position asked for is not known (any more), and everything may have changed
}

// touchedAll stands for more dependencies than are worth being listed.
const (
	touchedAll = "*"
	maxTouched = 512
)

// DefaultGrace is how long a Directory goes on without its store, unless the configuration says otherwise. It is not longer than
// the other nodes accept what this one signs with a key that was retired meanwhile.
const DefaultGrace = 10 * time.Minute

// following is how a Directory keeps up with what other nodes write.
type following struct {
	feed  Feed // nil: nobody else writes but a command line tool, see Refresh
	grace time.Duration
	turn  chan struct{} // who may read the feed; holds the position
	at    FeedPosition  // under turn

	applied atomic.Int64              // the version up to which everything is forgotten that was to be
	latest  atomic.Int64              // the newest version that is known to be committed; written under mu
	inTouch atomic.Pointer[time.Time] // when the feed was last read to its end; at first the start
	waiters chan struct{}

	mu      sync.Mutex
	own     map[FeedPosition]struct{} // under mu: what this node announced and has not read yet; it has forgotten what they touched
	written int64                     // under mu: the newest of own since the feed was last asked

	lost bool // of follow: the feed did not answer the last time
}

// maxWaiters bounds how many calls wait for a version at a time. Anybody can ask for one.
const maxWaiters = 64

func (f *following) init(store Store, grace time.Duration, now time.Time) {
	f.feed, _ = store.(Feed)
	f.grace = grace
	f.inTouch.Store(&now)
	f.turn, f.waiters = make(chan struct{}, 1), make(chan struct{}, maxWaiters)
	f.own = make(map[FeedPosition]struct{})
}

// announce tells the other nodes what a transaction touched.
func announce(tx Tx, touched map[string]struct{}) (FeedPosition, error) {
	a, ok := tx.(Announcer)
	if !ok || len(touched) == 0 {
		return FeedPosition{}, nil
	}
	all := make([]string, 0, len(touched))
	for id := range touched {
		all = append(all, id)
	}
	if len(all) > maxTouched {
		all = []string{touchedAll}
	}
	return a.Announce(all)
}

// wrote notes that this node committed what has that position, and has forgotten what it touched.
func (f *following) wrote(at FeedPosition) {
	if at.Version == 0 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.written = max(f.written, at.Version)
	f.latest.Store(max(f.latest.Load(), at.Version))
	if f.applied.Load() < at.Version {
		f.own[at] = struct{}{}
	}
}

// ask asks for what comes after the position.
func (f *following) ask(ctx context.Context) (Changes, error) {
	f.mu.Lock()
	f.written = 0
	f.mu.Unlock()
	return f.feed.Changes(ctx, f.at)
}

// read notes that everything up to the position was read. When the sequence is another one than before, its versions may be lower:
// the database has lost the latest.
func (f *following) read(at FeedPosition, complete bool) {
	f.at = at
	f.mu.Lock()
	defer f.mu.Unlock()
	f.applied.Store(at.Version)
	if complete {
		f.latest.Store(max(f.latest.Load(), at.Version))
	} else {
		f.latest.Store(max(f.written, at.Version))
	}
	for own := range f.own {
		if own.Version <= at.Version {
			delete(f.own, own)
		}
	}
}

// Version names a state of the directory that holds everything that this node has written or learned so far; any node that
// CatchUp has brought to it does too. It is empty where no other nodes are.
func (d *Directory) Version() string {
	if v := d.following.latest.Load(); d.following.feed != nil && v > 0 {
		return strconv.FormatInt(v, 10)
	}
	return ""
}

// catchUpTimeout bounds the wait for a version.
const catchUpTimeout = 2 * time.Second

// CatchUp returns once this node sees everything that was written up to the version, which Version of some node returned. It
// returns ValidationError for what is no version, and ServiceUnavailable when the version is not known after all (the database
// has lost it) or not reached within two seconds. Where no other nodes are, it does nothing.
func (d *Directory) CatchUp(ctx context.Context, version string) error {
	f := &d.following
	if f.feed == nil {
		return nil
	}
	wanted, err := strconv.ParseInt(version, 10, 64)
	if err != nil || wanted < 1 {
		return awserr.New(awserr.ValidationError, "The version of the directory is not one that stint returned.")
	}
	if f.applied.Load() >= wanted {
		return nil
	}
	select {
	case f.waiters <- struct{}{}:
		defer func() { <-f.waiters }()
	default:
		return unavailable(errors.New("too many calls wait for a version of the directory"))
	}
	ctx, cancel := context.WithTimeout(ctx, catchUpTimeout)
	defer cancel()
	if err := d.keepUp(ctx, wanted); err != nil {
		return unavailable(fmt.Errorf("version %d of the directory: %w", wanted, err))
	}
	// The version was committed before anybody could name it. So a look that began after the call must have found it.
	if at := f.applied.Load(); at < wanted {
		return unavailable(fmt.Errorf("version %d of the directory: its newest is %d", wanted, at))
	}
	return nil
}

// KeepUp returns once this node sees everything that other nodes have written before the call.
func (d *Directory) KeepUp(ctx context.Context) error {
	if d.following.feed == nil {
		return nil
	}
	return d.keepUp(ctx, 0)
}

// follow forgets what other nodes change, until ctx ends.
func (d *Directory) follow(ctx context.Context) {
	f := &d.following
	for ctx.Err() == nil {
		look, cancel := context.WithTimeout(ctx, followTimeout)
		err := d.keepUp(look, 0)
		cancel()
		if ctx.Err() != nil {
			return
		}
		d.judge(ctx, err)
		f.feed.Await(ctx)
	}
}

// followTimeout bounds one look at the feed.
const followTimeout = 5 * time.Second

// keepUp reads the feed to its end, unless wanted (not 0) is reached without.
func (d *Directory) keepUp(ctx context.Context, wanted int64) error {
	f := &d.following
	select {
	case f.turn <- struct{}{}:
		defer func() { <-f.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if wanted > 0 && f.applied.Load() >= wanted {
		return nil
	}
	for {
		began := d.now()
		found, err := f.ask(ctx)
		if err != nil {
			return err
		}
		if found.FeedPosition != f.at || !found.Complete {
			d.apply(found)
			f.read(found.FeedPosition, found.Complete)
		}
		if !found.More {
			f.inTouch.Store(&began)
			return nil
		}
	}
}

// apply forgets what others have touched. It does so under mu, for which wrote waits: what this node changed itself is either
// known to be its own, or forgotten again before the writer has its answer and reads it anew.
func (d *Directory) apply(found Changes) {
	f := &d.following
	f.mu.Lock()
	defer f.mu.Unlock()
	touched := make(map[string]struct{})
	for _, c := range found.Announced {
		if _, own := f.own[c.FeedPosition]; !own {
			for _, id := range c.Touched {
				touched[id] = struct{}{}
			}
		}
	}
	if _, all := touched[touchedAll]; all || !found.Complete {
		d.changes.touchAll()
		return
	}
	d.changes.touch(touched)
}

// judge logs when the feed is lost and found again. Once it was lost for longer than the grace, nothing is remembered any more:
// who was locked out on another node since must not get in here for ever.
func (d *Directory) judge(ctx context.Context, err error) {
	f := &d.following
	silent := d.silent()
	switch {
	case err == nil && f.lost:
		d.log.InfoContext(ctx, "directory database answers again")
	case err != nil && !f.lost:
		d.log.WarnContext(ctx, "directory database does not answer; reads go on from memory", "for", max(0, f.grace-silent), "error", err)
	}
	f.lost = err != nil
	if err != nil && silent > f.grace {
		d.changes.touchAll()
	}
}

// silent is how long ago the feed was last read to its end, by the clock of the process or by that of the world: the first one stops
// with a machine that is suspended.
func (d *Directory) silent() time.Duration {
	now, last := d.now(), *d.following.inTouch.Load()
	return max(now.Sub(last), now.Round(0).Sub(last.Round(0)))
}

// OutOfTouch is how long a store that several nodes share has not answered; 0: nobody else shares it.
func (d *Directory) OutOfTouch() time.Duration {
	if d.following.feed == nil {
		return 0
	}
	return d.silent()
}

// Ready returns nil while the Directory can do its work: while its store answers, or has answered lately enough for reads to go on
// from memory.
func (d *Directory) Ready(ctx context.Context) error {
	f := &d.following
	if f.feed == nil {
		return d.View(ctx, func(Tx) error { return nil })
	}
	if silent := d.silent(); silent > f.grace {
		return fmt.Errorf("%w since %v", ErrUnavailable, silent.Round(time.Second))
	}
	return nil
}

// unavailable gives failures to reach the store their AWS code.
func unavailable(err error) error {
	return awserr.Wrap(awserr.ServiceUnavailable, "The request has failed due to a temporary failure of the server.", err)
}
