package shape_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/secret"
	"github.com/stint-sts/stint/shape"
)

func good() *assumeRole {
	return &assumeRole{
		RoleARN:           new("arn:aws:iam::123456789012:role/app"),
		RoleSessionName:   "build-42",
		Policy:            `{"Version":"2012-10-17","Statement":[]}`,
		PolicyARNs:        []policyRef{{ARN: new("arn:aws:iam::aws:policy/ReadOnlyAccess")}},
		DurationSeconds:   new(int32(3600)),
		Tags:              []tag{{"Project", new("Unicorn")}, {"Team", new("blau grün")}, {"Empty", new("")}},
		TransitiveTagKeys: []string{"Project"},
		ExternalID:        "ext:1/2",
		SerialNumber:      "arn:aws:iam::123456789012:mfa/alice",
		TokenCode:         secret.New("123456"),
	}
}

const arnPattern = `[\u0009\u000A\u000D\u0020-\u007E\u0085\u00A0-\uD7FF\uE000-\uFFFD\u10000-\u10FFFF]+`

func TestValidate_Messages(t *testing.T) {
	t.Parallel()
	s := shape.For[assumeRole]()
	for _, row := range []struct {
		name   string
		change func(*assumeRole)
		want   string // "": valid
	}{
		{"all good", func(*assumeRole) {}, ""},
		{"only what is required", func(in *assumeRole) {
			*in = assumeRole{RoleARN: in.RoleARN, RoleSessionName: in.RoleSessionName}
		}, ""},
		{"required member missing", func(in *assumeRole) { in.RoleARN = nil },
			"1 validation error detected: Value null at 'roleArn' failed to satisfy constraint: Member must not be null"},
		{"empty ARN fails pattern and length", func(in *assumeRole) { in.RoleARN = new("") },
			"2 validation errors detected: Value '' at 'roleArn' failed to satisfy constraint: Member must satisfy regular expression pattern: " +
				arnPattern + "; Value '' at 'roleArn' failed to satisfy constraint: Member must have length greater than or equal to 20"},
		{"colon in a session name", func(in *assumeRole) { in.RoleSessionName = "a:b" },
			`1 validation error detected: Value 'a:b' at 'roleSessionName' failed to satisfy constraint: ` +
				`Member must satisfy regular expression pattern: [\w+=,.@-]*`},
		{"line feed at the end of a session name", func(in *assumeRole) { in.RoleSessionName = "ab\n" },
			"1 validation error detected: Value 'ab\n' at 'roleSessionName' failed to satisfy constraint: " +
				`Member must satisfy regular expression pattern: [\w+=,.@-]*`},
		{"duration too long", func(in *assumeRole) { in.DurationSeconds = new(int32(43201)) },
			`1 validation error detected: Value '43201' at 'durationSeconds' failed to satisfy constraint: ` +
				`Member must have value less than or equal to 43200`},
		{"duration negative", func(in *assumeRole) { in.DurationSeconds = new(int32(-1)) },
			`1 validation error detected: Value '-1' at 'durationSeconds' failed to satisfy constraint: ` +
				`Member must have value greater than or equal to 900`},
		{"tag key and value", func(in *assumeRole) { in.Tags[0] = tag{"#", new("$")} },
			`2 validation errors detected: Value '#' at 'tags.1.member.key' failed to satisfy constraint: ` +
				`Member must satisfy regular expression pattern: [\p{L}\p{Z}\p{N}_.:/=+\-@]+; ` +
				`Value '$' at 'tags.1.member.value' failed to satisfy constraint: ` +
				`Member must satisfy regular expression pattern: [\p{L}\p{Z}\p{N}_.:/=+\-@]*`},
		{"tag without a value", func(in *assumeRole) { in.Tags[2].Value = nil },
			`1 validation error detected: Value null at 'tags.3.member.value' failed to satisfy constraint: Member must not be null`},
		{"policy ARN too short", func(in *assumeRole) { in.PolicyARNs[0].ARN = new("arn:aws") },
			`1 validation error detected: Value 'arn:aws' at 'policyArns.1.member.arn' failed to satisfy constraint: ` +
				`Member must have length greater than or equal to 20`},
		{"51 tags", func(in *assumeRole) {
			in.Tags = make([]tag, 51)
			for i := range in.Tags {
				in.Tags[i] = tag{"k", new("v")}
			}
		}, `1 validation error detected: Value at 'tags' failed to satisfy constraint: Member must have length less than or equal to 50`},
		{"transitive key too long names all rules of the list's members", func(in *assumeRole) {
			in.TransitiveTagKeys = []string{"ok", "#"}
		}, `1 validation error detected: Value '[ok, #]' at 'transitiveTagKeys' failed to satisfy constraint: ` +
			`Member must satisfy constraint: [Member must have length less than or equal to 128, Member must have length greater than or equal to 1, ` +
			`Member must satisfy regular expression pattern: [\p{L}\p{Z}\p{N}_.:/=+\-@]+, Member must not be null]`},
		{"a secret's value is withheld", func(in *assumeRole) { in.TokenCode = secret.New("12345x7") },
			`2 validation errors detected: Value at 'tokenCode' failed to satisfy constraint: Member must satisfy regular expression pattern: [\d]*; ` +
				`Value at 'tokenCode' failed to satisfy constraint: Member must have length less than or equal to 6`},
		{"two members at once, in order", func(in *assumeRole) { in.RoleSessionName, in.ExternalID = "a", "x" },
			`2 validation errors detected: Value 'a' at 'roleSessionName' failed to satisfy constraint: Member must have length greater than or equal to 2; ` +
				`Value 'x' at 'externalId' failed to satisfy constraint: Member must have length greater than or equal to 2`},
		{"128 characters beyond ASCII are 128 characters", func(in *assumeRole) { in.Tags[0].Key = strings.Repeat("ü", 128) }, ""},
		{"bytes that are not UTF-8 match no pattern", func(in *assumeRole) { in.Tags[0].Key = "a\xff" },
			"1 validation error detected: Value 'a\uFFFD' at 'tags.1.member.key' failed to satisfy constraint: " +
				`Member must satisfy regular expression pattern: [\p{L}\p{Z}\p{N}_.:/=+\-@]+`},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			in := good()
			row.change(in)
			for _, v := range []any{in, *in} {
				err := s.Validate(v)
				if row.want == "" {
					if err != nil {
						t.Fatalf("Validate(%T) = %v, want nil", v, err)
					}
					continue
				}
				e, ok := errors.AsType[*awserr.Error](err)
				if !ok || !errors.Is(err, awserr.ValidationError) {
					t.Fatalf("Validate(%T) = %v, want a ValidationError", v, err)
				}
				if diff := cmp.Diff(row.want, e.Message); diff != "" {
					t.Errorf("message of Validate(%T) (-want +got):\n%s", v, diff)
				}
			}
		})
	}
}

func TestValidate_Enum(t *testing.T) {
	t.Parallel()
	type update struct {
		Status string   `aws:"Status,required" enum:"Active,Inactive"`
		Filter []string `aws:"Filter" itemenum:"User,Role"`
		Seed   []byte   `aws:"Seed" len:"1,4"`
		Empty  *struct {
			Name string `aws:"Name,required"`
		} `aws:"Empty"`
	}
	s := shape.For[update]()
	if err := s.Validate(&update{Status: "Active", Filter: []string{"Role"}, Seed: []byte("abcd")}); err != nil {
		t.Fatalf("the good twin: %v", err)
	}
	err := s.Validate(&update{Status: "active", Filter: []string{"Role", "Group"}, Seed: []byte("abcde"), Empty: &struct {
		Name string `aws:"Name,required"`
	}{}})
	want := "ValidationError: 4 validation errors detected: " +
		"Value 'active' at 'status' failed to satisfy constraint: Member must satisfy enum value set: [Active, Inactive]; " +
		"Value '[Role, Group]' at 'filter' failed to satisfy constraint: Member must satisfy constraint: [Member must satisfy enum value set: [User, Role], Member must not be null]; " +
		"Value at 'seed' failed to satisfy constraint: Member must have length less than or equal to 4; " +
		"Value null at 'empty.name' failed to satisfy constraint: Member must not be null"
	if diff := cmp.Diff(want, err.Error()); diff != "" {
		t.Errorf("message (-want +got):\n%s", diff)
	}
}

// TestValidate_Bounded: what a caller sends cannot make the answer grow without end.
func TestValidate_Bounded(t *testing.T) {
	t.Parallel()
	s := shape.For[assumeRole]()
	in := good()
	in.RoleSessionName = strings.Repeat("é", 100_000)
	in.TransitiveTagKeys = []string{strings.Repeat("#", 100_000), strings.Repeat("#", 100_000)}
	in.Tags = make([]tag, 2000)
	err := s.Validate(in)
	if !errors.Is(err, awserr.ValidationError) {
		t.Fatalf("Validate = %v", err)
	}
	message := err.Error()
	if !strings.HasPrefix(message, "ValidationError: 20 validation errors detected: ") || strings.Count(message, "failed to satisfy") != 20 {
		t.Errorf("the message does not list 20 failures: %.200s", message)
	}
	if !strings.Contains(message, "Value '"+strings.Repeat("é", 256)+"...' at 'roleSessionName'") {
		t.Errorf("the value is not cut to 256 characters: %.300s", message)
	}
	if len(message) > 8<<10 {
		t.Errorf("the message takes %d bytes", len(message))
	}
}

func TestValidate_GoodValueDoesNotAllocate(t *testing.T) {
	s, in := shape.For[assumeRole](), good()
	if n := testing.AllocsPerRun(100, func() { _ = s.Validate(in) }); n != 0 {
		t.Errorf("Validate allocates %v times", n)
	}
}

func BenchmarkValidate_AssumeRole(b *testing.B) {
	s, in := shape.For[assumeRole](), good()
	b.ReportAllocs()
	for b.Loop() {
		if err := s.Validate(in); err != nil {
			b.Fatal(err)
		}
	}
}
