package saml

import (
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rsa"
	_ "crypto/sha1" // inside RSA-OAEP it is no signature, and what xmlenc means by default
	"encoding/base64"
)

const (
	encNamespace   = "http://www.w3.org/2001/04/xmlenc#"
	enc11Namespace = "http://www.w3.org/2009/xmlenc11#"
)

// dataMethods are the ciphers of an assertion. CBC is not authenticated by itself.
var dataMethods = map[string]struct {
	keySize int
	cbc     bool
}{
	"http://www.w3.org/2009/xmlenc11#aes128-gcm":  {16, false},
	"http://www.w3.org/2009/xmlenc11#aes192-gcm":  {24, false},
	"http://www.w3.org/2009/xmlenc11#aes256-gcm":  {32, false},
	"http://www.w3.org/2001/04/xmlenc#aes128-cbc": {16, true},
	"http://www.w3.org/2001/04/xmlenc#aes192-cbc": {24, true},
	"http://www.w3.org/2001/04/xmlenc#aes256-cbc": {32, true},
}

// The two ways of RSA-OAEP. PKCS#1 v1.5, whose padding can be probed, is not there.
const (
	oaepMGF1SHA1 = "http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p"
	oaepAnyMGF   = "http://www.w3.org/2009/xmlenc11#rsa-oaep"
)

var oaepDigests = map[string]crypto.Hash{
	"http://www.w3.org/2000/09/xmldsig#sha1":        crypto.SHA1,
	"http://www.w3.org/2001/04/xmlenc#sha256":       crypto.SHA256,
	"http://www.w3.org/2001/04/xmldsig-more#sha384": crypto.SHA384,
	"http://www.w3.org/2001/04/xmlenc#sha512":       crypto.SHA512,
}

var maskGenerators = map[string]crypto.Hash{
	"http://www.w3.org/2009/xmlenc11#mgf1sha1":   crypto.SHA1,
	"http://www.w3.org/2009/xmlenc11#mgf1sha256": crypto.SHA256,
	"http://www.w3.org/2009/xmlenc11#mgf1sha384": crypto.SHA384,
	"http://www.w3.org/2009/xmlenc11#mgf1sha512": crypto.SHA512,
}

// maxEncryptedKeys bounds the private key operations that a response can cause.
const maxEncryptedKeys = 4

// decrypt returns the assertion that stands in an EncryptedAssertion. Authenticated tells that a signature which holds covers the
// ciphertext: only then CBC, which answers to altered ciphertext with telling differences, is looked at. Every failure reads the same.
func decrypt(encrypted *node, keys []*rsa.PrivateKey, authenticated bool) (*node, error) {
	data, err := encrypted.one(encNamespace, "EncryptedData")
	if err != nil {
		return nil, err
	}
	method, err := data.one(encNamespace, "EncryptionMethod")
	if err != nil {
		return nil, err
	}
	name, _ := method.attr("Algorithm")
	m, ok := dataMethods[name]
	if !ok || m.cbc && !authenticated {
		return nil, ErrDecryption
	}
	ciphertext, err := cipherValue(data)
	if err != nil {
		return nil, err
	}
	wrapped, err := encryptedKeys(encrypted, data)
	if err != nil {
		return nil, err
	}
	for _, w := range wrapped {
		for _, private := range keys {
			key, ok := unwrap(w, private)
			if !ok || len(key) != m.keySize {
				continue
			}
			plain, ok := open(key, ciphertext, m.cbc)
			if !ok {
				continue
			}
			// Name spaces that the response declares are in force in the plaintext (XML Encryption 1.1, section 4.5).
			n, err := parse(string(plain), encrypted, false)
			if err != nil || !n.is(assertionNamespace, "Assertion") {
				return nil, ErrDecryption
			}
			return n, nil
		}
	}
	return nil, ErrDecryption
}

// encryptedKeys finds the wrapped keys in the two places where providers put them: in EncryptedData's KeyInfo and beside EncryptedData.
func encryptedKeys(encrypted, data *node) ([]*node, error) {
	wrapped := encrypted.elements(encNamespace, "EncryptedKey")
	info, err := data.optional(dsigNamespace, "KeyInfo")
	if err != nil {
		return nil, err
	}
	if info != nil {
		wrapped = append(wrapped, info.elements(encNamespace, "EncryptedKey")...)
	}
	if len(wrapped) > maxEncryptedKeys {
		return nil, malformed("too many EncryptedKey")
	}
	return wrapped, nil
}

// unwrap decrypts a wrapped key by RSA-OAEP (RFC 8017, section 7.1).
func unwrap(wrapped *node, private *rsa.PrivateKey) (key []byte, ok bool) {
	method, err := wrapped.one(encNamespace, "EncryptionMethod")
	if err != nil {
		return nil, false
	}
	options, ok := oaepOptions(method)
	if !ok {
		return nil, false
	}
	ciphertext, err := cipherValue(wrapped)
	if err != nil || len(ciphertext) != private.Size() {
		return nil, false
	}
	key, err = private.Decrypt(nil, ciphertext, options)
	return key, err == nil
}

// oaepOptions reads an EncryptionMethod (XML Encryption 1.1, section 5.5.2).
func oaepOptions(method *node) (*rsa.OAEPOptions, bool) {
	options := &rsa.OAEPOptions{Hash: crypto.SHA1, MGFHash: crypto.SHA1}
	name, _ := method.attr("Algorithm")
	if name != oaepMGF1SHA1 && name != oaepAnyMGF {
		return nil, false
	}
	for _, k := range method.kids {
		var ok bool
		a, _ := k.attr("Algorithm")
		switch {
		case k.local == "":
			ok = true
		case k.is(dsigNamespace, "DigestMethod"):
			options.Hash, ok = oaepDigests[a]
		case k.is(enc11Namespace, "MGF") && name == oaepAnyMGF:
			options.MGFHash, ok = maskGenerators[a]
		case k.is(encNamespace, "OAEPparams"):
			var err error
			options.Label, err = base64Value(k)
			ok = err == nil
		}
		if !ok {
			return nil, false
		}
	}
	return options, true
}

func cipherValue(n *node) ([]byte, error) {
	data, err := n.one(encNamespace, "CipherData")
	if err != nil {
		return nil, err
	}
	value, err := data.one(encNamespace, "CipherValue")
	if err != nil {
		return nil, err
	}
	return base64Value(value)
}

// open decrypts nonce and ciphertext (XML Encryption 1.1, section 5.2).
func open(key, sealed []byte, cbc bool) ([]byte, bool) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, false
	}
	if cbc {
		return openCBC(block, sealed)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil || len(sealed) < aead.NonceSize()+aead.Overhead() {
		return nil, false
	}
	plain, err := aead.Open(nil, sealed[:aead.NonceSize()], sealed[aead.NonceSize():], nil)
	return plain, err == nil
}

// openCBC takes the padding off by its last byte: the bytes before it are arbitrary.
func openCBC(block cipher.Block, sealed []byte) ([]byte, bool) {
	size := block.BlockSize()
	if len(sealed) < 2*size || len(sealed)%size != 0 {
		return nil, false
	}
	plain := make([]byte, len(sealed)-size)
	cipher.NewCBCDecrypter(block, sealed[:size]).CryptBlocks(plain, sealed[size:])
	padding := int(plain[len(plain)-1])
	if padding < 1 || padding > size {
		return nil, false
	}
	return plain[:len(plain)-padding], true
}

// decodeResponse decodes the base64 of a whole response. Line breaks, which encoders put in, do not count.
func decodeResponse(text string) ([]byte, error) {
	decoded, err := base64.StdEncoding.Strict().DecodeString(withoutSpace(text))
	if err != nil {
		return nil, ErrEncoding
	}
	return decoded, nil
}
