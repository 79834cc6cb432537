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
