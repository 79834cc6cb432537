// Package seal encrypts what stint keeps at rest: long-lived secret access keys, TOTP seeds, the key ring.
//
// A sealed value is bound to its place: Open needs the context (for example "access-key/AKIA…") that Seal was given, so a
// ciphertext copied into another row does not open. The cipher is AES-256-GCM (NIST SP 800-38D) with a random 96-bit
// nonce; a master key seals far fewer than 2^32 values.
//
// Each sealed value names its key, so that a master key can be replaced while values under the former one are still around: a Key
// made by WithPrevious opens both.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
)

// KeySize is the size of a master key in bytes.
const KeySize = 32

const (
	version   = 1 // first byte of every sealed value
	idSize    = 4 // bytes of the key id that follow it
	headSize  = 1 + idSize
	nonceSize = 12
	tagSize   = 16
)

// ErrWrongKey tells that a value was sealed under another master key.
var ErrWrongKey = errors.New("sealed under another master key")

// ErrDamaged tells that a sealed value was altered, truncated or belongs to another place.
var ErrDamaged = errors.New("sealed value is damaged or belongs elsewhere")

// Key is a master key, with the former one where there is one. It is safe for concurrent use.
type Key struct {
	aead  cipher.AEAD
	id    [idSize]byte
	rand  io.Reader
	other *Key // opens what k itself does not; nil: nothing does
}

// NewKey makes a Key of 32 bytes; nonces are read from random.
func NewKey(master []byte, random io.Reader) (*Key, error) {
	if len(master) != KeySize {
		return nil, fmt.Errorf("master key has %d bytes, want %d", len(master), KeySize)
	}
	// Two derivations from one master key: the id is shown in the clear and must tell nothing of the cipher's key.
	id, err := hkdf.Key(sha256.New, master, nil, "stint master key id", idSize)
	if err != nil {
		return nil, err
	}
	key, err := hkdf.Key(sha256.New, master, nil, "stint seal AES-256-GCM", KeySize)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	k := &Key{aead: aead, rand: random}
	copy(k.id[:], id)
	return k, nil
}

// WithPrevious returns k so that it also opens what previous sealed.
func (k *Key) WithPrevious(previous *Key) (*Key, error) {
	if k.id == previous.id {
		return nil, errors.New("the previous master key is the same as the present one")
	}
	both := *k
	both.other = previous
	return &both, nil
}

// Alone returns k without its previous key.
func (k *Key) Alone() *Key {
	alone := *k
	alone.other = nil
	return &alone
}

// ID names the key in 8 hexadecimal digits, without telling anything about it.
func (k *Key) ID() string { return hex.EncodeToString(k.id[:]) }

// Opens reports whether k, or its previous key, has that ID.
func (k *Key) Opens(id string) bool { return k.ID() == id || k.other != nil && k.other.ID() == id }

// Has reports whether k itself, and not its previous key, sealed a value. It does not tell whether the value is intact.
func (k *Key) Has(sealed []byte) bool {
	id, err := keyID(sealed)
	return err == nil && id == k.id
}

// Sealer returns the key that made a sealed value: k, or its previous key, either of which opens what both sealed. It returns
// ErrWrongKey or ErrDamaged.
func (k *Key) Sealer(sealed []byte) (*Key, error) {
	id, err := keyID(sealed)
	switch {
	case err != nil:
		return nil, err
	case id == k.id:
		return k, nil
	case k.other != nil && id == k.other.id:
		return k.other.WithPrevious(k.Alone())
	default:
		return nil, k.wrong(id)
	}
}

// wrong is the error for a value of a key that is neither k nor its previous one.
func (k *Key) wrong(id [idSize]byte) error {
	if k.other != nil {
		return fmt.Errorf("%w: it is under %x, those given are %x and %x", ErrWrongKey, id, k.id, k.other.id)
	}
	return fmt.Errorf("%w: it is under %x, the one given is %x", ErrWrongKey, id, k.id)
}

// keyID returns the id of the key that sealed a value.
func keyID(sealed []byte) (id [idSize]byte, err error) {
	if len(sealed) < headSize+nonceSize+tagSize || sealed[0] != version {
		return id, ErrDamaged
	}
	return [idSize]byte(sealed[1:headSize]), nil
}

// Seal encrypts plaintext for the place that context names.
func (k *Key) Seal(plaintext []byte, context string) ([]byte, error) {
	out := make([]byte, headSize+nonceSize, headSize+nonceSize+len(plaintext)+tagSize)
	out[0] = version
	copy(out[1:], k.id[:])
	nonce := out[headSize:]
	if _, err := io.ReadFull(k.rand, nonce); err != nil {
		return nil, fmt.Errorf("nonce: %w", err)
	}
	return k.aead.Seal(out, nonce, plaintext, []byte(context)), nil
}

// Open decrypts what Seal made for the same context under k or its previous key. It returns ErrWrongKey or ErrDamaged.
func (k *Key) Open(sealed []byte, context string) ([]byte, error) {
	id, err := keyID(sealed)
	if err != nil {
		return nil, err
	}
	by := k
	if id != k.id {
		if by = k.other; by == nil || id != by.id {
			return nil, k.wrong(id)
		}
	}
	plaintext, err := by.aead.Open(nil, sealed[headSize:headSize+nonceSize], sealed[headSize+nonceSize:], []byte(context))
	if err != nil {
		return nil, ErrDamaged
	}
	return plaintext, nil
}

// Reseal seals anew under k what its previous key sealed. What k sealed itself is opened, to see that it can be, and returned as it
// is. It returns ErrWrongKey or ErrDamaged.
func (k *Key) Reseal(sealed []byte, context string) ([]byte, error) {
	plaintext, err := k.Open(sealed, context)
	if err != nil || k.Has(sealed) {
		return sealed, err
	}
	return k.Seal(plaintext, context)
}
