//go:build linux

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// patience bounds how long a server may take to be ready, or to end.
const patience = 60 * time.Second

// server is a server process that the driver started, and stops by its process id.
type server struct {
	name    string
	address string // host:port of what is measured
	metrics string // URL; empty: none
	ops     string // URL of stint's ops listener
	dataDir string // of stint

	command *exec.Cmd
	output  string // file with its standard error
	exited  chan error
	startUp time.Duration
	idleRSS int64 // bytes, once ready
}

// placement tells on which core a server runs and how many processors it uses.
type placement struct {
	core  int // -1: any
	procs int // 0: all
}

var (
	onServerCore = placement{core: serverCore, procs: 1}
	onDriverCore = placement{core: driverCore}
	anywhere     = placement{core: -1}
)

// start starts a program and waits for the line of its standard output that ready finds; its groups are returned.
func (b *bench) start(name string, p placement, ready *regexp.Regexp, environment []string, program string, args ...string) (*server, []string, error) {
	s := &server{name: name, exited: make(chan error, 1), command: exec.Command(program, args...)}
	s.command.Env = append(ownEnvironment(), environment...)
	if p.procs > 0 {
		s.command.Env = append(s.command.Env, "GOMAXPROCS="+strconv.Itoa(p.procs))
	}
	output, err := os.CreateTemp(b.dir, "stderr-")
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = output.Close() }() // the process has its own
	s.command.Stderr, s.output = output, output.Name()
	stdout, err := s.command.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	began := time.Now()
	if err := startOn(p.core, s.command); err != nil {
		return nil, nil, fmt.Errorf("start %s: %w", name, err)
	}
	b.servers = append(b.servers, s)
	found := make(chan []string, 1)
	go func() {
		var text strings.Builder
		for lines := bufio.NewReader(stdout); ; {
			line, err := lines.ReadString('\n')
			text.WriteString(line)
			if groups := ready.FindStringSubmatch(text.String()); groups != nil {
				found <- groups
				_, _ = io.Copy(io.Discard, lines)
				break
			}
			if err != nil {
				break
			}
		}
		s.exited <- s.command.Wait()
	}()
	select {
	case groups := <-found:
		s.startUp = time.Since(began)
		return s, groups, nil
	case err := <-s.exited:
		s.exited <- err
		return nil, nil, fmt.Errorf("%s ended: %w\n%s", name, err, s.lastWords())
	case <-time.After(patience):
		return nil, nil, fmt.Errorf("%s is not ready after %s", name, patience)
	}
}

// ownEnvironment is the driver's without settings of AWS and stint.
func ownEnvironment() []string {
	var env []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "AWS_") && !strings.HasPrefix(v, "STINT_") && !strings.HasPrefix(v, "GO") {
			env = append(env, v)
		}
	}
	return env
}

// stop ends the process as an operator would, and kills one that does not end.
func (s *server) stop() error {
	_ = s.command.Process.Signal(syscall.SIGTERM) // it may have ended already
	select {
	case err := <-s.exited:
		s.exited <- err
		if err != nil {
			return fmt.Errorf("%s: %w\n%s", s.name, err, s.lastWords())
		}
		return nil
	case <-time.After(patience):
		return errors.Join(fmt.Errorf("%s did not end", s.name), s.command.Process.Kill())
	}
}

// lastWords is the end of what the process wrote to standard error.
func (s *server) lastWords() []byte {
	const most = 4096
	text, _ := os.ReadFile(s.output) // what is missing is missing
	return text[max(0, len(text)-most):]
}

var stintReady = regexp.MustCompile(`(?s)AWS API\s+http://(\S+).*ops\s+(http://\S+) .*Go on in another terminal`)

// startStint starts stint on dataDir; redis is a URL, or empty for the embedded store.
func (b *bench) startStint(ctx context.Context, p placement, dataDir, redis string) (*server, error) {
	name, args := "stint, embedded", []string{
		"serve", "--data-dir", dataDir, "--account-id", account, "--log-level", b.logLevel,
		"--listen-http", "127.0.0.1:0", "--listen-grpc", "127.0.0.1:0", "--listen-ops", "127.0.0.1:0",
	}
	if redis != "" {
		name, args = "stint, Redis", append(args, "--redis", redis)
	}
	s, groups, err := b.start(name, p, stintReady, []string{"STINT_PPROF=" + strconv.FormatBool(b.profiles != "")}, b.stint, args...)
	if err != nil {
		return nil, err
	}
	s.dataDir, s.address, s.ops, s.metrics = dataDir, groups[1], groups[2], groups[2]+"/metrics"
	if _, err := fetch(ctx, s.ops+"/readyz"); err != nil {
		return nil, err
	}
	s.idleRSS, err = residentSize(s.command.Process.Pid)
	return s, err
}

var floorReady = regexp.MustCompile(`floor listens on http://(\S+)`)

// answerSizes are what the floor server has to match, in bytes.
type answerSizes struct{ role, identity, token int }

func (b *bench) startFloor(key credentials, sizes answerSizes, redis string) (*server, error) {
	args := []string{
		"--role-answer", strconv.Itoa(sizes.role), "--identity-answer", strconv.Itoa(sizes.identity), "--token", strconv.Itoa(sizes.token),
	}
	name := "floor"
	if redis != "" {
		name, args = "floor, Redis", append(args, "--redis", strings.TrimPrefix(redis, "redis://"))
	}
	s, groups, err := b.start(name, onServerCore, floorReady,
		[]string{"AWS_ACCESS_KEY_ID=" + key.AccessKeyID, "AWS_SECRET_ACCESS_KEY=" + key.SecretAccessKey.Reveal()}, b.floor, args...)
	if err != nil {
		return nil, err
	}
	s.address, s.metrics = groups[1], "http://"+groups[1]+"/metrics"
	s.idleRSS, err = residentSize(s.command.Process.Pid)
	return s, err
}

// startRedis starts a redis-server that keeps nothing on disk.
func (b *bench) startRedis(p placement) (url string, err error) {
	dir, err := b.tempDir()
	if err != nil {
		return "", err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	port := l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil {
		return "", err
	}
	_, _, err = b.start("redis-server", p, regexp.MustCompile("Ready to accept connections"), nil, "redis-server", "--bind", "127.0.0.1",
		"--port", strconv.Itoa(port), "--save", "", "--appendonly", "no", "--dir", dir, "--daemonize", "no")
	return fmt.Sprintf("redis://127.0.0.1:%d", port), err
}

// redisMemory returns used_memory of the Redis at url, in bytes.
func redisMemory(ctx context.Context, url string) (int64, error) {
	options, err := goredis.ParseURL(url)
	if err != nil {
		return 0, err
	}
	client := goredis.NewClient(options)
	defer func() { _ = client.Close() }()
	info, err := client.InfoMap(ctx, "memory").Result()
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(info["Memory"]["used_memory"], 10, 64)
}

// mallocs returns how many objects the server has allocated since it started.
func (s *server) mallocs(ctx context.Context) (float64, error) {
	text, err := fetch(ctx, s.metrics)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "go_memstats_mallocs_total "); ok {
			return strconv.ParseFloat(strings.TrimSpace(value), 64)
		}
	}
	return 0, fmt.Errorf("%s tells no go_memstats_mallocs_total", s.metrics)
}

// fetch reads a small resource of a server on loopback.
func fetch(ctx context.Context, url string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", url, response.Status, body)
	}
	return body, err
}

func (b *bench) saveProfile(ctx context.Context, s *server, name string) error {
	profile, err := fetch(ctx, s.ops+"/debug/pprof/profile?seconds="+strconv.Itoa(profileSeconds))
	if err != nil {
		return err
	}
	if err := os.MkdirAll(b.profiles, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(b.profiles, name+".pprof"), profile, 0o644)
}

const profileSeconds = 8
