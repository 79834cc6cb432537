//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// pair is one line of the comparison: a load on stint, and the same load on a floor server.
type pair struct {
	stint, floor *load
	redis        string // URL of the Redis that both write to; empty: none
	aim          string // of DESIGN.md section 10, as a multiple of the floor
}

// compare measures the operations beside the floor server, on one core.
func (b *bench) compare(ctx context.Context) (err error) {
	unpin, err := pinDriver()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unpin()) }()
	redis, err := b.startRedis(onDriverCore)
	if err != nil {
		return err
	}
	shared, s, err := b.newStint(ctx, onServerCore, redis)
	if err != nil {
		return err
	}
	embedded, e, err := b.newStint(ctx, onServerCore, "")
	if err != nil {
		return err
	}
	pairs := []pair{
		{stint: newLoad("AssumeRole, Redis", shared, s.longLived, assumeRole(always(s.roleARN))), redis: redis, aim: "1.4"},
		{stint: newLoad("AssumeRole, embedded", embedded, e.longLived, assumeRole(always(e.roleARN)))},
		{stint: newLoad("GetCallerIdentity, temporary key", embedded, e.temporary, getCallerIdentity), aim: "1.5"},
		{stint: newLoad("GetCallerIdentity, user key", embedded, e.longLived, getCallerIdentity), aim: "1.3"},
	}
	var loads []*load
	servers := []*server{shared, embedded}
	for i := range pairs {
		p := &pairs[i]
		if p.floor, err = b.floorFor(ctx, p, len(e.temporary.SessionToken.Reveal())); err != nil {
			return err
		}
		loads, servers = append(loads, p.floor, p.stint), append(servers, p.floor.server)
	}
	idp, err := newIssuer()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, idp.server.Close()) }()
	web, err := idp.webIdentityLoads(ctx, shared)
	if err != nil {
		return err
	}
	medians, err := b.interleave(ctx, b.requests, append(loads, web...))
	if err != nil {
		return err
	}
	b.printComparison(pairs, medians)
	if err := idp.printWebIdentity(web, medians, medians[pairs[0].floor]); err != nil {
		return err
	}
	if err := printServers(servers); err != nil {
		return err
	}
	profiled := web
	for _, p := range pairs {
		profiled = append(profiled, p.stint)
	}
	return b.profile(ctx, profiled)
}

// newStint starts stint on a fresh data directory, with a subject in it.
func (b *bench) newStint(ctx context.Context, p placement, redis string) (*server, *subject, error) {
	dir, err := b.tempDir()
	if err != nil {
		return nil, nil, err
	}
	s, err := b.startStint(ctx, p, dir, redis)
	if err != nil {
		return nil, nil, err
	}
	who, err := newSubject(ctx, s)
	if err != nil {
		return nil, nil, fmt.Errorf("set up %s: %w", s.name, err)
	}
	return s, who, nil
}

// floorFor starts a floor server for the same load as p's on stint: same access key, form, and size of answer. A floor server knows
// one access key, so each load has its own.
func (b *bench) floorFor(ctx context.Context, p *pair, token int) (*load, error) {
	size, err := p.stint.once(ctx)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.stint.name, err)
	}
	f, err := b.startFloor(p.stint.key, answerSizes{role: size, identity: size, token: token}, p.redis)
	if err != nil {
		return nil, err
	}
	f.name = "floor of " + p.stint.name
	return newLoad("floor of it", f, p.stint.key, p.stint.form), nil
}

func (b *bench) printComparison(pairs []pair, medians map[*load]sample) {
	fmt.Printf("## End to end\n\n%d requests a case in %d rounds, %d connections; server on core %d, driver and Redis on core %d. CPU is the server's.\n\n",
		b.requests*b.rounds, b.rounds, b.workers, serverCore, driverCore)
	t := newTable("case", "ops/s", "p50", "p99", "CPU/request", "allocations", "CPU : floor", "aim")
	for _, p := range pairs {
		ratio := float64(medians[p.stint].cpu) / float64(medians[p.floor].cpu)
		t.add(append(figures(p.stint.name, medians[p.stint]), fmt.Sprintf("%.2f", ratio), p.aim)...)
		t.add(append(figures(p.floor.name, medians[p.floor]), "", "")...)
	}
	t.print()
}

func figures(name string, m sample) []string {
	return []string{name, fmt.Sprintf("%.0f", m.rate), micros(m.p50), micros(m.p99), micros(m.cpu), fmt.Sprintf("%.0f", m.allocated)}
}

const startUpUnit = time.Millisecond

func printServers(servers []*server) error {
	fmt.Print("## Processes\n\n")
	t := newTable("server", "start-up", "RSS idle", "RSS after the load")
	for _, s := range servers {
		after, err := residentSize(s.command.Process.Pid)
		if err != nil {
			return err
		}
		t.add(s.name, s.startUp.Round(startUpUnit).String(), mebibytes(s.idleRSS), mebibytes(after))
	}
	t.print()
	return nil
}

// profile takes a CPU profile of stint under each of the loads.
func (b *bench) profile(ctx context.Context, loads []*load) error {
	if b.profiles == "" {
		return nil
	}
	for _, l := range loads {
		progress("profile of %s", l.name)
		under, stop := context.WithCancel(ctx)
		sent := make(chan error, 1)
		go func() {
			_, err := l.send(under, endless, b.workers)
			sent <- err
		}()
		err := b.saveProfile(ctx, l.server, strings.NewReplacer(", ", "-", " ", "-").Replace(l.name))
		stop()
		if sendErr := <-sent; !errors.Is(sendErr, context.Canceled) {
			err = errors.Join(err, sendErr)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// scale measures stint on all cores, with the driver and Redis on the same ones, beside stint on one.
func (b *bench) scale(ctx context.Context) error {
	redis, err := b.startRedis(anywhere)
	if err != nil {
		return err
	}
	var loads []*load
	for _, p := range []placement{{core: -1, procs: 1}, anywhere} {
		s, who, err := b.newStint(ctx, p, redis)
		if err != nil {
			return err
		}
		processors := "all processors"
		if p.procs == 1 {
			processors = "one processor"
		}
		loads = append(loads,
			newLoad("AssumeRole, session in Redis, "+processors, s, who.longLived, assumeRole(always(who.roleARN))),
			newLoad("GetCallerIdentity, user key, "+processors, s, who.longLived, getCallerIdentity))
	}
	medians, err := b.interleave(ctx, b.aside(), loads)
	if err != nil {
		return err
	}
	fmt.Print("## One processor and all\n\nNothing is pinned: server, driver and Redis share the cores, so the driver bounds what can be gained here.\n\n")
	t := newTable("case", "ops/s", "p50", "p99", "CPU/request", "allocations")
	for _, l := range loads {
		t.add(figures(l.name, medians[l])...)
	}
	t.print()
	return nil
}
