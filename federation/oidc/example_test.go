package oidc_test

import (
	"context"
	"fmt"
	"time"

	"github.com/stint-sts/stint/federation/oidc"
	"github.com/stint-sts/stint/federation/oidctest"
	"github.com/stint-sts/stint/policy"
)

// published are keys that an issuer published.
type published struct{ set *oidc.KeySet }

func (p published) Keys(context.Context, *oidc.Provider, *oidc.KeySet) (*oidc.KeySet, error) {
	return p.set, nil
}

func ExampleVerifier() {
	// The issuer's side.
	key := oidctest.NewKey("ES256", "2026-11")
	raw := key.Token(map[string]any{
		"iss": "https://ci.example.com", "sub": "repo:acme/app", "aud": "sts.example.com", "ref": "refs/heads/main",
		"iat": time.Now().Unix(), "exp": time.Now().Add(5 * time.Minute).Unix(),
	})
	set, err := oidc.ParseKeySet(marshal(map[string]any{"keys": []any{key.JWK()}}))
	if err != nil {
		fmt.Println(err)
		return
	}

	// Ours: the issuer that the token names selects a registered provider, and proves nothing.
	token, err := oidc.Parse(raw)
	if err != nil {
		fmt.Println(err)
		return
	}
	providers := map[string]*oidc.Provider{
		"https://ci.example.com": {Issuer: "https://ci.example.com", ClientIDs: []string{"sts.example.com"}},
	}
	provider, ok := providers[token.Issuer()]
	if !ok {
		fmt.Println("no provider")
		return
	}
	verifier := oidc.New(oidc.Config{Keys: published{set}, Now: time.Now})
	claims, err := verifier.Verify(context.Background(), token, provider)
	if err != nil {
		fmt.Println(err)
		return
	}
	var conditions policy.Context
	claims.Keys(&conditions)
	ref, _, _ := conditions.Lookup("ci.example.com:ref")
	fmt.Println(claims.Subject, ref)
	// Output: repo:acme/app [refs/heads/main]
}
