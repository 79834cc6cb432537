package portal

import (
	"net/http"
	"time"
)

// loginsValue is the prefix of the list of a sign-in's logins. The list is for people to look at: a login holds because it is there itself,
// and ends with its sign-in, listed or not.
const loginsValue = "portal/logins/"

// maxLogins bounds the logins of one sign-in. A further one ends the oldest.
const maxLogins = 20

// listedLogin is a command line that a person has let in.
type listedLogin struct {
	Token string
	Host  string
	Since time.Time
}

// ID names the login in a form without giving it away.
func (l *listedLogin) ID() string { return hashed(l.Token)[:32] }

// logins are those of the sign-in that hold, oldest first.
func (x *exchange) logins(signIn string) (holding []listedLogin, err error) {
	var all []listedLogin
	if _, err := x.fetch(x.p.cfg.Values.Value, loginsValue, signIn, &all); err != nil {
		return nil, err
	}
	for _, l := range all {
		found, err := x.fetch(x.p.cfg.Values.Value, loginValue, l.Token, &login{})
		if err != nil {
			return nil, err
		}
		if found {
			holding = append(holding, l)
		}
	}
	return holding, nil
}

// list adds a login to those of its sign-in.
func (x *exchange) list(signIn string, l listedLogin, until time.Time) error {
	all, err := x.logins(signIn)
	if err != nil {
		return err
	}
	for ; len(all) >= maxLogins; all = all[1:] {
		if err := x.p.cfg.Values.DeleteValue(x.r.Context(), loginValue+all[0].Token); err != nil {
			return err
		}
	}
	return x.keep(loginsValue, signIn, append(all, l), until)
}

// endLogin ends a login that the person sees among the sessions.
func (p *Portal) endLogin(x *exchange) error {
	if done, err := x.required(); done || err != nil {
		return err
	}
	all, err := x.logins(x.signIn.id)
	if err != nil {
		return err
	}
	for _, l := range all {
		if l.ID() == x.r.PostForm.Get("login") {
			if err := p.cfg.Values.DeleteValue(x.r.Context(), loginValue+l.Token); err != nil {
				return err
			}
			x.redirect(sessionsPath + "?login-ended")
			return nil
		}
	}
	return &Problem{http.StatusNotFound, "There is no such command line", "It may have ended by itself.", nil}
}
