package portal_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stint-sts/stint/arn"
	"github.com/stint-sts/stint/audit"
	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/federation/oidc"
	"github.com/stint-sts/stint/federation/saml"
	"github.com/stint-sts/stint/iam"
	"github.com/stint-sts/stint/policy"
	"github.com/stint-sts/stint/seal"
	"github.com/stint-sts/stint/secret"
	"github.com/stint-sts/stint/server/dispatch"
	"github.com/stint-sts/stint/server/portal"
	"github.com/stint-sts/stint/session"
	"github.com/stint-sts/stint/session/embedded"
	"github.com/stint-sts/stint/signer"
	"github.com/stint-sts/stint/sts"
)

const publicURL = "https://access.example.com"

// world is what nodes share: the user alice, roles that trust her, session state, and a clock.
type world struct {
	sts.Directory // what no test asks for

	t           *testing.T
	state       *embedded.Store
	key         *seal.Key
	revocations *session.Revocations
	public      string
	alice       *authn.Entity
	roles       map[string]*authn.Entity

	mu       sync.Mutex
	clock    time.Time
	mark     string // of her password
	minted   int
	auditErr error
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{
		t: t, clock: time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC), public: publicURL, mark: "first", roles: make(map[string]*authn.Entity),
		revocations: session.NewRevocations(),
		alice: &authn.Entity{
			Type: authn.UserEntity, Account: account, ID: "AIDAALICE00000000000", ARN: prefix + "user/alice", Path: "/", Name: "alice", Identity: []*policy.Document{},
		},
	}
	var err error
	if w.state, err = embedded.New(embedded.Config{Dir: t.TempDir(), Now: w.now}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.state.Close() })
	if w.key, err = seal.NewKey(bytes.Repeat([]byte{7}, seal.KeySize), rand.Reader); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) role(name string, longest time.Duration) {
	w.t.Helper()
	trust, err := policy.Parse(policy.Trust, `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"`+w.alice.ARN+`"},"Action":"sts:AssumeRole"}}`)
	if err != nil {
		w.t.Fatal(err)
	}
	a := prefix + "role/people/" + name
	w.roles[a] = &authn.Entity{
		Type: authn.RoleEntity, Account: account, ID: "AROA" + fmt.Sprintf("%016d", len(w.roles)), ARN: a, Path: "/people/", Name: name,
		Identity: []*policy.Document{}, Trust: trust.Bind(map[string]string{w.alice.ARN: w.alice.ID}), MaxSessionDuration: longest,
	}
}

func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.clock
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.clock = w.clock.Add(d)
}

// node is a portal of the world; all share its state and nothing else.
func (w *world) node(change func(*portal.Config)) *portal.Portal {
	w.t.Helper()
	log := slog.New(slog.NewTextHandler(w.t.Output(), nil))
	dispatcher := dispatch.New(dispatch.Config{Recorder: w, Log: log, Used: func(*authn.Caller) {}})
	signIns := sts.New(sts.Config{Directory: w, Minter: w, Sessions: w.state, Guard: w.state}).SignIns()
	cfg := portal.Config{
		Front: dispatch.NewFront(dispatch.FrontConfig{
			Dispatcher: dispatcher, MaxInFlight: 16, Timeout: 10 * time.Second, Log: log, Now: w.now,
			Count: func(string, string, string, string, time.Duration) {},
		}),
		Operations: dispatch.NewPortal(signIns, nil), SignIns: signIns, Recorder: w, Directory: w, Values: w.state, Sessions: w.state, Seal: w.key,
		Revoked: w.revocations.Revoked, PublicURL: func() string { return w.public }, Title: "Example access", Passwords: w, Unsolicited: true,
		Lifetime: 8 * time.Hour, Idle: 2 * time.Hour, Log: log,
	}
	if change != nil {
		change(&cfg)
	}
	return portal.New(cfg)
}

func (w *world) browser(p *portal.Portal) *browser { return newBrowser(w.t, w.public, handlerTrip{p}) }

// handlerTrip calls a handler without a network.
type handlerTrip struct{ handler http.Handler }

func (h handlerTrip) RoundTrip(r *http.Request) (*http.Response, error) {
	in := httptest.NewRequestWithContext(r.Context(), r.Method, r.URL.String(), r.Body)
	in.Header = r.Header
	recorder := httptest.NewRecorder()
	h.handler.ServeHTTP(recorder, in)
	return recorder.Result(), nil
}

// Record implements dispatch.Recorder.
func (w *world) Record(context.Context, *audit.Event) error { return w.auditErr }

// SignIn implements portal.Passwords.
func (w *world) SignIn(_ context.Context, in *iam.SignIn) (*iam.SignedIn, error) {
	if in.Password.Reveal() != password {
		return nil, &iam.SignInError{Refusal: iam.ErrSignIn, Reason: "wrong password"}
	}
	return &iam.SignedIn{User: w.alice, Time: w.now(), Mark: w.mark}, nil
}

// Holds implements portal.Passwords.
func (w *world) Holds(_ context.Context, _, userID, mark string) (bool, error) {
	return userID == w.alice.ID && mark == w.mark, nil
}

// Mint implements sts.Minter.
func (w *world) Mint(c *signer.Claims) (*signer.Credentials, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.minted++
	c.AccessKeyID = fmt.Sprintf("ASIA%016d", w.minted)
	return &signer.Credentials{
		AccessKeyID: c.AccessKeyID, SecretAccessKey: secret.New("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"), SessionToken: secret.New("eyJhbGciOiJIUzI1NiJ9.e30.c2lnbmF0dXJl"),
		Expiration: c.ExpiresAt,
	}, nil
}

func (w *world) RoleByARN(_ context.Context, a arn.ARN) (*authn.Entity, error) {
	if r := w.roles[a.String()]; r != nil {
		return r, nil
	}
	return nil, authn.ErrUnknown
}

func (w *world) Entity(_ context.Context, _, id string) (*authn.Entity, error) {
	if id == w.alice.ID {
		return w.alice, nil
	}
	return nil, authn.ErrUnknown
}

func (w *world) Roles(context.Context, string, int) (names []arn.ARN, err error) {
	for name := range w.roles {
		a, bad := arn.Parse(name)
		names, err = append(names, a), errors.Join(err, bad)
	}
	return names, err
}

func (w *world) SAMLProvider(context.Context, arn.ARN) (*saml.Provider, error) {
	return nil, authn.ErrUnknown
}

func (w *world) OIDCProviderByARN(context.Context, arn.ARN) (*oidc.Provider, error) {
	return nil, authn.ErrUnknown
}

func (w *world) AccountAlias(context.Context, string) (string, error) { return "example-prod", nil }
