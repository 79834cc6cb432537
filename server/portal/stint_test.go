package portal_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	awssts "github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/stint-sts/stint/server"
)

const (
	account = "111122223333"
	prefix  = "arn:aws:iam::" + account + ":"
)

// stint is a whole one in this process, on free ports, until the test ends.
type stint struct {
	t   *testing.T
	url string
	dir string
	iam *iam.Client // of root
}

func serve(t *testing.T, settings map[string]string) *stint {
	t.Helper()
	n := &stint{t: t, dir: filepath.Join(t.TempDir(), "data")}
	env := map[string]string{
		"STINT_DATA_DIR": n.dir, "STINT_ACCOUNT_ID": account, "STINT_LISTEN_HTTP": "127.0.0.1:0", "STINT_LISTEN_GRPC": "127.0.0.1:0",
		"STINT_LISTEN_OPS": "127.0.0.1:0",
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
	select {
	case at := <-ready:
		n.url = "http://" + at.HTTP
	case err := <-ended:
		ended <- err
		t.Fatal(err)
	}
	n.iam = iam.New(iam.Options{
		BaseEndpoint: &n.url, Region: "us-east-1",
		Credentials: credentials.NewStaticCredentialsProvider(welcome.AccessKeyID, welcome.SecretAccessKey.Reveal(), ""),
	})
	return n
}

func (n *stint) browser() *browser {
	transport := &http.Transport{}
	n.t.Cleanup(transport.CloseIdleConnections)
	return newBrowser(n.t, n.url, transport)
}

// role makes a role with a trust policy of one statement, less Effect.
func (n *stint) role(name, trust string) string {
	n.t.Helper()
	out, err := n.iam.CreateRole(n.t.Context(), &iam.CreateRoleInput{
		RoleName: &name, AssumeRolePolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":{"Effect":"Allow",` + trust + `}}`),
		MaxSessionDuration: aws.Int32(7200),
	})
	if err != nil {
		n.t.Fatal(err)
	}
	return *out.Role.Arn
}

// process is what credential_process prints.
type process struct {
	AccessKeyID                   string `json:"AccessKeyId"`
	SecretAccessKey, SessionToken string
}

func (p *page) process(t *testing.T) (c process) {
	t.Helper()
	if err := json.Unmarshal([]byte(p.text(t, "json")), &c); err != nil {
		t.Fatal(err)
	}
	return c
}

func (p *page) accessKeyID(t *testing.T) string { return p.process(t).AccessKeyID }

// whoami asks stint whose the credentials of the page are.
func (n *stint) whoami(p *page) string {
	n.t.Helper()
	who, err := n.identify(p)
	if err != nil {
		n.t.Fatal(err)
	}
	return who
}

func (n *stint) identify(p *page) (string, error) {
	n.t.Helper()
	c := p.process(n.t)
	client := awssts.New(awssts.Options{
		BaseEndpoint: &n.url, Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider(c.AccessKeyID, c.SecretAccessKey, c.SessionToken),
	})
	out, err := client.GetCallerIdentity(n.t.Context(), &awssts.GetCallerIdentityInput{})
	if err != nil {
		return "", err
	}
	return *out.Arn, nil
}

// event is what the tests read of an audit event.
type event struct {
	EventSource, EventName, EventType, ErrorCode string
	UserIdentity                                 struct{ Type, UserName, PrincipalID string }
	RequestParameters                            map[string]any
	ResponseElements                             map[string]any
}

// events are the audit events so far with that name.
func (n *stint) events(name string) (found []event) {
	n.t.Helper()
	files, err := filepath.Glob(filepath.Join(n.dir, "audit", "*"))
	if err != nil || len(files) == 0 {
		n.t.Fatalf("audit files: %v, %v", files, err)
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			n.t.Fatal(err)
		}
		for line := range strings.Lines(string(raw)) {
			var e event
			if err := json.Unmarshal([]byte(line), &e); err != nil {
				n.t.Fatal(err)
			}
			if e.EventName == name {
				found = append(found, e)
			}
		}
	}
	return found
}
