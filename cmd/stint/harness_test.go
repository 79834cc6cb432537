package main_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stint-sts/stint/iam/store/pgtest"
)

// binary is the stint that the tests run, as a user would.
var binary string

func TestMain(m *testing.M) {
	if os.Getenv(runsWorkload) != "" {
		os.Exit(runWorkload())
	}
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "stint-test-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer func() { _ = os.RemoveAll(dir) }()
		binary = filepath.Join(dir, "stint")
		build := exec.Command("go", "build", "-ldflags", "-X main.version=v0-test", "-o", binary, ".")
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
			return 1
		}
		return pgtest.Main(m)
	}())
}

// startTimeout bounds how long a server may take to say that it is ready; race detectors and busy machines are slow.
const startTimeout = 60 * time.Second

// node is a running stint.
type node struct {
	t       *testing.T
	dir     string // data directory
	url     string // of the AWS Query API
	ops     string
	command *exec.Cmd
	output  *buffer // standard output and error
	exited  chan error
	found   chan []string // what ready matched
}

// buffer collects output from several goroutines.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// command is stint with the arguments, in an environment without settings.
func stint(ctx context.Context, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, binary, args...)
	c.Env = environment()
	return c
}

// environment is the test's own without AWS and stint settings.
func environment(extra ...string) []string {
	var env []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "AWS_") && !strings.HasPrefix(v, "STINT_") {
			env = append(env, v)
		}
	}
	return append(env, extra...)
}

var ready = regexp.MustCompile(`(?s)AWS API\s+(http\S+).*ops\s+(http\S+).*Go on in another terminal`)

// start runs stint on dir and free ports until the test ends.
func start(t *testing.T, dir string, args ...string) *node {
	t.Helper()
	n := launch(t, dir, args...)
	n.await()
	return n
}

// launch is start without the wait until the node is ready.
func launch(t *testing.T, dir string, args ...string) *node {
	t.Helper()
	all := append([]string{
		"serve", "--data-dir", dir, "--listen-http", "127.0.0.1:0", "--listen-grpc", "127.0.0.1:0", "--listen-ops", "127.0.0.1:0",
	}, args...)
	n := &node{t: t, dir: dir, output: &buffer{}, exited: make(chan error, 1), found: make(chan []string, 1)}
	n.command = stint(context.Background(), all...) // stopped by the test's clean-up
	n.command.Stderr = n.output
	stdout, err := n.command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := n.command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.stop)
	go func() {
		var text strings.Builder
		lines := bufio.NewReader(io.TeeReader(stdout, n.output))
		for {
			line, err := lines.ReadString('\n')
			text.WriteString(line)
			if m := ready.FindStringSubmatch(text.String()); m != nil {
				n.found <- m
				_, _ = io.Copy(io.Discard, lines)
				break
			}
			if err != nil {
				break
			}
		}
		n.exited <- n.command.Wait()
	}()
	return n
}

// await waits until the node is ready.
func (n *node) await() {
	n.t.Helper()
	select {
	case m := <-n.found:
		n.url, n.ops = m[1], m[2]
	case err := <-n.exited:
		n.t.Fatalf("stint serve ended: %v\n%s", err, n.output)
	case <-time.After(startTimeout):
		n.t.Fatalf("stint serve is not ready after %v\n%s", startTimeout, n.output)
	}
}

// stop ends the node as an operator would, and fails the test when it does not exit cleanly.
func (n *node) stop() {
	if n.command.ProcessState != nil {
		return
	}
	_ = n.command.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-n.exited:
		if err != nil {
			n.t.Errorf("stint serve: %v\n%s", err, n.output)
		}
	case <-time.After(startTimeout):
		_ = n.command.Process.Kill()
		n.t.Errorf("stint serve does not stop\n%s", n.output)
	}
}

// kill ends the node without warning, as a crash would.
func (n *node) kill() {
	n.t.Helper()
	if err := n.command.Process.Kill(); err != nil {
		n.t.Fatal(err)
	}
	<-n.exited
}

// run runs a stint command to its end and returns its standard output.
func run(t *testing.T, stdin string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout) // a server that should have refused must not hang the test
	defer cancel()
	c := stint(ctx, args...)
	var out, errs bytes.Buffer
	c.Stdin, c.Stdout, c.Stderr = strings.NewReader(stdin), &out, &errs
	err := c.Run()
	if _, exited := err.(*exec.ExitError); err != nil && !exited {
		t.Fatal(err)
	}
	return out.String(), errs.String(), c.ProcessState.ExitCode()
}

// must is run for a command that works.
func must(t *testing.T, args ...string) string {
	t.Helper()
	stdout, stderr, code := run(t, "", args...)
	if code != 0 {
		t.Fatalf("stint %s: exit %d\n%s%s", strings.Join(args, " "), code, stdout, stderr)
	}
	return stdout
}
