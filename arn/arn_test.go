package arn_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/stint-sts/stint/arn"
)

// texts are ARNs and what only looks like one; they seed the fuzzer too.
var texts = []struct {
	name, text string
	want       arn.ARN // zero: refused
}{
	{"role with a path", "arn:aws:iam::111122223333:role/team/reader", arn.ARN{Partition: "aws", Service: "iam", Account: "111122223333", Resource: "role/team/reader"}},
	{"account", "arn:aws:iam::111122223333:root", arn.ARN{Partition: "aws", Service: "iam", Account: "111122223333", Resource: "root"}},
	{"policy of AWS", "arn:aws:iam::aws:policy/ReadOnlyAccess", arn.ARN{Partition: "aws", Service: "iam", Account: "aws", Resource: "policy/ReadOnlyAccess"}},
	{"bucket", "arn:aws:s3:::bucket/key", arn.ARN{Partition: "aws", Service: "s3", Resource: "bucket/key"}},
	{"colons in the resource", "arn:aws:sns:eu-west-1:111122223333:topic:sub:id", arn.ARN{
		Partition: "aws", Service: "sns", Region: "eu-west-1", Account: "111122223333", Resource: "topic:sub:id",
	}},
	{"another partition", "arn:aws-cn:iam::111122223333:user/eve", arn.ARN{Partition: "aws-cn", Service: "iam", Account: "111122223333", Resource: "user/eve"}},
	{"longest", "arn:aws:iam::111122223333:role/" + strings.Repeat("x", 2048-31), arn.ARN{
		Partition: "aws", Service: "iam", Account: "111122223333", Resource: "role/" + strings.Repeat("x", 2048-31),
	}},
	{"too long", "arn:aws:iam::111122223333:role/" + strings.Repeat("x", 2048-30), arn.ARN{}},
	{"empty", "", arn.ARN{}},
	{"upper-case scheme", "ARN:aws:iam::111122223333:root", arn.ARN{}},
	{"five parts", "arn:aws:iam::111122223333", arn.ARN{}},
	{"no partition", "arn::iam::111122223333:root", arn.ARN{}},
	{"no service", "arn:aws:::111122223333:root", arn.ARN{}},
	{"no resource", "arn:aws:iam::111122223333:", arn.ARN{}},
	{"leading space", " arn:aws:iam::111122223333:root", arn.ARN{}},
}

func TestParse(t *testing.T) {
	t.Parallel()
	for _, row := range texts {
		got, err := arn.Parse(row.text)
		if got != row.want || (err != nil) != (row.want == arn.ARN{}) {
			t.Errorf("%s: %+v, %v", row.name, got, err)
		}
		if err != nil && !errors.Is(err, arn.ErrInvalid) {
			t.Errorf("%s: the error is %v", row.name, err)
		}
		if err == nil && got.String() != row.text {
			t.Errorf("%s prints as %q", row.name, got)
		}
	}
	if s := (arn.ARN{}).String(); s != "" {
		t.Errorf("the zero ARN prints as %q", s)
	}
}

func TestParts(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		text, kind, name string
		isRole           bool
	}{
		{"arn:aws:iam::111122223333:role/team/reader", "role", "reader", true},
		{"arn:aws:iam::111122223333:role/reader", "role", "reader", true},
		{"arn:aws:iam::111122223333:role/", "role", "", false},
		{"arn:aws:iam::111122223333:role", "role", "", false},
		{"arn:aws:iam::111122223333:roles/reader", "roles", "reader", false},
		{"arn:aws:iam::111122223333:Role/reader", "Role", "reader", false},
		{"arn:aws:iam:eu-west-1:111122223333:role/reader", "role", "reader", false},
		{"arn:aws:sts::111122223333:role/reader", "role", "reader", false},
		{"arn:aws:iam::111122223333:root", "root", "", false},
	} {
		a, err := arn.Parse(row.text)
		if err != nil {
			t.Fatal(err)
		}
		if a.Type() != row.kind || a.Name() != row.name || a.IsIAM("role") != row.isRole {
			t.Errorf("%s: type %q, name %q, role %v", row.text, a.Type(), a.Name(), a.IsIAM("role"))
		}
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	for got, want := range map[string]string{
		arn.Root("111122223333"):                            "arn:aws:iam::111122223333:root",
		arn.Entity("111122223333", "user", "/", "eve"):      "arn:aws:iam::111122223333:user/eve",
		arn.Entity("111122223333", "policy", "/a/b/", "p"):  "arn:aws:iam::111122223333:policy/a/b/p",
		arn.AssumedRole("111122223333", "reader", "monday"): "arn:aws:sts::111122223333:assumed-role/reader/monday",
		arn.FederatedUser("111122223333", "bob"):            "arn:aws:sts::111122223333:federated-user/bob",
	} {
		if a, err := arn.Parse(got); got != want || err != nil || a.String() != want {
			t.Errorf("%q, want %q (%v)", got, want, err)
		}
	}
}

func TestValidAccount(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"111122223333": true, "000000000000": true, "": false, "11112222333": false, "1111222233334": false,
		"11112222333a": false, "1111 2222333": false, "-11122223333": false, "11112222333\n": false,
		"１１１１": false, // digits of another script, twelve bytes
	} {
		if arn.ValidAccount(text) != want {
			t.Errorf("%q: %v", text, !want)
		}
	}
}

// FuzzParse: never panics, bounded, zero on an error, and what it accepts prints as it was.
func FuzzParse(f *testing.F) {
	for _, row := range texts {
		f.Add(row.text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		a, err := arn.Parse(text)
		if err != nil {
			if a != (arn.ARN{}) {
				t.Errorf("an error and %+v", a)
			}
			return
		}
		if a.String() != text || len(text) > 2048 {
			t.Errorf("%q prints as %q", text, a)
		}
		again, err := arn.Parse(a.String())
		if err != nil || again != a {
			t.Errorf("parsed again: %+v, %v", again, err)
		}
		if name := a.Name(); name != "" && !strings.HasSuffix(a.Resource, "/"+name) {
			t.Errorf("name %q of %q", name, a.Resource)
		}
		if a.IsIAM(a.Type()) && (a.Service != "iam" || a.Name() == "") {
			t.Errorf("%q passes for an IAM resource", text)
		}
	})
}
