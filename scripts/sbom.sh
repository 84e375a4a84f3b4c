#!/bin/sh
# Writes the bill of materials of the service (CycloneDX, bin/defenderd.cdx.json), and holds it against what the program itself
# says it was made of.
set -eu
cd "$(dirname "$0")/.."

program=${PROGRAM:-bin/defenderd}
out=${OUT:-bin/defenderd.cdx.json}
tools=$PWD/bin/tools
[ -x "$tools/cyclonedx-gomod" ] || GOBIN="$tools" go install github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0
"$tools/cyclonedx-gomod" bin -json -noserial -output "$out" "$program"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
go version -m "$program" | awk '$1 == "dep" { module = $2 "@" $3 } $1 == "=>" { module = $2 "@" $3 } $1 == "dep" || $1 == "=>" { print module }' | sort -u > "$work/program"
# The bill is written with one member a line; a component is named before its version.
awk -F'"' '/^  "components"/ { inside = 1 } /^  "dependencies"/ { inside = 0 } inside && $2 == "name" { name = $4 } inside && $2 == "version" { print name "@" $4 }' "$out" | sort -u > "$work/bill"
if ! diff "$work/program" "$work/bill"; then
    echo "sbom: the bill is not what the program is made of" >&2
    exit 1
fi
echo "sbom: $(wc -l < "$work/bill") modules in $out, the same as in $program"
