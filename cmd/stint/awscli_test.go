package main_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
)

// cli is the aws CLI (version 1 or 2, whichever is there) with a home of its own.
type cli struct {
	t    *testing.T
	node *node
	home string
}

// newCLI writes the profiles: root, alice with her own key, and what is in config beside them.
func newCLI(t *testing.T, n *node, config string, keys map[string]*client) *cli {
	t.Helper()
	c := &cli{t: t, node: n, home: t.TempDir()}
	if err := os.Mkdir(filepath.Join(c.home, ".aws"), 0o700); err != nil {
		t.Fatal(err)
	}
	var credentials strings.Builder
	for profile, key := range keys {
		k := key.credentials()
		_, _ = fmt.Fprintf(&credentials, "[%s]\naws_access_key_id = %s\naws_secret_access_key = %s\n", profile, k.AccessKeyID, k.SecretAccessKey.Reveal())
	}
	write(t, filepath.Join(c.home, ".aws", "credentials"), credentials.String())
	write(t, filepath.Join(c.home, ".aws", "config"), config)
	return c
}

// run runs the CLI as a profile and returns what it prints and whether it worked.
func (c *cli) run(profile string, args ...string) (stdout, stderr string, ok bool) {
	c.t.Helper()
	command := exec.CommandContext(c.t.Context(), "aws", append([]string{"--profile", profile, "--output", "json", "--endpoint-url", c.node.url}, args...)...)
	command.Env = append(environment(
		"AWS_ENDPOINT_URL="+c.node.url, "AWS_PAGER=", "AWS_DEFAULT_REGION=eu-west-1", "AWS_EC2_METADATA_DISABLED=true", "AWS_MAX_ATTEMPTS=2",
		"AWS_SHARED_CREDENTIALS_FILE="+filepath.Join(c.home, ".aws", "credentials"), "AWS_CONFIG_FILE="+filepath.Join(c.home, ".aws", "config"),
	), "HOME="+c.home)
	if pyenv, set := os.LookupEnv("PYENV_ROOT"); !set {
		if home, err := os.UserHomeDir(); err == nil {
			command.Env = append(command.Env, "PYENV_ROOT="+filepath.Join(home, ".pyenv")) // a CLI that pyenv runs looks below HOME
		}
	} else {
		command.Env = append(command.Env, "PYENV_ROOT="+pyenv)
	}
	var out, errs strings.Builder
	command.Stdout, command.Stderr = &out, &errs
	err := command.Run()
	if _, exited := err.(*exec.ExitError); err != nil && !exited {
		c.t.Fatal(err)
	}
	return out.String(), errs.String(), err == nil
}

// must runs a command that works and decodes what it prints.
func (c *cli) must(profile string, into any, args ...string) {
	c.t.Helper()
	stdout, stderr, ok := c.run(profile, args...)
	if !ok {
		c.t.Fatalf("aws %s: %s", strings.Join(args, " "), stderr)
	}
	if into == nil {
		return
	}
	if err := json.Unmarshal([]byte(stdout), into); err != nil {
		c.t.Fatalf("aws %s: %v\n%s", strings.Join(args, " "), err, stdout)
	}
}

// knowsEndpoint reports whether the CLI honours AWS_ENDPOINT_URL, also when it assumes a profile's role. Debian 12's does not.
func knowsEndpoint(t *testing.T) bool {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "aws", "--version").CombinedOutput()
	var major, minor int
	if _, scanned := fmt.Sscanf(string(out), "aws-cli/%d.%d.", &major, &minor); err != nil || scanned != nil {
		t.Fatalf("aws --version: %v\n%s", err, out)
	}
	return major == 1 && minor >= 29 || major == 2 && minor >= 13 || major > 2
}

// The aws CLI as a user has it: profiles that assume roles one through the other, pages, policies as documents, errors.
func TestAWSCLI(t *testing.T) {
	t.Parallel()
	needAWS(t)
	n := start(t, filepath.Join(t.TempDir(), "data"), "--account-id", "111122223333")
	root := n.root()
	alice := root.user(n, "alice", "")
	first := root.role("first", trustFor("arn:aws:iam::111122223333:user/alice"))
	second := root.role("second", trustFor(first))
	ctx := t.Context()
	for _, r := range []string{"first", "second"} {
		root.must(root.iam.AttachRolePolicy(ctx, &iam.AttachRolePolicyInput{RoleName: &r, PolicyArn: aws.String("arn:aws:iam::aws:policy/IAMReadOnlyAccess")}))
	}
	for i := range 7 {
		root.must(root.iam.CreateUser(ctx, &iam.CreateUserInput{UserName: aws.String(fmt.Sprintf("user-%d", i))}))
	}
	c := newCLI(t, n, fmt.Sprintf("[profile first]\nrole_arn = %s\nsource_profile = alice\nrole_session_name = one\n"+
		"[profile second]\nrole_arn = %s\nsource_profile = first\nrole_session_name = two\n", first, second),
		map[string]*client{"root": root, "alice": alice})

	t.Run("a chain of profiles, and its cache", func(t *testing.T) {
		if !knowsEndpoint(t) {
			// It would ask AWS itself for the roles' credentials.
			t.Skip("SKIPPED: this aws CLI is older than AWS_ENDPOINT_URL (version 1.29 or 2.13, mid-2023)")
		}
		var who struct{ Arn, Account, UserId string }
		c.must("first", &who, "sts", "get-caller-identity")
		if who.Arn != "arn:aws:sts::111122223333:assumed-role/first/one" {
			t.Errorf("first is %+v", who)
		}
		for range 2 {
			c.must("second", &who, "sts", "get-caller-identity")
			if who.Arn != "arn:aws:sts::111122223333:assumed-role/second/two" || !strings.HasSuffix(who.UserId, ":two") {
				t.Errorf("second is %+v", who)
			}
		}
		// The CLI keeps the sessions: the second call of second made none.
		cached, err := filepath.Glob(filepath.Join(c.home, ".aws", "cli", "cache", "*.json"))
		if err != nil || len(cached) < 2 {
			t.Errorf("%d cached sessions, %v", len(cached), err)
		}
		sessions := must(t, "session", "list", "--data-dir", n.dir, "--account", "111122223333", "--output", "json")
		if one, two := strings.Count(sessions, `assumed-role/first/one"`), strings.Count(sessions, `assumed-role/second/two"`); one == 0 || two != 1 {
			t.Errorf("%d sessions of first, %d of second:\n%s", one, two, sessions)
		}
	})
	t.Run("pages", func(t *testing.T) {
		var page struct {
			Users     []struct{ UserName string }
			NextToken string
		}
		c.must("root", &page, "iam", "list-users", "--max-items", "3", "--page-size", "2")
		if len(page.Users) != 3 || page.NextToken == "" {
			t.Fatalf("the first page is %+v", page)
		}
		seen := len(page.Users)
		for page.NextToken != "" {
			token := page.NextToken
			page.NextToken, page.Users = "", nil
			c.must("root", &page, "iam", "list-users", "--max-items", "3", "--page-size", "2", "--starting-token", token)
			seen += len(page.Users)
		}
		if seen != 8 {
			t.Errorf("%d users in pages, want 8", seen)
		}
		c.must("root", &page, "iam", "list-users", "--page-size", "1")
		if len(page.Users) != 8 {
			t.Errorf("%d users in one go, want 8", len(page.Users))
		}
	})
	t.Run("policies are documents", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "policy.json")
		write(t, file, `{"Version":"2012-10-17","Statement":[{"Sid":"Umlaut","Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/ä+%20 x"}]}`)
		var created struct{ Policy struct{ Arn string } }
		c.must("root", &created, "iam", "create-policy", "--policy-name", "docs", "--policy-document", "file://"+file)
		var version struct {
			PolicyVersion struct {
				Document struct {
					Statement []struct{ Sid, Resource string }
				}
			}
		}
		c.must("root", &version, "iam", "get-policy-version", "--policy-arn", created.Policy.Arn, "--version-id", "v1")
		if s := version.PolicyVersion.Document.Statement; len(s) != 1 || s[0].Resource != "arn:aws:s3:::b/ä+%20 x" {
			t.Errorf("the document reads back as %+v", s)
		}
		var role struct {
			Role struct {
				Arn                      string
				AssumeRolePolicyDocument struct{ Statement []any }
			}
		}
		c.must("root", &role, "iam", "get-role", "--role-name", "first")
		if role.Role.Arn != first || len(role.Role.AssumeRolePolicyDocument.Statement) != 1 {
			t.Errorf("the role reads back as %+v", role)
		}
	})
	t.Run("authorization details", func(t *testing.T) {
		var all struct {
			UserDetailList []struct{ UserName string }
			RoleDetailList []struct {
				RoleName                string
				AttachedManagedPolicies []struct{ PolicyName string }
			}
			Policies []struct{ PolicyName string }
		}
		c.must("root", &all, "iam", "get-account-authorization-details")
		if len(all.UserDetailList) != 8 || len(all.RoleDetailList) != 2 || all.RoleDetailList[0].AttachedManagedPolicies[0].PolicyName != "IAMReadOnlyAccess" {
			t.Errorf("%+v", all)
		}
	})
	t.Run("listings of everything", func(t *testing.T) {
		for _, command := range []string{
			"list-roles", "list-policies", "list-account-aliases", "list-instance-profiles", "get-account-summary", "get-user", "list-mfa-devices",
			"list-signing-certificates", "list-role-tags --role-name first", "list-groups-for-user --user-name alice", "list-access-keys --user-name alice",
		} {
			c.must("root", new(map[string]any), append([]string{"iam"}, strings.Fields(command)...)...)
		}
	})
	t.Run("errors", func(t *testing.T) {
		for _, row := range []struct {
			name, profile string
			args          []string
			want          string
		}{
			{"none of that name", "root", []string{"iam", "get-user", "--user-name", "nobody"}, "An error occurred (NoSuchEntity) when calling the GetUser operation: The user with name nobody cannot be found."},
			{"there already", "root", []string{"iam", "create-user", "--user-name", "ALICE"}, "An error occurred (EntityAlreadyExists) when calling the CreateUser operation: "},
			{"denied", "alice", []string{"iam", "list-users"}, "An error occurred (AccessDenied) when calling the ListUsers operation: User: arn:aws:iam::111122223333:user/alice is not authorized to perform: iam:ListUsers on resource: "},
			{"may not assume", "alice", []string{"sts", "assume-role", "--role-arn", second, "--role-session-name", "three"}, "An error occurred (AccessDenied) when calling the AssumeRole operation: User: arn:aws:iam::111122223333:user/alice is not authorized to perform: sts:AssumeRole on resource: " + second},
			{"malformed policy", "root", []string{"iam", "create-policy", "--policy-name", "p", "--policy-document", "{"}, "An error occurred (MalformedPolicyDocument) when calling the CreatePolicy operation: "},
		} {
			_, stderr, ok := c.run(row.profile, row.args...)
			if ok || !strings.Contains(stderr, row.want) {
				t.Errorf("%s: %v, %s\nwant %s", row.name, ok, stderr, row.want)
			}
		}
	})
	t.Run("session token and federation token", func(t *testing.T) {
		var out struct {
			Credentials struct{ AccessKeyId, SecretAccessKey, SessionToken, Expiration string }
		}
		c.must("alice", &out, "sts", "get-session-token", "--duration-seconds", "900")
		if got := n.client(out.Credentials.AccessKeyId, out.Credentials.SecretAccessKey, out.Credentials.SessionToken).identity(); got != "arn:aws:iam::111122223333:user/alice" {
			t.Errorf("the session is %s", got)
		}
	})
}
