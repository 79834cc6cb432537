// Package idptest runs identity providers that others wrote, for tests: Dex (Go) and npm's oidc-provider (Node.js), each a process
// on loopback, with logins through their own pages and keys that rotate as they rotate them. Package oidctest is the issuer for
// tests that need one to misbehave.
package idptest

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Who signs in.
const (
	User      = "alice@example.com"
	DexUserID = "08a8684b-db88-4b73-90a9-3cd1661f5466" // of Dex's connector "local"
	Password  = "correct horse"
)

// Provider is one of the two. ID tokens of both live for three hours.
type Provider int

const (
	Dex          Provider = iota // one client; RS256 or ES256, as Options say
	OIDCProvider                 // a client for each of RS256, PS256, ES256, ES384 and EdDSA
)

func (p Provider) String() string { return [...]string{"Dex", "oidc-provider"}[p] }

// Providers are both.
var Providers = []Provider{Dex, OIDCProvider}

// Options change how a provider runs. The zero value is http, and RS256.
type Options struct {
	TLS       bool   // with a certificate of an authority that only CAFile has
	Algorithm string // of Dex's tokens; oidc-provider's depend on the client
}

// IdP is a provider that runs. It is for one goroutine.
type IdP struct {
	Issuer string
	CAFile string // certificate authority in PEM; empty without TLS

	t        testing.TB
	provider Provider
	options  Options
	dir      string
	program  func(address string) *exec.Cmd
	http     *http.Client

	command *exec.Cmd
	stdin   io.WriteCloser
	answers chan string
	log     log
}

// Start runs a provider until the test ends. Without what it needs (go and its module proxy; node and npm) the test skips; where CI
// is set it fails.
func Start(t testing.TB, provider Provider, o Options) *IdP {
	t.Helper()
	p := &IdP{t: t, provider: provider, options: o, dir: t.TempDir()}
	if o.Algorithm == "" {
		p.options.Algorithm = "RS256"
	}
	transport := &http.Transport{}
	certificate := ""
	if o.TLS {
		authority := newAuthority(t)
		p.CAFile, certificate = filepath.Join(p.dir, "ca.pem"), filepath.Join(p.dir, "server.pem")
		write(t, p.CAFile, authority.pem)
		write(t, certificate, authority.issue(t))
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(authority.pem)
		transport.TLSClientConfig = &tls.Config{RootCAs: roots}
	}
	p.http = &http.Client{Transport: transport, Timeout: time.Minute}
	t.Cleanup(transport.CloseIdleConnections)
	switch provider {
	case Dex:
		binary := dexBinary(t)
		p.program = func(address string) *exec.Cmd {
			return exec.Command(binary, "-listen", address, "-algorithm", p.options.Algorithm, "-certificate", certificate)
		}
	case OIDCProvider:
		modules := NodeModules(t)
		p.program = func(address string) *exec.Cmd {
			port := address[strings.LastIndexByte(address, ':')+1:]
			return exec.Command("node", filepath.Join(modules, "idp.mjs"), port, filepath.Join(p.dir, "keys.json"), certificate)
		}
	}
	t.Cleanup(p.stop)
	p.run("127.0.0.1:0")
	return p
}

// Client is the client id whose tokens are signed by the algorithm.
func (p *IdP) Client(algorithm string) string {
	p.t.Helper()
	if p.provider == OIDCProvider {
		return "stint-" + algorithm
	}
	if algorithm != p.options.Algorithm {
		p.t.Fatalf("this Dex signs with %s, not %s", p.options.Algorithm, algorithm)
	}
	return "stint"
}

// Rotate makes a new key that signs from now on. The key before it stays published, the ones before that are withdrawn.
func (p *IdP) Rotate() {
	p.t.Helper()
	if answer := p.ask("rotate"); answer != "rotated" {
		p.t.Fatalf("%v: %s", p.provider, answer)
	}
}

// Redirect lets Dex's client send people back to the URI too.
func (p *IdP) Redirect(uri string) {
	p.t.Helper()
	if answer := p.ask("redirect " + uri); answer != "redirects" {
		p.t.Fatalf("%v: %s", p.provider, answer)
	}
}

// Fetches counts how often this process was asked for its key set.
func (p *IdP) Fetches() int {
	p.t.Helper()
	n, err := strconv.Atoi(p.ask("fetches"))
	if err != nil {
		p.t.Fatal(err)
	}
	return n
}

// Kill ends the process without warning.
func (p *IdP) Kill() {
	p.t.Helper()
	if err := p.command.Process.Kill(); err != nil {
		p.t.Fatal(err)
	}
	_ = p.command.Wait()
}

// Restart runs the provider again under the same issuer. oidc-provider has its keys still, Dex has new ones.
func (p *IdP) Restart() {
	p.t.Helper()
	u, err := url.Parse(p.Issuer)
	if err != nil {
		p.t.Fatal(err)
	}
	was := p.Issuer
	if p.run(u.Host); p.Issuer != was {
		p.t.Fatalf("the issuer was %s and is %s", was, p.Issuer)
	}
}

// startTimeout bounds how long a provider may take to start, or to answer a command.
const startTimeout = time.Minute

func (p *IdP) run(address string) {
	p.t.Helper()
	p.command = p.program(address)
	p.command.Stderr = &p.log
	stdin, err := p.command.StdinPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	stdout, err := p.command.StdoutPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	if err := p.command.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.stdin = stdin
	answers := make(chan string)
	p.answers = answers
	done := p.t.Context().Done()
	go func() {
		defer close(answers)
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			select {
			case answers <- lines.Text():
			case <-done:
			}
		}
	}()
	p.Issuer = p.answer()
}

func (p *IdP) ask(command string) string {
	p.t.Helper()
	if _, err := fmt.Fprintln(p.stdin, command); err != nil {
		p.t.Fatalf("%v: %v\n%s", p.provider, err, &p.log)
	}
	return p.answer()
}

func (p *IdP) answer() string {
	p.t.Helper()
	select {
	case line, ok := <-p.answers:
		if !ok {
			p.t.Fatalf("%v ended\n%s", p.provider, &p.log)
		}
		return line
	case <-time.After(startTimeout):
		p.t.Fatalf("%v does not answer\n%s", p.provider, &p.log)
		return ""
	}
}

// stop ends the process, which the end of its standard input asks for.
func (p *IdP) stop() {
	if p.command == nil || p.command.Process == nil || p.command.ProcessState != nil {
		return
	}
	_ = p.stdin.Close()
	killer := time.AfterFunc(startTimeout, func() { _ = p.command.Process.Kill() })
	defer killer.Stop()
	_ = p.command.Wait()
}

// log keeps what a provider says of itself.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func write(t testing.TB, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}
