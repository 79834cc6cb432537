package password

import "context"

// Hold takes the place of a hash that is computed, until release is called.
func (h *Hasher) Hold(ctx context.Context) (release func(), err error) {
	return h.leave, h.enter(ctx)
}
