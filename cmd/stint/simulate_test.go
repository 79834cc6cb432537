package main_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
)

// An unmodified SDK simulates, page by page, and what is simulated is what happens.
func TestSimulate(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	n := start(t, filepath.Join(t.TempDir(), "data"), "--account-id", "111122223333")
	root := n.root()
	document := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["iam:GetUser","iam:ListUsers"],"Resource":"*",` +
		`"Condition":{"StringEquals":{"aws:RequestedRegion":"us-east-1"}}},{"Effect":"Deny","Action":"iam:ListUsers","Resource":"*"}]}`
	alice := root.user(n, "alice", document)
	arn := aws.String("arn:aws:iam::111122223333:user/alice")

	keys, err := root.iam.GetContextKeysForPrincipalPolicy(ctx, &iam.GetContextKeysForPrincipalPolicyInput{PolicySourceArn: arn})
	if err != nil || len(keys.ContextKeyNames) != 1 || keys.ContextKeyNames[0] != "aws:RequestedRegion" {
		t.Fatalf("context keys: %v, %v", keys, err)
	}
	custom, err := root.iam.GetContextKeysForCustomPolicy(ctx, &iam.GetContextKeysForCustomPolicyInput{
		PolicyInputList: []string{`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"arn:aws:s3:::${aws:username}"}}`},
	})
	if err != nil || len(custom.ContextKeyNames) != 1 || custom.ContextKeyNames[0] != "aws:username" {
		t.Fatalf("context keys: %v, %v", custom, err)
	}

	region := "eu-west-1" // what the client signs for
	pages := iam.NewSimulatePrincipalPolicyPaginator(root.iam, &iam.SimulatePrincipalPolicyInput{
		PolicySourceArn: arn, ActionNames: []string{"iam:GetUser", "iam:ListUsers", "iam:ListRoles"}, ResourceArns: []string{*arn},
		MaxItems: aws.Int32(2), ContextEntries: []types.ContextEntry{
			{ContextKeyName: aws.String("aws:RequestedRegion"), ContextKeyType: types.ContextKeyTypeEnumString, ContextKeyValues: []string{region}},
		},
	})
	var got []types.EvaluationResult
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, page.EvaluationResults...)
	}
	want := []types.PolicyEvaluationDecisionType{
		types.PolicyEvaluationDecisionTypeImplicitDeny, types.PolicyEvaluationDecisionTypeExplicitDeny, types.PolicyEvaluationDecisionTypeImplicitDeny,
	}
	for i, r := range got {
		if i < len(want) && r.EvalDecision != want[i] || len(r.ResourceSpecificResults) != 1 || r.EvalDecisionDetails == nil {
			t.Errorf("result %d: %+v", i, r)
		}
	}
	if len(got) != len(want) {
		t.Fatalf("%d results", len(got))
	}
	deny := got[1].MatchedStatements[0]
	begin, end := strings.Index(document, `{"Effect":"Deny"`), strings.LastIndex(document, "]}")
	if *deny.SourcePolicyId != "user_alice_p" || deny.SourcePolicyType != "IAM Policy" ||
		int(deny.StartPosition.Column) != begin+1 || int(deny.EndPosition.Column) != end+1 {
		t.Errorf("the deny is %s, %s, %+v to %+v", *deny.SourcePolicyId, deny.SourcePolicyType, *deny.StartPosition, *deny.EndPosition)
	}
	_, err = alice.iam.GetUser(ctx, &iam.GetUserInput{})
	wantCode(t, err, "AccessDenied", "")
	_, err = alice.iam.SimulateCustomPolicy(ctx, &iam.SimulateCustomPolicyInput{ActionNames: []string{"iam:GetUser"}, PolicyInputList: []string{"{}"}})
	wantCode(t, err, "AccessDenied", "")

	across, err := root.iam.SimulateCustomPolicy(ctx, &iam.SimulateCustomPolicyInput{
		PolicyInputList: []string{`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"sqs:*","Resource":"*"}}`},
		ActionNames:     []string{"sqs:SendMessage"}, ResourceArns: []string{"arn:aws:sqs:eu-west-1:444455556666:q"}, CallerArn: arn,
		ResourcePolicy: aws.String(`{"Version":"2012-10-17","Statement":{"Effect":"Deny","Principal":"*","Action":"*","Resource":"*"}}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	details := across.EvaluationResults[0].EvalDecisionDetails
	if details["IAM Policy"] != "allowed" || details["Resource Policy"] != "explicitDeny" {
		t.Errorf("details across accounts: %v", details)
	}
}
