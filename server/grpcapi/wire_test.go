package grpcapi_test

import (
	"bytes"
	"errors"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/iam"
	stsv1 "github.com/stint-sts/stint/proto/stint/sts/v1"
	"github.com/stint-sts/stint/secret"
	"github.com/stint-sts/stint/server/dispatch"
	"github.com/stint-sts/stint/server/grpcapi"
	"github.com/stint-sts/stint/shape"
	"github.com/stint-sts/stint/sts"
)

func wire[T any](t testing.TB, m proto.Message) grpcapi.Wire {
	t.Helper()
	w, err := grpcapi.Compile(shape.For[T](), m.ProtoReflect().Descriptor())
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// Every STS operation has an RPC whose messages have exactly the members of its types, and there is no other RPC.
func TestService_IsTheTable(t *testing.T) {
	t.Parallel()
	service := stsv1.File_stint_sts_v1_sts_proto.Services().ByName("STS")
	operations := 0
	for o := range dispatch.NewTable(&sts.Service{}, &iam.Service{}).All {
		if o.Service != "sts" {
			continue
		}
		operations++
		m := service.Methods().ByName(protoreflect.Name(o.Name))
		if m == nil {
			t.Errorf("%s has no RPC", o.Name)
			continue
		}
		if _, err := grpcapi.Compile(o.Input, m.Input()); err != nil {
			t.Errorf("%s: %v", o.Name, err)
		}
		if _, err := grpcapi.Compile(o.Output, m.Output()); err != nil {
			t.Errorf("%s: %v", o.Name, err)
		}
	}
	if operations == 0 || service.Methods().Len() != operations {
		t.Errorf("%d RPCs for %d operations", service.Methods().Len(), operations)
	}
}

func TestCompile_NamesWhatDiffers(t *testing.T) {
	t.Parallel()
	type (
		complete struct {
			Key   string `aws:"Key"`
			Value string `aws:"Value"`
		}
		less struct {
			Key string `aws:"Key"`
		}
		more struct {
			Key    string `aws:"Key"`
			Value  string `aws:"Value"`
			Colour string `aws:"Colour"`
		}
		otherType struct {
			Key   string `aws:"Key"`
			Value *int32 `aws:"Value"`
		}
		otherPresence struct {
			Key   string  `aws:"Key"`
			Value *string `aws:"Value"`
		}
		list struct {
			Key   string   `aws:"Key"`
			Value []string `aws:"Value"`
		}
		table struct {
			Key   string         `aws:"Key"`
			Value map[string]int `aws:"Value"`
		}
		timed struct {
			Key   string    `aws:"Key"`
			Value time.Time `aws:"Value"`
		}
	)
	tag := (&stsv1.Tag{}).ProtoReflect().Descriptor()
	if _, err := grpcapi.Compile(shape.For[complete](), tag); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name string
		s    *shape.Shape
		text string
	}{
		{"a field without a member", shape.For[less](), "has no member for stint.sts.v1.Tag.value"},
		{"a member without a field", shape.For[more](), "stint.sts.v1.Tag has no field for Colour"},
		{"another type", shape.For[otherType](), "stint.sts.v1.Tag.value: must be a int32"},
		{"another presence", shape.For[otherPresence](), "optional true"},
		{"a list", shape.For[list](), "repeated true"},
		{"a map", shape.For[table](), "has no form in protobuf"},
		{"a time", shape.For[timed](), "must be a message"},
	} {
		if _, err := grpcapi.Compile(row.s, tag); err == nil || !strings.Contains(err.Error(), row.text) {
			t.Errorf("%s: %v, want %q", row.name, err, row.text)
		}
	}
	if _, err := grpcapi.Compile(shape.For[sts.AssumeRoleInput](), (&stsv1.AssumeRoleResponse{}).ProtoReflect().Descriptor()); err == nil {
		t.Error("an input pairs with a response")
	}
}

var fullRequest = &stsv1.AssumeRoleRequest{
	RoleArn: "arn:aws:iam::111122223333:role/ü", RoleSessionName: "s", Policy: new(""), DurationSeconds: new(int32(-1)),
	PolicyArns: []*stsv1.PolicyDescriptor{{Arn: "a"}, {}, {Arn: strings.Repeat("b", 300)}},
	Tags:       []*stsv1.Tag{{Key: "k", Value: "v"}, {Key: "l"}}, TransitiveTagKeys: []string{"k", "", "m"}, ExternalId: "e",
	SerialNumber: "n", TokenCode: "123456", SourceIdentity: "i", ProvidedContexts: []*stsv1.ProvidedContext{{ProviderArn: "p", ContextAssertion: "c"}},
	MinimumSessionTokenSize: new(int32(math.MaxInt32)),
}

var fullInput = sts.AssumeRoleInput{
	RoleARN: "arn:aws:iam::111122223333:role/ü", RoleSessionName: "s", Policy: new(""), DurationSeconds: new(int32(-1)),
	PolicyARNs: []sts.PolicyDescriptor{{ARN: "a"}, {}, {ARN: strings.Repeat("b", 300)}},
	Tags:       []sts.Tag{{Key: "k", Value: "v"}, {Key: "l"}}, TransitiveTagKeys: []string{"k", "", "m"}, ExternalID: "e",
	SerialNumber: "n", TokenCode: secret.New("123456"), SourceIdentity: "i",
	ProvidedContexts: []sts.ProvidedContext{{ProviderARN: "p", ContextAssertion: secret.New("c")}}, MinTokenSize: new(int32(math.MaxInt32)),
}

var sameSecrets = cmp.Comparer(func(a, b secret.String) bool { return a.Equal(b) })

func TestDecode(t *testing.T) {
	t.Parallel()
	w := wire[sts.AssumeRoleInput](t, fullRequest)
	encoded, err := proto.Marshal(fullRequest)
	if err != nil {
		t.Fatal(err)
	}
	var got sts.AssumeRoleInput
	if err := w.Decode(encoded, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(fullInput, got, sameSecrets); diff != "" {
		t.Error(diff)
	}
	var empty sts.AssumeRoleInput
	if err := w.Decode(nil, &empty); err != nil || !reflect.ValueOf(empty).IsZero() {
		t.Errorf("an empty message gives %+v, %v", empty, err)
	}
}

func TestEncode(t *testing.T) {
	t.Parallel()
	token := strings.Repeat("t", 20_000)
	expires := time.Date(2026, 11, 28, 15, 0, 0, 0, time.UTC)
	got := wire[sts.AssumeRoleOutput](t, &stsv1.AssumeRoleResponse{}).Encode(&sts.AssumeRoleOutput{
		Credentials:     &sts.Credentials{AccessKeyID: "a", SecretAccessKey: secret.New("s"), SessionToken: secret.New(token), Expiration: expires},
		AssumedRoleUser: &sts.AssumedRoleUser{AssumedRoleID: "i", ARN: strings.Repeat("n", 127)}, PackedPolicySize: new(int32(0)),
		TokenSize: sts.TokenSize{SessionTokenSize: new(int32(-1))},
	})
	want := &stsv1.AssumeRoleResponse{
		Credentials:     &stsv1.Credentials{AccessKeyId: "a", SecretAccessKey: "s", SessionToken: token, Expiration: timestamppb.New(expires)},
		AssumedRoleUser: &stsv1.AssumedRoleUser{AssumedRoleId: "i", Arn: strings.Repeat("n", 127)}, PackedPolicySize: new(int32(0)),
		SessionTokenSize: new(int32(-1)),
	}
	var out stsv1.AssumeRoleResponse
	if err := proto.Unmarshal(got, &out); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, &out, protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
	inner := wire[sts.AssumeRoleInput](t, fullRequest)
	var in sts.AssumeRoleInput
	if err := inner.Decode(inner.Encode(&fullInput), &in); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(fullInput, in, sameSecrets); diff != "" {
		t.Errorf("encoded and decoded:\n%s", diff)
	}
}

// What a generated decoder takes in some way or other, and this one refuses.
func TestDecode_Refuses(t *testing.T) {
	t.Parallel()
	w := wire[sts.AssumeRoleInput](t, fullRequest)
	role := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), "r")
	seconds := protowire.AppendTag(nil, 5, protowire.VarintType)
	many := bytes.Repeat(protowire.AppendBytes(protowire.AppendTag(nil, 6, protowire.BytesType), nil), 1998)
	for _, row := range []struct {
		name, text string
		message    []byte
	}{
		{"nothing wrong", "", slices.Concat(many, role)},
		{"an unknown field", "", slices.Concat(role, []byte{0xF8, 0x7F, 1})},
		{"an unknown group", "", slices.Concat(role, []byte{0xFB, 0x7F, 0xFC, 0x7F})},
		{"a text twice", "The request gives a parameter more than once: RoleArn.", slices.Concat(role, role)},
		{"a number twice", "The request gives a parameter more than once: DurationSeconds.", []byte{5 << 3, 1, 5 << 3, 1}},
		{"a text twice in a list's member", "The request gives a parameter more than once: Key.", []byte{6<<3 | 2, 6, 10, 1, 'a', 10, 1, 'a'}},
		{"a number beyond 32 bits", "The value of parameter DurationSeconds must be an integer.", protowire.AppendVarint(seconds, 4294968196)},
		{"a text as a number", "The value of parameter RoleArn must be a text.", []byte{1 << 3, 1}},
		{"a number as a text", "The value of parameter DurationSeconds must be an integer.", []byte{5<<3 | 2, 1, 'a'}},
		{"a list of texts as numbers", "The value of parameter TransitiveTagKeys must be a list of texts.", []byte{7 << 3, 1}},
		{"bytes that are not UTF-8", "The value of parameter RoleArn must be a text.", []byte{10, 1, 0xFF}},
		{"NUL", "The value of parameter RoleArn must be a text.", []byte{10, 1, 0}},
		{"NUL in a secret", "The value of parameter TokenCode must be a text.", []byte{10<<3 | 2, 1, 0}},
		{"a length beyond the end", "The request is not a valid protobuf message.", []byte{10, 5, 'a'}},
		{"half a tag", "The request is not a valid protobuf message.", []byte{0x80}},
		{"field number 0", "The request is not a valid protobuf message.", []byte{2, 0}},
		{"an end without its group", "The request is not a valid protobuf message.", []byte{12}},
		{"more than 2,000 fields", "The request has more than 2000 parameters.", slices.Concat(many, role, []byte{0xF8, 0x7F, 1, 0xF8, 0x7F, 1})},
	} {
		err := w.Decode(row.message, new(sts.AssumeRoleInput))
		if row.text == "" {
			if err != nil {
				t.Errorf("%s: %v", row.name, err)
			}
			continue
		}
		if !errors.Is(err, awserr.MalformedInput) || awserr.From(err).Message != row.text {
			t.Errorf("%s: %v", row.name, err)
		}
	}
}

// What this decoder takes, a generated one reads as the same.
func FuzzDecode(f *testing.F) {
	w := wire[sts.AssumeRoleInput](f, fullRequest)
	full, err := proto.Marshal(fullRequest)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(full)
	f.Add([]byte{})
	f.Add([]byte{0xFB, 0x7F, 0xFC, 0x7F, 10, 1, 'a'})
	f.Fuzz(func(t *testing.T, message []byte) {
		var in sts.AssumeRoleInput
		if err := w.Decode(message, &in); err != nil {
			if !errors.Is(err, awserr.MalformedInput) {
				t.Errorf("%v", err)
			}
			return
		}
		var theirs, ours stsv1.AssumeRoleRequest
		if err := (proto.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(message, &theirs); err != nil {
			t.Fatalf("a generated decoder refuses it: %v", err)
		}
		if err := proto.Unmarshal(w.Encode(&in), &ours); err != nil {
			t.Fatal(err)
		}
		if !proto.Equal(&theirs, &ours) {
			t.Errorf("read as\n%v\nby a generated decoder as\n%v", &ours, &theirs)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	w := wire[sts.AssumeRoleInput](b, fullRequest)
	message, _ := proto.Marshal(&stsv1.AssumeRoleRequest{RoleArn: "arn:aws:iam::111122223333:role/worker", RoleSessionName: "monday"})
	b.ReportAllocs()
	for b.Loop() {
		if err := w.Decode(message, new(sts.AssumeRoleInput)); err != nil {
			b.Fatal(err)
		}
	}
}
