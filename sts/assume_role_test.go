package sts_test

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/policy"
	"github.com/stint-sts/stint/secret"
	"github.com/stint-sts/stint/session"
	"github.com/stint-sts/stint/signer"
	"github.com/stint-sts/stint/sts"
)

const (
	aliceARN  = "arn:aws:iam::111111111111:user/alice"
	roleRARN  = "arn:aws:iam::111111111111:role/team/R"
	roleTARN  = "arn:aws:iam::111111111111:role/T"
	s1ARN     = "arn:aws:sts::111111111111:assumed-role/R/s1"
	assumeT   = `"Effect":"Allow","Action":"sts:AssumeRole","Resource":"` + roleTARN + `"`
	allowAll  = `"Effect":"Allow","Action":"sts:*","Resource":"*"`
	bothTag   = `"sts:AssumeRole","sts:TagSession"`
	bothSrc   = `"sts:AssumeRole","sts:SetSourceIdentity"`
	justOnce  = `"sts:AssumeRole"`
	everybody = `"*"`
)

// trust is a statement that lets a principal do the actions.
func trust(principal, actions string, condition ...string) string {
	if !strings.HasPrefix(principal, `"`) {
		principal = `{"AWS":"` + principal + `"}`
	}
	s := `"Effect":"Allow","Principal":` + principal + `,"Action":[` + actions + `]`
	if len(condition) > 0 {
		s += `,"Condition":` + condition[0]
	}
	return s
}

// denied is AWS's bare sentence: AssumeRole tells no reason.
func denied(caller, action, role string) string {
	return "User: " + caller + " is not authorized to perform: " + action + " on resource: " + role
}

// The numbers are those of the worked cases, sections G and H.
func TestAssumeRole_Cases(t *testing.T) {
	t.Parallel()
	type result struct {
		kind *awserr.Kind
		text string
	}
	allowed := result{}
	deny := func(caller, action string) result {
		return result{awserr.AccessDenied, denied(caller, action, roleTARN)}
	}
	for _, row := range []struct {
		name   string
		trust  []string
		caller func(w *world) *authn.Caller
		in     sts.AssumeRoleInput
		set    func(role *authn.Entity)
		want   result
	}{
		{
			name: "G1 trust names the user, who has no policy", trust: []string{trust(aliceARN, justOnce)},
			caller: func(w *world) *authn.Caller { return w.user(accountA, "alice") }, want: allowed,
		},
		{
			name: "G2 trust names the account, the user has no policy", trust: []string{trust(accountA, justOnce)},
			caller: func(w *world) *authn.Caller { return w.user(accountA, "alice") }, want: deny(aliceARN, "sts:AssumeRole"),
		},
		{
			name: "G3 trust names the account, the user may assume", trust: []string{trust(accountA, justOnce)},
			caller: func(w *world) *authn.Caller { return w.user(accountA, "alice", assumeT) }, want: allowed,
		},
		{
			name: "G4 trust names somebody else", trust: []string{trust("arn:aws:iam::111111111111:user/bob", justOnce)},
			caller: func(w *world) *authn.Caller { return w.user(accountA, "alice", allowAll) }, want: deny(aliceARN, "sts:AssumeRole"),
		},
		{
			name: "G5 trust names everybody, same account", trust: []string{trust(everybody, justOnce)},
			caller: func(w *world) *authn.Caller { return w.user(accountA, "alice") }, want: allowed,
		},
		{
			name: "G6 trust names everybody, other account without policy", trust: []string{trust(everybody, justOnce)},
			caller: func(w *world) *authn.Caller { return w.user(accountB, "eve") },
			want:   deny("arn:aws:iam::222222222222:user/eve", "sts:AssumeRole"),
		},
		{
			name: "G7 trust names everybody, other account with policy", trust: []string{trust(everybody, justOnce)},
			caller: func(w *world) *authn.Caller { return w.user(accountB, "eve", assumeT) }, want: allowed,
		},
		{
			name: "G8 the user's own policy denies", trust: []string{trust(aliceARN, justOnce)},
			caller: func(w *world) *authn.Caller {
				return w.user(accountA, "alice", `"Effect":"Deny","Action":"sts:AssumeRole","Resource":"*"`)
			},
			want: deny(aliceARN, "sts:AssumeRole"),
		},
		{
			name: "G9 trust names the role of the session, which has no permissions", trust: []string{trust(roleRARN, justOnce)},
			caller: sessionS1(nil), want: allowed,
		},
		{
			name: "G10 a session policy keeps the session from assuming", trust: []string{trust(roleRARN, justOnce)},
			caller: func(w *world) *authn.Caller {
				c := sessionS1(nil)(w)
				c.SessionPolicies = w.documents(policy.Session, `"Effect":"Allow","Action":"store:*","Resource":"*"`)
				return c
			},
			want: deny(s1ARN, "sts:AssumeRole"),
		},
		{
			name: "G11 trust names the session itself", trust: []string{trust(s1ARN, justOnce)},
			caller: func(w *world) *authn.Caller {
				c := sessionS1(nil)(w)
				c.SessionPolicies = w.documents(policy.Session, `"Effect":"Allow","Action":"store:*","Resource":"*"`)
				return c
			},
			want: allowed,
		},
		{
			name: "G14 root", trust: []string{trust(accountA, justOnce)},
			caller: func(w *world) *authn.Caller {
				e := &authn.Entity{Type: authn.AccountEntity, Account: accountA, ID: accountA, ARN: "arn:aws:iam::111111111111:root"}
				return &authn.Caller{Kind: authn.Root, Account: accountA, ARN: e.ARN, UserID: accountA, Entity: e, Request: &authn.Request{Time: now}}
			},
			want: result{awserr.AccessDenied, "Roles may not be assumed by root accounts."},
		},
		{
			name: "G15 the role does not exist", trust: []string{trust(aliceARN, justOnce)},
			caller: func(w *world) *authn.Caller { return w.user(accountA, "alice", allowAll) },
			in:     sts.AssumeRoleInput{RoleARN: "arn:aws:iam::111111111111:role/missing"},
			want:   result{awserr.AccessDenied, denied(aliceARN, "sts:AssumeRole", "arn:aws:iam::111111111111:role/missing")},
		},
		{
			name: "G16 the external id is right", trust: []string{trust(aliceARN, justOnce, `{"StringEquals":{"sts:ExternalId":"E1"}}`)},
			caller: func(w *world) *authn.Caller { return w.user(accountA, "alice") }, in: sts.AssumeRoleInput{ExternalID: "E1"}, want: allowed,
		},
		{
			name: "G17 the external id is missing", trust: []string{trust(aliceARN, justOnce, `{"StringEquals":{"sts:ExternalId":"E1"}}`)},
			caller: func(w *world) *authn.Caller { return w.user(accountA, "alice") }, want: deny(aliceARN, "sts:AssumeRole"),
		},
		{
			name: "G18 an external id that nobody asks for", trust: []string{trust(aliceARN, justOnce)},
			caller: func(w *world) *authn.Caller { return w.user(accountA, "alice") }, in: sts.AssumeRoleInput{ExternalID: "Zz"}, want: allowed,
		},
		{
			name: "G19 trust is bound to the id of a namesake that is gone", trust: []string{trust(aliceARN, justOnce)},
			caller: func(w *world) *authn.Caller { return w.user(accountA, "alice") },
			set:    func(r *authn.Entity) { r.Trust = r.Trust.Bind(map[string]string{aliceARN: "AIDAOLD"}) },
			want:   deny(aliceARN, "sts:AssumeRole"),
		},
		{
			name:  "G20 a condition on the ARN is not bound to an id",
			trust: []string{trust(accountA, justOnce, `{"ArnEquals":{"aws:PrincipalArn":"`+aliceARN+`"}}`)},
			caller: func(w *world) *authn.Caller {
				return w.user(accountA, "alice", assumeT)
			},
			set: func(r *authn.Entity) { r.Trust = r.Trust.Bind(map[string]string{}) }, want: allowed,
		},
		{
			name: "G21 a GetSessionToken session is its user", trust: []string{trust(aliceARN, justOnce)},
			caller: userSession(time.Time{}), want: allowed,
		},
		{
			name: "G22 a federated user may not call AssumeRole", trust: []string{trust(aliceARN, justOnce)},
			caller: func(w *world) *authn.Caller {
				c := w.user(accountA, "alice", allowAll)
				c.Kind, c.ARN = authn.FederatedUser, "arn:aws:sts::111111111111:federated-user/bob"
				c.Session = &signer.Claims{Kind: signer.FederatedSession, Account: accountA, SessionName: "bob", ARN: c.ARN}
				return c
			},
			want: deny("arn:aws:sts::111111111111:federated-user/bob", "sts:AssumeRole"),
		},
		{
			name: "G23 the session must be named after the user", trust: []string{trust(accountA, justOnce, `{"StringLike":{"sts:RoleSessionName":"${aws:username}"}}`)},
			caller: func(w *world) *authn.Caller { return w.user(accountA, "alice", assumeT) },
			in:     sts.AssumeRoleInput{RoleSessionName: "alice"}, want: allowed,
		},
		{
			name: "G25 without MFA", trust: []string{trust(aliceARN, justOnce, `{"Bool":{"aws:MultiFactorAuthPresent":"true"}}`)},
			caller: func(w *world) *authn.Caller { return w.user(accountA, "alice") }, want: deny(aliceARN, "sts:AssumeRole"),
		},
		{
			name: "G27 a session made with MFA", trust: []string{trust(aliceARN, justOnce, `{"Bool":{"aws:MultiFactorAuthPresent":"true"}}`)},
			caller: userSession(now.Add(-time.Minute)), want: allowed,
		},
		{
			name: "G28 MFA does not pass into role sessions", trust: []string{trust(roleRARN, justOnce, `{"Bool":{"aws:MultiFactorAuthPresent":"true"}}`)},
			caller: sessionS1(nil), want: deny(s1ARN, "sts:AssumeRole"),
		},
		{
			name: "G30 longer than the role's maximum", trust: []string{trust(aliceARN, justOnce)},
			caller: func(w *world) *authn.Caller { return w.user(accountA, "alice") }, in: sts.AssumeRoleInput{DurationSeconds: ptr(int32(3601))},
			want: result{awserr.ValidationError, "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."},
		},
		{
			name: "G32 longer than role chaining allows", trust: []string{trust(roleRARN, justOnce)},
			caller: sessionS1(nil), in: sts.AssumeRoleInput{DurationSeconds: ptr(int32(3601))},
			set:  func(r *authn.Entity) { r.MaxSessionDuration = 12 * time.Hour },
			want: result{awserr.ValidationError, "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining."},
		},
		{
			name: "G33 the role's maximum is judged before chaining", trust: []string{trust(roleRARN, justOnce)},
			caller: sessionS1(nil), in: sts.AssumeRoleInput{DurationSeconds: ptr(int32(3601))},
			want: result{awserr.ValidationError, "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."},
		},
		{
			name: "G35 a GetSessionToken session is no chaining", trust: []string{trust(aliceARN, justOnce)},
			caller: userSession(time.Time{}), in: sts.AssumeRoleInput{DurationSeconds: ptr(int32(43200))},
			set: func(r *authn.Entity) { r.MaxSessionDuration = 12 * time.Hour }, want: allowed,
		},
		{
			name: "H1 tags without permission", trust: []string{trust(aliceARN, justOnce)},
			caller: func(w *world) *authn.Caller { return w.user(accountA, "alice") }, in: sts.AssumeRoleInput{Tags: []sts.Tag{{Key: "k", Value: "v"}}},
			want: deny(aliceARN, "sts:TagSession"),
		},
		{
			name: "H2 tags with permission", trust: []string{trust(aliceARN, bothTag)},
			caller: func(w *world) *authn.Caller { return w.user(accountA, "alice") }, in: sts.AssumeRoleInput{Tags: []sts.Tag{{Key: "k", Value: "v"}}},
			want: allowed,
		},
		{
			name: "H3 each action is decided separately", trust: []string{trust(accountA, bothTag)},
			caller: func(w *world) *authn.Caller { return w.user(accountA, "alice", assumeT) },
			in:     sts.AssumeRoleInput{Tags: []sts.Tag{{Key: "k", Value: "v"}}}, want: deny(aliceARN, "sts:TagSession"),
		},
		{
			name: "H5 one key in two spellings", trust: []string{trust(aliceARN, bothTag)},
			caller: func(w *world) *authn.Caller { return w.user(accountA, "alice") },
			in:     sts.AssumeRoleInput{Tags: []sts.Tag{{Key: "Dept", Value: "a"}, {Key: "dept", Value: "b"}}},
			want:   result{awserr.InvalidParameterValue, "Duplicate tag keys found. Please note that Tag keys are case insensitive."},
		},
		{
			name: "H8 an inherited transitive tag cannot be overridden", trust: []string{trust(roleRARN, bothTag)},
			caller: sessionS1(transitiveRed), in: sts.AssumeRoleInput{Tags: []sts.Tag{{Key: "TEAM", Value: "red"}}},
			want: result{awserr.InvalidParameterValue, "One of the specified transitive tag keys can't be set because it conflicts with a transitive tag key from the calling session."},
		},
		{
			name: "H9 inheriting a tag needs TagSession", trust: []string{trust(roleRARN, justOnce)},
			caller: sessionS1(transitiveRed), want: deny(s1ARN, "sts:TagSession"),
		},
		{
			name:   "H10 an inherited tag overlays the role's own in the trust decision",
			trust:  []string{trust(roleRARN, bothTag, `{"StringEquals":{"aws:ResourceTag/team":"red"}}`)},
			caller: sessionS1(transitiveRed), set: func(r *authn.Entity) { r.Tags = []authn.Tag{{Key: "team", Value: "blue"}} }, want: allowed,
		},
		{
			name: "H11 a transitive key that is no tag", trust: []string{trust(aliceARN, bothTag)},
			caller: func(w *world) *authn.Caller { return w.user(accountA, "alice") },
			in:     sts.AssumeRoleInput{Tags: []sts.Tag{{Key: "y", Value: "1"}}, TransitiveTagKeys: []string{"x"}},
			want:   result{awserr.InvalidParameterValue, "The specified transitive tag key must be included in the requested tags."},
		},
		{
			name:   "H12 a tag that is not on the list",
			trust:  []string{trust(aliceARN, justOnce), trust(aliceARN, `"sts:TagSession"`, `{"ForAllValues:StringEquals":{"aws:TagKeys":["a"]}}`)},
			caller: func(w *world) *authn.Caller { return w.user(accountA, "alice") },
			in:     sts.AssumeRoleInput{Tags: []sts.Tag{{Key: "a", Value: "1"}, {Key: "b", Value: "2"}}}, want: deny(aliceARN, "sts:TagSession"),
		},
		{
			name:   "H13 a tag with one of the wanted values",
			trust:  []string{trust(aliceARN, justOnce), trust(aliceARN, `"sts:TagSession"`, `{"StringEquals":{"aws:RequestTag/dept":["eng","mkt"]}}`)},
			caller: func(w *world) *authn.Caller { return w.user(accountA, "alice") },
			in:     sts.AssumeRoleInput{Tags: []sts.Tag{{Key: "dept", Value: "eng"}}}, want: allowed,
		},
		{
			name: "H15 a reserved key", trust: []string{trust(aliceARN, bothTag)},
			caller: func(w *world) *authn.Caller { return w.user(accountA, "alice") },
			in:     sts.AssumeRoleInput{Tags: []sts.Tag{{Key: "aws:foo", Value: "1"}}}, want: result{kind: awserr.InvalidParameterValue},
		},
		{
			name: "H16 a source identity without permission", trust: []string{trust(aliceARN, justOnce)},
			caller: func(w *world) *authn.Caller { return w.user(accountA, "alice") }, in: sts.AssumeRoleInput{SourceIdentity: "xx"},
			want: deny(aliceARN, "sts:SetSourceIdentity"),
		},
		{
			name: "H18 the same source identity again", trust: []string{trust(roleRARN, bothSrc)},
			caller: sessionS1(sourceX), in: sts.AssumeRoleInput{SourceIdentity: "xx"}, want: allowed,
		},
		{
			name: "H19 another source identity", trust: []string{trust(roleRARN, bothSrc)},
			caller: sessionS1(sourceX), in: sts.AssumeRoleInput{SourceIdentity: "yy"},
			want: result{awserr.ValidationError, "The source identity is already set for this assume role session"},
		},
		{
			name: "H20 an inherited source identity needs permission", trust: []string{trust(roleRARN, justOnce)},
			caller: sessionS1(sourceX), want: deny(s1ARN, "sts:SetSourceIdentity"),
		},
		{
			name: "H21 a source identity is asked for and missing", trust: []string{trust(aliceARN, bothSrc, `{"StringEquals":{"sts:SourceIdentity":"xx"}}`)},
			caller: func(w *world) *authn.Caller { return w.user(accountA, "alice") }, want: deny(aliceARN, "sts:AssumeRole"),
		},
		{
			name: "an ARN that is none", trust: []string{trust(aliceARN, justOnce)},
			caller: func(w *world) *authn.Caller { return w.user(accountA, "alice") }, in: sts.AssumeRoleInput{RoleARN: "not-an-arn-but-long-enough"},
			want: result{awserr.ValidationError, "not-an-arn-but-long-enough is invalid"},
		},
		{
			name: "the ARN of a provider", trust: []string{trust(aliceARN, justOnce)},
			caller: func(w *world) *authn.Caller { return w.user(accountA, "alice") },
			in:     sts.AssumeRoleInput{RoleARN: "arn:aws:iam::111111111111:saml-provider/x"},
			want:   result{awserr.ValidationError, "Request ARN is invalid"},
		},
		{
			name: "a context assertion is refused, not ignored", trust: []string{trust(aliceARN, justOnce)},
			caller: func(w *world) *authn.Caller { return w.user(accountA, "alice") },
			in:     sts.AssumeRoleInput{ProvidedContexts: []sts.ProvidedContext{{}}}, want: result{kind: awserr.ValidationError},
		},
		{
			name: "a serial number without code", trust: []string{trust(aliceARN, justOnce)},
			caller: func(w *world) *authn.Caller { return w.user(accountA, "alice") },
			in:     sts.AssumeRoleInput{SerialNumber: "arn:aws:iam::111111111111:mfa/x"},
			want:   result{awserr.AccessDenied, "MultiFactorAuthentication failed, must provide both MFA serial number and one time pass code."},
		},
		{
			name: "a code for a device that is not the caller's", trust: []string{trust(aliceARN, justOnce)},
			caller: func(w *world) *authn.Caller { return w.user(accountA, "alice") },
			in:     sts.AssumeRoleInput{SerialNumber: "arn:aws:iam::111111111111:mfa/x", TokenCode: secret.New("123456")},
			want: result{awserr.AccessDenied, "MultiFactorAuthentication failed, unable to validate MFA code.  " +
				"Please verify your MFA serial number is valid and associated with this user."},
		},
		{
			name: "a session policy that is no JSON", trust: []string{trust(aliceARN, justOnce)},
			caller: func(w *world) *authn.Caller { return w.user(accountA, "alice") }, in: sts.AssumeRoleInput{Policy: ptr("{")},
			want: result{kind: awserr.MalformedPolicyDocument},
		},
		{
			name: "a session policy of another account", trust: []string{trust(aliceARN, justOnce)},
			caller: func(w *world) *authn.Caller { return w.user(accountA, "alice") },
			in:     sts.AssumeRoleInput{PolicyARNs: []sts.PolicyDescriptor{{ARN: "arn:aws:iam::222222222222:policy/P"}}},
			want:   result{kind: awserr.ValidationError},
		},
		{
			name: "too much plain text", trust: []string{trust(aliceARN, justOnce)},
			caller: func(w *world) *authn.Caller { return w.user(accountA, "alice") },
			in:     sts.AssumeRoleInput{Policy: ptr(strings.Repeat(" ", 2049))}, want: result{kind: awserr.InvalidParameterValue},
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			role := w.role(accountA, "/", "T", row.trust...)
			if row.set != nil {
				row.set(role)
			}
			in := row.in
			if in.RoleARN == "" {
				in.RoleARN = role.ARN
			}
			if in.RoleSessionName == "" {
				in.RoleSessionName = "s2"
			}
			out, err := w.service().AssumeRole(context.Background(), row.caller(w), &in)
			if row.want == allowed {
				if err != nil {
					t.Fatalf("refused: %v", err)
				}
				if out.AssumedRoleUser.ARN != "arn:aws:sts::111111111111:assumed-role/T/"+in.RoleSessionName || len(w.records) != 1 {
					t.Fatalf("got %+v and %d records", out.AssumedRoleUser, len(w.records))
				}
				return
			}
			wantError(t, err, row.want.kind, row.want.text)
			if len(w.records) != 0 || w.minted != 0 {
				t.Errorf("a refused call minted %d credentials and left %d records", w.minted, len(w.records))
			}
		})
	}
}

// sessionS1 is session s1 of role R.
func sessionS1(change func(*signer.Claims)) func(*world) *authn.Caller {
	return func(w *world) *authn.Caller {
		return w.session(w.role(accountA, "/team/", "R", trust(accountA, justOnce)), "s1", change)
	}
}

func userSession(mfa time.Time) func(*world) *authn.Caller {
	return func(w *world) *authn.Caller {
		c := w.user(accountA, "alice")
		c.Session = &signer.Claims{Kind: signer.UserSession, Account: accountA, ARN: c.ARN, EntityARN: c.ARN, EntityID: c.Entity.ID, IssuedAt: now, MFATime: mfa}
		return c
	}
}

func transitiveRed(s *signer.Claims) {
	s.Tags, s.TransitiveKeys = []signer.Tag{{Key: "team", Value: "red"}, {Key: "other", Value: "1"}}, []string{"team"}
}

func sourceX(s *signer.Claims) { s.SourceIdentity = "xx" }

func TestAssumeRole_Session(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	role := w.role(accountA, "/deep/", "T", trust(roleRARN, bothTag+`,"sts:SetSourceIdentity"`))
	role.MaxSessionDuration = 12 * time.Hour
	caller := sessionS1(func(s *signer.Claims) { transitiveRed(s); sourceX(s) })(w)
	out, err := w.service().AssumeRole(context.Background(), caller, &sts.AssumeRoleInput{
		RoleARN: role.ARN, RoleSessionName: "s2", Tags: []sts.Tag{{Key: "New", Value: "2"}}, TransitiveTagKeys: []string{"new"},
		Policy: ptr(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"store:*","Resource":"*"}}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	if out.SourceIdentity != "xx" || out.PackedPolicySize == nil || *out.PackedPolicySize < 1 || *out.PackedPolicySize > 100 {
		t.Errorf("answer is %+v", out)
	}
	want := &session.Record{
		AccessKeyID: out.Credentials.AccessKeyID, Account: accountA, Kind: "role", EntityID: "AROAT", EntityARN: role.ARN,
		ARN: "arn:aws:sts::111111111111:assumed-role/T/s2", SessionName: "s2", SourceIdentity: "xx", Parent: "ASIASESSION",
		IssuedAt: now, ExpiresAt: now.Add(time.Hour), Chained: true,
	}
	if got := w.records[0]; !reflect.DeepEqual(got, want) {
		t.Errorf("record is %+v\nwant      %+v", got, want)
	}
	if out.AssumedRoleUser.AssumedRoleID != "AROAT:s2" || !out.Credentials.Expiration.Equal(now.Add(time.Hour)) {
		t.Errorf("answer is %+v, %v", out.AssumedRoleUser, out.Credentials.Expiration)
	}
}

func TestAssumeRole_PackedPolicyTooLarge(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	role := w.role(accountA, "/", "T", trust(aliceARN, bothTag))
	tags := make([]sts.Tag, 50)
	for i := range tags {
		var value strings.Builder
		for j := range 64 { // hard to compress
			fmt.Fprintf(&value, "%x", (i*7919+j*104729+i*j*31)%4096)
		}
		tags[i] = sts.Tag{Key: fmt.Sprintf("key-%d", i), Value: value.String()}
	}
	in := &sts.AssumeRoleInput{RoleARN: role.ARN, RoleSessionName: "s2", Tags: tags[:2]}
	if _, err := w.service().AssumeRole(context.Background(), w.user(accountA, "alice"), in); err != nil {
		t.Fatalf("two tags: %v", err)
	}
	in.Tags = tags
	_, err := w.service().AssumeRole(context.Background(), w.user(accountA, "alice"), in)
	wantError(t, err, awserr.PackedPolicyTooLarge, "")
}

func TestAssumeRole_NothingIsHandedOutWithoutRecord(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	role := w.role(accountA, "/", "T", trust(aliceARN, justOnce))
	w.putErr = fmt.Errorf("dial: %w", session.ErrUnavailable)
	out, err := w.service().AssumeRole(context.Background(), w.user(accountA, "alice"), &sts.AssumeRoleInput{RoleARN: role.ARN, RoleSessionName: "s2"})
	wantError(t, err, awserr.ServiceUnavailable, "")
	if out != nil {
		t.Errorf("credentials without a record: %+v", out)
	}
}

func TestGetSessionToken(t *testing.T) {
	t.Parallel()
	root := func(w *world) *authn.Caller {
		c := w.user(accountA, "alice")
		c.Kind, c.ARN = authn.Root, "arn:aws:iam::111111111111:root"
		c.Entity = &authn.Entity{Type: authn.AccountEntity, Account: accountA, ID: accountA, ARN: c.ARN}
		return c
	}
	alice := func(w *world) *authn.Caller {
		return w.user(accountA, "alice", `"Effect":"Deny","Action":"sts:*","Resource":"*"`)
	}
	for _, row := range []struct {
		name   string
		caller func(*world) *authn.Caller
		in     sts.GetSessionTokenInput
		want   time.Duration
		kind   *awserr.Kind
		text   string
	}{
		{name: "J3 no policy can forbid it", caller: alice, want: 12 * time.Hour},
		{name: "a user may ask for 36 hours", caller: alice, in: sts.GetSessionTokenInput{DurationSeconds: ptr(int32(129600))}, want: 36 * time.Hour},
		{name: "J9 root's request is cut to an hour", caller: root, in: sts.GetSessionTokenInput{DurationSeconds: ptr(int32(7200))}, want: time.Hour},
		{name: "root by default gets an hour", caller: root, want: time.Hour},
		{
			name: "J4 session credentials", caller: sessionS1(nil), kind: awserr.AccessDenied,
			text: "Cannot call GetSessionToken with session credentials",
		},
		{name: "a code for no device", caller: alice, in: sts.GetSessionTokenInput{TokenCode: secret.New("123456")}, kind: awserr.AccessDenied},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			out, err := w.service().GetSessionToken(context.Background(), row.caller(w), &row.in)
			if row.kind != nil {
				wantError(t, err, row.kind, row.text)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := out.Credentials.Expiration.Sub(now); got != row.want {
				t.Errorf("lasts %v, want %v", got, row.want)
			}
		})
	}
}

func TestGetCallerIdentity(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := sessionS1(nil)(w)
	out, err := w.service().GetCallerIdentity(context.Background(), c, &sts.GetCallerIdentityInput{})
	if err != nil {
		t.Fatal(err)
	}
	if want := (sts.GetCallerIdentityOutput{UserID: "AROAR:s1", Account: accountA, ARN: s1ARN}); *out != want {
		t.Errorf("got %+v, want %+v", *out, want)
	}
}

func TestGetAccessKeyInfo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	allowed := w.user(accountA, "alice", `"Effect":"Allow","Action":"sts:GetAccessKeyInfo","Resource":"*"`)
	out, err := w.service().GetAccessKeyInfo(context.Background(), allowed, &sts.GetAccessKeyInfoInput{AccessKeyID: "AKIAWDB7XWLS3OBANPCE"})
	if err != nil || out.Account != "418892985061" {
		t.Fatalf("got %+v, %v", out, err)
	}
	_, err = w.service().GetAccessKeyInfo(context.Background(), allowed, &sts.GetAccessKeyInfoInput{AccessKeyID: "AKIAIOSFODNN7EXAMPLE"})
	wantError(t, err, awserr.ValidationError, "")
	_, err = w.service().GetAccessKeyInfo(context.Background(), w.user(accountA, "bob"), &sts.GetAccessKeyInfoInput{AccessKeyID: "AKIAWDB7XWLS3OBANPCE"})
	wantError(t, err, awserr.AccessDenied, "User: arn:aws:iam::111111111111:user/bob is not authorized to perform: sts:GetAccessKeyInfo "+
		"because no identity-based policy allows the sts:GetAccessKeyInfo action")
}
