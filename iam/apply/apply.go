package apply

import (
	"context"
	"fmt"

	"github.com/stint-sts/stint/arn"
	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/iam"
)

// Run runs an IAM operation that changes something, as the root user of an account, with everything that a call by the API
// brings: validation, admission, audit. in is the operation's input.
type Run func(ctx context.Context, root *authn.Caller, operation string, in any) error

// Options say how documents are applied.
type Options struct {
	DryRun bool `json:"dry_run"` // plan only
	Prune  bool `json:"prune"`   // delete what a document made and does not name any more
}

// Result is how it went.
type Result struct {
	Changes []*Change `json:"changes"`           // in the order in which they are made
	Faults  Faults    `json:"faults,omitempty"`  // why nothing was changed
	Failure string    `json:"failure,omitempty"` // why it stopped after what is done
}

// Apply brings accounts to the state that documents say. Nothing is changed when the documents have a fault. A change that
// fails ends it; the result then tells what has been done, and to apply the documents again goes on from there. The error is
// one of reading the directory. Safe for concurrent use, though appliers of the same objects may make each other fail.
func Apply(ctx context.Context, service *iam.Service, run Run, documents []Document, options Options) (*Result, error) {
	p := &planner{
		service: service, accounts: make(map[string]*account),
		own: make(map[string]string), coming: make(map[string]bool), planned: make(map[string]bool),
	}
	result := &Result{Changes: []*Change{}}
	if err := p.load(ctx, documents, options.Prune); err != nil {
		return nil, err
	}
	// Again, now that documents of one account are known as such; and the sender need not have checked at all.
	p.faults = append(p.faults, Check(documents)...)
	if len(p.faults) == 0 {
		if err := p.plan(ctx, documents, options.Prune); err != nil {
			return nil, err
		}
	}
	if result.Faults = p.faults; len(p.faults) > 0 {
		return result, nil
	}
	result.Changes = append(result.Changes, p.changes...)
	if !options.DryRun {
		if err := execute(ctx, run, p.changes); err != nil {
			result.Failure = err.Error()
		}
	}
	return result, nil
}

// load resolves the accounts of the documents and reads them.
func (p *planner) load(ctx context.Context, documents []Document, prune bool) error {
	all, err := p.service.ListAccounts(ctx)
	if err != nil {
		return err
	}
	for i := range documents {
		d := &documents[i]
		id, err := resolve(all, d.Account)
		if err != nil {
			p.faults.add(d.Place, "%v", err)
			continue
		}
		if prune && d.Name == "" {
			p.faults.add(d.Place, "--prune needs the document's name, which is on what it made")
		}
		if d.Account = id; p.accounts[id] != nil {
			continue
		}
		if p.accounts[id], err = load(ctx, p.service, rootOf(id)); err != nil {
			return err
		}
	}
	return nil
}

// rootOf is the root user of an account, for reading.
func rootOf(account string) *authn.Caller {
	return &authn.Caller{
		Kind: authn.Root, Account: account, ARN: arn.Root(account), UserID: account, Request: &authn.Request{Service: "iam"},
		Entity: &authn.Entity{Type: authn.AccountEntity, Account: account, ID: account, ARN: arn.Root(account)},
	}
}

// execute makes changes in their order, deletions after everything else.
func execute(ctx context.Context, run Run, changes []*Change) error {
	for _, c := range changes {
		if c.Action != Delete {
			if err := c.execute(ctx, run, c.steps); err != nil {
				return err
			}
			c.Done = len(c.late) == 0
		}
	}
	for _, c := range changes {
		if len(c.late) > 0 {
			if err := c.execute(ctx, run, c.late); err != nil {
				return err
			}
			c.Done = true
		}
	}
	for _, c := range changes {
		if c.Action == Delete {
			if err := c.execute(ctx, run, c.steps); err != nil {
				return err
			}
			c.Done = true
		}
	}
	return nil
}

func (c *Change) execute(ctx context.Context, run Run, steps []step) error {
	for _, s := range steps {
		err := ctx.Err()
		if err == nil {
			err = run(ctx, rootOf(c.Account), s.operation, s.in)
		}
		if err != nil {
			return fmt.Errorf("%s %s in account %s: %s: %s", c.Kind, c.Name, c.Account, s.operation, message(err))
		}
	}
	return nil
}
