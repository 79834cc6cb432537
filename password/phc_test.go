package password_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/stint-sts/stint/password"
)

const goodHash = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"

// badHashes are texts that are no hashes, each for one reason.
var badHashes = map[string]string{
	"nothing":                      "",
	"another algorithm":            strings.Replace(goodHash, "argon2id", "argon2i", 1),
	"another version":              strings.Replace(goodHash, "v=19", "v=16", 1),
	"no version":                   strings.Replace(goodHash, "v=19$", "", 1),
	"one part more":                goodHash + "$",
	"a text before it":             "x" + goodHash,
	"a text after it":              goodHash + " ",
	"costs in another order":       strings.Replace(goodHash, "t=2,p=1", "p=1,t=2", 1),
	"a cost less":                  strings.Replace(goodHash, ",p=1", "", 1),
	"a cost more":                  strings.Replace(goodHash, ",p=1", ",p=1,data=AA", 1),
	"a cost with a sign":           strings.Replace(goodHash, "t=2", "t=+2", 1),
	"a cost with a zero before it": strings.Replace(goodHash, "t=2", "t=02", 1),
	"a cost of zero":               strings.Replace(goodHash, "p=1", "p=0", 1),
	"too much memory":              strings.Replace(goodHash, "m=19456", "m=1048577", 1),
	"memory beyond any number":     strings.Replace(goodHash, "m=19456", "m=99999999999999999999", 1),
	"too little memory":            strings.Replace(goodHash, "m=19456", "m=7", 1),
	"too many passes":              strings.Replace(goodHash, "t=2", "t=65", 1),
	"too many lanes":               strings.Replace(goodHash, "p=1", "p=65", 1),
	"a salt that is too short":     strings.Replace(goodHash, "c29tZXNhbHQ", "c29tZXNhbA", 1),
	"a salt with padding":          strings.Replace(goodHash, "c29tZXNhbHQ", "c29tZXNhbHQ=", 1),
	"a salt with loose bits":       strings.Replace(goodHash, "c29tZXNhbHQ", "c29tZXNhbHR", 1),
	"a salt with a line break":     strings.Replace(goodHash, "c29tZXNhbHQ", "c29t\nZXNhbHQ", 1),
	"a salt of the URL alphabet":   strings.Replace(goodHash, "c29tZXNhbHQ", "c29tZXN_bHQ", 1),
	"a key that is too short":      goodHash[:strings.LastIndex(goodHash, "$")] + "$c29tZXNhbHQ",
	"a text that is too long":      goodHash + strings.Repeat("A", 256),
}

func TestParse(t *testing.T) {
	t.Parallel()
	h, err := password.Parse(goodHash)
	if err != nil {
		t.Fatal(err)
	}
	if h.String() != goodHash || h.Params != password.DefaultParams || string(h.Salt) != "somesalt" || len(h.Key) != 32 {
		t.Errorf("%+v", h)
	}
	for name, text := range badHashes {
		h, err := password.Parse(text)
		if !errors.Is(err, password.ErrMalformed) || h != nil {
			t.Errorf("%s: %+v, %v", name, h, err)
		}
		if err != nil && strings.Contains(err.Error(), "c29t") {
			t.Errorf("%s: the error quotes the salt: %v", name, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(goodHash)
	for _, text := range badHashes {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		h, err := password.Parse(text)
		if err != nil {
			if h != nil || !errors.Is(err, password.ErrMalformed) {
				t.Errorf("%+v, %v", h, err)
			}
			return
		}
		if h.String() != text {
			t.Errorf("%q is printed as %q", text, h)
		}
		if len(text) > 256 || h.Memory > 1<<20 || h.Memory < 8*uint32(h.Threads) || h.Time == 0 || h.Threads == 0 {
			t.Errorf("accepted beyond its bounds: %q", text)
		}
	})
}
