package saml

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	_ "crypto/sha256" // the hashes of the table below
	_ "crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"math/big"
	"strings"
)

// Name spaces and algorithms (W3C XML Signature, RFC 9231).
const (
	dsigNamespace      = "http://www.w3.org/2000/09/xmldsig#"
	envelopedSignature = "http://www.w3.org/2000/09/xmldsig#enveloped-signature"
	exclusiveCanonical = "http://www.w3.org/2001/10/xml-exc-c14n#" // of the PrefixList too
)

// signatureMethods are the algorithms that are taken; SHA-1, HMAC and DSA are not. ECDSA takes the curves that its keys may have.
var signatureMethods = map[string]struct {
	hash  crypto.Hash
	curve bool // ECDSA
}{
	"http://www.w3.org/2001/04/xmldsig-more#rsa-sha256":   {crypto.SHA256, false},
	"http://www.w3.org/2001/04/xmldsig-more#rsa-sha384":   {crypto.SHA384, false},
	"http://www.w3.org/2001/04/xmldsig-more#rsa-sha512":   {crypto.SHA512, false},
	"http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256": {crypto.SHA256, true},
	"http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384": {crypto.SHA384, true},
	"http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha512": {crypto.SHA512, true},
}

var digestMethods = map[string]crypto.Hash{
	"http://www.w3.org/2001/04/xmlenc#sha256":       crypto.SHA256,
	"http://www.w3.org/2001/04/xmldsig-more#sha384": crypto.SHA384,
	"http://www.w3.org/2001/04/xmlenc#sha512":       crypto.SHA512,
}

// verifySignature checks the signature that stands in n, which must cover n, whole and alone. It returns false when n has no signature.
// What it accepts proves the tree below n, but for the Signature element itself.
func verifySignature(n *node, id string, keys []crypto.PublicKey) (signed bool, err error) {
	signature, err := n.optional(dsigNamespace, "Signature")
	if err != nil || signature == nil {
		return false, err
	}
	info, value, err := signatureParts(signature)
	if err != nil {
		return false, err
	}
	if err := verifyReference(info, n, signature, id); err != nil {
		return false, err
	}
	return true, verifyInfo(info, value, keys)
}

// signatureParts returns SignedInfo and the signature's value. KeyInfo says who claims to have signed, and is not asked; Objects, which
// could hold an assertion, are refused.
func signatureParts(signature *node) (*node, []byte, error) {
	for _, k := range signature.kids {
		if k.local != "" && !k.is(dsigNamespace, "SignedInfo") && !k.is(dsigNamespace, "SignatureValue") && !k.is(dsigNamespace, "KeyInfo") {
			return nil, nil, untrusted("unexpected element in Signature")
		}
	}
	info, err := signature.one(dsigNamespace, "SignedInfo")
	if err != nil {
		return nil, nil, err
	}
	element, err := signature.one(dsigNamespace, "SignatureValue")
	if err != nil {
		return nil, nil, err
	}
	value, err := base64Value(element)
	return info, value, err
}

// verifyReference checks that SignedInfo refers to n and to nothing else, and that n is what was digested.
func verifyReference(info, n, signature *node, id string) error {
	ref, err := info.one(dsigNamespace, "Reference")
	if err != nil {
		return err
	}
	if uri, ok := ref.attr("URI"); !ok || id == "" || uri != "#"+id {
		return untrusted("reference is not to the parent element")
	}
	prefixes, err := referenceTransforms(ref)
	if err != nil {
		return err
	}
	method, err := algorithm(ref, "DigestMethod")
	if err != nil {
		return err
	}
	hash, ok := digestMethods[method]
	if !ok {
		return untrusted("digest algorithm is not accepted")
	}
	element, err := ref.one(dsigNamespace, "DigestValue")
	if err != nil {
		return err
	}
	want, err := base64Value(element)
	if err != nil {
		return err
	}
	h := hash.New()
	if err := canonicalize(h, n, signature, prefixes); err != nil {
		return err
	}
	if subtle.ConstantTimeCompare(h.Sum(nil), want) != 1 {
		return untrusted("digest differs")
	}
	return nil
}

// referenceTransforms accepts the enveloped-signature transform followed by exclusive canonicalization, and returns its prefixes.
func referenceTransforms(ref *node) ([]string, error) {
	list, err := ref.one(dsigNamespace, "Transforms")
	if err != nil {
		return nil, err
	}
	transforms := list.elements(dsigNamespace, "Transform")
	if len(transforms) != 2 {
		return nil, untrusted("transforms are not enveloped-signature and exclusive canonicalization")
	}
	first, _ := transforms[0].attr("Algorithm")
	second, _ := transforms[1].attr("Algorithm")
	if first != envelopedSignature || second != exclusiveCanonical {
		return nil, untrusted("transforms are not enveloped-signature and exclusive canonicalization")
	}
	return prefixList(transforms[1])
}

// prefixList returns the prefixes of an InclusiveNamespaces parameter (Exclusive XML Canonicalization 1.0, section 3.1).
func prefixList(method *node) ([]string, error) {
	list, err := method.optional(exclusiveCanonical, "InclusiveNamespaces")
	if err != nil || list == nil {
		return nil, err
	}
	text, _ := list.attr("PrefixList")
	prefixes := strings.Fields(text)
	if len(prefixes) > maxPrefixes {
		return nil, untrusted("too many inclusive prefixes")
	}
	for i, p := range prefixes {
		if p == "#default" {
			prefixes[i] = ""
		}
	}
	return prefixes, nil
}

// verifyInfo checks the signature over SignedInfo with each key.
func verifyInfo(info *node, value []byte, keys []crypto.PublicKey) error {
	method, err := info.one(dsigNamespace, "CanonicalizationMethod")
	if err != nil {
		return err
	}
	if a, _ := method.attr("Algorithm"); a != exclusiveCanonical {
		return untrusted("canonicalization is not accepted")
	}
	prefixes, err := prefixList(method)
	if err != nil {
		return err
	}
	name, err := algorithm(info, "SignatureMethod")
	if err != nil {
		return err
	}
	accepted, ok := signatureMethods[name]
	if !ok {
		return untrusted("signature algorithm is not accepted")
	}
	h := accepted.hash.New()
	if err := canonicalize(h, info, nil, prefixes); err != nil {
		return err
	}
	digest := h.Sum(nil)
	for _, key := range keys {
		if verifiedBy(key, accepted.hash, accepted.curve, digest, value) {
			return nil
		}
	}
	return untrusted("no key of the provider made the signature")
}

func verifiedBy(key crypto.PublicKey, hash crypto.Hash, curve bool, digest, value []byte) bool {
	switch k := key.(type) {
	case *rsa.PublicKey:
		return !curve && rsa.VerifyPKCS1v15(k, hash, digest, value) == nil
	case *ecdsa.PublicKey:
		size := (k.Params().BitSize + 7) / 8 // r and s, side by side (XML Signature 1.1, section 6.4.3)
		if !curve || len(value) != 2*size {
			return false
		}
		return ecdsa.Verify(k, digest, new(big.Int).SetBytes(value[:size]), new(big.Int).SetBytes(value[size:]))
	default:
		return false
	}
}

// algorithm returns the Algorithm of the only child element of that name, which takes no parameters.
func algorithm(n *node, local string) (string, error) {
	method, err := n.one(dsigNamespace, local)
	if err != nil {
		return "", err
	}
	for _, k := range method.kids {
		if k.local != "" {
			return "", untrusted(local + " has parameters")
		}
	}
	a, _ := method.attr("Algorithm")
	return a, nil
}

// base64Value decodes an element's text. White space, which many providers put between lines, does not count; trailing bits do.
func base64Value(n *node) ([]byte, error) {
	text, err := n.value()
	if err != nil {
		return nil, err
	}
	decoded, err := base64.StdEncoding.Strict().DecodeString(withoutSpace(text))
	if err != nil || len(decoded) == 0 {
		return nil, malformed(n.local + " is not base64")
	}
	return decoded, nil
}

func withoutSpace(s string) string {
	if !strings.ContainsAny(s, " \t\r\n") {
		return s
	}
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r < 0x80 && isSpace(byte(r)) }), "")
}
