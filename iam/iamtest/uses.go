package iamtest

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stint-sts/stint/iam"
)

var useTime = time.Date(2026, 3, 14, 15, 9, 26, 535_897_932, time.UTC)

func note(t *testing.T, s iam.Store, uses ...iam.Use) {
	t.Helper()
	if err := s.NoteUses(t.Context(), useTime, uses); err != nil {
		t.Errorf("NoteUses: %v", err)
	}
}

func uses(t *testing.T, s iam.Store, ids ...string) (found map[string]iam.Use) {
	t.Helper()
	view(t, s, func(tx iam.Tx) (err error) {
		found, err = tx.Uses(ids...)
		return err
	})
	return found
}

func testUses(t *testing.T, s iam.Store) {
	put(t, s,
		record(iam.KindAccessKey, "key", "AKIA1"), record(iam.KindUser, "user", "AIDA1"), record(iam.KindRole, "role", "AROA1"),
		record(iam.KindGroup, "group", "AGPA1"))
	use := func(id string, at time.Duration, service, region string) iam.Use {
		return iam.Use{ID: id, At: useTime.Add(at), Service: service, Region: region}
	}
	note(t, s)
	note(t, s, use("AROA1", 0, "sts", "us-east-1"), use("AIDA1", 0, "", ""), use("AKIA1", 0, "iam", "é'\""), use("AKIANONE", 0, "", ""), use("AGPA1", 0, "", ""))
	want := map[string]iam.Use{"AROA1": use("AROA1", 0, "sts", "us-east-1"), "AIDA1": use("AIDA1", 0, "", ""), "AKIA1": use("AKIA1", 0, "iam", "é'\"")}
	expect := func(when string) {
		t.Helper()
		if diff := cmp.Diff(want, uses(t, s, "AROA1", "AIDA1", "AKIA1", "AKIANONE", "AGPA1")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", when, diff)
		}
	}
	expect("at first")
	note(t, s, use("AROA1", -1, "earlier", ""), use("AIDA1", 0, "same", ""), use("AKIA1", 1, "later", ""))
	want["AKIA1"] = use("AKIA1", 1, "later", "")
	expect("one of three is later")
	note(t, s, use("AROA1", iam.MaxAhead, "ahead", ""), use("AKIA1", iam.MaxAhead+1, "far ahead", ""))
	note(t, s, use("AROA1", time.Second, "now", ""), use("AKIA1", time.Second, "now", ""))
	want["AROA1"], want["AKIA1"] = use("AROA1", iam.MaxAhead, "ahead", ""), use("AKIA1", time.Second, "now", "")
	expect("a clock that was far ahead does not count")
	if n := len(uses(t, s)); n != 0 {
		t.Errorf("of no ids: %d uses", n)
	}
	view(t, s, func(tx iam.Tx) error {
		r, err := tx.ByID(iam.KindRole, "AROA1")
		if r.Version != 1 {
			t.Errorf("the record has version %d", r.Version)
		}
		return err
	})
}

func testUsesDeleted(t *testing.T, s iam.Store) {
	first, second := record(iam.KindAccessKey, "first", "AKIA1"), record(iam.KindAccessKey, "second", "AKIA2")
	put(t, s, first, second)
	note(t, s, iam.Use{ID: "AKIA1", At: useTime}, iam.Use{ID: "AKIA2", At: useTime})
	update(t, s, func(tx iam.Tx) error { return tx.Delete(first.Kind, first.Account, first.Parent, first.Name) })
	note(t, s, iam.Use{ID: "AKIA1", At: useTime.Add(1)}) // what a node had in mind still
	undone := errors.New("undone")
	if err := s.Update(t.Context(), func(tx iam.Tx) error {
		return errors.Join(tx.Delete(second.Kind, second.Account, second.Parent, second.Name), undone)
	}); !errors.Is(err, undone) {
		t.Error(err)
	}
	if got := uses(t, s, "AKIA1", "AKIA2"); len(got) != 1 || !got["AKIA2"].At.Equal(useTime) {
		t.Errorf("left are %v", got)
	}
}

// testRaceUses notes uses in several orders while the records themselves are changed.
func testRaceUses(t *testing.T, s iam.Store) {
	const ids, rounds = 20, 10
	all := make([]iam.Record, ids)
	for i := range all {
		all[i] = record(iam.KindAccessKey, fmt.Sprintf("key-%02d", i), fmt.Sprintf("AKIA%02d", i))
	}
	put(t, s, all...)
	var nodes sync.WaitGroup
	for n := range 3 {
		nodes.Go(func() {
			for round := range rounds {
				batch := make([]iam.Use, ids)
				for i := range batch {
					id := (i*7 + n*5) % ids // 7 and 20 have no common divisor
					batch[i] = iam.Use{ID: all[id].ID, At: useTime.Add(time.Duration(round*3 + n))}
				}
				note(t, s, batch...)
			}
		})
	}
	for round := range rounds {
		update(t, s, func(tx iam.Tx) error {
			for i := range all {
				r := all[i]
				r.Version, r.Body = int64(round+1), fmt.Append(nil, round)
				if err := tx.Put(r); err != nil { // ErrConflict if a use had changed the version
					return err
				}
			}
			return nil
		})
	}
	nodes.Wait()
	for id, u := range uses(t, s, "AKIA00", "AKIA07", "AKIA19") {
		if want := useTime.Add(rounds*3 - 1); !u.At.Equal(want) {
			t.Errorf("%s: %v, want %v", id, u.At, want)
		}
	}
}
