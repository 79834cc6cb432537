package policy_test

import (
	"encoding/json"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/stint-sts/stint/policy"
)

// The reference evaluator: plain, slow and written apart from the engine. It reads raw JSON with encoding/json on every
// request, globs by recursion, and knows nothing of compiling, hashing or stopping early.

type refKey struct {
	multi  bool
	values []string
}

type refRequest struct {
	principal *policy.Principal
	action    string
	resource  string
	owner     string
	context   map[string]refKey // lower-case keys
}

type refPolicies struct {
	identity, session  []string // nil: none attached
	resource, boundary string   // "": none attached
	trust              bool
	scps               [][]string
}

func refEvaluate(q *refRequest, p *refPolicies) string {
	action := strings.ToLower(q.action)
	if action == "sts:getcalleridentity" || action == "sts:getsessiontoken" {
		return "Allow"
	}
	who := q.principal
	hasSide := who.Type == policy.User || who.Type == policy.Root || who.Type == policy.RoleSession || who.Type == policy.FederatedUser
	bounded := p.boundary != ""

	denied := false
	allows := func(texts []string) bool {
		any := false
		for _, text := range texts {
			for _, s := range refStatements(text) {
				if len(refApplies(s, text, q, bounded, false)) == 0 {
					continue
				}
				if s["Effect"] == "Deny" {
					denied = true
				} else {
					any = true
				}
			}
		}
		return any
	}
	scp := true
	if who.Type != policy.Service {
		for _, level := range p.scps {
			scp = allows(level) && scp
		}
	}
	grants := map[string]bool{}
	if p.resource != "" {
		for _, s := range refStatements(p.resource) {
			for _, kind := range refApplies(s, p.resource, q, bounded, true) {
				if s["Effect"] == "Deny" {
					denied = true
				} else {
					grants[kind] = true
				}
			}
		}
	}
	identity, boundary, session := who.Type == policy.Root, true, who.Type != policy.FederatedUser
	if hasSide {
		identity = allows(p.identity) || identity
		if bounded {
			boundary = allows([]string{p.boundary})
		}
		if p.session != nil {
			session = allows(p.session)
		}
	}
	side := identity && boundary && session
	allowed := false
	switch {
	case !hasSide:
		allowed = len(grants) > 0
	case q.owner != who.Account:
		allowed = len(grants) > 0 && side
	default:
		trust := p.trust || strings.HasPrefix(action, "sts:assumerole")
		if parts := strings.SplitN(q.resource, ":", 6); len(parts) == 6 && parts[2] == "iam" && strings.HasPrefix(parts[5], "role/") {
			trust = trust || action == "sts:tagsession" || action == "sts:setsourceidentity" || action == "sts:setcontext"
		}
		allowed = grants["direct"] ||
			(grants["role"] || grants["userof"]) && boundary && session ||
			side && (grants["account"] || !trust)
	}
	switch {
	case denied:
		return "ExplicitDeny"
	case allowed && scp:
		return "Allow"
	default:
		return "ImplicitDeny"
	}
}

func refStatements(text string) []map[string]any {
	var d map[string]any
	if err := json.Unmarshal([]byte(text), &d); err != nil {
		panic(err)
	}
	var out []map[string]any
	if one, ok := d["Statement"].(map[string]any); ok {
		return append(out, one)
	}
	for _, s := range d["Statement"].([]any) {
		out = append(out, s.(map[string]any))
	}
	return out
}

func refVariables(text string) bool {
	var d map[string]any
	_ = json.Unmarshal([]byte(text), &d)
	return d["Version"] == "2012-10-17"
}

// refList returns a string or list as list of texts.
func refList(v any) []string {
	switch v := v.(type) {
	case nil:
		return nil
	case []any:
		var out []string
		for _, item := range v {
			out = append(out, refList(item)...)
		}
		return out
	case string:
		return []string{v}
	case bool:
		return []string{strconv.FormatBool(v)}
	case float64:
		return []string{strconv.FormatFloat(v, 'f', -1, 64)}
	default:
		panic("list of what?")
	}
}

// refApplies returns the ways in which a statement speaks of the caller; none when it does not apply.
func refApplies(s map[string]any, text string, q *refRequest, bounded, isResource bool) []string {
	variables := refVariables(text)
	deny := s["Effect"] == "Deny"

	actionListed := func(list []string) bool {
		for _, a := range list {
			if a == "*" || refGlob(refElements(strings.ToLower(a), nil, false, true), []rune(strings.ToLower(q.action))) {
				return true
			}
		}
		return false
	}
	if v, ok := s["Action"]; ok && !actionListed(refList(v)) {
		return nil
	}
	if v, ok := s["NotAction"]; ok && actionListed(refList(v)) {
		return nil
	}

	resourceListed := func(list []string) bool {
		for _, r := range list {
			if refResource(r, q, variables, isResource) {
				return true
			}
		}
		return false
	}
	if v, ok := s["Resource"]; ok && !resourceListed(refList(v)) {
		return nil
	}
	if v, ok := s["NotResource"]; ok && resourceListed(refList(v)) {
		return nil
	}

	if conditions, ok := s["Condition"].(map[string]any); ok {
		for op, keys := range conditions {
			for key, values := range keys.(map[string]any) {
				if !refCondition(op, key, refList(values), q, variables, deny) {
					return nil
				}
			}
		}
	}

	if !isResource {
		return []string{"direct"}
	}
	if v, ok := s["NotPrincipal"]; ok {
		if len(refPrincipals(v, q.principal, deny)) == 0 || deny && bounded {
			return []string{"direct"}
		}
		return nil
	}
	return refPrincipals(s["Principal"], q.principal, deny)
}

func refPrincipals(v any, who *policy.Principal, deny bool) []string {
	if v == "*" {
		return []string{"direct"}
	}
	var kinds []string
	for key, values := range v.(map[string]any) {
		for _, value := range refList(values) {
			parts := strings.SplitN(value, ":", 6)
			isSide := who.Type == policy.User || who.Type == policy.Root || who.Type == policy.RoleSession || who.Type == policy.FederatedUser
			switch {
			case key == "Federated":
				if who.Type == policy.Federated && who.ARN == value {
					kinds = append(kinds, "direct")
				}
			case key == "Service":
				if who.Type == policy.Service && who.ARN == value {
					kinds = append(kinds, "direct")
				}
			case value == "*":
				if deny || who.Type != policy.Federated {
					kinds = append(kinds, "direct")
				}
			case len(value) == 12 && isSide && who.Account == value,
				len(parts) == 6 && parts[5] == "root" && isSide && who.Account == parts[4]:
				kinds = append(kinds, "account")
			case strings.HasPrefix(value, "AIDA") && who.ID == value && who.Type == policy.User:
				kinds = append(kinds, "direct")
			case strings.HasPrefix(value, "AIDA") && who.ID == value && who.Type == policy.FederatedUser:
				kinds = append(kinds, "userof")
			case strings.HasPrefix(value, "AROA") && who.ID == value && who.Type == policy.RoleSession:
				kinds = append(kinds, "role")
			case who.Type != policy.Root && who.Type != policy.Service && who.Type != policy.Federated && who.ARN == value:
				kinds = append(kinds, "direct")
			case who.Type == policy.RoleSession && who.RoleARN == value:
				kinds = append(kinds, "role")
			case who.Type == policy.FederatedUser && who.UserARN == value:
				kinds = append(kinds, "userof")
			}
		}
	}
	return kinds
}

func refResource(pattern string, q *refRequest, variables, isResource bool) bool {
	if pattern == "*" {
		return true
	}
	got := strings.SplitN(q.resource, ":", 6)
	if len(got) != 6 || got[0] != "arn" {
		return false
	}
	want := strings.SplitN(pattern, ":", 6)
	for i := range want {
		text := got[i]
		last := i == len(want)-1
		if last && len(want) < 6 {
			switch {
			case strings.HasSuffix(pattern, "*"):
				text = strings.Join(got[i:], ":")
			case isResource:
				return false
			}
		}
		elements := refElements(want[i], q.context, variables && i == 5, true)
		if elements == nil || !refGlob(elements, []rune(text)) {
			return false
		}
	}
	return true
}

// refElement is a literal character, or a wildcard.
type refElement struct {
	char rune
	wild bool
}

// refElements expands variables into literal characters; nil when one has no value.
func refElements(text string, context map[string]refKey, variables, wildcards bool) []refElement {
	out := []refElement{}
	add := func(s string) {
		for _, c := range s {
			out = append(out, refElement{char: c})
		}
	}
	for text != "" {
		if variables && strings.HasPrefix(text, "${") && strings.Contains(text, "}") {
			end := strings.Index(text, "}")
			if quote := strings.Index(text[:end], ", '"); quote >= 0 {
				if i := strings.Index(text[quote+3:], "'}"); i >= 0 {
					end = quote + 3 + i + 1
				}
			}
			body := text[2:end]
			text = text[end+1:]
			if body == "*" || body == "?" || body == "$" {
				add(body)
				continue
			}
			name, fallback, hasFallback := body, "", false
			if before, after, ok := strings.Cut(body, ", '"); ok && strings.HasSuffix(after, "'") {
				name, fallback, hasFallback = before, strings.TrimSuffix(after, "'"), true
			}
			key, ok := context[strings.ToLower(name)]
			switch {
			case ok && key.multi, !ok && !hasFallback:
				return nil
			case ok:
				add(key.values[0])
			default:
				add(fallback)
			}
			continue
		}
		c, size := utf8.DecodeRuneInString(text)
		out = append(out, refElement{c, wildcards && (c == '*' || c == '?')})
		text = text[size:]
	}
	return out
}

func refGlob(pattern []refElement, s []rune) bool {
	switch {
	case len(pattern) == 0:
		return len(s) == 0
	case pattern[0].wild && pattern[0].char == '*':
		return refGlob(pattern[1:], s) || len(s) > 0 && refGlob(pattern, s[1:])
	case len(s) == 0:
		return false
	case pattern[0].wild || pattern[0].char == s[0]:
		return refGlob(pattern[1:], s[1:])
	default:
		return false
	}
}
