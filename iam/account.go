package iam

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"math/big"
	"unicode/utf8"

	"github.com/stint-sts/stint/arn"
	"github.com/stint-sts/stint/secret"
)

// ErrAccountExists tells that the installation has an account of that id already.
var ErrAccountExists = errors.New("account exists already")

// maxAccountName bounds account names, in characters (AWS Organizations, "Quotas": names of accounts).
const maxAccountName = 50

// CreateAccount tells what account to create.
type CreateAccount struct {
	ID   string // 12 digits; empty: chosen at random, not beginning with 0
	Name string // for people; up to 50 characters, may be empty
}

// NewAccount is an account that was just created, with the access key of its root user. The secret is shown this once.
type NewAccount struct {
	Account         *Account
	AccessKeyID     string
	SecretAccessKey secret.String
}

// CreateAccount creates an account and an access key of its root user, both or neither. It returns ErrAccountExists when the
// id is taken. It is the operator's: no caller is asked for.
func (s *Service) CreateAccount(ctx context.Context, in CreateAccount) (*NewAccount, error) {
	if in.ID != "" && !arn.ValidAccount(in.ID) {
		return nil, fmt.Errorf("account id %q: want 12 digits", in.ID)
	}
	if !utf8.ValidString(in.Name) || utf8.RuneCountInString(in.Name) > maxAccountName {
		return nil, fmt.Errorf("account name: want at most %d characters", maxAccountName)
	}
	var out *NewAccount
	err := s.dir.Update(ctx, func(tx Tx) error {
		id, err := s.freeAccountID(tx, in.ID)
		if err != nil {
			return err
		}
		account := &Account{ID: id, Name: in.Name, CreateDate: s.today()}
		if err := put(tx, account); err != nil {
			return err
		}
		k, secretKey, err := s.newAccessKey(tx, id, id)
		if err != nil {
			return err
		}
		out = &NewAccount{Account: account, AccessKeyID: k.ID, SecretAccessKey: secretKey}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("create account: %w", err)
	}
	return out, nil
}

// freeAccountID returns the id asked for, or a random one, that no account has.
func (s *Service) freeAccountID(tx Tx, wanted string) (string, error) {
	const tries = 10
	for range tries {
		id := wanted
		if id == "" {
			var err error
			if id, err = randomAccountID(s.rand); err != nil {
				return "", err
			}
		}
		switch _, err := get[Account](tx, "", "", id); {
		case errors.Is(err, ErrNotFound):
			return id, nil
		case err != nil:
			return "", err
		case wanted != "":
			return "", fmt.Errorf("account %s: %w", id, ErrAccountExists)
		}
	}
	return "", fmt.Errorf("%d random ids in a row: %w", tries, ErrAccountExists)
}

// randomAccountID returns 12 digits of which the first is not 0: spreadsheets and YAML drop leading zeros.
func randomAccountID(random io.Reader) (string, error) {
	const lowest, span = 100_000_000_000, 900_000_000_000
	n, err := rand.Int(random, big.NewInt(span))
	if err != nil {
		return "", fmt.Errorf("account id: %w", err)
	}
	return fmt.Sprint(lowest + n.Int64()), nil
}

// ListAccounts returns all accounts of the installation in order of their ids. It is the operator's.
func (s *Service) ListAccounts(ctx context.Context) ([]*Account, error) {
	var all []*Account
	err := s.dir.View(ctx, func(tx Tx) (err error) {
		all, err = list[Account](tx, Query{})
		return err
	})
	return all, err
}

// Account returns the account of that id, or ErrNotFound. It is the operator's.
func (s *Service) Account(ctx context.Context, id string) (*Account, error) {
	var account *Account
	err := s.dir.View(ctx, func(tx Tx) (err error) {
		account, err = get[Account](tx, "", "", id)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("account %s: %w", id, err)
	}
	return account, nil
}

// BootstrapDone is the record that tells that the first account's root access key was handed over.
func BootstrapDone() Record { return Record{Kind: KindBootstrap, Name: "done", Body: []byte("{}")} }

// Bootstrapped reports whether the directory has BootstrapDone. It is the operator's.
func (s *Service) Bootstrapped(ctx context.Context) (done bool, err error) {
	err = s.dir.View(ctx, func(tx Tx) error {
		_, err := tx.Get(KindBootstrap, "", "", BootstrapDone().Name)
		done = err == nil
		if errors.Is(err, ErrNotFound) {
			return nil
		}
		return err
	})
	return done, err
}

// SetBootstrapped writes BootstrapDone. It is the operator's.
func (s *Service) SetBootstrapped(ctx context.Context) error {
	return s.dir.Update(ctx, func(tx Tx) error { return tx.Put(BootstrapDone()) })
}
