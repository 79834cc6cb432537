package iam

import (
	"context"
	"errors"
	"iter"
	"strings"
	"time"

	"github.com/stint-sts/stint/arn"
	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/authz"
	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/policy"
	"github.com/stint-sts/stint/signer"
)

// AWSAccount stands for the account in the ARNs of the policies that AWS manages: arn:aws:iam::aws:policy/….
const AWSAccount = "aws"

// ManagedCatalog is ManagedPolicies with what the operations show of them. What it returns is shared and must not be
// changed. Safe for concurrent use.
type ManagedCatalog interface {
	ManagedPolicies
	// Get returns the policy with that ARN. Its Account is AWSAccount, and it has one version, the default.
	Get(arn string) (*Policy, bool)
	// All returns every policy, in the order of their names ignoring case, which are unique.
	All() []*Policy
}

// PolicyInfo is how answers show a managed policy.
type PolicyInfo struct {
	PolicyName                    string    `aws:"PolicyName"`
	PolicyID                      string    `aws:"PolicyId"`
	ARN                           string    `aws:"Arn"`
	Path                          string    `aws:"Path"`
	DefaultVersionID              string    `aws:"DefaultVersionId"`
	AttachmentCount               int       `aws:"AttachmentCount"`
	PermissionsBoundaryUsageCount int       `aws:"PermissionsBoundaryUsageCount"`
	IsAttachable                  bool      `aws:"IsAttachable"`
	Description                   string    `aws:"Description"`
	CreateDate                    time.Time `aws:"CreateDate"`
	UpdateDate                    time.Time `aws:"UpdateDate"`
	Tags                          []Tag     `aws:"Tags"`
}

// CreatePolicyInput is the input of CreatePolicy.
type CreatePolicyInput struct {
	PolicyName     string `aws:"PolicyName,required" len:"1,128" pattern:"policyName"`
	Path           string `aws:"Path" len:"1,512" pattern:"policyPath"`
	PolicyDocument string `aws:"PolicyDocument,required" len:"1,131072" pattern:"policyDocument"`
	Description    string `aws:"Description" len:"0,1000"`
	Tags           []Tag  `aws:"Tags" len:"0,50"`
}

// CreatePolicyOutput is the output of CreatePolicy.
type CreatePolicyOutput struct {
	Policy PolicyInfo `aws:"Policy"`
}

// CreatePolicy creates a customer managed policy, with the document as its version v1 and default. With tags it needs
// iam:TagPolicy as well.
func (s *Service) CreatePolicy(ctx context.Context, c *authn.Caller, in *CreatePolicyInput) (*CreatePolicyOutput, error) {
	return change(ctx, s, func(tx Tx) (*CreatePolicyOutput, error) {
		p := &Policy{
			Account: c.Account, Name: in.PolicyName, Path: pathOrRoot(in.Path), Description: in.Description,
			CreateDate: s.today(), UpdateDate: s.today(), DefaultVersion: 1, LastVersion: 1,
		}
		if err := allowCreate(c, "iam:CreatePolicy", "iam:TagPolicy", p.ARN(), in.Tags, nil); err != nil {
			return nil, err
		}
		if err := s.checkManaged(in.PolicyDocument); err != nil {
			return nil, err
		}
		if err := s.admitPolicy(tx, p); err != nil {
			return nil, err
		}
		var err error
		if p.Tags, err = s.mergeTags(nil, in.Tags); err != nil {
			return nil, err
		}
		if p.ID, err = s.newID(signer.PrefixManagedPolicy, c.Account); err != nil {
			return nil, err
		}
		v := &PolicyVersion{Account: c.Account, PolicyID: p.ID, Number: 1, Document: in.PolicyDocument, CreateDate: p.CreateDate}
		return &CreatePolicyOutput{Policy: wirePolicy(p, uses{}, false)}, errors.Join(put(tx, p), put(tx, v))
	})
}

// admitPolicy checks that the account has room for the policy and its name is free.
func (s *Service) admitPolicy(tx Tx, p *Policy) error {
	taken := "A policy called " + p.Name + " already exists. Duplicate names are not allowed."
	if err := vacant[Policy](tx, p.Account, p.Name, taken); err != nil {
		return err
	}
	return within[Policy](tx, Query{Account: p.Account}, "PoliciesPerAccount", s.quotas.PoliciesPerAccount)
}

// checkManaged checks the document of a managed policy.
func (s *Service) checkManaged(document string) error {
	d, err := parsePolicy(policy.Identity, document)
	if err != nil {
		return err
	}
	if d.Size() > s.quotas.PolicySize {
		return overQuota("PolicySize", s.quotas.PolicySize)
	}
	return nil
}

// GetPolicyInput is the input of GetPolicy.
type GetPolicyInput struct {
	PolicyARN string `aws:"PolicyArn,required" len:"20,2048"`
}

// GetPolicyOutput is the output of GetPolicy.
type GetPolicyOutput struct {
	Policy PolicyInfo `aws:"Policy"`
}

// GetPolicy returns what is known of a managed policy, but for its document.
func (s *Service) GetPolicy(ctx context.Context, c *authn.Caller, in *GetPolicyInput) (*GetPolicyOutput, error) {
	return read(ctx, s, func(tx Tx) (*GetPolicyOutput, error) {
		p, err := s.policy(tx, access{caller: c, action: "iam:GetPolicy"}, in.PolicyARN)
		if err != nil {
			return nil, err
		}
		used, err := usesOf(tx, c.Account, p)
		return &GetPolicyOutput{Policy: wirePolicy(p, used, false)}, err
	})
}

// DeletePolicyInput is the input of DeletePolicy.
type DeletePolicyInput struct {
	PolicyARN string `aws:"PolicyArn,required" len:"20,2048"`
}

// DeletePolicy deletes a customer managed policy that nothing uses and whose default version is its last.
func (s *Service) DeletePolicy(ctx context.Context, c *authn.Caller, in *DeletePolicyInput) error {
	return s.update(ctx, func(tx Tx) error {
		p, err := s.ownPolicy(tx, access{caller: c, action: "iam:DeletePolicy"}, in.PolicyARN)
		if err != nil {
			return err
		}
		used, err := usesOf(tx, c.Account, p)
		if err != nil {
			return err
		}
		if used != (uses{}) {
			return awserr.New(awserr.DeleteConflict, "Cannot delete a policy attached to entities.")
		}
		versions, err := list[PolicyVersion](tx, Query{Account: p.Account, Parent: p.ID})
		if err != nil {
			return err
		}
		if len(versions) != 1 {
			return awserr.New(awserr.DeleteConflict, "This policy has more than one version. Before you delete a policy, "+
				"you must delete the policy's versions. The default version is deleted with the policy.")
		}
		return errors.Join(remove(tx, versions[0]), remove(tx, p))
	})
}

// ListPoliciesInput is the input of ListPolicies.
type ListPoliciesInput struct {
	Scope             string `aws:"Scope" enum:"All,AWS,Local"`
	OnlyAttached      bool   `aws:"OnlyAttached"`
	PathPrefix        string `aws:"PathPrefix" len:"1,512" pattern:"policyPath"`
	PolicyUsageFilter string `aws:"PolicyUsageFilter" enum:"PermissionsPolicy,PermissionsBoundary"`
	PageInput         `aws:",inline"`
}

// ListPoliciesOutput is the output of ListPolicies.
type ListPoliciesOutput struct {
	Policies   []PolicyInfo `aws:"Policies,always"`
	PageOutput `aws:",inline"`
}

// ListPolicies lists the managed policies that the account can use: first its own, then AWS's.
func (s *Service) ListPolicies(ctx context.Context, c *authn.Caller, in *ListPoliciesInput) (*ListPoliciesOutput, error) {
	return read(ctx, s, func(tx Tx) (*ListPoliciesOutput, error) {
		// Only a policy for * covers it; AWS's denial names the path in place of a resource.
		if err := (access{caller: c, action: "iam:ListPolicies"}).allow("policy path "+pathOrRoot(in.PathPrefix), nil); err != nil {
			return nil, err
		}
		after, err := in.after()
		if err != nil {
			return nil, err
		}
		policies, next, err := pageFrom(s.listed(tx, c.Account, in, after), in.PageInput, func(p PolicyInfo) string {
			return policyOrder(p.ARN, p.PolicyName)
		})
		return &ListPoliciesOutput{Policies: policies, PageOutput: next}, err
	})
}

// listed yields what ListPolicies shows after the policy at position after, with the uses of each counted.
func (s *Service) listed(tx Tx, account string, in *ListPoliciesInput, after string) iter.Seq2[PolicyInfo, error] {
	return func(yield func(PolicyInfo, error) bool) {
		for p, err := range s.policies(tx, account, in.Scope, in.PathPrefix, after) {
			if err != nil {
				yield(PolicyInfo{}, err)
				return
			}
			used, err := usesOf(tx, account, p)
			if err == nil && !used.pass(in.PolicyUsageFilter, in.OnlyAttached) {
				continue
			}
			if !yield(wirePolicy(p, used, true), err) || err != nil {
				return
			}
		}
	}
}

// policies yields the policies of a scope after the position after: the account's own, then AWS's.
func (s *Service) policies(tx Tx, account, scope, prefix, after string) iter.Seq2[*Policy, error] {
	return func(yield func(*Policy, error) bool) {
		own, isOwn := strings.CutPrefix(after, ownFirst)
		if scope != "AWS" && (isOwn || after == "") {
			for p, err := range walk(tx, Query{Account: account, PathPrefix: prefix, After: own}, byName[*Policy]) {
				if !yield(p, err) {
					return
				}
			}
		}
		if scope == "Local" {
			return
		}
		for _, p := range s.managed.All() {
			if policyOrder(p.ARN(), p.Name) > after && strings.HasPrefix(p.Path, prefix) && !yield(p, nil) {
				return
			}
		}
	}
}

// ownFirst and awsSecond begin the position of a policy in a list, so that an account's own come before AWS's.
const (
	ownFirst  = "1/"
	awsSecond = "2/"
)

// policyOrder is the position of a policy in a list. Names are unique among the account's own policies and among AWS's, and
// shorter than ARNs, which would not fit into a marker.
func policyOrder(policyARN, name string) string {
	if strings.HasPrefix(policyARN, awsPrefix) {
		return awsSecond + fold(name)
	}
	return ownFirst + fold(name)
}

var awsPrefix = arn.Entity(AWSAccount, "policy", "/", "")

// TagPolicyInput is the input of TagPolicy.
type TagPolicyInput struct {
	PolicyARN string `aws:"PolicyArn,required" len:"20,2048"`
	Tags      []Tag  `aws:"Tags,required" len:"0,50"`
}

// TagPolicy adds tags to a customer managed policy, or replaces their values.
func (s *Service) TagPolicy(ctx context.Context, c *authn.Caller, in *TagPolicyInput) error {
	return s.update(ctx, func(tx Tx) error {
		p, err := s.ownPolicy(tx, access{caller: c, action: "iam:TagPolicy", tags: in.Tags}, in.PolicyARN)
		if err != nil {
			return err
		}
		if p.Tags, err = s.mergeTags(p.Tags, in.Tags); err != nil {
			return err
		}
		return put(tx, p)
	})
}

// UntagPolicyInput is the input of UntagPolicy.
type UntagPolicyInput struct {
	PolicyARN string   `aws:"PolicyArn,required" len:"20,2048"`
	TagKeys   []string `aws:"TagKeys,required" len:"0,50" itemlen:"1,128" itempattern:"tagKey"`
}

// UntagPolicy removes tags from a customer managed policy. Keys that it does not have are ignored.
func (s *Service) UntagPolicy(ctx context.Context, c *authn.Caller, in *UntagPolicyInput) error {
	return s.update(ctx, func(tx Tx) error {
		p, err := s.ownPolicy(tx, access{caller: c, action: "iam:UntagPolicy", tagKeys: in.TagKeys}, in.PolicyARN)
		if err != nil {
			return err
		}
		p.Tags = removeTags(p.Tags, in.TagKeys)
		return put(tx, p)
	})
}

// ListPolicyTagsInput is the input of ListPolicyTags.
type ListPolicyTagsInput struct {
	PolicyARN string `aws:"PolicyArn,required" len:"20,2048"`
	PageInput `aws:",inline"`
}

// ListPolicyTagsOutput is the output of ListPolicyTags.
type ListPolicyTagsOutput struct {
	Tags       []Tag `aws:"Tags,always"`
	PageOutput `aws:",inline"`
}

// ListPolicyTags lists the tags of a managed policy.
func (s *Service) ListPolicyTags(ctx context.Context, c *authn.Caller, in *ListPolicyTagsInput) (*ListPolicyTagsOutput, error) {
	return read(ctx, s, func(tx Tx) (*ListPolicyTagsOutput, error) {
		p, err := s.policy(tx, access{caller: c, action: "iam:ListPolicyTags"}, in.PolicyARN)
		if err != nil {
			return nil, err
		}
		tags, next, err := pageTags(p.Tags, in.PageInput)
		return &ListPolicyTagsOutput{Tags: tags, PageOutput: next}, err
	})
}

// policy returns the managed policy with that ARN if the caller may do the action on it: one of its account's own, or one of
// AWS's to read. What belongs to another account is denied, whether it exists or not.
func (s *Service) policy(tx Tx, a access, policyARN string) (*Policy, error) {
	owner, err := policyOwner(policyARN)
	if err != nil {
		return nil, err
	}
	if owner != a.caller.Account && owner != AWSAccount {
		return nil, a.foreign(policyARN)
	}
	p, err := s.attachable(tx, a.caller.Account, policyARN)
	return found(p, err, a, policyARN, func() []Tag { return p.Tags }, "Policy "+policyARN+" was not found.")
}

// ownPolicy is policy for operations that change it: nobody may change AWS's.
func (s *Service) ownPolicy(tx Tx, a access, policyARN string) (*Policy, error) {
	owner, err := policyOwner(policyARN)
	if err != nil {
		return nil, err
	}
	if owner != a.caller.Account {
		return nil, a.foreign(policyARN)
	}
	return s.policy(tx, a, policyARN)
}

// foreign is the denial for a resource of another account.
func (a access) foreign(resource string) error {
	return awserr.New(awserr.AccessDenied, authz.Sentence(a.caller.ARN, a.action, resource))
}

// attachable returns the managed policy that the account's entities can use under that ARN, or ErrNotFound: one of its own,
// or one of AWS's.
func (s *Service) attachable(tx Tx, account, policyARN string) (*Policy, error) {
	if strings.HasPrefix(policyARN, awsPrefix) {
		if p, ok := s.managed.Get(policyARN); ok {
			return p, nil
		}
		return nil, ErrNotFound
	}
	a, err := arn.Parse(policyARN)
	if err != nil {
		return nil, ErrNotFound
	}
	p, err := get[Policy](tx, account, "", fold(a.Name()))
	if err == nil && p.ARN() != policyARN { // another account, path or spelling
		return nil, ErrNotFound
	}
	return p, err
}

// policyOwner returns the account in the ARN of a managed policy, and refuses what cannot be one.
func policyOwner(policyARN string) (string, error) {
	a, err := arn.Parse(policyARN)
	switch {
	case err != nil:
		return "", awserr.New(awserr.ValidationError, "Invalid ARN:  Could not be parsed!") // two spaces, as AWS
	case a.Partition != arn.Partition:
		return "", awserr.New(awserr.ValidationError, "Invalid ARN partition")
	case !a.IsIAM("policy"):
		return "", awserr.New(awserr.InvalidInput, "ARN "+policyARN+" is not valid.")
	}
	return a.Account, nil
}

// uses counts the entities of one account that a managed policy bears on.
type uses struct{ attachments, boundaries int }

// usesOf counts the uses of p in the account.
func usesOf(tx Tx, account string, p *Policy) (uses, error) {
	attachments, err := count[Attachment](tx, Query{Account: account, Target: p.ARN()})
	if err != nil {
		return uses{}, err
	}
	boundaries, err := count[BoundaryUse](tx, Query{Account: account, Target: p.ARN()})
	return uses{attachments, boundaries}, err
}

// pass tells whether ListPolicies shows a policy with these uses.
func (u uses) pass(usage string, onlyAttached bool) bool {
	switch usage {
	case "PermissionsPolicy":
		return u.attachments > 0
	case "PermissionsBoundary":
		return u.boundaries > 0
	default:
		return !onlyAttached || u.attachments > 0
	}
}

// wirePolicy shows p. A brief one, as in lists, leaves out what AWS leaves out there.
func wirePolicy(p *Policy, used uses, brief bool) PolicyInfo {
	info := PolicyInfo{
		PolicyName:                    p.Name,
		PolicyID:                      p.ID,
		ARN:                           p.ARN(),
		Path:                          p.Path,
		DefaultVersionID:              versionID(p.DefaultVersion),
		AttachmentCount:               used.attachments,
		PermissionsBoundaryUsageCount: used.boundaries,
		IsAttachable:                  true,
		CreateDate:                    p.CreateDate,
		UpdateDate:                    p.UpdateDate,
	}
	if !brief {
		info.Description, info.Tags = p.Description, p.Tags
	}
	return info
}

// parsePolicy parses a document that a caller gives, and answers as AWS does when it is refused.
func parsePolicy(kind policy.Kind, document string) (*policy.Document, error) {
	d, err := policy.Parse(kind, document)
	if refused, ok := errors.AsType[*policy.Error](err); ok {
		return nil, awserr.Wrap(awserr.MalformedPolicyDocument, refused.Message, err)
	}
	return d, err
}
