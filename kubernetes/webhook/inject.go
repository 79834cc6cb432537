package webhook

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stint-sts/stint/arn"
)

// Annotations, behind a prefix and a slash. Source: amazon-eks-pod-identity-webhook, README; ca-config-map is stint's own.
const (
	annotationRole        = "role-arn"               // ServiceAccount
	annotationAudience    = "audience"               // ServiceAccount
	annotationRegional    = "sts-regional-endpoints" // ServiceAccount: true or false
	annotationCAConfigMap = "ca-config-map"          // ServiceAccount
	annotationExpiration  = "token-expiration"       // ServiceAccount, pod: seconds
	annotationSkip        = "skip-containers"        // pod: names as a line of CSV
)

// Names inside a pod. The volume has the name that charts written for Amazon EKS know.
const (
	tokenVolume = "aws-iam-token"
	tokenFile   = "token"
	caVolume    = "aws-ca-bundle"
	caFile      = "ca.crt"
)

// pod is what matters of one; the rest is left as it is, known or not.
type pod struct {
	Metadata struct {
		Name         string            `json:"name"`
		GenerateName string            `json:"generateName"`
		Annotations  map[string]string `json:"annotations"`
	} `json:"metadata"`
	Spec struct {
		ServiceAccountName string      `json:"serviceAccountName"`
		ServiceAccount     string      `json:"serviceAccount"` // its older name
		Volumes            []named     `json:"volumes"`
		InitContainers     []container `json:"initContainers"` // native sidecars too
		Containers         []container `json:"containers"`
	} `json:"spec"`
}

type named struct {
	Name string `json:"name"`
}

type container struct {
	Name         string  `json:"name"`
	Env          []named `json:"env"`
	VolumeMounts []mount `json:"volumeMounts"`
}

type mount struct {
	Name      string `json:"name"`
	MountPath string `json:"mountPath"`
}

func parsePod(object []byte) (*pod, error) {
	p := &pod{}
	if err := json.Unmarshal(object, p); err != nil {
		return nil, malformed("pod: %w", err)
	}
	return p, nil
}

func (p *pod) name() string {
	if p.Metadata.Name != "" {
		return p.Metadata.Name
	}
	return p.Metadata.GenerateName
}

func (p *pod) account() string {
	if p.Spec.ServiceAccountName != "" {
		return p.Spec.ServiceAccountName
	}
	return p.Spec.ServiceAccount
}

func (c *container) sets(variables ...string) bool {
	return slices.ContainsFunc(c.Env, func(v named) bool { return slices.Contains(variables, v.Name) })
}

// uses reports whether c mounts the volume.
func (c *container) uses(volume string) bool {
	return slices.ContainsFunc(c.VolumeMounts, func(m mount) bool { return m.Name == volume })
}

// occupies reports whether c mounts anything at a path.
func (c *container) occupies(at string) bool {
	return slices.ContainsFunc(c.VolumeMounts, func(m mount) bool { return path.Clean(m.MountPath) == at })
}

// relevant picks the annotations that bear on pods: those of the first prefix with a role; none: nil.
func (cfg *Config) relevant(annotations map[string]string) map[string]string {
	for _, prefix := range cfg.Prefixes {
		if annotations[prefix+"/"+annotationRole] == "" {
			continue
		}
		kept := make(map[string]string)
		for _, name := range []string{annotationRole, annotationAudience, annotationRegional, annotationCAConfigMap, annotationExpiration} {
			if v := annotations[prefix+"/"+name]; v != "" {
				kept[prefix+"/"+name] = v
			}
		}
		return kept
	}
	return nil
}

// injection is what a pod is to get.
type injection struct {
	cfg         *Config
	role        string
	audience    string
	expiration  time.Duration
	regional    bool
	caConfigMap string
	directory   string // of the token
	skip        []string
	warnings    []string // to whoever creates the pod
}

// injection reads the annotations of a ServiceAccount and of its pod; nil when they name no role. What can never lead to credentials is
// an error; other values that make no sense give the default and a warning, because the webhook of Amazon EKS lets them pass.
func (cfg *Config) injection(annotations map[string]string, p *pod) (*injection, error) {
	annotations = cfg.relevant(annotations)
	for _, prefix := range cfg.Prefixes {
		role := annotations[prefix+"/"+annotationRole]
		if role == "" {
			continue
		}
		if a, err := arn.Parse(role); err != nil || a.Partition != arn.Partition || !a.IsIAM("role") || !arn.ValidAccount(a.Account) {
			return nil, fmt.Errorf("annotation %s/%s: %.200q is not the ARN of a role", prefix, annotationRole, role)
		}
		in := &injection{
			cfg: cfg, role: role, audience: cfg.Audience, expiration: cfg.TokenExpiration, caConfigMap: cfg.CAConfigMap,
			directory: "/var/run/secrets/" + prefix + "/serviceaccount",
		}
		if cfg.MountPath != "" {
			in.directory = path.Clean(cfg.MountPath)
		}
		if v := annotations[prefix+"/"+annotationAudience]; v != "" {
			in.audience = v
		}
		if v := annotations[prefix+"/"+annotationCAConfigMap]; v != "" {
			if in.caConfigMap = v; !isSubdomain(v) {
				return nil, fmt.Errorf("annotation %s/%s: %.200q is not the name of a ConfigMap", prefix, annotationCAConfigMap, v)
			}
		}
		in.readRegional(prefix, annotations)
		in.readExpiration(prefix, annotations)
		in.readExpiration(prefix, p.Metadata.Annotations)
		in.readSkip(prefix, p.Metadata.Annotations)
		return in, nil
	}
	return nil, nil
}

func (in *injection) warn(format string, args ...any) {
	in.warnings = append(in.warnings, fmt.Sprintf(format, args...))
}

func (in *injection) readRegional(prefix string, annotations map[string]string) {
	name := prefix + "/" + annotationRegional
	v := annotations[name]
	if v == "" {
		return
	}
	var err error
	if in.regional, err = strconv.ParseBool(v); err != nil {
		in.warn("%s: %.40q is neither true nor false; ignored", name, v)
	}
}

func (in *injection) readExpiration(prefix string, annotations map[string]string) {
	name := prefix + "/" + annotationExpiration
	v := annotations[name]
	if v == "" {
		return
	}
	seconds, err := strconv.ParseInt(v, 10, 32)
	if err != nil {
		in.warn("%s: %.40q is not a number of seconds; tokens live %d s", name, v, int(in.expiration.Seconds()))
		return
	}
	asked := time.Duration(seconds) * time.Second
	in.expiration = min(max(asked, MinTokenExpiration), MaxTokenExpiration)
	if in.expiration != asked {
		in.warn("%s: tokens live %d to %d s; made %d", name, int(MinTokenExpiration.Seconds()), int(MaxTokenExpiration.Seconds()),
			int(in.expiration.Seconds()))
	}
}

func (in *injection) readSkip(prefix string, annotations map[string]string) {
	name := prefix + "/" + annotationSkip
	v := annotations[name]
	if v == "" {
		return
	}
	names, err := csv.NewReader(strings.NewReader(v)).Read()
	if err != nil {
		in.warn("%s: %.40q is not a list of names; no container is left out", name, v)
		return
	}
	for _, n := range names {
		in.skip = append(in.skip, strings.TrimSpace(n))
	}
}

// operation is one of a JSON Patch (RFC 6902 section 4).
type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value"`
}

// object is a part of a pod.
type object map[string]any

// patch adds to p what it lacks, so that a second call, after other webhooks, adds what they made necessary. Only additions: what pod
// and containers say themselves stands, and members that this package does not know are not touched.
func (in *injection) patch(p *pod) []operation {
	var operations []operation
	var volumes []object
	for _, list := range []struct {
		path       string
		containers []container
	}{{"/spec/initContainers", p.Spec.InitContainers}, {"/spec/containers", p.Spec.Containers}} {
		for i, c := range list.containers {
			if slices.Contains(in.skip, c.Name) {
				continue
			}
			at := list.path + "/" + strconv.Itoa(i)
			operations = append(operations, appendTo(at+"/env", len(c.Env), in.variables(p, &c))...)
			mounts, needed := in.mounts(&c)
			operations = append(operations, appendTo(at+"/volumeMounts", len(c.VolumeMounts), mounts)...)
			volumes = append(volumes, needed...)
		}
	}
	return append(operations, appendTo("/spec/volumes", len(p.Spec.Volumes), missing(volumes, p.Spec.Volumes))...)
}

// appendTo appends values to the array at path, which has length members; an array of none may be absent.
func appendTo(path string, length int, values []object) []operation {
	var operations []operation
	switch {
	case len(values) == 0:
	case length == 0:
		operations = []operation{{"add", path, values}}
	default:
		for _, v := range values {
			operations = append(operations, operation{"add", path + "/-", v})
		}
	}
	return operations
}

// missing are the volumes, each once, that are not there.
func missing(volumes []object, there []named) []object {
	var out []object
	seen := make(map[string]bool)
	for _, v := range there {
		seen[v.Name] = true
	}
	for _, v := range volumes {
		if name := v["name"].(string); !seen[name] {
			seen[name] = true
			out = append(out, v)
		}
	}
	return out
}

// maxSessionName is the longest name of a role session (AWS STS API reference, AssumeRoleWithWebIdentity). Kubernetes makes no pod name
// of more than 63 characters by itself, but takes longer ones.
const maxSessionName = 64

// variables are those that c lacks. Role and token belong together: a container that sets one of them has an identity of its own.
func (in *injection) variables(p *pod, c *container) []object {
	var add []object
	set := func(name, value string) { add = append(add, object{"name": name, "value": value}) }
	if in.regional && !c.sets("AWS_STS_REGIONAL_ENDPOINTS") {
		set("AWS_STS_REGIONAL_ENDPOINTS", "regional")
	}
	if in.cfg.Region != "" && !c.sets("AWS_REGION", "AWS_DEFAULT_REGION") {
		set("AWS_DEFAULT_REGION", in.cfg.Region)
		set("AWS_REGION", in.cfg.Region)
	}
	if !c.sets("AWS_ENDPOINT_URL_STS") {
		set("AWS_ENDPOINT_URL_STS", in.cfg.Endpoint)
	}
	if in.caConfigMap != "" && !c.sets("AWS_CA_BUNDLE") {
		set("AWS_CA_BUNDLE", in.caDirectory()+"/"+caFile)
	}
	if c.sets("AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE") {
		return add
	}
	set("AWS_ROLE_ARN", in.role)
	set("AWS_WEB_IDENTITY_TOKEN_FILE", in.directory+"/"+tokenFile)
	if !in.cfg.AnonymousSessions && len(p.Metadata.Name) <= maxSessionName && !c.sets("AWS_ROLE_SESSION_NAME") {
		// The pod's name is not known yet when it is generated.
		add = append(add, object{"name": "AWS_ROLE_SESSION_NAME", "valueFrom": object{"fieldRef": object{"fieldPath": "metadata.name"}}})
	}
	return add
}

// mounts are those that c lacks, and the volumes that they need.
func (in *injection) mounts(c *container) (mounts, volumes []object) {
	add := func(volume object, at string) {
		name := volume["name"].(string)
		switch {
		case c.uses(name):
			volumes = append(volumes, volume)
		case !c.occupies(at):
			volumes = append(volumes, volume)
			mounts = append(mounts, object{"name": name, "mountPath": at, "readOnly": true})
		}
	}
	// No fsGroup is needed to read the token: without one the kubelet gives the file to the user of the containers or lets everyone in
	// the pod read it (Kubernetes documentation, "Projected Volumes").
	add(object{"name": tokenVolume, "projected": object{"sources": []object{{"serviceAccountToken": object{
		"audience": in.audience, "expirationSeconds": int(in.expiration.Seconds()), "path": tokenFile,
	}}}}}, in.directory)
	if in.caConfigMap != "" && !c.sets("AWS_CA_BUNDLE") {
		add(object{"name": caVolume, "configMap": object{"name": in.caConfigMap, "items": []object{{"key": caFile, "path": caFile}}}}, in.caDirectory())
	}
	return mounts, volumes
}

func (in *injection) caDirectory() string { return path.Dir(in.directory) + "/ca" }
