package dispatch

import (
	"errors"
	"sync"
	"time"

	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/authz"
)

// History remembers the last calls for operators who ask why one went as it did. It is safe for concurrent use.
type History struct {
	mu    sync.Mutex
	calls []*pastCall // a ring
	next  int         // where the next one goes
}

// pastCall is one call with everything that was decided on.
type pastCall struct {
	request authn.Request
	caller  *authn.Caller // nil: nobody was authenticated
	code    string        // empty: success
	message string
	cause   string // what the caller did not see
}

// NewHistory makes a History of the last size calls.
func NewHistory(size int) *History {
	return &History{calls: make([]*pastCall, size)}
}

// maxKept bounds the headers that one remembered call may hold, in bytes; of a call beyond it the decisions are dropped, so
// that nobody fills the memory with them.
const maxKept = 4 << 10

func (h *History) add(call *Call, out *Outcome) {
	p := &pastCall{request: call.Request, caller: out.Caller}
	if len(p.request.UserAgent)+len(p.request.Referer) > maxKept {
		p.request.UserAgent, p.request.Referer, p.request.Decisions = "", "", nil
	}
	if out.Err != nil {
		p.code, p.message = out.Err.Kind.Code, out.Err.Message
		if cause := errors.Unwrap(out.Err); cause != nil {
			p.cause = cause.Error()
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.calls[h.next] = p
	h.next = (h.next + 1) % len(h.calls)
}

// Explain explains a call that is still remembered, or returns nil.
func (h *History) Explain(requestID string) *Explanation {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, p := range h.calls { // an operator can wait; the calls need no index
		if p != nil && p.request.ID == requestID {
			return p.explain()
		}
	}
	return nil
}

func (p *pastCall) explain() *Explanation {
	e := &Explanation{
		RequestID:   p.request.ID,
		Time:        p.request.Time.UTC().Format(time.RFC3339),
		Operation:   p.request.Service + ":" + p.request.Operation,
		SourceIP:    p.request.SourceIP,
		AccessKeyID: p.request.AccessKeyID,
		Code:        p.code,
		Message:     p.message,
		Cause:       p.cause,
	}
	if p.caller != nil {
		e.Caller = p.caller.ARN
	}
	for _, d := range p.request.Decisions {
		e.Decisions = append(e.Decisions, explainDecision(&d))
	}
	return e
}

// denied reports whether the call was refused by policy.
func denied(out *Outcome) bool {
	if out.Err == nil {
		return false
	}
	_, ok := errors.AsType[*authz.Denial](out.Err)
	return ok
}
