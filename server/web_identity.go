package server

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/stint-sts/stint/arn"
	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/federation/fetch"
	"github.com/stint-sts/stint/federation/oidc"
	"github.com/stint-sts/stint/iam"
)

// OIDC is the configuration of inbound OpenID Connect.
type OIDC struct {
	Issuers    []string // patterns of the issuers that are let in; nil: all
	IssuerMode string   // "enforce", or "report": issuers that are not among them are logged and let in
	Networks   []netip.Prefix
	CAFiles    map[string]string // by issuer: PEM file
	KeyFiles   map[string]string // by issuer: JWK set
	Algorithms map[string][]string
	Leeway     map[string]time.Duration
}

func oidcSettings() []setting {
	return []setting{
		{key: "oidc.issuers", list: true, set: setIssuers,
			usage: "issuers whose tokens are looked at; * stands for characters other than a slash (default: every registered one)"},
		choice("oidc.issuer-mode", false, "enforce", []string{"enforce", "report"},
			"report: log the issuers that oidc.issuers does not hold, and let them in", func(c *Config) *string { return &c.OIDC.IssuerMode }),
		{key: "oidc.networks", list: true, usage: "private networks in which issuers may be fetched from, such as 10.0.0.0/8",
			set: func(c *Config, v string) (err error) { c.OIDC.Networks, err = networks(v); return err }},
		perIssuer("oidc.ca-files", "ISSUER=FILE: certificate authorities of an issuer that has its own, in PEM; read at the start",
			func(c *Config) *map[string]string { return &c.OIDC.CAFiles }, usable(readAuthorities)),
		perIssuer("oidc.key-files", "ISSUER=FILE: JWK set of an issuer that cannot be reached; read again every few minutes",
			func(c *Config) *map[string]string { return &c.OIDC.KeyFiles }, usable(fetch.ReadFile)),
		perIssuer("oidc.algorithms", "ISSUER=RS256+ES256: the algorithms of an issuer (default: RS256 to RS512, ES256 to ES512)",
			func(c *Config) *map[string][]string { return &c.OIDC.Algorithms }, algorithms),
		perIssuer("oidc.leeway", "ISSUER=2m: how far ahead the clock of an issuer may run (default: 1m)",
			func(c *Config) *map[string]time.Duration { return &c.OIDC.Leeway }, leeway),
	}
}

// items splits a list as it stands in a flag or in the environment.
func items(v string) []string {
	return strings.FieldsFunc(v, func(r rune) bool { return r == ',' || r == ' ' })
}

func setIssuers(c *Config, v string) error {
	c.OIDC.Issuers = nil
	for _, pattern := range items(v) {
		if err := oidc.CheckPattern(pattern); err != nil {
			return fmt.Errorf("%q: %w", pattern, err)
		}
		c.OIDC.Issuers = append(c.OIDC.Issuers, pattern)
	}
	return nil
}

// networks reads networks and single addresses.
func networks(v string) ([]netip.Prefix, error) {
	var list []netip.Prefix
	for _, s := range items(v) {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			a, err := netip.ParseAddr(s)
			if err != nil {
				return nil, fmt.Errorf("%q is no network such as 10.0.0.0/8", s)
			}
			p = netip.PrefixFrom(a, a.BitLen())
		}
		list = append(list, p.Masked())
	}
	return list, nil
}

// perIssuer is a setting with a value for each of some issuers.
func perIssuer[T any](key, usage string, field func(*Config) *map[string]T, parse func(string) (T, error)) setting {
	return setting{key: key, list: true, usage: usage, set: func(c *Config, v string) error {
		values := make(map[string]T)
		for _, item := range items(v) {
			issuer, text, _ := strings.Cut(item, "=")
			if err := oidc.CheckIssuer(issuer, true); err != nil {
				return fmt.Errorf("%q must be ISSUER=VALUE: %w", item, err)
			}
			if _, twice := values[issuer]; twice {
				return fmt.Errorf("%s is given twice", issuer)
			}
			value, err := parse(text)
			if err != nil {
				return fmt.Errorf("%s: %w", issuer, err)
			}
			values[issuer] = value
		}
		*field(c) = values
		return nil
	}}
}

// usable makes of what reads a file what checks its path.
func usable[T any](read func(path string) (T, error)) func(string) (string, error) {
	return func(path string) (string, error) {
		if _, err := read(path); err != nil {
			return "", fmt.Errorf("%s: %w", path, err)
		}
		return path, nil
	}
}

// readAuthorities reads a file of certificate authorities.
func readAuthorities(path string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, errors.New("no certificate in PEM")
	}
	return pool, nil
}

func algorithms(v string) ([]string, error) {
	list := strings.Split(v, "+")
	for _, a := range list {
		if !slices.Contains(oidc.Algorithms(), a) {
			return nil, fmt.Errorf("%q is none of %s", a, strings.Join(oidc.Algorithms(), ", "))
		}
	}
	return list, nil
}

// maxLeeway bounds how far ahead an issuer's clock may be said to run. AWS documents no figure; tokens live for minutes.
const maxLeeway = 5 * time.Minute

func leeway(v string) (time.Duration, error) {
	d, err := time.ParseDuration(v)
	if err != nil || d < 0 || d > maxLeeway {
		return 0, fmt.Errorf("must be a duration from 0s to %s", maxLeeway)
	}
	return d, nil
}

// onLoopback reports whether nobody but this machine reaches stint: no listener, and no public URL behind which a proxy may stand.
// Then issuers on this machine, by http too, are those of a laptop or a test; else they would be a way into the machine.
func (c *Config) onLoopback() bool {
	for _, address := range []string{c.ListenHTTP, c.ListenGRPC, c.ListenOps} {
		if loopback, err := isLoopback(address); err != nil || !loopback {
			return false
		}
	}
	if c.PublicURL == "" {
		return true
	}
	u, err := url.Parse(c.PublicURL)
	if err != nil {
		return false
	}
	loopback, err := isLoopback(net.JoinHostPort(u.Hostname(), "0"))
	return err == nil && loopback
}

// issuerRules is which issuers this installation deals with.
func (c *Config) issuerRules(log *slog.Logger) *oidc.Issuers {
	rules := &oidc.Issuers{Allowed: c.OIDC.Issuers, Loopback: c.onLoopback()}
	if c.OIDC.IssuerMode == "report" {
		rules.Report = func(issuer string) { log.Warn("issuer is not in oidc.issuers", "issuer", issuer) }
	}
	return rules
}

// webIdentities implements sts.WebIdentity.
type webIdentities struct {
	*oidc.Issuers
	*oidc.Verifier
	directory *iam.Directory
}

// Provider implements sts.WebIdentity.
func (w *webIdentities) Provider(ctx context.Context, account, issuer string) (*oidc.Provider, error) {
	return w.directory.OIDCProvider(ctx, account, issuer)
}

// ProviderByARN implements sts.WebIdentity.
func (w *webIdentities) ProviderByARN(ctx context.Context, a arn.ARN) (*oidc.Provider, error) {
	p, err := w.directory.OIDCProviderByARN(ctx, a)
	if err != nil {
		return nil, err
	}
	if err := w.Admit(p.Issuer); err != nil { // registered before the operator's list was made
		return nil, fmt.Errorf("%w: %w", authn.ErrUnknown, err)
	}
	return p, nil
}

// openWebIdentities wires inbound OpenID Connect.
func (s *Server) openWebIdentities() (*webIdentities, error) {
	roots := make(map[string]*x509.CertPool)
	for issuer, path := range s.cfg.OIDC.CAFiles {
		pool, err := readAuthorities(path)
		if err != nil {
			return nil, fmt.Errorf("oidc.ca-files: %s: %w", path, err)
		}
		roots[issuer] = pool
	}
	client := fetch.New(fetch.Config{Loopback: s.cfg.onLoopback(), Networks: s.cfg.OIDC.Networks})
	s.loginCodes = fetch.NewCodes(fetch.CodesConfig{Client: client, Now: time.Now, Roots: roots})
	keys := fetch.NewKeys(fetch.KeysConfig{
		Client: client,
		Now:    time.Now, Log: s.log, Roots: roots, Files: s.cfg.OIDC.KeyFiles, Loaded: s.keyLoads.count,
	})
	rules := make(map[string]oidc.Rules)
	rule := func(issuer string) oidc.Rules {
		r, ok := rules[issuer]
		if !ok {
			r.Leeway = oidc.DefaultLeeway
		}
		return r
	}
	for issuer, list := range s.cfg.OIDC.Algorithms {
		r := rule(issuer)
		r.Algorithms = list
		rules[issuer] = r
	}
	for issuer, d := range s.cfg.OIDC.Leeway {
		r := rule(issuer)
		r.Leeway = d
		rules[issuer] = r
	}
	return &webIdentities{
		Issuers:   s.cfg.issuerRules(s.log),
		Verifier:  oidc.New(oidc.Config{Keys: keys, Now: time.Now, Issuers: rules}),
		directory: s.directory,
	}, nil
}
