package saml

// Claim is what a response says of itself before anything of it is proven. It chooses whose keys have to prove it, and nothing else.
type Claim struct {
	Issuer       string   // of the response, or else of a plain assertion; may be empty
	InResponseTo string   // of the response
	Providers    []string // ARNs of the providers that a plain assertion's Role attribute names, each once
}

// ReadClaim reads what a response claims. The error matches ErrEncoding and ErrMalformed.
func ReadClaim(response string) (*Claim, error) {
	root, err := parseResponse(response)
	if err != nil {
		return nil, err
	}
	c := &Claim{}
	c.InResponseTo, _ = root.attr("InResponseTo")
	assertion, err := root.optional(assertionNamespace, "Assertion")
	if err != nil {
		return nil, err
	}
	for _, n := range []*node{root, assertion} {
		if n == nil || c.Issuer != "" {
			continue
		}
		issuer, err := n.optional(assertionNamespace, "Issuer")
		if err != nil {
			return nil, err
		}
		if issuer != nil {
			if c.Issuer, err = issuer.value(); err != nil {
				return nil, err
			}
		}
	}
	if assertion != nil {
		err = c.readProviders(assertion)
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}

func (c *Claim) readProviders(assertion *node) error {
	var a Assertion
	if err := a.readAttributes(assertion); err != nil {
		return err
	}
	for _, value := range a.attributes[attributePrefix+"Role"] {
		if pair, ok := rolePair(value); ok && !contains(c.Providers, pair.Provider) {
			c.Providers = append(c.Providers, pair.Provider)
		}
	}
	return nil
}
