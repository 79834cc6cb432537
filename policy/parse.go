package policy

import (
	"fmt"
	"strings"
)

// AWS's sentences for MalformedPolicyDocument that do not quote the document.
const (
	msgJSON             = "This policy contains invalid Json"
	msgSyntax           = "Syntax errors in policy."
	msgVersion          = "Policy document must be version 2012-10-17 or greater."
	msgTrustVersion     = "The policy must contain a valid version string"
	msgNoActions        = "Policy statement must contain actions."
	msgNoResources      = "Policy statement must contain resources."
	msgNoVendor         = "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."
	msgColons           = "Actions/Condition can contain only one colon."
	msgResourceVendor   = "Resource vendor must be fully qualified and cannot contain regexes."
	msgLegacy           = "The policy failed legacy parsing"
	msgHasPrincipal     = "Policy document should not specify a principal."
	msgSids             = "Statement IDs (SID) in a single policy must be unique."
	msgTrustSids        = "The Statement Ids in the policy are not unique"
	msgTrustActions     = "AssumeRole policy may only specify STS AssumeRole actions."
	msgNotPrincipal     = "AssumeRole policy must not contain NotPrincipal field."
	msgAllowNot         = "Allow with NotPrincipal is not allowed."
	msgPrincipalObject  = "Principal must be a JSON object."
	msgMissingEffect    = "Missing required field Effect"
	msgMissingAction    = "Missing required field Action"
	msgMissingPrincipal = "Missing required field Principal"
)

// Parse reads text as a policy of the given kind, refuses whatever AWS refuses on write, and compiles it. Size quotas are the
// caller's to compare with Document.Size; Parse itself takes at most 131,072 characters (IAM API model, policyDocumentType).
// The error is an *Error; the operation reports it as MalformedPolicyDocument.
func Parse(kind Kind, text string) (*Document, error) {
	p := &parser{kind: kind, doc: &Document{kind: kind, text: text}, keys: make(map[string]bool), sids: make(map[string]bool)}
	root, syntax := readJSON(text)
	if syntax != nil {
		return nil, errorAt(text, syntax.offset, "", p.either(msgJSON, msgSyntax), syntax.reason)
	}
	if err := p.document(&root); err != nil {
		return nil, err
	}
	p.doc.size = significantChars(text)
	return p.doc, nil
}

// parser turns the JSON of one document into compiled statements. Its methods return a *Error at the first fault.
type parser struct {
	kind Kind
	doc  *Document
	keys map[string]bool // folded context keys already in doc.keys
	sids map[string]bool
}

// either picks the sentence of trust policies or that of all others.
func (p *parser) either(trust, other string) string {
	if p.kind == Trust {
		return trust
	}
	return other
}

func (p *parser) fail(n *node, path, message, format string, args ...any) *Error {
	return errorAt(p.doc.text, n.start, path, message, fmt.Sprintf(format, args...))
}

// document reads the top level.
func (p *parser) document(root *node) *Error {
	if root.kind != objectNode {
		return p.fail(root, "", msgSyntax, "a policy is an object, not %s", root.kind)
	}
	var statements *node
	for i := range root.members {
		m := &root.members[i]
		switch m.key {
		case "Version": // first, whatever the order of keys: it decides how statements read
			if err := p.version(&m.value); err != nil {
				return err
			}
		case "Id":
			if m.value.kind != stringNode {
				return p.fail(&m.value, "Id", msgSyntax, "Id is a string, not %s", m.value.kind)
			}
		case "Statement":
			statements = &m.value
		default:
			return errorAt(p.doc.text, m.at, m.key, p.unknown(m.key), fmt.Sprintf("unknown element %q", m.key))
		}
	}
	if statements == nil {
		return p.fail(root, "", msgSyntax, "Statement is required")
	}
	return p.statements(statements)
}

// unknown is the sentence for an element that has no place in the document.
func (p *parser) unknown(element string) string {
	return p.either("Has prohibited field "+element, msgSyntax)
}

func (p *parser) version(n *node) *Error {
	if n.kind != stringNode || n.text != "2012-10-17" && n.text != "2008-10-17" {
		return p.fail(n, "Version", p.either(msgTrustVersion, msgVersion), "Version is \"2012-10-17\" or \"2008-10-17\"")
	}
	p.doc.variables = n.text == "2012-10-17"
	return nil
}

func (p *parser) statements(n *node) *Error {
	if n.kind == objectNode {
		return p.statement(n, "Statement")
	}
	if n.kind != arrayNode || len(n.items) == 0 {
		return p.fail(n, "Statement", msgSyntax, "Statement is an object or a list of at least one")
	}
	for i := range n.items {
		if err := p.statement(&n.items[i], fmt.Sprintf("Statement[%d]", i)); err != nil {
			return err
		}
	}
	return nil
}

// elements are the members of one statement as found; nil when absent.
type elements struct {
	sid, effect, principal, notPrincipal, action, notAction, resource, notResource, condition *node
}

// place returns where the member of that name belongs, nil when there is no such element.
func (e *elements) place(name string) **node {
	switch name {
	case "Sid":
		return &e.sid
	case "Effect":
		return &e.effect
	case "Principal":
		return &e.principal
	case "NotPrincipal":
		return &e.notPrincipal
	case "Action":
		return &e.action
	case "NotAction":
		return &e.notAction
	case "Resource":
		return &e.resource
	case "NotResource":
		return &e.notResource
	case "Condition":
		return &e.condition
	default:
		return nil
	}
}

func (p *parser) statement(n *node, path string) *Error {
	if n.kind != objectNode {
		return p.fail(n, path, msgSyntax, "a statement is an object, not %s", n.kind)
	}
	var e elements
	for i := range n.members {
		m := &n.members[i]
		place := e.place(m.key)
		if place == nil {
			return errorAt(p.doc.text, m.at, path+"."+m.key, p.unknown(m.key), fmt.Sprintf("unknown element %q", m.key))
		}
		*place = &m.value
	}
	var s statement
	for _, element := range []func(*node, *elements, *statement, string) *Error{
		p.sid, p.effect, p.principals, p.actions, p.resources, p.conditions,
	} {
		if err := element(n, &e, &s, path); err != nil {
			return err
		}
	}
	p.doc.statements = append(p.doc.statements, s)
	p.doc.services = append(p.doc.services, s.actions.services)
	return nil
}

func (p *parser) sid(_ *node, e *elements, s *statement, path string) *Error {
	if e.sid == nil {
		return nil
	}
	path += ".Sid"
	if e.sid.kind != stringNode {
		return p.fail(e.sid, path, msgSyntax, "Sid is a string, not %s", e.sid.kind)
	}
	s.sid = e.sid.text
	if p.kind != Resource && !consistsOf(s.sid, alphanumeric) { // other services decide for their own policies
		return p.fail(e.sid, path, msgSyntax, "a Sid holds only letters and digits")
	}
	if s.sid != "" && p.sids[s.sid] {
		return p.fail(e.sid, path, p.either(msgTrustSids, msgSids), "Sid %q occurs twice", s.sid)
	}
	p.sids[s.sid] = true
	return nil
}

func (p *parser) effect(n *node, e *elements, s *statement, path string) *Error {
	if e.effect == nil {
		return p.fail(n, path, p.either(msgMissingEffect, msgSyntax), "Effect is required")
	}
	path += ".Effect"
	if e.effect.kind != stringNode {
		return p.fail(e.effect, path, msgSyntax, "Effect is a string, not %s", e.effect.kind)
	}
	if e.effect.text != "Allow" && e.effect.text != "Deny" {
		return p.fail(e.effect, path, p.either("Invalid effect: "+e.effect.text, msgSyntax), "Effect is Allow or Deny")
	}
	s.deny = e.effect.text == "Deny"
	return nil
}

// actions reads Action or NotAction.
func (p *parser) actions(n *node, e *elements, s *statement, path string) *Error {
	list, name, err := p.oneOf(n, path, "Action", e.action, e.notAction, p.either(msgMissingAction, msgNoActions))
	if err != nil {
		return err
	}
	values, err := p.stringList(list, path+"."+name, msgNoActions)
	if err != nil {
		return err
	}
	texts := make([]string, len(values))
	for i, v := range values {
		if message, reason := p.checkAction(v.text); message != "" {
			return p.fail(v, path+"."+name, message, "action %q: %s", v.text, reason)
		}
		texts[i] = v.text
	}
	s.actions = newActionSet(texts, list == e.notAction)
	return nil
}

// checkAction returns AWS's sentence and a reason when a is not an action pattern.
func (p *parser) checkAction(a string) (message, reason string) {
	vendor, _, found := strings.Cut(a, ":")
	switch {
	case p.kind == Trust && !strings.HasPrefix(foldASCII(a), "sts:"):
		return msgTrustActions, "a trust policy speaks of sts: actions only"
	case a == "*":
		return "", ""
	case !found:
		return msgNoVendor, "a service prefix and a colon are needed"
	case strings.Count(a, ":") > 1:
		return msgColons, "more than one colon"
	case vendor == "" || !consistsOf(vendor, alphanumeric+"-"):
		return "Vendor " + vendor + " is not valid", "the service prefix is plain text without wildcards"
	}
	return "", ""
}

// resources reads Resource or NotResource.
func (p *parser) resources(n *node, e *elements, s *statement, path string) *Error {
	if p.kind == Trust {
		for _, f := range []struct {
			name string
			node *node
		}{{"Resource", e.resource}, {"NotResource", e.notResource}} {
			if f.node != nil {
				return p.fail(f.node, path+"."+f.name, p.unknown(f.name), "the role is the resource of its trust policy")
			}
		}
	}
	if e.resource == nil && e.notResource == nil && (p.kind == Trust || p.kind == Resource) {
		s.resources = resourceSet{all: true} // whatever the policy is attached to
		return nil
	}
	list, name, err := p.oneOf(n, path, "Resource", e.resource, e.notResource, msgNoResources)
	if err != nil {
		return err
	}
	values, err := p.stringList(list, path+"."+name, msgNoResources)
	if err != nil {
		return err
	}
	texts := make([]string, len(values))
	for i, v := range values {
		if message, reason := p.checkResource(v.text); message != "" {
			return p.fail(v, path+"."+name, message, "resource %q: %s", v.text, reason)
		}
		texts[i] = v.text
	}
	s.resources = newResourceSet(texts, list == e.notResource, p.doc.variables, p.kind == Resource)
	for i := range s.resources.patterns {
		p.patternKeys(&s.resources.patterns[i].last)
	}
	return nil
}

// partitions are the partitions of AWS. stint itself makes ARNs in aws only.
var partitions = map[string]bool{
	"aws": true, "aws-cn": true, "aws-us-gov": true, "aws-iso": true, "aws-iso-b": true, "aws-iso-e": true, "aws-iso-f": true,
	"aws-eusc": true,
}

// checkResource returns AWS's sentence and a reason when r is neither * nor an ARN pattern.
func (p *parser) checkResource(r string) (message, reason string) {
	if r == "*" {
		return "", ""
	}
	rest, found := strings.CutPrefix(r, "arn:")
	if !found {
		return "Resource " + r + ` must be in ARN format or "*".`, "neither an ARN nor *"
	}
	partition, rest, hasService := strings.Cut(rest, ":")
	service, _, _ := strings.Cut(rest, ":")
	switch {
	case !partitions[partition] && !strings.ContainsAny(partition, "*?"):
		return fmt.Sprintf("Partition %q is not valid for resource %q.", partition, r), "no such partition"
	case !hasService || service == "":
		return "Resource " + r + ` must be in ARN format or "*".`, "the service is missing"
	case strings.ContainsAny(service, "*?"):
		return msgResourceVendor, "no wildcard in the service"
	case p.kind == ServiceControl && strings.Count(r, ":") < 5:
		return msgLegacy, "an ARN has six parts"
	}
	return "", ""
}

// oneOf returns which of an element and its Not… form is there: exactly one must be.
func (p *parser) oneOf(n *node, path, name string, plain, negated *node, missing string) (*node, string, *Error) {
	switch {
	case plain != nil && negated != nil:
		return nil, "", p.fail(negated, path, msgSyntax, "%s and Not%s exclude each other", name, name)
	case plain != nil:
		return plain, name, nil
	case negated != nil:
		return negated, "Not" + name, nil
	default:
		return nil, "", p.fail(n, path, missing, "%s or Not%s is required", name, name)
	}
}

// stringList reads a string or a list of at least one.
func (p *parser) stringList(n *node, path, empty string) ([]*node, *Error) {
	if n.kind == stringNode {
		return []*node{n}, nil
	}
	if n.kind != arrayNode {
		return nil, p.fail(n, path, msgSyntax, "a string or a list of strings is needed, not %s", n.kind)
	}
	if len(n.items) == 0 {
		return nil, p.fail(n, path, empty, "the list is empty")
	}
	values := make([]*node, len(n.items))
	for i := range n.items {
		if n.items[i].kind != stringNode {
			return nil, p.fail(&n.items[i], fmt.Sprintf("%s[%d]", path, i), msgSyntax, "a string is needed, not %s", n.items[i].kind)
		}
		values[i] = &n.items[i]
	}
	return values, nil
}
