package apply

import (
	"strings"

	"github.com/stint-sts/stint/arn"
	"github.com/stint-sts/stint/iam"
	"github.com/stint-sts/stint/policy"
	"github.com/stint-sts/stint/policy/lint"
	"github.com/stint-sts/stint/shape"
)

// closed is the trust policy of a role that nobody may assume: what a role has until those that it trusts have been made.
const closed = `{"Version":"2012-10-17","Statement":{"Effect":"Deny","Principal":"*","Action":"sts:AssumeRole"}}`

// Check returns what is wrong with documents that are to be applied together, as far as it can be told without the directory:
// names and values that the API refuses, objects named twice, references to policies and groups, policies that do not parse.
func Check(documents []Document) Faults {
	c := &checker{named: make(map[string]string)}
	for i := range documents {
		c.document(&documents[i])
	}
	return c.faults
}

type checker struct {
	named  map[string]string // place of each object, by account, kind and name
	faults Faults
}

func (c *checker) document(d *Document) {
	if d.Name != "" {
		c.once(d, "document", d.Name, d.Place)
		c.input(d.Place, shape.For[iam.TagRoleInput]().Validate(&iam.TagRoleInput{RoleName: "r", Tags: []iam.Tag{{Key: ManagedBy, Value: d.Name}}}))
	}
	for i := range d.Policies {
		p := &d.Policies[i]
		c.once(d, "policy", p.Name, p.Place)
		c.input(p.Place, shape.For[iam.CreatePolicyInput]().Validate(createPolicy(d, p)))
		c.tags(p.Place, p.Tags)
		c.text(policy.Identity, &p.Document)
	}
	for i := range d.Groups {
		g := &d.Groups[i]
		c.once(d, "group", g.Name, g.Place)
		c.input(g.Place, shape.For[iam.CreateGroupInput]().Validate(&iam.CreateGroupInput{GroupName: g.Name, Path: g.Path}))
		c.holder(g)
	}
	for i := range d.Users {
		u := &d.Users[i]
		c.once(d, "user", u.Name, u.Place)
		c.input(u.Place, shape.For[iam.CreateUserInput]().Validate(createUser(d, u)))
		c.bounded(&u.Bounded)
		c.references(u.Groups)
	}
	for i := range d.Roles {
		r := &d.Roles[i]
		c.once(d, "role", r.Name, r.Place)
		c.input(r.Place, shape.For[iam.CreateRoleInput]().Validate(createRole(d, r)))
		c.bounded(&r.Bounded)
		if r.Trust != nil {
			c.trust(r.Trust)
		}
	}
}

// once refuses a second object of the same name, which the directory tells apart neither.
func (c *checker) once(d *Document, kind, name, place string) {
	key := strings.Join([]string{d.Account, kind, fold(name)}, "\n")
	if first, taken := c.named[key]; taken {
		c.faults.add(place, "%s %s is there already, at %s", kind, name, first)
		return
	}
	c.named[key] = place
}

// input tells what the API says to a value.
func (c *checker) input(place string, err error) {
	if err != nil {
		c.faults.add(place, "%s", message(err))
	}
}

func (c *checker) bounded(b *Bounded) {
	c.holder(&b.Holder)
	c.tags(b.Place, b.Tags)
}

func (c *checker) holder(h *Holder) {
	c.references(h.Attached)
	for i := range h.Inline {
		in := &h.Inline[i]
		c.input(in.Document.Place, shape.For[iam.PutGroupPolicyInput]().Validate(
			&iam.PutGroupPolicyInput{GroupName: "g", PolicyName: in.Name, PolicyDocument: "{}"}))
		c.text(policy.Identity, &in.Document)
	}
}

func (c *checker) references(list []Reference) {
	seen := make(map[string]bool)
	for _, reference := range list {
		if seen[fold(reference.Name)] {
			c.faults.add(reference.Place, "%s is listed twice", reference.Name)
		}
		seen[fold(reference.Name)] = true
	}
}

func (c *checker) tags(place string, tags []iam.Tag) {
	seen := make(map[string]bool)
	for _, tag := range tags {
		switch key := fold(tag.Key); {
		case key == ManagedBy:
			c.faults.add(place, "tag %s is apply's own: it comes from the document's name", tag.Key)
		case seen[key]:
			c.faults.add(place, "tag %s occurs twice: keys are the same in any case", tag.Key)
		default:
			seen[key] = true
		}
	}
}

func (c *checker) text(kind policy.Kind, t *Text) *policy.Document {
	if t.JSON == "" {
		return nil // the reader has told why
	}
	d, err := policy.Parse(kind, t.JSON)
	if err != nil {
		fault := t.fault(err)
		c.faults.add(fault.Place, "%s", fault.Text)
		return nil
	}
	return d
}

// trust refuses principals by unique id too: IAM shows their ARNs, and the policy would differ for ever.
func (c *checker) trust(t *Text) {
	d := c.text(policy.Trust, t)
	if d == nil {
		return
	}
	for _, named := range d.Principals() {
		if !strings.HasPrefix(named, "arn:") {
			c.faults.add(t.Place, "principal %s: name it by its ARN", named)
		}
	}
}

// Finding is what the linter says of a policy in a file.
type Finding struct {
	Place  string `json:"place"`  // FILE:LINE:COLUMN
	Object string `json:"object"` // such as "role Deploy: trust policy"
	lint.Finding
}

// Lint returns what is wrong with the policies of documents that Read returned and Check found no fault in.
func Lint(documents []Document) []Finding {
	found := []Finding{}
	look := func(kind policy.Kind, object string, t *Text) {
		for _, f := range lint.Check(kind, t.JSON) {
			found = append(found, Finding{t.places.find(f.Line, f.Column), object, f})
		}
	}
	inline := func(kind string, h *Holder) {
		for i := range h.Inline {
			look(policy.Identity, kind+" "+h.Name+": inline policy "+h.Inline[i].Name, &h.Inline[i].Document)
		}
	}
	used := usage(documents)
	for i := range documents {
		d := &documents[i]
		for j := range d.Policies {
			look(used[fold(d.Policies[j].Name)], "policy "+d.Policies[j].Name, &d.Policies[j].Document)
		}
		for j := range d.Groups {
			inline("group", &d.Groups[j])
		}
		for j := range d.Users {
			inline("user", &d.Users[j].Holder)
		}
		for j := range d.Roles {
			r := &d.Roles[j]
			if r.Trust != nil {
				look(policy.Trust, "role "+r.Name+": trust policy", r.Trust)
			}
			inline("role", &r.Holder)
		}
	}
	return found
}

// usage tells for each managed policy of the documents, by folded name, what it is read as: one that serves as a boundary and is
// attached nowhere grants nothing.
func usage(documents []Document) map[string]policy.Kind {
	attached, boundary := make(map[string]bool), make(map[string]bool)
	note := func(into map[string]bool, r Reference) {
		into[fold(r.Name[strings.LastIndexByte(r.Name, '/')+1:])] = true
	}
	holder := func(h *Holder) {
		for _, r := range h.Attached {
			note(attached, r)
		}
	}
	bounded := func(b *Bounded) {
		if holder(&b.Holder); b.Boundary != nil {
			note(boundary, *b.Boundary)
		}
	}
	for i := range documents {
		d := &documents[i]
		for j := range d.Groups {
			holder(&d.Groups[j])
		}
		for j := range d.Users {
			bounded(&d.Users[j].Bounded)
		}
		for j := range d.Roles {
			bounded(&d.Roles[j].Bounded)
		}
	}
	used := make(map[string]policy.Kind)
	for i := range documents {
		for j := range documents[i].Policies {
			name := fold(documents[i].Policies[j].Name)
			if used[name] = policy.Identity; boundary[name] && !attached[name] {
				used[name] = policy.Boundary
			}
		}
	}
	return used
}

func createPolicy(d *Document, p *Policy) *iam.CreatePolicyInput {
	return &iam.CreatePolicyInput{
		PolicyName: p.Name, Path: p.Path, Description: p.Description, PolicyDocument: orClosed(p.Document.JSON), Tags: d.tagged(p.Tags),
	}
}

func createUser(d *Document, u *User) *iam.CreateUserInput {
	return &iam.CreateUserInput{UserName: u.Name, Path: u.Path, Tags: d.tagged(u.Tags)}
}

func createRole(d *Document, r *Role) *iam.CreateRoleInput {
	in := &iam.CreateRoleInput{
		RoleName: r.Name, Path: r.Path, MaxSessionDuration: r.MaxSession, Tags: d.tagged(r.Tags), AssumeRolePolicyDocument: closed,
	}
	if r.Description != nil {
		in.Description = *r.Description
	}
	if r.Trust != nil {
		in.AssumeRolePolicyDocument = orClosed(r.Trust.JSON)
	}
	return in
}

// orClosed stands in for a text that could not be read, so that the rest of an object can be checked. Nothing with such a
// fault is applied.
func orClosed(text string) string {
	if text == "" {
		return closed
	}
	return text
}

// tagged are the tags of an object that the document makes.
func (d *Document) tagged(tags []iam.Tag) []iam.Tag {
	if d.Name == "" {
		return tags
	}
	return append(append([]iam.Tag{}, tags...), iam.Tag{Key: ManagedBy, Value: d.Name})
}

// policyARN is the ARN of a customer managed policy.
func policyARN(account, path, name string) string {
	if path == "" {
		path = "/"
	}
	return arn.Entity(account, "policy", path, name)
}
