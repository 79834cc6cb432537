package signer_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/json"
	"errors"
	"fmt"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/stint-sts/stint/secret"
	"github.com/stint-sts/stint/signer"
)

// identityClaims describes an ordinary token of five minutes.
func identityClaims(now time.Time) *signer.IdentityClaims {
	const role = "arn:aws:iam::123456789012:role/ci/deploy"
	return &signer.IdentityClaims{
		Issuer: "https://sts.example.com/oidc/0d1c", Subject: role, Audience: []string{"https://api.example.com"},
		IssuedAt: now, ExpiresAt: now.Add(5 * time.Minute), AWS: signer.IdentityContext{Account: account, PrincipalID: role},
	}
}

func signIdentity(t testing.TB, s *signer.Signer, algorithm string, c *signer.IdentityClaims) string {
	t.Helper()
	token, err := s.SignIdentity(t.Context(), algorithm, c)
	if err != nil {
		t.Fatal(err)
	}
	return token.Reveal()
}

func identityJWKS(t testing.TB, s *signer.Signer) []byte {
	t.Helper()
	keys, err := s.IdentityJWKS(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// verifyIdentity verifies with nothing but the JWKS, as a third party does.
func verifyIdentity(published []byte, token string, now time.Time) (map[string]any, error) {
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(published, &set); err != nil {
		return nil, err
	}
	claims := jwt.MapClaims{}
	_, err := jwt.ParseWithClaims(token, claims, func(parsed *jwt.Token) (any, error) {
		id, _ := parsed.Header["kid"].(string)
		keys := set.Key(id)
		if len(keys) != 1 || !keys[0].IsPublic() || keys[0].Algorithm != parsed.Header["alg"] || keys[0].Use != "sig" {
			return nil, fmt.Errorf("%d keys %q", len(keys), id)
		}
		return keys[0].Key, nil
	}, jwt.WithValidMethods(signer.IdentityAlgorithms()), jwt.WithTimeFunc(func() time.Time { return now }), jwt.WithExpirationRequired())
	return claims, err
}

func TestSignIdentity_Claims(t *testing.T) {
	t.Parallel()
	const aws = "https://sts.amazonaws.com/"
	full := func(c *signer.IdentityClaims) {
		c.Audience = []string{"a <&>", "ü"}
		c.AWS.SourceRegion, c.AWS.SourceIdentity, c.AWS.FederatedProvider = "eu-west-1", "carol", "arn:aws:iam::123456789012:saml-provider/x"
		c.AWS.PrincipalTags, c.AWS.RequestTags = map[string]string{"team": "red"}, map[string]string{"build": "17", "empty": ""}
		c.AWS.OriginalSessionExp = "2026-03-04T06:00:00Z"
	}
	for _, row := range []struct {
		name   string
		change func(*signer.IdentityClaims)
		aud    any
		want   map[string]any
	}{
		{
			"one audience is a string, what does not apply is absent", func(*signer.IdentityClaims) {}, "https://api.example.com",
			map[string]any{"aws_account": account, "principal_id": "arn:aws:iam::123456789012:role/ci/deploy"},
		},
		{"several audiences are an array", full, []any{"a <&>", "ü"}, map[string]any{
			"aws_account": account, "principal_id": "arn:aws:iam::123456789012:role/ci/deploy", "source_region": "eu-west-1",
			"source_identity": "carol", "federated_provider": "arn:aws:iam::123456789012:saml-provider/x",
			"principal_tags": map[string]any{"team": "red"}, "request_tags": map[string]any{"build": "17", "empty": ""},
			"original_session_exp": "2026-03-04T06:00:00Z",
		}},
	} {
		for _, algorithm := range signer.IdentityAlgorithms() {
			s := open(t, signer.Config{})
			c := identityClaims(start)
			row.change(c)
			token := signIdentity(t, s, algorithm, c)
			claims, err := verifyIdentity(identityJWKS(t, s), token, start)
			if err != nil {
				t.Errorf("%s, %s: %v", row.name, algorithm, err)
				continue
			}
			if h := header(t, secret.New(token)); h["alg"] != algorithm || h["typ"] != "JWT" || h["kid"] == "" || len(h) != 3 {
				t.Errorf("%s, %s: header %v", row.name, algorithm, h)
			}
			want := map[string]any{
				"iss": c.Issuer, "sub": c.Subject, "aud": row.aud, "jti": c.ID, aws: row.want,
				"iat": float64(start.Unix()), "exp": float64(start.Add(5 * time.Minute).Unix()),
			}
			if diff := cmp.Diff(want, claims); diff != "" || len(c.ID) != 36 {
				t.Errorf("%s, %s: %s", row.name, algorithm, diff)
			}
			if again := identityClaims(start); signIdentity(t, s, algorithm, again) == "" || again.ID == c.ID {
				t.Errorf("%s, %s: two tokens have one id", row.name, algorithm)
			}
		}
	}
}

func TestSignIdentity_Refuses(t *testing.T) {
	t.Parallel()
	s := open(t, signer.Config{})
	signIdentity(t, s, signer.RS256, identityClaims(start)) // the positive twin
	for _, row := range []struct {
		name      string
		algorithm string
		change    func(*signer.IdentityClaims)
		want      error
	}{
		{"an algorithm of session tokens", signer.HS256, func(*signer.IdentityClaims) {}, signer.ErrNoKey},
		{"none", "none", func(*signer.IdentityClaims) {}, signer.ErrNoKey},
		{"no audience", signer.RS256, func(c *signer.IdentityClaims) { c.Audience = nil }, nil},
		{"no subject", signer.RS256, func(c *signer.IdentityClaims) { c.Subject = "" }, nil},
		{"no issuer", signer.RS256, func(c *signer.IdentityClaims) { c.Issuer = "" }, nil},
		{"no account", signer.RS256, func(c *signer.IdentityClaims) { c.AWS.Account = "" }, nil},
		{"an audience that is no text", signer.RS256, func(c *signer.IdentityClaims) { c.Audience = []string{"a\xff"} }, nil},
		{"more than an hour", signer.RS256, func(c *signer.IdentityClaims) { c.ExpiresAt = start.Add(time.Hour + time.Second) }, nil},
		{"no life", signer.RS256, func(c *signer.IdentityClaims) { c.ExpiresAt = start }, nil},
		{"too much", signer.RS256, func(c *signer.IdentityClaims) {
			c.AWS.RequestTags = map[string]string{"k": strings.Repeat("x", signer.MaxIdentityTokenSize)}
		}, signer.ErrIdentityTooLarge},
	} {
		c := identityClaims(start)
		row.change(c)
		token, err := s.SignIdentity(t.Context(), row.algorithm, c)
		if err == nil || row.want != nil && !errors.Is(err, row.want) || !token.IsZero() {
			t.Errorf("%s: %v", row.name, err)
		}
	}
}

// The bound is of the token as it travels.
func TestSignIdentity_SizeBound(t *testing.T) {
	t.Parallel()
	s := open(t, signer.Config{})
	for _, algorithm := range signer.IdentityAlgorithms() {
		longest := 0
		sort.Search(signer.MaxIdentityTokenSize, func(n int) bool {
			c := identityClaims(start)
			c.AWS.SourceIdentity = strings.Repeat("x", n)
			token, err := s.SignIdentity(t.Context(), algorithm, c)
			if err != nil && !errors.Is(err, signer.ErrIdentityTooLarge) {
				t.Fatal(err)
			}
			longest = max(longest, len(token.Reveal()))
			return err != nil
		})
		if longest > signer.MaxIdentityTokenSize || longest < signer.MaxIdentityTokenSize-2 {
			t.Errorf("%s: the longest token has %d bytes", algorithm, longest)
		}
	}
}

// Keys are made when they are first needed, and nobody else notices.
func TestEnsureIdentityKeys(t *testing.T) {
	t.Parallel()
	store := &memory{}
	first, second := open(t, signer.Config{Store: store}), open(t, signer.Config{Store: store})
	if got := string(identityJWKS(t, first)); got != `{"keys":[]}` || len(first.Keys()) != len(signer.Purposes()) {
		t.Errorf("before: %s, keys %v", got, first.Keys())
	}
	for range 2 {
		if err := first.EnsureIdentityKeys(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range signer.IdentityPurposes() {
		if got := states(first, p); got != "signing" {
			t.Errorf("%s keys are %q", p, got)
		}
	}
	// The other node has not looked into the store since.
	token := signIdentity(t, first, signer.ES384, identityClaims(start))
	if _, err := verifyIdentity(identityJWKS(t, second), token, start); err != nil {
		t.Errorf("by the keys that another node publishes: %v", err)
	}
	if a, b := string(identityJWKS(t, first)), string(identityJWKS(t, second)); a != b {
		t.Errorf("nodes publish %s and %s", a, b)
	}
	if strings.Contains(string(first.JWKS()), "kid") {
		t.Error("keys of identity tokens are published among those of session tokens")
	}
}

// Of nodes that make the keys at once all end with the same.
func TestEnsureIdentityKeys_Race(t *testing.T) {
	t.Parallel()
	store := &memory{}
	nodes := make([]*signer.Signer, 4)
	for i := range nodes {
		nodes[i] = open(t, signer.Config{Store: store})
	}
	var all sync.WaitGroup
	tokens := make([]string, 2*len(nodes))
	for i := range tokens {
		all.Go(func() {
			token, err := nodes[i%len(nodes)].SignIdentity(context.Background(), signer.RS256, identityClaims(start))
			if err != nil {
				t.Error(err)
			}
			tokens[i] = token.Reveal()
		})
	}
	all.Wait()
	for i, s := range nodes {
		for _, token := range tokens {
			if _, err := verifyIdentity(identityJWKS(t, s), token, start); err != nil {
				t.Errorf("node %d: %v", i, err)
			}
		}
	}
}

func TestEnsureIdentityKeys_StoreThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	store := &memory{}
	s := open(t, signer.Config{Store: store})
	store.err = errors.New("gone")
	if _, err := s.SignIdentity(t.Context(), signer.RS256, identityClaims(start)); !errors.Is(err, store.err) {
		t.Errorf("sign: %v", err)
	}
	if _, err := s.IdentityJWKS(t.Context()); !errors.Is(err, store.err) {
		t.Errorf("keys: %v", err)
	}
	store.err = nil
	signIdentity(t, s, signer.RS256, identityClaims(start))
	store.err = errors.New("gone again")
	signIdentity(t, s, signer.RS256, identityClaims(start)) // nothing is asked of the store any more
}

// A key is published before it signs for as long as third parties may keep the old JWKS, and after it has signed until the last
// of its tokens has expired.
func TestIdentityKeys_Rotation(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	clock := newClock()
	store := &memory{}
	nodes := []*signer.Signer{open(t, signer.Config{Store: store, Now: clock.Now}), open(t, signer.Config{Store: store, Now: clock.Now})}
	s := nodes[0]
	for _, row := range []struct {
		algorithm string
		purpose   signer.Purpose
	}{{signer.RS256, signer.IdentityRS256Key}, {signer.ES384, signer.IdentityES384Key}} {
		life := func() *signer.IdentityClaims {
			c := identityClaims(clock.Now())
			c.ExpiresAt = c.IssuedAt.Add(signer.MaxIdentityLifetime)
			return c
		}
		first := signIdentity(t, s, row.algorithm, life())
		next := must[signer.KeyInfo](t)(s.Prepare(ctx, row.purpose))
		cached := identityJWKS(t, s) // what a third party fetches now, it may go on with
		if _, err := s.Rotate(ctx, row.purpose); !errors.Is(err, signer.ErrNotPublished) {
			t.Errorf("%s: a key that is not published long enough: %v", row.algorithm, err)
		}
		clock.add(time.Minute + signer.IdentityKeysMaxAge - time.Second)
		for _, n := range nodes {
			if err := n.Maintain(ctx); err != nil {
				t.Fatal(err)
			}
		}
		if got := states(s, row.purpose); got != "signing prepared" {
			t.Errorf("%s: a moment early: %q", row.algorithm, got)
		}
		lastOfFirst := signIdentity(t, s, row.algorithm, life())
		clock.add(time.Second)
		for _, n := range nodes {
			if err := n.Maintain(ctx); err != nil {
				t.Fatal(err)
			}
		}
		second := signIdentity(t, nodes[1], row.algorithm, life())
		if kid := header(t, secret.New(second))["kid"]; kid != next.ID {
			t.Errorf("%s: %v signs, want %s", row.algorithm, kid, next.ID)
		}
		for name, token := range map[string]string{"first": first, "last of the first": lastOfFirst, "second": second} {
			for i, keys := range [][]byte{cached, identityJWKS(t, s), identityJWKS(t, nodes[1])} {
				if _, err := verifyIdentity(keys, token, clock.Now()); err != nil {
					t.Errorf("%s: token %s by keys %d: %v", row.algorithm, name, i, err)
				}
			}
		}
		clock.add(signer.MaxIdentityLifetime - 2*time.Second)
		if err := s.Maintain(ctx); err != nil {
			t.Fatal(err)
		}
		if _, err := verifyIdentity(identityJWKS(t, s), lastOfFirst, clock.Now()); err != nil {
			t.Errorf("%s: the retired key has left before its last token: %v", row.algorithm, err)
		}
		clock.add(15 * time.Minute)
		if err := s.Maintain(ctx); err != nil {
			t.Fatal(err)
		}
		if got := states(s, row.purpose); got != "removed signing" {
			t.Errorf("%s: afterwards: %q", row.algorithm, got)
		}
		if strings.Contains(string(identityJWKS(t, s)), header(t, secret.New(first))["kid"].(string)) {
			t.Errorf("%s: a removed key is published", row.algorithm)
		}
	}
}

// Schedule and emergency are those of the other keys.
func TestIdentityKeys_RotateEvery(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	clock := newClock()
	s := open(t, signer.Config{Now: clock.Now, RotateEvery: every(24 * time.Hour)})
	maintain := func(after time.Duration) string {
		clock.add(after)
		if err := s.Maintain(ctx); err != nil {
			t.Fatal(err)
		}
		return states(s, signer.IdentityES384Key)
	}
	if got := maintain(48 * time.Hour); got != "" {
		t.Errorf("without outbound federation: %q", got)
	}
	if err := s.EnsureIdentityKeys(ctx); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		after time.Duration
		want  string
	}{{0, "signing"}, {24 * time.Hour, "signing prepared"}, {time.Minute, "signing prepared"}, {5 * time.Minute, "retired signing"}} {
		if got := maintain(step.after); got != step.want {
			t.Errorf("%s later: %q, want %q", step.after, got, step.want)
		}
	}
	for _, k := range s.Keys() {
		if k.Purpose != signer.IdentityES384Key {
			continue
		}
		err := s.Remove(ctx, k.ID)
		if want := k.State == signer.Signing; errors.Is(err, signer.ErrKeySigns) != want {
			t.Errorf("remove of a key that is %s: %v", k.State, err)
		}
	}
	if got := states(s, signer.IdentityES384Key); got != "removed signing" {
		t.Errorf("after Remove: %q", got)
	}
}

// A token of one kind is never one of the other, whatever algorithm session tokens have.
func TestIdentityTokens_AreNotSessions(t *testing.T) {
	t.Parallel()
	for name, cfg := range variants() {
		store := &memory{}
		cfg.Store = store
		s := open(t, cfg)
		session := mint(t, s, roleClaims(start)).SessionToken
		if _, err := s.Verify(session); err != nil {
			t.Fatal(err)
		}
		for _, algorithm := range signer.IdentityAlgorithms() {
			token := signIdentity(t, s, algorithm, identityClaims(start))
			keys := identityJWKS(t, s)
			if _, err := verifyIdentity(keys, token, start); err != nil {
				t.Fatal(err)
			}
			if c, err := s.Verify(secret.New(token)); !errors.Is(err, signer.ErrInvalidToken) || c != nil {
				t.Errorf("%s: an %s identity token is a session: %v, %v", name, algorithm, c, err)
			}
			if _, err := verifyIdentity(keys, session.Reveal(), start); err == nil {
				t.Errorf("%s: a session token is an identity token", name)
			}
		}
	}
}

// Even who gets the identity key itself makes no session token with it: not with the header of session tokens, nor with its own.
func TestIdentityKeys_SignNoSession(t *testing.T) {
	t.Parallel()
	store := &memory{}
	s := open(t, signer.Config{Store: store, Algorithm: signer.ES256})
	f := genuine(t, s, store)
	if _, err := s.Verify(f.token(t)); err != nil {
		t.Fatal(err)
	}
	signIdentity(t, s, signer.ES384, identityClaims(start))
	k := stored(t, store, signer.IdentityES384Key)
	private, err := ecdsa.ParseRawPrivateKey(elliptic.P384(), k.Material)
	if err != nil {
		t.Fatal(err)
	}
	f.method, f.key = jwt.SigningMethodES384, private
	for _, h := range []map[string]any{
		f.header,
		{"alg": signer.ES384, "kid": f.header["kid"], "typ": f.header["typ"]},
		{"alg": signer.ES384, "kid": k.ID, "typ": f.header["typ"]},
	} {
		f.header = h
		if c, err := s.Verify(f.token(t)); !errors.Is(err, signer.ErrInvalidToken) || c != nil {
			t.Errorf("header %v: %v, %v", h, c, err)
		}
	}
}

// Requests go on while the keys turn under them.
func TestIdentityKeys_Concurrency(t *testing.T) {
	t.Parallel()
	clock := newClock()
	s := open(t, signer.Config{Now: clock.Now, RotateEvery: every(time.Hour)})
	const steps = 24 // of ten minutes
	turns := make([]chan struct{}, 4)
	for i := range turns {
		turns[i] = make(chan struct{})
		go func() {
			defer close(turns[i])
			for range steps {
				token, err := s.SignIdentity(context.Background(), signer.IdentityAlgorithms()[i%2], identityClaims(start))
				if err != nil {
					t.Error(err)
					return
				}
				keys, err := s.IdentityJWKS(context.Background()) // after the token, which a key may have signed that is new
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := verifyIdentity(keys, token.Reveal(), start); err != nil {
					t.Error(err)
					return
				}
				turns[i] <- struct{}{}
			}
		}()
	}
	for range steps {
		clock.add(10 * time.Minute)
		if err := s.Maintain(t.Context()); err != nil {
			t.Error(err)
		}
		for _, turn := range turns { // a request sees two steps at most
			<-turn
		}
	}
	for _, turn := range turns {
		<-turn
	}
	if got := states(s, signer.IdentityES384Key); !strings.HasPrefix(got, "removed") {
		t.Errorf("the keys did not turn: %q", got)
	}
}

// BenchmarkSignIdentity is beside BenchmarkBareSignature: what the token costs beyond its signature.
func BenchmarkSignIdentity(b *testing.B) {
	for _, algorithm := range signer.IdentityAlgorithms() {
		b.Run(algorithm, func(b *testing.B) {
			s := open(b, signer.Config{Now: time.Now})
			c := identityClaims(time.Now())
			signIdentity(b, s, algorithm, c)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.SignIdentity(b.Context(), algorithm, c); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkBareSignature is what no identity token can do without.
func BenchmarkBareSignature(b *testing.B) {
	text := []byte(strings.Repeat("x", 600))
	b.Run(signer.RS256, func(b *testing.B) {
		k, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		for b.Loop() {
			sum := sha256.Sum256(text)
			if _, err := rsa.SignPKCS1v15(rand.Reader, k, crypto.SHA256, sum[:]); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run(signer.ES384, func(b *testing.B) {
		k, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		for b.Loop() {
			sum := sha512.Sum384(text)
			if _, err := ecdsa.SignASN1(rand.Reader, k, sum[:]); err != nil {
				b.Fatal(err)
			}
		}
	})
}
