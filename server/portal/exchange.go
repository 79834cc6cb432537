package portal

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/server/dispatch"
)

// exchange is one request of a browser, from its arrival to its answer.
type exchange struct {
	dispatch.Exchange
	p       *Portal
	w       http.ResponseWriter
	r       *http.Request
	signIn  *signIn // nil: nobody has signed in, or it was not asked yet
	outcome dispatch.Outcome
}

func (p *Portal) begin(w http.ResponseWriter, r *http.Request) *exchange {
	x := &exchange{Exchange: p.cfg.Front.Begin(dispatch.HTTP), p: p, w: w, r: r}
	header := w.Header()
	header.Set("X-Amzn-Requestid", x.RequestID)
	secureHeaders(header, "")
	if r.TLS != nil {
		header.Set("Strict-Transport-Security", "max-age=31536000")
	}
	return x
}

// secureHeaders are on every page. formTo is a foreign origin, or a scheme, that the page may send a form to, if any.
func secureHeaders(header http.Header, formTo string) {
	action := "'self'"
	if formTo != "" {
		action += " " + formTo
	}
	header.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "+
		"form-action "+action+"; frame-ancestors 'none'; base-uri 'none'")
	header.Set("Cross-Origin-Opener-Policy", "same-origin")
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
	// Not no-referrer: under it browsers send "Origin: null" with our own forms, which older ones are recognized by.
	header.Set("Referrer-Policy", "same-origin")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("X-Frame-Options", "DENY")
	header.Set("Cache-Control", "no-store")
}

// finish writes the record of an exchange that called an operation. Of the others there is nothing to tell.
func (x *exchange) finish() {
	if x.Operation != "" {
		x.p.cfg.Front.Finish(x.r.Context(), &x.Exchange, &x.outcome)
	}
}

// request is the exchange as operations, policies and the audit see it.
func (x *exchange) request() *authn.Request {
	address, secure := x.p.cfg.Front.Proxies.Peer(x.r.RemoteAddr, x.r.TLS != nil, x.r.Header["X-Forwarded-For"], x.r.Header["X-Forwarded-Proto"])
	return &authn.Request{
		ID: x.RequestID, Time: x.Start, SourceIP: address, UserAgent: strings.Clone(x.r.UserAgent()), SecureTransport: secure,
	}
}

// run runs an operation. Its error is an *awserr.Error.
func run[I, O any](x *exchange, o *dispatch.Operation, in *I) (*O, error) {
	x.Service, x.Operation = o.Service, o.Name
	var result *O
	result, x.outcome = dispatch.Run[I, O](x.r.Context(), x.p.cfg.Front.Dispatcher, o, x.request(), in)
	if x.outcome.Err != nil {
		return nil, x.outcome.Err
	}
	return result, nil
}

func (x *exchange) redirect(to string) { http.Redirect(x.w, x.r, to, http.StatusSeeOther) }

// Problem is a page that tells a person what went wrong: what they can do about it, and nothing that helps somebody else.
type Problem struct {
	Status  int
	Heading string
	Text    string
	cause   error // for the log; nil: there is nothing to log
}

// Error implements error.
func (p *Problem) Error() string { return p.Heading }

// Unwrap returns the cause.
func (p *Problem) Unwrap() error { return p.cause }

// fail answers with what a person is told of an error.
func (x *exchange) fail(err error) {
	problem, ok := errors.AsType[*Problem](err)
	if !ok {
		problem = explain(err)
	}
	if cause := problem.cause; cause != nil {
		level := x.p.cfg.Log.InfoContext
		if problem.Status >= http.StatusInternalServerError {
			level = x.p.cfg.Log.ErrorContext
		}
		level(context.WithoutCancel(x.r.Context()), "portal", "request_id", x.RequestID, "path", x.r.URL.Path, "status", problem.Status, "error", cause)
	}
	x.render(problem.Status, "problem", problem.Heading, problem)
}

// explain tells what an operation's error means to a person. The error itself is in the log and in the audit.
func explain(err error) *Problem {
	e := awserr.From(err)
	p := &Problem{Status: e.Kind.HTTPStatus, cause: err}
	switch {
	case e.Kind == awserr.ExpiredTokenException:
		p.Heading, p.Text = "That took too long", "The answer of your identity provider has expired. Sign in again."
	case e.Kind == awserr.IDPRejectedClaim:
		p.Heading, p.Text = "You were not signed in", "Your identity provider did not sign you in. Try again, or ask whoever runs it."
	case e.Kind == awserr.IDPCommunicationError:
		p.Heading, p.Text = "Your identity provider does not answer", "Try again in a moment."
	case e.Kind == awserr.InvalidIdentityToken:
		p.Heading, p.Text = "This sign-in could not be accepted", "The answer of your identity provider is not one that this service takes. Sign in again; "+
			"if that does not help, whoever runs this service finds the reason in its log, under the reference below."
	case e.Kind == awserr.AccessDenied:
		p.Heading, p.Text = "This role does not let you in", "Its policies do not allow it now. If you need it, ask whoever looks after the role."
	case e.Kind == awserr.Throttling, e.Kind == awserr.ServiceUnavailable:
		p.Heading, p.Text = "Busy at the moment", "The service could not do this now. Try again in a moment."
	case e.Kind.Fault == awserr.Receiver:
		p.Status, p.Heading, p.Text = http.StatusInternalServerError, "Something went wrong", "It is not your fault. Try again in a moment."
	default:
		p.Heading, p.Text = "That could not be done", "The request was not accepted. Go back and try again."
	}
	return p
}
