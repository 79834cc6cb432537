package policy_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stint-sts/stint/policy"
)

func TestSpans(t *testing.T) {
	t.Parallel()
	const one, two = `{"Effect":"Allow","Action":"*","Resource":"*"}`, `{"Effect":"Deny","Action":"iam:*","Resource":"a:ü"}`
	span := func(l1, c1, l2, c2 int) policy.Span {
		return policy.Span{Start: policy.Point{l1, c1}, End: policy.Point{l2, c2}}
	}
	for _, row := range []struct {
		name, text string
		want       []policy.Span
	}{
		{"one statement in a list", `{"Statement":[` + one + `]}`, []policy.Span{span(1, 15, 1, 15+len(one))}},
		{"a statement without a list", `{"Statement": ` + one + `}`, []policy.Span{span(1, 14, 1, 15+len(one))}},
		{
			"space before a statement belongs to it, as on AWS", "{\"Statement\": [\n  " + one + " ,\r\n\t" + one + "\n]}",
			[]policy.Span{span(1, 16, 2, 3+len(one)), span(2, 5+len(one), 3, 2+len(one))},
		},
		{
			"columns count characters", `{"Statement":[` + strings.Replace(two, "a:ü", "arn:aws:s3:::ü", 1) + `,` + one + `]}`,
			[]policy.Span{span(1, 15, 1, 15+len(two)-1+11), span(1, 16+len(two)-1+11, 1, 16+len(two)-1+11+len(one))},
		},
	} {
		d, err := policy.Parse(policy.Identity, row.text)
		if err != nil {
			t.Errorf("%s: %v", row.name, err)
			continue
		}
		if diff := cmp.Diff(row.want, d.Spans()); diff != "" || d.Len() != len(row.want) {
			t.Errorf("%s, %d statements (-want +got):\n%s", row.name, d.Len(), diff)
		}
	}
}

func TestValidValue(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		keyType string
		yes, no []string
	}{
		{"string", []string{"", "x"}, nil},
		{"numeric", []string{"1", "-2.5"}, []string{"", "x", "1,5"}},
		{"boolean", []string{"true", "False"}, []string{"", "yes", "1"}},
		{"ip", []string{"10.0.0.1", "2001:db8::1"}, []string{"", "10.0.0.0/8", "host"}},
		{"binary", []string{"", "QmluYXJ5"}, []string{"*"}},
		{"date", []string{"2026-03-14", "2026-03-14T15:09:26Z", "1773500966"}, []string{"", "today"}},
		{"", nil, []string{"", "x"}},
	} {
		for _, v := range row.yes {
			if !policy.ValidValue(row.keyType, v) {
				t.Errorf("%q is no %s", v, row.keyType)
			}
		}
		for _, v := range row.no {
			if policy.ValidValue(row.keyType, v) {
				t.Errorf("%q is a %s", v, row.keyType)
			}
		}
	}
}

// A simulation decides as Evaluate does, and its matched statements are
// those of the deciding effect.
func TestSimulate_MatchesWhatDecided(t *testing.T) {
	t.Parallel()
	parse := func(kind policy.Kind, statements string) *policy.Document {
		d, err := policy.Parse(kind, `{"Version":"2012-10-17","Statement":[`+statements+`]}`)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	const (
		allow = `{"Effect":"Allow","Action":"iam:Get*","Resource":"*"}`
		deny  = `{"Effect":"Deny","Action":"iam:GetUser","Resource":"*","Condition":{"Bool":{"aws:SecureTransport":"false"}}}`
		other = `{"Effect":"Allow","Action":"sts:*","Resource":"*","Condition":{"StringEquals":{"never:Asked":"x"}}}`
		own   = `{"Effect":"Allow","Action":"iam:*","Resource":"arn:aws:iam::*:user/${aws:username}"}`
	)
	match := func(kind policy.Kind, document, statement int) policy.Match {
		return policy.Match{kind, document, statement}
	}
	for _, row := range []struct {
		name     string
		policies policy.Policies
		context  map[string]string
		effect   policy.Effect
		matched  []policy.Match
		missing  []string
	}{
		{
			"an allow, the deny's key is missing", policy.Policies{Identity: []*policy.Document{parse(policy.Identity, other+","+deny+","+allow)}}, nil,
			policy.Allow, []policy.Match{match(policy.Identity, 0, 2)}, []string{"aws:SecureTransport"},
		},
		{
			"a deny stands alone", policy.Policies{Identity: []*policy.Document{parse(policy.Identity, allow), parse(policy.Identity, deny)}},
			map[string]string{"aws:SecureTransport": "false"}, policy.ExplicitDeny, []policy.Match{match(policy.Identity, 1, 0)}, nil,
		},
		{
			"a boundary takes away", policy.Policies{
				Identity: []*policy.Document{parse(policy.Identity, allow)}, Boundary: parse(policy.Boundary, allow+","+deny),
			}, map[string]string{"aws:SecureTransport": "false"}, policy.ExplicitDeny, []policy.Match{match(policy.Boundary, 0, 1)}, nil,
		},
		{
			"a silent boundary", policy.Policies{Identity: []*policy.Document{parse(policy.Identity, allow)}, Boundary: parse(policy.Boundary, other)}, nil,
			policy.ImplicitDeny, nil, nil,
		},
		{
			"a variable of the resource is missing", policy.Policies{Identity: []*policy.Document{parse(policy.Identity, own)}}, nil,
			policy.ImplicitDeny, nil, []string{"aws:username"},
		},
	} {
		ctx := policy.NewContext(nil)
		for k, v := range row.context {
			ctx.Set(k, v)
		}
		r := &policy.Request{
			Principal: &policy.Principal{Type: policy.User, ARN: "arn:aws:iam::111122223333:user/alice", Account: "111122223333"},
			Action:    "iam:GetUser", Resource: "arn:aws:iam::111122223333:user/alice", ResourceAccount: "111122223333", Context: ctx,
		}
		got := policy.Simulate(r, &row.policies)
		if got.Decision != policy.Evaluate(r, &row.policies) || got.Decision.Effect != row.effect {
			t.Errorf("%s: %v", row.name, got.Decision)
		}
		if diff := cmp.Diff(row.matched, got.Matched) + cmp.Diff(row.missing, got.Missing); diff != "" {
			t.Errorf("%s (-want +got):\n%s", row.name, diff)
		}
	}
	if got := policy.Simulate(nil, nil); got.Decision.Effect != policy.ImplicitDeny {
		t.Error("nothing at all is allowed")
	}
}
