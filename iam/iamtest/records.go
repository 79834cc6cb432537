package iamtest

import (
	"errors"
	"testing"

	"github.com/stint-sts/stint/iam"
)

func record(kind iam.Kind, name, id string) iam.Record {
	return iam.Record{Kind: kind, Account: Account, Name: name, ID: id, Path: "/", Body: []byte(`{"name":"` + name + `"}`)}
}

func role(name string) iam.Record { return record(iam.KindRole, name, "AROA-"+name) }

// inline is a record with a parent and without id.
func inline(name string) iam.Record {
	r := record(iam.KindInlinePolicy, name, "")
	r.Parent, r.Path = "AROAP", ""
	return r
}

// attachment is a link.
func attachment(account, parent, target string) iam.Record {
	return iam.Record{Kind: iam.KindAttachment, Account: account, Parent: parent, Name: target, Target: target, Body: []byte("{}")}
}

func update(t *testing.T, s iam.Store, f func(iam.Tx) error) {
	t.Helper()
	if err := s.Update(t.Context(), f); err != nil {
		t.Fatalf("Update: %v", err)
	}
}

func view(t *testing.T, s iam.Store, f func(iam.Tx) error) {
	t.Helper()
	if err := s.View(t.Context(), f); err != nil {
		t.Fatalf("View: %v", err)
	}
}

func put(t *testing.T, s iam.Store, records ...iam.Record) {
	t.Helper()
	update(t, s, func(tx iam.Tx) error {
		for _, r := range records {
			if err := tx.Put(r); err != nil {
				return err
			}
		}
		return nil
	})
}

func tryPut(t *testing.T, s iam.Store, r iam.Record) error {
	return s.Update(t.Context(), func(tx iam.Tx) error { return tx.Put(r) })
}

func tryGet(t *testing.T, s iam.Store, kind iam.Kind, parent, name string) error {
	return s.View(t.Context(), func(tx iam.Tx) error { _, err := tx.Get(kind, Account, parent, name); return err })
}

func get(t *testing.T, s iam.Store, kind iam.Kind, name string) iam.Record {
	t.Helper()
	return getUnder(t, s, kind, "", name)
}

func getUnder(t *testing.T, s iam.Store, kind iam.Kind, parent, name string) (r iam.Record) {
	t.Helper()
	view(t, s, func(tx iam.Tx) (err error) { r, err = tx.Get(kind, Account, parent, name); return err })
	return r
}

func byID(t *testing.T, s iam.Store, kind iam.Kind, id string) (r iam.Record) {
	t.Helper()
	view(t, s, func(tx iam.Tx) (err error) { r, err = tx.ByID(kind, id); return err })
	return r
}

func names(t *testing.T, s iam.Store, q iam.Query) (names []string) {
	t.Helper()
	view(t, s, func(tx iam.Tx) error {
		records, err := tx.List(q)
		for _, r := range records {
			names = append(names, r.Name)
		}
		return err
	})
	return names
}

func count(t *testing.T, s iam.Store, q iam.Query) (n int) {
	t.Helper()
	view(t, s, func(tx iam.Tx) (err error) { n, err = tx.Count(q); return err })
	return n
}

func wantErr(t *testing.T, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}
