package awsquery

import (
	"encoding/base64"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/secret"
	"github.com/stint-sts/stint/shape"
)

func appendSuccessXML(dst []byte, namespace, operation, requestID string, s *shape.Shape, out any) []byte {
	dst = append(dst, '<')
	dst = append(dst, operation...)
	dst = append(dst, `Response xmlns="`...)
	dst = append(dst, namespace...)
	dst = append(dst, `">`...)
	if s != nil {
		dst = append(dst, '<')
		dst = append(dst, operation...)
		dst = append(dst, `Result>`...)
		body := len(dst)
		dst = appendStructXML(dst, s, s.Struct(out))
		if len(dst) == body {
			dst = append(dst[:body-1], `/>`...)
		} else {
			dst = append(dst, `</`...)
			dst = append(dst, operation...)
			dst = append(dst, `Result>`...)
		}
	}
	dst = append(dst, `<ResponseMetadata>`...)
	dst = appendElement(dst, "RequestId", requestID)
	dst = append(dst, `</ResponseMetadata></`...)
	dst = append(dst, operation...)
	return append(dst, `Response>`...)
}

func appendErrorXML(dst []byte, namespace string, e *awserr.Error, requestID string) []byte {
	dst = append(dst, `<ErrorResponse xmlns="`...)
	dst = append(dst, namespace...)
	dst = append(dst, `"><Error>`...)
	dst = appendElement(dst, "Type", e.Kind.Fault.String())
	dst = appendElement(dst, "Code", e.Kind.Code)
	dst = appendElement(dst, "Message", e.Message)
	dst = append(dst, `</Error>`...)
	dst = appendElement(dst, "RequestId", requestID)
	return append(dst, `</ErrorResponse>`...)
}

func appendStructXML(dst []byte, s *shape.Shape, v reflect.Value) []byte {
	fields := s.Fields()
	for i := range fields {
		f := &fields[i]
		member := f.Value(v)
		if f.Absent(member) {
			if f.Always {
				dst = appendEmpty(dst, f.Name)
			}
			continue
		}
		if f.Pointer {
			member = member.Elem()
		}
		dst = appendOpen(dst, f.Name)
		body := len(dst)
		dst = appendMemberXML(dst, f, member)
		if len(dst) == body {
			dst = append(dst[:body-1], `/>`...)
		} else {
			dst = appendClose(dst, f.Name)
		}
	}
	return dst
}

// appendMemberXML appends the content of f's element.
func appendMemberXML(dst []byte, f *shape.Field, v reflect.Value) []byte {
	switch f.Kind {
	case shape.String:
		if f.URLEncoded {
			return appendPercentEncoded(dst, v.String())
		}
		return appendText(dst, v.String())
	case shape.Secret:
		return appendText(dst, v.Addr().Interface().(*secret.String).Reveal())
	case shape.Int:
		return strconv.AppendInt(dst, v.Int(), 10)
	case shape.Bool:
		return strconv.AppendBool(dst, v.Bool())
	case shape.Time:
		return appendTime(dst, *v.Addr().Interface().(*time.Time))
	case shape.Blob:
		return base64.StdEncoding.AppendEncode(dst, v.Bytes())
	case shape.Struct:
		return appendStructXML(dst, f.Elem, v)
	case shape.StringList:
		for i := range v.Len() {
			dst = appendElement(dst, "member", v.Index(i).String())
		}
	case shape.StructList:
		for i := range v.Len() {
			dst = append(dst, `<member>`...)
			dst = appendStructXML(dst, f.Elem, v.Index(i))
			dst = append(dst, `</member>`...)
		}
	case shape.IntMap:
		dst = appendMapXML(dst, *v.Addr().Interface().(*map[string]int), appendNumber)
	case shape.TextMap:
		dst = appendMapXML(dst, *v.Addr().Interface().(*map[string]string), appendText)
	}
	return dst
}

func appendMapXML[V any](dst []byte, m map[string]V, appendValue func([]byte, V) []byte) []byte {
	for _, key := range slices.Sorted(maps.Keys(m)) {
		dst = append(dst, `<entry>`...)
		dst = appendElement(dst, "key", key)
		dst = append(dst, `<value>`...)
		dst = appendValue(dst, m[key])
		dst = append(dst, `</value></entry>`...)
	}
	return dst
}

func appendOpen(dst []byte, name string) []byte {
	dst = append(dst, '<')
	dst = append(dst, name...)
	return append(dst, '>')
}

func appendClose(dst []byte, name string) []byte {
	dst = append(dst, '<', '/')
	dst = append(dst, name...)
	return append(dst, '>')
}

func appendEmpty(dst []byte, name string) []byte {
	dst = append(dst, '<')
	dst = append(dst, name...)
	return append(dst, '/', '>')
}

func appendElement(dst []byte, name, text string) []byte {
	if text == "" {
		return appendEmpty(dst, name)
	}
	return appendClose(appendText(appendOpen(dst, name), text), name)
}

// appendTime writes whole seconds of UTC, as STS and IAM do today.
func appendTime(dst []byte, t time.Time) []byte {
	return t.UTC().AppendFormat(dst, "2006-01-02T15:04:05Z")
}

// appendText escapes s for character data (XML 1.0 sections 2.2 and 2.4). A carriage return would be read back as a line
// feed, so it goes as a reference.
func appendText(dst []byte, s string) []byte {
	clean := 0 // s[clean:i] needs no escape
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf && !needsEscape[c] {
			i++
			continue
		}
		size := 1
		escape := "\uFFFD"
		switch {
		case c == '&':
			escape = "&amp;"
		case c == '<':
			escape = "&lt;"
		case c == '>':
			escape = "&gt;"
		case c == '\r':
			escape = "&#xD;"
		case c >= utf8.RuneSelf:
			var r rune
			r, size = utf8.DecodeRuneInString(s[i:])
			if isXMLRune(r, size) {
				i += size
				continue
			}
		}
		dst = append(dst, s[clean:i]...)
		dst = append(dst, escape...)
		i += size
		clean = i
	}
	return append(dst, s[clean:]...)
}

// isXMLRune reports whether XML can carry the character r beyond ASCII that took size bytes.
func isXMLRune(r rune, size int) bool {
	return (r != utf8.RuneError || size > 1) && r != 0xFFFE && r != 0xFFFF
}

// needsEscape marks the ASCII characters that cannot stand for themselves in XML.
var needsEscape = func() (special [utf8.RuneSelf]bool) {
	for c := range byte(' ') {
		special[c] = c != '\t' && c != '\n'
	}
	special['&'], special['<'], special['>'] = true, true, true
	return special
}()

const upperHex = "0123456789ABCDEF"

// appendPercentEncoded writes s as RFC 3986 section 2.1 does: everything but unreserved characters as %XX. IAM returns
// policy documents so.
func appendPercentEncoded(dst []byte, s string) []byte {
	for _, c := range []byte(s) {
		if isUnreserved(c) {
			dst = append(dst, c)
			continue
		}
		dst = append(dst, '%', upperHex[c>>4], upperHex[c&15])
	}
	return dst
}

func isUnreserved(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c == '-' || c == '.' || c == '_' || c == '~'
}
