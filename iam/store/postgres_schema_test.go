package store

import (
	"errors"
	"testing"

	"github.com/stint-sts/stint/iam"
	"github.com/stint-sts/stint/iam/store/pgtest"
)

// Releases of two versions run side by side: the newer one expands the schema under the older, and only the one after that
// contracts it, which then keeps the oldest out.
func TestPostgres_TwoVersions(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	expand := postgresStep{compatible: 1, sql: "ALTER TABLE records ADD COLUMN note TEXT NOT NULL DEFAULT ''"}
	contract := postgresStep{compatible: 2, sql: "ALTER TABLE records ALTER COLUMN note DROP DEFAULT"}
	open := func(steps ...postgresStep) *Postgres {
		t.Helper()
		s, err := openPostgres(t.Context(), PostgresConfig{URL: url}, steps)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return s
	}
	put := func(s *Postgres, name string) error {
		return s.Update(t.Context(), func(tx iam.Tx) error {
			return tx.Put(iam.Record{Kind: iam.KindRole, Account: "111122223333", Name: name, ID: "AROA" + name})
		})
	}
	one := postgresSteps[:1:1]
	oldest := open(one...)
	if err := put(oldest, "a"); err != nil {
		t.Fatal(err)
	}
	newer := open(append(one, expand)...)
	for name, s := range map[string]*Postgres{"b": oldest, "c": newer, "d": open(one...)} {
		if err := put(s, name); err != nil {
			t.Errorf("side by side: %v", err)
		}
	}
	for _, s := range []*Postgres{oldest, newer} {
		err := s.View(t.Context(), func(tx iam.Tx) error {
			if n, err := tx.Count(iam.Query{Kind: iam.KindRole, Account: "111122223333"}); err != nil || n != 4 {
				t.Errorf("counted %d of 4, %v", n, err)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}

	open(append(one, expand, contract)...)
	if err := put(oldest, "e"); !errors.Is(err, ErrNewer) {
		t.Errorf("the oldest writes to a schema that is beyond it: %v", err)
	}
	if _, err := oldest.Changes(t.Context(), iam.FeedPosition{}); !errors.Is(err, ErrNewer) {
		t.Errorf("the oldest follows a schema that is beyond it: %v", err)
	}
	if _, err := openPostgres(t.Context(), PostgresConfig{URL: url}, one); !errors.Is(err, ErrNewer) {
		t.Errorf("the oldest opens a schema that is beyond it: %v", err)
	}
	if _, err := newer.Changes(t.Context(), iam.FeedPosition{}); err != nil {
		t.Errorf("the one before: %v", err)
	}
}

// A step that fails leaves the schema as it was.
func TestPostgres_StepFails(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	broken := postgresStep{compatible: 1, sql: "CREATE TABLE more (id INT); SELECT 1/0"}
	if _, err := openPostgres(t.Context(), PostgresConfig{URL: url}, append(postgresSteps[:1:1], broken)); err == nil {
		t.Fatal("a step that fails goes unnoticed")
	}
	s, err := OpenPostgres(t.Context(), PostgresConfig{URL: url})
	if err != nil {
		t.Fatalf("after it: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestPostgresURL(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		url      string
		password bool
		verified bool // the certificate is
	}{
		{"postgres://stint@127.0.0.1/stint", false, false},
		{"postgres://stint@/stint?host=/run/postgresql", false, false},
		{"postgres://stint:secret@localhost/stint", true, false},
		{"postgres://stint@db.internal/stint", false, true},
		{"postgres://stint@a.internal:5432,b.internal:5433/stint", false, true},
		{"postgres://stint@db.internal/stint?application_name=x", false, true},
		{"postgres://stint@db.internal/stint?sslmode=disable", false, false},
		{"postgres://db.internal/stint?password=secret&sslmode=verify-full", true, true},
	} {
		config, err := parsePostgresURL(row.url)
		if err != nil {
			t.Errorf("%s: %v", row.url, err)
			continue
		}
		if got := HasPassword(row.url); got != row.password {
			t.Errorf("%s holds a password: %v", row.url, got)
		}
		verified := config.TLSConfig != nil && !config.TLSConfig.InsecureSkipVerify
		if verified != row.verified {
			t.Errorf("%s checks the certificate: %v", row.url, verified)
		}
		if config.ValidateConnect == nil {
			t.Errorf("%s takes a standby", row.url)
		}
	}
}
