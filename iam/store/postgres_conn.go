package store

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// Bounds of connections that no configuration changes.
const (
	connectionLife = 30 * time.Minute       // then it is made anew, so that nodes find their way back after a fail-over
	closeTimeout   = time.Second            // for saying good-bye
	retryPause     = 250 * time.Millisecond // after a connection failed, so that callers do not all wait for the next one to fail
)

// errSetting tells that the configuration or the database is not as stint needs it; it will not get better by waiting.
var errSetting = errors.New("the database cannot be used")

// pool keeps the connections of a Postgres. They are made when they are needed.
type pool struct {
	config   *pgconn.Config
	password string // file; empty: the configuration's
	timeout  time.Duration
	setup    string // statements that a new connection runs
	places   chan struct{}
	closed   chan struct{}
	closing  sync.Once

	mu      sync.Mutex
	idle    []*pgConn // the one used last is used next
	refused error     // of the latest attempt to connect, until
	until   time.Time
}

func newPool(cfg PostgresConfig) (*pool, error) {
	config, err := parsePostgresURL(cfg.URL)
	if err != nil {
		return nil, fmt.Errorf("database: %w", err)
	}
	if cfg.MaxConnections == 0 {
		cfg.MaxConnections = 8
	}
	if cfg.ConnectTimeout == 0 {
		cfg.ConnectTimeout = 3 * time.Second
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 5 * time.Second
	}
	config.ConnectTimeout = cfg.ConnectTimeout
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "stint"
	}
	ms := cfg.Timeout.Milliseconds()
	return &pool{
		config: config, password: cfg.PasswordFile, timeout: cfg.Timeout,
		// The database ends by itself what this node no longer can: a paused node must not keep the others from writing. And what
		// Update acknowledged survives a crash of the database, whatever its default.
		setup: fmt.Sprintf(`SET statement_timeout = %d; SET lock_timeout = %d; SET idle_in_transaction_session_timeout = %d;
SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'`, ms, ms, ms),
		places: make(chan struct{}, cfg.MaxConnections),
		closed: make(chan struct{}),
	}, nil
}

// parsePostgresURL parses the URL and fills in what stint's defaults are.
func parsePostgresURL(text string) (*pgconn.Config, error) {
	if !strings.HasPrefix(text, "postgres://") && !strings.HasPrefix(text, "postgresql://") {
		return nil, errors.New("want postgres://USER@HOST:PORT/DATABASE")
	}
	config, err := pgconn.ParseConfig(text)
	if err != nil {
		return nil, err // pgconn leaves the password out
	}
	u, err := url.Parse(text)
	if err != nil { // pgconn accepts several hosts with ports, which net/url does not
		u = &url.URL{}
		_, u.RawQuery, _ = strings.Cut(text, "?")
	}
	q := u.Query()
	if q.Get("sslmode") == "" && os.Getenv("PGSSLMODE") == "" && !onThisMachine(config) {
		joint := "?"
		if strings.Contains(text, "?") {
			joint = "&"
		}
		if config, err = pgconn.ParseConfig(text + joint + "sslmode=verify-full"); err != nil {
			return nil, err
		}
	}
	if config.ValidateConnect == nil {
		config.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	}
	return config, nil
}

// HasPassword reports whether the URL of a database holds a password.
func HasPassword(text string) bool {
	_, rest, _ := strings.Cut(text, "://")
	rest, query, _ := strings.Cut(rest, "?")
	authority, _, _ := strings.Cut(rest, "/")
	if at := strings.LastIndexByte(authority, '@'); at >= 0 && strings.Contains(authority[:at], ":") {
		return true
	}
	parameters, err := url.ParseQuery(query)
	return err != nil || parameters.Has("password")
}

func onThisMachine(config *pgconn.Config) bool {
	hosts := []string{config.Host}
	for _, f := range config.Fallbacks {
		hosts = append(hosts, f.Host)
	}
	for _, h := range hosts {
		a, err := netip.ParseAddr(h)
		if !strings.HasPrefix(h, "/") && h != "localhost" && (err != nil || !a.IsLoopback()) {
			return false
		}
	}
	return true
}

// place names the database for people.
func (p *pool) place() string {
	return fmt.Sprintf("%s/%s", net.JoinHostPort(p.config.Host, strconv.Itoa(int(p.config.Port))), p.config.Database)
}

// enter waits for a place.
func (p *pool) enter(ctx context.Context, places chan struct{}) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case <-p.closed:
		return ErrClosed
	default:
	}
	select {
	case places <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-p.closed:
		return ErrClosed
	}
}

// acquire returns a connection that nobody else uses; release gives it back.
func (p *pool) acquire(ctx context.Context) (*pgConn, error) {
	if err := p.enter(ctx, p.places); err != nil {
		return nil, err
	}
	if c := p.takeIdle(); c != nil {
		return c, nil
	}
	c, err := p.connect(ctx)
	if err != nil {
		<-p.places
		return nil, err
	}
	return c, nil
}

func (p *pool) takeIdle() *pgConn {
	for {
		p.mu.Lock()
		last := len(p.idle) - 1
		if last < 0 {
			p.mu.Unlock()
			return nil
		}
		c := p.idle[last]
		p.idle = p.idle[:last]
		p.mu.Unlock()
		if time.Since(c.made) < connectionLife {
			c.reused = true
			return c
		}
		c.close()
	}
}

// discardIdle ends the connections that nobody uses, without a word to a server that may not listen.
func (p *pool) discardIdle() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.idle {
		_ = c.Conn().Close()
	}
	p.idle = nil
}

// release takes back what acquire returned. A connection that is not at rest is closed.
func (p *pool) release(c *pgConn) {
	defer func() { <-p.places }()
	if c.IsClosed() || c.TxStatus() != 'I' {
		c.close()
		return
	}
	p.mu.Lock()
	p.idle = append(p.idle, c)
	p.mu.Unlock()
}

func (p *pool) close() error {
	err := ErrClosed
	p.closing.Do(func() {
		err = nil
		close(p.closed)
		for range cap(p.places) {
			p.places <- struct{}{}
		}
		for c := p.takeIdle(); c != nil; c = p.takeIdle() {
			c.close()
		}
	})
	return err
}

// connect makes a connection. Just after a failure it repeats the failure.
func (p *pool) connect(ctx context.Context) (*pgConn, error) {
	p.mu.Lock()
	refused, until := p.refused, p.until
	p.mu.Unlock()
	if refused != nil && time.Now().Before(until) {
		return nil, refused
	}
	// The time-out of pgconn bounds each host; a caller that leaves must not end what the next one will use.
	c, err := p.dial(context.WithoutCancel(ctx))
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refused, p.until = err, time.Now().Add(retryPause)
	return c, err
}

func (p *pool) dial(ctx context.Context) (*pgConn, error) {
	config := p.config.Copy()
	if p.password != "" {
		raw, err := os.ReadFile(p.password)
		if err != nil {
			return nil, fmt.Errorf("database password: %w", err)
		}
		config.Password = strings.TrimRight(string(raw), "\r\n")
	}
	made, err := pgconn.ConnectConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	c := &pgConn{PgConn: made, made: time.Now(), statements: make(map[string]*pgconn.StatementDescription)}
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	if _, err := c.exec(ctx, p.setup); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// pgConn is one PostgreSQL connection with its prepared statements. It serves one goroutine at a time.
type pgConn struct {
	*pgconn.PgConn
	made       time.Time
	reused     bool // it has waited in the pool
	statements map[string]*pgconn.StatementDescription
}

func (c *pgConn) close() {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	_ = c.PgConn.Close(ctx) // what it cannot say to the server, the server notices
}

// errRolledBack tells that the database ended a transaction that was to be committed.
var errRolledBack = errors.New("the database rolled the transaction back")

// exec implements session. Text without arguments may be several statements.
func (c *pgConn) exec(ctx context.Context, text string, args ...any) (int64, error) {
	if len(args) > 0 {
		r, err := c.start(ctx, text, args)
		if err != nil {
			return 0, err
		}
		tag, err := r.Close()
		return tag.RowsAffected(), err
	}
	results, err := c.Exec(ctx, text).ReadAll()
	if err != nil {
		return 0, err
	}
	last := results[len(results)-1].CommandTag
	if text == "COMMIT" && last.String() != "COMMIT" {
		return 0, errRolledBack
	}
	return last.RowsAffected(), nil
}

// query implements session.
func (c *pgConn) query(ctx context.Context, text string, args ...any) (rows, error) {
	r, err := c.start(ctx, text, args)
	if err != nil {
		return nil, err
	}
	return &pgRows{reader: r}, nil
}

// explain implements session.
func (c *pgConn) explain(err error) error { return explainPostgres(err) }

// uses implements session.
func (c *pgConn) uses() *useStatements { return &postgresUses }

// byteaOID is the type of binary columns; they travel as they are, everything else as text.
const byteaOID = 17

// start runs the statement for the text, which is one of a fixed set.
func (c *pgConn) start(ctx context.Context, text string, args []any) (*pgconn.ResultReader, error) {
	s := c.statements[text]
	if s == nil {
		var err error
		if s, err = c.Prepare(ctx, "s"+strconv.Itoa(len(c.statements)), text, nil); err != nil {
			return nil, err
		}
		c.statements[text] = s
	}
	values, formats := make([][]byte, len(args)), make([]int16, len(args))
	for i, a := range args {
		switch a := a.(type) {
		case string:
			values[i] = []byte(a)
		case []byte:
			values[i], formats[i] = a, 1
		case int:
			values[i] = strconv.AppendInt(nil, int64(a), 10)
		case int64:
			values[i] = strconv.AppendInt(nil, a, 10)
		default:
			return nil, fmt.Errorf("argument of type %T", a)
		}
	}
	results := make([]int16, len(s.Fields))
	for i, f := range s.Fields {
		if f.DataTypeOID == byteaOID {
			results[i] = 1
		}
	}
	return c.ExecPrepared(ctx, s.Name, values, formats, results), nil
}

// pgRows implements rows.
type pgRows struct {
	reader *pgconn.ResultReader
	ended  bool
	err    error
}

// Next implements rows.
func (r *pgRows) Next() bool {
	if !r.ended && r.reader.NextRow() {
		return true
	}
	_ = r.Close()
	return false
}

// Err implements rows.
func (r *pgRows) Err() error { return r.err }

// Close implements rows.
func (r *pgRows) Close() error {
	if !r.ended {
		r.ended = true
		_, r.err = r.reader.Close()
	}
	return r.err
}

// Scan implements rows, for the types that the columns have.
func (r *pgRows) Scan(into ...any) error {
	values := r.reader.Values()
	if len(values) != len(into) {
		return fmt.Errorf("%d columns for %d variables", len(values), len(into))
	}
	for i, v := range values {
		var err error
		switch to := into[i].(type) {
		case *string:
			*to = string(v)
		case *[]byte:
			*to = append([]byte(nil), v...)
		case *int:
			*to, err = strconv.Atoi(string(v))
		case *int64:
			*to, err = strconv.ParseInt(string(v), 10, 64)
		default:
			err = fmt.Errorf("a variable of type %T", to)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
