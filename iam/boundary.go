package iam

import (
	"context"
	"errors"

	"github.com/stint-sts/stint/arn"
	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/policy"
)

// PutUserPermissionsBoundaryInput is the input of PutUserPermissionsBoundary.
type PutUserPermissionsBoundaryInput struct {
	UserName            string `aws:"UserName,required" len:"1,64" pattern:"entityName"`
	PermissionsBoundary string `aws:"PermissionsBoundary,required" len:"20,2048"`
}

// PutUserPermissionsBoundary makes a managed policy the permissions boundary of a user, in place of the one it had.
func (s *Service) PutUserPermissionsBoundary(ctx context.Context, c *authn.Caller, in *PutUserPermissionsBoundaryInput) error {
	return s.update(ctx, func(tx Tx) error {
		ask := access{caller: c, action: "iam:PutUserPermissionsBoundary", keys: boundaryKey(in.PermissionsBoundary)}
		u, err := s.user(tx, ask, in.UserName)
		if err != nil {
			return err
		}
		return s.bound(tx, u, &u.Boundary, in.PermissionsBoundary)
	})
}

// DeleteUserPermissionsBoundaryInput is the input of DeleteUserPermissionsBoundary.
type DeleteUserPermissionsBoundaryInput struct {
	UserName string `aws:"UserName,required" len:"1,64" pattern:"entityName"`
}

// DeleteUserPermissionsBoundary takes a user's permissions boundary away. Without one there is nothing to do.
func (s *Service) DeleteUserPermissionsBoundary(ctx context.Context, c *authn.Caller, in *DeleteUserPermissionsBoundaryInput) error {
	return s.update(ctx, func(tx Tx) error {
		u, err := s.user(tx, access{caller: c, action: "iam:DeleteUserPermissionsBoundary", bounded: true}, in.UserName)
		if err != nil {
			return err
		}
		return s.bound(tx, u, &u.Boundary, "")
	})
}

// PutRolePermissionsBoundaryInput is the input of PutRolePermissionsBoundary.
type PutRolePermissionsBoundaryInput struct {
	RoleName            string `aws:"RoleName,required" len:"1,64" pattern:"entityName"`
	PermissionsBoundary string `aws:"PermissionsBoundary,required" len:"20,2048"`
}

// PutRolePermissionsBoundary makes a managed policy the permissions boundary of a role, in place of the one it had.
func (s *Service) PutRolePermissionsBoundary(ctx context.Context, c *authn.Caller, in *PutRolePermissionsBoundaryInput) error {
	return s.update(ctx, func(tx Tx) error {
		ask := access{caller: c, action: "iam:PutRolePermissionsBoundary", keys: boundaryKey(in.PermissionsBoundary)}
		r, err := s.role(tx, ask, in.RoleName)
		if err != nil {
			return err
		}
		return s.bound(tx, r, &r.Boundary, in.PermissionsBoundary)
	})
}

// DeleteRolePermissionsBoundaryInput is the input of DeleteRolePermissionsBoundary.
type DeleteRolePermissionsBoundaryInput struct {
	RoleName string `aws:"RoleName,required" len:"1,64" pattern:"entityName"`
}

// DeleteRolePermissionsBoundary takes a role's permissions boundary away. Without one there is nothing to do.
func (s *Service) DeleteRolePermissionsBoundary(ctx context.Context, c *authn.Caller, in *DeleteRolePermissionsBoundaryInput) error {
	return s.update(ctx, func(tx Tx) error {
		r, err := s.role(tx, access{caller: c, action: "iam:DeleteRolePermissionsBoundary", bounded: true}, in.RoleName)
		if err != nil {
			return err
		}
		return s.bound(tx, r, &r.Boundary, "")
	})
}

// boundaryKey judges an operation by the permissions boundary that it sets; without one the key is absent.
func boundaryKey(policyARN string) func(*policy.Context) {
	if policyARN == "" {
		return nil
	}
	return func(ctx *policy.Context) { ctx.Set("iam:PermissionsBoundary", policyARN) }
}

// bound sets the boundary of a user or role o, whose Boundary field is given, and stores both.
func (s *Service) bound(tx Tx, o interface {
	object
	boundable
}, field *string, policyARN string) error {
	key := o.key()
	if err := s.setBoundary(tx, key.Account, key.ID, policyARN); err != nil {
		return err
	}
	*field = policyARN
	return put(tx, o)
}

// setBoundary links the user or role with that unique id to the managed policy that is its permissions boundary, so that
// uses of a policy can be counted; an empty policyARN removes the link, if there is one. The policy must exist and be the
// account's own or AWS's. The caller stores the Boundary field of the entity.
func (s *Service) setBoundary(tx Tx, account, entity, policyARN string) error {
	link, err := get[BoundaryUse](tx, account, entity, "boundary")
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	if policyARN == "" {
		if link == nil {
			return nil
		}
		return remove(tx, link)
	}
	if a, err := arn.Parse(policyARN); err != nil || !a.IsIAM("policy") {
		return awserr.New(awserr.InvalidParameterValue, "Value ("+policyARN+") for parameter PermissionsBoundary is invalid.")
	}
	if _, err := s.attachable(tx, account, policyARN); err != nil {
		if errors.Is(err, ErrNotFound) {
			return awserr.New(awserr.NoSuchEntity, "Scope ARN: "+policyARN+" does not exist or is not attachable.")
		}
		return err
	}
	if link == nil {
		link = &BoundaryUse{Account: account, Entity: entity}
	}
	link.PolicyARN = policyARN
	return put(tx, link)
}

// boundable is a user or role as the bearer of a permissions boundary.
type boundable interface{ boundary() string }

func (u *User) boundary() string { return u.Boundary }
func (r *Role) boundary() string { return r.Boundary }

// PermissionsBoundary is how answers show a permissions boundary.
type PermissionsBoundary struct {
	Type string `aws:"PermissionsBoundaryType"`
	ARN  string `aws:"PermissionsBoundaryArn"`
}

// wireBoundary shows a boundary; nil when there is none.
func wireBoundary(policyARN string) *PermissionsBoundary {
	if policyARN == "" {
		return nil
	}
	return &PermissionsBoundary{Type: "PermissionsBoundaryPolicy", ARN: policyARN}
}
