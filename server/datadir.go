package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Names below the data directory.
const (
	markerFile     = "stint.json"
	lockFile       = "lock"
	masterKeyFile  = "master.key"
	directoryFile  = "directory.db"
	sessionsDir    = "sessions"
	auditDir       = "audit"
	bootstrapDir   = "bootstrap"
	credentialFile = "credentials"
	adminSocket    = "admin.sock"
)

// dataFormat is the version of the data directory's layout.
const dataFormat = 1

// dataDir is an opened and locked data directory. Nobody else writes to it while it is open.
type dataDir struct {
	path  string
	lock  *os.File
	fresh bool // made by this open
}

// marker is the content of stint.json, which tells a data directory of stint from any other directory.
type marker struct {
	Program string `json:"program"`
	Format  int    `json:"format"`
	// Bootstrapped tells that the first account's credentials have been handed over.
	Bootstrapped bool `json:"bootstrapped"`
}

// openDataDir opens the directory at path, or makes it. It refuses, without touching anything, a directory that is neither
// empty nor stint's, one of a later format, and one that another process has open.
func openDataDir(path string) (*dataDir, error) {
	entries, err := os.ReadDir(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	d := &dataDir{path: path}
	if len(entries) == 0 {
		if err := d.create(); err != nil {
			return nil, err
		}
	}
	m, err := d.readMarker()
	if err != nil {
		return nil, err
	}
	if m.Format > dataFormat {
		return nil, fmt.Errorf("data directory %s is of format %d, this stint knows up to %d: use a newer stint", path, m.Format, dataFormat)
	}
	if err := d.takeLock(); err != nil {
		return nil, err
	}
	return d, nil
}

func (d *dataDir) create() error {
	if err := os.MkdirAll(d.path, 0o700); err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	if err := os.Chmod(d.path, 0o700); err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	d.fresh = true
	return d.writeMarker(marker{Program: "stint", Format: dataFormat})
}

func (d *dataDir) readMarker() (marker, error) {
	var m marker
	raw, err := os.ReadFile(d.file(markerFile))
	if errors.Is(err, fs.ErrNotExist) {
		return m, fmt.Errorf("%s is not empty and not a data directory of stint (it has no %s): choose another with --data-dir", d.path, markerFile)
	}
	if err != nil {
		return m, fmt.Errorf("data directory: %w", err)
	}
	if err := json.Unmarshal(raw, &m); err != nil || m.Program != "stint" {
		return m, fmt.Errorf("%s is damaged: restore it, or choose another --data-dir", d.file(markerFile))
	}
	return m, nil
}

func (d *dataDir) writeMarker(m marker) error {
	raw, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return writeFileAtomic(d.file(markerFile), append(raw, '\n'))
}

// takeLock makes this process the only one with the directory open; the kernel drops the lock when the process ends.
func (d *dataDir) takeLock() error {
	f, err := os.OpenFile(d.file(lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return fmt.Errorf("data directory %s is %w", d.path, ErrInUse)
		}
		return fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	d.lock = f
	return nil
}

// ErrInUse tells that another process has the data directory open.
var ErrInUse = errors.New("in use by another stint process")

// Close gives up the lock.
func (d *dataDir) Close() error { return d.lock.Close() }

func (d *dataDir) file(name ...string) string {
	return filepath.Join(append([]string{d.path}, name...)...)
}

// writeFileAtomic replaces the file at path by content, mode 0600: after a crash it holds either all of it or what was
// there before.
func writeFileAtomic(path string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // after the rename there is nothing to remove
	if _, err := f.Write(content); err != nil {
		_ = f.Close()
		return err
	}
	if err := f.Sync(); err != nil {
		_ = f.Close()
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }()
	return dir.Sync()
}
