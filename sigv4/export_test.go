package sigv4

import (
	"crypto/sha256"
	"encoding/hex"
)

// CanonicalRequest and StringToSign return what Verify computes for r, or "" when there is none.
func CanonicalRequest(r *Request, m *Material) string {
	s := new(scratch)
	sum := sha256.Sum256(r.Body)
	if !s.canonicalRequest(r, r.Host, m.SignedHeaders, hex.AppendEncode(nil, sum[:])) {
		return ""
	}
	return string(s.canonical)
}

func StringToSign(r *Request, m *Material) string {
	s := new(scratch)
	s.canonical = []byte(CanonicalRequest(r, m))
	s.sign(new([32]byte), m.timestamp, m.Date, m.Region, m.Service)
	return string(s.canonical)
}

// CanonicalPath, CanonicalQuery and CanonicalHeaderValue are the three canonicalisers.
func CanonicalPath(path string) string { return string(appendPath(nil, path)) }

func CanonicalQuery(raw string) (string, bool) {
	b, ok := new(scratch).appendQuery(nil, raw)
	return string(b), ok
}

func CanonicalHeaderValue(value string) string { return string(appendHeaderValue(nil, value)) }

// HMAC is the package's own HMAC-SHA-256.
func HMAC(key, message []byte) [32]byte { return hmacSHA256(new(scratch), key, message) }

// SigningKey is the uncached derivation.
func SigningKey(secretAccessKey, date, region, service string) [32]byte {
	return new(scratch).signingKey(secretAccessKey, date, region, service)
}

// CachedKeys returns how many signing keys v holds.
func (v *Verifier) CachedKeys() int {
	v.keys.mu.RLock()
	defer v.keys.mu.RUnlock()
	return len(v.keys.young) + len(v.keys.old)
}
