package server_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/stint-sts/stint/server"
)

// pair is the files of a certificate and its key.
type pair struct{ cert, key string }

func newPair(t *testing.T) pair {
	t.Helper()
	dir := t.TempDir()
	return pair{filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")}
}

// write makes a self-signed certificate of that serial number, for loopback. modified becomes the time of the files, so that a
// change is seen however coarse the clock of the file system is.
func (p pair) write(t *testing.T, serial int64, modified time.Time) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "stint"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	p.put(t, p.cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), modified)
	p.put(t, p.key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), modified)
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return pool
}

func (pair) put(t *testing.T, path string, content []byte, modified time.Time) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, modified, modified); err != nil {
		t.Fatal(err)
	}
}

// An unmodified SDK speaks HTTP/2 over TLS with stint, and every listener has the certificate.
func TestTLS_HTTP2(t *testing.T) {
	t.Parallel()
	files := newPair(t)
	pool := files.write(t, 1, time.Now())
	n := serve(t, map[string]string{"STINT_TLS_CERT": files.cert, "STINT_TLS_KEY": files.key})
	var protocols []string
	n.http = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}}
	client := sts.New(sts.Options{
		BaseEndpoint: aws.String("https://" + n.at.HTTP), Region: "eu-west-1", HTTPClient: doer(func(r *http.Request) (*http.Response, error) {
			response, err := n.http.Do(r)
			if err == nil {
				protocols = append(protocols, response.Proto)
			}
			return response, err
		}),
		Credentials: credentials.NewStaticCredentialsProvider(n.root.AccessKeyID, n.root.SecretAccessKey.Reveal(), ""),
	})
	out, err := client.GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
	if err != nil || *out.Arn != "arn:aws:iam::111122223333:root" {
		t.Fatalf("%v, %v", out, err)
	}
	if len(protocols) != 1 || protocols[0] != "HTTP/2.0" {
		t.Errorf("protocols %q", protocols)
	}
	got := n.send(request{body: whoAmI, sign: true})
	if got.StatusCode != 200 || got.Header.Get("Strict-Transport-Security") != "max-age=31536000" || got.ProtoMajor != 2 {
		t.Errorf("%s %d, %v", got.Proto, got.StatusCode, got.Header)
	}
	for _, row := range []struct {
		name   string
		header http.Header
		code   string
	}{
		{"authorization twice", http.Header{"Authorization": {"AWS4-HMAC-SHA256 a", "AWS4-HMAC-SHA256 b"}}, "IncompleteSignature"},
		{"token twice", http.Header{"X-Amz-Security-Token": {"a", "b"}}, "IncompleteSignature"},
	} {
		if got := n.send(request{body: whoAmI, header: row.header}); got.element("Code") != row.code || got.ProtoMajor != 2 {
			t.Errorf("%s: %s %s", row.name, got.Proto, got.body)
		}
	}
	ops, err := n.http.Get("https://" + n.at.Ops + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	_ = ops.Body.Close()
	plain, err := http.Get("http://" + n.at.HTTP + "/")
	if err != nil {
		t.Fatal(err)
	}
	_ = plain.Body.Close()
	if plain.StatusCode != http.StatusBadRequest {
		t.Errorf("plain HTTP to the TLS port: %s", plain.Status)
	}
	if _, err := tls.Dial("tcp", n.at.HTTP, &tls.Config{RootCAs: pool, MaxVersion: tls.VersionTLS11}); err == nil {
		t.Error("TLS 1.1 is spoken")
	}
}

type doer func(*http.Request) (*http.Response, error)

func (d doer) Do(r *http.Request) (*http.Response, error) { return d(r) }

// A new certificate is served soon after its files have changed; one that cannot be read leaves the old one in place, and is
// tried again.
func TestTLS_CertificateReload(t *testing.T) {
	t.Parallel()
	files := newPair(t)
	base := time.Now()
	files.write(t, 1, base)
	synctest.Test(t, func(t *testing.T) {
		var log lines
		c, err := server.NewCertificate(files.cert, files.key, slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- c.Run(ctx) }()
		look := func() { time.Sleep(6 * time.Second); synctest.Wait() }
		expect := func(serial int64, when string) {
			t.Helper()
			if got := served(t, c); got != serial {
				t.Errorf("%s: serial number %d, want %d", when, got, serial)
			}
		}
		look()
		expect(1, "nothing has changed")
		if strings.Contains(log.String(), "reloaded") {
			t.Error("reloaded without a change")
		}
		files.write(t, 2, base.Add(time.Second))
		look()
		expect(2, "new files")
		files.put(t, files.key, []byte("garbage"), base.Add(2*time.Second))
		look()
		expect(2, "garbage for a key")
		if !strings.Contains(log.String(), "certificate not reloaded, the old one stays") {
			t.Errorf("the log says: %s", log.String())
		}
		if err := os.Remove(files.cert); err != nil {
			t.Fatal(err)
		}
		look()
		expect(2, "no certificate")
		files.write(t, 3, base.Add(3*time.Second))
		look()
		expect(3, "whole again")
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// served is the serial number of the certificate that a handshake would show.
func served(t *testing.T, c *server.Certificate) int64 {
	t.Helper()
	cert, err := server.ServedBy(c)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(cert.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	return leaf.SerialNumber.Int64()
}
