// Package fetch is how stint reads what identity providers publish: guarded HTTP, and the keys of OpenID Connect issuers on top of
// it.
//
// A URL comes from whoever may register a provider, so a fetch is an attack on the network that stint stands in until proven
// otherwise (OWASP, "Server-Side Request Forgery Prevention"): https only, addresses checked when they are dialled and not when
// they are resolved, no redirects, no proxies, no cookies, no compression, bounds on time, size and number. What comes back is given
// to its parser and shown to nobody.
//
// Keys implements oidc.Keys: OpenID Connect Discovery 1.0, caches with the bounds of AWS STS's behaviour, one fetch for many waiters.
package fetch
