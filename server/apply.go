package server

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"time"

	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/iam/apply"
	"github.com/stint-sts/stint/server/dispatch"
	"github.com/stint-sts/stint/shape"
	"github.com/stint-sts/stint/sigv4"
)

// maxApply bounds what one apply may send, in bytes: some hundred thousand objects.
const maxApply = 64 << 20

// AdminApply is a request to bring accounts to the state that documents say.
type AdminApply struct {
	Documents []apply.Document `json:"documents"`
	Options   apply.Options    `json:"options"`
}

// adminApply applies documents. It ends early when the client leaves, between two operations.
func (s *Server) adminApply(w http.ResponseWriter, r *http.Request) {
	var in AdminApply
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxApply))
	d.DisallowUnknownFields() // a newer command must not have half of its wishes fulfilled
	if err := d.Decode(&in); err != nil {
		s.adminAnswer(w, nil, awserr.Newf(awserr.ValidationError, "the request cannot be read: %v", err))
		return
	}
	// Thousands of operations take longer than the listener allows a call. In process there is no deadline to lift.
	deadlines := http.NewResponseController(w)
	_, _ = deadlines.SetReadDeadline(time.Time{}), deadlines.SetWriteDeadline(time.Time{})
	result, err := apply.Apply(r.Context(), s.iam, s.runAsRoot(), in.Documents, in.Options)
	s.adminAnswer(w, result, err)
}

// runAsRoot runs IAM operations for the operator, as an account's root user, through the pipeline that API calls pass: they
// are validated, audited, logged, and known to "stint explain".
func (s *Server) runAsRoot() apply.Run {
	front := dispatch.NewFront(dispatch.FrontConfig{
		Log: s.log, Now: time.Now,
		Count: func(string, string, string, string, time.Duration) {}, // the metrics are those of the listeners
	})
	return func(ctx context.Context, root *authn.Caller, operation string, in any) error {
		o := s.table.Lookup("iam", operation)
		if o == nil {
			return fmt.Errorf("there is no operation %s", operation)
		}
		x := front.Begin("admin")
		x.Service, x.Operation = o.Service, o.Name
		dispatcher := dispatch.New(dispatch.Config{
			Authenticator: operator{root}, Recorder: s.audit, Log: s.log, History: s.history, Used: func(*authn.Caller) {},
		})
		out := dispatcher.Do(ctx, &dispatch.Call{
			Operation: o,
			Request: authn.Request{
				ID: x.RequestID, Service: o.Service, Operation: o.Name, Time: x.Start, UserAgent: "stint-apply/" + s.version,
			},
			Decode: func(_ *shape.Shape, into any) error {
				reflect.ValueOf(into).Elem().Set(reflect.ValueOf(in).Elem())
				return nil
			},
		})
		front.Finish(ctx, &x, &out)
		if out.Err != nil {
			return out.Err
		}
		return nil
	}
}

// operator authenticates calls that come by the admin socket: who may open it owns the installation.
type operator struct{ root *authn.Caller }

// Authenticate returns the root user.
func (o operator) Authenticate(_ context.Context, _ *sigv4.Request, req *authn.Request) (*authn.Caller, error) {
	caller := *o.root
	caller.Request = req
	return &caller, nil
}
