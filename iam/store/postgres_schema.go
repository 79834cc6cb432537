package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/stint-sts/stint/iam"
)

// postgresStep brings the schema from one version to the next.
//
// Nodes of two versions work on one database while an installation is brought up to date, node by node. So a change that an
// older program cannot live with takes two releases: the first expands (a new table, a column with a default, an index), with
// compatible as it was; the second, when nobody runs the release before the first any more, contracts, with compatible raised to
// the version of the expansion. A program refuses a database whose compatible is beyond what it knows, at its start and with
// each write.
type postgresStep struct {
	sql        string
	compatible int // the oldest version whose programs work with this one
}

// postgresSteps are the steps in order: the one at index i makes version i+1. A step that was released is never changed. What
// holds for the tables and indexes is told at migrations, their twin for SQLite.
//
// changes is what nodes tell each other: version counts the transactions that touched something that others may remember;
// mark is a random number that tells two histories apart (a fail-over to a standby that lagged, a restored backup); touched is
// a JSON array of what iam.Directory calls dependencies. There is always a row, and the newest are kept.
var postgresSteps = []postgresStep{{compatible: 1, sql: `
CREATE TABLE records (
	account TEXT   COLLATE "C" NOT NULL,
	kind    TEXT   COLLATE "C" NOT NULL,
	parent  TEXT   COLLATE "C" NOT NULL,
	name    TEXT   COLLATE "C" NOT NULL,
	id      TEXT   COLLATE "C" NOT NULL,
	target  TEXT   COLLATE "C" NOT NULL,
	path    TEXT   COLLATE "C" NOT NULL,
	version BIGINT NOT NULL,
	body    BYTEA  NOT NULL,
	PRIMARY KEY (account, kind, parent, name)
);
CREATE UNIQUE INDEX records_id ON records (kind, id) WHERE id <> '';
CREATE INDEX records_target ON records (kind, target, account, parent, name) WHERE target <> '';
CREATE INDEX records_path ON records (account, kind, parent, path, name) WHERE path <> '';
CREATE TABLE tallies (
	kind    TEXT   COLLATE "C" NOT NULL,
	target  TEXT   COLLATE "C" NOT NULL,
	account TEXT   COLLATE "C" NOT NULL,
	n       BIGINT NOT NULL,
	PRIMARY KEY (kind, target, account)
);
CREATE TABLE changes (
	version BIGINT PRIMARY KEY,
	mark    BIGINT NOT NULL,
	touched TEXT   NOT NULL
);
INSERT INTO changes (version, mark, touched) VALUES (1, 0, '[]');
`}, {compatible: 1, sql: `
CREATE TABLE uses (
	id      TEXT   COLLATE "C" PRIMARY KEY,
	at      BIGINT NOT NULL,
	service TEXT   NOT NULL,
	region  TEXT   NOT NULL
);
`}}

// beginMigration begins a transaction that no writer and no other migration runs beside. It may take as long as an index of a
// large directory takes.
var beginMigration = fmt.Sprintf("BEGIN; SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = '10min'; "+
	"SET LOCAL idle_in_transaction_session_timeout = '1min'; SELECT pg_advisory_xact_lock(%d)", writeLock)

// migrate brings the schema to the newest version that this program knows, all of it or nothing.
func (p *Postgres) migrate(ctx context.Context) error {
	c, err := p.pool.acquire(ctx)
	if err != nil {
		return err
	}
	defer p.pool.release(c)
	if err := checkServer(ctx, c); err != nil {
		return err
	}
	if _, err := c.exec(ctx, beginMigration); err != nil {
		return err
	}
	t := &tx{ctx: ctx, run: ctx, conn: c, writes: true}
	defer t.rollback()
	version, err := p.schemaVersion(t)
	if err != nil {
		return err
	}
	for ; version < len(p.steps); version++ {
		if _, err := c.exec(ctx, p.steps[version].sql); err != nil {
			return fmt.Errorf("schema version %d: %w", version+1, err)
		}
		if _, err := t.exec("INSERT INTO migrations (step, compatible) VALUES ($1, $2)", version+1, p.steps[version].compatible); err != nil {
			return err
		}
	}
	return t.commit()
}

// leastServer is the oldest PostgreSQL that the tests would run with, as server_version_num has it.
const leastServer = 130000

func checkServer(ctx context.Context, c *pgConn) error {
	found, err := c.query(ctx, "SELECT current_setting('server_version_num'), current_setting('server_encoding'), COALESCE(current_schema(), '')")
	if err != nil {
		return err
	}
	defer found.Close()
	var version int
	var encoding, schema string
	if !found.Next() {
		return found.Err()
	}
	if err := found.Scan(&version, &encoding, &schema); err != nil {
		return err
	}
	switch {
	case version < leastServer:
		return fmt.Errorf("%w: PostgreSQL %d is too old, 13 is the least", errSetting, version/10000)
	case encoding != "UTF8":
		return fmt.Errorf("%w: its encoding is %s, not UTF8", errSetting, encoding)
	case schema == "":
		return fmt.Errorf("%w: no schema of its search_path exists: CREATE SCHEMA first", errSetting)
	}
	return found.Close()
}

// schemaVersion tells the version of the schema; 0: there is none yet but for the table that says so. It returns ErrForeign when
// there are tables that are not ours.
func (p *Postgres) schemaVersion(t *tx) (int, error) {
	const look = `SELECT COUNT(*), COUNT(*) FILTER (WHERE tablename = 'migrations') FROM pg_tables WHERE schemaname = current_schema()`
	var all, ours int
	if err := t.row(look, nil, &all, &ours); err != nil {
		return 0, err
	}
	switch {
	case all == 0:
		_, err := t.conn.exec(t.run, "CREATE TABLE migrations (step INTEGER PRIMARY KEY, compatible INTEGER NOT NULL)")
		return 0, err
	case ours == 0:
		return 0, fmt.Errorf("%w: the schema holds tables of something else: give stint a database, or a search_path, of its own", ErrForeign)
	}
	var version int
	if err := t.row("SELECT COALESCE(MAX(step), 0) FROM migrations", nil, &version); err != nil {
		return 0, err
	}
	return version, p.checkCompatible(t)
}

// checkCompatible refuses a schema that this program does not understand any more.
func (p *Postgres) checkCompatible(t *tx) error {
	var version, compatible int
	err := t.row("SELECT step, compatible FROM migrations ORDER BY step DESC LIMIT 1", nil, &version, &compatible)
	if failure, ok := errors.AsType[*pgconn.PgError](err); ok && failure.Code[:2] == "42" { // no such table or column
		return fmt.Errorf("%w: %w", ErrForeign, err)
	}
	if errors.Is(err, iam.ErrNotFound) {
		return nil // being made
	}
	if err == nil && compatible > len(p.steps) {
		err = fmt.Errorf("%w: its schema is version %d and works with programs from version %d on; this one knows %d",
			ErrNewer, version, compatible, len(p.steps))
	}
	return err
}
