package main_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	ststypes "github.com/aws/aws-sdk-go-v2/service/sts/types"
	"github.com/aws/smithy-go"
)

// client is an unmodified AWS SDK that talks to a node.
type client struct {
	t   *testing.T
	iam *iam.Client
	sts *sts.Client
}

func (n *node) client(keyID, secret, token string) *client {
	n.t.Helper()
	cfg, err := config.LoadDefaultConfig(context.Background(),
		config.WithRegion("eu-west-1"),
		config.WithBaseEndpoint(n.url),
		config.WithCredentialsProvider(credentials.NewStaticCredentialsProvider(keyID, secret, token)),
		config.WithRetryMaxAttempts(1),
	)
	if err != nil {
		n.t.Fatal(err)
	}
	return &client{t: n.t, iam: iam.NewFromConfig(cfg), sts: sts.NewFromConfig(cfg)}
}

// root is a client with the credentials that the first run wrote.
func (n *node) root() *client {
	n.t.Helper()
	cfg, err := config.LoadSharedConfigProfile(context.Background(), "root", func(o *config.LoadSharedConfigOptions) {
		o.CredentialsFiles = []string{filepath.Join(n.dir, "bootstrap", "credentials")}
		o.ConfigFiles = []string{}
	})
	if err != nil {
		n.t.Fatal(err)
	}
	c := cfg.Credentials
	return n.client(c.AccessKeyID, c.SecretAccessKey, "")
}

func (n *node) with(c *ststypes.Credentials) *client {
	return n.client(*c.AccessKeyId, *c.SecretAccessKey, *c.SessionToken)
}

// user makes a user with an inline policy and returns a client with its key.
func (c *client) user(n *node, name, policy string) *client {
	c.t.Helper()
	ctx := context.Background()
	c.must(c.iam.CreateUser(ctx, &iam.CreateUserInput{UserName: &name}))
	if policy != "" {
		c.must(c.iam.PutUserPolicy(ctx, &iam.PutUserPolicyInput{UserName: &name, PolicyName: aws.String("p"), PolicyDocument: &policy}))
	}
	key, err := c.iam.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: &name})
	if err != nil {
		c.t.Fatal(err)
	}
	return n.client(*key.AccessKey.AccessKeyId, *key.AccessKey.SecretAccessKey, "")
}

// role makes a role and returns its ARN.
func (c *client) role(name, trust string) string {
	c.t.Helper()
	out, err := c.iam.CreateRole(context.Background(), &iam.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: &trust})
	if err != nil {
		c.t.Fatal(err)
	}
	return *out.Role.Arn
}

func (c *client) must(_ any, err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) assume(role string, change func(*sts.AssumeRoleInput)) (*ststypes.Credentials, error) {
	in := &sts.AssumeRoleInput{RoleArn: &role, RoleSessionName: aws.String("session")}
	if change != nil {
		change(in)
	}
	out, err := c.sts.AssumeRole(context.Background(), in)
	if err != nil {
		return nil, err
	}
	return out.Credentials, nil
}

func (c *client) mustAssume(role string, change func(*sts.AssumeRoleInput)) *ststypes.Credentials {
	c.t.Helper()
	creds, err := c.assume(role, change)
	if err != nil {
		c.t.Fatal(err)
	}
	return creds
}

// identity returns the ARN that GetCallerIdentity shows.
func (c *client) identity() string {
	c.t.Helper()
	out, err := c.sts.GetCallerIdentity(context.Background(), &sts.GetCallerIdentityInput{})
	if err != nil {
		c.t.Fatal(err)
	}
	return *out.Arn
}

func trustFor(principals ...string) string {
	raw, _ := json.Marshal(principals)
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":` + string(raw) +
		`},"Action":["sts:AssumeRole","sts:TagSession","sts:SetSourceIdentity"]}]}`
}

const allowEverything = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`

// wantCode asserts the AWS error code, and a part of the message when given.
func wantCode(t *testing.T, err error, code, part string) {
	t.Helper()
	api, ok := errors.AsType[smithy.APIError](err)
	if !ok || api.ErrorCode() != code || !strings.Contains(api.ErrorMessage(), part) {
		t.Fatalf("error is %v, want %s %q", err, code, part)
	}
}

// The main job: an unmodified SDK makes users, roles and policies on a fresh stint, assumes a role, uses the credentials,
// and is refused when they are tampered with or their role or user is gone.
func TestSDK_Tour(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	n := start(t, filepath.Join(t.TempDir(), "data"), "--account-id", "111122223333", "--account-name", "main")
	root := n.root()
	if got := root.identity(); got != "arn:aws:iam::111122223333:root" {
		t.Fatalf("root is %s", got)
	}
	alice := root.user(n, "alice", "")
	if got := alice.identity(); got != "arn:aws:iam::111122223333:user/alice" {
		t.Fatalf("alice is %s", got)
	}
	_, err := alice.iam.ListRoles(ctx, &iam.ListRolesInput{})
	wantCode(t, err, "AccessDenied", "is not authorized to perform: iam:ListRoles on resource: arn:aws:iam::111122223333:role/ because no identity-based policy allows the iam:ListRoles action")

	role := root.role("reader", trustFor("arn:aws:iam::111122223333:user/alice"))
	root.must(root.iam.AttachRolePolicy(ctx, &iam.AttachRolePolicyInput{RoleName: aws.String("reader"), PolicyArn: aws.String("arn:aws:iam::aws:policy/IAMReadOnlyAccess")}))
	creds := alice.mustAssume(role, func(in *sts.AssumeRoleInput) {
		in.DurationSeconds, in.SourceIdentity = aws.Int32(900), aws.String("alice")
		in.Tags = []ststypes.Tag{{Key: aws.String("team"), Value: aws.String("red")}}
		in.TransitiveTagKeys = []string{"team"}
	})
	reader := n.with(creds)
	if got := reader.identity(); got != "arn:aws:sts::111122223333:assumed-role/reader/session" {
		t.Fatalf("the session is %s", got)
	}
	if out, err := reader.iam.ListUsers(ctx, &iam.ListUsersInput{}); err != nil || len(out.Users) != 1 {
		t.Fatalf("ListUsers with the session: %v, %v", out, err)
	}
	_, err = reader.iam.CreateUser(ctx, &iam.CreateUserInput{UserName: aws.String("eve")})
	wantCode(t, err, "AccessDenied", "User: arn:aws:sts::111122223333:assumed-role/reader/session is not authorized to perform: iam:CreateUser")

	t.Run("chain", func(t *testing.T) {
		second := root.role("second", trustFor(role))
		chained := reader.mustAssume(second, nil)
		if got := n.with(chained).identity(); got != "arn:aws:sts::111122223333:assumed-role/second/session" {
			t.Errorf("the chained session is %s", got)
		}
		_, err := reader.assume(second, func(in *sts.AssumeRoleInput) { in.SourceIdentity = aws.String("somebody") })
		wantCode(t, err, "ValidationError", "The source identity is already set")
		_, err = reader.assume(second, func(in *sts.AssumeRoleInput) {
			in.Tags = []ststypes.Tag{{Key: aws.String("Team"), Value: aws.String("blue")}}
		})
		wantCode(t, err, "InvalidParameterValue", "conflicts with a transitive tag key")
	})
	t.Run("session policy limits", func(t *testing.T) {
		limited := n.with(alice.mustAssume(role, func(in *sts.AssumeRoleInput) {
			in.Policy = aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iam:ListRoles","Resource":"*"}]}`)
		}))
		if _, err := limited.iam.ListRoles(ctx, &iam.ListRolesInput{}); err != nil {
			t.Fatal(err)
		}
		_, err := limited.iam.ListUsers(ctx, &iam.ListUsersInput{})
		wantCode(t, err, "AccessDenied", "because no session policy allows the iam:ListUsers action")
	})
	t.Run("tampered credentials", func(t *testing.T) {
		token := *creds.SessionToken
		flipped := token[:len(token)-10] + string(token[len(token)-10]^1) + token[len(token)-9:]
		for name, c := range map[string]*client{
			"token changed":          n.client(*creds.AccessKeyId, *creds.SecretAccessKey, flipped),
			"token missing":          n.client(*creds.AccessKeyId, *creds.SecretAccessKey, ""),
			"token of another key":   n.client(*alice.mustAssume(role, nil).AccessKeyId, *creds.SecretAccessKey, token),
			"unknown long-lived key": n.client("AKIAWDB7XWLS3OBANPCE", *creds.SecretAccessKey, ""),
		} {
			_, err := c.sts.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
			if api, ok := errors.AsType[smithy.APIError](err); !ok || api.ErrorCode() != "InvalidClientTokenId" {
				t.Errorf("%s: %v", name, err)
			}
		}
		_, err := n.client(*creds.AccessKeyId, strings.Repeat("x", 40), token).sts.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
		wantCode(t, err, "SignatureDoesNotMatch", "The request signature we calculated does not match")
	})
	t.Run("policy edits apply at once", func(t *testing.T) {
		root.must(root.iam.PutRolePolicy(ctx, &iam.PutRolePolicyInput{
			RoleName: aws.String("reader"), PolicyName: aws.String("stop"),
			PolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"iam:*","Resource":"*"}]}`),
		}))
		_, err := reader.iam.ListUsers(ctx, &iam.ListUsersInput{})
		wantCode(t, err, "AccessDenied", "with an explicit deny in an identity-based policy")
		root.must(root.iam.DeleteRolePolicy(ctx, &iam.DeleteRolePolicyInput{RoleName: aws.String("reader"), PolicyName: aws.String("stop")}))
		if _, err := reader.iam.ListUsers(ctx, &iam.ListUsersInput{}); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("deleted role", func(t *testing.T) {
		root.must(root.iam.DetachRolePolicy(ctx, &iam.DetachRolePolicyInput{RoleName: aws.String("reader"), PolicyArn: aws.String("arn:aws:iam::aws:policy/IAMReadOnlyAccess")}))
		root.must(root.iam.DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: aws.String("reader")}))
		_, err := reader.sts.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
		wantCode(t, err, "InvalidClientTokenId", "The security token included in the request is invalid")
		root.role("reader", trustFor("arn:aws:iam::111122223333:user/alice"))
		_, err = reader.sts.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
		wantCode(t, err, "InvalidClientTokenId", "")
	})
	t.Run("deactivated and deleted keys, deleted user", func(t *testing.T) {
		bob := root.user(n, "bob", "")
		own, err := bob.sts.GetSessionToken(ctx, &sts.GetSessionTokenInput{})
		if err != nil {
			t.Fatal(err)
		}
		temporary := n.with(own.Credentials)
		if got := temporary.identity(); got != "arn:aws:iam::111122223333:user/bob" {
			t.Errorf("GetSessionToken credentials are %s", got)
		}
		_, err = temporary.iam.ListUsers(ctx, &iam.ListUsersInput{})
		wantCode(t, err, "InvalidClientTokenId", "")
		keys, err := root.iam.ListAccessKeys(ctx, &iam.ListAccessKeysInput{UserName: aws.String("bob")})
		if err != nil {
			t.Fatal(err)
		}
		id := keys.AccessKeyMetadata[0].AccessKeyId
		root.must(root.iam.UpdateAccessKey(ctx, &iam.UpdateAccessKeyInput{UserName: aws.String("bob"), AccessKeyId: id, Status: "Inactive"}))
		_, err = bob.sts.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
		wantCode(t, err, "InvalidClientTokenId", "")
		if got := temporary.identity(); got != "arn:aws:iam::111122223333:user/bob" {
			t.Errorf("a session outlives the key that made it; it is %s", got)
		}
		root.must(root.iam.DeleteAccessKey(ctx, &iam.DeleteAccessKeyInput{UserName: aws.String("bob"), AccessKeyId: id}))
		root.must(root.iam.DeleteUser(ctx, &iam.DeleteUserInput{UserName: aws.String("bob")}))
		_, err = temporary.sts.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
		wantCode(t, err, "InvalidClientTokenId", "")
	})
	t.Run("root may not assume", func(t *testing.T) {
		_, err := root.assume("arn:aws:iam::111122223333:role/second", nil)
		wantCode(t, err, "AccessDenied", "Roles may not be assumed by root accounts.")
	})
	t.Run("trust policy reads back", func(t *testing.T) {
		out, err := root.iam.GetRole(ctx, &iam.GetRoleInput{RoleName: aws.String("reader")})
		if err != nil {
			t.Fatal(err)
		}
		document, err := url.PathUnescape(*out.Role.AssumeRolePolicyDocument)
		if err != nil || document != trustFor("arn:aws:iam::111122223333:user/alice") {
			t.Errorf("reads %q, %v", document, err)
		}
	})
}

// Cross-account needs both sides.
func TestSDK_CrossAccount(t *testing.T) {
	t.Parallel()
	n := start(t, filepath.Join(t.TempDir(), "data"), "--account-id", "111122223333")
	var other struct {
		AccountID       string `json:"account_id"`
		AccessKeyID     string `json:"access_key_id"`
		SecretAccessKey string `json:"secret_access_key"`
	}
	raw := must(t, "account", "create", "--data-dir", n.dir, "--id", "444455556666", "--name", "other", "--output", "json")
	if err := json.Unmarshal([]byte(raw), &other); err != nil || other.AccountID != "444455556666" {
		t.Fatalf("account create: %v\n%s", err, raw)
	}
	root, otherRoot := n.root(), n.client(other.AccessKeyID, other.SecretAccessKey, "")
	role := root.role("shared", trustFor("arn:aws:iam::444455556666:root"))

	without := otherRoot.user(n, "without", "")
	_, err := without.assume(role, nil)
	wantCode(t, err, "AccessDenied", "User: arn:aws:iam::444455556666:user/without is not authorized to perform: sts:AssumeRole on resource: "+role)
	if strings.Contains(err.Error(), "because") {
		t.Errorf("the reason crosses the account: %v", err)
	}
	with := otherRoot.user(n, "with", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Resource":"`+role+`"}]}`)
	if got := n.with(with.mustAssume(role, nil)).identity(); got != "arn:aws:sts::111122223333:assumed-role/shared/session" {
		t.Errorf("the session is %s", got)
	}
	untrusting := root.role("untrusting", trustFor("arn:aws:iam::111122223333:root"))
	_, err = otherRoot.user(n, "full", allowEverything).assume(untrusting, nil)
	wantCode(t, err, "AccessDenied", "")
	if got := must(t, "account", "list", "--data-dir", n.dir); !strings.Contains(got, "444455556666") || !strings.Contains(got, "111122223333") {
		t.Errorf("account list: %s", got)
	}
}
