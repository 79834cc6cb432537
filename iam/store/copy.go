package store

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"strconv"
	"strings"

	"github.com/stint-sts/stint/iam"
)

// Copied tells what Copy has copied.
type Copied struct {
	Records map[iam.Kind]int  // how many of each kind
	Sum     [sha256.Size]byte // over all fields of all records, in order of their keys
}

// ErrNotEmpty tells that the target of Copy holds records already.
var ErrNotEmpty = errors.New("the target is not empty")

// errCopy tells that what was read back is not what was written.
var errCopy = errors.New("what was read back from the target is not what was written")

// Copy writes every record of from, as one snapshot has them, to an empty directory, in one transaction: all of it or nothing. Before
// the commit it reads all of it back, compares numbers and sums, and asks check about each record. further are records that the
// target gets too unless from has them; they are not among what is counted. Both are stores of this package.
func Copy(ctx context.Context, from, to iam.Store, check func(iam.Record) error, further ...iam.Record) (Copied, error) {
	var copied Copied
	err := from.View(ctx, func(source iam.Tx) error {
		return to.Update(ctx, func(target iam.Tx) (err error) {
			copied, err = copyRecords(transaction(source), transaction(target), check, further)
			return err
		})
	})
	return copied, err
}

// transaction is what a store of this package gives to View and Update.
func transaction(t iam.Tx) *tx {
	if t, ok := t.(*postgresTx); ok {
		return t.tx
	}
	return t.(*tx)
}

const (
	selectAll  = "SELECT kind, " + columns + " FROM records ORDER BY account, kind, parent, name"
	copyRecord = `INSERT INTO records (account, kind, parent, name, id, target, path, version, body)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`
	tallyObjects = `INSERT INTO tallies (kind, target, account, n)
SELECT kind, '', account, COUNT(*) FROM records WHERE parent = '' GROUP BY kind, account`
	tallyLinks = `INSERT INTO tallies (kind, target, account, n)
SELECT kind, target, account, COUNT(*) FROM records WHERE target <> '' GROUP BY kind, target, account`
)

func copyRecords(source, target *tx, check func(iam.Record) error, further []iam.Record) (Copied, error) {
	var copied Copied
	var held int
	if err := target.row("SELECT COUNT(*) FROM records", nil, &held); err != nil {
		return copied, err
	}
	if held > 0 {
		return copied, fmt.Errorf("%w: it holds %d records", ErrNotEmpty, held)
	}
	written := newTotal()
	err := source.each(func(r iam.Record) error {
		written.add(r)
		return target.copyIn(r)
	})
	if err != nil {
		return copied, err
	}
	added := make(map[string]bool)
	for _, r := range further {
		_, err := source.Get(r.Kind, r.Account, r.Parent, r.Name)
		if errors.Is(err, iam.ErrNotFound) {
			r.Version = 1
			added[keyOf(r)] = true
			err = target.copyIn(r)
		}
		if err != nil {
			return copied, err
		}
	}
	for _, text := range []string{tallyObjects, tallyLinks} {
		if _, err := target.exec(text); err != nil {
			return copied, err
		}
	}
	read := newTotal()
	err = target.each(func(r iam.Record) error {
		if !added[keyOf(r)] {
			read.add(r)
		}
		if err := check(r); err != nil {
			return fmt.Errorf("%s %s: %w", r.Kind, r.Name, err)
		}
		return nil
	})
	if err != nil {
		return copied, err
	}
	if err := copyUses(source, target); err != nil {
		return copied, err
	}
	if read.count != written.count || read.sum() != written.sum() {
		return copied, fmt.Errorf("%w: %d records of %d", errCopy, read.count, written.count)
	}
	return Copied{Records: read.kinds, Sum: read.sum()}, nil
}

// each calls f with every record in order of the keys.
func (t *tx) each(f func(iam.Record) error) error { return t.read(selectAll, nil, f) }

// read calls f with every record that a statement finds.
func (t *tx) read(text string, args []any, f func(iam.Record) error) error {
	found, err := t.query(text, args...)
	if err != nil {
		return err
	}
	defer found.Close()
	for found.Next() {
		var r iam.Record
		if err := found.Scan(append([]any{(*string)(&r.Kind)}, fields(&r)...)...); err != nil {
			return t.fail(err)
		}
		if err := errors.Join(t.ctx.Err(), f(r)); err != nil {
			return err
		}
	}
	return t.fail(found.Err())
}

// Scan returns up to limit records of the given kinds, in order of their keys, that come after the one with after's key; the zero Record
// comes before all. It looks at as many further records as lie between. s is a store of this package.
func Scan(ctx context.Context, s iam.Store, kinds []iam.Kind, after iam.Record, limit int) (found []iam.Record, err error) {
	var q query
	q.add("SELECT kind, ", columns, " FROM records WHERE (account, kind, parent, name) > (",
		q.arg(after.Account), ", ", q.arg(string(after.Kind)), ", ", q.arg(after.Parent), ", ", q.arg(after.Name), ") AND kind IN (")
	for i, k := range kinds {
		if i > 0 {
			q.add(", ")
		}
		q.add(q.arg(string(k)))
	}
	q.add(") ORDER BY account, kind, parent, name LIMIT ", strconv.Itoa(limit))
	err = s.View(ctx, func(view iam.Tx) error {
		found = nil
		return transaction(view).read(q.text.String(), q.args, func(r iam.Record) error {
			found = append(found, r)
			return nil
		})
	})
	return found, err
}

// copyIn adds a record with the version that it has.
func (t *tx) copyIn(r iam.Record) error {
	if r.Body == nil {
		r.Body = []byte{}
	}
	_, err := t.exec(copyRecord, r.Account, string(r.Kind), r.Parent, r.Name, r.ID, r.Target, r.Path, r.Version, r.Body)
	if err != nil {
		return fmt.Errorf("%s %s: %w", r.Kind, r.Name, err)
	}
	return nil
}

func keyOf(r iam.Record) string {
	return strings.Join([]string{r.Account, string(r.Kind), r.Parent, r.Name}, "\x00")
}

// total counts records and sums them up.
type total struct {
	count int
	kinds map[iam.Kind]int
	hash  hash.Hash
}

func newTotal() *total { return &total{kinds: make(map[iam.Kind]int), hash: sha256.New()} }

func (t *total) add(r iam.Record) {
	t.count++
	t.kinds[r.Kind]++
	var number [8]byte
	for _, field := range []string{string(r.Kind), r.Account, r.Parent, r.Name, r.ID, r.Target, r.Path, string(r.Body)} {
		binary.BigEndian.PutUint64(number[:], uint64(len(field)))
		t.hash.Write(number[:])
		t.hash.Write([]byte(field))
	}
	binary.BigEndian.PutUint64(number[:], uint64(r.Version))
	t.hash.Write(number[:])
}

func (t *total) sum() (sum [sha256.Size]byte) {
	t.hash.Sum(sum[:0])
	return sum
}
