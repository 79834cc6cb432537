package grpcsig_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	stsv1 "github.com/stint-sts/stint/proto/stint/sts/v1"
	"github.com/stint-sts/stint/secret"
	"github.com/stint-sts/stint/sigv4"
	"github.com/stint-sts/stint/sigv4/grpcsig"
)

func TestCodec(t *testing.T) {
	t.Parallel()
	c := grpcsig.Codec()
	if c.Name() != "proto" {
		t.Errorf("name %q", c.Name())
	}
	raw := []byte{0x0a, 0x01, 'x'}
	sent, err := c.Marshal(&grpcsig.Message{Bytes: raw})
	if err != nil || !bytes.Equal(sent.Materialize(), raw) {
		t.Errorf("a message is sent as %x, %v", sent.Materialize(), err)
	}
	var got grpcsig.Message
	if err := c.Unmarshal(mem.BufferSlice{mem.SliceBuffer(raw[:1]), mem.SliceBuffer(raw[1:])}, &got); err != nil || !bytes.Equal(got.Bytes, raw) {
		t.Errorf("received %x, %v", got.Bytes, err)
	}
	tag := &stsv1.Tag{Key: "x"}
	sent, err = c.Marshal(tag)
	var out stsv1.Tag
	if err != nil || c.Unmarshal(sent, &out) != nil || !proto.Equal(tag, &out) {
		t.Errorf("a protobuf message comes back as %v, %v", &out, err)
	}
	if _, err := c.Marshal("text"); err == nil {
		t.Error("a string has been encoded")
	}
}

func TestRequest_LeavesOutWhatCannotBeSigned(t *testing.T) {
	t.Parallel()
	r := grpcsig.Request("/a/B", "host:1", metadata.MD{
		":authority": {"other"}, "host": {"other"}, "date": {"Sat, 28 Nov 2026 15:00:00 GMT"}, "trace-bin": {"\x00"}, "x-amz-date": {"d"}, "x-colour": {"red", "blue"},
	}, true, []byte("m"))
	if r.Method != "POST" || r.Path != "/a/B" || r.Host != "host:1" || !r.TLS || string(r.Body) != "m" || r.RawQuery != "" {
		t.Errorf("request %+v", r)
	}
	if len(r.Header) != 2 || r.Header["X-Amz-Date"][0] != "d" || len(r.Header["X-Colour"]) != 2 {
		t.Errorf("header %v", r.Header)
	}
}

func TestSign_RefusesARelativeMethod(t *testing.T) {
	t.Parallel()
	if _, err := grpcsig.Sign("stint.sts.v1.STS/AssumeRole", "h", nil, sigv4.Credentials{}, "r", time.Now()); err == nil {
		t.Error("signed")
	}
}

// Whatever a stranger makes of a signed call, it is refused unless method, server, message, time and token are those that were
// signed.
func FuzzRequest(f *testing.F) {
	const method, authority, key = "/stint.sts.v1.STS/AssumeRole", "sts.example.com:8471", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
	at := time.Date(2026, 11, 28, 15, 0, 0, 0, time.UTC)
	message, token := []byte{0x0a, 0x01, 'r'}, "token"
	md, err := grpcsig.Sign(method, authority, message, sigv4.Credentials{
		AccessKeyID: "ASIAIOSFODNN7EXAMPLE", SecretAccessKey: secret.New(key), SessionToken: secret.New(token),
	}, "eu-west-1", at)
	if err != nil {
		f.Fatal(err)
	}
	lines := func(md metadata.MD) string {
		var b strings.Builder
		for name, values := range md {
			for _, v := range values {
				b.WriteString(name + ": " + v + "\n")
			}
		}
		return b.String()
	}
	if err := verify(grpcsig.Request(method, authority, md, false, message), key, at); err != nil {
		f.Fatal(err)
	}
	f.Add(method, authority, lines(md), message)
	f.Add("/stint.sts.v1.STS/GetSessionToken", authority, lines(md), message)
	f.Add(method, "other", lines(md), []byte{})
	f.Add(method, authority, lines(md)+lines(md), message)
	f.Add(method, authority, strings.ToUpper(lines(md)), message)
	f.Fuzz(func(t *testing.T, gotMethod, gotAuthority, headers string, gotMessage []byte) {
		got := make(metadata.MD)
		for line := range strings.Lines(headers) {
			name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
			got.Append(name, value)
		}
		err := verify(grpcsig.Request(gotMethod, gotAuthority, got, false, gotMessage), key, at)
		if err != nil {
			_, syntax := errors.AsType[*sigv4.SyntaxError](err)
			_, mismatch := errors.AsType[*sigv4.MismatchError](err)
			if !syntax && !mismatch && !errors.Is(err, sigv4.ErrMissing) {
				t.Errorf("%v", err)
			}
			return
		}
		squeezed := strings.Join(strings.Fields(gotAuthority), " ") // SigV4 takes runs of white space for one
		samePath := strings.HasPrefix(gotMethod, "/")               // and resolves a path, which no method of gRPC survives
		if !samePath || strings.TrimSuffix(squeezed, ":80") != authority || !bytes.Equal(gotMessage, message) || len(got["authorization"]) != 1 ||
			strings.TrimSpace(got["x-amz-security-token"][0]) != token || got["x-amz-date"][0] != md["x-amz-date"][0] {
			t.Errorf("accepted %q for %q, %q, %x", gotMethod, gotAuthority, got, gotMessage)
		}
	})
}
