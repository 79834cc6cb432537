package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"

	"github.com/stint-sts/stint/arn"
	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/iam"
)

// setClientCertificates reads items such as uri:spiffe://example.com/ci=arn:aws:iam::111122223333:user/ci.
func setClientCertificates(c *Config, v string) error {
	c.ClientCertificates = make(map[string]arn.ARN)
	for _, item := range items(v) {
		at := strings.Index(item, "=arn:") // a URI may have an equals sign of its own
		if at < 0 {
			return fmt.Errorf("%q must be NAME=ARN, such as uri:spiffe://example.com/ci=arn:aws:iam::111122223333:user/ci", item)
		}
		name, err := certificateName(item[:at])
		if err != nil {
			return err
		}
		user, err := arn.Parse(item[at+1:])
		if err != nil || !user.IsIAM("user") || user.Partition != arn.Partition || !arn.ValidAccount(user.Account) {
			return fmt.Errorf("%q is not the ARN of a user", item[at+1:])
		}
		if _, twice := c.ClientCertificates[name]; twice {
			return fmt.Errorf("%q is there twice", name)
		}
		c.ClientCertificates[name] = user
	}
	return nil
}

// certificateName is a name as grpcapi reads it from a certificate.
func certificateName(s string) (string, error) {
	kind, value, _ := strings.Cut(s, ":")
	switch u, err := url.Parse(value); {
	case kind == "uri" && err == nil && u.Scheme != "" && u.Host != "":
		return "uri:" + u.String(), nil
	case kind == "dns" && value != "" && !strings.Contains(value, "*"):
		return "dns:" + strings.ToLower(value), nil
	}
	return "", fmt.Errorf("%q must be uri: and a URI, or dns: and the name of a host", s)
}

// clientCertificates is the operator's mapping of client certificates to users of the directory.
type clientCertificates struct {
	users     map[string]arn.ARN
	directory *iam.Directory
}

func (s *Server) certificates() authn.Certificates {
	if len(s.cfg.ClientCertificates) == 0 {
		return nil
	}
	return &clientCertificates{s.cfg.ClientCertificates, s.directory}
}

// User implements authn.Certificates.
func (c *clientCertificates) User(ctx context.Context, names []string) (*authn.Entity, error) {
	var user arn.ARN
	for _, name := range names {
		switch mapped, ok := c.users[name]; {
		case !ok:
		case user != arn.ARN{} && user != mapped:
			return nil, fmt.Errorf("the names %q stand for several users: %w", names, authn.ErrUnknown)
		default:
			user = mapped
		}
	}
	if user == (arn.ARN{}) {
		return nil, fmt.Errorf("the names %q: %w", names, authn.ErrUnknown)
	}
	return c.directory.UserByARN(ctx, user)
}

// clientCAs reads the authorities of client certificates; nil when none are configured.
func (s *Server) clientCAs() (*x509.CertPool, error) {
	if s.cfg.ClientCA == "" {
		return nil, nil
	}
	text, err := os.ReadFile(s.cfg.ClientCA)
	if err != nil {
		return nil, fmt.Errorf("grpc.client-ca: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("grpc.client-ca: %w", errors.New(s.cfg.ClientCA+" holds no certificate"))
	}
	return pool, nil
}

// grpcTLS is the TLS configuration of the gRPC listener: it asks for client certificates when there are authorities for them. A
// client may have none; one that has must be right.
func (l *listeners) grpcTLS(clientCAs *x509.CertPool) *tls.Config {
	if l.cert == nil {
		return nil
	}
	cfg := l.cert.Config("h2")
	if clientCAs != nil {
		cfg.ClientCAs, cfg.ClientAuth = clientCAs, tls.VerifyClientCertIfGiven
	}
	return cfg
}
