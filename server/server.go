// Package server is the wiring of stint: configuration to stores, stores to services, services to listeners, and the order
// in which all of it stops. It has no rules of its own.
package server

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/net/netutil"
	"golang.org/x/sync/errgroup"

	"github.com/stint-sts/stint/audit"
	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/federation/fetch"
	"github.com/stint-sts/stint/iam"
	"github.com/stint-sts/stint/iam/managed"
	"github.com/stint-sts/stint/iam/store"
	"github.com/stint-sts/stint/mfa"
	"github.com/stint-sts/stint/password"
	"github.com/stint-sts/stint/seal"
	"github.com/stint-sts/stint/server/dispatch"
	"github.com/stint-sts/stint/server/grpcapi"
	"github.com/stint-sts/stint/server/portal"
	"github.com/stint-sts/stint/session"
	"github.com/stint-sts/stint/session/embedded"
	"github.com/stint-sts/stint/session/redis"
	"github.com/stint-sts/stint/signer"
	"github.com/stint-sts/stint/sigv4"
	"github.com/stint-sts/stint/sts"
)

// Server is one stint node. Open makes it, Run serves until its context ends, Close releases what Open took.
type Server struct {
	cfg     *Config
	version string
	log     *slog.Logger

	data       *dataDir
	master     *seal.Key
	store      iam.Store
	directory  *iam.Directory
	signer     *signer.Signer
	issuers    *issuers
	saml       *samlService
	sessions   sessionState
	revoker    *session.Revoker
	codes      *mfa.Verifier
	loginCodes *fetch.Codes // of people who sign in at OpenID Connect providers
	passwords  *iam.Passwords
	audit      *audit.Recorder
	iam        *iam.Service
	sts        *sts.Service
	table      *dispatch.Table
	history    *dispatch.History
	keyLoads   *keyLoads
	leftBehind atomic.Bool // the master key in force is not this node's

	dependencies *dependencies
	standstill   *standstill

	jobs    []func(context.Context) error // background work that Run owns
	closers []func() error                // in the order of opening; Close runs them backwards
}

// Open opens the data directory (making it on the first run) and everything in it. On an error nothing stays open.
func Open(ctx context.Context, cfg *Config, version string, log *slog.Logger) (_ *Server, err error) {
	s := &Server{cfg: cfg, version: version, log: log, history: dispatch.NewHistory(remembered), keyLoads: newKeyLoads(), dependencies: newDependencies()}
	defer func() {
		if err != nil {
			_ = s.Close()
		}
	}()
	for _, step := range []func(context.Context) error{
		s.openData, s.openSessions, s.openDirectory, s.openRevocations, s.openSigner, s.openAudit, s.openServices,
	} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// remembered is how many calls "stint explain" can tell about in full: some 3 MiB.
const remembered = 1024

// Close releases everything, last opened first.
func (s *Server) Close() error {
	var errs []error
	for i := len(s.closers) - 1; i >= 0; i-- {
		errs = append(errs, s.closers[i]())
	}
	s.closers = nil
	return errors.Join(errs...)
}

func (s *Server) openData(ctx context.Context) (err error) {
	if s.data, err = openDataDir(s.cfg.DataDir); err != nil {
		return err
	}
	s.closers = append(s.closers, s.data.Close)
	s.master, err = s.data.masterKeys(ctx, s.cfg)
	return err
}

func (s *Server) openDirectory(ctx context.Context) (err error) {
	if s.store, err = s.openStore(ctx); err != nil {
		return fmt.Errorf("directory: %w", err)
	}
	s.closers = append(s.closers, s.store.Close)
	policies, err := managed.Load(s.cfg.ManagedPolicies)
	if err != nil {
		return fmt.Errorf("managed policies: %w", err)
	}
	s.directory, err = iam.NewDirectory(iam.DirectoryConfig{
		Store: s.store, Master: s.master, Managed: policies, Grace: s.cfg.DatabaseGrace, Log: s.log,
	})
	if err != nil {
		return fmt.Errorf("directory: %w", err)
	}
	// The first look finds an unknown history and has everything forgotten: it comes before there is anything that a database which is
	// lost soon after the start would be missed for.
	if err := s.directory.KeepUp(ctx); err != nil {
		return fmt.Errorf("directory: %w", err)
	}
	s.jobs = append(s.jobs, s.directory.Run)
	s.issuers = &issuers{directory: s.directory}
	s.issuers.reachedBy(s.cfg.publicURL(s.cfg.ListenHTTP))
	hasher, err := password.New(password.Config{Rand: rand.Reader})
	if err != nil {
		return err
	}
	s.passwords = iam.NewPasswords(iam.PasswordsConfig{
		Directory: s.directory, Hasher: hasher, Throttle: s.sessions, Codes: s.codes, Now: time.Now,
	})
	s.iam = iam.NewService(iam.Config{
		Directory: s.directory, Master: s.master, Managed: policies, Outbound: s.issuers,
		Issuers: s.cfg.issuerRules(s.log), Codes: s.codes, Passwords: s.passwords, Quotas: s.cfg.Quotas,
		KeyPrefix: s.cfg.LongLivedPrefix, Now: time.Now, Rand: rand.Reader,
	})
	return nil
}

// openStore opens what keeps the directory's records.
func (s *Server) openStore(ctx context.Context) (iam.Store, error) {
	if s.cfg.Database == "" {
		local, err := store.Open(ctx, s.data.file(directoryFile))
		return countedSQLite{local, s.dependencies.directory}, err
	}
	shared, err := store.OpenPostgres(ctx, store.PostgresConfig{
		URL: s.cfg.Database, PasswordFile: s.cfg.DatabasePasswordFile, MaxConnections: s.cfg.DatabaseMaxConnections,
		ConnectTimeout: s.cfg.DatabaseConnectTimeout, Timeout: s.cfg.DatabaseTimeout,
	})
	return countedPostgres{shared, s.dependencies.directory}, err
}

// tokenIssuer is the issuer of session tokens. They are checked by the nodes of this installation only, whose ring is what
// binds a token to it; so the name may be the same everywhere.
const tokenIssuer = "https://stint.invalid"

func (s *Server) openSigner(ctx context.Context) (err error) {
	s.signer, err = signer.Open(ctx, signer.Config{
		Store: ringStore{s.store}, Master: s.master, Issuer: tokenIssuer,
		Algorithm: s.cfg.TokenSigning, SealTokens: s.cfg.TokenSeal, TemporaryPrefix: s.cfg.TemporaryPrefix,
		PublishDelay: s.cfg.KeyPublishDelay, RotateEvery: s.cfg.KeyRotateEvery, Now: time.Now, Rand: rand.Reader,
	})
	if err != nil {
		return s.ringProblem(err)
	}
	s.issuers.Signer = s.signer
	s.jobs = append(s.jobs, every(s.cfg.KeyPublishDelay/ringChecks, "key ring", s.log, s.maintainRing))
	return nil
}

// ringProblem says what to do about a ring that does not open.
func (s *Server) ringProblem(err error) error {
	switch {
	case errors.Is(err, signer.ErrFormerMaster):
		return fmt.Errorf("%w: give that one with --master-key-previous and finish \"stint keys rewrap\"", err)
	case errors.Is(err, seal.ErrWrongKey) && s.cfg.Database != "":
		return fmt.Errorf("the master key is not the one of the directory in the database: give every node the same one with --master-key, and the one before "+
			"with --master-key-previous while it is being replaced (%w)", err)
	case errors.Is(err, seal.ErrWrongKey):
		return fmt.Errorf("the master key is not the one of %s: give the right one with --master-key, and the one before with --master-key-previous while "+
			"it is being replaced (%w)", s.data.path, err)
	default:
		return fmt.Errorf("key ring: %w", err)
	}
}

// maintainRing notes whether this node was left behind when the master key was replaced: it goes on with what it has in memory, but
// is not ready any more.
func (s *Server) maintainRing(ctx context.Context) error {
	err := s.signer.Maintain(ctx)
	s.leftBehind.Store(errors.Is(err, seal.ErrWrongKey) || errors.Is(err, signer.ErrFormerMaster))
	if err != nil {
		return s.ringProblem(err)
	}
	return nil
}

// openRevocations reads what is revoked, before any session is judged.
func (s *Server) openRevocations(ctx context.Context) error {
	cfg := session.RevokerConfig{Log: s.directory, Now: time.Now, Logger: s.log}
	if shared, ok := s.sharedSessions(); ok {
		cfg.Bulletin = shared.Bulletin()
	}
	s.revoker = session.NewRevoker(cfg)
	s.standstill = newStandstill(time.Now, s.catchUp)
	s.jobs = append(s.jobs, s.revoker.Run, s.standstill.Run)
	return s.revoker.Load(ctx)
}

// sessionState is what both backends of session keep.
type sessionState interface {
	session.Store
	session.Guard
	session.Throttle
	session.Values
}

// ringChecks is how often in the time that a key is prepared a node looks whether the key ring has changed or a rotation is due.
const ringChecks = 6

func (s *Server) openSessions(ctx context.Context) error {
	if s.cfg.Redis == "" {
		e, err := embedded.New(embedded.Config{Dir: s.data.file(sessionsDir), Log: s.log})
		if err != nil {
			return fmt.Errorf("sessions: %w", err)
		}
		s.sessions = countedSessions{e, s.dependencies.sessions}
		s.jobs = append(s.jobs, e.Run)
	} else {
		r, err := redis.New(redis.Config{URL: s.cfg.Redis, PasswordFile: s.cfg.RedisPasswordFile, Log: s.log})
		if err != nil {
			return fmt.Errorf("redis: %w", err)
		}
		s.sessions = countedSessions{r, s.dependencies.sessions}
		if err := r.Ping(ctx); err != nil {
			// Not fatal: everything that mints nothing works without Redis, and it may come back.
			s.log.Warn("redis does not answer yet", "error", err)
		}
	}
	s.closers = append(s.closers, s.sessions.Close)
	s.codes = mfa.New(mfa.Config{Guard: session.Once{Guard: s.sessions}, Throttle: s.sessions, Now: time.Now})
	return nil
}

func (s *Server) openAudit(context.Context) error {
	file, err := audit.OpenFile(audit.FileConfig{
		Dir: s.auditDir(), MaxBytes: s.cfg.AuditMaxBytes, MaxFiles: s.cfg.AuditMaxFiles, Sync: s.cfg.AuditSync, Now: time.Now,
	})
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	sinks := []audit.Sink{file}
	if s.cfg.AuditStdout {
		sinks = append(sinks, audit.Writer(os.Stdout))
	}
	mode := audit.Required
	if s.cfg.AuditMode == "best-effort" {
		mode = audit.BestEffort
	}
	s.audit, err = audit.New(audit.Config{Mode: mode, Sinks: sinks, Log: s.log})
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	s.closers = append(s.closers, s.audit.Close)
	s.jobs = append(s.jobs, s.audit.Run)
	return nil
}

func (s *Server) auditDir() string {
	if s.cfg.AuditDir != "" {
		return s.cfg.AuditDir
	}
	return s.data.file(auditDir)
}

func (s *Server) openServices(context.Context) error {
	identities, err := s.openWebIdentities()
	if err != nil {
		return err
	}
	s.saml = &samlService{Directory: s.directory, cfg: s.cfg.SAML, guard: s.sessions, signer: s.signer}
	s.saml.reachedBy(s.cfg.publicURL(s.cfg.ListenHTTP))
	s.sts = sts.New(sts.Config{Directory: s.directory, Minter: s.signer, Sessions: s.sessions, Identities: s.issuers, WebIdentities: identities, SAML: s.saml, Guard: s.sessions,
		MaxChained: s.cfg.MaxChained, ManagementAccount: s.cfg.ManagementAccount, Sealer: s.signer, Devices: s.directory, Codes: s.codes, Revoker: s.revoker})
	s.table = dispatch.NewTable(s.sts, s.iam)
	return nil
}

// Run serves until ctx ends, then drains: it says that it is not ready, lets the calls in flight finish, and returns nil.
// ready is called once all listeners accept, with their addresses.
func (s *Server) Run(ctx context.Context, ready func(Addresses)) error {
	clientCAs, err := s.clientCAs()
	if err != nil {
		return err
	}
	listeners, err := s.listen(ctx)
	if err != nil {
		return err
	}
	defer listeners.close()
	s.issuers.reachedBy(s.cfg.publicURL(listeners.http.Addr().String()))
	s.saml.reachedBy(s.cfg.publicURL(listeners.http.Addr().String()))

	verifier, err := sigv4.New(sigv4.Config{Services: []string{"sts", "iam"}})
	if err != nil {
		return err
	}
	m := newMetrics(s.version, s.audit.Stats)
	m.registry.MustRegister(s.collectors()...)
	dispatcher := dispatch.New(dispatch.Config{
		Authenticator: authn.New(authn.Config{
			Directory: s.directory, Tokens: s.signer, Verifier: verifier,
			Revocations: s.revoker.Revocations(), Certificates: s.certificates(),
		}),
		Recorder:      s.audit,
		Log:           s.log,
		History:       s.history,
		EncodeDenial:  s.encodeDenial(),
		Used:          s.used,
		Directory:     s.directory,
		Awake:         s.standstill.Wait,
		MaxPerAccount: s.cfg.MaxPerAccount,
	})
	var draining atomic.Bool
	front := s.front(dispatcher, m)
	people, err := s.openPortal(front)
	if err != nil {
		return err
	}
	public := s.httpServer(s.publicHandler(front, people))
	ops := s.httpServer(opsHandler(m, func() bool { return !draining.Load() }, s.checks(), s.cfg.Pprof))
	admin := s.httpServer(s.adminHandler())
	rpc, err := grpcapi.New(grpcapi.Config{Front: front, Log: s.log, TLS: listeners.grpcTLS(clientCAs)})
	if err != nil {
		return err
	}

	// Background work outlives the listeners: calls that drain still need it.
	background, stopBackground := context.WithCancel(context.WithoutCancel(ctx))
	defer stopBackground()
	jobs, background := errgroup.WithContext(background)
	for _, job := range append(s.jobs, listeners.jobs...) {
		jobs.Go(func() error { return job(background) })
	}

	serving, ended := errgroup.WithContext(ctx)
	for _, l := range []struct {
		server   *http.Server
		listener net.Listener
	}{{public, listeners.http}, {ops, listeners.ops}, {admin, listeners.admin}} {
		serving.Go(func() error { return ignoreClosed(l.server.Serve(l.listener)) })
	}
	serving.Go(func() error { return rpc.Serve(listeners.grpc) })
	serving.Go(func() error {
		select {
		case <-ended.Done():
		case <-background.Done(): // a job failed
		}
		draining.Store(true)
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.DrainTimeout)
		defer cancel()
		s.log.Info("draining")
		rpc.Stop(drain)
		return errors.Join(public.Shutdown(drain), admin.Shutdown(drain), ops.Shutdown(drain))
	})
	ready(listeners.addresses())
	err = serving.Wait()
	stopBackground()
	return errors.Join(err, ignoreCanceled(jobs.Wait()))
}

// encodeDenial is how IAM's denials get an encoded authorization message, if the configuration wants them to.
func (s *Server) encodeDenial() func(*authn.Caller, *authn.Decision) (string, error) {
	if !s.cfg.AuthorizationMessages {
		return nil
	}
	return s.sts.EncodeAuthorizationMessage
}

func ignoreClosed(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

func ignoreCanceled(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// front is what the transports share.
func (s *Server) front(d *dispatch.Dispatcher, m *metrics) *dispatch.Front {
	return dispatch.NewFront(dispatch.FrontConfig{
		Table: s.table, Dispatcher: d, Proxies: s.cfg.TrustedProxies, MaxInFlight: s.cfg.MaxInFlight, Timeout: s.cfg.RequestTimeout,
		Count: m.call, Log: s.log, Now: time.Now,
	})
}

// publicHandler serves what everybody may reach.
func (s *Server) publicHandler(front *dispatch.Front, people *portal.Portal) http.Handler {
	query := &queryHandler{front: front}
	documents := s.documentHandler()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if isDocument(r.URL.Path) {
			documents.ServeHTTP(w, r)
			return
		}
		if people != nil && portal.Serves(r.URL.Path) {
			if err := s.standstill.Wait(r.Context()); err != nil {
				http.Error(w, "The server is not ready.", http.StatusServiceUnavailable)
				return
			}
			people.ServeHTTP(w, r)
			return
		}
		query.ServeHTTP(w, r)
	})
}

// used notes when a long-lived key or a role was last used.
func (s *Server) used(c *authn.Caller) {
	id := c.AccessKeyID
	if c.Kind == authn.RoleSession {
		id = c.Entity.ID
	} else if c.Session != nil || id == "" {
		return // the session's user used its key when it asked for the session; a certificate has no such date
	}
	s.directory.Used(id, c.Request.Service, c.Request.Region, c.Request.Time)
}

func (s *Server) checks() []check {
	return []check{
		{"directory", s.directory.Ready},
		{"sessions", s.sessions.Ping},
		{"audit", func(context.Context) error { return s.audit.Healthy() }},
		{"keys", func(context.Context) error {
			if s.leftBehind.Load() {
				return errors.New("the master key was replaced: start this node with the new one")
			}
			return nil
		}},
	}
}

// Limits of the HTTP listeners. A session token and a presigned URL that holds one need far less than the header bound.
const (
	maxHeader         = 64 << 10
	readHeaderTimeout = 10 * time.Second
	readTimeout       = 30 * time.Second
	writeTimeout      = 60 * time.Second // more than limits.request-timeout needs for its answer
	idleTimeout       = 2 * time.Minute
)

func (s *Server) httpServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		MaxHeaderBytes:    maxHeader,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      max(writeTimeout, 2*s.cfg.RequestTimeout),
		IdleTimeout:       idleTimeout,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug), // handshake errors of strangers
	}
}

// Addresses are where a running server listens.
type Addresses struct {
	HTTP, GRPC, Ops string
	TLS             bool
}

type listeners struct {
	http, grpc, ops, admin net.Listener
	cert                   *Certificate // nil without TLS
	jobs                   []func(context.Context) error
}

// listen takes all ports before anything is served.
func (s *Server) listen(ctx context.Context) (_ *listeners, err error) {
	l := &listeners{}
	defer func() {
		if err != nil {
			l.close()
		}
	}()
	if s.cfg.TLSCert != "" {
		if l.cert, err = NewCertificate(s.cfg.TLSCert, s.cfg.TLSKey, s.log); err != nil {
			return nil, err
		}
		l.jobs = append(l.jobs, l.cert.Run)
	}
	var lc net.ListenConfig
	for _, p := range []struct {
		key, address string
		into         *net.Listener
		protocols    []string
	}{
		{"listen-http", s.cfg.ListenHTTP, &l.http, []string{"h2", "http/1.1"}},
		{"listen-grpc", s.cfg.ListenGRPC, &l.grpc, nil}, // gRPC does its own handshake
		{"listen-ops", s.cfg.ListenOps, &l.ops, []string{"h2", "http/1.1"}},
	} {
		ln, err := lc.Listen(ctx, "tcp", p.address)
		if err != nil {
			return nil, fmt.Errorf("--%s: %w", p.key, err)
		}
		// A slow connection costs memory until its time is up: more than so many wait in the kernel.
		ln = netutil.LimitListener(ln, s.cfg.MaxConnections)
		if *p.into = ln; l.cert != nil && p.protocols != nil {
			*p.into = tls.NewListener(ln, l.cert.Config(p.protocols...))
		}
	}
	l.admin, err = listenAdmin(ctx, s.data.file(adminSocket))
	return l, err
}

func (l *listeners) close() {
	for _, c := range []io.Closer{l.http, l.grpc, l.ops, l.admin} {
		if ln, ok := c.(net.Listener); ok && ln != nil {
			_ = ln.Close()
		}
	}
}

func (l *listeners) addresses() Addresses {
	return Addresses{HTTP: l.http.Addr().String(), GRPC: l.grpc.Addr().String(), Ops: l.ops.Addr().String(), TLS: l.cert != nil}
}

// every makes a job that runs f at an interval and logs its errors: what f keeps up to date stays as it was.
func every(interval time.Duration, what string, log *slog.Logger, f func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		tick := time.NewTicker(interval)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-tick.C:
				if err := f(ctx); err != nil && ctx.Err() == nil {
					log.Error(what+" not maintained", "error", err)
				}
			}
		}
	}
}

// ringStore keeps the signer's sealed key ring as a record of the directory.
type ringStore struct{ store iam.Store }

func (r ringStore) LoadRing(ctx context.Context) (sealed []byte, version int64, err error) {
	err = r.store.View(ctx, func(tx iam.Tx) error {
		record, err := tx.Get(iam.KindKeyRing, "", "", "ring")
		if errors.Is(err, iam.ErrNotFound) {
			return nil
		}
		sealed, version = record.Body, record.Version
		return err
	})
	return sealed, version, err
}

func (r ringStore) SaveRing(ctx context.Context, sealed []byte, version int64) error {
	err := r.store.Update(ctx, func(tx iam.Tx) error {
		return tx.Put(iam.Record{Kind: iam.KindKeyRing, Name: "ring", Version: version, Body: sealed})
	})
	if errors.Is(err, iam.ErrConflict) {
		return signer.ErrRingChanged
	}
	return err
}
