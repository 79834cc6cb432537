package main_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
)

const alicesPassword = "Correct Horse 7"

// person is alice in front of a browser.
type person struct {
	t      *testing.T
	client *http.Client
	base   string
}

func newPerson(n *node) *person {
	jar, err := cookiejar.New(nil)
	if err != nil {
		n.t.Fatal(err)
	}
	transport := &http.Transport{}
	n.t.Cleanup(transport.CloseIdleConnections)
	return &person{n.t, &http.Client{Jar: jar, Transport: transport, Timeout: startTimeout}, n.url}
}

func (b *person) do(method, target string, form url.Values) (body string, status int) {
	b.t.Helper()
	if strings.HasPrefix(target, "/") {
		target = b.base + target
	}
	r, err := http.NewRequestWithContext(b.t.Context(), method, target, strings.NewReader(form.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	response, err := b.client.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return string(text), response.StatusCode
}

// want is do for a page that says something.
func (b *person) want(method, target string, form url.Values, says string) string {
	b.t.Helper()
	body, status := b.do(method, target, form)
	if status != http.StatusOK || !strings.Contains(body, says) {
		b.t.Fatalf("%s %s: status %d, no %q:\n%s", method, target, status, says, body)
	}
	return body
}

var hiddenField = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)

func fieldsOf(body string, more ...string) url.Values {
	form := make(url.Values)
	for _, m := range hiddenField.FindAllStringSubmatch(body, -1) {
		form.Set(html.UnescapeString(m[1]), html.UnescapeString(m[2]))
	}
	for i := 0; i < len(more); i += 2 {
		form.Set(more[i], more[i+1])
	}
	return form
}

// signIn follows a link, signs in, and is brought back to where the link leads.
func (b *person) signIn(link, says string) string {
	b.t.Helper()
	b.want(http.MethodGet, link, nil, "go on with the command line")
	form := b.want(http.MethodGet, "/portal/user", nil, "User name")
	return b.want(http.MethodPost, "/portal/user", fieldsOf(form, "account", "111122223333", "user", "alice", "password", alicesPassword, "code", ""), says)
}

// terminal is a computer of alice's: a home of its own.
type terminal struct {
	t     *testing.T
	node  *node // nil: none of ours
	home  string
	stint string // where it is installed
}

// newTerminal is stint with alice, who has a password and roles, and her computer.
func newTerminal(t *testing.T, roles ...string) *terminal {
	t.Helper()
	n := start(t, filepath.Join(t.TempDir(), "data"), "--account-id", "111122223333")
	people(n, n.root(), roles...)
	return newHome(t, n)
}

// people makes alice.
func people(n *node, root *client, roles ...string) {
	t := n.t
	t.Helper()
	root.user(n, "alice", "")
	root.must(root.iam.CreateLoginProfile(t.Context(), &iam.CreateLoginProfileInput{UserName: aws.String("alice"), Password: aws.String(alicesPassword)}))
	for _, name := range roles {
		root.role(name, trustFor("arn:aws:iam::111122223333:user/alice"))
	}
}

// newHome is a computer that nobody has used, with stint in a directory whose name shells have to be told about.
func newHome(t *testing.T, n *node) *terminal {
	t.Helper()
	home := t.TempDir()
	m := &terminal{t, n, home, filepath.Join(home, "my programs (1)", "stint")}
	for _, dir := range []string{filepath.Join(home, ".aws"), filepath.Dir(m.stint)} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Link(binary, m.stint); err != nil { // on another disk
		content, err := os.ReadFile(binary)
		if err == nil {
			err = os.WriteFile(m.stint, content, 0o700)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return m
}

func (m *terminal) config() string { return filepath.Join(m.home, ".aws", "config") }

func (m *terminal) env() []string {
	var env []string
	for _, v := range environment() {
		if name, _, _ := strings.Cut(v, "="); name != "HOME" && name != "DISPLAY" && name != "WAYLAND_DISPLAY" && name != "BROWSER" && !strings.HasPrefix(name, "XDG_") {
			env = append(env, v)
		}
	}
	return append(env, "HOME="+m.home)
}

// begun is a command that waits for the person.
type begun struct {
	t       *testing.T
	command *exec.Cmd
	stdin   io.WriteCloser
	words   buffer
	exited  chan error
}

func (m *terminal) begin(env []string, args ...string) *begun {
	t := m.t
	t.Helper()
	c := exec.CommandContext(context.Background(), m.stint, args...)
	c.Env = append(m.env(), env...)
	b := &begun{t: t, command: c, exited: make(chan error, 1)}
	c.Stdout, c.Stderr = &b.words, &b.words
	var err error
	if b.stdin, err = c.StdinPipe(); err == nil {
		err = c.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	go func() { b.exited <- c.Wait() }()
	t.Cleanup(func() {
		if c.ProcessState == nil {
			_ = c.Process.Kill()
		}
	})
	return b
}

// says waits until the command has said something.
func (b *begun) says(pattern string) []string {
	b.t.Helper()
	re := regexp.MustCompile(pattern)
	var found []string
	until(b.t, pattern+" in the words of the command", func() bool {
		found = re.FindStringSubmatch(b.words.String())
		return found != nil
	})
	return found
}

func (b *begun) ends(code int) string {
	b.t.Helper()
	select {
	case <-b.exited:
	case <-time.After(startTimeout):
		b.t.Fatalf("it does not end:\n%s", &b.words)
	}
	if got := b.command.ProcessState.ExitCode(); got != code {
		b.t.Fatalf("exit %d, want %d:\n%s", got, code, &b.words)
	}
	return b.words.String()
}

// run runs a command to its end.
func (m *terminal) run(args ...string) (stdout, stderr string, code int) {
	t := m.t
	t.Helper()
	c := exec.CommandContext(t.Context(), m.stint, args...)
	c.Env = m.env()
	var out, errs strings.Builder
	c.Stdout, c.Stderr = &out, &errs
	if err := c.Run(); err != nil && c.ProcessState == nil {
		t.Fatal(err)
	}
	return out.String(), errs.String(), c.ProcessState.ExitCode()
}

func (m *terminal) refuses(text string, args ...string) {
	m.t.Helper()
	stdout, stderr, code := m.run(args...)
	if code != 1 || !strings.Contains(stderr, text) || stdout != "" {
		m.t.Fatalf("stint %s: exit %d, want 1 and %q\n%s%s", strings.Join(args, " "), code, text, stdout, stderr)
	}
}

// process runs the credential_process of a profile as an SDK does.
func (m *terminal) process(profile string) (keyID, stderr string, code int) {
	t := m.t
	t.Helper()
	text, err := os.ReadFile(m.config())
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(text), "[profile "+profile+"]")
	line := regexp.MustCompile(`(?m)^credential_process = (.*)$`).FindStringSubmatch(after)
	if line == nil {
		t.Fatalf("no credential_process:\n%s", text)
	}
	c := exec.CommandContext(t.Context(), "sh", "-c", line[1])
	c.Env = m.env()
	var out, errs strings.Builder
	c.Stdout, c.Stderr = &out, &errs
	if err := c.Run(); err != nil {
		return "", errs.String(), c.ProcessState.ExitCode()
	}
	var answer struct {
		Version     int
		AccessKeyID string `json:"AccessKeyId"`
	}
	if err := json.Unmarshal([]byte(out.String()), &answer); err != nil || answer.Version != 1 || answer.AccessKeyID == "" {
		t.Fatalf("%v: %s", err, &out)
	}
	return answer.AccessKeyID, "", 0
}

// age makes all cached credentials older than they are.
func (m *terminal) age(by time.Duration) {
	t := m.t
	t.Helper()
	files, err := filepath.Glob(filepath.Join(m.home, ".cache", "stint", "login", "*", "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("cached: %v, %v", files, err)
	}
	for _, file := range files {
		var held map[string]any
		text, err := os.ReadFile(file)
		if err == nil {
			err = json.Unmarshal(text, &held)
		}
		if err != nil {
			t.Fatal(err)
		}
		fetched, err := time.Parse(time.RFC3339Nano, fmt.Sprint(held["Fetched"]))
		if err != nil {
			t.Fatal(err)
		}
		held["Fetched"] = fetched.Add(-by)
		if text, err = json.Marshal(held); err != nil {
			t.Fatal(err)
		}
		write(t, file, string(text))
	}
}

func TestLogin_ByBrowser(t *testing.T) {
	t.Parallel()
	needAWS(t)
	m := newTerminal(t, "deploy", "audit")
	const mine = "# mine\n[default]\nregion = eu-west-1\n\n[profile other]\n# a note\nrole_arn = arn:aws:iam::1:role/x\n"
	write(t, m.config(), mine)
	alice := newPerson(m.node)

	c := m.begin([]string{"BROWSER=true"}, "login", "--profile", "work", "--endpoint-url", m.node.url, "--role", "deploy", "--duration", "15m")
	link := c.says(`(http://\S+/portal/cli\?\S+)`)[1]
	code := c.says(`shows the code ([0-9A-F]{4}-[0-9A-F]{4})`)[1]
	page := alice.signIn(link, "Let the command line in?")
	if !strings.Contains(page, code) {
		t.Errorf("the page does not show %s:\n%s", code, page)
	}
	back := fieldsOf(page).Get("redirect_uri")
	for _, wrong := range []string{"?code=x&state=y", "?code=x", "", "/x?code=x"} {
		if body, status := alice.do(http.MethodGet, back+wrong, nil); status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", wrong, status, body)
		}
	}
	alice.want(http.MethodPost, "/portal/cli", fieldsOf(page, "answer", "allow"), "Go on in your terminal")
	words := c.ends(0)
	if !strings.Contains(words, "You are signed in as alice.") || !strings.Contains(words, "aws --profile work sts get-caller-identity") {
		t.Errorf("it says\n%s", words)
	}

	text, err := os.ReadFile(m.config())
	if err != nil {
		t.Fatal(err)
	}
	command := "\"" + m.stint + "\" login credentials --profile work --endpoint-url " + m.node.url + " --role arn:aws:iam::111122223333:role/deploy --duration 15m0s"
	want := mine + "\n[profile work]\ncredential_process = " + command + "\nservices = stint-work\nregion = us-east-1\n\n" +
		"[services stint-work]\nsts =\n  endpoint_url = " + m.node.url + "\niam =\n  endpoint_url = " + m.node.url + "\n"
	if string(text) != want {
		t.Errorf("the config file is\n%s\nwant\n%s", text, want)
	}
	logins, err := filepath.Glob(filepath.Join(m.home, ".config", "stint", "logins", "*"))
	if err != nil || len(logins) != 1 {
		t.Fatalf("logins: %v, %v", logins, err)
	}
	if info, err := os.Stat(logins[0]); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	var saved struct{ Token string }
	if text, err := os.ReadFile(logins[0]); err != nil || json.Unmarshal(text, &saved) != nil || len(saved.Token) < 43 {
		t.Fatalf("%v: %s", err, text)
	}

	who := func(profile string) string {
		t.Helper()
		var answer struct{ Arn string }
		a := &cli{t, m.node, m.home}
		a.must(profile, &answer, "sts", "get-caller-identity")
		return answer.Arn
	}
	if got := who("work"); got != "arn:aws:sts::111122223333:assumed-role/deploy/alice" {
		t.Errorf("work is %s", got)
	}
	first, _, _ := m.process("work")
	if again, _, _ := m.process("work"); again != first {
		t.Error("good credentials were thrown away")
	}
	m.age(11 * time.Minute) // of fifteen: time for others
	if second, stderr, _ := m.process("work"); second == first || second == "" {
		t.Errorf("old credentials were not renewed: %s", stderr)
	}

	// Another profile by the same login, without a browser; and the first once more, for another role.
	if _, stderr, code := m.run("login", "--profile", "me", "--endpoint-url", m.node.url, "--role", "own"); code != 0 {
		t.Fatal(stderr)
	}
	if got := who("me"); got != "arn:aws:iam::111122223333:user/alice" {
		t.Errorf("me is %s", got)
	}
	if _, stderr, code := m.run("login", "--profile", "work", "--role", "audit"); code != 0 {
		t.Fatal(stderr)
	}
	if got := who("work"); got != "arn:aws:sts::111122223333:assumed-role/audit/alice" {
		t.Errorf("work is %s", got)
	}
	m.refuses("does not let you in", "login", "--profile", "work", "--role", "nothing")

	if _, stderr, code := m.run("logout", "--profile", "work"); code != 0 || !strings.Contains(stderr, "signed out") {
		t.Fatal(stderr)
	}
	if _, stderr, code := m.process("work"); code != 1 || !strings.Contains(stderr, "run stint login --profile work") {
		t.Errorf("after logout: exit %d, %s", code, stderr)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, m.node.url+"/portal/cli/roles", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+saved.Token)
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusUnauthorized {
		t.Errorf("the login still works after logout: %d", response.StatusCode)
	}
	if _, stderr, code := m.run("logout", "--profile", "work"); code != 0 || !strings.Contains(stderr, "not signed in") {
		t.Errorf("exit %d, %s", code, stderr)
	}
	m.node.stop()
	if written := m.node.output.String(); strings.Contains(written, saved.Token) || auditHolds(t, m.node.dir, saved.Token) || anyFileHolds(t, m.node.dir, saved.Token) {
		t.Error("the login was written down on the server")
	}
	if !auditHolds(t, m.node.dir, `"eventName":"AllowCommandLine"`) {
		t.Error("no AllowCommandLine in the audit")
	}
}

func TestLogin_ByCode(t *testing.T) {
	t.Parallel()
	m := newTerminal(t, "deploy", "audit")
	alice := newPerson(m.node)
	c := m.begin([]string{"AWS_ENDPOINT_URL=" + m.node.url}, "login") // no display: no browser
	link := c.says(`(http://\S+/portal/device)\n`)[1]
	code := c.says(`type the code\s+([A-Z]{4}-[A-Z]{4})`)[1]
	form := alice.signIn(link, "Type the code")
	question := alice.want(http.MethodPost, "/portal/device", fieldsOf(form, "user_code", code), "Did you start this yourself?")
	alice.want(http.MethodPost, "/portal/device/answer", fieldsOf(question, "answer", "allow"), "Go on in your terminal")
	c.says(`(?s)audit.*deploy.*yourself.*Which role\?`)
	if _, err := io.WriteString(c.stdin, "zzz\nE\nDEPL\n"); err != nil {
		t.Fatal(err)
	}
	if words := c.ends(0); !strings.Contains(words, "Role: arn:aws:iam::111122223333:role/deploy") || !strings.Contains(words, `No role has "zzz"`) {
		t.Errorf("it says\n%s", words)
	}
	if _, stderr, code := m.process("stint"); code != 0 {
		t.Fatal(stderr)
	}

	// She signs out in the browser: what is there serves until its end, and then no more.
	alice.want(http.MethodPost, "/portal/sign-out", fieldsOf(alice.want(http.MethodGet, "/portal", nil, "Choose a role")), "signed out")
	m.age(50 * time.Minute)
	if _, stderr, code := m.process("stint"); code != 0 {
		t.Fatal(stderr)
	}
	m.age(10 * time.Minute)
	if _, stderr, code := m.process("stint"); code != 1 || !strings.Contains(stderr, "the sign-in has ended: run stint login --profile stint") {
		t.Errorf("exit %d, %s", code, stderr)
	}
}

func TestLogin_Refusals(t *testing.T) {
	t.Parallel()
	m := newTerminal(t)
	write(t, m.config(), "[profile keys]\nrole_arn = a\n\n[profile twice]\n[profile twice]\n")
	write(t, filepath.Join(m.home, ".aws", "credentials"), "[old]\naws_access_key_id = x\n")
	for profile, text := range map[string]string{"keys": "overwrite it with --force", "twice": "is there twice", "old": "has keys for profile old"} {
		m.refuses(text, "login", "--profile", profile, "--endpoint-url", m.node.url)
	}
	for endpoint, text := range map[string]string{
		"http://sts.example.com": "in clear text", "ftp://127.0.0.1": "must be an https URL", "http://u:p@127.0.0.1": "must be an https URL",
		"https://sts.example.com/x": "must be an https URL", "http://127.0.0.1:1": "cannot be reached", m.node.ops: "has no portal",
	} {
		m.refuses(text, "login", "--no-browser", "--endpoint-url", endpoint)
	}
	m.refuses("you are not signed in", "login", "credentials", "--role", "own", "--endpoint-url", m.node.url)

	alice := newPerson(m.node)
	c := m.begin([]string{"BROWSER=true"}, "login", "--endpoint-url", m.node.url)
	page := alice.signIn(c.says(`(http://\S+/portal/cli\?\S+)`)[1], "Let the command line in?")
	alice.want(http.MethodPost, "/portal/cli", fieldsOf(page, "answer", "deny"), "Not allowed")
	if words := c.ends(1); !strings.Contains(words, "refused in the browser") {
		t.Errorf("it says\n%s", words)
	}
	// Over a profile of one's own, by force; and there is only one role to choose.
	c = m.begin([]string{"BROWSER=true"}, "login", "--endpoint-url", m.node.url, "--profile", "keys", "--force")
	page = alice.want(http.MethodGet, c.says(`(http://\S+/portal/cli\?\S+)`)[1], nil, "Let the command line in?")
	alice.want(http.MethodPost, "/portal/cli", fieldsOf(page, "answer", "allow"), "Go on in your terminal")
	if words := c.ends(0); !strings.Contains(words, "Role: own") {
		t.Errorf("it says\n%s", words)
	}
}

// A server that stint login is pointed at may be anybody's: nothing of what it says reaches a shell or the terminal's controls.
func TestLogin_AtAHostileServer(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct{ role, want string }{
		"a role like any other": {"arn:aws:iam::111122223333:role/x", ""},
		"a shell's command":     {"arn:aws:iam::111122223333:role/$(touch${IFS}pwned)", "cannot stand in an AWS profile"},
		"a quote":               {`arn:aws:iam::111122223333:role/" x "`, "cannot stand in an AWS profile"},
		"another line":          {"arn:aws:iam::111122223333:role/x\nrole_arn = y", "cannot stand in an AWS profile"},
		"nothing":               {"", "cannot stand in an AWS profile"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mux := http.NewServeMux()
			for path, answer := range map[string]any{
				"POST /portal/cli/device-code": map[string]any{"device_code": "d", "user_code": "\x1b]0;BCDF-GHJK\x07", "verification_uri": "http://127.0.0.1/\x1b[2J", "interval": 1},
				"POST /portal/cli/token":       map[string]any{"access_token": "t", "expires_in": 60, "subject": "\x1b[31malice\r\n"},
				"GET /portal/cli/roles":        map[string]any{"subject": "alice", "roles": []map[string]string{{"arn": row.role, "name": "\x1b[2Jx"}}},
			} {
				mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(answer) })
			}
			server := httptest.NewServer(mux)
			t.Cleanup(server.Close)
			m := newHome(t, nil)
			stdout, stderr, code := m.run("login", "--no-browser", "--endpoint-url", server.URL)
			if row.want == "" && code != 0 || row.want != "" && (code != 1 || !strings.Contains(stderr, row.want)) {
				t.Errorf("exit %d\n%s", code, stderr)
			}
			if strings.ContainsAny(stdout+stderr, "\x1b\x07\r") {
				t.Errorf("it says %q", stdout+stderr)
			}
			if text, err := os.ReadFile(m.config()); (err == nil) != (row.want == "") {
				t.Errorf("the config file is %s, %v", text, err)
			}
		})
	}
}

// As in a company: HTTPS, by an authority of its own.
func TestLogin_OverTLS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	ca, caKey := certify(t, file("ca"), &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, nil, nil)
	certify(t, file("server"), &x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature}, ca, caKey)
	data := filepath.Join(t.TempDir(), "data")
	plain := start(t, data, "--account-id", "111122223333")
	people(plain, plain.root(), "deploy")
	plain.stop()
	n := start(t, data, "--tls-cert", file("server.pem"), "--tls-key", file("server.key"))
	m, alice := newHome(t, n), newPerson(n)
	roots := x509.NewCertPool()
	roots.AddCert(ca)
	alice.client.Transport.(*http.Transport).TLSClientConfig = &tls.Config{RootCAs: roots}

	m.refuses("cannot be reached", "login", "--no-browser", "--endpoint-url", n.url)
	c := m.begin([]string{"BROWSER=true", "AWS_CA_BUNDLE=" + file("ca.pem")}, "login", "--endpoint-url", n.url, "--role", "deploy")
	page := alice.signIn(c.says(`(https://\S+/portal/cli\?\S+)`)[1], "Let the command line in?")
	alice.want(http.MethodPost, "/portal/cli", fieldsOf(page, "answer", "allow"), "Go on in your terminal")
	c.ends(0)
	if _, stderr, code := m.process("stint"); code != 0 { // the profile knows the authority
		t.Error(stderr)
	}
	if text, err := os.ReadFile(m.config()); err != nil || !strings.Contains(string(text), "\nca_bundle = "+file("ca.pem")+"\n") {
		t.Errorf("%v\n%s", err, text)
	}
}
