package sigv4

import (
	"crypto/sha256"
	"encoding/hex"
)

// signingKey derives the SigV4 signing key of a secret access key for a credential scope.
func (s *scratch) signingKey(secretAccessKey, date, region, service string) [32]byte {
	var space [64]byte
	first := append(append(space[:0], "AWS4"...), secretAccessKey...)
	key := hmacSHA256(s, first, date)
	key = hmacSHA256(s, key[:], region)
	key = hmacSHA256(s, key[:], service)
	key = hmacSHA256(s, key[:], terminator)
	clear(first)
	clear(s.mac)
	return key
}

// hmacSHA256 is HMAC-SHA-256 (RFC 2104). crypto/hmac would allocate two digests for each key; this one works in s.mac.
func hmacSHA256[T string | []byte](s *scratch, key []byte, message T) [32]byte {
	var block [sha256.BlockSize]byte
	if len(key) > len(block) {
		sum := sha256.Sum256(key)
		copy(block[:], sum[:])
	} else {
		copy(block[:], key)
	}
	for i := range block {
		block[i] ^= 0x36
	}
	s.mac = append(append(s.mac[:0], block[:]...), message...)
	inner := sha256.Sum256(s.mac)
	for i := range block {
		block[i] ^= 0x36 ^ 0x5c
	}
	var outer [sha256.BlockSize + sha256.Size]byte
	copy(outer[:], block[:])
	copy(outer[sha256.BlockSize:], inner[:])
	return sha256.Sum256(outer[:])
}

// sign returns the signature of the canonical request in s.canonical, which it replaces by the string to sign.
func (s *scratch) sign(key *[32]byte, timestamp, date, region, service string) [32]byte {
	hash := sha256.Sum256(s.canonical)
	b := append(s.canonical[:0], algorithm...)
	b = append(b, '\n')
	b = append(b, timestamp...)
	b = append(b, '\n')
	b = appendScope(b, date, region, service)
	b = append(b, '\n')
	s.canonical = hex.AppendEncode(b, hash[:])
	return hmacSHA256(s, key[:], s.canonical)
}

func appendScope(b []byte, date, region, service string) []byte {
	for _, element := range [...]string{date, region, service} {
		b = append(b, element...)
		b = append(b, '/')
	}
	return append(b, terminator...)
}
