// Package pgtest runs a real PostgreSQL server for tests: on a free loopback port, in a directory of its own, stopped by its
// process id.
package pgtest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// patience bounds how long a server may take to answer, or to end.
const patience = 60 * time.Second

// role owns the databases; it has this password.
const (
	role     = "stint"
	password = "pgtest-password"
)

// Server is a running PostgreSQL server. It is safe for concurrent use but for Kill, Restart, Pause and Resume.
type Server struct {
	Addr string // host:port

	programs string // directory of initdb and postgres
	dir      string
	owner    *syscall.Credential // who runs the server; nil: the one who runs the test
	options  []string
	process  *exec.Cmd
	exited   chan struct{} // closed when process has ended
	made     atomic.Int64  // databases
}

// Main is the body of a TestMain in a package whose tests share one server by Database: it runs the tests and stops the server.
func Main(m *testing.M) int {
	defer shared.stop()
	return m.Run()
}

// shared is the server of Database.
var shared lazy

type lazy struct {
	mu     sync.Mutex
	server *Server
	err    error
}

func (l *lazy) get() (*Server, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.server == nil && l.err == nil {
		l.server, l.err = launch(nil)
	}
	return l.server, l.err
}

func (l *lazy) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.server != nil {
		l.server.remove()
	}
}

// Database makes an empty database on the server that the tests of a package share, and returns its URL. Main stops the server.
func Database(t testing.TB) string {
	t.Helper()
	s, err := shared.get()
	check(t, err)
	return s.Database(t)
}

// Start starts a server of its own, with further options as on postgres's command line ("-c", "wal_level=logical"). It is stopped
// when the test ends. When the machine has no PostgreSQL the test is skipped, or fails if the environment says CI=true.
func Start(t testing.TB, options ...string) *Server {
	t.Helper()
	s, err := launch(options)
	check(t, err)
	t.Cleanup(s.remove)
	return s
}

var errMissing = errors.New("PostgreSQL is not installed (Debian: apt-get install postgresql)")

func check(t testing.TB, err error) {
	t.Helper()
	if errors.Is(err, errMissing) && os.Getenv("CI") != "true" {
		t.Skipf("SKIPPED: %v; this test needs a real one", err)
	}
	if err != nil {
		t.Fatalf("postgres: %v", err)
	}
}

// Database makes an empty database and returns its URL, with user and password.
func (s *Server) Database(t testing.TB) string {
	t.Helper()
	name := "test_" + strconv.FormatInt(s.made.Add(1), 10)
	s.Exec(t, "postgres", "CREATE DATABASE "+name)
	return s.URL(name)
}

// URL returns the URL of a database.
func (s *Server) URL(database string) string {
	return fmt.Sprintf("postgres://%s:%s@%s/%s?sslmode=disable", role, password, s.Addr, database)
}

// Password returns the password that URL holds.
func (s *Server) Password() string { return password }

// Exec runs SQL in a database.
func (s *Server) Exec(t testing.TB, database, sql string) {
	t.Helper()
	if err := execute(t.Context(), s.URL(database), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// Exec runs SQL in the database at the URL.
func Exec(t testing.TB, url, sql string) {
	t.Helper()
	if err := execute(t.Context(), url, sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func execute(ctx context.Context, url, sql string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	c, err := pgconn.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close(ctx) }()
	_, err = c.Exec(ctx, sql).ReadAll()
	return err
}

// launch makes a cluster and starts it.
func launch(options []string) (*Server, error) {
	programs, err := findPrograms()
	if err != nil {
		return nil, err
	}
	owner, err := serverUser()
	if err != nil {
		return nil, err
	}
	// Not below t.TempDir, which other users cannot enter.
	dir, err := os.MkdirTemp("", "stint-postgres-")
	if err != nil {
		return nil, err
	}
	s := &Server{programs: programs, dir: dir, owner: owner, options: options}
	if err := s.initialize(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	for range 5 { // between choosing a port and listening on it another process may take it
		if s.Addr, err = freeAddr(); err != nil {
			break
		}
		if err = s.start(); err == nil {
			return s, nil
		}
	}
	return nil, errors.Join(err, os.RemoveAll(dir))
}

// findPrograms returns the directory of the newest PostgreSQL. Debian keeps it out of the path.
func findPrograms() (string, error) {
	if path, err := exec.LookPath("initdb"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			return filepath.Dir(path), nil
		}
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(found) == 0 {
		return "", errMissing
	}
	version := func(path string) int {
		n, _ := strconv.Atoi(strings.Split(path, "/")[4])
		return n
	}
	return filepath.Dir(slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) })), nil
}

// serverUser is who runs the server when the test is root, as whom PostgreSQL does not run.
func serverUser() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		if u, err = user.Lookup("nobody"); err != nil {
			return nil, err
		}
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

func (s *Server) command(program string, args ...string) *exec.Cmd {
	c := exec.Command(filepath.Join(s.programs, program), args...)
	c.Dir = s.dir
	c.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C.UTF-8", "TZ=UTC"}
	c.SysProcAttr = &syscall.SysProcAttr{Credential: s.owner}
	return c
}

func (s *Server) initialize() error {
	secret := filepath.Join(s.dir, "password")
	if err := os.WriteFile(secret, []byte(password+"\n"), 0o600); err != nil {
		return err
	}
	if s.owner != nil {
		for _, path := range []string{s.dir, secret} {
			if err := os.Chown(path, int(s.owner.Uid), int(s.owner.Gid)); err != nil {
				return err
			}
		}
	}
	out, err := s.command("initdb", "--no-sync", "--encoding=UTF8", "--locale=C.UTF-8", "--auth=scram-sha-256",
		"--username="+role, "--pwfile="+secret, "--pgdata="+filepath.Join(s.dir, "data")).CombinedOutput()
	if err != nil {
		return fmt.Errorf("initdb: %w: %s", err, out)
	}
	return nil
}

// start starts the process and waits until it answers.
func (s *Server) start() error {
	host, port, err := net.SplitHostPort(s.Addr)
	if err != nil {
		return err
	}
	log, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	// What a test wrote survives kill -9 of the processes, not of the machine: nothing is flushed.
	process := s.command("postgres", append([]string{
		"-D", filepath.Join(s.dir, "data"), "-h", host, "-p", port, "-F", "-k", s.dir,
		"-c", "max_connections=200", "-c", "shared_buffers=32MB", "-c", "autovacuum=off", "-c", "wal_level=minimal", "-c", "max_wal_senders=0",
	}, s.options...)...)
	process.Stdout, process.Stderr = log, log
	exited := make(chan struct{})
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
		said, _ := os.ReadFile(log.Name())
		return fmt.Errorf("%w; its log: %s", err, said)
	}
	return nil
}

// awaitAnswer asks for an answer every few milliseconds until there is one.
func (s *Server) awaitAnswer() error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	late := time.NewTimer(patience)
	defer late.Stop()
	for {
		select {
		case <-s.exited:
			return errors.New("it ended")
		case <-late.C:
			return errors.New("it does not answer")
		case <-tick.C:
			if execute(context.Background(), s.URL("postgres"), "SELECT 1") == nil {
				return nil
			}
		}
	}
}

// Kill ends the server and all its processes as kill -9 does. On a server that has ended it does nothing.
func (s *Server) Kill() {
	if s.process == nil {
		return
	}
	for _, pid := range s.processes() { // the first one first: it would start the others anew
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	<-s.exited
	s.process = nil
}

// processes returns the ids of the server's processes, the parent of all others first.
func (s *Server) processes() []int {
	first := s.process.Process.Pid
	all := []int{first}
	children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", first, first)) // not everywhere; they notice their parent's end
	for _, text := range strings.Fields(string(children)) {
		if pid, err := strconv.Atoi(text); err == nil {
			all = append(all, pid)
		}
	}
	return all
}

// Restart starts the server anew on the same port, after Kill.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	late := time.After(patience)
	for {
		err := s.start()
		if err == nil {
			return
		}
		select { // processes of the one before may not have ended yet
		case <-tick.C:
		case <-late:
			t.Fatalf("postgres: %v", err)
		}
	}
}

// Pause stops all processes of the server in their tracks (SIGSTOP): connections stay, nothing answers.
func (s *Server) Pause(t testing.TB) { s.signal(t, syscall.SIGSTOP) }

// Resume lets a paused server go on.
func (s *Server) Resume(t testing.TB) { s.signal(t, syscall.SIGCONT) }

func (s *Server) signal(t testing.TB, sig syscall.Signal) {
	t.Helper()
	for i, pid := range s.processes() {
		if err := syscall.Kill(pid, sig); err != nil && i == 0 {
			t.Fatalf("postgres: %v", err)
		}
	}
}

// EnableTLS gives the server a certificate with its key, in PEM.
func (s *Server) EnableTLS(t testing.TB, certificate, key []byte) {
	t.Helper()
	for name, content := range map[string][]byte{"server.crt": certificate, "server.key": key} {
		path := filepath.Join(s.dir, "data", name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if s.owner != nil {
			if err := os.Chown(path, int(s.owner.Uid), int(s.owner.Gid)); err != nil {
				t.Fatal(err)
			}
		}
	}
	s.Exec(t, "postgres", "ALTER SYSTEM SET ssl = on")
	s.Exec(t, "postgres", "SELECT pg_reload_conf()")
}

// Replicated are the options of a server that has standbys.
var Replicated = []string{"-c", "wal_level=replica", "-c", "max_wal_senders=4"}

// Standby starts a server that follows s, which was started with Replicated, by streaming replication. It is stopped when the test
// ends.
func (s *Server) Standby(t testing.TB) *Server {
	t.Helper()
	dir, err := os.MkdirTemp("", "stint-postgres-")
	if err != nil {
		t.Fatal(err)
	}
	follower := &Server{programs: s.programs, dir: dir, owner: s.owner, options: s.options}
	t.Cleanup(follower.remove)
	if s.owner != nil {
		if err := os.Chown(dir, int(s.owner.Uid), int(s.owner.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	backup := follower.command("pg_basebackup", "--no-sync", "--checkpoint=fast", "--write-recovery-conf",
		"--pgdata="+filepath.Join(dir, "data"), "--dbname="+s.URL("postgres"))
	if out, err := backup.CombinedOutput(); err != nil {
		t.Fatalf("pg_basebackup: %v: %s", err, out)
	}
	if follower.Addr, err = freeAddr(); err != nil {
		t.Fatal(err)
	}
	follower.Restart(t)
	return follower
}

// AwaitStandby waits until the standbys of the server have all that it has.
func (s *Server) AwaitStandby(t testing.TB) {
	t.Helper()
	const wait = `DO $$ BEGIN
	WHILE NOT EXISTS (SELECT FROM pg_stat_replication WHERE replay_lsn >= pg_current_wal_lsn()) LOOP
		PERFORM pg_sleep(0.02), pg_stat_clear_snapshot();
	END LOOP;
END $$`
	s.Exec(t, "postgres", wait)
}

// Promote makes a standby a primary.
func (s *Server) Promote(t testing.TB) {
	t.Helper()
	s.Exec(t, "postgres", "SELECT pg_promote()")
}

func (s *Server) remove() {
	s.Kill()
	_ = os.RemoveAll(s.dir)
}

func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}
