package signer

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/stint-sts/stint/secret"
)

// Inspection is what a session token says about itself, for a person to read. It holds neither the token nor a secret. Its texts
// come from the token, which may be anybody's: String quotes them.
type Inspection struct {
	Sealed    bool   `json:"sealed"` // a JWE
	Type      string `json:"type"`   // the header's typ, alg and kid: of the JWS, or of a JWE that was not opened
	Algorithm string `json:"algorithm"`
	KeyID     string `json:"keyId"`
	Issuer    string `json:"issuer,omitempty"`
	Audience  string `json:"audience,omitempty"`

	Claims *Claims `json:"claims,omitempty"` // nil when sealed by a key that is not at hand

	Checked bool   `json:"checked"`           // Problem rests on the keys of the ring
	Expired bool   `json:"expired"`           // by its own word
	Problem string `json:"problem,omitempty"` // why Verify refuses it; empty: it does not, or was not asked
}

// Inspect explains a token with the keys of the ring: it opens a sealed one, and tells whether Verify accepts it and why not. It
// returns an error matching ErrInvalidToken for what is no session token at all.
func (s *Signer) Inspect(token secret.String) (*Inspection, error) {
	text := token.Reveal()
	now := s.cfg.Now()
	i, err := inspect(text, now)
	if err != nil {
		return nil, err
	}
	ring := s.ring.Load()
	if header, _, _ := strings.Cut(text, "."); i.Sealed && ring.sealingKeys[header] != nil {
		if plain, err := ring.sealingKeys[header].open(text); err == nil {
			if i, err = inspect(plain, now); err != nil {
				return nil, err
			}
			i.Sealed = true
		}
	}
	i.Checked = true
	if _, err := s.Verify(token); err != nil {
		i.Problem = err.Error()
	}
	return i, nil
}

// InspectUnverified explains a token without any key: nothing that it says is proven. now decides whether it reads as expired. It
// returns an error matching ErrInvalidToken for what is no session token at all.
func InspectUnverified(token secret.String, now time.Time) (*Inspection, error) {
	return inspect(token.Reveal(), now)
}

func inspect(token string, now time.Time) (*Inspection, error) {
	if len(token) > MaxTokenSize {
		return nil, invalid("too large")
	}
	segments := strings.SplitN(token, ".", 6)
	var header struct {
		Type      string `json:"typ"`
		Algorithm string `json:"alg"`
		KeyID     string `json:"kid"`
	}
	if err := decodeSegment(segments[0], &header); err != nil {
		return nil, invalid("malformed header")
	}
	i := &Inspection{Type: header.Type, Algorithm: header.Algorithm, KeyID: header.KeyID}
	switch {
	case len(segments) == 5 && header.Type == sealedType:
		i.Sealed = true
		return i, nil
	case len(segments) != 3 || header.Type != tokenType:
		return nil, invalid("not of stint's session type")
	}
	w := new(wire)
	if err := decodeSegment(segments[1], w); err != nil {
		return nil, invalid("malformed claims")
	}
	c, err := w.claims()
	if err != nil {
		return nil, invalid("claims of no session")
	}
	i.Issuer, i.Audience, i.Claims, i.Expired = w.issuer, w.audience, c, !now.Before(c.ExpiresAt)
	return i, nil
}

func decodeSegment(segment string, into any) error {
	plain, err := base64.RawURLEncoding.Strict().DecodeString(segment)
	if err != nil {
		return errors.New("not base64url")
	}
	return json.Unmarshal(plain, into)
}

// String explains the token in lines of a name and a value.
func (i *Inspection) String() string {
	var b lines
	b.line("status", "%s", i.status())
	b.line("algorithm", "%q, key %q", i.Algorithm, i.KeyID)
	if i.Sealed {
		b.line("sealed", "yes")
	}
	c := i.Claims
	if c == nil {
		return b.String()
	}
	b.text("issuer", i.Issuer)
	b.text("audience", i.Audience)
	b.line("session", "%s", kindWords(c.Kind))
	b.text("principal", c.ARN)
	b.line("entity", "%q (%q)", c.EntityARN, c.EntityID)
	b.text("account", c.Account)
	b.text("access key id", c.AccessKeyID)
	b.line("issued", "%s", c.IssuedAt.Format(time.RFC3339))
	b.line("expires", "%s, %s after it was issued", c.ExpiresAt.Format(time.RFC3339), c.ExpiresAt.Sub(c.IssuedAt).Round(time.Second))
	b.text("session name", c.SessionName)
	b.text("source identity", c.SourceIdentity)
	if !c.MFATime.IsZero() {
		b.line("mfa", "checked %s", c.MFATime.Format(time.RFC3339))
	}
	if c.Chained {
		b.line("chained", "yes: made with credentials of another role session")
	}
	b.text("asked for by", c.Parent)
	for _, id := range c.Ancestors {
		b.text("after", id)
	}
	b.text("identity provider", c.Provider)
	for _, t := range c.Tags {
		passes := ""
		if slices.ContainsFunc(c.TransitiveKeys, func(k string) bool { return strings.EqualFold(k, t.Key) }) {
			passes = " (transitive)"
		}
		b.line("tag", "%q = %q%s", t.Key, t.Value, passes)
	}
	for _, key := range slices.Sorted(maps.Keys(c.FederatedKeys)) {
		b.line("condition key", "%q = %q", key, c.FederatedKeys[key])
	}
	b.text("session policy", c.Policy)
	for _, arn := range c.PolicyARNs {
		b.text("managed policy", arn)
	}
	return b.String()
}

func (i *Inspection) status() string {
	switch {
	case !i.Checked && i.Expired:
		return "expired (signature not checked)"
	case !i.Checked:
		return "signature not checked"
	case i.Problem != "":
		return i.Problem
	default:
		return "valid"
	}
}

func kindWords(k SessionKind) string {
	switch k {
	case RoleSession:
		return "of a role (AssumeRole and its kin)"
	case UserSession:
		return "of a user (GetSessionToken)"
	default:
		return "of a federated user (GetFederationToken)"
	}
}

// lines builds aligned lines. Values from a token are quoted, lest they drive the terminal.
type lines struct{ strings.Builder }

func (b *lines) line(name, format string, values ...any) {
	fmt.Fprintf(b, "%-18s", name)
	fmt.Fprintf(b, format, values...)
	b.WriteByte('\n')
}

func (b *lines) text(name, value string) {
	if value != "" {
		b.line(name, "%q", value)
	}
}
