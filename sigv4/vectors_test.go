package sigv4_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stint-sts/stint/secret"
	"github.com/stint-sts/stint/sigv4"
)

var (
	vectorTime   = time.Date(2015, 8, 30, 12, 36, 0, 0, time.UTC)
	vectorSecret = secret.New("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
)

// vector is one signed request of a suite with what a verifier must compute on the way.
type vector struct {
	name, unsigned, signed, canonical, stringToSign string
	token                                           string
	expires                                         time.Duration
	presigned, tokenUnsigned                        bool
}

// unsupported says which cases are rules of other services, and why.
func unsupported(name string) (reason string, skip bool) {
	switch {
	case name == "get-space-unnormalized":
		return "", false // there is nothing to normalise, so both rules agree
	case strings.HasSuffix(name, "-unnormalized"):
		return "S3 alone leaves dot segments and repeated slashes in the path", true
	case name == "post-sts-header-after":
		return "STS and IAM want the session token signed", true
	}
	return "", false
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// vectors returns the cases of both suites, without the unsupported ones unless all is set.
func vectors(t *testing.T, all bool) []vector {
	t.Helper()
	var found []vector
	contexts, err := filepath.Glob("testdata/vectors/crt/*/context.json")
	if err != nil || len(contexts) != 38 {
		t.Fatalf("found %d cases of the crt suite, want 38 (%v)", len(contexts), err)
	}
	for _, path := range contexts {
		dir := filepath.Dir(path)
		var c struct {
			Credentials struct{ Token string }
			Expires     int  `json:"expiration_in_seconds"`
			Omit        bool `json:"omit_session_token"`
		}
		if err := json.Unmarshal([]byte(read(t, path)), &c); err != nil {
			t.Fatal(err)
		}
		for _, form := range []string{"header", "query"} {
			found = append(found, vector{
				name:         "crt/" + filepath.Base(dir) + "/" + form,
				unsigned:     read(t, dir+"/request.txt"),
				signed:       read(t, dir+"/"+form+"-signed-request.txt"),
				canonical:    read(t, dir+"/"+form+"-canonical-request.txt"),
				stringToSign: read(t, dir+"/"+form+"-string-to-sign.txt"),
				token:        c.Credentials.Token, expires: time.Duration(c.Expires) * time.Second,
				presigned: form == "query", tokenUnsigned: c.Omit,
			})
		}
	}
	legacy := 0
	for _, pattern := range []string{"testdata/vectors/legacy/*/*.sreq", "testdata/vectors/legacy/*/*/*.sreq"} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			base := strings.TrimSuffix(path, ".sreq")
			found = append(found, vector{
				name:         "legacy/" + filepath.Base(base),
				unsigned:     read(t, base+".req"),
				signed:       withAuthorization(t, read(t, path), read(t, base+".authz")),
				canonical:    read(t, base+".creq"),
				stringToSign: read(t, base+".sts"),
			})
			legacy++
		}
	}
	if legacy != 34 {
		t.Fatalf("found %d cases of the legacy suite, want 34", legacy)
	}
	if all {
		return found
	}
	var supported []vector
	for _, v := range found {
		if _, skip := unsupported(strings.Split(v.name, "/")[1]); !skip {
			supported = append(supported, v)
		}
	}
	return supported
}

// withAuthorization puts the recorded Authorization into a signed request: in get-vanilla-with-session-token of the legacy
// suite the signed request holds the signature of another case.
func withAuthorization(t *testing.T, signed, authorization string) string {
	t.Helper()
	const name = "Authorization: "
	start := strings.Index(signed, name)
	if start < 0 {
		t.Fatal("no Authorization header")
	}
	start += len(name)
	end := start + strings.Index(signed[start:]+"\n", "\n")
	return signed[:start] + authorization + signed[end:]
}

// parseRaw reads a request as the suites write it: bare LF, folded headers, raw spaces and non-ASCII bytes in the target.
func parseRaw(t *testing.T, raw string) *sigv4.Request {
	t.Helper()
	raw = strings.ReplaceAll(raw, "\r\n", "\n")
	head, body, _ := strings.Cut(raw, "\n\n")
	lines := strings.Split(strings.TrimRight(head, "\n"), "\n")
	method, target, ok := strings.Cut(strings.TrimSuffix(lines[0], " HTTP/1.1"), " ")
	if !ok {
		t.Fatalf("no target in %q", lines[0])
	}
	r := &sigv4.Request{Method: method, Header: map[string][]string{}, Body: []byte(body)}
	r.Path, r.RawQuery, _ = strings.Cut(target, "?")
	var key string
	for _, line := range lines[1:] {
		if strings.HasPrefix(line, " ") {
			values := r.Header[key]
			values[len(values)-1] += "\n" + line
			continue
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			t.Fatalf("no header in %q", line)
		}
		key = textproto.CanonicalMIMEHeaderKey(name)
		r.Header[key] = append(r.Header[key], strings.Trim(value, " \t"))
	}
	if host := r.Header["Host"]; len(host) > 0 {
		r.Host = strings.TrimSpace(host[0])
		delete(r.Header, "Host")
	}
	return r
}

func newVerifier(t testing.TB) *sigv4.Verifier {
	t.Helper()
	v, err := sigv4.New(sigv4.Config{
		Services: []string{"sts", "iam", "service"},
		Now:      func() time.Time { return vectorTime },
	})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

var errUnknownKey = errors.New("unknown access key id")

// verify runs all the checks in the order of a server.
func verify(v *sigv4.Verifier, r *sigv4.Request, key secret.String) error {
	m, err := sigv4.Parse(r)
	if err != nil {
		return err
	}
	if err := v.CheckScope(r, m, ""); err != nil {
		return err
	}
	if m.AccessKeyID != "AKIDEXAMPLE" {
		v.VerifyUnknown(r, m)
		return errUnknownKey
	}
	return v.Verify(r, m, key)
}

func TestSigV4Suite(t *testing.T) {
	t.Parallel()
	for _, vec := range vectors(t, true) {
		t.Run(vec.name, func(t *testing.T) {
			t.Parallel()
			if reason, skip := unsupported(strings.Split(vec.name, "/")[1]); skip {
				if err := verify(newVerifier(t), parseRaw(t, vec.signed), vectorSecret); err == nil {
					t.Errorf("accepted, though: %s", reason)
				}
				t.Skip(reason)
			}
			r := parseRaw(t, vec.signed)
			m, err := sigv4.Parse(r)
			if err != nil {
				t.Fatal(err)
			}
			if m.AccessKeyID != "AKIDEXAMPLE" || m.Presigned != vec.presigned || !m.Time.Equal(vectorTime) {
				t.Errorf("material is %s, presigned %v, at %v", m.AccessKeyID, m.Presigned, m.Time)
			}
			if vec.token != "" && m.SessionToken.Reveal() != vec.token {
				t.Errorf("session token is %q, want %q", m.SessionToken.Reveal(), vec.token)
			}
			if d := cmp.Diff(vec.canonical, sigv4.CanonicalRequest(r, m)); d != "" {
				t.Errorf("canonical request (-want +got):\n%s", d)
			}
			if d := cmp.Diff(vec.stringToSign, sigv4.StringToSign(r, m)); d != "" {
				t.Errorf("string to sign (-want +got):\n%s", d)
			}
			v := newVerifier(t)
			for _, cache := range []string{"cold", "warm"} {
				if err := verify(v, parseRaw(t, vec.signed), vectorSecret); err != nil {
					t.Errorf("with a %s cache: %v", cache, err)
				}
			}
			if err := verify(v, parseRaw(t, vec.signed), secret.New("another")); err == nil {
				t.Error("accepted under another secret")
			}
		})
	}
}

// TestSigV4Suite_OneByteChanged changes every byte that the signature covers, one at a time.
func TestSigV4Suite_OneByteChanged(t *testing.T) {
	t.Parallel()
	for _, vec := range vectors(t, false) {
		t.Run(vec.name, func(t *testing.T) {
			t.Parallel()
			v := newVerifier(t)
			if err := verify(v, parseRaw(t, vec.signed), vectorSecret); err != nil {
				t.Fatalf("the unchanged request: %v", err)
			}
			original := parseRaw(t, vec.signed)
			tried := 0
			each := func(part, text string, set func(r *sigv4.Request, text string)) {
				for i := range len(text) {
					changed := []byte(text)
					if strings.IndexByte(" \t\n./", changed[i]) >= 0 {
						changed[i] = 'X' // flipped, these could still mean the same
					} else {
						changed[i] ^= 1
					}
					r := parseRaw(t, vec.signed)
					set(r, string(changed))
					tried++
					if err := verify(v, r, vectorSecret); err == nil {
						t.Errorf("accepted with %s changed from %q to %q", part, text, changed)
					}
				}
			}
			each("method", original.Method, func(r *sigv4.Request, s string) { r.Method = s })
			each("host", original.Host, func(r *sigv4.Request, s string) { r.Host = s })
			each("query", original.RawQuery, func(r *sigv4.Request, s string) { r.RawQuery = s })
			each("body", string(original.Body), func(r *sigv4.Request, s string) { r.Body = []byte(s) })
			if strings.Contains(original.Path, "..") {
				// A segment that ".." removes is not signed; the others are.
				r := parseRaw(t, vec.signed)
				if r.Path += "x"; verify(v, r, vectorSecret) == nil {
					t.Error("accepted with a longer path")
				}
			} else {
				each("path", original.Path, func(r *sigv4.Request, s string) { r.Path = s })
			}
			for name, values := range original.Header {
				for i, value := range values {
					if name == "Authorization" {
						// Spaces between the parts are free; all else counts.
						value = strings.ReplaceAll(value, ", ", ",")
					}
					each(name, strings.TrimSpace(value), func(r *sigv4.Request, s string) { r.Header[name][i] = s })
				}
				if len(values) > 1 {
					r := parseRaw(t, vec.signed)
					r.Header[name][0], r.Header[name][len(values)-1] = values[len(values)-1], values[0]
					if !cmp.Equal(r.Header[name], values) && verify(v, r, vectorSecret) == nil {
						t.Errorf("accepted with the values of %s in another order", name)
					}
				}
			}
			r := parseRaw(t, vec.signed)
			if r.Body = append(r.Body, 'x'); verify(v, r, vectorSecret) == nil {
				t.Error("accepted with a longer body")
			}
			if tried < 100 {
				t.Errorf("only %d changes were tried", tried)
			}
		})
	}
}

// TestSign_Suite signs the suites' requests anew: the signature is the recorded one.
func TestSign_Suite(t *testing.T) {
	t.Parallel()
	for _, vec := range vectors(t, false) {
		t.Run(vec.name, func(t *testing.T) {
			t.Parallel()
			signed := parseRaw(t, vec.signed)
			r := parseRaw(t, vec.unsigned)
			if hash, ok := signed.Header["X-Amz-Content-Sha256"]; ok {
				r.Header["X-Amz-Content-Sha256"] = hash
			}
			token := vec.token
			if values := signed.Header["X-Amz-Security-Token"]; len(values) > 0 {
				token = values[0]
			}
			c := sigv4.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: vectorSecret, SessionToken: secret.New(token)}
			if vec.presigned {
				if err := sigv4.Presign(r, c, "us-east-1", "service", vectorTime, vec.expires); err != nil {
					t.Fatal(err)
				}
			} else if err := sigv4.Sign(r, c, "us-east-1", "service", vectorTime); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(signed.Header["Authorization"], r.Header["Authorization"]); d != "" {
				t.Errorf("Authorization (-want +got):\n%s", d)
			}
			want, _ := sigv4.CanonicalQuery(signed.RawQuery)
			got, _ := sigv4.CanonicalQuery(r.RawQuery)
			if want != got || vec.presigned && r.RawQuery[len(r.RawQuery)-64:] != signed.RawQuery[len(signed.RawQuery)-64:] {
				t.Errorf("query is\n%s, want\n%s", r.RawQuery, signed.RawQuery)
			}
		})
	}
}

// notHTTP says which cases Go's server refuses before a handler sees them.
func notHTTP(signed string) (reason string, refused bool) {
	head, _, _ := strings.Cut(signed, "\n\n")
	line, headers, _ := strings.Cut(head, "\n")
	switch {
	case strings.Count(line, " ") != 2:
		return "a raw space in the target", true
	case strings.Contains(headers, "\n "):
		return "a folded header", true
	}
	return "", false
}

// TestSigV4Suite_ThroughHTTP sends the suites' requests over a connection to Go's own server.
func TestSigV4Suite_ThroughHTTP(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(handler(newVerifier(t), vectorSecret))
	t.Cleanup(server.Close)
	for _, vec := range vectors(t, false) {
		t.Run(vec.name, func(t *testing.T) {
			if reason, refused := notHTTP(vec.signed); refused {
				t.Skip(reason)
			}
			head, body, _ := strings.Cut(strings.ReplaceAll(vec.signed, "\r\n", "\n"), "\n\n")
			head = strings.ReplaceAll(strings.TrimRight(head, "\n"), "\n", "\r\n")
			if !strings.Contains(strings.ToLower(head), "content-length:") {
				head += fmt.Sprintf("\r\nContent-Length: %d", len(body))
			}
			conn, err := net.Dial("tcp", server.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err := io.WriteString(conn, head+"\r\nConnection: close\r\n\r\n"+body); err != nil {
				t.Fatal(err)
			}
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if text, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK {
				t.Errorf("status %d: %s", resp.StatusCode, text)
			}
		})
	}
}

// request takes what a signature covers out of an HTTP request.
func request(r *http.Request) (*sigv4.Request, error) {
	body, err := io.ReadAll(r.Body)
	path, _, _ := strings.Cut(r.RequestURI, "?")
	return &sigv4.Request{
		Method: r.Method, Path: path, RawQuery: r.URL.RawQuery, Host: r.Host, TLS: r.TLS != nil,
		Header: r.Header, Body: body,
	}, err
}

func handler(v *sigv4.Verifier, key secret.String) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, hr *http.Request) {
		r, err := request(hr)
		if err == nil {
			err = verify(v, r, key)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusForbidden)
		}
	})
}
