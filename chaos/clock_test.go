package chaos_test

import (
	"encoding/binary"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A clock jumps for the wall clock only, and from one instruction to the next. So that every package of a node, and of what it imports, sees
// that, its binary is built with another time.Now: the compiler is given a file instead of the one of the standard library. The binary
// that users build has none of it.

// clockVariable names a file for the nodes: 8 bytes, by how many seconds the clock is off.
const clockVariable = "STINT_CHAOS_CLOCK"

const (
	nowReads  = "\tsec, nsec, mono := runtimeNow()\n\tif mono == 0 {"
	nowJumped = "\tsec, nsec, mono := runtimeNow()\n\tsec += jumped()\n\tif mono == 0 {"

	jumps = `package time

import (
	"sync/atomic"
	"syscall"
	"unsafe"
)

var jump = mapJump()

func mapJump() *int64 {
	path, set := syscall.Getenv("` + clockVariable + `")
	if !set {
		return new(int64)
	}
	fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		panic("clock: " + err.Error())
	}
	defer syscall.Close(fd)
	page, err := syscall.Mmap(fd, 0, 8, syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		panic("clock: " + err.Error())
	}
	return (*int64)(unsafe.Pointer(&page[0]))
}

func jumped() int64 {
	if jump == nil {
		return 0
	}
	return atomic.LoadInt64(jump)
}
`
)

// build builds stint with a clock that can jump.
func build(t *testing.T) (binary string) {
	t.Helper()
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	library := filepath.Join(strings.TrimSpace(string(out)), "src", "time")
	source, err := os.ReadFile(filepath.Join(library, "time.go"))
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.Replace(string(source), nowReads, nowJumped, 1)
	if changed == string(source) {
		t.Fatal("time.Now is not as it was in Go 1.26: nowReads is to follow it")
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(cache, "stint-test", "clock") // always the same place: go builds the library anew for files in another one
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "time.go"), changed)
	write(t, filepath.Join(dir, "jumps.go"), jumps)
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {
		filepath.Join(library, "time.go"):  filepath.Join(dir, "time.go"),
		filepath.Join(library, "jumps.go"): filepath.Join(dir, "jumps.go"),
	}})
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "overlay.json"), string(overlay))
	binary = filepath.Join(t.TempDir(), "stint")
	compile := exec.Command("go", "build", "-overlay", filepath.Join(dir, "overlay.json"), "-o", binary, "../cmd/stint")
	compile.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := compile.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return binary
}

// clock is the file that says by how much a node's clock is off.
type clock string

func newClock(t *testing.T) clock {
	t.Helper()
	c := clock(filepath.Join(t.TempDir(), "clock"))
	if err := os.WriteFile(string(c), make([]byte, 8), 0o600); err != nil {
		t.Fatal(err)
	}
	return c
}

// jump sets by how much the clock is off; whole seconds.
func (c clock) jump(by time.Duration) error {
	file, err := os.OpenFile(string(c), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = file.WriteAt(binary.NativeEndian.AppendUint64(nil, uint64(int64(by/time.Second))), 0)
	return cmpErr(err, file.Close())
}

func cmpErr(first, second error) error {
	if first != nil {
		return first
	}
	return second
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
