package main_test

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestServe_FirstAndSecondStart(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	first := start(t, dir, "--account-id", "111122223333", "--account-name", "team")
	out := first.output.String()
	for _, want := range []string{"111122223333 (team)", "aws_access_key_id = AKIA", "aws_secret_access_key = ", "sts get-caller-identity"} {
		if !strings.Contains(out, want) {
			t.Errorf("the first start does not print %q:\n%s", want, out)
		}
	}
	credentials, err := os.ReadFile(filepath.Join(dir, "bootstrap", "credentials"))
	if err != nil {
		t.Fatal(err)
	}
	secret := regexp.MustCompile(`aws_secret_access_key = (\S+)`).FindStringSubmatch(string(credentials))
	if secret == nil || !strings.HasPrefix(string(credentials[strings.Index(string(credentials), "["):]), "[root]\n") {
		t.Fatalf("bootstrap/credentials is no profile root")
	}
	for name, want := range map[string]os.FileMode{"": 0o700, "master.key": 0o600, "directory.db": 0o600, "bootstrap/credentials": 0o600, "admin.sock": 0o600, "audit": 0o700, "sessions": 0o700} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%q has mode %04o, want %04o", name, got, want)
		}
	}
	first.stop()

	second := start(t, dir)
	if strings.Contains(second.output.String(), secret[1]) || strings.Contains(second.output.String(), "aws_secret_access_key") {
		t.Error("the second start prints a secret")
	}
	if !strings.Contains(second.output.String(), "111122223333 (team)") {
		t.Errorf("the second start does not name the account:\n%s", second.output)
	}
	if got := second.root().identity(); got != "arn:aws:iam::111122223333:root" {
		t.Errorf("after a restart root is %s", got)
	}
}

func TestServe_OneClearLineWhenItCannot(t *testing.T) {
	t.Parallel()
	used := filepath.Join(t.TempDir(), "used")
	start(t, used).stop()
	port, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = port.Close() }) // after the subtests, which run in parallel
	otherKey := filepath.Join(t.TempDir(), "other.key")
	write(t, otherKey, "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\n")
	for _, row := range []struct {
		name    string
		prepare func(dir string)
		args    []string
		want    string
	}{
		{"foreign directory", func(dir string) { write(t, filepath.Join(dir, "letter.txt"), "dear") }, nil, "not a data directory of stint"},
		{"damaged database", func(dir string) { copyDir(t, used, dir); corrupt(t, filepath.Join(dir, "directory.db")) }, nil, "directory"},
		{"foreign database", func(dir string) {
			copyDir(t, used, dir)
			write(t, filepath.Join(dir, "directory.db"), "this is no database, and long enough to be looked at as one")
		}, nil, "directory"},
		{"wrong master key", func(dir string) { copyDir(t, used, dir) }, []string{"--master-key", "file:" + otherKey}, "master key is not the one"},
		{"lost master key", func(dir string) { copyDir(t, used, dir); remove(t, filepath.Join(dir, "master.key")) }, nil, "master key"},
		{"taken port", func(string) {}, []string{"--listen-http", port.Addr().String()}, "--listen-http"},
		{"unknown setting", func(dir string) { write(t, filepath.Join(dir, "..", "stint.yaml"), "lisen: {}\n") }, []string{"--config", "CONFIG"}, "stint.yaml:1: lisen: unknown key"},
		{"reachable without TLS", func(string) {}, []string{"--listen-http", "0.0.0.0:0"}, "insecure-http"},
		{"missing certificate", func(string) {}, []string{"--tls-cert", "/nonexistent/cert.pem", "--tls-key", "/nonexistent/key.pem"}, "tls: "},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "data")
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			row.prepare(dir)
			before := contents(t, dir)
			args := []string{"serve", "--data-dir", dir, "--listen-http", "127.0.0.1:0", "--listen-grpc", "127.0.0.1:0", "--listen-ops", "127.0.0.1:0"}
			for _, a := range row.args {
				args = append(args, strings.ReplaceAll(a, "CONFIG", filepath.Join(dir, "..", "stint.yaml")))
			}
			stdout, stderr, code := run(t, "", args...)
			lines := strings.Split(strings.TrimSpace(stderr), "\n")
			if code == 0 || len(lines) != 1 || !strings.Contains(stderr, row.want) || stdout != "" {
				t.Errorf("exit %d, want one line with %q:\n%s%s", code, row.want, stdout, stderr)
			}
			if row.name == "taken port" {
				return // the data directory was rightly made
			}
			for name, content := range before {
				if after := contents(t, dir)[name]; after != content {
					t.Errorf("%s was changed", name)
				}
			}
		})
	}
}

func TestServe_SecondProcessOnTheSameDirectory(t *testing.T) {
	t.Parallel()
	n := start(t, filepath.Join(t.TempDir(), "data"))
	_, stderr, code := run(t, "", "serve", "--data-dir", n.dir, "--listen-http", "127.0.0.1:0", "--listen-grpc", "127.0.0.1:0", "--listen-ops", "127.0.0.1:0")
	if code != 1 || !strings.Contains(stderr, "in use by another stint process") {
		t.Errorf("exit %d: %s", code, stderr)
	}
}

// SIGTERM lets a call that has begun finish, and exits 0.
func TestServe_DrainsCallsInFlight(t *testing.T) {
	t.Parallel()
	n := start(t, filepath.Join(t.TempDir(), "data"))
	conn, err := net.Dial("tcp", strings.TrimPrefix(n.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	const body = "Action=GetCallerIdentity&Version=2011-06-15"
	if _, err := io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 43\r\nContent-Type: application/x-www-form-urlencoded\r\nExpect: 100-continue\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 1024)
	if _, err := conn.Read(answer); err != nil || !strings.Contains(string(answer), "100 Continue") {
		t.Fatalf("the call has not begun: %q, %v", answer, err)
	}
	if err := n.command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	until(t, "the node says that it drains", func() bool { return strings.Contains(n.output.String(), "draining") })
	if _, err := io.WriteString(conn, body); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(conn)
	if err != nil || !strings.Contains(string(rest), "MissingAuthenticationToken") {
		t.Errorf("the call in flight got %q, %v", rest, err)
	}
	if err := <-n.exited; err != nil {
		t.Errorf("exit: %v\n%s", err, n.output)
	}
	n.exited <- nil
}

func TestServe_Ops(t *testing.T) {
	t.Parallel()
	n := start(t, filepath.Join(t.TempDir(), "data"))
	n.root().identity()
	for path, want := range map[string]string{
		"/healthz": "ok", "/readyz": "ok",
		"/metrics": `stint_requests_total{code="",operation="GetCallerIdentity",service="sts",transport="http"} 1`,
	} {
		if got := fetch(t, n.ops+path); !strings.Contains(got, want) {
			t.Errorf("%s does not hold %q:\n%s", path, want, got)
		}
	}
	if got := fetch(t, n.ops+"/debug/pprof/"); strings.Contains(got, "goroutine") {
		t.Error("pprof is served without being asked for")
	}
	var keys struct{ Keys []any }
	if err := json.Unmarshal([]byte(fetch(t, n.url+"/.well-known/jwks.json")), &keys); err != nil || keys.Keys == nil {
		t.Errorf("jwks.json: %v %v", keys, err)
	}
}

func TestVersionAndHelp(t *testing.T) {
	t.Parallel()
	if got := must(t, "version"); got != "stint v0-test\n" {
		t.Errorf("version prints %q", got)
	}
	help := must(t, "help")
	for _, command := range []string{"serve", "account create", "session list", "token inspect"} {
		if !strings.Contains(help, command) {
			t.Errorf("help does not name %q", command)
		}
	}
	_, stderr, code := run(t, "", "servee")
	if code != 2 || !strings.Contains(stderr, `"servee"`) {
		t.Errorf("unknown command: exit %d, %s", code, stderr)
	}
}

func fetch(t *testing.T, url string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// until polls for what another process does; the bound is for a hung one.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	deadline := time.After(startTimeout)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not seen within %v: %s", startTimeout, what)
		}
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

func corrupt(t *testing.T, path string) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := 100; i < len(raw); i += 7 {
		raw[i] ^= 0x5a
	}
	write(t, path, string(raw))
}

func copyDir(t *testing.T, from, to string) {
	t.Helper()
	if err := os.RemoveAll(to); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(to, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, content := range contents(t, from) {
		path := filepath.Join(to, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, path, content)
	}
}

// contents reads all regular files below dir.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := make(map[string]string)
	err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err != nil || !info.Mode().IsRegular() {
			return err
		}
		raw, err := os.ReadFile(path)
		name, _ := filepath.Rel(dir, path)
		files[name] = string(raw)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
