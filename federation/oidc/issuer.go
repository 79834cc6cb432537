package oidc

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"path"
	"strings"
)

// MaxIssuer bounds the URL of an issuer, in bytes (IAM API model, OpenIDConnectProviderUrlType).
const MaxIssuer = 255

// Issuers is which issuers this installation deals with at all. It is immutable.
type Issuers struct {
	// Allowed are the URLs of issuers, or patterns of them in which * stands for characters other than a slash. Nil: all.
	Allowed []string
	// Loopback lets in issuers on this machine, and those by http.
	Loopback bool
	// Report, when it is set, is told of issuers that Allowed does not hold, which are then let in: to try a list out.
	Report func(issuer string)
}

// ErrIssuerNotAllowed says that the operator does not let the issuer in.
var ErrIssuerNotAllowed = errors.New("issuer is not among those that the operator allows")

// CheckPattern reports a pattern that could not be used in Issuers.Allowed.
func CheckPattern(pattern string) error {
	if _, err := path.Match(pattern, ""); err != nil {
		return err
	}
	if !strings.HasPrefix(pattern, "https://") && !strings.HasPrefix(pattern, "http://") {
		return errors.New("must begin with https://")
	}
	return nil
}

// Admit returns nil when tokens of the issuer may be looked at, and else an error matching ErrIssuerNotAllowed.
func (i *Issuers) Admit(issuer string) error {
	if err := CheckIssuer(issuer, i.Loopback); err != nil {
		return fmt.Errorf("%w: %w", ErrIssuerNotAllowed, err)
	}
	if i.Allowed == nil {
		return nil
	}
	for _, pattern := range i.Allowed {
		if ok, err := path.Match(pattern, issuer); ok && err == nil {
			return nil
		}
	}
	if i.Report != nil {
		i.Report(issuer)
		return nil
	}
	return ErrIssuerNotAllowed
}

// CheckIssuer reports what is wrong with the URL of an issuer (OpenID Connect Core 1.0 section 2, "iss"): it is an https URL of a
// host and perhaps a port and a path. With loopback, http is taken for addresses of this machine.
func CheckIssuer(issuer string, loopback bool) error {
	u, err := url.Parse(issuer)
	switch {
	case err != nil || len(issuer) > MaxIssuer || u.Hostname() == "" || u.Opaque != "":
		return errors.New("not the URL of an issuer")
	case strings.ContainsFunc(issuer, func(c rune) bool { return c <= ' ' || c > '~' || strings.ContainsRune(`*\"<>`, c) }):
		return errors.New("a character that a URL does not have")
	case u.User != nil || strings.ContainsAny(issuer, "?#@"):
		return errors.New("user, query or fragment")
	case u.String() != issuer:
		return errors.New("not in the spelling that it would be fetched by")
	case !strings.ContainsAny(ConditionPrefix(issuer), ".:/") && u.Hostname() != "localhost":
		return errors.New("a host whose condition keys would look like those of a service") // https://aws would have aws:…
	case u.Scheme == "https":
		return nil
	case u.Scheme == "http" && loopback && IsLoopbackHost(u.Hostname()):
		return nil
	default:
		return errors.New("not https")
	}
}

// IsLoopbackHost reports whether a host of a URL is this machine for certain: an address, or the name localhost.
func IsLoopbackHost(host string) bool {
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.Unmap().IsLoopback()
}
