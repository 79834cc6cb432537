package saml

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Bounds of a document. A response with hundreds of attribute values stays far below them.
const (
	maxDepth      = 64
	maxElements   = 8192
	maxAttributes = 64 // of one element, name space declarations included
)

const (
	xmlNamespace   = "http://www.w3.org/XML/1998/namespace"
	xmlnsNamespace = "http://www.w3.org/2000/xmlns/"
)

// node is an element, or a run of character data when local is empty. The tree is the canonical one: adjacent character data is one
// node, references are resolved, line ends and attribute values are normalized (XML 1.0, 2.11 and 3.3.3).
type node struct {
	parent *node
	prefix string
	local  string
	space  string // name space URI
	text   string // of character data
	attrs  []attribute
	scope  []declaration // name spaces that the element itself declares
	kids   []*node
}

type attribute struct{ prefix, local, space, value string }

// declaration binds a prefix, "" being the default, to a name space.
type declaration struct{ prefix, uri string }

// is compares by name space, never by prefix.
func (n *node) is(space, local string) bool {
	return n.local == local && n.space == space && local != ""
}

// elements returns the child elements of that name.
func (n *node) elements(space, local string) []*node {
	var found []*node
	for _, k := range n.kids {
		if k.is(space, local) {
			found = append(found, k)
		}
	}
	return found
}

// one returns the only child element of that name.
func (n *node) one(space, local string) (*node, error) {
	k, err := n.optional(space, local)
	if err == nil && k == nil {
		return nil, malformed("no " + local + " in " + n.local)
	}
	return k, err
}

// optional returns the only child element of that name, or nil if there is none. Several are an error.
func (n *node) optional(space, local string) (*node, error) {
	switch found := n.elements(space, local); len(found) {
	case 0:
		return nil, nil
	case 1:
		return found[0], nil
	default:
		return nil, malformed("several " + local + " in " + n.local)
	}
}

// attr returns the value of an attribute without a prefix.
func (n *node) attr(local string) (string, bool) {
	for i := range n.attrs {
		if a := &n.attrs[i]; a.local == local && a.space == "" {
			return a.value, true
		}
	}
	return "", false
}

// value is all of the character data of an element, which has no child elements.
func (n *node) value() (string, error) {
	switch {
	case len(n.kids) == 0:
		return "", nil
	case len(n.kids) > 1 || n.kids[0].local != "":
		return "", malformed(n.local + " holds elements, not text")
	}
	return n.kids[0].text, nil
}

// lookup returns the name space that a prefix is bound to at n; ok is false when it is bound to none. The default is bound to "".
func (n *node) lookup(prefix string) (uri string, ok bool) {
	if prefix == "xml" {
		return xmlNamespace, true
	}
	for ; n != nil; n = n.parent {
		for i := range n.scope {
			if n.scope[i].prefix == prefix {
				return n.scope[i].uri, true
			}
		}
	}
	return "", prefix == ""
}

// walk calls f for every element below n, and n.
func (n *node) walk(f func(*node) error) error {
	if n.local == "" {
		return nil
	}
	if err := f(n); err != nil {
		return err
	}
	for _, k := range n.kids {
		if err := k.walk(f); err != nil {
			return err
		}
	}
	return nil
}

// parser reads a document into a tree. The language is XML 1.0 with Namespaces, less what SAML has no use for.
type parser struct {
	src      string
	pos      int
	elements int
	lenient  bool // skips comments and processing instructions, which metadata files have
	room     []node
}

// parse reads a whole document. Name spaces in force at context, which may be nil, are in force in the document: a decrypted element
// stands where its ciphertext stood.
func parse(src string, context *node, lenient bool) (*node, error) {
	if !utf8.ValidString(src) {
		return nil, malformed("not UTF-8")
	}
	p := &parser{src: src, lenient: lenient}
	if err := p.declaration(); err != nil {
		return nil, err
	}
	if err := p.misc(); err != nil {
		return nil, err
	}
	root, err := p.element(context, 1)
	if err != nil {
		return nil, err
	}
	if err := p.misc(); err != nil {
		return nil, err
	}
	if p.pos != len(p.src) {
		return nil, p.fault("content after the document element")
	}
	return root, nil
}

// node makes a node. Nodes are made by the dozen: a response has a hundred, and they live and die together.
func (p *parser) node(parent *node) *node {
	if len(p.room) == 0 {
		p.room = make([]node, 32)
	}
	n := &p.room[0]
	p.room, n.parent = p.room[1:], parent
	return n
}

func (p *parser) fault(reason string) error {
	return malformed(fmt.Sprintf("%s at byte %d", reason, p.pos))
}

func (p *parser) peek(s string) bool { return strings.HasPrefix(p.src[p.pos:], s) }

func (p *parser) take(s string) bool {
	if !p.peek(s) {
		return false
	}
	p.pos += len(s)
	return true
}

func (p *parser) space() bool {
	from := p.pos
	for p.pos < len(p.src) && isSpace(p.src[p.pos]) {
		p.pos++
	}
	return p.pos > from
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// declaration reads an XML declaration, if there is one. Only UTF-8 and version 1.0 pass.
func (p *parser) declaration() error {
	if !p.peek("<?xml") || len(p.src) < 6 || !isSpace(p.src[5]) {
		return nil
	}
	end := strings.Index(p.src, "?>")
	if end < 0 || end > 200 {
		return p.fault("XML declaration without an end")
	}
	fields := strings.Fields(p.src[len("<?xml"):end])
	for i, f := range fields {
		name, quoted, _ := strings.Cut(f, "=")
		value := strings.ToLower(strings.Trim(quoted, `"'`))
		switch {
		case i == 0 && name == "version" && value == "1.0":
		case i > 0 && name == "encoding" && value == "utf-8":
		case i > 0 && name == "standalone" && (value == "yes" || value == "no"):
		default:
			return p.fault("XML declaration other than of UTF-8")
		}
	}
	if len(fields) == 0 {
		return p.fault("XML declaration without a version")
	}
	p.pos = end + len("?>")
	return nil
}

// misc skips what may stand around the document element.
func (p *parser) misc() error {
	for {
		p.space()
		skipped, err := p.skip()
		if err != nil || !skipped {
			return err
		}
	}
}

// skip passes over a comment or processing instruction if the parser is lenient, and refuses it otherwise.
func (p *parser) skip() (bool, error) {
	var end string
	switch {
	case p.peek("<!--"):
		end = "-->"
	case p.peek("<?"):
		end = "?>"
	default:
		return false, nil
	}
	if !p.lenient {
		return false, p.fault("comment or processing instruction")
	}
	length := strings.Index(p.src[p.pos+2:], end)
	if length < 0 {
		return false, p.fault("comment or processing instruction without an end")
	}
	p.pos += 2 + length + len(end)
	return true, nil
}

// element reads an element with all that it holds.
func (p *parser) element(parent *node, depth int) (*node, error) {
	if depth > maxDepth {
		return nil, p.fault("elements nest too deep")
	}
	if p.elements++; p.elements > maxElements {
		return nil, p.fault("too many elements")
	}
	if !p.take("<") {
		return nil, p.fault("no element")
	}
	n := p.node(parent)
	var err error
	if n.prefix, n.local, err = p.qualified(); err != nil {
		return nil, err
	}
	if err := p.attributes(n); err != nil {
		return nil, err
	}
	if p.take("/>") {
		return n, nil
	}
	if !p.take(">") {
		return nil, p.fault("start tag without an end")
	}
	if err := p.content(n, depth); err != nil {
		return nil, err
	}
	prefix, local, err := p.qualified()
	if err != nil {
		return nil, err
	}
	p.space()
	if prefix != n.prefix || local != n.local || !p.take(">") {
		return nil, p.fault("end tag does not match")
	}
	return n, nil
}

// attributes reads what follows the name in a start tag, and resolves its prefixes.
func (p *parser) attributes(n *node) error {
	for count := 0; ; count++ {
		separated := p.space()
		if p.pos == len(p.src) || p.src[p.pos] == '>' || p.src[p.pos] == '/' {
			break
		}
		if !separated {
			return p.fault("attributes run together")
		}
		if count == maxAttributes {
			return p.fault("too many attributes")
		}
		prefix, local, err := p.qualified()
		if err != nil {
			return err
		}
		p.space()
		if !p.take("=") {
			return p.fault("attribute without a value")
		}
		p.space()
		value, err := p.quoted()
		if err != nil {
			return err
		}
		if prefix == "xmlns" || prefix == "" && local == "xmlns" {
			if err := p.declare(n, prefix, local, value); err != nil {
				return err
			}
			continue
		}
		n.attrs = append(n.attrs, attribute{prefix: prefix, local: local, value: value})
	}
	return p.resolve(n)
}

// declare notes a declaration of a name space (Namespaces in XML 1.0, section 3).
func (p *parser) declare(n *node, prefix, local, uri string) error {
	if prefix == "" {
		local = ""
	}
	for _, d := range n.scope {
		if d.prefix == local {
			return p.fault("name space declared twice")
		}
	}
	switch {
	case local == "xmlns", uri == xmlnsNamespace, (local == "xml") != (uri == xmlNamespace), prefix != "" && uri == "":
		return p.fault("reserved name space")
	case local == "xml":
		return nil // says what is so anyway
	}
	n.scope = append(n.scope, declaration{local, uri})
	return nil
}

func (p *parser) resolve(n *node) error {
	var ok bool
	if n.space, ok = n.lookup(n.prefix); !ok {
		return p.fault("prefix without a name space")
	}
	for i := range n.attrs {
		a := &n.attrs[i]
		if a.prefix != "" {
			if a.space, ok = n.lookup(a.prefix); !ok {
				return p.fault("prefix without a name space")
			}
		}
		for _, earlier := range n.attrs[:i] {
			if earlier.local == a.local && earlier.space == a.space {
				return p.fault("attribute given twice")
			}
		}
	}
	return nil
}

// content reads up to and with the "</" that ends n.
func (p *parser) content(n *node, depth int) error {
	text := ""
	flush := func() {
		if text != "" {
			k := p.node(n)
			k.text, text = text, ""
			n.kids = append(n.kids, k)
		}
	}
	for {
		switch {
		case p.pos == len(p.src):
			return p.fault("element without an end")
		case p.take("</"):
			flush()
			return nil
		case p.take("<![CDATA["):
			end := strings.Index(p.src[p.pos:], "]]>")
			if end < 0 {
				return p.fault("CDATA without an end")
			}
			more, err := p.characters(p.pos+end, false, false)
			if err != nil {
				return err
			}
			text += more
			p.pos += len("]]>")
		case p.src[p.pos] == '<':
			if skipped, err := p.skip(); err != nil || skipped {
				if err != nil {
					return err
				}
				continue
			}
			flush()
			kid, err := p.element(n, depth+1)
			if err != nil {
				return err
			}
			n.kids = append(n.kids, kid)
		default:
			end := strings.IndexByte(p.src[p.pos:], '<')
			if end < 0 {
				return p.fault("element without an end")
			}
			if strings.Contains(p.src[p.pos:p.pos+end], "]]>") {
				return p.fault("]]> in text")
			}
			more, err := p.characters(p.pos+end, true, false)
			if err != nil {
				return err
			}
			text += more
		}
	}
}

// quoted reads an attribute's value.
func (p *parser) quoted() (string, error) {
	if p.pos == len(p.src) || p.src[p.pos] != '"' && p.src[p.pos] != '\'' {
		return "", p.fault("value without quotes")
	}
	quote := p.src[p.pos]
	p.pos++
	end := strings.IndexByte(p.src[p.pos:], quote)
	if end < 0 || strings.IndexByte(p.src[p.pos:p.pos+end], '<') >= 0 {
		return "", p.fault("value without an end")
	}
	value, err := p.characters(p.pos+end, true, true)
	p.pos++
	return value, err
}

// characters reads up to end. Line ends become \n; in an attribute's value white space becomes blanks.
func (p *parser) characters(end int, references, inAttribute bool) (string, error) {
	if s := p.src[p.pos:end]; stands(s, inAttribute) {
		p.pos = end
		return s, nil
	}
	var out strings.Builder
	for p.pos < end {
		r, size := utf8.DecodeRuneInString(p.src[p.pos:end])
		switch {
		case r == '&' && references:
			if err := p.reference(&out, end); err != nil {
				return "", err
			}
			continue
		case r == '\r':
			if p.pos+1 < end && p.src[p.pos+1] == '\n' {
				p.pos++
			}
			r = '\n'
		case !isChar(r):
			return "", p.fault("forbidden character")
		}
		if inAttribute && (r == '\n' || r == '\t') {
			r = ' '
		}
		out.WriteRune(r)
		p.pos += size
	}
	return out.String(), nil
}

// stands reports whether characters mean what they look like, as most do: there is nothing to copy then.
func stands(s string, inAttribute bool) bool {
	for _, c := range []byte(s) {
		if c < ' ' && (inAttribute || c != '\n' && c != '\t') || c == '&' || c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// reference reads a character reference or one of the five predefined entities. There are no others without a document type.
func (p *parser) reference(out *strings.Builder, end int) error {
	length := strings.IndexByte(p.src[p.pos:end], ';')
	if length < 0 || length > len("&#x10FFFF") {
		return p.fault("reference without an end")
	}
	name := p.src[p.pos+1 : p.pos+length]
	var r rune
	switch name {
	case "lt":
		r = '<'
	case "gt":
		r = '>'
	case "amp":
		r = '&'
	case "quot":
		r = '"'
	case "apos":
		r = '\''
	default:
		digits, numeric := strings.CutPrefix(name, "#")
		base := 10
		if hex, ok := strings.CutPrefix(digits, "x"); ok {
			digits, base = hex, 16
		}
		n, err := strconv.ParseUint(digits, base, 21)
		if !numeric || err != nil || !isChar(rune(n)) {
			return p.fault("unknown entity")
		}
		r = rune(n)
	}
	out.WriteRune(r)
	p.pos += length + 1
	return nil
}

// isChar is Char of XML 1.0, section 2.2.
func isChar(r rune) bool {
	return r == '\t' || r == '\n' || r == '\r' || r >= 0x20 && r <= 0xD7FF || r >= 0xE000 && r <= 0xFFFD || r >= 0x10000 && r <= 0x10FFFF
}

// qualified reads a name with an optional prefix.
func (p *parser) qualified() (prefix, local string, err error) {
	if local, err = p.name(); err != nil {
		return "", "", err
	}
	if p.take(":") {
		prefix = local
		local, err = p.name()
	}
	return prefix, local, err
}

// name reads a name of ASCII letters, digits, "_", "-" and ".". No vocabulary that meets here has others.
func (p *parser) name() (string, error) {
	from := p.pos
	for p.pos < len(p.src) {
		c := p.src[p.pos]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_'
		if !letter && (p.pos == from || c != '-' && c != '.' && (c < '0' || c > '9')) {
			break
		}
		p.pos++
	}
	if p.pos == from {
		return "", p.fault("no name")
	}
	return p.src[from:p.pos], nil
}
