// Package dispatch is the pipeline that every call passes, whatever transport it came by: authenticate, admit, decode,
// validate, run, audit. It owns the table of operations; neither a new operation nor a new transport can forget a step.
package dispatch

import (
	"context"

	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/iam"
	"github.com/stint-sts/stint/shape"
	"github.com/stint-sts/stint/sts"
)

// Operation is one row of the table. The zero value of Unsigned means signed.
type Operation struct {
	Service  string       // "sts" or "iam"
	Name     string       // "AssumeRole"
	Unsigned bool         // proves the caller by a token or an assertion in its input
	ReadOnly bool         // changes nothing and issues nothing
	Input    *shape.Shape // of the value that New returns
	Output   *shape.Shape // nil when the operation has no result

	new func() any
	run func(ctx context.Context, c *authn.Caller, in any) (any, error)
}

// New returns a pointer to an empty input.
func (o *Operation) New() any { return o.new() }

// operation makes a row from a method that returns a result.
func operation[I, O any](service, name string, run func(context.Context, *authn.Caller, *I) (*O, error)) Operation {
	return Operation{
		Service: service,
		Name:    name,
		Input:   shape.For[I](),
		Output:  shape.For[O](),
		new:     func() any { return new(I) },
		run: func(ctx context.Context, c *authn.Caller, in any) (any, error) {
			out, err := run(ctx, c, in.(*I))
			if err != nil {
				return nil, err // not a nil *O inside an interface
			}
			return out, nil
		},
	}
}

// reading is operation for one that changes and issues nothing.
func reading[I, O any](service, name string, run func(context.Context, *authn.Caller, *I) (*O, error)) Operation {
	o := operation(service, name, run)
	o.ReadOnly = true
	return o
}

// change makes a row from a method without a result.
func change[I any](service, name string, run func(context.Context, *authn.Caller, *I) error) Operation {
	return Operation{
		Service: service,
		Name:    name,
		Input:   shape.For[I](),
		new:     func() any { return new(I) },
		run: func(ctx context.Context, c *authn.Caller, in any) (any, error) {
			return nil, run(ctx, c, in.(*I))
		},
	}
}

// unsigned makes a row one of an operation that proves its caller by a token or an assertion in its input.
func unsigned(o Operation) Operation {
	o.Unsigned = true
	return o
}

// Table is the operations of one installation, by service and name.
type Table struct {
	operations map[string]map[string]*Operation
}

// NewTable makes the table of all operations.
func NewTable(s *sts.Service, i *iam.Service) *Table {
	t := &Table{operations: make(map[string]map[string]*Operation)}
	for _, rows := range [][]Operation{stsOperations(s), iamOperations(i)} {
		for _, o := range rows {
			if t.operations[o.Service] == nil {
				t.operations[o.Service] = make(map[string]*Operation)
			}
			t.operations[o.Service][o.Name] = &o
		}
	}
	return t
}

// Lookup returns the operation, or nil.
func (t *Table) Lookup(service, name string) *Operation { return t.operations[service][name] }

// All yields every operation, in no order.
func (t *Table) All(yield func(*Operation) bool) {
	for _, service := range t.operations {
		for _, o := range service {
			if !yield(o) {
				return
			}
		}
	}
}

func stsOperations(s *sts.Service) []Operation {
	return []Operation{
		operation("sts", "AssumeRole", s.AssumeRole),
		unsigned(operation("sts", "AssumeRoleWithSAML", s.AssumeRoleWithSAML)),
		unsigned(operation("sts", "AssumeRoleWithWebIdentity", s.AssumeRoleWithWebIdentity)),
		operation("sts", "AssumeRoot", s.AssumeRoot),
		operation("sts", "GetFederationToken", s.GetFederationToken),
		operation("sts", "GetSessionToken", s.GetSessionToken),
		reading("sts", "DecodeAuthorizationMessage", s.DecodeAuthorizationMessage),
		reading("sts", "GetAccessKeyInfo", s.GetAccessKeyInfo),
		reading("sts", "GetCallerIdentity", s.GetCallerIdentity),
		operation("sts", "GetWebIdentityToken", s.GetWebIdentityToken),
		operation("sts", "RevokeSessions", s.RevokeSessions), // stint's own
	}
}
