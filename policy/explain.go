package policy

import (
	"slices"
	"strings"
)

// Trace is an evaluation in full: every layer, document, statement and check, also those that could not change the outcome.
// It quotes policies and request context, so it is for operators; a caller sees at most Decision.Suffix.
type Trace struct {
	Decision Decision
	Note     string // why layers are missing or do not count, if so
	Layers   []LayerTrace
}

// LayerTrace is one kind of policy.
type LayerTrace struct {
	Kind      Kind
	Level     int    // of service control policies; otherwise 0
	Attached  bool   // false: no policy of the kind is attached, which limits nothing but grants nothing either
	Counts    bool   // false: the kind has no say over this caller
	Effect    Effect // of the layer by itself
	Grant     string // how the Allow that reaches furthest names the caller; only for resource and trust policies
	Documents []DocumentTrace
}

// DocumentTrace is one document of a layer, in the order of Policies.
type DocumentTrace struct {
	Statements []StatementTrace
}

// StatementTrace is one statement, in the order of the document.
type StatementTrace struct {
	Sid     string
	Effect  Effect // Allow or ExplicitDeny: what the statement says
	Applies bool   // all checks hold
	Checks  []Check
}

// Check is one test of a statement: what the policy expected and what the request had.
type Check struct {
	Element  string   // Principal, NotPrincipal, Action, NotAction, Resource, NotResource, or the condition operator
	Key      string   // the condition key, as the policy spells it
	Expected []string // the values as written
	// Resolved is Expected with variables replaced and principals as unique ids; nil when it would be the same. A text that is
	// empty here never matches: a variable has no value, or the user or role is gone.
	Resolved []string
	Got      []string // the request's values
	Present  bool     // the request has the condition key
	Multi    bool     // the key is multivalued
	Holds    bool
	Note     string // in words, where the bare values do not tell
}

// Explain evaluates as Evaluate does, always with the same decision, and reports every check. It allocates.
func Explain(r *Request, p *Policies) *Trace {
	t := &Trace{Decision: Evaluate(r, p)}
	switch {
	case r == nil || p == nil || r.Principal == nil:
		t.Note = "the request is incomplete"
		return t
	case outsidePolicy(r.Action):
		t.Note = "policies cannot control this action"
		return t
	}
	q := newQuery(r, p)
	side := r.Principal.hasIdentitySide()
	for level, documents := range p.ServiceControl {
		t.layer(&q, LayerTrace{Kind: ServiceControl, Level: level, Attached: true, Counts: r.Principal.Type != Service}, documents)
	}
	t.layer(&q, LayerTrace{Kind: q.layer, Attached: p.Resource != nil, Counts: true}, one(p.Resource))
	t.layer(&q, LayerTrace{Kind: Identity, Attached: p.Identity != nil, Counts: side}, p.Identity)
	t.layer(&q, LayerTrace{Kind: Boundary, Attached: p.Boundary != nil, Counts: side}, one(p.Boundary))
	t.layer(&q, LayerTrace{Kind: Session, Attached: p.Session != nil, Counts: side}, p.Session)
	switch {
	case !side:
		t.Note = "a " + r.Principal.Type.String() + " principal has no identity side: only the resource's policy can allow"
	case r.ResourceAccount != r.Principal.Account:
		t.Note = "cross-account: the resource's policy and the caller's own policies must both allow"
	case r.Principal.Type == Root:
		t.Note = "the root user of the account needs no identity policy"
	case r.Principal.Type == FederatedUser && p.Session == nil:
		t.Note = "a federated-user session without session policies has no permissions of its own"
	}
	return t
}

// one is the list of a layer that holds at most one document.
func one(d *Document) []*Document {
	if d == nil {
		return nil
	}
	return []*Document{d}
}

func (t *Trace) layer(q *query, layer LayerTrace, documents []*Document) {
	grant := notNamed
	ofResource := layer.Kind == Resource || layer.Kind == Trust
	for _, d := range documents {
		var dt DocumentTrace
		for i := range documentStatements(d) {
			s := &d.statements[i]
			st := s.explain(q)
			dt.Statements = append(dt.Statements, st)
			switch {
			case !st.Applies:
			case s.deny:
				layer.Effect = ExplicitDeny
			case ofResource && !d.namesPrincipals(): // grants nobody anything
			default:
				if layer.Effect == ImplicitDeny {
					layer.Effect = Allow
				}
				grant = max(grant, s.applies(q))
			}
		}
		layer.Documents = append(layer.Documents, dt)
	}
	if ofResource {
		layer.Grant = grant.String()
	}
	t.Layers = append(t.Layers, layer)
}

func documentStatements(d *Document) []statement {
	if d == nil {
		return nil
	}
	return d.statements
}

// explain makes the same tests as applies, but all of them.
func (s *statement) explain(q *query) StatementTrace {
	t := StatementTrace{Sid: s.sid, Effect: Allow}
	if s.deny {
		t.Effect = ExplicitDeny
	}
	r := q.request
	if s.principals != nil {
		t.Checks = append(t.Checks, s.principals.explain(r.Principal, s.deny, q.bounded))
	}
	t.Checks = append(t.Checks, Check{
		Element:  elementName("Action", s.actions.negated),
		Expected: slices.Clone(s.actions.texts),
		Got:      []string{r.Action},
		Holds:    s.actions.match(r.Action, q.actionHash),
	})
	if len(s.resources.texts) > 0 {
		t.Checks = append(t.Checks, Check{
			Element:  elementName("Resource", s.resources.negated),
			Expected: slices.Clone(s.resources.texts),
			Resolved: resolveAll(s.resources.texts, s.resources.variables, r.Context),
			Got:      []string{r.Resource},
			Holds:    s.resources.match(&q.resource, r.Context),
		})
	}
	for i := range s.conditions {
		t.Checks = append(t.Checks, s.conditions[i].explain(r.Context, s.deny))
	}
	t.Applies = true
	for i := range t.Checks {
		t.Applies = t.Applies && t.Checks[i].Holds
	}
	return t
}

func (s *principalSet) explain(p *Principal, deny, bounded bool) Check {
	grant := s.match(p, deny, bounded)
	check := Check{Element: elementName("Principal", s.negated), Got: []string{p.ARN}, Holds: grant != notNamed}
	byID := false
	var resolved []string
	for i := range s.entries {
		e := &s.entries[i]
		check.Expected = append(check.Expected, e.text)
		if byID = byID || e.bound; e.bound {
			resolved = append(resolved, e.id)
		} else {
			resolved = append(resolved, e.text)
		}
	}
	if byID {
		check.Resolved = resolved
		check.Got = append(check.Got, p.ID)
	}
	switch {
	case !s.negated:
		check.Note = grant.String()
	case check.Holds && bounded:
		check.Note = "a caller with a permissions boundary is never excepted"
	}
	return check
}

func elementName(name string, negated bool) string {
	if negated {
		return "Not" + name
	}
	return name
}

func (c *condition) explain(ctx *Context, deny bool) Check {
	check := Check{
		Element:  c.operatorName(),
		Key:      c.key.name,
		Expected: slices.Clone(c.values),
		Resolved: resolveAll(c.values, c.variables, ctx),
		Holds:    c.holds(ctx, deny),
	}
	e := ctx.lookup(&c.key)
	if e == nil {
		check.Note = "the request does not have this key"
		return check
	}
	check.Got, check.Present, check.Multi = slices.Clone(e.values()), true, e.multi
	if e.multi && c.set == noSet && !c.op.null && len(e.list) > 1 {
		check.Note = "a multivalued key without ForAllValues or ForAnyValue: an Allow does not apply, a Deny applies if any value matches"
	}
	return check
}

// resolveAll shows texts with their variables replaced; nil when there are none.
func resolveAll(texts []string, variables bool, ctx *Context) []string {
	if !variables {
		return nil
	}
	resolved, found := make([]string, len(texts)), false
	for i, text := range texts {
		var b strings.Builder
		known := true
		for _, t := range tokenize(text, true, false) {
			value := t.text
			if t.kind == variable {
				found = true
				var ok bool
				value, ok = t.key.value(ctx)
				known = known && ok
			}
			b.WriteString(value)
		}
		if known {
			resolved[i] = b.String()
		}
	}
	if !found {
		return nil
	}
	return resolved
}
