package iam

import (
	"context"

	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/policy"
)

// GetContextKeysForCustomPolicyInput is the input of GetContextKeysForCustomPolicy.
type GetContextKeysForCustomPolicyInput struct {
	PolicyInputList []string `aws:"PolicyInputList,required" itemlen:"1,131072" itempattern:"policyDocument"`
}

// GetContextKeysForPrincipalPolicyInput is the input of GetContextKeysForPrincipalPolicy.
type GetContextKeysForPrincipalPolicyInput struct {
	PolicySourceARN string   `aws:"PolicySourceArn,required" len:"20,2048"`
	PolicyInputList []string `aws:"PolicyInputList" itemlen:"1,131072" itempattern:"policyDocument"`
}

// ContextKeysOutput are condition keys and variables as the policies spell them, each once ignoring case.
type ContextKeysOutput struct {
	ContextKeyNames []string `aws:"ContextKeyNames,always"`
}

// The outputs, each under the name of its operation.
type (
	GetContextKeysForCustomPolicyOutput    ContextKeysOutput
	GetContextKeysForPrincipalPolicyOutput ContextKeysOutput
)

// GetContextKeysForCustomPolicy lists the condition keys that policies given as text use.
func (s *Service) GetContextKeysForCustomPolicy(
	_ context.Context, c *authn.Caller, in *GetContextKeysForCustomPolicyInput,
) (*GetContextKeysForCustomPolicyOutput, error) {
	if err := (access{caller: c, action: "iam:GetContextKeysForCustomPolicy"}).allow("*", nil); err != nil {
		return nil, err
	}
	documents, err := simulationPolicies(policy.Identity, "PolicyInputList", in.PolicyInputList)
	if err != nil {
		return nil, err
	}
	return (*GetContextKeysForCustomPolicyOutput)(contextKeys(documents)), nil
}

// GetContextKeysForPrincipalPolicy lists the condition keys that the policies of a user, with its groups, a group or a role
// use, and policies given as text beside them.
func (s *Service) GetContextKeysForPrincipalPolicy(
	ctx context.Context, c *authn.Caller, in *GetContextKeysForPrincipalPolicyInput,
) (*GetContextKeysForPrincipalPolicyOutput, error) {
	source, err := s.policySource(ctx, access{caller: c, action: "iam:GetContextKeysForPrincipalPolicy"}, in.PolicySourceARN)
	if err != nil {
		return nil, err
	}
	documents, err := source.identity()
	if err != nil {
		return nil, err
	}
	given, err := simulationPolicies(policy.Identity, "PolicyInputList", in.PolicyInputList)
	if err != nil {
		return nil, err
	}
	return (*GetContextKeysForPrincipalPolicyOutput)(contextKeys(append(documents, given...))), nil
}

func contextKeys(documents []*policy.Document) *ContextKeysOutput {
	out := new(ContextKeysOutput)
	seen := make(map[string]bool)
	for _, d := range documents {
		for _, key := range d.ContextKeys() {
			if folded := fold(key); !seen[folded] {
				seen[folded] = true
				out.ContextKeyNames = append(out.ContextKeyNames, key)
			}
		}
	}
	return out
}
