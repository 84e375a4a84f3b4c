#!/bin/sh
# Checks format and code without running it. The version of staticcheck is fixed so that findings do not change by themselves.
set -eu
cd "$(dirname "$0")/.."

unformatted=$(gofmt -l .)
[ -z "$unformatted" ] || { echo "lint: run gofmt -w on:" >&2; echo "$unformatted" >&2; exit 1; }
# Nobody can review a program or another file without text. Without git, as in an unpacked archive, there is no list to look at.
binaries=$(git ls-files --eol 2> /dev/null | grep '^i/-text' || true)
[ -z "$binaries" ] || { echo "lint: these files are no text:" >&2; echo "$binaries" >&2; exit 1; }
go vet -tags soak,scale ./...
go run honnef.co/go/tools/cmd/staticcheck@v0.8.2 -tags soak,scale ./...
