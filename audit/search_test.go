package audit_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stint-sts/stint/audit"
)

func TestFind(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"audit-20260101T000000Z-1.jsonl": `{"requestID":"old","eventName":"A"}` + "\n" + `{"requestID":"twice","eventName":"B"}` + "\n",
		"audit.jsonl":                    `{"requestID":"other","userAgent":"new"}` + "\n" + `{"requestID":"new","eventName":"C"}` + "\n" + `{"requestID":"twice","eventName":"D"}` + "\n" + `{"requestID":"torn`,
		"notes.txt":                      `{"requestID":"notes"}`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for id, want := range map[string]string{"old": `"A"`, "new": `"C"`, "twice": `"D"`} {
		if got, err := audit.Find(dir, id); err != nil || !strings.Contains(string(got), want) {
			t.Errorf("%s: %s, %v", id, got, err)
		}
	}
	for _, id := range []string{"none", "notes", "torn", ""} {
		if got, err := audit.Find(dir, id); !errors.Is(err, audit.ErrNoEvent) {
			t.Errorf("%q: %s, %v, want ErrNoEvent", id, got, err)
		}
	}
}
