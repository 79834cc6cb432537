package sigv4

import "strings"

// Request is what a signature covers, free of any transport. Parse, CheckScope and Verify do not change it.
type Request struct {
	Method   string
	Path     string              // as sent, not decoded (net/http: RequestURI up to "?"); empty means "/"
	RawQuery string              // as sent, without the question mark
	Host     string              // as sent: the Host header or :authority (net/http: Request.Host)
	TLS      bool                // the client spoke TLS; decides which port is the default one
	Header   map[string][]string // canonical MIME keys, values in order of arrival, as net/http has them; Host is not read
	Body     []byte              // as received
}

// Bounds on what a caller controls. SDKs sign fewer than 20 headers and a few verifiers add one or two of their own.
const (
	maxSignedHeaders = 64
	maxHeaderName    = 128       // bytes
	maxAuthorization = 8 << 10   // bytes of the Authorization header or of one presigned parameter other than the token
	maxSessionToken  = 16 << 10  // bytes
	maxQuery         = 512 << 10 // bytes: a GET may carry what a body may
	maxQueryPairs    = 2048
)

// values returns the values of the header whose lower-case name is given. The map is asked for the canonical MIME key,
// built on the stack.
func (r *Request) values(lowerName string) []string {
	if len(lowerName) > maxHeaderName {
		return nil
	}
	var space [maxHeaderName]byte
	key := append(space[:0], lowerName...)
	upper := true
	for i, c := range key {
		if upper && 'a' <= c && c <= 'z' {
			key[i] = c - ('a' - 'A')
		}
		upper = c == '-'
	}
	return r.Header[string(key)]
}

// field is a header or parameter that may be given once.
type field struct {
	value string
	count int
}

func (f *field) add(value string) {
	f.value = value
	f.count++
}

// authHeaders are the headers that authenticate.
type authHeaders struct {
	authorization, amzDate, date, sessionToken, contentSHA256 field
}

// authHeaders collects the headers that authenticate. Keys that differ in letter case are the same header: a transport
// that does not canonicalise must not open a second way in.
func (r *Request) authHeaders() (h authHeaders) {
	for key, values := range r.Header {
		var f *field
		switch {
		case isFold(key, "Authorization"):
			f = &h.authorization
		case isFold(key, "X-Amz-Date"):
			f = &h.amzDate
		case isFold(key, "Date"):
			f = &h.date
		case isFold(key, "X-Amz-Security-Token"):
			f = &h.sessionToken
		case isFold(key, "X-Amz-Content-Sha256"):
			f = &h.contentSHA256
		default:
			continue
		}
		for _, v := range values {
			f.add(v)
		}
	}
	return h
}

// isFold is strings.EqualFold with the cheap test first.
func isFold(s, name string) bool {
	return len(s) == len(name) && (s == name || strings.EqualFold(s, name))
}
