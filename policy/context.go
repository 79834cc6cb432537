package policy

// Context is a request context: condition keys with their values. Keys ignore case. A key is single-valued or multivalued by
// declaration, not by how many values it happens to hold, and a key that is absent differs from one that is empty.
//
// The zero value is empty and ready to use, and a nil Context is empty. A Context must not be changed while another goroutine
// reads it.
type Context struct {
	base    *Context
	hashes  []uint32 // of entries[i].key, apart from the entries so that a look-up scans one cache line or two
	entries []entry
}

type entry struct {
	key   contextKey
	multi bool
	one   [1]string // the value of a single-valued key
	list  []string  // the values of a multivalued key
}

func (e *entry) values() []string {
	if e.multi {
		return e.list
	}
	return e.one[:]
}

// NewContext returns an empty context on top of base. Its own keys win over those of base, which may be nil, may be shared,
// and must not change any more.
func NewContext(base *Context) *Context { return &Context{base: base} }

// Reset empties c for another request on top of base; memory is kept.
func (c *Context) Reset(base *Context) {
	clear(c.entries)
	c.base, c.hashes, c.entries = base, c.hashes[:0], c.entries[:0]
}

// Room is memory for the keys of one Context, for a caller who allocates it together with other things.
type Room struct {
	hashes  [roomSize]uint32
	entries [roomSize]entry
}

// roomSize is how many condition keys a call without tags has.
const roomSize = 18

// Use makes c, which must be empty, keep its keys in room as long as they fit. The room must serve no other Context.
func (c *Context) Use(room *Room) { c.hashes, c.entries = room.hashes[:0], room.entries[:0] }

// Set gives key one value and makes it single-valued.
func (c *Context) Set(key, value string) {
	e := c.own(key)
	e.multi, e.one[0], e.list = false, value, nil
}

// SetList gives key a list of values, which may be empty, and makes it multivalued. The list is not copied.
func (c *Context) SetList(key string, values []string) {
	e := c.own(key)
	e.multi, e.one[0], e.list = true, "", values
}

// own returns c's own entry for name, made if need be.
func (c *Context) own(name string) *entry {
	key := newContextKey(name)
	if e := c.find(&key); e != nil {
		return e
	}
	c.hashes = append(c.hashes, key.hash)
	c.entries = append(c.entries, entry{key: key})
	return &c.entries[len(c.entries)-1]
}

// find looks for key among c's own entries.
func (c *Context) find(key *contextKey) *entry {
	for i, h := range c.hashes {
		if h == key.hash && c.entries[i].key.equal(key) {
			return &c.entries[i]
		}
	}
	return nil
}

// lookup returns the entry of key in c or what it stands on, nil when the key is absent.
func (c *Context) lookup(key *contextKey) *entry {
	for ; c != nil; c = c.base {
		if e := c.find(key); e != nil {
			return e
		}
	}
	return nil
}

// Lookup returns the values of key. The slice belongs to the context: do not change it, nor keep it past the next Set,
// SetList or Reset. Lookup does not allocate for keys of ASCII characters.
func (c *Context) Lookup(key string) (values []string, multi, present bool) {
	k := newContextKey(key)
	e := c.lookup(&k)
	if e == nil {
		return nil, false, false
	}
	return e.values(), e.multi, true
}

// All yields every key as it was spelled, own keys first in the order of setting, then those of the base that are not
// hidden. The values are subject to the rules of Lookup.
func (c *Context) All(yield func(key string, values []string, multi bool) bool) {
	for level := c; level != nil; level = level.base {
		for i := range level.entries {
			e := &level.entries[i]
			if c.lookup(&e.key) != e {
				continue
			}
			if !yield(e.key.name, e.values(), e.multi) {
				return
			}
		}
	}
}
