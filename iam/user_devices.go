package iam

import (
	"context"

	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/awserr"
)

// This file answers what tools ask before they delete a user about kinds of credentials that stint does not have. Such a list is
// empty for every user, and truthfully so.

// Absent stands for an item of a list that is always empty.
type Absent struct{}

// ListSigningCertificatesInput is the input of ListSigningCertificates.
type ListSigningCertificatesInput struct {
	UserName  string `aws:"UserName" len:"1,128" pattern:"entityName"` // default: the caller
	PageInput `aws:",inline"`
}

// ListSigningCertificatesOutput is the output of ListSigningCertificates.
type ListSigningCertificatesOutput struct {
	Certificates []Absent `aws:"Certificates,always"`
	PageOutput   `aws:",inline"`
}

// ListSigningCertificates tells that a user has no X.509 signing certificates.
func (s *Service) ListSigningCertificates(
	ctx context.Context, c *authn.Caller, in *ListSigningCertificatesInput,
) (*ListSigningCertificatesOutput, error) {
	return none[ListSigningCertificatesOutput](ctx, s, access{caller: c, action: "iam:ListSigningCertificates"}, in.UserName)
}

// ListSSHPublicKeysInput is the input of ListSSHPublicKeys.
type ListSSHPublicKeysInput struct {
	UserName  string `aws:"UserName" len:"1,64" pattern:"entityName"` // default: the caller
	PageInput `aws:",inline"`
}

// ListSSHPublicKeysOutput is the output of ListSSHPublicKeys.
type ListSSHPublicKeysOutput struct {
	SSHPublicKeys []Absent `aws:"SSHPublicKeys,always"`
	PageOutput    `aws:",inline"`
}

// ListSSHPublicKeys tells that a user has no SSH keys for AWS CodeCommit.
func (s *Service) ListSSHPublicKeys(
	ctx context.Context, c *authn.Caller, in *ListSSHPublicKeysInput,
) (*ListSSHPublicKeysOutput, error) {
	return none[ListSSHPublicKeysOutput](ctx, s, access{caller: c, action: "iam:ListSSHPublicKeys"}, in.UserName)
}

// ListServiceSpecificCredentialsInput is the input of ListServiceSpecificCredentials.
type ListServiceSpecificCredentialsInput struct {
	UserName    string `aws:"UserName" len:"1,64" pattern:"entityName"` // default: the caller
	ServiceName string `aws:"ServiceName"`
	AllUsers    bool   `aws:"AllUsers"`
	PageInput   `aws:",inline"`
}

// ListServiceSpecificCredentialsOutput is the output of ListServiceSpecificCredentials.
type ListServiceSpecificCredentialsOutput struct {
	ServiceSpecificCredentials []Absent `aws:"ServiceSpecificCredentials,always"`
	PageOutput                 `aws:",inline"`
}

// ListServiceSpecificCredentials tells that a user, or with AllUsers every user, has no passwords for single services.
func (s *Service) ListServiceSpecificCredentials(
	ctx context.Context, c *authn.Caller, in *ListServiceSpecificCredentialsInput,
) (*ListServiceSpecificCredentialsOutput, error) {
	ask := access{caller: c, action: "iam:ListServiceSpecificCredentials"}
	if in.AllUsers {
		if in.UserName != "" {
			return nil, awserr.New(awserr.ValidationError, "UserName and AllUsers cannot be given together.")
		}
		if err := ask.list("user", ""); err != nil {
			return nil, err
		}
		return &ListServiceSpecificCredentialsOutput{}, nil
	}
	return none[ListServiceSpecificCredentialsOutput](ctx, s, ask, in.UserName)
}

// none answers with an empty list, if the caller may ask about the user and there is one.
func none[Out any](ctx context.Context, s *Service, a access, userName string) (*Out, error) {
	return read(ctx, s, func(tx Tx) (*Out, error) {
		if _, err := s.owner(tx, a, userName); err != nil {
			return nil, err
		}
		return new(Out), nil
	})
}
