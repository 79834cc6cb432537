package main_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stint-sts/stint/iam/store/pgtest"
)

// An installation moves to PostgreSQL and back with everything that it knows: keys, sessions in flight, secrets.
func TestMigrate(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	n := start(t, dir, "--account-id", "111122223333")
	alice := n.root().user(n, "alice", "")
	role := n.root().role("worker", trustFor("arn:aws:iam::111122223333:user/alice"))
	creds := alice.mustAssume(role, nil)
	url := pgtest.Database(t)
	password := filepath.Join(t.TempDir(), "password")
	write(t, password, "pgtest-password\n")
	public := strings.Replace(url, ":pgtest-password", "", 1)
	toPostgres := []string{"migrate", "--from", dir, "--to", public, "--to-password-file", password}
	if _, errs, code := run(t, "", toPostgres...); code != 1 || !strings.Contains(errs, "in use") {
		t.Errorf("from under a running server: exit %d, %s", code, errs)
	}
	n.stop()

	other := filepath.Join(t.TempDir(), "other.key")
	write(t, other, "YW5vdGhlciB0ZXN0IG1hc3RlciBrZXkgMzIgYnl0ZXM=\n")
	for name, row := range map[string]struct {
		args []string
		code int
		want string
	}{
		"another master key":             {append(toPostgres, "--master-key", "file:"+other), 1, "the master key is not the one"},
		"a password on the command line": {[]string{"migrate", "--from", dir, "--to", url}, 2, "--to-password-file"},
		"no target":                      {[]string{"migrate", "--from", dir}, 2, "--to is missing"},
		"a source that is not there":     {[]string{"migrate", "--from", dir + "x", "--to", public, "--to-password-file", password}, 1, "no data directory"},
	} {
		if _, errs, code := run(t, "", row.args...); code != row.code || !strings.Contains(errs, row.want) {
			t.Errorf("%s: exit %d, %s", name, code, errs)
		}
	}
	out := must(t, toPostgres...)
	for _, want := range []string{"2 access-key", "1 role", "1 key-ring", "3 sealed values"} {
		if !strings.Contains(out, want) {
			t.Errorf("migrate does not say %q:\n%s", want, out)
		}
	}
	if _, errs, code := run(t, "", toPostgres...); code != 1 || !strings.Contains(errs, "not empty") {
		t.Errorf("to a database that is in use: exit %d, %s", code, errs)
	}

	key := "file:" + filepath.Join(dir, "master.key")
	onPostgres := start(t, filepath.Join(t.TempDir(), "node"), append(withPassword(t, url), "--master-key", key)...)
	if out := onPostgres.output.String(); strings.Contains(out, "aws_secret_access_key") {
		t.Errorf("the new server made another root key:\n%s", out)
	}
	again := alice.at(onPostgres).mustAssume(role, nil)
	if got := onPostgres.with(creds).identity(); !strings.HasSuffix(got, "assumed-role/worker/session") {
		t.Errorf("the session from before is %s", got)
	}
	onPostgres.stop()

	back := filepath.Join(t.TempDir(), "back")
	must(t, "migrate", "--from", public, "--from-password-file", password, "--to", back, "--master-key", key)
	onSQLite := start(t, back, "--master-key", key)
	if out := onSQLite.output.String(); strings.Contains(out, "aws_secret_access_key") {
		t.Errorf("back on SQLite, the server made another root key:\n%s", out)
	}
	alice.at(onSQLite).mustAssume(role, nil)
	if got := onSQLite.with(again).identity(); !strings.HasSuffix(got, "assumed-role/worker/session") {
		t.Errorf("back on SQLite, the session is %s", got)
	}
}
