package oidc_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/stint-sts/stint/federation/oidc"
	"github.com/stint-sts/stint/federation/oidctest"
	"github.com/stint-sts/stint/policy"
)

// What a token of a CI system costs with its keys at hand, beside its bare signature.
func BenchmarkVerify(b *testing.B) {
	for _, algorithm := range []string{"RS256", "ES256"} {
		k := oidctest.NewKey(algorithm, "key")
		token := k.Token(good(map[string]any{
			"ref": "refs/heads/main", "repository": "octo-org/octo-repo", "repository_owner": "octo-org", "actor": "octocat", "run_id": "123",
			"job_workflow_ref": "octo-org/octo-repo/.github/workflows/a.yml@refs/heads/main", "environment": "prod", "event_name": "push",
			"sha": "6113728f27ae82c7b1a177c8d03f9e96e0adf246", "runner_environment": "github-hosted",
		}))
		source := &keys{present: keySet(b, k.JWK())}
		v := oidc.New(oidc.Config{Keys: source, Now: func() time.Time { return now }})
		p := provider()
		b.Run(algorithm, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				t, err := oidc.Parse(token)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := v.Verify(context.Background(), t, p); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(algorithm+"/bare", func(b *testing.B) { bare(b, k, token) })
		b.Run(algorithm+"/keys", func(b *testing.B) {
			t, _ := oidc.Parse(token)
			c, err := v.Verify(context.Background(), t, p)
			if err != nil {
				b.Fatal(err)
			}
			var ctx policy.Context
			b.ReportAllocs()
			for b.Loop() {
				ctx.Reset(nil)
				c.Keys(&ctx)
			}
		})
	}
}

// bare is one digest and one verification by the standard library.
func bare(b *testing.B, k *oidctest.Key, token string) {
	i := strings.LastIndexByte(token, '.')
	signature, err := base64.RawURLEncoding.DecodeString(token[i+1:])
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		digest := sha256.Sum256([]byte(token[:i]))
		switch public := k.Signer.Public().(type) {
		case *rsa.PublicKey:
			err = rsa.VerifyPKCS1v15(public, crypto.SHA256, digest[:], signature)
		case *ecdsa.PublicKey:
			r, s := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])
			if !ecdsa.Verify(public, digest[:], r, s) {
				b.Fatal("does not verify")
			}
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}
