package awsquery_test

import (
	"errors"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/secret"
	"github.com/stint-sts/stint/server/awsquery"
	"github.com/stint-sts/stint/shape"
)

type tag struct {
	Key   string  `aws:"Key,required" len:"1,128" pattern:"tagKey"`
	Value *string `aws:"Value,required" len:"0,256" pattern:"tag"`
}

type policyRef struct {
	ARN string `aws:"arn" len:"20,2048" pattern:"arn"`
}

type assumeRoleInput struct {
	RoleARN           string        `aws:"RoleArn,required" len:"20,2048" pattern:"arn"`
	RoleSessionName   string        `aws:"RoleSessionName,required" len:"2,64" pattern:"name"`
	PolicyARNs        []policyRef   `aws:"PolicyArns"`
	Policy            string        `aws:"Policy" len:"1," pattern:"policyDocument"`
	DurationSeconds   *int32        `aws:"DurationSeconds" range:"900,43200"`
	Tags              []tag         `aws:"Tags" len:"0,50"`
	TransitiveTagKeys []string      `aws:"TransitiveTagKeys" len:"0,50" itemlen:"1,128" itempattern:"tagKey"`
	ExternalID        string        `aws:"ExternalId" len:"2,1224" pattern:"externalId"`
	TokenCode         secret.String `aws:"TokenCode" len:"6,6" pattern:"digits"`
}

type contextEntry struct {
	Name   string   `aws:"ContextKeyName"`
	Values []string `aws:"ContextKeyValues"`
}

// everyKind has a member of each kind that a request can carry, and names that are prefixes of each other.
type everyKind struct {
	Text     string         `aws:"Text"`
	TextMore string         `aws:"TextMore"`
	Optional *string        `aws:"Optional"`
	Secret   secret.String  `aws:"Secret"`
	Int      int            `aws:"Int"`
	Int32    *int32         `aws:"Int32"`
	Int64    *int64         `aws:"Int64"`
	Bool     bool           `aws:"Bool"`
	Flag     *bool          `aws:"Flag"`
	Time     time.Time      `aws:"Time"`
	Blob     []byte         `aws:"Blob"`
	Strings  []string       `aws:"Strings"`
	Structs  []tag          `aws:"Structs"`
	Struct   policyRef      `aws:"Struct"`
	Pointer  *policyRef     `aws:"Pointer"`
	Entries  []contextEntry `aws:"Entries"`
	Map      map[string]int `aws:"Map"`
}

func secretEqual(a, b secret.String) bool { return a.Equal(b) }

func TestDecode(t *testing.T) {
	t.Parallel()
	s := shape.For[everyKind]()
	for _, row := range []struct {
		name, query string
		want        everyKind
	}{
		{"nothing", "", everyKind{}},
		{"unknown parameters", "Other=1&Structs.Key=a&Structs.1.Key=a&Text.member.1=a&AWSAccessKeyId=x&Signature=y", everyKind{}},
		{"texts", "Text=a%26b&TextMore=c&Optional=&Secret=s", everyKind{
			Text: "a&b", TextMore: "c", Optional: new(""), Secret: secret.New("s")}},
		{"numbers", "Int=7&Int32=900&Int64=-9223372036854775808", everyKind{
			Int: 7, Int32: new(int32(900)), Int64: new(int64(-1 << 63))}},
		{"a number with a sign", "Int32=%2B900", everyKind{Int32: new(int32(900))}},
		{"a number with leading zeros", "Int32=0900", everyKind{Int32: new(int32(900))}},
		{"truth", "Bool=true&Flag=False", everyKind{Bool: true, Flag: new(false)}},
		{"time", "Time=2026-08-07T10:00:00.500%2B02:00", everyKind{Time: time.Date(2026, 8, 7, 8, 0, 0, 5e8, time.UTC)}},
		{"blob", "Blob=AP8%3D", everyKind{Blob: []byte{0, 255}}},
		{"list of texts", "Strings.member.1=a&Strings.member.2=b", everyKind{Strings: []string{"a", "b"}}},
		{"list out of order, with gaps, past ten", "Strings.member.10=c&Strings.member.2=b&Strings.member.0=a&Strings.member.999999999=d",
			everyKind{Strings: []string{"a", "b", "c", "d"}}},
		{"list with an empty text", "Strings.member.1=", everyKind{Strings: []string{""}}},
		{"empty lists", "Strings=&Structs=", everyKind{Strings: []string{}, Structs: []tag{}}},
		{"list of structures", "Structs.member.2.Key=b&Structs.member.1.Value=1&Structs.member.1.Key=a&Structs.member.10.Value=", everyKind{
			Structs: []tag{{"a", new("1")}, {"b", nil}, {"", new("")}}}},
		{"structures", "Struct.arn=a&Pointer.arn=b", everyKind{Struct: policyRef{"a"}, Pointer: &policyRef{"b"}}},
		{"empty structure", "Pointer=", everyKind{}},
		{"list in a list", "Entries.member.1.ContextKeyName=k&Entries.member.1.ContextKeyValues.member.2=w&Entries.member.1.ContextKeyValues.member.1=v" +
			"&Entries.member.2.ContextKeyValues=", everyKind{
			Entries: []contextEntry{{"k", []string{"v", "w"}}, {"", []string{}}}}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			for _, padding := range []string{"", "&Padding=" + strings.Repeat("x", 10_000)} { // beyond some size texts are copied
				form, err := awsquery.ParseForm("GET", "", row.query+padding, nil)
				if err != nil {
					t.Fatal(err)
				}
				var got everyKind
				if err := awsquery.Decode(form, s, &got); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(row.want, got, cmp.Comparer(secretEqual)); diff != "" {
					t.Errorf("decoded (-want +got):\n%s", diff)
				}
			}
		})
	}
}

func TestDecode_MalformedInput(t *testing.T) {
	t.Parallel()
	s := shape.For[everyKind]()
	for _, row := range []struct{ name, query, twin string }{
		{"number with letters", "Int32=12x", "Int32=12"},
		{"number with a fraction", "Int32=900.0", "Int32=900"},
		{"number with an underscore", "Int32=9_00", "Int32=900"},
		{"number in hexadecimal", "Int32=0x10", "Int32=10"},
		{"empty number", "Int32=", "Int32=0"},
		{"number beyond 32 bits", "Int32=2147483648", "Int32=2147483647"},
		{"number beyond 64 bits", "Int64=9223372036854775808", "Int64=9223372036854775807"},
		{"truth that is neither", "Flag=yes", "Flag=true"},
		{"time of another form", "Time=20260807T100000Z", "Time=2026-08-07T10:00:00Z"},
		{"blob that is not base64", "Blob=%21", "Blob=AA%3D%3D"},
		{"list given as a text", "Strings=a", "Strings="},
		{"list empty and not", "Strings=&Strings.member.1=a", "Strings.member.1=a"},
		{"structure given as a text", "Pointer=a", "Pointer.arn=a"},
		{"index that is not a number", "Strings.member.one=a", "Strings.member.1=a"},
		{"negative index", "Strings.member.-1=a", "Strings.member.1=a"},
		{"index with a leading zero", "Strings.member.01=a", "Strings.member.1=a"},
		{"no index", "Strings.member.=a", "Strings.member.1=a"},
		{"index beyond nine digits", "Strings.member.1000000000=a", "Strings.member.999999999=a"},
		{"index of a structure that is not a number", "Structs.member.x.Key=a", "Structs.member.1.Key=a"},
		{"index of a structure with other characters", "Structs.member.1-1.Key=a&Structs.member.1.Key=a", "Structs.member.1.Key=a"},
		{"structure in a list of texts", "Strings.member.1.Key=a", "Strings.member.1=a"},
		{"text in a list of structures", "Structs.member.1=a", "Structs.member.1.Key=a"},
		{"map", "Map=a", "Map.entry.1.key=a"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if err := decode(t, row.twin, s); err != nil {
				t.Fatalf("the good twin: %v", err)
			}
			err := decode(t, row.query, s)
			if !errors.Is(err, awserr.MalformedInput) {
				t.Errorf("Decode = %v, want MalformedInput", err)
			}
		})
	}
}

func decode(t *testing.T, query string, s *shape.Shape) error {
	t.Helper()
	form, err := awsquery.ParseForm("GET", "", query, nil)
	if err != nil {
		t.Fatal(err)
	}
	return awsquery.Decode(form, s, reflect.New(s.Type()).Interface())
}

func TestDecode_NeedsAPointer(t *testing.T) {
	t.Parallel()
	form, err := awsquery.ParseForm("GET", "", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	s := shape.For[policyRef]()
	if err := awsquery.Decode(form, s, &policyRef{}); err != nil {
		t.Fatal(err)
	}
	for _, into := range []any{policyRef{}, (*policyRef)(nil), nil} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("Decode into %#v passes", into)
				}
			}()
			_ = awsquery.Decode(form, s, into)
		}()
	}
}

// FuzzDecode: no form panics or takes more members than it has parameters, and what decodes decodes the same from its
// parameters in another order.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		"", "Action=AssumeRole&Version=2011-06-15&Text=a", "Strings.member.1=a&Strings.member.10=b", "Strings=&Structs=", "Structs.member.1.Key=a&Structs.member.1.Value=b",
		"Entries.member.1.ContextKeyValues.member.1=v", "Int32=%2B900&Int64=1&Bool=true&Flag=false&Int=0900", "Time=2026-08-07T10:00:00Z&Blob=AA%3D%3D",
		"Struct.arn=a&Pointer.arn=b", "X-Amz-Date=1&X-Amz-Date=2", "a=%zz", "a=%", "a=1&a=2", "Structs.member.1-1.Key=a&Structs.member.1.Key=b&Structs.member.1.=c", "=&;", "Map=a",
		"Text=%ff", "Text=%00", "Strings.member.01=a", "Strings.member.=",
	} {
		f.Add(seed, seed)
	}
	s := shape.For[everyKind]()
	f.Fuzz(func(t *testing.T, query, body string) {
		form, err := awsquery.ParseForm("POST", formType, query, []byte(body))
		if err != nil {
			if e := awserr.From(err); e.Kind != awserr.MalformedInput && e.Kind != awserr.MalformedQueryString {
				t.Fatalf("ParseForm = %v", err)
			}
			return
		}
		var got everyKind
		if err := awsquery.Decode(form, s, &got); err != nil {
			if !errors.Is(err, awserr.MalformedInput) {
				t.Fatalf("Decode = %v", err)
			}
			return
		}
		if n := strings.Count(query, "&") + strings.Count(body, "&") + 2; len(got.Strings)+len(got.Structs)+len(got.Entries) > n {
			t.Fatalf("%d parameters became %d members", n, len(got.Strings)+len(got.Structs)+len(got.Entries))
		}
		swapped, err := awsquery.ParseForm("POST", formType, body, []byte(query))
		if err != nil {
			t.Fatalf("query and body swapped: %v", err)
		}
		var again everyKind
		if err := awsquery.Decode(swapped, s, &again); err != nil {
			t.Fatalf("query and body swapped: %v", err)
		}
		if diff := cmp.Diff(got, again, cmp.Comparer(secretEqual)); diff != "" {
			t.Errorf("query and body swapped:\n%s", diff)
		}
		_ = s.Validate(&got)
		awsquery.AppendSuccess(nil, awsquery.XML, awsquery.NamespaceSTS, "Fuzz", "id", s, &got)
	})
}

var assumeRoleForm = []byte(url.Values{
	"Action": {"AssumeRole"}, "Version": {"2011-06-15"}, "RoleArn": {"arn:aws:iam::123456789012:role/application"}, "RoleSessionName": {"build-42"},
	"DurationSeconds": {"3600"}, "ExternalId": {"external"}, "TransitiveTagKeys.member.1": {"Project"},
	"Tags.member.1.Key": {"Project"}, "Tags.member.1.Value": {"Unicorn"}, "Tags.member.2.Key": {"Team"}, "Tags.member.2.Value": {"blue green"},
	"Tags.member.3.Key": {"CostCenter"}, "Tags.member.3.Value": {"12345"},
}.Encode())

func BenchmarkDecode_AssumeRole(b *testing.B) {
	s := shape.For[assumeRoleInput]()
	b.ReportAllocs()
	for b.Loop() {
		form, err := awsquery.ParseForm("POST", formType, "", assumeRoleForm)
		if err != nil {
			b.Fatal(err)
		}
		var in assumeRoleInput
		if err := awsquery.Decode(form, s, &in); err != nil || len(in.Tags) != 3 {
			b.Fatal(err, in)
		}
	}
}
