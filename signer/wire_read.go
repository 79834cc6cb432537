package signer

import (
	"bytes"
	"compress/flate"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// UnmarshalJSON reads what appendClaims wrote. It is called before the signature is checked, so it takes the text apart and
// nothing more.
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
	case "anc":
		err = json.Unmarshal([]byte(value), &w.c.Ancestors)
	case "anx":
		w.c.AncestorsCut = value == "1"
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
	case "pad":
		// says nothing
	default:
		err = errUnknownClaim
	}
	return err
}

var errUnknownClaim = errors.New("unknown claim")

// members yields the names and values, both as written, of a JSON object. The text must be valid JSON. Spaces, which
// appendClaims never writes, become part of a name or value and so make them unreadable.
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

// unpack fills in the details from "z". It is for verified payloads: what an attacker packs is never inflated before its
// signature is checked.
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
