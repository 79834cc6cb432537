package sts_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/secret"
	"github.com/stint-sts/stint/shape"
	"github.com/stint-sts/stint/signer"
	"github.com/stint-sts/stint/sts"
)

// prover is an Identities that signs nothing, and keeps what it should have signed.
type prover struct {
	disabled bool
	err      error // of SignIdentity
	claims   *signer.IdentityClaims
}

func (p *prover) Issuer(_ context.Context, account string) (string, error) {
	if p.disabled {
		return "", fmt.Errorf("issuer: %w", authn.ErrUnknown)
	}
	return "https://sts.example.com/oidc/" + account, nil
}

func (p *prover) SignIdentity(_ context.Context, algorithm string, c *signer.IdentityClaims) (secret.String, error) {
	if p.err != nil {
		return secret.String{}, p.err
	}
	p.claims = c
	return secret.New(algorithm), nil
}

func (p *prover) service(w *world) *sts.Service {
	return sts.New(sts.Config{Directory: w, Minter: w, Sessions: w, Identities: p})
}

const mayProve = `"Effect":"Allow","Action":["sts:GetWebIdentityToken","sts:TagGetWebIdentityToken"],"Resource":"*"`

// onlyIf allows tokens, without tags, under a condition.
func onlyIf(condition string) string {
	return `"Effect":"Allow","Action":"sts:GetWebIdentityToken","Resource":"*","Condition":{` + condition + `}`
}

// The rows of reference/policy-cases.md section J, and what their keys leave open.
func TestGetWebIdentityToken_Permission(t *testing.T) {
	t.Parallel()
	const (
		all = `"ForAllValues:StringEquals":{"sts:IdentityTokenAudience":["a"]}`
		any = `"ForAnyValue:StringEquals":{"sts:IdentityTokenAudience":["a"]}`
	)
	sentence := func(action string) string {
		return "User: " + aliceARN + " is not authorized to perform: " + action + " because no identity-based policy allows the " + action + " action"
	}
	tags := []sts.Tag{{Key: "k", Value: "v"}}
	for _, row := range []struct {
		name   string
		policy string
		in     sts.GetWebIdentityTokenInput
		text   string // of the denial; empty: allowed
	}{
		{"J12 all audiences are allowed ones", onlyIf(all), sts.GetWebIdentityTokenInput{Audience: []string{"a"}}, ""},
		{"J13 one audience is not", onlyIf(all), sts.GetWebIdentityTokenInput{Audience: []string{"a", "b"}}, sentence("sts:GetWebIdentityToken")},
		{"J14 ForAnyValue asks for one only", onlyIf(any), sts.GetWebIdentityTokenInput{Audience: []string{"a", "b"}}, ""},
		{"J15 tags need their own permission", onlyIf(all), sts.GetWebIdentityTokenInput{Audience: []string{"a"}, Tags: tags}, sentence("sts:TagGetWebIdentityToken")},
		{
			"J16 an action without resource is allowed on the asterisk only",
			`"Effect":"Allow","Action":"sts:GetWebIdentityToken","Resource":"arn:aws:sts::111111111111:*"`,
			sts.GetWebIdentityTokenInput{Audience: []string{"a"}}, sentence("sts:GetWebIdentityToken"),
		},
		{"tags with it", mayProve, sts.GetWebIdentityTokenInput{Audience: []string{"a"}, Tags: tags}, ""},
		{
			"only tags that are allowed",
			mayProve + `,"Condition":{"ForAllValues:StringEquals":{"aws:TagKeys":["k"]},"StringEqualsIfExists":{"aws:RequestTag/k":"v"}}`,
			sts.GetWebIdentityTokenInput{Audience: []string{"a"}, Tags: tags}, "",
		},
		{
			"another tag",
			mayProve + `,"Condition":{"ForAllValues:StringEquals":{"aws:TagKeys":["k"]}}`,
			sts.GetWebIdentityTokenInput{Audience: []string{"a"}, Tags: []sts.Tag{{Key: "other", Value: "v"}}}, sentence("sts:GetWebIdentityToken"),
		},
		{
			"another value of the tag", mayProve + `,"Condition":{"StringEquals":{"aws:RequestTag/k":"w"}}`,
			sts.GetWebIdentityTokenInput{Audience: []string{"a"}, Tags: tags}, sentence("sts:GetWebIdentityToken"),
		},
		{
			"the default duration is a duration", onlyIf(`"NumericEquals":{"sts:DurationSeconds":"300"}`),
			sts.GetWebIdentityTokenInput{Audience: []string{"a"}}, "",
		},
		{
			"the duration that was asked for", onlyIf(`"NumericLessThanEquals":{"sts:DurationSeconds":"300"}`),
			sts.GetWebIdentityTokenInput{Audience: []string{"a"}, DurationSeconds: ptr(int32(301))}, sentence("sts:GetWebIdentityToken"),
		},
		{
			"the algorithm", onlyIf(`"StringEquals":{"sts:SigningAlgorithm":"RS256"}`),
			sts.GetWebIdentityTokenInput{Audience: []string{"a"}}, "",
		},
		{
			"another algorithm", onlyIf(`"StringEquals":{"sts:SigningAlgorithm":"RS256"}`),
			sts.GetWebIdentityTokenInput{Audience: []string{"a"}, SigningAlgorithm: "ES384"}, sentence("sts:GetWebIdentityToken"),
		},
		{"no policy", `"Effect":"Allow","Action":"sts:AssumeRole","Resource":"*"`, sts.GetWebIdentityTokenInput{Audience: []string{"a"}}, sentence("sts:GetWebIdentityToken")},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w, p := newWorld(t), &prover{}
			in := row.in
			if in.SigningAlgorithm == "" {
				in.SigningAlgorithm = "RS256"
			}
			out, err := p.service(w).GetWebIdentityToken(t.Context(), w.user(accountA, "alice", row.policy), &in)
			if row.text != "" {
				wantError(t, err, awserr.AccessDenied, row.text)
				if p.claims != nil {
					t.Error("a refused call signed a token")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if out.WebIdentityToken.Reveal() != in.SigningAlgorithm {
				t.Errorf("signed by %s", out.WebIdentityToken.Reveal())
			}
		})
	}
}

func TestGetWebIdentityToken_Callers(t *testing.T) {
	t.Parallel()
	session := func(left time.Duration, change func(*signer.Claims)) func(*world) *authn.Caller {
		return func(w *world) *authn.Caller {
			r := w.role(accountA, "/", "R", `"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole"`)
			r.Identity = w.user(accountA, "x", mayProve).Entity.Identity
			return w.session(r, "s1", func(c *signer.Claims) {
				c.ExpiresAt = now.Add(left)
				if change != nil {
					change(c)
				}
			})
		}
	}
	user := func(kind signer.SessionKind) func(*world) *authn.Caller {
		return func(w *world) *authn.Caller {
			c := w.user(accountA, "alice", mayProve)
			if kind != "" {
				c.Session = &signer.Claims{Kind: kind, ExpiresAt: now.Add(time.Hour)}
			}
			if kind == signer.FederatedSession {
				c.Kind, c.ARN = authn.FederatedUser, "arn:aws:sts::111111111111:federated-user/bob"
			}
			return c
		}
	}
	const bare = " is not authorized to perform: sts:GetWebIdentityToken"
	for _, row := range []struct {
		name     string
		caller   func(*world) *authn.Caller
		duration *int32
		disabled bool
		err      error
		want     time.Duration
		kind     *awserr.Kind
		text     string
	}{
		{name: "a user", caller: user(""), want: 5 * time.Minute},
		{name: "a user, for an hour", caller: user(""), duration: ptr(int32(3600)), want: time.Hour},
		{name: "a role session", caller: session(time.Hour, nil), want: 5 * time.Minute},
		{name: "to the end of the session", caller: session(5*time.Minute, nil), want: 5 * time.Minute},
		{
			name: "J17 beyond the end of the session", caller: session(100*time.Second, nil), duration: ptr(int32(300)),
			kind: awserr.SessionDurationEscalationException,
		},
		{name: "beyond it by default", caller: session(299*time.Second, nil), kind: awserr.SessionDurationEscalationException},
		{name: "shorter than the session's rest", caller: session(100*time.Second, nil), duration: ptr(int32(60)), want: time.Minute},
		{name: "root", caller: rootCaller, kind: awserr.AccessDenied, text: "User: arn:aws:iam::111111111111:root" + bare},
		{
			name: "a federated user", caller: user(signer.FederatedSession), kind: awserr.AccessDenied,
			text: "User: arn:aws:sts::111111111111:federated-user/bob" + bare,
		},
		{name: "a GetSessionToken session", caller: user(signer.UserSession), kind: awserr.AccessDenied, text: "User: " + aliceARN + bare},
		{name: "the feature is off", caller: user(""), disabled: true, kind: awserr.OutboundWebIdentityFederationDisabledException},
		{
			name: "the feature is off, and the caller may not know", disabled: true, kind: awserr.AccessDenied,
			caller: func(w *world) *authn.Caller { return w.user(accountA, "alice") },
		},
		{name: "too much to say", caller: user(""), err: signer.ErrIdentityTooLarge, kind: awserr.JWTPayloadSizeExceededException},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w, p := newWorld(t), &prover{disabled: row.disabled, err: row.err}
			in := &sts.GetWebIdentityTokenInput{Audience: []string{"a"}, SigningAlgorithm: "RS256", DurationSeconds: row.duration}
			out, err := p.service(w).GetWebIdentityToken(t.Context(), row.caller(w), in)
			if row.kind != nil {
				wantError(t, err, row.kind, row.text)
				if p.claims != nil {
					t.Error("a refused call signed a token")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := out.Expiration.Sub(now); got != row.want || !p.claims.ExpiresAt.Equal(out.Expiration) || !p.claims.IssuedAt.Equal(now) {
				t.Errorf("lasts %v, want %v; claims %+v", got, row.want, p.claims)
			}
		})
	}
}

// A failure that is ours is not told as the caller's.
func TestGetWebIdentityToken_Failure(t *testing.T) {
	t.Parallel()
	w, p := newWorld(t), &prover{err: errors.New("disk on fire")}
	in := &sts.GetWebIdentityTokenInput{Audience: []string{"a"}, SigningAlgorithm: "RS256"}
	_, err := p.service(w).GetWebIdentityToken(t.Context(), w.user(accountA, "alice", mayProve), in)
	wantError(t, awserr.From(err), awserr.InternalFailure, "")
	if !errors.Is(err, p.err) {
		t.Errorf("the cause is lost: %v", err)
	}
}

func TestGetWebIdentityToken_Claims(t *testing.T) {
	t.Parallel()
	tagged := func(w *world) *authn.Entity {
		r := w.role(accountA, "/ci/", "deploy", `"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole"`)
		r.Identity = w.user(accountA, "x", mayProve).Entity.Identity
		r.Tags = []authn.Tag{{Key: "Team", Value: "role"}, {Key: "stage", Value: "prod"}}
		return r
	}
	const role = "arn:aws:iam::111111111111:role/ci/deploy"
	for _, row := range []struct {
		name    string
		caller  func(*world) *authn.Caller
		tags    []sts.Tag
		subject string
		want    signer.IdentityContext
	}{
		{
			name: "a user: nothing of a session", subject: aliceARN,
			caller: func(w *world) *authn.Caller { return w.user(accountA, "alice", mayProve) },
			want:   signer.IdentityContext{Account: accountA, SourceRegion: "us-east-1", PrincipalID: aliceARN, PrincipalTags: map[string]string{}},
		},
		{
			name: "a role session: the role with its path, tags of the session in place of the role's", subject: role,
			caller: func(w *world) *authn.Caller {
				return w.session(tagged(w), "s1", func(c *signer.Claims) {
					c.SourceIdentity, c.Provider = "carol", "arn:aws:iam::111111111111:oidc-provider/idp.example.com"
					c.Tags = []signer.Tag{{Key: "team", Value: "session"}}
				})
			},
			tags: []sts.Tag{{Key: "build", Value: "17"}},
			want: signer.IdentityContext{
				Account: accountA, SourceRegion: "us-east-1", PrincipalID: role, SourceIdentity: "carol",
				FederatedProvider:  "arn:aws:iam::111111111111:oidc-provider/idp.example.com",
				PrincipalTags:      map[string]string{"team": "session", "stage": "prod"},
				RequestTags:        map[string]string{"build": "17"},
				OriginalSessionExp: "2026-11-28T13:00:00Z",
			},
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w, p := newWorld(t), &prover{}
			in := &sts.GetWebIdentityTokenInput{Audience: []string{"a", "b"}, SigningAlgorithm: "ES384", Tags: row.tags}
			if _, err := p.service(w).GetWebIdentityToken(t.Context(), row.caller(w), in); err != nil {
				t.Fatal(err)
			}
			want := &signer.IdentityClaims{
				Issuer: "https://sts.example.com/oidc/111111111111", Subject: row.subject, Audience: []string{"a", "b"},
				IssuedAt: now, ExpiresAt: now.Add(5 * time.Minute), AWS: row.want,
			}
			if diff := cmp.Diff(want, p.claims); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestGetWebIdentityToken_Parameters(t *testing.T) {
	t.Parallel()
	valid := func() *sts.GetWebIdentityTokenInput {
		return &sts.GetWebIdentityTokenInput{Audience: []string{"a"}, SigningAlgorithm: "RS256"}
	}
	many := make([]sts.Tag, 51)
	for i := range many {
		many[i].Key = fmt.Sprint("k", i)
	}
	for _, row := range []struct {
		name   string
		change func(*sts.GetWebIdentityTokenInput)
		valid  bool
	}{
		{"the least", func(*sts.GetWebIdentityTokenInput) {}, true},
		{"ES384", func(in *sts.GetWebIdentityTokenInput) { in.SigningAlgorithm = "ES384" }, true},
		{"no algorithm", func(in *sts.GetWebIdentityTokenInput) { in.SigningAlgorithm = "" }, false},
		{"an algorithm of session tokens", func(in *sts.GetWebIdentityTokenInput) { in.SigningAlgorithm = "HS256" }, false},
		{"lower case", func(in *sts.GetWebIdentityTokenInput) { in.SigningAlgorithm = "rs256" }, false},
		{"no audience", func(in *sts.GetWebIdentityTokenInput) { in.Audience = nil }, false},
		{"an empty audience", func(in *sts.GetWebIdentityTokenInput) { in.Audience = []string{""} }, false},
		{"an audience of 1000", func(in *sts.GetWebIdentityTokenInput) { in.Audience[0] = strings.Repeat("a", 1000) }, true},
		{"an audience of 1001", func(in *sts.GetWebIdentityTokenInput) { in.Audience[0] = strings.Repeat("a", 1001) }, false},
		{"10 audiences", func(in *sts.GetWebIdentityTokenInput) { in.Audience = strings.Split("abcdefghij", "") }, true},
		{"11 audiences", func(in *sts.GetWebIdentityTokenInput) { in.Audience = strings.Split("abcdefghijk", "") }, false},
		{"60 s", func(in *sts.GetWebIdentityTokenInput) { in.DurationSeconds = ptr(int32(60)) }, true},
		{"59 s", func(in *sts.GetWebIdentityTokenInput) { in.DurationSeconds = ptr(int32(59)) }, false},
		{"3600 s", func(in *sts.GetWebIdentityTokenInput) { in.DurationSeconds = ptr(int32(3600)) }, true},
		{"3601 s", func(in *sts.GetWebIdentityTokenInput) { in.DurationSeconds = ptr(int32(3601)) }, false},
		{"50 tags", func(in *sts.GetWebIdentityTokenInput) { in.Tags = many[:50] }, true},
		{"51 tags", func(in *sts.GetWebIdentityTokenInput) { in.Tags = many }, false},
	} {
		in := valid()
		row.change(in)
		if err := shape.For[sts.GetWebIdentityTokenInput]().Validate(in); (err == nil) != row.valid {
			t.Errorf("%s: %v", row.name, err)
		}
	}
	w, p := newWorld(t), &prover{}
	for name, tags := range map[string][]sts.Tag{
		"keys that differ in case only": {{Key: "k"}, {Key: "K"}},
		"a reserved key":                {{Key: "aws:k"}},
	} {
		in := valid()
		in.Tags = tags
		_, err := p.service(w).GetWebIdentityToken(t.Context(), w.user(accountA, "alice", mayProve), in)
		if err == nil || p.claims != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
