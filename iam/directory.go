package iam

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/stint-sts/stint/arn"
	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/federation/oidc"
	"github.com/stint-sts/stint/federation/saml"
	"github.com/stint-sts/stint/policy"
	"github.com/stint-sts/stint/seal"
)

// ManagedPolicies are the policies that AWS manages: the documents under arn:aws:iam::aws:policy/…. They do not change while
// the program runs.
type ManagedPolicies interface {
	// Document returns the default version's document.
	Document(arn string) (text string, found bool)
}

// DirectoryConfig is what a Directory needs. Fields are required unless they say a default.
type DirectoryConfig struct {
	Store   Store
	Master  *seal.Key // opens the secret access keys
	Managed ManagedPolicies

	// CacheSize is how many users, roles and accounts are kept compiled, and as many access keys, role names and managed
	// policies; an entry counts once more for every 4 KiB of policy text of its own. Default 20,000.
	CacheSize int

	// Grace is how long reads go on from memory when a store that several nodes share does not answer. Default DefaultGrace.
	Grace time.Duration

	FlushInterval time.Duration    // how long a use may wait to be written down; default one minute
	Now           func() time.Time // default time.Now
	Log           *slog.Logger     // default: none
}

// Directory is what the request path reads: keys, users, roles and policies, opened and compiled, from bounded caches. Every
// write goes through Update, so that a read that begins after a write was acknowledged sees it, on this node; on the others that
// share the store it does within a second, or after CatchUp.
//
// What an attacker can ask for without proof, access key ids and role ARNs, costs at most a few look-ups in the store at a
// time; what does not exist displaces nothing that does. Safe for concurrent use.
type Directory struct {
	store   Store
	master  *seal.Key
	managed ManagedPolicies
	now     func() time.Time
	log     *slog.Logger

	changes  *changes
	keys     *cache[string, *authn.AccessKey]
	entities *cache[string, *authn.Entity]
	named    *cache[arn.ARN, string] // unique ids of users and roles
	policies *cache[string, *policy.Document]
	groups   *cache[string, []*policy.Document]
	issuers  *cache[string, *OutboundIssuer] // by account and by issuer id

	oidcProviders *cache[string, *oidc.Provider] // by ARN
	samlProviders *cache[string, *saml.Provider] // by ARN

	uses          lastUses
	flushInterval time.Duration

	following following // what other nodes change

	refresh sync.Mutex
	asked   bool  // under refresh: whether the store was asked for foreign changes, and
	seen    int64 // what it answered
}

var _ authn.Directory = (*Directory)(nil)

// Loads of one kind at a time. Keys are looked up before anybody has proven anything; a flood of made-up ids must leave
// readers of the store to those who have.
const (
	keyLoads    = 2
	entityLoads = 4
)

// NewDirectory makes a Directory.
func NewDirectory(cfg DirectoryConfig) (*Directory, error) {
	switch {
	case cfg.Store == nil:
		return nil, errors.New("directory: no store")
	case cfg.Master == nil:
		return nil, errors.New("directory: no master key")
	case cfg.Managed == nil:
		return nil, errors.New("directory: no managed policies")
	case cfg.CacheSize < 0 || cfg.FlushInterval < 0 || cfg.Grace < 0:
		return nil, errors.New("directory: a negative size or interval")
	}
	if cfg.CacheSize == 0 {
		cfg.CacheSize = 20_000
	}
	if cfg.FlushInterval == 0 {
		cfg.FlushInterval = time.Minute
	}
	if cfg.Grace == 0 {
		cfg.Grace = DefaultGrace
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	view := viewOf(cfg.Store)
	c := &changes{heads: make(map[string]*dependent), revoked: make(chan struct{}, 1)}
	d := &Directory{
		store:         cfg.Store,
		master:        cfg.Master,
		managed:       cfg.Managed,
		now:           cfg.Now,
		log:           cfg.Log,
		changes:       c,
		keys:          newCache[string, *authn.AccessKey](c, view, cfg.CacheSize, keyLoads),
		entities:      newCache[string, *authn.Entity](c, view, cfg.CacheSize, entityLoads),
		named:         newCache[arn.ARN, string](c, view, cfg.CacheSize, keyLoads),
		policies:      newCache[string, *policy.Document](c, view, cfg.CacheSize, entityLoads),
		groups:        newCache[string, []*policy.Document](c, view, cfg.CacheSize, entityLoads),
		issuers:       newCache[string, *OutboundIssuer](c, view, cfg.CacheSize, keyLoads),
		oidcProviders: newCache[string, *oidc.Provider](c, view, cfg.CacheSize, keyLoads),
		samlProviders: newCache[string, *saml.Provider](c, view, cfg.CacheSize, keyLoads),
		flushInterval: cfg.FlushInterval,
	}
	d.following.init(cfg.Store, cfg.Grace, d.now())
	return d, nil
}

// viewOf is the store's View, with the AWS code for its failures.
func viewOf(s Store) func(context.Context, func(Tx) error) error {
	return func(ctx context.Context, f func(Tx) error) error { return coded(s.View(ctx, f)) }
}

// coded gives errors of a store that does not answer their AWS code, and what is under a master key that this node was not given, when
// the others were: another node can open it.
func coded(err error) error {
	if errors.Is(err, ErrUnavailable) || errors.Is(err, seal.ErrWrongKey) {
		return unavailable(err)
	}
	return err
}

// maxID bounds the ids that are looked up at all: the longest access key id of the IAM API model.
const maxID = 128

// AccessKey returns a long-lived key with its secret, active or not, or an error matching ErrNotFound. A secret that was sealed
// under another master key gives seal.ErrWrongKey.
func (d *Directory) AccessKey(ctx context.Context, id string) (*authn.AccessKey, error) {
	if id == "" || len(id) > maxID {
		return nil, ErrNotFound
	}
	if k, ok := d.keys.hit(id); ok {
		return k, nil
	}
	k, err := d.keys.get(ctx, id, func(r *reading) (result[*authn.AccessKey], error) { return d.readKey(r, id) })
	if err != nil {
		return nil, fmt.Errorf("access key %s: %w", id, err)
	}
	return k, nil
}

// Entity returns the user or role of the account with that unique id, or the account itself when id is the account id. The error
// matches ErrNotFound when there is none (any more). An entity with a policy that does not compile or that is missing gives
// another error: without that policy it might be allowed what it is not.
func (d *Directory) Entity(ctx context.Context, account, id string) (*authn.Entity, error) {
	if e, ok := d.entities.hit(id); ok && e.Account == account {
		return e, nil
	}
	if id == "" || len(id) > maxID {
		return nil, ErrNotFound
	}
	e, err := d.entities.get(ctx, id, func(r *reading) (result[*authn.Entity], error) { return d.readEntity(r, id) })
	if err == nil && e.Account != account {
		err = ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("entity %s: %w", id, err)
	}
	return e, nil
}

// RoleByARN returns the role that a names. Path and name must be those of the role, also in case; otherwise the error matches
// ErrNotFound.
func (d *Directory) RoleByARN(ctx context.Context, a arn.ARN) (*authn.Entity, error) {
	if !a.IsIAM("role") || a.Partition != arn.Partition {
		return nil, fmt.Errorf("role %s: %w", a, ErrNotFound)
	}
	if id, ok := d.named.hit(a); ok {
		return d.Entity(ctx, a.Account, id)
	}
	id, err := d.named.get(ctx, a, func(r *reading) (result[string], error) { return d.readRoleID(r, a) })
	if err != nil {
		return nil, fmt.Errorf("role %s: %w", a, err)
	}
	return d.Entity(ctx, a.Account, id)
}

// ManagedPolicy returns the default version of a managed policy of the account or of AWS, compiled as identity policy, which serves
// as session policy and boundary too. The error matches ErrNotFound when there is none.
func (d *Directory) ManagedPolicy(ctx context.Context, account, policyARN string) (*policy.Document, error) {
	a, err := arn.Parse(policyARN)
	if err != nil || !a.IsIAM("policy") || a.Partition != arn.Partition || a.Account != account && a.Account != awsAccount {
		return nil, fmt.Errorf("policy %s: %w", policyARN, ErrNotFound)
	}
	if doc, ok := d.policies.hit(policyARN); ok {
		return doc, nil
	}
	doc, err := d.policies.get(ctx, policyARN, func(r *reading) (result[*policy.Document], error) { return d.readPolicy(r, policyARN, a) })
	if err != nil {
		return nil, fmt.Errorf("policy %s: %w", policyARN, err)
	}
	return doc, nil
}

// View runs f on a consistent snapshot of the records. f must not call other methods of the Directory.
func (d *Directory) View(ctx context.Context, f func(Tx) error) error {
	return coded(d.store.View(ctx, f))
}

// Update runs f in a serializable transaction and commits it. Before it returns, everything that was made from the records that
// f touched is forgotten. f may run more than once, and must not call other methods of the Directory.
func (d *Directory) Update(ctx context.Context, f func(Tx) error) error {
	at, err := d.commit(ctx, f)
	if err != nil {
		return coded(err)
	}
	d.following.wrote(at)
	return nil
}

func (d *Directory) commit(ctx context.Context, f func(Tx) error) (at FeedPosition, err error) {
	touched := make(map[string]struct{})
	// Whatever the end: a commit that reports a failure may have happened all the same.
	defer d.changes.touch(touched)
	err = d.store.Update(ctx, func(tx Tx) (err error) {
		if err = f(&notingTx{Tx: tx, touched: touched}); err == nil {
			at, err = announce(tx, touched)
		}
		return err
	})
	return at, err
}

// notingTx notes which dependencies the writes of a transaction touch.
type notingTx struct {
	Tx
	touched map[string]struct{}
}

// Put implements Tx.
func (t *notingTx) Put(r Record) error {
	t.note(r)
	return t.Tx.Put(r)
}

// Delete implements Tx.
func (t *notingTx) Delete(kind Kind, account, parent, name string) error {
	r, err := t.Get(kind, account, parent, name) // for its id
	if err != nil {
		return err
	}
	t.note(r)
	return t.Tx.Delete(kind, account, parent, name)
}

func (t *notingTx) note(r Record) {
	if r.Kind == KindRevocation {
		t.touched[string(KindRevocation)] = struct{}{}
	}
	if r.ID != "" {
		t.touched[r.ID] = struct{}{}
	}
	if r.Parent != "" {
		t.touched[r.Parent] = struct{}{}
	}
	if r.Kind == KindUser || r.Kind == KindRole || r.Kind == KindPolicy { // looked up by name, and remembered when they do not exist
		t.touched[nameOf(r.Kind, r.Account, r.Name)] = struct{}{}
	}
}

// nameOf is the dependency on a name. No unique id has a slash.
func nameOf(kind Kind, account, name string) string { return string(kind) + "/" + account + "/" + name }

// foreignChanges is implemented by a store that others write to as well.
type foreignChanges interface {
	// ForeignChanges returns a number that changes when somebody else has written to the store, and only then.
	ForeignChanges(ctx context.Context) (int64, error)
}
