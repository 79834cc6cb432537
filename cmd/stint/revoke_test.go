package main_test

import (
	"context"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	stsv1 "github.com/stint-sts/stint/proto/stint/sts/v1"
	"github.com/stint-sts/stint/session/redistest"
	"github.com/stint-sts/stint/stintgrpc"
)

// revoked reports whether the holder of the credentials finds its session over.
func (c *client) revoked() bool {
	c.t.Helper()
	_, err := c.sts.GetCallerIdentity(context.Background(), &sts.GetCallerIdentityInput{})
	if err != nil {
		wantCode(c.t, err, "ExpiredToken", "The security token included in the request is expired")
	}
	return err != nil
}

// at is the client at another node, or at the same one after a restart.
func (c *client) at(n *node) *client {
	creds := c.credentials()
	return n.client(creds.AccessKeyID, creds.SecretAccessKey.Reveal(), creds.SessionToken.Reveal())
}

// A session that is revoked is over at once, with all that was made from it, and stays so after a restart; what has nothing to do
// with it goes on.
func TestSessionRevoke(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	n := start(t, dir, "--account-id", "111122223333")
	alice := n.root().user(n, "alice", "")
	first := n.root().role("first", trustFor("arn:aws:iam::111122223333:user/alice"))
	second := n.root().role("second", trustFor(first))
	firstCreds := alice.mustAssume(first, nil)
	secondCreds := n.with(firstCreds).mustAssume(second, nil)
	other := alice.mustAssume(first, nil)
	for what, c := range map[string]*client{"first": n.with(firstCreds), "second": n.with(secondCreds), "other": n.with(other)} {
		if c.revoked() {
			t.Fatalf("%s is over before anything is revoked", what)
		}
	}

	if got := must(t, "session", "revoke", "--data-dir", dir, "--wait", "--reason", "stolen", *firstCreds.AccessKeyId); !strings.Contains(got, "confirmed by  1 node(s)") {
		t.Errorf("the command says\n%s", got)
	}
	check := func(when string) {
		t.Helper()
		for what, test := range map[string]struct {
			*client
			want bool
		}{
			"the session": {n.with(firstCreds), true}, "what was made from it": {n.with(secondCreds), true},
			"another session": {n.with(other), false}, "the key": {alice.at(n), false},
		} {
			if got := test.revoked(); got != test.want {
				t.Errorf("%s, %s is over: %v, want %v", when, what, got, test.want)
			}
		}
	}
	check("after the revocation")
	n.stop()
	n = start(t, dir)
	check("after a restart")

	must(t, "session", "revoke", "--data-dir", dir, "--role", first, "--session-name", "nobody")
	check("after the revocation of a name that nobody has")
	must(t, "session", "revoke", "--data-dir", dir, "--role", first)
	if !n.with(other).revoked() {
		t.Error("the role's other session goes on")
	}
	if n.with(alice.at(n).mustAssume(first, nil)).revoked() {
		t.Error("a session that was made after the revocation is over")
	}
}

func TestSessionRevoke_LeakedKey(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	n := start(t, dir, "--account-id", "111122223333")
	alice, bob := n.root().user(n, "alice", ""), n.root().user(n, "bob", "")
	fromAlice, err := alice.sts.GetSessionToken(context.Background(), &sts.GetSessionTokenInput{})
	if err != nil {
		t.Fatal(err)
	}
	fromBob, err := bob.sts.GetSessionToken(context.Background(), &sts.GetSessionTokenInput{})
	if err != nil {
		t.Fatal(err)
	}
	must(t, "session", "revoke", "--data-dir", dir, alice.credentials().AccessKeyID)
	if !n.with(fromAlice.Credentials).revoked() || n.with(fromBob.Credentials).revoked() {
		t.Error("want the sessions of the key over, and no others")
	}
}

// Whoever holds a session may end it, over HTTP and gRPC, and nothing else.
func TestSDK_RevokeOwnSession(t *testing.T) {
	t.Parallel()
	n := start(t, filepath.Join(t.TempDir(), "data"), "--account-id", "111122223333")
	alice := n.root().user(n, "alice", "")
	role := n.root().role("worker", trustFor("arn:aws:iam::111122223333:user/alice"))
	mine, other := alice.mustAssume(role, nil), alice.mustAssume(role, nil)
	m := regexp.MustCompile(`gRPC\s+(\S+)`).FindStringSubmatch(n.output.String())
	if m == nil {
		t.Fatalf("no address of gRPC in\n%s", n.output)
	}
	rpc, err := stintgrpc.Dial(m[1], stintgrpc.WithCredentials(credentials.NewStaticCredentialsProvider(*mine.AccessKeyId, *mine.SecretAccessKey, *mine.SessionToken)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = rpc.Close() })
	_, err = rpc.RevokeSessions(t.Context(), &stsv1.RevokeSessionsRequest{AccessKeyId: *other.AccessKeyId})
	if e, ok := stintgrpc.AsError(err); !ok || e.Code != "AccessDenied" {
		t.Errorf("ending another session gives %v", err)
	}
	out, err := rpc.RevokeSessions(t.Context(), &stsv1.RevokeSessionsRequest{Wait: true})
	if err != nil || out.GetNodes() != 1 {
		t.Fatalf("ending one's own session gives %v, %v", out, err)
	}
	if !n.with(mine).revoked() || n.with(other).revoked() {
		t.Error("want one's own session over, and no other")
	}
}

func TestSessionRevoke_BadCalls(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	start(t, dir, "--account-id", "111122223333")
	for want, args := range map[string][]string{
		"say which sessions":          {},
		"say which sessions: ":        {"--account", "111122223333", "ASIAWDB7XWLS3OBANPCE"},
		"role/nobody does not exist":  {"--role", "arn:aws:iam::111122223333:role/nobody"},
		"there is no account":         {"--account", "999999999999"},
		"this names no sessions":      {"ASIA"},
		"IssuedBefore must be a time": {"--account", "111122223333", "--issued-before", "yesterday, late at night"},
	} {
		_, stderr, code := run(t, "", append([]string{"session", "revoke", "--data-dir", dir}, args...)...)
		if code == 0 || !strings.Contains(stderr, want) {
			t.Errorf("%v: exit %d\n%s\nwant %q", args, code, stderr, want)
		}
	}
}

// Losing Redis brings no revoked session back, and revocations go on without it.
func TestSessionRevoke_WithoutRedis(t *testing.T) {
	t.Parallel()
	r := redistest.Start(t)
	dir := filepath.Join(t.TempDir(), "data")
	n := start(t, dir, "--account-id", "111122223333", "--redis", r.URL())
	alice := n.root().user(n, "alice", "")
	role := n.root().role("worker", trustFor("arn:aws:iam::111122223333:user/alice"))
	before, after := alice.mustAssume(role, nil), alice.mustAssume(role, nil)
	must(t, "session", "revoke", "--data-dir", dir, "--wait", *before.AccessKeyId)
	r.Kill()
	must(t, "session", "revoke", "--data-dir", dir, *after.AccessKeyId)
	if _, stderr, code := run(t, "", "session", "revoke", "--data-dir", dir, "--wait", *after.AccessKeyId); code == 0 || !strings.Contains(stderr, "are revoked, but not every node has confirmed") {
		t.Errorf("to wait without Redis: exit %d\n%s", code, stderr)
	}
	r.Restart() // empty
	n.stop()
	n = start(t, dir, "--redis", r.URL())
	if !n.with(before).revoked() || !n.with(after).revoked() {
		t.Error("a revoked session is back")
	}
}
