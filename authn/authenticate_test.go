package authn_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stint-sts/stint/arn"
	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/policy"
	"github.com/stint-sts/stint/secret"
	"github.com/stint-sts/stint/session"
	"github.com/stint-sts/stint/signer"
	"github.com/stint-sts/stint/sigv4"
)

const (
	invalidText  = "The security token included in the request is invalid"
	expiredText  = "The security token included in the request is expired"
	mismatchText = "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and " +
		"signing method. Consult the service documentation for details."
)

var errUnreachable = errors.New("the directory cannot be reached")

func TestAuthenticate_WhoCalls(t *testing.T) {
	t.Parallel()
	type who struct {
		Kind            authn.Kind
		ARN, UserID     string
		Entity          string
		HasSession      bool
		SessionPolicies int
		LimitedByPolicy bool
	}
	for _, row := range []struct {
		name  string
		creds func(*world) sigv4.Credentials
		then  func(*world) // after the credentials were made
		want  who
	}{
		{
			"root's long-lived key",
			func(w *world) sigv4.Credentials { return w.longLived(rootKey) }, nil,
			who{Kind: authn.Root, ARN: "arn:aws:iam::111122223333:root", UserID: account, Entity: account},
		},
		{
			"a user's long-lived key",
			func(w *world) sigv4.Credentials { return w.longLived(userKey) }, nil,
			who{Kind: authn.User, ARN: "arn:aws:iam::111122223333:user/team/alice", UserID: userID, Entity: userID},
		},
		{
			"a role session, whose ARN has no path",
			func(w *world) sigv4.Credentials { return w.mint(w.claims(signer.RoleSession, roleID)) }, nil,
			who{
				Kind: authn.RoleSession, ARN: "arn:aws:sts::111122223333:assumed-role/reader/monday", UserID: roleID + ":monday",
				Entity: roleID, HasSession: true,
			},
		},
		{
			"a user's GetSessionToken session",
			func(w *world) sigv4.Credentials { return w.mint(w.claims(signer.UserSession, userID)) }, nil,
			who{Kind: authn.User, ARN: "arn:aws:iam::111122223333:user/team/alice", UserID: userID, Entity: userID, HasSession: true},
		},
		{
			"a user's session after the user was renamed",
			func(w *world) sigv4.Credentials { return w.mint(w.claims(signer.UserSession, userID)) },
			func(w *world) { w.entity(authn.UserEntity, userID, "alicia") },
			who{Kind: authn.User, ARN: "arn:aws:iam::111122223333:user/team/alicia", UserID: userID, Entity: userID, HasSession: true},
		},
		{
			"root's GetSessionToken session",
			func(w *world) sigv4.Credentials { return w.mint(w.claims(signer.UserSession, account)) }, nil,
			who{Kind: authn.Root, ARN: "arn:aws:iam::111122223333:root", UserID: account, Entity: account, HasSession: true},
		},
		{
			"an AssumeRoot session",
			func(w *world) sigv4.Credentials { return w.mint(w.claims(signer.RootSession, account)) }, nil,
			who{Kind: authn.Root, ARN: "arn:aws:iam::111122223333:root", UserID: account, Entity: account, HasSession: true},
		},
		{
			"a user's GetFederationToken session",
			func(w *world) sigv4.Credentials { return w.mint(w.claims(signer.FederatedSession, userID)) }, nil,
			who{
				Kind: authn.FederatedUser, ARN: "arn:aws:sts::111122223333:federated-user/bob", UserID: account + ":bob",
				Entity: userID, HasSession: true,
			},
		},
		{
			"root's GetFederationToken session",
			func(w *world) sigv4.Credentials { return w.mint(w.claims(signer.FederatedSession, account)) }, nil,
			who{
				Kind: authn.FederatedUser, ARN: "arn:aws:sts::111122223333:federated-user/bob", UserID: account + ":bob",
				Entity: account, HasSession: true,
			},
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			creds := row.creds(w)
			if row.then != nil {
				row.then(w)
			}
			caller, req, err := w.authenticate(call{creds: creds})
			if err != nil {
				t.Fatal(err)
			}
			got := who{
				Kind: caller.Kind, ARN: caller.ARN, UserID: caller.UserID, Entity: caller.Entity.ID,
				HasSession: caller.Session != nil, SessionPolicies: len(caller.SessionPolicies), LimitedByPolicy: caller.SessionPolicies != nil,
			}
			if diff := cmp.Diff(row.want, got); diff != "" {
				t.Errorf("caller (-want +got):\n%s", diff)
			}
			if caller.Account != account || caller.AccessKeyID != creds.AccessKeyID || caller.Request != req {
				t.Errorf("account %s, access key %s, request %p", caller.Account, caller.AccessKeyID, caller.Request)
			}
			if req.Region != "eu-west-1" || req.AccessKeyID != creds.AccessKeyID {
				t.Errorf("the request was completed with region %q, access key id %q", req.Region, req.AccessKeyID)
			}
		})
	}
}

// Each row first shows that its credentials are good, then breaks one thing.
func TestAuthenticate_Refusals(t *testing.T) {
	t.Parallel()
	user := func(w *world) sigv4.Credentials { return w.longLived(userKey) }
	role := func(w *world) sigv4.Credentials { return w.mint(w.claims(signer.RoleSession, roleID)) }
	ofUser := func(w *world) sigv4.Credentials { return w.mint(w.claims(signer.UserSession, userID)) }
	federated := func(w *world) sigv4.Credentials { return w.mint(w.claims(signer.FederatedSession, userID)) }
	for _, row := range []struct {
		name   string
		creds  func(*world) sigv4.Credentials
		change func(*world, *call)
		kind   *awserr.Kind
		text   string
	}{
		{"unknown key", user, func(_ *world, c *call) { c.creds.AccessKeyID = "AKIAWDB7XWLS3OBANPC4" }, awserr.InvalidClientTokenID, invalidText},
		{"deleted key", user, func(w *world, _ *call) { delete(w.keys, userKey) }, awserr.InvalidClientTokenID, invalidText},
		{"inactive key", user, func(w *world, _ *call) { w.keys[userKey].Active = false }, awserr.InvalidClientTokenID, invalidText},
		{"key of a deleted user", user, func(w *world, _ *call) { delete(w.entities, account+"/"+userID) }, awserr.InvalidClientTokenID, invalidText},
		{"key that belongs to a role", user, func(w *world, _ *call) { w.keys[userKey].Owner = roleID }, awserr.InvalidClientTokenID, invalidText},
		{"wrong secret", user, func(_ *world, c *call) { c.creds.SecretAccessKey = secret.New("another") }, awserr.SignatureDoesNotMatch, mismatchText},
		{"key whose secret is lost", user, func(w *world, _ *call) { w.keys[userKey].Secret = secret.String{} }, awserr.SignatureDoesNotMatch, mismatchText},
		{"body changed after signing", user, func(_ *world, c *call) { c.spoil = true }, awserr.SignatureDoesNotMatch, mismatchText},
		{"long-lived key with somebody's session token", user, func(w *world, c *call) {
			c.creds.SessionToken = role(w).SessionToken
		}, awserr.InvalidClientTokenID, invalidText},
		{"temporary key without its token", role, func(_ *world, c *call) { c.creds.SessionToken = secret.String{} }, awserr.InvalidClientTokenID, invalidText},
		{"token of another session of the same role", role, func(w *world, c *call) {
			c.creds.SessionToken = role(w).SessionToken
		}, awserr.InvalidClientTokenID, invalidText},
		{"secret of another session of the same role", role, func(w *world, c *call) {
			c.creds.SecretAccessKey = role(w).SecretAccessKey
		}, awserr.SignatureDoesNotMatch, mismatchText},
		{"garbage for a token", role, func(_ *world, c *call) { c.creds.SessionToken = secret.New("garbage") }, awserr.InvalidClientTokenID, invalidText},
		{"token of another installation", role, func(w *world, c *call) {
			other := newWorld(w.t)
			theirs := other.mint(other.claims(signer.RoleSession, roleID))
			c.creds = theirs
		}, awserr.InvalidClientTokenID, invalidText},
		{"token at the very moment of its end", role, func(w *world, _ *call) { w.now = w.now.Add(time.Hour) }, awserr.ExpiredToken, expiredText},
		{"token after its end", role, func(w *world, _ *call) { w.now = w.now.Add(48 * time.Hour) }, awserr.ExpiredToken, expiredText},
		{"revoked session", role, func(w *world, c *call) {
			w.revoke(func(r *session.Revocation) { r.Credential = c.creds.AccessKeyID })
		}, awserr.ExpiredToken, expiredText},
		{"session of a role whose sessions are revoked", role, func(w *world, _ *call) {
			w.revoke(func(r *session.Revocation) { r.EntityID = roleID })
		}, awserr.ExpiredToken, expiredText},
		{"session of a user whose sessions are revoked", ofUser, func(w *world, _ *call) {
			w.revoke(func(r *session.Revocation) { r.EntityID = userID })
		}, awserr.ExpiredToken, expiredText},
		{"session of an account whose sessions are revoked", role, func(w *world, _ *call) {
			w.revoke(func(r *session.Revocation) { r.All = true })
		}, awserr.ExpiredToken, expiredText},
		{"session of a deleted role", role, func(w *world, _ *call) { delete(w.entities, account+"/"+roleID) }, awserr.InvalidClientTokenID, invalidText},
		{"session of a deleted user", ofUser, func(w *world, _ *call) { delete(w.entities, account+"/"+userID) }, awserr.InvalidClientTokenID, invalidText},
		{"federated session of a deleted user", federated, func(w *world, _ *call) { delete(w.entities, account+"/"+userID) }, awserr.InvalidClientTokenID, invalidText},
		{"role session whose id is a user's", role, func(w *world, _ *call) { w.entities[account+"/"+roleID].Type = authn.UserEntity }, awserr.InvalidClientTokenID, invalidText},
		{"user session whose id is a role's", ofUser, func(w *world, _ *call) { w.entities[account+"/"+userID].Type = authn.RoleEntity }, awserr.InvalidClientTokenID, invalidText},
		{"federated session whose id is a role's", federated, func(w *world, _ *call) { w.entities[account+"/"+userID].Type = authn.RoleEntity }, awserr.InvalidClientTokenID, invalidText},
		{"scope of the other service", user, func(_ *world, c *call) { c.scope = "iam" }, awserr.SignatureDoesNotMatch, "Credential should be scoped to correct service: 'sts'. "},
		{"scope of a third service", user, func(_ *world, c *call) { c.scope = "s3" }, awserr.SignatureDoesNotMatch, "Credential should be scoped to correct service: 'sts'. "},
		{
			"signed too long ago", user, func(w *world, c *call) { c.signedAt = w.now.Add(-15*time.Minute - time.Second) }, awserr.SignatureDoesNotMatch,
			"Signature expired: 20261128T114459Z is now earlier than 20261128T114500Z (20261128T120000Z - 15 min.)",
		},
		{
			"signed ahead of time", user, func(w *world, c *call) { c.signedAt = w.now.Add(15*time.Minute + time.Second) }, awserr.SignatureDoesNotMatch,
			"Signature not yet current: 20261128T121501Z is still later than 20261128T121500Z (20261128T120000Z + 15 min.)",
		},
		{"directory cannot find keys", user, func(w *world, _ *call) { w.keyErr = errUnreachable }, awserr.InternalFailure, ""},
		{"directory cannot find the owner of a key", user, func(w *world, _ *call) { w.entityErr = errUnreachable }, awserr.InternalFailure, ""},
		{"directory cannot find the issuer of a session", role, func(w *world, _ *call) { w.entityErr = errUnreachable }, awserr.InternalFailure, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			c := call{creds: row.creds(w)}
			if _, _, err := w.authenticate(c); err != nil {
				t.Fatalf("before the change: %v", err)
			}
			row.change(w, &c)
			caller, req, err := w.authenticate(c)
			if caller != nil {
				t.Errorf("somebody was authenticated: %+v", caller)
			}
			wantError(t, err, row.kind, row.text)
			if req.AccessKeyID != c.creds.AccessKeyID {
				t.Errorf("the audit would name access key %q, not the claimed %q", req.AccessKeyID, c.creds.AccessKeyID)
			}
			if strings.Contains(err.Error(), c.creds.SecretAccessKey.Reveal()) {
				t.Errorf("the error holds the secret key: %v", err)
			}
			if token := c.creds.SessionToken.Reveal(); token != "" && strings.Contains(err.Error(), token) {
				t.Errorf("the error holds the session token: %v", err)
			}
		})
	}
}

func wantError(t *testing.T, err error, kind *awserr.Kind, text string) {
	t.Helper()
	got := awserr.From(err)
	if got == nil || got.Kind != kind || text != "" && got.Message != text {
		t.Errorf("got %v\nwant %s: %s", err, kind.Code, text)
	}
}

// What is wrong first decides: form, scope and clock, access key, session token and entity, expiry, signature, and only for a
// proven caller what it may not call at all.
func TestAuthenticate_OrderOfChecks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	unknown := sigv4.Credentials{AccessKeyID: "AKIAWDB7XWLS3OBANPC4", SecretAccessKey: secret.New("x")}
	barred := w.mint(w.claims(signer.UserSession, userID))
	over := w.claims(signer.RoleSession, roleID)
	over.IssuedAt, over.ExpiresAt = w.now.Add(-2*time.Hour), w.now.Add(-time.Hour)
	expired := w.mint(over)
	expiredOfNobody := func() sigv4.Credentials {
		w.entity(authn.RoleEntity, "AROAWDB7XWLS3OBANPCEB", "gone")
		c := w.claims(signer.RoleSession, "AROAWDB7XWLS3OBANPCEB")
		c.IssuedAt, c.ExpiresAt = w.now.Add(-2*time.Hour), w.now.Add(-time.Hour)
		creds := w.mint(c)
		delete(w.entities, account+"/AROAWDB7XWLS3OBANPCEB")
		return creds
	}()
	otherKey := expired
	otherKey.AccessKeyID = barred.AccessKeyID
	for _, row := range []struct {
		name string
		call call
		kind *awserr.Kind
		text string
	}{
		{"scope before clock", call{creds: unknown, scope: "iam", signedAt: w.now.Add(-time.Hour)}, awserr.SignatureDoesNotMatch, "Credential should be scoped to correct service: 'sts'. "},
		{"scope before key", call{creds: unknown, scope: "iam"}, awserr.SignatureDoesNotMatch, "Credential should be scoped to correct service: 'sts'. "},
		{"clock before key", call{creds: unknown, signedAt: w.now.Add(-time.Hour)}, awserr.SignatureDoesNotMatch, ""},
		{"clock before expiry", call{creds: expired, signedAt: w.now.Add(-time.Hour)}, awserr.SignatureDoesNotMatch, ""},
		{"key before signature", call{creds: unknown, spoil: true}, awserr.InvalidClientTokenID, invalidText},
		{"key of the token before expiry", call{creds: otherKey}, awserr.InvalidClientTokenID, invalidText},
		{"entity before expiry", call{creds: expiredOfNobody}, awserr.InvalidClientTokenID, invalidText},
		{"expiry before signature", call{creds: expired, spoil: true}, awserr.ExpiredToken, expiredText},
		{"signature before what is barred", call{creds: barred, operation: "AssumeRoot", spoil: true}, awserr.SignatureDoesNotMatch, mismatchText},
		{"what is barred last", call{creds: barred, operation: "AssumeRoot"}, awserr.AccessDenied, "Cannot call AssumeRoot with session credentials"},
	} {
		caller, _, err := w.authenticate(row.call)
		if caller != nil {
			t.Errorf("%s: somebody was authenticated", row.name)
		}
		if got := awserr.From(err); got == nil || got.Kind != row.kind || row.text != "" && got.Message != row.text {
			t.Errorf("%s: got %v", row.name, err)
		}
	}
}

func TestAuthenticate_Material(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, row := range []struct {
		name   string
		header map[string][]string
		kind   *awserr.Kind
		text   string
	}{
		{"none", nil, awserr.MissingAuthenticationToken, "Request is missing Authentication Token"},
		{"another scheme", map[string][]string{"Authorization": {"Basic YTpi"}}, awserr.IncompleteSignature, "Unsupported AWS 'algorithm': 'Basic'."},
		{
			"nothing but the algorithm", map[string][]string{"Authorization": {"AWS4-HMAC-SHA256"}}, awserr.IncompleteSignature,
			"Authorization header requires 'Credential' parameter. Authorization header requires 'Signature' parameter. Authorization header " +
				"requires 'SignedHeaders' parameter. Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.",
		},
		{
			"a comma too many after a good signature",
			map[string][]string{"Authorization": {"AWS4-HMAC-SHA256 Credential=a, Signature=" + strings.Repeat("0f", 32) + ","}}, awserr.IncompleteSignature,
			"'' not a valid key=value pair (missing equal-sign) in Authorization header: 'AWS4-HMAC-SHA256 Credential=a, Signature=[redacted],'.",
		},
		{"two Authorization headers", map[string][]string{"Authorization": {"AWS4-HMAC-SHA256 x", "AWS4-HMAC-SHA256 x"}}, awserr.IncompleteSignature, "'Authorization' must not be given more than once."},
	} {
		req := &authn.Request{Service: "sts", Operation: "GetCallerIdentity"}
		caller, err := w.authenticator().Authenticate(t.Context(), &sigv4.Request{Method: "POST", Path: "/", Host: "h", Header: row.header}, req)
		if got := awserr.From(err); caller != nil || got == nil || got.Kind != row.kind || got.Message != row.text {
			t.Errorf("%s: %v, %v", row.name, caller, err)
		}
	}
}

// A refusal for an access key costs what a wrong signature costs, so that its time does not tell which ids exist.
func TestAuthenticate_StrangersCostAVerification(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	role := w.mint(w.claims(signer.RoleSession, roleID))
	inactive := w.longLived(rootKey)
	w.keys[rootKey].Active = false
	tokenless := role
	tokenless.SessionToken = secret.String{}
	garbage := role
	garbage.SessionToken = secret.New("garbage")
	for _, row := range []struct {
		name              string
		creds             sigv4.Credentials
		verified, unknown int
	}{
		{"known key", w.longLived(userKey), 1, 0},
		{"session", role, 1, 0},
		{"unknown key", sigv4.Credentials{AccessKeyID: "AKIAWDB7XWLS3OBANPC4", SecretAccessKey: secret.New("x")}, 0, 1},
		{"inactive key", inactive, 0, 1},
		{"temporary key without token", tokenless, 0, 1},
		{"garbage for a token", garbage, 0, 1},
	} {
		_, _, _ = w.authenticate(call{creds: row.creds})
		if w.verifier.verified != row.verified || w.verifier.unknown != row.unknown {
			t.Errorf("%s: %d verifications, %d of strangers", row.name, w.verifier.verified, w.verifier.unknown)
		}
	}
}

const (
	allowRead  = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iam:Get*","Resource":"*"}]}`
	allowList  = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iam:List*","Resource":"*"}]}`
	ownPolicy  = "arn:aws:iam::111122223333:policy/own"
	goneManage = "arn:aws:iam::111122223333:policy/gone"
)

func TestAuthenticate_SessionPolicies(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name    string
		inline  string
		managed []string
		count   int
		limited bool // by some list, even an empty one
	}{
		{"none", "", nil, 0, false},
		{"inline", allowRead, nil, 1, true},
		{"managed", "", []string{ownPolicy}, 1, true},
		{"both", allowRead, []string{ownPolicy}, 2, true},
		{"a managed one that was deleted still limits", "", []string{goneManage}, 0, true},
		{"one of two was deleted", "", []string{goneManage, ownPolicy}, 1, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.policies[account+" "+ownPolicy] = mustParse(t, policy.Identity, allowList)
			c := w.claims(signer.RoleSession, roleID)
			c.Policy, c.PolicyARNs = row.inline, row.managed
			creds := w.mint(c)
			for range 2 { // the second time the inline one comes from the cache
				caller, _, err := w.authenticate(call{creds: creds})
				if err != nil {
					t.Fatal(err)
				}
				if len(caller.SessionPolicies) != row.count || (caller.SessionPolicies != nil) != row.limited {
					t.Errorf("%d session policies (nil: %v), want %d, limited %v", len(caller.SessionPolicies), caller.SessionPolicies == nil, row.count, row.limited)
				}
			}
		})
	}
}

// A session policy that cannot be read must not be dropped: without it the session could do more.
func TestAuthenticate_SessionPolicyThatCannotBeRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.claims(signer.RoleSession, roleID)
	c.PolicyARNs = []string{ownPolicy}
	creds := w.mint(c)
	w.policies[account+" "+ownPolicy] = mustParse(t, policy.Identity, allowList)
	if _, _, err := w.authenticate(call{creds: creds}); err != nil {
		t.Fatal(err)
	}
	w.policyErr = errUnreachable
	caller, _, err := w.authenticate(call{creds: creds})
	if caller != nil {
		t.Error("somebody was authenticated")
	}
	wantError(t, err, awserr.InternalFailure, "")

	broken := w.claims(signer.RoleSession, roleID)
	broken.Policy = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow"`
	caller, _, err = w.authenticate(call{creds: w.mint(broken)})
	if caller != nil {
		t.Error("somebody was authenticated with a broken session policy")
	}
	wantError(t, err, awserr.InternalFailure, "")
}

// The cache of inline session policies is bounded: more policies than it holds all work.
func TestAuthenticate_ManyInlinePolicies(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.authenticator()
	seen := make(map[*policy.Document]bool)
	for i := range 1100 {
		c := w.claims(signer.RoleSession, roleID)
		c.Policy = allowRead + strings.Repeat(" ", i)
		r := &sigv4.Request{Method: "POST", Path: "/", Host: "h", Body: []byte(body)}
		if err := sigv4.Sign(r, w.mint(c), "eu-west-1", "sts", w.now); err != nil {
			t.Fatal(err)
		}
		caller, err := a.Authenticate(t.Context(), r, &authn.Request{Service: "sts", Operation: "GetCallerIdentity"})
		if err != nil || len(caller.SessionPolicies) != 1 {
			t.Fatalf("policy %d: %v, %v", i, caller, err)
		}
		seen[caller.SessionPolicies[0]] = true
	}
	if len(seen) != 1100 {
		t.Errorf("%d different documents for 1100 texts", len(seen))
	}
}

func mustParse(t *testing.T, kind policy.Kind, text string) *policy.Document {
	t.Helper()
	d, err := policy.Parse(kind, text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// What each kind of credentials may call at all (AWS IAM User Guide, "Compare AWS STS credentials").
func TestAuthenticate_BarredOperations(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	withMFA := w.claims(signer.UserSession, userID)
	withMFA.MFATime = w.now
	federatedWithMFA := w.claims(signer.FederatedSession, userID)
	federatedWithMFA.MFATime = w.now
	credentials := map[string]sigv4.Credentials{
		"user key":           w.longLived(userKey),
		"root key":           w.longLived(rootKey),
		"role session":       w.mint(w.claims(signer.RoleSession, roleID)),
		"AssumeRoot session": w.mint(w.claims(signer.RootSession, account)),
		"user session":       w.mint(w.claims(signer.UserSession, userID)),
		"user session, MFA":  w.mint(withMFA),
		"root session":       w.mint(w.claims(signer.UserSession, account)),
		"federated":          w.mint(w.claims(signer.FederatedSession, userID)),
		"federated, MFA":     w.mint(federatedWithMFA),
	}
	const (
		yes      = ""
		noIAM    = "InvalidClientTokenId: " + invalidText
		noSTS    = "AccessDenied: Cannot call %s with session credentials"
		identity = "GetCallerIdentity"
	)
	for _, row := range []struct{ who, service, operation, want string }{
		{"user key", "iam", "GetUser", yes},
		{"user key", "sts", "GetFederationToken", yes},
		{"root key", "iam", "GetUser", yes},
		{"root key", "sts", "AssumeRoot", yes},
		{"role session", "iam", "CreateUser", yes},
		{"role session", "sts", "AssumeRoot", yes},
		{"AssumeRoot session", "iam", "DeleteUser", yes},
		{"AssumeRoot session", "sts", identity, yes},
		{"user session", "sts", identity, yes},
		{"user session", "sts", "AssumeRole", yes},
		{"user session", "sts", "GetSessionToken", yes}, // refused by the operation, in its own words
		{"user session", "sts", "GetFederationToken", yes},
		{"user session", "sts", "GetAccessKeyInfo", noSTS},
		{"user session", "sts", "AssumeRoot", noSTS},
		{"user session", "iam", "GetUser", noIAM},
		{"user session, MFA", "iam", "GetUser", yes},
		{"user session, MFA", "sts", "GetAccessKeyInfo", noSTS},
		{"root session", "iam", "GetUser", noIAM},
		{"root session", "sts", identity, yes},
		{"federated", "sts", identity, yes},
		{"federated", "sts", "AssumeRole", noSTS},
		{"federated", "sts", "AssumeRoot", noSTS},
		{"federated", "iam", "GetUser", noIAM},
		{"federated, MFA", "iam", "GetUser", noIAM},
	} {
		caller, _, err := w.authenticate(call{creds: credentials[row.who], service: row.service, operation: row.operation})
		want := strings.ReplaceAll(row.want, "%s", row.operation)
		got := ""
		if e := awserr.From(err); e != nil {
			got = e.Kind.Code + ": " + e.Message
		}
		if got != want || (caller != nil) != (want == yes) {
			t.Errorf("%s, %s:%s: got %q, want %q", row.who, row.service, row.operation, got, want)
		}
	}
}

// A caller is named by what the token says, never by what the request says.
func TestAuthenticate_AccountOfAnotherInstallation(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.claims(signer.RoleSession, roleID)
	if _, _, err := w.authenticate(call{creds: w.mint(c)}); err != nil {
		t.Fatal(err)
	}
	foreign := *w.claims(signer.RoleSession, roleID)
	foreign.Account, foreign.ARN = "444455556666", arn.AssumedRole("444455556666", "reader", "monday")
	caller, _, err := w.authenticate(call{creds: w.mint(&foreign)})
	if caller != nil {
		t.Error("a role id of one account served a session of another")
	}
	wantError(t, err, awserr.InvalidClientTokenID, invalidText)
}
