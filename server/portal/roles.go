package portal

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/stint-sts/stint/sts"
)

// chooser is the page of the ways to sign in.
type chooser struct {
	Methods []choice
	Users   bool
	Notice  string
}

type choice struct {
	Label, Link string
}

// home is what /portal shows: the ways to sign in, or the roles.
func (p *Portal) home(x *exchange) error {
	if x.cookie(signInCookie) != "" {
		if err := x.load(); err != nil {
			return err
		}
	}
	if x.signIn == nil {
		return p.choose(x)
	}
	if done, err := x.required(); done {
		return err
	}
	if to := x.resumed(); to != "" {
		x.redirect(to)
		return nil
	}
	return p.roles(x)
}

func (p *Portal) choose(x *exchange) error {
	query := x.r.URL.Query()
	page := &chooser{Users: p.cfg.Passwords != nil}
	switch {
	case query.Has("signed-out"):
		page.Notice = "You are signed out. Credentials that you fetched stay valid until they expire."
	case query.Has("password-changed"):
		page.Notice = "Your password is changed. Sign in with the new one."
	}
	if page.Notice == "" && x.cookie(resumeCookie) != "" {
		page.Notice = "Sign in to go on with the command line."
	}
	for _, m := range p.cfg.Methods {
		path := samlPath
		if m.Provider.IsIAM("oidc-provider") {
			path = oidcPath
		}
		page.Methods = append(page.Methods, choice{m.Label, path + "?provider=" + url.QueryEscape(m.Provider.String())})
	}
	x.render(http.StatusOK, "choose", "Sign in", page)
	return nil
}

// rolesPage is the page of the roles that let the person in.
type rolesPage struct {
	Accounts  []account
	Count     int
	Filter    bool // there are so many that a filter helps
	Own       bool // an IAM user, who has a session of its own
	Durations []duration
	Refused   int
	More      bool
	Named     bool // the identity provider names the roles
	Value     string
}

type account struct {
	ID, Alias string
	Roles     []role
}

type role struct {
	sts.Offer

	Value string // of the button
}

// many is how many roles call for a filter.
const many = 8

func (p *Portal) roles(x *exchange) error {
	offers, err := p.cfg.SignIns.Offers(x.r.Context(), x.request(), x.signIn.SignIn)
	if err != nil {
		return err
	}
	page := &rolesPage{Count: len(offers.Roles), Filter: len(offers.Roles) > many, Own: x.signIn.User != nil, Refused: offers.Refused, More: offers.More}
	if x.signIn.User == nil {
		page.Named = slices.ContainsFunc(x.signIn.Identities, func(id *sts.Identity) bool { return id.Named })
	}
	longest := time.Duration(0)
	for _, o := range offers.Roles {
		longest = max(longest, o.Longest)
		if n := len(page.Accounts); n == 0 || page.Accounts[n-1].ID != o.Account {
			alias, err := p.cfg.Directory.AccountAlias(x.r.Context(), o.Account)
			if err != nil {
				return err
			}
			page.Accounts = append(page.Accounts, account{ID: o.Account, Alias: alias})
		}
		last := &page.Accounts[len(page.Accounts)-1]
		last.Roles = append(last.Roles, role{o, o.ARN + " " + o.Provider})
	}
	if page.Own {
		longest = max(longest, 12*time.Hour)
		page.Value = ownSession
	}
	page.Durations = durations(longest, time.Hour)
	x.render(http.StatusOK, "roles", "Roles", page)
	return nil
}

// duration is one that people choose from.
type duration struct {
	Seconds  string
	Text     string
	Selected bool
}

// durations are those up to the longest, with one chosen.
func durations(longest, chosen time.Duration) (list []duration) {
	for _, d := range []time.Duration{15 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 4 * time.Hour, 8 * time.Hour, 12 * time.Hour, 24 * time.Hour, 36 * time.Hour} {
		if d <= longest || d == 15*time.Minute {
			list = append(list, duration{strconv.Itoa(int(d.Seconds())), inWords(d), d == chosen})
		}
	}
	return list
}

// inWords prints a duration as people say it.
func inWords(d time.Duration) string {
	hours, minutes := int(d/time.Hour), int(d%time.Hour/time.Minute)
	unit := func(n int, name string) string {
		if n == 1 {
			return "1 " + name
		}
		return strconv.Itoa(n) + " " + name + "s"
	}
	switch {
	case hours == 0:
		return unit(minutes, "minute")
	case minutes == 0:
		return unit(hours, "hour")
	default:
		return unit(hours, "hour") + " " + unit(minutes, "minute")
	}
}
