package audit_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stint-sts/stint/audit"
)

// readFiles returns the lines of every file in dir by name.
func readFiles(t *testing.T, dir string) map[string][]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) == 0 {
		t.Fatalf("%d files in %s: %v", len(entries), dir, err)
	}
	files := map[string][]string{}
	for _, entry := range entries {
		b, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		if err != nil {
			t.Fatal(err)
		}
		files[entry.Name()] = nil
		if len(b) > 0 {
			files[entry.Name()] = strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
		}
	}
	return files
}

// clock is a time that a test moves.
type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

func openFile(t *testing.T, cfg audit.FileConfig) *audit.File {
	t.Helper()
	f, err := audit.OpenFile(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func write(t *testing.T, s audit.Sink, lines string) {
	t.Helper()
	if err := s.Write(t.Context(), []byte(lines)); err != nil {
		t.Fatal(err)
	}
}

func wantFiles(t *testing.T, dir string, want map[string][]string) {
	t.Helper()
	if d := cmp.Diff(want, readFiles(t, dir)); d != "" {
		t.Errorf("files (-want +got):\n%s", d)
	}
}

func TestFile_Modes(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a", "b")
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, openFile(t, audit.FileConfig{Dir: dir}), "1\n")
	path := filepath.Join(dir, "audit.jsonl")
	mode := func(path string) fs.FileMode {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return info.Mode().Perm()
	}
	if mode(dir) != 0o700 || mode(path) != 0o600 {
		t.Errorf("modes are %o and %o", mode(dir), mode(path))
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	openFile(t, audit.FileConfig{Dir: dir})
	if mode(path) != 0o600 {
		t.Errorf("a file that others could read still has mode %o", mode(path))
	}
}

func TestFile_Rotation(t *testing.T) {
	t.Parallel()
	dir, now := t.TempDir(), &clock{time.Date(2026, 11, 28, 23, 59, 58, 0, time.UTC)}
	f := openFile(t, audit.FileConfig{Dir: dir, MaxBytes: 10, Now: now.Now})
	write(t, f, "1234\n")
	write(t, f, "5678\n")
	write(t, f, "9\n") // beyond 10 bytes
	write(t, f, "a line longer than a file\n")
	now.now = now.now.Add(2 * time.Second) // the next day
	write(t, f, "b\n")
	write(t, f, "c\n")
	wantFiles(t, dir, map[string][]string{
		"audit-20261128T235958Z-000000.jsonl": {"1234", "5678"},
		"audit-20261128T235958Z-000001.jsonl": {"9"},
		"audit-20261129T000000Z-000000.jsonl": {"a line longer than a file"},
		"audit.jsonl":                         {"b", "c"},
	})
}

func TestFile_DayOfTheFileSurvivesARestart(t *testing.T) {
	t.Parallel()
	dir, now := t.TempDir(), &clock{time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)}
	f := openFile(t, audit.FileConfig{Dir: dir, Now: now.Now})
	write(t, f, "1\n")
	if err := errors.Join(f.Close(), f.Close(), os.Chtimes(filepath.Join(dir, "audit.jsonl"), now.now, now.now)); err != nil {
		t.Fatal(err)
	}
	if err := f.Write(t.Context(), []byte("x\n")); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("Write after Close = %v", err)
	}
	write(t, openFile(t, audit.FileConfig{Dir: dir, Now: now.Now}), "2\n")
	if err := os.Chtimes(filepath.Join(dir, "audit.jsonl"), now.now, now.now); err != nil {
		t.Fatal(err)
	}
	now.now = now.now.Add(24 * time.Hour)
	write(t, openFile(t, audit.FileConfig{Dir: dir, Now: now.Now}), "3\n")
	wantFiles(t, dir, map[string][]string{"audit-20261129T120000Z-000000.jsonl": {"1", "2"}, "audit.jsonl": {"3"}})
}

func TestFile_RemovesOldFiles(t *testing.T) {
	t.Parallel()
	t.Run("by number", func(t *testing.T) {
		t.Parallel()
		dir, now := t.TempDir(), &clock{time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)}
		f := openFile(t, audit.FileConfig{Dir: dir, MaxBytes: 2, MaxFiles: 2, Now: now.Now})
		for _, line := range []string{"1\n", "2\n", "3\n", "4\n", "5\n"} {
			write(t, f, line)
		}
		wantFiles(t, dir, map[string][]string{
			"audit-20261128T120000Z-000002.jsonl": {"3"}, "audit-20261128T120000Z-000003.jsonl": {"4"}, "audit.jsonl": {"5"},
		})
	})
	t.Run("by age, also at the start, and no file but its own", func(t *testing.T) {
		t.Parallel()
		dir, now := t.TempDir(), &clock{time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)}
		for _, name := range []string{
			"audit-20260101T000000Z-000.jsonl", "audit-20261127T000000Z-000.jsonl", "audit-notes.jsonl", "audit-20260101T000000Z-000.gz",
		} {
			if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		openFile(t, audit.FileConfig{Dir: dir, MaxAge: 48 * time.Hour, Now: now.Now})
		wantFiles(t, dir, map[string][]string{
			"audit-20261127T000000Z-000.jsonl": nil, "audit-notes.jsonl": nil, "audit-20260101T000000Z-000.gz": nil, "audit.jsonl": nil,
		})
	})
}

func TestFile_TornLastLine(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "audit.jsonl"), []byte("{\"a\":1}\n{\"b\":"), 0o600); err != nil {
		t.Fatal(err)
	}
	f := openFile(t, audit.FileConfig{Dir: dir})
	write(t, f, "{\"c\":3}\n")
	write(t, f, "{\"d\":4}\n")
	wantFiles(t, dir, map[string][]string{"audit.jsonl": {`{"a":1}`, `{"b":`, `{"c":3}`, `{"d":4}`}})
}

func TestFile_MovedAway(t *testing.T) {
	t.Parallel()
	dir, now := t.TempDir(), &clock{time.Now()}
	f := openFile(t, audit.FileConfig{Dir: dir, Now: now.Now})
	write(t, f, "1\n")
	if err := os.Rename(filepath.Join(dir, "audit.jsonl"), filepath.Join(dir, "moved")); err != nil {
		t.Fatal(err)
	}
	write(t, f, "2\n")
	now.now = now.now.Add(time.Second)
	write(t, f, "3\n")
	wantFiles(t, dir, map[string][]string{"moved": {"1", "2"}, "audit.jsonl": {"3"}})
}

func TestFile_FullDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f := openFile(t, audit.FileConfig{Dir: dir, Sync: true})
	r := newRecorder(t, audit.Config{Sinks: []audit.Sink{f}})
	record := func(name string) error { return r.Record(t.Context(), &audit.Event{Name: name}) }
	want := func(names ...string) {
		t.Helper()
		var got []string
		for _, line := range readFiles(t, dir)["audit.jsonl"] {
			_, rest, _ := strings.Cut(line, `"eventName":"`)
			name, _, _ := strings.Cut(rest, `"`)
			got = append(got, name)
		}
		if d := cmp.Diff(names, got); d != "" {
			t.Errorf("events (-want +got):\n%s", d)
		}
	}
	if err := record("1"); err != nil {
		t.Fatal(err)
	}
	disk := audit.Break(f)
	disk.Room, disk.Err = 50, syscall.ENOSPC
	if err := record("cut short"); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("on a full disk: %v", err)
	}
	want("1")
	disk.Room = -1
	if err := record("2"); err != nil {
		t.Error(err)
	}
	disk.SyncErr = syscall.EIO
	if err := record("not flushed"); !errors.Is(err, syscall.EIO) {
		t.Errorf("when the disk does not flush: %v", err)
	}
	want("1", "2")
	disk.SyncErr, disk.Room, disk.TruncateErr = nil, 20, syscall.EIO
	if err := record("cut short and not undone"); !errors.Is(err, syscall.ENOSPC) || !errors.Is(err, syscall.EIO) {
		t.Errorf("on a broken disk: %v", err)
	}
	if err := record("no room for a newline"); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("on a full disk: %v", err)
	}
	disk.Room, disk.TruncateErr = -1, nil
	if err := record("3"); err != nil {
		t.Error(err)
	}
	want("1", "2", "", "3")
}

func TestFile_RotationThatFails(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f := openFile(t, audit.FileConfig{Dir: dir, MaxBytes: 2})
	write(t, f, "1\n")
	blocked := filepath.Join(dir, "audit.jsonl")
	// The file is moved away and a directory stands in its place: rename and open both fail or yield nothing to write to.
	if err := errors.Join(os.Rename(blocked, filepath.Join(dir, "moved")), os.MkdirAll(filepath.Join(blocked, "x"), 0o700)); err != nil {
		t.Fatal(err)
	}
	write(t, f, "2\n") // the directory is renamed, a new file is made
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := f.Write(t.Context(), []byte("3\n")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("without a directory: %v", err)
		}
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, f, "4\n")
	wantFiles(t, dir, map[string][]string{"audit.jsonl": {"4"}})
}

func TestOpenFile_Refuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "audit.jsonl"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, cfg := range map[string]audit.FileConfig{
		"no directory":               {},
		"negative bound":             {Dir: t.TempDir(), MaxFiles: -1},
		"a directory for a file":     {Dir: dir},
		"a file for a directory":     {Dir: os.Args[0]},
		"a device in place of files": {Dir: linkTo(t, os.DevNull)},
	} {
		if f, err := audit.OpenFile(cfg); err == nil || f != nil {
			t.Errorf("%s: OpenFile = %v, %v", name, f, err)
		}
	}
}

// linkTo returns a directory whose audit file is a symbolic link.
func linkTo(t *testing.T, target string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Symlink(target, filepath.Join(dir, "audit.jsonl")); err != nil {
		t.Fatal(err)
	}
	return dir
}

// shortWriter takes room bytes and no more.
type shortWriter struct {
	strings.Builder
	room int
	err  error
}

func (w *shortWriter) Write(b []byte) (int, error) {
	if len(b) > w.room {
		n, _ := w.Builder.Write(b[:w.room])
		return n, w.err
	}
	return w.Builder.Write(b)
}

func TestWriter(t *testing.T) {
	t.Parallel()
	w := &shortWriter{room: 100}
	sink := audit.Writer(w)
	write(t, sink, "1\n")
	w.room = 3
	if err := sink.Write(context.Background(), []byte("22222\n")); err == nil {
		t.Error("a short write without an error was accepted")
	}
	w.room, w.err = 0, syscall.EPIPE
	for range 2 {
		if err := sink.Write(context.Background(), []byte("3\n")); !errors.Is(err, syscall.EPIPE) {
			t.Errorf("on a broken pipe: %v", err)
		}
	}
	w.room = 100
	write(t, sink, "4\n")
	if got := w.String(); got != "1\n222\n4\n" || sink.Close() != nil {
		t.Errorf("wrote %q", got)
	}
}
