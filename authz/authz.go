// Package authz decides whether an authenticated Caller may do an action: it collects the policies that bear on the
// request, builds the request context, and turns a denial into AWS's sentence.
//
// The language and the rules of combination are policy's; which policies an entity has is the directory's.
package authz

import (
	"strings"

	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/policy"
)

// Question is what a caller wants to do. Action and Resource are required.
type Question struct {
	Action          string // in canonical spelling: "iam:CreateUser"
	Resource        string // an ARN, or "*" for an action without resource
	ResourceAccount string // owner of the resource; empty: the caller's account
	ResourceTags    []authn.Tag
	RequestTags     []authn.Tag // tags passed in the request
	TagKeys         []string    // keys passed in the request; nil: those of RequestTags

	// ResourcePolicy is the policy on the resource, such as a role's trust policy; nil: it has none.
	ResourcePolicy *policy.Document

	// Keys adds condition keys of the operation, such as sts:ExternalId; nil: none.
	Keys func(*policy.Context)
}

// Require returns nil when the caller may, and otherwise AccessDenied with AWS's sentence. The reason is added when caller
// and resource are in one account (AWS IAM User Guide, "Troubleshoot access denied error messages").
func Require(c *authn.Caller, q *Question) error {
	d := Decide(c, q)
	if d.Effect == policy.Allow {
		return nil
	}
	message := Sentence(c.ARN, q.Action, q.Resource)
	if q.account(c) == c.Account {
		message += d.Suffix(q.Action)
	}
	return awserr.Wrap(awserr.AccessDenied, message, &Denial{Question: *q, Decision: d})
}

// Sentence is AWS's denial without a reason. Of an action without resource STS names none, IAM the asterisk.
func Sentence(callerARN, action, resource string) string {
	s := "User: " + callerARN + " is not authorized to perform: " + action
	if resource != "*" || strings.HasPrefix(action, "iam:") {
		s += " on resource: " + resource
	}
	return s
}

// Denial is the cause of an AccessDenied: what was asked and what decided. It is for audit and operators.
type Denial struct {
	Question Question
	Decision policy.Decision
}

// Error names the action, the resource and the deciding reason.
func (d *Denial) Error() string {
	return "denied " + d.Question.Action + " on " + d.Question.Resource + strings.TrimSuffix(d.Decision.Suffix(d.Question.Action), ".")
}

// Decide evaluates the question, and notes it in the caller's Request.
func Decide(c *authn.Caller, q *Question) policy.Decision {
	s := new(scratch) // not from a pool: the note keeps it
	s.request(c, q)
	d := policy.Evaluate(&s.req, &s.set)
	noted := authn.Decision{Request: s.req, Policies: s.set, Outcome: d}
	if n := len(c.Request.Decisions); n < maxDecisions {
		c.Request.Decisions = append(c.Request.Decisions, noted)
	} else {
		c.Request.Decisions[n-1] = noted // the last is the one that a denial is explained by
	}
	return d
}

// maxDecisions bounds what is noted of one call; no operation asks nearly as much.
const maxDecisions = 16

// scratch is what one decision is made on, allocated at once.
type scratch struct {
	principal policy.Principal
	req       policy.Request
	set       policy.Policies
	context   policy.Context
	room      policy.Room
}

func (s *scratch) request(c *authn.Caller, q *Question) {
	s.principal = principal(c)
	s.context.Use(&s.room)
	callerKeys(&s.context, c)
	requestKeys(&s.context, c, q)
	s.req = policy.Request{
		Principal:       &s.principal,
		Action:          q.Action,
		Resource:        q.Resource,
		ResourceAccount: q.account(c),
		Context:         &s.context,
	}
	s.set = policy.Policies{Resource: q.ResourcePolicy, Session: c.SessionPolicies}
	if c.Entity != nil {
		s.set.Identity, s.set.Boundary = c.Entity.Identity, c.Entity.Boundary
	}
}

func (q *Question) account(c *authn.Caller) string {
	if q.ResourceAccount != "" {
		return q.ResourceAccount
	}
	return c.Account
}

func principal(c *authn.Caller) policy.Principal {
	p := policy.Principal{ARN: c.ARN, Account: c.Account}
	switch c.Kind {
	case authn.Root:
		p.Type = policy.Root
	case authn.User:
		p.Type, p.ID = policy.User, c.Entity.ID
	case authn.RoleSession:
		p.Type, p.ID, p.RoleARN = policy.RoleSession, c.Entity.ID, c.Entity.ARN
	case authn.FederatedUser:
		p.Type, p.ID, p.UserARN = policy.FederatedUser, c.Entity.ID, c.Entity.ARN
	case authn.WebIdentity, authn.SAML:
		p.Type = policy.Federated
	case authn.Anonymous:
		p.Type = policy.Anonymous
	}
	return p
}
