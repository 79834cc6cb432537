package main_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stint-sts/stint/signer"
)

// Keys turn without a restart: a prepared key waits until it may sign, sessions go on, and a removed key ends its sessions.
func TestKeys(t *testing.T) {
	t.Parallel()
	n := start(t, filepath.Join(t.TempDir(), "data"), "--account-id", "111122223333")
	signing := 0
	for _, k := range n.keys() {
		if k.State == signer.Signing {
			signing++
		}
	}
	if signing < 2 {
		t.Fatalf("a new installation has %d signing keys", signing)
	}
	root := n.root()
	creds := root.user(n, "alice", "").mustAssume(root.role("worker", trustFor("arn:aws:iam::111122223333:user/alice")), nil)
	if out := must(t, "keys", "rotate", "--data-dir", n.dir); !strings.Contains(out, "prepared") {
		t.Errorf("rotate says %s", out)
	}
	var prepared, signs string
	for _, k := range n.keys() {
		if k.State == signer.Signing && k.Purpose == signer.TokenKey {
			signs = k.ID
		}
		if k.State == signer.Prepared && k.Purpose == signer.TokenKey {
			prepared = k.ID
		}
	}
	if prepared == "" {
		t.Fatalf("no key is prepared: %+v", n.keys())
	}
	if got := n.with(creds).identity(); !strings.HasSuffix(got, "assumed-role/worker/session") {
		t.Errorf("during a rotation the session is %s", got)
	}
	for _, row := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"keys", "remove", "--data-dir", n.dir, prepared}, 2, "--end-its-sessions"},
		{[]string{"keys", "remove", "--data-dir", n.dir, "--end-its-sessions", "nonesuch"}, 1, "key"},
		{[]string{"keys", "rotate", "--data-dir", n.dir, "--purpose", "lunch"}, 1, `no keys for "lunch"`},
		{[]string{"keys", "retire", "--data-dir", n.dir, prepared}, 1, "only a key that signs can be retired"},
		{[]string{"keys", "retire", "--data-dir", n.dir, "nonesuch"}, 1, "no such key"},
		{[]string{"keys", "retire", "--data-dir", n.dir}, 2, "wants 1 argument"},
		{[]string{"keys", "rewrap", "--data-dir", n.dir, "--batch", "0"}, 1, "1 to 1000"},
	} {
		if _, errs, code := run(t, "", row.args...); code != row.code || !strings.Contains(errs, row.want) {
			t.Errorf("%v: exit %d, %s", row.args, code, errs)
		}
	}
	// The one that signs can be named, too: the successor is the one that is prepared.
	if out := must(t, "keys", "retire", "--data-dir", n.dir, signs); !strings.Contains(out, prepared) {
		t.Errorf("the successor of %s is %s, not %s", signs, out, prepared)
	}
	must(t, "keys", "remove", "--data-dir", n.dir, "--end-its-sessions", prepared)
	for _, k := range n.keys() {
		if k.ID == prepared && k.State != signer.Removed {
			t.Errorf("the removed key is %s", k.State)
		}
	}
	for _, want := range []string{`"RotateKey"`, `"RetireKey"`, `"RemoveKey"`, `"preparedKey":"` + prepared + `"`} {
		if !auditHolds(t, n.dir, want) {
			t.Errorf("the audit log does not tell of %s", want)
		}
	}
}
