package policy_test

import (
	"encoding/json"
	"strings"

	"github.com/stint-sts/stint/policy"
)

// source makes choices from bytes, so that a fuzzer steers the generator. An empty source always chooses the first.
type source struct{ data []byte }

func (s *source) next() int {
	if len(s.data) == 0 {
		return 0
	}
	b := s.data[0]
	s.data = s.data[1:]
	return int(b)
}

func (s *source) chance(percent int) bool { return s.next()*100/256 >= 100-percent }

func (s *source) pick(list []string) string { return list[s.next()%len(list)] }

func (s *source) several(list []string, least, most int) []string {
	out := []string{}
	for range least + s.next()%(most-least+1) {
		out = append(out, s.pick(list))
	}
	return out
}

// text joins fragments.
func (s *source) text(fragments []string, most int) string {
	return strings.Join(s.several(fragments, 0, most), "")
}

const (
	accountA = "111111111111"
	accountB = "222222222222"
	alice    = "arn:aws:iam::" + accountA + ":user/alice"
	roleR    = "arn:aws:iam::" + accountA + ":role/team/R"
	sessionS = "arn:aws:sts::" + accountA + ":assumed-role/R/s1"
	fedBob   = "arn:aws:sts::" + accountA + ":federated-user/bob"
	provider = "arn:aws:iam::" + accountA + ":oidc-provider/idp.example.com"
	roleT    = "arn:aws:iam::" + accountA + ":role/T"
	roleX    = "arn:aws:iam::" + accountB + ":role/X"
	sessionX = "arn:aws:sts::" + accountB + ":assumed-role/X/x1"
	docA     = "arn:aws:store:::doc/a"
)

// callers returns fresh principals of every type.
func callers() []*policy.Principal {
	return []*policy.Principal{
		{Type: policy.User, ARN: alice, Account: accountA, ID: "AIDAALICE"},
		{Type: policy.RoleSession, ARN: sessionS, RoleARN: roleR, Account: accountA, ID: "AROAR"},
		{Type: policy.FederatedUser, ARN: fedBob, UserARN: alice, Account: accountA, ID: "AIDAALICE"},
		{Type: policy.Root, ARN: "arn:aws:iam::" + accountA + ":root", Account: accountA},
		{Type: policy.RoleSession, ARN: sessionX, RoleARN: roleX, Account: accountB, ID: "AROAX"},
		{Type: policy.Federated, ARN: provider},
		{Type: policy.Service, ARN: "ec2.amazonaws.com"},
		{Type: policy.Anonymous},
	}
}

var (
	genActions   = []string{"store:Get", "*", "store:*", "STORE:g?t", "store:G*t", "sts:AssumeRole", "sts:*", "iam:List", "store:*e*"}
	genAsked     = []string{"store:Get", "store:Get", "store:Put", "sts:AssumeRole", "sts:TagSession", "iam:List", "sts:GetCallerIdentity", "STORE:GET", "store:Delete"}
	genHeads     = []string{"arn:aws:store:::", "arn:aws:store:*:1*:", "arn:aws:store:eu:" + accountA + ":", "arn:*:store:?u:*:", "arn:aws:iam::" + accountA + ":"}
	genTails     = []string{"doc/a", "*", "?", "a", "b", "${aws:username}", "${aws:PrincipalTag/t}", "${*}", "${?}", "${k1, 'd*'}", "/", "${", "$", "é", ":", "${many}", "${AWS:USERNAME}"}
	genShort     = []string{"*", "*", "*", "*", "arn:aws:store:*", "arn:aws:store", "arn:aws:store::1*", "arn:aws:iam::" + accountA, "arn:aws:sts::*:*"}
	genNames     = []string{"doc/a", "a", "b", "alice", "*", "/", "d*", "${aws:username}", ":", "é", "?", "role/T"}
	genRequested = []string{"arn:aws:store:::", "arn:aws:store:eu:" + accountA + ":", "arn:aws:iam::" + accountA + ":", "arn:aws:store:us:" + accountB + ":"}
	genKeys      = []string{"k1", "k2", "K1", "aws:PrincipalTag/t", "aws:username", "many", "absent", "Many"}
	genAWS       = []string{"*", accountA, accountB, "arn:aws:iam::" + accountA + ":root", alice, roleR, sessionS, fedBob, roleX, sessionX, roleT, "AIDAALICE", "AROAR", "AROAX", "AIDAOTHER"}
	genStrings   = []string{"a", "b", "A", "a*", "?", "*", "alice", "${aws:username}", "${k1}", "${*}", "a${?}b", "${k2, 'dflt'}", "${", "", "é", "É", "x${aws:PrincipalTag/t}y", "${many}"}
	genARNs      = []string{"arn:aws:iam::*:role/*", "*", "arn:aws:store:*:*:doc/?", "${k1}", "arn:aws:iam::" + accountA + ":user/${aws:username}", "arn:*", "arn:aws:x:*:1:a:b", docA}
	genNumbers   = []string{"1", "2", "-1", "10", "10.0", "0.5", "-0", "+2", "007", "${k1}"}
	genDates     = []string{"2024-01-01T00:00:00Z", "2024-01-01T02:00:00+02:00", "1704067200", "2024-01", "2024-01-01", "2024-01-01T00:00Z", "2024-01-01T00:00:00.5Z", "2024", "2024-02-29"}
	genNetworks  = []string{"10.0.0.0/8", "10.1.2.3", "0.0.0.0/0", "::/0", "2001:db8::/32", "10.1.2.3/24", "2001:DB8::1", "::ffff:10.1.2.3"}
	genBools     = []string{"true", "false", "True"}
	genBinaries  = []string{"QQ==", "Qg==", "QUI="}
)

// genFamilies are operators by the values that they compare.
var genFamilies = []struct {
	operators, values, extra []string
}{
	{[]string{"StringEquals", "StringNotEquals", "StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase", "StringLike", "StringNotLike"}, genStrings, nil},
	{[]string{"ArnEquals", "ArnNotEquals", "ArnLike", "ArnNotLike"}, genARNs, []string{roleR, alice, docA, "arn:aws:x:y:1:a:b", "no arn"}},
	{[]string{"NumericEquals", "NumericNotEquals", "NumericLessThan", "NumericLessThanEquals", "NumericGreaterThan", "NumericGreaterThanEquals"}, genNumbers, []string{"1.0", "abc", "", "1e1"}},
	{[]string{"DateEquals", "DateNotEquals", "DateLessThan", "DateLessThanEquals", "DateGreaterThan", "DateGreaterThanEquals"}, genDates, []string{"yesterday", "2024-02-30", "2024-01-01T24:00:00Z", "1704067200"}},
	{[]string{"IpAddress", "NotIpAddress"}, genNetworks, []string{"10.1.2.3", "2001:db8::1", "::ffff:10.9.9.9", "somewhere", "10.1.2.300"}},
	{[]string{"Bool"}, genBools, []string{"yes", "FALSE"}},
	{[]string{"BinaryEquals"}, genBinaries, []string{"QQ", "Q"}},
	{[]string{"Null"}, genBools, []string{"a"}},
}

// scalar is a list of one as a plain value, sometimes.
func (s *source) scalar(list []string) any {
	if len(list) == 1 && s.chance(50) {
		return list[0]
	}
	return list
}

func (s *source) resources() any {
	var list []string
	for range 1 + s.next()%2 {
		if s.chance(50) {
			list = append(list, s.pick(genShort))
		} else {
			list = append(list, s.pick(genHeads)+s.text(genTails, 4))
		}
	}
	return s.scalar(list)
}

func (s *source) statement(kind policy.Kind) map[string]any {
	st := map[string]any{"Effect": "Allow"}
	if s.chance(30) {
		st["Effect"] = "Deny"
	}
	not := func(name string, percent int) string {
		if s.chance(percent) {
			return "Not" + name
		}
		return name
	}
	actions := genActions
	if kind == policy.Trust {
		actions = []string{"sts:AssumeRole", "sts:*", "STS:Tag*"}
	}
	st[not("Action", 15)] = s.scalar(s.several(actions, 1, 2))
	if kind != policy.Trust {
		st[not("Resource", 15)] = s.resources()
	}
	if kind == policy.Resource || kind == policy.Trust {
		name := "Principal"
		if kind == policy.Resource && st["Effect"] == "Deny" {
			name = not(name, 40)
		}
		switch s.next() % 6 {
		case 0:
			st[name] = "*"
		case 1:
			st[name] = map[string]any{"Federated": provider, "AWS": s.pick(genAWS)}
		case 2:
			st[name] = map[string]any{"Service": []string{"ec2.amazonaws.com", "lambda.amazonaws.com"}}
		default:
			st[name] = map[string]any{"AWS": s.scalar(s.several(genAWS, 1, 3))}
		}
	}
	if s.chance(40) {
		conditions := map[string]any{}
		for range 1 + s.next()%2 {
			family := genFamilies[s.next()%len(genFamilies)]
			op := []string{"", "", "ForAllValues:", "ForAnyValue:"}[s.next()%4] + s.pick(family.operators)
			if !strings.HasSuffix(op, "Null") && s.chance(25) {
				op += "IfExists"
			}
			conditions[op] = map[string]any{s.pick(genKeys): s.scalar(s.several(family.values, 1, 3))}
		}
		st["Condition"] = conditions
	}
	return st
}

func (s *source) document(kind policy.Kind) string {
	d := map[string]any{}
	switch {
	case s.chance(75):
		d["Version"] = "2012-10-17"
	case s.chance(50):
		d["Version"] = "2008-10-17"
	}
	var statements []any
	for range 1 + s.next()%3 {
		statements = append(statements, s.statement(kind))
	}
	if d["Statement"] = statements; len(statements) == 1 && s.chance(50) {
		d["Statement"] = statements[0]
	}
	text, err := json.Marshal(d)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// valid is a document that the engine accepts.
func (s *source) valid(kind policy.Kind) string {
	for range 20 {
		text := s.document(kind)
		if _, err := policy.Parse(kind, text); err == nil {
			return text
		}
	}
	return `{"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`
}

func (s *source) documents(kind policy.Kind, most int) []string {
	list := []string{}
	for range s.next() % (most + 1) {
		list = append(list, s.document(kind))
	}
	return list
}

func (s *source) request() *refRequest {
	all := callers()
	q := &refRequest{
		principal: all[s.next()%len(all)],
		action:    s.pick(genAsked),
		owner:     []string{accountA, accountA, accountB}[s.next()%3],
		context:   map[string]refKey{},
	}
	switch s.next() % 5 {
	case 0:
		q.resource = "*"
	case 1:
		q.resource = roleT
	default:
		q.resource = s.pick(genRequested) + s.text(genNames, 3)
	}
	for _, key := range []string{"k1", "k2", "aws:principaltag/t", "many"} {
		if !s.chance(70) {
			continue
		}
		family := genFamilies[s.next()%len(genFamilies)]
		values := append(family.extra[:len(family.extra):len(family.extra)], family.values...)
		if key == "many" || s.chance(15) {
			q.context[key] = refKey{true, s.several(values, 0, 3)}
		} else {
			q.context[key] = refKey{false, []string{s.pick(values)}}
		}
	}
	if q.principal.Type == policy.User {
		q.context["aws:username"] = refKey{false, []string{"alice"}}
	}
	return q
}

func (s *source) policies() *refPolicies {
	p := &refPolicies{}
	if s.chance(80) {
		p.identity = s.documents(policy.Identity, 3)
	}
	if s.chance(60) {
		kind := policy.Resource
		if p.trust = s.chance(40); p.trust {
			kind = policy.Trust
		}
		p.resource = s.document(kind)
	}
	if s.chance(25) {
		p.boundary = s.document(policy.Boundary)
	}
	if s.chance(25) {
		p.session = s.documents(policy.Session, 2)
	}
	if s.chance(20) {
		for range s.next() % 3 {
			p.scps = append(p.scps, s.documents(policy.ServiceControl, 2))
		}
	}
	return p
}

// compile makes the engine's types. It returns nil when a document is refused, which the generator does now and then provoke.
func (p *refPolicies) compile() *policy.Policies {
	out := &policy.Policies{}
	refused := false
	parse := func(kind policy.Kind, text string) *policy.Document {
		d, err := policy.Parse(kind, text)
		refused = refused || err != nil
		return d
	}
	all := func(kind policy.Kind, texts []string) []*policy.Document {
		if texts == nil {
			return nil
		}
		list := []*policy.Document{}
		for _, text := range texts {
			list = append(list, parse(kind, text))
		}
		return list
	}
	out.Identity = all(policy.Identity, p.identity)
	out.Session = all(policy.Session, p.session)
	switch {
	case p.resource != "" && p.trust:
		out.Resource = parse(policy.Trust, p.resource)
	case p.resource != "":
		out.Resource = parse(policy.Resource, p.resource)
	}
	if p.boundary != "" {
		out.Boundary = parse(policy.Boundary, p.boundary)
	}
	for _, level := range p.scps {
		out.ServiceControl = append(out.ServiceControl, all(policy.ServiceControl, level))
	}
	if refused {
		return nil
	}
	return out
}

func (q *refRequest) compile() *policy.Request {
	context := new(policy.Context)
	for key, k := range q.context {
		if k.multi {
			context.SetList(key, k.values)
		} else {
			context.Set(key, k.values[0])
		}
	}
	return &policy.Request{
		Principal: q.principal, Action: q.action, Resource: q.resource, ResourceAccount: q.owner, Context: context,
	}
}
