package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"

	"github.com/stint-sts/stint/iam"
	"github.com/stint-sts/stint/policy"
	"github.com/stint-sts/stint/policy/lint"
)

// The policy commands read files only: they need neither a running stint nor its configuration.

// policyKinds are the kinds as --kind and the policyType of a validity line name them, with the quota of each in characters.
// Sources: AWS IAM User Guide, "IAM and AWS STS quotas"; AWS Organizations User Guide, "Quotas".
var policyKinds = []struct {
	name  string
	kind  policy.Kind
	quota int // 0: whoever keeps the policy decides
}{
	{"identity", policy.Identity, iam.DefaultQuotas().PolicySize},
	{"boundary", policy.Boundary, iam.DefaultQuotas().PolicySize},
	{"session", policy.Session, 2048},
	{"trust", policy.Trust, iam.DefaultQuotas().TrustPolicySize},
	{"resource", policy.Resource, 0},
	{"scp", policy.ServiceControl, 5120},
}

func policyKind(name string) (policy.Kind, error) {
	var names []string
	for _, k := range policyKinds {
		if k.name == name {
			return k.kind, nil
		}
		names = append(names, k.name)
	}
	return 0, fmt.Errorf("kind %q: it is one of %s", name, strings.Join(names, ", "))
}

// checkPolicy parses text and compares its size with the quota of its kind.
func checkPolicy(kind policy.Kind, text string) error {
	d, err := policy.Parse(kind, text)
	if err != nil {
		return err
	}
	for _, k := range policyKinds {
		if k.kind == kind && k.quota > 0 && d.Size() > k.quota {
			return fmt.Errorf("%d characters without white space, at most %d are allowed", d.Size(), k.quota)
		}
	}
	return nil
}

// policyFlags are the flags of a policy command.
type policyFlags struct {
	*flags
	kind  *string
	print func(any, func(io.Writer)) error
}

func newPolicyFlags(p program, name string) *policyFlags {
	f := &policyFlags{flags: &flags{FlagSet: flag.NewFlagSet("stint policy "+name, flag.ContinueOnError), p: p}}
	f.SetOutput(p.stderr)
	f.print = f.output()
	return f
}

// kindFlag adds --kind.
func (f *policyFlags) kindFlag() {
	f.kind = f.String("kind", "", "identity, boundary, session, trust, resource or scp (default: as the document's elements say)")
}

// files parses args, which must name at least one file.
func (f *policyFlags) files(args []string) ([]string, error) {
	if err := f.Parse(args); err != nil {
		return nil, errUsage // the flag package has printed why
	}
	if f.NArg() == 0 {
		_, _ = fmt.Fprintf(f.p.stderr, "%s: name at least one file; - is standard input\n", f.Name())
		return nil, errUsage
	}
	if f.kind != nil && *f.kind != "" {
		if _, err := policyKind(*f.kind); err != nil {
			_, _ = fmt.Fprintf(f.p.stderr, "%s: %v\n", f.Name(), err)
			return nil, errUsage
		}
	}
	return f.Args(), nil
}

// kindOf is what --kind says, else a guess.
func (f *policyFlags) kindOf(text string) policy.Kind {
	if kind, err := policyKind(*f.kind); err == nil {
		return kind
	}
	return policy.GuessKind(text)
}

// maxPolicyFile bounds what is read of a file.
const maxPolicyFile = 64 << 20

// read returns the content of a file, or of standard input for "-".
func (p program) read(path string) (string, error) {
	if path == "-" {
		return readPolicy(p.stdin, "standard input")
	}
	return readPolicyFile(path)
}

func readPolicyFile(path string) (text string, err error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = file.Close() }()
	return readPolicy(file, path)
}

func readPolicy(r io.Reader, name string) (string, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxPolicyFile+1))
	if err == nil && len(data) > maxPolicyFile {
		err = fmt.Errorf("%s: larger than %d MiB", name, maxPolicyFile>>20)
	}
	return string(data), err
}

// unreadable tells of input that cannot be used; the exit code is then that of a wrong call, whatever else was found.
func (p program) unreadable(err error) error {
	_, _ = fmt.Fprintf(p.stderr, "stint: %v\n", err)
	return errUsage
}

// policyLint is "stint policy lint".
func policyLint(_ context.Context, p program, args []string) error {
	f := newPolicyFlags(p, "lint")
	f.kindFlag()
	failOn := f.String("fail-on", "warning", "exit with 1 from this severity on: note, warning or error")
	files, err := f.files(args)
	if err != nil {
		return err
	}
	limit, err := lint.ParseSeverity(*failOn)
	if err != nil {
		return p.unreadable(fmt.Errorf("--fail-on: %w", err))
	}
	type located struct {
		File string `json:"file"`
		lint.Finding
	}
	found, failing := []located{}, 0
	for _, file := range files {
		text, err := p.read(file)
		if err != nil {
			return p.unreadable(err)
		}
		for _, finding := range lint.Check(f.kindOf(text), text) {
			found = append(found, located{file, finding})
			if finding.Severity >= limit {
				failing++
			}
		}
	}
	if err := f.print(found, func(w io.Writer) {
		for _, l := range found {
			_, _ = fmt.Fprintf(w, "%s:%d:%d: %v: %s [%s]\n    at %s\n    instead: %s\n",
				l.File, l.Line, l.Column, l.Severity, visible(l.Sentence), l.ID, cmp.Or(visible(l.Path), "the document"), l.SafeForm)
		}
	}); err != nil {
		return err
	}
	if failing > 0 {
		return fmt.Errorf("%d finding(s) of severity %v or worse", failing, limit)
	}
	return nil
}

// validity is what "stint policy validate" says of one document.
type validity struct {
	File    string `json:"file"`
	Line    int    `json:"line,omitempty"` // of a validity line
	ID      string `json:"id,omitempty"`
	Kind    string `json:"kind"`
	Valid   bool   `json:"valid"`
	Reason  string `json:"reason,omitempty"`  // why it is refused, with the place in the document
	Message string `json:"message,omitempty"` // what a caller of the IAM API would read
	Expect  string `json:"expect,omitempty"`
}

// ok tells whether the document is what it should be: as a validity line expects, else valid.
func (v *validity) ok() bool { return v.Valid == (v.Expect != "invalid") }

func (v *validity) String() string {
	place := v.File
	if v.Line > 0 {
		place = fmt.Sprintf("%s:%d: %s", v.File, v.Line, visible(v.ID))
	}
	word := "invalid: " + visible(v.Reason)
	if v.Valid {
		word = "valid"
	}
	if !v.ok() && v.Expect != "" {
		word += " (expected " + v.Expect + ")"
	}
	return fmt.Sprintf("%s: %s policy: %s", place, v.Kind, word)
}

func validate(kind policy.Kind, text string) validity {
	v := validity{Kind: kind.String(), Valid: true}
	if err := checkPolicy(kind, text); err != nil {
		v.Valid, v.Reason = false, err.Error()
		var refusal *policy.Error
		if errors.As(err, &refusal) {
			v.Message = refusal.Message
		}
	}
	return v
}

// policyValidate is "stint policy validate".
func policyValidate(_ context.Context, p program, args []string) error {
	f := newPolicyFlags(p, "validate")
	f.kindFlag()
	files, err := f.files(args)
	if err != nil {
		return err
	}
	results := []validity{}
	for _, file := range files {
		text, err := p.read(file)
		if err != nil {
			return p.unreadable(err)
		}
		lines, err := validityLines(file, text)
		if err != nil {
			return p.unreadable(err)
		}
		if lines == nil {
			v := validate(f.kindOf(text), text)
			v.File = file
			lines = []validity{v}
		}
		results = append(results, lines...)
	}
	failed := 0
	for i := range results {
		if !results[i].ok() {
			failed++
		}
	}
	if err := f.print(results, func(w io.Writer) { writeValidities(w, results) }); err != nil {
		return err
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d document(s) not as they should be", failed, len(results))
	}
	return nil
}

// writeValidities tells of every document by itself, but of validity lines only those that are not as expected, and sums up.
func writeValidities(w io.Writer, results []validity) {
	passed, failed := 0, 0
	for i := range results {
		v := &results[i]
		if v.Expect == "" || !v.ok() {
			_, _ = fmt.Fprintln(w, v)
		}
		switch {
		case v.Expect == "":
		case v.ok():
			passed++
		default:
			failed++
		}
	}
	if passed+failed > 0 {
		_, _ = fmt.Fprintf(w, "%d passed, %d failed\n", passed, failed)
	}
}

// visible replaces control characters, which a policy may hold and a terminal would obey.
func visible(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}

// validityLines reads the format of policy-validity.jsonl: a document, its kind, and what is expected, on each line. It returns
// nil when text is of another format, and so a policy by itself.
func validityLines(file, text string) ([]validity, error) {
	var results []validity
	number := 0
	for line := range strings.Lines(text) {
		number++
		if strings.TrimSpace(line) == "" {
			continue
		}
		var v struct {
			ID, PolicyType, Expect string
			Document               *string
		}
		err := json.Unmarshal([]byte(line), &v)
		switch {
		case results == nil && (err != nil || v.Document == nil):
			return nil, nil
		case err != nil:
			return nil, fmt.Errorf("%s:%d: %w", file, number, err)
		case v.Document == nil:
			return nil, fmt.Errorf("%s:%d: there is no document", file, number)
		case v.Expect != "valid" && v.Expect != "invalid":
			return nil, fmt.Errorf("%s:%d: expect %q: it is valid or invalid", file, number, v.Expect)
		}
		kind, err := policyKind(v.PolicyType)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: policyType: %w", file, number, err)
		}
		result := validate(kind, *v.Document)
		result.File, result.Line, result.ID, result.Expect = file, number, v.ID, v.Expect
		results = append(results, result)
	}
	return results, nil
}
