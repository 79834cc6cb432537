package policy_test

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stint-sts/stint/policy"
)

func randomBytes(seed uint64) []byte {
	r := rand.New(rand.NewPCG(seed, 2012))
	data := make([]byte, 400)
	for i := range data {
		data[i] = byte(r.Uint32())
	}
	return data
}

// differ compares engine and reference on what data generates. It reports whether the documents were accepted.
func differ(t *testing.T, data []byte, tally map[string]int) bool {
	t.Helper()
	s := &source{data}
	request, policies := s.request(), s.policies()
	compiled := policies.compile()
	if compiled == nil {
		return false
	}
	question := request.compile()
	want := refEvaluate(request, policies)
	decision := policy.Evaluate(question, compiled)
	if got := decision.Effect.String(); got != want {
		t.Errorf("got %s %+v, reference says %s\nrequest %s %s of %s by %+v\ncontext %+v\npolicies %+v",
			got, decision.Reason, want, request.action, request.resource, request.owner, request.principal, request.context, policies)
	}
	checkTrace(t, "generated", question, compiled)
	if tally != nil {
		tally[want]++
	}
	return true
}

func TestDifferential(t *testing.T) {
	t.Parallel()
	const rounds = 6000
	tally := make(map[string]int)
	accepted := 0
	for seed := range uint64(rounds) {
		if differ(t, randomBytes(seed), tally) {
			accepted++
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	if accepted < rounds/2 {
		t.Errorf("only %d of %d generated cases were accepted", accepted, rounds)
	}
	for _, effect := range []string{"Allow", "ImplicitDeny", "ExplicitDeny"} {
		if tally[effect] < rounds/20 {
			t.Errorf("only %d decisions were %s: the generator asks nothing interesting", tally[effect], effect)
		}
	}
	t.Log(tally)
}

func FuzzEvaluate(f *testing.F) {
	for seed := range uint64(20) {
		f.Add(randomBytes(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) { differ(t, data[:min(len(data), 2000)], nil) })
}

// checkTrace demands that Explain and Evaluate agree, and that the trace bears out the decision and its reason.
func checkTrace(t *testing.T, id string, r *policy.Request, p *policy.Policies) {
	t.Helper()
	decision := policy.Evaluate(r, p)
	trace := policy.Explain(r, p)
	if trace.Decision != decision {
		t.Errorf("%s: Explain decides %+v, Evaluate %+v", id, trace.Decision, decision)
	}
	if len(trace.Layers) == 0 {
		if trace.Note == "" {
			t.Errorf("%s: a trace without layers and without a note", id)
		}
		return
	}
	denied := false
	for _, layer := range trace.Layers {
		denied = denied || layer.Counts && layer.Effect == policy.ExplicitDeny
		if layer.Kind != decision.Reason.Kind || layer.Level != decision.Reason.Level {
			continue
		}
		if !layer.Counts {
			t.Errorf("%s: layer %v decides although it does not count", id, layer.Kind)
		}
		if decision.Reason.Statement < 0 {
			if layer.Effect != policy.ImplicitDeny {
				t.Errorf("%s: layer %v is silent but the trace says %v", id, layer.Kind, layer.Effect)
			}
			continue
		}
		statement := layer.Documents[decision.Reason.Document].Statements[decision.Reason.Statement]
		if !statement.Applies || statement.Effect != decision.Effect || statement.Sid != decision.Reason.Sid {
			t.Errorf("%s: the reason %+v names a statement that the trace does not bear out: %+v", id, decision.Reason, statement)
		}
	}
	if denied != (decision.Effect == policy.ExplicitDeny) {
		t.Errorf("%s: the trace shows an explicit deny: %v, but the decision is %v", id, denied, decision.Effect)
	}
}

// TestProperties checks laws that hold for any policies whatever.
func TestProperties(t *testing.T) {
	t.Parallel()
	checked := 0
	for seed := range uint64(2000) {
		s := &source{randomBytes(seed + 1<<32)}
		request, policies := s.request(), s.policies()
		compiled := policies.compile()
		if compiled == nil {
			continue
		}
		checked++
		question := request.compile()
		before := policy.Evaluate(question, compiled).Effect
		evaluate := func(change func(p *refPolicies)) policy.Effect {
			changed := *policies
			change(&changed)
			c := changed.compile()
			if c == nil {
				t.Fatalf("seed %d: the changed policies are refused", seed)
			}
			return policy.Evaluate(question, c).Effect
		}
		neverAllows := func(law string, after policy.Effect) {
			if before != policy.Allow && after == policy.Allow {
				t.Errorf("seed %d: %s turned %v into Allow", seed, law, before)
			}
		}
		same := func(law string, after policy.Effect) {
			if before != after {
				t.Errorf("seed %d: %s turned %v into %v", seed, law, before, after)
			}
		}
		deny := `{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"store:*","Resource":"*"}}`
		neverAllows("a Deny in an identity policy", evaluate(func(p *refPolicies) {
			p.identity = append(p.identity[:len(p.identity):len(p.identity)], deny)
		}))
		if policies.boundary == "" {
			neverAllows("a permissions boundary", evaluate(func(p *refPolicies) { p.boundary = s.valid(policy.Boundary) }))
		}
		if policies.session == nil && request.principal.Type != policy.FederatedUser {
			// A federated-user session is the exception: without session policies it may do nothing.
			neverAllows("a session policy", evaluate(func(p *refPolicies) { p.session = []string{s.valid(policy.Session)} }))
		}
		neverAllows("a service control level", evaluate(func(p *refPolicies) {
			p.scps = append(p.scps[:len(p.scps):len(p.scps)], []string{s.valid(policy.ServiceControl)})
		}))
		same("reversing all statements and documents", evaluate(func(p *refPolicies) { p.rewrite(reverseStatements) }))
		same("naming all statements", evaluate(func(p *refPolicies) { p.rewrite(nameStatements) }))
	}
	if checked < 1500 {
		t.Errorf("only %d cases", checked)
	}
}

// rewrite changes the statements of every document, and reverses the lists of documents.
func (p *refPolicies) rewrite(f func([]any)) {
	one := func(text string) string {
		if text == "" {
			return ""
		}
		var d map[string]any
		if err := json.Unmarshal([]byte(text), &d); err != nil {
			panic(err)
		}
		statements, ok := d["Statement"].([]any)
		if !ok {
			statements = []any{d["Statement"]}
		}
		f(statements)
		d["Statement"] = statements
		out, err := json.Marshal(d)
		if err != nil {
			panic(err)
		}
		return string(out)
	}
	all := func(texts []string) []string {
		if texts == nil {
			return nil
		}
		out := make([]string, 0, len(texts))
		for i := range texts {
			out = append(out, one(texts[len(texts)-1-i]))
		}
		return out
	}
	p.identity, p.session, p.resource, p.boundary = all(p.identity), all(p.session), one(p.resource), one(p.boundary)
	scps := make([][]string, len(p.scps))
	for i := range scps {
		scps[i] = all(p.scps[i])
	}
	p.scps = scps
}

func reverseStatements(statements []any) { slices.Reverse(statements) }

func nameStatements(statements []any) {
	for i, s := range statements {
		s.(map[string]any)["Sid"] = "Name" + string(rune('A'+i))
	}
}
