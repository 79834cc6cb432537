package main_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

var (
	block = regexp.MustCompile("(?ms)^```(\\w+)\n(.*?)^```$")
	link  = regexp.MustCompile(`\]\(([^):]+\.md)\)`)
)

// What the pages of docs/federation show to be pasted is at least well formed, and what they link to is there.
func TestFederationPages(t *testing.T) {
	t.Parallel()
	pages, err := filepath.Glob(filepath.Join("..", "..", "docs", "federation", "*.md"))
	if err != nil || len(pages) == 0 {
		t.Fatalf("pages: %v, %v", pages, err)
	}
	tried := make(map[string]int)
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range block.FindAllStringSubmatch(string(text), -1) {
			tried[m[1]]++
			switch m[1] {
			case "sh":
				checkShell(t, page, m[2])
			case "yaml":
				var document any
				if err := yaml.Unmarshal([]byte(m[2]), &document); err != nil {
					t.Errorf("%s: %v in\n%s", page, err, m[2])
				}
				checkScripts(t, page, document)
			}
		}
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), m[1])); err != nil {
				t.Errorf("%s: %v", page, err)
			}
		}
	}
	if tried["sh"] == 0 || tried["yaml"] == 0 {
		t.Errorf("too little was found to try: %v", tried)
	}
}

// checkScripts looks for the scripts of CI jobs: run of GitHub, script of GitLab.
func checkScripts(t *testing.T, page string, node any) {
	switch n := node.(type) {
	case map[string]any:
		for name, value := range n {
			if script, ok := value.(string); ok && name == "run" {
				checkShell(t, page, script)
			}
			if lines, ok := value.([]any); ok && name == "script" {
				for _, line := range lines {
					checkShell(t, page, line.(string))
				}
			}
			checkScripts(t, page, value)
		}
	case []any:
		for _, value := range n {
			checkScripts(t, page, value)
		}
	}
}

func checkShell(t *testing.T, page, script string) {
	t.Helper()
	c := exec.CommandContext(t.Context(), "bash", "-n")
	c.Stdin = strings.NewReader(script)
	if out, err := c.CombinedOutput(); err != nil {
		t.Errorf("%s: %v: %s in\n%s", page, err, out, script)
	}
}
