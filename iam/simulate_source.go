package iam

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/stint-sts/stint/arn"
	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/policy"
)

// policySource is a user, group or role with the texts of its policies, as they are stored at this moment.
type policySource struct {
	arn      string
	account  string
	caller   *authn.Entity // nil for a group, which cannot call
	policies []sourcePolicy
	bound    *sourcePolicy // the permissions boundary; nil: none
}

// sourcePolicy is one policy of a source.
type sourcePolicy struct {
	name       string // of the policy itself
	arn        string // of a managed policy; empty: inline
	holderType string // user, group, role
	holder     string // name of the user, group or role
	text       string
}

// id is how answers name the policy: a managed one by its name, an inline one with whom it belongs to.
func (p *sourcePolicy) id() string {
	if p.arn != "" {
		return p.name
	}
	return p.holderType + "_" + p.holder + "_" + p.name
}

// policySource reads the policies of the user, group or role with that ARN if the caller may do the action on it.
func (s *Service) policySource(ctx context.Context, a access, sourceARN string) (*policySource, error) {
	named, err := arn.Parse(sourceARN)
	isSource := named.IsIAM("user") || named.IsIAM("group") || named.IsIAM("role")
	switch {
	case err != nil || named.Partition != arn.Partition || !isSource || named.Name() == "":
		return nil, invalidInput("Invalid PolicySourceArn: " + sourceARN)
	case named.Account != a.caller.Account:
		return nil, a.foreign(sourceARN)
	}
	return read(ctx, s, func(tx Tx) (*policySource, error) {
		r := sourceReader{s: s, tx: tx, source: &policySource{arn: sourceARN, account: named.Account}}
		var err error
		switch named.Type() {
		case "user":
			err = r.user(a, named.Name())
		case "group":
			err = r.group(a, named.Name())
		default:
			err = r.role(a, named.Name())
		}
		if err != nil {
			return nil, err
		}
		return r.source, nil
	})
}

// sourceReader fills in a policySource.
type sourceReader struct {
	s      *Service
	tx     Tx
	source *policySource
}

func (r *sourceReader) user(a access, name string) error {
	u, err := r.s.user(r.tx, a, name)
	if err != nil {
		return err
	}
	if u.ARN() != r.source.arn {
		return awserr.New(awserr.NoSuchEntity, missingUser(name))
	}
	r.source.caller = &authn.Entity{
		Type: authn.UserEntity, Account: u.Account, ID: u.ID, ARN: u.ARN(), Path: u.Path, Name: u.Name, Tags: authnTags(u.Tags),
	}
	if err := r.policies(u, "user", u.Name); err != nil {
		return err
	}
	groups, err := groupsOf(r.tx, u)
	if err != nil {
		return err
	}
	for _, g := range groups {
		if err := r.policies(g, "group", g.Name); err != nil {
			return err
		}
	}
	return r.boundary(u.Boundary)
}

func (r *sourceReader) group(a access, name string) error {
	g, err := r.s.group(r.tx, a, name)
	if err != nil {
		return err
	}
	if g.ARN() != r.source.arn {
		return awserr.New(awserr.NoSuchEntity, "The group with name "+name+" cannot be found.")
	}
	return r.policies(g, "group", g.Name)
}

func (r *sourceReader) role(a access, name string) error {
	o, err := r.s.role(r.tx, a, name)
	if err != nil {
		return err
	}
	if o.ARN() != r.source.arn {
		return awserr.New(awserr.NoSuchEntity, missingRole(name))
	}
	r.source.caller = &authn.Entity{
		Type: authn.RoleEntity, Account: o.Account, ID: o.ID, ARN: o.ARN(), Path: o.Path, Name: o.Name, Tags: authnTags(o.Tags),
	}
	if err := r.policies(o, "role", o.Name); err != nil {
		return err
	}
	return r.boundary(o.Boundary)
}

func (r *sourceReader) policies(holder object, holderType, name string) error {
	inline, err := inlinePolicies(r.tx, holder)
	if err != nil {
		return err
	}
	for _, p := range inline {
		r.source.policies = append(r.source.policies, sourcePolicy{
			name: p.PolicyName, holderType: holderType, holder: name, text: p.PolicyDocument,
		})
	}
	attached, err := attachedPolicies(r.tx, holder)
	if err != nil {
		return err
	}
	for _, p := range attached {
		managed, err := r.managed(p.PolicyARN)
		if err != nil {
			return err
		}
		r.source.policies = append(r.source.policies, *managed)
	}
	return nil
}

func (r *sourceReader) boundary(policyARN string) error {
	if policyARN == "" {
		return nil
	}
	var err error
	r.source.bound, err = r.managed(policyARN)
	return err
}

// managed reads the default version of a managed policy. That it is missing is no answer: without it the simulation might
// allow what it must not.
func (r *sourceReader) managed(policyARN string) (*sourcePolicy, error) {
	p, err := r.s.attachable(r.tx, r.source.account, policyARN)
	if err != nil {
		return nil, broken("managed policy "+policyARN, err)
	}
	v, err := r.s.version(r.tx, p, versionID(p.DefaultVersion))
	if err != nil {
		return nil, broken("managed policy "+policyARN, err)
	}
	return &sourcePolicy{name: p.Name, arn: policyARN, text: v.Document}, nil
}

// identity compiles the policies that grant.
func (src *policySource) identity() ([]*policy.Document, error) {
	documents := make([]*policy.Document, len(src.policies))
	for i := range src.policies {
		var err error
		if documents[i], err = src.policies[i].compile(); err != nil {
			return nil, err
		}
	}
	return documents, nil
}

// boundary compiles the permissions boundary; nil when there is none.
func (src *policySource) boundary() (*policy.Document, error) {
	if src.bound == nil {
		return nil, nil
	}
	return src.bound.compile()
}

func (p *sourcePolicy) compile() (*policy.Document, error) {
	d, err := policy.Parse(policy.Identity, p.text)
	if err != nil {
		return nil, awserr.Wrap(awserr.PolicyEvaluation, "The policy "+p.id()+" cannot be evaluated.", fmt.Errorf("policy %s: %w", p.id(), err))
	}
	return d.Named(p.id()), nil
}

// PolicyIdentifier names policies that a simulation leaves out, in one of three ways.
type PolicyIdentifier struct {
	PolicyType             string                  `aws:"PolicyType" enum:"inline,aws-managed,user-managed,permission-boundary,scp,rcp"`
	PolicyARN              string                  `aws:"PolicyArn" len:"20,2048"`
	InlinePolicyIdentifier *InlinePolicyIdentifier `aws:"InlinePolicyIdentifier"`
}

// InlinePolicyIdentifier names inline policies by name and holder.
type InlinePolicyIdentifier struct {
	PolicyName     string `aws:"PolicyName,required" len:"1,128" pattern:"policyName"`
	AttachmentType string `aws:"AttachmentType,required" enum:"user,group,role"`
	AttachmentName string `aws:"AttachmentName,required" len:"1,128"`
}

// exclude drops the policies that the list names. What it names and is not there does not matter.
func (src *policySource) exclude(list []PolicyIdentifier) error {
	for _, id := range list {
		if err := id.check(); err != nil {
			return err
		}
		src.policies = slices.DeleteFunc(src.policies, func(p sourcePolicy) bool { return id.names(&p) })
		// An ARN names what is attached; the boundary goes by its type.
		if id.PolicyType == "permission-boundary" {
			src.bound = nil
		}
	}
	return nil
}

var errIdentifier = errors.New("not one of PolicyType, PolicyArn and InlinePolicyIdentifier")

func (id *PolicyIdentifier) check() error {
	ways := 0
	for _, given := range []bool{id.PolicyType != "", id.PolicyARN != "", id.InlinePolicyIdentifier != nil} {
		if given {
			ways++
		}
	}
	if ways != 1 {
		return awserr.Wrap(awserr.InvalidInput, "Invalid policy identifier in PolicyExclusionList.", errIdentifier)
	}
	if id.PolicyARN != "" {
		return checkPolicyPattern(id.PolicyARN)
	}
	if inline := id.InlinePolicyIdentifier; inline != nil && strings.Count(inline.AttachmentName, "*") > 1 {
		return invalidInput("Invalid attachment name: " + inline.AttachmentName)
	}
	return nil
}

// checkPolicyPattern refuses an ARN that is not one of managed policies, or with a wildcard outside of the resource's name.
func checkPolicyPattern(policyARN string) error {
	a, err := arn.Parse(policyARN)
	slash := strings.LastIndexByte(policyARN, '/')
	if err != nil || !a.IsIAM("policy") || strings.ContainsAny(policyARN[:slash+1], "*?") || strings.Count(policyARN, "*") > 1 {
		return invalidInput("ARN " + policyARN + " is not valid.")
	}
	return nil
}

func (id *PolicyIdentifier) names(p *sourcePolicy) bool {
	switch {
	case id.PolicyARN != "":
		return p.arn != "" && matchesOnce(id.PolicyARN, p.arn)
	case id.InlinePolicyIdentifier != nil:
		inline := id.InlinePolicyIdentifier
		return p.arn == "" && p.name == inline.PolicyName && p.holderType == inline.AttachmentType &&
			matchesOnce(inline.AttachmentName, p.holder)
	}
	switch id.PolicyType {
	case "inline":
		return p.arn == ""
	case "aws-managed":
		return strings.HasPrefix(p.arn, awsPrefix)
	case "user-managed":
		return p.arn != "" && !strings.HasPrefix(p.arn, awsPrefix)
	}
	return false
}

// matchesOnce matches a pattern with at most one * and any number of ?.
func matchesOnce(pattern, text string) bool {
	head, tail, star := strings.Cut(pattern, "*")
	if !star {
		return matchesEach(pattern, text)
	}
	return len(text) >= len(head)+len(tail) && matchesEach(head, text[:len(head)]) && matchesEach(tail, text[len(text)-len(tail):])
}

// matchesEach matches a pattern without *; names are of ASCII.
func matchesEach(pattern, text string) bool {
	if len(pattern) != len(text) {
		return false
	}
	for i := range len(pattern) {
		if pattern[i] != '?' && pattern[i] != text[i] {
			return false
		}
	}
	return true
}
