package awsconfig_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stint-sts/stint/awsconfig"
)

var settings = []awsconfig.Setting{{Key: "credential_process", Value: "stint x"}, {Key: "region", Value: "us-east-1"}}

const written = "credential_process = stint x\nregion = us-east-1\n"

func TestSet(t *testing.T) {
	t.Parallel()
	const section = "profile work"
	for _, row := range []struct{ name, before, after string }{
		{"nothing there", "", "[profile work]\n" + written},
		{"other profiles and comments stay", "# mine\n[default]\nregion=eu-west-1 ; x\n\n; last\n", "# mine\n[default]\nregion=eu-west-1 ; x\n\n; last\n\n[profile work]\n" + written},
		{"no line feed at the end", "[default]\nregion = a", "[default]\nregion = a\n\n[profile work]\n" + written},
		{"blank lines at the end", "[default]\n\n\n", "[default]\n\n[profile work]\n" + written},
		{"settings are replaced where they stand", "[profile work]\noutput = json\nregion = a\n# note\ncredential_process = b\n[x]\n",
			"[profile work]\noutput = json\nregion = us-east-1\n# note\ncredential_process = stint x\n[x]\n"},
		{"new ones come first", "[profile work]\noutput = json\n\n# about x\n[x]\nregion = b\n", "[profile work]\n" + written + "output = json\n\n# about x\n[x]\nregion = b\n"},
		{"a section at the end without settings", "[profile work]", "[profile work]\n" + written},
		{"nested settings go with what they are nested in", "[profile work]\nregion =\n  x = 1\n\n  y = 2\n\noutput = json\n",
			"[profile work]\ncredential_process = stint x\nregion = us-east-1\n\noutput = json\n"},
		{"a setting of that name that is nested elsewhere stays", "[profile work]\ns3 =\n  region = a\n", "[profile work]\n" + written + "s3 =\n  region = a\n"},
		{"a setting that is a comment stays", "[profile work]\n#region = a\n;region = b\n", "[profile work]\n" + written + "#region = a\n;region = b\n"},
		{"spelled otherwise", "[ profile\t\"work\" ] # mine\nREGION: a\n", "[ profile\t\"work\" ] # mine\ncredential_process = stint x\nregion = us-east-1\n"},
		{"a profile whose name begins alike stays", "[profile work2]\nregion = a\n", "[profile work2]\nregion = a\n\n[profile work]\n" + written},
		{"line ends of Windows", "[default]\r\nregion = a\r\n", "[default]\r\nregion = a\r\n\r\n[profile work]\r\ncredential_process = stint x\r\nregion = us-east-1\r\n"},
		{"a byte order mark", "\ufeff[profile work]\nregion = a\n", "\ufeff[profile work]\ncredential_process = stint x\nregion = us-east-1\n"},
	} {
		f, err := awsconfig.Parse([]byte(row.before))
		if err != nil {
			t.Fatalf("%s: %v", row.name, err)
		}
		for range 2 { // the second time changes nothing
			if err := f.Set(section, settings...); err != nil {
				t.Errorf("%s: %v", row.name, err)
			}
			if diff := cmp.Diff(row.after, string(f.Bytes())); diff != "" {
				t.Errorf("%s (-want +got):\n%s", row.name, diff)
			}
		}
		for _, s := range settings {
			if got, ok, err := f.Get(section, s.Key); got != s.Value || !ok || err != nil {
				t.Errorf("%s: %s is %q, %v, %v", row.name, s.Key, got, ok, err)
			}
		}
	}
}

func TestSet_Nested(t *testing.T) {
	t.Parallel()
	f, err := awsconfig.Parse([]byte("[services s]\nsts =\n  endpoint_url = old\n  other = x\ns3 =\n  endpoint_url = mine\n"))
	if err != nil {
		t.Fatal(err)
	}
	at := []awsconfig.Setting{{Key: "endpoint_url", Value: "http://127.0.0.1:8470"}}
	if err := f.Set("services s", awsconfig.Setting{Key: "sts", Nested: at}, awsconfig.Setting{Key: "iam", Nested: at}); err != nil {
		t.Fatal(err)
	}
	want := "[services s]\nsts =\n  endpoint_url = http://127.0.0.1:8470\niam =\n  endpoint_url = http://127.0.0.1:8470\ns3 =\n  endpoint_url = mine\n"
	if diff := cmp.Diff(want, string(f.Bytes())); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestReplace(t *testing.T) {
	t.Parallel()
	for before, after := range map[string]string{
		"": "[profile work]\n" + written,
		"[profile work]\nrole_arn = a\nsource_profile = b\n\n# about x\n[x]\n": "[profile work]\n" + written + "\n# about x\n[x]\n",
		"[profile work]": "[profile work]\n" + written,
	} {
		f, err := awsconfig.Parse([]byte(before))
		if err == nil {
			err = f.Replace("profile work", settings...)
		}
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(after, string(f.Bytes())); diff != "" {
			t.Errorf("%q (-want +got):\n%s", before, diff)
		}
	}
}

func TestWhatIsRefused(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"a profile that is there twice":            "[profile work]\n[a]\n[profile 'work']\n",
		"a setting that is there twice":            "[profile work]\nregion = a\nregion = b\n",
		"a carriage return that hides a section":   "# x\r[profile work]\n",
		"an indented line that belongs to nothing": "[profile work]\n\n  region = a\n",
		"no text":               "[a]\x00",
		"more than anybody has": strings.Repeat("#\n", awsconfig.MaxSize),
	} {
		f, err := awsconfig.Parse([]byte(text))
		if err == nil {
			err = f.Set("profile work", settings...)
			if string(f.Bytes()) != text {
				t.Errorf("%s: changed to %q", name, f.Bytes())
			}
		}
		if !errors.Is(err, awsconfig.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	f := &awsconfig.File{}
	for _, bad := range []struct {
		section string
		setting awsconfig.Setting
	}{
		{"a]\n[b", settings[0]}, {"", settings[0]}, {"a b c", settings[0]}, {"a", awsconfig.Setting{Key: "k", Value: "v\n[x]"}},
		{"a", awsconfig.Setting{Key: "k", Value: " v"}}, {"a", awsconfig.Setting{Key: "k = v", Value: "v"}}, {"a", awsconfig.Setting{Key: "k"}},
	} {
		if f.Set(bad.section, bad.setting) == nil || f.Replace(bad.section, bad.setting) == nil || len(f.Bytes()) > 0 {
			t.Errorf("%+v is taken: %q", bad, f.Bytes())
		}
	}
}

func TestEdit(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	set := func(f *awsconfig.File) error { return f.Set("profile work", settings...) }
	fresh := filepath.Join(dir, "aws", "config")
	if err := awsconfig.Edit(fresh, set); err != nil {
		t.Fatal(err)
	}
	wantFile(t, fresh, 0o600, "[profile work]\n"+written)
	old, link := filepath.Join(dir, "real"), filepath.Join(dir, "link")
	if err := errors.Join(os.WriteFile(old, []byte("[a]\n"), 0o640), os.Symlink("real", link)); err != nil {
		t.Fatal(err)
	}
	if err := awsconfig.Edit(link, set); err != nil {
		t.Fatal(err)
	}
	wantFile(t, old, 0o640, "[a]\n\n[profile work]\n"+written)
	if target, err := os.Readlink(link); target != "real" {
		t.Errorf("the link leads to %q, %v", target, err)
	}
	err := awsconfig.Edit(old, func(f *awsconfig.File) error {
		return errors.Join(os.WriteFile(old, []byte("[b]\n"), 0o600), f.Set("c"))
	})
	if err == nil || !strings.Contains(err.Error(), "changed by somebody else") {
		t.Errorf("a change meanwhile: %v", err)
	}
	wantFile(t, old, 0o640, "[b]\n")
	if files, err := os.ReadDir(dir); len(files) != 3 || err != nil {
		t.Errorf("left behind: %v, %v", files, err)
	}
}

func wantFile(t *testing.T, path string, mode fs.FileMode, want string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != mode || string(text) != want {
		t.Errorf("%s: %v, %v: %q", path, info, err, text)
	}
}

// What is not edited stays byte for byte, and what is edited reads back.
func FuzzFile(f *testing.F) {
	for _, s := range []string{
		"", "[profile work]\nregion = a\n", "[a]\r\nb=c\r\n", "[profile \"work\"]#x\nregion=\n  x=1\n\n y=2", "\ufeff[a]\n[profile work", "[profile work]\n \n\n x\n[b]\nregion = z",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		file, err := awsconfig.Parse(text)
		if err != nil {
			return
		}
		if !bytes.Equal(file.Bytes(), text) {
			t.Fatalf("%q is printed as %q", text, file.Bytes())
		}
		other, had, odd := file.Get("profile other", "region")
		if err := file.Set("profile work", settings...); err != nil {
			if !bytes.Equal(file.Bytes(), text) {
				t.Fatalf("%v, but %q became %q", err, text, file.Bytes())
			}
			return
		}
		for _, s := range settings {
			if got, ok, err := file.Get("profile work", s.Key); got != s.Value || !ok || err != nil {
				t.Fatalf("%q: %s is %q, %v, %v in %q", text, s.Key, got, ok, err, file.Bytes())
			}
		}
		if now, has, err := file.Get("profile other", "region"); now != other || has != had || (err == nil) != (odd == nil) {
			t.Fatalf("%q: another profile's setting was %q and is %q in %q", text, other, now, file.Bytes())
		}
		first := file.Bytes()
		if again, err := awsconfig.Parse(first); err != nil || again.Set("profile work", settings...) != nil || !bytes.Equal(again.Bytes(), first) {
			t.Fatalf("%q: the second time %v: %q, then %q", text, err, first, again.Bytes())
		}
	})
}
