package awsquery

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/stint-sts/stint/awserr"
)

const (
	maxParameters = 2000 // the largest honest request, a policy simulation, has some hundreds
	maxNameLength = 256  // bytes of a decoded name; the longest of the two models is below 100
	formMediaType = "application/x-www-form-urlencoded"
)

// Form is the parameters of one request. It is immutable and safe for concurrent use.
type Form struct {
	params []param // sorted by name, no name twice
	size   int     // bytes of the memory that names and values share
}

type param struct{ name, value string }

// ParseForm reads the parameters of a request from its query string and its body and merges them. It answers errors of
// kind MalformedQueryString or MalformedInput for what is not a form, for a name given twice anywhere (AWS takes the first;
// a caller gains nothing honest from two), and beyond 2,000 parameters or 256 bytes of a name. Texts must be UTF-8
// without NUL. Parameters of a presigned URL (X-Amz-*) are left out: they belong to authentication. The caller bounds the
// size of rawQuery and body; neither is kept.
func ParseForm(method, contentType, rawQuery string, body []byte) (*Form, error) {
	if err := checkEnvelope(method, contentType, body); err != nil {
		return nil, err
	}
	text := string(body)
	pairs := strings.Count(rawQuery, "&") + strings.Count(text, "&") + 2
	if pairs > maxParameters {
		return nil, awserr.Newf(awserr.MalformedInput, "The request has more than %d parameters.", maxParameters)
	}
	r := reader{params: make([]param, 0, pairs)}
	r.decoded.Grow(len(rawQuery) + len(text))
	if !r.read(rawQuery) {
		return nil, awserr.New(awserr.MalformedQueryString, "The query string contains a syntax error.")
	}
	if !r.read(text) {
		return nil, awserr.New(awserr.MalformedInput, "The body is not a valid form.")
	}
	return r.form(len(rawQuery) + len(text))
}

func checkEnvelope(method, contentType string, body []byte) error {
	switch {
	case method != "GET" && method != "POST":
		return awserr.New(awserr.MalformedInput, "The request method must be GET or POST.")
	case len(body) == 0:
		return nil
	case method == "GET":
		return awserr.New(awserr.MalformedInput, "A GET request must not have a body.")
	case contentType != "" && !isMediaType(contentType, formMediaType):
		return awserr.New(awserr.MalformedInput, "The content type of the request must be "+formMediaType+".")
	}
	return nil
}

// Action returns the name of the operation, "" when absent.
func (f *Form) Action() string { return f.get("Action") }

// Version returns the API version, "" when absent.
func (f *Form) Version() string { return f.get("Version") }

func (f *Form) get(name string) string {
	if i, ok := f.find(0, len(f.params), 0, name); ok {
		return f.params[i].value
	}
	return ""
}

// find returns the place in params[lo:hi] of the first name that is not below key, and whether it is key. Names are compared
// behind their first skip bytes, which all names in the range share.
func (f *Form) find(lo, hi, skip int, key string) (int, bool) {
	end := hi
	for lo < hi {
		mid := int(uint(lo+hi) / 2)
		if f.params[mid].name[skip:] < key {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo, lo < end && f.params[lo].name[skip:] == key
}

// reader collects parameters.
type reader struct {
	params  []param
	decoded strings.Builder // of all names and values that were escaped; grown once, so that they stay where they are
}

// read adds the pairs of text and reports whether all are well formed.
func (r *reader) read(text string) bool {
	for text != "" {
		var pair string
		pair, text, _ = strings.Cut(text, "&")
		if pair == "" {
			continue
		}
		rawName, rawValue, _ := strings.Cut(pair, "=")
		name, ok := r.unescape(rawName)
		if !ok || len(name) > maxNameLength {
			return false
		}
		if strings.HasPrefix(name, "X-Amz-") {
			continue
		}
		value, ok := r.unescape(rawValue)
		if !ok {
			return false
		}
		r.params = append(r.params, param{name, value})
	}
	return true
}

// form sorts what was read and refuses duplicates.
func (r *reader) form(size int) (*Form, error) {
	slices.SortFunc(r.params, func(a, b param) int { return strings.Compare(a.name, b.name) })
	for i := 1; i < len(r.params); i++ {
		if r.params[i].name == r.params[i-1].name {
			return nil, awserr.New(awserr.MalformedInput, "The request gives a parameter more than once"+quoted(r.params[i].name)+".")
		}
	}
	return &Form{params: r.params, size: size}, nil
}

// quoted names a parameter in a message, unless the name holds anything that no parameter of AWS holds.
func quoted(name string) string {
	for _, c := range []byte(name) {
		if !isNameByte(c) {
			return ""
		}
	}
	return ": " + name
}

func isNameByte(c byte) bool {
	return c == '.' || c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
}

// unescape decodes percent-encoding and + (WHATWG URL, application/x-www-form-urlencoded). It reports false for a broken
// escape, bytes that are not UTF-8, and NUL, which neither a store nor XML can carry.
func (r *reader) unescape(s string) (string, bool) {
	first := 0 // of the characters that mean another
	for first < len(s) && s[first] != '%' && s[first] != '+' {
		first++
	}
	if first == len(s) {
		return s, isText(s)
	}
	start := r.decoded.Len()
	r.decoded.WriteString(s[:first])
	for i := first; i < len(s); i++ {
		switch c := s[i]; c {
		case '+':
			r.decoded.WriteByte(' ')
		case '%':
			if i+2 >= len(s) {
				return "", false
			}
			high, low := unhex(s[i+1]), unhex(s[i+2])
			if high < 0 || low < 0 {
				return "", false
			}
			r.decoded.WriteByte(byte(high<<4 | low))
			i += 2
		default:
			r.decoded.WriteByte(c)
		}
	}
	text := r.decoded.String()[start:]
	return text, isText(text)
}

func isText(s string) bool { return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 }

func unhex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}
