package policy

import (
	"encoding/json"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/stint-sts/stint/arn"
)

// Document is a parsed, validated and compiled policy. It is immutable and safe for concurrent use.
type Document struct {
	kind       Kind
	name       string
	text       string
	size       int
	variables  bool // version 2012-10-17
	statements []statement
	services   []uint64       // serviceBit mask of statements[i], apart so that a scan touches little memory
	keys       []string       // for ContextKeys
	entities   []principalRef // users and roles among the principals, by ARN or unique id
	accounts   []principalRef // accounts among the principals, by bare id
}

// principalRef is a place in the text where a principal stands, quotes included.
type principalRef struct {
	start, end int
	text       string
}

// statement is one compiled statement.
type statement struct {
	sid        string
	deny       bool
	principals *principalSet // nil: the document is of a kind without principals
	actions    actionSet
	resources  resourceSet
	conditions []condition
}

// Text returns the document as it was given to Parse.
func (d *Document) Text() string { return d.text }

// Kind returns the kind that the document was parsed as.
func (d *Document) Kind() Kind { return d.kind }

// namesPrincipals tells whether documents of the kind say whom they speak of.
func (d *Document) namesPrincipals() bool { return d.kind == Trust || d.kind == Resource }

// Size returns the number of characters without the white space between tokens, which is what IAM's quotas count.
func (d *Document) Size() int { return d.size }

// significantChars counts the characters of valid JSON but for white space outside of strings.
func significantChars(text string) int {
	count, inString := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case inString && c == '\\':
			i++
			count += 2
			continue
		case c == '"':
			inString = !inString
		case !inString && isSpace(c), !utf8.RuneStart(c):
			continue
		}
		count++
	}
	return count
}

// Principals returns the users and roles that the document names as AWS principals, by ARN or bare unique id as written, each
// once, in order of appearance. They are what a directory must resolve before the document is stored.
func (d *Document) Principals() []string {
	var names []string
	seen := make(map[string]bool)
	for _, ref := range d.entities {
		if !seen[ref.text] {
			seen[ref.text] = true
			names = append(names, ref.text)
		}
	}
	return names
}

// Named returns the document under a name for operators: an ARN, or where it is embedded. Evaluation does not see it.
func (d *Document) Named(name string) *Document {
	named := *d
	named.name = name
	return &named
}

// Name returns what Named gave the document; "" for none.
func (d *Document) Name() string { return d.name }

// Bind returns a copy in which the ARNs among Principals match by unique id only (Principal.ID), as IAM does from the moment a
// trust policy is stored: a user or role that is deleted and made again under the same name has another id and is not
// trusted. An ARN that ids does not map matches nobody. An unbound document matches by the text of the ARN.
func (d *Document) Bind(ids map[string]string) *Document {
	bound := *d
	bound.statements = slices.Clone(d.statements)
	for i := range bound.statements {
		s := &bound.statements[i]
		if s.principals == nil {
			continue
		}
		set := &principalSet{negated: s.principals.negated, entries: slices.Clone(s.principals.entries)}
		for j := range set.entries {
			if e := &set.entries[j]; e.form == userARN || e.form == roleARN {
				e.bound, e.id = true, ids[e.value]
			}
		}
		s.principals = set
	}
	return &bound
}

// Rewrite returns the text with each of Principals replaced by what f returns for it, all else untouched. It serves to show
// the present ARN of a user or role, and the bare unique id of a deleted one, as IAM does.
func (d *Document) Rewrite(f func(name string) string) string { return d.replace(d.entities, f) }

// Stored returns the text as IAM keeps it: an account named by its bare id becomes the ARN of its root user, which means the
// same (IAM User Guide, "AWS JSON policy elements: Principal"). All else is untouched.
func (d *Document) Stored() string { return d.replace(d.accounts, arn.Root) }

func (d *Document) replace(refs []principalRef, f func(string) string) string {
	var b strings.Builder
	done := 0
	for _, ref := range refs {
		replacement := f(ref.text)
		if replacement == ref.text {
			continue
		}
		quoted, err := json.Marshal(replacement)
		if err != nil {
			continue // a string always marshals
		}
		b.WriteString(d.text[done:ref.start])
		b.Write(quoted)
		done = ref.end
	}
	b.WriteString(d.text[done:])
	return b.String()
}

// ContextKeys returns the condition keys and variables that the document uses, as first spelled, each once ignoring case.
func (d *Document) ContextKeys() []string { return slices.Clone(d.keys) }

// addKey remembers a key for ContextKeys.
func (d *Document) addKey(seen map[string]bool, k *contextKey) {
	folded := strings.ToLower(k.folded)
	if !seen[folded] {
		seen[folded] = true
		d.keys = append(d.keys, k.name)
	}
}
