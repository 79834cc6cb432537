package sigv4

import (
	"crypto/subtle"
	"strings"
	"sync"

	"github.com/stint-sts/stint/secret"
)

// keyCache holds derived SigV4 signing keys. It has two generations: when the young one is full it becomes the old one,
// and what the old one held and nobody asked for is forgotten. It never holds more than twice its generation.
type keyCache struct {
	generation int // entries

	mu         sync.RWMutex
	young, old map[cacheKey]*cachedKey
}

type cacheKey struct{ accessKeyID, date, region, service string }

// cachedKey is a signing key with the secret that it was derived from: an access key id whose secret changed must not
// match what is cached under the old one.
type cachedKey struct {
	secret secret.String
	key    [32]byte
}

func newKeyCache(size int) *keyCache {
	return &keyCache{generation: max(1, size/2), young: map[cacheKey]*cachedKey{}}
}

func (m *Material) cacheKey() cacheKey { return cacheKey{m.AccessKeyID, m.Date, m.Region, m.Service} }

// get returns the signing key for m under secretKey, if it is cached.
func (c *keyCache) get(m *Material, secretKey secret.String) (key [32]byte, ok bool) {
	k := m.cacheKey()
	c.mu.RLock()
	entry, young := c.young[k]
	if !young {
		entry = c.old[k]
	}
	c.mu.RUnlock()
	if entry == nil || !equal(entry.secret.Reveal(), secretKey.Reveal()) {
		return key, false
	}
	if !young {
		c.put(k, entry)
	}
	return entry.key, true
}

// add caches a signing key that has verified a request: a caller who cannot sign cannot fill the cache.
func (c *keyCache) add(m *Material, secretKey secret.String, key [32]byte) {
	// The parts of m would keep the whole header alive.
	k := cacheKey{strings.Clone(m.AccessKeyID), strings.Clone(m.Date), strings.Clone(m.Region), strings.Clone(m.Service)}
	c.put(k, &cachedKey{secret: secretKey, key: key})
}

func (c *keyCache) put(k cacheKey, entry *cachedKey) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, replace := c.young[k]; !replace && len(c.young) >= c.generation {
		c.old, c.young = c.young, make(map[cacheKey]*cachedKey, c.generation)
	}
	c.young[k] = entry
}

// equal compares in time that depends only on lengths, and unlike secret.String.Equal without allocating.
func equal(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	var difference byte
	for i := range len(a) {
		difference |= a[i] ^ b[i]
	}
	return subtle.ConstantTimeByteEq(difference, 0) == 1
}
