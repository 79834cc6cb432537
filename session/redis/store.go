// Package redis keeps session state in Redis 6 or later: standalone, behind Sentinel, or a Cluster. Many nodes share it.
//
// A write is one pipeline, so one round trip; layout.go has the table of keys. It is as durable as Redis makes it: with a primary
// that fails, the writes that it had not yet passed to its replica go too. Losing Redis ends no session and revives none: it only
// keeps new ones from being made until it is back.
package redis

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/stint-sts/stint/session"
)

// Config configures a Store.
type Config struct {
	// URL tells where Redis is: redis://[user[:password]@]host[:6379][/database], redis+sentinel://host[:26379],host…/master[/database] with
	// parameters sentinel_username and sentinel_password, or redis+cluster://host[:6379],host…; rediss, rediss+sentinel and
	// rediss+cluster for TLS. Required.
	URL string
	// PasswordFile is a file that holds the password instead of the URL. It is read for each new connection, so that a password can be
	// changed without a restart. Empty: none.
	PasswordFile string
	// TLS is the configuration of rediss connections, for a private authority or a client certificate. nil: the system's roots.
	TLS *tls.Config
	// Prefix begins every key. Nodes that share sessions have the same. Empty: "stint:".
	Prefix string
	// Timeout bounds one operation from its beginning to its answer. 0: 1 s.
	Timeout time.Duration
	// PoolSize is the largest number of connections to one Redis node. 0: 16.
	PoolSize int
	// Backoff is the rule of the throttle; all nodes have the same. Zero fields: session's defaults.
	Backoff session.Backoff
	// Now is the clock. nil: time.Now.
	Now func() time.Time
	// Log tells when Redis stops answering and when it answers again. nil: nothing is logged.
	Log *slog.Logger
}

// Store is a session.Store, a session.Guard, a session.Throttle and a session.Values. Make it with New.
type Store struct {
	cfg    Config
	client goredis.UniversalClient
	lanes  []lane // one; in a cluster one for each tag
}

var (
	_ session.Store    = (*Store)(nil)
	_ session.Guard    = (*Store)(nil)
	_ session.Throttle = (*Store)(nil)
	_ session.Values   = (*Store)(nil)
)

// New returns a store for the Redis at cfg.URL. It does not connect: a server may start before Redis does. Ping tells.
func New(cfg Config) (*Store, error) {
	options, err := parseURL(cfg.URL)
	if err != nil {
		return nil, fmt.Errorf("redis URL: %w", err)
	}
	cfg.Prefix = cmp.Or(cfg.Prefix, "stint:")
	cfg.Timeout = cmp.Or(cfg.Timeout, time.Second)
	cfg.PoolSize = cmp.Or(cfg.PoolSize, 16)
	cfg.Backoff = cfg.Backoff.OrDefaults()
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.TLS != nil && options.TLSConfig != nil {
		options.TLSConfig = cfg.TLS
	}
	if cfg.PasswordFile != "" {
		if err := usePasswordFile(options, cfg.PasswordFile); err != nil {
			return nil, fmt.Errorf("redis: %w", err)
		}
	}
	bound(options, cfg)
	lanes := make([]lane, 1)
	if options.IsClusterMode {
		lanes = make([]lane, tagCount)
	}
	for i := range lanes {
		lanes[i].log = cfg.Log
	}
	return &Store{cfg: cfg, client: goredis.NewUniversalClient(options), lanes: lanes}, nil
}

// Quiet turns off what the client library prints to standard error, for the whole process: each try to connect while Redis is away. Log
// says it once. Call it before New.
func Quiet() { logging.Disable() }

func usePasswordFile(o *goredis.UniversalOptions, path string) error {
	if _, err := readPassword(path); err != nil {
		return err
	}
	user := o.Username
	o.Password = ""
	o.CredentialsProviderContext = func(context.Context) (string, string, error) {
		password, err := readPassword(path)
		return user, password, err
	}
	return nil
}

// bound sets what keeps an operation within cfg.Timeout, and turns off what costs time and serves nothing here.
func bound(o *goredis.UniversalOptions, cfg Config) {
	o.ContextTimeoutEnabled = true
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout, o.PoolTimeout = cfg.Timeout, cfg.Timeout, cfg.Timeout, cfg.Timeout
	o.DialerRetries = 1
	// One retry, for a connection that the server closed while it was idle. Every command can be repeated: a repeated guard finds its
	// own name consumed and refuses.
	o.MaxRetries, o.MinRetryBackoff, o.MaxRetryBackoff = 1, time.Millisecond, 5*time.Millisecond
	o.PoolSize = cfg.PoolSize
	o.PipelinePoolSize = -1 // pipelines are all that we send: no second pool
	o.Protocol = 2          // no push messages
	o.DisableIdentity = true
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
}

// Put implements session.Store. The index is written before the record: no record exists that List could not show.
func (s *Store) Put(ctx context.Context, r *session.Record) error {
	if !session.ValidID(r.AccessKeyID) {
		return fmt.Errorf("%w: access key id is missing, too long or has foreign characters", session.ErrInvalid)
	}
	short := *r
	short.AccessKeyID = inField
	encoded, err := session.AppendRecord(make([]byte, 0, 256), &short)
	if err != nil {
		return err
	}
	now := s.cfg.Now()
	if !now.Before(r.ExpiresAt) {
		return nil
	}
	t, end := tagOf(r.AccessKeyID), indexEnd(now, r.ExpiresAt)
	index, records := s.key(t, indexKind, indexName(end)), s.key(t, recordKind, indexName(end))
	over := end.Add(indexGrace).UnixMilli()
	add := goredis.NewIntCmd(ctx, "zadd", index, "0", r.Key())
	endIndex := goredis.NewIntCmd(ctx, "pexpireat", index, over)
	set := goredis.NewIntCmd(ctx, "hset", records, r.AccessKeyID, encoded)
	endRecords := goredis.NewIntCmd(ctx, "pexpireat", records, over)
	if err := s.lane(t).write(ctx, s.client, s.cfg.Timeout, add, endIndex, set, endRecords); err != nil {
		return err
	}
	if err := cmp.Or(add.Err(), endIndex.Err(), set.Err(), endRecords.Err()); err != nil {
		return unavailable(err)
	}
	if endIndex.Val() != 1 || endRecords.Val() != 1 {
		return unavailable(errUnexpected)
	}
	return nil
}

// inField stands for the access key id in a record's binary form: the name of its field is the id.
const inField = "_"

// answerOK is the answer of a SET that was done. A command that was not sent has no answer, whatever its error says.
const answerOK = "OK"

var errUnexpected = errors.New("an answer that is not of its command")

// Get implements session.Store.
func (s *Store) Get(ctx context.Context, accessKeyID string) (*session.Record, error) {
	if !session.ValidID(accessKeyID) {
		return nil, session.ErrNotFound
	}
	t, now := tagOf(accessKeyID), s.cfg.Now()
	var answers []*goredis.StringCmd
	err := s.read(ctx, s.lane(t), func(ctx context.Context) error {
		pipeline := s.client.Pipeline()
		answers = answers[:0]
		for _, end := range indexEnds(now) {
			answers = append(answers, pipeline.HGet(ctx, s.key(t, recordKind, indexName(end)), accessKeyID))
		}
		_, err := pipeline.Exec(ctx)
		return err
	})
	if err != nil && !errors.Is(err, goredis.Nil) {
		return nil, err
	}
	for _, answer := range answers {
		r, err := liveRecord(accessKeyID, answer, now)
		if err != nil || r != nil {
			return r, err
		}
	}
	return nil, session.ErrNotFound
}

// liveRecord reads the field of an access key id; nil when there is no record, or it has ended.
func liveRecord(accessKeyID string, answer *goredis.StringCmd, now time.Time) (*session.Record, error) {
	encoded, err := answer.Result()
	if errors.Is(err, goredis.Nil) {
		return nil, nil
	}
	if err != nil {
		return nil, unavailable(err)
	}
	r, err := session.DecodeRecord(encoded)
	if err != nil || !now.Before(r.ExpiresAt) {
		return nil, err
	}
	r.AccessKeyID = accessKeyID
	return r, nil
}

// Ping implements session.Store: it writes on every node, whether or not the breaker lets others through.
func (s *Store) Ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	pipeline := s.client.Pipeline()
	for i := range s.lanes {
		pipeline.Set(ctx, s.key(tag(i), pingKind, ""), "", time.Second)
	}
	if _, err := pipeline.Exec(ctx); err != nil {
		return unavailable(err)
	}
	for i := range s.lanes {
		s.lanes[i].report(succeeded, nil)
	}
	return nil
}

// Broken is how many parts of Redis (one, or in a cluster the slots of one tag) are not asked at present because they did not answer.
func (s *Store) Broken() (n int) {
	for i := range s.lanes {
		if s.lanes[i].breaker.open.Load() {
			n++
		}
	}
	return n
}

// Close closes the connections.
func (s *Store) Close() error { return s.client.Close() }

func (s *Store) key(t tag, kind, name string) string { return t.key(s.cfg.Prefix, kind, name) }

func (s *Store) lane(t tag) *lane { return &s.lanes[int(t)%len(s.lanes)] }

// read makes one bounded round trip that changes nothing. Its error matches session.ErrUnavailable or is goredis.Nil.
func (s *Store) read(ctx context.Context, l *lane, trip func(context.Context) error) error {
	if !l.breaker.allow() {
		return errBreaker
	}
	bounded, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	err := trip(bounded)
	switch {
	case err == nil || errors.Is(err, goredis.Nil):
		l.report(succeeded, nil)
		return err
	case ctx.Err() != nil:
		l.report(unknown, nil)
	default:
		l.report(failed, err)
	}
	return unavailable(err)
}

func unavailable(cause error) error {
	return fmt.Errorf("%w: redis: %w", session.ErrUnavailable, cause)
}
