package dispatch_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stint-sts/stint/audit"
	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/authz"
	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/iam"
	"github.com/stint-sts/stint/policy"
	"github.com/stint-sts/stint/secret"
	"github.com/stint-sts/stint/server/dispatch"
	"github.com/stint-sts/stint/shape"
	"github.com/stint-sts/stint/signer"
	"github.com/stint-sts/stint/sigv4"
	"github.com/stint-sts/stint/sts"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// canary begins every secret of these tests.
const canary = "CANARY"

func user() *authn.Entity {
	return &authn.Entity{Type: authn.UserEntity, Account: account, ID: "AIDAWDB7XWLS3OBANPCEA", ARN: "arn:aws:iam::111122223333:user/team/alice", Name: "alice"}
}

func role() *authn.Entity {
	return &authn.Entity{Type: authn.RoleEntity, Account: account, ID: "AROAWDB7XWLS3OBANPCEA", ARN: "arn:aws:iam::111122223333:role/team/reader", Name: "reader"}
}

func root() *authn.Entity {
	return &authn.Entity{Type: authn.AccountEntity, Account: account, ID: account, ARN: "arn:aws:iam::111122223333:root"}
}

func claims(kind signer.SessionKind) *signer.Claims {
	return &signer.Claims{Kind: kind, IssuedAt: at.Add(-time.Hour), ExpiresAt: at.Add(time.Hour), AccessKeyID: "ASIAWDB7XWLS3OBANPC3"}
}

func assume(_ context.Context, _ *authn.Caller, _ *sts.AssumeRoleInput) (*sts.AssumeRoleOutput, error) {
	percent := int32(3)
	return &sts.AssumeRoleOutput{
		Credentials: &sts.Credentials{
			AccessKeyID: "ASIAWDB7XWLS3OBANPC4", SecretAccessKey: secret.New(canary + "-secret"), SessionToken: secret.New(canary + "-token"),
			Expiration: at.Add(time.Hour),
		},
		AssumedRoleUser:  &sts.AssumedRoleUser{AssumedRoleID: "AROAWDB7XWLS3OBANPCEA:monday", ARN: "arn:aws:sts::111122223333:assumed-role/reader/monday"},
		PackedPolicySize: &percent, SourceIdentity: "alice",
	}, nil
}

func assumeInput(into any) error {
	policy, seconds := allowAll, int32(900)
	*into.(*sts.AssumeRoleInput) = sts.AssumeRoleInput{
		RoleARN: "arn:aws:iam::111122223333:role/team/reader", RoleSessionName: "monday", Policy: &policy, DurationSeconds: &seconds,
		PolicyARNs: []sts.PolicyDescriptor{{ARN: "arn:aws:iam::aws:policy/ReadOnlyAccess"}},
		Tags:       []sts.Tag{{Key: "team", Value: "red"}, {Key: "empty"}}, TransitiveTagKeys: []string{"team"}, ExternalID: "partner-7",
		SerialNumber: "arn:aws:iam::111122223333:mfa/alice", TokenCode: secret.New("424242"), SourceIdentity: "alice",
	}
	return nil
}

const allowAll = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`

func denial() error {
	c := &authn.Caller{Kind: authn.User, Account: account, ARN: user().ARN, Entity: user(), Request: &authn.Request{Time: at}}
	c.Entity.Identity = []*policy.Document{}
	return authz.Require(c, &authz.Question{Action: "sts:AssumeRole", Resource: role().ARN})
}

// The audit events as they are written: CloudTrail's form, who called, what was asked and answered, no secrets.
func TestEvent_Golden(t *testing.T) {
	t.Parallel()
	rolesTags := claims(signer.RoleSession)
	rolesTags.SourceIdentity, rolesTags.MFATime = "alice", at.Add(-2*time.Hour)
	for _, row := range []struct {
		file      string
		caller    *authn.Caller // nil: refused with err
		err       error
		operation *dispatch.Operation
		decode    func(any) error
	}{
		{
			file:   "root-creates-a-key",
			caller: &authn.Caller{Kind: authn.Root, Account: account, ARN: root().ARN, UserID: account, AccessKeyID: "AKIAWDB7XWLS3OBANPC2", Entity: root()},
			operation: dispatch.NewOperation("iam", "CreateAccessKey", func(context.Context, *authn.Caller, *iam.CreateAccessKeyInput) (*iam.CreateAccessKeyOutput, error) {
				return &iam.CreateAccessKeyOutput{AccessKey: iam.NewAccessKey{
					UserName: "alice", AccessKeyID: "AKIAWDB7XWLS3OBANPC3", Status: "Active", SecretAccessKey: secret.New(canary + "-secret"), CreateDate: at,
				}}, nil
			}),
			decode: func(into any) error { into.(*iam.CreateAccessKeyInput).UserName = "alice"; return nil },
		},
		{
			file:      "user-assumes-a-role",
			caller:    &authn.Caller{Kind: authn.User, Account: account, ARN: user().ARN, UserID: user().ID, AccessKeyID: "AKIAWDB7XWLS3OBANPC3", Entity: user()},
			operation: dispatch.NewOperation("sts", "AssumeRole", assume),
			decode:    assumeInput,
		},
		{
			file: "role-session-chains",
			caller: &authn.Caller{
				Kind: authn.RoleSession, Account: account, ARN: "arn:aws:sts::111122223333:assumed-role/reader/monday", UserID: role().ID + ":monday",
				AccessKeyID: "ASIAWDB7XWLS3OBANPC3", Entity: role(), Session: rolesTags,
			},
			operation: dispatch.NewOperation("sts", "AssumeRole", assume),
			decode:    assumeInput,
		},
		{
			file: "users-session",
			caller: &authn.Caller{
				Kind: authn.User, Account: account, ARN: user().ARN, UserID: user().ID, AccessKeyID: "ASIAWDB7XWLS3OBANPC3", Entity: user(),
				Session: claims(signer.UserSession),
			},
			operation: dispatch.NewOperation("sts", "AssumeRole", assume),
			decode:    assumeInput,
		},
		{
			file: "federated-user",
			caller: &authn.Caller{
				Kind: authn.FederatedUser, Account: account, ARN: "arn:aws:sts::111122223333:federated-user/bob", UserID: account + ":bob",
				AccessKeyID: "ASIAWDB7XWLS3OBANPC3", Entity: user(), Session: claims(signer.FederatedSession),
			},
			operation: dispatch.NewOperation("sts", "AssumeRole", assume),
			decode:    func(any) error { return awserr.New(awserr.MalformedInput, "The body is not a valid form.") },
		},
		{
			file:      "unknown-key",
			err:       awserr.Wrap(awserr.InvalidClientTokenID, "The security token included in the request is invalid", errors.New("access key: unknown")),
			operation: dispatch.NewOperation("sts", "AssumeRole", assume),
			decode:    assumeInput,
		},
		{
			file:   "denied",
			caller: &authn.Caller{Kind: authn.User, Account: account, ARN: user().ARN, UserID: user().ID, AccessKeyID: "AKIAWDB7XWLS3OBANPC3", Entity: user()},
			operation: dispatch.NewOperation("sts", "AssumeRole", func(context.Context, *authn.Caller, *sts.AssumeRoleInput) (*sts.AssumeRoleOutput, error) {
				return nil, denial()
			}),
			decode: assumeInput,
		},
		{
			file:   "reading",
			caller: &authn.Caller{Kind: authn.Root, Account: account, ARN: root().ARN, UserID: account, AccessKeyID: "AKIAWDB7XWLS3OBANPC2", Entity: root()},
			operation: func() *dispatch.Operation {
				o := dispatch.NewOperation("sts", "GetCallerIdentity", func(context.Context, *authn.Caller, *sts.GetCallerIdentityInput) (*sts.GetCallerIdentityOutput, error) {
					return &sts.GetCallerIdentityOutput{Account: account, UserID: account, ARN: root().ARN}, nil
				})
				o.ReadOnly = true
				return o
			}(),
			decode: func(any) error { return nil },
		},
	} {
		t.Run(row.file, func(t *testing.T) {
			t.Parallel()
			var sink memory
			recorder, err := audit.New(audit.Config{Sinks: []audit.Sink{&sink}, Rand: zero{}})
			if err != nil {
				t.Fatal(err)
			}
			d := dispatch.New(dispatch.Config{
				Authenticator: authenticator{row.caller, row.err}, Recorder: recorder, Log: slog.New(slog.DiscardHandler), Used: func(*authn.Caller) {},
			})
			d.Do(t.Context(), &dispatch.Call{
				Operation: row.operation,
				Request: authn.Request{
					ID: "6ba7b810-9dad-41d1-80b4-00c04fd430c8", Service: row.operation.Service, Operation: row.operation.Name, Time: at,
					SourceIP: "192.0.2.1", UserAgent: "aws-cli/2.0", Referer: "https://" + canary + ".example.com/",
				},
				Decode: func(_ *shape.Shape, into any) error { return row.decode(into) },
			})
			var got bytes.Buffer
			if err := json.Indent(&got, sink.Bytes(), "", "  "); err != nil {
				t.Fatalf("%v: %q", err, sink.String())
			}
			for _, never := range []string{canary, "424242"} {
				if strings.Contains(got.String(), never) {
					t.Errorf("the event holds the secret %q:\n%s", never, got.String())
				}
			}
			golden(t, filepath.Join("testdata", "events", row.file+".json"), got.Bytes())
		})
	}
}

func golden(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, got, 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

// authenticator knows one caller, or refuses all.
type authenticator struct {
	caller *authn.Caller
	err    error
}

func (a authenticator) Authenticate(_ context.Context, _ *sigv4.Request, req *authn.Request) (*authn.Caller, error) {
	req.Region, req.AccessKeyID = "eu-west-1", "AKIAWDB7XWLS3OBANPC9"
	if a.err != nil {
		return nil, a.err
	}
	c := *a.caller
	c.Request = req
	return &c, nil
}

// memory is a sink.
type memory struct{ bytes.Buffer }

func (m *memory) Write(_ context.Context, lines []byte) error {
	_, err := m.Buffer.Write(lines)
	return err
}
func (m *memory) Close() error { return nil }

// zero is a source of event ids that are always the same.
type zero struct{}

func (zero) Read(p []byte) (int, error) { clear(p); return len(p), nil }
