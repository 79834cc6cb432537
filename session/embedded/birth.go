package embedded

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/stint-sts/stint/session"
)

// birth is since when the directory has lost nothing. A directory that somebody has emptied is born anew.
type birth struct {
	path string
	ms   atomic.Int64 // milliseconds since 1970; 0: ever
}

// open reads the birth of the directory, or writes it down. A directory with state but without a birth is of an earlier version, and has
// lost nothing.
func (b *birth) open(dir string, now time.Time) error {
	b.path = filepath.Join(dir, "sessions.birth")
	text, err := os.ReadFile(b.path)
	switch {
	case err == nil:
		ms, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
		if err != nil || ms < 0 {
			ms = math.MaxInt64 / 2 / int64(time.Millisecond) // who knows what else was changed: nothing that can be replayed passes
		}
		b.ms.Store(ms)
		return nil
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	state, err := filepath.Glob(filepath.Join(dir, "sessions-*"))
	if err != nil {
		return err
	}
	if len(state) > 0 {
		return b.write(0)
	}
	return b.write(now.UnixMilli())
}

func (b *birth) write(ms int64) error {
	aside := b.path + ".new"
	f, err := os.OpenFile(aside, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(f, ms)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(aside, b.path); err != nil {
		return err
	}
	b.ms.Store(ms)
	return nil
}

// lost reports whether something of since then may be lost.
func (b *birth) lost(since time.Time) bool {
	ms := b.ms.Load()
	return ms > 0 && since.Before(time.UnixMilli(ms).Add(session.BirthMargin))
}

// Found implements session.Guard.
func (s *Store) Found(context.Context) error { return s.birth.write(0) }
