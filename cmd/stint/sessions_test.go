package main_test

import (
	"context"
	"encoding/json"
	"path/filepath"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	ststypes "github.com/aws/aws-sdk-go-v2/service/sts/types"
)

// A federation token can do what user and session policy both allow, nothing in IAM, and in STS but tell who it is.
func TestSDK_FederationToken(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	n := start(t, filepath.Join(t.TempDir(), "data"), "--account-id", "111122223333")
	alice := n.root().user(n, "alice", allowEverything)
	out, err := alice.sts.GetFederationToken(ctx, &sts.GetFederationTokenInput{
		Name: aws.String("bob"), Policy: aws.String(allowEverything), MinimumSessionTokenSize: aws.Int32(2000),
		Tags: []ststypes.Tag{{Key: aws.String("team"), Value: aws.String("red")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if *out.FederatedUser.FederatedUserId != "111122223333:bob" || len(*out.Credentials.SessionToken) < 2000 ||
		int(*out.SessionTokenSize) != len(*out.Credentials.SessionToken) || *out.SessionTokenUtilization < 1 {
		t.Errorf("answer is %+v", out)
	}
	bob := n.with(out.Credentials)
	if got := bob.identity(); got != "arn:aws:sts::111122223333:federated-user/bob" {
		t.Errorf("bob is %s", got)
	}
	_, err = bob.iam.ListUsers(ctx, &iam.ListUsersInput{})
	wantCode(t, err, "InvalidClientTokenId", "")
	_, err = bob.assume("arn:aws:iam::111122223333:role/any", nil)
	wantCode(t, err, "AccessDenied", "")
	_, err = bob.sts.GetSessionToken(ctx, &sts.GetSessionTokenInput{})
	wantCode(t, err, "AccessDenied", "Cannot call GetSessionToken with session credentials")
}

// The management account looks after the root user of a member: it sees its keys, and can do nothing else.
func TestSDK_AssumeRoot(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "stint.yaml"), "management-account: \"111122223333\"\n")
	n := start(t, filepath.Join(dir, "data"), "--account-id", "111122223333", "--config", filepath.Join(dir, "stint.yaml"))
	var member struct {
		AccountID string `json:"account_id"`
	}
	raw := must(t, "account", "create", "--data-dir", n.dir, "--name", "member", "--output", "json")
	if err := json.Unmarshal([]byte(raw), &member); err != nil {
		t.Fatal(err)
	}
	operator := n.root().user(n, "operator", allowEverything)
	in := &sts.AssumeRootInput{
		TargetPrincipal: &member.AccountID,
		TaskPolicyArn:   &ststypes.PolicyDescriptorType{Arn: aws.String("arn:aws:iam::aws:policy/root-task/IAMAuditRootUserCredentials")},
	}
	out, err := operator.sts.AssumeRoot(ctx, in)
	if err != nil {
		t.Fatal(err)
	}
	root := n.with(out.Credentials)
	if got := root.identity(); got != "arn:aws:iam::"+member.AccountID+":root" {
		t.Errorf("the session is %s", got)
	}
	keys, err := root.iam.ListAccessKeys(ctx, &iam.ListAccessKeysInput{})
	if err != nil || len(keys.AccessKeyMetadata) != 1 {
		t.Fatalf("ListAccessKeys: %v, %v", keys, err)
	}
	_, err = root.iam.DeleteAccessKey(ctx, &iam.DeleteAccessKeyInput{AccessKeyId: keys.AccessKeyMetadata[0].AccessKeyId})
	wantCode(t, err, "AccessDenied", "because no session policy allows the iam:DeleteAccessKey action")
	_, err = root.iam.ListUsers(ctx, &iam.ListUsersInput{})
	wantCode(t, err, "AccessDenied", "")
	_, err = n.root().sts.AssumeRoot(ctx, in)
	wantCode(t, err, "AccessDenied", "")
}

// A chain of three roles: the transitive tag that the first session was given opens the third, and cannot be changed on the way.
func TestSDK_ChainOfThree(t *testing.T) {
	t.Parallel()
	n := start(t, filepath.Join(t.TempDir(), "data"), "--account-id", "111122223333")
	root := n.root()
	alice := root.user(n, "alice", "")
	first := root.role("first", trustFor("arn:aws:iam::111122223333:user/alice"))
	second := root.role("second", trustFor(first))
	third := root.role("third", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"`+second+`"},
		"Action":["sts:AssumeRole","sts:TagSession"],"Condition":{"StringEquals":{"aws:PrincipalTag/team":"red"}}}]}`)
	tagged := func(value string, transitive ...string) func(*sts.AssumeRoleInput) {
		return func(in *sts.AssumeRoleInput) {
			in.Tags, in.TransitiveTagKeys = []ststypes.Tag{{Key: aws.String("team"), Value: &value}}, transitive
		}
	}
	chain := func(change func(*sts.AssumeRoleInput)) *client {
		return n.with(n.with(alice.mustAssume(first, change)).mustAssume(second, nil))
	}
	red := chain(tagged("red", "team"))
	if got := n.with(red.mustAssume(third, nil)).identity(); got != "arn:aws:sts::111122223333:assumed-role/third/session" {
		t.Errorf("the third session is %s", got)
	}
	_, err := red.assume(third, tagged("blue"))
	wantCode(t, err, "InvalidParameterValue", "conflicts with a transitive tag key")
	_, err = chain(tagged("blue", "team")).assume(third, nil)
	wantCode(t, err, "AccessDenied", "sts:AssumeRole")
	_, err = chain(tagged("red")).assume(third, nil) // not transitive: it ended with the first session
	wantCode(t, err, "AccessDenied", "sts:AssumeRole")
}
