package signer_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"regexp"
	"strings"
	"testing"

	"github.com/stint-sts/stint/signer"
)

func TestNewAccessKeyID_CarriesTheAccount(t *testing.T) {
	t.Parallel()
	shape := regexp.MustCompile(`^ASIA[Q-Z2-7][A-Z2-7]{15}$`)
	for _, account := range []string{"000000000000", "000000000001", "123456789012", "418892985061", "999999999999"} {
		seen := map[string]bool{}
		for range 100 {
			id, err := signer.NewAccessKeyID(rand.Reader, signer.PrefixTemporaryKey, account)
			if err != nil {
				t.Fatal(err)
			}
			if !shape.MatchString(id) || seen[id] {
				t.Fatalf("id %q has another shape or came twice", id)
			}
			seen[id] = true
			if got, err := signer.AccountOf(id); got != account || err != nil {
				t.Errorf("AccountOf(%s) = %q, %v, want %s", id, got, err, account)
			}
		}
	}
}

func TestNewID_HasTheShapeOfUniqueIDs(t *testing.T) {
	t.Parallel()
	for _, prefix := range []string{
		signer.PrefixUser, signer.PrefixRole, signer.PrefixGroup, signer.PrefixManagedPolicy, signer.PrefixInstanceProfile,
	} {
		id, err := signer.NewID(rand.Reader, prefix, "123456789012")
		if err != nil {
			t.Fatal(err)
		}
		if !regexp.MustCompile(`^` + prefix + `[Q-Z2-7][A-Z2-7]{16}$`).MatchString(id) {
			t.Errorf("id %q is not %s and 17 characters of base32", id, prefix)
		}
		if got, err := signer.AccountOf(id[:20]); got != "123456789012" || err != nil {
			t.Errorf("%s carries account %q, %v", id, got, err)
		}
	}
}

func TestNewID_Refuses(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, prefix, account string
		random                []byte
	}{
		{"prefix of three characters", "AID", "123456789012", make([]byte, 32)},
		{"prefix in lower case", "aida", "123456789012", make([]byte, 32)},
		{"prefix with a digit outside base32", "AID1", "123456789012", make([]byte, 32)},
		{"account of 11 digits", "AIDA", "12345678901", make([]byte, 32)},
		{"account of 13 digits", "AIDA", "1234567890123", make([]byte, 32)},
		{"account with a sign", "AIDA", "+23456789012", make([]byte, 32)},
		{"account with an underscore", "AIDA", "1234_6789012", make([]byte, 32)},
		{"no account", "AIDA", "", make([]byte, 32)},
		{"randomness ends", "AIDA", "123456789012", make([]byte, 3)},
	} {
		if id, err := signer.NewID(bytes.NewReader(row.random), row.prefix, row.account); err == nil {
			t.Errorf("%s: NewID gave %q", row.name, id)
		}
	}
	if _, err := signer.NewID(bytes.NewReader(make([]byte, 32)), "AIDA", "123456789012"); err != nil {
		t.Errorf("positive twin: %v", err)
	}
}

func TestAccountOf(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ name, id, want string }{
		{"first published pair", "AKIAWDB7XWLS3OBANPCE", "418892985061"},
		{"second published pair", "AKIAVCODYLSA53PQK4ZA", "348839763073"},
		{"temporary key", "ASIAWDB7XWLS3OBANPCE", "418892985061"},
		{"prefix of another deployment", "STNTWDB7XWLS3OBANPCE", "418892985061"},
		{"old style: fifth character is A to P", "AKIAIOSFODNN7EXAMPLE", ""},
		{"number beyond 12 digits", "AKIA777777777777777A", ""},
		{"too short", "AKIAWDB7XWLS3OBANPC", ""},
		{"unique id of 21 characters", "AKIAWDB7XWLS3OBANPCEA", ""},
		{"lower case", "AKIAwdb7xwls3obanpce", ""},
		{"character outside base32", "AKIAWDB7XWLS3OBANPC1", ""},
		{"padding", "AKIAWDB7XWLS3OBANP==", ""},
		{"line break", "AKIAWDB7XWLS3OBANPC\n", ""},
		{"empty", "", ""},
	} {
		got, err := signer.AccountOf(row.id)
		if got != row.want || (err == nil) != (row.want != "") || (err != nil && !errors.Is(err, signer.ErrNoAccount)) {
			t.Errorf("%s: AccountOf = %q, %v, want %q", row.name, got, err, row.want)
		}
	}
}

func TestNewSecretKey(t *testing.T) {
	t.Parallel()
	shape := regexp.MustCompile(`^[A-Za-z0-9/+]{40}$`)
	a, err := signer.NewSecretKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	b, err := signer.NewSecretKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if !shape.MatchString(a.Reveal()) || a.Equal(b) {
		t.Error("secret keys have another shape, or two are equal")
	}
	if _, err := signer.NewSecretKey(strings.NewReader("short")); err == nil {
		t.Error("a secret key was made although randomness ended")
	}
}
