package sts_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stint-sts/stint/arn"
	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/policy"
	"github.com/stint-sts/stint/secret"
	"github.com/stint-sts/stint/session"
	"github.com/stint-sts/stint/signer"
	"github.com/stint-sts/stint/sts"
)

const (
	accountA = "111111111111"
	accountB = "222222222222"
)

var now = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

// world is a directory, a signer and a session store in memory, with the names of reference/policy-cases.md.
type world struct {
	t        testing.TB
	roles    map[string]*authn.Entity
	policies map[string]*policy.Document
	records  []*session.Record
	minted   int
	claims   signer.Claims // of the last one minted
	putErr   error
	revoked  []*session.Revocation
	mfa      testMFA
}

func newWorld(t testing.TB) *world {
	return &world{t: t, roles: make(map[string]*authn.Entity), policies: make(map[string]*policy.Document)}
}

func (w *world) service() *sts.Service {
	return sts.New(sts.Config{Directory: w, Minter: w, Sessions: w, Devices: w, Codes: w, Revoker: w})
}

func (w *world) UserByARN(_ context.Context, a arn.ARN) (*authn.Entity, error) {
	if a.String() == aliceARN {
		return &authn.Entity{Type: authn.UserEntity, Account: accountA, ID: "AIDAALICE", ARN: aliceARN}, nil
	}
	return nil, fmt.Errorf("user %s: %w", a, authn.ErrUnknown)
}

func (w *world) AccessKey(_ context.Context, id string) (*authn.AccessKey, error) {
	if strings.HasPrefix(id, "AKIA") {
		return &authn.AccessKey{ID: id}, nil
	}
	return nil, fmt.Errorf("access key %s: %w", id, authn.ErrUnknown)
}

func (w *world) Get(_ context.Context, id string) (*session.Record, error) {
	for _, r := range w.records {
		if r.AccessKeyID == id {
			return r, nil
		}
	}
	return nil, session.ErrNotFound
}

func (w *world) Revoke(_ context.Context, r *session.Revocation, wait bool) (int, error) {
	if err := r.Check(); err != nil {
		return 0, err
	}
	w.revoked = append(w.revoked, r)
	if wait {
		return 3, nil
	}
	return 1, nil
}

func (w *world) RoleByARN(_ context.Context, a arn.ARN) (*authn.Entity, error) {
	if r := w.roles[a.String()]; r != nil {
		return r, nil
	}
	return nil, fmt.Errorf("role %s: %w", a, authn.ErrUnknown)
}

func (w *world) Entity(_ context.Context, account, id string) (*authn.Entity, error) {
	if account == id && (account == accountA || account == accountB) {
		return &authn.Entity{Type: authn.AccountEntity, Account: account, ID: account, ARN: arn.Root(account)}, nil
	}
	return nil, fmt.Errorf("entity %s: %w", id, authn.ErrUnknown)
}

func (w *world) ManagedPolicy(_ context.Context, account, policyARN string) (*policy.Document, error) {
	a, err := arn.Parse(policyARN)
	if d := w.policies[policyARN]; err == nil && d != nil && (a.Account == account || a.Account == "aws") {
		return d, nil
	}
	return nil, fmt.Errorf("policy %s: %w", policyARN, authn.ErrUnknown)
}

func (w *world) Mint(c *signer.Claims) (*signer.Credentials, error) {
	w.minted++
	w.claims = *c
	c.AccessKeyID = fmt.Sprintf("ASIA%016d", w.minted)
	return &signer.Credentials{
		AccessKeyID: c.AccessKeyID, SecretAccessKey: secret.New("secret"), SessionToken: secret.New("token"), Expiration: c.ExpiresAt,
	}, nil
}

func (w *world) Put(_ context.Context, r *session.Record) error {
	if w.putErr != nil {
		return w.putErr
	}
	w.records = append(w.records, r)
	return nil
}

// document parses statements, each without its braces, as a policy of the kind.
func (w *world) document(kind policy.Kind, statements ...string) *policy.Document {
	w.t.Helper()
	text := `{"Version":"2012-10-17","Statement":[{` + strings.Join(statements, "},{") + `}]}`
	d, err := policy.Parse(kind, text)
	if err != nil {
		w.t.Fatalf("%s: %v", text, err)
	}
	return d
}

func (w *world) documents(kind policy.Kind, statements ...string) []*policy.Document {
	if len(statements) == 0 {
		return []*policy.Document{}
	}
	return []*policy.Document{w.document(kind, statements...)}
}

// role adds a role; path ends in a slash.
func (w *world) role(account, path, name string, trust ...string) *authn.Entity {
	w.t.Helper()
	r := &authn.Entity{
		Type: authn.RoleEntity, Account: account, ID: "AROA" + strings.ToUpper(name), Name: name, Path: path,
		ARN: arn.Entity(account, "role", path, name), Identity: []*policy.Document{},
		Trust: w.document(policy.Trust, trust...), MaxSessionDuration: time.Hour,
	}
	w.roles[r.ARN] = r
	return r
}

// user is a caller with long-lived keys of its own.
func (w *world) user(account, name string, identity ...string) *authn.Caller {
	w.t.Helper()
	e := &authn.Entity{
		Type: authn.UserEntity, Account: account, ID: "AIDA" + strings.ToUpper(name), Name: name, Path: "/",
		ARN: arn.Entity(account, "user", "/", name), Identity: w.documents(policy.Identity, identity...),
	}
	return &authn.Caller{
		Kind: authn.User, Account: account, ARN: e.ARN, UserID: e.ID, AccessKeyID: "AKIA" + strings.ToUpper(name), Entity: e,
		Request: &authn.Request{Service: "sts", Region: "us-east-1", Time: now, SourceIP: "192.0.2.1"},
	}
}

// session is a caller with credentials of a session of the role.
func (w *world) session(role *authn.Entity, name string, change func(*signer.Claims)) *authn.Caller {
	s := &signer.Claims{
		Kind: signer.RoleSession, Account: role.Account, ARN: arn.AssumedRole(role.Account, role.Name, name),
		EntityARN: role.ARN, EntityID: role.ID, AccessKeyID: "ASIASESSION", SessionName: name,
		IssuedAt: now.Add(-time.Minute), ExpiresAt: now.Add(time.Hour),
	}
	if change != nil {
		change(s)
	}
	return &authn.Caller{
		Kind: authn.RoleSession, Account: role.Account, ARN: s.ARN, UserID: role.ID + ":" + name, AccessKeyID: s.AccessKeyID,
		Entity: role, Session: s, Request: &authn.Request{Service: "sts", Region: "us-east-1", Time: now},
	}
}

// wantError asserts code and text; text may be empty.
func wantError(t *testing.T, err error, kind *awserr.Kind, text string) {
	t.Helper()
	e, ok := errors.AsType[*awserr.Error](err)
	if !ok || e.Kind != kind {
		t.Fatalf("error is %v, want %s", err, kind.Code)
	}
	if text != "" && e.Message != text {
		t.Fatalf("message is %q\nwant       %q", e.Message, text)
	}
}

func ptr[T any](v T) *T { return &v }

func (w *world) Roles(_ context.Context, account string, limit int) ([]arn.ARN, error) {
	var found []arn.ARN
	for _, name := range slices.Sorted(maps.Keys(w.roles)) {
		if a, err := arn.Parse(name); err == nil && a.Account == account && len(found) < limit {
			found = append(found, a)
		}
	}
	return found, nil
}
