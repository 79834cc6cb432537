package iam

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/stint-sts/stint/arn"
	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/policy"
)

// holders is one of the three kinds of entity that hold policies. What is done with policies is written once for all.
type holders struct {
	noun        string // in messages
	find        func(s *Service, tx Tx, a access, name string) (object, error)
	inline      func(*Quotas) int // characters of all inline policies together
	attached    func(*Quotas) int // managed policies
	attachedKey string            // name of that quota
}

var (
	userHolders = &holders{
		"user", finder((*Service).user),
		func(q *Quotas) int { return q.UserPolicySize }, func(q *Quotas) int { return q.PoliciesPerUser }, "PoliciesPerUser",
	}
	groupHolders = &holders{
		"group", finder((*Service).group),
		func(q *Quotas) int { return q.GroupPolicySize }, func(q *Quotas) int { return q.PoliciesPerGroup }, "PoliciesPerGroup",
	}
	roleHolders = &holders{
		"role", finder((*Service).role),
		func(q *Quotas) int { return q.RolePolicySize }, func(q *Quotas) int { return q.PoliciesPerRole }, "PoliciesPerRole",
	}
)

// finder makes a lookup of one type a lookup of any object.
func finder[T any, P pointer[T]](
	find func(*Service, Tx, access, string) (P, error),
) func(*Service, Tx, access, string) (object, error) {
	return func(s *Service, tx Tx, a access, name string) (object, error) {
		o, err := find(s, tx, a, name)
		if err != nil {
			return nil, err
		}
		return o, nil
	}
}

// UserPolicyARN names a user and a managed policy.
type UserPolicyARN struct {
	UserName  string `aws:"UserName,required" len:"1,64" pattern:"entityName"`
	PolicyARN string `aws:"PolicyArn,required" len:"20,2048"`
}

// GroupPolicyARN names a group and a managed policy.
type GroupPolicyARN struct {
	GroupName string `aws:"GroupName,required" len:"1,128" pattern:"entityName"`
	PolicyARN string `aws:"PolicyArn,required" len:"20,2048"`
}

// RolePolicyARN names a role and a managed policy.
type RolePolicyARN struct {
	RoleName  string `aws:"RoleName,required" len:"1,64" pattern:"entityName"`
	PolicyARN string `aws:"PolicyArn,required" len:"20,2048"`
}

// The inputs of attaching and detaching, each under the name of its operation.
type (
	AttachUserPolicyInput  UserPolicyARN
	AttachGroupPolicyInput GroupPolicyARN
	AttachRolePolicyInput  RolePolicyARN
	DetachUserPolicyInput  UserPolicyARN
	DetachGroupPolicyInput GroupPolicyARN
	DetachRolePolicyInput  RolePolicyARN
)

// AttachUserPolicy attaches a managed policy to a user. To attach it again changes nothing.
func (s *Service) AttachUserPolicy(ctx context.Context, c *authn.Caller, in *AttachUserPolicyInput) error {
	return s.attach(ctx, userHolders, access{caller: c, action: "iam:AttachUserPolicy"}, in.UserName, in.PolicyARN)
}

// AttachGroupPolicy attaches a managed policy to a group. To attach it again changes nothing.
func (s *Service) AttachGroupPolicy(ctx context.Context, c *authn.Caller, in *AttachGroupPolicyInput) error {
	return s.attach(ctx, groupHolders, access{caller: c, action: "iam:AttachGroupPolicy"}, in.GroupName, in.PolicyARN)
}

// AttachRolePolicy attaches a managed policy to a role. To attach it again changes nothing.
func (s *Service) AttachRolePolicy(ctx context.Context, c *authn.Caller, in *AttachRolePolicyInput) error {
	return s.attach(ctx, roleHolders, access{caller: c, action: "iam:AttachRolePolicy"}, in.RoleName, in.PolicyARN)
}

// DetachUserPolicy takes a managed policy from a user.
func (s *Service) DetachUserPolicy(ctx context.Context, c *authn.Caller, in *DetachUserPolicyInput) error {
	return s.detach(ctx, userHolders, access{caller: c, action: "iam:DetachUserPolicy"}, in.UserName, in.PolicyARN)
}

// DetachGroupPolicy takes a managed policy from a group.
func (s *Service) DetachGroupPolicy(ctx context.Context, c *authn.Caller, in *DetachGroupPolicyInput) error {
	return s.detach(ctx, groupHolders, access{caller: c, action: "iam:DetachGroupPolicy"}, in.GroupName, in.PolicyARN)
}

// DetachRolePolicy takes a managed policy from a role.
func (s *Service) DetachRolePolicy(ctx context.Context, c *authn.Caller, in *DetachRolePolicyInput) error {
	return s.detach(ctx, roleHolders, access{caller: c, action: "iam:DetachRolePolicy"}, in.RoleName, in.PolicyARN)
}

func (s *Service) attach(ctx context.Context, h *holders, a access, name, policyARN string) error {
	a, err := a.ofPolicy(policyARN)
	if err != nil {
		return err
	}
	return s.update(ctx, func(tx Tx) error {
		o, err := h.find(s, tx, a, name)
		if err != nil {
			return err
		}
		holder := o.key()
		switch _, err := s.attachable(tx, holder.Account, policyARN); {
		case errors.Is(err, ErrNotFound):
			return awserr.New(awserr.NoSuchEntity, "Policy "+policyARN+" does not exist or is not attachable.")
		case err != nil:
			return err
		}
		link := &Attachment{Account: holder.Account, Entity: holder.ID, PolicyARN: policyARN}
		if _, err := get[Attachment](tx, link.Account, link.Entity, link.PolicyARN); !errors.Is(err, ErrNotFound) {
			return err // nil: attached already
		}
		held := Query{Account: holder.Account, Parent: holder.ID}
		if err := within[Attachment](tx, held, h.attachedKey, h.attached(&s.quotas)); err != nil {
			return err
		}
		return put(tx, link)
	})
}

func (s *Service) detach(ctx context.Context, h *holders, a access, name, policyARN string) error {
	a, err := a.ofPolicy(policyARN)
	if err != nil {
		return err
	}
	return s.update(ctx, func(tx Tx) error {
		o, err := h.find(s, tx, a, name)
		if err != nil {
			return err
		}
		holder := o.key()
		link, err := get[Attachment](tx, holder.Account, holder.ID, policyARN)
		if errors.Is(err, ErrNotFound) {
			return awserr.New(awserr.NoSuchEntity, "Policy "+policyARN+" was not found.")
		}
		if err != nil {
			return err
		}
		return remove(tx, link)
	})
}

// ofPolicy completes a request to attach or detach: it is judged by the policy and by the entity's boundary.
func (a access) ofPolicy(policyARN string) (access, error) {
	if _, err := policyOwner(policyARN); err != nil {
		return access{}, err
	}
	a.bounded = true
	a.keys = func(ctx *policy.Context) { ctx.Set("iam:PolicyARN", policyARN) }
	return a, nil
}

// AttachedPolicy names a managed policy that is attached to an entity.
type AttachedPolicy struct {
	PolicyName string `aws:"PolicyName"`
	PolicyARN  string `aws:"PolicyArn"`
}

// ListAttachedPoliciesOutput is the output of the three operations that list attached policies.
type ListAttachedPoliciesOutput struct {
	AttachedPolicies []AttachedPolicy `aws:"AttachedPolicies,always"`
	PageOutput       `aws:",inline"`
}

// The outputs of listing attached policies, each under the name of its operation.
type (
	ListAttachedUserPoliciesOutput  = ListAttachedPoliciesOutput
	ListAttachedGroupPoliciesOutput = ListAttachedPoliciesOutput
	ListAttachedRolePoliciesOutput  = ListAttachedPoliciesOutput
)

// ListAttachedUserPoliciesInput is the input of ListAttachedUserPolicies.
type ListAttachedUserPoliciesInput struct {
	UserName   string `aws:"UserName,required" len:"1,64" pattern:"entityName"`
	PathPrefix string `aws:"PathPrefix" len:"1,512" pattern:"policyPath"`
	PageInput  `aws:",inline"`
}

// ListAttachedUserPolicies lists the managed policies attached to a user, not those of its groups.
func (s *Service) ListAttachedUserPolicies(
	ctx context.Context, c *authn.Caller, in *ListAttachedUserPoliciesInput,
) (*ListAttachedUserPoliciesOutput, error) {
	ask := access{caller: c, action: "iam:ListAttachedUserPolicies"}
	return s.listAttached(ctx, userHolders, ask, in.UserName, in.PathPrefix, in.PageInput)
}

// ListAttachedGroupPoliciesInput is the input of ListAttachedGroupPolicies.
type ListAttachedGroupPoliciesInput struct {
	GroupName  string `aws:"GroupName,required" len:"1,128" pattern:"entityName"`
	PathPrefix string `aws:"PathPrefix" len:"1,512" pattern:"policyPath"`
	PageInput  `aws:",inline"`
}

// ListAttachedGroupPolicies lists the managed policies attached to a group.
func (s *Service) ListAttachedGroupPolicies(
	ctx context.Context, c *authn.Caller, in *ListAttachedGroupPoliciesInput,
) (*ListAttachedGroupPoliciesOutput, error) {
	ask := access{caller: c, action: "iam:ListAttachedGroupPolicies"}
	return s.listAttached(ctx, groupHolders, ask, in.GroupName, in.PathPrefix, in.PageInput)
}

// ListAttachedRolePoliciesInput is the input of ListAttachedRolePolicies.
type ListAttachedRolePoliciesInput struct {
	RoleName   string `aws:"RoleName,required" len:"1,64" pattern:"entityName"`
	PathPrefix string `aws:"PathPrefix" len:"1,512" pattern:"policyPath"`
	PageInput  `aws:",inline"`
}

// ListAttachedRolePolicies lists the managed policies attached to a role.
func (s *Service) ListAttachedRolePolicies(
	ctx context.Context, c *authn.Caller, in *ListAttachedRolePoliciesInput,
) (*ListAttachedRolePoliciesOutput, error) {
	ask := access{caller: c, action: "iam:ListAttachedRolePolicies"}
	return s.listAttached(ctx, roleHolders, ask, in.RoleName, in.PathPrefix, in.PageInput)
}

func (s *Service) listAttached(
	ctx context.Context, h *holders, a access, name, pathPrefix string, in PageInput,
) (*ListAttachedPoliciesOutput, error) {
	return read(ctx, s, func(tx Tx) (*ListAttachedPoliciesOutput, error) {
		o, err := h.find(s, tx, a, name)
		if err != nil {
			return nil, err
		}
		all, err := attachedPolicies(tx, o)
		if err != nil {
			return nil, err
		}
		all = slices.DeleteFunc(all, func(p AttachedPolicy) bool { return !hasPath(p.PolicyARN, pathPrefix) })
		policies, next, err := pageOf(all, in, attachedOrder)
		return &ListAttachedPoliciesOutput{AttachedPolicies: policies, PageOutput: next}, err
	})
}

// attachedPolicies lists the managed policies attached to a user, group or role. All that is shown of them stands in the
// ARN, which cannot change.
func attachedPolicies(tx Tx, holder object) ([]AttachedPolicy, error) {
	key := holder.key()
	links, err := list[Attachment](tx, Query{Account: key.Account, Parent: key.ID})
	if err != nil {
		return nil, err
	}
	all := make([]AttachedPolicy, len(links))
	for i, link := range links {
		all[i] = AttachedPolicy{PolicyName: link.PolicyARN[strings.LastIndexByte(link.PolicyARN, '/')+1:], PolicyARN: link.PolicyARN}
	}
	slices.SortFunc(all, func(a, b AttachedPolicy) int { return strings.Compare(attachedOrder(a), attachedOrder(b)) })
	return all, nil
}

func attachedOrder(p AttachedPolicy) string { return policyOrder(p.PolicyARN, p.PolicyName) }

// hasPath tells whether the path of a managed policy begins with prefix.
func hasPath(policyARN, prefix string) bool {
	a, err := arn.Parse(policyARN)
	return err == nil && strings.HasPrefix(strings.TrimPrefix(a.Resource, "policy"), prefix)
}

// withoutPolicies refuses to delete a user, group or role that still holds policies.
func withoutPolicies(tx Tx, holder object) error {
	key := holder.key()
	q := Query{Account: key.Account, Parent: key.ID}
	if err := without[Attachment](tx, q, "must detach all policies first."); err != nil {
		return err
	}
	return without[InlinePolicy](tx, q, "must delete policies first.")
}

// without refuses to delete an entity while objects of type T that q selects depend on it.
func without[T any, P pointer[T]](tx Tx, q Query, must string) error {
	n, err := count[T, P](tx, q)
	if err != nil {
		return err
	}
	if n > 0 {
		return awserr.New(awserr.DeleteConflict, "Cannot delete entity, "+must)
	}
	return nil
}
