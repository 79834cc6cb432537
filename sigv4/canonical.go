package sigv4

import (
	"bytes"
	"cmp"
	"slices"
	"strings"
	"sync"
)

// scratch is the working memory of one verification. Everything in it is overwritten by the next.
type scratch struct {
	canonical []byte // the canonical request, then the string to sign
	encoded   []byte // encoded names and values of the query, end to end
	pairs     []pair
	mac       []byte // key block and message of an HMAC
}

// pair is one query parameter: encoded[name:value] is its name, encoded[value:end] its value.
type pair struct{ name, value, end int }

// maxKept bounds the memory that a scratch may hold on to between requests, in bytes.
const maxKept = 64 << 10

var scratches = sync.Pool{New: func() any { return new(scratch) }}

func (s *scratch) release() {
	if cap(s.canonical)+cap(s.encoded)+cap(s.mac) > maxKept || cap(s.pairs) > maxKept/32 {
		return
	}
	scratches.Put(s)
}

// canonicalRequest builds the canonical request in s.canonical. It reports false when the path is not absolute, the query
// string cannot be decoded, or a signed header is not there: no signature can then be right.
func (s *scratch) canonicalRequest(r *Request, host, signedHeaders string, payloadHash []byte) bool {
	if r.Path != "" && r.Path[0] != '/' {
		return false
	}
	b := append(s.canonical[:0], r.Method...)
	b = append(b, '\n')
	b = appendPath(b, r.Path)
	b = append(b, '\n')
	b, ok := s.appendQuery(b, r.RawQuery)
	if !ok {
		return false
	}
	b = append(b, '\n')
	for rest, more := signedHeaders, true; more; {
		var name string
		name, rest, more = strings.Cut(rest, ";")
		b = append(b, name...)
		b = append(b, ':')
		if name == "host" || name == ":authority" {
			b = appendHeaderValue(b, host)
		} else {
			values := r.values(name)
			if len(values) == 0 {
				return false
			}
			for i, v := range values {
				if i > 0 {
					b = append(b, ',')
				}
				b = appendHeaderValue(b, v)
			}
		}
		b = append(b, '\n')
	}
	b = append(b, '\n')
	b = append(b, signedHeaders...)
	b = append(b, '\n')
	s.canonical = append(b, payloadHash...)
	return true
}

// appendPath appends the canonical URI: dot segments resolved and repeated slashes merged (RFC 3986 section 6.2.2, the rule
// of every service but S3), then each segment percent-encoded once more, so that a sent %20 becomes %2520.
func appendPath(b []byte, path string) []byte {
	start := len(b)
	directory := true // what was read last stands for a directory, so the result ends in a slash
	for rest, more := path, true; more; {
		var segment string
		segment, rest, more = strings.Cut(rest, "/")
		switch segment {
		case "", ".":
			directory = true
		case "..":
			directory = true
			if slash := bytes.LastIndexByte(b[start:], '/'); slash >= 0 {
				b = b[:start+slash]
			}
		default:
			directory = false
			b = append(b, '/')
			for i := range len(segment) {
				b = appendEncoded(b, segment[i])
			}
		}
	}
	if directory {
		b = append(b, '/')
	}
	return b
}

// appendQuery appends the canonical query string: decoded, encoded anew, without X-Amz-Signature, sorted by name and then
// by value.
func (s *scratch) appendQuery(b []byte, raw string) ([]byte, bool) {
	s.encoded, s.pairs = s.encoded[:0], s.pairs[:0]
	for raw != "" {
		var parameter string
		parameter, raw, _ = strings.Cut(raw, "&")
		if parameter == "" {
			continue
		}
		name, value, _ := strings.Cut(parameter, "=")
		p := pair{name: len(s.encoded)}
		if !s.reencode(name) {
			return b, false
		}
		p.value = len(s.encoded)
		if string(s.encoded[p.name:]) == "X-Amz-Signature" {
			s.encoded = s.encoded[:p.name]
			continue
		}
		if len(s.pairs) == maxQueryPairs || !s.reencode(value) {
			return b, false
		}
		p.end = len(s.encoded)
		s.pairs = append(s.pairs, p)
	}
	// Names are compared on their own: in joined text '=' would sort after '-', and Param after Param-3.
	slices.SortFunc(s.pairs, func(p, q pair) int {
		return cmp.Or(
			bytes.Compare(s.encoded[p.name:p.value], s.encoded[q.name:q.value]),
			bytes.Compare(s.encoded[p.value:p.end], s.encoded[q.value:q.end]))
	})
	for i, p := range s.pairs {
		if i > 0 {
			b = append(b, '&')
		}
		b = append(b, s.encoded[p.name:p.value]...)
		b = append(b, '=')
		b = append(b, s.encoded[p.value:p.end]...)
	}
	return b, true
}

// reencode decodes a query name or value and appends it to s.encoded in canonical encoding.
func (s *scratch) reencode(text string) bool {
	for i := 0; i < len(text); {
		c, width, ok := unescapeByte(text[i:])
		if !ok {
			return false
		}
		s.encoded = appendEncoded(s.encoded, c)
		i += width
	}
	return true
}

// appendEncoded percent-encodes one byte unless it is unreserved (RFC 3986 section 2.3).
func appendEncoded(b []byte, c byte) []byte {
	const digits = "0123456789ABCDEF"
	if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '.' || c == '_' || c == '~' {
		return append(b, c)
	}
	return append(b, '%', digits[c>>4], digits[c&15])
}

// appendHeaderValue appends a header value without white space at its ends and with every other run of it made one space,
// inside quotes too. No line break survives, so a value cannot pretend to be another header.
func appendHeaderValue(b []byte, value string) []byte {
	pending := false
	start := len(b)
	for i := range len(value) {
		c := value[i]
		if c == ' ' || '\t' <= c && c <= '\r' {
			pending = len(b) > start
			continue
		}
		if pending {
			b = append(b, ' ')
			pending = false
		}
		b = append(b, c)
	}
	return b
}
