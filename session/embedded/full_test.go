//go:build linux

package embedded_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"

	"github.com/stint-sts/stint/session"
	"github.com/stint-sts/stint/session/embedded"
)

const fullDir = "STINT_EMBEDDED_FULL_DIR"

// TestEmbedded_FullDisk lets a process reach its limit of file size within a record. Writes are refused from then on, none is torn, and
// what was acknowledged is there.
func TestEmbedded_FullDisk(t *testing.T) {
	if dir := os.Getenv(fullDir); dir != "" {
		fillDisk(t, dir)
		return
	}
	t.Parallel()
	dir := t.TempDir()
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestEmbedded_FullDisk$")
	child.Env = append(os.Environ(), fullDir+"="+dir)
	out, err := child.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	acknowledged := strings.Count(string(out), "put\n")
	if acknowledged < 10 {
		t.Fatalf("only %d records were acknowledged", acknowledged)
	}
	wantCount(t, open(t, embedded.Config{Dir: dir}), acknowledged)
}

func fillDisk(t *testing.T, dir string) {
	s := open(t, embedded.Config{Dir: dir})
	signal.Ignore(syscall.SIGXFSZ)
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 10_000, Max: 10_000}); err != nil {
		t.Fatal(err)
	}
	for n, r := range records(0, 200) {
		switch err := s.Put(t.Context(), r); {
		case err == nil && n < 100:
			fmt.Print("put\n")
		case !errors.Is(err, session.ErrUnavailable):
			t.Fatalf("record %d: %v, want ErrUnavailable on a full disk", n, err)
		}
	}
	if err := s.Put(t.Context(), records(200, 201)[0]); !strings.Contains(err.Error(), "file too large") {
		t.Errorf("the cause is not told: %v", err)
	}
}
