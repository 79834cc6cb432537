package server_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/stint-sts/stint/federation/oidctest"
	"github.com/stint-sts/stint/federation/samltest"
	"github.com/stint-sts/stint/secret"
	"github.com/stint-sts/stint/server"
	"github.com/stint-sts/stint/sigv4"
)

// compat is a stint whose answers are held against the reference: a management account with users and roles of all kinds, and a member
// account. It serves over loopback, so that what is compared are the bytes of HTTP.
type compat struct {
	t      *testing.T
	server *server.Server
	now    *httptest.Server // calls arrive when they are sent
	past   *httptest.Server // two hours before
	full   *httptest.Server // every account has as many calls in flight as it may
	who    map[string]sigv4.Credentials
	ids    map[string]string // unique ids by the name of the user or role

	devices int // made so far
	client  *http.Client
	idp     *oidctest.IdP
	corp    *samltest.IdP
}

const (
	compatAccount = "111122223333"
	compatMember  = "444455556666"
	compatACS     = "https://sts.example.com/saml/acs"
	corpProvider  = "arn:aws:iam::111122223333:saml-provider/corp"
	compatTask    = "arn:aws:iam::aws:policy/root-task/IAMAuditRootUserCredentials"
)

// openCompat opens a stint with nothing in it but root.
func openCompat(t *testing.T, settings map[string]string) *compat {
	t.Helper()
	env := map[string]string{
		"STINT_DATA_DIR": filepath.Join(t.TempDir(), "data"), "STINT_ACCOUNT_ID": compatAccount, "STINT_MANAGEMENT_ACCOUNT": compatAccount,
		"STINT_AUTHORIZATION_MESSAGES": "true", "STINT_SAML_ACS_URL": compatACS,
	}
	maps.Copy(env, settings)
	cfg, err := load("", env, nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := server.Open(context.Background(), cfg, "test", slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError + 1})))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	welcome, err := s.Bootstrap(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	w := &compat{t: t, server: s, client: &http.Client{Transport: &http.Transport{}}, ids: make(map[string]string), who: map[string]sigv4.Credentials{
		"root": {AccessKeyID: welcome.AccessKeyID, SecretAccessKey: welcome.SecretAccessKey}, "nobody": {},
	}}
	t.Cleanup(w.client.CloseIdleConnections)
	earlier := func() time.Time { return time.Now().Add(-2 * time.Hour) }
	w.now, w.past, w.full = w.listen(time.Now, 256), w.listen(earlier, 256), w.listen(time.Now, -1)
	return w
}

func (w *compat) listen(now func() time.Time, maxPerAccount int) *httptest.Server {
	w.t.Helper()
	h, err := server.PublicHandler(w.server, now, maxPerAccount)
	if err != nil {
		w.t.Fatal(err)
	}
	l := httptest.NewServer(h)
	w.t.Cleanup(l.Close)
	return l
}

// wireCall is a call as an SDK would send it, and what of it is otherwise.
type wireCall struct {
	who     string // whose credentials; "nobody" does not sign
	action  string
	params  url.Values
	service string // sts

	at     *httptest.Server                                        // default: now
	method string                                                  // POST; a GET has the parameters in the query string
	query  string                                                  // of the URL, beside the body
	raw    *string                                                 // the body, whatever action and params say
	before func(*http.Request)                                     // changes the request before it is signed
	after  func(*http.Request)                                     // … afterwards
	sign   func(r *sigv4.Request, c sigv4.Credentials) (err error) // default: as SDKs do, now
}

// wireAnswer is a call that was answered.
type wireAnswer struct {
	request  *http.Request
	sent     string // the body
	response *http.Response
	body     string
}

// do sends the call.
func (w *compat) do(c wireCall) (*wireAnswer, error) {
	if c.service == "" {
		c.service = "sts"
	}
	if c.at == nil {
		c.at = w.now
	}
	if c.method == "" {
		c.method = http.MethodPost
	}
	creds, known := w.who[c.who]
	if !known {
		return nil, fmt.Errorf("nobody is called %q", c.who)
	}
	body := c.form()
	if c.raw != nil {
		body = *c.raw
	}
	target := c.at.URL + "/"
	switch {
	case c.method == http.MethodGet:
		target, body = target+"?"+body, ""
	case c.query != "":
		target += "?" + c.query
	}
	r, err := http.NewRequestWithContext(w.t.Context(), c.method, target, nil)
	if err != nil {
		return nil, err
	}
	if body != "" {
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
		r.Header.Set("Content-Type", formType)
	}
	if c.before != nil {
		c.before(r)
	}
	if creds.AccessKeyID != "" {
		signed := sigv4.Request{
			Method: r.Method, Path: r.URL.EscapedPath(), RawQuery: r.URL.RawQuery, Host: r.URL.Host, Header: r.Header, Body: []byte(body),
		}
		sign := c.sign
		if sign == nil {
			sign = signedAt(time.Now(), "eu-west-1", c.service)
		}
		if err := sign(&signed, creds); err != nil {
			return nil, err
		}
		r.URL.RawQuery = signed.RawQuery
	}
	if c.after != nil {
		c.after(r)
	}
	response, err := w.client.Do(r)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	raw, err := io.ReadAll(response.Body)
	return &wireAnswer{r, body, response, string(raw)}, err
}

func (c *wireCall) form() string {
	form := url.Values{"Action": {c.action}, "Version": {"2011-06-15"}}
	if c.service == "iam" {
		form.Set("Version", "2010-05-08")
	}
	maps.Copy(form, c.params)
	return form.Encode()
}

// signedAt signs as SDKs do, with another clock, region or service.
func signedAt(at time.Time, region, service string) func(*sigv4.Request, sigv4.Credentials) error {
	return func(r *sigv4.Request, c sigv4.Credentials) error { return sigv4.Sign(r, c, region, service, at) }
}

// with makes parameters of pairs.
func with(pairs ...string) url.Values {
	v := make(url.Values, len(pairs)/2)
	for i := 0; i < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	return v
}

// must sends a call that succeeds.
func (w *compat) must(c wireCall) answer {
	w.t.Helper()
	got, err := w.do(c)
	if err != nil {
		w.t.Fatal(err)
	}
	if got.response.StatusCode != http.StatusOK {
		w.t.Fatalf("%s by %s: %s", c.action, c.who, got.body)
	}
	return answer{got.response, got.body}
}

// directory sends a call to IAM as root of the management account.
func (w *compat) directory(action string, pairs ...string) answer {
	w.t.Helper()
	return w.must(wireCall{who: "root", action: action, params: with(pairs...), service: "iam"})
}

func (w *compat) keep(name string, a answer) {
	w.who[name] = sigv4.Credentials{
		AccessKeyID: a.element("AccessKeyId"), SecretAccessKey: secret.New(a.element("SecretAccessKey")),
		SessionToken: secret.New(a.element("SessionToken")),
	}
}

func (w *compat) user(name, policy string) {
	w.t.Helper()
	w.ids[name] = w.directory("CreateUser", "UserName", name).element("UserId")
	w.keep(name, w.directory("CreateAccessKey", "UserName", name))
	if policy != "" {
		w.directory("PutUserPolicy", "UserName", name, "PolicyName", "p", "PolicyDocument", compatPolicy(policy))
	}
}

func (w *compat) role(name, trust string, more ...string) {
	w.t.Helper()
	w.ids[name] = w.directory("CreateRole", append([]string{"RoleName", name, "AssumeRolePolicyDocument", compatPolicy(trust)}, more...)...).element("RoleId")
	w.directory("PutRolePolicy", "RoleName", name, "PolicyName", "p", "PolicyDocument", compatPolicy(`{"Effect":"Allow","Action":"*","Resource":"*"}`))
}

func (w *compat) session(name, who, action string, pairs ...string) {
	w.t.Helper()
	w.keep(name, w.must(wireCall{who: who, action: action, params: with(pairs...)}))
}

// compatPolicy is a policy of statements.
func compatPolicy(statements string) string {
	return `{"Version":"2012-10-17","Statement":[` + statements + `]}`
}

// device makes an MFA device of the user and returns its serial number and a code that is good, once. The codes that enable it are of
// the steps before.
func (w *compat) device(user string) (serial, code string) {
	w.t.Helper()
	made := w.directory("CreateVirtualMFADevice", "VirtualMFADeviceName", fmt.Sprintf("%s-%d", user, w.devices))
	w.devices++
	serial = made.element("SerialNumber")
	seed := fromBase64(w.t, made.element("Base32StringSeed"))
	now := time.Now()
	codes := make([]string, 3)
	for i := range codes {
		var err error
		if codes[i], err = totp.GenerateCode(seed, now.Add(time.Duration(i-1)*30*time.Second)); err != nil {
			w.t.Fatal(err)
		}
	}
	name := user
	if user == "root" {
		name = compatAccount
	}
	w.directory("EnableMFADevice", "UserName", name, "SerialNumber", serial, "AuthenticationCode1", codes[0], "AuthenticationCode2", codes[1])
	return serial, codes[2]
}

const (
	allowSTS   = `{"Effect":"Allow","Action":"sts:*","Resource":"*"}`
	trustAll   = `"Action":["sts:AssumeRole","sts:TagSession","sts:SetSourceIdentity"]`
	byAccount  = `"Principal":{"AWS":"arn:aws:iam::111122223333:root"}`
	toAssume   = `"Effect":"Allow",` + byAccount + `,"Action":"sts:AssumeRole"`
	workerRole = "arn:aws:iam::111122223333:role/team/worker"
	roleARN    = "arn:aws:iam::111122223333:role/"
)

// populate makes who calls.
func (w *compat) populate() {
	w.t.Helper()
	root, err := server.CreateAccount(w.t.Context(), w.server, compatMember)
	if err != nil {
		w.t.Fatal(err)
	}
	w.who["member root"] = root
	w.user("alice", allowSTS)
	w.user("bob", "")
	w.user("carol", allowSTS)
	w.user("temp", "")
	w.user("leaver", "")
	w.user("denied", `{"Effect":"Deny","Action":"*","Resource":"*"}`)
	w.directory("TagUser", "UserName", "alice", "Tags.member.1.Key", "Team", "Tags.member.1.Value", "green")

	w.role("worker", `{"Effect":"Allow",`+byAccount+`,`+trustAll+`}`, "Path", "/team/", "Tags.member.1.Key", "Department", "Tags.member.1.Value", "sales")
	w.role("plain", `{`+toAssume+`}`)
	w.role("long", `{`+toAssume+`}`, "MaxSessionDuration", "43200")
	w.role("alice-only", `{"Effect":"Allow","Principal":{"AWS":["arn:aws:iam::111122223333:user/alice","arn:aws:iam::111122223333:user/bob"]},"Action":"sts:AssumeRole"}`)
	w.role("external", `{`+toAssume+`,"Condition":{"StringEquals":{"sts:ExternalId":"shared:secret"}}}`)
	w.role("mfa", `{`+toAssume+`,"Condition":{"Bool":{"aws:MultiFactorAuthPresent":"true"}}}`)
	w.role("fresh-mfa", `{`+toAssume+`,"Condition":{"NumericLessThan":{"aws:MultiFactorAuthAge":"60"}}}`)
	w.role("no-mfa-known", `{`+toAssume+`,"Condition":{"Null":{"aws:MultiFactorAuthPresent":"true"}}}`)
	w.role("mfa-false", `{`+toAssume+`,"Condition":{"Bool":{"aws:MultiFactorAuthPresent":"false"}}}`)
	w.role("blue", `{"Effect":"Allow",`+byAccount+`,`+trustAll+`,"Condition":{"StringEquals":{"aws:PrincipalTag/Team":"blue"}}}`)
	w.role("marketing", `{"Effect":"Allow",`+byAccount+`,`+trustAll+`,"Condition":{"StringEquals":{"aws:PrincipalTag/department":"marketing"}}}`)
	w.role("resource-blue", `{"Effect":"Allow",`+byAccount+`,`+trustAll+`,"Condition":{"StringEquals":{"aws:ResourceTag/Team":"blue"}}}`,
		"Tags.member.1.Key", "team", "Tags.member.1.Value", "red")
	w.role("only-cost", `{"Effect":"Allow",`+byAccount+`,`+trustAll+`,"Condition":{"ForAllValues:StringEquals":{"aws:TagKeys":["Cost"]}}}`)
	w.role("no-source", `{"Effect":"Allow",`+byAccount+`,"Action":["sts:AssumeRole","sts:TagSession"]}`)
	w.role("closed", `{"Effect":"Deny",`+byAccount+`,"Action":"sts:AssumeRole"}`)
	w.role("service", `{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}`)
	w.role("doomed", `{"Effect":"Allow",`+byAccount+`,`+trustAll+`}`)
	w.directory("CreatePolicy", "PolicyName", "reader", "PolicyDocument", compatPolicy(`{"Effect":"Allow","Action":"s3:Get*","Resource":"*"}`))
	foreignTrust := compatPolicy(`{"Effect":"Allow",` + byAccount + `,` + trustAll + `}`)
	w.must(wireCall{who: "member root", service: "iam", action: "CreateRole", params: with("RoleName", "guest", "AssumeRolePolicyDocument", foreignTrust)})

	w.idp = oidctest.New(w.t)
	host := strings.TrimPrefix(w.idp.URL, "http://")
	provider := "arn:aws:iam::111122223333:oidc-provider/" + host
	w.directory("CreateOpenIDConnectProvider", "Url", w.idp.URL, "ClientIDList.member.1", "stint", "ClientIDList.member.2", "other")
	w.role("web", `{"Effect":"Allow","Principal":{"Federated":"`+provider+`"},"Action":["sts:AssumeRoleWithWebIdentity","sts:TagSession"],`+
		`"Condition":{"StringEquals":{"`+host+`:sub":"build-1"}}}`)
	w.corp = samltest.New(w.t, "https://idp.example.com/saml")
	w.directory("CreateSAMLProvider", "Name", "corp", "SAMLMetadataDocument", w.corp.Metadata())
	w.role("saml", `{"Effect":"Allow","Principal":{"Federated":"`+corpProvider+`"},"Action":["sts:AssumeRoleWithSAML","sts:TagSession"],`+
		`"Condition":{"StringEquals":{"SAML:aud":"`+compatACS+`"}}}`)

	w.session("session", "alice", "GetSessionToken")
	serial, code := w.device("alice")
	w.session("mfa session", "alice", "GetSessionToken", "SerialNumber", serial, "TokenCode", code)
	w.session("federated", "alice", "GetFederationToken", "Name", "guest", "Policy", compatPolicy(`{"Effect":"Allow","Action":"*","Resource":"*"}`))
	w.session("role", "alice", "AssumeRole", "RoleArn", workerRole, "RoleSessionName", "first")
	w.session("short role", "alice", "AssumeRole", "RoleArn", workerRole, "RoleSessionName", "short", "DurationSeconds", "900")
	w.session("tagged role", "alice", "AssumeRole", "RoleArn", workerRole, "RoleSessionName", "second", "SourceIdentity", "alice", "ExternalId", "shared:secret",
		"Tags.member.1.Key", "Team", "Tags.member.1.Value", "blue", "Tags.member.2.Key", "Local", "Tags.member.2.Value", "here",
		"Tags.member.3.Key", "DEPARTMENT", "Tags.member.3.Value", "marketing", "TransitiveTagKeys.member.1", "Team")
	w.session("named role", "alice", "AssumeRole", "RoleArn", workerRole, "RoleSessionName", "third", "SourceIdentity", "alice")
	w.session("limited role", "alice", "AssumeRole", "RoleArn", workerRole, "RoleSessionName", "fourth",
		"Policy", compatPolicy(`{"Effect":"Allow","Action":"s3:*","Resource":"*"}`))
	w.session("task root", "alice", "AssumeRoot", "TargetPrincipal", compatMember, "TaskPolicyArn.arn", compatTask)
	w.session("orphan", "alice", "AssumeRole", "RoleArn", roleARN+"doomed", "RoleSessionName", "orphan")
	w.directory("DeleteRolePolicy", "RoleName", "doomed", "PolicyName", "p")
	w.directory("DeleteRole", "RoleName", "doomed")
	w.keep("expired", w.must(wireCall{who: "alice", action: "GetSessionToken", params: with("DurationSeconds", "900"), at: w.past}))
	w.directory("UpdateAccessKey", "UserName", "carol", "AccessKeyId", w.who["carol"].AccessKeyID, "Status", "Inactive")

	alice, role := w.who["alice"], w.who["role"]
	w.who["stranger"] = sigv4.Credentials{AccessKeyID: "AKIAQ3EGRIVAEXAMPLE7", SecretAccessKey: alice.SecretAccessKey}
	w.who["wrong secret"] = sigv4.Credentials{AccessKeyID: alice.AccessKeyID, SecretAccessKey: w.who["bob"].SecretAccessKey}
	w.who["no token"] = sigv4.Credentials{AccessKeyID: role.AccessKeyID, SecretAccessKey: role.SecretAccessKey}
	w.who["foreign token"] = sigv4.Credentials{AccessKeyID: role.AccessKeyID, SecretAccessKey: role.SecretAccessKey, SessionToken: w.who["session"].SessionToken}
	w.who["broken token"] = sigv4.Credentials{
		AccessKeyID: role.AccessKeyID, SecretAccessKey: role.SecretAccessKey, SessionToken: secret.New(role.SessionToken.Reveal() + "x"),
	}
	w.who["key with token"] = sigv4.Credentials{AccessKeyID: alice.AccessKeyID, SecretAccessKey: alice.SecretAccessKey, SessionToken: role.SessionToken}
}

// webIdentity are parameters of AssumeRoleWithWebIdentity with a good token, of which change changes the claims.
func (w *compat) webIdentity(change func(claims map[string]any), pairs ...string) url.Values {
	claims := w.idp.Claims("stint", "build-1", time.Now())
	if change != nil {
		change(claims)
	}
	return with(append([]string{"RoleArn", roleARN + "web", "RoleSessionName", "build", "WebIdentityToken", w.idp.Token("RS256", claims)}, pairs...)...)
}

// assertion are parameters of AssumeRoleWithSAML with a good response, which change changes.
func (w *compat) assertion(change func(*samltest.Response), pairs ...string) url.Values {
	r := w.corp.Good(time.Now(), compatACS)
	r.Attributes[samltest.AttributePrefix+"Role"] = []string{roleARN + "saml," + corpProvider, corpProvider + ", " + roleARN + "nobody"}
	if change != nil {
		change(r)
	}
	return with(append([]string{"RoleArn", roleARN + "saml", "PrincipalArn", corpProvider, "SAMLAssertion", w.corp.Encode(w.t, r)}, pairs...)...)
}

// attribute gives an attribute of a response its values.
func attribute(name string, values ...string) func(*samltest.Response) {
	return func(r *samltest.Response) { r.Attributes[samltest.AttributePrefix+name] = values }
}

// claim sets one claim; nil removes it.
func claim(name string, value any) func(map[string]any) {
	return func(claims map[string]any) {
		claims[name] = value
		if value == nil {
			delete(claims, name)
		}
	}
}

// says is the outcome in one line: "200", or "403 AccessDenied: " and the message.
func (a *wireAnswer) says() string {
	if a.response.StatusCode == http.StatusOK {
		return "200"
	}
	read := answer{a.response, a.body}
	return fmt.Sprintf("%d %s: %s", a.response.StatusCode, read.element("Code"), read.element("Message"))
}

// dump is the request or the answer as it is on the wire, headers sorted.
func dump(line string, header http.Header, body string) string {
	var b bytes.Buffer
	b.WriteString(line + "\n")
	_ = header.Write(&b) // a buffer takes all
	return strings.ReplaceAll(b.String(), "\r\n", "\n") + "\n" + body
}
