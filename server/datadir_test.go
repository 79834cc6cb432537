package server

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestOpenDataDir_FirstRunIsPrivate(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "data")
	d, err := openDataDir(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = d.Close() }()
	if _, err := d.masterKey(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]os.FileMode{"": 0o700, markerFile: 0o600, masterKeyFile: 0o600, lockFile: 0o600} {
		info, err := os.Stat(filepath.Join(path, name))
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%q has mode %04o, want %04o", name, got, want)
		}
	}
	if _, err := openDataDir(path); !errors.Is(err, ErrInUse) {
		t.Errorf("a second process: %v, want ErrInUse", err)
	}
}

func TestOpenDataDir_RefusesAndTouchesNothing(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name  string
		files map[string]string
		want  string
	}{
		{"a directory of somebody else", map[string]string{"letter.txt": "dear"}, "not a data directory of stint"},
		{"a marker of something else", map[string]string{markerFile: `{"program":"other"}`}, "damaged"},
		{"a damaged marker", map[string]string{markerFile: `{`}, "damaged"},
		{"a later format", map[string]string{markerFile: `{"program":"stint","format":99}`}, "use a newer stint"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for name, content := range row.files {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := openDataDir(dir); err == nil || !strings.Contains(err.Error(), row.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error is %v, want one line with %q", err, row.want)
			}
			entries, err := os.ReadDir(dir)
			if err != nil || len(entries) != len(row.files) {
				t.Errorf("the directory holds %v, %v", entries, err)
			}
			for name, content := range row.files {
				if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(got) != content {
					t.Errorf("%s was changed: %q, %v", name, got, err)
				}
			}
		})
	}
}

func TestMasterKey(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d, err := openDataDir(filepath.Join(dir, "data"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = d.Close() }()
	first, err := d.masterKey(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	again, err := d.masterKey(t.Context(), "")
	if err != nil || again.ID() != first.ID() {
		t.Fatalf("the key changed between two reads: %v", err)
	}
	fromCommand, err := d.masterKey(t.Context(), "command:cat "+d.file(masterKeyFile))
	if err != nil || fromCommand.ID() != first.ID() {
		t.Errorf("from a command: %v", err)
	}
	for _, row := range []struct{ name, source, want string }{
		{"unknown source", "vault:x", "none of file:PATH"},
		{"missing file", "file:" + filepath.Join(dir, "none"), "no such file"},
		{"empty variable", "env:STINT_NO_SUCH_VARIABLE", "not 32 bytes of base64"},
		{"command that fails", "command:false", "false"},
		{"no command", "command:", "names no program"},
	} {
		if _, err := d.masterKey(t.Context(), row.source); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: %v, want %q", row.name, err, row.want)
		}
	}
	if err := os.Chmod(d.file(masterKeyFile), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := d.masterKey(t.Context(), ""); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a key that others can read: %v", err)
	}
}

// systemd and Kubernetes hand a secret over as root's, readable by the group of the service.
func TestMasterKey_HandedOver(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "master.key")
	if err := createMasterKey(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o440); err != nil {
		t.Fatal(err)
	}
	if _, err := readMasterKey(path); err == nil {
		t.Error("our own key may be read by a group")
	}
	if os.Geteuid() != 0 {
		return // only root can give a file away
	}
	const somebody = 65534
	if err := os.Chown(path, somebody, -1); err != nil {
		t.Fatal(err)
	}
	if _, err := readMasterKey(path); err != nil {
		t.Errorf("somebody else's, handed over: %v", err)
	}
	for _, mode := range []os.FileMode{0o444, 0o460, 0o441} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := readMasterKey(path); err == nil {
			t.Errorf("a key of mode %o is taken", mode)
		}
	}
}

// A directory whose master key is lost must not be given a new one: nothing in it could be opened any more.
func TestMasterKey_IsNeverMadeForAnExistingDirectory(t *testing.T) {
	t.Parallel()
	d, err := openDataDir(filepath.Join(t.TempDir(), "data"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = d.Close() }()
	if err := os.WriteFile(d.file(directoryFile), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := d.masterKey(t.Context(), ""); err == nil {
		t.Error("a key was made")
	}
	if _, err := os.Stat(d.file(masterKeyFile)); err == nil {
		t.Error("the key file was written")
	}
}
