package apply

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/stint-sts/stint/iam"
)

// MaxFile bounds a file, in bytes.
const MaxFile = 8 << 20

// maxValues bounds the values of a file after aliases are followed, so that a few lines of them cannot fill memory. A policy counts
// as one value for every valueSize bytes at least.
const (
	maxValues = 1 << 20
	valueSize = 16
)

// Open returns the text of a policy that a document names by file, relative to the file of the document, and the path to
// show in messages.
type Open func(name string) (path, text string, err error)

// Read reads the documents of a YAML file, with the faults that can be told of the file alone; Check tells what is wrong with
// the documents of all files together. On a fault the documents are incomplete and good only to look for more faults.
func Read(file, text string, open Open) ([]Document, Faults) {
	r := &reader{file: file, open: open, budget: maxValues}
	if len(text) > MaxFile {
		r.faults.add(r.place(1), "larger than %d MiB", MaxFile>>20)
		return nil, r.faults
	}
	var documents []Document
	for d := yaml.NewDecoder(strings.NewReader(text)); ; {
		var n yaml.Node
		err := d.Decode(&n)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			r.faults.add(r.syntax(err), "%s", syntaxText(err))
			break
		}
		if len(n.Content) == 1 && !isNull(n.Content[0]) {
			documents = append(documents, r.document(n.Content[0]))
		}
	}
	if len(documents) == 0 && len(r.faults) == 0 {
		r.faults.add(r.place(1), "there is no document")
	}
	return documents, r.faults
}

// reader reads one file and gathers its faults.
type reader struct {
	file   string
	open   Open
	budget int  // values that may still be looked at
	over   bool // the budget has been exceeded, and this told
	faults Faults
}

func (r *reader) place(line int) string { return fmt.Sprintf("%s:%d", r.file, line) }

func (r *reader) fault(n *yaml.Node, format string, args ...any) {
	r.faults.add(r.place(n.Line), format, args...)
}

// syntax is the place that the YAML parser tells in words: "yaml: line 7: did not find expected key".
func (r *reader) syntax(err error) string {
	line := 1
	_, _ = fmt.Sscanf(err.Error(), "yaml: line %d:", &line)
	return r.place(line)
}

func syntaxText(err error) string {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	if _, after, found := strings.Cut(text, ": "); found && strings.HasPrefix(text, "line ") {
		return after
	}
	return text
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

// look follows an alias and counts the value. It returns false for one that must not be read: it is empty, or one too many.
func (r *reader) look(n *yaml.Node, what string) (*yaml.Node, bool) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if r.budget--; r.budget < 0 {
		if !r.over {
			r.fault(n, "the file is too large with its aliases")
		}
		r.over = true
		return n, false
	}
	if isNull(n) {
		r.fault(n, "%s has no value: leave it out, or write [], {} or \"\" for none", what)
		return n, false
	}
	return n, true
}

// fields reads a mapping whose keys are known.
func (r *reader) fields(n *yaml.Node, what string, known map[string]func(*yaml.Node)) {
	r.entries(n, what, func(key, value *yaml.Node) {
		read, ok := known[key.Value]
		if !ok {
			r.fault(key, "%s: unknown key %q; the keys are %s", what, key.Value, strings.Join(slices.Sorted(maps.Keys(known)), ", "))
			return
		}
		if value, ok := r.look(value, key.Value); ok {
			read(value)
		}
	})
}

// entries reads a mapping, in the order of the file.
func (r *reader) entries(n *yaml.Node, what string, read func(key, value *yaml.Node)) {
	if n.Kind != yaml.MappingNode {
		r.fault(n, "%s must be a mapping", what)
		return
	}
	seen := make(map[string]bool)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		switch {
		case key.Kind != yaml.ScalarNode || key.ShortTag() == "!!merge":
			r.fault(key, "%s: a key must be plain text", what)
		case seen[key.Value]:
			r.fault(key, "%s: key %q occurs twice", what, key.Value)
		default:
			seen[key.Value] = true
			read(key, n.Content[i+1])
		}
	}
}

// named reads a mapping from the names of objects.
func (r *reader) named(what string, read func(place, name string, value *yaml.Node)) func(*yaml.Node) {
	return func(n *yaml.Node) {
		r.entries(n, what, func(key, value *yaml.Node) {
			if value, ok := r.look(value, what+" "+key.Value); ok {
				read(r.place(key.Line), key.Value, value)
			}
		})
	}
}

// text reads a scalar as it is spelled.
func (r *reader) text(what string, into *string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		if n.Kind != yaml.ScalarNode {
			r.fault(n, "%s must be text", what)
			return
		}
		*into = n.Value
	}
}

// filled is text that may not be empty.
func (r *reader) filled(what string, into *string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		if r.text(what, into)(n); n.Kind == yaml.ScalarNode && n.Value == "" {
			r.fault(n, "%s is empty", what)
		}
	}
}

func (r *reader) document(n *yaml.Node) Document {
	d := Document{Place: r.place(n.Line)}
	r.fields(n, "document", map[string]func(*yaml.Node){
		"account":  r.filled("account", &d.Account),
		"name":     r.filled("name", &d.Name),
		"policies": r.named("policy", func(at, name string, n *yaml.Node) { d.Policies = append(d.Policies, r.policy(at, name, n)) }),
		"groups":   r.named("group", func(at, name string, n *yaml.Node) { d.Groups = append(d.Groups, r.group(at, name, n)) }),
		"users":    r.named("user", func(at, name string, n *yaml.Node) { d.Users = append(d.Users, r.user(at, name, n)) }),
		"roles":    r.named("role", func(at, name string, n *yaml.Node) { d.Roles = append(d.Roles, r.role(at, name, n)) }),
	})
	return d
}

func (r *reader) policy(place, name string, n *yaml.Node) Policy {
	p := Policy{Place: place, Name: name}
	what := "policy " + name
	r.fields(n, what, map[string]func(*yaml.Node){
		"path":        r.filled("path", &p.Path),
		"description": r.text("description", &p.Description),
		"tags":        r.tags(&p.Tags),
		"document":    func(n *yaml.Node) { p.Document = r.policyText(n) },
	})
	if p.Document.Place == "" {
		r.faults.add(place, "%s has no document", what)
		p.Document.Place = place
	}
	return p
}

func (r *reader) group(place, name string, n *yaml.Node) Holder {
	h := Holder{Place: place, Name: name}
	r.fields(n, "group "+name, r.holder(&h))
	return h
}

func (r *reader) user(place, name string, n *yaml.Node) User {
	u := User{Bounded: Bounded{Holder: Holder{Place: place, Name: name}}}
	known := r.bounded(&u.Bounded)
	known["groups"] = r.references("groups", &u.Groups)
	r.fields(n, "user "+name, known)
	return u
}

func (r *reader) role(place, name string, n *yaml.Node) Role {
	role := Role{Bounded: Bounded{Holder: Holder{Place: place, Name: name}}}
	known := r.bounded(&role.Bounded)
	known["description"] = func(n *yaml.Node) {
		role.Description = new(string)
		r.text("description", role.Description)(n)
	}
	known["max-session-duration"] = func(n *yaml.Node) { role.MaxSession = r.seconds(n) }
	known["trust"] = func(n *yaml.Node) { role.Trust = new(r.policyText(n)) }
	r.fields(n, "role "+name, known)
	return role
}

// holder are the keys of groups, users and roles.
func (r *reader) holder(h *Holder) map[string]func(*yaml.Node) {
	return map[string]func(*yaml.Node){
		"path":     r.filled("path", &h.Path),
		"attached": r.references("attached", &h.Attached),
		"inline": func(n *yaml.Node) {
			h.Inline = []Inline{}
			r.named("inline policy", func(_, name string, n *yaml.Node) {
				h.Inline = append(h.Inline, Inline{name, r.policyText(n)})
			})(n)
		},
	}
}

// bounded are the keys of users and roles.
func (r *reader) bounded(b *Bounded) map[string]func(*yaml.Node) {
	known := r.holder(&b.Holder)
	known["tags"] = r.tags(&b.Tags)
	known["boundary"] = func(n *yaml.Node) {
		b.Boundary = &Reference{Place: r.place(n.Line)}
		r.text("boundary", &b.Boundary.Name)(n)
	}
	return known
}

func (r *reader) tags(into *[]iam.Tag) func(*yaml.Node) {
	return func(n *yaml.Node) {
		*into = []iam.Tag{}
		r.entries(n, "tags", func(key, value *yaml.Node) {
			tag := iam.Tag{Key: key.Value}
			if value, ok := r.look(value, "tag "+key.Value); ok {
				r.text("tag "+key.Value, &tag.Value)(value)
				*into = append(*into, tag)
			}
		})
	}
}

func (r *reader) references(what string, into *[]Reference) func(*yaml.Node) {
	return func(n *yaml.Node) {
		if n.Kind != yaml.SequenceNode {
			r.fault(n, "%s must be a list", what)
			return
		}
		*into = []Reference{}
		for _, item := range n.Content {
			if item, ok := r.look(item, what); ok {
				reference := Reference{Place: r.place(item.Line)}
				r.filled(what, &reference.Name)(item)
				*into = append(*into, reference)
			}
		}
	}
}

// seconds reads a number of seconds, or a duration such as 12h.
func (r *reader) seconds(n *yaml.Node) *int32 {
	if seconds, err := strconv.ParseInt(n.Value, 10, 32); err == nil {
		return new(int32(seconds))
	}
	d, err := time.ParseDuration(n.Value)
	if err != nil || d%time.Second != 0 || d/time.Second > math.MaxInt32 || d < 0 {
		r.fault(n, "max-session-duration %q: it is a number of seconds, or a duration such as 12h", n.Value)
		return nil
	}
	return new(int32(d / time.Second))
}

// policyText reads a policy: JSON as text, YAML that says the same, or {file: NAME}. The policy itself is for Check.
func (r *reader) policyText(n *yaml.Node) Text {
	t := Text{Place: r.place(n.Line), places: places{file: r.file, line: n.Line}}
	switch {
	case n.Kind == yaml.ScalarNode:
		r.filled("the policy", &t.JSON)(n)
		if n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
			t.places.line++ // the text begins below its indicator
		}
	case n.Kind == yaml.MappingNode && len(n.Content) == 2 && n.Content[0].Value == "file":
		r.include(n.Content[1], &t)
	default:
		c := &converter{column: 1}
		if err := c.convert(n); err != nil {
			r.faults.add(r.place(err.line), "%s", err.text)
			return t
		}
		t.JSON, t.places.marks = c.out.String(), c.marks
	}
	r.budget -= len(t.JSON) / valueSize
	return t
}

// include reads a policy from a file of its own.
func (r *reader) include(n *yaml.Node, t *Text) {
	var name string
	if r.filled("file", &name)(n); name == "" {
		return
	}
	path, text, err := r.open(name)
	if err != nil {
		r.fault(n, "file %s: %v", name, err)
		return
	}
	t.JSON, t.Place, t.places = text, path+":1", places{file: path, line: 1}
}
