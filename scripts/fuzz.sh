#!/usr/bin/env bash
# Runs every fuzz target of the repository for the time given (default 30s), one after the other. All of them run, also after one
# that found something; the exit code tells whether any did.
set -euo pipefail
cd "$(dirname "$0")/.."
time=${1:-30s}
found=0
failed=()
while IFS=: read -r file target; do
	found=$((found + 1))
	echo "== $(dirname "$file") $target for $time"
	# Without a bound Go spends a minute of the run on making each interesting input smaller.
	go test "./$(dirname "$file")" -run '^$' -fuzz "^$target\$" -fuzztime "$time" -fuzzminimizetime 20x </dev/null ||
		failed+=("$(dirname "$file") $target")
done < <(git ls-files '*_test.go' | xargs grep -HoE '^func Fuzz[A-Za-z0-9_]+' | sed 's/func //' | sort)
[ "$found" -gt 0 ] || { echo "no fuzz targets found" >&2; exit 1; }
[ "${#failed[@]}" -eq 0 ] || { printf 'failed: %s\n' "${failed[@]}" >&2; exit 1; }
echo "$found fuzz targets, nothing found"
