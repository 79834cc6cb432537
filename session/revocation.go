package session

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Revocation ends sessions before their time. Exactly one of the fields that say which is set, but that Name goes with EntityID and Subject
// with Issuer. A revocation is final: nothing takes it back.
type Revocation struct {
	ID      string // unique; sorts by time of making
	Account string // whose sessions end; required

	Credential string // access key id of a session, or of a long-lived key: that session and all that was made from it, at any remove
	Root       string // with Credential: the first credential of the chain that led to it; empty when that is not known
	EntityID   string // of a role or a user: its sessions
	Name       string // with EntityID: only those of this session name
	Issuer     string // ARN of an identity provider: sessions of those it vouched for
	Subject    string // with Issuer: only of this one
	All        bool   // every session of the account

	// Before is the moment that decides: what was issued earlier ends. With Credential it bounds nothing: what such a session asked for
	// later ends too.
	Before time.Time
	Made   time.Time // when the revocation was made
	By     string    // ARN of who made it
	Reason string    // in words, for other operators; may be empty
}

// RevocationID makes the id of a revocation: ids sort by the time at which they are made. chance tells apart those of one moment.
func RevocationID(made time.Time, chance string) string {
	return fmt.Sprintf("rev-%012x-%s", made.UnixMilli(), chance)
}

// Until is when the last session has ended that r could be about: nothing needs to remember r any longer.
func (r *Revocation) Until() time.Time {
	latest := r.Before
	if r.Made.After(latest) {
		latest = r.Made
	}
	return latest.Add(MaxLifetime + revocationGrace)
}

// revocationGrace is how far clocks may differ without a revocation being forgotten too early.
const revocationGrace = time.Hour

// MaxRevocations bounds how many revocations of single sessions, and how many of all other kinds, are remembered of an account at a
// time: some 6 MiB of memory. Whoever reaches it revokes by role or by account instead. It counts for each account, since everybody who
// holds a session may end it: whoever ends many must not keep others from ending theirs.
const MaxRevocations = 10_000

// ErrFull says that MaxRevocations is reached.
var ErrFull = errors.New("too many revocations at a time")

// Check returns an error matching ErrInvalid when r does not say which sessions end, or says it in several ways.
func (r *Revocation) Check() error {
	ways := 0
	for _, said := range []bool{r.Credential != "", r.EntityID != "", r.Issuer != "", r.All} {
		if said {
			ways++
		}
	}
	switch {
	case r.ID == "" || r.Account == "":
		return fmt.Errorf("%w: revocation without id or account", ErrInvalid)
	case ways != 1:
		return fmt.Errorf("%w: revocation that names sessions in %d ways", ErrInvalid, ways)
	case r.Name != "" && r.EntityID == "", r.Root != "" && r.Credential == "", r.Subject != "" && r.Issuer == "":
		return fmt.Errorf("%w: revocation by a part of a name", ErrInvalid)
	case r.Before.IsZero() || r.Made.IsZero():
		return fmt.Errorf("%w: revocation without a moment", ErrInvalid)
	}
	return nil
}

// Holder is what revocations ask of a session.
type Holder struct {
	Account     string
	AccessKeyID string
	EntityID    string
	Name        string
	Issuer      string
	Subject     func() string // who the issuer says it is; asked for only when somebody's sessions are revoked by subject
	IssuedAt    time.Time

	// Parent is the access key id that asked for the session, Ancestors those that led to Parent, oldest first. Cut says that some after
	// the first are missing, because there were more than a token carries.
	Parent    string
	Ancestors []string
	Cut       bool
}

// root is the first credential of the chain.
func (h *Holder) root() string {
	switch {
	case len(h.Ancestors) > 0:
		return h.Ancestors[0]
	case h.Parent != "":
		return h.Parent
	default:
		return h.AccessKeyID
	}
}

// Revocations is what a node knows of revocations: in memory, asked on every request. It is safe for concurrent use.
type Revocations struct {
	some atomic.Bool // false: nothing is revoked, and no lock is needed to know

	mu          sync.RWMutex
	all         map[string]*Revocation
	counts      map[criterion]int       // of all, by account and whether it has a Credential
	credentials map[string]struct{}     // revoked, with all that they led to
	cut         map[string]time.Time    // by root of a revoked credential, "" when it is not known: when that was last
	before      map[criterion]time.Time // what meets the criterion and was issued earlier is revoked
	subjects    int                     // criteria with a subject
}

// criterion is what sessions that end together have in common.
type criterion struct {
	account, kind, value, part string
}

const (
	everySession = "account"
	byEntity     = "entity"
	bySession    = "session"
	byIssuer     = "issuer"
)

// NewRevocations makes an empty Revocations.
func NewRevocations() *Revocations {
	v := &Revocations{}
	v.reset()
	return v
}

func (v *Revocations) reset() {
	v.all, v.credentials = make(map[string]*Revocation), make(map[string]struct{})
	v.cut, v.before = make(map[string]time.Time), make(map[criterion]time.Time)
	v.counts, v.subjects = make(map[criterion]int), 0
}

// Add makes rs count, beside what counts already. One that is there, that nothing can be about any more at now, or that Check refuses
// changes nothing.
func (v *Revocations) Add(now time.Time, rs ...*Revocation) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, r := range rs {
		if r.Check() == nil && now.Before(r.Until()) {
			v.add(r)
		}
	}
}

func (v *Revocations) add(r *Revocation) {
	if _, known := v.all[r.ID]; known {
		return
	}
	v.all[r.ID] = r
	v.counts[quotaOf(r)]++
	switch {
	case r.Credential != "":
		v.credentials[r.Credential] = struct{}{}
		if r.Made.After(v.cut[r.Root]) {
			v.cut[r.Root] = r.Made
		}
	case r.EntityID != "":
		v.raise(criterion{r.Account, byEntity, r.EntityID, r.Name}, r.Before)
	case r.Issuer != "":
		v.raise(criterion{r.Account, byIssuer, r.Issuer, r.Subject}, r.Before)
	default:
		v.raise(criterion{account: r.Account, kind: everySession}, r.Before)
	}
	v.some.Store(true)
}

func (v *Revocations) raise(c criterion, before time.Time) {
	if c.kind == byIssuer && c.part != "" {
		v.subjects++
	}
	if before.After(v.before[c]) {
		v.before[c] = before
	}
}

// Forget drops what nothing can be about any more at now.
func (v *Revocations) Forget(now time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	old := v.all
	v.reset()
	for _, r := range old {
		if now.Before(r.Until()) {
			v.add(r)
		}
	}
	v.some.Store(len(v.all) > 0)
}

// Room returns an error matching ErrFull when r is one too many.
func (v *Revocations) Room(r *Revocation) error {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if v.counts[quotaOf(r)] >= MaxRevocations {
		return ErrFull
	}
	return nil
}

// quotaOf is what MaxRevocations counts r under.
func quotaOf(r *Revocation) criterion {
	if r.Credential != "" {
		return criterion{account: r.Account, kind: bySession}
	}
	return criterion{account: r.Account}
}

// Len is how many revocations count.
func (v *Revocations) Len() int {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return len(v.all)
}

// Revoked reports whether a revocation has ended the session.
func (v *Revocations) Revoked(h *Holder) bool {
	if !v.some.Load() {
		return false
	}
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.byCredential(h) || v.byMoment(h)
}

func (v *Revocations) byCredential(h *Holder) bool {
	if len(v.credentials) == 0 {
		return false
	}
	for _, id := range [...]string{h.AccessKeyID, h.Parent} {
		if _, revoked := v.credentials[id]; revoked {
			return true
		}
	}
	for _, id := range h.Ancestors {
		if _, revoked := v.credentials[id]; revoked {
			return true
		}
	}
	// Which of its ancestors the session does not name, nobody knows. What led from the same root, or from one unknown, may be among them.
	return h.Cut && (!h.IssuedAt.After(v.cut[h.root()]) || !h.IssuedAt.After(v.cut[""]))
}

func (v *Revocations) byMoment(h *Holder) bool {
	if len(v.before) == 0 {
		return false
	}
	earlier := func(kind, value, part string) bool {
		return h.IssuedAt.Before(v.before[criterion{h.Account, kind, value, part}])
	}
	switch {
	case earlier(everySession, "", ""), earlier(byEntity, h.EntityID, ""), earlier(byEntity, h.EntityID, h.Name):
		return true
	case h.Issuer == "":
		return false
	case earlier(byIssuer, h.Issuer, ""):
		return true
	default:
		return v.subjects > 0 && h.Subject != nil && earlier(byIssuer, h.Issuer, h.Subject())
	}
}
