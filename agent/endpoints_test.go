package agent_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stint-sts/stint/agent"
	"github.com/stint-sts/stint/arn"
	"github.com/stint-sts/stint/secret"
)

var webRole = arn.ARN{Partition: "aws", Service: "iam", Account: "111122223333", Resource: "role/team/web"}

const authorization = "0123456789abcdefghijklmnopqrstuv"

// running starts a keeper of the source.
func running(t *testing.T, source agent.Source) *agent.Keeper {
	t.Helper()
	k, err := agent.New(agent.Config{Source: source, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = k.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return k
}

// served runs a handler as the agent does and returns its address.
func served(t *testing.T, l agent.Listener, h http.Handler) string {
	t.Helper()
	listener, err := l.Listen(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- agent.Serve(ctx, listener, h, time.Second, slog.New(slog.DiscardHandler)) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return listener.Addr().String()
}

func containerAt(t *testing.T, source agent.Source, wait time.Duration) string {
	t.Helper()
	c := &agent.Container{Keeper: running(t, source), Role: webRole, Token: secret.New(authorization), Wait: wait}
	return "http://" + served(t, agent.Listener{Address: "127.0.0.1:0"}, c.Handler())
}

func metadataAt(t *testing.T, change func(*agent.Metadata)) string {
	t.Helper()
	m := &agent.Metadata{Keeper: running(t, &fakeSource{lifetime: time.Hour}), Role: webRole, Region: "eu-west-1", Wait: 10 * time.Second}
	if change != nil {
		change(m)
	}
	return "http://" + served(t, agent.Listener{Address: "127.0.0.1:0", HopLimit: 1}, m.Handler())
}

// ask sends a request; headers are pairs, and one named Host sets the host.
func ask(t *testing.T, method, url string, headers ...string) (status int, body string, header http.Header) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			r.Host = headers[i+1]
		} else {
			r.Header.Add(headers[i], headers[i+1])
		}
	}
	client := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	answer, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(text), answer.Header
}

func TestContainer_Credentials(t *testing.T) {
	t.Parallel()
	url := containerAt(t, &fakeSource{lifetime: time.Hour}, 10*time.Second)
	status, body, header := ask(t, "GET", url+agent.ContainerPath, "Authorization", authorization)
	var got map[string]string
	if err := json.Unmarshal([]byte(body), &got); err != nil || status != 200 {
		t.Fatalf("%d %s: %v", status, body, err)
	}
	if _, err := time.Parse(time.RFC3339, got["Expiration"]); err != nil || !strings.HasSuffix(got["Expiration"], "Z") {
		t.Errorf("expiration %q: %v", got["Expiration"], err)
	}
	delete(got, "Expiration")
	want := map[string]string{
		"RoleArn": "arn:aws:iam::111122223333:role/team/web", "AccountId": "111122223333", "AccessKeyId": "key-1", "SecretAccessKey": "secret", "Token": "token",
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v", got)
	}
	if header.Get("Cache-Control") != "no-store" || header.Get("Content-Type") != "application/json" || header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("headers %v", header)
	}
	if status, body, _ := ask(t, "GET", url+"/healthz"); status != 200 || body != "ok\n" {
		t.Errorf("health: %d %s", status, body)
	}
}

// Who cannot have the credentials: another user of the machine, a page in a browser, a server that is tricked into fetching a URL.
func TestContainer_Attacks(t *testing.T) {
	t.Parallel()
	url := containerAt(t, &fakeSource{lifetime: time.Hour}, 10*time.Second)
	honest := func() {
		t.Helper()
		if status, body, _ := ask(t, "GET", url+agent.ContainerPath, "Authorization", authorization); status != 200 {
			t.Fatalf("the honest request: %d %s", status, body)
		}
	}
	honest()
	port := url[strings.LastIndexByte(url, ':'):]
	for _, row := range []struct {
		name    string
		method  string
		path    string
		headers []string
		status  int
	}{
		{"no token, as another user or an SSRF", "GET", agent.ContainerPath, nil, 401},
		{"a wrong token", "GET", agent.ContainerPath, []string{"Authorization", authorization[:31] + "w"}, 401},
		{"a prefix of the token", "GET", agent.ContainerPath, []string{"Authorization", authorization[:31]}, 401},
		{"an empty token", "GET", agent.ContainerPath, []string{"Authorization", ""}, 401},
		{"a scheme before the token", "GET", agent.ContainerPath, []string{"Authorization", "Bearer " + authorization}, 401},
		{"the token twice", "GET", agent.ContainerPath, []string{"Authorization", authorization, "Authorization", authorization}, 401},
		{"DNS rebinding", "GET", agent.ContainerPath, []string{"Authorization", authorization, "Host", "evil.example.com" + port}, 403},
		{"a name that begins like localhost", "GET", agent.ContainerPath, []string{"Authorization", authorization, "Host", "localhost.example.com" + port}, 403},
		{"DNS rebinding of the health page", "GET", "/healthz", []string{"Host", "evil.example.com"}, 403},
		{"a page of another site", "GET", agent.ContainerPath, []string{"Authorization", authorization, "Origin", "https://evil.example.com"}, 403},
		{"an image on a page", "GET", agent.ContainerPath, []string{"Authorization", authorization, "Sec-Fetch-Site", "cross-site"}, 403},
		{"a preflight", "OPTIONS", agent.ContainerPath, []string{"Origin", "https://evil.example.com", "Access-Control-Request-Headers", "authorization"}, 403},
		{"through a reverse proxy", "GET", agent.ContainerPath, []string{"Authorization", authorization, "X-Forwarded-For", "192.0.2.1"}, 403},
		{"through a newer reverse proxy", "GET", agent.ContainerPath, []string{"Authorization", authorization, "Forwarded", "for=192.0.2.1"}, 403},
		{"another method", "POST", agent.ContainerPath, []string{"Authorization", authorization}, 405},
		{"another path", "GET", "/v1/credentials/x", []string{"Authorization", authorization}, 404},
	} {
		status, body, header := ask(t, row.method, url+row.path, row.headers...)
		if status != row.status || strings.Contains(body, "key-1") || header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: %d %s %v", row.name, status, body, header)
		}
		var e struct{ Code, Message string }
		if row.status < 404 && (json.Unmarshal([]byte(body), &e) != nil || e.Code == "" || e.Message == "") {
			t.Errorf("%s: not the form of SDKs: %s", row.name, body)
		}
	}
	for _, host := range []string{"localhost" + port, "127.0.0.1", "[::1]" + port, "169.254.170.2", "[fd00:ec2::23]"} {
		if status, body, _ := ask(t, "GET", url+agent.ContainerPath, "Authorization", authorization, "Host", host); status != 200 {
			t.Errorf("Host %s: %d %s", host, status, body)
		}
	}
	honest()
}

func TestContainer_WithoutCredentials(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name   string
		err    error
		status int
		body   string
	}{
		{"unreachable", errors.New("dial tcp 10.1.2.3: refused by /etc/private"), 503,
			`{"Code":"CredentialsNotReady","Message":"There are no credentials yet; the log of the agent tells why."}`},
		{"refused", &agent.Refusal{Code: "AccessDenied", Message: "Not authorized to perform sts:AssumeRole"}, 403,
			`{"Code":"AccessDenied","Message":"Not authorized to perform sts:AssumeRole"}`},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			url := containerAt(t, &fakeSource{err: row.err}, 10*time.Millisecond)
			status, body, _ := ask(t, "GET", url+agent.ContainerPath, "Authorization", authorization)
			for status == 503 && row.status != 503 { // before the first attempt has ended
				status, body, _ = ask(t, "GET", url+agent.ContainerPath, "Authorization", authorization)
			}
			if status != row.status || strings.TrimSpace(body) != row.body {
				t.Errorf("%d %s", status, body)
			}
			if status, _, _ := ask(t, "GET", url+"/healthz"); status != 503 {
				t.Errorf("health: %d", status)
			}
		})
	}
}

func TestAuthorizationToken(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	made := filepath.Join(dir, "run", "token")
	first, err := agent.AuthorizationToken(made)
	if err != nil || len(first.Reveal()) < 40 {
		t.Fatalf("made %d characters, %v", len(first.Reveal()), err)
	}
	if info, err := os.Stat(made); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if again, err := agent.AuthorizationToken(made); err != nil || !again.Equal(first) {
		t.Errorf("the second start has another token: %v", err)
	}
	for _, row := range []struct {
		name, content string
		mode          os.FileMode
		want          string // part of the error
	}{
		{"given", authorization, 0o600, ""},
		{"given to a group", authorization, 0o640, ""},
		{"readable by all", authorization, 0o644, "chmod o="},
		{"writable by all", authorization, 0o602, "chmod o="},
		{"with a line break, which SDKs refuse", authorization + "\n", 0o600, "printf"},
		{"too short", "short", 0o600, "at least 16"},
		{"empty", "", 0o600, "at least 16"},
		{"too large", strings.Repeat("x", 20_000), 0o600, "larger than"},
	} {
		file := filepath.Join(dir, row.name)
		if err := os.WriteFile(file, []byte(row.content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(file, row.mode); err != nil {
			t.Fatal(err)
		}
		token, err := agent.AuthorizationToken(file)
		switch {
		case row.want == "" && (err != nil || token.Reveal() != row.content):
			t.Errorf("%s: %v", row.name, err)
		case row.want != "" && (err == nil || !strings.Contains(err.Error(), row.want) || !token.IsZero()):
			t.Errorf("%s: %v, want %q", row.name, err, row.want)
		}
	}
}

func metadataTokenFrom(t *testing.T, url, ttl string) string {
	t.Helper()
	status, token, header := ask(t, "PUT", url+"/latest/api/token", "X-aws-ec2-metadata-token-ttl-seconds", ttl)
	if status != 200 || header.Get("X-aws-ec2-metadata-token-ttl-seconds") != ttl || len(token) != 56 {
		t.Fatalf("token: %d %q %v", status, token, header)
	}
	return token
}

func TestMetadata(t *testing.T) {
	t.Parallel()
	url := metadataAt(t, nil)
	token := metadataTokenFrom(t, url, "21600")
	get := func(path string) (int, string) {
		t.Helper()
		status, body, _ := ask(t, "GET", url+path, "X-aws-ec2-metadata-token", token)
		return status, body
	}
	const credentials = "/latest/meta-data/iam/security-credentials"
	for path, want := range map[string]string{
		credentials: "web", credentials + "/": "web",
		"/latest/meta-data/placement/region":            "eu-west-1",
		"/latest/meta-data/placement/availability-zone": "eu-west-1a",
		"/latest/dynamic/instance-identity/document":    `{"accountId":"111122223333","availabilityZone":"eu-west-1a","region":"eu-west-1","version":"2017-09-30"}` + "\n",
	} {
		if status, body := get(path); status != 200 || body != want {
			t.Errorf("%s: %d %q, want %q", path, status, body, want)
		}
	}
	for _, path := range []string{credentials + "/other", "/latest/meta-data/iam/security-credentials-extended/", "/latest/meta-data/instance-id", "/"} {
		if status, body := get(path); status != 404 {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	status, body := get(credentials + "/web")
	var doc map[string]string
	if err := json.Unmarshal([]byte(body), &doc); err != nil || status != 200 {
		t.Fatalf("%d %s", status, body)
	}
	for _, name := range []string{"LastUpdated", "Expiration"} {
		if _, err := time.Parse(time.RFC3339, doc[name]); err != nil {
			t.Error(err)
		}
		delete(doc, name)
	}
	want := map[string]string{"Code": "Success", "Type": "AWS-HMAC", "AccessKeyId": "key-1", "SecretAccessKey": "secret", "Token": "token"}
	if fmt.Sprint(doc) != fmt.Sprint(want) {
		t.Errorf("got %v", doc)
	}
}

func TestMetadata_TokenRequests(t *testing.T) {
	t.Parallel()
	url := metadataAt(t, nil)
	metadataTokenFrom(t, url, "1")
	for _, row := range []struct {
		name    string
		method  string
		headers []string
		status  int
	}{
		{"no time to live", "PUT", nil, 400},
		{"zero", "PUT", []string{"X-aws-ec2-metadata-token-ttl-seconds", "0"}, 400},
		{"above six hours", "PUT", []string{"X-aws-ec2-metadata-token-ttl-seconds", "21601"}, 400},
		{"no number", "PUT", []string{"X-aws-ec2-metadata-token-ttl-seconds", "1e3"}, 400},
		{"negative", "PUT", []string{"X-aws-ec2-metadata-token-ttl-seconds", "-1"}, 400},
		{"beyond any number", "PUT", []string{"X-aws-ec2-metadata-token-ttl-seconds", strings.Repeat("9", 40)}, 400},
		{"twice", "PUT", []string{"X-aws-ec2-metadata-token-ttl-seconds", "60", "X-aws-ec2-metadata-token-ttl-seconds", "60"}, 400},
		{"through a proxy", "PUT", []string{"X-aws-ec2-metadata-token-ttl-seconds", "60", "X-Forwarded-For", "127.0.0.1"}, 403},
		{"through a proxy that names nobody", "PUT", []string{"X-aws-ec2-metadata-token-ttl-seconds", "60", "X-Forwarded-For", ""}, 403},
		{"DNS rebinding", "PUT", []string{"X-aws-ec2-metadata-token-ttl-seconds", "60", "Host", "evil.example.com"}, 403},
		{"a page", "PUT", []string{"X-aws-ec2-metadata-token-ttl-seconds", "60", "Origin", "null"}, 403},
		{"GET, as an SSRF has it", "GET", []string{"X-aws-ec2-metadata-token-ttl-seconds", "60"}, 401},
		{"POST", "POST", []string{"X-aws-ec2-metadata-token-ttl-seconds", "60"}, 405},
	} {
		if status, body, _ := ask(t, row.method, url+"/latest/api/token", row.headers...); status != row.status {
			t.Errorf("%s: %d %s, want %d", row.name, status, body, row.status)
		}
	}
}

func TestMetadata_TokenChecks(t *testing.T) {
	t.Parallel()
	const path = "/latest/meta-data/iam/security-credentials/web"
	now := time.Now()
	url := metadataAt(t, func(m *agent.Metadata) { m.Now = func() time.Time { return now } })
	token := metadataTokenFrom(t, url, "60")
	elsewhere := metadataTokenFrom(t, metadataAt(t, nil), "60")
	flipped := "B" + token[1:]
	for _, row := range []struct {
		name    string
		headers []string
		status  int
	}{
		{"right", []string{"X-aws-ec2-metadata-token", token}, 200},
		{"none, as IMDSv1 and an SSRF have it", nil, 401},
		{"empty", []string{"X-aws-ec2-metadata-token", ""}, 401},
		{"of another process", []string{"X-aws-ec2-metadata-token", elsewhere}, 401},
		{"with another end", []string{"X-aws-ec2-metadata-token", flipped}, 401},
		{"cut", []string{"X-aws-ec2-metadata-token", token[:50]}, 401},
		{"longer", []string{"X-aws-ec2-metadata-token", token + "AAAA"}, 401},
		{"twice", []string{"X-aws-ec2-metadata-token", token, "X-aws-ec2-metadata-token", token}, 401},
		{"right, through a proxy", []string{"X-aws-ec2-metadata-token", token, "X-Forwarded-For", "192.0.2.1"}, 403},
	} {
		if status, body, _ := ask(t, "GET", url+path, row.headers...); status != row.status {
			t.Errorf("%s: %d %s, want %d", row.name, status, body, row.status)
		}
	}
	now = now.Add(61 * time.Second)
	if status, _, _ := ask(t, "GET", url+path, "X-aws-ec2-metadata-token", token); status != 401 {
		t.Errorf("expired: %d", status)
	}
	now = now.Add(-48 * time.Hour)
	if status, _, _ := ask(t, "GET", url+path, "X-aws-ec2-metadata-token", token); status != 401 {
		t.Errorf("after the clock was set back by two days: %d", status)
	}
}

func TestMetadata_V1WhenAskedFor(t *testing.T) {
	t.Parallel()
	url := metadataAt(t, func(m *agent.Metadata) { m.V1, m.Region = true, "" })
	if status, body, _ := ask(t, "GET", url+"/latest/meta-data/iam/security-credentials/"); status != 200 || body != "web" {
		t.Errorf("%d %s", status, body)
	}
	for name, headers := range map[string][]string{
		"a wrong token": {"X-aws-ec2-metadata-token", "x"}, "a page": {"Sec-Fetch-Site", "same-origin"}, "DNS rebinding": {"Host", "evil.example.com"},
	} {
		if status, body, _ := ask(t, "GET", url+"/latest/meta-data/iam/security-credentials/", headers...); status != 401 && status != 403 {
			t.Errorf("%s: %d %s", name, status, body)
		}
	}
	if status, _, _ := ask(t, "GET", url+"/latest/meta-data/placement/region"); status != 404 {
		t.Errorf("a region that nobody named: %d", status)
	}
}

func TestMetadata_WithoutCredentials(t *testing.T) {
	t.Parallel()
	url := metadataAt(t, func(m *agent.Metadata) {
		m.Wait, m.Keeper = 10*time.Millisecond, running(t, &fakeSource{err: &agent.Refusal{Code: "AccessDenied", Message: "no"}})
	})
	token := metadataTokenFrom(t, url, "60")
	status, body := 503, ""
	for status == 503 { // before the first attempt has ended
		status, body, _ = ask(t, "GET", url+"/latest/meta-data/iam/security-credentials/web", "X-aws-ec2-metadata-token", token)
	}
	if status != 200 || !strings.Contains(body, `"Code":"AccessDenied"`) || strings.Contains(body, "Success") || strings.Contains(body, "AccessKeyId") {
		t.Errorf("%d %s", status, body)
	}
}

func TestListener_Addresses(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"127.0.0.1:0", "localhost:0", "[::1]:0"} {
		l, err := agent.Listener{Address: address}.Listen(t.Context())
		if errors.Is(err, unix.EADDRNOTAVAIL) || errors.Is(err, unix.EAFNOSUPPORT) {
			continue // a machine without IPv6
		}
		if err != nil {
			t.Errorf("%s: %v", address, err)
			continue
		}
		_ = l.Close()
	}
	for _, address := range []string{"0.0.0.0:0", ":0", "[::]:0", "10.0.0.1:0", "192.0.2.1:80", "169.254.1.1:80", "example.com:80", "169.254.170.3:80"} {
		if l, err := (agent.Listener{Address: address}).Listen(t.Context()); err == nil || !strings.Contains(err.Error(), "--insecure-listen") {
			t.Errorf("%s: %v, %v", address, l, err)
		}
	}
	if _, err := (agent.Listener{Address: "8473"}).Listen(t.Context()); err == nil {
		t.Error("a port alone")
	}
	if _, err := (agent.Listener{Address: "127.0.0.1:0", HopLimit: 256}).Listen(t.Context()); err == nil {
		t.Error("a hop limit of 256")
	}
	// The link-local addresses of AWS are let in; whether this machine has them is another matter.
	for _, address := range []string{"169.254.170.2:0", "169.254.170.23:0", "[fd00:ec2::23]:0", "169.254.169.254:0", "[fd00:ec2::254]:0"} {
		l, err := agent.Listener{Address: address}.Listen(t.Context())
		if err != nil && strings.Contains(err.Error(), "--insecure-listen") {
			t.Errorf("%s: %v", address, err)
		}
		if err == nil {
			_ = l.Close()
		}
	}
}

// A client that sends more than any SDK does is not served.
func TestServe_Bounds(t *testing.T) {
	t.Parallel()
	url := containerAt(t, &fakeSource{lifetime: time.Hour}, time.Second)
	for _, row := range []struct{ name, header, body, want string }{
		{"honest", "Authorization: " + authorization, "", " 200 "},
		{"a header of 64 KiB", "Authorization: " + strings.Repeat("x", 64<<10), "", " 431 "},
		{"a body", "Authorization: " + authorization + "\r\nContent-Length: 4", "body", " 400 "},
		{"a body of unknown length", "Authorization: " + authorization + "\r\nTransfer-Encoding: chunked", "0\r\n\r\n", " 400 "},
	} {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(conn, "GET "+agent.ContainerPath+" HTTP/1.1\r\nHost: localhost\r\n"+row.header+"\r\n\r\n"+row.body) // may be cut off
		answer := make([]byte, 16)
		if _, err := io.ReadFull(conn, answer); err != nil || !strings.Contains(string(answer), row.want) {
			t.Errorf("%s: %q, %v", row.name, answer, err)
		}
		_ = conn.Close()
	}
}
