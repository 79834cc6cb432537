package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/stint-sts/stint/server"
	"github.com/stint-sts/stint/signer"
)

func keysList(ctx context.Context, p program, args []string) error {
	f := newFlags(p, "keys list")
	print := f.output()
	cfg, err := f.load(args, 0)
	if err != nil {
		return err
	}
	return withAdmin(ctx, cfg, func(a *server.Admin) error {
		keys, err := a.ListKeys(ctx)
		if err != nil {
			return err
		}
		return print(keys, func(w io.Writer) { writeKeys(w, keys) })
	})
}

func writeKeys(w io.Writer, keys []signer.KeyInfo) {
	_, _ = fmt.Fprintln(w, "ID\tPURPOSE\tVERSION\tALGORITHM\tSTATE\tSINCE\tVALID UNTIL")
	for _, k := range keys {
		since := k.PreparedAt
		switch k.State {
		case signer.Signing:
			since = k.SigningAt
		case signer.Retired:
			since = k.RetiredAt
		case signer.Removed:
			since = k.RemovedAt
		case signer.Prepared:
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\t%s\t%s\n", k.ID, k.Purpose, k.Version, k.Algorithm, k.State, instant(since), instant(k.ValidUntil))
	}
}

func instant(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.RFC3339)
}

func keysRotate(ctx context.Context, p program, args []string) error {
	f := newFlags(p, "keys rotate")
	purpose := f.String("purpose", string(signer.TokenKey), "what the key is for: token, derivation, sealing, identity-rs256, identity-es384 or saml")
	print := f.output()
	cfg, err := f.load(args, 0)
	if err != nil {
		return err
	}
	return withAdmin(ctx, cfg, func(a *server.Admin) error {
		key, err := a.RotateKey(ctx, signer.Purpose(*purpose))
		if err != nil {
			return err
		}
		_, _ = fmt.Fprintln(p.stderr, "The key is prepared; it signs once every node has had the time to learn it.")
		return print(key, func(w io.Writer) { writeKeys(w, []signer.KeyInfo{key}) })
	})
}

func keysRetire(ctx context.Context, p program, args []string) error {
	f := newFlags(p, "keys retire")
	print := f.output()
	cfg, err := f.load(args, 1)
	if err != nil {
		return err
	}
	return withAdmin(ctx, cfg, func(a *server.Admin) error {
		successor, err := a.RetireKey(ctx, f.Arg(0))
		if err != nil {
			return err
		}
		_, _ = fmt.Fprintln(p.stderr,
			"This successor is prepared; it signs once every node has had the time to learn it. What the retired key signed stays valid.")
		return print(successor, func(w io.Writer) { writeKeys(w, []signer.KeyInfo{successor}) })
	})
}

// keysRewrap replaces the master key, on the installation of the node that it reaches: one run is enough for all nodes.
func keysRewrap(ctx context.Context, p program, args []string) error {
	f := newFlags(p, "keys rewrap")
	o := server.RewrapOptions{}
	f.IntVar(&o.Batch, "batch", 100, "records in one transaction, which other writes wait for; 1 to 1000")
	f.DurationVar(&o.Pause, "pause", 0, "pause between two transactions")
	f.BoolVar(&o.Check, "check", false, "change nothing: tell whether everything is sealed under the master key")
	print := f.output()
	cfg, err := f.load(args, 0)
	if err != nil {
		return err
	}
	o.Progress = func(r server.Rewrapped) {
		_, _ = fmt.Fprintf(p.stderr, "%d values looked at, %d sealed anew\n", r.Values, r.Resealed)
	}
	return withAdmin(ctx, cfg, func(a *server.Admin) error {
		done, err := a.Rewrap(ctx, o)
		if err != nil {
			return fmt.Errorf("%w (run the command again: it goes on where it stopped)", err)
		}
		if err := print(done, func(w io.Writer) { writeRewrapped(w, &done) }); err != nil {
			return err
		}
		if done.Remaining > 0 {
			return fmt.Errorf("%d records have values that the master key %s does not open: the previous one is still needed", done.Remaining, done.MasterKey)
		}
		if done.Former != "" {
			return fmt.Errorf("the replacement of master key %s is not finished: run \"stint keys rewrap\"", done.Former)
		}
		return nil
	})
}

func writeRewrapped(w io.Writer, r *server.Rewrapped) {
	for _, row := range []struct {
		name  string
		value any
	}{
		{"master key", r.MasterKey}, {"master key in force", r.InForce}, {"sealed values, without the key ring", r.Values},
		{"sealed anew", r.Resealed}, {"records that do not open", r.Remaining},
	} {
		_, _ = fmt.Fprintf(w, "%s\t%v\n", row.name, row.value)
	}
	for _, u := range r.Unopened {
		_, _ = fmt.Fprintf(w, "\t%s\n", u)
	}
}

func keysRemove(ctx context.Context, p program, args []string) error {
	f := newFlags(p, "keys remove")
	sure := f.Bool("end-its-sessions", false, "required: every session that needs the key ends at once")
	cfg, err := f.load(args, 1)
	if err != nil {
		return err
	}
	if !*sure {
		_, _ = fmt.Fprintf(p.stderr, "%s: every session that needs the key ends at once: say --end-its-sessions\n", f.Name())
		return errUsage
	}
	return withAdmin(ctx, cfg, func(a *server.Admin) error { return a.RemoveKey(ctx, f.Arg(0)) })
}
