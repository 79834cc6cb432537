package sigv4_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stint-sts/stint/secret"
	"github.com/stint-sts/stint/sigv4"
)

const wrongSignature = "The request signature we calculated does not match the signature you provided. Check your AWS " +
	"Secret Access Key and signing method. Consult the service documentation for details."

func wantMismatch(t *testing.T, err error, want string) {
	t.Helper()
	var mismatch *sigv4.MismatchError
	if want == "" && err != nil {
		t.Errorf("refused: %v", err)
	}
	if want != "" && (!errors.As(err, &mismatch) || mismatch.Message != want) {
		t.Errorf("got %v, want the text\n%s", err, want)
	}
}

func TestVerifier_CheckScope(t *testing.T) {
	t.Parallel()
	const skewed = "20150830T125101Z"
	for _, row := range []struct {
		name    string
		now     string // default: the time of the request
		service string
		change  func(r *sigv4.Request)
		want    string
	}{
		{name: "as an SDK sends it"},
		{name: "service of the request", service: "sts"},
		{name: "another service", service: "iam", want: "Credential should be scoped to correct service: 'iam'. "},
		{name: "a foreign service", change: func(r *sigv4.Request) { replace(r, "/sts/", "/s3/") },
			want: "Credential should be scoped to correct service: 'sts'. "},
		{name: "a foreign terminator", change: func(r *sigv4.Request) { replace(r, "aws4_request", "aws5_request") },
			want: "Credential should be scoped with a valid terminator: 'aws4_request'"},
		{name: "a region in upper case", change: func(r *sigv4.Request) { replace(r, "eu-west-1", "EU-WEST-1") },
			want: "Credential should be scoped to a valid region. "},
		{name: "no region", change: func(r *sigv4.Request) { replace(r, "eu-west-1", "") },
			want: "Credential should be scoped to a valid region. "},
		{name: "another region", change: func(r *sigv4.Request) { replace(r, "eu-west-1", "local") }},
		{name: "scope of another day", change: func(r *sigv4.Request) { replace(r, "/20150830/", "/20150829/") },
			want: "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '20150829' != " +
				"'20150830', from '20150830T123600Z'."},
		{name: "15 minutes old", now: "20150830T125100Z"},
		{name: "15 minutes early", now: "20150830T122100Z"},
		{name: "one second too old", now: skewed,
			want: "Signature expired: 20150830T123600Z is now earlier than 20150830T123601Z (20150830T125101Z - 15 min.)"},
		{name: "one second too early", now: "20150830T122059Z",
			want: "Signature not yet current: 20150830T123600Z is still later than 20150830T123559Z (20150830T122059Z + 15 min.)"},
		{name: "host not signed", change: func(r *sigv4.Request) { replace(r, ";host", "") },
			want: "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization."},
		{name: "authority in place of host", change: func(r *sigv4.Request) {
			replace(r, ";host", "")
			replace(r, "SignedHeaders=", "SignedHeaders=:authority;")
		}},
		{name: "date not signed", change: func(r *sigv4.Request) { replace(r, ";x-amz-date", "") },
			want: "'X-Amz-Date' must be a 'SignedHeader' in the AWS Authorization."},
		{name: "token not signed", change: func(r *sigv4.Request) { replace(r, ";x-amz-security-token", "") },
			want: "'X-Amz-Security-Token' must be a 'SignedHeader' in the AWS Authorization."},
		{name: "another X-Amz header not signed, whatever its letter case",
			change: func(r *sigv4.Request) { r.Header["x-aMz-foo"] = []string{"bar"} },
			want:   "'x-aMz-foo' must be a 'SignedHeader' in the AWS Authorization."},
		{name: "headers of the SDK that are not signed", change: func(r *sigv4.Request) {
			replace(r, "amz-sdk-invocation-id;amz-sdk-request;", "")
			r.Header["X-Amzn-Trace-Id"] = []string{"Root=1"}
			r.Header["X-Forwarded-For"] = []string{"::1"}
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			v, err := sigv4.New(sigv4.Config{Services: []string{"sts", "iam"}, Now: func() time.Time {
				if row.now == "" {
					return vectorTime
				}
				now, err := time.Parse("20060102T150405Z", row.now)
				if err != nil {
					t.Error(err)
				}
				return now.Add(999 * time.Millisecond)
			}})
			if err != nil {
				t.Fatal(err)
			}
			r := signed(t, session)
			if row.change != nil {
				row.change(r)
			}
			m, err := sigv4.Parse(r)
			if err != nil {
				t.Fatal(err)
			}
			wantMismatch(t, v.CheckScope(r, m, row.service), row.want)
			if row.want != "" {
				wantMismatch(t, v.Verify(r, m, vectorSecret), wrongSignature)
			}
		})
	}
}

func TestVerifier_ConfiguredRegions(t *testing.T) {
	t.Parallel()
	v, err := sigv4.New(sigv4.Config{
		Services: []string{"sts"}, Regions: []string{"eu-west-1"}, Window: 90 * time.Second, Now: func() time.Time { return vectorTime },
	})
	if err != nil {
		t.Fatal(err)
	}
	for region, want := range map[string]string{"eu-west-1": "", "us-east-1": "Credential should be scoped to a valid region. "} {
		r := post()
		if err := sigv4.Sign(r, alice, region, "sts", vectorTime); err != nil {
			t.Fatal(err)
		}
		wantMismatch(t, verify(v, r, vectorSecret), want)
	}
	r := post()
	if err := sigv4.Sign(r, alice, "eu-west-1", "sts", vectorTime.Add(-91*time.Second)); err != nil {
		t.Fatal(err)
	}
	wantMismatch(t, verify(v, r, vectorSecret),
		"Signature expired: 20150830T123429Z is now earlier than 20150830T123430Z (20150830T123600Z - 90 sec.)")
}

func TestNew_RefusesBadConfig(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]sigv4.Config{
		"no services":     {},
		"negative window": {Services: []string{"sts"}, Window: -1},
		"negative cache":  {Services: []string{"sts"}, CacheSize: -1},
	} {
		if v, err := sigv4.New(cfg); err == nil || v != nil {
			t.Errorf("%s: New = %v, %v", name, v, err)
		}
	}
}

func TestVerifier_Verify(t *testing.T) {
	t.Parallel()
	hash := func(s string) []string { h := sha256.Sum256([]byte(s)); return []string{hex.EncodeToString(h[:])} }
	for _, row := range []struct {
		name   string
		before func(r *sigv4.Request) // signing
		after  func(r *sigv4.Request)
		want   string
	}{
		{name: "as an SDK sends it"},
		{name: "payload hash", before: func(r *sigv4.Request) { r.Header["X-Amz-Content-Sha256"] = hash(form) }},
		{name: "payload hash of another body", before: func(r *sigv4.Request) { r.Header["X-Amz-Content-Sha256"] = hash("x") },
			want: wrongSignature},
		{name: "payload hash in upper case", before: func(r *sigv4.Request) {
			r.Header["X-Amz-Content-Sha256"] = []string{strings.ToUpper(hash(form)[0])}
		}, want: wrongSignature},
		{name: "unsigned payload", before: func(r *sigv4.Request) { r.Header["X-Amz-Content-Sha256"] = []string{"UNSIGNED-PAYLOAD"} },
			want: wrongSignature},
		{name: "streaming payload", before: func(r *sigv4.Request) {
			r.Header["X-Amz-Content-Sha256"] = []string{"STREAMING-AWS4-HMAC-SHA256-PAYLOAD"}
		}, want: wrongSignature},
		{name: "default port sent but not signed", before: func(r *sigv4.Request) { r.Host = "sts.example.com" },
			after: func(r *sigv4.Request) { r.Host = "sts.example.com:80" }},
		{name: "default port of TLS sent but not signed", before: func(r *sigv4.Request) { r.Host = "sts.example.com" },
			after: func(r *sigv4.Request) { r.Host, r.TLS = "sts.example.com:443", true }},
		{name: "default port sent and signed", before: func(r *sigv4.Request) { r.Host = "sts.example.com:80" }},
		{name: "port of TLS without TLS", before: func(r *sigv4.Request) { r.Host = "sts.example.com" },
			after: func(r *sigv4.Request) { r.Host = "sts.example.com:443" }, want: wrongSignature},
		{name: "another port sent than signed", before: func(r *sigv4.Request) { r.Host = "sts.example.com" },
			after: func(r *sigv4.Request) { r.Host = "sts.example.com:8080" }, want: wrongSignature},
		{name: "default port of an IPv6 address", before: func(r *sigv4.Request) { r.Host = "[::1]" },
			after: func(r *sigv4.Request) { r.Host = "[::1]:80" }},
		{name: "no path", after: func(r *sigv4.Request) { r.Path = "" }},
		{name: "relative path", after: func(r *sigv4.Request) { r.Path = "." }, want: wrongSignature},
		{name: "a signed header is gone", after: func(r *sigv4.Request) { delete(r.Header, "Content-Type") }, want: wrongSignature},
		{name: "a signed header has no values", after: func(r *sigv4.Request) { r.Header["Content-Type"] = nil }, want: wrongSignature},
		{name: "a signed header has one value more", after: func(r *sigv4.Request) {
			r.Header["Content-Type"] = append(r.Header["Content-Type"], "")
		}, want: wrongSignature},
		{name: "white space in a header", after: func(r *sigv4.Request) {
			r.Header["Amz-Sdk-Request"] = []string{" \tattempt=1; \t  max=3 "}
		}},
		{name: "an unsigned header", after: func(r *sigv4.Request) { r.Header["X-Forwarded-For"] = []string{"1"} }},
		{name: "the user agent, which is not signed", after: func(r *sigv4.Request) { r.Header["User-Agent"] = []string{"x"} }},
		{name: "undecodable query", after: func(r *sigv4.Request) { r.RawQuery = "%zz" }, want: wrongSignature},
		{name: "query added", after: func(r *sigv4.Request) { r.RawQuery = "a=b" }, want: wrongSignature},
		{name: "empty query parameters", after: func(r *sigv4.Request) { r.RawQuery = "&&" }},
		{name: "query in another order and encoding", before: func(r *sigv4.Request) { r.RawQuery = "b=%2b+&a=1" },
			after: func(r *sigv4.Request) { r.RawQuery = "%61=1&b=%2B%20" }},
		{name: "signature in upper case", after: func(r *sigv4.Request) {
			authorization(r, func(s string) string { return s[:len(s)-64] + strings.ToUpper(s[len(s)-64:]) })
		}, want: wrongSignature},
		{name: "signature cut short", after: func(r *sigv4.Request) {
			authorization(r, func(s string) string { return s[:len(s)-2] })
		}, want: wrongSignature},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			r := post()
			if row.before != nil {
				row.before(r)
			}
			if err := sigv4.Sign(r, alice, "eu-west-1", "sts", vectorTime); err != nil {
				t.Fatal(err)
			}
			if row.after != nil {
				row.after(r)
			}
			wantMismatch(t, verify(newVerifier(t), r, vectorSecret), row.want)
		})
	}
}

func TestVerifier_Presigned(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name   string
		change func(r *sigv4.Request)
		want   string
	}{
		{"with an extra signed header", func(*sigv4.Request) {}, ""},
		{"extra signed header changed", func(r *sigv4.Request) { r.Header["X-K8s-Aws-Id"] = []string{"other"} }, wrongSignature},
		{"extra signed header gone", func(r *sigv4.Request) { delete(r.Header, "X-K8s-Aws-Id") }, wrongSignature},
		{"another action", func(r *sigv4.Request) { replaceQuery(r, "GetCallerIdentity", "GetSessionToken") }, wrongSignature},
		{"a parameter more", func(r *sigv4.Request) { r.RawQuery += "&Policy=x" }, wrongSignature},
		{"another method", func(r *sigv4.Request) { r.Method = "POST" }, wrongSignature},
		{"a body", func(r *sigv4.Request) { r.Body = []byte(form) }, wrongSignature},
		{"another token", func(r *sigv4.Request) { replaceQuery(r, "to%2Fken", "no%2Fken") }, wrongSignature},
		{"no token", func(r *sigv4.Request) { replaceQuery(r, "&X-Amz-Security-Token=to%2Fken%2B%3D%3D", "") }, wrongSignature},
		{"another lifetime", func(r *sigv4.Request) { replaceQuery(r, "Expires=60", "Expires=61") }, wrongSignature},
		{"an unsigned payload", func(r *sigv4.Request) { r.Header["X-Amz-Content-Sha256"] = []string{"UNSIGNED-PAYLOAD"} },
			"'X-Amz-Content-Sha256' must be a 'SignedHeader' in the AWS Authorization."},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			r := presigned(t, session)
			row.change(r)
			wantMismatch(t, verify(newVerifier(t), r, vectorSecret), row.want)
		})
	}
	t.Run("unsigned payload named in the query", func(t *testing.T) {
		t.Parallel()
		for value, want := range map[string]string{
			"UNSIGNED-PAYLOAD": wrongSignature,
			"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855": "",
		} {
			r := &sigv4.Request{Method: "GET", RawQuery: form + "&X-Amz-Content-Sha256=" + value, Host: "h"}
			if err := sigv4.Presign(r, alice, "eu-west-1", "sts", vectorTime, 0); err != nil {
				t.Fatal(err)
			}
			wantMismatch(t, verify(newVerifier(t), r, vectorSecret), want)
		}
	})
}

func TestVerifier_EmptySecretNeverMatches(t *testing.T) {
	t.Parallel()
	r := post()
	nobody := sigv4.Credentials{AccessKeyID: "AKIDEXAMPLE"}
	if err := sigv4.Sign(r, nobody, "eu-west-1", "sts", vectorTime); err != nil {
		t.Fatal(err)
	}
	wantMismatch(t, verify(newVerifier(t), r, secret.String{}), wrongSignature)
}

func TestVerifier_WantsTheScopeChecked(t *testing.T) {
	t.Parallel()
	v, r := newVerifier(t), signed(t, alice)
	m, err := sigv4.Parse(r)
	if err != nil {
		t.Fatal(err)
	}
	wantMismatch(t, v.Verify(r, m, vectorSecret), wrongSignature)
	wantMismatch(t, v.CheckScope(r, m, "sts"), "")
	wantMismatch(t, v.Verify(r, m, vectorSecret), "")
	v.VerifyUnknown(r, m)
}

func TestVerifier_ChangedSecretDoesNotMatchTheCache(t *testing.T) {
	t.Parallel()
	v := newVerifier(t)
	r := signed(t, alice)
	wantMismatch(t, verify(v, r, vectorSecret), "")
	if v.CachedKeys() != 1 {
		t.Fatalf("%d keys are cached, want 1", v.CachedKeys())
	}
	changed := secret.New("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEZ")
	wantMismatch(t, verify(v, r, changed), wrongSignature)
	wantMismatch(t, verify(v, r, secret.New("short")), wrongSignature)
	again := post()
	c := sigv4.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: changed}
	if err := sigv4.Sign(again, c, "eu-west-1", "sts", vectorTime); err != nil {
		t.Fatal(err)
	}
	wantMismatch(t, verify(v, again, changed), "")
	wantMismatch(t, verify(v, r, vectorSecret), "")
}

func TestVerifier_CacheIsBoundedAndHoldsOnlyKeysThatVerified(t *testing.T) {
	t.Parallel()
	v, err := sigv4.New(sigv4.Config{Services: []string{"sts"}, CacheSize: 8, Now: func() time.Time { return vectorTime }})
	if err != nil {
		t.Fatal(err)
	}
	sign := func(i int, key secret.String) *sigv4.Request {
		r := post()
		c := sigv4.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: key}
		if err := sigv4.Sign(r, c, fmt.Sprintf("region-%d", i), "sts", vectorTime); err != nil {
			t.Error(err)
		}
		return r
	}
	for i := range 100 {
		wantMismatch(t, verify(v, sign(i, secret.New("guess")), vectorSecret), wrongSignature)
	}
	if v.CachedKeys() != 0 {
		t.Errorf("%d keys are cached after wrong signatures", v.CachedKeys())
	}
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			for i := range 50 {
				if err := verify(v, sign((i*7+worker)%20, vectorSecret), vectorSecret); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n := v.CachedKeys(); n == 0 || n > 8 {
		t.Errorf("%d keys are cached, want 1 to 8", n)
	}
}

func TestHMAC(t *testing.T) {
	t.Parallel()
	for size := range 200 {
		key, message := []byte(strings.Repeat("k", size)), []byte(strings.Repeat("m", 3*size))
		mac := hmac.New(sha256.New, key)
		mac.Write(message)
		if got := sigv4.HMAC(key, message); !hmac.Equal(mac.Sum(nil), got[:]) {
			t.Errorf("key of %d bytes: got %x, want %x", size, got, mac.Sum(nil))
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	for _, bench := range []struct {
		name string
		r    *sigv4.Request
	}{{"header", signed(b, alice)}, {"header with token", signed(b, session)}, {"presigned", presigned(b, session)}} {
		b.Run(bench.name, func(b *testing.B) {
			v := newVerifier(b)
			b.ReportAllocs()
			for b.Loop() {
				if err := verify(v, bench.r, vectorSecret); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("wrong signature", func(b *testing.B) {
		v, r := newVerifier(b), signed(b, alice)
		_ = verify(v, r, vectorSecret)
		r.Body = []byte("x")
		b.ReportAllocs()
		for b.Loop() {
			if verify(v, r, vectorSecret) == nil {
				b.Fatal("accepted")
			}
		}
	})
	b.Run("unknown key", func(b *testing.B) {
		v, r := newVerifier(b), signed(b, sigv4.Credentials{AccessKeyID: "AKIDNOBODY", SecretAccessKey: vectorSecret})
		b.ReportAllocs()
		for b.Loop() {
			if verify(v, r, vectorSecret) == nil {
				b.Fatal("accepted")
			}
		}
	})
}

// BenchmarkBareHMACChain is the least that a verification costs: hash the body and the canonical request, and MAC the
// string to sign; "derived" derives the signing key too. Compare BenchmarkVerify.
func BenchmarkBareHMACChain(b *testing.B) {
	r := signed(b, alice)
	m, err := sigv4.Parse(r)
	if err != nil {
		b.Fatal(err)
	}
	canonical, toSign := []byte(sigv4.CanonicalRequest(r, m)), []byte(sigv4.StringToSign(r, m))
	key := sigv4.SigningKey(vectorSecret.Reveal(), m.Date, m.Region, m.Service)
	mac := func(key, message []byte) []byte {
		h := hmac.New(sha256.New, key)
		h.Write(message)
		return h.Sum(nil)
	}
	b.Run("cached key", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_ = sha256.Sum256(r.Body)
			_ = sha256.Sum256(canonical)
			_ = mac(key[:], toSign)
		}
	})
	b.Run("derived", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_ = sha256.Sum256(r.Body)
			_ = sha256.Sum256(canonical)
			k := mac([]byte("AWS4"+vectorSecret.Reveal()), []byte(m.Date))
			k = mac(mac(mac(k, []byte(m.Region)), []byte(m.Service)), []byte("aws4_request"))
			_ = mac(k, toSign)
		}
	})
}
