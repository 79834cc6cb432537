package store

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/stint-sts/stint/iam"
)

const (
	// pollInterval is how long a change may go unseen when its notification is lost, as with a connection.
	pollInterval = 400 * time.Millisecond
	// changesKept is how many of the newest changes stay for nodes that were cut off.
	changesKept = 10_000
	// changesAtOnce bounds one answer of Changes.
	changesAtOnce = 1000
)

const (
	notify = "stint_changes" // the channel

	// A transaction is announced while it holds the write lock, so MAX is the number of the commit before.
	insertChange = `WITH added AS (
	INSERT INTO changes (version, mark, touched) SELECT MAX(version) + 1, $1, $2 FROM changes RETURNING version
), gone AS (
	DELETE FROM changes WHERE version <= (SELECT MAX(version) FROM changes) - $3
)
SELECT version, pg_notify('` + notify + `', version::text) FROM added`
	selectChanges = "SELECT version, mark, touched FROM changes WHERE version >= $1 ORDER BY version LIMIT $2"
	selectNewest  = "SELECT version, mark FROM changes ORDER BY version DESC LIMIT 1"
)

// postgresTx is the transaction of an Update.
type postgresTx struct{ *tx }

var _ iam.Announcer = (*postgresTx)(nil)

// Announce implements iam.Announcer.
func (t *postgresTx) Announce(touched []string) (iam.FeedPosition, error) {
	at := iam.FeedPosition{Mark: rand.Int64()}
	text, err := json.Marshal(touched)
	if err != nil {
		return at, err
	}
	var sent string // void
	err = t.row(insertChange, []any{at.Mark, string(text), int64(changesKept)}, &at.Version, &sent)
	return at, err
}

// Changes implements iam.Feed.
func (p *Postgres) Changes(ctx context.Context, after iam.FeedPosition) (iam.Changes, error) {
	changes := iam.Changes{FeedPosition: after}
	err := p.View(ctx, func(t iam.Tx) error {
		tx := t.(*tx)
		if err := p.checkCompatible(tx); err != nil {
			return err
		}
		var err error
		changes, err = readChanges(tx, after)
		return err
	})
	return changes, err
}

func readChanges(t *tx, after iam.FeedPosition) (iam.Changes, error) {
	changes := iam.Changes{FeedPosition: after}
	found, err := t.query(selectChanges, after.Version, int64(changesAtOnce))
	if err != nil {
		return changes, err
	}
	defer found.Close()
	// The first row must be the one that was read last: otherwise what came after it is not known.
	for n := 0; found.Next(); n++ {
		var c iam.Change
		var text string
		if err := found.Scan(&c.Version, &c.Mark, &text); err != nil {
			return changes, t.fail(err)
		}
		if n == 0 {
			if changes.Complete = c.FeedPosition == after; !changes.Complete {
				break
			}
			continue
		}
		if err := json.Unmarshal([]byte(text), &c.Touched); err != nil {
			return changes, fmt.Errorf("change %d: %w", c.Version, err)
		}
		changes.FeedPosition, changes.Announced, changes.More = c.FeedPosition, append(changes.Announced, c), n == changesAtOnce-1
	}
	if err := found.Close(); err != nil || changes.Complete {
		return changes, t.fail(err)
	}
	var newest iam.FeedPosition
	err = t.row(selectNewest, nil, &newest.Version, &newest.Mark)
	return iam.Changes{FeedPosition: newest}, err
}

// Await implements iam.Feed: it returns on a notification, and without one after pollInterval. It does not wait for a new connection,
// which takes its time when a host is gone, as after a fail-over.
func (p *Postgres) Await(ctx context.Context) {
	p.listening.Lock()
	defer p.listening.Unlock()
	ctx, cancel := context.WithTimeout(ctx, pollInterval)
	defer cancel()
	if p.listener != nil && time.Since(p.listener.made) > connectionLife {
		p.dropListener() // it may hang on a server that is no longer the primary
	}
	if p.listener == nil {
		p.awaitListener(ctx)
		return // what came before is not announced again
	}
	if err := p.listener.WaitForNotification(ctx); err != nil && ctx.Err() == nil {
		p.dropListener()
		<-ctx.Done()
	}
}

// awaitListener has a listener made, unless one is being made, and waits for it. Call it with listening held.
func (p *Postgres) awaitListener(ctx context.Context) {
	select {
	case <-p.pool.closed:
		<-ctx.Done()
		return
	default:
	}
	if p.making == nil {
		p.making = make(chan *pgConn, 1)
		go func(made chan<- *pgConn) { made <- p.listen(context.WithoutCancel(ctx)) }(p.making)
	}
	select {
	case p.listener = <-p.making:
		p.making = nil
		if p.listener == nil {
			<-ctx.Done() // Changes will tell why
		}
	case <-ctx.Done():
	}
}

// listen makes the connection that waits for notifications, or returns nil. The pool's bound is not for it.
func (p *Postgres) listen(ctx context.Context) *pgConn {
	c, err := p.pool.connect(ctx)
	if err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	if _, err := c.exec(ctx, "LISTEN "+notify); err != nil {
		c.close()
		return nil
	}
	return c
}

func (p *Postgres) dropListener() {
	if p.listener != nil {
		p.listener.close()
		p.listener = nil
	}
}
