package apply_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stint-sts/stint/iam/apply"
)

func example(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "deploy", "directory.example.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestRead_Example(t *testing.T) {
	t.Parallel()
	documents := read(t, example(t))
	if len(documents) != 1 || len(documents[0].Policies) != 2 || *documents[0].Roles[0].MaxSession != 4*3600 {
		t.Errorf("%+v", documents)
	}
}

// files are what documents of tests may name.
func files(name string) (path, text string, err error) {
	switch name {
	case "good.json":
		return "dir/good.json", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}`, nil
	case "bad.json":
		return "dir/bad.json", "{\n \"Version\":\"2012-10-17\",\n \"Statement\":{\"Effect\":\"allow\",\"Action\":\"s3:*\",\"Resource\":\"*\"}}", nil
	}
	return "", "", os.ErrNotExist
}

// faulty files, with their faults.
var faulty = []struct {
	name, text string
	want       []string
}{
	{"empty", "", []string{"f.yaml:1: there is no document"}},
	{"not YAML", "account: x\nroles: [", []string{"f.yaml:2: did not find expected node content"}},
	{"a list", "- a", []string{"f.yaml:1: document must be a mapping"}},
	{"an unknown key", "name: x\nrole: {}", []string{"f.yaml:2: document: unknown key \"role\"; the keys are account, groups, name, policies, roles, users"}},
	{"several faults", "users:\n  a: {keys: 1}\n  b: {groups: x}\nroles:\n  c: {max-session-duration: soon}", []string{
		`f.yaml:2: user a: unknown key "keys"; the keys are attached, boundary, groups, inline, path, tags`,
		"f.yaml:3: groups must be a list", `f.yaml:5: max-session-duration "soon": it is a number of seconds, or a duration such as 12h`,
	}},
	{"a key twice", "users:\n  a: {}\n  a: {}", []string{`f.yaml:3: user: key "a" occurs twice`}},
	{"a name in two spellings", "users:\n  a: {}\n  A: {}", []string{"f.yaml:3: user A is there already, at f.yaml:2"}},
	{"no value", "users:\n  a: {attached: }", []string{`f.yaml:2: attached has no value: leave it out, or write [], {} or "" for none`}},
	{"a merge key", "users:\n  a: {<<: {path: /}}", []string{"f.yaml:2: user a: a key must be plain text"}},
	{"bad names", "users:\n  a b: {}\n  c: {path: x}", []string{
		"f.yaml:2: 1 validation error detected: Value 'a b' at 'userName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\\w+=,.@-]+",
		"f.yaml:3: 1 validation error detected: Value 'x' at 'path' failed to satisfy constraint: Member must satisfy regular expression pattern: (\\u002F)|(\\u002F[\\u0021-\\u007E]+\\u002F)",
	}},
	{"a short session", "roles:\n  r: {max-session-duration: 10m}", []string{
		"f.yaml:2: 1 validation error detected: Value '600' at 'maxSessionDuration' failed to satisfy constraint: Member must have value greater than or equal to 3600",
	}},
	{"apply's own tag", "users:\n  a: {tags: {Stint:Managed-By: x}}", []string{"f.yaml:2: tag Stint:Managed-By is apply's own: it comes from the document's name"}},
	{"a tag twice", "users:\n  a: {tags: {k: x, K: y}}", []string{"f.yaml:2: tag K occurs twice: keys are the same in any case"}},
	{"a policy attached twice", "users:\n  a: {attached: [P, p]}", []string{"f.yaml:2: p is listed twice"}},
	{"a policy without document", "policies:\n  P: {}", []string{"f.yaml:2: policy P has no document"}},
	{"a fault in a policy of YAML", "policies:\n  P:\n    document:\n      Version: 2012-10-17\n      Statement:\n        - {Effect: Allow, Action: s3:*, Resource: \"*\"}\n        - {Effect: Allow, Action: x, Resource: \"*\"}", []string{
		"f.yaml:7:35: Statement[1].Action: ",
	}},
	{"a fault in a policy of JSON", "policies:\n  P:\n    document: |\n      {\"Version\":\"2012-10-17\",\n       \"Statement\":1}", []string{"f.yaml:5:"}},
	{"a fault in a policy's file", "policies:\n  P: {document: {file: bad.json}}", []string{"dir/bad.json:3:"}},
	{"no such file", "policies:\n  P: {document: {file: other.json}}", []string{"f.yaml:2: file other.json: file does not exist"}},
	{"a policy with null", "policies:\n  P: {document: {Version: }}", []string{"f.yaml:2: a policy has no empty values"}},
	{"a principal by id", "roles:\n  r: {trust: {Version: 2012-10-17, Statement: {Effect: Allow, Principal: {AWS: AIDAQAAAAAAAAAAAAAAAA}, Action: sts:AssumeRole}}}", []string{
		"f.yaml:2: principal AIDAQAAAAAAAAAAAAAAAA: name it by its ARN",
	}},
	{"one name for two documents", "name: x\n---\nname: x", []string{"f.yaml:3: document x is there already, at f.yaml:1"}},
	{"aliases within themselves", "users: &a\n  b: {inline: {c: *a}}", []string{"f.yaml:"}},
}

func TestRead_Faults(t *testing.T) {
	t.Parallel()
	for _, row := range faulty {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			documents, faults := apply.Read("f.yaml", row.text, files)
			faults = append(faults, apply.Check(documents)...)
			var got []string
			for i, fault := range faults {
				line := fault.Place + ": " + fault.Text
				if i < len(row.want) && strings.HasPrefix(line, row.want[i]) {
					line = row.want[i] // the rest is the policy parser's
				}
				got = append(got, line)
			}
			if diff := cmp.Diff(row.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestRead_Forms(t *testing.T) {
	t.Parallel()
	const policy = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}`
	for name, form := range map[string]string{
		"YAML":       "{Version: 2012-10-17, Statement: {Effect: Allow, Action: s3:*, Resource: '*'}}",
		"JSON":       policy, // which is YAML too
		"text":       "'" + policy + "'",
		"block":      "|-\n      " + policy,
		"file":       "{file: good.json}",
		"with alias": "{Version: 2012-10-17, Statement: *s}",
	} {
		text := "account: &s {Effect: Allow, Action: s3:*, Resource: '*'}\npolicies:\n  P:\n    document: " + form
		documents, faults := apply.Read("f.yaml", text, files)
		if len(faults) != 1 || faults[0].Text != "account must be text" { // it only holds the anchor
			t.Errorf("%s: %v", name, faults)
		}
		if got := documents[0].Policies[0].Document.JSON; got != policy {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestLint_Places(t *testing.T) {
	t.Parallel()
	documents := read(t, `
roles:
  r:
    trust:
      Version: 2012-10-17
      Statement:
      - Effect: Allow
        Principal: "*"
        Action: sts:AssumeRole
`)
	findings := apply.Lint(documents)
	if len(findings) == 0 || findings[0].Object != "role r: trust policy" || findings[0].Place != "d.yaml:8:20" {
		t.Errorf("%+v", findings)
	}
	if found := apply.Lint(read(t, example(t))); len(found) > 0 {
		t.Errorf("the example: %+v", found)
	}
}

func numbered(n int, format string) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf(format, i)
	}
	return all
}

func TestRead_Bombs(t *testing.T) {
	t.Parallel()
	list, policy := "account: &a0 [x, x, x, x, x, x, x, x]\n", "account: &p0 {a: b}\n"
	var levels strings.Builder
	for i := range 9 {
		fmt.Fprintf(&levels, "x%d: &a%d [%s]\n", i, i+1, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i), 8), ", "))
	}
	for name, text := range map[string]string{
		"large":            "name: " + strings.Repeat("x", apply.MaxFile),
		"aliases":          list + levels.String() + "policies: {P: {document: *a9}}",
		"deep":             "policies: {P: {document: " + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + "}}",
		"one text often":   "account: &t |\n  " + strings.Repeat("x", 200<<10) + "\nusers: {u: {inline: {" + strings.Join(numbered(200, "p%d: *t"), ", ") + "}}}",
		"policy in itself": policy + "policies: {P: {document: &q {a: *q}}}",
	} {
		if _, faults := apply.Read("f.yaml", text, files); len(faults) == 0 {
			t.Errorf("%s: read", name)
		}
	}
}

// FuzzRead: never panics, bounded, and what has no fault says the same when it is checked and linted again.
func FuzzRead(f *testing.F) {
	f.Add(example(f))
	f.Add(base)
	for _, row := range faulty {
		f.Add(row.text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		documents, faults := apply.Read("f.yaml", text, files)
		faults = append(faults, apply.Check(documents)...)
		for _, fault := range faults {
			if file, rest, found := strings.Cut(fault.Place, ":"); !found || rest == "" || file != "f.yaml" && file != "dir/bad.json" {
				t.Errorf("place %q of %q", fault.Place, fault.Text)
			}
		}
		if len(faults) == 0 {
			apply.Lint(documents)
		}
	})
}
