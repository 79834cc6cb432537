package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/stint-sts/stint/audit"
	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/iam"
	"github.com/stint-sts/stint/iam/store"
	"github.com/stint-sts/stint/seal"
)

// Rewrapping puts a new master key in force while nodes run, and seals anew under it what a former one sealed. It goes through the
// directory in steps of one transaction each, and each step leaves the directory in order: after a crash it starts over, and passes
// over what is done. See signer/master.go for why no node seals under the former key once the first step is done.

// maxRewrapBatch bounds how many records a step goes through: it holds up other writers.
const maxRewrapBatch = 1000

// recordKey names a record, for the next step to go on after it.
type recordKey struct {
	Kind    iam.Kind `json:"kind"`
	Account string   `json:"account"`
	Parent  string   `json:"parent,omitempty"`
	Name    string   `json:"name"`
}

// adminRewrapStep asks for one step.
type adminRewrapStep struct {
	Verify bool      `json:"verify,omitempty"` // change nothing: count what the present master key alone does not open
	After  recordKey `json:"after"`            // zero: from the beginning
	Batch  int       `json:"batch"`
}

// Rewrapped tells what a rewrapping, or a step of it, came to.
type Rewrapped struct {
	MasterKey string     `json:"master_key"`         // ID of the one that this node is given
	InForce   string     `json:"in_force"`           // ID of the one that seals
	Former    string     `json:"former,omitempty"`   // ID of the one under which values may still be sealed
	Values    int        `json:"values"`             // sealed values that were looked at, without the key ring
	Resealed  int        `json:"resealed"`           // of them, how many were sealed anew
	Unopened  []string   `json:"unopened,omitempty"` // records with a value that does not open, and why; the first hundred
	Remaining int        `json:"remaining"`          // records with such values
	Next      *recordKey `json:"next,omitempty"`     // nil: this was the last step
}

// maxUnopened bounds Rewrapped.Unopened.
const maxUnopened = 100

func (r *Rewrapped) fails(record *iam.Record, err error) {
	if r.Remaining++; len(r.Unopened) < maxUnopened {
		r.Unopened = append(r.Unopened, strings.Join([]string{string(record.Kind), record.Account, record.Parent, record.Name}, " ")+": "+err.Error())
	}
}

func (r *Rewrapped) add(step *Rewrapped) {
	r.MasterKey, r.InForce, r.Former = step.MasterKey, step.InForce, step.Former
	r.Values += step.Values
	r.Resealed += step.Resealed
	r.Remaining += step.Remaining
	r.Unopened = append(r.Unopened, step.Unopened...)
	r.Unopened = r.Unopened[:min(len(r.Unopened), maxUnopened)]
}

func (s *Server) adminRewrap(w http.ResponseWriter, r *http.Request) {
	var in adminRewrapStep
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&in); err != nil {
		s.adminAnswer(w, nil, awserr.Newf(awserr.ValidationError, "the request is not JSON: %v", err))
		return
	}
	if in.Batch < 1 || in.Batch > maxRewrapBatch {
		s.adminAnswer(w, nil, awserr.Newf(awserr.ValidationError, "a batch has 1 to %d records", maxRewrapBatch))
		return
	}
	out, err := s.rewrapStep(r.Context(), &in)
	if in.After == (recordKey{}) && !in.Verify {
		err = s.recordKeys(r.Context(), "ReplaceMasterKey", err, audit.String("masterKey", s.master.ID()))
	}
	s.adminAnswer(w, out, err)
}

func (s *Server) rewrapStep(ctx context.Context, in *adminRewrapStep) (*Rewrapped, error) {
	begin := s.signer.Reseal
	if in.Verify {
		begin = s.signer.Reload
	}
	if err := begin(ctx); err != nil {
		return nil, err
	}
	out := &Rewrapped{MasterKey: s.master.ID()}
	out.InForce, out.Former = s.signer.MasterKeys()
	after := iam.Record{Kind: in.After.Kind, Account: in.After.Account, Parent: in.After.Parent, Name: in.After.Name}
	records, err := store.Scan(ctx, s.store, iam.SealedKinds(), after, in.Batch)
	if err != nil {
		return nil, err
	}
	var outdated []iam.Record
	for _, r := range records {
		values, err := iam.CheckSealed(r, s.master.Alone())
		switch {
		case err == nil:
			out.Values += values
		case in.Verify:
			out.fails(&r, err)
		default:
			outdated = append(outdated, r)
		}
	}
	if len(outdated) > 0 {
		if err := s.resealRecords(ctx, outdated, out); err != nil {
			return nil, err
		}
	}
	if len(records) == in.Batch {
		last := records[len(records)-1]
		out.Next = &recordKey{last.Kind, last.Account, last.Parent, last.Name}
	}
	return out, nil
}

// resealRecords seals anew what is in records, in one transaction. A value that does not open is left, and does not keep the rest.
func (s *Server) resealRecords(ctx context.Context, records []iam.Record, out *Rewrapped) error {
	before := *out
	return s.directory.Update(ctx, func(tx iam.Tx) error {
		*out = before // it may run again
		for _, r := range records {
			n, err := iam.Reseal(tx, r, s.master)
			if errors.Is(err, seal.ErrWrongKey) || errors.Is(err, seal.ErrDamaged) {
				out.fails(&r, err)
				continue
			}
			if err != nil {
				return fmt.Errorf("%s %s: %w", r.Kind, r.Name, err)
			}
			out.Values += n
			out.Resealed += n
		}
		return nil
	})
}

func (s *Server) adminConfirmRewrap(w http.ResponseWriter, r *http.Request) {
	err := s.recordKeys(r.Context(), "FinishMasterKeyReplacement", s.signer.Resealed(r.Context()), audit.String("masterKey", s.master.ID()))
	s.adminAnswer(w, struct{}{}, err)
}

// RewrapOptions say how Rewrap goes about it.
type RewrapOptions struct {
	Batch    int             // records in a transaction
	Pause    time.Duration   // between two transactions
	Check    bool            // change nothing: count what the present master key alone does not open
	Progress func(Rewrapped) // is told how far it has come, after each step
}

// Rewrap puts the present master key in force, seals anew under it everything that is sealed under the previous one, and verifies that
// nothing of that is left: Rewrapped.Remaining is 0 then, and the previous key can go. It can be stopped at any time and started
// again.
func (a *Admin) Rewrap(ctx context.Context, o RewrapOptions) (total Rewrapped, err error) {
	if !o.Check {
		if total, err = a.rewrapPass(ctx, o, false); err != nil || total.Remaining > 0 {
			return total, err
		}
	}
	verified, err := a.rewrapPass(ctx, o, true)
	if err != nil {
		return total, err
	}
	verified.Resealed = total.Resealed
	if verified.Remaining > 0 || o.Check {
		return verified, nil
	}
	verified.Former = ""
	return verified, a.call(ctx, http.MethodPost, "/keys/rewrap/confirm", nil, &struct{}{})
}

// rewrapPass goes through the directory once.
func (a *Admin) rewrapPass(ctx context.Context, o RewrapOptions, verify bool) (total Rewrapped, err error) {
	step := adminRewrapStep{Verify: verify, Batch: o.Batch}
	for {
		var out Rewrapped
		if err := a.call(ctx, http.MethodPost, "/keys/rewrap", step, &out); err != nil {
			return total, err
		}
		total.add(&out)
		o.Progress(total)
		if out.Next == nil {
			return total, nil
		}
		step.After = *out.Next
		select {
		case <-time.After(o.Pause):
		case <-ctx.Done():
			return total, ctx.Err()
		}
	}
}
