// Package saml verifies SAML 2.0 responses, reads the metadata of identity providers, and speaks to them: it makes signed requests for
// authentication and the metadata of this side.
//
// It owns the rules of the Web Browser SSO profile (SAML 2.0 Profiles, section 4.1) as AWS narrows them, of the bindings HTTP-Redirect and
// HTTP-POST, XML signatures and XML encryption. It knows no HTTP, keeps nothing and asks nobody: keys come from registered metadata and from
// the caller, as does the time. What an assertion permits, that it is used once, and whether somebody waits for it, are for others to judge.
//
// A response is hostile until proven. Three rules keep it harmless:
//
//   - One parser, one tree. The bytes are parsed once, by a parser that takes much less than XML: no document type, no entities, no
//     processing instructions, no comments, bounded in every direction. Signatures are checked over the canonical form of that tree and
//     values are read from that tree, so there are no two readings that could differ.
//   - A value is read only from the element that a signature covers, found by its place: the response's only assertion. Nothing is
//     looked up by its ID.
//   - Only what is needed is understood: exclusive canonicalization, RSA and ECDSA with SHA-2, RSA-OAEP, AES. All else is refused.
package saml
