package sts_test

import (
	"context"
	"testing"
	"time"

	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/sts"
)

const federateBob = `"Effect":"Allow","Action":["sts:GetFederationToken","sts:TagSession"],"Resource":"arn:aws:sts::111111111111:federated-user/bob"`

func TestGetFederationToken(t *testing.T) {
	t.Parallel()
	user := func(identity ...string) func(*world) *authn.Caller {
		return func(w *world) *authn.Caller { return w.user(accountA, "alice", identity...) }
	}
	const bob = "arn:aws:sts::111111111111:federated-user/bob"
	for _, row := range []struct {
		name   string
		caller func(*world) *authn.Caller
		in     sts.GetFederationTokenInput
		want   time.Duration
		kind   *awserr.Kind
		text   string
	}{
		{name: "a user with permission", caller: user(federateBob), want: 12 * time.Hour},
		{
			name: "J5 a user without permission", caller: user(), kind: awserr.AccessDenied,
			text: "User: " + aliceARN + " is not authorized to perform: sts:GetFederationToken on resource: " + bob +
				" because no identity-based policy allows the sts:GetFederationToken action",
		},
		{
			name: "tags need a permission of their own", kind: awserr.AccessDenied,
			caller: user(`"Effect":"Allow","Action":"sts:GetFederationToken","Resource":"*"`),
			in:     sts.GetFederationTokenInput{Tags: []sts.Tag{{Key: "k", Value: "v"}}},
			text: "User: " + aliceARN + " is not authorized to perform: sts:TagSession on resource: " + bob +
				" because no identity-based policy allows the sts:TagSession action",
		},
		{name: "tags with it", caller: user(federateBob), in: sts.GetFederationTokenInput{Tags: []sts.Tag{{Key: "k", Value: "v"}}}, want: 12 * time.Hour},
		{name: "36 hours", caller: user(federateBob), in: sts.GetFederationTokenInput{DurationSeconds: ptr(int32(129600))}, want: 36 * time.Hour},
		{name: "root's request is cut to an hour", caller: rootCaller, in: sts.GetFederationTokenInput{DurationSeconds: ptr(int32(43200))}, want: time.Hour},
		{
			name: "J4 session credentials", caller: sessionS1(nil), kind: awserr.AccessDenied,
			text: "Cannot call GetFederationToken with session credentials",
		},
		{name: "a policy that is none", caller: user(federateBob), in: sts.GetFederationTokenInput{Policy: ptr("{}")}, kind: awserr.MalformedPolicyDocument},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			in := row.in
			in.Name = "bob"
			out, err := w.service().GetFederationToken(context.Background(), row.caller(w), &in)
			if row.kind != nil {
				wantError(t, err, row.kind, row.text)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := out.Credentials.Expiration.Sub(now); got != row.want {
				t.Errorf("lasts %v, want %v", got, row.want)
			}
			if *out.FederatedUser != (sts.FederatedUser{FederatedUserID: "111111111111:bob", ARN: bob}) {
				t.Errorf("federated user is %+v", out.FederatedUser)
			}
			if (out.PackedPolicySize != nil) != (len(in.Tags) > 0) || out.SessionTokenSize == nil {
				t.Errorf("sizes are %v, %v", out.PackedPolicySize, out.SessionTokenSize)
			}
			if w.records[0].Kind != "federation" || w.records[0].SessionName != "bob" {
				t.Errorf("record is %+v", w.records[0])
			}
		})
	}
}

func rootCaller(w *world) *authn.Caller {
	c := w.user(accountA, "alice")
	c.Kind, c.ARN, c.UserID = authn.Root, "arn:aws:iam::111111111111:root", accountA
	c.Entity = &authn.Entity{Type: authn.AccountEntity, Account: accountA, ID: accountA, ARN: c.ARN}
	return c
}

func TestAssumeRoot(t *testing.T) {
	t.Parallel()
	const (
		task  = "arn:aws:iam::aws:policy/root-task/IAMAuditRootUserCredentials"
		rootB = "arn:aws:iam::222222222222:root"
		may   = `"Effect":"Allow","Action":"sts:AssumeRoot","Resource":"` + rootB + `"`
	)
	alice := func(identity ...string) func(*world) *authn.Caller {
		return func(w *world) *authn.Caller { return w.user(accountA, "alice", identity...) }
	}
	bare := "User: " + aliceARN + " is not authorized to perform: sts:AssumeRoot on resource: " + rootB
	for _, row := range []struct {
		name       string
		management string
		caller     func(*world) *authn.Caller
		in         sts.AssumeRootInput
		want       time.Duration
		kind       *awserr.Kind
		text       string
	}{
		{name: "a user of the management account", caller: alice(may), want: 15 * time.Minute},
		{name: "by the root user's ARN", caller: alice(may), in: sts.AssumeRootInput{TargetPrincipal: rootB, DurationSeconds: ptr(int32(60))}, want: time.Minute},
		{name: "for one task only", caller: alice(may + `,"Condition":{"StringEquals":{"sts:TaskPolicyArn":"` + task + `"}}`), want: 15 * time.Minute},
		{
			name: "another task", kind: awserr.AccessDenied,
			caller: alice(may + `,"Condition":{"StringEquals":{"sts:TaskPolicyArn":"arn:aws:iam::aws:policy/root-task/S3UnlockBucketPolicy"}}`),
		},
		{name: "without permission", caller: alice(), kind: awserr.AccessDenied},
		{name: "nobody manages", management: "none", caller: alice(may), kind: awserr.AccessDenied, text: bare},
		{name: "another account manages", management: accountB, caller: alice(may), kind: awserr.AccessDenied, text: bare},
		{name: "the root user itself", caller: rootCaller, kind: awserr.AccessDenied},
		{
			name: "the management account itself", caller: alice(allowAll), in: sts.AssumeRootInput{TargetPrincipal: accountA}, kind: awserr.AccessDenied,
		},
		{name: "an account that does not exist", caller: alice(allowAll), in: sts.AssumeRootInput{TargetPrincipal: "999999999999"}, kind: awserr.AccessDenied},
		{name: "a policy that is no task", caller: alice(may), in: sts.AssumeRootInput{TaskPolicyARN: &sts.PolicyDescriptor{ARN: "arn:aws:iam::aws:policy/AdministratorAccess"}}, kind: awserr.ValidationError},
		{name: "a target that is none", caller: alice(may), in: sts.AssumeRootInput{TargetPrincipal: "arn:aws:iam::222222222222:user/x"}, kind: awserr.ValidationError},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			cfg := sts.Config{Directory: w, Minter: w, Sessions: w, ManagementAccount: accountA}
			switch row.management {
			case "none":
				cfg.ManagementAccount = ""
			case accountB:
				cfg.ManagementAccount = accountB
			}
			in := row.in
			if in.TargetPrincipal == "" {
				in.TargetPrincipal = accountB
			}
			if in.TaskPolicyARN == nil {
				in.TaskPolicyARN = &sts.PolicyDescriptor{ARN: task}
			}
			out, err := sts.New(cfg).AssumeRoot(context.Background(), row.caller(w), &in)
			if row.kind != nil {
				wantError(t, err, row.kind, row.text)
				if w.minted != 0 {
					t.Error("a refused call minted credentials")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := out.Credentials.Expiration.Sub(now); got != row.want {
				t.Errorf("lasts %v, want %v", got, row.want)
			}
			if r := w.records[0]; r.Kind != "root" || r.Account != accountB || r.ARN != rootB {
				t.Errorf("record is %+v", r)
			}
		})
	}
}
