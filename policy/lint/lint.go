// Package lint finds what is wrong with a policy that is valid: grants that reach further than they read, conditions that do
// not restrict, statements that do nothing. It owns the table of findings; what a valid policy is, and what it means, is for
// package policy to say.
//
// The classes follow the checks of IAM Access Analyzer ("Access Analyzer policy check reference"), AWS's rules for shared
// OpenID Connect providers ("Identity-provider controls for shared OIDC providers") and the warnings of the IAM User Guide.
package lint

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/stint-sts/stint/policy"
)

// Severity is how bad a finding is.
type Severity uint8

// The severities.
const (
	Note    Severity = iota + 1 // works, but reads badly or does nothing
	Warning                     // probably not what is meant
	Error                       // open to somebody who should be kept out, or not a policy at all
)

var severityNames = [...]string{"none", "note", "warning", "error"}

// String returns the severity in lower case.
func (s Severity) String() string {
	if int(s) < len(severityNames) {
		return severityNames[s]
	}
	return "unknown"
}

// MarshalText writes String.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// ParseSeverity reads what String writes.
func ParseSeverity(name string) (Severity, error) {
	for s := Note; s <= Error; s++ {
		if s.String() == name {
			return s, nil
		}
	}
	return 0, fmt.Errorf("severity %q: it is note, warning or error", name)
}

// Finding is one fault of a document.
type Finding struct {
	ID       string   `json:"id"` // stable: of a Rule
	Severity Severity `json:"severity"`
	Sentence string   `json:"sentence"` // what is wrong, with the text that is
	Path     string   `json:"path"`     // such as Statement[0].Principal.AWS; empty for the document
	Line     int      `json:"line"`     // from 1
	Column   int      `json:"column"`   // from 1, in characters
	SafeForm string   `json:"safe_form"`
}

// Rule is a class of findings.
type Rule struct {
	ID       string // stable, lower case with hyphens
	Severity Severity
	Sentence string
	SafeForm string
}

// Rules returns every class in the order in which the documentation lists them.
func Rules() []Rule {
	list := []Rule{invalid}
	for i := range rules {
		list = append(list, rules[i].Rule)
	}
	return list
}

// invalid is the finding of a document that Parse refuses.
var invalid = Rule{"invalid", Error, "The document is refused.", "see the reason; \"stint policy validate\" tells it too"}

// maxFindings bounds what one document yields, so that a hostile one cannot fill memory or a terminal.
const maxFindings = 200

// Check returns what is wrong with text as a policy of the given kind, in the order of the text, and nothing for a policy
// without fault. A document that is not valid has one finding, "invalid". Safe for concurrent use.
func Check(kind policy.Kind, text string) []Finding {
	d, err := policy.Parse(kind, text)
	if err != nil {
		f := Finding{ID: invalid.ID, Severity: invalid.Severity, Sentence: err.Error(), Line: 1, Column: 1, SafeForm: invalid.SafeForm}
		var refusal *policy.Error
		if errors.As(err, &refusal) {
			f.Sentence, f.Path, f.Line, f.Column = refusal.Reason, refusal.Path, refusal.Line, refusal.Column
		}
		return []Finding{f}
	}
	return CheckDocument(d)
}

// CheckDocument is Check of a parsed document.
func CheckDocument(d *policy.Document) []Finding {
	r := &run{document: d, statements: d.Statements()}
	for i := range rules {
		if r.rule = &rules[i]; r.rule.kinds.has(d.Kind()) {
			r.rule.find(r)
		}
	}
	slices.SortStableFunc(r.found, func(a, b placed) int { return cmp.Compare(a.offset, b.offset) })
	findings := make([]Finding, len(r.found))
	for i, f := range r.found {
		findings[i] = f.Finding
	}
	return findings
}

// run is one document under check.
type run struct {
	document   *policy.Document
	statements []policy.Statement
	rule       *rule
	found      []placed
}

type placed struct {
	Finding
	offset int
}

// report adds a finding of the present rule. what is the text at fault; without it the rule's sentence stands alone.
func (r *run) report(at policy.Place, what string) {
	if len(r.found) >= maxFindings {
		return
	}
	line, column := r.document.Position(at.Offset)
	f := Finding{
		ID: r.rule.ID, Severity: r.rule.Severity, Sentence: r.rule.Sentence,
		Path: at.Path, Line: line, Column: column, SafeForm: r.rule.SafeForm,
	}
	if what != "" {
		f.Sentence += fmt.Sprintf(" Here: %q.", what)
	}
	r.found = append(r.found, placed{f, at.Offset})
}

// rule is a class with the function that finds it.
type rule struct {
	Rule
	kinds kinds
	find  func(*run)
}

// kinds is a set of kinds of policy.
type kinds uint8

func of(list ...policy.Kind) kinds {
	var k kinds
	for _, kind := range list {
		k |= 1 << kind
	}
	return k
}

func (k kinds) has(kind policy.Kind) bool { return k&(1<<kind) != 0 }

// Sets of kinds that rules speak of.
var (
	every    = of(policy.Identity, policy.Boundary, policy.Session, policy.Trust, policy.Resource, policy.ServiceControl)
	trusting = of(policy.Trust)
	naming   = of(policy.Trust, policy.Resource)    // name principals
	granting = of(policy.Identity, policy.Resource) // give permissions; boundaries, session and service control policies only limit them
)

// allows makes a finder that looks at every Allow statement.
func allows(look func(*run, *policy.Statement)) func(*run) { return statements(false, look) }

// denies makes a finder that looks at every Deny statement.
func denies(look func(*run, *policy.Statement)) func(*run) { return statements(true, look) }

func statements(deny bool, look func(*run, *policy.Statement)) func(*run) {
	return func(r *run) {
		for i := range r.statements {
			if s := &r.statements[i]; s.Deny == deny {
				look(r, s)
			}
		}
	}
}

// conditions makes a finder that looks at every condition.
func conditions(look func(*run, *policy.Statement, *policy.Condition)) func(*run) {
	return func(r *run) {
		for i := range r.statements {
			s := &r.statements[i]
			for j := range s.Conditions {
				look(r, s, &s.Conditions[j])
			}
		}
	}
}

// values makes a finder that looks at every value of every condition.
func values(look func(*run, *policy.Condition, *policy.Value)) func(*run) {
	return conditions(func(r *run, _ *policy.Statement, c *policy.Condition) {
		for i := range c.Values {
			look(r, c, &c.Values[i])
		}
	})
}
