package main_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Every stint command that docs/operations.md tells to type exists, with its flags: nobody should find out in an incident.
func TestOperationsDocs_Commands(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, m := range regexp.MustCompile(`(?m)^  stint (.*?) \[flags\]`).FindAllStringSubmatch(must(t, "help"), -1) {
		names = append(names, m[1])
	}
	// The longest name first: "agent health" before "agent".
	slices.SortFunc(names, func(a, b string) int { return len(b) - len(a) })
	flags := make(map[string]string) // by command: what its --help says
	checked := 0
	for _, m := range regexp.MustCompile("(?m)(?:^    |`|-- /)stint ([a-z][^`\n#>|&)]*)").FindAllStringSubmatch(string(page), -1) {
		i := slices.IndexFunc(names, func(name string) bool { return m[1] == name || strings.HasPrefix(m[1], name+" ") })
		if i < 0 {
			if !strings.HasPrefix(m[1], "explain") {
				t.Errorf("there is no command stint %s", m[1])
			}
			continue
		}
		name := names[i]
		if _, asked := flags[name]; !asked {
			_, flags[name], _ = run(t, "", append(strings.Fields(name), "--help")...)
		}
		for _, f := range regexp.MustCompile(`--([a-z][a-z-]*)`).FindAllStringSubmatch(m[1], -1) {
			if !regexp.MustCompile(`(?m)^  -` + regexp.QuoteMeta(f[1]) + `\b`).MatchString(flags[name]) {
				t.Errorf("stint %s has no flag --%s", name, f[1])
			}
		}
		checked++
	}
	if checked < 20 {
		t.Fatalf("only %d commands found", checked)
	}
}
