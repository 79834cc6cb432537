package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/stint-sts/stint/iam"
	"github.com/stint-sts/stint/secret"
)

// Welcome is what a start tells the operator.
type Welcome struct {
	AccountID       string
	AccountName     string
	CredentialsFile string        // holds root's access key; empty: another node has it
	AccessKeyID     string        // root's; empty but on the first run
	SecretAccessKey secret.String // root's; empty but on the first run
}

// Bootstrap makes the first account on the first run, and hands over its root access key in a file of AWS's
// shared-credentials format. Of several nodes that start at once on one empty database, one does. When a crash came between
// making the key and handing it over, the key that nobody has is replaced.
func (s *Server) Bootstrap(ctx context.Context) (w *Welcome, err error) {
	shared, ok := s.store.(exclusive)
	if !ok { // the data directory is this process's alone
		return s.bootstrap(ctx, localMark{s.data})
	}
	err = shared.Exclusively(ctx, func(ctx context.Context) error {
		w, err = s.bootstrap(ctx, s.iam)
		return err
	})
	return w, err
}

// exclusive is a store that several nodes share.
type exclusive interface {
	// Exclusively runs f while no other node runs one.
	Exclusively(ctx context.Context, f func(context.Context) error) error
}

// bootstrapMark remembers that the root access key was handed over: where the directory is, for there it is of use.
type bootstrapMark interface {
	Bootstrapped(ctx context.Context) (bool, error)
	SetBootstrapped(ctx context.Context) error
}

// localMark is a field of the data directory's marker.
type localMark struct{ data *dataDir }

func (l localMark) Bootstrapped(context.Context) (bool, error) {
	m, err := l.data.readMarker()
	return m.Bootstrapped, err
}

func (l localMark) SetBootstrapped(context.Context) error {
	m, err := l.data.readMarker()
	if err != nil {
		return err
	}
	m.Bootstrapped = true
	return l.data.writeMarker(m)
}

func (s *Server) bootstrap(ctx context.Context, mark bootstrapMark) (*Welcome, error) {
	file := s.data.file(bootstrapDir, credentialFile)
	done, err := mark.Bootstrapped(ctx)
	if err != nil {
		return nil, err
	}
	if done {
		return s.welcomeBack(ctx, file)
	}
	created, err := s.firstAccount(ctx)
	if err != nil {
		return nil, fmt.Errorf("first account: %w", err)
	}
	if err := writeCredentials(file, created); err != nil {
		return nil, fmt.Errorf("bootstrap credentials: %w", err)
	}
	if err := mark.SetBootstrapped(ctx); err != nil {
		return nil, fmt.Errorf("bootstrap: %w", err)
	}
	return &Welcome{
		AccountID: created.Account.ID, AccountName: created.Account.Name, CredentialsFile: file,
		AccessKeyID: created.AccessKeyID, SecretAccessKey: created.SecretAccessKey,
	}, nil
}

func (s *Server) firstAccount(ctx context.Context) (*iam.NewAccount, error) {
	accounts, err := s.iam.ListAccounts(ctx)
	if err != nil {
		return nil, err
	}
	if len(accounts) > 0 {
		return s.iam.ReplaceRootKeys(ctx, accounts[0].ID)
	}
	if err := s.sessions.Found(ctx); err != nil { // codes of before now do not pass, then
		s.log.Warn("the session state does not know that the installation is new", "error", err)
	}
	return s.iam.CreateAccount(ctx, iam.CreateAccount{ID: s.cfg.AccountID, Name: s.cfg.AccountName})
}

func (s *Server) welcomeBack(ctx context.Context, file string) (*Welcome, error) {
	accounts, err := s.iam.ListAccounts(ctx)
	if err != nil {
		return nil, fmt.Errorf("accounts: %w", err)
	}
	w := &Welcome{CredentialsFile: file}
	if _, err := os.Stat(file); s.cfg.Database != "" && errors.Is(err, fs.ErrNotExist) {
		w.CredentialsFile = ""
	}
	first := accounts[:min(1, len(accounts))]
	for _, a := range accounts {
		if a.CreateDate.Before(first[0].CreateDate) {
			first = []*iam.Account{a}
		}
	}
	for _, a := range first {
		w.AccountID, w.AccountName = a.ID, a.Name
	}
	return w, nil
}

// writeCredentials writes the root key as profile "root" (AWS CLI User Guide, "Configuration and credential file settings").
func writeCredentials(path string, a *iam.NewAccount) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return writeFileAtomic(path, fmt.Appendf(nil,
		"# Root access key of account %s. Make users and roles with it, then keep it away.\n[root]\naws_access_key_id = %s\naws_secret_access_key = %s\nregion = us-east-1\n",
		a.Account.ID, a.AccessKeyID, a.SecretAccessKey.Reveal()))
}
