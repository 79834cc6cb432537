// Package webhook lets pods of Kubernetes get credentials of stint without a change to them: a mutating admission webhook that gives
// each pod whose ServiceAccount is annotated with a role a projected token and the variables by which AWS SDKs exchange it. It behaves
// as amazon-eks-pod-identity-webhook does where that is well defined, and so serves charts that were written for Amazon EKS.
//
// It owns the admission protocol (Kubernetes documentation, "Dynamic Admission Control"; admission.k8s.io/v1), what is put into a pod,
// and the little of the Kubernetes API that it asks: ServiceAccounts, listed and watched ("Kubernetes API Concepts"). It knows no
// policies, and holds no credentials but the token by which it asks: whether a pod gets the role is for the role's trust policy to say.
package webhook

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"
)

// Defaults of settings.
const (
	OwnPrefix       = "sts.stint.dev"     // of stint's own annotations
	EKSPrefix       = "eks.amazonaws.com" // of annotations that were written for Amazon EKS
	DefaultAudience = "sts.amazonaws.com" // as on Amazon EKS
)

// Bounds of the life of a projected token. Kubernetes refuses less (API reference, ServiceAccountTokenProjection), and by default an API
// server shortens what is longer.
const (
	MinTokenExpiration = 10 * time.Minute
	MaxTokenExpiration = 24 * time.Hour
)

// Config says what pods are given and where ServiceAccounts are looked up.
type Config struct {
	// Endpoint is the URL of stint's AWS Query API as pods reach it. Required: without it an SDK would show its token to AWS.
	Endpoint string
	// Region is given to containers that name none; "" leaves it to them.
	Region string
	// Prefixes of the annotations. The first whose role-arn a ServiceAccount bears counts, alone. Default: OwnPrefix, EKSPrefix.
	Prefixes []string
	// Audience of tokens where the ServiceAccount names none. Default: DefaultAudience.
	Audience string
	// TokenExpiration is the life of tokens where neither ServiceAccount nor pod says. Default: MaxTokenExpiration.
	TokenExpiration time.Duration
	// MountPath is the directory of the token in containers. Default: /var/run/secrets/PREFIX/serviceaccount.
	MountPath string
	// AnonymousSessions leaves the names of role sessions to the SDKs. Otherwise the pod's name becomes the session's.
	AnonymousSessions bool
	// CAConfigMap names the ConfigMap of the pod's namespace whose ca.crt vouches for stint, where the ServiceAccount names none;
	// "" when the authorities of the container's image do.
	CAConfigMap string

	// API is where ServiceAccounts are looked up. Required.
	API API
	// Pause is how long to wait after the Kubernetes API has failed for the first time in a row; it doubles up to 60 times as long.
	// Default: half a second.
	Pause time.Duration
	// Log is required.
	Log *slog.Logger
}

// Service is the webhook. It is safe for concurrent use.
type Service struct {
	cfg      Config
	accounts *accounts
	reviews  chan struct{} // one token for each review under way
	registry *prometheus.Registry
	results  *prometheus.CounterVec // of reviews
	log      *slog.Logger
}

// maxReviews bounds the reviews under way, and by that the memory of their bodies.
const maxReviews = 16

// New returns the webhook, which answers nothing until Run runs. It tells all faults of cfg.
func New(cfg Config) (*Service, error) {
	if len(cfg.Prefixes) == 0 {
		cfg.Prefixes = []string{OwnPrefix, EKSPrefix}
	}
	if cfg.Audience == "" {
		cfg.Audience = DefaultAudience
	}
	if cfg.TokenExpiration == 0 {
		cfg.TokenExpiration = MaxTokenExpiration
	}
	if cfg.Pause == 0 {
		cfg.Pause = 500 * time.Millisecond
	}
	if err := cfg.check(); err != nil {
		return nil, err
	}
	client, err := newClient(cfg.API)
	if err != nil {
		return nil, fmt.Errorf("kubernetes API: %w", err)
	}
	s := &Service{
		cfg: cfg, accounts: newAccounts(client, cfg.relevant, cfg.Pause, cfg.Log), reviews: make(chan struct{}, maxReviews), log: cfg.Log,
		registry: prometheus.NewRegistry(),
		results: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "stint_webhook_reviews_total", Help: "Reviews of pods, by result: patched, unchanged, denied, failed (no answer; failurePolicy decides).",
		}, []string{"result"}),
	}
	s.registry.MustRegister(s.results, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "stint_webhook_watching", Help: "1 while the ServiceAccounts are followed, 0 while each has to be asked for.",
	}, s.accounts.watching))
	return s, nil
}

// subdomain is a DNS subdomain name (Kubernetes documentation, "Object Names and IDs").
var subdomain = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$`)

func isSubdomain(s string) bool { return len(s) <= 253 && subdomain.MatchString(s) }

func (cfg *Config) check() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if u, err := url.Parse(cfg.Endpoint); err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http" {
		fault("endpoint %q: give the URL of stint as pods reach it, such as https://sts.example.com", cfg.Endpoint)
	}
	for _, prefix := range cfg.Prefixes {
		if !isSubdomain(prefix) {
			fault("annotation prefix %q: it is a domain name, such as %s", prefix, OwnPrefix)
		}
	}
	if cfg.TokenExpiration < MinTokenExpiration || cfg.TokenExpiration > MaxTokenExpiration {
		fault("token expiration %v: it is %v to %v", cfg.TokenExpiration, MinTokenExpiration, MaxTokenExpiration)
	}
	if cfg.MountPath != "" && (!path.IsAbs(cfg.MountPath) || strings.Contains(cfg.MountPath, ":")) {
		fault("token mount path %q: it is an absolute path without a colon", cfg.MountPath)
	}
	if cfg.CAConfigMap != "" && !isSubdomain(cfg.CAConfigMap) {
		fault("config map %q: that is no name of one", cfg.CAConfigMap)
	}
	return errors.Join(faults...)
}

// Time-outs of the listener. The API server waits for ten seconds unless the webhook's configuration says otherwise.
const (
	headerTimeout   = 5 * time.Second
	readTimeout     = 10 * time.Second
	writeTimeout    = 15 * time.Second
	idleTimeout     = 2 * time.Minute
	shutdownTimeout = 10 * time.Second
	maxHeaderBytes  = 32 << 10
)

// Run follows the ServiceAccounts and answers on ln, which speaks TLS, until ctx ends; calls under way are finished. It closes ln.
func (s *Service) Run(ctx context.Context, ln net.Listener) error {
	web := &http.Server{
		Handler: s.Handler(), ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: maxHeaderBytes, ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.accounts.Run(ctx) })
	group.Go(func() error {
		if err := web.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve %s: %w", ln.Addr(), err)
		}
		return nil
	})
	group.Go(func() error {
		<-ctx.Done()
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
		defer cancel()
		return web.Shutdown(last)
	})
	return group.Wait()
}

// Handler serves /mutate, /healthz (the process lives), /readyz (the ServiceAccounts are known) and /metrics.
func (s *Service) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /mutate", s.mutate)
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if !s.accounts.listed.Load() {
			http.Error(w, "the ServiceAccounts are not listed yet", http.StatusServiceUnavailable)
			return
		}
		_, _ = fmt.Fprintln(w, "ok")
	})
	return mux
}
