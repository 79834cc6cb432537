package main_test

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/iam"

	"github.com/stint-sts/stint/federation/oidctest"
)

// configured is a configuration file with the settings of oidc.
func configured(t *testing.T, oidc string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "stint.yaml")
	write(t, file, "oidc:\n"+oidc)
	return file
}

// A mistake in a setting of an issuer ends the start, and names setting, issuer or file, and what is wrong with it.
func TestWebIdentitySettings_Mistakes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "empty"), "")
	write(t, filepath.Join(dir, "private.json"), `{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB","d":"AA"}]}`)
	for name, row := range map[string]struct {
		setting string
		want    []string
	}{
		"no such authority":           {"  ca-files: ['https://a.example=" + dir + "/none']\n", []string{"oidc.ca-files", "https://a.example", "none"}},
		"an authority that is none":   {"  ca-files: ['https://a.example=" + dir + "/empty']\n", []string{"oidc.ca-files", "/empty", "no certificate in PEM"}},
		"no such key file":            {"  key-files: ['https://a.example=" + dir + "/none']\n", []string{"oidc.key-files", "https://a.example", "none"}},
		"a key file without keys":     {"  key-files: ['https://a.example=" + dir + "/empty']\n", []string{"oidc.key-files", "https://a.example", "/empty"}},
		"a key file of private keys":  {"  key-files: ['https://a.example=" + dir + "/private.json']\n", []string{"oidc.key-files", "private key"}},
		"no issuer":                   {"  key-files: ['" + dir + "/empty']\n", []string{"oidc.key-files", "ISSUER=VALUE"}},
		"an issuer with a query":      {"  leeway: ['https://a.example?x=1s']\n", []string{"oidc.leeway", "a.example?x"}},
		"an algorithm that is none":   {"  algorithms: ['https://a.example=RS256+none']\n", []string{"oidc.algorithms", "https://a.example", `"none"`}},
		"no algorithm":                {"  algorithms: ['https://a.example=']\n", []string{"oidc.algorithms", "https://a.example"}},
		"a leeway without unit":       {"  leeway: ['https://a.example=60']\n", []string{"oidc.leeway", "https://a.example", "0s to 5m"}},
		"an issuer twice":             {"  leeway: ['https://a.example=1s', 'https://a.example=2s']\n", []string{"oidc.leeway", "https://a.example is given twice"}},
		"a network that is none":      {"  networks: [10.0.0.0/40]\n", []string{"oidc.networks", "10.0.0.0/40"}},
		"a mode that is none":         {"  issuer-mode: off\n", []string{"oidc.issuer-mode", "report"}},
		"a setting that there is not": {"  thumbprints: []\n", []string{"oidc.thumbprints"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stdout, stderr, code := run(t, "", "serve", "--data-dir", filepath.Join(t.TempDir(), "data"), "--config", configured(t, row.setting),
				"--listen-http", "127.0.0.1:0", "--listen-grpc", "127.0.0.1:0", "--listen-ops", "127.0.0.1:0")
			if code == 0 || stdout != "" && strings.Contains(stdout, "Go on") {
				t.Fatalf("it starts: %s", stdout)
			}
			for _, want := range row.want {
				if !strings.Contains(stderr, want) {
					t.Errorf("it does not say %q: %s", want, stderr)
				}
			}
		})
	}
}

// Algorithms and leeway are an issuer's own: its neighbour has the defaults.
func TestWebIdentitySettings_PerIssuer(t *testing.T) {
	t.Parallel()
	strict := oidctest.New(t)
	w := newWebWorld(t, "--config", configured(t, "  algorithms: ['"+strict.URL+"=ES256']\n  leeway: ['"+strict.URL+"=5m']\n"))
	w.root.must(w.root.iam.CreateOpenIDConnectProvider(t.Context(), &iam.CreateOpenIDConnectProviderInput{Url: &strict.URL, ClientIDList: []string{webAudience}}))
	issuer := strings.TrimPrefix(strict.URL, "http://")
	role := w.root.role("strict", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Federated":"arn:aws:iam::111122223333:oidc-provider/`+issuer+
		`"},"Action":"sts:AssumeRoleWithWebIdentity","Condition":{"StringEquals":{"`+issuer+`:sub":"deploy"}}}]}`)
	ahead := func(d time.Duration) map[string]any {
		return map[string]any{"iat": time.Now().Add(d).Unix(), "nbf": time.Now().Add(d).Unix(), "exp": time.Now().Add(d + time.Hour).Unix()}
	}
	token := func(idp *oidctest.IdP, algorithm string, change map[string]any) string {
		claims := idp.Claims(webAudience, "deploy", time.Now())
		for name, value := range change {
			claims[name] = value
		}
		return idp.Token(algorithm, claims)
	}
	for name, row := range map[string]struct {
		token, role, text string
	}{
		"its algorithm":                     {token(strict, "ES256", nil), role, ""},
		"another algorithm":                 {token(strict, "RS256", nil), role, "not signed by a trusted key"},
		"another algorithm of a neighbour":  {token(w.idp, "RS256", nil), w.role, ""},
		"four minutes ahead":                {token(strict, "ES256", ahead(4*time.Minute)), role, ""},
		"six minutes ahead":                 {token(strict, "ES256", ahead(6*time.Minute)), role, "not valid yet"},
		"four minutes ahead of a neighbour": {token(w.idp, "ES256", ahead(4*time.Minute)), w.role, "not valid yet"},
		"half a minute ahead":               {token(w.idp, "ES256", ahead(30*time.Second)), w.role, ""},
	} {
		if err := w.assume(row.token, row.role); row.text == "" && err != nil {
			t.Errorf("%s: %v", name, err)
		} else if row.text != "" {
			wantCode(t, err, "InvalidIdentityToken", row.text)
		}
	}
}

// stint explain has the reason that the caller is not told, and /metrics counts how issuers' keys are had.
func TestWebIdentity_ExplainAndMetrics(t *testing.T) {
	t.Parallel()
	w := newWebWorld(t)
	down := oidctest.New(t)
	w.root.must(w.root.iam.CreateOpenIDConnectProvider(t.Context(), &iam.CreateOpenIDConnectProviderInput{Url: &down.URL, ClientIDList: []string{webAudience}}))
	down.Intercept(func(rw http.ResponseWriter, r *http.Request) bool {
		http.Redirect(rw, r, "https://secret-path.example.com/?token=canary", http.StatusFound)
		return true
	})
	if err := w.assume(w.token("RS256", nil), w.role); err != nil {
		t.Fatal(err)
	}
	stranger := oidctest.NewKey("RS256", "stranger")
	claims := w.idp.Claims(webAudience, "deploy", time.Now())
	for name, row := range map[string]struct {
		token, role string
		want        []string
	}{
		"another subject": {w.token("RS256", map[string]any{"sub": "admin"}), w.role,
			[]string{"trust policy of " + w.role, "no  Condition StringEquals", `:sub: expected ["deploy"], got ["admin"]`}},
		"no such role":       {w.token("RS256", nil), w.role + "x", []string{"no such record"}},
		"another audience":   {w.token("RS256", map[string]any{"aud": "else"}), w.role, []string{"audience is not registered"}},
		"no subject":         {w.token("RS256", map[string]any{"sub": ""}), w.role, []string{"sub is no text, empty or too long"}},
		"expired":            {w.token("RS256", map[string]any{"exp": 1}), w.role, []string{"expired at 1"}},
		"ahead":              {w.token("RS256", map[string]any{"iat": time.Now().Add(time.Hour).Unix()}), w.role, []string{"not valid yet"}},
		"an unknown key":     {stranger.Token(claims), w.role, []string{"no key of that id and algorithm"}},
		"a bad signature":    {w.token("RS256", nil) + "AA", w.role, []string{"signature"}},
		"its own key":        {stranger.Sign(map[string]any{"alg": "RS256", "jwk": stranger.JWK()}, []byte("{}")), w.role, []string{"header has jwk"}},
		"a nested token":     {stranger.Sign(map[string]any{"alg": "RS256", "cty": "JWT"}, []byte("{}")), w.role, []string{"header has cty"}},
		"a stranger":         {stranger.Token(map[string]any{"iss": "https://idp.example.com"}), w.role, []string{"https://idp.example.com"}},
		"keys that moved":    {down.Token("RS256", down.Claims(webAudience, "deploy", time.Now())), w.role, []string{"discovery", "refused", "status 302"}},
		"tags not allowed":   {w.token("RS256", map[string]any{"https://aws.amazon.com/tags": map[string]any{"principal_tags": map[string]any{"a": []string{"b"}}}}), w.role, []string{"sts:TagSession"}},
		"roles of the IdP":   {w.token("RS256", map[string]any{"https://aws.amazon.com/roles": []string{"arn:aws:iam::111122223333:role/x"}}), w.role, []string{"roles claim"}},
		"no source identity": {w.token("RS256", map[string]any{"https://aws.amazon.com/source_identity": ""}), w.role, []string{"source_identity is no text, or empty"}},
	} {
		err := w.assume(row.token, row.role)
		if err == nil {
			t.Errorf("%s: let in", name)
			continue
		}
		got := must(t, "explain", "--data-dir", w.dir, requestID(t, err))
		for _, want := range row.want {
			if !strings.Contains(got, want) {
				t.Errorf("%s: it does not tell %q:\n%s", name, want, got)
			}
		}
		for _, never := range []string{row.token, row.token[strings.LastIndexByte(row.token, '.')+1:], "canary"} {
			if strings.Contains(got, never) {
				t.Errorf("%s: it holds %q", name, never)
			}
		}
	}
	metrics := fetch(t, w.ops+"/metrics")
	for _, want := range []string{
		`stint_issuer_key_loads_total{host="127.0.0.1",outcome="ok"} `, `stint_issuer_key_loads_total{host="127.0.0.1",outcome="unusable"} 1`,
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("/metrics does not hold %s", want)
		}
	}
	if strings.Contains(metrics, "canary") {
		t.Error("/metrics holds where an issuer redirected to")
	}
}
