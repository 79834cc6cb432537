package oidc

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
