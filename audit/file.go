package audit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// FileConfig configures a File.
type FileConfig struct {
	Dir      string           // made with mode 0700 when it is not there; required; one process per directory
	MaxBytes int64            // rotate before a file grows beyond this; default 100 MiB
	MaxFiles int              // rotated files kept; 0: all
	MaxAge   time.Duration    // rotated files older than this are removed; 0: none
	Sync     bool             // fsync after every write: an event survives a power cut, at the price of one disk flush a batch
	Now      func() time.Time // default time.Now
	Log      *slog.Logger     // tells of old files that cannot be removed; default: nothing is told
}

const (
	currentName = "audit.jsonl"
	rotatedName = "audit-20060102T150405Z-" // in UTC, followed by a number and the extension
	extension   = ".jsonl"
)

// File is a Sink of JSON-lines files in one directory: audit.jsonl is the current one; at the size limit and at the first
// write of a UTC day it is renamed to audit-<time of the rotation>-<number>.jsonl. Files have mode 0600. A line that a
// crash cut short stays, alone on its line, and a write that fails leaves no part of it behind. When the current file is
// moved or removed by others, a new one is made within a second.
type File struct {
	cfg  FileConfig
	path string

	file    osFile
	size    int64
	day     int       // UTC day of the last write, as days since 1970
	torn    bool      // the file does not end in a newline
	checked time.Time // when the file was last seen in its place
}

// osFile is what a File needs of an *os.File.
type osFile interface {
	io.WriteCloser
	Stat() (fs.FileInfo, error)
	Sync() error
	Truncate(size int64) error
}

// OpenFile opens the current file in cfg.Dir for appending, or makes it.
func OpenFile(cfg FileConfig) (*File, error) {
	if cfg.Dir == "" || cfg.MaxBytes < 0 || cfg.MaxFiles < 0 || cfg.MaxAge < 0 {
		return nil, errors.New("audit: file sink without a directory or with a negative bound")
	}
	cfg.MaxBytes = cmp.Or(cfg.MaxBytes, 100<<20)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("audit: directory: %w", err)
	}
	f := &File{cfg: cfg, path: filepath.Join(cfg.Dir, currentName)}
	if err := f.open(); err != nil {
		return nil, err
	}
	f.removeOld()
	return f, nil
}

// open opens or makes the current file, and only then closes the one it replaces.
func (f *File) open() error {
	file, err := os.OpenFile(f.path, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("audit: open: %w", err)
	}
	info, torn, err := inspect(file)
	if err == nil && f.cfg.Sync {
		err = syncDir(f.cfg.Dir)
	}
	if err != nil {
		file.Close()
		return fmt.Errorf("audit: open %s: %w", f.path, err)
	}
	if f.file != nil {
		f.file.Close()
	}
	f.file, f.size, f.torn = file, info.Size(), torn
	f.day = dayOf(info.ModTime())
	f.checked = f.cfg.Now()
	return nil
}

// inspect makes sure that an audit file is one that only its owner can read, and reports whether its last line is torn.
func inspect(file *os.File) (info fs.FileInfo, torn bool, err error) {
	if info, err = file.Stat(); err != nil {
		return nil, false, err
	}
	if !info.Mode().IsRegular() {
		return nil, false, errors.New("not a regular file")
	}
	if info.Mode().Perm()&0o077 != 0 {
		if err := file.Chmod(0o600); err != nil {
			return nil, false, err
		}
	}
	if info.Size() > 0 {
		var last [1]byte
		if _, err := file.ReadAt(last[:], info.Size()-1); err != nil {
			return nil, false, err
		}
		torn = last[0] != '\n'
	}
	return info, torn, nil
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}

func dayOf(t time.Time) int { return int(t.Unix() / (24 * 60 * 60)) }

// Write appends lines in one write(2).
func (f *File) Write(_ context.Context, lines []byte) error {
	if f.file == nil {
		return fs.ErrClosed
	}
	now := f.cfg.Now()
	if err := f.prepare(now, int64(len(lines))); err != nil {
		return err
	}
	if f.torn {
		if err := f.append([]byte{'\n'}); err != nil {
			return err
		}
		f.torn = false
	}
	if err := f.append(lines); err != nil {
		return err
	}
	f.day = dayOf(now)
	return nil
}

// prepare makes sure that the current file is in its place and has room.
func (f *File) prepare(now time.Time, incoming int64) error {
	if elapsed := now.Sub(f.checked); elapsed >= time.Second || elapsed < 0 {
		if !f.inPlace() {
			return f.open()
		}
		f.checked = now
	}
	if f.size > 0 && (f.size+incoming > f.cfg.MaxBytes || dayOf(now) != f.day) {
		return f.rotate(now)
	}
	return nil
}

// inPlace reports whether the path still leads to the open file.
func (f *File) inPlace() bool {
	opened, err := f.file.Stat()
	if err != nil {
		return false
	}
	named, err := os.Stat(f.path)
	return err == nil && os.SameFile(opened, named)
}

// append writes b, or leaves the file as it was.
func (f *File) append(b []byte) error {
	_, err := f.file.Write(b)
	if err == nil && f.cfg.Sync {
		err = f.file.Sync()
	}
	if err == nil {
		f.size += int64(len(b))
		return nil
	}
	// The caller will report these events as not written; a reader must not find them, nor half a line.
	if undo := f.file.Truncate(f.size); undo != nil {
		err = errors.Join(err, undo)
		if info, statErr := f.file.Stat(); statErr != nil {
			f.torn = true
		} else if info.Size() > f.size {
			f.torn, f.size = true, info.Size()
		}
	}
	return err
}

// rotate renames the current file and begins another. When the new one cannot be made, writes fail until it can: by then
// the renamed file is out of place and only open is tried again.
func (f *File) rotate(now time.Time) error {
	name, err := f.nextName(now)
	if err != nil {
		return fmt.Errorf("audit: rotate: %w", err)
	}
	if err := os.Rename(f.path, filepath.Join(f.cfg.Dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("audit: rotate: %w", err)
	}
	if err := f.open(); err != nil {
		return err
	}
	f.removeOld()
	return nil
}

// nextName names the file that is rotated now: it sorts behind every other of the same second.
func (f *File) nextName(now time.Time) (string, error) {
	rotated, err := f.rotated()
	if err != nil {
		return "", err
	}
	prefix, number := now.UTC().Format(rotatedName), 0
	for _, file := range rotated {
		if digits, ok := strings.CutPrefix(strings.TrimSuffix(file.name, extension), prefix); ok {
			if n, err := strconv.Atoi(digits); err == nil {
				number = max(number, n+1)
			}
		}
	}
	return fmt.Sprintf("%s%06d%s", prefix, number, extension), nil
}

// removeOld removes rotated files beyond the bounds of number and age. A file that cannot be removed must not stop the
// service; it is logged.
func (f *File) removeOld() {
	rotated, err := f.rotated()
	if err != nil {
		f.cfg.Log.Error("audit files not listed", "error", err)
		return
	}
	for i, old := range rotated {
		excess := f.cfg.MaxFiles > 0 && len(rotated)-i > f.cfg.MaxFiles
		expired := f.cfg.MaxAge > 0 && f.cfg.Now().Sub(old.at) > f.cfg.MaxAge
		if !excess && !expired {
			continue
		}
		if err := os.Remove(filepath.Join(f.cfg.Dir, old.name)); err != nil {
			f.cfg.Log.Error("old audit file not removed", "error", err)
		}
	}
}

// rotatedFile is a file that rotate made.
type rotatedFile struct {
	name string
	at   time.Time
}

// rotated lists the files that rotate made, oldest first. Whatever else lies in the directory is left alone.
func (f *File) rotated() (files []rotatedFile, err error) {
	entries, err := os.ReadDir(f.cfg.Dir) // sorted by name, which is by time
	for _, entry := range entries {
		name, ok := strings.CutSuffix(entry.Name(), extension)
		if !ok || len(name) < len(rotatedName) {
			continue
		}
		if at, err := time.Parse(rotatedName, name[:len(rotatedName)]); err == nil {
			files = append(files, rotatedFile{entry.Name(), at})
		}
	}
	return files, err
}

// Close closes the current file.
func (f *File) Close() error {
	if f.file == nil {
		return nil
	}
	err := errors.Join(f.file.Sync(), f.file.Close())
	f.file = nil
	return err
}

// Writer returns a Sink that writes to w, for example os.Stdout. Closing it does not close w.
func Writer(w io.Writer) Sink { return &writer{w: w} }

type writer struct {
	w    io.Writer
	torn bool // a write failed in the middle of a line
}

// Write writes lines in one Write of the underlying writer.
func (w *writer) Write(_ context.Context, lines []byte) error {
	if w.torn {
		if _, err := w.w.Write([]byte{'\n'}); err != nil {
			return err
		}
		w.torn = false
	}
	n, err := w.w.Write(lines)
	if err == nil && n < len(lines) {
		err = io.ErrShortWrite
	}
	w.torn = err != nil && n > 0
	return err
}

// Close leaves the underlying writer open.
func (w *writer) Close() error { return nil }
