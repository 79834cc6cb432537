package sts_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/session"
	"github.com/stint-sts/stint/signer"
	"github.com/stint-sts/stint/sts"
)

// Ids of access keys of accounts A and B, as signer makes them.
func keyOf(t *testing.T, account string) string {
	t.Helper()
	id, err := signer.NewAccessKeyID(strings.NewReader(strings.Repeat("x", 32)), signer.PrefixTemporaryKey, account)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestRevokeSessions(t *testing.T) {
	t.Parallel()
	idA, idB := keyOf(t, accountA), keyOf(t, accountB)
	const (
		roleT    = "arn:aws:iam::111111111111:role/T"
		corp     = "arn:aws:iam::111111111111:saml-provider/corp"
		rootA    = "arn:aws:iam::111111111111:root"
		rootB    = "arn:aws:iam::222222222222:root"
		mayAll   = `"Effect":"Allow","Action":"sts:RevokeSessions","Resource":"*"`
		mayT     = `"Effect":"Allow","Action":"sts:RevokeSessions","Resource":"` + roleT + `"`
		mayOne   = `"Effect":"Allow","Action":"sts:RevokeSessions","Resource":"arn:aws:sts::111111111111:session/*"`
		halfPast = "2026-11-28T11:30:00Z"
	)
	user := func(policies ...string) func(*world) *authn.Caller {
		return func(w *world) *authn.Caller { return w.user(accountA, "alice", policies...) }
	}
	holder := func(w *world) *authn.Caller {
		return w.session(w.roles[roleT], "s1", func(c *signer.Claims) { c.AccessKeyID = idA })
	}
	for name, test := range map[string]struct {
		caller func(*world) *authn.Caller
		in     sts.RevokeSessionsInput
		want   session.Revocation // its fields that say which
		err    *awserr.Kind
	}{
		"one's own session, without permission":       {caller: holder, want: session.Revocation{Credential: idA}},
		"one's own session, by its id":                {caller: holder, in: sts.RevokeSessionsInput{AccessKeyID: idA}, want: session.Revocation{Credential: idA}},
		"a key has no session of its own":             {caller: user(mayAll), err: awserr.ValidationError},
		"a session, with permission":                  {caller: user(mayOne), in: sts.RevokeSessionsInput{AccessKeyID: idA}, want: session.Revocation{Credential: idA}},
		"a session, without permission":               {caller: user(), in: sts.RevokeSessionsInput{AccessKeyID: idA}, err: awserr.AccessDenied},
		"a session, with permission for a role":       {caller: user(mayT), in: sts.RevokeSessionsInput{AccessKeyID: idA}, err: awserr.AccessDenied},
		"a session of another account":                {caller: user(mayAll), in: sts.RevokeSessionsInput{AccessKeyID: idB}, err: awserr.AccessDenied},
		"an id that holds no account":                 {caller: user(mayAll), in: sts.RevokeSessionsInput{AccessKeyID: "ASIA0000000000000000"}, err: awserr.ValidationError},
		"a role":                                      {caller: user(mayT), in: sts.RevokeSessionsInput{PrincipalARN: roleT}, want: session.Revocation{EntityID: "AROAT"}},
		"a role, without permission":                  {caller: user(mayOne), in: sts.RevokeSessionsInput{PrincipalARN: roleT}, err: awserr.AccessDenied},
		"a role, before a moment":                     {caller: user(mayT), in: sts.RevokeSessionsInput{PrincipalARN: roleT, IssuedBefore: halfPast}, want: session.Revocation{EntityID: "AROAT", Before: now.Add(-30 * time.Minute)}},
		"a session name":                              {caller: user(mayT), in: sts.RevokeSessionsInput{PrincipalARN: roleT, SessionName: "s1"}, want: session.Revocation{EntityID: "AROAT", Name: "s1"}},
		"a role that is not there":                    {caller: user(mayAll), in: sts.RevokeSessionsInput{PrincipalARN: roleT + "2"}, err: awserr.ValidationError},
		"whether a role is there, without permission": {caller: user(), in: sts.RevokeSessionsInput{PrincipalARN: roleT + "2"}, err: awserr.AccessDenied},
		"a user":                    {caller: user(mayAll), in: sts.RevokeSessionsInput{PrincipalARN: aliceARN}, want: session.Revocation{EntityID: "AIDAALICE"}},
		"a user and a session name": {caller: user(mayAll), in: sts.RevokeSessionsInput{PrincipalARN: aliceARN, SessionName: "s1"}, err: awserr.ValidationError},
		"the account":               {caller: user(mayAll), in: sts.RevokeSessionsInput{PrincipalARN: rootA}, want: session.Revocation{All: true}},
		"the account, with permission for a role": {caller: user(mayT), in: sts.RevokeSessionsInput{PrincipalARN: rootA}, err: awserr.AccessDenied},
		"another account":                         {caller: user(mayAll), in: sts.RevokeSessionsInput{PrincipalARN: rootB}, err: awserr.AccessDenied},
		"a provider that may be gone":             {caller: user(mayAll), in: sts.RevokeSessionsInput{ProviderARN: corp}, want: session.Revocation{Issuer: corp}},
		"a subject":                               {caller: user(mayAll), in: sts.RevokeSessionsInput{ProviderARN: corp, Subject: "bob"}, want: session.Revocation{Issuer: corp, Subject: "bob"}},
		"a provider that is none":                 {caller: user(mayAll), in: sts.RevokeSessionsInput{ProviderARN: roleT}, err: awserr.ValidationError},
		"a principal that is none":                {caller: user(mayAll), in: sts.RevokeSessionsInput{PrincipalARN: corp}, err: awserr.ValidationError},
		"two ways at once":                        {caller: user(mayAll), in: sts.RevokeSessionsInput{PrincipalARN: roleT, ProviderARN: corp}, err: awserr.ValidationError},
		"a moment for a session":                  {caller: holder, in: sts.RevokeSessionsInput{IssuedBefore: halfPast}, err: awserr.ValidationError},
		"a moment that is none":                   {caller: user(mayT), in: sts.RevokeSessionsInput{PrincipalARN: roleT, IssuedBefore: "half past eleven o'clock"}, err: awserr.ValidationError},
		"a moment far ahead":                      {caller: user(mayT), in: sts.RevokeSessionsInput{PrincipalARN: roleT, IssuedBefore: "2026-11-28T12:05:01Z"}, err: awserr.ValidationError},
		"a subject alone":                         {caller: user(mayAll), in: sts.RevokeSessionsInput{Subject: "bob"}, err: awserr.ValidationError},
		"a session name alone":                    {caller: user(mayAll), in: sts.RevokeSessionsInput{SessionName: "s1"}, err: awserr.ValidationError},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.role(accountA, "/", "T", trust(aliceARN, `"sts:AssumeRole"`))
			out, err := w.service().RevokeSessions(context.Background(), test.caller(w), &test.in)
			if test.err != nil {
				wantError(t, err, test.err, "")
				if len(w.revoked) != 0 {
					t.Errorf("refused, and revoked %+v", w.revoked[0])
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got := *w.revoked[0]
			if test.want.Before.IsZero() {
				test.want.Before = now
			}
			if out.RevocationID != got.ID || !out.IssuedBefore.Equal(test.want.Before) || out.Nodes != nil {
				t.Errorf("answer is %+v", out)
			}
			test.want.ID, test.want.Account, test.want.Made, test.want.By, test.want.Root = got.ID, accountA, now, got.By, got.Root
			if got != test.want {
				t.Errorf("revocation is %+v\nwant          %+v", got, test.want)
			}
		})
	}
}

func TestRevokeSessions_Wait(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	role := w.role(accountA, "/", "T", trust(aliceARN, `"sts:AssumeRole"`))
	c := w.session(role, "s1", func(c *signer.Claims) { c.AccessKeyID = keyOf(t, accountA) })
	out, err := w.service().RevokeSessions(context.Background(), c, &sts.RevokeSessionsInput{Wait: true})
	if err != nil || out.Nodes == nil || *out.Nodes != 3 {
		t.Fatalf("answer is %+v, %v", out, err)
	}
}

// A chain says in each token who led to it, and the revocation of any of them knows the root.
func TestAssumeRole_ChainNamesItsAncestors(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	trusting := w.role(accountA, "/", "T", trust("*", `"sts:AssumeRole"`))
	s := w.service()
	in := &sts.AssumeRoleInput{RoleARN: trusting.ARN, RoleSessionName: "s2"}
	caller := w.user(accountA, "alice")
	caller.AccessKeyID = "AKIAALICE"
	var ids []string
	for range signer.MaxAncestors + 4 {
		if _, err := s.AssumeRole(context.Background(), caller, in); err != nil {
			t.Fatal(err)
		}
		claims := w.claims
		claims.AccessKeyID = w.records[len(w.records)-1].AccessKeyID
		ids = append(ids, claims.AccessKeyID)
		caller = w.session(trusting, "s2", func(c *signer.Claims) { *c = claims })
	}
	last := caller.Session
	if last.Parent != ids[len(ids)-2] || len(last.Ancestors) != signer.MaxAncestors || !last.AncestorsCut ||
		last.Ancestors[0] != "AKIAALICE" || last.Ancestors[signer.MaxAncestors-1] != ids[len(ids)-3] {
		t.Errorf("parent %s, ancestors %v, cut %v", last.Parent, last.Ancestors, last.AncestorsCut)
	}
}
