package agent_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stint-sts/stint/agent"
)

// FuzzMetadata sends what a program that is not trusted may send: without a token of ours it gets no credentials.
func FuzzMetadata(f *testing.F) {
	k, err := agent.New(agent.Config{Source: &fakeSource{lifetime: time.Hour}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		f.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	f.Cleanup(stop)
	go func() { _ = k.Run(ctx) }()
	if err := k.Ready(ctx); err != nil {
		f.Fatal(err)
	}
	h := (&agent.Metadata{Keeper: k, Role: webRole, Region: "eu-west-1", Wait: time.Second}).Handler()
	const path = "/latest/meta-data/iam/security-credentials/web"
	issue := httptest.NewRequest(http.MethodPut, "http://127.0.0.1/latest/api/token", nil)
	issue.Header.Set("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", "21600")
	answer := httptest.NewRecorder()
	h.ServeHTTP(answer, issue)
	good := answer.Body.String()
	f.Add("GET", path, good, "127.0.0.1", "60")
	f.Add("GET", path, "", "localhost:80", "")
	f.Add("PUT", "/latest/api/token", "", "127.0.0.1", "-1")
	f.Add("GET", "/latest//meta-data/../meta-data/iam/security-credentials/web/", good+"=", "evil.example", "1")
	f.Fuzz(func(t *testing.T, method, target, token, host, ttl string) {
		r := httptest.NewRequest(http.MethodGet, "http://127.0.0.1/", nil)
		r.Method, r.URL.Path, r.Host = method, target, host
		r.Header.Set("X-Aws-Ec2-Metadata-Token", token)
		r.Header.Set("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", ttl)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code == http.StatusOK && method != http.MethodPut && token != good {
			t.Errorf("%s %q with token %q gives %s", method, target, token, w.Body)
		}
	})
}

// FuzzCache reads files that somebody else has written: what they hand out is whole and has not ended.
func FuzzCache(f *testing.F) {
	now := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	f.Add([]byte(`{"AccessKeyId":"a","SecretAccessKey":"b","SessionToken":"c","Expiration":"2026-11-28T13:00:00Z","Fetched":"2026-11-28T12:00:00Z","Lifetime":3600000000000}`))
	f.Add([]byte(`{"AccessKeyId":"a","Fetched":"2026-11-28T12:00:00Z","Lifetime":-1}`))
	f.Add([]byte("{"))
	dir := filepath.Join(f.TempDir(), "creds")
	if err := os.Mkdir(dir, 0o700); err != nil {
		f.Fatal(err)
	}
	c := &agent.Cache{Dir: dir, Now: func() time.Time { return now }}
	f.Fuzz(func(t *testing.T, text []byte) {
		if err := os.WriteFile(filepath.Join(dir, "name.json"), text, 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := c.Credentials(t.Context(), "name", fails)
		if err == nil && (got.AccessKeyID == "" || got.SecretAccessKey.IsZero() || got.SessionToken.IsZero() || got.Lifetime <= 0) {
			t.Errorf("handed out %+v", got)
		}
	})
}
