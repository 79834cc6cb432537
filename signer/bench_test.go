package signer_test

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"testing"
	"time"

	"github.com/stint-sts/stint/secret"
	"github.com/stint-sts/stint/signer"
)

// variants are the configurations whose cost is compared.
func variants() map[string]signer.Config {
	return map[string]signer.Config{
		"HS256":  {},
		"sealed": {SealTokens: true},
		"EdDSA":  {Algorithm: signer.EdDSA},
		"ES256":  {Algorithm: signer.ES256},
	}
}

// BenchmarkFloor is what no token by HMAC can do without: one HMAC-SHA-256 over a token of the usual length.
func BenchmarkFloor(b *testing.B) {
	key := make([]byte, 32)
	text := make([]byte, 600)
	var sum [sha256.Size]byte
	b.ReportAllocs()
	for b.Loop() {
		mac := hmac.New(sha256.New, key)
		mac.Write(text)
		mac.Sum(sum[:0])
	}
}

func BenchmarkMint(b *testing.B) {
	for name, cfg := range variants() {
		b.Run(name, func(b *testing.B) {
			cfg.Now, cfg.Rand = time.Now, rand.Reader
			s := open(b, cfg)
			c := roleClaims(time.Now())
			b.ReportAllocs()
			size := 0
			for b.Loop() {
				creds, err := s.Mint(c)
				if err != nil {
					b.Fatal(err)
				}
				size = len(creds.SessionToken.Reveal())
			}
			b.ReportMetric(float64(size), "token-bytes")
		})
	}
}

// BenchmarkVerify_Miss verifies more tokens than the cache holds.
func BenchmarkVerify_Miss(b *testing.B) {
	for name, cfg := range variants() {
		b.Run(name, func(b *testing.B) {
			cfg.Now, cfg.TokenCacheSize = time.Now, 4
			s := open(b, cfg)
			tokens := mintMany(b, s, 512)
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				if _, err := s.Verify(tokens[i%len(tokens)]); err != nil {
					b.Fatal(err)
				}
				i++
			}
		})
	}
}

func BenchmarkVerify_Hit(b *testing.B) {
	for _, live := range []int{1, 4096} {
		b.Run(fmt.Sprintf("%d tokens", live), func(b *testing.B) {
			s := open(b, signer.Config{Now: time.Now})
			tokens := mintMany(b, s, live)
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				c, err := s.Verify(tokens[i%len(tokens)])
				if err != nil {
					b.Fatal(err)
				}
				if _, err := s.SecretKey(c); err != nil {
					b.Fatal(err)
				}
				i++
			}
		})
	}
}

func mintMany(b *testing.B, s *signer.Signer, n int) []secret.String {
	b.Helper()
	tokens := make([]secret.String, n)
	for i := range tokens {
		creds, err := s.Mint(roleClaims(time.Now()))
		if err != nil {
			b.Fatal(err)
		}
		tokens[i] = creds.SessionToken
	}
	return tokens
}
