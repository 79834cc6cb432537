package main_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"io"
	"maps"
	"net/http"
	"net/url"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	iamops "github.com/stint-sts/stint/iam"
	"github.com/stint-sts/stint/secret"
	"github.com/stint-sts/stint/server/dispatch"
	"github.com/stint-sts/stint/shape"
	"github.com/stint-sts/stint/sigv4"
	stsops "github.com/stint-sts/stint/sts"
)

// leaks collects what must never be seen again once it was handed out or sent.
type leaks struct {
	secrets    map[string]string // secret: what it is
	signatures map[string]bool   // of all calls
}

var (
	handedOut      = regexp.MustCompile(`<(SecretAccessKey|SessionToken)>([^<]+)<`)
	likeASignature = regexp.MustCompile(`[0-9a-f]{64}`)
)

// fromAnswer adds the secrets that an answer hands out.
func (l *leaks) fromAnswer(operation, body string) {
	for _, m := range handedOut.FindAllStringSubmatch(body, -1) {
		l.secrets[m[2]] = m[1] + " of " + operation
	}
}

// in reports the secrets that a text holds.
func (l *leaks) in(t *testing.T, where, text string) {
	t.Helper()
	for value, what := range l.secrets {
		for _, spelling := range []string{value, url.QueryEscape(value), base64.StdEncoding.EncodeToString([]byte(value))} {
			if strings.Contains(text, spelling) {
				t.Errorf("%s holds the %s", where, what)
				break
			}
		}
	}
	for _, s := range likeASignature.FindAllString(text, -1) {
		if l.signatures[s] {
			t.Errorf("%s holds the signature of a call", where)
			break
		}
	}
}

var (
	signatureInHeader = regexp.MustCompile(`Signature=([0-9a-f]{64})`)
	signatureInQuery  = regexp.MustCompile(`X-Amz-Signature=([0-9a-f]{64})`)
)

const (
	leakedCode      = "918273"                    // a TOTP code
	leakedAssertion = "canary-context-assertion-" // a context assertion
	leakedPassword  = "Canary-password-7"         // good enough to be set
)

// TestNothingLeaks sends every operation, with inputs that are good and bad, by callers that are known and not, and then looks
// for secrets in everything that the server wrote or answered.
func TestNothingLeaks(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	first := start(t, dir, "--account-id", "111122223333") // it prints root's secret key, as it should
	root := first.root()
	alice := root.user(first, "alice", allowEverything)
	role := root.role("reader", trustFor("arn:aws:iam::111122223333:user/alice"))
	root.must(root.iam.PutRolePolicy(context.Background(), &iam.PutRolePolicyInput{
		RoleName: aws.String("reader"), PolicyName: aws.String("all"), PolicyDocument: aws.String(allowEverything),
	}))
	session := alice.mustAssume(role, nil)
	first.stop()

	n := start(t, dir, "--log-level", "debug", "--log-format", "json")
	sent := leaks{
		secrets:    map[string]string{leakedCode: "MFA code", leakedAssertion: "context assertion", leakedPassword: "password"},
		signatures: make(map[string]bool),
	}
	rootKey, aliceKey := n.root().credentials(), alice.credentials()
	reader := sigv4.Credentials{
		AccessKeyID: *session.AccessKeyId, SecretAccessKey: secret.New(*session.SecretAccessKey), SessionToken: secret.New(*session.SessionToken),
	}
	tampered := reader
	tampered.SessionToken = secret.New(*session.SessionToken + "AAAA")
	misplaced := sigv4.Credentials{AccessKeyID: rootKey.AccessKeyID, SecretAccessKey: rootKey.SecretAccessKey, SessionToken: reader.SessionToken}
	wrong := sigv4.Credentials{AccessKeyID: aliceKey.AccessKeyID, SecretAccessKey: secret.New("canary+of/a+mistyped/secret+key+00000000")}
	callers := map[string]sigv4.Credentials{
		"root": rootKey, "alice": aliceKey, "reader": reader, "tampered token": tampered, "token of another key": misplaced, "wrong secret": wrong,
	}
	for who, c := range callers {
		sent.secrets[c.SecretAccessKey.Reveal()] = "secret key of " + who
		if token := c.SessionToken.Reveal(); token != "" {
			sent.secrets[token] = "session token of " + who
			sent.secrets[token[strings.LastIndexByte(token, '.')+1:]] = "MAC of the session token of " + who
		}
	}

	strangers := []string{"tampered token", "token of another key", "wrong secret"}
	ways := map[string][]string{"alice": {"header", "presigned"}, "reader": {"header", "presigned", "mangled"}}
	for who := range callers {
		if ways[who] == nil {
			ways[who] = []string{"header"}
		}
	}
	all := leaks{secrets: maps.Clone(sent.secrets), signatures: sent.signatures} // with those that the calls will hand out
	calls := 0
	for _, o := range operations() {
		for _, quality := range []string{"good", "bad", "huge"} {
			form := formFor(o.Input, quality)
			form.Set("Action", o.Name)
			form.Set("Version", map[string]string{"sts": "2011-06-15", "iam": "2010-05-08"}[o.Service])
			for _, who := range slices.Sorted(maps.Keys(callers)) {
				if strings.HasPrefix(o.Name, "Delete") && who != "alice" {
					continue // what is gone cannot be asked for any more
				}
				if quality != "good" && slices.Contains(strangers, who) {
					continue // their input is not looked at
				}
				for _, way := range ways[who] {
					status, body := n.signed(o.Service, form.Encode(), callers[who], way, sent.signatures)
					calls++
					if status == http.StatusOK {
						all.fromAnswer(o.Name, body)
					} else {
						sent.in(t, "the answer to "+o.Name+" by "+who, body)
					}
					if status == http.StatusInternalServerError {
						t.Errorf("%s, %s, %s, %s: %s", o.Name, quality, who, way, body)
					}
				}
			}
		}
	}
	metrics := fetch(t, n.ops+"/metrics")
	n.stop()
	if calls < 1000 {
		t.Errorf("only %d calls", calls)
	}
	all.in(t, "standard output or log", n.output.String())
	all.in(t, "/metrics", metrics)
	files := contents(t, dir)
	if !strings.Contains(n.output.String(), `"request_id"`) || len(files) < 4 {
		t.Fatal("there is no log or no data to look at")
	}
	events := 0
	for name, content := range files {
		if name == filepath.Join("bootstrap", "credentials") { // where root's key is handed over
			if !strings.Contains(content, rootKey.SecretAccessKey.Reveal()) {
				t.Error("the search does not find a secret where it is")
			}
			continue
		}
		if strings.HasPrefix(name, "audit") {
			events += strings.Count(content, "\n")
		}
		all.in(t, name, content)
	}
	if events < calls {
		t.Errorf("%d events for %d calls", events, calls)
	}
}

// operations are all operations, those that delete last.
func operations() []*dispatch.Operation {
	all := slices.Collect(dispatch.NewTable(&stsops.Service{}, &iamops.Service{}).All)
	slices.SortFunc(all, func(a, b *dispatch.Operation) int {
		if d := rank(a) - rank(b); d != 0 {
			return d
		}
		return strings.Compare(a.Service+a.Name, b.Service+b.Name)
	})
	return all
}

func rank(o *dispatch.Operation) int {
	switch {
	case strings.HasPrefix(o.Name, "Create"):
		return 0
	case strings.HasPrefix(o.Name, "Delete"), strings.HasPrefix(o.Name, "Remove"), strings.HasPrefix(o.Name, "Detach"):
		return 2
	}
	return 1
}

// plausible are values of members by their names, good for an operation on the objects of the test.
var plausible = map[string]string{
	"UserName": "alice", "RoleName": "reader", "GroupName": "staff", "PolicyName": "extra", "InstanceProfileName": "machine",
	"PolicyArn": "arn:aws:iam::aws:policy/ReadOnlyAccess", "PermissionsBoundary": "arn:aws:iam::aws:policy/ReadOnlyAccess", "PolicyDocument": allowEverything,
	"AssumeRolePolicyDocument": trustFor("arn:aws:iam::111122223333:user/alice"), "Policy": allowEverything, "RoleArn": "arn:aws:iam::111122223333:role/reader",
	"RoleSessionName": "monday", "Name": "bob", "AccountAlias": "stint-test", "Path": "/", "PathPrefix": "/", "Status": "Active", "VersionId": "v1",
	"Key": "team", "Value": "red", "AccessKeyId": "AKIAWDB7XWLS3OBANPC3", "arn": "arn:aws:iam::aws:policy/ReadOnlyAccess", "SourceIdentity": "alice",
	"SerialNumber": "arn:aws:iam::111122223333:mfa/alice", "ExternalId": "partner-7",
}

// formFor makes a form for a shape. Secrets are always there, whether the operation wants them now or not.
func formFor(s *shape.Shape, quality string) url.Values {
	form := url.Values{}
	fill(form, "", s, quality)
	return form
}

func fill(form url.Values, prefix string, s *shape.Shape, quality string) {
	fields := s.Fields()
	for i := range fields {
		f := &fields[i]
		name := prefix + f.Name
		switch f.Kind {
		case shape.Secret:
			form.Set(name, secretFor(f.Name, quality))
		case shape.String:
			switch value := plausible[f.Name]; {
			case quality == "bad":
				form.Set(name, "\u202e"+value+"\n")
			case quality == "huge":
				form.Set(name, strings.Repeat("*", 5000))
			case value != "" && (f.Required || !optionalTrap[f.Name]):
				form.Set(name, value)
			}
		case shape.Int:
			if quality != "good" {
				form.Set(name, "99999999999999999999")
			}
		case shape.Bool, shape.Time, shape.Blob:
			if quality != "good" {
				form.Set(name, "neither")
			}
		case shape.StringList:
			form.Set(prefix+f.Members+"1", "team")
		case shape.StructList:
			if f.Required || quality != "good" {
				fill(form, prefix+f.Members+"1.", f.Elem, quality)
			}
		case shape.Struct:
			if quality != "good" {
				fill(form, prefix+f.Members, f.Elem, quality)
			}
		case shape.IntMap:
		}
	}
}

// optionalTrap are members that make a good request fail when they are given.
var optionalTrap = map[string]bool{"SerialNumber": true, "PermissionsBoundary": true, "Policy": true}

func secretFor(name, quality string) string {
	switch {
	case name == "TokenCode" || strings.HasPrefix(name, "AuthenticationCode"):
		if quality == "huge" {
			return leakedCode + leakedCode
		}
		return leakedCode
	case strings.Contains(name, "Password"):
		return leakedPassword
	default:
		return leakedAssertion + strings.Repeat("x", len(quality))
	}
}

// signed sends a form in one of several ways and remembers its signature as a secret.
func (n *node) signed(service, form string, c sigv4.Credentials, way string, signatures map[string]bool) (int, string) {
	n.t.Helper()
	host := strings.TrimPrefix(n.url, "http://")
	r := sigv4.Request{Method: "POST", Path: "/", Host: host, Header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, Body: []byte(form)}
	var err error
	if way == "presigned" {
		err = sigv4.Presign(&r, c, "eu-west-1", service, time.Now(), time.Minute)
	} else {
		err = sigv4.Sign(&r, c, "eu-west-1", service, time.Now())
	}
	if err != nil {
		n.t.Fatal(err)
	}
	header := http.Header(r.Header)
	for _, m := range append(signatureInHeader.FindAllStringSubmatch(header.Get("Authorization"), 1), signatureInQuery.FindAllStringSubmatch(r.RawQuery, 1)...) {
		signatures[m[1]] = true
	}
	if way == "mangled" {
		header.Set("Authorization", header.Get("Authorization")+", ")
	}
	request, err := http.NewRequestWithContext(n.t.Context(), r.Method, n.url+"/?"+r.RawQuery, bytes.NewReader(r.Body))
	if err != nil {
		n.t.Fatal(err)
	}
	request.Header = header
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		n.t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		n.t.Fatal(err)
	}
	return answer.StatusCode, string(body)
}

// credentials are those of the SDK's client.
func (c *client) credentials() sigv4.Credentials {
	c.t.Helper()
	v, err := c.sts.Options().Credentials.Retrieve(context.Background())
	if err != nil {
		c.t.Fatal(err)
	}
	return sigv4.Credentials{AccessKeyID: v.AccessKeyID, SecretAccessKey: secret.New(v.SecretAccessKey), SessionToken: secret.New(v.SessionToken)}
}

// What looks like an attack gets a refusal of the caller's own making; the server neither fails nor slows down for others.
func TestAttacks(t *testing.T) {
	t.Parallel()
	n := start(t, filepath.Join(t.TempDir(), "data"), "--account-id", "111122223333")
	root := n.root().credentials()
	deep := strings.Repeat(`{"Statement":[`, 20_000)
	stars := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"arn:aws:s3:::` + strings.Repeat("*a", 1000) + `"}]}`
	twice := `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Effect":"Allow","Action":"*","Resource":"*"}]}`
	for _, row := range []struct {
		name, service string
		form          url.Values
		code          string // empty: success
	}{
		{"deep policy", "iam", url.Values{"Action": {"CreatePolicy"}, "PolicyName": {"p"}, "PolicyDocument": {deep[:131_000]}}, "MalformedPolicyDocument"},
		{"policy of stars", "iam", url.Values{"Action": {"CreatePolicy"}, "PolicyName": {"stars"}, "PolicyDocument": {stars}}, ""},
		{"policy with a key twice", "iam", url.Values{"Action": {"CreatePolicy"}, "PolicyName": {"p"}, "PolicyDocument": {twice}}, "MalformedPolicyDocument"},
		{"policy of 128 KiB", "iam", url.Values{"Action": {"CreatePolicy"}, "PolicyName": {"p"}, "PolicyDocument": {strings.Repeat("*", 131_072)}}, "*"},
		{"policy beyond 128 KiB", "iam", url.Values{"Action": {"CreatePolicy"}, "PolicyName": {"p"}, "PolicyDocument": {strings.Repeat("*", 131_073)}}, "ValidationError"},
		{"name with a line feed", "iam", url.Values{"Action": {"CreateUser"}, "UserName": {"eve\n"}}, "ValidationError"},
		{"name with the Kelvin sign", "iam", url.Values{"Action": {"CreateUser"}, "UserName": {"\u212aevin"}}, "ValidationError"},
		{"name with the long s", "iam", url.Values{"Action": {"CreateUser"}, "UserName": {"\u017fam"}}, "ValidationError"},
		{"path that climbs", "iam", url.Values{"Action": {"CreateUser"}, "UserName": {"climber"}, "Path": {"/../../etc/"}}, ""},
		{"path with a line feed", "iam", url.Values{"Action": {"CreateUser"}, "UserName": {"eve"}, "Path": {"/a\n/"}}, "ValidationError"},
		{"tag keys that differ in case", "iam", tags("CreateUser", "UserName", "tagged", "Team", "team"), "InvalidInput"},
		{"tag keys that differ by the Kelvin sign", "iam", tags("CreateUser", "UserName", "tagged", "k", "\u212a"), "InvalidInput"},
		{"tag keys that differ by a dotted capital I", "iam", tags("CreateUser", "UserName", "tagged", "id", "\u0130d"), "InvalidInput"},
		{"reserved tag key", "iam", tags("CreateUser", "UserName", "tagged", "AWS:x"), "InvalidInput"},
		{"quotation marks and markup", "iam", url.Values{"Action": {"CreateRole"}, "RoleName": {"r"}, "Description": {`<x a="b">&`}, "AssumeRolePolicyDocument": {trustFor("arn:aws:iam::111122223333:root")}}, ""},
		{"SQL in a marker", "iam", url.Values{"Action": {"ListUsers"}, "Marker": {"' OR 1=1 --"}}, "*"},
		{"SQL in a prefix", "iam", url.Values{"Action": {"ListUsers"}, "PathPrefix": {"/%_'\"\\"}}, ""},
		{"MaxItems beyond the bound", "iam", url.Values{"Action": {"ListUsers"}, "MaxItems": {"2147483647"}}, "ValidationError"},
		{"duration that overflows", "sts", url.Values{"Action": {"GetSessionToken"}, "DurationSeconds": {"9223372036854775808"}}, "MalformedInput"},
		{"duration in another number system", "sts", url.Values{"Action": {"GetSessionToken"}, "DurationSeconds": {"0x384"}}, "MalformedInput"},
		{"duration with digits of another script", "sts", url.Values{"Action": {"GetSessionToken"}, "DurationSeconds": {"９００"}}, "MalformedInput"},
		{"duration with an exponent", "sts", url.Values{"Action": {"GetSessionToken"}, "DurationSeconds": {"9e2"}}, "MalformedInput"},
		{"list index that overflows", "iam", url.Values{"Action": {"CreateUser"}, "UserName": {"eve"}, "Tags.member.18446744073709551617.Key": {"a"}}, "MalformedInput"},
		{"list index with a zero in front", "iam", url.Values{"Action": {"CreateUser"}, "UserName": {"eve"}, "Tags.member.01.Key": {"a"}}, "MalformedInput"},
		{"huge list index", "iam", url.Values{"Action": {"CreateUser"}, "UserName": {"sparse"}, "Tags.member.999999999.Key": {"a"}, "Tags.member.999999999.Value": {"b"}}, ""},
		{"still there", "sts", url.Values{"Action": {"GetCallerIdentity"}}, ""},
	} {
		row.form.Set("Version", map[string]string{"sts": "2011-06-15", "iam": "2010-05-08"}[row.service])
		status, body := n.signed(row.service, row.form.Encode(), root, "header", make(map[string]bool))
		code := ""
		if m := regexp.MustCompile(`<Code>([^<]+)</Code>`).FindStringSubmatch(body); m != nil {
			code = m[1]
		}
		if status >= 500 || code != row.code && (row.code != "*" || code == "") {
			t.Errorf("%s: %d %s", row.name, status, body)
		}
	}
	if out := n.output.String(); strings.Contains(out, "panic") {
		t.Errorf("%s", out)
	}
}

// tags makes a form with tags of these keys.
func tags(action, nameOf, name string, keys ...string) url.Values {
	form := url.Values{"Action": {action}, nameOf: {name}}
	for i, k := range keys {
		form.Set("Tags.member."+strconv.Itoa(i+1)+".Key", k)
		form.Set("Tags.member."+strconv.Itoa(i+1)+".Value", "v")
	}
	return form
}

// The plausible values above name members that exist: a renamed one must not quietly drop out of the test.
func TestPlausibleValuesAreMembers(t *testing.T) {
	t.Parallel()
	seen := make(map[string]bool)
	var walk func(*shape.Shape)
	walk = func(s *shape.Shape) {
		fields := s.Fields()
		for i := range fields {
			seen[fields[i].Name] = true
			if fields[i].Elem != nil && fields[i].Elem.Type().Kind() == reflect.Struct {
				walk(fields[i].Elem)
			}
		}
	}
	for _, o := range operations() {
		walk(o.Input)
	}
	for name := range plausible {
		if !seen[name] {
			t.Errorf("no operation has a member %s", name)
		}
	}
}
