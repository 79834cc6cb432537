package lint_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stint-sts/stint/policy/lint"
)

var update = flag.Bool("update", false, "rewrite the table of findings in docs/policies.md")

var ruleID = regexp.MustCompile(`^[a-z]+(-[a-z]+)*$`)

func TestRules(t *testing.T) {
	t.Parallel()
	seen := make(map[string]bool)
	for _, r := range lint.Rules() {
		if !ruleID.MatchString(r.ID) || seen[r.ID] {
			t.Errorf("id %q", r.ID)
		}
		seen[r.ID] = true
		if !strings.HasSuffix(r.Sentence, ".") || r.SafeForm == "" || strings.Contains(r.Sentence+r.SafeForm, "|") || r.Severity == 0 {
			t.Errorf("%s: %+v", r.ID, r)
		}
	}
}

// TestDocs compares the table of docs/policies.md with the rules.
func TestDocs(t *testing.T) {
	t.Parallel()
	const start, end = "<!-- findings -->\n", "<!-- /findings -->"
	path := filepath.Join("..", "..", "docs", "policies.md")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(data), start)
	old, after, closed := strings.Cut(rest, end)
	if !found || !closed {
		t.Fatalf("%s has no place for the table", path)
	}
	var table strings.Builder
	table.WriteString("| id | severity | what is wrong | safe form |\n|---|---|---|---|\n")
	escape := strings.NewReplacer("*", `\*`, "_", `\_`)
	for _, r := range lint.Rules() {
		fmt.Fprintf(&table, "| `%s` | %v | %s | %s |\n", r.ID, r.Severity, escape.Replace(r.Sentence), escape.Replace(r.SafeForm))
	}
	if *update {
		if err := os.WriteFile(path, []byte(before+start+table.String()+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(table.String(), old); diff != "" {
		t.Errorf("run \"go test ./policy/lint -update\": %s", diff)
	}
}
