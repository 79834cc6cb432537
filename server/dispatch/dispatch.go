package dispatch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"

	"github.com/stint-sts/stint/audit"
	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/shape"
	"github.com/stint-sts/stint/sigv4"
)

// Authenticator tells who signed a request.
type Authenticator interface {
	// Authenticate returns the caller, or an *awserr.Error that the caller may see.
	Authenticate(ctx context.Context, r *sigv4.Request, req *authn.Request) (*authn.Caller, error)
}

// Recorder writes audit events.
type Recorder interface {
	// Record writes e, also when the client has left. In required mode it returns only after the event is written, or an error.
	Record(ctx context.Context, e *audit.Event) error
}

// Config is what a Dispatcher needs. Fields are required unless they say a default.
type Config struct {
	Authenticator Authenticator
	Recorder      Recorder
	Log           *slog.Logger

	// History remembers the calls. Default: none are remembered.
	History *History
	// EncodeDenial makes the encoded authorization message that a denied IAM call carries; it returns "" when there is none.
	// Default: AWS's own IAM sends none, and neither does stint.
	EncodeDenial func(*authn.Caller, *authn.Decision) (string, error)
	// Used is told of each authenticated caller, for "last used" dates. It must not block.
	Used func(*authn.Caller)
	// Directory tells which version of it a write made, and waits for one. Default: there are no versions.
	Directory Versions
	// Awake returns when the node knows what happened before the call: not at once when its process stood still. Its error, that of the
	// context, refuses the call. Default: at once.
	Awake func(context.Context) error
	// MaxPerAccount bounds the calls of one account that run at the same time; more get Throttling. Default 256.
	MaxPerAccount int
}

// VersionHeader names the version of the directory: in the answer to a write of IAM, the one that holds it; in a request, the
// one that the node must have reached before it looks at the call. On gRPC it is metadata.
const VersionHeader = "X-Stint-Version"

// Versions are what a directory has that several nodes share.
type Versions interface {
	// Version names a version that holds every write that this node has answered; empty: there are none.
	Version() string
	// CatchUp returns once this node has reached the version, or an error with a Kind.
	CatchUp(ctx context.Context, version string) error
}

// Dispatcher runs calls. It is safe for concurrent use.
type Dispatcher struct {
	authenticator Authenticator
	recorder      Recorder
	log           *slog.Logger
	used          func(*authn.Caller)
	history       *History
	encodeDenial  func(*authn.Caller, *authn.Decision) (string, error)
	directory     Versions
	awake         func(context.Context) error // nil: always
	admission     admission
}

// New makes a Dispatcher.
func New(cfg Config) *Dispatcher {
	if cfg.MaxPerAccount == 0 {
		cfg.MaxPerAccount = 256
	}
	return &Dispatcher{
		authenticator: cfg.Authenticator,
		recorder:      cfg.Recorder,
		log:           cfg.Log,
		used:          cfg.Used,
		history:       cfg.History,
		encodeDenial:  cfg.EncodeDenial,
		directory:     cfg.Directory,
		awake:         cfg.Awake,
		admission:     admission{limit: cfg.MaxPerAccount, running: make(map[string]int)},
	}
}

// Call is one call as a transport received it.
type Call struct {
	Operation *Operation
	Signature *sigv4.Request // what the signature is checked over
	Request   authn.Request  // completed by Do: region and access key id
	Version   string         // of the directory, that the call is to see at least; empty: any

	// Decode reads the input. It runs after authentication, so that who cannot prove itself learns nothing of the form.
	Decode func(s *shape.Shape, into any) error
}

// Outcome is how a call went.
type Outcome struct {
	Output  any           // nil when the operation has no result or failed
	Caller  *authn.Caller // nil when nobody was authenticated
	Err     *awserr.Error // what the caller may see; its cause is for the log
	Version string        // of the directory, that holds what the call wrote; empty: it wrote nothing, or there are no versions
}

// Do runs the call. The order is fixed: who calls, whether there is room, what is asked, the operation, the audit. The
// answer leaves only after the audit event is written.
func (d *Dispatcher) Do(ctx context.Context, call *Call) Outcome {
	var in any
	out := d.run(ctx, call, &in)
	if err := d.record(ctx, call, in, &out); err != nil {
		// What cannot be accounted for is not handed out.
		cause := fmt.Errorf("audit: %w", errors.Join(err, nilSafe(out.Err)))
		out.Output = nil
		out.Err = awserr.Wrap(awserr.ServiceUnavailable, "The request has failed due to a temporary failure of the server.", cause)
	}
	if d.history != nil {
		d.history.add(call, &out)
	}
	d.addMessage(call, &out)
	return out
}

// record writes the audit event. An event that cannot be made counts as one that cannot be written.
func (d *Dispatcher) record(ctx context.Context, call *Call, in any, out *Outcome) (err error) {
	defer func() {
		if p := recover(); p != nil {
			d.log.ErrorContext(ctx, "panic", "operation", call.Operation.Name, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			err = fmt.Errorf("panic in the event of %s", call.Operation.Name)
		}
	}()
	// The client may have left; the recorder has a bound of its own.
	return d.recorder.Record(context.WithoutCancel(ctx), event(call, in, out))
}

// addMessage adds the encoded authorization message to a denial. It comes last: neither audit nor history keeps it, they have
// what it says.
func (d *Dispatcher) addMessage(call *Call, out *Outcome) {
	decisions := call.Request.Decisions
	if d.encodeDenial == nil || call.Operation.Service != "iam" || len(decisions) == 0 || !denied(out) {
		return
	}
	text, err := d.encodeDenial(out.Caller, &decisions[len(decisions)-1])
	if err != nil || text == "" {
		return // the denial stands without it
	}
	out.Err = awserr.Wrap(out.Err.Kind, strings.TrimSuffix(out.Err.Message, ".")+". Encoded authorization failure message: "+text, out.Err)
}

func (d *Dispatcher) run(ctx context.Context, call *Call, in *any) (out Outcome) {
	defer func() {
		if p := recover(); p != nil {
			d.log.ErrorContext(ctx, "panic", "operation", call.Operation.Name, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			out.Output, out.Err = nil, awserr.From(fmt.Errorf("panic in %s", call.Operation.Name))
		}
	}()
	if d.awake != nil {
		if err := d.awake(ctx); err != nil {
			return Outcome{Err: awserr.From(awserr.Wrap(awserr.ServiceUnavailable, "The request has failed due to a temporary failure of the server.", err))}
		}
	}
	if call.Version != "" && d.directory != nil { // first: the caller may be what the version brings
		if err := d.directory.CatchUp(ctx, call.Version); err != nil {
			return Outcome{Err: awserr.From(err)}
		}
	}
	caller, err := d.authenticate(ctx, call)
	if err != nil {
		return Outcome{Err: awserr.From(err)}
	}
	out.Caller = caller
	if !d.admission.enter(caller.Account) {
		out.Err = awserr.New(awserr.Throttling, "Rate exceeded")
		return out
	}
	defer d.admission.leave(caller.Account)

	*in = call.Operation.New()
	if err := call.Decode(call.Operation.Input, *in); err != nil {
		out.Err = awserr.From(err)
		return out
	}
	if err := call.Operation.Input.Validate(*in); err != nil {
		out.Err = awserr.From(err)
		return out
	}
	result, err := call.Operation.run(ctx, caller, *in)
	if err != nil {
		out.Err = awserr.From(err)
		return out
	}
	out.Output = result
	if o := call.Operation; d.directory != nil && o.Service == "iam" && !o.ReadOnly {
		out.Version = d.directory.Version()
	}
	return out
}

// authenticate returns the caller. An unsigned operation has an anonymous one: a signature that it may carry is ignored,
// because some gateways sign everything, and the operation proves its caller itself.
func (d *Dispatcher) authenticate(ctx context.Context, call *Call) (*authn.Caller, error) {
	if call.Operation.Unsigned {
		return &authn.Caller{Kind: authn.Anonymous, Request: &call.Request}, nil
	}
	caller, err := d.authenticator.Authenticate(ctx, call.Signature, &call.Request)
	if err != nil {
		return nil, err
	}
	d.used(caller)
	return caller, nil
}

// nilSafe keeps a nil *awserr.Error from becoming a non-nil error.
func nilSafe(e *awserr.Error) error {
	if e == nil {
		return nil
	}
	return e
}
