package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/stint-sts/stint/server"
)

// backup writes the directory as it is now to a new file, or to standard output for "-": a container may have no place of its own.
func backup(ctx context.Context, p program, args []string) error {
	f := newFlags(p, "backup")
	cfg, err := f.load(args, 1)
	if err != nil {
		return err
	}
	return withAdmin(ctx, cfg, func(a *server.Admin) error {
		path := f.Arg(0)
		if path == "-" {
			return a.Backup(ctx, p.stdout)
		}
		file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		if err := errors.Join(a.Backup(ctx, file), file.Sync(), file.Close()); err != nil {
			return errors.Join(err, os.Remove(path))
		}
		_, err = fmt.Fprintf(p.stderr, "The directory is in %s. The master key is not: keep it elsewhere.\n", path)
		return err
	})
}

// restore makes a data directory from a back-up.
func restore(ctx context.Context, p program, args []string) (err error) {
	f := newFlags(p, "restore")
	cfg, err := f.load(args, 1)
	if err != nil {
		return err
	}
	in := p.stdin
	if path := f.Arg(0); path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return err
		}
		defer func() { _ = file.Close() }()
		in = file
	}
	if err := server.Restore(ctx, cfg, in); err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.stderr, "The directory is restored. Go on with the same master key:\n\n  stint serve --data-dir %s --master-key %s\n",
		cfg.DataDir, cfg.MasterKey)
	return err
}
