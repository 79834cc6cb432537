package signer

import (
	"context"
	"fmt"
	"time"
)

// A master key is replaced while nodes run: each is restarted with the new key and the former one beside it, in any order. They go on
// sealing under the former one, which those have that were not restarted yet, for the key that seals the ring is the one in force.
// Then Reseal puts the new one in force, everything else is sealed anew, and Resealed confirms that nothing is left.

// Reseal puts Config.Master in force: it seals the ring from now on, and what Seal seals. Until Resealed is called, no node starts
// without the former key. It does nothing when Config.Master is in force already.
func (s *Signer) Reseal(ctx context.Context) error {
	return s.update(ctx, func(d *document, _ time.Time) (bool, error) { return d.reseal(s.cfg.Master), nil })
}

// Resealed confirms that nothing is sealed under a former master key any more.
func (s *Signer) Resealed(ctx context.Context) error {
	return s.update(ctx, func(d *document, _ time.Time) (bool, error) {
		if d.master.ID() != s.cfg.Master.ID() {
			return false, fmt.Errorf("master key %s is not in force", s.cfg.Master.ID())
		}
		changed := d.Former != ""
		d.Former = ""
		return changed, nil
	})
}

// MasterKeys returns the ID of the master key in force, and that of the former one while values may still be sealed under it.
func (s *Signer) MasterKeys() (inForce, former string) {
	ring := s.ring.Load()
	return ring.master.ID(), ring.former
}

// Seal encrypts a value that lives outside the directory and not for long, under the master key in force.
func (s *Signer) Seal(plaintext []byte, place string) ([]byte, error) {
	return s.ring.Load().master.Seal(plaintext, place)
}

// Open decrypts what Seal made for the same place, here or on another node. It returns seal.ErrWrongKey or seal.ErrDamaged.
func (s *Signer) Open(sealed []byte, place string) ([]byte, error) {
	return s.cfg.Master.Open(sealed, place)
}
