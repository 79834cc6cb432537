package policy

import (
	"strings"
	"unicode/utf8"
)

// pattern is a compiled text with wildcards and variables. Its shapes are ordered from the fast to the general.
type pattern struct {
	shape  shape
	text   string  // exact: the whole; prefixed: what comes before the star
	pieces []piece // general: what stands between the stars; one piece when there is no star
	slots  int     // number of variables
}

type shape uint8

const (
	exact    shape = iota
	anything       // *
	prefixed       // text*
	general
)

// piece is a run of tokens without a star.
type piece []token

// compile makes a pattern of tokens.
func compile(tokens []token) pattern {
	switch {
	case len(tokens) == 0:
		return pattern{shape: exact}
	case len(tokens) == 1 && tokens[0].kind == literal:
		return pattern{shape: exact, text: tokens[0].text}
	case len(tokens) == 1 && tokens[0].kind == star:
		return pattern{shape: anything}
	case len(tokens) == 2 && tokens[0].kind == literal && tokens[1].kind == star:
		return pattern{shape: prefixed, text: tokens[0].text}
	}
	p := pattern{shape: general}
	start := 0
	for i, t := range tokens {
		switch t.kind {
		case variable:
			p.slots++
		case star:
			p.pieces = append(p.pieces, tokens[start:i])
			start = i + 1
		}
	}
	p.pieces = append(p.pieces, tokens[start:])
	return p
}

// match reports whether s fits the pattern, with variables taken from ctx. A variable without a value fits nothing.
//
// It takes time linear in len(s) for pieces of literal text, and at most len(s) times the length of the pattern.
func (p *pattern) match(s string, ctx *Context) bool {
	switch p.shape {
	case exact:
		return s == p.text
	case anything:
		return true
	case prefixed:
		return strings.HasPrefix(s, p.text)
	}
	if p.slots == 0 {
		return matchPieces(p.pieces, s, nil)
	}
	var few [4]string
	values := few[:0]
	for _, piece := range p.pieces {
		for i := range piece {
			if piece[i].kind == variable {
				value, ok := piece[i].key.value(ctx)
				if !ok {
					return false
				}
				values = append(values, value)
			}
		}
	}
	return matchPieces(p.pieces, s, values)
}

// matchPieces anchors the first piece at the start and the last at the end, and finds each other piece at its leftmost place:
// with nothing but stars between, an earlier place never spoils a later piece, so there is no backtracking over pieces.
func matchPieces(pieces []piece, s string, values []string) bool {
	first, rest := pieces[0], pieces[1:]
	n, ok := first.matchStart(s, values)
	if !ok {
		return false
	}
	if len(rest) == 0 {
		return n == len(s)
	}
	s, values = s[n:], values[first.variables():]

	last := rest[len(rest)-1]
	n, ok = last.matchEnd(s, values[len(values)-last.variables():])
	if !ok {
		return false
	}
	s = s[:len(s)-n]

	for _, middle := range rest[:len(rest)-1] {
		n, ok := middle.find(s, values)
		if !ok {
			return false
		}
		s, values = s[n:], values[middle.variables():]
	}
	return true
}

func (pc piece) variables() int {
	n := 0
	for i := range pc {
		if pc[i].kind == variable {
			n++
		}
	}
	return n
}

// matchStart matches the piece at the start of s and returns how many bytes it took. values are those of the piece's
// variables and perhaps more.
func (pc piece) matchStart(s string, values []string) (int, bool) {
	rest := s
	for i := range pc {
		switch pc[i].kind {
		case question:
			if rest == "" {
				return 0, false
			}
			_, size := utf8.DecodeRuneInString(rest)
			rest = rest[size:]
			continue
		case literal:
			if !strings.HasPrefix(rest, pc[i].text) {
				return 0, false
			}
			rest = rest[len(pc[i].text):]
		case variable:
			if !strings.HasPrefix(rest, values[0]) {
				return 0, false
			}
			rest, values = rest[len(values[0]):], values[1:]
		}
	}
	return len(s) - len(rest), true
}

// matchEnd matches the piece at the end of s and returns how many bytes it took. values are those of the piece's variables.
func (pc piece) matchEnd(s string, values []string) (int, bool) {
	rest := s
	for i := len(pc) - 1; i >= 0; i-- {
		switch pc[i].kind {
		case question:
			if rest == "" {
				return 0, false
			}
			_, size := utf8.DecodeLastRuneInString(rest)
			rest = rest[:len(rest)-size]
		case literal:
			if !strings.HasSuffix(rest, pc[i].text) {
				return 0, false
			}
			rest = rest[:len(rest)-len(pc[i].text)]
		case variable:
			value := values[len(values)-1]
			if !strings.HasSuffix(rest, value) {
				return 0, false
			}
			rest, values = rest[:len(rest)-len(value)], values[:len(values)-1]
		}
	}
	return len(s) - len(rest), true
}

// find matches the piece at its leftmost place in s and returns how many bytes are used up with it.
func (pc piece) find(s string, values []string) (int, bool) {
	at := 0
	for ; len(pc) > 0 && pc[0].kind == question; pc = pc[1:] { // after a star, leading question marks only skip
		if at == len(s) {
			return 0, false
		}
		_, size := utf8.DecodeRuneInString(s[at:])
		at += size
	}
	if len(pc) == 1 && pc[0].kind == literal {
		found := strings.Index(s[at:], pc[0].text)
		return at + found + len(pc[0].text), found >= 0
	}
	for {
		if n, ok := pc.matchStart(s[at:], values); ok {
			return at + n, true
		}
		if at == len(s) {
			return 0, false
		}
		_, size := utf8.DecodeRuneInString(s[at:])
		at += size
	}
}

// Glob reports whether s fits pattern, in which * stands for any run of characters and ? for exactly one. It compares case,
// and takes time at most proportional to len(pattern) times len(s), however many stars there are.
func Glob(pattern, s string) bool {
	p := compile(tokenize(pattern, false, true))
	return p.match(s, nil)
}
