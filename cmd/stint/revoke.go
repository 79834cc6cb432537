package main

import (
	"context"
	"fmt"
	"io"

	"github.com/stint-sts/stint/arn"
	"github.com/stint-sts/stint/server"
)

// sessionRevoke ends one session with all that was made from it, or every session of somebody that was issued before a moment.
func sessionRevoke(ctx context.Context, p program, args []string) error {
	f := newFlags(p, "session revoke")
	role := f.String("role", "", "ARN of a role: its sessions")
	name := f.String("session-name", "", "with --role: only sessions of this name")
	user := f.String("user", "", "ARN of a user: its sessions")
	provider := f.String("provider", "", "ARN of an identity provider: sessions of those it vouched for")
	subject := f.String("subject", "", "with --provider: only sessions of this subject")
	account := f.String("account", "", "account id: all its sessions")
	before := f.String("issued-before", "", "a time such as 2026-01-31T12:00:00Z: what was issued earlier ends (default: now)")
	reason := f.String("reason", "", "why, for other operators")
	wait := f.Bool("wait", false, "return when every live node has confirmed")
	print := f.output()
	if err := f.Parse(args); err != nil {
		return errUsage // the flag package has printed why
	}
	in := server.AdminRevocation{
		AccessKeyID: f.Arg(0), SessionName: *name, ProviderARN: *provider, Subject: *subject,
		IssuedBefore: *before, Reason: *reason, Wait: *wait,
	}
	ways := f.NArg()
	for _, way := range []struct{ flag, principal string }{{*role, *role}, {*user, *user}, {*account, arn.Root(*account)}, {*provider, ""}} {
		if way.flag != "" {
			ways++
			in.PrincipalARN += way.principal
		}
	}
	if ways != 1 {
		_, _ = fmt.Fprintf(p.stderr, "%s: say which sessions: an ACCESS_KEY_ID, or one of --role, --user, --provider and --account\n", f.Name())
		return errUsage
	}
	cfg, err := f.loadParsed(f.NArg())
	if err != nil {
		return err
	}
	return withAdmin(ctx, cfg, func(a *server.Admin) error {
		revoked, err := a.RevokeSessions(ctx, in)
		if err != nil {
			return err
		}
		return print(revoked, func(w io.Writer) {
			_, _ = fmt.Fprintf(w, "revocation\t%s\n", revoked.RevocationID)
			if f.NArg() == 0 {
				_, _ = fmt.Fprintf(w, "issued before\t%s\n", revoked.IssuedBefore)
			}
			if *wait {
				_, _ = fmt.Fprintf(w, "confirmed by\t%d node(s)\n", revoked.Nodes)
			}
		})
	})
}
