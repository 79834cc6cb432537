package redis_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/stint-sts/stint/session"
	"github.com/stint-sts/stint/session/redis"
	"github.com/stint-sts/stint/session/redistest"
	"github.com/stint-sts/stint/session/sessiontest"
)

const (
	account = "123456789012"
	role    = "AROAQEFWAZTKHPHHHTHGA"
)

func open(t testing.TB, cfg redis.Config) *redis.Store {
	t.Helper()
	s, err := redis.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

// fresh is when a proof was made that no store can have seen before.
func fresh() time.Time { return time.Now().Add(time.Minute) }

// A Redis that was wiped does not let a proof pass again that it may have seen; one that was made later passes.
func TestRedis_WipedIsNoticed(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	s := openAlone(t, server)
	must(t, s.Found(t.Context()))
	since, until := time.Now().Add(-time.Second), time.Now().Add(time.Hour)
	for n := range 20 {
		must(t, s.Consume(t.Context(), fmt.Sprint(n), since, until))
	}
	client := goredis.NewClient(&goredis.Options{Addr: server.Addr})
	defer client.Close()
	must(t, client.FlushAll(t.Context()).Err())
	for n := range 20 {
		if err := s.Consume(t.Context(), fmt.Sprint(n), since, until); !errors.Is(err, session.ErrConsumed) {
			t.Errorf("%d after the wipe: %v, want ErrConsumed", n, err)
		}
		must(t, s.Consume(t.Context(), fmt.Sprint("new", n), fresh(), until))
	}
	poll(t, func() bool { // all of it is born anew, not only what was asked
		keys, err := client.Keys(t.Context(), "*}birth").Result()
		return err == nil && len(keys) == 64
	})
	must(t, s.Found(t.Context())) // too late: it is known that something was lost
	if err := s.Consume(t.Context(), "other", since, until); !errors.Is(err, session.ErrConsumed) {
		t.Errorf("after Found: %v, want ErrConsumed", err)
	}
}

// A replica that takes over may not have the last that its primary acknowledged, nor a server that starts again from its disk. What may have
// been used before does not pass, although Redis does not know it.
func TestRedis_GuardOutlivesLossOfTheLatest(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	s := openAlone(t, server)
	must(t, s.Found(t.Context()))
	since, until := time.Now().Add(-time.Second), time.Now().Add(time.Hour)
	must(t, s.Consume(t.Context(), "before", since, until))
	_, err := server.Do("save")
	must(t, err)
	must(t, s.Consume(t.Context(), "lost", since, until))
	server.Kill()
	server.Restart()
	if size, err := server.Do("dbsize"); err != nil || size == "0" {
		t.Fatalf("%s keys, %v: want what was saved", size, err)
	}
	for _, name := range []string{"lost", "before", "new"} {
		var err error
		poll(t, func() bool {
			err = s.Consume(t.Context(), name, since, until)
			return !errors.Is(err, session.ErrUnavailable)
		})
		if !errors.Is(err, session.ErrConsumed) {
			t.Errorf("%s: %v, want ErrConsumed", name, err)
		}
	}
	must(t, s.Consume(t.Context(), "made later", fresh(), until))
}

// prefixes gives each store of a test on a shared server keys of its own.
var prefixes atomic.Int64

func openAlone(t testing.TB, server *redistest.Server) *redis.Store {
	t.Helper()
	return open(t, redis.Config{URL: server.URL(), Prefix: fmt.Sprintf("test%d:", prefixes.Add(1)), Timeout: 10 * time.Second})
}

func TestRedis(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	sessiontest.Run(t, func(t *testing.T) session.Store { return openAlone(t, server) })
}

func TestRedis_Guard(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	sessiontest.RunGuard(t, func(t *testing.T) session.Guard { return openAlone(t, server) })
}

func TestRedis_Values(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	sessiontest.RunValues(t, func(t *testing.T) session.Values { return openAlone(t, server) })
}

func TestRedis_Throttle(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	sessiontest.RunThrottle(t, func(t *testing.T, b session.Backoff) session.Throttle {
		return open(t, redis.Config{URL: server.URL(), Prefix: fmt.Sprintf("test%d:", prefixes.Add(1)), Timeout: 10 * time.Second, Backoff: b})
	})
}

// TestRedis_Cluster runs the suite on a cluster of three nodes, then shows that all of them hold keys.
func TestRedis_Cluster(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, 3, 0)
	url, nodes := cluster.URL(), cluster.Servers
	var n atomic.Int64
	openCluster := func(t *testing.T) *redis.Store {
		return open(t, redis.Config{URL: url, Prefix: fmt.Sprintf("test%d:", n.Add(1)), Timeout: 10 * time.Second})
	}
	t.Run("records", func(t *testing.T) {
		sessiontest.Run(t, func(t *testing.T) session.Store { return openCluster(t) })
	})
	t.Run("guard", func(t *testing.T) {
		sessiontest.RunGuard(t, func(t *testing.T) session.Guard { return openCluster(t) })
	})
	t.Run("throttle", func(t *testing.T) {
		sessiontest.RunThrottle(t, func(t *testing.T, b session.Backoff) session.Throttle {
			return open(t, redis.Config{URL: url, Prefix: fmt.Sprintf("test%d:", n.Add(1)), Timeout: 10 * time.Second, Backoff: b})
		})
	})
	t.Run("values", func(t *testing.T) {
		sessiontest.RunValues(t, func(t *testing.T) session.Values { return openCluster(t) })
	})
	for _, node := range nodes {
		client := goredis.NewClient(&goredis.Options{Addr: node.Addr})
		defer client.Close()
		if size, err := client.DBSize(t.Context()).Result(); err != nil || size < 100 {
			t.Errorf("node %s holds %d keys, %v", node.Addr, size, err)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func poll(t *testing.T, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		if time.Now().After(deadline) {
			t.Fatal("not within 30 s")
		}
		<-tick.C
	}
}

// TestRedis_Sentinel finds the primary through sentinels.
func TestRedis_Sentinel(t *testing.T) {
	t.Parallel()
	set := redistest.StartSentinels(t, 1, 5*time.Second)
	s := open(t, redis.Config{URL: set.URL(), Timeout: 10 * time.Second})
	r := sessiontest.NewRecord(account, role, 1)
	must(t, s.Put(t.Context(), r))
	if _, err := open(t, redis.Config{URL: set.Servers[0].URL()}).Get(t.Context(), r.AccessKeyID); err != nil {
		t.Errorf("the primary does not have the record: %v", err)
	}
}

// When one primary of a cluster is gone, what is on the others goes on.
func TestRedis_ClusterWithoutOnePrimary(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, 3, 0, "--cluster-require-full-coverage", "no", "--cluster-node-timeout", "1000")
	s := open(t, redis.Config{URL: cluster.URL(), Timeout: time.Second})
	var records []*session.Record
	for n := range 60 {
		r := sessiontest.NewRecord(account, role, n)
		poll(t, func() bool { return s.Put(t.Context(), r) == nil })
		records = append(records, r)
	}
	lost := cluster.Servers[0]
	keys := recordsOn(t, lost)
	lost.Kill()
	var gone, kept int
	for _, r := range records {
		if strings.Contains(keys, r.AccessKeyID) {
			gone++
			if err := s.Put(t.Context(), r); !errors.Is(err, session.ErrUnavailable) {
				t.Errorf("a record of the primary that is gone: %v, want ErrUnavailable", err)
			}
			continue
		}
		kept++
		poll(t, func() bool { return s.Put(t.Context(), r) == nil }) // the cluster takes a moment to find that it works without
	}
	if gone == 0 || kept == 0 {
		t.Fatalf("%d records on the primary that is gone, %d elsewhere", gone, kept)
	}
	for _, r := range records { // and by now nothing of the others fails, however often those of the lost one do
		if err := s.Put(t.Context(), r); (err != nil) != strings.Contains(keys, r.AccessKeyID) {
			t.Errorf("Put: %v; the record is on the primary that is gone: %v", err, err == nil)
		}
	}
}

// recordsOn are the access key ids of the records that a server has, as one text.
func recordsOn(t *testing.T, server *redistest.Server) (ids string) {
	t.Helper()
	client := goredis.NewClient(&goredis.Options{Addr: server.Addr})
	defer client.Close()
	keys, err := client.Keys(t.Context(), "stint:*}r:*").Result()
	must(t, err)
	for _, key := range keys {
		fields, err := client.HKeys(t.Context(), key).Result()
		must(t, err)
		ids += strings.Join(fields, " ") + " "
	}
	return ids
}

// A user who may do what docs/operations.md says, and no more, over TLS.
func TestRedis_TLSAndACL(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	pool := certify(t, dir)
	port := freePort(t)
	server := redistest.Start(t, "--tls-port", port, "--tls-cert-file", filepath.Join(dir, "cert.pem"), "--tls-key-file", filepath.Join(dir, "key.pem"),
		"--tls-auth-clients", "no")
	_, err := server.Do("acl", "setuser", "stint", "on", ">s3cret", "resetchannels", "~stint:*", "+@read", "+@write", "+@connection", "-@dangerous", "+eval", "+info", "+time")
	must(t, err)
	_, err = server.Do("acl", "setuser", "default", "off")
	must(t, err)
	file := filepath.Join(dir, "password")
	must(t, os.WriteFile(file, []byte("s3cret\n"), 0o600))
	at := "rediss://stint@127.0.0.1:" + port
	s := open(t, redis.Config{URL: at, PasswordFile: file, TLS: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, Timeout: 10 * time.Second})
	must(t, s.Ping(t.Context()))
	must(t, s.Found(t.Context()))
	r := sessiontest.NewRecord(account, role, 1)
	must(t, s.Put(t.Context(), r))
	must(t, errorOf(s.Get(t.Context(), r.AccessKeyID)))
	must(t, errorOf(s.List(t.Context(), session.Query{Account: account})))
	must(t, s.Consume(t.Context(), "name", fresh(), time.Now().Add(time.Hour)))
	must(t, errorOf(s.Attempt(t.Context(), "name")))
	must(t, s.SetValue(t.Context(), "name", []byte("v"), time.Now().Add(time.Hour)))
	must(t, errorOf(s.TakeValue(t.Context(), "name")))
	n := follow(t, s.Bulletin(), noErr)
	await(t, "ready", n.ready)
	position, err := n.Publish(t.Context(), notice("ASIA1"))
	must(t, err)
	must(t, errorOf(n.Heard(bounded(t), position)))
	for name, cfg := range map[string]redis.Config{
		"an authority that is not known": {URL: at, PasswordFile: file},
		"a wrong password":               {URL: "rediss://stint:wrong@127.0.0.1:" + port, TLS: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}},
		"keys of another prefix":         {URL: at, PasswordFile: file, Prefix: "other:", TLS: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}},
	} {
		if err := open(t, cfg).Ping(t.Context()); !errors.Is(err, session.ErrUnavailable) {
			t.Errorf("%s: %v, want ErrUnavailable", name, err)
		}
	}
}

// certify writes a certificate for 127.0.0.1 and its key, and returns who vouches for it.
func certify(t *testing.T, dir string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, "cert.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "key.pem"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
	pool := x509.NewCertPool()
	certificate, err := x509.ParseCertificate(der)
	must(t, err)
	pool.AddCert(certificate)
	return pool
}

func freePort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer listener.Close()
	return strconv.Itoa(listener.Addr().(*net.TCPAddr).Port)
}

// Whatever a mint writes goes to Redis in one round trip, and so does each question of a guard or a throttle.
func TestRedis_OneRoundTrip(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	way := countTrips(t, server.Addr)
	s := open(t, redis.Config{URL: "redis://" + way.address(), Timeout: 10 * time.Second})
	must(t, s.Found(t.Context()))
	for name, call := range map[string]func() error{
		"Put":     func() error { return s.Put(t.Context(), sessiontest.NewRecord(account, role, 1)) },
		"Consume": func() error { return s.Consume(t.Context(), "name", fresh(), time.Now().Add(time.Hour)) },
		"Attempt": func() error { return errorOf(s.Attempt(t.Context(), "name")) },
		"Succeed": func() error { return s.Succeed(t.Context(), "name") },
	} {
		before := way.trips.Load()
		must(t, call())
		if got := way.trips.Load() - before; got != 1 {
			t.Errorf("%s takes %d round trips, want 1", name, got)
		}
	}
}

// tripCounter passes on what is sent, and counts how often the direction changes from answer to question.
type tripCounter struct {
	listener net.Listener
	trips    atomic.Int64
}

func (c *tripCounter) address() string { return c.listener.Addr().String() }

func countTrips(t *testing.T, target string) *tripCounter {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	c := &tripCounter{listener: listener}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", target)
			if err != nil {
				_ = near.Close()
				return
			}
			var asking atomic.Bool
			go func() {
				defer far.Close()
				_, _ = io.Copy(writerFunc(func(b []byte) (int, error) {
					if !asking.Swap(true) {
						c.trips.Add(1)
					}
					return far.Write(b)
				}), near)
			}()
			go func() {
				defer near.Close()
				_, _ = io.Copy(writerFunc(func(b []byte) (int, error) {
					asking.Store(false)
					return near.Write(b)
				}), far)
			}()
		}
	}()
	return c
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

func TestRedis_TwoStoresShareOneRedis(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	a, b := open(t, redis.Config{URL: server.URL()}), open(t, redis.Config{URL: server.URL()})
	other := open(t, redis.Config{URL: server.URL(), Prefix: "other:"})
	r := sessiontest.NewRecord(account, role, 1)
	must(t, a.Put(t.Context(), r))
	if got, err := b.Get(t.Context(), r.AccessKeyID); err != nil || got.Key() != r.Key() {
		t.Errorf("Get on the other store: %v, %v", got, err)
	}
	if page, err := b.List(t.Context(), session.Query{Account: account}); err != nil || len(page.Records) != 1 {
		t.Errorf("List on the other store: %v, %v", page, err)
	}
	if _, err := other.Get(t.Context(), r.AccessKeyID); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("Get with another prefix: %v, want ErrNotFound", err)
	}
	until := time.Now().Add(time.Hour)
	must(t, a.Consume(t.Context(), "name", fresh(), until))
	if err := b.Consume(t.Context(), "name", fresh(), until); !errors.Is(err, session.ErrConsumed) {
		t.Errorf("Consume on the other store: %v, want ErrConsumed", err)
	}
}

func TestRedis_ConsumeRacesAcrossStores(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	var stores []*redis.Store
	for range 4 {
		stores = append(stores, open(t, redis.Config{URL: server.URL(), Timeout: 10 * time.Second}))
	}
	until := time.Now().Add(time.Hour)
	for n := range 20 {
		var winners atomic.Int32
		var racing sync.WaitGroup
		for i := range 32 {
			racing.Go(func() {
				err := stores[i%len(stores)].Consume(t.Context(), fmt.Sprint(n), fresh(), until)
				if err == nil {
					winners.Add(1)
				} else if !errors.Is(err, session.ErrConsumed) {
					t.Errorf("Consume: %v", err)
				}
			})
		}
		racing.Wait()
		if winners.Load() != 1 {
			t.Fatalf("%d winners", winners.Load())
		}
	}
}

// TestRedis_AttemptRacesAcrossStores shows that all nodes together get no more attempts than one, on the default rule.
func TestRedis_AttemptRacesAcrossStores(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	var stores []*redis.Store
	for range 4 {
		stores = append(stores, open(t, redis.Config{URL: server.URL(), Timeout: 10 * time.Second}))
	}
	for n := range 10 {
		var allowed atomic.Int32
		var racing sync.WaitGroup
		for i := range 32 {
			racing.Go(func() {
				ok, err := stores[i%len(stores)].Attempt(t.Context(), fmt.Sprint(n))
				must(t, err)
				if ok {
					allowed.Add(1)
				}
			})
		}
		racing.Wait()
		if allowed.Load() != 5 {
			t.Fatalf("%d attempts are allowed, want 5", allowed.Load())
		}
	}
}

// TestRedis_Killed kills the server under load. Every Put ends with success or ErrUnavailable, and after a restart they succeed again.
func TestRedis_Killed(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	s := open(t, redis.Config{URL: server.URL()})
	var succeeded, failed, next atomic.Int64
	var stop atomic.Bool
	var putting sync.WaitGroup
	for range 8 {
		putting.Go(func() {
			for !stop.Load() {
				switch err := s.Put(t.Context(), sessiontest.NewRecord(account, role, int(next.Add(1)))); {
				case err == nil:
					succeeded.Add(1)
				case errors.Is(err, session.ErrUnavailable):
					failed.Add(1)
				default:
					t.Errorf("Put: %v", err)
					return
				}
			}
		})
	}
	defer putting.Wait()
	defer stop.Store(true)
	for range 2 {
		before := succeeded.Load()
		poll(t, func() bool { return succeeded.Load() > before+100 })
		server.Kill()
		before = failed.Load()
		poll(t, func() bool { return failed.Load() > before+100 })
		server.Restart()
	}
	before := succeeded.Load()
	poll(t, func() bool { return succeeded.Load() > before+100 })
}

// TestRedis_Paused stops the server without closing its connections. All calls end although nothing answers: the test would not.
func TestRedis_Paused(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	s := open(t, redis.Config{URL: server.URL(), Timeout: 100 * time.Millisecond})
	r := sessiontest.NewRecord(account, role, 1)
	poll(t, func() bool { return s.Put(t.Context(), r) == nil }) // on a busy machine 100 ms may be too short for one try
	server.Pause()
	var calling sync.WaitGroup
	for n := range 64 {
		calling.Go(func() {
			for name, err := range map[string]error{
				"Put":     s.Put(t.Context(), sessiontest.NewRecord(account, role, n)),
				"Consume": s.Consume(t.Context(), "name", fresh(), time.Now().Add(time.Hour)),
				"Ping":    s.Ping(t.Context()),
				"Get":     errorOf(s.Get(t.Context(), r.AccessKeyID)),
				"List":    errorOf(s.List(t.Context(), session.Query{Account: account})),
			} {
				if !errors.Is(err, session.ErrUnavailable) {
					t.Errorf("%s: %v, want ErrUnavailable", name, err)
				}
			}
		})
	}
	calling.Wait()
	server.Resume()
	poll(t, func() bool { return s.Put(t.Context(), r) == nil })
	poll(t, func() bool { return s.Ping(t.Context()) == nil })
}

func errorOf[T any](_ T, err error) error { return err }

// TestRedis_ThrottleFailsClosed shows that an attempt is never allowed by a Redis that does not answer, or that may not count.
func TestRedis_ThrottleFailsClosed(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	s := open(t, redis.Config{URL: server.URL(), Timeout: 10 * time.Second})
	refused := func(why string) {
		t.Helper()
		if allowed, err := s.Attempt(t.Context(), "name"); allowed || !errors.Is(err, session.ErrUnavailable) {
			t.Errorf("Attempt %s: %t, %v, want ErrUnavailable", why, allowed, err)
		}
	}
	if allowed, err := s.Attempt(t.Context(), "name"); err != nil || !allowed {
		t.Fatalf("Attempt: %t, %v", allowed, err)
	}
	must(t, s.Succeed(t.Context(), "name"))
	client := goredis.NewClient(&goredis.Options{Addr: server.Addr})
	defer client.Close()
	must(t, client.Do(t.Context(), "acl", "setuser", "default", "-eval").Err())
	refused("without permission")
	must(t, client.Do(t.Context(), "acl", "setuser", "default", "+eval").Err())
	if allowed, err := s.Attempt(t.Context(), "name"); err != nil || !allowed {
		t.Fatalf("Attempt with permission again: %t, %v", allowed, err)
	}
	server.Kill()
	refused("without Redis")
	if err := s.Succeed(t.Context(), "name"); !errors.Is(err, session.ErrUnavailable) {
		t.Errorf("Succeed without Redis: %v, want ErrUnavailable", err)
	}
}

// TestRedis_FailsFast shows that calls do not pile up behind a server that does not answer: with the breaker open they fail without asking it.
func TestRedis_FailsFast(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	s := open(t, redis.Config{URL: server.URL(), Timeout: time.Minute})
	r := sessiontest.NewRecord(account, role, 1)
	must(t, s.Put(t.Context(), r))
	server.Kill()
	poll(t, func() bool {
		err := s.Put(t.Context(), r)
		return err != nil && strings.Contains(err.Error(), "just now")
	})
	server.Restart()
	must(t, s.Ping(t.Context())) // closes the breaker
	must(t, s.Put(t.Context(), r))
}

func TestRedis_CallerLeaves(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	s := open(t, redis.Config{URL: server.URL(), Timeout: time.Minute})
	gone, leave := context.WithCancel(t.Context())
	leave()
	for range 10 {
		if _, err := s.Get(gone, "ASIAX"); !errors.Is(err, session.ErrUnavailable) || !errors.Is(err, context.Canceled) {
			t.Fatalf("Get: %v, want ErrUnavailable and Canceled", err)
		}
	}
	must(t, s.Put(t.Context(), sessiontest.NewRecord(account, role, 1))) // the breaker did not count them
}

func TestRedis_Password(t *testing.T) {
	t.Parallel()
	const password = "p@ss/word:1%"
	server := redistest.Start(t, "--requirepass", password)
	file := filepath.Join(t.TempDir(), "password")
	must(t, os.WriteFile(file, []byte(password+"\n"), 0o600))
	for _, row := range []struct {
		name string
		cfg  redis.Config
		good bool
	}{
		{"in the URL", redis.Config{URL: "redis://:p%40ss%2Fword%3A1%25@" + server.Addr}, true},
		{"with the default user", redis.Config{URL: "redis://default:p%40ss%2Fword%3A1%25@" + server.Addr + "/1"}, true},
		{"in a file", redis.Config{URL: server.URL(), PasswordFile: file}, true},
		{"in a file, wrong in the URL", redis.Config{URL: "redis://default:wrong@" + server.Addr, PasswordFile: file}, true},
		{"wrong in the URL", redis.Config{URL: "redis://:canary-wrong@" + server.Addr}, false},
		{"of another user", redis.Config{URL: "redis://alice:canary-wrong@" + server.Addr}, false},
		{"none", redis.Config{URL: server.URL()}, false},
	} {
		row.cfg.Timeout = 10 * time.Second
		s := open(t, row.cfg)
		err := s.Put(t.Context(), sessiontest.NewRecord(account, role, 1))
		if pingErr := s.Ping(t.Context()); errors.Is(err, session.ErrUnavailable) == row.good || (pingErr == nil) != row.good {
			t.Errorf("%s: Put %v, Ping %v", row.name, err, pingErr)
		}
		if err != nil && strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: the password is in the error: %v", row.name, err)
		}
	}
}

func TestRedis_PasswordChangesWithoutRestart(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--requirepass", "first")
	file := filepath.Join(t.TempDir(), "password")
	must(t, os.WriteFile(file, []byte("first"), 0o600))
	s := open(t, redis.Config{URL: server.URL(), PasswordFile: file, Timeout: 10 * time.Second})
	must(t, s.Ping(t.Context()))
	admin := goredis.NewClient(&goredis.Options{Addr: server.Addr, Password: "first"})
	defer admin.Close()
	must(t, admin.ConfigSet(t.Context(), "requirepass", "second").Err())
	must(t, os.WriteFile(file, []byte("second"), 0o600))
	must(t, admin.Do(t.Context(), "client", "kill", "type", "normal", "skipme", "yes").Err())
	poll(t, func() bool { return s.Ping(t.Context()) == nil })
}

func TestNew_RefusesConfiguration(t *testing.T) {
	t.Parallel()
	if s, err := redis.New(redis.Config{URL: "redis://127.0.0.1"}); err != nil {
		t.Fatalf("the good twin: %v", err)
	} else {
		must(t, s.Close())
	}
	for _, row := range []struct {
		name string
		cfg  redis.Config
	}{
		{"no URL", redis.Config{}},
		{"a URL that cannot be read", redis.Config{URL: "redis://user:canary@host:port"}},
		{"a password file that is missing", redis.Config{URL: "redis://127.0.0.1", PasswordFile: filepath.Join(t.TempDir(), "none")}},
	} {
		if _, err := redis.New(row.cfg); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v, want an error that holds no password", row.name, err)
		}
	}
}

// TestRedis_MemoryPerSession measures what a live session costs in Redis, with its indexes.
func TestRedis_MemoryPerSession(t *testing.T) {
	const sessions, entities, most = 100_000, 1000, 400
	server := redistest.Start(t)
	s := open(t, redis.Config{URL: server.URL(), Timeout: 30 * time.Second})
	client := goredis.NewClient(&goredis.Options{Addr: server.Addr})
	defer client.Close()
	before := usedMemory(t, client)
	var putting sync.WaitGroup
	for w := range 32 {
		putting.Go(func() {
			for n := w; n < sessions; n += 32 {
				if err := s.Put(t.Context(), sessiontest.NewRecord(account, fmt.Sprintf("AROAQEFWAZTKHPH%06d", n%entities), n)); err != nil {
					t.Errorf("Put: %v", err)
					return
				}
			}
		})
	}
	putting.Wait()
	each := (usedMemory(t, client) - before) / sessions
	t.Logf("%d bytes of Redis for each of %d sessions of %d roles", each, sessions, entities)
	if each > most {
		t.Errorf("%d bytes of Redis a session, more than %d", each, most)
	}
}

func usedMemory(t *testing.T, client *goredis.Client) int {
	t.Helper()
	info, err := client.Info(t.Context(), "memory").Result()
	must(t, err)
	_, rest, _ := strings.Cut(info, "used_memory:")
	number, _, _ := strings.Cut(rest, "\r\n")
	n, err := strconv.Atoi(number)
	must(t, err)
	return n
}

// TestRedis_EverythingEnds shows that no key is left without an end.
func TestRedis_EverythingEnds(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	s := open(t, redis.Config{URL: server.URL(), Timeout: 10 * time.Second})
	client := goredis.NewClient(&goredis.Options{Addr: server.Addr})
	defer client.Close()
	for n := range 100 {
		r := sessiontest.NewRecord(account, role, n)
		r.ExpiresAt = r.IssuedAt.Add(time.Duration(15+n*21) * time.Minute)
		must(t, s.Put(t.Context(), r))
		must(t, s.Consume(t.Context(), fmt.Sprint(n), fresh(), r.ExpiresAt))
		for range n % 8 {
			must(t, errorOf(s.Attempt(t.Context(), fmt.Sprint(n))))
		}
	}
	must(t, s.Ping(t.Context()))
	keys, err := client.Keys(t.Context(), "*").Result()
	must(t, err)
	if len(keys) < 300 {
		t.Fatalf("only %d keys", len(keys))
	}
	for _, key := range keys {
		left, err := client.PTTL(t.Context(), key).Result()
		must(t, err)
		if strings.HasSuffix(key, "}birth") {
			continue // 64 of them at most
		}
		if left == -1 || left > session.MaxLifetime+2*time.Hour+time.Minute {
			t.Errorf("%s ends in %v", key, left)
		}
	}
}

func BenchmarkPut(b *testing.B) {
	s := open(b, redis.Config{URL: redistest.Start(b).URL()})
	r := sessiontest.NewRecord(account, role, 1)
	b.ReportAllocs()
	for b.Loop() {
		if err := s.Put(b.Context(), r); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPutParallel(b *testing.B) {
	s := open(b, redis.Config{URL: redistest.Start(b).URL()})
	b.ReportAllocs()
	b.SetParallelism(16)
	b.RunParallel(func(pb *testing.PB) {
		r := sessiontest.NewRecord(account, role, 1)
		for pb.Next() {
			if err := s.Put(b.Context(), r); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// floor is the same three commands in a bare go-redis pipeline.
func floor(ctx context.Context, client *goredis.Client, value string, end time.Time) error {
	pipeline := client.Pipeline()
	pipeline.ZAdd(ctx, "stint:{00}i:x", goredis.Z{Member: "123456789012/AROAQEFWAZTKHPHHHTHGA/ASIAQEFWAZTKHPHHHTHG"})
	pipeline.PExpireAt(ctx, "stint:{00}i:x", end)
	pipeline.Set(ctx, "stint:{00}s:ASIAQEFWAZTKHPHHHTHG", value, time.Hour)
	_, err := pipeline.Exec(ctx)
	return err
}

func BenchmarkFloor(b *testing.B) {
	client := goredis.NewClient(&goredis.Options{Addr: redistest.Start(b).Addr})
	defer client.Close()
	value, end := strings.Repeat("x", 126), time.Now().Add(time.Hour)
	b.ReportAllocs()
	for b.Loop() {
		if err := floor(b.Context(), client, value, end); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFloorParallel(b *testing.B) {
	client := goredis.NewClient(&goredis.Options{Addr: redistest.Start(b).Addr})
	defer client.Close()
	value, end := strings.Repeat("x", 126), time.Now().Add(time.Hour)
	b.ReportAllocs()
	b.SetParallelism(16)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := floor(b.Context(), client, value, end); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

func BenchmarkList(b *testing.B) {
	s := open(b, redis.Config{URL: redistest.Start(b).URL(), Timeout: 30 * time.Second})
	for n := range 20_000 {
		if err := s.Put(b.Context(), sessiontest.NewRecord(account, fmt.Sprintf("AROAQEFWAZTKHPHH%05d", n%100), n)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.List(b.Context(), session.Query{Account: account, EntityID: "AROAQEFWAZTKHPHH00050"}); err != nil {
			b.Fatal(err)
		}
	}
}
