// Package session owns the state of live sessions: one Record per session for listing and revocation, the guard that lets a proof
// (a TOTP time step, a SAML assertion) be used once, the throttle that slows down guessing, and small values such as sign-ins.
//
// It holds the types, the contract of a backend (Store, Guard, Throttle, Values) and the binary form of a Record. session/embedded keeps the
// state in process and on disk, session/redis in Redis; session/sessiontest is the conformance suite that both pass.
// Whether a session's credentials are valid is not decided here: that rests on signature, expiry and revocations.
package session

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// The kinds of session, as Record.Kind spells them.
const (
	KindRole       = "role"       // AssumeRole, AssumeRoleWithSAML, AssumeRoleWithWebIdentity
	KindUser       = "user"       // GetSessionToken
	KindFederation = "federation" // GetFederationToken
	KindRoot       = "root"       // AssumeRoot
)

// Record is what is remembered of a live session. It holds no secret. Times are kept to the millisecond, in UTC.
type Record struct {
	AccessKeyID    string    // ASIA…; required, unique
	Account        string    // required
	Kind           string    // KindRole, KindUser, KindFederation or KindRoot; required
	EntityID       string    // AROA… or AIDA…; the account id for root; required
	EntityARN      string    // of the role or user behind the session, with path
	ARN            string    // of the session, as GetCallerIdentity shows it
	SessionName    string    // role session name, or the federated user's name
	SourceIdentity string    // empty: none
	Parent         string    // access key id that asked for the session; empty when a token or an assertion did
	Issuer         string    // identity provider of a federated session
	Subject        string    // who the provider says it is; without provider and parent, the unique id of the user who asked
	IssuedAt       time.Time // required
	ExpiresAt      time.Time // required; the record is gone from this instant on
	MFA            bool      // asked for with MFA
	Chained        bool      // asked for with the credentials of a role session
}

// Errors of stores and guards. Backends wrap them; match with errors.Is.
var (
	// ErrNotFound says that no live session has the access key id.
	ErrNotFound = errors.New("session not found")
	// ErrUnavailable says that the state cannot be reached or written now. Nothing may be minted on it.
	ErrUnavailable = errors.New("session state is unavailable")
	// ErrConsumed says that the name was consumed before, or may have been.
	ErrConsumed = errors.New("already consumed")
	// ErrInvalid says that a record, a query or a guard's name is outside its bounds: the caller's mistake.
	ErrInvalid = errors.New("invalid session state")
	// ErrDamaged says that stored bytes are not what was written.
	ErrDamaged = errors.New("damaged session state")
)

// Query selects sessions for List.
type Query struct {
	Account  string // required
	EntityID string // empty: all of the account
	After    string // Page.Next of the page before; empty: from the start
	Limit    int    // most records in the page, 1 to MaxLimit; 0: DefaultLimit
}

// Bounds of Query.Limit.
const (
	DefaultLimit = 100
	MaxLimit     = 1000
)

// Page is one page of List.
type Page struct {
	Records []*Record
	Next    string // cursor of the next page; empty: this was the last
}

// Store keeps the records of live sessions. Implementations are safe for concurrent use.
type Store interface {
	// Put keeps a copy of r until r.ExpiresAt; when it returns nil, the record is as durable as the store makes it and Get and
	// List of every node see it. A record with the same access key id is replaced; one that has expired is dropped. Put returns an
	// error matching ErrInvalid for a record outside its bounds, and within a bounded time one matching ErrUnavailable when
	// the store cannot keep it. After ErrUnavailable the record may or may not be there.
	Put(ctx context.Context, r *Record) error
	// Get returns the record of a live session, or an error matching ErrNotFound (also when it has expired) or ErrUnavailable.
	Get(ctx context.Context, accessKeyID string) (*Record, error)
	// List returns live sessions ordered by EntityID, then AccessKeyID, bytewise. The order is stable: a session that lives from
	// the first page to the last is on exactly one of them. A page shorter than its limit is the last one. Errors match ErrInvalid
	// or ErrUnavailable.
	List(ctx context.Context, q Query) (Page, error)
	// Ping reports, within a bounded time, whether the store can be reached and written.
	Ping(ctx context.Context) error
	// Close releases the store. No other method may be called after it.
	Close() error
}

// Guard lets each name pass once, on all nodes that share the backend. Implementations are safe for concurrent use.
type Guard interface {
	// Consume returns nil to the first caller for a name and an error matching ErrConsumed to every other one before until. Add to
	// until how far the clocks of nodes may differ. since is when the proof behind the name may have been used first: if the backend has
	// lost what it knew after that, the name may have been consumed, and the error matches ErrConsumed too. A name holds 1 to MaxGuardName bytes of any kind and is never logged. A name
	// outside these bounds and an until that is not in the future, which would guard nothing, give an error matching
	// ErrInvalid. When the guard cannot be asked the error matches ErrUnavailable, and the name may or may not be
	// consumed: refuse.
	Consume(ctx context.Context, name string, since, until time.Time) error
	// Found tells the backend that the installation is new: nothing was consumed before, though it remembers nothing.
	Found(ctx context.Context) error
}

// Bounds of Consume. MaxGuardName is the largest length of a guard's name in bytes: an entity id of a SAML provider (1,024), an assertion id and a
// role ARN (2,048) fit.
// MaxGuardTime is how far until may be away: longer than any proof lives.
const (
	MaxGuardName = 4096
	MaxGuardTime = 7 * 24 * time.Hour
)

// BirthMargin is how far the clock of the node that finds a backend empty may be behind the clocks of those that used it before.
const BirthMargin = 5 * time.Second

// CheckGuard returns an error matching ErrInvalid when Consume must refuse its arguments. Backends call it first.
func CheckGuard(name string, now, until time.Time) error {
	if name == "" || len(name) > MaxGuardName {
		return fmt.Errorf("%w: guard's name of %d bytes", ErrInvalid, len(name))
	}
	if left := until.Sub(now); left < time.Millisecond || left > MaxGuardTime {
		return fmt.Errorf("%w: guard for %s", ErrInvalid, left)
	}
	return nil
}
