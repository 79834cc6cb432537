package server

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stint-sts/stint/iam"
	"github.com/stint-sts/stint/iam/store"
	"github.com/stint-sts/stint/session"
	"github.com/stint-sts/stint/session/redis"
	"github.com/stint-sts/stint/signer"
)

// stateBuckets fit a map in memory as well as a Redis that has run into its time-out.
var stateBuckets = []float64{.00001, .00005, .0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5}

// dependencies count what a node asks of its session state and its directory. They begin to count when the node opens, before
// there is anything that serves /metrics.
type dependencies struct {
	sessions  *prometheus.HistogramVec
	directory *prometheus.HistogramVec
}

func newDependencies() *dependencies {
	histogram := func(name, help string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: stateBuckets}, []string{"operation", "outcome"})
	}
	return &dependencies{
		sessions: histogram("stint_session_state_duration_seconds",
			"Time that session state took, by operation (put, get, list, guard, throttle, value) and outcome: ok, unavailable or error."),
		directory: histogram("stint_directory_transaction_duration_seconds",
			"Time that transactions of the directory took, by operation (read, write) and outcome: ok, unavailable or error."),
	}
}

// outcomeOf sorts an error of a store. That something does not exist, was used already or changed meanwhile is an answer as good as any.
func outcomeOf(err error) string {
	switch {
	case err == nil, errors.Is(err, session.ErrNotFound), errors.Is(err, session.ErrConsumed), errors.Is(err, session.ErrInvalid),
		errors.Is(err, iam.ErrNotFound), errors.Is(err, iam.ErrConflict):
		return "ok"
	case errors.Is(err, session.ErrUnavailable), errors.Is(err, iam.ErrUnavailable), errors.Is(err, store.ErrClosed):
		return "unavailable"
	default:
		return "error"
	}
}

// observe is deferred: it is called with the time of the beginning, and reads the error at the end.
func observe(h *prometheus.HistogramVec, operation string, began time.Time, err *error) {
	h.WithLabelValues(operation, outcomeOf(*err)).Observe(time.Since(began).Seconds())
}

// countedSessions counts and times what is asked of session state. Ping is not counted: probes send it.
type countedSessions struct {
	sessionState
	h *prometheus.HistogramVec
}

func (c countedSessions) Put(ctx context.Context, r *session.Record) (err error) {
	defer observe(c.h, "put", time.Now(), &err)
	return c.sessionState.Put(ctx, r)
}

func (c countedSessions) Get(ctx context.Context, accessKeyID string) (_ *session.Record, err error) {
	defer observe(c.h, "get", time.Now(), &err)
	return c.sessionState.Get(ctx, accessKeyID)
}

func (c countedSessions) List(ctx context.Context, q session.Query) (_ session.Page, err error) {
	defer observe(c.h, "list", time.Now(), &err)
	return c.sessionState.List(ctx, q)
}

func (c countedSessions) Consume(ctx context.Context, name string, since, until time.Time) (err error) {
	defer observe(c.h, "guard", time.Now(), &err)
	return c.sessionState.Consume(ctx, name, since, until)
}

func (c countedSessions) Attempt(ctx context.Context, name string) (_ bool, err error) {
	defer observe(c.h, "throttle", time.Now(), &err)
	return c.sessionState.Attempt(ctx, name)
}

func (c countedSessions) Succeed(ctx context.Context, name string) (err error) {
	defer observe(c.h, "throttle", time.Now(), &err)
	return c.sessionState.Succeed(ctx, name)
}

func (c countedSessions) SetValue(ctx context.Context, name string, value []byte, until time.Time) (err error) {
	defer observe(c.h, "value", time.Now(), &err)
	return c.sessionState.SetValue(ctx, name, value, until)
}

func (c countedSessions) ReplaceValue(ctx context.Context, name string, value []byte, until time.Time) (err error) {
	defer observe(c.h, "value", time.Now(), &err)
	return c.sessionState.ReplaceValue(ctx, name, value, until)
}

func (c countedSessions) Value(ctx context.Context, name string) (_ []byte, err error) {
	defer observe(c.h, "value", time.Now(), &err)
	return c.sessionState.Value(ctx, name)
}

func (c countedSessions) TakeValue(ctx context.Context, name string) (_ []byte, err error) {
	defer observe(c.h, "value", time.Now(), &err)
	return c.sessionState.TakeValue(ctx, name)
}

func (c countedSessions) DeleteValue(ctx context.Context, name string) (err error) {
	defer observe(c.h, "value", time.Now(), &err)
	return c.sessionState.DeleteValue(ctx, name)
}

// countedSQLite and countedPostgres count and time transactions. They embed the concrete stores, because the directory looks what
// more than iam.Store a store can do.
type countedSQLite struct {
	*store.Store
	h *prometheus.HistogramVec
}

func (c countedSQLite) View(ctx context.Context, f func(iam.Tx) error) (err error) {
	defer observe(c.h, "read", time.Now(), &err)
	return c.Store.View(ctx, f)
}

func (c countedSQLite) Update(ctx context.Context, f func(iam.Tx) error) (err error) {
	defer observe(c.h, "write", time.Now(), &err)
	return c.Store.Update(ctx, f)
}

type countedPostgres struct {
	*store.Postgres
	h *prometheus.HistogramVec
}

func (c countedPostgres) View(ctx context.Context, f func(iam.Tx) error) (err error) {
	defer observe(c.h, "read", time.Now(), &err)
	return c.Postgres.View(ctx, f)
}

func (c countedPostgres) Update(ctx context.Context, f func(iam.Tx) error) (err error) {
	defer observe(c.h, "write", time.Now(), &err)
	return c.Postgres.Update(ctx, f)
}

// collectors are the metrics of the node's parts that are read when somebody asks.
func (s *Server) collectors() []prometheus.Collector {
	all := []prometheus.Collector{
		s.keyLoads, s.dependencies.sessions, s.dependencies.directory, keyRing{s.signer},
		gauge("stint_time_seconds", "The node's clock, in seconds since 1970: what it is compared with tells whether it is right.", func() float64 {
			return float64(time.Now().UnixMicro()) / 1e6
		}),
		gauge("stint_revocations", "Revocations that this node holds sessions against.", func() float64 { return float64(s.revoker.Revocations().Len()) }),
		gauge("stint_audit_queue_bytes", "Bytes of audit events that wait to be written.", func() float64 { return float64(s.audit.Stats().Queued) }),
	}
	if shared, ok := s.sharedSessions(); ok {
		all = append(all, gauge("stint_redis_breakers_open", "Parts of Redis that are not asked at present, because they did not answer.", func() float64 {
			return float64(shared.Broken())
		}))
	}
	if postgres, ok := s.store.(countedPostgres); ok {
		all = append(all,
			// Reads go on from memory meanwhile, so nothing else may tell.
			gauge("stint_directory_out_of_touch_seconds", "Seconds since the database last answered; at database-grace nothing is served from memory any more.", func() float64 {
				return s.directory.OutOfTouch().Seconds()
			}),
			gauge("stint_database_connections_used", "Connections to the database that transactions use.", func() float64 { return float64(postgres.Connections().Used) }),
			gauge("stint_database_connections_idle", "Connections to the database that nobody uses.", func() float64 { return float64(postgres.Connections().Idle) }),
			gauge("stint_database_connections_max", "The setting database-max-connections.", func() float64 { return float64(postgres.Connections().Max) }),
		)
	}
	return all
}

func gauge(name, help string, read func() float64) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, read)
}

// sharedSessions is the Redis that keeps session state, if one does.
func (s *Server) sharedSessions() (*redis.Store, bool) {
	counted, ok := s.sessions.(countedSessions)
	if !ok {
		return nil, false
	}
	shared, ok := counted.sessionState.(*redis.Store)
	return shared, ok
}

// keyRing tells since when the keys sign that do.
type keyRing struct{ signer *signer.Signer }

var keySigningSince = prometheus.NewDesc("stint_key_signing_since_timestamp_seconds",
	"When the key that signs began to, by purpose, in seconds since 1970.", []string{"purpose"}, nil)

// Describe implements prometheus.Collector.
func (keyRing) Describe(c chan<- *prometheus.Desc) { c <- keySigningSince }

// Collect implements prometheus.Collector.
func (k keyRing) Collect(c chan<- prometheus.Metric) {
	for _, key := range k.signer.Keys() {
		if key.State == signer.Signing {
			c <- prometheus.MustNewConstMetric(keySigningSince, prometheus.GaugeValue, float64(key.SigningAt.Unix()), string(key.Purpose))
		}
	}
}
