package server

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/stint-sts/stint/iam"
	"github.com/stint-sts/stint/iam/store"
	"github.com/stint-sts/stint/seal"
	"github.com/stint-sts/stint/signer"
)

// Migration says what to move where. From and To are data directories or URLs of databases.
type Migration struct {
	From, To                         string
	FromPasswordFile, ToPasswordFile string // of databases
	MasterKey                        string // as in Config; empty: the file in the data directory From
}

// Migrated tells what was moved.
type Migrated struct {
	Records map[iam.Kind]int `json:"records"` // how many of each kind
	Sealed  int              `json:"sealed"`  // how many sealed values the master key opened
	SHA256  string           `json:"sha256"`  // over all records
}

// moveTimeout bounds a migration: its transaction holds up whoever else writes.
const moveTimeout = 6 * time.Hour

// Migrate copies the directory From to the empty directory To, in one transaction, and verifies it before the commit: every record
// is read back, and everything sealed is opened. From stays as it is.
func Migrate(ctx context.Context, m Migration) (_ *Migrated, err error) {
	var opened []*place
	defer func() {
		for _, p := range opened {
			err = errors.Join(err, p.close())
		}
	}()
	from, err := openPlace(ctx, m.From, m.FromPasswordFile, true)
	if err != nil {
		return nil, fmt.Errorf("from: %w", err)
	}
	opened = append(opened, from)
	master, err := from.masterKey(ctx, m.MasterKey)
	if err != nil {
		return nil, err
	}
	to, err := openPlace(ctx, m.To, m.ToPasswordFile, false)
	if err != nil {
		return nil, fmt.Errorf("to: %w", err)
	}
	opened = append(opened, to)

	done, err := from.bootstrapped(ctx)
	if err != nil {
		return nil, fmt.Errorf("from: %w", err)
	}
	var further []iam.Record
	if done {
		further = append(further, iam.BootstrapDone())
	}
	var out Migrated
	copied, err := store.Copy(ctx, from.store, to.store, func(r iam.Record) error {
		n, err := checkSealed(r, master)
		out.Sealed += n
		return err
	}, further...)
	if errors.Is(err, seal.ErrWrongKey) {
		return nil, fmt.Errorf("the master key is not the one that %s was made with: %w", m.From, err)
	}
	if err != nil {
		return nil, err
	}
	out.Records, out.SHA256 = copied.Records, hex.EncodeToString(copied.Sum[:])
	if done {
		err = to.setBootstrapped()
	}
	return &out, err
}

func checkSealed(r iam.Record, master *seal.Key) (int, error) {
	if r.Kind != iam.KindKeyRing {
		return iam.CheckSealed(r, master)
	}
	if _, err := signer.CheckRing(r.Body, master); err != nil {
		return 0, err
	}
	return 1, nil
}

// place is one end of a migration.
type place struct {
	data  *dataDir // nil: a database
	store iam.Store
}

// openPlace opens a data directory, which no server may have open, or a database. One that is there stays as it is.
func openPlace(ctx context.Context, where, passwordFile string, there bool) (*place, error) {
	if IsDatabase(where) {
		s, err := store.OpenPostgres(ctx, store.PostgresConfig{URL: where, PasswordFile: passwordFile, Timeout: moveTimeout})
		return &place{store: s}, err
	}
	if there {
		if _, err := os.Stat(filepath.Join(where, directoryFile)); err != nil {
			return nil, fmt.Errorf("%s is no data directory with a directory in it: %w", where, err)
		}
	}
	data, err := openDataDir(where)
	if err != nil {
		return nil, err
	}
	s, err := store.Open(ctx, data.file(directoryFile))
	if err != nil {
		return nil, errors.Join(err, data.Close())
	}
	return &place{data: data, store: s}, nil
}

// IsDatabase reports whether the name of a directory is the URL of a database.
func IsDatabase(where string) bool { return (&Config{}).setDatabase(where) == nil && where != "" }

func (p *place) close() error {
	err := p.store.Close()
	if p.data != nil {
		err = errors.Join(err, p.data.Close())
	}
	return err
}

func (p *place) masterKey(ctx context.Context, source string) (*seal.Key, error) {
	if p.data == nil && source == "" {
		return nil, errors.New("the master key is not in the database: say where it is with --master-key")
	}
	return (&dataDir{path: p.path()}).masterKey(ctx, source)
}

func (p *place) path() string {
	if p.data == nil {
		return ""
	}
	return p.data.path
}

// bootstrapped reports whether the first account's root access key was handed over.
func (p *place) bootstrapped(ctx context.Context) (bool, error) {
	if p.data != nil {
		return localMark{p.data}.Bootstrapped(ctx)
	}
	err := p.store.View(ctx, func(tx iam.Tx) error {
		_, err := tx.Get(iam.KindBootstrap, "", "", iam.BootstrapDone().Name)
		return err
	})
	if errors.Is(err, iam.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// setBootstrapped completes a data directory; a database has the record.
func (p *place) setBootstrapped() error {
	if p.data == nil {
		return nil
	}
	return localMark{p.data}.SetBootstrapped(context.Background())
}
