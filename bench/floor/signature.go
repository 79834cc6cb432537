package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"sync/atomic"
)

type accessKey struct{ id, secret string }

// signatureCheck is the least that Signature Version 4 takes (AWS General Reference, "Create a signed AWS API request"): two hashes
// and, with the signing key of the day cached, one MAC. It knows the header form only and no limit on the request's time.
type signatureCheck struct {
	key    accessKey
	cached atomic.Pointer[signingKey]
}

// signingKey is the key derived for a credential scope.
type signingKey struct {
	scope string // DATE/REGION/SERVICE/aws4_request
	key   []byte
}

func newSignatureCheck(key accessKey) *signatureCheck { return &signatureCheck{key: key} }

func (c *signatureCheck) accepts(r *http.Request, body []byte) bool {
	rest, ok := strings.CutPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 Credential=")
	id, rest, _ := strings.Cut(rest, "/")
	scope, rest, _ := strings.Cut(rest, ", SignedHeaders=")
	signed, signature, _ := strings.Cut(rest, ", Signature=")
	if !ok || id != c.key.id {
		return false
	}
	canonical := sha256.Sum256(canonicalRequest(make([]byte, 0, 3072), r, signed, body))
	text := make([]byte, 0, 256)
	text = append(text, "AWS4-HMAC-SHA256\n"...)
	text = append(text, r.Header.Get("X-Amz-Date")...)
	text = append(append(append(text, '\n'), scope...), '\n')
	text = hex.AppendEncode(text, canonical[:])
	want := hex.AppendEncode(nil, sign(c.signingKey(scope), text))
	return hmac.Equal(want, []byte(signature))
}

func canonicalRequest(b []byte, r *http.Request, signed string, body []byte) []byte {
	b = append(append(b, r.Method...), '\n')
	b = append(append(b, r.URL.Path...), '\n')
	b = append(append(b, r.URL.RawQuery...), '\n')
	for name := range strings.SplitSeq(signed, ";") {
		value := r.Host
		if name != "host" {
			value = r.Header.Get(name)
		}
		b = append(append(append(append(b, name...), ':'), value...), '\n')
	}
	b = append(append(append(b, '\n'), signed...), '\n')
	sum := sha256.Sum256(body)
	return hex.AppendEncode(b, sum[:])
}

// signingKey derives the key of a scope, unless it is the scope of the call before.
func (c *signatureCheck) signingKey(scope string) []byte {
	if cached := c.cached.Load(); cached != nil && cached.scope == scope {
		return cached.key
	}
	key := []byte("AWS4" + c.key.secret)
	for part := range strings.SplitSeq(scope, "/") {
		key = sign(key, []byte(part))
	}
	c.cached.Store(&signingKey{strings.Clone(scope), key})
	return key
}

func sign(key, text []byte) []byte {
	mac := hmac.New(sha256.New, key)
	_, _ = mac.Write(text) // never fails (hash.Hash)
	return mac.Sum(nil)
}
