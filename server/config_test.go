package server_test

import (
	"bytes"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stint-sts/stint/server"
)

var update = flag.Bool("update", false, "rewrite generated documents")

func load(file string, env, flags map[string]string) (*server.Config, error) {
	src := server.Sources{
		Env:   func(name string) (string, bool) { v, ok := env[name]; return v, ok },
		Flags: flags,
		Read: func(string) ([]byte, error) {
			if file == "" {
				return nil, fs.ErrNotExist
			}
			return []byte(file), nil
		},
	}
	if file != "" {
		src.File = "/etc/stint.yaml"
	}
	return server.Load(src)
}

func TestLoad_Precedence(t *testing.T) {
	t.Parallel()
	file := "listen:\n  http: 127.0.0.1:1\n  grpc: 127.0.0.1:2\n  ops: 127.0.0.1:3\ntoken: {signing: EdDSA, seal: true}\ntrusted-proxies: [10.0.0.0/8, 192.0.2.1]\nsession:\n  max-chained: 2h\nquotas:\n  roles-per-account: 5000\n"
	c, err := load(file,
		map[string]string{"STINT_LISTEN_HTTP": "127.0.0.1:11", "STINT_LISTEN_GRPC": "127.0.0.1:12"},
		map[string]string{"listen-http": "127.0.0.1:21"})
	if err != nil {
		t.Fatal(err)
	}
	if c.ListenHTTP != "127.0.0.1:21" || c.ListenGRPC != "127.0.0.1:12" || c.ListenOps != "127.0.0.1:3" {
		t.Errorf("flag > environment > file: got %s %s %s", c.ListenHTTP, c.ListenGRPC, c.ListenOps)
	}
	if c.TokenSigning != "EdDSA" || !c.TokenSeal || c.MaxChained != 2*time.Hour || c.Quotas.RolesPerAccount != 5000 {
		t.Errorf("file values are lost: %+v", c)
	}
	if c.DataDir != "./stint-data" || c.AuditMode != "required" || c.Quotas.UsersPerAccount != 5000 {
		t.Errorf("defaults are lost: %+v", c)
	}
	if len(c.TrustedProxies) != 2 || c.TrustedProxies[1].String() != "192.0.2.1/32" {
		t.Errorf("trusted proxies are %v", c.TrustedProxies)
	}
}

func TestLoad_TellsEveryFaultWithItsPlace(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, file string
		env, flags map[string]string
		want       []string
	}{
		{
			name: "unknown key", file: "data-dir: /x\nlisten:\n  htpp: 127.0.0.1:1\n",
			want: []string{"stint.yaml:3: listen.htpp: unknown key"},
		},
		{name: "misspelt key", file: "data_dir: /x\n", want: []string{"stint.yaml:1: data_dir: unknown key, did you mean data-dir?"}},
		{
			name: "all at once", file: "log:\n  level: loud\n  format: xml\nsession:\n  max-chained: forever\n",
			env: map[string]string{"STINT_ACCOUNT_ID": "12"}, flags: map[string]string{"log-format": "csv"},
			want: []string{"stint.yaml:2: log.level:", "--log-format: log.format: must be one of text, json", "stint.yaml:5: session.max-chained: must be a duration", "STINT_ACCOUNT_ID: account.id: must be 12 digits"},
		},
		{name: "a list where a value belongs", file: "redis: [a]\n", want: []string{"stint.yaml:1: redis: must be a single value"}},
		{name: "given twice", file: "redis: a\nredis: b\n", want: []string{"redis"}},
		{name: "no YAML", file: "a: [", want: []string{"/etc/stint.yaml: config:"}},
		{name: "half of TLS", flags: map[string]string{"tls-cert": "x"}, want: []string{"tls.cert and tls.key are given together"}},
		{
			name: "reachable without TLS", flags: map[string]string{"listen-http": "0.0.0.0:8470"},
			want: []string{"listen.http: 0.0.0.0:8470 can be reached by others and has no TLS", "--insecure-http"},
		},
		{name: "all interfaces by omission", flags: map[string]string{"listen-ops": ":8472"}, want: []string{"listen.ops: :8472 can be reached"}},
		{name: "no port", flags: map[string]string{"listen-http": "127.0.0.1"}, want: []string{"must be an address and a port"}},
		{name: "a proxy that is none", env: map[string]string{"STINT_TRUSTED_PROXIES": "10.0.0.0/8,proxy"}, want: []string{`"proxy" is no network`}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if _, err := load("", nil, nil); err != nil {
				t.Fatalf("the defaults are refused: %v", err)
			}
			_, err := load(row.file, row.env, row.flags)
			if err == nil {
				t.Fatal("accepted")
			}
			for _, want := range row.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error is %q, want %q in it", err, want)
				}
			}
		})
	}
}

func TestLoad_InsecureHTTPHasToBeSaid(t *testing.T) {
	t.Parallel()
	if _, err := load("", nil, map[string]string{"listen-http": "0.0.0.0:8470", "insecure-http": "true"}); err != nil {
		t.Error(err)
	}
	for _, loopback := range []string{"localhost:1", "127.9.9.9:1", "[::1]:1"} {
		if _, err := load("", nil, map[string]string{"listen-http": loopback}); err != nil {
			t.Errorf("%s: %v", loopback, err)
		}
	}
}

// docs/configuration.md is generated; -update rewrites it.
func TestReferenceIsCurrent(t *testing.T) {
	t.Parallel()
	path := filepath.Join("..", "docs", "configuration.md")
	var want bytes.Buffer
	want.WriteString(configurationIntro)
	if err := server.WriteReference(&want); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(path, want.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want.Bytes()) {
		t.Errorf("%s is not what the settings say: run go test ./server -run TestReferenceIsCurrent -update", path)
	}
}

const configurationIntro = `# Configuration

One YAML file (` + "`--config FILE` or `STINT_CONFIG`" + `), every key also as an environment variable, the common ones as flags.
A flag wins over the environment, the environment over the file, the file over the default. A dot in a key nests in the file:
` + "`listen.http`" + ` is ` + "`http`" + ` below ` + "`listen`" + `. An unknown key is an error that names the key and its line; all mistakes are told at once.

An address that others can reach needs TLS, or ` + "`--insecure-http`" + `. The certificate is read again when its files change.

`

// The example configuration is one that stint reads.
func TestExampleConfiguration(t *testing.T) {
	t.Parallel()
	c, err := server.Load(server.Sources{
		File: filepath.Join("..", "deploy", "stint.example.yaml"), Env: func(string) (string, bool) { return "", false },
	})
	if err != nil {
		t.Fatal(err)
	}
	if c.DataDir != "/var/lib/stint" || c.Quotas.RolesPerAccount != 5000 || c.AuditMaxFiles != 100 {
		t.Errorf("it reads %+v", c)
	}
}
