package lint_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

// The compose file loads as docker compose would load it, and every container has no more than it needs.
func TestCompose(t *testing.T) {
	t.Parallel()
	options, err := cli.NewProjectOptions([]string{"../compose/compose.yaml"}, cli.WithInterpolation(true), cli.WithConsistency(true))
	if err != nil {
		t.Fatal(err)
	}
	project, err := options.LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := project.ServiceNames(); !slices.Equal(got, []string{"postgres", "proxy", "redis", "stint-1", "stint-2"}) {
		t.Fatalf("services %q", got)
	}
	for name, s := range project.Services {
		switch {
		case !s.ReadOnly, !slices.Equal(s.CapDrop, []string{"ALL"}), len(s.CapAdd) != 0, s.Privileged,
			!slices.Contains(s.SecurityOpt, "no-new-privileges:true"):
			t.Errorf("%s has more rights than it needs", name)
		case s.MemLimit == 0 || s.Restart != "unless-stopped" || s.StopGracePeriod == nil:
			t.Errorf("%s: limits, restart or stop_grace_period are missing", name)
		case (name == "proxy") != (len(s.Ports) > 0):
			t.Errorf("%s: the proxy and nobody else has ports", name)
		}
		for key, value := range s.Environment {
			if value != nil && regexp.MustCompile(`(?i)(password|secret|key)$`).MatchString(key) && !strings.HasPrefix(*value, "file:") {
				t.Errorf("%s: %s is in the environment", name, key)
			}
		}
		for _, secret := range s.Secrets {
			if _, there := project.Secrets[secret.Source]; !there {
				t.Errorf("%s: no secret %s", name, secret.Source)
			}
		}
		for _, network := range []string{"inner", "stores"} {
			if !project.Networks[network].Internal {
				t.Errorf("network %s is not internal", network)
			}
		}
	}
	nodes := []types.ServiceConfig{project.Services["stint-1"], project.Services["stint-2"]}
	if a, b := asJSON(t, nodes[0].Environment), asJSON(t, nodes[1].Environment); a != b {
		t.Errorf("the nodes differ:\n%s\n%s", a, b)
	}
	if nodes[0].Volumes[0].Source == nodes[1].Volumes[0].Source {
		t.Error("the nodes share a data directory")
	}
	// Names resolve to addresses of any network in common; on another one the proxy would have another address.
	for network := range project.Services["proxy"].Networks {
		if _, shared := nodes[0].Networks[network]; shared != (network == "inner") {
			t.Errorf("proxy and nodes on network %s: %v", network, shared)
		}
	}
	proxy := project.Services["proxy"].Networks["inner"].Ipv4Address
	if got := *nodes[0].Environment["STINT_TRUSTED_PROXIES"]; got != proxy+"/32" {
		t.Errorf("trusted is %s, the proxy is %s", got, proxy)
	}
}

// secrets.sh makes every secret that the compose file names, and HAProxy accepts its configuration with them.
func TestCompose_Secrets(t *testing.T) {
	t.Parallel()
	need(t, "openssl", "haproxy")
	dir := makeSecrets(t)
	options, err := cli.NewProjectOptions([]string{"../compose/compose.yaml"}, cli.WithInterpolation(true))
	if err != nil {
		t.Fatal(err)
	}
	project, err := options.LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, secret := range project.Secrets {
		info, err := os.Stat(filepath.Join(dir, "secrets", filepath.Base(secret.File)))
		if err != nil || info.Size() == 0 {
			t.Errorf("secret %s: %v", name, err)
		} else if master := name == "master-key"; master != (info.Mode().Perm() == 0o400) {
			t.Errorf("secret %s has mode %o", name, info.Mode().Perm())
		}
	}
	if info, err := os.Stat(filepath.Join(dir, "secrets")); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the directory of secrets: %v, %v", info, err)
	}

	config := string(read(t, "../compose/haproxy.cfg"))
	for from, to := range map[string]string{
		"/run/secrets/tls": filepath.Join(dir, "secrets", "tls.pem"), "stint-1:": "127.0.0.1:", "stint-2:": "127.0.0.1:",
	} {
		if !strings.Contains(config, from) {
			t.Errorf("haproxy.cfg lacks %s", from)
		}
		config = strings.ReplaceAll(config, from, to)
	}
	file := filepath.Join(dir, "haproxy.cfg")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), haproxy(), "-c", "-f", file).CombinedOutput()
	if err != nil || strings.Contains(string(out), "WARNING") {
		t.Errorf("haproxy -c: %v\n%s", err, out)
	}
}

// makeSecrets runs secrets.sh in a directory of the test.
func makeSecrets(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	script := filepath.Join(dir, "secrets.sh")
	// Only root may give the master key away.
	text := strings.Replace(string(read(t, "../compose/secrets.sh")), `"${as_root[@]}" chown 65532:65532`, "true", 1)
	if err := os.WriteFile(script, []byte(strings.ReplaceAll(text, "as_root=(sudo)", "as_root=()")), 0o700); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time changes nothing
		if out, err := exec.CommandContext(t.Context(), "bash", script).CombinedOutput(); err != nil {
			t.Fatalf("secrets.sh: %v\n%s", err, out)
		}
	}
	return dir
}

// haproxy is where the program is: Debian has it in /usr/sbin, which is not in everybody's path.
func haproxy() string {
	if path, err := exec.LookPath("haproxy"); err == nil {
		return path
	}
	return "/usr/sbin/haproxy"
}

// need skips the test where a program is missing; in CI it must be there.
func need(t *testing.T, programs ...string) {
	t.Helper()
	for _, program := range programs {
		if _, err := exec.LookPath(program); err == nil {
			continue
		}
		if _, err := os.Stat("/usr/sbin/" + program); err == nil {
			continue
		}
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s is missing: make tools", program)
		}
		t.Skipf("SKIPPED: %s is missing (make tools installs it)", program)
	}
}
