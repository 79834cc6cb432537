package server_test

import (
	"encoding/base64"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/federation/oidctest"
	"github.com/stint-sts/stint/federation/samltest"
	"github.com/stint-sts/stint/server"
	"github.com/stint-sts/stint/sigv4"
)

// goldenDir holds the requests and answers, one pair of files a case: <operation>/<case>.{req,resp}.golden.
const goldenDir = "testdata/golden"

func fromBase64(t *testing.T, text string) string {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// variable is what differs from run to run, in the order in which it is replaced. Where the first group is not the whole match, only it is.
var variable = []struct {
	pattern *regexp.Regexp
	name    string // with %d: numbered in order of appearance, so that what is equal stays equal
}{
	{regexp.MustCompile(`eyJ[\w-]+(?:\.[\w-]*)+x?`), "{token}"},
	{regexp.MustCompile(`(?:message: |EncodedMessage=)([\w-]{100,})`), "{message}"},
	{regexp.MustCompile(`<SecretAccessKey>([^<]+)`), "{secret}"},
	{regexp.MustCompile(`"SecretAccessKey":"([^"]+)`), "{secret}"},
	{regexp.MustCompile(`<Base32StringSeed>([^<]+)`), "{seed}"},
	{regexp.MustCompile(`<QRCodePNG>([^<]+)`), "{png}"},
	{regexp.MustCompile(`(?:TokenCode|AuthenticationCode[12])=(\d{6})`), "{code}"},
	{regexp.MustCompile(`SAMLAssertion=([\w%+]{100,})`), "{assertion}"},
	{regexp.MustCompile(`SAMLMetadataDocument=([^& ]+)`), "{metadata}"},
	{regexp.MustCompile(`<SAMLMetadataDocument>([^<]+)`), "{metadata}"},
	{regexp.MustCompile(`<SAMLProviderUUID>([^<]+)`), "{uuid}"},
	{regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}`), "{request id}"},
	{regexp.MustCompile(`Signature=([0-9a-f]{64})`), "{signature}"},
	{regexp.MustCompile(`\b(?:AKIA|ASIA)[A-Z2-7]{16}\b`), "{key %d}"},
	{regexp.MustCompile(`\b(?:AIDA|AROA|AGPA|ANPA|AIPA)[A-Z2-7]{17}\b`), "{id %d}"},
	{regexp.MustCompile(`\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z`), "{time}"},
	{regexp.MustCompile(`\b\d{8}T\d{6}Z`), "{time}"},
	{regexp.MustCompile(`\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT`), "{date}"},
	{regexp.MustCompile(`(?:/|%2F)(\d{8})(?:/|%2F)[\w-]+(?:/|%2F)(?:sts|iam)(?:/|%2F)aws4_request`), "{day}"},
	{regexp.MustCompile(`"(?:Expiration|CreateDate)":(\d{10})\b`), "{epoch}"},
	{regexp.MustCompile(`aws:EpochTime.{10,60}?value(?:"|&#34;|&quot;):(?:"|&#34;|&quot;)(\d{10})`), "{epoch}"},
	{regexp.MustCompile(`date/time (\d{10})\b`), "{epoch}"},
	{regexp.MustCompile(`127\.0\.0\.1(?::|%3A)\d+`), "{host}"},
	{regexp.MustCompile(`<RevocationId>([^<]+)`), "{revocation}"},
	{regexp.MustCompile(`"RevocationId":"([^"]+)`), "{revocation}"},
	{regexp.MustCompile(`<Marker>([^<]+)`), "{marker}"},
	{regexp.MustCompile(`[?&]Marker=([\w%-]+)`), "{marker}"},
	{regexp.MustCompile(`<SessionTokenSize>(\d+)`), "{bytes}"},
	{regexp.MustCompile(`"SessionTokenSize":(\d+)`), "{bytes}"},
	{regexp.MustCompile(`<SessionTokenUtilization>(\d+)`), "{percent}"},
	{regexp.MustCompile(`"SessionTokenUtilization":(\d+)`), "{percent}"},
}

// placeholders replaces what differs from run to run in the texts of one case.
func placeholders(texts ...*string) {
	seen := make(map[string]map[string]int)
	for _, v := range variable {
		for _, text := range texts {
			*text = replaceGroup(v.pattern, *text, func(value string) string {
				if !strings.Contains(v.name, "%d") {
					return v.name
				}
				if seen[v.name] == nil {
					seen[v.name] = make(map[string]int)
				}
				n, known := seen[v.name][value]
				if !known {
					n = len(seen[v.name]) + 1
					seen[v.name][value] = n
				}
				return fmt.Sprintf(v.name, n)
			})
		}
	}
}

func replaceGroup(pattern *regexp.Regexp, text string, with func(string) string) string {
	var b strings.Builder
	end := 0
	for _, m := range pattern.FindAllStringSubmatchIndex(text, -1) {
		from, to := m[0], m[1]
		if len(m) > 2 && m[2] >= 0 {
			from, to = m[2], m[3]
		}
		b.WriteString(text[end:from] + with(text[from:to]))
		end = to
	}
	return b.String() + text[end:]
}

// goldenFiles compares the files of one test, or rewrites them.
type goldenFiles struct {
	t     *testing.T
	root  string
	wrote map[string]bool
	codes map[string]bool // errors that were seen
	calls map[string]bool // operations that succeeded
}

func newGoldenFiles(t *testing.T, root string) *goldenFiles {
	return &goldenFiles{t, filepath.Join(goldenDir, root), make(map[string]bool), make(map[string]bool), make(map[string]bool)}
}

// record compares a call with its files. code is the error it must give; empty: none.
func (g *goldenFiles) record(dir, name, code string, got *wireAnswer) {
	g.t.Helper()
	read := answer{got.response, got.body}
	if said := read.element("Code"); said != code && !strings.Contains(got.body, `"Code":"`+code+`"`) {
		g.t.Errorf("%s/%s: %s, want %q", dir, name, got.says(), code)
	}
	if code == "" {
		g.calls[dir] = true
	} else {
		g.codes[code] = true
	}
	r := got.request
	header := r.Header.Clone()
	header.Set("Host", r.URL.Host)
	request := dump(fmt.Sprintf("%s %s HTTP/1.1", r.Method, r.URL.RequestURI()), header, got.sent)
	header = got.response.Header.Clone()
	header.Del("Content-Length") // that of a token is not always the same
	response := dump(fmt.Sprintf("HTTP/1.1 %d", got.response.StatusCode), header, got.body)
	placeholders(&request, &response)
	g.compare(filepath.Join(dir, name+".req.golden"), request)
	g.compare(filepath.Join(dir, name+".resp.golden"), response)
}

func (g *goldenFiles) compare(name, got string) {
	g.t.Helper()
	if g.wrote[name] {
		g.t.Errorf("two cases are called %s", name)
	}
	g.wrote[name] = true
	path := filepath.Join(g.root, name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			g.t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			g.t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		g.t.Error(err)
		return
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		g.t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

// finish tells of files that no case has.
func (g *goldenFiles) finish() {
	g.t.Helper()
	err := filepath.WalkDir(g.root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if name, err := filepath.Rel(g.root, path); err != nil || !g.wrote[name] {
			if *update {
				return os.Remove(path)
			}
			g.t.Errorf("%s belongs to no case", path)
		}
		return nil
	})
	if err != nil {
		g.t.Error(err)
	}
}

// goldenCase is a call whose bytes are kept. Its operation is its directory, unless it is common to all.
type goldenCase struct {
	dir, name string
	code      string // empty: success
	call      wireCall
}

// asJSON asks for the answer in JSON.
func asJSON(r *http.Request) { r.Header.Set("Accept", "application/json") }

// stsGolden are the calls to STS: every operation's success, and every error it can give.
func stsGolden(w *compat) []goldenCase {
	const nobody = "arn:aws:iam::111122223333:mfa/nobody"
	assume := func(pairs ...string) url.Values {
		return with(append([]string{"RoleArn", workerRole, "RoleSessionName", "monday"}, pairs...)...)
	}
	read := compatPolicy(`{"Effect":"Allow","Action":"s3:Get*","Resource":"*"}`)
	fifty := func(in url.Values) url.Values {
		for i := range 50 {
			in.Set(fmt.Sprintf("Tags.member.%d.Key", i+1), fmt.Sprintf("%d-%x", i, i*7919))
			in.Set(fmt.Sprintf("Tags.member.%d.Value", i+1), incompressible(i, 250))
		}
		return in
	}
	identity := func(pairs ...string) url.Values {
		return with(append([]string{"Audience.member.1", "https://example.com", "SigningAlgorithm", "ES384"}, pairs...)...)
	}
	huge := identity()
	for i := range 9 {
		huge.Set(fmt.Sprintf("Audience.member.%d", i+2), strings.Repeat(strconv.Itoa(i), 1000))
	}
	for i := range 50 {
		huge.Set(fmt.Sprintf("Tags.member.%d.Key", i+1), strconv.Itoa(i)+strings.Repeat("k", 120))
		huge.Set(fmt.Sprintf("Tags.member.%d.Value", i+1), strings.Repeat("v", 256))
	}
	root := func(pairs ...string) url.Values {
		return with(append([]string{"TargetPrincipal", compatMember, "TaskPolicyArn.arn", compatTask}, pairs...)...)
	}
	call := func(who, action string, params url.Values) wireCall {
		return wireCall{who: who, action: action, params: params}
	}
	encoded := w.encodedMessage()
	assumeSerial, assumeCode := w.device("alice")
	tokenSerial, tokenCode := w.device("bob")
	raw := func(body string) *string { return &body }
	json := func(c wireCall) wireCall { c.before = asJSON; return c }
	return []goldenCase{
		{"AssumeRole", "success", "", call("alice", "AssumeRole", assume())},
		{"AssumeRole", "success-json", "", json(call("alice", "AssumeRole", assume()))},
		{"AssumeRole", "success-everything", "", call("alice", "AssumeRole", assume("DurationSeconds", "900", "Policy", read, "PolicyArns.member.1.arn",
			"arn:aws:iam::111122223333:policy/reader", "Tags.member.1.Key", "Project", "Tags.member.1.Value", "Ünicorn", "TransitiveTagKeys.member.1", "Project",
			"ExternalId", "shared:secret", "SourceIdentity", "alice", "MinimumSessionTokenSize", "2000"))},
		{"AssumeRole", "success-mfa", "", call("alice", "AssumeRole", assume("SerialNumber", assumeSerial, "TokenCode", assumeCode))},
		{"AssumeRole", "success-chained", "", call("tagged role", "AssumeRole", assume())},
		{"AssumeRole", "success-presigned", "", wireCall{
			who: "alice", action: "AssumeRole", params: assume(), method: "GET",
			sign: presignNow,
		}},
		{"AssumeRole", "denied", "AccessDenied", call("denied", "AssumeRole", assume())},
		{"AssumeRole", "denied-json", "AccessDenied", json(call("denied", "AssumeRole", assume()))},
		{"AssumeRole", "no-such-role", "AccessDenied", call("alice", "AssumeRole", assume("RoleArn", roleARN+"nobody"))},
		{"AssumeRole", "root", "AccessDenied", call("root", "AssumeRole", assume())},
		{"AssumeRole", "tags-not-trusted", "AccessDenied", call("alice", "AssumeRole", assume("RoleArn", roleARN+"plain", "Tags.member.1.Key", "a", "Tags.member.1.Value", "b"))},
		{"AssumeRole", "source-identity-not-trusted", "AccessDenied", call("alice", "AssumeRole", assume("RoleArn", roleARN+"plain", "SourceIdentity", "alice"))},
		{"AssumeRole", "mfa-wrong-code", "AccessDenied", call("alice", "AssumeRole", assume("SerialNumber", assumeSerial, "TokenCode", assumeCode))},
		{"AssumeRole", "mfa-unknown-device", "AccessDenied", call("alice", "AssumeRole", assume("SerialNumber", nobody, "TokenCode", "123456"))},
		{"AssumeRole", "mfa-half", "AccessDenied", call("alice", "AssumeRole", assume("TokenCode", "123456"))},
		{"AssumeRole", "nothing", "ValidationError", call("alice", "AssumeRole", nil)},
		{"AssumeRole", "session-name", "ValidationError", call("alice", "AssumeRole", assume("RoleSessionName", "a:b"))},
		{"AssumeRole", "not-an-arn", "ValidationError", call("alice", "AssumeRole", assume("RoleArn", "not an ARN but long enough"))},
		{"AssumeRole", "not-a-role", "ValidationError", call("alice", "AssumeRole", assume("RoleArn", "arn:aws:iam::111122223333:saml-provider/x"))},
		{"AssumeRole", "too-long", "ValidationError", call("alice", "AssumeRole", assume("DurationSeconds", "3601"))},
		{"AssumeRole", "chained-too-long", "ValidationError", call("role", "AssumeRole", assume("RoleArn", roleARN+"long", "DurationSeconds", "3601"))},
		{"AssumeRole", "source-identity-set", "ValidationError", call("tagged role", "AssumeRole", assume("SourceIdentity", "mallory"))},
		{"AssumeRole", "duration-is-text", "MalformedInput", call("alice", "AssumeRole", assume("DurationSeconds", "an hour"))},
		{"AssumeRole", "tags-twice", "InvalidParameterValue", call("alice", "AssumeRole", assume("Tags.member.1.Key", "a", "Tags.member.1.Value", "", "Tags.member.2.Key", "A", "Tags.member.2.Value", ""))},
		{"AssumeRole", "transitive-without-tag", "InvalidParameterValue", call("alice", "AssumeRole", assume("TransitiveTagKeys.member.1", "a"))},
		{"AssumeRole", "inherited-tag", "InvalidParameterValue", call("tagged role", "AssumeRole", assume("Tags.member.1.Key", "team", "Tags.member.1.Value", "red"))},
		{"AssumeRole", "policy-too-large", "InvalidParameterValue", call("alice", "AssumeRole", assume("Policy", read+strings.Repeat(" ", 2049-len(read))))},
		{"AssumeRole", "policy-no-json", "MalformedPolicyDocument", call("alice", "AssumeRole", assume("Policy", `{"Version":`))},
		{"AssumeRole", "policy-with-principal", "MalformedPolicyDocument", call("alice", "AssumeRole", assume("Policy", compatPolicy(`{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}`)))},
		{"AssumeRole", "tags-too-large", "PackedPolicyTooLarge", call("alice", "AssumeRole", fifty(assume()))},
		{"AssumeRole", "policy-and-tags-too-large", "PackedPolicyTooLarge", call("alice", "AssumeRole", fifty(assume("Policy", read)))},

		{"AssumeRoot", "success", "", call("alice", "AssumeRoot", root())},
		{"AssumeRoot", "success-in-a-role", "", call("tagged role", "AssumeRoot", root("DurationSeconds", "60"))},
		{"AssumeRoot", "denied", "AccessDenied", call("bob", "AssumeRoot", root())},
		{"AssumeRoot", "no-such-account", "AccessDenied", call("alice", "AssumeRoot", root("TargetPrincipal", "999999999999"))},
		{"AssumeRoot", "too-long", "ValidationError", call("alice", "AssumeRoot", root("DurationSeconds", "901"))},
		{"AssumeRoot", "no-task", "ValidationError", call("alice", "AssumeRoot", with("TargetPrincipal", compatMember))},
		{"AssumeRoot", "other-task", "ValidationError", call("alice", "AssumeRoot", root("TaskPolicyArn.arn", "arn:aws:iam::aws:policy/ReadOnlyAccess"))},
		{"AssumeRoot", "duration-is-text", "MalformedInput", call("alice", "AssumeRoot", root("DurationSeconds", "x"))},

		{"AssumeRoleWithWebIdentity", "success", "", call("nobody", "AssumeRoleWithWebIdentity", w.webIdentity(nil))},
		{"AssumeRoleWithWebIdentity", "success-json", "", json(call("nobody", "AssumeRoleWithWebIdentity", w.webIdentity(nil)))},
		{"AssumeRoleWithWebIdentity", "success-tags", "", call("nobody", "AssumeRoleWithWebIdentity", w.webIdentity(claim("https://aws.amazon.com/tags",
			map[string]any{"principal_tags": map[string]any{"Team": []string{"blue"}}, "transitive_tag_keys": []string{"Team"}})))},
		{"AssumeRoleWithWebIdentity", "denied", "AccessDenied", call("nobody", "AssumeRoleWithWebIdentity", w.webIdentity(claim("sub", "mallory")))},
		{"AssumeRoleWithWebIdentity", "source-identity-not-trusted", "AccessDenied",
			call("nobody", "AssumeRoleWithWebIdentity", w.webIdentity(claim("https://aws.amazon.com/source_identity", "build")))},
		{"AssumeRoleWithWebIdentity", "no-such-role", "AccessDenied", call("nobody", "AssumeRoleWithWebIdentity", w.webIdentity(nil, "RoleArn", roleARN+"nobody"))},
		{"AssumeRoleWithWebIdentity", "nothing", "ValidationError", call("nobody", "AssumeRoleWithWebIdentity", nil)},
		{"AssumeRoleWithWebIdentity", "provider-id", "ValidationError", call("nobody", "AssumeRoleWithWebIdentity", w.webIdentity(nil, "ProviderId", "www.amazon.com"))},
		{"AssumeRoleWithWebIdentity", "too-long", "ValidationError", call("nobody", "AssumeRoleWithWebIdentity", w.webIdentity(nil, "DurationSeconds", "3601"))},
		{"AssumeRoleWithWebIdentity", "duration-is-text", "MalformedInput", call("nobody", "AssumeRoleWithWebIdentity", w.webIdentity(nil, "DurationSeconds", "x"))},
		{"AssumeRoleWithWebIdentity", "policy-no-json", "MalformedPolicyDocument", call("nobody", "AssumeRoleWithWebIdentity", w.webIdentity(nil, "Policy", "{"))},
		{"AssumeRoleWithWebIdentity", "policy-too-large", "ValidationError", call("nobody", "AssumeRoleWithWebIdentity", w.webIdentity(nil, "Policy", read+strings.Repeat(" ", 2049-len(read))))},
		{"AssumeRoleWithWebIdentity", "tags-twice", "InvalidParameterValue", call("nobody", "AssumeRoleWithWebIdentity", w.webIdentity(claim("https://aws.amazon.com/tags",
			map[string]any{"principal_tags": map[string]any{"a": []string{"1"}, "A": []string{"2"}}})))},
		{"AssumeRoleWithWebIdentity", "tags-too-large", "PackedPolicyTooLarge", call("nobody", "AssumeRoleWithWebIdentity", w.webIdentity(claim("https://aws.amazon.com/tags", largeTags())))},
		{"AssumeRoleWithWebIdentity", "not-a-jwt", "InvalidIdentityToken", call("nobody", "AssumeRoleWithWebIdentity", w.webIdentity(nil, "WebIdentityToken", "nonsense"))},
		{"AssumeRoleWithWebIdentity", "other-issuer", "InvalidIdentityToken", call("nobody", "AssumeRoleWithWebIdentity", w.webIdentity(claim("iss", "https://idp.example.com")))},
		{"AssumeRoleWithWebIdentity", "no-audience", "InvalidIdentityToken", call("nobody", "AssumeRoleWithWebIdentity", w.webIdentity(claim("aud", nil)))},
		{"AssumeRoleWithWebIdentity", "other-audience", "InvalidIdentityToken", call("nobody", "AssumeRoleWithWebIdentity", w.webIdentity(claim("aud", "somebody")))},
		{"AssumeRoleWithWebIdentity", "other-key", "InvalidIdentityToken", call("nobody", "AssumeRoleWithWebIdentity",
			w.webIdentity(nil, "WebIdentityToken", oidctest.NewKey("ES256", w.idp.Key("ES256").ID).Token(w.idp.Claims("stint", "build-1", time.Now()))))},
		{"AssumeRoleWithWebIdentity", "roles-claim", "InvalidIdentityToken", call("nobody", "AssumeRoleWithWebIdentity", w.webIdentity(claim("https://aws.amazon.com/roles", roleARN+"other")))},
		{"AssumeRoleWithWebIdentity", "expired", "ExpiredTokenException", call("nobody", "AssumeRoleWithWebIdentity", w.webIdentity(claim("exp", time.Now().Unix()-1)))},
		{"AssumeRoleWithWebIdentity", "issuer-down", "IDPCommunicationError", call("nobody", "AssumeRoleWithWebIdentity", w.deadIssuer())},

		{"AssumeRoleWithSAML", "success", "", call("nobody", "AssumeRoleWithSAML", w.assertion(nil))},
		{"AssumeRoleWithSAML", "success-json", "", json(call("nobody", "AssumeRoleWithSAML", w.assertion(nil)))},
		{"AssumeRoleWithSAML", "success-tags", "", call("nobody", "AssumeRoleWithSAML", w.assertion(attribute("PrincipalTag:Team", "blue"), "DurationSeconds", "900"))},
		{"AssumeRoleWithSAML", "no-such-role", "AccessDenied", call("nobody", "AssumeRoleWithSAML", w.assertion(nil, "RoleArn", roleARN+"nobody"))},
		{"AssumeRoleWithSAML", "role-not-offered", "AccessDenied", call("nobody", "AssumeRoleWithSAML", w.assertion(attribute("Role", roleARN+"other,"+corpProvider)))},
		{"AssumeRoleWithSAML", "source-identity-not-trusted", "AccessDenied", call("nobody", "AssumeRoleWithSAML", w.assertion(attribute("SourceIdentity", "alice")))},
		{"AssumeRoleWithSAML", "nothing", "ValidationError", call("nobody", "AssumeRoleWithSAML", nil)},
		{"AssumeRoleWithSAML", "too-long", "ValidationError", call("nobody", "AssumeRoleWithSAML", w.assertion(nil, "DurationSeconds", "3601"))},
		{"AssumeRoleWithSAML", "duration-is-text", "MalformedInput", call("nobody", "AssumeRoleWithSAML", w.assertion(nil, "DurationSeconds", "x"))},
		{"AssumeRoleWithSAML", "transitive-without-tag", "InvalidParameterValue", call("nobody", "AssumeRoleWithSAML", w.assertion(attribute("TransitiveTagKeys", "a")))},
		{"AssumeRoleWithSAML", "policy-no-json", "MalformedPolicyDocument", call("nobody", "AssumeRoleWithSAML", w.assertion(nil, "Policy", "{"))},
		{"AssumeRoleWithSAML", "tags-too-large", "PackedPolicyTooLarge", call("nobody", "AssumeRoleWithSAML", w.assertion(func(r *samltest.Response) {
			for i := range 50 {
				attribute("PrincipalTag:"+strconv.Itoa(i), incompressible(i, 250))(r)
			}
		}))},
		{"AssumeRoleWithSAML", "no-such-provider", "InvalidIdentityToken", call("nobody", "AssumeRoleWithSAML", w.assertion(nil, "PrincipalArn", corpProvider+"2"))},
		{"AssumeRoleWithSAML", "not-base64", "InvalidIdentityToken", call("nobody", "AssumeRoleWithSAML", w.assertion(nil, "SAMLAssertion", "!!!!"))},
		{"AssumeRoleWithSAML", "not-signed", "InvalidIdentityToken", call("nobody", "AssumeRoleWithSAML", w.assertion(func(r *samltest.Response) { r.SignAssertion = false }))},
		{"AssumeRoleWithSAML", "other-audience", "InvalidIdentityToken", call("nobody", "AssumeRoleWithSAML", w.assertion(func(r *samltest.Response) { r.Audiences = []string{"urn:x"} }))},
		{"AssumeRoleWithSAML", "session-name", "InvalidIdentityToken", call("nobody", "AssumeRoleWithSAML", w.assertion(attribute("RoleSessionName", "a b")))},
		{"AssumeRoleWithSAML", "stale", "ExpiredTokenException", call("nobody", "AssumeRoleWithSAML", w.assertion(func(r *samltest.Response) { r.IssueInstant = time.Now().Add(-6 * time.Minute) }))},
		{"AssumeRoleWithSAML", "expired", "ExpiredTokenException", call("nobody", "AssumeRoleWithSAML", w.assertion(func(r *samltest.Response) { r.NotOnOrAfter = time.Now().Add(-time.Hour) }))},
		{"AssumeRoleWithSAML", "sign-in-failed", "IDPRejectedClaim", call("nobody", "AssumeRoleWithSAML", w.assertion(func(r *samltest.Response) { r.Status = "urn:oasis:names:tc:SAML:2.0:status:AuthnFailed" }))},

		{"DecodeAuthorizationMessage", "success", "", call("alice", "DecodeAuthorizationMessage", with("EncodedMessage", encoded))},
		{"DecodeAuthorizationMessage", "denied", "AccessDenied", call("bob", "DecodeAuthorizationMessage", with("EncodedMessage", encoded))},
		{"DecodeAuthorizationMessage", "nothing", "ValidationError", call("alice", "DecodeAuthorizationMessage", nil)},
		{"DecodeAuthorizationMessage", "nonsense", "InvalidAuthorizationMessageException", call("alice", "DecodeAuthorizationMessage", with("EncodedMessage", "nonsense"))},

		{"GetAccessKeyInfo", "success", "", call("alice", "GetAccessKeyInfo", with("AccessKeyId", "AKIAWDB7XWLS3OBANPCE"))},
		{"GetAccessKeyInfo", "denied", "AccessDenied", call("bob", "GetAccessKeyInfo", with("AccessKeyId", "AKIAWDB7XWLS3OBANPCE"))},
		{"GetAccessKeyInfo", "too-short", "ValidationError", call("alice", "GetAccessKeyInfo", with("AccessKeyId", "AKIA"))},
		{"GetAccessKeyInfo", "no-account-in-it", "ValidationError", call("alice", "GetAccessKeyInfo", with("AccessKeyId", "AKIA0000000000000000"))},

		{"RevokeSessions", "success", "", call("alice", "RevokeSessions", with("ProviderArn", "arn:aws:iam::111122223333:saml-provider/gone", "Subject", "bob", "Reason", "left the company", "Wait", "true"))},
		{"RevokeSessions", "denied", "AccessDenied", call("bob", "RevokeSessions", with("PrincipalArn", "arn:aws:iam::111122223333:root"))},
		{"RevokeSessions", "two-ways", "ValidationError", call("alice", "RevokeSessions", with("PrincipalArn", "arn:aws:iam::111122223333:root", "AccessKeyId", "ASIAWDB7XWLS3OBANPCE"))},

		{"GetCallerIdentity", "success-root", "", call("root", "GetCallerIdentity", nil)},
		{"GetCallerIdentity", "success-user", "", call("alice", "GetCallerIdentity", nil)},
		{"GetCallerIdentity", "success-session-token", "", call("session", "GetCallerIdentity", nil)},
		{"GetCallerIdentity", "success-role", "", call("role", "GetCallerIdentity", nil)},
		{"GetCallerIdentity", "success-federated", "", call("federated", "GetCallerIdentity", nil)},
		{"GetCallerIdentity", "success-assumed-root", "", call("task root", "GetCallerIdentity", nil)},
		{"GetCallerIdentity", "success-json", "", json(call("alice", "GetCallerIdentity", nil))},
		{"GetCallerIdentity", "success-presigned-json", "", wireCall{
			who: "role", action: "GetCallerIdentity", method: "GET", before: asJSON,
			sign: presignNow,
		}},

		{"GetFederationToken", "success", "", call("alice", "GetFederationToken", with("Name", "guest"))},
		{"GetFederationToken", "success-everything", "", call("alice", "GetFederationToken", with("Name", "guest", "Policy", read, "DurationSeconds", "3600",
			"PolicyArns.member.1.arn", "arn:aws:iam::111122223333:policy/reader", "Tags.member.1.Key", "Project", "Tags.member.1.Value", "x"))},
		{"GetFederationToken", "success-root", "", call("root", "GetFederationToken", with("Name", "guest"))},
		{"GetFederationToken", "denied", "AccessDenied", call("bob", "GetFederationToken", with("Name", "guest"))},
		{"GetFederationToken", "session", "AccessDenied", call("session", "GetFederationToken", with("Name", "guest"))},
		{"GetFederationToken", "name", "ValidationError", call("alice", "GetFederationToken", with("Name", "x"))},
		{"GetFederationToken", "duration-is-text", "MalformedInput", call("alice", "GetFederationToken", with("Name", "guest", "DurationSeconds", "x"))},
		{"GetFederationToken", "tags-twice", "InvalidParameterValue", call("alice", "GetFederationToken", with("Name", "guest",
			"Tags.member.1.Key", "a", "Tags.member.1.Value", "", "Tags.member.2.Key", "A", "Tags.member.2.Value", ""))},
		{"GetFederationToken", "policy-no-json", "MalformedPolicyDocument", call("alice", "GetFederationToken", with("Name", "guest", "Policy", "{"))},
		{"GetFederationToken", "tags-too-large", "PackedPolicyTooLarge", call("alice", "GetFederationToken", fifty(with("Name", "guest")))},

		{"GetSessionToken", "success", "", call("alice", "GetSessionToken", nil)},
		{"GetSessionToken", "success-mfa", "", call("bob", "GetSessionToken", with("SerialNumber", tokenSerial, "TokenCode", tokenCode))},
		{"GetSessionToken", "success-root", "", call("root", "GetSessionToken", with("DurationSeconds", "129600"))},
		{"GetSessionToken", "session", "AccessDenied", call("role", "GetSessionToken", nil)},
		{"GetSessionToken", "mfa-used-code", "AccessDenied", call("bob", "GetSessionToken", with("SerialNumber", tokenSerial, "TokenCode", tokenCode))},
		{"GetSessionToken", "mfa-unknown-device", "AccessDenied", call("bob", "GetSessionToken", with("SerialNumber", nobody, "TokenCode", "123456"))},
		{"GetSessionToken", "mfa-half", "AccessDenied", call("bob", "GetSessionToken", with("SerialNumber", tokenSerial))},
		{"GetSessionToken", "too-short", "ValidationError", call("alice", "GetSessionToken", with("DurationSeconds", "899"))},
		{"GetSessionToken", "duration-is-text", "MalformedInput", call("alice", "GetSessionToken", with("DurationSeconds", "1h"))},

		{"GetWebIdentityToken", "disabled", "OutboundWebIdentityFederationDisabledException", call("alice", "GetWebIdentityToken", identity())},
		{"EnableOutboundWebIdentityFederation", "success", "", wireCall{who: "root", action: "EnableOutboundWebIdentityFederation", service: "iam"}},
		{"GetWebIdentityToken", "success", "", call("alice", "GetWebIdentityToken", identity("Tags.member.1.Key", "a", "Tags.member.1.Value", "b"))},
		{"GetWebIdentityToken", "denied", "AccessDenied", call("bob", "GetWebIdentityToken", identity())},
		{"GetWebIdentityToken", "algorithm", "ValidationError", call("alice", "GetWebIdentityToken", identity("SigningAlgorithm", "HS256"))},
		{"GetWebIdentityToken", "tags-twice", "InvalidParameterValue", call("alice", "GetWebIdentityToken", identity(
			"Tags.member.1.Key", "a", "Tags.member.1.Value", "", "Tags.member.2.Key", "A", "Tags.member.2.Value", ""))},
		{"GetWebIdentityToken", "longer-than-the-session", "SessionDurationEscalationException", call("short role", "GetWebIdentityToken", identity("DurationSeconds", "3600"))},
		{"GetWebIdentityToken", "too-large", "JWTPayloadSizeExceededException", call("alice", "GetWebIdentityToken", huge)},

		{"common", "nobody", "MissingAuthenticationToken", call("nobody", "GetCallerIdentity", nil)},
		{"common", "nobody-json", "MissingAuthenticationToken", json(call("nobody", "GetCallerIdentity", nil))},
		{"common", "other-scheme", "IncompleteSignature", wireCall{who: "nobody", action: "GetCallerIdentity", after: authorize("Bearer x")}},
		{"common", "unknown-key", "InvalidClientTokenId", call("stranger", "GetCallerIdentity", nil)},
		{"common", "inactive-key", "InvalidClientTokenId", call("carol", "GetCallerIdentity", nil)},
		{"common", "temporary-key-without-token", "InvalidClientTokenId", call("no token", "GetCallerIdentity", nil)},
		{"common", "expired", "ExpiredToken", call("expired", "GetCallerIdentity", nil)},
		{"common", "wrong-secret", "SignatureDoesNotMatch", call("wrong secret", "GetCallerIdentity", nil)},
		{"common", "clock", "SignatureDoesNotMatch", wireCall{who: "alice", action: "GetCallerIdentity", sign: signedAt(time.Now().Add(-time.Hour), "eu-west-1", "sts")}},
		{"common", "no-action", "MissingAction", wireCall{who: "nobody", raw: raw("Version=2011-06-15")}},
		{"common", "unknown-action", "InvalidAction", call("nobody", "Fly", nil)},
		{"common", "unknown-action-json", "InvalidAction", json(call("nobody", "Fly", nil))},
		{"common", "no-version", "InvalidAction", wireCall{who: "nobody", raw: raw("Action=GetCallerIdentity")}},
		{"common", "broken-body", "MalformedInput", wireCall{who: "nobody", raw: raw(whoAmI + "&a=%zz")}},
		{"common", "broken-query", "MalformedQueryString", wireCall{who: "nobody", action: "GetCallerIdentity", query: "a=%zz"}},
		{"common", "index", "MalformedInput", call("alice", "AssumeRole", assume("Tags.member.x.Key", "a"))},
		{"common", "put", "MalformedInput", wireCall{who: "nobody", action: "GetCallerIdentity", method: "PUT"}},
		{"common", "throttling", "Throttling", wireCall{who: "alice", action: "GetCallerIdentity", at: w.full}},
	}
}

// largeTags is a claim of tags that do not fit into a session.
func largeTags() map[string]any {
	tags := make(map[string]any)
	for i := range 50 {
		tags[strconv.Itoa(i)] = []string{incompressible(i, 250)}
	}
	return map[string]any{"principal_tags": tags}
}

// deadIssuer are parameters with a token of an issuer that is registered and does not answer.
func (w *compat) deadIssuer() url.Values {
	w.t.Helper()
	dead := oidctest.New(w.t)
	dead.Intercept(func(rw http.ResponseWriter, _ *http.Request) bool {
		rw.WriteHeader(http.StatusServiceUnavailable)
		return true
	})
	w.directory("CreateOpenIDConnectProvider", "Url", dead.URL, "ClientIDList.member.1", "stint")
	return w.webIdentity(nil, "WebIdentityToken", dead.Token("RS256", dead.Claims("stint", "build-1", time.Now())))
}

// incompressible is text that deflate makes little of, the same at each run.
func incompressible(seed, length int) string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	state := uint64(seed)*0x9e3779b97f4a7c15 + 1
	b := make([]byte, length)
	for i := range b {
		state ^= state << 13
		state ^= state >> 7
		state ^= state << 17
		b[i] = letters[state%64]
	}
	return string(b)
}

func authorize(value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("Authorization", value) }
}

func presignNow(r *sigv4.Request, c sigv4.Credentials) error {
	return sigv4.Presign(r, c, "eu-west-1", "sts", time.Now(), 0)
}

// encodedMessage is the authorization message of something that bob was denied.
func (w *compat) encodedMessage() string {
	w.t.Helper()
	got, err := w.do(wireCall{who: "bob", action: "ListUsers", service: "iam"})
	if err != nil {
		w.t.Fatal(err)
	}
	_, encoded, found := strings.Cut(answer{got.response, got.body}.element("Message"), "message: ")
	if !found {
		w.t.Fatalf("no encoded message in %s", got.body)
	}
	return encoded
}

// Every operation of STS, and every error that it can give, byte by byte but for what no two calls share.
func TestCompatibility_GoldenSTS(t *testing.T) {
	t.Parallel()
	w := openCompat(t, nil)
	w.populate()
	g := newGoldenFiles(t, "sts")
	for _, c := range stsGolden(w) {
		got, err := w.do(c.call)
		if err != nil {
			t.Fatal(err)
		}
		g.record(c.dir, c.name, c.code, got)
	}
	lost(t, g, server.LoseSessions, "sessions-unreachable", "ServiceUnavailable", "alice", "AssumeRole", with("RoleArn", workerRole, "RoleSessionName", "monday"))
	lost(t, g, server.LoseDirectory, "directory-unreachable", "InternalFailure", "stranger", "GetCallerIdentity", nil)
	g.finish()
	for _, name := range server.Operations(w.server) {
		if action, ok := strings.CutPrefix(name, "sts:"); ok && !g.calls[action] {
			t.Errorf("no golden success of %s", action)
		}
	}
	elsewhere := []string{
		"RequestEntityTooLarge",       // in TestQuery
		"InvalidParameterCombination", // no operation gives it
	}
	for _, k := range awserr.All() {
		if !g.codes[k.Code] && !slices.Contains(elsewhere, k.Code) && !slices.Contains(iamCodes(), k.Code) {
			t.Errorf("no golden error %s", k.Code)
		}
	}
}

// lost records how a server that has lost something answers.
func lost(t *testing.T, g *goldenFiles, lose func(*server.Server) error, name, code, who, action string, params url.Values) {
	t.Helper()
	w := openCompat(t, nil)
	w.populate()
	if err := lose(w.server); err != nil {
		t.Fatal(err)
	}
	got, err := w.do(wireCall{who: who, action: action, params: params})
	if err != nil {
		t.Fatal(err)
	}
	g.record("common", name, code, got)
}

// iamCodes are the errors that only IAM gives.
func iamCodes() []string {
	return slices.Collect(maps.Keys(iamErrors))
}
