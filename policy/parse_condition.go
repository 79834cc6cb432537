package policy

import (
	"fmt"
	"strings"
)

// conditions reads the Condition element. Operators and keys without members restrict nothing.
func (p *parser) conditions(_ *node, e *elements, s *statement, path string) *Error {
	if e.condition == nil {
		return nil
	}
	path += ".Condition"
	if e.condition.kind != objectNode {
		return p.fail(e.condition, path, msgSyntax, "Condition is an object, not %s", e.condition.kind)
	}
	for i := range e.condition.members {
		m := &e.condition.members[i]
		base, ok := parseOperator(m.key)
		if !ok {
			return errorAt(p.doc.text, m.at, path+"."+m.key, msgSyntax, fmt.Sprintf("unknown condition operator %q", m.key))
		}
		if m.value.kind != objectNode {
			return p.fail(&m.value, path+"."+m.key, msgSyntax, "an operator maps to an object of keys, not %s", m.value.kind)
		}
		for j := range m.value.members {
			c := base
			if err := p.condition(&c, &m.value.members[j], path+"."+m.key); err != nil {
				return err
			}
			s.conditions = append(s.conditions, c)
		}
	}
	return nil
}

// parseOperator reads [ForAllValues:|ForAnyValue:]Operator[IfExists]. Letter case is free, as AWS's is not documented.
func parseOperator(name string) (condition, bool) {
	var c condition
	rest := foldASCII(name)
	for _, set := range []setOperator{forAllValues, forAnyValue} {
		if after, found := strings.CutPrefix(rest, foldASCII(setOperatorPrefixes[set])); found {
			c.set, rest = set, after
			break
		}
	}
	rest, c.ifExists = strings.CutSuffix(rest, "ifexists")
	c.op = operators[rest]
	return c, c.op != nil && !(c.op.null && c.ifExists)
}

// condition reads one key with its values.
func (p *parser) condition(c *condition, m *member, path string) *Error {
	path += "." + m.key
	if m.key == "" {
		return errorAt(p.doc.text, m.at, path, msgSyntax, "a condition key is empty")
	}
	c.key = newContextKey(m.key)
	p.doc.addKey(p.keys, &c.key)
	nodes, err := p.valueList(&m.value, path)
	if err != nil {
		return err
	}
	c.values = make([]string, len(nodes))
	for i, n := range nodes {
		c.values[i] = n.text
	}
	var bad []int
	c.matcher, bad = c.op.compile(c.values, p.doc.variables)
	for _, i := range bad {
		// These operators take no variables, but AWS stores them: such a value just never compares.
		if p.doc.variables && strings.Contains(c.values[i], "${") {
			continue
		}
		message := msgSyntax
		if strings.HasPrefix(c.op.name, "Date") {
			message = msgLegacy
		}
		return p.fail(nodes[i], path, message, "%s cannot compare %q", c.op.name, c.values[i])
	}
	c.variables = p.doc.variables && c.op.variables()
	p.valueKeys(c)
	return nil
}

// valueList reads a plain value or a list of at least one. Numbers and booleans count as their text.
func (p *parser) valueList(n *node, path string) ([]*node, *Error) {
	var nodes []*node
	if n.kind == arrayNode {
		for i := range n.items {
			nodes = append(nodes, &n.items[i])
		}
		if len(nodes) == 0 {
			return nil, p.fail(n, path, msgSyntax, "the list of values is empty")
		}
	} else {
		nodes = []*node{n}
	}
	for _, v := range nodes {
		if v.kind != stringNode && v.kind != numberNode && v.kind != boolNode {
			return nil, p.fail(v, path, msgSyntax, "a string, number or boolean is needed, not %s", v.kind)
		}
	}
	return nodes, nil
}

// valueKeys collects the variables of condition values.
func (p *parser) valueKeys(c *condition) {
	switch m := c.matcher.(type) {
	case stringMatcher:
		for i := range m {
			p.patternKeys(&m[i])
		}
	case foldedMatcher:
		for _, tokens := range m {
			p.tokenKeys(tokens)
		}
	case arnMatcher:
		for i := range m {
			p.tokenKeys(m[i].tokens)
		}
	}
}

func (p *parser) patternKeys(pt *pattern) {
	for _, piece := range pt.pieces {
		p.tokenKeys(piece)
	}
}

func (p *parser) tokenKeys(tokens []token) {
	for i := range tokens {
		if tokens[i].kind == variable {
			p.doc.addKey(p.keys, &tokens[i].key.contextKey)
		}
	}
}
