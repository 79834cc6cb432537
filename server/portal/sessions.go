package portal

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/session"
	"github.com/stint-sts/stint/sts"
)

// sessionsPage is the page of the person's own sessions.
type sessionsPage struct {
	Sessions   []listed
	Logins     []listedLogin
	Partly     bool // there may be more
	Ended      bool
	LoginEnded bool
}

type listed struct {
	*session.Record

	Name, Alias string
	Left        string
}

// maxListed bounds the records that are looked at for one role.
const maxListed = 2000

func (p *Portal) sessions(x *exchange) error {
	if done, err := x.required(); done {
		return err
	}
	records, partly, err := p.own(x)
	if err != nil {
		return err
	}
	page := &sessionsPage{Partly: partly, Ended: x.r.URL.Query().Has("ended")}
	page.LoginEnded = x.r.URL.Query().Has("login-ended")
	if page.Logins, err = x.logins(x.signIn.id); err != nil {
		return err
	}
	aliases := make(map[string]string)
	for _, r := range records {
		alias, known := aliases[r.Account]
		if !known {
			if alias, err = p.cfg.Directory.AccountAlias(x.r.Context(), r.Account); err != nil {
				return err
			}
			aliases[r.Account] = alias
		}
		page.Sessions = append(page.Sessions, listed{r, nameIn(r.EntityARN), alias, inWords(max(r.ExpiresAt.Sub(x.Start), time.Minute))})
	}
	x.render(http.StatusOK, "sessions", "My sessions", page)
	return nil
}

// own lists the live sessions of the person, latest first: of the roles that let them in, and of the user itself.
func (p *Portal) own(x *exchange) (records []*session.Record, partly bool, err error) {
	offers, err := p.cfg.SignIns.Offers(x.r.Context(), x.request(), x.signIn.SignIn)
	if err != nil {
		return nil, false, err
	}
	var queries []session.Query
	if u := x.signIn.User; u != nil {
		queries = append(queries, session.Query{Account: u.Account, EntityID: u.ID})
	}
	for _, o := range offers.Roles {
		queries = append(queries, session.Query{Account: o.Account, EntityID: o.ID})
	}
	slices.SortFunc(queries, func(a, b session.Query) int { return strings.Compare(a.Account+a.EntityID, b.Account+b.EntityID) })
	for _, q := range slices.Compact(queries) {
		found, more, err := p.list(x.r.Context(), q, x.signIn.SignIn)
		if err != nil {
			return nil, false, err
		}
		records, partly = append(records, found...), partly || more
	}
	slices.SortFunc(records, func(a, b *session.Record) int { return b.IssuedAt.Compare(a.IssuedAt) })
	return records, partly || offers.More, nil
}

// list returns the sessions of the person among those of a role or user.
func (p *Portal) list(ctx context.Context, q session.Query, s *sts.SignIn) (found []*session.Record, more bool, err error) {
	q.Limit = session.MaxLimit
	for seen := 0; seen < maxListed; seen += q.Limit {
		page, err := p.cfg.Sessions.List(ctx, q)
		if err != nil {
			return nil, false, err
		}
		for _, r := range page.Records {
			if s.Owns(r) && !p.cfg.Revoked(holder(r)) {
				found = append(found, r)
			}
		}
		if q.After = page.Next; q.After == "" {
			return found, false, nil
		}
	}
	return found, true, nil
}

// holder is a session as revocations see it. Its ancestors are not in its record: a session that ends because of one is shown until it
// expires.
func holder(r *session.Record) *session.Holder {
	return &session.Holder{
		Account: r.Account, AccessKeyID: r.AccessKeyID, EntityID: r.EntityID, Name: r.SessionName, Issuer: r.Issuer,
		Subject: func() string { return r.Subject }, IssuedAt: r.IssuedAt, Parent: r.Parent,
	}
}

func (p *Portal) endSession(x *exchange) error {
	if done, err := x.required(); done || err != nil {
		return err
	}
	_, err := run[sts.EndSessionInput, sts.RevokeSessionsOutput](x, p.cfg.Operations.RevokeSessions, &sts.EndSessionInput{
		AccessKeyID: x.r.PostForm.Get("session"), SignIn: x.signIn.SignIn,
	})
	switch {
	case err != nil && awserr.From(err).Kind == awserr.NoSuchEntity:
		return &Problem{http.StatusNotFound, "There is no such session", "It may have ended by itself.", nil}
	case err != nil:
		return err
	}
	x.redirect(sessionsPath + "?ended")
	return nil
}
