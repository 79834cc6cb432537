package store

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stint-sts/stint/iam"
)

// TestQueryPlans shows that every statement searches by an index, whatever the statistics say: no cost grows with the directory.
func TestQueryPlans(t *testing.T) {
	t.Parallel()
	for _, n := range []int{10, 20_000} {
		t.Run(fmt.Sprintf("%d roles", n), func(t *testing.T) {
			t.Parallel()
			s, err := Open(t.Context(), filepath.Join(t.TempDir(), "directory.db"))
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			fill(t, s, n)
			c := s.writer
			if n > 10 {
				if _, err := c.ExecContext(t.Context(), "ANALYZE"); err != nil {
					t.Fatal(err)
				}
			}
			for text, args := range statements(sqliteUses) {
				for _, step := range plan(t, c, text, args) {
					if strings.Contains(step, "SCAN") && !strings.Contains(step, "json_each") && step != "SCAN u" { // the arguments
						t.Errorf("%s\n\tplan: %s", text, step)
					}
				}
			}
		})
	}
}

// TestQueryPlans_Order shows that pages come out of an index in order, so that a page costs what it holds.
func TestQueryPlans_Order(t *testing.T) {
	t.Parallel()
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "directory.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, q := range []iam.Query{
		{Kind: iam.KindRole, Account: "1", After: "a", Limit: 10},
		{Kind: iam.KindRole, Account: "1", PathPrefix: "/", Limit: 10},
		{Kind: iam.KindRole, Account: "1", PathPrefix: "/a/", After: "a", Limit: 10},
		{Kind: iam.KindAttachment, Account: "1", Target: "P", After: "a", Limit: 10},
	} {
		text, args := listing(q)
		for _, step := range plan(t, s.writer, text, args) {
			if strings.Contains(step, "TEMP B-TREE") {
				t.Errorf("%s\n\tplan: %s", text, step)
			}
		}
	}
}

// statements are all texts that a transaction runs, with arguments.
func statements(uses useStatements) map[string][]any {
	all := map[string][]any{uses.note: {`[{"id":"AROA","at":1,"service":"","region":""}]`, 1}, uses.find: {`["AROA"]`}, uses.forget: {"AROA"}}
	for text, n := range map[string]int{
		selectByKey: 4, selectByID: 2, selectName: 4, updateRecord: 8, deleteRecord: 4, insertRecord: 8, addTally: 4, dropTally: 3,
	} {
		for i := range n {
			all[text] = append(all[text], any(strconv.Itoa(i)))
		}
	}
	for _, target := range []string{"", "P"} {
		for _, account := range []string{"", "1"} {
			for _, parent := range []string{"", "AROA"} {
				for _, prefix := range []string{"", "/", "/a/"} {
					for _, after := range []string{"", "m"} {
						for _, limit := range []int{0, 10} {
							q := iam.Query{Kind: iam.KindRole, Account: account, Parent: parent, Target: target, PathPrefix: prefix, After: after, Limit: limit}
							text, args := listing(q)
							all[text] = args
							text, args = counting(q)
							all[text] = args
						}
					}
				}
			}
		}
	}
	return all
}

func plan(t *testing.T, c *conn, text string, args []any) (steps []string) {
	t.Helper()
	rows, err := c.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+text, args...)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	defer rows.Close()
	for rows.Next() {
		var id, parent, unused int
		var detail string
		if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
			t.Fatal(err)
		}
		steps = append(steps, detail)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	if testing.Verbose() {
		t.Logf("%s\n\t%s", text, strings.Join(steps, "\n\t"))
	}
	return steps
}

// fill writes n roles in 10 accounts, each with an attachment.
func fill(t testing.TB, s *Store, n int) {
	t.Helper()
	const batch = 10_000
	for start := 0; start < n; start += batch {
		err := s.Update(context.Background(), func(tx iam.Tx) error {
			for i := start; i < min(n, start+batch); i++ {
				account, id := fmt.Sprintf("%012d", i%10), fmt.Sprintf("AROA%017d", i)
				role := iam.Record{
					Kind: iam.KindRole, Account: account, Name: fmt.Sprintf("role-%d", i), ID: id, Path: fmt.Sprintf("/team-%d/", i%1000),
					Body: fmt.Appendf(nil, `{"ID":%q,"Name":"role-%d","Trust":%q}`, id, i, strings.Repeat("x", 400)),
				}
				link := iam.Record{Kind: iam.KindAttachment, Account: account, Parent: id, Name: "P", Target: "P", Body: []byte("{}")}
				if err := tx.Put(role); err != nil {
					return err
				}
				if err := tx.Put(link); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
