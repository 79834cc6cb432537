//go:build linux

package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	awscredentials "github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/stint-sts/stint/secret"
)

const account = "111122223333"

// subject is who calls: a user with a long-lived key that may assume the role, and a session of the role.
type subject struct {
	longLived credentials
	temporary credentials
	roleARN   string
}

const trustPolicy = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::` + account + `:root"},"Action":"sts:AssumeRole"}]}`

const userPolicy = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Resource":"arn:aws:iam::` + account + `:role/bench*"}]}`

// rootClient is the AWS SDK with the key of a stint's first run.
func rootClient(ctx context.Context, s *server) (*iam.Client, error) {
	root, err := config.LoadSharedConfigProfile(ctx, "root", func(o *config.LoadSharedConfigOptions) {
		o.ConfigFiles, o.CredentialsFiles = []string{}, []string{filepath.Join(s.dataDir, "bootstrap", "credentials")}
	})
	if err != nil {
		return nil, err
	}
	key := awscredentials.StaticCredentialsProvider{Value: root.Credentials}
	return iam.New(iam.Options{Region: region, BaseEndpoint: aws.String("http://" + s.address), Credentials: key}), nil
}

// newSubject makes user, key and role through the AWS SDK, as root, and assumes the role once.
func newSubject(ctx context.Context, s *server) (*subject, error) {
	directory, err := rootClient(ctx, s)
	if err != nil {
		return nil, err
	}
	name := aws.String("bench")
	if _, err := directory.CreateUser(ctx, &iam.CreateUserInput{UserName: name}); err != nil {
		return nil, err
	}
	if _, err := directory.PutUserPolicy(ctx, &iam.PutUserPolicyInput{UserName: name, PolicyName: name, PolicyDocument: aws.String(userPolicy)}); err != nil {
		return nil, err
	}
	key, err := directory.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: name})
	if err != nil {
		return nil, err
	}
	role, err := directory.CreateRole(ctx, &iam.CreateRoleInput{RoleName: name, AssumeRolePolicyDocument: aws.String(trustPolicy)})
	if err != nil {
		return nil, err
	}
	id, secretKey := *key.AccessKey.AccessKeyId, *key.AccessKey.SecretAccessKey
	tokens := sts.New(sts.Options{Region: region, BaseEndpoint: aws.String("http://" + s.address), Credentials: awscredentials.NewStaticCredentialsProvider(id, secretKey, "")})
	session, err := tokens.AssumeRole(ctx, &sts.AssumeRoleInput{RoleArn: role.Role.Arn, RoleSessionName: name})
	if err != nil {
		return nil, err
	}
	return &subject{
		longLived: credentials{AccessKeyID: id, SecretAccessKey: secret.New(secretKey)},
		temporary: credentials{
			AccessKeyID: *session.Credentials.AccessKeyId, SecretAccessKey: secret.New(*session.Credentials.SecretAccessKey),
			SessionToken: secret.New(*session.Credentials.SessionToken),
		},
		roleARN: *role.Role.Arn,
	}, nil
}

// form makes the body of the n-th request.
type form func(n int64) []byte

func getCallerIdentity(int64) []byte { return []byte("Action=GetCallerIdentity&Version=2011-06-15") }

// assumeRole gives every session a name of its own; run tells the runs of the driver apart.
func assumeRole(roleARN func(n int64) string) form {
	run := time.Now().Unix()
	return func(n int64) []byte {
		return fmt.Appendf(nil, "Action=AssumeRole&RoleArn=%s&RoleSessionName=load-%d-%d&Version=2011-06-15", escapeARN(roleARN(n)), run, n)
	}
}

// assumeRoleWithWebIdentity sends the tokens in turn, each time for a session of another name.
func assumeRoleWithWebIdentity(roleARN string, tokens []string) form {
	run := time.Now().Unix()
	return func(n int64) []byte {
		return fmt.Appendf(nil, "Action=AssumeRoleWithWebIdentity&RoleArn=%s&RoleSessionName=load-%d-%d&Version=2011-06-15&WebIdentityToken=%s",
			escapeARN(roleARN), run, n, tokens[n%int64(len(tokens))])
	}
}

// always is one role for every request.
func always(roleARN string) func(int64) string { return func(int64) string { return roleARN } }
