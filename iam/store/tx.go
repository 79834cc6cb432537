package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/stint-sts/stint/iam"
)

// session is one connection of a database. It serves one goroutine at a time.
type session interface {
	// exec runs a statement and tells how many rows it changed.
	exec(ctx context.Context, text string, args ...any) (int64, error)
	// query runs a statement that returns rows.
	query(ctx context.Context, text string, args ...any) (rows, error)
	// explain gives the database's errors the names of this package.
	explain(err error) error
	// uses are the statements on the table uses, which differ between the databases.
	uses() *useStatements
}

// rows are what a query returns, as sql.Rows has them.
type rows interface {
	Next() bool
	Scan(into ...any) error
	Err() error
	Close() error
}

// tx implements iam.Tx on one connection between BEGIN and its end.
//
// Statements run without the context of the call, which would cost a goroutine each in SQLite and the connection in PostgreSQL:
// they are short, and the context is looked at before each of them and while a list is read.
type tx struct {
	ctx     context.Context
	run     context.Context // of the statements; bounds how long a database on the network may take
	conn    session
	writes  bool
	ended   bool
	failure error // the first failure of the database; the transaction is lost from there on
}

var (
	errEnded    = errors.New("the transaction has ended")
	errReadOnly = errors.New("write in a read transaction")
)

// columns are what scan reads.
const columns = "account, parent, name, id, target, path, version, body"

const (
	byKey = " FROM records WHERE account = $1 AND kind = $2 AND parent = $3 AND name = $4"
	byID  = " FROM records WHERE kind = $1 AND id = $2 AND id <> ''" // the last term lets the partial index serve

	selectByKey = "SELECT " + columns + byKey
	selectByID  = "SELECT " + columns + byID
	selectName  = "SELECT 1" + byKey

	insertRecord = `INSERT INTO records (account, kind, parent, name, id, target, path, version, body)
VALUES ($1, $2, $3, $4, $5, $6, $7, 1, $8) ON CONFLICT DO NOTHING`
	updateRecord = `UPDATE records SET name = $5, target = $6, path = $7, version = version + 1, body = $8
WHERE account = $1 AND kind = $2 AND parent = $3 AND name = $4`
	deleteRecord = "DELETE" + byKey + " RETURNING id, target"

	addTally = `INSERT INTO tallies (kind, target, account, n) VALUES ($1, $2, $3, $4)
ON CONFLICT (kind, target, account) DO UPDATE SET n = tallies.n + excluded.n`
	dropTally = "DELETE FROM tallies WHERE kind = $1 AND target = $2 AND account = $3 AND n = 0"
)

// Get implements iam.Tx.
func (t *tx) Get(kind iam.Kind, account, parent, name string) (iam.Record, error) {
	return t.one(kind, selectByKey, account, string(kind), parent, name)
}

// ByID implements iam.Tx.
func (t *tx) ByID(kind iam.Kind, id string) (iam.Record, error) {
	return t.one(kind, selectByID, string(kind), id)
}

// List implements iam.Tx.
func (t *tx) List(q iam.Query) ([]iam.Record, error) {
	text, args := listing(q)
	rows, err := t.query(text, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var records []iam.Record
	for rows.Next() {
		r := iam.Record{Kind: q.Kind}
		if err := scan(rows, &r); err != nil {
			return nil, t.fail(err)
		}
		records = append(records, r)
		if err := t.ctx.Err(); err != nil {
			return nil, err
		}
	}
	return records, t.fail(rows.Err())
}

// Count implements iam.Tx.
func (t *tx) Count(q iam.Query) (int, error) {
	text, args := counting(q)
	var n int
	err := t.row(text, args, &n)
	if errors.Is(err, iam.ErrNotFound) { // no tally
		return 0, nil
	}
	return n, err
}

// Put implements iam.Tx.
func (t *tx) Put(r iam.Record) error {
	if r.Body == nil {
		r.Body = []byte{}
	}
	if r.Version == 0 {
		return t.insert(r)
	}
	return t.replace(r)
}

func (t *tx) insert(r iam.Record) error {
	n, err := t.exec(insertRecord, r.Account, string(r.Kind), r.Parent, r.Name, r.ID, r.Target, r.Path, r.Body)
	if err != nil {
		return err
	}
	if n == 0 {
		return iam.ErrConflict
	}
	return t.tally(r, 1)
}

// replace overwrites the record that r was read from: the one with r's id, or with r's key when it has none.
func (t *tx) replace(r iam.Record) error {
	var old iam.Record
	var err error
	if r.ID != "" {
		old, err = t.ByID(r.Kind, r.ID)
	} else {
		old, err = t.Get(r.Kind, r.Account, r.Parent, r.Name)
	}
	if errors.Is(err, iam.ErrNotFound) {
		return iam.ErrConflict
	}
	if err != nil {
		return err
	}
	if old.Version != r.Version || old.ID != r.ID || old.Account != r.Account || old.Parent != r.Parent {
		return iam.ErrConflict
	}
	if old.Name != r.Name {
		var taken int
		err := t.row(selectName, []any{r.Account, string(r.Kind), r.Parent, r.Name}, &taken)
		if err == nil {
			return iam.ErrConflict
		}
		if !errors.Is(err, iam.ErrNotFound) {
			return err
		}
	}
	_, err = t.exec(updateRecord, old.Account, string(old.Kind), old.Parent, old.Name, r.Name, r.Target, r.Path, r.Body)
	if err != nil || old.Target == r.Target {
		return err
	}
	return errors.Join(t.tallyLink(old, -1), t.tallyLink(r, 1))
}

// Delete implements iam.Tx.
func (t *tx) Delete(kind iam.Kind, account, parent, name string) error {
	if !t.writes {
		return errReadOnly
	}
	r := iam.Record{Kind: kind, Account: account, Parent: parent, Name: name}
	if err := t.row(deleteRecord, []any{account, string(kind), parent, name}, &r.ID, &r.Target); err != nil {
		return err
	}
	if err := t.forgetUse(r); err != nil {
		return err
	}
	return t.tally(r, -1)
}

// tally counts r in (n = 1) or out (n = -1) of the sets that tallies keep.
func (t *tx) tally(r iam.Record, n int) error {
	if r.Parent == "" {
		if err := t.addTally(string(r.Kind), "", r.Account, n); err != nil {
			return err
		}
	}
	return t.tallyLink(r, n)
}

func (t *tx) tallyLink(r iam.Record, n int) error {
	if r.Target == "" {
		return nil
	}
	return t.addTally(string(r.Kind), r.Target, r.Account, n)
}

func (t *tx) addTally(kind, target, account string, n int) error {
	if _, err := t.exec(addTally, kind, target, account, n); err != nil || n > 0 {
		return err
	}
	_, err := t.exec(dropTally, kind, target, account)
	return err
}

// commit makes the transaction durable.
func (t *tx) commit() error {
	if t.failure != nil {
		return t.failure
	}
	if err := t.ctx.Err(); err != nil {
		return err
	}
	if _, err := t.conn.exec(t.run, "COMMIT"); err != nil {
		return fmt.Errorf("commit: %w", t.conn.explain(err))
	}
	t.ended = true
	return nil
}

// rollback ends the transaction without effect, unless it has ended. That it may have ended by itself is no error.
func (t *tx) rollback() {
	if t.ended {
		return
	}
	t.ended = true
	_, _ = t.conn.exec(t.run, "ROLLBACK")
}

// usable tells why the transaction cannot run a statement, if so.
func (t *tx) usable() error {
	switch {
	case t.ended:
		return errEnded
	case t.failure != nil:
		return t.failure
	}
	return t.ctx.Err()
}

// fail notes a failure of the database. SQLite rolls back by itself on some of them (a full disk, an I/O error); were the
// transaction to go on, its later statements would each commit alone.
func (t *tx) fail(err error) error {
	if err == nil {
		return nil
	}
	err = t.conn.explain(err)
	if t.failure == nil {
		t.failure = err
	}
	return err
}

func (t *tx) exec(text string, args ...any) (int64, error) {
	if err := t.usable(); err != nil {
		return 0, err
	}
	if !t.writes {
		return 0, errReadOnly
	}
	n, err := t.conn.exec(t.run, text, args...)
	return n, t.fail(err)
}

func (t *tx) query(text string, args ...any) (rows, error) {
	if err := t.usable(); err != nil {
		return nil, err
	}
	found, err := t.conn.query(t.run, text, args...)
	if err != nil {
		return nil, t.fail(err)
	}
	return found, nil
}

// one reads one whole record of the kind.
func (t *tx) one(kind iam.Kind, text string, args ...any) (iam.Record, error) {
	r := iam.Record{Kind: kind}
	if err := t.row(text, args, fields(&r)...); err != nil {
		return iam.Record{}, err
	}
	return r, nil
}

// row reads the only row of a query, or returns iam.ErrNotFound.
func (t *tx) row(text string, args []any, into ...any) error {
	rows, err := t.query(text, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	if !rows.Next() {
		if err := rows.Err(); err != nil {
			return t.fail(err)
		}
		return iam.ErrNotFound
	}
	return t.fail(rows.Scan(into...))
}

func scan(found rows, r *iam.Record) error { return found.Scan(fields(r)...) }

// fields are where columns go.
func fields(r *iam.Record) []any {
	return []any{&r.Account, &r.Parent, &r.Name, &r.ID, &r.Target, &r.Path, &r.Version, &r.Body}
}
