package policy

import "strings"

// actionSet is an Action or NotAction element. Actions compare ignoring case and hold no variables.
type actionSet struct {
	negated  bool     // NotAction
	all      bool     // *
	texts    []string // as written
	services uint64
	hashes   []uint32 // hashFold of exact[i]
	exact    []string
	patterns []string // with wildcards
}

// everyService is the mask of an element that can concern any service.
const everyService = ^uint64(0)

// serviceBit maps a service prefix to one of 64 bits. A statement whose mask lacks the bit of the requested service cannot
// match and is skipped by one instruction.
func serviceBit(action string) uint64 {
	service, _, _ := strings.Cut(action, ":")
	return 1 << (hashFold(service) % 64)
}

// newActionSet compiles action texts that were validated.
func newActionSet(actions []string, negated bool) actionSet {
	set := actionSet{negated: negated, texts: actions}
	for _, a := range actions {
		switch {
		case a == "*":
			set.all = true
		case strings.ContainsAny(a, "*?"):
			set.patterns = append(set.patterns, a)
		default:
			set.hashes = append(set.hashes, hashFold(a))
			set.exact = append(set.exact, a)
		}
		set.services |= serviceBit(a)
	}
	if negated || set.all {
		set.services = everyService
	}
	return set
}

// match reports whether the element covers action, whose hashFold is hash.
func (s *actionSet) match(action string, hash uint32) bool {
	return s.listed(action, hash) != s.negated
}

func (s *actionSet) listed(action string, hash uint32) bool {
	if s.all {
		return true
	}
	for i, h := range s.hashes {
		if h == hash && equalFoldASCII(s.exact[i], action) {
			return true
		}
	}
	for _, p := range s.patterns {
		if globFold(p, action) {
			return true
		}
	}
	return false
}

// globFold is the wildcard match of actions: ASCII letters ignore case. It remembers only the last star, which is enough for
// a right answer and keeps the time within len(pattern) times len(s).
func globFold(pattern, s string) bool {
	p, i := 0, 0
	starAt, resume := -1, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			starAt, resume = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || lower(pattern[p]) == lower(s[i])):
			p++
			i++
		case starAt >= 0:
			resume++
			p, i = starAt+1, resume
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}
