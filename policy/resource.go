package policy

import "strings"

// resourceSet is a Resource or NotResource element.
type resourceSet struct {
	negated   bool // NotResource
	all       bool // *
	variables bool // texts may hold variables
	texts     []string
	patterns  []resourcePattern
}

// resourcePattern is an ARN pattern, compared part by part: a wildcard never crosses one of the first five colons, except
// that a star at the very end of a pattern with fewer than six parts covers everything below it.
type resourcePattern struct {
	head     string    // the first five parts when they hold no wildcard; then parts is nil
	parts    []pattern // otherwise the parts before the last, as far as given
	last     pattern   // the sixth part; of a short pattern, its last part
	short    bool      // fewer than six parts
	trailing bool      // short, and ends in a star
	open     bool      // short, and missing parts count as *
}

// newResourceSet compiles resource texts that were validated. In identity-type policies the missing parts of a short pattern
// count as *; in resource policies a short pattern without a star at its end matches nothing.
func newResourceSet(resources []string, negated, variables, resourcePolicy bool) resourceSet {
	set := resourceSet{negated: negated, variables: variables, texts: resources}
	for _, r := range resources {
		if r == "*" {
			set.all = true
			continue
		}
		set.patterns = append(set.patterns, newResourcePattern(r, variables, resourcePolicy))
	}
	return set
}

func newResourcePattern(s string, variables, resourcePolicy bool) resourcePattern {
	if a := splitARN(s); a.valid && !strings.ContainsAny(a.head, "*?") {
		return resourcePattern{head: a.head, last: compile(tokenize(a.parts[5], variables, true))}
	}
	parts := strings.SplitN(s, ":", 6)
	n := len(parts) - 1
	r := resourcePattern{short: n < 5}
	for _, part := range parts[:n] {
		r.parts = append(r.parts, compile(tokenize(part, false, true)))
	}
	// A variable may stand only after the fifth colon (IAM User Guide, "IAM policy elements: Variables and tags").
	r.last = compile(tokenize(parts[n], variables && !r.short, true))
	r.trailing = r.short && strings.HasSuffix(s, "*")
	r.open = r.short && !resourcePolicy
	return r
}

func (r *resourcePattern) match(request *arnParts, ctx *Context) bool {
	if !request.valid {
		return false
	}
	if r.parts == nil {
		return request.head == r.head && r.last.match(request.parts[5], ctx)
	}
	for i := range r.parts {
		if !r.parts[i].match(request.parts[i], ctx) {
			return false
		}
	}
	n := len(r.parts)
	switch {
	case !r.short:
		return r.last.match(request.parts[5], ctx)
	case r.trailing:
		return r.last.match(request.from(n), ctx)
	default:
		return r.open && r.last.match(request.parts[n], ctx)
	}
}

// match reports whether the element covers the requested resource. A resource that is not an ARN (an action without resource
// asks for "*") is covered by * only.
func (s *resourceSet) match(request *arnParts, ctx *Context) bool {
	return s.listed(request, ctx) != s.negated
}

func (s *resourceSet) listed(request *arnParts, ctx *Context) bool {
	if s.all {
		return true
	}
	for i := range s.patterns {
		if s.patterns[i].match(request, ctx) {
			return true
		}
	}
	return false
}
