package chaos_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stint-sts/stint/chaos"
	"github.com/stint-sts/stint/iam/store/pgtest"
	"github.com/stint-sts/stint/secret"
	"github.com/stint-sts/stint/session/redistest"
	"github.com/stint-sts/stint/sigv4"
)

const (
	nodeCount = 3
	account   = "111122223333"
)

// redisServers is a Cluster, or a primary with its replicas behind sentinels.
type redisServers interface {
	URL() string
	Primaries() []*redistest.Server
	Works() bool
}

// installation is three nodes, a PostgreSQL and a Redis.
type installation struct {
	t        *testing.T
	began    time.Time
	http     *http.Client
	postgres *pgtest.Server
	redis    redisServers
	shares   int // primaries of redis
	nodes    []*node
	root     sigv4.Credentials
	history  *chaos.History
}

// clock is the time of the history.
func (i *installation) clock() time.Duration { return time.Since(i.began) }

// node is a stint as a process, which can be ended and started again at the same addresses.
type node struct {
	t            *testing.T
	binary       string
	dir          string // of its data
	config       string
	address, ops string
	clock        clock
	way          *proxy // to PostgreSQL
	process      *exec.Cmd
	ended        chan struct{}
	output       string // file
	startOptions []string
}

// install starts all of it.
func install(t *testing.T, binary string, redis redisServers) *installation {
	t.Helper()
	i := &installation{
		t: t, began: time.Now(), redis: redis, shares: len(redis.Primaries()), postgres: pgtest.Start(t),
		http:    &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16, IdleConnTimeout: time.Minute}},
		history: &chaos.History{Nodes: nodeCount},
	}
	t.Cleanup(i.http.CloseIdleConnections)
	database := i.postgres.Database(t)
	key := filepath.Join(t.TempDir(), "master.key")
	write(t, key, "c3RpbnQgdGVzdCBtYXN0ZXIga2V5IDMyIGJ5dGVzISE=\n")
	for number := range nodeCount {
		n := &node{t: t, binary: binary, dir: filepath.Join(t.TempDir(), "data"), clock: newClock(t), way: newProxy(t, i.postgres.Addr)}
		n.address, n.ops = freeAddress(t), freeAddress(t)
		n.config, n.output = filepath.Join(t.TempDir(), "stint.yaml"), filepath.Join(t.TempDir(), fmt.Sprintf("node-%d.log", number))
		write(t, n.config, "database: "+strings.Replace(database, i.postgres.Addr, n.way.address(), 1)+"\n")
		n.startOptions = []string{"--account-id", account, "--master-key", "file:" + key, "--redis", redis.URL()}
		n.start()
		t.Cleanup(n.kill)
		i.nodes = append(i.nodes, n)
	}
	for _, n := range i.nodes {
		n.await()
	}
	for _, n := range i.nodes { // one of them made the account
		if text, err := os.ReadFile(filepath.Join(n.dir, "bootstrap", "credentials")); err == nil {
			i.root = parseCredentials(t, string(text))
		}
	}
	if i.root.AccessKeyID == "" {
		t.Fatal("no node has the root key")
	}
	return i
}

func parseCredentials(t *testing.T, text string) (c sigv4.Credentials) {
	t.Helper()
	for line := range strings.Lines(text) {
		switch name, value, _ := strings.Cut(line, "="); strings.TrimSpace(name) {
		case "aws_access_key_id":
			c.AccessKeyID = strings.TrimSpace(value)
		case "aws_secret_access_key":
			c.SecretAccessKey = secret.New(strings.TrimSpace(value))
		}
	}
	return c
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// command is stint in an environment without settings, on the node's data and clock.
func (n *node) command(args ...string) *exec.Cmd {
	c := exec.Command(n.binary, args...)
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "AWS_") && !strings.HasPrefix(v, "STINT_") {
			c.Env = append(c.Env, v)
		}
	}
	c.Env = append(c.Env, clockVariable+"="+string(n.clock))
	return c
}

func (n *node) start() {
	log, err := os.OpenFile(n.output, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		n.t.Fatal(err)
	}
	defer log.Close()
	process := n.command(append([]string{"serve", "--data-dir", n.dir, "--config", n.config, "--listen-http", n.address,
		"--listen-grpc", "127.0.0.1:0", "--listen-ops", n.ops}, n.startOptions...)...)
	process.Stdout, process.Stderr = log, log
	if err := process.Start(); err != nil {
		n.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = process.Wait() // how it ended is in its log
		close(ended)
	}()
	n.process, n.ended = process, ended
}

// kill ends the node as kill -9 does.
func (n *node) kill() {
	if n.process != nil {
		_ = n.process.Process.Kill() // fails when it has ended by itself
		<-n.ended
		n.process = nil
	}
}

// await waits until the node serves. One that ended is started again: without its database a node does not start.
func (n *node) await() {
	n.t.Helper()
	until(n.t, "node at "+n.address+" serves", func() bool {
		select {
		case <-n.ended:
			n.start()
		default:
		}
		return get("http://" + n.ops + "/healthz")
	}, n.tail)
}

// tail is the end of what the node said.
func (n *node) tail() string {
	text, err := os.ReadFile(n.output)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-4000):])
}

func (n *node) ready() bool { return get("http://" + n.ops + "/readyz") }

func get(url string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return false
	}
	defer response.Body.Close()
	return response.StatusCode == http.StatusOK
}

const untilTimeout = 90 * time.Second

// until waits for something that happens by itself.
func until(t *testing.T, what string, happened func() bool, explain func() string) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	late := time.After(untilTimeout)
	for !happened() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("not within %v: %s\n%s", untilTimeout, what, explain())
		}
	}
}

// works reports whether every part does its work.
func (i *installation) works() bool {
	if !i.redis.Works() {
		return false
	}
	for _, n := range i.nodes {
		if !n.ready() {
			return false
		}
	}
	return true
}

var issuedID = regexp.MustCompile(`ASIA[A-Z2-7]{16}`)

// find fills in what the history says of the end.
func (i *installation) find() {
	i.t.Helper()
	i.history.Records = make(map[string]bool)
	list := i.nodes[0].command("session", "list", "--data-dir", i.nodes[0].dir, "--output", "json")
	out, err := list.Output()
	if err != nil {
		i.t.Fatalf("stint session list: %v\n%s", err, out)
	}
	for _, id := range issuedID.FindAllString(string(out), -1) {
		i.history.Records[id] = true
	}
	for number, n := range i.nodes {
		i.history.Users = append(i.history.Users, i.users(number))
		i.history.Audited = append(i.history.Audited, audited(i.t, n))
	}
}

// users are the users that a node shows.
func (i *installation) users(node int) map[string]bool {
	i.t.Helper()
	all, marker := make(map[string]bool), ""
	for {
		form := []string{"Action", "ListUsers", "MaxItems", "1000"}
		if marker != "" {
			form = append(form, "Marker", marker)
		}
		a, c := i.call(context.Background(), node, i.root, "iam", form...)
		if c.Outcome != chaos.Passed {
			i.t.Fatalf("users of node %d: %s %s", node, c.Code, a.Message)
		}
		for _, user := range a.Users {
			all[user] = true
		}
		if marker = a.Marker; marker == "" {
			return all
		}
	}
}

var answered = regexp.MustCompile(`"responseElements":\{.*?"accessKeyId":"(ASIA[A-Z2-7]{16})"`)

// audited are the access key ids that a node's audit log says it has issued.
func audited(t *testing.T, n *node) map[string]bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(n.dir, "audit", "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("audit files: %v, %v", files, err)
	}
	all := make(map[string]bool)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if m := answered.FindStringSubmatch(line); m != nil {
				all[m[1]] = true
			}
		}
	}
	return all
}
