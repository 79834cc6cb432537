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

func appendSuccessJSON(dst []byte, operation, requestID string, s *shape.Shape, out any) []byte {
	dst = append(dst, `{"`...)
	dst = append(dst, operation...)
	dst = append(dst, `Response":{`...)
	if s != nil {
		dst = append(dst, '"')
		dst = append(dst, operation...)
		dst = append(dst, `Result":`...)
		dst = appendStructJSON(dst, s, s.Struct(out))
		dst = append(dst, ',')
	}
	dst = append(dst, `"ResponseMetadata":{"RequestId":`...)
	dst = appendString(dst, requestID)
	return append(dst, `}}}`...)
}

// appendErrorJSON writes what AWS does: without the ErrorResponse that surrounds the same tree in XML.
func appendErrorJSON(dst []byte, e *awserr.Error, requestID string) []byte {
	dst = append(dst, `{"Error":{"Code":`...)
	dst = appendString(dst, e.Kind.Code)
	dst = append(dst, `,"Message":`...)
	dst = appendString(dst, e.Message)
	dst = append(dst, `,"Type":`...)
	dst = appendString(dst, e.Kind.Fault.String())
	dst = append(dst, `},"RequestId":`...)
	dst = appendString(dst, requestID)
	return append(dst, '}')
}

func appendStructJSON(dst []byte, s *shape.Shape, v reflect.Value) []byte {
	dst = append(dst, '{')
	empty := len(dst)
	fields := s.Fields()
	for i := range fields {
		f := &fields[i]
		member := f.Value(v)
		absent := f.Absent(member)
		if absent && !f.Always {
			continue
		}
		if len(dst) > empty {
			dst = append(dst, ',')
		}
		dst = append(dst, '"')
		dst = append(dst, f.Name...)
		dst = append(dst, `":`...)
		if absent {
			dst = append(dst, emptyJSON(f.Kind)...)
			continue
		}
		if f.Pointer {
			member = member.Elem()
		}
		dst = appendMemberJSON(dst, f, member)
	}
	return append(dst, '}')
}

// emptyJSON is the form of a member that is encoded even when empty.
func emptyJSON(k shape.Kind) string {
	switch k {
	case shape.StringList, shape.StructList:
		return "[]"
	case shape.Struct, shape.IntMap, shape.TextMap:
		return "{}"
	default:
		return `""`
	}
}

func appendMemberJSON(dst []byte, f *shape.Field, v reflect.Value) []byte {
	switch f.Kind {
	case shape.String:
		if f.URLEncoded {
			dst = append(dst, '"')
			return append(appendPercentEncoded(dst, v.String()), '"')
		}
		return appendString(dst, v.String())
	case shape.Secret:
		return appendString(dst, v.Addr().Interface().(*secret.String).Reveal())
	case shape.Int:
		return strconv.AppendInt(dst, v.Int(), 10)
	case shape.Bool:
		return strconv.AppendBool(dst, v.Bool())
	case shape.Time: // a number of seconds: clients cast it to an integer
		return strconv.AppendInt(dst, v.Addr().Interface().(*time.Time).Unix(), 10)
	case shape.Blob:
		dst = append(dst, '"')
		return append(base64.StdEncoding.AppendEncode(dst, v.Bytes()), '"')
	case shape.Struct:
		return appendStructJSON(dst, f.Elem, v)
	case shape.StringList, shape.StructList:
		return appendListJSON(dst, f, v)
	case shape.IntMap:
		return appendMapJSON(dst, *v.Addr().Interface().(*map[string]int), appendNumber)
	case shape.TextMap:
		return appendMapJSON(dst, *v.Addr().Interface().(*map[string]string), appendString)
	}
	return dst
}

func appendListJSON(dst []byte, f *shape.Field, v reflect.Value) []byte {
	dst = append(dst, '[')
	for i := range v.Len() {
		if i > 0 {
			dst = append(dst, ',')
		}
		if f.Kind == shape.StructList {
			dst = appendStructJSON(dst, f.Elem, v.Index(i))
		} else {
			dst = appendString(dst, v.Index(i).String())
		}
	}
	return append(dst, ']')
}

func appendMapJSON[V any](dst []byte, m map[string]V, appendValue func([]byte, V) []byte) []byte {
	dst = append(dst, '{')
	for i, key := range slices.Sorted(maps.Keys(m)) {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendString(dst, key), ':')
		dst = appendValue(dst, m[key])
	}
	return append(dst, '}')
}

func appendNumber(dst []byte, n int) []byte { return strconv.AppendInt(dst, int64(n), 10) }

// appendString quotes s (RFC 8259 section 7). Bytes that are not UTF-8 become U+FFFD.
func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	clean := 0 // s[clean:i] needs no escape
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			if r, size := utf8.DecodeRuneInString(s[i:]); r != utf8.RuneError || size > 1 {
				i += size
				continue
			}
		} else if c >= ' ' && c != '"' && c != '\\' {
			i++
			continue
		}
		dst = append(dst, s[clean:i]...)
		dst = appendEscape(dst, c)
		i++
		clean = i
	}
	dst = append(dst, s[clean:]...)
	return append(dst, '"')
}

func appendEscape(dst []byte, c byte) []byte {
	switch {
	case c >= utf8.RuneSelf:
		return append(dst, "\uFFFD"...)
	case c == '"' || c == '\\':
		return append(dst, '\\', c)
	default:
		return append(dst, '\\', 'u', '0', '0', upperHex[c>>4], upperHex[c&15])
	}
}
