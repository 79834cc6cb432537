// Package signer makes and checks temporary credentials: it mints identifiers, keeps the key ring, signs and verifies
// session tokens, derives secret access keys, and publishes the public keys.
//
// A session token is a JWT (RFC 7519) in JWS compact form (RFC 7515), optionally inside a JWE (RFC 7516). Three kinds of key
// never serve for one another: a token key signs, a derivation key makes secrets, a sealing key encrypts. A token names the
// derivation key of its session, but whoever holds the token, or a token key, cannot compute the secret.
//
// The package decides whether a token is stint's own, unaltered and unexpired. Whether the session was revoked, whether the
// request was signed with its access key and what it may do is left to authn and authz; where the ring lives, to the RingStore.
package signer
