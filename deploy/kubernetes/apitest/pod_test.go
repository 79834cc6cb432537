package apitest_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"
	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	kjson "sigs.k8s.io/json"

	"github.com/stint-sts/stint/kubernetes/kubetest"
	"github.com/stint-sts/stint/kubernetes/webhook"
)

const role = "arn:aws:iam::111122223333:role/web"

// admit sends a pod through the webhook at send, as an API server does, and returns what becomes of it.
func admit(t *testing.T, pod *corev1.Pod, namespace string, send func([]byte) []byte) (out *corev1.Pod, answer *admissionv1.AdmissionResponse) {
	t.Helper()
	object := encode(t, pod)
	body := encode(t, &admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"},
		Request: &admissionv1.AdmissionRequest{
			UID: "e911857d-c318-11e8-bbad-025000000001", Kind: metav1.GroupVersionKind{Version: "v1", Kind: "Pod"},
			Resource: metav1.GroupVersionResource{Version: "v1", Resource: "pods"}, Operation: admissionv1.Create, Namespace: namespace,
			Object: runtime.RawExtension{Raw: object},
		},
	})
	var review admissionv1.AdmissionReview
	strict(t, send(body), &review)
	answer = review.Response
	if review.APIVersion != "admission.k8s.io/v1" || review.Kind != "AdmissionReview" || answer == nil || answer.UID != "e911857d-c318-11e8-bbad-025000000001" {
		t.Fatalf("answer %+v", review)
	}
	if !answer.Allowed || answer.Patch == nil {
		return pod, answer
	}
	if *answer.PatchType != admissionv1.PatchTypeJSONPatch {
		t.Fatalf("patch of type %s", *answer.PatchType)
	}
	patch, err := jsonpatch.DecodePatch(answer.Patch)
	if err != nil {
		t.Fatal(err)
	}
	patched, err := patch.Apply(object)
	if err != nil {
		t.Fatalf("%v: %s", err, answer.Patch)
	}
	out = &corev1.Pod{}
	strict(t, patched, out)
	return out, answer
}

func encode(t *testing.T, v any) []byte {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// strict decodes as the API server does, and fails on fields that the type does not have.
func strict(t *testing.T, text []byte, into any) {
	t.Helper()
	faults, err := kjson.UnmarshalStrict(text, into)
	if err != nil || len(faults) > 0 {
		t.Fatalf("%v %v: %s", err, faults, text)
	}
}

// inProcess is the webhook without listener.
func inProcess(t *testing.T, api *kubetest.API, change func(*webhook.Config)) func([]byte) []byte {
	t.Helper()
	cfg := webhook.Config{
		Endpoint: "https://sts.example.com", Region: "us-east-1", Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
		API: webhook.API{URL: api.URL, CAFile: api.CAFile, TokenFile: api.TokenFile},
	}
	change(&cfg)
	s, err := webhook.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	handler := s.Handler()
	return func(body []byte) []byte {
		t.Helper()
		r := httptest.NewRequest(http.MethodPost, "/mutate", bytes.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code != http.StatusOK {
			t.Fatalf("%d: %s", w.Code, w.Body)
		}
		return w.Body.Bytes()
	}
}

// A pod with init container, native sidecar and everything else keeps all that it says, and gets what it lacks once, however often
// it comes by.
func TestPod_Mutated(t *testing.T) {
	t.Parallel()
	api := kubetest.New(t)
	api.Put("prod", "web", map[string]string{
		"sts.stint.dev/role-arn": role, "sts.stint.dev/audience": "sts.example.com", "sts.stint.dev/token-expiration": "3600", "sts.stint.dev/ca-config-map": "corp-ca",
	})
	send := inProcess(t, api, func(*webhook.Config) {})
	always := corev1.ContainerRestartPolicyAlways
	pod := &corev1.Pod{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{GenerateName: "web-", Labels: map[string]string{"a": "b"}, Annotations: map[string]string{"sts.stint.dev/skip-containers": "proxy"}},
		Spec: corev1.PodSpec{
			ServiceAccountName: "web", NodeSelector: map[string]string{"x": "y"},
			Volumes:        []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}},
			InitContainers: []corev1.Container{{Name: "init", Image: "i"}, {Name: "sidecar", Image: "s", RestartPolicy: &always}},
			Containers: []corev1.Container{
				{Name: "main", Image: "m", Env: []corev1.EnvVar{{Name: "A", Value: "b"}}, VolumeMounts: []corev1.VolumeMount{{Name: "data", MountPath: "/data"}}},
				{Name: "own", Image: "o", Env: []corev1.EnvVar{{Name: "AWS_ROLE_ARN", Value: "mine"}, {Name: "AWS_WEB_IDENTITY_TOKEN_FILE", Value: "mine"}}},
				{Name: "proxy", Image: "p"},
			},
		},
	}
	got, answer := admit(t, pod, "prod", send)
	if !answer.Allowed || answer.AuditAnnotations["role-arn"] != role || len(answer.Warnings) > 0 {
		t.Fatalf("%+v", answer)
	}

	want := pod.DeepCopy()
	expiration := int64(3600)
	want.Spec.Volumes = append(want.Spec.Volumes,
		corev1.Volume{Name: "aws-iam-token", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
			{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Audience: "sts.example.com", ExpirationSeconds: &expiration, Path: "token"}},
		}}}},
		corev1.Volume{Name: "aws-ca-bundle", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
			LocalObjectReference: corev1.LocalObjectReference{Name: "corp-ca"}, Items: []corev1.KeyToPath{{Key: "ca.crt", Path: "ca.crt"}},
		}}})
	common := []corev1.EnvVar{
		{Name: "AWS_DEFAULT_REGION", Value: "us-east-1"}, {Name: "AWS_REGION", Value: "us-east-1"}, {Name: "AWS_ENDPOINT_URL_STS", Value: "https://sts.example.com"},
		{Name: "AWS_CA_BUNDLE", Value: "/var/run/secrets/sts.stint.dev/ca/ca.crt"},
	}
	identity := []corev1.EnvVar{
		{Name: "AWS_ROLE_ARN", Value: role}, {Name: "AWS_WEB_IDENTITY_TOKEN_FILE", Value: "/var/run/secrets/sts.stint.dev/serviceaccount/token"},
		{Name: "AWS_ROLE_SESSION_NAME", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.name"}}},
	}
	mounts := []corev1.VolumeMount{
		{Name: "aws-iam-token", ReadOnly: true, MountPath: "/var/run/secrets/sts.stint.dev/serviceaccount"},
		{Name: "aws-ca-bundle", ReadOnly: true, MountPath: "/var/run/secrets/sts.stint.dev/ca"},
	}
	for _, c := range []*corev1.Container{&want.Spec.InitContainers[0], &want.Spec.InitContainers[1], &want.Spec.Containers[0], &want.Spec.Containers[1]} {
		c.Env = append(c.Env, common...)
		if c.Name != "own" {
			c.Env = append(c.Env, identity...)
		}
		c.VolumeMounts = append(c.VolumeMounts, mounts...)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}

	again, answer := admit(t, got, "prod", send)
	if answer.Patch != nil || !answer.Allowed {
		t.Errorf("a second call changes the pod: %s", answer.Patch)
	}
	again = again.DeepCopy()
	again.Spec.Containers = append(again.Spec.Containers, corev1.Container{Name: "injected", Image: "by another webhook"})
	after, _ := admit(t, again, "prod", send)
	if n := len(after.Spec.Containers); len(after.Spec.Containers[n-1].Env) != 7 || len(after.Spec.Volumes) != 3 || cmp.Diff(got.Spec.Containers, after.Spec.Containers[:n-1]) != "" {
		t.Errorf("container that another webhook has added: %+v", after.Spec)
	}
}

// What example-workload-by-hand.yaml writes out is what the webhook makes.
func TestPod_ByHand(t *testing.T) {
	t.Parallel()
	api := kubetest.New(t)
	api.Put("default", "web", map[string]string{"sts.stint.dev/role-arn": role})
	send := inProcess(t, api, func(*webhook.Config) {})
	byHand := one[*corev1.Pod](t, manifest(t, "example-workload-by-hand.yaml"))
	if _, answer := admit(t, byHand, "default", send); !answer.Allowed || answer.Patch != nil {
		t.Errorf("the webhook would add %s", answer.Patch)
	}
	bare := byHand.DeepCopy()
	bare.Spec.Volumes, bare.Spec.Containers[0].Env, bare.Spec.Containers[0].VolumeMounts = nil, nil, nil
	got, _ := admit(t, bare, "default", send)
	byName := func(env []corev1.EnvVar) map[string]corev1.EnvVar {
		out := make(map[string]corev1.EnvVar)
		for _, v := range env {
			out[v.Name] = v
		}
		return out
	}
	if d := cmp.Diff(byName(byHand.Spec.Containers[0].Env), byName(got.Spec.Containers[0].Env)); d != "" {
		t.Error(d)
	}
	byHand.Spec.Containers[0].Env, got.Spec.Containers[0].Env = nil, nil
	if d := cmp.Diff(byHand, got); d != "" {
		t.Error(d)
	}
}

func TestPod_Denied(t *testing.T) {
	t.Parallel()
	api := kubetest.New(t)
	api.Put("prod", "web", map[string]string{"eks.amazonaws.com/role-arn": "web"})
	_, answer := admit(t, &corev1.Pod{Spec: corev1.PodSpec{ServiceAccountName: "web", Containers: []corev1.Container{{Name: "a"}}}}, "prod",
		inProcess(t, api, func(*webhook.Config) {}))
	want := `ServiceAccount prod/web: annotation eks.amazonaws.com/role-arn: "web" is not the ARN of a role`
	if answer.Allowed || answer.Result == nil || answer.Result.Message != want || answer.Result.Code != 422 {
		t.Errorf("%+v", answer)
	}
}
