package iam

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/netip"
	"time"
	"unicode/utf8"

	"github.com/stint-sts/stint/arn"
	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/mfa"
	"github.com/stint-sts/stint/password"
	"github.com/stint-sts/stint/secret"
	"github.com/stint-sts/stint/session"
)

// PasswordHasher hashes passwords and checks them, as *password.Hasher does. An error matching password.ErrBusy says to try again.
type PasswordHasher interface {
	Hash(ctx context.Context, given secret.String) (*password.Hash, error)
	Verify(ctx context.Context, hash *password.Hash, given secret.String) (bool, error)
	VerifyUnknown(ctx context.Context, given secret.String) error
	Outdated(hash *password.Hash) bool
}

// PasswordsConfig is what Passwords need; all fields are required.
type PasswordsConfig struct {
	Directory *Directory
	Hasher    PasswordHasher
	Throttle  session.Throttle
	Codes     *mfa.Verifier
	Now       func() time.Time
}

// Passwords sign IAM users in with their passwords. Guessing is slowed down per user and per source address, on all nodes together.
// It is safe for concurrent use.
type Passwords struct {
	cfg     PasswordsConfig
	setting chan struct{} // a place for the one password that is being set: one account's must not keep all others from signing in
}

// NewPasswords makes Passwords.
func NewPasswords(cfg PasswordsConfig) *Passwords {
	return &Passwords{cfg: cfg, setting: make(chan struct{}, 1)}
}

// SignIn is what somebody typed into a sign-in form.
type SignIn struct {
	Account  string // account id or alias
	User     string
	Password secret.String
	Code     secret.String // of an MFA device; empty: none given
	Source   string        // IP address of the client
}

// SignedIn is a user who has proven who it is.
type SignedIn struct {
	User      *authn.Entity
	Time      time.Time // of the sign-in, to the second
	MFASerial string    // of the device whose code was given; empty: without MFA
	Mark      string    // of the password; see Holds

	// ResetRequired and Expired tell that the user must change its password, with ChangePassword, before it may do anything else.
	ResetRequired bool // an administrator wants it
	Expired       bool // the password is older than the account's password policy allows
}

// MustChange reports whether the user must change its password before it may do anything else.
func (s *SignedIn) MustChange() bool { return s.ResetRequired || s.Expired }

// Errors of SignIn, apart from *awserr.Error of the kinds ServiceUnavailable and InternalFailure.
var (
	// ErrSignIn says that account, user, password and code do not fit together, or that there were too many failures of late. Which of
	// these it was is for the audit, not for who tried: see SignInError.
	ErrSignIn = errors.New("wrong account, user, password or code")
	// ErrPasswordExpired says that all was right, but the password has expired and only an administrator may set another
	// (HardExpiry of the account's password policy).
	ErrPasswordExpired = errors.New("the password has expired: an administrator must set another")
)

// SignInError is a refused sign-in with what the audit may know of it. It matches ErrSignIn or ErrPasswordExpired.
type SignInError struct {
	Refusal error  // ErrSignIn or ErrPasswordExpired
	Account string // account id; empty when there is no such account
	User    *User  // nil when there is no such user
	MFAUsed bool   // a code was right
	Reason  string // for operators: what was wrong
}

// Error is the text of the refusal: it does not tell what was wrong.
func (e *SignInError) Error() string { return e.Refusal.Error() }

// Unwrap returns the refusal.
func (e *SignInError) Unwrap() error { return e.Refusal }

// Bounds of what is looked at. What is longer exists nowhere (IAM API model: userNameType, accountAliasType, passwordType).
const (
	maxSignInAccount = 63
	maxSignInUser    = 64
	maxPassword      = 128
)

// SignIn judges a password, and a code if the user has MFA devices: then one is required, and consumed. It takes as long for a user
// who does not exist as for a wrong password. While a wait for failures is on, nothing is judged and all is refused.
//
// Errors match ErrSignIn or ErrPasswordExpired and are a *SignInError, or else have a Kind of awserr: nothing was found out then.
func (p *Passwords) SignIn(ctx context.Context, in *SignIn) (*SignedIn, error) {
	out, err := p.signIn(ctx, in)
	return out, passwordFailure(err)
}

func (p *Passwords) signIn(ctx context.Context, in *SignIn) (*SignedIn, error) {
	refused := func(reason string) error { return &SignInError{Refusal: ErrSignIn, Reason: reason} }
	if len(in.Account) > maxSignInAccount || len(in.User) > maxSignInUser || utf8.RuneCountInString(in.Password.Reveal()) > maxPassword {
		return nil, refused("account, user or password longer than any")
	}
	// 1. The address comes first: once it waits, it cannot make users wait.
	source := "sign-in/source/" + sourceName(in.Source)
	switch allowed, err := p.cfg.Throttle.Attempt(ctx, source); {
	case err != nil:
		return nil, err
	case !allowed:
		return nil, refused("too many failures from this address")
	}
	// 2. Who it would be. Who does not exist has waits as well.
	s, err := p.subject(ctx, in)
	if err != nil {
		return nil, err
	}
	switch allowed, err := p.cfg.Throttle.Attempt(ctx, s.throttle); {
	case err != nil:
		return nil, err
	case !allowed:
		return nil, s.refused("too many failures of this user")
	}
	// 3. Password and code.
	if err := p.checkPassword(ctx, s, in); err != nil {
		return nil, err
	}
	out := &SignedIn{Time: p.cfg.Now().UTC().Truncate(time.Second), Mark: s.profile.Mark}
	if out.MFASerial, err = p.checkCode(ctx, s, in.Code); err != nil {
		return nil, err
	}
	// 4. All is right: failures are taken back.
	for _, name := range []string{s.throttle, source} {
		if err := p.cfg.Throttle.Succeed(ctx, name); err != nil {
			return nil, err
		}
	}
	out.ResetRequired = s.profile.ResetRequired
	if out.Expired = s.policy.expired(s.profile, out.Time); out.Expired && s.policy.HardExpiry {
		return nil, &SignInError{
			Refusal: ErrPasswordExpired, Account: s.account, User: s.user, MFAUsed: out.MFASerial != "", Reason: "the password has expired",
		}
	}
	if out.User, err = p.cfg.Directory.Entity(ctx, s.account, s.user.ID); err != nil {
		return nil, err
	}
	p.cfg.Directory.Used(s.user.ID, "", "", out.Time)
	p.rehash(ctx, s, in.Password)
	return out, nil
}

// subject is who a sign-in would be.
type subject struct {
	throttle string // name for the throttle
	account  string // empty: no such account
	user     *User  // nil: no such user
	profile  *LoginProfile
	hash     *password.Hash // nil: no password
	policy   *PasswordPolicy
	devices  []*mfa.Device
	serials  []string // of the devices
}

func (s *subject) refused(reason string) error {
	return &SignInError{Refusal: ErrSignIn, Account: s.account, User: s.user, Reason: reason}
}

// nobody stands for the unique id of a user who does not exist.
const nobody = "nobody"

// subject reads all that a sign-in is judged by. Who does not exist has no hash, but is asked for all the same: that takes time too.
func (p *Passwords) subject(ctx context.Context, in *SignIn) (*subject, error) {
	var s *subject
	err := p.cfg.Directory.View(ctx, func(tx Tx) (err error) {
		s = &subject{}
		if s.account, err = accountNamed(tx, in.Account); err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
		u, err := get[User](tx, s.account, "", fold(in.User))
		switch {
		case err == nil:
			s.user = u
		case errors.Is(err, ErrNotFound):
			u = &User{Account: s.account, ID: nobody}
		default:
			return err
		}
		if s.devices, s.serials, err = p.devices(tx, u); err != nil {
			return err
		}
		if s.policy, err = passwordPolicy(tx, u.Account); err != nil {
			return err
		}
		if s.profile, err = loginProfile(tx, u); err != nil {
			return err
		}
		s.hash, err = s.profile.open(p.cfg.Directory.master)
		return err
	})
	if err != nil && !errors.Is(err, ErrNotFound) {
		return nil, fmt.Errorf("sign-in: %w", err)
	}
	if s.user != nil {
		s.throttle = userThrottle(s.user.ID)
	} else { // of a fixed length, whatever was typed; by the account's id, so that its alias gives no second try
		sum := sha256.Sum256([]byte(cmp.Or(s.account, in.Account) + "/" + fold(in.User)))
		s.throttle = "sign-in/nobody/" + string(sum[:])
	}
	return s, nil
}

// userThrottle is the name under which failures with a user's password are counted, whichever way it is guessed.
func userThrottle(userID string) string { return "sign-in/user/" + userID }

// accountNamed returns the id of the account with that id or alias, or ErrNotFound.
func accountNamed(tx Tx, name string) (string, error) {
	if arn.ValidAccount(name) {
		account, err := get[Account](tx, "", "", name)
		if err != nil {
			return "", err
		}
		return account.ID, nil
	}
	alias, err := get[Alias](tx, "", "", fold(name))
	if err != nil {
		return "", err
	}
	return alias.Account, nil
}

// devices are the user's MFA devices, with their serial numbers.
func (p *Passwords) devices(tx Tx, u *User) (devices []*mfa.Device, serials []string, err error) {
	assigned, err := list[MFADevice](tx, Query{Account: u.Account, Target: u.ID})
	if err != nil {
		return nil, nil, err
	}
	for _, d := range assigned {
		device, err := d.open(p.cfg.Directory.master)
		if err != nil {
			return nil, nil, err
		}
		devices, serials = append(devices, device), append(serials, d.Serial)
	}
	return devices, serials, nil
}

// checkPassword compares the password that was given. A wrong one costs a judgement of the code as well, as a right one does.
func (p *Passwords) checkPassword(ctx context.Context, s *subject, in *SignIn) error {
	right := false
	var err error
	if s.hash != nil {
		right, err = p.cfg.Hasher.Verify(ctx, s.hash, in.Password)
	} else {
		err = p.cfg.Hasher.VerifyUnknown(ctx, in.Password)
	}
	if err != nil || right {
		return err
	}
	if !in.Code.IsZero() {
		if err := p.cfg.Codes.VerifyUnknown(ctx, s.throttle, in.Code); !errors.Is(err, mfa.ErrInvalidCode) {
			return err
		}
	}
	switch {
	case s.account == "":
		return s.refused("no such account")
	case s.user == nil:
		return s.refused("no such user")
	case s.hash == nil:
		return s.refused("the user has no password")
	}
	return s.refused("wrong password")
}

// checkCode consumes the code that was given and returns the serial number of the device that it is of, or "" for a user without devices.
func (p *Passwords) checkCode(ctx context.Context, s *subject, code secret.String) (serial string, err error) {
	switch {
	case len(s.devices) == 0:
		return "", nil
	case code.IsZero():
		return "", s.refused("the user has an MFA device, and no code was given")
	}
	i, err := p.cfg.Codes.VerifyAny(ctx, s.devices, code)
	switch {
	case errors.Is(err, mfa.ErrThrottled):
		return "", s.refused("too many wrong MFA codes")
	case errors.Is(err, mfa.ErrInvalidCode):
		return "", s.refused("wrong MFA code")
	case err != nil:
		return "", err
	}
	return s.serials[i], nil
}

// Holds reports whether a sign-in with the password of that Mark is still good: the user has that password still.
func (p *Passwords) Holds(ctx context.Context, account, userID, mark string) (bool, error) {
	holds := false
	err := p.cfg.Directory.View(ctx, func(tx Tx) error {
		profile, err := loginProfile(tx, &User{Account: account, ID: userID})
		holds = err == nil && profile.Mark == mark
		return err
	})
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return holds && err == nil, err
}

// rehash hashes the password anew when hashes have become dearer since it was set. It is not worth failing a sign-in for.
func (p *Passwords) rehash(ctx context.Context, s *subject, given secret.String) {
	if !p.cfg.Hasher.Outdated(s.hash) {
		return
	}
	hash, err := p.cfg.Hasher.Hash(ctx, given)
	if err == nil {
		err = s.profile.seal(p.cfg.Directory.master, hash)
	}
	if err == nil { // nothing cached is made from it
		err = p.cfg.Directory.store.Update(ctx, func(tx Tx) error {
			stored := *s.profile // Update may run this function again
			return putSealed(tx, &stored, p.cfg.Directory.master)
		})
	}
	if err != nil && !errors.Is(err, ErrConflict) {
		p.cfg.Directory.log.WarnContext(ctx, "password not hashed anew", "user", s.user.ID, "error", err)
	}
}

// sourceName is what failures are counted under of an address: of IPv6 the /64, which one subscriber has all of.
func sourceName(address string) string {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return "unknown"
	}
	a = a.Unmap().WithZone("")
	if a.Is4() {
		return a.String()
	}
	network, err := a.Prefix(64)
	if err != nil {
		return "unknown"
	}
	return network.String()
}

// passwordFailure gives errors of hashing and of session state their AWS code.
func passwordFailure(err error) error {
	if errors.Is(err, password.ErrBusy) || errors.Is(err, session.ErrUnavailable) {
		return awserr.Wrap(awserr.ServiceUnavailable, "The request has failed due to a temporary failure of the server.", err)
	}
	if _, refused := errors.AsType[*SignInError](err); refused || err == nil {
		return err
	}
	return awserr.From(err)
}
