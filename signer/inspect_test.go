package signer_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stint-sts/stint/secret"
	"github.com/stint-sts/stint/signer"
)

func TestInspect(t *testing.T) {
	t.Parallel()
	for variant, cfg := range variants() {
		clock := newClock()
		cfg.Now = clock.Now
		s := open(t, cfg)
		creds := mint(t, s, longClaims())
		i := must[*signer.Inspection](t)(s.Inspect(creds.SessionToken))
		if !i.Checked || i.Expired || i.Problem != "" || i.Sealed != cfg.SealTokens || i.Issuer != issuer || i.Audience == "" {
			t.Errorf("%s: %+v", variant, i)
		}
		if i.Claims == nil || i.Claims.AccessKeyID != creds.AccessKeyID {
			t.Errorf("%s: the claims are missing", variant)
		}
		asJSON := must[[]byte](t)(json.Marshal(i))
		for _, printed := range []string{i.String(), string(asJSON)} {
			for _, word := range []string{creds.AccessKeyID, "build-17", "alice@example.com", "id.example.com:sub", "ReadOnlyAccess"} {
				if !strings.Contains(printed, word) {
					t.Errorf("%s: %s is missing in\n%s", variant, word, printed)
				}
			}
			for _, hidden := range []secret.String{creds.SecretAccessKey, creds.SessionToken} {
				if strings.Contains(printed, hidden.Reveal()) {
					t.Errorf("%s: a secret is printed", variant)
				}
			}
		}
		for _, want := range []string{"valid\n", "(transitive)", "of a role", "59m59s after"} {
			if !strings.Contains(i.String(), want) {
				t.Errorf("%s: %q is missing in\n%s", variant, want, i)
			}
		}

		clock.add(2 * time.Hour)
		i = must[*signer.Inspection](t)(s.Inspect(creds.SessionToken))
		if !i.Expired || !strings.Contains(i.String(), "expired") {
			t.Errorf("%s: two hours later:\n%s", variant, i)
		}
	}
}

func TestInspect_SaysWhyATokenIsRefused(t *testing.T) {
	t.Parallel()
	store := &memory{}
	s := open(t, signer.Config{Store: store})
	sealing := open(t, signer.Config{Store: store, SealTokens: true})
	token := mint(t, s, roleClaims(start)).SessionToken
	forged := genuine(t, s, store)
	forged.payload["uid"] = "AROAOTHER"
	foreign := mint(t, open(t, signer.Config{Issuer: "https://sts.example.org", Store: store}), roleClaims(start)).SessionToken
	altered := forged.token(t).Reveal()
	altered = altered[:strings.LastIndexByte(altered, '.')] + token.Reveal()[strings.LastIndexByte(token.Reveal(), '.'):]
	for _, row := range []struct {
		name  string
		s     *signer.Signer
		token secret.String
		want  string
	}{
		{"ours", s, token, ""},
		{"other claims under our signature", s, secret.New(altered), "signature does not match"},
		{"foreign issuer", s, foreign, "foreign issuer"},
		{"key of another ring", open(t, signer.Config{}), token, "header of no key of this ring"},
		{"plain where sealing is required", sealing, token, "not sealed"},
	} {
		i, err := row.s.Inspect(row.token)
		if err != nil || i.Claims == nil || !i.Checked {
			t.Errorf("%s: %v, %+v", row.name, err, i)
			continue
		}
		if (row.want == "") != (i.Problem == "") || !strings.Contains(i.Problem, row.want) {
			t.Errorf("%s: problem %q, want %q", row.name, i.Problem, row.want)
		}
	}
}

func TestInspectUnverified(t *testing.T) {
	t.Parallel()
	plain := mint(t, open(t, signer.Config{}), fullClaims()).SessionToken
	i := must[*signer.Inspection](t)(signer.InspectUnverified(plain, start))
	if i.Checked || i.Expired || i.Claims == nil || !strings.Contains(i.String(), "signature not checked") {
		t.Errorf("%+v", i)
	}
	i = must[*signer.Inspection](t)(signer.InspectUnverified(plain, start.Add(time.Hour)))
	if !i.Expired || !strings.Contains(i.String(), "expired (signature not checked)") {
		t.Error("an hour later it does not read as expired")
	}
	sealed := mint(t, open(t, signer.Config{SealTokens: true}), fullClaims()).SessionToken
	if i := must[*signer.Inspection](t)(signer.InspectUnverified(sealed, start)); !i.Sealed || i.Claims != nil || i.KeyID == "" {
		t.Errorf("sealed: %+v", i)
	}
	for _, row := range []struct{ name, token string }{
		{"empty", ""},
		{"no JWT", "IQoJb3JpZ2luX2Vj"},
		{"JWT of another type", "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.e30.AAAA"},
		{"too large", strings.Repeat("A", signer.MaxTokenSize+1)},
		{"cut off", plain.Reveal()[:100]},
	} {
		if _, err := signer.InspectUnverified(secret.New(row.token), start); !errors.Is(err, signer.ErrInvalidToken) {
			t.Errorf("%s: %v", row.name, err)
		}
	}
}

// What a stranger's token says must not drive the terminal of who inspects it.
func TestInspectUnverified_QuotesControlCharacters(t *testing.T) {
	t.Parallel()
	store := &memory{}
	f := genuine(t, open(t, signer.Config{Store: store}), store)
	const escape = "\x1b[2Jvalid\n"
	f.header["kid"] = escape
	for _, claim := range []string{"iss", "sub", "snm", "sid", "ent", "uid", "jti", "par", "idp", "pol"} {
		f.payload[claim] = escape
	}
	f.payload["tag"] = []string{escape, escape}
	f.payload["pla"] = []string{escape}
	f.payload["fed"] = map[string][]string{escape: {escape}}
	i := must[*signer.Inspection](t)(signer.InspectUnverified(f.token(t), start))
	if printed := i.String(); strings.ContainsRune(printed, 0x1b) || strings.Contains(printed, "\nvalid") {
		t.Errorf("control characters are printed: %q", printed)
	}
}
