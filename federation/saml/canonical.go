package saml

import (
	"io"
	"slices"
	"strings"
)

// maxCanonical bounds the canonical form. A long name space that every element declares anew would make it larger than the document by
// far, before anything is proven.
const maxCanonical = 1 << 20

// maxPrefixes bounds a PrefixList.
const maxPrefixes = 16

// canonicalizer writes exclusive canonical XML without comments (W3C Exclusive XML Canonicalization 1.0, section 3).
type canonicalizer struct {
	out       io.Writer
	inclusive []string // prefixes that are treated as in inclusive canonicalization; "" is the default name space
	omit      *node    // the enveloped signature; nil: none
	rendered  []declaration
	buf       []byte
	written   int
	tooLarge  bool
}

// canonicalize writes n's canonical form. It fails on a form larger than maxCanonical.
func canonicalize(out io.Writer, n, omit *node, inclusive []string) error {
	c := &canonicalizer{out: out, inclusive: inclusive, omit: omit, buf: make([]byte, 0, 4096)}
	c.element(n)
	c.flush()
	if c.tooLarge {
		return malformed("canonical form is too large")
	}
	return nil
}

func (c *canonicalizer) flush() {
	if c.written += len(c.buf); c.written > maxCanonical {
		c.tooLarge = true
	} else {
		_, _ = c.out.Write(c.buf) // a hash or a buffer: neither fails
	}
	c.buf = c.buf[:0]
}

func (c *canonicalizer) element(n *node) {
	if c.tooLarge {
		return
	}
	c.buf = append(c.buf, '<')
	c.name(n.prefix, n.local)
	outer := len(c.rendered)
	c.namespaces(n)
	c.attributes(n)
	c.buf = append(c.buf, '>')
	for _, k := range n.kids {
		switch {
		case k == c.omit:
		case k.local == "":
			c.buf = appendText(c.buf, k.text)
		default:
			c.element(k)
		}
		if len(c.buf) > 4000 {
			c.flush()
		}
	}
	c.buf = append(c.buf, '<', '/')
	c.name(n.prefix, n.local)
	c.buf = append(c.buf, '>')
	c.rendered = c.rendered[:outer]
}

func (c *canonicalizer) name(prefix, local string) {
	if prefix != "" {
		c.buf = append(c.buf, prefix...)
		c.buf = append(c.buf, ':')
	}
	c.buf = append(c.buf, local...)
}

// namespaces writes the declarations that n needs and no ancestor in the output has: those of the prefixes that it visibly uses and those
// of the inclusive prefixes.
func (c *canonicalizer) namespaces(n *node) {
	var room [8]declaration
	fresh := room[:0]
	add := func(prefix string) {
		uri, ok := n.lookup(prefix)
		if !ok || prefix == "xml" || c.current(prefix) == uri ||
			slices.ContainsFunc(fresh, func(d declaration) bool { return d.prefix == prefix }) {
			return
		}
		fresh = append(fresh, declaration{prefix, uri})
	}
	add(n.prefix)
	for i := range n.attrs {
		if p := n.attrs[i].prefix; p != "" {
			add(p)
		}
	}
	for _, p := range c.inclusive {
		add(p)
	}
	slices.SortFunc(fresh, func(a, b declaration) int { return strings.Compare(a.prefix, b.prefix) })
	for _, d := range fresh {
		c.buf = append(c.buf, " xmlns"...)
		if d.prefix != "" {
			c.buf = append(c.buf, ':')
			c.buf = append(c.buf, d.prefix...)
		}
		c.buf = append(c.buf, '=', '"')
		c.buf = appendValue(c.buf, d.uri)
		c.buf = append(c.buf, '"')
	}
	c.rendered = append(c.rendered, fresh...)
}

// current is what the output binds a prefix to so far; no prefix is ever bound to "".
func (c *canonicalizer) current(prefix string) string {
	for i := len(c.rendered) - 1; i >= 0; i-- {
		if c.rendered[i].prefix == prefix {
			return c.rendered[i].uri
		}
	}
	return ""
}

// attributes writes n's attributes in order of name space and name.
func (c *canonicalizer) attributes(n *node) {
	attrs := n.attrs
	if len(attrs) > 1 {
		var room [8]attribute
		attrs = append(room[:0], attrs...)
		slices.SortFunc(attrs, func(a, b attribute) int {
			if by := strings.Compare(a.space, b.space); by != 0 {
				return by
			}
			return strings.Compare(a.local, b.local)
		})
	}
	for i := range attrs {
		c.buf = append(c.buf, ' ')
		c.name(attrs[i].prefix, attrs[i].local)
		c.buf = append(c.buf, '=', '"')
		c.buf = appendValue(c.buf, attrs[i].value)
		c.buf = append(c.buf, '"')
	}
}

func appendText(buf []byte, s string) []byte {
	from := 0
	for i := range len(s) {
		if e := textEscapes[s[i]]; e != "" {
			buf, from = append(append(buf, s[from:i]...), e...), i+1
		}
	}
	return append(buf, s[from:]...)
}

func appendValue(buf []byte, s string) []byte {
	from := 0
	for i := range len(s) {
		if e := valueEscapes[s[i]]; e != "" {
			buf, from = append(append(buf, s[from:i]...), e...), i+1
		}
	}
	return append(buf, s[from:]...)
}

// What characters are written as (W3C Canonical XML 1.0, section 2.3); empty: as they are.
var (
	textEscapes  = [256]string{'&': "&amp;", '<': "&lt;", '>': "&gt;", '\r': "&#xD;"}
	valueEscapes = [256]string{'&': "&amp;", '<': "&lt;", '"': "&quot;", '\t': "&#x9;", '\n': "&#xA;", '\r': "&#xD;"}
)
