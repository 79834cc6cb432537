package portal

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/federation/saml"
	"github.com/stint-sts/stint/secret"
	"github.com/stint-sts/stint/server/dispatch"
	"github.com/stint-sts/stint/session"
	"github.com/stint-sts/stint/sts"
)

// startSAML sends the browser to a SAML provider with a signed request.
func (p *Portal) startSAML(x *exchange) error {
	m, err := x.method("saml-provider")
	if err != nil {
		return err
	}
	provider, err := p.cfg.Directory.SAMLProvider(x.r.Context(), m.Provider)
	if errors.Is(err, authn.ErrUnknown) {
		return errNoMethod()
	}
	if err != nil {
		return err
	}
	sp, err := p.cfg.ServiceProvider(x.r.Context())
	if err != nil {
		return err
	}
	message, err := sp.AuthnRequest(&saml.AuthnRequest{Provider: provider.Metadata, Now: x.Start})
	if errors.Is(err, saml.ErrNoSSO) {
		return &Problem{http.StatusNotFound, "Start at your identity provider", "This provider does not tell where people sign in. Open " + m.Label +
			" and choose this service there.", err}
	}
	if err != nil {
		return err
	}
	if err := x.remember(&pending{ID: message.ID, Provider: provider.ARN}); err != nil {
		return err
	}
	if message.Binding == saml.HTTPRedirect {
		x.redirect(message.URL)
		return nil
	}
	to, err := url.Parse(message.URL)
	if err != nil {
		return fmt.Errorf("location of %s: %w", provider.ARN, err)
	}
	// The provider may send the browser on, and browsers ask form-action about that too: to another host as often as not.
	secureHeaders(x.w.Header(), to.Scheme+":")
	x.render(http.StatusOK, "post", "Continue to "+m.Label, struct {
		Label string
		*saml.Message
	}{m.Label, message})
	return nil
}

// arrival is a response that has been verified, until the browser's cookies tell whether it was asked for. A form that another site posts
// brings none: the answer to it sends the browser to a page of ours, and that request does.
type arrival struct {
	SignIn *sts.SignIn
	Until  time.Time
}

// arrivalLife is how long somebody may read the question who they are.
const arrivalLife = 10 * time.Minute

// receive takes the response of a SAML provider that the browser posts. It is used up here, whatever becomes of it.
func (p *Portal) receive(x *exchange) error {
	out, err := run[sts.SignInWithSAMLInput, sts.SignInOutput](x, p.cfg.Operations.SignInWithSAML,
		&sts.SignInWithSAMLInput{SAMLResponse: secret.New(x.r.PostForm.Get("SAMLResponse"))})
	if err != nil {
		return err
	}
	a := &arrival{SignIn: out.SignIn, Until: x.Start.Add(arrivalLife)}
	id := newSecret()
	b, err := p.sealed(arrivalValue+id, a)
	if err != nil {
		return err
	}
	if err := p.cfg.Values.SetValue(x.r.Context(), arrivalValue+id, b, a.Until); err != nil {
		return err
	}
	x.setCookie(arrivalCookie, id, arrivalLife)
	x.redirect(arrivedPath)
	return nil
}

// arrived signs in when this browser asked for the response. An unasked one may be somebody else's, posted by another site so that the
// person works as somebody else without knowing: it waits for a confirmation.
func (p *Portal) arrived(x *exchange) error {
	id, a, err := x.arrival()
	if a == nil {
		return err
	}
	if a.SignIn.InResponseTo != "" {
		if x.answered(a.SignIn.InResponseTo) == nil {
			return x.refuse(id, a, &Problem{http.StatusForbidden, "This sign-in was not started here",
				"It answers a question that this browser did not ask, or too long ago. Sign in again.",
				errors.New("InResponseTo matches no request of this browser")})
		}
		return x.finishArrival(id)
	}
	if !p.cfg.Unsolicited {
		return x.refuse(id, a, &Problem{http.StatusForbidden, "Sign in from here",
			"This service does not take sign-ins that begin at the identity provider. Choose how to sign in.", errors.New("portal.idp-initiated is false")})
	}
	if err := x.load(); err != nil {
		return err
	}
	page := &confirmPage{Subject: a.SignIn.Subject(), Provider: a.SignIn.Identities[0].Provider, Token: formToken(id)}
	for _, m := range p.cfg.Methods {
		if m.Provider.String() == page.Provider {
			page.Label = m.Label
		}
	}
	if x.signIn != nil {
		page.Now = x.signIn.Subject()
	}
	x.render(http.StatusOK, "confirm", "Continue as "+page.Subject, page)
	return nil
}

// confirmPage asks people whether they are who they are about to be.
type confirmPage struct {
	Subject         string
	Provider, Label string // who says so: an ARN, and what the operator calls it, if anything
	Now             string // who has signed in already; empty: nobody
	Token           string
}

// confirmed signs in after the person has said who they are.
func (p *Portal) confirmed(x *exchange) error {
	id, a, err := x.arrival()
	if a == nil {
		return err
	}
	if err := x.checkToken(id); err != nil {
		return err
	}
	if a.SignIn.InResponseTo != "" || !p.cfg.Unsolicited {
		return errors.New("a confirmation that nobody was asked for")
	}
	return x.finishArrival(id)
}

// arrival finds the verified response that waits for this browser. Without one the answer has been given, or is the error.
func (x *exchange) arrival() (string, *arrival, error) {
	id := x.cookie(arrivalCookie)
	if len(id) != secretLength {
		x.redirect(home)
		return "", nil, nil
	}
	b, err := x.p.cfg.Values.Value(x.r.Context(), arrivalValue+id)
	if errors.Is(err, session.ErrNotFound) {
		x.dropCookie(arrivalCookie)
		x.redirect(home)
		return "", nil, nil
	}
	if err != nil {
		return "", nil, err
	}
	a, err := x.p.openArrival(id, b)
	return id, a, err
}

func (p *Portal) openArrival(id string, b []byte) (*arrival, error) {
	a := &arrival{}
	if err := p.opened(arrivalValue+id, b, a); err != nil {
		return nil, err
	}
	return a, nil
}

// take removes the response that waits, so that it signs in once.
func (x *exchange) take(id string) (*arrival, error) {
	x.dropCookie(arrivalCookie)
	b, err := x.p.cfg.Values.TakeValue(x.r.Context(), arrivalValue+id)
	if errors.Is(err, session.ErrNotFound) {
		return nil, &Problem{http.StatusForbidden, "This sign-in has been used", "Sign in again.", nil}
	}
	if err != nil {
		return nil, err
	}
	return x.p.openArrival(id, b)
}

// refuse removes the response that waits, and notes in the audit that it did not sign in after all.
func (x *exchange) refuse(id string, a *arrival, problem *Problem) error {
	if _, err := x.take(id); err != nil {
		return err
	}
	e := dispatch.RefusedSignIn(x.request(), a.SignIn.Identities[0], problem.cause.Error())
	if err := x.p.cfg.Recorder.Record(context.WithoutCancel(x.r.Context()), e); err != nil {
		return fmt.Errorf("audit: %w", errors.Join(err, problem.cause))
	}
	return problem
}

func (x *exchange) finishArrival(id string) error {
	a, err := x.take(id)
	if err != nil {
		return err
	}
	return x.establish(a.SignIn, false)
}
