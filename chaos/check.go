package chaos

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Bounds that Check judges by.
const (
	// RevocationBound is how soon after the answer a revocation is in force everywhere.
	RevocationBound = time.Second
	// redisSettles and postgresSettles are how long a node may take to find its way back to Redis, and to PostgreSQL, after a fault: the longest
	// pause between two tries, and the time of one.
	redisSettles    = 5 * time.Second
	postgresSettles = 3 * time.Second
	// nodeLife is how long a node counts as live that no longer reaches Redis.
	nodeLife = 3 * time.Second
	// inFlight is how much of what Redis acknowledged a fail-over may lose: what had not reached the replica.
	inFlight = time.Second
	// slack is how much earlier than a revocation a session is surely issued: what its own moment may be off by.
	slack = 50 * time.Millisecond
)

// Violation is a promise that did not hold.
type Violation struct {
	Promise string
	Detail  string
}

// Report is the judgement of a History.
type Report struct {
	Checked    []Count // what was looked at, by promise
	Violations []Violation
}

// Count is how many cases of a promise there were.
type Count struct {
	Promise string
	Cases   int
}

// The promises.
const (
	NoWriteLost     = "an acknowledged write is seen by every node in the end"
	RevokedInTime   = "a revoked session is refused a second after the answer, on every node"
	RevokedAtOnce   = "a revoked session is refused on every live node once they have confirmed"
	ProofOnce       = "no MFA code passes twice, whatever Redis loses"
	Recorded        = "credentials have a session record unless Redis lost it"
	Audited         = "credentials have an audit event on the node that issued them"
	ValidStaysValid = "a session that nobody revoked is not refused"
)

// Check judges a history:
//
//   - An acknowledged write is seen by every node in the end.
//   - A revoked session is refused by every node in calls that begin RevocationBound after the revocation was answered. A node that is cut off from
//     PostgreSQL and from Redis at a time hears of it when it has found its way back to one of them. A node that was paused is no exception:
//     what it is asked when it wakes up it must not judge by what it knew before.
//   - Where every live node has confirmed (--wait), that holds from the answer on. A node that was cut off from Redis is not live.
//   - No proof passes twice, whatever Redis loses: by a fail-over, by a wipe.
//   - Every session has a record, unless Redis was wiped later or failed over just then.
//   - Every session has its event in the audit log of the node that issued it.
//   - A session is refused only if it was revoked.
//
// How slow the machine is counts: what a node takes at most to answer a call in the same time, it may also take to hear of a revocation.
func Check(h *History) *Report {
	c := &checker{h: h, minted: make(map[string]*Mint), counts: make(map[string]int)}
	for i, m := range h.Mints {
		if m.Outcome == Passed {
			c.minted[m.ID] = &h.Mints[i]
		}
	}
	c.indexLatencies()
	c.writes()
	c.revoked()
	c.proofs()
	c.records()
	c.audit()
	c.valid()
	r := &Report{Violations: c.violations}
	for _, promise := range []string{NoWriteLost, RevokedInTime, RevokedAtOnce, ProofOnce, Recorded, Audited, ValidStaysValid} {
		r.Checked = append(r.Checked, Count{promise, c.counts[promise]})
	}
	return r
}

type checker struct {
	h          *History
	minted     map[string]*Mint
	latencies  [][]Call // by node: calls that took notably long, by Begin
	counts     map[string]int
	violations []Violation
}

func (c *checker) violate(promise, format string, args ...any) {
	c.violations = append(c.violations, Violation{promise, fmt.Sprintf(format, args...)})
}

func (c *checker) writes() {
	for _, w := range c.h.Writes {
		if w.Outcome != Passed {
			continue
		}
		for node, users := range c.h.Users {
			c.counts[NoWriteLost]++
			if !users[w.User] {
				c.violate(NoWriteLost, "user %s, acknowledged by node %d at %v, is not on node %d", w.User, w.Node, w.End, node)
			}
		}
	}
}

// covers reports whether the revocation surely ends the session; loosely: whether it may.
func (c *checker) covers(r *Revocation, m *Mint, loosely bool) bool {
	if r.ID != "" {
		for s := m; s != nil; s = c.minted[s.Parent] {
			if s.ID == r.ID {
				return true
			}
		}
		return false
	}
	if r.Role != m.Role {
		return false
	}
	// The revocation's moment is by the clock of its node, the session's by that of its own. They are to the second in the token.
	if loosely {
		return m.Begin+c.clock(m.Node, m.Begin, m.End, true) <= r.End+c.clock(r.Node, r.Begin, r.End, false)+time.Second
	}
	return m.End+c.clock(m.Node, m.Begin, m.End, false)+slack < r.Begin+c.clock(r.Node, r.Begin, r.End, true)
}

// clock is how far a node's clock was ahead between two moments, at least or at most.
func (c *checker) clock(node int, from, to time.Duration, least bool) time.Duration {
	var lowest, highest time.Duration
	for _, f := range c.h.Faults {
		if f.Kind == ClockJumped && f.Node == node && overlap(from, to, f.Begin, f.End) {
			lowest, highest = min(lowest, f.By), max(highest, f.By)
		}
	}
	if least {
		return lowest
	}
	return highest
}

func overlap(from, to, begin, end time.Duration) bool { return from <= end && begin <= to }

func (c *checker) revoked() {
	byRole, byID := make(map[string][]*Revocation), make(map[string][]*Revocation)
	for i := range c.h.Revocations {
		if r := &c.h.Revocations[i]; r.Outcome == Passed && r.ID != "" {
			byID[r.ID] = append(byID[r.ID], r)
		} else if r.Outcome == Passed {
			byRole[r.Role] = append(byRole[r.Role], r)
		}
	}
	for i := range c.h.Uses {
		u := &c.h.Uses[i]
		m := c.minted[u.ID]
		if m == nil || u.Outcome == Unknown {
			continue
		}
		var about []*Revocation
		about = append(about, byRole[m.Role]...)
		for s := m; s != nil; s = c.minted[s.Parent] {
			about = append(about, byID[s.ID]...)
		}
		for _, r := range about {
			if u.Begin > r.End && c.covers(r, m, false) {
				c.judge(u, r)
			}
		}
	}
}

// judge looks at a use that began after a revocation of its session was answered.
func (c *checker) judge(u *Use, r *Revocation) {
	promise, bound := RevokedInTime, c.inForce(u.Node, r.End, u.Begin)
	if r.Confirmed && c.live(u.Node, r) {
		promise, bound = RevokedAtOnce, r.End
	}
	if u.Begin <= bound {
		return
	}
	c.counts[promise]++
	if u.Outcome == Passed {
		c.violate(promise, "session %s, revoked on node %d at %v (answered; confirmed: %v), is accepted by node %d in a call from %v to %v; bound %v%s",
			u.ID, r.Node, r.End, r.Confirmed, u.Node, u.Begin, u.End, bound, c.context(u.Node, r.Begin, u.End))
	}
}

// inForce is when a revocation that was answered at a moment is in force on a node, for calls that begin until then.
func (c *checker) inForce(node int, answered, until time.Duration) time.Duration {
	from := answered
	for _, p := range c.h.Faults {
		for _, r := range c.h.Faults {
			begin, end, both := c.cutOff(node, &p, &r)
			if both && overlap(answered, until, begin, end) {
				from = max(from, end)
			}
		}
	}
	return from + RevocationBound + c.slowest(node, answered, until)
}

// cutOff is when a node has neither PostgreSQL, because of one fault, nor Redis, because of the other.
func (c *checker) cutOff(node int, postgres, redis *Fault) (begin, end time.Duration, both bool) {
	begin, end = max(postgres.Begin, redis.Begin), min(postgres.End+postgresSettles, redis.End+redisSettles)
	return begin, end, isPostgres(postgres, node) && isRedis(redis) && begin < end
}

func isPostgres(f *Fault, node int) bool {
	return (f.Kind == PostgresKilled || f.Kind == PostgresStalled || f.Kind == PostgresCut) && (f.Node == node || f.Node == Everybody)
}

func isRedis(f *Fault) bool {
	return f.Kind == RedisFailedOver || f.Kind == RedisPaused || f.Kind == RedisWiped
}

// live reports whether a node was among those that a confirmed revocation had to wait for.
func (c *checker) live(node int, r *Revocation) bool {
	for i := range c.h.Faults {
		switch f := &c.h.Faults[i]; {
		case isRedis(f) && overlap(r.Begin-nodeLife, r.End, f.Begin, f.End+redisSettles):
			return false
		case f.Node == node && (f.Kind == NodePaused || f.Kind == NodeKilled) && overlap(r.Begin-nodeLife, r.End, f.Begin, f.End+nodeLife):
			return false
		}
	}
	return true
}

const notable = 20 * time.Millisecond

// indexLatencies collects the calls of each node that took long, but for those that a pause of the node explains.
func (c *checker) indexLatencies() {
	c.latencies = make([][]Call, c.h.Nodes)
	note := func(call Call) {
		if call.Outcome == Unknown || call.End-call.Begin < notable || call.Node >= len(c.latencies) {
			return
		}
		for _, f := range c.h.Faults {
			if f.Node == call.Node && (f.Kind == NodePaused || f.Kind == NodeKilled) && overlap(call.Begin, call.End, f.Begin, f.End) {
				return
			}
		}
		c.latencies[call.Node] = append(c.latencies[call.Node], call)
	}
	for _, u := range c.h.Uses { // they need neither PostgreSQL nor Redis
		note(u.Call)
	}
}

// slowest is the longest time that a node took for a call that lies, in part, between two moments.
func (c *checker) slowest(node int, from, to time.Duration) (longest time.Duration) {
	if node >= len(c.latencies) {
		return 0
	}
	for _, call := range c.latencies[node] {
		if overlap(from, to, call.Begin, call.End) {
			longest = max(longest, call.End-call.Begin)
		}
	}
	return longest
}

func (c *checker) proofs() {
	passed := make(map[string][]*Proof)
	for i := range c.h.Proofs {
		if p := &c.h.Proofs[i]; p.Outcome == Passed {
			passed[p.Name] = append(passed[p.Name], p)
		}
	}
	c.counts[ProofOnce] = len(passed)
	for name, calls := range passed {
		if len(calls) > 1 {
			slices.SortFunc(calls, func(a, b *Proof) int { return cmp.Compare(a.Begin, b.Begin) })
			c.violate(ProofOnce, "%s passed %d times: on node %d at %v, on node %d at %v%s", name, len(calls), calls[0].Node, calls[0].End,
				calls[1].Node, calls[1].End, c.context(calls[1].Node, calls[0].Begin, calls[1].End))
		}
	}
}

func (c *checker) records() {
	for _, m := range c.minted {
		if c.lost(m) {
			continue
		}
		c.counts[Recorded]++
		if !c.h.Records[m.ID] {
			c.violate(Recorded, "session %s, issued by node %d at %v, has no record%s", m.ID, m.Node, m.End, c.context(m.Node, m.Begin-inFlight, m.End+inFlight))
		}
	}
}

// lost reports whether Redis may have lost the record of a session.
func (c *checker) lost(m *Mint) bool {
	for _, f := range c.h.Faults {
		switch f.Kind {
		case RedisWiped:
			if m.Begin <= f.End {
				return true
			}
		case RedisFailedOver, RedisPaused: // paused for long enough, it is failed over
			if overlap(m.Begin, m.End, f.Begin-inFlight, f.End) {
				return true
			}
		}
	}
	return false
}

func (c *checker) audit() {
	for _, m := range c.minted {
		c.counts[Audited]++
		if m.Node >= len(c.h.Audited) || !c.h.Audited[m.Node][m.ID] {
			c.violate(Audited, "session %s, issued by node %d at %v, is not in its audit log", m.ID, m.Node, m.End)
		}
	}
}

func (c *checker) valid() {
	byRole, byID := make(map[string][]*Revocation), make(map[string][]*Revocation)
	for i := range c.h.Revocations { // whatever was answered: one that failed may have had its effect
		if r := &c.h.Revocations[i]; r.ID != "" {
			byID[r.ID] = append(byID[r.ID], r)
		} else {
			byRole[r.Role] = append(byRole[r.Role], r)
		}
	}
	for i := range c.h.Uses {
		u := &c.h.Uses[i]
		m := c.minted[u.ID]
		if m == nil || u.Outcome == Unknown {
			continue
		}
		begun := func(r *Revocation) bool { return r.Begin <= u.End }
		ended := slices.ContainsFunc(byRole[m.Role], func(r *Revocation) bool { return begun(r) && c.covers(r, m, true) })
		for s := m; s != nil && !ended; s = c.minted[s.Parent] {
			ended = slices.ContainsFunc(byID[s.ID], begun)
		}
		if ended {
			continue
		}
		c.counts[ValidStaysValid]++
		if u.Outcome == Refused {
			c.violate(ValidStaysValid, "session %s, issued by node %d at %v, is refused by node %d at %v: %s%s", u.ID, m.Node, m.End, u.Node, u.End, u.Code,
				c.context(u.Node, u.Begin-time.Second, u.End))
		}
	}
}

// context names the faults that a case may have to do with.
func (c *checker) context(node int, from, to time.Duration) string {
	var all []string
	for _, f := range c.h.Faults {
		if (f.Node == node || f.Node == Everybody) && overlap(from, to, f.Begin, f.End+redisSettles) {
			all = append(all, fmt.Sprintf("%s from %v to %v", f.Kind, f.Begin, f.End))
		}
	}
	if all == nil {
		return ""
	}
	return " (" + strings.Join(all, "; ") + ")"
}
