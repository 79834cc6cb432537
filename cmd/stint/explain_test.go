package main_test

import (
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	ststypes "github.com/aws/aws-sdk-go-v2/service/sts/types"
)

func requestID(t *testing.T, err error) string {
	t.Helper()
	response, ok := errors.AsType[*awshttp.ResponseError](err)
	if !ok || response.ServiceRequestID() == "" {
		t.Fatalf("no request id in %v", err)
	}
	return response.ServiceRequestID()
}

// An operator is told every check of a past call; after a restart, what the audit log kept.
func TestExplain(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	dir := filepath.Join(t.TempDir(), "data")
	n := start(t, dir, "--account-id", "111122223333")
	root := n.root()
	alice := root.user(n, "alice", "")
	role := root.role("guarded", `{"Version":"2012-10-17","Statement":[{"Sid":"Friends","Effect":"Allow",
		"Principal":{"AWS":"arn:aws:iam::111122223333:user/alice"},"Action":"sts:AssumeRole","Condition":{"StringEquals":{"sts:ExternalId":"open-sesame"}}}]}`)
	explained := func(args ...string) string {
		return must(t, append([]string{"explain", "--data-dir", dir}, args...)...)
	}

	_, err := alice.assume(role, func(in *sts.AssumeRoleInput) { in.ExternalId = new("knock-knock") })
	wantCode(t, err, "AccessDenied", "")
	denied := requestID(t, err)
	wanted := []string{
		"sts:AssumeRole", "arn:aws:iam::111122223333:user/alice", "because no role trust policy allows the sts:AssumeRole action",
		"trust policy of " + role, "statement 1 Friends Allow: does not apply", "yes Action",
		`no  Condition StringEquals sts:ExternalId: expected ["open-sesame"], got ["knock-knock"]`,
	}
	for _, want := range wanted {
		if got := explained(denied); !strings.Contains(got, want) {
			t.Errorf("it does not tell %q:\n%s", want, got)
		}
	}

	_, err = alice.assume("arn:aws:iam::111122223333:role/missing", nil)
	if got := explained(requestID(t, err)); !strings.Contains(got, "because   role arn:aws:iam::111122223333:role/missing: no such record") {
		t.Errorf("a missing role:\n%s", got)
	}
	tagged := func(in *sts.AssumeRoleInput) {
		in.ExternalId, in.Tags = new("open-sesame"), []ststypes.Tag{{Key: new("team"), Value: new("red")}}
	}
	_, err = alice.assume(role, tagged)
	got := explained(requestID(t, err))
	first, second := strings.Index(got, "1. sts:AssumeRole on "+role+": Allow\n   trust policy of "+role+", statement 1 (Friends)\n"),
		strings.Index(got, "2. sts:TagSession on "+role+": ImplicitDeny\n   because no role trust policy allows the sts:TagSession action\n")
	if first < 0 || second < first {
		t.Errorf("a session tag that the role does not take:\n%s", got)
	}
	_, err = alice.assume(role, func(in *sts.AssumeRoleInput) {
		in.ExternalId, in.DurationSeconds = new("open-sesame"), new(int32(7200))
	})
	if got := explained(requestID(t, err)); !strings.Contains(got, "because   duration: expected at most 1h0m0s, got 2h0m0s") {
		t.Errorf("too long a session:\n%s", got)
	}
	_, err = n.client("AKIAWDB7XWLS3OBANPCE", "x", "").sts.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if got := explained(requestID(t, err)); !strings.Contains(got, "nobody was authenticated") || !strings.Contains(got, "access key") {
		t.Errorf("an unknown key:\n%s", got)
	}
	_, err = alice.iam.ListUsers(ctx, &iam.ListUsersInput{})
	listed := requestID(t, err)
	var asJSON struct {
		Code      string
		Decisions []struct{ Action, Outcome, Reason string }
	}
	if err := json.Unmarshal([]byte(explained("--output", "json", listed)), &asJSON); err != nil || len(asJSON.Decisions) != 1 ||
		asJSON.Decisions[0].Outcome != "ImplicitDeny" || asJSON.Code != "AccessDenied" {
		t.Errorf("as JSON: %+v, %v", asJSON, err)
	}
	alice.mustAssume(role, func(in *sts.AssumeRoleInput) { in.ExternalId = new("open-sesame") })

	n.stop()
	start(t, dir)
	for _, want := range wanted {
		if got := explained(denied); !strings.Contains(got, want) {
			t.Errorf("after a restart it does not tell %q:\n%s", want, got)
		}
	}
	_, stderr, code := run(t, "", "explain", "--data-dir", dir, "00000000-0000-4000-8000-000000000000")
	if code != 1 || !strings.Contains(stderr, "no event of this request") {
		t.Errorf("an unknown request: exit %d, %s", code, stderr)
	}
}
