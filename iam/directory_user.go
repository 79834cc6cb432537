package iam

import (
	"context"
	"fmt"

	"github.com/stint-sts/stint/arn"
	"github.com/stint-sts/stint/authn"
)

// UserByARN returns the user that a names. Path and name must be those of the user, also in case; otherwise the error matches
// ErrNotFound.
func (d *Directory) UserByARN(ctx context.Context, a arn.ARN) (*authn.Entity, error) {
	if !a.IsIAM("user") || a.Partition != arn.Partition {
		return nil, fmt.Errorf("user %s: %w", a, ErrNotFound)
	}
	id, err := d.named.get(ctx, a, func(r *reading) (result[string], error) { return d.readUserID(r, a) })
	if err != nil {
		return nil, fmt.Errorf("user %s: %w", a, err)
	}
	return d.Entity(ctx, a.Account, id)
}

// readUserID finds the unique id of the user that a names.
func (d *Directory) readUserID(r *reading, a arn.ARN) (result[string], error) {
	name := fold(a.Name())
	r.dependOn(nameOf(KindUser, a.Account, name))
	user, err := get[User](r.tx, a.Account, "", name)
	if err != nil {
		return result[string]{}, err
	}
	r.dependOn(user.ID)
	if user.ARN() != a.String() {
		return result[string]{}, ErrNotFound
	}
	return result[string]{value: user.ID}, nil
}
