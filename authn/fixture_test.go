package authn_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"testing"
	"time"

	"github.com/stint-sts/stint/arn"
	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/policy"
	"github.com/stint-sts/stint/seal"
	"github.com/stint-sts/stint/secret"
	"github.com/stint-sts/stint/session"
	"github.com/stint-sts/stint/signer"
	"github.com/stint-sts/stint/sigv4"
)

const (
	account = "111122223333"
	userID  = "AIDAWDB7XWLS3OBANPCEA"
	roleID  = "AROAWDB7XWLS3OBANPCEA"
	rootKey = "AKIAWDB7XWLS3OBANPC2"
	userKey = "AKIAWDB7XWLS3OBANPC3"
	body    = "Action=GetCallerIdentity&Version=2011-06-15"
)

// world is a directory in memory, the real signer and the real verifier, all on one clock.
type world struct {
	t        *testing.T
	now      time.Time
	keys     map[string]*authn.AccessKey
	entities map[string]*authn.Entity // by account/id
	policies map[string]*policy.Document
	secrets  map[string]secret.String // of the long-lived keys, as their owners have them

	keyErr, entityErr, policyErr error // what the directory answers instead

	signer   *signer.Signer
	verifier spy

	revocations *session.Revocations
}

// spy counts the verifications of signatures and of strangers.
type spy struct {
	*sigv4.Verifier
	verified, unknown int
}

func (s *spy) Verify(r *sigv4.Request, m *sigv4.Material, key secret.String) error {
	s.verified++
	return s.Verifier.Verify(r, m, key)
}

func (s *spy) VerifyUnknown(r *sigv4.Request, m *sigv4.Material) {
	s.unknown++
	s.Verifier.VerifyUnknown(r, m)
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{
		t: t, now: time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC),
		keys: make(map[string]*authn.AccessKey), entities: make(map[string]*authn.Entity),
		policies: make(map[string]*policy.Document), secrets: make(map[string]secret.String),
	}
	master, err := seal.NewKey(bytes.Repeat([]byte{7}, seal.KeySize), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	clock := func() time.Time { return w.now }
	w.signer, err = signer.Open(t.Context(), signer.Config{Store: &ring{}, Master: master, Issuer: "https://sts.example.com", Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	w.verifier.Verifier, err = sigv4.New(sigv4.Config{Services: []string{"sts", "iam"}, Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	w.entity(authn.AccountEntity, account, "")
	w.entity(authn.UserEntity, userID, "alice")
	w.entity(authn.RoleEntity, roleID, "reader")
	w.key(rootKey, account)
	w.key(userKey, userID)
	return w
}

// ring keeps the signer's ring in memory.
type ring struct {
	sealed  []byte
	version int64
}

func (r *ring) LoadRing(context.Context) ([]byte, int64, error) { return r.sealed, r.version, nil }

func (r *ring) SaveRing(_ context.Context, sealed []byte, version int64) error {
	r.sealed, r.version = sealed, version+1
	return nil
}

func (w *world) entity(kind authn.EntityType, id, name string) {
	e := &authn.Entity{Type: kind, Account: account, ID: id, Name: name, Identity: []*policy.Document{}}
	switch kind {
	case authn.AccountEntity:
		e.ARN = arn.Root(account)
	case authn.UserEntity:
		e.ARN = arn.Entity(account, "user", "/team/", name)
	case authn.RoleEntity:
		e.ARN = arn.Entity(account, "role", "/team/", name)
	}
	w.entities[account+"/"+id] = e
}

func (w *world) key(id, owner string) {
	w.secrets[id] = secret.New("secret-access-key-of-" + id)
	w.keys[id] = &authn.AccessKey{ID: id, Account: account, Owner: owner, Active: true, Secret: w.secrets[id]}
}

func (w *world) AccessKey(_ context.Context, id string) (*authn.AccessKey, error) {
	if w.keyErr != nil {
		return nil, w.keyErr
	}
	if k := w.keys[id]; k != nil {
		return k, nil
	}
	return nil, fmt.Errorf("key %s: %w", id, authn.ErrUnknown)
}

func (w *world) Entity(_ context.Context, account, id string) (*authn.Entity, error) {
	if w.entityErr != nil {
		return nil, w.entityErr
	}
	if e := w.entities[account+"/"+id]; e != nil {
		return e, nil
	}
	return nil, fmt.Errorf("entity %s: %w", id, authn.ErrUnknown)
}

func (w *world) ManagedPolicy(_ context.Context, account, policyARN string) (*policy.Document, error) {
	if w.policyErr != nil {
		return nil, w.policyErr
	}
	if d := w.policies[account+" "+policyARN]; d != nil {
		return d, nil
	}
	return nil, fmt.Errorf("policy %s: %w", policyARN, authn.ErrUnknown)
}

// longLived are the credentials of a long-lived key.
func (w *world) longLived(id string) sigv4.Credentials {
	return sigv4.Credentials{AccessKeyID: id, SecretAccessKey: w.secrets[id]}
}

// claims are those of an hour's session of the entity.
func (w *world) claims(kind signer.SessionKind, entityID string) *signer.Claims {
	c := &signer.Claims{Kind: kind, Account: account, EntityID: entityID, IssuedAt: w.now, ExpiresAt: w.now.Add(time.Hour)}
	e := w.entities[account+"/"+entityID]
	c.EntityARN = e.ARN
	switch kind {
	case signer.RoleSession:
		c.SessionName, c.ARN = "monday", arn.AssumedRole(account, e.Name, "monday")
	case signer.FederatedSession:
		c.SessionName, c.ARN = "bob", arn.FederatedUser(account, "bob")
	default:
		c.ARN = e.ARN
	}
	return c
}

// mint makes the credentials of a session.
func (w *world) mint(c *signer.Claims) sigv4.Credentials {
	w.t.Helper()
	creds, err := w.signer.Mint(c)
	if err != nil {
		w.t.Fatal(err)
	}
	return sigv4.Credentials{AccessKeyID: creds.AccessKeyID, SecretAccessKey: creds.SecretAccessKey, SessionToken: creds.SessionToken}
}

// call is one request before it is signed and what may be wrong about it.
type call struct {
	creds     sigv4.Credentials
	service   string // addressed and signed; "" is sts
	scope     string // service that the signature is scoped to; "" is the addressed one
	operation string // "" is GetCallerIdentity
	signedAt  time.Time
	spoil     bool // change the body after signing
}

// authenticate signs the call and authenticates it.
func (w *world) authenticate(c call) (*authn.Caller, *authn.Request, error) {
	w.t.Helper()
	req := &authn.Request{ID: "id", Service: c.service, Operation: c.operation, Time: w.now}
	if req.Service == "" {
		req.Service = "sts"
	}
	if req.Operation == "" {
		req.Operation = "GetCallerIdentity"
	}
	if c.scope == "" {
		c.scope = req.Service
	}
	if c.signedAt.IsZero() {
		c.signedAt = w.now
	}
	r := &sigv4.Request{Method: "POST", Path: "/", Host: "127.0.0.1:8470", Body: []byte(body)}
	if err := sigv4.Sign(r, c.creds, "eu-west-1", c.scope, c.signedAt); err != nil {
		w.t.Fatal(err)
	}
	if c.spoil {
		r.Body = []byte(body + "&")
	}
	w.verifier.verified, w.verifier.unknown = 0, 0
	caller, err := w.authenticator().Authenticate(w.t.Context(), r, req)
	return caller, req, err
}

func (w *world) authenticator() *authn.Authenticator {
	return authn.New(authn.Config{Directory: w, Tokens: w.signer, Verifier: &w.verifier, Revocations: w.revocations})
}

// revoke ends sessions of the account that were issued before now.
func (w *world) revoke(change func(*session.Revocation)) {
	r := &session.Revocation{ID: "rev", Account: account, Before: w.now.Add(time.Second), Made: w.now}
	change(r)
	w.revocations = session.NewRevocations()
	w.revocations.Add(w.now, r)
}
