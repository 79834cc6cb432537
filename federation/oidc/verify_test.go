package oidc_test

import (
	"context"
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stint-sts/stint/federation/oidc"
	"github.com/stint-sts/stint/federation/oidctest"
	"github.com/stint-sts/stint/policy"
)

const (
	issuerURL = "https://idp.example.com/realm"
	clientID  = "sts.example.com"
)

var now = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

// keys are the keys of one issuer: the present set, and one that comes after it is asked for once more.
type keys struct {
	present, newer *oidc.KeySet
	asked          int
	err            error
}

func (k *keys) Keys(_ context.Context, _ *oidc.Provider, without *oidc.KeySet) (*oidc.KeySet, error) {
	k.asked++
	if k.err != nil {
		return nil, k.err
	}
	if without == k.present && k.newer != nil {
		return k.newer, nil
	}
	return k.present, nil
}

func keySet(t testing.TB, list ...map[string]any) *oidc.KeySet {
	t.Helper()
	s, err := oidc.ParseKeySet(document(t, list...))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func document(t testing.TB, list ...map[string]any) []byte {
	t.Helper()
	if list == nil {
		list = []map[string]any{}
	}
	raw, err := json.Marshal(map[string]any{"keys": list})
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func provider() *oidc.Provider {
	return &oidc.Provider{Issuer: issuerURL, ClientIDs: []string{"other", clientID}}
}

// good are the claims of a token that is accepted; change may change them, a nil value removes one.
func good(change map[string]any) map[string]any {
	claims := map[string]any{
		"iss": issuerURL, "sub": "alice", "aud": clientID, "iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
	}
	maps.Copy(claims, change)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	return claims
}

// verify parses and verifies as an operation does.
func verify(k oidc.Keys, token string, rules map[string]oidc.Rules) (*oidc.Claims, error) {
	t, err := oidc.Parse(token)
	if err != nil {
		return nil, err
	}
	return oidc.New(oidc.Config{Keys: k, Now: func() time.Time { return now }, Issuers: rules}).
		Verify(context.Background(), t, provider())
}

func TestVerify_Algorithms(t *testing.T) {
	t.Parallel()
	for _, algorithm := range oidc.Algorithms() {
		k := oidctest.NewKey(algorithm, "k1")
		c, err := verify(&keys{present: keySet(t, k.JWK())}, k.Token(good(nil)), nil)
		if err != nil {
			t.Fatalf("%s: %v", algorithm, err)
		}
		if c.Subject != "alice" || c.Client != clientID || c.Issuer != issuerURL || !c.ExpiresAt.Equal(now.Add(time.Hour)) {
			t.Errorf("%s: %+v", algorithm, c)
		}
		// A provider that is set to other algorithms refuses the same token.
		rules := map[string]oidc.Rules{issuerURL: {Algorithms: []string{"none of them"}}}
		if _, err := verify(&keys{present: keySet(t, k.JWK())}, k.Token(good(nil)), rules); !errors.Is(err, oidc.ErrUntrusted) {
			t.Errorf("%s outside of the provider's: %v", algorithm, err)
		}
	}
}

// hmacToken signs with a symmetric algorithm under the public key, in each of the forms that a library may take it in.
func hmacToken(header map[string]any, claims map[string]any, secret []byte) string {
	h, _ := json.Marshal(header)
	c, _ := json.Marshal(claims)
	signed := encode(h) + "." + encode(c)
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(signed))
	return signed + "." + encode(mac.Sum(nil))
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func join(header, payload string, signature []byte) string {
	return encode([]byte(header)) + "." + encode([]byte(payload)) + "." + encode(signature)
}

// Attacks on signature, header and encoding. The honest twin of each passes first: it is the token that the attack was made from.
func TestVerify_Attacks(t *testing.T) {
	t.Parallel()
	rs, es := oidctest.NewKey("RS256", "rsa"), oidctest.NewKey("ES256", "ec")
	stranger := oidctest.NewKey("RS256", "rsa")
	es384 := oidctest.NewKey("ES384", "ec384")
	public := rs.Signer.Public().(*rsa.PublicKey)
	pkix, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	k := &keys{present: keySet(t, rs.JWK(), es.JWK(), es384.JWK())}
	honest := rs.Token(good(nil))
	for name, token := range map[string]string{
		"RS256": honest, "ES256": es.Token(good(nil)), "ES384": es384.Token(good(nil)),
		"no typ":                   rs.Sign(map[string]any{"alg": "RS256", "kid": "rsa"}, marshal(good(nil))),
		"typ jwt":                  rs.Sign(map[string]any{"alg": "RS256", "kid": "rsa", "typ": "jwt"}, marshal(good(nil))),
		"x5t":                      rs.Sign(map[string]any{"alg": "RS256", "kid": "rsa", "x5t": "AAAA"}, marshal(good(nil))),
		"SPIFFE":                   rs.Sign(map[string]any{"alg": "RS256", "kid": "rsa", "typ": "JOSE"}, marshal(good(nil))),
		"escaped names and values": rs.SignRaw([]byte(`{ "\u0061lg":"RS256","kid":"\u0072sa" }`), marshal(good(nil))),
	} {
		if _, err := verify(k, token, nil); err != nil {
			t.Fatalf("honest token %s: %v", name, err)
		}
	}
	header := func(more map[string]any) map[string]any {
		h := map[string]any{"alg": "RS256", "kid": "rsa", "typ": "JWT"}
		maps.Copy(h, more)
		return h
	}
	payload := marshal(good(nil))
	parts := strings.Split(honest, ".")
	esParts := strings.Split(es.Token(good(nil)), ".")
	rsSignature, _ := base64.RawURLEncoding.DecodeString(parts[2])
	esSignature, _ := base64.RawURLEncoding.DecodeString(esParts[2])
	jwk, _ := json.Marshal(stranger.JWK())
	digest := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	pss, err := rsa.SignPSS(rand.Reader, rs.Signer.(*rsa.PrivateKey), crypto.SHA256, digest[:], nil)
	if err != nil {
		t.Fatal(err)
	}
	lastOther := func(s string) string { // another last character with the same bytes: surplus bits set
		const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
		return s[:len(s)-1] + string(alphabet[strings.IndexByte(alphabet, s[len(s)-1])|1])
	}
	for _, row := range []struct {
		name  string
		token string
		want  error
	}{
		{"alg none, no signature", join(`{"alg":"none","typ":"JWT"}`, string(payload), nil), oidc.ErrMalformed},
		{"alg None", join(`{"alg":"None"}`, string(payload), []byte{1}), oidc.ErrMalformed},
		{"alg nOnE with the old signature", encode([]byte(`{"alg":"nOnE","kid":"rsa"}`)) + "." + parts[1] + "." + parts[2], oidc.ErrMalformed},
		{"alg missing", rs.Sign(map[string]any{"kid": "rsa"}, payload), oidc.ErrMalformed},
		{"alg is a list", rs.Sign(header(map[string]any{"alg": []string{"RS256"}}), payload), oidc.ErrMalformed},
		{"alg in lower case", rs.Sign(header(map[string]any{"alg": "rs256"}), payload), oidc.ErrMalformed},
		{"HS256 under the public key as DER", hmacToken(header(map[string]any{"alg": "HS256"}), good(nil), pkix), oidc.ErrMalformed},
		{"HS256 under the public key as PEM", hmacToken(header(map[string]any{"alg": "HS256"}), good(nil),
			pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: pkix})), oidc.ErrMalformed},
		{"HS256 under the modulus", hmacToken(header(map[string]any{"alg": "HS256"}), good(nil), public.N.Bytes()), oidc.ErrMalformed},
		{"PS256", join(`{"alg":"PS256","kid":"rsa"}`, string(payload), pss), oidc.ErrMalformed},
		{"PSS under RS256", parts[0] + "." + parts[1] + "." + encode(pss), oidc.ErrUntrusted},
		{"EdDSA", join(`{"alg":"EdDSA","kid":"rsa"}`, string(payload), make([]byte, 64)), oidc.ErrMalformed},
		{"another RSA key under the same id", stranger.Token(good(nil)), oidc.ErrUntrusted},
		{"key id of a key of another type", rs.Sign(header(map[string]any{"kid": "ec"}), payload), oidc.ErrUntrusted},
		{"ES256 signature by a P-384 key", es384.Sign(map[string]any{"alg": "ES256", "kid": "ec384"}, payload), oidc.ErrUntrusted},
		{"RS512 by a key that is for RS256", rs.Sign(header(map[string]any{"alg": "RS512"}), payload), oidc.ErrUntrusted},
		{"unknown key id", rs.Sign(header(map[string]any{"kid": "gone"}), payload), oidc.ErrUntrusted},
		{"key id as a path", rs.Sign(header(map[string]any{"kid": "../../dev/null"}), payload), oidc.ErrUntrusted},
		{"key id in another case", rs.Sign(header(map[string]any{"kid": "RSA"}), payload), oidc.ErrUntrusted},
		{"key id is a number", rs.Sign(header(map[string]any{"kid": 1}), payload), oidc.ErrMalformed},
		{"empty key id", rs.Sign(header(map[string]any{"kid": ""}), payload), oidc.ErrUntrusted},
		{"key id too long", rs.Sign(header(map[string]any{"kid": strings.Repeat("a", 513)}), payload), oidc.ErrMalformed},
		{"brings its key along", stranger.Sign(header(map[string]any{"jwk": json.RawMessage(jwk)}), payload), oidc.ErrMalformed},
		{"names its key set", stranger.Sign(header(map[string]any{"jku": "https://evil.example/keys"}), payload), oidc.ErrMalformed},
		{"brings a certificate", stranger.Sign(header(map[string]any{"x5c": []string{"AAAA"}}), payload), oidc.ErrMalformed},
		{"names a certificate", stranger.Sign(header(map[string]any{"x5u": "https://evil.example/c"}), payload), oidc.ErrMalformed},
		{"critical extension", rs.Sign(header(map[string]any{"crit": []string{"exp"}, "exp": 1}), payload), oidc.ErrMalformed},
		{"empty crit", rs.Sign(header(map[string]any{"crit": []string{}}), payload), oidc.ErrMalformed},
		{"payload not encoded", rs.Sign(header(map[string]any{"b64": false}), payload), oidc.ErrMalformed},
		{"nested token", rs.Sign(header(map[string]any{"cty": "JWT"}), payload), oidc.ErrMalformed},
		{"access token", rs.Sign(header(map[string]any{"typ": "at+jwt"}), payload), oidc.ErrMalformed},
		{"logout token", rs.Sign(header(map[string]any{"typ": "logout+jwt"}), payload), oidc.ErrMalformed},
		{"typ is a number", rs.Sign(header(map[string]any{"typ": 1}), payload), oidc.ErrMalformed},
		{"alg twice", rs.SignRaw([]byte(`{"alg":"RS256","alg":"RS256","kid":"rsa"}`), payload), oidc.ErrMalformed},
		{"alg twice by an escape", rs.SignRaw([]byte(`{"alg":"RS256","\u0061lg":"none","kid":"rsa"}`), payload), oidc.ErrMalformed},
		{"claim twice", rs.SignRaw(marshal(header(nil)), []byte(strings.Replace(string(payload), "{", `{"sub":"root",`, 1))), oidc.ErrMalformed},
		{"member of a claim twice", rs.SignRaw(marshal(header(nil)),
			[]byte(strings.Replace(string(payload), "{", `{"x":[{"a":1,"a":2}],`, 1))), oidc.ErrMalformed},
		{"payload is a list", rs.SignRaw(marshal(header(nil)), []byte("["+string(payload)+"]")), oidc.ErrMalformed},
		{"payload and more", rs.SignRaw(marshal(header(nil)), []byte(string(payload)+"{}")), oidc.ErrMalformed},
		{"payload is not UTF-8", rs.SignRaw(marshal(header(nil)), []byte(strings.Replace(string(payload), "alice", "al\xffce", 1))), oidc.ErrMalformed},
		{"half a surrogate pair", rs.SignRaw(marshal(header(nil)), []byte(strings.Replace(string(payload), "alice", `\ud800`, 1))), oidc.ErrMalformed},
		{"nested too deep", rs.SignRaw(marshal(header(nil)),
			[]byte(strings.Replace(string(payload), "{", `{"x":`+strings.Repeat("[", 20)+strings.Repeat("]", 20)+`,`, 1))), oidc.ErrMalformed},
		{"payload replaced", parts[0] + "." + encode([]byte(strings.Replace(string(payload), "alice", "admin", 1))) + "." + parts[2], oidc.ErrUntrusted},
		{"signature of another token", parts[0] + "." + parts[1] + "." + strings.Split(rs.Token(good(map[string]any{"sub": "bob"})), ".")[2], oidc.ErrUntrusted},
		{"no signature", parts[0] + "." + parts[1] + ".", oidc.ErrMalformed},
		{"signature cut", parts[0] + "." + parts[1] + "." + encode(rsSignature[:250]), oidc.ErrUntrusted},
		{"zero ECDSA signature", esParts[0] + "." + esParts[1] + "." + encode(make([]byte, 64)), oidc.ErrUntrusted},
		{"ECDSA signature with more behind", esParts[0] + "." + esParts[1] + "." + encode(append(esSignature, 0)), oidc.ErrUntrusted},
		{"ECDSA signature as DER", esParts[0] + "." + esParts[1] + "." + encode(append([]byte{0x30, 0x44}, esSignature...)), oidc.ErrUntrusted},
		{"two parts", parts[0] + "." + parts[1], oidc.ErrMalformed},
		{"four parts", honest + ".x", oidc.ErrMalformed},
		{"five parts, as encrypted", honest + ".x.y", oidc.ErrMalformed},
		{"padding", parts[0] + "." + parts[1] + "." + parts[2] + "==", oidc.ErrMalformed},
		{"line break in the signature", parts[0] + "." + parts[1] + "." + parts[2][:8] + "\n" + parts[2][8:], oidc.ErrMalformed},
		{"line break in the payload", parts[0] + "." + parts[1][:8] + "\r\n" + parts[1][8:] + "." + parts[2], oidc.ErrMalformed},
		{"space in front", " " + honest, oidc.ErrMalformed},
		{"space behind", honest + " ", oidc.ErrMalformed},
		{"standard alphabet", parts[0] + "." + parts[1] + "." + strings.NewReplacer("-", "+", "_", "/").Replace(parts[2]) + "+", oidc.ErrMalformed},
		{"surplus bits in the signature", parts[0] + "." + parts[1] + "." + lastOther(parts[2]), oidc.ErrMalformed},
		{"JSON serialization", `{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`, oidc.ErrMalformed},
		{"empty", "", oidc.ErrMalformed},
		{"two dots", "..", oidc.ErrMalformed},
		{"too large", rs.Token(good(map[string]any{"x": strings.Repeat("a", 16_000)})), oidc.ErrMalformed},
	} {
		if _, err := verify(k, row.token, nil); !errors.Is(err, row.want) {
			t.Errorf("%s: error is %v, want %v", row.name, err, row.want)
		}
	}
}

func marshal(v any) []byte {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return raw
}

func TestVerify_Claims(t *testing.T) {
	t.Parallel()
	rs := oidctest.NewKey("RS256", "rsa")
	k := &keys{present: keySet(t, rs.JWK())}
	missing := func(claim string) error { return &oidc.MissingClaimError{Claim: claim} }
	at := func(d time.Duration) int64 { return now.Add(d).Unix() }
	for _, row := range []struct {
		name   string
		change map[string]any
		want   error // nil: accepted; a *MissingClaimError is compared by its claim
	}{
		{"as it is", nil, nil},
		{"issuer with a slash at the end", map[string]any{"iss": issuerURL + "/"}, oidc.ErrUntrusted},
		{"issuer in another case", map[string]any{"iss": "https://IDP.example.com/realm"}, oidc.ErrUntrusted},
		{"no issuer", map[string]any{"iss": nil}, missing("iss")},
		{"no subject", map[string]any{"sub": nil}, missing("sub")},
		{"empty subject", map[string]any{"sub": ""}, oidc.ErrClaim},
		{"subject is a number", map[string]any{"sub": 7}, oidc.ErrClaim},
		{"SUB does not stand for sub", map[string]any{"sub": nil, "SUB": "alice"}, missing("sub")},
		{"SUB beside sub", map[string]any{"SUB": "root"}, oidc.ErrClaim},
		{"no audience", map[string]any{"aud": nil}, missing("aud")},
		{"other audience", map[string]any{"aud": "else"}, oidc.ErrAudience},
		{"audience as a list", map[string]any{"aud": []string{clientID}}, nil},
		{"one of several audiences", map[string]any{"aud": []string{"else", clientID}}, nil},
		{"none of several audiences", map[string]any{"aud": []string{"else", "x"}}, oidc.ErrAudience},
		{"empty list of audiences", map[string]any{"aud": []string{}}, oidc.ErrClaim},
		{"audience is an object", map[string]any{"aud": map[string]any{clientID: 1}}, oidc.ErrClaim},
		{"a number among the audiences", map[string]any{"aud": []any{clientID, 1}}, oidc.ErrClaim},
		{"audience that contains the client's name", map[string]any{"aud": clientID + ".evil"}, oidc.ErrAudience},
		{"registered party, other audience", map[string]any{"aud": "else", "azp": clientID}, nil},
		{"other party, registered audience", map[string]any{"azp": "else"}, oidc.ErrAudience},
		{"party is a list", map[string]any{"azp": []string{clientID}}, oidc.ErrClaim},
		{"no expiry", map[string]any{"exp": nil}, missing("exp")},
		{"expiry as text", map[string]any{"exp": "9999999999"}, oidc.ErrClaim},
		{"expiry is true", map[string]any{"exp": true}, oidc.ErrClaim},
		{"expiry is 1e400", map[string]any{"exp": json.RawMessage("1e400")}, oidc.ErrClaim},
		{"expiry with a fraction", map[string]any{"exp": json.RawMessage("9999999999.5")}, oidc.ErrClaim},
		{"expiry is negative", map[string]any{"exp": -1}, oidc.ErrClaim},
		{"expiry beyond 64 bits", map[string]any{"exp": json.RawMessage("99999999999999999999")}, oidc.ErrClaim},
		{"a second before expiry", map[string]any{"exp": at(time.Second)}, nil},
		{"no issue time", map[string]any{"iat": nil}, missing("iat")},
		{"issued a minute ahead", map[string]any{"iat": at(time.Minute)}, nil},
		{"issued further ahead", map[string]any{"iat": at(time.Minute + time.Second)}, oidc.ErrNotYetValid},
		{"valid from a minute ahead", map[string]any{"nbf": at(time.Minute)}, nil},
		{"valid from further ahead", map[string]any{"nbf": at(time.Minute + time.Second)}, oidc.ErrNotYetValid},
		{"valid from is text", map[string]any{"nbf": "soon"}, oidc.ErrClaim},
		{"two claims that differ in case", map[string]any{"Email": "a", "email": "b"}, oidc.ErrClaim},
		{"a claim named as another's member", map[string]any{"a/b": "x", "a": map[string]any{"b": "y"}}, oidc.ErrClaim},
	} {
		_, err := verify(k, rs.Token(good(row.change)), nil)
		want, isMissing := errors.AsType[*oidc.MissingClaimError](row.want)
		got, ok := errors.AsType[*oidc.MissingClaimError](err)
		switch {
		case isMissing && (!ok || got.Claim != want.Claim), !isMissing && !errors.Is(err, row.want):
			t.Errorf("%s: error is %v, want %v", row.name, err, row.want)
		}
	}
	_, err := verify(k, rs.Token(good(map[string]any{"exp": at(0)})), nil)
	expired, ok := errors.AsType[*oidc.ExpiredError](err)
	if !ok || !expired.Now.Equal(now) || !expired.ExpiresAt.Equal(now) {
		t.Errorf("at its expiry: %v", err)
	}
	// Whether it has expired is told only of a token that the issuer signed.
	if _, err := verify(k, oidctest.NewKey("RS256", "rsa").Token(good(map[string]any{"exp": at(0)})), nil); !errors.Is(err, oidc.ErrUntrusted) {
		t.Errorf("expired, signed by a stranger: %v", err)
	}
	// The leeway is the provider's.
	rules := map[string]oidc.Rules{issuerURL: {Leeway: 0}}
	if _, err := verify(k, rs.Token(good(map[string]any{"nbf": at(time.Second)})), rules); !errors.Is(err, oidc.ErrNotYetValid) {
		t.Errorf("no leeway: %v", err)
	}
}

func TestVerify_KeyChoice(t *testing.T) {
	t.Parallel()
	one, two := oidctest.NewKey("ES256", "one"), oidctest.NewKey("ES256", "two")
	without := func(k *oidctest.Key) string { return k.Sign(map[string]any{"alg": k.Algorithm}, marshal(good(nil))) }
	nameless := func(k *oidctest.Key) map[string]any { jwk := k.JWK(); delete(jwk, "kid"); return jwk }
	named := func(k *oidctest.Key, id string) *oidctest.Key { c := *k; c.ID = id; return &c }
	rsaKey := oidctest.NewKey("RS256", "rsa")
	for _, row := range []struct {
		name           string
		present, newer *oidc.KeySet
		token          string
		ok             bool
		asked          int
	}{
		{"known id", keySet(t, one.JWK(), two.JWK()), nil, two.Token(good(nil)), true, 1},
		{"rotated: the id is in the newer set", keySet(t, one.JWK()), keySet(t, two.JWK()), two.Token(good(nil)), true, 2},
		{"withdrawn: only the newer set counts", keySet(t, rsaKey.JWK()), keySet(t, two.JWK()), one.Token(good(nil)), false, 2},
		{"a bad signature asks for no newer set", keySet(t, one.JWK()), keySet(t, two.JWK()), named(two, "one").Token(good(nil)), false, 1},
		{"no id, one key fits", keySet(t, one.JWK(), rsaKey.JWK()), nil, without(one), true, 1},
		{"no id, two keys fit", keySet(t, one.JWK(), two.JWK()), nil, without(one), false, 2},
		{"no id, key without id", keySet(t, nameless(one)), nil, without(one), true, 1},
		{"id, key without id", keySet(t, nameless(one)), nil, one.Token(good(nil)), false, 2},
		{"two keys of one id are tried in order", keySet(t, one.JWK(), named(two, "one").JWK()), nil, named(two, "one").Token(good(nil)), true, 1},
		{"one id for keys of two types", keySet(t, rsaKey.JWK(), named(two, "rsa").JWK()), nil, named(two, "rsa").Token(good(nil)), true, 1},
	} {
		k := &keys{present: row.present, newer: row.newer}
		_, err := verify(k, row.token, nil)
		if (err == nil) != row.ok || err != nil && !errors.Is(err, oidc.ErrUntrusted) || k.asked != row.asked {
			t.Errorf("%s: %v, asked %d times, want %d", row.name, err, k.asked, row.asked)
		}
	}
	k := &keys{err: oidc.ErrUnavailable}
	if _, err := verify(k, one.Token(good(nil)), nil); !errors.Is(err, oidc.ErrUnavailable) {
		t.Errorf("without keys: %v", err)
	}
}

// conditions are condition keys as a policy sees them.
func conditions(c *oidc.Claims) map[string][]string {
	var ctx policy.Context
	c.Keys(&ctx)
	got := make(map[string][]string)
	ctx.All(func(key string, values []string, multi bool) bool {
		if multi {
			key += "[]"
		}
		got[key] = append([]string{}, values...)
		return true
	})
	return got
}

func TestClaims_Keys(t *testing.T) {
	t.Parallel()
	rs := oidctest.NewKey("RS256", "rsa")
	k := &keys{present: keySet(t, rs.JWK())}
	const p = "idp.example.com/realm:"
	base := func(more map[string][]string) map[string][]string {
		m := map[string][]string{
			p + "iss": {issuerURL}, p + "sub": {"alice"}, p + "aud": {clientID},
			p + "iat": {"1795867200"}, p + "exp": {"1795870800"},
		}
		maps.Copy(m, more)
		return m
	}
	for _, row := range []struct {
		name    string
		change  map[string]any
		want    map[string][]string
		lasting map[string][]string
	}{
		{"the least", nil, base(nil), map[string][]string{p + "aud": {clientID}, p + "sub": {"alice"}}},
		{
			"texts, numbers, booleans, lists, null", map[string]any{
				"ref": "refs/heads/main", "run": json.RawMessage("12345678901234567890"), "protected": true, "groups": []any{"a", 1, false},
				"none": json.RawMessage("null"), "mixed": []any{"a", []string{"b"}}, "empty": []string{}, "amr": []string{"mfa", "pwd"},
			},
			base(map[string][]string{
				p + "ref": {"refs/heads/main"}, p + "run": {"12345678901234567890"}, p + "protected": {"true"}, p + "groups[]": {"a", "1", "false"},
				p + "empty[]": {}, p + "amr[]": {"mfa", "pwd"},
			}),
			map[string][]string{p + "aud": {clientID}, p + "sub": {"alice"}, p + "amr": {"mfa", "pwd"}},
		},
		{
			"members of objects", map[string]any{"kubernetes.io": map[string]any{"namespace": "prod", "pod": map[string]any{"name": "web-1"}}},
			base(map[string][]string{p + "kubernetes.io/namespace": {"prod"}, p + "kubernetes.io/pod/name": {"web-1"}}), nil,
		},
		{
			"the party is the audience", map[string]any{"azp": clientID, "aud": "else"},
			base(map[string][]string{p + "azp": {clientID}, p + "oaud": {"else"}}), nil,
		},
		{
			"the party among several audiences", map[string]any{"azp": clientID, "aud": []string{"else", "more"}},
			base(map[string][]string{p + "azp": {clientID}, p + "oaud[]": {"else", "more"}}), nil,
		},
		{"the registered one of several audiences", map[string]any{"aud": []string{"else", clientID}}, base(nil), nil},
		{"a claim oaud of its own is none", map[string]any{"oaud": "else"}, base(nil), nil},
		{"a claim spelled as another port's", map[string]any{"8443:sub": "root", "8443": map[string]any{"x:sub": "root"}}, base(nil), nil},
		{"what instructs is no key", map[string]any{
			"https://aws.amazon.com/tags": map[string]any{}, "https://aws.amazon.com/source_identity": "x", "https://aws.amazon.com/roles": "y",
		}, base(nil), nil},
	} {
		c, err := verify(k, rs.Token(good(row.change)), nil)
		if err != nil {
			t.Errorf("%s: %v", row.name, err)
			continue
		}
		if diff := cmp.Diff(row.want, conditions(c)); diff != "" {
			t.Errorf("%s: %s", row.name, diff)
		}
		if row.lasting != nil {
			if diff := cmp.Diff(row.lasting, c.LastingKeys()); diff != "" {
				t.Errorf("%s: %s", row.name, diff)
			}
		}
	}
}

func TestClaims_Instructions(t *testing.T) {
	t.Parallel()
	rs := oidctest.NewKey("RS256", "rsa")
	k := &keys{present: keySet(t, rs.JWK())}
	const tags, source, roles = "https://aws.amazon.com/tags", "https://aws.amazon.com/source_identity", "https://aws.amazon.com/roles"
	for _, row := range []struct {
		name   string
		change map[string]any
		want   *oidc.Instructions // nil: refused
	}{
		{"none", nil, &oidc.Instructions{}},
		{
			"all", map[string]any{
				tags:   map[string]any{"principal_tags": map[string]any{"b": []string{"2"}, "a": []string{""}}, "transitive_tag_keys": []string{"a"}},
				source: "alice", roles: []string{"arn:1", "arn:2"},
			},
			&oidc.Instructions{
				Tags: []oidc.Tag{{Key: "a"}, {Key: "b", Value: "2"}}, TransitiveTagKeys: []string{"a"}, SourceIdentity: "alice",
				Roles: []string{"arn:1", "arn:2"}, HasRoles: true,
			},
		},
		{"one role", map[string]any{roles: "arn:1"}, &oidc.Instructions{Roles: []string{"arn:1"}, HasRoles: true}},
		{"no role at all", map[string]any{roles: []string{}}, &oidc.Instructions{Roles: []string{}, HasRoles: true}},
		{"roles is a number", map[string]any{roles: 1}, nil},
		{"roles is null", map[string]any{roles: json.RawMessage("null")}, nil},
		{"a tag of two values", map[string]any{tags: map[string]any{"principal_tags": map[string]any{"a": []string{"1", "2"}}}}, nil},
		{"a tag that is no list", map[string]any{tags: map[string]any{"principal_tags": map[string]any{"a": "1"}}}, nil},
		{"tags are a text", map[string]any{tags: "a=1"}, nil},
		{"transitive keys are a text", map[string]any{tags: map[string]any{"transitive_tag_keys": "a"}}, nil},
		{"source identity is a list", map[string]any{source: []string{"a"}}, nil},
		{"source identity is empty", map[string]any{source: ""}, nil},
	} {
		c, err := verify(k, rs.Token(good(row.change)), nil)
		if err != nil {
			t.Fatalf("%s: %v", row.name, err)
		}
		got, err := c.Instructions()
		if row.want == nil {
			if !errors.Is(err, oidc.ErrClaim) {
				t.Errorf("%s: %v", row.name, err)
			}
			continue
		}
		if diff := cmp.Diff(row.want, got); diff != "" || err != nil {
			t.Errorf("%s: %v %s", row.name, err, diff)
		}
	}
}
