package signer_test

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/stint-sts/stint/secret"
	"github.com/stint-sts/stint/signer"
)

// FuzzVerify: no text but the minted tokens is accepted, and none makes Verify panic.
func FuzzVerify(f *testing.F) {
	store := &memory{}
	minted := map[string]bool{}
	var signers []*signer.Signer
	for _, sealed := range []bool{false, true} {
		s := open(f, signer.Config{Store: store, SealTokens: sealed})
		signers = append(signers, s)
		for _, c := range []*signer.Claims{roleClaims(start), fullClaims(), longClaims()} {
			token := mint(f, s, c).SessionToken.Reveal()
			minted[token] = true
			f.Add(token)
			f.Add(token[:len(token)-1])
			f.Add(strings.ToLower(token))
		}
	}
	f.Add("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.e30.")
	f.Add("")
	f.Add("....")
	f.Fuzz(func(t *testing.T, text string) {
		for _, s := range signers {
			c, err := s.Verify(secret.New(text))
			if err == nil && !minted[text] {
				t.Fatalf("accepted %q", text)
			}
			if err != nil && (c != nil || !errors.Is(err, signer.ErrInvalidToken)) {
				t.Fatalf("%v, %v", c, err)
			}
		}
		_, _ = signer.InspectUnverified(secret.New(text), start)
	})
}

// FuzzVerify_SignedPayload lets the payload be anything, under a good signature: what is accepted must be a session that Mint
// could have made.
func FuzzVerify_SignedPayload(f *testing.F) {
	store := &memory{}
	s := open(f, signer.Config{Store: store})
	token := mint(f, s, fullClaims()).SessionToken.Reveal()
	head, rest, _ := strings.Cut(token, ".")
	payload, _, _ := strings.Cut(rest, ".")
	plain := must[[]byte](f)(jwt.NewParser().DecodeSegment(payload))
	f.Add(string(plain))
	for _, cut := range []string{`"iss":`, `,"tag"`, `"fed":`, `}`, `"`} {
		before, _, _ := strings.Cut(string(plain), cut)
		f.Add(before + "}")
		f.Add(before + cut + "{}}")
		f.Add(strings.ReplaceAll(string(plain), cut, cut+" "))
	}
	f.Add(`null`)
	f.Add(`[]`)
	f.Add(`"{}"`)
	f.Add(`{"iss":"https://sts.example.com","aud":"stint","z":"AAAA","iat":1.5,"exp":-1}`)
	key := stored(f, store, signer.TokenKey).Material
	f.Fuzz(func(t *testing.T, payload string) {
		signed := head + "." + base64.RawURLEncoding.EncodeToString([]byte(payload))
		signature, err := jwt.SigningMethodHS256.Sign(signed, key)
		if err != nil {
			t.Fatal(err)
		}
		text := secret.New(signed + "." + base64.RawURLEncoding.EncodeToString(signature))
		_, _ = signer.InspectUnverified(text, start)
		c, err := s.Verify(text)
		if c == nil {
			if !errors.Is(err, signer.ErrInvalidToken) {
				t.Fatal(err)
			}
			return
		}
		life := c.ExpiresAt.Sub(c.IssuedAt)
		if life <= 0 || life > signer.MaxLifetime || len(c.Account) != 12 || c.ARN == "" || c.EntityARN == "" || c.AccessKeyID == "" {
			t.Fatalf("accepted %+v", c)
		}
	})
}
