package webhook_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stint-sts/stint/kubernetes/kubetest"
	"github.com/stint-sts/stint/kubernetes/webhook"
)

const role = "arn:aws:iam::111122223333:role/web"

// hook is a webhook on a Kubernetes API.
type hook struct {
	t    *testing.T
	api  *kubetest.API
	url  string
	stop func() error // ends it, and tells how it ended
}

func config(t *testing.T, api *kubetest.API) webhook.Config {
	return webhook.Config{
		Endpoint: "https://sts.example.com", Region: "eu-west-1", Pause: time.Millisecond,
		API: webhook.API{URL: api.URL, CAFile: api.CAFile, TokenFile: api.TokenFile}, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
}

// start runs a webhook until the test ends.
func start(t *testing.T, api *kubetest.API, change ...func(*webhook.Config)) *hook {
	t.Helper()
	cfg := config(t, api)
	for _, f := range change {
		f(&cfg)
	}
	s, err := webhook.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx, ln) }()
	h := &hook{t: t, api: api, url: "http://" + ln.Addr().String()}
	stopped := false
	h.stop = func() error {
		if stopped {
			return nil
		}
		stopped = true
		cancel()
		return <-ended
	}
	t.Cleanup(func() {
		if err := h.stop(); err != nil {
			t.Error(err)
		}
	})
	return h
}

// ready waits until the webhook is.
func (h *hook) ready() *hook {
	h.t.Helper()
	until(h.t, "the webhook is ready", func() bool {
		answer, err := http.Get(h.url + "/readyz")
		if err != nil {
			return false
		}
		_ = answer.Body.Close()
		return answer.StatusCode == http.StatusOK
	})
	return h
}

func (h *hook) metrics() string {
	h.t.Helper()
	r, err := http.Get(h.url + "/metrics")
	if err != nil {
		h.t.Fatal(err)
	}
	defer func() { _ = r.Body.Close() }()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return string(text)
}

// until polls for what happens in the background.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !done(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it never happens: %s", what)
		}
	}
}

// answer is an answer of the webhook.
type answer struct {
	http    int
	text    string // of an HTTP error
	uid     string
	allowed bool
	message string
	patch   string
	patches []map[string]any
	audit   map[string]string
	warning string
}

// post sends body as the API server does.
func (h *hook) post(body string) answer {
	h.t.Helper()
	return decode(h.t, h.send("application/json", strings.NewReader(body)))
}

func (h *hook) send(contentType string, body io.Reader) *http.Response {
	h.t.Helper()
	r, err := http.Post(h.url+"/mutate?timeout=5s", contentType, body)
	if err != nil {
		h.t.Fatal(err)
	}
	return r
}

func decode(t *testing.T, r *http.Response) answer {
	t.Helper()
	defer func() { _ = r.Body.Close() }()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	if r.StatusCode != http.StatusOK {
		return answer{http: r.StatusCode, text: string(body)}
	}
	var out struct {
		APIVersion, Kind string
		Response         struct {
			UID              string
			Allowed          bool
			Status           struct{ Message string }
			Patch            []byte
			PatchType        string
			AuditAnnotations map[string]string
			Warnings         []string
		}
	}
	d := json.NewDecoder(bytes.NewReader(body))
	if err := d.Decode(&out); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	if out.APIVersion != "admission.k8s.io/v1" || out.Kind != "AdmissionReview" {
		t.Errorf("answer is a %s of %s", out.Kind, out.APIVersion)
	}
	a := answer{
		http: 200, uid: out.Response.UID, allowed: out.Response.Allowed, message: out.Response.Status.Message,
		patch: string(out.Response.Patch), audit: out.Response.AuditAnnotations, warning: strings.Join(out.Response.Warnings, "; "),
	}
	if a.patch != "" {
		if err := json.Unmarshal(out.Response.Patch, &a.patches); err != nil {
			t.Fatal(err)
		}
	}
	if (out.Response.PatchType == "JSONPatch") != (a.patch != "") {
		t.Errorf("patch type %q of patch %s", out.Response.PatchType, a.patch)
	}
	return a
}

// review is the review of a pod of namespace prod.
func review(pod string) string {
	return `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"705ab4f5","kind":{"group":"","version":"v1","kind":"Pod"},
		"resource":{"group":"","version":"v1","resource":"pods"},"operation":"CREATE","namespace":"prod","object":` + pod + `}}`
}

func podOf(account string) string {
	return `{"metadata":{"generateName":"web-"},"spec":{"serviceAccountName":"` + account + `","containers":[{"name":"main","image":"x"}]}}`
}

// roleOf is the role that a pod of the account gets, "" for none.
func (h *hook) roleOf(account string) string {
	h.t.Helper()
	a := h.post(review(podOf(account)))
	if a.http != 200 || !a.allowed {
		h.t.Fatalf("%+v", a)
	}
	return a.audit["role-arn"]
}

func annotated(more ...string) map[string]string {
	m := map[string]string{"sts.stint.dev/role-arn": role}
	for i := 0; i < len(more); i += 2 {
		m[more[i]] = more[i+1]
	}
	return m
}

func TestMutate(t *testing.T) {
	t.Parallel()
	api := kubetest.New(t)
	api.Put("prod", "web", annotated())
	api.Put("prod", "default", nil)
	h := start(t, api).ready()
	until(t, "the accounts are followed", func() bool { return strings.Contains(h.metrics(), "stint_webhook_watching 1") })
	got := h.post(review(podOf("web")))
	want := []map[string]any{
		{"op": "add", "path": "/spec/containers/0/env", "value": []any{
			map[string]any{"name": "AWS_DEFAULT_REGION", "value": "eu-west-1"},
			map[string]any{"name": "AWS_REGION", "value": "eu-west-1"},
			map[string]any{"name": "AWS_ENDPOINT_URL_STS", "value": "https://sts.example.com"},
			map[string]any{"name": "AWS_ROLE_ARN", "value": role},
			map[string]any{"name": "AWS_WEB_IDENTITY_TOKEN_FILE", "value": "/var/run/secrets/sts.stint.dev/serviceaccount/token"},
			map[string]any{"name": "AWS_ROLE_SESSION_NAME", "valueFrom": map[string]any{"fieldRef": map[string]any{"fieldPath": "metadata.name"}}},
		}},
		{"op": "add", "path": "/spec/containers/0/volumeMounts", "value": []any{
			map[string]any{"name": "aws-iam-token", "mountPath": "/var/run/secrets/sts.stint.dev/serviceaccount", "readOnly": true},
		}},
		{"op": "add", "path": "/spec/volumes", "value": []any{map[string]any{"name": "aws-iam-token", "projected": map[string]any{"sources": []any{
			map[string]any{"serviceAccountToken": map[string]any{"audience": "sts.amazonaws.com", "expirationSeconds": 86400.0, "path": "token"}},
		}}}}},
	}
	if d := cmp.Diff(want, got.patches); d != "" || got.uid != "705ab4f5" || !got.allowed || got.audit["role-arn"] != role || got.warning != "" {
		t.Errorf("%+v\n%s", got, d)
	}
	for name, pod := range map[string]string{
		"account without annotations": podOf("default"), "no account, as of a mirror pod": podOf(""),
	} {
		if got := h.post(review(pod)); !got.allowed || got.patch != "" || got.uid != "705ab4f5" || got.audit != nil {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if got := api.Count(); got.Gets != 0 {
		t.Errorf("asked for %d accounts that are known", got.Gets)
	}
	if got := h.post("{}"); got.http != http.StatusBadRequest {
		t.Errorf("%+v", got)
	}
	for _, want := range []string{
		`stint_webhook_reviews_total{result="patched"} 1`, `stint_webhook_reviews_total{result="unchanged"} 2`, `stint_webhook_reviews_total{result="failed"} 1`,
	} {
		if got := h.metrics(); !strings.Contains(got, want) {
			t.Errorf("metrics lack %s: %s", want, got)
		}
	}
}

// What can never lead to credentials is denied with a reason; other odd values give the default and a warning.
func TestMutate_Annotations(t *testing.T) {
	t.Parallel()
	api := kubetest.New(t)
	const own, eks = "sts.stint.dev/", "eks.amazonaws.com/"
	for _, row := range []struct {
		name        string
		annotations map[string]string
		pod         map[string]string // annotations
		change      func(*webhook.Config)
		allowed     bool
		message     string // of a denial, or warning
		has, hasNot string // in the patch
	}{
		{name: "annotations of EKS", annotations: map[string]string{eks + "role-arn": role, eks + "audience": "a", eks + "token-expiration": "3600"},
			allowed: true, has: `"/var/run/secrets/eks.amazonaws.com/serviceaccount"`},
		{name: "own annotations beside those of EKS", allowed: true, has: `"audience":"sts.amazonaws.com"`, hasNot: "eks.amazonaws.com",
			annotations: map[string]string{own + "role-arn": role, eks + "role-arn": role + "-eks", eks + "audience": "eks"}},
		{name: "annotations of EKS where they are not read", annotations: map[string]string{eks + "role-arn": role}, allowed: true, hasNot: "AWS_",
			change: func(c *webhook.Config) { c.Prefixes = []string{"sts.stint.dev"} }},
		{name: "audience", annotations: annotated(own+"audience", "sts.example.com"), allowed: true, has: `"audience":"sts.example.com"`},
		{name: "empty audience, which would be that of Kubernetes itself", annotations: annotated(own+"audience", ""), allowed: true,
			has: `"audience":"sts.amazonaws.com"`},
		{name: "expiration", annotations: annotated(own+"token-expiration", "1800"), allowed: true, has: `"expirationSeconds":1800`},
		{name: "expiration of the pod", annotations: annotated(own+"token-expiration", "1800"), pod: map[string]string{own + "token-expiration": "900"},
			allowed: true, has: `"expirationSeconds":900`},
		{name: "expiration below the least", annotations: annotated(own+"token-expiration", "60"), allowed: true, has: `"expirationSeconds":600`,
			message: "tokens live 600 to 86400 s; made 600"},
		{name: "expiration above the most", annotations: annotated(own+"token-expiration", "90000"), allowed: true, has: `"expirationSeconds":86400`,
			message: "made 86400"},
		{name: "expiration that is no number", annotations: annotated(own+"token-expiration", "1h"), allowed: true, has: `"expirationSeconds":86400`,
			message: `"1h" is not a number of seconds`},
		{name: "regional endpoints", annotations: annotated(own+"sts-regional-endpoints", "true"), allowed: true, has: `"AWS_STS_REGIONAL_ENDPOINTS"`},
		{name: "no regional endpoints", annotations: annotated(own+"sts-regional-endpoints", "false"), allowed: true, hasNot: `REGIONAL_ENDPOINTS`},
		{name: "regional endpoints, perhaps", annotations: annotated(own+"sts-regional-endpoints", "maybe"), allowed: true, hasNot: `REGIONAL_ENDPOINTS`,
			message: `"maybe" is neither true nor false`},
		{name: "container left out", annotations: annotated(), pod: map[string]string{own + "skip-containers": "other, main"}, allowed: true, hasNot: "AWS_"},
		{name: "another container left out", annotations: annotated(), pod: map[string]string{own + "skip-containers": "other"}, allowed: true, has: "AWS_"},
		{name: "list of containers with a stray quote", annotations: annotated(), pod: map[string]string{own + "skip-containers": `main"`}, allowed: true,
			has: "AWS_", message: "is not a list of names"},
		{name: "authorities of the account", annotations: annotated(own+"ca-config-map", "corp-ca"), allowed: true,
			has: `{"name":"AWS_CA_BUNDLE","value":"/var/run/secrets/sts.stint.dev/ca/ca.crt"}`},
		{name: "authorities of the webhook", annotations: annotated(), change: func(c *webhook.Config) { c.CAConfigMap = "stint-ca" }, allowed: true,
			has: `"configMap":{"items":[{"key":"ca.crt","path":"ca.crt"}],"name":"stint-ca"}`},
		{name: "no region", annotations: annotated(), change: func(c *webhook.Config) { c.Region = "" }, allowed: true, has: "AWS_ROLE_ARN", hasNot: "REGION"},
		{name: "no session names", annotations: annotated(), change: func(c *webhook.Config) { c.AnonymousSessions = true }, allowed: true,
			has: "AWS_ROLE_ARN", hasNot: "AWS_ROLE_SESSION_NAME"},
		{name: "another directory", annotations: annotated(), change: func(c *webhook.Config) { c.MountPath = "/token/" }, allowed: true,
			has: `"value":"/token/token"`},
		{name: "name of a role instead of its ARN", annotations: map[string]string{own + "role-arn": "web"},
			message: `ServiceAccount prod/web: annotation sts.stint.dev/role-arn: "web" is not the ARN of a role`},
		{name: "ARN of a user", annotations: map[string]string{own + "role-arn": "arn:aws:iam::111122223333:user/web"}, message: "is not the ARN of a role"},
		{name: "role of another partition", annotations: map[string]string{own + "role-arn": "arn:aws-cn:iam::111122223333:role/web"}, message: "is not the ARN of a role"},
		{name: "name of a ConfigMap that cannot be one", annotations: annotated(own+"ca-config-map", "../x"), message: "is not the name of a ConfigMap"},
	} {
		t.Run(row.name, func(t *testing.T) {
			api.Put("prod", "web", row.annotations)
			change := row.change
			if change == nil {
				change = func(*webhook.Config) {}
			}
			h := start(t, api, change).ready()
			pod, err := json.Marshal(map[string]any{
				"metadata": map[string]any{"name": "web-0", "annotations": row.pod},
				"spec":     map[string]any{"serviceAccountName": "web", "containers": []any{map[string]any{"name": "main"}}},
			})
			if err != nil {
				t.Fatal(err)
			}
			got := h.post(review(string(pod)))
			if got.http != 200 || got.allowed != row.allowed {
				t.Fatalf("%+v", got)
			}
			told := got.message
			if row.allowed {
				told = got.warning
			}
			if (told == "") != (row.message == "") || !strings.Contains(told, row.message) {
				t.Errorf("told %q, want %q", told, row.message)
			}
			if !strings.Contains(got.patch, row.has) {
				t.Errorf("the patch lacks %s: %s", row.has, got.patch)
			}
			if row.hasNot != "" && strings.Contains(got.patch, row.hasNot) {
				t.Errorf("the patch has %s: %s", row.hasNot, got.patch)
			}
		})
	}
}

// What a container says stands, and what it lacks is added behind what it has.
func TestMutate_Containers(t *testing.T) {
	t.Parallel()
	api := kubetest.New(t)
	api.Put("prod", "web", annotated("sts.stint.dev/ca-config-map", "ca"))
	h := start(t, api).ready()
	for _, row := range []struct{ name, container, has, hasNot string }{
		{"role of its own", `{"env":[{"name":"AWS_ROLE_ARN","value":"x"}]}`, `"AWS_ENDPOINT_URL_STS"`, `"AWS_WEB_IDENTITY_TOKEN_FILE"`},
		{"token of its own", `{"env":[{"name":"AWS_WEB_IDENTITY_TOKEN_FILE","value":"x"}]}`, `"mountPath"`, `"AWS_ROLE_ARN"`},
		{"region of its own", `{"env":[{"name":"AWS_REGION","value":"x"}]}`, `"AWS_ROLE_ARN"`, `"AWS_DEFAULT_REGION"`},
		{"endpoint of its own", `{"env":[{"name":"AWS_ENDPOINT_URL_STS"}]}`, `"AWS_ROLE_ARN"`, `"AWS_ENDPOINT_URL_STS"`},
		{"session name of its own", `{"env":[{"name":"AWS_ROLE_SESSION_NAME"}]}`, `"AWS_ROLE_ARN"`, `"AWS_ROLE_SESSION_NAME"`},
		{"authorities of its own", `{"env":[{"name":"AWS_CA_BUNDLE"}]}`, `"AWS_ROLE_ARN"`, `aws-ca-bundle`},
		{"variable that does not matter", `{"env":[{"name":"A"}]}`, `"path":"/spec/containers/0/env/-"`, `"path":"/spec/containers/0/env",`},
		{"mount that does not matter", `{"volumeMounts":[{"name":"a","mountPath":"/a"}]}`, `"path":"/spec/containers/0/volumeMounts/-"`, `0/volumeMounts",`},
		{"token mounted already", `{"volumeMounts":[{"name":"aws-iam-token","mountPath":"/t"}]}`, `"projected"`, `"mountPath":"/var/run/secrets/sts.stint.dev/serviceaccount"`},
		{"something in the place of the token", `{"volumeMounts":[{"name":"a","mountPath":"/var/run/secrets/sts.stint.dev/serviceaccount/"}]}`, `"AWS_ROLE_ARN"`,
			`"projected"`},
	} {
		got := h.post(review(`{"metadata":{"name":"p"},"spec":{"serviceAccountName":"web","containers":[` + row.container + `]}}`))
		if !got.allowed || !strings.Contains(got.patch, row.has) || strings.Contains(got.patch, row.hasNot) {
			t.Errorf("%s: want %s, not %s: %+v", row.name, row.has, row.hasNot, got)
		}
	}
	long := h.post(review(`{"metadata":{"name":"` + strings.Repeat("n", 65) + `"},"spec":{"serviceAccount":"web","containers":[{}]}}`))
	if !strings.Contains(long.patch, "AWS_ROLE_ARN") || strings.Contains(long.patch, "AWS_ROLE_SESSION_NAME") {
		t.Errorf("the name of the pod is too long for a session's: %s", long.patch)
	}
}

// The webhook has no answer to what it does not know; the API server then does what failurePolicy says.
func TestMutate_Protocol(t *testing.T) {
	t.Parallel()
	api := kubetest.New(t)
	api.Put("prod", "web", annotated())
	h := start(t, api).ready()
	good := review(podOf("web"))
	for _, row := range []struct {
		name, from, to string
		http           int
		text           string
	}{
		{"v1beta1", "admission.k8s.io/v1", "admission.k8s.io/v1beta1", 400, "set admissionReviewVersions to [v1]"},
		{"another kind", `"kind":"AdmissionReview"`, `"kind":"ConversionReview"`, 400, "want AdmissionReview"},
		{"no uid", `"uid":"705ab4f5"`, `"uid":""`, 400, "no request with a uid"},
		{"no request", `"request"`, `"reply"`, 400, "no request"},
		{"update", `"CREATE"`, `"UPDATE"`, 400, "for the creation of pods alone"},
		{"deployment", `"kind":"Pod"`, `"kind":"Deployment"`, 400, "for the creation of pods alone"},
		{"subresource", `"operation"`, `"subResource":"status","operation"`, 400, "for the creation of pods alone"},
		{"no namespace", `"prod"`, `""`, 400, "no namespace"},
		{"no JSON", `{"apiVersion"`, `"apiVersion"`, 400, "review: "},
		{"pod that is none", `"containers":[`, `"containers":["x",`, 400, "pod: "},
		{"account that does not exist", `"serviceAccountName":"web"`, `"serviceAccountName":"none"`, 503, "404: serviceaccounts"},
		{"account beyond a path", `"serviceAccountName":"web"`, `"serviceAccountName":"../../secrets"`, 503, "ServiceAccount"},
	} {
		if got := h.post(good); !got.allowed {
			t.Fatalf("before %s: %+v", row.name, got)
		}
		if !strings.Contains(good, row.from) {
			t.Fatalf("%s: nothing to change", row.name)
		}
		got := h.post(strings.Replace(good, row.from, row.to, 1))
		if got.http != row.http || !strings.Contains(got.text, row.text) {
			t.Errorf("%s: %+v", row.name, got)
		}
	}
	if got := decode(h.t, h.send("text/plain", strings.NewReader(good))); got.http != http.StatusUnsupportedMediaType {
		t.Errorf("text: %+v", got)
	}
	if got := decode(h.t, h.send("application/json", strings.NewReader(`{"x":"`+strings.Repeat("x", 9<<20)+`"}`))); got.http != http.StatusRequestEntityTooLarge {
		t.Errorf("nine MiB: %+v", got)
	}
	if r, err := http.Get(h.url + "/mutate"); err != nil || r.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("GET: %v, %v", r, err)
	}
}

// Changes arrive by the watch, over everything that ends it.
func TestAccounts_Follow(t *testing.T) {
	t.Parallel()
	api := kubetest.New(t)
	for _, name := range []string{"a", "b", "c", "d", "e"} { // three pages
		api.Put("prod", name, annotated())
	}
	h := start(t, api).ready()
	watching := func() {
		t.Helper()
		until(t, "accounts are known without asking for each", func() bool {
			before := api.Count().Gets
			return h.roleOf("e") == role && api.Count().Gets == before
		})
	}
	becomes := func(account, want, how string) {
		t.Helper()
		until(t, how, func() bool { return h.roleOf(account) == want })
	}
	watching()
	if got := api.Count(); got.Lists != 1 {
		t.Errorf("listed %d times", got.Lists)
	}
	other := maps.Clone(annotated())
	other["sts.stint.dev/role-arn"] = role + "-2"
	api.Put("prod", "a", other)
	becomes("a", role+"-2", "a change arrives")
	api.Put("prod", "a", nil)
	becomes("a", "", "annotations taken away")
	api.Delete("prod", "b")
	until(t, "a deletion arrives", func() bool { return h.post(review(podOf("b"))).http == http.StatusServiceUnavailable })

	api.Disconnect()
	api.Put("prod", "a", annotated())
	becomes("a", role, "a change while no watch is open")
	watching()
	if got := api.Count(); got.Lists != 1 {
		t.Errorf("listed %d times, though the watch could go on", got.Lists)
	}
	api.Emit(`{"type":"BOOKMARK","object":{"kind":"ServiceAccount","metadata":{"resourceVersion":"150"}}}`)
	for i, raw := range []string{
		`{"type":"ERROR","object":{"kind":"Status","code":410,"message":"too old resource version: 1 (2)"}}`,
		`{"type":"ADDED","object":{"metadata":{"name":"x"}}}`,
		`{"type":"INVENTED","object":{"metadata":{"name":"x","resourceVersion":"1"}}}`,
		`{"type":7}`,
		`}`,
		`{"type":"ADDED","object":{"x":"` + strings.Repeat("x", 5<<20) + `"}}`,
	} {
		api.Emit(raw)
		until(t, "listed again after "+raw[:min(60, len(raw))], func() bool { return api.Count().Lists >= 2+i })
		watching()
	}
	lists := api.Count().Lists
	api.Delete("prod", "c")
	api.Compact()
	until(t, "listed again after 410 Gone", func() bool { return api.Count().Lists > lists })
	until(t, "what was deleted meanwhile is gone", func() bool { return h.post(review(podOf("c"))).http == http.StatusServiceUnavailable })

	api.RenewToken("second")
	api.Disconnect()
	watching()
}

// An account too new for the watch is asked for; what was known is no answer while nobody can tell whether it is still true.
func TestAccounts_ApiDown(t *testing.T) {
	t.Parallel()
	api := kubetest.New(t)
	api.Put("prod", "web", annotated())
	api.Down(http.StatusInternalServerError)
	h := start(t, api)
	refused := func(when string) {
		t.Helper()
		until(t, when, func() bool {
			got := h.post(review(podOf("web")))
			return got.http == http.StatusServiceUnavailable && strings.Contains(got.text, "out of order")
		})
	}
	refused("before the first list")
	if r, err := http.Get(h.url + "/readyz"); err != nil || r.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("ready without accounts: %v, %v", r, err)
	}
	if r, err := http.Get(h.url + "/healthz"); err != nil || r.StatusCode != http.StatusOK {
		t.Errorf("not alive: %v, %v", r, err)
	}
	api.Down(0)
	h.ready()
	if h.roleOf("web") != role {
		t.Error("no role after the API came back")
	}
	api.Down(http.StatusForbidden)
	refused("permissions taken away")
	api.Down(0)
	if h.roleOf("web") != role {
		t.Error("no role after the API came back again")
	}
}

func TestNew_Faults(t *testing.T) {
	t.Parallel()
	api := kubetest.New(t)
	if _, err := webhook.New(config(t, api)); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name, text string
		change     func(*webhook.Config)
	}{
		{"no endpoint", "give the URL of stint", func(c *webhook.Config) { c.Endpoint = "" }},
		{"endpoint without a scheme", "give the URL of stint", func(c *webhook.Config) { c.Endpoint = "sts.example.com" }},
		{"prefix with a slash", "annotation prefix", func(c *webhook.Config) { c.Prefixes = []string{"a/b"} }},
		{"short tokens", "token expiration 1m0s: it is 10m0s to 24h0m0s", func(c *webhook.Config) { c.TokenExpiration = time.Minute }},
		{"relative path", "token mount path", func(c *webhook.Config) { c.MountPath = "token" }},
		{"name of a ConfigMap", "config map", func(c *webhook.Config) { c.CAConfigMap = "A" }},
		{"API by http", "want https", func(c *webhook.Config) { c.API.URL = "http://127.0.0.1" }},
		{"no authorities", "no such file", func(c *webhook.Config) { c.API.CAFile += "x" }},
		{"authorities that are none", "no certificate in it", func(c *webhook.Config) { c.API.CAFile = c.API.TokenFile }},
	} {
		cfg := config(t, api)
		row.change(&cfg)
		if _, err := webhook.New(cfg); err == nil || !strings.Contains(err.Error(), row.text) {
			t.Errorf("%s: %v", row.name, err)
		}
	}
	if _, err := webhook.InCluster(func(string) (string, bool) { return "", false }); err == nil {
		t.Error("a pod without variables")
	}
	got, err := webhook.InCluster(func(name string) (string, bool) {
		v, ok := map[string]string{"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "443"}[name]
		return v, ok
	})
	if err != nil || got.URL != "https://[fd00::1]:443" {
		t.Errorf("%+v, %v", got, err)
	}
}

// FuzzMutate: whatever comes, the answer is an HTTP error or a review with the request's uid whose patch is a list of additions to spec.
func FuzzMutate(f *testing.F) {
	api := kubetest.New(f)
	api.Put("prod", "web", annotated("sts.stint.dev/ca-config-map", "ca"))
	f.Add([]byte(review(podOf("web"))))
	f.Add([]byte(review(podOf(""))))
	f.Add([]byte(review(`{"metadata":{"name":"a","annotations":{"sts.stint.dev/skip-containers":"a,\"b"}},"spec":{"serviceAccountName":"web",
		"volumes":[{"name":"x"}],"initContainers":[{"name":"a"}],"containers":[{"name":"b","env":[{"name":"AWS_REGION"}],"volumeMounts":[{"mountPath":"/x"}]}]}}`)))
	f.Add([]byte(`{"apiVersion":"admission.k8s.io/v1beta1"}`))
	cfg := webhook.Config{
		Endpoint: "https://sts.example.com", API: webhook.API{URL: api.URL, CAFile: api.CAFile, TokenFile: api.TokenFile}, Log: slog.New(slog.DiscardHandler),
	}
	s, err := webhook.New(cfg)
	if err != nil {
		f.Fatal(err)
	}
	handler := s.Handler()
	f.Fuzz(func(t *testing.T, body []byte) {
		r := httptest.NewRequest(http.MethodPost, "/mutate", bytes.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		got := decode(t, w.Result())
		switch {
		case got.http != http.StatusOK:
			if got.text == "" {
				t.Errorf("no reason for %d", got.http)
			}
		case got.uid == "":
			t.Error("no uid")
		}
		for _, op := range got.patches {
			if path, ok := op["path"].(string); op["op"] != "add" || !ok || !strings.HasPrefix(path, "/spec/") || op["value"] == nil {
				t.Errorf("operation %v", op)
			}
		}
	})
}
