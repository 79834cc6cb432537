package policy

// Context is a request context. The zero value is empty and usable.
type Context struct{ base *Context }

// NewContext returns an empty context on top of base, which may be nil and must not change any more.
func NewContext(base *Context) *Context { return &Context{base: base} }

// Set makes key a single-valued key.
func (c *Context) Set(key, value string) {}

// SetList makes key a multivalued key.
func (c *Context) SetList(key string, values []string) {}

// Reset empties c and puts it on top of base.
func (c *Context) Reset(base *Context) { c.base = base }

// Lookup returns the values of key. The slice must not be changed and is valid until the next Set, SetList or Reset.
func (c *Context) Lookup(key string) (values []string, multi, present bool) { return nil, false, false }

// All yields every key once, own keys first.
func (c *Context) All(yield func(key string, values []string, multi bool) bool) {}
