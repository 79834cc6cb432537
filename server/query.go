package server

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/server/awsquery"
	"github.com/stint-sts/stint/server/dispatch"
	"github.com/stint-sts/stint/shape"
	"github.com/stint-sts/stint/sigv4"
)

// maxBody bounds the body of a request: the largest legal field is a SAML assertion of 100,000 characters, three times
// that when percent-encoded.
const maxBody = 512 << 10

// smallBody is what a body may have before it counts as large. Almost every call fits: policies have at most 10,240 characters.
const smallBody = 32 << 10

// largeShare tells how many of the calls in flight may have a large body: one in so many.
const largeShare = 16

// queryHandler serves the AWS Query API of STS and IAM on "/".
type queryHandler struct {
	table      *dispatch.Table
	dispatcher *dispatch.Dispatcher
	proxies    []netip.Prefix
	timeout    time.Duration
	inFlight   chan struct{} // calls that run
	large      atomic.Int32  // calls with a large body, from its arrival to their answer
	metrics    *metrics
	log        *slog.Logger
	now        func() time.Time
}

// api is one of the two APIs that share the endpoint.
type api struct{ service, version, namespace string }

var apis = []api{
	{"sts", "2011-06-15", awsquery.NamespaceSTS},
	{"iam", "2010-05-08", awsquery.NamespaceIAM},
}

// exchange is one request on its way to its answer.
type exchange struct {
	start     time.Time
	requestID string
	format    awsquery.Format
	api       api    // zero: not known (yet)
	name      string // operation as the request says it, once it is known to exist
	body      *bytes.Buffer
	large     bool // it counts as one with a large body
}

func (h *queryHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := exchange{start: h.now(), requestID: newRequestID(), format: awsquery.FormatOf(r.Header.Get("Accept"))}
	x.body = buffers.Get().(*bytes.Buffer)
	defer recycle(x.body)
	defer h.leave(&x)
	ctx, cancel := context.WithTimeout(r.Context(), h.timeout)
	defer cancel()

	out, o := h.serve(ctx, r, &x)
	status := http.StatusOK
	answer := buffers.Get().(*bytes.Buffer)
	defer recycle(answer)
	if out.Err != nil {
		status = out.Err.Kind.HTTPStatus
		namespace := x.api.namespace
		if namespace == "" {
			namespace = awsquery.NamespaceFault
		}
		answer.Write(awsquery.AppendError(answer.AvailableBuffer(), x.format, namespace, out.Err, x.requestID))
	} else {
		answer.Write(awsquery.AppendSuccess(answer.AvailableBuffer(), x.format, x.api.namespace, o.Name, x.requestID, o.Output, out.Output))
	}
	header := w.Header()
	header["X-Amzn-Requestid"] = []string{x.requestID}
	header["Content-Type"] = []string{awsquery.ContentType(x.format)}
	if r.TLS != nil {
		header["Strict-Transport-Security"] = []string{"max-age=31536000"}
	}
	header["Cache-Control"] = []string{"no-store"}
	w.WriteHeader(status)
	_, _ = w.Write(answer.Bytes()) // the client may have left; nothing depends on it
	h.account(ctx, &x, &out, status)
}

// serve finds the operation that the request names and runs it.
func (h *queryHandler) serve(ctx context.Context, r *http.Request, x *exchange) (dispatch.Outcome, *dispatch.Operation) {
	if r.URL.Path != "/" && r.URL.Path != "" {
		return failed(awserr.New(awserr.InvalidAction, "There is nothing at this path.")), nil
	}
	if err := h.readBody(r, x); err != nil {
		return failed(err), nil
	}
	// Only what has arrived takes a place: clients that send slowly, or never, must not keep the others out.
	select {
	case h.inFlight <- struct{}{}:
		defer func() { <-h.inFlight }()
	default:
		return failed(busy()), nil
	}
	form, err := awsquery.ParseForm(r.Method, r.Header.Get("Content-Type"), r.URL.RawQuery, x.body.Bytes())
	if err != nil {
		return failed(err), nil
	}
	o, err := h.operation(form, x)
	if err != nil {
		return failed(err), nil
	}
	address, secure := h.peer(r)
	call := dispatch.Call{
		Operation: o,
		Signature: &sigv4.Request{
			Method: r.Method, Path: r.URL.EscapedPath(), RawQuery: r.URL.RawQuery, Host: r.Host, TLS: secure,
			Header: r.Header, Body: x.body.Bytes(),
		},
		Request: authn.Request{
			ID: x.requestID, Service: o.Service, Operation: o.Name, Time: x.start,
			SourceIP: address, UserAgent: strings.Clone(r.UserAgent()), Referer: strings.Clone(r.Referer()), SecureTransport: secure,
		},
		Decode: func(s *shape.Shape, into any) error { return awsquery.Decode(form, s, into) },
	}
	return h.dispatcher.Do(ctx, &call), o
}

// operation finds the row that Action and Version name, in AWS's words when there is none.
func (h *queryHandler) operation(form *awsquery.Form, x *exchange) (*dispatch.Operation, error) {
	action, version := form.Action(), form.Version()
	if action == "" {
		return nil, awserr.New(awserr.MissingAction, "The request must contain the parameter Action.")
	}
	for _, a := range apis {
		if a.version == version {
			if o := h.table.Lookup(a.service, action); o != nil {
				x.api, x.name = a, o.Name
				return o, nil
			}
		}
	}
	if version == "" {
		version = "NO_VERSION_SPECIFIED"
	}
	return nil, awserr.Newf(awserr.InvalidAction, "Could not find operation %s for version %s", clip(action), clip(version))
}

// clip bounds foreign text in a message.
func clip(s string) string {
	const most = 128
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}

func failed(err error) dispatch.Outcome { return dispatch.Outcome{Err: awserr.From(err)} }

// readBody reads the body within its bound. Only a few calls at a time may have more than a small one, so that many large
// bodies that arrive slowly hold a bounded amount of memory.
func (h *queryHandler) readBody(r *http.Request, x *exchange) error {
	if r.ContentLength > maxBody {
		return tooLarge()
	}
	n, err := x.body.ReadFrom(io.LimitReader(r.Body, smallBody+1))
	if err == nil && n > smallBody {
		x.large = true
		if int(h.large.Add(1)) > max(1, cap(h.inFlight)/largeShare) {
			return busy()
		}
		var rest int64
		rest, err = x.body.ReadFrom(io.LimitReader(r.Body, maxBody-n+1))
		n += rest
	}
	if n > maxBody {
		return tooLarge()
	}
	if err != nil {
		return awserr.Wrap(awserr.MalformedInput, "The body of the request could not be read.", err)
	}
	return nil
}

// leave ends what readBody began.
func (h *queryHandler) leave(x *exchange) {
	if x.large {
		h.large.Add(-1)
	}
}

func busy() error {
	return awserr.New(awserr.ServiceUnavailable, "The request has failed due to a temporary failure of the server.")
}

func tooLarge() error {
	return awserr.Newf(awserr.RequestEntityTooLarge, "The request is larger than %d bytes.", maxBody)
}

// peer tells where the call came from and whether it came over TLS. Only a proxy that the operator trusts is believed about
// either; of the addresses that it passes on, the last that is not a trusted proxy counts.
func (h *queryHandler) peer(r *http.Request) (address string, secure bool) {
	secure = r.TLS != nil
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr, secure
	}
	peer, err := netip.ParseAddr(host)
	if err != nil || !trusted(h.proxies, peer) {
		return host, secure
	}
	if proto := r.Header.Values("X-Forwarded-Proto"); len(proto) > 0 {
		secure = len(proto) == 1 && proto[0] == "https"
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0; i-- {
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break
		}
		peer = hop.Unmap().WithZone("") // a zone is free text, and means nothing here
		if !trusted(h.proxies, peer) {
			break
		}
	}
	return peer.String(), secure
}

func trusted(proxies []netip.Prefix, a netip.Addr) bool {
	for _, p := range proxies {
		if p.Contains(a.Unmap()) {
			return true
		}
	}
	return false
}

// account writes the one log record and the metrics of the call.
func (h *queryHandler) account(ctx context.Context, x *exchange, out *dispatch.Outcome, status int) {
	elapsed := h.now().Sub(x.start)
	code := ""
	if out.Err != nil {
		code = out.Err.Kind.Code
	}
	h.metrics.call("http", x.api.service, x.name, code, elapsed)
	level := slog.LevelInfo
	if status >= http.StatusInternalServerError {
		level = slog.LevelError
	}
	if !h.log.Enabled(ctx, level) {
		return
	}
	attrs := make([]slog.Attr, 0, 10)
	attrs = append(attrs,
		slog.String("request_id", x.requestID),
		slog.String("service", x.api.service),
		slog.String("operation", x.name),
		slog.Int("status", status),
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
	h.log.LogAttrs(ctx, level, "request", attrs...)
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

var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// maxPooled keeps one huge request from holding its memory for good.
const maxPooled = 64 << 10

// recycle returns a buffer to the pool. It held secrets: they are overwritten, not left for the next caller's bug to find.
func recycle(b *bytes.Buffer) {
	if b.Cap() > maxPooled {
		return
	}
	clear(b.Bytes())
	b.Reset()
	buffers.Put(b)
}
