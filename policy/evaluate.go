package policy

import "strings"

// Evaluate decides a request. It does not allocate in the common case, never fails, and may be called concurrently; r and p
// must not change meanwhile. A request without principal, or a nil argument, is denied.
//
// All explicit denies come first, whatever their layer; then each layer that limits must allow, and one that grants must
// grant (IAM User Guide, "Policy evaluation logic"). Where several layers deny, the reason is the first of: service control,
// resource or trust, identity, boundary, session.
func Evaluate(r *Request, p *Policies) Decision {
	if r == nil || p == nil || r.Principal == nil {
		return Decision{}
	}
	if outsidePolicy(r.Action) {
		return Decision{Effect: Allow}
	}
	q := newQuery(r, p)
	silent := -1 // the first service control level that does not allow
	if r.Principal.Type != Service {
		for level, documents := range p.ServiceControl {
			v := q.documents(documents)
			if v.denied {
				return v.decide(ExplicitDeny, ServiceControl, level)
			}
			if v.grant == notNamed && silent < 0 {
				silent = level
			}
		}
	}
	resource := q.resourcePolicy(p.Resource)
	if resource.denied {
		return resource.decide(ExplicitDeny, q.layer, 0)
	}
	var side identitySide
	if r.Principal.hasIdentitySide() {
		if denial, denied := side.evaluate(&q, p); denied {
			return denial
		}
	}
	if silent >= 0 {
		return silence(ServiceControl, silent)
	}
	return combine(&q, p, &resource, &side)
}

// outsidePolicy tells whether policies cannot control the action (AWS STS API Reference, GetCallerIdentity; IAM User Guide,
// "Permissions for GetSessionToken").
func outsidePolicy(action string) bool {
	return equalFoldASCII(action, "sts:GetCallerIdentity") || equalFoldASCII(action, "sts:GetSessionToken")
}

// query is a request prepared for matching.
type query struct {
	request    *Request
	resource   arnParts
	layer      Kind // of Policies.Resource: Trust when the resource is a role that is being assumed, else Resource
	bounded    bool // the caller has a permissions boundary
	actionHash uint32
	service    uint64
}

func newQuery(r *Request, p *Policies) query {
	q := query{
		request:    r,
		resource:   splitARN(r.Resource),
		layer:      Resource,
		bounded:    p.Boundary != nil,
		actionHash: hashFold(r.Action),
		service:    serviceBit(r.Action),
	}
	if p.Resource != nil && p.Resource.kind == Trust || assumesRole(r.Action, &q.resource) {
		q.layer = Trust
	}
	return q
}

// assumesRole tells whether the action is one of those that a trust policy decides (Service Authorization Reference, "Actions
// defined by AWS Security Token Service"). The role must then trust the caller; a missing trust policy trusts nobody.
func assumesRole(action string, resource *arnParts) bool {
	if len(action) < len("sts:") || !equalFoldASCII(action[:len("sts:")], "sts:") {
		return false
	}
	for _, a := range [...]string{"sts:AssumeRole", "sts:AssumeRoleWithWebIdentity", "sts:AssumeRoleWithSAML"} {
		if equalFoldASCII(action, a) {
			return true
		}
	}
	if resource.parts[2] != "iam" || !strings.HasPrefix(resource.parts[5], "role/") {
		return false // TagSession also goes with GetFederationToken, whose resource is no role
	}
	for _, a := range [...]string{"sts:TagSession", "sts:SetSourceIdentity", "sts:SetContext"} {
		if equalFoldASCII(action, a) {
			return true
		}
	}
	return false
}

// applies tells how the statement speaks of the request: notNamed when it does not apply. In documents without principals a
// statement that applies speaks byIdentity.
func (s *statement) applies(q *query) grantKind {
	if !s.actions.match(q.request.Action, q.actionHash) {
		return notNamed
	}
	grant := byIdentity
	if s.principals != nil {
		if grant = s.principals.match(q.request.Principal, s.deny, q.bounded); grant == notNamed {
			return notNamed
		}
	}
	if !s.resources.match(&q.resource, q.request.Context) {
		return notNamed
	}
	for i := range s.conditions {
		if !s.conditions[i].holds(q.request.Context, s.deny) {
			return notNamed
		}
	}
	return grant
}

// verdict is what one document, or a list that works as one, says of a request.
type verdict struct {
	grant     grantKind // the furthest-reaching Allow that applies
	denied    bool      // a Deny applies; then grant is of no interest
	document  int
	statement int
	sid       string
}

// document evaluates d. It stops at the first Deny, and skips Allows that would add nothing.
func (q *query) document(d *Document) verdict {
	var v verdict
	if d == nil {
		return v
	}
	for i, services := range d.services {
		if services&q.service == 0 {
			continue
		}
		s := &d.statements[i]
		if !s.deny && v.grant == byIdentity {
			continue
		}
		grant := s.applies(q)
		switch {
		case grant == notNamed:
		case s.deny:
			return verdict{denied: true, statement: i, sid: s.sid}
		case grant > v.grant:
			v.grant, v.statement, v.sid = grant, i, s.sid
		}
	}
	return v
}

// resourcePolicy evaluates the policy of the resource. A document of a kind without principals grants nobody anything there.
func (q *query) resourcePolicy(d *Document) verdict {
	v := q.document(d)
	if d != nil && !d.namesPrincipals() {
		v.grant = notNamed
	}
	return v
}

// documents evaluates a list as one document.
func (q *query) documents(list []*Document) verdict {
	var first verdict
	for i, d := range list {
		v := q.document(d)
		v.document = i
		if v.denied {
			return v
		}
		if v.grant > first.grant {
			first = v
		}
	}
	return first
}

// decide makes a decision of what a statement said.
func (v *verdict) decide(e Effect, layer Kind, level int) Decision {
	return Decision{e, Reason{Kind: layer, Level: level, Document: v.document, Statement: v.statement, Sid: v.sid}}
}

// silence is the decision when nothing in a layer allows.
func silence(layer Kind, level int) Decision {
	return Decision{ImplicitDeny, Reason{Kind: layer, Level: level, Document: -1, Statement: -1}}
}
