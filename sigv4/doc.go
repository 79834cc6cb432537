// Package sigv4 is AWS Signature Version 4: Parse and Verifier are the server's side, Sign and Presign the client's.
//
// It owns the syntax of the authentication material (header and presigned form), the credential scope and clock rules, the
// canonical request and the signature itself. Whose key an access key id is, whether the session token belongs to it, and
// which AWS error a failure becomes is authn's matter. A server calls, in this order, so that failures read as they do on AWS:
//
//	m, err := sigv4.Parse(r)               // ErrMissing, *SyntaxError
//	key, err := lookup(m.AccessKeyID, …)   // the caller's; VerifyUnknown when there is no such key
//	err = v.CheckScope(r, m, service)      // *MismatchError
//	err = v.Verify(r, m, key.Secret)       // *MismatchError
//
// Sources: "Create a signed AWS API request" and "Signature Version 4 signing process" in the AWS IAM User Guide; texts as
// AWS STS answers them.
package sigv4
