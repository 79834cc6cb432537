package session

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// RevocationLog keeps revocations durably, for all nodes. Implementations are safe for concurrent use.
type RevocationLog interface {
	// AddRevocation keeps r: when it returns nil, r outlives every node and the session state.
	AddRevocation(ctx context.Context, r *Revocation) error
	// RevocationsSince returns those made at or after the moment, and maybe earlier ones.
	RevocationsSince(ctx context.Context, moment time.Time) ([]*Revocation, error)
	// DropRevocations forgets those that nothing can be about any more at now.
	DropRevocations(ctx context.Context, now time.Time) error
	// RevocationsChanged gives a value soon after some node has added one. It may give more values than that.
	RevocationsChanged() <-chan struct{}
}

// Bulletin tells the other nodes of revocations faster than the log does. Implementations are safe for concurrent use.
type Bulletin interface {
	// Publish tells all nodes that follow, this one too.
	Publish(ctx context.Context, r *Revocation) (position string, err error)
	// Follow calls ready when it would miss nothing that is published from then on, and heard for each revocation. This node counts as one
	// that has heard what came before only when ready returns nil. It goes on until ctx ends; while the backend cannot be reached, or
	// ready fails, it tries again.
	Follow(ctx context.Context, ready func() error, heard func(*Revocation))
	// CatchUp returns when this node, which follows, has heard what was published before the call. The error matches ErrUnavailable when
	// that is not so by the end of ctx.
	CatchUp(ctx context.Context) error
	// Heard waits until every live node has heard what was published at the position, and returns how many there are. The error
	// matches ErrUnavailable when that is not known by the end of ctx.
	Heard(ctx context.Context, position string) (nodes int, err error)
}

// Revoker makes revocations, and keeps a node's Revocations what the log and the bulletin say.
type Revoker struct {
	view     *Revocations
	log      RevocationLog
	bulletin Bulletin // nil: this node is the only one
	now      func() time.Time
	logger   *slog.Logger

	loading sync.Mutex
	loaded  time.Time // under loading: begin of the last complete reading of the log
}

// RevokerConfig is what a Revoker needs. Fields are required unless they say a default.
type RevokerConfig struct {
	Log      RevocationLog
	Bulletin Bulletin         // default: this node is the only one
	Now      func() time.Time // default time.Now
	Logger   *slog.Logger     // default: none
}

// NewRevoker makes a Revoker. Nothing is revoked before Load.
func NewRevoker(cfg RevokerConfig) *Revoker {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Revoker{view: NewRevocations(), log: cfg.Log, bulletin: cfg.Bulletin, now: cfg.Now, logger: cfg.Logger}
}

// Revocations is what counts on this node.
func (r *Revoker) Revocations() *Revocations { return r.view }

// confirmation bounds how long Revoke waits for other nodes.
const confirmation = 8 * time.Second

// Revoke makes a revocation count: it is in the log, and in force on this node, when Revoke returns nil. Other nodes have it within a
// second. With wait, Revoke returns when every live node has it, and how many there are; an error that matches ErrUnavailable and
// comes with nodes = 1 says that the revocation counts but that this is not known of the others.
func (r *Revoker) Revoke(ctx context.Context, made *Revocation, wait bool) (nodes int, err error) {
	if err := made.Check(); err != nil {
		return 0, err
	}
	if err := r.view.Room(made); err != nil {
		return 0, err
	}
	if err := r.log.AddRevocation(ctx, made); err != nil {
		return 0, fmt.Errorf("keep revocation: %w", err)
	}
	r.view.Add(r.now(), made)
	if r.bulletin == nil {
		return 1, nil
	}
	// It counts, whatever happens from here on; also when the caller has gone.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), confirmation)
	defer cancel()
	position, err := r.bulletin.Publish(ctx, made)
	if err != nil {
		r.logger.Warn("a revocation is spread by the directory only", "revocation", made.ID, "error", err)
	}
	if !wait || err != nil {
		return 1, onlyIf(wait, err)
	}
	nodes, err = r.bulletin.Heard(ctx, position)
	if err != nil {
		return 1, err
	}
	return nodes, nil
}

func onlyIf(condition bool, err error) error {
	if !condition {
		return nil
	}
	return err
}

// overlap is how much of the log is read again: a revocation may be committed after later ones, by a node whose clock is behind.
const overlap = 10 * time.Minute

// Load reads what the log has to say that is new. The first time that is all: call it before any session is judged. A revocation that
// cannot be understood is an error; the others count all the same.
func (r *Revoker) Load(ctx context.Context) error {
	r.loading.Lock()
	defer r.loading.Unlock()
	began := r.now()
	var since time.Time
	if !r.loaded.IsZero() {
		since = r.loaded.Add(-overlap)
	}
	found, err := r.log.RevocationsSince(ctx, since)
	if err != nil {
		return fmt.Errorf("read revocations: %w", err)
	}
	r.view.Add(r.now(), found...)
	for _, f := range found {
		if err := f.Check(); err != nil { // of a newer version, or damaged: who is meant is not known here
			return fmt.Errorf("read revocation %s: %w", f.ID, err)
		}
	}
	r.loaded = began
	return nil
}

// Listen returns when this node has heard what other nodes published before the call: less than Load, for a log that does not answer.
func (r *Revoker) Listen(ctx context.Context) error {
	if r.bulletin == nil {
		return fmt.Errorf("%w: no other nodes", ErrUnavailable)
	}
	return r.bulletin.CatchUp(ctx)
}

// tidyEvery is how often what is over is forgotten.
const tidyEvery = time.Hour

// Run keeps up with other nodes until ctx ends.
func (r *Revoker) Run(ctx context.Context) error {
	var followers sync.WaitGroup
	defer followers.Wait()
	if r.bulletin != nil {
		followers.Go(func() {
			r.bulletin.Follow(ctx,
				func() error { return r.Load(ctx) }, // what was published before is in the log
				func(heard *Revocation) { r.view.Add(r.now(), heard) })
		})
	}
	tidy := time.NewTicker(tidyEvery)
	defer tidy.Stop()
	var again <-chan time.Time // after a failure
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tidy.C:
			r.tidy(ctx)
			continue
		case <-r.log.RevocationsChanged():
		case <-again:
		}
		again = nil
		if err := r.Load(ctx); err != nil && ctx.Err() == nil {
			r.logger.Error("revocations made on other nodes may not be known here", "error", err)
			again = time.After(time.Second)
		}
	}
}

func (r *Revoker) tidy(ctx context.Context) {
	r.view.Forget(r.now())
	if err := r.log.DropRevocations(ctx, r.now()); err != nil && ctx.Err() == nil {
		r.logger.Warn("old revocations stay in the directory", "error", err)
	}
}
