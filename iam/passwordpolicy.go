package iam

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/policy"
	"github.com/stint-sts/stint/secret"
)

// PasswordPolicy says which passwords the users of an account may have and for how long. The zero value but for Account is the default
// policy, which an account has until it is given another (AWS IAM User Guide, "Set an account password policy for IAM users").
type PasswordPolicy struct {
	versioned

	Account         string
	MinimumLength   int // characters
	Symbols         bool
	Numbers         bool
	Uppercase       bool
	Lowercase       bool
	UsersMayChange  bool // AllowUsersToChangePassword
	MaxAge          int  // days; 0: passwords do not expire
	ReusePrevention int  // how many passwords, the present one first, must not be set again
	HardExpiry      bool // an expired password is the administrator's to change
}

const (
	// defaultMinimumLength is of the default policy, customMinimumLength of another one that does not say.
	defaultMinimumLength = 8
	customMinimumLength  = 6
	// passwordSymbols are the non-alphanumeric characters that count as symbols (IAM API reference, UpdateAccountPasswordPolicy).
	passwordSymbols = "!@#$%^&*()_+-=[]{}|'"
	day             = 24 * time.Hour
)

// isDefault reports whether the account has no policy of its own.
func (p *PasswordPolicy) isDefault() bool { return p.MinimumLength == 0 }

// passwordPolicy returns the policy in force in an account.
func passwordPolicy(tx Tx, account string) (*PasswordPolicy, error) {
	p, err := get[PasswordPolicy](tx, account, "", passwordPolicyName)
	if errors.Is(err, ErrNotFound) {
		return &PasswordPolicy{Account: account}, nil
	}
	return p, err
}

// expired reports whether a password is older than the policy allows.
func (p *PasswordPolicy) expired(l *LoginProfile, now time.Time) bool {
	return p.MaxAge > 0 && !now.Before(l.SetDate.Add(time.Duration(p.MaxAge)*day))
}

// characters tells which kinds of character a text has.
type characters struct{ symbols, numbers, uppercase, lowercase bool }

func charactersOf(text string) (c characters) {
	for _, r := range text {
		switch {
		case r >= '0' && r <= '9':
			c.numbers = true
		case r >= 'A' && r <= 'Z':
			c.uppercase = true
		case r >= 'a' && r <= 'z':
			c.lowercase = true
		case strings.ContainsRune(passwordSymbols, r):
			c.symbols = true
		}
	}
	return c
}

// kinds is how many kinds there are.
func (c characters) kinds() (n int) {
	for _, has := range []bool{c.symbols, c.numbers, c.uppercase, c.lowercase} {
		if has {
			n++
		}
	}
	return n
}

// check returns PasswordPolicyViolation when the users of the account must not have that password.
func (p *PasswordPolicy) check(tx Tx, given secret.String) error {
	text := given.Reveal()
	has := charactersOf(text)
	if p.isDefault() {
		return p.checkDefault(tx, text, has)
	}
	for _, rule := range []struct {
		broken bool
		text   string
	}{
		{utf8.RuneCountInString(text) < p.MinimumLength, fmt.Sprintf("Password should have a minimum length of %d", p.MinimumLength)},
		{p.Uppercase && !has.uppercase, "Password should have at least one uppercase letter"},
		{p.Lowercase && !has.lowercase, "Password should have at least one lowercase letter"},
		{p.Numbers && !has.numbers, "Password should have at least one number"},
		{p.Symbols && !has.symbols, "Password should have at least one symbol"},
	} {
		if rule.broken {
			return awserr.New(awserr.PasswordPolicyViolation, rule.text)
		}
	}
	return nil
}

func (p *PasswordPolicy) checkDefault(tx Tx, text string, has characters) error {
	account, err := get[Account](tx, "", "", p.Account)
	if err != nil {
		return err
	}
	switch {
	case utf8.RuneCountInString(text) < defaultMinimumLength:
		return awserr.Newf(awserr.PasswordPolicyViolation, "Password should have a minimum length of %d", defaultMinimumLength)
	case has.kinds() < 3:
		return awserr.New(awserr.PasswordPolicyViolation,
			"Password should have at least three of uppercase letters, lowercase letters, numbers and symbols")
	case strings.EqualFold(text, account.Name) || strings.EqualFold(text, account.Alias):
		return awserr.New(awserr.PasswordPolicyViolation, "Password should not be the name of the account")
	}
	return nil
}

// ownPassword is what an account's password policy may allow every user of it. That the password is the user's own lies in the
// operation: it takes no name.
const ownPassword = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":["iam:ChangePassword","iam:GetAccountPasswordPolicy"],"Resource":"*"}}`

// withOwnPassword returns a user as caller who may, unless something denies it, change its own password and see the password policy
// (IAM API reference, UpdateAccountPasswordPolicy, AllowUsersToChangePassword). A permissions boundary bounds that as well.
func withOwnPassword(c *authn.Caller) (*authn.Caller, error) {
	granted, err := policy.Parse(policy.Identity, ownPassword)
	if err != nil {
		return nil, err
	}
	entity, caller := *c.Entity, *c
	entity.Identity = append(append([]*policy.Document(nil), entity.Identity...), granted.Named("the account's password policy"))
	caller.Entity = &entity
	return &caller, nil
}

// AccountPasswordPolicy is how answers show a password policy.
type AccountPasswordPolicy struct {
	MinimumPasswordLength      int    `aws:"MinimumPasswordLength"`
	RequireSymbols             bool   `aws:"RequireSymbols"`
	RequireNumbers             bool   `aws:"RequireNumbers"`
	RequireUppercaseCharacters bool   `aws:"RequireUppercaseCharacters"`
	RequireLowercaseCharacters bool   `aws:"RequireLowercaseCharacters"`
	AllowUsersToChangePassword bool   `aws:"AllowUsersToChangePassword"`
	ExpirePasswords            bool   `aws:"ExpirePasswords"`
	MaxPasswordAge             *int32 `aws:"MaxPasswordAge"`
	PasswordReusePrevention    *int32 `aws:"PasswordReusePrevention"`
	HardExpiry                 bool   `aws:"HardExpiry"`
}

// GetAccountPasswordPolicyInput is the input of GetAccountPasswordPolicy, which has no parameters.
type GetAccountPasswordPolicyInput struct{}

// GetAccountPasswordPolicyOutput is the output of GetAccountPasswordPolicy.
type GetAccountPasswordPolicyOutput struct {
	PasswordPolicy AccountPasswordPolicy `aws:"PasswordPolicy"`
}

// GetAccountPasswordPolicy shows the account's own password policy. While the default one is in force there is none to show.
func (s *Service) GetAccountPasswordPolicy(
	ctx context.Context, c *authn.Caller, _ *GetAccountPasswordPolicyInput,
) (*GetAccountPasswordPolicyOutput, error) {
	return read(ctx, s, func(tx Tx) (*GetAccountPasswordPolicyOutput, error) {
		p, err := passwordPolicy(tx, c.Account)
		if err != nil {
			return nil, err
		}
		caller := c
		if p.UsersMayChange && c.Kind == authn.User {
			if caller, err = withOwnPassword(c); err != nil {
				return nil, err
			}
		}
		if err := (access{caller: caller, action: "iam:GetAccountPasswordPolicy"}).allow("*", nil); err != nil {
			return nil, err
		}
		if p.isDefault() {
			return nil, missingPasswordPolicy(c.Account)
		}
		return &GetAccountPasswordPolicyOutput{PasswordPolicy: AccountPasswordPolicy{
			MinimumPasswordLength: p.MinimumLength, RequireSymbols: p.Symbols, RequireNumbers: p.Numbers,
			RequireUppercaseCharacters: p.Uppercase, RequireLowercaseCharacters: p.Lowercase, AllowUsersToChangePassword: p.UsersMayChange,
			ExpirePasswords: p.MaxAge > 0, MaxPasswordAge: unlessZero(p.MaxAge), PasswordReusePrevention: unlessZero(p.ReusePrevention),
			HardExpiry: p.HardExpiry,
		}}, nil
	})
}

// unlessZero is how answers show what may be unset.
func unlessZero(n int) *int32 {
	if n == 0 {
		return nil
	}
	shown := int32(n)
	return &shown
}

func missingPasswordPolicy(account string) error {
	return awserr.New(awserr.NoSuchEntity, "The Password Policy with domain name "+account+" cannot be found.")
}

// UpdateAccountPasswordPolicyInput is the input of UpdateAccountPasswordPolicy.
type UpdateAccountPasswordPolicyInput struct {
	MinimumPasswordLength      *int32 `aws:"MinimumPasswordLength" range:"6,128"` // default 6
	RequireSymbols             bool   `aws:"RequireSymbols"`
	RequireNumbers             bool   `aws:"RequireNumbers"`
	RequireUppercaseCharacters bool   `aws:"RequireUppercaseCharacters"`
	RequireLowercaseCharacters bool   `aws:"RequireLowercaseCharacters"`
	AllowUsersToChangePassword bool   `aws:"AllowUsersToChangePassword"`
	MaxPasswordAge             *int32 `aws:"MaxPasswordAge" range:"1,1095"`        // days; default: passwords do not expire
	PasswordReusePrevention    *int32 `aws:"PasswordReusePrevention" range:"1,24"` // default: any may be set again
	HardExpiry                 bool   `aws:"HardExpiry"`
}

// UpdateAccountPasswordPolicy gives the account a password policy in place of all of the one that it had. Passwords that users have
// already are judged by it in their age only.
func (s *Service) UpdateAccountPasswordPolicy(ctx context.Context, c *authn.Caller, in *UpdateAccountPasswordPolicyInput) error {
	return s.update(ctx, func(tx Tx) error {
		if err := (access{caller: c, action: "iam:UpdateAccountPasswordPolicy"}).allow("*", nil); err != nil {
			return err
		}
		old, err := passwordPolicy(tx, c.Account)
		if err != nil {
			return err
		}
		return put(tx, &PasswordPolicy{
			versioned: old.versioned, Account: c.Account,
			MinimumLength: orDefault(in.MinimumPasswordLength, customMinimumLength),
			Symbols:       in.RequireSymbols, Numbers: in.RequireNumbers,
			Uppercase: in.RequireUppercaseCharacters, Lowercase: in.RequireLowercaseCharacters,
			UsersMayChange: in.AllowUsersToChangePassword, MaxAge: orDefault(in.MaxPasswordAge, 0),
			ReusePrevention: orDefault(in.PasswordReusePrevention, 0), HardExpiry: in.HardExpiry,
		})
	})
}

func orDefault(given *int32, otherwise int) int {
	if given == nil {
		return otherwise
	}
	return int(*given)
}

// DeleteAccountPasswordPolicyInput is the input of DeleteAccountPasswordPolicy, which has no parameters.
type DeleteAccountPasswordPolicyInput struct{}

// DeleteAccountPasswordPolicy brings the default policy back.
func (s *Service) DeleteAccountPasswordPolicy(ctx context.Context, c *authn.Caller, _ *DeleteAccountPasswordPolicyInput) error {
	return s.update(ctx, func(tx Tx) error {
		if err := (access{caller: c, action: "iam:DeleteAccountPasswordPolicy"}).allow("*", nil); err != nil {
			return err
		}
		p, err := passwordPolicy(tx, c.Account)
		if err != nil {
			return err
		}
		if p.isDefault() {
			return missingPasswordPolicy(c.Account)
		}
		return remove(tx, p)
	})
}
