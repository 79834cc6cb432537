package sigv4

import (
	"strings"
	"time"

	"github.com/stint-sts/stint/secret"
)

const (
	algorithm  = "AWS4-HMAC-SHA256"
	terminator = "aws4_request"
	// timestampLayout is ISO 8601 basic format, as X-Amz-Date has it.
	timestampLayout = "20060102T150405Z"
)

// Material is the authentication material of one request: parsed, complete and well-formed, but not verified. Its strings
// are parts of the request's. It is not safe for concurrent use.
type Material struct {
	AccessKeyID   string
	Date          string // credential scope: YYYYMMDD
	Region        string // credential scope
	Service       string // credential scope
	SignedHeaders string // as sent: lower-case, sorted, unique, joined by semicolons
	SessionToken  secret.String
	Presigned     bool      // the material came in the query string
	Time          time.Time // of the request, UTC, whole seconds

	terminator  string // credential scope
	timestamp   string // Time in timestampLayout, part of the string to sign
	signature   [32]byte
	wellFormed  bool // what was sent as signature has the form of one
	payloadHash field
	inScope     bool // CheckScope accepted it
}

// Parse returns the authentication material of r, from the Authorization header or from the query string (presigned form).
// It returns ErrMissing when there is none, and a *SyntaxError when it is incomplete, malformed, of another scheme
// (Signature Version 2, SigV4a, Basic, Bearer), given in both places, or when a part of it is given twice.
func Parse(r *Request) (*Material, error) {
	if len(r.RawQuery) > maxQuery {
		return nil, syntaxError("The query string is too long.")
	}
	headers := r.authHeaders()
	query, err := parseAuthQuery(r.RawQuery)
	if err != nil {
		return nil, err
	}
	if err := refuseRepeated(&headers, &query); err != nil {
		return nil, err
	}
	switch {
	case headers.authorization.count > 0 && (query.any() || query.version2):
		return nil, syntaxError(bothForms)
	case headers.authorization.count > 0:
		return parseAuthorization(&headers)
	case query.presigned():
		return parsePresigned(&headers, &query)
	case query.version2 || hasVersion2(r.Body):
		return nil, syntaxError("AWS query-string parameters must include 'X-Amz-Algorithm'. Re-examine the query-string parameters.")
	}
	return nil, ErrMissing
}

const bothForms = "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string " +
	"parameter or the Authorization header should be specified"

// refuseRepeated refuses a header or parameter that is given twice, or in both places. What a proxy, a log or a policy
// reads must be what was verified.
func refuseRepeated(h *authHeaders, q *authQuery) error {
	for _, row := range [...]struct {
		name  string
		count int
	}{
		{"Authorization", h.authorization.count},
		{"X-Amz-Date", h.amzDate.count + q.date.count},
		{"X-Amz-Security-Token", h.sessionToken.count + q.sessionToken.count},
		{"X-Amz-Content-Sha256", h.contentSHA256.count + q.contentSHA256.count},
		{"X-Amz-Algorithm", q.algorithm.count},
		{"X-Amz-Credential", q.credential.count},
		{"X-Amz-SignedHeaders", q.signedHeaders.count},
		{"X-Amz-Signature", q.signature.count},
		{"X-Amz-Expires", q.expires.count},
	} {
		if row.count > 1 {
			return syntaxError("'" + row.name + "' must not be given more than once.")
		}
	}
	return nil
}

// parseAuthorization parses the header form.
func parseAuthorization(h *authHeaders) (*Material, error) {
	header := h.authorization.value
	if len(header) > maxAuthorization {
		return nil, syntaxError("The Authorization header is too long.")
	}
	rest, ok := strings.CutPrefix(header, algorithm)
	if !ok || rest != "" && rest[0] != ' ' && rest[0] != '\t' {
		return nil, syntaxError("Unsupported AWS 'algorithm': '" + schemeOf(header) + "'.")
	}
	var credential, signedHeaders, signature field
	for rest = strings.Trim(rest, " \t"); rest != ""; {
		part, after, more := strings.Cut(rest, ",")
		rest = after
		key, value, ok := strings.Cut(strings.Trim(part, " \t"), "=")
		if !ok {
			return nil, syntaxError("'" + printable(strings.Trim(part, " \t"), maxEcho) + "' not a valid key=value pair (missing " +
				"equal-sign) in Authorization header: '" + printable(header, maxAuthorization) + "'.")
		}
		if err := addPart(&credential, &signedHeaders, &signature, key, value); err != nil {
			return nil, err
		}
		if more && strings.Trim(rest, " \t") == "" {
			return nil, syntaxError("'' not a valid key=value pair (missing equal-sign) in Authorization header: '" +
				printable(header, maxAuthorization) + "'.")
		}
	}
	if err := missingParts(credential, signedHeaders, signature, h); err != nil {
		return nil, err
	}
	m := &Material{payloadHash: h.contentSHA256}
	if err := m.setTime(h); err != nil {
		return nil, err
	}
	return m.fill(credential.value, signedHeaders.value, signature.value, h.sessionToken.value)
}

func addPart(credential, signedHeaders, signature *field, key, value string) error {
	var f *field
	switch key {
	case "Credential":
		f = credential
	case "SignedHeaders":
		f = signedHeaders
	case "Signature":
		f = signature
	default:
		return syntaxError("'" + printable(key, maxEcho) + "' is not a parameter of the AWS Authorization header.")
	}
	if f.add(value); f.count > 1 {
		return syntaxError("Authorization header must not repeat the '" + key + "' parameter.")
	}
	return nil
}

// missingParts names everything that the header form lacks, in AWS's order and words.
func missingParts(credential, signedHeaders, signature field, h *authHeaders) error {
	var missing []string
	for _, row := range [...]struct {
		absent bool
		text   string
	}{
		{credential.value == "", "Authorization header requires 'Credential' parameter."},
		{signature.value == "", "Authorization header requires 'Signature' parameter."},
		{signedHeaders.value == "", "Authorization header requires 'SignedHeaders' parameter."},
		{
			h.amzDate.value == "" && h.date.value == "",
			"Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.",
		},
	} {
		if row.absent {
			missing = append(missing, row.text)
		}
	}
	if missing == nil {
		return nil
	}
	return syntaxError(strings.Join(missing, " "))
}

// schemeOf returns the scheme of an Authorization header of another kind. A header without a scheme may be a bare token,
// which must not be echoed.
func schemeOf(header string) string {
	scheme, _, found := strings.Cut(header, " ")
	if !found && !strings.HasPrefix(scheme, "AWS4-") || len(scheme) > 32 {
		return ""
	}
	return printable(scheme, 32)
}

// setTime takes the time of the header form from X-Amz-Date or else from Date.
func (m *Material) setTime(h *authHeaders) error {
	if h.amzDate.count > 0 {
		return m.setTimestamp(h.amzDate.value)
	}
	if h.date.count > 1 {
		return syntaxError("'Date' must not be given more than once.")
	}
	for _, layout := range [...]string{"Mon, 02 Jan 2006 15:04:05 GMT", time.RFC1123Z} {
		if t, err := time.Parse(layout, h.date.value); err == nil && t.UTC().Year() >= 0 && t.UTC().Year() <= 9999 {
			m.Time = t.UTC()
			m.timestamp = m.Time.Format(timestampLayout)
			return nil
		}
	}
	return m.setTimestamp(h.date.value)
}

func (m *Material) setTimestamp(s string) error {
	t, ok := parseTimestamp(s)
	if !ok {
		return syntaxError("Date must be in ISO-8601 'basic format'. Got '" + printable(s, maxEcho) +
			"'. See http://en.wikipedia.org/wiki/ISO_8601")
	}
	m.Time, m.timestamp = t, s
	return nil
}

// parseTimestamp parses timestampLayout and nothing else: time.Parse would take fractions of a second.
func parseTimestamp(s string) (time.Time, bool) {
	if len(s) != len(timestampLayout) || s[8] != 'T' || s[15] != 'Z' {
		return time.Time{}, false
	}
	for i := range len(s) - 1 {
		if i != 8 && (s[i] < '0' || s[i] > '9') {
			return time.Time{}, false
		}
	}
	two := func(i int) int { return int(s[i]-'0')*10 + int(s[i+1]-'0') }
	year, month, day, hour, minute, second := two(0)*100+two(2), two(4), two(6), two(9), two(11), two(13)
	t := time.Date(year, time.Month(month), day, hour, minute, second, 0, time.UTC)
	// time.Date moves the 31st of April into May; a timestamp that does not exist is refused.
	exists := t.Month() == time.Month(month) && t.Day() == day && hour < 24 && minute < 60 && second < 60
	return t, exists
}

// fill completes m by what both forms share, and returns it.
func (m *Material) fill(credential, signedHeaders, signature, sessionToken string) (*Material, error) {
	if err := m.setCredential(credential); err != nil {
		return nil, err
	}
	if err := checkSignedHeaders(signedHeaders); err != nil {
		return nil, err
	}
	if len(sessionToken) > maxSessionToken {
		return nil, syntaxError("The security token is too long.")
	}
	m.SignedHeaders = signedHeaders
	m.SessionToken = secret.New(sessionToken)
	m.signature, m.wellFormed = parseSignature(signature)
	return m, nil
}

func (m *Material) setCredential(credential string) error {
	if strings.Count(credential, "/") != 4 {
		return syntaxError("Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '" +
			printable(credential, maxEcho) + "'")
	}
	rest := credential
	for _, element := range [...]*string{&m.AccessKeyID, &m.Date, &m.Region, &m.Service, &m.terminator} {
		*element, rest, _ = strings.Cut(rest, "/")
	}
	return nil
}

// checkSignedHeaders wants the list as the SigV4 document has it: lower-case, sorted, unique. Other orders would make one
// request verify under several lists.
func checkSignedHeaders(list string) error {
	previous := ""
	for count, rest, more := 1, list, true; more; count++ {
		var name string
		name, rest, more = strings.Cut(rest, ";")
		if count > maxSignedHeaders || !isHeaderName(name) || name <= previous {
			return syntaxError("The list of signed headers must be lower-case, sorted, without repetition and of at most 64 names.")
		}
		previous = name
	}
	return nil
}

// isHeaderName accepts a lower-case token (RFC 9110 section 5.6.2), and ":authority", which HTTP/2 has in place of Host.
func isHeaderName(name string) bool {
	if name == ":authority" {
		return true
	}
	if name == "" || len(name) > maxHeaderName {
		return false
	}
	for i := range len(name) {
		c := name[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && strings.IndexByte("-_.!#$%&'*+^`|~", c) < 0 {
			return false
		}
	}
	return true
}

// parseSignature decodes 64 lower-case hexadecimal digits.
func parseSignature(s string) (signature [32]byte, ok bool) {
	if len(s) != 2*len(signature) {
		return signature, false
	}
	for i := range signature {
		high, ok1 := lowerHex(s[2*i])
		low, ok2 := lowerHex(s[2*i+1])
		if !ok1 || !ok2 {
			return signature, false
		}
		signature[i] = high<<4 | low
	}
	return signature, true
}

func lowerHex(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	}
	return 0, false
}
