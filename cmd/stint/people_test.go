package main_test

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// person runs a stint command with the credentials of the first run.
func (n *node) person(stdin string, args ...string) (stdout, stderr string, err error) {
	n.t.Helper()
	c := stint(n.t.Context(), args...)
	c.Env = environment("AWS_SHARED_CREDENTIALS_FILE="+filepath.Join(n.dir, "bootstrap", "credentials"), "AWS_PROFILE=root",
		"AWS_CONFIG_FILE=/dev/null", "AWS_ENDPOINT_URL="+n.url)
	var out, errs bytes.Buffer
	c.Stdin, c.Stdout, c.Stderr = strings.NewReader(stdin), &out, &errs
	err = c.Run()
	return out.String(), errs.String(), err
}

func TestWhoamiAndAssume(t *testing.T) {
	t.Parallel()
	n := start(t, filepath.Join(t.TempDir(), "data"), "--account-id", "111122223333")
	out, errs, err := n.person("", "whoami")
	if err != nil || !strings.Contains(out, "arn:aws:iam::111122223333:root") {
		t.Fatalf("whoami: %v\n%s%s", err, out, errs)
	}
	root := n.root()
	alice := root.user(n, "alice", "")
	key, err := alice.sts.Options().Credentials.Retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	role := root.role("worker", trustFor("arn:aws:iam::111122223333:user/alice"))
	as := func(stdin string, args ...string) (string, string, error) {
		c := stint(t.Context(), append([]string{"assume"}, args...)...)
		c.Env = environment("AWS_ACCESS_KEY_ID="+key.AccessKeyID, "AWS_SECRET_ACCESS_KEY="+key.SecretAccessKey, "AWS_CONFIG_FILE=/dev/null",
			"AWS_SHARED_CREDENTIALS_FILE=/dev/null")
		var out, errs bytes.Buffer
		c.Stdin, c.Stdout, c.Stderr = strings.NewReader(stdin), &out, &errs
		err := c.Run()
		return out.String(), errs.String(), err
	}

	out, errs, err = as("", role, "--endpoint-url", n.url, "--session-name", "monday", "--duration", "30m", "--source-identity", "alice")
	if err != nil {
		t.Fatalf("assume: %v\n%s", err, errs)
	}
	shell := exec.CommandContext(t.Context(), "bash", "-c", `eval "$(cat)" && "$0" whoami --endpoint-url "$1"`, binary, n.url)
	shell.Stdin, shell.Env = strings.NewReader(out), environment("AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null")
	if who, err := shell.CombinedOutput(); err != nil || !strings.Contains(string(who), "assumed-role/worker/monday") {
		t.Errorf("what it exports does not work: %v\n%s", err, who)
	}

	var process struct {
		Version      int
		AccessKeyId  string
		SessionToken string
		Expiration   string
	}
	out, errs, err = as("", "--endpoint-url", n.url, "--output", "credential-process", role)
	if err != nil || json.Unmarshal([]byte(out), &process) != nil || process.Version != 1 || process.SessionToken == "" || process.Expiration == "" {
		t.Errorf("credential-process: %v\n%s%s", err, out, errs)
	}
	out, _, err = as("", "--endpoint-url", n.url, "--output", "profile", "--as", "work", role)
	if err != nil || !strings.HasPrefix(out, "[work]\naws_access_key_id = ASIA") {
		t.Errorf("profile: %v\n%s", err, out)
	}

	for name, row := range map[string]struct {
		stdin string
		args  []string
		want  string
	}{
		"refused":        {args: []string{strings.Replace(role, "worker", "other", 1)}, want: "AccessDenied: User: arn:aws:iam::111122223333:user/alice is not authorized"},
		"unknown device": {stdin: "123456\n", args: []string{role, "--mfa-serial", "arn:aws:iam::111122223333:mfa/none"}, want: "MFA code for arn:aws:iam::111122223333:mfa/none: "},
		"no code":        {args: []string{role, "--mfa-serial", "arn:aws:iam::111122223333:mfa/none"}, want: "no MFA code"},
		"unknown output": {args: []string{role, "--output", "xml"}, want: "must be env, json"},
		"too many":       {args: []string{role, role}, want: "wants 1 argument(s), got 2"},
		"nobody answers": {args: []string{role, "--endpoint-url", "http://127.0.0.1:1"}, want: "connection refused"},
	} {
		args := row.args
		if !strings.Contains(strings.Join(args, " "), "--endpoint-url") {
			args = append(args, "--endpoint-url", n.url)
		}
		out, errs, err := as(row.stdin, args...)
		if err == nil || out != "" || !strings.Contains(errs, row.want) {
			t.Errorf("%s: %v, want %q\n%s%s", name, err, row.want, out, errs)
		}
	}
}
