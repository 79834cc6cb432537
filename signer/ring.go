package signer

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/stint-sts/stint/seal"
)

// MaxLifetime is the longest that a session lives (36 hours: "GetSessionToken" in the STS API Reference).
const MaxLifetime = 129_600 * time.Second

// reloadLag is how long a node may go on signing with a key that another node has retired, because it has not reloaded yet or its
// clock runs ahead. What a node signs that is cut off from the store for longer, the others refuse.
const reloadLag = 10 * time.Minute

// Errors of the operations on the ring.
var (
	ErrNoKey        = errors.New("no such key")
	ErrNotPrepared  = errors.New("no key is prepared")
	ErrNotPublished = errors.New("prepared key has not been published long enough")
	ErrKeySigns     = errors.New("key is signing: rotate first")
	ErrNotSigning   = errors.New("only a key that signs can be retired")
)

// Purpose is what a key of the ring is for. A key serves one purpose only.
type Purpose string

// The purposes. Others in a stored ring, of a newer stint, are kept but not used.
const (
	TokenKey      Purpose = "token"      // signs session tokens
	DerivationKey Purpose = "derivation" // makes secret access keys of access key ids
	SealingKey    Purpose = "sealing"    // encrypts session tokens where Config.SealTokens asks for it

	IdentityRS256Key Purpose = "identity-rs256" // signs identity tokens for third parties by RS256
	IdentityES384Key Purpose = "identity-es384" // by ES384

	SAMLKey Purpose = "saml" // signs requests to SAML identity providers
)

// Purposes returns every purpose that the ring always has a key for: what sessions need.
func Purposes() []Purpose { return []Purpose{TokenKey, DerivationKey, SealingKey} }

// IdentityPurposes returns the purposes whose first keys EnsureIdentityKeys makes.
func IdentityPurposes() []Purpose { return []Purpose{IdentityRS256Key, IdentityES384Key} }

// AllPurposes returns every purpose that keys can have.
func AllPurposes() []Purpose { return append(append(Purposes(), IdentityPurposes()...), SAMLKey) }

func (p Purpose) forIdentity() bool { return slices.Contains(IdentityPurposes(), p) }

// lifetime is how long that which a key of the purpose made is good.
func (p Purpose) lifetime() time.Duration {
	switch {
	case p.forIdentity():
		return MaxIdentityLifetime
	case p == SAMLKey:
		return samlRequestLifetime
	default:
		return MaxLifetime
	}
}

// cachedFor is how long others may go on with a copy of the published keys in which a new one is missing.
func (p Purpose) cachedFor() time.Duration {
	switch {
	case p.forIdentity():
		return IdentityKeysMaxAge
	case p == SAMLKey:
		return SAMLKeysMaxAge
	default:
		return 0 // nodes alone use them, and reload within the delay
	}
}

// State is where a key stands in its life, which goes through them in this order.
type State string

// The states.
const (
	Prepared State = "prepared" // every node accepts it and publishes it, none uses it for new tokens yet
	Signing  State = "signing"  // in use for new tokens; one key of each purpose
	Retired  State = "retired"  // accepted until the last token it was used for has expired
	Removed  State = "removed"  // refused; the key itself is erased, its entry remains for the record
)

// KeyInfo describes a key of the ring, without the key.
type KeyInfo struct {
	ID         string    `json:"id"`      // the kid of a token key and a sealing key
	Version    int       `json:"version"` // counts the keys of a purpose from 1
	Purpose    Purpose   `json:"purpose"`
	Algorithm  string    `json:"algorithm"` // fixed for the key's life
	State      State     `json:"state"`
	PreparedAt time.Time `json:"preparedAt,omitzero"`
	SigningAt  time.Time `json:"signingAt,omitzero"`
	RetiredAt  time.Time `json:"retiredAt,omitzero"`
	ValidUntil time.Time `json:"validUntil,omitzero"` // of a retired key: when the last token it was used for has expired
	RemovedAt  time.Time `json:"removedAt,omitzero"`
}

const (
	ringFormat  = 1  // of the stored document
	removedKept = 32 // entries of removed keys that stay for the record
)

// document is the ring as it is stored, sealed.
type document struct {
	Format int     `json:"format"`
	Keys   []entry `json:"keys"`
	// Former is the ID of the master key under which other values than the ring may still be sealed; empty: there are none.
	Former string `json:"former,omitempty"`

	master *seal.Key // seals the ring
}

type entry struct {
	KeyInfo
	Material []byte `json:"material,omitempty"`
}

func parseDocument(plain []byte) (*document, error) {
	d := new(document)
	if err := json.Unmarshal(plain, d); err != nil {
		return nil, errors.New("key ring is not readable") // not err: it may quote key material
	}
	if d.Format != ringFormat {
		return nil, fmt.Errorf("key ring has format %d, this version of stint knows %d", d.Format, ringFormat)
	}
	return d, nil
}

// find returns the key of purpose p in a state that only one key can have, or nil.
func (d *document) find(p Purpose, s State) *entry {
	for i := range d.Keys {
		if k := &d.Keys[i]; k.Purpose == p && k.State == s {
			return k
		}
	}
	return nil
}

func (d *document) nextVersion(p Purpose) int {
	last := 0
	for _, k := range d.Keys {
		if k.Purpose == p {
			last = max(last, k.Version)
		}
	}
	return last + 1
}

// reseal lets master seal the ring, and what else is sealed from then on. It reports whether d changed.
func (d *document) reseal(master *seal.Key) bool {
	if d.master.ID() == master.ID() {
		return false
	}
	d.Former, d.master = d.master.ID(), master
	return true
}

// ensure makes the ring fit for use: on the first run every purpose gets a key that signs at once, for there is nobody yet who
// would have to learn of it; and a token key of another algorithm than the configured one gets a successor. It reports whether d
// changed.
func (d *document) ensure(tokenAlgorithm string, now time.Time, random io.Reader) (bool, error) {
	changed := false
	for _, p := range Purposes() {
		if d.find(p, Signing) != nil {
			continue
		}
		k, err := newEntry(p, algorithmOf(p, tokenAlgorithm), d.nextVersion(p), now, random)
		if err != nil {
			return false, err
		}
		k.State, k.SigningAt = Signing, now
		d.Keys = append(d.Keys, k)
		changed = true
	}
	if d.find(TokenKey, Signing).Algorithm != tokenAlgorithm {
		_, prepared, err := d.prepare(TokenKey, tokenAlgorithm, now, random)
		return changed || prepared, err
	}
	return changed, nil
}

// prepare makes sure that a key of that purpose and algorithm is prepared, and reports whether d changed. A prepared key of another
// algorithm, which has signed nothing, makes way.
func (d *document) prepare(p Purpose, algorithm string, now time.Time, random io.Reader) (KeyInfo, bool, error) {
	if k := d.find(p, Prepared); k != nil {
		if k.Algorithm == algorithm {
			return k.KeyInfo, false, nil
		}
		k.remove(now)
	}
	k, err := newEntry(p, algorithm, d.nextVersion(p), now, random)
	if err != nil {
		return KeyInfo{}, false, err
	}
	d.Keys = append(d.Keys, k)
	return k.KeyInfo, true, nil
}

// rotate lets the prepared key sign, if it was published for at least delay, and retires the one that did.
func (d *document) rotate(p Purpose, delay time.Duration, now time.Time) (KeyInfo, error) {
	next := d.find(p, Prepared)
	if next == nil {
		return KeyInfo{}, fmt.Errorf("%s keys: %w", p, ErrNotPrepared)
	}
	if from := next.signsFrom(delay); now.Before(from) {
		return KeyInfo{}, fmt.Errorf("%w: %s key %s may sign from %s", ErrNotPublished, p, next.ID, from.Format(time.RFC3339))
	}
	if k := d.find(p, Signing); k != nil {
		k.State, k.RetiredAt, k.ValidUntil = Retired, now, now.Add(reloadLag+p.lifetime())
	}
	next.State, next.SigningAt = Signing, now
	return next.KeyInfo, nil
}

// signsFrom is when a key may sign at the earliest that every node knows after delay.
func (k *entry) signsFrom(delay time.Duration) time.Time {
	return k.PreparedAt.Add(delay + k.Purpose.cachedFor())
}

// retire removes every retired key that no living token needs, and returns them.
func (d *document) retire(now time.Time) []KeyInfo {
	var removed []KeyInfo
	for i := range d.Keys {
		if k := &d.Keys[i]; k.State == Retired && !now.Before(k.ValidUntil) {
			k.remove(now)
			removed = append(removed, k.KeyInfo)
		}
	}
	return removed
}

// succeed prepares the successor of a key that signs, which retires it.
func (d *document) succeed(id, tokenAlgorithm string, now time.Time, random io.Reader) (KeyInfo, bool, error) {
	i := slices.IndexFunc(d.Keys, func(k entry) bool { return k.ID == id })
	switch {
	case i < 0:
		return KeyInfo{}, false, fmt.Errorf("%w: %q", ErrNoKey, id)
	case d.Keys[i].State != Signing:
		return KeyInfo{}, false, fmt.Errorf("key %s is %s: %w", id, d.Keys[i].State, ErrNotSigning)
	}
	p := d.Keys[i].Purpose
	return d.prepare(p, algorithmOf(p, tokenAlgorithm), now, random)
}

// remove takes the key out of use at once. Removing it again does nothing.
func (d *document) remove(id string, now time.Time) error {
	i := slices.IndexFunc(d.Keys, func(k entry) bool { return k.ID == id })
	switch {
	case i < 0:
		return fmt.Errorf("%w: %q", ErrNoKey, id)
	case d.Keys[i].State == Signing:
		return fmt.Errorf("key %s: %w", id, ErrKeySigns)
	case d.Keys[i].State != Removed:
		d.Keys[i].remove(now)
	}
	return nil
}

func (k *entry) remove(now time.Time) { k.State, k.RemovedAt, k.Material = Removed, now, nil }

// prune forgets the oldest removed keys beyond removedKept.
func (d *document) prune() {
	excess := -removedKept
	for _, k := range d.Keys {
		if k.State == Removed {
			excess++
		}
	}
	d.Keys = slices.DeleteFunc(d.Keys, func(k entry) bool { // in the order in which they were prepared
		old := k.State == Removed && excess > 0
		if old {
			excess--
		}
		return old
	})
}

// maintain does what is due at now: it removes keys that nothing needs, lets prepared keys sign that were published long enough,
// and prepares a successor for each key that has signed for the time that every has for its purpose (0: forever). It reports whether d
// changed.
func (d *document) maintain(
	tokenAlgorithm string, delay time.Duration, every map[Purpose]time.Duration, now time.Time, random io.Reader,
) (bool, error) {
	changed := len(d.retire(now)) > 0
	for _, p := range AllPurposes() {
		if next := d.find(p, Prepared); next != nil {
			if now.Before(next.signsFrom(delay)) {
				continue
			}
			if _, err := d.rotate(p, delay, now); err != nil {
				return false, err
			}
			changed = true
			continue
		}
		if k := d.find(p, Signing); every[p] > 0 && k != nil && !now.Before(k.SigningAt.Add(every[p])) {
			if _, _, err := d.prepare(p, algorithmOf(p, tokenAlgorithm), now, random); err != nil {
				return false, err
			}
			changed = true
		}
	}
	return changed, nil
}

func (d *document) infos() []KeyInfo {
	infos := make([]KeyInfo, len(d.Keys))
	for i, k := range d.Keys {
		infos[i] = k.KeyInfo
	}
	return infos
}
