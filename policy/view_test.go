package policy_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stint-sts/stint/policy"
)

func TestStatements(t *testing.T) {
	t.Parallel()
	const text = `{"Statement":[
		{"Effect":"Deny","NotPrincipal":{"AWS":["111111111111","*"],"Service":"a.example"},"NotAction":"sts:TagSession","NotResource":"*"},
		{"Sid":"S","Action":["sts:A*","sts:B"],"Principal":"*","Effect":"Allow","Condition":{
			"foranyvalue:stringnotlikeifexists":{"aws:TagKeys":["é","b"],"k":true},"Null":{"n":"true"}}}],"Version":"2008-10-17"}`
	d := parse(t, policy.Resource, text)
	at := func(path, start string) policy.Place {
		if strings.Count(text, start) != 1 {
			t.Fatalf("%q is not unique", start)
		}
		return policy.Place{Path: path, Offset: strings.Index(text, start)}
	}
	value := func(path, start, kind, text string) policy.Value {
		return policy.Value{Place: at(path, start), Type: kind, Text: text}
	}
	list := func(v ...policy.Value) []policy.Value { return v }
	const one, two = "Statement[0].", "Statement[1]."
	set := two + "Condition.foranyvalue:stringnotlikeifexists."
	want := []policy.Statement{{
		Place: at("Statement[0]", `{"Effect":"Deny"`), Deny: true,
		Principal: policy.Element{Place: at(one+"NotPrincipal", `{"AWS"`), Negated: true, Values: list(
			value(one+"NotPrincipal.AWS[0]", `"1111`, "AWS", "111111111111"), value(one+"NotPrincipal.AWS[1]", `"*"],`, "AWS", "*"),
			value(one+"NotPrincipal.Service", `"a.example`, "Service", "a.example"))},
		Action: policy.Element{Place: at(one+"NotAction", `"sts:TagS`), Negated: true, Values: list(
			value(one+"NotAction", `"sts:TagS`, "", "sts:TagSession"))},
		Resource: policy.Element{Place: at(one+"NotResource", `"*"},`), Negated: true, Values: list(value(one+"NotResource", `"*"},`, "", "*"))},
	}, {
		Place: at("Statement[1]", `{"Sid"`), Sid: "S",
		Principal: policy.Element{Place: at(two+"Principal", `"*","Effect`), Values: list(value(two+"Principal", `"*","Effect`, "AWS", "*"))},
		Action: policy.Element{Place: at(two+"Action", `["sts:A`), Values: list(
			value(two+"Action[0]", `"sts:A`, "", "sts:A*"), value(two+"Action[1]", `"sts:B`, "", "sts:B"))},
		Conditions: []policy.Condition{
			{Place: at(set+"aws:TagKeys", `"aws:TagKeys`), Operator: "StringNotLike", Set: "ForAnyValue", IfExists: true, Negated: true,
				Key: "aws:TagKeys", Values: list(value(set+"aws:TagKeys[0]", `"é"`, "", "é"), value(set+"aws:TagKeys[1]", `"b"`, "", "b"))},
			{Place: at(set+"k", `"k":`), Operator: "StringNotLike", Set: "ForAnyValue", IfExists: true, Negated: true,
				Key: "k", Values: list(value(set+"k", `true},"Null`, "", "true"))},
			{Place: at(two+"Condition.Null.n", `"n":`), Operator: "Null", Key: "n", Values: list(value(two+"Condition.Null.n", `"true"`, "", "true"))},
		},
	}}
	if diff := cmp.Diff(want, d.Statements()); diff != "" {
		t.Error(diff)
	}
	if d.Version() != "2008-10-17" || parse(t, policy.Resource, strings.Replace(text, "2008-10-17", "2012-10-17", 1)).Version() != "2012-10-17" {
		t.Error("the version is wrong")
	}
	if line, column := d.Position(strings.Index(text, `"b"]`)); line != 4 || column != 60 {
		t.Errorf("line %d column %d", line, column)
	}
	if line, column := d.Position(len(text) + 5); line != 4 || column == 1 {
		t.Errorf("past the end: line %d column %d", line, column)
	}
}

// TestStatements_OfVectors: the view has as many statements as are compiled, and each place points at its own text.
func TestStatements_OfVectors(t *testing.T) {
	t.Parallel()
	for _, v := range readVectors(t, "testdata/vectors/trust.jsonl") {
		_, p := v.build(t)
		if p.Resource == nil {
			continue
		}
		text := p.Resource.Text()
		trace := policy.Explain(&policy.Request{Principal: &policy.Principal{}, Action: "sts:AssumeRole"}, p)
		statements := p.Resource.Statements()
		if got, want := len(statements), len(trace.Layers[len(p.ServiceControl)].Documents[0].Statements); got != want {
			t.Fatalf("%s: %d statements, %d are compiled", v.ID, got, want)
		}
		for _, s := range statements {
			for _, c := range s.Conditions {
				if !strings.HasPrefix(text[c.Offset:], `"`+c.Key+`"`) {
					t.Errorf("%s: %s is not at %d", v.ID, c.Path, c.Offset)
				}
			}
			for _, value := range append(s.Principal.Values, s.Action.Values...) {
				if !strings.HasPrefix(text[value.Offset:], `"`+value.Text+`"`) {
					t.Errorf("%s: %s is not at %d", v.ID, value.Path, value.Offset)
				}
			}
		}
	}
}

func TestGuessKind(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]policy.Kind{
		`{"Statement":{"Action":"*","Resource":"*"}}`:                         policy.Identity,
		`{"Statement":[{"Principal":"*"}]}`:                                   policy.Trust,
		`{"Statement":{"NotPrincipal":"*","Effect":7}}`:                       policy.Trust,
		`{"Statement":[{"Principal":"*"},{"Principal":"*","NotResource":1}]}`: policy.Resource,
		`{"Statement":7}`: policy.Identity,
		`[]`:              policy.Identity,
		`{`:               policy.Identity,
	} {
		if got := policy.GuessKind(text); got != want {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
	}
}
