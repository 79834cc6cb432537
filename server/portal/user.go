package portal

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/iam"
	"github.com/stint-sts/stint/secret"
	"github.com/stint-sts/stint/server/dispatch"
	"github.com/stint-sts/stint/sts"
)

// userPage is the form for IAM users.
type userPage struct {
	Account, User string // as typed before
	Error         string
	Token         string
	Others        bool // there are other ways to sign in
}

func (p *Portal) userForm(x *exchange) error {
	if p.cfg.Passwords == nil {
		return errNoMethod()
	}
	x.render(http.StatusOK, "user", "Sign in", &userPage{
		Account: x.r.URL.Query().Get("account"), Token: formToken(x.visit()), Others: len(p.cfg.Methods) > 0,
	})
	return nil
}

// signInUser signs an IAM user in. Whatever was wrong, the page says the same.
func (p *Portal) signInUser(x *exchange) error {
	if p.cfg.Passwords == nil {
		return errNoMethod()
	}
	if err := x.checkToken(x.cookie(visitCookie)); err != nil {
		return err
	}
	form := x.r.PostForm
	request := x.request()
	in := &iam.SignIn{
		Account: strings.TrimSpace(form.Get("account")), User: strings.TrimSpace(form.Get("user")),
		Password: secret.New(form.Get("password")), Code: secret.New(strings.ReplaceAll(form.Get("code"), " ", "")), Source: request.SourceIP,
	}
	out, err := p.cfg.Passwords.SignIn(x.r.Context(), in)
	if recorded := p.cfg.Recorder.Record(context.WithoutCancel(x.r.Context()), dispatch.ConsoleLogin(request, out, err)); recorded != nil {
		return fmt.Errorf("audit: %w", errors.Join(recorded, err)) // who is not accounted for is not let in
	}
	x.Service, x.Operation = "signin", "ConsoleLogin"
	page := &userPage{Account: in.Account, User: in.User, Token: formToken(x.cookie(visitCookie)), Others: len(p.cfg.Methods) > 0}
	switch {
	case errors.Is(err, iam.ErrPasswordExpired):
		page.Error = "Your password has expired. Ask an administrator to set another."
	case errors.Is(err, iam.ErrSignIn):
		page.Error = "That did not work. Check account, user name, password and code. After several failures, wait a little before you try again."
	case err != nil:
		x.outcome.Err = awserr.From(err)
		return err
	}
	if page.Error != "" {
		x.outcome.Err = awserr.Wrap(awserr.AccessDenied, "The sign-in was refused", err)
		x.render(http.StatusForbidden, "user", "Sign in", page)
		return nil
	}
	return x.establish(&sts.SignIn{Time: out.Time, User: &sts.SignedInUser{
		Account: out.User.Account, ID: out.User.ID, Name: out.User.Name, MFA: out.MFASerial != "", Mark: out.Mark,
	}}, out.MustChange())
}

// passwordPage is the form in which IAM users change their password.
type passwordPage struct {
	MustChange bool
	Error      string
}

func (p *Portal) passwordForm(x *exchange) error {
	if done, err := x.required(); done {
		return err
	}
	if x.signIn.User == nil {
		x.redirect(home)
		return nil
	}
	x.render(http.StatusOK, "password", "Change password", &passwordPage{MustChange: x.signIn.MustChange})
	return nil
}

// changePassword changes the password. All sign-ins of the user end with the old one, this one too.
func (p *Portal) changePassword(x *exchange) error {
	if done, err := x.required(); done || err != nil {
		return err
	}
	form := x.r.PostForm
	page := &passwordPage{MustChange: x.signIn.MustChange}
	if form.Get("new") != form.Get("again") {
		page.Error = "The two new passwords differ."
		x.render(http.StatusBadRequest, "password", "Change password", page)
		return nil
	}
	in := &dispatch.ChangePasswordInput{SignIn: x.signIn.SignIn}
	in.OldPassword, in.NewPassword = secret.New(form.Get("old")), secret.New(form.Get("new"))
	_, err := run[dispatch.ChangePasswordInput, struct{}](x, p.cfg.Operations.ChangePassword, in)
	if err == nil {
		if err := x.forget(); err != nil {
			return err
		}
		x.redirect(home + "?password-changed")
		return nil
	}
	switch e := awserr.From(err); {
	case e.Kind == awserr.PasswordPolicyViolation:
		page.Error = e.Message // it says which rule of the account the password breaks
	case e.Kind == awserr.ValidationError:
		page.Error = "Fill in all fields."
	case e.Kind == awserr.AccessDenied || e.Kind == awserr.InvalidAuthenticationCode:
		page.Error = "That did not work. Check the current password. You may also not be allowed to change it yourself."
	default:
		return err
	}
	x.render(http.StatusForbidden, "password", "Change password", page)
	return nil
}
