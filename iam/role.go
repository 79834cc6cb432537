package iam

import (
	"context"
	"time"

	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/signer"
)

// defaultMaxSession is a role's MaxSessionDuration unless it is given (AWS IAM API reference, CreateRole).
const defaultMaxSession = time.Hour

// RoleInfo is how answers show a role.
type RoleInfo struct {
	Path                     string               `aws:"Path"`
	RoleName                 string               `aws:"RoleName"`
	RoleID                   string               `aws:"RoleId"`
	ARN                      string               `aws:"Arn"`
	CreateDate               time.Time            `aws:"CreateDate"`
	AssumeRolePolicyDocument string               `aws:"AssumeRolePolicyDocument,urlencoded"`
	Description              string               `aws:"Description"`
	MaxSessionDuration       *int32               `aws:"MaxSessionDuration"`
	PermissionsBoundary      *PermissionsBoundary `aws:"PermissionsBoundary"`
	Tags                     []Tag                `aws:"Tags"`
	RoleLastUsed             *RoleLastUsed        `aws:"RoleLastUsed"`
}

// RoleLastUsed tells when a role's credentials were last used, and in which region; it is empty for one that was not.
type RoleLastUsed struct {
	LastUsedDate time.Time `aws:"LastUsedDate"`
	Region       string    `aws:"Region"`
}

// wireRole shows a role; brief, as lists do, without boundary, tags and last use.
func wireRole(tx Tx, r *Role, brief bool) (RoleInfo, error) {
	trust, err := shownTrust(tx, r)
	if err != nil {
		return RoleInfo{}, err
	}
	seconds := int32(r.MaxSessionDuration / time.Second)
	info := RoleInfo{
		Path: r.Path, RoleName: r.Name, RoleID: r.ID, ARN: r.ARN(), CreateDate: r.CreateDate,
		AssumeRolePolicyDocument: trust, Description: r.Description, MaxSessionDuration: &seconds,
	}
	if !brief {
		info.PermissionsBoundary, info.Tags = wireBoundary(r.Boundary), r.Tags
		use, err := lastUsed(tx, Use{ID: r.ID, At: r.LastUsed, Region: r.LastUsedRegion})
		if err != nil {
			return RoleInfo{}, err
		}
		info.RoleLastUsed = &RoleLastUsed{LastUsedDate: use.At, Region: use.Region}
	}
	return info, nil
}

// CreateRoleInput is the input of CreateRole.
type CreateRoleInput struct {
	Path                     string `aws:"Path" len:"1,512" pattern:"path"` // default "/"
	RoleName                 string `aws:"RoleName,required" len:"1,64" pattern:"entityName"`
	AssumeRolePolicyDocument string `aws:"AssumeRolePolicyDocument,required" len:"1,131072" pattern:"policyDocument"`
	Description              string `aws:"Description" len:"0,1000" pattern:"description"`
	MaxSessionDuration       *int32 `aws:"MaxSessionDuration" range:"3600,129600"` // seconds
	PermissionsBoundary      string `aws:"PermissionsBoundary" len:"20,2048"`
	Tags                     []Tag  `aws:"Tags" len:"0,50"`
}

// CreateRoleOutput is the output of CreateRole.
type CreateRoleOutput struct {
	Role RoleInfo `aws:"Role"`
}

// CreateRole makes a role without permissions that the principals of its trust policy may assume. With tags it needs
// iam:TagRole as well.
func (s *Service) CreateRole(ctx context.Context, c *authn.Caller, in *CreateRoleInput) (*CreateRoleOutput, error) {
	return change(ctx, s, func(tx Tx) (*CreateRoleOutput, error) {
		r := &Role{
			Account: c.Account, Name: in.RoleName, Path: pathOrRoot(in.Path), Description: in.Description,
			Boundary: in.PermissionsBoundary, CreateDate: s.today(), MaxSessionDuration: defaultMaxSession,
		}
		bounded := boundaryKey(in.PermissionsBoundary)
		if err := allowCreate(c, "iam:CreateRole", "iam:TagRole", r.ARN(), in.Tags, bounded); err != nil {
			return nil, err
		}
		if err := s.setMaxSession(r, in.MaxSessionDuration); err != nil {
			return nil, err
		}
		if err := s.setTrust(tx, r, in.AssumeRolePolicyDocument); err != nil {
			return nil, err
		}
		if err := s.admitRole(tx, r); err != nil {
			return nil, err
		}
		var err error
		if r.Tags, err = s.mergeTags(nil, in.Tags); err != nil {
			return nil, err
		}
		if r.ID, err = s.newID(signer.PrefixRole, c.Account); err != nil {
			return nil, err
		}
		if err := s.setBoundary(tx, r.Account, r.ID, r.Boundary); err != nil {
			return nil, err
		}
		info, err := wireRole(tx, r, false)
		if err != nil {
			return nil, err
		}
		// The answer to the creation leaves these out, unlike GetRole.
		info.RoleLastUsed = nil
		if in.MaxSessionDuration == nil {
			info.MaxSessionDuration = nil
		}
		return &CreateRoleOutput{Role: info}, put(tx, r)
	})
}

// admitRole checks that the account has room for the role and its name is free.
func (s *Service) admitRole(tx Tx, r *Role) error {
	if err := vacant[Role](tx, r.Account, r.Name, "Role with name "+r.Name+" already exists."); err != nil {
		return err
	}
	return within[Role](tx, Query{Account: r.Account}, "RolesPerAccount", s.quotas.RolesPerAccount)
}

// setMaxSession sets the longest session that the role gives, when it is given; an installation may stop short of the shape's
// range.
func (s *Service) setMaxSession(r *Role, seconds *int32) error {
	if seconds == nil {
		return nil
	}
	if int(*seconds) > s.quotas.MaxSessionDuration {
		return awserr.Newf(awserr.ValidationError, "1 validation error detected: Value '%d' at 'maxSessionDuration' failed to "+
			"satisfy constraint: Member must have value less than or equal to %d", *seconds, s.quotas.MaxSessionDuration)
	}
	r.MaxSessionDuration = time.Duration(*seconds) * time.Second
	return nil
}

// GetRoleInput is the input of GetRole.
type GetRoleInput struct {
	RoleName string `aws:"RoleName,required" len:"1,64" pattern:"entityName"`
}

// GetRoleOutput is the output of GetRole.
type GetRoleOutput struct {
	Role RoleInfo `aws:"Role"`
}

// GetRole shows a role with its trust policy.
func (s *Service) GetRole(ctx context.Context, c *authn.Caller, in *GetRoleInput) (*GetRoleOutput, error) {
	return read(ctx, s, func(tx Tx) (*GetRoleOutput, error) {
		r, err := s.role(tx, access{caller: c, action: "iam:GetRole"}, in.RoleName)
		if err != nil {
			return nil, err
		}
		info, err := wireRole(tx, r, false)
		return &GetRoleOutput{Role: info}, err
	})
}

// ListRolesInput is the input of ListRoles.
type ListRolesInput struct {
	PathPrefix string `aws:"PathPrefix" len:"1,512" pattern:"pathPrefix"` // default "/"
	PageInput  `aws:",inline"`
}

// ListRolesOutput is the output of ListRoles.
type ListRolesOutput struct {
	Roles      []RoleInfo `aws:"Roles,always"`
	PageOutput `aws:",inline"`
}

// ListRoles shows the account's roles whose path begins with a prefix, in order of their names.
func (s *Service) ListRoles(ctx context.Context, c *authn.Caller, in *ListRolesInput) (*ListRolesOutput, error) {
	return read(ctx, s, func(tx Tx) (*ListRolesOutput, error) {
		if err := (access{caller: c, action: "iam:ListRoles"}).list("role", in.PathPrefix); err != nil {
			return nil, err
		}
		roles, next, err := page(tx, Query{Account: c.Account, PathPrefix: in.PathPrefix}, in.PageInput, byName[*Role])
		if err != nil {
			return nil, err
		}
		out := &ListRolesOutput{PageOutput: next}
		for _, r := range roles {
			info, err := wireRole(tx, r, true)
			if err != nil {
				return nil, err
			}
			out.Roles = append(out.Roles, info)
		}
		return out, nil
	})
}

// UpdateRoleInput is the input of UpdateRole. What is left out stays as it is.
type UpdateRoleInput struct {
	RoleName           string  `aws:"RoleName,required" len:"1,64" pattern:"entityName"`
	Description        *string `aws:"Description" len:"0,1000" pattern:"description"`
	MaxSessionDuration *int32  `aws:"MaxSessionDuration" range:"3600,129600"` // seconds
}

// UpdateRoleOutput is the output of UpdateRole.
type UpdateRoleOutput struct{}

// UpdateRole changes a role's description and its longest session.
func (s *Service) UpdateRole(ctx context.Context, c *authn.Caller, in *UpdateRoleInput) (*UpdateRoleOutput, error) {
	return change(ctx, s, func(tx Tx) (*UpdateRoleOutput, error) {
		r, err := s.role(tx, access{caller: c, action: "iam:UpdateRole"}, in.RoleName)
		if err != nil {
			return nil, err
		}
		if in.Description != nil {
			r.Description = *in.Description
		}
		if err := s.setMaxSession(r, in.MaxSessionDuration); err != nil {
			return nil, err
		}
		return &UpdateRoleOutput{}, put(tx, r)
	})
}

// UpdateRoleDescriptionInput is the input of UpdateRoleDescription.
type UpdateRoleDescriptionInput struct {
	RoleName    string  `aws:"RoleName,required" len:"1,64" pattern:"entityName"`
	Description *string `aws:"Description,required" len:"0,1000" pattern:"description"`
}

// UpdateRoleDescriptionOutput is the output of UpdateRoleDescription.
type UpdateRoleDescriptionOutput struct {
	Role RoleInfo `aws:"Role"`
}

// UpdateRoleDescription changes a role's description and shows the role; UpdateRole has taken its place.
func (s *Service) UpdateRoleDescription(
	ctx context.Context, c *authn.Caller, in *UpdateRoleDescriptionInput,
) (*UpdateRoleDescriptionOutput, error) {
	return change(ctx, s, func(tx Tx) (*UpdateRoleDescriptionOutput, error) {
		r, err := s.role(tx, access{caller: c, action: "iam:UpdateRoleDescription"}, in.RoleName)
		if err != nil {
			return nil, err
		}
		r.Description = *in.Description
		info, err := wireRole(tx, r, false)
		if err != nil {
			return nil, err
		}
		return &UpdateRoleDescriptionOutput{Role: info}, put(tx, r)
	})
}

// UpdateAssumeRolePolicyInput is the input of UpdateAssumeRolePolicy.
type UpdateAssumeRolePolicyInput struct {
	RoleName       string `aws:"RoleName,required" len:"1,64" pattern:"entityName"`
	PolicyDocument string `aws:"PolicyDocument,required" len:"1,131072" pattern:"policyDocument"`
}

// UpdateAssumeRolePolicy replaces a role's trust policy.
func (s *Service) UpdateAssumeRolePolicy(ctx context.Context, c *authn.Caller, in *UpdateAssumeRolePolicyInput) error {
	return s.update(ctx, func(tx Tx) error {
		r, err := s.role(tx, access{caller: c, action: "iam:UpdateAssumeRolePolicy"}, in.RoleName)
		if err != nil {
			return err
		}
		if err := s.setTrust(tx, r, in.PolicyDocument); err != nil {
			return err
		}
		return put(tx, r)
	})
}

// DeleteRoleInput is the input of DeleteRole.
type DeleteRoleInput struct {
	RoleName string `aws:"RoleName,required" len:"1,64" pattern:"entityName"`
}

// DeleteRole removes a role that holds no policies and is in no instance profile any more. Trust policies that name it keep
// its unique id, which nothing will have again.
func (s *Service) DeleteRole(ctx context.Context, c *authn.Caller, in *DeleteRoleInput) error {
	return s.update(ctx, func(tx Tx) error {
		r, err := s.role(tx, access{caller: c, action: "iam:DeleteRole"}, in.RoleName)
		if err != nil {
			return err
		}
		profiles := Query{Account: r.Account, Target: r.ID}
		if err := without[InstanceProfile](tx, profiles, "must remove roles from instance profile first."); err != nil {
			return err
		}
		if err := withoutPolicies(tx, r); err != nil {
			return err
		}
		if err := s.setBoundary(tx, r.Account, r.ID, ""); err != nil {
			return err
		}
		return remove(tx, r)
	})
}

// TagRoleInput is the input of TagRole.
type TagRoleInput struct {
	RoleName string `aws:"RoleName,required" len:"1,64" pattern:"entityName"`
	Tags     []Tag  `aws:"Tags,required" len:"0,50"`
}

// TagRole adds tags to a role, or replaces those that have the same key.
func (s *Service) TagRole(ctx context.Context, c *authn.Caller, in *TagRoleInput) error {
	return s.update(ctx, func(tx Tx) error {
		r, err := s.role(tx, access{caller: c, action: "iam:TagRole", tags: in.Tags}, in.RoleName)
		if err != nil {
			return err
		}
		if r.Tags, err = s.mergeTags(r.Tags, in.Tags); err != nil {
			return err
		}
		return put(tx, r)
	})
}

// UntagRoleInput is the input of UntagRole.
type UntagRoleInput struct {
	RoleName string   `aws:"RoleName,required" len:"1,64" pattern:"entityName"`
	TagKeys  []string `aws:"TagKeys,required" len:"0,50" itemlen:"1,128" itempattern:"tagKey"`
}

// UntagRole removes tags from a role. Keys that it does not have are passed over.
func (s *Service) UntagRole(ctx context.Context, c *authn.Caller, in *UntagRoleInput) error {
	return s.update(ctx, func(tx Tx) error {
		r, err := s.role(tx, access{caller: c, action: "iam:UntagRole", tagKeys: in.TagKeys}, in.RoleName)
		if err != nil {
			return err
		}
		r.Tags = removeTags(r.Tags, in.TagKeys)
		return put(tx, r)
	})
}

// ListRoleTagsInput is the input of ListRoleTags.
type ListRoleTagsInput struct {
	RoleName  string `aws:"RoleName,required" len:"1,64" pattern:"entityName"`
	PageInput `aws:",inline"`
}

// ListRoleTagsOutput is the output of ListRoleTags.
type ListRoleTagsOutput struct {
	Tags       []Tag `aws:"Tags,always"`
	PageOutput `aws:",inline"`
}

// ListRoleTags shows a role's tags in order of their keys.
func (s *Service) ListRoleTags(ctx context.Context, c *authn.Caller, in *ListRoleTagsInput) (*ListRoleTagsOutput, error) {
	return read(ctx, s, func(tx Tx) (*ListRoleTagsOutput, error) {
		r, err := s.role(tx, access{caller: c, action: "iam:ListRoleTags"}, in.RoleName)
		if err != nil {
			return nil, err
		}
		tags, next, err := pageTags(r.Tags, in.PageInput)
		return &ListRoleTagsOutput{Tags: tags, PageOutput: next}, err
	})
}
