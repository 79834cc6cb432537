package dispatch_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stint-sts/stint/audit"
	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/server/dispatch"
	"github.com/stint-sts/stint/shape"
	"github.com/stint-sts/stint/sigv4"
)

const (
	account     = "111122223333"
	unavailable = "The request has failed due to a temporary failure of the server."
	internal    = "The request processing has failed because of an unknown error, exception or failure."
)

var (
	at     = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	errBad = errors.New("disk of rack 7 is on fire")
)

// pipeline is a Dispatcher whose steps note that they ran, and fail when told to.
type pipeline struct {
	t      *testing.T
	mu     sync.Mutex
	steps  []string
	events []*audit.Event

	caller  *authn.Caller
	authErr error
	decode  error
	record  error
	log     bytes.Buffer
	*dispatch.Dispatcher
}

type nameInput struct {
	Name string `aws:"Name,required" len:"1,8"`
}

type nameOutput struct {
	Greeting string `aws:"Greeting"`
}

func newPipeline(t *testing.T, perAccount int) *pipeline {
	t.Helper()
	p := &pipeline{t: t, caller: &authn.Caller{Kind: authn.Root, Account: account, ARN: "arn:aws:iam::111122223333:root", UserID: account}}
	p.Dispatcher = dispatch.New(dispatch.Config{
		Authenticator: p, Recorder: p, Log: slog.New(slog.NewTextHandler(&p.log, nil)), MaxPerAccount: perAccount,
		Used: func(*authn.Caller) { p.step("used") },
	})
	return p
}

func (p *pipeline) step(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.steps = append(p.steps, name)
}

func (p *pipeline) Authenticate(_ context.Context, _ *sigv4.Request, req *authn.Request) (*authn.Caller, error) {
	p.step("authenticate")
	if p.authErr != nil {
		return nil, p.authErr
	}
	c := *p.caller
	c.Request = req
	return &c, nil
}

func (p *pipeline) Record(_ context.Context, e *audit.Event) error {
	p.step("audit")
	p.mu.Lock()
	defer p.mu.Unlock()
	p.events = append(p.events, e)
	return p.record
}

// call is a call whose input names somebody.
func (p *pipeline) call(o *dispatch.Operation, name string) *dispatch.Call {
	return &dispatch.Call{
		Operation: o, Signature: &sigv4.Request{},
		Request: authn.Request{ID: "id", Service: o.Service, Operation: o.Name, Time: at, SourceIP: "192.0.2.1"},
		Decode: func(_ *shape.Shape, into any) error {
			p.step("decode")
			if in, ok := into.(*nameInput); ok {
				in.Name = name
			}
			return p.decode
		},
	}
}

// greet is an operation that notes that it ran.
func (p *pipeline) greet(err error) *dispatch.Operation {
	return dispatch.NewOperation("sts", "Greet", func(_ context.Context, _ *authn.Caller, in *nameInput) (*nameOutput, error) {
		p.step("run")
		return &nameOutput{Greeting: "hello " + in.Name}, err
	})
}

func TestDo_Order(t *testing.T) {
	t.Parallel()
	denied := awserr.New(awserr.AccessDenied, "no")
	for _, row := range []struct {
		name     string
		prepare  func(*pipeline)
		unsigned bool
		input    string
		fail     error // of the operation
		steps    string
		kind     *awserr.Kind // nil: success
		text     string
	}{
		{name: "everything works", input: "eve", steps: "authenticate used decode run audit"},
		{name: "unsigned operation", unsigned: true, input: "eve", steps: "decode run audit"},
		{
			name: "unsigned operation under a bad signature", unsigned: true, input: "eve", prepare: func(p *pipeline) { p.authErr = denied },
			steps: "decode run audit",
		},
		{
			name: "nobody known calls", input: "eve", prepare: func(p *pipeline) { p.authErr = awserr.New(awserr.InvalidClientTokenID, "who") },
			steps: "authenticate audit", kind: awserr.InvalidClientTokenID, text: "who",
		},
		{
			name: "authentication is impossible", input: "eve", prepare: func(p *pipeline) { p.authErr = errBad },
			steps: "authenticate audit", kind: awserr.InternalFailure, text: internal,
		},
		{
			name: "malformed input", input: "eve", prepare: func(p *pipeline) { p.decode = awserr.New(awserr.MalformedInput, "what") },
			steps: "authenticate used decode audit", kind: awserr.MalformedInput, text: "what",
		},
		{
			name: "input against its constraints", input: "", steps: "authenticate used decode audit", kind: awserr.ValidationError,
			text: "1 validation error detected: Value null at 'name' failed to satisfy constraint: Member must not be null",
		},
		{name: "operation refuses", input: "eve", fail: denied, steps: "authenticate used decode run audit", kind: awserr.AccessDenied, text: "no"},
		{name: "operation fails without a kind", input: "eve", fail: errBad, steps: "authenticate used decode run audit", kind: awserr.InternalFailure, text: internal},
		{
			name: "audit fails after success", input: "eve", prepare: func(p *pipeline) { p.record = errBad },
			steps: "authenticate used decode run audit", kind: awserr.ServiceUnavailable, text: unavailable,
		},
		{
			name: "audit fails after a refusal", input: "eve", fail: denied, prepare: func(p *pipeline) { p.record = errBad },
			steps: "authenticate used decode run audit", kind: awserr.ServiceUnavailable, text: unavailable,
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			p := newPipeline(t, 0)
			if row.prepare != nil {
				row.prepare(p)
			}
			o := p.greet(row.fail)
			o.Unsigned = row.unsigned
			out := p.Do(t.Context(), p.call(o, row.input))
			if got := strings.Join(p.steps, " "); got != row.steps {
				t.Errorf("steps: %s\nwant:  %s", got, row.steps)
			}
			if p.Accounts() != 0 {
				t.Error("the call still counts as running")
			}
			if row.kind == nil {
				if out.Err != nil || out.Output.(*nameOutput).Greeting != "hello eve" {
					t.Errorf("got %+v, %v", out.Output, out.Err)
				}
				if row.unsigned && (out.Caller.Kind != authn.Anonymous || out.Caller.ARN != "") {
					t.Errorf("an unsigned call has the caller %+v", out.Caller)
				}
				return
			}
			if out.Output != nil {
				t.Errorf("a failure hands out %+v", out.Output)
			}
			if out.Err == nil || out.Err.Kind != row.kind || out.Err.Message != row.text {
				t.Errorf("got %v\nwant %s: %s", out.Err, row.kind.Code, row.text)
			}
			if strings.Contains(out.Err.Message, "rack 7") {
				t.Errorf("the caller sees the cause: %s", out.Err.Message)
			}
		})
	}
}

// What the caller is told and what the audit holds are the same failure; its cause is for the operator only.
func TestDo_FailureIsAuditedWithItsCause(t *testing.T) {
	t.Parallel()
	p := newPipeline(t, 0)
	p.Do(t.Context(), p.call(p.greet(errBad), "eve"))
	e := p.events[0]
	if e.ErrorCode != "InternalFailure" || e.ErrorMessage != internal {
		t.Errorf("audited as %s: %s", e.ErrorCode, e.ErrorMessage)
	}
	if diff := cmp.Diff([]audit.Attr{audit.String("cause", errBad.Error())}, e.Additional, cmp.AllowUnexported(audit.Attr{})); diff != "" {
		t.Error(diff)
	}
}

func TestDo_Panic(t *testing.T) {
	t.Parallel()
	for _, step := range []string{"decode", "run"} {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			p := newPipeline(t, 1)
			const canary = "secret-of-the-panic"
			o := dispatch.NewOperation("sts", "Greet", func(context.Context, *authn.Caller, *nameInput) (*nameOutput, error) { panic(canary) })
			call := p.call(o, "eve")
			if step == "decode" {
				call.Decode = func(*shape.Shape, any) error { panic(canary) }
			}
			for range 2 { // the place of the first must be free again: the bound is one
				out := p.Do(t.Context(), call)
				if out.Output != nil || out.Err == nil || out.Err.Kind != awserr.InternalFailure || out.Err.Message != internal {
					t.Fatalf("got %+v, %v", out.Output, out.Err)
				}
				if out.Caller == nil {
					t.Error("the log will not tell who called")
				}
			}
			if len(p.events) != 2 || p.events[0].ErrorCode != "InternalFailure" || p.events[0].Identity.Type != "Root" {
				t.Errorf("audited: %+v", p.events)
			}
			if !strings.Contains(p.log.String(), "panic") || !strings.Contains(p.log.String(), "dispatch_test.go") {
				t.Errorf("the log does not show where: %s", p.log.String())
			}
		})
	}
}

// Beyond the bound an account is throttled, others are not, and what has ended makes room.
func TestDo_Throttling(t *testing.T) {
	t.Parallel()
	const bound = 3
	p := newPipeline(t, bound)
	started, release := make(chan struct{}), make(chan struct{})
	slow := dispatch.NewOperation("sts", "Wait", func(context.Context, *authn.Caller, *nameInput) (*nameOutput, error) {
		started <- struct{}{}
		<-release
		return &nameOutput{}, nil
	})
	var running sync.WaitGroup
	for range bound {
		running.Go(func() {
			if out := p.Do(t.Context(), p.call(slow, "eve")); out.Err != nil {
				t.Error(out.Err)
			}
		})
		<-started
	}
	out := p.Do(t.Context(), p.call(p.greet(nil), "eve"))
	if out.Err == nil || out.Err.Kind != awserr.Throttling || out.Err.Message != "Rate exceeded" || out.Output != nil {
		t.Errorf("one too many: %+v, %v", out.Output, out.Err)
	}
	p.mu.Lock()
	if e := p.events[len(p.events)-1]; e.ErrorCode != "Throttling" || e.RequestParameters != nil {
		t.Errorf("audited: %+v", e)
	}
	if slices.Contains(p.steps, "run") {
		t.Error("the throttled call ran")
	}
	p.caller = &authn.Caller{Kind: authn.Root, Account: "444455556666"}
	p.mu.Unlock()
	if out := p.Do(t.Context(), p.call(p.greet(nil), "eve")); out.Err != nil {
		t.Errorf("another account: %v", out.Err)
	}
	close(release)
	running.Wait()
	p.caller = &authn.Caller{Kind: authn.Root, Account: account}
	if out := p.Do(t.Context(), p.call(p.greet(nil), "eve")); out.Err != nil {
		t.Errorf("after the others ended: %v", out.Err)
	}
	if p.Accounts() != 0 {
		t.Error("an account without calls is remembered")
	}
}

// The audit is written although the client has left: its context has ended.
func TestDo_AuditOutlivesTheClient(t *testing.T) {
	t.Parallel()
	p := newPipeline(t, 0)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	recorder := recorderFunc(func(ctx context.Context, _ *audit.Event) error {
		return ctx.Err()
	})
	d := dispatch.New(dispatch.Config{Authenticator: p, Recorder: recorder, Log: slog.New(slog.DiscardHandler), Used: func(*authn.Caller) {}})
	if out := d.Do(ctx, p.call(p.greet(nil), "eve")); out.Err != nil {
		t.Error(out.Err)
	}
}

type recorderFunc func(context.Context, *audit.Event) error

func (f recorderFunc) Record(ctx context.Context, e *audit.Event) error { return f(ctx, e) }

// A nil result of an operation must not become a value that is not nil.
func TestDo_ChangeHasNoOutput(t *testing.T) {
	t.Parallel()
	p := newPipeline(t, 0)
	o := dispatch.NewChange("iam", "Rename", func(context.Context, *authn.Caller, *nameInput) error { return nil })
	if out := p.Do(t.Context(), p.call(o, "eve")); out.Output != nil || out.Err != nil {
		t.Errorf("got %+v, %v", out.Output, out.Err)
	}
	failing := dispatch.NewOperation("iam", "Rename", func(context.Context, *authn.Caller, *nameInput) (*nameOutput, error) {
		return nil, awserr.New(awserr.NoSuchEntity, "none")
	})
	if out := p.Do(t.Context(), p.call(failing, "eve")); out.Output != nil || out.Err.Kind != awserr.NoSuchEntity {
		t.Errorf("got %+v, %v", out.Output, out.Err)
	}
}

// A panic while the call is accounted for hands nothing out.
func TestDo_PanicInTheAudit(t *testing.T) {
	t.Parallel()
	p := newPipeline(t, 0)
	if out := p.Do(t.Context(), p.call(p.greet(nil), "eve")); out.Err != nil {
		t.Fatalf("the honest twin: %v", out.Err)
	}
	recorder := recorderFunc(func(context.Context, *audit.Event) error { panic("no event") })
	d := dispatch.New(dispatch.Config{Authenticator: p, Recorder: recorder, Log: slog.New(slog.DiscardHandler), Used: func(*authn.Caller) {}})
	if out := d.Do(t.Context(), p.call(p.greet(nil), "eve")); out.Err == nil || out.Err.Kind != awserr.ServiceUnavailable || out.Output != nil {
		t.Errorf("got %+v, %v", out.Output, out.Err)
	}
}

// versions is a directory that has versions.
type versions struct {
	p   *pipeline
	err error
}

func (v versions) Version() string { return "7" }

func (v versions) CatchUp(_ context.Context, version string) error {
	v.p.step("catch up with " + version)
	return v.err
}

// A call that names a version of the directory waits for it before anything else; a write of IAM answers with one.
func TestDo_Versions(t *testing.T) {
	t.Parallel()
	rename := func(context.Context, *authn.Caller, *nameInput) (*nameOutput, error) { return &nameOutput{}, nil }
	write, read, other := dispatch.NewOperation("iam", "Rename", rename), dispatch.NewOperation("iam", "Rename", rename), dispatch.NewOperation("sts", "Rename", rename)
	read.ReadOnly = true
	for _, row := range []struct {
		name      string
		operation *dispatch.Operation
		asked     string
		err       error
		want      string // version of the answer
		steps     []string
	}{
		{"a write without a version", write, "", nil, "7", []string{"authenticate", "used", "decode", "audit"}},
		{"a write with a version", write, "6", nil, "7", []string{"catch up with 6", "authenticate", "used", "decode", "audit"}},
		{"a read", read, "6", nil, "", []string{"catch up with 6", "authenticate", "used", "decode", "audit"}},
		{"another service", other, "", nil, "", []string{"authenticate", "used", "decode", "audit"}},
		{"a version that is not reached", write, "9", awserr.New(awserr.ServiceUnavailable, unavailable), "", []string{"catch up with 9", "audit"}},
	} {
		p := newPipeline(t, 0)
		d := dispatch.New(dispatch.Config{
			Authenticator: p, Recorder: p, Log: slog.New(slog.DiscardHandler), Used: func(*authn.Caller) { p.step("used") },
			Directory: versions{p, row.err},
		})
		call := p.call(row.operation, "eve")
		call.Version = row.asked
		out := d.Do(t.Context(), call)
		if out.Version != row.want || (out.Err != nil) != (row.err != nil) {
			t.Errorf("%s: version %q, %v", row.name, out.Version, out.Err)
		}
		if diff := cmp.Diff(row.steps, p.steps); diff != "" {
			t.Errorf("%s (-want +got):\n%s", row.name, diff)
		}
	}
}
