package iam

import (
	"context"
	"fmt"
)

// ReplaceRootKeys deletes the access keys of an account's root user and makes a new one. It is the operator's: for an
// installation whose first root key was never handed over, and for one whose root key is lost.
func (s *Service) ReplaceRootKeys(ctx context.Context, account string) (*NewAccount, error) {
	var out *NewAccount
	err := s.dir.Update(ctx, func(tx Tx) error {
		a, err := get[Account](tx, "", "", account)
		if err != nil {
			return err
		}
		old, err := list[AccessKey](tx, Query{Account: account, Parent: account})
		if err != nil {
			return err
		}
		for _, k := range old {
			if err := remove(tx, k); err != nil {
				return err
			}
		}
		k, secretKey, err := s.newAccessKey(tx, account, account)
		if err != nil {
			return err
		}
		out = &NewAccount{Account: a, AccessKeyID: k.ID, SecretAccessKey: secretKey}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("replace the root keys of %s: %w", account, err)
	}
	return out, nil
}
