// Package seal encrypts what stint keeps at rest: long-lived secret access keys, TOTP seeds, the key ring.
//
// A sealed value is bound to its place: Open needs the context (for example "access-key/AKIA…") that Seal was given, so a
// ciphertext copied into another row does not open. The cipher is AES-256-GCM (NIST SP 800-38D) with a random 96-bit
// nonce; a master key seals far fewer than 2^32 values.
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
)

// ErrWrongKey tells that a value was sealed under another master key.
var ErrWrongKey = errors.New("sealed under another master key")

// ErrDamaged tells that a sealed value was altered, truncated or belongs to another place.
var ErrDamaged = errors.New("sealed value is damaged or belongs elsewhere")

// Key is a master key. It is safe for concurrent use.
type Key struct {
	aead cipher.AEAD
	id   [idSize]byte
	rand io.Reader
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

// ID names the key in 8 hexadecimal digits, without telling anything about it.
func (k *Key) ID() string { return hex.EncodeToString(k.id[:]) }

// Seal encrypts plaintext for the place that context names.
func (k *Key) Seal(plaintext []byte, context string) ([]byte, error) {
	out := make([]byte, headSize+nonceSize, headSize+nonceSize+len(plaintext)+k.aead.Overhead())
	out[0] = version
	copy(out[1:], k.id[:])
	nonce := out[headSize:]
	if _, err := io.ReadFull(k.rand, nonce); err != nil {
		return nil, fmt.Errorf("nonce: %w", err)
	}
	return k.aead.Seal(out, nonce, plaintext, []byte(context)), nil
}

// Open decrypts what Seal made for the same context. It returns ErrWrongKey or ErrDamaged.
func (k *Key) Open(sealed []byte, context string) ([]byte, error) {
	if len(sealed) < headSize+nonceSize+k.aead.Overhead() || sealed[0] != version {
		return nil, ErrDamaged
	}
	if [idSize]byte(sealed[1:headSize]) != k.id {
		return nil, ErrWrongKey
	}
	plaintext, err := k.aead.Open(nil, sealed[headSize:headSize+nonceSize], sealed[headSize+nonceSize:], []byte(context))
	if err != nil {
		return nil, ErrDamaged
	}
	return plaintext, nil
}
