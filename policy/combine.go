package policy

// identitySide is what the policies on the caller's side say, explicit denies apart.
type identitySide struct {
	identity, boundary, session verdict
}

// evaluate fills in the verdicts, or returns the first explicit deny.
func (s *identitySide) evaluate(q *query, p *Policies) (Decision, bool) {
	if s.identity = q.documents(p.Identity); s.identity.denied {
		return s.identity.decide(ExplicitDeny, Identity, 0), true
	}
	if s.boundary = q.document(p.Boundary); s.boundary.denied {
		return s.boundary.decide(ExplicitDeny, Boundary, 0), true
	}
	if s.session = q.documents(p.Session); s.session.denied {
		return s.session.decide(ExplicitDeny, Session, 0), true
	}
	return Decision{}, false
}

// permission decides by the identity side alone: identity ∩ boundary ∩ session. The root user needs no identity policy.
func (s *identitySide) permission(r *Request, p *Policies) Decision {
	root := r.Principal.Type == Root
	if s.identity.grant == notNamed && !root {
		return silence(Identity, 0)
	}
	if limit, limited := s.limit(r, p); limited {
		return limit
	}
	if s.identity.grant == notNamed {
		return Decision{Effect: Allow}
	}
	return s.identity.decide(Allow, Identity, 0)
}

// limit returns the denial of the first limit that does not allow: permissions boundary, then session policies. A
// federated-user session without session policies may do nothing; any other session without them is not limited.
func (s *identitySide) limit(r *Request, p *Policies) (Decision, bool) {
	if p.Boundary != nil && s.boundary.grant == notNamed {
		return silence(Boundary, 0), true
	}
	if s.session.grant == notNamed && (p.Session != nil || r.Principal.Type == FederatedUser) {
		return silence(Session, 0), true
	}
	return Decision{}, false
}

// combine decides when nothing denies explicitly and every service control level allows.
//
// Sources: IAM User Guide, "Policy evaluation for requests within a single account", "Cross-account policy evaluation logic"
// and "How permissions boundaries and session policies limit a grant of a resource-based policy".
func combine(q *query, p *Policies, resource *verdict, side *identitySide) Decision {
	r := q.request
	granted := resource.decide(Allow, q.layer, 0)
	switch {
	case !r.Principal.hasIdentitySide(): // a service, an assertion or token, or nobody: only the resource can speak
		if resource.grant == notNamed {
			return silence(q.layer, 0)
		}
		return granted
	case r.ResourceAccount != r.Principal.Account || r.ResourceAccount == "": // both accounts must agree, whoever is named
		if resource.grant == notNamed {
			return silence(q.layer, 0)
		}
		return side.permission(r, p)
	}
	switch resource.grant {
	case byIdentity: // the caller itself is named: no limit of its side counts
		return granted
	case byRole, byUserOf: // what stands behind the session is named: the session's limits count, its identity policies do not
		if limit, limited := side.limit(r, p); limited {
			return limit
		}
		return granted
	case byAccount: // the account is named: its administrators decide by identity policies
		return side.permission(r, p)
	default:
		if q.layer == Trust {
			return silence(Trust, 0) // a role must trust; identity policies alone never suffice
		}
		return side.permission(r, p)
	}
}
