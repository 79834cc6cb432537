package server_test

import (
	"encoding/json"
	"encoding/xml"
	"io"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stint-sts/stint/sigv4"
)

var uuid = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

// What is asked of the endpoint, and how it answers: status, code, message.
func TestQuery(t *testing.T) {
	t.Parallel()
	n := serve(t, nil)
	large := strings.Repeat("x", 512<<10)
	for _, row := range []struct {
		name    string
		request request
		status  int
		code    string // empty: success
		message string
	}{
		{"POST", request{body: whoAmI, sign: true}, 200, "", ""},
		{"GET", request{method: "GET", query: whoAmI, sign: true}, 200, "", ""},
		{"POST with everything in the query string", request{query: whoAmI, sign: true}, 200, "", ""},
		{"POST with the version in the query string", request{query: stsVersion, body: "Action=GetCallerIdentity", sign: true}, 200, "", ""},
		{"POST in chunks", request{body: whoAmI, sign: true, chunked: true}, 200, "", ""},
		{"content type with a charset", request{body: whoAmI, sign: true, header: http.Header{"Content-Type": {formType + "; charset=utf-8"}}}, 200, "", ""},
		{"no content type", request{body: whoAmI, sign: true, header: http.Header{"Content-Type": nil}}, 200, "", ""},
		{"name of the action in percent-encoding", request{body: "%41ction=Get%43allerIdentity&" + stsVersion, sign: true}, 200, "", ""},
		{"parameters that nobody knows", request{body: whoAmI + "&Colour=red&action=no", sign: true}, 200, "", ""},
		{"a body just within the bound", request{body: whoAmI + "&P=" + large[:len(large)-len(whoAmI)-3], sign: true}, 200, "", ""},

		{"HEAD", request{method: "HEAD", query: whoAmI, sign: true}, 400, "", ""}, // without a body there is no code to read
		{"PUT", request{method: "PUT", body: whoAmI, sign: true}, 400, "MalformedInput", "The request method must be GET or POST."},
		{"DELETE", request{method: "DELETE", query: whoAmI, sign: true}, 400, "MalformedInput", "The request method must be GET or POST."},
		{"OPTIONS", request{method: "OPTIONS", query: whoAmI, sign: true}, 400, "MalformedInput", "The request method must be GET or POST."},
		{"GET with a body", request{method: "GET", query: whoAmI, body: "a=b", sign: true}, 400, "MalformedInput", "A GET request must not have a body."},
		{"another path", request{path: "/v1", body: whoAmI, sign: true}, 400, "InvalidAction", "There is nothing at this path."},
		{"two slashes", request{path: "//", body: whoAmI, sign: true}, 400, "InvalidAction", "There is nothing at this path."},
		{"no action", request{body: stsVersion, sign: true}, 400, "MissingAction", "The request must contain the parameter Action."},
		{"nothing at all", request{}, 400, "MissingAction", "The request must contain the parameter Action."},
		{"empty action", request{body: "Action=&" + stsVersion}, 400, "MissingAction", "The request must contain the parameter Action."},
		{"unknown action", request{body: "Action=Fly&" + stsVersion}, 400, "InvalidAction", "Could not find operation Fly for version 2011-06-15"},
		{"action in another case", request{body: "Action=getcalleridentity&" + stsVersion}, 400, "InvalidAction", "Could not find operation getcalleridentity for version 2011-06-15"},
		{"action with a line feed", request{body: "Action=GetCallerIdentity%0A&" + stsVersion}, 400, "InvalidAction", "Could not find operation GetCallerIdentity\n for version 2011-06-15"},
		{"no version", request{body: "Action=GetCallerIdentity"}, 400, "InvalidAction", "Could not find operation GetCallerIdentity for version NO_VERSION_SPECIFIED"},
		{"unknown version", request{body: "Action=GetCallerIdentity&Version=2020-01-01"}, 400, "InvalidAction", "Could not find operation GetCallerIdentity for version 2020-01-01"},
		{"version of the other API", request{body: "Action=GetCallerIdentity&" + iamVersion}, 400, "InvalidAction", "Could not find operation GetCallerIdentity for version 2010-05-08"},
		{
			"a huge action is not repeated whole", request{body: "Action=" + strings.Repeat("A", 5000) + "&" + stsVersion}, 400, "InvalidAction",
			"Could not find operation " + strings.Repeat("A", 128) + "… for version 2011-06-15",
		},
		{"markup in the action", request{body: "Action=%3CCode%3E&" + stsVersion}, 400, "InvalidAction", "Could not find operation <Code> for version 2011-06-15"},
		{"body too large", request{body: whoAmI + "&P=" + large}, 413, "RequestEntityTooLarge", "The request is larger than 524288 bytes."},
		{"body too large, in chunks", request{body: whoAmI + "&P=" + large, chunked: true}, 413, "RequestEntityTooLarge", "The request is larger than 524288 bytes."},
		{"JSON body", request{body: `{"Action":"GetCallerIdentity"}`, header: http.Header{"Content-Type": {"application/json"}}}, 400, "MalformedInput", "The content type of the request must be application/x-www-form-urlencoded."},
		{"broken escape in the body", request{body: whoAmI + "&a=%zz"}, 400, "MalformedInput", "The body is not a valid form."},
		{"broken escape in the query string", request{method: "GET", query: whoAmI + "&a=%zz"}, 404, "MalformedQueryString", "The query string contains a syntax error."},
		{"NUL in a value", request{body: whoAmI + "&a=%00"}, 400, "MalformedInput", "The body is not a valid form."},
		{"bytes that are not UTF-8", request{body: whoAmI + "&a=%ff"}, 400, "MalformedInput", "The body is not a valid form."},
		{"action twice", request{body: whoAmI + "&Action=GetSessionToken"}, 400, "MalformedInput", "The request gives a parameter more than once: Action."},
		{"action twice, once in disguise", request{body: whoAmI + "&%41ction=GetSessionToken"}, 400, "MalformedInput", "The request gives a parameter more than once: Action."},
		{"action in query string and body", request{query: "Action=GetSessionToken", body: whoAmI}, 400, "MalformedInput", "The request gives a parameter more than once: Action."},
		{"a hundred thousand parameters", request{body: whoAmI + strings.Repeat("&a=b", 100_000)}, 400, "MalformedInput", "The request has more than 2000 parameters."},
		{
			"huge index of a member", request{service: "iam", sign: true, body: "Action=CreateUser&" + iamVersion + "&UserName=eve&Tags.member.9999999999.Key=a"}, 400,
			"MalformedInput", "The index of a member of Tags is not a number.",
		},
		{
			"duration beyond 32 bits", request{sign: true, body: "Action=GetSessionToken&" + stsVersion + "&DurationSeconds=4294968196"}, 400,
			"MalformedInput", "The value of parameter DurationSeconds must be an integer.",
		},
		{
			"negative duration", request{sign: true, body: "Action=GetSessionToken&" + stsVersion + "&DurationSeconds=-900"}, 400, "ValidationError",
			"1 validation error detected: Value '-900' at 'durationSeconds' failed to satisfy constraint: Member must have value greater than or equal to 900",
		},
		{"no signature", request{body: whoAmI}, 403, "MissingAuthenticationToken", "Request is missing Authentication Token"},
		{"signed for the other service", request{body: whoAmI, sign: true, service: "iam"}, 403, "SignatureDoesNotMatch", "Credential should be scoped to correct service: 'sts'. "},
		{"IAM signed for STS", request{body: "Action=ListUsers&" + iamVersion, sign: true}, 403, "SignatureDoesNotMatch", "Credential should be scoped to correct service: 'iam'. "},
		{
			"signature in header and query string", request{body: whoAmI, sign: true, query: "X-Amz-Signature=00"}, 400, "IncompleteSignature",
			"Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string parameter or the Authorization header should be specified",
		},
		{"empty session token beside a long-lived key", request{body: whoAmI, sign: true, header: http.Header{"X-Amz-Security-Token": {""}}}, 200, "", ""},
		{
			"input is not looked at before the caller is known", request{service: "iam", body: "Action=CreateUser&" + iamVersion + "&Tags.member.x=1"}, 403,
			"MissingAuthenticationToken", "Request is missing Authentication Token",
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			in := row.request
			in.header = maps.Clone(in.header)
			if in.header == nil {
				in.header = http.Header{}
			}
			got := n.send(in)
			if got.StatusCode != row.status {
				t.Fatalf("status %d, want %d\n%s", got.StatusCode, row.status, got.body)
			}
			id := got.Header.Get("X-Amzn-RequestId")
			if !uuid.MatchString(id) {
				t.Errorf("request id %q", id)
			}
			for name, want := range map[string]string{"Content-Type": "text/xml", "Cache-Control": "no-store"} {
				if got := got.Header.Values(name); len(got) != 1 || got[0] != want {
					t.Errorf("%s is %q", name, got)
				}
			}
			if _, err := http.ParseTime(got.Header.Get("Date")); err != nil {
				t.Errorf("Date: %v", err)
			}
			if in.method == "HEAD" {
				if got.body != "" {
					t.Errorf("HEAD has the body %q", got.body)
				}
				return
			}
			if got.element("RequestId") != id {
				t.Errorf("the body has the request id %q, the header %q", got.element("RequestId"), id)
			}
			if got.element("Code") != row.code || got.element("Message") != row.message {
				t.Errorf("got %s: %s\nwant %s: %s", got.element("Code"), got.element("Message"), row.code, row.message)
			}
			if row.code == "" && got.element("Arn") != "arn:aws:iam::111122223333:root" {
				t.Errorf("got %s", got.body)
			}
			if err := xml.Unmarshal([]byte(got.body), new(struct{})); err != nil {
				t.Errorf("not XML: %v", err)
			}
		})
	}
}

// An error of which the API is not known has another namespace than those of STS and IAM.
func TestQuery_Namespaces(t *testing.T) {
	t.Parallel()
	n := serve(t, nil)
	for _, row := range []struct {
		name    string
		request request
		want    string
	}{
		{"STS answer", request{body: whoAmI, sign: true}, `<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">`},
		{"STS error", request{body: whoAmI}, `<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>`},
		{"IAM answer", request{body: "Action=ListUsers&" + iamVersion, service: "iam", sign: true}, `<ListUsersResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/">`},
		{"IAM error", request{body: "Action=ListUsers&" + iamVersion}, `<ErrorResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/">`},
		{"neither", request{body: "Action=Fly"}, `<ErrorResponse xmlns="http://webservices.amazon.com/AWSFault/2005-15-09">`},
	} {
		if got := n.send(row.request); !strings.HasPrefix(got.body, row.want) {
			t.Errorf("%s begins with %.200s", row.name, got.body)
		}
	}
}

func TestQuery_JSON(t *testing.T) {
	t.Parallel()
	n := serve(t, nil)
	for _, accept := range []string{"application/json", "application/json; charset=utf-8", "Application/JSON, text/xml"} {
		got := n.send(request{method: "GET", query: whoAmI, sign: true, header: http.Header{"Accept": {accept}}})
		var out struct {
			GetCallerIdentityResponse struct {
				GetCallerIdentityResult struct{ Account, Arn, UserId string }
				ResponseMetadata        struct{ RequestId string }
			}
		}
		if err := json.Unmarshal([]byte(got.body), &out); err != nil {
			t.Fatalf("%v: %s", err, got.body)
		}
		answer := out.GetCallerIdentityResponse
		if answer.GetCallerIdentityResult.Arn != "arn:aws:iam::111122223333:root" || got.Header.Get("Content-Type") != "application/json" ||
			answer.ResponseMetadata.RequestId != got.Header.Get("X-Amzn-RequestId") {
			t.Errorf("%s: %s, %s", accept, got.Header.Get("Content-Type"), got.body)
		}
	}
	got := n.send(request{body: whoAmI, header: http.Header{"Accept": {"application/json"}}})
	want := `{"Error":{"Code":"MissingAuthenticationToken","Message":"Request is missing Authentication Token","Type":"Sender"},"RequestId":"` +
		got.Header.Get("X-Amzn-RequestId") + `"}`
	if got.StatusCode != 403 || got.body != want || got.Header.Get("Content-Type") != "application/json" {
		t.Errorf("error: %d %s", got.StatusCode, got.body)
	}
	for _, accept := range []string{"*/*", "text/html, application/json", "", "text/xml"} {
		if got := n.send(request{body: whoAmI, sign: true, header: http.Header{"Accept": {accept}}}); got.Header.Get("Content-Type") != "text/xml" {
			t.Errorf("Accept %q gives %s", accept, got.Header.Get("Content-Type"))
		}
	}
}

// Cluster log-ins send a presigned GetCallerIdentity on behalf of their user, with a header of their own signed
// (aws-iam-authenticator: x-k8s-aws-id, JSON, X-Amz-Expires 60).
func TestQuery_PresignedGetCallerIdentity(t *testing.T) {
	t.Parallel()
	n := serve(t, nil)
	presigned := func(header http.Header) string {
		r := sigv4.Request{Method: "GET", Path: "/", RawQuery: whoAmI, Host: n.at.HTTP, Header: header}
		if err := sigv4.Presign(&r, n.root, "eu-west-1", "sts", time.Now(), time.Minute); err != nil {
			t.Fatal(err)
		}
		return r.RawQuery
	}
	query := presigned(http.Header{"X-K8s-Aws-Id": {"cluster-1"}})
	for _, row := range []struct {
		name    string
		request request
		status  int
		text    string
	}{
		{
			"as a verifier sends it", request{method: "GET", query: query, header: http.Header{"X-K8s-Aws-Id": {"cluster-1"}, "Accept": {"application/json"}}},
			200, `"Arn":"arn:aws:iam::111122223333:root"`,
		},
		{"for another cluster", request{method: "GET", query: query, header: http.Header{"X-K8s-Aws-Id": {"cluster-2"}}}, 403, "SignatureDoesNotMatch"},
		{"without the header", request{method: "GET", query: query}, 403, "SignatureDoesNotMatch"},
		{"as a POST", request{query: query, header: http.Header{"X-K8s-Aws-Id": {"cluster-1"}}}, 403, "SignatureDoesNotMatch"},
		{
			"with another action", request{method: "GET", query: strings.Replace(query, "GetCallerIdentity", "GetSessionToken", 1), header: http.Header{"X-K8s-Aws-Id": {"cluster-1"}}},
			403, "SignatureDoesNotMatch",
		},
		{
			"with a parameter added", request{method: "GET", query: query + "&DurationSeconds=900", header: http.Header{"X-K8s-Aws-Id": {"cluster-1"}}},
			403, "SignatureDoesNotMatch",
		},
		{
			"with a session token added", request{method: "GET", query: query + "&X-Amz-Security-Token=x", header: http.Header{"X-K8s-Aws-Id": {"cluster-1"}}},
			403, "InvalidClientTokenId",
		},
		{
			"with a second signature", request{method: "GET", query: query + "&X-Amz-Signature=00", header: http.Header{"X-K8s-Aws-Id": {"cluster-1"}}},
			400, "IncompleteSignature",
		},
		{
			"with a second date in disguise", request{method: "GET", query: query + "&x%2Damz-date=20261128T000000Z", header: http.Header{"X-K8s-Aws-Id": {"cluster-1"}}},
			400, "IncompleteSignature",
		},
	} {
		if got := n.send(row.request); got.StatusCode != row.status || !strings.Contains(got.body, row.text) {
			t.Errorf("%s: %d %s", row.name, got.StatusCode, got.body)
		}
	}
}

// The public key set holds nothing private, and nothing but reading it is possible there.
func TestQuery_JWKS(t *testing.T) {
	t.Parallel()
	n := serve(t, map[string]string{"STINT_TOKEN_SIGNING": "EdDSA"})
	got := n.send(request{method: "GET", path: "/.well-known/jwks.json"})
	var keys struct{ Keys []map[string]any }
	if err := json.Unmarshal([]byte(got.body), &keys); err != nil || len(keys.Keys) == 0 {
		t.Fatalf("%v: %s", err, got.body)
	}
	for _, k := range keys.Keys {
		for _, private := range []string{"d", "k", "p", "q"} {
			if k[private] != nil {
				t.Errorf("the key set holds the private member %q", private)
			}
		}
	}
	if got := n.send(request{path: "/.well-known/jwks.json", body: "x=y"}); got.StatusCode < 400 {
		t.Errorf("POST: %d %s", got.StatusCode, got.body)
	}
}

// What strangers make up must not become a label of a metric.
func TestQuery_UnknownNamesAreNotMetrics(t *testing.T) {
	t.Parallel()
	n := serve(t, nil)
	n.send(request{body: whoAmI, sign: true})
	n.send(request{body: "Action=" + url.QueryEscape(`x"} 1`) + "&Version=" + url.QueryEscape("\n")})
	n.send(request{path: "/" + strings.Repeat("a", 100)})
	response, err := n.http.Get("http://" + n.at.Ops + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	text := string(raw)
	if !strings.Contains(text, `stint_requests_total{code="",operation="GetCallerIdentity",service="sts",transport="http"} 1`) ||
		!strings.Contains(text, `stint_requests_total{code="InvalidAction",operation="",service="",transport="http"} 2`) {
		t.Errorf("%s", text)
	}
}
