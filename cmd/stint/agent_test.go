package main_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// workloadWorld is a node with user alice, who may assume role web.
type workloadWorld struct {
	*node
	root *client
	role string
	keys string // shared credentials file with alice's key, profile default
}

func newWorkloadWorld(t *testing.T, args ...string) *workloadWorld {
	t.Helper()
	w := &workloadWorld{node: start(t, filepath.Join(t.TempDir(), "data"), append([]string{"--account-id", "111122223333"}, args...)...)}
	w.root = w.node.root()
	key := w.root.user(w.node, "alice", "").credentials()
	w.keys = filepath.Join(t.TempDir(), "credentials")
	write(t, w.keys, fmt.Sprintf("[default]\naws_access_key_id = %s\naws_secret_access_key = %s\n", key.AccessKeyID, key.SecretAccessKey.Reveal()))
	w.role = w.root.role("web", trustFor("arn:aws:iam::111122223333:user/alice"))
	return w
}

// env is the environment of an agent that has alice's key.
func (w *workloadWorld) env(extra ...string) []string {
	return environment(append([]string{
		"AWS_SHARED_CREDENTIALS_FILE=" + w.keys, "AWS_CONFIG_FILE=/dev/null", "AWS_ENDPOINT_URL_STS=" + w.url, "AWS_ROLE_ARN=" + w.role, "AWS_REGION=eu-west-1",
	}, extra...)...)
}

// agentProcess is a running agent, and what it told the workload to put in its environment.
type agentProcess struct {
	t       *testing.T
	command *exec.Cmd
	output  *buffer
	exports map[string]string
	exited  chan error
}

var exportLine = regexp.MustCompile(`export (\w+)=(\S+)`)

func startAgent(t *testing.T, env []string, args ...string) *agentProcess {
	t.Helper()
	a := &agentProcess{t: t, output: &buffer{}, exports: make(map[string]string), exited: make(chan error, 1)}
	a.command = stint(context.Background(), append([]string{ // stopped by the test's clean-up
		"agent", "--listen-container", "127.0.0.1:0", "--listen-imds", "127.0.0.1:0", "--auth-token-file", filepath.Join(t.TempDir(), "run", "token"),
		"--session-name", "web-1",
	}, args...)...)
	a.command.Env, a.command.Stderr = env, a.output
	stdout, err := a.command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := a.command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.stop)
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		if m := exportLine.FindStringSubmatch(lines.Text()); m != nil {
			a.exports[m[1]] = m[2]
		} else if lines.Text() == "" && len(a.exports) > 0 {
			break
		}
	}
	go func() { a.exited <- a.command.Wait() }()
	if len(a.exports) == 0 {
		t.Fatalf("the agent tells nothing: %v\n%s", <-a.exited, a.output)
	}
	return a
}

// stop ends the agent as a service manager would, and fails the test when it does not exit cleanly.
func (a *agentProcess) stop() {
	if a.command.ProcessState != nil {
		return
	}
	_ = a.command.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-a.exited:
		if err != nil {
			a.t.Errorf("stint agent: %v\n%s", err, a.output)
		}
	case <-time.After(startTimeout):
		_ = a.command.Process.Kill()
		a.t.Errorf("stint agent does not stop\n%s", a.output)
	}
}

// workload is the environment of a program that finds one endpoint of the agent and nothing else.
func (a *agentProcess) workload(n *node, endpoint string) []string {
	home := filepath.Join(a.t.TempDir(), "none")
	env := []string{
		"AWS_CONFIG_FILE=" + home, "AWS_SHARED_CREDENTIALS_FILE=" + home, "AWS_ENDPOINT_URL_STS=" + n.url, "AWS_ENDPOINT_URL=" + n.url,
		"AWS_REGION=eu-west-1", "AWS_DEFAULT_REGION=eu-west-1", "AWS_EC2_METADATA_V1_DISABLED=true",
	}
	if endpoint == "imds" {
		return environment(append(env, "AWS_EC2_METADATA_SERVICE_ENDPOINT="+a.exports["AWS_EC2_METADATA_SERVICE_ENDPOINT"])...)
	}
	for name, value := range a.exports {
		if strings.HasPrefix(name, "AWS_CONTAINER_") {
			env = append(env, name+"="+value)
		}
	}
	token, err := os.ReadFile(a.exports["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"])
	if err != nil {
		a.t.Fatal(err)
	}
	// Debian's aws CLI is older than the variable for a file; where both are set, the file counts.
	return environment(append(env, "AWS_CONTAINER_AUTHORIZATION_TOKEN="+string(token), "AWS_EC2_METADATA_DISABLED=true")...)
}

const javaScriptVersion = "3.1177.0"

// javaScriptProgram prints who it is. It knows nothing but the default chain.
const javaScriptProgram = `import { STSClient, GetCallerIdentityCommand } from "@aws-sdk/client-sts";
console.log((await new STSClient({}).send(new GetCallerIdentityCommand({}))).Arn);
`

// javaScript installs the AWS SDK for JavaScript and returns the program. Without node or the registry the test skips; where CI is
// set it fails.
func javaScript(t *testing.T) string {
	t.Helper()
	need(t, "node", "npm")
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	install := exec.CommandContext(ctx, "npm", "install", "--prefix", dir, "--no-audit", "--no-fund", "--ignore-scripts",
		"--fetch-retries=1", "--fetch-timeout=20000", "@aws-sdk/client-sts@"+javaScriptVersion)
	install.Dir = dir
	if out, err := install.CombinedOutput(); err != nil {
		message := "npm install @aws-sdk/client-sts: " + err.Error() + "\n" + string(out)
		if os.Getenv("CI") != "" {
			t.Fatal(message)
		}
		t.Skip(message)
	}
	program := filepath.Join(dir, "whoami.mjs")
	write(t, program, javaScriptProgram)
	return program
}

// Stock SDKs in three languages find the agent by what it tells to put in the environment, and by nothing else.
func TestAgent_SDKs(t *testing.T) {
	t.Parallel()
	w := newWorkloadWorld(t)
	a := startAgent(t, w.env())
	asks := func(t *testing.T, endpoint string, program string, args ...string) {
		t.Helper()
		c := exec.CommandContext(t.Context(), program, args...)
		c.Env = a.workload(w.node, endpoint)
		if out, err := c.CombinedOutput(); err != nil || !strings.Contains(string(out), "arn:aws:sts::111122223333:assumed-role/web/web-1") {
			t.Errorf("%s, %s: %v\n%s\nagent: %s", endpoint, program, err, out, a.output)
		}
	}
	for _, endpoint := range []string{"container", "imds"} {
		t.Run("Go, "+endpoint, func(t *testing.T) { asks(t, endpoint, binary, "whoami") })
		t.Run("the aws CLI, "+endpoint, func(t *testing.T) {
			needAWS(t)
			asks(t, endpoint, "aws", "sts", "get-caller-identity", "--endpoint-url", w.node.url) // Debian's reads no variable for it
		})
	}
	t.Run("JavaScript", func(t *testing.T) {
		program := javaScript(t)
		for _, endpoint := range []string{"container", "imds"} {
			asks(t, endpoint, "node", program)
		}
	})
	listed := must(t, "session", "list", "--data-dir", w.dir, "--output", "json")
	if n := strings.Count(listed, `"web-1"`); n != 1 {
		t.Errorf("%d sessions for all workloads together: %s", n, listed)
	}
	log := a.output.String()
	for _, secret := range []string{"aws_secret", "SecretAccessKey", "eyJ"} {
		if strings.Contains(log, secret) {
			t.Errorf("the log holds %s: %s", secret, log)
		}
	}
}

// A workload, an agent and a token file that are all there before stint is, and a workload that has waited since.
func TestAgent_StartsBeforeStint(t *testing.T) {
	t.Parallel()
	w := newWebWorld(t)
	w.stop()
	address, role := strings.TrimPrefix(w.url, "http://"), w.role
	tokenFile := filepath.Join(t.TempDir(), "token")
	notified := listenNotify(t)
	a := startAgent(t, environment("AWS_ENDPOINT_URL_STS=http://"+address, "STINT_AGENT_ROLE="+role, "AWS_WEB_IDENTITY_TOKEN_FILE="+tokenFile,
		"NOTIFY_SOCKET="+notified.path), "--wait", "1m")
	token, err := os.ReadFile(a.exports["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"])
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan string, 3)
	for range cap(got) {
		go func() { got <- getCredentials(t, a.exports["AWS_CONTAINER_CREDENTIALS_FULL_URI"], string(token)) }()
	}
	until(t, "the agent misses its token", func() bool { return strings.Contains(a.output.String(), tokenFile) })
	write(t, tokenFile, w.token("RS256", nil)+"\n")
	until(t, "the agent misses stint", func() bool { return strings.Contains(a.output.String(), "connection refused") })
	container := strings.TrimSuffix(strings.TrimPrefix(a.exports["AWS_CONTAINER_CREDENTIALS_FULL_URI"], "http://"), "/v1/credentials")
	if _, _, code := run(t, "", "agent", "health", "--listen-container", container); code == 0 || notified.text() != "" {
		t.Errorf("ready without credentials: %q", notified.text())
	}

	start(t, w.dir, "--listen-http", address)
	for range cap(got) {
		if body := <-got; !strings.Contains(body, `"AccessKeyId":"ASIA`) {
			t.Errorf("a workload got %s\n%s", body, a.output)
		}
	}
	until(t, "systemd is told", func() bool { return notified.text() == "READY=1" })
	must(t, "agent", "health", "--listen-container", container)
}

func getCredentials(t *testing.T, url, token string) string {
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		return err.Error()
	}
	r.Header.Set("Authorization", token)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	return string(body) + fmt.Sprint(err)
}

// notifySocket is systemd, as far as the agent sees it.
type notifySocket struct {
	path string
	got  *buffer
}

func (n *notifySocket) text() string { return n.got.String() }

func listenNotify(t *testing.T) *notifySocket {
	t.Helper()
	dir, err := os.MkdirTemp("", "n") // the names of sockets are short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	n := &notifySocket{path: filepath.Join(dir, "s"), got: &buffer{}}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: n.path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(n.got, conn) // until it is closed
	}()
	t.Cleanup(func() {
		_ = conn.Close()
		<-done
	})
	return n
}

// A role that is made after the agent has started, and taken away while it runs: the workload learns of both.
func TestAgent_Refused(t *testing.T) {
	t.Parallel()
	w := newWorkloadWorld(t)
	missing := strings.Replace(w.role, "role/web", "role/later", 1)
	a := startAgent(t, w.env("AWS_ROLE_ARN="+missing))
	token, err := os.ReadFile(a.exports["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"])
	if err != nil {
		t.Fatal(err)
	}
	ask := func() string {
		return getCredentials(t, a.exports["AWS_CONTAINER_CREDENTIALS_FULL_URI"], string(token))
	}
	if body := ask(); !strings.Contains(body, `{"Code":"AccessDenied","Message":"User: arn:aws:iam::111122223333:user/alice is not authorized`) {
		t.Errorf("a role that does not exist: %s", body)
	}
	w.root.role("later", trustFor("arn:aws:iam::111122223333:user/alice"))
	until(t, "credentials of the role", func() bool { return strings.Contains(ask(), `"RoleArn":"`+missing+`"`) })
}

// What an operator gets wrong is told in one line, before anything is handed out.
func TestAgent_Usage(t *testing.T) {
	t.Parallel()
	const role = "arn:aws:iam::111122223333:role/web"
	token := filepath.Join(t.TempDir(), "token")
	open := filepath.Join(t.TempDir(), "open")
	write(t, open, strings.Repeat("x", 40))
	if err := os.Chmod(open, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name string
		args []string
		want string
	}{
		{"no role", nil, "--role"},
		{"a user for a role", []string{"--role", "arn:aws:iam::111122223333:user/web"}, "must be the ARN of a role"},
		{"http to another machine", []string{"--role", role, "--endpoint-url", "http://sts.example.com"}, "--insecure-http"},
		{"all addresses", []string{"--role", role, "--auth-token-file", token, "--listen-container", "0.0.0.0:0"}, "--insecure-listen"},
		{"all addresses for metadata", []string{"--role", role, "--listen-container", "", "--listen-imds", ":0"}, "--insecure-listen"},
		{"no token file", []string{"--role", role, "--auth-token-file", ""}, "--auth-token-file"},
		{"a token that all may read", []string{"--role", role, "--auth-token-file", open}, "chmod o="},
		{"nothing to listen on", []string{"--role", role, "--listen-container", ""}, "--listen-imds"},
		{"two proofs", []string{"--role", role, "--profile", "a", "--client-cert", "b"}, "exclude each other"},
		{"a certificate without its key", []string{"--role", role, "--client-cert", "b"}, "--client-key"},
		{"an argument", []string{"--role", role, "x"}, "flags only"},
		{"half a second", []string{"--role", role, "--duration", "1500ms"}, "whole seconds"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if _, stderr, code := run(t, "", append([]string{"agent"}, row.args...)...); code == 0 || !strings.Contains(stderr, row.want) {
				t.Errorf("exit %d: %s", code, stderr)
			}
		})
	}
	c := stint(t.Context(), "agent")
	c.Env = environment("STINT_AGENT_ROLE="+role, "STINT_AGENT_HOP_LIMIT=many")
	if out, err := c.CombinedOutput(); err == nil || !strings.Contains(string(out), "STINT_AGENT_HOP_LIMIT") {
		t.Errorf("%v: %s", err, out)
	}
}

// creds runs "stint creds" and returns what it prints.
func (w *workloadWorld) creds(t *testing.T, cache string, args ...string) (keyID, text string, err error) {
	t.Helper()
	c := stint(t.Context(), append([]string{"creds"}, args...)...)
	c.Env = w.env("XDG_CACHE_HOME="+cache, "HOME="+cache)
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	err = c.Run()
	var printed struct {
		Version                                                int
		AccessKeyId, SecretAccessKey, SessionToken, Expiration string
	}
	if err == nil {
		err = json.Unmarshal(out.Bytes(), &printed)
	}
	if _, timeErr := time.Parse(time.RFC3339, printed.Expiration); err == nil && (timeErr != nil || printed.Version != 1 || printed.SecretAccessKey == "" || printed.SessionToken == "") {
		err = errors.New("printed " + out.String())
	}
	return printed.AccessKeyId, errs.String(), err
}

// Many processes that start at once share one session; the cache knows what it is of, and who may read it.
func TestCreds_Cache(t *testing.T) {
	t.Parallel()
	w := newWorkloadWorld(t)
	cache := t.TempDir()
	var mu sync.Mutex
	ids := make(map[string]int)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			id, text, err := w.creds(t, cache)
			if err != nil {
				t.Errorf("%v: %s", err, text)
			}
			mu.Lock()
			defer mu.Unlock()
			ids[id]++
		})
	}
	all.Wait()
	if len(ids) != 1 {
		t.Errorf("sessions: %v", ids)
	}
	for name, args := range map[string][]string{
		"without the cache": {"--no-cache"}, "another session name": {"--session-name", "other"}, "another duration": {"--duration", "15m"},
	} {
		id, text, err := w.creds(t, cache, args...)
		if err != nil || ids[id] != 0 {
			t.Errorf("%s: %s, %v %s", name, id, err, text)
		}
		ids[id]++
	}
	files, err := filepath.Glob(filepath.Join(cache, "stint", "creds", "*.json"))
	if err != nil || len(files) != 3 {
		t.Fatalf("files %v, %v", files, err)
	}
	for _, file := range files {
		if err := os.Chmod(file, 0o640); err != nil {
			t.Fatal(err)
		}
	}
	if _, text, err := w.creds(t, cache); err == nil || !strings.Contains(text, "others may read") || !strings.Contains(text, "--no-cache") {
		t.Errorf("a cache that others read: %v %s", err, text)
	}
}

func TestCreds_Failures(t *testing.T) {
	t.Parallel()
	w := newWorkloadWorld(t)
	cache := t.TempDir()
	if _, text, err := w.creds(t, cache, "--role", w.role+"x"); err == nil || !strings.Contains(text, "stint: AccessDenied: User: arn:aws:iam::111122223333:user/alice is not authorized") {
		t.Errorf("%v: %s", err, text)
	}
	if _, text, err := w.creds(t, cache, "--endpoint-url", "http://127.0.0.1:1", "--wait", "100ms"); err == nil || !strings.Contains(text, "there are no credentials yet") {
		t.Errorf("%v: %s", err, text)
	}
	if _, text, err := w.creds(t, cache, "--profile", "other"); err == nil || !strings.Contains(text, "other") {
		t.Errorf("%v: %s", err, text)
	}
}

// A profile of the aws CLI and of Go's SDK with credential_process.
func TestCreds_Profile(t *testing.T) {
	t.Parallel()
	w := newWorkloadWorld(t)
	home := t.TempDir()
	profile := filepath.Join(home, "config")
	write(t, profile, "[profile web]\nregion = eu-west-1\ncredential_process = "+binary+" creds --role "+w.role+" --profile default --session-name shell --endpoint-url "+w.url+"\n")
	env := environment("AWS_CONFIG_FILE="+profile, "AWS_SHARED_CREDENTIALS_FILE="+w.keys, "AWS_PROFILE=web", "AWS_ENDPOINT_URL="+w.url, "XDG_CACHE_HOME="+home)
	asks := func(program string, args ...string) {
		t.Helper()
		c := exec.CommandContext(t.Context(), program, args...)
		c.Env = env
		if out, err := c.CombinedOutput(); err != nil || !strings.Contains(string(out), "arn:aws:sts::111122223333:assumed-role/web/shell") {
			t.Errorf("%s: %v\n%s", program, err, out)
		}
	}
	asks(binary, "whoami")
	needAWS(t)
	asks("aws", "sts", "get-caller-identity", "--endpoint-url", w.url)
	listed := must(t, "session", "list", "--data-dir", w.dir, "--output", "json")
	if n := strings.Count(listed, `"shell"`); n != 1 {
		t.Errorf("%d sessions: %s", n, listed)
	}
}
