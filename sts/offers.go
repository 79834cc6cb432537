package sts

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stint-sts/stint/arn"
	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/awserr"
)

// Offer is a role that somebody who has signed in may take.
type Offer struct {
	Account  string
	ID       string // of the role: AROA…
	Name     string
	ARN      string
	Provider string        // ARN of the provider that offers it; empty for IAM users
	Longest  time.Duration // that a session may last; no longer than the sign-in's own end
}

// Offers is what somebody who has signed in may take.
type Offers struct {
	Roles   []Offer // by account, then by name
	Refused int     // roles that the identity provider names and that do not let the person in
	More    bool    // the account has more roles than are looked at
}

// maxScannedRoles bounds the roles of an account that are asked whether they let somebody in.
const maxScannedRoles = 5000

// Offers finds the roles that let the person in, by the decision that would be made if they were taken now. Identity providers may name
// them; otherwise they are looked for in the account.
func (p *SignIns) Offers(ctx context.Context, r *authn.Request, in *SignIn) (*Offers, error) {
	out := &Offers{}
	if in.User != nil {
		c, err := p.Caller(ctx, r, in)
		if err != nil {
			return nil, err
		}
		err = p.scan(ctx, out, in.User.Account, "", func(a arn.ARN) (*authn.Entity, error) {
			return p.s.trusting(ctx, c, a, &AssumeRoleInput{RoleARN: a.String(), RoleSessionName: sessionNameOf(in.User.Name)}, &grant{})
		})
		return out.sorted(), err
	}
	for _, id := range in.Identities {
		switch err := p.registered(ctx, id); {
		case errors.Is(err, authn.ErrUnknown):
			continue
		case err != nil:
			return nil, err
		}
		lets := func(a arn.ARN) (*authn.Entity, error) {
			if err := id.offers(a); err != nil {
				return nil, err
			}
			return p.s.trustingFederated(ctx, id.caller(r), a, id.action(), &id.instructed, id.keys)
		}
		if !id.Named {
			if err := p.scan(ctx, out, id.Account, id.Provider, lets); err != nil {
				return nil, err
			}
			continue
		}
		for _, role := range id.Roles {
			a, err := parseRoleARN(role)
			if err == nil {
				err = out.consider(a, id.Provider, lets)
			}
			switch {
			case err != nil && awserr.From(err).Kind.Fault == awserr.Receiver:
				return nil, err
			case err != nil:
				out.Refused++
			}
		}
		out.limit(id, r.Time)
	}
	return out.sorted(), nil
}

// scan considers the roles of an account.
func (p *SignIns) scan(ctx context.Context, out *Offers, account, provider string, lets func(arn.ARN) (*authn.Entity, error)) error {
	roles, err := p.s.directory.Roles(ctx, account, maxScannedRoles+1)
	if err != nil {
		return fmt.Errorf("roles of %s: %w", account, err)
	}
	if out.More = len(roles) > maxScannedRoles; out.More {
		roles = roles[:maxScannedRoles]
	}
	for _, a := range roles {
		if err := out.consider(a, provider, lets); err != nil && awserr.From(err).Kind.Fault == awserr.Receiver {
			return err
		}
	}
	return nil
}

// consider adds the role if it lets the person in, or returns why not.
func (o *Offers) consider(a arn.ARN, provider string, lets func(arn.ARN) (*authn.Entity, error)) error {
	role, err := lets(a)
	if err != nil {
		return err
	}
	o.Roles = append(o.Roles, Offer{Account: role.Account, ID: role.ID, Name: role.Name, ARN: role.ARN, Provider: provider, Longest: role.MaxSessionDuration})
	return nil
}

// limit applies what an identity provider allows.
func (o *Offers) limit(id *Identity, now time.Time) {
	for i := range o.Roles {
		if r := &o.Roles[i]; r.Provider == id.Provider {
			if d, err := id.shorten(r.Longest, now); err == nil {
				r.Longest = d
			}
		}
	}
}

func (o *Offers) sorted() *Offers {
	slices.SortFunc(o.Roles, func(a, b Offer) int {
		if d := strings.Compare(a.Account, b.Account); d != 0 {
			return d
		}
		return strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name))
	})
	return o
}

func (id *Identity) action() string {
	if id.Kind == authn.SAML {
		return actionAssumeRoleWithSAML
	}
	return actionAssumeRoleWithWebIdentity
}

// offers refuses a role that the provider does not offer, as the operation with the proof itself would.
func (id *Identity) offers(a arn.ARN) error {
	named := slices.Contains(id.Roles, a.String())
	switch {
	case id.Kind == authn.SAML:
		return offeredBySAML(a, id.Account, named)
	case id.Named && !named:
		return awserr.New(awserr.InvalidIdentityToken, "The target role ARN is not present in the roles claim of the identity token")
	case a.Account != id.Account:
		return awserr.Wrap(awserr.AccessDenied, notAuthorized(actionAssumeRoleWithWebIdentity), errors.New("role and provider are of different accounts"))
	}
	return nil
}
