package server

import (
	"errors"
	"net/url"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/stint-sts/stint/audit"
	"github.com/stint-sts/stint/federation/oidc"
)

// metrics are what /metrics shows. Labels take values from closed sets only: operations of the table, codes of the error
// table. Hosts of issuers, which accounts register as they like, are bounded by number.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	latency  *prometheus.HistogramVec
}

func newMetrics(version string, auditStats func() audit.Stats) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "stint_requests_total",
			Help: "Calls answered, by transport, service, operation and AWS error code (empty: success).",
		}, []string{"transport", "service", "operation", "code"}),
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "stint_request_duration_seconds",
			Help:    "Time from the first byte of the request to the answer.",
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"transport", "service", "operation"}),
	}
	build := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "stint_build_info", Help: "Always 1; the label names the version."}, []string{"version"})
	build.WithLabelValues(version).Set(1)
	m.registry.MustRegister(m.requests, m.latency, build, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		auditCounter("stint_audit_events_written_total", "Audit events written.", func() uint64 { return auditStats().Written }),
		auditCounter("stint_audit_events_dropped_total", "Audit events dropped in best-effort mode.", func() uint64 { return auditStats().Dropped }),
		auditCounter("stint_audit_events_failed_total", "Audit events that could not be written.", func() uint64 { return auditStats().Failed }),
	)
	return m
}

func auditCounter(name, help string, read func() uint64) prometheus.Collector {
	return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, func() float64 { return float64(read()) })
}

// call counts one call. Of one that names no known operation, service and operation are empty.
func (m *metrics) call(transport, service, operation, code string, elapsed time.Duration) {
	m.requests.WithLabelValues(transport, service, operation, code).Inc()
	m.latency.WithLabelValues(transport, service, operation).Observe(elapsed.Seconds())
}

// maxHosts bounds the hosts that key loads are counted by. The loads of further ones are counted together, as of "other".
const maxHosts = 100

// keyLoads counts the loads of issuers' keys. It is safe for concurrent use.
type keyLoads struct {
	*prometheus.CounterVec

	mu    sync.Mutex
	hosts map[string]bool
}

func newKeyLoads() *keyLoads {
	return &keyLoads{
		CounterVec: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "stint_issuer_key_loads_total",
			Help: "Loads of OpenID Connect issuers' keys, by host and outcome: ok, unavailable, unusable or certificate.",
		}, []string{"host", "outcome"}),
		hosts: make(map[string]bool),
	}
}

// count counts one load; the error is that of fetch.KeysConfig.Loaded.
func (k *keyLoads) count(issuer string, err error) {
	outcome := "ok"
	switch {
	case errors.Is(err, oidc.ErrCertificate):
		outcome = "certificate"
	case errors.Is(err, oidc.ErrUnusable):
		outcome = "unusable"
	case err != nil:
		outcome = "unavailable"
	}
	k.WithLabelValues(k.host(issuer), outcome).Inc()
}

// host is the host of the issuer, without port and path, while there are few.
func (k *keyLoads) host(issuer string) string {
	u, err := url.Parse(issuer)
	if err != nil {
		return "other"
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	host := u.Hostname()
	if !k.hosts[host] && len(k.hosts) >= maxHosts {
		return "other"
	}
	k.hosts[host] = true
	return host
}
