package server_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stint-sts/stint/server"
	"github.com/stint-sts/stint/sigv4"
)

const (
	stsVersion = "Version=2011-06-15"
	iamVersion = "Version=2010-05-08"
	whoAmI     = "Action=GetCallerIdentity&" + stsVersion
	formType   = "application/x-www-form-urlencoded"
)

// running is a stint in this process, on free ports, until the test ends.
type running struct {
	t    *testing.T
	dir  string
	at   server.Addresses
	root sigv4.Credentials
	log  *lines
	http *http.Client
}

// lines collects the log.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// serve runs a stint with settings (environment variables) beyond those that every test needs.
func serve(t *testing.T, settings map[string]string) *running {
	t.Helper()
	n := &running{t: t, dir: filepath.Join(t.TempDir(), "data"), log: &lines{}, http: &http.Client{Transport: &http.Transport{}}}
	env := map[string]string{
		"STINT_DATA_DIR": n.dir, "STINT_ACCOUNT_ID": "111122223333", "STINT_LISTEN_HTTP": "127.0.0.1:0", "STINT_LISTEN_GRPC": "127.0.0.1:0",
		"STINT_LISTEN_OPS": "127.0.0.1:0",
	}
	maps.Copy(env, settings)
	cfg, err := load("", env, nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := server.Open(context.Background(), cfg, "test", slog.New(slog.NewTextHandler(n.log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	if err != nil {
		t.Fatal(err)
	}
	welcome, err := s.Bootstrap(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	n.root = sigv4.Credentials{AccessKeyID: welcome.AccessKeyID, SecretAccessKey: welcome.SecretAccessKey}
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan server.Addresses, 1), make(chan error, 1)
	go func() { ended <- s.Run(ctx, func(at server.Addresses) { ready <- at }) }()
	select {
	case n.at = <-ready:
	case err := <-ended:
		cancel()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		n.http.CloseIdleConnections()
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run: %v", err)
		}
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return n
}

// request is one HTTP request; what is empty is as an SDK sends it.
type request struct {
	method  string // POST
	path    string // /
	query   string
	body    string
	header  http.Header
	service string // sts
	creds   *sigv4.Credentials
	sign    bool // with creds, or else with root's
	chunked bool
}

// answer is what came back.
type answer struct {
	*http.Response
	body string
}

func (n *running) send(in request) answer {
	n.t.Helper()
	if in.method == "" {
		in.method = http.MethodPost
	}
	if in.path == "" {
		in.path = "/"
	}
	if in.service == "" {
		in.service = "sts"
	}
	scheme := "http://"
	if n.at.TLS {
		scheme = "https://"
	}
	url := scheme + n.at.HTTP + in.path
	if in.query != "" {
		url += "?" + in.query
	}
	r, err := http.NewRequestWithContext(n.t.Context(), in.method, url, nil)
	if err != nil {
		n.t.Fatal(err)
	}
	if in.body != "" {
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(in.body)), int64(len(in.body))
		r.Header.Set("Content-Type", formType)
	}
	if in.chunked {
		r.ContentLength = -1
	}
	maps.Copy(r.Header, in.header)
	if in.sign {
		creds := n.root
		if in.creds != nil {
			creds = *in.creds
		}
		signed := sigv4.Request{Method: r.Method, Path: in.path, RawQuery: in.query, Host: r.URL.Host, Header: r.Header, Body: []byte(in.body)}
		if err := sigv4.Sign(&signed, creds, "eu-west-1", in.service, time.Now()); err != nil {
			n.t.Fatal(err)
		}
	}
	response, err := n.http.Do(r)
	if err != nil {
		n.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		n.t.Fatal(err)
	}
	return answer{response, string(body)}
}

// element returns the content of the first XML element of that name.
func (a answer) element(name string) string {
	_, after, found := strings.Cut(a.body, "<"+name+">")
	value, _, closed := strings.Cut(after, "</"+name+">")
	if !found || !closed {
		return ""
	}
	return strings.NewReplacer("&lt;", "<", "&gt;", ">", "&amp;", "&").Replace(value)
}
