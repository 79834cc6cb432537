package policy

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
	resource := q.document(p.Resource)
	if resource.denied {
		return resource.decide(ExplicitDeny, resourceLayer(r, p), 0)
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
	return combine(r, p, &resource, &side)
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
	bounded    bool // the caller has a permissions boundary
	actionHash uint32
	service    uint64
}

func newQuery(r *Request, p *Policies) query {
	return query{
		request:    r,
		resource:   splitARN(r.Resource),
		bounded:    p.Boundary != nil,
		actionHash: hashFold(r.Action),
		service:    serviceBit(r.Action),
	}
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

// resourceLayer names the layer of Policies.Resource in reasons.
func resourceLayer(r *Request, p *Policies) Kind {
	if needsTrust(r, p) {
		return Trust
	}
	return Resource
}

// needsTrust tells whether the resource is a role that is being assumed. Its trust policy must then allow; an identity policy
// alone never suffices, and a missing trust policy trusts nobody.
func needsTrust(r *Request, p *Policies) bool {
	if p.Resource != nil {
		return p.Resource.kind == Trust
	}
	for _, action := range trustActions {
		if equalFoldASCII(r.Action, action) {
			return true
		}
	}
	return false
}

// trustActions are the actions whose resource is a role (Service Authorization Reference, "Actions defined by AWS Security
// Token Service").
var trustActions = [...]string{"sts:AssumeRole", "sts:AssumeRoleWithSAML", "sts:AssumeRoleWithWebIdentity", "sts:TagSession",
	"sts:SetSourceIdentity", "sts:SetContext"}
