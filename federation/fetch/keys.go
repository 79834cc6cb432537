package fetch

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stint-sts/stint/federation/oidc"
)

// Times of the key cache. AWS publishes none of its own.
const (
	minFresh    = 5 * time.Minute  // how long keys are used without asking again, whatever the issuer says
	maxFresh    = 15 * time.Minute // and at most
	maxStale    = time.Hour        // from the last success: how long keys are used while the issuer is down
	refetchGap  = 30 * time.Second // between two fetches for key ids that are not known
	firstRetry  = 10 * time.Second // after a failure nobody asks the issuer for so long, doubling
	lastRetry   = 5 * time.Minute
	loadTimeout = 8 * time.Second // discovery and keys together
)

// Bounds of the key cache.
const (
	defaultMaxIssuers = 1000
	maxLoads          = 32  // fetches under way
	maxWaiters        = 128 // calls that wait for one issuer
)

// KeysConfig is what Keys need. Fields are required unless they say a default.
type KeysConfig struct {
	Client *Client
	Now    func() time.Time
	Log    *slog.Logger

	// Roots are the certificate authorities of issuers that have their own; of the others those of the system.
	Roots map[string]*x509.CertPool
	// Files are JWK sets of issuers that cannot be reached, by issuer: paths of files, which are read again every few minutes.
	Files map[string]string
	// Loaded, when it is set, is told of every load that ended. err is nil, or matches ErrUnavailable, ErrUnusable or ErrCertificate
	// of package oidc. It must not block.
	Loaded func(issuer string, err error)
	// MaxIssuers bounds the issuers whose keys are kept. Default 1,000.
	MaxIssuers int
}

// Keys are the key sets of OpenID Connect issuers. It implements oidc.Keys: safe for concurrent use, one fetch for many waiters,
// and an issuer that is slow or down delays nobody but its own callers.
//
// A key that an issuer withdraws verifies nothing more 15 minutes later at the latest, as long as the issuer answers.
type Keys struct {
	cfg   KeysConfig
	loads chan struct{}

	mu      sync.RWMutex
	issuers map[string]*issuer
}

var _ oidc.Keys = (*Keys)(nil)

// NewKeys makes Keys.
func NewKeys(cfg KeysConfig) *Keys {
	if cfg.MaxIssuers == 0 {
		cfg.MaxIssuers = defaultMaxIssuers
	}
	return &Keys{cfg: cfg, loads: make(chan struct{}, maxLoads), issuers: make(map[string]*issuer)}
}

// issuer is what is known of one issuer under one set of thumbprints: accounts that trust it by different certificates share
// nothing, or one could feed keys to the other.
type issuer struct {
	provider *oidc.Provider
	used     atomic.Int64 // when, for giving up the oldest
	known    atomic.Pointer[knowledge]

	waiters atomic.Int32
	mu      sync.Mutex
	flight  chan struct{} // closed when the load under way has ended; nil: none is
}

// knowledge is what the loads so far have told. It is immutable.
type knowledge struct {
	set     *oidc.KeySet // nil: never had any
	loaded  time.Time    // when
	refresh time.Time    // from when on to ask ahead of time
	expires time.Time    // of set, as long as the issuer answers

	forced   time.Time // the latest load for an unknown key
	err      error     // of the latest load; nil: success
	failures int       // in a row
	retry    time.Time // before which a failing issuer is left alone
}

// Keys implements oidc.Keys.
func (k *Keys) Keys(ctx context.Context, p *oidc.Provider, without *oidc.KeySet) (*oidc.KeySet, error) {
	i := k.issuer(p)
	i.used.Store(k.cfg.Now().UnixNano())
	for {
		known := i.known.Load()
		switch known.next(k.cfg.Now(), without) {
		case use:
			return known.set, nil
		case useAndAsk:
			k.launch(i, known, false)
			return known.set, nil
		case fail:
			return nil, known.err
		case ask:
			if err := k.wait(ctx, i, known, without != nil); err != nil {
				return nil, err
			}
			if without == nil || i.known.Load().set != without {
				without = nil // whatever the load brought is what there is
				continue
			}
			return without, nil
		}
	}
}

// step is what to do about what is known.
type step uint8

const (
	ask       step = iota // wait for a load
	use                   // the set
	useAndAsk             // the set, and load a newer one behind the caller's back
	fail                  // with the error
)

// next decides; without is a set in which a key was not found. An issuer that failed lately is left alone, and one whose last load
// failed is waited for by nobody as long as its old keys may be used.
func (n *knowledge) next(now time.Time, without *oidc.KeySet) step {
	switch {
	case n == nil:
		return ask
	case n.set == nil && now.Before(n.retry):
		return fail
	case n.set == nil:
		return ask
	case n.set == without && (now.Before(n.forced.Add(refetchGap)) || now.Before(n.retry)):
		return use // asked for an unknown key lately: it is none
	case n.set == without:
		return ask
	case now.Before(n.refresh):
		return use
	case now.Before(n.expires) || n.failures > 0 && now.Before(n.loaded.Add(maxStale)):
		if now.Before(n.retry) {
			return use
		}
		return useAndAsk
	case now.Before(n.retry):
		return fail
	default:
		return ask
	}
}

// issuer returns the issuer of the provider, made if need be.
func (k *Keys) issuer(p *oidc.Provider) *issuer {
	key := p.Issuer
	if len(p.Thumbprints) > 0 {
		key += " " + strings.Join(slices.Sorted(slices.Values(p.Thumbprints)), " ")
	}
	k.mu.RLock()
	i := k.issuers[key]
	k.mu.RUnlock()
	if i != nil {
		return i
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if i := k.issuers[key]; i != nil {
		return i
	}
	if len(k.issuers) >= k.cfg.MaxIssuers {
		k.giveUpOldest()
	}
	i = &issuer{provider: p}
	k.issuers[key] = i
	return i
}

// giveUpOldest forgets the issuer that was used the longest ago. Call it with mu held.
func (k *Keys) giveUpOldest() {
	oldest, at := "", int64(0)
	for key, i := range k.issuers {
		if used := i.used.Load(); oldest == "" || used < at {
			oldest, at = key, used
		}
	}
	delete(k.issuers, oldest)
}

var errBusy = fmt.Errorf("%w: too many calls wait for keys", oidc.ErrUnavailable)

// wait loads the keys, or waits for who is at it already. It returns at once when seen is no longer what is known.
func (k *Keys) wait(ctx context.Context, i *issuer, seen *knowledge, forced bool) error {
	if i.waiters.Add(1) > maxWaiters {
		i.waiters.Add(-1)
		return errBusy
	}
	defer i.waiters.Add(-1)
	done, ok := k.launch(i, seen, forced)
	if !ok {
		return errBusy
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", oidc.ErrUnavailable, ctx.Err())
	}
}

// launch begins a load unless one is under way or has ended since seen, and returns what is closed when it ends; false when too
// many loads are under way. A load does not end with the call that happened to begin it: others wait for it.
func (k *Keys) launch(i *issuer, seen *knowledge, forced bool) (done <-chan struct{}, ok bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.flight != nil {
		return i.flight, true
	}
	ended := make(chan struct{})
	if i.known.Load() != seen {
		close(ended)
		return ended, true
	}
	select {
	case k.loads <- struct{}{}:
	default:
		return nil, false
	}
	i.flight = ended
	go func() {
		defer func() { <-k.loads }()
		ctx, cancel := context.WithTimeout(context.Background(), loadTimeout)
		defer cancel()
		set, fresh, err := k.load(ctx, i.provider)
		k.learn(i, seen, set, fresh, err, forced)
		i.mu.Lock()
		defer i.mu.Unlock()
		i.flight = nil
		close(ended)
	}()
	return ended, true
}

// learn notes the result of a load.
func (k *Keys) learn(i *issuer, old *knowledge, set *oidc.KeySet, fresh time.Duration, err error, forced bool) {
	if k.cfg.Loaded != nil {
		k.cfg.Loaded(i.provider.Issuer, err)
	}
	now := k.cfg.Now()
	n := new(knowledge)
	if old != nil {
		*n = *old
	}
	if forced {
		n.forced = now
	}
	if n.err = err; err == nil {
		fresh = min(max(fresh, minFresh), maxFresh)
		n.set, n.loaded, n.refresh, n.expires = set, now, now.Add(fresh*3/4), now.Add(fresh)
		n.failures, n.retry = 0, time.Time{}
		k.cfg.Log.Debug("keys of issuer", "issuer", i.provider.Issuer, "keys", set.Len(), "ignored", set.Ignored())
	} else {
		n.failures++
		n.retry = now.Add(min(firstRetry<<min(n.failures-1, 10), lastRetry))
		k.cfg.Log.Warn("keys of issuer not retrieved", "issuer", i.provider.Issuer, "failures", n.failures, "error", err)
	}
	i.known.Store(n)
}

// load gets the issuer's keys and how long they are fresh by its own account.
func (k *Keys) load(ctx context.Context, p *oidc.Provider) (set *oidc.KeySet, fresh time.Duration, err error) {
	defer func() {
		if r := recover(); r != nil { // parsers of foreign bytes run here, on a goroutine of which nobody else would hear
			set, err = nil, fmt.Errorf("%w: panic: %v", oidc.ErrUnusable, r)
		}
	}()
	if path, ok := k.cfg.Files[p.Issuer]; ok {
		set, err := ReadFile(path)
		return set, 0, err
	}
	trust := Trust{Roots: k.cfg.Roots[p.Issuer], Thumbprints: p.Thumbprints}
	// "/" at the end of the issuer goes before the path is added (OpenID Connect Discovery 1.0 section 4.1).
	discovered, err := k.cfg.Client.Get(ctx, strings.TrimSuffix(p.Issuer, "/")+"/.well-known/openid-configuration", trust)
	if err != nil {
		return nil, 0, failure("discovery", err)
	}
	location, err := oidc.ParseDiscovery(discovered.Body, p.Issuer)
	if err != nil {
		return nil, 0, err
	}
	document, err := k.cfg.Client.Get(ctx, location, trust)
	if err != nil {
		return nil, 0, failure("keys", err)
	}
	set, err = oidc.ParseKeySet(document.Body)
	return set, document.MaxAge, err
}

// ReadFile reads a JWK set. The error matches ErrUnavailable or ErrUnusable of package oidc.
func ReadFile(path string) (*oidc.KeySet, error) {
	info, err := os.Stat(path)
	if err == nil && info.Size() > oidc.MaxKeySetSize {
		return nil, fmt.Errorf("%w: %s is too large", oidc.ErrUnusable, path)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", oidc.ErrUnavailable, err)
	}
	return oidc.ParseKeySet(raw)
}

// failure gives errors of Client.Get the meaning that oidc.Keys promises.
func failure(what string, err error) error {
	kind := oidc.ErrUnavailable
	switch {
	case errors.Is(err, ErrCertificate):
		kind = oidc.ErrCertificate
	case errors.Is(err, ErrRefused):
		kind = oidc.ErrUnusable
	}
	return fmt.Errorf("%w: %s: %w", kind, what, err)
}
