package portal

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/stint-sts/stint/awserr"
)

// refusal is an error as the command line sees it (RFC 6749 section 5.2).
type refusal struct {
	Status int    `json:"-"`
	Code   string `json:"error"`
	Text   string `json:"error_description"`
}

// Error implements error.
func (r *refusal) Error() string { return r.Code + ": " + r.Text }

func refuse(code, text string) error {
	return &refusal{Status: http.StatusBadRequest, Code: code, Text: text}
}

// api wraps what programs ask: a form in, JSON out. Browsers are refused, so that no page of another site gets at it.
func (p *Portal) api(answer func(*exchange) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := p.begin(w, r)
		ctx, cancel := context.WithTimeout(r.Context(), p.cfg.Front.Timeout)
		defer cancel()
		x.r = r.WithContext(ctx)
		defer x.finish()
		v, err := p.answer(x, answer)
		if err != nil {
			x.refused(err)
			return
		}
		x.write(http.StatusOK, v)
	})
}

func (p *Portal) answer(x *exchange, answer func(*exchange) (any, error)) (any, error) {
	if _, err := p.reachable(x.r); err != nil {
		return nil, err
	}
	if x.r.Header.Get("Origin") != "" || x.r.Header.Get("Sec-Fetch-Site") != "" {
		return nil, &refusal{http.StatusForbidden, "invalid_request", "this is not for browsers"}
	}
	x.r.Body = http.MaxBytesReader(x.w, x.r.Body, maxForm)
	if err := x.r.ParseForm(); err != nil {
		return nil, refuse("invalid_request", "the form could not be read")
	}
	if err := p.cfg.Front.Enter(); err != nil {
		return nil, err
	}
	defer p.cfg.Front.Leave()
	return answer(x)
}

// field is a field of the form that is there once. Those of the URL do not count: they would be logged on the way.
func (x *exchange) field(name string) string {
	if values := x.r.PostForm[name]; len(values) == 1 {
		return values[0]
	}
	return ""
}

// refused answers with an error.
func (x *exchange) refused(err error) {
	r, ok := errors.AsType[*refusal](err)
	if !ok {
		r = x.explained(err)
	}
	if r.Status == http.StatusUnauthorized {
		x.w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`) // RFC 6750 section 3
	}
	x.write(r.Status, r)
}

// explained is what the page of the error says, for a terminal.
func (x *exchange) explained(err error) *refusal {
	problem, ok := errors.AsType[*Problem](err)
	if !ok {
		problem = explain(err)
	}
	r := &refusal{problem.Status, "invalid_request", problem.Heading + ". " + problem.Text}
	switch kind := awserr.From(err).Kind; {
	case ok, kind == awserr.Throttling, kind == awserr.ServiceUnavailable:
		r.Code = "temporarily_unavailable"
	case kind == awserr.AccessDenied:
		r.Code = "access_denied"
	case kind.Fault == awserr.Receiver:
		r.Code = "server_error"
		x.p.cfg.Log.ErrorContext(context.WithoutCancel(x.r.Context()), "portal", "request_id", x.RequestID, "path", x.r.URL.Path, "error", err)
	}
	return r
}

func (x *exchange) write(status int, v any) {
	x.w.Header().Set("Content-Type", "application/json")
	x.w.WriteHeader(status)
	_ = json.NewEncoder(x.w).Encode(v) // the program may have left
}
