#!/usr/bin/env bash
# Lints the .proto files and generates the Go code beside them; with --check it only tells whether that code is current.
# buf and the plugins are a module of their own (scripts/proto/go.mod), so that they are not dependencies of stint.
set -euo pipefail
cd "$(dirname "$0")/.."
buf=(go tool -modfile=scripts/proto/go.mod buf)

"${buf[@]}" lint
if [ "${1:-}" != --check ]; then
	exec "${buf[@]}" generate
fi
fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT
"${buf[@]}" generate --output "$fresh"
while IFS= read -r file; do
	if ! cmp -s "$fresh/$file" "$file"; then
		echo "$file is not what its .proto file gives: run \"make proto\"" >&2
		exit 1
	fi
done < <({ (cd "$fresh" && find proto -name '*.pb.go'); find proto -name '*.pb.go'; } | sort -u)
