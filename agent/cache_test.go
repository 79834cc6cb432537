package agent_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stint-sts/stint/agent"
	"github.com/stint-sts/stint/secret"
)

// minted counts fetches and returns credentials named by their number.
type minted struct{ n atomic.Int32 }

func (m *minted) fetch(context.Context) (agent.Credentials, error) {
	return agent.Credentials{
		AccessKeyID: fmt.Sprint("key-", m.n.Add(1)), SecretAccessKey: secret.New("secret"), SessionToken: secret.New("token"),
		Expiration: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC), Lifetime: time.Hour,
	}, nil
}

func fails(context.Context) (agent.Credentials, error) {
	return agent.Credentials{}, &agent.Refusal{Code: "AccessDenied"}
}

func TestCache_RefreshesAtTwoThirdsOfLife(t *testing.T) {
	t.Parallel()
	now := time.Now()
	c := &agent.Cache{Dir: filepath.Join(t.TempDir(), "stint", "creds"), Now: func() time.Time { return now }}
	var m minted
	for _, row := range []struct {
		name  string
		later time.Duration
		fetch func(context.Context) (agent.Credentials, error)
		want  string
	}{
		{"nothing there, and the server refuses", 0, fails, ""},
		{"nothing there", 0, m.fetch, "key-1"},
		{"fresh", 39 * time.Minute, fails, "key-1"},
		{"past two thirds, but the server refuses", 2 * time.Minute, fails, "key-1"},
		{"past two thirds", 0, m.fetch, "key-2"},
		{"at the end, and the server refuses", time.Hour - 10*time.Second, fails, ""},
		{"at the end", 0, m.fetch, "key-3"},
		{"the clock was set back", -48 * time.Hour, m.fetch, "key-4"},
	} {
		now = now.Add(row.later)
		got, err := c.Credentials(t.Context(), "name", row.fetch)
		if got.AccessKeyID != row.want || (err == nil) != (row.want != "") {
			t.Errorf("%s: %q, %v", row.name, got.AccessKeyID, err)
		}
	}
	other, err := c.Credentials(t.Context(), "other", m.fetch)
	if err != nil || other.AccessKeyID != "key-5" || other.SecretAccessKey.Reveal() != "secret" || other.SessionToken.Reveal() != "token" {
		t.Errorf("another name: %+v, %v", other, err)
	}
}

func TestCache_OneFetchForAll(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	var m minted
	begun, goOn := make(chan struct{}), make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		_, err := (&agent.Cache{Dir: dir}).Credentials(t.Context(), "name", func(ctx context.Context) (agent.Credentials, error) {
			close(begun)
			<-goOn
			return m.fetch(ctx)
		})
		if err != nil {
			t.Error(err)
		}
	})
	<-begun
	for range 20 {
		all.Go(func() { // each a process of its own, as far as the lock can tell
			got, err := (&agent.Cache{Dir: dir}).Credentials(t.Context(), "name", m.fetch)
			if err != nil || got.AccessKeyID != "key-1" {
				t.Errorf("%q, %v", got.AccessKeyID, err)
			}
		})
	}
	impatient, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := (&agent.Cache{Dir: dir}).Credentials(impatient, "name", m.fetch); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("who cannot wait: %v", err)
	}
	close(goOn)
	all.Wait()
	if n := m.n.Load(); n != 1 {
		t.Errorf("%d fetches", n)
	}
}

// While one renews them, the others go on with the old ones.
func TestCache_NobodyWaitsForARenewal(t *testing.T) {
	t.Parallel()
	now := time.Now()
	c := &agent.Cache{Dir: filepath.Join(t.TempDir(), "c"), Now: func() time.Time { return now }}
	var m minted
	if _, err := c.Credentials(t.Context(), "name", m.fetch); err != nil {
		t.Fatal(err)
	}
	now = now.Add(45 * time.Minute)
	got, err := c.Credentials(t.Context(), "name", func(ctx context.Context) (agent.Credentials, error) {
		meanwhile, err := c.Credentials(ctx, "name", fails)
		if err != nil || meanwhile.AccessKeyID != "key-1" {
			t.Errorf("meanwhile: %q, %v", meanwhile.AccessKeyID, err)
		}
		return m.fetch(ctx)
	})
	if err != nil || got.AccessKeyID != "key-2" {
		t.Errorf("%q, %v", got.AccessKeyID, err)
	}
}

func TestCache_Files(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name  string
		spoil func(t *testing.T, dir, file string)
		want  string // part of the error; empty: fetched anew
	}{
		{"readable by all", func(t *testing.T, _, file string) { chmod(t, file, 0o644) }, "others may read"},
		{"writable by a group", func(t *testing.T, _, file string) { chmod(t, file, 0o620) }, "others may read"},
		{"a directory that others read", func(t *testing.T, dir, _ string) { chmod(t, dir, 0o755) }, "others may read"},
		{"a link to another file", func(t *testing.T, dir, file string) {
			if err := errors.Join(os.Rename(file, file+".real"), os.Symlink(file+".real", file)); err != nil {
				t.Fatal(err)
			}
		}, "is not a file"},
		{"no JSON", func(t *testing.T, _, file string) { put(t, file, "x") }, ""},
		{"half of it", func(t *testing.T, _, file string) { put(t, file, `{"AccessKeyId":"key-1","Lifetime":3600000000000}`) }, ""},
		{"empty", func(t *testing.T, _, file string) { put(t, file, "") }, ""},
		{"larger than any", func(t *testing.T, _, file string) { put(t, file, strings.Repeat(" ", 1<<20)) }, "larger than"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "c")
			c := &agent.Cache{Dir: dir}
			var m minted
			for range 2 {
				if got, err := c.Credentials(t.Context(), "name", m.fetch); err != nil || got.AccessKeyID != "key-1" {
					t.Fatalf("before: %q, %v", got.AccessKeyID, err)
				}
			}
			file := filepath.Join(dir, "name.json")
			if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
				t.Fatalf("%v, %v", info, err)
			}
			row.spoil(t, dir, file)
			got, err := c.Credentials(t.Context(), "name", m.fetch)
			switch {
			case row.want == "" && (err != nil || got.AccessKeyID != "key-2"):
				t.Errorf("%q, %v", got.AccessKeyID, err)
			case row.want != "" && (err == nil || !strings.Contains(err.Error(), row.want) || got.AccessKeyID != ""):
				t.Errorf("%q, %v, want %q", got.AccessKeyID, err, row.want)
			}
		})
	}
}

func chmod(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func put(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
