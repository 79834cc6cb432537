package managed

import (
	"cmp"
	"crypto/sha256"
	"embed"
	"encoding/base32"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/stint-sts/stint/iam"
	"github.com/stint-sts/stint/signer"
)

//go:embed policies/*.json
var builtIn embed.FS

// Set is a collection of managed policies. It is immutable and safe for concurrent use.
type Set struct {
	byARN map[string]*entry
	all   []*iam.Policy
}

var _ iam.ManagedCatalog = (*Set)(nil)

// entry is one policy with its document.
type entry struct {
	policy   iam.Policy
	document string
	file     string
}

// Load returns the built-in policies and those of an operator's directory: every file in it whose name ends in ".json".
// Other files and directories are passed over. An empty dir means that there is none. The error names every fault with its
// file and line.
func Load(dir string) (*Set, error) {
	sub, err := fs.Sub(builtIn, "policies")
	if err != nil {
		return nil, err
	}
	entries, err := readAll(sub, "built-in")
	if err != nil {
		return nil, err
	}
	if dir != "" {
		added, err := readAll(os.DirFS(dir), dir)
		if err != nil {
			return nil, err
		}
		entries = append(entries, added...)
	}
	return newSet(entries)
}

// readAll reads the policies of one directory, which is called shown in errors.
func readAll(dir fs.FS, shown string) ([]*entry, error) {
	files, err := fs.ReadDir(dir, ".")
	if err != nil {
		return nil, fmt.Errorf("managed policies in %s: %w", shown, err)
	}
	var entries []*entry
	var faults []error
	for _, f := range files {
		if f.IsDir() || path.Ext(f.Name()) != ".json" {
			continue
		}
		e, err := readFile(dir, f.Name())
		if err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", path.Join(shown, f.Name()), err))
			continue
		}
		e.file = path.Join(shown, f.Name())
		entries = append(entries, e)
	}
	return entries, errors.Join(faults...)
}

// newSet indexes the entries and refuses names that occur twice. The earlier one is the built-in one.
func newSet(entries []*entry) (*Set, error) {
	s := &Set{byARN: make(map[string]*entry, len(entries))}
	named := make(map[string]*entry, len(entries))
	var faults []error
	for _, e := range entries {
		if other := named[key(&e.policy)]; other != nil {
			faults = append(faults, fmt.Errorf("%s: the name %s is taken by %s: choose another name", e.file, e.policy.Name, other.file))
			continue
		}
		named[key(&e.policy)] = e
		s.byARN[e.policy.ARN()] = e
		s.all = append(s.all, &e.policy)
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	slices.SortFunc(s.all, func(a, b *iam.Policy) int { return cmp.Compare(key(a), key(b)) })
	return s, nil
}

// key is what policies are told apart and ordered by.
func key(p *iam.Policy) string { return strings.ToLower(p.Name) }

// Document returns the document of the policy with that ARN.
func (s *Set) Document(arn string) (string, bool) {
	e, ok := s.byARN[arn]
	if !ok {
		return "", false
	}
	return e.document, true
}

// Get returns the policy with that ARN. It is shared and must not be changed.
func (s *Set) Get(arn string) (*iam.Policy, bool) {
	e, ok := s.byARN[arn]
	if !ok {
		return nil, false
	}
	return &e.policy, true
}

// All returns every policy in the order of names ignoring case. The slice is shared and must not be changed.
func (s *Set) All() []*iam.Policy { return s.all }

// policyID derives a unique id from a policy's ARN, so that every node and every start shows the same.
func policyID(arn string) string {
	sum := sha256.Sum256([]byte(arn))
	return signer.PrefixManagedPolicy + base32.StdEncoding.EncodeToString(sum[:])[:17]
}
