package apply_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stint-sts/stint/arn"
	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/iam"
	"github.com/stint-sts/stint/iam/apply"
	"github.com/stint-sts/stint/secret"
)

func rootOf(account string) *authn.Caller {
	return &authn.Caller{
		Kind: authn.Root, Account: account, ARN: arn.Root(account), UserID: account, Request: &authn.Request{Service: "iam"},
		Entity: &authn.Entity{Type: authn.AccountEntity, Account: account, ID: account, ARN: arn.Root(account)},
	}
}

var root = rootOf(testAccount)

const base = `
account: "111122223333"
name: base
policies:
  Read:
    document: {Version: 2012-10-17, Statement: {Effect: Allow, Action: s3:Get*, Resource: "*"}}
groups:
  readers: {attached: [Read]}
users:
  alice:
    tags: {team: a}
    groups: [readers]
    inline:
      own: '{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:List*","Resource":"*"}}'
roles:
  worker:
    description: works
    max-session-duration: 2h
    boundary: Read
    attached: [Read, "arn:aws:iam::aws:policy/SecurityAudit"]
    tags: {team: a}
    trust: &trust
      Version: 2012-10-17
      Statement: {Effect: Allow, Principal: {AWS: "arn:aws:iam::111122223333:user/alice"}, Action: sts:AssumeRole}
`

func TestApply_Changes(t *testing.T) {
	t.Parallel()
	read := "arn:aws:iam::111122223333:policy/Read"
	for _, row := range []struct {
		name     string
		old, new string // in base; an empty old appends
		prune    bool
		want     []string
	}{
		{"nothing", "", "", false, nil},
		{"nothing, although pruning", "", "", true, nil},
		{"another document of a policy", "s3:Get*", "s3:GetObject", false, []string{"update policy Read: document"}},
		{"only white space", `"Version":"2012-10-17",`, `"Version": "2012-10-17", `, false, nil},
		{"another attached policy", `"arn:aws:iam::aws:policy/SecurityAudit"`, `"arn:aws:iam::aws:policy/ReadOnlyAccess"`, false, []string{
			"update role worker: detach arn:aws:iam::aws:policy/SecurityAudit; attach arn:aws:iam::aws:policy/ReadOnlyAccess",
		}},
		{"no attached policies", `attached: [Read, "arn:aws:iam::aws:policy/SecurityAudit"]`, "attached: []", false, []string{
			"update role worker: detach " + read + "; detach arn:aws:iam::aws:policy/SecurityAudit",
		}},
		{"attached policies not named", `    attached: [Read, "arn:aws:iam::aws:policy/SecurityAudit"]`, "", false, nil},
		{"an inline policy under another name", "own:", "mine:", false, []string{"update user alice: delete inline policy own; inline policy mine"}},
		{"another inline policy", "s3:List*", "s3:*", false, []string{"update user alice: inline policy own"}},
		{"no groups", "groups: [readers]", "groups: []", false, []string{"update user alice: leave group readers"}},
		{"another value of a tag", "tags: {team: a}\n    groups", "tags: {team: b}\n    groups", false, []string{"update user alice: tag team=b"}},
		{"another tag", "tags: {team: a}\n    groups", "tags: {unit: b}\n    groups", false, []string{"update user alice: untag team; tag unit=b"}},
		{"no boundary", "boundary: Read", `boundary: ""`, false, []string{"update role worker: no boundary"}},
		{"another boundary", "boundary: Read", `boundary: "arn:aws:iam::aws:policy/PowerUserAccess"`, false, []string{
			"update role worker: boundary arn:aws:iam::aws:policy/PowerUserAccess",
		}},
		{"settings of a role", "description: works\n    max-session-duration: 2h", "description: ''\n    max-session-duration: 3600", false, []string{
			"update role worker: description; max-session-duration",
		}},
		{"another trust policy", "Principal: {AWS: \"arn:aws:iam::111122223333:user/alice\"}", "Principal: {AWS: \"111122223333\"}", false, []string{
			"update role worker: trust policy",
		}},
		{"a path of a group", "readers: {", "readers: {path: /x/, ", false, []string{"update group readers: path /x/"}},
		{"two roles that trust each other", "", `
  a: {trust: {Version: 2012-10-17, Statement: {Effect: Allow, Principal: {AWS: "arn:aws:iam::111122223333:role/b"}, Action: sts:AssumeRole}}}
  b: {trust: {Version: 2012-10-17, Statement: {Effect: Allow, Principal: {AWS: "arn:aws:iam::111122223333:role/a"}, Action: sts:AssumeRole}}}
`, false, []string{"create role a", "create role b"}},
		{"an object that is not named any more", base, "account: '111122223333'\nname: base\n", false, nil},
		{"pruned", base, "account: '111122223333'\nname: base\ngroups: {readers: {attached: []}}\n", true, []string{
			"update group readers: detach " + read, "delete role worker", "delete user alice", "delete policy Read",
		}},
		{"pruned by another name", base, "account: '111122223333'\nname: other\n", true, nil},
		{"the account by its name", `account: "111122223333"`, "account: first", false, nil},
		{"another spelling of a name", "  alice:", "  ALICE:", true, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			if got := f.plan(base, apply.Options{}); len(got) != 4 {
				t.Fatalf("first: %q", got)
			}
			text := base + row.new
			if row.old != "" {
				if text = strings.Replace(base, row.old, row.new, 1); text == base {
					t.Fatal("the row changes nothing")
				}
			}
			planned := f.plan(text, apply.Options{DryRun: true, Prune: row.prune})
			if len(f.calls) > 0 {
				t.Errorf("a dry run ran %v", f.calls)
			}
			got := f.plan(text, apply.Options{Prune: row.prune})
			if diff := cmp.Diff(row.want, got); diff != "" && len(row.want)+len(got) > 0 {
				t.Error(diff)
			}
			if diff := cmp.Diff(planned, got); diff != "" {
				t.Errorf("not as planned:\n%s", diff)
			}
			if again := f.plan(text, apply.Options{Prune: row.prune}); len(again) > 0 {
				t.Errorf("again: %q", again)
			}
		})
	}
}

func TestApply_MutualTrustIsOpenedLast(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	got := f.plan(`
account: first
roles:
  a: {trust: {Version: 2012-10-17, Statement: {Effect: Allow, Principal: {AWS: "arn:aws:iam::444455556666:role/b"}, Action: sts:AssumeRole}}}
---
account: second
roles:
  b: {trust: {Version: 2012-10-17, Statement: {Effect: Allow, Principal: {AWS: "arn:aws:iam::111122223333:role/a"}, Action: sts:AssumeRole}}}
`, apply.Options{})
	if len(got) != 2 || !slices.Equal(f.calls, []string{"CreateRole", "CreateRole", "UpdateAssumeRolePolicy"}) {
		t.Fatalf("%q by %q", got, f.calls)
	}
	out, err := f.GetRole(t.Context(), root, &iam.GetRoleInput{RoleName: "a"})
	f.ok(err)
	if !strings.Contains(out.Role.AssumeRolePolicyDocument, "role/b") {
		t.Errorf("trust: %s", out.Role.AssumeRolePolicyDocument)
	}
}

func TestApply_PolicyVersions(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	with := func(action string) string { return strings.Replace(base, "s3:Get*", action, 1) }
	for _, action := range []string{"s3:A", "s3:B", "s3:C", "s3:D", "s3:E"} {
		f.plan(with(action), apply.Options{})
	}
	if got := f.plan(with("s3:F"), apply.Options{}); !slices.Equal(got, []string{"update policy Read: delete version v1; document"}) {
		t.Errorf("sixth version: %q", got)
	}
	if got := f.plan(with("s3:B"), apply.Options{}); !slices.Equal(got, []string{"update policy Read: document: back to version v2"}) {
		t.Errorf("an old document: %q", got)
	}
}

func TestApply_TakesUpAfterAFailure(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.fail = "AttachRolePolicy"
	result := f.apply(base, apply.Options{})
	if want := "role worker in account 111122223333: AttachRolePolicy: the disk is full"; result.Failure != want {
		t.Fatalf("got %q", result.Failure)
	}
	for i, want := range []bool{true, true, true, false} {
		if result.Changes[i].Done != want {
			t.Errorf("%s %s: done is %v", result.Changes[i].Kind, result.Changes[i].Name, !want)
		}
	}
	f.fail = ""
	got := f.plan(base, apply.Options{})
	want := "update role worker: attach arn:aws:iam::111122223333:policy/Read; attach arn:aws:iam::aws:policy/SecurityAudit"
	if !slices.Equal(got, []string{want}) {
		t.Errorf("then: %q", got)
	}
}

// TestApply_PrunesOnlyItsOwn: what others made is never deleted, not even after a document has named it.
func TestApply_PrunesOnlyItsOwn(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	_, err := f.CreateUser(t.Context(), root, &iam.CreateUserInput{UserName: "alice"})
	f.ok(err)
	f.plan(base, apply.Options{})
	got := f.plan("account: first\nname: base\ngroups: {readers: {attached: []}}", apply.Options{Prune: true})
	if !slices.Equal(got[1:], []string{"delete role worker", "delete policy Read"}) {
		t.Errorf("pruned %q", got)
	}
	_, err = f.GetUser(t.Context(), root, &iam.GetUserInput{UserName: "alice"})
	f.ok(err)
}

func TestApply_PrunesNoUserWhoCanSignIn(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.plan(base, apply.Options{})
	_, err := f.CreateLoginProfile(t.Context(), root, &iam.CreateLoginProfileInput{UserName: "alice", Password: secret.New("Correct Horse 7")})
	f.ok(err)
	const without = "account: first\nname: base\ngroups: {readers: {}}"
	result := f.apply(without, apply.Options{Prune: true})
	const want = "d.yaml:1: user alice is to be deleted, but still has a password: delete its login profile first"
	if len(result.Faults) != 1 || result.Faults.Error() != want || len(f.calls) > 0 {
		t.Errorf("faults %v, calls %v", result.Faults, f.calls)
	}
	f.ok(f.DeleteLoginProfile(t.Context(), root, &iam.DeleteLoginProfileInput{UserName: "alice"}))
	if result := f.apply(without, apply.Options{Prune: true, DryRun: true}); len(result.Faults) > 0 {
		t.Errorf("without a password: %v", result.Faults)
	}
}

func TestApply_Faults(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, text string
		prune      bool
		want       string
	}{
		{"no such account", "account: third", false, `d.yaml:1: there is no account third`},
		{"the account is left open", "name: x", false, "d.yaml:1: there are 2 accounts"},
		{"pruning without a name", "account: first", true, "d.yaml:1: --prune needs the document's name"},
		{"another document's object", "account: first\nname: other\nroles:\n  worker: {}", false, `d.yaml:4: role worker belongs to the document "base"`},
		{"one account under two names", "account: first\nusers: {u: {}}\n---\naccount: '111122223333'\nusers:\n  u: {}", false, "d.yaml:6: user u is there already, at d.yaml:2"},
		{"an unknown policy", "account: first\nusers:\n  u:\n    attached: [Nothing]", false, "d.yaml:4: there is no policy Nothing"},
		{"an unknown ARN", "account: first\nusers:\n  u:\n    attached:\n    - arn:aws:iam::aws:policy/Nothing", false, "d.yaml:5: Policy arn:aws:iam::aws:policy/Nothing was not found."},
		{"an unknown boundary", "account: first\nusers:\n  u:\n    boundary: Nothing", false, "d.yaml:4: there is no policy Nothing"},
		{"an unknown group", "account: first\nusers:\n  u:\n    groups: [nobody]", false, "d.yaml:4: there is no group nobody"},
		{"an unknown principal", "account: first\nname: base\nroles:\n  worker:\n    trust: {Version: 2012-10-17, Statement: {Effect: Allow, Principal: {AWS: \"arn:aws:iam::111122223333:role/none\"}, Action: sts:AssumeRole}}", false,
			"d.yaml:5: the trust policy names arn:aws:iam::111122223333:role/none"},
		{"a new role without trust", "account: first\nroles:\n  r: {}", false, "d.yaml:3: role r has no trust policy"},
		{"another path of a role", "account: first\nname: base\nroles:\n  worker: {path: /x/}", false, "d.yaml:4: role worker has the path /, which IAM cannot change"},
		{"a user with a key is pruned", "account: first\nname: base\ngroups: {readers: {}}", true, "d.yaml:1: user alice is to be deleted, but still has 1 access key(s)"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.plan(base, apply.Options{})
			_, err := f.CreateAccessKey(t.Context(), root, &iam.CreateAccessKeyInput{UserName: "alice"})
			f.ok(err)
			result := f.apply(row.text, apply.Options{Prune: row.prune})
			if len(result.Faults) != 1 || !strings.HasPrefix(result.Faults.Error(), row.want) {
				t.Errorf("got %v", result.Faults)
			}
			if len(f.calls) > 0 {
				t.Errorf("ran %v", f.calls)
			}
		})
	}
}
