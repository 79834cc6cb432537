package sigv4_test

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/stint-sts/stint/sigv4"
)

// TestVerifier_SDK has the signer of the AWS SDK for Go sign what Go's client sends to Go's server, over HTTP/1.1 and 2.
func TestVerifier_SDK(t *testing.T) {
	t.Parallel()
	credentials := aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: vectorSecret.Reveal(), SessionToken: "IQoJ/b3+JpZ2=="}
	for _, row := range []struct {
		name, method, query, body string
		header                    http.Header
		presign, breakAfter       bool
	}{
		{name: "POST", method: "POST", body: form},
		{name: "POST with extras", method: "POST", body: form, header: http.Header{
			"X-Vault-Aws-Iam-Server-Id": {"vault.example.com"}, "Amz-Sdk-Request": {"attempt=1;  max=3"},
		}},
		{name: "GET", method: "GET", query: form},
		{name: "GET with a hard query", method: "GET", query: "Policy=%7B%22a%22%3A+%22%2A%22%7D&Param-3=x&Param=%E1%88%B4"},
		{name: "presigned GET", method: "GET", query: form, presign: true},
		{name: "presigned GET with extras", method: "GET", query: form + "&X-Amz-Expires=60", presign: true,
			header: http.Header{"X-K8s-Aws-Id": {"cluster"}}},
		{name: "POST, body changed on the way", method: "POST", body: form, breakAfter: true},
		{name: "presigned GET, query changed on the way", method: "GET", query: form, presign: true, breakAfter: true},
	} {
		for _, protocol := range []string{"HTTP/1.1", "HTTP/2.0"} {
			t.Run(row.name+" over "+protocol, func(t *testing.T) {
				t.Parallel()
				server := httptest.NewUnstartedServer(handler(newVerifier(t), vectorSecret))
				server.EnableHTTP2 = protocol == "HTTP/2.0"
				server.StartTLS()
				t.Cleanup(server.Close)
				r, err := http.NewRequestWithContext(t.Context(), row.method, server.URL+"/?"+row.query, strings.NewReader(row.body))
				if err != nil {
					t.Fatal(err)
				}
				for name, values := range row.header {
					r.Header[name] = values
				}
				sum := sha256.Sum256([]byte(row.body))
				signer, hash := v4.NewSigner(), hex.EncodeToString(sum[:])
				if row.presign {
					uri, header, err := signer.PresignHTTP(t.Context(), credentials, r, hash, "sts", "eu-west-1", vectorTime)
					if err != nil {
						t.Fatal(err)
					}
					if r, err = http.NewRequestWithContext(t.Context(), row.method, uri, http.NoBody); err != nil {
						t.Fatal(err)
					}
					for name, values := range header {
						r.Header[name] = values
					}
				} else {
					r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
					if err := signer.SignHTTP(t.Context(), credentials, r, hash, "sts", "eu-west-1", vectorTime); err != nil {
						t.Fatal(err)
					}
				}
				want := http.StatusOK
				if row.breakAfter {
					want = http.StatusForbidden
					r.URL.RawQuery = strings.Replace(r.URL.RawQuery, "GetCallerIdentity", "GetCallerIdentitx", 1)
					r.Body = io.NopCloser(strings.NewReader(strings.Replace(row.body, "Get", "Git", 1)))
				}
				resp, err := server.Client().Do(r)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				if text, _ := io.ReadAll(resp.Body); resp.StatusCode != want || resp.Proto != protocol {
					t.Errorf("%s %d %s, want %d", resp.Proto, resp.StatusCode, text, want)
				}
			})
		}
	}
}

// TestSign_SDK compares our client side with the SDK's signer.
func TestSign_SDK(t *testing.T) {
	t.Parallel()
	r, err := http.NewRequestWithContext(t.Context(), "POST", "http://sts.example.com:8470/a%20b?z=1&a=%2F", strings.NewReader(form))
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(form))
	now := time.Date(2026, 11, 28, 23, 59, 59, 0, time.UTC)
	err = v4.NewSigner().SignHTTP(t.Context(), aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: vectorSecret.Reveal()},
		r, hex.EncodeToString(sum[:]), "iam", "us-east-1", now)
	if err != nil {
		t.Fatal(err)
	}
	ours := &sigv4.Request{
		Method: "POST", Path: "/a%20b", RawQuery: "z=1&a=%2F", Host: "sts.example.com:8470", Body: []byte(form),
		Header: map[string][]string{"Content-Length": {"43"}},
	}
	if err := sigv4.Sign(ours, alice, "us-east-1", "iam", now); err != nil {
		t.Fatal(err)
	}
	if got, want := ours.Header["Authorization"][0], r.Header.Get("Authorization"); got != want {
		t.Errorf("Authorization is\n%s, the SDK's\n%s", got, want)
	}
}
