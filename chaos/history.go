// Package chaos runs an installation of three nodes under load and faults, and proves from the recorded history that what stint promises
// held: see Check for the promises. "make chaos" runs it for three minutes, "make test" for some seconds.
//
// This file and check.go know nothing of stint: they judge a History, and their tests feed them histories that break each promise. The rest
// are tests that make a real one.
package chaos

import (
	"sync"
	"time"
)

// Outcome is what a caller learned of its call.
type Outcome uint8

const (
	// Unknown: no answer, or one that says that the service could not decide. The call may have had its effect.
	Unknown Outcome = iota
	Passed
	Refused
)

// Call is one call to one node. Times are since the beginning of the run, on the caller's monotonic clock.
type Call struct {
	Node       int
	Begin, End time.Duration
	Outcome    Outcome
	Code       string // AWS's, when the call did not pass
}

// Mint asked for credentials.
type Mint struct {
	Call
	ID     string // access key id
	Role   string // whose session it is
	Parent string // access key id of the session that asked; empty: none
}

// Use presented a session's credentials.
type Use struct {
	Call
	ID string
}

// Revocation ended a session with all that was made from it, or all sessions of a role that were issued before it.
type Revocation struct {
	Call
	ID, Role  string // one of them
	Confirmed bool   // the answer says that every live node has it
}

// Proof presented something that is good once, such as an MFA code.
type Proof struct {
	Call
	Name string
}

// Write changed the directory: it made a user.
type Write struct {
	Call
	User string
}

// FaultKind is what a Fault does.
type FaultKind string

// The kinds of Fault.
const (
	NodeKilled      FaultKind = "kill a node"
	NodePaused      FaultKind = "pause a node"
	ClockJumped     FaultKind = "jump a node's clock"
	PostgresKilled  FaultKind = "kill PostgreSQL"
	PostgresStalled FaultKind = "stall a node's way to PostgreSQL"
	PostgresCut     FaultKind = "cut a node's way to PostgreSQL"
	RedisFailedOver FaultKind = "fail over Redis"
	RedisPaused     FaultKind = "pause a Redis primary"
	RedisWiped      FaultKind = "wipe Redis"
)

// Everybody as Fault.Node is every node.
const Everybody = -1

// Fault is something that was done to the installation.
type Fault struct {
	Kind       FaultKind
	Node       int           // whom it concerns, or Everybody
	Begin, End time.Duration // End includes the time until the part works again
	By         time.Duration // ClockJumped: how far the clock is ahead meanwhile
}

// History is all that happened in a run, and what was found at its end. Its Record methods are safe for concurrent use.
type History struct {
	mu          sync.Mutex
	Nodes       int
	Mints       []Mint
	Uses        []Use
	Revocations []Revocation
	Proofs      []Proof
	Writes      []Write
	Faults      []Fault

	// Found at the end.
	Users   []map[string]bool // by node: the users that it shows
	Records map[string]bool   // access key ids that session state has a record of
	Audited []map[string]bool // by node: access key ids that its audit log says it has issued
}

// record appends what f appends.
func (h *History) record(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f()
}

// Minted records a Mint.
func (h *History) Minted(m Mint) { h.record(func() { h.Mints = append(h.Mints, m) }) }

// Used records a Use.
func (h *History) Used(u Use) { h.record(func() { h.Uses = append(h.Uses, u) }) }

// Revoked records a Revocation.
func (h *History) Revoked(r Revocation) {
	h.record(func() { h.Revocations = append(h.Revocations, r) })
}

// Proved records a Proof.
func (h *History) Proved(p Proof) { h.record(func() { h.Proofs = append(h.Proofs, p) }) }

// Wrote records a Write.
func (h *History) Wrote(w Write) { h.record(func() { h.Writes = append(h.Writes, w) }) }

// Injected records a Fault that is over.
func (h *History) Injected(f Fault) { h.record(func() { h.Faults = append(h.Faults, f) }) }
