package store_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stint-sts/stint/iam"
	"github.com/stint-sts/stint/iam/store"
	"github.com/stint-sts/stint/iam/store/pgtest"
)

// authority is a certificate authority for one test.
type authority struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	file string
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{key: newKey(t), file: filepath.Join(t.TempDir(), "ca.pem")}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	writeFile(t, a.file, encodePEM("CERTIFICATE", der))
	return a
}

// issue makes a server certificate for the host.
func (a *authority) issue(t *testing.T, host string) (certificate, key []byte) {
	t.Helper()
	private := newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if ip := net.ParseIP(host); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{host}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, private.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return encodePEM("CERTIFICATE", der), encodePEM("PRIVATE KEY", pkcs8)
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func encodePEM(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func writeFile(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// The server proves itself by a certificate for its name from the authority that the URL names. The password goes to nobody else.
func TestPostgres_TLS(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t)
	plain := server.Database(t)
	ours, other := newAuthority(t), newAuthority(t)
	certificate, key := ours.issue(t, "127.0.0.1")
	server.EnableTLS(t, certificate, key)
	reach := func(host, mode string, ca *authority) error {
		t.Helper()
		u, err := url.Parse(plain)
		if err != nil {
			t.Fatal(err)
		}
		u.Host = net.JoinHostPort(host, u.Port())
		u.RawQuery = url.Values{"sslmode": {mode}, "sslrootcert": {ca.file}}.Encode()
		s, err := store.OpenPostgres(t.Context(), store.PostgresConfig{URL: u.String()})
		if err != nil {
			return err
		}
		return errors.Join(s.View(t.Context(), func(iam.Tx) error { return nil }), s.Close())
	}
	for name, row := range map[string]struct {
		host, mode string
		ca         *authority
		want       string // of the error; empty: none
	}{
		"the right authority and host":              {"127.0.0.1", "verify-full", ours, ""},
		"another authority":                         {"127.0.0.1", "verify-full", other, "certificate signed by unknown authority"},
		"another host":                              {"localhost", "verify-full", ours, "match localhost"},
		"another host, where only the authority is": {"localhost", "verify-ca", ours, ""},
	} {
		err := reach(row.host, row.mode, row.ca)
		if (err == nil) != (row.want == "") || err != nil && !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && strings.Contains(err.Error(), server.Password()) {
			t.Errorf("%s: the error holds the password: %v", name, err)
		}
	}
}

// A password that is changed in the database and in its file serves from the next connection on, without a restart.
func TestPostgres_PasswordFile(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t)
	full := server.Database(t)
	server.Exec(t, "postgres", "CREATE ROLE app LOGIN SUPERUSER PASSWORD 'first'")
	file := filepath.Join(t.TempDir(), "password")
	writeFile(t, file, []byte("first\n"))
	u := strings.Replace(full, "stint:"+server.Password(), "app", 1)
	s, err := store.OpenPostgres(t.Context(), store.PostgresConfig{URL: u, PasswordFile: file})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	look := func() error { return s.View(t.Context(), func(iam.Tx) error { return nil }) }
	if err := look(); err != nil {
		t.Fatal(err)
	}
	cut := func() {
		t.Helper()
		server.Exec(t, "postgres", "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE usename = 'app'")
	}
	server.Exec(t, "postgres", "ALTER ROLE app PASSWORD 'second'")
	cut()
	if err := look(); !errors.Is(err, iam.ErrUnavailable) || strings.Contains(err.Error(), "first") {
		t.Errorf("with the password of before: %v", err)
	}
	writeFile(t, file, []byte("second"))
	until(t, "the new password serves", func() bool { return look() == nil })
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	cut()
	if err := look(); err == nil || !strings.Contains(err.Error(), "database password") {
		t.Errorf("without the file: %v", err)
	}
}
