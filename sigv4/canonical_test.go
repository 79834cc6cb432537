package sigv4_test

import (
	"strings"
	"testing"

	"github.com/stint-sts/stint/sigv4"
)

func TestCanonicalPath(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"":                  "/",
		"/":                 "/",
		"//":                "/",
		"/a":                "/a",
		"/a/":               "/a/",
		"//a//b//":          "/a/b/",
		"/./a/./":           "/a/",
		"/a/b/..":           "/a/",
		"/a/b/../c":         "/a/c",
		"/..":               "/",
		"/../../a":          "/a",
		"/a/...":            "/a/...",
		"/a%20b":            "/a%2520b",
		"/%2e%2e/a":         "/%252e%252e/a",
		"/a b$c":            "/a%20b%24c",
		"/stint.v1.STS/Get": "/stint.v1.STS/Get",
	} {
		if got := sigv4.CanonicalPath(path); got != want {
			t.Errorf("path %q is %q, want %q", path, got, want)
		}
	}
}

func TestCanonicalQuery(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		"":                            "",
		"a":                           "a=",
		"a=":                          "a=",
		"=":                           "=",
		"&a=1&&b=2&":                  "a=1&b=2",
		"b=2&a=1":                     "a=1&b=2",
		"Param-3=V&Param=V":           "Param=V&Param-3=V",
		"a=2&a=1":                     "a=1&a=2",
		"a=b=c":                       "a=b%3Dc",
		"a=+%20%2b":                   "a=%20%20%2B",
		"a=%e1%88%b4":                 "a=%E1%88%B4",
		"a;b=1":                       "a%3Bb=1",
		"~-._=%7E":                    "~-._=~",
		"X-Amz-Signature=1&a=1":       "a=1",
		"X%2DAmz-Signature=1&a=1":     "a=1",
		"X-Amz-Signature2=1&x-amz-=1": "X-Amz-Signature2=1&x-amz-=1",
	} {
		if got, ok := sigv4.CanonicalQuery(raw); got != want || !ok {
			t.Errorf("query %q is %q, %v, want %q", raw, got, ok, want)
		}
	}
	for _, raw := range []string{"%", "a=%4", "a=%zz", "%=1", "a=1&b=%g0"} {
		if got, ok := sigv4.CanonicalQuery(raw); ok {
			t.Errorf("query %q is accepted as %q", raw, got)
		}
	}
}

func FuzzCanonical(f *testing.F) {
	for _, s := range []string{
		"", "/", "/a/../b//c/./", "a=1&b=%20+&a", "Param-3=V&Param=V", " a  b\t\"c   d\"\r\n e ", "%", "/..", "é=ü",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		query, ok := sigv4.CanonicalQuery(s)
		if ok {
			if again, ok := sigv4.CanonicalQuery(query); !ok || again != query {
				t.Errorf("query %q becomes %q, then %q", s, query, again)
			}
		}
		path := sigv4.CanonicalPath(s)
		if dots := path + "/"; !strings.HasPrefix(path, "/") || strings.Contains(path, "//") ||
			strings.Contains(dots, "/../") || strings.Contains(dots, "/./") {
			t.Errorf("path %q becomes %q", s, path)
		}
		if !strings.Contains(path, "%") {
			if again := sigv4.CanonicalPath(path); again != path {
				t.Errorf("path %q becomes %q, then %q", s, path, again)
			}
		}
		value := sigv4.CanonicalHeaderValue(s)
		if again := sigv4.CanonicalHeaderValue(value); again != value {
			t.Errorf("header value %q becomes %q, then %q", s, value, again)
		}
		for _, part := range []string{query, path, value} {
			if strings.ContainsAny(part, "\n\r") {
				t.Errorf("%q lets a line break through: %q", s, part)
			}
		}
	})
}
