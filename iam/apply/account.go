package apply

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/iam"
)

// account is what an account holds now, by folded names.
type account struct {
	id       string
	root     *authn.Caller
	versions int // of a managed policy, at most
	policies map[string]*iam.ManagedPolicyDetail
	groups   map[string]*iam.GroupDetail
	users    map[string]*iam.UserDetail
	roles    map[string]*iam.RoleDetail
}

// load reads an account. Pages are snapshots of their own; a change that falls between them is met by the operations, which
// check everything again.
func load(ctx context.Context, service *iam.Service, root *authn.Caller) (*account, error) {
	a := &account{
		id: root.Account, root: root,
		policies: make(map[string]*iam.ManagedPolicyDetail), groups: make(map[string]*iam.GroupDetail),
		users: make(map[string]*iam.UserDetail), roles: make(map[string]*iam.RoleDetail),
	}
	summary, err := service.GetAccountSummary(ctx, root, &iam.GetAccountSummaryInput{})
	if err != nil {
		return nil, fmt.Errorf("account %s: %w", a.id, err)
	}
	a.versions = summary.SummaryMap["VersionsPerPolicyQuota"]
	in := &iam.GetAccountAuthorizationDetailsInput{Filter: []string{"User", "Group", "Role", "LocalManagedPolicy"}}
	in.MaxItems = new(int32(1000))
	for {
		page, err := service.GetAccountAuthorizationDetails(ctx, root, in)
		if err != nil {
			return nil, fmt.Errorf("account %s: %w", a.id, err)
		}
		a.add(page)
		if in.Marker = page.Marker; !page.IsTruncated {
			return a, nil
		}
	}
}

func (a *account) add(page *iam.GetAccountAuthorizationDetailsOutput) {
	index(a.policies, page.Policies, func(p *iam.ManagedPolicyDetail) string { return p.PolicyName })
	index(a.groups, page.GroupDetailList, func(g *iam.GroupDetail) string { return g.GroupName })
	index(a.users, page.UserDetailList, func(u *iam.UserDetail) string { return u.UserName })
	index(a.roles, page.RoleDetailList, func(r *iam.RoleDetail) string { return r.RoleName })
}

func index[T any](into map[string]*T, list []T, name func(*T) string) {
	for i := range list {
		into[fold(name(&list[i]))] = &list[i]
	}
}

// resolve returns the id of the account that a document names by id, name or alias.
func resolve(accounts []*iam.Account, name string) (string, error) {
	var matches []string
	for _, a := range accounts {
		if a.ID == name {
			return a.ID, nil
		}
		if name == "" || a.Name == name || a.Alias == name {
			matches = append(matches, a.ID)
		}
	}
	switch {
	case len(matches) == 1:
		return matches[0], nil
	case name == "":
		return "", fmt.Errorf("there are %d accounts: name one with the key account", len(accounts))
	case len(matches) > 1:
		return "", fmt.Errorf("%d accounts are called %s: name one by its id", len(matches), name)
	}
	return "", fmt.Errorf("there is no account %s: make it with \"stint account create\"", name)
}

// held is what a holder has now.
type held struct {
	attached []iam.AttachedPolicy
	inline   []iam.InlinePolicyDetail
}

func (h *held) has(policyARN string) bool {
	return slices.ContainsFunc(h.attached, func(p iam.AttachedPolicy) bool { return p.PolicyARN == policyARN })
}

// document returns the inline policy of that name, or "".
func (h *held) document(name string) string {
	for _, p := range h.inline {
		if p.PolicyName == name {
			return p.PolicyDocument
		}
	}
	return ""
}

func tagValue(tags []iam.Tag, key string) (string, bool) {
	for _, t := range tags {
		if fold(t.Key) == fold(key) {
			return t.Value, true
		}
	}
	return "", false
}

// message is what the API tells its caller of an error.
func message(err error) string {
	if e, ok := errors.AsType[*awserr.Error](err); ok {
		return e.Message
	}
	return err.Error()
}
