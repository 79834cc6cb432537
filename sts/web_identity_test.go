package sts_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stint-sts/stint/arn"
	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/federation/oidc"
	"github.com/stint-sts/stint/federation/oidctest"
	"github.com/stint-sts/stint/policy"
	"github.com/stint-sts/stint/secret"
	"github.com/stint-sts/stint/session"
	"github.com/stint-sts/stint/signer"
	"github.com/stint-sts/stint/sts"
)

const (
	issuerURL   = "https://idp.example.com/realm"
	issuerKeys  = "idp.example.com/realm"
	clientID    = "sts.example.com"
	providerARN = "arn:aws:iam::111111111111:oidc-provider/idp.example.com/realm"
	otherARN    = "arn:aws:iam::111111111111:oidc-provider/other.example.com"
)

// federation is a world with one issuer that account A has registered.
type federation struct {
	*world
	oidc.Issuers
	verifier *oidc.Verifier
	key      *oidctest.Key
	set      *oidc.KeySet
	keyErr   error
	asked    int // for keys
	claims   map[string]any
}

func newFederation(t testing.TB) *federation {
	f := &federation{world: newWorld(t), key: oidctest.NewKey("ES256", "key")}
	raw, err := json.Marshal(map[string]any{"keys": []any{f.key.JWK()}})
	if err != nil {
		t.Fatal(err)
	}
	if f.set, err = oidc.ParseKeySet(raw); err != nil {
		t.Fatal(err)
	}
	f.verifier = oidc.New(oidc.Config{Keys: f, Now: func() time.Time { return now }})
	f.claims = map[string]any{"iss": issuerURL, "sub": "alice", "aud": clientID, "iat": now.Unix(), "exp": now.Add(time.Hour).Unix()}
	return f
}

func (f *federation) Provider(_ context.Context, account, issuer string) (*oidc.Provider, error) {
	if account != accountA || issuer != issuerURL {
		return nil, fmt.Errorf("provider: %w", authn.ErrUnknown)
	}
	return &oidc.Provider{ARN: providerARN, Issuer: issuerURL, ClientIDs: []string{clientID}}, nil
}

func (f *federation) Keys(context.Context, *oidc.Provider, *oidc.KeySet) (*oidc.KeySet, error) {
	f.asked++
	return f.set, f.keyErr
}

// identities is the federation as an sts.WebIdentity: the world has a Verify too, of MFA codes.
type identities struct{ *federation }

func (i identities) ProviderByARN(ctx context.Context, a arn.ARN) (*oidc.Provider, error) {
	if a.String() != providerARN {
		return nil, fmt.Errorf("provider: %w", authn.ErrUnknown)
	}
	return i.Provider(ctx, a.Account, issuerURL)
}

func (i identities) Verify(ctx context.Context, t *oidc.Token, p *oidc.Provider) (*oidc.Claims, error) {
	return i.verifier.Verify(ctx, t, p)
}

// token signs the claims of the federation with changes; nil removes one.
func (f *federation) token(change map[string]any) string {
	claims := maps.Clone(f.claims)
	maps.Copy(claims, change)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	return f.key.Token(claims)
}

// assume calls the operation as dispatch does, and returns the caller that it made of the anonymous one.
func (f *federation) assume(token string, change func(*sts.AssumeRoleWithWebIdentityInput)) (*sts.AssumeRoleWithWebIdentityOutput, *authn.Caller, error) {
	in := &sts.AssumeRoleWithWebIdentityInput{RoleARN: roleTARN, RoleSessionName: "job", WebIdentityToken: secret.New(token)}
	if change != nil {
		change(in)
	}
	c := &authn.Caller{Kind: authn.Anonymous, Request: &authn.Request{Service: "sts", Time: now, SourceIP: "192.0.2.1", SecureTransport: true}}
	out, err := sts.New(sts.Config{Directory: f.world, Minter: f.world, Sessions: f.world, WebIdentities: identities{f}}).
		AssumeRoleWithWebIdentity(context.Background(), c, in)
	return out, c, err
}

const (
	allWeb    = `"sts:AssumeRoleWithWebIdentity","sts:TagSession","sts:SetSourceIdentity"`
	justWeb   = `"sts:AssumeRoleWithWebIdentity"`
	tagClaim  = "https://aws.amazon.com/tags"
	srcClaim  = "https://aws.amazon.com/source_identity"
	roleClaim = "https://aws.amazon.com/roles"
)

func webTrust(provider, actions string, condition ...string) string {
	return strings.Replace(trust(provider, actions, condition...), `{"AWS":`, `{"Federated":`, 1)
}

func TestAssumeRoleWithWebIdentity(t *testing.T) {
	t.Parallel()
	f := newFederation(t)
	role := f.role(accountA, "/", "T", webTrust(providerARN, allWeb, `{"StringEquals":{"`+issuerKeys+`:sub":"alice"}}`))
	role.MaxSessionDuration = 12 * time.Hour
	token := f.token(map[string]any{
		"amr": []string{"mfa", "pwd"}, srcClaim: "alice", roleClaim: []string{roleTARN, roleRARN},
		tagClaim: map[string]any{"principal_tags": map[string]any{"team": []string{"blue"}, "cost": []string{"7"}}, "transitive_tag_keys": []string{"team"}},
	})
	out, c, err := f.assume(token, func(in *sts.AssumeRoleWithWebIdentityInput) {
		in.DurationSeconds = ptr[int32](7200)
		in.Policy = ptr(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}`)
	})
	if err != nil {
		t.Fatal(err)
	}
	if out.Subject != "alice" || out.Provider != issuerURL || out.Audience != clientID || out.SourceIdentity != "alice" ||
		out.AssumedRoleUser.ARN != "arn:aws:sts::111111111111:assumed-role/T/job" || out.AssumedRoleUser.AssumedRoleID != "AROAT:job" ||
		!out.Credentials.Expiration.Equal(now.Add(2*time.Hour)) || out.PackedPolicySize == nil {
		t.Errorf("output is %+v", out)
	}
	if c.Kind != authn.WebIdentity || c.Account != accountA || c.ARN != providerARN || c.UserID != issuerURL+":"+clientID+":alice" || c.Subject != "alice" {
		t.Errorf("caller is %+v", c)
	}
	want := &session.Record{
		AccessKeyID: "ASIA0000000000000001", Account: accountA, Kind: session.KindRole, EntityID: "AROAT", EntityARN: roleTARN,
		ARN: "arn:aws:sts::111111111111:assumed-role/T/job", SessionName: "job", SourceIdentity: "alice", Issuer: providerARN, Subject: "alice",
		IssuedAt: now, ExpiresAt: now.Add(2 * time.Hour),
	}
	if diff := cmp.Diff([]*session.Record{want}, f.records); diff != "" {
		t.Error(diff)
	}
}

// What the session carries on: tags, source identity, the provider and the lasting keys, which a later trust policy tests.
func TestAssumeRoleWithWebIdentity_SessionClaims(t *testing.T) {
	t.Parallel()
	f := newFederation(t)
	f.role(accountA, "/", "T", webTrust(providerARN, allWeb))
	_, _, err := f.assume(f.token(map[string]any{
		"amr": []string{"mfa"}, "azp": clientID, "aud": "else", "email": "a@example.com", srcClaim: "alice",
		tagClaim: map[string]any{"principal_tags": map[string]any{"team": []string{"blue"}}, "transitive_tag_keys": []string{"team"}},
	}), nil)
	if err != nil {
		t.Fatal(err)
	}
	minted := f.world.claims
	if minted.Provider != providerARN || minted.SourceIdentity != "alice" || minted.Chained || minted.Parent != "" {
		t.Errorf("claims are %+v", minted)
	}
	if diff := cmp.Diff([]signer.Tag{{Key: "team", Value: "blue"}}, minted.Tags); diff != "" || fmt.Sprint(minted.TransitiveKeys) != "[team]" {
		t.Errorf("tags %s, transitive %v", diff, minted.TransitiveKeys)
	}
	if diff := cmp.Diff(map[string][]string{
		issuerKeys + ":aud": {clientID}, issuerKeys + ":sub": {"alice"}, issuerKeys + ":amr": {"mfa"},
	}, minted.FederatedKeys); diff != "" {
		t.Error(diff)
	}
}

// What the trust policy decides. Every denial is the same sentence, whether the role is missing or does not trust.
func TestAssumeRoleWithWebIdentity_Trust(t *testing.T) {
	t.Parallel()
	equals := func(key, value string) string {
		return `{"StringEquals":{"` + issuerKeys + `:` + key + `":"` + value + `"}}`
	}
	for _, row := range []struct {
		name   string
		trust  string
		change map[string]any
		role   string
		denied string // the action in the sentence; empty: allowed
	}{
		{name: "provider named", trust: webTrust(providerARN, justWeb)},
		{name: "another provider named", trust: webTrust(otherARN, justWeb), denied: justWeb},
		{name: "the account named, not the provider", trust: trust(accountA, justWeb), denied: justWeb},
		{name: "every AWS principal: whoever holds a token is none", trust: trust("*", `"sts:*"`), denied: justWeb},
		{name: "everybody", trust: strings.Replace(trust("*", justWeb), `{"AWS":"*"}`, `"*"`, 1)},
		{name: "a Deny for every AWS principal", trust: webTrust(providerARN, justWeb) + `},{` + strings.Replace(trust("*", justWeb), "Allow", "Deny", 1), denied: justWeb},
		{name: "the provider may call another action", trust: webTrust(providerARN, `"sts:AssumeRoleWithSAML"`), denied: justWeb},
		{name: "no such role", trust: webTrust(providerARN, justWeb), role: "arn:aws:iam::111111111111:role/Nobody", denied: justWeb},
		{name: "role name in another case", trust: webTrust(providerARN, justWeb), role: "arn:aws:iam::111111111111:role/t", denied: justWeb},
		{name: "subject", trust: webTrust(providerARN, justWeb, equals("sub", "alice"))},
		{name: "another subject", trust: webTrust(providerARN, justWeb, equals("sub", "alice")), change: map[string]any{"sub": "alice2"}, denied: justWeb},
		{name: "subject in another case", trust: webTrust(providerARN, justWeb, equals("sub", "alice")), change: map[string]any{"sub": "Alice"}, denied: justWeb},
		{name: "audience", trust: webTrust(providerARN, justWeb, equals("aud", clientID))},
		{name: "a claim", trust: webTrust(providerARN, justWeb, equals("ref", "refs/heads/main")), change: map[string]any{"ref": "refs/heads/main"}},
		{name: "the claim has another value", trust: webTrust(providerARN, justWeb, equals("ref", "refs/heads/main")), change: map[string]any{"ref": "refs/heads/x"}, denied: justWeb},
		{name: "the claim is missing", trust: webTrust(providerARN, justWeb, equals("ref", "refs/heads/main")), denied: justWeb},
		{name: "one of a list", trust: webTrust(providerARN, justWeb, `{"ForAnyValue:StringEquals":{"`+issuerKeys+`:groups":"ops"}}`), change: map[string]any{"groups": []string{"dev", "ops"}}},
		{name: "none of a list", trust: webTrust(providerARN, justWeb, `{"ForAnyValue:StringEquals":{"`+issuerKeys+`:groups":"ops"}}`), change: map[string]any{"groups": []string{"dev"}}, denied: justWeb},
		{name: "a boolean", trust: webTrust(providerARN, justWeb, `{"Bool":{"`+issuerKeys+`:ref_protected":"true"}}`), change: map[string]any{"ref_protected": true}},
		{name: "a member of an object", trust: webTrust(providerARN, justWeb, equals("kubernetes.io/namespace", "prod")),
			change: map[string]any{"kubernetes.io": map[string]any{"namespace": "prod"}}},
		{name: "a claim does not stand for a key of another issuer", trust: webTrust(providerARN, justWeb, `{"StringEquals":{"other.example.com:sub":"alice"}}`),
			change: map[string]any{"other.example.com:sub": "alice"}, denied: justWeb},
		{name: "session name", trust: webTrust(providerARN, justWeb, `{"StringEquals":{"sts:RoleSessionName":"job"}}`)},
		{name: "federated provider", trust: webTrust(providerARN, justWeb, `{"StringEquals":{"aws:FederatedProvider":"`+providerARN+`"}}`)},
		{name: "source address", trust: webTrust(providerARN, justWeb, `{"IpAddress":{"aws:SourceIp":"192.0.2.0/24"}}`)},
		{name: "no principal account of its own", trust: webTrust(providerARN, justWeb, `{"StringEquals":{"aws:PrincipalAccount":"`+accountA+`"}}`), denied: justWeb},
		{name: "explicit deny", trust: webTrust(providerARN, justWeb) + `},{` + strings.Replace(webTrust(providerARN, justWeb, equals("sub", "alice")), "Allow", "Deny", 1), denied: justWeb},
		{name: "a roles claim is required and missing", trust: webTrust(providerARN, justWeb, `{"Bool":{"sts:RoleAuthorizedByIdp":"true"}}`), denied: justWeb},
		{name: "a roles claim is required and there", trust: webTrust(providerARN, justWeb, `{"Bool":{"sts:RoleAuthorizedByIdp":"true"}}`), change: map[string]any{roleClaim: roleTARN}},
		{name: "tags without sts:TagSession", trust: webTrust(providerARN, justWeb), change: map[string]any{tagClaim: map[string]any{"principal_tags": map[string]any{"a": []string{"b"}}}}, denied: `"sts:TagSession"`},
		{name: "tags with sts:TagSession", trust: webTrust(providerARN, allWeb, `{"StringEquals":{"aws:RequestTag/a":"b"},"ForAllValues:StringEquals":{"aws:TagKeys":["a"]}}`),
			change: map[string]any{tagClaim: map[string]any{"principal_tags": map[string]any{"a": []string{"b"}}}}},
		{name: "source identity without sts:SetSourceIdentity", trust: webTrust(providerARN, justWeb), change: map[string]any{srcClaim: "alice"}, denied: `"sts:SetSourceIdentity"`},
		{name: "source identity with sts:SetSourceIdentity", trust: webTrust(providerARN, allWeb, `{"StringEquals":{"sts:SourceIdentity":"alice"}}`), change: map[string]any{srcClaim: "alice"}},
	} {
		f := newFederation(t)
		f.role(accountA, "/", "T", row.trust)
		_, c, err := f.assume(f.token(row.change), func(in *sts.AssumeRoleWithWebIdentityInput) {
			if row.role != "" {
				in.RoleARN = row.role
			}
		})
		if row.denied == "" {
			if err != nil {
				t.Errorf("%s: %v", row.name, err)
			}
			continue
		}
		e, ok := errors.AsType[*awserr.Error](err)
		if want := "Not authorized to perform " + strings.Trim(row.denied, `"`); !ok || e.Kind != awserr.AccessDenied || e.Message != want {
			t.Errorf("%s: %v", row.name, err)
		}
		if c.Kind != authn.WebIdentity || len(f.records) != 0 {
			t.Errorf("%s: caller is %v, %d sessions", row.name, c.Kind, len(f.records))
		}
	}
}

// What is refused before the role is looked at: code and text of each, and that nothing is fetched for who has no provider.
func TestAssumeRoleWithWebIdentity_Refuses(t *testing.T) {
	t.Parallel()
	expired := now.Add(-time.Second)
	for _, row := range []struct {
		name   string
		change map[string]any
		token  func(f *federation) string
		in     func(*sts.AssumeRoleWithWebIdentityInput)
		set    func(*federation)
		kind   *awserr.Kind
		text   string
		fetch  bool // keys were asked for
	}{
		{name: "not a token", token: func(*federation) string { return "opaque-access-token" }, kind: awserr.InvalidIdentityToken,
			text: "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)"},
		{name: "alg none", token: func(f *federation) string {
			return f.key.Sign(map[string]any{"alg": "none"}, []byte(`{"iss":"`+issuerURL+`"}`))
		}, kind: awserr.InvalidIdentityToken, text: "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)"},
		{name: "issuer that is not registered", change: map[string]any{"iss": "https://evil.example.com"}, kind: awserr.InvalidIdentityToken,
			text: "No OpenIDConnect provider found in your account for https://evil.example.com"},
		{name: "issuer that is no issuer is not repeated", change: map[string]any{"iss": "<script>alert(1)</script>"}, kind: awserr.InvalidIdentityToken,
			text: "No OpenIDConnect provider found in your account for the issuer of the token"},
		{name: "registered in another account than the role's", in: func(in *sts.AssumeRoleWithWebIdentityInput) {
			in.RoleARN = strings.Replace(in.RoleARN, accountA, accountB, 1)
		}, kind: awserr.InvalidIdentityToken, text: "No OpenIDConnect provider found in your account for " + issuerURL},
		{name: "issuer that the operator does not let in", set: func(f *federation) { f.Allowed = []string{"https://else.example.com"} },
			kind: awserr.InvalidIdentityToken, text: "No OpenIDConnect provider found in your account for " + issuerURL},
		{name: "signed by a stranger", token: func(f *federation) string { return oidctest.NewKey("ES256", "key").Token(f.claims) },
			kind: awserr.InvalidIdentityToken, text: "The provided token is not signed by a trusted key", fetch: true},
		{name: "key that nobody has", token: func(f *federation) string { return oidctest.NewKey("ES256", "other").Token(f.claims) },
			kind: awserr.InvalidIdentityToken, text: "The provided token is not signed by a trusted key", fetch: true},
		{name: "audience", change: map[string]any{"aud": "else"}, kind: awserr.InvalidIdentityToken, text: "Incorrect token audience", fetch: true},
		{name: "no subject", change: map[string]any{"sub": nil}, kind: awserr.InvalidIdentityToken, text: "Missing a required claim: sub", fetch: true},
		{name: "no issuer", change: map[string]any{"iss": nil}, kind: awserr.InvalidIdentityToken, text: "Missing a required claim: iss"},
		{name: "expired", change: map[string]any{"exp": expired.Unix()}, kind: awserr.ExpiredTokenException,
			text: fmt.Sprintf("Token expired: current date/time %d must be before the expiration date/time %d", now.Unix(), expired.Unix()), fetch: true},
		{name: "not valid yet", change: map[string]any{"nbf": now.Add(time.Hour).Unix()}, kind: awserr.InvalidIdentityToken,
			text: "The ID Token provided is not valid yet. (The clock of its issuer may be ahead)", fetch: true},
		{name: "keys cannot be had", set: func(f *federation) { f.keyErr = oidc.ErrUnavailable }, kind: awserr.IDPCommunicationError,
			text: "Couldn't retrieve verification key from your identity provider, try again later", fetch: true},
		{name: "keys cannot be used", set: func(f *federation) { f.keyErr = oidc.ErrUnusable }, kind: awserr.InvalidIdentityToken,
			text: "Couldn't retrieve verification key from your identity provider,  please reference AssumeRoleWithWebIdentity documentation for requirements", fetch: true},
		{name: "certificate", set: func(f *federation) { f.keyErr = oidc.ErrCertificate }, kind: awserr.InvalidIdentityToken,
			text: "OpenIDConnect provider's HTTPS certificate doesn't match configured thumbprint", fetch: true},
		{name: "role not in the roles claim", change: map[string]any{roleClaim: []string{roleRARN}}, kind: awserr.InvalidIdentityToken,
			text: "The target role ARN is not present in the roles claim of the identity token", fetch: true},
		{name: "no role in the roles claim", change: map[string]any{roleClaim: []string{}}, kind: awserr.InvalidIdentityToken,
			text: "The target role ARN is not present in the roles claim of the identity token", fetch: true},
		{name: "roles claim of another form", change: map[string]any{roleClaim: true}, kind: awserr.InvalidIdentityToken,
			text: "A claim of the ID Token provided is not valid", fetch: true},
		{name: "tags of another form", change: map[string]any{tagClaim: map[string]any{"principal_tags": map[string]any{"a": "b"}}}, kind: awserr.InvalidIdentityToken,
			text: "A claim of the ID Token provided is not valid", fetch: true},
		{name: "reserved tag", change: map[string]any{tagClaim: map[string]any{"principal_tags": map[string]any{"aws:a": []string{"b"}}}},
			kind: awserr.InvalidParameterValue, fetch: true},
		{name: "tags that differ in case", change: map[string]any{tagClaim: map[string]any{"principal_tags": map[string]any{"a": []string{"b"}, "A": []string{"b"}}}},
			kind: awserr.InvalidParameterValue, fetch: true},
		{name: "transitive key of no tag", change: map[string]any{tagClaim: map[string]any{"transitive_tag_keys": []string{"a"}}},
			kind: awserr.InvalidParameterValue, fetch: true},
		{name: "source identity too short", change: map[string]any{srcClaim: "a"}, kind: awserr.ValidationError, fetch: true},
		{name: "source identity with a space", change: map[string]any{srcClaim: "al ice"}, kind: awserr.ValidationError, fetch: true},
		{name: "provider id", in: func(in *sts.AssumeRoleWithWebIdentityInput) { in.ProviderID = "www.amazon.com" }, kind: awserr.ValidationError,
			text: "ProviderId is for OAuth 2.0 access tokens, which are not supported."},
		{name: "not an ARN", in: func(in *sts.AssumeRoleWithWebIdentityInput) { in.RoleARN = "arn:aws:iam::role/T" }, kind: awserr.ValidationError,
			text: "arn:aws:iam::role/T is invalid"},
		{name: "longer than the role allows", in: func(in *sts.AssumeRoleWithWebIdentityInput) { in.DurationSeconds = ptr[int32](3601) }, kind: awserr.ValidationError,
			text: "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.", fetch: true},
		{name: "bad session policy", in: func(in *sts.AssumeRoleWithWebIdentityInput) { in.Policy = ptr("{}") }, kind: awserr.MalformedPolicyDocument, fetch: true},
		{name: "the session cannot be recorded", set: func(f *federation) { f.putErr = session.ErrUnavailable }, kind: awserr.ServiceUnavailable, fetch: true},
	} {
		f := newFederation(t)
		f.role(accountA, "/", "T", webTrust(providerARN, allWeb))
		if _, _, err := f.assume(f.token(nil), nil); err != nil {
			t.Fatalf("honest twin: %v", err)
		}
		f.asked, f.records = 0, nil
		if row.set != nil {
			row.set(f)
		}
		token := f.token(row.change)
		if row.token != nil {
			token = row.token(f)
		}
		_, _, err := f.assume(token, row.in)
		e, ok := errors.AsType[*awserr.Error](err)
		if !ok || e.Kind != row.kind || row.text != "" && e.Message != row.text {
			t.Errorf("%s: %v", row.name, err)
		}
		if (f.asked > 0) != row.fetch || len(f.records) != 0 {
			t.Errorf("%s: keys asked for %d times, %d sessions", row.name, f.asked, len(f.records))
		}
		if err != nil && strings.Contains(err.Error(), token) {
			t.Errorf("%s: the error quotes the token", row.name)
		}
	}
}

// An issuer under report-only is let in and reported.
func TestAssumeRoleWithWebIdentity_ReportOnly(t *testing.T) {
	t.Parallel()
	f := newFederation(t)
	f.role(accountA, "/", "T", webTrust(providerARN, justWeb))
	var reported []string
	f.Allowed, f.Report = []string{"https://else.example.com"}, func(issuer string) { reported = append(reported, issuer) }
	if _, _, err := f.assume(f.token(nil), nil); err != nil || fmt.Sprint(reported) != "["+issuerURL+"]" {
		t.Errorf("%v, reported %v", err, reported)
	}
	f.Allowed = append(f.Allowed, issuerURL)
	if _, _, err := f.assume(f.token(nil), nil); err != nil || len(reported) != 1 {
		t.Errorf("%v, reported %v", err, reported)
	}
}

// The keys that last are tested by the trust policy of the next role, and the session chains as others do.
func TestAssumeRoleWithWebIdentity_Chains(t *testing.T) {
	t.Parallel()
	f := newFederation(t)
	first := f.role(accountA, "/", "T", webTrust(providerARN, justWeb))
	if _, _, err := f.assume(f.token(nil), nil); err != nil {
		t.Fatal(err)
	}
	minted := f.world.claims
	first.Identity = f.documents(policy.Identity, allowAll)
	for subject, ok := range map[string]bool{"alice": true, "bob": false} {
		f.role(accountA, "/team/", "R", trust(accountA, justOnce, `{"StringEquals":{"`+issuerKeys+`:sub":"`+subject+`","aws:FederatedProvider":"`+providerARN+`"}}`))
		c := f.session(first, "job", func(s *signer.Claims) { s.Provider, s.FederatedKeys = minted.Provider, minted.FederatedKeys })
		_, err := f.service().AssumeRole(context.Background(), c, &sts.AssumeRoleInput{RoleARN: roleRARN, RoleSessionName: "s1"})
		if (err == nil) != ok {
			t.Errorf("next role trusts %s: %v", subject, err)
		}
	}
}

func BenchmarkAssumeRoleWithWebIdentity(b *testing.B) {
	for _, algorithm := range []string{"RS256", "ES256"} {
		b.Run(algorithm, func(b *testing.B) {
			f := newFederation(b)
			f.key = oidctest.NewKey(algorithm, "key")
			raw, _ := json.Marshal(map[string]any{"keys": []any{f.key.JWK()}})
			f.set, _ = oidc.ParseKeySet(raw)
			f.role(accountA, "/", "T", webTrust(providerARN, justWeb, `{"StringEquals":{"`+issuerKeys+`:sub":"alice"}}`))
			token := f.token(map[string]any{"ref": "refs/heads/main", "repository": "octo-org/octo-repo", "actor": "octocat", "run_id": "123"})
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := f.assume(token, nil); err != nil {
					b.Fatal(err)
				}
				f.records = f.records[:0]
			}
		})
	}
}
