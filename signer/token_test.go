package signer_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	mathrand "math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/stint-sts/stint/secret"
	"github.com/stint-sts/stint/signer"
)

// fullClaims sets every field, with text that needs escapes.
func fullClaims() *signer.Claims {
	c := roleClaims(start)
	c.SourceIdentity = "alice@example.com"
	c.Tags = []signer.Tag{{"Project", "a \"quoted\" \\ value\n"}, {"Größe", "日本 🎉"}, {"empty", ""}}
	c.TransitiveKeys = []string{"Project"}
	c.MFATime = start.Add(-time.Minute).Truncate(time.Second)
	c.Chained = true
	c.Ancestors, c.AncestorsCut = []string{"AKIA3XFRBF535PLBIFPI", "ASIA3XFRBF535PLBIFPI"}, true
	c.Provider = "arn:aws:iam::123456789012:oidc-provider/id.example.com"
	c.FederatedKeys = map[string][]string{"id.example.com:sub": {"repo:a/b"}, "id.example.com:aud": {"x", "y"}, "none": {}}
	c.Policy = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}`
	c.PolicyARNs = []string{"arn:aws:iam::aws:policy/ReadOnlyAccess"}
	return c
}

// longClaims has details that are packed.
func longClaims() *signer.Claims {
	c := fullClaims()
	for i := range 50 {
		c.Tags = append(c.Tags, signer.Tag{Key: fmt.Sprintf("key-%d", i), Value: strings.Repeat("wert ", 40)})
	}
	return c
}

func TestMint_VerifyReturnsWhatWasMinted(t *testing.T) {
	t.Parallel()
	user := roleClaims(start)
	user.Kind, user.SessionName = signer.UserSession, ""
	federated := roleClaims(start)
	federated.Kind = signer.FederatedSession
	for _, claims := range []struct {
		name string
		c    *signer.Claims
	}{
		{"role", roleClaims(start)},
		{"user", user},
		{"federated user", federated},
		{"every claim", fullClaims()},
		{"packed", longClaims()},
	} {
		for variant, cfg := range variants() {
			t.Run(claims.name+" "+variant, func(t *testing.T) {
				t.Parallel()
				s := open(t, cfg)
				c := *claims.c
				creds := mint(t, s, &c)
				if creds.AccessKeyID != c.AccessKeyID || !creds.Expiration.Equal(c.ExpiresAt) {
					t.Errorf("credentials %s until %s, claims %s until %s", creds.AccessKeyID, creds.Expiration, c.AccessKeyID, c.ExpiresAt)
				}
				for _, pass := range []string{"first", "cached"} {
					got, err := s.Verify(creds.SessionToken)
					if err != nil {
						t.Fatalf("%s: %v", pass, err)
					}
					if diff := cmp.Diff(&c, got, cmpopts.IgnoreUnexported(signer.Claims{}), cmpopts.EquateEmpty()); diff != "" {
						t.Errorf("%s: claims differ (-minted +verified):\n%s", pass, diff)
					}
					key, err := s.SecretKey(got)
					if err != nil || !key.Equal(creds.SecretAccessKey) {
						t.Errorf("%s: SecretKey differs from the minted one (%v)", pass, err)
					}
				}
			})
		}
	}
}

func TestMint_CredentialsHaveTheShapeOfAWS(t *testing.T) {
	t.Parallel()
	for name, cfg := range variants() {
		cfg.TemporaryPrefix = "STNT"
		creds := mint(t, open(t, cfg), longClaims())
		for _, row := range []struct{ value, shape string }{
			{creds.AccessKeyID, `^STNT[A-Z2-7]{16}$`},
			{creds.SecretAccessKey.Reveal(), `^[A-Za-z0-9/+]{40}$`},
			{creds.SessionToken.Reveal(), `^[A-Za-z0-9_.-]+$`},
		} {
			if !regexp.MustCompile(row.shape).MatchString(row.value) {
				t.Errorf("%s: a credential does not match %s", name, row.shape)
			}
		}
		if got, err := signer.AccountOf(creds.AccessKeyID); got != account || err != nil {
			t.Errorf("%s: account %q, %v", name, got, err)
		}
	}
}

func TestMint_Refuses(t *testing.T) {
	t.Parallel()
	s := open(t, signer.Config{})
	for _, row := range []struct {
		name   string
		change func(*signer.Claims)
	}{
		{"unknown kind", func(c *signer.Claims) { c.Kind = "other" }},
		{"no account", func(c *signer.Claims) { c.Account = "" }},
		{"no ARN", func(c *signer.Claims) { c.ARN = "" }},
		{"no entity", func(c *signer.Claims) { c.EntityARN = "" }},
		{"no unique id", func(c *signer.Claims) { c.EntityID = "" }},
		{"expiry before issue", func(c *signer.Claims) { c.ExpiresAt = c.IssuedAt.Add(-time.Second) }},
		{"more than 36 hours", func(c *signer.Claims) { c.ExpiresAt = c.IssuedAt.Add(signer.MaxLifetime + time.Second) }},
		{"text that is not UTF-8", func(c *signer.Claims) { c.SessionName = "\xff" }},
		{"tag that is not UTF-8", func(c *signer.Claims) { c.Tags = []signer.Tag{{"k", "\xc3"}} }},
		{"packed text that is not UTF-8", func(c *signer.Claims) { c.Policy = strings.Repeat("x", 5000) + "\xff" }},
		{"details that do not fit", func(c *signer.Claims) { c.Policy = strings.Repeat("x", 1<<19) }},
	} {
		c := roleClaims(start)
		row.change(c)
		if creds, err := s.Mint(c); err == nil || creds != nil {
			t.Errorf("%s: minted", row.name)
		}
	}
	mint(t, s, roleClaims(start)) // the positive twin
}

// The size is refused when a token is minted, not when its holder first uses it.
func TestMint_SizeBoundAgreesWithVerify(t *testing.T) {
	t.Parallel()
	random := mathrand.NewChaCha8([32]byte{1})
	for name, cfg := range variants() {
		s := open(t, cfg)
		minted, refused := 0, 0
		for size := 1000; size <= 20_000; size += 1000 {
			c := roleClaims(start)
			bytes := make([]byte, size/2)
			_, _ = random.Read(bytes)
			c.Policy = hex.EncodeToString(bytes)
			creds, err := s.Mint(c)
			if errors.Is(err, signer.ErrTokenTooLarge) {
				refused++
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			minted++
			got, err := s.Verify(creds.SessionToken)
			if err != nil || got.Policy != c.Policy {
				t.Errorf("%s: policy of %d bytes was minted and does not verify: %v", name, size, err)
			}
		}
		if minted == 0 || refused == 0 {
			t.Errorf("%s: %d minted, %d refused: the sizes do not cross the bound", name, minted, refused)
		}
	}
}

// No bit of a token may change, neither before the token is cached nor after.
func TestVerify_RefusesEveryChangedBit(t *testing.T) {
	t.Parallel()
	for name, cfg := range variants() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t, cfg)
			token := mint(t, s, roleClaims(start)).SessionToken
			try := func(bits int) { // of each byte, beginning with another one
				text := []byte(token.Reveal())
				for i := range text {
					for n := range bits {
						bit := (i + n) % 8
						text[i] ^= 1 << bit
						if c, err := s.Verify(secret.New(string(text))); !errors.Is(err, signer.ErrInvalidToken) || c != nil {
							t.Fatalf("bit %d of byte %d changed: %v, %v", bit, i, c, err)
						}
						text[i] ^= 1 << bit
					}
				}
			}
			try(8)
			if _, err := s.Verify(token); err != nil {
				t.Fatalf("positive twin: %v", err)
			}
			try(1)
		})
	}
}

func TestVerify_RefusesOtherSpellings(t *testing.T) {
	t.Parallel()
	for name, cfg := range variants() {
		s := open(t, cfg)
		text := mint(t, s, roleClaims(start)).SessionToken.Reveal()
		if _, err := s.Verify(secret.New(text)); err != nil {
			t.Fatal(err)
		}
		for _, row := range []struct{ name, token string }{
			{"empty", ""},
			{"only dots", ".."},
			{"line break behind", text + "\n"},
			{"space before", " " + text},
			{"line break within", text[:50] + "\r\n" + text[50:]},
			{"padding", text + "="},
			{"one segment more", text + ".x"},
			{"one character more", text + "A"},
			{"no signature", text[:strings.LastIndexByte(text, '.')+1]},
			{"header twice", text[:strings.IndexByte(text, '.')+1] + text},
			{"beyond the size bound", text + strings.Repeat("A", signer.MaxTokenSize)},
		} {
			if c, err := s.Verify(secret.New(row.token)); !errors.Is(err, signer.ErrInvalidToken) || c != nil {
				t.Errorf("%s: %s: %v, %v", name, row.name, c, err)
			}
		}
	}
}

// forge is a token made by hand.
type forge struct {
	header, payload map[string]any
	method          jwt.SigningMethod
	key             any
}

func (f forge) token(t *testing.T) secret.String {
	t.Helper()
	text, err := (&jwt.Token{Header: f.header, Claims: jwt.MapClaims(f.payload), Method: f.method}).SignedString(f.key)
	if err != nil {
		t.Fatal(err)
	}
	return secret.New(text)
}

// genuine returns what a signer on that store makes, ready to be changed: the key is the ring's own.
func genuine(t *testing.T, s *signer.Signer, store *memory) forge {
	t.Helper()
	token := mint(t, s, roleClaims(start)).SessionToken.Reveal()
	segments := strings.Split(token, ".")
	var f forge
	for i, into := range []any{&f.header, &f.payload} {
		plain, err := base64.RawURLEncoding.DecodeString(segments[i])
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(plain, into); err != nil {
			t.Fatal(err)
		}
	}
	f.payload["iat"] = int64(f.payload["iat"].(float64)) // as jwt would print milliseconds with an exponent
	f.payload["exp"] = int64(f.payload["exp"].(float64))
	material := stored(t, store, signer.TokenKey).Material
	switch f.header["alg"] {
	case "HS256":
		f.method, f.key = jwt.SigningMethodHS256, material
	case "EdDSA":
		f.method, f.key = jwt.SigningMethodEdDSA, ed25519.NewKeyFromSeed(material)
	case "ES256":
		key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), material)
		if err != nil {
			t.Fatal(err)
		}
		f.method, f.key = jwt.SigningMethodES256, key
	}
	return f
}

type storedKey struct {
	signer.KeyInfo
	Material []byte `json:"material"`
}

// stored reads the signing key of that purpose out of the store.
func stored(t testing.TB, store *memory, purpose signer.Purpose) storedKey {
	t.Helper()
	plain, err := masterKey(t, 1).Open(store.sealed, "key-ring")
	if err != nil {
		t.Fatal(err)
	}
	var document struct{ Keys []storedKey }
	if err := json.Unmarshal(plain, &document); err != nil {
		t.Fatal(err)
	}
	for _, k := range document.Keys {
		if k.Purpose == purpose && k.State == signer.Signing {
			return k
		}
	}
	t.Fatalf("the ring has no signing key for %s", purpose)
	return storedKey{}
}

// Even who holds the ring's own key must not get another kind of token accepted as a session token.
func TestVerify_RefusesForgeries(t *testing.T) {
	t.Parallel()
	for _, algorithm := range []string{signer.HS256, signer.EdDSA, signer.ES256} {
		t.Run(algorithm, func(t *testing.T) {
			t.Parallel()
			store := &memory{}
			s := open(t, signer.Config{Store: store, Algorithm: algorithm})
			base := genuine(t, s, store)
			if _, err := s.Verify(base.token(t)); err != nil {
				t.Fatalf("positive twin: %v", err)
			}
			for _, row := range []struct {
				name   string
				change func(f *forge)
			}{
				{"typ of a plain JWT", func(f *forge) { f.header["typ"] = "JWT" }},
				{"typ of an identity token", func(f *forge) { f.header["typ"] = "stint-identity+jwt" }},
				{"no typ", func(f *forge) { delete(f.header, "typ") }},
				{"foreign kid", func(f *forge) { f.header["kid"] = "aaaaaaaa" }},
				{"no kid", func(f *forge) { delete(f.header, "kid") }},
				{"kid of the derivation key", func(f *forge) { f.header["kid"] = stored(t, store, signer.DerivationKey).ID }},
				{"further header", func(f *forge) { f.header["crit"] = []string{"exp"} }},
				{"key of its own in the header", func(f *forge) { f.header["jwk"] = map[string]string{"kty": "oct", "k": "AAAA"} }},
				{"alg none", func(f *forge) {
					f.header["alg"], f.method, f.key = "none", jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType
				}},
				{"alg none with the header of the key", func(f *forge) {
					f.method, f.key = jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType
				}},
				{"HS384 with the same bytes", func(f *forge) {
					f.header["alg"], f.method, f.key = "HS384", jwt.SigningMethodHS384, stored(t, store, signer.TokenKey).Material
				}},
				{"HS256 with the derivation key", func(f *forge) {
					f.method, f.key = jwt.SigningMethodHS256, stored(t, store, signer.DerivationKey).Material
				}},
				{"foreign issuer", func(f *forge) { f.payload["iss"] = "https://sts.example.org" }},
				{"no issuer", func(f *forge) { delete(f.payload, "iss") }},
				{"foreign audience", func(f *forge) { f.payload["aud"] = "other" }},
				{"no audience", func(f *forge) { delete(f.payload, "aud") }},
				{"two audiences", func(f *forge) { f.payload["aud"] = []string{"stint", "other"} }},
				{"no expiry", func(f *forge) { delete(f.payload, "exp") }},
				{"expiry of zero", func(f *forge) { f.payload["exp"] = 0 }},
				{"no issue", func(f *forge) { delete(f.payload, "iat") }},
				{"lives for 36 hours and a second", func(f *forge) { f.payload["exp"] = f.payload["iat"].(int64) + 129_602 }},
				{"issued in six minutes", func(f *forge) {
					f.payload["iat"], f.payload["exp"] = start.Add(6*time.Minute).Unix(), start.Add(time.Hour).Unix()
				}},
				{"claim that we do not know", func(f *forge) { f.payload["nbf"] = 1 }},
				{"kind that we do not know", func(f *forge) { f.payload["knd"] = "admin" }},
				{"no access key id", func(f *forge) { delete(f.payload, "jti") }},
				{"no principal", func(f *forge) { delete(f.payload, "sub") }},
				{"derivation key that we do not have", func(f *forge) { f.payload["dkv"] = 2 }},
				{"tag without a value", func(f *forge) { f.payload["tag"] = []string{"key"} }},
				{"packed details that are no DEFLATE", func(f *forge) { f.payload["z"] = "AAAA" }},
				{"number for a text", func(f *forge) { f.payload["snm"] = 1 }},
				{"object for a text", func(f *forge) { f.payload["snm"] = map[string]any{"a": []int{1}} }},
			} {
				f := base
				f.header, f.payload = maps.Clone(base.header), maps.Clone(base.payload)
				row.change(&f)
				if c, err := s.Verify(f.token(t)); !errors.Is(err, signer.ErrInvalidToken) || c != nil {
					t.Errorf("%s: %v, %v", row.name, c, err)
				}
			}
		})
	}
}

// The classic: a public key, which anybody has, taken for an HMAC key.
func TestVerify_RefusesHMACWithThePublicKey(t *testing.T) {
	t.Parallel()
	for _, algorithm := range []string{signer.EdDSA, signer.ES256} {
		store := &memory{}
		s := open(t, signer.Config{Store: store, Algorithm: algorithm})
		base := genuine(t, s, store)
		var public any
		var raw []byte
		switch key := base.key.(type) {
		case ed25519.PrivateKey:
			public, raw = key.Public(), key.Public().(ed25519.PublicKey)
		case *ecdsa.PrivateKey:
			public = &key.PublicKey
			raw, _ = key.PublicKey.Bytes()
		}
		der, err := x509.MarshalPKIXPublicKey(public)
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range [][]byte{raw, der, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), s.JWKS()} {
			for _, alg := range []string{"HS256", algorithm} {
				f := forge{maps.Clone(base.header), base.payload, jwt.SigningMethodHS256, key}
				f.header["alg"] = alg
				if c, err := s.Verify(f.token(t)); !errors.Is(err, signer.ErrInvalidToken) || c != nil {
					t.Errorf("%s key as HMAC key, alg %s: %v, %v", algorithm, alg, c, err)
				}
			}
		}
	}
}

func TestVerify_RefusesTokensOfOthers(t *testing.T) {
	t.Parallel()
	store := &memory{}
	s := open(t, signer.Config{Store: store})
	for _, row := range []struct {
		name string
		cfg  signer.Config
		want error
	}{
		{"another node of the same deployment", signer.Config{Store: store}, nil},
		{"another deployment", signer.Config{}, signer.ErrInvalidToken},
		{"the same ring under another issuer", signer.Config{Store: store, Issuer: "https://sts.example.org"}, signer.ErrInvalidToken},
	} {
		token := mint(t, open(t, row.cfg), roleClaims(start)).SessionToken
		if _, err := s.Verify(token); !errors.Is(err, row.want) {
			t.Errorf("%s: %v, want %v", row.name, err, row.want)
		}
	}
}

func TestVerify_Expiry(t *testing.T) {
	t.Parallel()
	for _, cached := range []bool{false, true} {
		clock := newClock()
		s := open(t, signer.Config{Now: clock.Now})
		minted := roleClaims(start)
		token := mint(t, s, minted).SessionToken
		if cached {
			if _, err := s.Verify(token); err != nil {
				t.Fatal(err)
			}
		}
		clock.add(minted.ExpiresAt.Sub(start) - time.Nanosecond)
		if _, err := s.Verify(token); err != nil {
			t.Errorf("cached %v: just before the expiry: %v", cached, err)
		}
		clock.add(time.Nanosecond)
		c, err := s.Verify(token)
		if !errors.Is(err, signer.ErrExpiredToken) || errors.Is(err, signer.ErrInvalidToken) {
			t.Errorf("cached %v: at the expiry: %v, want ErrExpiredToken", cached, err)
		}
		if c == nil || c.AccessKeyID != minted.AccessKeyID {
			t.Errorf("cached %v: no claims with ErrExpiredToken", cached)
		}
		altered := token.Reveal()
		altered = altered[:len(altered)-4] + "AAAA"
		if c, err := s.Verify(secret.New(altered)); !errors.Is(err, signer.ErrInvalidToken) || c != nil {
			t.Errorf("cached %v: expired and altered: %v, %v, want ErrInvalidToken alone", cached, c, err)
		}
	}
}

// A token proves one access key id: authn compares it with the one that signed the request, and the secrets differ too.
func TestVerify_BindsTheAccessKeyID(t *testing.T) {
	t.Parallel()
	store := &memory{}
	s := open(t, signer.Config{Store: store})
	a, b := mint(t, s, roleClaims(start)), mint(t, s, roleClaims(start))
	claims, err := s.Verify(a.SessionToken)
	if err != nil {
		t.Fatal(err)
	}
	if claims.AccessKeyID != a.AccessKeyID || claims.AccessKeyID == b.AccessKeyID {
		t.Errorf("the token of %s says %s", a.AccessKeyID, claims.AccessKeyID)
	}
	if a.SecretAccessKey.Equal(b.SecretAccessKey) {
		t.Error("two access keys have the same secret")
	}

	payloads := [2][]string{strings.Split(a.SessionToken.Reveal(), "."), strings.Split(b.SessionToken.Reveal(), ".")}
	swapped := payloads[0][0] + "." + payloads[1][1] + "." + payloads[0][2]
	if _, err := s.Verify(secret.New(swapped)); !errors.Is(err, signer.ErrInvalidToken) {
		t.Errorf("claims of one token with the signature of another: %v", err)
	}

	changed := *claims // what no caller should do must still not give the secret of one key for another
	changed.AccessKeyID = b.AccessKeyID
	if key, err := s.SecretKey(&changed); err != nil || !key.Equal(b.SecretAccessKey) {
		t.Errorf("SecretKey of a copy with another access key id does not follow it (%v)", err)
	}
}

func TestSealTokens(t *testing.T) {
	t.Parallel()
	store := &memory{}
	plain := open(t, signer.Config{Store: store})
	sealing := open(t, signer.Config{Store: store, SealTokens: true})
	plainToken, sealedToken := mint(t, plain, fullClaims()).SessionToken, mint(t, sealing, fullClaims()).SessionToken
	for _, row := range []struct {
		name  string
		s     *signer.Signer
		token secret.String
		want  error
	}{
		{"plain where plain is made", plain, plainToken, nil},
		{"sealed where plain is made: switching off ends no session", plain, sealedToken, nil},
		{"sealed where sealing is required", sealing, sealedToken, nil},
		{"plain where sealing is required", sealing, plainToken, signer.ErrInvalidToken},
		{"sealed under the ring of another deployment", open(t, signer.Config{SealTokens: true}), sealedToken, signer.ErrInvalidToken},
	} {
		if _, err := row.s.Verify(row.token); !errors.Is(err, row.want) {
			t.Errorf("%s: %v, want %v", row.name, err, row.want)
		}
	}
	for _, segment := range strings.Split(sealedToken.Reveal(), ".") {
		if text, err := base64.RawURLEncoding.DecodeString(segment); err != nil || strings.Contains(string(text), account) {
			t.Errorf("a sealed token shows its claims (%v)", err)
		}
	}
}

func TestErrors_DoNotQuoteTheToken(t *testing.T) {
	t.Parallel()
	store := &memory{}
	s := open(t, signer.Config{Store: store})
	f := genuine(t, s, store)
	f.payload["iss"], f.payload["canary"] = "canary", "canary"
	canary := f.token(t)
	for _, token := range []secret.String{canary, secret.New("canary"), secret.New("canary.canary.canary")} {
		_, err := s.Verify(token)
		if err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("Verify: %v", err)
		}
	}
}
