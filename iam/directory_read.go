package iam

import (
	"errors"
	"fmt"
	"strings"

	"github.com/stint-sts/stint/arn"
	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/policy"
	"github.com/stint-sts/stint/secret"
)

// awsAccount stands in the ARN of a policy that AWS manages.
const awsAccount = "aws"

// Prefixes of unique ids (AWS IAM User Guide, "IAM identifiers": "Understanding unique ID prefixes").
const (
	userPrefix = "AIDA"
	rolePrefix = "AROA"
)

// readKey reads an access key and opens its secret.
func (d *Directory) readKey(r *reading, id string) (result[*authn.AccessKey], error) {
	var none result[*authn.AccessKey]
	r.dependOn(id)
	k, err := byID[AccessKey](r.tx, id)
	if err != nil {
		return none, err
	}
	r.dependOn(k.Owner)
	if err := ownerExists(r.tx, k); err != nil {
		return none, err
	}
	plain, err := d.master.Open(k.SealedSecret, "access-key/"+id)
	if err != nil {
		return none, err
	}
	return result[*authn.AccessKey]{value: &authn.AccessKey{
		ID: k.ID, Account: k.Account, Owner: k.Owner, Active: k.Active, Secret: secret.New(string(plain)),
	}}, nil
}

func ownerExists(tx Tx, k *AccessKey) error {
	if k.Owner == k.Account {
		_, err := tx.ByID(KindAccount, k.Account)
		return err
	}
	u, err := tx.ByID(KindUser, k.Owner)
	if err == nil && u.Account != k.Account {
		return fmt.Errorf("its owner is in account %s", u.Account)
	}
	return err
}

func (d *Directory) readEntity(r *reading, id string) (result[*authn.Entity], error) {
	r.dependOn(id)
	switch {
	case strings.HasPrefix(id, userPrefix):
		return d.readUser(r, id)
	case strings.HasPrefix(id, rolePrefix):
		return d.readRole(r, id)
	case arn.ValidAccount(id):
		return readAccount(r, id)
	}
	return result[*authn.Entity]{}, ErrNotFound
}

func readAccount(r *reading, id string) (result[*authn.Entity], error) {
	if _, err := byID[Account](r.tx, id); err != nil {
		return result[*authn.Entity]{}, err
	}
	return result[*authn.Entity]{value: &authn.Entity{
		Type: authn.AccountEntity, Account: id, ID: id, ARN: arn.Root(id), Identity: []*policy.Document{},
	}}, nil
}

func (d *Directory) readUser(r *reading, id string) (result[*authn.Entity], error) {
	var none result[*authn.Entity]
	u, err := byID[User](r.tx, id)
	if err != nil {
		return none, err
	}
	e := &authn.Entity{
		Type: authn.UserEntity, Account: u.Account, ID: u.ID, ARN: u.ARN(), Path: u.Path, Name: u.Name, Tags: authnTags(u.Tags),
	}
	var bytes int
	if e.Identity, bytes, err = d.readPolicies(r, u.Account, id); err != nil {
		return none, err
	}
	memberships, err := list[Membership](r.tx, Query{Account: u.Account, Parent: id})
	if err != nil {
		return none, err
	}
	for _, m := range memberships {
		documents, err := d.groups.within(r, m.GroupID, func(r *reading) (result[[]*policy.Document], error) {
			return d.readGroup(r, u.Account, m.GroupID)
		})
		if err != nil {
			return none, broken("group "+m.GroupID, err)
		}
		e.Identity = append(e.Identity, documents...)
	}
	if e.Boundary, err = d.readBoundary(r, u.Account, u.Boundary); err != nil {
		return none, err
	}
	return result[*authn.Entity]{value: e, bytes: bytes}, nil
}

func (d *Directory) readRole(r *reading, id string) (result[*authn.Entity], error) {
	var none result[*authn.Entity]
	role, err := byID[Role](r.tx, id)
	if err != nil {
		return none, err
	}
	e := &authn.Entity{
		Type: authn.RoleEntity, Account: role.Account, ID: role.ID, ARN: role.ARN(), Path: role.Path, Name: role.Name,
		Tags: authnTags(role.Tags), MaxSessionDuration: role.MaxSessionDuration,
	}
	var bytes int
	if e.Identity, bytes, err = d.readPolicies(r, role.Account, id); err != nil {
		return none, err
	}
	if e.Boundary, err = d.readBoundary(r, role.Account, role.Boundary); err != nil {
		return none, err
	}
	trust, err := policy.Parse(policy.Trust, role.Trust)
	if err != nil {
		return none, broken("trust policy", err)
	}
	e.Trust = trust.Bind(role.TrustIDs).Named("trust policy of " + e.ARN)
	return result[*authn.Entity]{value: e, bytes: bytes + len(role.Trust)}, nil
}

func (d *Directory) readGroup(r *reading, account, id string) (result[[]*policy.Document], error) {
	r.dependOn(id)
	g, err := r.tx.ByID(KindGroup, id)
	if err != nil {
		return result[[]*policy.Document]{}, err
	}
	if g.Account != account {
		return result[[]*policy.Document]{}, errors.New("not of this account")
	}
	documents, bytes, err := d.readPolicies(r, account, id)
	return result[[]*policy.Document]{value: documents, bytes: bytes}, err
}

// readPolicies reads the inline and attached policies of a user, group or role. bytes is the size of the inline ones; the
// others are shared.
func (d *Directory) readPolicies(r *reading, account, id string) (documents []*policy.Document, bytes int, err error) {
	inline, err := list[InlinePolicy](r.tx, Query{Account: account, Parent: id})
	if err != nil {
		return nil, 0, err
	}
	attached, err := list[Attachment](r.tx, Query{Account: account, Parent: id})
	if err != nil {
		return nil, 0, err
	}
	documents = make([]*policy.Document, 0, len(inline)+len(attached))
	for _, p := range inline {
		document, err := policy.Parse(policy.Identity, p.Document)
		if err != nil {
			return nil, 0, broken("inline policy "+p.Name, err)
		}
		documents = append(documents, document.Named("inline policy "+p.Name+" of "+id))
		bytes += len(p.Document)
	}
	for _, a := range attached {
		document, err := d.sharedPolicy(r, account, a.PolicyARN)
		if err != nil {
			return nil, 0, err
		}
		documents = append(documents, document)
	}
	return documents, bytes, nil
}

func (d *Directory) readBoundary(r *reading, account, policyARN string) (*policy.Document, error) {
	if policyARN == "" {
		return nil, nil
	}
	return d.sharedPolicy(r, account, policyARN)
}

// sharedPolicy returns a managed policy that an object of the account refers to; there is one compiled copy of it for all.
func (d *Directory) sharedPolicy(r *reading, account, policyARN string) (*policy.Document, error) {
	a, err := arn.Parse(policyARN)
	if err != nil || a.Account != account && a.Account != awsAccount {
		return nil, broken("managed policy "+policyARN, errors.New("not of this account"))
	}
	document, err := d.policies.within(r, policyARN, func(r *reading) (result[*policy.Document], error) {
		return d.readPolicy(r, policyARN, a)
	})
	if err != nil {
		return nil, broken("managed policy "+policyARN, err)
	}
	return document, nil
}

// readPolicy reads and compiles the default version of the managed policy that a names.
func (d *Directory) readPolicy(r *reading, policyARN string, a arn.ARN) (result[*policy.Document], error) {
	var none result[*policy.Document]
	text, err := d.policyText(r, policyARN, a)
	if err != nil {
		return none, err
	}
	document, err := policy.Parse(policy.Identity, text)
	if err != nil {
		return none, broken("document", err)
	}
	return result[*policy.Document]{value: document.Named(policyARN), bytes: len(text)}, nil
}

func (d *Directory) policyText(r *reading, policyARN string, a arn.ARN) (string, error) {
	if a.Account == awsAccount {
		if text, found := d.managed.Document(policyARN); found {
			return text, nil
		}
		return "", ErrNotFound
	}
	name := fold(a.Name())
	r.dependOn(nameOf(KindPolicy, a.Account, name))
	p, err := get[Policy](r.tx, a.Account, "", name)
	if err != nil {
		return "", err
	}
	r.dependOn(p.ID)
	if p.ARN() != policyARN {
		return "", ErrNotFound
	}
	v, err := get[PolicyVersion](r.tx, a.Account, p.ID, versionKey(p.DefaultVersion))
	if err != nil {
		return "", broken("default version", err)
	}
	return v.Document, nil
}

// readRoleID finds the unique id of the role that a names.
func (d *Directory) readRoleID(r *reading, a arn.ARN) (result[string], error) {
	name := fold(a.Name())
	r.dependOn(nameOf(KindRole, a.Account, name))
	role, err := get[Role](r.tx, a.Account, "", name)
	if err != nil {
		return result[string]{}, err
	}
	r.dependOn(role.ID)
	if role.ARN() != a.String() {
		return result[string]{}, ErrNotFound
	}
	return result[string]{value: role.ID}, nil
}

// broken reports that an object that exists cannot be used. It hides ErrNotFound: that a part is missing does not mean that
// the whole does not exist.
func broken(part string, err error) error {
	if errors.Is(err, ErrNotFound) {
		return fmt.Errorf("%s: %v", part, err)
	}
	return fmt.Errorf("%s: %w", part, err)
}
