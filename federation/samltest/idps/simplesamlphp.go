package idps

import (
	"crypto/rand"
	"embed"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
)

//go:embed testdata/simplesamlphp
var simpleSAMLphp embed.FS

var phpListens = regexp.MustCompile(`\((http://127\.0\.0\.1:\d+)\) started`)

// SimpleSAMLphp starts SimpleSAMLphp of Debian's package on PHP's own web server. It encrypts by AES-128-CBC and RSA-OAEP with SHA-1.
func SimpleSAMLphp(t testing.TB, c Config) *IdP {
	t.Helper()
	php, err := exec.LookPath("php")
	if err != nil {
		need(t, "php is not installed: run scripts/tools.sh")
	}
	cache := filepath.Join(cacheDir(t), "simplesamlphp")
	root := filepath.Join(cache, "usr", "share", "simplesamlphp")
	if _, err := os.Stat(filepath.Join(root, "www", "index.php")); err != nil {
		need(t, "SimpleSAMLphp is not installed: run scripts/tools.sh (%v)", err)
	}
	dir := t.TempDir()
	files, err := fs.Sub(simpleSAMLphp, "testdata/simplesamlphp")
	if err == nil {
		err = os.CopyFS(dir, files)
	}
	if err == nil {
		err = os.Mkdir(filepath.Join(dir, "tmp"), 0o700)
	}
	if err != nil {
		t.Fatal(err)
	}
	www := filepath.Join(root, "www")
	command := exec.Command(php, "-S", "127.0.0.1:0", "-t", www, filepath.Join(dir, "router.php"))
	command.Env = append(os.Environ(), "SIMPLESAMLPHP_CONFIG_DIR="+dir, "STINT_TEST_WWW="+www)
	url := run(t, command, phpListens)
	settings(t, dir, c, map[string]any{"url": url, "root": filepath.Join(cache, "etc", "simplesamlphp"), "salt": rand.Text()})
	return &IdP{
		URL: url, Metadata: fetch(t, url+"/simplesaml/saml2/idp/metadata.php"),
		unsolicited: url + "/simplesaml/saml2/idp/SSOService.php?spentityid=",
	}
}
