package store_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"github.com/stint-sts/stint/iam"
	"github.com/stint-sts/stint/iam/store"
)

var sample = iam.Record{Kind: iam.KindRole, Account: "111122223333", Name: "sample", ID: "AROASAMPLE", Path: "/", Body: []byte("{}")}

func write(t testing.TB, s *store.Store, r iam.Record) {
	t.Helper()
	if err := s.Update(t.Context(), func(tx iam.Tx) error { return tx.Put(r) }); err != nil {
		t.Fatal(err)
	}
}

func read(ctx context.Context, s *store.Store, r iam.Record) error {
	return s.View(ctx, func(tx iam.Tx) error { _, err := tx.ByID(r.Kind, r.ID); return err })
}

// sampleFile makes a directory with some records, closed, so that all is in one file.
func sampleFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "directory.db")
	s := open(t, path)
	write(t, s, sample)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// execute runs SQL on the file behind the store's back.
func execute(t *testing.T, path, text string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(text); err != nil {
		t.Fatal(err)
	}
}

func TestOpen_RefusesWithoutTouching(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		make func(t *testing.T, path string) // path is a good directory
		want error
	}{
		{"a text file", overwrite([]byte("# notes\nnot a database, but long enough for a header: " + strings.Repeat("x", 200))), store.ErrForeign},
		{"a short file", overwrite([]byte("x")), store.ErrForeign},
		{"an empty file", overwrite(nil), store.ErrDamaged},
		{"a database of another application", func(t *testing.T, path string) {
			remove(t, path)
			execute(t, path, "PRAGMA application_id = 77; CREATE TABLE notes (a); INSERT INTO notes VALUES (1)")
		}, store.ErrForeign},
		{"a database without mark", func(t *testing.T, path string) {
			remove(t, path)
			execute(t, path, "CREATE TABLE records (a); CREATE TABLE migrations (step)")
		}, store.ErrForeign},
		{"our mark on other tables", func(t *testing.T, path string) { execute(t, path, "CREATE TABLE notes (a)") }, store.ErrForeign},
		{"a newer version", func(t *testing.T, path string) {
			execute(t, path, "INSERT INTO migrations (step) VALUES (1000); CREATE TABLE later (a)")
		}, store.ErrNewer},
		{"a file cut short", func(t *testing.T, path string) {
			if err := os.Truncate(path, 4096+100); err != nil {
				t.Fatal(err)
			}
		}, store.ErrDamaged},
		{"a schema overwritten with zeros", scribble(110, make([]byte, 3000)), store.ErrDamaged},
		{"a header overwritten", scribble(0, []byte("garbage garbage garbage")), store.ErrForeign},
		{"a log without its database", func(t *testing.T, path string) {
			if err := os.Rename(path, path+"-wal"); err != nil {
				t.Fatal(err)
			}
		}, store.ErrDamaged},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			path := sampleFile(t)
			if err := open(t, path).Close(); err != nil { // the positive twin
				t.Fatal(err)
			}
			test.make(t, path)
			before := contents(t, filepath.Dir(path))
			s, err := store.Open(t.Context(), path)
			if !errors.Is(err, test.want) {
				t.Errorf("Open: %v, want %v", err, test.want)
			}
			if err == nil {
				s.Close()
				return
			}
			if strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), path) {
				t.Errorf("error %q, want one line with the path", err)
			}
			for name, was := range before {
				if is := contents(t, filepath.Dir(path))[name]; !bytes.Equal(was, is) {
					t.Errorf("%s was changed", name)
				}
			}
		})
	}
	t.Run("a folder", func(t *testing.T) {
		t.Parallel()
		if _, err := store.Open(t.Context(), t.TempDir()); !errors.Is(err, store.ErrForeign) {
			t.Errorf("Open: %v, want ErrForeign", err)
		}
	})
	t.Run("a place that does not exist", func(t *testing.T) {
		t.Parallel()
		if _, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "no", "where")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("Open: %v, want ErrNotExist", err)
		}
	})
}

func overwrite(content []byte) func(*testing.T, string) {
	return func(t *testing.T, path string) {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func scribble(offset int64, content []byte) func(*testing.T, string) {
	return func(t *testing.T, path string) {
		file, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		if _, err := file.WriteAt(content, offset); err != nil {
			t.Fatal(err)
		}
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

func contents(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for _, e := range entries {
		if files[e.Name()], err = os.ReadFile(filepath.Join(dir, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

func TestDamageInside(t *testing.T) {
	t.Parallel()
	path := sampleFile(t)
	s := open(t, path)
	if err := s.Check(t.Context()); err != nil {
		t.Errorf("Check of a good file: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	for offset := int64(2 * 4096); offset < info.Size(); offset += 4096 { // all pages but the schema and the migrations
		scribble(offset, bytes.Repeat([]byte{0xff}, 4096))(t, path)
	}
	s, err = store.Open(t.Context(), path)
	if err != nil { // the migrations may lie there too
		if !errors.Is(err, store.ErrDamaged) {
			t.Errorf("Open: %v, want ErrDamaged", err)
		}
		return
	}
	defer s.Close()
	if err := read(t.Context(), s, sample); !errors.Is(err, store.ErrDamaged) {
		t.Errorf("read of a damaged page: %v, want ErrDamaged", err)
	}
	if err := s.Check(t.Context()); !errors.Is(err, store.ErrDamaged) {
		t.Errorf("Check: %v, want ErrDamaged", err)
	}
}

func TestFileModes(t *testing.T) {
	t.Parallel()
	path := sampleFile(t)
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	s := open(t, path)
	defer s.Close()
	second := sample
	second.Name, second.ID = "second", "AROASECOND"
	write(t, s, second)
	if err := s.Backup(t.Context(), path+"-backup"); err != nil {
		t.Fatal(err)
	}
	for _, suffix := range []string{"", "-wal", "-shm", "-backup"} {
		info, err := os.Stat(path + suffix)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("directory.db%s has mode %v", suffix, info.Mode())
		}
	}
	if files := contents(t, filepath.Dir(path)); len(files) != 4 {
		t.Errorf("%d files beside the directory, want 4", len(files))
	}
}

func TestOpen_Together(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "directory.db")
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			s, err := store.Open(t.Context(), path)
			if err != nil {
				t.Errorf("Open: %v", err)
				return
			}
			if err := s.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		})
	}
	wg.Wait()
	if files := contents(t, filepath.Dir(path)); len(files) != 1 {
		t.Errorf("%d files, want one", len(files))
	}
}

func TestOpen_OddPath(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), `a b%20?mode=memory#x&y ü.db`)
	s := open(t, path)
	write(t, s, sample)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, path)
	defer s.Close()
	if err := read(t.Context(), s, sample); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
}

func TestBackup(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	write(t, s, sample)
	path := filepath.Join(t.TempDir(), "backup.db")
	if err := s.Backup(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	copied := open(t, path)
	defer copied.Close()
	if err := read(t.Context(), copied, sample); err != nil {
		t.Errorf("read from the backup: %v", err)
	}
	if err := s.Backup(t.Context(), path); !errors.Is(err, os.ErrExist) {
		t.Errorf("Backup over a file: %v, want ErrExist", err)
	}
	if err := read(t.Context(), copied, sample); err != nil {
		t.Errorf("read from the backup that was to be replaced: %v", err)
	}
}

func TestOtherProcess(t *testing.T) {
	t.Parallel()
	path := sampleFile(t)
	ours, theirs := open(t, path), open(t, path) // SQLite's locks tell connections apart as they do processes
	defer ours.Close()
	defer theirs.Close()
	changes := func() int64 {
		t.Helper()
		n, err := ours.ForeignChanges(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	first := changes()
	own := sample
	own.Name, own.ID = "own", "AROAOWN"
	write(t, ours, own)
	if changes() != first {
		t.Error("ForeignChanges moved with a write of our own")
	}
	foreign := sample
	foreign.Name, foreign.ID = "foreign", "AROAFOREIGN"
	write(t, theirs, foreign)
	if changes() == first {
		t.Error("ForeignChanges did not move with a foreign write")
	}
	if err := read(t.Context(), ours, foreign); err != nil {
		t.Errorf("read of a foreign write: %v", err)
	}

	// A writer that waits for a foreign lock gives up with its context, and then works as before.
	err := theirs.Update(t.Context(), func(iam.Tx) error {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		if err := ours.Update(ctx, func(iam.Tx) error { return nil }); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Update against a foreign lock: %v, want DeadlineExceeded", err)
		}
		return read(t.Context(), ours, sample) // readers do not wait
	})
	if err != nil {
		t.Fatal(err)
	}
	last := sample
	last.Name, last.ID = "last", "AROALAST"
	write(t, ours, last)
}

func TestClose(t *testing.T) {
	t.Parallel()
	s := open(t, filepath.Join(t.TempDir(), "directory.db"))
	inside, leave, left := make(chan struct{}), make(chan struct{}), make(chan error)
	go func() {
		left <- s.View(context.Background(), func(tx iam.Tx) error {
			close(inside)
			<-leave
			_, err := tx.Count(iam.Query{Kind: iam.KindRole})
			return err
		})
	}()
	<-inside
	closed := make(chan error)
	go func() { closed <- s.Close() }()
	close(leave)
	if err := <-left; err != nil {
		t.Errorf("View under way while the store is closed: %v", err)
	}
	if err := <-closed; err != nil {
		t.Errorf("Close: %v", err)
	}
	nothing := func(iam.Tx) error { return nil }
	for name, err := range map[string]error{
		"View": s.View(t.Context(), nothing), "Update": s.Update(t.Context(), nothing), "Close": s.Close(),
	} {
		if !errors.Is(err, store.ErrClosed) {
			t.Errorf("%s after Close: %v, want ErrClosed", name, err)
		}
	}
}
