package signer

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stint-sts/stint/seal"
	"github.com/stint-sts/stint/secret"
)

// Errors of the ring's storage.
var (
	// ErrRingChanged tells that a RingStore holds another version than the one to be replaced.
	ErrRingChanged = errors.New("key ring changed in between")
	// ErrRingWentBack tells that the store holds an older ring than the one in use: it was restored from a copy or tampered with.
	ErrRingWentBack = errors.New("stored key ring is older than the one in use")
	// ErrFormerMaster tells that values may still be sealed under a former master key, which is not given.
	ErrFormerMaster = errors.New("values may still be sealed under the former master key")
)

// RingStore keeps the sealed key ring.
type RingStore interface {
	// LoadRing returns the sealed ring and its version; nil and 0 when there is none yet.
	LoadRing(ctx context.Context) (sealed []byte, version int64, err error)
	// SaveRing replaces the ring if its version still is version (0: there is none) and gives it version+1. Otherwise it changes
	// nothing and returns an error matching ErrRingChanged.
	SaveRing(ctx context.Context, sealed []byte, version int64) error
}

// Config says how a Signer works.
type Config struct {
	Store  RingStore // required
	Master *seal.Key // required; seals the ring. With a previous key, that one seals it on until Reseal.

	Issuer    string // required; the URL in every token. Tokens of another issuer are refused, so a change ends all sessions.
	Algorithm string // of new token keys: HS256 (default), EdDSA or ES256. Keys in the ring keep theirs until rotated.

	// SealTokens wraps new tokens in a JWE and refuses those that are not, also older ones: switching it on ends all
	// sessions. Switching it off ends none, for sealed tokens are always accepted.
	SealTokens bool

	TemporaryPrefix string // of temporary access key ids, four characters of A-Z2-7; default "ASIA"
	TokenCacheSize  int    // verified tokens that are remembered, each of some 2 KB; default 8192

	// PublishDelay is how long a key is prepared before it signs; default 1 minute. A node that has not looked into the store for half
	// of it, because it was paused, does so before it signs or judges anything.
	PublishDelay time.Duration
	// RotateEvery is the age of a signing key at which Maintain prepares its successor. What it does not name stays. SAML keys are
	// not to be rotated so: people have to tell identity providers.
	RotateEvery map[Purpose]time.Duration

	Now  func() time.Time // default time.Now
	Rand io.Reader        // default crypto/rand.Reader; must be safe for concurrent use
}

// Signer mints credentials and verifies session tokens. It is safe for concurrent use: requests read an immutable ring.
type Signer struct {
	cfg   Config
	cache *tokenCache
	ring  atomic.Pointer[keyRing]

	updating chan struct{} // one change of ring at a time
	looked   atomic.Int64  // when the store was last asked, successfully or not: Unix time in nanoseconds

	refreshing sync.Mutex // one refresh at a time
	refreshed  time.Time  // under refreshing: when the last one ended
}

// Open loads the key ring from cfg.Store or, on the first run, creates it; of several nodes that do so at once all end with the
// same ring. The error matches seal.ErrWrongKey if cfg.Master is not the key that sealed the ring, ErrFormerMaster if it lacks the
// previous key and the last Reseal was not confirmed, and seal.ErrDamaged if the ring was altered; none of them overwrites it. If the
// configured algorithm differs from that of the signing token key, Open prepares a key of the configured one.
func Open(ctx context.Context, cfg Config) (*Signer, error) {
	cfg.Algorithm = cmp.Or(cfg.Algorithm, HS256)
	cfg.TemporaryPrefix = cmp.Or(cfg.TemporaryPrefix, PrefixTemporaryKey)
	cfg.TokenCacheSize = cmp.Or(cfg.TokenCacheSize, 8192)
	cfg.PublishDelay = cmp.Or(cfg.PublishDelay, time.Minute)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Rand == nil {
		cfg.Rand = rand.Reader
	}
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("signer: %w", err)
	}
	cache, err := newTokenCache(cfg.TokenCacheSize)
	if err != nil {
		return nil, fmt.Errorf("signer: %w", err)
	}
	s := &Signer{cfg: cfg, cache: cache, updating: make(chan struct{}, 1)}
	err = s.update(ctx, func(d *document, now time.Time) (bool, error) { return d.ensure(cfg.Algorithm, now, cfg.Rand) })
	if err != nil {
		return nil, err
	}
	return s, nil
}

func (cfg *Config) validate() error {
	switch {
	case cfg.Store == nil || cfg.Master == nil || cfg.Issuer == "":
		return errors.New("store, master key and issuer are required")
	case !slices.Contains([]string{HS256, EdDSA, ES256}, cfg.Algorithm):
		return fmt.Errorf("algorithm %q is not one of %s, %s, %s", cfg.Algorithm, HS256, EdDSA, ES256)
	case len(cfg.TemporaryPrefix) != prefixLength || !isBase32(cfg.TemporaryPrefix):
		return fmt.Errorf("access key id prefix %q is not four characters of A-Z2-7", cfg.TemporaryPrefix)
	case cfg.PublishDelay < 0:
		return errors.New("the delay is negative")
	}
	for p, every := range cfg.RotateEvery {
		switch {
		case every < 0:
			return fmt.Errorf("%s keys: the time to rotate them is negative", p)
		case p == SAMLKey:
			return errors.New("SAML keys are not rotated by themselves")
		}
	}
	return nil
}

// Mint makes the credentials of the session that c describes. It sets c.AccessKeyID to a new one and c.DerivationVersion, and
// rounds c's times down to what the token carries. It returns an error when c describes no session (unknown kind, no account of
// 12 digits, no ARN or entity, a life outside 0 to MaxLifetime, text that is not UTF-8), and ErrTokenTooLarge. The caller
// refuses an access key id that exists (see NewAccessKeyID). The token's characters are those of base64url and the full stop.
func (s *Signer) Mint(c *Claims) (*Credentials, error) {
	ring := s.current(s.cfg.Now())
	id, err := NewAccessKeyID(s.cfg.Rand, s.cfg.TemporaryPrefix, c.Account)
	if err != nil {
		return nil, fmt.Errorf("mint: %w", err)
	}
	c.AccessKeyID, c.DerivationVersion, c.derived = id, ring.deriving.version, nil
	c.IssuedAt = c.IssuedAt.UTC().Truncate(time.Millisecond)
	c.ExpiresAt = c.ExpiresAt.UTC().Truncate(time.Second)
	c.MFATime = c.MFATime.UTC().Truncate(time.Second)
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("mint: %w", err)
	}
	c.padding = 0
	token, err := s.token(ring, c)
	if short := c.MinTokenSize - len(token); err == nil && short > 0 {
		c.padding = short // base64 makes more of it: the token is at least as long as it must be
		token, err = s.token(ring, c)
	}
	if err == nil && len(token) > MaxTokenSize {
		err = ErrTokenTooLarge
	}
	if err != nil {
		return nil, fmt.Errorf("mint: %w", err)
	}
	return &Credentials{
		AccessKeyID: id, SecretAccessKey: ring.deriving.secretKey(id), SessionToken: secret.New(token), Expiration: c.ExpiresAt,
	}, nil
}

// token makes the token of a session, sealed if the configuration says so.
func (s *Signer) token(ring *keyRing, c *Claims) (string, error) {
	token, err := ring.signing.sign(c, s.cfg.Issuer)
	if err != nil || !s.cfg.SealTokens {
		return token, err
	}
	return ring.sealing.seal(token)
}

// Verify checks that token is stint's own, unaltered and unexpired, and returns what it says, to be shared and not changed. The
// caller compares AccessKeyID with the one that signed the request, and asks whether the session was revoked. The error matches
// ErrInvalidToken, or ErrExpiredToken if nothing but the time is wrong: the claims are then returned with it, to check what they
// are bound to. Neither error quotes the token. Verified tokens are remembered. A token of a key that is not in the ring makes Verify
// look into the store before it refuses; it does so at most once a second, whoever asks.
func (s *Signer) Verify(token secret.String) (*Claims, error) {
	text := token.Reveal()
	if len(text) > MaxTokenSize { // before the cache hashes it
		return nil, invalid("too large")
	}
	now := s.cfg.Now()
	ring := s.current(now)
	c := s.cache.get(text, ring.version)
	if c == nil {
		var err error
		c, err = ring.parse(text, s.cfg.SealTokens, now)
		if _, unknown := errors.AsType[unknownKeyError](err); unknown {
			if next := s.refresh(ring); next != ring {
				ring = next
				c, err = ring.parse(text, s.cfg.SealTokens, now)
			}
		}
		if err != nil {
			return nil, err
		}
		if now.Before(c.ExpiresAt) {
			s.cache.put(text, ring.version, c)
		}
	}
	if !now.Before(c.ExpiresAt) {
		return c, ErrExpiredToken
	}
	return c, nil
}

// SecretKey returns the secret access key of the session that c describes, derived from c.AccessKeyID by the key that
// c.DerivationVersion names. For what Verify returned it costs nothing. It returns an error matching ErrNoKey when the ring no
// longer has that key.
func (s *Signer) SecretKey(c *Claims) (secret.String, error) {
	if d := c.derived; d != nil && d.accessKeyID == c.AccessKeyID && d.version == c.DerivationVersion {
		return d.secret, nil
	}
	k := s.ring.Load().derivationKeys[c.DerivationVersion]
	if k == nil {
		return secret.String{}, fmt.Errorf("derivation key %d: %w", c.DerivationVersion, ErrNoKey)
	}
	return k.secretKey(c.AccessKeyID), nil
}

// JWKS returns the public keys (RFC 7517) that verify session tokens, prepared and retired ones included; none with HS256. The
// bytes are shared: do not change them.
func (s *Signer) JWKS() []byte { return s.ring.Load().jwks }

// Keys returns the keys of the ring in the order in which they were prepared, removed ones included.
func (s *Signer) Keys() []KeyInfo { return slices.Clone(s.ring.Load().infos) }

// Prepare adds a key of that purpose to the ring, which every node accepts once it has reloaded, and which Rotate or Maintain
// lets sign after Config.PublishDelay. A key that is prepared already is returned as it is.
func (s *Signer) Prepare(ctx context.Context, p Purpose) (KeyInfo, error) {
	if !slices.Contains(AllPurposes(), p) {
		return KeyInfo{}, fmt.Errorf("key purpose %q is unknown", p)
	}
	var prepared KeyInfo
	err := s.update(ctx, func(d *document, now time.Time) (changed bool, err error) {
		prepared, changed, err = d.prepare(p, algorithmOf(p, s.cfg.Algorithm), now, s.cfg.Rand)
		return changed, err
	})
	return prepared, err
}

// Rotate lets the prepared key of that purpose sign from now on, and retires the one that did. Errors match ErrNotPrepared, or
// ErrNotPublished if it was prepared less than Config.PublishDelay ago, so that a node may not know it yet; for keys of identity
// tokens IdentityKeysMaxAge is added, for SAML keys SAMLKeysMaxAge.
func (s *Signer) Rotate(ctx context.Context, p Purpose) (KeyInfo, error) {
	var signing KeyInfo
	err := s.update(ctx, func(d *document, now time.Time) (_ bool, err error) {
		signing, err = d.rotate(p, s.cfg.PublishDelay, now)
		return err == nil, err
	})
	return signing, err
}

// Retire removes the retired keys that no living token needs, and returns them.
func (s *Signer) Retire(ctx context.Context) ([]KeyInfo, error) {
	var removed []KeyInfo
	err := s.update(ctx, func(d *document, now time.Time) (bool, error) {
		removed = d.retire(now)
		return len(removed) > 0, nil
	})
	return removed, err
}

// RetireKey prepares the successor of a key that signs, and returns it. Once every node knows it, it signs, and the key is retired.
// It returns an error matching ErrNoKey for an unknown id, and ErrNotSigning for a key that does not sign.
func (s *Signer) RetireKey(ctx context.Context, id string) (successor KeyInfo, err error) {
	err = s.update(ctx, func(d *document, now time.Time) (changed bool, err error) {
		successor, changed, err = d.succeed(id, s.cfg.Algorithm, now, s.cfg.Rand)
		return changed, err
	})
	return successor, err
}

// Remove takes a key out of the ring at once, as when it is known to others. Every session that needs it ends. It returns an
// error matching ErrNoKey for an unknown id, and ErrKeySigns for a key that signs.
func (s *Signer) Remove(ctx context.Context, id string) error {
	return s.update(ctx, func(d *document, now time.Time) (bool, error) {
		err := d.remove(id, now)
		return err == nil, err
	})
}

// Reload picks up what other nodes did to the ring. On an error, the one in use stays.
func (s *Signer) Reload(ctx context.Context) error {
	return s.update(ctx, func(*document, time.Time) (bool, error) { return false, nil })
}

// Maintain reloads the ring and does what is due: it removes keys that nothing needs any more, lets keys sign that were prepared
// for Config.PublishDelay, and prepares successors by Config.RotateEvery. Every node calls it at intervals shorter than
// PublishDelay; of those that find the same thing due, one does it.
func (s *Signer) Maintain(ctx context.Context) error {
	return s.update(ctx, func(d *document, now time.Time) (bool, error) {
		return d.maintain(s.cfg.Algorithm, s.cfg.PublishDelay, s.cfg.RotateEvery, now, s.cfg.Rand)
	})
}

const (
	ringContext = "key-ring" // where a sealed ring belongs
	// Each lost race means that another node won it, so this many in a row mean a broken store.
	updateAttempts = 16
)

// update loads the ring, lets change change it, and puts the result in use, after storing it if it changed. If another node
// changed it in between, it starts over.
func (s *Signer) update(ctx context.Context, change func(d *document, now time.Time) (bool, error)) error {
	select {
	case s.updating <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("key ring: %w", ctx.Err())
	}
	defer func() {
		s.looked.Store(s.cfg.Now().UnixNano())
		<-s.updating
	}()
	for range updateAttempts {
		err := s.tryUpdate(ctx, change)
		if !errors.Is(err, ErrRingChanged) {
			return err
		}
	}
	return fmt.Errorf("key ring, %d attempts: %w", updateAttempts, ErrRingChanged)
}

func (s *Signer) tryUpdate(ctx context.Context, change func(d *document, now time.Time) (bool, error)) error {
	d, version, err := s.load(ctx)
	if err != nil {
		return err
	}
	current := s.ring.Load()
	if current != nil && version < current.version {
		return fmt.Errorf("%w: version %d, not %d", ErrRingWentBack, version, current.version)
	}
	changed, err := change(d, s.cfg.Now().UTC())
	if err != nil {
		return err
	}
	if !changed && current != nil && version == current.version {
		return nil // keeps the cached tokens
	}
	if changed {
		d.prune()
		version++
	}
	next, err := newKeyRing(d, version, s.cfg.Issuer) // first, so that no ring is stored that cannot be used
	if err != nil {
		return err
	}
	next.master, next.former = d.master, d.Former
	if changed {
		if err := s.save(ctx, d, version-1); err != nil {
			return err
		}
	}
	s.ring.Store(next)
	return nil
}

func (s *Signer) load(ctx context.Context) (*document, int64, error) {
	sealed, version, err := s.cfg.Store.LoadRing(ctx)
	if err != nil {
		return nil, 0, fmt.Errorf("load key ring: %w", err)
	}
	if version == 0 {
		return &document{Format: ringFormat, master: s.cfg.Master}, 0, nil
	}
	master, err := s.cfg.Master.Sealer(sealed)
	if err != nil {
		return nil, 0, fmt.Errorf("open key ring: %w", err)
	}
	plain, err := master.Open(sealed, ringContext)
	if err != nil {
		return nil, 0, fmt.Errorf("open key ring: %w", err)
	}
	d, err := parseDocument(plain)
	if err != nil {
		return nil, 0, err
	}
	if d.Former != "" && !master.Opens(d.Former) {
		return nil, 0, fmt.Errorf("%w: %s", ErrFormerMaster, d.Former)
	}
	d.master = master
	return d, version, nil
}

// CheckRing opens a sealed ring as Open would, and tells how many keys it holds.
func CheckRing(sealed []byte, master *seal.Key) (keys int, err error) {
	plain, err := master.Open(sealed, ringContext)
	if err != nil {
		return 0, fmt.Errorf("open key ring: %w", err)
	}
	d, err := parseDocument(plain)
	if err != nil {
		return 0, err
	}
	for _, k := range d.Keys {
		if k.State != Removed {
			keys++
		}
	}
	return keys, nil
}

// save stores d in the place of that version.
func (s *Signer) save(ctx context.Context, d *document, version int64) error {
	plain, err := json.Marshal(d)
	if err != nil {
		return fmt.Errorf("encode key ring: %w", err)
	}
	sealed, err := d.master.Seal(plain, ringContext)
	if err != nil {
		return fmt.Errorf("seal key ring: %w", err)
	}
	if err := s.cfg.Store.SaveRing(ctx, sealed, version); err != nil {
		return fmt.Errorf("save key ring: %w", err)
	}
	return nil
}
