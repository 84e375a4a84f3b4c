#!/bin/sh
# Builds the programs of the image twice, from two copies of the last commit in different directories, the second without any
# cache of the first, and compares them byte by byte. Prints their SHA-256.
set -eu
cd "$(dirname "$0")/.."

version=${VERSION:-dev}
revision=${REVISION:-unknown}
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT

# build DIRECTORY CACHE: the command line of the Makefile and the Dockerfile.
build() {
    mkdir -p "$work/$1"
    git archive HEAD | tar -x -C "$work/$1"
    (cd "$work/$1" && GOCACHE="$2" CGO_ENABLED=0 go build -trimpath -buildvcs=false \
        -ldflags "-s -w -buildid= -X main.version=$version -X main.revision=$revision" -o out/ ./cmd/defenderd ./cmd/defendersim)
}

build one "$(go env GOCACHE)"
build another/place "$work/cache"
for program in defenderd defendersim; do
    if ! cmp "$work/one/out/$program" "$work/another/place/out/$program"; then
        echo "reproduce: two builds of $program differ" >&2
        exit 1
    fi
    echo "reproduce: $program $(sha256sum < "$work/one/out/$program" | cut -d' ' -f1), twice"
done
