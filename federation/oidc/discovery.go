package oidc

import (
	"net/url"
	"slices"
)

// maxDiscoveryValues bounds the JSON values of a discovery document.
const maxDiscoveryValues = 2_000

// ParseDiscovery returns where an issuer says its keys are (OpenID Connect Discovery 1.0 sections 3 and 4.3). A document that names
// another issuer is refused: it would be somebody else's. The error matches ErrUnusable.
func ParseDiscovery(document []byte, issuer string) (jwksURI string, err error) {
	root, err := parseObject(string(document), maxDiscoveryValues)
	if err != nil {
		return "", unusable("discovery document is " + err.Error())
	}
	if named, _ := root.string("issuer"); named != issuer {
		return "", unusable("discovery document names another issuer")
	}
	jwksURI, _ = root.string("jwks_uri")
	if jwksURI == "" {
		return "", unusable("discovery document has no jwks_uri")
	}
	return jwksURI, nil
}

// Endpoints is where an issuer signs people in (OpenID Connect Discovery 1.0 section 3).
type Endpoints struct {
	Authorization string // URL that the browser is sent to
	Token         string // URL that codes are exchanged at
	Basic         bool   // the client's secret goes into the Authorization header, and not into the form
	NamesIssuer   bool   // an authorization response has to name the issuer (RFC 9207 section 3)
}

// ParseEndpoints reads a discovery document as ParseDiscovery does. The error matches ErrUnusable.
func ParseEndpoints(document []byte, issuer string) (*Endpoints, error) {
	root, err := parseObject(string(document), maxDiscoveryValues)
	if err != nil {
		return nil, unusable("discovery document is " + err.Error())
	}
	if named, _ := root.string("issuer"); named != issuer {
		return nil, unusable("discovery document names another issuer")
	}
	e := &Endpoints{Basic: true} // client_secret_basic is what an issuer takes that does not say
	e.Authorization, _ = root.string("authorization_endpoint")
	e.Token, _ = root.string("token_endpoint")
	for name, text := range map[string]string{"authorization_endpoint": e.Authorization, "token_endpoint": e.Token} {
		if u, err := url.Parse(text); err != nil || u.Scheme != "https" && !(u.Scheme == "http" && IsLoopbackHost(u.Hostname())) ||
			u.Host == "" || u.User != nil || u.Fragment != "" {
			return nil, unusable("discovery document has no " + name + " that is an https URL")
		}
	}
	if methods := root.get("token_endpoint_auth_methods_supported"); methods != nil {
		list, _ := texts(methods)
		e.Basic = slices.Contains(list, "client_secret_basic")
	}
	if named := root.get("authorization_response_iss_parameter_supported"); named != nil {
		e.NamesIssuer = named.kind == boolean && named.text == "true"
	}
	return e, nil
}

// ParseTokenResponse returns the ID token of a successful token response (OpenID Connect Core 1.0 section 3.1.3.3). What else there is,
// access and refresh tokens, is nobody's here. The error matches ErrUnusable.
func ParseTokenResponse(document []byte) (idToken string, err error) {
	root, err := parseObject(string(document), maxDiscoveryValues)
	if err != nil {
		return "", unusable("token response is " + err.Error())
	}
	if idToken, _ = root.string("id_token"); idToken == "" || len(idToken) > MaxTokenSize {
		return "", unusable("token response has no ID token")
	}
	return idToken, nil
}
