package server

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/iam/store/pgtest"
	"github.com/stint-sts/stint/secret"
	"github.com/stint-sts/stint/server/dispatch"
	"github.com/stint-sts/stint/sigv4"
)

// bench is a server without listeners, with a user who may assume a role.
type bench struct {
	b       *testing.B
	front   *dispatch.Front
	handler http.Handler
	user    sigv4.Credentials
}

func newBench(b *testing.B) *bench { return newBenchOn(b, "") }

// newBenchOn is newBench with the directory in a database.
func newBenchOn(b *testing.B, database string) *bench {
	b.Helper()
	environment := map[string]string{
		"STINT_DATA_DIR": filepath.Join(b.TempDir(), "data"), "STINT_ACCOUNT_ID": "111122223333", "STINT_DATABASE": database,
	}
	cfg, err := Load(Sources{Env: func(name string) (string, bool) { value, ok := environment[name]; return value, ok }})
	if err != nil {
		b.Fatal(err)
	}
	s, err := Open(context.Background(), cfg, "bench", slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	welcome, err := s.Bootstrap(context.Background())
	if err != nil {
		b.Fatal(err)
	}
	verifier, err := sigv4.New(sigv4.Config{Services: []string{"sts", "iam"}})
	if err != nil {
		b.Fatal(err)
	}
	d := dispatch.New(dispatch.Config{
		Authenticator: authn.New(authn.Config{Directory: s.directory, Tokens: s.signer, Verifier: verifier}),
		Recorder:      s.audit, Log: s.log, Used: s.used,
	})
	front := s.front(d, newMetrics("bench", s.audit.Stats))
	x := &bench{b: b, front: front, handler: s.publicHandler(front, nil)}
	root := sigv4.Credentials{AccessKeyID: welcome.AccessKeyID, SecretAccessKey: welcome.SecretAccessKey}
	x.call(root, "iam", "Action=CreateUser&Version=2010-05-08&UserName=alice")
	key := x.call(root, "iam", "Action=CreateAccessKey&Version=2010-05-08&UserName=alice")
	x.user = sigv4.Credentials{AccessKeyID: between(key, "<AccessKeyId>"), SecretAccessKey: secret.New(between(key, "<SecretAccessKey>"))}
	x.call(root, "iam", "Action=CreateRole&Version=2010-05-08&RoleName=worker&AssumeRolePolicyDocument="+
		`%7B%22Version%22%3A%222012-10-17%22%2C%22Statement%22%3A%7B%22Effect%22%3A%22Allow%22%2C%22Principal%22%3A%7B%22AWS%22%3A%22arn%3Aaws%3Aiam%3A%3A111122223333%3Auser%2Falice%22%7D%2C%22Action%22%3A%22sts%3AAssumeRole%22%7D%7D`)
	return x
}

func between(text, tag string) string {
	_, after, _ := strings.Cut(text, tag)
	value, _, _ := strings.Cut(after, "<")
	return value
}

// request is a signed POST.
func (x *bench) request(c sigv4.Credentials, service, body string) *http.Request {
	x.b.Helper()
	r := httptest.NewRequest(http.MethodPost, "http://127.0.0.1:8470/", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	signed := sigv4.Request{Method: r.Method, Path: "/", Host: r.Host, Header: r.Header, Body: []byte(body)}
	if err := sigv4.Sign(&signed, c, "us-east-1", service, time.Now()); err != nil {
		x.b.Fatal(err)
	}
	return r
}

func (x *bench) call(c sigv4.Credentials, service, body string) string {
	x.b.Helper()
	w := httptest.NewRecorder()
	x.handler.ServeHTTP(w, x.request(c, service, body))
	if w.Code != http.StatusOK {
		x.b.Fatalf("%s: %d %s", body, w.Code, w.Body)
	}
	return w.Body.String()
}

// discard is a ResponseWriter that keeps the status only.
type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) WriteHeader(status int)      { d.status = status }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }

func (x *bench) run(c sigv4.Credentials, body func(i int) string) {
	x.b.ReportAllocs()
	const batch = 1000
	requests := make([]*http.Request, 0, batch)
	for i := 0; i < x.b.N; {
		x.b.StopTimer()
		requests = requests[:0]
		for range min(batch, x.b.N-i) {
			requests = append(requests, x.request(c, "sts", body(i)))
			i++
		}
		x.b.StartTimer()
		for _, r := range requests {
			w := discard{header: make(http.Header, 4)}
			if x.handler.ServeHTTP(&w, r); w.status != http.StatusOK {
				x.b.Fatalf("status %d", w.status)
			}
		}
	}
}

const assume = "Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A111122223333%3Arole%2Fworker&RoleSessionName="

// What AssumeRole needs of the directory is in memory: it costs the same wherever the directory is.
func BenchmarkDirectory(b *testing.B) {
	postgres := newBenchOn(b, pgtest.Start(b).Database(b))
	sqlite := newBench(b)
	unix.Sync() // what the new database wrote would hold up the audit log
	for name, x := range map[string]*bench{"PostgreSQL": postgres, "SQLite": sqlite} {
		b.Run(name, func(b *testing.B) {
			x.b = b
			x.run(x.user, func(i int) string { return fmt.Sprintf("%ssession-%d", assume, i) })
		})
	}
}

// What a call costs in the handler: everything but the network and net/http.
func BenchmarkQuery(b *testing.B) {
	identity := func(int) string { return "Action=GetCallerIdentity&Version=2011-06-15" }
	b.Run("AssumeRole", func(b *testing.B) {
		x := newBench(b)
		x.run(x.user, func(i int) string { return fmt.Sprintf("%ssession-%d", assume, i) })
	})
	b.Run("GetCallerIdentity/key", func(b *testing.B) {
		x := newBench(b)
		x.run(x.user, identity)
	})
	b.Run("GetCallerIdentity/session", func(b *testing.B) {
		x := newBench(b)
		out := x.call(x.user, "sts", assume+"s1")
		x.run(sigv4.Credentials{
			AccessKeyID: between(out, "<AccessKeyId>"), SecretAccessKey: secret.New(between(out, "<SecretAccessKey>")),
			SessionToken: secret.New(between(out, "<SessionToken>")),
		}, identity)
	})
}
