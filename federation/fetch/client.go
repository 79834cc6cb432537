package fetch

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/stint-sts/stint/federation/oidc"
)

// Errors of Client.Get beside those of the network.
var (
	// ErrRefused says that the URL, its address or the answer is not one that is taken. Asking again does not help.
	ErrRefused = errors.New("refused")
	// ErrCertificate says that the server's certificate is not trusted.
	ErrCertificate = errors.New("certificate is not trusted")
	// ErrStatus says that the server did not answer with success, but may later.
	ErrStatus = errors.New("no success")
)

// Bounds of one fetch.
const (
	// MaxBody bounds a document in bytes.
	MaxBody = 1 << 20

	timeout        = 5 * time.Second // from dialling to the last byte
	maxHeaderBytes = 64 << 10
)

// Config is what a Client needs. All fields may be left out.
type Config struct {
	// Loopback lets it reach this machine, also by http.
	Loopback bool
	// Networks may be reached although they are private.
	Networks []netip.Prefix
}

// Client fetches documents from servers that nobody vouches for. It is safe for concurrent use and keeps no connections.
type Client struct {
	guard guard
}

// New makes a Client.
func New(cfg Config) *Client { return &Client{guard{cfg.Loopback, cfg.Networks}} }

// Document is what a server answered.
type Document struct {
	Body   []byte
	MaxAge time.Duration // by Cache-Control; negative: it says nothing
}

// Get fetches a document. The certificate must be trusted by trust.
func (c *Client) Get(ctx context.Context, address string, trust Trust) (*Document, error) {
	return c.do(ctx, http.MethodGet, address, trust, nil, func(r *http.Request) {
		r.Header.Set("Accept", "application/json, application/jwk-set+json, application/xml;q=0.8")
	})
}

// Post sends a form and returns the answer, within the bounds of Get. header completes the request; nil: nothing does.
func (c *Client) Post(ctx context.Context, address string, trust Trust, form url.Values, header func(*http.Request)) (*Document, error) {
	return c.do(ctx, http.MethodPost, address, trust, strings.NewReader(form.Encode()), func(r *http.Request) {
		r.Header.Set("Accept", "application/json")
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if header != nil {
			header(r)
		}
	})
}

func (c *Client) do(ctx context.Context, method, address string, trust Trust, body io.Reader, header func(*http.Request)) (*Document, error) {
	u, err := url.Parse(address)
	if err != nil || u.Hostname() == "" || u.User != nil || u.Fragment != "" {
		return nil, fmt.Errorf("%w: not a URL that documents are fetched from", ErrRefused)
	}
	if u.Scheme != "https" && !(u.Scheme == "http" && c.guard.loopback && oidc.IsLoopbackHost(u.Hostname())) {
		return nil, fmt.Errorf("%w: not https", ErrRefused)
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, u.String(), body)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	header(request)
	request.Header.Set("User-Agent", "stint")
	response, err := c.http(u, trust).Do(request)
	if err != nil {
		return nil, classify(err)
	}
	defer func() { _ = response.Body.Close() }()
	return read(response)
}

// http makes a client for one request. Documents are fetched every few minutes; connections kept open for them would be idle.
func (c *Client) http(u *url.URL, trust Trust) *http.Client {
	dialer := &net.Dialer{Timeout: timeout, Control: c.guard.control}
	return &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy:                  nil, // a proxy would resolve names where nobody checks addresses
			DialContext:            dialer.DialContext,
			TLSClientConfig:        trust.config(u.Hostname()),
			DisableKeepAlives:      true,
			DisableCompression:     true,
			MaxResponseHeaderBytes: maxHeaderBytes,
		},
	}
}

// classify tells what cannot get better from what may.
func classify(err error) error {
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.Is(err, errForbidden):
		return fmt.Errorf("%w: %w", ErrRefused, errForbidden)
	case errors.As(err, &unknown), errors.As(err, &host), errors.As(err, &invalid), errors.Is(err, ErrCertificate):
		return fmt.Errorf("%w: %w", ErrCertificate, err)
	default:
		return err
	}
}

func read(r *http.Response) (*Document, error) {
	switch {
	case r.StatusCode == http.StatusOK:
	case r.StatusCode >= 500 || r.StatusCode == http.StatusTooManyRequests || r.StatusCode == http.StatusRequestTimeout:
		return nil, fmt.Errorf("%w: status %d", ErrStatus, r.StatusCode)
	default: // redirects too: where the documents are is what the registered URL says
		return nil, fmt.Errorf("%w: status %d", ErrRefused, r.StatusCode)
	}
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		return nil, fmt.Errorf("%w: compressed", ErrRefused)
	}
	if r.ContentLength > MaxBody {
		return nil, fmt.Errorf("%w: too large", ErrRefused)
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, MaxBody+1))
	switch {
	case err != nil:
		return nil, err
	case len(body) > MaxBody:
		return nil, fmt.Errorf("%w: too large", ErrRefused)
	}
	return &Document{Body: body, MaxAge: maxAge(r.Header)}, nil
}

// maxAge reads Cache-Control (RFC 9111 section 5.2.2).
func maxAge(h http.Header) time.Duration {
	age := time.Duration(-1)
	for directive := range strings.SplitSeq(strings.Join(h.Values("Cache-Control"), ","), ",") {
		name, argument, _ := strings.Cut(strings.TrimSpace(directive), "=")
		switch strings.ToLower(name) {
		case "no-store", "no-cache":
			return 0
		case "max-age":
			if n, err := strconv.ParseUint(strings.Trim(argument, `"`), 10, 31); err == nil {
				age = time.Duration(n) * time.Second
			}
		}
	}
	return age
}
