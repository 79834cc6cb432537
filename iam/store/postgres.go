package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/stint-sts/stint/iam"
)

// PostgresConfig says where the database is and how much may be asked of it. Fields are required unless they say a default.
type PostgresConfig struct {
	// URL is postgres://USER@HOST:PORT/DATABASE with the parameters of libpq (PostgreSQL documentation, "Connection URIs"): sslmode,
	// sslrootcert, sslcert, sslkey, passfile, search_path and so on; several hosts are separated by commas. Two defaults differ:
	// sslmode is verify-full unless the server is on this machine, and target_session_attrs is read-write.
	URL string

	PasswordFile   string        // holds the password alone; read for each connection, so that it can be changed; default: none
	MaxConnections int           // of this Postgres, but for one that listens and one that holds a lock; default 8
	ConnectTimeout time.Duration // of one attempt at one host; default 3 seconds
	Timeout        time.Duration // of a transaction, with the wait for its turn to write; default 5 seconds
}

// Postgres is a directory in a PostgreSQL database, which nodes on many machines share. It is safe for concurrent use.
//
// Writers take turns, over all nodes, by an advisory lock that each takes before its first look and keeps until its commit is
// there for all to see. So transactions are serializable without failures to serialize, and the number that a change gets is
// in the order of commits: who has read all numbers up to n has missed nothing. Readers wait for nobody.
type Postgres struct {
	pool    *pool
	steps   []postgresStep
	timeout time.Duration
	writing chan struct{} // who of this process may wait for its turn

	listening sync.Mutex
	listener  *pgConn      // under listening; nil: there is none (any more)
	making    chan *pgConn // under listening; gives the next one; nil: none is being made
}

var (
	_ iam.Store = (*Postgres)(nil)
	_ iam.Feed  = (*Postgres)(nil)
)

// OpenPostgres opens the directory in the database and brings its schema up to date; in an empty database it makes it. Errors
// match ErrForeign, ErrNewer or iam.ErrUnavailable where that is the cause, and the database is then as it was. No error holds
// the password.
func OpenPostgres(ctx context.Context, cfg PostgresConfig) (*Postgres, error) {
	return openPostgres(ctx, cfg, postgresSteps)
}

func openPostgres(ctx context.Context, cfg PostgresConfig, steps []postgresStep) (*Postgres, error) {
	pool, err := newPool(cfg)
	if err != nil {
		return nil, err
	}
	p := &Postgres{pool: pool, steps: steps, timeout: pool.timeout, writing: make(chan struct{}, 1)}
	if err := p.migrate(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open directory at %s: %w", pool.place(), explainPostgres(err)), p.Close())
	}
	return p, nil
}

// Close closes the connections, once the transactions under way have ended. Later calls return ErrClosed.
func (p *Postgres) Close() error {
	err := p.pool.close()
	p.listening.Lock()
	defer p.listening.Unlock()
	if p.making != nil {
		p.listener, p.making = <-p.making, nil
	}
	p.dropListener()
	return err
}

// Connections is how the pool of a Postgres stands.
type Connections struct {
	Used int // places that transactions have, or wait in for a new connection
	Idle int
	Max  int
}

// Connections returns how the pool stands.
func (p *Postgres) Connections() Connections {
	p.pool.mu.Lock()
	defer p.pool.mu.Unlock()
	return Connections{Used: len(p.pool.places), Idle: len(p.pool.idle), Max: cap(p.pool.places)}
}

// View runs f on a consistent snapshot, which holds everything that was committed before View was called. f must not call
// View itself: when all connections are in use, none goes on.
func (p *Postgres) View(ctx context.Context, f func(iam.Tx) error) error {
	c, run, end, err := p.begin(ctx, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
	if err != nil {
		return fmt.Errorf("read directory: %w", err)
	}
	defer end()
	t := &tx{ctx: ctx, run: run, conn: c}
	defer t.rollback()
	if err := f(t); err != nil {
		return err
	}
	return t.failure
}

// retries bounds how often a transaction runs again that the database gave up (a deadlock, a failure to serialize). Among stint's
// own there are none; others may work in the database.
const retries = 3

// Update runs f in a transaction when it is its turn, and returns nil once what it did is durable and seen by every later View
// of any node. When ctx ends before the commit begins, nothing is changed. f may run more than once, and must not call Update.
// An error matching iam.ErrUnavailable that comes with the commit leaves open whether it happened.
func (p *Postgres) Update(ctx context.Context, f func(iam.Tx) error) error {
	if err := p.pool.enter(ctx, p.writing); err != nil {
		return err
	}
	defer func() { <-p.writing }()
	for attempt := 0; ; attempt++ {
		err := p.update(ctx, f)
		if attempt == retries || !givenUp(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Duration(1+rand.IntN(20<<attempt)) * time.Millisecond):
		}
	}
}

func (p *Postgres) update(ctx context.Context, f func(iam.Tx) error) error {
	c, run, end, err := p.begin(ctx, beginWrite)
	if err != nil {
		return fmt.Errorf("write directory: %w", err)
	}
	defer end()
	t := &tx{ctx: ctx, run: run, conn: c, writes: true}
	defer t.rollback() // also when f panics
	// Looked up under the lock: a node of a later version may have changed the schema since.
	if err := p.checkCompatible(t); err != nil {
		return fmt.Errorf("write directory: %w", err)
	}
	if err := f(&postgresTx{t}); err != nil {
		return err
	}
	return t.commit()
}

// NoteUses notes last uses. It takes no turn among the writers: what it changes they only ever delete, and they pass over what it
// holds.
func (p *Postgres) NoteUses(ctx context.Context, now time.Time, uses []iam.Use) error {
	c, run, end, err := p.begin(ctx, "BEGIN ISOLATION LEVEL READ COMMITTED")
	if err != nil {
		return fmt.Errorf("note uses: %w", err)
	}
	defer end()
	t := &tx{ctx: ctx, run: run, conn: c, writes: true}
	defer t.rollback()
	if err := p.checkCompatible(t); err != nil {
		return fmt.Errorf("note uses: %w", err)
	}
	if err := t.noteUses(now, uses); err != nil {
		return err
	}
	return t.commit()
}

// writeLock is the advisory lock that a writer holds ("stint" and 1). A database has its own; installations in several schemas of
// one database share it and are none the worse.
const writeLock = 0x7374696e_74000001

// beginWrite begins a transaction that has its turn. In READ COMMITTED each statement sees what was committed before it, and
// nothing is while the lock is held; a stricter level would take its snapshot before the wait.
var beginWrite = fmt.Sprintf("BEGIN ISOLATION LEVEL READ COMMITTED; SELECT pg_advisory_xact_lock(%d)", writeLock)

// begin begins a transaction on a connection of the pool. A connection that waited in the pool may be dead, as after a restart of
// the database; then another is tried. Nothing has happened yet, so that is safe.
func (p *Postgres) begin(ctx context.Context, text string) (c *pgConn, run context.Context, end func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, nil, err
	}
	run, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.timeout)
	for {
		c, err = p.pool.acquire(ctx)
		if err != nil {
			cancel()
			return nil, nil, nil, explainPostgres(err)
		}
		_, err = c.exec(run, text)
		if err == nil {
			return c, run, func() { cancel(); p.pool.release(c) }, nil
		}
		again := c.reused && c.IsClosed() && run.Err() == nil
		if c.reused && c.IsClosed() {
			p.pool.discardIdle() // to the same server, and each would cost a time-out of its own if that fell silent
		}
		p.pool.release(c)
		if !again {
			cancel()
			return nil, nil, nil, explainPostgres(err)
		}
	}
}

// Exclusively runs f while no other process runs one on this database. The lock is the connection's: it is free again when the
// process dies or loses it, which f does not learn.
func (p *Postgres) Exclusively(ctx context.Context, f func(context.Context) error) error {
	c, err := p.pool.connect(ctx)
	if err != nil {
		return fmt.Errorf("lock the directory: %w", explainPostgres(err))
	}
	defer c.close()
	const exclusiveLock = writeLock + 1
	if _, err := c.exec(ctx, fmt.Sprintf("SET lock_timeout = 0; SET statement_timeout = 0; SELECT pg_advisory_lock(%d)", exclusiveLock)); err != nil {
		return fmt.Errorf("lock the directory: %w", explainPostgres(err))
	}
	return f(ctx)
}

// givenUp reports whether the database gave a transaction up that may succeed when it runs again.
func givenUp(err error) bool {
	failure, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (failure.Code == "40001" || failure.Code == "40P01") // serialization_failure, deadlock_detected
}

// explainPostgres gives the database's errors the names of this package (PostgreSQL documentation, "PostgreSQL Error Codes").
func explainPostgres(err error) error {
	if err == nil || errors.Is(err, ErrClosed) || errors.Is(err, iam.ErrUnavailable) || errors.Is(err, context.Canceled) {
		return err
	}
	for _, known := range []error{ErrForeign, ErrNewer, errSetting} {
		if errors.Is(err, known) {
			return err
		}
	}
	failure, ok := errors.AsType[*pgconn.PgError](err)
	if !ok { // the network, or a deadline
		return fmt.Errorf("%w: %w", iam.ErrUnavailable, err)
	}
	switch failure.Code[:2] {
	case "08", "28", "3D", "40", "53", "55", "57", "58": // connection, log-in, no such database, rollback, resources, state, operator, system
		return fmt.Errorf("%w: %w", iam.ErrUnavailable, err)
	}
	if failure.Code == "25006" || failure.Code == "25P03" { // became a standby; was too long in a transaction
		return fmt.Errorf("%w: %w", iam.ErrUnavailable, err)
	}
	return err
}
