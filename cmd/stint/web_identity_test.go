package main_test

import (
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/stint-sts/stint/federation/oidctest"
)

// webWorld is a node, an issuer that its account has registered, and a role that trusts the issuer's subject "deploy".
type webWorld struct {
	*node
	root *client
	idp  *oidctest.IdP
	role string
}

const webAudience = "sts.example.com"

func newWebWorld(t *testing.T, args ...string) *webWorld {
	t.Helper()
	w := &webWorld{node: start(t, filepath.Join(t.TempDir(), "data"), append([]string{"--account-id", "111122223333"}, args...)...), idp: oidctest.New(t)}
	w.root = w.node.root()
	out, err := w.root.iam.CreateOpenIDConnectProvider(t.Context(), &iam.CreateOpenIDConnectProviderInput{
		Url: &w.idp.URL, ClientIDList: []string{webAudience}, Tags: []iamtypes.Tag{{Key: aws.String("a"), Value: aws.String("b")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	issuer := strings.TrimPrefix(w.idp.URL, "http://")
	if want := "arn:aws:iam::111122223333:oidc-provider/" + issuer; *out.OpenIDConnectProviderArn != want {
		t.Fatalf("provider is %s, want %s", *out.OpenIDConnectProviderArn, want)
	}
	w.role = w.root.role("deploy", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Federated":"`+*out.OpenIDConnectProviderArn+
		`"},"Action":"sts:AssumeRoleWithWebIdentity","Condition":{"StringEquals":{"`+issuer+`:aud":"`+webAudience+`","`+issuer+`:sub":"deploy"}}}]}`)
	return w
}

func (w *webWorld) token(algorithm string, change map[string]any) string {
	claims := w.idp.Claims(webAudience, "deploy", time.Now())
	for name, value := range change {
		claims[name] = value
	}
	return w.idp.Token(algorithm, claims)
}

func (w *webWorld) assume(token, role string) error {
	_, err := w.client("", "", "").sts.AssumeRoleWithWebIdentity(context.Background(), &sts.AssumeRoleWithWebIdentityInput{
		RoleArn: &role, RoleSessionName: aws.String("web"), WebIdentityToken: &token,
	})
	return err
}

// A stock SDK that finds a token file, a role and an endpoint gets credentials and renews them, over a rotation of the issuer's
// keys.
func TestWebIdentity_TokenFile(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	w := newWebWorld(t)
	tokenFile := filepath.Join(t.TempDir(), "token")
	first := w.token("RS256", nil)
	write(t, tokenFile, first)
	credentials := aws.NewCredentialsCache(stscreds.NewWebIdentityRoleProvider(w.client("", "", "").sts, w.role, stscreds.IdentityTokenFile(tokenFile),
		func(o *stscreds.WebIdentityRoleOptions) { o.RoleSessionName = "web-1" }))
	who := func() string {
		t.Helper()
		c, err := credentials.Retrieve(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := w.client(c.AccessKeyID, c.SecretAccessKey, c.SessionToken).identity(), "arn:aws:sts::111122223333:assumed-role/deploy/web-1"; got != want {
			t.Fatalf("the workload is %s, want %s", got, want)
		}
		return c.AccessKeyID
	}
	before := who()
	w.idp.Rotate()
	write(t, tokenFile, w.token("ES256", nil))
	credentials.Invalidate()
	after := who()
	if after == before {
		t.Fatal("credentials were not renewed")
	}
	if _, keys := w.idp.Fetches(); keys != 2 {
		t.Errorf("keys fetched %d times, want once for each generation", keys)
	}

	listed := must(t, "session", "list", "--data-dir", w.dir, "--output", "json")
	if !strings.Contains(listed, before) || !strings.Contains(listed, `"deploy"`) {
		t.Errorf("sessions: %s", listed)
	}
	for _, text := range []string{`"WebIdentityUser"`, `"principalId":"` + w.idp.URL + ":" + webAudience + `:deploy"`, after} {
		if !auditHolds(t, w.dir, text) {
			t.Errorf("the audit does not hold %s", text)
		}
	}
	if signature := first[strings.LastIndexByte(first, '.')+1:]; auditHolds(t, w.dir, signature) || strings.Contains(w.output.String(), signature) {
		t.Error("the token is in audit or log")
	}
}

// Go's SDK (by stint's own commands) and the aws CLI (Python's) need no more than environment variables.
func TestWebIdentity_Environment(t *testing.T) {
	t.Parallel()
	w := newWebWorld(t)
	dir := t.TempDir()
	write(t, filepath.Join(dir, "token"), w.token("ES384", nil))
	env := environment("AWS_WEB_IDENTITY_TOKEN_FILE="+filepath.Join(dir, "token"), "AWS_ROLE_ARN="+w.role, "AWS_ROLE_SESSION_NAME=web-1",
		"AWS_ENDPOINT_URL_STS="+w.url, "AWS_REGION=eu-west-1", "AWS_DEFAULT_REGION=eu-west-1", "HOME="+dir,
		"AWS_CONFIG_FILE="+filepath.Join(dir, "none"), "AWS_SHARED_CREDENTIALS_FILE="+filepath.Join(dir, "none"))
	asks := func(c *exec.Cmd) {
		t.Helper()
		c.Env = env
		if out, err := c.CombinedOutput(); err != nil || !strings.Contains(string(out), ":assumed-role/deploy/web-1") {
			t.Errorf("%v: %v\n%s", c.Args, err, out)
		}
	}
	asks(stint(t.Context(), "whoami"))
	needAWS(t)
	if !knowsEndpoint(t) {
		// It would send the token to AWS itself.
		t.Skip("SKIPPED: this aws CLI is older than AWS_ENDPOINT_URL (version 1.29 or 2.13, mid-2023)")
	}
	asks(exec.CommandContext(t.Context(), "aws", "sts", "get-caller-identity"))
}

// Codes and texts on the wire. The honest token passes before and after.
func TestWebIdentity_Refusals(t *testing.T) {
	t.Parallel()
	w := newWebWorld(t)
	honest := func() {
		t.Helper()
		if err := w.assume(w.token("RS256", nil), w.role); err != nil {
			t.Fatal(err)
		}
	}
	honest()
	elsewhere := oidctest.New(t)
	for _, row := range []struct{ name, token, role, code, text string }{
		{"another subject", w.token("RS256", map[string]any{"sub": "admin"}), w.role, "AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity"},
		{"no such role", w.token("RS256", nil), w.role + "x", "AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity"},
		{"another audience", w.token("RS256", map[string]any{"aud": "else"}), w.role, "InvalidIdentityToken", "Incorrect token audience"},
		{"expired", w.token("RS256", map[string]any{"exp": time.Now().Add(-time.Minute).Unix()}), w.role, "ExpiredTokenException", "Token expired: "},
		{"issuer that nobody registered", elsewhere.Token("RS256", elsewhere.Claims(webAudience, "deploy", time.Now())), w.role,
			"InvalidIdentityToken", "No OpenIDConnect provider found in your account for " + elsewhere.URL},
		{"role of another account", w.token("RS256", nil), strings.Replace(w.role, "111122223333", "444455556666", 1),
			"InvalidIdentityToken", "No OpenIDConnect provider found in your account for "},
		{"signed by another issuer", elsewhere.Key("ES256").Token(w.idp.Claims(webAudience, "deploy", time.Now())), w.role,
			"InvalidIdentityToken", "not signed by a trusted key"},
		{"no token", "opaque", w.role, "InvalidIdentityToken", "not a valid JWT"},
	} {
		t.Run(row.name, func(t *testing.T) { wantCode(t, w.assume(row.token, row.role), row.code, row.text) })
	}
	if discoveries, _ := elsewhere.Fetches(); discoveries != 0 {
		t.Error("an issuer that is not registered was asked")
	}
	honest()
	provider := "arn:aws:iam::111122223333:oidc-provider/" + strings.TrimPrefix(w.idp.URL, "http://")
	w.root.must(w.root.iam.DeleteOpenIDConnectProvider(t.Context(), &iam.DeleteOpenIDConnectProviderInput{OpenIDConnectProviderArn: &provider}))
	wantCode(t, w.assume(w.token("RS256", nil), w.role), "InvalidIdentityToken", "No OpenIDConnect provider found")
}

// Keys rotate while many sign in: nobody is turned away, and the key set is fetched once more.
func TestWebIdentity_RotationUnderLoad(t *testing.T) {
	t.Parallel()
	w := newWebWorld(t)
	if err := w.assume(w.token("ES256", nil), w.role); err != nil {
		t.Fatal(err)
	}
	w.idp.Rotate()
	var calls sync.WaitGroup
	errs := make(chan error, 32)
	for range cap(errs) {
		calls.Go(func() { errs <- w.assume(w.token("ES256", nil), w.role) })
	}
	calls.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			t.Error(err)
		}
	}
	if _, keys := w.idp.Fetches(); keys != 2 {
		t.Errorf("keys fetched %d times", keys)
	}
}

// What the operator lets in: a list, a list to try out, this machine only while nobody else reaches stint, never our own issuer.
func TestWebIdentity_Operator(t *testing.T) {
	t.Parallel()
	idp := oidctest.New(t)
	create := func(n *node, url string) error {
		_, err := n.root().iam.CreateOpenIDConnectProvider(context.Background(), &iam.CreateOpenIDConnectProviderInput{Url: &url})
		return err
	}
	with := func(yaml string, args ...string) *node {
		t.Helper()
		file := filepath.Join(t.TempDir(), "stint.yaml")
		write(t, file, yaml)
		return start(t, filepath.Join(t.TempDir(), "data"), append([]string{"--config", file}, args...)...)
	}
	n := with("oidc:\n  issuers: [https://idp.example.com, 'https://*.example.org/realms/*']\n")
	for url, ok := range map[string]bool{
		"https://idp.example.com": true, "https://a.example.org/realms/x": true, "https://evil.example.com": false, idp.URL: false,
	} {
		if err := create(n, url); (err == nil) != ok {
			t.Errorf("%s: %v", url, err)
		} else if !ok {
			wantCode(t, err, "InvalidInput", "not allowed")
		}
	}
	n = with("oidc:\n  issuers: [https://idp.example.com]\n  issuer-mode: report\n")
	if err := create(n, idp.URL); err != nil || !strings.Contains(n.output.String(), "issuer is not in oidc.issuers") {
		t.Errorf("reporting: %v\n%s", err, n.output)
	}
	wantCode(t, create(n, n.url+"/oidc/6f2f0e0e-0000-0000-0000-000000000000"), "InvalidInput", "Within a partition, use AssumeRole")
	n = with("public-url: https://sts.example.com\n")
	wantCode(t, create(n, idp.URL), "InvalidInput", "not allowed")
	_, stderr, code := run(t, "", "serve", "--data-dir", t.TempDir(), "--config", func() string {
		file := filepath.Join(t.TempDir(), "stint.yaml")
		write(t, file, "oidc:\n  algorithms: ['https://idp.example.com=HS256']\n  leeway: ['https://idp.example.com=1h']\n  issuers: [idp.example.com]\n")
		return file
	}())
	for _, want := range []string{"oidc.algorithms", "HS256", "oidc.leeway", "oidc.issuers", "stint.yaml:2"} {
		if code == 0 || !strings.Contains(stderr, want) {
			t.Errorf("faults do not name %s: %s", want, stderr)
		}
	}
	if discoveries, _ := idp.Fetches(); discoveries != 0 {
		t.Error("an issuer was asked when it was registered")
	}
}

// An issuer that cannot be reached gives its keys as a file; one with its own certificates gives their authority, or a thumbprint.
func TestWebIdentity_KeyFileAndAuthority(t *testing.T) {
	t.Parallel()
	cluster, secure := oidctest.New(t), oidctest.NewTLS(t)
	dir := t.TempDir()
	keys, ca, file := filepath.Join(dir, "keys.json"), filepath.Join(dir, "ca.pem"), filepath.Join(dir, "stint.yaml")
	const clusterIssuer = "https://kubernetes.default.svc.cluster.local"
	write(t, keys, string(cluster.KeySet()))
	write(t, ca, string(secure.PEM()))
	write(t, file, "oidc:\n  key-files: ['"+clusterIssuer+"="+keys+"']\n  ca-files: ['"+secure.URL+"="+ca+"']\n")
	w := newWebWorld(t, "--config", file)
	for issuer, key := range map[string]*oidctest.Key{clusterIssuer: cluster.Key("RS256"), secure.URL: secure.Key("ES256")} {
		out, err := w.root.iam.CreateOpenIDConnectProvider(t.Context(), &iam.CreateOpenIDConnectProviderInput{Url: &issuer, ClientIDList: []string{webAudience}})
		if err != nil {
			t.Fatal(err)
		}
		name := "r" + strings.ReplaceAll(strings.TrimPrefix(issuer, "https://"), ":", "-")
		role := w.root.role(name, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Federated":"`+*out.OpenIDConnectProviderArn+
			`"},"Action":"sts:AssumeRoleWithWebIdentity","Condition":{"StringEquals":{"`+strings.TrimPrefix(issuer, "https://")+`:kubernetes.io/namespace":"prod"}}}]}`)
		claims := w.idp.Claims(webAudience, "system:serviceaccount:prod:web", time.Now())
		claims["iss"] = issuer
		claims["kubernetes.io"] = map[string]any{"namespace": "prod", "serviceaccount": map[string]any{"name": "web"}}
		if err := w.assume(key.Token(claims), role); err != nil {
			t.Errorf("%s: %v", issuer, err)
		}
		claims["kubernetes.io"] = map[string]any{"namespace": "dev"}
		wantCode(t, w.assume(key.Token(claims), role), "AccessDenied", "")
	}
}
