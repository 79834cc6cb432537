package server

import (
	"context"
	"fmt"
	"reflect"
	"time"

	"github.com/stint-sts/stint/arn"
	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/server/dispatch"
	"github.com/stint-sts/stint/shape"
	"github.com/stint-sts/stint/sigv4"
)

// runOperation runs an operation with a pointer to its input, and returns its output.
type runOperation func(ctx context.Context, root *authn.Caller, service, operation string, in any) (any, error)

// asOperator runs operations for the operator, as an account's root user, through the pipeline that API calls pass: they are
// validated, audited, logged, and known to "stint explain". agent is the user agent that the audit shows.
func (s *Server) asOperator(agent string) runOperation {
	front := dispatch.NewFront(dispatch.FrontConfig{
		Log: s.log, Now: time.Now,
		Count: func(string, string, string, string, time.Duration) {}, // the metrics are those of the listeners
	})
	return func(ctx context.Context, root *authn.Caller, service, operation string, in any) (any, error) {
		o := s.table.Lookup(service, operation)
		if o == nil {
			return nil, fmt.Errorf("there is no operation %s", operation)
		}
		x := front.Begin("admin")
		x.Service, x.Operation = o.Service, o.Name
		dispatcher := dispatch.New(dispatch.Config{
			Authenticator: operator{root}, Recorder: s.audit, Log: s.log, History: s.history, Used: func(*authn.Caller) {},
		})
		out := dispatcher.Do(ctx, &dispatch.Call{
			Operation: o,
			Request:   authn.Request{ID: x.RequestID, Service: o.Service, Operation: o.Name, Time: x.Start, UserAgent: agent},
			Decode: func(_ *shape.Shape, into any) error {
				reflect.ValueOf(into).Elem().Set(reflect.ValueOf(in).Elem())
				return nil
			},
		})
		front.Finish(ctx, &x, &out)
		if out.Err != nil {
			return nil, out.Err
		}
		return out.Output, nil
	}
}

// rootUser is the root user of an account, for asOperator.
func (s *Server) rootUser(ctx context.Context, account string) (*authn.Caller, error) {
	entity, err := s.directory.Entity(ctx, account, account)
	if err != nil {
		return nil, fmt.Errorf("account %s: %w", account, err)
	}
	return &authn.Caller{Kind: authn.Root, Account: account, ARN: arn.Root(account), UserID: account, Entity: entity}, nil
}

// operator authenticates calls that come by the admin socket: who may open it owns the installation.
type operator struct{ root *authn.Caller }

// Authenticate returns the root user.
func (o operator) Authenticate(_ context.Context, _ *sigv4.Request, req *authn.Request) (*authn.Caller, error) {
	caller := *o.root
	caller.Request = req
	return &caller, nil
}
