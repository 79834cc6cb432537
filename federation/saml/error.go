package saml

import (
	"errors"
	"fmt"
	"time"
)

// Errors of Verify and ParseMetadata. Their texts name the check that failed, for audit and operators, and quote nothing of a response;
// which of them a caller sees is the operation's to decide.
var (
	// ErrEncoding says that a text is not base64.
	ErrEncoding = errors.New("not base64")
	// ErrMalformed says that a document is not XML of the strict form that is taken here, or not of the form of its kind.
	ErrMalformed = errors.New("malformed")
	// ErrUntrusted says that nothing of the response that counts is signed by a key of the provider.
	ErrUntrusted = errors.New("not signed by a trusted key")
	// ErrDecryption says that an assertion cannot be decrypted, or must come encrypted and does not. It never tells why.
	ErrDecryption = errors.New("assertion cannot be decrypted")
	// ErrRejected says that the identity provider reports a status other than success.
	ErrRejected = errors.New("identity provider reports no success")
	// ErrIssuer says that another identity provider issued the response.
	ErrIssuer = errors.New("issuer is not the provider's")
	// ErrAudience says that the assertion was issued for somebody else.
	ErrAudience = errors.New("audience is not ours")
	// ErrRecipient says that the response was to be delivered elsewhere.
	ErrRecipient = errors.New("recipient is not ours")
	// ErrInResponseTo says that the response and its assertion answer different requests.
	ErrInResponseTo = errors.New("response and assertion answer different requests")
	// ErrNotYetValid says that the assertion begins in the future.
	ErrNotYetValid = errors.New("assertion is not valid yet")
	// ErrStale says that a genuine assertion was issued too long ago to be redeemed.
	ErrStale = errors.New("assertion was issued too long ago")
	// ErrSubject says that a genuine assertion does not name its subject.
	ErrSubject = errors.New("assertion has no usable NameID")
	// ErrProviderExpired says that the provider's metadata is past its validUntil.
	ErrProviderExpired = errors.New("metadata is no longer valid")
)

// ExpiredError tells what of a genuine assertion expired, and when.
type ExpiredError struct {
	What           string // "Conditions"
	Now, ExpiresAt time.Time
}

// Error names what expired and both times.
func (e *ExpiredError) Error() string {
	return fmt.Sprintf("%s expired at %s, now %s", e.What, e.ExpiresAt.UTC().Format(time.RFC3339), e.Now.UTC().Format(time.RFC3339))
}

func malformed(reason string) error { return fmt.Errorf("%w: %s", ErrMalformed, reason) }
func untrusted(reason string) error { return fmt.Errorf("%w: %s", ErrUntrusted, reason) }
