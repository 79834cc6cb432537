package audit

import (
	"strconv"
	"time"
	"unicode/utf8"
)

// Bounds of an event, in bytes before escaping. CloudTrail bounds an event at 256 KiB and a user agent at 1 KB.
const (
	maxText      = 1 << 10   // each text of the event itself
	maxAttrText  = 16 << 10  // each text of an attribute: the largest IAM policy document has 10,240 characters
	maxName      = 256       // name of an attribute
	maxAttrs     = 128 << 10 // encoded attributes of an event; later ones are left out
	maxDepth     = 8         // objects inside objects
	truncated    = "...[truncated]"
	timeLayout   = "2006-01-02T15:04:05Z"
	eventVersion = "1.11"
)

// encoder appends JSON to b.
type encoder struct {
	b     []byte
	limit int // length of b from which attributes are left out
}

// appendEvent appends e as one JSON object. Empty texts are left out where CloudTrail leaves them out; requestParameters
// and responseElements are null when there are none.
func appendEvent(b []byte, e *Event) []byte {
	w := encoder{b: b, limit: len(b) + maxAttrs}
	w.raw(`{"eventVersion":"` + eventVersion + `","userIdentity":{`)
	w.identity(&e.Identity)
	w.raw(`},"eventTime":`)
	w.time(e.Time)
	w.raw(`,"eventSource":`)
	w.text(e.Source, maxText)
	w.raw(`,"eventName":`)
	w.text(e.Name, maxText)
	w.raw(`,"awsRegion":`)
	w.text(e.Region, maxText)
	w.raw(`,"sourceIPAddress":`)
	w.text(e.SourceIP, maxText)
	w.raw(`,"userAgent":`)
	w.text(e.UserAgent, maxText)
	w.member("errorCode", e.ErrorCode)
	w.member("errorMessage", e.ErrorMessage)
	w.raw(`,"requestParameters":`)
	w.attrsOrNull(e.RequestParameters)
	w.raw(`,"responseElements":`)
	w.attrsOrNull(e.ResponseElements)
	if len(e.Additional) > 0 {
		w.raw(`,"additionalEventData":`)
		w.attrs(e.Additional, 1)
	}
	w.member("requestID", e.RequestID)
	w.member("eventID", e.EventID)
	w.raw(`,"readOnly":`)
	w.b = strconv.AppendBool(w.b, e.ReadOnly)
	w.raw(`,"eventType":`)
	w.text(e.Type, maxText)
	w.raw(`,"managementEvent":true`)
	w.member("recipientAccountId", e.RecipientAccountID)
	w.raw(`,"eventCategory":"Management"}`)
	return w.b
}

func (w *encoder) raw(s string) { w.b = append(w.b, s...) }

// member appends a text that is left out when empty.
func (w *encoder) member(name, value string) {
	if value == "" {
		return
	}
	if last := w.b[len(w.b)-1]; last != '{' {
		w.raw(",")
	}
	w.raw(`"`)
	w.raw(name)
	w.raw(`":`)
	w.text(value, maxText)
}

func (w *encoder) identity(i *Identity) {
	w.raw(`"type":`)
	w.text(i.Type, maxText)
	w.member("principalId", i.PrincipalID)
	w.member("arn", i.ARN)
	w.member("accountId", i.AccountID)
	w.member("accessKeyId", i.AccessKeyID)
	w.member("userName", i.UserName)
	w.member("identityProvider", i.Provider)
	if i.Session == nil {
		return
	}
	w.raw(`,"sessionContext":{`)
	if issuer := &i.Session.Issuer; *issuer != (Issuer{}) {
		w.raw(`"sessionIssuer":{"type":`)
		w.text(issuer.Type, maxText)
		w.member("principalId", issuer.PrincipalID)
		w.member("arn", issuer.ARN)
		w.member("accountId", issuer.AccountID)
		w.member("userName", issuer.UserName)
		w.raw(`},`)
	}
	w.raw(`"attributes":{"creationDate":`)
	w.time(i.Session.Created)
	w.raw(`,"mfaAuthenticated":"`) // CloudTrail has a text here
	w.b = strconv.AppendBool(w.b, i.Session.MFAAuthenticated)
	w.raw(`"}`)
	w.member("sourceIdentity", i.Session.SourceIdentity)
	w.raw(`}`)
}

func (w *encoder) time(t time.Time) {
	w.raw(`"`)
	w.b = t.UTC().AppendFormat(w.b, timeLayout)
	w.raw(`"`)
}

func (w *encoder) attrsOrNull(attrs []Attr) {
	if len(attrs) == 0 {
		w.raw("null")
		return
	}
	w.attrs(attrs, 1)
}

// attrs appends an object. What does not fit the bounds is left out, and a member "truncated" says so.
func (w *encoder) attrs(attrs []Attr, depth int) {
	w.raw("{")
	for i := range attrs {
		if i > 0 {
			w.raw(",")
		}
		if len(w.b) > w.limit || depth > maxDepth {
			w.raw(`"truncated":true`)
			break
		}
		w.text(attrs[i].name, maxName)
		w.raw(":")
		w.value(&attrs[i], depth)
	}
	w.raw("}")
}

func (w *encoder) value(a *Attr, depth int) {
	switch a.kind {
	case textKind:
		w.text(a.text, maxAttrText)
	case numberKind:
		w.b = strconv.AppendInt(w.b, a.number, 10)
	case boolKind:
		w.b = strconv.AppendBool(w.b, a.number == 1)
	case timeKind:
		w.time(time.Unix(a.number, 0))
	case textsKind:
		w.raw("[")
		for i, s := range a.texts {
			if i > 0 {
				w.raw(",")
			}
			if len(w.b) > w.limit {
				w.raw(`"` + truncated + `"`)
				break
			}
			w.text(s, maxAttrText)
		}
		w.raw("]")
	case objectKind:
		w.attrs(a.groups[0], depth+1)
	case objectsKind:
		w.raw("[")
		for i, attrs := range a.groups {
			if i > 0 {
				w.raw(",")
			}
			if len(w.b) > w.limit {
				w.raw(`{"truncated":true}`)
				break
			}
			w.attrs(attrs, depth+1)
		}
		w.raw("]")
	}
}

// text appends a JSON string of at most limit bytes of s and, if that cut it, a mark. Everything that could end a line,
// move a cursor or reorder text in a terminal is escaped; invalid UTF-8 becomes U+FFFD.
func (w *encoder) text(s string, limit int) {
	cut := len(s) > limit
	if cut {
		s = s[:runeEnd(s, limit)]
	}
	b := append(w.b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if plain[c] {
				i++
				continue
			}
			b = appendEscape(append(b, s[start:i]...), rune(c))
			i++
			start = i
			continue
		}
		r, width := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && width == 1 || isControl(r) {
			b = appendEscape(append(b, s[start:i]...), r)
			start = i + width
		}
		i += width
	}
	b = append(b, s[start:]...)
	if cut {
		b = append(b, truncated...)
	}
	w.b = append(b, '"')
}

// runeEnd returns limit, or up to three bytes less so as not to cut a character of s in two.
func runeEnd(s string, limit int) int {
	for end := limit; end > 0 && end > limit-utf8.UTFMax; end-- {
		if utf8.RuneStart(s[end]) {
			return end
		}
	}
	return limit // not UTF-8
}

// plain tells which ASCII characters stand for themselves.
var plain = func() (table [utf8.RuneSelf]bool) {
	for c := byte(' '); c < 0x7f; c++ {
		table[c] = c != '"' && c != '\\'
	}
	return table
}()

// isControl reports the C1 controls, the line and paragraph separators and the bidirectional controls.
func isControl(r rune) bool {
	return r >= 0x80 && r <= 0x9f || r == 0x061c || r == 0x200e || r == 0x200f ||
		r >= 0x2028 && r <= 0x202e || r >= 0x2066 && r <= 0x2069
}

// appendEscape appends the JSON escape of a character of the basic multilingual plane.
func appendEscape(b []byte, r rune) []byte {
	const digits = "0123456789abcdef"
	switch r {
	case '"', '\\':
		return append(b, '\\', byte(r))
	case '\n':
		return append(b, `\n`...)
	case '\r':
		return append(b, `\r`...)
	case '\t':
		return append(b, `\t`...)
	}
	return append(b, '\\', 'u', digits[r>>12&15], digits[r>>8&15], digits[r>>4&15], digits[r&15])
}
