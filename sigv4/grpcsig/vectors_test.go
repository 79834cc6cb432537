package grpcsig_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	stsv1 "github.com/stint-sts/stint/proto/stint/sts/v1"
	"github.com/stint-sts/stint/secret"
	"github.com/stint-sts/stint/sigv4"
	"github.com/stint-sts/stint/sigv4/grpcsig"
)

var update = flag.Bool("update", false, "rewrite the test vectors")

const vectorsFile = "../../proto/testdata/grpc-signing.json"

// vector is one signed call, with every value on the way to its signature.
type vector struct {
	Name             string            `json:"name"`
	Method           string            `json:"method"`
	Authority        string            `json:"authority"`
	Region           string            `json:"region"`
	Time             string            `json:"time"` // as X-Amz-Date
	AccessKeyID      string            `json:"access_key_id"`
	SecretAccessKey  string            `json:"secret_access_key"`
	SessionToken     string            `json:"session_token,omitempty"`
	Message          string            `json:"message"` // hexadecimal
	CanonicalRequest string            `json:"canonical_request"`
	StringToSign     string            `json:"string_to_sign"`
	Signature        string            `json:"signature"`
	Metadata         map[string]string `json:"metadata"` // what the call carries
}

const dateLayout = "20060102T150405Z"

// The vectors are calculated here from the text of docs/grpc.md alone, by the standard library; Sign and the verifier must agree.
func TestVectors(t *testing.T) {
	t.Parallel()
	long := vector{Region: "us-east-1", Time: "20261128T150000Z", AccessKeyID: "AKIAIOSFODNN7EXAMPLE", SecretAccessKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}
	temporary := vector{
		Region: "eu-west-1", Time: "20261231T235959Z", AccessKeyID: "ASIAIOSFODNN7EXAMPLE", SecretAccessKey: "mJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
		SessionToken: "eyJhbGciOiJIUzI1NiJ9.example.token",
	}
	var vectors []vector
	for _, row := range []struct {
		name, operation, authority string
		with                       vector
		in                         proto.Message
	}{
		{"an empty message", "GetCallerIdentity", "127.0.0.1:8471", long, &stsv1.GetCallerIdentityRequest{}},
		{"temporary credentials", "GetCallerIdentity", "sts.example.com", temporary, &stsv1.GetCallerIdentityRequest{}},
		{"a message", "AssumeRole", "sts.example.com:8471", long, &stsv1.AssumeRoleRequest{
			RoleArn: "arn:aws:iam::111122223333:role/auditor", RoleSessionName: "monday", DurationSeconds: new(int32(900)),
			Tags: []*stsv1.Tag{{Key: "team", Value: "blau-weiß"}},
		}},
		{"an IPv6 address", "GetSessionToken", "[::1]:8471", long, &stsv1.GetSessionTokenRequest{DurationSeconds: new(int32(3600))}},
	} {
		v := row.with
		encoded, err := proto.MarshalOptions{Deterministic: true}.Marshal(row.in)
		if err != nil {
			t.Fatal(err)
		}
		v.Name, v.Method, v.Authority, v.Message = row.name, "/stint.sts.v1.STS/"+row.operation, row.authority, hex.EncodeToString(encoded)
		v.calculate(encoded)
		v.check(t, encoded)
		vectors = append(vectors, v)
	}
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(vectors); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(vectorsFile, text.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	golden, err := os.ReadFile(vectorsFile)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(golden), text.String()); diff != "" {
		t.Error(diff)
	}
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// calculate fills in everything from the canonical request on.
func (v *vector) calculate(message []byte) {
	headers := [][2]string{{"host", v.Authority}, {"x-amz-content-sha256", sum(message)}, {"x-amz-date", v.Time}}
	if v.SessionToken != "" {
		headers = append(headers, [2]string{"x-amz-security-token", v.SessionToken})
	}
	var names []string
	canonical := "POST\n" + v.Method + "\n\n"
	v.Metadata = map[string]string{}
	for _, h := range headers {
		names = append(names, h[0])
		canonical += h[0] + ":" + h[1] + "\n"
		v.Metadata[h[0]] = h[1]
	}
	delete(v.Metadata, "host") // travels as :authority
	signed := strings.Join(names, ";")
	v.CanonicalRequest = canonical + "\n" + signed + "\n" + sum(message)
	day := v.Time[:8]
	scope := day + "/" + v.Region + "/sts/aws4_request"
	v.StringToSign = "AWS4-HMAC-SHA256\n" + v.Time + "\n" + scope + "\n" + sum([]byte(v.CanonicalRequest))
	key := mac(mac(mac(mac([]byte("AWS4"+v.SecretAccessKey), day), v.Region), "sts"), "aws4_request")
	v.Signature = hex.EncodeToString(mac(key, v.StringToSign))
	v.Metadata["authorization"] = "AWS4-HMAC-SHA256 Credential=" + v.AccessKeyID + "/" + scope + ", SignedHeaders=" + signed + ", Signature=" + v.Signature
}

// check holds the vector against Sign and against a verifier of that time.
func (v *vector) check(t *testing.T, message []byte) {
	t.Helper()
	at, err := time.Parse(dateLayout, v.Time)
	if err != nil {
		t.Fatal(err)
	}
	md, err := grpcsig.Sign(v.Method, v.Authority, message, sigv4.Credentials{
		AccessKeyID: v.AccessKeyID, SecretAccessKey: secret.New(v.SecretAccessKey), SessionToken: secret.New(v.SessionToken),
	}, v.Region, at)
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]string)
	for key, values := range md {
		got[key] = strings.Join(values, "|")
	}
	if diff := cmp.Diff(v.Metadata, got); diff != "" {
		t.Errorf("%s: Sign gives\n%s", v.Name, diff)
	}
	if err := verify(grpcsig.Request(v.Method, v.Authority, md, false, message), v.SecretAccessKey, at); err != nil {
		t.Errorf("%s: %v", v.Name, err)
	}
}

// verify is what a server at that time makes of a request.
func verify(r *sigv4.Request, secretKey string, at time.Time) error {
	v, err := sigv4.New(sigv4.Config{Services: []string{"sts"}, Now: func() time.Time { return at }})
	if err != nil {
		return err
	}
	m, err := sigv4.Parse(r)
	if err != nil {
		return err
	}
	if err := v.CheckScope(r, m, "sts"); err != nil {
		return err
	}
	return v.Verify(r, m, secret.New(secretKey))
}
