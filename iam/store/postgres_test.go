package store_test

import (
	"testing"

	"github.com/stint-sts/stint/iam"
	"github.com/stint-sts/stint/iam/iamtest"
	"github.com/stint-sts/stint/iam/store"
	"github.com/stint-sts/stint/iam/store/pgtest"
)

func openPostgres(t testing.TB, url string) *store.Postgres {
	t.Helper()
	s, err := store.OpenPostgres(t.Context(), store.PostgresConfig{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// node returns a node's store on the database, closed when the test ends.
func node(t testing.TB, url string) *store.Postgres {
	t.Helper()
	s := openPostgres(t, url)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestPostgres(t *testing.T) {
	t.Parallel()
	iamtest.Run(t, func(t *testing.T) iam.Store { return node(t, pgtest.Database(t)) })
}

func TestPostgres_Durable(t *testing.T) {
	iamtest.RunDurable(t, func(t *testing.T) func() iam.Store {
		url := pgtest.Database(t)
		return func() iam.Store { return openPostgres(t, url) }
	})
}
