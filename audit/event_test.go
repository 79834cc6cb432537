package audit_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/stint-sts/stint/audit"
	"github.com/stint-sts/stint/secret"
)

var eventTime = time.Date(2026, 11, 28, 12, 0, 0, 123456789, time.UTC)

func assumeRole() *audit.Event {
	return &audit.Event{
		Time: eventTime, Source: "sts.amazonaws.com", Name: "AssumeRole", Region: "eu-west-1", SourceIP: "192.0.2.1",
		UserAgent: "aws-cli/2.31.0",
		RequestParameters: []audit.Attr{
			audit.String("roleArn", "arn:aws:iam::123456789012:role/Deploy"),
			audit.Int("durationSeconds", 3600),
			audit.Objects("tags", [][]audit.Attr{
				{audit.String("key", "Project"), audit.String("value", "Unicorn")},
				{audit.String("key", "Team"), audit.String("value", "")},
			}),
			audit.Strings("transitiveTagKeys", []string{"Project", "Team"}),
		},
		ResponseElements: []audit.Attr{
			audit.Object("credentials", audit.String("accessKeyId", "ASIAIOSFODNN7EXAMPLE"),
				audit.Time("expiration", eventTime.Add(time.Hour))),
			audit.Bool("packed", true), audit.Bool("chained", false),
		},
		Additional: []audit.Attr{audit.Object("decision", audit.String("effect", "Allow"))},
		RequestID:  "58c5dbae-abef-41e0-8cfe-09039844ac7d", EventID: "e7d5a3a1-0c2f-4e0f-9d43-0b1b6fbb0c55", Type: "AwsApiCall",
		ReadOnly: true, RecipientAccountID: "123456789012",
		Identity: audit.Identity{
			Type: "AssumedRole", PrincipalID: "AROAEXAMPLE:build", ARN: "arn:aws:sts::123456789012:assumed-role/CI/build",
			AccountID: "123456789012", AccessKeyID: "ASIAEXAMPLE",
			Session: &audit.Session{
				Issuer: audit.Issuer{
					Type: "Role", PrincipalID: "AROAEXAMPLE", ARN: "arn:aws:iam::123456789012:role/CI", AccountID: "123456789012",
					UserName: "CI",
				},
				Created: eventTime.Add(-time.Minute), SourceIdentity: "alice",
			},
		},
	}
}

func TestEvent_Golden(t *testing.T) {
	t.Parallel()
	failed := &audit.Event{
		Time: eventTime, Source: "sts.amazonaws.com", Name: "GetCallerIdentity", Type: "AwsApiCall", ErrorCode: "InvalidClientTokenId",
		ErrorMessage: "The security token included in the request is invalid", EventID: "1",
		Identity: audit.Identity{Type: "Unknown", Session: &audit.Session{Created: eventTime, MFAAuthenticated: true}},
	}
	for _, row := range []struct {
		name, want string
		event      *audit.Event
	}{
		{"success of a session", `{"eventVersion":"1.11","userIdentity":{"type":"AssumedRole","principalId":"AROAEXAMPLE:build",` +
			`"arn":"arn:aws:sts::123456789012:assumed-role/CI/build","accountId":"123456789012","accessKeyId":"ASIAEXAMPLE",` +
			`"sessionContext":{"sessionIssuer":{"type":"Role","principalId":"AROAEXAMPLE","arn":"arn:aws:iam::123456789012:role/CI",` +
			`"accountId":"123456789012","userName":"CI"},"attributes":{"creationDate":"2026-11-28T11:59:00Z",` +
			`"mfaAuthenticated":"false"},"sourceIdentity":"alice"}},"eventTime":"2026-11-28T12:00:00Z",` +
			`"eventSource":"sts.amazonaws.com","eventName":"AssumeRole","awsRegion":"eu-west-1","sourceIPAddress":"192.0.2.1",` +
			`"userAgent":"aws-cli/2.31.0","requestParameters":{"roleArn":"arn:aws:iam::123456789012:role/Deploy",` +
			`"durationSeconds":3600,"tags":[{"key":"Project","value":"Unicorn"},{"key":"Team","value":""}],` +
			`"transitiveTagKeys":["Project","Team"]},"responseElements":{"credentials":{"accessKeyId":"ASIAIOSFODNN7EXAMPLE",` +
			`"expiration":"2026-11-28T13:00:00Z"},"packed":true,"chained":false},"additionalEventData":{"decision":` +
			`{"effect":"Allow"}},"requestID":"58c5dbae-abef-41e0-8cfe-09039844ac7d",` +
			`"eventID":"e7d5a3a1-0c2f-4e0f-9d43-0b1b6fbb0c55","readOnly":true,"eventType":"AwsApiCall","managementEvent":true,` +
			`"recipientAccountId":"123456789012","eventCategory":"Management"}`, assumeRole()},
		{"failure of nobody", `{"eventVersion":"1.11","userIdentity":{"type":"Unknown","sessionContext":{"attributes":` +
			`{"creationDate":"2026-11-28T12:00:00Z","mfaAuthenticated":"true"}}},"eventTime":"2026-11-28T12:00:00Z",` +
			`"eventSource":"sts.amazonaws.com","eventName":"GetCallerIdentity","awsRegion":"","sourceIPAddress":"","userAgent":"",` +
			`"errorCode":"InvalidClientTokenId","errorMessage":"The security token included in the request is invalid",` +
			`"requestParameters":null,"responseElements":null,"eventID":"1","readOnly":false,"eventType":"AwsApiCall",` +
			`"managementEvent":true,"eventCategory":"Management"}`, failed},
	} {
		got := string(audit.AppendEvent(nil, row.event))
		if d := cmp.Diff(row.want, got); d != "" || !json.Valid([]byte(got)) {
			t.Errorf("%s (-want +got):\n%s\n%s", row.name, d, got)
		}
	}
}

// TestAttr_TakesNoSecret makes sure that no constructor has a parameter through which a secret could pass unseen.
func TestAttr_TakesNoSecret(t *testing.T) {
	t.Parallel()
	for name, constructor := range map[string]any{
		"String": audit.String, "Int": audit.Int, "Bool": audit.Bool, "Time": audit.Time, "Strings": audit.Strings,
		"Object": audit.Object, "Objects": audit.Objects,
	} {
		f := reflect.TypeOf(constructor)
		for i := range f.NumIn() {
			if reflect.TypeFor[secret.String]().AssignableTo(f.In(i)) {
				t.Errorf("%s takes a secret as its parameter %d", name, i)
			}
		}
	}
	for i := range reflect.TypeFor[audit.Attr]().NumField() {
		if f := reflect.TypeFor[audit.Attr]().Field(i); f.IsExported() {
			t.Errorf("Attr.%s can be set without a constructor", f.Name)
		}
	}
}

// decoded returns what a reader gets for a text that was written as an attribute.
func decoded(t *testing.T, attrs ...audit.Attr) map[string]any {
	t.Helper()
	line := audit.AppendEvent(nil, &audit.Event{RequestParameters: attrs})
	var event struct{ RequestParameters map[string]any }
	if err := json.Unmarshal(line, &event); err != nil {
		t.Fatalf("%v: %s", err, line)
	}
	return event.RequestParameters
}

func TestEvent_Bounds(t *testing.T) {
	t.Parallel()
	t.Run("a long text is cut between two characters and marked", func(t *testing.T) {
		t.Parallel()
		for _, s := range []string{strings.Repeat("é", 9000), "x" + strings.Repeat("é", 9000), strings.Repeat("😀x", 9000)} {
			got, _ := decoded(t, audit.String("s", s))["s"].(string)
			head, ok := strings.CutSuffix(got, "...[truncated]")
			if !ok || !strings.HasPrefix(s, head) || len(head) < 16<<10-3 || len(head) > 16<<10 {
				t.Errorf("got %d bytes ending in %q", len(got), got[max(0, len(got)-30):])
			}
		}
	})
	t.Run("a text at the bound is whole", func(t *testing.T) {
		t.Parallel()
		s := strings.Repeat("x", 16<<10)
		if got := decoded(t, audit.String("s", s))["s"]; got != s {
			t.Error("the text was changed")
		}
	})
	t.Run("too many attributes are left out and the event says so", func(t *testing.T) {
		t.Parallel()
		var attrs []audit.Attr
		for range 1000 {
			attrs = append(attrs, audit.String(strings.Repeat("n", len(attrs)%200+1), strings.Repeat("\x00", 1000)))
		}
		list := make([]string, 100000)
		for _, attrs := range [][]audit.Attr{
			attrs, {audit.Strings("list", list)}, {audit.Objects("groups", [][]audit.Attr{attrs, attrs, nil})},
			{audit.String("a", strings.Repeat("\x00", 16<<10)), audit.String("b", strings.Repeat("\x00", 16<<10)),
				audit.Strings("list", list)},
		} {
			line := audit.AppendEvent(nil, &audit.Event{RequestParameters: attrs, ResponseElements: attrs, Additional: attrs})
			if !json.Valid(line) || !strings.Contains(string(line), "truncated") || len(line) > 256<<10 {
				t.Errorf("%d bytes, valid %v", len(line), json.Valid(line))
			}
		}
	})
	t.Run("objects nest to a bounded depth", func(t *testing.T) {
		t.Parallel()
		a := audit.Int("leaf", 1)
		for range 1000 {
			a = audit.Object("o", a)
		}
		line := audit.AppendEvent(nil, &audit.Event{RequestParameters: []audit.Attr{a}})
		if !json.Valid(line) || !strings.Contains(string(line), `"truncated":true`) || len(line) > 1000 {
			t.Errorf("%d bytes: %.200s", len(line), line)
		}
	})
}

var hostile = []string{
	"", "plain", "a\"b\\c", "line\nbreak\r\t\x00\x1b[2J\x7f", "\u0085\u2028\u2029\u202e\u2066\u200f\u061c", "\xff\xfe\xc3",
	"é€😀\ufffd", `","eventName":"Forged`, "</script>&",
}

// checkText compares the encoding of a text with what encoding/json makes of it.
func checkText(t *testing.T, s string) {
	t.Helper()
	line := audit.AppendEvent(nil, &audit.Event{
		UserAgent: s, ErrorMessage: s, RequestParameters: []audit.Attr{audit.String(s, s), audit.Strings("list", []string{s, s})},
	})
	if !json.Valid(line) || !utf8.Valid(line) {
		t.Fatalf("not JSON: %q", line)
	}
	for _, r := range string(line) {
		if unicode.Is(unicode.Cc, r) || unicode.Is(unicode.Bidi_Control, r) || r == 0x2028 || r == 0x2029 {
			t.Fatalf("control character %U in %q", r, line)
		}
	}
	if len(s) > 256 {
		return // cut
	}
	standard, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var want string
	if err := json.Unmarshal(standard, &want); err != nil {
		t.Fatal(err)
	}
	var event struct {
		UserAgent         string
		ErrorMessage      string
		RequestParameters map[string]any
	}
	if err := json.Unmarshal(line, &event); err != nil {
		t.Fatal(err)
	}
	if event.UserAgent != want || event.ErrorMessage != want || s != "list" && event.RequestParameters[want] != want {
		t.Fatalf("%q reads %q, %q, %q, want %q", s, event.UserAgent, event.ErrorMessage, event.RequestParameters, want)
	}
}

func TestEvent_HostileText(t *testing.T) {
	t.Parallel()
	for _, s := range hostile {
		checkText(t, s)
	}
}

func FuzzEvent(f *testing.F) {
	for _, s := range hostile {
		f.Add(s)
	}
	f.Fuzz(checkText)
}
