package iam

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/stint-sts/stint/arn"
	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/policy"
	"github.com/stint-sts/stint/signer"
)

// setTrust gives a role a trust policy, and binds the users and roles that it names to their unique ids of this moment. They
// may belong to any account of this installation, and must exist, by whichever of ARN and unique id they are named: an id that
// is left of a deleted one must go before the policy can be saved again. The caller stores the role.
func (s *Service) setTrust(tx Tx, r *Role, document string) error {
	d, err := parsePolicy(policy.Trust, document)
	if err != nil {
		return err
	}
	if d.Size() > s.quotas.TrustPolicySize {
		return overQuota("ACLSizePerRole", s.quotas.TrustPolicySize)
	}
	ids := make(map[string]string)
	for _, named := range d.Principals() {
		id, err := entityID(tx, named)
		if errors.Is(err, ErrNotFound) {
			return awserr.New(awserr.MalformedPolicyDocument, fmt.Sprintf("Invalid principal in policy: %q:%q", "AWS", named))
		}
		if err != nil {
			return err
		}
		ids[named] = id
	}
	r.Trust, r.TrustIDs = d.Stored(), ids
	return nil
}

// shownTrust is a role's trust policy as it is read: a user or role that it names appears under its present ARN while it
// lives, and under its bare unique id afterwards (AWS IAM User Guide, "IAM JSON policy elements: Principal").
func shownTrust(tx Tx, r *Role) (string, error) {
	if len(r.TrustIDs) == 0 {
		return r.Trust, nil
	}
	shown := make(map[string]string, len(r.TrustIDs))
	for named, id := range r.TrustIDs {
		current, err := currentARN(tx, id)
		switch {
		case errors.Is(err, ErrNotFound):
			current = id
		case err != nil:
			return "", err
		}
		shown[named] = current
	}
	d, err := policy.Parse(policy.Trust, r.Trust)
	if err != nil {
		return "", fmt.Errorf("trust policy of %s: %w", r.ARN(), err)
	}
	return d.Rewrite(func(named string) string { return shown[named] }), nil
}

// entityID returns the unique id of a user or role by ARN or by the unique id itself, or ErrNotFound.
func entityID(tx Tx, named string) (string, error) {
	if strings.HasPrefix(named, "arn:") {
		return uniqueID(tx, named)
	}
	_, err := currentARN(tx, named)
	return named, err
}

// uniqueID returns the unique id of the user or role with that ARN, of any account, or ErrNotFound. Unlike names in requests,
// ARNs in policies are compared with case and path.
func uniqueID(tx Tx, named string) (string, error) {
	a, err := arn.Parse(named)
	if err != nil || a.Partition != arn.Partition {
		return "", ErrNotFound
	}
	switch {
	case a.IsIAM("user"):
		u, err := get[User](tx, a.Account, "", fold(a.Name()))
		if err == nil && u.ARN() == named {
			return u.ID, nil
		}
		return "", cmp.Or(err, ErrNotFound)
	case a.IsIAM("role"):
		r, err := get[Role](tx, a.Account, "", fold(a.Name()))
		if err == nil && r.ARN() == named {
			return r.ID, nil
		}
		return "", cmp.Or(err, ErrNotFound)
	default:
		return "", ErrNotFound
	}
}

// currentARN returns the ARN of the user or role with that unique id, or ErrNotFound.
func currentARN(tx Tx, id string) (string, error) {
	if strings.HasPrefix(id, signer.PrefixUser) {
		u, err := byID[User](tx, id)
		if err != nil {
			return "", err
		}
		return u.ARN(), nil
	}
	r, err := byID[Role](tx, id)
	if err != nil {
		return "", err
	}
	return r.ARN(), nil
}
