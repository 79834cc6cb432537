package iam

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/awserr"
)

// PolicyVersionInfo is how answers show a version of a managed policy.
type PolicyVersionInfo struct {
	Document         string    `aws:"Document,urlencoded"`
	VersionID        string    `aws:"VersionId"`
	IsDefaultVersion bool      `aws:"IsDefaultVersion"`
	CreateDate       time.Time `aws:"CreateDate"`
}

// CreatePolicyVersionInput is the input of CreatePolicyVersion.
type CreatePolicyVersionInput struct {
	PolicyARN      string `aws:"PolicyArn,required" len:"20,2048"`
	PolicyDocument string `aws:"PolicyDocument,required" len:"1,131072" pattern:"policyDocument"`
	SetAsDefault   bool   `aws:"SetAsDefault"`
}

// CreatePolicyVersionOutput is the output of CreatePolicyVersion.
type CreatePolicyVersionOutput struct {
	PolicyVersion PolicyVersionInfo `aws:"PolicyVersion"`
}

// CreatePolicyVersion adds a version to a customer managed policy. Numbers are never used again.
func (s *Service) CreatePolicyVersion(
	ctx context.Context, c *authn.Caller, in *CreatePolicyVersionInput,
) (*CreatePolicyVersionOutput, error) {
	return change(ctx, s, func(tx Tx) (*CreatePolicyVersionOutput, error) {
		p, err := s.ownPolicy(tx, access{caller: c, action: "iam:CreatePolicyVersion"}, in.PolicyARN)
		if err != nil {
			return nil, err
		}
		if err := s.checkManaged(in.PolicyDocument); err != nil {
			return nil, err
		}
		if err := s.admitVersion(tx, p); err != nil {
			return nil, err
		}
		p.LastVersion++
		v := &PolicyVersion{
			Account: p.Account, PolicyID: p.ID, Number: p.LastVersion, Document: in.PolicyDocument, CreateDate: s.today(),
		}
		if in.SetAsDefault {
			p.DefaultVersion = v.Number
		}
		p.UpdateDate = v.CreateDate
		return &CreatePolicyVersionOutput{PolicyVersion: wireVersion(p, v, true)}, errors.Join(put(tx, v), put(tx, p))
	})
}

// admitVersion checks that the policy has room for one more version.
func (s *Service) admitVersion(tx Tx, p *Policy) error {
	held, err := count[PolicyVersion](tx, Query{Account: p.Account, Parent: p.ID})
	if err != nil {
		return err
	}
	if held >= s.quotas.VersionsPerPolicy {
		return awserr.Newf(awserr.LimitExceeded, "A managed policy can have up to %d versions. Before you create a new "+
			"version, you must delete an existing version.", s.quotas.VersionsPerPolicy)
	}
	return nil
}

// GetPolicyVersionInput is the input of GetPolicyVersion.
type GetPolicyVersionInput struct {
	PolicyARN string `aws:"PolicyArn,required" len:"20,2048"`
	VersionID string `aws:"VersionId,required" pattern:"versionId"`
}

// GetPolicyVersionOutput is the output of GetPolicyVersion.
type GetPolicyVersionOutput struct {
	PolicyVersion PolicyVersionInfo `aws:"PolicyVersion"`
}

// GetPolicyVersion returns a version of a managed policy with its document.
func (s *Service) GetPolicyVersion(ctx context.Context, c *authn.Caller, in *GetPolicyVersionInput) (*GetPolicyVersionOutput, error) {
	return read(ctx, s, func(tx Tx) (*GetPolicyVersionOutput, error) {
		p, err := s.policy(tx, access{caller: c, action: "iam:GetPolicyVersion"}, in.PolicyARN)
		if err != nil {
			return nil, err
		}
		v, err := s.version(tx, p, in.VersionID)
		if err != nil {
			return nil, err
		}
		return &GetPolicyVersionOutput{PolicyVersion: wireVersion(p, v, false)}, nil
	})
}

// ListPolicyVersionsInput is the input of ListPolicyVersions.
type ListPolicyVersionsInput struct {
	PolicyARN string `aws:"PolicyArn,required" len:"20,2048"`
	PageInput `aws:",inline"`
}

// ListPolicyVersionsOutput is the output of ListPolicyVersions.
type ListPolicyVersionsOutput struct {
	Versions   []PolicyVersionInfo `aws:"Versions,always"`
	PageOutput `aws:",inline"`
}

// ListPolicyVersions lists the versions of a managed policy, the newest first, without their documents.
func (s *Service) ListPolicyVersions(
	ctx context.Context, c *authn.Caller, in *ListPolicyVersionsInput,
) (*ListPolicyVersionsOutput, error) {
	return read(ctx, s, func(tx Tx) (*ListPolicyVersionsOutput, error) {
		p, err := s.policy(tx, access{caller: c, action: "iam:ListPolicyVersions"}, in.PolicyARN)
		if err != nil {
			return nil, err
		}
		all, err := s.versions(tx, p)
		if err != nil {
			return nil, err
		}
		slices.Reverse(all)
		versions, next, err := pageOf(all, in.PageInput, newestFirst)
		out := &ListPolicyVersionsOutput{PageOutput: next}
		for _, v := range versions {
			out.Versions = append(out.Versions, wireVersion(p, v, true))
		}
		return out, err
	})
}

// SetDefaultPolicyVersionInput is the input of SetDefaultPolicyVersion.
type SetDefaultPolicyVersionInput struct {
	PolicyARN string `aws:"PolicyArn,required" len:"20,2048"`
	VersionID string `aws:"VersionId,required" pattern:"versionId"`
}

// SetDefaultPolicyVersion puts a version of a customer managed policy in force, for every entity that it is attached to.
func (s *Service) SetDefaultPolicyVersion(ctx context.Context, c *authn.Caller, in *SetDefaultPolicyVersionInput) error {
	return s.update(ctx, func(tx Tx) error {
		p, err := s.ownPolicy(tx, access{caller: c, action: "iam:SetDefaultPolicyVersion"}, in.PolicyARN)
		if err != nil {
			return err
		}
		v, err := s.version(tx, p, in.VersionID)
		if err != nil {
			return err
		}
		p.DefaultVersion, p.UpdateDate = v.Number, s.today()
		return put(tx, p)
	})
}

// DeletePolicyVersionInput is the input of DeletePolicyVersion.
type DeletePolicyVersionInput struct {
	PolicyARN string `aws:"PolicyArn,required" len:"20,2048"`
	VersionID string `aws:"VersionId,required" pattern:"versionId"`
}

// DeletePolicyVersion deletes a version of a customer managed policy that is not in force.
func (s *Service) DeletePolicyVersion(ctx context.Context, c *authn.Caller, in *DeletePolicyVersionInput) error {
	return s.update(ctx, func(tx Tx) error {
		p, err := s.ownPolicy(tx, access{caller: c, action: "iam:DeletePolicyVersion"}, in.PolicyARN)
		if err != nil {
			return err
		}
		v, err := s.version(tx, p, in.VersionID)
		if err != nil {
			return err
		}
		if v.Number == p.DefaultVersion {
			return awserr.New(awserr.DeleteConflict, "Cannot delete the default version of a policy.")
		}
		return remove(tx, v)
	})
}

// versions returns the versions of p in the order of their numbers. AWS's policies have one, with the number that AWS gives.
func (s *Service) versions(tx Tx, p *Policy) ([]*PolicyVersion, error) {
	if p.Account != AWSAccount {
		return list[PolicyVersion](tx, Query{Account: p.Account, Parent: p.ID})
	}
	document, ok := s.managed.Document(p.ARN())
	if !ok {
		return nil, fmt.Errorf("document of %s: %w", p.ARN(), ErrNotFound)
	}
	return []*PolicyVersion{{
		Account: p.Account, PolicyID: p.ID, Number: p.DefaultVersion, Document: document, CreateDate: p.UpdateDate,
	}}, nil
}

// version returns the version of p with that id.
func (s *Service) version(tx Tx, p *Policy, id string) (*PolicyVersion, error) {
	all, err := s.versions(tx, p)
	if err != nil {
		return nil, err
	}
	for _, v := range all {
		if versionID(v.Number) == id {
			return v, nil
		}
	}
	return nil, awserr.New(awserr.NoSuchEntity, "Policy "+p.ARN()+" version "+id+" does not exist or is not attachable.")
}

// newestFirst orders versions from the highest number down.
func newestFirst(v *PolicyVersion) string { return versionKey(maxVersion - v.Number) }

const maxVersion = 999_999 // six digits: versionKey

// wireVersion shows a version of p. A brief one, as in lists, leaves out the document.
func wireVersion(p *Policy, v *PolicyVersion, brief bool) PolicyVersionInfo {
	info := PolicyVersionInfo{
		VersionID:        versionID(v.Number),
		IsDefaultVersion: v.Number == p.DefaultVersion,
		CreateDate:       v.CreateDate,
	}
	if !brief {
		info.Document = v.Document
	}
	return info
}

// versionID is how the wire names a version of a managed policy.
func versionID(number int) string { return "v" + strconv.Itoa(number) }
