package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/stint-sts/stint/iam"
)

// Errors of Open; the text that wraps them says which file and why.
var (
	ErrForeign = errors.New("not a directory of stint")
	ErrNewer   = errors.New("the directory was written by a newer version of stint")
	ErrDamaged = errors.New("the directory is damaged")
)

// ErrBusy tells that another process kept the database locked for longer than busyWait.
var ErrBusy = fmt.Errorf("the directory is locked by another process: %w", iam.ErrUnavailable)

// busyWait is how long a writer waits for the lock of another process.
const busyWait = 10 * time.Second

// fileMode lets nobody but the owner read the directory. SQLite gives the -wal and -shm files the mode of the database.
const fileMode fs.FileMode = 0o600

// beside are the names that SQLite adds to a database's own for the files that belong to it.
var beside = []string{"-wal", "-shm", "-journal"}

// Modes of a connection, as parameters of an SQLite URI. Every connection is hardened: no double-quoted strings, no functions
// or virtual tables from the schema, cells checked when a page is read.
const (
	hardened  = "&_dqs=0&_defensive=1&_pragma=trusted_schema(0)&_pragma=cell_size_check(1)&_pragma=temp_store(memory)"
	forWrites = "mode=rw&_pragma=journal_mode(wal)&_pragma=synchronous(full)&_pragma=journal_size_limit(16777216)" + hardened
	forReads  = "mode=ro&_query_only=1" + hardened
	forLooks  = "mode=ro&immutable=1" + hardened // takes no lock, makes no file, reads no -wal
)

// prepare makes sure that path is a directory of stint, creating it when there is nothing. It never changes a file that is
// not.
func prepare(ctx context.Context, path string) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return create(ctx, path)
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return fmt.Errorf("%w: not a regular file", ErrForeign)
	case info.Size() == 0:
		return fmt.Errorf("%w: the file is empty", ErrDamaged)
	}
	if err := identify(ctx, path); err != nil {
		return err
	}
	return tighten(path)
}

// identify reads the mark in the file's header, which is there since before the file had its name (see create).
func identify(ctx context.Context, path string) error {
	db, err := openConn(ctx, path, forLooks)
	if err != nil {
		return explain(err)
	}
	defer db.close()
	var id int
	if err := db.QueryRowContext(ctx, "PRAGMA application_id").Scan(&id); err != nil {
		return explain(err)
	}
	if id != applicationID {
		return fmt.Errorf("%w: an SQLite database of another application", ErrForeign)
	}
	return nil
}

// checkLog makes sure that the database has a write-ahead log: SQLite keeps silent where the file system cannot share memory.
func checkLog(ctx context.Context, c *conn) error {
	var mode string
	if err := c.QueryRowContext(ctx, "PRAGMA journal_mode").Scan(&mode); err != nil {
		return err
	}
	if mode != "wal" {
		return fmt.Errorf("journal mode %q instead of wal: the directory must be on a local disk", mode)
	}
	return nil
}

// tighten takes the rights of others away from a database that was, for example, copied back with a wide umask.
func tighten(path string) error {
	for _, suffix := range append([]string{""}, beside...) {
		info, err := os.Stat(path + suffix)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if info.Mode().Perm()&^fileMode != 0 {
			if err := os.Chmod(path+suffix, fileMode); err != nil {
				return err
			}
		}
	}
	return nil
}

// create makes an empty directory under another name and then gives it its own, without replacing anything: at any moment
// path is either nothing or a whole directory, whatever dies in between and whoever else does the same.
func create(ctx context.Context, path string) error {
	for _, suffix := range beside {
		// SQLite would replay a stray log into the new database.
		if _, err := os.Lstat(path + suffix); err == nil {
			return fmt.Errorf("%w: %s is there, but the database it belongs to is not", ErrDamaged, path+suffix)
		}
	}
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	if err := file.Close(); err != nil {
		return err
	}
	if err := createSchema(ctx, file.Name()); err != nil {
		return err
	}
	if err := os.Link(file.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func createSchema(ctx context.Context, path string) error {
	// A rollback journal, so that all is in the file itself, and so is the mark that identify looks for.
	db, err := openConn(ctx, path, "mode=rw&_pragma=journal_mode(delete)&_pragma=synchronous(extra)"+hardened)
	if err != nil {
		return err
	}
	mark := fmt.Sprintf("PRAGMA application_id = %d; CREATE TABLE migrations (step INTEGER PRIMARY KEY) STRICT", applicationID)
	if _, err := db.ExecContext(ctx, mark); err != nil {
		return errors.Join(err, db.close())
	}
	return errors.Join(migrate(ctx, db.Conn), db.close())
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// conn is one SQLite connection with its prepared statements. It serves one goroutine at a time.
type conn struct {
	*sql.Conn
	db         *sql.DB
	statements map[string]*sql.Stmt
}

func openConn(ctx context.Context, path, mode string) (*conn, error) {
	uri := url.URL{Scheme: "file", Path: path, RawQuery: fmt.Sprintf("_error_rc=1&_busy_timeout=%d&%s", busyWait.Milliseconds(), mode)}
	db, err := sql.Open("sqlite", uri.String())
	if err != nil {
		return nil, err
	}
	c, err := db.Conn(ctx)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &conn{Conn: c, db: db, statements: make(map[string]*sql.Stmt)}, nil
}

func (c *conn) close() error {
	for _, s := range c.statements {
		_ = s.Close()
	}
	return errors.Join(c.Conn.Close(), c.db.Close())
}

// prepared returns the statement for the text, which is one of a fixed set.
func (c *conn) prepared(text string) (*sql.Stmt, error) {
	if s := c.statements[text]; s != nil {
		return s, nil
	}
	s, err := c.PrepareContext(context.Background(), text)
	if err != nil {
		return nil, err
	}
	c.statements[text] = s
	return s, nil
}

// exec implements session.
func (c *conn) exec(ctx context.Context, text string, args ...any) (int64, error) {
	s, err := c.prepared(text)
	if err != nil {
		return 0, err
	}
	result, err := s.ExecContext(ctx, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// query implements session.
func (c *conn) query(ctx context.Context, text string, args ...any) (rows, error) {
	s, err := c.prepared(text)
	if err != nil {
		return nil, err
	}
	return s.QueryContext(ctx, args...)
}

// explain implements session.
func (c *conn) explain(err error) error { return explain(err) }

// uses implements session.
func (c *conn) uses() *useStatements { return &sqliteUses }

// explain gives SQLite's errors the names of this package.
func explain(err error) error {
	failure, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return err
	}
	switch failure.Code() & 0xff { // the primary code of an extended one
	case sqlite3.SQLITE_NOTADB:
		return fmt.Errorf("%w: not an SQLite database, or its beginning was overwritten", ErrForeign)
	case sqlite3.SQLITE_CORRUPT:
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	case sqlite3.SQLITE_BUSY:
		return fmt.Errorf("%w: %w", ErrBusy, err)
	}
	return err
}
