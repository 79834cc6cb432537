package shape_test

import (
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stint-sts/stint/shape"
)

// expressions compiles the Java expressions of the table for Go, where \uXXXX is \x{XXXX}. What Go cannot say, or Java says
// otherwise than it means, is written out.
func expressions(t testing.TB) map[string]*regexp.Regexp {
	written := map[string]string{
		"alias": `(?:[a-z0-9]-?){2,}[a-z0-9]|[a-z0-9]-[a-z0-9]|[a-z0-9]{3}`, // without the length, checked by the caller
		"arn":   `[\x{9}\x{A}\x{D}\x{20}-\x{7E}\x{85}\x{A0}-\x{D7FF}\x{E000}-\x{FFFD}\x{10000}-\x{10FFFF}]+`,
	}
	unicodeEscape := regexp.MustCompile(`\\u([0-9A-F]{4})`)
	compiled := make(map[string]*regexp.Regexp)
	for name, text := range shape.Patterns() {
		expression, ok := written[name]
		if !ok {
			expression = unicodeEscape.ReplaceAllString(text, `\x{$1}`)
		}
		re, err := regexp.Compile(`\A(?:` + expression + `)\z`)
		if err != nil {
			t.Fatalf("pattern %s: %v", name, err)
		}
		compiled[name] = re
	}
	if len(compiled) == 0 {
		t.Fatal("no patterns")
	}
	return compiled
}

func checkPatterns(t testing.TB, compiled map[string]*regexp.Regexp, s string) {
	t.Helper()
	for name, re := range compiled {
		want := re.MatchString(s) && utf8.ValidString(s)
		if name == "alias" {
			want = want && len(s) <= 63
		}
		if got := shape.MatchPattern(name, s); got != want {
			t.Errorf("pattern %s on %q: %v, the expression says %v", name, s, got, want)
		}
	}
}

var samples = []string{
	"", "a", "ab", "abc", "a_b", "A0", "user.name@example.com", "a=b,c+d-e", "a:b", "a/b", "a\\b", "/", "//", "///", "/a/", "/a//b/", "/a/b/", "a/", "/a",
	"/a b/", "/\x7f/", "/{}/", "123456", "-1", "v1", "v0", "v10", "v1.x-y", "v1.", "v1.a_b", "v", "V1", "v1.a.b", "my-alias", "my--alias", "-ab", "ab-",
	"a-b", "aB3", strings.Repeat("a", 63), strings.Repeat("a", 64), "name\n", "\n", "\t\r\n", "\x00", "\x0b", "\x7f", "\u0080", "\u0085", "\u00a0",
	"\u00a1", "\u00ff", "\u0100", "\u2028", "\u3000", "\u0660", "日本", "é", "\ud7ff", "\ue000", "\ufffd", "\ufffe", "\uffff", "\U00010000", "\U0010ffff",
	"\xff", "a\xff", "\xc3", "{\"Version\":\"2012-10-17\"}", "arn:aws:iam::123456789012:mfa/alice", "a;b", "a\u0301", "²", "Ⅷ", "_-.", "a b", "~", " ",
}

func TestPatterns_AgreeWithTheirExpressions(t *testing.T) {
	t.Parallel()
	compiled := expressions(t)
	for _, s := range samples {
		checkPatterns(t, compiled, s)
	}
	for r := rune(0); r < 0x300; r++ {
		checkPatterns(t, compiled, string(r))
	}
}

func FuzzPatterns(f *testing.F) {
	for _, s := range samples {
		f.Add(s)
	}
	compiled := expressions(f)
	f.Fuzz(func(t *testing.T, s string) { checkPatterns(t, compiled, s) })
}
