package iam

import (
	"context"
	"errors"

	"github.com/stint-sts/stint/arn"
	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/awserr"
)

// CreateAccountAliasInput is the input of CreateAccountAlias.
type CreateAccountAliasInput struct {
	AccountAlias string `aws:"AccountAlias,required" len:"3,63" pattern:"alias"`
}

// CreateAccountAlias gives the account an alias in place of the one it had. An alias is unique over the installation.
func (s *Service) CreateAccountAlias(ctx context.Context, c *authn.Caller, in *CreateAccountAliasInput) error {
	if arn.ValidAccount(in.AccountAlias) { // it would read as another account's id
		return awserr.New(awserr.ValidationError, "An account alias cannot be 12 digits.")
	}
	return s.update(ctx, func(tx Tx) error {
		account, err := s.account(tx, access{caller: c, action: "iam:CreateAccountAlias"})
		if err != nil {
			return err
		}
		switch taken, err := get[Alias](tx, "", "", in.AccountAlias); {
		case err == nil && taken.Account == account.ID:
			return nil
		case err == nil:
			return awserr.New(awserr.EntityAlreadyExists, "The account alias "+in.AccountAlias+" already exists.")
		case !errors.Is(err, ErrNotFound):
			return err
		}
		if account.Alias != "" {
			if err := remove(tx, &Alias{Name: account.Alias, Account: account.ID}); err != nil {
				return err
			}
		}
		account.Alias = in.AccountAlias
		return errors.Join(put(tx, &Alias{Name: account.Alias, Account: account.ID}), put(tx, account))
	})
}

// DeleteAccountAliasInput is the input of DeleteAccountAlias.
type DeleteAccountAliasInput struct {
	AccountAlias string `aws:"AccountAlias,required" len:"3,63" pattern:"alias"`
}

// DeleteAccountAlias takes the account's alias away. Another account's alias is as if it did not exist.
func (s *Service) DeleteAccountAlias(ctx context.Context, c *authn.Caller, in *DeleteAccountAliasInput) error {
	return s.update(ctx, func(tx Tx) error {
		account, err := s.account(tx, access{caller: c, action: "iam:DeleteAccountAlias"})
		if err != nil {
			return err
		}
		if account.Alias != in.AccountAlias {
			return awserr.New(awserr.NoSuchEntity, "The account alias "+in.AccountAlias+" cannot be found.")
		}
		if err := remove(tx, &Alias{Name: account.Alias, Account: account.ID}); err != nil {
			return err
		}
		account.Alias = ""
		return put(tx, account)
	})
}

// ListAccountAliasesInput is the input of ListAccountAliases.
type ListAccountAliasesInput struct {
	PageInput `aws:",inline"`
}

// ListAccountAliasesOutput is the output of ListAccountAliases.
type ListAccountAliasesOutput struct {
	AccountAliases []string `aws:"AccountAliases,always"`
	PageOutput     `aws:",inline"`
}

// ListAccountAliases shows the account's alias, if it has one.
func (s *Service) ListAccountAliases(
	ctx context.Context, c *authn.Caller, in *ListAccountAliasesInput,
) (*ListAccountAliasesOutput, error) {
	return read(ctx, s, func(tx Tx) (*ListAccountAliasesOutput, error) {
		account, err := s.account(tx, access{caller: c, action: "iam:ListAccountAliases"})
		if err != nil {
			return nil, err
		}
		var all []string
		if account.Alias != "" {
			all = []string{account.Alias}
		}
		aliases, next, err := pageOf(all, in.PageInput, func(alias string) string { return alias })
		return &ListAccountAliasesOutput{AccountAliases: aliases, PageOutput: next}, err
	})
}

// account returns the caller's account if the caller may do the action, which has no resource.
func (s *Service) account(tx Tx, a access) (*Account, error) {
	if err := a.allow("*", nil); err != nil {
		return nil, err
	}
	return get[Account](tx, "", "", a.caller.Account)
}
