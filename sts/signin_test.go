package sts_test

import (
	"context"
	"encoding/json"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/stint-sts/stint/arn"
	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/federation/saml"
	"github.com/stint-sts/stint/federation/samltest"
	"github.com/stint-sts/stint/secret"
	"github.com/stint-sts/stint/session"
	"github.com/stint-sts/stint/signer"
	"github.com/stint-sts/stint/sts"
)

// once is a guard.
type once map[string]bool

func (o once) Consume(_ context.Context, name string, _, _ time.Time) error {
	if o[name] {
		return session.ErrConsumed
	}
	o[name] = true
	return nil
}

func anonymous() *authn.Caller {
	return &authn.Caller{Kind: authn.Anonymous, Request: &authn.Request{Service: "sts", Time: now, SourceIP: "192.0.2.1"}}
}

// kept is the sign-in as it comes back from where it was kept.
func kept(t *testing.T, s *sts.SignIn) *sts.SignIn {
	t.Helper()
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	back := &sts.SignIn{}
	if err := json.Unmarshal(text, back); err != nil {
		t.Fatal(err)
	}
	return back
}

// companies is a samlWorld whose identity provider account B has registered as well.
type companies struct {
	*samlWorld
	second *saml.Provider
}

func (w companies) SAMLProvider(ctx context.Context, a arn.ARN) (*saml.Provider, error) {
	if a.String() == w.second.ARN {
		return w.second, nil
	}
	return w.samlWorld.SAMLProvider(ctx, a)
}

const (
	secondARN  = "arn:aws:iam::222222222222:saml-provider/corp"
	secondRole = "arn:aws:iam::222222222222:role/Audit"
)

func newCompanies(t *testing.T) (companies, *sts.SignIns) {
	w := companies{samlWorld: newSAMLWorld(t)}
	w.second = &saml.Provider{ARN: secondARN, Account: accountB, Name: "corp", Metadata: w.provider.Metadata}
	w.role(accountB, "/", "Audit", strings.ReplaceAll(trustsCorp, samlARN, secondARN))
	return w, sts.New(sts.Config{Directory: w, Minter: w, Sessions: w, SAML: w, Guard: once{}}).SignIns()
}

// signIn signs in with a response that offers a role in each account, one that is missing, and one of A by the provider of B.
func (w companies) signIn(s *sts.SignIns, change func(*samltest.Response)) (*sts.SignIn, error) {
	response := w.response(func(r *samltest.Response) {
		set("Role", samlRole+","+samlARN, otherRole+","+samlARN, secondRole+","+secondARN, samlRole+","+secondARN)(r)
		if change != nil {
			change(r)
		}
	})
	out, err := s.WithSAML(w.t.Context(), anonymous(), &sts.SignInWithSAMLInput{SAMLResponse: secret.New(response)})
	if err != nil {
		return nil, err
	}
	return out.SignIn, nil
}

func TestSignIns_OneResponseForSeveralAccounts(t *testing.T) {
	t.Parallel()
	w, s := newCompanies(t)
	in, err := w.signIn(s, nil)
	if err != nil {
		t.Fatal(err)
	}
	in = kept(t, in)
	offers, err := s.Offers(t.Context(), anonymous().Request, in)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, o := range offers.Roles {
		got = append(got, o.ARN+" "+o.Provider)
	}
	if diff := cmp.Diff([]string{samlRole + " " + samlARN, secondRole + " " + secondARN}, got); diff != "" || offers.Refused != 2 {
		t.Errorf("offered (-want +got), %d refused:\n%s", offers.Refused, diff)
	}
	for _, row := range []struct {
		name, role, provider string
		offered              bool
	}{
		{"role of the first account", samlRole, samlARN, true},
		{"role of the second account", secondRole, secondARN, true},
		{"role of one account by the provider of the other", samlRole, secondARN, false},
		{"role of the other account", secondRole, samlARN, false},
		{"role that does not exist", otherRole, samlARN, false},
		{"role that is not named", "arn:aws:iam::111111111111:role/Unnamed", samlARN, false},
		{"provider that did not vouch", samlRole, "arn:aws:iam::111111111111:saml-provider/other", false},
	} {
		c := anonymous()
		_, err := s.AssumeRole(t.Context(), c, &sts.SignedInRoleInput{RoleARN: row.role, PrincipalARN: row.provider, SignIn: in})
		if !row.offered {
			if awserr.From(err).Kind != awserr.AccessDenied {
				t.Errorf("%s: %v, want AccessDenied", row.name, err)
			}
			continue
		}
		if err != nil || c.Kind != authn.SAML || c.ARN != row.provider {
			t.Errorf("%s: %v, caller %+v", row.name, err, c)
		}
	}
}

func TestSignIns_AResponseSignsInOnce(t *testing.T) {
	t.Parallel()
	w, s := newCompanies(t)
	response := secret.New(w.response(nil))
	for i, want := range []*awserr.Kind{nil, awserr.InvalidIdentityToken} {
		_, err := s.WithSAML(t.Context(), anonymous(), &sts.SignInWithSAMLInput{SAMLResponse: response})
		if want == nil && err != nil || want != nil && awserr.From(err).Kind != want {
			t.Errorf("time %d: %v", i+1, err)
		}
	}
}

func TestSignIns_SessionsEndWithTheProvidersOwn(t *testing.T) {
	t.Parallel()
	w, s := newCompanies(t)
	in, err := w.signIn(s, func(r *samltest.Response) { r.SessionUntil = now.Add(20 * time.Minute) })
	if err != nil {
		t.Fatal(err)
	}
	in = kept(t, in)
	if !in.End().Equal(now.Add(20 * time.Minute)) {
		t.Errorf("the sign-in ends at %s", in.End())
	}
	assume := func(at time.Time) (*sts.SignedInOutput, error) {
		c := anonymous()
		c.Request.Time = at
		return s.AssumeRole(t.Context(), c, &sts.SignedInRoleInput{RoleARN: samlRole, PrincipalARN: samlARN, SignIn: in})
	}
	if out, err := assume(now.Add(15 * time.Minute)); err != nil || !out.Credentials.Expiration.Equal(now.Add(20*time.Minute)) {
		t.Errorf("before the end: %+v, %v", out, err)
	}
	if _, err := assume(now.Add(20 * time.Minute)); awserr.From(err).Kind != awserr.ExpiredTokenException {
		t.Errorf("at the end: %v, want ExpiredTokenException", err)
	}
}

// A sign-in gives the session that the operation with the proof itself gives.
func TestSignIns_SameSessionAsTheOperation(t *testing.T) {
	t.Parallel()
	same := func(t *testing.T, direct, later signer.Claims) {
		t.Helper()
		direct.AccessKeyID, later.AccessKeyID = "", ""
		if diff := cmp.Diff(direct, later, cmpopts.IgnoreUnexported(signer.Claims{}), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("the session (-with the proof +with the sign-in):\n%s", diff)
		}
	}
	t.Run("SAML", func(t *testing.T) {
		t.Parallel()
		w, s := newCompanies(t)
		rich := func(r *samltest.Response) {
			set("PrincipalTag:Team", "blue")(r)
			set("PrincipalTag:Site", "north")(r)
			set("TransitiveTagKeys", "Team")(r)
			set("SourceIdentity", "alice")(r)
			set("SessionDuration", "1800")(r)
		}
		if _, _, err := w.assume(w.response(rich), nil); err != nil {
			t.Fatal(err)
		}
		direct := w.claims
		in, err := w.signIn(s, rich)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.AssumeRole(t.Context(), anonymous(), &sts.SignedInRoleInput{RoleARN: samlRole, PrincipalARN: samlARN, SignIn: kept(t, in)}); err != nil {
			t.Fatal(err)
		}
		same(t, direct, w.claims)
	})
	t.Run("OpenID Connect", func(t *testing.T) {
		t.Parallel()
		f := newFederation(t)
		f.role(accountA, "/", "T", `"Effect":"Allow","Principal":{"Federated":"`+providerARN+`"},"Action":[`+allWeb+`],
			"Condition":{"StringEquals":{"idp.example.com/realm:sub":"alice"},"ForAllValues:StringEquals":{"idp.example.com/realm:groups":["a","b"]}}`)
		f.claims["nonce"], f.claims["preferred_username"], f.claims["groups"] = "n", "job", []string{"a"}
		f.claims[tagClaim], f.claims[srcClaim] = map[string]any{"principal_tags": map[string]any{"Team": []string{"blue"}}}, "alice"
		if _, _, err := f.assume(f.token(nil), nil); err != nil {
			t.Fatal(err)
		}
		direct := f.world.claims
		s := sts.New(sts.Config{Directory: f.world, Minter: f.world, Sessions: f.world, WebIdentities: identities{f}, Guard: once{}}).SignIns()
		out, err := s.WithWebIdentity(t.Context(), anonymous(), &sts.SignInWithWebIdentityInput{
			ProviderARN: providerARN, IDToken: secret.New(f.token(nil)), ClientID: clientID, Nonce: "n",
		})
		if err != nil {
			t.Fatal(err)
		}
		in := kept(t, out.SignIn)
		offers, err := s.Offers(t.Context(), anonymous().Request, in)
		if err != nil || len(offers.Roles) != 1 || offers.Roles[0].ARN != roleTARN {
			t.Fatalf("offers %+v, %v", offers, err)
		}
		if _, err := s.AssumeRole(t.Context(), anonymous(), &sts.SignedInRoleInput{RoleARN: roleTARN, PrincipalARN: providerARN, SignIn: in}); err != nil {
			t.Fatal(err)
		}
		same(t, direct, f.world.claims)
	})
}

func TestSignIns_TokensThatAnswerNothing(t *testing.T) {
	t.Parallel()
	f := newFederation(t)
	s := sts.New(sts.Config{Directory: f.world, Minter: f.world, Sessions: f.world, WebIdentities: identities{f}, Guard: once{}}).SignIns()
	good := sts.SignInWithWebIdentityInput{
		ProviderARN: providerARN, IDToken: secret.New(f.token(map[string]any{"nonce": "n"})), ClientID: clientID, Nonce: "n",
	}
	if _, err := s.WithWebIdentity(t.Context(), anonymous(), &good); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*sts.SignInWithWebIdentityInput){
		"another nonce":    func(in *sts.SignInWithWebIdentityInput) { in.Nonce = "m" },
		"no nonce asked":   func(in *sts.SignInWithWebIdentityInput) { in.Nonce = ""; in.IDToken = secret.New(f.token(nil)) },
		"no nonce":         func(in *sts.SignInWithWebIdentityInput) { in.IDToken = secret.New(f.token(nil)) },
		"another client":   func(in *sts.SignInWithWebIdentityInput) { in.ClientID = "another" },
		"another provider": func(in *sts.SignInWithWebIdentityInput) { in.ProviderARN = otherARN },
	} {
		in := good
		change(&in)
		if _, err := s.WithWebIdentity(t.Context(), anonymous(), &in); awserr.From(err).Kind != awserr.InvalidIdentityToken {
			t.Errorf("%s: %v, want InvalidIdentityToken", name, err)
		}
	}
}

func TestSignIn_Owns(t *testing.T) {
	t.Parallel()
	user := &sts.SignIn{User: &sts.SignedInUser{Account: accountA, ID: "AIDAALICE"}}
	person := &sts.SignIn{Identities: []*sts.Identity{{Provider: samlARN, Account: accountA, Subject: "alice"}}}
	record := func(change map[string]string) *session.Record {
		r := map[string]string{"account": accountA, "entity": "AROADEV", "parent": "", "issuer": "", "subject": ""}
		maps.Copy(r, change)
		return &session.Record{Account: r["account"], EntityID: r["entity"], Parent: r["parent"], Issuer: r["issuer"], Subject: r["subject"]}
	}
	for _, row := range []struct {
		name   string
		signIn *sts.SignIn
		record map[string]string
		want   bool
	}{
		{"session of the user", user, map[string]string{"entity": "AIDAALICE"}, true},
		{"role that the user took in the portal", user, map[string]string{"subject": "AIDAALICE"}, true},
		{"role that somebody took with a key", user, map[string]string{"parent": "AKIAX"}, false},
		{"somebody whom a provider calls like the user", user, map[string]string{"issuer": samlARN, "subject": "AIDAALICE"}, false},
		{"another account's", user, map[string]string{"account": accountB, "subject": "AIDAALICE"}, false},
		{"subject of the provider", person, map[string]string{"issuer": samlARN, "subject": "alice"}, true},
		{"another subject", person, map[string]string{"issuer": samlARN, "subject": "bob"}, false},
		{"another provider's", person, map[string]string{"issuer": secondARN, "subject": "alice"}, false},
		{"nobody's", person, nil, false},
	} {
		if got := row.signIn.Owns(record(row.record)); got != row.want {
			t.Errorf("%s: %t, want %t", row.name, got, row.want)
		}
	}
}
