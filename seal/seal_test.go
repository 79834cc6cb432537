package seal_test

import (
	"bytes"
	"crypto/rand"
	"errors"
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
