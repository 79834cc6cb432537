package iam

import (
	"context"
	"errors"
	"fmt"

	"github.com/stint-sts/stint/arn"
)

// Roles returns the ARNs of the account's first roles by name, limit at most. It reads the store each time.
func (d *Directory) Roles(ctx context.Context, account string, limit int) ([]arn.ARN, error) {
	var names []arn.ARN
	err := d.store.View(ctx, func(tx Tx) error {
		names = nil
		roles, err := list[Role](tx, Query{Account: account, Limit: limit})
		if err != nil {
			return err
		}
		for _, r := range roles {
			a, err := arn.Parse(r.ARN())
			if err != nil {
				return fmt.Errorf("role %s: %w", r.ID, err)
			}
			names = append(names, a)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("roles of %s: %w", account, err)
	}
	return names, nil
}

// AccountAlias returns the account's alias, or "" when it has none or does not exist.
func (d *Directory) AccountAlias(ctx context.Context, account string) (alias string, err error) {
	err = d.store.View(ctx, func(tx Tx) error {
		a, err := get[Account](tx, "", "", account)
		if err == nil {
			alias = a.Alias
		}
		return err
	})
	if errors.Is(err, ErrNotFound) {
		return "", nil
	}
	return alias, err
}
