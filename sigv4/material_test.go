package sigv4_test

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stint-sts/stint/secret"
	"github.com/stint-sts/stint/sigv4"
)

const form = "Action=GetCallerIdentity&Version=2011-06-15"

var (
	alice   = sigv4.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: vectorSecret}
	session = sigv4.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: vectorSecret, SessionToken: secret.New("to/ken+==")}
)

// post is what an SDK sends.
func post() *sigv4.Request {
	return &sigv4.Request{
		Method: "POST", Path: "/", Host: "127.0.0.1:8470", Body: []byte(form),
		Header: map[string][]string{
			"Content-Type":          {"application/x-www-form-urlencoded; charset=utf-8"},
			"Content-Length":        {"43"},
			"Amz-Sdk-Invocation-Id": {"b5a1f4d2-7f4e-4d5e-9d5a-0d5f3c1e2a3b"},
			"Amz-Sdk-Request":       {"attempt=1; max=3"},
			"User-Agent":            {"aws-sdk-go-v2/1.41.0"},
		},
	}
}

func signed(t testing.TB, c sigv4.Credentials) *sigv4.Request {
	t.Helper()
	r := post()
	if err := sigv4.Sign(r, c, "eu-west-1", "sts", vectorTime); err != nil {
		t.Fatal(err)
	}
	return r
}

func presigned(t testing.TB, c sigv4.Credentials) *sigv4.Request {
	t.Helper()
	r := &sigv4.Request{
		Method: "GET", Path: "/", RawQuery: form, Host: "sts.example.com",
		Header: map[string][]string{"X-K8s-Aws-Id": {"cluster"}},
	}
	if err := sigv4.Presign(r, c, "eu-west-1", "sts", vectorTime, time.Minute); err != nil {
		t.Fatal(err)
	}
	r.Header["Accept"] = []string{"application/json"}
	return r
}

func authorization(r *sigv4.Request, change func(string) string) {
	r.Header["Authorization"] = []string{change(r.Header["Authorization"][0])}
}

func replace(r *sigv4.Request, old, new string) {
	authorization(r, func(s string) string { return strings.Replace(s, old, new, 1) })
}

func replaceQuery(r *sigv4.Request, old, new string) {
	r.RawQuery = strings.Replace(r.RawQuery, old, new, 1)
}

const (
	needCredential = "Authorization header requires 'Credential' parameter."
	needSignature  = "Authorization header requires 'Signature' parameter."
	needSigned     = "Authorization header requires 'SignedHeaders' parameter."
	needDate       = "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header."
	oneMechanism   = "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string " +
		"parameter or the Authorization header should be specified"
	badList = "The list of signed headers must be lower-case, sorted, without repetition and of at most 64 names."
)

func TestParse_Header(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name   string
		change func(r *sigv4.Request)
		want   string // text of the SyntaxError; "" accepts
	}{
		{"as an SDK sends it", func(*sigv4.Request) {}, ""},
		{"parts in another order without spaces", func(r *sigv4.Request) {
			authorization(r, func(s string) string {
				parts := strings.Split(strings.TrimPrefix(s, "AWS4-HMAC-SHA256 "), ", ")
				slices.Reverse(parts)
				return "AWS4-HMAC-SHA256  \t " + strings.Join(parts, ",") + " "
			})
		}, ""},
		{"Date in place of X-Amz-Date", func(r *sigv4.Request) {
			r.Header["Date"] = []string{"Sun, 30 Aug 2015 12:36:00 GMT"}
			delete(r.Header, "X-Amz-Date")
		}, ""},
		{"Date in basic ISO form", func(r *sigv4.Request) {
			r.Header["Date"] = []string{"20150830T123600Z"}
			delete(r.Header, "X-Amz-Date")
		}, ""},
		{"both dates, of which X-Amz-Date counts", func(r *sigv4.Request) { r.Header["Date"] = []string{"yesterday"} }, ""},
		{"nothing but the scheme and no date", func(r *sigv4.Request) {
			r.Header = map[string][]string{"Authorization": {"AWS4-HMAC-SHA256"}}
		}, needCredential + " " + needSignature + " " + needSigned + " " + needDate},
		{"no credential", func(r *sigv4.Request) { replace(r, "Credential="+credential+", ", "") }, needCredential},
		{"empty credential", func(r *sigv4.Request) { replace(r, credential, "") }, needCredential},
		{"no signature", func(r *sigv4.Request) {
			authorization(r, func(s string) string { return s[:strings.Index(s, ", Signature")] })
		}, needSignature},
		{"no signed headers and no date", func(r *sigv4.Request) {
			authorization(r, func(s string) string {
				return s[:strings.Index(s, "SignedHeaders")] + s[strings.Index(s, "Signature="):]
			})
			delete(r.Header, "X-Amz-Date")
		}, needSigned + " " + needDate},
		{"part without an equal-sign", func(r *sigv4.Request) {
			r.Header["Authorization"] = []string{"AWS4-HMAC-SHA256 Credential=a, SignedHeaders"}
		}, "'SignedHeaders' not a valid key=value pair (missing equal-sign) in Authorization header: " +
			"'AWS4-HMAC-SHA256 Credential=a, SignedHeaders'."},
		{"comma at the end", func(r *sigv4.Request) { r.Header["Authorization"] = []string{"AWS4-HMAC-SHA256 Credential=a,"} },
			"'' not a valid key=value pair (missing equal-sign) in Authorization header: 'AWS4-HMAC-SHA256 Credential=a,'."},
		{"credential given twice", func(r *sigv4.Request) { replace(r, "SignedHeaders=", "Credential=a/b/c/d/e, SignedHeaders=") },
			"Authorization header must not repeat the 'Credential' parameter."},
		{"signature given twice", func(r *sigv4.Request) { replace(r, "SignedHeaders=", "Signature=0, SignedHeaders=") },
			"Authorization header must not repeat the 'Signature' parameter."},
		{"unknown part", func(r *sigv4.Request) { replace(r, "SignedHeaders=", "credential=x, SignedHeaders=") },
			"'credential' is not a parameter of the AWS Authorization header."},
		{"four elements of scope", func(r *sigv4.Request) { replace(r, credential, "AKID/20150830/eu-west-1/sts") },
			"Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got " +
				"'AKID/20150830/eu-west-1/sts'"},
		{"six elements of scope", func(r *sigv4.Request) { replace(r, credential, "a/b/c/d/e/f") },
			"Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got 'a/b/c/d/e/f'"},
		{"unprintable credential is not echoed", func(r *sigv4.Request) { replace(r, credential, "a\x1b[2J\nb") },
			"Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got 'a?[2J?b'"},
		{"Basic", func(r *sigv4.Request) { r.Header["Authorization"] = []string{"Basic dXNlcjpwYXNz"} },
			"Unsupported AWS 'algorithm': 'Basic'."},
		{"Bearer", func(r *sigv4.Request) { r.Header["Authorization"] = []string{"Bearer abc"} },
			"Unsupported AWS 'algorithm': 'Bearer'."},
		{"bare token, which is not echoed", func(r *sigv4.Request) { r.Header["Authorization"] = []string{"s3cr3t"} },
			"Unsupported AWS 'algorithm': ''."},
		{"empty", func(r *sigv4.Request) { r.Header["Authorization"] = []string{""} }, "Unsupported AWS 'algorithm': ''."},
		{"SigV4a", func(r *sigv4.Request) { replace(r, "AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256") },
			"Unsupported AWS 'algorithm': 'AWS4-ECDSA-P256-SHA256'."},
		{"Signature Version 2 header", func(r *sigv4.Request) { r.Header["Authorization"] = []string{"AWS AKID:c2ln"} },
			"Unsupported AWS 'algorithm': 'AWS'."},
		{"scheme in lower case", func(r *sigv4.Request) { replace(r, "AWS4-HMAC-SHA256", "aws4-hmac-sha256") },
			"Unsupported AWS 'algorithm': 'aws4-hmac-sha256'."},
		{"two Authorization headers", func(r *sigv4.Request) {
			r.Header["Authorization"] = append(r.Header["Authorization"], r.Header["Authorization"][0])
		}, "'Authorization' must not be given more than once."},
		{"Authorization again in other letter case", func(r *sigv4.Request) { r.Header["authorization"] = []string{"Bearer x"} },
			"'Authorization' must not be given more than once."},
		{"two X-Amz-Date", func(r *sigv4.Request) { r.Header["X-Amz-Date"] = []string{"20150830T123600Z", "20150830T123600Z"} },
			"'X-Amz-Date' must not be given more than once."},
		{"two tokens", func(r *sigv4.Request) { r.Header["X-Amz-Security-Token"] = []string{"a", "b"} },
			"'X-Amz-Security-Token' must not be given more than once."},
		{"two payload hashes", func(r *sigv4.Request) { r.Header["X-Amz-Content-Sha256"] = []string{"a", "a"} },
			"'X-Amz-Content-Sha256' must not be given more than once."},
		{"two Date headers of which one is needed", func(r *sigv4.Request) {
			r.Header["Date"] = []string{"20150830T123600Z", "20150830T123600Z"}
			delete(r.Header, "X-Amz-Date")
		}, "'Date' must not be given more than once."},
		{"both forms", func(r *sigv4.Request) { r.RawQuery = "X-Amz-Signature=0" }, oneMechanism},
		{"token in the query beside the header form", func(r *sigv4.Request) { r.RawQuery = "X-Amz-Security-Token=t" }, oneMechanism},
		{"date in the query beside the header form, percent-encoded", func(r *sigv4.Request) { r.RawQuery = "x%2DAmz-%44ate=1" },
			"'X-Amz-Date' must not be given more than once."},
		{"Signature Version 2 beside the header form", func(r *sigv4.Request) { r.RawQuery = "AWSAccessKeyId=AKID" }, oneMechanism},
		{"extended ISO date", func(r *sigv4.Request) { r.Header["X-Amz-Date"] = []string{"2015-08-30T12:36:00Z"} },
			"Date must be in ISO-8601 'basic format'. Got '2015-08-30T12:36:00Z'. See http://en.wikipedia.org/wiki/ISO_8601"},
		{"date that does not exist", func(r *sigv4.Request) { r.Header["X-Amz-Date"] = []string{"20150431T123600Z"} },
			"Date must be in ISO-8601 'basic format'. Got '20150431T123600Z'. See http://en.wikipedia.org/wiki/ISO_8601"},
		{"hour 24", func(r *sigv4.Request) { r.Header["X-Amz-Date"] = []string{"20150830T243600Z"} },
			"Date must be in ISO-8601 'basic format'. Got '20150830T243600Z'. See http://en.wikipedia.org/wiki/ISO_8601"},
		{"Date with a zone that is only a name", func(r *sigv4.Request) {
			r.Header["Date"] = []string{"Sun, 30 Aug 2015 12:36:00 XYZ"}
			delete(r.Header, "X-Amz-Date")
		}, "Date must be in ISO-8601 'basic format'. Got 'Sun, 30 Aug 2015 12:36:00 XYZ'. See http://en.wikipedia.org/wiki/ISO_8601"},
		{"signed headers in upper case", func(r *sigv4.Request) { replace(r, ";host", ";Host") }, badList},
		{"signed headers unsorted", func(r *sigv4.Request) { replace(r, "SignedHeaders=", "SignedHeaders=zzz;") }, badList},
		{"signed header repeated", func(r *sigv4.Request) { replace(r, ";host", ";host;host") }, badList},
		{"signed header without a name", func(r *sigv4.Request) { replace(r, "SignedHeaders=", "SignedHeaders=;") }, badList},
		{"too many signed headers", func(r *sigv4.Request) {
			var names []string
			for c := 'a'; c <= 'e'; c++ {
				for d := 'a'; d <= 'm'; d++ {
					names = append(names, string(c)+string(d))
				}
			}
			replace(r, "SignedHeaders=", "SignedHeaders="+strings.Join(names, ";")+";")
		}, badList},
		{"too long", func(r *sigv4.Request) { replace(r, credential, strings.Repeat("x", 8<<10)) },
			"The Authorization header is too long."},
		{"token too long", func(r *sigv4.Request) { r.Header["X-Amz-Security-Token"] = []string{strings.Repeat("x", 17<<10)} },
			"The security token is too long."},
		{"query too long", func(r *sigv4.Request) { r.RawQuery = strings.Repeat("x", 513<<10) }, "The query string is too long."},
		{"too many query parameters", func(r *sigv4.Request) { r.RawQuery = strings.Repeat("x&", 2049) },
			"The query string has too many parameters."},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			r := signed(t, alice)
			if _, err := sigv4.Parse(r); err != nil {
				t.Fatalf("the unchanged request: %v", err)
			}
			row.change(r)
			wantSyntax(t, r, row.want)
		})
	}
}

const credential = "AKIDEXAMPLE/20150830/eu-west-1/sts/aws4_request"

func wantSyntax(t *testing.T, r *sigv4.Request, want string) {
	t.Helper()
	m, err := sigv4.Parse(r)
	if want == "" {
		if err != nil || m.AccessKeyID != "AKIDEXAMPLE" || !m.Time.Equal(vectorTime) {
			t.Fatalf("Parse = %+v, %v", m, err)
		}
		return
	}
	var syntax *sigv4.SyntaxError
	if !errors.As(err, &syntax) || syntax.Message != want || m != nil {
		t.Errorf("Parse = %v, %v, want the text\n%s", m, err, want)
	}
}

func TestParse_Presigned(t *testing.T) {
	t.Parallel()
	const reexamine = "Re-examine the query-string parameters."
	for _, row := range []struct {
		name   string
		change func(r *sigv4.Request)
		want   string
	}{
		{"as a presigner makes it", func(*sigv4.Request) {}, ""},
		{"names percent-encoded", func(r *sigv4.Request) { replaceQuery(r, "X-Amz-Date", "X%2DAmz%2dDate") }, ""},
		{"no lifetime", func(r *sigv4.Request) { replaceQuery(r, "X-Amz-Expires=60&", "") }, ""},
		{"lifetime zero", func(r *sigv4.Request) { replaceQuery(r, "Expires=60", "Expires=0") }, ""},
		{"lifetime of seven days", func(r *sigv4.Request) { replaceQuery(r, "Expires=60", "Expires=604800") }, ""},
		{"lifetime beyond seven days", func(r *sigv4.Request) { replaceQuery(r, "Expires=60", "Expires=604801") }, badLifetime},
		{"lifetime negative", func(r *sigv4.Request) { replaceQuery(r, "Expires=60", "Expires=-1") }, badLifetime},
		{"lifetime empty", func(r *sigv4.Request) { replaceQuery(r, "Expires=60", "Expires=") }, badLifetime},
		{"lifetime no number", func(r *sigv4.Request) { replaceQuery(r, "Expires=60", "Expires=6e1") }, badLifetime},
		{"lifetime overflowing", func(r *sigv4.Request) { replaceQuery(r, "Expires=60", "Expires=18446744073709551676") }, badLifetime},
		{"signature only", func(r *sigv4.Request) { r.RawQuery = "X-Amz-Signature=00" },
			"AWS query-string parameters must include 'X-Amz-Algorithm'. AWS query-string parameters must include " +
				"'X-Amz-Credential'. AWS query-string parameters must include 'X-Amz-SignedHeaders'. AWS query-string parameters " +
				"must include 'X-Amz-Date'. " + reexamine},
		{"no signature", func(r *sigv4.Request) { replaceQuery(r, "X-Amz-Signature", "X-Amz-Other") },
			"AWS query-string parameters must include 'X-Amz-Signature'. " + reexamine},
		{"no date", func(r *sigv4.Request) { replaceQuery(r, "X-Amz-Date=20150830T123600Z", "") },
			"AWS query-string parameters must include 'X-Amz-Date'. " + reexamine},
		{"SigV4a", func(r *sigv4.Request) { replaceQuery(r, "HMAC-SHA256", "ECDSA-P256-SHA256") },
			"Unsupported AWS 'algorithm': 'AWS4-ECDSA-P256-SHA256'."},
		{"Signature Version 2", func(r *sigv4.Request) { r.RawQuery = "AWSAccessKeyId=AKID&Signature=x&SignatureVersion=2" },
			"AWS query-string parameters must include 'X-Amz-Algorithm'. " + reexamine},
		{"Signature Version 2 in a form", func(r *sigv4.Request) {
			r.RawQuery, r.Body = "", []byte("Action=GetUser&AWSAccessKeyId=AKID&Signature=x&SignatureVersion=2")
		}, "AWS query-string parameters must include 'X-Amz-Algorithm'. " + reexamine},
		{"signature twice", func(r *sigv4.Request) { r.RawQuery += "&X-Amz-Signature=0" },
			"'X-Amz-Signature' must not be given more than once."},
		{"signature twice, percent-encoded", func(r *sigv4.Request) { r.RawQuery += "&X-Amz-Signatur%65=0" },
			"'X-Amz-Signature' must not be given more than once."},
		{"credential twice, in other letter case", func(r *sigv4.Request) { r.RawQuery += "&x-amz-credential=0" },
			"'X-Amz-Credential' must not be given more than once."},
		{"algorithm twice", func(r *sigv4.Request) { r.RawQuery += "&X-Amz-Algorithm=AWS4-HMAC-SHA256" },
			"'X-Amz-Algorithm' must not be given more than once."},
		{"lifetime twice", func(r *sigv4.Request) { r.RawQuery += "&X-Amz-Expires=1" },
			"'X-Amz-Expires' must not be given more than once."},
		{"signed headers twice", func(r *sigv4.Request) { r.RawQuery += "&X-Amz-SignedHeaders=host" },
			"'X-Amz-SignedHeaders' must not be given more than once."},
		{"token in query and header", func(r *sigv4.Request) { r.Header["X-Amz-Security-Token"] = []string{"to/ken+=="} },
			"'X-Amz-Security-Token' must not be given more than once."},
		{"date in query and header", func(r *sigv4.Request) { r.Header["X-Amz-Date"] = []string{"20150830T123600Z"} },
			"'X-Amz-Date' must not be given more than once."},
		{"token in a header only", func(r *sigv4.Request) {
			replaceQuery(r, "&X-Amz-Security-Token=to%2Fken%2B%3D%3D", "")
			r.Header["X-Amz-Security-Token"] = []string{"to/ken+=="}
		}, oneMechanism},
		{"an Authorization header of another kind too", func(r *sigv4.Request) { r.Header["Authorization"] = []string{"Bearer x"} },
			oneMechanism},
		{"invalid percent-encoding", func(r *sigv4.Request) { replaceQuery(r, "AKIDEXAMPLE", "AKIDEXAMPL%4") },
			"The value of 'X-Amz-Credential' is not valid percent-encoding."},
		{"value too long", func(r *sigv4.Request) { replaceQuery(r, "AKIDEXAMPLE", strings.Repeat("x", 8<<10)) },
			"The value of 'X-Amz-Credential' is too long."},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			r := presigned(t, session)
			if _, err := sigv4.Parse(r); err != nil {
				t.Fatalf("the unchanged request: %v", err)
			}
			row.change(r)
			wantSyntax(t, r, row.want)
		})
	}
}

const badLifetime = "X-Amz-Expires must be a number of seconds from 0 to 604800."

func TestParse_Missing(t *testing.T) {
	t.Parallel()
	for name, r := range map[string]*sigv4.Request{
		"nothing at all":                  {},
		"an unsigned form":                post(),
		"a date and a token alone":        {Header: map[string][]string{"X-Amz-Date": {"20150830T123600Z"}, "X-Amz-Security-Token": {"t"}}},
		"a query without a signature":     {RawQuery: form + "&X-Amz-Date=20150830T123600Z&X-Amz-Foo=1"},
		"an undecodable query":            {RawQuery: "%zz=1&a=%"},
		"a form that talks of version 2":  {Body: []byte("Description=&XAWSAccessKeyId=1")},
		"an Authorization without values": {Header: map[string][]string{"Authorization": {}}},
	} {
		if m, err := sigv4.Parse(r); !errors.Is(err, sigv4.ErrMissing) || m != nil {
			t.Errorf("%s: Parse = %v, %v, want ErrMissing", name, m, err)
		}
	}
}

func TestParse_LeavesTheRequestAlone(t *testing.T) {
	t.Parallel()
	r := signed(t, session)
	header := maps.Clone(r.Header)
	if err := verify(newVerifier(t), r, vectorSecret); err != nil {
		t.Fatal(err)
	}
	if !maps.EqualFunc(header, r.Header, slices.Equal) || string(r.Body) != form {
		t.Error("the request was changed")
	}
}

func FuzzParse(f *testing.F) {
	header := signed(f, session)
	query := presigned(f, session)
	f.Add(header.Header["Authorization"][0], "20150830T123600Z", "", form)
	f.Add("", "", query.RawQuery, "")
	f.Add("AWS4-HMAC-SHA256 Credential=a/b/c/d/e,SignedHeaders=host,Signature=0", "Sun, 30 Aug 2015 12:36:00 GMT", "a=%4&&=", "")
	f.Add("Basic x", "", "AWSAccessKeyId=x", "AWSAccessKeyId=x")
	f.Add("AWS4-HMAC-SHA256 ,", "", "X-Amz-Signature=%zz", "")
	f.Add("AWS4-HMAC-SHA256 =", "2015", "x-amz-date=+", "")
	v := newVerifier(f)
	f.Fuzz(func(t *testing.T, authorization, date, rawQuery, body string) {
		r := &sigv4.Request{
			Method: "POST", Path: "/", RawQuery: rawQuery, Host: "h", Body: []byte(body), Header: map[string][]string{},
		}
		if authorization != "" {
			r.Header["Authorization"] = []string{authorization}
		}
		if date != "" {
			r.Header["Date"] = []string{date}
		}
		m, err := sigv4.Parse(r)
		if (m == nil) == (err == nil) {
			t.Fatalf("Parse = %v, %v", m, err)
		}
		var syntax *sigv4.SyntaxError
		switch {
		case errors.Is(err, sigv4.ErrMissing):
		case errors.As(err, &syntax):
			if len(syntax.Message) > 10<<10 || strings.ContainsFunc(syntax.Message, func(c rune) bool { return c < ' ' || c > '~' }) {
				t.Fatalf("the message is %d bytes or not printable: %q", len(syntax.Message), syntax.Message)
			}
		case err != nil:
			t.Fatalf("Parse returns an error of another type: %v", err)
		default:
			if strings.Count(m.SignedHeaders, ";") >= 64 || m.SignedHeaders == "" || m.Time.Location() != time.UTC {
				t.Fatalf("Parse = %+v", m)
			}
			_ = v.CheckScope(r, m, "")
			if v.Verify(r, m, secret.New("no such secret")) == nil {
				t.Fatal("verified under a secret that nobody signed with")
			}
		}
	})
}
