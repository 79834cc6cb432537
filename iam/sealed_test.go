package iam_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"strings"
	"testing"

	"github.com/stint-sts/stint/iam"
	"github.com/stint-sts/stint/seal"
)

// ring stores what the signer would: a key ring under the key that is in force.
func (f *fixture) ring(k *seal.Key) {
	f.t.Helper()
	sealed, err := k.Seal([]byte("ring"), "key-ring")
	f.ok(err)
	f.ok(f.directory.Update(f.t.Context(), func(tx iam.Tx) error {
		r := iam.Record{Kind: iam.KindKeyRing, Name: "ring", Body: sealed}
		if old, err := tx.Get(iam.KindKeyRing, "", "", "ring"); err == nil {
			r.Version = old.Version
		}
		return tx.Put(r)
	}))
}

// record reads the record of an access key.
func (f *fixture) record(id string) (r iam.Record) {
	f.t.Helper()
	f.ok(f.directory.View(f.t.Context(), func(tx iam.Tx) (err error) {
		r, err = tx.ByID(iam.KindAccessKey, id)
		return err
	}))
	return r
}

func sealingKey(t *testing.T, fill byte) *seal.Key {
	t.Helper()
	k, err := seal.NewKey(bytes.Repeat([]byte{fill}, seal.KeySize), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// New values are sealed under the key that the ring is sealed under, whichever of its two the node would take by itself.
func TestSealing_GoesByTheKeyInForce(t *testing.T) {
	t.Parallel()
	former, fresh := sealingKey(t, 1), sealingKey(t, 2)
	both, err := fresh.WithPrevious(former)
	if err != nil {
		t.Fatal(err)
	}
	f := newFixture(t, func(cfg *iam.Config) { cfg.Master = both })
	f.user("alice")
	for _, row := range []struct {
		name string
		ring *seal.Key // nil: there is none yet
		want *seal.Key
	}{
		{"without a ring", nil, fresh},
		{"while the former key is in force", former, former},
		{"while the new key is in force", fresh, fresh},
	} {
		if row.ring != nil {
			f.ring(row.ring)
		}
		key := f.accessKey(f.root(), "alice")
		if n, err := iam.CheckSealed(f.record(key.AccessKeyID), row.want); n != 1 || err != nil {
			t.Errorf("%s: %d values under %s, %v", row.name, n, row.want.ID(), err)
		}
		err := f.DeleteAccessKey(f.t.Context(), f.root(), &iam.DeleteAccessKeyInput{UserName: "alice", AccessKeyID: key.AccessKeyID})
		f.ok(err)
	}
	f.ring(sealingKey(t, 3))
	_, err = f.CreateAccessKey(t.Context(), f.root(), &iam.CreateAccessKeyInput{UserName: "alice"})
	if !errors.Is(err, seal.ErrWrongKey) {
		t.Errorf("a ring under a key that the node was not given: %v", err)
	}
}

func TestReseal(t *testing.T) {
	t.Parallel()
	former, fresh := sealingKey(t, 1), sealingKey(t, 2)
	both, err := fresh.WithPrevious(former)
	if err != nil {
		t.Fatal(err)
	}
	f := newFixture(t, func(cfg *iam.Config) { cfg.Master = former })
	f.user("alice")
	good, bad := f.accessKey(f.root(), "alice"), f.accessKey(f.root(), "alice")
	f.ring(fresh)
	damaged := f.record(bad.AccessKeyID)
	damaged.Body = []byte(strings.Replace(string(damaged.Body), `"SealedSecret":"`, `"SealedSecret":"AQ`, 1))
	f.ok(f.directory.Update(t.Context(), func(tx iam.Tx) error { return tx.Put(damaged) }))

	reseal := func(r iam.Record) (n int, err error) {
		failed := f.directory.Update(t.Context(), func(tx iam.Tx) error {
			n, err = iam.Reseal(tx, r, both)
			return nil // what went well before is kept
		})
		f.ok(failed)
		return n, err
	}
	before := f.record(bad.AccessKeyID)
	for _, row := range []struct {
		name   string
		record iam.Record
		want   int
		err    error
	}{
		{"a value under the former key", f.record(good.AccessKeyID), 1, nil},
		{"the same again", f.record(good.AccessKeyID), 0, nil},
		{"a value that is damaged", before, 0, seal.ErrDamaged},
		{"a record that is gone", iam.Record{Kind: iam.KindAccessKey, Account: testAccount, Parent: "AIDA", Name: "AKIA"}, 0, nil},
		{"a record without sealed values", iam.Record{Kind: iam.KindAccount, Name: testAccount}, 0, nil},
	} {
		if n, err := reseal(row.record); n != row.want || !errors.Is(err, row.err) {
			t.Errorf("%s: %d, %v", row.name, n, err)
		}
	}
	if after := f.record(bad.AccessKeyID); after.Version != before.Version {
		t.Error("the damaged record was written")
	}
	if n, err := iam.CheckSealed(f.record(good.AccessKeyID), fresh); n != 1 || err != nil {
		t.Errorf("under the new key alone: %d, %v", n, err)
	}
	if _, err := iam.CheckSealed(before, both); !errors.Is(err, seal.ErrDamaged) {
		t.Errorf("the damaged value: %v", err)
	}
}
