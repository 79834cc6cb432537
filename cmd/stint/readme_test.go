package main_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestREADME runs the commands of the README as they are printed, with the aws CLI, in an empty directory. Only what a test
// cannot have is replaced: the fixed port, and the build of stint.
func TestREADME(t *testing.T) {
	t.Parallel()
	needAWS(t)
	readme, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	n := start(t, filepath.Join(dir, "stint-data"))
	_, tour, found := strings.Cut(string(readme), "<!-- tour")
	if !found {
		t.Fatal("the README has no tour")
	}
	var script strings.Builder
	script.WriteString("set -euo pipefail\n")
	blocks := strings.Split(tour, "```sh\n")[1:]
	for _, block := range blocks {
		commands, _, _ := strings.Cut(block, "```")
		script.WriteString(commands)
	}
	if len(blocks) < 4 {
		t.Fatalf("the tour has %d blocks", len(blocks))
	}
	text := strings.NewReplacer("http://127.0.0.1:8470", n.url, "go run ./cmd/stint", binary).Replace(script.String())
	c := exec.CommandContext(t.Context(), "bash", "-c", text)
	c.Dir, c.Env = dir, environment("AWS_PAGER=")
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{
		`:assumed-role/auditor/`, `"alice"`, "AccessDenied", "iam:CreateUser", `"session_name": "monday"`, `"source_identity": "alice"`,
	} {
		if !strings.Contains(string(out), want) {
			t.Errorf("the tour does not show %q:\n%s", want, out)
		}
	}
}

// needAWS skips the test where the aws CLI is missing; in CI it must be there.
func needAWS(t *testing.T) {
	t.Helper()
	if err := exec.CommandContext(context.Background(), "aws", "--version").Run(); err == nil {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("the aws CLI is missing: make tools")
	}
	t.Skip("SKIPPED: the aws CLI is missing (make tools installs it)")
}
