package main_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	"github.com/stint-sts/stint/iam/store/pgtest"
)

// A back-up of a node that runs, restored beside the master key: all that was there before is there, and sessions that were made
// before stay valid.
func TestBackup_Restore(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	dir := t.TempDir()
	n := start(t, filepath.Join(dir, "data"), "--account-id", "111122223333")
	root := n.root()
	alice := root.user(n, "alice", "")
	role := root.role("worker", trustFor("arn:aws:iam::111122223333:user/alice"))
	until(t, "alice may assume", func() bool { _, err := alice.assume(role, nil); return err == nil })
	before := alice.mustAssume(role, nil)

	file := filepath.Join(dir, "directory.backup")
	must(t, "backup", "--data-dir", n.dir, file)
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("the back-up is %v, %v", info, err)
	}
	if _, stderr, code := run(t, "", "backup", "--data-dir", n.dir, file); code != 1 || !strings.Contains(stderr, "exists") {
		t.Errorf("a back-up over another: exit %d, %s", code, stderr)
	}
	piped := must(t, "backup", "--data-dir", n.dir, "-")
	if !strings.HasPrefix(piped, "SQLite format 3\x00") {
		t.Errorf("the back-up on standard output begins with %q", piped[:min(16, len(piped))])
	}
	leftOver, err := filepath.Glob(filepath.Join(n.dir, ".backup-*"))
	if err != nil || len(leftOver) != 0 {
		t.Errorf("left in the data directory: %v, %v", leftOver, err)
	}
	_, err = root.iam.CreateUser(ctx, &iam.CreateUserInput{UserName: aws.String("bob")})
	root.must(nil, err)
	n.stop()

	// What cannot be restored leaves nothing behind.
	key := "file:" + filepath.Join(n.dir, "master.key")
	wrong := filepath.Join(dir, "wrong.key")
	write(t, wrong, "c3RpbnQgdGVzdCBtYXN0ZXIga2V5IDMyIGJ5dGVzISE=\n")
	damaged := filepath.Join(dir, "damaged")
	write(t, damaged, piped[:len(piped)/2])
	restored := filepath.Join(dir, "restored")
	for _, row := range []struct {
		name, says string
		args       []string
	}{
		{"no master key", "--master-key", []string{"--data-dir", restored, file}},
		{"another master key", "not the one that the back-up was made with", []string{"--data-dir", restored, "--master-key", "file:" + wrong, file}},
		{"half a back-up", "damaged", []string{"--data-dir", restored, "--master-key", key, damaged}},
		{"no back-up", "", []string{"--data-dir", restored, "--master-key", key, wrong}},
		{"over an installation", "holds an installation", []string{"--data-dir", n.dir, "--master-key", key, file}},
	} {
		if _, stderr, code := run(t, "", append([]string{"restore"}, row.args...)...); code != 1 || !strings.Contains(stderr, row.says) {
			t.Errorf("%s: exit %d, %s", row.name, code, stderr)
		}
		if left, _ := os.ReadDir(restored); len(left) != 0 {
			t.Errorf("%s: left behind %v", row.name, left)
		}
	}

	must(t, "restore", "--data-dir", restored, "--master-key", key, file)
	again := start(t, restored, "--master-key", key)
	if got := again.with(before).identity(); !strings.HasSuffix(got, "assumed-role/worker/session") {
		t.Errorf("a session from before the back-up is %s", got)
	}
	alice.at(again).mustAssume(role, nil)
	root = root.at(again)
	_, err = root.iam.GetUser(ctx, &iam.GetUserInput{UserName: aws.String("bob")})
	wantCode(t, err, "NoSuchEntity", "")
	if strings.Contains(again.output.String(), "aws_secret_access_key") {
		t.Error("the restored node made a root access key")
	}
}

// The directory in PostgreSQL is the database's to back up, and says so; a dump restores it.
func TestBackup_Postgres(t *testing.T) {
	t.Parallel()
	need(t, "pg_dump", "psql")
	url := pgtest.Database(t)
	n := cluster(t, 1, withPassword(t, url)...)[0]
	root := n.root()
	alice := root.user(n, "alice", "")
	role := root.role("worker", trustFor("arn:aws:iam::111122223333:user/alice"))
	until(t, "alice may assume", func() bool { _, err := alice.assume(role, nil); return err == nil })
	before := alice.mustAssume(role, nil)
	if _, stderr, code := run(t, "", "backup", "--data-dir", n.dir, filepath.Join(t.TempDir(), "x")); code != 1 || !strings.Contains(stderr, "pg_dump") {
		t.Errorf("exit %d, %s", code, stderr)
	}
	dump := filepath.Join(t.TempDir(), "dump.sql")
	shell(t, "pg_dump", "--no-owner", "--file", dump, url)
	_, err := root.iam.CreateUser(context.Background(), &iam.CreateUserInput{UserName: aws.String("bob")})
	root.must(nil, err)

	other := pgtest.Database(t)
	shell(t, "psql", "--quiet", "--set", "ON_ERROR_STOP=1", "--file", dump, other)
	again := start(t, filepath.Join(t.TempDir(), "data"), append(withPassword(t, other), "--master-key", masterKeyOf(n))...)
	if got := again.with(before).identity(); !strings.HasSuffix(got, "assumed-role/worker/session") {
		t.Errorf("a session from before the dump is %s", got)
	}
	_, err = root.at(again).iam.GetUser(context.Background(), &iam.GetUserInput{UserName: aws.String("bob")})
	wantCode(t, err, "NoSuchEntity", "")
}

// masterKeyOf is the setting that the node was started with.
func masterKeyOf(n *node) string {
	args := n.command.Args
	return args[slices.Index(args, "--master-key")+1]
}

// shell runs a program of another.
func shell(t *testing.T, program string, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), program, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", program, err, out)
	}
}

func TestHealth(t *testing.T) {
	t.Parallel()
	n := start(t, filepath.Join(t.TempDir(), "data"))
	ops := strings.TrimPrefix(n.ops, "http://")
	for _, args := range [][]string{{}, {"--live"}} {
		if out := must(t, append([]string{"health", "--listen-ops", ops}, args...)...); out != "ok\n" {
			t.Errorf("health %v: %q", args, out)
		}
	}
	_, port, _ := strings.Cut(ops, ":")
	must(t, "health", "--insecure-http", "--listen-ops", "0.0.0.0:"+port)
	n.stop()
	if _, stderr, code := run(t, "", "health", "--listen-ops", ops); code != 1 || !strings.Contains(stderr, "does not answer") {
		t.Errorf("of a server that is gone: exit %d, %s", code, stderr)
	}
}
