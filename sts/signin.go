package sts

import (
	"slices"
	"time"

	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/policy"
	"github.com/stint-sts/stint/session"
)

// SignIn is a portal sign-in: who has signed in, with the facts that were verified then. Credentials are minted from it later, by the
// rules of the operation that the proof itself would be passed to. It can be kept as JSON; whoever can change it can be anybody.
type SignIn struct {
	Time       time.Time
	Identities []*Identity   // by identity providers: one for each registered provider that the proof is good for
	User       *SignedInUser // an IAM user; then there are no Identities

	// InResponseTo is the request of ours that the proof answers; empty: it came unasked. Only SAML tells.
	InResponseTo string
}

// Identity is who an identity provider vouches for: all that a session is made of.
type Identity struct {
	instructed
	sessionLimits

	Kind        authn.Kind // authn.SAML or authn.WebIdentity
	Account     string     // that has registered the provider
	Provider    string     // ARN
	UserID      string     // CloudTrail's principalId
	Subject     string
	Display     string // a name for people; empty: there is none
	SessionName string
	Named       bool     // the provider names the roles
	Roles       []string // ARNs
	Conditions  []Condition
	Lasting     map[string][]string // condition keys that stay with the session
}

// Condition is a condition key of an identity.
type Condition struct {
	Key    string
	Values []string
	List   bool // it is multivalued, however many values it has
}

// SignedInUser is an IAM user who has signed in with a password.
type SignedInUser struct {
	Account string
	ID      string // AIDA…
	Name    string
	MFA     bool   // a second factor was proven
	Mark    string // of the password; the sign-in ends with it
}

// Subject names who has signed in, for people.
func (s *SignIn) Subject() string {
	if s.User != nil {
		return s.User.Name
	}
	first := s.Identities[0]
	if first.Display != "" {
		return first.Display
	}
	return first.Subject
}

// End is when the identity provider ends the sign-in; zero: it does not say.
func (s *SignIn) End() (end time.Time) {
	for _, id := range s.Identities {
		if !id.End.IsZero() && (end.IsZero() || id.End.Before(end)) {
			end = id.End
		}
	}
	return end
}

// recorded collects condition keys.
type recorded []Condition

// Set implements conditions.
func (r *recorded) Set(key, value string) { *r = append(*r, Condition{key, []string{value}, false}) }

// SetList implements conditions.
func (r *recorded) SetList(key string, values []string) {
	*r = append(*r, Condition{key, slices.Clone(values), true})
}

// keys sets the condition keys in the order in which they were recorded: what comes later wins, as it did then.
func (id *Identity) keys(k *policy.Context) {
	for _, c := range id.Conditions {
		if c.List {
			k.SetList(c.Key, c.Values)
		} else {
			k.Set(c.Key, c.Values[0])
		}
	}
}

// caller is the subject as trust policies and the audit see it.
func (id *Identity) caller(r *authn.Request) *authn.Caller {
	return &authn.Caller{Kind: id.Kind, Account: id.Account, ARN: id.Provider, UserID: id.UserID, Subject: id.Subject, Request: r}
}

// SignIns are the operations of people who sign in to the portal: each proof is verified when they sign in, and credentials are minted from
// the sign-in later. It is safe for concurrent use.
type SignIns struct{ s *Service }

// SignIns returns the operations of sign-ins.
func (s *Service) SignIns() *SignIns { return &SignIns{s} }

// Holders yields the sign-in as revocations see it: whoever ends the sessions of a user, of somebody whom a provider vouches for, or of an
// account, ends the sign-ins that could make new ones too. There is one for each identity.
func (s *SignIn) Holders(yield func(*session.Holder) bool) {
	if u := s.User; u != nil {
		yield(&session.Holder{Account: u.Account, EntityID: u.ID, IssuedAt: s.Time})
		return
	}
	for _, id := range s.Identities {
		h := &session.Holder{Account: id.Account, Issuer: id.Provider, Subject: func() string { return id.Subject }, IssuedAt: s.Time}
		if !yield(h) {
			return
		}
	}
}

// Owns reports whether a session is of the one who has signed in: made for the subject that the same provider vouched for, or asked for by
// the user without an access key, or the user's own.
func (s *SignIn) Owns(r *session.Record) bool {
	if u := s.User; u != nil {
		return r.EntityID == u.ID || r.Account == u.Account && r.Issuer == "" && r.Parent == "" && r.Subject == u.ID
	}
	return slices.ContainsFunc(s.Identities, func(id *Identity) bool { return r.Issuer == id.Provider && r.Subject == id.Subject })
}
