package iam_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stint-sts/stint/arn"
	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/iam"
	"github.com/stint-sts/stint/iam/store"
	"github.com/stint-sts/stint/policy"
	"github.com/stint-sts/stint/seal"
)

const (
	testAccount  = "111122223333"
	otherAccount = "444455556666"
)

// testTime is what the fixture's clock shows, with a fraction that IAM must not show.
var testTime = time.Date(2026, 3, 14, 15, 9, 26, 535_897_932, time.UTC)

// fixture is a Service on a store of its own, with one account.
type fixture struct {
	*iam.Service
	t         *testing.T
	directory *iam.Directory
	master    *seal.Key
	first     *iam.NewAccount
}

// newFixture opens a fixture; configure may change what the Service is made of.
func newFixture(t *testing.T, configure ...func(*iam.Config)) *fixture {
	t.Helper()
	st, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "directory.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	f := &fixture{t: t}
	f.master, err = seal.NewKey(bytes.Repeat([]byte{7}, seal.KeySize), rand.Reader)
	f.ok(err)
	now := func() time.Time { return testTime }
	f.directory, err = iam.NewDirectory(iam.DirectoryConfig{
		Store: st, Master: f.master, Managed: testCatalog, Now: now, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	f.ok(err)
	cfg := iam.Config{Directory: f.directory, Master: f.master, Managed: testCatalog, Now: now, Rand: rand.Reader}
	for _, change := range configure {
		change(&cfg)
	}
	f.Service = iam.NewService(cfg)
	f.first, err = f.CreateAccount(t.Context(), iam.CreateAccount{ID: testAccount, Name: "first"})
	f.ok(err)
	return f
}

// quotas lowers quotas, so that a test reaches them soon.
func quotas(lower func(*iam.Quotas)) func(*iam.Config) {
	return func(cfg *iam.Config) {
		cfg.Quotas = iam.DefaultQuotas()
		lower(&cfg.Quotas)
	}
}

func rootOf(account string) *authn.Caller {
	return &authn.Caller{
		Kind: authn.Root, Account: account, ARN: arn.Root(account), UserID: account, Request: testRequest(),
		Entity: &authn.Entity{Type: authn.AccountEntity, Account: account, ID: account, ARN: arn.Root(account)},
	}
}

func testRequest() *authn.Request {
	return &authn.Request{Service: "iam", Region: "us-east-1", Time: testTime, SourceIP: "203.0.113.9", UserAgent: "test"}
}

// user creates a user of the account and returns it as a caller who is allowed what the policies say.
func (f *fixture) user(name string, policies ...string) *authn.Caller {
	f.t.Helper()
	out, err := f.CreateUser(f.t.Context(), f.root(), &iam.CreateUserInput{UserName: name})
	f.ok(err)
	e := &authn.Entity{
		Type: authn.UserEntity, Account: testAccount, ID: out.User.UserID, ARN: out.User.ARN, Path: "/", Name: name,
		Identity: f.documents(policies),
	}
	return &authn.Caller{Kind: authn.User, Account: testAccount, ARN: e.ARN, UserID: e.ID, Entity: e, Request: testRequest()}
}

// session returns a session of a role that is allowed what the policies say. The role itself is not in the directory.
func (f *fixture) session(policies ...string) *authn.Caller {
	f.t.Helper()
	e := &authn.Entity{
		Type: authn.RoleEntity, Account: testAccount, ID: "AROAQAAAAAAAAAAAAAAAA", ARN: arn.Entity(testAccount, "role", "/", "worker"),
		Path: "/", Name: "worker", Identity: f.documents(policies),
	}
	return &authn.Caller{
		Kind: authn.RoleSession, Account: testAccount, ARN: arn.AssumedRole(testAccount, "worker", "job"), UserID: e.ID + ":job",
		Entity: e, Request: testRequest(),
	}
}

// other creates a second account and returns its root.
func (f *fixture) other() *authn.Caller {
	f.t.Helper()
	_, err := f.CreateAccount(f.t.Context(), iam.CreateAccount{ID: otherAccount})
	f.ok(err)
	return rootOf(otherAccount)
}

func (f *fixture) documents(policies []string) []*policy.Document {
	f.t.Helper()
	documents := make([]*policy.Document, len(policies))
	for i, text := range policies {
		var err error
		documents[i], err = policy.Parse(policy.Identity, text)
		f.ok(err)
	}
	return documents
}

// allow is a policy that allows actions on a resource.
func allow(resource string, actions ...string) string {
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["` + strings.Join(actions, `","`) +
		`"],"Resource":"` + resource + `"}]}`
}

// ok ends the test when err is not nil.
func (f *fixture) ok(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

// refused checks the kind and the text of an error that a caller sees.
func (f *fixture) refused(err error, kind *awserr.Kind, message string) {
	f.t.Helper()
	refused(f.t, err, kind, message)
}

func refused(t *testing.T, err error, kind *awserr.Kind, message string) {
	t.Helper()
	e, ok := errors.AsType[*awserr.Error](err)
	switch {
	case err == nil:
		t.Errorf("no error, want %s: %s", kind, message)
	case !ok:
		t.Errorf("error %v, want %s: %s", err, kind, message)
	case e.Kind != kind || e.Message != message:
		t.Errorf("error %s: %s\nwant  %s: %s", e.Kind, e.Message, kind, message)
	}
}

// catalog is a ManagedCatalog of a few policies that allow one action each.
type catalog []*iam.Policy

var testCatalog = catalog{
	awsPolicy("AdministratorAccess", "/"), awsPolicy("ReadOnlyAccess", "/"), awsPolicy("Support", "/job-function/"),
}

func awsPolicy(name, path string) *iam.Policy {
	return &iam.Policy{
		Account: iam.AWSAccount, ID: "ANPA" + strings.ToUpper((name + "AAAAAAAAAAAAAAAAA")[:17]), Name: name, Path: path,
		DefaultVersion: 1, LastVersion: 1,
		CreateDate: testTime.Truncate(time.Second), UpdateDate: testTime.Truncate(time.Second),
	}
}

func (c catalog) All() []*iam.Policy { return c }

func (c catalog) Get(policyARN string) (*iam.Policy, bool) {
	for _, p := range c {
		if p.ARN() == policyARN {
			return p, true
		}
	}
	return nil, false
}

func (c catalog) Document(policyARN string) (string, bool) {
	p, ok := c.Get(policyARN)
	if !ok {
		return "", false
	}
	return allow("*", "iam:"+p.Name), true
}

// allActions is a policy that allows everything.
var allActions = allow("*", "*")

// root is the root user of the fixture's account, for one call: a caller's request is not shared between calls that run together.
func (f *fixture) root() *authn.Caller { return rootOf(testAccount) }
