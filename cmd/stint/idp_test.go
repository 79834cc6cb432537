package main_test

import (
	"context"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	gooidc "github.com/coreos/go-oidc/v3/oidc"

	"github.com/stint-sts/stint/federation/idptest"
)

// idpWorld is a node whose account has registered a provider that others wrote, and roles for one group of its users and another.
type idpWorld struct {
	*node
	idp         *idptest.IdP
	role, other string
}

func newIdPWorld(t *testing.T, p *idptest.IdP, yaml string, algorithms ...string) *idpWorld {
	t.Helper()
	file := filepath.Join(t.TempDir(), "stint.yaml")
	write(t, file, yaml)
	n := start(t, filepath.Join(t.TempDir(), "data"), "--account-id", "111122223333", "--config", file)
	root := n.root()
	var clients []string
	for _, algorithm := range algorithms {
		clients = append(clients, p.Client(algorithm))
	}
	out, err := root.iam.CreateOpenIDConnectProvider(t.Context(), &iam.CreateOpenIDConnectProviderInput{Url: &p.Issuer, ClientIDList: clients})
	if err != nil {
		t.Fatal(err)
	}
	_, issuer, _ := strings.Cut(p.Issuer, "://")
	who := `"` + issuer + `:sub":"` + idptest.User + `"`
	if strings.HasSuffix(issuer, "/dex") { // as docs/federation/dex.md says it
		who = `"` + issuer + `:federated_claims/connector_id":"local","` + issuer + `:federated_claims/user_id":"` + idptest.DexUserID + `"`
	}
	trust := func(group string) string {
		return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Federated":"` + *out.OpenIDConnectProviderArn +
			`"},"Action":"sts:AssumeRoleWithWebIdentity","Condition":{"ForAnyValue:StringEquals":{"` + issuer + `:groups":"` + group +
			`"},"StringEquals":{` + who + `,"` + issuer + `:aud":["` + strings.Join(clients, `","`) + `"]}}}]}`
	}
	return &idpWorld{node: n, idp: p, role: root.role("deploy", trust("deployers")), other: root.role("admin", trust("admins"))}
}

func (w *idpWorld) assume(token, role string) error {
	name := "web"
	_, err := w.client("", "", "").sts.AssumeRoleWithWebIdentity(context.Background(), &sts.AssumeRoleWithWebIdentityInput{
		RoleArn: &role, RoleSessionName: &name, WebIdentityToken: &token,
	})
	return err
}

// A user signs in at each provider, and the ID token makes stock SDKs and the aws CLI a role of stint. SDKs renew their credentials by
// themselves with whatever token the file then holds. The provider rotates its keys meanwhile, under load: no request is lost, and its
// keys are fetched once more.
func TestIdP_Workloads(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		provider idptest.Provider
		options  idptest.Options
	}{
		{idptest.Dex, idptest.Options{TLS: true, Algorithm: "ES256"}},
		{idptest.OIDCProvider, idptest.Options{}},
	} {
		t.Run(row.provider.String(), func(t *testing.T) {
			t.Parallel()
			needAWS(t)
			idp := idptest.Start(t, row.provider, row.options)
			yaml := ""
			if idp.CAFile != "" {
				yaml = "oidc:\n  ca-files: ['" + idp.Issuer + "=" + idp.CAFile + "']\n"
			}
			w := newIdPWorld(t, idp, yaml, "ES256")
			tokenFile := filepath.Join(t.TempDir(), "token")
			first := idp.Login("ES256")
			write(t, tokenFile, first)
			w.exchangeByCLI(tokenFile, idp.Client("ES256"))
			wantCode(t, w.assume(first, w.other), "AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity")

			ageing := newAgeing(t, w.url)
			workloads := map[string]*workload{
				"Go":         w.workload(tokenFile, ageing.url, goWorkload(t)),
				"JavaScript": w.workload(tokenFile, ageing.url, exec.Command("node", filepath.Join(idptest.NodeModules(t), "workload.mjs"))),
			}
			keys := make(map[string]string)
			ageing.on.Store(true)
			for language, workload := range workloads {
				workload.who()
				keys[language] = ageing.key()
			}

			load := w.load(first)
			idp.Rotate()
			second := idp.Login("ES256")
			load.switchTo(second)
			write(t, tokenFile, second)
			ageing.on.Store(false)
			for language, workload := range workloads {
				workload.who()
				renewed := ageing.key()
				if renewed == keys[language] {
					t.Errorf("%s: credentials that have ended were not renewed", language)
				}
				workload.who()
				if again := ageing.key(); again != renewed {
					t.Errorf("%s: credentials of an hour were renewed at once", language)
				}
			}
			load.end()
			if err := w.assume(first, w.role); err != nil {
				t.Errorf("a token of the key before: %v", err)
			}
			if got := idp.Fetches(); got != 2 {
				t.Errorf("key set fetched %d times, want once for each generation", got)
			}
		})
	}
}

// exchangeByCLI exchanges the token as the documents say it is done by hand.
func (w *idpWorld) exchangeByCLI(tokenFile, audience string) {
	w.t.Helper()
	c := exec.CommandContext(w.t.Context(), "aws", "sts", "assume-role-with-web-identity", "--role-arn", w.role, "--role-session-name", "by-hand",
		"--web-identity-token", "file://"+tokenFile, "--output", "json", "--endpoint-url", w.url)
	c.Env = environment("AWS_DEFAULT_REGION=eu-west-1", "AWS_REGION=eu-west-1", "HOME="+filepath.Dir(tokenFile))
	raw, err := c.CombinedOutput()
	if err != nil {
		w.t.Fatalf("%v: %v\n%s", c.Args, err, raw)
	}
	var out struct {
		AssumedRoleUser             struct{ Arn string }
		Audience, Provider          string
		SubjectFromWebIdentityToken string
		Credentials                 struct{ AccessKeyID, SecretAccessKey, SessionToken string }
	}
	if err := json.Unmarshal(raw, &out); err != nil || out.AssumedRoleUser.Arn != "arn:aws:sts::111122223333:assumed-role/deploy/by-hand" ||
		out.Audience != audience || !strings.HasSuffix(out.Provider, strings.TrimPrefix(strings.TrimPrefix(w.idp.Issuer, "https://"), "http://")) ||
		out.SubjectFromWebIdentityToken == "" || out.Credentials.SessionToken == "" {
		w.t.Errorf("%v: %v\n%s", c.Args, err, raw)
	}
}

// load assumes the role over and over with the token that is current.
type load struct {
	t     *testing.T
	token atomic.Pointer[string]
	stop  atomic.Bool
	calls sync.WaitGroup

	mu   sync.Mutex
	done map[string]int // calls answered, by token
}

func (w *idpWorld) load(token string) *load {
	w.t.Helper()
	l := &load{t: w.t, done: make(map[string]int)}
	l.token.Store(&token)
	for range 2 {
		l.calls.Go(func() {
			for !l.stop.Load() {
				token := *l.token.Load()
				if err := w.assume(token, w.role); err != nil {
					l.t.Errorf("under load: %v", err)
					return
				}
				l.mu.Lock()
				l.done[token]++
				l.mu.Unlock()
			}
		})
	}
	w.t.Cleanup(l.end)
	l.until(token)
	return l
}

// switchTo lets the load go on with another token.
func (l *load) switchTo(token string) {
	l.token.Store(&token)
	l.until(token)
}

// until waits for calls with the token.
func (l *load) until(token string) {
	l.t.Helper()
	until(l.t, "calls with the token", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.done[token] > 10
	})
}

func (l *load) end() {
	l.stop.Store(true)
	l.calls.Wait()
}

// The provider signs as its client asked. What AWS takes, stint takes; RSA-PSS and EdDSA, which other verifiers take, it does not, and
// cannot be told to. An issuer can be held to fewer.
func TestIdP_Algorithms(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	idp := idptest.Start(t, idptest.OIDCProvider, idptest.Options{})
	all := []string{"RS256", "ES256", "ES384", "PS256", "EdDSA"}
	w := newIdPWorld(t, idp, "", all...)
	narrow := newIdPWorld(t, idp, "oidc:\n  algorithms: ['"+idp.Issuer+"=ES256']\n", all...)
	issuer, err := gooidc.NewProvider(ctx, idp.Issuer)
	if err != nil {
		t.Fatal(err)
	}
	const unknown, untrusted = "not a valid JWT", "not signed by a trusted key"
	for _, row := range []struct{ algorithm, text, narrowText string }{ // texts are those of refusals
		{"ES256", "", ""}, {"ES384", "", untrusted}, {"RS256", "", untrusted}, {"PS256", unknown, unknown}, {"EdDSA", unknown, unknown},
	} {
		token := idp.Login(row.algorithm)
		genuine := issuer.Verifier(&gooidc.Config{ClientID: idp.Client(row.algorithm), SupportedSigningAlgs: []string{row.algorithm}})
		if _, err := genuine.Verify(ctx, token); err != nil {
			t.Errorf("%s: go-oidc: %v", row.algorithm, err)
		}
		accepts := func(err error, text string) {
			t.Helper()
			if text != "" {
				wantCode(t, err, "InvalidIdentityToken", text)
			} else if err != nil {
				t.Errorf("%s: %v", row.algorithm, err)
			}
		}
		accepts(w.assume(token, w.role), row.text)
		accepts(narrow.assume(token, narrow.role), row.narrowText)
	}
	for _, algorithm := range []string{"PS256", "EdDSA"} {
		file := filepath.Join(t.TempDir(), "stint.yaml")
		write(t, file, "oidc:\n  algorithms: ['"+idp.Issuer+"="+algorithm+"']\n")
		if _, stderr, code := run(t, "", "serve", "--data-dir", t.TempDir(), "--config", file); code == 0 || !strings.Contains(stderr, algorithm) {
			t.Errorf("%s can be configured: exit %d, %s", algorithm, code, stderr)
		}
	}
}

// A provider that is gone keeps nobody out who has a token, and one that is back need not have its keys still.
func TestIdP_Down(t *testing.T) {
	t.Parallel()
	for _, provider := range idptest.Providers {
		t.Run(provider.String(), func(t *testing.T) {
			t.Parallel()
			idp := idptest.Start(t, provider, idptest.Options{})
			w := newIdPWorld(t, idp, "", "RS256")
			login := map[idptest.Provider]func(string) string{idptest.Dex: idp.Password, idptest.OIDCProvider: idp.Login}[provider]
			token := login("RS256")
			assume := func(when, token string) {
				t.Helper()
				if err := w.assume(token, w.role); err != nil {
					t.Fatalf("%s: %v", when, err)
				}
			}
			assume("up", token)
			idp.Kill()
			assume("down", token)
			idp.Restart()
			assume("back", login("RS256"))
		})
	}
}
