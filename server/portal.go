package server

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/stint-sts/stint/arn"
	"github.com/stint-sts/stint/secret"
	"github.com/stint-sts/stint/server/dispatch"
	"github.com/stint-sts/stint/server/portal"
)

// Portal is the configuration of the portal.
type Portal struct {
	Enabled     bool
	Title       string
	SAML        []arn.ARN          // providers that people choose from
	OIDC        map[arn.ARN]string // client id by provider
	SecretFiles map[arn.ARN]string // of the client at the provider
	Scopes      map[arn.ARN]string // joined by "+"
	Labels      map[arn.ARN]string // what the page calls a provider
	order       []arn.ARN          // of OIDC
	Users       bool               // IAM users may sign in with a password
	Unsolicited bool
	CommandLine bool // stint login may sign in here
	DeviceCodes bool // also without a browser on its machine
	Lifetime    time.Duration
	Idle        time.Duration
}

func portalSettings() []setting {
	return []setting{
		on("portal.enabled", "serve the portal for people on listen.http; see docs/portal.md", func(c *Config) *bool { return &c.Portal.Enabled }),
		text("portal.title", false, "stint", "what the pages of the portal call this installation", func(c *Config) *string { return &c.Portal.Title }),
		{key: "portal.saml", list: true, set: setPortalSAML, usage: "ARNs of the SAML providers that people choose from in the portal"},
		{key: "portal.oidc", list: true, set: setPortalOIDC,
			usage: "ARN=CLIENT: OpenID Connect providers that people choose from, with the portal's client id there"},
		perProvider("portal.oidc-secret-files", "ARN=FILE: secret of the portal's client, read at the start (default: a public client)",
			func(c *Config) *map[arn.ARN]string { return &c.Portal.SecretFiles }, items),
		perProvider("portal.oidc-scopes", "ARN=email+profile: scopes that the portal asks for beside openid",
			func(c *Config) *map[arn.ARN]string { return &c.Portal.Scopes }, items),
		perProvider("portal.labels", "ARN=TEXT: what the portal calls a provider (default: its name, or its host)",
			func(c *Config) *map[arn.ARN]string { return &c.Portal.Labels }, commaItems),
		on("portal.users", "let IAM users sign in to the portal with their password", func(c *Config) *bool { return &c.Portal.Users }),
		on("portal.idp-initiated", "let sign-ins begin at a SAML provider; the person confirms them", func(c *Config) *bool { return &c.Portal.Unsolicited }),
		on("portal.command-line", "let stint login sign people in by the portal", func(c *Config) *bool { return &c.Portal.CommandLine }),
		on("portal.device-codes", "let stint login do so where there is no browser, by a code that the person types; codes can be phished",
			func(c *Config) *bool { return &c.Portal.DeviceCodes }),
		duration("portal.lifetime", "8h", 5*time.Minute, 36*time.Hour, "longest that a sign-in to the portal lasts", func(c *Config) *time.Duration { return &c.Portal.Lifetime }),
		duration("portal.idle", "2h", 5*time.Minute, 36*time.Hour, "how long a sign-in to the portal lasts that is not used", func(c *Config) *time.Duration { return &c.Portal.Idle }),
	}
}

// on is a toggle that is on unless somebody says false.
func on(key, usage string, field func(*Config) *bool) setting {
	s := toggle(key, false, usage, field)
	s.standard = "true"
	return s
}

// commaItems is items for texts that have spaces.
func commaItems(v string) (list []string) {
	for item := range strings.SplitSeq(v, ",") {
		if item = strings.TrimSpace(item); item != "" {
			list = append(list, item)
		}
	}
	return list
}

func providerARN(text, kind string) (arn.ARN, error) {
	a, err := arn.Parse(text)
	if err != nil || !a.IsIAM(kind) || !arn.ValidAccount(a.Account) {
		return arn.ARN{}, fmt.Errorf("%q is no ARN such as arn:aws:iam::123456789012:%s/corp", text, kind)
	}
	return a, nil
}

func setPortalSAML(c *Config, v string) error {
	c.Portal.SAML = nil
	for _, item := range items(v) {
		a, err := providerARN(item, "saml-provider")
		if err != nil {
			return err
		}
		c.Portal.SAML = append(c.Portal.SAML, a)
	}
	return nil
}

func setPortalOIDC(c *Config, v string) error {
	c.Portal.OIDC, c.Portal.order = make(map[arn.ARN]string), nil
	for _, item := range items(v) {
		text, client, _ := strings.Cut(item, "=")
		a, err := providerARN(text, "oidc-provider")
		if err != nil {
			return err
		}
		if _, twice := c.Portal.OIDC[a]; twice || client == "" {
			return fmt.Errorf("%s must be given once, as ARN=CLIENT", text)
		}
		c.Portal.OIDC[a] = client
		c.Portal.order = append(c.Portal.order, a)
	}
	return nil
}

// perProvider is a setting with a text for each of some providers.
func perProvider(key, usage string, field func(*Config) *map[arn.ARN]string, split func(string) []string) setting {
	return setting{key: key, list: true, usage: usage, set: func(c *Config, v string) error {
		values := make(map[arn.ARN]string)
		for _, item := range split(v) {
			text, value, _ := strings.Cut(item, "=")
			a, err := arn.Parse(text)
			if err != nil || value == "" {
				return fmt.Errorf("%q must be ARN=TEXT", item)
			}
			values[a] = value
		}
		*field(c) = values
		return nil
	}}
}

// checkPortal finds settings for providers that the portal does not have.
func (c *Config) checkPortal() (faults []fault) {
	for key, values := range map[string]map[arn.ARN]string{"portal.oidc-secret-files": c.Portal.SecretFiles, "portal.oidc-scopes": c.Portal.Scopes} {
		for a := range values {
			if _, known := c.Portal.OIDC[a]; !known {
				faults = append(faults, fault{"configuration", key, a.String() + " is not in portal.oidc"})
			}
		}
	}
	return faults
}

// openPortal wires the portal; nil when it is switched off.
func (s *Server) openPortal(front *dispatch.Front) (*portal.Portal, error) {
	c := &s.cfg.Portal
	if !c.Enabled {
		return nil, nil
	}
	methods, err := c.methods()
	if err != nil {
		return nil, err
	}
	cfg := portal.Config{
		Front: front, SignIns: s.sts.SignIns(), Recorder: s.audit, Directory: s.directory,
		Values: s.sessions, Sessions: s.sessions, Seal: s.signer, Codes: s.loginCodes, Revoked: s.revoker.Revocations().Revoked,
		ServiceProvider: s.saml.ServiceProvider, PublicURL: func() string { return *s.issuers.public.Load() },
		Title: c.Title, Methods: methods, Unsolicited: c.Unsolicited,
		CommandLine: c.CommandLine, NoDeviceCodes: !c.DeviceCodes, Throttle: s.sessions, Lifetime: c.Lifetime, Idle: c.Idle, Log: s.log,
	}
	cfg.Operations = dispatch.NewPortal(cfg.SignIns, s.iam)
	if c.Users {
		cfg.Passwords = s.passwords
	}
	return portal.New(cfg), nil
}

func (c *Portal) methods() (methods []portal.Method, err error) {
	for _, a := range c.SAML {
		methods = append(methods, portal.Method{Provider: a, Label: c.label(a, a.Name())})
	}
	for _, a := range c.order {
		m := portal.Method{Provider: a, ClientID: c.OIDC[a]}
		u, err := url.Parse("https://" + strings.TrimPrefix(a.Resource, "oidc-provider/"))
		if err != nil {
			return nil, fmt.Errorf("portal.oidc: %w", err)
		}
		m.Label = c.label(a, u.Host)
		if c.Scopes[a] != "" {
			m.Scopes = strings.Split(c.Scopes[a], "+")
		}
		if file := c.SecretFiles[a]; file != "" {
			if m.Secret, err = readSecret(file); err != nil {
				return nil, fmt.Errorf("portal.oidc-secret-files: %w", err)
			}
		}
		methods = append(methods, m)
	}
	return methods, nil
}

func (c *Portal) label(a arn.ARN, standard string) string {
	if label := c.Labels[a]; label != "" {
		return label
	}
	return standard
}

// readSecret reads a file that holds one line.
func readSecret(path string) (secret.String, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return secret.String{}, err
	}
	text := strings.TrimRight(string(raw), "\r\n")
	if text == "" || len(text) > 4096 || strings.ContainsAny(text, "\r\n") {
		return secret.String{}, errors.New(path + " does not hold one line")
	}
	return secret.New(text), nil
}
