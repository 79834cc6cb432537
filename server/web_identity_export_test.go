package server

// OnLoopback reports whether nobody but this machine reaches a server of the configuration.
func (c *Config) OnLoopback() bool { return c.onLoopback() }
