// Package redistest runs a real redis-server for tests: on a free loopback port, in a directory of its own, stopped by its process id.
package redistest

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience bounds how long a server may take to answer, or to end.
const patience = 20 * time.Second

// Server is a running redis-server.
type Server struct {
	Addr string // host:port

	t       testing.TB
	binary  string
	dir     string
	config  string // file; empty: none
	options []string
	process *exec.Cmd
	exited  chan struct{} // closed when process has ended
}

// Start starts a server that keeps nothing on disk, with further options as on redis-server's command line ("--requirepass", "x"). The
// server is stopped when the test ends. When the machine has no redis-server the test is skipped, or fails if the environment
// says CI=true.
func Start(t testing.TB, options ...string) *Server {
	t.Helper()
	return run(t, "", options)
}

// StartSentinel starts a sentinel with the given configuration file, which it rewrites.
func StartSentinel(t testing.TB, config string) *Server {
	t.Helper()
	return run(t, config, []string{"--sentinel"})
}

func run(t testing.TB, config string, options []string) *Server {
	t.Helper()
	binary, err := exec.LookPath("redis-server")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("redis-server is not installed, and in CI this test must run")
		}
		t.Skip("SKIPPED: redis-server is not installed; this test needs a real one")
	}
	s := &Server{t: t, binary: binary, dir: t.TempDir(), config: config, options: options}
	t.Cleanup(s.Kill)
	for range 5 { // between choosing a port and listening on it another process may take it
		s.Addr = freeAddr(t)
		if err = s.start(); err == nil {
			return s
		}
	}
	t.Fatalf("redis-server: %v", err)
	return nil
}

// URL returns the address as a URL without user and password.
func (s *Server) URL() string { return "redis://" + s.Addr }

// Option returns what Start was given for an option such as "--cluster-port"; empty: nothing.
func (s *Server) Option(name string) string {
	if i := slices.Index(s.options, name); i >= 0 && i+1 < len(s.options) {
		return s.options[i+1]
	}
	return ""
}

// Kill ends the server as kill -9 does; it forgets everything. On a server that has ended it does nothing.
func (s *Server) Kill() {
	if s.process == nil {
		return
	}
	_ = s.process.Process.Kill() // fails when it has ended by itself
	<-s.exited
	s.process = nil
}

// Restart starts the server anew on the same port, after Kill.
func (s *Server) Restart() {
	s.t.Helper()
	if err := s.start(); err != nil {
		s.t.Fatalf("redis-server: %v", err)
	}
}

// Pause stops the server in its tracks (SIGSTOP): connections stay, nothing answers.
func (s *Server) Pause() { s.signal(syscall.SIGSTOP) }

// Resume lets a paused server go on.
func (s *Server) Resume() { s.signal(syscall.SIGCONT) }

func (s *Server) signal(sig syscall.Signal) {
	s.t.Helper()
	if err := s.process.Process.Signal(sig); err != nil {
		s.t.Fatalf("redis-server: %v", err)
	}
}

// start starts the process and waits until it answers.
func (s *Server) start() error {
	host, port, err := net.SplitHostPort(s.Addr)
	if err != nil {
		return err
	}
	log := filepath.Join(s.dir, "log")
	arguments := []string{"--bind", host, "--port", port, "--dir", s.dir, "--logfile", log, "--daemonize", "no"}
	if s.config != "" {
		arguments = append([]string{s.config}, arguments...)
	} else {
		arguments = append(arguments, "--save", "", "--appendonly", "no")
	}
	process, exited := exec.Command(s.binary, append(arguments, s.options...)...), make(chan struct{})
	if err := process.Start(); err != nil {
		return err
	}
	go func() {
		_ = process.Wait() // how it ended is in its log
		close(exited)
	}()
	s.process, s.exited = process, exited
	if err := s.awaitAnswer(); err != nil {
		s.Kill()
		said, _ := os.ReadFile(log)
		return fmt.Errorf("%w; its log: %s", err, said)
	}
	return nil
}

// awaitAnswer asks for an answer every few milliseconds until there is one.
func (s *Server) awaitAnswer() error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	late := time.NewTimer(patience)
	defer late.Stop()
	for {
		select {
		case <-s.exited:
			return errors.New("it ended")
		case <-late.C:
			return fmt.Errorf("no answer within %s", patience)
		case <-tick.C:
		}
		if s.answers() {
			return nil
		}
	}
}

// answers reports whether PING gets an answer: PONG, or that a password is needed.
func (s *Server) answers() bool {
	conn, err := net.DialTimeout("tcp", s.Addr, time.Second)
	if err != nil {
		return false
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Second))
	if _, err := conn.Write([]byte("PING\r\n")); err != nil {
		return false
	}
	answer := make([]byte, 64)
	n, err := conn.Read(answer)
	return err == nil && (strings.HasPrefix(string(answer[:n]), "+PONG") || strings.HasPrefix(string(answer[:n]), "-NOAUTH"))
}

func freeAddr(t testing.TB) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(listener.Addr().(*net.TCPAddr).Port))
}
