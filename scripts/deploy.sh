#!/usr/bin/env bash
# What is in deploy/, looked at by the programs that will read it: systemd's for the units, Prometheus's for the alerts, and in deploy/lint
# (a Go module of its own) BuildKit's for the image, Compose's, Helm's and Kubernetes' for the rest. And ShellCheck for every script.
# A program that is missing is told and left out; with CI=true it is an error.
set -euo pipefail
cd "$(dirname "$0")/.."

has() {
	[ -x "$1" ] || command -v "$1" >/dev/null 2>&1 && return
	echo "$1 is missing (make tools installs it): not checked" >&2
	[ "${CI:-}" = true ] && exit 1
	return 1
}

if has shellcheck; then
	git ls-files -z '*.sh' .ci/run | xargs -0 shellcheck
fi

# The unit names a program and files of the machine that it will be on; here there is a stand-in. Exposure is of 10: 2.0 at most.
if has systemd-analyze; then
	units=$(mktemp -d)
	trap 'rm -rf "$units"' EXIT
	for unit in deploy/systemd/*.service; do
		sed "s|/usr/local/bin/stint|$(command -v true)|" "$unit" >"$units/$(basename "$unit")"
		out=$(systemd-analyze verify "$units/$(basename "$unit")" 2>&1) || { echo "$out" >&2 && exit 1; }
		if grep -F "$(basename "$unit")" <<<"$out"; then exit 1; fi
		systemd-analyze security --offline=true --threshold=20 --no-pager "$units/$(basename "$unit")" >"$units/exposure" ||
			{ cat "$units/exposure" >&2 && exit 1; }
	done
fi

promtool="${XDG_CACHE_HOME:-$HOME/.cache}/stint-test/prometheus/usr/bin/promtool"
if has "$promtool"; then
	(cd deploy/monitoring && "$promtool" check rules alerts.yaml >/dev/null && "$promtool" test rules alerts_test.yaml) >/dev/null ||
		(cd deploy/monitoring && "$promtool" check rules alerts.yaml && "$promtool" test rules alerts_test.yaml)
fi

cd deploy/lint
unformatted=$(gofmt -l .)
[ -z "$unformatted" ] || { echo "gofmt deploy/lint/$unformatted" >&2 && exit 1; }
go vet .
go test -timeout 15m .
