// Package authn turns a signed request into a Caller: whose key is it, is the session token ours, is it still valid.
//
// It is the only place that knows how a caller proves itself. What the caller may do is authz's matter.
package authn

import (
	"time"

	"github.com/stint-sts/stint/policy"
	"github.com/stint-sts/stint/signer"
)

// Kind tells how a caller came by its credentials.
type Kind uint8

// The kinds of caller.
const (
	Anonymous     Kind = iota // an unsigned operation
	Root                      // the account's root user
	User                      // an IAM user, with long-lived keys or a GetSessionToken session
	RoleSession               // a session of a role
	FederatedUser             // a GetFederationToken session
	WebIdentity               // the holder of a verified web identity token, calling AssumeRoleWithWebIdentity
	SAML                      // the subject of a verified SAML assertion, calling AssumeRoleWithSAML
)

// Request is what is known of a call apart from who makes it. It feeds the global condition keys and the audit.
type Request struct {
	ID              string // request id, a UUID
	Service         string // "sts" or "iam"
	Operation       string // "AssumeRole"
	Region          string // of the credential scope; empty when unsigned
	AccessKeyID     string // as the request claims, proven or not; empty when unsigned
	Time            time.Time
	SourceIP        string // address of the peer, or what a trusted proxy says
	UserAgent       string
	Referer         string
	SecureTransport bool // the call came over TLS

	// Certificate is the names in the client certificate that TLS has verified: "uri:…" and "dns:…". Nil without one.
	Certificate []string

	// Decisions are the questions of policy that the call has raised so far, for operators. authz adds them.
	Decisions []Decision
}

// Decision is one question of policy with all that it was decided on. It quotes policies and request context, so no caller
// sees it.
type Decision struct {
	Request  policy.Request
	Policies policy.Policies
	Outcome  policy.Decision
}

// Caller is the authenticated principal of one request with its session facts. It is immutable, but for the anonymous caller of an
// unsigned operation: once a token or an assertion has proven who calls, the operation puts that one in its place.
type Caller struct {
	Kind        Kind
	Account     string
	ARN         string // as GetCallerIdentity shows it
	UserID      string // aws:userid: account id, AIDA…, AROA…:session-name, ACCOUNT:name
	AccessKeyID string
	Subject     string         // WebIdentity and SAML: who the identity provider says it is
	Entity      *Entity        // the user or role behind the credentials; for root the account; nil when anonymous
	Session     *signer.Claims // nil for long-lived keys
	Request     *Request

	// SessionPolicies are the session's inline and managed policies, compiled; nil when it has none.
	SessionPolicies []*policy.Document
}

// EntityType is the type of a directory object that can act.
type EntityType uint8

// The types of entity.
const (
	AccountEntity EntityType = iota + 1 // the account, acting as its root user
	UserEntity
	RoleEntity
)

// Entity is a user, a role or an account as the request path sees it: compiled, cached, immutable.
type Entity struct {
	Type    EntityType
	Account string
	ID      string // unique id (AIDA…, AROA…); the account id for an account
	ARN     string // with path
	Path    string
	Name    string
	Tags    []Tag

	Identity []*policy.Document // inline, managed and (for users) group policies; not nil when the entity exists
	Boundary *policy.Document   // nil: none

	// Trust and MaxSessionDuration are set for roles.
	Trust              *policy.Document
	MaxSessionDuration time.Duration
}

// Tag is a key and a value; keys compare ignoring case.
type Tag struct {
	Key   string
	Value string
}
