package apply

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"

	"github.com/stint-sts/stint/arn"
	"github.com/stint-sts/stint/iam"
	"github.com/stint-sts/stint/policy"
)

// Action is what is done to an object.
type Action string

// The actions.
const (
	Create Action = "create"
	Update Action = "update"
	Delete Action = "delete"
)

// Change is what is to be done, or has been done, to one object.
type Change struct {
	Action  Action   `json:"action"`
	Account string   `json:"account"` // id
	Kind    string   `json:"kind"`    // policy, group, user or role
	Name    string   `json:"name"`
	Details []string `json:"details"`
	Done    bool     `json:"done"`

	account *account
	steps   []step
	late    []step // when everything else that is named has been made
}

func (c *Change) add(s step, detail string) {
	c.steps, c.Details = append(c.steps, s), append(c.Details, detail)
}

// planner compares documents with the accounts that they speak of.
type planner struct {
	service  *iam.Service
	accounts map[string]*account // by id
	own      map[string]string   // ARN of each managed policy of the documents, by account and folded name
	coming   map[string]bool     // ARNs of users and roles that will be made, or moved to, and are not planned yet
	planned  map[string]bool     // ARNs of those that are; and of the managed policies and groups of the documents
	faults   Faults
	changes  []*Change
}

// plan returns the changes in the order in which they are made: what others refer to comes first. Deletions come last.
func (p *planner) plan(ctx context.Context, documents []Document, prune bool) error {
	p.announce(documents)
	for _, pass := range []func(context.Context, *account, *Document) error{p.policies, p.groups, p.users, p.roles} {
		for i := range documents {
			if err := pass(ctx, p.accounts[documents[i].Account], &documents[i]); err != nil {
				return err
			}
		}
	}
	if !prune {
		return nil
	}
	for _, pass := range []func(context.Context, *account, *Document) error{p.pruneRoles, p.pruneUsers, p.prunePolicies} {
		for i := range documents {
			if err := pass(ctx, p.accounts[documents[i].Account], &documents[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

// announce notes what the documents will make, for references to it.
func (p *planner) announce(documents []Document) {
	for i := range documents {
		d := &documents[i]
		a := p.accounts[d.Account]
		for j := range d.Policies {
			wanted := &d.Policies[j]
			name := policyARN(a.id, wanted.Path, wanted.Name)
			if present := a.policies[fold(wanted.Name)]; present != nil {
				name = present.ARN
			}
			p.own[a.id+"/"+fold(wanted.Name)], p.planned[name] = name, true
		}
		for j := range d.Groups {
			p.planned[groupKey(a, d.Groups[j].Name)] = true
		}
		for j := range d.Users {
			if u := &d.Users[j]; a.users[fold(u.Name)] == nil || u.Path != "" {
				p.coming[arn.Entity(a.id, "user", orRoot(u.Path), u.Name)] = true
			}
		}
		for j := range d.Roles {
			if r := &d.Roles[j]; a.roles[fold(r.Name)] == nil {
				p.coming[arn.Entity(a.id, "role", orRoot(r.Path), r.Name)] = true
			}
		}
	}
}

// groupKey stands for the ARN of a group, whose path a reference does not tell.
func groupKey(a *account, name string) string { return arn.Entity(a.id, "group", "/", fold(name)) }

func orRoot(path string) string {
	if path == "" {
		return "/"
	}
	return path
}

// change starts a change, which done keeps if it has steps.
func (p *planner) change(action Action, a *account, kind, name string) *Change {
	return &Change{Action: action, Account: a.id, Kind: kind, Name: name, Details: []string{}, account: a}
}

func (p *planner) done(c *Change) {
	if len(c.steps)+len(c.late) > 0 {
		p.changes = append(p.changes, c)
	}
}

// owned refuses to change what another document made: two files would undo each other's work.
func (p *planner) owned(d *Document, place, what string, tags []iam.Tag) {
	if owner, ok := tagValue(tags, ManagedBy); ok && owner != d.Name {
		p.faults.add(place, "%s belongs to the document %q: it carries the tag %s", what, owner, ManagedBy)
	}
}

func (p *planner) policies(ctx context.Context, a *account, d *Document) error {
	for i := range d.Policies {
		wanted := &d.Policies[i]
		present := a.policies[fold(wanted.Name)]
		if present == nil {
			c := p.change(Create, a, policyKind.name, wanted.Name)
			c.steps = append(c.steps, step{"CreatePolicy", createPolicy(d, wanted)})
			p.done(c)
			continue
		}
		tags, err := p.policyTags(ctx, a, present)
		if err != nil {
			return err
		}
		p.owned(d, wanted.Place, "policy "+wanted.Name, tags)
		if wanted.Path != "" && wanted.Path != present.Path {
			p.faults.add(wanted.Place, "policy %s has the path %s, which IAM cannot change", wanted.Name, present.Path)
		}
		if wanted.Description != "" && wanted.Description != present.Description {
			p.faults.add(wanted.Place, "policy %s has another description, which IAM cannot change", wanted.Name)
		}
		c := p.change(Update, a, policyKind.name, present.PolicyName)
		c.version(a, present, wanted.Document.JSON)
		c.tags(policyKind, present.ARN, tags, wanted.Tags)
		p.done(c)
	}
	return nil
}

// policyTags reads what the account's details leave out.
func (p *planner) policyTags(ctx context.Context, a *account, present *iam.ManagedPolicyDetail) ([]iam.Tag, error) {
	out, err := p.service.GetPolicy(ctx, a.root, &iam.GetPolicyInput{PolicyARN: present.ARN})
	if err != nil {
		return nil, err
	}
	return out.Policy.Tags, nil
}

// version puts a document in force: a version that holds it already, or a new one, for which the oldest may have to go.
func (c *Change) version(a *account, present *iam.ManagedPolicyDetail, document string) {
	oldest := ""
	for _, v := range present.PolicyVersionList {
		switch {
		case v.IsDefaultVersion && sameJSON(v.Document, document):
			return
		case !v.IsDefaultVersion && oldest == "":
			oldest = v.VersionID
		}
	}
	for _, v := range present.PolicyVersionList {
		if sameJSON(v.Document, document) {
			c.add(step{"SetDefaultPolicyVersion", &iam.SetDefaultPolicyVersionInput{PolicyARN: present.ARN, VersionID: v.VersionID}},
				"document: back to version "+v.VersionID)
			return
		}
	}
	if len(present.PolicyVersionList) >= a.versions && oldest != "" {
		c.add(step{"DeletePolicyVersion", &iam.DeletePolicyVersionInput{PolicyARN: present.ARN, VersionID: oldest}},
			"delete version "+oldest)
	}
	c.add(step{"CreatePolicyVersion", &iam.CreatePolicyVersionInput{
		PolicyARN: present.ARN, PolicyDocument: document, SetAsDefault: true,
	}}, "document")
}

// sameJSON compares but for white space.
func sameJSON(a, b string) bool {
	var left, right bytes.Buffer
	if json.Compact(&left, []byte(a)) != nil || json.Compact(&right, []byte(b)) != nil {
		return a == b
	}
	return bytes.Equal(left.Bytes(), right.Bytes())
}

func (p *planner) groups(ctx context.Context, a *account, d *Document) error {
	for i := range d.Groups {
		wanted := &d.Groups[i]
		c, now := p.change(Create, a, groupKind.name, wanted.Name), held{}
		if present := a.groups[fold(wanted.Name)]; present == nil {
			c.steps = append(c.steps, step{"CreateGroup", &iam.CreateGroupInput{GroupName: wanted.Name, Path: wanted.Path}})
		} else {
			c, now = p.change(Update, a, groupKind.name, present.GroupName), held{present.AttachedManagedPolicies, present.GroupPolicyList}
			if wanted.Path != "" && wanted.Path != present.Path {
				c.add(step{"UpdateGroup", &iam.UpdateGroupInput{GroupName: c.Name, NewPath: wanted.Path}}, "path "+wanted.Path)
			}
		}
		p.holdings(ctx, c, groupKind, &now, wanted)
		p.done(c)
	}
	return nil
}

func (p *planner) users(ctx context.Context, a *account, d *Document) error {
	for i := range d.Users {
		wanted := &d.Users[i]
		boundary := p.boundary(ctx, a, wanted.Boundary)
		c, now, groups := p.change(Create, a, userKind.name, wanted.Name), held{}, []string(nil)
		if present := a.users[fold(wanted.Name)]; present == nil {
			in := createUser(d, wanted)
			in.PermissionsBoundary = boundary
			c.steps = append(c.steps, step{"CreateUser", in})
		} else {
			p.owned(d, wanted.Place, "user "+wanted.Name, present.Tags)
			c, now = p.change(Update, a, userKind.name, present.UserName), held{present.AttachedManagedPolicies, present.UserPolicyList}
			groups = present.GroupList
			if wanted.Path != "" && wanted.Path != present.Path {
				c.add(step{"UpdateUser", &iam.UpdateUserInput{UserName: c.Name, NewPath: wanted.Path}}, "path "+wanted.Path)
			}
			c.boundary(userKind, present.PermissionsBoundary, wanted.Boundary, boundary)
			c.tags(userKind, c.Name, present.Tags, wanted.Tags)
		}
		p.holdings(ctx, c, userKind, &now, &wanted.Holder)
		p.memberships(c, d, groups, wanted.Groups)
		p.arrived(arn.Entity(a.id, "user", orRoot(wanted.Path), c.Name))
		p.done(c)
	}
	return nil
}

// arrived notes that what is planned next can refer to an object.
func (p *planner) arrived(name string) {
	if p.coming[name] {
		delete(p.coming, name)
		p.planned[name] = true
	}
}

func (p *planner) memberships(c *Change, d *Document, present []string, wanted []Reference) {
	if wanted == nil {
		return
	}
	listed := func(name string) bool {
		return slices.ContainsFunc(wanted, func(r Reference) bool { return fold(r.Name) == fold(name) })
	}
	for _, name := range present {
		if !listed(name) {
			c.add(step{"RemoveUserFromGroup", &iam.RemoveUserFromGroupInput{GroupName: name, UserName: c.Name}}, "leave group "+name)
		}
	}
	for _, reference := range wanted {
		if slices.ContainsFunc(present, func(name string) bool { return fold(name) == fold(reference.Name) }) {
			continue
		}
		if c.account.groups[fold(reference.Name)] == nil && !p.planned[groupKey(c.account, reference.Name)] {
			p.faults.add(reference.Place, "there is no group %s, neither in the files nor in account %s", reference.Name, c.Account)
		}
		c.add(step{"AddUserToGroup", &iam.AddUserToGroupInput{GroupName: reference.Name, UserName: c.Name}}, "join group "+reference.Name)
	}
}

func (p *planner) roles(ctx context.Context, a *account, d *Document) error {
	for i := range d.Roles {
		wanted := &d.Roles[i]
		if a.roles[fold(wanted.Name)] == nil {
			p.newRole(ctx, a, d, wanted)
		} else if err := p.presentRole(ctx, a, d, wanted); err != nil {
			return err
		}
	}
	return nil
}

func (p *planner) newRole(ctx context.Context, a *account, d *Document, wanted *Role) {
	c := p.change(Create, a, roleKind.name, wanted.Name)
	in := createRole(d, wanted)
	in.PermissionsBoundary = p.boundary(ctx, a, wanted.Boundary)
	if wanted.Trust == nil {
		p.faults.add(wanted.Place, "role %s has no trust policy, and there is no role of that name yet", wanted.Name)
	} else if p.trustWaits(ctx, wanted.Trust) {
		// Nobody may assume it until those that it trusts exist.
		in.AssumeRolePolicyDocument = closed
		c.late = append(c.late, updateTrust(wanted.Name, wanted.Trust))
	}
	c.steps = append(c.steps, step{"CreateRole", in})
	p.holdings(ctx, c, roleKind, &held{}, &wanted.Holder)
	p.arrived(arn.Entity(a.id, "role", orRoot(wanted.Path), wanted.Name))
	p.done(c)
}

func (p *planner) presentRole(ctx context.Context, a *account, d *Document, wanted *Role) error {
	present := a.roles[fold(wanted.Name)]
	p.owned(d, wanted.Place, "role "+wanted.Name, present.Tags)
	if wanted.Path != "" && wanted.Path != present.Path {
		p.faults.add(wanted.Place, "role %s has the path %s, which IAM cannot change", wanted.Name, present.Path)
	}
	c := p.change(Update, a, roleKind.name, present.RoleName)
	if err := p.roleSettings(ctx, c, wanted); err != nil {
		return err
	}
	c.boundary(roleKind, present.PermissionsBoundary, wanted.Boundary, p.boundary(ctx, a, wanted.Boundary))
	c.tags(roleKind, c.Name, present.Tags, wanted.Tags)
	p.holdings(ctx, c, roleKind, &held{present.AttachedManagedPolicies, present.RolePolicyList}, &wanted.Holder)
	if wanted.Trust != nil {
		if waits := p.trustWaits(ctx, wanted.Trust); sameTrust(present.AssumeRolePolicyDocument, wanted.Trust.JSON) {
			p.done(c)
			return nil
		} else if waits {
			c.late = append(c.late, updateTrust(c.Name, wanted.Trust))
			c.Details = append(c.Details, "trust policy")
		} else {
			c.add(updateTrust(c.Name, wanted.Trust), "trust policy")
		}
	}
	p.done(c)
	return nil
}

// roleSettings compares what the account's details leave out.
func (p *planner) roleSettings(ctx context.Context, c *Change, wanted *Role) error {
	if wanted.Description == nil && wanted.MaxSession == nil {
		return nil
	}
	out, err := p.service.GetRole(ctx, c.account.root, &iam.GetRoleInput{RoleName: c.Name})
	if err != nil {
		return err
	}
	in := &iam.UpdateRoleInput{RoleName: c.Name}
	if wanted.Description != nil && *wanted.Description != out.Role.Description {
		in.Description = wanted.Description
		c.Details = append(c.Details, "description")
	}
	if wanted.MaxSession != nil && *wanted.MaxSession != *out.Role.MaxSessionDuration {
		in.MaxSessionDuration = wanted.MaxSession
		c.Details = append(c.Details, "max-session-duration")
	}
	if in.Description != nil || in.MaxSessionDuration != nil {
		c.steps = append(c.steps, step{"UpdateRole", in})
	}
	return nil
}

func updateTrust(role string, trust *Text) step {
	return step{"UpdateAssumeRolePolicy", &iam.UpdateAssumeRolePolicyInput{RoleName: role, PolicyDocument: trust.JSON}}
}

// sameTrust compares a trust policy as IAM shows it with one as it is written: accounts are shown by ARN, and a principal that
// has been deleted by its unique id, so that one which was made anew is trusted anew.
func sameTrust(shown, written string) bool {
	d, err := policy.Parse(policy.Trust, written)
	return err == nil && sameJSON(shown, d.Stored())
}

// trustWaits tells whether a trust policy names somebody who is made later than its role. Who neither exists nor is made is
// a fault.
func (p *planner) trustWaits(ctx context.Context, trust *Text) (waits bool) {
	d, err := policy.Parse(policy.Trust, trust.JSON)
	if err != nil {
		return false // Check has told why
	}
	for _, named := range d.Principals() {
		switch {
		case p.planned[named]:
		case p.coming[named]:
			waits = true
		case !p.exists(ctx, named):
			p.faults.add(trust.Place, "the trust policy names %s, which is neither in the files nor in the directory", named)
		}
	}
	return waits
}

// exists tells whether there is a user or role, of any account.
func (p *planner) exists(ctx context.Context, named string) bool {
	a, err := arn.Parse(named)
	if err != nil {
		return false
	}
	root := rootOf(a.Account)
	if a.IsIAM("user") {
		out, err := p.service.GetUser(ctx, root, &iam.GetUserInput{UserName: a.Name()})
		return err == nil && out.User.ARN == named
	}
	out, err := p.service.GetRole(ctx, root, &iam.GetRoleInput{RoleName: a.Name()})
	return err == nil && out.Role.ARN == named
}

// holdings compares attached and inline policies. What goes, goes first: quotas count both.
func (p *planner) holdings(ctx context.Context, c *Change, k *kind, now *held, wanted *Holder) {
	if wanted.Inline != nil {
		for _, present := range now.inline {
			if !slices.ContainsFunc(wanted.Inline, func(in Inline) bool { return in.Name == present.PolicyName }) {
				c.add(k.deleteInline(c.Name, present.PolicyName), "delete inline policy "+present.PolicyName)
			}
		}
	}
	if wanted.Attached != nil {
		listed := make([]string, len(wanted.Attached))
		for i, reference := range wanted.Attached {
			listed[i] = p.policyNamed(ctx, c.account, reference)
		}
		for _, present := range now.attached {
			if !slices.Contains(listed, present.PolicyARN) {
				c.add(k.detach(c.Name, present.PolicyARN), "detach "+present.PolicyARN)
			}
		}
		for _, policyARN := range listed {
			if !now.has(policyARN) {
				c.add(k.attach(c.Name, policyARN), "attach "+policyARN)
			}
		}
	}
	for _, in := range wanted.Inline {
		if !sameJSON(now.document(in.Name), in.Document.JSON) {
			c.add(k.putInline(c.Name, in.Name, in.Document.JSON), "inline policy "+in.Name)
		}
	}
}

// policyNamed returns the ARN of a managed policy that is named by ARN, or by the name it has in the files or the account.
func (p *planner) policyNamed(ctx context.Context, a *account, reference Reference) string {
	name := reference.Name
	if policyARN, ok := p.own[a.id+"/"+fold(name)]; ok {
		return policyARN
	}
	if present := a.policies[fold(name)]; present != nil {
		return present.ARN
	}
	named, err := arn.Parse(name)
	switch {
	case err != nil:
		p.faults.add(reference.Place, "there is no policy %s, neither in the files nor in account %s", name, a.id)
		return name
	case named.Account == a.id && p.planned[name]:
		return name
	}
	if _, err := p.service.GetPolicy(ctx, a.root, &iam.GetPolicyInput{PolicyARN: name}); err != nil {
		p.faults.add(reference.Place, "%s", message(err))
	}
	return name
}

// boundary returns the ARN of a boundary, or "" for none.
func (p *planner) boundary(ctx context.Context, a *account, wanted *Reference) string {
	if wanted == nil || wanted.Name == "" {
		return ""
	}
	return p.policyNamed(ctx, a, *wanted)
}

func (c *Change) boundary(k *kind, present *iam.PermissionsBoundary, wanted *Reference, policyARN string) {
	switch {
	case wanted == nil:
	case policyARN == "" && present != nil:
		c.add(k.unbound(c.Name), "no boundary")
	case policyARN != "" && (present == nil || present.ARN != policyARN):
		c.add(k.bound(c.Name, policyARN), "boundary "+policyARN)
	}
}

// tags compares tags. The one of apply itself stays as it is: an object that apply did not make does not become its own.
func (c *Change) tags(k *kind, name string, present, wanted []iam.Tag) {
	if wanted == nil {
		return
	}
	var gone []string
	for _, t := range present {
		if _, listed := tagValue(wanted, t.Key); !listed && fold(t.Key) != ManagedBy {
			gone = append(gone, t.Key)
			c.Details = append(c.Details, "untag "+t.Key)
		}
	}
	if gone != nil {
		c.steps = append(c.steps, k.untag(name, gone))
	}
	var changed []iam.Tag
	for _, t := range wanted {
		if !slices.Contains(present, t) {
			changed = append(changed, t)
			c.Details = append(c.Details, "tag "+t.Key+"="+t.Value)
		}
	}
	if changed != nil {
		c.steps = append(c.steps, k.tag(name, changed))
	}
}
