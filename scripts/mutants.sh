#!/bin/sh
# Changes the code of encryption, tenants, tokens and who is let in, in small ways, one at a time, and sees whether the tests notice.
# Fails when fewer than MUTANTS_KILLED percent are noticed. PACKAGES and FILES say where; an empty one leaves these out.
set -eu
cd "$(dirname "$0")/.."

tools=$PWD/bin/tools
[ -x "$tools/gremlins" ] || GOBIN="$tools" go install github.com/go-gremlins/gremlins/cmd/gremlins@v0.6.0
least=${MUTANTS_KILLED:-80}

mutate() { # PACKAGE OPTION...
    package=$1
    shift
    "$tools/gremlins" unleash --workers 2 --timeout-coefficient 10 --threshold-efficacy "$least" --threshold-mcover "$least" "$@" "$package"
}

# alone FILE: changes one file of a package whose tests take minutes, and asks only those about who is let in. Each change still costs a
# build and a minute or more.
alone() {
    file=$1
    package=./$(dirname "$file")
    set --
    for other in "$package"/*.go; do
        [ "$(basename "$other")" = "$(basename "$file")" ] || set -- "$@" -E "(^|/)$(basename "$other" .go)\\.go\$"
    done
    GOFLAGS="${GOFLAGS:-} -run=Token|Credential|Key|Denial|Bearer|TestRouterRefusesWithProblems|TestRoleMatrix" mutate "$package" "$@"
}

for package in ${PACKAGES-./internal/seal ./internal/envelope ./internal/tenant ./internal/identity}; do
    echo "mutants: $package"
    mutate "$package"
done
for file in ${FILES-internal/httpapi/auth.go}; do
    echo "mutants: $file"
    alone "$file"
done
