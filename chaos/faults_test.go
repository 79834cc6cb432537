package chaos_test

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/stint-sts/stint/chaos"
	"github.com/stint-sts/stint/session/redistest"
)

// injector does harm: to each part one thing at a time, to different parts at once.
type injector struct {
	*installation
	random *rand.Rand
	busy   []sync.Mutex // by part: each node, then PostgreSQL, then Redis
	under  sync.WaitGroup
}

const (
	postgresPart = nodeCount
	redisPart    = nodeCount + 1
)

// harm is one kind of fault: do returns when the part is whole again.
type harm struct {
	kind chaos.FaultKind
	part func(*rand.Rand) int
	do   func(i *injector, part int, lasting time.Duration, choice int, f *chaos.Fault)
}

func anyNode(r *rand.Rand) int      { return r.IntN(nodeCount) }
func thePostgres(*rand.Rand) int    { return postgresPart }
func theRedis(*rand.Rand) int       { return redisPart }
func wait(lasting time.Duration)    { <-time.After(lasting) }
func (i *injector) fail(e error)    { i.t.Errorf("fault: %v", e) }
func (i *injector) heal() bool      { return i.redis.Works() }
func (i *injector) nothing() string { return "" }

// primaries are the primaries, of whom there are as many as in the beginning.
func (i *injector) primaries() (all []*redistest.Server) {
	until(i.t, "every share of Redis has a primary", func() bool {
		all = i.redis.Primaries()
		return len(all) == i.shares
	}, i.nothing)
	return all
}

var harms = []harm{
	{chaos.NodeKilled, anyNode, func(i *injector, part int, lasting time.Duration, _ int, _ *chaos.Fault) {
		i.nodes[part].kill()
		wait(lasting)
		i.nodes[part].start()
		i.nodes[part].await()
	}},
	{chaos.NodePaused, anyNode, func(i *injector, part int, lasting time.Duration, _ int, _ *chaos.Fault) {
		process := i.nodes[part].process.Process
		if err := process.Signal(syscall.SIGSTOP); err != nil {
			i.fail(err)
		}
		wait(lasting + time.Second)
		if err := process.Signal(syscall.SIGCONT); err != nil {
			i.fail(err)
		}
	}},
	{chaos.ClockJumped, anyNode, func(i *injector, part int, lasting time.Duration, choice int, f *chaos.Fault) {
		f.By = []time.Duration{-45 * time.Second, 45 * time.Second, 2 * time.Minute, -2 * time.Minute}[choice%4]
		if err := i.nodes[part].clock.jump(f.By); err != nil {
			i.fail(err)
		}
		wait(lasting)
		if err := i.nodes[part].clock.jump(0); err != nil {
			i.fail(err)
		}
	}},
	{chaos.PostgresKilled, thePostgres, func(i *injector, _ int, lasting time.Duration, _ int, _ *chaos.Fault) {
		i.postgres.Kill()
		wait(lasting)
		i.postgres.Restart(i.t)
	}},
	{chaos.PostgresStalled, anyNode, func(i *injector, part int, lasting time.Duration, _ int, _ *chaos.Fault) {
		i.nodes[part].way.stall(true)
		wait(lasting)
		i.nodes[part].way.stall(false)
	}},
	{chaos.PostgresCut, anyNode, func(i *injector, part int, lasting time.Duration, _ int, _ *chaos.Fault) {
		i.nodes[part].way.setCut(true)
		wait(lasting)
		i.nodes[part].way.setCut(false)
	}},
	{chaos.RedisFailedOver, theRedis, func(i *injector, _ int, lasting time.Duration, choice int, _ *chaos.Fault) {
		primaries := i.primaries()
		lost := primaries[choice%len(primaries)]
		lost.Kill()
		until(i.t, "a replica takes over", func() bool { return len(i.redis.Primaries()) == i.shares }, i.nothing)
		wait(lasting / 2)
		lost.Restart()
		until(i.t, "Redis is whole again", i.heal, i.nothing)
	}},
	{chaos.RedisPaused, theRedis, func(i *injector, _ int, lasting time.Duration, choice int, _ *chaos.Fault) {
		primaries := i.primaries()
		paused := primaries[choice%len(primaries)]
		paused.Pause()
		wait(2 * lasting) // now and then long enough for a replica to take over
		paused.Resume()
		until(i.t, "Redis is whole again", i.heal, i.nothing)
	}},
	{chaos.RedisWiped, theRedis, func(i *injector, _ int, _ time.Duration, choice int, _ *chaos.Fault) {
		if primaries := i.primaries(); choice%2 == 0 { // back before anybody takes over, and empty: one primary's part is gone
			empty := primaries[choice%len(primaries)]
			empty.Kill()
			empty.Restart()
		} else {
			for _, s := range primaries {
				if _, err := s.Do("flushall"); err != nil {
					i.fail(err)
				}
			}
		}
		until(i.t, "Redis is whole again", i.heal, i.nothing)
	}},
}

// run injects faults until ctx ends, each kind about as often as the others, and returns when everything works.
func (i *injector) run(ctx context.Context, every time.Duration) {
	i.busy = make([]sync.Mutex, nodeCount+2)
	var left []harm
	for ctx.Err() == nil {
		if len(left) == 0 {
			left = append(left, harms...)
			i.random.Shuffle(len(left), func(a, b int) { left[a], left[b] = left[b], left[a] })
			// Once Redis has lost something few codes pass, for two minutes: those faults come last.
			slices.SortStableFunc(left, func(a, b harm) int { return a.part(i.random)/redisPart - b.part(i.random)/redisPart })
		}
		i.inject(left[0], time.Duration(i.random.Int64N(int64(2*time.Second)))+500*time.Millisecond)
		left = left[1:]
		select {
		case <-time.After(every/2 + time.Duration(i.random.Int64N(int64(every)))):
		case <-ctx.Done():
		}
	}
	i.under.Wait()
	until(i.t, "everything works", i.works, func() string { return i.nodes[0].tail() + i.nodes[1].tail() + i.nodes[2].tail() })
}

// inject begins a fault, after the one that the part has now.
func (i *injector) inject(h harm, lasting time.Duration) {
	part, choice := h.part(i.random), i.random.IntN(1000)
	i.busy[part].Lock()
	i.under.Go(func() {
		defer i.busy[part].Unlock()
		f := chaos.Fault{Kind: h.kind, Node: part, Begin: i.clock()}
		if part >= nodeCount {
			f.Node = chaos.Everybody
		}
		h.do(i, part, lasting, choice, &f)
		f.End = i.clock()
		i.history.Injected(f)
		i.t.Logf("%8v to %8v  %s %d %v", f.Begin.Round(time.Millisecond), f.End.Round(time.Millisecond), f.Kind, f.Node, f.By)
	})
}
