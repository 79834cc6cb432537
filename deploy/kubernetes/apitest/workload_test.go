package apitest_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/stint-sts/stint/federation/oidctest"
	"github.com/stint-sts/stint/kubernetes/kubetest"
)

// patience bounds what a busy machine may take.
const patience = 2 * time.Minute

var binary string

// TestMain is the tests, or the program in a pod: a stock SDK that knows no more than its environment.
func TestMain(m *testing.M) {
	if os.Getenv("APITEST_WORKLOAD") != "" {
		os.Exit(workload())
	}
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "stint-apitest-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer func() { _ = os.RemoveAll(dir) }()
		binary = filepath.Join(dir, "stint")
		if out, err := exec.Command("go", "build", "-C", "../../..", "-o", binary, "./cmd/stint").CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
			return 1
		}
		return m.Run()
	}())
}

func workload() int {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cfg, err := config.LoadDefaultConfig(ctx)
	if err == nil {
		var who *sts.GetCallerIdentityOutput
		if who, err = sts.NewFromConfig(cfg).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{}); err == nil {
			fmt.Println(*who.Arn)
			return 0
		}
	}
	fmt.Fprintln(os.Stderr, err)
	return 1
}

// start runs stint until the test ends, and waits for its output to match.
func start(t *testing.T, match string, args ...string) []string {
	t.Helper()
	c := exec.Command(binary, args...)
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "AWS_") && !strings.HasPrefix(v, "STINT_") {
			c.Env = append(c.Env, v)
		}
	}
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	c.Stdout, c.Stderr = write, write
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	_ = write.Close()
	found, ended := make(chan []string, 1), make(chan error, 1)
	go func() {
		var text strings.Builder
		lines := bufio.NewReader(read)
		for pattern := regexp.MustCompile(match); ; {
			line, err := lines.ReadString('\n')
			text.WriteString(line)
			if m := pattern.FindStringSubmatch(text.String()); m != nil {
				found <- m
				_, _ = io.Copy(io.Discard, lines)
			} else if err == nil {
				continue
			}
			if err := c.Wait(); err != nil {
				ended <- fmt.Errorf("stint %s: %w\n%s", args[0], err, text.String())
			} else {
				ended <- nil
			}
			return
		}
	}()
	t.Cleanup(func() {
		_ = c.Process.Signal(syscall.SIGTERM) // it may have ended
		select {
		case err := <-ended:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(patience):
			_ = c.Process.Kill()
			t.Errorf("stint %s does not stop", args[0])
		}
	})
	select {
	case m := <-found:
		return m
	case err := <-ended:
		ended <- nil
		t.Fatalf("stint %s ended: %v", args[0], err)
	case <-time.After(patience):
		t.Fatalf("stint %s is not ready", args[0])
	}
	return nil
}

// certificate writes a self-signed certificate for loopback, and its key.
func certificate(t *testing.T) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "stint"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	write(t, certFile, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	write(t, keyFile, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))
	return certFile, keyFile
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// cluster is what surrounds the webhook.
type cluster struct {
	t      *testing.T
	issuer *oidctest.IdP // of the tokens of ServiceAccounts
	stint  struct{ url, caFile string }
	hook   func([]byte) []byte
}

// newCluster runs a stint with a certificate of its own, in which the cluster is registered and a role trusts ServiceAccount web of
// namespace prod, and the webhook with the arguments of its Deployment and the certificate that webhook-certificate.sh makes.
func newCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{t: t, issuer: oidctest.New(t)}
	certFile, keyFile := certificate(t)
	data := filepath.Join(t.TempDir(), "data")
	c.stint.caFile = certFile
	c.stint.url = start(t, `(?s)AWS API\s+(http\S+).*Go on in another terminal`, "serve", "--data-dir", data, "--account-id", "111122223333",
		"--listen-http", "127.0.0.1:0", "--listen-grpc", "127.0.0.1:0", "--listen-ops", "127.0.0.1:0", "--tls-cert", certFile, "--tls-key", keyFile)[1]
	c.register(data)

	api := kubetest.New(t)
	for _, name := range []string{"web", "other"} {
		api.Put("prod", name, map[string]string{"sts.stint.dev/role-arn": role, "sts.stint.dev/ca-config-map": "stint-ca"})
	}
	served := webhookCertificate(t)
	args := []string{"webhook"}
	for _, arg := range one[*appsv1.Deployment](t, manifest(t, "webhook.yaml")).Spec.Template.Spec.Containers[0].Args {
		for from, to := range map[string]string{
			"https://sts.example.com": c.stint.url, "/etc/stint/tls/tls.crt": served.certFile, "/etc/stint/tls/tls.key": served.keyFile,
		} {
			arg = strings.Replace(arg, from, to, 1)
		}
		args = append(args, arg)
	}
	args = append(args, "--listen=127.0.0.1:0", "--kube-api="+api.URL, "--kube-ca="+api.CAFile, "--kube-token="+api.TokenFile,
		"--token-mount-path="+filepath.Join(t.TempDir(), "serviceaccount")) // tests may not write to /var/run
	address := start(t, `"webhook listens","address":"([^"]+)"`, args...)[1]
	client := &http.Client{Timeout: patience, Transport: &http.Transport{ // as the API server: the Service's name, the caBundle, HTTP/2
		TLSClientConfig: &tls.Config{RootCAs: served.bundle, ServerName: "stint-webhook.stint-webhook.svc"}, ForceAttemptHTTP2: true,
	}}
	t.Cleanup(client.CloseIdleConnections)
	c.hook = func(body []byte) []byte {
		t.Helper()
		r, err := client.Post("https://"+address+"/mutate?timeout=5s", "application/json", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = r.Body.Close() }()
		answer, err := io.ReadAll(r.Body)
		if err != nil || r.StatusCode != http.StatusOK || r.ProtoMajor != 2 {
			t.Fatalf("%v %s %s: %s", err, r.Proto, r.Status, answer)
		}
		return answer
	}
	return c
}

// register makes provider and role as docs/federation/kubernetes.md does.
func (c *cluster) register(data string) {
	c.t.Helper()
	ctx := c.t.Context()
	pool, err := os.ReadFile(c.stint.caFile)
	if err != nil {
		c.t.Fatal(err)
	}
	cfg, err := config.LoadDefaultConfig(ctx, config.WithSharedCredentialsFiles([]string{filepath.Join(data, "bootstrap", "credentials")}),
		config.WithSharedConfigFiles([]string{}), config.WithSharedConfigProfile("root"), config.WithRegion("us-east-1"),
		config.WithBaseEndpoint(c.stint.url), config.WithCustomCABundle(bytes.NewReader(pool)))
	if err != nil {
		c.t.Fatal(err)
	}
	root := iam.NewFromConfig(cfg)
	provider, err := root.CreateOpenIDConnectProvider(ctx, &iam.CreateOpenIDConnectProviderInput{Url: &c.issuer.URL, ClientIDList: []string{"sts.amazonaws.com"}})
	if err != nil {
		c.t.Fatal(err)
	}
	issuer := strings.TrimPrefix(c.issuer.URL, "http://")
	if _, err := root.CreateRole(ctx, &iam.CreateRoleInput{RoleName: aws.String("web"), AssumeRolePolicyDocument: aws.String(`{"Version": "2012-10-17",
		"Statement": [{"Effect": "Allow", "Principal": {"Federated": "` + *provider.OpenIDConnectProviderArn + `"}, "Action": "sts:AssumeRoleWithWebIdentity",
		"Condition": {"StringEquals": {"` + issuer + `:aud": "sts.amazonaws.com", "` + issuer + `:sub": "system:serviceaccount:prod:web"}}}]}`)}); err != nil {
		c.t.Fatal(err)
	}
}

// runs creates a pod and lets its container run, with its files and environment as the kubelet makes them.
func (c *cluster) runs(account, name string) (stdout, stderr string) {
	c.t.Helper()
	pod, answer := admit(c.t, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       corev1.PodSpec{ServiceAccountName: account, Containers: []corev1.Container{{Name: "main", Image: "x"}}},
	}, "prod", c.hook)
	if !answer.Allowed || answer.Patch == nil {
		c.t.Fatalf("%+v", answer)
	}
	container := pod.Spec.Containers[0]
	volumes := make(map[string]corev1.Volume)
	for _, v := range pod.Spec.Volumes {
		volumes[v.Name] = v
	}
	for _, m := range container.VolumeMounts {
		switch v := volumes[m.Name]; {
		case v.Projected != nil:
			token := v.Projected.Sources[0].ServiceAccountToken
			write(c.t, path.Join(m.MountPath, token.Path), c.token(account, name, token))
		case v.ConfigMap != nil && v.ConfigMap.Name == "stint-ca":
			ca, err := os.ReadFile(c.stint.caFile)
			if err != nil {
				c.t.Fatal(err)
			}
			write(c.t, path.Join(m.MountPath, v.ConfigMap.Items[0].Path), string(ca))
		default:
			c.t.Fatalf("volume %q", m.Name)
		}
	}
	self, err := os.Executable()
	if err != nil {
		c.t.Fatal(err)
	}
	command := exec.CommandContext(c.t.Context(), self)
	command.Env = []string{"APITEST_WORKLOAD=1"}
	for _, v := range container.Env {
		if v.ValueFrom != nil && v.ValueFrom.FieldRef.FieldPath == "metadata.name" {
			v.Value = pod.Name
		}
		command.Env = append(command.Env, v.Name+"="+v.Value)
	}
	var out, errs bytes.Buffer
	command.Stdout, command.Stderr = &out, &errs
	_ = command.Run() // the output tells
	return strings.TrimSpace(out.String()), errs.String()
}

// token has the shape of one that Kubernetes 1.36 makes (Kubernetes documentation, "Managing Service Accounts", bound tokens).
func (c *cluster) token(account, pod string, projection *corev1.ServiceAccountTokenProjection) string {
	now := time.Now()
	return c.issuer.Token("RS256", map[string]any{
		"iss": c.issuer.URL, "aud": []string{projection.Audience}, "sub": "system:serviceaccount:prod:" + account, "jti": "5c9d6b0e-7f0a-4f43-8f5f-0f6d6f1a2b3c",
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Unix() + *projection.ExpirationSeconds,
		"kubernetes.io": map[string]any{
			"namespace": "prod", "node": map[string]any{"name": "node-1", "uid": "d1"}, "pod": map[string]any{"name": pod, "uid": "d2"},
			"serviceaccount": map[string]any{"name": account, "uid": "d3"},
		},
	})
}

// A container whose image holds no more than a stock SDK has the role; one of another ServiceAccount has not, whatever its annotations.
func TestWorkload(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	if out, errs := c.runs("web", "web-0"); out != "arn:aws:sts::111122223333:assumed-role/web/web-0" {
		t.Errorf("the workload is %q: %s", out, errs)
	}
	if out, errs := c.runs("other", "other-0"); out != "" || !strings.Contains(errs, "AccessDenied") {
		t.Errorf("another account's workload is %q: %s", out, errs)
	}
}

// served is a certificate as webhook-certificate.sh makes it, and what the MutatingWebhookConfiguration then trusts.
type served struct {
	certFile, keyFile string
	bundle            *x509.CertPool
}

// webhookCertificate runs webhook-certificate.sh with a kubectl that writes down what it is told.
func webhookCertificate(t *testing.T) served {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("openssl is not installed; scripts/tools.sh installs it")
		}
		t.Skip("openssl is not installed")
	}
	dir := t.TempDir()
	write(t, filepath.Join(dir, "bin", "kubectl"), `#!/bin/sh
set -eu
for arg; do
	case $arg in
	--cert=*) cp "${arg#*=}" "$OUT/tls.crt" ;;
	--key=*) cp "${arg#*=}" "$OUT/tls.key" ;;
	esac
	last=$arg
done
case $1 in
-n) echo "apiVersion: v1" ;;
apply) cat >"$OUT/applied" ;;
patch) echo "$last" >"$OUT/patch" ;;
*) exit 1 ;;
esac
`)
	if err := os.Chmod(filepath.Join(dir, "bin", "kubectl"), 0o755); err != nil {
		t.Fatal(err)
	}
	script := exec.CommandContext(t.Context(), "../webhook-certificate.sh")
	script.Env = append(os.Environ(), "OUT="+dir, "PATH="+filepath.Join(dir, "bin")+":"+os.Getenv("PATH"))
	if out, err := script.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	text, err := os.ReadFile(filepath.Join(dir, "patch"))
	if err != nil {
		t.Fatal(err)
	}
	patch, err := jsonpatch.DecodePatch(text)
	if err != nil {
		t.Fatal(err)
	}
	configured, err := json.Marshal(one[*admissionregistrationv1.MutatingWebhookConfiguration](t, manifest(t, "webhook.yaml")))
	if err != nil {
		t.Fatal(err)
	}
	if configured, err = patch.Apply(configured); err != nil {
		t.Fatal(err)
	}
	var patched admissionregistrationv1.MutatingWebhookConfiguration
	strict(t, configured, &patched)
	s := served{certFile: filepath.Join(dir, "tls.crt"), keyFile: filepath.Join(dir, "tls.key"), bundle: x509.NewCertPool()}
	for _, hook := range patched.Webhooks {
		if !s.bundle.AppendCertsFromPEM(hook.ClientConfig.CABundle) {
			t.Errorf("%s trusts %q", hook.Name, hook.ClientConfig.CABundle)
		}
	}
	return s
}
