package store_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stint-sts/stint/iam"
	"github.com/stint-sts/stint/iam/store/pgtest"
)

func keyRecord(i int) iam.Record {
	return iam.Record{Kind: iam.KindAccessKey, Account: "111122223333", Parent: "AIDA", Name: fmt.Sprintf("AKIA%06d", i), ID: fmt.Sprintf("AKIA%06d", i)}
}

// Uses are noted while another node writes and does not come to its end, the deletion of the same key among it; and the other way
// round. Nodes are not told of uses.
func TestPostgres_UsesHoldUpNobody(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	a, b := node(t, url), node(t, url)
	err := a.Update(t.Context(), func(tx iam.Tx) error {
		for i := range 3 {
			if err := tx.Put(keyRecord(i)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	before := newest(t, a)
	at := time.Date(2026, 3, 14, 15, 9, 26, 0, time.UTC)
	note := func(ids ...int) {
		t.Helper()
		var uses []iam.Use
		for _, i := range ids {
			uses = append(uses, iam.Use{ID: keyRecord(i).ID, At: at})
		}
		if err := b.NoteUses(t.Context(), at, uses); err != nil {
			t.Error(err)
		}
	}
	note(0, 1, 2)
	at = at.Add(time.Second)
	err = a.Update(t.Context(), func(tx iam.Tx) error {
		r, err := tx.ByID(iam.KindAccessKey, keyRecord(0).ID)
		if err != nil {
			return err
		}
		note(0, 1) // while the writer has its turn
		r.Body = []byte("changed")
		return tx.Put(r)
	})
	if err != nil {
		t.Errorf("a use in the midst of a compare-and-set: %v", err)
	}
	at = at.Add(time.Second)
	var noting sync.WaitGroup
	err = a.Update(t.Context(), func(tx iam.Tx) error {
		r := keyRecord(2)
		if err := tx.Delete(r.Kind, r.Account, r.Parent, r.Name); err != nil {
			return err
		}
		noting.Go(func() { note(0, 1, 2) }) // may wait for the end, and not be waited for
		return nil
	})
	noting.Wait()
	if err != nil {
		t.Errorf("a deletion beside a use: %v", err)
	}
	err = b.View(t.Context(), func(tx iam.Tx) error {
		r, err := tx.ByID(iam.KindAccessKey, keyRecord(0).ID)
		if err != nil || string(r.Body) != "changed" || r.Version != 2 {
			t.Errorf("the record is %s at version %d, %v", r.Body, r.Version, err)
		}
		found, err := tx.Uses(keyRecord(0).ID, keyRecord(1).ID)
		if len(found) != 2 || !found[keyRecord(0).ID].At.Equal(at) {
			t.Errorf("noted are %v", found)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	if after := newest(t, a); after != before {
		t.Errorf("uses brought the feed from %v to %v", before, after)
	}
}

// BenchmarkNoteUses is what a node writes in a minute in which 20,000 keys were used.
func BenchmarkNoteUses(b *testing.B) {
	const keys = 20_000
	s := openPostgres(b, pgtest.Database(b))
	defer s.Close()
	err := s.Update(b.Context(), func(tx iam.Tx) error {
		for i := range keys {
			if err := tx.Put(keyRecord(i)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	at := time.Now()
	for b.Loop() {
		at = at.Add(time.Second)
		for first := 0; first < keys; first += 1000 {
			uses := make([]iam.Use, 1000)
			for i := range uses {
				uses[i] = iam.Use{ID: keyRecord(first + i).ID, At: at, Service: "sts", Region: "us-east-1"}
			}
			if err := s.NoteUses(b.Context(), at, uses); err != nil {
				b.Fatal(err)
			}
		}
	}
}
