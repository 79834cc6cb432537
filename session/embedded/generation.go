package embedded

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/stint-sts/stint/session"
)

const (
	filePrefix     = "sessions-"
	journalSuffix  = ".journal"
	snapshotSuffix = ".snapshot"
	unfinished     = ".tmp" // a snapshot that is being written
	fileMode       = 0o600
)

func (s *Store) path(generation uint64, suffix string) string {
	return filepath.Join(s.cfg.Dir, filePrefix+strconv.FormatUint(generation, 10)+suffix)
}

// load reads the newest snapshot and the journals from its generation on, and opens the last journal for writing. Nothing on disk changes
// unless all of it could be read.
func (s *Store) load() error {
	snapshots, journals, err := generations(s.cfg.Dir)
	if err != nil {
		return err
	}
	first := uint64(1)
	if len(snapshots) > 0 {
		first = snapshots[len(snapshots)-1]
		if err := s.readSnapshot(s.path(first, snapshotSuffix)); err != nil {
			return err
		}
	}
	journals = slices.DeleteFunc(journals, func(g uint64) bool { return g < first })
	if len(journals) == 0 && len(snapshots) == 0 {
		s.generation = first
		s.journal, err = createJournal(s.path(first, journalSuffix), s.cfg.SyncEvery)
		return err
	}
	if len(journals) == 0 {
		return fmt.Errorf("%w: %s is missing", session.ErrDamaged, s.path(first, journalSuffix))
	}
	var whole int64
	for i, g := range journals {
		if want := first + uint64(i); g != want {
			return fmt.Errorf("%w: %s is missing", session.ErrDamaged, s.path(want, journalSuffix))
		}
		if whole, err = s.readJournal(s.path(g, journalSuffix), i == len(journals)-1); err != nil {
			return err
		}
	}
	s.generation = journals[len(journals)-1]
	s.journal, err = s.openJournal(s.path(s.generation, journalSuffix), whole)
	return err
}

// generations returns the numbers of the snapshots and journals in dir, in order.
func generations(dir string) (snapshots, journals []uint64, err error) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, nil, err
	}
	for _, file := range files {
		name, ours := strings.CutPrefix(file.Name(), filePrefix)
		if !ours {
			continue
		}
		to := &journals
		number, isJournal := strings.CutSuffix(name, journalSuffix)
		if !isJournal {
			var isSnapshot bool
			if number, isSnapshot = strings.CutSuffix(name, snapshotSuffix); !isSnapshot {
				continue
			}
			to = &snapshots
		}
		g, err := strconv.ParseUint(number, 10, 63)
		if err != nil || g == 0 {
			return nil, nil, fmt.Errorf("%w: %s is no file of this store", session.ErrDamaged, filepath.Join(dir, file.Name()))
		}
		*to = append(*to, g)
	}
	slices.Sort(snapshots)
	slices.Sort(journals)
	return snapshots, journals, nil
}

func (s *Store) readSnapshot(path string) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	complete := false
	whole, err := scan(content, func(frameType byte, body []byte) error {
		if complete {
			return fmt.Errorf("%w: more behind the end", session.ErrDamaged)
		}
		if frameType == closeFrame {
			complete = true
			return nil
		}
		return s.apply(frameType, body)
	})
	if err == nil && (!complete || whole != int64(len(content))) {
		err = fmt.Errorf("%w: it ends early, at byte %d", session.ErrDamaged, whole)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// readJournal returns how many bytes of the file are whole. Only the last journal may have a torn end.
func (s *Store) readJournal(path string, last bool) (whole int64, err error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	whole, err = scan(content, s.apply)
	if err == nil && !last && whole != int64(len(content)) {
		err = fmt.Errorf("%w: it ends early, at byte %d", session.ErrDamaged, whole)
	}
	if err != nil {
		return 0, fmt.Errorf("%s: %w", path, err)
	}
	return whole, nil
}

// apply does again what a frame says.
func (s *Store) apply(frameType byte, body []byte) error {
	now := s.cfg.Now().UnixMilli()
	switch {
	case frameType == recordFrame:
		encoded := string(body)
		r, err := session.DecodeRecord(encoded)
		if err != nil {
			return err
		}
		if expires := r.ExpiresAt.UnixMilli(); expires > now {
			s.insert(encoded, expires, now)
		}
		return nil
	case frameType == guardFrame && len(body) == guardBody:
		name := guardName(body)
		if until := int64(binary.LittleEndian.Uint64(body[len(name):])); until > now && s.guardShard(name).consume(name, until, now) {
			s.bytes.Add(guardFrameSize)
		}
		return nil
	case frameType == throttleFrame && len(body) == throttleBody:
		name, numbers := guardName(body), body[len(guardName{}):]
		s.setWait(name, wait{
			failures:  int64(binary.LittleEndian.Uint64(numbers)),
			until:     int64(binary.LittleEndian.Uint64(numbers[8:])),
			forgotten: int64(binary.LittleEndian.Uint64(numbers[16:])),
		}, now)
		return nil
	case frameType == valueFrame && len(body) >= valueHead:
		v := value{until: int64(binary.LittleEndian.Uint64(body[len(guardName{}):]))}
		if content := body[valueHead:]; len(content) > 0 {
			v.bytes = bytes.Clone(content) // the file's memory goes
		}
		s.setValue(guardName(body), v, now)
		return nil
	default:
		return fmt.Errorf("%w: a frame of unknown type", session.ErrDamaged)
	}
}

func createJournal(path string, syncEvery bool) (*journal, error) {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|os.O_EXCL, fileMode)
	if err != nil {
		return nil, err
	}
	j := &journal{file: file, syncEvery: syncEvery}
	if err := j.write([]byte(fileMagic)); err != nil {
		return nil, errors.Join(err, file.Close(), os.Remove(path))
	}
	if err := syncDir(filepath.Dir(path)); err != nil {
		return nil, errors.Join(err, file.Close(), os.Remove(path))
	}
	return j, nil
}

// openJournal goes on behind the first whole bytes of a journal that was read.
func (s *Store) openJournal(path string, whole int64) (*journal, error) {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	if cut := info.Size() - whole; cut > 0 {
		s.cfg.Log.Warn("torn end of the session journal is cut", "file", path, "bytes", cut)
		if err := file.Truncate(whole); err != nil {
			return nil, errors.Join(err, file.Close())
		}
	}
	j := &journal{file: file, syncEvery: s.cfg.SyncEvery}
	j.size.Store(whole)
	if whole == 0 {
		if err := j.write([]byte(fileMagic)); err != nil {
			return nil, errors.Join(err, file.Close())
		}
	}
	return j, nil
}

// Compact starts a new generation of files: a snapshot of what is live, and an empty journal. Run calls it when that pays. Writes go on
// meanwhile, but for the moment in which the journals change over.
func (s *Store) Compact() error {
	s.compacting.Lock()
	defer s.compacting.Unlock()
	previous, err := s.changeJournal()
	if err != nil {
		return fmt.Errorf("journal %d: %w", previous+1, err)
	}
	size, err := s.writeSnapshot(s.path(previous+1, snapshotSuffix))
	if err != nil {
		return fmt.Errorf("snapshot %d: %w", previous+1, err)
	}
	s.cfg.Log.Debug("session journal is compacted", "generation", previous+1, "bytes", size)
	return s.removeBefore(previous + 1)
}

// changeJournal lets writes go to the journal of the next generation and returns the number of the one before.
func (s *Store) changeJournal() (previous uint64, err error) {
	if err := s.flush(); err != nil { // most of the work, while writes go on
		return s.generation, err
	}
	s.turn.Lock()
	defer s.turn.Unlock()
	if err := errors.Join(s.journal.health(), s.journal.flush()); err != nil { // before the next one exists: only the last may be torn
		return s.generation, err
	}
	next, err := createJournal(s.path(s.generation+1, journalSuffix), s.cfg.SyncEvery)
	if err != nil {
		return s.generation, err
	}
	old := s.journal
	s.journal, s.generation = next, s.generation+1
	return s.generation - 1, old.close()
}

// writeSnapshot writes what is live beside path and renames it into place when the disk has it.
func (s *Store) writeSnapshot(path string) (size int64, err error) {
	file, err := os.OpenFile(path+unfinished, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, fileMode)
	if err != nil {
		return 0, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, file.Close(), os.Remove(path+unfinished))
		}
	}()
	w := bufio.NewWriterSize(file, 1<<16)
	if _, err := w.WriteString(fileMagic); err != nil {
		return 0, err
	}
	var frame []byte
	for i := range s.shards {
		records, guards := s.shards[i].state(s.cfg.Now().UnixMilli())
		for _, encoded := range records {
			frame = newRecordFrame(frame, encoded)
			if _, err := w.Write(frame); err != nil {
				return 0, err
			}
		}
		for name, throttled := range s.shards[i].throttles.waiting(s.cfg.Now().UnixMilli()) {
			frame = newThrottleFrame(frame, name, throttled)
			if _, err := w.Write(frame); err != nil {
				return 0, err
			}
		}
		for name, kept := range s.shards[i].values.state(s.cfg.Now().UnixMilli()) {
			frame = newValueFrame(frame, name, kept)
			if _, err := w.Write(frame); err != nil {
				return 0, err
			}
		}
		for _, guard := range guards {
			frame = newGuardFrame(frame, guard.name, guard.until)
			if _, err := w.Write(frame); err != nil {
				return 0, err
			}
		}
	}
	if _, err := w.Write(endFrame(beginFrame(frame[:0], closeFrame))); err != nil {
		return 0, err
	}
	if err := errors.Join(w.Flush(), file.Sync()); err != nil {
		return 0, err
	}
	info, err := file.Stat()
	if err != nil {
		return 0, err
	}
	if err := file.Close(); err != nil {
		return 0, err
	}
	if err := os.Rename(path+unfinished, path); err != nil {
		return 0, err
	}
	return info.Size(), syncDir(s.cfg.Dir)
}

// removeBefore removes the files of generations before the given one, and snapshots that a crash left unfinished.
func (s *Store) removeBefore(generation uint64) error {
	snapshots, journals, err := generations(s.cfg.Dir)
	if err != nil {
		return err
	}
	var errs []error
	// An unfinished snapshot stands beside the journal of its generation.
	for suffix, numbers := range map[string][]uint64{
		snapshotSuffix: snapshots, snapshotSuffix + unfinished: journals, journalSuffix: journals,
	} {
		for _, g := range numbers {
			if g >= generation {
				continue
			}
			if err := os.Remove(s.path(g, suffix)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(errs...)
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
