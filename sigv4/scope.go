package sigv4

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// CheckScope checks everything about m but the signature: terminator, service, region and date of the credential scope,
// the clock, and that the host and every X-Amz header of r are signed. service is the one that the request addresses; when
// it is empty, any configured service will do. The error is a *MismatchError, in AWS's words where those are known.
func (v *Verifier) CheckScope(r *Request, m *Material, service string) error {
	m.inScope = false
	for _, check := range [...]error{
		checkTerminator(m), v.checkService(m, service), v.checkRegion(m), checkDate(m), v.checkClock(m), checkSigned(r, m),
	} {
		if check != nil {
			return check
		}
	}
	m.inScope = true
	return nil
}

func checkTerminator(m *Material) error {
	if m.terminator != terminator {
		return &MismatchError{"Credential should be scoped with a valid terminator: '" + terminator + "'"}
	}
	return nil
}

func (v *Verifier) checkService(m *Material, service string) error {
	if slices.Contains(v.services, m.Service) && (service == "" || service == m.Service) {
		return nil
	}
	if service == "" {
		service = v.services[0]
	}
	return &MismatchError{"Credential should be scoped to correct service: '" + service + "'. "}
}

func (v *Verifier) checkRegion(m *Material) error {
	if isRegion(m.Region) && (len(v.regions) == 0 || slices.Contains(v.regions, m.Region)) {
		return nil
	}
	return &MismatchError{"Credential should be scoped to a valid region. "}
}

// isRegion accepts what can be one label of a host name, as every AWS region and every name that SDKs take in its place is.
func isRegion(region string) bool {
	const maxLabel = 63 // RFC 1035 section 2.3.4
	if region == "" || len(region) > maxLabel || region[0] == '-' || region[len(region)-1] == '-' {
		return false
	}
	for i := range len(region) {
		c := region[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}

func checkDate(m *Material) error {
	if m.Date == m.timestamp[:8] {
		return nil
	}
	return &MismatchError{fmt.Sprintf("Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from "+
		"HTTP: '%s' != '%s', from '%s'.", printable(m.Date, maxEcho), m.timestamp[:8], m.timestamp)}
}

func (v *Verifier) checkClock(m *Material) error {
	now := v.now().UTC().Truncate(time.Second)
	earliest, latest := now.Add(-v.window), now.Add(v.window)
	if m.Time.Before(earliest) {
		return &MismatchError{fmt.Sprintf("Signature expired: %s is now earlier than %s (%s - %s)", m.timestamp,
			earliest.Format(timestampLayout), now.Format(timestampLayout), minutes(v.window))}
	}
	if m.Time.After(latest) {
		return &MismatchError{fmt.Sprintf("Signature not yet current: %s is still later than %s (%s + %s)", m.timestamp,
			latest.Format(timestampLayout), now.Format(timestampLayout), minutes(v.window))}
	}
	return nil
}

func minutes(d time.Duration) string {
	if d%time.Minute == 0 {
		return fmt.Sprintf("%d min.", d/time.Minute)
	}
	return fmt.Sprintf("%d sec.", d/time.Second)
}

// checkSigned demands that the host and every X-Amz header are signed. Others, such as amz-sdk-request, may go unsigned.
func checkSigned(r *Request, m *Material) error {
	if !m.signs("host") && !m.signs(":authority") {
		return &MismatchError{"'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization."}
	}
	for key := range r.Header {
		const prefix = "X-Amz-"
		if len(key) > len(prefix) && isFold(key[:len(prefix)], prefix) && !m.signs(key) {
			return &MismatchError{"'" + printable(key, maxEcho) + "' must be a 'SignedHeader' in the AWS Authorization."}
		}
	}
	return nil
}

// signs reports whether a header is in the list of signed ones. The list is lower-case; name need not be.
func (m *Material) signs(name string) bool {
	for rest, more := m.SignedHeaders, true; more; {
		var signed string
		if signed, rest, more = strings.Cut(rest, ";"); isFold(name, signed) {
			return true
		}
	}
	return false
}
