package main_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// applyExample starts a stint with the account of the example file, and returns its root and the example's text.
func applyExample(t *testing.T) (n *node, root *client, example string) {
	t.Helper()
	n = start(t, filepath.Join(t.TempDir(), "data"))
	var account struct {
		ID     string `json:"access_key_id"`
		Secret string `json:"secret_access_key"`
	}
	out := must(t, "account", "create", "--data-dir", n.dir, "--id", "111122223333", "--output", "json")
	if err := json.Unmarshal([]byte(out), &account); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join("..", "..", "deploy", "directory.example.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return n, n.client(account.ID, account.Secret, ""), string(text)
}

func TestApply(t *testing.T) {
	t.Parallel()
	n, root, example := applyExample(t)
	ctx := context.Background()
	apply := func(text string, args ...string) (stdout, stderr string) {
		t.Helper()
		file := filepath.Join(inputs(t, "d.yaml", text), "d.yaml")
		stdout, stderr, code := run(t, "", append([]string{"apply", "--data-dir", n.dir, file}, args...)...)
		if code != 0 {
			t.Fatalf("exit %d\n%s%s", code, stdout, stderr)
		}
		return stdout, stderr
	}
	const all = `+ policy ReadReports
+ policy Limit
+ group auditors: attach arn:aws:iam::111122223333:policy/ReadReports
+ user alice: inline policy assume; join group auditors
+ role auditor: attach arn:aws:iam::111122223333:policy/ReadReports; attach arn:aws:iam::aws:policy/SecurityAudit
`
	if out, errs := apply(example, "--dry-run"); out != all || errs != "To create 5, to update 0, to delete 0.\n" {
		t.Fatalf("dry run:\n%s%s", out, errs)
	}
	if out, errs := apply(example); out != all || errs != "Created 5, updated 0, deleted 0.\n" {
		t.Fatalf("a dry run changed something, or the first apply not all:\n%s%s", out, errs)
	}
	if out, errs := apply(example, "--prune"); out != "" || errs != "Nothing to do.\n" {
		t.Fatalf("second apply:\n%s%s", out, errs)
	}

	// What was applied works for an unmodified SDK, and follows the file at once.
	key, err := root.iam.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: aws.String("alice")})
	if err != nil {
		t.Fatal(err)
	}
	alice := n.client(*key.AccessKey.AccessKeyId, *key.AccessKey.SecretAccessKey, "")
	const role = "arn:aws:iam::111122223333:role/auditor"
	fourHours := func(in *sts.AssumeRoleInput) { in.DurationSeconds = aws.Int32(4 * 3600) }
	session := n.with(alice.mustAssume(role, fourHours))
	if got := session.identity(); got != "arn:aws:sts::111122223333:assumed-role/auditor/session" {
		t.Errorf("assumed %s", got)
	}
	closed := strings.Replace(example, "user/people/alice", "root", 1)
	closed = strings.Replace(closed, "sts:AssumeRole\n            Resource", "sts:TagSession\n            Resource", 1)
	if out, _ := apply(closed); out != "~ user alice: inline policy assume\n~ role auditor: trust policy\n" {
		t.Errorf("change: %s", out)
	}
	if _, err := alice.assume(role, nil); err == nil {
		t.Error("alice still assumes the role")
	}

	// A role that leaves the file goes with --prune, and not without it.
	less, _, _ := strings.Cut(closed, "roles:")
	if out, errs := apply(less); out != "" || errs != "Nothing to do.\n" {
		t.Errorf("without --prune: %s%s", out, errs)
	}
	if out, _ := apply(less, "--prune"); out != "- role auditor\n" {
		t.Errorf("with --prune: %s", out)
	}
	if _, err := root.iam.GetRole(ctx, &iam.GetRoleInput{RoleName: aws.String("auditor")}); err == nil {
		t.Error("the role is there after --prune")
	}
	checkApplyAudit(t, n)
}

// checkApplyAudit: each change is an event of the account's root user, and nothing that only reads is.
func checkApplyAudit(t *testing.T, n *node) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(n.dir, "audit", "*"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("audit files: %v %v", paths, err)
	}
	counts := make(map[string]int)
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			var event struct {
				EventName, UserAgent, RequestID string
				UserIdentity                    struct{ Type, AccountID string }
			}
			if err := json.Unmarshal([]byte(line), &event); err != nil {
				t.Fatal(err)
			}
			if event.UserAgent != "stint-apply/v0-test" {
				continue
			}
			if counts[event.EventName]++; event.UserIdentity.Type != "Root" || event.UserIdentity.AccountID != "111122223333" {
				t.Errorf("%s", line)
			}
			if event.EventName == "DeleteRole" {
				if out := must(t, "explain", "--data-dir", n.dir, event.RequestID); !strings.Contains(out, "DeleteRole") {
					t.Errorf("explain: %s", out)
				}
			}
		}
	}
	for name, want := range map[string]int{
		"CreatePolicy": 2, "CreateGroup": 1, "CreateUser": 1, "CreateRole": 1, "UpdateAssumeRolePolicy": 1, "DeleteRole": 1, "GetRole": 0,
	} {
		if counts[name] != want {
			t.Errorf("%d events of %s, want %d", counts[name], name, want)
		}
	}
}

func TestApply_Output(t *testing.T) {
	t.Parallel()
	n, _, example := applyExample(t)
	file := filepath.Join(inputs(t, "d.yaml", example), "d.yaml")
	var result struct {
		DryRun  bool `json:"dry_run"`
		Changes []struct {
			Action, Account, Kind, Name string
			Details                     []string
			Done                        bool
		}
		Findings []any
	}
	for _, dry := range []bool{true, false} {
		args := []string{"apply", "--data-dir", n.dir, "--output", "json", file}
		if dry {
			args = append(args, "--dry-run")
		}
		out := must(t, args...)
		if err := json.Unmarshal([]byte(out), &result); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		last := result.Changes[len(result.Changes)-1]
		if result.DryRun != dry || last.Action != "create" || last.Account != "111122223333" || last.Name != "auditor" || last.Done == dry {
			t.Errorf("%+v", result)
		}
	}
}

const openRole = `
account: "111122223333"
roles:
  open:
    trust:
      Version: 2012-10-17
      Statement: {Effect: Allow, Principal: "*", Action: sts:AssumeRole}
`

func TestApply_Refuses(t *testing.T) {
	t.Parallel()
	n, root, _ := applyExample(t)
	dir := inputs(t, "open.yaml", openRole, "faulty.yaml", "users:\n  a: {key: x}\nroles:\n  b: {trust: {file: ../secret.json}}\n",
		"missing.yaml", "account: '111122223333'\nusers:\n  a: {groups: [none]}\n")
	for _, row := range []struct {
		name string
		args []string
		code int
		want []string // on standard error
	}{
		{"no file", nil, 2, []string{"name at least one file"}},
		{"a file that is not there", []string{"none.yaml"}, 2, []string{"no such file"}},
		{"an unknown severity", []string{"open.yaml", "--fail-on", "bad"}, 2, []string{"--fail-on bad: it is note, warning, error or never"}},
		{"all faults of two files", []string{"faulty.yaml", "missing.yaml"}, 1, []string{
			`faulty.yaml:2: user a: unknown key "key"`, "faulty.yaml:4: file ../secret.json: ", "2 fault(s); nothing was changed",
		}},
		{"a fault that only the directory tells", []string{"missing.yaml"}, 1, []string{"missing.yaml:3: there is no group none"}},
		{"a finding", []string{"open.yaml", "--fail-on", "warning"}, 1, []string{
			"open.yaml:7:", "role open: trust policy", "finding(s) of severity warning or worse; nothing was changed",
		}},
	} {
		args := []string{"apply", "--data-dir", n.dir}
		for _, arg := range row.args {
			if strings.HasSuffix(arg, ".yaml") {
				arg = filepath.Join(dir, arg)
			}
			args = append(args, arg)
		}
		_, errs, code := run(t, "", args...)
		if code != row.code {
			t.Errorf("%s: exit %d", row.name, code)
		}
		for _, want := range row.want {
			if !strings.Contains(errs, want) {
				t.Errorf("%s: no %q in\n%s", row.name, want, errs)
			}
		}
	}
	out, _, code := run(t, openRole, "apply", "--data-dir", n.dir, "--output", "json", "--fail-on", "note", "-")
	if code != 1 || !strings.Contains(out, `"object": "role open: trust policy"`) || !strings.Contains(out, `"changes": []`) {
		t.Errorf("a finding in JSON: exit %d\n%s", code, out)
	}
	roles, err := root.iam.ListRoles(context.Background(), &iam.ListRolesInput{})
	if err != nil || len(roles.Roles) > 0 {
		t.Errorf("something was made: %v %v", roles, err)
	}
	// The positive twin: a warning only, from standard input.
	out, errs, code := run(t, openRole, "apply", "--data-dir", n.dir, "-")
	if code != 0 || out != "+ role open\n" || !strings.Contains(errs, "standard input:7:") {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
}

// TestApply_Offline: without a server, apply opens the data directory itself.
func TestApply_Offline(t *testing.T) {
	t.Parallel()
	n, _, example := applyExample(t)
	n.stop()
	file := filepath.Join(inputs(t, "d.yaml", example), "d.yaml")
	if out := must(t, "apply", "--data-dir", n.dir, file); strings.Count(out, "+ ") != 5 {
		t.Errorf("first: %s", out)
	}
	if out := must(t, "apply", "--data-dir", n.dir, file); out != "" {
		t.Errorf("second: %s", out)
	}
}
