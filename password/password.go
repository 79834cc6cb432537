// Package password owns how passwords are kept and checked: hashed with argon2id (RFC 9106), salted, written in PHC string format.
//
// It bounds what hashing may cost the machine. Which passwords are good enough, whose they are and how often one may guess is not
// decided here.
package password

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"runtime"
	"time"

	"golang.org/x/crypto/argon2"

	"github.com/stint-sts/stint/secret"
)

// DefaultParams are the least costs that OWASP recommends for argon2id: 19 MiB, two passes, one lane
// (OWASP Cheat Sheet Series, "Password Storage").
var DefaultParams = Params{Memory: 19 * 1024, Time: 2, Threads: 1}

// ErrBusy says that too many passwords are being hashed already. Nothing was judged.
var ErrBusy = errors.New("too many passwords are being checked")

// Config is what a Hasher needs. Fields are required unless they say a default.
type Config struct {
	Rand io.Reader // salts are read from it

	Params  Params        // of new hashes; default DefaultParams
	AtOnce  int           // hashes computed at the same time; default half of the cores, at least one
	Waiting int           // calls that wait for their turn; more get ErrBusy. Default 64
	Wait    time.Duration // how long a call waits at most; default 5 s
}

// Hasher hashes and checks passwords. Each hash takes Params.Memory and a core for its time, so only a few are computed at once,
// others wait for a bounded time, and the rest are refused: a flood of sign-ins can take neither all memory nor all cores.
// It is safe for concurrent use.
type Hasher struct {
	params Params
	rand   io.Reader
	slots  chan struct{} // a place for each hash that is computed
	places chan struct{} // a place for each of these and for each call that waits
	wait   time.Duration
	decoy  *Hash
}

// New makes a Hasher.
func New(cfg Config) (*Hasher, error) {
	if cfg.Params == (Params{}) {
		cfg.Params = DefaultParams
	}
	if cfg.AtOnce == 0 {
		cfg.AtOnce = max(1, runtime.GOMAXPROCS(0)/2)
	}
	if cfg.Waiting == 0 {
		cfg.Waiting = 64
	}
	if cfg.Wait == 0 {
		cfg.Wait = 5 * time.Second
	}
	switch err := cfg.Params.check(); {
	case err != nil:
		return nil, fmt.Errorf("passwords: %w", err)
	case cfg.Rand == nil:
		return nil, errors.New("passwords: no source of randomness")
	case cfg.AtOnce < 0 || cfg.Waiting < 0 || cfg.Wait < 0:
		return nil, errors.New("passwords: a negative bound")
	}
	return &Hasher{
		params: cfg.Params, rand: cfg.Rand, wait: cfg.Wait,
		slots:  make(chan struct{}, cfg.AtOnce),
		places: make(chan struct{}, cfg.AtOnce+cfg.Waiting),
		decoy:  &Hash{Params: cfg.Params, Salt: make([]byte, saltSize), Key: make([]byte, keySize)},
	}, nil
}

// Hash returns a salted hash of password. Errors match ErrBusy, also when ctx ends before it is this call's turn.
func (h *Hasher) Hash(ctx context.Context, password secret.String) (*Hash, error) {
	made := &Hash{Params: h.params, Salt: make([]byte, saltSize)}
	if _, err := io.ReadFull(h.rand, made.Salt); err != nil {
		return nil, fmt.Errorf("salt of a password: %w", err)
	}
	var err error
	made.Key, err = h.key(ctx, made, keySize, password)
	return made, err
}

// Verify reports whether password is the one that was hashed. It takes the time of one hash whether it is or not. Errors are
// those of Hash.
func (h *Hasher) Verify(ctx context.Context, hash *Hash, password secret.String) (bool, error) {
	key, err := h.key(ctx, hash, len(hash.Key), password)
	if err != nil {
		return false, err
	}
	return subtle.ConstantTimeCompare(key, hash.Key) == 1, nil
}

// VerifyUnknown takes the time of a Verify. It is for a user who does not exist: how long a refusal takes must not tell who does.
func (h *Hasher) VerifyUnknown(ctx context.Context, password secret.String) error {
	_, err := h.Verify(ctx, h.decoy, password)
	return err
}

// Outdated reports whether new hashes cost more than this one did: the password should be hashed anew, once it is known.
func (h *Hasher) Outdated(hash *Hash) bool { return !hash.covers(h.params) }

// key computes argon2id when it is this call's turn.
func (h *Hasher) key(ctx context.Context, hash *Hash, size int, password secret.String) ([]byte, error) {
	if err := h.enter(ctx); err != nil {
		return nil, err
	}
	defer h.leave()
	return argon2.IDKey([]byte(password.Reveal()), hash.Salt, hash.Time, hash.Memory, hash.Threads, uint32(size)), nil
}

func (h *Hasher) enter(ctx context.Context) error {
	select {
	case h.places <- struct{}{}:
	default:
		return ErrBusy
	}
	patience := time.NewTimer(h.wait)
	defer patience.Stop()
	var err error
	select {
	case h.slots <- struct{}{}:
		return nil
	case <-patience.C:
		err = ErrBusy
	case <-ctx.Done():
		err = fmt.Errorf("%w: %w", ErrBusy, ctx.Err())
	}
	<-h.places
	return err
}

func (h *Hasher) leave() {
	<-h.slots
	<-h.places
}
