package store_test

import (
	"path/filepath"
	"testing"

	"github.com/stint-sts/stint/iam"
	"github.com/stint-sts/stint/iam/iamtest"
	"github.com/stint-sts/stint/iam/store"
)

func open(t testing.TB, path string) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// fresh returns an empty store that is closed when the test ends.
func fresh(t testing.TB) *store.Store {
	t.Helper()
	s := open(t, filepath.Join(t.TempDir(), "directory.db"))
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestSQLite(t *testing.T) {
	t.Parallel()
	iamtest.Run(t, func(t *testing.T) iam.Store { return fresh(t) })
}

func TestSQLite_Durable(t *testing.T) {
	iamtest.RunDurable(t, func(t *testing.T) func() iam.Store {
		path := filepath.Join(t.TempDir(), "directory.db")
		return func() iam.Store { return open(t, path) }
	})
}
