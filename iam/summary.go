package iam

import (
	"context"

	"github.com/stint-sts/stint/authn"
)

// GetAccountSummaryInput is the input of GetAccountSummary, which has no parameters.
type GetAccountSummaryInput struct{}

// GetAccountSummaryOutput is the output of GetAccountSummary.
type GetAccountSummaryOutput struct {
	SummaryMap map[string]int `aws:"SummaryMap,always"`
}

// GetAccountSummary counts what the account holds beside what it may hold. Kinds of objects that stint does not have count
// zero, and so do their quotas.
func (s *Service) GetAccountSummary(
	ctx context.Context, c *authn.Caller, _ *GetAccountSummaryInput,
) (*GetAccountSummaryOutput, error) {
	return read(ctx, s, func(tx Tx) (*GetAccountSummaryOutput, error) {
		account, err := s.account(tx, access{caller: c, action: "iam:GetAccountSummary"})
		if err != nil {
			return nil, err
		}
		summary := s.quotaSummary()
		for _, entry := range []struct {
			key   string
			count func(Tx, string) (int, error)
		}{
			{"Users", counted[User]},
			{"Groups", counted[Group]},
			{"Roles", counted[Role]},
			{"Policies", counted[Policy]},
			{"PolicyVersionsInUse", s.policiesInUse},
			{"InstanceProfiles", counted[InstanceProfile]},
			{"Providers", countProviders},
			{"MFADevices", counted[MFADevice]},
			{"MFADevicesInUse", countAssignedDevices},
			{"AccountMFAEnabled", hasRootDevice},
			{"AccountAccessKeysPresent", hasRootKey},
		} {
			if summary[entry.key], err = entry.count(tx, account.ID); err != nil {
				return nil, err
			}
		}
		return &GetAccountSummaryOutput{SummaryMap: summary}, nil
	})
}

// quotaSummary are the entries that do not depend on what the account holds.
func (s *Service) quotaSummary() map[string]int {
	q := &s.quotas
	return map[string]int{
		"UsersQuota":                        q.UsersPerAccount,
		"GroupsQuota":                       q.GroupsPerAccount,
		"RolesQuota":                        q.RolesPerAccount,
		"PoliciesQuota":                     q.PoliciesPerAccount,
		"PolicySizeQuota":                   q.PolicySize,
		"PolicyVersionsInUseQuota":          10_000, // AWS's; nothing here can reach it
		"VersionsPerPolicyQuota":            q.VersionsPerPolicy,
		"UserPolicySizeQuota":               q.UserPolicySize,
		"GroupPolicySizeQuota":              q.GroupPolicySize,
		"RolePolicySizeQuota":               q.RolePolicySize,
		"AssumeRolePolicySizeQuota":         q.TrustPolicySize,
		"AttachedPoliciesPerUserQuota":      q.PoliciesPerUser,
		"AttachedPoliciesPerGroupQuota":     q.PoliciesPerGroup,
		"AttachedPoliciesPerRoleQuota":      q.PoliciesPerRole,
		"GroupsPerUserQuota":                q.GroupsPerUser,
		"AccessKeysPerUserQuota":            q.AccessKeysPerUser,
		"InstanceProfilesQuota":             q.InstanceProfilesPerAccount,
		"SigningCertificatesPerUserQuota":   0,
		"ServerCertificates":                0,
		"ServerCertificatesQuota":           0,
		"AccountPasswordPresent":            0,
		"AccountSigningCertificatesPresent": 0,
		"GlobalEndpointTokenVersion":        2, // tokens are good in every region
	}
}

func counted[T any, P pointer[T]](tx Tx, account string) (int, error) {
	return count[T, P](tx, Query{Account: account})
}

func countProviders(tx Tx, account string) (int, error) {
	oidc, err := counted[OIDCProvider](tx, account)
	if err != nil {
		return 0, err
	}
	saml, err := counted[SAMLProvider](tx, account)
	return oidc + saml, err
}

// policiesInUse counts the managed policies, of the account and of AWS, that something in the account uses. Of each one
// version is in use, the default.
func (s *Service) policiesInUse(tx Tx, account string) (int, error) {
	inUse := 0
	for p, err := range s.policies(tx, account, "All", "/", "") {
		if err != nil {
			return 0, err
		}
		used, err := usesOf(tx, account, p)
		if err != nil {
			return 0, err
		}
		if used != (uses{}) {
			inUse++
		}
	}
	return inUse, nil
}

func countAssignedDevices(tx Tx, account string) (int, error) {
	assigned := 0
	for d, err := range walk(tx, Query{Account: account}, byName[*MFADevice]) {
		if err != nil {
			return 0, err
		}
		if d.Owner != "" {
			assigned++
		}
	}
	return assigned, nil
}

// hasRootDevice and hasRootKey are 1 when the account's root user has an MFA device, or an access key, and else 0.
func hasRootDevice(tx Tx, account string) (int, error) {
	n, err := count[MFADevice](tx, Query{Account: account, Target: account})
	return min(n, 1), err
}

func hasRootKey(tx Tx, account string) (int, error) {
	n, err := count[AccessKey](tx, Query{Account: account, Parent: account})
	return min(n, 1), err
}
