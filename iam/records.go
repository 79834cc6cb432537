package iam

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/stint-sts/stint/arn"
	"github.com/stint-sts/stint/federation/oidc"
)

// object is a typed directory object: it knows the key columns of its record and the version it was read at.
type object interface {
	key() Record // without Version and Body
	readAt() *int64
}

// versioned carries the version that an object was read at, for compare-and-set; zero: not stored yet.
type versioned struct{ version int64 }

func (v *versioned) readAt() *int64 { return &v.version }

// pointer is *T that is an object.
type pointer[T any] interface {
	*T
	object
}

func kindOf[T any, P pointer[T]]() Kind { return P(new(T)).key().Kind }

// get reads the object of type T with the given key, or returns ErrNotFound.
func get[T any, P pointer[T]](tx Tx, account, parent, name string) (P, error) {
	return decode[T, P](tx.Get(kindOf[T, P](), account, parent, name))
}

// byID reads the object of type T with the given unique id, or returns ErrNotFound.
func byID[T any, P pointer[T]](tx Tx, id string) (P, error) {
	return decode[T, P](tx.ByID(kindOf[T, P](), id))
}

// list reads the objects of type T that q selects; q.Kind is filled in.
func list[T any, P pointer[T]](tx Tx, q Query) ([]P, error) {
	q.Kind = kindOf[T, P]()
	records, err := tx.List(q)
	if err != nil {
		return nil, err
	}
	objects := make([]P, len(records))
	for i, r := range records {
		if objects[i], err = decode[T, P](r, nil); err != nil {
			return nil, err
		}
	}
	return objects, nil
}

// count tells how many objects of type T q selects; q.Kind is filled in.
func count[T any, P pointer[T]](tx Tx, q Query) (int, error) {
	q.Kind = kindOf[T, P]()
	return tx.Count(q)
}

// put creates o, or replaces it if it is still at the version that it was read at (ErrConflict).
func put(tx Tx, o object) error {
	body, err := json.Marshal(o)
	if err != nil {
		return err
	}
	r := o.key()
	r.Version, r.Body = *o.readAt(), body
	if err := tx.Put(r); err != nil {
		return fmt.Errorf("put %s %s: %w", r.Kind, r.Name, err)
	}
	*o.readAt()++
	return nil
}

// remove deletes o.
func remove(tx Tx, o object) error {
	r := o.key()
	return tx.Delete(r.Kind, r.Account, r.Parent, r.Name)
}

func decode[T any, P pointer[T]](r Record, err error) (P, error) {
	if err != nil {
		return nil, err
	}
	o := P(new(T))
	if err := json.Unmarshal(r.Body, o); err != nil {
		return nil, fmt.Errorf("decode %s %s: %w", r.Kind, r.Name, err)
	}
	*o.readAt() = r.Version
	return o, nil
}

// fold is the key of a name that AWS keeps unique ignoring case.
func fold(name string) string { return strings.ToLower(name) }

// versionKey is the record name of a policy version: in the order of numbers.
func versionKey(number int) string { return fmt.Sprintf("v%06d", number) }

// Names of records that their owner has at most one of.
const (
	loginProfileName   = "password"
	passwordPolicyName = "policy"
)

func (a *Account) key() Record { return Record{Kind: KindAccount, Name: a.ID, ID: a.ID} }

func (a *Alias) key() Record {
	return Record{Kind: KindAlias, Name: a.Name, ID: a.Name, Target: a.Account}
}

func (u *User) key() Record {
	return Record{Kind: KindUser, Account: u.Account, Name: fold(u.Name), ID: u.ID, Path: u.Path}
}

func (g *Group) key() Record {
	return Record{Kind: KindGroup, Account: g.Account, Name: fold(g.Name), ID: g.ID, Path: g.Path}
}

func (r *Role) key() Record {
	return Record{Kind: KindRole, Account: r.Account, Name: fold(r.Name), ID: r.ID, Path: r.Path}
}

func (p *Policy) key() Record {
	return Record{Kind: KindPolicy, Account: p.Account, Name: fold(p.Name), ID: p.ID, Path: p.Path}
}

func (v *PolicyVersion) key() Record {
	return Record{Kind: KindPolicyVersion, Account: v.Account, Parent: v.PolicyID, Name: versionKey(v.Number)}
}

func (p *InlinePolicy) key() Record {
	return Record{Kind: KindInlinePolicy, Account: p.Account, Parent: p.Entity, Name: p.Name}
}

func (a *Attachment) key() Record {
	return Record{Kind: KindAttachment, Account: a.Account, Parent: a.Entity, Name: a.PolicyARN, Target: a.PolicyARN}
}

func (b *BoundaryUse) key() Record {
	return Record{Kind: KindBoundary, Account: b.Account, Parent: b.Entity, Name: "boundary", Target: b.PolicyARN}
}

func (m *Membership) key() Record {
	return Record{Kind: KindMembership, Account: m.Account, Parent: m.UserID, Name: m.GroupID, Target: m.GroupID}
}

func (k *AccessKey) key() Record {
	return Record{Kind: KindAccessKey, Account: k.Account, Parent: k.Owner, Name: k.ID, ID: k.ID}
}

func (p *InstanceProfile) key() Record {
	return Record{Kind: KindInstanceProfile, Account: p.Account, Name: fold(p.Name), ID: p.ID, Target: p.RoleID, Path: p.Path}
}

func (d *MFADevice) key() Record {
	return Record{Kind: KindMFADevice, Account: d.Account, Name: d.Serial, ID: d.Serial, Target: d.Owner}
}

func (l *LoginProfile) key() Record {
	return Record{Kind: KindLoginProfile, Account: l.Account, Parent: l.UserID, Name: loginProfileName}
}

func (p *PasswordPolicy) key() Record {
	return Record{Kind: KindPasswordPolicy, Account: p.Account, Name: passwordPolicyName}
}

func (p *OIDCProvider) key() Record {
	return Record{Kind: KindOIDCProvider, Account: p.Account, Name: p.name(), ID: p.ARN()}
}

func (p *SAMLProvider) key() Record {
	return Record{Kind: KindSAMLProvider, Account: p.Account, Name: p.Name, ID: p.ARN(), Target: p.EntityID}
}

// ARN returns the user's ARN.
func (u *User) ARN() string { return arn.Entity(u.Account, "user", u.Path, u.Name) }

// ARN returns the group's ARN.
func (g *Group) ARN() string { return arn.Entity(g.Account, "group", g.Path, g.Name) }

// ARN returns the role's ARN.
func (r *Role) ARN() string { return arn.Entity(r.Account, "role", r.Path, r.Name) }

// ARN returns the policy's ARN.
func (p *Policy) ARN() string { return arn.Entity(p.Account, "policy", p.Path, p.Name) }

// ARN returns the instance profile's ARN.
func (p *InstanceProfile) ARN() string {
	return arn.Entity(p.Account, "instance-profile", p.Path, p.Name)
}

// ARN returns the device's ARN, which is its serial number.
func (d *MFADevice) ARN() string { return d.Serial }

// ARN returns the provider's ARN.
func (p *OIDCProvider) ARN() string {
	return arn.Entity(p.Account, "oidc-provider", "/", p.name())
}

// name is the URL without the scheme: what follows oidc-provider/ in the ARN, and what begins the issuer's condition keys.
func (p *OIDCProvider) name() string { return oidc.ConditionPrefix(p.URL) }

// ARN returns the provider's ARN.
func (p *SAMLProvider) ARN() string { return arn.Entity(p.Account, "saml-provider", "/", p.Name) }

// pathOrRoot is the path that an omitted one stands for.
func pathOrRoot(path string) string {
	if path == "" {
		return "/"
	}
	return path
}
