package iam

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/signer"
)

// PolicyGroup names a group that a policy is attached to.
type PolicyGroup struct {
	GroupName string `aws:"GroupName"`
	GroupID   string `aws:"GroupId"`
}

// PolicyUser names a user that a policy is attached to or bounds.
type PolicyUser struct {
	UserName string `aws:"UserName"`
	UserID   string `aws:"UserId"`
}

// PolicyRole names a role that a policy is attached to or bounds.
type PolicyRole struct {
	RoleName string `aws:"RoleName"`
	RoleID   string `aws:"RoleId"`
}

// ListEntitiesForPolicyInput is the input of ListEntitiesForPolicy.
type ListEntitiesForPolicyInput struct {
	PolicyARN         string `aws:"PolicyArn,required" len:"20,2048"`
	EntityFilter      string `aws:"EntityFilter" enum:"User,Role,Group,LocalManagedPolicy,AWSManagedPolicy"`
	PathPrefix        string `aws:"PathPrefix" len:"1,512" pattern:"path"`
	PolicyUsageFilter string `aws:"PolicyUsageFilter" enum:"PermissionsPolicy,PermissionsBoundary"`
	PageInput         `aws:",inline"`
}

// ListEntitiesForPolicyOutput is the output of ListEntitiesForPolicy.
type ListEntitiesForPolicyOutput struct {
	PolicyGroups []PolicyGroup `aws:"PolicyGroups,always"`
	PolicyUsers  []PolicyUser  `aws:"PolicyUsers,always"`
	PolicyRoles  []PolicyRole  `aws:"PolicyRoles,always"`
	PageOutput   `aws:",inline"`
}

// ListEntitiesForPolicy lists the users, groups and roles of the account that a managed policy is attached to or bounds.
func (s *Service) ListEntitiesForPolicy(
	ctx context.Context, c *authn.Caller, in *ListEntitiesForPolicyInput,
) (*ListEntitiesForPolicyOutput, error) {
	return read(ctx, s, func(tx Tx) (*ListEntitiesForPolicyOutput, error) {
		p, err := s.policy(tx, access{caller: c, action: "iam:ListEntitiesForPolicy"}, in.PolicyARN)
		if err != nil {
			return nil, err
		}
		after, err := in.after()
		if err != nil {
			return nil, err
		}
		links := policyLinks{tx: tx, query: Query{Account: c.Account, Target: p.ARN()}, usage: in.PolicyUsageFilter}
		users, next, err := pageFrom(links.users(in, after), in.PageInput, func(u policyUser) string { return u.position })
		out := &ListEntitiesForPolicyOutput{PageOutput: next}
		for _, u := range users {
			u.wire(out)
		}
		return out, err
	})
}

// policyLinks are the links of one account to a managed policy. Attachments come first, boundaries second; an entity that is
// linked both ways counts as attached. A position is the section and the entity's unique id.
type policyLinks struct {
	tx    Tx
	query Query  // Account and Target
	usage string // PolicyUsageFilter; empty: both
}

const (
	attachedSection = "1/"
	boundSection    = "2/"
)

// users yields the entities after a position that pass the filters.
func (l policyLinks) users(in *ListEntitiesForPolicyInput, after string) iter.Seq2[policyUser, error] {
	return func(yield func(policyUser, error) bool) {
		for _, section := range []iter.Seq2[string, error]{l.attached(after), l.bound(after)} {
			for position, err := range section {
				var u policyUser
				if err == nil {
					u, err = userAt(l.tx, position)
				}
				if (err != nil || u.pass(in)) && !yield(u, err) {
					return
				}
			}
		}
	}
}

// attached yields the positions of attachments.
func (l policyLinks) attached(after string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		if l.usage == "PermissionsBoundary" || strings.HasPrefix(after, boundSection) {
			return
		}
		l.query.After = strings.TrimPrefix(after, attachedSection)
		for link, err := range walk(l.tx, l.query, byParent[*Attachment]) {
			if err != nil {
				yield("", err)
				return
			}
			if !yield(attachedSection+link.Entity, nil) {
				return
			}
		}
	}
}

// bound yields the positions of boundaries, but for those of entities that are among the attachments.
func (l policyLinks) bound(after string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		if l.usage == "PermissionsPolicy" {
			return
		}
		if strings.HasPrefix(after, boundSection) {
			l.query.After = after[len(boundSection):]
		}
		for link, err := range walk(l.tx, l.query, byParent[*BoundaryUse]) {
			attached := false
			if err == nil && l.usage == "" {
				attached, err = isAttached(l.tx, link.Account, link.Entity, link.PolicyARN)
			}
			if err != nil {
				yield("", err)
				return
			}
			if !attached && !yield(boundSection+link.Entity, nil) {
				return
			}
		}
	}
}

// isAttached tells whether a managed policy is attached to an entity.
func isAttached(tx Tx, account, entity, policyARN string) (bool, error) {
	_, err := get[Attachment](tx, account, entity, policyARN)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// policyUser is an entity that uses a policy: one of the three.
type policyUser struct {
	position string
	user     *User
	group    *Group
	role     *Role
}

// userAt reads the entity at a position.
func userAt(tx Tx, position string) (policyUser, error) {
	u := policyUser{position: position}
	id := position[len(attachedSection):]
	var err error
	switch {
	case strings.HasPrefix(id, signer.PrefixUser):
		u.user, err = byID[User](tx, id)
	case strings.HasPrefix(id, signer.PrefixGroup):
		u.group, err = byID[Group](tx, id)
	default:
		u.role, err = byID[Role](tx, id)
	}
	if err != nil {
		return u, fmt.Errorf("entity %s: %w", id, err)
	}
	return u, nil
}

// pass tells whether the filters of the listing let u through.
func (u policyUser) pass(in *ListEntitiesForPolicyInput) bool {
	kind, path := "Role", ""
	switch {
	case u.user != nil:
		kind, path = "User", u.user.Path
	case u.group != nil:
		kind, path = "Group", u.group.Path
	default:
		path = u.role.Path
	}
	return (in.EntityFilter == "" || in.EntityFilter == kind) && strings.HasPrefix(path, in.PathPrefix)
}

func (u policyUser) wire(out *ListEntitiesForPolicyOutput) {
	switch {
	case u.user != nil:
		out.PolicyUsers = append(out.PolicyUsers, PolicyUser{u.user.Name, u.user.ID})
	case u.group != nil:
		out.PolicyGroups = append(out.PolicyGroups, PolicyGroup{u.group.Name, u.group.ID})
	default:
		out.PolicyRoles = append(out.PolicyRoles, PolicyRole{u.role.Name, u.role.ID})
	}
}
