package saml

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/big"
	"strings"
	"time"
)

// SigningKey is a key that requests are signed with, in the certificate that presents it to identity providers.
type SigningKey struct {
	Certificate []byte // DER

	key    crypto.Signer
	method string
}

// The algorithms that requests are signed by. All providers know the first one.
const (
	rsaSHA256    = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"
	ecdsaSHA256  = "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256"
	digestSHA256 = "http://www.w3.org/2001/04/xmlenc#sha256"
)

// NewSigningKey makes a signing key of a private key, RSA of 2048 to 8192 bits or of P-256. Of one key it always makes the same certificate:
// so nodes that share a key show one certificate, and keep none.
func NewSigningKey(key crypto.Signer) (SigningKey, error) {
	method := ""
	switch k := key.Public().(type) {
	case *rsa.PublicKey:
		if k.N.BitLen() >= minRSABits && k.N.BitLen() <= maxRSABits {
			method = rsaSHA256
		}
	case *ecdsa.PublicKey:
		if k.Curve == elliptic.P256() {
			method = ecdsaSHA256
		}
	}
	if method == "" {
		return SigningKey{}, errors.New("signing key is neither RSA of 2048 to 8192 bits nor of P-256")
	}
	certificate, err := container(key)
	return SigningKey{Certificate: certificate, key: key, method: method}, err
}

// container makes the certificate that carries a public key in metadata. Nothing in it is a statement but the key (SAML V2.0 Metadata
// Interoperability Profile, section 2.6.1); its end is far off because some providers look at it. Without randomness RSA's PKCS #1 v1.5 and
// ECDSA (RFC 6979) sign alike every time.
func container(key crypto.Signer) ([]byte, error) {
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	sum := sha256.Sum256(public)
	template := &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(sum[:16]),
		Subject:      pkix.Name{CommonName: "stint"},
		NotBefore:    time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:     time.Date(2049, 12, 31, 23, 59, 59, 0, time.UTC),
	}
	der, err := x509.CreateCertificate(nil, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	return der, nil
}

// sign signs a text, and returns the value as XML Signature has it.
func (k *SigningKey) sign(text []byte, random io.Reader) ([]byte, error) {
	digest := sha256.Sum256(text)
	value, err := k.key.Sign(random, digest[:], crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	if k.method == rsaSHA256 {
		return value, nil
	}
	var pair struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(value, &pair); err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	sideBySide := make([]byte, 64) // XML Signature 1.1, section 6.4.3
	pair.R.FillBytes(sideBySide[:32])
	pair.S.FillBytes(sideBySide[32:])
	return sideBySide, nil
}

// envelop signs a document with that ID, and puts the signature behind its Issuer, where the schema of SAML's messages has it.
func (k *SigningKey) envelop(document, id string, random io.Reader) (string, error) {
	root, err := parse(document, nil, false)
	if err != nil {
		return "", err
	}
	h := sha256.New()
	if err := canonicalize(h, root, nil, nil); err != nil {
		return "", err
	}
	info := signedInfo(id, k.method, h.Sum(nil))
	parsed, err := parse(info, nil, false)
	if err != nil {
		return "", err
	}
	var canonical bytes.Buffer
	if err := canonicalize(&canonical, parsed, nil, nil); err != nil {
		return "", err
	}
	value, err := k.sign(canonical.Bytes(), random)
	if err != nil {
		return "", err
	}
	before, after, found := strings.Cut(document, "</saml:Issuer>")
	if !found {
		return "", errors.New("sign: the document has no Issuer")
	}
	return before + "</saml:Issuer>" + k.signature(info, value) + after, nil
}

// signedInfo writes what is signed in place of a document: its digest, and how it was taken.
func signedInfo(id, method string, digest []byte) string {
	var w writer
	w.open("ds:SignedInfo", "xmlns:ds", dsigNamespace)
	w.leaf("ds:CanonicalizationMethod", "", "Algorithm", exclusiveCanonical)
	w.leaf("ds:SignatureMethod", "", "Algorithm", method)
	w.open("ds:Reference", "URI", "#"+id)
	w.open("ds:Transforms")
	w.leaf("ds:Transform", "", "Algorithm", envelopedSignature)
	w.leaf("ds:Transform", "", "Algorithm", exclusiveCanonical)
	w.close("ds:Transforms")
	w.leaf("ds:DigestMethod", "", "Algorithm", digestSHA256)
	w.leaf("ds:DigestValue", base64.StdEncoding.EncodeToString(digest))
	w.close("ds:Reference")
	w.close("ds:SignedInfo")
	return w.String()
}

func (k *SigningKey) signature(info string, value []byte) string {
	var w writer
	w.open("ds:Signature", "xmlns:ds", dsigNamespace)
	w.raw(info)
	w.leaf("ds:SignatureValue", base64.StdEncoding.EncodeToString(value))
	w.keyInfo(k.Certificate)
	w.close("ds:Signature")
	return w.String()
}
