package redistest

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// slots of a Redis Cluster.
const slots = 16384

// Cluster is a running Redis Cluster.
type Cluster struct {
	Servers []*Server // the primaries first, then their replicas in the same order, round after round
}

// StartCluster starts a cluster of so many primaries with so many replicas each, with further options for every server. It returns when all
// of it works, and is stopped when the test ends.
func StartCluster(t testing.TB, primaries, replicas int, options ...string) *Cluster {
	t.Helper()
	c := &Cluster{}
	for range primaries * (1 + replicas) {
		c.Servers = append(c.Servers, Start(t, append([]string{"--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf",
			"--cluster-port", freePort(t)}, options...)...))
	}
	first := c.Servers[0]
	host, port, _ := net.SplitHostPort(first.Addr)
	for i, s := range c.Servers {
		if i < primaries {
			s.ask(t, "cluster", "addslotsrange", i*slots/primaries, (i+1)*slots/primaries-1)
		}
		if i > 0 {
			s.ask(t, "cluster", "meet", host, port, first.Option("--cluster-port"))
		}
	}
	for _, s := range c.Servers {
		await(t, "a cluster in which everybody knows everybody", func() bool {
			return strings.Contains(s.ask(t, "cluster", "info"), fmt.Sprintf("cluster_known_nodes:%d\r", len(c.Servers)))
		})
	}
	for i, s := range c.Servers[primaries:] {
		primary := c.Servers[i%primaries].ask(t, "cluster", "myid")
		await(t, "a replica that knows its primary", func() bool { return strings.Contains(s.ask(t, "cluster", "nodes"), primary) })
		s.ask(t, "cluster", "replicate", primary)
	}
	c.Await(t)
	return c
}

// Await waits until all slots are served and every replica follows its primary.
func (c *Cluster) Await(t testing.TB) {
	t.Helper()
	await(t, "a cluster that works", c.Works)
}

// Works reports whether all slots are served, and every replica follows its primary.
func (c *Cluster) Works() bool {
	for _, s := range c.Servers {
		info, err := s.Do("cluster", "info")
		if err != nil || !strings.Contains(info, "cluster_state:ok") {
			return false
		}
		role, err := s.Do("info", "replication")
		if err != nil || strings.Contains(role, "role:slave") && !strings.Contains(role, "master_link_status:up") {
			return false
		}
	}
	return true
}

// Primaries returns the servers that are primaries by what they say themselves.
func (c *Cluster) Primaries() []*Server { return primariesOf(c.Servers) }

// URL returns where the cluster is, for stint.
func (c *Cluster) URL() string { return "redis+cluster://" + addresses(c.Servers) }

// Sentinels is a primary with replicas, and sentinels that watch over them.
type Sentinels struct {
	Servers   []*Server // the first primary, then its replicas
	Sentinels []*Server
}

// StartSentinels starts a primary with so many replicas and three sentinels, two of which decide that it is down after the given time.
func StartSentinels(t testing.TB, replicas int, down time.Duration, options ...string) *Sentinels {
	t.Helper()
	set := &Sentinels{Servers: []*Server{Start(t, options...)}}
	host, port, _ := net.SplitHostPort(set.Servers[0].Addr)
	for range replicas {
		replica := Start(t, options...)
		replica.ask(t, "replicaof", host, port) // not as an option: it would follow the first again when it is restarted as the primary
		set.Servers = append(set.Servers, replica)
	}
	for range 3 {
		config := filepath.Join(t.TempDir(), "sentinel.conf")
		text := fmt.Sprintf("sentinel monitor main %s %s 2\nsentinel down-after-milliseconds main %d\nsentinel failover-timeout main %d\n",
			host, port, down.Milliseconds(), 5*down.Milliseconds())
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		set.Sentinels = append(set.Sentinels, StartSentinel(t, config))
	}
	await(t, "sentinels that know each other and the replicas", func() bool {
		for _, s := range set.Sentinels {
			known, err := s.Do("info", "sentinel")
			if err != nil || !strings.Contains(known, fmt.Sprintf("status=ok,address=%s,slaves=%d,sentinels=3", set.Servers[0].Addr, replicas)) {
				return false
			}
		}
		return true
	})
	await(t, "replicas that follow", set.Works)
	return set
}

// Works reports whether there is one primary, whom all others follow.
func (s *Sentinels) Works() bool {
	primaries := 0
	for _, server := range s.Servers {
		role, err := server.Do("info", "replication")
		switch {
		case err != nil:
			return false
		case strings.Contains(role, "role:master"):
			primaries++
		case !strings.Contains(role, "master_link_status:up"):
			return false
		}
	}
	return primaries == 1
}

// Primaries returns the servers that are primaries by what they say themselves.
func (s *Sentinels) Primaries() []*Server { return primariesOf(s.Servers) }

// URL returns where the sentinels are, for stint.
func (s *Sentinels) URL() string { return "redis+sentinel://" + addresses(s.Sentinels) + "/main" }

func primariesOf(servers []*Server) (all []*Server) {
	for _, s := range servers {
		if role, err := s.Do("info", "replication"); err == nil && strings.Contains(role, "role:master") {
			all = append(all, s)
		}
	}
	return all
}

func addresses(servers []*Server) string {
	var all []string
	for _, s := range servers {
		all = append(all, s.Addr)
	}
	return strings.Join(all, ",")
}

// ask sends a command that works.
func (s *Server) ask(t testing.TB, command ...any) string {
	t.Helper()
	answer, err := s.Do(command...)
	if err != nil {
		t.Fatalf("redis %v: %v", command, err)
	}
	return answer
}

// Do sends a command and returns its answer as text.
func (s *Server) Do(command ...any) (string, error) {
	client := goredis.NewClient(&goredis.Options{Addr: s.Addr, MaxRetries: -1, DialerRetries: 1, DialTimeout: time.Second, ReadTimeout: time.Second})
	defer client.Close()
	answer, err := client.Do(context.Background(), command...).Result()
	return fmt.Sprint(answer), err
}

func await(t testing.TB, what string, happened func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	late := time.After(3 * patience)
	for !happened() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("redis: no %s within %v", what, 3*patience)
		}
	}
}

func freePort(t testing.TB) string {
	t.Helper()
	_, port, err := net.SplitHostPort(freeAddr(t))
	if err != nil {
		t.Fatal(err)
	}
	return port
}
