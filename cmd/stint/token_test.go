package main_test

import (
	"path/filepath"
	"strings"
	"testing"
)

// An operator reads a session token from standard input and is told what it says, and whether it is genuine.
func TestTokenInspect(t *testing.T) {
	t.Parallel()
	n := start(t, filepath.Join(t.TempDir(), "data"), "--account-id", "111122223333")
	root := n.root()
	alice := root.user(n, "alice", "")
	creds := alice.mustAssume(root.role("worker", trustFor("arn:aws:iam::111122223333:user/alice")), nil)
	token := *creds.SessionToken
	for _, args := range [][]string{{"token", "inspect", "--data-dir", n.dir}, {"token", "inspect", "--unverified"}} {
		out, errs, code := run(t, token+"\n", args...)
		if code != 0 || !strings.Contains(out, "arn:aws:sts::111122223333:assumed-role/worker/session") || !strings.Contains(out, *creds.AccessKeyId) {
			t.Errorf("%v: exit %d\n%s%s", args, code, out, errs)
		}
		if strings.Contains(out, *creds.SecretAccessKey) || strings.Contains(out, token[len(token)-20:]) {
			t.Errorf("%v shows a secret or the signature:\n%s", args, out)
		}
	}
	changed := token[:len(token)-12] + flip(token[len(token)-12]) + token[len(token)-11:]
	out, errs, code := run(t, changed, "token", "inspect", "--data-dir", n.dir)
	if genuine, _, _ := run(t, token, "token", "inspect", "--data-dir", n.dir); code == 0 && out == genuine {
		t.Errorf("a changed token reads like the genuine one:\n%s%s", out, errs)
	}
	if strings.Contains(out+errs, changed) {
		t.Error("the token is repeated")
	}
	_, errs, code = run(t, "nonsense", "token", "inspect", "--data-dir", n.dir)
	if code != 1 || strings.Contains(errs, "nonsense") {
		t.Errorf("nonsense: exit %d, %s", code, errs)
	}
}

func flip(c byte) string {
	if c == 'A' {
		return "B"
	}
	return "A"
}
