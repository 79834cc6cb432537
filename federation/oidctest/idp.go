// Package oidctest is an OpenID Connect issuer for tests: on loopback, with real keys, and as badly behaved as a test wants.
package oidctest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"
)

// IdP is an issuer that publishes a discovery document and the keys that it signs with. It is safe for concurrent use.
type IdP struct {
	URL string // the issuer

	t      testing.TB
	server *httptest.Server

	mu          sync.Mutex
	generation  int
	keys        map[string]*Key // by algorithm
	published   []map[string]any
	header      http.Header
	intercept   func(http.ResponseWriter, *http.Request) bool
	discoveries int
	keySets     int
	login       *Login
	grants      map[string]grant // by code
}

// Paths of the documents.
const (
	DiscoveryPath = "/.well-known/openid-configuration"
	KeysPath      = "/keys"
)

// New starts an issuer by http until the test ends. It has a key for each of RS256, ES256, ES384 and ES512; the one for RS256 it
// shares with other issuers of its generation.
func New(t testing.TB) *IdP {
	p := newIdP(t)
	p.server.Start()
	p.URL = p.server.URL
	return p
}

// NewTLS is New by https, with a certificate that only Roots vouch for.
func NewTLS(t testing.TB) *IdP {
	p := newIdP(t)
	p.server.StartTLS()
	p.URL = p.server.URL
	return p
}

func newIdP(t testing.TB) *IdP {
	t.Helper()
	p := &IdP{t: t, header: make(http.Header)}
	p.server = httptest.NewUnstartedServer(http.HandlerFunc(p.serve))
	p.server.Config.ErrorLog = nil
	t.Cleanup(func() { p.server.Close() })
	p.Rotate()
	return p
}

// Certificate is what an issuer with TLS shows.
func (p *IdP) Certificate() *x509.Certificate { return p.server.Certificate() }

// Roots vouch for the certificate of an issuer with TLS.
func (p *IdP) Roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(p.Certificate())
	return pool
}

// PEM is the certificate of an issuer with TLS as a file of certificate authorities holds it.
func (p *IdP) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.Certificate().Raw})
}

// Rotate makes new keys with new ids, and publishes them instead of the old ones.
func (p *IdP) Rotate() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keys = map[string]*Key{"RS256": {ID: fmt.Sprintf("RS256-%d", p.generation), Algorithm: "RS256", Signer: rsaKey(p.generation)}}
	for _, algorithm := range []string{"ES256", "ES384", "ES512"} {
		p.keys[algorithm] = NewKey(algorithm, fmt.Sprintf("%s-%d", algorithm, p.generation))
	}
	p.generation++
	p.published = nil
	for _, algorithm := range slices.Sorted(maps.Keys(p.keys)) {
		p.published = append(p.published, p.keys[algorithm].JWK())
	}
}

// Publish replaces the published keys, without changing those that sign.
func (p *IdP) Publish(keys ...map[string]any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.published = keys
}

// Key is the key that signs by the algorithm.
func (p *IdP) Key(algorithm string) *Key {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.keys[algorithm]
}

// SetHeader sets a header of the answers from now on.
func (p *IdP) SetHeader(name, value string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.header.Set(name, value)
}

// Intercept lets f answer requests from now on, those for which it returns true; nil: none.
func (p *IdP) Intercept(f func(http.ResponseWriter, *http.Request) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.intercept = f
}

// Fetches counts the requests for the two documents so far.
func (p *IdP) Fetches() (discoveries, keySets int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.discoveries, p.keySets
}

func (p *IdP) serve(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	intercept := p.intercept
	maps.Copy(w.Header(), p.header)
	var document any
	switch r.URL.Path {
	case DiscoveryPath:
		p.discoveries++
		document = map[string]any{"issuer": p.URL, "jwks_uri": p.URL + KeysPath}
		if p.login != nil {
			document = map[string]any{
				"issuer": p.URL, "jwks_uri": p.URL + KeysPath, "authorization_endpoint": p.URL + AuthorizationPath, "token_endpoint": p.URL + TokenPath,
				"authorization_response_iss_parameter_supported": true,
			}
		}
	case KeysPath:
		p.keySets++
		document = map[string]any{"keys": p.published}
	}
	login := p.login
	p.mu.Unlock()
	switch {
	case intercept != nil && intercept(w, r):
	case login != nil && r.URL.Path == AuthorizationPath:
		p.authorize(login, w, r)
	case login != nil && r.URL.Path == TokenPath:
		p.token(login, w, r)
	case document == nil:
		http.NotFound(w, r)
	default:
		_ = json.NewEncoder(w).Encode(document)
	}
}

// KeySet is the document with the published keys.
func (p *IdP) KeySet() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return mustJSON(map[string]any{"keys": p.published})
}

// Claims are the claims of a good token for the audience, from now on for ten minutes.
func (p *IdP) Claims(audience, subject string, now time.Time) map[string]any {
	return map[string]any{
		"iss": p.URL, "aud": audience, "sub": subject, "iat": now.Unix(), "exp": now.Add(10 * time.Minute).Unix(),
	}
}

// Token signs claims with the issuer's key of the algorithm.
func (p *IdP) Token(algorithm string, claims map[string]any) string {
	return p.Key(algorithm).Token(claims)
}

// Key is a private key.
type Key struct {
	ID        string
	Algorithm string
	Signer    crypto.Signer
}

// NewKey makes a key for the algorithm, which nobody else has.
func NewKey(algorithm, id string) *Key {
	k := &Key{ID: id, Algorithm: algorithm}
	switch algorithm {
	case "ES256":
		k.Signer = must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	case "ES384":
		k.Signer = must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))
	case "ES512":
		k.Signer = must(ecdsa.GenerateKey(elliptic.P521(), rand.Reader))
	default:
		k.Signer = must(rsa.GenerateKey(rand.Reader, 2048))
	}
	return k
}

// rsaKeys are the RSA keys of issuers by generation. All issuers have the same, because making one takes long.
var rsaKeys struct {
	sync.Mutex
	keys []*rsa.PrivateKey
}

func rsaKey(generation int) *rsa.PrivateKey {
	rsaKeys.Lock()
	defer rsaKeys.Unlock()
	for len(rsaKeys.keys) <= generation {
		rsaKeys.keys = append(rsaKeys.keys, must(rsa.GenerateKey(rand.Reader, 2048)))
	}
	return rsaKeys.keys[generation]
}

// JWK is the public key as a JWK set lists it.
func (k *Key) JWK() map[string]any {
	jwk := map[string]any{"kid": k.ID, "use": "sig", "alg": k.Algorithm}
	switch public := k.Signer.Public().(type) {
	case *rsa.PublicKey:
		jwk["kty"], jwk["n"], jwk["e"] = "RSA", encode(public.N.Bytes()), encode(big.NewInt(int64(public.E)).Bytes())
	case *ecdsa.PublicKey:
		point := must(public.Bytes())[1:]
		jwk["kty"], jwk["crv"] = "EC", public.Params().Name
		jwk["x"], jwk["y"] = encode(point[:len(point)/2]), encode(point[len(point)/2:])
	}
	return jwk
}

// Token signs claims, with the header that issuers usually write.
func (k *Key) Token(claims map[string]any) string {
	return k.Sign(map[string]any{"alg": k.Algorithm, "kid": k.ID, "typ": "JWT"}, mustJSON(claims))
}

// Sign signs any payload under any header, by the key's own algorithm whatever the header says.
func (k *Key) Sign(header map[string]any, payload []byte) string {
	return k.SignRaw(mustJSON(header), payload)
}

// SignRaw is Sign with the header as it is to be written.
func (k *Key) SignRaw(header, payload []byte) string {
	signed := encode(header) + "." + encode(payload)
	hash := crypto.SHA256
	digest := sum256(signed)
	switch k.Algorithm[2:] {
	case "384":
		hash, digest = crypto.SHA384, sum384(signed)
	case "512":
		hash, digest = crypto.SHA512, sum512(signed)
	}
	private, isEC := k.Signer.(*ecdsa.PrivateKey)
	if !isEC {
		return signed + "." + encode(must(k.Signer.Sign(rand.Reader, digest, hash)))
	}
	r, s, err := ecdsa.Sign(rand.Reader, private, digest)
	if err != nil {
		panic(err)
	}
	size := (private.Params().BitSize + 7) / 8
	signature := make([]byte, 2*size)
	r.FillBytes(signature[:size])
	s.FillBytes(signature[size:])
	return signed + "." + encode(signature)
}

func sum256(s string) []byte { d := sha256.Sum256([]byte(s)); return d[:] }
func sum384(s string) []byte { d := sha512.Sum384([]byte(s)); return d[:] }
func sum512(s string) []byte { d := sha512.Sum512([]byte(s)); return d[:] }

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func mustJSON(v any) []byte { return must(json.Marshal(v)) }

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
