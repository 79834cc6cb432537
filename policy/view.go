package policy

import (
	"fmt"
	"strings"
)

// The types of this file show a document's structure with places to tools that read policies instead of applying them, such
// as a linter. They are built when asked for, so that a compiled document carries nothing for them.

// Place is where something stands in a document.
type Place struct {
	Path   string // such as Statement[1].Condition.StringLike.aws:userid
	Offset int    // in bytes from the start of Document.Text; Document.Position makes line and column of it
}

// Statement is one statement as written.
type Statement struct {
	Place
	Sid        string
	Deny       bool
	Principal  Element // also NotPrincipal
	Action     Element // also NotAction
	Resource   Element // also NotResource
	Conditions []Condition
}

// Element is one of the elements that come in a plain and a Not… form.
type Element struct {
	Place
	Negated bool    // the Not… form
	Values  []Value // nil when the statement has no such element
}

// Value is one text of a list; a plain value is a list of one.
type Value struct {
	Place
	Type string // of a principal: AWS, Federated, Service, CanonicalUser; AWS for the bare "*"
	Text string // decoded; a number or boolean as it is written
}

// Condition is one operator applied to one key.
type Condition struct {
	Place
	Operator string // in AWS's spelling, without what the next fields tell: StringLike
	Set      string // ForAllValues, ForAnyValue, or nothing
	IfExists bool
	Negated  bool // a StringNotLike and its kind, which hold when the key is absent
	Key      string
	Values   []Value
}

// Version returns the version of the policy language that the document is in; without a Version it is the old one.
func (d *Document) Version() string {
	if d.variables {
		return "2012-10-17"
	}
	return "2008-10-17"
}

// Position returns line and column, both from 1, of a byte offset in the text. The column counts characters.
func (d *Document) Position(offset int) (line, column int) { return position(d.text, max(offset, 0)) }

// Statements returns the statements in the order of the text.
func (d *Document) Statements() []Statement {
	root, err := readJSON(d.text)
	if err != nil {
		return nil // Parse has read this text
	}
	var statements []Statement
	for i := range root.members {
		m := &root.members[i]
		switch {
		case m.key != "Statement":
		case m.value.kind == objectNode:
			statements = append(statements, viewStatement(&m.value, "Statement"))
		default:
			for j := range m.value.items {
				statements = append(statements, viewStatement(&m.value.items[j], fmt.Sprintf("Statement[%d]", j)))
			}
		}
	}
	return statements
}

// elements returns the members of a statement by name.
func (n *node) elements() *elements {
	e := new(elements)
	for i := range n.members {
		if place := e.place(n.members[i].key); place != nil {
			*place = &n.members[i].value
		}
	}
	return e
}

func viewStatement(n *node, path string) Statement {
	e := n.elements()
	s := Statement{Place: Place{path, n.start}, Deny: e.effect.text == "Deny"}
	if e.sid != nil {
		s.Sid = e.sid.text
	}
	s.Principal = viewElement(e.principal, e.notPrincipal, path, "Principal")
	s.Action = viewElement(e.action, e.notAction, path, "Action")
	s.Resource = viewElement(e.resource, e.notResource, path, "Resource")
	if e.condition != nil {
		s.Conditions = viewConditions(e.condition, path+".Condition")
	}
	return s
}

func viewElement(plain, negated *node, path, name string) Element {
	n := plain
	if negated != nil {
		n, name = negated, "Not"+name
	}
	if n == nil {
		return Element{}
	}
	path += "." + name
	e := Element{Place: Place{path, n.start}, Negated: negated != nil}
	if n.kind == objectNode { // principals by type
		for i := range n.members {
			m := &n.members[i]
			e.Values = append(e.Values, viewValues(&m.value, path+"."+m.key, m.key)...)
		}
		return e
	}
	kind := ""
	if strings.HasSuffix(name, "Principal") {
		kind = "AWS"
	}
	e.Values = viewValues(n, path, kind)
	return e
}

func viewValues(n *node, path, kind string) []Value {
	if n.kind != arrayNode {
		return []Value{{Place{path, n.start}, kind, n.text}}
	}
	values := make([]Value, len(n.items))
	for i := range n.items {
		values[i] = Value{Place{fmt.Sprintf("%s[%d]", path, i), n.items[i].start}, kind, n.items[i].text}
	}
	return values
}

func viewConditions(n *node, path string) []Condition {
	var conditions []Condition
	for i := range n.members {
		m := &n.members[i]
		base, _ := parseOperator(m.key)
		for j := range m.value.members {
			k := &m.value.members[j]
			place := Place{path + "." + m.key + "." + k.key, k.at}
			conditions = append(conditions, Condition{
				Place:    place,
				Operator: base.op.name,
				Set:      strings.TrimSuffix(setOperatorPrefixes[base.set], ":"),
				IfExists: base.ifExists,
				Negated:  base.op.negated,
				Key:      k.key,
				Values:   viewValues(&k.value, place.Path, ""),
			})
		}
	}
	return conditions
}

// GuessKind tells from the elements of a document what it is for: without principals it is an identity policy, with them a
// resource policy, or a trust policy when it names no resource. What cannot be read is an identity policy, for Parse to refuse.
func GuessKind(text string) Kind {
	root, err := readJSON(text)
	if err != nil {
		return Identity
	}
	kind := Identity
	for i := range root.members {
		if root.members[i].key != "Statement" {
			continue
		}
		statements := root.members[i].value.items
		if root.members[i].value.kind == objectNode {
			statements = []node{root.members[i].value}
		}
		for j := range statements {
			kind = max(kind, statements[j].guessKind())
		}
	}
	return kind
}

// guessKind is GuessKind of a statement; Identity, Trust and Resource rise in that order.
func (n *node) guessKind() Kind {
	e := n.elements()
	switch {
	case e.principal == nil && e.notPrincipal == nil:
		return Identity
	case e.resource == nil && e.notResource == nil:
		return Trust
	default:
		return Resource
	}
}
