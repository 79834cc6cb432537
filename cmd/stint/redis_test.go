package main_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/stint-sts/stint/session/redistest"
)

// With Redis, two nodes would share the sessions. Without it nothing is minted, and everything that mints nothing goes on.
func TestServe_Redis(t *testing.T) {
	t.Parallel()
	r := redistest.Start(t)
	dir := filepath.Join(t.TempDir(), "data")
	n := start(t, dir, "--account-id", "111122223333", "--redis", r.URL())
	alice := n.root().user(n, "alice", "")
	role := n.root().role("worker", trustFor("arn:aws:iam::111122223333:user/alice"))
	creds := alice.mustAssume(role, nil)
	if got := must(t, "session", "list", "--data-dir", dir); !strings.Contains(got, *creds.AccessKeyId) {
		t.Errorf("the session is not listed:\n%s", got)
	}
	if got := must(t, "session", "show", "--data-dir", dir, *creds.AccessKeyId); !strings.Contains(got, "assumed-role/worker/session") {
		t.Errorf("the session is not shown:\n%s", got)
	}
	if got := fetch(t, n.ops+"/readyz"); got != "ok\n" {
		t.Errorf("readyz says %q", got)
	}

	r.Kill()
	_, err := alice.assume(role, nil)
	wantCode(t, err, "ServiceUnavailable", "")
	_, err = alice.sts.GetSessionToken(context.Background(), &sts.GetSessionTokenInput{})
	wantCode(t, err, "ServiceUnavailable", "")
	if got := n.with(creds).identity(); got != "arn:aws:sts::111122223333:assumed-role/worker/session" {
		t.Errorf("without Redis the session is %s", got)
	}
	n.root().role("another", trustFor("arn:aws:iam::111122223333:user/alice"))
	if got := fetch(t, n.ops+"/readyz"); !strings.HasPrefix(got, "sessions: ") {
		t.Errorf("readyz says %q", got)
	}
	if got := fetch(t, n.ops+"/readyz?exclude=sessions"); got != "ok\n" { // for who balances load: the node is of use still
		t.Errorf("readyz without sessions says %q", got)
	}
	if got := fetch(t, n.ops+"/metrics"); !strings.Contains(got, `stint_session_state_duration_seconds_count{operation="put",outcome="unavailable"}`) {
		t.Error("that session state did not answer is not counted")
	}

	for line := range strings.Lines(n.output.String()) {
		if strings.Contains(line, "pool.go") {
			t.Errorf("a line that is no record of the log: %s", line)
		}
	}

	r.Restart()
	until(t, "minting works again", func() bool {
		_, err := alice.assume(role, nil)
		return err == nil
	})
}
