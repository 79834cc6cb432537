package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
)

// applicationID marks the file as stint's directory: "stnt" (https://www.sqlite.org/pragma.html#pragma_application_id).
const applicationID = 0x73746e74

// migrations bring the schema from one version to the next: the step at index i makes version i+1. A step that was released
// is never changed.
//
// Columns hold "" where there is nothing, never NULL, and text compares by bytes (PostgreSQL: COLLATE "C").
//
// A listing by link target is usually asked for within an account, and a managed policy of AWS is attached in all accounts;
// so the account precedes the parent in records_target.
//
// tallies answer Count for the two sets that grow with the directory, so that a quota check costs the same at 10 and at
// 1,000,000 roles: the top-level objects of a kind in an account (target ""), and the links of a kind to a target.
//
// uses holds the last uses (iam.Use), with their time in nanoseconds since 1970, apart from the records: their version, which
// writers compare, stays what it is.
var migrations = []string{`
CREATE TABLE records (
	account TEXT    NOT NULL,
	kind    TEXT    NOT NULL,
	parent  TEXT    NOT NULL,
	name    TEXT    NOT NULL,
	id      TEXT    NOT NULL,
	target  TEXT    NOT NULL,
	path    TEXT    NOT NULL,
	version INTEGER NOT NULL,
	body    BLOB    NOT NULL,
	PRIMARY KEY (account, kind, parent, name)
) STRICT;
CREATE UNIQUE INDEX records_id ON records (kind, id) WHERE id <> '';
CREATE INDEX records_target ON records (kind, target, account, parent, name) WHERE target <> '';
CREATE INDEX records_path ON records (account, kind, parent, path, name) WHERE path <> '';
CREATE TABLE tallies (
	kind    TEXT    NOT NULL,
	target  TEXT    NOT NULL,
	account TEXT    NOT NULL,
	n       INTEGER NOT NULL,
	PRIMARY KEY (kind, target, account)
) STRICT, WITHOUT ROWID;
`, `
CREATE TABLE uses (
	id      TEXT    NOT NULL PRIMARY KEY,
	at      INTEGER NOT NULL,
	service TEXT    NOT NULL,
	region  TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
`}

// tables are all tables of the newest version, in order.
var tables = []string{"migrations", "records", "tallies", "uses"}

// migrate brings the schema to the newest version, each step in a transaction of its own. It returns ErrNewer when the
// database has steps that this program does not know, and ErrForeign when it has tables that are not ours.
func migrate(ctx context.Context, db *sql.Conn) error {
	for {
		done, err := migrateOnce(ctx, db)
		if err != nil || done {
			return err
		}
	}
}

// migrateOnce takes the next step, or reports that there is none. It looks under the write lock: another process may be
// taking the same step.
func migrateOnce(ctx context.Context, db *sql.Conn) (done bool, err error) {
	if _, err := db.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return false, err
	}
	defer func() {
		if err != nil || done {
			_, _ = db.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
		}
	}()
	version, err := schemaVersion(ctx, db)
	if err != nil {
		return false, err
	}
	if version == len(migrations) {
		return true, checkTables(ctx, db)
	}
	if _, err := db.ExecContext(ctx, migrations[version]); err != nil {
		return false, fmt.Errorf("migration %d: %w", version+1, err)
	}
	if _, err := db.ExecContext(ctx, "INSERT INTO migrations (step) VALUES ($1)", version+1); err != nil {
		return false, fmt.Errorf("migration %d: %w", version+1, err)
	}
	_, err = db.ExecContext(ctx, "COMMIT")
	return false, err
}

func schemaVersion(ctx context.Context, db *sql.Conn) (int, error) {
	var version int
	if err := db.QueryRowContext(ctx, "SELECT COALESCE(MAX(step), 0) FROM migrations").Scan(&version); err != nil {
		return 0, err
	}
	if version > len(migrations) {
		return 0, fmt.Errorf("%w: schema version %d, this program knows %d", ErrNewer, version, len(migrations))
	}
	return version, nil
}

func checkTables(ctx context.Context, db *sql.Conn) error {
	const query = `SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\_%' ESCAPE '\' ORDER BY name`
	rows, err := db.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer rows.Close()
	var found []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return err
		}
		found = append(found, name)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if !slices.Equal(found, tables) {
		return fmt.Errorf("%w: it has the tables %s", ErrForeign, strings.Join(found, ", "))
	}
	return nil
}
