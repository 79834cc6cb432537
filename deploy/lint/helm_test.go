package lint_test

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/lint"
	"helm.sh/helm/v3/pkg/lint/support"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	yamlreader "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"

	"github.com/stint-sts/stint/server"
)

var update = flag.Bool("update", false, "render deploy/kubernetes/stint/stint.yaml anew")

const chartDir = "../helm/stint"

// settings of an installation, as --set-string and --values would give them.
var (
	single = map[string]any{}
	many   = map[string]any{
		"replicas": 3, "publicURL": "https://sts.example.com",
		"database": map[string]any{"url": "postgres://stint@postgres.databases.svc/stint", "passwordSecretName": "stint-database"},
		"redis":    map[string]any{"url": "rediss://stint@redis.databases.svc:6379", "passwordSecretName": "stint-redis"},
	}
	everything = map[string]any{
		"autoscaling": map[string]any{"enabled": true}, "publicURL": "https://sts.example.com",
		"database":       many["database"],
		"redis":          many["redis"],
		"tls":            map[string]any{"enabled": false},
		"trustedProxies": []any{"10.0.0.0/8"},
		"persistence":    map[string]any{"enabled": false},
		"ingress": map[string]any{"enabled": true, "className": "nginx", "grpcHost": "grpc.example.com", "tlsSecretName": "sts-tls",
			"grpcAnnotations": map[string]any{"nginx.ingress.kubernetes.io/backend-protocol": "GRPC"}},
		"serviceMonitor": map[string]any{"enabled": true}, "prometheusRule": map[string]any{"enabled": true}, "dashboard": map[string]any{"enabled": true},
		"podLabels": map[string]any{"team": "identity"}, "podAnnotations": map[string]any{"a": "b"}, "nodeSelector": map[string]any{"pool": "stint"},
		"tolerations": []any{map[string]any{"key": "stint", "operator": "Exists"}}, "priorityClassName": "high",
		"image":        map[string]any{"digest": "sha256:" + strings.Repeat("0", 64)},
		"extraEnv":     []any{map[string]any{"name": "GOMEMLIMIT", "value": "400MiB"}},
		"extraVolumes": []any{map[string]any{"name": "ca", "configMap": map[string]any{"name": "ca"}}}, "extraVolumeMounts": []any{map[string]any{"name": "ca", "mountPath": "/etc/stint/ca"}},
		"networkPolicy":  map[string]any{"extraEgress": []any{map[string]any{"ports": []any{map[string]any{"port": 636}}}}},
		"serviceAccount": map[string]any{"annotations": map[string]any{"a": "b"}}, "service": map[string]any{"annotations": map[string]any{"a": "b"}},
	}
)

func TestChart_Lint(t *testing.T) {
	t.Parallel()
	for name, values := range map[string]map[string]any{"one node": single, "many": many, "everything": everything} {
		for _, m := range lint.All(chartDir, values, "stint", true).Messages {
			if m.Severity >= support.WarningSev || !strings.Contains(m.Err.Error(), "icon") {
				t.Errorf("%s: %v", name, m)
			}
		}
	}
}

// render renders the chart as "helm template" does.
func render(t *testing.T, values map[string]any) (map[string]string, error) {
	t.Helper()
	c, err := loader.LoadDir(chartDir)
	if err != nil {
		t.Fatal(err)
	}
	return renderChart(c, values)
}

func renderChart(c *chart.Chart, values map[string]any) (map[string]string, error) {
	merged, err := chartutil.ToRenderValues(c, values, chartutil.ReleaseOptions{Name: "stint", Namespace: "stint", IsInstall: true}, chartutil.DefaultCapabilities)
	if err != nil {
		return nil, err
	}
	return engine.Render(c, merged)
}

// objects renders the chart and decodes what comes out as strictly as an API server does.
func objects(t *testing.T, values map[string]any) []runtime.Object {
	t.Helper()
	files, err := render(t, values)
	if err != nil {
		t.Fatal(err)
	}
	var all []runtime.Object
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if strings.HasSuffix(name, ".yaml") {
			all = append(all, decode(t, name, files[name])...)
		}
	}
	return all
}

func decode(t *testing.T, name, text string) (all []runtime.Object) {
	t.Helper()
	for documents := yamlreader.NewYAMLReader(bufio.NewReader(strings.NewReader(text))); ; {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var kind metav1.TypeMeta
		if err := yaml.Unmarshal(document, &kind); err != nil {
			t.Fatalf("%s: %v\n%s", name, err, document)
		}
		switch {
		case kind.Kind == "":
			continue
		case strings.HasPrefix(kind.APIVersion, "monitoring.coreos.com/"):
			checkMonitoring(t, kind.Kind, document)
			continue
		}
		object, err := scheme.Scheme.New(kind.GroupVersionKind())
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := yaml.UnmarshalStrict(document, object); err != nil {
			t.Errorf("%s: %s: %v\n%s", name, kind.Kind, err, document)
		}
		all = append(all, object)
	}
}

// checkMonitoring checks what the Prometheus Operator reads: its types would bring half of it along.
func checkMonitoring(t *testing.T, kind string, document []byte) {
	t.Helper()
	switch kind {
	case "ServiceMonitor":
		var monitor struct {
			APIVersion, Kind string
			Metadata         metav1.ObjectMeta
			Spec             struct {
				JobLabel  string
				Selector  metav1.LabelSelector
				Endpoints []struct{ Port, Path, Interval, Scheme string }
			}
		}
		if err := yaml.UnmarshalStrict(document, &monitor); err != nil {
			t.Errorf("%s: %v", kind, err)
		} else if e := monitor.Spec.Endpoints; len(e) != 1 || e[0].Port != "ops" || e[0].Path != "/metrics" || e[0].Scheme != "http" {
			t.Errorf("the ServiceMonitor scrapes %+v", e)
		}
	case "PrometheusRule":
		var rule struct{ Spec any }
		if err := yaml.Unmarshal(document, &rule); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
		var own any
		if err := yaml.Unmarshal(read(t, "../monitoring/alerts.yaml"), &own); err != nil {
			t.Fatal(err)
		}
		if got, want := asJSON(t, rule.Spec), asJSON(t, own); got != want {
			t.Errorf("the rules are\n%s\nwant\n%s", got, want)
		}
	default:
		t.Errorf("unknown kind %s", kind)
	}
}

func one[T runtime.Object](t *testing.T, all []runtime.Object) T {
	t.Helper()
	var found []T
	for _, o := range all {
		if object, ok := o.(T); ok {
			found = append(found, object)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d objects of type %T, want 1", len(found), *new(T))
	}
	return found[0]
}

func TestChart_Objects(t *testing.T) {
	t.Parallel()
	for name, values := range map[string]map[string]any{"one node": single, "many": many, "everything": everything} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			all := objects(t, values)
			set := one[*appsv1.StatefulSet](t, all)
			checkPod(t, set)
			checkSelectors(t, all, set)
			checkPolicy(t, one[*networkingv1.NetworkPolicy](t, all), set)
			checkConfig(t, one[*corev1.ConfigMap](t, slices.DeleteFunc(all, func(o runtime.Object) bool {
				c, ok := o.(*corev1.ConfigMap)
				return ok && c.Data["stint.json"] != ""
			})), set)
		})
	}
	scaled := objects(t, everything)
	set := one[*appsv1.StatefulSet](t, scaled)
	if to := one[*autoscalingv2.HorizontalPodAutoscaler](t, scaled).Spec.ScaleTargetRef; to.Kind != "StatefulSet" || to.Name != set.Name || set.Spec.Replicas != nil {
		t.Errorf("scaled is %+v, from %v", to, set.Spec.Replicas)
	}
	var hosts []string
	for _, o := range scaled {
		if i, ok := o.(*networkingv1.Ingress); ok {
			hosts = append(hosts, i.Spec.Rules[0].Host+" "+i.Spec.Rules[0].HTTP.Paths[0].Backend.Service.Port.Name)
		}
	}
	if slices.Sort(hosts); !slices.Equal(hosts, []string{"grpc.example.com grpc", "sts.example.com http"}) {
		t.Errorf("ingresses %q", hosts)
	}
}

// checkPod checks the pod against the standard "restricted" (Kubernetes documentation, "Pod Security Standards"), its probes and its times.
func checkPod(t *testing.T, set *appsv1.StatefulSet) {
	t.Helper()
	spec := set.Spec.Template.Spec
	c := spec.Containers[0]
	inside := c.SecurityContext
	switch {
	case !*spec.SecurityContext.RunAsNonRoot || spec.SecurityContext.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault,
		!*inside.ReadOnlyRootFilesystem || *inside.AllowPrivilegeEscalation || !slices.Equal(inside.Capabilities.Drop, []corev1.Capability{"ALL"}):
		t.Error("more rights than it needs")
	case *spec.AutomountServiceAccountToken || *spec.EnableServiceLinks:
		t.Error("a token, or links, that it does not need")
	case c.StartupProbe.HTTPGet.Path != "/healthz" || c.LivenessProbe.HTTPGet.Path != "/healthz" || c.ReadinessProbe.HTTPGet.Path != "/readyz?exclude=sessions":
		t.Error("probes")
	case c.Resources.Limits.Memory().IsZero() || c.Resources.Requests.Cpu().IsZero() || !c.Resources.Limits.Cpu().IsZero():
		t.Errorf("resources %+v", c.Resources)
	case len(spec.TopologySpreadConstraints) != 2:
		t.Error("no spread over zones and machines")
	}
	const drain = 20
	if grace := *spec.TerminationGracePeriodSeconds; grace <= c.Lifecycle.PreStop.Sleep.Seconds+drain {
		t.Errorf("the pod is killed after %d seconds, in the middle of draining", grace)
	}
	ports := make(map[string]int32)
	for _, p := range c.Ports {
		ports[p.Name] = p.ContainerPort
	}
	for _, probe := range []*corev1.Probe{c.StartupProbe, c.LivenessProbe, c.ReadinessProbe} {
		if probe.HTTPGet.Port.StrVal != "ops" || ports["ops"] != 8472 {
			t.Errorf("a probe of %v", probe.HTTPGet.Port)
		}
	}
	volumes := make(map[string]bool)
	for _, v := range spec.Volumes {
		volumes[v.Name] = true
	}
	for _, v := range set.Spec.VolumeClaimTemplates {
		volumes[v.Name] = true
	}
	for _, m := range c.VolumeMounts {
		if !volumes[m.Name] {
			t.Errorf("no volume %s", m.Name)
		}
	}
}

func checkSelectors(t *testing.T, all []runtime.Object, set *appsv1.StatefulSet) {
	t.Helper()
	own := labels.Set(set.Spec.Template.Labels)
	services := 0
	for _, o := range all {
		var selected labels.Selector
		switch o := o.(type) {
		case *corev1.Service:
			services++
			selected = labels.SelectorFromSet(o.Spec.Selector)
			if o.Spec.ClusterIP == corev1.ClusterIPNone && o.Name != set.Spec.ServiceName {
				t.Errorf("the StatefulSet's service is %s, not %s", set.Spec.ServiceName, o.Name)
			}
			for _, p := range o.Spec.Ports {
				if !slices.ContainsFunc(set.Spec.Template.Spec.Containers[0].Ports, func(c corev1.ContainerPort) bool { return c.Name == p.TargetPort.StrVal }) {
					t.Errorf("service %s leads to no port %s", o.Name, p.TargetPort.StrVal)
				}
			}
		case *policyv1.PodDisruptionBudget:
			selected, _ = metav1.LabelSelectorAsSelector(o.Spec.Selector)
		case *networkingv1.NetworkPolicy:
			selected, _ = metav1.LabelSelectorAsSelector(&o.Spec.PodSelector)
		case *appsv1.StatefulSet:
			selected, _ = metav1.LabelSelectorAsSelector(o.Spec.Selector)
		default:
			continue
		}
		if !selected.Matches(own) || selected.Empty() {
			t.Errorf("%T selects not just the pods: %s", o, selected)
		}
	}
	if services != 2 {
		t.Errorf("%d services", services)
	}
}

// checkPolicy checks who reaches the ops listener, and what the pods reach.
func checkPolicy(t *testing.T, policy *networkingv1.NetworkPolicy, set *appsv1.StatefulSet) {
	t.Helper()
	if len(policy.Spec.PolicyTypes) != 2 {
		t.Errorf("the policy is about %v", policy.Spec.PolicyTypes)
	}
	for _, rule := range policy.Spec.Ingress {
		for _, p := range rule.Ports {
			if open := len(rule.From) == 0; open == (p.Port.StrVal == "ops") {
				t.Errorf("port %s is open to %v", p.Port.StrVal, rule.From)
			}
		}
	}
	reached := make(map[string]bool)
	for _, rule := range policy.Spec.Egress {
		for _, p := range rule.Ports {
			reached[p.Port.String()] = true
			for _, to := range rule.To {
				if to.IPBlock != nil && len(to.IPBlock.Except) == 0 {
					t.Error("the machine's metadata can be reached")
				}
			}
		}
	}
	shared := slices.ContainsFunc(set.Spec.Template.Spec.Volumes, func(v corev1.Volume) bool { return v.Name == "database" })
	for port, want := range map[string]bool{"53": true, "443": true, "5432": shared, "6379": shared} {
		if reached[port] != want {
			t.Errorf("port %s is reached: %v", port, reached[port])
		}
	}
}

// checkConfig lets stint read the configuration, and looks whether the files that it names are mounted.
func checkConfig(t *testing.T, m *corev1.ConfigMap, set *appsv1.StatefulSet) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "stint.yaml")
	if err := os.WriteFile(file, []byte(m.Data["stint.yaml"]), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := server.Load(server.Sources{File: file, Env: func(string) (string, bool) { return "", false }})
	if err != nil {
		t.Fatalf("stint.yaml: %v\n%s", err, m.Data["stint.yaml"])
	}
	if cfg.DrainTimeout != 20*time.Second || !cfg.AuditStdout || cfg.AuditMaxFiles != 20 {
		t.Errorf("the configuration is %+v", cfg)
	}
	mounts := set.Spec.Template.Spec.Containers[0].VolumeMounts
	for _, path := range []string{strings.TrimPrefix(cfg.MasterKey, "file:"), cfg.TLSCert, cfg.TLSKey, cfg.DatabasePasswordFile, cfg.RedisPasswordFile} {
		if path != "" && !slices.ContainsFunc(mounts, func(m corev1.VolumeMount) bool { return m.MountPath == filepath.Dir(path) }) {
			t.Errorf("%s is not mounted", path)
		}
	}
}

// What cannot work is refused with a reason.
func TestChart_Refuses(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, says string
		values     map[string]any
	}{
		{"many nodes without a database", "database.url", map[string]any{"replicas": 2}},
		{"scaling without Redis", "redis.url", map[string]any{"autoscaling": map[string]any{"enabled": true}, "database": many["database"]}},
		{"a directory that goes with the pod", "persistence.enabled", map[string]any{"persistence": map[string]any{"enabled": false}}},
		{"TLS without a certificate", "tls.secretName", map[string]any{"tls": map[string]any{"secretName": ""}}},
		{"a value that there is not", "replicaCount", map[string]any{"replicaCount": 2}},
		{"a password in a URL", "database", map[string]any{"database": map[string]any{"url": "postgres://stint:secret@db/stint"}}},
		{"a password in the other URL", "redis", map[string]any{"redis": map[string]any{"url": "redis://stint:secret@db"}}},
	} {
		if _, err := render(t, row.values); err == nil || !strings.Contains(err.Error(), row.says) {
			t.Errorf("%s: %v", row.name, err)
		}
	}
}

// The plain manifests are the chart, rendered for many nodes.
func TestManifests(t *testing.T) {
	t.Parallel()
	files, err := render(t, many)
	if err != nil {
		t.Fatal(err)
	}
	var want bytes.Buffer
	want.WriteString("# Three nodes of stint on PostgreSQL and Redis: deploy/helm/stint, rendered. Change it by a kustomization of your own.\n")
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if text := strings.TrimSpace(files[name]); strings.HasSuffix(name, ".yaml") && text != "" {
			for line := range strings.Lines("---\n" + text + "\n") {
				if !strings.Contains(line, "helm.sh/chart") && !strings.Contains(line, "managed-by: Helm") {
					want.WriteString(line)
				}
			}
		}
	}
	const path = "../kubernetes/stint/stint.yaml"
	if *update {
		if err := os.WriteFile(path, want.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got := string(read(t, path)); got != want.String() {
		t.Errorf("%s is not the chart's: go -C deploy/lint test -run TestManifests -update", path)
	}
	var kustomization struct {
		APIVersion, Kind, Namespace string
		Resources                   []string
		Images                      []struct{ Name, NewName, NewTag string }
	}
	if err := yaml.UnmarshalStrict(read(t, "../kubernetes/stint/kustomization.yaml"), &kustomization); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(kustomization.Resources, []string{"namespace.yaml", "stint.yaml"}) || len(kustomization.Images) != 1 {
		t.Errorf("the kustomization is %+v", kustomization)
	}
	image := one[*appsv1.StatefulSet](t, decode(t, path, want.String())).Spec.Template.Spec.Containers[0].Image
	if name, _, _ := strings.Cut(image, ":"); name != kustomization.Images[0].Name {
		t.Errorf("the kustomization changes image %s, the pods have %s", kustomization.Images[0].Name, image)
	}
	namespace := one[*corev1.Namespace](t, decode(t, "namespace.yaml", string(read(t, "../kubernetes/stint/namespace.yaml"))))
	if namespace.Labels["pod-security.kubernetes.io/enforce"] != "restricted" {
		t.Error("the namespace is not restricted")
	}
}

func TestChart_Notes(t *testing.T) {
	t.Parallel()
	files, err := render(t, single)
	if err != nil {
		t.Fatal(err)
	}
	notes := files["stint/templates/NOTES.txt"]
	for _, want := range []string{"exec stint-0 -- /stint backup -", "publicURL is not set", "port-forward service/stint 8470:" + strconv.Itoa(443)} {
		if !strings.Contains(notes, want) {
			t.Errorf("the notes lack %q:\n%s", want, notes)
		}
	}
}

// kubectl apply -k builds what the directory says, with its image.
func TestKustomization(t *testing.T) {
	t.Parallel()
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), "../kubernetes/stint")
	if err != nil {
		t.Fatal(err)
	}
	text, err := built.AsYaml()
	if err != nil {
		t.Fatal(err)
	}
	all := decode(t, "kustomization", string(text))
	if image := one[*appsv1.StatefulSet](t, all).Spec.Template.Spec.Containers[0].Image; image != "registry.example.com/stint:latest" {
		t.Errorf("the image is %s", image)
	}
	for _, o := range all {
		if m, ok := o.(metav1.Object); ok && m.GetNamespace() != "stint" && m.GetName() != "stint" {
			t.Errorf("%T %s is in namespace %q", o, m.GetName(), m.GetNamespace())
		}
	}
}
