package signer

import (
	"bytes"
	"compress/flate"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/golang-jwt/jwt/v5"
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

// wire is a session token's payload. Names are short, because the token travels with every request, and empty claims are left out. One
// that is unknown is an error: it may be a restriction that a newer node put there.
//
//	iss aud sub jti iat exp   issuer, audience, ARN of the session, access key id; iat has milliseconds (RFC 7519 section 2 allows a fraction)
//	knd dkv                   kind of session, version of the derivation key
//	acc ent uid snm sid       account; ARN and unique id of the entity; session name; source identity
//	mfa chn par idp           when MFA was checked; 1 if chained; access key id of the parent; ARN of the identity provider
//	tag trn fed pol pla       details: tags as key, value, key, value, …; transitive keys; federated condition keys; session policies
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
	o.text("idp", c.Provider)
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

// UnmarshalJSON reads what appendClaims wrote. It is called before the signature is checked, so it takes the text apart and nothing more.
func (w *wire) UnmarshalJSON(payload []byte) error {
	for name, value := range members(string(payload)) { // one string, of which the claims are parts
		if err := w.set(name, value); err != nil {
			return err
		}
	}
	return nil
}

func (w *wire) set(name, value string) (err error) {
	switch name {
	case "iss":
		w.issuer, err = unquote(value)
	case "aud":
		w.audience, err = unquote(value)
	case "sub":
		w.c.ARN, err = unquote(value)
	case "jti":
		w.c.AccessKeyID, err = unquote(value)
	case "iat":
		w.c.IssuedAt, err = instant(value)
	case "exp":
		w.expires, err = strconv.ParseInt(value, 10, 64)
		w.c.ExpiresAt = time.Unix(w.expires, 0).UTC()
	case "knd":
		var kind string
		kind, err = unquote(value)
		w.c.Kind = SessionKind(kind)
	case "dkv":
		w.c.DerivationVersion, err = strconv.Atoi(value)
	case "acc":
		w.c.Account, err = unquote(value)
	case "ent":
		w.c.EntityARN, err = unquote(value)
	case "uid":
		w.c.EntityID, err = unquote(value)
	case "snm":
		w.c.SessionName, err = unquote(value)
	case "sid":
		w.c.SourceIdentity, err = unquote(value)
	case "mfa":
		w.c.MFATime, err = instant(value)
	case "chn":
		w.c.Chained = value == "1"
	case "par":
		w.c.Parent, err = unquote(value)
	case "idp":
		w.c.Provider, err = unquote(value)
	case "tag":
		err = json.Unmarshal([]byte(value), &w.Tags)
	case "trn":
		err = json.Unmarshal([]byte(value), &w.TransitiveKeys)
	case "fed":
		err = json.Unmarshal([]byte(value), &w.FederatedKeys)
	case "pol":
		w.Policy, err = unquote(value)
	case "pla":
		err = json.Unmarshal([]byte(value), &w.PolicyARNs)
	case "z":
		w.packed, err = unquote(value)
	default:
		err = errUnknownClaim
	}
	return err
}

var errUnknownClaim = errors.New("unknown claim")

// members yields the names and values, both as written, of a JSON object. The text must be valid JSON. Spaces, which appendClaims never
// writes, become part of a name or value and so make them unreadable.
func members(text string) iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		rest := strings.TrimSuffix(strings.TrimPrefix(text, "{"), "}")
		for rest != "" {
			name, after, _ := strings.Cut(rest, ":") // a name with a colon is unknown, whatever its cut-off part is taken for
			end := valueEnd(after)
			if !yield(strings.Trim(name, `"`), after[:end]) {
				return
			}
			rest = strings.TrimPrefix(after[end:], ",")
		}
	}
}

// valueEnd returns where the JSON value ends with which text begins: at a comma outside of strings and brackets.
func valueEnd(text string) int {
	depth := 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			for i++; i < len(text) && text[i] != '"'; i++ {
				if text[i] == '\\' {
					i++
				}
			}
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		case ',':
			if depth == 0 {
				return i
			}
		}
	}
	return len(text)
}

// unquote returns the text of a JSON string.
func unquote(value string) (text string, err error) {
	if len(value) < 2 || value[0] != '"' || strings.IndexByte(value, '\\') >= 0 {
		err = json.Unmarshal([]byte(value), &text)
		return text, err
	}
	return value[1 : len(value)-1], nil
}

// instant reads a NumericDate to the millisecond.
func instant(value string) (time.Time, error) {
	whole, fraction, _ := strings.Cut(value, ".")
	seconds, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || fraction == "" {
		return time.Unix(seconds, 0).UTC(), err
	}
	milliseconds, err := strconv.ParseUint(fraction, 10, 16)
	if len(fraction) != 3 {
		return time.Time{}, errors.New("fraction of a second is not in milliseconds")
	}
	return time.Unix(seconds, int64(milliseconds)*1e6).UTC(), err
}

// unpack fills in the details from "z". It is for verified payloads: what an attacker packs is never inflated before its signature is checked.
func (w *wire) unpack() error {
	if w.packed == "" {
		return nil
	}
	packed, err := base64.RawURLEncoding.Strict().DecodeString(w.packed)
	if err != nil {
		return err
	}
	plain, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(packed)), packLimit+1))
	if err != nil {
		return err
	}
	if len(plain) > packLimit {
		return ErrTokenTooLarge
	}
	w.details = details{}
	decoder := json.NewDecoder(bytes.NewReader(plain))
	decoder.DisallowUnknownFields()
	return decoder.Decode(&w.details)
}

// claims returns what w says, if that is what every session must.
func (w *wire) claims() (*Claims, error) {
	if err := w.unpack(); err != nil {
		return nil, err
	}
	if len(w.Tags)%2 != 0 {
		return nil, errors.New("tag without a value")
	}
	c := &w.c
	for i := 0; i < len(w.Tags); i += 2 {
		c.Tags = append(c.Tags, Tag{Key: w.Tags[i], Value: w.Tags[i+1]})
	}
	c.TransitiveKeys, c.FederatedKeys, c.Policy, c.PolicyARNs = w.TransitiveKeys, w.FederatedKeys, w.Policy, w.PolicyARNs
	return c, c.validate()
}

// validate checks what every session must say.
func (c *Claims) validate() error {
	switch c.Kind {
	case RoleSession, UserSession, FederatedSession:
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

// The methods that make wire jwt.Claims. The instants of issue and expiry are compared by Verify.

func (w *wire) GetExpirationTime() (*jwt.NumericDate, error) {
	if w.expires == 0 {
		return nil, nil
	}
	return &jwt.NumericDate{Time: w.c.ExpiresAt}, nil
}
func (w *wire) GetIssuedAt() (*jwt.NumericDate, error)  { return nil, nil }
func (w *wire) GetNotBefore() (*jwt.NumericDate, error) { return nil, nil } // never set
func (w *wire) GetIssuer() (string, error)              { return w.issuer, nil }
func (w *wire) GetSubject() (string, error)             { return w.c.ARN, nil }
func (w *wire) GetAudience() (jwt.ClaimStrings, error)  { return jwt.ClaimStrings{w.audience}, nil }
