package sts

import (
	"context"

	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/authz"
	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/signer"
)

// GetCallerIdentityInput are the parameters of GetCallerIdentity: none.
type GetCallerIdentityInput struct{}

// GetCallerIdentityOutput tells who called.
type GetCallerIdentityOutput struct {
	UserID  string `aws:"UserId"`
	Account string `aws:"Account"`
	ARN     string `aws:"Arn"`
}

// GetCallerIdentity needs no permission: even an explicit deny has no effect on it
// (AWS STS API Reference, "GetCallerIdentity").
func (s *Service) GetCallerIdentity(_ context.Context, c *authn.Caller, _ *GetCallerIdentityInput) (*GetCallerIdentityOutput, error) {
	return &GetCallerIdentityOutput{UserID: c.UserID, Account: c.Account, ARN: c.ARN}, nil
}

// GetAccessKeyInfoInput are the parameters of GetAccessKeyInfo.
type GetAccessKeyInfoInput struct {
	AccessKeyID string `aws:"AccessKeyId,required" len:"16,128" pattern:"word"`
}

// GetAccessKeyInfoOutput names the account of an access key.
type GetAccessKeyInfoOutput struct {
	Account string `aws:"Account"`
}

// GetAccessKeyInfo reads the account out of an access key id; it says nothing of whether the key exists or works
// (AWS STS API Reference, "GetAccessKeyInfo"). An id that carries no account is a ValidationError.
func (s *Service) GetAccessKeyInfo(_ context.Context, c *authn.Caller, in *GetAccessKeyInfoInput) (*GetAccessKeyInfoOutput, error) {
	if err := authz.Require(c, &authz.Question{Action: "sts:GetAccessKeyInfo", Resource: "*"}); err != nil {
		return nil, err
	}
	account, err := signer.AccountOf(in.AccessKeyID)
	if err != nil {
		return nil, awserr.Wrap(awserr.ValidationError, "The access key ID is not valid.", err)
	}
	return &GetAccessKeyInfoOutput{Account: account}, nil
}
