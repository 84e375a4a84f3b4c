#!/bin/sh
# Checks the code, its history and its dependencies by tools, each of a fixed version, and prints a figure for each. Ends with
# status 1 if one of them finds something or could not look.
#
#   VULNDB=file:///srv/vulndb     where govulncheck finds its database; without it the Go project's own, over the network
#   VULNDB=none                   there is none: say so, and let the rest decide
set -eu
cd "$(dirname "$0")/.."

tools=$PWD/bin/tools
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

tool() { # PROGRAM PACKAGE@VERSION
    [ -x "$tools/$1" ] && go version -m "$tools/$1" | grep -q "mod.*${2##*@}" || GOBIN="$tools" go install "$2"
}

# check NAME COMMAND...: a command that prints its figure last.
check() {
    name=$1
    shift
    if "$@" > "$work/$name" 2>&1; then
        echo "audit-code: $name: $(tail -n 1 "$work/$name")"
    else
        failed=1
        echo "audit-code: $name FAILED:" >&2
        cat "$work/$name" >&2
    fi
}

modules() { go mod verify; }

lint() { scripts/lint.sh && echo "0 findings of gofmt, vet and staticcheck"; }

security() {
    tool gosec github.com/securego/gosec/v2/cmd/gosec@v2.30.0
    # Not looked at: what is not shipped; and rules that see every place as one: conversions between integers (G115), files that the
    # operator's settings name (G304), and chance that only spreads waits (G404).
    "$tools/gosec" -quiet -exclude=G115,G304,G404 -exclude-dir=bin -exclude-dir=internal/connector/defender/defendersim -exclude-dir=internal/pgserver \
        -exclude-dir=internal/kms/kmstest -exclude-dir=cmd/defendersim -exclude-dir=cmd/defenderbench -exclude-dir=cmd/devdb ./... && echo "0 findings of gosec, $(nosec) places with a reason"
}

nosec() { grep -rnE --include='*.go' '#nosec G[0-9]+' api cmd internal migrations ./*.go | grep -cvE '_test\.go:' || true; }

vulnerabilities() {
    if [ "${VULNDB:-}" = none ]; then
        echo "NOT CHECKED: there is no database of vulnerabilities here"
        return
    fi
    tool govulncheck golang.org/x/vuln/cmd/govulncheck@v1.9.0
    status=0
    "$tools/govulncheck" ${VULNDB:+-db "$VULNDB"} ./... || status=$?
    case $status in
    0) echo "0 known vulnerabilities that are reached" ;;
    3) return 1 ;;
    *) echo "govulncheck could not look (set VULNDB to a copy of its database, or to none)"; return 1 ;;
    esac
}

history() {
    tool gitleaks github.com/zricethezav/gitleaks/v8@v8.30.0
    "$tools/gitleaks" git --no-banner --redact --verbose --log-level error --config .gitleaks.toml . && echo "0 secrets in $(git rev-list --count HEAD) commits"
}

# What the shipped programs are made of may be under these licences only.
licences() {
    tool go-licenses github.com/google/go-licenses@v1.6.0
    "$tools/go-licenses" report --ignore pgp.internal/defender ./cmd/defenderd ./cmd/defendersim 2> "$work/licences.err" > "$work/licences.csv" || { cat "$work/licences.err"; return 1; }
    if grep -vE ',(Apache-2.0|BSD-2-Clause|BSD-3-Clause|ISC|MIT|MPL-2.0)$' "$work/licences.csv"; then
        echo "these are under other licences"
        return 1
    fi
    echo "$(wc -l < "$work/licences.csv") packages: $(cut -d, -f3 "$work/licences.csv" | sort | uniq -c | awk '{ printf "%s%s %s", sep, $1, $2; sep = ", " }')"
}

check modules modules
check lint lint
check gosec security
check govulncheck vulnerabilities
check gitleaks history
check licences licences
exit "$failed"
