package apitest_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	yamlreader "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// types of the manifests, by apiVersion and kind.
var types = map[string]func() runtime.Object{
	"v1/Namespace":                  func() runtime.Object { return &corev1.Namespace{} },
	"v1/ServiceAccount":             func() runtime.Object { return &corev1.ServiceAccount{} },
	"v1/Service":                    func() runtime.Object { return &corev1.Service{} },
	"v1/Pod":                        func() runtime.Object { return &corev1.Pod{} },
	"apps/v1/Deployment":            func() runtime.Object { return &appsv1.Deployment{} },
	"policy/v1/PodDisruptionBudget": func() runtime.Object { return &policyv1.PodDisruptionBudget{} },
	"rbac.authorization.k8s.io/v1/ClusterRole":                     func() runtime.Object { return &rbacv1.ClusterRole{} },
	"rbac.authorization.k8s.io/v1/ClusterRoleBinding":              func() runtime.Object { return &rbacv1.ClusterRoleBinding{} },
	"admissionregistration.k8s.io/v1/MutatingWebhookConfiguration": func() runtime.Object { return &admissionregistrationv1.MutatingWebhookConfiguration{} },
}

// manifest decodes a file as strictly as "kubectl apply --validate=strict" does: an unknown or repeated field is an error.
func manifest(t *testing.T, name string) []runtime.Object {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", name))
	if err != nil {
		t.Fatal(err)
	}
	var objects []runtime.Object
	for documents := yamlreader.NewYAMLReader(bufio.NewReader(bytes.NewReader(text))); ; {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		var kind metav1.TypeMeta
		if err := yaml.Unmarshal(document, &kind); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if kind.Kind == "" {
			continue // comments only
		}
		make, known := types[kind.APIVersion+"/"+kind.Kind]
		if !known {
			t.Fatalf("%s: %s of %s has no type here", name, kind.Kind, kind.APIVersion)
		}
		object := make()
		if err := yaml.UnmarshalStrict(document, object); err != nil {
			t.Fatalf("%s: %s: %v", name, kind.Kind, err)
		}
		objects = append(objects, object)
	}
	if len(objects) == 0 {
		t.Fatalf("%s: no object", name)
	}
	return objects
}

// one is the only object of type T.
func one[T runtime.Object](t *testing.T, objects []runtime.Object) T {
	t.Helper()
	var found []T
	for _, o := range objects {
		if object, ok := o.(T); ok {
			found = append(found, object)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d objects of type %T, want 1", len(found), *new(T))
	}
	return found[0]
}

func TestManifests_Webhook(t *testing.T) {
	t.Parallel()
	objects := manifest(t, "webhook.yaml")
	role := one[*rbacv1.ClusterRole](t, objects)
	if len(role.Rules) != 1 || !slices.Equal(role.Rules[0].Resources, []string{"serviceaccounts"}) || !slices.Equal(role.Rules[0].APIGroups, []string{""}) ||
		!slices.Equal(role.Rules[0].Verbs, []string{"get", "list", "watch"}) {
		t.Errorf("the webhook may do %+v", role.Rules)
	}
	binding := one[*rbacv1.ClusterRoleBinding](t, objects)
	account := one[*corev1.ServiceAccount](t, objects)
	namespace := one[*corev1.Namespace](t, objects)
	if binding.RoleRef.Name != role.Name || len(binding.Subjects) != 1 || binding.Subjects[0].Name != account.Name || binding.Subjects[0].Namespace != namespace.Name {
		t.Errorf("the role is bound to %+v", binding.Subjects)
	}

	deployment := one[*appsv1.Deployment](t, objects)
	spec := deployment.Spec.Template.Spec
	container := spec.Containers[0]
	inside := container.SecurityContext
	switch {
	case *deployment.Spec.Replicas < 2:
		t.Error("one replica")
	case spec.ServiceAccountName != account.Name || deployment.Namespace != namespace.Name:
		t.Error("not its own ServiceAccount")
	case !*spec.SecurityContext.RunAsNonRoot || spec.SecurityContext.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault:
		t.Error("more rights than it needs")
	case !*inside.ReadOnlyRootFilesystem || *inside.AllowPrivilegeEscalation || !slices.Equal(inside.Capabilities.Drop, []corev1.Capability{"ALL"}):
		t.Error("more rights than it needs in the container")
	case container.ReadinessProbe.HTTPGet.Scheme != corev1.URISchemeHTTPS || container.LivenessProbe.HTTPGet.Path != "/healthz" ||
		container.ReadinessProbe.HTTPGet.Path != "/readyz":
		t.Error("probes")
	case container.Resources.Limits.Memory().IsZero() || container.Resources.Requests.Cpu().IsZero():
		t.Error("no resources")
	}
	own := labels.Set(deployment.Spec.Template.Labels)
	service := one[*corev1.Service](t, objects)
	budget := one[*policyv1.PodDisruptionBudget](t, objects)
	for what, selector := range map[string]labels.Selector{
		"deployment": selector(t, deployment.Spec.Selector), "service": labels.SelectorFromSet(service.Spec.Selector), "budget": selector(t, budget.Spec.Selector),
	} {
		if !selector.Matches(own) {
			t.Errorf("the selector of the %s does not select the pods", what)
		}
	}
	if port := service.Spec.Ports[0]; port.TargetPort.StrVal != container.Ports[0].Name || container.Ports[0].ContainerPort != 8443 {
		t.Errorf("the service leads to %v", port.TargetPort)
	}

	for _, hook := range one[*admissionregistrationv1.MutatingWebhookConfiguration](t, objects).Webhooks {
		to := hook.ClientConfig.Service
		rule := hook.Rules[0]
		switch {
		case to.Name != service.Name || to.Namespace != service.Namespace || *to.Path != "/mutate" || *to.Port != service.Spec.Ports[0].Port:
			t.Errorf("%s calls %+v", hook.Name, to)
		case len(hook.Rules) != 1 || !slices.Equal(rule.Resources, []string{"pods"}) || !slices.Equal(rule.Operations, []admissionregistrationv1.OperationType{"CREATE"}):
			t.Errorf("%s is called for %+v", hook.Name, hook.Rules)
		case !slices.Equal(hook.AdmissionReviewVersions, []string{"v1"}) || *hook.SideEffects != admissionregistrationv1.SideEffectClassNone ||
			*hook.ReinvocationPolicy != admissionregistrationv1.IfNeededReinvocationPolicy || *hook.MatchPolicy != admissionregistrationv1.Equivalent ||
			*hook.TimeoutSeconds > 10:
			t.Errorf("%s: %+v", hook.Name, hook)
		}
	}
}

// Each pod passes at most one of the two webhooks, and never one that it is needed for.
func TestManifests_Selectors(t *testing.T) {
	t.Parallel()
	hooks := one[*admissionregistrationv1.MutatingWebhookConfiguration](t, manifest(t, "webhook.yaml")).Webhooks
	for _, row := range []struct {
		name           string
		namespace, pod labels.Set
		policies       string
	}{
		{"anywhere", labels.Set{"kubernetes.io/metadata.name": "prod"}, nil, "Ignore"},
		{"where it is required", labels.Set{"kubernetes.io/metadata.name": "prod", "sts.stint.dev/webhook": "required"}, nil, "Fail"},
		{"namespace that is left out", labels.Set{"kubernetes.io/metadata.name": "prod", "sts.stint.dev/webhook": "skip"}, nil, ""},
		{"pod that is left out", labels.Set{"kubernetes.io/metadata.name": "prod"}, labels.Set{"sts.stint.dev/webhook": "skip"}, ""},
		{"pod that is left out where it is required", labels.Set{"sts.stint.dev/webhook": "required"}, labels.Set{"sts.stint.dev/webhook": "skip"}, ""},
		{"kube-system", labels.Set{"kubernetes.io/metadata.name": "kube-system", "sts.stint.dev/webhook": "required"}, nil, ""},
		{"its own namespace", labels.Set{"kubernetes.io/metadata.name": "stint-webhook"}, nil, ""},
	} {
		var policies []string
		for _, hook := range hooks {
			if selector(t, hook.NamespaceSelector).Matches(row.namespace) && selector(t, hook.ObjectSelector).Matches(row.pod) {
				policies = append(policies, string(*hook.FailurePolicy))
			}
		}
		if got := strings.Join(policies, " "); got != row.policies {
			t.Errorf("%s: %q, want %q", row.name, got, row.policies)
		}
	}
}

func selector(t *testing.T, s *metav1.LabelSelector) labels.Selector {
	t.Helper()
	out, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Every manifest of the directory decodes; those for cert-manager name what the webhook's name.
func TestManifests_Decode(t *testing.T) {
	t.Parallel()
	names, err := filepath.Glob("../*.yaml")
	if err != nil || len(names) < 4 {
		t.Fatalf("manifests %q, %v", names, err)
	}
	for _, name := range names {
		if name := filepath.Base(name); name != "webhook-cert-manager.yaml" {
			manifest(t, name)
		}
	}
	text, err := os.ReadFile("../webhook-cert-manager.yaml")
	if err != nil {
		t.Fatal(err)
	}
	service := one[*corev1.Service](t, manifest(t, "webhook.yaml"))
	for _, want := range []string{"secretName: stint-webhook-tls", fmt.Sprintf("dnsNames: [%s.%s.svc]", service.Name, service.Namespace)} {
		if !strings.Contains(string(text), want) {
			t.Errorf("webhook-cert-manager.yaml lacks %s", want)
		}
	}
}
