package store

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/stint-sts/stint/iam"
)

// readers is how many snapshots can be read at a time; more wait. Reads are short and bound by the processor.
const readers = 6

// ErrClosed tells that the store was closed.
var ErrClosed = errors.New("the directory is closed")

// Store is a directory in one SQLite file. It is safe for concurrent use.
type Store struct {
	path    string
	writer  *conn
	writing chan struct{} // who may use writer, in the order in which they came
	reading chan struct{} // how many may read
	closing sync.Once
	closed  chan struct{}

	mu   sync.Mutex
	idle []*conn // for reads; the one used last is used next, because its page cache is warm
}

var _ iam.Store = (*Store)(nil)

// Open opens the directory in the file at path and brings its schema up to date; if there is no file it creates one, with mode
// 0600. Errors match ErrForeign, ErrDamaged, ErrNewer or ErrBusy where that is the cause, and the file is then as it was.
func Open(ctx context.Context, path string) (*Store, error) {
	s, err := open(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("open directory %s: %w", path, err)
	}
	return s, nil
}

func open(ctx context.Context, path string) (*Store, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if err := prepare(ctx, path); err != nil {
		return nil, err
	}
	writer, err := openConn(ctx, path, forWrites)
	if err != nil {
		return nil, explain(err)
	}
	if err = checkLog(ctx, writer); err == nil {
		err = migrate(ctx, writer.Conn)
	}
	if err != nil {
		return nil, errors.Join(explain(err), writer.close())
	}
	return &Store{
		path:    path,
		writer:  writer,
		writing: make(chan struct{}, 1),
		reading: make(chan struct{}, readers),
		closed:  make(chan struct{}),
	}, nil
}

// Close waits for the transactions under way and closes the file. Later calls return ErrClosed.
func (s *Store) Close() error {
	err := ErrClosed
	s.closing.Do(func() {
		close(s.closed)
		err = nil
		for range readers {
			s.reading <- struct{}{}
		}
		s.writing <- struct{}{}
		for _, c := range s.idle {
			err = errors.Join(err, c.close())
		}
		err = errors.Join(err, s.writer.close()) // last, because it can fold the log into the file
	})
	return err
}

// View runs f on a consistent snapshot, which holds everything that was committed before View was called. f must not call
// View itself: when all readers do, none goes on.
func (s *Store) View(ctx context.Context, f func(iam.Tx) error) error {
	if err := s.enter(ctx, s.reading); err != nil {
		return err
	}
	defer func() { <-s.reading }()
	c, err := s.reader(ctx)
	if err != nil {
		return fmt.Errorf("read directory: %w", explain(err))
	}
	defer s.putBack(c)
	if _, err := c.exec(context.Background(), "BEGIN"); err != nil {
		return fmt.Errorf("read directory: %w", explain(err))
	}
	t := &tx{ctx: ctx, run: context.Background(), conn: c}
	defer t.rollback()
	if err := f(t); err != nil {
		return err
	}
	return t.failure
}

// Update runs f in a transaction with the write lock, and returns nil once what it did is on the disk. Updates of this process
// run in the order in which they came. When ctx ends before the commit begins, nothing is changed. f runs once, and must
// not call Update.
func (s *Store) Update(ctx context.Context, f func(iam.Tx) error) error {
	if err := s.enter(ctx, s.writing); err != nil {
		return err
	}
	defer func() { <-s.writing }()
	t := &tx{ctx: ctx, run: context.Background(), conn: s.writer, writes: true}
	defer t.rollback() // also when f panics, and when BEGIN was interrupted after it had begun
	if _, err := s.writer.exec(ctx, "BEGIN IMMEDIATE"); err != nil {
		return fmt.Errorf("write directory: %w", explain(err))
	}
	if err := f(t); err != nil {
		return err
	}
	return t.commit()
}

// NoteUses notes last uses. It waits for its turn to write.
func (s *Store) NoteUses(ctx context.Context, now time.Time, uses []iam.Use) error {
	return s.Update(ctx, func(t iam.Tx) error { return t.(*tx).noteUses(now, uses) })
}

// enter waits for a place among those who read or write.
func (s *Store) enter(ctx context.Context, places chan struct{}) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case <-s.closed: // first, because select chooses among what is ready by chance
		return ErrClosed
	default:
	}
	select {
	case places <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-s.closed:
		return ErrClosed
	}
}

// reader returns a connection for reads that nobody uses.
func (s *Store) reader(ctx context.Context) (*conn, error) {
	s.mu.Lock()
	if last := len(s.idle) - 1; last >= 0 {
		c := s.idle[last]
		s.idle = s.idle[:last]
		s.mu.Unlock()
		return c, nil
	}
	s.mu.Unlock()
	return openConn(ctx, s.path, forReads)
}

func (s *Store) putBack(c *conn) {
	s.mu.Lock()
	s.idle = append(s.idle, c)
	s.mu.Unlock()
}

// ForeignChanges returns a number that changes when another process has written to the file, and only then.
func (s *Store) ForeignChanges(ctx context.Context) (int64, error) {
	if err := s.enter(ctx, s.writing); err != nil {
		return 0, err
	}
	defer func() { <-s.writing }()
	// It counts the commits of other connections than the one that asks, and this one alone writes here
	// (https://www.sqlite.org/pragma.html#pragma_data_version).
	var version int64
	if err := s.writer.QueryRowContext(context.Background(), "PRAGMA data_version").Scan(&version); err != nil {
		return 0, fmt.Errorf("data version: %w", explain(err))
	}
	return version, nil
}

// Check reads the whole file and returns an error matching ErrDamaged when it is not in order. It takes about a second
// for every 200 MB, and holds up nobody.
func (s *Store) Check(ctx context.Context) error {
	c, err := openConn(ctx, s.path, forReads)
	if err != nil {
		return explain(err)
	}
	defer c.close()
	var finding string
	if err := c.QueryRowContext(ctx, "PRAGMA integrity_check(1)").Scan(&finding); err != nil {
		return explain(err)
	}
	if finding != "ok" {
		return fmt.Errorf("%w: %s", ErrDamaged, finding)
	}
	return nil
}

// Backup writes a snapshot of the directory to a new file at path, with mode 0600; the file must not exist. Readers and
// writers go on meanwhile. Secrets in it are sealed as in the directory itself.
func (s *Store) Backup(ctx context.Context, path string) error {
	if err := s.backup(ctx, path); err != nil {
		return fmt.Errorf("back up directory to %s: %w", path, err)
	}
	return nil
}
