package iam

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/stint-sts/stint/authn"
)

// Kind tells what a Record holds.
type Kind string

// The kinds of record. The comment says what Parent, Name and Target hold where it is not obvious.
const (
	KindAccount         Kind = "account"          // Account "", Name account id, ID account id
	KindAlias           Kind = "alias"            // Account "", Name alias, Target account id
	KindUser            Kind = "user"             // ID AIDA…
	KindGroup           Kind = "group"            // ID AGPA…
	KindRole            Kind = "role"             // ID AROA…
	KindPolicy          Kind = "policy"           // customer managed policy; ID ANPA…
	KindPolicyVersion   Kind = "policy-version"   // Parent policy id, Name "v" and the number in six digits
	KindInlinePolicy    Kind = "inline-policy"    // Parent entity id, Name policy name
	KindAttachment      Kind = "attachment"       // Parent entity id, Name and Target policy ARN
	KindBoundary        Kind = "boundary"         // Parent entity id, Name "boundary", Target policy ARN
	KindMembership      Kind = "membership"       // Parent user id, Name and Target group id
	KindAccessKey       Kind = "access-key"       // Parent user id (root: account id), Name and ID access key id
	KindInstanceProfile Kind = "instance-profile" // ID AIPA…, Target role id or ""
	KindMFADevice       Kind = "mfa-device"       // Name serial number, Target user id or ""
	KindLoginProfile    Kind = "login-profile"    // Parent user id, Name "password"
	KindPasswordPolicy  Kind = "password-policy"  // Name "policy"
	KindOIDCProvider    Kind = "oidc-provider"    // Name URL without scheme
	KindSAMLProvider    Kind = "saml-provider"    // Name provider name, Target entity id of its metadata
	KindOutboundIssuer  Kind = "outbound-issuer"  // Parent account id, Name "issuer", ID the issuer's UUID
	KindKeyRing         Kind = "key-ring"         // Account "", Name "ring": the signer's sealed key ring
	KindRevocation      Kind = "revocation"       // Account "", Name and ID the revocation's id, which sorts by time
	KindBootstrap       Kind = "bootstrap"        // Account "", Name "done": the first account's root key was handed over
)

// Record is one row of the directory. The store keeps records; package iam gives them meaning.
type Record struct {
	Kind    Kind
	Account string // owner; empty for what belongs to the whole installation
	Parent  string // unique id of the owner inside the account; empty for a top-level object
	Name    string // key within (Kind, Account, Parent), lower case where AWS ignores case; lists are in this order
	ID      string // unique over the directory when not empty
	Target  string // what a link points at; empty when it is no link
	Path    string // "/a/b/" for objects that have one
	Version int64  // 0: to be created; otherwise the version that was read, for compare-and-set
	Body    []byte // JSON of the typed object
}

// Query selects records of one kind. Either Account and Parent are set, or Target.
type Query struct {
	Kind       Kind
	Account    string // exact; with Target set, empty means every account
	Parent     string // exact
	Target     string // when set, selects by link target instead of by Parent
	PathPrefix string // keeps records whose Path starts with it
	After      string // keeps records whose Name (with Target set: Parent) is greater; for pagination
	Limit      int    // at most so many records; 0 means no limit
}

// Use is when and for what an access key, a role or a user's password was last used. It is no part of the record: nothing that is
// remembered depends on it, and noting it waits for no other writer.
type Use struct {
	ID              string // unique id of the access key, the role or the user
	At              time.Time
	Service, Region string
}

// Supersedes reports whether u takes the place of what was noted before. The latest does; but what lies far ahead of now comes from a
// clock that was set back since, and does not count.
func (u Use) Supersedes(noted, now time.Time) bool {
	return u.At.After(noted) || noted.After(now.Add(MaxAhead))
}

// MaxAhead is how far a use may seem to lie in the future: as far as the clocks of clients and nodes may differ.
const MaxAhead = 15 * time.Minute

// ErrNotFound tells that a record does not exist. It matches authn.ErrUnknown.
var ErrNotFound = fmt.Errorf("no such record: %w", authn.ErrUnknown)

// ErrConflict tells that a record was changed or created by somebody else since it was read.
var ErrConflict = errors.New("record changed meanwhile")

// ErrUnavailable tells that the store cannot be reached, or does not answer in time. What was under way may have happened.
var ErrUnavailable = errors.New("the directory's database is not available")

// Store keeps the directory. iam/store implements it on SQLite and PostgreSQL; iamtest is its conformance suite.
// All methods are safe for concurrent use, and return an error matching ErrUnavailable when the database does not answer.
type Store interface {
	// View runs f on a consistent snapshot.
	View(ctx context.Context, f func(Tx) error) error
	// Update runs f in a serializable transaction and commits it durably when f returns nil. It may run f again after a
	// serialization failure, so f has no effects outside of tx. Otherwise f's error is returned and nothing is changed.
	Update(ctx context.Context, f func(Tx) error) error
	// NoteUses notes those uses that supersede what was noted for their ids; ids that no access key, role or user has are passed over. All
	// are noted or none. Nobody's Update waits for it or fails by it, and it is no change that a Feed tells of.
	NoteUses(ctx context.Context, now time.Time, uses []Use) error
	// Close releases the store.
	Close() error
}

// Tx is the view of one transaction. It must not be used after f returned, nor by several goroutines.
type Tx interface {
	// Get returns a record by its key, or ErrNotFound.
	Get(kind Kind, account, parent, name string) (Record, error)
	// ByID returns a record by its unique id, or ErrNotFound.
	ByID(kind Kind, id string) (Record, error)
	// List returns the records that q selects, in order of Name (with Target set: of Parent).
	List(q Query) ([]Record, error)
	// Count returns how many records q selects; After and Limit are ignored.
	Count(q Query) (int, error)
	// Put creates r (Version 0) or replaces the record that has r's key, if its version is still r.Version; r.Name may be
	// changed by giving ID (rename). It returns ErrConflict when the key or ID exists already, or the version differs.
	Put(r Record) error
	// Uses returns what was noted last for each of the ids that anything was noted for.
	Uses(ids ...string) (map[string]Use, error)
	// Delete removes a record by its key, with what was noted of its use, or returns ErrNotFound.
	Delete(kind Kind, account, parent, name string) error
}
