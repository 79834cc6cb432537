package lint_test

import (
	"bytes"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

// The Dockerfile parses, BuildKit's linter has nothing to say, and the image is what its first line promises.
func TestDockerfile(t *testing.T) {
	t.Parallel()
	text := read(t, "../Dockerfile")
	ast, err := parser.Parse(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range ast.Warnings {
		t.Errorf("line %v: %s", w.Location, w.Short)
	}
	lint := linter.New(&linter.Config{Warn: func(rule, description, _, message string, at []parser.Range) {
		t.Errorf("%s at %v: %s (%s)", rule, at, message, description)
	}})
	stages, args, err := instructions.Parse(ast.AST, lint)
	if err != nil {
		t.Fatal(err)
	}
	if len(stages) != 2 || len(args) != 0 {
		t.Fatalf("%d stages, %d arguments before them", len(stages), len(args))
	}
	final := stages[1]
	if final.BaseName != "scratch" {
		t.Errorf("the image is made from %s", final.BaseName)
	}
	var copied []string
	found := make(map[string]string)
	for _, c := range final.Commands {
		switch c := c.(type) {
		case *instructions.RunCommand:
			t.Error("there is nothing to run commands with")
		case *instructions.CopyCommand:
			copied = append(copied, c.DestPath)
		case *instructions.UserCommand:
			found["user"] = c.User
		case *instructions.EntrypointCommand:
			found["entry point"] = strings.Join(c.CmdLine, " ")
		case *instructions.CmdCommand:
			found["command"] = strings.Join(c.CmdLine, " ")
		case *instructions.VolumeCommand:
			found["volume"] = strings.Join(c.Volumes, " ")
		case *instructions.HealthCheckCommand:
			found["health"] = strings.Join(c.Health.Test, " ")
		case *instructions.LabelCommand:
			for _, l := range c.Labels {
				if strings.Trim(l.Value, `"`) == "" {
					t.Errorf("label %s is empty", l.Key)
				}
				found[l.Key] = l.Value
			}
		}
	}
	if want := []string{"/etc/ssl/certs/", "/stint", "/data"}; !slices.Equal(copied, want) {
		t.Errorf("copied are %q, want %q", copied, want)
	}
	for what, want := range map[string]string{
		"user": "65532:65532", "entry point": "/stint", "command": "serve", "volume": "/data", "health": "CMD /stint health --exclude sessions",
		"org.opencontainers.image.licenses": `"Apache-2.0"`,
	} {
		if strings.Trim(found[what], `"`) != strings.Trim(want, `"`) {
			t.Errorf("%s is %s, want %s", what, found[what], want)
		}
	}
	for _, label := range []string{"title", "description", "source", "version", "revision"} {
		if found["org.opencontainers.image."+label] == "" {
			t.Errorf("no label org.opencontainers.image.%s", label)
		}
	}
	for _, secret := range []string{"deploy/compose/secrets", "stint-data", ".git"} {
		if !slices.Contains(strings.Split(string(read(t, "../../.dockerignore")), "\n"), secret) {
			t.Errorf("%s is sent to whoever builds", secret)
		}
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
