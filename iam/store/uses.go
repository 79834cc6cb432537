package store

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"time"

	"github.com/stint-sts/stint/iam"
)

// useStatements are the statements on the table uses. Lists travel as JSON, so that one text serves every number of uses.
type useStatements struct {
	note, find, forget string
}

// used selects the record that a use is of. A subquery of this form is looked up by its index for each use, whatever the planner
// believes about the tables.
const used = "(SELECT 1 FROM records WHERE kind IN ('access-key', 'role', 'user') AND records.id = %s.id AND id <> '' LIMIT 1) = 1"

const (
	selectUse   = "SELECT id, at, service, region FROM uses WHERE "
	usesPerCopy = 1000
)

var (
	// The rows are locked in one order by all nodes, so that none waits for another in a circle.
	noteUse = `INSERT INTO uses (id, at, service, region) SELECT u.id, u.at, u.service, u.region FROM %s WHERE ` +
		fmt.Sprintf(used, "u") + ` ORDER BY u.id
ON CONFLICT (id) DO UPDATE SET at = excluded.at, service = excluded.service, region = excluded.region
WHERE uses.at < excluded.at OR uses.at > $2`

	allUses = selectUse + fmt.Sprintf(used, "uses") + " ORDER BY id"

	postgresUses = useStatements{
		note: fmt.Sprintf(noteUse, "json_to_recordset($1::json) AS u (id text, at bigint, service text, region text)"),
		find: selectUse + "id = ANY (ARRAY(SELECT json_array_elements_text($1::json)))",
		// Who deletes a key waits for nobody who notes that it was used. A row that stays is of an id that never comes again.
		forget: "DELETE FROM uses WHERE ctid = ANY (ARRAY(SELECT ctid FROM uses WHERE id = $1 FOR UPDATE SKIP LOCKED))",
	}
	sqliteUses = useStatements{
		note: fmt.Sprintf(noteUse, `(SELECT value ->> 'id' AS id, value ->> 'at' AS at, value ->> 'service' AS service,
value ->> 'region' AS region FROM json_each($1)) AS u`),
		find:   selectUse + "id IN (SELECT value FROM json_each($1))",
		forget: "DELETE FROM uses WHERE id = $1",
	}
)

// useRow is a row of uses.
type useRow struct {
	ID      string `json:"id"`
	At      int64  `json:"at"` // nanoseconds since 1970
	Service string `json:"service"`
	Region  string `json:"region"`
}

func (t *tx) noteUses(now time.Time, uses []iam.Use) error {
	rows := make([]useRow, len(uses))
	for i, u := range uses {
		rows[i] = useRow{u.ID, u.At.UnixNano(), u.Service, u.Region}
	}
	return t.noteRows(now, rows)
}

func (t *tx) noteRows(now time.Time, rows []useRow) error {
	if len(rows) == 0 {
		return nil
	}
	list, err := json.Marshal(rows)
	if err != nil {
		return err
	}
	_, err = t.exec(t.conn.uses().note, string(list), now.Add(iam.MaxAhead).UnixNano())
	return err
}

// Uses implements iam.Tx.
func (t *tx) Uses(ids ...string) (map[string]iam.Use, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	list, err := json.Marshal(ids)
	if err != nil {
		return nil, err
	}
	found := make(map[string]iam.Use)
	err = t.eachUse(func(u useRow) error {
		found[u.ID] = iam.Use{ID: u.ID, At: time.Unix(0, u.At).UTC(), Service: u.Service, Region: u.Region}
		return nil
	}, t.conn.uses().find, string(list))
	return found, err
}

func (t *tx) eachUse(f func(useRow) error, text string, args ...any) error {
	rows, err := t.query(text, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var u useRow
		if err := rows.Scan(&u.ID, &u.At, &u.Service, &u.Region); err != nil {
			return t.fail(err)
		}
		if err := f(u); err != nil {
			return err
		}
	}
	return t.fail(rows.Err())
}

// forgetUse drops what was noted of a record that is deleted.
func (t *tx) forgetUse(r iam.Record) error {
	switch r.Kind {
	case iam.KindAccessKey, iam.KindRole, iam.KindUser:
		_, err := t.exec(t.conn.uses().forget, r.ID)
		return err
	}
	return nil
}

// copyUses copies the last uses of all records, and compares what it reads back.
func copyUses(source, target *tx) error {
	var batch []useRow
	write := func() error {
		defer func() { batch = batch[:0] }()
		return target.noteRows(time.Now(), batch)
	}
	err := source.eachUse(func(u useRow) error {
		if batch = append(batch, u); len(batch) < usesPerCopy {
			return source.ctx.Err()
		}
		return write()
	}, allUses)
	if err == nil {
		err = write()
	}
	if err != nil {
		return err
	}
	want, err := source.sumUses()
	if err != nil {
		return err
	}
	got, err := target.sumUses()
	if err == nil && !bytes.Equal(want, got) {
		err = fmt.Errorf("%w: the last uses differ", errCopy)
	}
	return err
}

func (t *tx) sumUses() ([]byte, error) {
	sum := sha256.New()
	err := t.eachUse(func(u useRow) error { return json.NewEncoder(sum).Encode(u) }, allUses)
	return sum.Sum(nil), err
}
