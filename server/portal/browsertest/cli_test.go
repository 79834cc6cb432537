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

	"github.com/chromedp/chromedp"
)

// words collects what a program says.
type words struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (w *words) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.Write(p)
}

func (w *words) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}

// logIn runs stint login at home until the person has done something with what it says, and returns how it went.
func (n *stint) logIn(home, pattern string, env []string, args []string, person func(found []string)) string {
	n.t.Helper()
	c := exec.CommandContext(context.Background(), filepath.Join(home, "stint"), append([]string{"login", "--endpoint-url", n.url}, args...)...)
	c.Env = append(env, "HOME="+home, "PATH="+os.Getenv("PATH"))
	said := &words{}
	c.Stdout, c.Stderr = said, said
	if err := c.Start(); err != nil {
		n.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	n.t.Cleanup(func() { _ = c.Process.Kill() }) // it has ended, unless the test fails
	var found []string
	for end := time.Now().Add(patience); found == nil; time.Sleep(30 * time.Millisecond) {
		if found = regexp.MustCompile(pattern).FindStringSubmatch(said.String()); found == nil && time.Now().After(end) {
			n.t.Fatalf("it says\n%s", said)
		}
	}
	person(found[1:])
	select {
	case err := <-ended:
		if err != nil {
			n.t.Fatalf("%v\n%s", err, said)
		}
	case <-time.After(patience):
		n.t.Fatalf("it does not end:\n%s", said)
	}
	return said.String()
}

// stint login with a real browser: over HTTPS, by somebody who has to change the password on the way, to a port of plain HTTP and back. What
// the content security policy of the page allows is judged by the browser.
func TestCommandLine(t *testing.T) {
	t.Parallel()
	certificate := newCertificate(t)
	n := serve(t, map[string]string{"STINT_TLS_CERT": certificate.file, "STINT_TLS_KEY": certificate.file}, certificate.client)
	role := n.user("carol", true)
	b := openTab(t, n, chromedp.Flag("ignore-certificate-errors-spki-list", certificate.pin))
	w := n.terminal("AWS_CA_BUNDLE=" + certificate.file)
	home := w.home
	build := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(home, "stint"), "./cmd/stint")
	build.Dir = "../../.."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	signIn := func(password string) {
		b.open(n.url + "/portal/user?account=example-dev")
		b.at("Sign in")
		b.fill("#user", "carol")
		b.fill("#password", password)
		b.follow("button.primary")
	}
	env := []string{"AWS_CA_BUNDLE=" + certificate.file}
	said := n.logIn(home, `(?s)(https://\S+/portal/cli\?\S+).*shows the code (\S+)\.`, append(env, "BROWSER=true"), []string{"--role", role}, func(found []string) {
		const next = "Another horse, battery 9"
		b.open(found[0])
		b.at("Sign in")
		b.inspect("cli-sign-in")
		signIn(userPassword)
		b.at("Choose a new password")
		b.fill("#old", userPassword)
		b.fill("#new", next)
		b.fill("#again", next)
		b.follow("button.primary")
		b.at("Sign in")
		signIn(next)
		b.at("Let the command line in?")
		b.inspect("cli")
		b.walk()
		if text := b.describe(); !strings.Contains(text, found[1]) {
			t.Errorf("the page does not show the code %s:\n%s", found[1], text)
		}
		b.run(chromedp.Click(chromedp.CSS(`button[value="allow"]`)))
		b.at("That is all here")
		b.inspect("cli-done")
	})
	if !strings.Contains(said, "You are signed in as carol.") {
		t.Errorf("it says\n%s", said)
	}
	n.logIn(home, `type the code\s+([A-Z]{4}-[A-Z]{4})`, env, []string{"--role", role, "--again", "--no-browser"}, func(found []string) {
		b.open(n.url + "/portal/device")
		b.at("Sign in a command line")
		b.inspect("device")
		b.fill("#user_code", strings.ToLower(found[0]))
		b.follow("button.primary")
		b.at("Let this command line in?")
		b.inspect("device-confirm")
		b.walk()
		b.run(chromedp.Click(chromedp.CSS(`button[value="allow"]`)))
		b.at("That is all here")
	})
	const principal = "arn:aws:sts::" + account + ":assumed-role/Deployer-carol/carol"
	if out, err := w.types(w.whoami + " --profile stint"); err != nil || out != principal {
		t.Errorf("by the profile: %q, %v, want %s", out, err, principal)
	}
	b.open(n.url + "/portal/sessions")
	b.at("My sessions")
	b.inspect("sessions-cli")
}
