package server_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	stsv1 "github.com/stint-sts/stint/proto/stint/sts/v1"
	"github.com/stint-sts/stint/stintgrpc"
)

// authority issues client certificates.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "clients"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	a := &authority{t: t, key: newKey(t)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &a.key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return a
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// file is the authority's certificate in a file.
func (a *authority) file() string {
	a.t.Helper()
	path := filepath.Join(a.t.TempDir(), "ca.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw}), 0o600); err != nil {
		a.t.Fatal(err)
	}
	return path
}

// issue makes a client certificate; change may alter what it says.
func (a *authority) issue(change func(*x509.Certificate)) *tls.Certificate {
	a.t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	change(template)
	key := newKey(a.t)
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func uri(t *testing.T, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// A client certificate stands for the user that the operator has mapped it to, for nobody else, and never beside a wrong signature.
func TestClientCertificate(t *testing.T) {
	t.Parallel()
	files, ours, others := newPair(t), newAuthority(t), newAuthority(t)
	pool := files.write(t, 1, time.Now())
	n := serve(t, map[string]string{
		"STINT_TLS_CERT": files.cert, "STINT_TLS_KEY": files.key, "STINT_GRPC_CLIENT_CA": ours.file(),
		"STINT_GRPC_CLIENT_CERTIFICATES": "uri:spiffe://example.com/ci=arn:aws:iam::111122223333:user/ci, dns:Builder.example.com=arn:aws:iam::111122223333:user/ci, " +
			"uri:spiffe://example.com/web=arn:aws:iam::111122223333:user/web, uri:spiffe://example.com/gone=arn:aws:iam::111122223333:user/gone, " +
			"uri:spiffe://example.com/path=arn:aws:iam::111122223333:user/team/ci",
	})
	n.http = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	for _, name := range []string{"ci", "web"} {
		n.iam("CreateUser", "UserName", name)
	}
	ci := func(c *x509.Certificate) { c.URIs = []*url.URL{uri(t, "spiffe://example.com/ci")} }
	wrongKey := stintgrpc.WithCredentials(credentials.NewStaticCredentialsProvider(n.root.AccessKeyID, "wrong", ""))
	rightKey := stintgrpc.WithCredentials(credentials.NewStaticCredentialsProvider(n.root.AccessKeyID, n.root.SecretAccessKey.Reveal(), ""))
	for _, row := range []struct {
		name    string
		cert    *tls.Certificate
		options []stintgrpc.Option
		arn     string
		code    string
	}{
		{"by URI", ours.issue(ci), nil, "arn:aws:iam::111122223333:user/ci", ""},
		{"by host", ours.issue(func(c *x509.Certificate) { c.DNSNames = []string{"builder.EXAMPLE.com"} }), nil, "arn:aws:iam::111122223333:user/ci", ""},
		{"two names of one user", ours.issue(func(c *x509.Certificate) { ci(c); c.DNSNames = []string{"builder.example.com", "x"} }), nil, "arn:aws:iam::111122223333:user/ci", ""},
		{"beside a right signature", ours.issue(ci), []stintgrpc.Option{rightKey}, "arn:aws:iam::111122223333:root", ""},
		{"beside a wrong signature", ours.issue(ci), []stintgrpc.Option{wrongKey}, "", "SignatureDoesNotMatch"},
		{"no certificate", nil, nil, "", "MissingAuthenticationToken"},
		{"no certificate, but a signature", nil, []stintgrpc.Option{rightKey}, "arn:aws:iam::111122223333:root", ""},
		{"names of two users", ours.issue(func(c *x509.Certificate) { ci(c); c.URIs = append(c.URIs, uri(t, "spiffe://example.com/web")) }), nil, "", "InvalidClientTokenId"},
		{"a name that is not mapped", ours.issue(func(c *x509.Certificate) { c.URIs = []*url.URL{uri(t, "spiffe://example.com/ci/x")} }), nil, "", "InvalidClientTokenId"},
		{"a URI in another case", ours.issue(func(c *x509.Certificate) { c.URIs = []*url.URL{uri(t, "spiffe://example.com/CI")} }), nil, "", "InvalidClientTokenId"},
		{"the name as common name", ours.issue(func(c *x509.Certificate) { c.Subject.CommonName = "spiffe://example.com/ci" }), nil, "", "MissingAuthenticationToken"},
		{"a wildcard", ours.issue(func(c *x509.Certificate) { c.DNSNames = []string{"*.example.com"} }), nil, "", "InvalidClientTokenId"},
		{"a user who does not exist", ours.issue(func(c *x509.Certificate) { c.URIs = []*url.URL{uri(t, "spiffe://example.com/gone")} }), nil, "", "InvalidClientTokenId"},
		{"the user under another path", ours.issue(func(c *x509.Certificate) { c.URIs = []*url.URL{uri(t, "spiffe://example.com/path")} }), nil, "", "InvalidClientTokenId"},
		{"of another authority", others.issue(ci), nil, "", "?"},
		{"run out", ours.issue(func(c *x509.Certificate) { ci(c); c.NotAfter = time.Now().Add(-time.Minute) }), nil, "", "?"},
		{"for servers only", ours.issue(func(c *x509.Certificate) { ci(c); c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }), nil, "", "?"},
	} {
		t.Run(row.name, func(t *testing.T) {
			cfg := &tls.Config{RootCAs: pool, GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
				if row.cert == nil {
					return &tls.Certificate{}, nil
				}
				return row.cert, nil // also one that the server has said it does not take
			}}
			client, err := stintgrpc.Dial(n.at.GRPC, append(row.options, stintgrpc.WithTLS(cfg))...)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = client.Close() }()
			out, err := client.GetCallerIdentity(t.Context(), &stsv1.GetCallerIdentityRequest{})
			if codeOf(err) != row.code || out.GetArn() != row.arn {
				t.Errorf("%s, %v", out.GetArn(), err)
			}
			if row.code == "?" && status.Code(err) != codes.Unavailable {
				t.Errorf("the handshake ends with %v", err)
			}
		})
	}

	// It acts by its user's policies, follows the user's end, and the audit names it.
	client, err := stintgrpc.Dial(n.at.GRPC, stintgrpc.WithTLS(&tls.Config{RootCAs: pool, Certificates: []tls.Certificate{*ours.issue(ci)}}))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	info := &stsv1.GetAccessKeyInfoRequest{AccessKeyId: n.root.AccessKeyID}
	if _, err := client.GetAccessKeyInfo(t.Context(), info); codeOf(err) != "AccessDenied" {
		t.Errorf("without a policy: %v", err)
	}
	n.iam("PutUserPolicy", "UserName", "ci", "PolicyName", "p", "PolicyDocument",
		`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"sts:GetAccessKeyInfo","Resource":"*"}}`)
	if _, err := client.GetAccessKeyInfo(t.Context(), info); err != nil {
		t.Errorf("with a policy: %v", err)
	}
	if _, err := client.GetSessionToken(t.Context(), &stsv1.GetSessionTokenRequest{}); err != nil {
		t.Errorf("a session: %v", err)
	}
	n.iam("DeleteUserPolicy", "UserName", "ci", "PolicyName", "p")
	n.iam("DeleteUser", "UserName", "ci")
	if _, err := client.GetCallerIdentity(t.Context(), &stsv1.GetCallerIdentityRequest{}); codeOf(err) != "InvalidClientTokenId" {
		t.Errorf("after the user has gone: %v", err)
	}
	n.iam("CreateUser", "UserName", "ci")
	if _, err := client.GetCallerIdentity(t.Context(), &stsv1.GetCallerIdentityRequest{}); err != nil {
		t.Errorf("after the user was made again: %v", err)
	}
	events, err := filepath.Glob(filepath.Join(n.dir, "audit", "*"))
	if err != nil || len(events) == 0 {
		t.Fatal("no audit log", err)
	}
	text, err := os.ReadFile(events[0])
	if err != nil || !strings.Contains(string(text), `"clientCertificate":["uri:spiffe://example.com/ci"]`) {
		t.Errorf("the audit does not name the certificate: %v", err)
	}
}

func TestClientCertificate_Configuration(t *testing.T) {
	t.Parallel()
	const good = "uri:spiffe://example.com/ci?a=b=arn:aws:iam::111122223333:user/ci"
	base := map[string]string{"STINT_TLS_CERT": "c", "STINT_TLS_KEY": "k", "STINT_GRPC_CLIENT_CA": "ca.pem"}
	for _, row := range []struct{ name, value, text string }{
		{"right", good, ""},
		{"no ARN", "uri:spiffe://example.com/ci", "must be NAME=ARN"},
		{"a role", "dns:a=arn:aws:iam::111122223333:role/r", "is not the ARN of a user"},
		{"no kind", "a=arn:aws:iam::111122223333:user/ci", "must be uri: and a URI"},
		{"a common name", "cn:a=arn:aws:iam::111122223333:user/ci", "must be uri: and a URI"},
		{"a wildcard", "dns:*.a=arn:aws:iam::111122223333:user/ci", "must be uri: and a URI"},
		{"twice", "dns:a=arn:aws:iam::111122223333:user/ci,dns:A=arn:aws:iam::111122223333:user/web", "is there twice"},
		{"an authority for nobody", "", "are given together"},
	} {
		env := map[string]string{"STINT_GRPC_CLIENT_CERTIFICATES": row.value}
		for key, value := range base {
			env[key] = value
		}
		cfg, err := load("", env, nil)
		if row.text == "" {
			if err != nil || cfg.ClientCertificates["uri:spiffe://example.com/ci?a=b"].String() != "arn:aws:iam::111122223333:user/ci" {
				t.Errorf("%s: %v", row.name, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), row.text) {
			t.Errorf("%s: %v", row.name, err)
		}
	}
	if _, err := load("", map[string]string{"STINT_GRPC_CLIENT_CA": "ca.pem", "STINT_GRPC_CLIENT_CERTIFICATES": good}, nil); err == nil {
		t.Error("client certificates without TLS")
	}
}
