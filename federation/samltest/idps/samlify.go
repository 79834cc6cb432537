package idps

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"testing"
	"time"
)

//go:embed testdata/samlify
var samlify embed.FS

var nodeListens = regexp.MustCompile(`listening on (http://127\.0\.0\.1:\d+) \.`)

// installing keeps the tests of one process from installing the same thing at once.
var installing sync.Mutex

// Samlify starts a provider made of npm's samlify, with a page to sign in. It encrypts by AES-256-GCM and RSA-OAEP.
func Samlify(t testing.TB, c Config) *IdP {
	t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		need(t, "node is not installed: run scripts/tools.sh")
	}
	modules, dir := installSamlify(t), t.TempDir()
	settings(t, dir, c, map[string]any{})
	program := filepath.Join(dir, "server.mjs")
	copyOut(t, "server.mjs", dir)
	url := run(t, exec.Command(node, program, dir, modules), nodeListens)
	return &IdP{URL: url, Metadata: fetch(t, url+"/metadata"), unsolicited: url + "/sso?party="}
}

// installSamlify installs what package-lock.json pins into the cache, and returns where. Tests of several processes may do so at once: the
// first that is done wins.
func installSamlify(t testing.TB) string {
	t.Helper()
	installing.Lock()
	defer installing.Unlock()
	lock, err := samlify.ReadFile("testdata/samlify/package-lock.json")
	if err != nil {
		t.Fatal(err)
	}
	pinned := sha256.Sum256(lock)
	cache := cacheDir(t)
	final := filepath.Join(cache, "samlify-"+hex.EncodeToString(pinned[:8]))
	if _, err := os.Stat(final); err == nil {
		return final
	}
	if err := os.MkdirAll(cache, 0o700); err != nil {
		t.Fatal(err)
	}
	work, err := os.MkdirTemp(cache, "samlify-")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(work) }()
	copyOut(t, "package.json", work)
	copyOut(t, "package-lock.json", work)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	install := exec.CommandContext(ctx, "npm", "ci", "--prefix", work, "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-timeout=20000")
	if out, err := install.CombinedOutput(); err != nil {
		need(t, "npm ci: %v\n%s", err, out)
	}
	if err := os.Rename(work, final); err != nil {
		if _, exists := os.Stat(final); exists != nil {
			t.Fatal(err)
		}
	}
	return final
}

// copyOut writes a file of testdata into a directory.
func copyOut(t testing.TB, name, dir string) {
	t.Helper()
	text, err := samlify.ReadFile("testdata/samlify/" + name)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, name), text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}
