// Package oidc verifies web identity tokens: the ID tokens of OpenID Connect issuers, and what looks like them (Kubernetes
// service account tokens, tokens of CI systems, SPIFFE JWT-SVIDs).
//
// It owns the form of a token, the choice of its key, the rules for its claims, and what the claims mean to AWS: condition keys,
// session tags, source identity, roles. It knows no HTTP: keys come through the interface Keys, which federation/fetch
// implements. Which issuer is registered in which account is iam's matter, whether a role trusts it sts's.
//
// Parse, before any look-up, takes the token apart; the issuer that it finds selects a registered Provider and nothing else. Verify
// then checks signature first, meaning second.
//
// Sources: OpenID Connect Core 1.0 sections 2 and 3.1.3.7; RFC 7515 (JWS), 7517 (JWK), 7518 (JWA), 7519 (JWT); RFC 8725 (JWT best
// current practices); AWS STS API Reference, "AssumeRoleWithWebIdentity"; AWS IAM User Guide, "OIDC federation".
package oidc
