package apply

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/iam"
)

// made tells whether tags are those of an object that the document made.
func (d *Document) made(tags []iam.Tag) bool {
	owner, ok := tagValue(tags, ManagedBy)
	return ok && d.Name != "" && owner == d.Name
}

// surplus yields what the document made and does not name any more, in order of the names.
func surplus[T any](d *Document, present map[string]*T, named map[string]bool, tags func(*T) ([]iam.Tag, error)) ([]*T, error) {
	var found []*T
	for _, name := range slices.Sorted(maps.Keys(present)) {
		if named[name] {
			continue
		}
		carried, err := tags(present[name])
		if err != nil {
			return nil, err
		}
		if d.made(carried) {
			found = append(found, present[name])
		}
	}
	return found, nil
}

func names[T any](list []T, name func(*T) string) map[string]bool {
	named := make(map[string]bool, len(list))
	for i := range list {
		named[fold(name(&list[i]))] = true
	}
	return named
}

func (p *planner) pruneRoles(_ context.Context, a *account, d *Document) error {
	named := names(d.Roles, func(r *Role) string { return r.Name })
	found, err := surplus(d, a.roles, named, func(r *iam.RoleDetail) ([]iam.Tag, error) { return r.Tags, nil })
	for _, r := range found {
		if len(r.InstanceProfileList) > 0 {
			p.faults.add(d.Place, "role %s is to be deleted, but an instance profile holds it: remove it from there first", r.RoleName)
		}
		c := p.change(Delete, a, roleKind.name, r.RoleName)
		c.deleteHolder(roleKind, &held{r.AttachedManagedPolicies, r.RolePolicyList})
		p.done(c)
	}
	return err
}

// pruneUsers deletes no user who can still sign or sign in: whoever holds the key or the password would learn of it by failures.
func (p *planner) pruneUsers(ctx context.Context, a *account, d *Document) error {
	named := names(d.Users, func(u *User) string { return u.Name })
	found, err := surplus(d, a.users, named, func(u *iam.UserDetail) ([]iam.Tag, error) { return u.Tags, nil })
	if err != nil {
		return err
	}
	for _, u := range found {
		keys, err := p.service.ListAccessKeys(ctx, a.root, &iam.ListAccessKeysInput{UserName: u.UserName})
		if err != nil {
			return err
		}
		devices, err := p.service.ListMFADevices(ctx, a.root, &iam.ListMFADevicesInput{UserName: u.UserName})
		if err != nil {
			return err
		}
		if len(keys.AccessKeyMetadata)+len(devices.MFADevices) > 0 {
			p.faults.add(d.Place, "user %s is to be deleted, but still has %d access key(s) and %d MFA device(s): delete them first",
				u.UserName, len(keys.AccessKeyMetadata), len(devices.MFADevices))
		}
		switch _, err := p.service.GetLoginProfile(ctx, a.root, &iam.GetLoginProfileInput{UserName: u.UserName}); {
		case err == nil:
			p.faults.add(d.Place, "user %s is to be deleted, but still has a password: delete its login profile first", u.UserName)
		case !errors.Is(err, awserr.NoSuchEntity):
			return err
		}
		c := p.change(Delete, a, userKind.name, u.UserName)
		for _, group := range u.GroupList {
			c.steps = append(c.steps, step{"RemoveUserFromGroup", &iam.RemoveUserFromGroupInput{GroupName: group, UserName: u.UserName}})
		}
		c.deleteHolder(userKind, &held{u.AttachedManagedPolicies, u.UserPolicyList})
		p.done(c)
	}
	return nil
}

func (p *planner) prunePolicies(ctx context.Context, a *account, d *Document) error {
	named := names(d.Policies, func(p *Policy) string { return p.Name })
	found, err := surplus(d, a.policies, named, func(present *iam.ManagedPolicyDetail) ([]iam.Tag, error) {
		return p.policyTags(ctx, a, present)
	})
	for _, present := range found {
		c := p.change(Delete, a, policyKind.name, present.PolicyName)
		for _, v := range present.PolicyVersionList {
			if !v.IsDefaultVersion {
				c.steps = append(c.steps, step{"DeletePolicyVersion", &iam.DeletePolicyVersionInput{PolicyARN: present.ARN, VersionID: v.VersionID}})
			}
		}
		c.steps = append(c.steps, step{"DeletePolicy", &iam.DeletePolicyInput{PolicyARN: present.ARN}})
		p.done(c)
	}
	return err
}

// deleteHolder deletes a user or role with the policies that it holds.
func (c *Change) deleteHolder(k *kind, now *held) {
	for _, attached := range now.attached {
		c.steps = append(c.steps, k.detach(c.Name, attached.PolicyARN))
	}
	for _, in := range now.inline {
		c.steps = append(c.steps, k.deleteInline(c.Name, in.PolicyName))
	}
	c.steps = append(c.steps, k.delete(c.Name))
}
