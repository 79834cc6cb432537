package sigv4

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/stint-sts/stint/secret"
)

// Config configures a Verifier.
type Config struct {
	Services  []string         // credential scope services accepted, for example "sts" and "iam"; required
	Regions   []string         // credential scope regions accepted; default: any syntactically valid one
	Window    time.Duration    // how far the request time may be from Now, either way; default 15 minutes
	Now       func() time.Time // default time.Now
	CacheSize int              // bound on cached SigV4 signing keys; default 4096
}

// Verifier checks scope, clock and signature of requests. It is safe for concurrent use.
type Verifier struct {
	services []string
	regions  []string
	window   time.Duration
	now      func() time.Time
	keys     *keyCache
}

// New returns a Verifier, or an error when cfg lacks services or has a negative bound.
func New(cfg Config) (*Verifier, error) {
	if len(cfg.Services) == 0 {
		return nil, errors.New("sigv4: no services configured")
	}
	if cfg.Window < 0 || cfg.CacheSize < 0 {
		return nil, errors.New("sigv4: negative window or cache size")
	}
	v := &Verifier{
		services: slices.Clone(cfg.Services),
		regions:  slices.Clone(cfg.Regions),
		window:   cfg.Window,
		now:      cfg.Now,
	}
	if v.window == 0 {
		v.window = 15 * time.Minute
	}
	if v.now == nil {
		v.now = time.Now
	}
	if cfg.CacheSize == 0 {
		cfg.CacheSize = 4096
	}
	v.keys = newKeyCache(cfg.CacheSize)
	return v, nil
}

// Verify checks the signature of r under the secret access key of m.AccessKeyID. It refuses material that CheckScope has
// not accepted, and an empty secret. It takes the same time for every wrong signature, whether or not the signing key was
// cached. The error is a *MismatchError.
func (v *Verifier) Verify(r *Request, m *Material, secretKey secret.String) error {
	if secretKey.IsZero() || !m.inScope {
		v.VerifyUnknown(r, m)
		return wrongSignature
	}
	s := scratches.Get().(*scratch)
	defer s.release()
	key, cached := v.keys.get(m, secretKey)
	if !cached {
		key = s.signingKey(secretKey.Reveal(), m.Date, m.Region, m.Service)
	}
	if !s.matches(r, m, &key) {
		if cached {
			// A quick refusal would tell that the id exists and is in use.
			s.signingKey(secretKey.Reveal(), m.Date, m.Region, m.Service)
		}
		return wrongSignature
	}
	if !cached {
		v.keys.add(m, secretKey, key)
	}
	return nil
}

// VerifyUnknown takes the time of a Verify that fails, for an access key id that nobody has, so that the time of an answer
// does not tell which ids exist.
func (v *Verifier) VerifyUnknown(r *Request, m *Material) {
	s := scratches.Get().(*scratch)
	defer s.release()
	v.keys.get(m, secret.String{})
	key := s.signingKey("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", m.Date, m.Region, m.Service)
	s.matches(r, m, &key)
}

// matches reports whether m's signature is that of r under a signing key, and the payload hash that r names that of its
// body. UNSIGNED-PAYLOAD and STREAMING-… are no hashes, and so refused: they would leave a form's body unsigned.
func (s *scratch) matches(r *Request, m *Material, key *[32]byte) bool {
	sum := sha256.Sum256(r.Body)
	var space [2 * sha256.Size]byte
	payloadHash := hex.AppendEncode(space[:0], sum[:])
	if m.payloadHash.count > 0 && m.payloadHash.value != string(payloadHash) {
		return false
	}
	if s.matchesHost(r, m, r.Host, payloadHash, key) {
		return true
	}
	// SDKs sign the host without the scheme's default port; some HTTP libraries send it all the same.
	defaultPort := ":80"
	if r.TLS {
		defaultPort = ":443"
	}
	bare, found := strings.CutSuffix(r.Host, defaultPort)
	return found && s.matchesHost(r, m, bare, payloadHash, key)
}

func (s *scratch) matchesHost(r *Request, m *Material, host string, payloadHash []byte, key *[32]byte) bool {
	if !s.canonicalRequest(r, host, m.SignedHeaders, payloadHash) {
		return false
	}
	want := s.sign(key, m.timestamp, m.Date, m.Region, m.Service)
	return subtle.ConstantTimeCompare(want[:], m.signature[:]) == 1 && m.wellFormed
}
