package policy

import "strings"

// lower is the lower-case form of an ASCII letter; other bytes stay.
func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// foldASCII lower-cases ASCII letters only.
func foldASCII(s string) string {
	for i := range len(s) {
		if lower(s[i]) != s[i] {
			b := []byte(s)
			for j := range b {
				b[j] = lower(b[j])
			}
			return string(b)
		}
	}
	return s
}

// equalFoldASCII compares ignoring the case of ASCII letters.
func equalFoldASCII(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	if a == b { // most clients and policies spell names as AWS does
		return true
	}
	for i := range len(a) {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

// hashFold is the FNV-1a hash of s in lower case (ASCII).
func hashFold(s string) uint32 {
	h := uint32(2166136261)
	for i := range len(s) {
		h = (h ^ uint32(lower(s[i]))) * 16777619
	}
	return h
}

// contextKey is a condition key prepared for comparison that ignores case.
type contextKey struct {
	name   string // as spelled
	folded string // name, or its lower-case form when it holds more than ASCII; compare with equalFoldASCII
	hash   uint32
}

func newContextKey(name string) contextKey {
	folded := name
	for i := range len(name) {
		if name[i] >= 0x80 { // tag keys may hold letters of any script
			folded = strings.ToLower(name)
			break
		}
	}
	return contextKey{name: name, folded: folded, hash: hashFold(folded)}
}

func (k *contextKey) equal(other *contextKey) bool {
	return k.hash == other.hash && equalFoldASCII(k.folded, other.folded)
}

// SameKey reports whether two condition keys, or two tag keys, are one key: they ignore case as a Context does. Nothing else
// may be used to tell whether a tag overrides another, or the two would disagree about letters such as U+0130.
func SameKey(a, b string) bool {
	return equalFoldASCII(newContextKey(a).folded, newContextKey(b).folded)
}
