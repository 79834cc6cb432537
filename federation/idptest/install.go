package idptest

import (
	"context"
	"crypto/sha256"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// installTimeout bounds how long building or installing may take. "make tools" builds Dex ahead of the tests.
const installTimeout = 10 * time.Minute

func dexBinary(t testing.TB) string {
	t.Helper()
	path, err := buildDex()
	if err != nil {
		missing(t, err)
	}
	return path
}

// buildDex returns the program, which go builds once and keeps in its cache.
var buildDex = sync.OnceValues(func() (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), installTimeout)
	defer cancel()
	dir, err := output(exec.CommandContext(ctx, "go", "list", "-f", "{{.Dir}}", "github.com/stint-sts/stint/federation/idptest"))
	if err != nil {
		return "", err
	}
	build := exec.CommandContext(ctx, "go", "tool", "-n", "dex")
	build.Dir = filepath.Join(dir, "dex")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	return output(build)
})

//go:embed node
var nodeFiles embed.FS

// NodeModules is a directory with the programs of directory node and the packages that they need. It is shared: write nothing there.
func NodeModules(t testing.TB) string {
	t.Helper()
	dir, err := installNode()
	if err != nil {
		missing(t, err)
	}
	return dir
}

// installNode installs the packages in the versions of package-lock.json, once for all tests of this machine.
var installNode = sync.OnceValues(func() (string, error) {
	files, err := fs.Sub(nodeFiles, "node")
	if err != nil {
		return "", err
	}
	version, err := contentHash(files)
	if err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "stint-test", "node-"+version)
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", err
	}
	fresh, err := os.MkdirTemp(filepath.Dir(dir), "new-")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(fresh) }()
	if err := os.CopyFS(fresh, files); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), installTimeout)
	defer cancel()
	install := exec.CommandContext(ctx, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=1", "--fetch-timeout=20000")
	install.Dir = fresh
	if _, err := output(install); err != nil {
		return "", err
	}
	// Who else installed it meanwhile has the same.
	if err := os.Rename(fresh, dir); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	return dir, nil
})

func contentHash(files fs.FS) (string, error) {
	sum := sha256.New()
	err := fs.WalkDir(files, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := fs.ReadFile(files, path)
		_, _ = fmt.Fprintf(sum, "%s %d\n%s", path, len(content), content)
		return err
	})
	return fmt.Sprintf("%x", sum.Sum(nil)[:8]), err
}

func output(c *exec.Cmd) (string, error) {
	var errs strings.Builder
	c.Stderr = &errs
	out, err := c.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s%s", strings.Join(c.Args, " "), err, out, &errs)
	}
	return strings.TrimSpace(string(out)), nil
}

// missing skips the test, or where CI is set fails it.
func missing(t testing.TB, err error) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal(err)
	}
	t.Skip(err)
}
