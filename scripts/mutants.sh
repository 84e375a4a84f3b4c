#!/bin/sh
# Changes the code of encryption, tenants and tokens in small ways, one at a time, and sees whether the tests notice. Fails when
# fewer than MUTANTS_KILLED percent are noticed.
set -eu
cd "$(dirname "$0")/.."

tools=$PWD/bin/tools
[ -x "$tools/gremlins" ] || GOBIN="$tools" go install github.com/go-gremlins/gremlins/cmd/gremlins@v0.6.0
least=${MUTANTS_KILLED:-80}
for package in ${PACKAGES:-./internal/seal ./internal/tenant ./internal/identity}; do
    echo "mutants: $package"
    "$tools/gremlins" unleash --workers 2 --timeout-coefficient 10 --threshold-efficacy "$least" --threshold-mcover "$least" "$package"
done
