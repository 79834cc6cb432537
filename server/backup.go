package server

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/iam/store"
	"github.com/stint-sts/stint/seal"
	"github.com/stint-sts/stint/signer"
)

// adminBackup answers with a snapshot of the directory. The server makes it in its own data directory: there it may write, and there
// nobody else may read.
func (s *Server) adminBackup(w http.ResponseWriter, r *http.Request) {
	local, ok := s.store.(countedSQLite)
	if !ok {
		s.adminAnswer(w, nil, awserr.New(awserr.ValidationError, "the directory is in PostgreSQL: back up the database, with pg_dump for example"))
		return
	}
	snapshot, size, err := s.snapshot(r.Context(), local.Store)
	if err != nil {
		s.adminAnswer(w, nil, err)
		return
	}
	defer func() { _ = snapshot.Close() }()
	// The length tells the client that something is missing when the connection breaks. A large directory takes its time.
	w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
	_ = http.NewResponseController(w).SetWriteDeadline(time.Time{})
	if _, err := io.Copy(w, snapshot); err != nil {
		s.log.Error("back-up", "error", err)
	}
}

// snapshot returns a copy of the directory, whose name is gone already: nothing is left of it whatever happens.
func (s *Server) snapshot(ctx context.Context, local *store.Store) (_ *os.File, size int64, err error) {
	dir, err := os.MkdirTemp(s.data.path, ".backup-*")
	if err != nil {
		return nil, 0, fmt.Errorf("back-up: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	path := filepath.Join(dir, directoryFile)
	if err := local.Backup(ctx, path); err != nil {
		return nil, 0, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, fmt.Errorf("back-up: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, info.Size(), nil
}

// Backup writes a snapshot of the directory to w. On an error what was written is of no use.
func (a *Admin) Backup(ctx context.Context, w io.Writer) error {
	body, size, err := a.open(ctx, http.MethodGet, "/backup", nil)
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }()
	n, err := io.Copy(w, body)
	if err == nil && size >= 0 && n != size {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return fmt.Errorf("back-up: %w", err)
	}
	return nil
}

// Restore makes a data directory from a back-up, which it reads from in. The directory at cfg.DataDir must not exist or be empty, and
// cfg.MasterKey must say where the key is that the back-up was sealed with. On an error the directory is as it was.
func Restore(ctx context.Context, cfg *Config, in io.Reader) (err error) {
	switch {
	case cfg.Database != "":
		return errors.New("restore a directory in PostgreSQL with the tools of PostgreSQL")
	case cfg.MasterKey == "":
		return errors.New("say with --master-key where the master key of the back-up is, such as file:/safe/master.key")
	}
	master, err := (&dataDir{}).masterKeys(ctx, cfg)
	if err != nil {
		return err
	}
	data, err := openDataDir(cfg.DataDir)
	if err != nil {
		return err
	}
	if !data.fresh {
		return errors.Join(fmt.Errorf("%s holds an installation: say a new directory with --data-dir", cfg.DataDir), data.Close())
	}
	defer func() {
		if err != nil {
			for _, name := range []string{directoryFile, directoryFile + "-wal", directoryFile + "-shm", markerFile, lockFile} {
				_ = os.Remove(data.file(name))
			}
		}
		err = errors.Join(err, data.Close())
	}()
	if err := copyBackup(data.file(directoryFile), in); err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	if err := checkBackup(ctx, data.file(directoryFile), master); err != nil {
		return err
	}
	return data.writeMarker(marker{Program: "stint", Format: dataFormat, Bootstrapped: true})
}

func copyBackup(path string, in io.Reader) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, in)
	return errors.Join(err, f.Sync(), f.Close())
}

// checkBackup reads the whole directory at path and opens its key ring.
func checkBackup(ctx context.Context, path string, master *seal.Key) (err error) {
	restored, err := store.Open(ctx, path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, restored.Close()) }()
	if err := restored.Check(ctx); err != nil {
		return err
	}
	_, version, err := ringStore{restored}.LoadRing(ctx)
	if err != nil {
		return err
	}
	if version == 0 {
		return errors.New("the back-up has no key ring: it is not one of an installation that ran")
	}
	_, err = signer.Open(ctx, signer.Config{Store: ringStore{restored}, Master: master, Issuer: tokenIssuer, Now: time.Now, Rand: rand.Reader})
	if errors.Is(err, seal.ErrWrongKey) {
		return errors.New("the master key is not the one that the back-up was made with: give the right one with --master-key")
	}
	return err
}
