package server_test

import (
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"log/slog"
	"math"
	"net/http"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/federation/oidctest"
	"github.com/stint-sts/stint/federation/samltest"
	"github.com/stint-sts/stint/iam"
	stsv1 "github.com/stint-sts/stint/proto/stint/sts/v1"
	"github.com/stint-sts/stint/secret"
	"github.com/stint-sts/stint/server"
	"github.com/stint-sts/stint/server/dispatch"
	"github.com/stint-sts/stint/shape"
	"github.com/stint-sts/stint/sigv4"
	"github.com/stint-sts/stint/stintgrpc"
	"github.com/stint-sts/stint/sts"
)

const (
	worker = "arn:aws:iam::111122223333:role/worker"
	task   = "arn:aws:iam::aws:policy/root-task/IAMAuditRootUserCredentials"
	member = "444455556666"
)

// people are who calls in the cases of TestParity.
type people struct {
	root, alice, bob, inactive, session, role, federated, taskRoot sigv4.Credentials

	encoded string // authorization message of something that bob was denied
	issuer  *oidctest.IdP

	response func(change func(*samltest.Response)) string // of a provider that the role people trusts
}

// populate makes alice, who may call all of STS and assume the role worker, bob, who may do nothing, and sessions of several kinds.
func (n *running) populate() *people {
	n.t.Helper()
	p := &people{root: n.root}
	cfg, err := load("", map[string]string{"STINT_DATA_DIR": n.dir}, nil)
	if err != nil {
		n.t.Fatal(err)
	}
	admin, err := server.DialAdmin(n.t.Context(), cfg, "test", slog.New(slog.DiscardHandler))
	if err != nil {
		n.t.Fatal(err)
	}
	defer func() { _ = admin.Close() }()
	if _, err := admin.CreateAccount(n.t.Context(), member, "member"); err != nil {
		n.t.Fatal(err)
	}
	p.alice, p.bob, p.inactive = n.newUser("alice"), n.newUser("bob"), n.newUser("carol")
	n.iam("UpdateAccessKey", "UserName", "carol", "AccessKeyId", p.inactive.AccessKeyID, "Status", "Inactive")
	n.iam("PutUserPolicy", "UserName", "alice", "PolicyName", "p", "PolicyDocument",
		`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"sts:*","Resource":"*"}}`)
	n.iam("CreateRole", "RoleName", "worker", "AssumeRolePolicyDocument", `{"Version":"2012-10-17","Statement":{"Effect":"Allow",
		"Principal":{"AWS":["arn:aws:iam::111122223333:user/alice","arn:aws:iam::111122223333:root"]},
		"Action":["sts:AssumeRole","sts:TagSession","sts:SetSourceIdentity"]}}`)
	n.iam("PutRolePolicy", "RoleName", "worker", "PolicyName", "p", "PolicyDocument",
		`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"sts:*","Resource":"*"}}`)
	n.iam("EnableOutboundWebIdentityFederation")
	p.issuer = oidctest.New(n.t)
	n.iam("CreateOpenIDConnectProvider", "Url", p.issuer.URL, "ClientIDList.member.1", "stint")
	n.iam("CreateRole", "RoleName", "web", "AssumeRolePolicyDocument", `{"Version":"2012-10-17","Statement":{"Effect":"Allow",
		"Principal":{"Federated":"arn:aws:iam::111122223333:oidc-provider/`+strings.TrimPrefix(p.issuer.URL, "http://")+`"},
		"Action":"sts:AssumeRoleWithWebIdentity"}}`)
	p.response = n.samlProvider()
	p.session = n.session(p.alice, "GetSessionToken")
	p.role = n.session(p.alice, "AssumeRole", "RoleArn", worker, "RoleSessionName", "first", "SourceIdentity", "alice", "Tags.member.1.Key", "team",
		"Tags.member.1.Value", "blue", "TransitiveTagKeys.member.1", "team")
	p.federated = n.session(p.alice, "GetFederationToken", "Name", "guest")
	p.taskRoot = n.session(p.alice, "AssumeRoot", "TargetPrincipal", member, "TaskPolicyArn.arn", task)
	denied := n.send(request{service: "iam", body: "Action=ListUsers&" + iamVersion, creds: &p.bob, sign: true})
	_, p.encoded, _ = strings.Cut(denied.element("Message"), "message: ")
	if p.encoded == "" {
		n.t.Fatalf("no encoded message in %s", denied.body)
	}
	return p
}

const (
	corp     = "arn:aws:iam::111122223333:saml-provider/corp"
	peopleOf = "arn:aws:iam::111122223333:role/people"
)

// samlProvider registers a SAML provider and a role that trusts it, and returns what makes its responses.
func (n *running) samlProvider() func(change func(*samltest.Response)) string {
	n.t.Helper()
	idp := samltest.New(n.t, "https://idp.example.com")
	n.iam("CreateSAMLProvider", "Name", "corp", "SAMLMetadataDocument", idp.Metadata())
	n.iam("CreateRole", "RoleName", "people", "AssumeRolePolicyDocument", `{"Version":"2012-10-17","Statement":{"Effect":"Allow",
		"Principal":{"Federated":"`+corp+`"},"Action":["sts:AssumeRoleWithSAML","sts:TagSession","sts:SetSourceIdentity"]}}`)
	return func(change func(*samltest.Response)) string {
		r := idp.Good(time.Now(), "http://"+n.at.HTTP+"/saml/acs")
		for name, value := range map[string]string{
			"Role": peopleOf + "," + corp, "PrincipalTag:Team": "blue", "TransitiveTagKeys": "Team", "SourceIdentity": "alice",
		} {
			r.Attributes[samltest.AttributePrefix+name] = []string{value}
		}
		change(r)
		return idp.Encode(n.t, r)
	}
}

// query is the body of a call with parameters in pairs.
func query(version, action string, pairs ...string) string {
	form := url.Values{"Action": {action}}
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	return form.Encode() + "&" + version
}

func (n *running) iam(action string, pairs ...string) answer {
	n.t.Helper()
	got := n.send(request{service: "iam", body: query(iamVersion, action, pairs...), sign: true})
	if got.StatusCode != http.StatusOK {
		n.t.Fatalf("%s: %s", action, got.body)
	}
	return got
}

func (n *running) newUser(name string) sigv4.Credentials {
	n.t.Helper()
	n.iam("CreateUser", "UserName", name)
	return credentialsOf(n.iam("CreateAccessKey", "UserName", name))
}

func (n *running) session(c sigv4.Credentials, action string, pairs ...string) sigv4.Credentials {
	n.t.Helper()
	got := n.send(request{body: query(stsVersion, action, pairs...), creds: &c, sign: true})
	if got.StatusCode != http.StatusOK {
		n.t.Fatalf("%s: %s", action, got.body)
	}
	return credentialsOf(got)
}

func credentialsOf(a answer) sigv4.Credentials {
	return sigv4.Credentials{
		AccessKeyID: a.element("AccessKeyId"), SecretAccessKey: secret.New(a.element("SecretAccessKey")),
		SessionToken: secret.New(a.element("SessionToken")),
	}
}

// parityCase is a call whose answer is the same over HTTP and gRPC.
type parityCase struct {
	name  string
	creds sigv4.Credentials // zero: the call is not signed
	in    proto.Message
	code  string // empty: success
}

func parityCases(p *people) []parityCase {
	assume := func(change func(*stsv1.AssumeRoleRequest)) proto.Message {
		in := &stsv1.AssumeRoleRequest{RoleArn: worker, RoleSessionName: "monday"}
		change(in)
		return in
	}
	federate := func(change func(*stsv1.GetFederationTokenRequest)) proto.Message {
		in := &stsv1.GetFederationTokenRequest{Name: "guest"}
		change(in)
		return in
	}
	identity := func(change func(*stsv1.GetWebIdentityTokenRequest)) proto.Message {
		in := &stsv1.GetWebIdentityTokenRequest{Audience: []string{"https://example.com", "b"}, SigningAlgorithm: "ES384"}
		change(in)
		return in
	}
	token := func(audience string, at time.Time) string {
		return p.issuer.Token("RS256", p.issuer.Claims(audience, "job-7", at))
	}
	web := func(change func(*stsv1.AssumeRoleWithWebIdentityRequest)) proto.Message {
		in := &stsv1.AssumeRoleWithWebIdentityRequest{
			RoleArn: "arn:aws:iam::111122223333:role/web", RoleSessionName: "job", WebIdentityToken: token("stint", time.Now()),
		}
		change(in)
		return in
	}
	nobody := sigv4.Credentials{}
	person := func(change func(*stsv1.AssumeRoleWithSAMLRequest), response func(*samltest.Response)) proto.Message {
		in := &stsv1.AssumeRoleWithSAMLRequest{RoleArn: peopleOf, PrincipalArn: corp, SamlAssertion: p.response(response)}
		change(in)
		return in
	}
	asIs := func(*stsv1.AssumeRoleWithSAMLRequest) {}
	good := func(*samltest.Response) {}
	member := func(change func(*stsv1.AssumeRootRequest)) proto.Message {
		in := &stsv1.AssumeRootRequest{TargetPrincipal: member, TaskPolicyArn: &stsv1.PolicyDescriptor{Arn: task}}
		change(in)
		return in
	}
	const readAll = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:Get*","Resource":"*"}}`
	team := []*stsv1.Tag{{Key: "Project", Value: "Ünicode"}, {Key: "empty"}}
	wrongSecret, unknownKey, noToken, otherToken, brokenToken := p.alice, p.alice, p.role, p.role, p.role
	wrongSecret.SecretAccessKey = p.bob.SecretAccessKey
	unknownKey.AccessKeyID = "AKIAIOSFODNN7EXAMPLE"
	noToken.SessionToken = secret.String{}
	otherToken.SessionToken = p.session.SessionToken
	brokenToken.SessionToken = secret.New(p.role.SessionToken.Reveal() + "x")
	whoAmI := &stsv1.GetCallerIdentityRequest{}
	return []parityCase{
		{"root", p.root, whoAmI, ""},
		{"a user", p.alice, whoAmI, ""},
		{"a user's session", p.session, whoAmI, ""},
		{"a role session", p.role, whoAmI, ""},
		{"a federated user", p.federated, whoAmI, ""},
		{"root of a member account, for a task", p.taskRoot, whoAmI, ""},
		{"nobody", nobody, whoAmI, "MissingAuthenticationToken"},
		{"another's secret", wrongSecret, whoAmI, "SignatureDoesNotMatch"},
		{"a key that nobody has", unknownKey, whoAmI, "InvalidClientTokenId"},
		{"an inactive key", p.inactive, whoAmI, "InvalidClientTokenId"},
		{"temporary key without its token", noToken, whoAmI, "InvalidClientTokenId"},
		{"temporary key with the token of another", otherToken, whoAmI, "InvalidClientTokenId"},
		{"a token that was changed", brokenToken, whoAmI, "InvalidClientTokenId"},

		{"plain", p.alice, assume(func(*stsv1.AssumeRoleRequest) {}), ""},
		{"with everything", p.alice, assume(func(in *stsv1.AssumeRoleRequest) {
			in.DurationSeconds, in.Policy, in.Tags, in.TransitiveTagKeys = new(int32(900)), new(readAll), team, []string{"Project", "empty"}
			in.SourceIdentity, in.ExternalId, in.MinimumSessionTokenSize = "alice", "shared:secret", new(int32(2000))
			in.PolicyArns = []*stsv1.PolicyDescriptor{{Arn: "arn:aws:iam::aws:policy/ReadOnlyAccess"}, {Arn: "arn:aws:iam::aws:policy/IAMReadOnlyAccess"}}
		}), ""},
		{"chained", p.role, assume(func(*stsv1.AssumeRoleRequest) {}), ""},
		{"root assumes a role", p.root, assume(func(*stsv1.AssumeRoleRequest) {}), "AccessDenied"},
		{"a federated user assumes a role", p.federated, assume(func(*stsv1.AssumeRoleRequest) {}), "AccessDenied"},
		{"the role does not trust the caller", p.bob, assume(func(*stsv1.AssumeRoleRequest) {}), "AccessDenied"},
		{"the role does not exist", p.alice, assume(func(in *stsv1.AssumeRoleRequest) { in.RoleArn += "s" }), "AccessDenied"},
		{"no role", p.alice, assume(func(in *stsv1.AssumeRoleRequest) { in.RoleArn = "" }), "ValidationError"},
		{"nothing at all", p.alice, &stsv1.AssumeRoleRequest{}, "ValidationError"},
		{"a role that is none", p.alice, assume(func(in *stsv1.AssumeRoleRequest) { in.RoleArn = "arn:aws:iam::111122223333:user/alice" }), "ValidationError"},
		{"session name out of form", p.alice, assume(func(in *stsv1.AssumeRoleRequest) { in.RoleSessionName = "a b\tü" }), "ValidationError"},
		{"no seconds", p.alice, assume(func(in *stsv1.AssumeRoleRequest) { in.DurationSeconds = new(int32) }), "ValidationError"},
		{"negative seconds", p.alice, assume(func(in *stsv1.AssumeRoleRequest) { in.DurationSeconds = new(int32(-900)) }), "ValidationError"},
		{"most seconds", p.alice, assume(func(in *stsv1.AssumeRoleRequest) { in.DurationSeconds = new(int32(math.MaxInt32)) }), "ValidationError"},
		{"longer than the role allows", p.alice, assume(func(in *stsv1.AssumeRoleRequest) { in.DurationSeconds = new(int32(3601)) }), "ValidationError"},
		{"an empty policy", p.alice, assume(func(in *stsv1.AssumeRoleRequest) { in.Policy = new(string) }), "ValidationError"},
		{"a policy that is none", p.alice, assume(func(in *stsv1.AssumeRoleRequest) { in.Policy = new(`{"Version":`) }), "MalformedPolicyDocument"},
		{"a policy too large", p.alice, assume(func(in *stsv1.AssumeRoleRequest) {
			in.Policy = new(readAll + strings.Repeat(" ", 131_072-len(readAll)))
		}), "InvalidParameterValue"},
		{"tags too large", p.alice, assume(func(in *stsv1.AssumeRoleRequest) {
			for i := range 50 {
				sum := sha512.Sum512([]byte{byte(i)})
				in.Tags = append(in.Tags, &stsv1.Tag{Key: strconv.Itoa(i), Value: hex.EncodeToString(sum[:])})
			}
		}), "PackedPolicyTooLarge"},
		{"tags twice", p.alice, assume(func(in *stsv1.AssumeRoleRequest) { in.Tags = []*stsv1.Tag{{Key: "a"}, {Key: "A"}} }), "InvalidParameterValue"},
		{"51 tags", p.alice, assume(func(in *stsv1.AssumeRoleRequest) {
			for i := range 51 {
				in.Tags = append(in.Tags, &stsv1.Tag{Key: strconv.Itoa(i), Value: "v"})
			}
		}), "ValidationError"},
		{"many mistakes", p.alice, assume(func(in *stsv1.AssumeRoleRequest) {
			for range 30 {
				in.Tags = append(in.Tags, &stsv1.Tag{Key: "\n", Value: "\n"})
			}
		}), "ValidationError"},
		{"a transitive key without its tag", p.alice, assume(func(in *stsv1.AssumeRoleRequest) { in.TransitiveTagKeys = []string{"a"} }), "InvalidParameterValue"},
		{"an inherited tag set anew", p.role, assume(func(in *stsv1.AssumeRoleRequest) { in.Tags = []*stsv1.Tag{{Key: "Team", Value: "red"}} }), "InvalidParameterValue"},
		{"source identity changed", p.role, assume(func(in *stsv1.AssumeRoleRequest) { in.SourceIdentity = "mallory" }), "ValidationError"},
		{"a code without a device", p.alice, assume(func(in *stsv1.AssumeRoleRequest) { in.TokenCode = "123456" }), "AccessDenied"},
		{"a device that is not the caller's", p.alice, assume(func(in *stsv1.AssumeRoleRequest) {
			in.SerialNumber, in.TokenCode = "arn:aws:iam::111122223333:mfa/bob", "123456"
		}), "AccessDenied"},
		{"a code that is none", p.alice, assume(func(in *stsv1.AssumeRoleRequest) {
			in.SerialNumber, in.TokenCode = "arn:aws:iam::111122223333:mfa/bob", "abcdef"
		}), "ValidationError"},
		{"a provided context", p.alice, assume(func(in *stsv1.AssumeRoleRequest) {
			in.ProvidedContexts = []*stsv1.ProvidedContext{{ProviderArn: "arn:aws:iam::aws:contextProvider/IdentityCenter", ContextAssertion: "abcd"}}
		}), "ValidationError"},

		{"a job", nobody, web(func(*stsv1.AssumeRoleWithWebIdentityRequest) {}), ""},
		{"a job that signs, needlessly", p.bob, web(func(in *stsv1.AssumeRoleWithWebIdentityRequest) {
			in.Policy, in.DurationSeconds, in.PolicyArns = new(readAll), new(int32(900)), []*stsv1.PolicyDescriptor{{Arn: "arn:aws:iam::aws:policy/ReadOnlyAccess"}}
		}), ""},
		{"a job without token", nobody, web(func(in *stsv1.AssumeRoleWithWebIdentityRequest) { in.WebIdentityToken = "" }), "ValidationError"},
		{"a job with nonsense for a token", nobody, web(func(in *stsv1.AssumeRoleWithWebIdentityRequest) { in.WebIdentityToken = "nonsense" }), "InvalidIdentityToken"},
		{"a job for another service", nobody, web(func(in *stsv1.AssumeRoleWithWebIdentityRequest) { in.WebIdentityToken = token("other", time.Now()) }), "InvalidIdentityToken"},
		{"a job of yesterday", nobody, web(func(in *stsv1.AssumeRoleWithWebIdentityRequest) {
			in.WebIdentityToken = token("stint", time.Now().Add(-24*time.Hour))
		}), "ExpiredTokenException"},
		{"a job that the role does not trust", nobody, web(func(in *stsv1.AssumeRoleWithWebIdentityRequest) { in.RoleArn = worker }), "AccessDenied"},
		{"a job with a policy that is none", nobody, web(func(in *stsv1.AssumeRoleWithWebIdentityRequest) { in.Policy = new("{") }), "MalformedPolicyDocument"},

		{"a person", nobody, person(asIs, good), ""},
		{"a person with everything", nobody, person(func(in *stsv1.AssumeRoleWithSAMLRequest) {
			in.Policy, in.DurationSeconds, in.MinimumSessionTokenSize = new(readAll), new(int32(900)), new(int32(2000))
			in.PolicyArns = []*stsv1.PolicyDescriptor{{Arn: "arn:aws:iam::aws:policy/ReadOnlyAccess"}}
		}, good), ""},
		{"a person without a response", nobody, person(func(in *stsv1.AssumeRoleWithSAMLRequest) { in.SamlAssertion = "" }, good), "ValidationError"},
		{"a response that is none", nobody, person(func(in *stsv1.AssumeRoleWithSAMLRequest) { in.SamlAssertion = "bm9uc2Vuc2U=" }, good), "InvalidIdentityToken"},
		{"a response that nobody signed", nobody, person(asIs, func(r *samltest.Response) { r.SignAssertion = false }), "InvalidIdentityToken"},
		{"a response of an hour ago", nobody, person(asIs, func(r *samltest.Response) { r.NotOnOrAfter = time.Now().Add(-time.Hour) }), "ExpiredTokenException"},
		{"a sign-in that failed", nobody, person(asIs, func(r *samltest.Response) { r.Status = "urn:oasis:names:tc:SAML:2.0:status:Responder" }), "IDPRejectedClaim"},
		{"a person in a role that is not offered", nobody, person(func(in *stsv1.AssumeRoleWithSAMLRequest) { in.RoleArn = worker }, good), "AccessDenied"},
		{"a person with a policy that is none", nobody, person(func(in *stsv1.AssumeRoleWithSAMLRequest) { in.Policy = new("{") }, good), "MalformedPolicyDocument"},

		{"task on a member", p.alice, member(func(*stsv1.AssumeRootRequest) {}), ""},
		{"task on a member, by its ARN and in a role", p.role, member(func(in *stsv1.AssumeRootRequest) {
			in.TargetPrincipal, in.DurationSeconds = "arn:aws:iam::444455556666:root", new(int32(0))
		}), ""},
		{"task of one who may not", p.bob, member(func(*stsv1.AssumeRootRequest) {}), "AccessDenied"},
		{"task by root", p.root, member(func(*stsv1.AssumeRootRequest) {}), "AccessDenied"},
		{"task on nobody's account", p.alice, member(func(in *stsv1.AssumeRootRequest) { in.TargetPrincipal = "999999999999" }), "AccessDenied"},
		{"task on no account", p.alice, member(func(in *stsv1.AssumeRootRequest) { in.TargetPrincipal = "" }), "ValidationError"},
		{"no task", p.alice, member(func(in *stsv1.AssumeRootRequest) { in.TaskPolicyArn = nil }), "ValidationError"},
		{"a task that is none", p.alice, member(func(in *stsv1.AssumeRootRequest) { in.TaskPolicyArn.Arn = "arn:aws:iam::aws:policy/ReadOnlyAccess" }), "ValidationError"},
		{"a task too long", p.alice, member(func(in *stsv1.AssumeRootRequest) { in.DurationSeconds = new(int32(901)) }), "ValidationError"},

		{"decode", p.alice, &stsv1.DecodeAuthorizationMessageRequest{EncodedMessage: p.encoded}, ""},
		{"decode nothing", p.alice, &stsv1.DecodeAuthorizationMessageRequest{}, "ValidationError"},
		{"decode nonsense", p.alice, &stsv1.DecodeAuthorizationMessageRequest{EncodedMessage: "nonsense"}, "InvalidAuthorizationMessageException"},
		{"decode without permission", p.bob, &stsv1.DecodeAuthorizationMessageRequest{EncodedMessage: p.encoded}, "AccessDenied"},
		{"decode with a user's session", p.session, &stsv1.DecodeAuthorizationMessageRequest{EncodedMessage: p.encoded}, "AccessDenied"},

		{"key of a user", p.alice, &stsv1.GetAccessKeyInfoRequest{AccessKeyId: p.bob.AccessKeyID}, ""},
		{"key of nobody", p.alice, &stsv1.GetAccessKeyInfoRequest{AccessKeyId: "AKIA0000000000000000"}, "ValidationError"},
		{"no key", p.alice, &stsv1.GetAccessKeyInfoRequest{}, "ValidationError"},
		{"key without permission", p.bob, &stsv1.GetAccessKeyInfoRequest{AccessKeyId: p.bob.AccessKeyID}, "AccessDenied"},

		{"federate", p.alice, federate(func(in *stsv1.GetFederationTokenRequest) {
			in.DurationSeconds, in.Policy, in.Tags = new(int32(3600)), new(readAll), team
			in.PolicyArns = []*stsv1.PolicyDescriptor{{Arn: "arn:aws:iam::aws:policy/ReadOnlyAccess"}}
		}), ""},
		{"federate as root", p.root, federate(func(*stsv1.GetFederationTokenRequest) {}), ""},
		{"federate without permission", p.bob, federate(func(*stsv1.GetFederationTokenRequest) {}), "AccessDenied"},
		{"federate in a role", p.role, federate(func(*stsv1.GetFederationTokenRequest) {}), "AccessDenied"},
		{"federate nobody", p.alice, federate(func(in *stsv1.GetFederationTokenRequest) { in.Name = "" }), "ValidationError"},
		{"federate with a policy that is none", p.alice, federate(func(in *stsv1.GetFederationTokenRequest) { in.Policy = new("{}") }), "MalformedPolicyDocument"},
		{"federate with tags twice", p.alice, federate(func(in *stsv1.GetFederationTokenRequest) { in.Tags = []*stsv1.Tag{{Key: "a"}, {Key: "A"}} }), "InvalidParameterValue"},

		{"revoke", p.alice, &stsv1.RevokeSessionsRequest{ProviderArn: "arn:aws:iam::111122223333:saml-provider/gone", Subject: "bob", Wait: true}, ""},
		{"revoke before a moment", p.alice, &stsv1.RevokeSessionsRequest{
			PrincipalArn: worker, RoleSessionName: "nobody", IssuedBefore: "2026-01-31T12:00:00Z", Reason: "a test",
		}, ""},
		{"revoke without permission", p.bob, &stsv1.RevokeSessionsRequest{PrincipalArn: worker}, "AccessDenied"},
		{"revoke one's own session without having one", p.alice, &stsv1.RevokeSessionsRequest{}, "ValidationError"},

		{"session", p.bob, &stsv1.GetSessionTokenRequest{}, ""},
		{"session of root", p.root, &stsv1.GetSessionTokenRequest{DurationSeconds: new(int32(129_600))}, ""},
		{"session in a session", p.session, &stsv1.GetSessionTokenRequest{}, "AccessDenied"},
		{"session too short", p.bob, &stsv1.GetSessionTokenRequest{DurationSeconds: new(int32(899))}, "ValidationError"},
		{"session with a device that is not the caller's", p.bob, &stsv1.GetSessionTokenRequest{SerialNumber: "GAHT12345678", TokenCode: "123456"}, "AccessDenied"},

		{"identity", p.alice, identity(func(*stsv1.GetWebIdentityTokenRequest) {}), ""},
		{"identity of a role", p.role, identity(func(in *stsv1.GetWebIdentityTokenRequest) { in.Tags, in.DurationSeconds = team, new(int32(60)) }), ""},
		{"identity of a user's session", p.session, identity(func(*stsv1.GetWebIdentityTokenRequest) {}), "AccessDenied"},
		{"identity without permission", p.bob, identity(func(*stsv1.GetWebIdentityTokenRequest) {}), "AccessDenied"},
		{"identity for nobody", p.alice, identity(func(in *stsv1.GetWebIdentityTokenRequest) { in.Audience = nil }), "ValidationError"},
		{"identity signed otherwise", p.alice, identity(func(in *stsv1.GetWebIdentityTokenRequest) { in.SigningAlgorithm = "HS256" }), "ValidationError"},
		{"identity too large", p.role, identity(func(in *stsv1.GetWebIdentityTokenRequest) {
			for range 10 {
				in.Audience = append(in.Audience[:0:0], append(in.Audience, strings.Repeat("a", 1000))...)
			}
			in.Audience = in.Audience[2:]
			for i := range 50 {
				in.Tags = append(in.Tags, &stsv1.Tag{Key: strconv.Itoa(i) + strings.Repeat("k", 120), Value: strings.Repeat("v", 256)})
			}
		}), "JWTPayloadSizeExceededException"},
	}
}

// Every operation gives the same results and the same errors over HTTP and gRPC.
func TestParity(t *testing.T) {
	t.Parallel()
	n := serve(t, map[string]string{
		"STINT_MANAGEMENT_ACCOUNT": "111122223333", "STINT_AUTHORIZATION_MESSAGES": "true",
		"STINT_SAML_REUSE": "true", // each case is called twice
	})
	p, conn := n.populate(), n.dialRPC()
	table := dispatch.NewTable(&sts.Service{}, &iam.Service{})
	succeeded, refused := make(map[string]bool), make(map[string]bool)
	for _, row := range parityCases(p) {
		name, _ := strings.CutSuffix(string(row.in.ProtoReflect().Descriptor().Name()), "Request")
		o := table.Lookup("sts", name)
		if row.code == "" {
			succeeded[name] = true
		} else {
			refused[name] = true
		}
		t.Run(name+"/"+row.name, func(t *testing.T) {
			t.Parallel()
			form := url.Values{"Action": {name}, "Version": {"2011-06-15"}}
			fillForm(form, "", o.Input, row.in.ProtoReflect())
			over := n.send(request{
				body: form.Encode(), creds: &row.creds, sign: row.creds.AccessKeyID != "", header: http.Header{"Accept": {"application/json"}},
			})
			call := n.signedRPC(name, row.in, row.creds, time.Now())
			if row.creds.AccessKeyID == "" {
				call.md = nil
			}
			encoded, _, err := call.send(t.Context(), conn)
			if code := codeOf(err); code != row.code {
				t.Fatalf("gRPC answers %q, want %q: %v", code, row.code, err)
			}
			if row.code != "" {
				sameError(t, over, err)
				return
			}
			sameResult(t, over, name, encoded)
		})
	}
	for o := range table.All {
		if o.Service == "sts" && (!succeeded[o.Name] || !refused[o.Name]) {
			t.Errorf("%s lacks a case: success %v, error %v", o.Name, succeeded[o.Name], refused[o.Name])
		}
	}
}

func sameError(t *testing.T, over answer, err error) {
	t.Helper()
	var said struct {
		Error struct{ Code, Message, Type string }
	}
	if err := json.Unmarshal([]byte(over.body), &said); err != nil {
		t.Fatalf("%v: %s", err, over.body)
	}
	e, ok := stintgrpc.AsError(err)
	if !ok {
		t.Fatalf("no error of ours: %v", err)
	}
	message := said.Error.Message
	if len(e.Message) > 1400 && strings.HasSuffix(e.Message, "…") { // trailers have less room than bodies
		message = message[:len(strings.TrimSuffix(e.Message, "…"))] + "…"
	}
	if e.Code != said.Error.Code || e.Message != message || e.Fault != said.Error.Type {
		t.Errorf("gRPC says %s, %s: %s\nHTTP says %s, %s: %s", e.Fault, e.Code, e.Message, said.Error.Type, said.Error.Code, said.Error.Message)
	}
	for _, k := range awserr.All() {
		if k.Code == e.Code && (over.StatusCode != k.HTTPStatus || e.Status != k.GRPC || e.Status == codes.OK) {
			t.Errorf("%s: HTTP %d, gRPC %v", k.Code, over.StatusCode, e.Status)
		}
	}
}

func sameResult(t *testing.T, over answer, name string, encoded []byte) {
	t.Helper()
	if over.StatusCode != http.StatusOK {
		t.Fatalf("HTTP answers %d: %s", over.StatusCode, over.body)
	}
	message, err := protoregistry.GlobalTypes.FindMessageByName(protoreflect.FullName("stint.sts.v1." + name + "Response"))
	if err != nil {
		t.Fatal(err)
	}
	out := message.New().Interface()
	if err := (proto.UnmarshalOptions{}).Unmarshal(encoded, out); err != nil {
		t.Fatal(err)
	}
	if unknown := out.ProtoReflect().GetUnknown(); len(unknown) > 0 {
		t.Errorf("the answer has unknown fields: %x", unknown)
	}
	text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(out)
	if err != nil {
		t.Fatal(err)
	}
	var result map[string]map[string]any
	if err := json.Unmarshal([]byte(over.body), &result); err != nil {
		t.Fatalf("%v: %s", err, over.body)
	}
	var overRPC map[string]any
	if err := json.Unmarshal(text, &overRPC); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(flat(result[name+"Response"][name+"Result"]), flat(overRPC)); diff != "" {
		t.Errorf("HTTP (-) and gRPC (+) differ:\n%s", diff)
	}
}

// flat lists the values of a JSON document by their folded path. Of values that no two calls share only that they are there; an
// absent value and an empty one are the same.
func flat(v any) map[string]any {
	out := make(map[string]any)
	var walk func(path string, v any)
	walk = func(path string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for key, member := range v {
				walk(path+"."+strings.ToLower(strings.ReplaceAll(key, "_", "")), member)
			}
		case nil:
		default:
			switch path {
			case ".credentials.accesskeyid", ".credentials.secretaccesskey", ".credentials.sessiontoken", ".webidentitytoken",
				".credentials.expiration", ".expiration", ".sessiontokensize", ".sessiontokenutilization", ".revocationid", ".issuedbefore":
				out[path] = "some"
			default:
				if !reflect.ValueOf(v).IsZero() {
					out[path] = v
				}
			}
		}
	}
	walk("", v)
	return out
}

// fillForm writes m as parameters of the Query API, by the names of the shape.
func fillForm(form url.Values, prefix string, s *shape.Shape, m protoreflect.Message) {
	for i := range s.Fields() {
		f := &s.Fields()[i]
		m.Range(func(d protoreflect.FieldDescriptor, v protoreflect.Value) bool {
			if strings.ReplaceAll(string(d.Name()), "_", "") != strings.ToLower(f.Name) {
				return true
			}
			switch {
			case d.IsList():
				for j := range v.List().Len() {
					member := prefix + f.Members + strconv.Itoa(j+1)
					if f.Kind == shape.StructList {
						fillForm(form, member+".", f.Elem, v.List().Get(j).Message())
						continue
					}
					form.Set(member, v.List().Get(j).String())
				}
			case f.Kind == shape.Struct:
				fillForm(form, prefix+f.Members, f.Elem, v.Message())
			default:
				form.Set(prefix+f.Name, v.String())
			}
			return false
		})
	}
}
