package iam

import (
	"context"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/stint-sts/stint/authn"
)

// GetAccountAuthorizationDetailsInput is the input of GetAccountAuthorizationDetails.
type GetAccountAuthorizationDetailsInput struct {
	Filter    []string `aws:"Filter" itemenum:"User,Role,Group,LocalManagedPolicy,AWSManagedPolicy"` // default: all
	PageInput `aws:",inline"`
}

// GetAccountAuthorizationDetailsOutput is the output of GetAccountAuthorizationDetails.
type GetAccountAuthorizationDetailsOutput struct {
	UserDetailList  []UserDetail          `aws:"UserDetailList,always"`
	GroupDetailList []GroupDetail         `aws:"GroupDetailList,always"`
	RoleDetailList  []RoleDetail          `aws:"RoleDetailList,always"`
	Policies        []ManagedPolicyDetail `aws:"Policies,always"`
	PageOutput      `aws:",inline"`
}

// UserDetail is a user with all that gives it permissions.
type UserDetail struct {
	Path                    string               `aws:"Path"`
	UserName                string               `aws:"UserName"`
	UserID                  string               `aws:"UserId"`
	ARN                     string               `aws:"Arn"`
	CreateDate              time.Time            `aws:"CreateDate"`
	UserPolicyList          []InlinePolicyDetail `aws:"UserPolicyList,always"`
	GroupList               []string             `aws:"GroupList,always"` // names
	AttachedManagedPolicies []AttachedPolicy     `aws:"AttachedManagedPolicies,always"`
	PermissionsBoundary     *PermissionsBoundary `aws:"PermissionsBoundary"`
	Tags                    []Tag                `aws:"Tags,always"`
}

// GroupDetail is a group with its policies.
type GroupDetail struct {
	Path                    string               `aws:"Path"`
	GroupName               string               `aws:"GroupName"`
	GroupID                 string               `aws:"GroupId"`
	ARN                     string               `aws:"Arn"`
	CreateDate              time.Time            `aws:"CreateDate"`
	GroupPolicyList         []InlinePolicyDetail `aws:"GroupPolicyList,always"`
	AttachedManagedPolicies []AttachedPolicy     `aws:"AttachedManagedPolicies,always"`
}

// RoleDetail is a role with its trust policy, its instance profiles and all that gives it permissions.
type RoleDetail struct {
	Path                     string                `aws:"Path"`
	RoleName                 string                `aws:"RoleName"`
	RoleID                   string                `aws:"RoleId"`
	ARN                      string                `aws:"Arn"`
	CreateDate               time.Time             `aws:"CreateDate"`
	AssumeRolePolicyDocument string                `aws:"AssumeRolePolicyDocument,urlencoded"`
	InstanceProfileList      []InstanceProfileInfo `aws:"InstanceProfileList,always"`
	RolePolicyList           []InlinePolicyDetail  `aws:"RolePolicyList,always"`
	AttachedManagedPolicies  []AttachedPolicy      `aws:"AttachedManagedPolicies,always"`
	PermissionsBoundary      *PermissionsBoundary  `aws:"PermissionsBoundary"`
	Tags                     []Tag                 `aws:"Tags,always"`
	RoleLastUsed             *RoleLastUsed         `aws:"RoleLastUsed"`
}

// ManagedPolicyDetail is a managed policy with the documents of all its versions.
type ManagedPolicyDetail struct {
	PolicyName                    string              `aws:"PolicyName"`
	PolicyID                      string              `aws:"PolicyId"`
	ARN                           string              `aws:"Arn"`
	Path                          string              `aws:"Path"`
	DefaultVersionID              string              `aws:"DefaultVersionId"`
	AttachmentCount               int                 `aws:"AttachmentCount"`
	PermissionsBoundaryUsageCount int                 `aws:"PermissionsBoundaryUsageCount"`
	IsAttachable                  bool                `aws:"IsAttachable"`
	Description                   string              `aws:"Description"`
	CreateDate                    time.Time           `aws:"CreateDate"`
	UpdateDate                    time.Time           `aws:"UpdateDate"`
	PolicyVersionList             []PolicyVersionInfo `aws:"PolicyVersionList,always"`
}

// GetAccountAuthorizationDetails shows the account's users, groups, roles and managed policies with their relations and
// documents. One marker walks all of them, in that order. Of AWS's policies it shows those that are in use.
func (s *Service) GetAccountAuthorizationDetails(
	ctx context.Context, c *authn.Caller, in *GetAccountAuthorizationDetailsInput,
) (*GetAccountAuthorizationDetailsOutput, error) {
	after, err := in.after()
	if err != nil {
		return nil, err
	}
	return read(ctx, s, func(tx Tx) (*GetAccountAuthorizationDetailsOutput, error) {
		account, err := s.account(tx, access{caller: c, action: "iam:GetAccountAuthorizationDetails"})
		if err != nil {
			return nil, err
		}
		d := &details{service: s, tx: tx, account: account.ID}
		sections, err := d.sections(after)
		if err != nil {
			return nil, err
		}
		entries, next, err := pageFrom(d.entries(sections, in.Filter), in.PageInput, func(e detail) string { return e.position })
		if err != nil {
			return nil, err
		}
		out := &GetAccountAuthorizationDetailsOutput{PageOutput: next}
		for _, e := range entries {
			if err := e.show(out); err != nil {
				return nil, err
			}
		}
		return out, nil
	})
}

// details reads what GetAccountAuthorizationDetails shows of one account.
type details struct {
	service *Service
	tx      Tx
	account string
}

// detail is one object to show: its position in the walk, and what adds it to an answer. Only objects of the page are shown,
// because that costs several reads each.
type detail struct {
	position string
	show     func(*GetAccountAuthorizationDetailsOutput) error
}

// section is the walk over one list of objects after a name.
type section struct {
	filter string // the name of the list for the Filter parameter
	after  string
	walk   func(after string) iter.Seq2[detail, error]
}

// sections are the lists that remain after a position, which is "FILTER/name"; the empty position is before all of them.
func (d *details) sections(position string) ([]section, error) {
	all := []section{
		{filter: "User", walk: d.users},
		{filter: "Group", walk: d.groups},
		{filter: "Role", walk: d.roles},
		{filter: "LocalManagedPolicy", walk: d.localPolicies},
		{filter: "AWSManagedPolicy", walk: d.awsPolicies},
	}
	if position == "" {
		return all, nil
	}
	filter, after, _ := strings.Cut(position, "/")
	at := slices.IndexFunc(all, func(sec section) bool { return sec.filter == filter })
	if at < 0 {
		return nil, errInvalidMarker()
	}
	all[at].after = after
	return all[at:], nil
}

// entries walks the sections that the filter names, or all.
func (d *details) entries(sections []section, filter []string) iter.Seq2[detail, error] {
	return func(yield func(detail, error) bool) {
		for _, sec := range sections {
			if len(filter) > 0 && !slices.Contains(filter, sec.filter) {
				continue
			}
			for e, err := range sec.walk(sec.after) {
				e.position = sec.filter + "/" + e.position
				if !yield(e, err) || err != nil {
					return
				}
			}
		}
	}
}

func (d *details) users(after string) iter.Seq2[detail, error] {
	return detailsOf(walk(d.tx, Query{Account: d.account, After: after}, byName[*User]), d.showUser)
}

func (d *details) groups(after string) iter.Seq2[detail, error] {
	return detailsOf(walk(d.tx, Query{Account: d.account, After: after}, byName[*Group]), d.showGroup)
}

func (d *details) roles(after string) iter.Seq2[detail, error] {
	return detailsOf(walk(d.tx, Query{Account: d.account, After: after}, byName[*Role]), d.showRole)
}

func (d *details) localPolicies(after string) iter.Seq2[detail, error] {
	return detailsOf(walk(d.tx, Query{Account: d.account, After: after}, byName[*Policy]), d.showPolicy)
}

func (d *details) awsPolicies(after string) iter.Seq2[detail, error] {
	return detailsOf(d.awsPoliciesInUse(after), d.showPolicy)
}

func (d *details) awsPoliciesInUse(after string) iter.Seq2[*Policy, error] {
	return func(yield func(*Policy, error) bool) {
		for _, p := range d.service.managed.All() {
			if byName(p) <= after {
				continue
			}
			used, err := usesOf(d.tx, d.account, p)
			if err == nil && used == (uses{}) {
				continue
			}
			if !yield(p, err) || err != nil {
				return
			}
		}
	}
}

// detailsOf makes objects details that show can add to an answer.
func detailsOf[P object](
	objects iter.Seq2[P, error], show func(*GetAccountAuthorizationDetailsOutput, P) error,
) iter.Seq2[detail, error] {
	return func(yield func(detail, error) bool) {
		for o, err := range objects {
			if err != nil {
				yield(detail{}, err)
				return
			}
			add := func(out *GetAccountAuthorizationDetailsOutput) error { return show(out, o) }
			if !yield(detail{position: byName(o), show: add}, nil) {
				return
			}
		}
	}
}

func (d *details) showUser(out *GetAccountAuthorizationDetailsOutput, u *User) error {
	inline, attached, err := d.policiesOf(u)
	if err != nil {
		return err
	}
	groups, err := groupsOf(d.tx, u)
	if err != nil {
		return err
	}
	names := make([]string, len(groups))
	for i, g := range groups {
		names[i] = g.Name
	}
	out.UserDetailList = append(out.UserDetailList, UserDetail{
		Path: u.Path, UserName: u.Name, UserID: u.ID, ARN: u.ARN(), CreateDate: u.CreateDate,
		UserPolicyList: inline, GroupList: names, AttachedManagedPolicies: attached,
		PermissionsBoundary: wireBoundary(u.Boundary), Tags: u.Tags,
	})
	return nil
}

func (d *details) showGroup(out *GetAccountAuthorizationDetailsOutput, g *Group) error {
	inline, attached, err := d.policiesOf(g)
	if err != nil {
		return err
	}
	out.GroupDetailList = append(out.GroupDetailList, GroupDetail{
		Path: g.Path, GroupName: g.Name, GroupID: g.ID, ARN: g.ARN(), CreateDate: g.CreateDate,
		GroupPolicyList: inline, AttachedManagedPolicies: attached,
	})
	return nil
}

func (d *details) showRole(out *GetAccountAuthorizationDetailsOutput, r *Role) error {
	inline, attached, err := d.policiesOf(r)
	if err != nil {
		return err
	}
	profiles, err := instanceProfilesOf(d.tx, r)
	if err != nil {
		return err
	}
	infos, err := wireInstanceProfiles(d.tx, profiles)
	if err != nil {
		return err
	}
	info, err := wireRole(d.tx, r, false)
	if err != nil {
		return err
	}
	out.RoleDetailList = append(out.RoleDetailList, RoleDetail{
		Path: info.Path, RoleName: info.RoleName, RoleID: info.RoleID, ARN: info.ARN, CreateDate: info.CreateDate,
		AssumeRolePolicyDocument: info.AssumeRolePolicyDocument, InstanceProfileList: infos,
		RolePolicyList: inline, AttachedManagedPolicies: attached,
		PermissionsBoundary: info.PermissionsBoundary, Tags: info.Tags, RoleLastUsed: info.RoleLastUsed,
	})
	return nil
}

func (d *details) showPolicy(out *GetAccountAuthorizationDetailsOutput, p *Policy) error {
	used, err := usesOf(d.tx, d.account, p)
	if err != nil {
		return err
	}
	versions, err := d.service.versions(d.tx, p)
	if err != nil {
		return err
	}
	infos := make([]PolicyVersionInfo, len(versions))
	for i, v := range versions {
		infos[i] = wireVersion(p, v, false)
	}
	info := wirePolicy(p, used, false)
	out.Policies = append(out.Policies, ManagedPolicyDetail{
		PolicyName: info.PolicyName, PolicyID: info.PolicyID, ARN: info.ARN, Path: info.Path,
		DefaultVersionID: info.DefaultVersionID, AttachmentCount: info.AttachmentCount,
		PermissionsBoundaryUsageCount: info.PermissionsBoundaryUsageCount, IsAttachable: info.IsAttachable,
		Description: info.Description, CreateDate: info.CreateDate, UpdateDate: info.UpdateDate, PolicyVersionList: infos,
	})
	return nil
}

// policiesOf lists the inline and the attached policies of a user, group or role.
func (d *details) policiesOf(holder object) ([]InlinePolicyDetail, []AttachedPolicy, error) {
	inline, err := inlinePolicies(d.tx, holder)
	if err != nil {
		return nil, nil, err
	}
	attached, err := attachedPolicies(d.tx, holder)
	return inline, attached, err
}
