package main_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// workload is a process that asks who it is for each line that it is given.
type workload struct {
	t      *testing.T
	stdin  io.Writer
	stdout *bufio.Reader
	errors *buffer
}

// workload starts a program that finds its role in the environment as any SDK does. It ends with the test.
func (w *idpWorld) workload(tokenFile, endpoint string, c *exec.Cmd) *workload {
	w.t.Helper()
	dir := w.t.TempDir()
	c.Env = append(environment("AWS_WEB_IDENTITY_TOKEN_FILE="+tokenFile, "AWS_ROLE_ARN="+w.role, "AWS_ROLE_SESSION_NAME=workload",
		"AWS_ENDPOINT_URL_STS="+endpoint, "AWS_REGION=eu-west-1", "HOME="+dir,
		"AWS_CONFIG_FILE="+filepath.Join(dir, "none"), "AWS_SHARED_CREDENTIALS_FILE="+filepath.Join(dir, "none")), c.Env...)
	p := &workload{t: w.t, errors: &buffer{}}
	c.Stderr = p.errors
	stdin, err := c.StdinPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	stdout, err := c.StdoutPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		w.t.Fatal(err)
	}
	p.stdin, p.stdout = stdin, bufio.NewReader(stdout)
	w.t.Cleanup(func() {
		_ = stdin.Close()
		_ = c.Wait()
	})
	return p
}

// who lets the workload call, and fails unless it is the session of its role.
func (p *workload) who() {
	p.t.Helper()
	if _, err := fmt.Fprintln(p.stdin); err != nil {
		p.t.Fatalf("workload: %v\n%s", err, p.errors)
	}
	line, err := p.stdout.ReadString('\n')
	if got, want := strings.TrimSpace(line), "arn:aws:sts::111122223333:assumed-role/deploy/workload"; err != nil || got != want {
		p.t.Fatalf("the workload is %q, want %q: %v\n%s", got, want, err, p.errors)
	}
}

// runsWorkload in the environment turns this test binary into a workload.
const runsWorkload = "STINT_TEST_WORKLOAD"

func goWorkload(t *testing.T) *exec.Cmd {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(program)
	c.Env = []string{runsWorkload + "=1"}
	return c
}

// runWorkload is the workload of the AWS SDK for Go: nothing is configured but the environment.
func runWorkload() int {
	ctx := context.Background()
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	client := sts.NewFromConfig(cfg)
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		out, err := client.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		fmt.Println(*out.Arn)
	}
	return 0
}

// ageing stands between a workload and stint. While it is on, credentials that pass look as if they had just ended, which makes SDKs
// renew them before their next use. Those of stint last 15 minutes at least.
type ageing struct {
	url  string
	on   atomic.Bool
	used atomic.Pointer[string] // access key id of the latest signed request
}

var (
	expiration = regexp.MustCompile(`<Expiration>[^<]*</Expiration>`)
	credential = regexp.MustCompile(`Credential=([A-Z0-9]+)/`)
)

func newAgeing(t *testing.T, target string) *ageing {
	t.Helper()
	to, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	a := new(ageing)
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			r.Out.Host = r.In.Host // it is signed
			if m := credential.FindStringSubmatch(r.In.Header.Get("Authorization")); m != nil {
				a.used.Store(&m[1])
			}
		},
		ModifyResponse: func(r *http.Response) error {
			if !a.on.Load() {
				return nil
			}
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return err
			}
			body = expiration.ReplaceAll(body, []byte("<Expiration>"+time.Now().UTC().Format(time.RFC3339)+"</Expiration>"))
			r.Body = io.NopCloser(bytes.NewReader(body))
			r.Header.Set("Content-Length", strconv.Itoa(len(body)))
			return nil
		},
	}
	server := httptest.NewServer(proxy)
	t.Cleanup(server.Close)
	a.url = server.URL
	return a
}

func (a *ageing) key() string { return *a.used.Load() }
