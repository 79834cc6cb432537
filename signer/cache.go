package signer

import (
	"fmt"
	"hash/maphash"
	"math/bits"
	"strings"
	"sync/atomic"
)

// cacheWays is how many places a token may take in the cache.
const cacheWays = 8

// tokenCache remembers verified tokens, without locks: a token's keyed hash picks a set of places, each of which points to an
// immutable entry. A hit takes the whole token, not only its hash. Nothing in it ends a token's life early or late: Verify
// compares the expiry, and an entry holds for one version of the ring only.
type tokenCache struct {
	seed   maphash.Seed
	places []atomic.Pointer[verifiedToken] // sets of cacheWays; their number is a power of two
	turn   atomic.Uint32                   // picks the place to give up
}

type verifiedToken struct {
	hash    uint64
	token   string
	version int64 // of the ring
	claims  *Claims
}

// newTokenCache makes a cache of at least size places.
func newTokenCache(size int) (*tokenCache, error) {
	if size < 1 || size > 1<<24 {
		return nil, fmt.Errorf("token cache size %d is outside 1 to %d", size, 1<<24)
	}
	sets := 1 << bits.Len(uint(size-1)/cacheWays)
	return &tokenCache{seed: maphash.MakeSeed(), places: make([]atomic.Pointer[verifiedToken], sets*cacheWays)}, nil
}

// get returns the claims of a token that was verified under that version of the ring, or nil.
func (t *tokenCache) get(token string, version int64) *Claims {
	hash := maphash.String(t.seed, token)
	set := t.set(hash)
	for i := range set {
		if v := set[i].Load(); v != nil && v.hash == hash && v.version == version && v.token == token {
			return v.claims
		}
	}
	return nil
}

// put remembers a token, at the cost of a free place, one of an older ring, or any of its set.
func (t *tokenCache) put(token string, version int64, claims *Claims) {
	hash := maphash.String(t.seed, token)
	set := t.set(hash)
	place := &set[t.turn.Add(1)%cacheWays]
	for i := range set {
		if v := set[i].Load(); v == nil || v.version < version {
			place = &set[i]
			break
		}
	}
	// The clone does not keep the request alive of which token is a part.
	place.Store(&verifiedToken{hash: hash, token: strings.Clone(token), version: version, claims: claims})
}

func (t *tokenCache) set(hash uint64) []atomic.Pointer[verifiedToken] {
	first := int(hash%uint64(len(t.places)/cacheWays)) * cacheWays
	return t.places[first : first+cacheWays]
}
