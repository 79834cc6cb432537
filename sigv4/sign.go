package sigv4

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stint-sts/stint/secret"
)

// Credentials are what a client signs with. SessionToken is empty for long-lived keys.
type Credentials struct {
	AccessKeyID     string
	SecretAccessKey secret.String
	SessionToken    secret.String
}

// Sign signs r at time t: it sets X-Amz-Date, X-Amz-Security-Token and Authorization in r.Header, which it makes when nil.
// It signs the host and every header that is there, except those that proxies change. The error reports a
// relative path or a query string that cannot be decoded.
func Sign(r *Request, c Credentials, region, service string, t time.Time) error {
	timestamp := t.UTC().Format(timestampLayout)
	if r.Header == nil {
		r.Header = map[string][]string{}
	}
	r.Header["X-Amz-Date"] = []string{timestamp}
	delete(r.Header, "X-Amz-Security-Token")
	if !c.SessionToken.IsZero() {
		r.Header["X-Amz-Security-Token"] = []string{c.SessionToken.Reveal()}
	}
	signed := signedHeaders(r)
	signature, err := sign(r, c, region, service, timestamp, signed)
	if err != nil {
		return err
	}
	scope := appendScope(nil, timestamp[:8], region, service)
	r.Header["Authorization"] = []string{fmt.Sprintf("%s Credential=%s/%s, SignedHeaders=%s, Signature=%s",
		algorithm, c.AccessKeyID, scope, signed, signature)}
	return nil
}

// Presign signs r at time t in the query form: it appends the X-Amz parameters to r.RawQuery. X-Amz-Expires is left out
// when expires is zero; it counts in whole seconds. The body must be the one that will be sent. The error reports a
// relative path or a query string that cannot be decoded.
func Presign(r *Request, c Credentials, region, service string, t time.Time, expires time.Duration) error {
	timestamp := t.UTC().Format(timestampLayout)
	signed := signedHeaders(r)
	parameters := [][2]string{
		{"X-Amz-Algorithm", algorithm},
		{"X-Amz-Credential", c.AccessKeyID + "/" + string(appendScope(nil, timestamp[:8], region, service))},
		{"X-Amz-Date", timestamp},
		{"X-Amz-SignedHeaders", signed},
	}
	if expires > 0 {
		parameters = append(parameters, [2]string{"X-Amz-Expires", strconv.FormatInt(int64(expires/time.Second), 10)})
	}
	if !c.SessionToken.IsZero() {
		parameters = append(parameters, [2]string{"X-Amz-Security-Token", c.SessionToken.Reveal()})
	}
	query := []byte(r.RawQuery)
	for _, p := range parameters {
		if len(query) > 0 {
			query = append(query, '&')
		}
		query = append(append(query, p[0]...), '=')
		for i := range len(p[1]) {
			query = appendEncoded(query, p[1][i])
		}
	}
	unsigned := *r
	unsigned.RawQuery = string(query)
	signature, err := sign(&unsigned, c, region, service, timestamp, signed)
	if err != nil {
		return err
	}
	r.RawQuery = unsigned.RawQuery + "&X-Amz-Signature=" + signature
	return nil
}

// sign returns the signature in hexadecimal.
func sign(r *Request, c Credentials, region, service, timestamp, signed string) (string, error) {
	s := scratches.Get().(*scratch)
	defer s.release()
	sum := sha256.Sum256(r.Body)
	if !s.canonicalRequest(r, r.Host, signed, hex.AppendEncode(nil, sum[:])) {
		return "", errors.New("sigv4: path is not absolute or query string is not valid percent-encoding")
	}
	key := s.signingKey(c.SecretAccessKey.Reveal(), timestamp[:8], region, service)
	signature := s.sign(&key, timestamp, timestamp[:8], region, service)
	return hex.EncodeToString(signature[:]), nil
}

// signedHeaders lists the headers that Sign and Presign sign. What is left out changes on the way.
func signedHeaders(r *Request) string {
	names := []string{"host"}
	for key, values := range r.Header {
		switch name := strings.ToLower(key); name {
		case "authorization", "connection", "expect", "host", "transfer-encoding", "user-agent", "x-amzn-trace-id":
		default:
			if len(values) > 0 {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return strings.Join(names, ";")
}
