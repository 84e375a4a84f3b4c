#!/bin/sh
# Prepares a clone for development: modules, the database helper, and a PostgreSQL. Quiet and quick when all is there.
set -eu
cd "$(dirname "$0")/.."

command -v go >/dev/null || {
    echo "setup: Go is needed, release $(sed -n 's/^go //p' go.mod) or newer: https://go.dev/dl" >&2
    exit 1
}
go mod download
go build -buildvcs=false -o bin/devdb ./cmd/devdb
exec scripts/setup-postgres.sh
