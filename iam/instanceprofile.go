package iam

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/signer"
)

// InstanceProfileInfo is how answers show an instance profile.
type InstanceProfileInfo struct {
	Path                string     `aws:"Path"`
	InstanceProfileName string     `aws:"InstanceProfileName"`
	InstanceProfileID   string     `aws:"InstanceProfileId"`
	ARN                 string     `aws:"Arn"`
	CreateDate          time.Time  `aws:"CreateDate"`
	Roles               []RoleInfo `aws:"Roles,always"` // none or one
	Tags                []Tag      `aws:"Tags"`
}

// wireInstanceProfile shows an instance profile with its role; brief, as lists do, without tags.
func wireInstanceProfile(tx Tx, p *InstanceProfile, brief bool) (InstanceProfileInfo, error) {
	info := InstanceProfileInfo{
		Path: p.Path, InstanceProfileName: p.Name, InstanceProfileID: p.ID, ARN: p.ARN(), CreateDate: p.CreateDate,
	}
	if !brief {
		info.Tags = p.Tags
	}
	if p.RoleID == "" {
		return info, nil
	}
	r, err := byID[Role](tx, p.RoleID)
	if err != nil {
		return info, err
	}
	role, err := wireRole(tx, r, true)
	info.Roles = []RoleInfo{role}
	return info, err
}

func wireInstanceProfiles(tx Tx, profiles []*InstanceProfile) ([]InstanceProfileInfo, error) {
	infos := make([]InstanceProfileInfo, len(profiles))
	for i, p := range profiles {
		var err error
		if infos[i], err = wireInstanceProfile(tx, p, true); err != nil {
			return nil, err
		}
	}
	return infos, nil
}

// CreateInstanceProfileInput is the input of CreateInstanceProfile.
type CreateInstanceProfileInput struct {
	InstanceProfileName string `aws:"InstanceProfileName,required" len:"1,128" pattern:"entityName"`
	Path                string `aws:"Path" len:"1,512" pattern:"path"` // default "/"
	Tags                []Tag  `aws:"Tags" len:"0,50"`
}

// CreateInstanceProfileOutput is the output of CreateInstanceProfile.
type CreateInstanceProfileOutput struct {
	InstanceProfile InstanceProfileInfo `aws:"InstanceProfile"`
}

// CreateInstanceProfile makes an instance profile without a role. With tags it needs iam:TagInstanceProfile as well.
func (s *Service) CreateInstanceProfile(
	ctx context.Context, c *authn.Caller, in *CreateInstanceProfileInput,
) (*CreateInstanceProfileOutput, error) {
	return change(ctx, s, func(tx Tx) (*CreateInstanceProfileOutput, error) {
		p := &InstanceProfile{Account: c.Account, Name: in.InstanceProfileName, Path: pathOrRoot(in.Path), CreateDate: s.today()}
		if err := allowCreate(c, "iam:CreateInstanceProfile", "iam:TagInstanceProfile", p.ARN(), in.Tags, nil); err != nil {
			return nil, err
		}
		if err := s.admitInstanceProfile(tx, p); err != nil {
			return nil, err
		}
		var err error
		if p.Tags, err = s.mergeTags(nil, in.Tags); err != nil {
			return nil, err
		}
		if p.ID, err = s.newID(signer.PrefixInstanceProfile, c.Account); err != nil {
			return nil, err
		}
		if err := put(tx, p); err != nil {
			return nil, err
		}
		info, err := wireInstanceProfile(tx, p, false)
		return &CreateInstanceProfileOutput{InstanceProfile: info}, err
	})
}

// admitInstanceProfile checks that the account has room for the instance profile and its name is free.
func (s *Service) admitInstanceProfile(tx Tx, p *InstanceProfile) error {
	if err := vacant[InstanceProfile](tx, p.Account, p.Name, "Instance Profile "+p.Name+" already exists."); err != nil {
		return err
	}
	q := Query{Account: p.Account}
	return within[InstanceProfile](tx, q, "InstanceProfilesPerAccount", s.quotas.InstanceProfilesPerAccount)
}

// GetInstanceProfileInput is the input of GetInstanceProfile.
type GetInstanceProfileInput struct {
	InstanceProfileName string `aws:"InstanceProfileName,required" len:"1,128" pattern:"entityName"`
}

// GetInstanceProfileOutput is the output of GetInstanceProfile.
type GetInstanceProfileOutput struct {
	InstanceProfile InstanceProfileInfo `aws:"InstanceProfile"`
}

// GetInstanceProfile shows an instance profile and its role.
func (s *Service) GetInstanceProfile(
	ctx context.Context, c *authn.Caller, in *GetInstanceProfileInput,
) (*GetInstanceProfileOutput, error) {
	return read(ctx, s, func(tx Tx) (*GetInstanceProfileOutput, error) {
		p, err := s.instanceProfile(tx, access{caller: c, action: "iam:GetInstanceProfile"}, in.InstanceProfileName)
		if err != nil {
			return nil, err
		}
		info, err := wireInstanceProfile(tx, p, false)
		return &GetInstanceProfileOutput{InstanceProfile: info}, err
	})
}

// ListInstanceProfilesInput is the input of ListInstanceProfiles.
type ListInstanceProfilesInput struct {
	PathPrefix string `aws:"PathPrefix" len:"1,512" pattern:"pathPrefix"` // default "/"
	PageInput  `aws:",inline"`
}

// ListInstanceProfilesOutput is the output of ListInstanceProfiles.
type ListInstanceProfilesOutput struct {
	InstanceProfiles []InstanceProfileInfo `aws:"InstanceProfiles,always"`
	PageOutput       `aws:",inline"`
}

// ListInstanceProfiles shows the account's instance profiles whose path begins with a prefix, in order of their names.
func (s *Service) ListInstanceProfiles(
	ctx context.Context, c *authn.Caller, in *ListInstanceProfilesInput,
) (*ListInstanceProfilesOutput, error) {
	return read(ctx, s, func(tx Tx) (*ListInstanceProfilesOutput, error) {
		if err := (access{caller: c, action: "iam:ListInstanceProfiles"}).list("instance-profile", in.PathPrefix); err != nil {
			return nil, err
		}
		q := Query{Account: c.Account, PathPrefix: in.PathPrefix}
		profiles, next, err := page(tx, q, in.PageInput, byName[*InstanceProfile])
		if err != nil {
			return nil, err
		}
		infos, err := wireInstanceProfiles(tx, profiles)
		return &ListInstanceProfilesOutput{InstanceProfiles: infos, PageOutput: next}, err
	})
}

// ListInstanceProfilesForRoleInput is the input of ListInstanceProfilesForRole.
type ListInstanceProfilesForRoleInput struct {
	RoleName  string `aws:"RoleName,required" len:"1,64" pattern:"entityName"`
	PageInput `aws:",inline"`
}

// ListInstanceProfilesForRoleOutput is the output of ListInstanceProfilesForRole.
type ListInstanceProfilesForRoleOutput struct {
	InstanceProfiles []InstanceProfileInfo `aws:"InstanceProfiles,always"`
	PageOutput       `aws:",inline"`
}

// ListInstanceProfilesForRole shows the instance profiles that hold a role, in order of their names.
func (s *Service) ListInstanceProfilesForRole(
	ctx context.Context, c *authn.Caller, in *ListInstanceProfilesForRoleInput,
) (*ListInstanceProfilesForRoleOutput, error) {
	return read(ctx, s, func(tx Tx) (*ListInstanceProfilesForRoleOutput, error) {
		r, err := s.role(tx, access{caller: c, action: "iam:ListInstanceProfilesForRole"}, in.RoleName)
		if err != nil {
			return nil, err
		}
		all, err := instanceProfilesOf(tx, r)
		if err != nil {
			return nil, err
		}
		profiles, next, err := pageOf(all, in.PageInput, byName[*InstanceProfile])
		if err != nil {
			return nil, err
		}
		infos, err := wireInstanceProfiles(tx, profiles)
		return &ListInstanceProfilesForRoleOutput{InstanceProfiles: infos, PageOutput: next}, err
	})
}

// instanceProfilesOf returns the instance profiles that hold a role, in order of their names.
func instanceProfilesOf(tx Tx, r *Role) ([]*InstanceProfile, error) {
	all, err := list[InstanceProfile](tx, Query{Account: r.Account, Target: r.ID})
	slices.SortFunc(all, func(a, b *InstanceProfile) int { return strings.Compare(byName(a), byName(b)) })
	return all, err
}

// missingRole is what lookups answer when there is no such role.
func missingRole(name string) string { return "The role with name " + name + " cannot be found." }

// AddRoleToInstanceProfileInput is the input of AddRoleToInstanceProfile.
type AddRoleToInstanceProfileInput struct {
	InstanceProfileName string `aws:"InstanceProfileName,required" len:"1,128" pattern:"entityName"`
	RoleName            string `aws:"RoleName,required" len:"1,64" pattern:"entityName"`
}

// AddRoleToInstanceProfile puts a role into an instance profile, which has room for one. The caller hands the role to a
// service and so needs iam:PassRole on it ("Actions, resources, and condition keys for AWS IAM", dependent actions).
func (s *Service) AddRoleToInstanceProfile(ctx context.Context, c *authn.Caller, in *AddRoleToInstanceProfileInput) error {
	return s.update(ctx, func(tx Tx) error {
		p, err := s.instanceProfile(tx, access{caller: c, action: "iam:AddRoleToInstanceProfile"}, in.InstanceProfileName)
		if err != nil {
			return err
		}
		r, err := s.role(tx, access{caller: c, action: "iam:PassRole"}, in.RoleName)
		if err != nil {
			return err
		}
		if p.RoleID != "" {
			return overQuota("InstanceSessionsPerInstanceProfile", 1)
		}
		p.RoleID = r.ID
		return put(tx, p)
	})
}

// RemoveRoleFromInstanceProfileInput is the input of RemoveRoleFromInstanceProfile.
type RemoveRoleFromInstanceProfileInput struct {
	InstanceProfileName string `aws:"InstanceProfileName,required" len:"1,128" pattern:"entityName"`
	RoleName            string `aws:"RoleName,required" len:"1,64" pattern:"entityName"`
}

// RemoveRoleFromInstanceProfile takes a role out of an instance profile. If it does not hold the role there is nothing to do.
func (s *Service) RemoveRoleFromInstanceProfile(
	ctx context.Context, c *authn.Caller, in *RemoveRoleFromInstanceProfileInput,
) error {
	return s.update(ctx, func(tx Tx) error {
		p, err := s.instanceProfile(tx, access{caller: c, action: "iam:RemoveRoleFromInstanceProfile"}, in.InstanceProfileName)
		if err != nil {
			return err
		}
		r, err := get[Role](tx, p.Account, "", fold(in.RoleName))
		switch {
		case errors.Is(err, ErrNotFound):
			return awserr.New(awserr.NoSuchEntity, missingRole(in.RoleName))
		case err != nil:
			return err
		case p.RoleID != r.ID:
			return nil
		}
		p.RoleID = ""
		return put(tx, p)
	})
}

// DeleteInstanceProfileInput is the input of DeleteInstanceProfile.
type DeleteInstanceProfileInput struct {
	InstanceProfileName string `aws:"InstanceProfileName,required" len:"1,128" pattern:"entityName"`
}

// DeleteInstanceProfile removes an instance profile that holds no role.
func (s *Service) DeleteInstanceProfile(ctx context.Context, c *authn.Caller, in *DeleteInstanceProfileInput) error {
	return s.update(ctx, func(tx Tx) error {
		p, err := s.instanceProfile(tx, access{caller: c, action: "iam:DeleteInstanceProfile"}, in.InstanceProfileName)
		if err != nil {
			return err
		}
		if p.RoleID != "" {
			return awserr.New(awserr.DeleteConflict, "Cannot delete entity, must remove roles from instance profile first.")
		}
		return remove(tx, p)
	})
}

// TagInstanceProfileInput is the input of TagInstanceProfile.
type TagInstanceProfileInput struct {
	InstanceProfileName string `aws:"InstanceProfileName,required" len:"1,128" pattern:"entityName"`
	Tags                []Tag  `aws:"Tags,required" len:"0,50"`
}

// TagInstanceProfile adds tags to an instance profile, or replaces those that have the same key.
func (s *Service) TagInstanceProfile(ctx context.Context, c *authn.Caller, in *TagInstanceProfileInput) error {
	return s.update(ctx, func(tx Tx) error {
		ask := access{caller: c, action: "iam:TagInstanceProfile", tags: in.Tags}
		p, err := s.instanceProfile(tx, ask, in.InstanceProfileName)
		if err != nil {
			return err
		}
		if p.Tags, err = s.mergeTags(p.Tags, in.Tags); err != nil {
			return err
		}
		return put(tx, p)
	})
}

// UntagInstanceProfileInput is the input of UntagInstanceProfile.
type UntagInstanceProfileInput struct {
	InstanceProfileName string   `aws:"InstanceProfileName,required" len:"1,128" pattern:"entityName"`
	TagKeys             []string `aws:"TagKeys,required" len:"0,50" itemlen:"1,128" itempattern:"tagKey"`
}

// UntagInstanceProfile removes tags from an instance profile. Keys that it does not have are passed over.
func (s *Service) UntagInstanceProfile(ctx context.Context, c *authn.Caller, in *UntagInstanceProfileInput) error {
	return s.update(ctx, func(tx Tx) error {
		ask := access{caller: c, action: "iam:UntagInstanceProfile", tagKeys: in.TagKeys}
		p, err := s.instanceProfile(tx, ask, in.InstanceProfileName)
		if err != nil {
			return err
		}
		p.Tags = removeTags(p.Tags, in.TagKeys)
		return put(tx, p)
	})
}

// ListInstanceProfileTagsInput is the input of ListInstanceProfileTags.
type ListInstanceProfileTagsInput struct {
	InstanceProfileName string `aws:"InstanceProfileName,required" len:"1,128" pattern:"entityName"`
	PageInput           `aws:",inline"`
}

// ListInstanceProfileTagsOutput is the output of ListInstanceProfileTags.
type ListInstanceProfileTagsOutput struct {
	Tags       []Tag `aws:"Tags,always"`
	PageOutput `aws:",inline"`
}

// ListInstanceProfileTags shows an instance profile's tags in order of their keys.
func (s *Service) ListInstanceProfileTags(
	ctx context.Context, c *authn.Caller, in *ListInstanceProfileTagsInput,
) (*ListInstanceProfileTagsOutput, error) {
	return read(ctx, s, func(tx Tx) (*ListInstanceProfileTagsOutput, error) {
		p, err := s.instanceProfile(tx, access{caller: c, action: "iam:ListInstanceProfileTags"}, in.InstanceProfileName)
		if err != nil {
			return nil, err
		}
		tags, next, err := pageTags(p.Tags, in.PageInput)
		return &ListInstanceProfileTagsOutput{Tags: tags, PageOutput: next}, err
	})
}
