package embedded_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stint-sts/stint/session"
	"github.com/stint-sts/stint/session/embedded"
	"github.com/stint-sts/stint/session/sessiontest"
)

const (
	account = "123456789012"
	role    = "AROAQEFWAZTKHPHHHTHGA"
)

func TestEmbedded(t *testing.T) {
	t.Parallel()
	sessiontest.Run(t, func(t *testing.T) session.Store { return open(t, embedded.Config{Dir: t.TempDir()}) })
}

func TestEmbedded_Guard(t *testing.T) {
	t.Parallel()
	sessiontest.RunGuard(t, func(t *testing.T) session.Guard { return open(t, embedded.Config{Dir: t.TempDir()}) })
}

func TestEmbedded_Throttle(t *testing.T) {
	t.Parallel()
	sessiontest.RunThrottle(t, func(t *testing.T, b session.Backoff) session.Throttle {
		return open(t, embedded.Config{Dir: t.TempDir(), Backoff: b})
	})
}

func TestEmbedded_Values(t *testing.T) {
	t.Parallel()
	sessiontest.RunValues(t, func(t *testing.T) session.Values { return open(t, embedded.Config{Dir: t.TempDir()}) })
}

func TestEmbedded_SyncEvery(t *testing.T) {
	t.Parallel()
	sessiontest.Run(t, func(t *testing.T) session.Store { return open(t, embedded.Config{Dir: t.TempDir(), SyncEvery: true}) })
}

func open(t *testing.T, cfg embedded.Config) *embedded.Store {
	t.Helper()
	s, err := embedded.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeStore(t, s) })
	return s
}

func closeStore(t *testing.T, s *embedded.Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}

func put(t *testing.T, s session.Store, records ...*session.Record) {
	t.Helper()
	for _, r := range records {
		if err := s.Put(t.Context(), r); err != nil {
			t.Fatalf("Put: %v", err)
		}
	}
}

func wantCount(t *testing.T, s session.Store, want int) {
	t.Helper()
	got := 0
	for q := (session.Query{Account: account, Limit: session.MaxLimit}); ; {
		page, err := s.List(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		got += len(page.Records)
		if q.After = page.Next; page.Next == "" {
			break
		}
	}
	if got != want {
		t.Errorf("%d sessions are listed, want %d", got, want)
	}
}

func records(from, to int) (rs []*session.Record) {
	for n := from; n < to; n++ {
		rs = append(rs, sessiontest.NewRecord(account, role, n))
	}
	return rs
}

func TestEmbedded_SurvivesRestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, embedded.Config{Dir: dir})
	hour := time.Now().Add(time.Hour)
	put(t, s, records(0, 50)...)
	consume(t, s, "before the compaction", hour, nil)
	if err := s.Compact(); err != nil {
		t.Fatal(err)
	}
	put(t, s, records(50, 70)...)
	consume(t, s, "after the compaction", hour, nil)
	for range 2 {
		closeStore(t, s)
		s = open(t, embedded.Config{Dir: dir})
		wantCount(t, s, 70)
		consume(t, s, "before the compaction", hour, session.ErrConsumed)
		consume(t, s, "after the compaction", hour, session.ErrConsumed)
		if err := s.Compact(); err != nil {
			t.Fatal(err)
		}
	}
	put(t, s, records(70, 71)...)
	wantCount(t, s, 71)
	if got, want := fileNames(t, dir), []string{"sessions-4.journal", "sessions-4.snapshot", "sessions.birth", "sessions.lock"}; !slices.Equal(got, want) {
		t.Errorf("files %q, want %q", got, want)
	}
}

func consume(t *testing.T, g session.Guard, name string, until time.Time, want error) {
	t.Helper()
	if err := g.Consume(t.Context(), name, fresh(), until); !errors.Is(err, want) {
		t.Errorf("Consume %q: %v, want %v", name, err, want)
	}
}

func fileNames(t *testing.T, dir string) []string {
	t.Helper()
	return slices.Sorted(maps.Keys(contents(t, dir)))
}

func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, f := range files {
		b, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all[f.Name()] = string(b)
	}
	return all
}

func TestEmbedded_FilesAreForTheOwnerOnly(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "made")
	s := open(t, embedded.Config{Dir: dir})
	put(t, s, records(0, 1)...)
	if err := s.Compact(); err != nil {
		t.Fatal(err)
	}
	files := fileNames(t, dir)
	if len(files) != 4 {
		t.Fatalf("files %q, want 4", files)
	}
	for _, name := range files {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v, %v, want 0600", name, info.Mode(), err)
		}
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("directory: mode %v, %v, want 0700", info.Mode(), err)
	}
}

func TestEmbedded_OneProcessPerDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := open(t, embedded.Config{Dir: dir})
	if _, err := embedded.New(embedded.Config{Dir: dir}); !errors.Is(err, embedded.ErrLocked) {
		t.Errorf("second store: %v, want ErrLocked", err)
	}
	put(t, first, records(0, 1)...)
	closeStore(t, first)
	wantCount(t, open(t, embedded.Config{Dir: dir}), 1)
}

// TestEmbedded_TornEnd cuts a journal at every byte of its last record, as a kill within a write would.
func TestEmbedded_TornEnd(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, embedded.Config{Dir: dir})
	put(t, s, records(0, 3)...)
	two, err := os.Stat(filepath.Join(dir, "sessions-1.journal"))
	if err != nil {
		t.Fatal(err)
	}
	put(t, s, records(3, 4)...)
	closeStore(t, s)
	whole := contents(t, dir)["sessions-1.journal"]
	for cut := int(two.Size()); cut < len(whole); cut++ {
		for _, end := range []string{"", strings.Repeat("\x00", 100_000)} {
			torn := t.TempDir()
			writeFile(t, filepath.Join(torn, "sessions-1.journal"), whole[:cut]+end)
			s, err := embedded.New(embedded.Config{Dir: torn})
			if err != nil {
				t.Fatalf("cut at byte %d of %d, %d zeros behind: %v", cut, len(whole), len(end), err)
			}
			wantCount(t, s, 3)
			put(t, s, records(10, 12)...)
			closeStore(t, s)
			s = open(t, embedded.Config{Dir: torn})
			wantCount(t, s, 5)
		}
	}
}

func TestEmbedded_TornHeader(t *testing.T) {
	t.Parallel()
	for cut := range len("stint session state 1\n") {
		dir := t.TempDir()
		writeFile(t, filepath.Join(dir, "sessions-1.journal"), "stint session state 1\n"[:cut])
		s := open(t, embedded.Config{Dir: dir})
		put(t, s, records(0, 2)...)
		closeStore(t, s)
		wantCount(t, open(t, embedded.Config{Dir: dir}), 2)
	}
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestEmbedded_DamageIsRefusedAndNothingChanges(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, embedded.Config{Dir: dir})
	put(t, s, records(0, 20)...)
	if err := s.Compact(); err != nil {
		t.Fatal(err)
	}
	put(t, s, records(20, 40)...)
	closeStore(t, s)
	good := contents(t, dir)
	const journal, snapshot = "sessions-2.journal", "sessions-2.snapshot"
	flip := func(s string, at int) string { return s[:at] + string(s[at]^0x40) + s[at+1:] }
	type row struct {
		name   string
		change func(files map[string]string)
	}
	rows := []row{
		{"journal of something else", func(f map[string]string) { f[journal] = "SQLite format 3\x00" + f[journal] }},
		{"journal is missing", func(f map[string]string) { delete(f, journal) }},
		{"snapshot is missing", func(f map[string]string) { delete(f, snapshot) }},
		{"journal lacks its beginning", func(f map[string]string) { f[journal] = f[journal][:22] + f[journal][30:] }},
		{"a gap between journals", func(f map[string]string) { f["sessions-4.journal"] = f[journal] }},
		{"a torn journal that is not the last", func(f map[string]string) {
			f["sessions-3.journal"], f[journal] = f[journal], f[journal][:len(f[journal])-3]
		}},
		{"snapshot ends early", func(f map[string]string) { f[snapshot] = f[snapshot][:len(f[snapshot])-9] }},
		{"snapshot goes on", func(f map[string]string) { f[snapshot] += f[journal][22:] }},
		{"snapshot is empty", func(f map[string]string) { f[snapshot] = "" }},
		{"a foreign number", func(f map[string]string) { f["sessions-x.journal"] = f[journal] }},
	}
	for _, name := range []string{journal, snapshot} {
		for at := 0; at < len(good[name])-200; at += 7 {
			rows = append(rows, row{fmt.Sprintf("%s with byte %d changed", name, at), func(f map[string]string) { f[name] = flip(f[name], at) }})
		}
	}
	try := func(change func(map[string]string)) (s *embedded.Store, dir string, files map[string]string, err error) {
		dir, files = t.TempDir(), maps.Clone(good)
		change(files)
		for name, content := range files {
			writeFile(t, filepath.Join(dir, name), content)
		}
		s, err = embedded.New(embedded.Config{Dir: dir})
		return s, dir, files, err
	}
	twin, _, _, err := try(func(map[string]string) {})
	if err != nil {
		t.Fatalf("the undamaged twin: %v", err)
	}
	wantCount(t, twin, 40)
	closeStore(t, twin)
	for _, row := range rows {
		s, dir, files, err := try(row.change)
		if err == nil {
			closeStore(t, s)
		}
		if !errors.Is(err, session.ErrDamaged) {
			t.Errorf("%s: %v, want ErrDamaged", row.name, err)
			continue
		}
		if !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "sessions-") {
			t.Errorf("%s: the error names no file: %v", row.name, err)
		}
		if got := contents(t, dir); !maps.Equal(got, files) {
			t.Errorf("%s: files were changed", row.name)
		}
	}
}

// TestEmbedded_CrashWithinCompaction opens what is on disk between the steps of Compact.
func TestEmbedded_CrashWithinCompaction(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, embedded.Config{Dir: dir})
	put(t, s, records(0, 20)...)
	before := contents(t, dir)
	if err := s.Compact(); err != nil {
		t.Fatal(err)
	}
	put(t, s, records(20, 30)...)
	closeStore(t, s)
	after := contents(t, dir)
	for _, row := range []struct {
		name  string
		files map[string]string
		want  int
	}{
		{"the next journal exists", map[string]string{
			"sessions-1.journal": before["sessions-1.journal"], "sessions-2.journal": after["sessions-2.journal"]}, 30},
		{"the next journal is empty", map[string]string{"sessions-1.journal": before["sessions-1.journal"], "sessions-2.journal": ""}, 20},
		{"the snapshot is half written", map[string]string{
			"sessions-1.journal": before["sessions-1.journal"], "sessions-2.journal": after["sessions-2.journal"],
			"sessions-2.snapshot.tmp": after["sessions-2.snapshot"][:500]}, 30},
		{"the old journal is not removed", map[string]string{
			"sessions-1.journal": before["sessions-1.journal"], "sessions-2.journal": after["sessions-2.journal"],
			"sessions-2.snapshot": after["sessions-2.snapshot"]}, 30},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for name, content := range row.files {
				writeFile(t, filepath.Join(dir, name), content)
			}
			s := open(t, embedded.Config{Dir: dir})
			wantCount(t, s, row.want)
			if err := s.Compact(); err != nil {
				t.Fatal(err)
			}
			closeStore(t, s)
			if files := fileNames(t, dir); len(files) != 4 {
				t.Errorf("left after the next compaction: %q", files)
			}
			wantCount(t, open(t, embedded.Config{Dir: dir}), row.want)
		})
	}
}

func TestEmbedded_CompactsWhileWritersRace(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, embedded.Config{Dir: dir})
	var writers sync.WaitGroup
	for w := range 4 {
		writers.Go(func() {
			for _, r := range records(w*500, w*500+500) {
				if err := s.Put(t.Context(), r); err != nil {
					t.Errorf("Put: %v", err)
				}
				if err := s.Consume(t.Context(), r.AccessKeyID, fresh(), r.ExpiresAt); err != nil {
					t.Errorf("Consume: %v", err)
				}
			}
		})
	}
	for range 5 {
		if err := s.Compact(); err != nil {
			t.Error(err)
		}
	}
	writers.Wait()
	closeStore(t, s)
	s = open(t, embedded.Config{Dir: dir})
	wantCount(t, s, 2000)
	for _, r := range records(0, 2000) {
		consume(t, s, r.AccessKeyID, r.ExpiresAt, session.ErrConsumed)
	}
}

// TestEmbedded_Run lets the bubble's clock go on: what has ended leaves memory, and the journal does not keep it either.
func TestEmbedded_Run(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s, err := embedded.New(embedded.Config{Dir: dir, CompactAfter: 1000})
		if err != nil {
			t.Fatal(err)
		}
		defer closeStore(t, s)
		ctx, cancel := context.WithCancel(t.Context())
		ran := make(chan error)
		go func() { ran <- s.Run(ctx) }()
		put(t, s, records(0, 1000)...)
		consume(t, s, "name", time.Now().Add(time.Hour), nil)
		time.Sleep(59 * time.Minute)
		wantCount(t, s, 1000)
		consume(t, s, "name", time.Now().Add(time.Hour), session.ErrConsumed)
		time.Sleep(2 * time.Minute)
		wantCount(t, s, 0)
		consume(t, s, "name", time.Now().Add(time.Hour), nil)
		cancel()
		if err := <-ran; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	total := 0
	for _, content := range contents(t, dir) {
		total += len(content)
	}
	if total > 1000 {
		t.Errorf("the files hold %d bytes after everything ended", total)
	}
}

func TestEmbedded_BoundedNumber(t *testing.T) {
	t.Parallel()
	now := time.Now()
	s := open(t, embedded.Config{Dir: t.TempDir(), MaxSessions: 3, Now: func() time.Time { return now }})
	put(t, s, records(0, 3)...)
	r := records(3, 4)[0]
	if err := s.Put(t.Context(), r); !errors.Is(err, session.ErrUnavailable) {
		t.Errorf("one session too many: %v, want ErrUnavailable", err)
	}
}

func TestEmbedded_ClosedStoreRefuses(t *testing.T) {
	t.Parallel()
	s := open(t, embedded.Config{Dir: t.TempDir()})
	if err := s.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	closeStore(t, s)
	for name, err := range map[string]error{
		"Put":     s.Put(t.Context(), records(0, 1)[0]),
		"Consume": s.Consume(t.Context(), "name", fresh(), time.Now().Add(time.Hour)),
		"Attempt": errorOf(s.Attempt(t.Context(), "name")),
		"Succeed": s.Succeed(t.Context(), "name"),
		"Ping":    s.Ping(t.Context()),
	} {
		if !errors.Is(err, session.ErrUnavailable) {
			t.Errorf("%s: %v, want ErrUnavailable", name, err)
		}
	}
}

func errorOf[T any](_ T, err error) error { return err }

const childDir = "STINT_EMBEDDED_CHILD_DIR"

// TestEmbedded_Kill kills a process again and again while it writes. What it had acknowledged on its standard output is there.
func TestEmbedded_Kill(t *testing.T) {
	if dir := os.Getenv(childDir); dir != "" {
		writeForever(t, dir)
	}
	t.Parallel()
	if testing.Short() {
		t.Skip("starts processes")
	}
	dir := t.TempDir()
	acknowledged := 0
	for round := range 5 {
		child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestEmbedded_Kill$")
		child.Env = append(os.Environ(), childDir+"="+dir)
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for n := 0; lines.Scan() && strings.HasPrefix(lines.Text(), "put "); n++ {
			if n == 300*(round+1) {
				_ = child.Process.Kill() // kill -9; what is still in the pipe counts too
			}
			acknowledged++
		}
		_ = child.Wait()
		s := open(t, embedded.Config{Dir: dir})
		found := 0
		for q := (session.Query{Account: account, Limit: session.MaxLimit}); ; {
			page, err := s.List(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			found += len(page.Records)
			if q.After = page.Next; page.Next == "" {
				break
			}
		}
		if found < acknowledged || found > acknowledged+4*(round+1) {
			t.Fatalf("round %d: %d sessions are there, %d were acknowledged", round, found, acknowledged)
		}
		closeStore(t, s)
	}
	if acknowledged < 300*(1+2+3+4+5) {
		t.Errorf("only %d records were acknowledged", acknowledged)
	}
}

// writeForever puts records from four goroutines, compacting all the time, and prints a line after each.
func writeForever(t *testing.T, dir string) {
	s, err := embedded.New(embedded.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	page, err := s.List(t.Context(), session.Query{Account: account, Limit: session.MaxLimit})
	for ; err == nil && page.Next != ""; page, err = s.List(t.Context(), session.Query{Account: account, Limit: session.MaxLimit, After: page.Next}) {
	}
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for s.Compact() == nil {
		}
	}()
	process := fmt.Sprintf("AROA%016dX", os.Getpid())
	var writers sync.WaitGroup
	for w := range 4 {
		writers.Go(func() {
			for n := 0; ; n++ {
				r := sessiontest.NewRecord(account, process, w*1_000_000+n)
				r.AccessKeyID = fmt.Sprintf("ASIA%dX%d", os.Getpid(), w*1_000_000+n)
				if err := s.Put(t.Context(), r); err != nil {
					t.Error(err)
					return
				}
				if _, err := os.Stdout.WriteString("put " + r.AccessKeyID + "\n"); err != nil {
					return
				}
			}
		})
	}
	writers.Wait()
}

// TestEmbedded_MemoryPerSession measures what a live session costs in process.
func TestEmbedded_MemoryPerSession(t *testing.T) {
	const sessions = 100_000
	s := open(t, embedded.Config{Dir: t.TempDir()})
	before := heapInUse()
	for n := range sessions {
		put(t, s, sessiontest.NewRecord(account, fmt.Sprintf("AROAQEFWAZTKHPHH%05d", n%1000), n))
	}
	each := (heapInUse() - before) / sessions
	t.Logf("%d bytes of memory for each of %d sessions", each, sessions)
	if each > 400 {
		t.Errorf("%d bytes of memory a session, more than 400", each)
	}
	runtime.KeepAlive(s)
}

func heapInUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func BenchmarkPut(b *testing.B) {
	s, err := embedded.New(embedded.Config{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	r := records(0, 1)[0]
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		r.AccessKeyID = fmt.Sprintf("ASIA%016d", n)
		if err := s.Put(b.Context(), r); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPutParallel(b *testing.B) {
	s, err := embedded.New(embedded.Config{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	var workers sync.Map
	b.ReportAllocs()
	b.SetParallelism(16)
	b.RunParallel(func(pb *testing.PB) {
		r := records(0, 1)[0]
		worker := fmt.Sprintf("ASIA%p", r)
		workers.Store(worker, true)
		for n := 0; pb.Next(); n++ {
			r.AccessKeyID = fmt.Sprintf("%sX%d", worker, n)
			if err := s.Put(b.Context(), r); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkFloor appends as many bytes to a bare file.
func BenchmarkFloor(b *testing.B) {
	file, err := os.OpenFile(filepath.Join(b.TempDir(), "file"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		b.Fatal(err)
	}
	defer file.Close()
	buffer := make([]byte, 140)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := file.Write(buffer); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkList(b *testing.B) {
	s, err := embedded.New(embedded.Config{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	for n := range 100_000 {
		if err := s.Put(b.Context(), sessiontest.NewRecord(account, fmt.Sprintf("AROAQEFWAZTKHPHH%05d", n%1000), n)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.List(b.Context(), session.Query{Account: account, EntityID: "AROAQEFWAZTKHPHH00500"}); err != nil {
			b.Fatal(err)
		}
	}
}

// fresh is when a proof was made that no store can have seen before.
func fresh() time.Time { return time.Now().Add(time.Minute) }

// A directory that was emptied does not let a proof pass again that it may have seen, one that is from before births were kept does.
func TestStore_EmptiedIsNoticed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	since, until := time.Now().Add(-time.Second), time.Now().Add(time.Hour)
	consume := func(name string, found bool) error {
		t.Helper()
		s, err := embedded.New(embedded.Config{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if found {
			if err := s.Found(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		return s.Consume(t.Context(), name, since, until)
	}
	remove := func(pattern string) {
		t.Helper()
		files, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil || len(files) == 0 {
			t.Fatal(files, err)
		}
		for _, f := range files {
			if err := os.Remove(f); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, step := range []struct {
		name   string
		before func()
		found  bool
		passes bool
	}{
		{"new installation", func() {}, true, true},
		{"restart", func() {}, false, true},
		{"emptied", func() { remove("*") }, false, false},
		{"restart after it was emptied", func() {}, false, false},
		{"of an earlier version", func() { remove("sessions.birth") }, false, true},
	} {
		step.before()
		if err := consume(step.name, step.found); (err == nil) != step.passes || err != nil && !errors.Is(err, session.ErrConsumed) {
			t.Errorf("%s: %v, want it to pass: %v", step.name, err, step.passes)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "sessions.birth"), []byte("long ago"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := consume("damaged birth", false); !errors.Is(err, session.ErrConsumed) {
		t.Errorf("damaged birth: %v, want ErrConsumed", err)
	}
}
