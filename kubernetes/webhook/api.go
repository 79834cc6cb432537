package webhook

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

// API is where the Kubernetes API is and how to speak to it.
type API struct {
	URL       string // https://10.96.0.1:443
	CAFile    string // PEM, the authorities that vouch for it
	TokenFile string // whose content is read for each request, because Kubernetes renews it
}

// Files of a pod's own ServiceAccount (Kubernetes documentation, "Accessing the Kubernetes API from a Pod").
const (
	inClusterToken = "/var/run/secrets/kubernetes.io/serviceaccount/token"
	inClusterCA    = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt"
)

// InCluster is the API as a pod finds it.
func InCluster(env func(string) (string, bool)) (API, error) {
	host, _ := env("KUBERNETES_SERVICE_HOST")
	port, _ := env("KUBERNETES_SERVICE_PORT")
	if host == "" || port == "" {
		return API{}, errors.New("KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set: this is no pod")
	}
	return API{URL: "https://" + net.JoinHostPort(host, port), CAFile: inClusterCA, TokenFile: inClusterToken}, nil
}

// Bounds of a request to the API.
const (
	dialTimeout   = 5 * time.Second
	answerTimeout = 10 * time.Second // until the head of an answer is there
	pingAfter     = 15 * time.Second // of silence, so that a watch over a dead connection ends
	maxErrorBody  = 4 << 10
)

// client asks the API.
type client struct {
	api  API
	http *http.Client
}

func newClient(api API) (*client, error) {
	if u, err := url.Parse(api.URL); err != nil || u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("address %q: want https://HOST:PORT", api.URL)
	}
	pem, err := os.ReadFile(api.CAFile)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s: no certificate in it", api.CAFile)
	}
	return &client{api: api, http: &http.Client{
		Transport: &http.Transport{
			DialContext:           (&net.Dialer{Timeout: dialTimeout}).DialContext,
			TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
			TLSHandshakeTimeout:   dialTimeout,
			ResponseHeaderTimeout: answerTimeout,
			ForceAttemptHTTP2:     true,
			HTTP2:                 &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingAfter},
		},
		// The token is for the API alone.
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return errors.New("the API redirects, which is not followed")
		},
	}}, nil
}

// statusError is an answer of the API other than 200.
type statusError struct {
	code    int
	message string
}

func (e *statusError) Error() string {
	return fmt.Sprintf("the Kubernetes API says %d: %s", e.code, e.message)
}

// isStatus reports whether err is an answer of that code.
func isStatus(err error, code int) bool {
	var s *statusError
	return errors.As(err, &s) && s.code == code
}

// get asks for path; the caller closes the body of an answer that is 200.
func (c *client) get(ctx context.Context, path string, query url.Values) (io.ReadCloser, error) {
	token, err := os.ReadFile(c.api.TokenFile)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(c.api.URL, "/")+path+"?"+query.Encode(), nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	r.Header.Set("Accept", "application/json")
	r.Header.Set("User-Agent", "stint-webhook")
	answer, err := c.http.Do(r)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode == http.StatusOK {
		return answer.Body, nil
	}
	defer func() { _ = answer.Body.Close() }()
	failed := &statusError{code: answer.StatusCode, message: answer.Status}
	var told status
	if json.NewDecoder(io.LimitReader(answer.Body, maxErrorBody)).Decode(&told) == nil && told.Message != "" {
		failed.message = told.Message
	}
	return nil, failed
}
