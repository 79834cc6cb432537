package sts

import (
	"context"
	"slices"
	"time"

	"github.com/stint-sts/stint/arn"
	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/authz"
	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/policy"
	"github.com/stint-sts/stint/signer"
)

// AssumeRootInput are the parameters of AssumeRoot.
type AssumeRootInput struct {
	TargetPrincipal string            `aws:"TargetPrincipal,required" len:"12,2048"`
	TaskPolicyARN   *PolicyDescriptor `aws:"TaskPolicyArn,required"`
	DurationSeconds *int32            `aws:"DurationSeconds" range:"0,900"`
	MinTokenSize    *int32            `aws:"MinimumSessionTokenSize" range:"0,4096"`
}

// AssumeRootOutput is the result of AssumeRoot.
type AssumeRootOutput struct {
	Credentials    *Credentials `aws:"Credentials"`
	SourceIdentity string       `aws:"SourceIdentity"`
	TokenSize      `aws:",inline"`
}

const (
	actionAssumeRoot = "sts:AssumeRoot"
	maxRootTask      = 15 * time.Minute
)

// taskPolicies are what a root session can be limited to (AWS IAM User Guide, "Perform a privileged task on a member account").
var taskPolicies = []string{
	"arn:aws:iam::aws:policy/root-task/IAMAuditRootUserCredentials",
	"arn:aws:iam::aws:policy/root-task/IAMCreateRootUserPassword",
	"arn:aws:iam::aws:policy/root-task/IAMDeleteRootUserCredentials",
	"arn:aws:iam::aws:policy/root-task/S3UnlockBucketPolicy",
	"arn:aws:iam::aws:policy/root-task/SQSUnlockQueuePolicy",
}

// AssumeRoot returns credentials of the root user of a member account, good for one task for at most 15 minutes. Only
// principals of the management account may ask, and not its root user (AWS STS API Reference, "AssumeRoot"). Whether the
// account exists is told to nobody who may not.
func (s *Service) AssumeRoot(ctx context.Context, c *authn.Caller, in *AssumeRootInput) (*AssumeRootOutput, error) {
	member, err := targetAccount(in.TargetPrincipal)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(taskPolicies, in.TaskPolicyARN.ARN) {
		return nil, awserr.New(awserr.ValidationError, "The task policy must be one of the AWS managed policies below policy/root-task/.")
	}
	root := arn.Root(member)
	if err := s.mayAssumeRoot(c, root, member, in.TaskPolicyARN.ARN); err != nil {
		return nil, err
	}
	entity, err := s.directory.Entity(ctx, member, member)
	if err != nil {
		return nil, denyUnknown(err, c, actionAssumeRoot, root)
	}
	claims := &signer.Claims{
		Kind:         signer.RootSession,
		Account:      member,
		ARN:          entity.ARN,
		EntityARN:    entity.ARN,
		EntityID:     entity.ID,
		PolicyARNs:   []string{in.TaskPolicyARN.ARN},
		MinTokenSize: tokenSize(in.MinTokenSize),
	}
	if c.Session != nil {
		claims.SourceIdentity = c.Session.SourceIdentity
	}
	d := seconds(in.DurationSeconds, maxRootTask)
	if d == 0 {
		d = maxRootTask
	}
	creds, err := s.issue(ctx, c, claims, d)
	if err != nil {
		return nil, err
	}
	return &AssumeRootOutput{Credentials: creds, SourceIdentity: claims.SourceIdentity, TokenSize: sizeOf(creds)}, nil
}

// mayAssumeRoot decides within the management account: there is no trust policy on the member's side, being a member is what
// it agreed to.
func (s *Service) mayAssumeRoot(c *authn.Caller, root, member, task string) error {
	denied := awserr.New(awserr.AccessDenied, authz.Sentence(c.ARN, actionAssumeRoot, root))
	switch {
	case s.management == "" || c.Account != s.management || member == s.management:
		return denied
	case c.Kind != authn.User && c.Kind != authn.RoleSession:
		return denied
	}
	return authz.Require(c, &authz.Question{
		Action:   actionAssumeRoot,
		Resource: root,
		Keys: func(k *policy.Context) {
			k.Set("sts:TaskPolicyArn", task)
			k.Set("aws:ResourceAccount", member)
		},
	})
}

// targetAccount reads the account out of an account id or the ARN of its root user.
func targetAccount(target string) (string, error) {
	if arn.ValidAccount(target) {
		return target, nil
	}
	if a, err := arn.Parse(target); err == nil && arn.ValidAccount(a.Account) && target == arn.Root(a.Account) {
		return a.Account, nil
	}
	return "", awserr.New(awserr.ValidationError, "The target principal must be an account ID or the ARN of an account's root user.")
}
