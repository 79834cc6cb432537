package iam

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/signer"
)

// GroupInfo is how answers show a group.
type GroupInfo struct {
	Path       string    `aws:"Path"`
	GroupName  string    `aws:"GroupName"`
	GroupID    string    `aws:"GroupId"`
	ARN        string    `aws:"Arn"`
	CreateDate time.Time `aws:"CreateDate"`
}

func wireGroup(g *Group) GroupInfo {
	return GroupInfo{Path: g.Path, GroupName: g.Name, GroupID: g.ID, ARN: g.ARN(), CreateDate: g.CreateDate}
}

func wireGroups(groups []*Group) []GroupInfo {
	infos := make([]GroupInfo, len(groups))
	for i, g := range groups {
		infos[i] = wireGroup(g)
	}
	return infos
}

// CreateGroupInput is the input of CreateGroup.
type CreateGroupInput struct {
	GroupName string `aws:"GroupName,required" len:"1,128" pattern:"entityName"`
	Path      string `aws:"Path" len:"1,512" pattern:"path"` // default "/"
}

// CreateGroupOutput is the output of CreateGroup.
type CreateGroupOutput struct {
	Group GroupInfo `aws:"Group"`
}

// CreateGroup makes a group without members and policies.
func (s *Service) CreateGroup(ctx context.Context, c *authn.Caller, in *CreateGroupInput) (*CreateGroupOutput, error) {
	return change(ctx, s, func(tx Tx) (*CreateGroupOutput, error) {
		g := &Group{Account: c.Account, Name: in.GroupName, Path: pathOrRoot(in.Path), CreateDate: s.today()}
		if err := (access{caller: c, action: "iam:CreateGroup"}).allow(g.ARN(), nil); err != nil {
			return nil, err
		}
		if err := vacant[Group](tx, g.Account, g.Name, groupExists(g.Name)); err != nil {
			return nil, err
		}
		if err := within[Group](tx, Query{Account: g.Account}, "GroupsPerAccount", s.quotas.GroupsPerAccount); err != nil {
			return nil, err
		}
		var err error
		if g.ID, err = s.newID(signer.PrefixGroup, c.Account); err != nil {
			return nil, err
		}
		return &CreateGroupOutput{Group: wireGroup(g)}, put(tx, g)
	})
}

func groupExists(name string) string { return "Group with name " + name + " already exists." }

// GetGroupInput is the input of GetGroup.
type GetGroupInput struct {
	GroupName string `aws:"GroupName,required" len:"1,128" pattern:"entityName"`
	PageInput `aws:",inline"`
}

// GetGroupOutput is the output of GetGroup.
type GetGroupOutput struct {
	Group      GroupInfo  `aws:"Group"`
	Users      []UserInfo `aws:"Users,always"`
	PageOutput `aws:",inline"`
}

// GetGroup shows a group and a page of its users, in order of their unique ids.
func (s *Service) GetGroup(ctx context.Context, c *authn.Caller, in *GetGroupInput) (*GetGroupOutput, error) {
	return read(ctx, s, func(tx Tx) (*GetGroupOutput, error) {
		g, err := s.group(tx, access{caller: c, action: "iam:GetGroup"}, in.GroupName)
		if err != nil {
			return nil, err
		}
		members, next, err := page(tx, Query{Account: g.Account, Target: g.ID}, in.PageInput, byParent[*Membership])
		if err != nil {
			return nil, err
		}
		out := &GetGroupOutput{Group: wireGroup(g), PageOutput: next}
		users := make([]*User, len(members))
		for i, m := range members {
			if users[i], err = byID[User](tx, m.UserID); err != nil {
				return nil, err
			}
		}
		if err := findSignIns(tx, users...); err != nil {
			return nil, err
		}
		for _, u := range users {
			out.Users = append(out.Users, wireUser(u, true))
		}
		return out, nil
	})
}

// ListGroupsInput is the input of ListGroups.
type ListGroupsInput struct {
	PathPrefix string `aws:"PathPrefix" len:"1,512" pattern:"pathPrefix"` // default "/"
	PageInput  `aws:",inline"`
}

// ListGroupsOutput is the output of ListGroups.
type ListGroupsOutput struct {
	Groups     []GroupInfo `aws:"Groups,always"`
	PageOutput `aws:",inline"`
}

// ListGroups shows the account's groups whose path begins with a prefix, in order of their names.
func (s *Service) ListGroups(ctx context.Context, c *authn.Caller, in *ListGroupsInput) (*ListGroupsOutput, error) {
	return read(ctx, s, func(tx Tx) (*ListGroupsOutput, error) {
		if err := (access{caller: c, action: "iam:ListGroups"}).list("group", in.PathPrefix); err != nil {
			return nil, err
		}
		groups, next, err := page(tx, Query{Account: c.Account, PathPrefix: in.PathPrefix}, in.PageInput, byName[*Group])
		return &ListGroupsOutput{Groups: wireGroups(groups), PageOutput: next}, err
	})
}

// UpdateGroupInput is the input of UpdateGroup.
type UpdateGroupInput struct {
	GroupName    string `aws:"GroupName,required" len:"1,128" pattern:"entityName"`
	NewPath      string `aws:"NewPath" len:"1,512" pattern:"path"`
	NewGroupName string `aws:"NewGroupName" len:"1,128" pattern:"entityName"`
}

// UpdateGroup renames or moves a group, which keeps its unique id, members and policies. As in UpdateUser, the caller must be
// allowed on the old and on the new ARN.
func (s *Service) UpdateGroup(ctx context.Context, c *authn.Caller, in *UpdateGroupInput) error {
	return s.update(ctx, func(tx Tx) error {
		ask := access{caller: c, action: "iam:UpdateGroup"}
		g, err := s.group(tx, ask, in.GroupName)
		if err != nil {
			return err
		}
		old := g.Name
		g.Name, g.Path = cmp.Or(in.NewGroupName, g.Name), cmp.Or(in.NewPath, g.Path)
		if err := ask.allow(g.ARN(), nil); err != nil {
			return err
		}
		if fold(g.Name) != fold(old) {
			if err := vacant[Group](tx, g.Account, g.Name, groupExists(g.Name)); err != nil {
				return err
			}
		}
		return put(tx, g)
	})
}

// DeleteGroupInput is the input of DeleteGroup.
type DeleteGroupInput struct {
	GroupName string `aws:"GroupName,required" len:"1,128" pattern:"entityName"`
}

// DeleteGroup removes a group that has no members and policies any more.
func (s *Service) DeleteGroup(ctx context.Context, c *authn.Caller, in *DeleteGroupInput) error {
	return s.update(ctx, func(tx Tx) error {
		g, err := s.group(tx, access{caller: c, action: "iam:DeleteGroup"}, in.GroupName)
		if err != nil {
			return err
		}
		members := Query{Account: g.Account, Target: g.ID}
		if err := without[Membership](tx, members, "must remove users from group first."); err != nil {
			return err
		}
		if err := withoutPolicies(tx, g); err != nil {
			return err
		}
		return remove(tx, g)
	})
}

// AddUserToGroupInput is the input of AddUserToGroup.
type AddUserToGroupInput struct {
	GroupName string `aws:"GroupName,required" len:"1,128" pattern:"entityName"`
	UserName  string `aws:"UserName,required" len:"1,128" pattern:"entityName"`
}

// AddUserToGroup makes a user a member of a group. For a member there is nothing to do.
func (s *Service) AddUserToGroup(ctx context.Context, c *authn.Caller, in *AddUserToGroupInput) error {
	return s.update(ctx, func(tx Tx) error {
		m, err := s.membership(tx, access{caller: c, action: "iam:AddUserToGroup"}, in.GroupName, in.UserName)
		if err != nil {
			return err
		}
		switch _, err := get[Membership](tx, m.Account, m.UserID, m.GroupID); {
		case err == nil:
			return nil
		case !errors.Is(err, ErrNotFound):
			return err
		}
		groups := Query{Account: m.Account, Parent: m.UserID}
		if err := within[Membership](tx, groups, "GroupsPerUser", s.quotas.GroupsPerUser); err != nil {
			return err
		}
		return put(tx, m)
	})
}

// RemoveUserFromGroupInput is the input of RemoveUserFromGroup.
type RemoveUserFromGroupInput struct {
	GroupName string `aws:"GroupName,required" len:"1,128" pattern:"entityName"`
	UserName  string `aws:"UserName,required" len:"1,128" pattern:"entityName"`
}

// RemoveUserFromGroup ends a membership. For a user who is no member there is nothing to do.
func (s *Service) RemoveUserFromGroup(ctx context.Context, c *authn.Caller, in *RemoveUserFromGroupInput) error {
	return s.update(ctx, func(tx Tx) error {
		m, err := s.membership(tx, access{caller: c, action: "iam:RemoveUserFromGroup"}, in.GroupName, in.UserName)
		if err != nil {
			return err
		}
		if err := remove(tx, m); !errors.Is(err, ErrNotFound) {
			return err
		}
		return nil
	})
}

// membership names the link between a user and a group, whether it exists or not. The caller is judged on the group alone.
func (s *Service) membership(tx Tx, a access, groupName, userName string) (*Membership, error) {
	g, err := s.group(tx, a, groupName)
	if err != nil {
		return nil, err
	}
	u, err := userNamed(tx, g.Account, userName)
	if err != nil {
		return nil, err
	}
	return &Membership{Account: g.Account, UserID: u.ID, GroupID: g.ID}, nil
}

// ListGroupsForUserInput is the input of ListGroupsForUser.
type ListGroupsForUserInput struct {
	UserName  string `aws:"UserName,required" len:"1,128" pattern:"entityName"`
	PageInput `aws:",inline"`
}

// ListGroupsForUserOutput is the output of ListGroupsForUser.
type ListGroupsForUserOutput struct {
	Groups     []GroupInfo `aws:"Groups,always"`
	PageOutput `aws:",inline"`
}

// ListGroupsForUser shows the groups that a user is a member of, in order of their names.
func (s *Service) ListGroupsForUser(
	ctx context.Context, c *authn.Caller, in *ListGroupsForUserInput,
) (*ListGroupsForUserOutput, error) {
	return read(ctx, s, func(tx Tx) (*ListGroupsForUserOutput, error) {
		u, err := s.user(tx, access{caller: c, action: "iam:ListGroupsForUser"}, in.UserName)
		if err != nil {
			return nil, err
		}
		all, err := groupsOf(tx, u)
		if err != nil {
			return nil, err
		}
		groups, next, err := pageOf(all, in.PageInput, byName[*Group])
		return &ListGroupsForUserOutput{Groups: wireGroups(groups), PageOutput: next}, err
	})
}

// groupsOf returns the groups of a user in order of their names; a quota keeps them few.
func groupsOf(tx Tx, u *User) ([]*Group, error) {
	members, err := list[Membership](tx, Query{Account: u.Account, Parent: u.ID})
	if err != nil {
		return nil, err
	}
	groups := make([]*Group, len(members))
	for i, m := range members {
		if groups[i], err = byID[Group](tx, m.GroupID); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(groups, func(a, b *Group) int { return strings.Compare(byName(a), byName(b)) })
	return groups, nil
}
