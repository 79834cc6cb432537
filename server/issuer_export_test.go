package server

// PublicURLAt is the public URL of a server whose listener got that address.
func (c *Config) PublicURLAt(address string) string { return c.publicURL(address) }
