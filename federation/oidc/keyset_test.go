package oidc_test

import (
	"crypto/elliptic"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"strings"
	"testing"

	"github.com/stint-sts/stint/federation/oidc"
	"github.com/stint-sts/stint/federation/oidctest"
)

// with is a JWK with other members; a nil value removes one.
func with(jwk map[string]any, change map[string]any) map[string]any {
	c := maps.Clone(jwk)
	maps.Copy(c, change)
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	return c
}

// modulus is a number of that many bits as a JWK holds one.
func modulus(bits int) string {
	n := new(big.Int).Lsh(big.NewInt(1), uint(bits-1))
	return encode(n.Add(n, big.NewInt(1)).Bytes())
}

// Each row is one key in a set with a good one: a key that cannot be used is left out, and takes nothing else with it.
func TestParseKeySet_Keys(t *testing.T) {
	t.Parallel()
	rs, es, good := oidctest.NewKey("RS256", "rsa").JWK(), oidctest.NewKey("ES256", "ec").JWK(), oidctest.NewKey("ES384", "good").JWK()
	p384 := oidctest.NewKey("ES384", "x").JWK()
	outside := encode(elliptic.P256().Params().P.Bytes())
	for _, row := range []struct {
		name string
		key  map[string]any
		ok   bool
	}{
		{"RSA", rs, true},
		{"EC", es, true},
		{"without use, alg and kid", with(rs, map[string]any{"use": nil, "alg": nil, "kid": nil}), true},
		{"for verifying", with(rs, map[string]any{"key_ops": []string{"verify"}}), true},
		{"unknown members", with(rs, map[string]any{"x5t": "a", "x": map[string]any{"d": 1}}), true},
		{"RSA of 2,048 bits", with(rs, map[string]any{"n": modulus(2048)}), true},
		{"RSA of 2,047 bits", with(rs, map[string]any{"n": modulus(2047)}), false},
		{"RSA of 1,024 bits", with(rs, map[string]any{"n": modulus(1024)}), false},
		{"RSA of 8,192 bits", with(rs, map[string]any{"n": modulus(8192)}), true},
		{"RSA of 8,193 bits", with(rs, map[string]any{"n": modulus(8193)}), false},
		{"RSA of a million bits", with(rs, map[string]any{"n": strings.Repeat("A", 100_000) + "B"}), false},
		{"even modulus", with(rs, map[string]any{"n": encode(new(big.Int).Lsh(big.NewInt(1), 2047).Bytes())}), false},
		{"zero in front of the modulus", with(rs, map[string]any{"n": encode(append([]byte{0}, new(big.Int).Add(new(big.Int).Lsh(big.NewInt(1), 2047), big.NewInt(1)).Bytes()...))}), true},
		{"exponent 3", with(rs, map[string]any{"e": "Aw"}), true},
		{"exponent 1", with(rs, map[string]any{"e": "AQ"}), false},
		{"exponent 0", with(rs, map[string]any{"e": "AA"}), false},
		{"even exponent", with(rs, map[string]any{"e": "AQAA"}), false},
		{"exponent of 2,048 bits", with(rs, map[string]any{"e": modulus(2048)}), false},
		{"no exponent", with(rs, map[string]any{"e": nil}), false},
		{"exponent is a number", with(rs, map[string]any{"e": 65537}), false},
		{"modulus with padding", with(rs, map[string]any{"n": modulus(2048) + "="}), false},
		{"for encryption", with(rs, map[string]any{"use": "enc"}), false},
		{"use is a list", with(rs, map[string]any{"use": []string{"sig"}}), false},
		{"for signing only", with(rs, map[string]any{"key_ops": []string{"sign"}}), false},
		{"for PSS", with(rs, map[string]any{"alg": "PS256"}), false},
		{"for encryption by alg", with(rs, map[string]any{"alg": "RSA-OAEP"}), false},
		{"RSA for an EC algorithm", with(rs, map[string]any{"alg": "ES256"}), false},
		{"alg none", with(rs, map[string]any{"alg": "none"}), false},
		{"EC for the algorithm of another curve", with(es, map[string]any{"alg": "ES384"}), false},
		{"EC on a curve that it is not on", with(es, map[string]any{"crv": "P-384", "alg": nil}), false},
		{"EC on an unknown curve", with(es, map[string]any{"crv": "secp256k1", "alg": nil}), false},
		{"point off its curve", with(es, map[string]any{"x": es["y"], "y": es["x"]}), false},
		{"coordinate beyond the field", with(es, map[string]any{"x": outside}), false},
		{"coordinate cut", with(es, map[string]any{"x": es["x"].(string)[:20]}), false},
		{"coordinate of another curve", with(es, map[string]any{"x": p384["x"]}), false},
		{"zero point", with(es, map[string]any{"x": encode(make([]byte, 32)), "y": encode(make([]byte, 32))}), false},
		{"EdDSA", map[string]any{"kty": "OKP", "crv": "Ed25519", "x": encode(make([]byte, 32)), "kid": "ed"}, false},
		{"no type", with(rs, map[string]any{"kty": nil}), false},
		{"type in another case", with(rs, map[string]any{"kty": "rsa"}), false},
		{"id is a number", with(rs, map[string]any{"kid": 1}), false},
		{"id too long", with(rs, map[string]any{"kid": strings.Repeat("a", 513)}), false},
	} {
		s, err := oidc.ParseKeySet(document(t, good, row.key))
		want := 1
		if row.ok {
			want = 2
		}
		if err != nil || s.Len() != want || len(s.Ignored()) != 2-want {
			t.Errorf("%s: %v, %v", row.name, s, err)
		}
	}
}

func TestParseKeySet_Documents(t *testing.T) {
	t.Parallel()
	rs, es := oidctest.NewKey("RS256", "rsa").JWK(), oidctest.NewKey("ES256", "ec").JWK()
	if s, err := oidc.ParseKeySet(document(t, rs, es)); err != nil || s.Len() != 2 {
		t.Fatalf("%v, %v", s, err)
	}
	if s, err := oidc.ParseKeySet(document(t, rs, rs, es)); err != nil || s.Len() != 2 {
		t.Fatalf("a key twice: %v, %v", s, err)
	}
	for name, raw := range map[string][]byte{
		"a private RSA key":                   document(t, es, with(rs, map[string]any{"d": "AA"})),
		"a private key's factor":              document(t, es, with(rs, map[string]any{"p": "AA"})),
		"a private EC key":                    document(t, rs, with(es, map[string]any{"d": "AA"})),
		"a private key for encryption":        document(t, es, with(rs, map[string]any{"d": "AA", "use": "enc"})),
		"a symmetric key":                     document(t, rs, map[string]any{"kty": "oct", "k": "AAAA"}),
		"a symmetric key that hides its type": document(t, rs, map[string]any{"k": "AAAA"}),
		"no key":                              document(t),
		"no usable key":                       document(t, with(rs, map[string]any{"use": "enc"})),
		"no list":                             []byte(`{"keys":{}}`),
		"no keys":                             []byte(`{}`),
		"a key that is a text":                []byte(`{"keys":["RSA"]}`),
		"a list":                              []byte(`[]`),
		"empty":                               nil,
		"HTML":                                []byte("<!doctype html>"),
		"more behind":                         append(document(t, rs), '{'),
		"keys twice":                          []byte(strings.Replace(string(document(t, rs)), "{", `{"keys":[],`, 1)),
		"a member of a key twice":             []byte(strings.Replace(string(document(t, rs)), `"kid"`, `"e":"Aw","kid"`, 1)),
		"too large":                           append(document(t, rs), []byte(strings.Repeat(" ", oidc.MaxKeySetSize))...),
		"too many values":                     []byte(`{"keys":[` + strings.Repeat("0,", 30_000) + `0]}`),
	} {
		if s, err := oidc.ParseKeySet(raw); !errors.Is(err, oidc.ErrUnusable) || s != nil {
			t.Errorf("%s: %v, %v", name, s, err)
		}
	}
}

// An issuer with too many keys of one type loses that type, not the other.
func TestParseKeySet_TooMany(t *testing.T) {
	t.Parallel()
	rs := oidctest.NewKey("RS256", "rsa")
	list := []map[string]any{rs.JWK()}
	for i := range 99 {
		list = append(list, oidctest.NewKey("ES256", fmt.Sprint(i)).JWK())
	}
	last, extra := oidctest.NewKey("ES256", "last"), oidctest.NewKey("ES256", "extra")
	list = append(list, last.JWK())
	if _, err := verify(&keys{present: keySet(t, list...)}, last.Token(good(nil)), nil); err != nil {
		t.Fatalf("100 EC keys: %v", err)
	}
	k := &keys{present: keySet(t, append(list, extra.JWK())...)}
	for _, key := range []*oidctest.Key{last, extra} {
		if _, err := verify(k, key.Token(good(nil)), nil); !errors.Is(err, oidc.ErrUntrusted) {
			t.Errorf("101 EC keys: %v", err)
		}
	}
	if _, err := verify(k, rs.Token(good(nil)), nil); err != nil {
		t.Errorf("RSA beside 101 EC keys: %v", err)
	}
}

func TestParseDiscovery(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, document, want string
	}{
		{"as it should be", `{"issuer":"https://a","jwks_uri":"https://b/keys","x":{"y":[1]}}`, "https://b/keys"},
		{"another issuer", `{"issuer":"https://b","jwks_uri":"https://b/keys"}`, ""},
		{"a slash more", `{"issuer":"https://a/","jwks_uri":"https://b/keys"}`, ""},
		{"no issuer", `{"jwks_uri":"https://b/keys"}`, ""},
		{"no keys", `{"issuer":"https://a"}`, ""},
		{"keys are a list", `{"issuer":"https://a","jwks_uri":["https://b/keys"]}`, ""},
		{"issuer twice", `{"issuer":"https://b","issuer":"https://a","jwks_uri":"https://b/keys"}`, ""},
		{"HTML", `<html>`, ""},
	} {
		got, err := oidc.ParseDiscovery([]byte(row.document), "https://a")
		if got != row.want || (err == nil) != (row.want != "") || err != nil && !errors.Is(err, oidc.ErrUnusable) {
			t.Errorf("%s: %q, %v", row.name, got, err)
		}
	}
}

func TestIssuers(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		issuer        string
		ok, onLoopack bool
	}{
		{"https://idp.example.com", true, true},
		{"https://idp.example.com/", true, true},
		{"https://idp.example.com:8443/a/b", true, true},
		{"https://keycloak:8443/realms/x", true, true},
		{"https://keycloak/realms/x", true, true},
		{"https://192.0.2.1/x", true, true},
		{"https://[2001:db8::1]:8443/x", true, true},
		{"https://localhost", true, true},
		{"http://127.0.0.1:5556/dex", false, true},
		{"http://[::1]:5556", false, true},
		{"http://localhost:8080", false, true},
		{"http://idp.example.com", false, false},
		{"http://127.0.0.1.example.com", false, false},
		{"http://localhost.example.com", false, false},
		{"https://aws", false, false},
		{"https://sts", false, false},
		{"https://idp.example.com?x=1", false, false},
		{"https://idp.example.com#x", false, false},
		{"https://user@idp.example.com", false, false},
		{"https://idp.example.com@evil.example", false, false},
		{"https://idp.example.com/a b", false, false},
		{"https://idp.example.com/a*", false, false},
		{"https://idp.example.com/ä", false, false},
		{"https://", false, false},
		{"https:idp.example.com", false, false},
		{"idp.example.com", false, false},
		{"file:///etc/passwd", false, false},
		{"ftp://idp.example.com", false, false},
		{"HTTPS://idp.example.com", false, false},
		{"https://idp.example.com/" + strings.Repeat("a", 240), false, false},
		{"", false, false},
	} {
		if err := oidc.CheckIssuer(row.issuer, false); (err == nil) != row.ok {
			t.Errorf("%s: %v", row.issuer, err)
		}
		if err := oidc.CheckIssuer(row.issuer, true); (err == nil) != row.onLoopack {
			t.Errorf("%s on loopback: %v", row.issuer, err)
		}
	}
	list := &oidc.Issuers{Allowed: []string{"https://idp.example.com", "https://oidc.eks.*.amazonaws.com/id/*"}}
	var reported []string
	reporting := &oidc.Issuers{Allowed: list.Allowed, Report: func(issuer string) { reported = append(reported, issuer) }}
	for issuer, ok := range map[string]bool{
		"https://idp.example.com":                                  true,
		"https://oidc.eks.eu-west-1.amazonaws.com/id/A1":           true,
		"https://idp.example.com/":                                 false,
		"https://oidc.eks.evil.example/x.amazonaws.com/id/A1":      false,
		"https://oidc.eks.eu-west-1.amazonaws.com/id/A1/more":      false,
		"https://oidc.eks.eu-west-1.amazonaws.com.evil.example/id": false,
	} {
		if err := list.Admit(issuer); (err == nil) != ok || err != nil && !errors.Is(err, oidc.ErrIssuerNotAllowed) {
			t.Errorf("%s: %v", issuer, err)
		}
		before := len(reported)
		if err := reporting.Admit(issuer); err != nil || (len(reported) == before) != ok {
			t.Errorf("%s, reporting: %v", issuer, err)
		}
		if err := new(oidc.Issuers).Admit(issuer); err != nil {
			t.Errorf("%s, no list: %v", issuer, err)
		}
	}
	if err := reporting.Admit("http://idp.example.com"); !errors.Is(err, oidc.ErrIssuerNotAllowed) {
		t.Errorf("reporting lets in what is no issuer: %v", err)
	}
	for pattern, ok := range map[string]bool{"https://a/*": true, "https://[": false, "a.example.com": false} {
		if err := oidc.CheckPattern(pattern); (err == nil) != ok {
			t.Errorf("pattern %s: %v", pattern, err)
		}
	}
}
