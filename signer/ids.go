package signer

import (
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/stint-sts/stint/secret"
)

// Prefixes of unique ids and access key ids ("IAM identifiers" in the IAM User Guide).
const (
	PrefixUser            = "AIDA"
	PrefixRole            = "AROA"
	PrefixGroup           = "AGPA"
	PrefixManagedPolicy   = "ANPA"
	PrefixInstanceProfile = "AIPA"
	PrefixLongTermKey     = "AKIA"
	PrefixTemporaryKey    = "ASIA"
)

// ErrNoAccount tells that an access key id does not carry an account: it is malformed, or of AWS's style before 2019.
var ErrNoAccount = errors.New("access key id carries no account")

const (
	prefixLength = 4
	keyIDLength  = prefixLength + 16 // of an access key id
	accountLimit = 1_000_000_000_000 // accounts have 12 decimal digits

	// The 80 bits behind the prefix: a one that marks the style, the account, chance. Nobody documents it; it was derived from
	// published keys, and tools rely on it.
	styleBit    = 1 << 63
	accountBits = 40
	chanceBits  = 63 - accountBits // of the first 64 bits; the remaining 16 are chance too

	secretKeyBytes = 30 // 40 characters of base64
)

// NewID returns a new unique id of 21 characters: prefix (four characters of A-Z2-7), and 17 of base32 that carry the account as
// AWS's do.
func NewID(random io.Reader, prefix, account string) (string, error) {
	return newID(random, prefix, account, keyIDLength+1)
}

// NewAccessKeyID returns a new access key id of 20 characters: prefix (four characters of A-Z2-7, "AKIA" or "ASIA" unless
// configured otherwise), and 16 of base32 that carry the account (see AccountOf) and 39 random bits. So two of an account's ids may
// meet, once in about a million: who stores one must refuse an id that exists.
func NewAccessKeyID(random io.Reader, prefix, account string) (string, error) {
	return newID(random, prefix, account, keyIDLength)
}

func newID(random io.Reader, prefix, account string, length int) (string, error) {
	number, err := parseAccount(account)
	if err != nil {
		return "", err
	}
	if len(prefix) != prefixLength || !isBase32(prefix) {
		return "", fmt.Errorf("id prefix %q is not four characters of A-Z2-7", prefix)
	}
	var bits [15]byte // base32 works in groups of 5 bytes; what is too much is cut
	if _, err := io.ReadFull(random, bits[:]); err != nil {
		return "", fmt.Errorf("new id: %w", err)
	}
	chance := binary.BigEndian.Uint64(bits[:]) & (1<<chanceBits - 1)
	binary.BigEndian.PutUint64(bits[:], styleBit|number<<chanceBits|chance)
	var text [prefixLength + 24]byte
	copy(text[:], prefix)
	base32.StdEncoding.Encode(text[prefixLength:], bits[:])
	return string(text[:length]), nil
}

// AccountOf returns the 12 digits of the account that accessKeyID was made for, or ErrNoAccount. It tells nothing about whether
// the key exists.
func AccountOf(accessKeyID string) (string, error) {
	if len(accessKeyID) != keyIDLength || !isBase32(accessKeyID) {
		return "", ErrNoAccount
	}
	var bits [10]byte
	if _, err := base32.StdEncoding.Decode(bits[:], []byte(accessKeyID[prefixLength:])); err != nil {
		return "", ErrNoAccount
	}
	head := binary.BigEndian.Uint64(bits[:])
	number := head >> chanceBits & (1<<accountBits - 1)
	if head&styleBit == 0 || number >= accountLimit {
		return "", ErrNoAccount
	}
	return fmt.Sprintf("%012d", number), nil
}

// NewSecretKey returns a new random secret access key: 40 characters of base64, 240 bits.
func NewSecretKey(random io.Reader) (secret.String, error) {
	var key [secretKeyBytes]byte
	if _, err := io.ReadFull(random, key[:]); err != nil {
		return secret.String{}, fmt.Errorf("new secret access key: %w", err)
	}
	return secret.New(base64.StdEncoding.EncodeToString(key[:])), nil
}

func parseAccount(account string) (uint64, error) {
	number, err := strconv.ParseUint(account, 10, 64) // takes digits only: no sign, no underscore in base 10
	if len(account) != 12 || err != nil {
		return 0, fmt.Errorf("account %q is not 12 digits", account)
	}
	return number, nil
}

func isBase32(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < 'A' || c > 'Z') && (c < '2' || c > '7') {
			return false
		}
	}
	return true
}
