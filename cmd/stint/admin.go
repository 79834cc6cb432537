package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/stint-sts/stint/secret"
	"github.com/stint-sts/stint/server"
	"github.com/stint-sts/stint/signer"
)

// withAdmin runs f with a client of the admin API.
func withAdmin(ctx context.Context, cfg *server.Config, f func(*server.Admin) error) (err error) {
	a, err := server.DialAdmin(ctx, cfg, versionString(), slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	return f(a)
}

// output adds the flag --output and returns a printer: v as JSON, or what table writes.
func (f *flags) output() func(v any, table func(io.Writer)) error {
	format := f.String("output", "text", "text or json")
	return func(v any, table func(io.Writer)) error {
		switch *format {
		case "json":
			e := json.NewEncoder(f.p.stdout)
			e.SetIndent("", "  ")
			return e.Encode(v)
		case "text":
			w := tabwriter.NewWriter(f.p.stdout, 0, 4, 2, ' ', 0)
			table(w)
			return w.Flush()
		default:
			return fmt.Errorf("--output %s: must be text or json", *format)
		}
	}
}

func accountCreate(ctx context.Context, p program, args []string) error {
	f := newFlags(p, "account create")
	id := f.String("id", "", "account id, 12 digits (default: random)")
	name := f.String("name", "", "name for people")
	print := f.output()
	cfg, err := f.load(args, 0)
	if err != nil {
		return err
	}
	return withAdmin(ctx, cfg, func(a *server.Admin) error {
		account, err := a.CreateAccount(ctx, *id, *name)
		if err != nil {
			return err
		}
		return print(account, func(w io.Writer) {
			_, _ = fmt.Fprintf(w, "account\t%s\nname\t%s\nroot access key id\t%s\nroot secret access key\t%s\n",
				account.AccountID, account.Name, account.AccessKeyID, account.SecretAccessKey)
			_, _ = fmt.Fprintln(p.stderr, "The secret is shown this once.")
		})
	})
}

func accountList(ctx context.Context, p program, args []string) error {
	f := newFlags(p, "account list")
	print := f.output()
	cfg, err := f.load(args, 0)
	if err != nil {
		return err
	}
	return withAdmin(ctx, cfg, func(a *server.Admin) error {
		accounts, err := a.ListAccounts(ctx)
		if err != nil {
			return err
		}
		return print(accounts, func(w io.Writer) {
			_, _ = fmt.Fprintln(w, "ACCOUNT\tNAME\tALIAS\tCREATED")
			for _, account := range accounts {
				_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", account.AccountID, account.Name, account.Alias, account.Created)
			}
		})
	})
}

func sessionList(ctx context.Context, p program, args []string) error {
	f := newFlags(p, "session list")
	account := f.String("account", "", "account id (default: the only account there is)")
	entity := f.String("entity", "", "unique id of a role or user (AROA…, AIDA…): its sessions only")
	print := f.output()
	cfg, err := f.load(args, 0)
	if err != nil {
		return err
	}
	return withAdmin(ctx, cfg, func(a *server.Admin) error {
		if *account == "" {
			if *account, err = onlyAccount(ctx, a); err != nil {
				return err
			}
		}
		sessions, err := allSessions(ctx, a, *account, *entity)
		if err != nil {
			return err
		}
		return print(sessions, func(w io.Writer) {
			_, _ = fmt.Fprintln(w, "ACCESS KEY ID\tSESSION\tISSUED\tEXPIRES\tPARENT")
			for _, s := range sessions {
				_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", s.AccessKeyID, s.ARN, s.Issued, s.Expires, s.Parent)
			}
		})
	})
}

func onlyAccount(ctx context.Context, a *server.Admin) (string, error) {
	accounts, err := a.ListAccounts(ctx)
	if err != nil {
		return "", err
	}
	if len(accounts) != 1 {
		return "", fmt.Errorf("there are %d accounts: choose one with --account", len(accounts))
	}
	return accounts[0].AccountID, nil
}

func allSessions(ctx context.Context, a *server.Admin, account, entity string) ([]server.AdminSession, error) {
	const pageSize = 1000
	sessions := []server.AdminSession{}
	for after := ""; ; {
		page, err := a.ListSessions(ctx, account, entity, after, pageSize)
		if err != nil {
			return nil, err
		}
		sessions = append(sessions, page.Sessions...)
		if after = page.Next; after == "" {
			return sessions, nil
		}
	}
}

func sessionShow(ctx context.Context, p program, args []string) error {
	f := newFlags(p, "session show")
	print := f.output()
	cfg, err := f.load(args, 1)
	if err != nil {
		return err
	}
	return withAdmin(ctx, cfg, func(a *server.Admin) error {
		s, err := a.GetSession(ctx, f.Arg(0))
		if err != nil {
			return err
		}
		return print(s, func(w io.Writer) {
			for _, row := range [][2]string{
				{"access key id", s.AccessKeyID}, {"kind", s.Kind}, {"account", s.Account}, {"arn", s.ARN},
				{"made for", s.EntityARN + " (" + s.EntityID + ")"}, {"session name", s.SessionName},
				{"source identity", s.SourceIdentity}, {"asked for by", s.Parent}, {"identity provider", s.Issuer},
				{"subject", s.Subject}, {"mfa", fmt.Sprint(s.MFA)}, {"chained", fmt.Sprint(s.Chained)},
				{"issued", s.Issued}, {"expires", s.Expires},
			} {
				if row[1] != "" {
					_, _ = fmt.Fprintf(w, "%s\t%s\n", row[0], row[1])
				}
			}
		})
	})
}

// maxToken bounds what token inspect reads.
const maxToken = 64 << 10

// tokenInspect explains the token; with a data directory at hand it also checks it. The token comes by standard input: an
// argument would be seen by every user of the machine.
func tokenInspect(ctx context.Context, p program, args []string) error {
	f := newFlags(p, "token inspect")
	offline := f.Bool("unverified", false, "do not ask the installation whether the token is genuine")
	cfg, err := f.load(args, 0)
	if err != nil {
		return err
	}
	raw, err := io.ReadAll(io.LimitReader(p.stdin, maxToken))
	if err != nil {
		return err
	}
	token := strings.TrimSpace(string(raw))
	if *offline {
		inspection, err := signer.InspectUnverified(secret.New(token), time.Now())
		if err != nil {
			return err
		}
		_, err = io.WriteString(p.stdout, inspection.String())
		return err
	}
	return withAdmin(ctx, cfg, func(a *server.Admin) error {
		out, err := a.InspectToken(ctx, token)
		if err != nil {
			return err
		}
		_, err = io.WriteString(p.stdout, out.Text)
		return err
	})
}

func explain(ctx context.Context, p program, args []string) error {
	f := newFlags(p, "explain")
	print := f.output()
	cfg, err := f.load(args, 1)
	if err != nil {
		return err
	}
	return withAdmin(ctx, cfg, func(a *server.Admin) error {
		e, err := a.Explain(ctx, f.Arg(0))
		if err != nil {
			return err
		}
		return print(e, func(w io.Writer) { _ = e.WriteText(w) }) // print flushes w, and tells its error
	})
}
