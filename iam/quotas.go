package iam

import "github.com/stint-sts/stint/awserr"

// Quotas bound what an account may hold. Sizes of policies do not count white space.
// Source: AWS IAM User Guide, "IAM and AWS STS quotas".
type Quotas struct {
	UsersPerAccount            int
	GroupsPerAccount           int
	RolesPerAccount            int
	PoliciesPerAccount         int
	InstanceProfilesPerAccount int
	OIDCProvidersPerAccount    int
	ClientIDsPerOIDCProvider   int
	ThumbprintsPerOIDCProvider int
	SAMLProvidersPerAccount    int
	GroupsPerUser              int
	AccessKeysPerUser          int
	PoliciesPerUser            int // attached managed policies
	PoliciesPerGroup           int
	PoliciesPerRole            int
	VersionsPerPolicy          int
	TagsPerEntity              int
	PolicySize                 int // characters of a managed policy
	UserPolicySize             int // characters of all inline policies of a user
	GroupPolicySize            int
	RolePolicySize             int
	TrustPolicySize            int // "ACLSizePerRole"
	MaxSessionDuration         int // seconds; AWS stops at 43,200, stint lets an operator go to 36 hours (DESIGN.md section 4)
}

// DefaultQuotas are AWS's defaults.
func DefaultQuotas() Quotas {
	return Quotas{
		UsersPerAccount:            5000,
		GroupsPerAccount:           300,
		RolesPerAccount:            1000,
		PoliciesPerAccount:         1500,
		InstanceProfilesPerAccount: 1000,
		OIDCProvidersPerAccount:    100,
		ClientIDsPerOIDCProvider:   100,
		ThumbprintsPerOIDCProvider: 5,
		SAMLProvidersPerAccount:    100,
		GroupsPerUser:              10,
		AccessKeysPerUser:          2,
		PoliciesPerUser:            10,
		PoliciesPerGroup:           10,
		PoliciesPerRole:            10,
		VersionsPerPolicy:          5,
		TagsPerEntity:              50,
		PolicySize:                 6144,
		UserPolicySize:             2048,
		GroupPolicySize:            5120,
		RolePolicySize:             10240,
		TrustPolicySize:            2048,
		MaxSessionDuration:         129_600,
	}
}

// within refuses one more object of type T beside those that q selects, when there are limit of them already.
func within[T any, P pointer[T]](tx Tx, q Query, quota string, limit int) error {
	n, err := count[T, P](tx, q)
	if err != nil {
		return err
	}
	if n >= limit {
		return overQuota(quota, limit)
	}
	return nil
}

// overQuota is the answer to a request that would exceed the quota of that name.
func overQuota(quota string, limit int) error {
	return awserr.Newf(awserr.LimitExceeded, "Cannot exceed quota for %s: %d", quota, limit)
}
