package saml_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"testing"

	"github.com/stint-sts/stint/federation/saml"
	"github.com/stint-sts/stint/federation/samltest"
)

// BenchmarkVerify measures a response of usual size with everything that AWS defines, beside its floor: "floor" is one RSA verification and
// the canonical form of the assertion, hashed, and nothing else. What is above it is parsing, judging and reading.
func BenchmarkVerify(b *testing.B) {
	p := samltest.New(b, entity)
	key, _ := samltest.EncryptionKey(b)
	response := func() *samltest.Response {
		r := p.Good(now, acs)
		for name, values := range map[string][]string{
			"Role":              {"arn:aws:iam::111122223333:role/Dev,arn:aws:iam::111122223333:saml-provider/corp", "arn:aws:iam::111122223333:role/Ops,arn:aws:iam::111122223333:saml-provider/corp"},
			"PrincipalTag:Team": {"blue"}, "TransitiveTagKeys": {"Team"}, "SessionDuration": {"3600"}, "SourceIdentity": {"alice"},
		} {
			r.Attributes[samltest.AttributePrefix+name] = values
		}
		return r
	}
	encrypted, both := response(), response()
	encrypted.Encrypt = &samltest.Encryption{Cipher: "aes256-gcm", To: &key.PublicKey}
	both.SignResponse = true
	e := expected(b, p)
	e.Decryption = []*rsa.PrivateKey{key}

	b.Run("floor", func(b *testing.B) { floor(b, p, assertionOf(p.XML(b, response()))) })
	for _, row := range []struct {
		name     string
		response *samltest.Response
	}{{"assertion signed", response()}, {"both signed", both}, {"encrypted", encrypted}} {
		text := p.Encode(b, row.response)
		b.Run(row.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := saml.Verify(text, e); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func floor(b *testing.B, p *samltest.IdP, assertion string) {
	key := p.Key.(*rsa.PrivateKey)
	digest := sha256.Sum256([]byte(assertion))
	signature, err := key.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		b.Fatal(err)
	}
	write, err := saml.Canonical(assertion)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		h := sha256.New()
		if err := write(h); err != nil {
			b.Fatal(err)
		}
		h.Sum(digest[:0])
		if err := rsa.VerifyPKCS1v15(&key.PublicKey, crypto.SHA256, digest[:], signature); err != nil {
			b.Fatal(err)
		}
	}
}
