package store_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stint-sts/stint/iam"
	"github.com/stint-sts/stint/iam/store"
	"github.com/stint-sts/stint/iam/store/pgtest"
)

// fillSome writes records of every shape: with and without id, target, path and body, of several versions.
func fillSome(t *testing.T, s iam.Store) {
	t.Helper()
	err := s.Update(t.Context(), func(tx iam.Tx) error {
		var errs []error
		for i := range 20 {
			id := fmt.Sprintf("AROA%d", i)
			errs = append(errs,
				tx.Put(iam.Record{Kind: iam.KindRole, Account: "111122223333", Name: fmt.Sprintf("rôle-%d", i), ID: id, Path: "/a/", Body: []byte{0, 1, byte(i)}}),
				tx.Put(iam.Record{Kind: iam.KindRole, Account: "111122223333", Name: fmt.Sprintf("rôle-%d", i), ID: id, Path: "/b/", Version: 1}),
				tx.Put(iam.Record{Kind: iam.KindAttachment, Account: "111122223333", Parent: id, Name: "P", Target: "P"}))
		}
		return errors.Join(errs...)
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.NoteUses(t.Context(), time.Now(), []iam.Use{{ID: "AROA1", At: time.Unix(1, 2), Service: "sts", Region: "é"}, {ID: "AROA2", At: time.Unix(3, 4)}}); err != nil {
		t.Fatal(err)
	}
}

func TestCopy(t *testing.T) {
	t.Parallel()
	first, second, third := fresh(t), node(t, pgtest.Database(t)), fresh(t)
	fillSome(t, first)
	checked := 0
	check := func(iam.Record) error { checked++; return nil }
	extra := iam.Record{Kind: iam.KindBootstrap, Name: "done", Body: []byte("{}")}
	there, err := store.Copy(t.Context(), first, second, check, extra)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[iam.Kind]int{iam.KindRole: 20, iam.KindAttachment: 20}, there.Records); diff != "" || checked != 41 {
		t.Errorf("to PostgreSQL, %d checked (-want +got):\n%s", checked, diff)
	}
	if err := second.Update(t.Context(), func(tx iam.Tx) error { return tx.Delete(extra.Kind, "", "", extra.Name) }); err != nil {
		t.Fatal(err)
	}
	back, err := store.Copy(t.Context(), second, third, check)
	if err != nil {
		t.Fatal(err)
	}
	if back.Sum != there.Sum {
		t.Error("there and back again is something else")
	}
	for name, s := range map[string]iam.Store{"PostgreSQL": second, "SQLite": third} {
		err := s.View(t.Context(), func(tx iam.Tx) error { // tallies came along
			roles, err := tx.Count(iam.Query{Kind: iam.KindRole, Account: "111122223333"})
			links, err2 := tx.Count(iam.Query{Kind: iam.KindAttachment, Target: "P"})
			if roles != 20 || links != 20 {
				t.Errorf("%s counts %d roles and %d attachments", name, roles, links)
			}
			uses, err3 := tx.Uses("AROA0", "AROA1", "AROA2")
			if len(uses) != 2 || !uses["AROA1"].At.Equal(time.Unix(1, 2)) || uses["AROA1"].Region != "é" {
				t.Errorf("%s has the uses %v", name, uses)
			}
			return errors.Join(err, err2, err3)
		})
		if err != nil {
			t.Error(err)
		}
	}
	if _, err := store.Copy(t.Context(), first, second, check); !errors.Is(err, store.ErrNotEmpty) {
		t.Errorf("to a directory that is not empty: %v", err)
	}
	cause, fourth := errors.New("cause"), node(t, pgtest.Database(t))
	if _, err := store.Copy(t.Context(), first, fourth, func(iam.Record) error { return cause }); !errors.Is(err, cause) {
		t.Errorf("a record that does not check: %v", err)
	}
	if _, err := store.Copy(t.Context(), first, fourth, check); err != nil {
		t.Errorf("after a copy that failed: %v", err)
	}
}

func TestScan(t *testing.T) {
	t.Parallel()
	kinds := []iam.Kind{iam.KindAccessKey, iam.KindLoginProfile}
	for name, s := range map[string]iam.Store{"SQLite": fresh(t), "PostgreSQL": node(t, pgtest.Database(t))} {
		fillSome(t, s) // of other kinds
		var want []string
		err := s.Update(t.Context(), func(tx iam.Tx) error {
			var errs []error
			for _, account := range []string{"111122223333", "222233334444"} {
				for _, kind := range kinds {
					for i := range 5 {
						parent, name := fmt.Sprintf("AIDA%d", i%2), fmt.Sprintf("x%d", i/2)
						errs = append(errs, tx.Put(iam.Record{Kind: kind, Account: account, Parent: parent, Name: name, Body: []byte(name)}))
					}
					for _, key := range []string{"AIDA0 x0", "AIDA0 x1", "AIDA0 x2", "AIDA1 x0", "AIDA1 x1"} {
						want = append(want, account+" "+string(kind)+" "+key)
					}
				}
			}
			return errors.Join(errs...)
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, limit := range []int{1, 3, 7, 100} {
			var got []string
			var last iam.Record
			for {
				page, err := store.Scan(t.Context(), s, kinds, last, limit)
				if err != nil {
					t.Fatal(err)
				}
				for _, r := range page {
					got = append(got, strings.Join([]string{r.Account, string(r.Kind), r.Parent, r.Name}, " "))
					if string(r.Body) != r.Name || r.Version != 1 {
						t.Errorf("%s: %+v", name, r)
					}
				}
				if len(page) < limit {
					break
				}
				last = page[len(page)-1]
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s in pages of %d (-want +got):\n%s", name, limit, diff)
			}
		}
	}
}
