package server

import (
	"context"
	"fmt"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/stint-sts/stint/iam"
	"github.com/stint-sts/stint/session"
)

// SAML is the configuration of SAML.
type SAML struct {
	ACS       []string // URLs that assertions are addressed to; nil: acsPath below the public URL
	Audiences []string
	Reuse     bool // assertions may be redeemed more than once for a role
}

// acsPath is where responses are posted to.
const acsPath = "/saml/acs"

func samlSettings() []setting {
	return []setting{
		{key: "saml.acs-url", list: true, set: setACS,
			usage: "URLs that assertions may be addressed to, as Recipient (default: /saml/acs below public-url)"},
		{key: "saml.audiences", list: true, standard: "urn:amazon:webservices,https://signin.aws.amazon.com/saml",
			usage: "names that assertions may be issued for, as Audience; each saml.acs-url is one too",
			set:   func(c *Config, v string) error { c.SAML.Audiences = items(v); return nil }},
		toggle("saml.reuse", false, "let an assertion be redeemed more than once for a role, as AWS does", func(c *Config) *bool { return &c.SAML.Reuse }),
	}
}

func setACS(c *Config, v string) error {
	c.SAML.ACS = nil
	for _, item := range items(v) {
		u, err := url.Parse(item)
		if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.Fragment != "" {
			return fmt.Errorf("%q is no URL such as https://sts.example.com/saml/acs", item)
		}
		c.SAML.ACS = append(c.SAML.ACS, item)
	}
	return nil
}

// samlService implements sts.SAML. The default endpoint is known once the server is reached by a URL.
type samlService struct {
	*iam.Directory // the providers

	cfg       SAML
	guard     session.Guard
	endpoints atomic.Pointer[[]string]
}

// reachedBy sets the public URL.
func (s *samlService) reachedBy(public string) {
	endpoints := s.cfg.ACS
	if endpoints == nil {
		endpoints = []string{public + acsPath}
	}
	s.endpoints.Store(&endpoints)
}

// Endpoints implements sts.SAML.
func (s *samlService) Endpoints() []string { return *s.endpoints.Load() }

// Audiences implements sts.SAML.
func (s *samlService) Audiences() []string { return s.cfg.Audiences }

// Redeem implements sts.SAML.
func (s *samlService) Redeem(ctx context.Context, name string, until time.Time) error {
	if s.cfg.Reuse {
		return nil
	}
	return s.guard.Consume(ctx, name, until)
}
