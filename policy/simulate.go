package policy

import (
	"encoding/base64"
	"strings"
	"unicode/utf8"
)

// Simulation is a decision with what it rests on, as the policy simulator shows it (AWS IAM API Reference, EvaluationResult).
type Simulation struct {
	Decision Decision

	// What each kind of policy says by itself; ImplicitDeny when none of the kind is attached. ServiceControl is Allow when
	// every level allows.
	Identity, Resource, Boundary, ServiceControl Effect

	Matched []Match  // the statements that decided; none when nothing allowed it
	Missing []string // the keys that identity and resource policies ask for and the request lacks, as first spelled
}

// Match is a statement by its place in Policies.
type Match struct {
	Kind      Kind // Identity, Resource (also of a trust policy) or Boundary
	Document  int  // 0 where a kind has one document
	Statement int
}

// Simulate evaluates as Evaluate does, always with the same decision. When the decision is an explicit deny only Deny
// statements are among the matched. Keys are missing when a statement that speaks of the action tests them, or needs them as
// variables, whatever its operator makes of their absence. Time and memory are linear in the number of statements.
func Simulate(r *Request, p *Policies) *Simulation {
	s := &simulator{seen: make(map[string]bool)}
	s.Decision = Evaluate(r, p)
	if r == nil || p == nil || r.Principal == nil {
		return &s.Simulation
	}
	s.query = newQuery(r, p)
	s.ServiceControl = s.query.levels(p.ServiceControl)
	s.Identity = s.layer(Identity, p.Identity)
	s.Resource = s.layer(Resource, one(p.Resource))
	s.Boundary = s.layer(Boundary, one(p.Boundary))
	return &s.Simulation
}

type simulator struct {
	Simulation
	query query
	seen  map[string]bool // folded keys in Missing
}

// levels is what all levels of service control policies say together.
func (q *query) levels(levels [][]*Document) Effect {
	effect := Allow
	for _, documents := range levels {
		switch v := q.documents(documents); {
		case v.denied:
			return ExplicitDeny
		case v.grant == notNamed:
			effect = ImplicitDeny
		}
	}
	return effect
}

func (s *simulator) layer(kind Kind, documents []*Document) Effect {
	effect := ImplicitDeny
	for i, d := range documents {
		for j := range documentStatements(d) {
			st := &d.statements[j]
			if kind != Boundary {
				s.missing(st)
			}
			if st.applies(&s.query) == notNamed {
				continue
			}
			switch {
			case st.deny:
				effect = ExplicitDeny
			case effect == ImplicitDeny:
				effect = Allow
			}
			if s.decides(kind, st) {
				s.Matched = append(s.Matched, Match{kind, i, j})
			}
		}
	}
	return effect
}

// decides tells whether a statement that applies is one that made the decision. A boundary can only take away.
func (s *simulator) decides(kind Kind, st *statement) bool {
	if st.deny {
		return s.Decision.Effect == ExplicitDeny
	}
	return s.Decision.Effect == Allow && kind != Boundary
}

// missing notes the keys that a statement about the action asks for and the request lacks.
func (s *simulator) missing(st *statement) {
	r := s.query.request
	if !st.actions.match(r.Action, s.query.actionHash) {
		return
	}
	if st.principals != nil && st.principals.match(r.Principal, st.deny, s.query.bounded) == notNamed {
		return
	}
	unresolved := st.resources.variables && s.variables(st.resources.texts)
	if !unresolved && !st.resources.match(&s.query.resource, r.Context) {
		return
	}
	for i := range st.conditions {
		c := &st.conditions[i]
		if r.Context.lookup(&c.key) == nil {
			s.miss(&c.key)
		}
		if c.variables {
			s.variables(c.values)
		}
	}
}

// variables notes the variables of texts that have no value, and tells whether there are any.
func (s *simulator) variables(texts []string) (unresolved bool) {
	for _, text := range texts {
		if !strings.Contains(text, "${") {
			continue
		}
		for _, t := range tokenize(text, true, false) {
			if t.kind != variable {
				continue
			}
			if _, ok := t.key.value(s.query.request.Context); !ok {
				s.miss(&t.key.contextKey)
				unresolved = true
			}
		}
	}
	return unresolved
}

func (s *simulator) miss(k *contextKey) {
	folded := strings.ToLower(k.folded)
	if !s.seen[folded] {
		s.seen[folded] = true
		s.Missing = append(s.Missing, k.name)
	}
}

// Len returns the number of statements.
func (d *Document) Len() int { return len(d.statements) }

// Span is where a statement stands in Document.Text.
type Span struct{ Start, End Point }

// Point is a line and a column, both from 1; the column counts characters.
type Point struct{ Line, Column int }

// Spans returns where the statements stand, in their order. As in the answers of AWS's simulator a statement begins right
// behind the bracket, comma or colon before it, and ends behind its closing brace.
func (d *Document) Spans() []Span {
	statements := d.Statements()
	spans := make([]Span, len(statements))
	at := walker{text: d.text, point: Point{1, 1}}
	for i, st := range statements {
		start := st.Offset
		for start > 0 && isSpace(d.text[start-1]) {
			start--
		}
		spans[i].Start = at.forward(start)
		r := &reader{text: d.text, pos: st.Offset}
		if _, err := r.value(0); err != nil {
			return nil // Parse has read this text
		}
		spans[i].End = at.forward(r.pos)
	}
	return spans
}

// walker counts lines and columns along a text, once for all statements.
type walker struct {
	text   string
	offset int
	point  Point
}

func (w *walker) forward(to int) Point {
	for ; w.offset < to; w.offset++ {
		switch c := w.text[w.offset]; {
		case c == '\n':
			w.point = Point{w.point.Line + 1, 1}
		case utf8.RuneStart(c):
			w.point.Column++
		}
	}
	return w.point
}

// ValidValue tells whether value can be compared by the operators of a type of condition key: string, numeric, boolean, ip,
// binary or date. Of any other type nothing is valid.
func ValidValue(keyType, value string) bool {
	ok := false
	switch keyType {
	case "string":
		ok = true
	case "numeric":
		_, ok = parseNumber(value)
	case "boolean":
		_, ok = parseBool(value)
	case "ip":
		_, ok = parseAddress(value)
	case "binary":
		_, err := base64.StdEncoding.DecodeString(value)
		ok = err == nil
	case "date":
		_, ok = parseInstant(value)
	}
	return ok
}
