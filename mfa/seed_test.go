package mfa_test

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"image/png"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stint-sts/stint/mfa"
	"github.com/stint-sts/stint/secret"
)

// mfaTool returns the path of a program that a Debian package has. Without it the test is skipped, or fails if the environment says
// CI=true.
func mfaTool(t *testing.T, name, debian string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s is not installed, and in CI this test must run", name)
		}
		t.Skipf("SKIPPED: %s is not installed (apt-get install %s)", name, debian)
	}
	return path
}

func TestNewSeed(t *testing.T) {
	t.Parallel()
	seen := make(map[string]bool)
	for range 100 {
		seed, err := mfa.NewSeed(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		text := seed.Reveal()
		if len(text) != 64 || strings.Trim(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") != "" || seen[text] {
			t.Errorf("a seed of %d characters, seen before: %t", len(text), seen[text])
		}
		seen[text] = true
		if printed := fmt.Sprintf("%v %+v", seed, mfa.Device{Seed: seed}); strings.Contains(printed, text) {
			t.Error("a seed is printed")
		}
	}
	if seed, err := mfa.NewSeed(iotest.ErrReader(os.ErrClosed)); err == nil || !seed.IsZero() {
		t.Errorf("without chance: %v", err)
	}
}

func TestURI(t *testing.T) {
	t.Parallel()
	seed := secret.New(strings.Repeat("ABCDEFG2", 8))
	for _, row := range []struct{ device, account, want string }{
		{"alice", "111122223333", "otpauth://totp/alice@111122223333?secret=" + seed.Reveal() + "&issuer=stint"},
		{"a+b=c,d.e@f-g", "acme-1", "otpauth://totp/a%2Bb%3Dc%2Cd.e%40f-g@acme-1?secret=" + seed.Reveal() + "&issuer=stint"},
	} {
		got := mfa.URI("stint", row.device, row.account, seed).Reveal()
		if got != row.want {
			t.Errorf("URI %s\nwant %s", got, row.want)
		}
		u, err := url.Parse(got)
		if err != nil || u.Path != "/"+row.device+"@"+row.account || u.Query().Get("secret") != seed.Reveal() {
			t.Errorf("%s reads as %q, %v", got, u, err)
		}
	}
}

// A phone's view: another program reads the picture.
func TestQR_IsReadByZbar(t *testing.T) {
	t.Parallel()
	zbarimg := mfaTool(t, "zbarimg", "zbar-tools")
	for _, name := range []string{"a", "alice", "ops+phone@example.com", strings.Repeat("n", 226)} {
		seed, err := mfa.NewSeed(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		uri := mfa.URI("stint", name, "111122223333", seed)
		picture, err := mfa.QR(uri)
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "qr.png")
		if err := os.WriteFile(file, picture, 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.CommandContext(t.Context(), zbarimg, "--raw", "--quiet", "-Sdisable", "-Sqrcode.enable", file).Output()
		if err != nil || strings.TrimSuffix(string(out), "\n") != uri.Reveal() {
			t.Errorf("%s: zbarimg reads %q, %v\nwant %s", name, out, err, uri.Reveal())
		}
	}
}

func TestQR_HasQuietZone(t *testing.T) {
	t.Parallel()
	b, err := mfa.QR(secret.New("otpauth://totp/x"))
	if err != nil {
		t.Fatal(err)
	}
	picture, err := png.Decode(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	size := picture.Bounds()
	dark := func(x, y int) bool { r, _, _, _ := picture.At(x, y).RGBA(); return r == 0 }
	const zone = 4 * 6
	for i := range size.Dx() {
		for j := range zone {
			if dark(i, j) || dark(j, i) || dark(i, size.Dy()-1-j) || dark(size.Dx()-1-j, i) {
				t.Fatalf("the quiet zone is not quiet at %d, %d", i, j)
			}
		}
	}
	if !dark(zone, zone) || size.Dx() != size.Dy() {
		t.Errorf("picture of %v without a finder pattern in its corner", size)
	}
}

func TestQR_TooLong(t *testing.T) {
	t.Parallel()
	long := secret.New(strings.Repeat("x", 5000))
	if _, err := mfa.QR(long); err == nil || strings.Contains(err.Error(), "xxx") {
		t.Errorf("error %v", err)
	}
}
