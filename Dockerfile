# syntax=docker/dockerfile:1
# Two images: the service (last, so it is the default) and, with --target defendersim, the simulator.
FROM golang:1.26-bookworm AS build
ARG VERSION=dev
ARG REVISION=unknown
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
# The same command line as in the Makefile: same sources and version, same bytes.
RUN mkdir /out && CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "-s -w -buildid= -X main.version=${VERSION} -X main.revision=${REVISION}" \
      -o /out/ ./cmd/defenderd ./cmd/defendersim \
 && cp /etc/ssl/certs/ca-certificates.crt /out/ && mkdir /out/tmp /out/spool

FROM scratch AS defendersim
COPY --from=build /out/defendersim /defendersim
USER 65532:65532
EXPOSE 9400 9401
ENTRYPOINT ["/defendersim"]
CMD ["-listen", ":9400", "-control", ":9401"]

FROM scratch AS defenderd
COPY --from=build /out/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/defenderd /defenderd
# Who runs it: a number, so that an orchestrator can see that it is not root.
ARG OWNER=65532
# Imports keep their rows in unnamed files here while they run, and their pages. With a read-only root mount something writable over it.
COPY --from=build --chown=${OWNER}:${OWNER} /out/tmp /tmp
# For a volume that outlives the container, with DEFENDERD_SPOOL_DIR set to it: a new volume takes the owner of what it is mounted over.
COPY --from=build --chown=${OWNER}:${OWNER} /out/spool /var/lib/defenderd
USER ${OWNER}:${OWNER}
ENV DEFENDERD_LISTEN=:8080 DEFENDERD_ADMIN_LISTEN=:9090
EXPOSE 8080 9090
# There is no shell in here: the program asks its own admin listener.
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 CMD ["/defenderd", "healthcheck"]
ENTRYPOINT ["/defenderd"]
CMD ["serve"]
