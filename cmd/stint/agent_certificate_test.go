package main_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// certify writes a certificate and its key, signed by parent or by itself, and returns both.
func certify(t *testing.T, base string, template, parent *x509.Certificate, signer *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber, template.NotBefore, template.NotAfter = big.NewInt(1), time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write(t, base+".pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	write(t, base+".key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

var grpcAddress = regexp.MustCompile(`gRPC\s+(127\.0\.0\.1:\d+)`)

// A workload that has a certificate and nothing else: the operator has mapped its name to a user, whom the role trusts.
func TestAgent_Certificate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	ca, caKey := certify(t, file("ca"), &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, nil, nil)
	certify(t, file("server"), &x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature}, ca, caKey)
	client := func(id string) {
		u, err := url.Parse(id)
		if err != nil {
			t.Fatal(err)
		}
		certify(t, file("client"), &x509.Certificate{
			URIs: []*url.URL{u}, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		}, ca, caKey)
	}
	client("spiffe://example.com/stranger")
	write(t, file("stint.yaml"), "tls:\n  cert: "+file("server.pem")+"\n  key: "+file("server.key")+"\ngrpc:\n  client-ca: "+file("ca.pem")+
		"\n  client-certificates: ['uri:spiffe://example.com/ci=arn:aws:iam::111122223333:user/ci']\n")
	write(t, file("directory.yaml"), `{account: "111122223333", name: test, users: {ci: {}}, roles: {web: {trust: `+
		trustFor("arn:aws:iam::111122223333:user/ci")+`}}}`)
	n := start(t, filepath.Join(dir, "data"), "--account-id", "111122223333", "--config", file("stint.yaml"))
	must(t, "apply", "--data-dir", n.dir, file("directory.yaml"))
	address := grpcAddress.FindStringSubmatch(n.output.String())
	if address == nil {
		t.Fatalf("no gRPC address: %s", n.output)
	}
	a := startAgent(t, environment("STINT_AGENT_ROLE=arn:aws:iam::111122223333:role/web", "STINT_AGENT_GRPC_ENDPOINT="+address[1],
		"STINT_AGENT_CLIENT_CERT="+file("client.pem"), "STINT_AGENT_CLIENT_KEY="+file("client.key"), "AWS_CA_BUNDLE="+file("ca.pem"),
		"AWS_WEB_IDENTITY_TOKEN_FILE="+file("of-somebody-else")))
	token, err := os.ReadFile(a.exports["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"])
	if err != nil {
		t.Fatal(err)
	}
	ask := func() string {
		return getCredentials(t, a.exports["AWS_CONTAINER_CREDENTIALS_FULL_URI"], string(token))
	}
	if body := ask(); !strings.Contains(body, `"Code":"InvalidClientTokenId"`) {
		t.Errorf("a certificate that nobody mapped: %s\n%s", body, a.output)
	}
	client("spiffe://example.com/ci") // renewed: the agent reads it at its next attempt
	until(t, "credentials for the new certificate", func() bool { return strings.Contains(ask(), `"AccessKeyId":"ASIA`) })
}
