package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stint-sts/stint/secret"
)

// Cache keeps credentials in a file that many processes of one user share, so that a hundred processes that start at once fetch once.
type Cache struct {
	Dir string           // made with mode 0700 when it is not there
	Now func() time.Time // the wall clock; default time.Now
}

const (
	maxCacheFile    = 64 << 10              // bytes
	lockPoll        = 20 * time.Millisecond // between two attempts to take the lock
	refreshPatience = 5 * time.Second       // for new credentials while the old ones are good
)

// cached is a file of the cache. There is no other way than to write the secrets down; the file's mode is what keeps them.
type cached struct {
	AccessKeyId, SecretAccessKey, SessionToken string
	Expiration                                 time.Time
	Fetched                                    time.Time // by the wall clock of this machine
	Lifetime                                   time.Duration
}

// Credentials returns the credentials that the file named name holds, or fetches new ones when they have reached two thirds of their
// life: one process does, under a lock, and the others wait for it, or go on with the old ones as long as they are good. name must be
// made of what the credentials depend on. A file or directory that others can read is refused.
func (c *Cache) Credentials(ctx context.Context, name string, fetch func(context.Context) (Credentials, error)) (Credentials, error) {
	if err := c.prepare(); err != nil {
		return Credentials{}, fmt.Errorf("cache: %w", err)
	}
	file := filepath.Join(c.Dir, name+".json")
	old, good, fresh, err := c.read(file)
	if err != nil || fresh {
		return old, err
	}
	unlock, err := lock(ctx, filepath.Join(c.Dir, name+".lock"), !good)
	switch {
	case errors.Is(err, errBusy):
		return old, nil // another process renews them
	case err != nil:
		return Credentials{}, fmt.Errorf("cache: %w", err)
	}
	defer unlock()
	if old, good, fresh, err = c.read(file); err != nil || fresh { // what the process before us fetched
		return old, err
	}
	if good {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, refreshPatience)
		defer cancel()
	}
	asked := c.now()
	fetched, err := fetch(ctx)
	switch {
	case err != nil && good:
		return old, nil
	case err != nil:
		return Credentials{}, err
	}
	if err := write(file, &fetched, asked); err != nil {
		return Credentials{}, fmt.Errorf("cache: %w", err)
	}
	return fetched, nil
}

func (c *Cache) now() time.Time {
	if c.Now != nil {
		return c.Now().Round(0)
	}
	return time.Now().Round(0)
}

// prepare makes the directory, and refuses one that others may change or read.
func (c *Cache) prepare() error {
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return err
	}
	info, err := os.Lstat(c.Dir)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is not a directory", c.Dir)
	}
	return ours(c.Dir, info)
}

// ours refuses what belongs to somebody else or what others may read or write.
func ours(path string, info fs.FileInfo) error {
	if info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("others may read %s: remove it, or use --no-cache", path)
	}
	var stat unix.Stat_t
	if err := unix.Lstat(path, &stat); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if int(stat.Uid) != os.Geteuid() {
		return fmt.Errorf("%s belongs to another user: remove it, or use --no-cache", path)
	}
	return nil
}

// read returns what the file holds and whether that may be handed out (good) and needs no renewal (fresh). A file that is not there
// or holds something else is as an old one.
func (c *Cache) read(file string) (creds Credentials, good, fresh bool, err error) {
	info, err := os.Lstat(file)
	if errors.Is(err, fs.ErrNotExist) {
		return Credentials{}, false, false, nil
	}
	if err != nil {
		return Credentials{}, false, false, fmt.Errorf("cache: %w", err)
	}
	if !info.Mode().IsRegular() {
		return Credentials{}, false, false, fmt.Errorf("cache: %s is not a file", file)
	}
	if err := ours(file, info); err != nil {
		return Credentials{}, false, false, fmt.Errorf("cache: %w", err)
	}
	text, err := readFile(file, maxCacheFile)
	if err != nil {
		return Credentials{}, false, false, fmt.Errorf("cache: %w", err)
	}
	var held cached
	if json.Unmarshal(text, &held) != nil {
		return Credentials{}, false, false, nil
	}
	creds = Credentials{
		AccessKeyID: held.AccessKeyId, SecretAccessKey: secret.New(held.SecretAccessKey), SessionToken: secret.New(held.SessionToken),
		Expiration: held.Expiration, Lifetime: held.Lifetime,
	}
	age := c.now().Sub(held.Fetched)
	good = creds.check() == nil && age >= 0 && age+margin < held.Lifetime // an age below zero: the clock was set back
	return creds, good, good && age < creds.refreshAfter(), nil
}

// write replaces the file in one step.
func write(file string, c *Credentials, asked time.Time) error {
	text, err := json.Marshal(cached{
		c.AccessKeyID, c.SecretAccessKey.Reveal(), c.SessionToken.Reveal(), c.Expiration, asked, c.Lifetime,
	})
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".*") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// errBusy tells that another process has the lock.
var errBusy = errors.New("another process has the lock")

// lock takes the lock, or returns errBusy when another process has it and wait is false. The kernel drops it with the process. It is
// polled because a wait inside the kernel would not end with ctx.
func lock(ctx context.Context, file string, wait bool) (unlock func(), err error) {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case err == nil:
			return func() { _ = f.Close() }, nil
		case !errors.Is(err, unix.EWOULDBLOCK):
			err = fmt.Errorf("lock %s: %w", file, err)
		case !wait:
			err = errBusy
		default:
			sleep(ctx, lockPoll, nil)
			if err = ctx.Err(); err == nil {
				continue
			}
			err = fmt.Errorf("another process has %s: %w", file, err)
		}
		return nil, errors.Join(err, f.Close())
	}
}
