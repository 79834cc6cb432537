package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"slices"

	"github.com/stint-sts/stint/iam"
	"github.com/stint-sts/stint/iam/store"
	"github.com/stint-sts/stint/server"
)

// migrate copies a directory between a data directory and a database.
func migrate(ctx context.Context, p program, args []string) error {
	f := flag.NewFlagSet("stint migrate", flag.ContinueOnError)
	f.SetOutput(p.stderr)
	var m server.Migration
	f.StringVar(&m.From, "from", "", "data directory of a server that is stopped, or postgres:// URL of a database")
	f.StringVar(&m.To, "to", "", "empty or new data directory, or postgres:// URL of an empty database")
	f.StringVar(&m.MasterKey, "master-key", "", "where the master key is: file:PATH, env:NAME or command:PROGRAM (default: master.key in the data directory --from)")
	f.StringVar(&m.FromPasswordFile, "from-password-file", "", "file that holds the password for the database --from")
	f.StringVar(&m.ToPasswordFile, "to-password-file", "", "file that holds the password for the database --to")
	output := f.String("output", "text", "text or json")
	if err := f.Parse(args); err != nil {
		return errUsage
	}
	for name, where := range map[string]string{"from": m.From, "to": m.To} {
		switch {
		case where == "":
			_, _ = fmt.Fprintf(p.stderr, "stint migrate: --%s is missing\n", name)
			return errUsage
		case server.IsDatabase(where) && store.HasPassword(where):
			_, _ = fmt.Fprintf(p.stderr, "stint migrate: --%s: every user of this machine can read a password on a command line: use --%s-password-file, a passfile or PGPASSWORD\n", name, name)
			return errUsage
		}
	}
	moved, err := server.Migrate(ctx, m)
	if err != nil {
		return fmt.Errorf("nothing was moved: %w", err)
	}
	if *output == "json" {
		return json.NewEncoder(p.stdout).Encode(moved)
	}
	kinds := make([]iam.Kind, 0, len(moved.Records))
	total := 0
	for kind, n := range moved.Records {
		kinds, total = append(kinds, kind), total+n
	}
	slices.Sort(kinds)
	for _, kind := range kinds {
		_, _ = fmt.Fprintf(p.stdout, "%8d %s\n", moved.Records[kind], kind)
	}
	_, _ = fmt.Fprintf(p.stdout, "%8d records, read back and compared (SHA-256 %s)\n%8d sealed values, opened with the master key\n", total, moved.SHA256, moved.Sealed)
	_, _ = fmt.Fprintln(p.stderr, "Start the servers on the new directory with the same master key. The old one was left as it is: keep it stopped.")
	return nil
}
