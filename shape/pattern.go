package shape

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// pattern is a regular expression of the AWS API models: its text for messages, and a matcher of the whole value.
type pattern struct {
	text  string
	match func(string) bool
}

// patterns are the expressions of the API models of STS 2011-06-15 and IAM 2010-05-08, by the name that tags use. They are
// Java expressions that must match the whole value, in which \w and \d are ASCII.
var patterns = map[string]*pattern{
	"accessKeyId":    {`[\w]+`, word.some},
	"alias":          {`^[a-z0-9]([a-z0-9]|-(?!-)){1,61}[a-z0-9]$`, isAlias},
	"arn":            {`[\u0009\u000A\u000D\u0020-\u007E\u0085\u00A0-\uD7FF\uE000-\uFFFD\u10000-\u10FFFF]+`, xmlText.some},
	"code":           {`[\d]+`, digit.some},
	"description":    {`[\u0009\u000A\u000D\u0020-\u007E\u00A1-\u00FF]*`, description.all},
	"digits":         {`[\d]*`, digit.all},
	"entityName":     {`[\w+=,.@-]+`, name.some},
	"externalId":     {`[\w+=,.@:\/-]*`, external.all},
	"marker":         {`[\u0020-\u00FF]+`, latin.some},
	"mfaSerial":      {`[\w+=/:,.@-]+`, external.some},
	"name":           {`[\w+=,.@-]*`, name.all},
	"password":       {`[\u0009\u000A\u000D\u0020-\u00FF]+`, document.some},
	"path":           {`(\u002F)|(\u002F[\u0021-\u007E]+\u002F)`, isPath},
	"pathPrefix":     {`\u002F[\u0021-\u007F]*`, isPathPrefix},
	"policyDocument": {`[\u0009\u000A\u000D\u0020-\u00FF]+`, document.some},
	"policyName":     {`[\w+=,.@-]+`, name.some},
	"policyPath":     {`((/[A-Za-z0-9\.,\+@=_-]+)*)/`, isPolicyPath},
	"privateKeyId":   {`[A-Z0-9]+`, upper.some},
	"samlName":       {`[\w._-]+`, samlName.some},
	"serial":         {`[\w+=/:,.@-]*`, external.all},
	"tag":            {`[\p{L}\p{Z}\p{N}_.:/=+\-@]*`, tag.all},
	"tagKey":         {`[\p{L}\p{Z}\p{N}_.:/=+\-@]+`, tag.some},
	"versionId":      {`v[1-9][0-9]*(\.[A-Za-z0-9-]*)?`, isVersionID},
	"word":           {`[\w]*`, word.all},
}

const (
	digits  = "0123456789"
	uppers  = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	lowers  = "abcdefghijklmnopqrstuvwxyz"
	words   = digits + uppers + lowers + "_"
	blanks  = "\t\n\r "
	latin1  = unicode.MaxLatin1
	highest = 0x7E // last printable ASCII character
)

var (
	digit       = newClass(digits, nil)
	upper       = newClass(uppers+digits, nil)
	word        = newClass(words, nil)
	aliasPart   = newClass(lowers+digits+"-", nil)
	name        = newClass(words+"+=,.@-", nil)
	samlName    = newClass(words+".-", nil)
	external    = newClass(words+"+=,.@:/-", nil)
	labelPart   = newClass(digits+uppers+lowers+"-", nil)
	policyPath  = newClass(words+".,+@=-/", nil)
	tag         = newClass(words+" .:/=+-@", func(r rune) bool { return unicode.In(r, unicode.L, unicode.Z, unicode.N) })
	latin       = newClass(between(' ', 0x7F), func(r rune) bool { return r <= latin1 })
	document    = newClass(blanks+between('!', 0x7F), func(r rune) bool { return r <= latin1 })
	description = newClass(blanks+between('!', highest), func(r rune) bool { return r >= 0xA1 && r <= latin1 })

	// Java reads \u10000 in the ARN expression as \u1000 and 0; what it means is the characters that XML can carry.
	xmlText = newClass(blanks+between('!', highest), func(r rune) bool {
		return r == 0x85 || r >= 0xA0 && r != 0xFFFE && r != 0xFFFF
	})
)

// class is a set of characters.
type class struct {
	ascii  [utf8.RuneSelf]bool
	beyond func(rune) bool // nil: no other characters
}

func newClass(ascii string, beyond func(rune) bool) *class {
	c := &class{beyond: beyond}
	for i := range len(ascii) {
		c.ascii[ascii[i]] = true
	}
	return c
}

func between(first, last byte) string {
	var b strings.Builder
	for c := first; c <= last; c++ {
		b.WriteByte(c)
	}
	return b.String()
}

// some reports whether s is one or more characters of the class.
func (c *class) some(s string) bool { return s != "" && c.all(s) }

// all reports whether s consists of characters of the class. Bytes that are not UTF-8 belong to no class.
func (c *class) all(s string) bool {
	for i := 0; i < len(s); {
		if b := s[i]; b < utf8.RuneSelf {
			if !c.ascii[b] {
				return false
			}
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if c.beyond == nil || r == utf8.RuneError && size == 1 || !c.beyond(r) {
			return false
		}
		i += size
	}
	return true
}

func isWordByte(c byte) bool { return c < utf8.RuneSelf && word.ascii[c] }

func isAlias(s string) bool {
	if len(s) < 3 || len(s) > 63 || s[0] == '-' || s[len(s)-1] == '-' || strings.Contains(s, "--") {
		return false
	}
	return aliasPart.all(s)
}

func isPath(s string) bool {
	if s == "/" {
		return true
	}
	return len(s) >= 3 && s[0] == '/' && s[len(s)-1] == '/' && inRange(s, '!', highest)
}

func isPathPrefix(s string) bool { return s != "" && s[0] == '/' && inRange(s, '!', 0x7F) }

func inRange(s string, first, last byte) bool {
	for _, c := range []byte(s) {
		if c < first || c > last {
			return false
		}
	}
	return true
}

// isPolicyPath accepts "/" and parts between slashes of which none is empty.
func isPolicyPath(s string) bool {
	if s == "" || s[0] != '/' || s[len(s)-1] != '/' || strings.Contains(s, "//") {
		return false
	}
	return policyPath.all(s)
}

// isVersionID accepts v1, v12, v1.label, v1. (the label may be empty).
func isVersionID(s string) bool {
	number, label, _ := strings.Cut(s, ".")
	if len(number) < 2 || number[0] != 'v' || number[1] == '0' || !digit.all(number[1:]) {
		return false
	}
	return labelPart.all(label)
}
