package iam

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/stint-sts/stint/arn"
	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/signer"
)

// UserInfo is how answers show a user. The root user has neither name nor path.
type UserInfo struct {
	Path                string               `aws:"Path"`
	UserName            string               `aws:"UserName"`
	UserID              string               `aws:"UserId"`
	ARN                 string               `aws:"Arn"`
	CreateDate          time.Time            `aws:"CreateDate"`
	PasswordLastUsed    time.Time            `aws:"PasswordLastUsed"`
	PermissionsBoundary *PermissionsBoundary `aws:"PermissionsBoundary"`
	Tags                []Tag                `aws:"Tags"`
}

// wireUser shows a user; brief, as lists do, without boundary and tags.
func wireUser(u *User, brief bool) UserInfo {
	info := UserInfo{
		Path: u.Path, UserName: u.Name, UserID: u.ID, ARN: u.ARN(),
		CreateDate: u.CreateDate, PasswordLastUsed: u.PasswordLastUsed,
	}
	if !brief {
		info.PermissionsBoundary, info.Tags = wireBoundary(u.Boundary), u.Tags
	}
	return info
}

// CreateUserInput is the input of CreateUser.
type CreateUserInput struct {
	UserName            string `aws:"UserName,required" len:"1,64" pattern:"entityName"`
	Path                string `aws:"Path" len:"1,512" pattern:"path"` // default "/"
	PermissionsBoundary string `aws:"PermissionsBoundary" len:"20,2048"`
	Tags                []Tag  `aws:"Tags" len:"0,50"`
}

// CreateUserOutput is the output of CreateUser.
type CreateUserOutput struct {
	User UserInfo `aws:"User"`
}

// CreateUser makes a user without credentials and permissions. With tags it needs iam:TagUser as well.
func (s *Service) CreateUser(ctx context.Context, c *authn.Caller, in *CreateUserInput) (*CreateUserOutput, error) {
	return change(ctx, s, func(tx Tx) (*CreateUserOutput, error) {
		u := &User{
			Account: c.Account, Name: in.UserName, Path: pathOrRoot(in.Path),
			Boundary: in.PermissionsBoundary, CreateDate: s.today(),
		}
		bounded := boundaryKey(in.PermissionsBoundary)
		if err := allowCreate(c, "iam:CreateUser", "iam:TagUser", u.ARN(), in.Tags, bounded); err != nil {
			return nil, err
		}
		if err := s.admitUser(tx, u); err != nil {
			return nil, err
		}
		var err error
		if u.Tags, err = s.mergeTags(nil, in.Tags); err != nil {
			return nil, err
		}
		if u.ID, err = s.newID(signer.PrefixUser, c.Account); err != nil {
			return nil, err
		}
		if err := s.setBoundary(tx, u.Account, u.ID, u.Boundary); err != nil {
			return nil, err
		}
		return &CreateUserOutput{User: wireUser(u, false)}, put(tx, u)
	})
}

// admitUser checks that the account has room for the user and its name is free.
func (s *Service) admitUser(tx Tx, u *User) error {
	if err := vacant[User](tx, u.Account, u.Name, userExists(u.Name)); err != nil {
		return err
	}
	return within[User](tx, Query{Account: u.Account}, "UsersPerAccount", s.quotas.UsersPerAccount)
}

func userExists(name string) string { return "User with name " + name + " already exists." }

// GetUserInput is the input of GetUser.
type GetUserInput struct {
	UserName string `aws:"UserName" len:"1,128" pattern:"entityName"` // default: the caller
}

// GetUserOutput is the output of GetUser.
type GetUserOutput struct {
	User UserInfo `aws:"User"`
}

// GetUser shows a user, or without a name the caller: a user, or the account's root user.
func (s *Service) GetUser(ctx context.Context, c *authn.Caller, in *GetUserInput) (*GetUserOutput, error) {
	return read(ctx, s, func(tx Tx) (*GetUserOutput, error) {
		o, err := s.owner(tx, access{caller: c, action: "iam:GetUser"}, in.UserName)
		if err != nil {
			return nil, err
		}
		if o.user != nil {
			err := findSignIns(tx, o.user)
			return &GetUserOutput{User: wireUser(o.user, false)}, err
		}
		account, err := get[Account](tx, "", "", o.id)
		if err != nil {
			return nil, err
		}
		return &GetUserOutput{User: UserInfo{UserID: account.ID, ARN: arn.Root(account.ID), CreateDate: account.CreateDate}}, nil
	})
}

// ListUsersInput is the input of ListUsers.
type ListUsersInput struct {
	PathPrefix string `aws:"PathPrefix" len:"1,512" pattern:"pathPrefix"` // default "/"
	PageInput  `aws:",inline"`
}

// ListUsersOutput is the output of ListUsers.
type ListUsersOutput struct {
	Users      []UserInfo `aws:"Users,always"`
	PageOutput `aws:",inline"`
}

// ListUsers shows the account's users whose path begins with a prefix, in order of their names.
func (s *Service) ListUsers(ctx context.Context, c *authn.Caller, in *ListUsersInput) (*ListUsersOutput, error) {
	return read(ctx, s, func(tx Tx) (*ListUsersOutput, error) {
		if err := (access{caller: c, action: "iam:ListUsers"}).list("user", in.PathPrefix); err != nil {
			return nil, err
		}
		users, next, err := page(tx, Query{Account: c.Account, PathPrefix: in.PathPrefix}, in.PageInput, byName[*User])
		if err != nil {
			return nil, err
		}
		if err := findSignIns(tx, users...); err != nil {
			return nil, err
		}
		out := &ListUsersOutput{PageOutput: next}
		for _, u := range users {
			out.Users = append(out.Users, wireUser(u, true))
		}
		return out, nil
	})
}

// UpdateUserInput is the input of UpdateUser.
type UpdateUserInput struct {
	UserName    string `aws:"UserName,required" len:"1,128" pattern:"entityName"`
	NewPath     string `aws:"NewPath" len:"1,512" pattern:"path"`
	NewUserName string `aws:"NewUserName" len:"1,64" pattern:"entityName"`
}

// UpdateUser renames or moves a user, who keeps its unique id and all it has. The caller must be allowed on the old and on
// the new ARN (AWS IAM User Guide, "Rename an IAM user"): otherwise it could move users into and out of its reach.
func (s *Service) UpdateUser(ctx context.Context, c *authn.Caller, in *UpdateUserInput) error {
	return s.update(ctx, func(tx Tx) error {
		ask := access{caller: c, action: "iam:UpdateUser"}
		u, err := s.user(tx, ask, in.UserName)
		if err != nil {
			return err
		}
		old := u.Name
		u.Name, u.Path = cmp.Or(in.NewUserName, u.Name), cmp.Or(in.NewPath, u.Path)
		if err := ask.allow(u.ARN(), u.Tags); err != nil {
			return err
		}
		if fold(u.Name) != fold(old) {
			if err := vacant[User](tx, u.Account, u.Name, userExists(u.Name)); err != nil {
				return err
			}
		}
		return put(tx, u)
	})
}

// DeleteUserInput is the input of DeleteUser.
type DeleteUserInput struct {
	UserName string `aws:"UserName,required" len:"1,128" pattern:"entityName"`
}

// DeleteUser removes a user who has no password, keys, devices, policies and groups any more.
func (s *Service) DeleteUser(ctx context.Context, c *authn.Caller, in *DeleteUserInput) error {
	return s.update(ctx, func(tx Tx) error {
		u, err := s.user(tx, access{caller: c, action: "iam:DeleteUser"}, in.UserName)
		if err != nil {
			return err
		}
		if err := withoutBelongings(tx, u); err != nil {
			return err
		}
		if err := s.setBoundary(tx, u.Account, u.ID, ""); err != nil {
			return err
		}
		return remove(tx, u)
	})
}

// withoutBelongings refuses to delete a user who still has what AWS wants gone first.
func withoutBelongings(tx Tx, u *User) error {
	own := Query{Account: u.Account, Parent: u.ID}
	if err := without[LoginProfile](tx, own, "must delete login profile first."); err != nil {
		return err
	}
	if err := without[AccessKey](tx, own, "must delete access keys first."); err != nil {
		return err
	}
	if err := without[MFADevice](tx, Query{Account: u.Account, Target: u.ID}, "must delete MFA device first."); err != nil {
		return err
	}
	if err := withoutPolicies(tx, u); err != nil {
		return err
	}
	return without[Membership](tx, own, "must remove users from group first.")
}

// TagUserInput is the input of TagUser.
type TagUserInput struct {
	UserName string `aws:"UserName,required" len:"1,128" pattern:"entityName"`
	Tags     []Tag  `aws:"Tags,required" len:"0,50"`
}

// TagUser adds tags to a user, or replaces those that have the same key.
func (s *Service) TagUser(ctx context.Context, c *authn.Caller, in *TagUserInput) error {
	return s.update(ctx, func(tx Tx) error {
		u, err := s.user(tx, access{caller: c, action: "iam:TagUser", tags: in.Tags}, in.UserName)
		if err != nil {
			return err
		}
		if u.Tags, err = s.mergeTags(u.Tags, in.Tags); err != nil {
			return err
		}
		return put(tx, u)
	})
}

// UntagUserInput is the input of UntagUser.
type UntagUserInput struct {
	UserName string   `aws:"UserName,required" len:"1,128" pattern:"entityName"`
	TagKeys  []string `aws:"TagKeys,required" len:"0,50" itemlen:"1,128" itempattern:"tagKey"`
}

// UntagUser removes tags from a user. Keys that it does not have are passed over.
func (s *Service) UntagUser(ctx context.Context, c *authn.Caller, in *UntagUserInput) error {
	return s.update(ctx, func(tx Tx) error {
		u, err := s.user(tx, access{caller: c, action: "iam:UntagUser", tagKeys: in.TagKeys}, in.UserName)
		if err != nil {
			return err
		}
		u.Tags = removeTags(u.Tags, in.TagKeys)
		return put(tx, u)
	})
}

// ListUserTagsInput is the input of ListUserTags.
type ListUserTagsInput struct {
	UserName  string `aws:"UserName,required" len:"1,128" pattern:"entityName"`
	PageInput `aws:",inline"`
}

// ListUserTagsOutput is the output of ListUserTags.
type ListUserTagsOutput struct {
	Tags       []Tag `aws:"Tags,always"`
	PageOutput `aws:",inline"`
}

// ListUserTags shows a user's tags in order of their keys.
func (s *Service) ListUserTags(ctx context.Context, c *authn.Caller, in *ListUserTagsInput) (*ListUserTagsOutput, error) {
	return read(ctx, s, func(tx Tx) (*ListUserTagsOutput, error) {
		u, err := s.user(tx, access{caller: c, action: "iam:ListUserTags"}, in.UserName)
		if err != nil {
			return nil, err
		}
		tags, next, err := pageTags(u.Tags, in.PageInput)
		return &ListUserTagsOutput{Tags: tags, PageOutput: next}, err
	})
}

// owner is who has credentials and devices: a user, or the account's root user.
type owner struct {
	id   string // unique id of the user; the account id for root
	user *User  // nil: root
}

// name is the user's name; root has none.
func (o *owner) name() string {
	if o.user == nil {
		return ""
	}
	return o.user.Name
}

// owner returns the user of that name, or without a name the caller itself, if the caller may do the action on it. Sessions
// of roles and federated users have no user to mean: they must give a name.
func (s *Service) owner(tx Tx, a access, name string) (*owner, error) {
	switch {
	case name != "":
		u, err := s.user(tx, a, name)
		return ownerOf(u, err)
	case a.caller.Kind == authn.Root:
		return &owner{id: a.caller.Account}, a.allow(arn.Root(a.caller.Account), nil)
	case a.caller.Kind == authn.User:
		u, err := byID[User](tx, a.caller.Entity.ID) // by id: the name may have changed since the caller was authenticated
		return ownerOf(found(u, err, a, a.caller.Entity.ARN, func() []Tag { return u.Tags }, missingUser(a.caller.Entity.Name)))
	}
	return nil, awserr.New(awserr.ValidationError, "Must specify userName when calling with non-User credentials")
}

func ownerOf(u *User, err error) (*owner, error) {
	if err != nil {
		return nil, err
	}
	return &owner{id: u.ID, user: u}, nil
}

// userNamed returns a user for a caller who has been allowed to do the action on another object, such as a group.
func userNamed(tx Tx, account, name string) (*User, error) {
	u, err := get[User](tx, account, "", fold(name))
	if errors.Is(err, ErrNotFound) {
		return nil, awserr.New(awserr.NoSuchEntity, missingUser(name))
	}
	return u, err
}

func missingUser(name string) string { return "The user with name " + name + " cannot be found." }
