package iam_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/federation/oidc"
	"github.com/stint-sts/stint/iam"
)

func newOIDCFixture(t *testing.T, configure ...func(*iam.Config)) *fixture {
	return newFixture(t, append(configure, outbound(&keyMaker{}))...)
}

const idpARN = "arn:aws:iam::111122223333:oidc-provider/idp.example.com/realm"

func (f *fixture) newProvider(url string, clients ...string) (string, error) {
	out, err := f.CreateOpenIDConnectProvider(f.t.Context(), f.root(), &iam.CreateOpenIDConnectProviderInput{URL: url, ClientIDList: clients})
	if err != nil {
		return "", err
	}
	return out.OpenIDConnectProviderARN, nil
}

func (f *fixture) provider(arn string) *iam.GetOpenIDConnectProviderOutput {
	f.t.Helper()
	out, err := f.GetOpenIDConnectProvider(f.t.Context(), f.root(), &iam.GetOpenIDConnectProviderInput{OpenIDConnectProviderARN: arn})
	f.ok(err)
	return out
}

func TestOIDCProvider_Life(t *testing.T) {
	t.Parallel()
	f := newOIDCFixture(t)
	ctx := t.Context()
	print1, print2 := strings.Repeat("aB", 20), strings.Repeat("0", 40)
	out, err := f.CreateOpenIDConnectProvider(ctx, f.root(), &iam.CreateOpenIDConnectProviderInput{
		URL: "https://idp.example.com/realm", ClientIDList: []string{"b", "a", "b"}, ThumbprintList: []string{print1},
		Tags: []iam.Tag{{Key: "team", Value: "blue"}},
	})
	f.ok(err)
	if out.OpenIDConnectProviderARN != idpARN || len(out.Tags) != 1 {
		t.Errorf("created %+v", out)
	}
	want := &iam.GetOpenIDConnectProviderOutput{
		URL: "idp.example.com/realm", ClientIDList: []string{"b", "a"}, ThumbprintList: []string{strings.ToLower(print1)},
		CreateDate: testTime.Truncate(time.Second), Tags: []iam.Tag{{Key: "team", Value: "blue"}},
	}
	if diff := cmp.Diff(want, f.provider(idpARN)); diff != "" {
		t.Error(diff)
	}
	_, err = f.newProvider("https://idp.example.com/realm")
	f.refused(err, awserr.EntityAlreadyExists, "Provider with url https://idp.example.com/realm already exists.")
	for _, other := range []string{"https://idp.example.com/realm/", "https://idp.example.com/Realm"} { // other issuers
		_, err = f.newProvider(other)
		f.ok(err)
	}
	list, err := f.ListOpenIDConnectProviders(ctx, f.root(), &iam.ListOpenIDConnectProvidersInput{})
	f.ok(err)
	if got := fmt.Sprint(list.OpenIDConnectProviderList); strings.Count(got, "oidc-provider") != 3 || !strings.Contains(got, "{"+idpARN+"}") {
		t.Errorf("list is %s", got)
	}

	for range 2 { // idempotent
		f.ok(f.AddClientIDToOpenIDConnectProvider(ctx, f.root(), &iam.AddClientIDToOpenIDConnectProviderInput{OpenIDConnectProviderARN: idpARN, ClientID: "c"}))
		f.ok(f.RemoveClientIDFromOpenIDConnectProvider(ctx, f.root(), &iam.RemoveClientIDFromOpenIDConnectProviderInput{OpenIDConnectProviderARN: idpARN, ClientID: "b"}))
	}
	f.ok(f.UpdateOpenIDConnectProviderThumbprint(ctx, f.root(), &iam.UpdateOpenIDConnectProviderThumbprintInput{OpenIDConnectProviderARN: idpARN, ThumbprintList: []string{print2}}))
	f.ok(f.TagOpenIDConnectProvider(ctx, f.root(), &iam.TagOpenIDConnectProviderInput{OpenIDConnectProviderARN: idpARN, Tags: []iam.Tag{{Key: "Team", Value: "red"}, {Key: "x"}}}))
	f.ok(f.UntagOpenIDConnectProvider(ctx, f.root(), &iam.UntagOpenIDConnectProviderInput{OpenIDConnectProviderARN: idpARN, TagKeys: []string{"X", "none"}}))
	want.ClientIDList, want.ThumbprintList, want.Tags = []string{"a", "c"}, []string{print2}, []iam.Tag{{Key: "Team", Value: "red"}}
	if diff := cmp.Diff(want, f.provider(idpARN)); diff != "" {
		t.Error(diff)
	}
	tags, err := f.ListOpenIDConnectProviderTags(ctx, f.root(), &iam.ListOpenIDConnectProviderTagsInput{OpenIDConnectProviderARN: idpARN})
	f.ok(err)
	if diff := cmp.Diff(want.Tags, tags.Tags); diff != "" {
		t.Error(diff)
	}

	f.ok(f.DeleteOpenIDConnectProvider(ctx, f.root(), &iam.DeleteOpenIDConnectProviderInput{OpenIDConnectProviderARN: idpARN}))
	_, err = f.GetOpenIDConnectProvider(ctx, f.root(), &iam.GetOpenIDConnectProviderInput{OpenIDConnectProviderARN: idpARN})
	f.refused(err, awserr.NoSuchEntity, "OpenIDConnect Provider not found for arn "+idpARN)
}

func TestCreateOpenIDConnectProvider_Refuses(t *testing.T) {
	t.Parallel()
	f := newOIDCFixture(t, quotas(func(q *iam.Quotas) { q.OIDCProvidersPerAccount, q.ClientIDsPerOIDCProvider = 1, 2 }), func(cfg *iam.Config) {
		cfg.Issuers = &oidc.Issuers{Allowed: []string{"https://*.example.com", "https://*.example.com/*", "http://127.0.0.1:5556"}}
	})
	for _, row := range []struct {
		in   iam.CreateOpenIDConnectProviderInput
		kind *awserr.Kind
		text string
	}{
		{iam.CreateOpenIDConnectProviderInput{URL: "http://idp.example.com"}, awserr.ValidationError, "Invalid Open ID Connect Provider URL"},
		{iam.CreateOpenIDConnectProviderInput{URL: "https://idp.example.com?x"}, awserr.ValidationError, "Invalid Open ID Connect Provider URL"},
		{iam.CreateOpenIDConnectProviderInput{URL: "idp.example.com"}, awserr.ValidationError, "Invalid Open ID Connect Provider URL"},
		{iam.CreateOpenIDConnectProviderInput{URL: "https://idp.example.com/*"}, awserr.ValidationError, "Invalid Open ID Connect Provider URL"},
		{iam.CreateOpenIDConnectProviderInput{URL: "https://idp.example.org"}, awserr.InvalidInput, "This Open ID Connect Provider URL is not allowed here."},
		{iam.CreateOpenIDConnectProviderInput{URL: "http://127.0.0.1:5556"}, awserr.InvalidInput, "This Open ID Connect Provider URL is not allowed here."},
		{iam.CreateOpenIDConnectProviderInput{URL: "https://sts.example.com/oidc/x"}, awserr.InvalidInput,
			"Creating an OIDC provider with an STS issuer URL from the same partition is not supported. Within a partition, use AssumeRole instead of web identity federation."},
		{iam.CreateOpenIDConnectProviderInput{URL: "https://idp.example.com", ClientIDList: []string{"a", "b", "c"}}, awserr.LimitExceeded,
			"Cannot exceed quota for ClientIdsPerOpenIdConnectProvider: 2"},
		{iam.CreateOpenIDConnectProviderInput{URL: "https://idp.example.com", ThumbprintList: make([]string, 6)}, awserr.InvalidInput,
			"Thumbprint list must contain fewer than 5 entries."},
		{iam.CreateOpenIDConnectProviderInput{URL: "https://idp.example.com", ThumbprintList: []string{strings.Repeat("g", 40)}}, awserr.InvalidInput,
			"A thumbprint is the SHA-1 digest of a certificate in hexadecimal."},
	} {
		_, err := f.CreateOpenIDConnectProvider(t.Context(), f.root(), &row.in)
		f.refused(err, row.kind, row.text)
	}
	_, err := f.newProvider("https://idp.example.com/realm", "a", "b", "a")
	f.ok(err)
	_, err = f.newProvider("https://other.example.com")
	f.refused(err, awserr.LimitExceeded, "Cannot exceed quota for OpenIdConnectProvidersPerAccount: 1")
	err = f.AddClientIDToOpenIDConnectProvider(t.Context(), f.root(), &iam.AddClientIDToOpenIDConnectProviderInput{OpenIDConnectProviderARN: idpARN, ClientID: "c"})
	f.refused(err, awserr.LimitExceeded, "Cannot exceed quota for ClientIdsPerOpenIdConnectProvider: 2")
}

// Every operation asks for its own action, on the provider's own ARN and tags, and tells who may not nothing.
func TestOIDCProvider_Access(t *testing.T) {
	t.Parallel()
	f := newOIDCFixture(t)
	ctx := t.Context()
	_, err := f.newProvider("https://idp.example.com/realm", "a")
	f.ok(err)
	other := f.other()
	for action, call := range map[string]func(c *authn.Caller, arn string) error{
		"Get": func(c *authn.Caller, arn string) error {
			_, err := f.GetOpenIDConnectProvider(ctx, c, &iam.GetOpenIDConnectProviderInput{OpenIDConnectProviderARN: arn})
			return err
		},
		"AddClientIDTo": func(c *authn.Caller, arn string) error {
			return f.AddClientIDToOpenIDConnectProvider(ctx, c, &iam.AddClientIDToOpenIDConnectProviderInput{OpenIDConnectProviderARN: arn, ClientID: "x"})
		},
		"RemoveClientIDFrom": func(c *authn.Caller, arn string) error {
			return f.RemoveClientIDFromOpenIDConnectProvider(ctx, c, &iam.RemoveClientIDFromOpenIDConnectProviderInput{OpenIDConnectProviderARN: arn, ClientID: "x"})
		},
		"Tag": func(c *authn.Caller, arn string) error {
			return f.TagOpenIDConnectProvider(ctx, c, &iam.TagOpenIDConnectProviderInput{OpenIDConnectProviderARN: arn})
		},
		"Untag": func(c *authn.Caller, arn string) error {
			return f.UntagOpenIDConnectProvider(ctx, c, &iam.UntagOpenIDConnectProviderInput{OpenIDConnectProviderARN: arn})
		},
	} {
		allowed := f.user("may-"+action, allow(idpARN, "iam:"+action+"OpenIDConnectProvider"))
		denied := f.user("not-"+action, allow("*", "iam:ListRoles"))
		f.ok(call(allowed, idpARN))
		for _, arn := range []string{idpARN, idpARN + "/missing"} {
			if err := call(denied, arn); !errors.Is(err, awserr.AccessDenied) || !strings.Contains(err.Error(), "iam:"+action+"OpenIDConnectProvider") {
				t.Errorf("%s of %s: %v", action, arn, err)
			}
		}
		if err := call(other, idpARN); !errors.Is(err, awserr.AccessDenied) {
			t.Errorf("%s from another account: %v", action, err)
		}
		if err := call(f.root(), "arn:aws:iam::111122223333:role/x"); !errors.Is(err, awserr.ValidationError) {
			t.Errorf("%s of a role: %v", action, err)
		}
		if err := call(f.root(), idpARN+"/missing"); !errors.Is(err, awserr.NoSuchEntity) {
			t.Errorf("%s of none: %v", action, err)
		}
	}
}

// The request path sees a change at once, compares issuers to the letter, and keeps accounts apart.
func TestDirectory_OIDCProvider(t *testing.T) {
	t.Parallel()
	f := newOIDCFixture(t, func(cfg *iam.Config) { cfg.Issuers = &oidc.Issuers{Loopback: true} })
	ctx := t.Context()
	const issuer = "https://idp.example.com/realm"
	missing := func(account, issuer string) {
		t.Helper()
		if p, err := f.directory.OIDCProvider(ctx, account, issuer); !errors.Is(err, authn.ErrUnknown) {
			t.Fatalf("%s in %s: %v, %v", issuer, account, p, err)
		}
	}
	missing(testAccount, issuer)
	_, err := f.newProvider(issuer, "a")
	f.ok(err)
	p, err := f.directory.OIDCProvider(ctx, testAccount, issuer)
	f.ok(err)
	if diff := cmp.Diff(&oidc.Provider{ARN: idpARN, Issuer: issuer, ClientIDs: []string{"a"}}, p); diff != "" {
		t.Error(diff)
	}
	f.ok(f.AddClientIDToOpenIDConnectProvider(ctx, f.root(), &iam.AddClientIDToOpenIDConnectProviderInput{OpenIDConnectProviderARN: idpARN, ClientID: "b"}))
	if p, err = f.directory.OIDCProvider(ctx, testAccount, issuer); err != nil || fmt.Sprint(p.ClientIDs) != "[a b]" {
		t.Errorf("after a change: %v, %v", p, err)
	}
	f.other()
	for _, row := range [][2]string{
		{otherAccount, issuer}, {"999999999999", issuer}, {"x", issuer}, {testAccount, issuer + "/"}, {testAccount, "https://IDP.example.com/realm"},
		{testAccount, "http://idp.example.com/realm"}, {testAccount, "idp.example.com/realm"}, {testAccount, ""}, {testAccount, strings.Repeat("a", 300)},
	} {
		missing(row[0], row[1])
	}
	f.ok(f.DeleteOpenIDConnectProvider(ctx, f.root(), &iam.DeleteOpenIDConnectProviderInput{OpenIDConnectProviderARN: idpARN}))
	missing(testAccount, issuer)
	_, err = f.newProvider("http://127.0.0.1:5556/dex", "a")
	f.ok(err)
	if p, err = f.directory.OIDCProvider(ctx, testAccount, "http://127.0.0.1:5556/dex"); err != nil || p.ARN != "arn:aws:iam::111122223333:oidc-provider/127.0.0.1:5556/dex" {
		t.Errorf("by http: %v, %v", p, err)
	}
	missing(testAccount, "https://127.0.0.1:5556/dex")
}
