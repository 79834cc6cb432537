package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/stint-sts/stint/iam/apply"
	"github.com/stint-sts/stint/policy/lint"
	"github.com/stint-sts/stint/server"
)

// applied is what "stint apply --output json" prints.
type applied struct {
	DryRun   bool            `json:"dry_run"`
	Findings []apply.Finding `json:"findings"` // of the linter
	apply.Result
}

// applyFiles is "stint apply".
func applyFiles(ctx context.Context, p program, args []string) error {
	f := newFlags(p, "apply")
	var options apply.Options
	f.BoolVar(&options.DryRun, "dry-run", false, "tell what would be done, and change nothing")
	f.BoolVar(&options.Prune, "prune", false, "delete what a document of that name made and does not name any more")
	failOn := f.String("fail-on", "never", "change nothing when the linter finds something of this severity or worse: note, warning, error or never")
	print := f.output()
	files, cfg, err := f.filesAndConfig(args)
	if err != nil {
		return err
	}
	limit, err := severityLimit(*failOn)
	if err != nil {
		return p.unreadable(err)
	}
	out := applied{DryRun: options.DryRun, Findings: []apply.Finding{}, Result: apply.Result{Changes: []*apply.Change{}}}
	documents, err := p.readDocuments(files, &out.Faults)
	if err != nil {
		return p.unreadable(err)
	}
	var refused error
	if len(out.Faults) == 0 {
		out.Findings = apply.Lint(documents)
		p.writeFindings(out.Findings)
		refused = failing(out.Findings, limit)
	}
	if refused == nil && len(out.Faults) == 0 {
		if err := withAdmin(ctx, cfg, func(a *server.Admin) (err error) {
			out.Result, err = a.Apply(ctx, documents, options)
			return err
		}); err != nil {
			return err
		}
	}
	if err := print(out, func(w io.Writer) { writeChanges(w, &out) }); err != nil {
		return err
	}
	if refused != nil {
		return refused
	}
	return p.applyOutcome(&out)
}

// filesAndConfig parses args, where flags may stand on both sides of the files, and reads the configuration.
func (f *flags) filesAndConfig(args []string) (files []string, cfg *server.Config, err error) {
	for len(args) > 0 {
		if err := f.Parse(args); err != nil {
			return nil, nil, errUsage // the flag package has printed why
		}
		if args = f.Args(); len(args) > 0 {
			files, args = append(files, args[0]), args[1:]
		}
	}
	if len(files) == 0 {
		_, _ = fmt.Fprintf(f.p.stderr, "%s: name at least one file; - is standard input\n", f.Name())
		return nil, nil, errUsage
	}
	cfg, err = f.load(nil, 0)
	return files, cfg, err
}

// severityLimit reads --fail-on; 0 stands for never.
func severityLimit(name string) (lint.Severity, error) {
	if name == "never" {
		return 0, nil
	}
	limit, err := lint.ParseSeverity(name)
	if err != nil {
		return 0, fmt.Errorf("--fail-on %s: it is note, warning, error or never", name)
	}
	return limit, nil
}

// failing tells how many findings reach the limit.
func failing(findings []apply.Finding, limit lint.Severity) error {
	n := 0
	for _, f := range findings {
		if limit > 0 && f.Severity >= limit {
			n++
		}
	}
	if n > 0 {
		return fmt.Errorf("%d finding(s) of severity %v or worse; nothing was changed", n, limit)
	}
	return nil
}

// readDocuments reads all files and gathers the faults of all. An error is a file that cannot be read.
func (p program) readDocuments(files []string, faults *apply.Faults) ([]apply.Document, error) {
	var documents []apply.Document
	for _, file := range files {
		name, dir := file, filepath.Dir(file)
		if file == "-" {
			name, dir = "standard input", "."
		}
		text, err := p.read(file)
		if err != nil {
			return nil, err
		}
		read, wrong := apply.Read(name, text, includes(dir))
		documents, *faults = append(documents, read...), append(*faults, wrong...)
	}
	*faults = append(*faults, apply.Check(documents)...)
	return documents, nil
}

// maxInclude bounds a policy in a file of its own, in bytes. The API takes less.
const maxInclude = 256 << 10

// includes opens policies below a directory: a file under review must not make messages quote files of the reviewer's machine.
func includes(dir string) apply.Open {
	return func(name string) (path, text string, err error) {
		path = filepath.Join(dir, name)
		root, err := os.OpenRoot(dir)
		if err != nil {
			return path, "", err
		}
		defer func() { err = errors.Join(err, root.Close()) }()
		file, err := root.Open(name)
		if err != nil {
			return path, "", err
		}
		defer func() { err = errors.Join(err, file.Close()) }()
		data, err := io.ReadAll(io.LimitReader(file, maxInclude+1))
		if err == nil && len(data) > maxInclude {
			err = fmt.Errorf("larger than %d KiB", maxInclude>>10)
		}
		return path, string(data), err
	}
}

func (p program) writeFindings(findings []apply.Finding) {
	for _, f := range findings {
		_, _ = fmt.Fprintf(p.stderr, "%s: %v: %s: %s [%s]\n    instead: %s\n",
			f.Place, f.Severity, visible(f.Object), visible(f.Sentence), f.ID, f.SafeForm)
	}
}

var actionSigns = map[apply.Action]string{apply.Create: "+", apply.Update: "~", apply.Delete: "-"}

// writeChanges writes a line for each change that has been made, or would be.
func writeChanges(w io.Writer, out *applied) {
	accounts := make(map[string]bool)
	for _, c := range out.Changes {
		accounts[c.Account] = true
	}
	for _, c := range out.Changes {
		if !c.Done && !out.DryRun {
			continue
		}
		line := actionSigns[c.Action] + " " + c.Kind + " " + c.Name
		if len(accounts) > 1 {
			line += " in " + c.Account
		}
		if len(c.Details) > 0 {
			line += ": " + strings.Join(c.Details, "; ")
		}
		_, _ = fmt.Fprintln(w, visible(line))
	}
}

// applyOutcome sums up on standard error, and returns an error unless everything is as the files say.
func (p program) applyOutcome(out *applied) error {
	count := make(map[apply.Action]int)
	done := 0
	for _, c := range out.Changes {
		count[c.Action]++
		if c.Done {
			done++
		}
	}
	switch {
	case len(out.Faults) > 0:
		for _, fault := range out.Faults {
			_, _ = fmt.Fprintf(p.stderr, "%s: %s\n", fault.Place, visible(fault.Text))
		}
		return fmt.Errorf("%d fault(s); nothing was changed", len(out.Faults))
	case out.Failure != "":
		return fmt.Errorf("%s\n%d of %d changes are done; apply again to go on from there", out.Failure, done, len(out.Changes))
	case len(out.Changes) == 0:
		_, _ = fmt.Fprintln(p.stderr, "Nothing to do.")
	case out.DryRun:
		_, _ = fmt.Fprintf(p.stderr, "To create %d, to update %d, to delete %d.\n", count[apply.Create], count[apply.Update], count[apply.Delete])
	default:
		_, _ = fmt.Fprintf(p.stderr, "Created %d, updated %d, deleted %d.\n", count[apply.Create], count[apply.Update], count[apply.Delete])
	}
	return nil
}
