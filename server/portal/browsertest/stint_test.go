package browsertest_test

import (
	"context"
	"encoding/xml"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	"github.com/stint-sts/stint/server"
)

const (
	account  = "111122223333"
	prefix   = "arn:aws:iam::" + account + ":"
	password = "correct horse"
)

// stint is a whole one in this process, on free ports, until the test ends.
type stint struct {
	t   *testing.T
	url string
	dir string
	iam *iam.Client // of root
}

// serve starts stint. client is for its own API; nil over plain HTTP.
func serve(t *testing.T, settings map[string]string, client *http.Client) *stint {
	t.Helper()
	n := &stint{t: t, dir: filepath.Join(t.TempDir(), "data")}
	env := map[string]string{
		"STINT_DATA_DIR": n.dir, "STINT_ACCOUNT_ID": account, "STINT_LISTEN_HTTP": "127.0.0.1:0", "STINT_LISTEN_GRPC": "127.0.0.1:0",
		"STINT_LISTEN_OPS": "127.0.0.1:0", "STINT_PORTAL_TITLE": "Example access",
	}
	maps.Copy(env, settings)
	cfg, err := server.Load(server.Sources{Env: func(name string) (string, bool) { v, ok := env[name]; return v, ok }})
	if err != nil {
		t.Fatal(err)
	}
	s, err := server.Open(context.Background(), cfg, "test", slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	welcome, err := s.Bootstrap(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan server.Addresses, 1), make(chan error, 1)
	go func() { ended <- s.Run(ctx, func(at server.Addresses) { ready <- at }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run: %v", err)
		}
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	scheme := "http://"
	if env["STINT_TLS_CERT"] != "" {
		scheme = "https://"
	}
	select {
	case at := <-ready:
		n.url = scheme + at.HTTP
	case err := <-ended:
		ended <- err
		t.Fatal(err)
	}
	options := iam.Options{
		BaseEndpoint: &n.url, Region: "us-east-1",
		Credentials: credentials.NewStaticCredentialsProvider(welcome.AccessKeyID, welcome.SecretAccessKey.Reveal(), ""),
	}
	if client != nil {
		options.HTTPClient = client
	}
	n.iam = iam.New(options)
	_, err = n.iam.CreateAccountAlias(t.Context(), &iam.CreateAccountAliasInput{AccountAlias: aws.String("example-dev")})
	n.must(err)
	return n
}

func (n *stint) must(err error) {
	n.t.Helper()
	if err != nil {
		n.t.Fatal(err)
	}
}

// role makes a role with a trust policy of one statement, less Effect.
func (n *stint) role(name, trust string) string {
	n.t.Helper()
	out, err := n.iam.CreateRole(n.t.Context(), &iam.CreateRoleInput{
		RoleName: &name, AssumeRolePolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":{"Effect":"Allow",` + trust + `}}`),
		MaxSessionDuration: aws.Int32(7200),
	})
	n.must(err)
	return *out.Role.Arn
}

// requestCertificate is the one that signs stint's SAML requests.
func (n *stint) requestCertificate() []byte {
	n.t.Helper()
	answer, err := http.Get(n.url + "/saml/metadata")
	n.must(err)
	defer func() { _ = answer.Body.Close() }()
	var metadata struct {
		Certificate string `xml:"SPSSODescriptor>KeyDescriptor>KeyInfo>X509Data>X509Certificate"`
	}
	n.must(xml.NewDecoder(answer.Body).Decode(&metadata))
	return decode(n.t, metadata.Certificate)
}

// terminal is a shell of somebody who has nothing but the aws CLI. Extra variables are NAME=VALUE.
type terminal struct {
	t      *testing.T
	home   string
	env    []string
	whoami string // the command that asks who one is
}

func (n *stint) terminal(extra ...string) *terminal {
	n.t.Helper()
	version, err := exec.CommandContext(n.t.Context(), "aws", "--version").CombinedOutput()
	if err != nil {
		need(n.t, "the aws CLI is not installed: run scripts/tools.sh")
	}
	w := &terminal{t: n.t, home: n.t.TempDir(), env: extra, whoami: whoami}
	if !knowsEndpoint(string(version)) { // Debian 12's would ask AWS itself
		w.whoami += " --endpoint-url " + n.url
	}
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "AWS_") && !strings.HasPrefix(v, "STINT_") && !strings.HasPrefix(v, "HOME=") {
			w.env = append(w.env, v)
		}
	}
	w.env = append(w.env, "HOME="+w.home)
	return w
}

const whoami = "aws sts get-caller-identity --query Arn --output text"

// knowsEndpoint reports whether the CLI honours variables and profiles that name an endpoint: from 1.29 and 2.13 on, of mid-2023.
func knowsEndpoint(version string) bool {
	var major, minor int
	if _, err := fmt.Sscanf(version, "aws-cli/%d.%d.", &major, &minor); err != nil {
		return false
	}
	return major == 1 && minor >= 29 || major == 2 && minor >= 13 || major > 2
}

// types runs what somebody types or pastes into a new shell.
func (w *terminal) types(lines string) (output string, err error) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	shell := exec.CommandContext(ctx, "bash", "--norc", "-e")
	shell.Env, shell.Dir, shell.Stdin = w.env, w.home, strings.NewReader(lines)
	out, err := shell.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func (w *terminal) write(name, text string) {
	w.t.Helper()
	path := filepath.Join(w.home, name)
	err := os.MkdirAll(filepath.Dir(path), 0o700)
	if err == nil {
		err = os.WriteFile(path, []byte(text), 0o600)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}
