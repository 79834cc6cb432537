//go:build linux

// Load measures stint end to end over loopback beside the floor server (bench/floor): operations per second, latency, CPU per request
// of the server process, allocations and memory. It starts and stops every server itself, all on loopback, and writes Markdown
// tables to standard output. It judges nothing.
//
// The compared servers run on core 0 with one processor each; the driver and Redis run on core 1. CPU is what /proc/PID/stat says of
// the server process, so what the driver spends does not count. Cases take turns (A B C A B C …) and a figure is the
// median of the rounds: what else the machine does meanwhile meets all cases alike.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

// settings are the driver's flags.
type settings struct {
	stint, floor string // binaries
	requests     int    // of one case in one round
	rounds       int
	workers      int
	memory       int    // sessions; 0: not measured
	directory    int    // roles; 0: not measured
	profiles     string // directory; empty: none
	logLevel     string
}

func main() {
	// SIGPIPE too: a reader of the tables that leaves must not leave the servers behind.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) (err error) {
	var s settings
	flags := flag.NewFlagSet("load", flag.ContinueOnError)
	flags.StringVar(&s.stint, "stint", "bin/stint", "`binary` of stint")
	flags.StringVar(&s.floor, "floor", "bin/floor", "`binary` of the floor server")
	flags.IntVar(&s.requests, "requests", 10_000, "requests of each case in a round")
	flags.IntVar(&s.rounds, "rounds", 3, "rounds, of which the median counts")
	flags.IntVar(&s.workers, "workers", 8, "connections, with one request at a time on each")
	flags.IntVar(&s.memory, "memory", 0, "measure memory with so many live `sessions` in Redis; 0: do not")
	flags.IntVar(&s.directory, "directory", 0, "compare AssumeRole with 10 and with so many `roles` in the directory; 0: do not")
	flags.StringVar(&s.profiles, "profiles", "", "`directory` for CPU profiles of stint, one for each case; empty: none")
	flags.StringVar(&s.logLevel, "log-level", "info", "stint's; at its default of info it logs each request, here to a file")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if s.requests < s.workers || s.rounds < 1 || s.workers < 1 || s.memory < 0 || s.directory < 0 {
		return errors.New("--rounds and --workers must be at least 1, --requests at least --workers, the others not negative")
	}
	dir, err := os.MkdirTemp("", "stint-bench-")
	if err != nil {
		return err
	}
	b := &bench{settings: s, dir: dir}
	defer func() { err = errors.Join(err, b.stopAll(), os.RemoveAll(dir)) }()
	for _, part := range []struct {
		wanted bool
		run    func(context.Context) error
	}{
		{true, b.compare},
		{true, b.scale},
		{s.memory > 0, b.measureMemory},
		{s.directory > 0, b.growDirectory},
	} {
		if !part.wanted {
			continue
		}
		if err := part.run(ctx); err != nil {
			return err
		}
		if err := b.stopAll(); err != nil {
			return err
		}
	}
	return nil
}

// bench is one run of the driver.
type bench struct {
	settings
	dir     string
	servers []*server // running
}

// aside is how many requests of each load a round of a side study sends.
func (b *bench) aside() int { return max(b.workers, b.requests/4) }

func (b *bench) stopAll() error {
	var errs []error
	for _, s := range b.servers {
		errs = append(errs, s.stop())
	}
	b.servers = nil
	return errors.Join(errs...)
}

// tempDir makes a directory for one server.
func (b *bench) tempDir() (string, error) { return os.MkdirTemp(filepath.Clean(b.dir), "") }

// progress tells people what is going on; tables alone go to standard output.
func progress(format string, args ...any) { fmt.Fprintf(os.Stderr, "load: "+format+"\n", args...) }
