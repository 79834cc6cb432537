package signer

import (
	"bytes"
	"compress/flate"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"
)

// What is fixed in every token. Identity tokens for third parties have another type, issuer and keys.
const (
	tokenType  = "stint-session+jwt"
	sealedType = "stint-session+jwe"
	audience   = "stint" // the only one that takes session tokens
)

const (
	packThreshold = 1024    // bytes of details from which on they are compressed
	packLimit     = 1 << 18 // bytes of details: 50 tags of the longest four-byte characters are 77 KiB
)

// wire is a session token's payload. Names are short, because the token travels with every request, and empty claims are left
// out. One that is unknown is an error: it may be a restriction that a newer node put there.
//
//	iss aud sub jti iat exp   issuer, audience, ARN of the session, access key id; iat in milliseconds (RFC 7519 section 2)
//	knd dkv                   kind of session, version of the derivation key
//	acc ent uid snm sid       account; ARN and unique id of the entity; session name; source identity
//	mfa chn par idp           when MFA was checked; 1 if chained; access key id of the parent; ARN of the identity provider
//	tag trn fed pol pla       details: tags as key, value, key, value, …; transitive keys; federated condition keys; session policies
//	anc anx                   access key ids that led to the parent; 1 if some of them are left out
//	pad                       zeros, for a token of the least size that was asked for
//	z                         the details instead, if they are long: base64url of DEFLATE (RFC 1951) of their JSON object
type wire struct {
	issuer, audience string
	expires          int64
	c                Claims // without the details
	details
	packed string // z
}

// details are the claims without a bound on their length.
type details struct {
	Tags           []string            `json:"tag"`
	TransitiveKeys []string            `json:"trn"`
	FederatedKeys  map[string][]string `json:"fed"`
	Policy         string              `json:"pol"`
	PolicyARNs     []string            `json:"pla"`
}

// appendClaims appends the payload of a token for c. It refuses text that is not UTF-8, which JSON cannot carry unchanged.
func appendClaims(b []byte, c *Claims, issuer string) ([]byte, error) {
	o := object{b: append(b, '{')}
	o.text("iss", issuer)
	o.text("aud", audience)
	o.text("sub", c.ARN)
	o.text("jti", c.AccessKeyID)
	o.milliseconds("iat", c.IssuedAt.UnixMilli())
	o.number("exp", c.ExpiresAt.Unix())
	o.text("knd", string(c.Kind))
	o.number("dkv", int64(c.DerivationVersion))
	o.text("acc", c.Account)
	o.text("ent", c.EntityARN)
	o.text("uid", c.EntityID)
	o.text("snm", c.SessionName)
	o.text("sid", c.SourceIdentity)
	if !c.MFATime.IsZero() {
		o.number("mfa", c.MFATime.Unix())
	}
	if c.Chained {
		o.number("chn", 1)
	}
	o.text("par", c.Parent)
	o.texts("anc", c.Ancestors)
	if c.AncestorsCut {
		o.number("anx", 1)
	}
	o.text("idp", c.Provider)
	o.text("pad", strings.Repeat("0", c.padding))
	start := len(o.b)
	o.details(c)
	if long := o.b[start:]; len(long) > packThreshold {
		packed, err := pack(long)
		if err != nil {
			return nil, err
		}
		o.b = o.b[:start]
		o.text("z", packed)
	}
	if o.invalid {
		return nil, errors.New("a claim is not UTF-8")
	}
	return append(o.b, '}'), nil
}

// object appends the members of a JSON object (RFC 8259). Members without a value are left out.
type object struct {
	b       []byte
	invalid bool // some text was not UTF-8
}

func (o *object) name(name string) {
	if o.b[len(o.b)-1] != '{' {
		o.b = append(o.b, ',')
	}
	o.b = append(o.b, '"')
	o.b = append(o.b, name...)
	o.b = append(o.b, '"', ':')
}

func (o *object) text(name, value string) {
	if value != "" {
		o.name(name)
		o.quote(value)
	}
}

func (o *object) number(name string, value int64) {
	o.name(name)
	o.b = strconv.AppendInt(o.b, value, 10)
}

func (o *object) milliseconds(name string, value int64) {
	o.number(name, value/1000)
	if part := value % 1000; part > 0 {
		o.b = append(o.b, '.', byte('0'+part/100), byte('0'+part/10%10), byte('0'+part%10))
	}
}

func (o *object) texts(name string, values []string) {
	if len(values) > 0 {
		o.name(name)
		o.list(values)
	}
}

func (o *object) details(c *Claims) {
	if len(c.Tags) > 0 {
		pairs := make([]string, 0, 2*len(c.Tags))
		for _, t := range c.Tags {
			pairs = append(pairs, t.Key, t.Value)
		}
		o.texts("tag", pairs)
	}
	o.texts("trn", c.TransitiveKeys)
	if len(c.FederatedKeys) > 0 {
		o.name("fed")
		for i, key := range slices.Sorted(maps.Keys(c.FederatedKeys)) {
			o.b = append(o.b, "{,"[min(i, 1)])
			o.quote(key)
			o.b = append(o.b, ':')
			o.list(c.FederatedKeys[key])
		}
		o.b = append(o.b, '}')
	}
	o.text("pol", c.Policy)
	o.texts("pla", c.PolicyARNs)
}

func (o *object) list(values []string) {
	o.b = append(o.b, '[')
	for i, v := range values {
		if i > 0 {
			o.b = append(o.b, ',')
		}
		o.quote(v)
	}
	o.b = append(o.b, ']')
}

func (o *object) quote(s string) {
	o.invalid = o.invalid || !utf8.ValidString(s)
	o.b = append(o.b, '"')
	plain := 0 // start of what needs no escape
	for i := range len(s) {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		o.b = append(o.b, s[plain:i]...)
		if c < ' ' {
			o.b = append(o.b, `\u00`...)
			o.b = append(o.b, "0123456789abcdef"[c>>4], "0123456789abcdef"[c&15])
		} else {
			o.b = append(o.b, '\\', c)
		}
		plain = i + 1
	}
	o.b = append(o.b, s[plain:]...)
	o.b = append(o.b, '"')
}

// A compressor is half a megabyte of tables, so they are kept for the next token.
var compressors = sync.Pool{New: func() any {
	w, err := flate.NewWriter(nil, flate.DefaultCompression)
	if err != nil {
		panic(err) // the level is a constant
	}
	return w
}}

// pack compresses members, which start with a comma unless they are the first.
func pack(members []byte) (string, error) {
	members = bytes.TrimPrefix(members, []byte(","))
	const braces = 2
	if len(members)+braces > packLimit {
		return "", ErrTokenTooLarge
	}
	var out bytes.Buffer
	w := compressors.Get().(*flate.Writer)
	defer compressors.Put(w)
	w.Reset(&out)
	for _, part := range [][]byte{{'{'}, members, {'}'}} {
		if _, err := w.Write(part); err != nil {
			return "", fmt.Errorf("pack claims: %w", err)
		}
	}
	if err := w.Close(); err != nil {
		return "", fmt.Errorf("pack claims: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(out.Bytes()), nil
}

// validate checks what every session must say.
func (c *Claims) validate() error {
	switch c.Kind {
	case RoleSession, UserSession, FederatedSession, RootSession:
	default:
		return fmt.Errorf("session kind %q is unknown", c.Kind)
	}
	if _, err := parseAccount(c.Account); err != nil {
		return err
	}
	if c.ARN == "" || c.EntityARN == "" || c.EntityID == "" || c.AccessKeyID == "" {
		return errors.New("session lacks its ARN, entity or access key id")
	}
	if life := c.ExpiresAt.Sub(c.IssuedAt); life <= 0 || life > MaxLifetime {
		return fmt.Errorf("session lives for %s, outside 0 to %s", life, MaxLifetime)
	}
	return nil
}
