package apply

import (
	"encoding/json"
	"errors"
	"fmt"
	"sort"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/stint-sts/stint/policy"
)

// places tells where the parts of a policy's JSON stand in a file.
type places struct {
	file  string
	line  int    // of the first line of the JSON, when the file holds it as such
	marks []mark // of JSON that was made of YAML: one line, in order of columns
}

// mark says that what begins at a column of the JSON stands at a line and column of the file.
type mark struct{ at, line, column int }

// find returns the place of a line and column of the JSON, both from 1.
func (p *places) find(line, column int) string {
	if p.marks == nil {
		return fmt.Sprintf("%s:%d:%d", p.file, p.line+line-1, column)
	}
	i := sort.Search(len(p.marks), func(i int) bool { return p.marks[i].at > column })
	m := p.marks[max(i-1, 0)]
	return fmt.Sprintf("%s:%d:%d", p.file, m.line, m.column)
}

// fault tells why the policy is refused, at the place of the fault.
func (t *Text) fault(err error) Fault {
	refusal, ok := errors.AsType[*policy.Error](err)
	switch {
	case !ok:
		return Fault{t.Place, err.Error()}
	case t.places.file == "":
		return Fault{t.Place, refusal.Error()}
	case refusal.Path == "":
		return Fault{t.places.find(refusal.Line, refusal.Column), refusal.Reason}
	}
	return Fault{t.places.find(refusal.Line, refusal.Column), refusal.Path + ": " + refusal.Reason}
}

// Bounds of a policy written in YAML after aliases are followed. The API takes 131,072 characters of one policy.
const (
	maxPolicy      = 256 << 10 // bytes
	maxPolicyDepth = 32        // a policy nests some six levels
)

// converter turns YAML into JSON of one line. Every scalar becomes a string, spelled as in the file: policies compare by text,
// and Version: 2012-10-17 is no date, 012345678901 no octal number.
type converter struct {
	out    strings.Builder
	column int // of what comes next, in characters
	depth  int
	marks  []mark
}

// yamlFault is a fault at a line of the file under work.
type yamlFault struct {
	line int
	text string
}

func faultAt(n *yaml.Node, format string, args ...any) *yamlFault {
	return &yamlFault{n.Line, fmt.Sprintf(format, args...)}
}

func (c *converter) write(s string) {
	c.out.WriteString(s)
	c.column += utf8.RuneCountInString(s)
}

func (c *converter) scalar(n *yaml.Node) *yamlFault {
	c.marks = append(c.marks, mark{c.column, n.Line, n.Column})
	var quoted strings.Builder
	e := json.NewEncoder(&quoted)
	e.SetEscapeHTML(false) // the policy is read by people
	if err := e.Encode(n.Value); err != nil {
		return faultAt(n, "%v", err)
	}
	c.write(strings.TrimSuffix(quoted.String(), "\n"))
	return nil
}

func (c *converter) convert(n *yaml.Node) *yamlFault {
	c.depth++
	defer func() { c.depth-- }()
	if c.out.Len() > maxPolicy || c.depth > maxPolicyDepth {
		return faultAt(n, "the policy is too large or nests too deep")
	}
	switch {
	case n.Kind == yaml.AliasNode:
		return c.convert(n.Alias)
	case n.Kind == yaml.SequenceNode:
		return c.list(n)
	case n.Kind == yaml.MappingNode:
		return c.object(n)
	case n.ShortTag() == "!!null":
		return faultAt(n, "a policy has no empty values")
	default:
		return c.scalar(n)
	}
}

func (c *converter) list(n *yaml.Node) *yamlFault {
	c.marks = append(c.marks, mark{c.column, n.Line, n.Column})
	c.write("[")
	for i, item := range n.Content {
		if i > 0 {
			c.write(",")
		}
		if err := c.convert(item); err != nil {
			return err
		}
	}
	c.write("]")
	return nil
}

// object keeps the order of keys. Keys that occur twice are left for the policy parser to refuse.
func (c *converter) object(n *yaml.Node) *yamlFault {
	c.marks = append(c.marks, mark{c.column, n.Line, n.Column})
	c.write("{")
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		if key.Kind != yaml.ScalarNode || key.ShortTag() == "!!merge" {
			return faultAt(key, "a key must be plain text")
		}
		if i > 0 {
			c.write(",")
		}
		if err := c.scalar(key); err != nil {
			return err
		}
		c.write(":")
		if err := c.convert(n.Content[i+1]); err != nil {
			return err
		}
	}
	c.write("}")
	return nil
}
