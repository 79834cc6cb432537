package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/stint-sts/stint/policy"
	"github.com/stint-sts/stint/policy/casefile"
)

// mismatch is a case that is decided otherwise than expected.
type mismatch struct {
	Place       string   `json:"place"` // FILE:LINE
	ID          string   `json:"id,omitempty"`
	Expect      string   `json:"expect"`
	Got         string   `json:"got"`
	Why         string   `json:"why,omitempty"` // as the case says
	Explanation []string `json:"explanation"`   // lines for people
}

// policyTest is "stint policy test".
func policyTest(_ context.Context, p program, args []string) error {
	f := newPolicyFlags(p, "test")
	files, err := f.files(args)
	if err != nil {
		return err
	}
	mismatches := []mismatch{}
	var unreadable error
	total, open := 0, 0
	for _, file := range files {
		cases, err := p.cases(file)
		unreadable = errors.Join(unreadable, err)
		for _, c := range cases {
			if c.Expect == "" {
				open++
				continue
			}
			total++
			if got := policy.Evaluate(c.Request, c.Policies).Effect.String(); got != c.Expect {
				mismatches = append(mismatches, newMismatch(&c, got))
			}
		}
	}
	summary := struct {
		Passed     int        `json:"passed"`
		Failed     int        `json:"failed"`
		Open       int        `json:"open"`
		Mismatches []mismatch `json:"mismatches"`
	}{total - len(mismatches), len(mismatches), open, mismatches}
	if err := f.print(summary, func(w io.Writer) {
		for i := range mismatches {
			mismatches[i].write(w)
		}
		_, _ = fmt.Fprintf(w, "%d passed, %d failed\n", summary.Passed, summary.Failed)
	}); err != nil {
		return err
	}
	if open > 0 {
		_, _ = fmt.Fprintf(p.stderr, "%d case(s) without an expected answer were read and not counted\n", open)
	}
	switch {
	case unreadable != nil:
		return p.unreadable(unreadable)
	case len(mismatches) > 0:
		return fmt.Errorf("%d of %d case(s) are decided otherwise than expected", len(mismatches), total)
	}
	return nil
}

// cases reads a file of cases; policies that they name by file are looked for beside it.
func (p program) cases(file string) ([]casefile.Case, error) {
	text, err := p.read(file)
	if err != nil {
		return nil, err
	}
	return casefile.Read(file, text, func(name string) (string, error) {
		return readPolicyFile(filepath.Join(filepath.Dir(file), name))
	})
}

func newMismatch(c *casefile.Case, got string) mismatch {
	var trace strings.Builder
	writeTrace(&trace, policy.Explain(c.Request, c.Policies))
	return mismatch{c.Place, c.ID, c.Expect, got, c.Why, strings.Split(strings.TrimSuffix(trace.String(), "\n"), "\n")}
}

func (r *mismatch) write(w io.Writer) {
	_, _ = fmt.Fprintf(w, "FAIL %s", r.Place)
	if r.ID != "" {
		_, _ = fmt.Fprintf(w, " %s", visible(r.ID))
	}
	_, _ = fmt.Fprintf(w, ": expected %s, got %s\n", r.Expect, r.Got)
	if r.Why != "" {
		_, _ = fmt.Fprintf(w, "  the case says: %s\n", visible(r.Why))
	}
	for _, line := range r.Explanation {
		_, _ = fmt.Fprintf(w, "  %s\n", line)
	}
}

// writeTrace prints what decided and every layer with its statements and checks, for people.
func writeTrace(w io.Writer, t *policy.Trace) {
	_, _ = fmt.Fprintf(w, "decided by: %s\n", reasonText(t.Decision))
	if t.Note != "" {
		_, _ = fmt.Fprintf(w, "note: %s\n", t.Note)
	}
	for i := range t.Layers {
		writeLayer(w, &t.Layers[i])
	}
}

// reasonText names the statement that decided, counted from 1, or the layer that was silent.
func reasonText(d policy.Decision) string {
	r := d.Reason
	switch {
	case r.Kind == 0 && d.Effect == policy.Allow:
		return "no policy is needed"
	case r.Kind == 0:
		return "nothing allows"
	}
	layer := r.Kind.String() + " policies"
	if r.Kind == policy.ServiceControl {
		layer += fmt.Sprintf(" of level %d", r.Level+1)
	}
	if r.Document < 0 {
		return layer + ", where no statement allows"
	}
	name := ""
	if r.Sid != "" {
		name = fmt.Sprintf(" %q", r.Sid)
	}
	return fmt.Sprintf("%s, document %d, statement %d%s", layer, r.Document+1, r.Statement+1, name)
}

func writeLayer(w io.Writer, l *policy.LayerTrace) {
	name := l.Kind.String() + " policies"
	if l.Kind == policy.ServiceControl {
		name += fmt.Sprintf(" of level %d", l.Level+1)
	}
	switch {
	case !l.Attached:
		_, _ = fmt.Fprintf(w, "%s: none attached\n", name)
		return
	case !l.Counts:
		_, _ = fmt.Fprintf(w, "%s: have no say over this caller\n", name)
		return
	}
	_, _ = fmt.Fprintf(w, "%s: %v\n", name, l.Effect)
	for i, d := range l.Documents {
		for j := range d.Statements {
			writeStatement(w, i, j, &d.Statements[j])
		}
	}
}

func writeStatement(w io.Writer, document, number int, s *policy.StatementTrace) {
	effect, applies := "Allow", "does not apply"
	if s.Effect == policy.ExplicitDeny {
		effect = "Deny"
	}
	if s.Applies {
		applies = "applies"
	}
	name := ""
	if s.Sid != "" {
		name = fmt.Sprintf(" %q", s.Sid)
	}
	_, _ = fmt.Fprintf(w, "  document %d, statement %d%s: %s %s\n", document+1, number+1, name, effect, applies)
	for i := range s.Checks {
		writeCheck(w, &s.Checks[i])
	}
}

func writeCheck(w io.Writer, c *policy.Check) {
	mark := "no "
	if c.Holds {
		mark = "yes"
	}
	name := c.Element
	if c.Key != "" {
		name += " " + visible(c.Key)
	}
	got := listText(c.Got)
	if c.Key != "" && !c.Present {
		got = "nothing"
	}
	_, _ = fmt.Fprintf(w, "    %s %s: expected %s", mark, name, listText(c.Expected))
	if c.Resolved != nil {
		_, _ = fmt.Fprintf(w, ", which is %s", listText(c.Resolved))
	}
	_, _ = fmt.Fprintf(w, ", got %s", got)
	if c.Note != "" {
		_, _ = fmt.Fprintf(w, " (%s)", c.Note)
	}
	_, _ = fmt.Fprintln(w)
}

// listText quotes texts, so that an empty one and a space show.
func listText(texts []string) string {
	quoted := make([]string, len(texts))
	for i, text := range texts {
		quoted[i] = fmt.Sprintf("%q", text)
	}
	if len(quoted) == 1 {
		return quoted[0]
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}
