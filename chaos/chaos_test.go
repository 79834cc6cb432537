package chaos_test

import (
	"context"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/redis/go-redis/v9/logging"

	"github.com/stint-sts/stint/chaos"
	"github.com/stint-sts/stint/session/redistest"
)

// Settings of a run: how long, and from which seed faults and load are drawn.
const (
	timeVariable = "CHAOS"
	seedVariable = "CHAOS_SEED"
	shortRun     = 15 * time.Second
	longRun      = time.Minute // in which every promise comes to be tried
	calm         = 3 * time.Second
)

func TestMain(m *testing.M) {
	logging.Disable() // what the client of Redis prints: each try to reach one that was killed
	m.Run()
}

func settings(t *testing.T) (lasting time.Duration, seed uint64) {
	t.Helper()
	lasting, seed = shortRun, rand.Uint64()
	var err error
	if text := os.Getenv(timeVariable); text != "" {
		if lasting, err = time.ParseDuration(text); err != nil {
			t.Fatalf("%s: %v", timeVariable, err)
		}
	}
	if text := os.Getenv(seedVariable); text != "" {
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("%s: %v", seedVariable, err)
		}
	}
	return lasting, seed
}

// What Redis is asked to keep: a primary that has lost touch with its replica writes nothing.
var durable = []string{"--min-replicas-to-write", "1", "--min-replicas-max-lag", "2", "--repl-diskless-sync-delay", "0"}

// TestChaos keeps what stint promises, whatever fails: one installation has a Redis Cluster, another one sentinels.
func TestChaos(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: -short")
	}
	lasting, seed := settings(t)
	binary := build(t)
	t.Run("Cluster", func(t *testing.T) {
		t.Parallel()
		options := append([]string{"--cluster-node-timeout", "1500", "--cluster-replica-validity-factor", "0"}, durable...)
		c := redistest.StartCluster(t, 3, 1, options...)
		run(t, install(t, binary, c), lasting, seed)
	})
	t.Run("Sentinel", func(t *testing.T) {
		t.Parallel()
		s := redistest.StartSentinels(t, 2, time.Second, durable...)
		run(t, install(t, binary, s), lasting, seed)
	})
}

func run(t *testing.T, i *installation, lasting time.Duration, seed uint64) {
	t.Helper()
	t.Logf("faults and load for %v; again: %s=%d", lasting, seedVariable, seed)
	l := prepare(i)
	loading, stopLoad := context.WithCancel(t.Context())
	defer stopLoad()
	loaded := make(chan struct{})
	go func() {
		defer close(loaded)
		l.run(loading, seed)
	}()
	<-time.After(calm)
	harming, stopHarm := context.WithTimeout(t.Context(), lasting)
	defer stopHarm()
	harmer := &injector{installation: i, random: rand.New(rand.NewPCG(seed, 0))}
	harmer.run(harming, min(max(lasting/15, time.Second), 3*time.Second))
	<-time.After(calm) // what follows the last fault
	stopLoad()
	<-loaded
	l.presentAll(60)
	i.find()
	report(t, i.history, lasting >= longRun)
}

// report judges the history. Everything must have been tried when the run was long.
func report(t *testing.T, h *chaos.History, long bool) {
	t.Helper()
	t.Logf("%d mints, %d uses, %d revocations, %d proofs, %d writes, %d faults", len(h.Mints), len(h.Uses), len(h.Revocations), len(h.Proofs), len(h.Writes), len(h.Faults))
	logCodes(t, h)
	r := chaos.Check(h)
	for _, c := range r.Checked {
		t.Logf("%6d  %s", c.Cases, c.Promise)
		if c.Cases == 0 && long {
			t.Errorf("nothing was checked: %s", c.Promise)
		}
	}
	for n, v := range r.Violations {
		if n == 30 {
			t.Errorf("and %d more", len(r.Violations)-n)
			break
		}
		t.Errorf("BROKEN: %s\n\t%s", v.Promise, v.Detail)
	}
}

// logCodes tells what calls got that did not pass.
func logCodes(t *testing.T, h *chaos.History) {
	t.Helper()
	codes := make(map[string]int)
	note := func(what string, c chaos.Call) {
		if c.Outcome != chaos.Passed {
			codes[what+" "+c.Code[:min(40, len(c.Code))]]++
		}
	}
	for _, m := range h.Mints {
		note("mint", m.Call)
	}
	for _, u := range h.Uses {
		note("use", u.Call)
	}
	for _, r := range h.Revocations {
		note("revocation", r.Call)
	}
	for _, p := range h.Proofs {
		note("proof", p.Call)
	}
	for _, w := range h.Writes {
		note("write", w.Call)
	}
	for _, what := range slices.Sorted(maps.Keys(codes)) {
		t.Logf("%6d  %s", codes[what], what)
	}
}
