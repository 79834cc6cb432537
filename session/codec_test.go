package session_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stint-sts/stint/session"
)

var issued = time.Date(2026, 11, 28, 13, 0, 0, 123_000_000, time.UTC)

// roleSession is what AssumeRole leaves behind: the typical record.
func roleSession(change func(*session.Record)) *session.Record {
	r := &session.Record{
		AccessKeyID: "ASIAQEFWAZTKHPHHHTHG", Account: "123456789012", Kind: session.KindRole, EntityID: "AROAQEFWAZTKHPHHHTHGA",
		EntityARN: "arn:aws:iam::123456789012:role/teams/data/Reader", ARN: "arn:aws:sts::123456789012:assumed-role/Reader/build-4711",
		SessionName: "build-4711", Parent: "AKIAQEFWAZTKHPHHHTHG", IssuedAt: issued, ExpiresAt: issued.Add(time.Hour),
	}
	if change != nil {
		change(r)
	}
	return r
}

var goodRecords = []struct {
	name   string
	record *session.Record
}{
	{"role session", roleSession(nil)},
	{"role session, chained, with MFA and source identity", roleSession(func(r *session.Record) {
		r.Chained, r.MFA, r.SourceIdentity = true, true, "alice@example.com"
	})},
	{"federated role session", roleSession(func(r *session.Record) {
		r.Parent, r.Issuer, r.Subject = "", "arn:aws:iam::123456789012:oidc-provider/token.example.com", "repo:acme/app:ref:refs/heads/main"
	})},
	{"role without a path", roleSession(func(r *session.Record) { r.EntityARN = "arn:aws:iam::123456789012:role/Reader" })},
	{"session ARN of another role", roleSession(func(r *session.Record) { r.ARN = "arn:aws:sts::123456789012:assumed-role/Writer/build-4711" })},
	{"session ARN of another account", roleSession(func(r *session.Record) { r.ARN = "arn:aws:sts::210987654321:assumed-role/Reader/build-4711" })},
	{"session ARN with more behind it", roleSession(func(r *session.Record) { r.ARN += "/x" })},
	{"foreign partition", roleSession(func(r *session.Record) {
		r.EntityARN, r.ARN = strings.Replace(r.EntityARN, "aws", "aws-cn", 1), strings.Replace(r.ARN, "aws", "aws-cn", 1)
	})},
	{"user session", roleSession(func(r *session.Record) {
		r.Kind, r.EntityID, r.SessionName = session.KindUser, "AIDAQEFWAZTKHPHHHTHGA", ""
		r.EntityARN = "arn:aws:iam::123456789012:user/ops/alice"
		r.ARN = r.EntityARN
	})},
	{"session of root", roleSession(func(r *session.Record) {
		r.Kind, r.EntityID, r.SessionName, r.EntityARN, r.ARN = session.KindUser, r.Account, "", "arn:aws:iam::123456789012:root", "arn:aws:iam::123456789012:root"
	})},
	{"federated user", roleSession(func(r *session.Record) {
		r.Kind, r.EntityARN, r.ARN = session.KindFederation, "arn:aws:iam::123456789012:user/bob", "arn:aws:sts::123456789012:federated-user/build-4711"
	})},
	{"root of a member account", roleSession(func(r *session.Record) {
		r.Kind, r.SessionName, r.EntityARN, r.ARN = session.KindRoot, "", "arn:aws:iam::123456789012:root", "arn:aws:iam::123456789012:root"
	})},
	{"only what is required", &session.Record{
		AccessKeyID: "A", Account: "1", Kind: session.KindUser, EntityID: "x", IssuedAt: issued, ExpiresAt: issued,
	}},
	{"longest lifetime, text that is not ASCII", roleSession(func(r *session.Record) {
		r.ExpiresAt, r.Subject = issued.Add(session.MaxLifetime), "Zoë \x00\xff"
	})},
}

var badRecords = []struct {
	name   string
	change func(*session.Record)
}{
	{"no access key id", func(r *session.Record) { r.AccessKeyID = "" }},
	{"access key id with a slash", func(r *session.Record) { r.AccessKeyID = "ASIA/X" }},
	{"access key id too long", func(r *session.Record) { r.AccessKeyID = strings.Repeat("A", 129) }},
	{"no account", func(r *session.Record) { r.Account = "" }},
	{"entity id with a brace", func(r *session.Record) { r.EntityID = "AROA{x}" }},
	{"no kind", func(r *session.Record) { r.Kind = "" }},
	{"unknown kind", func(r *session.Record) { r.Kind = "service" }},
	{"subject too long", func(r *session.Record) { r.Subject = strings.Repeat("s", 2049) }},
	{"all texts too long together", func(r *session.Record) {
		long := strings.Repeat("s", 2048)
		r.EntityARN, r.ARN, r.Issuer, r.Subject = long, strings.Repeat("t", 2048), long, long
	}},
	{"ends before it begins", func(r *session.Record) { r.ExpiresAt = issued.Add(-time.Millisecond) }},
	{"lives longer than any session may", func(r *session.Record) { r.ExpiresAt = issued.Add(session.MaxLifetime + time.Millisecond) }},
	{"no time of issue", func(r *session.Record) { r.IssuedAt, r.ExpiresAt = time.Time{}, time.Time{} }},
}

func TestCodec_RoundTrip(t *testing.T) {
	t.Parallel()
	for _, row := range goodRecords {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			b, err := session.AppendRecord([]byte("before"), row.record)
			if err != nil {
				t.Fatal(err)
			}
			encoded := strings.TrimPrefix(string(b), "before")
			got, err := session.DecodeRecord(encoded)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(row.record, got); diff != "" {
				t.Errorf("decoded record differs (-want +got):\n%s", diff)
			}
			if key := session.EncodedKey(encoded); key != row.record.Key() {
				t.Errorf("EncodedKey = %q, want %q", key, row.record.Key())
			}
		})
	}
}

func TestCodec_TypicalRecordIsSmall(t *testing.T) {
	t.Parallel()
	b, err := session.AppendRecord(nil, roleSession(nil))
	if err != nil {
		t.Fatal(err)
	}
	if len(b) > 128 {
		t.Errorf("a typical record takes %d bytes, more than 128", len(b))
	}
}

func TestCodec_RefusesRecordsOutOfBounds(t *testing.T) {
	t.Parallel()
	if _, err := session.AppendRecord(nil, roleSession(nil)); err != nil {
		t.Fatalf("the twin within bounds: %v", err)
	}
	for _, row := range badRecords {
		b, err := session.AppendRecord([]byte("before"), roleSession(row.change))
		if !errors.Is(err, session.ErrInvalid) || string(b) != "before" {
			t.Errorf("%s: %d bytes, error %v, want ErrInvalid and dst as it was", row.name, len(b), err)
		}
	}
}

func TestCodec_RefusesDamage(t *testing.T) {
	t.Parallel()
	b, err := session.AppendRecord(nil, roleSession(nil))
	if err != nil {
		t.Fatal(err)
	}
	good := string(b)
	if _, err := session.DecodeRecord(good); err != nil {
		t.Fatalf("the undamaged twin: %v", err)
	}
	for n := range len(good) {
		if _, err := session.DecodeRecord(good[:n]); !errors.Is(err, session.ErrDamaged) {
			t.Errorf("cut to %d bytes: %v, want ErrDamaged", n, err)
		}
	}
	for _, row := range []struct{ name, encoded string }{
		{"a byte behind the end", good + "\x00"},
		{"another version", "\x02" + good[1:]},
		{"an ARN written out that is left out", strings.Replace(good, "\x11teams/data/Reader", "\x31arn:aws:iam::123456789012:role/teams/data/Reader", 1)},
		{"longer than a record may be", good + strings.Repeat("x", session.MaxEncoded)},
	} {
		if _, err := session.DecodeRecord(row.encoded); !errors.Is(err, session.ErrDamaged) {
			t.Errorf("%s: %v, want ErrDamaged", row.name, err)
		}
		if _, err := session.DecodeRecord(row.encoded); errors.Is(err, session.ErrInvalid) {
			t.Errorf("%s: blamed on the caller", row.name)
		}
	}
}

func FuzzDecodeRecord(f *testing.F) {
	for _, row := range goodRecords {
		b, err := session.AppendRecord(nil, row.record)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(b))
	}
	f.Fuzz(func(t *testing.T, encoded string) {
		r, err := session.DecodeRecord(encoded)
		if err != nil {
			if r != nil || !errors.Is(err, session.ErrDamaged) {
				t.Fatalf("record %v with error %v", r, err)
			}
			return
		}
		b, err := session.AppendRecord(nil, r)
		if err != nil || string(b) != encoded {
			t.Fatalf("decoded, but encodes as %q, %v", b, err)
		}
		if session.EncodedKey(encoded) != r.Key() {
			t.Fatalf("EncodedKey = %q, Key = %q", session.EncodedKey(encoded), r.Key())
		}
	})
}

// FuzzAppendRecord shows that no field leaks into another.
func FuzzAppendRecord(f *testing.F) {
	for _, row := range goodRecords {
		r := row.record
		f.Add(r.Account, r.EntityID, r.EntityARN, r.ARN, r.SessionName, r.Issuer, r.Subject)
	}
	f.Fuzz(func(t *testing.T, account, entityID, entityARN, arn, name, issuer, subject string) {
		r := roleSession(func(r *session.Record) {
			r.Account, r.EntityID, r.EntityARN, r.ARN, r.SessionName, r.Issuer, r.Subject = account, entityID, entityARN, arn, name, issuer, subject
		})
		b, err := session.AppendRecord(nil, r)
		if err != nil {
			return
		}
		got, err := session.DecodeRecord(string(b))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(r, got); diff != "" {
			t.Fatalf("decoded record differs (-want +got):\n%s", diff)
		}
	})
}

func BenchmarkAppendRecord(b *testing.B) {
	r, buffer := roleSession(nil), make([]byte, 0, 512)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := session.AppendRecord(buffer, r); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeRecord(b *testing.B) {
	encoded, err := session.AppendRecord(nil, roleSession(nil))
	if err != nil {
		b.Fatal(err)
	}
	s := string(encoded)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := session.DecodeRecord(s); err != nil {
			b.Fatal(err)
		}
	}
}
