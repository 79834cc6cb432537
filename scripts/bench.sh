#!/usr/bin/env bash
# End-to-end benchmarks beside the floor server, then the micro-benchmarks of the packages on the request path, as Markdown on standard
# output. It asserts nothing. QUICK=1 takes a minute and a half and is rough; PROFILES=DIR leaves CPU profiles of stint in DIR;
# ROLES=1000000 makes the large directory that large.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ -n "${QUICK:-}" ]; then
	load=(--requests 4000 --rounds 3 --memory 10000 --directory "${ROLES:-10000}")
	benchtime=20ms
else
	load=(--requests 20000 --rounds 5 --memory 100000 --directory "${ROLES:-100000}")
	benchtime=200ms
fi
packages=(./policy ./sigv4 ./signer ./shape ./server/awsquery ./session/... ./federation/oidc ./audit)

command -v redis-server >/dev/null || { echo "bench.sh: redis-server is needed (make tools installs it)" >&2; exit 1; }
bin=$(mktemp -d)
trap 'rm -rf "$bin"' EXIT
CGO_ENABLED=0 go build -trimpath -o "$bin/" ./cmd/stint ./bench/floor ./bench/load

echo "# Benchmarks of $(git describe --tags --always --dirty), $(go version | cut -d' ' -f3,4), $(nproc) cores"
echo
timeout 8m "$bin/load" --stint "$bin/stint" --floor "$bin/floor" --profiles "${PROFILES:-}" "${load[@]}"

echo "## Request path, piece by piece"
echo
# -p 1: two packages at a time would share the cores.
timeout 4m go test -p 1 -run '^$' -bench . -benchmem -benchtime "$benchtime" "${packages[@]}" | awk '
	/^pkg:/ { package = $2; sub(/^.*\/stint\//, "", package) }
	/^Benchmark/ {
		name = $1; sub(/^Benchmark/, "", name); sub(/-[0-9]+$/, "", name)
		time = bytes = allocations = "-"
		for (i = 3; i < NF; i++) {
			if ($(i+1) == "ns/op") time = $i
			if ($(i+1) == "B/op") bytes = $i
			if ($(i+1) == "allocs/op") allocations = $i
		}
		if (!rows++) {
			line = "| %-18s | %-55s | %12s | %10s | %11s |\n"
			printf line, "package", "benchmark", "ns/op", "B/op", "allocations"
			print "|--------------------|---------------------------------------------------------|-------------:|-----------:|------------:|"
		}
		printf line, package, name, time, bytes, allocations
	}
	/^(FAIL|panic:|--- FAIL)/ { print > "/dev/stderr"; failed = 1 }
	END { if (failed || !rows) exit 1 }'
