package server

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const testMasterKey = "c3RpbnQgdGVzdCBtYXN0ZXIga2V5IDMyIGJ5dGVzISE="

// script writes a program.
func script(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kms")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestMasterKey_Command(t *testing.T) {
	t.Setenv("STINT_DATABASE_SECRET", "canary-own")
	t.Setenv("PGPASSWORD", "canary-driver")
	t.Setenv("KMS_ENDPOINT", "kept")
	d := &dataDir{}
	seen := filepath.Join(t.TempDir(), "environment")
	key, err := d.masterKey(t.Context(), "command:"+script(t, `env > "$1"; echo "$2"`)+" "+seen+"  "+testMasterKey)
	if err != nil {
		t.Fatal(err)
	}
	if same, err := parseMasterKey("test", testMasterKey); err != nil || same.ID() != key.ID() {
		t.Errorf("the key is %s: %v", key.ID(), err)
	}
	if env, err := os.ReadFile(seen); err != nil || strings.Contains(string(env), "canary") || !strings.Contains(string(env), "KMS_ENDPOINT=kept") {
		t.Errorf("the command sees %s, %v", env, err)
	}
	for _, row := range []struct{ name, text, want string }{
		{"it fails after it has printed the key", "echo " + testMasterKey + "; exit 3", "exit status 3"},
		{"it tells on standard error", "echo canary " + testMasterKey + " >&2; exit 1", "exit status 1"},
		{"it prints something else", "echo canary", "not 32 bytes of base64"},
		{"it prints nothing", "true", "not 32 bytes of base64"},
		{"it prints without end", "exec yes canary", "more than 4096 bytes"},
		{"what it starts holds its output", "sleep 600 & echo canary", "kms"},
	} {
		_, err := d.masterKey(t.Context(), "command:"+script(t, row.text))
		if err == nil || !strings.Contains(err.Error(), row.want) || strings.Contains(err.Error(), "canary") || strings.Contains(err.Error(), testMasterKey) {
			t.Errorf("%s: %v, want %q", row.name, err, row.want)
		}
	}

	// The end of its time is that of the context, here.
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err = d.masterKey(ctx, "command:"+script(t, "sleep 600"))
	if err == nil || !strings.Contains(err.Error(), "not done") {
		t.Errorf("a command that does not end: %v", err)
	}
}

func TestMasterKeys(t *testing.T) {
	t.Parallel()
	d, err := openDataDir(filepath.Join(t.TempDir(), "data"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = d.Close() }()
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte(testMasterKey), 0o600); err != nil {
		t.Fatal(err)
	}
	own, err := d.masterKeys(t.Context(), &Config{})
	if err != nil {
		t.Fatal(err)
	}
	both, err := d.masterKeys(t.Context(), &Config{MasterKeyPrevious: "file:" + file})
	if err != nil || both.ID() != own.ID() {
		t.Fatalf("with a previous one: %v, %v", both, err)
	}
	given, err := d.masterKeys(t.Context(), &Config{MasterKey: "file:" + file, MasterKeyPrevious: ""})
	if err != nil || !both.Opens(given.ID()) || own.Opens(given.ID()) {
		t.Errorf("the previous one is not opened with: %v", err)
	}
	for name, row := range map[string]struct {
		cfg  Config
		want string
	}{
		"the same key twice":          {Config{MasterKey: "file:" + file, MasterKeyPrevious: "file:" + file}, "master-key-previous: the previous master key is the same"},
		"a previous one is not there": {Config{MasterKeyPrevious: "file:" + file + "x"}, "master-key-previous: "},
	} {
		if _, err := d.masterKeys(t.Context(), &row.cfg); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
