package policy

import "fmt"

// principals reads Principal or NotPrincipal: required in resource and trust policies, forbidden elsewhere.
func (p *parser) principals(n *node, e *elements, s *statement, path string) *Error {
	if !p.doc.namesPrincipals() {
		for _, f := range []*node{e.principal, e.notPrincipal} {
			if f != nil {
				return p.fail(f, path, msgHasPrincipal, "a policy of this kind speaks of whom it is attached to")
			}
		}
		return nil
	}
	if e.notPrincipal != nil {
		if p.kind == Trust {
			return p.fail(e.notPrincipal, path+".NotPrincipal", msgNotPrincipal, "a trust policy says who, not who not")
		}
		if !s.deny {
			return p.fail(e.notPrincipal, path+".NotPrincipal", msgAllowNot, "NotPrincipal goes with Deny")
		}
	}
	value, name, err := p.oneOf(n, path, "Principal", e.principal, e.notPrincipal, msgMissingPrincipal)
	if err != nil {
		return err
	}
	s.principals = &principalSet{negated: value == e.notPrincipal}
	return p.principalSet(s.principals, value, path+"."+name)
}

func (p *parser) principalSet(set *principalSet, n *node, path string) *Error {
	if n.kind == stringNode && n.text == "*" {
		set.entries = []principal{{form: everyone, text: "*"}}
		return nil
	}
	if n.kind != objectNode || len(n.members) == 0 {
		return p.fail(n, path, msgPrincipalObject, "\"*\" or an object such as {\"AWS\": …} is needed")
	}
	for i := range n.members {
		m := &n.members[i]
		values, err := p.stringList(&m.value, path+"."+m.key, msgSyntax)
		if err != nil {
			return err
		}
		for _, v := range values {
			entry, ok := parsePrincipal(m.key, v.text)
			if !ok || p.kind == Trust && entry.form == canonicalUser {
				message := fmt.Sprintf("Invalid principal in policy: %q:%q", m.key, v.text)
				return p.fail(v, path+"."+m.key, message, "%q is no principal of type %s", v.text, m.key)
			}
			switch ref := (principalRef{v.start, v.end, v.text}); {
			case entry.form == userARN || entry.form == roleARN || entry.form == userID || entry.form == roleID:
				p.doc.entities = append(p.doc.entities, ref)
			case entry.form == account && v.text == entry.value:
				p.doc.accounts = append(p.doc.accounts, ref)
			}
			entry.text = v.text
			set.entries = append(set.entries, entry)
		}
	}
	return nil
}
