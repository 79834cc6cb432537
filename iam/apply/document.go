// Package apply brings accounts to the state that files say: the directory as operators keep it in git. It owns the format of
// the files (docs/apply.md), the comparison with what is there, and the order of the changes. Every rule about the objects
// themselves stays with package iam: each change is one of its operations, made as the account's root user.
package apply

import (
	"fmt"
	"strings"

	"github.com/stint-sts/stint/iam"
)

// ManagedBy is the key of the tag that apply puts on the users, roles and managed policies that it makes. Its value is the name
// of the document. Only what carries it can be pruned; files cannot name it.
const ManagedBy = "stint:managed-by"

// Document says what an account holds. What it does not name is left alone: whole objects, and in an object what is nil.
// What it does name it names in full: tags, attached policies, inline policies and groups that are not listed go.
type Document struct {
	Place    string   `json:"place"`   // FILE:LINE, as all places
	Account  string   `json:"account"` // id, name or alias; empty: the only account there is
	Name     string   `json:"name"`    // value of the ManagedBy tag; empty: what is made carries none
	Policies []Policy `json:"policies"`
	Groups   []Holder `json:"groups"`
	Users    []User   `json:"users"`
	Roles    []Role   `json:"roles"`
}

// Policy is a customer managed policy.
type Policy struct {
	Place       string    `json:"place"`
	Name        string    `json:"name"`
	Path        string    `json:"path"`        // empty: as it is, or "/"
	Description string    `json:"description"` // empty: as it is
	Tags        []iam.Tag `json:"tags"`
	Document    Text      `json:"document"`
}

// Holder is what holds policies: a group, or the part that users and roles have in common with one.
type Holder struct {
	Place    string      `json:"place"`
	Name     string      `json:"name"`
	Path     string      `json:"path"` // empty: as it is, or "/"
	Attached []Reference `json:"attached"`
	Inline   []Inline    `json:"inline"`
}

// Bounded is a holder that can have tags and a permissions boundary.
type Bounded struct {
	Holder
	Tags     []iam.Tag  `json:"tags"`
	Boundary *Reference `json:"boundary"` // an empty policy: none
}

// User is a user. Access keys and devices are not for files.
type User struct {
	Bounded
	Groups []Reference `json:"groups"` // names
}

// Role is a role.
type Role struct {
	Bounded
	Description *string `json:"description"`
	MaxSession  *int32  `json:"max_session"` // seconds
	Trust       *Text   `json:"trust"`       // a role that is made needs one
}

// Inline is a policy embedded in a holder.
type Inline struct {
	Name     string `json:"name"`
	Document Text   `json:"document"`
}

// Reference names another object: a managed policy by ARN, or a policy or group of the same account's documents or directory.
type Reference struct {
	Place string `json:"place"`
	Name  string `json:"name"`
}

// Text is the JSON of a policy and where it was written.
type Text struct {
	Place string `json:"place"`
	JSON  string `json:"json"`

	places places // of the JSON's parts; only where the file was read
}

// Fault is one reason why nothing can be applied.
type Fault struct {
	Place string `json:"place"` // FILE:LINE or FILE:LINE:COLUMN
	Text  string `json:"text"`
}

// Faults are all that is wrong, in the order of the files.
type Faults []Fault

// maxFaults bounds how many are told.
const maxFaults = 100

func (f *Faults) add(place, format string, args ...any) {
	if len(*f) < maxFaults {
		*f = append(*f, Fault{place, fmt.Sprintf(format, args...)})
	}
}

// Error lists the faults, a line for each.
func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i, fault := range f {
		lines[i] = fault.Place + ": " + fault.Text
	}
	return strings.Join(lines, "\n")
}

// fold is how names of users, groups, roles and policies compare (AWS IAM User Guide, "IAM identifiers").
func fold(name string) string { return strings.ToLower(name) }
