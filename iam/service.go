package iam

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/stint-sts/stint/arn"
	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/authz"
	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/federation/oidc"
	"github.com/stint-sts/stint/mfa"
	"github.com/stint-sts/stint/policy"
	"github.com/stint-sts/stint/seal"
	"github.com/stint-sts/stint/signer"
)

// Config is what a Service needs. All fields are required unless they say a default.
type Config struct {
	Directory *Directory
	Master    *seal.Key // seals long-lived secret access keys and seeds of MFA devices
	Managed   ManagedCatalog
	Outbound  Outbound // outbound federation
	Codes     *mfa.Verifier
	Passwords *Passwords
	Issuers   Issuers // default: any, but for those on this machine
	Quotas    Quotas  // default DefaultQuotas()
	KeyPrefix string  // of long-lived access key ids; default "AKIA"
	Now       func() time.Time
	Rand      io.Reader
}

// Service is the IAM operations. Every operation authorizes the caller itself: the objects that it works on can only be
// had through lookups that ask for the action. Inputs have been validated against their shape by the dispatcher.
// Safe for concurrent use.
type Service struct {
	dir       *Directory
	master    *seal.Key
	managed   ManagedCatalog
	outbound  Outbound
	codes     *mfa.Verifier
	passwords *Passwords
	issuers   Issuers
	quotas    Quotas
	prefix    string
	now       func() time.Time
	rand      io.Reader
}

// NewService makes a Service.
func NewService(cfg Config) *Service {
	if cfg.Quotas == (Quotas{}) {
		cfg.Quotas = DefaultQuotas()
	}
	if cfg.KeyPrefix == "" {
		cfg.KeyPrefix = "AKIA"
	}
	if cfg.Issuers == nil {
		cfg.Issuers = new(oidc.Issuers)
	}
	return &Service{
		dir: cfg.Directory, master: cfg.Master, managed: cfg.Managed, outbound: cfg.Outbound, issuers: cfg.Issuers, codes: cfg.Codes,
		passwords: cfg.Passwords, quotas: cfg.Quotas, prefix: cfg.KeyPrefix, now: cfg.Now, rand: cfg.Rand,
	}
}

// access is one operation's request for an object: which action is needed and which request keys it is judged with.
type access struct {
	caller  *authn.Caller
	action  string                // "iam:TagUser"
	tags    []Tag                 // tags passed in the request: aws:RequestTag, aws:TagKeys
	tagKeys []string              // keys passed without values (Untag…): aws:TagKeys
	keys    func(*policy.Context) // further condition keys, such as iam:PolicyARN; nil: none
	bounded bool                  // judged by the boundary that the user or role has: iam:PermissionsBoundary
}

// allow asks whether the caller may do the action on a resource of its own account, which carries tags.
func (a access) allow(resource string, tags []Tag) error {
	return authz.Require(a.caller, &authz.Question{
		Action:       a.action,
		Resource:     resource,
		ResourceTags: authnTags(tags),
		RequestTags:  authnTags(a.tags),
		TagKeys:      a.tagKeys,
		Keys:         a.keys,
	})
}

// list asks for a listing of the account's objects of an ARN type whose paths begin with a prefix.
func (a access) list(resourceType, pathPrefix string) error {
	return a.allow(arn.Entity(a.caller.Account, resourceType, pathOrRoot(pathPrefix), ""), nil)
}

// allowCreate asks whether the caller may create resource. Tags given with it need the tagging action too, as on AWS: a caller
// who may create but not tag must not choose what tag conditions will see.
func allowCreate(c *authn.Caller, create, tag, resource string, tags []Tag, keys func(*policy.Context)) error {
	a := access{caller: c, action: create, tags: tags, keys: keys}
	if err := a.allow(resource, nil); err != nil || len(tags) == 0 {
		return err
	}
	a.action = tag
	return a.allow(resource, nil)
}

func authnTags(tags []Tag) []authn.Tag {
	if len(tags) == 0 {
		return nil
	}
	out := make([]authn.Tag, len(tags))
	for i, t := range tags {
		out[i] = authn.Tag(t)
	}
	return out
}

// view runs f on a snapshot of the directory; update runs it in a transaction that is committed when f returns nil.
// Errors of the store become errors that callers may see; f's own pass.
func (s *Service) view(ctx context.Context, f func(Tx) error) error {
	return failure(s.dir.View(ctx, f))
}

func (s *Service) update(ctx context.Context, f func(Tx) error) error {
	return failure(s.dir.Update(ctx, f))
}

// read is view for an operation that answers, change is update for one.
func read[Out any](ctx context.Context, s *Service, f func(Tx) (*Out, error)) (*Out, error) {
	return answer(func(run func(Tx) error) error { return s.view(ctx, run) }, f)
}

func change[Out any](ctx context.Context, s *Service, f func(Tx) (*Out, error)) (*Out, error) {
	return answer(func(run func(Tx) error) error { return s.update(ctx, run) }, f)
}

// answer returns what the last run of f answered, and nothing when the transaction fails.
func answer[Out any](transaction func(func(Tx) error) error, f func(Tx) (*Out, error)) (*Out, error) {
	var out *Out
	err := transaction(func(tx Tx) (err error) {
		out, err = f(tx)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// vacant refuses a name that an object of type T has already, in any spelling.
func vacant[T any, P pointer[T]](tx Tx, account, name, taken string) error {
	switch _, err := get[T, P](tx, account, "", fold(name)); {
	case err == nil:
		return awserr.New(awserr.EntityAlreadyExists, taken)
	case !errors.Is(err, ErrNotFound):
		return err
	}
	return nil
}

func failure(err error) error {
	if errors.Is(err, ErrConflict) {
		return awserr.Wrap(awserr.ConcurrentModification, "The entity was modified by another request. Try again.", err)
	}
	return err
}

// user returns the caller's account's user of that name if the caller may do the action on it. Whether the user exists is
// told only to those who may: the question is asked first, with the default path for a user that does not exist.
func (s *Service) user(tx Tx, a access, name string) (*User, error) {
	u, err := get[User](tx, a.caller.Account, "", fold(name))
	return found(u, err, a, (&User{Account: a.caller.Account, Path: "/", Name: name}).ARN(), func() []Tag { return u.Tags },
		missingUser(name))
}

func (s *Service) group(tx Tx, a access, name string) (*Group, error) {
	g, err := get[Group](tx, a.caller.Account, "", fold(name))
	return found(g, err, a, (&Group{Account: a.caller.Account, Path: "/", Name: name}).ARN(), nil,
		"The group with name "+name+" cannot be found.")
}

func (s *Service) role(tx Tx, a access, name string) (*Role, error) {
	r, err := get[Role](tx, a.caller.Account, "", fold(name))
	return found(r, err, a, (&Role{Account: a.caller.Account, Path: "/", Name: name}).ARN(), func() []Tag { return r.Tags },
		missingRole(name))
}

func (s *Service) instanceProfile(tx Tx, a access, name string) (*InstanceProfile, error) {
	p, err := get[InstanceProfile](tx, a.caller.Account, "", fold(name))
	return found(p, err, a, (&InstanceProfile{Account: a.caller.Account, Path: "/", Name: name}).ARN(), func() []Tag { return p.Tags },
		"Instance Profile "+name+" cannot be found.")
}

// found completes a lookup: it authorizes on the object's own ARN and tags, or on missingARN when there is none, and only
// then tells that there is none.
func found[T any, P interface {
	*T
	ARN() string
}](o P, err error, a access, missingARN string, tags func() []Tag, missing string) (P, error) {
	switch {
	case errors.Is(err, ErrNotFound):
		if err := a.allow(missingARN, nil); err != nil {
			return nil, err
		}
		return nil, awserr.New(awserr.NoSuchEntity, missing)
	case err != nil:
		return nil, err
	}
	var carried []Tag
	if tags != nil {
		carried = tags()
	}
	if b, ok := any(o).(boundable); ok && a.bounded && b.boundary() != "" {
		further := a.keys
		a.keys = func(ctx *policy.Context) {
			ctx.Set("iam:PermissionsBoundary", b.boundary())
			if further != nil {
				further(ctx)
			}
		}
	}
	if err := a.allow(o.ARN(), carried); err != nil {
		return nil, err
	}
	return o, nil
}

// newID mints a unique id of the account.
func (s *Service) newID(prefix, account string) (string, error) {
	return signer.NewID(s.rand, prefix, account)
}

// today is the current time in the resolution that IAM shows.
func (s *Service) today() time.Time { return s.now().UTC().Truncate(time.Second) }
