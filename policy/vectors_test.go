package policy_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stint-sts/stint/policy"
)

// vector is a line of a decision file; testdata/vectors/README.md describes it.
type vector struct {
	ID, Class, Kind string
	Request         struct {
		Action, Resource, ResourceAccount string
		Principal                         struct {
			ARN, Type, RoleArn, UserArn string
			Account                     *string
		}
		Context map[string]json.RawMessage
	}
	Policies struct {
		Identity []json.RawMessage
		Resource json.RawMessage
		Boundary []json.RawMessage
		Session  []json.RawMessage
		SCPs     [][]json.RawMessage
	}
	Expect   *string
	Readings struct{ Simulator, Other string }
	Why      string
}

// expectedDifference is a vector whose answer contradicts the documentation, with the rule that does.
type expectedDifference struct{ got, rule string }

// expectedDifferences lists, by id, every vector that the engine answers differently on purpose.
var expectedDifferences = map[string]expectedDifference{}

// readLines calls do with every line of a file, and fails when there is none.
func readLines(t *testing.T, path string, do func(line []byte)) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	scanner := bufio.NewScanner(bytes.NewReader(data))
	scanner.Buffer(nil, 1<<20)
	lines := 0
	for scanner.Scan() {
		lines++
		do(scanner.Bytes())
	}
	if err := scanner.Err(); err != nil {
		t.Fatal(err)
	}
	if lines == 0 {
		t.Fatalf("%s has no lines", path)
	}
}

func readVectors(t *testing.T, path string) []vector {
	t.Helper()
	var vectors []vector
	readLines(t, path, func(line []byte) {
		var v vector
		if err := json.Unmarshal(line, &v); err != nil {
			t.Fatal(err)
		}
		vectors = append(vectors, v)
	})
	return vectors
}

func TestVectors(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob("testdata/vectors/*.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	decided := 0
	met := make(map[string]bool)
	for _, path := range paths {
		switch filepath.Base(path) {
		case "policy-validity.jsonl", "disputed.jsonl":
			continue // TestValidityVectors, TestDisputedVectors
		}
		for _, v := range readVectors(t, path) {
			decided++
			request, policies := v.build(t)
			decision := policy.Evaluate(request, policies)
			want := *v.Expect
			if d, ok := expectedDifferences[v.ID]; ok {
				met[v.ID] = true
				if d.got == want || d.rule == "" {
					t.Errorf("%s: expected difference without a difference or a rule", v.ID)
				}
				want = d.got
			}
			if decision.Effect.String() != want {
				t.Errorf("%s %s/%s: got %v %+v, want %s: %s", v.ID, v.Class, v.Kind, decision.Effect, decision.Reason, want, v.Why)
			}
			checkTrace(t, v.ID, request, policies)
		}
	}
	if decided != 4620 {
		t.Errorf("%d vectors, the files hold 4620", decided)
	}
	if len(met) != len(expectedDifferences) {
		t.Errorf("%d of %d expected differences met", len(met), len(expectedDifferences))
	}
}

// chosenReadings hold, by kind of disputed vector, the answer that the engine gives; docs/compatibility.md has a row for each.
var chosenReadings = map[string]string{
	"any-value-if-exists-missing":           "Allow",
	"list-key-without-set-operator":         "Allow",
	"list-key-without-set-operator-negated": "Allow",
	"all-values-empty-string":               "Allow",
	"null-with-empty-list":                  "ImplicitDeny",
	"notprincipal-sibling-with-account":     "Allow",
	"notprincipal-without-account":          "Allow",
	"everyone-and-boundary":                 "Allow",
	"everyone-and-session-policy":           "Allow",
	"notresource-variable-without-value":    "Allow",
	"wildcard-in-resource-type":             "Allow",
}

func TestDisputedVectors(t *testing.T) {
	t.Parallel()
	seen := make(map[string]bool)
	for _, v := range readVectors(t, "testdata/vectors/disputed.jsonl") {
		seen[v.Kind] = true
		request, policies := v.build(t)
		got := policy.Evaluate(request, policies).Effect.String()
		if got != v.Readings.Simulator && got != v.Readings.Other {
			t.Errorf("%s: %s is neither reading (%s, %s)", v.ID, got, v.Readings.Simulator, v.Readings.Other)
		}
		if want := chosenReadings[v.Kind]; got != want {
			t.Errorf("%s %s: %s, chosen is %q: %s", v.ID, v.Kind, got, want, v.Why)
		}
		checkTrace(t, v.ID, request, policies)
	}
	if len(seen) != len(chosenReadings) {
		t.Errorf("%d kinds of disputed vectors, %d readings are chosen", len(seen), len(chosenReadings))
	}
}

var principalTypes = map[string]policy.PrincipalType{
	"user": policy.User, "role-session": policy.RoleSession, "federated-user": policy.FederatedUser,
	"root": policy.Root, "service": policy.Service, "federated": policy.Federated,
}

// build makes the engine's types of a vector.
func (v *vector) build(t *testing.T) (*policy.Request, *policy.Policies) {
	t.Helper()
	q := v.Request
	kind, ok := principalTypes[q.Principal.Type]
	if !ok {
		t.Fatalf("%s: principal type %q", v.ID, q.Principal.Type)
	}
	request := &policy.Request{
		Principal: &policy.Principal{
			Type: kind, ARN: q.Principal.ARN, RoleARN: q.Principal.RoleArn, UserARN: q.Principal.UserArn,
		},
		Action:          q.Action,
		Resource:        q.Resource,
		ResourceAccount: q.ResourceAccount,
		Context:         buildContext(t, q.Context),
	}
	if q.Principal.Account != nil {
		request.Principal.Account = *q.Principal.Account
	}
	policies := &policy.Policies{
		Identity: v.parseAll(t, policy.Identity, v.Policies.Identity),
		Session:  v.parseAll(t, policy.Session, v.Policies.Session),
	}
	if len(v.Policies.Resource) > 0 && string(v.Policies.Resource) != "null" {
		kind := policy.Resource
		if !bytes.Contains(v.Policies.Resource, []byte(`Resource"`)) {
			kind = policy.Trust
		}
		policies.Resource = v.parse(t, kind, v.Policies.Resource)
	}
	if len(v.Policies.Boundary) > 1 {
		t.Fatalf("%s: %d boundaries", v.ID, len(v.Policies.Boundary))
	}
	for _, raw := range v.Policies.Boundary {
		policies.Boundary = v.parse(t, policy.Boundary, raw)
	}
	for _, level := range v.Policies.SCPs {
		policies.ServiceControl = append(policies.ServiceControl, v.parseAll(t, policy.ServiceControl, level))
	}
	return request, policies
}

func (v *vector) parseAll(t *testing.T, kind policy.Kind, raws []json.RawMessage) []*policy.Document {
	t.Helper()
	if raws == nil {
		return nil
	}
	documents := make([]*policy.Document, len(raws))
	for i, raw := range raws {
		documents[i] = v.parse(t, kind, raw)
	}
	return documents
}

func (v *vector) parse(t *testing.T, kind policy.Kind, raw json.RawMessage) *policy.Document {
	t.Helper()
	d, err := policy.Parse(kind, string(raw))
	if err != nil {
		t.Fatalf("%s: %v policy %s: %v", v.ID, kind, raw, err)
	}
	return d
}

func buildContext(t *testing.T, keys map[string]json.RawMessage) *policy.Context {
	t.Helper()
	context := new(policy.Context)
	for key, raw := range keys {
		var one string
		var list []string
		if json.Unmarshal(raw, &one) == nil {
			context.Set(key, one)
		} else if err := json.Unmarshal(raw, &list); err == nil {
			context.SetList(key, list)
		} else {
			t.Fatalf("context key %s: %v", key, err)
		}
	}
	return context
}

// quotas of the validity vectors, in Document.Size characters. A raised quota of a trust policy is 4,096.
var validityQuotas = map[string]struct {
	kind policy.Kind
	size int
}{
	"identity": {policy.Identity, 6144},
	"boundary": {policy.Boundary, 6144},
	"session":  {policy.Session, 2048},
	"trust":    {policy.Trust, 4096},
	"scp":      {policy.ServiceControl, 5120},
}

func TestValidityVectors(t *testing.T) {
	t.Parallel()
	readLines(t, "testdata/vectors/policy-validity.jsonl", func(line []byte) {
		var v struct{ ID, Class, PolicyType, Document, Expect, Why string }
		if err := json.Unmarshal(line, &v); err != nil {
			t.Fatal(err)
		}
		quota, ok := validityQuotas[v.PolicyType]
		if !ok {
			t.Fatalf("%s: policy type %q", v.ID, v.PolicyType)
		}
		document, err := policy.Parse(quota.kind, v.Document)
		got := "valid"
		if err != nil || document.Size() > quota.size {
			got = "invalid"
		}
		if v.Class == "size" && err != nil {
			t.Errorf("%s: refused for another reason than its size: %v", v.ID, err)
		}
		if got != v.Expect {
			t.Errorf("%s %s %s: %s, want %s (%s): %v\n%s", v.ID, v.PolicyType, v.Class, got, v.Expect, v.Why, err, v.Document)
		}
	})
}
