package dispatch

import (
	"context"

	"github.com/stint-sts/stint/authn"
)

// NewOperation lets tests make a row of their own.
func NewOperation[I, O any](service, name string, run func(context.Context, *authn.Caller, *I) (*O, error)) *Operation {
	o := operation(service, name, run)
	return &o
}

// NewChange lets tests make a row without a result.
func NewChange[I any](service, name string, run func(context.Context, *authn.Caller, *I) error) *Operation {
	o := change(service, name, run)
	return &o
}

// Accounts tells how many accounts have calls running.
func (d *Dispatcher) Accounts() int {
	d.admission.mu.Lock()
	defer d.admission.mu.Unlock()
	return len(d.admission.running)
}
