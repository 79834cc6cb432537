package oidc_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stint-sts/stint/federation/oidc"
	"github.com/stint-sts/stint/federation/oidctest"
	"github.com/stint-sts/stint/policy"
)

// FuzzVerify: no token but those that were signed is accepted, and none makes the verifier panic.
func FuzzVerify(f *testing.F) {
	rs, es := oidctest.NewKey("RS256", "rsa"), oidctest.NewKey("ES256", "ec")
	k := &keys{present: keySet(f, rs.JWK(), es.JWK())}
	signed := make(map[string]bool)
	for _, key := range []*oidctest.Key{rs, es} {
		for _, change := range []map[string]any{
			nil, {"azp": clientID, "aud": []string{"a", "b"}}, {"exp": now.Add(-time.Hour).Unix()}, {"x": map[string]any{"y": []any{1, "2", nil}}},
		} {
			token := key.Token(good(change))
			signed[token] = true
			f.Add(token)
			part := strings.Split(token, ".")
			f.Add(part[0] + "." + part[1] + ".")
			f.Add(part[0] + ".." + part[2])
			f.Add(join(`{"alg":"none"}`, `{"iss":"`+issuerURL+`"}`, []byte{1}))
		}
	}
	f.Fuzz(func(t *testing.T, token string) {
		c, err := verify(k, token, nil)
		if err == nil {
			if !signed[token] {
				t.Fatalf("accepts %q", token)
			}
			var ctx policy.Context
			c.Keys(&ctx)
			_, _ = c.Instructions()
			return
		}
		_, missing := errors.AsType[*oidc.MissingClaimError](err)
		_, expired := errors.AsType[*oidc.ExpiredError](err)
		if !missing && !expired && !errors.Is(err, oidc.ErrMalformed) && !errors.Is(err, oidc.ErrUntrusted) {
			t.Fatalf("%q: %v", token, err)
		}
	})
}

// FuzzClaims: whatever an issuer signs, reading it neither panics nor yields a subject or client that was not checked.
func FuzzClaims(f *testing.F) {
	es := oidctest.NewKey("ES256", "ec")
	k := &keys{present: keySet(f, es.JWK())}
	for _, change := range []map[string]any{
		nil, {"azp": "x"}, {"aud": []string{}}, {"amr": "pwd"}, {"https://aws.amazon.com/tags": map[string]any{"principal_tags": map[string]any{"a": []string{"b"}}}},
		{"https://aws.amazon.com/roles": []string{"arn"}}, {"kubernetes.io": map[string]any{"namespace": "a"}}, {"exp": "1"},
	} {
		f.Add(marshal(good(change)))
	}
	header := map[string]any{"alg": "ES256", "kid": "ec"}
	f.Fuzz(func(t *testing.T, payload []byte) {
		c, err := verify(k, es.Sign(header, payload), nil)
		if err != nil {
			return
		}
		if c.Subject == "" || c.Client != clientID && c.Client != "other" || c.Issuer != issuerURL || !c.ExpiresAt.After(now) {
			t.Fatalf("%s: %+v", payload, c)
		}
		got := conditions(c)
		if got["idp.example.com/realm:sub"][0] != c.Subject || got["idp.example.com/realm:aud"][0] != c.Client {
			t.Fatalf("%s: %v", payload, got)
		}
		_, _ = c.Instructions()
		c.LastingKeys()
	})
}

// FuzzParseKeySet: a set is usable or an error, never both.
func FuzzParseKeySet(f *testing.F) {
	rs, es := oidctest.NewKey("RS256", "rsa").JWK(), oidctest.NewKey("ES512", "ec").JWK()
	f.Add(document(f, rs, es))
	f.Add(document(f, with(rs, map[string]any{"d": "AA"})))
	f.Add(document(f, with(es, map[string]any{"x": "AA", "key_ops": 1})))
	f.Add([]byte(`{"keys":[{"kty":"oct","k":"AA"}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		s, err := oidc.ParseKeySet(raw)
		if (err == nil) != (s != nil) || err != nil && !errors.Is(err, oidc.ErrUnusable) || s != nil && s.Len() == 0 {
			t.Fatalf("%q: %v, %v", raw, s, err)
		}
	})
}

// FuzzSignInDocuments: what an issuer serves to sign people in is read in bounds, and sends nobody anywhere but to https or this machine.
func FuzzSignInDocuments(f *testing.F) {
	for _, document := range []string{
		`{"issuer":"https://i.example","authorization_endpoint":"https://i.example/a","token_endpoint":"http://127.0.0.1/t"}`,
		`{"issuer":"https://i.example","authorization_endpoint":"javascript:a","token_endpoint":"//t"}`, `{"id_token":"a.b.c"}`, `{"id_token":1}`, `[]`, ``,
	} {
		f.Add(document)
	}
	f.Fuzz(func(t *testing.T, document string) {
		if e, err := oidc.ParseEndpoints([]byte(document), "https://i.example"); err == nil {
			for _, at := range []string{e.Authorization, e.Token} {
				u, err := url.Parse(at)
				if err != nil || u.Scheme != "https" && !oidc.IsLoopbackHost(u.Hostname()) {
					t.Fatalf("accepts %q", at)
				}
			}
		} else if !errors.Is(err, oidc.ErrUnusable) {
			t.Fatal(err)
		}
		if token, err := oidc.ParseTokenResponse([]byte(document)); err == nil && (token == "" || len(token) > oidc.MaxTokenSize) {
			t.Fatalf("a token of %d bytes", len(token))
		}
	})
}
