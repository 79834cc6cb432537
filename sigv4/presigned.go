package sigv4

import (
	"bytes"
	"strings"
)

// authQuery holds the parameters of the presigned form.
type authQuery struct {
	algorithm, credential, date, signedHeaders, signature, expires, sessionToken, contentSHA256 field

	version2 bool // AWSAccessKeyId: Signature Version 2
}

// presigned reports whether the query string is meant to authenticate. A date, token, lifetime or payload hash alone
// proves nothing.
func (q *authQuery) presigned() bool {
	return q.algorithm.count+q.credential.count+q.signedHeaders.count+q.signature.count > 0
}

// any reports whether any authentication parameter is there.
func (q *authQuery) any() bool {
	return q.presigned() || q.date.count+q.expires.count+q.sessionToken.count+q.contentSHA256.count > 0
}

// slot returns the field of a parameter, or nil when it has nothing to do with authentication. Names that differ in letter
// case are the same name, so that no two readers of the query string can disagree about which one counts.
func (q *authQuery) slot(name string) *field {
	for _, row := range [...]struct {
		name string
		slot *field
	}{
		{"X-Amz-Algorithm", &q.algorithm},
		{"X-Amz-Credential", &q.credential},
		{"X-Amz-Date", &q.date},
		{"X-Amz-SignedHeaders", &q.signedHeaders},
		{"X-Amz-Signature", &q.signature},
		{"X-Amz-Expires", &q.expires},
		{"X-Amz-Security-Token", &q.sessionToken},
		{"X-Amz-Content-Sha256", &q.contentSHA256},
	} {
		if isFold(name, row.name) {
			return row.slot
		}
	}
	return nil
}

// parseAuthQuery collects the authentication parameters. Names are compared decoded: X%2DAmz-Date is X-Amz-Date.
func parseAuthQuery(raw string) (q authQuery, err error) {
	for pairs := 1; raw != ""; pairs++ {
		if pairs > maxQueryPairs {
			return q, syntaxError("The query string has too many parameters.")
		}
		var pair string
		pair, raw, _ = strings.Cut(raw, "&")
		encodedName, encodedValue, _ := strings.Cut(pair, "=")
		name, ok := unescape(encodedName)
		if !ok {
			continue // Verify refuses it; an operation that needs no signature has its own decoder
		}
		if name == "AWSAccessKeyId" {
			q.version2 = true
		}
		slot := q.slot(name)
		if slot == nil {
			continue
		}
		value, ok := unescape(encodedValue)
		if !ok {
			return q, syntaxError("The value of '" + printable(name, maxEcho) + "' is not valid percent-encoding.")
		}
		if slot != &q.sessionToken && len(value) > maxAuthorization {
			return q, syntaxError("The value of '" + printable(name, maxEcho) + "' is too long.")
		}
		slot.add(value)
	}
	return q, nil
}

// parsePresigned parses the presigned form.
func parsePresigned(h *authHeaders, q *authQuery) (*Material, error) {
	if h.amzDate.count+h.sessionToken.count > 0 {
		return nil, syntaxError(bothForms)
	}
	if q.algorithm.value != "" && q.algorithm.value != algorithm {
		return nil, syntaxError("Unsupported AWS 'algorithm': '" + printable(q.algorithm.value, 32) + "'.")
	}
	if err := missingParameters(q); err != nil {
		return nil, err
	}
	if !isLifetime(&q.expires) {
		return nil, syntaxError("X-Amz-Expires must be a number of seconds from 0 to 604800.")
	}
	m := &Material{Presigned: true, payloadHash: h.contentSHA256}
	if q.contentSHA256.count > 0 {
		m.payloadHash = q.contentSHA256
	}
	if err := m.setTimestamp(q.date.value); err != nil {
		return nil, err
	}
	return m.fill(q.credential.value, q.signedHeaders.value, q.signature.value, q.sessionToken.value)
}

// missingParameters names every parameter that the presigned form lacks, in AWS's order and words.
func missingParameters(q *authQuery) error {
	var text strings.Builder
	for _, row := range [...]struct{ name, value string }{
		{"X-Amz-Algorithm", q.algorithm.value},
		{"X-Amz-Credential", q.credential.value},
		{"X-Amz-Signature", q.signature.value},
		{"X-Amz-SignedHeaders", q.signedHeaders.value},
		{"X-Amz-Date", q.date.value},
	} {
		if row.value == "" {
			text.WriteString("AWS query-string parameters must include '" + row.name + "'. ")
		}
	}
	if text.Len() == 0 {
		return nil
	}
	return syntaxError(text.String() + "Re-examine the query-string parameters.")
}

// isLifetime accepts no X-Amz-Expires, or one of up to seven days. STS ignores the value: a token for the Kubernetes
// authenticator carries 60 and is used for 15 minutes.
func isLifetime(expires *field) bool {
	if expires.count == 0 {
		return true
	}
	const sevenDays = 7 * 24 * 60 * 60
	if expires.value == "" || len(expires.value) > len("604800") {
		return false
	}
	seconds := 0
	for i := range len(expires.value) {
		c := expires.value[i]
		if c < '0' || c > '9' {
			return false
		}
		seconds = seconds*10 + int(c-'0')
	}
	return seconds <= sevenDays
}

// hasVersion2 reports whether a form carries Signature Version 2, whose clients POST it in the body.
func hasVersion2(form []byte) bool {
	name := []byte("AWSAccessKeyId=")
	return bytes.HasPrefix(form, name) || bytes.Contains(form, append([]byte("&"), name...))
}

// unescape decodes a name or value of a query string; a plus sign is a space. It allocates only when there is something to
// decode.
func unescape(s string) (string, bool) {
	if strings.IndexByte(s, '%') < 0 && strings.IndexByte(s, '+') < 0 {
		return s, true
	}
	decoded := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c, width, ok := unescapeByte(s[i:])
		if !ok {
			return "", false
		}
		decoded = append(decoded, c)
		i += width - 1
	}
	return string(decoded), true
}

// unescapeByte decodes the first byte of s, which is not empty, and tells how many bytes of s it takes.
func unescapeByte(s string) (c byte, width int, ok bool) {
	switch s[0] {
	case '+':
		return ' ', 1, true
	case '%':
		if len(s) < 3 {
			return 0, 0, false
		}
		high, ok1 := anyHex(s[1])
		low, ok2 := anyHex(s[2])
		return high<<4 | low, 3, ok1 && ok2
	}
	return s[0], 1, true
}

func anyHex(c byte) (byte, bool) {
	if 'A' <= c && c <= 'F' {
		c += 'a' - 'A'
	}
	return lowerHex(c)
}
