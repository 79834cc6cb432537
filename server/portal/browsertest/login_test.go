package browsertest_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// begun is a command in a terminal that waits for somebody in a browser.
type begun struct {
	t     *testing.T
	ended chan error
	mu    sync.Mutex
	text  bytes.Buffer
}

func (g *begun) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.text.Write(p)
}

// begin starts a program until it ends by itself, or the test does.
func (w *terminal) begin(extra []string, program string, arguments ...string) *begun {
	w.t.Helper()
	g := &begun{t: w.t, ended: make(chan error, 1)}
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	w.t.Cleanup(cancel)
	command := exec.CommandContext(ctx, program, arguments...)
	command.Env, command.Dir, command.Stdout, command.Stderr = append(append([]string(nil), w.env...), extra...), w.home, g, g
	if err := command.Start(); err != nil {
		w.t.Fatal(err)
	}
	go func() { g.ended <- command.Wait() }()
	return g
}

// says waits until the command has said something, and returns the part of it in parentheses.
func (g *begun) says(pattern string) string {
	g.t.Helper()
	re := regexp.MustCompile(pattern)
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		g.mu.Lock()
		m := re.FindStringSubmatch(g.text.String())
		g.mu.Unlock()
		if m != nil {
			return m[1]
		}
	}
	g.t.Fatalf("the command does not say %s:\n%s", pattern, &g.text)
	return ""
}

func (g *begun) ends() {
	g.t.Helper()
	if err := <-g.ended; err != nil {
		g.t.Fatalf("%v\n%s", err, &g.text)
	}
}

// program builds the stint that people have.
func program(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "stint")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "./cmd/stint")
	build.Dir = filepath.Join("..", "..", "..")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return binary
}

// "stint login" opens the browser, or shows a code to be typed there. The profile that it makes works in the aws CLI until it is ended.
func TestLogin(t *testing.T) {
	t.Parallel()
	n := serve(t, nil, nil)
	role := n.user("alice", false)
	name := role[strings.LastIndexByte(role, '/')+1:]
	stint, w := program(t), n.terminal()
	opener := filepath.Join(w.home, "browser")
	w.write("browser", "#!/bin/sh\nprintf %s \"$1\" >\"$HOME/address.new\" && mv \"$HOME/address.new\" \"$HOME/address\"\n")
	if err := os.Chmod(opener, 0o700); err != nil {
		t.Fatal(err)
	}
	b := openTab(t, n)

	login := w.begin([]string{"BROWSER=" + opener}, stint, "login", "--profile", "work", "--endpoint-url", n.url, "--role", name)
	code := login.says(`shows the code (\S+)\.`)
	var address []byte
	b.until("the address that the command opens", func(shown) bool {
		address, _ = os.ReadFile(filepath.Join(w.home, "address"))
		return len(address) > 0
	})
	b.open(string(address))
	b.at("Sign in")
	b.inspect("sign-in-command-line")
	b.follow(`a.method[href^="/portal/user"]`)
	b.fill("#account", "example-dev")
	b.fill("#user", "alice")
	b.fill("#password", userPassword)
	b.follow("button.primary")
	b.at("Let the command line in?")
	b.inspect("command-line")
	b.walk()
	if text := b.describe(); !strings.Contains(text, code) {
		t.Errorf("the page does not show the code %s:\n%s", code, text)
	}
	b.follow("button.primary")
	b.at("That is all here")
	b.inspect("command-line-done")
	login.ends()

	byCode := w.begin(nil, stint, "login", "--profile", "remote", "--endpoint-url", n.url, "--role", name, "--no-browser", "--again")
	b.open(byCode.says(`(http://\S+/portal/device)`))
	b.at("Sign in a command line")
	b.inspect("device")
	b.fill("#user_code", byCode.says(`type the code\s+(\S+)`))
	b.follow("button.primary")
	b.at("Let this command line in?")
	b.inspect("device-confirm")
	b.walk()
	b.follow("button.primary")
	b.at("That is all here")
	byCode.ends()

	const ask = whoami + " --profile remote"
	if out, err := w.types(ask); err != nil || !strings.HasPrefix(out, "arn:aws:sts::"+account+":assumed-role/"+name+"/") {
		t.Errorf("by the profile: %s, %v", out, err)
	}
	b.open(n.url + "/portal/sessions")
	b.at("My sessions")
	b.inspect("sessions-command-lines")
	b.walk()
}
