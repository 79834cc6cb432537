package server_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/stint-sts/stint/federation/samltest"
	"github.com/stint-sts/stint/sigv4"
)

// Answers that many rules have in common.
const (
	invalidToken  = "403 InvalidClientTokenId: The security token included in the request is invalid"
	wrongSign     = "403 SignatureDoesNotMatch: The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
	deniedWorker  = " is not authorized to perform: sts:AssumeRole on resource: " + workerRole
	aliceIs       = "403 AccessDenied: User: arn:aws:iam::111122223333:user/alice is not authorized to perform: "
	sessionsMay   = "403 AccessDenied: Cannot call %s with session credentials"
	wrongCode     = "403 AccessDenied: MultiFactorAuthentication failed with invalid MFA one time pass code. "
	unknownDevice = "403 AccessDenied: MultiFactorAuthentication failed, unable to validate MFA code.  Please verify your MFA serial number is valid and associated with this user."
	halfMFA       = "403 AccessDenied: MultiFactorAuthentication failed, must provide both MFA serial number and one time pass code."
)

// invalid is the validation error of one value; the constraint is what follows "Member must".
func invalid(path, value, constraint string) string {
	if value != "" {
		value = " '" + value + "'"
	}
	return "400 ValidationError: 1 validation error detected: Value" + value + " at '" + path + "' failed to satisfy constraint: Member must " + constraint
}

func atLeast(n int) string { return fmt.Sprintf("have length greater than or equal to %d", n) }
func atMost(n int) string  { return fmt.Sprintf("have length less than or equal to %d", n) }

// body is a call whose body is given as it is.
func body(text string, want string) proof {
	return sends(wireCall{who: "alice", raw: &text}, want)
}

// signs is GetCallerIdentity by alice with another signature.
func signs(sign func(*sigv4.Request, sigv4.Credentials) error, want string) proof {
	return sends(wireCall{who: "alice", action: "GetCallerIdentity", sign: sign}, want)
}

// tampers is GetCallerIdentity by alice, changed after it was signed.
func tampers(change func(*http.Request), want string) proof {
	return sends(wireCall{who: "alice", action: "GetCallerIdentity", after: change}, want)
}

func authorization(from, to string) func(*http.Request) {
	return func(r *http.Request) {
		r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), from, to, 1))
	}
}

// presigned is a presigned GetCallerIdentity by alice of that age, whose query string is changed afterwards.
func presigned(age, expires time.Duration, change func(query string) string, want string) proof {
	return sends(wireCall{
		who: "alice", action: "GetCallerIdentity", method: "GET",
		sign: func(r *sigv4.Request, c sigv4.Credentials) error {
			err := sigv4.Presign(r, c, "us-east-1", "sts", time.Now().Add(-age), expires)
			if change != nil {
				r.RawQuery = change(r.RawQuery)
			}
			return err
		},
	}, want)
}

// lasts is the proof that credentials last so long, and that the answer says it.
func lasts(who, action string, d time.Duration, pairs ...string) proof {
	return proof{run: func(w *compat) error {
		got, err := w.do(wireCall{who: who, action: action, params: with(pairs...)})
		if err != nil {
			return err
		}
		read := answer{got.response, got.body}
		expires, err := time.Parse("2006-01-02T15:04:05Z", read.element("Expiration"))
		if err != nil {
			return fmt.Errorf("%s: %w", got.says(), err)
		}
		answered, err := http.ParseTime(got.response.Header.Get("Date"))
		if err != nil {
			return err
		}
		if off := expires.Sub(answered) - d; off < -time.Minute || off > time.Minute {
			return fmt.Errorf("lasts %v, want %v", expires.Sub(answered), d)
		}
		return nil
	}}
}

// samlCall is the proof that AssumeRoleWithSAML with a changed response is answered as want says.
func samlCall(want string, change func(*samltest.Response), pairs ...string) proof {
	return proof{run: func(w *compat) error {
		return w.expect(wireCall{who: "nobody", action: "AssumeRoleWithSAML", params: w.assertion(change, pairs...)}, want)
	}}
}

func onWorker(pairs ...string) []string {
	return append([]string{"RoleArn", workerRole, "RoleSessionName", "monday"}, pairs...)
}

// has is the proof that an answer's header or body holds text.
func has(c wireCall, header, text string) proof {
	return proof{run: func(w *compat) error {
		got, err := w.do(c)
		if err != nil {
			return err
		}
		if header != "" {
			if value := got.response.Header.Get(header); value != text && (text != "*" || value == "") {
				return fmt.Errorf("%s is %q", header, value)
			}
		} else if !strings.Contains(got.body, text) {
			return fmt.Errorf("answered %s", got.body)
		}
		return nil
	}}
}

// mfaCode is the proof of what happens with a good code of a device that user has, once and again.
func mfaCode(user, action string, pairs []string, first, second string) proof {
	return proof{run: func(w *compat) error {
		serial, code := w.device(user)
		c := wireCall{who: user, action: action, params: with(append(pairs, "SerialNumber", serial, "TokenCode", code)...)}
		if err := w.expect(c, first); err != nil || second == "" {
			return err
		}
		return w.expect(c, second)
	}}
}

var (
	identityCall = wireCall{who: "alice", action: "GetCallerIdentity"}
	jsonCall     = wireCall{who: "alice", action: "GetCallerIdentity", before: asJSON}
	many         = func(prefix, suffix string, n int) []string {
		var pairs []string
		for i := range n {
			pairs = append(pairs, fmt.Sprintf("%s.%d%s", prefix, i+1, suffix), fmt.Sprintf("v%d", i))
		}
		return pairs
	}
)

// rules are the statements of AWS's documentation and of what others saw on the wire, in the order in which a reader of the API reference
// meets them.
var rules = []rule{
	{"Requests", "POST to / with a form as body", same, "", call("alice", "GetCallerIdentity", "200 Account=111122223333")},
	{"Requests", "GET with the parameters in the query string", same, "", sends(wireCall{who: "alice", action: "GetCallerIdentity", method: "GET"}, "200")},
	{"Requests", "parameters in the query string of a POST without body", same, "", sends(wireCall{who: "alice", raw: new(string), query: whoAmI}, "200")},
	{"Requests", "query string and body are merged", same, "", sends(wireCall{who: "alice", raw: ptrTo("Action=GetCallerIdentity"), query: stsVersion}, "200")},
	{"Requests", "a parameter given twice: the first counts", differs, "refused, also once in the query string and once in the body: a caller gains nothing honest from two", all(
		body(whoAmI+"&Version=2011-06-15", "400 MalformedInput: The request gives a parameter more than once: Version."),
		sends(wireCall{who: "alice", raw: ptrTo(whoAmI), query: "Action=GetSessionToken"}, "400 MalformedInput: The request gives a parameter more than once: Action."))},
	{"Requests", "names and values are case-sensitive", same, "", call("alice", "getcalleridentity", "400 InvalidAction: Could not find operation getcalleridentity for version 2011-06-15")},
	{"Requests", "unknown parameters are ignored", same, "", call("alice", "GetCallerIdentity", "200", "Colour", "red")},
	{"Requests", "parameters of a presigned URL do not reach the operation", same, "", presigned(0, time.Minute, nil, "200")},
	{"Requests", "any parameters of the media type", same, "", sends(wireCall{who: "alice", action: "GetCallerIdentity", before: func(r *http.Request) {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	}}, "200")},
	{"Requests", "a space is + or %20", same, "", all(
		body("Action=AssumeRole&Version=2011-06-15&RoleArn=x&RoleSessionName=a+b", "400 ValidationError: 2 validation errors detected: *"),
		body("Action=GetFederationToken&Version=2011-06-15&Name=a+b", invalid("name", "a b", `satisfy regular expression pattern: [\w+=,.@-]*`)),
		body("Action=GetFederationToken&Version=2011-06-15&Name=a%20b", invalid("name", "a b", `satisfy regular expression pattern: [\w+=,.@-]*`)))},
	{"Requests", "a body up to 512 KiB", same, "", by("TestQuery")},

	{"Parameters", "list of scalars: Name.member.N", same, "", assume("alice", "200 PackedPolicySize=*", "Tags.member.1.Key", "a", "Tags.member.1.Value", "", "TransitiveTagKeys.member.1", "a")},
	{"Parameters", "list of structures: Name.member.N.Field, arn in lower case", same, "", assume("alice", "200 PackedPolicySize=*", "PolicyArns.member.1.arn", "arn:aws:iam::aws:policy/ReadOnlyAccess")},
	{"Parameters", "structure: Name.Field", same, "", call("alice", "AssumeRoot", "200", "TargetPrincipal", compatMember, "TaskPolicyArn.arn", compatTask)},
	{"Parameters", "a bare empty value is an empty list", same, "", assume("alice", "200 PackedPolicySize=-", "Tags", "", "PolicyArns", "")},
	{"Parameters", "gaps in the index close up", same, "", assume("alice", "200 PackedPolicySize=*", "Tags.member.7.Key", "a", "Tags.member.7.Value", "b")},
	{"Parameters", "an index that is no number", same, "", assume("alice", "400 MalformedInput: The index of a member of Tags is not a number.", "Tags.member.x.Key", "a")},
	{"Parameters", "integers are signed 32-bit decimals; +900 and 0900 mean 900", same, "", all(
		lasts("alice", "GetSessionToken", 900*time.Second, "DurationSeconds", "+900"), lasts("alice", "GetSessionToken", 900*time.Second, "DurationSeconds", "0900"))},
	{"Parameters", "another text, or overflow, is MalformedInput", same, "", all(
		call("alice", "GetSessionToken", "400 MalformedInput: *", "DurationSeconds", "1h"), call("alice", "GetSessionToken", "400 MalformedInput: *", "DurationSeconds", "4294968196"))},
	{"Parameters", "lengths count characters, not bytes", same, "", all(
		assume("alice", "200", "Tags.member.1.Key", strings.Repeat("ü", 128), "Tags.member.1.Value", strings.Repeat("ü", 256)),
		assume("alice", "400 ValidationError: *", "Tags.member.1.Key", strings.Repeat("ü", 129), "Tags.member.1.Value", ""))},

	{"Answers", "the root element is OPERATIONResponse in the namespace with https and a slash at its end; no XML declaration", same, "", has(identityCall, "", `<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>`)},
	{"Answers", "the content type is exactly text/xml", same, "", has(identityCall, "Content-Type", "text/xml")},
	{"Answers", "the request id is a UUID, the same in header and body", same, "", by("TestQuery")},
	{"Answers", "Date is always sent", same, "", has(identityCall, "Date", "*")},
	{"Answers", "times are UTC in whole seconds", same, "", lasts("alice", "GetSessionToken", 12*time.Hour)},
	{"Answers", "absent members are left out", same, "", assume("alice", "200 SourceIdentity=- PackedPolicySize=-")},
	{"Answers", "<, > and & are escaped", same, "", by("TestErrors_OverTheWire")},
	{"Answers", "in errors RequestId is beside Error, without ResponseMetadata", same, "", has(wireCall{who: "nobody", action: "GetCallerIdentity"}, "", "</Error><RequestId>")},
	{"Answers", "faults before routing have the namespace of AWSFault", same, "", has(wireCall{who: "nobody", action: "Fly"}, "", `<ErrorResponse xmlns="http://webservices.amazon.com/AWSFault/2005-15-09">`)},
	{"Answers", "Type is Sender for what the caller did, Receiver for what the server did", same, "", by("TestErrors_OverTheWire")},
	{"Answers", "errors of the HTTP layer have the form of the others", same, "", by("TestQuery")},

	{"JSON", "only when Accept names application/json", same, "", all(has(jsonCall, "Content-Type", "application/json"), has(wireCall{who: "alice", action: "GetCallerIdentity", before: func(r *http.Request) { r.Header.Set("Accept", "*/*") }}, "Content-Type", "text/xml"))},
	{"JSON", "the same tree under its XML names", same, "", has(jsonCall, "", `{"GetCallerIdentityResponse":{"GetCallerIdentityResult":{`)},
	{"JSON", "Expiration is a number of seconds since 1970", same, "", has(wireCall{who: "alice", action: "GetSessionToken", before: asJSON}, "", `"Expiration":1`)},
	{"JSON", "an error has no wrapper", same, "", has(wireCall{who: "nobody", action: "GetCallerIdentity", before: asJSON}, "", `{"Error":{"Code":"MissingAuthenticationToken","Message":"Request is missing Authentication Token","Type":"Sender"},"RequestId":"`)},

	{"Endpoints", "the region of the credential scope is that of the endpoint", differs, "any syntactically valid region: with a custom endpoint SDKs sign the region that they are configured with", all(
		signs(signedAt(time.Now(), "us-east-1", "sts"), "200"), signs(signedAt(time.Now(), "ap-southeast-2", "sts"), "200"))},
	{"Endpoints", "a region that is none", same, "", tampers(authorization("/eu-west-1/", "/EU WEST/"), "403 SignatureDoesNotMatch: Credential should be scoped to a valid region. ")},
	{"Endpoints", "AssumeRoot and GetWebIdentityToken are not on the global endpoint", differs, "there is one endpoint, and it has all operations", call("alice", "AssumeRoot", "200", "TargetPrincipal", compatMember, "TaskPolicyArn.arn", compatTask)},
	{"Endpoints", "RegionDisabledException where an account has not activated a region", differs, "there are no regions to activate", signs(signedAt(time.Now(), "me-south-1", "sts"), "200")},
	{"Endpoints", "unsigned operations need no region", same, "", web("200", nil)},

	{"Common errors", "no authentication at all: MissingAuthenticationToken", same, "", call("nobody", "GetCallerIdentity", "403 MissingAuthenticationToken: Request is missing Authentication Token")},
	{"Common errors", "an unknown key: InvalidClientTokenId, without a full stop", same, "", call("stranger", "GetCallerIdentity", invalidToken)},
	{"Common errors", "an inactive key", same, "", call("carol", "GetCallerIdentity", invalidToken)},
	{"Common errors", "a temporary key without its token", same, "", call("no token", "GetCallerIdentity", invalidToken)},
	{"Common errors", "a temporary key with the token of another", same, "", call("foreign token", "GetCallerIdentity", invalidToken)},
	{"Common errors", "a token that was changed", same, "", call("broken token", "GetCallerIdentity", invalidToken)},
	{"Common errors", "a long-lived key with a token", same, "", call("key with token", "GetCallerIdentity", invalidToken)},
	{"Common errors", "a session whose role was deleted", same, "", call("orphan", "GetCallerIdentity", invalidToken)},
	{"Common errors", "credentials that are over: ExpiredToken, not ExpiredTokenException", same, "", call("expired", "GetCallerIdentity", "403 ExpiredToken: The security token included in the request is expired")},
	{"Common errors", "the wrong secret: SignatureDoesNotMatch", same, "", call("wrong secret", "GetCallerIdentity", wrongSign)},
	{"Common errors", "authorization and MFA failures are AccessDenied, not AccessDeniedException", same, "", call("bob", "GetAccessKeyInfo", "403 AccessDenied: *", "AccessKeyId", "AKIAWDB7XWLS3OBANPCE")},
	{"Common errors", "InvalidAction names action and version; NO_VERSION_SPECIFIED without one", same, "", all(
		call("nobody", "Fly", "400 InvalidAction: Could not find operation Fly for version 2011-06-15"),
		body("Action=Fly", "400 InvalidAction: Could not find operation Fly for version NO_VERSION_SPECIFIED"))},
	{"Common errors", "MissingAction without an action", same, "", body(stsVersion, "400 MissingAction: *")},
	{"Common errors", "a bare GET / is a redirect to a product page", differs, "MissingAction: there is no such page", sends(wireCall{who: "nobody", method: "GET", raw: new(string)}, "400 MissingAction: *")},
	{"Common errors", "a missing required parameter is ValidationError, not MissingParameter", same, "", call("alice", "GetFederationToken", "400 ValidationError: 1 validation error detected: Value null at 'name' failed to satisfy constraint: Member must not be null")},
	{"Common errors", "an undecodable query string is MalformedQueryString 404", same, "", sends(wireCall{who: "nobody", action: "GetCallerIdentity", query: "a=%zz"}, "404 MalformedQueryString: *")},
	{"Common errors", "Throttling is 400 Rate exceeded, not 429", same, "", proof{run: func(w *compat) error {
		return w.expect(wireCall{who: "alice", action: "GetCallerIdentity", at: w.full}, "400 Throttling: Rate exceeded")
	}}},
	{"Common errors", "600 requests a second for an account", differs, "a bound on the calls in flight of an account: what is bounded is the harm to others, not honest use", by("TestDo_Throttling")},
	{"Common errors", "ServiceUnavailable and InternalFailure are the server's", same, "", by("TestCompatibility_GoldenSTS")},
	{"Common errors", "OptInRequired for accounts without a subscription", differs, "there are no subscriptions", call("member root", "GetCallerIdentity", "200 Account="+compatMember)},
	{"Common errors", "InvalidParameterCombination for parameters that exclude each other", differs, "no operation that stint has gives it", by("TestCompatibility_GoldenSTS")},

	{"Validation messages", "one error, with value, path and constraint", same, "", assume("alice", invalid("roleSessionName", "a:b", `satisfy regular expression pattern: [\w+=,.@-]*`), "RoleSessionName", "a:b")},
	{"Validation messages", "all failed constraints of all parameters together", same, "", assume("alice", "400 ValidationError: 2 validation errors detected: Value 'x' at 'roleArn' failed to satisfy constraint: Member must have length greater than or equal to 20; "+
		"Value '1' at 'durationSeconds' failed to satisfy constraint: Member must have value greater than or equal to 900", "RoleArn", "x", "DurationSeconds", "1")},
	{"Validation messages", "an absent value is null and must not be", same, "", call("alice", "GetAccessKeyInfo", "400 ValidationError: 1 validation error detected: Value null at 'accessKeyId' failed to satisfy constraint: Member must not be null")},
	{"Validation messages", "members of lists: tags.1.member.key", same, "", assume("alice", invalid("tags.1.member.key", "a|b", `satisfy regular expression pattern: [\p{L}\p{Z}\p{N}_.:/=+\-@]+`), "Tags.member.1.Key", "a|b", "Tags.member.1.Value", "")},
	{"Validation messages", "an enumeration prints its values", same, "", call("alice", "GetWebIdentityToken", "400 ValidationError: *", "Audience.member.1", "a", "SigningAlgorithm", "HS256")},
	{"Validation messages", "secret values are not printed", same, "", assume("alice", "400 ValidationError: 1 validation error detected: Value at 'tokenCode' failed to satisfy constraint: *", "SerialNumber", "GAHT12345678", "TokenCode", "abcdef")},
	{"Validation messages", "what is no ARN: ARN is invalid", same, "", assume("alice", "400 ValidationError: not an ARN but long enough is invalid", "RoleArn", "not an ARN but long enough")},
	{"Validation messages", "an ARN of something else: Request ARN is invalid", same, "", assume("alice", "400 ValidationError: Request ARN is invalid", "RoleArn", "arn:aws:iam::111122223333:saml-provider/x")},
	{"Validation messages", `\w is ASCII`, same, "", assume("alice", "400 ValidationError: *", "RoleSessionName", "ünicorn")},
	{"Validation messages", "patterns match the whole value", same, "", by("TestPatterns_AgreeWithTheirExpressions")},

	{"Signatures", "the official test suite", same, "", by("TestSigV4Suite")},
	{"Signatures", "what botocore, Go v2 and JS v3 sign", same, "", by("TestVerifier_SDK")},
	{"Signatures", "any order of Credential, SignedHeaders and Signature", same, "", by("TestParse_Header")},
	{"Signatures", "header and query form at once", same, "", sends(wireCall{who: "alice", action: "GetCallerIdentity", query: "X-Amz-Signature=00"}, "400 IncompleteSignature: *")},
	{"Signatures", "other schemes are IncompleteSignature", same, "", all(tampers(authorize("Bearer x"), "400 IncompleteSignature: *"), tampers(authorize("Basic eDp5"), "400 IncompleteSignature: *"),
		tampers(authorization("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"), "400 IncompleteSignature: *"))},
	{"Signatures", "X-Amz-Expires may be absent", same, "", presigned(0, 0, nil, "200")},
	{"Signatures", "X-Amz-Expires does not shorten the 15 minutes", same, "", presigned(10*time.Minute, time.Minute, nil, "200")},
	{"Signatures", "X-Amz-Expires does not lengthen them either", same, "", presigned(20*time.Minute, time.Hour, nil, "403 SignatureDoesNotMatch: Signature expired: *")},
	{"Signatures", "X-Amz-Expires that is no number", same, "", presigned(0, time.Minute, func(q string) string { return strings.Replace(q, "X-Amz-Expires=60", "X-Amz-Expires=x", 1) }, "400 IncompleteSignature: *")},
	{"Signatures", "path, query and headers are canonical as for every service but S3", same, "", by("TestSigV4Suite_ThroughHTTP")},
	{"Signatures", "X-Amz-Content-Sha256 must be the hash of the body", same, "", by("TestQuery_WhatIsSigned")},
	{"Signatures", "UNSIGNED-PAYLOAD is for S3 only", same, "", sends(wireCall{who: "alice", action: "GetCallerIdentity", before: func(r *http.Request) { r.Header.Set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD") }}, "403 SignatureDoesNotMatch: *")},
	{"Signatures", "the body is covered", same, "", tampers(func(r *http.Request) {
		text := "Action=GetSessionToken&" + stsVersion
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(text)), int64(len(text))
	}, wrongSign)},
	{"Signatures", "every x-amz- header must be signed", same, "", by("TestQuery_WhatIsSigned")},
	{"Signatures", "amz-sdk- headers and others need not be", same, "", tampers(func(r *http.Request) { r.Header.Set("Amz-Sdk-Request", "attempt=1") }, "200")},
	{"Signatures", "the default port may be sent and not signed", same, "", by("TestVerifier_Verify")},
	{"Signatures", ":authority counts as Host", same, "", by("TestTLS_HTTP2")},
	{"Signatures", "order of checks: scope and clock, key with token and issuer, expiry, signature", same, "", by("TestAuthenticate_OrderOfChecks")},
	{"Signatures", "parameters are looked at after the signature", same, "", all(
		sends(wireCall{who: "wrong secret", action: "AssumeRole"}, wrongSign), sends(wireCall{who: "stranger", action: "AssumeRole"}, invalidToken))},
	{"Signatures", "authorization comes after parameters", same, "", assume("bob", "400 ValidationError: *", "RoleSessionName", "x")},
	{"Signatures", "an unknown key takes the time of a known one", same, "", by("TestAuthenticate_StrangersCostAVerification")},
	{"Signatures", "a signature on an unsigned operation is ignored", same, "", proof{run: func(w *compat) error {
		return w.expect(wireCall{who: "wrong secret", action: "AssumeRoleWithWebIdentity", params: w.webIdentity(nil)}, "200")
	}}},
	{"Signatures", "too old", same, "", signs(signedAt(time.Now().Add(-16*time.Minute), "eu-west-1", "sts"), "403 SignatureDoesNotMatch: Signature expired: *")},
	{"Signatures", "in the future", same, "", signs(signedAt(time.Now().Add(16*time.Minute), "eu-west-1", "sts"), "403 SignatureDoesNotMatch: Signature not yet current: *")},
	{"Signatures", "another service", same, "", signs(signedAt(time.Now(), "eu-west-1", "s3"), "403 SignatureDoesNotMatch: Credential should be scoped to correct service: 'sts'. ")},
	{"Signatures", "another terminator", same, "", tampers(authorization("aws4_request", "aws5_request"), "403 SignatureDoesNotMatch: Credential should be scoped with a valid terminator: 'aws4_request'")},
	{"Signatures", "another date in the scope", same, "", tampers(authorization(time.Now().UTC().Format("/20060102/"), "/20150101/"), "403 SignatureDoesNotMatch: Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '20150101' != *")},
	{"Signatures", "a scope of other than five parts", same, "", tampers(authorization("/eu-west-1", ""), "400 IncompleteSignature: Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '*")},
	{"Signatures", "missing parts are named", same, "", tampers(authorize("AWS4-HMAC-SHA256 Credential=a/20260101/c/sts/aws4_request"), "400 IncompleteSignature: Authorization header requires 'Signature' parameter. Authorization header requires 'SignedHeaders' parameter.*")},
	{"Signatures", "the message repeats the whole header", differs, "it does not, or with the signature taken out: whoever reads it in a log could send it again", tampers(authorization("Signature=", "Signature;"), "400 IncompleteSignature: *")},
	{"Signatures", "Host that is not signed", same, "", tampers(authorization("host;", ""), "403 SignatureDoesNotMatch: 'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.")},
	{"Signatures", "a date that is none", same, "", tampers(func(r *http.Request) { r.Header.Set("X-Amz-Date", "yesterday") }, "400 IncompleteSignature: Date must be in ISO-8601 'basic format'. Got 'yesterday'. See http://en.wikipedia.org/wiki/ISO_8601")},
	{"Signatures", "a presigned GetCallerIdentity with signed headers of the verifier's own", same, "", by("TestQuery_PresignedGetCallerIdentity")},

	{"Operations", "GetDelegatedAccessToken", notYet, "trade-in tokens of AWS partners, which stint has no use for", call("alice", "GetDelegatedAccessToken", "400 InvalidAction: *", "TradeInToken", "x")},
	{"Operations", "sts:TagSession, sts:SetSourceIdentity and sts:TagGetWebIdentityToken are permissions without an operation", same, "", call("alice", "TagSession", "400 InvalidAction: *")},
	{"Operations", "ProvidedContexts with assertions of a context provider", differs, "refused: stint has no context providers, and never ignores a security parameter", assume("alice", "400 ValidationError: ProvidedContexts is not supported.", "ProvidedContexts.member.1.ProviderArn", "arn:aws:iam::aws:contextProvider/IdentityCenter", "ProvidedContexts.member.1.ContextAssertion", "abcd")},
	{"Operations", "service principals assume roles", notYet, "nobody can prove to be a service; trust policies may name one", assumeBy("alice", "service", "403 AccessDenied: *")},

	{"AssumeRole: parameters", "RoleArn 20 to 2048", same, "", all(assume("alice", invalid("roleArn", "x", atLeast(20)), "RoleArn", "x"), assume("alice", "400 ValidationError: *", "RoleArn", roleARN+strings.Repeat("a", 2048)))},
	{"AssumeRole: parameters", "RoleSessionName 2 to 64", same, "", all(assume("alice", invalid("roleSessionName", "x", atLeast(2)), "RoleSessionName", "x"), assume("alice", invalid("roleSessionName", strings.Repeat("x", 65), atMost(64)), "RoleSessionName", strings.Repeat("x", 65)), assume("alice", "200", "RoleSessionName", strings.Repeat("x", 64)))},
	{"AssumeRole: parameters", "RoleSessionName [\\w+=,.@-]*", same, "", assume("alice", "200 Arn=arn:aws:sts::111122223333:assumed-role/worker/a_+=,.@-Z9", "RoleSessionName", "a_+=,.@-Z9")},
	{"AssumeRole: parameters", "at most 10 policy ARNs", same, "", assume("alice", "400 ValidationError: *", many("PolicyArns.member", ".arn", 11)...)},
	{"AssumeRole: parameters", "managed policies of the role's account or of AWS", same, "", all(assume("alice", "200", "PolicyArns.member.1.arn", "arn:aws:iam::111122223333:policy/reader"), assume("alice", "400 ValidationError: *", "PolicyArns.member.1.arn", "arn:aws:iam::444455556666:policy/reader"))},
	{"AssumeRole: parameters", "inline and managed policies together at most 2,048 characters", same, "", all(
		assume("alice", "400 InvalidParameterValue: Session policy should not exceed 2048 characters", "Policy", compatPolicy(allowSTS)+strings.Repeat(" ", 2048)),
		assume("alice", "400 InvalidParameterValue: Session policy should not exceed 2048 characters", "Policy", compatPolicy(allowSTS)+strings.Repeat(" ", 1930), "PolicyArns.member.1.arn", "arn:aws:iam::aws:policy/ReadOnlyAccess"))},
	{"AssumeRole: parameters", "characters of a policy", same, "", assume("alice", "400 ValidationError: *", "Policy", compatPolicy(`{"Effect":"Allow","Action":"*","Resource":"`+"\u0100"+`"}`))},
	{"AssumeRole: parameters", "a policy that is no policy is MalformedPolicyDocument", same, "", all(assume("alice", "400 MalformedPolicyDocument: *", "Policy", "{"), assume("alice", "400 MalformedPolicyDocument: *", "Policy", "{}"))},
	{"AssumeRole: parameters", "a session policy has no Principal", same, "", assume("alice", "400 MalformedPolicyDocument: *", "Policy", compatPolicy(`{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}`))},
	{"AssumeRole: parameters", "DurationSeconds 900 to 43200", differs, "up to 129,600: an operator may allow 36 hours", all(
		assume("alice", invalid("durationSeconds", "899", "have value greater than or equal to 900"), "DurationSeconds", "899"),
		assume("alice", "400 ValidationError: The requested DurationSeconds exceeds the MaxSessionDuration set for this role.", "DurationSeconds", "43201"),
		assume("alice", invalid("durationSeconds", "129601", "have value less than or equal to 129600"), "DurationSeconds", "129601"))},
	{"AssumeRole: parameters", "at most 50 tags", same, "", assume("alice", "400 ValidationError: *", many("Tags.member", ".Key", 51)...)},
	{"AssumeRole: parameters", "a tag key has 1 to 128 characters, a value 0 to 256", same, "", all(assume("alice", "400 ValidationError: *", "Tags.member.1.Key", "", "Tags.member.1.Value", ""), assume("alice", "200", "Tags.member.1.Key", "a", "Tags.member.1.Value", ""), assume("alice", "400 ValidationError: *", "Tags.member.1.Key", "a", "Tags.member.1.Value", strings.Repeat("v", 257)))},
	{"AssumeRole: parameters", "tag keys and values that begin with aws: are reserved", same, "", all(assume("alice", "400 InvalidParameterValue: *", "Tags.member.1.Key", "aws:x", "Tags.member.1.Value", ""), assume("alice", "400 InvalidParameterValue: *", "Tags.member.1.Key", "x", "Tags.member.1.Value", "aws:x"))},
	{"AssumeRole: parameters", "at most 50 transitive keys", same, "", assume("alice", "400 ValidationError: *", many("TransitiveTagKeys.member", "", 51)...)},
	{"AssumeRole: parameters", `ExternalId 2 to 1224 of [\w+=,.@:\/-]*`, same, "", all(assume("alice", invalid("externalId", "x", atLeast(2)), "ExternalId", "x"), assume("alice", "400 ValidationError: *", "ExternalId", "a b"), assume("alice", "200", "ExternalId", "a:b/c"))},
	{"AssumeRole: parameters", "SerialNumber 9 to 256", same, "", assume("alice", invalid("serialNumber", "x", atLeast(9)), "SerialNumber", "x", "TokenCode", "123456")},
	{"AssumeRole: parameters", "TokenCode is 6 digits", same, "", assume("alice", "400 ValidationError: *", "SerialNumber", "GAHT12345678", "TokenCode", "1234567")},
	{"AssumeRole: parameters", "SourceIdentity 2 to 64", same, "", all(assume("alice", invalid("sourceIdentity", "x", atLeast(2)), "SourceIdentity", "x"), assume("alice", "400 ValidationError: *", "SourceIdentity", strings.Repeat("x", 65)))},
	{"AssumeRole: parameters", "SourceIdentity must not begin with aws:, which its pattern says", same, "", assume("alice", invalid("sourceIdentity", "aws:x", `satisfy regular expression pattern: [\w+=,.@-]*`), "SourceIdentity", "aws:x")},
	{"AssumeRole: parameters", "MinimumSessionTokenSize 0 to 4096 pads the token", same, "", all(assume("alice", "400 ValidationError: *", "MinimumSessionTokenSize", "4097"), proof{run: func(w *compat) error {
		got, err := w.do(wireCall{who: "alice", action: "AssumeRole", params: with(onWorker("MinimumSessionTokenSize", "4000")...)})
		if err != nil {
			return err
		}
		if n := len(answer{got.response, got.body}.element("SessionToken")); n < 4000 {
			return fmt.Errorf("the token has %d bytes", n)
		}
		return nil
	}})},

	{"AssumeRole: who may", "root may not", same, "", assume("root", "403 AccessDenied: Roles may not be assumed by root accounts.")},
	{"AssumeRole: who may", "trust that names the user is enough in one account", same, "", assumeBy("bob", "alice-only", "200")},
	{"AssumeRole: who may", "trust that names the account needs an identity policy too", same, "", all(assume("bob", "403 AccessDenied: User: arn:aws:iam::111122223333:user/bob"+deniedWorker), assume("alice", "200"))},
	{"AssumeRole: who may", "cross-account needs both", same, "", all(assume("alice", "200", "RoleArn", "arn:aws:iam::444455556666:role/guest"), assume("bob", "403 AccessDenied: *", "RoleArn", "arn:aws:iam::444455556666:role/guest"))},
	{"AssumeRole: who may", "a role that does not exist reads like one that is forbidden", same, "", assumeBy("alice", "nobody", aliceIs+"sts:AssumeRole on resource: arn:aws:iam::111122223333:role/nobody")},
	{"AssumeRole: who may", "an ARN without the role's path is another role", same, "", assumeBy("alice", "worker", "403 AccessDenied: *")},
	{"AssumeRole: who may", "an explicit deny, of either side, reads the same", same, "", all(assume("denied", "403 AccessDenied: User: arn:aws:iam::111122223333:user/denied"+deniedWorker), assumeBy("alice", "closed", aliceIs+"sts:AssumeRole on resource: arn:aws:iam::111122223333:role/closed"))},
	{"AssumeRole: who may", "the wrong ExternalId reads the same; one that nobody asks for is ignored", same, "", all(
		assumeBy("alice", "external", "200", "ExternalId", "shared:secret"), assumeBy("alice", "external", aliceIs+"sts:AssumeRole on resource: arn:aws:iam::111122223333:role/external", "ExternalId", "other"),
		assumeBy("alice", "external", "403 AccessDenied: *"), assume("alice", "200", "ExternalId", "shared:secret"))},
	{"AssumeRole: who may", "tags need sts:TagSession of the trust policy", same, "", assumeBy("alice", "plain", aliceIs+"sts:TagSession on resource: arn:aws:iam::111122223333:role/plain", "Tags.member.1.Key", "a", "Tags.member.1.Value", "b")},
	{"AssumeRole: who may", "a source identity needs sts:SetSourceIdentity", same, "", assumeBy("alice", "plain", aliceIs+"sts:SetSourceIdentity on resource: arn:aws:iam::111122223333:role/plain", "SourceIdentity", "alice")},
	{"AssumeRole: who may", "a federated user may not", same, "", assume("federated", "403 AccessDenied: *")},
	{"AssumeRole: who may", "a GetSessionToken session may", same, "", assume("session", "200")},
	{"AssumeRole: who may", "a session policy limits the AssumeRole call of its session", same, "", assume("limited role", "403 AccessDenied: *")},

	{"AssumeRole: session", "ARN without the role's path, id AROA…:name", same, "", proof{run: func(w *compat) error {
		return w.expect(wireCall{who: "alice", action: "AssumeRole", params: with(onWorker()...)}, "200 Arn=arn:aws:sts::111122223333:assumed-role/worker/monday AssumedRoleId="+w.ids["worker"]+":monday")
	}}},
	{"AssumeRole: session", "default 3600 seconds, also where the role allows more", same, "", lasts("alice", "AssumeRole", time.Hour, "RoleArn", roleARN+"long", "RoleSessionName", "monday")},
	{"AssumeRole: session", "up to the role's MaxSessionDuration", same, "", lasts("alice", "AssumeRole", 12*time.Hour, "RoleArn", roleARN+"long", "RoleSessionName", "monday", "DurationSeconds", "43200")},
	{"AssumeRole: session", "longer than the role's maximum", same, "", assume("alice", "400 ValidationError: The requested DurationSeconds exceeds the MaxSessionDuration set for this role.", "DurationSeconds", "3601")},
	{"AssumeRole: session", "chained longer than an hour", same, "", assumeBy("role", "long", "400 ValidationError: The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.", "DurationSeconds", "3601")},
	{"AssumeRole: session", "the role's maximum is judged before chaining", same, "", assumeBy("role", "plain", "400 ValidationError: The requested DurationSeconds exceeds the MaxSessionDuration set for this role.", "DurationSeconds", "3601")},
	{"AssumeRole: session", "authorization is judged before the limits of the role", same, "", assume("bob", "403 AccessDenied: *", "DurationSeconds", "3601")},
	{"AssumeRole: session", "a GetSessionToken session is no chaining", same, "", assumeBy("session", "long", "200", "DurationSeconds", "43200")},
	{"AssumeRole: session", "a web identity session is", same, "", proof{run: func(w *compat) error {
		got, err := w.do(wireCall{who: "nobody", action: "AssumeRoleWithWebIdentity", params: w.webIdentity(nil)})
		if err != nil {
			return err
		}
		w.keep("latest", answer{got.response, got.body})
		return w.expect(wireCall{who: "latest", action: "AssumeRole", params: with("RoleArn", roleARN+"long", "RoleSessionName", "monday", "DurationSeconds", "3601")},
			"400 ValidationError: The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.")
	}}},
	{"AssumeRole: session", "a chained session may outlive the first one", same, "", lasts("short role", "AssumeRole", time.Hour, onWorker()...)},
	{"AssumeRole: session", "PackedPolicySize only when policies or tags were passed", same, "", all(assume("alice", "200 PackedPolicySize=-", "ExternalId", "xx"), assume("alice", "200 PackedPolicySize=*", "Policy", compatPolicy(allowSTS)))},
	{"AssumeRole: session", "SessionTokenSize and SessionTokenUtilization", same, "", assume("alice", "200 SessionTokenSize=* SessionTokenUtilization=*")},
	{"AssumeRole: session", "beyond 100 percent: PackedPolicyTooLarge", differs, "the texts are AWS's; the measure is compressed bytes against a budget of 2,048, as AWS does not publish its own", by("TestAssumeRole_PackedPolicyTooLarge")},
	{"AssumeRole: session", "credentials begin with ASIA, roles with AROA, users with AIDA", same, "", by("TestNewID_HasTheShapeOfUniqueIDs")},
	{"AssumeRole: session", "permissions of the role are read when used", same, "", chain("alice", "AssumeRole", []string{"RoleArn", roleARN + "plain", "RoleSessionName", "limits"}, func(w *compat, session string) error {
		if err := w.expect(wireCall{who: session, action: "ListUsers", service: "iam"}, "200"); err != nil {
			return err
		}
		w.directory("PutRolePolicy", "RoleName", "plain", "PolicyName", "no", "PolicyDocument", compatPolicy(`{"Effect":"Deny","Action":"iam:*","Resource":"*"}`))
		defer w.directory("DeleteRolePolicy", "RoleName", "plain", "PolicyName", "no")
		return w.expect(wireCall{who: session, action: "ListUsers", service: "iam"}, "403 AccessDenied: *")
	})},
	{"AssumeRole: session", "managed session policies: by reference or copied", differs, "by reference, an edit applies at once and a deleted one allows nothing; AWS does not say", by("TestAuthenticate_SessionPolicies")},
	{"AssumeRole: session", "changing the trust policy does not end sessions", same, "", chain("alice", "AssumeRole", []string{"RoleArn", roleARN + "plain", "RoleSessionName", "stays"}, func(w *compat, session string) error {
		w.directory("UpdateAssumeRolePolicy", "RoleName", "plain", "PolicyDocument", compatPolicy(`{"Effect":"Deny",`+byAccount+`,"Action":"sts:AssumeRole"}`))
		defer w.directory("UpdateAssumeRolePolicy", "RoleName", "plain", "PolicyDocument", compatPolicy(`{`+toAssume+`}`))
		return w.expect(wireCall{who: session, action: "GetCallerIdentity"}, "200")
	})},

	{"AssumeRole: source identity", "is in the answer, also when inherited", same, "", all(assume("alice", "200 SourceIdentity=alice", "SourceIdentity", "alice"), assume("named role", "200 SourceIdentity=alice"))},
	{"AssumeRole: source identity", "the same value again is fine", same, "", assume("named role", "200 SourceIdentity=alice", "SourceIdentity", "alice")},
	{"AssumeRole: source identity", "another value is refused", same, "", assume("named role", "400 ValidationError: The source identity is already set for this assume role session", "SourceIdentity", "mallory")},
	{"AssumeRole: source identity", "inherited, it needs sts:SetSourceIdentity", same, "", assumeBy("named role", "no-source", "403 AccessDenied: User: arn:aws:sts::111122223333:assumed-role/worker/third is not authorized to perform: sts:SetSourceIdentity on resource: arn:aws:iam::111122223333:role/no-source")},

	{"AssumeRole: tags", "keys are unique ignoring case", same, "", assume("alice", "400 InvalidParameterValue: Duplicate tag keys found. Please note that Tag keys are case insensitive.", "Tags.member.1.Key", "Department", "Tags.member.1.Value", "a", "Tags.member.2.Key", "department", "Tags.member.2.Value", "b")},
	{"AssumeRole: tags", "a transitive key must be among the tags", same, "", assume("alice", "400 InvalidParameterValue: The specified transitive tag key must be included in the requested tags.", "TransitiveTagKeys.member.1", "a")},
	{"AssumeRole: tags", "an inherited transitive tag cannot be set anew, in any case and with any value", same, "", all(
		assume("tagged role", "400 InvalidParameterValue: One of the specified transitive tag keys can't be set because it conflicts with a transitive tag key from the calling session.", "Tags.member.1.Key", "team", "Tags.member.1.Value", "red"),
		assume("tagged role", "400 InvalidParameterValue: One of the specified transitive tag keys can't be set because it conflicts with a transitive tag key from the calling session.", "Tags.member.1.Key", "Team", "Tags.member.1.Value", "blue"))},
	{"AssumeRole: tags", "inherited, they need sts:TagSession without any passed", same, "", assumeBy("tagged role", "plain", "403 AccessDenied: User: arn:aws:sts::111122223333:assumed-role/worker/second is not authorized to perform: sts:TagSession on resource: arn:aws:iam::111122223333:role/plain")},
	{"AssumeRole: tags", "session tags are aws:PrincipalTag", same, "", all(assumeBy("tagged role", "blue", "200"), assumeBy("role", "blue", "403 AccessDenied: *"), assumeBy("alice", "blue", "403 AccessDenied: *"))},
	{"AssumeRole: tags", "they override the role's tags ignoring case", same, "", all(assumeBy("tagged role", "marketing", "200"), assumeBy("role", "marketing", "403 AccessDenied: *"))},
	{"AssumeRole: tags", "transitive tags stay for all later hops, others do not", same, "", chain("tagged role", "AssumeRole", onWorker(), func(w *compat, session string) error {
		if err := w.expect(wireCall{who: session, action: "AssumeRole", params: with("RoleArn", roleARN+"blue", "RoleSessionName", "hop")}, "200"); err != nil {
			return err
		}
		return w.expect(wireCall{who: session, action: "AssumeRole", params: with("RoleArn", roleARN+"marketing", "RoleSessionName", "hop")}, "403 AccessDenied: *")
	})},
	{"AssumeRole: tags", "an inherited tag replaces the role's own as aws:ResourceTag", same, "", all(assumeBy("tagged role", "resource-blue", "200"), assumeBy("role", "resource-blue", "403 AccessDenied: *"))},
	{"AssumeRole: tags", "inherited tags in aws:RequestTag and aws:TagKeys", differs, "only the tags of the request are there; what was seen fits both readings", all(assumeBy("tagged role", "only-cost", "200"), assumeBy("tagged role", "only-cost", "200", "Tags.member.1.Key", "Cost", "Tags.member.1.Value", "1"), assumeBy("tagged role", "only-cost", "403 AccessDenied: *", "Tags.member.1.Key", "Other", "Tags.member.1.Value", "1"))},
	{"AssumeRole: tags", "a hop may add keys", same, "", assume("tagged role", "200", "Tags.member.1.Key", "More", "Tags.member.1.Value", "x")},
	{"AssumeRole: tags", "a role's own tag cannot be made transitive unless passed", same, "", assume("alice", "400 InvalidParameterValue: *", "TransitiveTagKeys.member.1", "Department")},

	{"MFA", "a good code satisfies aws:MultiFactorAuthPresent of the trust policy", same, "", all(assumeBy("alice", "mfa", aliceIs+"sts:AssumeRole on resource: arn:aws:iam::111122223333:role/mfa"), mfaCode("alice", "AssumeRole", []string{"RoleArn", roleARN + "mfa", "RoleSessionName", "monday"}, "200", ""))},
	{"MFA", "aws:MultiFactorAuthAge is 0 then", same, "", mfaCode("alice", "AssumeRole", []string{"RoleArn", roleARN + "fresh-mfa", "RoleSessionName", "monday"}, "200", "")},
	{"MFA", "a code is good once", same, "", mfaCode("alice", "AssumeRole", onWorker(), "200", wrongCode)},
	{"MFA", "a bad code fails the call though nobody asks for one", same, "", proof{run: func(w *compat) error {
		serial, code := w.device("alice")
		return w.expect(wireCall{who: "alice", action: "AssumeRole", params: with(onWorker("SerialNumber", serial, "TokenCode", otherCode(code))...)}, wrongCode)
	}}},
	{"MFA", "an unknown or foreign device", same, "", all(assume("alice", unknownDevice, "SerialNumber", "arn:aws:iam::111122223333:mfa/nobody", "TokenCode", "123456"), proof{run: func(w *compat) error {
		serial, code := w.device("bob")
		return w.expect(wireCall{who: "alice", action: "AssumeRole", params: with(onWorker("SerialNumber", serial, "TokenCode", code)...)}, unknownDevice)
	}})},
	{"MFA", "only one of serial number and code", same, "", all(assume("alice", halfMFA, "TokenCode", "123456"), assume("alice", halfMFA, "SerialNumber", "GAHT12345678"), call("alice", "GetSessionToken", halfMFA, "TokenCode", "123456"))},
	{"MFA", "a role session cannot give a code", same, "", assume("role", unknownDevice, "SerialNumber", "arn:aws:iam::111122223333:mfa/nobody", "TokenCode", "123456")},
	{"MFA", "a session that was made with MFA satisfies the trust policy without a code", same, "", all(assumeBy("mfa session", "mfa", "200"), assumeBy("session", "mfa", "403 AccessDenied: *"))},
	{"MFA", "MFA does not pass into role sessions: the key is there and false", same, "", all(assumeBy("role", "mfa", "403 AccessDenied: *"), assumeBy("role", "mfa-false", "200"))},
	{"MFA", "with long-lived keys there is no such key", same, "", all(assumeBy("alice", "no-mfa-known", "200"), assumeBy("alice", "mfa-false", "403 AccessDenied: *"), assumeBy("session", "no-mfa-known", "403 AccessDenied: *"), assumeBy("session", "mfa-false", "200"))},
	{"MFA", "TOTP of 6 digits and 30 seconds with SHA-1, one step either side", same, "", by("TestVerify_Window")},
	{"MFA", "RFC 6238's vectors and oathtool", same, "", by("TestVerify_AgreesWithOathtool")},
	{"MFA", "failures lead to a back-off with the same text", same, "", by("TestMFA_Throttle")},
	{"MFA", "two consecutive codes enable a device, or resync it within 20 steps", same, "", by("TestResyncMFADevice")},
	{"MFA", "up to 8 devices a user", same, "", by("TestEnableMFADevice")},
	{"MFA", "FIDO devices and hardware tokens", differs, "virtual devices only; FIDO cannot be used through this API on AWS either", assume("alice", unknownDevice, "SerialNumber", "GAHT12345678", "TokenCode", "123456")},

	{"GetCallerIdentity", "root", same, "", call("root", "GetCallerIdentity", "200 UserId=111122223333 Account=111122223333 Arn=arn:aws:iam::111122223333:root")},
	{"GetCallerIdentity", "a user, with long-lived keys or a session", same, "", proof{run: func(w *compat) error {
		for _, who := range []string{"alice", "session"} {
			if err := w.expect(wireCall{who: who, action: "GetCallerIdentity"}, "200 UserId="+w.ids["alice"]+" Arn=arn:aws:iam::111122223333:user/alice"); err != nil {
				return err
			}
		}
		return nil
	}}},
	{"GetCallerIdentity", "a role session", same, "", proof{run: func(w *compat) error {
		return w.expect(wireCall{who: "role", action: "GetCallerIdentity"}, "200 UserId="+w.ids["worker"]+":first Arn=arn:aws:sts::111122223333:assumed-role/worker/first")
	}}},
	{"GetCallerIdentity", "a federated user", same, "", call("federated", "GetCallerIdentity", "200 UserId=111122223333:guest Arn=arn:aws:sts::111122223333:federated-user/guest")},
	{"GetCallerIdentity", "AssumeRoot: arn:aws:sts::A:assumed-root", differs, "the ARN of the member's root user: what AWS shows is not documented", call("task root", "GetCallerIdentity", "200 UserId=444455556666 Arn=arn:aws:iam::444455556666:root")},
	{"GetCallerIdentity", "needs no permission, and no deny forbids it", same, "", all(call("denied", "GetCallerIdentity", "200"), call("limited role", "GetCallerIdentity", "200"))},

	{"GetSessionToken", "needs no permission, and no deny forbids it", same, "", call("denied", "GetSessionToken", "200")},
	{"GetSessionToken", "default 43200 seconds, at most 129600, at least 900", same, "", all(lasts("alice", "GetSessionToken", 12*time.Hour), lasts("alice", "GetSessionToken", 36*time.Hour, "DurationSeconds", "129600"),
		call("alice", "GetSessionToken", invalid("durationSeconds", "129601", "have value less than or equal to 129600"), "DurationSeconds", "129601"), call("alice", "GetSessionToken", invalid("durationSeconds", "899", "have value greater than or equal to 900"), "DurationSeconds", "899"))},
	{"GetSessionToken", "root: an hour, more is cut", same, "", all(lasts("root", "GetSessionToken", time.Hour), lasts("root", "GetSessionToken", time.Hour, "DurationSeconds", "129600"))},
	{"GetSessionToken", "not with session credentials", same, "", all(call("session", "GetSessionToken", fmt.Sprintf(sessionsMay, "GetSessionToken")), call("role", "GetSessionToken", fmt.Sprintf(sessionsMay, "GetSessionToken")), call("federated", "GetSessionToken", fmt.Sprintf(sessionsMay, "GetSessionToken")))},
	{"GetSessionToken", "no IAM without MFA: InvalidClientTokenId", same, "", all(iamCall("session", "GetUser", invalidToken), iamCall("mfa session", "GetUser", "403 AccessDenied: *"))},
	{"GetSessionToken", "of STS only AssumeRole and GetCallerIdentity", same, "", all(assume("session", "200"), call("session", "GetCallerIdentity", "200"), call("session", "GetAccessKeyInfo", "403 AccessDenied: *", "AccessKeyId", "AKIAWDB7XWLS3OBANPCE"))},
	{"GetSessionToken", "AccessDenied for the others", differs, "the text is that of GetSessionToken: the documentation names none", call("session", "GetAccessKeyInfo", fmt.Sprintf(sessionsMay, "GetAccessKeyInfo"), "AccessKeyId", "AKIAWDB7XWLS3OBANPCE")},
	{"GetSessionToken", "a wrong code, a used one, an unknown device", same, "", all(mfaCode("alice", "GetSessionToken", nil, "200", wrongCode), call("alice", "GetSessionToken", unknownDevice, "SerialNumber", "GAHT12345678", "TokenCode", "123456"))},
	{"GetSessionToken", "the answer has credentials only", same, "", call("alice", "GetSessionToken", "200 Credentials=* PackedPolicySize=- AssumedRoleUser=-")},

	{"GetFederationToken", "needs sts:GetFederationToken", same, "", call("bob", "GetFederationToken", "403 AccessDenied: User: arn:aws:iam::111122223333:user/bob is not authorized to perform: sts:GetFederationToken on resource: arn:aws:sts::111122223333:federated-user/guest*", "Name", "guest")},
	{"GetFederationToken", "Name 2 to 32", same, "", all(call("alice", "GetFederationToken", invalid("name", "x", atLeast(2)), "Name", "x"), call("alice", "GetFederationToken", invalid("name", strings.Repeat("x", 33), atMost(32)), "Name", strings.Repeat("x", 33)))},
	{"GetFederationToken", "default 43200 seconds, 900 to 129600; root at most 3600, more is cut", same, "", all(lasts("alice", "GetFederationToken", 12*time.Hour, "Name", "guest"), lasts("root", "GetFederationToken", time.Hour, "Name", "guest", "DurationSeconds", "129600"), call("alice", "GetFederationToken", "400 ValidationError: *", "Name", "guest", "DurationSeconds", "899"))},
	{"GetFederationToken", "id A:name and ARN federated-user/name", same, "", call("alice", "GetFederationToken", "200 FederatedUserId=111122223333:guest Arn=arn:aws:sts::111122223333:federated-user/guest PackedPolicySize=-", "Name", "guest")},
	{"GetFederationToken", "PackedPolicySize 0 for a small policy", differs, "stint's own measure, rounded up: a policy takes some of the space", call("alice", "GetFederationToken", "200 PackedPolicySize=5", "Name", "guest", "Policy", compatPolicy(`{"Effect":"Allow","Action":"s3:Get*","Resource":"*"}`))},
	{"GetFederationToken", "Policy 1 to 2048", same, "", call("alice", "GetFederationToken", "400 ValidationError: *", "Name", "guest", "Policy", compatPolicy(allowSTS)+strings.Repeat(" ", 2048))},
	{"GetFederationToken", "tags need sts:TagSession; there are no transitive ones", same, "", call("alice", "GetFederationToken", "200 PackedPolicySize=*", "Name", "guest", "Tags.member.1.Key", "a", "Tags.member.1.Value", "b", "TransitiveTagKeys.member.1", "x")},
	{"GetFederationToken", "not with session credentials", same, "", all(call("session", "GetFederationToken", fmt.Sprintf(sessionsMay, "GetFederationToken"), "Name", "guest"), call("role", "GetFederationToken", fmt.Sprintf(sessionsMay, "GetFederationToken"), "Name", "guest"))},
	{"GetFederationToken", "no IAM: InvalidClientTokenId", same, "", iamCall("federated", "GetUser", invalidToken)},
	{"GetFederationToken", "of STS only GetCallerIdentity", same, "", all(call("federated", "GetCallerIdentity", "200"), call("federated", "GetAccessKeyInfo", "403 AccessDenied: *", "AccessKeyId", "AKIAWDB7XWLS3OBANPCE"), assume("federated", "403 AccessDenied: *"))},
	{"GetFederationToken", "permissions are those that user, boundary and session policies share; none without session policy", same, "", by("TestPolicy_Vectors")},

	{"AssumeRoot", "by principals of the management account, not by root", same, "", all(call("root", "AssumeRoot", "403 AccessDenied: *", "TargetPrincipal", compatMember, "TaskPolicyArn.arn", compatTask), call("role", "AssumeRoot", "200", "TargetPrincipal", compatMember, "TaskPolicyArn.arn", compatTask))},
	{"AssumeRoot", "by a delegated administrator's account", notYet, "delegated administrators", call("member root", "AssumeRoot", "403 AccessDenied: *", "TargetPrincipal", compatAccount, "TaskPolicyArn.arn", compatTask)},
	{"AssumeRoot", "needs sts:AssumeRoot on the member's root", same, "", call("bob", "AssumeRoot", "403 AccessDenied: User: arn:aws:iam::111122223333:user/bob is not authorized to perform: sts:AssumeRoot on resource: arn:aws:iam::444455556666:root*", "TargetPrincipal", compatMember, "TaskPolicyArn.arn", compatTask)},
	{"AssumeRoot", "TargetPrincipal is an account or the ARN of its root", same, "", all(call("alice", "AssumeRoot", "200", "TargetPrincipal", "arn:aws:iam::444455556666:root", "TaskPolicyArn.arn", compatTask), call("alice", "AssumeRoot", "400 ValidationError: *", "TargetPrincipal", "arn:aws:iam::444455556666:user/x", "TaskPolicyArn.arn", compatTask))},
	{"AssumeRoot", "one of five task policies", same, "", call("alice", "AssumeRoot", "400 ValidationError: *", "TargetPrincipal", compatMember, "TaskPolicyArn.arn", "arn:aws:iam::aws:policy/ReadOnlyAccess")},
	{"AssumeRoot", "0 to 900 seconds, default 900", same, "", all(lasts("alice", "AssumeRoot", 15*time.Minute, "TargetPrincipal", compatMember, "TaskPolicyArn.arn", compatTask), call("alice", "AssumeRoot", "400 ValidationError: *", "TargetPrincipal", compatMember, "TaskPolicyArn.arn", compatTask, "DurationSeconds", "901"))},
	{"AssumeRoot", "DurationSeconds 0", differs, "means the default: credentials that are over at once help nobody", lasts("alice", "AssumeRoot", 15*time.Minute, "TargetPrincipal", compatMember, "TaskPolicyArn.arn", compatTask, "DurationSeconds", "0")},
	{"AssumeRoot", "the answer carries the source identity", same, "", call("named role", "AssumeRoot", "200 SourceIdentity=alice", "TargetPrincipal", compatMember, "TaskPolicyArn.arn", compatTask)},
	{"AssumeRoot", "the session may do what the task policy allows", same, "", all(iamCall("task root", "ListUsers", "403 AccessDenied: *"), iamCall("task root", "GetAccountSummary", "200"))},

	{"DecodeAuthorizationMessage", "needs its permission", same, "", call("bob", "DecodeAuthorizationMessage", "403 AccessDenied: *", "EncodedMessage", "x")},
	{"DecodeAuthorizationMessage", "EncodedMessage 1 to 10240", same, "", all(call("alice", "DecodeAuthorizationMessage", "400 ValidationError: *", "EncodedMessage", ""), call("alice", "DecodeAuthorizationMessage", "400 ValidationError: *", "EncodedMessage", strings.Repeat("x", 10241)))},
	{"DecodeAuthorizationMessage", "what is no message, or over: InvalidAuthorizationMessageException", same, "", all(call("alice", "DecodeAuthorizationMessage", "400 InvalidAuthorizationMessageException: *", "EncodedMessage", "nonsense"))},
	{"DecodeAuthorizationMessage", "the document has allowed, explicitDeny, matchedStatements, failures and context", same, "", proof{run: func(w *compat) error {
		return has(wireCall{who: "alice", action: "DecodeAuthorizationMessage", params: with("EncodedMessage", w.encodedMessage())}, "", `"allowed":false,"explicitDeny":false,"matchedStatements":{"items":[]},"failures":{"items":[]},"context":{"principal":{`).run(w)
	}}},
	{"DecodeAuthorizationMessage", "who may decode", differs, "the accounts of caller and resource, for 24 hours; AWS does not say", by("TestDecodeAuthorizationMessage")},
	{"DecodeAuthorizationMessage", "which services encode", differs, "IAM's denials do when authorization-messages says so; AWS's IAM sends none", iamCall("bob", "ListUsers", "403 AccessDenied: User: arn:aws:iam::111122223333:user/bob is not authorized to perform: iam:ListUsers on resource: arn:aws:iam::111122223333:user/ because no identity-based policy allows the iam:ListUsers action. Encoded authorization failure message: *")},
	{"DecodeAuthorizationMessage", "matchedStatements of an explicit deny list the statement's actions, resources and conditions", differs, "they list the action and the resource of the request: what the policy says is its owner's", by("TestDecodeAuthorizationMessage")},

	{"GetAccessKeyInfo", "needs its permission", same, "", call("bob", "GetAccessKeyInfo", "403 AccessDenied: User: arn:aws:iam::111122223333:user/bob is not authorized to perform: sts:GetAccessKeyInfo*", "AccessKeyId", "AKIAWDB7XWLS3OBANPCE")},
	{"GetAccessKeyInfo", "the account is in the key, as in published pairs", same, "", all(call("alice", "GetAccessKeyInfo", "200 Account=418892985061", "AccessKeyId", "AKIAWDB7XWLS3OBANPCE"), call("alice", "GetAccessKeyInfo", "200 Account=348839763073", "AccessKeyId", "AKIAVCODYLSA53PQK4ZA"))},
	{"GetAccessKeyInfo", "inactive and foreign keys too, and keys of sessions", same, "", proof{run: func(w *compat) error {
		for who, account := range map[string]string{"carol": compatAccount, "member root": compatMember, "role": compatAccount} {
			if err := w.expect(wireCall{who: "alice", action: "GetAccessKeyInfo", params: with("AccessKeyId", w.who[who].AccessKeyID)}, "200 Account="+account); err != nil {
				return err
			}
		}
		return nil
	}}},
	{"GetAccessKeyInfo", "an unknown key may be an error", differs, "ValidationError for an id that holds no account; whether a key exists is not told", call("alice", "GetAccessKeyInfo", "400 ValidationError: The access key ID is not valid.", "AccessKeyId", "AKIA0000000000000000")},
	{"GetAccessKeyInfo", "AccessKeyId 16 to 128", same, "", call("alice", "GetAccessKeyInfo", invalid("accessKeyId", "AKIA", atLeast(16)), "AccessKeyId", "AKIA")},

	{"GetWebIdentityToken", "off by default: OutboundWebIdentityFederationDisabledException", same, "", call("alice", "GetWebIdentityToken", "403 OutboundWebIdentityFederationDisabledException: *", "Audience.member.1", "a", "SigningAlgorithm", "ES384")},
	{"GetWebIdentityToken", "permission, audience, algorithm, duration 60 to 3600", same, "", by("TestGetWebIdentityToken_Parameters")},
	{"GetWebIdentityToken", "condition keys and sts:TagGetWebIdentityToken", same, "", by("TestGetWebIdentityToken_Permission")},
	{"GetWebIdentityToken", "claims: sub is the ARN of user or role; the context in https://sts.amazonaws.com/", same, "", by("TestGetWebIdentityToken_Claims")},
	{"GetWebIdentityToken", "the issuer is an AWS host", differs, "an address of this installation below public-url", by("TestOutbound_Documents")},
	{"GetWebIdentityToken", "SessionDurationEscalationException and JWTPayloadSizeExceededException", same, "", by("TestCompatibility_GoldenSTS")},
	{"GetWebIdentityToken", "such tokens are refused by AssumeRoleWithWebIdentity", same, "", by("TestCreateOpenIDConnectProvider_Refuses")},

	{"AssumeRoleWithWebIdentity", "unsigned; the answer names subject, audience and provider", same, "", web("200 SubjectFromWebIdentityToken=build-1 Audience=stint Provider=*", nil)},
	{"AssumeRoleWithWebIdentity", "trust that is not met, and a missing role", same, "", all(web("403 AccessDenied: Not authorized to perform sts:AssumeRoleWithWebIdentity", claim("sub", "mallory")), web("403 AccessDenied: Not authorized to perform sts:AssumeRoleWithWebIdentity", nil, "RoleArn", roleARN+"nobody"), web("403 AccessDenied: Not authorized to perform sts:AssumeRoleWithWebIdentity", nil, "RoleArn", roleARN+"plain"))},
	{"AssumeRoleWithWebIdentity", "an issuer that is not registered", same, "", web("400 InvalidIdentityToken: No OpenIDConnect provider found in your account for https://idp.example.com", claim("iss", "https://idp.example.com"))},
	{"AssumeRoleWithWebIdentity", "the provider is looked for in the role's account", same, "", web("400 InvalidIdentityToken: No OpenIDConnect provider found in your account for *", nil, "RoleArn", "arn:aws:iam::444455556666:role/guest")},
	{"AssumeRoleWithWebIdentity", "an audience that is not registered", same, "", web("400 InvalidIdentityToken: Incorrect token audience", claim("aud", "somebody"))},
	{"AssumeRoleWithWebIdentity", "azp counts before aud", same, "", all(web("200 Audience=other", claim("azp", "other")), web("400 InvalidIdentityToken: Incorrect token audience", claim("azp", "somebody")))},
	{"AssumeRoleWithWebIdentity", "aud with several values", differs, "any that is registered; reports of AWS contradict each other", web("200 Audience=stint", claim("aud", []string{"somebody", "stint"}))},
	{"AssumeRoleWithWebIdentity", "not a JWT", same, "", web("400 InvalidIdentityToken: The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)", nil, "WebIdentityToken", "nonsense")},
	{"AssumeRoleWithWebIdentity", "a required claim that is missing", same, "", all(web("400 InvalidIdentityToken: Missing a required claim: aud", claim("aud", nil)), web("400 InvalidIdentityToken: Missing a required claim: sub", claim("sub", nil)), web("400 InvalidIdentityToken: Missing a required claim: exp", claim("exp", nil)), web("400 InvalidIdentityToken: Missing a required claim: iat", claim("iat", nil)))},
	{"AssumeRoleWithWebIdentity", "an expired token: ExpiredTokenException 400", same, "", web("400 ExpiredTokenException: Token expired: current date/time *", func(c map[string]any) { c["exp"] = time.Now().Unix() - 10 })},
	{"AssumeRoleWithWebIdentity", "a token that was issued long ago: Token too old", differs, "exp alone tells: whoever issues long-lived tokens means it", web("200", func(c map[string]any) { c["iat"] = time.Now().Unix() - 441398 })},
	{"AssumeRoleWithWebIdentity", "RS256 to RS512 and ES256 to ES512 only", same, "", by("TestVerify_Algorithms")},
	{"AssumeRoleWithWebIdentity", "at most 100 RSA and 100 EC keys", same, "", by("TestParseKeySet_TooMany")},
	{"AssumeRoleWithWebIdentity", "keys that cannot be had, certificates that do not match", same, "", by("TestAssumeRoleWithWebIdentity_Refuses")},
	{"AssumeRoleWithWebIdentity", "leeway of exp", differs, "none; 60 seconds for nbf and iat: reports of AWS contradict each other", by("TestVerify_Claims")},
	{"AssumeRoleWithWebIdentity", "roles claim", same, "", web("400 InvalidIdentityToken: The target role ARN is not present in the roles claim of the identity token", claim("https://aws.amazon.com/roles", []string{roleARN + "other"}))},
	{"AssumeRoleWithWebIdentity", "session tags of the claim https://aws.amazon.com/tags need sts:TagSession", same, "", web("200 PackedPolicySize=*", claim("https://aws.amazon.com/tags", map[string]any{"principal_tags": map[string]any{"Team": []string{"blue"}}}))},
	{"AssumeRoleWithWebIdentity", "source identity of its claim needs sts:SetSourceIdentity", same, "", web("403 AccessDenied: Not authorized to perform sts:SetSourceIdentity", claim("https://aws.amazon.com/source_identity", "build"))},
	{"AssumeRoleWithWebIdentity", "ProviderId with OAuth 2.0 access tokens", differs, "refused: nobody issues them any more", web("400 ValidationError: *", nil, "ProviderId", "www.amazon.com")},
	{"AssumeRoleWithWebIdentity", "the token's expiry does not cut the session", same, "", web("200", func(c map[string]any) { c["exp"] = time.Now().Unix() + 30 })},
	{"AssumeRoleWithWebIdentity", "a token may be used again", same, "", proof{run: func(w *compat) error {
		c := wireCall{who: "nobody", action: "AssumeRoleWithWebIdentity", params: w.webIdentity(nil)}
		if err := w.expect(c, "200"); err != nil {
			return err
		}
		return w.expect(c, "200")
	}}},
	{"AssumeRoleWithWebIdentity", "duration as in AssumeRole", same, "", web("400 ValidationError: The requested DurationSeconds exceeds the MaxSessionDuration set for this role.", nil, "DurationSeconds", "3601")},
	{"AssumeRoleWithWebIdentity", `{"AWS": "*"} in a trust policy names no holder of a token, "*" does`, same, "", by("TestAssumeRoleWithWebIdentity_Trust")},

	{"OpenID Connect providers", "URL: https, no query; unique in the account, case counts", same, "", by("TestCreateOpenIDConnectProvider_Refuses")},
	{"OpenID Connect providers", "URL without a port, never http", differs, "a port is fine; http on loopback only, while stint itself is on loopback only", iamCall("root", "CreateOpenIDConnectProvider", "200", "Url", "https://idp.example.com:8443/realm", "ThumbprintList.member.1", thumbprint)},
	{"OpenID Connect providers", "an issuer of STS itself is refused", same, "", by("TestCreateOpenIDConnectProvider_Refuses")},
	{"OpenID Connect providers", "client ids, thumbprints, tags", same, "", by("TestOIDCProvider_Life")},
	{"OpenID Connect providers", "the discovery document's issuer is the issuer, its jwks_uri https", same, "", by("TestParseDiscovery")},
	{"OpenID Connect providers", "keys are kept, and fetched anew for an unknown kid, not too often", same, "", by("TestKeys_Rotation")},
	{"OpenID Connect providers", "private addresses are not fetched from", same, "", by("TestClient_Addresses")},
	{"OpenID Connect providers", "Enable- and DisableOutboundWebIdentityFederation", same, "", by("TestOutbound_EnableAndDisable")},

	{"AssumeRoleWithSAML", "a response that answers a request, and one that nobody asked for", same, "", all(
		samlCall("200", func(r *samltest.Response) { r.InResponseTo, r.ConfirmsRequest = "_1", "_1" }), samlCall("200", nil))},
	{"AssumeRoleWithSAML", "a response and an assertion that answer different requests", differs, "refused; AWS does not say", samlCall("400 InvalidIdentityToken: Response and assertion answer different requests.", func(r *samltest.Response) { r.InResponseTo, r.ConfirmsRequest = "_1", "_2" })},
	{"AssumeRoleWithSAML", "the signature covers what is read: no wrapping, no DTD, no second parser", same, "", by("TestVerify_Wrapping")},
	{"AssumeRoleWithSAML", "metadata: keys, several certificates, validUntil", same, "", by("TestMetadata_Keys")},
	{"AssumeRoleWithSAML", "unsigned; subject, its type without the prefix, issuer, Recipient as audience", same, "", samlCall("200 Subject=alice@example.com SubjectType=persistent Issuer=https://idp.example.com/saml Audience="+compatACS+" NameQualifier=*", nil)},
	{"AssumeRoleWithSAML", "NameQualifier is base64(SHA-1(issuer, account, /, provider))", same, "", by("TestSAML_NameQualifier")},
	{"AssumeRoleWithSAML", "a role that is not offered, that is missing, no NameID", same, "", all(
		samlCall("403 AccessDenied: Not authorized to perform sts:AssumeRoleWithSAML", attribute("Role", roleARN+"other,"+corpProvider)),
		samlCall("403 AccessDenied: Not authorized to perform sts:AssumeRoleWithSAML", nil, "RoleArn", roleARN+"nobody"),
		samlCall("403 AccessDenied: Not authorized to perform sts:AssumeRoleWithSAML", func(r *samltest.Response) { r.NameID = "" }))},
	{"AssumeRoleWithSAML", `{"AWS": "*"} in a trust policy names no holder of an assertion, "*" does`, same, "", by("TestAssumeRoleWithSAML_Trust")},
	{"AssumeRoleWithSAML", "both orders of role and provider, blanks trimmed", same, "", samlCall("200", attribute("Role", corpProvider+" , "+roleARN+"saml"))},
	{"AssumeRoleWithSAML", "attribute names are case-sensitive", same, "", by("TestAssumeRoleWithSAML_Refuses")},
	{"AssumeRoleWithSAML", "signature on response or assertion", same, "", all(
		samlCall("200", func(r *samltest.Response) { r.SignAssertion, r.SignResponse = false, true }),
		samlCall("400 InvalidIdentityToken: Response signature invalid", func(r *samltest.Response) { r.SignAssertion = false }))},
	{"AssumeRoleWithSAML", "SHA-1 signatures", differs, "refused: they can be forged", samlCall("400 InvalidIdentityToken: Response signature invalid", func(r *samltest.Response) { r.SignatureMethod = samltest.RSASHA1 })},
	{"AssumeRoleWithSAML", "issuer of another provider", differs, "AWS's sentence without the inner error that leaks into it there", samlCall("400 InvalidIdentityToken: Issuer not present in specified provider", func(r *samltest.Response) { r.Issuer = "urn:x" })},
	{"AssumeRoleWithSAML", "audience", same, "", samlCall("400 InvalidIdentityToken: Response does not contain the required audience.", func(r *samltest.Response) { r.Audiences = []string{"urn:x"} })},
	{"AssumeRoleWithSAML", "session name missing or out of form", same, "", all(
		samlCall("400 InvalidIdentityToken: RoleSessionName is required in AuthnResponse", attribute("RoleSessionName")),
		samlCall("400 InvalidIdentityToken: RoleSessionName in AuthnResponse must match [a-zA-Z_0-9+=,.@-]{2,64}", attribute("RoleSessionName", "a b")))},
	{"AssumeRoleWithSAML", "source identity out of form", same, "", samlCall(`400 InvalidIdentityToken: Source Identity must match [a-zA-Z_0-9+=,.@-]{2,64} and not begin with "aws:"`, attribute("SourceIdentity", "x"))},
	{"AssumeRoleWithSAML", "source identity and tags need their permissions", same, "", all(samlCall("403 AccessDenied: Not authorized to perform sts:SetSourceIdentity", attribute("SourceIdentity", "alice")), samlCall("200 PackedPolicySize=*", attribute("PrincipalTag:Team", "blue")))},
	{"AssumeRoleWithSAML", "no such provider", same, "", samlCall("400 InvalidIdentityToken: Specified provider doesn't exist", nil, "PrincipalArn", corpProvider+"2")},
	{"AssumeRoleWithSAML", "older than 5 minutes", same, "", samlCall("400 ExpiredTokenException: Token must be redeemed within 5 minutes of issuance", func(r *samltest.Response) { r.IssueInstant = time.Now().Add(-6 * time.Minute) })},
	{"AssumeRoleWithSAML", "conditions that are over", same, "", samlCall("400 ExpiredTokenException: Response has expired", func(r *samltest.Response) { r.NotOnOrAfter = time.Now().Add(-time.Hour) })},
	{"AssumeRoleWithSAML", "a status other than Success", same, "", samlCall("403 IDPRejectedClaim: *", func(r *samltest.Response) { r.Status = "urn:oasis:names:tc:SAML:2.0:status:AuthnFailed" })},
	{"AssumeRoleWithSAML", "SessionDuration and SessionNotOnOrAfter can only shorten", same, "", by("TestAssumeRoleWithSAML_Duration")},
	{"AssumeRoleWithSAML", "duration over the role's maximum", same, "", samlCall("400 ValidationError: The requested DurationSeconds exceeds the MaxSessionDuration set for this role.", nil, "DurationSeconds", "3601")},
	{"AssumeRoleWithSAML", "an assertion may be redeemed again within its time", differs, "once for each role, so that one sign-in may still fetch several; saml.reuse is as AWS", by("TestAssumeRoleWithSAML_SingleUse")},
	{"AssumeRoleWithSAML", "condition keys SAML:aud, saml:sub and the others", same, "", by("TestAssumeRoleWithSAML_Trust")},
	{"AssumeRoleWithSAML", "encrypted assertions, two keys for rotation", same, "", by("TestSAMLProvider_PrivateKeys")},
	{"AssumeRoleWithSAML", "data encrypted with AES-CBC", differs, "inside a verified signature only: it has no protection of its own", by("TestVerify_Encrypted")},

	{"Identifiers", "access key ids hold the account", same, "", by("TestNewAccessKeyID_CarriesTheAccount")},
	{"Identifiers", "secrets have 40 characters of base64", same, "", by("TestMint_CredentialsHaveTheShapeOfAWS")},
	{"Identifiers", "session tokens are opaque base64", differs, "signed JSON web tokens, of characters that a header takes; token.seal encrypts them", by("TestSealTokens")},
	{"Identifiers", "a deleted user's ARN turns into its id in trust policies", same, "", by("TestTrust_IsBoundToTheIDs")},
	{"Identifiers", "an id is never used again", same, "", proof{run: func(w *compat) error {
		first := w.directory("CreateUser", "UserName", "phoenix").element("UserId")
		w.directory("DeleteUser", "UserName", "phoenix")
		if second := w.directory("CreateUser", "UserName", "phoenix").element("UserId"); second == first {
			return fmt.Errorf("%s again", second)
		}
		return nil
	}}},

	{"Revocation", "a deny by aws:TokenIssueTime ends what older sessions may do", same, "", chain("alice", "AssumeRole", []string{"RoleArn", roleARN + "long", "RoleSessionName", "old"}, func(w *compat, session string) error {
		if err := w.expect(wireCall{who: session, action: "ListUsers", service: "iam"}, "200"); err != nil {
			return err
		}
		w.directory("PutRolePolicy", "RoleName", "long", "PolicyName", "AWSRevokeOlderSessions", "PolicyDocument",
			compatPolicy(`{"Effect":"Deny","Action":["*"],"Resource":["*"],"Condition":{"DateLessThan":{"aws:TokenIssueTime":"`+time.Now().Add(time.Minute).UTC().Format(time.RFC3339)+`"}}}`))
		defer w.directory("DeleteRolePolicy", "RoleName", "long", "PolicyName", "AWSRevokeOlderSessions")
		if err := w.expect(wireCall{who: session, action: "ListUsers", service: "iam"}, "403 AccessDenied: *"); err != nil {
			return err
		}
		return w.expect(wireCall{who: session, action: "GetCallerIdentity"}, "200")
	})},
	{"Revocation", "an inactive key does not end the sessions that it made", same, "", chain("temp", "GetSessionToken", nil, func(w *compat, session string) error {
		w.directory("UpdateAccessKey", "UserName", "temp", "AccessKeyId", w.who["temp"].AccessKeyID, "Status", "Inactive")
		return w.expect(wireCall{who: session, action: "GetCallerIdentity"}, "200")
	})},
	{"Revocation", "deleting the user does", same, "", chain("leaver", "GetSessionToken", nil, func(w *compat, session string) error {
		w.directory("DeleteAccessKey", "UserName", "leaver", "AccessKeyId", w.who["leaver"].AccessKeyID)
		w.directory("DeleteUser", "UserName", "leaver")
		return w.expect(wireCall{who: session, action: "GetCallerIdentity"}, invalidToken)
	})},
	{"Revocation", "ending one session with all that was made from it, or all of a principal, at once on every node (AWS has no such thing)", differs, "stint session revoke, and RevokeSessions", by("TestSessionRevoke")},

	{"Delivery", "web identity file: SDKs read it and call with AWS_ENDPOINT_URL_STS", same, "", by("TestSDK_Tour")},
	{"Delivery", "credential_process", same, "", by("TestCreds_Profile")},
	{"Delivery", "the aws CLI, unmodified", same, "", by("TestAWSCLI")},
	{"Delivery", "container endpoint and instance metadata (`stint agent`), for SDKs in Go, Python and JavaScript", same, "", by("TestAgent_SDKs")},
	{"Delivery", "instance metadata without a token (IMDSv1)", differs, "only with `--imds-v1`", by("TestMetadata_V1WhenAskedFor")},
	{"Delivery", "instance metadata beyond role, credentials and region", differs, "404: the machine is no instance", by("TestMetadata")},
	{"Delivery", "console federation: getSigninToken and login", notYet, "the portal", sends(wireCall{who: "nobody", method: "GET", raw: ptrTo("Action=getSigninToken")}, "400 InvalidAction: *")},
	{"Delivery", "events have the shape of CloudTrail's and hold no secret", same, "", by("TestEvent_Golden")},
}

func ptrTo(s string) *string { return &s }

// otherCode is a code that is wrong.
func otherCode(code string) string {
	if code[0] == '0' {
		return "1" + code[1:]
	}
	return "0" + code[1:]
}
