package store_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stint-sts/stint/iam"
	"github.com/stint-sts/stint/iam/store"
	"github.com/stint-sts/stint/iam/store/pgtest"
)

// A node that hangs in the middle of a write holds up the others for its time-out only, and its write is lost: the database ends it.
func TestPostgres_WriterHangs(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	slow, err := store.OpenPostgres(t.Context(), store.PostgresConfig{URL: url, Timeout: 500 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	other := node(t, url)
	put := func(tx iam.Tx, name string) error {
		return tx.Put(iam.Record{Kind: iam.KindRole, Account: "111122223333", Name: name, ID: "AROA" + name})
	}
	hangs, goOn, ended := make(chan struct{}), make(chan struct{}), make(chan error)
	go func() {
		ended <- slow.Update(t.Context(), func(tx iam.Tx) error {
			err := put(tx, "slow")
			close(hangs)
			<-goOn
			return err
		})
	}()
	<-hangs
	if err := other.Update(t.Context(), func(tx iam.Tx) error { return put(tx, "other") }); err != nil {
		t.Errorf("while another node hangs: %v", err)
	}
	close(goOn)
	if err := <-ended; !errors.Is(err, iam.ErrUnavailable) {
		t.Errorf("the write that hung: %v", err)
	}
	if err := slow.Update(t.Context(), func(tx iam.Tx) error { return put(tx, "again") }); err != nil {
		t.Errorf("after it: %v", err)
	}
	err = other.View(t.Context(), func(tx iam.Tx) error {
		roles, err := tx.List(iam.Query{Kind: iam.KindRole, Account: "111122223333"})
		if len(roles) != 2 || roles[0].Name != "again" || roles[1].Name != "other" {
			t.Errorf("there are %v", roles)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// A database that stops answering is an error within the time-out, and no reason to give up for good.
func TestPostgres_ServerHangs(t *testing.T) {
	t.Parallel()
	p := pgtest.Start(t)
	s, err := store.OpenPostgres(t.Context(), store.PostgresConfig{
		URL: p.Database(t), Timeout: 300 * time.Millisecond, ConnectTimeout: 300 * time.Millisecond, MaxConnections: 2,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	look := func() error {
		return s.View(t.Context(), func(tx iam.Tx) error { _, err := tx.List(iam.Query{Kind: iam.KindRole}); return err })
	}
	if err := look(); err != nil {
		t.Fatal(err)
	}
	p.Pause(t)
	for range 3 {
		if err := look(); !errors.Is(err, iam.ErrUnavailable) {
			t.Errorf("from a server that hangs: %v", err)
		}
	}
	p.Resume(t)
	late := time.After(time.Minute)
	for look() != nil {
		select {
		case <-late:
			t.Fatal("the server answers again, and the store does not notice")
		case <-time.After(10 * time.Millisecond):
		}
	}
}
