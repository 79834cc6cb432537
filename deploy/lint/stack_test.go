package lint_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
	"github.com/compose-spec/compose-go/v2/cli"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"
	"sigs.k8s.io/yaml"

	"github.com/stint-sts/stint/iam/store/pgtest"
	stsv1 "github.com/stint-sts/stint/proto/stint/sts/v1"
	"github.com/stint-sts/stint/session/redistest"
	"github.com/stint-sts/stint/stintgrpc"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// patience bounds what another process may take; machines are busy.
const patience = time.Minute

// stack is what compose.yaml starts, without containers: its settings, its secrets, its Redis users, its HAProxy.
type stack struct {
	t      *testing.T
	dir    string
	stint  string // program
	env    []string
	nodes  []*stackNode
	url    string // of the proxy
	root   aws.Credentials
	client *http.Client
	ca     *x509.CertPool

	proxied buffer // what the proxy says
}

// buffer collects output of a process that runs.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

type stackNode struct {
	http, grpc, ops, data string
	process               *exec.Cmd
}

func startStack(t *testing.T) *stack {
	t.Helper()
	need(t, "openssl", "haproxy", "redis-server")
	s := &stack{t: t, dir: makeSecrets(t)}
	secret := func(name string) string { return filepath.Join(s.dir, "secrets", name) }
	redis := redistest.Start(t, "--appendonly", "no", "--maxmemory-policy", "noeviction", "--aclfile", secret("redis.users"))
	database := pgtest.Database(t)

	s.stint = filepath.Join(t.TempDir(), "stint")
	build := exec.CommandContext(t.Context(), "go", "build", "-C", "../..", "-o", s.stint, "./cmd/stint")
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // as the image has it
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	s.env = settings(t, map[string]string{
		"/run/secrets/master-key": secret("master.key"), "/run/secrets/redis-password": secret("redis.password"), "@redis:6379": "@" + redis.Addr,
		"0.0.0.0": "127.0.0.1", ":8470": ":0", ":8471": ":0", ":8472": ":0", "172.30.84.2/32": "127.0.0.1/32",
	}, "STINT_DATABASE", "STINT_DATABASE_PASSWORD_FILE")
	s.env = append(s.env, "STINT_DATABASE="+database, "PATH="+os.Getenv("PATH"))
	for range 2 {
		s.nodes = append(s.nodes, s.startNode())
	}
	s.startProxy(secret("tls.pem"))
	s.readRoot()
	return s
}

// settings is the environment of compose.yaml's nodes, with replacements, all of which must be of use.
func settings(t *testing.T, replace map[string]string, without ...string) (env []string) {
	t.Helper()
	options, err := cli.NewProjectOptions([]string{"../compose/compose.yaml"}, cli.WithInterpolation(true))
	if err != nil {
		t.Fatal(err)
	}
	project, err := options.LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	used := make(map[string]bool)
	for key, value := range project.Services["stint-1"].Environment {
		if slices.Contains(without, key) {
			continue
		}
		text := *value
		for from, to := range replace {
			if strings.Contains(text, from) {
				used[from], text = true, strings.ReplaceAll(text, from, to)
			}
		}
		env = append(env, key+"="+text)
	}
	if len(used) != len(replace) {
		t.Fatalf("replaced were only %v", used)
	}
	return env
}

var ready = regexp.MustCompile(`(?s)AWS API\s+http://(\S+)\s+gRPC\s+(\S+)\s+ops\s+http://(\S+).*Go on in another terminal`)

func (s *stack) startNode() *stackNode {
	s.t.Helper()
	n := &stackNode{data: filepath.Join(s.t.TempDir(), "data")}
	n.process = exec.Command(s.stint, "serve")
	n.process.Env = append(slices.Clone(s.env), "STINT_DATA_DIR="+n.data)
	n.process.Stderr = s.t.Output()
	stdout, err := n.process.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	s.start(n.process, syscall.SIGTERM)
	greeting := make(chan []string, 1)
	go func() {
		var text strings.Builder
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			text.WriteString(lines.Text() + "\n")
			if m := ready.FindStringSubmatch(text.String()); m != nil {
				greeting <- m
				_, _ = io.Copy(io.Discard, stdout)
				return
			}
		}
		close(greeting)
	}()
	select {
	case m := <-greeting:
		if m == nil {
			s.t.Fatal("a node ended")
		}
		n.http, n.grpc, n.ops = m[1], m[2], m[3]
	case <-time.After(patience):
		s.t.Fatal("a node is not ready")
	}
	return n
}

// start starts a process that a signal stops when the test ends.
func (s *stack) start(c *exec.Cmd, stop os.Signal) {
	s.t.Helper()
	if err := c.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		if c.ProcessState == nil {
			_ = c.Process.Signal(stop)
			_ = c.Wait()
		}
	})
}

// startProxy runs haproxy.cfg with the nodes' ports.
func (s *stack) startProxy(certificate string) {
	s.t.Helper()
	public, health := freePort(s.t), freePort(s.t)
	config := string(read(s.t, "../compose/haproxy.cfg"))
	replace := func(from, to string) {
		if !strings.Contains(config, from) {
			s.t.Fatalf("haproxy.cfg lacks %q", from)
		}
		config = strings.ReplaceAll(config, from, to)
	}
	replace("/run/secrets/tls", certificate)
	replace("bind :8443", "bind 127.0.0.1:"+public)
	replace("127.0.0.1:8404", "127.0.0.1:"+health)
	replace(" port 8472", "")
	for i, n := range s.nodes {
		_, ops, _ := net.SplitHostPort(n.ops)
		replace(fmt.Sprintf("stint-%d:8470", i+1), n.http+" port "+ops)
		replace(fmt.Sprintf("stint-%d:8471", i+1), n.grpc)
	}
	file := filepath.Join(s.dir, "haproxy.cfg")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		s.t.Fatal(err)
	}
	proxy := exec.Command(haproxy(), "-db", "-f", file)
	proxy.Stdout, proxy.Stderr = &s.proxied, &s.proxied
	s.t.Cleanup(func() {
		if s.t.Failed() {
			s.t.Log(s.proxied.String())
		}
	})
	s.start(proxy, syscall.SIGTERM)

	text, err := os.ReadFile(certificate)
	if err != nil {
		s.t.Fatal(err)
	}
	s.ca = x509.NewCertPool()
	s.ca.AppendCertsFromPEM(text)
	s.url = "https://localhost:" + public
	s.client = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: s.ca}}}
	s.until("the proxy finds its nodes", func() bool {
		answer, err := http.Get("http://127.0.0.1:" + health + "/healthz")
		if err != nil {
			return false
		}
		defer func() { _ = answer.Body.Close() }()
		return answer.StatusCode == http.StatusOK
	})
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// readRoot reads the root access key from the node that made the account.
func (s *stack) readRoot() {
	s.t.Helper()
	key := regexp.MustCompile(`aws_access_key_id = (\S+)\s+aws_secret_access_key = (\S+)`)
	for _, n := range s.nodes {
		text, err := os.ReadFile(filepath.Join(n.data, "bootstrap", "credentials"))
		if m := key.FindSubmatch(text); err == nil && m != nil {
			s.root = aws.Credentials{AccessKeyID: string(m[1]), SecretAccessKey: string(m[2])}
			return
		}
	}
	s.t.Fatal("no node has the root access key")
}

func (s *stack) until(what string, done func() bool) {
	s.t.Helper()
	late := time.After(patience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-late:
			s.t.Fatalf("not seen within %v: %s", patience, what)
		}
	}
}

func (s *stack) config(c aws.Credentials) aws.Config {
	return aws.Config{
		Region: "us-east-1", BaseEndpoint: &s.url, HTTPClient: s.client, RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(c.AccessKeyID, c.SecretAccessKey, c.SessionToken),
	}
}

func (s *stack) must(_ any, err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// What compose.yaml starts works: the AWS API and gRPC through the proxy, on both nodes, with Redis's user allowed what stint needs, and
// on without a node. And what the dashboard and the alerts ask for is what the nodes export.
func TestStack(t *testing.T) {
	t.Parallel()
	s := startStack(t)
	t.Run("from scratch", s.fromScratch)
	ctx := t.Context()
	alice := s.traffic(ctx)

	client, err := stintgrpc.Dial(strings.TrimPrefix(s.url, "https://"), stintgrpc.WithTLS(&tls.Config{RootCAs: s.ca, MinVersion: tls.VersionTLS12}),
		stintgrpc.WithCredentials(aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return alice, nil })))
	s.must(nil, err)
	defer func() { _ = client.Close() }()
	who, err := client.GetCallerIdentity(ctx, &stsv1.GetCallerIdentityRequest{})
	s.must(nil, err)
	if !strings.HasSuffix(who.GetArn(), ":user/alice") {
		t.Errorf("over gRPC alice is %s", who.GetArn())
	}
	// The address in the audit log is the caller's, not what the caller says.
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/?Action=GetCallerIdentity&Version=2011-06-15", nil)
	s.must(nil, err)
	r.Header.Set("X-Forwarded-For", "203.0.113.9")
	answer, err := s.client.Do(r)
	s.must(nil, err)
	_ = answer.Body.Close()
	for _, n := range s.nodes {
		files, _ := filepath.Glob(filepath.Join(n.data, "audit", "*"))
		for _, f := range files {
			text := read(t, f)
			t.Logf("%d bytes of audit for each of %d calls", len(text)/max(1, bytes.Count(text, []byte("\n"))), bytes.Count(text, []byte("\n")))
			if bytes.Contains(text, []byte("203.0.113.9")) {
				t.Errorf("%s believes what a client says of its address", f)
			}
		}
	}

	checkQueries(t, s.scrape())

	// The user of Redis may do what nodes need to tell each other of revocations.
	revoke := exec.CommandContext(ctx, s.stint, "session", "revoke", "--wait", alice.AccessKeyID)
	revoke.Env = append(slices.Clone(s.env), "STINT_DATA_DIR="+s.nodes[0].data)
	if out, err := revoke.CombinedOutput(); err != nil || !strings.Contains(string(out), "2 node(s)") {
		t.Errorf("revoking gives %v\n%s", err, out)
	}

	// One node goes: the proxy sends calls to the other.
	if err := s.nodes[0].process.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := s.nodes[0].process.Wait(); err != nil {
		t.Errorf("the node does not stop in order: %v", err)
	}
	s.until("the proxy sees that the node is away", func() bool { return strings.Contains(s.proxied.String(), "Server grpc/stint-1 is DOWN") })
	caller := sts.NewFromConfig(s.config(alice))
	for range 5 {
		_, err := caller.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
		s.must(nil, err)
		_, err = client.GetCallerIdentity(ctx, &stsv1.GetCallerIdentityRequest{})
		s.must(nil, err)
	}
	if strings.Contains(s.proxied.String(), "stint-2 is DOWN") {
		t.Error("the proxy takes the node that is there for away")
	}
}

// fromScratch runs the program as the image does: alone, as user 65532, where there is no shell and no /tmp, and nothing to write but /data.
func (s *stack) fromScratch(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: only root can leave everything else behind")
	}
	const user = 65532
	root, err := os.MkdirTemp("", "stint-scratch-") // that others may enter
	s.must(nil, err)
	t.Cleanup(func() { _ = os.RemoveAll(root) })
	s.must(nil, os.Chmod(root, 0o755))
	s.must(nil, os.Mkdir(filepath.Join(root, "data"), 0o700))
	s.must(nil, os.Chown(filepath.Join(root, "data"), user, user))
	program, err := os.ReadFile(s.stint)
	s.must(nil, err)
	s.must(nil, os.WriteFile(filepath.Join(root, "stint"), program, 0o755))
	ops := "127.0.0.1:" + freePort(t)
	command := func(args ...string) *exec.Cmd {
		c := exec.CommandContext(context.WithoutCancel(t.Context()), "/stint", args...)
		c.Dir = "/"
		c.Env = []string{"STINT_DATA_DIR=/data", "STINT_LISTEN_HTTP=127.0.0.1:0", "STINT_LISTEN_GRPC=127.0.0.1:0", "STINT_LISTEN_OPS=" + ops}
		c.SysProcAttr = &syscall.SysProcAttr{Chroot: root, Credential: &syscall.Credential{Uid: user, Gid: user}}
		return c
	}
	node := command("serve")
	node.Stderr = t.Output()
	s.start(node, syscall.SIGTERM)
	health := []string{"health", "--exclude", "sessions"} // as the Dockerfile has it
	s.until("it is healthy", func() bool { return command(health...).Run() == nil })
	for _, args := range [][]string{health, {"session", "list"}, {"backup", "-"}, {"backup", "/data/directory.backup"}} {
		if out, err := command(args...).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", args, err, out)
		}
	}
}

// traffic makes calls that work and calls that do not, on both nodes, and returns a user's credentials.
func (s *stack) traffic(ctx context.Context) aws.Credentials {
	s.t.Helper()
	root := iam.NewFromConfig(s.config(s.root))
	s.must(root.CreateUser(ctx, &iam.CreateUserInput{UserName: aws.String("alice")}))
	key, err := root.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: aws.String("alice")})
	s.must(nil, err)
	alice := aws.Credentials{AccessKeyID: *key.AccessKey.AccessKeyId, SecretAccessKey: *key.AccessKey.SecretAccessKey}
	caller := sts.NewFromConfig(s.config(alice))
	var user *sts.GetCallerIdentityOutput
	s.until("alice on whichever node", func() bool {
		user, err = caller.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
		return err == nil
	})
	issuer := "http://127.0.0.1:" + freePort(s.t) // where nobody listens
	provider, err := root.CreateOpenIDConnectProvider(ctx, &iam.CreateOpenIDConnectProviderInput{
		Url: aws.String(issuer), ClientIDList: []string{"stint"}, ThumbprintList: []string{strings.Repeat("0", 40)},
	})
	s.must(nil, err)
	role, err := root.CreateRole(ctx, &iam.CreateRoleInput{RoleName: aws.String("worker"), AssumeRolePolicyDocument: aws.String(
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"` + *user.Arn + `"},"Action":"sts:AssumeRole"}]}`)})
	s.must(nil, err)
	web, err := root.CreateRole(ctx, &iam.CreateRoleInput{RoleName: aws.String("web"), AssumeRolePolicyDocument: aws.String(
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Federated":"` + *provider.OpenIDConnectProviderArn + `"},
		"Action":"sts:AssumeRoleWithWebIdentity","Condition":{"StringEquals":{"` + strings.TrimPrefix(issuer, "http://") + `:sub":"x"}}}]}`)})
	s.must(nil, err)

	var session *sts.AssumeRoleOutput
	s.until("a session", func() bool {
		session, err = caller.AssumeRole(ctx, &sts.AssumeRoleInput{RoleArn: role.Role.Arn, RoleSessionName: aws.String("session")})
		return err == nil
	})
	s.must(caller.GetSessionToken(ctx, &sts.GetSessionTokenInput{}))
	c := session.Credentials
	s.must(sts.NewFromConfig(s.config(aws.Credentials{AccessKeyID: *c.AccessKeyId, SecretAccessKey: *c.SecretAccessKey, SessionToken: *c.SessionToken})).
		GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{}))

	_, err = iam.NewFromConfig(s.config(alice)).ListUsers(ctx, &iam.ListUsersInput{})
	s.wantCode(err, "AccessDenied")
	wrong := alice
	wrong.SecretAccessKey += "x"
	_, err = sts.NewFromConfig(s.config(wrong)).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	s.wantCode(err, "SignatureDoesNotMatch")
	token := encoded(`{"alg":"RS256"}`) + "." + encoded(`{"iss":"`+issuer+`","aud":"stint","sub":"x","exp":4102444800,"iat":1}`) + "." + strings.Repeat("A", 342)
	_, err = caller.AssumeRoleWithWebIdentity(ctx, &sts.AssumeRoleWithWebIdentityInput{
		RoleArn: web.Role.Arn, RoleSessionName: aws.String("web"), WebIdentityToken: &token,
	})
	if err == nil {
		s.t.Error("a token of an issuer that there is not was taken")
	}
	s.run("session", "list")
	if out := s.run("session", "revoke", "--wait", *c.AccessKeyId); out == "" {
		s.t.Error("nothing was revoked")
	}
	s.run("health")
	return alice
}

func encoded(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

// run runs a command on the first node's machine.
func (s *stack) run(args ...string) string {
	s.t.Helper()
	c := exec.CommandContext(s.t.Context(), s.stint, args...)
	c.Env = append(slices.Clone(s.env), "STINT_DATA_DIR="+s.nodes[0].data, "STINT_LISTEN_OPS="+s.nodes[0].ops)
	c.Env = slices.DeleteFunc(c.Env, func(v string) bool { return v == "STINT_LISTEN_OPS=127.0.0.1:0" })
	out, err := c.CombinedOutput()
	if err != nil {
		s.t.Errorf("stint %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func (s *stack) wantCode(err error, code string) {
	s.t.Helper()
	if got, ok := errors.AsType[smithy.APIError](err); !ok || got.ErrorCode() != code {
		s.t.Errorf("%v, want %s", err, code)
	}
}

// scrape returns the metrics of all nodes, as samples are named.
func (s *stack) scrape() exported {
	s.t.Helper()
	all := make(exported)
	for _, n := range s.nodes {
		answer, err := http.Get("http://" + n.ops + "/metrics")
		s.must(nil, err)
		p := expfmt.NewTextParser(model.UTF8Validation)
		families, err := p.TextToMetricFamilies(answer.Body)
		_ = answer.Body.Close()
		s.must(nil, err)
		for name, family := range families {
			for _, m := range family.Metric {
				labels := map[string]string{"job": "stint", "instance": n.ops}
				for _, l := range m.Label {
					labels[l.GetName()] = l.GetValue()
				}
				if family.GetType() != dto.MetricType_HISTOGRAM {
					all[name] = append(all[name], labels)
					continue
				}
				bucket := maps.Clone(labels)
				bucket["le"] = "1"
				all[name+"_bucket"] = append(all[name+"_bucket"], bucket)
				all[name+"_count"] = append(all[name+"_count"], labels)
				all[name+"_sum"] = append(all[name+"_sum"], labels)
			}
		}
	}
	all["up"] = []map[string]string{{"job": "stint", "instance": "a"}} // Prometheus's own
	return all
}

// exported are the labels of the series of each name.
type exported map[string][]map[string]string

// checkQueries holds every query of dashboard and alerts against what is exported.
func checkQueries(t *testing.T, all exported) {
	t.Helper()
	queries := make(map[string]string)
	var alerts struct {
		Groups []struct {
			Rules []struct {
				Alert, Expr string
				Annotations map[string]string
			}
		}
	}
	if err := yaml.Unmarshal(read(t, "../monitoring/alerts.yaml"), &alerts); err != nil {
		t.Fatal(err)
	}
	manual := anchors(t, "../../docs/operations.md")
	for _, group := range alerts.Groups {
		for _, rule := range group.Rules {
			queries["alert "+rule.Alert] = rule.Expr
			if page, anchor, _ := strings.Cut(rule.Annotations["runbook"], "#"); page != "docs/operations.md" || !manual[anchor] {
				t.Errorf("alert %s: there is no page %s", rule.Alert, rule.Annotations["runbook"])
			}
		}
	}
	var dashboard struct {
		Panels []struct {
			Title, Type string
			Targets     []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(read(t, "../monitoring/dashboard.json"), &dashboard); err != nil {
		t.Fatal(err)
	}
	for _, panel := range dashboard.Panels {
		if (len(panel.Targets) == 0) != (panel.Type == "row") {
			t.Errorf("panel %s asks for nothing", panel.Title)
		}
		for i, target := range panel.Targets {
			queries[fmt.Sprintf("panel %s (%d)", panel.Title, i)] = target.Expr
		}
	}
	if len(queries) < 40 {
		t.Fatalf("only %d queries", len(queries))
	}
	for _, name := range slices.Sorted(maps.Keys(queries)) {
		checkQuery(t, name, strings.NewReplacer("$__rate_interval", "5m", "$job", "stint", "$instance", ".*").Replace(queries[name]), all)
	}
	// The check must find what is wrong.
	for _, wrong := range []string{`stint_no_such_metric`, `stint_requests_total{no_such_label="x"}`, `sum by (no_such_label) (stint_requests_total)`, `stint_requests_total{operation="NoSuch"}`} {
		if faults := faultsOf(t, wrong, all); len(faults) == 0 {
			t.Errorf("%s passes", wrong)
		}
	}
}

func checkQuery(t *testing.T, name, query string, all exported) {
	t.Helper()
	for _, fault := range faultsOf(t, query, all) {
		t.Errorf("%s: %s\n%s", name, fault, query)
	}
}

// rare are labels whose values there need not be in a test: what went wrong, and how.
var rare = []string{"code", "outcome"}

func faultsOf(t *testing.T, query string, all exported) (faults []string) {
	t.Helper()
	expr, err := parser.NewParser(parser.Options{}).ParseExpr(query)
	if err != nil {
		return []string{err.Error()}
	}
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		switch n := node.(type) {
		case *parser.VectorSelector:
			if len(all[n.Name]) == 0 {
				faults = append(faults, "nobody exports "+n.Name)
				return nil
			}
			for _, m := range n.LabelMatchers {
				if m.Name == model.MetricNameLabel {
					continue
				}
				if !slices.ContainsFunc(all[n.Name], func(l map[string]string) bool {
					v, there := l[m.Name]
					return there && (slices.Contains(rare, m.Name) || m.Matches(v))
				}) {
					faults = append(faults, fmt.Sprintf("no series of %s has %s", n.Name, m))
				}
			}
		case *parser.AggregateExpr:
			for _, label := range n.Grouping {
				parser.Inspect(n.Expr, func(inner parser.Node, _ []parser.Node) error {
					if v, ok := inner.(*parser.VectorSelector); ok && !slices.ContainsFunc(all[v.Name], func(l map[string]string) bool { _, there := l[label]; return there }) {
						faults = append(faults, fmt.Sprintf("%s has no label %s", v.Name, label))
					}
					return nil
				})
			}
		}
		return nil
	})
	return faults
}
