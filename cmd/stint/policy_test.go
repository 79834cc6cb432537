package main_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// inputs makes files of a directory; names and contents alternate.
func inputs(t *testing.T, namesAndContents ...string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for i := 0; i+1 < len(namesAndContents); i += 2 {
		if err := os.WriteFile(filepath.Join(dir, namesAndContents[i]), []byte(namesAndContents[i+1]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestPolicy_Vectors(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob(filepath.Join("..", "..", "policy", "testdata", "vectors", "*.jsonl"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("vectors: %v %v", paths, err)
	}
	total := 0
	for _, path := range paths {
		command, name := "test", filepath.Base(path)
		if name == "policy-validity.jsonl" {
			command = "validate"
		}
		out := must(t, "policy", command, path)
		var passed, failed int
		if n, err := fmt.Sscanf(out, "%d passed, %d failed\n", &passed, &failed); n != 2 || err != nil {
			t.Fatalf("%s: %q", name, out)
		}
		if failed != 0 || passed == 0 && name != "disputed.jsonl" {
			t.Errorf("%s: %s", name, out)
		}
		total += passed
	}
	if total != 4620+150 {
		t.Errorf("%d vectors passed, the files hold 4620 and 150", total)
	}
	out := must(t, append([]string{"policy", "test"}, filesBut(paths, "policy-validity.jsonl")...)...)
	if out != "4620 passed, 0 failed\n" {
		t.Errorf("all files together: %s", out)
	}
}

func filesBut(paths []string, name string) []string {
	var rest []string
	for _, p := range paths {
		if filepath.Base(p) != name {
			rest = append(rest, p)
		}
	}
	return rest
}

const mfaCase = `{"id":"k-%d","request":{"action":"sts:AssumeRole","resource":"arn:aws:iam::111122223333:role/Deploy",` +
	`"principal":{"arn":"arn:aws:iam::111122223333:user/alice","account":"111122223333","type":"user"},"context":{"aws:TagKeys":["a"]}},` +
	`"policies":{"resource":{"Version":"2012-10-17","Statement":{"Sid":"WithMFA","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:user/alice"},` +
	`"Action":"sts:AssumeRole","Condition":{"Bool":{"aws:MultiFactorAuthPresent":"true"}}}}},"expect":"%s","why":"no MFA"}` + "\n"

func TestPolicyTest_Mismatch(t *testing.T) {
	t.Parallel()
	dir := inputs(t, "cases.jsonl", fmt.Sprintf(mfaCase, 1, "ImplicitDeny")+"\n"+fmt.Sprintf(mfaCase, 2, "Allow"))
	file := filepath.Join(dir, "cases.jsonl")
	out, errs, code := run(t, "", "policy", "test", file)
	if code != 1 {
		t.Errorf("exit %d: %s", code, errs)
	}
	for _, want := range []string{
		"FAIL " + file + ":3 k-2: expected Allow, got ImplicitDeny\n", "the case says: no MFA\n", "trust policies, where no statement allows\n",
		`statement 1 "WithMFA": Allow does not apply`,
		`yes Action: expected "sts:AssumeRole", got "sts:AssumeRole"`,
		`no  Bool aws:MultiFactorAuthPresent: expected "true", got nothing (the request does not have this key)`,
		"\n1 passed, 1 failed\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in:\n%s", want, out)
		}
	}
	if strings.Contains(out, "k-1") {
		t.Errorf("the case that passes is printed:\n%s", out)
	}
	out, _, code = run(t, "", "policy", "test", "--output", "json", file)
	var summary struct {
		Passed, Failed int
		Mismatches     []struct {
			Place, Expect, Got string
			Explanation        []string
		}
	}
	if err := json.Unmarshal([]byte(out), &summary); err != nil || code != 1 {
		t.Fatalf("exit %d, %v: %s", code, err, out)
	}
	if summary.Passed != 1 || summary.Failed != 1 || summary.Mismatches[0].Place != file+":3" || len(summary.Mismatches[0].Explanation) < 5 {
		t.Errorf("%+v", summary)
	}
}

const yamlCases = `# two documents, the second a list
id: alice
request:
  action: sts:AssumeRole
  resource: arn:aws:iam::012345678901:role/Deploy
  principal: arn:aws:iam::012345678901:user/alice
  context:
    sts:ExternalId: 0077
    aws:MultiFactorAuthPresent: true
    aws:CurrentTime: 2026-11-28
policies:
  resource:
    Version: 2012-10-17
    Statement:
      Effect: Allow
      Principal: {AWS: 012345678901}
      Action: sts:AssumeRole
      Condition:
        StringEquals: {sts:ExternalId: 0077}
        Bool: {aws:MultiFactorAuthPresent: yes, k: no}
        DateLessThan: {aws:CurrentTime: 2026-11-29}
  identity:
  - |
    {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"}}
  boundary: null
expect: Allow
---
- request: {action: s3:Get, resource: "*", principal: ec2.amazonaws.com}
  policies: {}
  expect: ImplicitDeny
- request: {action: s3:Get, resource: "*", principal: arn:aws:sts::111122223333:assumed-role/R/s}
  policies: {scps: [[{Statement: {Effect: Deny, Action: "*", Resource: "*"}}]]}
  expect: ExplicitDeny
- {request: {action: s3:Get, resource: "*", principal: arn:aws:iam::111122223333:root}, policies: {}, expect: null}
`

func TestPolicyTest_YAML(t *testing.T) {
	t.Parallel()
	text := strings.Replace(yamlCases, "{aws:MultiFactorAuthPresent: yes, k: no}", "{aws:MultiFactorAuthPresent: true}", 1)
	dir := inputs(t, "good.yaml", text, "bad.yml", strings.Replace(text, "sts:ExternalId: 0077\n", "sts:ExternalId: 77\n", 1))
	out, errs, code := run(t, "", "policy", "test", filepath.Join(dir, "good.yaml"))
	if code != 0 || out != "3 passed, 0 failed\n" || !strings.Contains(errs, "1 case(s) without an expected answer") {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
	out, _, code = run(t, "", "policy", "test", filepath.Join(dir, "bad.yml"))
	if code != 1 || !strings.Contains(out, "bad.yml:2 alice: expected Allow") || !strings.Contains(out, "2 passed, 1 failed") {
		t.Errorf("exit %d\n%s", code, out)
	}
}

func TestPolicyTest_Unreadable(t *testing.T) {
	t.Parallel()
	good := fmt.Sprintf(mfaCase, 1, "ImplicitDeny")
	for _, row := range []struct{ name, file, text, want string }{
		{"no such file", "other.jsonl", "", "no such file"},
		{"an empty file", "a.jsonl", "\n", "a.jsonl:1: there is no case"},
		{"not JSON", "a.jsonl", good + "{", "a.jsonl:2: case: unexpected EOF"},
		{"an unknown field", "a.jsonl", strings.Replace(good, `"why"`, `"wy"`, 1), `a.jsonl:1: case: json: unknown field "wy"`},
		{"an unknown answer", "a.jsonl", good + strings.Replace(good, `"ImplicitDeny"`, `"Deny"`, 1), `a.jsonl:2: expect "Deny"`},
		{"a policy that is refused", "a.jsonl", good + strings.Replace(good, `"Effect":"Allow"`, `"Effect":"allow"`, 1), "a.jsonl:2: line 1 column"},
		{"an unknown type of principal", "a.jsonl", strings.Replace(good, `"type":"user"`, `"type":"person"`, 1), `a.jsonl:1: principal: type "person"`},
		{"a session without its role", "a.jsonl", strings.Replace(good, `"type":"user"`, `"type":"role-session"`, 1), "a.jsonl:1: principal: a role-session needs roleArn"},
		{"a context value that is an object", "a.jsonl", strings.Replace(good, `["a"]`, `{"a":"b"}`, 1), `a.jsonl:1: context key "aws:TagKeys"`},
		{"not YAML", "a.yaml", "a: b\nc: [", "a.yaml:2"},
		{"a key twice", "a.yaml", "id: a\nid: b\n", `a.yaml:2: key "id" occurs twice`},
		{"a policy file that is not there", "a.yaml", "- request: {action: a:b, resource: '*', principal: arn:aws:iam::111122223333:root}\n  policies: {identity: [{file: nowhere.json}]}\n  expect: Allow\n", "a.yaml:1: identity policy 1: open "},
		{"aliases that multiply", "a.yaml", "a: &a [" + strings.Repeat("x", 1000) + "]\nb: &b [" + strings.Repeat("*a,", 1000) + "]\nc: &c [" + strings.Repeat("*b,", 1000) + "]\n", "too large or too deep with its aliases"},
		{"an alias within itself", "a.yaml", "&a [*a]\n", "a.yaml:1: too large or too deep with its aliases"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			dir := inputs(t, "a.jsonl", good)
			if out := must(t, "policy", "test", filepath.Join(dir, "a.jsonl")); out != "1 passed, 0 failed\n" {
				t.Fatalf("the twin: %s", out)
			}
			if row.text != "" {
				dir = inputs(t, row.file, row.text)
			}
			_, errs, code := run(t, "", "policy", "test", filepath.Join(dir, row.file))
			if code != 2 || !strings.Contains(errs, row.want) {
				t.Errorf("exit %d: %s", code, errs)
			}
		})
	}
}

const openTrust = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole"}}`

func TestPolicyLint(t *testing.T) {
	t.Parallel()
	dir := inputs(t, "open.json", openTrust, "good.json", strings.Replace(openTrust, `"*"`, `{"AWS":"111122223333"}`, 1))
	open, good := filepath.Join(dir, "open.json"), filepath.Join(dir, "good.json")
	if out := must(t, "policy", "lint", good); out != "" {
		t.Errorf("a policy without fault: %s", out)
	}
	out, errs, code := run(t, "", "policy", "lint", good, open)
	if code != 1 || !strings.HasPrefix(out, open+":1:67: error: Everybody is trusted") || !strings.Contains(out, "[trust-wildcard-principal]\n    at Statement.Principal\n    instead: ") {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
	out, _, code = run(t, openTrust, "policy", "lint", "--kind", "resource", "--fail-on", "error", "-")
	if code != 0 || !strings.Contains(out, "resource-wildcard-principal") {
		t.Errorf("as a resource policy, failing on errors only: exit %d\n%s", code, out)
	}
	out, _, code = run(t, strings.Replace(openTrust, "Allow", "allow", 1), "policy", "lint", "--output", "json", "-")
	var findings []struct{ File, ID, Severity, Path string }
	if err := json.Unmarshal([]byte(out), &findings); err != nil || code != 1 || len(findings) != 1 || findings[0].ID != "invalid" || findings[0].Severity != "error" {
		t.Errorf("exit %d, %v\n%s", code, err, out)
	}
	for _, args := range [][]string{{}, {"--kind", "user", good}, {"--fail-on", "x", good}, {filepath.Join(dir, "absent")}, {"--config", "x", good}} {
		if _, errs, code := run(t, "", append([]string{"policy", "lint"}, args...)...); code != 2 || errs == "" {
			t.Errorf("%v: exit %d %s", args, code, errs)
		}
	}
}

func TestPolicyValidate(t *testing.T) {
	t.Parallel()
	line := func(expect string) string {
		return `{"id":"v","policyType":"session","document":"{\"Statement\":[]}","expect":"` + expect + `"}` + "\n"
	}
	dir := inputs(t, "trust.json", openTrust, "bad.json", strings.Replace(openTrust, "Allow", "all\\u001bow", 1),
		"long.json", strings.Replace(openTrust, `"Version"`, `"Id":"`+strings.Repeat("x", 2000)+`","Version"`, 1),
		"lines.jsonl", line("invalid")+line("valid"), "lame.jsonl", line("invalid")+line("maybe"))
	at := func(name string) string { return filepath.Join(dir, name) }
	if out := must(t, "policy", "validate", at("trust.json")); out != at("trust.json")+": trust policy: valid\n" {
		t.Errorf("%s", out)
	}
	out, _, code := run(t, "", "policy", "validate", at("trust.json"), at("bad.json"), at("long.json"))
	if code != 1 || strings.Count(out, "\n") != 3 || !strings.Contains(out, "bad.json: trust policy: invalid: line 1 column ") || strings.Contains(out, "\x1b") ||
		!strings.Contains(out, "long.json: trust policy: invalid: 21") {
		t.Errorf("exit %d\n%s", code, out)
	}
	out, _, code = run(t, "", "policy", "validate", "--kind", "identity", "--output", "json", at("trust.json"))
	var results []struct {
		Kind, Reason, Message string
		Valid                 bool
	}
	if err := json.Unmarshal([]byte(out), &results); err != nil || code != 1 || results[0].Valid || results[0].Message != "Policy document should not specify a principal." {
		t.Errorf("exit %d, %v\n%s", code, err, out)
	}
	out, _, code = run(t, "", "policy", "validate", at("lines.jsonl"))
	if code != 1 || !strings.Contains(out, "lines.jsonl:2: v: session policy: invalid: line 1 column 14: Statement") || !strings.Contains(out, "(expected valid)\n1 passed, 1 failed\n") {
		t.Errorf("exit %d\n%s", code, out)
	}
	for file, want := range map[string]string{"lame.jsonl": `lame.jsonl:2: expect "maybe"`, "absent.json": "no such file"} {
		if _, errs, code := run(t, "", "policy", "validate", at(file)); code != 2 || !strings.Contains(errs, want) {
			t.Errorf("%s: exit %d %s", file, code, errs)
		}
	}
}

// TestPolicyDocs runs the example of docs/policies.md.
func TestPolicyDocs(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile(filepath.Join("..", "..", "docs", "policies.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, example, found := strings.Cut(string(data), "<!-- example -->\n")
	example, _, closed := strings.Cut(example, "<!-- /example -->")
	if !found || !closed {
		t.Fatal("there is no example")
	}
	block := func(language string) string {
		_, rest, found := strings.Cut(example, "```"+language+"\n")
		text, _, closed := strings.Cut(rest, "```")
		if !found || !closed {
			t.Fatalf("there is no %s block", language)
		}
		return text
	}
	dir := inputs(t, "deploy.yaml", block("yaml"), "deploy-permissions.json", block("json"))
	_, printed, _ := strings.Cut(example, "$ stint policy test deploy.yaml\n    ")
	if out := must(t, "policy", "test", filepath.Join(dir, "deploy.yaml")); out != printed {
		t.Errorf("got %q, the document says %q", out, printed)
	}
	must(t, "policy", "validate", filepath.Join(dir, "deploy-permissions.json"))
	must(t, "policy", "lint", filepath.Join(dir, "deploy-permissions.json"))
}
