package dispatch

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"log/slog"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/stint-sts/stint/awserr"
)

// Transports, as logs and metrics name them.
const (
	HTTP = "http"
	GRPC = "grpc"
)

// FrontConfig is what a Front needs; all fields but Proxies are required.
type FrontConfig struct {
	Table       *Table
	Dispatcher  *Dispatcher
	Proxies     Proxies
	MaxInFlight int           // calls that run at the same time, by all transports together
	Timeout     time.Duration // of a call
	Log         *slog.Logger
	Now         func() time.Time

	// Count counts a call; of one that names no known operation, service and operation are empty.
	Count func(transport, service, operation, code string, elapsed time.Duration)
}

// Front is what every transport needs around a call: the table, a request id, a place among the calls in flight, and at the end
// one record in the log and in the metrics. All transports of a node share one. It is safe for concurrent use.
type Front struct {
	FrontConfig
	inFlight chan struct{}
}

// NewFront makes a Front.
func NewFront(cfg FrontConfig) *Front {
	return &Front{FrontConfig: cfg, inFlight: make(chan struct{}, cfg.MaxInFlight)}
}

// Exchange is one call by a transport, from its arrival to its answer.
type Exchange struct {
	Transport string
	Start     time.Time
	RequestID string
	Service   string // with Operation, once they are known to exist
	Operation string
}

// Begin starts the record of a call that has arrived.
func (f *Front) Begin(transport string) Exchange {
	return Exchange{Transport: transport, Start: f.Now(), RequestID: newRequestID()}
}

// Enter takes a place among the calls in flight, or returns ServiceUnavailable. Only what has arrived in whole may take one:
// clients that send slowly, or never, must not keep the others out. Leave gives the place back.
func (f *Front) Enter() error {
	select {
	case f.inFlight <- struct{}{}:
		return nil
	default:
		return Busy()
	}
}

// Leave gives back what Enter took.
func (f *Front) Leave() { <-f.inFlight }

// Busy is the error for a call that there is no room for.
func Busy() error {
	return awserr.New(awserr.ServiceUnavailable, "The request has failed due to a temporary failure of the server.")
}

// Failed is the outcome of a call that never reached the dispatcher.
func Failed(err error) Outcome { return Outcome{Err: awserr.From(err)} }

// Finish writes the one log record and the metrics of the call.
func (f *Front) Finish(ctx context.Context, x *Exchange, out *Outcome) {
	elapsed := f.Now().Sub(x.Start)
	code, level := "", slog.LevelInfo
	if out.Err != nil {
		code = out.Err.Kind.Code
		if out.Err.Kind.Fault == awserr.Receiver {
			level = slog.LevelError
		}
	}
	f.Count(x.Transport, x.Service, x.Operation, code, elapsed)
	if !f.Log.Enabled(ctx, level) {
		return
	}
	attrs := make([]slog.Attr, 0, 11)
	attrs = append(attrs,
		slog.String("request_id", x.RequestID),
		slog.String("transport", x.Transport),
		slog.String("service", x.Service),
		slog.String("operation", x.Operation),
		x.status(out),
		slog.Duration("duration", elapsed),
	)
	if c := out.Caller; c != nil {
		attrs = append(attrs, slog.String("caller", c.ARN), slog.String("access_key_id", c.AccessKeyID))
	}
	if out.Err != nil {
		attrs = append(attrs, slog.String("code", code), slog.String("message", out.Err.Message))
		if cause := errors.Unwrap(out.Err); cause != nil {
			attrs = append(attrs, slog.String("cause", cause.Error()))
		}
	}
	f.Log.LogAttrs(ctx, level, "request", attrs...)
}

// status is how the transport reports the outcome.
func (x *Exchange) status(out *Outcome) slog.Attr {
	httpStatus, code := 200, codes.OK
	if out.Err != nil {
		httpStatus, code = out.Err.Kind.HTTPStatus, out.Err.Kind.GRPC
	}
	if x.Transport == GRPC {
		return slog.String("status", code.String())
	}
	return slog.Int("status", httpStatus)
}

// newRequestID returns a random UUID (RFC 9562, version 4).
func newRequestID() string {
	var u [16]byte
	_, _ = rand.Read(u[:]) // never fails (crypto/rand)
	u[6] = u[6]&0x0f | 0x40
	u[8] = u[8]&0x3f | 0x80
	var text [36]byte
	hex.Encode(text[0:8], u[0:4])
	hex.Encode(text[9:13], u[4:6])
	hex.Encode(text[14:18], u[6:8])
	hex.Encode(text[19:23], u[8:10])
	hex.Encode(text[24:36], u[10:16])
	text[8], text[13], text[18], text[23] = '-', '-', '-', '-'
	return string(text[:])
}
