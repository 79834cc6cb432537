package sts_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

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

const (
	acsURL     = "https://sts.example.com/saml/acs"
	idpEntity  = "https://idp.example.com/saml"
	samlARN    = "arn:aws:iam::111111111111:saml-provider/corp"
	samlRole   = "arn:aws:iam::111111111111:role/people/Dev"
	otherRole  = "arn:aws:iam::111111111111:role/Other"
	samlDenied = "Not authorized to perform sts:AssumeRoleWithSAML"
	trustsCorp = `"Effect":"Allow","Principal":{"Federated":"` + samlARN + `"},"Action":["sts:AssumeRoleWithSAML","sts:TagSession","sts:SetSourceIdentity"]`
)

// samlWorld is a world with one identity provider that account A has registered.
type samlWorld struct {
	*world
	idp      *samltest.IdP
	provider *saml.Provider
	redeemed map[string]time.Time
	guardErr error
}

func newSAMLWorld(t *testing.T) *samlWorld {
	w := &samlWorld{world: newWorld(t), idp: samltest.New(t, idpEntity), redeemed: make(map[string]time.Time)}
	metadata, err := saml.ParseMetadata(w.idp.Metadata())
	if err != nil {
		t.Fatal(err)
	}
	w.provider = &saml.Provider{ARN: samlARN, Account: accountA, Name: "corp", Metadata: metadata}
	w.role(accountA, "/people/", "Dev", trustsCorp)
	return w
}

func (w *samlWorld) SAMLProvider(_ context.Context, a arn.ARN) (*saml.Provider, error) {
	if a.String() != samlARN {
		return nil, fmt.Errorf("provider: %w", authn.ErrUnknown)
	}
	return w.provider, nil
}

func (w *samlWorld) SAMLProvidersOf(_ context.Context, entityID string) ([]*saml.Provider, error) {
	if w.provider.Metadata.EntityID != entityID {
		return nil, nil
	}
	return []*saml.Provider{w.provider}, nil
}

func (w *samlWorld) Endpoints() []string { return []string{acsURL} }
func (w *samlWorld) Audiences() []string { return []string{"urn:amazon:webservices"} }

func (w *samlWorld) Redeem(_ context.Context, name string, _, until time.Time) error {
	if w.guardErr != nil {
		return w.guardErr
	}
	if _, again := w.redeemed[name]; again {
		return session.ErrConsumed
	}
	w.redeemed[name] = until
	return nil
}

// response is a good one that offers the role and another one.
func (w *samlWorld) response(change func(*samltest.Response)) string {
	r := w.idp.Good(now, acsURL)
	r.Attributes[samltest.AttributePrefix+"Role"] = []string{samlRole + "," + samlARN, samlARN + " , " + otherRole}
	if change != nil {
		change(r)
	}
	return w.idp.Encode(w.t, r)
}

// set is a change that gives an attribute other values.
func set(name string, values ...string) func(*samltest.Response) {
	return func(r *samltest.Response) { r.Attributes[samltest.AttributePrefix+name] = values }
}

// assume calls with a response and returns the caller that the audit sees.
func (w *samlWorld) assume(response string, change func(*sts.AssumeRoleWithSAMLInput)) (*sts.AssumeRoleWithSAMLOutput, *authn.Caller, error) {
	in := &sts.AssumeRoleWithSAMLInput{RoleARN: samlRole, PrincipalARN: samlARN, SAMLAssertion: secret.New(response)}
	if change != nil {
		change(in)
	}
	c := &authn.Caller{Kind: authn.Anonymous, Request: &authn.Request{Service: "sts", Time: now, SourceIP: "192.0.2.1"}}
	out, err := sts.New(sts.Config{Directory: w, Minter: w, Sessions: w, SAML: w}).AssumeRoleWithSAML(w.t.Context(), c, in)
	return out, c, err
}

func TestAssumeRoleWithSAML_Answer(t *testing.T) {
	t.Parallel()
	w := newSAMLWorld(t)
	out, caller, err := w.assume(w.response(func(r *samltest.Response) {
		set("PrincipalTag:Team", "blue")(r)
		set("TransitiveTagKeys", "Team")(r)
		set("SourceIdentity", "alice")(r)
	}), nil)
	if err != nil {
		t.Fatal(err)
	}
	qualifier := saml.NameQualifier(idpEntity, accountA, "corp")
	if out.Subject != "alice@example.com" || out.SubjectType != "persistent" || out.Issuer != idpEntity || out.Audience != acsURL ||
		out.NameQualifier != qualifier || out.SourceIdentity != "alice" || out.PackedPolicySize == nil ||
		out.AssumedRoleUser.ARN != "arn:aws:sts::111111111111:assumed-role/Dev/alice" || out.AssumedRoleUser.AssumedRoleID != "AROADEV:alice" ||
		!out.Credentials.Expiration.Equal(now.Add(time.Hour)) {
		t.Errorf("answer is %+v %+v", out, out.AssumedRoleUser)
	}
	if caller.Kind != authn.SAML || caller.Account != accountA || caller.ARN != samlARN || caller.UserID != qualifier+":alice@example.com" {
		t.Errorf("caller is %+v", caller)
	}
	keys := map[string][]string{"saml:sub": {"alice@example.com"}, "saml:sub_type": {"persistent"}, "saml:namequalifier": {qualifier}}
	if diff := cmp.Diff(keys, w.claims.FederatedKeys); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]signer.Tag{{Key: "Team", Value: "blue"}}, w.claims.Tags); diff != "" || !slices.Equal(w.claims.TransitiveKeys, []string{"Team"}) {
		t.Error(diff, w.claims.TransitiveKeys)
	}
	if w.claims.Provider != samlARN || len(w.records) != 1 || w.records[0].Subject != "alice@example.com" {
		t.Errorf("claims %+v, records %+v", w.claims, w.records)
	}
}

func TestAssumeRoleWithSAML_Duration(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		requested *int32
		attribute string
		session   time.Duration
		want      time.Duration
	}{
		"by default an hour":                       {nil, "", 0, time.Hour},
		"as requested":                             {ptr(int32(900)), "", 0, 15 * time.Minute},
		"the attribute shortens":                   {nil, "1800", 0, 30 * time.Minute},
		"the attribute never lengthens":            {ptr(int32(900)), "43200", 0, 15 * time.Minute},
		"the provider's session ends sooner":       {nil, "1800", 20 * time.Minute, 20 * time.Minute},
		"the provider's session may be very short": {nil, "", 90 * time.Second, 90 * time.Second},
		"the provider's session outlasts":          {nil, "", 8 * time.Hour, time.Hour},
	} {
		w := newSAMLWorld(t)
		out, _, err := w.assume(w.response(func(r *samltest.Response) {
			if row.attribute != "" {
				set("SessionDuration", row.attribute)(r)
			}
			if row.session > 0 {
				r.SessionUntil = now.Add(row.session)
			}
		}), func(in *sts.AssumeRoleWithSAMLInput) { in.DurationSeconds = row.requested })
		if err != nil || !out.Credentials.Expiration.Equal(now.Add(row.want)) {
			t.Errorf("%s: %v, %+v", name, err, out)
		}
	}
}

func TestAssumeRoleWithSAML_Refuses(t *testing.T) {
	t.Parallel()
	badName := "RoleSessionName in AuthnResponse must match [a-zA-Z_0-9+=,.@-]{2,64}"
	badSource := `Source Identity must match [a-zA-Z_0-9+=,.@-]{2,64} and not begin with "aws:"`
	badAttribute := "An attribute of the AuthnResponse is not valid"
	invalid := awserr.InvalidIdentityToken
	for name, row := range map[string]struct {
		response func(*samltest.Response)
		input    func(*sts.AssumeRoleWithSAMLInput)
		kind     *awserr.Kind
		text     string
	}{
		"a role that is not offered": {func(r *samltest.Response) { set("Role", otherRole+","+samlARN)(r) }, nil, awserr.AccessDenied, samlDenied},
		"no roles offered":           {func(r *samltest.Response) { delete(r.Attributes, samltest.AttributePrefix+"Role") }, nil, awserr.AccessDenied, samlDenied},
		"the attribute's name in another case": {func(r *samltest.Response) {
			set("role", samlRole+","+samlARN)(r)
			delete(r.Attributes, samltest.AttributePrefix+"Role")
		}, nil, awserr.AccessDenied, samlDenied},
		"a role offered with another provider": {set("Role", samlRole+","+samlARN+"2"), nil, awserr.AccessDenied, samlDenied},
		"a role that does not exist":           {nil, func(in *sts.AssumeRoleWithSAMLInput) { in.RoleARN = otherRole }, awserr.AccessDenied, samlDenied},
		"a role of another account": {set("Role", "arn:aws:iam::222222222222:role/x,"+samlARN),
			func(in *sts.AssumeRoleWithSAMLInput) { in.RoleARN = "arn:aws:iam::222222222222:role/x" }, awserr.AccessDenied, samlDenied},
		"a reserved role": {set("Role", "arn:aws:iam::111111111111:role/AWSReservedSSO_x,"+samlARN),
			func(in *sts.AssumeRoleWithSAMLInput) { in.RoleARN = "arn:aws:iam::111111111111:role/AWSReservedSSO_x" }, awserr.AccessDenied, samlDenied},
		"no NameID":                    {func(r *samltest.Response) { r.NameID = "" }, nil, awserr.AccessDenied, samlDenied},
		"a provider that is not there": {nil, func(in *sts.AssumeRoleWithSAMLInput) { in.PrincipalARN = samlARN + "2" }, invalid, "Specified provider doesn't exist"},
		"no session name":              {func(r *samltest.Response) { clear(r.Attributes) }, nil, invalid, "RoleSessionName is required in AuthnResponse"},
		"a session name with a blank":  {set("RoleSessionName", "a b"), nil, invalid, badName},
		"a session name of one letter": {set("RoleSessionName", "a"), nil, invalid, badName},
		"two session names":            {set("RoleSessionName", "alice", "bob"), nil, invalid, badAttribute},
		"a bad source identity":        {set("SourceIdentity", "x"), nil, invalid, badSource},
		"a reserved source identity":   {set("SourceIdentity", "AWS:x"), nil, invalid, badSource},
		"a duration that is too short": {set("SessionDuration", "899"), nil, invalid, badAttribute},
		"a duration that is no number": {set("SessionDuration", "1h"), nil, invalid, badAttribute},
		"a tag with two values":        {set("PrincipalTag:a", "1", "2"), nil, invalid, badAttribute},
		"a reserved tag": {set("PrincipalTag:aws:a", "1"), nil, awserr.InvalidParameterValue,
			"Tag keys and values must not begin with aws:, which is reserved."},
		"a transitive key without a tag": {set("TransitiveTagKeys", "a"), nil, awserr.InvalidParameterValue,
			"The specified transitive tag key must be included in the requested tags."},
		"too long": {nil, func(in *sts.AssumeRoleWithSAMLInput) { in.DurationSeconds = ptr(int32(3601)) }, awserr.ValidationError, ""},

		"no base64":             {nil, func(in *sts.AssumeRoleWithSAMLInput) { in.SAMLAssertion = secret.New("!!!!") }, invalid, "Invalid base64 SAMLResponse"},
		"no XML":                {nil, func(in *sts.AssumeRoleWithSAMLInput) { in.SAMLAssertion = secret.New("AAAA") }, invalid, "Invalid SAMLResponse"},
		"no signature":          {func(r *samltest.Response) { r.SignAssertion = false }, nil, invalid, "Response signature invalid"},
		"SHA-1":                 {func(r *samltest.Response) { r.SignatureMethod = samltest.RSASHA1 }, nil, invalid, "Response signature invalid"},
		"another issuer":        {func(r *samltest.Response) { r.Issuer = "urn:x" }, nil, invalid, "Issuer not present in specified provider"},
		"another audience":      {func(r *samltest.Response) { r.Audiences = []string{"urn:x"} }, nil, invalid, "Response does not contain the required audience."},
		"another recipient":     {func(r *samltest.Response) { r.Recipient = "https://x.example.com" }, nil, invalid, "Response is not addressed to this service."},
		"two requests answered": {func(r *samltest.Response) { r.InResponseTo, r.ConfirmsRequest = "_1", "_2" }, nil, invalid, "Response and assertion answer different requests."},
		"too early":             {func(r *samltest.Response) { r.NotBefore = now.Add(time.Hour) }, nil, invalid, "Response is not valid yet"},
		"too late":              {func(r *samltest.Response) { r.NotOnOrAfter = now.Add(-time.Hour) }, nil, awserr.ExpiredTokenException, "Response has expired"},
		"after five minutes":    {func(r *samltest.Response) { r.IssueInstant = now.Add(-6 * time.Minute) }, nil, awserr.ExpiredTokenException, "Token must be redeemed within 5 minutes of issuance"},
		"no success at the IdP": {func(r *samltest.Response) { r.Status = "urn:x" }, nil, awserr.IDPRejectedClaim, "The identity provider reported that authentication failed."},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newSAMLWorld(t)
			response := w.response(row.response)
			_, _, err := w.assume(response, row.input)
			wantError(t, err, row.kind, row.text)
			if e, _ := errors.AsType[*awserr.Error](err); strings.Contains(fmt.Sprintf("%v %v", e, errors.Unwrap(err)), "alice") {
				t.Errorf("the error quotes the assertion: %v", err)
			}
			if w.minted != 0 || len(w.redeemed) != 0 {
				t.Error("something was minted or used up")
			}
		})
	}
}

func TestAssumeRoleWithSAML_Trust(t *testing.T) {
	t.Parallel()
	affiliation := "urn:oid:1.3.6.1.4.1.5923.1.1.1.1"
	for name, row := range map[string]struct {
		trust string
		want  bool
	}{
		"the recipient":             {trustsCorp + `,"Condition":{"StringEquals":{"SAML:aud":"` + acsURL + `"}}`, true},
		"another recipient":         {trustsCorp + `,"Condition":{"StringEquals":{"SAML:aud":"https://x"}}`, false},
		"issuer, doc and format":    {trustsCorp + `,"Condition":{"StringEquals":{"saml:iss":"` + idpEntity + `","saml:doc":"111111111111/corp","saml:sub_type":"persistent"}}`, true},
		"the qualifier":             {trustsCorp + `,"Condition":{"StringEquals":{"saml:namequalifier":"` + saml.NameQualifier(idpEntity, accountA, "corp") + `"}}`, true},
		"one of the affiliations":   {trustsCorp + `,"Condition":{"ForAnyValue:StringEquals":{"saml:edupersonaffiliation":"staff"}}`, true},
		"an affiliation not held":   {trustsCorp + `,"Condition":{"ForAnyValue:StringEquals":{"saml:edupersonaffiliation":"boss"}}`, false},
		"the session name":          {trustsCorp + `,"Condition":{"StringEquals":{"sts:RoleSessionName":"alice"}}`, true},
		"the tag":                   {trustsCorp + `,"Condition":{"StringEquals":{"aws:RequestTag/Team":"blue"}}`, true},
		"another provider":          {strings.Replace(trustsCorp, "corp", "else", 1), false},
		"web identity only":         {strings.Replace(trustsCorp, "WithSAML", "WithWebIdentity", 1), false},
		"no tagging":                {strings.Replace(trustsCorp, `"sts:TagSession",`, "", 1), false},
		"no source identity":        {strings.Replace(trustsCorp, `,"sts:SetSourceIdentity"`, "", 1), false},
		"every AWS principal":       {strings.Replace(trustsCorp, `"Federated":"`+samlARN, `"AWS":"*`, 1), false},
		"everybody":                 {strings.Replace(trustsCorp, `{"Federated":"`+samlARN+`"}`, `"*"`, 1), true},
		"the account instead of it": {strings.Replace(trustsCorp, `"Federated":"`+samlARN, `"AWS":"arn:aws:iam::111111111111:root`, 1), false},
	} {
		w := newSAMLWorld(t)
		w.role(accountA, "/people/", "Dev", row.trust)
		_, _, err := w.assume(w.response(func(r *samltest.Response) {
			r.Attributes[affiliation] = []string{"student", "staff"}
			set("PrincipalTag:Team", "blue")(r)
			set("SourceIdentity", "alice")(r)
		}), nil)
		if (err == nil) != row.want {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAssumeRoleWithSAML_SingleUse(t *testing.T) {
	t.Parallel()
	w := newSAMLWorld(t)
	w.role(accountA, "/", "Other", trustsCorp)
	response := w.response(nil)
	if _, _, err := w.assume(response, nil); err != nil {
		t.Fatal(err)
	}
	_, _, err := w.assume(response, nil)
	wantError(t, err, awserr.InvalidIdentityToken, "The SAML assertion has already been used for this role")
	if _, _, err := w.assume(response, func(in *sts.AssumeRoleWithSAMLInput) { in.RoleARN = otherRole }); err != nil {
		t.Errorf("another role of the same sign-in: %v", err)
	}
	for name, until := range w.redeemed {
		if !until.Equal(now.Add(saml.MaxAge+saml.Skew)) || session.CheckGuard(name, now, until) != nil {
			t.Errorf("guarded until %v", until)
		}
	}
	w.guardErr = session.ErrUnavailable
	_, _, err = w.assume(w.response(nil), nil)
	wantError(t, err, awserr.ServiceUnavailable, "")
	if w.minted != 2 {
		t.Errorf("%d minted", w.minted)
	}
}

func TestSAML_NameQualifier(t *testing.T) {
	t.Parallel()
	if q := saml.NameQualifier("https://example.com/saml", "123456789012", "MySAMLIdP"); q != "1uAJanUnBc2XeUkHURMht+xam2c=" {
		t.Error(q)
	}
}
