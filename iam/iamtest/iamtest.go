// Package iamtest is the contract of iam.Store as tests: every store must pass Run, and one that keeps its records over a
// restart RunDurable.
package iamtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stint-sts/stint/iam"
)

// Account and Other are the accounts of the records that the tests write.
const (
	Account = "111122223333"
	Other   = "444455556666"
)

// Run tests a store. open returns an empty one, and closes it when its test ends.
func Run(t *testing.T, open func(t *testing.T) iam.Store) {
	tests := []struct {
		name string
		run  func(*testing.T, iam.Store)
	}{
		{"Put creates and replaces", testPut},
		{"Put compares and sets", testCompareAndSet},
		{"Put keeps keys and ids unique", testUnique},
		{"Put renames by id", testRename},
		{"Delete removes", testDelete},
		{"names compare by bytes", testNames},
		{"lists are in order and in pages", testPages},
		{"lists by path prefix", testPathPrefix},
		{"lists by target", testTargets},
		{"lists keep accounts, parents and kinds apart", testScope},
		{"counts follow every change", testCount},
		{"an error rolls back", testRollbackOnError},
		{"a panic rolls back", testRollbackOnPanic},
		{"a context that ended rolls back", testRollbackOnCancel},
		{"a view sees one moment", testSnapshot},
		{"a view cannot write", testReadOnly},
		{"a transaction ends with its function", testEnded},
		{"bodies and texts come back as they were", testRoundTrip},
		{"the latest use of an id counts", testUses},
		{"uses go with their record, and with no other", testUsesDeleted},
		{"uses noted at a time leave the latest, and no writer has a conflict", testRaceUses},
		{"one of many compare-and-sets wins", testRaceCompareAndSet},
		{"one of many creations wins", testRaceCreate},
		{"read-then-write is serializable", testRaceSerializable},
		{"readers never see half a transaction", testRaceReaders},
		{"writers whose context ended leave nothing", testRaceCancel},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.run(t, open(t))
		})
	}
}

// RunDurable tests that a store keeps what it acknowledged. place returns a function that opens the same store again, after
// the one before it was closed.
func RunDurable(t *testing.T, place func(t *testing.T) (open func() iam.Store)) {
	t.Parallel()
	open := place(t)
	first := open()
	user := role("role-1")
	put(t, first, user, record(iam.KindRole, "gone", "AROAGONE"))
	update(t, first, func(tx iam.Tx) error { return tx.Delete(iam.KindRole, Account, "", "gone") })
	undone := errors.New("undone")
	if err := first.Update(t.Context(), func(tx iam.Tx) error { return errors.Join(tx.Put(role("undone")), undone) }); !errors.Is(err, undone) {
		t.Fatalf("Update: %v, want its function's error", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}

	second := open()
	defer second.Close()
	user.Version = 1
	if got := names(t, second, iam.Query{Kind: iam.KindRole, Account: Account}); !slices.Equal(got, []string{"role-1"}) {
		t.Errorf("after opening again: roles %q, want role-1 alone", got)
	}
	if diff := cmp.Diff(user, get(t, second, iam.KindRole, "role-1")); diff != "" {
		t.Errorf("after opening again (-want +got):\n%s", diff)
	}
	if n := count(t, second, iam.Query{Kind: iam.KindRole, Account: Account}); n != 1 {
		t.Errorf("after opening again: counted %d roles, want 1", n)
	}
}

func testPut(t *testing.T, s iam.Store) {
	want := role("a")
	put(t, s, want)
	want.Version = 1 // iam counts on it: it puts an object twice in one transaction
	if diff := cmp.Diff(want, get(t, s, iam.KindRole, "a")); diff != "" {
		t.Errorf("created (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want, byID(t, s, iam.KindRole, want.ID)); diff != "" {
		t.Errorf("by id (-want +got):\n%s", diff)
	}
	changed := want
	changed.Path, changed.Target, changed.Body = "/other/", "somewhere", []byte(`{"changed":true}`)
	put(t, s, changed)
	changed.Version = 2
	if diff := cmp.Diff(changed, get(t, s, iam.KindRole, "a")); diff != "" {
		t.Errorf("replaced (-want +got):\n%s", diff)
	}

	// One transaction sees its own writes.
	update(t, s, func(tx iam.Tx) error {
		r := changed
		if err := tx.Put(r); err != nil {
			return err
		}
		r.Version++
		if got, err := tx.Get(iam.KindRole, Account, "", "a"); err != nil || got.Version != r.Version {
			return fmt.Errorf("own write: version %d, %v; want %d", got.Version, err, r.Version)
		}
		return tx.Put(r)
	})
	if got := get(t, s, iam.KindRole, "a").Version; got != 4 {
		t.Errorf("after two puts in one transaction: version %d, want 4", got)
	}
}

func testCompareAndSet(t *testing.T, s iam.Store) {
	put(t, s, role("with-id"), inline("without-id"))
	for _, r := range []iam.Record{get(t, s, iam.KindRole, "with-id"), getUnder(t, s, iam.KindInlinePolicy, "AROAP", "without-id")} {
		put(t, s, r) // the positive twin; what r holds is now old
		gone, odd, moved := r, r, r
		gone.Name, odd.Version, moved.Parent = "never-was", 99, "AROAELSEWHERE"
		if r.ID != "" {
			gone.ID = "AROANEVER"
		}
		gone.Version, moved.Version = 1, 2
		wantErr(t, "old version", tryPut(t, s, r), iam.ErrConflict)
		wantErr(t, "version to come", tryPut(t, s, odd), iam.ErrConflict)
		wantErr(t, "negative version", tryPut(t, s, func() iam.Record { n := r; n.Version = -1; return n }()), iam.ErrConflict)
		wantErr(t, "record that is not there", tryPut(t, s, gone), iam.ErrConflict)
		wantErr(t, "record of another parent", tryPut(t, s, moved), iam.ErrConflict)
	}
	foreign := get(t, s, iam.KindRole, "with-id")
	foreign.Account = Other
	wantErr(t, "record of another account", tryPut(t, s, foreign), iam.ErrConflict)
	taken := get(t, s, iam.KindRole, "with-id")
	taken.ID = ""
	wantErr(t, "record whose id was left out", tryPut(t, s, taken), iam.ErrConflict)
}

func testUnique(t *testing.T, s iam.Store) {
	put(t, s, role("a"))
	sameKey, sameID, sameIDElsewhere := role("a"), role("b"), role("a")
	sameKey.ID = "AROAFRESH"
	sameID.ID = role("a").ID
	sameIDElsewhere.Account = Other
	wantErr(t, "key that exists", tryPut(t, s, sameKey), iam.ErrConflict)
	wantErr(t, "id that exists", tryPut(t, s, sameID), iam.ErrConflict)
	wantErr(t, "id that exists in another account", tryPut(t, s, sameIDElsewhere), iam.ErrConflict)

	otherKind, otherAccount := role("a"), role("a")
	otherKind.Kind = iam.KindUser
	otherAccount.Account, otherAccount.ID = Other, "AROAOTHER"
	put(t, s, otherKind, otherAccount, inline("p1"), inline("p2")) // equal keys elsewhere, and two without id

	// A conflict leaves the transaction usable.
	update(t, s, func(tx iam.Tx) error {
		if err := tx.Put(sameKey); !errors.Is(err, iam.ErrConflict) {
			return fmt.Errorf("put of a key that exists: %v", err)
		}
		return tx.Put(role("c"))
	})
	get(t, s, iam.KindRole, "c")
}

func testRename(t *testing.T, s iam.Store) {
	put(t, s, role("old"), role("taken"))
	r := get(t, s, iam.KindRole, "old")
	r.Name = "taken"
	wantErr(t, "rename to a name that exists", tryPut(t, s, r), iam.ErrConflict)
	r.Name, r.Path = "new", "/moved/"
	put(t, s, r)
	r.Version = 2
	if diff := cmp.Diff(r, get(t, s, iam.KindRole, "new")); diff != "" {
		t.Errorf("renamed (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(r, byID(t, s, iam.KindRole, r.ID)); diff != "" {
		t.Errorf("renamed, by id (-want +got):\n%s", diff)
	}
	wantErr(t, "old name", tryGet(t, s, iam.KindRole, "", "old"), iam.ErrNotFound)
	again := role("old")
	again.ID = "AROASECOND"
	put(t, s, again) // the name is free
	if n := count(t, s, iam.Query{Kind: iam.KindRole, Account: Account}); n != 3 {
		t.Errorf("counted %d roles, want 3", n)
	}
}

func testDelete(t *testing.T, s iam.Store) {
	put(t, s, role("a"), role("b"))
	update(t, s, func(tx iam.Tx) error { return tx.Delete(iam.KindRole, Account, "", "a") })
	wantErr(t, "Get", tryGet(t, s, iam.KindRole, "", "a"), iam.ErrNotFound)
	err := s.View(t.Context(), func(tx iam.Tx) error { _, err := tx.ByID(iam.KindRole, role("a").ID); return err })
	wantErr(t, "ByID", err, iam.ErrNotFound)
	err = s.Update(t.Context(), func(tx iam.Tx) error { return tx.Delete(iam.KindRole, Account, "", "a") })
	wantErr(t, "second Delete", err, iam.ErrNotFound)
	get(t, s, iam.KindRole, "b")
	put(t, s, role("a")) // key and id are free again
}

func testNames(t *testing.T, s iam.Store) {
	// iam folds the names that AWS compares ignoring case; the store itself does not.
	all := []string{"B", "a", "a b", "a%", "a_", "b", "ä", "ü", "日本"}
	for _, n := range all {
		put(t, s, inline(n))
	}
	wantErr(t, "other case", tryGet(t, s, iam.KindInlinePolicy, "AROAP", "A"), iam.ErrNotFound)
	wantErr(t, "wildcard", tryGet(t, s, iam.KindInlinePolicy, "AROAP", "%"), iam.ErrNotFound)
	got := names(t, s, iam.Query{Kind: iam.KindInlinePolicy, Account: Account, Parent: "AROAP"})
	if diff := cmp.Diff(all, got); diff != "" {
		t.Errorf("order of bytes (-want +got):\n%s", diff)
	}
}

func testPages(t *testing.T, s iam.Store) {
	var want []string
	for i := range 25 {
		name := fmt.Sprintf("role-%02d", i)
		want = append(want, name)
	}
	for _, i := range []int{7, 3, 24, 0, 12} { // not in the order of names
		put(t, s, role(want[i]))
	}
	for _, name := range want {
		if errors.Is(tryGet(t, s, iam.KindRole, "", name), iam.ErrNotFound) {
			put(t, s, role(name))
		}
	}
	q := iam.Query{Kind: iam.KindRole, Account: Account}
	if diff := cmp.Diff(want, names(t, s, q)); diff != "" {
		t.Errorf("all at once (-want +got):\n%s", diff)
	}
	for _, size := range []int{1, 4, 25, 100} {
		t.Run(fmt.Sprintf("of %d", size), func(t *testing.T) {
			q := q
			q.Limit = size
			var got []string
			for {
				page := names(t, s, q)
				if len(page) > size {
					t.Fatalf("a page has %d records", len(page))
				}
				if len(page) == 0 {
					break
				}
				got = append(got, page...)
				q.After = page[len(page)-1]
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("pages (-want +got):\n%s", diff)
			}
		})
	}
	q.After = "role-10x" // a record that is not there, as when it was deleted between two pages
	q.Limit = 2
	if got := names(t, s, q); !slices.Equal(got, []string{"role-11", "role-12"}) {
		t.Errorf("after a name that is not there: %q", got)
	}
	q.After = "zzz"
	if got := names(t, s, q); len(got) != 0 {
		t.Errorf("after the last name: %q", got)
	}
}

func testPathPrefix(t *testing.T, s iam.Store) {
	paths := map[string]string{"e": "/", "d": "/a/", "c": "/a/b/", "b": "/ab/", "a": "/a/b/c/", "f": "/A/", "g": "/a_/", "none": ""}
	for name, path := range paths {
		r := role(name)
		r.Path = path
		put(t, s, r)
	}
	for prefix, want := range map[string][]string{
		"":       {"a", "b", "c", "d", "e", "f", "g", "none"},
		"/":      {"a", "b", "c", "d", "e", "f", "g"},
		"/a/":    {"a", "c", "d"},
		"/a":     {"a", "b", "c", "d", "g"},
		"/a/b/":  {"a", "c"},
		"/A/":    {"f"},
		"/a_/":   {"g"}, // not a wildcard
		"/%/":    nil,
		"/a/b/z": nil,
	} {
		q := iam.Query{Kind: iam.KindRole, Account: Account, PathPrefix: prefix}
		if diff := cmp.Diff(want, names(t, s, q)); diff != "" {
			t.Errorf("prefix %q (-want +got):\n%s", prefix, diff)
		}
		if n := count(t, s, q); n != len(want) {
			t.Errorf("prefix %q: counted %d, want %d", prefix, n, len(want))
		}
		var got []string
		for q.Limit = 1; ; {
			page := names(t, s, q)
			if len(page) == 0 {
				break
			}
			got = append(got, page...)
			q.After = page[0]
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("prefix %q in pages of one (-want +got):\n%s", prefix, diff)
		}
	}
}

func testTargets(t *testing.T, s iam.Store) {
	for _, parent := range []string{"AROA3", "AIDA1", "AROA2"} {
		put(t, s, attachment(Account, parent, "P"), attachment(Account, parent, "Q"))
	}
	put(t, s, attachment(Other, "AROA0", "P"), attachment(Other, "AROA4", "P"))
	list := func(q iam.Query) (parents []string) {
		q.Kind = iam.KindAttachment
		view(t, s, func(tx iam.Tx) error {
			records, err := tx.List(q)
			for _, r := range records {
				parents = append(parents, r.Parent)
			}
			return err
		})
		return parents
	}
	for _, test := range []struct {
		name string
		q    iam.Query
		want []string
	}{
		{"of one account", iam.Query{Target: "P", Account: Account}, []string{"AIDA1", "AROA2", "AROA3"}},
		{"of every account", iam.Query{Target: "P"}, []string{"AIDA1", "AROA0", "AROA2", "AROA3", "AROA4"}},
		{"first page", iam.Query{Target: "P", Account: Account, Limit: 2}, []string{"AIDA1", "AROA2"}},
		{"next page", iam.Query{Target: "P", Account: Account, Limit: 2, After: "AROA2"}, []string{"AROA3"}},
		{"next page of every account", iam.Query{Target: "P", After: "AROA0", Limit: 3}, []string{"AROA2", "AROA3", "AROA4"}},
		{"parent plays no part", iam.Query{Target: "Q", Account: Account, Parent: "AROA2"}, []string{"AIDA1", "AROA2", "AROA3"}},
		{"nothing points there", iam.Query{Target: "R", Account: Account}, nil},
	} {
		if diff := cmp.Diff(test.want, list(test.q)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}

	// Links without a parent, as of an MFA device to its user: all of them are found.
	for _, serial := range []string{"mfa/b", "mfa/a"} {
		r := record(iam.KindMFADevice, serial, serial)
		r.Target = "AIDA1"
		put(t, s, r)
	}
	if got := names(t, s, iam.Query{Kind: iam.KindMFADevice, Target: "AIDA1"}); !slices.Equal(got, []string{"mfa/a", "mfa/b"}) {
		t.Errorf("links without parent: %q", got)
	}
}

func testScope(t *testing.T, s iam.Store) {
	other := role("b")
	other.Account, other.ID = Other, "AROAB2"
	user := record(iam.KindUser, "c", "AIDAC")
	put(t, s, role("a"), other, user, inline("p"))
	for _, test := range []struct {
		q    iam.Query
		want []string
	}{
		{iam.Query{Kind: iam.KindRole, Account: Account}, []string{"a"}},
		{iam.Query{Kind: iam.KindRole, Account: Other}, []string{"b"}},
		{iam.Query{Kind: iam.KindRole}, nil},
		{iam.Query{Kind: iam.KindUser, Account: Account}, []string{"c"}},
		{iam.Query{Kind: iam.KindInlinePolicy, Account: Account}, nil},
		{iam.Query{Kind: iam.KindInlinePolicy, Account: Account, Parent: "AROAP"}, []string{"p"}},
		{iam.Query{Kind: iam.KindInlinePolicy, Account: Other, Parent: "AROAP"}, nil},
	} {
		if diff := cmp.Diff(test.want, names(t, s, test.q)); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", test.q, diff)
		}
		if n := count(t, s, test.q); n != len(test.want) {
			t.Errorf("%+v: counted %d, want %d", test.q, n, len(test.want))
		}
	}
	err := s.View(t.Context(), func(tx iam.Tx) error { _, err := tx.ByID(iam.KindUser, role("a").ID); return err })
	wantErr(t, "id of another kind", err, iam.ErrNotFound)
	err = s.View(t.Context(), func(tx iam.Tx) error { _, err := tx.ByID(iam.KindInlinePolicy, ""); return err })
	wantErr(t, "empty id", err, iam.ErrNotFound)
}

func testCount(t *testing.T, s iam.Store) {
	roles := iam.Query{Kind: iam.KindRole, Account: Account}
	under := iam.Query{Kind: iam.KindAttachment, Account: Account, Parent: "AROA1"}
	toP := iam.Query{Kind: iam.KindAttachment, Account: Account, Target: "P"}
	toPAnywhere := iam.Query{Kind: iam.KindAttachment, Target: "P"}
	paged := iam.Query{Kind: iam.KindRole, Account: Account, After: "a", Limit: 1}
	expect := func(when string, wantRoles, wantUnder, wantTo, wantAnywhere int) {
		t.Helper()
		got := []int{count(t, s, roles), count(t, s, under), count(t, s, toP), count(t, s, toPAnywhere), count(t, s, paged)}
		if want := []int{wantRoles, wantUnder, wantTo, wantAnywhere, wantRoles}; !slices.Equal(got, want) {
			t.Errorf("%s: roles, under a parent, to a target, anywhere, paged: %v, want %v", when, got, want)
		}
	}
	expect("empty", 0, 0, 0, 0)
	put(t, s, role("a"), role("b"), attachment(Account, "AROA1", "P"), attachment(Account, "AROA1", "Q"), attachment(Other, "AROA2", "P"))
	expect("filled", 2, 2, 1, 2)
	wantErr(t, "role that exists", tryPut(t, s, role("a")), iam.ErrConflict)
	a := get(t, s, iam.KindRole, "a")
	a.Name = "z"
	put(t, s, a)
	expect("after a conflict and a rename", 2, 2, 1, 2)
	q := getUnder(t, s, iam.KindAttachment, "AROA1", "Q")
	q.Target = "P"
	put(t, s, q)
	expect("with a link that points elsewhere now", 2, 2, 2, 3)
	undone := errors.New("undone")
	err := s.Update(t.Context(), func(tx iam.Tx) error {
		if err := tx.Delete(iam.KindRole, Account, "", "z"); err != nil {
			return err
		}
		if n, err := tx.Count(roles); err != nil || n != 1 {
			return fmt.Errorf("inside the transaction: %d, %v", n, err)
		}
		return undone
	})
	wantErr(t, "Update", err, undone)
	expect("after a rollback", 2, 2, 2, 3)
	update(t, s, func(tx iam.Tx) error {
		return errors.Join(
			tx.Delete(iam.KindRole, Account, "", "z"), tx.Delete(iam.KindRole, Account, "", "b"),
			tx.Delete(iam.KindAttachment, Account, "AROA1", "P"), tx.Delete(iam.KindAttachment, Account, "AROA1", "Q"),
			tx.Delete(iam.KindAttachment, Other, "AROA2", "P"))
	})
	expect("emptied", 0, 0, 0, 0)
}

func testRollbackOnError(t *testing.T, s iam.Store) {
	put(t, s, role("kept"))
	cause := errors.New("cause")
	err := s.Update(t.Context(), func(tx iam.Tx) error {
		kept, err := tx.Get(iam.KindRole, Account, "", "kept")
		if err != nil {
			return err
		}
		kept.Path = "/changed/"
		return errors.Join(tx.Put(kept), tx.Put(role("new")), cause)
	})
	wantErr(t, "Update", err, cause)
	expectKept(t, s)
	if err := s.View(t.Context(), func(iam.Tx) error { return cause }); !errors.Is(err, cause) {
		t.Errorf("View: %v, want its function's error", err)
	}
}

func testRollbackOnPanic(t *testing.T, s iam.Store) {
	put(t, s, role("kept"))
	func() {
		defer func() {
			if got := recover(); got != "cause" {
				t.Errorf("recovered %v, want the function's own panic", got)
			}
		}()
		_ = s.Update(t.Context(), func(tx iam.Tx) error {
			if err := errors.Join(tx.Delete(iam.KindRole, Account, "", "kept"), tx.Put(role("new"))); err != nil {
				return err
			}
			panic("cause")
		})
	}()
	expectKept(t, s)
	func() {
		defer func() { _ = recover() }()
		_ = s.View(t.Context(), func(tx iam.Tx) error { panic("cause") })
	}()
	expectKept(t, s)
}

func testRollbackOnCancel(t *testing.T, s iam.Store) {
	put(t, s, role("kept"))
	ctx, cancel := context.WithCancel(t.Context())
	err := s.Update(ctx, func(tx iam.Tx) error {
		defer cancel()
		return errors.Join(tx.Delete(iam.KindRole, Account, "", "kept"), tx.Put(role("new")))
	})
	wantErr(t, "Update whose context ended before the commit", err, context.Canceled)
	ran := false
	note := func(iam.Tx) error { ran = true; return nil }
	wantErr(t, "Update", s.Update(ctx, note), context.Canceled)
	wantErr(t, "View", s.View(ctx, note), context.Canceled)
	if ran {
		t.Error("a function ran although its context had ended")
	}
	expectKept(t, s)
}

// expectKept checks that the only role is "kept", as it was created, and that the store still takes writes.
func expectKept(t *testing.T, s iam.Store) {
	t.Helper()
	want := role("kept")
	want.Version = 1
	if diff := cmp.Diff(want, get(t, s, iam.KindRole, "kept")); diff != "" {
		t.Errorf("after a rollback (-want +got):\n%s", diff)
	}
	if got := names(t, s, iam.Query{Kind: iam.KindRole, Account: Account}); !slices.Equal(got, []string{"kept"}) {
		t.Errorf("after a rollback: roles %q", got)
	}
	put(t, s, role("later"))
	update(t, s, func(tx iam.Tx) error { return tx.Delete(iam.KindRole, Account, "", "later") })
}

func testSnapshot(t *testing.T, s iam.Store) {
	put(t, s, role("a"))
	view(t, s, func(tx iam.Tx) error {
		before, err := tx.Get(iam.KindRole, Account, "", "a")
		if err != nil {
			return err
		}
		changed := before
		changed.Path = "/changed/"
		put(t, s, changed, role("b"))
		after, err := tx.Get(iam.KindRole, Account, "", "a")
		if err != nil {
			return err
		}
		if diff := cmp.Diff(before, after); diff != "" {
			t.Errorf("a write is seen by a view that began before it (-want +got):\n%s", diff)
		}
		if _, err := tx.Get(iam.KindRole, Account, "", "b"); !errors.Is(err, iam.ErrNotFound) {
			t.Errorf("a record that was created meanwhile: %v", err)
		}
		return nil
	})
	get(t, s, iam.KindRole, "b") // and the next view sees it
}

func testReadOnly(t *testing.T, s iam.Store) {
	put(t, s, role("a"))
	view(t, s, func(tx iam.Tx) error {
		if err := tx.Put(role("b")); err == nil {
			t.Error("Put in a View: no error")
		}
		if err := tx.Delete(iam.KindRole, Account, "", "a"); err == nil {
			t.Error("Delete in a View: no error")
		}
		return nil
	})
	if got := names(t, s, iam.Query{Kind: iam.KindRole, Account: Account}); !slices.Equal(got, []string{"a"}) {
		t.Errorf("roles %q, want a alone", got)
	}
}

func testEnded(t *testing.T, s iam.Store) {
	put(t, s, role("a"))
	var kept []iam.Tx
	update(t, s, func(tx iam.Tx) error { kept = append(kept, tx); return nil })
	view(t, s, func(tx iam.Tx) error { kept = append(kept, tx); return nil })
	for _, tx := range kept {
		if _, err := tx.Get(iam.KindRole, Account, "", "a"); err == nil {
			t.Error("Get after the end: no error")
		}
		if err := tx.Put(role("b")); err == nil {
			t.Error("Put after the end: no error")
		}
		if err := tx.Delete(iam.KindRole, Account, "", "a"); err == nil {
			t.Error("Delete after the end: no error")
		}
	}
	get(t, s, iam.KindRole, "a")
}

func testRoundTrip(t *testing.T, s iam.Store) {
	large := make([]byte, 1<<20) // a SAML metadata document is of that size
	for i := range large {
		large[i] = byte(i * 31)
	}
	for name, body := range map[string][]byte{"none": nil, "json": []byte(`{"a":"ü\u0000"}`), "large": large, "zeros": {0, 0, 0}} {
		r := role(name)
		r.Body = body
		r.Path, r.Target = `/it's "quoted" \ 100%/`, "日本 $1 ?"
		put(t, s, r)
		r.Version = 1
		got := get(t, s, iam.KindRole, name)
		if !bytes.Equal(got.Body, body) || (got.Body == nil) != (body == nil) {
			t.Errorf("%s: a body of %d bytes came back as another of %d", name, len(body), len(got.Body))
		}
		r.Body, got.Body = nil, nil // cmp takes its time over a large one
		if diff := cmp.Diff(r, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
