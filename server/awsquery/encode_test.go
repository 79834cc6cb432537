package awsquery_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/secret"
	"github.com/stint-sts/stint/server/awsquery"
	"github.com/stint-sts/stint/shape"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const requestID = "58c5dbae-abef-11e0-8cfe-09039844ac7d"

type credentials struct {
	AccessKeyID     string        `aws:"AccessKeyId"`
	SecretAccessKey secret.String `aws:"SecretAccessKey"`
	SessionToken    secret.String `aws:"SessionToken"`
	Expiration      time.Time     `aws:"Expiration"`
}

type assumeRoleOutput struct {
	Credentials     *credentials `aws:"Credentials"`
	AssumedRoleUser struct {
		AssumedRoleID string `aws:"AssumedRoleId"`
		ARN           string `aws:"Arn"`
	} `aws:"AssumedRoleUser"`
	PackedPolicySize *int32 `aws:"PackedPolicySize"`
	SourceIdentity   string `aws:"SourceIdentity"`
}

type callerIdentityOutput struct {
	UserID  string `aws:"UserId"`
	Account string `aws:"Account"`
	ARN     string `aws:"Arn"`
}

type user struct {
	Path       string    `aws:"Path"`
	UserName   string    `aws:"UserName"`
	UserID     string    `aws:"UserId"`
	ARN        string    `aws:"Arn"`
	CreateDate time.Time `aws:"CreateDate"`
	Tags       []tag     `aws:"Tags"`
}

type listUsersOutput struct {
	Users       []user `aws:"Users,always"`
	IsTruncated bool   `aws:"IsTruncated"`
	Marker      string `aws:"Marker"`
}

type roleLastUsed struct {
	LastUsedDate time.Time `aws:"LastUsedDate"`
	Region       string    `aws:"Region"`
}

type getRoleOutput struct {
	Role struct {
		RoleName                 string        `aws:"RoleName"`
		AssumeRolePolicyDocument string        `aws:"AssumeRolePolicyDocument,urlencoded"`
		Description              string        `aws:"Description"`
		MaxSessionDuration       *int32        `aws:"MaxSessionDuration"`
		RoleLastUsed             *roleLastUsed `aws:"RoleLastUsed,always"`
	} `aws:"Role"`
}

type listGroupsOutput struct {
	Names []string `aws:"PolicyNames"`
}

type accountSummaryOutput struct {
	SummaryMap map[string]int `aws:"SummaryMap"`
}

type virtualMFAOutput struct {
	VirtualMFADevice struct {
		SerialNumber     string `aws:"SerialNumber"`
		Base32StringSeed []byte `aws:"Base32StringSeed"`
	} `aws:"VirtualMFADevice"`
}

type emptyOutput struct{}

var (
	expiration  = time.Date(2019, 11, 9, 13, 34, 41, 999, time.FixedZone("", 3600))
	trustPolicy = "{\n  \"Version\": \"2012-10-17\",\n  \"Statement\": [{\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"*\"},\"Action\":\"sts:AssumeRole\"}]\n}~ü+"
)

func anAssumeRoleOutput() *assumeRoleOutput {
	out := &assumeRoleOutput{PackedPolicySize: new(int32(6)), SourceIdentity: "Alice"}
	out.Credentials = &credentials{"ASIAVCODYLSAWEXAMPLE", secret.New("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"), secret.New("eyJhbGciOi.J9.sig"), expiration}
	out.AssumedRoleUser.AssumedRoleID = "AROAVCODYLSAWEXAMPLEA:session"
	out.AssumedRoleUser.ARN = "arn:aws:sts::123456789012:assumed-role/role/session"
	return out
}

func aGetRoleOutput() *getRoleOutput {
	out := &getRoleOutput{}
	out.Role.RoleName = "application"
	out.Role.AssumeRolePolicyDocument = trustPolicy
	out.Role.Description = "a < b && c > \"d\"\r\n\t'e' \x01\ufffe\U0001F600 ü"
	out.Role.MaxSessionDuration = new(int32(3600))
	return out
}

func aVirtualMFAOutput() *virtualMFAOutput {
	out := &virtualMFAOutput{}
	out.VirtualMFADevice.SerialNumber = "arn:aws:iam::123456789012:mfa/alice"
	out.VirtualMFADevice.Base32StringSeed = []byte("GEZDGNBVGY3TQOJQ")
	return out
}

var users = []user{
	{Path: "/", UserName: "alice", UserID: "AIDA1", ARN: "arn:aws:iam::123456789012:user/alice", CreateDate: expiration, Tags: []tag{{"k", new("")}, {"l", new("v")}}},
	{Path: "/a/", UserName: "bob", UserID: "AIDA2", ARN: "arn:aws:iam::123456789012:user/a/bob", CreateDate: expiration, Tags: []tag{}},
}

type success struct {
	name, namespace, operation string
	shape                      *shape.Shape
	out                        any
}

var successes = []success{
	{"assume-role", awsquery.NamespaceSTS, "AssumeRole", shape.For[assumeRoleOutput](), anAssumeRoleOutput()},
	{"assume-role-bare", awsquery.NamespaceSTS, "AssumeRole", shape.For[assumeRoleOutput](), &assumeRoleOutput{}},
	{"get-caller-identity", awsquery.NamespaceSTS, "GetCallerIdentity", shape.For[callerIdentityOutput](),
		callerIdentityOutput{"AIDA1", "123456789012", "arn:aws:iam::123456789012:user/alice"}},
	{"list-users", awsquery.NamespaceIAM, "ListUsers", shape.For[listUsersOutput](), &listUsersOutput{users, true, "next"}},
	{"list-users-none", awsquery.NamespaceIAM, "ListUsers", shape.For[listUsersOutput](), &listUsersOutput{}},
	{"list-role-policies", awsquery.NamespaceIAM, "ListRolePolicies", shape.For[listGroupsOutput](), &listGroupsOutput{[]string{"a", "", "b&c"}}},
	{"get-role", awsquery.NamespaceIAM, "GetRole", shape.For[getRoleOutput](), aGetRoleOutput()},
	{"get-account-summary", awsquery.NamespaceIAM, "GetAccountSummary", shape.For[accountSummaryOutput](),
		&accountSummaryOutput{map[string]int{"UsersQuota": 5000, "Users": 31, "AccountMFAEnabled": 0}}},
	{"create-virtual-mfa-device", awsquery.NamespaceIAM, "CreateVirtualMFADevice", shape.For[virtualMFAOutput](), aVirtualMFAOutput()},
	{"update-role", awsquery.NamespaceIAM, "UpdateRole", shape.For[emptyOutput](), &emptyOutput{}},
	{"update-role-nil", awsquery.NamespaceIAM, "UpdateRole", shape.For[emptyOutput](), (*emptyOutput)(nil)},
	{"delete-user", awsquery.NamespaceIAM, "DeleteUser", nil, nil},
}

var failures = []struct {
	name, namespace string
	err             *awserr.Error
}{
	{"access-denied", awsquery.NamespaceSTS, awserr.Wrap(awserr.AccessDenied, "User: a is not authorized to perform: sts:AssumeRole on resource: \"b\" <>&", errors.New("canary"))},
	{"internal-failure", awsquery.NamespaceIAM, awserr.From(errors.New("canary"))},
	{"invalid-action", awsquery.NamespaceFault, awserr.New(awserr.InvalidAction, "Could not find operation \x00 for version null")},
	{"no-message", awsquery.NamespaceIAM, awserr.New(awserr.NoSuchEntity, "")},
}

func TestGolden(t *testing.T) {
	t.Parallel()
	for suffix, format := range map[string]awsquery.Format{".xml": awsquery.XML, ".json": awsquery.JSON} {
		for _, row := range successes {
			golden(t, row.name+suffix, format,
				awsquery.AppendSuccess([]byte("before"), format, row.namespace, row.operation, requestID, row.shape, row.out))
		}
		for _, row := range failures {
			golden(t, "error-"+row.name+suffix, format, awsquery.AppendError([]byte("before"), format, row.namespace, row.err, requestID))
		}
	}
}

func golden(t *testing.T, name string, format awsquery.Format, got []byte) {
	t.Helper()
	got, appended := bytes.CutPrefix(got, []byte("before"))
	if !appended {
		t.Errorf("%s: what was in the buffer is gone", name)
	}
	if bytes.Contains(got, []byte("canary")) {
		t.Errorf("%s: the cause leaves", name)
	}
	wellFormed(t, name, format, got)
	file := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(file, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

func wellFormed(t testing.TB, name string, format awsquery.Format, answer []byte) {
	t.Helper()
	if format == awsquery.JSON {
		if !json.Valid(answer) {
			t.Errorf("%s: not JSON: %s", name, answer)
		}
		return
	}
	d := xml.NewDecoder(bytes.NewReader(answer))
	for {
		_, err := d.Token()
		if err == io.EOF {
			return
		}
		if err != nil {
			t.Errorf("%s: not XML: %v: %s", name, err, answer)
			return
		}
	}
}

// TestGolden_FilesHaveRows: no golden file outlives its row.
func TestGolden_FilesHaveRows(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join("testdata", "*.golden"))
	if err != nil || len(files) != 2*(len(successes)+len(failures)) {
		t.Errorf("%d golden files, %v", len(files), err)
	}
}

// FuzzText: any text comes back from XML and JSON, but for characters that cannot be carried and carriage returns that the
// format keeps.
func FuzzText(f *testing.F) {
	for _, seed := range []string{"", "a", "<&>\"'", "\r\n\t", "\x00\x1f\x7f", "\ufffe\uffff\ufffd", "\xff\xfe", "ü\U0001F600", "]]>", "a\xffb", "\u2028"} {
		f.Add(seed)
	}
	s := shape.For[policyRef]()
	f.Fuzz(func(t *testing.T, text string) {
		answer := awsquery.AppendSuccess(nil, awsquery.XML, awsquery.NamespaceSTS, "X", requestID, s, &policyRef{text})
		var tree struct {
			ARN string `xml:"XResult>arn"`
		}
		if err := xml.Unmarshal(answer, &tree); err != nil {
			t.Fatalf("%v: %s", err, answer)
		}
		if want := strings.Map(xmlRune, strings.ToValidUTF8(eachByte(text), "\ufffd")); tree.ARN != want {
			t.Errorf("XML carries %q as %q, want %q", text, tree.ARN, want)
		}
		answer = awsquery.AppendSuccess(nil, awsquery.JSON, awsquery.NamespaceSTS, "X", requestID, s, &policyRef{text})
		var object struct {
			XResponse struct{ XResult struct{ ARN string } }
		}
		if err := json.Unmarshal(answer, &object); err != nil {
			t.Fatalf("%v: %s", err, answer)
		}
		if want := strings.ToValidUTF8(eachByte(text), "\ufffd"); object.XResponse.XResult.ARN != want {
			t.Errorf("JSON carries %q as %q, want %q", text, object.XResponse.XResult.ARN, want)
		}
	})
}

// eachByte replaces each byte that is not UTF-8 (strings.ToValidUTF8 replaces a run of them by one character).
func eachByte(s string) string { return string([]rune(s)) }

func xmlRune(r rune) rune {
	if r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0xFFFE || r == 0xFFFF {
		return '\ufffd'
	}
	return r
}

func TestAppend_DoesNotAllocate(t *testing.T) {
	s, out, buffer := shape.For[assumeRoleOutput](), anAssumeRoleOutput(), make([]byte, 0, 4096)
	for name, format := range map[string]awsquery.Format{"XML": awsquery.XML, "JSON": awsquery.JSON} {
		if n := testing.AllocsPerRun(100, func() {
			awsquery.AppendSuccess(buffer, format, awsquery.NamespaceSTS, "AssumeRole", requestID, s, out)
		}); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkEncode_AssumeRole(b *testing.B) {
	s, out, buffer := shape.For[assumeRoleOutput](), anAssumeRoleOutput(), make([]byte, 0, 4096)
	for name, format := range map[string]awsquery.Format{"XML": awsquery.XML, "JSON": awsquery.JSON} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				buffer = awsquery.AppendSuccess(buffer[:0], format, awsquery.NamespaceSTS, "AssumeRole", requestID, s, out)
			}
		})
	}
}
