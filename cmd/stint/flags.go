package main

import (
	"flag"
	"fmt"

	"github.com/stint-sts/stint/server"
)

// flags are a command's flags: its own, and those of settings that it honours.
type flags struct {
	*flag.FlagSet
	p      program
	config *string
	given  map[string]string
}

// newFlags makes the flags of a command that loads the configuration.
func newFlags(p program, name string) *flags {
	f := &flags{FlagSet: flag.NewFlagSet("stint "+name, flag.ContinueOnError), p: p, given: make(map[string]string)}
	f.SetOutput(p.stderr)
	f.config = f.String("config", "", "YAML file with settings")
	for _, s := range server.Flags() {
		usage := s.Usage
		if s.Default != "" && !s.Toggle {
			usage += " (default " + s.Default + ")"
		}
		if s.Toggle {
			f.Var(toggle{f.given, s.Name}, s.Name, usage)
		} else {
			f.Func(s.Name, usage, func(v string) error {
				f.given[s.Name] = v
				return nil
			})
		}
	}
	return f
}

// toggle is a boolean setting's flag.
type toggle struct {
	given map[string]string
	name  string
}

func (t toggle) String() string     { return "" }
func (t toggle) IsBoolFlag() bool   { return true }
func (t toggle) Set(v string) error { t.given[t.name] = v; return nil }

// load parses args and reads the configuration. want is how many arguments follow the flags.
func (f *flags) load(args []string, want int) (*server.Config, error) {
	if err := f.Parse(args); err != nil {
		return nil, errUsage // the flag package has printed why
	}
	return f.loadParsed(want)
}

// loadParsed is load for flags that are parsed.
func (f *flags) loadParsed(want int) (*server.Config, error) {
	if f.NArg() != want {
		_, _ = fmt.Fprintf(f.p.stderr, "%s: wants %d argument(s) after its flags, got %d\n", f.Name(), want, f.NArg())
		return nil, errUsage
	}
	file := *f.config
	if file == "" {
		file, _ = f.p.env("STINT_CONFIG")
	}
	return server.Load(server.Sources{File: file, Env: f.p.env, Flags: f.given})
}
