package chaos_test

import (
	"testing"
	"time"

	"github.com/stint-sts/stint/chaos"
)

// at is a call to a node that passed, from a moment to 1 ms later.
func at(node int, begin time.Duration) chaos.Call {
	return chaos.Call{Node: node, Begin: begin, End: begin + time.Millisecond, Outcome: chaos.Passed}
}

func refused(node int, begin time.Duration) chaos.Call {
	c := at(node, begin)
	c.Outcome, c.Code = chaos.Refused, "ExpiredToken"
	return c
}

func unknown(node int, begin time.Duration) chaos.Call {
	c := at(node, begin)
	c.Outcome, c.Code = chaos.Unknown, "ServiceUnavailable"
	return c
}

// sound is a history in which every promise is kept, and checked.
func sound() *chaos.History {
	return &chaos.History{
		Nodes: 2,
		Mints: []chaos.Mint{
			{Call: at(0, 1*time.Second), ID: "ended", Role: "a"},
			{Call: at(1, 2*time.Second), ID: "child", Role: "b", Parent: "ended"},
			{Call: at(1, 2*time.Second), ID: "valid", Role: "c"},
			{Call: at(0, 3*time.Second), ID: "of role", Role: "d"},
			{Call: unknown(0, 3*time.Second), Role: "d"},
		},
		Revocations: []chaos.Revocation{
			{Call: at(0, 10*time.Second), ID: "ended"},
			{Call: at(0, 20*time.Second), Role: "d", Confirmed: true},
			{Call: refused(0, 21*time.Second), Role: "nobody's"},
		},
		Uses: []chaos.Use{
			{Call: at(0, 5*time.Second), ID: "ended"},
			{Call: at(1, 10500*time.Millisecond), ID: "ended"}, // within the bound
			{Call: refused(1, 12*time.Second), ID: "ended"},
			{Call: refused(1, 13*time.Second), ID: "child"},
			{Call: refused(1, 20002*time.Millisecond), ID: "of role"},
			{Call: at(1, 30*time.Second), ID: "valid"},
			{Call: unknown(1, 31*time.Second), ID: "valid"},
		},
		Proofs: []chaos.Proof{
			{Call: at(0, 5*time.Second), Name: "code"}, {Call: refused(1, 5*time.Second), Name: "code"}, {Call: unknown(1, 6*time.Second), Name: "code"},
		},
		Writes:  []chaos.Write{{Call: at(0, 4*time.Second), User: "alice"}, {Call: unknown(0, 4*time.Second), User: "bob"}},
		Users:   []map[string]bool{{"alice": true}, {"alice": true}},
		Records: map[string]bool{"ended": true, "child": true, "valid": true, "of role": true},
		Audited: []map[string]bool{{"ended": true, "of role": true}, {"child": true, "valid": true}},
	}
}

func TestCheck_ASoundHistoryHasNoViolations(t *testing.T) {
	t.Parallel()
	r := chaos.Check(sound())
	for _, v := range r.Violations {
		t.Errorf("%s: %s", v.Promise, v.Detail)
	}
	for _, c := range r.Checked {
		if c.Cases == 0 {
			t.Errorf("nothing is checked: %s", c.Promise)
		}
	}
}

// Each history differs from a sound one in one thing. A promise is broken by it, or excused by a fault.
func TestCheck(t *testing.T) {
	t.Parallel()
	use := func(id string, c chaos.Call) func(*chaos.History) {
		return func(h *chaos.History) { h.Uses = append(h.Uses, chaos.Use{Call: c, ID: id}) }
	}
	fault := func(kind chaos.FaultKind, node int, begin, end time.Duration) func(*chaos.History) {
		return func(h *chaos.History) {
			h.Faults = append(h.Faults, chaos.Fault{Kind: kind, Node: node, Begin: begin, End: end})
		}
	}
	all := func(changes ...func(*chaos.History)) func(*chaos.History) {
		return func(h *chaos.History) {
			for _, change := range changes {
				change(h)
			}
		}
	}
	second := func(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
	for name, row := range map[string]struct {
		change func(*chaos.History)
		want   string // promise; empty: none is broken
	}{
		"an acknowledged write is gone on one node":                                  {func(h *chaos.History) { delete(h.Users[1], "alice") }, chaos.NoWriteLost},
		"a revoked session is accepted after the bound":                              {use("ended", at(1, second(11.5))), chaos.RevokedInTime},
		"what was made from a revoked session is accepted":                           {use("child", at(1, second(11.5))), chaos.RevokedInTime},
		"a revoked session is accepted on the node that revoked it, after the bound": {use("ended", at(0, second(30))), chaos.RevokedInTime},
		"a session of a revoked role is accepted though all have confirmed":          {use("of role", at(1, second(20.1))), chaos.RevokedAtOnce},
		"it is accepted by a node whose way to Redis was lost, in time": {
			all(fault(chaos.RedisPaused, chaos.Everybody, second(18), second(19)), use("of role", at(1, second(20.1)))), ""},
		"it is accepted by a node whose way to Redis was lost, too late": {
			all(fault(chaos.RedisPaused, chaos.Everybody, second(18), second(19)), use("of role", at(1, second(21.5)))), chaos.RevokedInTime},
		"a revoked session is accepted by a node without PostgreSQL that has Redis": {
			all(fault(chaos.PostgresCut, 1, second(9), second(13)), use("ended", at(1, second(12)))), chaos.RevokedInTime},
		"a revoked session is accepted by a node that has neither": {
			all(fault(chaos.PostgresCut, 1, second(9), second(13)), fault(chaos.RedisPaused, chaos.Everybody, second(9), second(13)), use("ended", at(1, second(12)))), ""},
		"a revoked session is accepted long after a node has found back": {
			all(fault(chaos.PostgresCut, 1, second(9), second(13)), fault(chaos.RedisPaused, chaos.Everybody, second(9), second(13)), use("ended", at(1, second(25)))), chaos.RevokedInTime},
		"a revoked session is accepted by another node than the one that is cut off": {
			all(fault(chaos.PostgresCut, 0, second(9), second(13)), fault(chaos.RedisPaused, chaos.Everybody, second(9), second(13)), use("ended", at(1, second(12)))), chaos.RevokedInTime},
		"a node that wakes up accepts a revoked session": {
			all(fault(chaos.NodePaused, 1, second(9), second(13)), use("ended", chaos.Call{Node: 1, Begin: second(12), End: second(13.1), Outcome: chaos.Passed})), chaos.RevokedInTime},
		"a slow machine is late by what it takes for a call": {
			all(use("valid", chaos.Call{Node: 1, Begin: second(10.5), End: second(11.5), Outcome: chaos.Passed}), use("ended", at(1, second(11.5)))), ""},
		"a slow machine is later than that": {
			all(use("valid", chaos.Call{Node: 1, Begin: second(10.5), End: second(11.5), Outcome: chaos.Passed}), use("ended", at(1, second(12.5)))), chaos.RevokedInTime},
		"a code passes twice": {func(h *chaos.History) { h.Proofs = append(h.Proofs, chaos.Proof{Call: at(1, second(7)), Name: "code"}) }, chaos.ProofOnce},
		"a code passes again after a wipe": {
			all(fault(chaos.RedisWiped, chaos.Everybody, second(6), second(6.1)), func(h *chaos.History) {
				h.Proofs = append(h.Proofs, chaos.Proof{Call: at(1, second(7)), Name: "code"})
			}), chaos.ProofOnce},
		"a session has no record":                   {func(h *chaos.History) { delete(h.Records, "valid") }, chaos.Recorded},
		"a session has no record, by a wipe":        {all(func(h *chaos.History) { delete(h.Records, "valid") }, fault(chaos.RedisWiped, chaos.Everybody, second(3), second(4))), ""},
		"a session has no record, after a wipe":     {all(func(h *chaos.History) { delete(h.Records, "valid") }, fault(chaos.RedisWiped, chaos.Everybody, second(1), second(1.5))), chaos.Recorded},
		"a session has no record, by a fail-over":   {all(func(h *chaos.History) { delete(h.Records, "valid") }, fault(chaos.RedisFailedOver, chaos.Everybody, second(2.5), second(4))), ""},
		"a fail-over long after loses a record":     {all(func(h *chaos.History) { delete(h.Records, "valid") }, fault(chaos.RedisFailedOver, chaos.Everybody, second(5), second(6))), chaos.Recorded},
		"a session is in the audit log of another":  {func(h *chaos.History) { delete(h.Audited[1], "valid"); h.Audited[0]["valid"] = true }, chaos.Audited},
		"a session is refused that nobody revoked":  {use("valid", refused(0, second(30))), chaos.ValidStaysValid},
		"a session is refused before it is revoked": {use("ended", refused(1, second(9))), chaos.ValidStaysValid},
		"a session is refused that was made after its role was revoked": {func(h *chaos.History) {
			h.Mints = append(h.Mints, chaos.Mint{Call: at(0, second(25)), ID: "later", Role: "d"})
			h.Records["later"], h.Audited[0]["later"] = true, true
			h.Uses = append(h.Uses, chaos.Use{Call: refused(0, second(26)), ID: "later"})
		}, chaos.ValidStaysValid},
		"a session of a node whose clock is ahead outlives the revocation of its role": {func(h *chaos.History) {
			h.Faults = append(h.Faults, chaos.Fault{Kind: chaos.ClockJumped, Node: 0, Begin: second(2.5), End: second(4), By: time.Minute})
			h.Uses = append(h.Uses, chaos.Use{Call: at(1, second(40)), ID: "of role"})
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := sound()
			row.change(h)
			broken := ""
			for _, v := range chaos.Check(h).Violations {
				if v.Promise != row.want {
					t.Errorf("%s: %s", v.Promise, v.Detail)
				}
				broken = v.Promise
			}
			if broken != row.want {
				t.Errorf("broken is %q, want %q", broken, row.want)
			}
		})
	}
}
