package iam

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/password"
	"github.com/stint-sts/stint/seal"
	"github.com/stint-sts/stint/secret"
)

// LoginProfile is a user's password, with which it signs in in the browser.
type LoginProfile struct {
	versioned

	Account       string
	UserID        string
	CreateDate    time.Time
	SetDate       time.Time // when the present password was set
	ResetRequired bool      // the user must change the password before it may do anything else
	SealedPassword
	Former []SealedPassword // passwords before, the latest first
}

// SealedPassword is the hash of a password.
type SealedPassword struct {
	Mark       string // by chance, another one for each password that is set
	SealedHash []byte // of package password, sealed for context "login-profile/" + UserID + "/" + Mark
}

// maxFormer is how many former passwords are kept: with the present one as many as PasswordReusePrevention may ask for.
const maxFormer = 23

func loginProfile(tx Tx, u *User) (*LoginProfile, error) {
	return get[LoginProfile](tx, u.Account, u.ID, loginProfileName)
}

func (l *LoginProfile) sealContext(mark string) string {
	return "login-profile/" + l.UserID + "/" + mark
}

// open returns the hash of the present password.
func (l *LoginProfile) open(master *seal.Key) (*password.Hash, error) {
	return l.openOne(master, &l.SealedPassword)
}

func (l *LoginProfile) openOne(master *seal.Key, p *SealedPassword) (*password.Hash, error) {
	text, err := master.Open(p.SealedHash, l.sealContext(p.Mark))
	if err != nil {
		return nil, fmt.Errorf("password of %s: %w", l.UserID, err)
	}
	hash, err := password.Parse(string(text))
	if err != nil {
		return nil, fmt.Errorf("password of %s: %w", l.UserID, err)
	}
	return hash, nil
}

// seal puts the hash in place of the present one.
func (l *LoginProfile) seal(master *seal.Key, hash *password.Hash) (err error) {
	if l.SealedHash, err = master.Seal([]byte(hash.String()), l.sealContext(l.Mark)); err != nil {
		return fmt.Errorf("password of %s: %w", l.UserID, err)
	}
	return nil
}

// set makes the password with that hash the present one, and the present one, if there is any, a former one.
func (l *LoginProfile) set(master *seal.Key, random io.Reader, hash *password.Hash, now time.Time) error {
	if l.Mark != "" {
		l.Former = append([]SealedPassword{l.SealedPassword}, l.Former[:min(len(l.Former), maxFormer-1)]...)
	}
	var mark [8]byte
	if _, err := io.ReadFull(random, mark[:]); err != nil {
		return fmt.Errorf("password of %s: %w", l.UserID, err)
	}
	l.Mark, l.SetDate = hex.EncodeToString(mark[:]), now
	return l.seal(master, hash)
}

// LoginProfileInfo is how answers show a login profile.
type LoginProfileInfo struct {
	UserName              string    `aws:"UserName"`
	CreateDate            time.Time `aws:"CreateDate"`
	PasswordResetRequired bool      `aws:"PasswordResetRequired"`
}

func wireLoginProfile(u *User, l *LoginProfile) LoginProfileInfo {
	return LoginProfileInfo{UserName: u.Name, CreateDate: l.CreateDate, PasswordResetRequired: l.ResetRequired}
}

// CreateLoginProfileInput is the input of CreateLoginProfile.
type CreateLoginProfileInput struct {
	UserName              string        `aws:"UserName" len:"1,64" pattern:"entityName"` // default: the caller
	Password              secret.String `aws:"Password" len:"1,128" pattern:"password"`
	PasswordResetRequired bool          `aws:"PasswordResetRequired"`
}

// CreateLoginProfileOutput is the output of CreateLoginProfile.
type CreateLoginProfileOutput struct {
	LoginProfile LoginProfileInfo `aws:"LoginProfile"`
}

// CreateLoginProfile gives a user a password.
func (s *Service) CreateLoginProfile(
	ctx context.Context, c *authn.Caller, in *CreateLoginProfileInput,
) (*CreateLoginProfileOutput, error) {
	find := func(tx Tx) (*User, *LoginProfile, error) {
		u, err := s.passwordOwner(tx, access{caller: c, action: "iam:CreateLoginProfile"}, in.UserName)
		if err != nil {
			return nil, nil, err
		}
		switch _, err := loginProfile(tx, u); {
		case err == nil:
			return nil, nil, awserr.New(awserr.EntityAlreadyExists, "Login Profile for user "+u.Name+" already exists.")
		case !errors.Is(err, ErrNotFound):
			return nil, nil, err
		}
		now := s.today()
		return u, &LoginProfile{Account: u.Account, UserID: u.ID, CreateDate: now, ResetRequired: in.PasswordResetRequired}, nil
	}
	if in.Password.IsZero() { // AWS leaves it out for root only, which has no password here
		return nil, awserr.New(awserr.ValidationError, "Password must be given.")
	}
	var out *CreateLoginProfileOutput
	err := s.setPassword(ctx, find, in.Password, nil, func(u *User, l *LoginProfile) {
		out = &CreateLoginProfileOutput{LoginProfile: wireLoginProfile(u, l)}
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// GetLoginProfileInput is the input of GetLoginProfile.
type GetLoginProfileInput struct {
	UserName string `aws:"UserName" len:"1,64" pattern:"entityName"` // default: the caller
}

// GetLoginProfileOutput is the output of GetLoginProfile.
type GetLoginProfileOutput struct {
	LoginProfile LoginProfileInfo `aws:"LoginProfile"`
}

// GetLoginProfile tells whether a user has a password, and since when.
func (s *Service) GetLoginProfile(ctx context.Context, c *authn.Caller, in *GetLoginProfileInput) (*GetLoginProfileOutput, error) {
	return read(ctx, s, func(tx Tx) (*GetLoginProfileOutput, error) {
		u, l, err := s.loginProfile(tx, access{caller: c, action: "iam:GetLoginProfile"}, in.UserName)
		if err != nil {
			return nil, err
		}
		return &GetLoginProfileOutput{LoginProfile: wireLoginProfile(u, l)}, nil
	})
}

// UpdateLoginProfileInput is the input of UpdateLoginProfile.
type UpdateLoginProfileInput struct {
	UserName              string        `aws:"UserName,required" len:"1,64" pattern:"entityName"`
	Password              secret.String `aws:"Password" len:"1,128" pattern:"password"` // default: stays
	PasswordResetRequired *bool         `aws:"PasswordResetRequired"`                   // default: stays
}

// UpdateLoginProfile sets another password for a user, or tells whether it must change it. Who is signed in with the old one is so no
// longer.
func (s *Service) UpdateLoginProfile(ctx context.Context, c *authn.Caller, in *UpdateLoginProfileInput) error {
	find := func(tx Tx) (*User, *LoginProfile, error) {
		u, l, err := s.loginProfile(tx, access{caller: c, action: "iam:UpdateLoginProfile"}, in.UserName)
		if err == nil && in.PasswordResetRequired != nil {
			l.ResetRequired = *in.PasswordResetRequired
		}
		return u, l, err
	}
	if !in.Password.IsZero() {
		return s.setPassword(ctx, find, in.Password, nil, func(*User, *LoginProfile) {})
	}
	return s.update(ctx, func(tx Tx) error {
		_, l, err := find(tx)
		if err != nil {
			return err
		}
		return put(tx, l)
	})
}

// DeleteLoginProfileInput is the input of DeleteLoginProfile.
type DeleteLoginProfileInput struct {
	UserName string `aws:"UserName" len:"1,64" pattern:"entityName"` // default: the caller
}

// DeleteLoginProfile takes a user's password away. Who is signed in with it is so no longer.
func (s *Service) DeleteLoginProfile(ctx context.Context, c *authn.Caller, in *DeleteLoginProfileInput) error {
	return s.update(ctx, func(tx Tx) error {
		_, l, err := s.loginProfile(tx, access{caller: c, action: "iam:DeleteLoginProfile"}, in.UserName)
		if err != nil {
			return err
		}
		return remove(tx, l)
	})
}

// ChangePasswordInput is the input of ChangePassword.
type ChangePasswordInput struct {
	OldPassword secret.String `aws:"OldPassword,required" len:"1,128" pattern:"password"`
	NewPassword secret.String `aws:"NewPassword,required" len:"1,128" pattern:"password"`
}

// ChangePassword changes the password of the user who calls. It needs iam:ChangePassword, which the account's password policy may allow
// all users, and which a user has whose password must be changed. Wrong old passwords count as failed sign-ins: a stolen access key
// must not serve to guess the password.
func (s *Service) ChangePassword(ctx context.Context, c *authn.Caller, in *ChangePasswordInput) error {
	if c.Kind != authn.User {
		return awserr.New(awserr.InvalidUserType, "Only IAM Users can change their own password")
	}
	find := func(tx Tx) (*User, *LoginProfile, error) { return s.ownLoginProfile(tx, c, in) }
	prove := func(l *LoginProfile) error { return s.passwords.proveOld(ctx, l, in.OldPassword) }
	return s.setPassword(ctx, find, in.NewPassword, prove, func(_ *User, l *LoginProfile) { l.ResetRequired = false })
}

// ownLoginProfile returns the caller's login profile if it may change its password.
func (s *Service) ownLoginProfile(tx Tx, c *authn.Caller, in *ChangePasswordInput) (*User, *LoginProfile, error) {
	l, err := loginProfile(tx, &User{Account: c.Account, ID: c.Entity.ID})
	if err != nil && !errors.Is(err, ErrNotFound) {
		return nil, nil, err
	}
	p, policyErr := passwordPolicy(tx, c.Account)
	if policyErr != nil {
		return nil, nil, policyErr
	}
	demanded := err == nil && (l.ResetRequired || p.expired(l, s.now()) && !p.HardExpiry)
	caller := c
	if demanded || p.UsersMayChange {
		if caller, policyErr = withOwnPassword(c); policyErr != nil {
			return nil, nil, policyErr
		}
	}
	o, ownerErr := s.owner(tx, access{caller: caller, action: "iam:ChangePassword"}, "")
	switch {
	case ownerErr != nil:
		return nil, nil, ownerErr
	case err != nil:
		return nil, nil, missingLoginProfile(o.user.Name)
	case demanded && in.NewPassword.Equal(in.OldPassword):
		return nil, nil, awserr.New(awserr.PasswordPolicyViolation, "The new password must differ from the old one")
	}
	return o.user, l, nil
}

// setPassword sets a user's password to one that the account's policy allows, and lets finish see the user and change the profile.
// Passwords are hashed between two transactions: hashing takes long, and a transaction may run twice. The second one finds the profile
// as the first did, or changes nothing. prove, if any, judges what the caller must prove, before the new password is compared with those
// that the user had.
func (s *Service) setPassword(
	ctx context.Context, find func(Tx) (*User, *LoginProfile, error), given secret.String,
	prove func(*LoginProfile) error, finish func(*User, *LoginProfile),
) error {
	var found *LoginProfile
	var used []*password.Hash
	err := s.view(ctx, func(tx Tx) error {
		u, l, err := find(tx)
		if err != nil {
			return err
		}
		p, err := passwordPolicy(tx, u.Account)
		if err != nil {
			return err
		}
		if err := p.check(tx, given); err != nil {
			return err
		}
		found = l
		used, err = l.latest(s.master, p.ReusePrevention)
		return err
	})
	if err != nil {
		return err
	}
	if prove != nil {
		if err := prove(found); err != nil {
			return passwordFailure(err)
		}
	}
	hash, err := s.passwords.hashUnused(ctx, given, used)
	if err != nil {
		return passwordFailure(err)
	}
	return s.update(ctx, func(tx Tx) error {
		u, l, err := find(tx)
		if err != nil {
			return err
		}
		if l.Mark != found.Mark {
			return ErrConflict // another password was set meanwhile
		}
		if err := l.set(s.master, s.rand, hash, s.today()); err != nil {
			return err
		}
		finish(u, l)
		return putSealed(tx, l, s.master)
	})
}

// latest returns the hashes of the user's n latest passwords, the present one first.
func (l *LoginProfile) latest(master *seal.Key, n int) ([]*password.Hash, error) {
	if l.Mark == "" || n == 0 {
		return nil, nil
	}
	var hashes []*password.Hash
	for _, p := range append([]SealedPassword{l.SealedPassword}, l.Former...) {
		if len(hashes) == n {
			break
		}
		hash, err := l.openOne(master, &p)
		if err != nil {
			return nil, err
		}
		hashes = append(hashes, hash)
	}
	return hashes, nil
}

// hashUnused hashes a password that is none of those used, when no other is being set.
func (p *Passwords) hashUnused(ctx context.Context, given secret.String, used []*password.Hash) (*password.Hash, error) {
	select {
	case p.setting <- struct{}{}:
		defer func() { <-p.setting }()
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", password.ErrBusy, ctx.Err())
	}
	for _, hash := range used {
		same, err := p.cfg.Hasher.Verify(ctx, hash, given)
		if err != nil {
			return nil, err
		}
		if same {
			return nil, awserr.New(awserr.PasswordPolicyViolation,
				"Policy constraint violation with password reuse prevention during password change")
		}
	}
	return p.cfg.Hasher.Hash(ctx, given)
}

// proveOld judges the old password, as often as sign-ins may be tried.
func (p *Passwords) proveOld(ctx context.Context, l *LoginProfile, old secret.String) error {
	wrong := awserr.New(awserr.AccessDenied, "The old password was incorrect.")
	throttle := userThrottle(l.UserID)
	switch allowed, err := p.cfg.Throttle.Attempt(ctx, throttle); {
	case err != nil:
		return err
	case !allowed:
		return wrong
	}
	hash, err := l.open(p.cfg.Directory.master)
	if err != nil {
		return err
	}
	switch right, err := p.cfg.Hasher.Verify(ctx, hash, old); {
	case err != nil:
		return err
	case !right:
		return wrong
	}
	return p.cfg.Throttle.Succeed(ctx, throttle)
}

// passwordOwner returns the user whose password an operation is about, if the caller may do the action on it.
func (s *Service) passwordOwner(tx Tx, a access, name string) (*User, error) {
	o, err := s.owner(tx, a, name)
	switch {
	case err != nil:
		return nil, err
	case o.user == nil:
		return nil, awserr.New(awserr.InvalidUserType, "The root user has no password: it signs in with an access key.")
	}
	return o.user, nil
}

// loginProfile returns a user with its login profile, if the caller may do the action on the user.
func (s *Service) loginProfile(tx Tx, a access, name string) (*User, *LoginProfile, error) {
	o, err := s.owner(tx, a, name)
	switch {
	case err != nil:
		return nil, nil, err
	case o.user == nil:
		return nil, nil, missingLoginProfile("root")
	}
	l, err := loginProfile(tx, o.user)
	if errors.Is(err, ErrNotFound) {
		return nil, nil, missingLoginProfile(o.user.Name)
	}
	return o.user, l, err
}

func missingLoginProfile(user string) error {
	return awserr.New(awserr.NoSuchEntity, "Login Profile for User "+user+" cannot be found.")
}
