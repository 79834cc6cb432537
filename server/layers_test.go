package server_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
)

const module = "github.com/stint-sts/stint/"

// layers is the package map of CONTRIBUTING.md, lowest first. A package may import packages of lower layers only.
var layers = [][]string{
	// leaves
	{"arn", "awserr", "secret", "seal", "awsconfig"},
	// engines
	{"policy", "sigv4", "signer", "session", "mfa", "password", "audit", "shape", "federation/oidc", "federation/saml"},
	// readers of an engine's documents
	{"policy/lint", "policy/casefile", "sigv4/grpcsig", "proto/stint/sts/v1"},
	// identity
	{"authn"},
	// what an identity may do
	{"authz"},
	// operations on the directory
	{"iam"},
	// operations on credentials
	{"sts"},
	// the directory as files
	{"iam/apply"},
	// adapters
	{"iam/store", "iam/managed", "session/redis", "session/embedded", "federation/fetch", "kubernetes/webhook"},
	// pipeline
	{"server/dispatch"},
	// translators
	{"server/awsquery", "server/grpcapi", "server/portal", "stintgrpc"},
	// the workload's side
	{"agent"},
	// wiring
	{"server"},
	// programs
	{"cmd/stint", "bench/floor", "bench/load"},
}

// forTests may be imported by tests only, and may import anything below the wiring.
var forTests = map[string]bool{
	"iam/iamtest": true, "iam/store/pgtest": true, "session/sessiontest": true, "session/redistest": true,
	"federation/oidctest": true, "federation/idptest": true, "federation/samltest": true, "federation/samltest/idps": true,
	"kubernetes/kubetest": true, "chaos": true,
}

func TestImportsGoDownOnly(t *testing.T) {
	t.Parallel()
	level := make(map[string]int)
	for i, names := range layers {
		for _, name := range names {
			level[name] = i
		}
	}
	for _, p := range listPackages(t) {
		name := strings.TrimPrefix(p.ImportPath, module)
		if forTests[name] || p.Standard {
			continue
		}
		own, known := level[name]
		if !known {
			t.Errorf("package %s is in no layer: give it one", name)
			continue
		}
		for _, imported := range p.Imports {
			lower, ours := strings.CutPrefix(imported, module)
			switch theirs, known := level[lower]; {
			case !ours:
			case forTests[lower]:
				t.Errorf("%s imports %s, which is for tests", name, lower)
			case known && theirs >= own:
				t.Errorf("%s imports %s: imports go down only", name, lower)
			}
		}
	}
}

// engines know neither HTTP, SQL, Redis nor gRPC.
func TestEnginesArePure(t *testing.T) {
	t.Parallel()
	engines := make(map[string]bool)
	for _, name := range append(layers[0], layers[1]...) {
		engines[module+name] = true
	}
	seen := 0
	for _, p := range listPackages(t) {
		if !engines[p.ImportPath] {
			continue
		}
		seen++
		for _, imported := range p.Imports {
			for _, forbidden := range []string{"net/http", "database/sql", "github.com/redis/", "modernc.org/"} {
				if strings.HasPrefix(imported, forbidden) {
					t.Errorf("%s imports %s", p.ImportPath, imported)
				}
			}
		}
	}
	if seen != len(engines) {
		t.Errorf("saw %d engines and leaves, want %d", seen, len(engines))
	}
}

type listedPackage struct {
	ImportPath string
	Imports    []string
	Standard   bool
}

func listPackages(t *testing.T) []listedPackage {
	t.Helper()
	command := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports,Standard", "./...")
	command.Dir = ".."
	out, err := command.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var packages []listedPackage
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listedPackage
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
	if len(packages) == 0 {
		t.Fatal("go list names no package")
	}
	return packages
}
