package sts_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/secret"
	"github.com/stint-sts/stint/session"
	"github.com/stint-sts/stint/session/redis"
	"github.com/stint-sts/stint/session/redistest"
	"github.com/stint-sts/stint/sts"
)

const (
	mfaPresent = `{"Bool":{"aws:MultiFactorAuthPresent":"true"}}`
	mfaRecent  = `{"Bool":{"aws:MultiFactorAuthPresent":"true"},"NumericEquals":{"aws:MultiFactorAuthAge":"0"}}`
	mfaAbsent  = `{"Null":{"aws:MultiFactorAuthPresent":"true","aws:MultiFactorAuthAge":"true"}}`
	mfaFalse   = `{"Bool":{"aws:MultiFactorAuthPresent":"false"},"Null":{"aws:MultiFactorAuthAge":"true"}}`

	halfMFA    = "MultiFactorAuthentication failed, must provide both MFA serial number and one time pass code."
	wrongMFA   = "MultiFactorAuthentication failed with invalid MFA one time pass code. "
	unknownMFA = "MultiFactorAuthentication failed, unable to validate MFA code.  " +
		"Please verify your MFA serial number is valid and associated with this user."

	phone  = "arn:aws:iam::111111111111:mfa/phone"
	bobs   = "arn:aws:iam::111111111111:mfa/bobs"
	absent = "arn:aws:iam::111111111111:mfa/absent"
)

// withDevices gives alice the device "phone" and bob the device "bobs", which show the same codes.
func withDevices(w *world) {
	w.device(w.user(accountA, "alice"), "phone")
	w.device(w.user(accountA, "bob"), "bobs")
	w.mfa.devices[accountA+"AIDABOB"+bobs].Seed = seedOf("phone")
}

func alice(w *world) *authn.Caller { return w.user(accountA, "alice") }

// What AssumeRole makes of a serial number and a code (reference/policy-cases.md G25 to G29; AWS IAM User Guide, "Secure API access with MFA").
func TestAssumeRole_MFA(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name      string
		condition string // of the trust policy; empty: none
		caller    func(*world) *authn.Caller
		serial    string
		step      int // of the code
		code      string
		want      string // message of AccessDenied; empty: allowed
	}{
		{name: "G25 the right code satisfies the condition", condition: mfaPresent, caller: alice, serial: phone},
		{name: "the factor is of this moment", condition: mfaRecent, caller: alice, serial: phone, step: 1},
		{name: "G26 without a code the keys are absent", condition: mfaAbsent, caller: alice, code: "-"},
		{name: "G26 without a code", condition: mfaPresent, caller: alice, code: "-", want: denied(aliceARN, "sts:AssumeRole", roleTARN)},
		{name: "a code that nothing asks for", caller: alice, serial: phone},
		{name: "a wrong code that nothing asks for", caller: alice, serial: phone, code: "000000", want: wrongMFA},
		{name: "the code of another time", condition: mfaPresent, caller: alice, serial: phone, step: 2, want: wrongMFA},
		{name: "serial number without code", caller: alice, serial: phone, code: "-", want: halfMFA},
		{name: "code without serial number", caller: alice, want: halfMFA},
		{name: "device that is not there", caller: alice, serial: absent, want: unknownMFA},
		{name: "device of another user", condition: mfaPresent, caller: alice, serial: bobs, want: unknownMFA},
		{name: "role session has no device", caller: sessionS1(nil), serial: phone, want: unknownMFA},
		{name: "role session, half", caller: sessionS1(nil), serial: phone, code: "-", want: halfMFA},
		{name: "G27 session made with MFA, no code", condition: mfaPresent, caller: userSession(now.Add(-time.Hour)), code: "-"},
		{
			name: "session made with MFA an hour ago is not recent", condition: mfaRecent, caller: userSession(now.Add(-time.Hour)), code: "-",
			want: denied(aliceARN, "sts:AssumeRole", roleTARN),
		},
		{name: "session made with MFA an hour ago, and a code now", condition: mfaRecent, caller: userSession(now.Add(-time.Hour)), serial: phone},
		{name: "session made without MFA", condition: mfaPresent, caller: userSession(time.Time{}), code: "-", want: denied(aliceARN, "sts:AssumeRole", roleTARN)},
		{name: "session made without MFA has the key", condition: mfaFalse, caller: userSession(time.Time{}), code: "-"},
		{name: "session made without MFA, and a code now", condition: mfaPresent, caller: userSession(time.Time{}), serial: phone},
		{name: "session made with MFA and a wrong code now", condition: mfaPresent, caller: userSession(now), serial: phone, code: "000000", want: wrongMFA},
		{name: "role session has the key, false", condition: mfaFalse, caller: sessionS1(nil), code: "-"},
		{name: "G28 role session", condition: mfaPresent, caller: sessionS1(nil), code: "-", want: denied(s1ARN, "sts:AssumeRole", roleTARN)},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			withDevices(w)
			c := row.caller(w)
			condition := []string{}
			if row.condition != "" {
				condition = append(condition, row.condition)
			}
			role := w.role(accountA, "/", "T", trust(c.ARN, justOnce, condition...))
			in := &sts.AssumeRoleInput{RoleARN: role.ARN, RoleSessionName: "s2", SerialNumber: row.serial, TokenCode: secret.New(row.code)}
			switch row.code {
			case "":
				in.TokenCode = codeOf(t, "phone", row.step)
			case "-":
				in.TokenCode = secret.String{}
			}
			out, err := w.service().AssumeRole(t.Context(), c, in)
			if row.want != "" {
				wantError(t, err, awserr.AccessDenied, row.want)
				if len(w.records) != 0 || w.minted != 0 {
					t.Errorf("a refused call minted %d credentials and left %d records", w.minted, len(w.records))
				}
				return
			}
			if err != nil {
				t.Fatalf("refused: %v", err)
			}
			if out.Credentials == nil || w.records[0].MFA {
				t.Error("the role session carries MFA")
			}
		})
	}
}

// G29 and its kin: a code works once, whatever it is used for.
func TestMFA_CodeWorksOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	withDevices(w)
	role := w.role(accountA, "/", "T", trust(aliceARN, justOnce, mfaPresent))
	closed := w.role(accountA, "/", "Closed", trust(s1ARN, justOnce))
	s := w.service()
	assume := func(arn string, step int) error {
		_, err := s.AssumeRole(t.Context(), alice(w), &sts.AssumeRoleInput{
			RoleARN: arn, RoleSessionName: "s2", SerialNumber: phone, TokenCode: codeOf(t, "phone", step),
		})
		return err
	}
	login := func(step int) error {
		_, err := s.GetSessionToken(t.Context(), alice(w), &sts.GetSessionTokenInput{SerialNumber: phone, TokenCode: codeOf(t, "phone", step)})
		return err
	}
	if err := assume(role.ARN, -1); err != nil {
		t.Fatal(err)
	}
	wantError(t, assume(role.ARN, -1), awserr.AccessDenied, wrongMFA)
	wantError(t, login(-1), awserr.AccessDenied, wrongMFA)
	if err := login(0); err != nil {
		t.Fatal(err)
	}
	wantError(t, assume(role.ARN, 0), awserr.AccessDenied, wrongMFA)
	wantError(t, assume(closed.ARN, 1), awserr.AccessDenied, denied(aliceARN, "sts:AssumeRole", closed.ARN))
	wantError(t, login(1), awserr.AccessDenied, wrongMFA) // consumed though the call was denied
}

func TestGetSessionToken_MFA(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name   string
		caller func(*world) *authn.Caller
		serial string
		code   string // empty: the right one; "-": none
		mfa    time.Time
		want   string
	}{
		{name: "without", caller: alice, code: "-"},
		{name: "with the right code", caller: alice, serial: phone, mfa: now},
		{name: "wrong code", caller: alice, serial: phone, code: "000000", want: wrongMFA},
		{name: "serial number without code", caller: alice, serial: phone, code: "-", want: halfMFA},
		{name: "code without serial number", caller: alice, want: halfMFA},
		{name: "device that is not there", caller: alice, serial: absent, want: unknownMFA},
		{name: "device of another user", caller: alice, serial: bobs, want: unknownMFA},
		{name: "root with its own device", caller: rootCaller, serial: "arn:aws:iam::111111111111:mfa/roots", mfa: now},
		{name: "root with a user's device", caller: rootCaller, serial: phone, want: unknownMFA},
		{name: "user with root's device", caller: alice, serial: "arn:aws:iam::111111111111:mfa/roots", want: unknownMFA},
		{name: "session", caller: userSession(now), serial: phone, want: "Cannot call GetSessionToken with session credentials"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			withDevices(w)
			w.device(rootCaller(w), "roots")
			w.mfa.devices[accountA+accountA+"arn:aws:iam::111111111111:mfa/roots"].Seed = seedOf("phone")
			in := &sts.GetSessionTokenInput{SerialNumber: row.serial, TokenCode: secret.New(strings.Trim(row.code, "-"))}
			if row.code == "" {
				in.TokenCode = codeOf(t, "phone", 0)
			}
			_, err := w.service().GetSessionToken(t.Context(), row.caller(w), in)
			if row.want != "" {
				wantError(t, err, awserr.AccessDenied, row.want)
				if w.minted != 0 {
					t.Error("a refused call minted credentials")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := w.records[0].MFA; got != !row.mfa.IsZero() || !w.claims.MFATime.Equal(row.mfa) {
				t.Errorf("record says MFA %t, claims %s, want %s", got, w.claims.MFATime, row.mfa)
			}
		})
	}
}

// A throttled attempt reads like a wrong code, and a right code during the wait is refused too.
func TestMFA_Throttle(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	withDevices(w)
	s := w.service()
	login := func(serial string, code secret.String) error {
		_, err := s.GetSessionToken(t.Context(), alice(w), &sts.GetSessionTokenInput{SerialNumber: serial, TokenCode: code})
		return err
	}
	for range 5 {
		wantError(t, login(phone, secret.New("000000")), awserr.AccessDenied, wrongMFA)
		wantError(t, login(absent, secret.New("000000")), awserr.AccessDenied, unknownMFA)
	}
	wantError(t, login(phone, codeOf(t, "phone", 0)), awserr.AccessDenied, wrongMFA)
	wantError(t, login(absent, codeOf(t, "phone", 0)), awserr.AccessDenied, unknownMFA)
	if _, err := s.GetSessionToken(t.Context(), w.user(accountA, "bob"), &sts.GetSessionTokenInput{
		SerialNumber: bobs, TokenCode: codeOf(t, "phone", 0),
	}); err != nil {
		t.Errorf("another user is throttled too: %v", err)
	}
}

// brokenState fails at one method.
type brokenState struct {
	state
	consume, attempt, succeed error
}

func (b brokenState) Consume(ctx context.Context, name string, since, until time.Time) error {
	return errors.Join(b.consume, b.state.Consume(ctx, name, since, until))
}

func (b brokenState) Attempt(ctx context.Context, name string) (bool, error) {
	if b.attempt != nil {
		return true, b.attempt
	}
	return b.state.Attempt(ctx, name)
}

func (b brokenState) Succeed(ctx context.Context, name string) error {
	return errors.Join(b.succeed, b.state.Succeed(ctx, name))
}

// When guard or throttle cannot be asked nothing is minted, whatever the code.
func TestMFA_FailsClosed(t *testing.T) {
	t.Parallel()
	for name, broken := range map[string]brokenState{
		"guard":            {consume: session.ErrUnavailable},
		"throttle":         {attempt: session.ErrUnavailable},
		"throttle, behind": {succeed: session.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			withDevices(w)
			role := w.role(accountA, "/", "T", trust(aliceARN, justOnce))
			broken.state = openState(t, t.TempDir(), func() time.Time { return now })
			w.mfa.state = broken
			s := w.service()
			in := &sts.AssumeRoleInput{RoleARN: role.ARN, RoleSessionName: "s2", SerialNumber: phone, TokenCode: codeOf(t, "phone", 0)}
			_, err := s.AssumeRole(t.Context(), alice(w), in)
			wantError(t, err, awserr.ServiceUnavailable, "")
			_, err = s.GetSessionToken(t.Context(), alice(w), &sts.GetSessionTokenInput{SerialNumber: phone, TokenCode: codeOf(t, "phone", 1)})
			wantError(t, err, awserr.ServiceUnavailable, "")
			if broken.attempt != nil {
				in.SerialNumber = absent
				_, err = s.AssumeRole(t.Context(), alice(w), in)
				wantError(t, err, awserr.ServiceUnavailable, "")
			}
			if w.minted != 0 {
				t.Errorf("%d credentials are minted", w.minted)
			}
		})
	}
}

// Many calls with one code, through several nodes: one passes.
func TestMFA_RacingCallsWithOneCode(t *testing.T) {
	t.Parallel()
	clock := func() time.Time { return now }
	for _, backend := range []struct {
		name string
		open func(t *testing.T) []state
	}{
		{"embedded", func(t *testing.T) []state { return []state{openState(t, t.TempDir(), clock)} }},
		{"redis", func(t *testing.T) (nodes []state) {
			server := redistest.Start(t)
			for range 4 {
				s, err := redis.New(redis.Config{URL: server.URL(), Timeout: 10 * time.Second, Now: clock})
				if err != nil {
					t.Fatal(err)
				}
				if err := s.Found(t.Context()); err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = s.Close() })
				nodes = append(nodes, s)
			}
			return nodes
		}},
	} {
		t.Run(backend.name, func(t *testing.T) {
			t.Parallel()
			var services []*sts.Service
			var worlds []*world
			for _, node := range backend.open(t) {
				w := newWorld(t)
				withDevices(w)
				w.role(accountA, "/", "T", trust(aliceARN, justOnce, mfaPresent))
				w.mfa.state = node
				services, worlds = append(services, w.service()), append(worlds, w)
			}
			for step := -1; step <= 1; step++ {
				var passed atomic.Int32
				var racing sync.WaitGroup
				code := codeOf(t, "phone", step)
				start := make(chan struct{})
				for i := range 32 {
					racing.Go(func() {
						c := alice(worlds[i%len(worlds)])
						<-start
						var err error
						if s := services[i%len(services)]; i%2 == 0 {
							_, err = s.GetSessionToken(t.Context(), c, &sts.GetSessionTokenInput{SerialNumber: phone, TokenCode: code})
						} else {
							_, err = s.AssumeRole(t.Context(), c, &sts.AssumeRoleInput{
								RoleARN: roleTARN, RoleSessionName: "s2", SerialNumber: phone, TokenCode: code,
							})
						}
						switch e := awserr.From(err); {
						case err == nil:
							passed.Add(1)
						case e.Kind != awserr.AccessDenied || e.Message != wrongMFA:
							t.Errorf("%v", err)
						}
					})
				}
				close(start)
				racing.Wait()
				if passed.Load() != 1 {
					t.Fatalf("%d of 32 calls with one code passed", passed.Load())
				}
				clearFailures(t, worlds[0])
			}
		})
	}
}

// clearFailures lets the next code be tried, as time would.
func clearFailures(t *testing.T, w *world) {
	t.Helper()
	for _, d := range w.mfa.devices {
		if err := w.mfa.state.Succeed(t.Context(), "mfa/"+d.ID); err != nil {
			t.Fatal(err)
		}
	}
}

// A restart brings back neither a used code nor the attempts that were made.
func TestMFA_SurvivesRestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	try := func(serial string, code secret.String) error {
		w := newWorld(t)
		withDevices(w)
		node := openState(t, dir, func() time.Time { return now })
		w.mfa.state = node
		_, err := w.service().GetSessionToken(t.Context(), alice(w), &sts.GetSessionTokenInput{SerialNumber: serial, TokenCode: code})
		if err := node.Close(); err != nil {
			t.Fatal(err)
		}
		return err
	}
	if err := try(phone, codeOf(t, "phone", 0)); err != nil {
		t.Fatal(err)
	}
	wantError(t, try(phone, codeOf(t, "phone", 0)), awserr.AccessDenied, wrongMFA)
	if err := try(phone, codeOf(t, "phone", 1)); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		wantError(t, try(phone, secret.New("000000")), awserr.AccessDenied, wrongMFA)
	}
	wantError(t, try(phone, codeOf(t, "phone", -1)), awserr.AccessDenied, wrongMFA) // right and unused, but throttled
}
