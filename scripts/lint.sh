#!/usr/bin/env bash
# gofmt, go vet, staticcheck, the .proto files and their Go code, and govulncheck where its data can be reached. The linters are
# modules of their own (scripts/lint/go.mod, scripts/proto/go.mod), so that they are not dependencies of stint.
set -euo pipefail
cd "$(dirname "$0")/.."

unformatted=$(git ls-files '*.go' | grep -v '\.pb\.go$' | xargs gofmt -l)
if [ -n "$unformatted" ]; then
	echo "gofmt these files:" >&2
	echo "$unformatted" >&2
	exit 1
fi
go vet ./...
go tool -modfile=scripts/lint/go.mod staticcheck ./...
./scripts/proto.sh --check
if ! out=$(go tool -modfile=scripts/lint/go.mod govulncheck ./... 2>&1); then
	if grep -qE 'fetching vulnerabilities|dial tcp|no such host|lookup ' <<<"$out"; then
		echo "govulncheck: its data cannot be reached from here; not checked" >&2
	else
		echo "$out" >&2
		exit 1
	fi
fi
