package redis

import (
	"crypto/sha256"
	"encoding/base64"
	"hash/fnv"
	"strconv"
	"time"

	"github.com/stint-sts/stint/session"
)

// What is in Redis, with P the prefix of Config and {T} one of 64 hash tags:
//
//	key        type        holds                                        ends
//	P{T}r:E    hash        by access key id, records (without it) of    a minute after instant E
//	                       the sessions with tag T that end in the ten
//	                       minutes (two hours for long ones) before
//	                       instant E
//	P{T}i:E    sorted set  keys of the same sessions; all scores are 0  a minute after instant E
//	P{T}g:H    string      guard: a name with hash H is consumed        when the name may pass again
//	P{T}t:H    hash        throttle: n failures under a name with hash  a day after wait and
//	                       H; until u, milliseconds, no more attempts   last attempt
//	P{T}v:H    string      value under a name with hash H               with the value
//	P{T}ping   string      that Ping could write                        after a second
//	P{T}birth  string      since when nothing was lost, milliseconds,   never
//	                       0: ever; and by which run of Redis (guard.go)
//
// T comes from the access key id, or for a guard, a throttle or a value from the hash of its name. So all keys of one write share a
// slot of a cluster, and the load spreads evenly however few accounts and roles there are. A session is a member of one sorted set, in which
// Account/EntityID/AccessKeyID sorts it: List of an account or an entity is a range of each set. The sets of an entity would be many
// and small: an empty Redis key costs more than a member; so does a key for each record, with its own end, which is why records are fields.
// E splits both by time, so that they never need pruning: they end at once when their last session has. Until then a record that has ended
// may be there; its own end counts. Get, which is rare, asks for every E there may be.
const tagCount = 64

// tag is a hash tag, 0 to 63. In a cluster each tag is one slot, hence one node.
type tag uint8

func tagOf(name string) tag {
	h := fnv.New32a()
	_, _ = h.Write([]byte(name))
	sum := h.Sum32()
	return tag((sum ^ sum>>16) % tagCount)
}

func (t tag) key(prefix, kind, name string) string {
	b := make([]byte, 0, 64)
	b = append(b, prefix...)
	b = append(b, '{', '0'+byte(t)/10, '0'+byte(t)%10, '}')
	b = append(b, kind...)
	return string(append(b, name...))
}

// The kinds of key.
const (
	recordKind = "r:"
	indexKind  = "i:"
	guardKind  = "g:"
	waitKind   = "t:"
	valueKind  = "v:"
	pingKind   = "ping"
	birthKind  = "birth"
)

// hashOf is a foreign name in a key: of fixed size whatever the name; a second preimage takes 2^128 tries.
func hashOf(name string) string {
	sum := sha256.Sum256([]byte(name))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

const (
	shortSpan = 10 * time.Minute // of an index set for sessions that end within an hour
	longSpan  = 2 * time.Hour    // for the others; a multiple of shortSpan
	shortLife = time.Hour

	// indexGrace is how long an index set outlives its last session, for clocks that differ.
	indexGrace = time.Minute
)

// indexEnd returns the end of the index set for a session that ends at expires.
func indexEnd(now, expires time.Time) time.Time {
	if expires.Sub(now) <= shortLife {
		return roundUp(expires, shortSpan)
	}
	return roundUp(expires, longSpan)
}

// indexEnds returns the ends of all sets that may hold live sessions, for nodes whose clocks differ by at most shortSpan.
func indexEnds(now time.Time) (ends []time.Time) {
	for end := roundUp(now, shortSpan); !end.After(now.Add(shortLife + 2*shortSpan)); end = end.Add(shortSpan) {
		ends = append(ends, end)
	}
	last := ends[len(ends)-1]
	for end := roundUp(last.Add(1), longSpan); !end.After(now.Add(session.MaxLifetime + longSpan + shortSpan)); end = end.Add(longSpan) {
		ends = append(ends, end)
	}
	return ends
}

func roundUp(t time.Time, span time.Duration) time.Time {
	down := t.Truncate(span)
	if down.Equal(t) {
		return t
	}
	return down.Add(span)
}

func indexName(end time.Time) string {
	return strconv.FormatInt(end.Unix()/int64(shortSpan/time.Second), 36)
}
