#!/bin/sh
# Runs every fuzz target of the module for a short while each. FUZZTIME sets how long.
set -eu
cd "$(dirname "$0")/.."

targets=$(go test -list '^Fuzz' ./... | awk '
    /^Fuzz/ { names[++count] = $1 }
    $1 == "ok" || $1 == "?" { for (i = 1; i <= count; i++) print $2, names[i]; count = 0 }')
[ -n "$targets" ] || { echo "fuzz: no targets" >&2; exit 1; }
echo "$targets" | while read -r package name; do
    echo "fuzz: $name in $package"
    go test -run '^$' -fuzz "^$name\$" -fuzztime "${FUZZTIME:-10s}" "$package" </dev/null
done
