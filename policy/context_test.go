package policy_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stint-sts/stint/policy"
)

func TestContext(t *testing.T) {
	t.Parallel()
	base := new(policy.Context)
	base.Set("aws:PrincipalTag/Team", "red")
	base.Set("aws:username", "alice")
	base.SetList("aws:TagKeys", []string{"hidden"})
	c := policy.NewContext(base)
	c.Set("aws:SourceIp", "10.0.0.1")
	c.SetList("AWS:tagkeys", []string{})
	c.Set("aws:sourceip", "10.0.0.2")

	lookup := func(key string) string {
		values, multi, present := c.Lookup(key)
		return fmt.Sprint(values, multi, present)
	}
	for key, want := range map[string]string{
		"AWS:PRINCIPALTAG/TEAM": "[red] false true",
		"aws:userName":          "[alice] false true",
		"aws:TagKeys":           "[] true true",
		"aws:SourceIp":          "[10.0.0.2] false true",
		"aws:SourceVpc":         "[] false false",
	} {
		if got := lookup(key); got != want {
			t.Errorf("%s: got %s, want %s", key, got, want)
		}
	}
	want := map[string]string{"aws:SourceIp": "10.0.0.2", "AWS:tagkeys": "multi:", "aws:PrincipalTag/Team": "red", "aws:username": "alice"}
	if diff := cmp.Diff(want, dump(c)); diff != "" {
		t.Error(diff)
	}

	c.Reset(nil)
	if got := lookup("aws:SourceIp") + lookup("aws:username"); got != "[] false false[] false false" {
		t.Errorf("after Reset: %s", got)
	}
	var none *policy.Context
	if _, _, present := none.Lookup("k"); present {
		t.Error("a nil context holds a key")
	}
}

func dump(c *policy.Context) map[string]string {
	out := make(map[string]string)
	c.All(func(key string, values []string, multi bool) bool {
		out[key] = strings.Join(values, ",")
		if multi {
			out[key] = "multi:" + out[key]
		}
		return true
	})
	return out
}

func TestContext_AllStops(t *testing.T) {
	t.Parallel()
	c := new(policy.Context)
	c.Set("a", "1")
	c.Set("b", "2")
	calls := 0
	c.All(func(string, []string, bool) bool { calls++; return false })
	if calls != 1 {
		t.Errorf("%d calls", calls)
	}
}

func TestGlob(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern, text string
		want          bool
	}{
		{"", "", true}, {"", "a", false}, {"*", "", true}, {"**", "abc", true}, {"?", "", false}, {"?", "é", true}, {"??", "é", false},
		{"a*b*c", "aXbYc", true}, {"a*b*c", "acb", false}, {"*ab*ab", "xab", false}, {"*ab*ab", "ababab", true}, {"a?c*", "abc", true},
		{"*?", "", false}, {"*?b*", "ab", true}, {"*?b*", "bb", true}, {"*??", "é", false}, {"a*a", "a", false}, {"*.*", "a.b.c", true},
		{"${*}", "${x}", true}, {"A", "a", false},
	} {
		if got := policy.Glob(c.pattern, c.text); got != c.want {
			t.Errorf("Glob(%q, %q) = %v", c.pattern, c.text, got)
		}
	}
}

func FuzzGlob(f *testing.F) {
	f.Add("a*?b*", "aXéb")
	f.Add("*a?a*a?b", "aaaaaaaaab")
	f.Fuzz(func(t *testing.T, pattern, text string) {
		if len(pattern) > 12 || len(text) > 24 {
			return // the reference is exponential
		}
		pattern, text = strings.ToValidUTF8(pattern, "x"), strings.ToValidUTF8(text, "x")
		want := refGlob(refElements(pattern, nil, false, true), []rune(text))
		if got := policy.Glob(pattern, text); got != want {
			t.Errorf("Glob(%q, %q) = %v, reference says %v", pattern, text, got, want)
		}
	})
}
