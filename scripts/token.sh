#!/bin/sh
# Plays the issuer of tokens, to try them out: makes a key and its key set once, in the directory named first, and prints a
# token with the role named second for the tenants behind it, good for an hour; the role platform takes none. The key is for nothing but trying.
set -eu
usage() { echo "usage: $0 DIRECTORY ROLE TENANT..., or $0 DIRECTORY platform" >&2; exit 2; }
[ $# -ge 2 ] || usage
directory=$1 role=$2
shift 2
if [ "$role" = platform ]; then
	[ $# -eq 0 ] || usage
	tenants=
else
	[ $# -ge 1 ] || usage
	tenants=$(printf ',"%s"' "$@")
fi

url64() { openssl base64 -A | tr '+/' '-_' | tr -d '='; }

umask 077
mkdir -p "$directory"
if [ ! -f "$directory/keys.json" ]; then
	openssl genrsa -out "$directory/issuer.pem" 2048 2> /dev/null
	n=$(openssl rsa -in "$directory/issuer.pem" -noout -modulus | cut -d= -f2 | xxd -r -p | url64)
	printf '{"keys":[{"kty":"RSA","kid":"try","use":"sig","alg":"RS256","e":"AQAB","n":"%s"}]}\n' "$n" > "$directory/keys.json"
fi
head=$(printf '{"alg":"RS256","typ":"at+jwt","kid":"try"}' | url64)
body=$(printf '{"iss":"https://issuer.example","aud":"defender","sub":"try","role":"%s","tenants":[%s],"exp":%d}' \
	"$role" "${tenants#,}" $(($(date +%s) + 3600)) | url64)
echo "$head.$body.$(printf '%s.%s' "$head" "$body" | openssl dgst -sha256 -sign "$directory/issuer.pem" | url64)"
