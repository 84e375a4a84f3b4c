#!/bin/sh
# Builds the images of the service and the simulator from the Dockerfile: with docker if its engine runs, else with
# buildah, which needs no daemon. Where no builder image can be had (IMAGE_BUILD=local, or nothing to pull it with) the
# programs are built here and only the last stages are taken from the Dockerfile; the bytes are the same.
set -eu
cd "$(dirname "$0")/.."

version=${VERSION:-dev}
revision=${REVISION:-unknown}
say() { echo "image: $*" >&2; }

build_with_docker() {
    for target in defendersim defenderd; do
        docker build --target "$target" --build-arg "VERSION=$version" --build-arg "REVISION=$revision" -t "$target:$version" .
    done
}

# Everything after the builder stage, which is the part that ends up in the images.
final_stages() { awk '/^FROM scratch/ { on = 1 } on' Dockerfile | sed '/^COPY --from=build /{ s/--from=build //; s| /out/| |; }'; }

build_with_buildah() {
    command -v buildah >/dev/null || {
        say "neither a docker engine nor buildah is here: apt-get install buildah"
        exit 1
    }
    out=$(mktemp -d)
    trap 'rm -rf "$out"' EXIT
    CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "-s -w -buildid= -X main.version=$version -X main.revision=$revision" \
        -o "$out/" ./cmd/defenderd ./cmd/defendersim
    cp "${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}" "$out/ca-certificates.crt"
    mkdir "$out/tmp" "$out/spool"
    final_stages > "$out/Dockerfile"
    for target in defendersim defenderd; do
        # The docker format, because the OCI format has no place for HEALTHCHECK.
        buildah build --isolation chroot --format docker --timestamp 0 --target "$target" -t "$target:$version" "$out"
    done
}

if [ "${IMAGE_BUILD:-}" != local ] && docker info >/dev/null 2>&1; then build_with_docker; else build_with_buildah; fi
say "built defenderd:$version and defendersim:$version"
