package server

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"

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
	front *dispatch.Front
	large atomic.Int32 // calls with a large body, from its arrival to their answer
}

// api is one of the two APIs that share the endpoint.
type api struct{ service, version, namespace string }

var apis = []api{
	{"sts", "2011-06-15", awsquery.NamespaceSTS},
	{"iam", "2010-05-08", awsquery.NamespaceIAM},
}

// exchange is one request on its way to its answer.
type exchange struct {
	dispatch.Exchange
	format awsquery.Format
	api    api // zero: not known (yet)
	body   *bytes.Buffer
	large  bool // it counts as one with a large body
}

func (h *queryHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := exchange{Exchange: h.front.Begin(dispatch.HTTP), format: awsquery.FormatOf(r.Header.Get("Accept"))}
	x.body = buffers.Get().(*bytes.Buffer)
	defer recycle(x.body)
	defer h.leave(&x)
	ctx, cancel := context.WithTimeout(r.Context(), h.front.Timeout)
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
		answer.Write(awsquery.AppendError(answer.AvailableBuffer(), x.format, namespace, out.Err, x.RequestID))
	} else {
		answer.Write(awsquery.AppendSuccess(answer.AvailableBuffer(), x.format, x.api.namespace, o.Name, x.RequestID, o.Output, out.Output))
	}
	header := w.Header()
	header["X-Amzn-Requestid"] = []string{x.RequestID}
	header["Content-Type"] = []string{awsquery.ContentType(x.format)}
	if r.TLS != nil {
		header["Strict-Transport-Security"] = []string{"max-age=31536000"}
	}
	if out.Version != "" {
		header[dispatch.VersionHeader] = []string{out.Version}
	}
	header["Cache-Control"] = []string{"no-store"}
	w.WriteHeader(status)
	_, _ = w.Write(answer.Bytes()) // the client may have left; nothing depends on it
	h.front.Finish(ctx, &x.Exchange, &out)
}

// serve finds the operation that the request names and runs it.
func (h *queryHandler) serve(ctx context.Context, r *http.Request, x *exchange) (dispatch.Outcome, *dispatch.Operation) {
	if r.URL.Path != "/" && r.URL.Path != "" {
		return dispatch.Failed(awserr.New(awserr.InvalidAction, "There is nothing at this path.")), nil
	}
	if err := h.readBody(r, x); err != nil {
		return dispatch.Failed(err), nil
	}
	if err := h.front.Enter(); err != nil {
		return dispatch.Failed(err), nil
	}
	defer h.front.Leave()
	form, err := awsquery.ParseForm(r.Method, r.Header.Get("Content-Type"), r.URL.RawQuery, x.body.Bytes())
	if err != nil {
		return dispatch.Failed(err), nil
	}
	o, err := h.operation(form, x)
	if err != nil {
		return dispatch.Failed(err), nil
	}
	address, secure := h.front.Proxies.Peer(r.RemoteAddr, r.TLS != nil, r.Header["X-Forwarded-For"], r.Header["X-Forwarded-Proto"])
	call := dispatch.Call{
		Operation: o,
		Signature: &sigv4.Request{
			Method: r.Method, Path: r.URL.EscapedPath(), RawQuery: r.URL.RawQuery, Host: r.Host, TLS: secure,
			Header: r.Header, Body: x.body.Bytes(),
		},
		Request: authn.Request{
			ID: x.RequestID, Service: o.Service, Operation: o.Name, Time: x.Start,
			SourceIP: address, UserAgent: strings.Clone(r.UserAgent()), Referer: strings.Clone(r.Referer()), SecureTransport: secure,
		},
		Version: r.Header.Get(dispatch.VersionHeader),
		Decode:  func(s *shape.Shape, into any) error { return awsquery.Decode(form, s, into) },
	}
	return h.front.Dispatcher.Do(ctx, &call), o
}

// operation finds the row that Action and Version name, in AWS's words when there is none.
func (h *queryHandler) operation(form *awsquery.Form, x *exchange) (*dispatch.Operation, error) {
	action, version := form.Action(), form.Version()
	if action == "" {
		return nil, awserr.New(awserr.MissingAction, "The request must contain the parameter Action.")
	}
	for _, a := range apis {
		if a.version == version {
			if o := h.front.Table.Lookup(a.service, action); o != nil {
				x.api, x.Service, x.Operation = a, o.Service, o.Name
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

// readBody reads the body within its bound. Only a few calls at a time may have more than a small one, so that many large
// bodies that arrive slowly hold a bounded amount of memory.
func (h *queryHandler) readBody(r *http.Request, x *exchange) error {
	if r.ContentLength > maxBody {
		return tooLarge()
	}
	n, err := x.body.ReadFrom(io.LimitReader(r.Body, smallBody+1))
	if err == nil && n > smallBody {
		x.large = true
		if int(h.large.Add(1)) > max(1, h.front.MaxInFlight/largeShare) {
			return dispatch.Busy()
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

func tooLarge() error {
	return awserr.Newf(awserr.RequestEntityTooLarge, "The request is larger than %d bytes.", maxBody)
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
