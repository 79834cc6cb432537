package seal_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"strings"
	"testing"

	"github.com/stint-sts/stint/seal"
)

func newKey(t *testing.T, fill byte) *seal.Key {
	t.Helper()
	k, err := seal.NewKey(bytes.Repeat([]byte{fill}, seal.KeySize), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestKey_OpensOnlyWhatItSealedForThePlace(t *testing.T) {
	t.Parallel()
	k := newKey(t, 1)
	sealed, err := k.Seal([]byte("value"), "access-key/AKIA1")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := k.Open(sealed, "access-key/AKIA1"); err != nil || string(got) != "value" {
		t.Fatalf("Open = %q, %v", got, err)
	}
	if _, err := k.Open(sealed, "access-key/AKIA2"); !errors.Is(err, seal.ErrDamaged) {
		t.Errorf("another place: %v, want ErrDamaged", err)
	}
	if _, err := newKey(t, 2).Open(sealed, "access-key/AKIA1"); !errors.Is(err, seal.ErrWrongKey) {
		t.Errorf("another key: %v, want ErrWrongKey", err)
	}
	for i := range sealed {
		altered := bytes.Clone(sealed)
		altered[i] ^= 1
		if _, err := k.Open(altered, "access-key/AKIA1"); err == nil {
			t.Errorf("byte %d changed and still opened", i)
		}
		if _, err := k.Open(sealed[:i], "access-key/AKIA1"); err == nil {
			t.Errorf("cut to %d bytes and still opened", i)
		}
	}
}

func TestNewKey_RefusesOtherSizes(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 16, 31, 33} {
		if _, err := seal.NewKey(make([]byte, size), rand.Reader); err == nil {
			t.Errorf("a key of %d bytes was accepted", size)
		}
	}
}

func withPrevious(t *testing.T, k, previous *seal.Key) *seal.Key {
	t.Helper()
	both, err := k.WithPrevious(previous)
	if err != nil {
		t.Fatal(err)
	}
	return both
}

func mustSeal(t *testing.T, k *seal.Key) []byte {
	t.Helper()
	sealed, err := k.Seal([]byte("value"), "place")
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

// While a master key is replaced there are four kinds of Key about: the former one, the new one, and each with the other beside it.
func TestKey_Replacement(t *testing.T) {
	t.Parallel()
	former, fresh, foreign := newKey(t, 1), newKey(t, 2), newKey(t, 3)
	both := withPrevious(t, fresh, former)
	if _, err := both.WithPrevious(newKey(t, 2)); err == nil {
		t.Error("a key is its own previous one")
	}
	swapped, err := both.Sealer(mustSeal(t, former))
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name  string
		key   *seal.Key
		opens []*seal.Key
		wrong []*seal.Key
	}{
		{"the former key", former, []*seal.Key{former, swapped}, []*seal.Key{fresh, both, foreign}},
		{"the new key", fresh, []*seal.Key{fresh, both}, []*seal.Key{former, swapped, foreign}},
		{"the new key with the former one", both, []*seal.Key{former, fresh, both, swapped}, []*seal.Key{foreign}},
		{"the former key with the new one", swapped, []*seal.Key{former, fresh, both, swapped}, []*seal.Key{foreign}},
	} {
		for _, by := range row.opens {
			sealed := mustSeal(t, by)
			if got, err := row.key.Open(sealed, "place"); err != nil || string(got) != "value" {
				t.Errorf("%s opens what %s sealed: %q, %v", row.name, by.ID(), got, err)
			}
			if _, err := row.key.Open(sealed, "elsewhere"); !errors.Is(err, seal.ErrDamaged) {
				t.Errorf("%s opens it elsewhere: %v", row.name, err)
			}
			if !row.key.Opens(by.ID()) || row.key.Has(sealed) != (by.ID() == row.key.ID()) {
				t.Errorf("%s: Opens(%s) = %v, Has = %v", row.name, by.ID(), row.key.Opens(by.ID()), row.key.Has(sealed))
			}
			if sealer, err := row.key.Sealer(sealed); err != nil || sealer.ID() != by.ID() {
				t.Errorf("%s: the sealer is %v, %v", row.name, sealer, err)
			}
			again, err := row.key.Reseal(sealed, "place")
			if err != nil || !row.key.Has(again) || bytes.Equal(again, sealed) != (by.ID() == row.key.ID()) {
				t.Errorf("%s reseals what %s sealed: under itself %v, %v", row.name, by.ID(), row.key.Has(again), err)
			}
			if got, err := row.key.Open(again, "place"); err != nil || string(got) != "value" {
				t.Errorf("%s opens what it resealed: %q, %v", row.name, got, err)
			}
			if _, err := row.key.Reseal(sealed, "elsewhere"); !errors.Is(err, seal.ErrDamaged) {
				t.Errorf("%s reseals what belongs elsewhere: %v", row.name, err)
			}
		}
		for _, by := range row.wrong {
			sealed := mustSeal(t, by)
			_, opened := row.key.Open(sealed, "place")
			_, resealed := row.key.Reseal(sealed, "place")
			_, sealer := row.key.Sealer(sealed)
			for _, err := range []error{opened, resealed, sealer} {
				if !errors.Is(err, seal.ErrWrongKey) || !strings.Contains(err.Error(), by.ID()) || !strings.Contains(err.Error(), row.key.ID()) {
					t.Errorf("%s on what %s sealed: %v", row.name, by.ID(), err)
				}
			}
		}
	}
}

// fixed is randomness without any.
type fixed struct{}

func (fixed) Read(p []byte) (int, error) { return len(p), nil }

// What a database holds may be anything: none of it opens but what was sealed, and what is resealed opens again.
func FuzzOpen(f *testing.F) {
	key := func(fill byte) *seal.Key {
		// The same nonce always: the fuzzer's processes must agree on what is genuine.
		k, err := seal.NewKey(bytes.Repeat([]byte{fill}, seal.KeySize), fixed{})
		if err != nil {
			f.Fatal(err)
		}
		return k
	}
	former, fresh := key(1), key(2)
	both, err := fresh.WithPrevious(former)
	if err != nil {
		f.Fatal(err)
	}
	genuine := make(map[string]bool)
	for _, k := range []*seal.Key{former, fresh, key(3)} {
		sealed, err := k.Seal([]byte("value"), "place")
		if err != nil {
			f.Fatal(err)
		}
		genuine[string(sealed)] = k.ID() != key(3).ID()
		f.Add(sealed)
		f.Add(sealed[:len(sealed)-1])
		f.Add(append(bytes.Clone(sealed), 0))
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, sealed []byte) {
		before := bytes.Clone(sealed)
		plain, err := both.Open(sealed, "place")
		if (err == nil) != genuine[string(sealed)] {
			t.Fatalf("%x opens as %q, %v", sealed, plain, err)
		}
		if err != nil && !errors.Is(err, seal.ErrWrongKey) && !errors.Is(err, seal.ErrDamaged) {
			t.Fatalf("%x: %v", sealed, err)
		}
		again, resealErr := both.Reseal(sealed, "place")
		if (resealErr == nil) != (err == nil) {
			t.Fatalf("%x opens: %v, reseals: %v", sealed, err, resealErr)
		}
		if resealErr == nil {
			if got, err := fresh.Open(again, "place"); err != nil || !bytes.Equal(got, plain) {
				t.Fatalf("%x resealed opens as %q, %v", sealed, got, err)
			}
		}
		if !bytes.Equal(before, sealed) {
			t.Fatal("the input was changed")
		}
	})
}
