package iam

import (
	"context"
	"errors"
	"fmt"

	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/policy"
)

// PutUserPolicyInput is the input of PutUserPolicy.
type PutUserPolicyInput struct {
	UserName       string `aws:"UserName,required" len:"1,128" pattern:"entityName"`
	PolicyName     string `aws:"PolicyName,required" len:"1,128" pattern:"policyName"`
	PolicyDocument string `aws:"PolicyDocument,required" len:"1,131072" pattern:"policyDocument"`
}

// PutUserPolicy embeds a policy in a user, or replaces the one of that name.
func (s *Service) PutUserPolicy(ctx context.Context, c *authn.Caller, in *PutUserPolicyInput) error {
	return s.putInline(ctx, userHolders, access{caller: c, action: "iam:PutUserPolicy"}, in.UserName, in.PolicyName, in.PolicyDocument)
}

// PutGroupPolicyInput is the input of PutGroupPolicy.
type PutGroupPolicyInput struct {
	GroupName      string `aws:"GroupName,required" len:"1,128" pattern:"entityName"`
	PolicyName     string `aws:"PolicyName,required" len:"1,128" pattern:"policyName"`
	PolicyDocument string `aws:"PolicyDocument,required" len:"1,131072" pattern:"policyDocument"`
}

// PutGroupPolicy embeds a policy in a group, or replaces the one of that name.
func (s *Service) PutGroupPolicy(ctx context.Context, c *authn.Caller, in *PutGroupPolicyInput) error {
	return s.putInline(ctx, groupHolders, access{caller: c, action: "iam:PutGroupPolicy"}, in.GroupName, in.PolicyName, in.PolicyDocument)
}

// PutRolePolicyInput is the input of PutRolePolicy.
type PutRolePolicyInput struct {
	RoleName       string `aws:"RoleName,required" len:"1,64" pattern:"entityName"`
	PolicyName     string `aws:"PolicyName,required" len:"1,128" pattern:"policyName"`
	PolicyDocument string `aws:"PolicyDocument,required" len:"1,131072" pattern:"policyDocument"`
}

// PutRolePolicy embeds a policy in a role, or replaces the one of that name.
func (s *Service) PutRolePolicy(ctx context.Context, c *authn.Caller, in *PutRolePolicyInput) error {
	return s.putInline(ctx, roleHolders, access{caller: c, action: "iam:PutRolePolicy"}, in.RoleName, in.PolicyName, in.PolicyDocument)
}

func (s *Service) putInline(ctx context.Context, h *holders, a access, name, policyName, document string) error {
	a.bounded = true
	return s.update(ctx, func(tx Tx) error {
		o, err := h.find(s, tx, a, name)
		if err != nil {
			return err
		}
		d, err := parsePolicy(policy.Identity, document)
		if err != nil {
			return err
		}
		holder := o.key()
		size, err := inlineSize(tx, holder, policyName)
		if err != nil {
			return err
		}
		if limit := h.inline(&s.quotas); size+d.Size() > limit {
			return awserr.Newf(awserr.LimitExceeded, "Maximum policy size of %d bytes exceeded for %s %s", limit, h.noun, name)
		}
		p, err := get[InlinePolicy](tx, holder.Account, holder.ID, policyName)
		if errors.Is(err, ErrNotFound) {
			p, err = &InlinePolicy{Account: holder.Account, Entity: holder.ID, Name: policyName}, nil
		}
		if err != nil {
			return err
		}
		p.Document = document
		return put(tx, p)
	})
}

// inlineSize is the size of all inline policies of a holder but the one named.
func inlineSize(tx Tx, holder Record, except string) (int, error) {
	all, err := list[InlinePolicy](tx, Query{Account: holder.Account, Parent: holder.ID})
	if err != nil {
		return 0, err
	}
	size := 0
	for _, p := range all {
		if p.Name == except {
			continue
		}
		d, err := policy.Parse(policy.Identity, p.Document)
		if err != nil {
			return 0, fmt.Errorf("inline policy %s of %s: %w", p.Name, holder.ID, err)
		}
		size += d.Size()
	}
	return size, nil
}

// UserPolicyName names an inline policy of a user.
type UserPolicyName struct {
	UserName   string `aws:"UserName,required" len:"1,128" pattern:"entityName"`
	PolicyName string `aws:"PolicyName,required" len:"1,128" pattern:"policyName"`
}

// GroupPolicyName names an inline policy of a group.
type GroupPolicyName struct {
	GroupName  string `aws:"GroupName,required" len:"1,128" pattern:"entityName"`
	PolicyName string `aws:"PolicyName,required" len:"1,128" pattern:"policyName"`
}

// RolePolicyName names an inline policy of a role.
type RolePolicyName struct {
	RoleName   string `aws:"RoleName,required" len:"1,64" pattern:"entityName"`
	PolicyName string `aws:"PolicyName,required" len:"1,128" pattern:"policyName"`
}

// The inputs of reading and deleting an inline policy, each under the name of its operation.
type (
	GetUserPolicyInput     UserPolicyName
	GetGroupPolicyInput    GroupPolicyName
	GetRolePolicyInput     RolePolicyName
	DeleteUserPolicyInput  UserPolicyName
	DeleteGroupPolicyInput GroupPolicyName
	DeleteRolePolicyInput  RolePolicyName
)

// GetUserPolicyOutput is the output of GetUserPolicy.
type GetUserPolicyOutput struct {
	UserName       string `aws:"UserName"`
	PolicyName     string `aws:"PolicyName"`
	PolicyDocument string `aws:"PolicyDocument,urlencoded"`
}

// GetUserPolicy returns an inline policy of a user as it was given.
func (s *Service) GetUserPolicy(ctx context.Context, c *authn.Caller, in *GetUserPolicyInput) (*GetUserPolicyOutput, error) {
	p, err := s.getInline(ctx, userHolders, access{caller: c, action: "iam:GetUserPolicy"}, in.UserName, in.PolicyName)
	if err != nil {
		return nil, err
	}
	return &GetUserPolicyOutput{in.UserName, p.Name, p.Document}, nil
}

// GetGroupPolicyOutput is the output of GetGroupPolicy.
type GetGroupPolicyOutput struct {
	GroupName      string `aws:"GroupName"`
	PolicyName     string `aws:"PolicyName"`
	PolicyDocument string `aws:"PolicyDocument,urlencoded"`
}

// GetGroupPolicy returns an inline policy of a group as it was given.
func (s *Service) GetGroupPolicy(ctx context.Context, c *authn.Caller, in *GetGroupPolicyInput) (*GetGroupPolicyOutput, error) {
	p, err := s.getInline(ctx, groupHolders, access{caller: c, action: "iam:GetGroupPolicy"}, in.GroupName, in.PolicyName)
	if err != nil {
		return nil, err
	}
	return &GetGroupPolicyOutput{in.GroupName, p.Name, p.Document}, nil
}

// GetRolePolicyOutput is the output of GetRolePolicy.
type GetRolePolicyOutput struct {
	RoleName       string `aws:"RoleName"`
	PolicyName     string `aws:"PolicyName"`
	PolicyDocument string `aws:"PolicyDocument,urlencoded"`
}

// GetRolePolicy returns an inline policy of a role as it was given.
func (s *Service) GetRolePolicy(ctx context.Context, c *authn.Caller, in *GetRolePolicyInput) (*GetRolePolicyOutput, error) {
	p, err := s.getInline(ctx, roleHolders, access{caller: c, action: "iam:GetRolePolicy"}, in.RoleName, in.PolicyName)
	if err != nil {
		return nil, err
	}
	return &GetRolePolicyOutput{in.RoleName, p.Name, p.Document}, nil
}

func (s *Service) getInline(ctx context.Context, h *holders, a access, name, policyName string) (*InlinePolicy, error) {
	return read(ctx, s, func(tx Tx) (*InlinePolicy, error) { return s.inline(tx, h, a, name, policyName) })
}

// DeleteUserPolicy deletes an inline policy of a user.
func (s *Service) DeleteUserPolicy(ctx context.Context, c *authn.Caller, in *DeleteUserPolicyInput) error {
	return s.deleteInline(ctx, userHolders, access{caller: c, action: "iam:DeleteUserPolicy"}, in.UserName, in.PolicyName)
}

// DeleteGroupPolicy deletes an inline policy of a group.
func (s *Service) DeleteGroupPolicy(ctx context.Context, c *authn.Caller, in *DeleteGroupPolicyInput) error {
	return s.deleteInline(ctx, groupHolders, access{caller: c, action: "iam:DeleteGroupPolicy"}, in.GroupName, in.PolicyName)
}

// DeleteRolePolicy deletes an inline policy of a role.
func (s *Service) DeleteRolePolicy(ctx context.Context, c *authn.Caller, in *DeleteRolePolicyInput) error {
	return s.deleteInline(ctx, roleHolders, access{caller: c, action: "iam:DeleteRolePolicy"}, in.RoleName, in.PolicyName)
}

func (s *Service) deleteInline(ctx context.Context, h *holders, a access, name, policyName string) error {
	a.bounded = true
	return s.update(ctx, func(tx Tx) error {
		p, err := s.inline(tx, h, a, name, policyName)
		if err != nil {
			return err
		}
		return remove(tx, p)
	})
}

// inline returns an inline policy of a holder if the caller may do the action on the holder.
func (s *Service) inline(tx Tx, h *holders, a access, name, policyName string) (*InlinePolicy, error) {
	o, err := h.find(s, tx, a, name)
	if err != nil {
		return nil, err
	}
	holder := o.key()
	p, err := get[InlinePolicy](tx, holder.Account, holder.ID, policyName)
	if errors.Is(err, ErrNotFound) {
		return nil, awserr.New(awserr.NoSuchEntity, "The "+h.noun+" policy with name "+policyName+" cannot be found.")
	}
	return p, err
}

// PolicyNamesOutput is the output of the three operations that list inline policies.
type PolicyNamesOutput struct {
	PolicyNames []string `aws:"PolicyNames,always"`
	PageOutput  `aws:",inline"`
}

// The outputs of listing inline policies, each under the name of its operation.
type (
	ListUserPoliciesOutput  = PolicyNamesOutput
	ListGroupPoliciesOutput = PolicyNamesOutput
	ListRolePoliciesOutput  = PolicyNamesOutput
)

// ListUserPoliciesInput is the input of ListUserPolicies.
type ListUserPoliciesInput struct {
	UserName  string `aws:"UserName,required" len:"1,128" pattern:"entityName"`
	PageInput `aws:",inline"`
}

// ListUserPolicies lists the names of a user's inline policies.
func (s *Service) ListUserPolicies(ctx context.Context, c *authn.Caller, in *ListUserPoliciesInput) (*ListUserPoliciesOutput, error) {
	return s.listInline(ctx, userHolders, access{caller: c, action: "iam:ListUserPolicies"}, in.UserName, in.PageInput)
}

// ListGroupPoliciesInput is the input of ListGroupPolicies.
type ListGroupPoliciesInput struct {
	GroupName string `aws:"GroupName,required" len:"1,128" pattern:"entityName"`
	PageInput `aws:",inline"`
}

// ListGroupPolicies lists the names of a group's inline policies.
func (s *Service) ListGroupPolicies(ctx context.Context, c *authn.Caller, in *ListGroupPoliciesInput) (*ListGroupPoliciesOutput, error) {
	return s.listInline(ctx, groupHolders, access{caller: c, action: "iam:ListGroupPolicies"}, in.GroupName, in.PageInput)
}

// ListRolePoliciesInput is the input of ListRolePolicies.
type ListRolePoliciesInput struct {
	RoleName  string `aws:"RoleName,required" len:"1,64" pattern:"entityName"`
	PageInput `aws:",inline"`
}

// ListRolePolicies lists the names of a role's inline policies.
func (s *Service) ListRolePolicies(ctx context.Context, c *authn.Caller, in *ListRolePoliciesInput) (*ListRolePoliciesOutput, error) {
	return s.listInline(ctx, roleHolders, access{caller: c, action: "iam:ListRolePolicies"}, in.RoleName, in.PageInput)
}

func (s *Service) listInline(ctx context.Context, h *holders, a access, name string, in PageInput) (*PolicyNamesOutput, error) {
	return read(ctx, s, func(tx Tx) (*PolicyNamesOutput, error) {
		o, err := h.find(s, tx, a, name)
		if err != nil {
			return nil, err
		}
		holder := o.key()
		policies, next, err := page(tx, Query{Account: holder.Account, Parent: holder.ID}, in, byName[*InlinePolicy])
		out := &PolicyNamesOutput{PageOutput: next}
		for _, p := range policies {
			out.PolicyNames = append(out.PolicyNames, p.Name)
		}
		return out, err
	})
}

// InlinePolicyDetail is how the account's dump shows an inline policy.
type InlinePolicyDetail struct {
	PolicyName     string `aws:"PolicyName"`
	PolicyDocument string `aws:"PolicyDocument,urlencoded"`
}

// inlinePolicies lists the inline policies of a user, group or role with their documents.
func inlinePolicies(tx Tx, holder object) ([]InlinePolicyDetail, error) {
	key := holder.key()
	policies, err := list[InlinePolicy](tx, Query{Account: key.Account, Parent: key.ID})
	if err != nil {
		return nil, err
	}
	all := make([]InlinePolicyDetail, len(policies))
	for i, p := range policies {
		all[i] = InlinePolicyDetail{p.Name, p.Document}
	}
	return all, nil
}
