package server

import (
	"context"
	"crypto"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/stint-sts/stint/federation/saml"
	"github.com/stint-sts/stint/iam"
	"github.com/stint-sts/stint/session"
	"github.com/stint-sts/stint/signer"
)

// SAML is the configuration of SAML.
type SAML struct {
	EntityID  string   // name of this installation at identity providers; "": metadataPath below the public URL
	ACS       []string // URLs that assertions are addressed to; nil: acsPath below the public URL
	Audiences []string
	Reuse     bool // assertions may be redeemed more than once for a role
}

const (
	acsPath      = "/saml/acs"      // where responses are posted to
	metadataPath = "/saml/metadata" // what identity providers read
)

func samlSettings() []setting {
	return []setting{
		{key: "saml.entity-id", set: setEntityID,
			usage: "name of this installation at identity providers, accepted as Audience (default: /saml/metadata below public-url)"},
		{key: "saml.acs-url", list: true, set: setACS,
			usage: "URLs that assertions may be addressed to, as Recipient (default: /saml/acs below public-url)"},
		{key: "saml.audiences", list: true, standard: "urn:amazon:webservices,https://signin.aws.amazon.com/saml",
			usage: "names that assertions may be issued for, as Audience; saml.entity-id and each saml.acs-url are some too",
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

// setEntityID accepts a URI (SAML 2.0 Core, section 8.3.6).
func setEntityID(c *Config, v string) error {
	u, err := url.Parse(v)
	if v != "" && (err != nil || !u.IsAbs() || len(v) > 1024 || strings.ContainsAny(v, " \t\r\n")) {
		return fmt.Errorf("%q is no URI such as https://sts.example.com/saml/metadata", v)
	}
	c.SAML.EntityID = v
	return nil
}

// samlService implements sts.SAML, and is stint as identity providers see it. Its default names are known once the server is reached by a
// URL.
type samlService struct {
	*iam.Directory // the providers

	cfg    SAML
	guard  session.Guard
	signer *signer.Signer
	names  atomic.Pointer[samlNames]
	made   atomic.Pointer[samlProvider]
}

// samlNames are what assertions may name.
type samlNames struct {
	entityID             string
	endpoints, audiences []string
}

// samlProvider is a service provider, and what it was made of.
type samlProvider struct {
	*saml.ServiceProvider

	names *samlNames
	keys  []crypto.Signer
}

// reachedBy sets the public URL.
func (s *samlService) reachedBy(public string) {
	n := &samlNames{entityID: s.cfg.EntityID, endpoints: s.cfg.ACS}
	if n.entityID == "" {
		n.entityID = public + metadataPath
	}
	if n.endpoints == nil {
		n.endpoints = []string{public + acsPath}
	}
	n.audiences = append([]string{n.entityID}, s.cfg.Audiences...)
	s.names.Store(n)
}

// Endpoints implements sts.SAML.
func (s *samlService) Endpoints() []string { return s.names.Load().endpoints }

// Audiences implements sts.SAML.
func (s *samlService) Audiences() []string { return s.names.Load().audiences }

// ServiceProvider is this installation with the keys that sign its requests. All nodes share them: they are keys of the ring.
func (s *samlService) ServiceProvider(ctx context.Context) (*saml.ServiceProvider, error) {
	keys, err := s.signer.SAMLKeys(ctx)
	if err != nil {
		return nil, fmt.Errorf("keys for SAML: %w", err)
	}
	names := s.names.Load()
	if made := s.made.Load(); made != nil && made.names == names && slices.Equal(made.keys, keys) {
		return made.ServiceProvider, nil
	}
	sp := &saml.ServiceProvider{EntityID: names.entityID, ACS: names.endpoints}
	for _, k := range keys {
		key, err := saml.NewSigningKey(k)
		if err != nil {
			return nil, fmt.Errorf("key for SAML: %w", err)
		}
		sp.Keys = append(sp.Keys, key)
	}
	s.made.Store(&samlProvider{sp, names, keys})
	return sp, nil
}

// metadata is the document of metadataPath.
func (s *samlService) metadata(r *http.Request) (string, []byte, error) {
	sp, err := s.ServiceProvider(r.Context())
	if err != nil {
		return "", nil, err
	}
	return saml.MetadataType, []byte(sp.Metadata()), nil
}

// Redeem implements sts.SAML.
func (s *samlService) Redeem(ctx context.Context, name string, since, until time.Time) error {
	if s.cfg.Reuse {
		return nil
	}
	return s.guard.Consume(ctx, name, since, until)
}
