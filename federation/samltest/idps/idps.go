// Package idps runs identity providers that people use, for tests: SimpleSAMLphp (PHP) and samlify (JavaScript). They share no code with
// stint, nor with each other. Each listens on loopback, asks for name and password on a page, and ends with the test.
package idps

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/stint-sts/stint/federation/samltest"
)

// Config is what an identity provider knows.
type Config struct {
	Parties []Party
	Users   []User
}

// Party is a service provider that an identity provider sends people to.
type Party struct {
	EntityID      string `json:"entityID"` // of its requests, and the audience of assertions
	ACS           string `json:"acs"`
	SignResponse  bool   `json:"signResponse"`
	SignAssertion bool   `json:"signAssertion"`

	RequestCertificate    []byte `json:"requestCertificate"`    // DER; if it is there, requests must be signed by its key
	EncryptionCertificate []byte `json:"encryptionCertificate"` // DER; if it is there, assertions are encrypted to its key
}

// User is somebody who signs in.
type User struct {
	Name       string              `json:"name"` // NameID too
	Password   string              `json:"password"`
	Attributes map[string][]string `json:"attributes"`
}

// IdP is a running identity provider.
type IdP struct {
	URL      string // http://127.0.0.1:PORT
	Metadata string // the document that it serves

	unsolicited string // URL where a sign-in begins that no party has asked for, up to the party's entity id
}

// startTimeout bounds how long a provider may take to answer.
const startTimeout = 30 * time.Second

// need fails the test where CI is set, and skips it elsewhere.
func need(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

// cacheDir is where scripts/tools.sh and npm put what the providers are made of.
func cacheDir(t testing.TB) string {
	t.Helper()
	dir, err := os.UserCacheDir()
	if err != nil {
		need(t, "no cache directory: %v", err)
	}
	return filepath.Join(dir, "stint-test")
}

// settings writes what a provider reads: its key, and the configuration as JSON with more members.
func settings(t testing.TB, dir string, c Config, more map[string]any) {
	t.Helper()
	more["parties"], more["users"] = c.Parties, c.Users
	text, err := json.Marshal(more)
	if err != nil {
		t.Fatal(err)
	}
	idp := samltest.New(t, "idps")
	key, err := x509.MarshalPKCS8PrivateKey(idp.Key)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{
		"test.json":       text,
		"key.pem":         pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}),
		"certificate.pem": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: idp.Certificate}),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// run starts a program until the test ends, and returns the URL that it prints.
func run(t testing.TB, command *exec.Cmd, printed *regexp.Regexp) string {
	t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	command.Stdout, command.Stderr = write, write
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	_ = write.Close()
	found, ended := make(chan string, 1), make(chan struct{})
	output := &tail{}
	go func() {
		defer close(ended)
		var chunk [4096]byte
		for {
			n, err := read.Read(chunk[:])
			if m := printed.FindSubmatch(output.add(chunk[:n])); m != nil {
				select {
				case found <- string(m[1]):
				default:
				}
			}
			if err != nil {
				_ = read.Close()
				return
			}
		}
	}()
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
		<-ended
		if t.Failed() {
			t.Logf("%s said:\n%s", filepath.Base(command.Path), output.text)
		}
	})
	select {
	case url := <-found:
		return url
	case <-ended:
		t.Fatalf("%s ended: %s", command.Path, output.text)
	case <-time.After(startTimeout):
		t.Fatalf("%s does not listen after %v", command.Path, startTimeout)
	}
	return ""
}

// tail keeps the end of what a program prints.
type tail struct{ text []byte }

func (o *tail) add(p []byte) []byte {
	o.text = append(o.text, p...)
	if excess := len(o.text) - 16<<10; excess > 0 {
		o.text = o.text[excess:]
	}
	return o.text
}

// fetch reads a document of the provider.
func fetch(t testing.TB, url string) string {
	t.Helper()
	client := &http.Client{Timeout: startTimeout}
	answer, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %d, %v\n%s", url, answer.StatusCode, err, body)
	}
	return string(body)
}
