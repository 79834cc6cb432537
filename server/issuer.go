package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/iam"
	"github.com/stint-sts/stint/signer"
)

// issuers are the OpenID Connect issuers of this installation: one for each account that enabled outbound federation, below the
// public URL. All sign with the same keys; what tells them apart is the issuer that stint writes into each token.
type issuers struct {
	*signer.Signer
	directory *iam.Directory
	public    atomic.Pointer[string] // URL without a slash at the end
}

const issuerPath = "/oidc/"

// reachedBy sets the public URL.
func (i *issuers) reachedBy(public string) { i.public.Store(&public) }

// IssuerURL implements iam.Outbound.
func (i *issuers) IssuerURL(id string) string { return *i.public.Load() + issuerPath + id }

// Issuer implements sts.Identities.
func (i *issuers) Issuer(ctx context.Context, account string) (string, error) {
	o, err := i.directory.OutboundIssuer(ctx, account)
	if err != nil {
		return "", err
	}
	if !o.Enabled {
		return "", fmt.Errorf("outbound federation of %s is disabled: %w", account, authn.ErrUnknown)
	}
	return i.IssuerURL(o.ID), nil
}

// discovery is the metadata of an issuer (OpenID Connect Discovery 1.0 section 3). There is no authorization endpoint: tokens come
// from GetWebIdentityToken.
type discovery struct {
	Issuer        string   `json:"issuer"`
	JWKS          string   `json:"jwks_uri"`
	ResponseTypes []string `json:"response_types_supported"`
	SubjectTypes  []string `json:"subject_types_supported"`
	Algorithms    []string `json:"id_token_signing_alg_values_supported"`
	Claims        []string `json:"claims_supported"`
}

func newDiscovery(issuer, jwks string, algorithms, claims []string) *discovery {
	return &discovery{
		Issuer: issuer, JWKS: jwks, Algorithms: algorithms, Claims: claims,
		ResponseTypes: []string{"id_token"}, SubjectTypes: []string{"public"},
	}
}

const (
	discoveryPath = "/.well-known/openid-configuration"
	jwksPath      = "/.well-known/jwks.json"
)

// documentHandler serves what third parties and relying services read to verify tokens, and identity providers about this installation. It needs no authentication.
type documentHandler struct {
	issuers   *issuers
	algorithm string        // of session tokens
	places    chan struct{} // bounds the requests under way
	log       *slog.Logger
}

// maxDocuments is how many documents are served at the same time. Each takes microseconds, unless somebody guesses issuers.
const maxDocuments = 64

func (s *Server) documentHandler() http.Handler {
	h := &documentHandler{issuers: s.issuers, algorithm: s.cfg.TokenSigning, places: make(chan struct{}, maxDocuments), log: s.log}
	mux := http.NewServeMux()
	for path, document := range map[string]func(*http.Request) (contentType string, body []byte, err error){
		jwksPath:                            h.sessionKeys,
		discoveryPath:                       h.sessionDiscovery,
		issuerPath + "{id}" + jwksPath:      h.issuerKeys,
		issuerPath + "{id}" + discoveryPath: h.issuerDiscovery,
		metadataPath:                        s.saml.metadata,
	} {
		mux.Handle("GET "+path, h.serve(document)) // and HEAD
	}
	return mux
}

// isDocument reports whether the documentHandler has the path.
func isDocument(path string) bool {
	return strings.HasPrefix(path, "/.well-known/") || strings.HasPrefix(path, issuerPath) || path == metadataPath
}

func (h *documentHandler) serve(document func(*http.Request) (string, []byte, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case h.places <- struct{}{}:
			defer func() { <-h.places }()
		default:
			http.Error(w, "busy", http.StatusServiceUnavailable)
			return
		}
		contentType, body, err := document(r)
		switch {
		case errors.Is(err, iam.ErrNotFound):
			http.Error(w, "not found", http.StatusNotFound)
			return
		case err != nil:
			h.log.ErrorContext(r.Context(), "document", "path", r.Pattern, "error", err)
			http.Error(w, "temporary failure", http.StatusServiceUnavailable)
			return
		}
		header := w.Header()
		header.Set("Content-Type", contentType)
		header.Set("Cache-Control", "public, max-age="+strconv.Itoa(int(signer.IdentityKeysMaxAge.Seconds())))
		header.Set("Access-Control-Allow-Origin", "*") // public to pages in browsers too
		header.Set("X-Content-Type-Options", "nosniff")
		_, _ = w.Write(body)
	})
}

func (h *documentHandler) issuerKeys(r *http.Request) (string, []byte, error) {
	if _, err := h.issuers.directory.OutboundIssuerByID(r.Context(), r.PathValue("id")); err != nil {
		return "", nil, err
	}
	keys, err := h.issuers.IdentityJWKS(r.Context())
	return jwkSetType, keys, err
}

func (h *documentHandler) issuerDiscovery(r *http.Request) (string, []byte, error) {
	o, err := h.issuers.directory.OutboundIssuerByID(r.Context(), r.PathValue("id"))
	if err != nil {
		return "", nil, err
	}
	issuer := h.issuers.IssuerURL(o.ID)
	return encode(newDiscovery(issuer, issuer+jwksPath, signer.IdentityAlgorithms(),
		[]string{"iss", "sub", "aud", "iat", "exp", "jti", "https://sts.amazonaws.com/"}))
}

func (h *documentHandler) sessionKeys(*http.Request) (string, []byte, error) {
	return jwkSetType, h.issuers.JWKS(), nil
}

// sessionDiscovery leads relying services to the keys of session tokens, where those are public. Its issuer is the one that
// session tokens name, not the URL of the document: so no verifier of ID tokens accepts a session token on its strength.
func (h *documentHandler) sessionDiscovery(*http.Request) (string, []byte, error) {
	if h.algorithm == signer.HS256 {
		return "", nil, iam.ErrNotFound
	}
	return encode(newDiscovery(tokenIssuer, *h.issuers.public.Load()+jwksPath, []string{h.algorithm},
		[]string{"iss", "sub", "aud", "iat", "exp", "jti"}))
}

const jwkSetType = "application/jwk-set+json" // RFC 7517 section 8.5.2

func encode(d *discovery) (string, []byte, error) {
	body, err := json.Marshal(d)
	return "application/json", body, err
}

// publicURL is the configured public URL, or the one by which clients reach the listener of listen.http, whose port is the one
// of address. Who listens on all addresses is called localhost: what others call it is not known here.
func (c *Config) publicURL(address string) string {
	if c.PublicURL != "" {
		return c.PublicURL
	}
	host, _, err := net.SplitHostPort(c.ListenHTTP)
	_, port, err2 := net.SplitHostPort(address)
	if err != nil || err2 != nil {
		return "http://localhost" // check has refused such an address
	}
	if a, err := netip.ParseAddr(host); host == "" || err == nil && a.IsUnspecified() {
		host = "localhost"
	}
	scheme := "http"
	if c.TLSCert != "" {
		scheme = "https"
	}
	return scheme + "://" + net.JoinHostPort(host, port)
}

// setPublicURL accepts what can be the beginning of an issuer (OpenID Connect Core 1.0 section 2, "iss").
func setPublicURL(c *Config, value string) error {
	c.PublicURL = strings.TrimRight(value, "/")
	if value == "" {
		return nil
	}
	u, err := url.Parse(value)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.User != nil ||
		strings.ContainsAny(value, "?#") || u.Opaque != "" {
		return errors.New("must be a URL such as https://sts.example.com, without query and fragment")
	}
	return nil
}

// checkPublicURL refuses an issuer whose keys anybody on the way could replace.
func (c *Config) checkPublicURL() []fault {
	u, err := url.Parse(c.PublicURL)
	if err != nil || u.Scheme != "http" || c.InsecureHTTP {
		return nil
	}
	if loopback, err := isLoopback(net.JoinHostPort(u.Hostname(), "0")); err != nil || !loopback {
		return []fault{{"configuration", "public-url", "third parties fetch keys from it: use https, or say --insecure-http"}}
	}
	return nil
}
