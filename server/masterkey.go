package server

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/stint-sts/stint/seal"
)

// masterKeys returns the master key, with the previous one where the configuration names one.
func (d *dataDir) masterKeys(ctx context.Context, cfg *Config) (*seal.Key, error) {
	master, err := d.masterKey(ctx, cfg.MasterKey)
	if err != nil || cfg.MasterKeyPrevious == "" {
		return master, err
	}
	previous, err := d.masterKey(ctx, cfg.MasterKeyPrevious)
	if err == nil {
		master, err = master.WithPrevious(previous)
	}
	if err != nil {
		return nil, fmt.Errorf("master-key-previous: %w", err)
	}
	return master, nil
}

// masterKey returns the key that seals what is at rest. source is "file:PATH", "env:NAME", "command:PROGRAM ARG…", or empty
// for the file in the data directory, which is made on the first run and never again: a directory whose key is lost must not
// be given a new one that cannot open it.
func (d *dataDir) masterKey(ctx context.Context, source string) (*seal.Key, error) {
	kind, rest, _ := strings.Cut(source, ":")
	switch kind {
	case "":
		path := d.file(masterKeyFile)
		if _, err := os.Stat(d.file(directoryFile)); errors.Is(err, fs.ErrNotExist) {
			if err := createMasterKey(path); err != nil {
				return nil, err
			}
		}
		return readMasterKey(path)
	case "file":
		return readMasterKey(rest)
	case "env":
		return parseMasterKey("environment variable "+rest, os.Getenv(rest))
	case "command":
		return commandMasterKey(ctx, strings.Fields(rest))
	default:
		return nil, fmt.Errorf("master-key: %q is none of file:PATH, env:NAME, command:PROGRAM", kind)
	}
}

// createMasterKey writes a random key unless the file exists already.
func createMasterKey(path string) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	var key [seal.KeySize]byte
	if _, err := rand.Read(key[:]); err != nil {
		return err
	}
	return writeFileAtomic(path, []byte(base64.StdEncoding.EncodeToString(key[:])+"\n"))
}

// Bounds of the command that prints the master key, which is run once, at the start.
const (
	commandTimeout = 30 * time.Second
	commandOutput  = 4 << 10
)

// commandMasterKey runs a command that prints the master key. It sees none of stint's own settings, which may hold secrets, and nothing
// of what it prints is shown: with a mistaken command that may be the key.
func commandMasterKey(ctx context.Context, argv []string) (*seal.Key, error) {
	if len(argv) == 0 {
		return nil, errors.New("master-key: command: names no program")
	}
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	out := bounded{left: commandOutput}
	c := exec.CommandContext(ctx, argv[0], argv[1:]...)
	c.Stdout = &out
	c.Env = slices.DeleteFunc(os.Environ(), isOwnSetting)
	// What it started ends with it.
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.Cancel = func() error { return syscall.Kill(-c.Process.Pid, syscall.SIGKILL) }
	c.WaitDelay = time.Second
	err := c.Run()
	if errors.Is(err, exec.ErrWaitDelay) { // something that it started holds its output open
		_ = c.Cancel()
	}
	switch {
	case out.left < 0:
		return nil, fmt.Errorf("master-key: %s prints more than %d bytes", argv[0], commandOutput)
	case ctx.Err() != nil:
		return nil, fmt.Errorf("master-key: %s: not done after %s", argv[0], commandTimeout)
	case err != nil:
		return nil, fmt.Errorf("master-key: %s: %w (run it by hand to see what it says)", argv[0], err)
	}
	return parseMasterKey("output of "+argv[0], out.text.String())
}

// isOwnSetting reports whether an environment variable is one of stint's or of its PostgreSQL driver.
func isOwnSetting(variable string) bool {
	return strings.HasPrefix(variable, "STINT_") || strings.HasPrefix(variable, "PG")
}

// bounded keeps what is written to it, and refuses what is too much.
type bounded struct {
	text bytes.Buffer
	left int // bytes; negative: too much was written
}

func (b *bounded) Write(p []byte) (int, error) {
	if b.left -= len(p); b.left < 0 {
		return 0, io.ErrShortWrite
	}
	return b.text.Write(p)
}

func readMasterKey(path string) (*seal.Key, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("master key: %w", err)
	}
	if tooOpen(info) {
		return nil, fmt.Errorf("master key %s can be read by others (mode %04o): chmod 600 it", path, info.Mode().Perm())
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("master key: %w", err)
	}
	return parseMasterKey(path, string(raw))
}

// tooOpen reports whether others may read or change the file. Of a file that somebody else owns the group may: systemd and Kubernetes
// hand secrets over as root's, readable through an access list or a group that the service alone is in.
func tooOpen(info fs.FileInfo) bool {
	allowed := fs.FileMode(0o700)
	if owner, ok := info.Sys().(*syscall.Stat_t); ok && int(owner.Uid) != os.Geteuid() {
		allowed |= 0o040
	}
	return info.Mode().Perm()&^allowed != 0
}

func parseMasterKey(where, text string) (*seal.Key, error) {
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
	if err != nil || len(key) != seal.KeySize {
		return nil, fmt.Errorf("master key in %s is not %d bytes of base64", where, seal.KeySize)
	}
	return seal.NewKey(key, rand.Reader)
}
