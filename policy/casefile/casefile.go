// Package casefile reads test cases of policies: a request, the policies that bear on it, and the answer that is expected. The
// format is that of policy/testdata/vectors/README.md in JSON Lines, and the same in YAML for people; docs/policies.md tells it.
package casefile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/stint-sts/stint/arn"
	"github.com/stint-sts/stint/policy"
)

// Case is one question to the policy engine with the answer that is expected.
type Case struct {
	Place    string // FILE:LINE
	ID, Why  string // for people
	Expect   string // Allow, ImplicitDeny or ExplicitDeny; empty: the answer is open
	Request  *policy.Request
	Policies *policy.Policies
}

// caseText is a case as it is written.
type caseText struct {
	ID, Class, Kind, Basis, Why string
	Request                     struct {
		Action, Resource, ResourceAccount string
		Principal                         json.RawMessage
		Context                           map[string]json.RawMessage
	}
	Policies struct {
		Identity, Boundary, Session []json.RawMessage
		Resource                    json.RawMessage
		SCPs                        [][]json.RawMessage
	}
	Expect   *string
	Readings map[string]string
}

// principalText is a principal as it is written. An ARN or the name of a service alone stands for it where nothing is open.
type principalText struct {
	ARN, Type, RoleARN, UserARN, ID string
	Account                         *string
}

// Open reads the text of a policy that a case names by file, relative to the file of the cases.
type Open func(name string) (string, error)

// Read reads the cases of a file: YAML by the file's name, else JSON Lines. It returns those that can be read, and the faults
// of all others joined, each beginning with FILE:LINE. A file without a case is a fault.
func Read(file, text string, open Open) ([]Case, error) {
	raws, err := split(file, text)
	if err != nil {
		return nil, err
	}
	if len(raws) == 0 {
		return nil, fmt.Errorf("%s:1: there is no case", file)
	}
	r := caseReader{open, make(map[parsedKey]*policy.Document)}
	var cases []Case
	var faults []error
	for _, raw := range raws {
		place := fmt.Sprintf("%s:%d", file, raw.line)
		c, err := r.read(raw.json)
		if err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", place, err))
			continue
		}
		c.Place = place
		cases = append(cases, c)
	}
	return cases, errors.Join(faults...)
}

// rawCase is the JSON of a case and where it stood.
type rawCase struct {
	line int
	json []byte
}

func split(file, text string) ([]rawCase, error) {
	if ext := filepath.Ext(file); ext == ".yaml" || ext == ".yml" {
		return splitYAML(file, text)
	}
	var raws []rawCase
	number := 0
	for line := range strings.Lines(text) {
		number++
		if strings.TrimSpace(line) != "" {
			raws = append(raws, rawCase{number, []byte(line)})
		}
	}
	return raws, nil
}

// splitYAML reads documents of one case or a list of them each.
func splitYAML(file, text string) ([]rawCase, error) {
	var raws []rawCase
	c := yamlConverter{budget: maxYAML}
	for d := yaml.NewDecoder(strings.NewReader(text)); ; {
		var document yaml.Node
		err := d.Decode(&document)
		if errors.Is(err, io.EOF) {
			return raws, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%s:%s", file, yamlFault(err))
		}
		list := document.Content
		if len(list) == 1 && list[0].Kind == yaml.SequenceNode {
			list = list[0].Content
		}
		for _, n := range list {
			c.out.Reset()
			if err := c.convert(n); err != nil {
				return nil, fmt.Errorf("%s:%w", file, err)
			}
			raws = append(raws, rawCase{n.Line, bytes.Clone(c.out.Bytes())})
		}
	}
}

// yamlFault turns "yaml: line 7: did not find expected key" into "7: did not find expected key"; a fault without a line is
// one of the whole file.
func yamlFault(err error) string {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	if after, found := strings.CutPrefix(text, "line "); found {
		return after
	}
	return "1: " + text
}

// Bounds of a file after aliases are followed, so that a few lines of them cannot fill memory, nor one within itself the stack.
const (
	maxYAML      = 8 << 20 // bytes
	maxYAMLDepth = 64      // a policy in a case nests ten levels
)

// yamlConverter turns YAML into JSON. Every scalar but null becomes a string, spelled as in the file: policies compare by
// text, and Version: 2012-10-17 is no date, 012345678901 no octal number.
type yamlConverter struct {
	out           bytes.Buffer
	budget, depth int
}

func (c *yamlConverter) convert(n *yaml.Node) error {
	c.depth++
	defer func() { c.depth-- }()
	if c.budget -= 1 + len(n.Value); c.budget < 0 || c.depth > maxYAMLDepth {
		return fmt.Errorf("%d: too large or too deep with its aliases", n.Line)
	}
	switch {
	case n.Kind == yaml.AliasNode:
		return c.convert(n.Alias)
	case n.Kind == yaml.SequenceNode:
		return c.list(n)
	case n.Kind == yaml.MappingNode:
		return c.object(n)
	case n.ShortTag() == "!!null":
		c.out.WriteString("null")
		return nil
	default:
		return c.text(n.Value)
	}
}

func (c *yamlConverter) text(s string) error {
	quoted, err := json.Marshal(s)
	c.out.Write(quoted)
	return err
}

func (c *yamlConverter) list(n *yaml.Node) error {
	c.out.WriteByte('[')
	for i, item := range n.Content {
		if i > 0 {
			c.out.WriteByte(',')
		}
		if err := c.convert(item); err != nil {
			return err
		}
	}
	c.out.WriteByte(']')
	return nil
}

// object keeps the order of keys, so that places in a policy are found again.
func (c *yamlConverter) object(n *yaml.Node) error {
	seen := make(map[string]bool)
	c.out.WriteByte('{')
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		switch {
		case key.Kind != yaml.ScalarNode || key.ShortTag() == "!!merge":
			return fmt.Errorf("%d: a key must be plain text", key.Line)
		case seen[key.Value]:
			return fmt.Errorf("%d: key %q occurs twice", key.Line, key.Value)
		}
		seen[key.Value] = true
		if i > 0 {
			c.out.WriteByte(',')
		}
		if err := c.text(key.Value); err != nil {
			return err
		}
		c.out.WriteByte(':')
		if err := c.convert(n.Content[i+1]); err != nil {
			return err
		}
	}
	c.out.WriteByte('}')
	return nil
}

// caseReader makes the engine's types of a case.
type caseReader struct {
	open   Open
	parsed map[parsedKey]*policy.Document // cases of a file mostly speak of the same documents
}

type parsedKey struct {
	kind policy.Kind
	text string
}

func (r *caseReader) read(raw []byte) (Case, error) {
	var t caseText
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&t); err != nil {
		return Case{}, fmt.Errorf("case: %w", err)
	}
	c := Case{ID: t.ID, Why: t.Why}
	if t.Expect != nil {
		c.Expect = *t.Expect
		switch c.Expect {
		case policy.Allow.String(), policy.ImplicitDeny.String(), policy.ExplicitDeny.String():
		default:
			return c, fmt.Errorf("expect %q: it is Allow, ImplicitDeny or ExplicitDeny", c.Expect)
		}
	}
	var err error
	if c.Request, err = t.request(); err != nil {
		return c, err
	}
	c.Policies, err = r.policies(&t)
	return c, err
}

func (t *caseText) request() (*policy.Request, error) {
	q := &t.Request
	principal, err := readPrincipal(q.Principal)
	if err != nil {
		return nil, fmt.Errorf("principal: %w", err)
	}
	if q.Action == "" || q.Resource == "" {
		return nil, errors.New("a request needs action and resource")
	}
	r := &policy.Request{Principal: principal, Action: q.Action, Resource: q.Resource, ResourceAccount: q.ResourceAccount}
	if r.ResourceAccount == "" {
		r.ResourceAccount = principal.Account
		if a, err := arn.Parse(q.Resource); err == nil && a.Account != "" {
			r.ResourceAccount = a.Account
		}
	}
	r.Context = new(policy.Context)
	for key, raw := range q.Context {
		var one any
		var list []string
		if json.Unmarshal(raw, &list) == nil && raw[0] == '[' {
			r.Context.SetList(key, list)
			continue
		}
		d := json.NewDecoder(bytes.NewReader(raw))
		d.UseNumber()
		if err := d.Decode(&one); err != nil {
			return nil, fmt.Errorf("context key %q: %w", key, err)
		}
		switch one.(type) {
		case string, bool, json.Number:
			r.Context.Set(key, fmt.Sprint(one))
		default:
			return nil, fmt.Errorf("context key %q: a text or a list of texts is needed", key)
		}
	}
	return r, nil
}

var principalTypes = map[string]policy.PrincipalType{
	"user": policy.User, "role-session": policy.RoleSession, "federated-user": policy.FederatedUser, "root": policy.Root,
	"service": policy.Service, "federated": policy.Federated, "anonymous": policy.Anonymous,
}

func readPrincipal(raw json.RawMessage) (*policy.Principal, error) {
	var name string
	if json.Unmarshal(raw, &name) == nil && name != "" {
		return principalByName(name)
	}
	var t principalText
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&t); err != nil {
		return nil, err
	}
	kind, ok := principalTypes[t.Type]
	if !ok {
		return nil, fmt.Errorf("type %q: it is user, role-session, federated-user, root, service, federated or anonymous", t.Type)
	}
	if kind == policy.RoleSession && t.RoleARN == "" || kind == policy.FederatedUser && t.UserARN == "" {
		return nil, fmt.Errorf("a %s needs %s", t.Type, map[policy.PrincipalType]string{
			policy.RoleSession: "roleArn, the role with its path", policy.FederatedUser: "userArn, the user that made it",
		}[kind])
	}
	p := &policy.Principal{Type: kind, ARN: t.ARN, RoleARN: t.RoleARN, UserARN: t.UserARN, ID: t.ID}
	if t.Account != nil {
		p.Account = *t.Account
	} else if a, err := arn.Parse(t.ARN); err == nil {
		p.Account = a.Account
	}
	return p, nil
}

// principalByName reads an ARN, or the name of a service or built-in identity provider.
func principalByName(name string) (*policy.Principal, error) {
	a, err := arn.Parse(name)
	if err != nil {
		kind := policy.Federated
		if strings.HasSuffix(name, ".amazonaws.com") && name != "cognito-identity.amazonaws.com" {
			kind = policy.Service
		}
		if strings.ContainsAny(name, ":/ ") {
			return nil, err
		}
		return &policy.Principal{Type: kind, ARN: name}, nil
	}
	p := &policy.Principal{ARN: name, Account: a.Account}
	word, rest, _ := strings.Cut(a.Resource, "/")
	switch a.Service + ":" + word {
	case "iam:root":
		p.Type = policy.Root
	case "iam:user":
		p.Type = policy.User
	case "iam:saml-provider", "iam:oidc-provider":
		p.Type = policy.Federated
	case "sts:assumed-role":
		role, _, _ := strings.Cut(rest, "/")
		p.Type, p.RoleARN = policy.RoleSession, "arn:"+a.Partition+":iam::"+a.Account+":role/"+role
	default:
		return nil, fmt.Errorf("%s: write arn and type", name)
	}
	return p, nil
}

func (r *caseReader) policies(t *caseText) (*policy.Policies, error) {
	in := &t.Policies
	out := new(policy.Policies)
	var err error
	if out.Identity, err = r.documents(policy.Identity, in.Identity); err != nil {
		return nil, err
	}
	if out.Session, err = r.documents(policy.Session, in.Session); err != nil {
		return nil, err
	}
	boundary, err := r.documents(policy.Boundary, in.Boundary)
	switch {
	case err != nil:
		return nil, err
	case len(boundary) > 1:
		return nil, errors.New("boundary: there can be one")
	case len(boundary) == 1:
		out.Boundary = boundary[0]
	}
	for _, level := range in.SCPs {
		documents, err := r.documents(policy.ServiceControl, level)
		if err != nil {
			return nil, err
		}
		out.ServiceControl = append(out.ServiceControl, documents)
	}
	if len(in.Resource) > 0 && string(in.Resource) != "null" {
		out.Resource, err = r.document(0, in.Resource)
	}
	return out, err
}

func (r *caseReader) documents(kind policy.Kind, raws []json.RawMessage) ([]*policy.Document, error) {
	if raws == nil {
		return nil, nil
	}
	documents := make([]*policy.Document, len(raws))
	for i, raw := range raws {
		d, err := r.document(kind, raw)
		if err != nil {
			return nil, fmt.Errorf("%v policy %d: %w", kind, i+1, err)
		}
		documents[i] = d
	}
	return documents, nil
}

// document reads a policy: in place, as JSON text, or {"file": NAME} beside the file of the case. Kind 0 is a resource's
// policy, which is a trust policy when it has no Resource.
func (r *caseReader) document(kind policy.Kind, raw json.RawMessage) (*policy.Document, error) {
	text := string(raw)
	var elsewhere struct{ File string }
	switch {
	case json.Unmarshal(raw, &text) == nil: // the text of a JSON string
	case json.Unmarshal(raw, &elsewhere) == nil && elsewhere.File != "":
		var err error
		if text, err = r.open(elsewhere.File); err != nil {
			return nil, err
		}
	}
	if kind == 0 {
		if kind = policy.GuessKind(text); kind == policy.Identity {
			kind = policy.Resource // and be refused for want of a Principal
		}
	}
	key := parsedKey{kind, text}
	if d, ok := r.parsed[key]; ok {
		return d, nil
	}
	d, err := policy.Parse(kind, text)
	if err != nil {
		return nil, err
	}
	r.parsed[key] = d
	return d, nil
}
